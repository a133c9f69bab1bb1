"""What protects from removing too much at once: what only a run may order, the limits of one run, and the warnings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.findings.codes import Severity
from reconciler.findings.exits import ExitCode
from reconciler.model import DeclaredWorker, Gate, Policy, WranglerFile
from reconciler.plan.plan import Plan, exit_code_of, make_plan
from tests.plan import test_deploys
from tests.plan.test_retire_live import NEW as LIVE_NEW
from tests.plan.test_retire_live import OLD as LIVE_OLD
from tests.support.pki import NOW, make_ca
from tests.support.worlds import (
    actual,
    certificate,
    codes,
    desired,
    entry,
    file,
    plan_of,
    shown,
    uid,
    waits,
    worker,
)

PRUNE = Policy(prune=True)
BILLING = worker("checkout", {None: {"BILLING": "billing"}})
CURRENT = entry(2, 2, "@billing", age=8)
OLD = entry(1, 1, "@billing", age=30)
ORPHAN = entry(3, 3, "@ledger", age=30)


def bound(**more: str) -> dict[str, WranglerFile]:
    return {"checkout": file({None: {"BILLING": uid(2), **more}})}


def details(plan: Plan) -> str:
    return "\n".join(wait.detail for wait in plan.waiting)


# --- what only a run may order ----------------------------------------------------------------------------------------


def test_a_removed_certificate_is_deleted_only_by_a_run_that_is_told_to() -> None:
    """`prune = true` is a permission: one commit must not both remove a certificate and order its deletion."""
    wanted, there = desired({"billing": 2}, [BILLING], policy=PRUNE), actual([CURRENT, ORPHAN], bound())
    plan = plan_of(wanted, there, told=False)
    assert (shown(plan), waits(plan)) == ([], ["ledger prune-not-requested"])
    assert "to delete it, run `mtlsctl apply --prune`" in details(plan)
    assert shown(plan_of(wanted, there)) == ["retire ledger orphaned"]


def test_a_run_that_is_told_to_prune_needs_the_permission_of_the_file() -> None:
    """Both are needed; the sentence names both."""
    wanted, there = desired({"billing": 2}, [BILLING]), actual([CURRENT, ORPHAN], bound())
    for told, said in (
        (False, "set `prune = true` in `[policy]` and run `mtlsctl apply --prune`"),
        (True, "mtls.toml, which does not permit its deletion: set `prune = true` in `[policy]`, too"),
    ):
        plan = plan_of(wanted, there, told=told)
        assert (shown(plan), waits(plan)) == ([], ["ledger prune-off"])
        assert said in details(plan)


def test_an_order_that_would_come_too_early_is_advised_for_later() -> None:
    """During the grace period the option would do nothing, and would have to be given again."""
    there = actual([CURRENT, replace(ORPHAN, uploaded_on=NOW - timedelta(days=1))], bound())
    plan = plan_of(desired({"billing": 2}, [BILLING], policy=PRUNE), there, told=False)
    end = NOW + timedelta(days=6)
    assert f"run `mtlsctl apply --prune` after {end:%Y-%m-%d %H:%M} UTC" in details(plan)


def test_an_upload_of_a_former_stack_is_deleted_only_by_a_run_that_names_the_stack() -> None:
    """Another repository may still use that stack; nothing here can know."""
    theirs = entry(1, 1, "@billing", stack="shop", age=30)
    wanted, there = desired({"billing": 2}, [BILLING], former_stacks=("shop",)), actual([theirs, CURRENT], bound())
    plan = plan_of(wanted, there, told=False)
    assert (shown(plan), waits(plan)) == ([], ["billing not-taken-over"])
    going_back = plan_of(desired({"billing": 3}, [BILLING], former_stacks=("shop",)), there, told=False)
    assert "billing successor-missing" in waits(going_back)
    assert "--take-over" not in details(going_back)
    assert "the stack 'shop' uploaded it" in details(plan)
    assert "`mtlsctl apply --take-over shop`" in details(plan)
    assert shown(plan_of(wanted, there)) == ["retire billing superseded"]


def test_an_upload_of_this_stack_needs_no_take_over() -> None:
    """A rename costs nothing for what was uploaded under the new name."""
    wanted = desired({"billing": 2}, [BILLING], former_stacks=("shop",))
    plan = plan_of(wanted, actual([OLD, CURRENT], bound()), told=False)
    assert shown(plan) == ["retire billing superseded"]


def test_what_only_an_order_deletes_is_not_part_of_the_digest() -> None:
    """So an approval of a plan without the order is none of the deletion."""
    wanted, there = desired({"billing": 2}, [BILLING], policy=PRUNE), actual([CURRENT, ORPHAN], bound())
    empty = plan_of(wanted, actual([CURRENT], bound()))
    assert plan_of(wanted, there, told=False).digest == empty.digest != plan_of(wanted, there).digest


# --- limits of one run ------------------------------------------------------------------------------------------------


def removing(count: int, kept: int = 0, policy: Policy = Policy()) -> Mapping[str, object]:  # noqa: B008
    """A world in which `count` bindings are removed and `kept` are not."""
    names = [f"w{number:03}" for number in range(count + kept)]
    declared: list[DeclaredWorker] = [
        worker(name, {None: {"CERT": "billing"} if at >= count else {}}, config=f"{name}/wrangler.toml")
        for at, name in enumerate(names)
    ]
    files = {name: file({None: {"CERT": uid(2)}}, path=f"{name}/wrangler.toml") for name in names}
    wanted = desired({"billing": 2}, declared, policy=policy)
    return {"wanted": wanted, "there": actual([CURRENT], files)}


@pytest.mark.parametrize(
    ("count", "kept", "policy", "made"),
    [
        pytest.param(10, 0, Policy(), 10, id="10 at once are normal"),
        pytest.param(11, 0, Policy(), 10, id="more are not"),
        pytest.param(15, 16, Policy(), 15, id="half of all is normal"),
        pytest.param(18, 14, Policy(), 16, id="more than half is not"),
        pytest.param(3, 9, Policy(max_unbinds=2), 2, id="the file sets another limit"),
        pytest.param(1, 9, Policy(max_unbinds=0), 0, id="the file allows none"),
    ],
)
def test_one_run_removes_only_so_many_bindings(count: int, kept: int, policy: Policy, made: int) -> None:
    """The first are removed, as with `max_deletes`; the rest waits, and the exit code says so."""
    plan = plan_of(**removing(count, kept, policy))  # type: ignore[arg-type]
    assert len(plan.changes) == made
    assert waits(plan) == ["billing max-unbinds"] * (count - made)
    assert exit_code_of(plan.diagnostics) == (ExitCode.BLOCKED if made < count else ExitCode.OK)


def test_the_error_about_too_many_removed_bindings_says_what_to_type() -> None:
    """Whoever sees it knows neither code nor design."""
    plan = plan_of(**removing(12))  # type: ignore[arg-type]
    (found,) = [one for one in plan.diagnostics if one.is_error]
    assert found.message == (
        "12 bindings would be removed, but one run removes at most 10; kept: CERT in w010/wrangler.toml (top level)"
        " and 1 more"
    )
    assert found.hint is not None
    assert "run `mtlsctl apply --allow-unbinds 12`" in found.hint


def test_allow_unbinds_lets_more_go_and_fewer() -> None:
    """`--allow-unbinds N` counts instead of the limit, in both directions."""
    world = removing(12)
    assert [len(plan_of(**world, allow_unbinds=n).changes) for n in (0, 5, 12, 99)] == [0, 5, 12, 12]  # type: ignore[arg-type]


def test_an_approval_by_digest_is_of_the_bindings_that_one_run_removes() -> None:
    """Time alone removes no more of them, so they are no part of what was approved."""
    world = removing(12)
    digests = [plan_of(**world, allow_unbinds=n).digest for n in (None, 10, 12)]  # type: ignore[arg-type]
    assert digests[0] == digests[1] != digests[2]


def test_a_limit_on_bindings_leaves_errors_about_live_workers_as_they_are() -> None:
    """Deploys are judged again after it."""
    row = test_deploys.Row(
        "",
        test_deploys.serves({"BILLING": LIVE_OLD.id}, {"BILLING": LIVE_NEW.id}),
        test_deploys.named({"BILLING": LIVE_NEW.id, "MORE": LIVE_NEW.id}),
    )
    judged = test_deploys.plan_of(row).assessment
    plans = [make_plan(judged, allow_unbinds=n) for n in (1, 0)]
    errors = [[str(one.code) for one in plan.diagnostics if one.is_error] for plan in plans]
    assert errors == [["gradual-deployment"], ["gradual-deployment", "too-many-unbinds"]]


def test_no_option_goes_over_the_ceiling_of_the_operator() -> None:
    """The smallest number counts; the sentence names the variable, for no option helps."""
    old = [entry(number, number, "@billing", age=30 + number) for number in (3, 4, 5)]
    wanted, there = desired({"billing": 2}, [BILLING]), actual([*old, CURRENT], bound())
    limited = replace(wanted, declaration=replace(wanted.declaration, policy=Policy(most_deletes=1)))
    plans = [plan_of(limited, there, allow_deletes=n) for n in (None, 0, 9)]
    assert [len(plan.changes) for plan in plans] == [1, 0, 1]
    assert "MTLSCTL_MAX_DELETES" in details(plans[2])
    assert "--allow-deletes" not in details(plans[2])
    assert "MTLSCTL_MAX_DELETES" not in details(plans[1])


# --- warnings ---------------------------------------------------------------------------------------------------------

WEAK = {
    "`prune = true`": PRUNE,
    '`grace = "0s"`': Policy(grace=timedelta(0)),
    '`grace = "6d"`': Policy(grace=timedelta(days=6)),
    "`max_deletes = 11`": Policy(max_deletes=11),
    "`rollback_versions = 0`": Policy(rollback_versions=0),
}


def weak(plan: Plan) -> str | None:
    """What `policy-weak` names."""
    found = [one for one in plan.diagnostics if one.code == "policy-weak"]
    assert len(found) < 2
    return found[0].message.partition(": ")[2] if found else None


@pytest.mark.parametrize("named", WEAK)
def test_a_plan_that_removes_something_names_each_weak_setting(named: str) -> None:
    """Whoever reviews a removal sees at once what does not protect from it."""
    there = actual([OLD, CURRENT, ORPHAN], bound())
    assert weak(plan_of(desired({"billing": 2}, [BILLING], policy=WEAK[named]), there)) == named


def test_all_weak_settings_are_one_warning() -> None:
    """One sentence, in a fixed order."""
    policy = Policy(None, timedelta(0), True, 100_000, 99, 0)
    plan = plan_of(desired({}, policy=policy), actual([ORPHAN]))
    assert weak(plan) == '`prune = true`, `grace = "0s"`, `max_deletes = 100000`, `rollback_versions = 0`'


def test_settings_of_one_certificate_or_worker_are_named_with_it() -> None:
    """They loosen the policy for a part of the stack."""
    own = certificate("billing", grace=timedelta(hours=1), verify_before=frozenset())
    checkout = replace(BILLING, undeployed=frozenset({None}))
    policy = Policy(verify_before=frozenset({Gate.RETIRE}))
    plan = plan_of(desired({"billing": 2}, [checkout], declared=[own], policy=policy), actual([OLD, CURRENT], bound()))
    assert (
        weak(plan)
        == '`grace = "1h"` of billing, `verify_before` of billing, `deployed = false` of checkout (top level)'
    )


def test_the_grace_of_a_certificate_that_lives_for_days_is_a_third_of_that() -> None:
    """More than its lifetime would keep nothing that works."""
    issuer = make_ca("Short")
    lives = issuer.issue("short", not_before=NOW - timedelta(days=2), not_after=NOW + timedelta(days=1))
    old = replace(OLD, certificates=lives.certificate_pem.decode(), name=f"payments.billing.{lives.bundle.digest[:12]}")
    for hours, weakly in ((24, None), (23, '`grace = "23h"` of billing')):
        own = certificate("billing", grace=timedelta(hours=hours))
        plan = plan_of(desired({"billing": 2}, [BILLING], declared=[own]), actual([old, CURRENT], bound()))
        assert (shown(plan), weak(plan)) == (["retire billing superseded"], weakly)


def test_a_raised_max_unbinds_is_named_only_where_a_binding_is_removed() -> None:
    """It protects nothing else."""
    raised = Policy(max_unbinds=500)
    assert weak(plan_of(**removing(1, policy=raised))) == "`max_unbinds = 500`"  # type: ignore[arg-type]
    assert weak(plan_of(desired({"billing": 2}, [BILLING], policy=raised), actual([OLD, CURRENT], bound()))) is None
    assert weak(plan_of(**removing(40, policy=Policy(max_unbinds=20)))) is None  # type: ignore[arg-type]


def test_weak_settings_are_no_warning_while_nothing_is_removed() -> None:
    """They are no fault in themselves."""
    policy = Policy(None, timedelta(0), True, 100_000, 99, 0)
    assert weak(plan_of(desired({"billing": 2}, [BILLING], policy=policy), actual([CURRENT], bound()))) is None


def test_strong_settings_are_no_warning() -> None:
    """The defaults, and what is stricter."""
    for policy in (Policy(), Policy(grace=timedelta(days=30), max_deletes=1, max_unbinds=0, rollback_versions=2)):
        assert weak(plan_of(desired({"billing": 2}, [BILLING], policy=policy), actual([OLD, CURRENT], bound()))) is None


def test_an_emptied_file_is_a_warning_where_uploads_have_its_mark() -> None:
    """Nothing else would be said of it without `prune`."""
    assert codes(plan_of(desired({}), actual([CURRENT, ORPHAN]))) == ["nothing-declared"]
    assert codes(plan_of(desired({}, [worker("checkout", {None: {}})]), actual([CURRENT], bound()))) == [
        "nothing-declared"
    ]


def test_a_file_that_declares_nothing_yet_is_no_warning() -> None:
    """As after `init`, and of a file that only binds what others uploaded."""
    assert codes(plan_of(desired({}), actual([entry(1, 1, "@x", stack="other")]))) == []
    by_id = worker("checkout", {None: {"BILLING": f"id:{uid(2)}"}})
    assert codes(plan_of(desired({}, [by_id]), actual([CURRENT, ORPHAN], bound()))) != ["nothing-declared"]


def test_uploads_of_this_stack_that_it_does_not_know_are_a_warning_if_they_are_the_newest() -> None:
    """Another repository with the same name uploads; a certificate that was removed is older sooner or later."""
    wanted = desired({"billing": 2}, [BILLING])
    newer, older = replace(ORPHAN, uploaded_on=NOW - timedelta(days=7)), ORPHAN
    assert codes(plan_of(wanted, actual([CURRENT, newer], bound()))) == ["stack-shared"]
    assert codes(plan_of(wanted, actual([CURRENT, older], bound()))) == []


def test_a_former_stack_that_still_uploads_is_a_warning() -> None:
    """After a rename nothing is uploaded under the old name."""
    wanted = desired({"billing": 2}, [BILLING], former_stacks=("shop",))
    before = entry(1, 1, "@billing", stack="shop", age=30)
    after = entry(4, 4, "@other", stack="shop", age=1)
    assert codes(plan_of(wanted, actual([CURRENT, before], bound()))) == []
    found = ["former-stack-left", "stack-shared"]
    assert sorted(codes(plan_of(wanted, actual([CURRENT, before, after], bound())))) == found


def test_what_a_rename_leaves_behind_is_named() -> None:
    """A certificate that was removed before has an upload that no stack manages; at the end the name is left."""
    wanted = desired({"billing": 2}, [BILLING], former_stacks=("shop",))
    adopted, lost = replace(entry(2, 2, "@billing", stack="shop"), id=CURRENT.id), entry(4, 4, "@partner", stack="shop")
    (left,) = plan_of(wanted, actual([adopted, lost], bound())).diagnostics
    assert (left.code, left.severity) == ("former-stack-left", Severity.WARNING)
    assert left.message.endswith(f"does not declare: partner ({lost.id})")
    assert codes(plan_of(wanted, actual([adopted], bound()))) == []
    (left,) = plan_of(wanted, actual([CURRENT], bound())).diagnostics
    assert (left.code, left.severity) == ("former-stack-left", Severity.INFO)
