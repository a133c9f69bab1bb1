"""Private keys from standard input: `op read op://team/billing/key | mtlsctl apply --yes`.

Of several keys in one stream, each certificate gets the one with its public key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated

from pydantic import AfterValidator, Field

from reconciler.findings.errors import KeySourceError
from reconciler.findings.values import dataclass
from reconciler.keys.registration import KeyTable, Registration
from reconciler.model import KeyReference
from reconciler.model.keys import KeySourceKind, ReadPiped
from reconciler.model.ports import PrivateKey

_USE = "pipe the private keys into it, one or several, in PEM: COMMAND | mtlsctl apply --yes"


def _check(value: bool) -> bool:
    if not value:
        raise ValueError("must be true; without it, the private key is read from another source")
    return value


class StdinKey(KeyTable):
    """A private key from standard input."""

    stdin: Annotated[
        bool,
        Field(
            strict=True,
            json_schema_extra={"const": True},
            description="true: pipe the key into mtlsctl. If several certificates have this, pipe all of their keys:"
            " each gets the one that belongs to it.",
        ),
        AfterValidator(_check),
    ]


@dataclass(slots=True)
class StdinKeySource:
    """Reads what was piped into this run, once."""

    read: ReadPiped
    _several: Mapping[str, bytes] | None = field(default=None, repr=False)

    def open(self, reference: KeyReference) -> PrivateKey:  # noqa: ARG002 - there is one standard input
        """The keys that were piped. KeySourceError if there are none, or standard input is a terminal."""
        data = self._read()
        if self._several is None:
            from reconciler.x509.key_pairs import by_public_key  # loads the library for keys

            self._several = by_public_key(data)
        return PrivateKey(data, several=self._several)

    def passphrase(self, reference: KeyReference) -> bytes:  # noqa: ARG002
        """What was piped."""
        return self._read().rstrip(b"\r\n")

    def _read(self) -> bytes:
        data = self.read()
        if data is None:
            raise KeySourceError("the private key is read from standard input, which is a terminal", hint=_USE)
        if not data.strip():
            raise KeySourceError("the private key is read from standard input, which is empty", hint=_USE)
        return data


SOURCE = Registration(KeySourceKind("stdin", StdinKey, is_local=False), lambda context: StdinKeySource(context.piped))
