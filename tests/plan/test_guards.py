"""What a run must not do now: `protect`, freezes, and an mtls.toml that declares nothing. No digest depends on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from reconciler.desired.freezes import parse_freeze
from reconciler.findings.codes import Severity
from reconciler.findings.errors import StalePlanError
from reconciler.findings.exits import ExitCode
from reconciler.model import Action, Actual, Condition, DeclaredWorker, Desired, Policy, StoreKind, WranglerFile
from reconciler.model.freezes import Freeze
from reconciler.plan.approval import approve
from reconciler.plan.assess import judge
from reconciler.plan.assessment import PlanOptions
from reconciler.plan.guards import hold
from reconciler.plan.plan import Plan, make_plan
from reconciler.records.saved_plan import read_plan
from reconciler.reports.drift_look import make_drift
from reconciler.reports.forecast import make_forecast
from reconciler.views.table import Display, render
from tests.plan import test_dates, test_deploys
from tests.plan.test_retire_live import real
from tests.support.pki import NOW
from tests.support.worlds import actual, certificate, desired, entry, file, shown, uid, waits, worker

DAY = timedelta(days=1)
PRUNE = PlanOptions(prune=True)
WEEKEND = parse_freeze("2026-11-21", "2026-11-29", "Europe/Berlin", "audit")
"""Holds at NOW, 2026-11-23."""
BILLING = worker("checkout", {None: {"BILLING": "billing"}})
CURRENT = entry(2, 2, "@billing", age=8)
OLD = entry(1, 1, "@billing", age=30)
ORPHAN = entry(3, 3, "@ledger", age=30)


def bound(text: str = uid(2)) -> dict[str, WranglerFile]:
    return {"checkout": file({None: {"BILLING": text}})}


def guarded(
    wanted: Desired, there: Actual, ask: PlanOptions = PRUNE, *, refuses: bool = True, now: datetime = NOW
) -> Plan:
    """The plan for a run that a person applies; `refuses`: not by a schedule."""
    return hold(make_plan(judge(wanted, there, now, ask)), refuses=refuses)


def with_policy(wanted: Desired, **settings: object) -> Desired:
    policy = replace(wanted.declaration.policy, **settings)  # type: ignore[arg-type]
    return replace(wanted, declaration=replace(wanted.declaration, policy=policy))


def finding(plan: Plan, code: str) -> str:
    """The message and the hint of the one finding of a code."""
    (found,) = [one for one in plan.diagnostics if one.code == code]
    return f"{found.severity}: {found.message} | {found.hint}"


# --- protect ----------------------------------------------------------------------------------------------------------


def orphaned(**policy: object) -> tuple[Desired, Actual]:
    """`ledger` was removed from mtls.toml, which permits its deletion."""
    wanted = desired({"billing": 2}, [BILLING], policy=Policy(prune=True))
    return with_policy(wanted, **policy), actual([CURRENT, ORPHAN], bound())


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        pytest.param({}, False, id="nothing is protected"),
        pytest.param({"protect": ("ledger",)}, True, id="by its name"),
        pytest.param({"protect": ("billing", "led*")}, True, id="by a glob"),
        pytest.param({"always_protect": ("*",)}, True, id="by the operator"),
        pytest.param({"protect": ("ledge", "ledgers", "billing")}, False, id="not by another name"),
    ],
)
def test_a_protected_upload_is_kept_after_its_table_was_removed(policy: Mapping[str, object], kept: bool) -> None:
    """It is protected by the name in its mark, which no change of mtls.toml takes away."""
    plan = guarded(*orphaned(**policy))
    assert (shown(plan), waits(plan)) == (([], ["ledger protected"]) if kept else (["retire ledger orphaned"], []))


def test_a_refusal_of_protect_says_what_is_kept_and_how_to_delete_it() -> None:
    """With numbers, exact; a person gets 3, a schedule 0."""
    plan = guarded(*orphaned(protect=("l*",)))
    assert finding(plan, "protect") == (
        f"error: 1 old upload would be deleted now, but ledger is protected; kept: {uid(3)}"
        " | if they are no longer needed, run with `--override-protect ledger`"
    )
    assert plan.waiting[0].detail == (
        '`protect = ["l*"]` in `[policy]` protects ledger; to delete it all the same, run with'
        " `--override-protect ledger`"
    )
    by_schedule = guarded(*orphaned(protect=("l*",)), refuses=False)
    assert (plan.exit_code, by_schedule.exit_code) == (ExitCode.BLOCKED, ExitCode.OK)
    by_operator = guarded(*orphaned(always_protect=("*",)))
    assert by_operator.waiting[0].detail.startswith("the variable MTLSCTL_PROTECT protects ledger")


def test_an_override_names_the_protected_name_exactly() -> None:
    """A glob on the command line would be no second look."""
    for names, kept in ((("ledger",), False), (("l*",), True), (("*",), True), (("billing",), True), ((), True)):
        plan = guarded(*orphaned(protect=("l*",)), replace(PRUNE, unprotected=frozenset(names)))
        assert bool(plan.waiting) is kept


def test_an_upload_under_another_name_is_protected_by_both_names() -> None:
    """One of a former stack, and one that was handed over by `supersedes`: neither name is a way around the other."""
    wanted = desired(
        {"billing": 2},
        [BILLING],
        declared=[certificate("billing", supersedes=("old-billing", uid(4)))],
        policy=Policy(grace=timedelta(0)),
    )
    there = actual([CURRENT, entry(1, 1, "@old-billing", age=30), entry(4, 4, "by-hand", age=30)], bound())
    assert len(shown(guarded(wanted, there))) == 2
    for protect, kept in ((("billing",), 2), (("old-*",), 1), (("*",), 2)):
        plan = guarded(with_policy(wanted, protect=protect), there)
        assert waits(plan) == ["billing protected"] * kept
    ask = replace(PRUNE, unprotected=frozenset({"billing"}))
    left = guarded(with_policy(wanted, protect=("*billing",)), there, ask)
    assert [wait.detail.rpartition("run with ")[2] for wait in left.waiting] == ["`--override-protect old-billing`"]


def test_what_is_protected_takes_no_place_under_max_deletes() -> None:
    """Else ten protected uploads would keep every other one for ever."""
    others = [entry(10 + number, 10 + number, "@ledger", age=90 + number) for number in range(3)]
    wanted = with_policy(
        desired({"billing": 2}, [BILLING]), prune=True, max_deletes=1, protect=("ledger",), grace=timedelta(0)
    )
    plan = guarded(wanted, actual([CURRENT, OLD, *others], bound()))
    assert shown(plan) == ["retire billing superseded"]


# --- a share of what the stack has -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "uploads", "deleted"),
    [
        pytest.param(Policy(max_deletes=None, max_deletes_share=20), 4, 1, id="rounded up"),
        pytest.param(Policy(max_deletes=None, max_deletes_share=20), 5, 1, id="exactly"),
        pytest.param(Policy(max_deletes=None, max_deletes_share=20), 6, 2, id="a bit more"),
        pytest.param(Policy(max_deletes=None, max_deletes_share=100), 6, 5, id="everything that may go"),
        pytest.param(Policy(max_deletes=None, max_deletes_share=0), 6, 0, id="nothing"),
        pytest.param(Policy(max_deletes=1, max_deletes_share=50), 6, 1, id="the number is smaller"),
        pytest.param(Policy(max_deletes=9, max_deletes_share=50), 6, 3, id="the share is smaller"),
        pytest.param(Policy(most_deletes_share=30), 6, 2, id="the operator's share"),
        pytest.param(Policy(max_deletes_share=10, most_deletes_share=90), 6, 1, id="the file's, within the operator's"),
        pytest.param(Policy(max_deletes=None, max_deletes_share=50), 1, 0, id="only the current one"),
    ],
)
def test_one_run_deletes_a_share_of_what_the_stack_has(policy: Policy, uploads: int, deleted: int) -> None:
    """Of its own uploads, the current ones counted, and no others."""
    old = [entry(10 + number, 10 + number, "@billing", age=90 + number) for number in range(uploads - 1)]
    foreign = [entry(90 + number, 90 + number, "by-hand") for number in range(9)]
    wanted = desired({"billing": 2}, [BILLING], policy=policy)
    plan = guarded(wanted, actual([CURRENT, *old, *foreign], bound()))
    assert len(plan.changes) == deleted
    assert waits(plan) == ["billing max-deletes"] * (uploads - 1 - deleted)


def test_a_share_that_keeps_something_says_of_how_many() -> None:
    """Nobody has to count."""
    old = [entry(10 + number, 10 + number, "@billing", age=90 + number) for number in range(6)]
    wanted = desired({"billing": 2}, [BILLING], policy=Policy(max_deletes=None, max_deletes_share=20))
    plan = guarded(wanted, actual([CURRENT, *old], bound()))
    assert plan.waiting[0].detail == (
        "a run deletes at most 2, 20 % of the 7 uploads of this stack; allow more with `--allow-deletes N`"
    )


# --- nothing declared -------------------------------------------------------------------------------------------------


def emptied(workers: list[DeclaredWorker] | None = None) -> tuple[Desired, Actual]:
    """An mtls.toml that came back empty from a generator, of a stack that prunes."""
    there = actual([CURRENT, ORPHAN], {} if workers is None else bound())
    return desired({}, workers or [], policy=Policy(prune=True)), there


def test_an_empty_mtls_toml_deletes_nothing() -> None:
    """Every run says so, and how to go on; a schedule too, for it would be quiet for weeks."""
    for refuses in (True, False):
        plan = guarded(*emptied(), refuses=refuses)
        assert (shown(plan), waits(plan)) == ([], ["billing empty-mtls-toml", "ledger empty-mtls-toml"])
        assert plan.exit_code is ExitCode.BLOCKED
        assert finding(plan, "nothing-declared").startswith(
            "error: mtls.toml declares no certificate, so these are kept: 2 retires | if mtls.toml was emptied by"
        )
    allowed = guarded(*emptied(), replace(PRUNE, allow_empty=True))
    assert len(shown(allowed)) == 2


def test_an_mtls_toml_without_certificates_unbinds_nothing() -> None:
    """A binding that is removed breaks a Worker, before anything is deleted."""
    wanted, there = emptied([worker("checkout", {None: {}})])
    plan = guarded(wanted, there)
    assert shown(plan) == []
    assert waits(plan)[0] == "billing empty-mtls-toml"
    assert finding(plan, "nothing-declared").startswith(
        "error: mtls.toml declares no certificate, so these are kept: 1 unbind"
    )
    assert "unbind" in shown(guarded(wanted, there, replace(PRUNE, allow_empty=True)))[0]


def test_an_empty_list_of_uploads_deletes_nothing() -> None:
    """Whatever is declared: only what the list has can leave, and an ID that it lacks is not unbound."""
    for wanted in (emptied([worker("checkout", {None: {}})])[0], desired({"billing": 2}, [BILLING])):
        plan = guarded(wanted, actual([], bound()), replace(PRUNE, allow_empty=True))
        assert {one.action for one in plan.changes}.isdisjoint({Action.RETIRE, Action.UNBIND})


# --- freezes ----------------------------------------------------------------------------------------------------------


def renewed(*, ends_in: timedelta = 200 * DAY, freezes: tuple[Freeze, ...] = (WEEKEND,)) -> tuple[Desired, Actual]:
    """`billing` is renewed; what its binding uses ends after `ends_in`. An old upload could be deleted."""
    wanted = desired({"billing": 3, "ledger": 4}, [BILLING, worker("admin", {None: {"LEDGER": "ledger"}})])
    used = test_dates.stored(2, test_dates.chain(begin=NOW - 100 * DAY, end=NOW + ends_in), "@billing", age=60)
    files = {**bound(), "admin": file({None: {"LEDGER": uid(5)}}, path="workers/admin/wrangler.toml")}
    there = actual([used, entry(5, 5, "@ledger", age=60), entry(6, 6, "@gone", age=90)], files)
    return with_policy(wanted, freezes=freezes, prune=True), there


def test_nothing_is_changed_during_a_freeze() -> None:
    """No upload, no binding, no deletion; all of it waits for the same time."""
    plan = guarded(*renewed())
    assert plan.changes == ()
    frozen = [wait for wait in plan.waiting if wait.condition is Condition.FROZEN]
    assert {wait.change.action for wait in frozen} == {Action.UPLOAD, Action.REBIND, Action.RETIRE}
    assert plan.next == datetime.fromisoformat("2026-11-29T23:00:00+00:00")
    assert finding(plan, "freeze") == (
        "error: changes are frozen until 2026-11-30 00:00 Europe/Berlin, 2026-11-29 23:00 UTC (audit); kept back: 2"
        " uploads, 2 rebinds, 1 retire | wait until then; if a change can't wait, run `mtlsctl apply --override-freeze"
        " REASON`"
    )
    assert plan.waiting[0].detail == (
        "changes are frozen (audit); to make them now, run with `--override-freeze REASON`"
    )


def test_a_freeze_fails_a_person_and_not_a_schedule() -> None:
    """A pipeline that runs each night must not be red for two weeks, nor must a plan or a report."""
    assert guarded(*renewed()).exit_code is ExitCode.BLOCKED
    plan = guarded(*renewed(), refuses=False)
    assert plan.exit_code is ExitCode.OK
    assert finding(plan, "freeze").startswith("warning: ")
    assert plan.waiting


def test_a_freeze_without_a_change_says_nothing() -> None:
    """It is in nobody's way."""
    wanted = with_policy(desired({"billing": 2}, [BILLING]), freezes=(WEEKEND,))
    plan = guarded(wanted, actual([CURRENT], bound()))
    assert not {"freeze", "despite-freeze"} & {str(one.code) for one in plan.diagnostics}


def test_a_run_that_is_told_why_makes_all_changes_and_says_so() -> None:
    """Loudly: with the reason, in the outcome, too."""
    plan = guarded(*renewed(), replace(PRUNE, freeze_reason="CHG-1234, key leaked"))
    assert len(plan.changes) == 5
    assert finding(plan, "despite-freeze") == (
        "warning: changes are frozen until 2026-11-30 00:00 Europe/Berlin, 2026-11-29 23:00 UTC (audit), but this run"
        " makes them: 2 uploads, 2 rebinds, 1 retire; CHG-1234, key leaked | None"
    )
    assert plan.exit_code is ExitCode.OK


@pytest.mark.parametrize(
    ("ends_in", "passes"),
    [
        pytest.param(16 * DAY, False, id="within its lead of 30 days, not within half of it"),
        pytest.param(15 * DAY, True, id="within half of its lead"),
        pytest.param(DAY, True, id="soon"),
        pytest.param(-DAY, True, id="ended already"),
    ],
)
def test_a_certificate_that_ends_soon_passes_a_freeze(ends_in: timedelta, passes: bool) -> None:
    """Its upload and its binding, and nothing else; the warning says why. No deletion passes."""
    plan = guarded(*renewed(ends_in=ends_in))
    assert [line.split()[:2] for line in shown(plan)] == (
        [["upload", "billing"], ["rebind", "BILLING"]] if passes else []
    )
    despite = [one for one in plan.diagnostics if one.code == "despite-freeze"]
    assert [one.severity for one in despite] == [Severity.WARNING] * passes
    if passes:
        ends = NOW + ends_in
        assert despite[0].message == (
            "changes are made despite the freeze: what BILLING in workers/checkout/wrangler.toml (top level) uses ends"
            f" on {ends:%Y-%m-%d %H:%M} UTC, too soon to wait"
        )
        assert {str(wait.change.action) for wait in plan.waiting} == {"upload", "rebind", "retire"}
    assert plan.exit_code is ExitCode.BLOCKED


def test_a_new_certificate_is_not_urgent() -> None:
    """Only what is in use can end too soon."""
    wanted = with_policy(desired({"billing": 2}, [BILLING]), freezes=(WEEKEND,))
    plan = guarded(wanted, actual([], bound("TODO")))
    assert shown(plan) == []


def deployed(*, bound_ends: timedelta = 200 * DAY, live_ends: timedelta = 200 * DAY) -> tuple[Desired, Actual]:
    """A Worker whose both certificates are renewed, the file of which is behind, and what is live behind that."""
    ends = {1: bound_ends, 2: 200 * DAY, 3: live_ends}
    entries = [
        replace(
            test_dates.stored(
                number, test_dates.chain(begin=NOW - 100 * DAY, end=NOW + end), f"@{name}", age=60 - number
            ),
            id=real(number),
        )
        for (number, end), name in zip(ends.items(), ("billing", "ledger", "ledger"), strict=True)
    ]
    files = {"checkout": test_deploys.named({"BILLING": real(1), "LEDGER": real(2)})}
    wanted = desired(
        {"billing": 5, "ledger": 6, "other": 7},
        [worker("checkout", {None: {"BILLING": "billing", "LEDGER": "ledger"}})],
        policy=Policy(freezes=(WEEKEND,)),
        store=StoreKind.CLOUDFLARE,
    )
    store = replace(wanted.declaration.store, account_id="a" * 32)
    live = test_deploys.serves({"BILLING": real(1), "LEDGER": real(3)})
    return replace(wanted, declaration=replace(wanted.declaration, store=store)), actual(entries, files, live=live)


DEPLOY = PlanOptions(deploy=test_deploys.ASKED)


def test_no_worker_is_deployed_during_a_freeze() -> None:
    """What was approved is the same deploy."""
    wanted, there = deployed()
    plan = guarded(wanted, there, DEPLOY)
    assert plan.changes == ()
    assert [str(wait.condition) for wait in plan.waiting if wait.change.action is Action.DEPLOY] == ["frozen"]
    assert plan.digest == guarded(with_policy(wanted, freezes=()), there, DEPLOY).digest


@pytest.mark.parametrize(
    ("ends", "why"),
    [
        pytest.param(
            {"bound_ends": DAY},
            "what BILLING in workers/checkout/wrangler.toml",
            id="in the file",
        ),
        pytest.param({"live_ends": DAY}, "what shop uses live ends", id="in the live version alone"),
    ],
)
def test_a_deploy_that_cannot_wait_takes_its_whole_worker_along(ends: Mapping[str, timedelta], why: str) -> None:
    """Wrangler deploys a Worker as a whole, so it would be another deploy than the approved one; each is named."""
    wanted, there = deployed(**ends)
    plan = guarded(wanted, there, DEPLOY)
    assert [line.split()[:2] for line in shown(plan)] == [
        ["upload", "billing"],
        ["upload", "ledger"],
        ["rebind", "BILLING"],
        ["rebind", "LEDGER"],
        ["deploy", "None"],
    ]
    assert [wait for wait in waits(plan) if "frozen" in wait] == ["other frozen"]
    texts = [one.message for one in plan.diagnostics if one.code == "despite-freeze"]
    assert any(why in text for text in texts)
    assert any("deployed together with others" in text for text in texts)
    assert plan.digest == guarded(with_policy(wanted, freezes=()), there, DEPLOY).digest


def test_a_binding_by_id_passes_if_what_it_uses_ends_soon() -> None:
    """It is managed elsewhere, and the outage is here."""
    used = test_dates.stored(2, test_dates.chain(begin=NOW - 100 * DAY, end=NOW + DAY), "by-hand")
    wanted = desired({}, [worker("checkout", {None: {"BILLING": f"id:{uid(3)}"}})], policy=Policy(freezes=(WEEKEND,)))
    plan = guarded(wanted, actual([used, entry(3, 3, "by-hand-2")], bound()))
    assert [line.split()[:2] for line in shown(plan)] == [["rebind", "BILLING"]]
    assert "too soon to wait" in finding(plan, "despite-freeze")


def test_a_removed_binding_passes_no_freeze() -> None:
    """Whatever it used ends soon."""
    used = test_dates.stored(2, test_dates.chain(begin=NOW - 100 * DAY, end=NOW + DAY), "@billing", age=60)
    wanted = desired({"billing": 3}, [worker("checkout", {None: {}})], policy=Policy(freezes=(WEEKEND,)))
    plan = guarded(wanted, actual([used], bound()))
    assert "unbind" not in {str(one.action) for one in plan.changes}


# --- reports ----------------------------------------------------------------------------------------------------------


def test_drift_is_the_same_during_a_freeze() -> None:
    """An alarm that is quiet over a freeze, and comes back after it, would be another alarm."""
    wanted, there = renewed()
    during, free = (make_drift(guarded(one, there, refuses=False)) for one in (wanted, with_policy(wanted, freezes=())))
    assert [one.key for one in during.findings if one.subject != "entry"] == [
        one.key for one in free.findings if one.subject != "entry"
    ]
    assert during.exit_code == free.exit_code == ExitCode.CHANGES


def test_a_forecast_makes_what_is_frozen_at_the_end_of_the_freeze() -> None:
    """Else it would count old uploads to the end, which the next run deletes."""
    wanted, there = renewed()
    during, free = (guarded(one, there, refuses=False) for one in (wanted, with_policy(wanted, freezes=())))
    thaw = datetime.fromisoformat("2026-11-29T23:00:00+00:00")
    events = {}
    for name, plan in (("during", during), ("free", free)):
        steps = make_forecast(plan, 120).steps
        events[name] = {(str(one.event), one.certificate): one.at for one in steps if one.at < NOW + 20 * DAY}
    assert events["during"].keys() == events["free"].keys()
    assert set(events["during"].values()) == {thaw, thaw + 7 * DAY}  # then the grace period begins


# --- the digest, and saved plans --------------------------------------------------------------------------------------


def saved(plan: Plan) -> bytes:
    return render(plan, "json", Display()).encode()


WORLDS = {
    "a renewal": renewed(),
    "one that ends soon": renewed(ends_in=DAY),
    "a removed certificate": orphaned(),
    "an empty file": emptied([worker("checkout", {None: {}})]),
}


@pytest.mark.parametrize("name", WORLDS)
def test_no_guard_rail_changes_the_digest(name: str) -> None:
    """What was approved before a freeze is what is applied after it, and the other way round."""
    wanted, there = WORLDS[name]
    free = guarded(with_policy(wanted, freezes=()), there, replace(PRUNE, allow_empty=True))
    assert free.changes
    for policy in ({"freezes": (WEEKEND,)}, {"protect": ("*",)}, {"freezes": (WEEKEND,), "always_protect": ("*",)}):
        for ask in (
            PRUNE,
            replace(PRUNE, allow_empty=True),
            replace(PRUNE, freeze_reason="x"),
            replace(PRUNE, unprotected=frozenset({"ledger"})),
        ):
            plan = guarded(with_policy(wanted, **policy), there, ask)
            assert plan.digest == free.digest
            assert read_plan(saved(plan), "plan.json").digest == free.digest


def test_a_plan_that_was_saved_during_a_freeze_can_be_applied_after_it() -> None:
    """Who approved it saw every change, and until when it waits."""
    wanted, there = renewed()
    before = read_plan(saved(guarded(wanted, there, refuses=False)), "plan.json")
    assert before.changes == ()
    for later in (guarded(with_policy(wanted, freezes=()), there), make_plan(judge(wanted, there, NOW, PRUNE))):
        assert len(hold(approve(later, before), refuses=True).changes) in {5, 0}
    assert len(approve(make_plan(judge(with_policy(wanted, freezes=()), there, NOW, PRUNE)), before).changes) == 5


def test_a_plan_that_was_saved_before_a_freeze_is_held_by_it() -> None:
    """The guard rails hold when `apply` acts, whoever approved what."""
    wanted, there = renewed(ends_in=DAY)
    before = read_plan(saved(guarded(with_policy(wanted, freezes=()), there)), "plan.json")
    found = make_plan(judge(wanted, there, NOW, PRUNE))
    plan = hold(approve(found, before), refuses=True)
    assert [line.split()[:2] for line in shown(plan)] == [["upload", "billing"], ["rebind", "BILLING"]]
    assert plan.exit_code is ExitCode.BLOCKED


@pytest.mark.parametrize(
    ("policy", "unprotected", "deleted"),
    [
        pytest.param({"protect": ("ledger",)}, (), False, id="still protected"),
        pytest.param({"protect": ("ledger",)}, ("ledger",), True, id="overridden by this run"),
        pytest.param({}, (), False, id="the line was removed since"),
        pytest.param({}, ("ledger",), True, id="removed, and overridden by this run"),
    ],
)
def test_what_a_saved_plan_protects_is_deleted_only_by_an_override(
    policy: Mapping[str, object], unprotected: tuple[str, ...], deleted: bool
) -> None:
    """Who approved the plan saw that it is kept, so a line less in mtls.toml is not enough."""
    before = read_plan(saved(guarded(*orphaned(protect=("ledger",)))), "plan.json")
    ask = replace(PRUNE, unprotected=frozenset(unprotected))
    wanted, there = orphaned(**policy)
    plan = hold(approve(make_plan(judge(wanted, there, NOW, ask)), before), refuses=True)
    assert [line.split()[0] for line in shown(plan)] == ["retire"] * deleted


def test_a_saved_plan_that_deletes_is_held_by_protect() -> None:
    """The override of the run that made it is not that of the run that acts."""
    ask = replace(PRUNE, unprotected=frozenset({"ledger"}))
    before = read_plan(saved(guarded(*orphaned(protect=("ledger",)), ask)), "plan.json")
    assert len(before.changes) == 1
    wanted, there = orphaned(protect=("ledger",))
    plan = hold(approve(make_plan(judge(wanted, there, NOW, PRUNE)), before), refuses=True)
    assert (shown(plan), plan.exit_code) == ([], ExitCode.BLOCKED)


def test_a_freeze_is_no_way_to_slip_a_change_into_a_saved_plan() -> None:
    """A change that the plan does not have is stale, whether it is frozen or not."""
    wanted, there = renewed()
    before = read_plan(saved(guarded(*orphaned())), "plan.json")
    with pytest.raises(StalePlanError):
        approve(make_plan(judge(wanted, there, NOW, PRUNE)), before)
