"""Sinks in files: `{ file = "/etc/mtlsctl/keys" }`, in clear for this user alone, and `{ sops = "secrets/mtls" }`.

Each certificate has a folder of its own, and each slot a file that has its name. The port keeps keys in clear out of
git. The user's own `sops` encrypts and decrypts, and finds what it needs for that where it always does; a key passes to
it only through its standard input.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator

from reconciler.findings.diagnostics import Place
from reconciler.findings.errors import FileError, KeySourceError
from reconciler.findings.values import dataclass
from reconciler.keys.sops import INSTALL, SopsKeySource
from reconciler.model.key_places import Slot
from reconciler.model.keys import KeyFolders, Programs
from reconciler.x509.pem import MAX_KEY_BYTES

_MAX_ENCRYPTED_BYTES = 1_000_000
_ENCRYPTED = re.compile(r"ENC\[AES256_GCM,data:[^\s,\[\]]+,iv:[^\s,\[\]]+,tag:[^\s,\[\]]+,type:str\]")


@dataclass(frozen=True, slots=True)
class FileSlots:
    """Keys in clear, in files (0600) of the folder of a certificate (0700)."""

    folders: KeyFolders
    folder: str
    certificate: str

    def slots(self) -> frozenset[Slot]:
        """The slots that have a file."""
        with _as_key_error():
            names = self.folders.names(self.folder, self.certificate)
        return frozenset(slot for slot in map(Slot.parse, names) if slot is not None)

    def read(self, slot: Slot) -> bytes:
        """The content of its file."""
        return self.content(slot, MAX_KEY_BYTES)

    def write(self, slot: Slot, key: bytes) -> None:
        """Create its file."""
        self.create(slot, key, in_clear=True)

    def remove(self, slot: Slot) -> None:
        """Remove its file."""
        with _as_key_error():
            self.folders.remove(self.folder, self.certificate, slot.text)

    def content(self, slot: Slot, limit: int) -> bytes:
        """The content of its file, of at most `limit` bytes."""
        with _as_key_error():
            return self.folders.read(self.folder, self.certificate, slot.text, limit=limit)

    def create(self, slot: Slot, data: bytes, *, in_clear: bool) -> None:
        """Create its file with this content."""
        with _as_key_error():
            self.folders.create(self.folder, self.certificate, slot.text, data, in_clear=in_clear)

    def path(self, slot: Slot) -> str:
        """Its file, from the folder of mtls.toml."""
        return f"{self.folder}/{self.certificate}/{slot.text}"


@dataclass(frozen=True, slots=True)
class SopsSlots:
    """Keys in files that SOPS encrypted. `source`: decrypts files for age where `sops` is not installed."""

    files: FileSlots
    programs: Programs
    source: SopsKeySource

    def slots(self) -> frozenset[Slot]:
        """The slots that have a file; nothing is decrypted."""
        return self.files.slots()

    def read(self, slot: Slot) -> bytes:
        """What `sops` decrypts of its file."""
        encrypted = self.files.content(slot, _MAX_ENCRYPTED_BYTES)
        if not self.programs.has("sops"):
            return self.source.without_sops(self.files.path(slot), encrypted, ())
        return self._decrypted(slot, encrypted)

    def write(self, slot: Slot, key: bytes) -> None:
        """Create its file with what `sops` encrypted, as .sops.yaml says for that path, once that is proved to be
        encrypted, and to be this key."""
        if slot in self.slots():
            raise KeySourceError(f"{self.files.path(slot)!r} already exists", where=self._place(slot))
        if not self.programs.has("sops"):
            raise KeySourceError("sops is not installed, so no key can be encrypted", hint=INSTALL)
        encrypted = self._sops("--encrypt", slot, key, limit=_MAX_ENCRYPTED_BYTES)
        if not _is_encrypted(encrypted) or any(line in encrypted for line in key.split() if len(line) > _SHORT):
            raise KeySourceError(
                f"what `sops` printed for {self.files.path(slot)!r} is not encrypted, so it was not written",
                hint="use sops 3.9 or later, and let the creation rule of .sops.yaml encrypt the whole file",
                where=self._place(slot),
            )
        if self._decrypted(slot, encrypted).strip() != key.strip():
            raise KeySourceError(
                f"what `sops` encrypted for {self.files.path(slot)!r} is not the key that it was given; it was not"
                " written",
                hint="run `sops` by hand to see what it does to a file",
                where=self._place(slot),
            )
        self.files.create(slot, encrypted + b"\n", in_clear=False)

    def remove(self, slot: Slot) -> None:
        """Remove its file."""
        self.files.remove(slot)

    def _decrypted(self, slot: Slot, encrypted: bytes) -> bytes:
        return self._sops("--decrypt", slot, encrypted, limit=MAX_KEY_BYTES)

    def _sops(self, verb: str, slot: Slot, data: bytes, *, limit: int) -> bytes:
        named = ("--filename-override", self.files.path(slot), "--input-type", "binary")
        decrypted = ("--output-type", "binary") if verb == "--decrypt" else ()
        try:
            return self.programs.output(["sops", verb, *named, *decrypted, "/dev/stdin"], limit=limit, stdin=data)
        except KeySourceError as error:
            rule = f".sops.yaml needs a creation rule for {self.files.path(slot)!r}; " if verb == "--encrypt" else ""
            raise KeySourceError(error.message, hint=f"{rule}{error.hint}", where=self._place(slot)) from error

    def _place(self, slot: Slot) -> Place:
        return Place(self.files.path(slot))


_SHORT = 20
"""A line of PEM without base64 of the key may be as long: the last one."""


def _is_encrypted(text: bytes) -> bool:
    """Whether this is what SOPS makes of a binary file: its data, encrypted, and what it needs to decrypt them."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return False
    is_whole = isinstance(document, dict) and document.keys() == {"data", "sops"}
    return is_whole and isinstance(document["data"], str) and _ENCRYPTED.fullmatch(document["data"]) is not None


@contextlib.contextmanager
def _as_key_error() -> Iterator[None]:
    try:
        yield
    except FileError as error:
        raise KeySourceError(error.message, hint=error.hint, where=error.where) from error
