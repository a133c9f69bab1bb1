"""Hostnames that are to trust a CA: added to its list, which is read just before and just after."""

from __future__ import annotations

from reconciler.apply.run import Run, expired_meanwhile
from reconciler.findings.codes import Code
from reconciler.findings.errors import ReconcilerError
from reconciler.model import CaList, EntryId, HostnamesAddress, Update
from reconciler.model.errors import StoreClosed, StoreError, StoreStopped
from reconciler.model.ports import Store
from reconciler.model.words import names_text

_MOST_NAMED = 20


def add_hostnames(run: Run, at: HostnamesAddress, change: Update, ca: EntryId) -> str | None:
    """A note on how it went. ReconcilerError if the list is not as the plan saw it, or not as it should be now."""
    store = run.world.store
    before = _read(store, at, ca)
    # Of a CA that was not uploaded, or not listed yet, the plan saw no list.
    if change.after is not None and not before.is_same(change.listed):
        raise _changed(at, "was changed during this run, so nothing is added", "the plan saw", change.listed, before)
    names = before.lacking(change.names)
    if not names:
        return "its list has these hostnames already"
    if run.is_late(change):
        raise expired_meanwhile(f"{at.text} were not changed")
    should, note = (*before.names, *names), None
    try:
        store.add_hostnames(before, names)
    except (StoreClosed, StoreStopped):
        raise
    except StoreError as error:
        if not _has(store, at, ca, should):
            raise
        note = f"the update ended with an error ({error.code}), but its list has these hostnames"
    after = _read(store, at, ca)
    if not after.is_same(should):
        raise _changed(at, "is not as it should be after the update", "expected", should, after)
    return note


def _read(store: Store, at: HostnamesAddress, ca: EntryId) -> CaList:
    (found,) = store.ca_lists(at.zone_id, (ca,))
    return found


def _has(store: Store, at: HostnamesAddress, ca: EntryId, should: tuple[str, ...]) -> bool:
    """Whether the list has exactly these hostnames; False if that is unknown."""
    try:
        return _read(store, at, ca).is_same(should)
    except StoreError:
        return False


def _changed(at: HostnamesAddress, what: str, label: str, expected: tuple[str, ...], found: CaList) -> ReconcilerError:
    lists = f"{label} [{names_text(expected, _MOST_NAMED)}], found [{names_text(found.names, _MOST_NAMED)}]"
    hint = "run `mtlsctl plan` to see the list as it is now"
    message = f"the list of {at.ca} in the zone {at.zone} {what}: {lists}"
    return ReconcilerError(message, hint=hint, code=Code.HOSTNAMES_CHANGED)
