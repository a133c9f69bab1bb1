"""The entry point: global options, and unexpected errors."""

from __future__ import annotations

import atexit
import gc
import io
import os
import signal
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NoReturn, TextIO

import typer
from typer.main import get_command

from reconciler.cli.commands import Commands
from reconciler.cli.options import ColourOption, FileOption, LogFormatOption, VerboseOption, VersionOption, WideOption

app = typer.Typer(
    name="mtlsctl",
    cls=Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(epilog="Example: mtlsctl plan\nOptions and examples of a command: mtlsctl COMMAND --help")
def _root(
    ctx: typer.Context,
    file: FileOption = None,
    colour: ColourOption = None,
    wide: WideOption = False,
    verbose: VerboseOption = False,
    log_format: LogFormatOption = None,
    version: VersionOption = False,  # noqa: ARG001 - its callback has ended the run
) -> None:
    """Manage mTLS client certificates for Cloudflare Workers from a declarative file."""
    ctx.obj = {"file": file, "colour": colour, "wide": wide, "verbose": verbose, "log_format": log_format}


def run() -> NoReturn:
    """Run the command line and exit with its code; nothing ever ends in a traceback."""
    _mend_streams()
    # No plugin of another package in this environment sees what is validated here; and none is searched for.
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
    atexit.register(gc.freeze)  # nothing is looked for on the way out
    is_full = False
    try:
        code = _call()
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        code = _failures().report_interrupt()
    except BrokenPipeError:
        _close(sys.stdout)  # the reader of stdout has ended, so there is nothing to report
        code = 1
    except OSError as error:
        _close(sys.stdout)
        code = _failures().report_stream(error)
    except MemoryError:
        code, is_full = 1, True
    except Exception as error:  # noqa: BLE001 - the last resort: a bug is reported as one
        code = _failures().report_bug(error)
    if is_full:
        code = _failures().report_memory()  # here, where the frames that hold the memory are gone
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _close(stream)
    for caught in (signal.SIGINT, signal.SIGTERM):
        signal.signal(caught, signal.SIG_IGN)  # what is left is to end
    sys.exit(code if isinstance(code, int) else 0)


def _call() -> object:
    """The exit code of the command line; errors of its use are shown here."""
    try:
        return _command()(sys.argv[1:] or ["--help"], standalone_mode=False)
    except typer.exceptions.TyperException as error:
        return _failures().report_usage(error)


@cache
def _command() -> Callable[..., object]:
    """The whole command line; made once, however often a process runs it."""
    return get_command(app)


def _mend_streams() -> None:
    """Repair the streams: the parent process may have closed one, or set an encoding without some characters."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - as long as the process
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _close(stream: TextIO) -> None:
    """Discard what is still written to a stream."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _failures() -> ModuleType:
    """What reports them; not imported by a run that ends well."""
    return import_module("reconciler.cli.failures")
