"""The judges' own idea of what belongs to whom, and of when an entry may go. Shares nothing with the tool."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.simulation.facts import Declared, begins, bound, digest, mark
from tests.simulation.record import Deleted, Row, Rows, Run, Tree

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def wanted(declared: Declared, tree: Tree) -> dict[str, str]:
    """Declared certificate to its content digest, "" where its file is damaged."""
    found = {}
    for name, certificate in declared.certificates.items():
        data = tree.get(certificate["certificate"], b"")
        found[name] = digest(data.decode())
    return found


def owner(declared: Declared, rows: Rows, row: Row) -> str | None:
    """The certificate for which an entry is this declaration's: by mark, or handed over. None for everybody else's."""
    former_names = {
        item: name
        for name, certificate in declared.certificates.items()
        for item in certificate.get("supersedes", ())
        if not _UUID.fullmatch(item)
    }
    marked = mark(row.name, row.type, row.pem)
    if marked is not None:
        stack, name = marked
        if stack != declared.stack and stack not in declared.former:
            return None
        known = name in declared.certificates or name in former_names
        if stack == declared.stack or known:
            return former_names.get(name, name)
    if row.type != "custom":
        return None
    return _handed_over(declared, rows, row)


def _handed_over(declared: Declared, rows: Rows, row: Row) -> str | None:
    for name, certificate in declared.certificates.items():
        for item in certificate.get("supersedes", ()):
            by_name = [other for other in rows.values() if other.name == item]
            if (row.id == item or by_name == [row]) and bool(row.ca) is certificate.get("ca", False):
                return name
    return None


def usable(declared: Declared, name: str, row: Row) -> bool:
    """Whether an entry of the right content can serve a certificate."""
    marked = mark(row.name, row.type, row.pem)
    theirs = marked is not None and marked[0] != declared.stack and marked[0] not in declared.former
    return row.type == "custom" and bool(row.ca) is declared.certificates[name].get("ca", False) and not theirs


def why_kept(declared: Declared, run: Run, gone: Deleted) -> Iterator[str]:
    """Everything that spoke against a delete that the tool made."""
    row = gone.rows[gone.id]
    certificate = owner(declared, gone.rows, row)
    if certificate is None:
        yield "it belongs to somebody else"
        return
    contents = wanted(declared, run.before.tree)
    if {certificate, (mark(row.name, row.type, row.pem) or ("", ""))[1]} & {*declared.protect}:
        yield "it is protected"
    if not declared.certificates and run.retires not in (gone.id, certificate):
        yield "mtls.toml declares nothing"
    if digest(row.pem) in contents.values():
        yield "its content is declared"
    if "" in contents.values():
        yield "a certificate file is damaged and might declare it"
    if any(binding.target == f"id:{gone.id}" for binding in declared.bindings):
        yield "a binding declares its id"
    for when, tree in (("when the run began", {**run.before.tree, **run.did.planned_from}), ("just then", gone.tree)):
        named = [path for path, data in tree.items() if "wrangler" in path and gone.id.encode() in data.lower()]
        if named and not all(path.endswith(".tmp") for path in named):
            yield f"{named} named it {when}"
    skips_grace = run.retires in (gone.id, certificate)
    if certificate in declared.certificates:
        yield from _not_superseded(declared, gone, row, certificate, contents[certificate], skips_grace=skips_grace)
    elif not declared.prune:
        yield "it is orphaned and prune is off"
    elif not skips_grace and gone.at < row.uploaded + declared.grace_of(certificate):
        yield "its grace is not over"


def _not_superseded(
    declared: Declared, gone: Deleted, row: Row, certificate: str, content: str, *, skips_grace: bool
) -> Iterator[str]:
    successors = [other for other in gone.rows.values() if digest(other.pem) == content]
    good = [other for other in successors if usable(declared, certificate, other)]
    if not good:
        yield "its successor is not stored"
        return
    if all(other.uploaded <= row.uploaded for other in good):
        yield "it is newer than what is declared"
    times = [row.uploaded, *(other.uploaded for other in good), *(begins(other.pem) for other in good)]
    if not skips_grace and gone.at < max(times) + declared.grace_of(certificate):
        yield "its grace is not over"
    ids = {other.id for other in good}
    for binding in declared.bindings:
        if binding.target == certificate:
            data = gone.tree.get(binding.path, b"")
            if bound(binding.path, data).get((binding.environment, binding.name)) not in ids:
                yield f"{binding.name} in {binding.path} does not name its successor"
