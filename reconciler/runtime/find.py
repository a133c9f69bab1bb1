"""Finds wrangler and workerd: those that the operator names, else the project's own, else those on the PATH."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from reconciler.findings.codes import Code
from reconciler.findings.errors import ReconcilerError

WORKERD = "MTLSCTL_WORKERD"
WRANGLER = "MTLSCTL_WRANGLER"

_MODULES = (
    "node_modules",
    "node_modules/.pnpm/node_modules",
    *(f"node_modules/{name}/node_modules" for name in ("wrangler", "miniflare")),
)
_MACHINES = {"x86_64": "64", "amd64": "64", "arm64": "arm64", "aarch64": "arm64"}


class MissingProgram(ReconcilerError):
    """A required program was not found."""

    code = Code.PROGRAM_MISSING


def find_workerd(folder: Path, root: Path, environ: Mapping[str, str]) -> Path | None:
    """The binary of workerd, or None. MissingProgram if the operator names one that can't be run.

    `folder` and its parents up to `root` are searched. npm's `workerd` command may be a script that starts the binary
    without the inherited descriptors, so only the binary counts.
    """
    own = f"@cloudflare/workerd-{sys.platform}-{_MACHINES.get(platform.machine().lower(), 'unknown')}/bin/workerd"
    installed = (
        place / modules / name
        for place in _up(folder, root)
        for modules in _MODULES
        for name in (own, "workerd/bin/workerd")
    )
    return _named(WORKERD, environ) or next((path for path in installed if _is_binary(path)), None) or _on_path(environ)


def find_wrangler(folder: Path, root: Path, environ: Mapping[str, str]) -> Path | None:
    """The command of wrangler, or None. MissingProgram as for `find_workerd`."""
    installed = (place / "node_modules/.bin/wrangler" for place in _up(folder, root))
    found = _named(WRANGLER, environ) or next(filter(_is_executable, installed), None)
    if found is None:
        on_path = shutil.which("wrangler", path=environ.get("PATH", os.defpath))
        found = Path(on_path) if on_path else None
    return found


def _up(folder: Path, root: Path) -> Iterator[Path]:
    """The folder and its parents up to the root of the tree, links resolved; empty for a folder outside the tree."""
    real = Path(os.path.realpath(folder))
    yield from (place for place in (real, *real.parents) if place.is_relative_to(root))


def _named(variable: str, environ: Mapping[str, str]) -> Path | None:
    text = environ.get(variable)
    if not text:
        return None
    path = Path(text)
    if not path.is_absolute() or not _is_executable(path):
        hint = "set it to the absolute path of a file that this user may run, or unset it"
        raise MissingProgram(f"{variable} is {text!r}, which is not a program that can be run", hint=hint)
    return path


def _on_path(environ: Mapping[str, str]) -> Path | None:
    found = shutil.which("workerd", path=environ.get("PATH", os.defpath))
    return Path(found) if found and _is_binary(Path(found)) else None


def _is_executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _is_binary(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return _is_executable(path) and file.read(2) != b"#!"
    except OSError:
        return False
