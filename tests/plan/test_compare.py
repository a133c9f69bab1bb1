"""What differs between the reviewed plan and the one found now: exactly, as changes, and never without an end."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from cryptography import x509

from reconciler.findings.differences import Comparison, Differences, PlanDifference
from reconciler.findings.errors import StalePlanError
from reconciler.model import (
    Action,
    BindingAddress,
    BindingChange,
    BindingName,
    CertificateName,
    Change,
    Deploy,
    Desired,
    EntryId,
    Gate,
    Reason,
    Retire,
    SiteAddress,
    ToPresent,
    Upload,
    Verify,
    WorkerLabel,
)
from reconciler.plan.approval import approve
from reconciler.plan.compare import MOST, compare_plans
from reconciler.plan.differences import changed_texts
from reconciler.plan.plan import Plan
from reconciler.x509.certificates import Bundle
from tests.support.pki import END, NOW, make_ca
from tests.support.reports import OFFLINE, PLAN
from tests.support.worlds import actual, certificate, desired, entry, file, plan_of, uid, worker

BILLING = CertificateName("billing")
CONFIG = "workers/checkout/wrangler.toml"
UPLOAD = Upload(BILLING, "12" * 32, "payments.billing.121212121212", (Reason.MISSING,))
BIND = BindingChange(
    Action.REBIND,
    BindingAddress(WorkerLabel("checkout"), CONFIG, "staging", BindingName("BILLING")),
    (Reason.CONTENT_CHANGED,),
    BILLING,
    "12" * 32,
    before=uid(1),
)
DEPLOY = Deploy(
    SiteAddress(WorkerLabel("checkout"), CONFIG, None),
    "checkout",
    (Reason.LIVE_DIFFERS,),
    (ToPresent("BILLING", EntryId(uid(1)), "12" * 32, BILLING), ToPresent("OTHER", None)),
    ("v1", "v2"),
)
PROOF = Verify(BILLING, "12" * 32, "https://a.example", Gate.UPLOAD)
RETIRE = Retire(entry(1, 1), BILLING, "12" * 32, (Reason.SUPERSEDED,))
EMPTY = replace(OFFLINE, unknown=())


def compare(found: list[Change], reviewed: list[Change]) -> Differences:
    """The differences of two lists of changes, of plans that know nothing else."""
    return compare_plans(replace(EMPTY, changes=tuple(found)), EMPTY, found, reviewed)


def told(found: list[Change], reviewed: list[Change]) -> list[tuple[str, str]]:
    return [(one.difference, one.what) for one in compare(found, reviewed).shown]


def fields(found: Change, reviewed: Change) -> dict[str, tuple[str | None, str | None]]:
    """The fields of the one difference: reviewed, found."""
    (one,) = compare([found], [reviewed]).shown
    assert (one.difference, one.detail) == (Comparison.DIFFERENT, None)
    return {field.field: (field.reviewed, field.found) for field in one.fields or ()}


def moved(binding: str) -> BindingChange:
    return replace(BIND, at=replace(BIND.at, binding=BindingName(binding)))


@pytest.mark.parametrize("change", [UPLOAD, BIND, DEPLOY, PROOF, RETIRE], ids=lambda one: type(one).__name__)
def test_a_change_is_added_gone_or_the_same(change: Change) -> None:
    """Of every kind; what is the same is not told."""
    assert compare([change], [change]) == Differences()
    ((kind, what),) = told([change], [])
    assert kind == "added"
    assert told([], [change]) == [("gone", what)]
    assert what.startswith(change.action)


def test_times_and_reasons_are_no_difference() -> None:
    """They do not make a plan stale, so they must not be told as if they did."""
    later = replace(BIND, reasons=(Reason.WRONG_ID,), not_before=NOW)
    assert compare([later], [BIND]) == Differences()


@pytest.mark.parametrize(
    ("found", "reviewed", "differs"),
    [
        (
            replace(UPLOAD, digest="ab" * 32, leaf="cd"),
            UPLOAD,
            {"content_digest": ("12" * 32, "ab" * 32), "leaf": (None, "cd")},
        ),
        (replace(BIND, digest="ab" * 32), BIND, {"content_digest": ("12" * 32, "ab" * 32)}),
        (replace(BIND, before=uid(2)), BIND, {"before": (uid(1), uid(2))}),
        (replace(BIND, remote=True), BIND, {"remote": (None, "true")}),
        (
            BindingChange(Action.UNBIND, BIND.at, (Reason.REMOVED,), before=uid(1)),
            BIND,
            {"action": ("rebind", "unbind"), "certificate": ("billing", None), "content_digest": ("12" * 32, None)},
        ),
        (
            BindingChange(Action.REBIND, BIND.at, (), before=uid(1), after=EntryId(uid(3))),
            BindingChange(Action.REBIND, BIND.at, (), before=uid(1), after=EntryId(uid(2))),
            {"id": (uid(2), uid(3))},
        ),
        (
            replace(DEPLOY, script="other", bindings=(ToPresent("OTHER", None, "ab" * 32),)),
            DEPLOY,
            {
                "script": ("checkout", "other"),
                "presents BILLING": ("12" * 32, None),
                "presents OTHER": (None, "ab" * 32),
            },
        ),
        (DEPLOY, replace(DEPLOY, serving=("v1",)), {"ends": (None, "a gradual deployment")}),
        (replace(PROOF, origin="https://b.example"), PROOF, {"origin": ("https://a.example", "https://b.example")}),
        (replace(RETIRE, digest="ab" * 32), RETIRE, {"content_digest": ("12" * 32, "ab" * 32)}),
    ],
    ids=["upload", "content", "before", "remote", "unbind", "by id", "deploy", "gradual", "proof", "retire"],
)
def test_two_changes_at_one_place_tell_the_fields_that_differ(
    found: Change, reviewed: Change, differs: dict[str, tuple[str | None, str | None]]
) -> None:
    """And no other field."""
    assert fields(found, reviewed) == differs


def test_a_gradual_deployment_that_ended_is_no_difference() -> None:
    """The deploy does less than was approved."""
    assert compare([replace(DEPLOY, serving=())], [DEPLOY]) == Differences()


def test_what_is_different_comes_first_and_what_is_gone_last() -> None:
    """What makes the plan stale is read first."""
    found: list[Change] = [replace(UPLOAD, digest="ab" * 32), moved("NEW"), BIND]
    assert [kind for kind, _ in told(found, [PROOF, UPLOAD, BIND])] == ["different", "added", "gone"]


def test_a_place_that_has_several_changes_has_no_pair() -> None:
    """It is unknown which became which."""
    twice: list[Change] = [replace(UPLOAD, digest="ab" * 32), replace(UPLOAD, digest="cd" * 32)]
    assert [kind for kind, _ in told(twice, [UPLOAD])] == ["added", "added", "gone"]


def test_of_many_differences_the_first_are_told_and_the_others_counted() -> None:
    """A plan of thousands of bindings is not compared field by field."""
    changes: list[Change] = [moved(f"B{number}") for number in range(5000)]
    others: list[Change] = [replace(moved(f"B{number}"), digest="ab" * 32) for number in range(5000)]
    begin = time.monotonic()
    found = compare(others, changes)
    assert (len(found.shown), found.more) == (MOST, 5000 - MOST)
    assert time.monotonic() - begin < 5


# --- with the certificates ------------------------------------------------------------------------------------------

ROOT = make_ca("Root")


def plan_with(bundle: Bundle) -> Plan:
    wanted = desired({"billing": 1}, declared=[certificate("billing")])
    return plan_of(Desired(wanted.declaration, {BILLING: bundle}), actual(()))


def upload_fields(before: Bundle, after: Bundle) -> dict[str, tuple[str | None, str | None]]:
    found, saved = plan_with(after), plan_with(before)
    with pytest.raises(StalePlanError) as error:
        approve(found, saved)
    (one,) = error.value.differences.shown
    assert (one.difference, one.what) == (Comparison.DIFFERENT, "upload billing")
    return {field.field: (field.reviewed, field.found) for field in one.fields or ()}


def test_an_upload_of_another_certificate_tells_what_is_different_in_it() -> None:
    """By which a person knows it: not only that its digest is another one."""
    before, after = (
        ROOT.issue("billing"),
        make_ca("Other").issue("billing", key="rsa2048", not_after=END.replace(year=2028)),
    )
    found = upload_fields(before.bundle, after.bundle)
    assert found["issuer"] == ("CN=Root", "CN=Other")
    assert found["key"] == ("EC P-256", "RSA 2048")
    assert found["not_after"] == ("2027-10-24T12:00:00Z", "2028-10-24T12:00:00Z")
    assert found["content_digest"] == (before.bundle.digest, after.bundle.digest)
    assert {"serial", "fingerprint", "key_digest", "valid_until"} <= found.keys()
    assert not {"subject", "not_before", "path", "subject_alternative_names"} & found.keys()


def test_of_names_those_are_told_that_only_one_certificate_has() -> None:
    """One more name among a hundred is seen."""
    names = [x509.DNSName(f"n{number}.example") for number in range(60)]
    before, after = ROOT.issue("a", san=tuple(names)), ROOT.issue("a", san=(x509.DNSName("evil.example"), *names[1:]))
    found = upload_fields(before.bundle, after.bundle)
    assert found["subject_alternative_names"] == ("DNS:n0.example", "DNS:evil.example")


def test_of_a_plan_without_facts_the_digests_are_told() -> None:
    """An earlier version saved it."""
    found = fields(replace(UPLOAD, digest="ab" * 32), UPLOAD)
    assert list(found) == ["content_digest"]


# --- why something is gone ------------------------------------------------------------------------------------------

WORKER = [worker("checkout", {None: {"BILLING": "billing"}})]


def gone(found: Plan, reviewed: Plan) -> list[PlanDifference]:
    return [
        one
        for one in compare_plans(found, reviewed, found.changes, reviewed.changes).shown
        if one.difference is Comparison.GONE
    ]


def test_what_can_not_be_checked_now_says_so() -> None:
    """Or it would look as if it had been made."""
    wanted, broken = desired({"billing": 1}, WORKER), desired({"billing": None}, WORKER)
    files = {"checkout": file({None: {"BILLING": "<CERTIFICATE_ID>"}})}
    before, now = plan_of(wanted, actual((), files)), plan_of(broken, actual((), files))
    (upload, _) = gone(now, before)
    assert (upload.what, upload.detail) == ("upload billing", "it could not be checked")


def test_what_waits_now_says_for_what() -> None:
    """A deletion of the reviewed plan whose grace was made longer."""
    retires = [one for one in PLAN.changes if isinstance(one, Retire)]
    waiting = replace(EMPTY, waiting=tuple(one for one in PLAN.waiting if one.change in retires))
    (one,) = compare_plans(waiting, EMPTY, (), retires).shown
    assert one.detail == "it waits: its grace period is not over"
    assert one.entry == retires[0].entry.id


def test_what_was_made_meanwhile_says_nothing() -> None:
    """It is what a retried job finds."""
    assert [one.detail for one in compare([], [UPLOAD, BIND]).shown] == [None, None]


# --- hostile plans ---------------------------------------------------------------------------------------------------


def test_texts_of_many_lines_are_compared_at_once() -> None:
    """A plan file is of others: a library that compares lines with lines would take hours."""
    before = {"subject": "\n".join(map(str, range(50_000)))}
    after = {"subject": "\n".join(str(number * 7 % 50_000) for number in range(50_000))}
    begin = time.monotonic()
    assert changed_texts(before, after) == ("subject",)
    assert time.monotonic() - begin < 5
