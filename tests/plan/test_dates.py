"""No last valid certificate is retired, and no binding moves to one that has ended (rules 10 and 11)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from reconciler.findings.codes import Severity
from reconciler.findings.errors import InputError
from reconciler.findings.exits import ExitCode
from reconciler.model import (
    Action,
    BindingChange,
    CertificateName,
    Condition,
    Desired,
    Entry,
    EntryId,
    Gate,
    Listing,
    Live,
    LiveVersion,
    LiveWorker,
    Origin,
    Policy,
    Retire,
    StoreKind,
    Upload,
    WranglerFile,
)
from reconciler.model.ownership import mark_name
from reconciler.plan.approval import approve
from reconciler.plan.assess import judge, scene_of
from reconciler.plan.assessment import PlanOptions
from reconciler.plan.live import DeployChoice
from reconciler.plan.plan import Plan, Selection, exit_code_of, make_plan
from reconciler.plan.policy import PATIENCE
from reconciler.plan.retire import conditions_of
from reconciler.records.base import to_json
from reconciler.records.plan import plan_document
from reconciler.records.saved_plan import read_plan
from reconciler.reports.current import find_current
from reconciler.reports.drift_look import make_drift
from reconciler.reports.explain_bindings import tell_bindings
from reconciler.reports.forecast import make_forecast
from reconciler.reports.status import Standing, make_status
from reconciler.views.text.plan import render_plan
from reconciler.views.text.style import PLAIN
from reconciler.x509.certificates import Bundle, parse_stored
from reconciler.x509.chains import window_of
from reconciler.x509.pem import encode
from tests.plan.test_retire_live import real, wrangler
from tests.support.der_certificates import explicit_info, make
from tests.support.pki import BEGIN, END, NOW, make_ca
from tests.support.worlds import (
    STACK,
    actual,
    certificate,
    codes,
    days_ago,
    desired,
    file,
    plan_of,
    shown,
    uid,
    waits,
    worker,
)

DAY = timedelta(days=1)
BILLING = worker("checkout", {None: {"BILLING": "billing"}})
ROOT = make_ca("Dates Root", not_before=NOW - 4000 * DAY)


def chain(
    *, begin: datetime = BEGIN, end: datetime = END, issuer_begin: datetime = BEGIN, issuer_end: datetime = END
) -> Bundle:
    """A leaf with its intermediate, valid as told."""
    issuer = ROOT.issue_ca("Dates Issuer", not_before=issuer_begin, not_after=issuer_end)
    parsed = parse_stored(issuer.issue("dates", not_before=begin, not_after=end).chain_pem.decode())
    assert parsed is not None
    return parsed


def stored(number: int, content: Bundle, name: str = "@billing", *, age: float = 30, ca: bool = False) -> Entry:
    """An entry with this content."""
    if name.startswith("@"):
        name = mark_name(STACK, CertificateName(name[1:]), content.digest)
    return Entry(id=uid(number), name=name, ca=ca, certificates=content.pem(), uploaded_on=days_ago(age))


def declaring(contents: Mapping[str, Bundle], base: Desired) -> Desired:
    """The same with these contents."""
    return replace(base, bundles={CertificateName(name): content for name, content in contents.items()})


VALID = chain()
ENDED = chain(begin=NOW - 60 * DAY, end=NOW - DAY)
LATER = chain(begin=NOW + 10 * DAY)

NOT_YET = {
    "a leaf that begins later": LATER,
    "an intermediate that begins later": chain(issuer_begin=NOW + 10 * DAY),
    "a leaf that has ended": ENDED,
    "an intermediate that has ended": chain(issuer_begin=NOW - 60 * DAY, issuer_end=NOW - DAY),
}


@pytest.mark.parametrize("successor", NOT_YET.values(), ids=NOT_YET)
def test_an_entry_stays_while_its_successor_is_not_valid(successor: Bundle) -> None:
    """The old one is the last that works, however long its grace is over."""
    wanted = declaring({"billing": successor}, desired({"billing": 1}, [BILLING]))
    there = actual(
        [stored(1, VALID, age=300), stored(2, successor, age=100)], {"checkout": file({None: {"BILLING": uid(2)}})}
    )
    plan = plan_of(wanted, there)
    assert (shown(plan), waits(plan)) == ([], ["billing successor-not-valid"])


def test_the_wait_for_a_successor_says_until_when() -> None:
    """Until the successor begins; one that has ended never becomes valid, so no time is given."""
    files = {"checkout": file({None: {"BILLING": uid(2)}})}

    def until(successor: Bundle) -> datetime | None:
        wanted = declaring({"billing": successor}, desired({"billing": 1}, [BILLING]))
        there = actual([stored(1, VALID, age=300), stored(2, successor, age=100)], files)
        return plan_of(wanted, there).waiting[0].until

    assert until(LATER) == NOW + 10 * DAY
    assert until(ENDED) is None


def test_an_entry_that_has_ended_does_not_wait_for_a_valid_successor() -> None:
    """It serves nobody any more; the grace counts from the begin of its successor all the same."""
    base = desired({"billing": 1}, [BILLING], policy=Policy(grace=timedelta(0)))
    files = {"checkout": file({None: {"BILLING": uid(2)}})}
    there = actual([stored(1, ENDED, age=300), stored(2, LATER, age=100)], files)
    (waiting,) = plan_of(declaring({"billing": LATER}, base), there).waiting
    assert (waiting.condition, waiting.until) == (Condition.GRACE, NOW + 10 * DAY)


def test_an_orphan_waits_for_the_later_entry_of_its_subject_to_become_valid() -> None:
    """Its content may have been shared with the certificate that was rotated."""
    wanted = declaring({"billing": LATER}, desired({"billing": 1}, [BILLING], policy=Policy(prune=True)))
    there = actual(
        [stored(1, VALID, "@gone", age=300), stored(2, LATER, age=100)],
        {"checkout": file({None: {"BILLING": uid(2)}})},
    )
    assert waits(plan_of(wanted, there)) == ["gone successor-not-valid"]


def test_an_orphan_waits_until_what_may_replace_it_is_uploaded() -> None:
    """A declared certificate of the same subject that is not stored yet; an orphan that has ended serves nobody."""
    for content, waiting in ((VALID, ["old successor-missing"]), (ENDED, [])):
        wanted = declaring({"billing": LATER}, desired({"billing": 1}, [BILLING], policy=Policy(prune=True)))
        there = actual([stored(1, content, "@old", age=300)], {"checkout": file({})})
        assert [one for one in waits(plan_of(wanted, there)) if one.startswith("old")] == waiting


def test_a_change_says_until_when_it_is_right() -> None:
    """An upload and a binding until their certificate ends, a retire until its successor does."""
    soon = chain(end=NOW + DAY)
    base = desired({"billing": 1}, [BILLING])
    files = {"checkout": file({None: {"BILLING": uid(1)}})}
    plan = plan_of(declaring({"billing": soon}, base), actual([stored(1, VALID)], files))
    ends = [change.not_after for change in plan.changes if isinstance(change, Upload | BindingChange)]
    assert ends == [NOW + DAY, NOW + DAY]
    files = {"checkout": file({None: {"BILLING": uid(2)}})}
    there = actual([stored(1, VALID, age=300), stored(2, soon, age=100)], files)
    (retire,) = plan_of(declaring({"billing": soon}, base), there).changes
    assert isinstance(retire, Retire)
    assert retire.not_after == NOW + DAY


def test_a_root_that_has_ended_does_not_count() -> None:
    """Origins use their own copy of it."""
    old_root = make_ca("Old Root", not_after=NOW - DAY)
    issuer = old_root.issue_ca("Dates Issuer")
    root = encode("CERTIFICATE", old_root.certificate.public_bytes(Encoding.DER))
    bundle = parse_stored(issuer.issue("dates").chain_pem.decode() + root)
    assert bundle is not None
    assert bundle.certificates[-1].not_valid_after_utc < NOW
    wanted = declaring({"billing": bundle}, desired({"billing": 1}, [BILLING]))
    there = actual(
        [stored(1, VALID, age=300), stored(2, bundle, age=100)], {"checkout": file({None: {"BILLING": uid(2)}})}
    )
    assert shown(plan_of(wanted, there)) == ["retire billing superseded"]


def test_an_adopted_certificate_with_a_written_out_curve_is_a_warning() -> None:
    """It is stored already, under another name, and origins refuse it."""
    odd = Bundle(make(None, "odd", info=explicit_info, dates=("200101000000Z", "20510101000000Z")).ders)
    wanted = declaring({"billing": odd}, desired({"billing": 1}, [BILLING]))
    files = {"checkout": file({None: {"BILLING": uid(2)}})}
    plan = plan_of(wanted, actual([stored(2, odd, "by hand")], files))
    assert (shown(plan), len(plan.adopted)) == ([], 1)
    assert [(one.severity, one.code) for one in plan.diagnostics] == [(Severity.WARNING, "key-encoding")]


# --- bindings ------------------------------------------------------------------------------------------------------

BEFORE: Mapping[str, Mapping[str, str]] = {
    "no binding": {},
    "a valid entry": {"BILLING": uid(2)},
    "a placeholder": {"BILLING": "TODO"},
    "an entry that has ended": {"BILLING": uid(3)},
}


@pytest.mark.parametrize("table", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize("target", ["billing", f"id:{uid(1)}"], ids=["by name", "by id"])
def test_no_binding_moves_to_a_certificate_that_has_ended(table: Mapping[str, str], target: str) -> None:
    """Whatever is bound now, by name or by id, after a revert or not; it is an error."""
    other = chain(begin=NOW - 90 * DAY, end=NOW - 2 * DAY)
    wanted = declaring({"billing": ENDED}, desired({"billing": 1}, [worker("checkout", {None: {"BILLING": target}})]))
    entries = [stored(1, ENDED, age=50), stored(2, VALID, age=20), stored(3, other, "by hand")]
    plan = plan_of(wanted, actual(entries, {"checkout": file({None: table})}))
    assert shown(plan) == []
    held = [one for one in plan.diagnostics if one.code == "certificate-expired" and one.severity is Severity.ERROR]
    assert len(held) == 1
    assert exit_code_of(plan.diagnostics) is ExitCode.FAILED


def test_an_id_in_place_is_not_held_by_its_date_nor_is_its_remote() -> None:
    """Nothing moves."""
    wanted = declaring({"billing": ENDED}, desired({"billing": 1}, [BILLING]))
    there = actual([stored(1, ENDED)], {"checkout": file({None: {"BILLING": uid(1)}})})
    assert not [one for one in plan_of(wanted, there).diagnostics if one.severity is Severity.ERROR]
    remote = replace(
        BILLING,
        environments={None: tuple(replace(one, remote=True) for one in BILLING.environments[None])},
    )
    moved = declaring({"billing": ENDED}, desired({"billing": 1}, [remote]))
    assert shown(plan_of(moved, there)) == ["rebind BILLING remote-differs"]


def test_only_what_moves_to_the_ended_certificate_is_held() -> None:
    """The other binding of the same file is made."""
    two = worker("checkout", {None: {"BILLING": "billing", "LEDGER": "ledger"}})
    wanted = declaring({"billing": ENDED, "ledger": VALID}, desired({"billing": 1, "ledger": 2}, [two]))
    there = actual([stored(1, ENDED), stored(2, VALID, "@ledger")], {"checkout": file({})})
    assert shown(plan_of(wanted, there)) == ["bind LEDGER missing"]


def test_an_entry_whose_text_cannot_be_read_is_judged_by_the_date_that_the_store_lists() -> None:
    """The store shows when its leaf ends."""
    odd = Entry(id=uid(1), name="odd", certificates="no PEM", uploaded_on=days_ago(3), expires_on=NOW - DAY)
    wanted = desired({}, [worker("checkout", {None: {"BILLING": f"id:{uid(1)}"}})])
    plan = plan_of(wanted, actual([odd], {"checkout": file({})}))
    assert (shown(plan), codes(plan)) == ([], ["certificate-expired"])


def test_offline_a_binding_to_a_file_that_has_ended_is_held_too() -> None:
    """The file's dates need no store."""
    wanted = declaring({"billing": ENDED}, desired({"billing": 1}, [BILLING]))
    plan = plan_of(wanted, actual(None, {"checkout": file({})}))
    assert shown(plan) == []
    assert [one.severity for one in plan.diagnostics if one.code == "certificate-expired"].count(Severity.ERROR) == 1


def test_an_expired_file_is_an_error_before_its_upload_and_a_warning_once_it_is_uploaded() -> None:
    """Offline that is unknown: a warning, which says what holds in either case."""
    wanted = declaring({"billing": ENDED}, desired({"billing": 1}))
    severities = []
    for there in (actual([]), actual([stored(1, ENDED)]), actual(None)):
        (found,) = [one for one in plan_of(wanted, there).diagnostics if one.code == "certificate-expired"]
        severities.append(found.severity)
    assert severities == [Severity.ERROR, Severity.WARNING, Severity.WARNING]
    assert "if it is uploaded" in (found.hint or "")


def test_a_renewal_that_expires_earlier_than_what_it_replaces_is_a_warning() -> None:
    """It may be the wrong file; one that ends later says nothing."""
    soon, late = chain(end=NOW + 10 * DAY), chain(end=NOW + 400 * DAY)
    for declared, old, expected in ((soon, late, [Severity.WARNING]), (late, soon, [])):
        plan = plan_of(declaring({"billing": declared}, desired({"billing": 1})), actual([stored(1, old)]))
        assert shown(plan)[0].startswith("upload")
        found = [one.severity for one in plan.diagnostics if one.code == "renewal-ends-earlier"]
        assert found == expected


def test_a_stable_list_is_no_reason_to_retire_what_still_serves() -> None:
    """The guard holds for a handed-over entry, too, which has no mark of ours."""
    handed = certificate("billing", supersedes=(uid(1),))
    wanted = declaring({"billing": LATER}, desired({"billing": 1}, [BILLING], declared=[handed]))
    there = actual(
        Listing((stored(1, VALID, "by hand", age=300), stored(2, LATER, age=100))).entries,
        {"checkout": file({None: {"BILLING": uid(2)}})},
    )
    assert waits(plan_of(wanted, there)) == ["billing successor-not-valid"]


# --- a binding moves by the dates of both sides ----------------------------------------------------------------------

OTHER = chain(end=NOW + 100 * DAY)
ENDED_BEFORE = chain(begin=NOW - 90 * DAY, end=NOW - 2 * DAY)
LATER_STILL = chain(begin=NOW + 20 * DAY)
READABLE = {"valid": OTHER, "ended": ENDED_BEFORE, "later": LATER_STILL}
FOUND: Mapping[str, Mapping[str, str]] = {
    "nothing": {},
    "a placeholder": {"BILLING": "TODO"},
    "an unknown id": {"BILLING": uid(99)},
    "valid": {"BILLING": uid(11)},
    "ended": {"BILLING": uid(12)},
    "later": {"BILLING": uid(13)},
    "unreadable": {"BILLING": uid(14)},
}
"""What the wrangler file has."""
AROUND = (
    *(stored(number, content, "by hand") for number, content in enumerate(READABLE.values(), start=11)),
    Entry(id=uid(14), name="odd", certificates="no PEM", uploaded_on=days_ago(3)),
)

MOVES, EARLY, HELD, WAITS, UNKNOWN, UNSURE = "moves", "moves early", "held", "waits", "waits, unknown", "moves, unknown"
EXPECTED = {
    "a valid one": dict.fromkeys(FOUND, MOVES),
    "one that has ended": dict.fromkeys(FOUND, HELD),
    "one that begins later": dict.fromkeys(FOUND, EARLY) | {"valid": WAITS},
    "one that can't be read": dict.fromkeys(FOUND, UNSURE) | {"valid": UNKNOWN},
}
TARGETS = {"a valid one": VALID, "one that has ended": ENDED, "one that begins later": LATER}


def verdict_of(plan: Plan) -> str:
    """What became of the binding, in a word of the table."""
    found = codes(plan)
    if shown(plan) and shown(plan)[-1].split()[0] in {"bind", "rebind"}:
        return EARLY if "bound-before-valid" in found else UNSURE if "validity-unknown" in found else MOVES
    (waiting, *_) = plan.waiting or (None,)
    if waiting is not None and isinstance(waiting.change, BindingChange):
        return UNKNOWN if waiting.until is None else WAITS
    errors = [one.code for one in plan.diagnostics if one.is_error]
    return HELD if errors == ["certificate-expired"] else str(errors)


@pytest.mark.parametrize("found", FOUND)
@pytest.mark.parametrize("target", EXPECTED)
def test_a_binding_by_id_moves_as_the_dates_of_both_sides_allow(target: str, found: str) -> None:
    """Each binding alone."""
    unreadable = Entry(id=uid(1), name="odd", certificates="none", uploaded_on=days_ago(3))
    entry = stored(1, TARGETS[target], "theirs") if target in TARGETS else unreadable
    wanted = desired({}, [worker("checkout", {None: {"BILLING": f"id:{uid(1)}"}})])
    there = actual([entry, *AROUND], {"checkout": file({None: FOUND[found]})}, asked={uid(99): None})
    assert verdict_of(plan_of(wanted, there)) == EXPECTED[target][found]


@pytest.mark.parametrize("found", FOUND)
@pytest.mark.parametrize("is_stored", [True, False], ids=["stored", "to be uploaded"])
@pytest.mark.parametrize("target", TARGETS)
def test_a_binding_by_name_moves_as_the_dates_of_both_sides_allow(target: str, is_stored: bool, found: str) -> None:
    """Stored or not makes no difference, but that what has ended is not uploaded either."""
    wanted = declaring({"billing": TARGETS[target]}, desired({"billing": 1}, [BILLING]))
    entries = [*([stored(1, TARGETS[target])] if is_stored else []), *AROUND]
    there = actual(entries, {"checkout": file({None: FOUND[found]})}, asked={uid(99): None})
    plan = plan_of(wanted, there)
    assert verdict_of(plan) == EXPECTED[target][found]
    assert ("upload billing missing" in shown(plan)) == (not is_stored and target != "one that has ended")


@pytest.mark.parametrize("kind", [StoreKind.LOCAL, StoreKind.CLOUDFLARE])
def test_both_stores_keep_what_is_valid(kind: StoreKind) -> None:
    """The rule is of dates, not of stores."""
    wanted = declaring({"billing": LATER}, desired({"billing": 1}, [BILLING], store=kind))
    ids = ("2458ce5a-0c35-4c7f-82c7-8e9487d3ff60", "2458ce5a-0c35-4c7f-82c7-8e9487d3ff61")
    ids = ids if kind is StoreKind.CLOUDFLARE else (uid(1), uid(2))
    entries = [replace(stored(1, VALID, age=300), id=EntryId(ids[0])), replace(stored(2, LATER), id=EntryId(ids[1]))]
    plan = plan_of(wanted, actual(entries, {"checkout": file({None: {"BILLING": ids[0]}})}))
    assert waits(plan) == ["billing not-valid-yet", "billing bindings-pending"]


def test_each_environment_is_judged_by_what_it_has() -> None:
    """One keeps its valid certificate, another has nothing to lose."""
    two = worker("checkout", {None: {"BILLING": "billing"}, "staging": {"BILLING": "billing"}})
    wanted = declaring({"billing": LATER}, desired({"billing": 1}, [two]))
    there = actual(
        [stored(1, VALID, age=300), stored(2, LATER)],
        {"checkout": file({None: {"BILLING": uid(1)}, "staging": {}})},
    )
    plan = plan_of(wanted, there)
    assert (shown(plan), waits(plan)[0]) == (["bind BILLING missing"], "billing not-valid-yet")


WAITING_FOR_LATER = (
    declaring({"billing": LATER}, desired({"billing": 1}, [BILLING])),
    [stored(1, VALID, age=300), stored(2, LATER, age=1)],
    {"checkout": file({None: {"BILLING": uid(1)}})},
)


def later_plan(at: datetime = NOW, **ask: object) -> Plan:
    """The plan of a renewal that begins in ten days, at some time."""
    wanted, entries, files = WAITING_FOR_LATER
    return make_plan(judge(wanted, actual(entries, files), at, PlanOptions(**ask)))  # type: ignore[arg-type]


def test_a_binding_that_waits_says_until_when_and_that_is_next() -> None:
    """The begin of the new certificate; it is no change."""
    plan = later_plan()
    assert shown(plan) == []
    assert (plan.waiting[0].until, plan.next) == (NOW + 10 * DAY, NOW + 10 * DAY)
    assert exit_code_of(plan.diagnostics) is ExitCode.OK


@pytest.mark.parametrize(
    ("left", "is_made"),
    [(timedelta(minutes=5), True), (timedelta(minutes=5, seconds=1), False), (timedelta(seconds=1), True)],
    ids=["five minutes", "a second more", "a second"],
)
def test_apply_waits_for_a_begin_that_is_near(left: timedelta, is_made: bool) -> None:
    """Then the change says from when on it may be made; `plan` alone never waits."""
    at = NOW + 10 * DAY - left
    (first, *_) = later_plan(at, patience=PATIENCE).changes or (None,)
    assert (isinstance(first, BindingChange) and first.not_before == NOW + 10 * DAY) is is_made
    assert shown(later_plan(at)) == []


@pytest.mark.parametrize("at", [NOW, NOW + 5 * DAY, NOW + 10 * DAY, NOW + 11 * DAY, NOW + 100 * DAY], ids=str)
def test_time_alone_does_not_change_the_digest(at: datetime) -> None:
    """Before and after the begin, and for what is in its grace and what is over it; with patience or without."""
    _, entries, files = WAITING_FOR_LATER
    both = desired({"billing": 1, "ledger": 5}, [BILLING])
    content = chain(end=NOW + 400 * DAY)
    wanted = declaring({"billing": LATER, "ledger": content}, both)
    more = [stored(5, content, "@ledger", age=1), stored(6, chain(end=NOW + 300 * DAY), "@ledger", age=20)]
    plans = [
        make_plan(judge(wanted, actual([*entries, *more], files), time, PlanOptions(patience=patience)))
        for time in (NOW, at)
        for patience in (timedelta(0), PATIENCE)
    ]
    assert len({plan.digest for plan in plans}) == 1
    assert "retire ledger superseded" in shown(plans[-1]) or at < NOW + 6 * DAY


def test_the_grace_period_of_a_content_that_is_not_uploaded_counts_from_its_begin() -> None:
    """Before its upload the dates are those that it will have after it."""
    wanted, (old, _), files = WAITING_FOR_LATER
    plan = make_plan(judge(wanted, actual([old], files), NOW))
    (wait,) = [one for one in plan.waiting if one.condition is Condition.SUCCESSOR_MISSING]
    begins = NOW + 10 * DAY
    assert wait.detail.endswith(f"for a grace period of 7d from {begins:%Y-%m-%d %H:%M} UTC, its begin")
    (row,) = plan.assessment.entries
    judged = {one.condition: one for one in conditions_of(row, scene_of(plan.assessment))}
    not_valid, grace = judged[Condition.SUCCESSOR_NOT_VALID], judged[Condition.GRACE]
    assert (not_valid.holds, not_valid.until) == (False, begins)
    assert (grace.holds, grace.until) == (False, begins + 7 * DAY)


def test_the_digest_changes_with_what_waits() -> None:
    """Another certificate that begins later is another intent."""
    _, entries, files = WAITING_FOR_LATER
    other = declaring({"billing": LATER_STILL}, desired({"billing": 1}, [BILLING]))
    there = actual([entries[0], stored(3, LATER_STILL, age=1)], files)
    assert plan_of(other, there).digest != later_plan().digest


def test_what_waited_in_a_saved_plan_stays_waiting_when_its_time_has_come() -> None:
    """It is no reason to call the saved plan stale, and it is not made on its word."""
    saved = read_plan(to_json(plan_document(later_plan(), lambda _: None)).encode(), "plan.json")
    assert saved.digest == later_plan().digest
    approved = approve(later_plan(NOW + 11 * DAY), saved)
    assert (shown(approved), waits(approved)) == ([], ["billing not-in-plan", "billing bindings-pending"])


# --- uploads, gaps, what is due --------------------------------------------------------------------------------------


def test_an_upload_goes_ahead_and_the_quota_counts_both() -> None:
    """Only the binding waits."""
    wanted, entries, files = WAITING_FOR_LATER
    plan = plan_of(wanted, actual(entries[:1], files))
    assert shown(plan) == ["upload billing content-changed"]
    assert waits(plan) == ["billing not-valid-yet", "billing successor-missing"]
    assert plan.quota is not None
    assert (plan.quota.leaf.now, plan.quota.leaf.after) == (1, 2)


def test_an_upload_that_has_to_be_proved_before_waits_with_its_binding() -> None:
    """No origin accepts it yet, so the proof can't be made."""
    gated = certificate("billing", verify=Origin("https://billing.example"), verify_before=(Gate.UPLOAD,))
    wanted = declaring({"billing": LATER}, desired({"billing": 1}, [BILLING], declared=[gated]))
    _, entries, files = WAITING_FOR_LATER
    for found in (files, {"checkout": file({})}):
        plan = plan_of(wanted, actual(entries[:1], found))
        assert shown(plan) == []
        assert [(one.change.action, one.condition, one.until) for one in plan.waiting if one.entry is None] == [
            ("upload", "not-valid-yet", NOW + 10 * DAY),
            ("rebind" if found is files else "bind", "not-valid-yet", NOW + 10 * DAY),
        ]
        assert plan.digest == plan_of(wanted, actual(entries[:1], found), now=NOW + 11 * DAY).digest


SHORT = chain(end=NOW + 6 * DAY)


def test_a_gap_between_two_certificates_is_reported_from_the_first_day() -> None:
    """With both times."""
    wanted = declaring({"billing": LATER}, desired({"billing": 1}, [BILLING]))
    there = actual([stored(1, SHORT, age=300), stored(2, LATER)], {"checkout": file({None: {"BILLING": uid(1)}})})
    (gap,) = [one for one in plan_of(wanted, there).diagnostics if one.code == "validity-gap"]
    assert all(f"{at:%Y-%m-%dT%H:%M:%SZ}" in gap.message for at in (NOW + 6 * DAY, NOW + 10 * DAY))
    assert [one.code for one in later_plan().diagnostics if one.code == "validity-gap"] == []


def test_what_is_due_and_expired_follows_what_is_bound() -> None:
    """A renewal that waits, or that is not applied yet, ends nothing."""
    wanted = declaring({"billing": LATER}, desired({"billing": 1}, [BILLING]))
    there = actual([stored(1, SHORT, age=300), stored(2, LATER)], {"checkout": file({None: {"BILLING": uid(1)}})})
    (due,) = plan_of(wanted, there).due
    assert (due.not_after, due.renewed) == (NOW + 6 * DAY, True)
    unbound = actual([stored(2, LATER)], {"checkout": file({})})
    (due,) = plan_of(wanted, unbound).due
    assert (due.not_after, due.renewed) == (END, False)


def test_what_is_expired_and_in_use_comes_first_and_once() -> None:
    """By name with all of its bindings, and by id; what moves away from it is not in use any more."""
    two = worker("checkout", {None: {"A": "billing", "B": "billing", "C": f"id:{uid(9)}", "D": "ledger"}})
    wanted = declaring({"billing": ENDED, "ledger": VALID}, desired({"billing": 1, "ledger": 2}, [two]))
    there = actual(
        [stored(1, ENDED), stored(2, VALID, "@ledger"), stored(9, ENDED_BEFORE, "theirs")],
        {"checkout": file({None: {"A": uid(1), "B": uid(1), "C": uid(9), "D": uid(9)}})},
    )
    plan = plan_of(wanted, there)
    assert codes(plan)[:2] == ["bound-expired", "bound-expired"]
    assert codes(plan).count("bound-expired") == 2
    assert "certificate-expired" not in codes(plan)
    assert "and 1 more" in plan.diagnostics[0].message
    assert uid(9) in plan.diagnostics[1].message
    assert shown(plan) == ["rebind D wrong-id"]


@pytest.mark.parametrize(
    ("declared", "entries", "more", "hint"),
    [
        (ENDED, [stored(1, ENDED)], {}, "get a new certificate, replace certs/billing.pem"),
        (ENDED, [stored(1, ENDED), stored(2, VALID, age=20)], {}, f"{uid(2)} is uploaded and valid: restore its file"),
        (VALID, [stored(1, ENDED), stored(2, VALID, age=20)], {"OTHER": real(1)}, f"{uid(2)} is valid: fix what keeps"),
    ],
    ids=["nothing valid", "a newer upload", "the current one, and the file is held"],
)
def test_the_hint_for_an_expired_certificate_names_the_valid_one_that_is_uploaded(
    declared: Bundle, entries: list[Entry], more: dict[str, str], hint: str
) -> None:
    """A new certificate is needed only if none is."""
    wanted = declaring({"billing": declared}, desired({"billing": 1}, [BILLING]))
    plan = plan_of(wanted, actual(entries, {"checkout": file({None: {"BILLING": uid(1), **more}})}))
    (found,) = [one for one in plan.diagnostics if one.code == "bound-expired"]
    assert (found.hint or "").startswith(hint)


def test_grace_counts_from_the_begin_of_the_successor() -> None:
    """It was uploaded long before, and began three days ago."""
    began = chain(begin=NOW - 3 * DAY)
    wanted = declaring({"billing": began}, desired({"billing": 1}, [BILLING]))
    entries = [stored(1, VALID, age=300), stored(2, began, age=100)]
    (waiting,) = plan_of(wanted, actual(entries, {"checkout": file({None: {"BILLING": uid(2)}})})).waiting
    assert (waiting.condition, waiting.until) == (Condition.GRACE, NOW + 4 * DAY)


def test_skipping_the_grace_does_not_skip_the_wait_for_the_successor() -> None:
    """`retire --now` is for a leaked key, and a key that leaked still serves until there is another."""
    wanted, entries, _ = WAITING_FOR_LATER
    there = actual(entries, {"checkout": file({None: {"BILLING": uid(2)}})})
    plan = make_plan(judge(wanted, there, NOW, PlanOptions(skip_grace="billing")))
    assert waits(plan) == ["billing successor-not-valid"]


def test_of_a_ca_file_every_certificate_counts() -> None:
    """Each of them is a CA of its own."""
    old = make_ca("Old CA", not_after=NOW - DAY)
    text = "".join(encode("CERTIFICATE", one.certificate.public_bytes(Encoding.DER)) for one in (ROOT, old))
    both = parse_stored(text)
    assert both is not None
    assert window_of(both, now=NOW, ca=True).has_ended(NOW)
    assert not window_of(both, now=NOW).has_ended(NOW)


def test_output_gives_what_a_binding_would_get_now() -> None:
    """While the renewed certificate has not begun, the one before; one that has ended is given to nobody."""
    assert find_current("billing", later_plan()).entry.id == uid(1)
    assert find_current("billing", later_plan(NOW + 11 * DAY)).entry.id == uid(2)
    _, entries, files = WAITING_FOR_LATER
    alone = declaring({"billing": LATER}, desired({"billing": 1}, [BILLING]))
    assert find_current("billing", plan_of(alone, actual(entries[1:], files))).entry.id == uid(2)
    ended = declaring({"billing": ENDED}, desired({"billing": 1}, [BILLING]))
    with pytest.raises(InputError) as caught:
        find_current("billing", plan_of(ended, actual([stored(1, ENDED)], {"checkout": file({})})))
    assert caught.value.diagnostics()[0].code == "certificate-expired"


# --- what reports say of it ------------------------------------------------------------------------------------------


def test_a_binding_that_waits_is_no_drift_and_no_change_in_any_report() -> None:
    """Plan, drift, status and explain say the same."""
    plan = later_plan()
    drift = make_drift(plan)
    assert (drift.exit_code, drift.findings, len(drift.waiting)) == (ExitCode.OK, (), 1)
    (status,) = make_status(plan).certificates
    assert [place.standing for place in status.places] == [Standing.WAITING]
    (story,) = tell_bindings(plan.assessment)
    assert (story.action, story.what) == (None, f"waits until {NOW + 10 * DAY:%Y-%m-%d %H:%M} UTC")
    assert "  . checkout  top level  BILLING  " in render_plan(plan, PLAIN)


def test_what_is_in_use_before_it_begins_is_reported_as_that() -> None:
    """Bound early because there was nothing else; the clock of this machine is not in doubt."""
    wanted = declaring({"billing": LATER}, desired({"billing": 1}, [BILLING]))
    plan = plan_of(wanted, actual([stored(2, LATER, age=1)], {"checkout": file({None: {"BILLING": uid(2)}})}))
    assert (shown(plan), codes(plan)) == ([], ["bound-before-valid"])


def test_a_change_of_remote_leaves_an_expired_certificate_in_use() -> None:
    """The binding is written, its id is not changed."""
    remote = replace(
        BILLING, environments={None: tuple(replace(one, remote=True) for one in BILLING.environments[None])}
    )
    wanted = declaring({"billing": ENDED}, desired({"billing": 1}, [remote]))
    plan = plan_of(wanted, actual([stored(1, ENDED)], {"checkout": file({None: {"BILLING": uid(1)}})}))
    assert (shown(plan), codes(plan)[0]) == (["rebind BILLING remote-differs"], "bound-expired")


def test_nothing_goes_back_from_a_certificate_that_never_began() -> None:
    """A mistake that is put right is no revert."""
    wanted = declaring({"billing": VALID}, desired({"billing": 1}, [BILLING]))
    later = chain(begin=NOW + 2 * DAY, end=NOW + 50 * DAY)
    there = actual([stored(2, later, age=1)], {"checkout": file({None: {"BILLING": uid(2)}})})
    assert "previous-entry-gone" not in codes(plan_of(wanted, there))


def test_a_file_that_goes_back_to_an_expired_certificate_renews_nothing() -> None:
    """What is in use stays what is due."""
    wanted = declaring({"billing": ENDED}, desired({"billing": 1}, [BILLING]))
    there = actual(
        [stored(1, ENDED, age=50), stored(2, VALID, age=20)], {"checkout": file({None: {"BILLING": uid(2)}})}
    )
    plan = plan_of(wanted, there)
    assert [(due.not_after, due.renewed) for due in plan.due] == [(END, False)]
    assert [item.not_after for item in make_forecast(plan, 3000).calendar if not item.again] == [END]


def test_a_plan_says_that_apply_would_wait() -> None:
    """It begins within five minutes."""
    (waiting, *_) = later_plan(NOW + 10 * DAY - timedelta(minutes=3)).waiting
    assert "`mtlsctl apply` waits for it" in waiting.detail


@pytest.mark.parametrize(
    ("target", "verdict"),
    [(ENDED, "held"), (LATER, "waits"), (chain(end=NOW + 50 * DAY), "deploys")],
    ids=["ended", "later", "valid"],
)
@pytest.mark.parametrize("is_live_valid", [True, False], ids=["live valid", "live ended"])
def test_no_deploy_replaces_a_valid_live_certificate_by_one_that_is_not(
    target: Bundle, verdict: str, is_live_valid: bool
) -> None:
    """A revert, or an id written by hand; where nothing valid is live there is nothing to lose."""
    live_id, file_id = real(1), real(2)
    live_content = VALID if is_live_valid else ENDED_BEFORE
    entries = [replace(stored(1, live_content, "a"), id=live_id), replace(stored(2, target), id=file_id)]
    wanted = declaring({"billing": target}, desired({"billing": 1}, [BILLING], store=StoreKind.CLOUDFLARE))
    seen = Live({"shop": LiveWorker("shop", (LiveVersion("v1", {"BILLING": live_id}, 100.0),))}, whole=True)
    there = actual(entries, {"checkout": wrangler(file_id)}, live=seen)
    plan = make_plan(judge(wanted, there, NOW, PlanOptions(deploy=DeployChoice(everybody=True))))
    found = "deploys" if any(change.action is Action.DEPLOY for change in plan.changes) else "waits"
    found = "held" if "deploy-blocked" in codes(plan) else found
    assert found == (verdict if is_live_valid else "deploys")
    if found == "waits":
        assert [(one.change.action, one.until) for one in plan.waiting] == [(Action.DEPLOY, NOW + 10 * DAY)]


def test_a_deploy_that_waited_in_a_saved_plan_stays_waiting_when_its_time_has_come() -> None:
    """As a binding does: it is no reason to call the saved plan stale."""
    entries = [replace(stored(1, VALID, "a"), id=real(1)), replace(stored(2, LATER), id=real(2))]
    wanted = declaring({"billing": LATER}, desired({"billing": 1}, [BILLING], store=StoreKind.CLOUDFLARE))
    seen = Live({"shop": LiveWorker("shop", (LiveVersion("v1", {"BILLING": real(1)}, 100.0),))}, whole=True)
    there = actual(entries, {"checkout": wrangler(real(2))}, live=seen)

    def plan_at(time: datetime) -> Plan:
        return make_plan(judge(wanted, there, time, PlanOptions(deploy=DeployChoice(everybody=True))))

    first, then = plan_at(NOW), plan_at(NOW + 11 * DAY)
    saved = read_plan(to_json(plan_document(first, lambda _: None)).encode(), "plan.json")
    assert (first.digest == then.digest, [change.action for change in then.changes]) == (True, [Action.DEPLOY])
    approved = approve(then, saved)
    assert [(one.change.action, one.condition) for one in approved.waiting] == [(Action.DEPLOY, Condition.NOT_IN_PLAN)]
    assert approved.changes == ()


def having(ids: Mapping[str, EntryId]) -> WranglerFile:
    """The wrangler file of the Worker shop, with these bindings."""
    made = wrangler(real(1))
    top = replace(made.environments[None], bindings=file({None: dict(ids)}).environments[None].bindings)
    return replace(made, environments={None: top})


def live_with(ids: Mapping[str, EntryId]) -> Live:
    """The Worker shop, live with these."""
    return Live({"shop": LiveWorker("shop", (LiveVersion("v1", dict(ids), 100.0),))}, whole=True)


def test_with_only_no_worker_is_deployed_of_which_a_binding_is_left_out() -> None:
    """It keeps its ID in the file, which a deploy would make live; that one has expired."""
    entries = [
        replace(stored(1, ENDED, "a", age=300), id=real(1)),
        replace(stored(2, VALID, age=10), id=real(2)),
        replace(stored(3, OTHER, "@other", age=1), id=real(3)),
    ]
    both = worker("checkout", {None: {"BILLING": "billing", "OTHER": "other"}})
    base = desired({"billing": 1, "other": 2}, [both], store=StoreKind.CLOUDFLARE)
    seen = live_with({"BILLING": real(2), "OTHER": real(9)})
    there = actual(entries, {"checkout": having({"BILLING": real(1), "OTHER": real(9)})}, live=seen)
    choice = PlanOptions(deploy=DeployChoice(everybody=True))
    assessment = judge(declaring({"billing": VALID, "other": OTHER}, base), there, NOW, choice)
    assert Action.DEPLOY in {change.action for change in make_plan(assessment).changes}
    only = make_plan(assessment, Selection(("other",)))
    assert [change.action for change in only.changes] == [Action.REBIND]


def test_a_deploy_removes_no_declared_binding_that_is_live() -> None:
    """The file lost it, and what would write it again is held."""
    wanted = declaring({"billing": ENDED}, desired({"billing": 1}, [BILLING], store=StoreKind.CLOUDFLARE))
    entries = [replace(stored(1, VALID), id=real(1))]
    seen = live_with({"BILLING": real(1), "GONE": real(1)})
    there = actual(entries, {"checkout": having({})}, live=seen)
    plan = make_plan(judge(wanted, there, NOW, PlanOptions(deploy=DeployChoice(everybody=True))))
    assert [change for change in plan.changes if change.action is Action.DEPLOY] == []
    assert "deploy-blocked" in codes(plan)
