"""The global options, which the entry and every command take. Imports nothing that is slow."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from reconciler.version import __version__


class Colour(StrEnum):
    """When colour is used; `auto` is on a terminal, unless NO_COLOR is set."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class LogFormat(StrEnum):
    """How the log is written; the formats that `LogLine` has in the table of views."""

    TEXT = "text"
    JSON = "json"


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"mtlsctl {__version__}")
        raise typer.Exit


_GROUP = "Global options"

FileOption = Annotated[
    Path | None,
    typer.Option(
        "--file",
        "-f",
        metavar="FILE",
        help="The desired state; without it mtls.toml here or in a parent folder, up to the git root.",
        rich_help_panel=_GROUP,
    ),
]
ColourOption = Annotated[
    Colour | None, typer.Option("--color", help="When to use colour (default: auto).", rich_help_panel=_GROUP)
]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", help="Log each step, call and file to stderr.", rich_help_panel=_GROUP)
]
LogFormatOption = Annotated[
    LogFormat | None,
    typer.Option("--log-format", help="Format of the log; implies --verbose.", rich_help_panel=_GROUP),
]
VersionOption = Annotated[
    bool,
    typer.Option("--version", help="Show the version.", is_eager=True, callback=_print_version, rich_help_panel=_GROUP),
]
