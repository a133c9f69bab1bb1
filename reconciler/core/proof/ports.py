"""The ports of proving: how the shell gets at an origin, from this machine and from a real Worker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from reconciler.core.certificates import Bundle
from reconciler.core.ports import PrivateKey
from reconciler.core.proof.observations import Seen


@dataclass(frozen=True, slots=True)
class Pair:
    """A chain, leaf first, with the leaf's key: the key's block in PEM and nothing beside it."""

    bundle: Bundle
    key: PrivateKey


@dataclass(frozen=True, slots=True)
class Target:
    """Where to prove. `roots`: what the origin's own certificate is checked by, None: the roots of this machine.

    `expect`: the HTTP status that an accepted client gets, None: any that is no refusal and no fault.
    """

    url: str
    roots: Bundle | None = field(default=None, repr=False)
    expect: int | None = None


class Prober(Protocol):
    """The way to an origin from this machine."""

    def probe(self, target: Target, pair: Pair) -> Seen:
        """What the origin does with this pair, with no certificate and with an unknown one. Sends real requests.

        Raises nothing for what an origin or the network does: that is what was seen.
        """
