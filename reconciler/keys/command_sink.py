"""A sink of programs: `{ command = { write = [...], read = [...], list = [...], remove = [...] } }`.

Only where the run was told that it may: a command of mtls.toml comes from whoever can change that file. A key passes to
a program only through its standard input, and nothing that it prints is shown.
"""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.findings.errors import KeySourceError
from reconciler.findings.values import dataclass
from reconciler.model.key_places import CommandSink, Slot
from reconciler.model.keys import Programs
from reconciler.x509.pem import MAX_KEY_BYTES

_MAX_LIST_BYTES = 100_000


@dataclass(frozen=True, slots=True)
class ProgramSlots:
    """Runs the four programs through this port; None: not in this run."""

    options: CommandSink
    certificate: str
    programs: Programs | None

    def slots(self) -> frozenset[Slot]:
        """The slots that `list` prints. KeySourceError if it prints anything else."""
        printed = self._output(self.options.list, limit=_MAX_LIST_BYTES).decode(errors="replace")
        lines = printed.split("\n") if printed.strip() else []
        found = [Slot.parse(line) for line in lines]
        slots = {slot for slot in found if slot is not None}
        if len(slots) != len(lines):
            wrong = next((at for at, slot in enumerate(found, 1) if slot is None), None)
            what = "a slot twice" if wrong is None else f"something else than the name of a slot, in line {wrong}"
            raise KeySourceError(
                f"the command {self.options.list[0]!r} printed {what}",
                hint="`list` must print the names that `write` was given as {slot}, one in a line, and nothing else",
            )
        return frozenset(slots)

    def read(self, slot: Slot) -> bytes:
        """What `read` prints. KeySourceError if it prints nothing."""
        key = self._output(self.options.read, slot, limit=MAX_KEY_BYTES)
        if not key.strip():
            raise KeySourceError(
                f"the command {self.options.read[0]!r} printed nothing",
                hint="`read` must print the private key of the slot to its standard output",
            )
        return key

    def write(self, slot: Slot, key: bytes) -> None:
        """Give the key to `write`, then read and list it: a program that kept nothing would lose it."""
        if slot in self.slots():
            raise KeySourceError(f"the slot {slot.text} of {self.certificate!r} already exists")
        self._output(self.options.write, slot, limit=_MAX_LIST_BYTES, stdin=key)
        if slot not in self.slots() or self.read(slot).strip() != key.strip():
            raise KeySourceError(
                f"the command {self.options.write[0]!r} did not keep the key of the slot {slot.text}",
                hint="`write` must store its whole standard input, so that `list` and `read` find it at once",
            )

    def remove(self, slot: Slot) -> None:
        """Let `remove` remove it, if it is there."""
        if slot in self.slots():
            self._output(self.options.remove, slot, limit=_MAX_LIST_BYTES)

    def _output(
        self, command: Sequence[str], slot: Slot | None = None, *, limit: int, stdin: bytes | None = None
    ) -> bytes:
        if self.programs is None:
            raise KeySourceError(
                "its private keys are kept by commands, and this run may not start the commands of mtls.toml",
                hint="read the commands in mtls.toml; to allow them, add `--allow-commands`",
            )
        words = [word.replace("{certificate}", self.certificate) for word in command]
        if slot is not None:
            words = [word.replace("{slot}", slot.text) for word in words]
        return self.programs.output(words, limit=limit, stdin=stdin)
