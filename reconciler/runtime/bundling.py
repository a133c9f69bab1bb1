"""Has a project's own wrangler make the upload form of a Worker, without a login and without uploading anything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from reconciler.findings.codes import Code
from reconciler.model import EnvironmentName
from reconciler.runtime.children import OnLine, RuntimeFailure, environment, running
from reconciler.runtime.wrangler import QUIET, plain, private_folder

_NODE = ("NODE_PATH", "NODE_OPTIONS", "NODE_EXTRA_CA_CERTS", "NVM_DIR", "VOLTA_HOME", "ASDF_DIR", "ASDF_DATA_DIR")
"""What Node and the managers of its versions look at; a shim that npm put there may be one of theirs."""
_MOST = 200 * 1024 * 1024
_MOST_LINES = 12
_KEPT_LINES = 400
_LONGEST_LINE = 400
LONGEST_S = 1800.0
"""A build may take long; what takes longer hangs."""


class BundleFailed(RuntimeFailure):
    """wrangler could not make the Worker."""

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
    """The upload form of an environment of a wrangler file, made by a dry run in the file's folder.

    Everything but what wrangler itself keeps in `.wrangler` goes into a private folder that is gone afterwards.
    """
    output: list[str] = []

    def hear(line: str) -> None:
        output.append(plain(line)[:_LONGEST_LINE])
        on_line(output[-1])
        del output[:-_KEPT_LINES]

    with private_folder("dev") as folder:
        form = folder / "form"
        options = ["--dry-run", "--outfile", str(form), "--config", str(config), f"--env={name or ''}"]
        variables = {**environment(environ, *_NODE), **QUIET, "WRANGLER_LOG_PATH": str(folder / "logs")}
        command = [str(wrangler), "deploy", *options]
        with running(command, environ=variables, on_out=hear, on_err=hear, cwd=config.parent) as child:
            try:
                code = child.wait(longest_s)
            except TimeoutError as error:
                message = f"wrangler did not end within {longest_s:.0f} s, so it was ended"
                raise BundleFailed(message, hint=f"its output:\n{_worth(output)}") from error
        if code != 0 or not form.is_file():
            raise BundleFailed("wrangler could not make this Worker", hint=f"{_hint(code)}\n{_worth(output)}")
        return _read(form)


def _read(form: Path) -> bytes:
    with form.open("rb") as file:
        data = file.read(_MOST + 1)
    if len(data) > _MOST:
        message = f"what wrangler made has more than {_MOST:,} bytes, far more than a Worker may have"
        raise BundleFailed(message, hint="is something bundled into it that does not belong there?")
    return data


def _worth(lines: list[str]) -> str:
    """The lines that say what went wrong: from the first error on."""
    start = next((number for number, line in enumerate(lines) if "ERROR" in line), 0)
    worth = [line for line in lines[start:] if line.strip() and "Logs were written" not in line]
    return "\n".join(worth[:_MOST_LINES]) or "(nothing)"


def _hint(code: int) -> str:
    needs = "wrangler needs Node on the path; " if code == 127 else ""
    return f"{needs}`wrangler deploy --dry-run` shows the same. Its output:"
