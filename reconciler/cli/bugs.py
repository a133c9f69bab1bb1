"""Unexpected exceptions become a report without secrets, and a sentence instead of a traceback."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import traceback

import typer

from reconciler.findings.escape import printable
from reconciler.version import __version__


def report_bug(error: BaseException) -> int:
    """Write a report, say where it is, and give the exit code. Values stay out: a message may quote a key."""
    lines = [f"mtlsctl {__version__}, Python {platform.python_version()}, {sys.platform}"]
    current: BaseException | None = error
    while current is not None:
        lines.append(f"{type(current).__module__}.{type(current).__qualname__}")
        frames = traceback.extract_tb(current.__traceback__)
        lines.extend(f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames)
        current = current.__cause__ or current.__context__
    handle, path = tempfile.mkstemp(prefix="mtlsctl-bug-", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8") as report:
        report.write("\n".join(lines) + "\n")
    typer.echo(f"error[bug]: mtlsctl met something it did not expect ({type(error).__name__})", err=True)
    typer.echo(f"  hint: please report it with {printable(path)}; the report holds no values, so no secrets", err=True)
    return 1
