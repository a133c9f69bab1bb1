"""What must hold after every run, however it ended, judged by code that shares nothing with the tool.

Each rule gives the sentences of what it found wrong; nothing where all is well.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from tests.simulation.calls import (
    no_update_is_repeated_blindly,
    no_upload_is_repeated_blindly,
    nothing_is_let_go_that_is_live,
)
from tests.simulation.dates import (
    no_binding_leaves_what_is_valid,
    no_last_valid_entry_is_deleted,
    only_what_was_approved_is_done,
    retires_in,
)
from tests.simulation.facts import (
    Binding,
    Declared,
    bound,
    declared,
    digest,
    foreign_lines,
    foreign_values,
    has_ended,
    has_environment,
    is_valid,
    masked,
    parses,
    values,
)
from tests.simulation.ownership import owner, usable, wanted, why_kept
from tests.simulation.pool import leaks
from tests.simulation.record import Replaced, Row, Run, Snapshot
from tests.simulation.spec import DECLARATION
from tests.support.emulated import TOKEN

Rule = Callable[[Run, Declared], Iterator[str]]

LEAF = "mtls_certificate_id"
_TEMPORARY = re.compile(r"(?:.*/)?\.[^/]+\.mtlsctl-[0-9a-f]{8}\.tmp")


def violations(run: Run) -> list[str]:
    """Every sentence of every rule."""
    means = declared(run.before.tree[DECLARATION])
    return [f"{rule.__name__}: {found}" for rule in RULES for found in rule(run, means)]


def every_error_is_foreseen(run: Run, _: Declared) -> Iterator[str]:
    """No exception that is none of the tool's own."""
    if run.bug is not None:
        yield run.bug


def one_entry_per_content(run: Run, _: Declared) -> Iterator[str]:
    """The store has each content once."""
    counts = Counter(digest(row.pem) for row in run.after.rows.values())
    yield from (f"{content[:12]} is stored {count} times" for content, count in counts.items() if count > 1)


def entries_change_only_as_said(run: Run, _: Declared) -> Iterator[str]:
    """Nothing appears, vanishes or changes in the store but what the tool was seen to do."""
    made = {upload.id for upload in run.did.uploads} | run.did.touched
    gone = {deleted.id for deleted in run.did.deletions} | run.did.touched
    before, after = run.before.rows, run.after.rows
    yield from (f"{entry} vanished" for entry in before.keys() - after.keys() - gone)
    yield from (f"{entry} appeared" for entry in after.keys() - before.keys() - made)
    yield from (f"{entry} changed" for entry in before.keys() & after.keys() if before[entry] != after[entry])


def only_what_is_safe_is_deleted(run: Run, means: Declared) -> Iterator[str]:
    """Every delete was right at its moment, and there were not too many."""
    allowed = means.max_deletes if run.saved is None else retires_in(run.saved)
    if len(run.did.deletions) > allowed:
        yield f"{len(run.did.deletions)} deletes, {allowed} are allowed"
    for gone in run.did.deletions:
        yield from (f"{gone.id} was deleted, but {why}" for why in why_kept(means, run, gone))


def only_what_is_missing_is_uploaded(run: Run, means: Declared) -> Iterator[str]:
    """Nothing is sent twice, nothing that is there, and each under its mark."""
    contents = wanted(means, run.before.tree)
    there = {digest(row.pem) for row in run.before.rows.values() if row.id not in run.did.hidden}
    for pem, count in Counter(run.did.asked_for).items():
        if count > 1:
            yield f"an upload of {digest(pem)[:12]} was asked for {count} times"
        if digest(pem) in there:
            yield f"{digest(pem)[:12]} was uploaded and was there already"
    for upload in run.did.uploads:
        content = digest(upload.pem)
        names = {f"{means.stack}.{name}.{content[:12]}" for name, its in contents.items() if its == content}
        if upload.name not in names:
            yield f"{upload.name!r} was uploaded for {content[:12]}, expected one of {sorted(names)}"


def files_change_only_where_they_may(run: Run, means: Declared) -> Iterator[str]:
    """Only declared wrangler files change, and they parse if they did before."""
    replaced = {change.path for change in run.did.replacements} | run.did.edited
    before, after = run.before.tree, run.after.tree
    for path in before.keys() | after.keys():
        old, new = before.get(path), after.get(path)
        if old == new:
            continue
        if not _TEMPORARY.fullmatch(path) and path not in replaced:
            yield f"{path} changed"
        if path in means.paths and (new is None or (parses(path, old or b"") and not parses(path, new))):
            yield f"{path} does not parse any more"
    yield from (f"{change.path} is not declared" for change in run.did.replacements if change.path not in means.paths)


def nothing_but_our_bindings_changes(run: Run, means: Declared) -> Iterator[str]:
    """In a wrangler file only declared bindings, and ours that are declared no more."""
    for change in run.did.replacements:
        path, old, new = change.path, change.old, change.new
        if not parses(path, new):
            yield f"{path} was written broken"
            continue
        if foreign_values(path, old) != foreign_values(path, new):
            yield f"{path}: something else changed"
        if foreign_lines(old) != foreign_lines(new):
            yield f"{path}: a comment changed"
        was, now = bound(path, old), bound(path, new)
        if was.keys() == now.keys() and masked(old) != masked(new):
            yield f"{path}: bytes beside the ids changed"
        for place in was.keys() | now.keys():
            if was.get(place) != now.get(place):
                yield from _binding_change(run, means, change, place, was.get(place), now.get(place))


def _binding_change(
    run: Run, means: Declared, change: Replaced, place: tuple[str, str], was: str | None, now: str | None
) -> Iterator[str]:
    environment, name = place
    text = f"{change.path} {environment} {name}"
    if bound(change.path, run.did.planned_from[change.path]).get(place) != was:
        yield f"{text} was changed by somebody else meanwhile, and overwritten"
    wants = _declared_at(means, change.path, place)
    if wants is not None:
        yield from _bound_wrong(run, means, change, wants, now)
    elif now is not None:
        yield f"{text} is not declared, and was set"
    elif (change.path, environment) not in means.tables:
        yield f"{text} was removed from an environment that is not declared"
    else:
        row = run.before.rows.get(was or "")
        if row is None or owner(means, run.before.rows, row) is None:
            yield f"{text} was removed and is somebody else's"


def _declared_at(means: Declared, path: str, place: tuple[str, str]) -> Binding | None:
    return next((one for one in means.bindings if one.path == path and (one.environment, one.name) == place), None)


def _bound_wrong(run: Run, means: Declared, change: Replaced, wants: Binding, now: str | None) -> Iterator[str]:
    """`now` was written where `wants` is declared."""
    text = f"{wants.path} {wants.environment} {wants.name}"
    row: Row | None = change.rows.get(now or "") or run.before.rows.get(now or "")
    if now is None:
        yield f"{text} was removed, and is declared"
    elif row is None:
        yield f"{text} was bound to {now}, which the store does not have"
    elif wants.target.startswith("id:"):
        if wants.target != f"id:{now}":
            yield f"{text} was bound to {now}, not to {wants.target}"
    elif digest(row.pem) != wanted(means, run.before.tree)[wants.target]:
        yield f"{text} was bound to {now}, which is not {wants.target}"
    elif not usable(means, wants.target, row):
        yield f"{text} was bound to {now}, which can't serve"


def hyperdrive_uses_only_what_is_declared(run: Run, means: Declared) -> Iterator[str]:
    """Of the configuration only the declared certificate changes, to an entry that can serve it and has not ended."""
    before, after = run.before.mtls, run.after.mtls
    if run.did.moved or before == after:
        return
    if {**before, LEAF: ""} != {**after, LEAF: ""}:
        yield "something else of the Hyperdrive configuration changed"
    if means.hyperdrive is None:
        yield "the Hyperdrive configuration changed, and is not declared"
        return
    row = run.after.rows.get(str(after.get(LEAF))) or run.before.rows.get(str(after.get(LEAF)))
    if row is None or digest(row.pem) != wanted(means, run.before.tree)[means.hyperdrive]:
        yield f"Hyperdrive uses {after.get(LEAF)}, which is not {means.hyperdrive}"
    elif not usable(means, means.hyperdrive, row) or has_ended(row.pem, run.now):
        yield f"Hyperdrive uses {row.id}, which can't serve"
    if '"hyperdrive"' not in run.after.journal[len(run.before.journal) :].decode():
        yield "the update of Hyperdrive is not told"


def nothing_that_hyperdrive_uses_is_deleted(run: Run, means: Declared) -> Iterator[str]:
    """Neither what it used when the run began, nor what it uses now."""
    if means.hyperdrive is not None and not run.did.moved:
        used = {run.before.mtls.get(LEAF), run.after.mtls.get(LEAF)}
        yield from (f"{gone.id} was deleted, and Hyperdrive uses it" for gone in run.did.deletions if gone.id in used)


def hostnames_only_come_to_trust_a_declared_ca(run: Run, means: Declared) -> Iterator[str]:
    """No list gets shorter; what is added is declared for a CA with this content, which can serve."""
    after = run.after.trusted
    before = {ca: names for ca, names in run.before.trusted.items() if ca in run.after.rows}
    if run.did.listed or before == after:
        return
    contents = wanted(means, run.before.tree)
    for ca in before.keys() | after.keys():
        old, new = before.get(ca, ()), after.get(ca, ())
        if new[: len(old)] != old:
            yield f"hostnames were removed from {ca}"
        row = run.after.rows.get(ca) or run.before.rows.get(ca)
        own = [name for name in means.hostnames if row is not None and digest(row.pem) == contents[name]]
        if not set(new[len(old) :]) <= {host for name in own for host in means.hostnames[name]}:
            yield f"{new} trust {ca}, which is not declared"
        elif new != old and row is not None and (row.ca != 1 or has_ended(row.pem, run.now)):
            yield f"{new} trust {ca}, which can't serve"
    if '"hostnames"' not in run.after.journal[len(run.before.journal) :].decode():
        yield "the update of hostnames is not told"


def nothing_that_hostnames_trust_is_deleted(run: Run, means: Declared) -> Iterator[str]:
    """Neither what they trusted when the run began, nor what they trust now."""
    if means.hostnames and not run.did.listed:
        used = run.before.trusted.keys() | run.after.trusted.keys()
        yield from (f"{gone.id} was deleted, and hostnames trust it" for gone in run.did.deletions if gone.id in used)


def the_journal_is_true(run: Run, _: Declared) -> Iterator[str]:
    """It only grows; each step that ended had begun; each effect was told before."""
    old, new = run.before.journal, run.after.journal
    if not new.startswith(old):
        yield "old lines changed"
    events = list(_events(new[len(old) :]))
    torn = sum(event is None for event in events)
    if torn > (1 if run.torn else 0):
        yield f"{torn} lines are torn"
    started: list[str] = []
    for event in filter(None, events):
        change = json.dumps(event.get("change"))
        if event["event"] == "step-started":
            started.append(change)
        elif event["event"] == "step-finished" and change not in started:
            yield f"a step finished that had not started: {change}"
    begun = "\n".join(started)
    yield from (f"the upload of {it.id} is not told" for it in run.did.uploads if digest(it.pem) not in begun)
    yield from (f"the change of {it.path} is not told" for it in run.did.replacements if f'"{it.path}"' not in begun)
    yield from (f"the delete of {it.id} is not told" for it in run.did.deletions if it.id not in begun)


def _events(data: bytes) -> Iterator[dict[str, Any] | None]:
    """Each line that was added; None for a torn one."""
    for line in data.split(b"\n"):
        if line:
            try:
                yield json.loads(line)
            except ValueError:
                yield None


def what_is_told_as_done_is_done(run: Run, _: Declared) -> Iterator[str]:
    """An upload has its entry, with the content; a retire has left none."""
    for event in filter(None, _events(run.after.journal[len(run.before.journal) :])):
        entry = event.get("entry", "")
        if event["event"] != "step-finished" or event["status"] != "done" or entry in run.did.touched:
            continue
        row = run.after.rows.get(entry)
        match event["change"]["action"]:
            case "upload" if row is None or digest(row.pem) != event["change"]["content_digest"]:
                yield f"the upload of {entry} is told as done"
            case "retire" if row is not None:
                yield f"the retire of {entry} is told as done"


def no_secret_is_told(run: Run, _: Declared) -> Iterator[str]:
    """No 20 characters of a key's secret, and no token, in anything that is written or said."""
    if any(TOKEN in text for text in run.texts):
        yield "the token is in an output, an error or the journal"
    if leaks(run.texts):
        yield "a part of a private key is in an output, an error or the journal"
    if leaks(change.new.decode() for change in run.did.replacements):
        yield "a part of a private key is in a file"


RULES: tuple[Rule, ...] = (
    every_error_is_foreseen,
    one_entry_per_content,
    entries_change_only_as_said,
    only_what_is_safe_is_deleted,
    only_what_is_missing_is_uploaded,
    no_upload_is_repeated_blindly,
    nothing_is_let_go_that_is_live,
    no_last_valid_entry_is_deleted,
    no_binding_leaves_what_is_valid,
    only_what_was_approved_is_done,
    files_change_only_where_they_may,
    nothing_but_our_bindings_changes,
    hyperdrive_uses_only_what_is_declared,
    nothing_that_hyperdrive_uses_is_deleted,
    hostnames_only_come_to_trust_a_declared_ca,
    nothing_that_hostnames_trust_is_deleted,
    no_update_is_repeated_blindly,
    the_journal_is_true,
    what_is_told_as_done_is_done,
    no_secret_is_told,
)


def unfinished(run: Run) -> list[str]:
    """What a last, quiet run left undone: bindings that are not as declared, and temporary files."""
    means = declared(run.after.tree[DECLARATION])
    return [
        *_not_stored(run, means),
        *_not_bound(run, means, run.after),
        *_not_moved(run, means),
        *_not_trusted(run, means),
        *_leftovers(means, run.after),
    ]


def _not_stored(run: Run, means: Declared) -> Iterator[str]:
    """Each declared content is stored, once."""
    stored = Counter(digest(row.pem) for row in run.after.rows.values())
    for name, content in wanted(means, run.after.tree).items():
        pem = run.after.tree[means.certificates[name]["certificate"]].decode()
        if content and stored[content] != 1 and not has_ended(pem, run.now):
            yield f"{name} is stored {stored[content]} times"


def _not_bound(run: Run, means: Declared, world: Snapshot) -> Iterator[str]:
    contents = wanted(means, world.tree)
    for binding in means.bindings:
        content = contents.get(binding.target)
        path, data = binding.path, world.tree[binding.path]
        if not content or not has_environment(path, data, binding.environment) or _is_taken(binding, data):
            continue
        same = [row for row in world.rows.values() if digest(row.pem) == content]
        if any(not usable(means, binding.target, row) for row in same):
            continue  # stored in a way that can't serve: an error that only people can mend
        pem = world.tree[means.certificates[binding.target]["certificate"]].decode()
        found = bound(path, data).get((binding.environment, binding.name), "")
        if _may_wait(pem, world.rows.get(found), run.now):
            continue
        if found not in {row.id for row in same}:
            yield f"{path} {binding.environment} {binding.name} names {found}, which is not {binding.target}"


def _not_moved(run: Run, means: Declared) -> Iterator[str]:
    """The Hyperdrive configuration uses what is declared, where that can serve."""
    name, world = means.hyperdrive, run.after
    content = wanted(means, world.tree).get(name or "")
    same = [row for row in world.rows.values() if content and digest(row.pem) == content]
    if name is None or any(not usable(means, name, row) for row in same):
        return
    found = str(world.mtls.get(LEAF, ""))
    if same and found not in {row.id for row in same} and not _may_wait(same[0].pem, world.rows.get(found), run.now):
        yield f"Hyperdrive uses {found}, which is not {name}"


def _not_trusted(run: Run, means: Declared) -> Iterator[str]:
    """Each declared hostname trusts its CA, where that can serve."""
    contents, world = wanted(means, run.after.tree), run.after
    for name, hosts in means.hostnames.items():
        same = [row for row in world.rows.values() if contents[name] and digest(row.pem) == contents[name]]
        missing = [host for row in same for host in hosts if host not in world.trusted.get(row.id, ())]
        if missing and all(usable(means, name, row) and is_valid(row.pem, run.now) for row in same):
            yield f"{', '.join(missing)} do not trust {name}"


def _may_wait(pem: str, old: Row | None, now: datetime) -> bool:
    """Nothing moves to what has ended; nor from what is valid to what has not begun (rule 10)."""
    return has_ended(pem, now) or (not is_valid(pem, now) and old is not None and is_valid(old.pem, now))


def _is_taken(binding: Binding, data: bytes) -> bool:
    found = values(binding.path, data)
    table = found["env"][binding.environment] if binding.environment else found
    return any(entry["binding"] == binding.name for entry in table.get("kv_namespaces", ()))


def _leftovers(means: Declared, world: Snapshot) -> Iterator[str]:
    for path in world.tree:
        folder, _, name = path.rpartition("/")
        for target in means.paths if _TEMPORARY.fullmatch(path) else ():
            its_folder, _, its_name = target.rpartition("/")
            if folder == its_folder and name.startswith(f".{its_name}.mtlsctl-"):
                yield f"{path} was left behind"
