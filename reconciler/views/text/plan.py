"""A plan as text: what happens and why, by certificate; what waits, what is due, what is live; what to run next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import assert_never

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.escape import printable, shell_command
from reconciler.model import (
    Action,
    BindingChange,
    Change,
    Deploy,
    Retire,
    SiteAddress,
    StoreSettings,
    Update,
    Upload,
    Verify,
    Waiting,
)
from reconciler.model.calls import Calls
from reconciler.model.words import environment_text, names_text
from reconciler.plan.coverage import Area, NotChecked
from reconciler.plan.live import LiveBinding, LiveState
from reconciler.plan.plan import Plan, PlanFacts, SavedPlan, when_text
from reconciler.plan.quota import QuotaCount
from reconciler.plan.renewals import Due
from reconciler.views.table import Display
from reconciler.views.text.findings import count_findings
from reconciler.views.text.layout import Cell, labelled, spread, table, wrapped
from reconciler.views.text.lines import counted, finding_lines
from reconciler.views.text.names import ShownNames
from reconciler.views.text.plan_groups import (
    MAX_WAITING,
    Group,
    deploy_lines,
    group_changes,
    group_lines,
    is_mode,
    trouble_of,
    used_ids,
    waiting_block,
)
from reconciler.views.text.style import Style

_MAX_LISTED = 20
_ACCOUNT_LENGTH = 8
_COMMIT_LENGTH = 12


def show_plan(plan: PlanFacts, display: Display) -> str:
    """A plan below its findings, and what to run next."""
    return _whole(plan, display) + next_text(plan, display.style, display.width)


def show_saved_plan(saved: SavedPlan, display: Display) -> str:
    """The plan that was saved, with when and of what it was made, and its digest."""
    commit = f" at commit {printable(saved.commit[:_COMMIT_LENGTH])}" if saved.commit else ""
    label = "preview of" if saved.at else "made"
    made = f"{label}: {saved.made:%Y-%m-%d %H:%M} UTC{commit}\n"
    return f"{_whole(saved, display)}{made}digest: {saved.digest}\n" + next_text(saved, display.style, display.width)


def _whole(plan: PlanFacts, display: Display) -> str:
    text = render_plan(plan, display.style, display.width)
    found = [one for one in plan.diagnostics if not _is_in_due_lines(one, plan)]
    if found:
        text = "\n".join((*finding_lines(found, display), "", text))
    counted = count_findings(found)
    return f"{text}{display.style.warn(f'{counted}, see above.')}\n" if counted else text


def next_text(plan: PlanFacts, style: Style, width: int | None) -> str:
    """The command to run now, and where nothing is to be done, the one that continues what waits."""
    now = f"{style.bold('Next:')} {printable(plan.next_command)}\n" if plan.next_command is not None else ""
    if not isinstance(plan, Plan) or plan.changes or plan.at or plan.replayed:
        return now
    if _is_live_open(plan):
        look = shell_command(("mtlsctl", "apply", *plan.only, "--deploy"))
        now = f"{style.bold('Next:')} if live Workers may use other certificates, run: {look}\n"
    when = when_text(plan.waiting)
    if plan.partial or when is None:
        return now
    is_deploying = plan.assessment.ask.deploy.everybody or plan.next_command == "mtlsctl apply --deploy"
    command = shell_command(plan.later_command(deploy=is_deploying))
    then = f"{'Then,' if now else 'Next:'} {when}, run: {command}"
    return now + "".join(f"{line}\n" for line in wrapped(then, width))


def _is_live_open(plan: Plan) -> bool:
    """Whether `apply` has nothing to do in files and uploads, and did not read what live Workers use."""
    unread = any(one.area is Area.LIVE_WORKERS and one.reason is None for one in plan.not_checked)
    return plan.apply_with is None and plan.selection.retire is None and unread and not _errors(plan)


def render_plan(plan: PlanFacts, style: Style, width: int | None = None) -> str:
    """The whole plan without its findings, which `render_findings` shows."""
    return "\n".join(_lines(plan, style, width)) + "\n"


def _lines(plan: PlanFacts, style: Style, width: int | None) -> Iterator[str]:
    names = names_of(plan, width)
    head = f"{printable(plan.stack)}: {changes_text(plan)}"
    yield from spread(Cell(head, style.bold), Cell(store_text(plan.store, width), style.dim), width)
    for note in notes(plan):
        yield from map(style.warn, wrapped(note, width, then="  "))
    groups = group_changes(plan)
    waiting = [group for group in groups if not group.changes]
    for group in (*groups[: len(groups) - len(waiting)], *waiting[:MAX_WAITING]):
        yield ""
        yield from group_lines(group, plan, names, width, style)
    if len(waiting) > MAX_WAITING:
        yield f"  . and {counted(len(waiting) - MAX_WAITING, 'more certificate')}; see --format json"
    yield from _deploys_lines(plan, names, width, style)
    yield from _unknown_lines(plan, names, width, style)
    yield from _live_lines(plan.live, names, width, style)
    yield from _due_lines(plan, width, style)
    yield ""
    yield from summary_lines(plan, groups, width, style)
    yield from unseen_lines(plan, style, width)
    if plan.calls is not None:
        is_of_apply = plan.apply_with is None
        command = "this run" if is_of_apply else "`mtlsctl apply`"
        text = _calls_text(plan.calls, plan.changes, command, can_apply=not plan.at and not plan.offline)
        yield from map(style.dim, wrapped(text, width, then="  "))


def unseen_lines(plan: PlanFacts, style: Style, width: int | None) -> Iterator[str]:
    """What a plan did not check; of `apply` without the keys, for it makes sure of each, before anything else."""
    is_of_apply = plan.apply_with is None
    unseen = [one for one in plan.not_checked if not (is_of_apply and one.area is Area.KEYS)]
    has_deploys = any(isinstance(change, Deploy) for change in plan.changes)  # which are decided by live Workers
    yield from not_checked_lines(unseen, "plan", style, width, other_workers=has_deploys)


def names_of(plan: PlanFacts, width: int | None) -> ShownNames:
    """What a plan calls things."""
    return ShownNames(width, _ids(plan), _places(plan), offline=plan.offline)


def _ids(plan: PlanFacts) -> Iterator[str | None]:
    for change in (*plan.changes, *(wait.change for wait in plan.waiting)):
        match change:
            case BindingChange():
                yield from (change.before, change.after)
            case Update() if not is_mode(change):
                yield from (change.before, change.after)
            case Retire():
                yield change.entry.id
            case Deploy():
                for one in change.bindings:
                    yield from (one.id, *one.live)
    for row in plan.live or ():
        yield from (row.desired, row.file, *(one.id for one in row.live))


def _places(plan: PlanFacts) -> Iterator[SiteAddress]:
    for change in (*plan.changes, *(wait.change for wait in plan.waiting)):
        if isinstance(change, BindingChange | Deploy):
            yield change.at
    yield from (row.at for row in plan.live or ())
    yield from (item.at for item in plan.unknown if item.at is not None)


def store_text(store: StoreSettings, width: int | None) -> str:
    """`Cloudflare 01234567`, or `the local store`."""
    account = store.account
    if account is None:
        return store.title
    return f"{store.title} {printable(account if width is None else account[:_ACCOUNT_LENGTH])}"


_COUNTED = (
    (frozenset({Action.UPLOAD}), "upload"),
    (frozenset({Action.BIND, Action.REBIND, Action.UNBIND}), "config change"),
    (frozenset({Action.DEPLOY}), "deploy"),
    (frozenset({Action.UPDATE}), "update"),
    (frozenset({Action.VERIFY}), "proof"),
    (frozenset({Action.RETIRE}), "deletion"),
)


def counts_text(counts: Iterable[tuple[Action, int]]) -> str:
    """`1 upload, 2 config changes`; empty where nothing changes."""
    given = tuple(counts)
    numbers = ((word, sum(number for action, number in given if action in actions)) for actions, word in _COUNTED)
    return ", ".join(counted(number, word) for word, number in numbers if number)


def changes_text(plan: PlanFacts) -> str:
    """`1 upload, 2 config changes`, or why there is nothing to do."""
    counts = counts_text(plan.summary.items())
    if counts or (plan.unknown and not _errors(plan)):
        return counts or "no changes found, renewals unknown"
    waits = sum(wait.entry is None for wait in plan.waiting)
    waiting = f"{waits} {'waits' if waits == 1 else 'wait'}" if waits else ""
    now = " now" if waits else ""
    return ", ".join(filter(None, (f"no changes{now}", waiting, _errors(plan))))


def _errors(plan: PlanFacts) -> str:
    """`2 errors`; empty without any."""
    number = len(dict.fromkeys(one for one in plan.diagnostics if one.is_error))
    return counted(number, "error") if number else ""


def notes(plan: PlanFacts) -> Iterator[str]:
    """Which guards are weaker; what the plan leaves out, or is only a preview of."""
    if plan.weakened:
        guards = ", ".join(dict.fromkeys(printable(one.guard) for one in plan.weakened))
        yield f"GUARDS WEAKENED: {guards}; see the warnings"
    if plan.partial:
        yield f"PARTIAL: only {', '.join(map(printable, plan.partial))}; everything else is left out"
    if plan.replayed:
        yield f"REPLAYED from a recording of {plan.made:%Y-%m-%d %H:%M} UTC: nothing was read now, it can't be applied"
    if plan.at:
        read = "files, uploads and live Workers" if plan.store.kind.traits.has_live_workers else "files and uploads"
        of = "that were recorded" if plan.replayed else "of now"
        yield f"AS OF {plan.made:%Y-%m-%d %H:%M} UTC: a preview with the {read} {of}, it can't be applied"
    if plan.offline:
        yield "OFFLINE: only files were read. Whether a certificate was renewed or must be uploaded is unknown."


def describe(change: Change) -> str:
    """A change's subject in one phrase."""
    match change:
        case Upload():
            return f"{printable(change.certificate)} as {printable(change.name)}"
        case BindingChange():
            where = f"{printable(change.at.binding)} in {printable(change.at.config)}"
            where += f" ({printable(environment_text(change.at.environment))})"
            what = change.identity.text if change.identity is not None else change.certificate
            return f"{where} = {printable(what)}" if what else where
        case Deploy():
            where = f"{printable(change.at.config)} ({printable(environment_text(change.at.environment))})"
            built = f", built as {printable(change.built)}," if change.built is not None else ""
            return f"{where}{built} as {printable(change.script)}"
        case Update():
            value = change.after if change.digest is None else change.certificate
            if change.names:
                return f"{printable(change.at.text)}: {printable(names_text(change.names))}"
            return f"{printable(change.at.text)} = {printable(value or '')}"
        case Verify():
            return f"{printable(change.certificate)} at {printable(change.origin)}"
        case Retire():
            return f"{printable(change.entry.id)} of {printable(change.certificate)}"
        case _:
            assert_never(change)


def not_checked_lines(
    not_checked: Sequence[NotChecked],
    command: str,
    style: Style,
    width: int | None = None,
    *,
    other_workers: bool = False,
) -> Iterator[str]:
    """What was not checked, with the command that does; then what could not be read, and why.

    `other_workers`: some live Workers were read, so only the others are named.
    """
    areas = {**_AREAS, Area.LIVE_WORKERS: "other live Workers"} if other_workers else _AREAS
    asked = [one for one in not_checked if one.reason is None]
    texts = [f"{printable(one.detail)}." for one in not_checked if one.reason is not None]
    if asked:
        groups = [
            ", ".join(_users_text(one) if one.area is Area.OTHER_USERS else areas[one.area] for one in group)
            + (f" ({look})" if look is not None else "")
            for look, group in groupby(asked, key=lambda one: one.command(command))
        ]
        texts.insert(0, f"{'; '.join(groups)}.")
    for text in texts:
        yield from map(style.change, wrapped(f"Not checked: {text}", width, then="  "))


def _users_text(one: NotChecked) -> str:
    """Those of the users of certificates that were not read."""
    users = "hostnames" if one.cas else _AREAS[one.area]
    return f"{users} that use current {'CAs' if one.cas else 'certificates'}" if one.partly else users


_AREAS = {
    Area.STORE: "which certificates are uploaded",
    Area.LIVE_WORKERS: "live Workers",
    Area.OTHER_USERS: "Hyperdrive configurations, hostnames",
    Area.TREE: "other files with IDs of old certificates",
    Area.KEYS: "private keys",
    Area.UNUSED: "unused certificates, shared keys, undeclared bindings",
}


def _deploys_lines(plan: PlanFacts, names: ShownNames, width: int | None, style: Style) -> Iterator[str]:
    deploys = [change for change in plan.changes if isinstance(change, Deploy)]
    waits = [wait for wait in plan.waiting if isinstance(wait.change, Deploy)]
    if deploys or waits:
        yield ""
    for deploy in deploys:
        yield from deploy_lines(deploy, names, width, style)
    yield from waiting_block(waits, names, width, indent="  ")


def _unknown_lines(plan: PlanFacts, names: ShownNames, width: int | None, style: Style) -> Iterator[str]:
    if not plan.unknown:
        return
    yield ""
    yield style.bold("Unknown offline:")
    for text in unknown_texts(plan, names):
        yield from wrapped(text, width, first="  ? ")


def unknown_texts(plan: PlanFacts, names: ShownNames) -> Iterator[str]:
    """What an offline plan can't know, what is alike together."""
    alike: dict[str, list[str]] = {}
    for item in plan.unknown:
        subject = printable(item.certificate or "") if item.at is None else names.binding(item.at)
        alike.setdefault(printable(item.message), []).append(subject)
    for message, subjects in alike.items():
        yield f"{message}: {names_text(subjects, _MAX_LISTED)}"


def summary_lines(plan: PlanFacts, groups: Sequence[Group], width: int | None, style: Style) -> Iterator[str]:
    """What is up to date, what waits, and what the account holds afterwards, in one paragraph."""
    changed = {group.name for group in groups if not group.is_up_to_date}
    same = sum(item.certificate not in changed and trouble_of(item.certificate, plan) is None for item in plan.adopted)
    kept = [wait.entry.id for wait in plan.waiting if wait.entry is not None]
    is_idle = len(plan.waiting) == len(kept)
    is_same = is_idle and not plan.changes and not plan.unknown
    parts = [f"{counted(same, 'certificate')} up to date"] if same or is_same else []
    if not is_idle:
        parts.append(_waits_text([wait for wait in plan.waiting if wait.entry is None]))
    if kept:
        used = sum(one in used_ids(plan.waiting) for one in kept)
        note = f", {used} of them in use" if used and len(kept) > 1 else " in use" if used else ""
        live = " --live" if plan.store.kind.traits.has_live_workers else ""
        parts.append(f"{counted(len(kept), 'old certificate')} kept{note} (all conditions: mtlsctl explain NAME{live})")
    if plan.quota is not None:
        parts += _quota_texts(plan)
    lead = [] if plan.changes else ["No changes" if is_idle else "No changes now"]
    if not plan.changes and plan.unknown:
        lead = ["No changes found in the files. `mtlsctl plan` shows uploads and renewals"]
    blocked = len({one.certificate for one in plan.diagnostics if one.is_error and one.certificate is not None})
    if blocked:
        parts.insert(0, f"{counted(blocked, 'certificate')} blocked")
    paint = style.bold if plan.changes else style.bad if _errors(plan) else style.good
    if lead or parts:
        yield from map(paint, wrapped(f"{'. '.join((*lead, *parts))}.", width))
    if plan.quota is not None:
        for kind, number in (("", plan.quota.leaf), ("CA ", plan.quota.ca)):
            if number.renewals:
                yield from _renewals_lines(kind, number, width, style)


def _waits_text(waits: Sequence[Waiting]) -> str:
    """`2 config changes, 1 deploy wait until 2026-12-01`; the day only if it is that of all."""
    counts = counts_text((action, sum(wait.change.action is action for wait in waits)) for action in Action)
    days = {f"{wait.until:%Y-%m-%d}" if wait.until is not None else "" for wait in waits}
    until = f" until {days.pop()}" if len(days) == 1 and "" not in days else ""
    return f"{counts} {'waits' if len(waits) == 1 else 'wait'}{until}"


def _quota_texts(plan: PlanFacts) -> Iterator[str]:
    if plan.quota is None:
        return
    after = " after this" if plan.changes else ""
    for kind, noun, number in (("Quota: ", " certificates", plan.quota.leaf), ("CAs: ", "", plan.quota.ca)):
        if number.peak or noun:
            peak = f", peak {number.peak:,}" if number.peak > max(number.now, number.after) else ""
            yield f"{kind}{number.after:,} of {number.limit:,}{noun}{after}{peak}"


def _renewals_lines(kind: str, number: QuotaCount, width: int | None, style: Style) -> Iterator[str]:
    """Old and new are both there until the old ones are deleted."""
    together = number.after + number.renewals
    what = counted(number.renewals, f"more {kind}certificate")
    text = f"Renewing what is due needs {what} for a while: {together:,} of {number.limit:,}"
    is_over = together > number.limit
    lines = wrapped(f"{text}, WHICH DOES NOT FIT." if is_over else f"{text}.", width)
    yield from map(style.bad if is_over else str, lines)


def _calls_text(calls: Calls, changes: Iterable[Change], command: str, *, can_apply: bool) -> str:
    made = f"This plan made {calls.made:,} call{'' if calls.made == 1 else 's'} to Cloudflare"
    return (
        f"{made}."
        if calls.apply == calls.made or not can_apply
        else f"{made}; {command} makes about {calls.apply:,}, plus those of wrangler."
        if any(isinstance(change, Deploy) for change in changes)
        else f"{made}; {command} makes about {calls.apply:,}."
    )


# --- renewals ---------------------------------------------------------------------------------------------------------

_ABOUT_DUE = frozenset({Code.RENEWAL_DUE, Code.BOUND_EXPIRED})


def _is_in_due_lines(finding: Diagnostic, plan: PlanFacts) -> bool:
    """Whether the dates of a preview say it already."""
    return plan.at and finding.code is Code.RENEWAL_DUE


def _due_lines(plan: PlanFacts, width: int | None, style: Style) -> Iterator[str]:
    """What is due of which no finding says so; of a preview all of it, since it was asked for that."""
    said = {one.certificate for one in plan.diagnostics if one.code in _ABOUT_DUE and not plan.at}
    by_then = " by then" if plan.at else ""
    asked = [item for item in plan.due if item.is_due(plan.made) and item.certificate not in said]
    expired = [item for item in asked if item.has_expired(plan.made)]
    due = [item for item in asked if item not in expired]
    if expired:
        yield ""
        yield style.bold(f"Expired{by_then}:")
        yield from _listed_rows([_due_row("x", item, "ended", style.bad) for item in expired], width)
    if due:
        yield ""
        yield style.bold(f"Due for renewal{by_then}:")
        yield from _listed_rows([_due_row("!", item, "ends", style.warn) for item in due], width)
    if plan.at and plan.due and not any(item.is_due(plan.made) for item in plan.due):
        yield ""
        upcoming = next((item for item in plan.due if not item.renewed), None)
        first = f" First: {printable(upcoming.certificate)}, from {upcoming.renew_from:%Y-%m-%d}." if upcoming else ""
        yield from wrapped(f"Nothing is due for renewal by then.{first}", width)


def _due_row(sign: str, item: Due, verb: str, paint: Callable[[str], str]) -> list[Cell]:
    since = f"due since {item.renew_from:%Y-%m-%d}" if verb == "ends" else ""
    return [
        Cell(f"{sign} {printable(item.certificate)}", paint, shrinks=True),
        Cell(f"{verb} {item.not_after:%Y-%m-%d %H:%M} UTC"),
        Cell(since),
        Cell("renewed in mtls.toml, but still in use" if item.renewed else ""),
    ]


def _listed_rows(rows: Sequence[Sequence[Cell]], width: int | None) -> Iterator[str]:
    yield from table(rows[:_MAX_LISTED], width)
    if len(rows) > _MAX_LISTED:
        yield f"  and {len(rows) - _MAX_LISTED} more; see --format json"


# --- what is live -----------------------------------------------------------------------------------------------------

_LIVE_SIGNS = {
    LiveState.IN_SYNC: "=",
    LiveState.FILE_BEHIND: "<",
    LiveState.NEEDS_DEPLOY: "!",
    LiveState.SPLIT: "%",
    LiveState.NOT_DEPLOYED: "o",
    LiveState.UNKNOWN: "?",
}
_LIVE_WORDS = {
    LiveState.IN_SYNC: "uses what the file has",
    LiveState.FILE_BEHIND: "the live version is right, the file is behind: needs `mtlsctl apply`, no deploy",
    LiveState.NEEDS_DEPLOY: "needs a deploy",
    LiveState.SPLIT: "gradual deployment",
    LiveState.NOT_DEPLOYED: "not live",
    LiveState.UNKNOWN: "unknown",
}

_NOWHERE = "not in the wrangler file and not live yet"


def _is_nowhere(row: LiveBinding) -> bool:
    """Whether neither the file nor a live version has a declared binding."""
    return row.state is LiveState.IN_SYNC and row.file is None


def _live_lines(
    rows: Sequence[LiveBinding] | None, names: ShownNames, width: int | None, style: Style
) -> Iterator[str]:
    """What live Workers use, where it is not what the files have. Nothing where live Workers were not read."""
    if rows is None:
        return
    yield ""
    yield style.bold("Live Workers:")
    in_sync = [row for row in rows if row.state is LiveState.IN_SYNC]
    same = sum(not _is_nowhere(row) for row in in_sync)
    for row in without_repeated_reasons(rows):
        if row.state is not LiveState.IN_SYNC:
            yield from live_row_lines(row, style, names, width)
    texts = []
    if not rows:
        texts.append("No binding is declared.")
    if same:
        text = f"{counted(same, 'binding')} {'uses' if same == 1 else 'use'} the certificate of the wrangler file."
        texts.append(text)
    if len(in_sync) > same:
        number = len(in_sync) - same
        texts.append(f"{counted(number, 'binding')} {'is' if number == 1 else 'are'} {_NOWHERE}.")
    deploys = dict.fromkeys(row.at.site for row in rows if row.state is LiveState.NEEDS_DEPLOY)
    if deploys:
        texts.append(f"{counted(len(deploys), 'Worker')} to deploy: {', '.join(map(names.site, deploys))}.")
    for text in texts:
        yield from wrapped(text, width, first="  ")


def without_repeated_reasons(rows: Iterable[LiveBinding]) -> Iterator[LiveBinding]:
    """The rows; a reason why live versions are unknown is written once, and referred to after that."""
    told: set[str] = set()
    for row in rows:
        if row.state is LiveState.UNKNOWN and row.detail in told:
            yield replace(row, detail="see above")
        else:
            yield row
        if row.detail is not None:
            told.add(row.detail)


def live_row_lines(
    row: LiveBinding, style: Style, names: ShownNames | None = None, width: int | None = None
) -> Iterator[str]:
    """One binding from all sides: what is wanted, what the file has, what each live version uses."""
    names = names or ShownNames(None)
    paint = style.good if row.state is LiveState.IN_SYNC else style.change
    detail = f": {printable(row.detail)}" if row.detail else ""
    words = _NOWHERE if _is_nowhere(row) else _LIVE_WORDS[row.state]
    is_coming = row.desired is None and row.certificate is not None and row.file is not None
    if is_coming and row.state is LiveState.IN_SYNC:
        words = f"{words}; a new certificate is not applied yet"
    text = f"{names.binding(row.at)}: {words}{detail}"
    yield from labelled(_LIVE_SIGNS[row.state], text, width, paint=paint, gap=" ")
    sides = []
    if row.desired is not None and row.desired != row.file:
        sides.append(f"wanted {names.id(row.desired)}")
    elif is_coming and row.state is not LiveState.IN_SYNC:
        sides.append("wanted a new one")
    sides.append(f"file {names.id(row.file)}")
    sides += [f"live {names.id(one.id)} ({one.share:g} %, version {names.id(one.version)})" for one in row.live]
    yield from wrapped(", ".join(sides), width, first="      ")
