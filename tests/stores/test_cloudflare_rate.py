"""The logic of the rate limit, by tables and by whole runs in a simulation whose time is a number."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from reconciler.stores.cloudflare.rate import (
    PER_SECOND,
    QUOTA,
    WINDOW_S,
    Allowance,
    Budget,
    read_allowance,
    read_retry_after,
)
from tests.support.pki import NOW

# --- what headers say -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratelimit", "policy", "said"),
    [
        pytest.param('"default";r=50;t=30', '"default";q=100;w=60', Allowance(50, 30.0, 100), id="as documented"),
        pytest.param(
            '"default";r=50;t=30', '"burst";q=100;w=60', Allowance(50, 30.0, 100), id="a policy by another name"
        ),
        pytest.param('"default";r=50;t=30', "", Allowance(50, 30.0), id="no policy"),
        pytest.param("default; r = 0 ; t = 7", "", Allowance(0, 7.0), id="without quotes, with spaces"),
        pytest.param('"a";r=9;t=1,"b";r=3;t=6', '"a";q=10;w=1, "b";q=5;w=60', Allowance(3, 6.0, 5), id="the tightest"),
        pytest.param('"default";t=30;r=50', "", Allowance(50, 30.0), id="another order"),
        pytest.param('"default";r=50', "", None, id="half of it"),
        pytest.param('"default";r=-1;t=5', "", None, id="below zero"),
        pytest.param('"default";r=many;t=30', "", None, id="no number"),
        pytest.param("", '"default";q=100;w=60', None, id="a policy alone"),
        pytest.param("1200, 300", "", None, id="the older form"),
    ],
)
def test_headers_of_the_limit(ratelimit: str, policy: str, said: Allowance | None) -> None:
    """The parsed allowance, or None; never an error."""
    assert read_allowance({"ratelimit": ratelimit, "ratelimit-policy": policy}) == said


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30.0),
        (" 300 ", 300.0),
        ("0", 0.0),
        ("Mon, 23 Nov 2026 12:01:00 GMT", 60.0),
        ("Mon, 23 Nov 2026 11:59:00 GMT", 0.0),
        ("Mon, 23 Nov 2026 12:01:00", None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("²", None),
        ("9" * 400, None),
    ],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    """Seconds or a date; a past date means now, and anything else means None."""
    assert read_retry_after({"retry-after": text}, NOW) == seconds
    assert read_retry_after({}, NOW + timedelta(1)) is None


# --- single decisions -------------------------------------------------------------------------------------------------


def spent(*allowances: Allowance, at: float = 0.0) -> Budget:
    """A budget after calls that began and ended at the same moment."""
    budget = Budget()
    for allowance in allowances:
        budget.begin(at)
        budget.end(at, at, allowance)
    return budget


@pytest.mark.parametrize(
    ("budget", "now", "delay"),
    [
        pytest.param(Budget(), 0.0, 0.0, id="a new run begins at once"),
        pytest.param(spent(Allowance(1199, 300, 1200)), 0.0, 0.0, id="enough is left"),
        pytest.param(spent(Allowance(25, 300, 1200)), 0.0, 0.0, id="one above the reserve"),
        pytest.param(spent(Allowance(24, 300, 1200)), 0.0, 300.0, id="the reserve is left"),
        pytest.param(spent(Allowance(0, 300, 1200)), 100.0, 200.0, id="nothing is left"),
        pytest.param(spent(Allowance(3, 30, 10)), 0.0, 0.0, id="a small quota, a small reserve"),
        pytest.param(spent(Allowance(2, 30, 10)), 0.0, 30.0, id="but never down to 0"),
        pytest.param(spent(Allowance(0, 30, 10)), 30.0, 0.0, id="the next window"),
        pytest.param(spent(Allowance(9, 30), Allowance(2, 30)), 5.0, 25.0, id="the lowest counts"),
        pytest.param(spent(Allowance(2, 30), Allowance(9, 30)), 5.0, 25.0, id="a late reply that says more"),
        pytest.param(spent(Allowance(2, 30), Allowance(9, 60)), 5.0, 0.0, id="a window that ends later is new"),
    ],
)
def test_when_the_next_call_may_begin(budget: Budget, now: float, delay: float) -> None:
    """Use the window at once, keep the reserve, wait for the end."""
    assert budget.delay(now) == delay


def test_calls_under_way_are_counted_as_spent() -> None:
    """It is unknown which of them a reply has counted."""
    budget = spent(Allowance(12, 30, 10))
    for _ in range(9):
        budget.begin(1.0)
        assert budget.delay(1.0) == 0.0
    budget.begin(1.0)
    assert budget.delay(1.0) is None
    budget.end(1.0, 2.0, Allowance(11, 29, 10))
    assert budget.delay(2.0) is None
    for left in range(10, 1, -1):
        budget.end(1.0, 2.0, Allowance(left, 29, 10))
    assert budget.delay(2.0) == 28.0


def test_a_lost_reply_counts() -> None:
    """Its call may have been counted."""
    budget = spent(Allowance(3, 30, 10))
    budget.begin(1.0)
    budget.end(1.0, 2.0)
    assert budget.delay(2.0) == 28.0


def test_one_call_asks_between_two_windows() -> None:
    """Only the server knows whether the next window has begun; a used one that ends later is waited for again."""
    budget = spent(Allowance(0, 30, 10))
    budget.begin(30.0)
    assert budget.delay(30.0) is None
    budget.end(30.0, 30.1, Allowance(1, 0, 10))
    assert budget.delay(30.1) == pytest.approx(1.0)
    budget.begin(31.2)
    budget.end(31.2, 31.3, Allowance(9, 30, 10))
    assert budget.delay(31.3) == 0.0


def test_asking_in_vain_leads_to_counting() -> None:
    """A server that stops sending the header does not block the run."""
    budget = spent(Allowance(0, 30, 10))
    budget.begin(30.0)
    budget.end(30.0, 31.0)
    budget.begin(31.0)
    assert budget.delay(31.0) == 0.0


def test_without_headers_the_own_calls_are_counted() -> None:
    """1,200 in five minutes, minus the reserve; then one for each call that is older than that."""
    budget = Budget()
    for number in range(QUOTA - QUOTA // 50):
        at = number / 100
        assert budget.delay(at) == 0.0
        budget.begin(at)
        budget.end(at, at)
    assert budget.delay(20.0) == pytest.approx(WINDOW_S - 20.0)
    assert budget.delay(WINDOW_S) == 0.0


def test_a_second_has_room_for_200() -> None:
    """Whatever the window allows."""
    budget = spent(Allowance(10_000, 300, 10_000))
    for _ in range(PER_SECOND - 1):
        assert budget.delay(0.25) == 0.0
        budget.begin(0.25)
    assert budget.delay(0.25) == 0.75
    assert budget.delay(1.1) == 0.0


@pytest.mark.parametrize(
    ("asked", "waits"),
    [
        pytest.param([300.0], [300.0], id="in full"),
        pytest.param([None, None, None], [1.0, 2.0, 4.0], id="without one longer and longer"),
        pytest.param([None] * 8, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0], id="but never over a minute"),
        pytest.param([60.0, None], [60.0, 60.0], id="the longest counts"),
    ],
)
def test_a_refused_call_holds_every_call_back(asked: list[float | None], waits: list[float]) -> None:
    """`Retry-After` is obeyed to the second."""
    budget = Budget()
    found = []
    for retry_after_s in asked:
        budget.refuse(0.0, retry_after_s)
        found.append(budget.delay(0.0))
    assert found == waits
    assert budget.delay(waits[-1]) == 0.0


def test_a_good_reply_ends_the_longer_waits() -> None:
    """The next refusal begins with one second again."""
    budget = Budget()
    for _ in range(5):
        budget.refuse(0.0, None)
    budget.accept()
    budget.refuse(100.0, None)
    assert budget.delay(100.0) == 1.0


# --- whole runs -------------------------------------------------------------------------------------------------------


@dataclass
class Limiter:
    """A server's limit: a number of calls in a window that begins with its first call; beyond it, 429. `rounded` rounds
    the remaining time of the window to whole seconds."""

    quota: int
    window_s: float
    rounded: str = "up"
    begins: float = -math.inf
    used: int = 0
    refused: int = 0

    def count(self, now: float) -> Allowance:
        if now >= self.begins + self.window_s:
            self.begins, self.used = now, 0
        self.used += 1
        self.refused += self.used > self.quota
        rest = self.begins + self.window_s - now
        whole = math.ceil(rest) if self.rounded == "up" else math.floor(rest)
        return Allowance(max(self.quota - self.used, 0), whole, self.quota)


@dataclass
class World:
    """Ten connections, and replies in any order around `latency_s`."""

    limiter: Limiter
    latency_s: float = 0.05
    now: float = 0.0
    budget: Budget = field(default_factory=Budget)
    events: list[tuple[float, int, float, Allowance | None]] = field(default_factory=list)

    def run(self, calls: int) -> float:
        """The seconds that this many calls take."""
        made = 0
        while made < calls or self.events:
            delay = self.budget.delay(self.now) if made < calls and len(self.events) < 10 else None
            if delay == 0.0:
                self._begin(made)
                made += 1
            elif delay is not None and (not self.events or self.now + delay < self.events[0][0]):
                self.now += delay
            else:
                self._end()
        return self.now

    def _begin(self, number: int) -> None:
        self.budget.begin(self.now)
        jitter = (number * 7919 % 13) / 13 * self.latency_s
        said = self.limiter.count(self.now + self.latency_s / 2)
        heapq.heappush(self.events, (self.now + self.latency_s + jitter, number, self.now, said))

    def _end(self) -> None:
        self.now, _, begun, said = heapq.heappop(self.events)
        self.budget.end(begun, self.now, said)


@pytest.mark.parametrize("rounded", ["up", "down"])
@pytest.mark.parametrize("latency_s", [0.001, 0.05, 0.4])
@pytest.mark.parametrize(
    ("quota", "window_s", "calls"), [(120, 6.0, 1000), (1200, 300.0, 1021), (1200, 300.0, 3000), (20, 10.0, 100)]
)
def test_a_run_meets_no_refusal(quota: int, window_s: float, calls: int, latency_s: float, rounded: str) -> None:
    """If the header is right, however its seconds are rounded."""
    world = World(Limiter(quota, window_s, rounded), latency_s)
    world.run(calls)
    assert world.limiter.refused == 0


def test_a_tight_limit_costs_little_more_than_it_must() -> None:
    """1,000 calls at 120 in 6 seconds: nine windows, and no wait for the last one."""
    took = World(Limiter(120, 6.0)).run(1000)
    assert took <= 1.15 * (8 * 6.0 + 40 / 120 * 0.6)


def test_what_fits_into_one_window_goes_as_a_burst() -> None:
    """1,021 calls at the real limit take seconds, not minutes."""
    assert World(Limiter(1200, 300.0)).run(1021) < 10
