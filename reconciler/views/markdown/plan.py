"""A plan as Markdown: what a reviewer approves, by certificate."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.model import Action, BindingChange, Deploy, Retire, Update
from reconciler.model.words import names_text
from reconciler.plan.coverage import Area
from reconciler.plan.plan import PlanFacts, SavedPlan
from reconciler.views.markdown.page import code, findings, listed, not_checked, page, table, words
from reconciler.views.table import Display
from reconciler.views.text.names import ShownNames
from reconciler.views.text.plan import changes_text, notes, render_plan, store_text, summary_lines
from reconciler.views.text.plan_groups import Group, about_text, group_changes
from reconciler.views.text.style import PLAIN

_MOST_DEPLOYS = 10


def show_plan(plan: PlanFacts, display: Display) -> str:
    """The changes by certificate, errors and warnings, and the whole plan folded."""
    details = render_plan(plan, PLAIN)
    return page("plan", plan.stack, changes_text(plan), _parts(plan, display), details, display.most_characters)


def show_saved_plan(saved: SavedPlan, display: Display) -> str:
    """The same, with when and of what it was made, and its digest."""
    commit = f" at commit {code(saved.commit)}" if saved.commit else ""
    label = "Preview of" if saved.at else "Made"
    made = f"{label} {saved.made:%Y-%m-%d %H:%M} UTC{commit}, digest {code(saved.digest)}"
    return page("plan", saved.stack, changes_text(saved), (*_parts(saved, display), made), render_plan(saved, PLAIN))


def _parts(plan: PlanFacts, display: Display) -> Iterator[str]:
    yield f"On {code(store_text(plan.store, None))}"
    yield from (f"**{words(note)}**" for note in notes(plan))
    yield from findings(plan.diagnostics, display)
    groups = group_changes(plan)
    yield from table(("Certificate", "Change", "Bindings", "Old certificates"), [_row(one, plan) for one in groups])
    deploys = [code(change.script) for change in plan.changes if isinstance(change, Deploy)]
    if deploys:
        yield f"**Deploys** {names_text(deploys, _MOST_DEPLOYS)}"
    yield from not_checked([one for one in plan.not_checked if one.area is not Area.KEYS], "plan")
    yield " ".join(summary_lines(plan, groups, None, PLAIN))
    if plan.next_command is not None:
        yield f"Next: {code(plan.next_command)}"


def _row(group: Group, plan: PlanFacts) -> list[str]:
    return [_name(group), _change(group, plan), _bindings(group), _old(group)]


def _name(group: Group) -> str:
    if group.name is not None:
        return code(group.name)
    return f"{code(group.id)} by ID" if group.id is not None else "other bindings"


def _change(group: Group, plan: PlanFacts) -> str:
    """`**upload**: renewed, new key; expires 2027-01-01`."""
    about = words(about_text(group, plan))
    parts = [f"**upload**: {about}" if group.has(Action.UPLOAD) else about]
    ends = next((one.after for one in group.differences if one.attribute == "not_after"), None)
    if ends is not None:
        parts.append(f"expires {code(ends[: len('2027-01-01')])}")
    if group.has(Action.VERIFY):
        parts.append("proved at its origins first")
    return "; ".join(filter(None, parts))


def _bindings(group: Group) -> str:
    """How many are written or removed, and in which Workers; then how many wait."""
    names = ShownNames(None)
    texts = []
    for removed, verb in ((False, "written"), (True, "**removed**")):
        bindings = (one for one in group.changes if isinstance(one, BindingChange))
        found = [one for one in bindings if (one.action is Action.UNBIND) is removed]
        if found:
            texts.append(f"{len(found)} {verb}: {listed(names.site(one.at) for one in found)}")
    updated = [one.at for one in group.changes if isinstance(one, Update)]
    if updated:
        texts.append(f"{len(updated)} updated: {listed(at.short for at in updated)}")
    waits = sum(not isinstance(wait.change, Retire) for wait in group.waiting)
    texts += [f"{waits} {'waits' if waits == 1 else 'wait'}"] if waits else []
    return "; ".join(texts)


def _old(group: Group) -> str:
    deleted = sum(isinstance(change, Retire) for change in group.changes)
    kept = sum(isinstance(wait.change, Retire) for wait in group.waiting)
    return ", ".join([*([f"**{deleted} deleted**"] if deleted else []), *([f"{kept} kept"] if kept else [])])
