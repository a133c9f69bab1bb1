"""The registration of a key source: its kind for the parser, and its opener."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from reconciler.findings.codes import Code
from reconciler.findings.errors import KeySourceError
from reconciler.findings.values import dataclass
from reconciler.model import KeyReference
from reconciler.model.keys import KeyContext, KeySourceKind
from reconciler.model.ports import KeySource


class KeyTable(BaseModel):
    """The table of a key source in mtls.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class SecretSource(KeySource, Protocol):
    """A source of private keys that can have their passphrases, too."""

    def passphrase(self, reference: KeyReference) -> bytes:
        """What is there, without a line break at its end. KeySourceError as for `open`."""
        return self.open(reference).pem.rstrip(b"\r\n")


@dataclass(frozen=True, slots=True)
class Registration:
    """One key source. `open` prepares it for a run, and reads no key yet. `secrets`: the variables with what it logs in
    or decrypts with."""

    kind: KeySourceKind
    open: Callable[[KeyContext], SecretSource]
    secrets: tuple[str, ...] = ()


def missing_extra(extra: str, needed: str) -> KeySourceError:
    """The error of a source that needs an extra which is not installed."""
    return KeySourceError(
        f"this private key needs {needed}",
        hint=f"install mtlsctl again with it, in its checkout: pipx install --force '.[{extra}]'",
        code=Code.EXTRA,
    )
