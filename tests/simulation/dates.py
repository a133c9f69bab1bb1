"""What must hold of dates (rules 10, 11 and 13): nothing valid is given up for what is not, and time alone changes no
plan.

Judged by what the pool knows of its own certificates; shares nothing with the tool.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from tests.simulation.facts import Declared, bound, digest, has_ended, is_valid, numbers, parses, periods_of
from tests.simulation.ownership import owner, usable, wanted
from tests.simulation.pool import Period, subject
from tests.simulation.record import Deleted, Replaced, Row, Run, Snapshot

Place = tuple[str, str, str]
"""File, environment ("" is the top level) and binding."""


def no_binding_leaves_what_is_valid(run: Run, _: Declared) -> Iterator[str]:
    """A binding gets no id of what has ended; and none of what has not begun while its own is valid."""
    for change in run.did.replacements:
        for (path, environment, name), was, now in _moves(change):
            old, new = change.rows.get(was), change.rows.get(now) or run.before.rows.get(now)
            text = f"{path} {environment} {name} was moved"
            if new is None:
                continue
            if has_ended(new.pem, change.at):
                yield f"{text} to {now}, which has ended"
            elif old is not None and is_valid(old.pem, change.at) and not is_valid(new.pem, change.at):
                yield f"{text} from {was}, which is valid, to {now}, which has not begun"


def _moves(change: Replaced) -> Iterator[tuple[Place, str, str]]:
    """Each binding that a file has with another id than before; "" for none before."""
    if parses(change.path, change.old) and parses(change.path, change.new):
        was = bound(change.path, change.old)
        for (environment, name), entry in bound(change.path, change.new).items():
            before = was.get((environment, name), "")
            if before != entry:
                yield (change.path, environment, name), before, entry


def no_last_valid_entry_is_deleted(run: Run, means: Declared) -> Iterator[str]:
    """What is valid goes only where its certificate has another entry that is valid, in use or to be used."""
    contents = wanted(means, run.before.tree)
    for gone in run.did.deletions:
        row = gone.rows[gone.id]
        certificate = owner(means, gone.rows, row)
        if certificate is None or not is_valid(row.pem, gone.at):
            continue
        if certificate in means.certificates:
            heirs = list(_heirs(means, gone, certificate, contents[certificate]))
            if not any(is_valid(heir.pem, gone.at) for heir in heirs):
                yield f"{gone.id} was deleted, the last valid one of {certificate}"
        else:
            renewal = _renewal(means, run, gone, row)
            if renewal is not None and not is_valid(renewal.pem, gone.at):
                yield f"{gone.id} was deleted, and its renewal {renewal.id} is not valid"


def _heirs(means: Declared, gone: Deleted, certificate: str, content: str) -> Iterator[Row]:
    """What the bindings of a certificate use, or would use."""
    used = {
        bound(binding.path, data).get((binding.environment, binding.name))
        for binding in means.bindings
        if binding.target == certificate and parses(binding.path, data := gone.tree.get(binding.path, b""))
    }
    for row in gone.rows.values():
        if row.id != gone.id and (row.id in used or (digest(row.pem) == content and usable(means, certificate, row))):
            yield row


def _renewal(means: Declared, run: Run, gone: Deleted, row: Row) -> Row | None:
    """What was uploaded last for the subject of an entry that no certificate declares any more, if later than it."""
    known = gone.rows.keys() - run.did.hidden
    ours = (gone.rows[one] for one in known if owner(means, gone.rows, gone.rows[one]) is not None)
    later = [other for other in ours if other.uploaded > row.uploaded and _subject(other) == _subject(row) != ""]
    return max(later, key=lambda other: other.uploaded, default=None)


def _subject(row: Row) -> str:
    number = numbers().get(digest(row.pem))
    return "" if number is None else subject(number)


# --- saved plans ----------------------------------------------------------------------------------------------------


def only_what_was_approved_is_done(run: Run, _: Declared) -> Iterator[str]:
    """A run with a saved plan does changes of it alone, and nothing that was waiting in it."""
    if run.saved is None:
        return
    saved = json.loads(run.saved)
    allowed = {_subject_of(change) for change in saved["changes"]}
    waited = {_subject_of(change) for change in saved["waiting"]}
    for done in _done(run):
        if done not in allowed:
            where = "was waiting in the saved plan" if done in waited else "is not in the saved plan"
            yield f"{' '.join(done)} {where}, and was done"


def retires_in(saved: bytes) -> int:
    """How many deletes a saved plan allows."""
    return sum(change["action"] == "retire" for change in json.loads(saved)["changes"])


def _subject_of(change: dict[str, Any]) -> tuple[str, ...]:
    """What a change of a plan is about: a content, an entry, or a place."""
    match change["action"]:
        case "upload":
            return "upload", change["content_digest"]
        case "retire":
            return "retire", change["before"]
        case "update":
            return "update", change.get("field", change.get("zone", ""))
        case _:
            return "bind", change["config"], change.get("environment") or "", change["binding"]


def _done(run: Run) -> Iterator[tuple[str, ...]]:
    yield from (("upload", digest(upload.pem)) for upload in run.did.uploads)
    yield from (("retire", gone.id) for gone in run.did.deletions)
    for change in run.did.replacements:
        if parses(change.path, change.old) and parses(change.path, change.new):
            was, now = bound(change.path, change.old), bound(change.path, change.new)
            for place in was.keys() | now.keys():
                if was.get(place) != now.get(place):
                    yield "bind", change.path, *place
    if not run.did.moved and run.before.mtls != run.after.mtls:
        yield "update", "certificate"


# --- the digest -----------------------------------------------------------------------------------------------------


def changed_by_time(first: Run, second: Run) -> list[str]:
    """Two plans of the same world at two times have one digest, where nothing ended in between."""
    early, late = sorted((first.now, second.now))
    if first.digest is None or first.digest == second.digest or _ends_between(first.before, early, late):
        return []
    return [f"the digest changed with the time alone, {first.now:%m-%d %H:%M:%S} to {second.now:%m-%d %H:%M:%S}"]


def _ends_between(world: Snapshot, early: datetime, late: datetime) -> bool:
    return any(early <= period.ends < late for period in _all_periods(world))


def _all_periods(world: Snapshot) -> Iterator[Period]:
    """Of everything that is stored or declared."""
    texts = [row.pem for row in world.rows.values()]
    texts += [data.decode() for path, data in world.tree.items() if path.startswith("certs/")]
    return (period for text in texts for period in periods_of(text))
