"""The entry: global options, and whatever was not foreseen."""

from __future__ import annotations

import gc
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

import typer

from reconciler.cli import applying, daily, files, history, planning
from reconciler.cli.session import ColourOption, FileOption, VerboseOption, VersionOption

_USAGE = 64
_INTERRUPTED = 130
_COLLECT_AFTER = 300_000
"""Objects. A run is short and leaves few circles; looking for them at Python's pace took a tenth of a plan's time."""

app = typer.Typer(
    name="mtlsctl",
    add_completion=False,
    no_args_is_help=True,
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


planning.register(app)
applying.register(app)
daily.register(app)
files.register(app)
history.register(app)


def _message(error: typer.exceptions.TyperException) -> str:
    from reconciler.outputs.escape import printable

    told = getattr(error, "format_message", None)
    return printable(str(told() if callable(told) else error))


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> NoReturn:
    """Run the command line and exit with its code; nothing ever ends in a traceback."""
    signal.signal(signal.SIGTERM, _interrupt)
    gc.set_threshold(_COLLECT_AFTER)
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except typer.exceptions.TyperException as error:
        typer.echo(f"error[usage]: {_message(error)}", err=True)
        typer.echo("  hint: `mtlsctl --help` and `mtlsctl COMMAND --help` say what there is", err=True)
        code = _USAGE
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("interrupted; it is safe to run again", err=True)
        code = _INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read us has gone: nothing to say
        code = 1
    except Exception as error:  # noqa: BLE001 - the last resort: a bug is reported as one
        from reconciler.cli.bugs import report_bug

        code = report_bug(error)
    sys.exit(code if isinstance(code, int) else 0)
