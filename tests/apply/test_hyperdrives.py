"""Updates of Hyperdrive configurations: all of one or nothing of it, and never over what someone else changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from reconciler.apply import World, apply_plan
from reconciler.model import (
    Change,
    DeclaredHyperdrive,
    Desired,
    EntryId,
    HyperdriveConfig,
    Hyperdrives,
    Phase,
    StoreSettings,
)
from reconciler.model.errors import StoreError, StoreRefused
from reconciler.model.ports import NewEntry, PrivateKey
from reconciler.plan.assess import judge
from reconciler.plan.assessment import PlanOptions
from reconciler.plan.live import DeployChoice
from reconciler.plan.outcome import Outcome, Step, StepStatus
from reconciler.plan.plan import make_plan
from reconciler.stores.local import LocalStore
from tests.apply.test_at_once import Through
from tests.support.interrupts import interrupt_main, interruptible
from tests.support.memory import MemoryClock, MemoryFiles, MemoryKeys, NoDeployer, NoProver, open_in_memory
from tests.support.pki import NOW
from tests.support.worlds import actual, bundle, certificate, desired, issued

LEAF, MODE = "mtls_certificate_id", "sslmode"
Trouble = Callable[[HyperdriveConfig, Mapping[str, object]], HyperdriveConfig]


@dataclass
class Troubled(Through):
    """A store whose update, or whose first read, a test changes."""

    trouble: Trouble | None = None
    before_reading: Callable[[], object] = lambda: None
    updates: int = 0

    def hyperdrive(self, config: str) -> HyperdriveConfig | None:
        self.before_reading()
        return self.store.hyperdrive(config)

    def update_hyperdrive(self, before: HyperdriveConfig, mtls: Mapping[str, object]) -> HyperdriveConfig:
        self.updates += 1
        return self.trouble(before, mtls) if self.trouble is not None else super().update_hyperdrive(before, mtls)


@dataclass
class Watch:
    """What started."""

    started_changes: list[Change] = field(default_factory=list)

    def started(self, change: Change) -> None:
        self.started_changes.append(change)

    def finished(self, step: Step) -> None:
        assert step.change in self.started_changes


@dataclass
class Scene:
    """One declared configuration whose certificate is stored: two changes, of the certificate and the mode."""

    store: LocalStore
    wanted: Desired
    entry: EntryId
    late: timedelta = timedelta()

    @property
    def mtls(self) -> Mapping[str, object]:
        return self.store.hyperdrive("db").mtls

    def now(self) -> datetime:
        return NOW + self.late

    def apply(
        self,
        store: Troubled,
        phases: Iterable[Phase] = tuple(Phase),
        *,
        meanwhile: Callable[[], object] = lambda: None,
        stopping: Callable[[], None] = lambda: None,
    ) -> Outcome:
        listing = self.store.list_entries()
        seen = Hyperdrives(self.store.hyperdrives(("db",)))
        there = replace(actual([]), listing=listing, hyperdrives=seen)
        plan = make_plan(judge(self.wanted, there, NOW, PlanOptions(deploy=DeployChoice(everybody=True))))
        meanwhile()
        world = World(
            store=store,
            files=MemoryFiles({}),
            keys={"env": MemoryKeys({"KEY": issued(1).key_pem})},
            observer=Watch(),
            still_safe=lambda _: frozenset(),
            deployer=NoDeployer,
            prover=NoProver(),
            now=self.now,
            stopping=lambda *_: stopping(),
        )
        return apply_plan(plan, self.wanted, world, tuple(phases))


def scene(*, stored: bool = True) -> Scene:
    clock = MemoryClock(NOW - timedelta(days=9))
    store = open_in_memory(StoreSettings(), clock=clock)
    entry = EntryId("")
    if stored:
        key = PrivateKey(issued(1).key_pem)
        entry = store.upload(NewEntry("payments.billing." + bundle(1).digest[:12], False, bundle(1), key)).id
    store.update_hyperdrive(store.hyperdrive("db"), {"later": "kept", MODE: "require"})
    made = desired({"billing": 1}, declared=[certificate("billing")])
    declared = DeclaredHyperdrive("db", "db", certificate("billing").name, None, "verify-full")
    return Scene(store, Desired(replace(made.declaration, hyperdrives=(declared,)), made.bundles), entry)


def told(outcome: Outcome) -> list[tuple[str, str | None]]:
    """How each update ended, and the code of its error."""
    steps = [step for step in outcome.steps if step.change.phase is Phase.UPDATE]
    return [(str(step.status), str(step.problem.code) if step.problem else None) for step in steps]


def test_all_changes_of_a_configuration_are_one_call() -> None:
    """What is not declared is sent back as it was read."""
    made = scene()
    store = Troubled(made.store)
    assert told(made.apply(store)) == [("done", None), ("done", None)]
    assert (store.updates, made.mtls) == (1, {"later": "kept", MODE: "verify-full", LEAF: made.entry})


@interruptible()
def test_an_interrupt_during_an_update_lets_it_end() -> None:
    """Its result is known."""
    made, over = scene(), threading.Event()

    class AtOnce(Troubled):
        at_once = 2

    def slow(before: HyperdriveConfig, mtls: Mapping[str, object]) -> HyperdriveConfig:
        interrupt_main()
        over.wait(20)
        return made.store.update_hyperdrive(before, mtls)

    outcome = made.apply(AtOnce(made.store, trouble=slow), stopping=over.set)
    assert (outcome.interrupted, told(outcome)) == (True, [("done", None), ("done", None)])


@pytest.mark.parametrize("by_hand", [{LEAF: "other", MODE: "require"}, {MODE: "verify-ca"}])
def test_what_changed_since_the_plan_is_not_overwritten(by_hand: dict[str, str]) -> None:
    """Neither of the two fields is written, whichever changed."""
    made = scene()
    store = Troubled(made.store)

    def meanwhile() -> None:
        values = {key: made.entry if value == "other" else value for key, value in by_hand.items()}
        made.store.update_hyperdrive(made.store.hyperdrive("db"), values)

    outcome = made.apply(store, meanwhile=meanwhile)
    assert told(outcome) == [("failed", "hyperdrive-changed")] * 2
    assert store.updates == 0


def test_what_changed_of_the_rest_since_the_plan_stays() -> None:
    """It is read again just before."""
    made = scene()
    changed = {"later": "other", MODE: "require"}
    outcome = made.apply(
        Troubled(made.store),
        meanwhile=lambda: made.store.update_hyperdrive(made.store.hyperdrive("db"), changed),
    )
    assert told(outcome) == [("done", None)] * 2
    assert made.mtls["later"] == "other"


def test_an_update_that_was_made_and_answered_by_an_error_is_done() -> None:
    """The configuration is read again; the note says so."""
    made = scene()

    def trouble(before: HyperdriveConfig, mtls: Mapping[str, object]) -> HyperdriveConfig:
        made.store.update_hyperdrive(before, mtls)
        raise StoreRefused("it is late", number=1, hint=None)

    outcome = made.apply(Troubled(made.store, trouble))
    assert told(outcome) == [("done", None)] * 2
    assert all("the configuration has the new values" in (step.note or "") for step in outcome.of(StepStatus.DONE))


def test_an_update_that_was_not_made_has_its_error() -> None:
    """Of both changes."""
    made = scene()

    def trouble(before: HyperdriveConfig, mtls: Mapping[str, object]) -> HyperdriveConfig:
        raise StoreError("no answer")

    assert told(made.apply(Troubled(made.store, trouble))) == [("failed", "store")] * 2
    assert made.mtls == {"later": "kept", MODE: "require"}


def test_an_answer_without_the_new_values_is_not_believed() -> None:
    """Nor is it done, where the configuration does not have them."""
    made = scene()
    outcome = made.apply(Troubled(made.store, lambda before, _: before))
    assert told(outcome) == [("failed", "hyperdrive-changed")] * 2


def test_without_the_upload_nothing_of_a_configuration_is_updated() -> None:
    """Not its mode either; the phase of the upload was not asked for."""
    made = scene(stored=False)
    store = Troubled(made.store)
    outcome = made.apply(store, [Phase.UPDATE])
    assert told(outcome) == [("not-started", None)] * 2
    assert (store.updates, outcome.exit_code) == (0, 3)


def test_the_upload_of_the_same_run_is_used() -> None:
    """Its ID is known only then."""
    made = scene(stored=False)
    assert told(made.apply(Troubled(made.store))) == [("done", None)] * 2
    (entry,) = made.store.list_entries().entries
    assert made.mtls[LEAF] == entry.id


def test_a_certificate_that_ended_during_the_run_is_not_used() -> None:
    """A person may have thought about the plan for long."""
    made = scene()
    made.late = timedelta(days=400)
    assert told(made.apply(Troubled(made.store))) == [("failed", "certificate-expired")] * 2
