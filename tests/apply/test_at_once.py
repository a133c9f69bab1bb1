"""Concurrent changes, measured by the number of calls in progress, never by time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import httpx
import pytest

from reconciler.apply import World, apply_plan, run
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import FileError, KeySourceError
from reconciler.model import (
    CaList,
    Change,
    Condition,
    Entry,
    EntryId,
    HyperdriveConfig,
    KeyReference,
    Listing,
    Policy,
    StoreKind,
    Zone,
)
from reconciler.model.errors import StoreClosed, StoreError
from reconciler.model.ports import LiveReader, NewEntry, PrivateKey, Store
from reconciler.plan.assess import judge
from reconciler.plan.assessment import PlanOptions
from reconciler.plan.outcome import Outcome, Step, StepStatus
from reconciler.plan.plan import Plan, make_plan
from reconciler.stores.cloudflare.client import DEFAULT_BOUNDS, Client
from reconciler.stores.cloudflare.store import CloudflareStore
from tests.plan.test_retire_live import GONE
from tests.support.cloudflare_server import (
    ACCESS,
    FakeCloudflare,
    limited,
    make_client,
    make_server,
    make_store,
    refuse,
    refusing,
    success,
)
from tests.support.interrupts import interrupt_main, interruptible
from tests.support.memory import MemoryClock, MemoryFiles, NoDeployer, NoProver, open_in_memory
from tests.support.pki import NOW
from tests.support.store_contract import LEAVES, SetClock, leaf
from tests.support.worlds import actual, certificate, desired, issued, plan_of

AT_ONCE = 10
PATIENCE_S = 20.0
"""A limit for a failing test; a passing one never waits."""
COUNT = 1 + 2 * AT_ONCE
NAMES = [f"c{number:02}" for number in range(1, COUNT + 1)]
WANTED = desired(
    {name: number for number, name in enumerate(NAMES, start=1)},
    declared=[certificate(name, key=KeyReference("env", {"env": name})) for name in NAMES],
    store=StoreKind.CLOUDFLARE,
)
Meet = Callable[[int], object]
"""Called during a call, with its number: 1 is the first."""


def uploads() -> Plan:
    """A plan that uploads every certificate."""
    return plan_of(WANTED, actual(()))


@dataclass
class Meter:
    """The number of calls of a method in progress; `order` has it for each call as it starts."""

    server: FakeCloudflare
    method: str = "POST"
    meet: Meet = lambda _: None
    under_way: int = 0
    most: int = 0
    order: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def handle(self, request: httpx.Request) -> httpx.Response:
        counted = request.method == self.method
        with self.lock:
            self.under_way += counted
            self.most = max(self.most, self.under_way)
            if counted:
                self.order.append(self.under_way)
            number = len(self.order)
        if counted:
            self.meet(number)
        response = self.server.handle(request)
        with self.lock:
            self.under_way -= counted
        return response


@dataclass
class Keys:
    """The keys of all certificates; counts how many are open at once, and records who opens them."""

    opened_by: set[int] = field(default_factory=set)
    broken: frozenset[str] = frozenset()

    def open(self, reference: KeyReference) -> PrivateKey:
        self.opened_by.add(threading.get_ident())
        name = reference.options["env"]
        if name in self.broken:
            raise KeySourceError("no such key")
        return PrivateKey(issued(NAMES.index(name) + 1).key_pem)


@dataclass
class Watch:
    """An observer: what started and ended, in which thread. `on_start` is called with the number of the start."""

    on_start: Callable[[int], None] = lambda _: None
    started_changes: list[Change] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)

    def started(self, change: Change) -> None:
        self.threads.add(threading.get_ident())
        self.started_changes.append(change)
        self.on_start(len(self.started_changes))

    def finished(self, step: Step) -> None:
        self.threads.add(threading.get_ident())
        self.steps.append(step)


@dataclass
class Through:
    """A store over another one; a test changes one of its calls."""

    store: Store

    @property
    def at_once(self) -> int:
        return self.store.at_once

    @property
    def calls(self) -> int | None:
        return self.store.calls

    @property
    def lag_s(self) -> float:
        return self.store.lag_s

    def live(self) -> LiveReader | None:
        return self.store.live()

    def hyperdrives(self, wanted: Iterable[str]) -> tuple[HyperdriveConfig, ...]:
        return self.store.hyperdrives(wanted)

    def hyperdrive(self, config: str) -> HyperdriveConfig | None:
        return self.store.hyperdrive(config)

    def update_hyperdrive(self, before: HyperdriveConfig, mtls: Mapping[str, object]) -> HyperdriveConfig:
        return self.store.update_hyperdrive(before, mtls)

    def zones(self, name: str | None = None) -> tuple[Zone, ...]:
        return self.store.zones(name)

    def ca_lists(self, zone: str, cas: Iterable[EntryId]) -> tuple[CaList, ...]:
        return self.store.ca_lists(zone, cas)

    def add_hostnames(self, before: CaList, names: Sequence[str]) -> None:
        self.store.add_hostnames(before, names)

    def list_entries(self) -> Listing:
        return self.store.list_entries()

    def get(self, entry_id: EntryId) -> Entry | None:
        return self.store.get(entry_id)

    def get_all(self, ids: Iterable[EntryId]) -> Mapping[EntryId, Entry | None]:
        return self.store.get_all(ids)

    def upload(self, new: NewEntry) -> Entry:
        return self.store.upload(new)

    def delete(self, entry_id: EntryId) -> None:
        self.store.delete(entry_id)

    def look_back(self) -> tuple[Diagnostic, ...]:
        return self.store.look_back()

    def give_up(self) -> None:
        self.store.give_up()


def carry_out(
    plan: Plan,
    store: Store,
    watch: Watch | None = None,
    *,
    keys: Keys | None = None,
    safe: Iterable[EntryId] = (),
    settle: Callable[[], None] = lambda: None,
    stopping: Callable[[Sequence[Change], float], None] = lambda _changes, _seconds: None,
) -> Outcome:
    world = World(
        store=store,
        files=MemoryFiles(),
        keys={"env": keys or Keys()},
        observer=watch or Watch(),
        still_safe=lambda _: frozenset(safe),
        deployer=NoDeployer,
        prover=NoProver(),
        now=lambda: NOW,
        settle=settle,
        stopping=stopping,
    )
    return apply_plan(plan, WANTED, world)


def statuses(outcome: Outcome) -> dict[StepStatus, int]:
    return {status: len(outcome.of(status)) for status in StepStatus if outcome.of(status)}


def metered(server: FakeCloudflare, meter: Meter) -> CloudflareStore:
    return CloudflareStore(make_client(meter.handle), ACCESS.certificates_path, lambda: 0.5)


def all_but_the_first(barrier: threading.Barrier) -> Callable[[int], None]:
    """What lets calls meet at a barrier; the first goes alone."""

    def meet(number: int) -> None:
        if number > 1:
            barrier.wait(PATIENCE_S)

    return meet


# --- concurrent changes -----------------------------------------------------------------------------------------------


def test_the_first_upload_goes_alone_and_then_ten_at_once() -> None:
    """Never more than there are connections; each of two barriers opens only for ten concurrent calls."""
    server = make_server()
    meter = Meter(server)
    barrier = threading.Barrier(AT_ONCE)
    meter.meet = all_but_the_first(barrier)
    outcome = carry_out(uploads(), metered(server, meter))
    assert statuses(outcome) == {StepStatus.DONE: COUNT}
    assert (meter.order[0], meter.order[1], meter.most) == (1, 1, AT_ONCE)
    assert len(server.store.list_entries().entries) == COUNT


def test_uploads_are_told_as_they_begin_and_end_by_one_thread() -> None:
    """That thread also writes the journal and opens the keys, one at a time."""
    watch, keys = Watch(), Keys()
    outcome = carry_out(uploads(), make_store(make_server()), watch, keys=keys)
    assert watch.threads == keys.opened_by == {threading.get_ident()}
    assert len(watch.started_changes) == len(watch.steps) == COUNT
    assert {step.entry for step in watch.steps} == {step.entry for step in outcome.steps}


def test_no_more_changes_have_begun_than_are_under_way() -> None:
    """A waiting change is not reported as started, and its key is not open."""
    server, watch = make_server(), Watch()
    meter, seen = Meter(server), list[int]()
    barrier = threading.Barrier(AT_ONCE, lambda: seen.append(len(watch.started_changes) - len(watch.steps)))
    meter.meet = all_but_the_first(barrier)
    carry_out(uploads(), metered(server, meter), watch)
    assert len(seen) == 2
    assert max(seen) <= AT_ONCE


@pytest.mark.parametrize(
    "fault", [refusing(403, 10000, "Authentication error"), refusing(400, 4711, "Tuesdays only")], ids=["403", "4711"]
)
def test_what_would_be_refused_each_time_is_asked_for_once(fault: Callable[..., httpx.Response]) -> None:
    """A missing permission, or an unknown error, costs one call and not one per certificate."""
    server = make_server()
    server.fail("POST", *[fault] * COUNT)
    watch = Watch()
    outcome = carry_out(uploads(), make_store(server), watch)
    assert statuses(outcome) == {StepStatus.FAILED: 1, StepStatus.NOT_STARTED: COUNT - 1}
    assert [call.split()[0] for call in server.calls] == ["POST"]
    assert {step.note for step in outcome.of(StepStatus.NOT_STARTED)} == {
        "skipped: an earlier error from Cloudflare stopped this run"
    }
    assert outcome.exit_code == 1
    assert replace(outcome, steps=outcome.of(StepStatus.NOT_STARTED)).exit_code == 1  # what was skipped was not done
    assert len(watch.steps) == 2


def test_a_server_that_is_away_is_tried_for_once() -> None:
    """Five attempts, and not five per certificate."""

    def away(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("[Errno 111] Connection refused")

    client = make_client(away)
    outcome = carry_out(uploads(), CloudflareStore(client, ACCESS.certificates_path, lambda: 0.5))
    assert statuses(outcome) == {StepStatus.FAILED: 1, StepStatus.NOT_STARTED: COUNT - 1}
    assert client.calls == 5


def test_a_limit_that_may_not_be_waited_for_is_met_once() -> None:
    """Not by each of a thousand uploads."""
    server = make_server()
    server.fail("POST", lambda _, respond: respond(), *[limited("300")] * COUNT)
    client = make_client(server.handle, bounds=replace(DEFAULT_BOUNDS, max_wait_s=60, connections=1))
    outcome = carry_out(uploads(), CloudflareStore(client, ACCESS.certificates_path, lambda: 0.5))
    assert statuses(outcome) == {StepStatus.DONE: 1, StepStatus.FAILED: 1, StepStatus.NOT_STARTED: COUNT - 2}
    assert outcome.of(StepStatus.FAILED)[0].problem is not None
    assert len(server.calls) == 2
    assert outcome.exit_code == 5


def test_the_first_go_alone_until_one_is_done() -> None:
    """A refusal of one certificate says nothing about the others."""
    server = make_server()
    server.fail("POST", *[refusing(400, 1400, "unable to parse certificate")] * 3)
    meter = Meter(server)
    outcome = carry_out(uploads(), metered(server, meter), keys=Keys(broken=frozenset({NAMES[0]})))
    assert statuses(outcome) == {StepStatus.FAILED: 4, StepStatus.DONE: COUNT - 4}
    assert meter.order[:5] == [1, 1, 1, 1, 1]


def test_a_stop_in_the_midst_lets_no_more_go_out_than_are_under_way() -> None:
    """Calls that were already sent get their own answers; nothing else is sent."""
    server = make_server()
    meter = Meter(server)
    barrier = threading.Barrier(AT_ONCE)

    def revoked(request: httpx.Request, respond: Callable[[], httpx.Response]) -> httpx.Response:
        return refusing(403, 10000, "Authentication error")(request, respond)

    meter.meet = all_but_the_first(barrier)
    server.fail("POST", lambda _, respond: respond(), *[revoked] * COUNT)
    outcome = carry_out(uploads(), metered(server, meter))
    assert statuses(outcome) == {
        StepStatus.DONE: 1,
        StepStatus.FAILED: AT_ONCE,
        StepStatus.NOT_STARTED: COUNT - 1 - AT_ONCE,
    }
    assert len(meter.order) == 1 + AT_ONCE


def test_the_embedded_store_is_used_by_one_thread_alone() -> None:
    """As its `at_once` says."""
    threads: set[int] = set()
    store = open_in_memory(WANTED.declaration.store, clock=SetClock())

    class Watched(Through):
        def upload(self, new: NewEntry) -> Entry:
            threads.add(threading.get_ident())
            return store.upload(new)

    assert statuses(carry_out(uploads(), Watched(store))) == {StepStatus.DONE: COUNT}
    assert threads == {threading.get_ident()}


def test_an_error_that_nobody_foresaw_is_raised_where_it_is_seen() -> None:
    """As a bug, and not lost in its thread; the journal has what was done."""
    server, watch = make_server(), Watch()
    store = make_store(server)

    class Broken(Through):
        def upload(self, new: NewEntry) -> Entry:
            if NAMES[4] in new.name:
                raise ZeroDivisionError
            return store.upload(new)

    with pytest.raises(ZeroDivisionError):
        carry_out(uploads(), Broken(store), watch)
    assert len(watch.steps) == len(server.store.list_entries().entries)


# --- lists ------------------------------------------------------------------------------------------------------------

LONG = 21
"""Pages of a list: one, and then two times ten."""


def long_list(meet: Meet, fails: frozenset[int] = frozenset()) -> tuple[CloudflareStore, list[int]]:
    """A store whose list has LONG pages, and the requested pages. `meet` is called during each."""
    asked: list[int] = []

    def handle(request: httpx.Request) -> httpx.Response:
        page = int(request.url.params["page"])
        asked.append(page)
        meet(page)
        if page in fails:
            return refuse(403, 10000, "Authentication error")
        info = {"page": page, "per_page": 50, "total_count": LONG * 50, "total_pages": LONG}
        return success([{"id": f"{page}-{number}"} for number in range(50)], result_info=info)

    return CloudflareStore(make_client(handle), ACCESS.certificates_path, lambda: 0.5), asked


def test_ids_that_the_list_lacks_are_asked_for_ten_at_once() -> None:
    """Each once: six hundred unknown ids of a monorepo take seconds."""
    server = make_server()
    meter, barrier = Meter(server, "GET"), threading.Barrier(AT_ONCE)
    meter.meet = lambda _: barrier.wait(PATIENCE_S)
    entry = server.store.upload(leaf(LEAVES[0]))
    ids = [EntryId(f"id-{number}") for number in range(2 * AT_ONCE - 1)]
    found = metered(server, meter).get_all([entry.id, *ids, *ids])
    assert found == {entry.id: entry, **dict.fromkeys(ids)}
    assert (meter.most, len(meter.order)) == (AT_ONCE, 2 * AT_ONCE)


def _wait(barrier: threading.Barrier, page: int) -> None:
    if page > 1:
        barrier.wait(PATIENCE_S)


def test_pages_after_the_first_are_read_ten_at_once() -> None:
    """Each of two barriers opens only for ten concurrent pages."""
    barrier = threading.Barrier(AT_ONCE)
    store, asked = long_list(lambda page: _wait(barrier, page))
    assert len(store.list_entries().entries) == LONG * 50
    assert sorted(asked) == list(range(1, LONG + 1))


def test_a_page_that_is_refused_ends_the_list() -> None:
    """Calls in progress may finish; no other page is requested."""
    barrier = threading.Barrier(AT_ONCE)
    store, asked = long_list(lambda page: _wait(barrier, page), frozenset(range(2, LONG + 1)))
    with pytest.raises(StoreError, match="10000"):
        store.list_entries()
    assert len(asked) == 1 + AT_ONCE


# --- interrupts -------------------------------------------------------------------------------------------------------

SECOND_BATCH = 1 + AT_ONCE + 1
"""The number of the change that starts when one of the first ten has ended."""


def interrupt_at(number: int, before: Callable[[], object]) -> Watch:
    """Ctrl-C as the number-th change starts, after `before`."""

    def on_start(count: int) -> None:
        if count == number:
            before()
            raise KeyboardInterrupt

    return Watch(on_start)


def test_an_interrupt_lets_end_what_is_on_its_way_and_tells_it() -> None:
    """Nine calls are sent and not answered; they finish, and the run knows their results. Nothing else starts."""
    server, interrupted = make_server(), threading.Event()
    all_sent = threading.Barrier(AT_ONCE)
    meter = Meter(server)

    def meet(number: int) -> None:
        if number > 2:
            all_sent.wait(PATIENCE_S)
            interrupted.wait(PATIENCE_S)

    def before() -> None:
        all_sent.wait(PATIENCE_S)
        interrupted.set()

    meter.meet = meet
    outcome = carry_out(uploads(), metered(server, meter), interrupt_at(SECOND_BATCH, before))
    assert outcome.interrupted
    assert statuses(outcome) == {
        StepStatus.DONE: 1 + AT_ONCE,
        StepStatus.UNFINISHED: 1,  # that was interrupted as it began
        StepStatus.NOT_STARTED: COUNT - 2 - AT_ONCE,
    }
    assert {step.entry for step in outcome.of(StepStatus.DONE)} == {e.id for e in server.store.list_entries().entries}
    assert len(meter.order) == 1 + AT_ONCE


def test_what_an_interrupted_run_waits_for_is_reported() -> None:
    """The changes whose calls are not answered yet, and how long it waits at most."""
    server, over = make_server(), threading.Event()
    all_sent = threading.Barrier(AT_ONCE)
    meter = Meter(server)
    told: list[tuple[int, float]] = []

    def meet(number: int) -> None:
        if number > 2:
            all_sent.wait(PATIENCE_S)
            over.wait(PATIENCE_S)

    def stopping(changes: Sequence[Change], seconds: float) -> None:
        told.append((len(changes), seconds))
        over.set()

    meter.meet = meet
    watch = interrupt_at(SECOND_BATCH, lambda: all_sent.wait(PATIENCE_S))
    outcome = carry_out(uploads(), metered(server, meter), watch, stopping=stopping)
    assert told == [(AT_ONCE - 1, run.PATIENCE_S)]
    assert len(outcome.of(StepStatus.DONE)) == 1 + AT_ONCE


def test_what_does_not_end_in_time_has_an_unknown_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the next run can find out whether it was done. A hanging thread does not delay the exit."""
    monkeypatch.setattr(run, "PATIENCE_S", 0.0)
    server, over = make_server(), threading.Event()
    all_sent = threading.Barrier(AT_ONCE)
    meter = Meter(server)

    def meet(number: int) -> None:
        if number > 2:
            all_sent.wait(PATIENCE_S)
            over.wait(PATIENCE_S)

    meter.meet = meet
    watch = interrupt_at(SECOND_BATCH, lambda: all_sent.wait(PATIENCE_S))
    outcome = carry_out(uploads(), metered(server, meter), watch)
    over.set()
    unfinished = len(watch.started_changes) - 2
    not_started = COUNT - len(watch.started_changes)
    assert statuses(outcome) == {
        StepStatus.DONE: 2,
        StepStatus.UNFINISHED: unfinished,
        StepStatus.NOT_STARTED: not_started,
    }
    assert all("in progress" in (step.note or "") for step in outcome.of(StepStatus.UNFINISHED))


@interruptible()
def test_an_interrupt_during_the_first_upload_lets_it_end() -> None:
    """It runs alone, and its result is known all the same."""
    server, over = make_server(), threading.Event()
    meter = Meter(server)

    def meet(_: int) -> None:
        interrupt_main()
        over.wait(PATIENCE_S)

    meter.meet = meet
    outcome = carry_out(uploads(), metered(server, meter), stopping=lambda *_: over.set())
    assert outcome.interrupted
    assert statuses(outcome) == {StepStatus.DONE: 1, StepStatus.NOT_STARTED: COUNT - 1}
    assert {step.entry for step in outcome.of(StepStatus.DONE)} == {e.id for e in server.store.list_entries().entries}


@interruptible()
def test_who_waits_for_the_rate_limit_gives_up_at_once() -> None:
    """Nothing was done for it, so it is not a failure; on Ctrl-C the run itself waits only for its calls."""
    server, waiting = make_server(), threading.Lock()
    server.fail("POST", lambda _, respond: respond(), *[limited("300")] * AT_ONCE)

    def tell(_: str) -> None:
        if waiting.acquire(blocking=False):
            interrupt_main()

    real = make_client(server.handle)
    time = replace(real._time, sleep=None)
    client = Client(ACCESS, time, tell=tell, transport=httpx.MockTransport(server.handle))
    outcome = carry_out(uploads(), CloudflareStore(client, ACCESS.certificates_path, lambda: 0.5))
    assert outcome.interrupted
    assert statuses(outcome) == {
        StepStatus.DONE: 1,
        StepStatus.UNFINISHED: AT_ONCE,
        StepStatus.NOT_STARTED: COUNT - 1 - AT_ONCE,
    }
    assert len(server.calls) <= 1 + AT_ONCE


@interruptible()
def test_a_list_that_hangs_keeps_nobody_from_ending() -> None:
    """Ten pages never arrive; Ctrl-C is raised at once, and nothing more starts."""
    over, all_sent = threading.Event(), threading.Barrier(AT_ONCE, interrupt_main)

    def meet(page: int) -> None:
        if page > 1:
            all_sent.wait(PATIENCE_S)
            over.wait(PATIENCE_S)

    store, asked = long_list(meet)
    with pytest.raises(KeyboardInterrupt):
        store.list_entries()
    over.set()
    assert len(asked) == 1 + AT_ONCE
    with pytest.raises(StoreClosed):
        store.get(EntryId("some-id"))


# --- reporting first --------------------------------------------------------------------------------------------------


def test_what_was_told_is_made_sure_of_before_anything_is_done() -> None:
    """Once for all changes that start together, not once for each: a sync takes longer than an upload."""
    server, watch = make_server(), Watch()
    told: list[tuple[int, int]] = []

    def settle() -> None:
        told.append((len(watch.started_changes), sum(call.startswith("POST") for call in server.calls)))

    carry_out(uploads(), make_store(server), watch, settle=settle)
    assert told[0] == (1, 0)
    assert all(begun > sent for begun, sent in told)
    assert len(told) < COUNT


def test_what_can_not_be_made_sure_of_is_not_done() -> None:
    """As on a full disk: no call is made, and each change says why."""
    server, watch = make_server(), Watch()

    def settle() -> None:
        raise FileError("the disk is full")

    outcome = carry_out(uploads(), make_store(server), watch, settle=settle)
    assert statuses(outcome) == {StepStatus.FAILED: COUNT}
    assert server.calls == []
    assert len(watch.steps) == COUNT


# --- retires ----------------------------------------------------------------------------------------------------------


@dataclass
class Old:
    """An account whose certificates are all to be deleted."""

    server: FakeCloudflare = field(default_factory=make_server)
    entries: list[Entry] = field(default_factory=list)

    def __post_init__(self) -> None:
        for number in range(1, COUNT + 1):
            bundle, key = issued(number).bundle, PrivateKey(issued(number).key_pem)
            name = f"payments.gone.{bundle.digest[:12]}"
            self.entries.append(self.server.store.upload(NewEntry(name, False, bundle, key)))

    @property
    def ids(self) -> list[EntryId]:
        return [entry.id for entry in self.entries]

    def plan(self) -> Plan:
        wanted = desired({}, policy=Policy(prune=True, max_deletes=100), store=StoreKind.CLOUDFLARE)
        world = actual(self.entries, live=replace(GONE, workers={}))
        later = MemoryClock().time.replace(year=2030)
        return make_plan(judge(wanted, world, later, PlanOptions(prune=True, allow_empty=True)))


def test_retires_go_side_by_side_each_read_and_looked_after_first() -> None:
    """The first alone, then ten at once: read, checked for uses, deleted."""
    old = Old()
    meter = Meter(old.server, "DELETE")
    barrier = threading.Barrier(AT_ONCE)
    meter.meet = all_but_the_first(barrier)
    outcome = carry_out(old.plan(), metered(old.server, meter), safe=old.ids)
    assert statuses(outcome) == {StepStatus.DONE: COUNT}
    assert meter.most == AT_ONCE
    for entry_id in old.ids:
        own = [call.replace(ACCESS.certificates_path, "") for call in old.server.calls if entry_id in call]
        assert own == [
            f"GET /client/v4/{entry_id}",
            f"GET /client/v4/{entry_id}/associations",
            f"DELETE /client/v4/{entry_id}",
        ]


@pytest.mark.parametrize(
    ("fail", "condition", "said"),
    [
        ([], Condition.IN_USE, "used by the service gateway (pending_deployment)"),
        ([lambda _, respond: respond(), refusing(403, 10000, "no")], Condition.LIVE_UNCHECKED, "so it is kept"),
    ],
    ids=["used", "not told"],
)
def test_what_is_used_or_may_be_used_is_kept(
    fail: list[Callable[..., httpx.Response]], condition: Condition, said: str
) -> None:
    """No DELETE is sent; it waits, which is not a failure."""
    old = Old()
    old.server.services[old.ids[0]] = ("gateway",)
    old.server.fail("GET", *fail)
    outcome = carry_out(old.plan(), make_store(old.server), safe=old.ids)
    kept = outcome.waiting[0]
    assert (kept.condition, kept.entry and kept.entry.id) == (condition, old.ids[0])
    assert said in outcome.waiting[0].detail
    assert statuses(outcome) == {StepStatus.DONE: COUNT - 1, StepStatus.WAITING: 1}
    assert outcome.exit_code == 0
    assert not any(call.startswith("DELETE") and old.ids[0] in call for call in old.server.calls)
