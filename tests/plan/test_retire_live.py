"""The retire gate: each condition alone keeps an entry of an account, and nothing but all of them lets it go."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from reconciler.model import (
    Actual,
    CertificateName,
    Condition,
    Entry,
    EntryId,
    Live,
    LiveVersion,
    LiveWorker,
    Policy,
    StoreKind,
    Sweep,
    User,
    UserKind,
    WranglerFile,
)
from reconciler.plan.plan import Plan
from tests.support.worlds import CONFIG, actual, certificate, desired, entry, file, plan_of, waits, worker

GRACE = timedelta(days=7)


def real(number: int) -> EntryId:
    """An id of an account."""
    return EntryId(f"{number:08x}-0000-4000-8000-000000000000")


NEW = replace(entry(1, 1, "@billing", age=20), id=real(1))
OLD = replace(entry(2, 2, "@billing", age=40), id=real(2))
SHOP = LiveWorker("shop", (LiveVersion("v1", {"BILLING": real(1)}, 100.0),))
GONE = Live(workers={"shop": SHOP}, whole=True)
"""What lets OLD go: the only Worker is found and serves with NEW."""


def wrangler(binding: EntryId = NEW.id, *, script: str | None = "shop") -> WranglerFile:
    return file({None: {"BILLING": binding}}, script=None) if script is None else _named(binding, script)


def _named(binding: EntryId, script: str) -> WranglerFile:
    made = file({None: {"BILLING": binding}})
    top = replace(made.environments[None], script=script)
    return replace(made, environments={None: top}, worker_name=script)


@dataclass(frozen=True)
class Gate:
    """A world in which OLD may go, but for what a row changes."""

    name: str
    condition: Condition | None
    live: Live | None = field(default_factory=lambda: GONE)
    entries: tuple[Entry, ...] = (NEW, OLD)
    declared_id: EntryId | None = None
    found: WranglerFile = field(default_factory=wrangler)
    sweep: Sweep | None = field(default_factory=Sweep)
    stable: bool = True
    grace: timedelta = GRACE
    undeployed: bool = False
    unreadable: bool = False
    rebinding: bool = False
    rollback_versions: int = 1

    def plan(self) -> Plan:
        tables = {"BILLING": "billing"} | ({"OTHER": f"id:{self.declared_id}"} if self.declared_id else {})
        undeployed = frozenset({None}) if self.undeployed else frozenset()
        wanted = desired(
            {"billing": 1, **({"other": None} if self.unreadable else {})},
            [worker(tables={None: tables}, undeployed=undeployed)],
            declared=[certificate("billing")],
            policy=Policy(grace=self.grace, rollback_versions=self.rollback_versions),
            store=StoreKind.CLOUDFLARE,
        )
        there = actual(self.entries, {"checkout": self.found}, sweep=self.sweep, stable=self.stable, live=self.live)
        return plan_of(wanted, there)


def with_live(**workers: LiveWorker | None) -> Live:
    return replace(GONE, workers={"shop": SHOP, **workers})


def serving(version: str, share: float | None, entry_id: EntryId) -> LiveWorker:
    return LiveWorker("other", (LiveVersion(version, {"ANY": entry_id}, share),))


GATES = [
    Gate("everything holds", None),
    Gate("a serving version presents it", Condition.PRESENTED_LIVE, with_live(other=serving("v7", 100, OLD.id))),
    Gate(
        "a version with 1 % of the traffic presents it",
        Condition.PRESENTED_LIVE,
        with_live(other=serving("v7", 1, OLD.id)),
    ),
    Gate(
        "a version with 0 % of the newest deployment presents it",
        Condition.PRESENTED_LIVE,
        with_live(other=serving("v7", 0, OLD.id)),
    ),
    Gate(
        "a version that one may go back to presents it",
        Condition.ROLLBACK_REACH,
        with_live(other=serving("v6", None, OLD.id)),
    ),
    Gate(
        "a Hyperdrive configuration uses it",
        Condition.USED_ELSEWHERE,
        replace(GONE, users={OLD.id: (User(UserKind.HYPERDRIVE, "db"),)}),
    ),
    Gate(
        "a Worker could not be looked at",
        Condition.LIVE_UNCHECKED,
        replace(GONE, unread={"other": "the token may not"}),
    ),
    Gate("only declared Workers were looked at", Condition.LIVE_UNCHECKED, replace(GONE, whole=False)),
    Gate("nothing live was looked at", Condition.LIVE_UNCHECKED, None),
    Gate("its declared Worker is not found", Condition.NOT_DEPLOYED, replace(GONE, workers={"shop": None})),
    Gate("its declared Worker was not asked about", Condition.NOT_DEPLOYED, replace(GONE, workers={})),
    Gate("its declared Worker is said not to be live", None, replace(GONE, workers={"shop": None}), undeployed=True),
    Gate(
        "its declared Worker is said not to be live, and serves with it",
        Condition.PRESENTED_LIVE,
        with_live(shop=serving("v1", 100, OLD.id)),
        undeployed=True,
    ),
    Gate("the wrangler file gives its Worker no name", Condition.NOT_DEPLOYED, found=wrangler(script=None)),
    Gate("another entry is presented everywhere", None, with_live(other=serving("v7", 100, real(9)))),
    Gate("a binding in the file has it", Condition.BINDINGS_PENDING, found=wrangler(OLD.id)),
    Gate("mtls.toml names it by id", Condition.DECLARED_BY_ID, declared_id=OLD.id),
    Gate(
        "some file of the tree names it", Condition.NAMED_IN_FILE, sweep=Sweep(mentions={OLD.id: ("b/wrangler.toml",)})
    ),
    Gate("some file of the tree can't be read", Condition.UNCHECKED, sweep=Sweep(unread=("b/wrangler.toml",))),
    Gate("the tree was not looked through", Condition.UNCHECKED, sweep=None),
    Gate("the list moved while it was read", Condition.LISTING_UNSTABLE, stable=False),
    Gate("its grace is not over", Condition.GRACE, grace=timedelta(days=21)),
    Gate("its successor is not stored", Condition.SUCCESSOR_MISSING, entries=(OLD,)),
    Gate("a certificate file that may declare it can't be read", Condition.CONTENT_UNKNOWN, unreadable=True),
    Gate(
        "it was uploaded after its successor",
        None,
        entries=(NEW, replace(OLD, uploaded_on=entry(3, 3, age=1).uploaded_on)),
    ),
    Gate(
        "it is of another stack", None, entries=(NEW, replace(entry(2, 2, "@billing", age=40, stack="x"), id=real(2)))
    ),
]


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.name)
def test_one_condition_alone_keeps_an_entry(gate: Gate) -> None:
    """Each row takes one thing away from a world in which the entry may go."""
    plan = gate.plan()
    retired = [change.certificate for change in plan.changes if change.action == "retire"]
    if gate.condition is not None:
        assert retired == []
        assert waits(plan) == [f"billing {gate.condition}"]
    elif gate.name.startswith("it "):  # not ours to retire: it is newer, or somebody else's
        assert retired == []
        assert waits(plan) == []
    else:
        assert retired == [CertificateName("billing")]
        assert waits(plan) == []


def test_every_condition_of_the_live_world_has_a_row() -> None:
    """None is without a test."""
    from reconciler.plan.retire_live import LIVE_CHECKS

    assert {condition for condition, _ in LIVE_CHECKS} <= {gate.condition for gate in GATES}


def test_what_is_live_says_who_presents_it() -> None:
    """A person must be able to go there."""
    other = serving("v7", 12.5, OLD.id)
    for more, told in ({}, ""), ({"third": replace(other, script="third")}, ", and by 1 more Worker"):
        plan = Gate("x", None, with_live(other=other, **more)).plan()
        assert plan.waiting[0].detail == f"it is used by version v7 of other (12.5 % of the traffic){told}"


@pytest.mark.parametrize(
    ("files", "detail"),
    [
        ({"A": OLD.id, "B": NEW.id}, "A in {} (top level) must get the ID of its successor first"),
        ({"A": OLD.id}, "A in {} (top level) and 1 more binding of billing must get the ID of its successor first"),
        (
            None,
            (
                "A in {} (top level) and 1 more binding of billing could not be checked, because its wrangler file"
                " could not be read"
            ),
        ),
    ],
    ids=["one", "several", "its file could not be read"],
)
def test_a_binding_that_still_needs_the_successor_is_named(files: dict[str, str] | None, detail: str) -> None:
    """So that nobody has to search for it."""
    wanted = desired(
        {"billing": 1}, [worker(tables={None: {"A": "billing", "B": "billing"}})], store=StoreKind.CLOUDFLARE
    )
    there = actual([NEW, OLD], {} if files is None else {"checkout": file({None: files})})
    (waiting,) = [one for one in plan_of(wanted, there).waiting if one.condition is Condition.BINDINGS_PENDING]
    assert waiting.detail == detail.format(CONFIG)


def test_an_unread_worker_says_why() -> None:
    """The missing permission is in the words."""
    plan = Gate("x", None, replace(GONE, unread={"other": "no right (give it)", "b": "?"})).plan()
    assert plan.waiting[0].detail == ("other and 1 more could not be checked, and might use it: no right (give it)")


def test_the_embedded_store_has_no_live_workers_to_wait_for() -> None:
    """Its ids can't be live."""
    wanted = desired({"billing": 1}, [worker(tables={None: {"BILLING": "billing"}})])
    there: Actual = actual(
        [entry(1, 1, "@billing", age=20), entry(2, 2, "@billing", age=40)],
        {"checkout": file({None: {"BILLING": entry(1, 1).id}})},
    )
    assert [change.action for change in plan_of(wanted, there).changes] == ["retire"]
