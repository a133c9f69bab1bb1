"""A status as a calendar (RFC 5545): when to renew what, and when calls begin to fail if nothing is done.

A pure view; the library that writes it is the extra `calendar`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from reconciler.findings.codes import Code
from reconciler.findings.errors import ReconcilerError
from reconciler.findings.escape import printable
from reconciler.model import BindingAddress
from reconciler.model.words import environment_text
from reconciler.plan.renewals import Due
from reconciler.reports.outage import Outage
from reconciler.reports.status import CertificateStatus, Status
from reconciler.views.table import Display

try:
    from icalendar import Calendar, Event
except ModuleNotFoundError as error:
    raise ReconcilerError(
        "`--format ics` needs icalendar, which is not installed",
        hint="install mtlsctl again with it, in its checkout: pipx install --force '.[calendar]'",
        code=Code.EXTRA,
    ) from error


def show_status(status: Status, _display: Display) -> str:
    """The calendar; the same status gives the same bytes."""
    calendar = Calendar()
    calendar.add("prodid", "-//mtlsctl//status//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", f"Certificates of {_text(status.stack)}")
    for event in (*_renewals(status), *_waits(status), *_outages(status)):
        calendar.add_component(event)
    text: str = calendar.to_ical().decode()
    return text


def _renewals(status: Status) -> Iterator[Event]:
    """A day for each certificate that has to be renewed."""
    for one in status.certificates:
        due = one.renewed or one.due
        if due is not None:
            yield _event(
                status, f"renew-{one.certificate}", due.renew_from, f"Renew {one.certificate}", _about(one, due)
            )


def _waits(status: Status) -> Iterator[Event]:
    """A day for each certificate whose changes can be made then, and for each old one that can be deleted then."""
    seen: set[tuple[str, datetime]] = set()
    for one in (*(kept for item in status.certificates for kept in item.waiting), *status.orphaned):
        wait, name = one.waiting, one.waiting.certificate
        time = wait.until if wait.entry is None else wait.not_before
        what = "change" if wait.entry is None else f"delete-{wait.entry.id}"
        if name is None or time is None or (f"{what}-{name}", time) in seen:
            continue
        seen.add((f"{what}-{name}", time))
        if wait.entry is None:
            text = f"From {time:%H:%M} UTC on, run mtlsctl apply, and deploy: {name} becomes valid."
            yield _event(status, f"apply-{name}", time, f"Apply {name}", text)
        else:
            once = wait.once or "nothing uses it"
            text = f"From {time:%H:%M} UTC on, mtlsctl apply deletes {wait.entry.id}, once {once}."
            yield _event(status, f"{what}-{name}", time, f"Delete the old certificate of {name}", text)


def _about(one: CertificateStatus, due: Due) -> str:
    ends = f"It ends on {due.not_after:%Y-%m-%d %H:%M} UTC. "
    owner = f"Owner: {one.owner}. " if one.owner else ""
    new = "Get a new certificate, replace the file"
    if one.renews:
        new = f"Run mtlsctl renew {one.certificate}, commit its file"
    return f"{ends}{owner}{new}, run mtlsctl apply, and deploy."


def _outages(status: Status) -> Iterator[Event]:
    """The first outage of each certificate in use."""
    seen: set[str] = set()
    for one in status.outages:
        subject = one.certificate or one.entry
        if one.time is not None and subject is not None and subject not in seen:
            seen.add(subject)
            summary = f"Calls with {subject} fail from {one.time:%H:%M} UTC"
            yield _event(status, f"outage-{subject}", one.time, summary, _where(one))


def _where(one: Outage) -> str:
    if not isinstance(one.at, BindingAddress):
        return f"First {one.at.text}."
    return f"First {one.at.binding} in {one.at.config} ({environment_text(one.at.environment)})."


def _event(status: Status, name: str, time: datetime, summary: str, description: str) -> Event:
    event = Event()
    event.add("uid", _text(f"{name}-{time:%Y%m%d}-{status.stack}@mtlsctl"))
    event.add("dtstamp", status.made)
    event.add("dtstart", time.date())
    event.add("summary", _text(summary))
    event.add("description", _text(description))
    return event


def _text(text: str) -> str:
    """The text without `::` anywhere: a long line is folded, and a CI runner obeys a part that begins with it."""
    return printable(text).replace("::", ":\\x3a")
