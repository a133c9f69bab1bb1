"""The ports of proving: how the shell gets at an origin, from this machine and from a real Worker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from reconciler.model import Origin
from reconciler.model.ports import PrivateKey
from reconciler.proof.observations import Seen
from reconciler.proof.proofs import Proof
from reconciler.x509.certificates import Bundle


@dataclass(frozen=True, slots=True)
class ClientIdentity:
    """A chain, leaf first, with the leaf's key: the key's block in PEM and nothing beside it."""

    bundle: Bundle
    key: PrivateKey


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """Where to prove. `roots`: what the origin's own certificate is checked by, None: the roots of this machine.

    `expect`: the HTTP status that an accepted client gets, None: any that is no refusal and no fault.
    """

    url: str
    roots: Bundle | None = field(default=None, repr=False)
    expect: int | None = None


class Prober(Protocol):
    """The way to an origin from this machine."""

    def probe(self, target: ProbeTarget, pair: ClientIdentity) -> Seen:
        """What the origin does with this pair, with no certificate and with an unknown one. Sends real requests.

        Raises nothing for what an origin or the network does: that is what was seen.
        """


class OriginProver(Protocol):
    """A proof at a declared origin."""

    def prove(self, origin: Origin, pair: ClientIdentity) -> Proof:
        """The proof; ReconcilerError where a file that `origin` names can't be used."""
