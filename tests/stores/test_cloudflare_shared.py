"""A rate budget that processes share, as a client uses it: each call has a moment of its own, used in time or freed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count, repeat

import httpx
import pytest

from reconciler.findings.codes import Code
from reconciler.model.budget import CallMoment
from reconciler.model.errors import BudgetUnavailable, StoreError
from reconciler.stores.cloudflare.client import DEFAULT_BOUNDS, ApiCall
from reconciler.stores.cloudflare.errors import Operation
from tests.support.cloudflare_server import ACCESS, FakeTime, make_client, refuse, success

LIST = ApiCall(Operation.LIST, "GET", ACCESS.certificates_path)
TOLD = {"Ratelimit": '"default";r=900;t=30', "Ratelimit-Policy": '"default";q=1200;w=300'}


@dataclass
class FakeBudget:
    """Hands out moments with these waits, in order. `log`: what it was asked for."""

    waits: Iterator[float] = field(default_factory=lambda: repeat(0.0))
    lost: Iterator[bool] = field(default_factory=lambda: repeat(False))
    log: list[str] = field(default_factory=list)
    is_gone: bool = False
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def take(self) -> CallMoment:
        if self.is_gone:
            raise BudgetUnavailable("no database", hint="start it")
        moment = CallMoment(next(self._numbers), next(self.waits))
        self.log.append(f"take {moment.number}")
        return moment

    def holds(self, moment: CallMoment) -> bool:
        self.log.append(f"holds {moment.number}")
        return not next(self.lost)

    def give_back(self, moment: CallMoment) -> None:
        self.log.append(f"give back {moment.number}")
        if self.is_gone:
            raise BudgetUnavailable("no database", hint="start it")

    def refused(self, for_s: float) -> None:
        self.log.append(f"refused for {for_s:g}")

    def seen(self, used: int) -> None:
        self.log.append(f"seen {used}")


def budget_of(*waits: float, lost: Iterable[bool] = ()) -> FakeBudget:
    """One with these waits; `lost`: whether each moment that was waited for was lost meanwhile."""
    return FakeBudget(iter(waits), iter((*lost, *repeat(False, 9))))


def replying(*responses: httpx.Response) -> Callable[[httpx.Request], httpx.Response]:
    """A server with these replies, in order."""
    left = iter(responses)
    return lambda _: next(left)


def test_each_call_waits_for_a_moment_of_its_own() -> None:
    """As long as the budget says."""
    time, budget = FakeTime(), budget_of(0.0, 0.5)
    client = make_client(replying(success([]), success([])), time, shared=budget)
    client.send(LIST)
    client.send(LIST)
    assert (budget.log, time.sleeps) == (["take 1", "take 2"], [0.5])


def test_after_a_long_wait_a_moment_is_used_only_if_it_still_holds() -> None:
    """Another process may have been refused meanwhile."""
    time, budget = FakeTime(), budget_of(30.0, 60.0, lost=[True, False])
    make_client(replying(success([])), time, shared=budget).send(LIST)
    assert budget.log == ["take 1", "holds 1", "give back 1", "take 2", "holds 2"]
    assert time.sleeps == [30.0, 60.0]


def test_a_moment_that_this_process_can_not_use_in_time_is_given_back() -> None:
    """Its own budget made it wait, because the server said so."""
    time, budget = FakeTime(), budget_of(0.0, 0.0, 0.0)
    spent = {"Ratelimit": '"default";r=1;t=30', "Ratelimit-Policy": '"default";q=1200;w=300'}
    answers = (httpx.Response(200, json=success([]).json(), headers=spent), success([]))
    client = make_client(replying(*answers), time, shared=budget)
    client.send(LIST)
    client.send(LIST)
    assert budget.log == ["take 1", "seen 1199", "take 2", "give back 2", "take 3"]


def test_a_refused_call_stops_all_processes_and_is_made_again() -> None:
    """For as long as the server asks."""
    time, budget = FakeTime(), budget_of(0.0, 7.0)
    limited = refuse(429, 971, "slow down", {"retry-after": "7"})
    make_client(replying(limited, success([])), time, shared=budget).send(LIST)
    assert budget.log == ["take 1", "refused for 7", "take 2", "holds 2"]


def test_what_the_server_has_counted_is_passed_on() -> None:
    """By its quota, and not without one."""
    budget = budget_of(0.0, 0.0)
    told = httpx.Response(200, json=success([]).json(), headers=TOLD)
    partly = httpx.Response(200, json=success([]).json(), headers={"Ratelimit": TOLD["Ratelimit"]})
    client = make_client(replying(told, partly), shared=budget)
    client.send(LIST)
    client.send(LIST)
    assert budget.log == ["take 1", "seen 300", "take 2"]


@pytest.mark.parametrize("is_gone", [False, True], ids=["", "and the database is gone"])
def test_a_wait_that_is_too_long_for_the_run_frees_the_moment(is_gone: bool) -> None:
    """And is the error of the rate limit."""
    budget = budget_of(DEFAULT_BOUNDS.max_wait_s + 1)
    client = make_client(replying(), shared=budget)
    take = budget.take

    def take_once() -> CallMoment:
        moment = take()
        budget.is_gone = is_gone
        return moment

    budget.take = take_once  # type: ignore[method-assign]
    with pytest.raises(StoreError, match="rate limit") as caught:
        client.send(LIST)
    assert caught.value.code == Code.RATE_LIMITED
    assert budget.log == ["take 1", "give back 1"]


def test_without_the_budget_nothing_is_sent() -> None:
    """A second process may be using it."""
    client = make_client(replying(), shared=FakeBudget(is_gone=True))
    with pytest.raises(BudgetUnavailable):
        client.send(LIST)
    assert client.calls == 0
