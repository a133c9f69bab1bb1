"""`status`: urgency, places, what waits, what needs attention; as a pure function and at the command line."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from reconciler.model import Actual, Desired, RenewBefore
from reconciler.reports.status import CertificateStatus, Standing, Status, Urgency, make_status
from reconciler.views.text.status import distance_text, render_status
from reconciler.views.text.style import PLAIN
from tests.cli.test_canaries import search
from tests.plan.test_dates import later_plan
from tests.support.cli import MTLS, Project
from tests.support.pki import DAY, END, NOW
from tests.support.worlds import actual, certificate, desired, entry, file, issued, plan_of, uid, worker

BILLING = worker("checkout", {None: {"BILLING": "billing"}})
HOSTILE = "\x1b[2Jx\u202ey\n::error::z"


def status_of(wanted: Desired, there: Actual, *, now: datetime = NOW) -> Status:
    """The status of a world."""
    return make_status(plan_of(wanted, there, now=now))


def only(status: Status) -> CertificateStatus:
    """Its one certificate."""
    (found,) = status.certificates
    return found


@pytest.mark.parametrize(
    ("now", "urgency"),
    [
        (NOW, Urgency.LATER),
        (END - timedelta(days=30), Urgency.DUE),
        (END, Urgency.DUE),
        (END + timedelta(seconds=1), Urgency.EXPIRED),
    ],
    ids=["long before", "thirty days before its end", "in its last second", "a second later"],
)
def test_urgency_is_told_by_renewal_and_end(now: datetime, urgency: Urgency) -> None:
    """Due from the start of the renewal, expired after the last second."""
    assert only(status_of(desired({"billing": 1}), actual(), now=now)).urgency is urgency


def test_a_bad_file_has_an_urgency_of_its_own_and_no_dates() -> None:
    """Nobody knows when it ends, so it stands before what is known to be fine."""
    status = status_of(desired({"aaa": 1, "billing": None}), actual())
    assert [(item.certificate, item.urgency) for item in status.certificates] == [
        ("billing", Urgency.UNREADABLE),
        ("aaa", Urgency.LATER),
    ]
    assert status.certificates[0].due is None


def test_the_most_urgent_stands_first() -> None:
    """By the start of the renewal, then by name."""
    early = certificate("zzz", renew_before=RenewBefore(timedelta(days=300)))
    status = status_of(desired({"bbb": 1, "aaa": 2, "zzz": 3}, declared=[early]), actual())
    assert [item.certificate for item in status.certificates] == ["zzz", "aaa", "bbb"]


@pytest.mark.parametrize(
    ("ids", "standing"),
    [
        ({"BILLING": uid(1)}, Standing.IN_PLACE),
        ({"BILLING": uid(2)}, Standing.OTHER_ID),
        ({"BILLING": "<ID>"}, Standing.OTHER_ID),
        ({}, Standing.MISSING),
    ],
    ids=["its own id", "another id", "a placeholder", "no such binding"],
)
def test_a_declared_binding_says_how_it_stands(ids: dict[str, str], standing: Standing) -> None:
    """What the file has, beside the current entry."""
    there = actual([entry(1, 1, "@billing")], {"checkout": file({None: ids})})
    (place,) = only(status_of(desired({"billing": 1}, [BILLING]), there)).places
    assert (place.standing, place.found) == (standing, ids.get("BILLING"))


def test_a_missing_environment_is_a_binding_that_is_missing() -> None:
    """The file lacks the whole environment."""
    wanted = desired({"billing": 1}, [worker("checkout", {"prod": {"BILLING": "billing"}})])
    there = actual([entry(1, 1, "@billing")], {"checkout": file({})})
    (place,) = only(status_of(wanted, there)).places
    assert (place.at.environment, place.standing) == ("prod", Standing.MISSING)


def test_places_that_nobody_declares_are_named_too() -> None:
    """The current entry and one that waits, wherever declared wrangler files have them, each file once."""
    found = file({None: {"BILLING": uid(1), "MORE": uid(1)}, "prod": {"OLD": uid(2)}})
    workers = [BILLING, worker("twin", {"staging": {}})]
    there = actual([entry(1, 1, "@billing"), entry(2, 2, "@billing", age=60)], {"checkout": found, "twin": found})
    places = only(status_of(desired({"billing": 1}, workers), there)).places
    assert [(place.at.binding, place.standing) for place in places] == [
        ("BILLING", Standing.IN_PLACE),
        ("MORE", Standing.UNDECLARED),
        ("OLD", Standing.UNDECLARED),
    ]


def test_a_binding_by_id_is_a_place_of_the_certificate_with_that_entry() -> None:
    """Declared, by another word."""
    wanted = desired({"billing": 1}, [worker("checkout", {None: {"BILLING": f"id:{uid(1)}"}})])
    there = actual([entry(1, 1, "@billing")], {"checkout": file({None: {"BILLING": uid(1)}})})
    (place,) = only(status_of(wanted, there)).places
    assert place.standing is Standing.IN_PLACE


def test_changes_that_wait_for_a_certificate_to_begin_have_the_date_and_a_block() -> None:
    """In the table, and once with the reason below its bindings."""
    text = render_status(make_status(later_plan()), PLAIN)
    until = f"{NOW + 10 * DAY:%Y-%m-%d}"
    assert f", 1 change waits until {until}\n" in text
    assert "\nbilling\n  expires " in text
    assert f"  waiting    1 change waits until {until} 12:00 UTC: the new certificate is not valid yet" in text


def test_what_waits_stands_with_its_certificate_and_orphans_apart() -> None:
    """A certificate that left the file has no line of its own."""
    entries = [entry(1, 1, "@billing", age=1), entry(2, 2, "@billing"), entry(3, 3, "@gone")]
    there = actual(entries, {"checkout": file({None: {"BILLING": uid(1)}})})
    status = status_of(desired({"billing": 1}, [BILLING]), there)
    assert [kept.waiting.entry.id for kept in only(status).waiting if kept.waiting.entry] == [uid(2)]
    assert [kept.waiting.entry.id for kept in status.orphaned if kept.waiting.entry] == [uid(3)]
    text = render_status(replace(status, asked=True), PLAIN)
    until = "deleted from 2026-11-29 12:00 UTC on, once nothing uses it"
    assert f"kept       {uid(2)} (old): its grace period is not over; {until}" in text
    assert (
        f"\ngone (removed from mtls.toml)\n  kept       {uid(3)} (removed): its certificate was removed from mtls.toml"
        in text
    )


@pytest.mark.parametrize(
    ("away", "text"),
    [
        (timedelta(days=30), "in 30 days"),
        (timedelta(hours=47), "in 47 hours"),
        (timedelta(hours=1, minutes=59), "in 1 hour"),
        (timedelta(minutes=5), "in less than an hour"),
        (-timedelta(minutes=5), "less than an hour ago"),
        (-timedelta(days=2), "2 days ago"),
    ],
    ids=str,
)
def test_distances_are_in_the_unit_that_a_person_would_use(away: timedelta, text: str) -> None:
    """Rounded down: nobody is told more time than there is."""
    assert distance_text(NOW + away, NOW) == text


def test_hostile_names_are_text() -> None:
    """Environments, bindings, ids and owners are others' words."""
    wanted = desired(
        {"billing": 1},
        [worker("checkout", {HOSTILE: {HOSTILE: "billing"}})],
        declared=[certificate("billing", owner=HOSTILE)],
    )
    there = actual([entry(1, 1, HOSTILE)], {"checkout": file({HOSTILE: {HOSTILE: HOSTILE}}, path=HOSTILE)})
    text = render_status(replace(status_of(wanted, there), asked=True), PLAIN)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert not any(line.lstrip().startswith("::") for line in text.splitlines())


# --- at the command line --------------------------------------------------------------------------------------------


def test_before_apply_it_says_not_stored_and_what_is_pending(project: Project) -> None:
    """Nothing is made by looking, and pending changes are no failure."""
    assert "\n0 ok, 1 not applied, 0 due, 0 expired. Expires first: billing in " in project.run("status").out
    result = project.run("status", "billing")
    assert result.code == 0
    assert "  uploaded   no\n" in result.out
    assert "  not bound  BILLING of checkout (top level): it has <CERTIFICATE_ID>\n" in result.out
    assert "\nPending: 1 upload, 1 config change. Next: mtlsctl plan\n" in result.out
    assert not (project.folder / ".mtlsctl").exists()


def test_after_apply_it_says_where_it_is_bound_and_that_all_is_well(project: Project) -> None:
    """Without a key at hand: status opens none."""
    project.run("apply", "--yes")
    project.environ.clear()
    result = project.run("status")
    assert result.code == 0
    assert " 1 binding  -      ok\n" in result.out
    assert "Pending" not in result.out
    assert re.search(r"\n1 ok, 0 due, 0 expired. Expires first: billing in \d+ days.\n\Z", result.out)
    assert result.err == ""


def test_json_is_one_document_and_out_writes_the_same(project: Project) -> None:
    """For a dashboard or a scheduler."""
    project.run("apply", "--yes")
    result = project.run("status", "--format", "json", "--out", "status.json")
    document = result.json
    assert document["format"] == "mtlsctl.status/1"
    (found,) = document["certificates"]
    assert found["urgency"] == "later"
    assert found["places"] == [
        {
            "worker": "checkout",
            "config": "wrangler.toml",
            "binding": "BILLING",
            "standing": "in-place",
            "found": found["entry"],
        }
    ]
    assert project.read("status.json") == result.out


def test_an_error_is_what_needs_attention_and_ends_with_1(project: Project) -> None:
    """With its place, and with everything else shown all the same."""
    project.write("mtls.toml", MTLS + '[certificates.bad]\ncertificate = "certs/bad.pem"\nca = true\n')
    project.write("certs/bad.pem", "no certificate")
    result = project.run("status")
    assert result.code == 1
    attention = result.out.partition("\nbad\n")[2]
    assert "error[" in attention
    assert "at   certs/bad.pem" in attention
    assert "\nbad\n  expires    unknown: its file can't be used\n" in result.out
    document = project.run("status", "--format", "json").json
    assert any(problem.get("path") == "certs/bad.pem" for problem in document["diagnostics"])


def test_no_key_ever_shows(project: Project) -> None:
    """Not in text, JSON, or what is said of a broken file."""
    project.environ["CLOUDFLARE_API_TOKEN"] = "canary-token-value"
    project.write("certs/billing.pem", issued(1).key_pem)
    results = [project.run("status", "--verbose"), project.run("status", "--format", "json", "--out", "status.json")]
    assert [result.code for result in results] == [1, 1]
    search(project, results, (1,), ("certs/billing.pem",))
    assert not any("canary-token-value" in result.out + result.err for result in results)
