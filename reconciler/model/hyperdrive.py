"""Hyperdrive configurations: the certificates that each uses for its database, as declared and as found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum

from reconciler.findings.values import dataclass
from reconciler.model.words import CertificateName

SSLMODES = ("require", "verify-ca", "verify-full", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")
"""Cloudflare's modes: the first three of PostgreSQL, the others of MySQL."""


class HyperdriveField(StrEnum):
    """What can be declared of a configuration, under its name in mtls.toml."""

    CERTIFICATE = "certificate"
    CA = "ca"
    SSLMODE = "sslmode"

    @property
    def key(self) -> str:
        """Its name in the API's `mtls`."""
        return _KEYS[self]

    @property
    def text(self) -> str:
        """What it is, for a sentence."""
        return _TEXTS[self]


_KEYS = {
    HyperdriveField.CERTIFICATE: "mtls_certificate_id",
    HyperdriveField.CA: "ca_certificate_id",
    HyperdriveField.SSLMODE: "sslmode",
}
_TEXTS = {
    HyperdriveField.CERTIFICATE: "client certificate",
    HyperdriveField.CA: "CA",
    HyperdriveField.SSLMODE: "sslmode",
}


@dataclass(frozen=True, slots=True)
class HyperdriveAddress:
    """One field of one `[hyperdrive.LABEL]`. `config`: the ID of the configuration; as declared if it was not found."""

    label: str
    config: str
    field: HyperdriveField

    @property
    def text(self) -> str:
        """`the client certificate of the Hyperdrive configuration warehouse`, for a sentence."""
        return f"the {self.field.text} of {self.holder_text}"

    @property
    def kind(self) -> str:
        """What it is a part of, in one word."""
        return "Hyperdrive"

    @property
    def part(self) -> str:
        """Which part it is, in one phrase."""
        return self.field.text

    @property
    def short(self) -> str:
        """`client certificate of warehouse`, for a line of a report."""
        return f"{self.field.text} of {self.label}"

    @property
    def holder(self) -> tuple[str, str]:
        """What one call changes."""
        return "hyperdrive", self.config

    @property
    def holder_text(self) -> str:
        """What one call changes, for a sentence."""
        return f"the Hyperdrive configuration {self.label}"

    @property
    def place(self) -> tuple[str, str, str]:
        """What one change is about; no other has it."""
        return *self.holder, self.field

    @property
    def order(self) -> tuple[str, str, str]:
        """The sort key: those of one holder are next to each other."""
        return f"hyperdrive {self.label}", self.config, self.field


@dataclass(frozen=True, slots=True)
class DeclaredHyperdrive:
    """One `[hyperdrive.LABEL]`. `config`: its ID or name. What is None stays as it is in the account."""

    label: str
    config: str
    certificate: CertificateName | None = None
    ca: CertificateName | None = None
    sslmode: str | None = None

    @property
    def certificates(self) -> Mapping[HyperdriveField, CertificateName]:
        """The declared certificates that it is to use."""
        named = {HyperdriveField.CERTIFICATE: self.certificate, HyperdriveField.CA: self.ca}
        return {one: name for one, name in named.items() if name is not None}


@dataclass(frozen=True, slots=True)
class HyperdriveConfig:
    """A configuration as it was read. `mtls`: everything in it, by the API's names.

    A change sends back what it does not change, because it is not documented whether what is left out would stay.
    """

    id: str
    name: str = ""
    mtls: Mapping[str, object] = field(default_factory=dict)

    def get(self, what: HyperdriveField) -> str | None:
        """A value; None if it is not set."""
        found = self.mtls.get(what.key)
        return found if isinstance(found, str) and found else None


@dataclass(frozen=True, slots=True)
class Hyperdrives:
    """Every configuration of the store. `unread`: why they could not be read, and what to do about it."""

    configs: tuple[HyperdriveConfig, ...] = ()
    unread: tuple[str, str | None] | None = None
