"""Renewal: what mtls.toml declares of it, and the interfaces of sinks and issuers."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol, runtime_checkable

from reconciler.findings.values import dataclass
from reconciler.model.key_places import KeyReference, SinkOptions, Slot


@dataclass(frozen=True, slots=True)
class StepIssuer:
    """A step-ca with a JWK provisioner. `root`: file with the CA's own root; None: those of this machine.

    `password`: where the password of the provisioner's key is.
    """

    url: str
    provisioner: str
    password: KeyReference
    root: str | None = None


@dataclass(frozen=True, slots=True)
class VaultIssuer:
    """A PKI secrets engine of Vault or OpenBao: its mount, and the role that signs."""

    role: str
    mount: str = "pki"


@dataclass(frozen=True, slots=True)
class CloudflareIssuer:
    """The CA that Cloudflare manages for a zone, by the zone's ID."""

    zone: str


@dataclass(frozen=True, slots=True)
class CommandIssuer:
    """A program that reads a certificate request (PEM) and prints the certificate, leaf first, and its chain.

    `env`: the variables with secrets that it is given; it is given every other variable without.
    """

    command: tuple[str, ...]
    env: tuple[str, ...] = ()


IssuerOptions = StepIssuer | VaultIssuer | CloudflareIssuer | CommandIssuer


@dataclass(frozen=True, slots=True)
class DeclaredIssuer:
    """One `[issuers.NAME]`."""

    name: str
    options: IssuerOptions


@dataclass(frozen=True, slots=True)
class Renewal:
    """`[certificates.NAME.renew]`. `key`: the type of new keys; None: that of the present certificate.

    `subject` (RFC 4514) and `names` (`DNS:billing.example`): of the request; None: those of the present certificate.
    `lifetime`: what is asked for; None: the issuer decides.
    """

    issuer: str
    sink: SinkOptions
    key: str | None = None
    subject: str | None = None
    names: tuple[str, ...] | None = None
    lifetime: timedelta | None = None


class KeySink(Protocol):
    """The keys of one certificate. Every method may raise KeySourceError, which never shows a key."""

    def slots(self) -> frozenset[Slot]:
        """Every slot of this certificate. A list that may be incomplete is an error, never shorter."""

    def read(self, slot: Slot) -> bytes:
        """The private key (PEM) in a slot."""

    def write(self, slot: Slot, key: bytes) -> None:
        """Put a key (PEM) into a new slot, complete or not at all; an error if the slot is there already."""

    def remove(self, slot: Slot) -> None:
        """Remove a slot; one that is not there any more is no error."""


@dataclass(frozen=True, slots=True)
class SigningRequest:
    """What an issuer is asked for. `csr`: the request (PEM), signed with the new key, which nobody else is given.

    `key`: the hash of its public key. `common_name`, `dns_names` and others repeat what is in the request, for issuers
    that take it from there only in part.
    """

    certificate: str
    csr: bytes
    key: str
    common_name: str
    dns_names: tuple[str, ...] = ()
    ip_addresses: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    lifetime: timedelta | None = None


class Issuer(Protocol):
    """Signs certificate requests. Every method may raise IssuerError."""

    def demand(self) -> None:
        """IssuerError if it can't be used, as far as that can be said without asking for a certificate.

        Called before a new key is made: what is missing here (a program, a token, an extra) is told before anything is
        done.
        """

    def issue(self, request: SigningRequest) -> bytes:
        """The signed certificate (PEM), leaf first, and its chain."""


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A certificate that an issuer issued earlier, with its chain (PEM)."""

    pem: bytes
    is_revoked: bool = False


@runtime_checkable
class SearchableIssuer(Issuer, Protocol):
    """An issuer that knows what it issued."""

    def find(self, key: str) -> IssuedCertificate | None:
        """The newest certificate that was issued for this public key (its hash), a revoked one only if all are; None if
        none was. An incomplete list is an IssuerError."""
