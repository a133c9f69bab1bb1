"""The entry: global options, and whatever was not foreseen."""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import typer

from reconciler.cli.commands import Commands
from reconciler.cli.options import ColourOption, FileOption, VerboseOption, VersionOption
from reconciler.findings.escape import printable

_USAGE = 64
_INTERRUPTED = 130
_COLLECT_AFTER = 300_000
"""Objects. A run is short and leaves few circles; looking for them at Python's pace took a fifth of a plan's time."""

app = typer.Typer(
    name="mtlsctl",
    cls=Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(epilog="Example: mtlsctl plan --detailed-exitcode")
def _root(
    ctx: typer.Context,
    file: FileOption = None,
    colour: ColourOption = None,
    verbose: VerboseOption = False,
    version: VersionOption = False,  # noqa: ARG001 - its callback has ended the run
) -> None:
    """Keep the mutual-TLS client certificates of Cloudflare Workers as mtls.toml declares them."""
    ctx.obj = {"file": file, "colour": colour, "verbose": verbose}


def _message(error: typer.exceptions.TyperException) -> str:
    told = getattr(error, "format_message", None)
    return printable(str(told() if callable(told) else error)).replace("Value error, ", "")


def run() -> NoReturn:
    """Run the command line and exit with its code; nothing ever ends in a traceback."""
    _mend_streams()
    gc.set_threshold(_COLLECT_AFTER)
    atexit.register(gc.freeze)  # nothing is looked for on the way out
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
        sys.stdout.flush()
    except typer.exceptions.TyperException as error:
        from reconciler.findings.codes import Code

        typer.echo(f"error[{Code.USAGE}]: {_message(error)}", err=True)
        typer.echo("  hint: `mtlsctl --help` and `mtlsctl COMMAND --help` say what there is", err=True)
        code = _USAGE
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("interrupted; it is safe to run again", err=True)
        code = _INTERRUPTED
    except BrokenPipeError:
        _close_stdout()  # whoever read us has gone: nothing to say
        code = 1
    except OSError as error:
        code = _report_stream(error)
    except Exception as error:  # noqa: BLE001 - the last resort: a bug is reported as one
        code = import_module("reconciler.cli.bugs").report_bug(error)
    try:
        sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    for caught in (signal.SIGINT, signal.SIGTERM):
        signal.signal(caught, signal.SIG_IGN)  # what is left is to end
    sys.exit(code if isinstance(code, int) else 0)


def _mend_streams() -> None:
    """Whatever started us may have closed a stream, or said an encoding that can't hold every sign."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - as long as the process
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _close_stdout() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report_stream(error: OSError) -> int:
    """What was printed could not be written, such as on a full disk: every other error of the system has its words."""
    from reconciler.findings.codes import Code

    _close_stdout()
    with contextlib.suppress(OSError):
        typer.echo(f"error[{Code.OUTPUT}]: the output could not be written: {error.strerror}", err=True)
        typer.echo("  hint: what was done is done; `mtlsctl history` tells", err=True)
    return 1
