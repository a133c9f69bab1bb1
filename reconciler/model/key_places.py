"""Where private keys are: one declared place, or the slots of a certificate that renews itself.

A sink holds the private keys of one certificate in slots, each named by its number and by the hash of its public key.
The certificate file selects its slot: it is the one with the file's public key. So replacing that file is the only step
that changes which key is in use. Numbers only grow, so a slot above the selected one is of a renewal that was not
finished.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from reconciler.findings.errors import KeySourceError
from reconciler.findings.values import dataclass


@dataclass(frozen=True, slots=True)
class FileSink:
    """A folder outside of what git tracks: a file (0600) for each slot."""

    file: str


@dataclass(frozen=True, slots=True)
class SopsSink:
    """A folder of the tree: a file that SOPS encrypted for each slot."""

    sops: str


@dataclass(frozen=True, slots=True)
class VaultSink:
    """A path of Vault's key/value engine, version 2, below which each slot is a secret."""

    vault: str
    mount: str = "secret"


@dataclass(frozen=True, slots=True)
class CommandSink:
    """Programs for the four verbs; `{certificate}` in their arguments becomes one of `KeySlots.owners`.

    `{slot}` becomes the name of a slot.
    `write` reads the key (PEM) from its standard input, `read` prints it, `list` prints the names of slots, one in a
    line, `remove` removes one.
    """

    write: tuple[str, ...]
    read: tuple[str, ...]
    list: tuple[str, ...]
    remove: tuple[str, ...]


SinkOptions = FileSink | SopsSink | VaultSink | CommandSink


def sink_text(sink: SinkOptions) -> str:
    """`sops secrets/mtls`: the sink for a sentence."""
    match sink:
        case FileSink(folder):
            return f"file {folder}"
        case SopsSink(folder):
            return f"sops {folder}"
        case VaultSink(path, mount):
            return f"vault {mount}/{path}"
        case CommandSink():
            return f"command {sink.read[0]}"


RENEWED = "renewed"
"""The source of keys that `mtlsctl renew` made."""

_IN_FILES = frozenset({"file", "pkcs12", "sops", "age"})
"""The key sources whose value is the path of a file."""


@dataclass(frozen=True, slots=True)
class KeyReference:
    """Where a private key is, not the key: the name of a key source and that source's own options.

    `passphrase`: where the passphrase is with which the key is encrypted. A list of words, such as a command, is one
    option, quoted as in a shell. `slots`: of a certificate that renews itself, whose `source` is RENEWED.
    """

    source: str
    options: Mapping[str, str]
    passphrase: KeyReference | None = None
    slots: KeySlots | None = None

    @property
    def file(self) -> str | None:
        """The path of the file that the key is in, as written; None for a key from elsewhere."""
        return self.options[self.source] if self.source in _IN_FILES else None

    @property
    def needs_command(self) -> bool:
        """Whether a command of mtls.toml has to be started for the key or its passphrase."""
        if self.slots is not None:
            first = self.slots.otherwise
            return isinstance(self.slots.sink, CommandSink) or (first is not None and first.needs_command)
        return self.source == "command" or (self.passphrase is not None and self.passphrase.needs_command)

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables that contain the key or its passphrase."""
        own = (self.options["env"],) if self.source == "env" else ()
        others = (self.passphrase, self.slots.otherwise if self.slots is not None else None)
        return (*own, *(name for other in others if other is not None for name in other.variables))


@dataclass(frozen=True, slots=True)
class KeySlots:
    """Where the private keys of a certificate that renews itself are.

    `key`: the hash of the public key that is meant, as `key_digest` gives it; None while the certificate file is not
    read. `otherwise`: the declared `private_key`, for a certificate whose key is in no slot: that of before its first
    renewal. `stacks`: the stack, then its former names. `account`: that of mtls.toml; another one may have a stack of
    the same name.
    """

    certificate: str
    sink: SinkOptions
    key: str | None = None
    otherwise: KeyReference | None = None
    stacks: tuple[str, ...] = ()
    account: str | None = None

    @property
    def owners(self) -> tuple[str, ...]:
        """What its keys are kept under in the sink, `payments_billing`, or `0123abcd_payments_billing` with an account:
        first now, then before mtls.toml had an account, and under former names of the stack. No name of a stack or a
        certificate has an underscore."""
        accounts = ("",) if self.account is None else (f"{self.account[:8]}_", "")
        return tuple(f"{account}{stack}_{self.certificate}" for stack in self.stacks for account in accounts)


LAST_NUMBER = 999_999_999
"""The largest number of a slot."""
_SLOT = re.compile(r"([0-9]{4,9})-([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """The name of a slot: a number that grows with each new key, and the hash of the public key."""

    number: int
    key: str

    @property
    def text(self) -> str:
        """`0004-` and 64 hex digits: its name in every sink."""
        return f"{self.number:04d}-{self.key}"

    @staticmethod
    def parse(text: str) -> Slot | None:
        """The slot of this name; None for any other text."""
        found = _SLOT.fullmatch(text)
        slot = None if found is None else Slot(int(found[1]), found[2])
        return slot if slot is not None and slot.text == text else None


@dataclass(frozen=True, slots=True)
class CertificateSlots:
    """The slots of a certificate. `selected`: that of the certificate file. `pending`: of renewals that were not
    finished, the highest first."""

    known: tuple[Slot, ...]
    selected: Slot | None

    @property
    def pending(self) -> tuple[Slot, ...]:
        above = (slot for slot in self.known if self.selected is None or slot.number > self.selected.number)
        return tuple(sorted(above, reverse=True))

    def next(self, key: str) -> Slot:
        """The slot of a new key, given the hash of its public key. KeySourceError if there is no larger number."""
        last = max((slot.number for slot in self.known), default=0)
        if last >= LAST_NUMBER:
            message = f"the slot {last} has the largest number that there is, so no key can be put above it"
            raise KeySourceError(message, hint="remove that slot, which mtlsctl did not make, if its key is not in use")
        return Slot(last + 1, key)
