"""What a plan changes and what waits, by certificate: each in one block, with what differs and what it needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from functools import partial
from typing import assert_never

from reconciler.findings.codes import Code
from reconciler.findings.escape import printable
from reconciler.findings.values import dataclass
from reconciler.model import (
    Action,
    BindingChange,
    CertificateName,
    Change,
    Condition,
    Deploy,
    Difference,
    EntryId,
    Gate,
    HyperdriveAddress,
    HyperdriveField,
    KeyReference,
    Reason,
    Retire,
    Update,
    Upload,
    Verify,
    Waiting,
)
from reconciler.model.key_places import RENEWED
from reconciler.model.words import names_text
from reconciler.plan.coverage import KeyNeeded
from reconciler.plan.plan import PlanFacts
from reconciler.views.text.layout import Cell, cells, labelled, spread, table, wrapped
from reconciler.views.text.lines import counted, until_text
from reconciler.views.text.names import ShownNames, environment
from reconciler.views.text.style import Style

SIGNS = {
    Action.UPLOAD: "+",
    Action.BIND: "+",
    Action.REBIND: "~",
    Action.UNBIND: "-",
    Action.DEPLOY: "^",
    Action.UPDATE: "~",
    Action.VERIFY: "*",
    Action.RETIRE: "-",
}
MAX_WAITING = 20
"""So many certificates of which something only waits have a block each."""
_MOST_ALIKE = 10
_MOST_HOSTNAMES = 50
_INDENT, _DEEPER = "    ", "      "
_NOTES = {
    Reason.PLACEHOLDER_ID: "placeholder",
    Reason.UNKNOWN_ID: "unknown ID",
    Reason.WRONG_ID: "wrong ID",
    Reason.REMOVED: "not declared in mtls.toml",
}
"""What a line of a binding says of its reasons; the other reasons follow from the line and its block."""
_UNINTERESTING = frozenset({"serial_number", "serial", "not_before", "fingerprint"})
"""What differs between any two certificates."""


@dataclass
class Group:
    """All that a plan has for one certificate, for one ID that bindings use, or for what is of neither."""

    name: CertificateName | None = None
    id: EntryId | None = None
    changes: list[Change] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)

    @property
    def differences(self) -> tuple[Difference, ...]:
        """What differs between the old certificate and the new one."""
        known = (one.differences for one in self.changes if isinstance(one, Upload | BindingChange | Update))
        return next((found for found in known if found), ())

    @property
    def is_up_to_date(self) -> bool:
        """Whether only old uploads of it are deleted or kept."""
        return all(isinstance(one, Retire) for one in (*self.changes, *(wait.change for wait in self.waiting)))

    @property
    def bindings(self) -> tuple[BindingChange, ...]:
        """Its changes of bindings, also those that wait."""
        both = (*self.changes, *(one.change for one in self.waiting))
        return tuple(one for one in both if isinstance(one, BindingChange))

    def has(self, action: Action) -> bool:
        """Whether something is done in such a way."""
        return any(change.action is action for change in self.changes)


def group_changes(plan: PlanFacts) -> tuple[Group, ...]:
    """The groups in the order of the plan, those in which something only waits last; deploys are in none."""
    owners = _owners(plan)
    found: dict[tuple[str | None, str | None], Group] = {}

    def group_of(change: Change) -> Group:
        key = _key(change, owners)
        return found.setdefault(key, Group(*key))

    for change in plan.changes:
        if not isinstance(change, Deploy):
            group_of(change).changes.append(change)
    for wait in plan.waiting:
        if not isinstance(wait.change, Deploy):
            group_of(wait.change).waiting.append(wait)
    return tuple(sorted(found.values(), key=lambda group: not group.changes))


def _owners(plan: PlanFacts) -> Mapping[str | None, CertificateName]:
    """Whose each uploaded certificate is, as far as the plan says it."""
    retires = (*plan.changes, *(one.change for one in plan.waiting))
    return {
        **{one.entry.id: one.certificate for one in plan.adopted},
        **{one.entry.id: one.certificate for one in retires if isinstance(one, Retire)},
    }


def _key(change: Change, owners: Mapping[str | None, CertificateName]) -> tuple[CertificateName | None, EntryId | None]:
    if change.certificate is not None or not isinstance(change, BindingChange):
        return change.certificate, None
    if change.action is Action.UNBIND:
        return owners.get(change.before), None
    return None, change.after


def group_lines(group: Group, plan: PlanFacts, names: ShownNames, width: int | None, style: Style) -> Iterator[str]:
    """One block: a line with what it is about, then what differs, then its changes and what waits."""
    yield from _head_lines(group, plan, names, width, style)
    yield from _difference_lines(group.differences, width)
    for change in group.changes:
        if isinstance(change, Verify | Upload):
            yield from _step_lines(change, plan.keys, width, style)
    rows = [_binding_row(change, names, style) for change in group.changes if isinstance(change, BindingChange)]
    yield from table(rows, width, indent=_INDENT)
    updates = [change for change in group.changes if isinstance(change, Update)]
    yield from table([_update_row(change, names, style) for change in updates], width, indent=_INDENT)
    yield from _hostname_lines(updates, width, _INDENT)
    for change in group.changes:
        if isinstance(change, Retire):
            text = f"{names.id(change.entry.id)} {old_text(change)} {entry_text(change)}"
            yield from labelled("- delete", text, width, paint=style.bad, indent=_INDENT)
    yield from waiting_block(map(partial(_in_this_run, group), group.waiting), names, width)


def _in_this_run(group: Group, wait: Waiting) -> Waiting:
    """What waits, for a block that shows the changes for which it waits."""
    if wait.condition is not Condition.BINDINGS_PENDING:
        return wait
    if group.has(Action.BIND) or group.has(Action.REBIND):
        return replace(wait, detail="kept in this run: its bindings change first")
    return replace(wait, detail="kept in this run: its users are updated first") if group.has(Action.UPDATE) else wait


def _head_lines(group: Group, plan: PlanFacts, names: ShownNames, width: int | None, style: Style) -> Iterator[str]:
    name = printable(group.name) if group.name is not None else None
    if group.id is not None:
        name = f"{names.id(group.id)} (by ID)"
    about = about_text(group, plan)
    left = name if name is not None else "Other bindings"
    owner = _owner(group, plan)
    text = f"owner {printable(owner)}" if owner is not None else ""
    if group.id is not None and width is not None and cells(left) + cells(about) + 4 > width:
        yield f"  {style.bold(left)}"
        yield from wrapped(about, width, first=_INDENT)
        return
    if about:
        is_long = width is not None and cells(left) + cells(about) + 4 > width
        left = f"{left} {about}" if is_long else f"{left}  {about}"
        if not text and not is_long:  # as it is: a paragraph would join the two
            yield f"  {style.bold(left)}"
            return
    yield from spread(Cell(left, style.bold), Cell(text, style.dim), width, indent="  ")


def _owner(group: Group, plan: PlanFacts) -> str | None:
    return plan.owners.get(group.name) if group.name is not None else None


def about_text(group: Group, plan: PlanFacts) -> str:
    """What happens to a certificate, in one phrase."""
    if group.id is not None:
        known = (one.identity for one in group.bindings if one.identity is not None)
        identity = next(known, None)
        if identity is None:
            return "not managed here"
        return printable(identity.text) + ("" if identity.stack is not None else ", not managed here")
    upload = next((change for change in group.changes if isinstance(change, Upload)), None)
    if upload is not None:
        if Reason.CONTENT_CHANGED not in upload.reasons:
            return "new"
        found = (one.code for one in plan.diagnostics if one.certificate == group.name)
        what = "goes back to an older certificate" if Code.PREVIOUS_ENTRY_GONE in found else "renewed"
        if not group.differences:
            return what
        return f"{what}, {'new' if any(one.attribute == 'key' for one in group.differences) else 'same'} key"
    if any(Reason.ORPHANED in one.reasons for one in _retires(group)):
        return "removed from mtls.toml"
    if any(one.at is None and one.certificate == group.name for one in plan.unknown):
        return "upload unknown"
    if group.has(Action.BIND) or group.has(Action.REBIND) or group.has(Action.UPDATE):
        return "already uploaded"
    if any(isinstance(wait.change, BindingChange | Update) and wait.change.after is not None for wait in group.waiting):
        return "already uploaded"
    if any(wait.entry is None for wait in group.waiting) or group.name is None or group.has(Action.UNBIND):
        return ""
    return trouble_of(group.name, plan) or "up to date"


def trouble_of(name: CertificateName, plan: PlanFacts) -> str | None:
    """Why a certificate without changes is not up to date, in one phrase; None if it is."""
    found = [one for one in plan.diagnostics if one.certificate == name]
    if any(one.code in {Code.BOUND_EXPIRED, Code.CERTIFICATE_EXPIRED} for one in found):
        return "expired"
    return "blocked by an error" if any(one.is_error for one in found) else None


def used_ids(waits: Iterable[Waiting]) -> frozenset[str]:
    """The IDs that bindings keep while their change waits."""
    changes = (wait.change for wait in waits)
    found = (one.before for one in changes if isinstance(one, BindingChange | Update))
    return frozenset(text for text in found if text is not None)


def _retires(group: Group) -> Iterator[Retire]:
    for change in (*group.changes, *(wait.change for wait in group.waiting)):
        if isinstance(change, Retire):
            yield change


def difference_texts(differences: Iterable[Difference]) -> Iterator[tuple[str, str]]:
    """What differs between two certificates, a label and both sides each; expiry and key first."""
    known = {one.attribute: one for one in differences if one.attribute not in _UNINTERESTING}
    ends, key = known.pop("not_after", None), known.pop("key", None)
    if ends is not None:
        before, after = _text(ends.before), _text(ends.after)
        is_other_day = before[:10] != after[:10]
        yield "expires", f"{before[:10]} -> {after[:10]}" if is_other_day else f"{before} -> {after}"
    if key is not None:
        kinds = [_text(side).partition(", SPKI ")[0] for side in (key.before, key.after)]
        if kinds[0] != kinds[1]:
            yield "key", " -> ".join(kinds)
    for one in known.values():
        label = "names" if one.attribute == "subject_alternative_names" else one.attribute.replace("_", " ")
        yield printable(label), _change_text(one)


def _difference_lines(differences: Sequence[Difference], width: int | None) -> Iterator[str]:
    """A line for each difference; expiry and key share the first if they fit."""
    known = list(difference_texts(differences))
    facts = [fact for fact in known if fact[0] in ("expires", "key")]
    line = "     ".join(
        f"{label:<8}  {text}" if not at else f"{label}  {text}" for at, (label, text) in enumerate(facts)
    )
    if facts and (width is None or cells(line) + len(_INDENT) <= width):
        yield f"{_INDENT}{line}"
        known = known[len(facts) :]
    for label, text in known:
        yield from labelled(f"{label:<8}", text, width, indent=_INDENT)


def _change_text(one: Difference) -> str:
    """Of a list what is added and removed; of anything else both sides."""
    if one.attribute != "subject_alternative_names":
        return f"{_text(one.before)} -> {_text(one.after)}"
    before, after = ((side or "").split(", ") if side else [] for side in (one.before, one.after))
    removed = [f"-{printable(name)}" for name in before if name not in after]
    added = [f"+{printable(name)}" for name in after if name not in before]
    return " ".join((*removed, *added)) or "in another order"


def _text(side: str | None) -> str:
    return "none" if side is None else printable(side)


def _step_lines(change: Upload | Verify, keys: Iterable[KeyNeeded], width: int | None, style: Style) -> Iterator[str]:
    """An upload or a proof, with the key that it needs."""
    label, paint = ("+ upload", style.good) if isinstance(change, Upload) else ("* prove ", style.bold)
    yield from labelled(label, step_text(change, keys), width, paint=paint, indent=_INDENT)


_BEFORE = {
    Gate.UPLOAD: "before the upload",
    Gate.BIND: "from Cloudflare's edge, before it is bound",
    Gate.RETIRE: "before the deletion of old certificates",
}


def step_text(change: Upload | Verify, keys: Iterable[KeyNeeded]) -> str:
    """What else an upload or a proof is for or at, and the key that it needs."""
    match change:
        case Upload():
            names: tuple[CertificateName, ...] = (change.certificate, *change.shared_with)
            shared = ", ".join(map(printable, change.shared_with))
            words = [f"for {shared} too (same content)"] if shared else []
        case Verify():
            names = (change.certificate,) if change.before is not Gate.BIND else ()
            words = [f"at {printable(change.origin)}, {_BEFORE[change.before]}"]
        case _:
            assert_never(change)
    key = next((one.source for name in names for one in keys if one.certificate == name), None)
    words += [f"needs {key_text(key)}"] if key is not None else []
    return ", ".join(words)


def key_text(source: KeyReference) -> str:
    """`$BILLING_KEY`, the path, or the sink; of any other source its name as well. Then where its passphrase is."""
    where = printable(source.options.get(source.source, ""))
    known = {"env": f"${where}", "file": where, "pkcs12": where, RENEWED: where, "stdin": "standard input"}
    text = known.get(source.source, f"{printable(source.source)} {where}")
    return text if source.passphrase is None else f"{text} (passphrase: {key_text(source.passphrase)})"


def _binding_row(change: BindingChange, names: ShownNames, style: Style) -> list[Cell]:
    """One line of a wrangler file: its Worker, its environment, its name, what it has and what it gets."""
    sign = SIGNS[change.action]
    paint = {"+": style.good, "~": style.change, "-": style.bad}[sign]
    return [
        Cell(f"{sign} {names.worker(change.at)}", paint, shrinks=True),
        Cell(environment(change.at), shrinks=True),
        Cell(printable(change.at.binding), shrinks=True),
        Cell(arrow(change, names)),
        Cell(", ".join(notes_of(change)), style.dim),
    ]


def _update_row(change: Update, names: ShownNames, style: Style) -> list[Cell]:
    """One field of a Hyperdrive configuration, or the hostnames that get a CA."""
    return [
        Cell(f"~ {printable(change.at.label)}", style.change, shrinks=True),
        Cell(change.at.kind),
        Cell(_part_of(change)),
        Cell(arrow(change, names)),
    ]


def _part_of(change: Update) -> str:
    return counted(len(change.names), "new hostname") if change.names else change.at.part


def _hostname_lines(changes: Iterable[BindingChange | Update], width: int | None, indent: str) -> Iterator[str]:
    """The hostnames that each update adds, which a reviewer has to see whole."""
    for change in changes:
        if isinstance(change, Update) and change.names:
            added = printable(f"{change.at.label}: {names_text(change.names, _MOST_HOSTNAMES)}")
            yield from wrapped(added, width, first=f"{indent}  ")


def is_mode(change: Update) -> bool:
    """Whether it is about a mode, and not about a certificate."""
    return isinstance(change.at, HyperdriveAddress) and change.at.field is HyperdriveField.SSLMODE


def arrow(change: BindingChange | Update, names: ShownNames) -> str:
    """The ID of a user, before and after; the mode, of `sslmode`."""
    if isinstance(change, Update) and is_mode(change):
        return f"{printable(change.before or 'none')} -> {printable(change.after or '')}"
    after = names.id(change.after) if change.after is not None or change.action is Action.UNBIND else names.new
    if change.before is not None and change.before == change.after:
        return after
    return f"{names.id(change.before)} -> {after}" if change.before is not None else f"-> {after}"


def notes_of(change: BindingChange) -> Iterator[str]:
    """What else there is to know about a change of a binding."""
    yield from (_NOTES[reason] for reason in change.reasons if reason in _NOTES)
    if change.remote is not None and (Reason.REMOTE_DIFFERS in change.reasons or change.action is Action.BIND):
        yield f"remote = {str(change.remote).lower()}"
    if change.not_before is not None:
        yield f"waits for it to become valid at {change.not_before:%H:%M:%S} UTC"


def old_text(retire: Retire, *, used: bool = False) -> str:
    """What an uploaded certificate is: in use until its successor is valid, an old one, or one that was removed."""
    if used:
        return "(in use)"
    return "(removed)" if Reason.ORPHANED in retire.reasons else "(old)"


def entry_text(retire: Retire) -> str:
    """The name of an uploaded certificate, and since when it is there."""
    day = retire.entry.uploaded_on
    uploaded = f"uploaded {day:%Y-%m-%d}" if day is not None else "uploaded at an unknown time"
    return f"{printable(retire.entry.name) or 'without a name'}, {uploaded}"


def waiting_block(
    waits: Iterable[Waiting], names: ShownNames, width: int | None, *, indent: str = _INDENT
) -> Iterator[str]:
    """What waits, for what, and until when; what waits for the same in one sentence."""
    waits = tuple(waits)
    used = used_ids(waits)
    alike: dict[tuple[str, Action, str, str, Condition], list[str]] = {}
    bindings: dict[tuple[Condition, str, datetime | None], list[BindingChange | Update]] = {}
    for wait in waits:
        if isinstance(wait.change, BindingChange | Update):
            bindings.setdefault((wait.condition, wait.detail, wait.until), []).append(wait.change)
            continue
        what, verb = waiting_text(wait.change, names, used)
        alike.setdefault((verb, wait.change.action, wait.detail, until_text(wait), wait.condition), []).append(what)
    for (_, why, time), changes in bindings.items():
        yield from table([_waiting_row(change, names) for change in changes[:_MOST_ALIKE]], width, indent=indent)
        if len(changes) > _MOST_ALIKE:
            yield f"{indent}. and {counted(len(changes) - _MOST_ALIKE, 'more')}"
        yield from _hostname_lines(changes[:_MOST_ALIKE], width, indent)
        first = f"wait until {time:%Y-%m-%d %H:%M} UTC, then for `mtlsctl apply`" if time is not None else "wait"
        first = first if len(changes) > 1 else first.replace("wait", "waits", 1)
        yield from wrapped(f"{first}: {printable(why)}", width, first=f"{indent}  ")
    for (verb, _, detail, until, condition), found in alike.items():
        what = names_text(found, _MOST_ALIKE)
        if verb == "waits":
            text = f"{what} {'waits' if len(found) == 1 else 'wait'}{until.removeprefix(',')}: {names.text(detail)}"
            yield from wrapped(text, width, first=f"{indent}. ")
            continue
        if condition is Condition.ROLLBACK_REACH:
            until += " (what ends that: mtlsctl status NAME --live)"
        why = names.text(detail) if detail.startswith(verb) else f"{verb}: {names.text(detail)}"
        yield from wrapped(f"{what} {why}{until}", width, first=f"{indent}. ")


def _waiting_row(change: BindingChange | Update, names: ShownNames) -> list[Cell]:
    """One line of a wrangler file that is not written yet, or an update that is not made."""
    if isinstance(change, Update):
        label = Cell(f". {printable(change.at.label)}", shrinks=True)
        return [label, Cell(change.at.kind), Cell(_part_of(change)), Cell(arrow(change, names))]
    return [
        Cell(f". {names.worker(change.at)}", shrinks=True),
        Cell(environment(change.at), shrinks=True),
        Cell(printable(change.at.binding), shrinks=True),
        Cell(arrow(change, names)),
    ]


def waiting_text(change: Upload | Deploy | Update | Retire, names: ShownNames, used: frozenset[str]) -> tuple[str, str]:
    """What waits, and what it does meanwhile."""
    match change:
        case Retire():
            return f"{names.id(change.entry.id)} {old_text(change, used=change.entry.id in used)}", "kept"
        case Upload():
            return "upload", "waits"
        case Deploy():
            return f"deploy of {names.site(change.at)}", "waits"
        case Update():
            return f"{printable(change.at.text)}: {arrow(change, names)}", "waits"
        case _:
            assert_never(change)


def deploy_lines(deploy: Deploy, names: ShownNames, width: int | None, style: Style) -> Iterator[str]:
    """What changes for the traffic of one Worker."""
    built = f", built as {printable(deploy.built)}" if deploy.built is not None else ""
    text = f"{names.site(deploy.at)} as {printable(deploy.script)}{built}"
    yield from labelled("^ deploy", text, width, paint=style.change)
    rows = [
        [
            Cell(printable(one.binding), shrinks=True),
            Cell(
                f"{' and '.join(names.id(live) for live in dict.fromkeys(one.live)) or 'none'} -> "
                f"{names.id(one.id) if one.id or one.digest is None else 'new'}"
            ),
            Cell("older: goes back to a previous certificate" if one.older else "", style.warn),
        ]
        for one in deploy.bindings
        if one.differs
    ]
    yield from table(rows, width, indent=_DEEPER)
