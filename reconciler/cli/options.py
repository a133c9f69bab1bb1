"""The global options, which the entry and every command take. Imports nothing that is slow."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.help import GLOBAL
from reconciler.version import __version__

_HOST = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


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


def _check_hosts(names: list[str] | None) -> list[str] | None:
    for name in names or ():
        if not _HOST.fullmatch(name):
            raise typer.BadParameter(f"{name!r} is not a host name: leave out scheme, port and path")
    return names


FileOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--file",
        "-f",
        metavar="FILE",
        help="Path to mtls.toml (default: search upward from here to the git root).",
        rich_help_panel=GLOBAL,
    ),
]
FleetFileOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--file", "-f", metavar="FILE", help="Path to fleet.toml (default: fleet.toml here).", rich_help_panel=GLOBAL
    ),
]
FilesOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--file",
        "-f",
        metavar="FILE",
        help="Path to mtls.toml (default: search upward from here to the git root). Repeat it, or quote a glob, for"
        " several stacks: 'apps/*/mtls.toml'.",
        rich_help_panel=GLOBAL,
    ),
]
AllOption = Annotated[bool, typer.Option("--all", help="Run for every mtls.toml below the git root.")]
ColourOption = Annotated[
    Colour | None,
    typer.Option(
        "--color", metavar="WHEN", help="Use colour auto, always or never (default: auto).", rich_help_panel=GLOBAL
    ),
]
WideOption = Annotated[
    bool, typer.Option("--wide", help="Show whole IDs and names, at any width.", rich_help_panel=GLOBAL)
]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", help="Log each step, call and file to stderr.", rich_help_panel=GLOBAL)
]
LogFormatOption = Annotated[
    LogFormat | None,
    typer.Option(
        "--log-format", metavar="FORMAT", help="Log as text or json; implies --verbose.", rich_help_panel=GLOBAL
    ),
]
AllowHostOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-host",
        metavar="HOST",
        callback=_check_hosts,
        help="Also answer requests to this host name (repeatable).",
    ),
]
VersionOption = Annotated[
    bool,
    typer.Option("--version", help="Show the version.", is_eager=True, callback=_print_version, rich_help_panel=GLOBAL),
]
