"""A plan as text: what happens and why, what is due for renewal, and what is live."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import assert_never

from reconciler.findings.escape import printable
from reconciler.model import (
    Action,
    BindingChange,
    CertificateName,
    Change,
    Deploy,
    Difference,
    Gate,
    KeyReference,
    Retire,
    Upload,
    Verify,
    Waiting,
)
from reconciler.model.calls import Calls
from reconciler.model.words import environment_text
from reconciler.plan.coverage import Area, KeyNeeded, NotChecked
from reconciler.plan.live import LiveBinding, LiveState
from reconciler.plan.plan import PlanFacts, SavedPlan
from reconciler.plan.quota import QuotaCount
from reconciler.plan.renewals import Due
from reconciler.views.table import Display
from reconciler.views.text.findings import count_findings, show_findings
from reconciler.views.text.style import Style

SIGNS = {
    Action.UPLOAD: "+",
    Action.BIND: "+",
    Action.REBIND: "~",
    Action.UNBIND: "-",
    Action.DEPLOY: "^",
    Action.VERIFY: "*",
    Action.RETIRE: "-",
}
_AFTER_UPLOAD = "(known after the upload)"
_MAX_LISTED = 20


def show_plan(plan: PlanFacts, display: Display) -> str:
    """A plan below its findings, and what to run next."""
    return _whole(plan, display) + _next_line(plan, display.style)


def show_saved_plan(saved: SavedPlan, display: Display) -> str:
    """The plan that was saved, with its digest."""
    return f"{_whole(saved, display)}digest: {saved.digest}\n" + _next_line(saved, display.style)


def _whole(plan: PlanFacts, display: Display) -> str:
    text = render_plan(plan, display.style)
    if plan.diagnostics:
        text = f"{show_findings(plan.diagnostics, display)}\n\n{text}"
    counted = count_findings(plan.diagnostics)
    return f"{text}{display.style.warn(f'{counted}, see above.')}\n" if counted else text


def _next_line(plan: PlanFacts, style: Style) -> str:
    return f"{style.bold('Next:')} {printable(plan.next_command)}\n" if plan.next_command is not None else ""


def render_plan(plan: PlanFacts, style: Style) -> str:
    """The whole plan without its findings, which `render_findings` shows."""
    return "\n".join(_lines(plan, style)) + "\n"


def _lines(plan: PlanFacts, style: Style) -> Iterator[str]:
    yield style.bold(f"Plan for the stack {printable(plan.stack)} on {plan.store.title}")
    if plan.partial:
        names = ", ".join(map(printable, plan.partial))
        yield style.warn(f"PARTIAL: only {names}; everything else is left out")
    if plan.at:
        yield style.warn(f"AS OF {plan.made:%Y-%m-%d %H:%M} UTC: for looking only, it can't be applied")
    if plan.offline:
        yield style.warn("OFFLINE: the store was not asked; what only it knows is marked `?`")
    for phase, changes in groupby(plan.changes, key=lambda change: change.phase):
        yield ""
        yield style.bold(f"{phase}:")
        for change in changes:
            yield from change_lines(change, style, plan.keys)
    yield from _unknown_lines(plan, style)
    yield from _adopted_lines(plan, style)
    yield from waiting_lines(plan.waiting, style)
    yield from _live_lines(plan.live, style)
    yield from _due_lines(plan, style)
    yield ""
    yield _summary_line(plan, style)
    is_of_apply = plan.apply_with is None  # which makes sure of every key itself, before anything else
    unseen = [one for one in plan.not_checked if not (is_of_apply and one.area is Area.KEYS)]
    yield from not_checked_lines(unseen, "plan", style)
    if plan.calls is not None:
        yield style.dim(_calls_line(plan.calls))


def change_lines(change: Change, style: Style, keys: Iterable[KeyNeeded] = ()) -> Iterator[str]:
    """One change: a line with sign, action, subject and reason; below it what differs, and the key that it needs."""
    sign = SIGNS[change.action]
    paint = {"+": style.good, "~": style.change, "-": style.bad, "*": style.bold, "^": style.change}[sign]
    head = paint(f"  {sign} {change.action:<7}")
    yield f"{head} {describe(change)}  {style.dim('(' + ', '.join(change.reasons) + ')')}"
    match change:
        case Upload():
            yield from _key_lines((change.certificate, *change.shared_with), keys)
            if change.shared_with:
                yield f"            the same content as {', '.join(map(printable, change.shared_with))}"
            yield from _difference_lines(change.differences)
        case BindingChange():
            if change.action is not Action.UNBIND:
                before = "none" if change.before is None else printable(change.before) or '""'
                yield f"            id: {before} -> {printable(change.after or _AFTER_UPLOAD)}"
            else:
                yield f"            id: {printable(change.before or '')} -> none"
            if change.remote is not None:
                yield f"            remote: {str(change.remote).lower()}"
            if change.not_before is not None:
                yield f"            apply waits for it to become valid, at {change.not_before:%H:%M:%S} UTC"
            if change.after is not None:
                yield from _difference_lines(change.differences)
        case Deploy():
            yield from _deploy_lines(change)
        case Verify():
            what = "upload" if change.before is Gate.UPLOAD else "retire of its old entries"
            yield f"            sends requests there; without this proof its {what} is not made"
            yield from _key_lines((change.certificate,), keys)
        case Retire():
            yield f"            {printable(change.entry.name)}, uploaded {_day(change.entry.uploaded_on)}"
        case _:
            assert_never(change)


def describe(change: Change) -> str:
    """A change's subject in one phrase."""
    match change:
        case Upload():
            return f"{printable(change.certificate)} as {printable(change.name)}"
        case BindingChange():
            where = f"{printable(change.at.binding)} in {printable(change.at.config)}"
            where += f" ({printable(environment_text(change.at.environment))})"
            return f"{where} = {printable(change.certificate)}" if change.certificate else where
        case Deploy():
            where = f"{printable(change.at.config)} ({printable(environment_text(change.at.environment))})"
            built = f", built as {printable(change.built)}," if change.built is not None else ""
            return f"{where}{built} as {printable(change.script)}"
        case Verify():
            return f"{printable(change.certificate)} at {printable(change.origin)}"
        case Retire():
            return f"{printable(change.entry.id)} of {printable(change.certificate)}"
        case _:
            assert_never(change)


def _key_lines(names: tuple[CertificateName, ...], keys: Iterable[KeyNeeded]) -> Iterator[str]:
    needed = next((key.source for name in names for key in keys if key.certificate == name), None)
    if needed is not None:
        yield f"            needs {_key_text(needed)}"


def _key_text(source: KeyReference) -> str:
    """`$BILLING_KEY`, or the path; of any other source its name as well."""
    where = printable(source.options.get(source.source, ""))
    known = {"env": f"${where}", "file": where}
    return known.get(source.source, f"{printable(source.source)} {where}")


def not_checked_lines(not_checked: Sequence[NotChecked], command: str, style: Style) -> Iterator[str]:
    """What was not looked at, with the command that does; then what could not be read, and why."""
    asked = [one for one in not_checked if one.reason is None]
    if asked:
        groups = [
            ", ".join(_AREAS[one.area] for one in group) + (f" ({look})" if look is not None else "")
            for look, group in groupby(asked, key=lambda one: one.command(command))
        ]
        yield style.change(f"Not checked: {'; '.join(groups)}.")
    for one in not_checked:
        if one.reason is not None:
            yield style.change(f"Not checked: {printable(one.detail)}.")


_AREAS = {
    Area.STORE: "which certificates are uploaded",
    Area.LIVE_WORKERS: "live Workers",
    Area.OTHER_USERS: "Hyperdrive configurations, hostnames",
    Area.TREE: "other files with ids of old certificates",
    Area.KEYS: "private keys",
    Area.UNUSED: "unused certificates, shared keys, undeclared bindings",
}


def _difference_lines(differences: tuple[Difference, ...]) -> Iterator[str]:
    for item in differences:
        attribute = printable(item.attribute.replace("_", " "))
        before, after = (printable(side) if side is not None else "none" for side in (item.before, item.after))
        yield f"            {attribute}: {before} -> {after}"


def _unknown_lines(plan: PlanFacts, style: Style) -> Iterator[str]:
    if not plan.unknown:
        return
    yield ""
    yield style.bold("not known offline:")
    for item in plan.unknown:
        subject = printable(item.certificate or "")
        if item.at is not None:
            subject = f"{item.at.binding} of {item.at.worker} ({environment_text(item.at.environment)})"
        yield f"  ? {printable(subject)}: {printable(item.message)}"


def _adopted_lines(plan: PlanFacts, style: Style) -> Iterator[str]:
    """Entries under foreign names are worth a line; those under our own mark only a number."""
    foreign = [item for item in plan.adopted if not item.ours]
    if not foreign:
        return
    yield ""
    yield style.bold("adopted (stored already under another name, nothing to do):")
    for item in foreign[:_MAX_LISTED]:
        name = printable(item.entry.name) or "no name"
        yield f"  = {printable(item.certificate)} is {printable(item.entry.id)} ({name})"
    if len(foreign) > _MAX_LISTED:
        yield f"  = and {len(foreign) - _MAX_LISTED} more; see --format json"


def waiting_lines(waiting: tuple[Waiting, ...], style: Style) -> Iterator[str]:
    """What can't be done yet: no change and no failure."""
    later = [item for item in waiting if item.entry is None]
    if later:
        yield ""
        yield style.bold("waiting:")
        yield from _listed([f"  . {waiting_text(item)}" for item in later], ".")
    kept = [item for item in waiting if item.entry is not None]
    if kept:
        yield ""
        yield style.bold("kept until they can be deleted safely:")
        lines: list[str] = []
        for item in kept:
            name = printable(item.entry.name) if item.entry is not None else ""
            lines.append(
                f"  . {waiting_text(item)}\n" + style.dim(f"            ({item.condition}; {name or 'no name'})")
            )
        yield from _listed(lines, ".")


def waiting_text(item: Waiting) -> str:
    """What waits, for what, and until when, in one line."""
    until = f", until {item.until:%Y-%m-%d %H:%M} UTC" if item.until else ""
    action = "" if item.entry is not None else f"{item.change.action} "
    return f"{action}{describe(item.change)}: {printable(item.detail)}{until}"


def _summary_line(plan: PlanFacts, style: Style) -> str:
    counts = ", ".join(f"{count} to {action}" for action, count in plan.summary.items() if count)
    if not counts and plan.unknown:
        counts = "No change that the files alone could tell"
    parts = [counts or "No changes", f"{len(plan.adopted)} in place"]
    if plan.waiting:
        parts.append(f"{len(plan.waiting)} waiting")
    if plan.quota is not None:
        leaf, ca = plan.quota.leaf, plan.quota.ca
        parts.append(f"quota {leaf.now} -> {leaf.after} of {leaf.limit}")
        if ca.peak:
            parts.append(f"CAs {ca.now} -> {ca.after} of {ca.limit}")
    return (style.good if not plan.changes else style.bold)("; ".join(parts) + ".")


def _calls_line(calls: Calls) -> str:
    made = f"{calls.made:,} call{'' if calls.made == 1 else 's'} to Cloudflare made"
    return f"{made}." if calls.apply == calls.made else f"{made}; {calls.apply:,} in all once this is applied."


def _day(time: object) -> str:
    return f"{time:%Y-%m-%d}" if time is not None else "at an unknown time"


# --- renewals ---------------------------------------------------------------------------------------------------------


def _due_lines(plan: PlanFacts, style: Style) -> Iterator[str]:
    """Nothing where nothing is due, but for a plan as of another moment: that was asked for this."""
    by_then = " by then" if plan.at else ""
    expired = [item for item in plan.due if item.has_expired(plan.made)]
    due = [item for item in plan.due if item.is_due(plan.made) and item not in expired]
    if expired:
        yield ""
        yield style.bold(f"expired{by_then}:")
        lines = [style.bad(f"  x {_name(item)} ended {_minute(item)}{_renewed(item)}") for item in expired]
        yield from _listed(lines, "x")
    if due:
        yield ""
        yield style.bold(f"due for renewal{by_then}:")
        lines = [
            style.warn(f"  ! {_name(item)} ends {_minute(item)}, due since {item.renew_from:%Y-%m-%d}{_renewed(item)}")
            for item in due
        ]
        yield from _listed(lines, "!")
    if (expired or due) and plan.quota is not None:
        for kind, count in (("", plan.quota.leaf), ("CA ", plan.quota.ca)):
            if count.renewals:
                yield _quota_line(kind, count, style)
    if plan.at and plan.due and not expired and not due:
        yield ""
        first = plan.due[0]
        yield f"nothing is due for renewal by then; the first to be is {_name(first)}, from {first.renew_from:%Y-%m-%d}"


def _name(item: Due) -> str:
    return printable(item.certificate)


def _renewed(item: Due) -> str:
    return "; renewed in mtls.toml, but still in use" if item.renewed else ""


def _minute(item: Due) -> str:
    return f"{item.not_after:%Y-%m-%d %H:%M} UTC"


def _listed(lines: list[str], sign: str) -> Iterator[str]:
    yield from lines[:_MAX_LISTED]
    if len(lines) > _MAX_LISTED:
        yield f"  {sign} and {len(lines) - _MAX_LISTED} more; see --format json"


def _quota_line(kind: str, count: QuotaCount, style: Style) -> str:
    """Old and new stand side by side until the old ones are retired."""
    together = count.after + count.renewals
    noun = "entry" if count.renewals == 1 else "entries"
    text = f"    renewing needs {count.renewals} {kind}{noun} more for a while: {together} of {count.limit}"
    return style.bad(f"{text}, WHICH DOES NOT FIT") if together > count.limit else text


# --- what is live -----------------------------------------------------------------------------------------------------


_LIVE_SIGNS = {
    LiveState.IN_SYNC: "=",
    LiveState.NEEDS_DEPLOY: "!",
    LiveState.SPLIT: "%",
    LiveState.NOT_DEPLOYED: "o",
    LiveState.UNKNOWN: "?",
}
_LIVE_WORDS = {
    LiveState.IN_SYNC: "serves what the file names",
    LiveState.NEEDS_DEPLOY: "needs a deploy",
    LiveState.SPLIT: "a gradual deployment is under way",
    LiveState.NOT_DEPLOYED: "does not serve",
    LiveState.UNKNOWN: "not known",
}


def _live_lines(rows: Sequence[LiveBinding] | None, style: Style) -> Iterator[str]:
    """Who presents which certificate right now. Nothing where nobody asked."""
    if rows is None:
        return
    yield ""
    yield style.bold("live (what serving versions present now):")
    if not rows:
        yield "  no declared binding"
    for row in rows:
        yield from live_row_lines(row, style)
    deploys = dict.fromkeys((row.at.config, row.at.environment) for row in rows if row.state is LiveState.NEEDS_DEPLOY)
    if deploys:
        yield style.change(f"  {len(deploys)} still to deploy: " + "; ".join(_place(*one) for one in deploys))


def live_row_lines(row: LiveBinding, style: Style) -> Iterator[str]:
    """One binding from all sides: what is wanted, what the file names, what each live version uses."""
    paint = style.good if row.state is LiveState.IN_SYNC else style.change
    subject = f"{printable(row.at.binding)} in {_place(row.at.config, row.at.environment)}"
    name = f" = {printable(row.certificate)}" if row.certificate else ""
    said = f"{_LIVE_WORDS[row.state]}{f': {printable(row.detail)}' if row.detail else ''}"
    yield f"{paint(f'  {_LIVE_SIGNS[row.state]}')} {subject}{name}  {style.dim(f'({said})')}"
    if row.state is LiveState.IN_SYNC and row.desired in (None, row.file):
        yield f"            everywhere: {_id(row.file)}"
        return
    if row.desired is not None or row.certificate is not None:
        yield f"            wanted: {_id(row.desired) if row.desired else '(not stored yet)'}"
    yield f"            file:   {_id(row.file)}"
    for one in row.live:
        yield f"            live:   {_id(one.id)}  {style.dim(f'(version {printable(one.version)}, {one.share:g} %)')}"


def _deploy_lines(deploy: Deploy) -> Iterator[str]:
    """What changes for the traffic of one Worker."""
    for one in deploy.bindings:
        if one.differs:
            now = " and ".join(_id(live) for live in dict.fromkeys(one.live)) or "nothing"
            after = _id(one.id) if one.id or one.digest is None else "(known after the upload)"
            yield f"            {printable(one.binding)}: {now} -> {after}"


def _id(text: str | None) -> str:
    return "none" if text is None else printable(text) or '""'


def _place(config: str, environment: str | None) -> str:
    return f"{printable(config)} ({printable(environment_text(environment))})"
