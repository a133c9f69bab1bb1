"""What uses certificates besides the bindings declared by name, in every report: by id, live, Hyperdrive, hostnames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from reconciler.findings.exits import ExitCode
from reconciler.model import (
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
)
from reconciler.model.freezes import Freeze, Once
from reconciler.plan.inventory import Role
from reconciler.plan.plan import Plan
from reconciler.reports.drift import Drift, State
from reconciler.reports.drift_live import join_live
from reconciler.reports.drift_look import make_drift
from reconciler.reports.drift_unused import join_unused
from reconciler.reports.explain import explain
from reconciler.reports.forecast import make_forecast
from reconciler.reports.status import Standing, Urgency, make_status
from reconciler.views.table import Display, render
from reconciler.views.text.explain import render_explanation
from reconciler.views.text.findings import show_findings, to_act_on
from reconciler.views.text.forecast import render_forecast
from reconciler.views.text.status import render_status
from reconciler.views.text.style import PLAIN
from tests.plan.test_by_id import ENDED, SOON, plan, stored
from tests.plan.test_coverage import BOTH, LOOKED, NEW, OLD, WORKER, wrangler
from tests.plan.test_retire_live import real
from tests.support.pki import DAY, END, NOW
from tests.support.worlds import actual, bundle, certificate, desired, entry, file, plan_of, uid, worker

Report = Callable[[Plan], str]


def status_text(made: Plan) -> str:
    findings = show_findings(to_act_on(made.diagnostics), Display())
    return render_status(replace(make_status(made), asked=True), PLAIN, findings=findings)


def drift_of(made: Plan) -> Drift:
    """As the command makes it."""
    found = make_drift(made)
    return join_live(found, made) if made.live is not None else found


def drift_text(made: Plan) -> str:
    return render(join_unused(drift_of(made), made, Sweep()), "text", Display())


def forecast_text(made: Plan) -> str:
    return render_forecast(make_forecast(made, 400), PLAIN)


def explain_text(name: str) -> Report:
    return lambda made: render_explanation(explain(name, made), PLAIN)


# --- by id ----------------------------------------------------------------------------------------------------------


def test_status_shows_what_is_bound_by_its_id_with_its_stack_and_its_end() -> None:
    """And no word of the certificates of this file, for there are none."""
    text = status_text(plan(stored(1, bundle(1), "books:ledger")))
    assert (
        f"""
{uid(1)} (by ID)
  expires    {END:%Y-%m-%d %H:%M} UTC (in 335 days), renew from {END - 30 * DAY:%Y-%m-%d}
  name       books.ledger.{bundle(1).digest[:12]}
  subject    CN=client-1
  stack      books (not managed here)
  bound      LEDGER of checkout (top level)

0 ok, 1 not managed here, 0 due, 0 expired. Expires first: {uid(1)} in 335 days.
"""
        in text
    )


@pytest.mark.parametrize(
    ("content", "urgency", "state"),
    [(SOON, Urgency.DUE, "due"), (ENDED, Urgency.EXPIRED, "expired")],
    ids=["due", "ended"],
)
def test_a_stack_of_nothing_else_needs_attention_where_one_is_due(
    content: object, urgency: Urgency, state: str
) -> None:
    """It used to read that nothing did."""
    made = plan(stored(1, content))  # type: ignore[arg-type]
    (found,) = make_status(made).by_id
    assert found.urgency is urgency
    text = status_text(made)
    assert f"\n{uid(1)} (by ID)  " in text
    assert f" {state}, not managed here\n" in text
    assert "1 ok" not in text
    assert ("warning[by-id-due]" in text) is (urgency is Urgency.DUE)
    assert ("warning[bound-expired]" in text) is (urgency is Urgency.EXPIRED)


def test_status_says_which_newer_one_there_is() -> None:
    """With the name that it was uploaded under."""
    text = status_text(plan(stored(1, bundle(1), "books:ledger"), stored(2, bundle(2), "books:ledger", age=3)))
    assert f"  newer      {uid(2)} (books.ledger.{bundle(2).digest[:12]})\n" in text


@pytest.mark.parametrize(
    ("found", "standing", "line"),
    [
        (uid(1), Standing.IN_PLACE, "bound      LEDGER of checkout (top level)"),
        (uid(2), Standing.OTHER_ID, f"not bound  LEDGER of checkout (top level): it has {uid(2)}"),
        (None, Standing.MISSING, "not bound  LEDGER of checkout (top level): the file has no such binding"),
    ],
    ids=["bound", "another id is bound", "not bound"],
)
def test_status_says_how_each_binding_stands(found: EntryId | None, standing: Standing, line: str) -> None:
    """As it does of certificates."""
    wanted = desired({}, [worker("checkout", {None: {"LEDGER": f"id:{uid(1)}"}})])
    files = {"checkout": file({None: {"LEDGER": found} if found else {}})}
    made = plan_of(wanted, actual([stored(1, bundle(1)), entry(2, 2)], files))
    (row,) = make_status(made).by_id
    assert [place.standing for place in row.places] == [standing]
    assert f"  {line}\n" in status_text(made)


def test_status_says_that_nobody_declares_a_binding() -> None:
    """It is in use all the same."""
    text = status_text(plan(stored(1, bundle(1)), workers=[worker("checkout", {None: {}})]))
    assert "  bound      LEDGER of checkout (top level): mtls.toml does not declare it\n" in text


def test_the_most_urgent_comes_first_and_what_is_not_known_is_said() -> None:
    """An id that is not found has no dates."""
    bound = {"A": f"id:{uid(1)}", "B": f"id:{uid(2)}", "C": f"id:{uid(3)}"}
    wanted = desired({}, [worker("checkout", {None: bound})])
    entries = [stored(1, bundle(1)), stored(2, SOON)]
    files = {"checkout": file({None: {"A": uid(1), "B": uid(2), "C": uid(3)}})}
    made = plan_of(wanted, actual(entries, files, asked={uid(3): None}))
    assert [(one.row.id, one.urgency) for one in make_status(made).by_id] == [
        (uid(2), Urgency.DUE),
        (uid(3), Urgency.UNREADABLE),
        (uid(1), Urgency.LATER),
    ]
    assert f"\n{uid(3)} (by ID)\n  expires    unknown: no uploaded certificate with this ID was found\n" in status_text(
        made
    )


def test_an_old_certificate_of_this_stack_is_not_called_managed_elsewhere() -> None:
    """It is bound by its id all the same."""
    wanted = desired({"ledger": 2}, [worker("checkout", {None: {"LEDGER": f"id:{uid(1)}"}})])
    text = status_text(plan(entry(1, 1, "@ledger", age=40), entry(2, 2, "@ledger", age=20), wanted=wanted))
    assert "  stack      payments (an old certificate of ledger)\n" in text


def test_forecast_shows_the_end_of_what_is_bound_by_its_id() -> None:
    """If it falls due by then; the first to end first."""
    wanted = desired({}, [worker("checkout", {None: {"A": f"id:{uid(1)}", "B": f"id:{uid(2)}"}})])
    entries = [stored(1, bundle(1), "books:ledger"), stored(2, SOON)]
    made = plan_of(wanted, actual(entries, {"checkout": file({None: {"A": uid(1), "B": uid(2)}})}))
    assert [one.row.id for one in make_forecast(made, 400).by_id] == [uid(2), uid(1)]
    assert [one.row.id for one in make_forecast(made, 30).by_id] == [uid(2)]
    text = forecast_text(made)
    ends = f"{END:%Y-%m-%d %H:%M} UTC (in 335 days), renew from {END - 30 * DAY:%Y-%m-%d}"
    assert f"\n{uid(1)} (by ID)\n  expires    {ends}\n" in text


def test_forecast_says_offline_that_the_end_is_not_known() -> None:
    """Only the store knows."""
    wanted = desired({}, [worker("checkout", {None: {"A": f"id:{uid(1)}"}})])
    made = plan_of(wanted, actual(None, {"checkout": file({None: {"A": uid(1)}})}))
    assert f"\n{uid(1)} (by ID)\n  expires    unknown: no" in forecast_text(made)


@pytest.mark.parametrize("name", ["LEDGER", "checkout", str(uid(1))], ids=["binding", "worker", "id"])
def test_explain_says_whose_it_is_when_it_ends_and_what_is_newer(name: str) -> None:
    """Asked by the binding, by the Worker, or by the id; with the finding that has the line to write."""
    made = plan(stored(1, bundle(1), "books:ledger"), stored(2, bundle(2), "books:ledger", age=3))
    told = explain(name, made)
    (story,) = told.entries
    assert (story.id, story.role, story.stack, story.newer) == (uid(1), Role.OTHER_STACK, "books", uid(2))
    assert (story.not_after, story.renew_from) == (END, END - 30 * DAY)
    assert [problem.code for problem in told.diagnostics] == ["by-id-outdated"]
    text = explain_text(name)(made)
    assert f"    expires     {END:%Y-%m-%d %H:%M} UTC, renew from {END - 30 * DAY:%Y-%m-%d}\n" in text
    assert "    stack       books\n" in text
    assert f"    newer       {uid(2)}, uploaded later under the same name\n" in text


def test_drift_warns_of_a_newer_one_and_has_not_drifted() -> None:
    """What is declared is what is there."""
    found = make_drift(plan(stored(1, bundle(1), "books:ledger"), stored(2, bundle(2), "books:ledger", age=3)))
    assert (found.findings, found.exit_code) == ((), ExitCode.OK)
    assert [problem.code for problem in found.diagnostics if problem.code == "by-id-outdated"] == ["by-id-outdated"]


# --- live -----------------------------------------------------------------------------------------------------------

DB, ARCHIVE = User(UserKind.HYPERDRIVE, "db", "hd-1"), User(UserKind.HYPERDRIVE, "archive", "hd-2")
STALE = LiveWorker("shop", (LiveVersion("v1", {"BILLING": OLD.id}, 100.0),))


def in_account(
    live: Live | None,
    *,
    ca: bool = False,
    is_new_stored: bool = True,
    older: tuple[Entry, ...] = (),
    policy: Policy | None = None,
) -> Plan:
    """BILLING is rotated, with its old certificates still in their grace; what is live as told."""
    more = {"ca": True, "key": None} if ca else {}
    declared = certificate("billing", **more)
    workers = [] if ca else [WORKER]
    wanted = desired({"billing": 1}, workers, declared=[declared], policy=policy, store=StoreKind.CLOUDFLARE)
    new = replace(NEW, uploaded_on=NOW - DAY, ca=ca)
    entries = [new, replace(OLD, ca=ca)] if is_new_stored else [replace(OLD, ca=ca)]
    there = actual([*entries, *older], {"checkout": wrangler()}, sweep=None, live=live)
    return plan_of(wanted, there, show_live=live is not None)


LIVE = replace(LOOKED, users={NEW.id: (DB,), OLD.id: (ARCHIVE,)})


def test_status_names_who_uses_the_certificate_and_who_still_uses_the_old_one() -> None:
    """Each with the certificate that it is about."""
    text = status_text(in_account(replace(LIVE, workers={"shop": STALE})))
    until = "deleted from 2026-11-29 12:00 UTC on, once shop is deployed once without it"
    assert (
        f"""
  bound      BILLING of checkout (top level)
  used by    the Hyperdrive configuration db
  kept       {OLD.id} (old): its grace period is not over; {until}
  used by    the Worker shop (live): {OLD.id}
  used by    the Hyperdrive configuration archive: {OLD.id}
"""
        in text
    )


def test_status_names_no_user_twice() -> None:
    """What waits names the files itself; who else uses it is named below."""
    wanted = desired({"billing": 1}, [WORKER], store=StoreKind.CLOUDFLARE)
    sweep, live = Sweep(mentions={OLD.id: ("b/mtls.toml",)}), replace(LIVE, workers={"shop": STALE})
    made = plan_of(wanted, actual([NEW, OLD], {"checkout": wrangler()}, sweep=sweep, live=live))
    text = status_text(made)
    assert (
        f"""
  kept       {OLD.id} (old): its ID is in b/mtls.toml
             kept since 2026-11-10, when its grace period ended; to have it deleted, remove its ID from b/mtls.toml
  used by    the Worker shop (live): {OLD.id}
"""
        in text
    ), text
    assert text.count("b/mtls.toml") == 2  # why it waits, and what would end that


def test_status_shows_live_workers_that_differ_and_what_to_run() -> None:
    """After a revert nothing else is left to do."""
    text = status_text(in_account(replace(LIVE, workers={"shop": STALE})))
    assert "\nLive Workers\n  ! BILLING of checkout (top level): needs a deploy\n" in text
    assert "\n1 Worker to deploy: run `mtlsctl apply --deploy`, or deploy with wrangler.\n" in text


def test_status_names_no_command_that_a_freeze_refuses() -> None:
    """It says until when."""
    policy = Policy(freezes=(Freeze(Once(datetime(2026, 1, 1), datetime(2027, 1, 3)), ZoneInfo("UTC"), "audit"),))  # noqa: DTZ001 - local, in its zone
    text = status_text(in_account(replace(LIVE, workers={"shop": STALE}), policy=policy))
    assert "\n1 Worker to deploy: a freeze holds it until 2027-01-03 00:00 UTC (audit).\n" in text
    assert "Live Workers" not in status_text(in_account(LIVE))


@dataclass(frozen=True)
class Told:
    """One report, and the command that has it read what is live."""

    report: Report
    command: str


REPORTS = {
    "status": Told(status_text, "mtlsctl status --live"),
    "drift": Told(drift_text, "mtlsctl drift --unused --live"),
    "forecast": Told(forecast_text, "mtlsctl forecast --live"),
    "explain": Told(explain_text("billing"), "mtlsctl explain billing --live"),
}


@pytest.mark.parametrize("told", REPORTS.values(), ids=REPORTS)
def test_a_report_that_did_not_look_says_so_and_how_to_look(told: Told) -> None:
    """And one that looked says nothing of it."""
    line = f"Not checked: live Workers, Hyperdrive configurations, hostnames ({told.command}).\n"
    assert line in told.report(in_account(None))
    assert "Not checked" not in told.report(in_account(LIVE))


@pytest.mark.parametrize("told", REPORTS.values(), ids=REPORTS)
def test_a_report_that_could_not_look_says_why(told: Told) -> None:
    """Nobody who uses it is not the same as nobody known."""
    live = replace(LIVE, users={}, users_unread={"the list of Hyperdrive configurations": "no right"})
    line = (
        "Not checked: some other users of certificates could not be read:"
        " the list of Hyperdrive configurations: no right.\n"
    )
    assert line in told.report(in_account(live))


def test_explain_names_users_of_the_current_certificate_and_of_old_ones() -> None:
    """Where each is told of."""
    told = explain("billing", in_account(LIVE))
    assert [story.users for story in told.certificates] == [(DB,)]
    assert [story.users for story in told.entries] == [(ARCHIVE,)]
    text = explain_text("billing")(in_account(LIVE))
    assert "    used by     the Hyperdrive configuration db\n" in text
    assert "    used by     the Hyperdrive configuration archive\n" in text


def test_forecast_names_who_has_to_be_changed_with_a_renewal() -> None:
    """Of the certificate that is in use, not of old ones; once, though it is renewed several times."""
    text = render_forecast(make_forecast(in_account(LIVE), 1000), PLAIN)
    assert text.count("used by    the Hyperdrive configuration db") == 1
    assert "archive" not in text


def test_a_user_of_an_old_certificate_has_drifted() -> None:
    """With what to set, under a key that stays the same from one rotation to the next."""
    found = drift_of(in_account(LIVE))
    (drifted,) = found.findings
    assert (drifted.state, drifted.key) == (State.CHANGED, "live:hyperdrive:hd-2:billing")
    assert drifted.message == (
        f"the Hyperdrive configuration archive uses {OLD.id}, an old certificate of 'billing';"
        f" the current one is {NEW.id}"
    )
    assert drifted.hint == f"set its mtls_certificate_id to {NEW.id}"
    assert (drifted.expected, drifted.found, found.exit_code) == (NEW.id, OLD.id, ExitCode.CHANGES)
    assert found.in_sync == drift_of(in_account(LOOKED)).in_sync + 1


def test_hostnames_and_hyperdrive_are_told_what_to_do_with_an_old_ca() -> None:
    """A CA has no other users."""
    hostnames = User(UserKind.HOSTNAMES, "a.example", "zone-1")
    live = Live(users={OLD.id: (hostnames, ARCHIVE)}, users_of=BOTH)
    hints = [finding.hint for finding in drift_of(in_account(live, ca=True)).findings]
    assert hints == [
        f"associate them with {NEW.id} instead (API Shield, client certificates)",
        f"set its ca_certificate_id to {NEW.id}",
    ]


def test_hostnames_of_one_zone_with_two_old_cas_are_one_finding() -> None:
    """One key, one finding: both are fixed at once."""
    older = replace(entry(3, 3, "@billing", age=60, ca=True), id=real(3))
    hostnames = User(UserKind.HOSTNAMES, "a.example", "zone-1")
    live = Live(users={OLD.id: (hostnames,), older.id: (hostnames,)}, users_of=BOTH | {older.id})
    (found,) = drift_of(in_account(live, ca=True, older=(older,))).findings
    assert found.key == "live:hostnames:zone-1:billing"
    assert "and 1 more old certificate of 'billing'" in found.message


def test_before_its_successor_is_uploaded_no_user_has_drifted() -> None:
    """There is nothing that it could use instead."""
    keys = [finding.key for finding in drift_of(in_account(LIVE, is_new_stored=False)).findings]
    assert not any(key.startswith("live:hyperdrive") for key in keys)


def test_users_that_others_named_are_text() -> None:
    """A configuration may be called anything."""
    hostile = User(UserKind.HYPERDRIVE, "\x1b[2Jx\u202ey\n::error::z", "1")
    live = replace(LOOKED, users={NEW.id: (hostile,), OLD.id: (hostile,)})
    for told in REPORTS.values():
        text = told.report(in_account(live))
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert not any(line.lstrip().startswith("::") for line in text.splitlines())


def test_a_name_that_somebody_gave_to_a_certificate_bound_by_id_is_text() -> None:
    """The store keeps whatever was typed."""
    made = plan(stored(1, SOON, "\x1b[2Jx\u202ey\n::error::z"))
    for text in (status_text(made), forecast_text(made), explain_text("LEDGER")(made)):
        assert "\x1b" not in text
        assert not any(line.lstrip().startswith("::") for line in text.splitlines())
