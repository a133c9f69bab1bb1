"""Builds the upload form of a Worker with the project's own wrangler, without a login and without an upload."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from reconciler.findings.codes import Code
from reconciler.model import EnvironmentName
from reconciler.runtime.children import OnLine, RuntimeFailure, environment, running
from reconciler.runtime.wrangler import NODE, QUIET, plain, private_folder

_MOST = 200 * 1024 * 1024
_MOST_LINES = 12
_KEPT_LINES = 400
_LONGEST_LINE = 400
LONGEST_S = 1800.0
"""Seconds. A build may take long; one that takes longer hangs."""


class BundleFailed(RuntimeFailure):
    """wrangler could not build the Worker."""

    code = Code.DEV_BUNDLE


def bundle(
    wrangler: Path,
    config: Path,
    name: EnvironmentName,
    *,
    environ: Mapping[str, str],
    on_line: OnLine,
    longest_s: float = LONGEST_S,
) -> bytes:
    """The upload form of an environment of a wrangler file, built by a dry run in the file's folder.

    Everything except wrangler's own `.wrangler` folder goes into a private folder that is deleted afterwards.
    """
    output: list[str] = []

    def hear(line: str) -> None:
        output.append(plain(line)[:_LONGEST_LINE])
        on_line(output[-1])
        del output[:-_KEPT_LINES]

    with private_folder("dev") as folder:
        form = folder / "form"
        options = ["--dry-run", "--outfile", str(form), "--config", str(config), f"--env={name or ''}"]
        variables = {**environment(environ, *NODE), **QUIET, "WRANGLER_LOG_PATH": str(folder / "logs")}
        command = [str(wrangler), "deploy", *options]
        with running(command, environ=variables, on_out=hear, on_err=hear, cwd=config.parent) as child:
            try:
                code = child.wait(longest_s)
            except TimeoutError as error:
                message = f"wrangler did not finish within {longest_s:.0f} s and was stopped"
                raise BundleFailed(message, hint=f"check its output:\n{_worth(output)}") from error
        if code != 0 or not form.is_file():
            raise BundleFailed("wrangler could not build this Worker", hint=f"{_hint(code)}\n{_worth(output)}")
        return _read(form)


def _read(form: Path) -> bytes:
    with form.open("rb") as file:
        data = file.read(_MOST + 1)
    if len(data) > _MOST:
        message = f"the Worker that wrangler built has more than {_MOST:,} bytes, far more than a Worker may have"
        raise BundleFailed(message, hint="check whether files are bundled that don't belong to the Worker")
    return data


def _worth(lines: list[str]) -> str:
    """The lines that explain the failure: from the first error on."""
    start = next((number for number, line in enumerate(lines) if "ERROR" in line), 0)
    worth = [line for line in lines[start:] if line.strip() and "Logs were written" not in line]
    return "\n".join(worth[:_MOST_LINES]) or "(no output)"


def _hint(code: int) -> str:
    needs = "install Node, which wrangler needs on the PATH; " if code == 127 else ""
    return f"{needs}run `wrangler deploy --dry-run` to see the same error. Its output:"
