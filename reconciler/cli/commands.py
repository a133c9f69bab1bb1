"""The commands by name, in the order of the help.

The file of a command is imported when the command is run or asked for its own help. So `--version`, `--help` and the
completion of names cost nothing, and command files have their imports at the top.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from typer.core import TyperCommand, TyperGroup

COMMANDS = {
    "init": ("takeover", "Make an mtls.toml of what is there."),
    "export": ("takeover", "Print what the store holds as an mtls.toml."),
    "plan": ("planning", "Show what `apply` would do, and why."),
    "show": ("saved", "Show a saved plan."),
    "apply": ("applying", "Upload, bind and retire what `plan` shows."),
    "retire": ("applying", "Delete the old entries of one certificate."),
    "status": ("daily", "Show what is due, bound and waiting."),
    "explain": ("daily", "Say why something is planned, or not; or what a finding's code means."),
    "output": ("daily", "Print the id of a certificate's entry."),
    "doctor": ("checking", "Check this machine and checkout."),
    "drift": ("daily", "Show what is not as declared; exit 2 where anything is."),
    "forecast": ("daily", "Show what falls due when, against the quota."),
    "validate": ("checking", "Check every file; the store is not asked."),
    "schema": ("schema", "Print the JSON Schemas."),
    "history": (
        "history",
        "Show the runs that changed something from this checkout, newest first: when, what they did, how they ended.",
    ),
    "emulator": (
        "emulator",
        "Answer as Cloudflare's API does for certificates and Workers, until Ctrl-C: no account, no network, no risk.",
    ),
    "verify": ("verifying", "Prove that certificates work."),
    "dev": (
        "dev",
        "Run a Worker on this machine, its mTLS bindings presenting the real certificates, until Ctrl-C.",
    ),
}
"""Name to file and short help, which is the first line of the command's docstring."""


class _Unloaded(TyperCommand):
    """A command by its short help alone; it becomes the real one where its arguments are parsed."""

    def __init__(self, name: str, file: str, help: str) -> None:  # noqa: A002 - the word of typer
        super().__init__(name, help=help, rich_markup_mode=None)
        self.file = file

    def make_context(self, *arguments: Any, **settings: Any) -> Any:
        return load_command(str(self.name)).make_context(*arguments, **settings)


class Commands(TyperGroup):
    """The group of all commands."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {name: _Unloaded(name, *row) for name, row in COMMANDS.items()}


def load_command(name: str) -> TyperCommand:
    """The real command of this name, from its file."""
    build: Callable[[], TyperCommand] = getattr(import_module(f"reconciler.cli.{COMMANDS[name][0]}"), name)
    return build()
