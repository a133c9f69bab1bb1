"""Whether an entry may be deleted (rule 5 of the reconciler). Every doubt keeps it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler.model import (
    Actual,
    ById,
    CertificateName,
    Condition,
    Desired,
    Entry,
    EntryId,
    Reason,
    Retire,
    Sweep,
    Waiting,
)
from reconciler.plan.bindings import pending_certificates
from reconciler.plan.inventory import Inventory, Leaving
from reconciler.plan.policy import duration_text, grace_end, grace_of
from reconciler.plan.retire_live import LIVE_CHECKS, LiveCheck, can_be_live


@dataclass(frozen=True, slots=True)
class _Scene:
    """What the conditions look at, gathered once."""

    desired: Desired
    actual: Actual
    now: datetime
    pending: frozenset[str]
    bound: frozenset[str]
    declared_ids: frozenset[str]
    unread: tuple[str, ...]
    skip_grace_of: str | None


@dataclass(frozen=True, slots=True)
class _Wait:
    detail: str
    until: datetime | None = None


def _prune_off(leaving: Leaving, scene: _Scene) -> _Wait | None:
    if leaving.reason is not Reason.ORPHANED or scene.desired.declaration.policy.prune:
        return None
    return _Wait("its certificate left mtls.toml; `prune = true` in `[policy]` would retire it")


def _successor_missing(leaving: Leaving, scene: _Scene) -> _Wait | None:
    if leaving.reason is not Reason.SUPERSEDED or leaving.successor is not None:
        return None
    return _Wait(
        f"it is kept until its successor is stored, and for a grace of {duration_text(_grace_time(leaving, scene))}"
    )


def _successor_not_valid(leaving: Leaving, scene: _Scene) -> _Wait | None:
    """Rule 11: the last certificate that works is kept, unless it does not work any more either."""
    if leaving.successor is None or leaving.entry.window.has_ended(scene.now):
        return None
    window = leaving.successor.window
    if window.contains(scene.now):
        return None
    if window.has_ended(scene.now) or window.begins is None:
        return _Wait(f"its successor {leaving.successor.id} is not valid")
    return _Wait(f"its successor {leaving.successor.id} is not valid yet", window.begins)


def _content_unknown(_: Leaving, scene: _Scene) -> _Wait | None:
    if not scene.unread:
        return None
    return _Wait(f"the certificate file of {', '.join(scene.unread)} could not be read, and might declare it")


def _declared_by_id(leaving: Leaving, scene: _Scene) -> _Wait | None:
    return _Wait("a binding in mtls.toml names it by id") if leaving.entry.id in scene.declared_ids else None


def _bindings_pending(leaving: Leaving, scene: _Scene) -> _Wait | None:
    return (
        _Wait("some declared binding does not name its successor yet") if leaving.certificate in scene.pending else None
    )


def _bound_in_file(leaving: Leaving, scene: _Scene) -> _Wait | None:
    return _Wait("a wrangler file had its id when this run began") if leaving.entry.id in scene.bound else None


def _grace(leaving: Leaving, scene: _Scene) -> _Wait | None:
    if scene.skip_grace_of is not None and is_meant(leaving.entry, leaving.certificate, scene.skip_grace_of):
        return None
    uploads = [entry.uploaded_on for entry in (leaving.entry, leaving.successor) if entry is not None]
    known = tuple(time for time in uploads if time is not None)
    if len(known) < len(uploads):
        return _Wait("the store does not say when it was uploaded, so its grace can't be counted")
    end = grace_end(known, _grace_time(leaving, scene))
    return _Wait("its grace is not over", end) if scene.now < end else None


def is_meant(entry: Entry, certificate: CertificateName, target: str) -> bool:
    """Whether `retire NAME|ID` is about this entry."""
    return target in (entry.id, certificate)


def _grace_time(leaving: Leaving, scene: _Scene) -> timedelta:
    declaration = scene.desired.declaration
    declared = declaration.certificates.get(leaving.certificate)
    return grace_of(declaration.policy, declared.grace if declared else None)


def _listing_unstable(_: Leaving, scene: _Scene) -> _Wait | None:
    listing = scene.actual.listing
    return None if listing and listing.stable else _Wait("the store's list moved while it was read")


def _named_in_file(leaving: Leaving, scene: _Scene) -> _Wait | None:
    mentions = scene.actual.sweep.mentions.get(leaving.entry.id, ()) if scene.actual.sweep else ()
    return _Wait(f"its id stands in {', '.join(mentions)}") if mentions else None


def _unchecked(_: Leaving, scene: _Scene) -> _Wait | None:
    if scene.actual.sweep is None:
        return _Wait("the tree was not looked through")
    return _Wait(unread_text(scene.actual.sweep)) if scene.actual.sweep.unread else None


Check = Callable[[Leaving, _Scene], _Wait | None]

WITHOUT_SWEEP: tuple[tuple[Condition, Check], ...] = (
    (Condition.PRUNE_OFF, _prune_off),
    (Condition.SUCCESSOR_MISSING, _successor_missing),
    (Condition.SUCCESSOR_NOT_VALID, _successor_not_valid),
    (Condition.CONTENT_UNKNOWN, _content_unknown),
    (Condition.DECLARED_BY_ID, _declared_by_id),
    (Condition.BINDINGS_PENDING, _bindings_pending),
    (Condition.BOUND_IN_FILE, _bound_in_file),
    (Condition.GRACE, _grace),
    (Condition.LISTING_UNSTABLE, _listing_unstable),
)
WITHOUT_LIVE = (*WITHOUT_SWEEP, (Condition.NAMED_IN_FILE, _named_in_file), (Condition.UNCHECKED, _unchecked))


def _live(check: LiveCheck) -> Check:
    def wait(leaving: Leaving, scene: _Scene) -> _Wait | None:
        detail = check(leaving, scene.desired, scene.actual)
        return None if detail is None else _Wait(detail)

    return wait


CONDITIONS = (*WITHOUT_LIVE, *((condition, _live(check)) for condition, check in LIVE_CHECKS))


def _scene(desired: Desired, actual: Actual, inventory: Inventory, now: datetime, skip_grace_of: str | None) -> _Scene:
    declaration = desired.declaration
    targets = (
        binding.target
        for worker in declaration.workers.values()
        for bindings in worker.environments.values()
        for binding in bindings
    )
    return _Scene(
        desired=desired,
        actual=actual,
        now=now,
        pending=frozenset(pending_certificates(desired, actual, inventory.current)),
        bound=frozenset(
            found.certificate_id
            for file in actual.files.values()
            for bindings in (*(there.bindings for there in file.environments.values()), file.previews or ())
            for found in bindings
        ),
        declared_ids=frozenset(target.id for target in targets if isinstance(target, ById)),
        unread=tuple(sorted(name for name in declaration.certificates if name not in desired.bundles)),
        skip_grace_of=skip_grace_of,
    )


def _first_wait(leaving: Leaving, scene: _Scene, conditions: tuple[tuple[Condition, Check], ...]) -> Waiting | None:
    for condition, check in conditions:
        wait = check(leaving, scene)
        if wait is not None:
            return Waiting(leaving.entry, leaving.certificate, condition, wait.detail, wait.until)
    return None


def ids_to_sweep(
    desired: Desired, actual: Actual, inventory: Inventory, now: datetime, skip_grace_of: str | None = None
) -> tuple[EntryId, ...]:
    """Entries that could go if only no file of the tree names them: the tree is walked for these alone."""
    scene = _scene(desired, actual, inventory, now, skip_grace_of)
    return tuple(
        leaving.entry.id for leaving in inventory.leaving if _first_wait(leaving, scene, WITHOUT_SWEEP) is None
    )


def entries_to_look_after(
    desired: Desired, actual: Actual, inventory: Inventory, now: datetime, skip_grace_of: str | None = None
) -> tuple[Entry, ...]:
    """Entries that could go if only nothing live uses them: live Workers are asked for these alone."""
    if not can_be_live(desired):
        return ()
    scene = _scene(desired, actual, inventory, now, skip_grace_of)
    return tuple(leaving.entry for leaving in inventory.leaving if _first_wait(leaving, scene, WITHOUT_LIVE) is None)


@dataclass(frozen=True, slots=True)
class Judged:
    """One condition of one retire, for a person. `detail` and `until` say why it does not hold.

    `holds` None: not looked at, because the tree, and after it what is live, is searched only once all else holds.
    """

    condition: Condition
    holds: bool | None
    detail: str | None = None
    until: datetime | None = None


def judge_retire(
    leaving: Leaving, desired: Desired, actual: Actual, inventory: Inventory, now: datetime
) -> tuple[Judged, ...]:
    """Every condition of one leaving entry, in the order in which they are shown; none is left out after the first."""
    scene = _scene(desired, actual, inventory, now, None)
    looked_at = {condition for condition, _ in WITHOUT_SWEEP}
    if _first_wait(leaving, scene, WITHOUT_SWEEP) is None:
        looked_at |= {condition for condition, _ in WITHOUT_LIVE}
    if not can_be_live(desired) or _first_wait(leaving, scene, WITHOUT_LIVE) is None:
        looked_at |= {condition for condition, _ in LIVE_CHECKS}
    judged: list[Judged] = []
    for condition, check in CONDITIONS:
        if condition not in looked_at:
            judged.append(Judged(condition, None))
            continue
        wait = check(leaving, scene)
        judged.append(Judged(condition, True) if wait is None else Judged(condition, False, wait.detail, wait.until))
    return tuple(judged)


def diff_retires(
    desired: Desired, actual: Actual, inventory: Inventory, now: datetime, skip_grace_of: str | None = None
) -> tuple[list[Retire], list[Waiting]]:
    """What is safe to retire, and what waits for the first condition that does not hold.

    `skip_grace_of`: the certificate or id of which a person wants the grace skipped, and nothing else.
    """
    scene = _scene(desired, actual, inventory, now, skip_grace_of)
    retires: list[Retire] = []
    waiting: list[Waiting] = []
    for leaving in inventory.leaving:
        wait = _first_wait(leaving, scene, CONDITIONS)
        bundle = leaving.entry.bundle
        if wait is not None:
            waiting.append(wait)
        elif bundle is not None:
            retires.append(Retire(leaving.entry, leaving.certificate, bundle.digest, (leaving.reason,)))
    return retires, waiting


def unread_text(sweep: Sweep) -> str:
    """Why an entry is kept where some file could not be looked at."""
    first, *others = sweep.unread
    return f"{first}{f' and {len(others)} more' if others else ''} could not be looked at, and might name it"


def hold_back(retire: Retire, allowed: int) -> Waiting:
    """A retire over the limit of one run."""
    detail = f"a run retires at most {allowed}; allow more with `--allow-deletes N`"
    return Waiting(retire.entry, retire.certificate, Condition.MAX_DELETES, detail)


def keep(retire: Retire, condition: Condition, detail: str) -> Waiting:
    """A retire that turned out unsafe just before the delete."""
    return Waiting(retire.entry, retire.certificate, condition, detail)
