"""The ports for proofs: access to an origin, from this machine and from a real Worker."""

from __future__ import annotations

from dataclasses import field
from typing import Protocol

from reconciler.findings.values import dataclass
from reconciler.model import CertificateName, EntryId, Origin
from reconciler.model.ports import PrivateKey
from reconciler.proof.levels import LevelResult
from reconciler.proof.observations import Seen
from reconciler.proof.proofs import Proof
from reconciler.x509.certificates import Bundle


@dataclass(frozen=True, slots=True)
class ClientIdentity:
    """A chain, leaf first, with the leaf's key: only the PEM block of the key."""

    bundle: Bundle
    key: PrivateKey


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """What to test. `roots` verify the origin's own certificate; None: the roots of this machine.

    `expect` is the HTTP status that an accepted client gets; None: any except refusals and server errors.
    """

    url: str
    roots: Bundle | None = field(default=None, repr=False)
    expect: int | None = None


class Prober(Protocol):
    """Access to an origin from this machine."""

    def probe(self, target: ProbeTarget, pair: ClientIdentity) -> Seen:
        """The origin's behaviour with this certificate, with none and with an unknown one. Sends real requests.

        Raises nothing for what an origin or the network does: every outcome is an observation.
        """


class EdgeProver(Protocol):
    """Makes a proof from Cloudflare's edge, with what is uploaded."""

    def prove(self, certificate: CertificateName, origin: Origin, entry: EntryId) -> LevelResult:
        """The result; never an error. A throw-away Worker is deployed for it, and deleted."""


class OriginProver(Protocol):
    """Makes a proof at a declared origin."""

    def prove(self, origin: Origin, pair: ClientIdentity) -> Proof:
        """The proof; ReconcilerError if a file that `origin` names can't be used."""
