"""Time to outage: when calls through each binding begin to fail if nothing is done, and what monitors ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from icalendar import Calendar

from reconciler.model import BindingAddress, Entry, EntryId, Live, LiveVersion, LiveWorker, StoreKind, WranglerFile
from reconciler.plan.assess import judge
from reconciler.plan.plan import Plan, make_plan
from reconciler.reports.metrics import make_metrics
from reconciler.reports.outage import Outage
from reconciler.reports.status import Alarm, FailOn, Status, fail_on, make_status
from reconciler.views.table import Display, render
from tests.plan.test_dates import ENDED, LATER, SHORT, VALID, declaring, later_plan, stored
from tests.plan.test_retire_live import real, wrangler
from tests.support.cli import Project
from tests.support.pki import DAY, END, NOW
from tests.support.worlds import actual, desired, file, uid, worker

ENTRIES = (
    stored(1, VALID, age=9),
    stored(2, SHORT, age=300),
    stored(3, ENDED, "theirs"),
    stored(4, LATER, "@billing", age=1),
)
SHORT_END = NOW + 6 * DAY


def status_of(binding: str | None, *, target: str = "billing", entries: Sequence[Entry] = ENTRIES) -> Status:
    """The status of one binding that has an id; the declared certificate is valid and stored."""
    wanted = declaring({"billing": VALID}, desired({"billing": 1}, [worker("checkout", {None: {"BILLING": target}})]))
    files = {"checkout": file({None: {"BILLING": binding} if binding else {}})}
    return make_status(make_plan(judge(wanted, actual(entries, files, asked={uid(99): None}), NOW)))


@pytest.mark.parametrize(
    ("binding", "target", "time", "failing"),
    [
        (uid(1), "billing", END, False),
        (uid(2), "billing", SHORT_END, False),
        (uid(3), "billing", NOW - DAY, True),
        (uid(4), "billing", NOW - DAY, True),
        (uid(2), f"id:{uid(2)}", SHORT_END, False),
        (uid(2), f"id:{uid(1)}", SHORT_END, False),
        (uid(99), "billing", None, False),
        ("TODO", "billing", None, False),
        (None, "billing", None, False),
    ],
    ids=[
        "up to date",
        "the old one, whatever apply would do",
        "one that has ended",
        "one that has not begun",
        "by id",
        "by another id",
        "an unknown id",
        "a placeholder",
        "nothing",
    ],
)
def test_an_outage_follows_what_the_file_names(
    binding: str | None, target: str, time: datetime | None, failing: bool
) -> None:
    """Without a look at what is live that is all there is to know."""
    (outage,) = status_of(binding, target=target).outages
    assert (outage.time, outage.failing, outage.is_live) == (time, failing, False)


def live_plan(live: Live | None, wrangler_file: WranglerFile | None = None) -> Plan:
    """The plan of a Worker in an account, whose file is up to date."""
    entries = [
        replace(stored(1, VALID, age=9), id=real(1)),
        replace(stored(2, SHORT, age=300), id=real(2)),
        replace(stored(3, ENDED, "theirs"), id=real(3)),
    ]
    declared = worker("checkout", {None: {"BILLING": "billing"}})
    wanted = declaring({"billing": VALID}, desired({"billing": 1}, [declared], store=StoreKind.CLOUDFLARE))
    there = actual(entries, {"checkout": wrangler_file or wrangler(real(1))}, live=live)
    return make_plan(judge(wanted, there, NOW))


def shop(*ids: EntryId | None) -> Live:
    """What is live of the Worker: a version for each id."""
    versions = tuple(LiveVersion(f"v{number}", {"BILLING": one} if one else {}, 50.0) for number, one in enumerate(ids))
    return Live({"shop": LiveWorker("shop", versions)}, whole=True)


@pytest.mark.parametrize(
    ("live", "time", "failing", "is_live"),
    [
        (None, END, False, False),
        (shop(real(1)), END, False, True),
        (shop(real(2)), SHORT_END, False, True),
        (shop(real(1), real(2)), SHORT_END, False, True),
        (shop(real(1), real(3)), NOW - DAY, True, True),
        (shop(None), None, False, True),
        (shop(real(9)), None, False, True),
        (Live({"shop": None}), END, False, False),
        (Live(unread={"shop": "no permission"}), END, False, False),
    ],
    ids=[
        "not looked at",
        "up to date",
        "not deployed since",
        "a gradual deployment",
        "a version with one that has ended",
        "a version without the binding",
        "an id that nobody knows",
        "not in the account: what would be live",
        "could not be looked at",
    ],
)
def test_an_outage_follows_what_is_live(live: Live | None, time: datetime | None, failing: bool, is_live: bool) -> None:
    """The file may be right for weeks while the old certificate serves."""
    (outage,) = make_status(live_plan(live)).outages
    assert (outage.time, outage.failing, outage.is_live) == (time, failing, is_live)


def test_the_first_line_of_a_status_is_the_first_outage() -> None:
    """In an account it says, too, whether live Workers were checked."""
    display = Display()
    first = render(status_of(uid(2)), "text", display).splitlines()[0]
    assert first.startswith("If nothing is done, calls fail from 2026-11-29 12:00 UTC (in 6 days): first BILLING of")
    assert render(status_of(uid(3)), "text", display).splitlines()[0].startswith("CALLS FAIL NOW through BILLING of")
    assert "no outage can be predicted" in render(status_of(None), "text", display).splitlines()[0]
    assert "Not checked: live Workers" in render(make_status(live_plan(None)), "text", display)
    assert "Not checked: live Workers" not in render(make_status(live_plan(shop(real(1)))), "text", display)


@pytest.mark.parametrize(
    ("asked", "binding", "holds"),
    [
        (FailOn(Alarm.EXPIRED), uid(3), True),
        (FailOn(Alarm.EXPIRED), uid(2), False),
        (FailOn(Alarm.DUE), uid(1), False),
        (FailOn(Alarm.DUE, timedelta(days=3650)), uid(1), True),
        (FailOn(Alarm.WAITING), uid(1), False),
        (FailOn(Alarm.WITHIN, timedelta(days=6)), uid(2), True),
        (FailOn(Alarm.WITHIN, timedelta(days=5)), uid(2), False),
        (FailOn(Alarm.WITHIN, timedelta(0)), uid(3), True),
    ],
    ids=[
        "expired",
        "not expired",
        "not due",
        "due by then",
        "nothing waits",
        "within 6 days",
        "not within 5",
        "failing already",
    ],
)
def test_a_monitor_fails_on_what_it_asked_for(asked: FailOn, binding: str, holds: bool) -> None:
    """And names it in the words in which it was asked."""
    entries = ENTRIES[:1] if binding == uid(1) else ENTRIES[:3]
    status = fail_on(status_of(binding, entries=entries), [("asked", asked)])
    assert status.failed_on == (("asked",) if holds else ())


def test_due_and_gap_and_waiting_are_asked_of_the_certificates() -> None:
    """A renewal that is there already is not due; a gap, and what waits for it, is found."""
    wanted = declaring(
        {"billing": SHORT}, desired({"billing": 1}, [worker("checkout", {None: {"BILLING": "billing"}})])
    )
    files = {"checkout": file({None: {"BILLING": uid(2)}})}
    due = make_status(make_plan(judge(wanted, actual(ENTRIES[1:2], files), NOW)))
    renewed = declaring({"billing": LATER}, wanted)
    gap = make_status(make_plan(judge(renewed, actual(ENTRIES[1:2], files), NOW)))
    asked = [(alarm.value, FailOn(alarm)) for alarm in (Alarm.EXPIRED, Alarm.DUE, Alarm.GAP, Alarm.WAITING)]
    assert fail_on(due, asked).failed_on == ("due",)
    assert fail_on(gap, asked).failed_on == ("gap", "waiting")


def test_each_binding_has_its_own_sample() -> None:
    """One alert rule is enough for all of them."""
    families = {family.name: family for family in make_metrics(live_plan(shop(real(2))), "1")}
    (sample,) = families["outage_timestamp_seconds"].samples
    assert sample.value == SHORT_END.timestamp()
    assert dict(sample.labels) | {"stack": "", "account": ""} == {
        "stack": "",
        "account": "",
        "worker": "checkout",
        "environment": "",
        "binding": "BILLING",
        "certificate": "billing",
        "owner": "",
    }


def test_a_calendar_has_renewals_and_outages_and_is_the_same_each_time() -> None:
    """Read back by the library; a line end or a comma in a name adds nothing."""
    status = status_of(uid(2))
    at = status.outages[0].at
    assert isinstance(at, BindingAddress)
    odd = replace(status.outages[0], at=replace(at, config="a,b;c\r\nBEGIN:VEVENT"))
    status = replace(status, outages=(odd, *status.outages))
    text = render(status, "ics", Display())
    assert text == render(status, "ics", Display())
    events = list(Calendar.from_ical(text).walk("VEVENT"))
    assert [str(event["summary"]) for event in events] == ["Renew billing", "Calls with billing fail from 12:00 UTC"]
    assert events[1].decoded("dtstart") == SHORT_END.date()
    renewing = render(status_of(uid(1)), "ics", Display())
    assert [str(event["summary"]) for event in Calendar.from_ical(renewing).walk("VEVENT")] == [
        "Renew billing",
        "Calls with billing fail from 12:00 UTC",
    ]


def test_a_calendar_has_the_day_of_what_waits() -> None:
    """When a renewed certificate can be bound, and when its old one can be deleted."""
    events = Calendar.from_ical(render(make_status(later_plan()), "ics", Display())).walk("VEVENT")
    found = {str(event["summary"]): event.decoded("dtstart") for event in events}
    assert found["Apply billing"] == (NOW + 10 * DAY).date()
    assert found["Delete the old certificate of billing"] == (NOW + 17 * DAY).date()


def test_the_first_outage_of_none_that_is_known_is_none() -> None:
    """Nothing is bound."""
    assert status_of(None).outage is None
    assert isinstance(status_of(uid(1)).outage, Outage)


def test_at_the_command_line_what_was_asked_for_ends_with_2(project: Project) -> None:
    """Repeatable; what is no condition is wrong use."""
    project.run("apply", "--yes")
    assert project.run("status", "--fail-on", "expired", "--fail-on", "within=1d").code == 0
    result = project.run("status", "--fail-on", "expired", "--fail-on", "within=3000d", "--format", "json")
    assert (result.code, result.json["failed_on"]) == (2, ["within=3000d"])
    for wrong in ("soon", "within", "within=x", "gap=3d", "due=x", "within=99999999d"):
        assert project.run("status", "--fail-on", wrong).code == 64
