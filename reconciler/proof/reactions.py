"""How an origin reacted to a client: from one connection, and from comparing two."""

from __future__ import annotations

from enum import Enum, auto

from reconciler.proof.observations import End, Moment, Observation, Seen

REFUSALS = frozenset({400, 401, 403})
"""HTTP statuses for clients that are refused."""

FAULTS = range(500, 600)
"""HTTP statuses of a faulty origin."""


class Reaction(Enum):
    """The reaction of an origin to a client, if it is clear."""

    OK = auto()
    REFUSED = auto()
    UNCLEAR = auto()


def reaction(seen: Observation | None, expect: int | None) -> Reaction:
    """The reaction on one connection. `expect` is the status that an accepted client gets; None: any except
    refusals."""
    if seen is None:
        return Reaction.UNCLEAR
    if seen.end in {End.ALERT, End.CLOSED}:
        return Reaction.REFUSED
    if seen.end is not End.ANSWERED or seen.status is None:
        return Reaction.UNCLEAR
    if seen.page is not None:
        return Reaction.REFUSED
    if seen.status == expect:
        return Reaction.OK
    if seen.status in FAULTS:
        return Reaction.UNCLEAR
    return Reaction.OK if expect is None and seen.status not in REFUSALS else Reaction.REFUSED


def asked(seen: Observation | None) -> bool | None:
    """True if a certificate was requested during the handshake; None if that could not be observed."""
    if seen is None or not seen.observable:
        return None
    return seen.request is not None


def asked_nothing(seen: Observation | None) -> bool:
    """True if the handshake was completed without a request for a certificate."""
    done = seen is not None and (seen.end in {End.ANSWERED, End.NO_HTTP} or seen.moment is Moment.AFTER)
    return done and asked(seen) is False


def differs(seen: Seen) -> bool:
    """True if the origin reacted differently to a client with another certificate, or with none."""
    others = [other for other in (seen.none, seen.throw_away) if other is not None]
    return any((other.end, other.alert) != (seen.ours.end, seen.ours.alert) for other in others)
