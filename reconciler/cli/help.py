"""How help looks: what is a command's own first, the global options last, and no summary cut.

Imports nothing but typer, for the help of the tool needs it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import typer
from typer.core import TyperCommand

ARGUMENTS, OPTIONS = "Arguments", "Options"
_RANGE = re.compile(r"  \[(?:\d+<=)?x[<>]=\d+\]|; (?:\d+<=)?x[<>]=\d+(?=\])")
GLOBAL = "Global options"
"""The panel of the options that every command takes; they are listed below it."""


class HelpfulCommand(TyperCommand):
    """A command whose help lists its own options before the global ones."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments, options, global options."""
        write_options(self.get_params(ctx), ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - as typer's
        """The examples."""
        write_lines(self.epilog, formatter)


def build_command(function: Callable[..., None], name: str, *, example: str) -> TyperCommand:
    """The command that runs a function; its docstring is the help, and `example` has lines to copy."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    examples = "Example: " + example.replace("\n", f"\n{' ' * len('Example: ')}")
    about = inspect.cleandoc(function.__doc__ or "")
    app.command(name, cls=HelpfulCommand, help=about, epilog=examples)(function)
    built = typer.main.get_command(app)
    assert isinstance(built, TyperCommand)  # noqa: S101 - for the type checker; a group has several commands
    return built


def write_options(params: Iterable[Any], ctx: Any, formatter: Any) -> None:
    """A section for each kind of parameter, `--help` among the global options."""
    sections: dict[str, list[tuple[str, str]]] = {ARGUMENTS: [], OPTIONS: [], GLOBAL: []}
    for param in params:
        record = param.get_help_record(ctx)
        if record is not None:
            name, about = record
            section = _section_of(param)
            # typer adds the Python type to the name of an argument, and ranges as x>=0.
            sections[section].append((name.partition(" <")[0] if section == ARGUMENTS else name, _RANGE.sub("", about)))
    for heading, rows in sections.items():
        write_section(heading, rows, formatter)


def write_section(heading: str, rows: Sequence[tuple[str, str]], formatter: Any) -> None:
    """Two columns below a heading; nothing without rows."""
    if rows:
        with formatter.section(heading):
            formatter.write_dl(rows)


def write_commands(groups: Mapping[str, Mapping[str, str]], formatter: Any) -> None:
    """The commands of each group with their summaries, in columns of one width."""
    width = max(len(name) for group in groups.values() for name in group)
    for heading, group in groups.items():
        write_section(heading, [(name.ljust(width), summary) for name, summary in group.items()], formatter)


def write_lines(text: str | None, formatter: Any) -> None:
    """Lines as they are: a command that is broken in two can't be copied."""
    formatter.write_paragraph()
    for line in (text or "").splitlines():
        formatter.write(f"  {line}\n")


def _section_of(param: Any) -> str:
    if param.param_type_name == "argument":
        return ARGUMENTS
    return GLOBAL if getattr(param, "rich_help_panel", None) == GLOBAL or "--help" in param.opts else OPTIONS
