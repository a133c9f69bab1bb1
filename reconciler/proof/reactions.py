"""How an origin reacted to one client: what can be read from one connection, and from two side by side."""

from __future__ import annotations

from enum import Enum, auto

from reconciler.proof.observations import End, Moment, Observation, Seen

REFUSALS = frozenset({400, 401, 403})
"""HTTP statuses of clients that are not let in."""

FAULTS = range(500, 600)
"""HTTP statuses of an origin at which something is broken."""


class Reaction(Enum):
    """What an origin did with a client, as far as that can be told."""

    OK = auto()
    REFUSED = auto()
    UNCLEAR = auto()


def reaction(seen: Observation | None, expect: int | None) -> Reaction:
    """What one connection tells. `expect`: the status that an accepted client gets, None: any that is no refusal."""
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
    """Whether a certificate was asked for during the handshake; None where that could not be watched."""
    if seen is None or not seen.observable:
        return None
    return seen.request is not None


def asked_nothing(seen: Observation | None) -> bool:
    """Whether the handshake came to its end and no certificate was asked for."""
    done = seen is not None and (seen.end in {End.ANSWERED, End.NO_HTTP} or seen.moment is Moment.AFTER)
    return done and asked(seen) is False


def differs(seen: Seen) -> bool:
    """Whether it did something else with a client that showed another certificate, or none."""
    others = [other for other in (seen.none, seen.throw_away) if other is not None]
    return any((other.end, other.alert) != (seen.ours.end, seen.ours.alert) for other in others)
