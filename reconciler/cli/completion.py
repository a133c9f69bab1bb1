"""`completion`: what makes a shell complete mtlsctl's command lines.

`mtlsctl completion SHELL` alone is answered by complete.py, for every shell that starts runs it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from typer.core import TyperCommand

from reconciler.cli.help import build_command
from reconciler.cli.options import ColourOption, FileOption, LogFormatOption, VerboseOption, VersionOption, WideOption
from reconciler.cli.scripts import SCRIPTS


class Shell(StrEnum):
    """The shells that have a script."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion() -> TyperCommand:
    """The command. It accepts the global options, but does not use them."""

    def run(
        shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
        file: FileOption = None,  # noqa: ARG001
        colour: ColourOption = None,  # noqa: ARG001
        wide: WideOption = False,  # noqa: ARG001
        verbose: VerboseOption = False,  # noqa: ARG001
        log_format: LogFormatOption = None,  # noqa: ARG001
        version: VersionOption = False,  # noqa: ARG001
    ) -> None:
        """Print the completion script for a shell.

        Completes commands, options and their values, and the names of certificates, Workers and bindings in mtls.toml.
        Reads no other file and asks no server. Add a line to a file of your shell, in zsh below compinit:

        \b
        ~/.bashrc    eval "$(mtlsctl completion bash)"
        ~/.zshrc     eval "$(mtlsctl completion zsh)"
        config.fish  mtlsctl completion fish | source
        """
        typer.echo(SCRIPTS[shell], nl=False)

    return build_command(run, "completion", example="mtlsctl completion bash")
