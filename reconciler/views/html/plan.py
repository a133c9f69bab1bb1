"""A plan as a page: what a reviewer approves, what waits, and when the certificates end."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.findings.escape import printable
from reconciler.model import Action, BindingChange, Deploy, Retire, Update, Upload, Verify
from reconciler.plan.plan import PlanFacts, SavedPlan
from reconciler.plan.renewals import Due
from reconciler.views.html.page import Note, PageReport, Tone, findings, prose, section, show_page, table, tone_of
from reconciler.views.html.rows import WIDTH, live_texts, update_user, user, waiting_table
from reconciler.views.html.timeline import TimelineItem, Validity, make_timeline
from reconciler.views.html.uses import Link, make_uses
from reconciler.views.table import Display
from reconciler.views.text.names import ShownNames
from reconciler.views.text.plan import (
    changes_text,
    names_of,
    next_text,
    notes,
    render_plan,
    store_text,
    summary_lines,
    unknown_texts,
    unseen_lines,
)
from reconciler.views.text.plan_groups import (
    SIGNS,
    Group,
    about_text,
    arrow,
    deploy_lines,
    difference_texts,
    entry_text,
    group_changes,
    notes_of,
    old_text,
    step_text,
)
from reconciler.views.text.status import away_text, expires_text, time_text
from reconciler.views.text.style import PLAIN

_TONES = {Action.BIND: Tone.LOOK, Action.REBIND: Tone.LOOK, Action.UNBIND: Tone.BAD}


def show_plan(plan: PlanFacts, display: Display) -> str:
    """The page of a plan."""
    return show_page([plan_report(plan, display)])


def plan_report(plan: PlanFacts, display: Display) -> PageReport:
    """What is on it; of a saved plan also of what it was made, and its digest."""
    names, groups = names_of(plan, WIDTH), group_changes(plan)
    is_calm = not (plan.changes or plan.waiting or plan.diagnostics or plan.unknown)
    return PageReport(
        command="plan",
        stack=plan.stack,
        title=Note(changes_text(plan), tone_of(plan.diagnostics, Tone.GOOD if is_calm else Tone.LOOK)),
        leads=(
            *(Note(note, Tone.LOOK) for note in notes(plan)),
            Note(" ".join(summary_lines(plan, groups, None, PLAIN))),
            *(Note(line, Tone.LOOK) for line in unseen_lines(plan, PLAIN, None)),
        ),
        facts=tuple(_facts(plan)),
        sections=(
            findings(plan.diagnostics, display),
            section(
                "Changes",
                table(
                    "Changes, by certificate",
                    ("Certificate", "Change", "What", "ID", "Notes"),
                    (row for group in groups for row in _rows(group, plan, names)),
                ),
            ),
            section("Deploys", prose(_deploys(plan, names))),
            section("Waiting", waiting_table(plan.waiting, names)),
            section("Live Workers", prose(live_texts(plan.live, names))),
            section("Unknown offline", prose(unknown_texts(plan, names))),
            section("Bindings that change", make_uses([link for group in groups for link in _links(group, names)])),
            section(
                "Validity and renewal",
                make_timeline(
                    [_item(one, plan) for one in sorted(plan.due, key=lambda one: one.renew_from)], plan.made
                ),
                table(
                    "When each certificate ends",
                    ("Certificate", "Expires", "Renew from"),
                    (
                        (one.certificate, expires_text(one.not_after, plan.made), f"{one.renew_from:%Y-%m-%d}")
                        for one in sorted(plan.due, key=lambda one: one.renew_from)
                    ),
                ),
            ),
        ),
        details=render_plan(plan, PLAIN) + next_text(plan, PLAIN, None),
    )


def _facts(plan: PlanFacts) -> Iterator[tuple[str, str]]:
    yield "On", store_text(plan.store, None)
    yield "Preview of" if plan.at else "Made", time_text(plan.made)
    if isinstance(plan, SavedPlan):
        if plan.commit:
            yield "Commit", plan.commit
        yield "Digest", plan.digest
    if plan.next_command is not None:
        yield "Next", plan.next_command


def _rows(group: Group, plan: PlanFacts, names: ShownNames) -> Iterator[tuple[str, ...]]:
    """A row for each change; the first says what differs between the old certificate and the new one."""
    name, about = _name(group, names), about_text(group, plan)
    differences = "; ".join(" ".join(fact) for fact in difference_texts(group.differences))
    first = next((one for one in group.changes if isinstance(one, Upload)), next(iter(group.changes), None))
    for change in group.changes:
        entry, more = "", ""
        match change:
            case Upload():
                what, more = about, step_text(change, plan.keys)
            case Verify():
                what = step_text(change, plan.keys)
            case BindingChange():
                what, entry, more = names.binding(change.at), arrow(change, names), ", ".join(notes_of(change))
            case Update():
                what, entry = printable(change.at.text), arrow(change, names)
            case Retire():
                what, entry, more = old_text(change).strip("()"), names.id(change.entry.id), entry_text(change)
            case Deploy():
                continue
        told = "; ".join(filter(None, (more, differences if change is first else "")))
        yield name, f"{SIGNS[change.action]} {_verb(change.action)}", what, entry, told


def _verb(action: Action) -> str:
    return {Action.RETIRE: "delete", Action.VERIFY: "prove"}.get(action, str(action))


def _name(group: Group, names: ShownNames) -> str:
    if group.name is not None:
        return group.name
    return f"{names.id(group.id)} (by ID)" if group.id is not None else "other bindings"


def _deploys(plan: PlanFacts, names: ShownNames) -> Iterator[str]:
    for change in plan.changes:
        if isinstance(change, Deploy):
            head, *bindings = (" ".join(line.split()) for line in deploy_lines(change, names, None, PLAIN))
            yield f"{head.removeprefix('^ deploy ')}{': ' if bindings else ''}{'; '.join(bindings)}"


def _links(group: Group, names: ShownNames) -> Iterator[Link]:
    name = _name(group, names)
    for change in group.changes:
        if isinstance(change, BindingChange):
            tone, note = _TONES[change.action], f"{change.action} {arrow(change, names)}"
            yield Link(name, names.worker(change.at), user(change.at, names), tone, note)
        if isinstance(change, Update):
            yield Link(name, change.at.kind, update_user(change.at), Tone.LOOK, f"update {arrow(change, names)}")
    for wait in group.waiting:
        if isinstance(wait.change, Update):
            yield Link(name, wait.change.at.kind, update_user(wait.change.at), Tone.PLAIN, "waits")
        if isinstance(wait.change, BindingChange):
            at = wait.change.at
            yield Link(name, names.worker(at), user(at, names), Tone.PLAIN, "waits")


def _item(due: Due, plan: PlanFacts) -> TimelineItem:
    life = Validity(due.not_after, due.renew_from)
    return TimelineItem(due.certificate, away_text(due.not_after, plan.made), (life,))
