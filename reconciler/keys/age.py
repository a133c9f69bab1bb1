"""Private keys in files that age encrypted: `private_key = { age = "secrets/billing.key.age" }`.

The age keys that decrypt them are the operator's, in the places where sops looks for its own: two variables and a file
of the user. mtls.toml names none. The library is the extra `age`, imported when a key is opened.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import field
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from reconciler.findings.codes import Code
from reconciler.findings.errors import FileError, KeySourceError
from reconciler.findings.escape import printable, shell_word
from reconciler.findings.values import dataclass
from reconciler.keys.registration import KeyTable, Registration, SecretSource, missing_extra
from reconciler.model import KeyReference
from reconciler.model.keys import KeyContext, KeyFiles, KeySourceKind, ReadOwn
from reconciler.model.ports import PrivateKey

if TYPE_CHECKING:
    from pyrage.x25519 import Identity

AGE_KEY, AGE_KEY_FILE = "SOPS_AGE_KEY", "SOPS_AGE_KEY_FILE"
_MAX_BYTES = 100_000
_SECRET_KEY = "AGE-SECRET-KEY-1"  # noqa: S105 - how each begins


class AgeKey(KeyTable):
    """A private key in a file that age encrypted."""

    age: Annotated[
        str,
        Field(
            min_length=1,
            max_length=4096,
            description="Path to the encrypted file, relative to the folder of mtls.toml. The age key that decrypts it"
            f" is in {AGE_KEY}, in the file that {AGE_KEY_FILE} names, or in the file where sops keeps yours.",
        ),
    ]


@dataclass(frozen=True, slots=True)
class AgeKeys:
    """The age keys of the operator, read when they are needed."""

    read_own: ReadOwn
    environment: Mapping[str, str] = field(repr=False)

    def decrypt(self, encrypted: Iterable[bytes], what: str) -> bytes:
        """The content of the first of these age files that can be decrypted, in binary or armored. `what` names them.

        KeySourceError if no age key is found, or none of them decrypts one. ModuleNotFoundError without the extra.
        """
        import pyrage

        places = ", ".join(filter(None, (f"${AGE_KEY}", f"the file that ${AGE_KEY_FILE} names", self._default)))
        identities = self._identities()
        if not identities:
            raise KeySourceError(
                f"{what} is encrypted with age, and no age key was found", hint=f"it is read from {printable(places)}"
            )
        for data in encrypted:
            with suppress(pyrage.DecryptError):
                return pyrage.decrypt(data, identities)
        found = "the 1 age key that was" if len(identities) == 1 else f"any of the {len(identities)} age keys that were"
        raise KeySourceError(
            f"{what} could not be decrypted with {found} found: it is encrypted for another one, or damaged",
            hint=f"add the age key that it is encrypted for; it is read from {printable(places)}",
        )

    @property
    def _default(self) -> str | None:
        """The path of the user's file of age keys, as sops knows it."""
        home, config = (self.environment.get(name) for name in ("HOME", "XDG_CONFIG_HOME"))
        within_home = "Library/Application Support" if sys.platform == "darwin" else ".config"
        folder = config or (f"{home}/{within_home}" if home else None)
        return f"{folder}/sops/age/keys.txt" if folder else None

    def _identities(self) -> list[Identity]:
        found = {AGE_KEY: self.environment.get(AGE_KEY, "")}
        if named := self.environment.get(AGE_KEY_FILE):
            found[f"the file of {AGE_KEY_FILE}"] = self._read(named, required=True)
        if self._default is not None:
            found[self._default] = self._read(self._default, required=False)
        return [identity for place, text in found.items() for identity in _parse(place, text)]

    def _read(self, path: str, *, required: bool) -> str:
        try:
            return self.read_own(path).decode("utf-8", "replace")
        except FileError as error:
            if not required and error.code is Code.FILE_MISSING:
                return ""
            raise KeySourceError(f"the file of age keys can't be read: {error.message}", hint=error.hint) from error


def _parse(place: str, text: str) -> list[Identity]:
    """The age keys in a text, without those of other kinds, such as plugins."""
    from pyrage import IdentityError, x25519

    words = [word for line in text.splitlines() if not line.startswith("#") for word in line.split()]
    try:
        return [x25519.Identity.from_str(word) for word in words if word.startswith(_SECRET_KEY)]
    except IdentityError as error:
        raise KeySourceError(
            f"an age key in {printable(place)} is damaged", hint="copy it again; age-keygen printed it as one line"
        ) from error


@dataclass(frozen=True, slots=True)
class AgeKeySource(SecretSource):
    """Decrypts files of the tree with the operator's age keys."""

    files: KeyFiles
    keys: AgeKeys

    def open(self, reference: KeyReference) -> PrivateKey:
        """The key in the encrypted file. KeySourceError if the file can't be read or decrypted."""
        return PrivateKey(self._decrypted(reference))

    def _decrypted(self, reference: KeyReference) -> bytes:
        path = reference.options["age"]
        try:
            data = self.files.read_key(path, limit=_MAX_BYTES).data
        except FileError as error:
            raise KeySourceError(error.message, hint=error.hint, where=error.where) from error
        if not data.startswith((b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED FILE-----")):
            raise KeySourceError(
                f"{path!r} is not a file that age encrypted",
                hint=f"encrypt the key: age -r RECIPIENT -o {shell_word(path)} KEY",
                code=Code.KEY_FILE_DAMAGED,
            )
        try:
            return self.keys.decrypt([data], repr(path))
        except ModuleNotFoundError as error:
            raise missing_extra("age", "pyrage, which is not installed") from error


def _open(context: KeyContext) -> AgeKeySource:
    return AgeKeySource(context.files, AgeKeys(context.read_own, context.environment))


SOURCE = Registration(KeySourceKind("age", AgeKey, is_path=True, is_local=False), _open, secrets=(AGE_KEY,))
