"""Whether an entry may be deleted (rules 5 and 11 of the reconciler). If that can't be checked, it is kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta

from reconciler.findings.values import dataclass
from reconciler.model import (
    Actual,
    BrokenFile,
    ByCertificate,
    ById,
    CertificateName,
    Condition,
    Desired,
    Entry,
    FoundZone,
    Reason,
    Retire,
    Waiting,
)
from reconciler.model.found import has_needle, needle_of
from reconciler.model.hostnames import lacking
from reconciler.model.ownership import former_stack_of
from reconciler.model.words import environment_text, names_text
from reconciler.plan.assessment import (
    BindingRow,
    EntryRow,
    Kept,
    Need,
    Pending,
    PlanOptions,
    Unseen,
    UpdateRow,
    UserRow,
    Verdict,
    Waits,
)
from reconciler.plan.inventory import Inventory, Leaving, Roles
from reconciler.plan.policy import (
    MAX_SKEW,
    duration_text,
    grace_end,
    grace_of,
    is_raised,
    protecting,
    protecting_text,
    skew_facts,
)
from reconciler.plan.retire_live import LIVE_CHECKS, LiveCheck, can_be_live, find_rollback
from reconciler.plan.wording import wait_text
from reconciler.x509.certificates import subject_text
from reconciler.x509.chains import window_of

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class RetireScene:
    """The facts that the conditions check, gathered once.

    `pending`: by certificate, its declared users that do not have its current ID, for any reason. `coming`: subjects
    of declared certificates that are not uploaded yet. `bound`: by ID, the wrangler files that have it. `declared_ids`:
    by ID, the bindings that are declared with it. `staying`: the IDs of bindings that this plan does not change.
    `broken`: the declared wrangler files that can't be used.
    """

    desired: Desired
    actual: Actual
    now: datetime
    pending: Mapping[CertificateName, Sequence[UserRow]]
    coming: frozenset[str]
    bound: Mapping[str, Sequence[str]]
    staying: frozenset[str]
    declared_ids: Mapping[str, Sequence[BindingRow]]
    unread: tuple[str, ...]
    broken: tuple[BrokenFile, ...]
    ask: PlanOptions


@dataclass(frozen=True, slots=True)
class _Wait:
    facts: Mapping[str, str] = field(default_factory=dict)
    until: datetime | None = None


def make_scene(
    desired: Desired,
    actual: Actual,
    inventory: Inventory | None,
    users: Sequence[UserRow],
    now: datetime,
    ask: PlanOptions,
) -> RetireScene:
    """The scene once all users are judged. Grace and proofs count from `now`."""
    pending: dict[CertificateName, list[UserRow]] = defaultdict(list)
    declared_ids: dict[str, list[BindingRow]] = defaultdict(list)
    staying = {found.certificate_id for file in actual.files.values() for found in file.previews or ()}
    for row in users:
        match row.target:
            case ByCertificate(certificate) if row.wanted is None or row.found_id != row.wanted or _is_short(row):
                pending[certificate].append(row)
            case ById(entry_id) if isinstance(row, BindingRow):
                declared_ids[entry_id].append(row)
            case _:
                pass
        if isinstance(row, BindingRow) and not isinstance(row.verdict, Pending) and row.found_id is not None:
            staying.add(row.found_id)
    bound: dict[str, list[str]] = defaultdict(list)
    for file in {file.path: file for file in actual.files.values()}.values():
        bindings_there = (one for there in file.environments.values() for one in there.bindings)
        for text in {found.certificate_id for found in (*bindings_there, *(file.previews or ()))}:
            bound[text].append(file.path)
    return RetireScene(
        desired=desired,
        actual=actual,
        now=now,
        pending=pending,
        coming=_coming(desired, inventory) if inventory is not None else frozenset(),
        bound=bound,
        staying=frozenset(staying),
        declared_ids=declared_ids,
        broken=tuple({file.path: file for file in actual.broken.values()}.values()),
        unread=tuple(sorted(name for name in desired.declaration.certificates if name not in desired.bundles)),
        ask=ask,
    )


def _is_short(row: UserRow) -> bool:
    """Whether some of its hostnames do not trust the CA yet."""
    return isinstance(row, UpdateRow) and bool(row.lacking)


def _coming(desired: Desired, inventory: Inventory) -> frozenset[str]:
    """The subjects of declared certificates that are not uploaded; empty without an orphan, which alone needs it."""
    if all(one.reason is not Reason.ORPHANED for one in inventory.leaving):
        return frozenset()
    unstored = (bundle for name, bundle in desired.bundles.items() if name not in inventory.current)
    return frozenset(subject_text(bundle.leaf) for bundle in unstored)


def _named(kind: str, texts: Sequence[str]) -> Mapping[str, str]:
    """The facts that name the first of some things and count the others."""
    return {kind: texts[0], "others": f" and {len(texts) - 1} more" if len(texts) > 1 else ""}


def _prune_off(leaving: Leaving, scene: RetireScene) -> _Wait | None:
    if leaving.reason is not Reason.ORPHANED or scene.desired.declaration.policy.prune:
        return None
    return _Wait({"case": "ordered"} if scene.ask.prune else {})


def _prune_not_requested(leaving: Leaving, scene: RetireScene) -> _Wait | None:
    """mtls.toml only permits it: one commit must not both remove a certificate and order its deletion."""
    if leaving.reason is not Reason.ORPHANED or scene.ask.prune:
        return None
    return _Wait(_once_grace_is_over(leaving, scene))


def _not_taken_over(leaving: Leaving, scene: RetireScene) -> _Wait | None:
    """A stack that `former_stacks` lists may still be in use, by a repository that this one knows nothing of."""
    stack = former_stack_of(leaving.entry, scene.desired.declaration)
    if stack is None or stack in scene.ask.take_over:
        return None
    return _Wait({"stack": stack, **_once_grace_is_over(leaving, scene)})


def _once_grace_is_over(leaving: Leaving, scene: RetireScene) -> Mapping[str, str]:
    """The facts that say when an option helps: an option that is given earlier would have to be given again."""
    grace = _grace(leaving, scene)
    if grace is None or grace.until is None:
        return {}
    return {"case": "later", "end": f"{grace.until:%Y-%m-%d %H:%M} UTC"}


def _successor_missing(leaving: Leaving, scene: RetireScene) -> _Wait | None:
    """Of an orphan too, where a declared certificate of the same subject is not stored yet: it may replace it."""
    if leaving.successor is not None:
        return None
    if leaving.reason is not Reason.SUPERSEDED and not _is_replaced_soon(leaving, scene):
        return None
    if _skips_grace(leaving, scene):
        return _Wait({"case": "now"})
    if not _grace_time(leaving, scene):
        return _Wait({"case": "no-grace"})
    begins, facts = _coming_begins(leaving, scene), {"grace": duration_text(_grace_time(leaving, scene))}
    if begins is None or begins <= scene.now:
        return _Wait(facts)
    return _Wait({"case": "later", "begins": f"{begins:%Y-%m-%d %H:%M} UTC", **facts})


def _is_replaced_soon(leaving: Leaving, scene: RetireScene) -> bool:
    bundle = leaving.entry.bundle
    if bundle is None or leaving.entry.window(scene.now).has_ended(scene.now):
        return False
    return subject_text(bundle.leaf) in scene.coming


def _successor_not_valid(leaving: Leaving, scene: RetireScene) -> _Wait | None:
    """Rule 11: the last valid certificate is kept until its successor is valid, or until it has expired itself."""
    if leaving.entry.window(scene.now).has_ended(scene.now):
        return None
    if leaving.successor is None:
        begins = _coming_begins(leaving, scene)
        return _Wait({"case": "coming"}, begins) if begins is not None and begins > scene.now else None
    window, facts = leaving.successor.window(scene.now), {"successor": str(leaving.successor.id)}
    if window.contains(scene.now):
        return None
    if window.has_ended(scene.now) or window.begins is None:
        return _Wait(facts)
    return _Wait({"case": "later", **facts}, window.begins)


def _coming_begins(leaving: Leaving, scene: RetireScene) -> datetime | None:
    """When the content begins that its certificate's file has, but no upload; None if unknown, or if there is none."""
    bundle = scene.desired.bundles.get(leaving.certificate) if leaving.successor is None else None
    return window_of(bundle, now=scene.now).begins if bundle is not None else None


def _content_unknown(_: Leaving, scene: RetireScene) -> _Wait | None:
    return _Wait({"names": ", ".join(scene.unread)}) if scene.unread else None


def _declared_by_id(leaving: Leaving, scene: RetireScene) -> _Wait | None:
    rows = scene.declared_ids.get(leaving.entry.id)
    return _Wait(_named("binding", [row.text for row in rows])) if rows else None


def _bindings_pending(leaving: Leaving, scene: RetireScene) -> _Wait | None:
    rows = scene.pending.get(leaving.certificate)
    if not rows:
        return None
    first = rows[0]
    is_read = isinstance(first, UpdateRow) or first.at.worker in scene.actual.files
    case = "trust" if isinstance(first, UpdateRow) and first.names else "" if is_read else "unread"
    facts = {"case": case, "bindings": _users_text(rows)}
    times = [row.verdict.until if isinstance(row.verdict, Waits) else None for row in rows]
    known = [time for time in times if time is not None]
    return _Wait(facts, max(known) if len(known) == len(rows) else None)


def _users_text(rows: Sequence[UserRow]) -> str:
    """Where the first binding is, with all its environments in that file; then how many others there are, and
    everything that is updated."""
    bindings = [row for row in rows if isinstance(row, BindingRow)]
    texts = [row.text for row in rows if isinstance(row, UpdateRow)]
    if bindings:
        first = bindings[0]
        same = [row for row in bindings if (row.at.config, row.at.binding) == (first.at.config, first.at.binding)]
        where = " and ".join(f"({environment_text(row.at.environment)})" for row in same[:_MOST_NAMED])
        more = len(bindings) - len(same[:_MOST_NAMED])
        others = f" and {more} more binding{'' if more == 1 else 's'} of {first.certificate}" if more else ""
        texts.insert(0, f"{first.at.binding} in {first.at.config} {where}{others}")
    return " and ".join(texts)


def _bound_in_file(leaving: Leaving, scene: RetireScene) -> _Wait | None:
    needle = needle_of(leaving.entry.id)
    named = [file.path for file in scene.broken if file.text is not None and has_needle(file.text, needle)]
    files = (*scene.bound.get(leaving.entry.id, ()), *named)
    if not files:
        return None
    case = "" if named or leaving.entry.id in scene.staying else "removed"
    return _Wait({"case": case, **_named("file", files)})


def _still_trusted(leaving: Leaving, scene: RetireScene) -> _Wait | None:
    """By hostnames of a declared zone, which only a person removes: clients may have certificates of the old CA."""
    zones, successor = scene.actual.zones or (), leaving.successor
    trusting = [(zone, zone.of(leaving.entry.id)) for zone in zones]
    names = _hostnames_text(trusting)
    if not names:
        return None
    only = [(zone, lacking(zone.of(successor.id), listed)) for zone, listed in trusting] if successor else []
    alone = _hostnames_text(only)
    return _Wait({"case": "only", "names": names, "only": alone} if alone else {"names": names})


def _hostnames_text(found: Iterable[tuple[FoundZone, tuple[str, ...]]]) -> str:
    return ", ".join(f"{names_text(names)} (zone {zone.declared})" for zone, names in found if names)


def _grace(leaving: Leaving, scene: RetireScene) -> _Wait | None:
    if _skips_grace(leaving, scene):
        return None
    end = grace_end_of(leaving, scene)
    if end is None:
        return _Wait({"case": "no-time"})
    if end <= scene.now:
        return None
    time = _grace_time(leaving, scene)
    is_least = is_raised(time, scene.desired.declaration.policy)
    return _Wait({"case": "least", "grace": duration_text(time)} if is_least else {}, end)


def _skips_grace(leaving: Leaving, scene: RetireScene) -> bool:
    return scene.ask.skip_grace is not None and is_meant(leaving.entry, leaving.certificate, scene.ask.skip_grace)


def grace_end_of(leaving: Leaving, scene: RetireScene) -> datetime | None:
    """The end of its grace period; None if the time of an upload is unknown.

    For a successor that is not uploaded yet, as if it was uploaded now.
    """
    uploads = [entry.uploaded_on for entry in (leaving.entry, leaving.successor) if entry is not None]
    known = tuple(time for time in uploads if time is not None)
    if len(known) < len(uploads):
        return None
    if _successor_missing(leaving, scene) is not None:
        known = (*known, scene.now)
    successor = leaving.successor
    begins = successor.window(scene.now).begins if successor is not None else _coming_begins(leaving, scene)
    return grace_end((*known, begins) if begins is not None else known, _grace_time(leaving, scene))


def kept_since(row: EntryRow, scene: RetireScene) -> datetime | None:
    """The end of the grace period of a leaving entry, after which something else keeps it.

    None during the grace period, and if nothing has replaced the entry yet.
    """
    leaving = leaving_of(row)
    if _successor_missing(leaving, scene) is not None:
        return None
    end = grace_end_of(leaving, scene)
    return end if end is not None and end <= scene.now else None


def is_meant(entry: Entry, certificate: CertificateName | None, target: str) -> bool:
    """Whether `retire NAME|ID` is about this entry."""
    return target in (entry.id, certificate)


def _grace_time(leaving: Leaving, scene: RetireScene) -> timedelta:
    declaration = scene.desired.declaration
    declared = declaration.certificates.get(leaving.certificate)
    return grace_of(declaration.policy, declared.grace if declared else None)


def _nothing_declared(_: Leaving, scene: RetireScene) -> _Wait | None:
    """A generator that came back empty, or a file that was truncated, must not delete what a stack has."""
    is_empty = not scene.desired.declaration.certificates
    return _Wait() if is_empty and not scene.ask.allow_empty else None


def _protected(leaving: Leaving, scene: RetireScene) -> _Wait | None:
    """By the name in its mark, so that no change of mtls.toml but of `protect` ends it, and by its certificate."""
    policy = scene.desired.declaration.policy
    names = protecting(leaving.entry, leaving.certificate, policy) - scene.ask.unprotected
    if not names:
        return None
    how = " ".join(f"--override-protect {name}" for name in sorted(names))
    return _Wait({"names": " and ".join(sorted(names)), "how": f"`{how}`", "by": protecting_text(names, policy)})


def _listing_unstable(_: Leaving, scene: RetireScene) -> _Wait | None:
    listing = scene.actual.listing
    return None if listing and listing.stable else _Wait()


def _clock_skew(_: Leaving, scene: RetireScene) -> _Wait | None:
    """A grace period, and the dates of certificates, count only by a clock that is right."""
    listing = scene.actual.listing
    if listing is None:
        return None  # another condition keeps what can't be seen
    if listing.ahead is None:
        return _Wait({"case": "unknown"})
    return _Wait(skew_facts(listing.ahead)) if abs(listing.ahead) > MAX_SKEW else None


def _named_in_file(leaving: Leaving, scene: RetireScene) -> _Wait | None:
    """In files other than the declared ones that bind it, which keep it already."""
    found = scene.actual.sweep.mentions.get(leaving.entry.id, ()) if scene.actual.sweep else ()
    mentions = [path for path in found if path not in scene.bound.get(leaving.entry.id, ())]
    return _Wait({"files": ", ".join(mentions)}) if mentions else None


def _unchecked(_: Leaving, scene: RetireScene) -> _Wait | None:
    sweep = scene.actual.sweep
    unread = [file.path for file in scene.broken if file.text is None]
    unread += [path for path in sweep.unread if path not in unread] if sweep is not None else []
    if not unread:
        return None if sweep is not None else _Wait()
    more = len(unread) - 1
    return _Wait({"case": "several" if more else "one", "file": unread[0], "more": str(more)})


Check = Callable[[Leaving, RetireScene], _Wait | None]

WITHOUT_SWEEP: tuple[tuple[Condition, Check], ...] = (
    (Condition.PRUNE_OFF, _prune_off),
    (Condition.PRUNE_NOT_REQUESTED, _prune_not_requested),
    (Condition.SUCCESSOR_MISSING, _successor_missing),
    (Condition.NOT_TAKEN_OVER, _not_taken_over),
    (Condition.CONTENT_UNKNOWN, _content_unknown),
    (Condition.DECLARED_BY_ID, _declared_by_id),
    (Condition.BINDINGS_PENDING, _bindings_pending),
    (Condition.BOUND_IN_FILE, _bound_in_file),
    (Condition.STILL_TRUSTED, _still_trusted),
    (Condition.LISTING_UNSTABLE, _listing_unstable),
    (Condition.CLOCK_SKEW, _clock_skew),
    (Condition.SUCCESSOR_NOT_VALID, _successor_not_valid),
    (Condition.GRACE, _grace),
    (Condition.EMPTY, _nothing_declared),
    (Condition.PROTECTED, _protected),
)
WITH_SWEEP: tuple[tuple[Condition, Check], ...] = (
    (Condition.NAMED_IN_FILE, _named_in_file),
    (Condition.UNCHECKED, _unchecked),
)


def _live(check: LiveCheck) -> Check:
    def wait(leaving: Leaving, scene: RetireScene) -> _Wait | None:
        facts = check(leaving, scene.desired, scene.actual)
        return None if facts is None else _Wait(facts)

    return wait


def _rollback(leaving: Leaving, scene: RetireScene) -> _Wait | None:
    is_ignored = scene.ask.ignore_rollback is not None and is_meant(
        leaving.entry, leaving.certificate, scene.ask.ignore_rollback
    )
    facts = find_rollback(leaving.entry.id, scene.actual.live, past=not is_ignored)
    return None if facts is None else _Wait(facts)


WITH_LIVE: tuple[tuple[Condition, Check], ...] = tuple(
    (condition, _rollback if condition is Condition.ROLLBACK_REACH else _live(check))
    for condition, check in LIVE_CHECKS
)
CONDITIONS = (*WITHOUT_SWEEP, *WITH_SWEEP, *WITH_LIVE)
"""Every condition, in the order in which they are checked: each tier costs more than the one before.

In the tier that costs nothing, those that depend on time come last, and after them what a run may override:
`PlanFacts.digest` relies on that.
"""


def _first_wait(
    leaving: Leaving, scene: RetireScene, conditions: tuple[tuple[Condition, Check], ...]
) -> tuple[Condition, _Wait] | None:
    for condition, check in conditions:
        wait = check(leaving, scene)
        if wait is not None:
            return condition, wait
    return None


def _tiers(scene: RetireScene) -> tuple[tuple[tuple[tuple[Condition, Check], ...], Need | None], ...]:
    """The tiers of conditions, by cost, each with what must be read first; None if that was read, or is not needed."""
    return (
        (WITHOUT_SWEEP, None),
        (WITH_SWEEP, Need.TREE if scene.actual.sweep is None else None),
        (WITH_LIVE, Need.LIVE if scene.actual.live is None and can_be_live(scene.desired) else None),
    )


def judge_leaving(leaving: Leaving, scene: RetireScene) -> Verdict:
    """Pending; else the first condition that does not hold, or what must be read before that is known."""
    bundle = leaving.entry.bundle
    assert bundle is not None  # noqa: S101 - the inventory lets nothing leave that it can't read
    retire = Retire(leaving.entry, leaving.certificate, bundle.digest, (leaving.reason,), _not_after(leaving, scene))
    for conditions, need in _tiers(scene):
        if need is not None:
            return Unseen(need, retire)
        found = _first_wait(leaving, scene, conditions)
        if found is not None:
            condition, wait = found
            return Waits(retire, condition, wait.until, wait.facts)
    return Pending(retire)


def _not_after(leaving: Leaving, scene: RetireScene) -> datetime | None:
    """When rule 11 would keep it again: when its successor ends; None where it has ended itself, or has none."""
    if leaving.successor is None or leaving.entry.window(scene.now).has_ended(scene.now):
        return None
    return leaving.successor.window(scene.now).ends


def judge_entries(inventory: Inventory, roles: Roles, scene: RetireScene) -> tuple[EntryRow, ...]:
    """A row for each entry of the store, in the order of the list."""
    rows: list[EntryRow] = []
    leaving = {one.entry.id: one for one in inventory.leaving}
    for entry in inventory.entries.values():
        role, owner = roles[entry.id]
        one = leaving.get(entry.id)
        if one is None:
            rows.append(EntryRow(entry, role, owner, Kept(role, owner)))
        else:
            rows.append(EntryRow(entry, role, owner, judge_leaving(one, scene), one.reason, one.successor))
    return tuple(rows)


# --- for `mtlsctl explain` ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Judged:
    """One condition of one retire. `facts` and `until`: why it does not hold. `hint`: what to do about it.

    `holds` None: not checked. The tree, and then live Workers, are searched if all conditions before hold, or if every
    condition was asked for. `applies` False: it holds because it is about something that the entry does not have, such
    as a successor.
    """

    condition: Condition
    holds: bool | None
    facts: Mapping[str, str] = field(default_factory=dict)
    until: datetime | None = None
    hint: str | None = None
    applies: bool = True

    @property
    def detail(self) -> str | None:
        """Why it does not hold, as a sentence."""
        return wait_text(self.condition, self.facts) if self.holds is False else None


def conditions_of(row: EntryRow, scene: RetireScene) -> tuple[Judged, ...]:
    """Every condition of one leaving entry, in the order shown; also those after the first that does not hold."""
    leaving = leaving_of(row)
    judged: list[Judged] = []
    all_hold = True
    for conditions in (WITHOUT_SWEEP, WITH_SWEEP, WITH_LIVE):
        is_looked_at = all_hold or _is_read(conditions, scene)
        for condition, check in conditions:
            wait = check(leaving, scene) if is_looked_at else None
            holds = wait is None if is_looked_at else None
            applies = holds is False or _applies(condition, leaving, scene)
            found = wait or _Wait()
            judged.append(Judged(condition, holds, found.facts, found.until, applies=applies))
            all_hold = all_hold and holds is True
    return tuple(judged)


def _is_read(conditions: tuple[tuple[Condition, Check], ...], scene: RetireScene) -> bool:
    """Whether what a tier needs was read for every leaving entry, whatever else keeps it."""
    if conditions is WITH_LIVE:
        # No live Worker can use an entry of a store without an account.
        return not can_be_live(scene.desired) or (scene.ask.every_condition and scene.actual.live is not None)
    return scene.ask.every_condition and scene.actual.sweep is not None


_OF_SUCCESSOR = frozenset({Condition.SUCCESSOR_MISSING, Condition.SUCCESSOR_NOT_VALID})
_OF_ORPHANED = frozenset({Condition.PRUNE_OFF, Condition.PRUNE_NOT_REQUESTED})
_OF_GUARDS = frozenset({Condition.EMPTY, Condition.PROTECTED})
_OF_DECLARED = frozenset({Condition.BINDINGS_PENDING, Condition.NOT_DEPLOYED})


def _applies(condition: Condition, leaving: Leaving, scene: RetireScene) -> bool:
    if condition is Condition.NOT_TAKEN_OVER:
        return former_stack_of(leaving.entry, scene.desired.declaration) is not None
    if condition is Condition.STILL_TRUSTED:
        return leaving.entry.ca
    if condition is Condition.CLOCK_SKEW:
        return scene.desired.declaration.store.kind.traits.has_accounts  # a store on this machine has no other clock
    if condition in _OF_GUARDS:
        return _may_hold_back(condition, leaving, scene)
    if leaving.reason is not Reason.ORPHANED:
        return condition not in _OF_ORPHANED
    if condition in _OF_SUCCESSOR:
        return leaving.successor is not None or _is_replaced_soon(leaving, scene)
    return condition not in _OF_DECLARED


def _may_hold_back(condition: Condition, leaving: Leaving, scene: RetireScene) -> bool:
    """Whether a guard rail is about this entry, even if this run may pass it."""
    if condition is Condition.PROTECTED:
        return bool(protecting(leaving.entry, leaving.certificate, scene.desired.declaration.policy))
    return not scene.desired.declaration.certificates


def leaving_of(row: EntryRow) -> Leaving:
    """The leaving entry of a row; ValueError if its entry stays."""
    if row.reason is None or row.owner is None:
        raise ValueError(f"{row.entry.id} does not leave")
    return Leaving(row.entry, row.owner, row.reason, row.successor)


def keep(retire: Retire, condition: Condition, detail: str) -> Waiting:
    """The waiting change of a retire that turned out to be unsafe just before the deletion."""
    return Waiting(retire, condition, detail)
