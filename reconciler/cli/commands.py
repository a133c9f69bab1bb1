"""The commands by name, in the groups and the order of the help.

The file of a command is imported when the command is run or asked for its own help. So `--version`, `--help` and the
completion of names cost nothing, and command files have their imports at the top.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from reconciler.cli.help import write_commands, write_lines, write_options

GROUPS = {
    "Every day": {
        "plan": ("planning", "Show what `apply` would do, and why."),
        "apply": ("applying", "Upload, bind and retire what `plan` shows."),
        "renew": ("renewing", "Renew certificates at their issuers: new key, new file."),
        "status": ("daily", "Show each certificate: expiry, bindings, what is due or kept."),
        "validate": ("checking", "Check mtls.toml, its files, and keys in git; ask no server."),
        "show": ("saved", "Show a saved plan."),
    },
    "Set up and adopt": {
        "init": ("takeover", "Create an mtls.toml; `--from` adopts what exists."),
        "export": ("takeover", "Print all uploaded certificates as an mtls.toml."),
        "doctor": ("checking", "Check this machine, this checkout and the API token."),
        "schema": ("schema", "Print the JSON Schemas."),
        "completion": ("completion", "Print the completion script for a shell."),
    },
    "Inspect": {
        "explain": ("daily", "Explain why something is planned or not, or a finding's code."),
        "drift": ("daily", "List what differs from mtls.toml; exit 2 if anything does."),
        "forecast": ("daily", "Show when renewals are due, and whether the quota suffices."),
        "verify": ("verifying", "Prove that certificates work."),
        "guard": ("guarding", "Stop a deploy with outdated certificate IDs; exit 3."),
        "output": ("daily", "Print the ID of an uploaded certificate."),
        "replay": ("replaying", "Make a recorded plan again, and show it."),
        "history": ("history", "Show the runs that changed something from this checkout."),
    },
    "Pipelines": {
        "ci": ("ci", "Run a command in a pipeline, and publish its result."),
    },
    "Fleets": {
        "fleet": ("fleet", "Look after many stacks in many accounts."),
    },
    "Emergencies": {
        "retire": ("applying", "Delete the old versions of one certificate."),
    },
    "Develop": {
        "dev": ("dev", "Run a Worker on this machine with its real certificates."),
        "emulator": ("emulator", "Run an emulator of Cloudflare's API on this machine."),
    },
}
"""By heading: name to file and short help, which is the first line of the command's docstring."""

COMMANDS = {name: row for group in GROUPS.values() for name, row in group.items()}


class _Unloaded(TyperCommand):
    """A command with only its short help; the real one is loaded when its arguments are parsed."""

    def __init__(self, name: str, file: str, help: str) -> None:  # noqa: A002 - the word of typer
        super().__init__(name, help=help, rich_markup_mode=None)
        self.file = file

    def make_context(self, *arguments: Any, **settings: Any) -> Any:
        return load_command(str(self.name)).make_context(*arguments, **settings)


class NoSuchCommand(TyperException):
    """A word that is not a command."""

    def __init__(self, word: str) -> None:
        super().__init__(f"No such command {word!r}.")
        self.word = word


class Commands(TyperGroup):
    """The group of all commands."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {name: _Unloaded(name, *row) for name, row in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the first argument names; raises NoSuchCommand if there is none."""
        if args[0] not in self.commands:
            raise NoSuchCommand(args[0])
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The commands in their groups, then the global options."""
        summaries = {heading: {name: row[1] for name, row in group.items()} for heading, group in GROUPS.items()}
        write_commands(summaries, formatter)
        write_options(self.get_params(ctx), ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - as typer's
        """The examples."""
        write_lines(self.epilog, formatter)


@cache
def load_command(name: str) -> TyperCommand:
    """The real command of this name, from its file."""
    build: Callable[[], TyperCommand] = getattr(import_module(f"reconciler.cli.{COMMANDS[name][0]}"), name)
    return build()
