"""What a status is about: names and an owner limit everything, `--due` and `--expired` only the rows that are shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import UsageError
from reconciler.model import Action, Actual, BindingAddress, BindingName, Desired, RenewBefore, WorkerLabel
from reconciler.plan.live import LiveBinding, LiveState, Presented
from reconciler.plan.plan import Plan
from reconciler.reports.scope import Scope, narrow, show_only
from reconciler.reports.status import Alarm, FailOn, Status, fail_on, make_status
from tests.support.cli import MTLS, Project
from tests.support.pki import DAY, END
from tests.support.worlds import actual, certificate, desired, entry, file, plan_of, uid, worker

BOUND = {"BILLING": "billing", "LEDGER": "ledger", "THEIRS": f"id:{uid(7)}"}
EARLY = RenewBefore(timedelta(days=300))


def world() -> tuple[Desired, Actual]:
    """`billing` is due at END - 100 days and waits to be bound, `ledger` is not due; one ID is managed elsewhere."""
    declared = [certificate("billing", owner="team-pay", renew_before=EARLY), certificate("ledger", owner="team-books")]
    wanted = desired({"billing": 1, "ledger": 2}, [worker("checkout", {None: BOUND})], declared=declared)
    entries = [entry(1, 1, "@billing"), entry(2, 2, "@ledger"), entry(3, 3, "@ledger", age=60), entry(7, 7, "theirs")]
    found = file({None: {"BILLING": "<ID>", "LEDGER": uid(2), "THEIRS": uid(7)}})
    return wanted, actual(entries, {"checkout": found})


@pytest.fixture(scope="module")
def plan() -> Plan:
    """The plan of that world, in which the first certificate is due."""
    wanted, there = world()
    return plan_of(wanted, there, now=END - 100 * DAY)


def about(plan: Plan, *names: str, owner: str | None = None) -> Status:
    """The status of some of it."""
    return narrow(make_status(plan), plan, Scope(names, owner))


def rows(status: Status) -> list[str]:
    """The rows of its table."""
    return [one.certificate for one in status.certificates] + [one.row.id for one in status.by_id]


def test_without_a_name_nothing_is_left_out(plan: Plan) -> None:
    """The same status."""
    assert about(plan) == make_status(plan)


@pytest.mark.parametrize(
    ("names", "owner", "found"),
    [
        (("billing",), None, ["billing"]),
        (("*",), None, ["billing", "ledger", uid(7)]),
        (("led*", "billing"), None, ["billing", "ledger"]),
        ((uid(7),), None, [uid(7)]),
        ((), "team-books", ["ledger"]),
        (("*",), "team-pay", ["billing"]),
        (("billing",), "team-books", []),
    ],
    ids=["a name", "everything", "globs", "an ID", "an owner", "both", "neither"],
)
def test_a_name_a_glob_an_id_and_an_owner_choose_rows(
    plan: Plan, names: tuple[str, ...], owner: str | None, found: list[str]
) -> None:
    """A row must match one of the names, and the owner."""
    assert rows(about(plan, *names, owner=owner)) == found


def test_what_is_left_out_is_left_out_everywhere(plan: Plan) -> None:
    """Outages, pending changes, and findings."""
    status = about(plan, "ledger")
    assert [getattr(one.at, "binding", None) for one in status.outages] == ["LEDGER"]
    assert {action for action, number in status.changes.items() if number} == {Action.RETIRE}
    assert not any(problem.certificate == "billing" for problem in status.diagnostics)
    assert about(plan, "billing").changes[Action.REBIND] == 1


def test_a_binding_by_the_id_of_a_certificate_is_about_that_certificate() -> None:
    """Its outage is that of the certificate."""
    wanted = desired({"billing": 1}, [worker("checkout", {None: {"BILLING": f"id:{uid(1)}"}})])
    made = plan_of(wanted, actual([entry(1, 1, "@billing")], {"checkout": file({None: {"BILLING": uid(1)}})}))
    assert [getattr(one.at, "binding", None) for one in about(made, "billing").outages] == ["BILLING"]


def test_a_removed_certificate_keeps_its_live_workers() -> None:
    """Those are why it can't be deleted."""
    wanted = desired({"billing": 1}, [worker("checkout", {None: {"BILLING": "billing"}})])
    entries = [entry(1, 1, "@billing"), entry(9, 9, "@partner")]
    made = plan_of(wanted, actual(entries, {"checkout": file({None: {"BILLING": uid(1)}})}))
    at = BindingAddress(WorkerLabel("checkout"), "workers/checkout/wrangler.toml", None, BindingName("PARTNER"))
    live = LiveBinding(at, "shop", LiveState.NEEDS_DEPLOY, live=(Presented("v1", 100, uid(9)),))
    status = narrow(replace(make_status(made), live=(live,)), made, Scope(("partner",)))
    assert status.live == (live,)
    assert narrow(replace(make_status(made), live=(live,)), made, Scope(("billing",))).live == ()


def test_an_alarm_is_about_what_was_asked_for(plan: Plan) -> None:
    """A team's monitor does not ring for another team."""
    asked = [("due", FailOn(Alarm.DUE))]
    assert fail_on(about(plan, owner="team-pay"), asked).failed_on == ("due",)
    assert fail_on(about(plan, owner="team-books"), asked).failed_on == ()


def test_due_and_expired_choose_the_rows_that_are_shown_and_no_more(plan: Plan) -> None:
    """The outage and the counts of changes stay, so an alarm is never silenced by them."""
    status = make_status(plan)
    shown = show_only(status, due=True, expired=False)
    assert (rows(shown), shown.hidden) == (["billing"], 2)
    assert (shown.outages, shown.changes, shown.waiting) == (status.outages, status.changes, status.waiting)
    assert rows(show_only(status, due=False, expired=True)) == []
    assert show_only(status, due=False, expired=False) == status


def test_what_has_expired_is_due_too() -> None:
    """It is too late for it, and it is to be renewed."""
    wanted, there = world()
    status = make_status(plan_of(wanted, there, now=END + DAY))
    assert rows(show_only(status, due=True, expired=False)) == ["billing", "ledger", uid(7)]
    assert rows(show_only(status, due=False, expired=True)) == ["billing", "ledger", uid(7)]


def test_an_error_is_shown_whichever_rows_are(plan: Plan) -> None:
    """The exit code is of all of them; a warning of a row that is not shown is left out with it."""
    error = Diagnostic(Severity.ERROR, Code.QUOTA, "it does not fit", certificate="ledger")
    warning = Diagnostic(Severity.WARNING, Code.RENEWAL_DUE, "it is due", certificate="ledger")
    status = replace(make_status(plan), diagnostics=(error, warning))
    assert show_only(status, due=True, expired=False).diagnostics == (error,)


@pytest.mark.parametrize("name", ["biling", "x" * 201], ids=["unknown", "long"])
def test_a_name_of_nothing_is_wrong_use(plan: Plan, name: str) -> None:
    """A monitor with a slip in a name would be quiet for ever."""
    with pytest.raises(UsageError):
        about(plan, name)


def test_an_owner_of_nothing_is_wrong_use(plan: Plan) -> None:
    """With what was probably meant."""
    with pytest.raises(UsageError) as caught:
        about(plan, owner="team-pays")
    assert caught.value.hint == "did you mean `team-pay`?"


# --- at the command line --------------------------------------------------------------------------------------------


def test_a_name_shows_all_there_is_to_say_of_it(project: Project) -> None:
    """Though nothing is wrong; without it there is a row alone."""
    project.run("apply", "--yes")
    assert "\n  bound " not in project.run("status").out
    result = project.run("status", "bill*")
    assert (result.code, "\n  bound      BILLING of checkout (top level)\n" in result.out) == (0, True)
    document = project.run("status", "billing", "--format", "json").json
    assert [one["certificate"] for one in document["certificates"]] == ["billing"]


def test_rows_that_are_left_out_are_counted(project: Project) -> None:
    """In JSON they are not there."""
    project.run("apply", "--yes")
    result = project.run("status", "--due")
    assert (result.code, "\n0 ok, 0 due, 0 expired. 1 certificate not shown.\n" in result.out) == (0, True)
    assert "No certificate is in that state.\n" in result.out
    assert project.run("status", "--expired", "--format", "json").json["certificates"] == []


@pytest.mark.parametrize("arguments", [["biling"], ["--owner", "team"], ["billing", "--format", "prometheus"]], ids=str)
def test_what_names_nothing_and_metrics_of_a_part_are_wrong_use(project: Project, arguments: list[str]) -> None:
    """Exit 64."""
    project.write("mtls.toml", MTLS)
    result = project.run("status", *arguments)
    assert (result.code, f"error[{Code.USAGE}]" in result.err) == (64, True)
