"""Private keys in HashiCorp Vault: `private_key = { vault = "mtls/billing", field = "private_key" }`, of KV version 2.

Which Vault, and the login, only the environment says: a token must not go to an address of mtls.toml.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from pydantic import Field

from reconciler.findings.codes import Code
from reconciler.findings.errors import KeySourceError, ReconcilerError
from reconciler.findings.values import dataclass
from reconciler.keys.registration import KeyTable, Registration, SecretSource
from reconciler.model import KeyReference
from reconciler.model.key_places import Slot, VaultSink
from reconciler.model.keys import KeySourceKind, SecretServer
from reconciler.model.ports import PrivateKey

_SEGMENT = r"[A-Za-z0-9_~+=@:, -][A-Za-z0-9._~+=@:, -]*"
_PATH = rf"^{_SEGMENT}(/{_SEGMENT})*$"
"""The path of a secret or of a mount. No part of it begins with a dot, so it leads nowhere else."""

_FIELD = "private_key"


class VaultKey(KeyTable):
    """A private key in a secret of HashiCorp Vault."""

    vault: Annotated[
        str,
        Field(
            pattern=_PATH,
            max_length=512,
            description="Path of the secret in a KV engine (version 2) of HashiCorp Vault, such as `mtls/billing`,"
            " without its mount and `data/`. Address and login are only in the environment, such as VAULT_ADDR and"
            " VAULT_TOKEN.",
        ),
    ]
    field: Annotated[
        str, Field(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=255, description="The field of the secret with the key.")
    ] = _FIELD
    mount: Annotated[str, Field(pattern=_PATH, max_length=255, description="Where the KV engine is mounted.")] = (
        "secret"
    )


@dataclass(frozen=True, slots=True)
class VaultKeySource(SecretSource):
    """Reads secrets through this port."""

    vault: SecretServer

    def open(self, reference: KeyReference) -> PrivateKey:
        """The key in the secret. KeySourceError if the secret can't be read, or has no such field."""
        return PrivateKey(self._field(reference))

    def _field(self, reference: KeyReference) -> bytes:
        path, field, mount = (reference.options[name] for name in ("vault", "field", "mount"))
        return _field(self.vault, mount, path, field)


@dataclass(frozen=True, slots=True)
class VaultKeySink:
    """As `KeySink`: each slot is a secret below the path of the sink and the name of the certificate."""

    options: VaultSink
    certificate: str
    vault: SecretServer

    def slots(self) -> frozenset[Slot]:
        """As `KeySink`."""
        with _of_keys():
            names = self.vault.names(self.options.mount, f"{self.options.vault}/{self.certificate}")
        return frozenset(slot for name in names if (slot := Slot.parse(name)) is not None)

    def read(self, slot: Slot) -> bytes:
        """As `KeySink`."""
        return _field(self.vault, self.options.mount, self._path(slot), _FIELD)

    def write(self, slot: Slot, key: bytes) -> None:
        """As `KeySink`."""
        with _of_keys():
            self.vault.create(self.options.mount, self._path(slot), {_FIELD: key.decode()})

    def remove(self, slot: Slot) -> None:
        """As `KeySink`."""
        with _of_keys():
            self.vault.remove(self.options.mount, self._path(slot))

    def _path(self, slot: Slot) -> str:
        return f"{self.options.vault}/{self.certificate}/{slot.text}"


def _field(vault: SecretServer, mount: str, path: str, field: str) -> bytes:
    """The value of a field; KeySourceError if it is missing, empty or no text."""
    with _of_keys():
        value = vault.read(mount, path).get(field)
    where = f"the secret {path!r} of the KV mount {mount!r} in Vault"
    if not isinstance(value, str):
        what = "no field" if value is None else "no text in the field"
        hint = f"name its field with `field`; this shows what it has: vault kv get -mount={mount} {path}"
        raise KeySourceError(f"{where} has {what} {field!r}", hint=hint)
    if not value.strip():
        hint = f"write the key there: vault kv patch -mount={mount} {path} {field}=@KEY"
        raise KeySourceError(f"{where} has nothing in the field {field!r}", hint=hint, code=Code.KEY_EMPTY)
    return value.encode()


@contextmanager
def _of_keys() -> Iterator[None]:
    """Raise what went wrong with Vault as an error of keys."""
    try:
        yield
    except ReconcilerError as error:
        raise KeySourceError(error.message, hint=error.hint) from None


SOURCE = Registration(
    KeySourceKind("vault", VaultKey, is_local=False),
    lambda context: VaultKeySource(context.vault),
    secrets=("VAULT_TOKEN", "VAULT_ID_TOKEN", "VAULT_SECRET_ID"),
)
