"""Hyperdrive configurations as users of certificates: what is updated, what waits, and what their use keeps."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.desired.freezes import parse_freeze
from reconciler.findings.codes import Severity
from reconciler.model import (
    CertificateName,
    Condition,
    DeclaredHyperdrive,
    Desired,
    Entry,
    EntryId,
    HyperdriveConfig,
    Hyperdrives,
    Policy,
    Retire,
    StoreKind,
    Update,
    Waiting,
)
from reconciler.plan.approval import approve
from reconciler.plan.assess import judge
from reconciler.plan.assessment import PlanOptions
from reconciler.plan.guards import hold
from reconciler.plan.live import NOBODY, DeployChoice
from reconciler.plan.plan import Plan, Selection, make_plan
from reconciler.records.saved_plan import read_plan
from reconciler.views.table import Display, render
from tests.support.pki import DAY, NOW
from tests.support.reports import place
from tests.support.worlds import actual, certificate, desired, entry, file, uid, worker

ASKED = DeployChoice(everybody=True)
DB = "6f2c1a5f0e7b4a0f9d1b7c3e5a8d2f41"


def uses(leaf: int | None = None, ca: int | None = None, mode: str | None = None, **more: object) -> HyperdriveConfig:
    """The configuration as it was read, with the IDs of these entries."""
    mtls: dict[str, object] = dict(more)
    mtls |= {} if leaf is None else {"mtls_certificate_id": uid(leaf)}
    mtls |= {} if ca is None else {"ca_certificate_id": uid(ca)}
    mtls |= {} if mode is None else {"sslmode": mode}
    return HyperdriveConfig(DB, "warehouse", mtls)


def declared(config: str = "warehouse", **fields: str) -> DeclaredHyperdrive:
    """`[hyperdrive.db]`."""
    return DeclaredHyperdrive("db", config, **fields)  # type: ignore[arg-type]


def plan_of(
    contents: Mapping[str, int],
    hyperdrives: Sequence[DeclaredHyperdrive],
    entries: Sequence[Entry],
    configs: Sequence[HyperdriveConfig] | Hyperdrives,
    *,
    choice: DeployChoice = ASKED,
    only: tuple[str, ...] = (),
    policy: Policy | None = None,
    cas: tuple[str, ...] = ("root",),
) -> Plan:
    """The plan of a run that was asked to update, unless `choice` says else."""
    made = desired(contents, declared=[certificate(name, ca=True, key=None) for name in cas], policy=policy)
    wanted = Desired(replace(made.declaration, hyperdrives=tuple(hyperdrives)), made.bundles)
    found = configs if isinstance(configs, Hyperdrives) else Hyperdrives(tuple(configs))
    seen = replace(actual(entries), hyperdrives=found)
    return make_plan(judge(wanted, seen, NOW, PlanOptions(deploy=choice, prune=True)), Selection(only))


def updates(plan: Plan) -> list[tuple[str, str | None, str | None]]:
    """The updates: field, before and after."""
    changes = [change for change in plan.changes if isinstance(change, Update)]
    return [(change.at.place[2], change.before, change.after) for change in changes]


def waits(plan: Plan) -> list[tuple[str, str]]:
    """What waits: its action and the condition."""
    return waits_of(plan.waiting)


def waits_of(waiting: Iterable[Waiting]) -> list[tuple[str, str]]:
    """The same, of any plan."""
    return [(str(one.change.action), str(one.condition)) for one in waiting]


OLD, NEW = entry(1, 1, "@billing", age=60), entry(2, 2, "@billing", age=30)


def test_a_configuration_with_an_old_certificate_gets_the_current_one() -> None:
    """By the content of the declared file, as a binding does; the rest of it is not in the change."""
    plan = plan_of({"billing": 2}, [declared(certificate="billing")], [OLD, NEW], [uses(1)])
    assert updates(plan) == [("certificate", uid(1), uid(2))]
    (change,) = [one for one in plan.changes if isinstance(one, Update)]
    assert (change.at.place[1], change.at.label, [*change.reasons]) == (DB, "db", ["content-changed"])


def test_a_configuration_that_uses_an_upload_of_another_stack_is_a_warning() -> None:
    """Two stacks would switch it back and forth."""
    theirs = entry(1, 1, "@billing", stack="ledger")
    plan = plan_of({"billing": 2}, [declared(certificate="billing")], [theirs, NEW], [uses(1)])
    (problem,) = plan.diagnostics
    assert (problem.severity, str(problem.code)) == (Severity.WARNING, "hyperdrive-declared-twice")
    assert f"is {uid(1)}, which the stack 'ledger' uploaded, and not 'billing'" in problem.message
    assert updates(plan) == [("certificate", uid(1), uid(2))]


@pytest.mark.parametrize("config", ["warehouse", DB])
def test_a_configuration_is_found_by_its_id_or_name(config: str) -> None:
    """The ID counts first."""
    plan = plan_of({"billing": 2}, [declared(config, certificate="billing")], [NEW], [uses()])
    assert updates(plan) == [("certificate", None, uid(2))]


def test_what_is_not_declared_is_not_changed() -> None:
    """Neither the CA nor the mode, whatever they are."""
    plan = plan_of({"billing": 2}, [declared(certificate="billing")], [NEW], [uses(2, 7, "verify-full")])
    assert (plan.changes, plan.waiting, plan.diagnostics) == ((), (), ())


def test_each_declared_field_has_its_change() -> None:
    """The mode as well; those of one configuration are together."""
    root = entry(3, 3, "@root", ca=True)
    fields = {"certificate": "billing", "ca": "root", "sslmode": "verify-full"}
    plan = plan_of({"billing": 2, "root": 3}, [declared(**fields)], [NEW, root], [uses(mode="require")])
    assert updates(plan) == [
        ("ca", None, uid(3)),
        ("certificate", None, uid(2)),
        ("sslmode", "require", "verify-full"),
    ]


def test_without_being_asked_an_update_waits_and_nothing_else_changes() -> None:
    """It takes effect at once, so only `--deploy` makes it; it is no change and no error."""
    plan = plan_of({"billing": 2}, [declared(certificate="billing")], [NEW], [uses()], choice=DeployChoice())
    assert (plan.changes, waits(plan)) == ((), [("update", "update-not-requested")])
    assert plan.exit_code == 0


@pytest.mark.parametrize(
    ("choice", "is_made"),
    [
        (DeployChoice(everybody=True), True),
        (DeployChoice(allowed=True), True),
        (DeployChoice(hyperdrives=frozenset({DB})), True),
        (DeployChoice(hyperdrives=frozenset({"other"})), False),
        (DeployChoice(), False),
        (NOBODY, False),
    ],
    ids=["--deploy", "the operator", "approved", "another one approved", "not asked", "not about deploys"],
)
def test_an_update_is_asked_for_like_a_deploy(choice: DeployChoice, is_made: bool) -> None:
    """By the option, by the operator's variable, or by a saved plan that has it."""
    plan = plan_of({"billing": 2}, [declared(certificate="billing")], [NEW], [uses()], choice=choice)
    assert bool(plan.changes) is is_made


def test_an_update_that_needs_an_upload_comes_after_it() -> None:
    """Its ID is known then."""
    plan = plan_of({"billing": 2}, [declared(certificate="billing")], [OLD], [uses(1)])
    assert [change.action for change in plan.changes] == ["upload", "update"]
    assert updates(plan) == [("certificate", uid(1), None)]


def test_an_old_certificate_is_kept_until_its_configuration_has_moved() -> None:
    """Its grace is over, and no binding has it."""
    policy = Policy(grace=timedelta(0))
    told = plan_of({"billing": 2}, [declared(certificate="billing")], [OLD, NEW], [uses(1)], policy=policy)
    assert waits(told) == [("retire", "bindings-pending")]
    assert "the client certificate of the Hyperdrive configuration db" in told.waiting[0].detail
    moved = plan_of({"billing": 2}, [declared(certificate="billing")], [OLD, NEW], [uses(2)], policy=policy)
    assert [change.action for change in moved.changes] == ["retire"]


def test_what_a_configuration_uses_is_kept_whatever_is_declared() -> None:
    """It was declared to use another certificate, and the run may prune."""
    policy = Policy(grace=timedelta(0), prune=True)
    gone = entry(4, 4, "@gone", age=60)
    plan = plan_of({"billing": 2}, [declared(sslmode="require")], [gone, NEW], [uses(4, mode="require")], policy=policy)
    assert waits(plan) == [("retire", "used-elsewhere")]
    assert plan.waiting[0].detail == "it is used by the Hyperdrive configuration warehouse"


def test_a_certificate_that_both_share_is_kept_until_both_have_moved() -> None:
    """In each of the four states of a binding and a configuration; only where both have moved, it is retired."""
    made = desired({"billing": 2}, [worker(tables={None: {"B": "billing"}})], policy=Policy(grace=timedelta(0)))
    wanted = Desired(replace(made.declaration, hyperdrives=(declared(certificate="billing"),)), made.bundles)
    for bound in (1, 2):
        for used in (1, 2):
            seen = actual([OLD, NEW], {"checkout": file({None: {"B": uid(bound)}})})
            seen = replace(seen, hyperdrives=Hyperdrives((uses(used),)))
            plan = make_plan(judge(wanted, seen, NOW, PlanOptions(deploy=ASKED)))
            retires = [change for change in plan.changes if isinstance(change, Retire)]
            assert bool(retires) is (bound == used == 2)


@pytest.mark.parametrize(
    ("hyperdrives", "configs", "code"),
    [
        ([declared("other", certificate="billing")], [uses(1)], "hyperdrive-not-found"),
        ([declared(certificate="billing")], [uses(1), replace(uses(1), id="0" * 32)], "hyperdrive-ambiguous"),
        (
            [declared(certificate="billing"), replace(declared(DB, sslmode="require"), label="two")],
            [uses(1)],
            "hyperdrive-declared-twice",
        ),
        ([declared(certificate="billing")], Hyperdrives(unread=("no answer", "try later")), "hyperdrive-unread"),
    ],
)
def test_a_configuration_that_is_not_one_holds_its_own_changes_alone(
    hyperdrives: list[DeclaredHyperdrive], configs: list[HyperdriveConfig] | Hyperdrives, code: str
) -> None:
    """The upload of its certificate goes on, and the old one is kept."""
    plan = plan_of({"billing": 2}, hyperdrives, [OLD], configs, policy=Policy(grace=timedelta(0)))
    assert [change.action for change in plan.changes] == ["upload"]
    assert code in {one.code for one in plan.diagnostics if one.is_error}
    after = plan_of({"billing": 2}, hyperdrives, [OLD, NEW], configs, policy=Policy(grace=timedelta(0)))
    assert (after.changes, waits(after)) == ((), [("retire", "bindings-pending")])


def test_a_mode_that_needs_a_ca_waits_for_it() -> None:
    """A configuration that checks the database without its CA would lose it."""
    fields = {"ca": "root", "sslmode": "verify-full"}
    made = desired({"root": None}, declared=[certificate("root", ca=True, key=None)])
    wanted = Desired(replace(made.declaration, hyperdrives=(declared(**fields),)), made.bundles)
    seen = replace(actual([]), hyperdrives=Hyperdrives((uses(mode="require"),)))
    plan = make_plan(judge(wanted, seen, NOW, PlanOptions(deploy=ASKED)))
    assert plan.changes == ()


def test_only_limits_the_updates() -> None:
    """The mode goes with the CA."""
    root = entry(3, 3, "@root", ca=True)
    fields = {"certificate": "billing", "ca": "root", "sslmode": "verify-full"}
    for only, expected in (("billing", ["certificate"]), ("root", ["ca", "sslmode"])):
        plan = plan_of({"billing": 2, "root": 3}, [declared(**fields)], [NEW, root], [uses()], only=(only,))
        assert [field for field, _, _ in updates(plan)] == expected


def test_an_approved_update_is_not_made_over_another_change() -> None:
    """Someone set another certificate since: that is another change, and the plan is stale."""
    saved = plan_of({"billing": 2}, [declared(certificate="billing")], [OLD, NEW], [uses(1)])
    same = plan_of({"billing": 2}, [declared(certificate="billing")], [OLD, NEW], [uses(1)])
    assert approve(same, saved).changes == same.changes
    other = plan_of({"billing": 2}, [declared(certificate="billing")], [OLD, NEW], [uses()])
    with pytest.raises(Exception, match="update the client certificate of the Hyperdrive configuration db"):
        approve(other, saved)


def test_offline_nothing_is_known() -> None:
    """And nothing is claimed."""
    made = desired({"billing": 2})
    wanted = Desired(replace(made.declaration, hyperdrives=(declared(certificate="billing"),)), made.bundles)
    plan = make_plan(judge(wanted, actual(None), NOW, PlanOptions(deploy=ASKED)))
    assert updates(plan) == []
    assert waits(plan) == []


def test_what_is_in_use_counts_for_the_due_date() -> None:
    """The configuration still uses the older one."""
    plan = plan_of({"billing": 2}, [declared(certificate="billing")], [OLD, NEW], [uses(1)])
    row = plan.assessment.by_name[CertificateName("billing")]
    assert row.due is not None
    assert row.due.not_after == OLD.window(NOW).ends


def test_a_change_is_refused_once_its_certificate_has_ended() -> None:
    """Nothing moves to what has ended, as with bindings."""
    made = desired({"billing": 2})
    wanted = Desired(replace(made.declaration, hyperdrives=(declared(certificate="billing"),)), made.bundles)
    seen = replace(actual([OLD, NEW]), hyperdrives=Hyperdrives((uses(1),)))
    plan = make_plan(judge(wanted, seen, NOW + 400 * DAY, PlanOptions(deploy=ASKED)))
    assert updates(plan) == []
    assert "certificate-expired" in {one.code for one in plan.diagnostics}


def test_the_store_of_this_machine_keeps_what_its_configurations_use() -> None:
    """As an account does."""
    assert not StoreKind.LOCAL.traits.has_live_workers
    assert Condition.USED_ELSEWHERE in {
        one.condition
        for one in plan_of(
            {"billing": 2},
            [declared(sslmode="require")],
            [OLD, NEW],
            [uses(1, mode="require")],
            policy=Policy(grace=timedelta(0)),
        ).waiting
    }
    assert EntryId(uid(1)) == OLD.id


def test_a_freeze_holds_an_update_unless_what_is_in_use_ends_soon() -> None:
    """As with a binding; the reason is told."""
    begin, end = NOW - DAY, NOW + DAY
    freeze = Policy(freezes=(parse_freeze(f"{begin:%Y-%m-%d}", f"{end:%Y-%m-%d}", "UTC", None),))
    plan = plan_of({"billing": 2}, [declared(certificate="billing")], [OLD, NEW], [uses(1)], policy=freeze)
    held = hold(plan, refuses=False)
    assert (held.changes, waits(held)[0]) == ((), ("update", "frozen"))
    assert held.digest == plan.digest
    late = NOW + 330 * DAY
    freeze = Policy(freezes=(parse_freeze(f"{late - DAY:%Y-%m-%d}", f"{late + DAY:%Y-%m-%d}", "UTC", None),))
    made = desired({"billing": 2}, policy=freeze)
    wanted = Desired(replace(made.declaration, hyperdrives=(declared(certificate="billing"),)), made.bundles)
    seen = replace(actual([OLD, NEW]), hyperdrives=Hyperdrives((uses(1),)))
    urgent = hold(make_plan(judge(wanted, seen, late, PlanOptions(deploy=ASKED))), refuses=False)
    assert [change.action for change in urgent.changes] == ["update"]
    assert "despite-freeze" in {one.code for one in urgent.diagnostics}


@pytest.mark.parametrize("format_", ["text", "json", "markdown", "html", "terraform"])
def test_every_format_of_a_plan_shows_an_update(format_: str) -> None:
    """What changes, and what waits."""
    root = entry(3, 3, "@root", ca=True)
    fields = {"certificate": "billing", "ca": "root", "sslmode": "verify-full"}
    for choice in (ASKED, DeployChoice()):
        plan = plan_of({"billing": 2, "root": 3}, [declared(**fields)], [OLD, NEW, root], [uses(1)], choice=choice)
        shown = render(plan, format_, Display(place))
        if format_ == "terraform":
            assert json.loads(shown)["update"] == (3 if choice is ASKED else 0)
        elif format_ == "json":
            assert "hyperdrive" in shown
        else:
            assert "sslmode" in shown
            assert "verify-full" in shown


def test_an_update_is_read_back_from_a_saved_plan() -> None:
    """Changes and what waits, with the same digest and hash."""
    for choice in (ASKED, DeployChoice()):
        plan = plan_of({"billing": 2}, [declared(certificate="billing")], [OLD, NEW], [uses(1)], choice=choice)
        saved = read_plan(render(plan, "json", Display(place)).encode(), "plan.json")
        assert saved.digest == plan.digest
        known = [(one.at, one.before, one.after) for one in saved.intent if isinstance(one, Update)]
        assert known == [(one.at, one.before, one.after) for one in plan.intent if isinstance(one, Update)]
        assert waits_of(saved.waiting) == waits_of(plan.waiting)
