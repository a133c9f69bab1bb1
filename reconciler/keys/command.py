"""Private keys that a program prints: `private_key = { command = ["op", "read", "op://team/billing/key"] }`.

Only where the run was told that it may: a command of mtls.toml comes from whoever can change that file.
"""

from __future__ import annotations

import shlex
from typing import Annotated

from pydantic import Field

from reconciler.findings.errors import KeySourceError
from reconciler.findings.values import dataclass
from reconciler.keys.registration import KeyTable, Registration, SecretSource
from reconciler.model import KeyReference
from reconciler.model.keys import KeySourceKind, Programs
from reconciler.model.ports import PrivateKey
from reconciler.x509.pem import MAX_KEY_BYTES


class CommandKey(KeyTable):
    """A private key that a program prints."""

    command: Annotated[
        list[Annotated[str, Field(max_length=4096, pattern=r"^[^\x00]*$")]],
        Field(
            min_length=1,
            max_length=64,
            description="A program and its arguments, run without a shell in the folder of mtls.toml, only by"
            " `mtlsctl apply --allow-commands`; it prints the key.",
        ),
    ]


@dataclass(frozen=True, slots=True)
class CommandKeySource(SecretSource):
    """Runs programs through this port; None: not in this run."""

    programs: Programs | None

    def open(self, reference: KeyReference) -> PrivateKey:
        """The key that the program prints. KeySourceError if it may not be run, fails, or prints nothing."""
        return PrivateKey(self._output(reference))

    def _output(self, reference: KeyReference) -> bytes:
        if self.programs is None:
            raise KeySourceError(
                "its private key comes from a command, and this run may not start the commands of mtls.toml",
                hint="read the command in mtls.toml; to allow it, run `mtlsctl apply --allow-commands`",
            )
        command = shlex.split(reference.options["command"])
        output = self.programs.output(command, limit=MAX_KEY_BYTES)
        if not output.strip():
            raise KeySourceError(
                f"the command {command[0]!r} printed nothing",
                hint="run it by hand; it has to print the private key to its standard output",
            )
        return output


SOURCE = Registration(
    KeySourceKind("command", CommandKey, is_local=False),
    lambda context: CommandKeySource(context.programs if context.allow_commands else None),
)
