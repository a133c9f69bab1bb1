"""Errors outside a command: wrong use, output that can't be written, a bug. Imported only when one happens."""

from __future__ import annotations

import os
import platform
import re
import sys
import tempfile
import traceback
from collections.abc import Sequence

import typer

from reconciler.cli.commands import NoSuchCommand
from reconciler.cli.elsewhere import as_written, hint_for_command, hint_for_option
from reconciler.cli.terminal import TEXT, line_after_signal, say, show_failure
from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.escape import printable
from reconciler.findings.exits import ExitCode
from reconciler.reports.checks import RunFailure
from reconciler.version import __version__
from reconciler.views.table import Display


def report_usage(error: typer.exceptions.TyperException) -> int:
    """Show what is wrong with the command line, and return the exit code."""
    message, hint = _usage(error)
    _show(Diagnostic(Severity.ERROR, Code.USAGE, message, hint=hint))
    return ExitCode.USAGE


def _usage(error: typer.exceptions.TyperException) -> tuple[str, str]:
    """What is wrong, and what to write instead."""
    message = error.format_message().replace("Value error, ", "")
    message = message.replace(":\n\t", ": ").replace(",\n\t", ", ")  # what an argument can be has a line for each
    message = re.sub("Input should be a valid integer.*", "write a whole number, such as 10", message)
    if isinstance(error, NoSuchCommand):
        return message, hint_for_command(error.word)
    context = getattr(error, "ctx", None)
    command = context.info_name if context is not None and context.parent is not None else ""
    hint = f"run `mtlsctl {command} --help`" if command else "run `mtlsctl --help`"
    name = getattr(error, "option_name", None) if hasattr(error, "possibilities") else None
    if context is not None and name is not None:  # there is no such option
        known = [name for param in context.command.get_params(context) for name in param.opts]
        option = as_written(name, sys.argv[1:], known)
        return f"No such option: {option}", hint_for_option(option, command, known) or hint
    told = _WAY.fullmatch(message)
    return (told[1], told[2]) if told is not None else (message, hint)


_WAY = re.compile(r"(.*)[:;] ((?:write|leave out) .*)", re.DOTALL)
"""A message of a value that ends with what to write instead."""


def report_interrupt() -> int:
    """Show that a signal ended the run, and give the exit code."""
    say(f"{line_after_signal()}Interrupted. It is safe to run the command again.", err=True)
    return ExitCode.INTERRUPTED


def report_stream(error: OSError) -> int:
    """Show that stdout could not be written, such as on a full disk, and return the exit code."""
    message = f"the output could not be written: {error.strerror}"
    hint = "completed steps are kept; run `mtlsctl history` to see them"
    show_failure(RunFailure((Diagnostic(Severity.ERROR, Code.OUTPUT, message, hint=hint),)), TEXT, Display())
    return ExitCode.FAILED


def report_memory() -> int:
    """Show that the memory was not enough, and return the exit code. Called when what was using it is freed."""
    message = "the memory of this machine, or of this container, is not enough for this run"
    hint = "allow more memory; completed steps are kept, and the next run continues"
    _show(Diagnostic(Severity.ERROR, Code.OUT_OF_MEMORY, message, hint=hint))
    return ExitCode.FAILED


def report_bug(error: BaseException) -> int:
    """Write a report, show where it is, and return the exit code. It has no values, because one could be a key."""
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
    message = f"unexpected error in mtlsctl ({type(error).__name__})"
    hint = f"please report it with {path}; the file contains no values, so no secrets"
    try:
        _show(Diagnostic(Severity.ERROR, Code.BUG, message, hint=hint))
    except Exception:  # noqa: BLE001 - the bug may be in what shows it
        typer.echo(f"error[{Code.BUG}]: {message}\n  fix  {printable(hint)}", err=True)
    return ExitCode.FAILED


def _show(problem: Diagnostic) -> None:
    """Show the failure in the requested format, as far as that is known without the command."""
    show_failure(RunFailure((problem,)), _asked_format(sys.argv[1:]), Display())


def _asked_format(arguments: Sequence[str]) -> str:
    """The value of the last `--format`, or text."""
    found = TEXT
    for argument, following in zip(arguments, (*arguments[1:], TEXT), strict=True):
        if argument == "--":
            break
        if argument == "--format":
            found = following
        elif argument.startswith("--format="):
            found = argument.partition("=")[2]
    return found
