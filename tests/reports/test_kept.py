"""Since when an old entry is kept, and what would end that: every condition that may last for years."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.model import Condition, EntryId, Live, LiveVersion, LiveWorker, Sweep, User, UserKind
from reconciler.model.live import PAGES
from reconciler.reports.explain import explain
from reconciler.reports.kept import KeptEntry, find_kept
from reconciler.reports.status import make_status
from reconciler.views.json.explain import explain_document
from reconciler.views.json.status import status_document
from reconciler.views.text.explain import render_explanation
from reconciler.views.text.status import render_status
from reconciler.views.text.style import PLAIN
from tests.plan.test_retire_live import GONE, NEW, OLD, SHOP, Gate, wrangler
from tests.support.worlds import CONFIG, days_ago

DB = User(UserKind.HYPERDRIVE, "db", "db")
DEPLOYED = days_ago(300)
SINCE = days_ago(13)
"""NEW was uploaded 20 days ago, and its grace was 7 days."""
COMMAND = f"`wrangler deploy --config {CONFIG} --env=`"
ONCE_MORE = ", then deploy it once more with wrangler (`rollback_versions = 1`)"


def version(entry: EntryId, share: float | None = 100.0, ago: int | None = 0) -> LiveVersion:
    """A version with one binding, of a deployment of 300 days ago."""
    return LiveVersion("v7", {"BILLING": entry}, share, ago, None if ago is None else DEPLOYED)


USED = version(OLD.id)


def before(ago: int | None) -> LiveVersion:
    """A version that used OLD so many deployments ago."""
    return version(OLD.id, None, ago)


def live(**workers: LiveVersion | tuple[LiveVersion, ...]) -> Live:
    """The account with these Workers, and with `shop`, the declared one, which uses NEW unless it is given."""
    found = {name: LiveWorker(name, one if isinstance(one, tuple) else (one,)) for name, one in workers.items()}
    return replace(GONE, workers={"shop": SHOP, **found})


def pages(name: str = "site") -> Live:
    """A Pages project of which nothing tells the deployments."""
    project = LiveWorker(f"{PAGES}{name}/production", (replace(version(OLD.id, ago=None), id="production"),))
    return replace(GONE, workers={"shop": SHOP, project.script: project})


ROWS = [
    Gate("a declared Worker", Condition.PRESENTED_LIVE, live(shop=USED)),
    Gate("one of another tree", Condition.PRESENTED_LIVE, live(other=USED)),
    Gate("both", Condition.PRESENTED_LIVE, live(shop=USED, other=USED)),
    Gate("five", Condition.PRESENTED_LIVE, live(a=USED, b=USED, c=USED, d=USED, e=USED)),
    Gate("no rollback is wanted", Condition.PRESENTED_LIVE, live(shop=USED), rollback_versions=0),
    Gate("rollbacks go far", Condition.PRESENTED_LIVE, live(shop=USED), rollback_versions=3),
    Gate(
        "a gradual deployment",
        Condition.PRESENTED_LIVE,
        live(shop=(replace(USED, share=10.0), replace(version(NEW.id, 90.0), id="v8"))),
    ),
    Gate(
        "a gradual deployment of which both versions use it",
        Condition.PRESENTED_LIVE,
        live(shop=(replace(USED, share=10.0), replace(USED, share=90.0, id="v8"))),
    ),
    Gate("four", Condition.PRESENTED_LIVE, live(a=USED, b=USED, c=USED, d=USED), rollback_versions=0),
    Gate("a declared Pages project", Condition.PRESENTED_LIVE, pages("shop"), found=replace(wrangler(), pages=True)),
    Gate("declared as not deployed", Condition.PRESENTED_LIVE, live(shop=USED), undeployed=True),
    Gate("a Pages project", Condition.PRESENTED_LIVE, pages()),
    Gate("the deployment before", Condition.ROLLBACK_REACH, live(shop=(version(NEW.id), before(1)))),
    Gate("one of another tree before", Condition.ROLLBACK_REACH, live(other=(version(NEW.id), before(1)))),
    Gate("the nearest of two", Condition.ROLLBACK_REACH, live(a=before(3), b=before(2)), rollback_versions=3),
    Gate("what was never deployed", Condition.ROLLBACK_REACH, live(other=before(None))),
    Gate("a file", Condition.NAMED_IN_FILE, sweep=Sweep(mentions={OLD.id: ("b/wrangler.toml", "c.json")})),
    Gate("a file that can't be read", Condition.UNCHECKED, sweep=Sweep(unread=("b/wrangler.toml",))),
    Gate("Hyperdrive", Condition.USED_ELSEWHERE, replace(GONE, users={OLD.id: (DB,)})),
    Gate("a Worker that is not found", Condition.NOT_DEPLOYED, replace(GONE, workers={"shop": None})),
]
HINTS = {
    "a declared Worker": f"deploy shop (`mtlsctl apply --deploy`){ONCE_MORE}",
    "one of another tree": f"deploy other with another certificate{ONCE_MORE}",
    "both": "deploy shop (`mtlsctl apply --deploy`) and deploy other with another certificate,"
    " then deploy them once more with wrangler (`rollback_versions = 1`)",
    "five": "deploy a, b, c and 2 more Workers with another certificate,"
    " then deploy them once more with wrangler (`rollback_versions = 1`)",
    "no rollback is wanted": "deploy shop (`mtlsctl apply --deploy`)",
    "rollbacks go far": "deploy shop (`mtlsctl apply --deploy`), then deploy it 3 more times with wrangler"
    " (`rollback_versions = 3`)",
    "a gradual deployment": f"finish the gradual deployment of shop{ONCE_MORE}",
    "a gradual deployment of which both versions use it": "finish the gradual deployment of shop"
    f" and deploy shop (`mtlsctl apply --deploy`){ONCE_MORE}",
    "four": "deploy a, b, c and d with another certificate",
    "a declared Pages project": "deploy the Pages project shop (production)",
    "declared as not deployed": f"deploy shop ({COMMAND}){ONCE_MORE}",
    "a Pages project": "deploy the Pages project site (production) with another certificate",
    "the deployment before": f"deploy shop once more ({COMMAND}), or set `rollback_versions = 0` in `[policy]`",
    "one of another tree before": "deploy other once more, or set `rollback_versions = 0` in `[policy]`",
    "the nearest of two": "deploy a and b 2 more times, or set `rollback_versions = 1` in `[policy]`",
    "what was never deployed": "deploy other with another certificate",
    "a file": "remove its ID from b/wrangler.toml, c.json",
    "a file that can't be read": "make that file readable, or remove it",
    "Hyperdrive": "let the Hyperdrive configuration db use another certificate",
    "a Worker that is not found": None,
}


def kept(gate: Gate) -> KeptEntry:
    """What waits in a world: one entry, for the condition of the row."""
    (found,) = find_kept(gate.plan())
    assert found.waiting.condition is gate.condition
    return found


@pytest.mark.parametrize("gate", ROWS, ids=lambda gate: gate.name)
def test_what_may_keep_an_entry_for_years_says_since_when_and_what_would_end_it(gate: Gate) -> None:
    """Since its grace was over; and one thing that a person can do."""
    assert (kept(gate).since, kept(gate).hint) == (SINCE, HINTS[gate.name])


@pytest.mark.parametrize(
    "gate",
    [
        Gate("its grace is not over", Condition.GRACE, grace=timedelta(days=21)),
        Gate("its successor is not stored", Condition.SUCCESSOR_MISSING, entries=(OLD,)),
    ],
    ids=lambda gate: gate.name,
)
def test_what_waits_for_its_grace_is_not_kept_for_anything_else(gate: Gate) -> None:
    """It ends by itself."""
    assert (kept(gate).since, kept(gate).hint) == (None, None)


def test_every_version_that_keeps_an_entry_is_listed_with_its_worker() -> None:
    """Those that are live; a rollback matters only where none is."""
    found = kept(Gate("", Condition.PRESENTED_LIVE, live(shop=USED, other=USED, third=before(1))))
    assert [(one.use.worker.script, one.site.worker if one.site else None) for one in found.live] == [
        ("shop", "checkout"),
        ("other", None),
    ]


def test_status_says_it_in_one_sentence_and_in_json() -> None:
    """An entry that is kept for a Worker of another tree, too."""
    plan = Gate("", None, live(shop=USED, other=USED)).plan()
    text = render_status(make_status(plan), PLAIN)
    assert (
        f"  kept       {OLD.id} (old): it is used by version v7 of shop (100 % of the traffic, deployed on"
        f" {DEPLOYED:%Y-%m-%d}), and by 1 more Worker\n"
        f"             kept since {SINCE:%Y-%m-%d}, when its grace period ended; to have it deleted,"
        f" {HINTS['both']}\n"
    ) in text
    (waits,) = status_document(make_status(plan), lambda _: None).certificates[0].waiting
    assert (waits.since, waits.hint) == (SINCE, HINTS["both"])
    assert waits.live is not None
    assert [one.model_dump(exclude_none=True) for one in waits.live] == [
        {
            "script": "shop",
            "version": "v7",
            "share": 100,
            "deployments_ago": 0,
            "deployed_on": DEPLOYED,
            "worker": "checkout",
            "config": CONFIG,
        },
        {"script": "other", "version": "v7", "share": 100, "deployments_ago": 0, "deployed_on": DEPLOYED},
    ]


def test_status_has_it_for_an_entry_without_a_certificate_as_well() -> None:
    """Its certificate was removed from mtls.toml, and its grace ended after its own upload."""
    orphan = replace(OLD, name=OLD.name.replace("billing", "former"))
    text = render_status(make_status(Gate("", None, entries=(NEW, orphan)).plan()), PLAIN)
    assert "\nformer (removed from mtls.toml)\n" in text
    assert f"\n             kept since {days_ago(33):%Y-%m-%d}, when its grace period ended\n" in text


def test_explain_says_it_with_the_condition_that_does_not_hold() -> None:
    """By the name of the certificate, and by the id."""
    plan = Gate("", None, live(shop=USED)).plan()
    for name in ("billing", OLD.id):
        told = explain(name, plan)
        text = render_explanation(told, PLAIN)
        assert f"                kept since {SINCE:%Y-%m-%d}, when its grace period ended\n" in text
        assert f"to have it deleted, {HINTS['a declared Worker']}; for a leaked key, run" in text
        (entry,) = explain_document(told, lambda _: None).entries
        assert entry.since == SINCE
        assert {one.condition: one.hint for one in entry.conditions or () if one.hint} == {
            Condition.PRESENTED_LIVE: f"{HINTS['a declared Worker']}; for a leaked key, run"
            " `mtlsctl retire billing --now --ignore-rollback` after the first deploy"
        }


def test_what_can_be_deleted_now_is_not_kept() -> None:
    """`explain` of an entry that the next apply deletes."""
    (entry,) = explain(OLD.id, Gate("", None).plan()).entries
    assert (entry.what, entry.since) == ("would be retired", None)
