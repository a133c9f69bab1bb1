"""A status as a page: when the first calls fail, each certificate on a timeline and in a table, and who uses it."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.plan.inventory import Role
from reconciler.reports.kept import KeptEntry
from reconciler.reports.outage import first_of
from reconciler.reports.status import ByIdStatus, CertificateStatus, Status, Urgency
from reconciler.views.html.page import Note, PageReport, Tone, findings, prose, section, show_page, table, tone_of
from reconciler.views.html.rows import WIDTH, links_of, live_texts, waiting_table
from reconciler.views.html.timeline import TimelineItem, Validity, make_timeline
from reconciler.views.html.uses import Link, make_uses
from reconciler.views.table import Display
from reconciler.views.text.names import ShownNames
from reconciler.views.text.plan import not_checked_lines, store_text
from reconciler.views.text.status import (
    HEADS,
    away_text,
    count_text,
    counts_of,
    failed_text,
    hint_text,
    kept_since_text,
    names_of,
    outage_text,
    pending_texts,
    render_status,
    rows_of,
    time_text,
    worst_of,
)
from reconciler.views.text.style import PLAIN

URGENCIES = {
    Urgency.EXPIRED: Tone.BAD,
    Urgency.DUE: Tone.LOOK,
    Urgency.UNREADABLE: Tone.BAD,
    Urgency.LATER: Tone.GOOD,
}


def show_status_page(status: Status, display: Display) -> str:
    """The page of a status."""
    return show_page([status_report(status, display)])


def status_report(status: Status, display: Display) -> PageReport:
    """What is on it: what fails first, findings, then time, state and users of each certificate."""
    names = names_of(status, WIDTH)
    is_failing = status.outage is not None and status.outage.failing
    failed = failed_text(status)
    tone = Tone.BAD if is_failing else URGENCIES[worst_of(status)]
    return PageReport(
        command="status",
        stack=status.stack,
        title=Note(counts_of(status), tone_of(status.diagnostics, tone)),
        leads=(
            Note(outage_text(status, names), Tone.BAD if is_failing else Tone.PLAIN),
            *(Note(text, Tone.BAD) for text in (failed,) if text),
            *(Note(text) for text in (count_text(status, names).partition(". ")[2], *pending_texts(status)) if text),
            *(Note(line, Tone.LOOK) for line in not_checked_lines(status.not_checked, "status", PLAIN)),
        ),
        facts=tuple(_facts(status)),
        sections=(
            findings(status.diagnostics, display),
            section("Validity, renewal and outage", make_timeline(list(_items(status, names)), status.made)),
            section(
                "Certificates",
                table(
                    "Each certificate, the most urgent first",
                    [head.capitalize() for head in HEADS],
                    _rows(status, names),
                ),
            ),
            section("Who uses what", make_uses(list(_links(status, names)))),
            section(
                "Waiting", waiting_table((one.waiting for one in _kept(status)), names), prose(_hints(status, names))
            ),
            section("Live Workers", prose(live_texts(status.live, names))),
        ),
        details=render_status(status, PLAIN),
    )


def _facts(status: Status) -> Iterator[tuple[str, str]]:
    yield "On", store_text(status.store, None)
    yield "Made", time_text(status.made)
    if status.about:
        yield "Only", ", ".join(status.about)


def _rows(status: Status, names: ShownNames) -> Iterator[tuple[str | Note, ...]]:
    """The rows of the text; the state has its sign."""
    for urgency, cells in rows_of(status, names, PLAIN):
        *others, state = (" ".join(cell.text.split()) for cell in cells)
        is_fine = urgency is not Urgency.LATER or state.split(",")[0] == "ok"
        yield *others, Note(state, URGENCIES[urgency] if is_fine else Tone.PLAIN)


def _items(status: Status, names: ShownNames) -> Iterator[TimelineItem]:
    """A row for each certificate, the most urgent first."""
    found = [(one.urgency, _item(one, status)) for one in status.certificates]
    found += [(one.urgency, _item_by_id(one, status, names)) for one in status.by_id]
    yield from (item for _, item in sorted(found, key=lambda one: list(Urgency).index(one[0])))


def _item(item: CertificateStatus, status: Status) -> TimelineItem:
    """A certificate with what is in use and, if another one is declared, that below it."""
    lives = []
    if item.due is not None:
        begins = item.begins if item.renewed is None else None
        lives.append(Validity(item.due.not_after, item.due.renew_from, begins))
    if item.renewed is not None:
        lives.append(Validity(item.renewed.not_after, item.renewed.renew_from, item.begins))
    outage = first_of(one for one in status.outages if one.certificate == item.certificate)
    note = away_text(item.due.not_after if item.due is not None else None, status.made)
    return TimelineItem(item.certificate, note, tuple(lives), outage.time if outage is not None else None)


def _item_by_id(item: ByIdStatus, status: Status, names: ShownNames) -> TimelineItem:
    row = item.row
    lives = (Validity(row.not_after, row.renew_from, row.window.begins),) if row.not_after is not None else ()
    return TimelineItem(f"{names.id(row.id)} (by ID)", away_text(row.not_after, status.made), lives)


def _links(status: Status, names: ShownNames) -> Iterator[Link]:
    for item in status.certificates:
        yield from links_of(item.certificate, item.places, names)
        for use in status.uses:
            if use.certificate == item.certificate and use.role is Role.CURRENT:
                yield Link(item.certificate, use.user.text, use.user.text)
    for use in status.uses:
        if use.role is not Role.CURRENT:
            yield Link(f"{names.id(use.entry.id)} (old)", use.user.text, use.user.text, Tone.LOOK)
    for one in status.by_id:
        yield from links_of(f"{names.id(one.row.id)} (by ID)", one.places, names)


def _kept(status: Status) -> Iterator[KeptEntry]:
    for item in status.certificates:
        yield from item.waiting
    yield from status.orphaned


def _hints(status: Status, names: ShownNames) -> Iterator[str]:
    """Since when old certificates are kept, and what would end that."""
    for kept in _kept(status):
        since = kept_since_text(kept.since) if kept.since is not None else None
        told = [text for text in (since, hint_text(kept.hint)) if text is not None]
        if told and kept.waiting.entry is not None:
            yield f"{names.id(kept.waiting.entry.id)}: {'; '.join(told)}"
