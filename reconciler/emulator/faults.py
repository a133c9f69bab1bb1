"""Faults from a script or a seed: the failures of a network and of a busy service."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum
from random import Random

from reconciler.emulator.settings import retry_after
from reconciler.emulator.wire import ApiError, Delivery, Reply, Request, failure, rate_limited
from reconciler.findings.values import dataclass


class FaultKind(StrEnum):
    """The kinds of faults."""

    LOST_REPLY = "lost-reply"
    RESET = "reset"
    HANG = "hang"
    HANG_AFTER = "hang-after-commit"
    RATE_LIMITED = "429"
    SERVER_ERROR = "5xx"
    SERVER_ERROR_AFTER = "5xx-after-commit"
    TRUNCATED = "truncated"
    HTML = "html"
    BROKEN_JSON = "broken-json"
    HUGE = "huge"
    REDIRECT = "redirect"
    SLOW = "slow"
    LIST_LAG = "list-lag"
    SHIFTED_PAGES = "shifted-pages"
    WRONG_TOTAL = "wrong-total"
    IGNORED_PAGE = "ignored-page"
    IN_USE = "in-use"


ON_LISTS = frozenset({FaultKind.LIST_LAG, FaultKind.SHIFTED_PAGES, FaultKind.WRONG_TOTAL, FaultKind.IGNORED_PAGE})
INSTEAD = frozenset(
    {
        FaultKind.RESET,
        FaultKind.HANG,
        FaultKind.RATE_LIMITED,
        FaultKind.SERVER_ERROR,
        FaultKind.HTML,
        FaultKind.REDIRECT,
    }
)
"""Faults that happen before anything is done."""

_SEEDED = tuple(
    kind
    for kind in FaultKind
    if kind not in (FaultKind.HANG, FaultKind.HANG_AFTER, FaultKind.HUGE, FaultKind.REDIRECT, FaultKind.IGNORED_PAGE)
)
"""The faults that a seed uses: those that cause no long wait, and that a client can recover from."""

_BLOCK_PAGE = b"<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title></head><body></body></html>"
_HUGE = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault for the next `times` matching requests, after `skip` matching requests without it.

    `method` and `path` (a part of the path) limit which requests match. `status` is for 5xx; `retry_after` is for 429,
    None to omit it; `seconds` is for slow; `count` is the number of the newest entries that a lagging list omits.
    """

    kind: FaultKind
    method: str | None = None
    path: str | None = None
    skip: int = 0
    times: int = 1
    status: int = 503
    retry_after: int | None = None
    seconds: float = 0.0
    count: int = 1

    def fits(self, request: Request) -> bool:
        """True if the fault can happen to this request."""
        at_list = request.method == "GET" and request.path.endswith(("/mtls_certificates", "/client_certificates"))
        at_delete = request.method == "DELETE" and "/mtls_certificates/" in request.path
        if (self.kind in ON_LISTS and not at_list) or (self.kind is FaultKind.IN_USE and not at_delete):
            return False
        return self.method in (None, request.method) and (self.path or "") in request.path


class Faults:
    """The schedule: scripted faults first, in the order in which they were added, then those of a seed."""

    def __init__(self) -> None:
        self._script: list[Fault] = []
        self._random: Random | None = None
        self._rate = 0.0
        self._left = 0
        self.happened: list[tuple[str, str, str]] = []

    def add(self, *faults: Fault) -> None:
        """Add faults at the end of the script."""
        self._script.extend(faults)

    def seed(self, seed: int, *, rate: float = 0.1, most: int = 1000) -> None:
        """From now on, give a share of `rate` of all requests a fault, at most `most` times; repeatable with the same
        seed."""
        self._random, self._rate, self._left = Random(seed), rate, most  # noqa: S311 - to be repeatable

    def clear(self) -> None:
        """Remove all planned faults; the record of past ones stays."""
        self._script.clear()
        self._random = None

    @property
    def pending(self) -> tuple[Fault, ...]:
        """The faults that the script still has."""
        return tuple(self._script)

    def take(self, request: Request) -> Fault | None:
        """The fault for this request, or None."""
        fault = self._scripted(request) or self._drawn(request)
        if fault is not None:
            self.happened.append((fault.kind.value, request.method, request.path))
        return fault

    def _scripted(self, request: Request) -> Fault | None:
        for index, fault in enumerate(self._script):
            if not fault.fits(request):
                continue
            if fault.skip:
                self._script[index] = replace(fault, skip=fault.skip - 1)
                continue
            if fault.times > 1:
                self._script[index] = replace(fault, times=fault.times - 1)
            else:
                del self._script[index]
            return fault
        return None

    def _drawn(self, request: Request) -> Fault | None:
        random = self._random
        if random is None or self._left == 0 or random.random() >= self._rate:
            return None
        fitting = [fault for kind in _SEEDED if (fault := _draw(kind, random)).fits(request)]
        self._left -= 1
        return random.choice(fitting)


def _draw(kind: FaultKind, random: Random) -> Fault:
    return Fault(
        kind,
        status=random.choice((500, 502, 503, 504, 520, 522)),
        retry_after=random.choice((None, 0, 1, 3)),
        seconds=random.choice((0.01, 0.05)),
        count=random.choice((1, 2, 5)),
    )


def instead(fault: Fault) -> Reply:
    """The reply for a fault that happens before anything is done."""
    match fault.kind:
        case FaultKind.RATE_LIMITED:
            told = retry_after(fault.retry_after) if fault.retry_after is not None else {}
            return failure(rate_limited(), told)
        case FaultKind.SERVER_ERROR:
            return failure(ApiError(fault.status, 10013, "An unknown error has occurred."))
        case FaultKind.HTML:
            return Reply(403, _BLOCK_PAGE, {"content-type": "text/html; charset=UTF-8"})
        case FaultKind.REDIRECT:
            return Reply(302, b"", {"location": "https://elsewhere.invalid/client/v4/"})
        case FaultKind.HANG:
            return Reply(200, b"", delivery=Delivery.HANGING)
        case _:
            return Reply(200, b"", delivery=Delivery.RESET)


def spoil(reply: Reply, fault: Fault) -> Reply:
    """The reply after the work was done, changed by this fault."""
    match fault.kind:
        case FaultKind.LOST_REPLY:
            return replace(reply, delivery=Delivery.CLOSED)
        case FaultKind.HANG_AFTER:
            return replace(reply, delivery=Delivery.HANGING)
        case FaultKind.SERVER_ERROR_AFTER:
            return failure(ApiError(fault.status, 10013, "An unknown error has occurred."))
        case FaultKind.TRUNCATED:
            return replace(reply, delivery=Delivery.CUT)
        case FaultKind.BROKEN_JSON:
            return replace(reply, body=reply.body[: len(reply.body) // 2])
        case FaultKind.HUGE:
            return replace(reply, body=reply.body.ljust(_HUGE))
        case FaultKind.SLOW:
            return replace(reply, delay_s=reply.delay_s + fault.seconds)
        case _:
            return reply


def read_faults(value: object) -> tuple[Fault, ...]:
    """Faults from JSON, a list of objects with the fields of `Fault`; ValueError says what is wrong."""
    match value:
        case list():
            return tuple(_read(item) for item in value)
        case _:
            raise ValueError('expected a list of faults such as {"kind": "lost-reply", "method": "POST"}')


def _read(item: object) -> Fault:
    if not isinstance(item, dict) or "kind" not in item:
        raise ValueError(f"a fault must be an object with a kind, one of {_words(FaultKind)}")
    kind = item["kind"]
    if kind not in {known.value for known in FaultKind}:
        raise ValueError(f"unknown fault {kind!r}; known faults are {_words(FaultKind)}")
    types: dict[str, tuple[type, ...]] = {
        **dict.fromkeys(("method", "path"), (str,)),
        **dict.fromkeys(("skip", "times", "status", "retry_after", "count"), (int,)),
        "seconds": (int, float),
    }
    given = {name: value for name, value in item.items() if name != "kind"}
    for name, value in given.items():
        if name not in types or isinstance(value, bool) or not isinstance(value, types[name]):
            raise ValueError(f"a fault can't have {name} = {value!r}")
    return Fault(FaultKind(kind), **given)


def _words(kinds: Iterable[FaultKind]) -> str:
    return ", ".join(kind.value for kind in kinds)
