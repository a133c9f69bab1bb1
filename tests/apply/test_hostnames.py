"""Hostnames that get a CA: added to the list that the plan saw, which is read again before and after, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from reconciler.apply import World, apply_plan
from reconciler.model import (
    CaList,
    CertificateName,
    DeclaredZone,
    Desired,
    EntryId,
    FoundZone,
    Phase,
    StoreSettings,
)
from reconciler.model.errors import StoreError, StoreRefused
from reconciler.model.ports import NewEntry
from reconciler.plan.assess import judge
from reconciler.plan.assessment import PlanOptions
from reconciler.plan.live import DeployChoice
from reconciler.plan.outcome import Outcome
from reconciler.plan.plan import make_plan
from reconciler.stores.local import LocalStore
from tests.apply.test_at_once import Through
from tests.apply.test_hyperdrives import Watch, told
from tests.support.memory import MemoryClock, MemoryFiles, NoDeployer, NoProver, open_in_memory
from tests.support.pki import NOW
from tests.support.worlds import actual, ca_bundle, certificate, desired

ZONE, ROOT = "example.com", CertificateName("root")
API, PAY, OWN = "api.example.com", "pay.example.com", "own.example.com"
Trouble = Callable[[CaList, Sequence[str]], None]


@dataclass
class Troubled(Through):
    """A store whose addition a test changes; `after`: what happens then, before the list is read again."""

    trouble: Trouble | None = None
    after: Callable[[], object] = lambda: None
    before_reading: Callable[[], object] = lambda: None
    added: int = 0

    def ca_lists(self, zone: str, cas: Iterable[EntryId]) -> tuple[CaList, ...]:
        self.before_reading()
        return super().ca_lists(zone, cas)

    def add_hostnames(self, before: CaList, names: Sequence[str]) -> None:
        self.added += 1
        if self.trouble is not None:
            self.trouble(before, names)
        else:
            super().add_hostnames(before, names)
        self.after()


@dataclass
class Scene:
    """Two hostnames are to trust a CA that one other hostname trusts, where it is uploaded."""

    store: LocalStore
    wanted: Desired
    ca: EntryId | None
    late: timedelta = timedelta()

    @property
    def names(self) -> tuple[str, ...]:
        cas = [entry.id for entry in self.store.list_entries().entries]
        return self.store.ca_lists(ZONE, cas)[0].names if cas else ()

    def add(self, *names: str) -> None:
        """Somebody else lets more hostnames trust it."""
        if self.ca is not None:
            self.store.add_hostnames(CaList(ZONE, self.ca, self.names), names)

    def now(self) -> datetime:
        return NOW + self.late

    def apply(
        self, store: Troubled, phases: Iterable[Phase] = tuple(Phase), *, meanwhile: Callable[[], object] = lambda: None
    ) -> Outcome:
        lists = self.store.ca_lists(ZONE, [self.ca] if self.ca is not None else [])
        there = replace(actual([]), listing=self.store.list_entries(), zones=(FoundZone(ZONE, (ZONE,), lists),))
        plan = make_plan(judge(self.wanted, there, NOW, PlanOptions(deploy=DeployChoice(everybody=True))))
        meanwhile()
        world = World(
            store=store,
            files=MemoryFiles({}),
            keys={},
            observer=Watch(),
            still_safe=lambda _: frozenset(),
            deployer=NoDeployer,
            prover=NoProver(),
            now=self.now,
        )
        return apply_plan(plan, self.wanted, world, tuple(phases))


def scene(*, stored: bool = True) -> Scene:
    store = open_in_memory(StoreSettings(), clock=MemoryClock(NOW - timedelta(days=9)))
    made = desired({"root": 1}, declared=[certificate("root", ca=True, key=None)])
    wanted = Desired(replace(made.declaration, zones=(DeclaredZone(ZONE, {ROOT: (API, PAY)}),)), {ROOT: ca_bundle(1)})
    if not stored:
        return Scene(store, wanted, None)
    new = NewEntry("payments.root." + ca_bundle(1).digest[:12], True, ca_bundle(1))
    found = Scene(store, wanted, store.upload(new).id)
    found.add(OWN)
    return found


def test_the_list_gets_the_new_hostnames_behind_its_own() -> None:
    """By one replacement."""
    made = scene()
    store = Troubled(made.store)
    assert told(made.apply(store)) == [("done", None)]
    assert (store.added, made.names) == (1, (OWN, API, PAY))


def test_a_list_that_changed_since_the_plan_is_not_replaced() -> None:
    """The error has both lists."""
    made = scene()
    store = Troubled(made.store)
    outcome = made.apply(store, meanwhile=lambda: made.add("new.example.com"))
    assert (told(outcome), store.added) == ([("failed", "hostnames-changed")], 0)
    (step,) = outcome.steps
    assert step.problem is not None
    assert step.problem.message == (
        "the list of root in the zone example.com was changed during this run, so nothing is added: the plan saw"
        " [own.example.com], found [own.example.com, new.example.com]"
    )


def test_a_list_that_is_not_as_it_should_be_after_the_update_is_an_error() -> None:
    """With both lists, though nothing can be compared while it is replaced."""
    made = scene()
    outcome = made.apply(Troubled(made.store, after=lambda: made.add("new.example.com")))
    assert told(outcome) == [("failed", "hostnames-changed")]
    problem = outcome.steps[0].problem
    assert problem is not None
    assert problem.message.endswith(
        "expected [own.example.com, api.example.com, pay.example.com],"
        " found [own.example.com, api.example.com, pay.example.com, new.example.com]"
    )


@pytest.mark.parametrize("error", [StoreError("no answer"), StoreRefused("late", number=1)])
def test_an_update_that_was_made_and_answered_by_an_error_is_done(error: StoreError) -> None:
    """The list is read again; the note says so."""
    made = scene()

    def trouble(before: CaList, names: Sequence[str]) -> None:
        made.store.add_hostnames(before, names)
        raise error

    outcome = made.apply(Troubled(made.store, trouble))
    assert told(outcome) == [("done", None)]
    assert "but its list has these hostnames" in (outcome.steps[0].note or "")


def test_an_update_that_was_not_made_has_its_error() -> None:
    """And the list stays."""
    made = scene()

    def trouble(_: CaList, __: Sequence[str]) -> None:
        raise StoreError("no answer")

    assert told(made.apply(Troubled(made.store, trouble))) == [("failed", "store")]
    assert made.names == (OWN,)


def test_an_answer_is_not_believed_without_the_list() -> None:
    """It is read, whatever the call said."""
    made = scene()
    assert told(made.apply(Troubled(made.store, lambda _, __: None))) == [("failed", "hostnames-changed")]


def test_a_list_that_can_not_be_read_after_the_update_is_no_success() -> None:
    """The next run finds what was added."""
    made = scene()

    def fail() -> None:
        raise StoreError("no answer")

    store = Troubled(made.store)
    store.after = lambda: setattr(store, "before_reading", fail)
    assert told(made.apply(store)) == [("failed", "store")]
    assert made.names == (OWN, API, PAY)


def test_without_the_upload_nothing_is_added() -> None:
    """There is no ID for the call; the phase of the upload was not asked for."""
    made = scene(stored=False)
    store = Troubled(made.store)
    outcome = made.apply(store, [Phase.UPDATE])
    assert (told(outcome), store.added, outcome.exit_code) == ([("not-started", None)], 0, 3)


def test_the_upload_of_the_same_run_is_used() -> None:
    """Its ID is known only then."""
    made = scene(stored=False)
    assert told(made.apply(Troubled(made.store))) == [("done", None)]
    assert made.names == (API, PAY)


def test_a_ca_that_ended_during_the_run_gets_no_hostname() -> None:
    """A person may have thought about the plan for long."""
    made = scene()
    made.late = timedelta(days=4000)
    assert told(made.apply(Troubled(made.store))) == [("failed", "certificate-expired")]
