"""Adds whole new lines to an existing mtls.toml; every existing line stays unchanged.

Each addition is checked: read again, the text must mean what it meant before plus the addition, and nothing else. What
can't be added this way, such as to an inline table, is reported with the lines to add by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import tomli

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.escape import to_paste
from reconciler.findings.values import dataclass
from reconciler.model import ByCertificate, CertificateName, Declaration, DeclaredZone, EnvironmentName, WorkerLabel
from reconciler.model.words import environment_path, environment_text
from reconciler.plan.binding_findings import bindings_table, toml_key
from reconciler.syntax.text import line_end, split_bom
from reconciler.syntax.toml import Key, TomlTree, read_tree
from reconciler.takeover.proposed import Proposal, ProposedBinding, ProposedEnvironment, ProposedWorker
from reconciler.takeover.write import binding_line, write_tables
from reconciler.wrangler.splices import NoPlaceError, Splice, apply_splices
from reconciler.wrangler.toml_style import indent_of, newline_near

Values = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Addition:
    """Lines to add. `table`: the table whose last line they follow; None: they follow the last table under `behind`.

    `makes`: the certificate that they declare; `needs`: those that they refer to.
    """

    what: str
    lines: tuple[str, ...]
    values: Values
    table: tuple[Key, ...] | None = None
    behind: tuple[tuple[Key, ...], ...] = ()
    makes: CertificateName | None = None
    needs: frozenset[CertificateName] = frozenset()


def only_new(proposal: Proposal) -> Proposal:
    """The part of a proposal that an update adds: without comments, which every update would add again."""
    workers = []
    for worker in proposal.workers:
        if not worker.known:
            workers.append(worker)
            continue
        environments = tuple(
            ProposedEnvironment(one.name, tuple(binding for binding in one.bindings if binding.target is not None))
            for one in worker.environments
            if one.is_declared
        )
        if environments:
            workers.append(ProposedWorker(worker.label, worker.config, environments, worker.exclusive, known=True))
    return Proposal(
        proposal.stack,
        proposal.store,
        proposal.certificates,
        tuple(workers),
        hyperdrives=proposal.hyperdrives,
        zones=proposal.zones,
    )


def update_declaration(text: str, declaration: Declaration, proposal: Proposal) -> tuple[str, tuple[Diagnostic, ...]]:
    """The text with everything of the proposal that could be added, and findings for what could not."""
    bom, body = split_bom(text)
    findings: list[Diagnostic] = []
    failed: set[CertificateName] = set()
    for group in _groups(_additions(declaration, proposal)):
        together = _add(body, _together(group)) if len(group) > 1 and not failed else None
        if together is not None:
            body = together
            continue
        for addition in group:
            added = None if addition.needs & failed else _add(body, addition)
            if added is None:
                findings.append(_by_hand(declaration.path, addition))
                failed |= {addition.makes} if addition.makes is not None else set()
            else:
                body = added
    return bom + body, tuple(findings)


def _groups(additions: Iterable[Addition]) -> Iterator[list[Addition]]:
    """Yield the additions of each place. A group is first tried as a whole, because each try reads the whole text."""
    group: list[Addition] = []
    for addition in additions:
        if group and (addition.table, addition.behind) != (group[0].table, group[0].behind):
            yield group
            group = []
        group.append(addition)
    if group:
        yield group


def _together(group: list[Addition]) -> Addition:
    """All of them as one addition, with an empty line between tables."""
    between = () if group[0].table is not None else ("",)
    lines: tuple[str, ...] = ()
    values: Values = {}
    for addition in group:
        lines = (*lines, *(between if lines else ()), *addition.lines)
        values = _merged(values, addition.values)
    return replace(group[0], lines=lines, values=values)


def _additions(declaration: Declaration, proposal: Proposal) -> Iterator[Addition]:
    """Yield the additions, certificates first, because bindings refer to them."""
    for certificate in proposal.certificates:
        alone = Proposal(proposal.stack, proposal.store, certificates=(certificate,))
        added = _of_tables(f"the certificate {certificate.name!r}", alone)
        behind: tuple[tuple[Key, ...], ...] = (("certificates",), ("policy",), ("store",))
        yield replace(added, behind=behind, makes=certificate.name)
    for worker in proposal.workers:
        if not worker.known:
            alone = Proposal(proposal.stack, proposal.store, workers=(worker,))
            needs = frozenset().union(*map(_needs, worker.environments))
            yield replace(_of_tables(f"the Worker {worker.label!r}", alone), behind=(("workers",),), needs=needs)
            continue
        for environment in worker.environments:
            if environment.name not in declaration.workers[worker.label].environments:
                yield _of_environment(worker, environment)
                continue
            for binding in environment.bindings:
                added = _of_binding(worker, environment.name, binding)
                yield replace(added, needs=_needs(ProposedEnvironment(environment.name, (binding,))))
    labels = {one.label for one in declaration.hyperdrives}
    for one in proposal.hyperdrives:
        alone = Proposal(proposal.stack, proposal.store, hyperdrives=(one,))
        added = _of_tables(f"the Hyperdrive configuration {one.label!r}", alone)
        added = replace(added, behind=(("hyperdrive",),), needs=frozenset(one.certificates.values()))
        if one.label in labels:  # its header and `config` are there
            what = f"the {' and '.join(field.text for field in one.certificates)} of {one.label!r}"
            added = replace(added, what=what, lines=added.lines[2:], table=("hyperdrive", one.label))
        yield added

    known = {one.zone for one in declaration.zones}
    for zone in proposal.zones:
        for ca in zone.cas if zone.zone in known else ():
            alone = Proposal(proposal.stack, proposal.store, zones=(DeclaredZone(zone.zone, {ca: zone.cas[ca]}),))
            added = _of_tables(f"the hostnames of {zone.zone} that trust {ca!r}", alone)
            yield replace(added, lines=added.lines[1:], table=("hostnames", zone.zone), needs=frozenset({ca}))
        if zone.zone not in known:
            added = _of_tables(f"the hostnames of {zone.zone}", Proposal(proposal.stack, proposal.store, zones=(zone,)))
            yield replace(added, behind=(("hostnames",),), needs=frozenset(zone.cas))


def _needs(environment: ProposedEnvironment) -> frozenset[CertificateName]:
    targets = (binding.target for binding in environment.bindings)
    return frozenset(target.certificate for target in targets if isinstance(target, ByCertificate))


def _of_tables(what: str, alone: Proposal) -> Addition:
    text = write_tables(alone).strip("\n")
    return Addition(what, tuple(text.split("\n")), tomli.loads(text))


def _of_environment(worker: ProposedWorker, environment: ProposedEnvironment) -> Addition:
    lines = (bindings_table(worker.label, environment.name), *map(binding_line, environment.bindings))
    what = f"the bindings of {worker.label!r} ({environment_text(environment.name)})"
    behind: tuple[tuple[Key, ...], ...] = (("workers", worker.label), ("workers",))
    return Addition(what, lines, tomli.loads("\n".join(lines)), behind=behind, needs=_needs(environment))


def _of_binding(worker: ProposedWorker, environment: EnvironmentName, binding: ProposedBinding) -> Addition:
    line = binding_line(binding)
    values = tomli.loads(f"{bindings_table(worker.label, environment)}\n{line}")
    what = f"{binding.binding} of {worker.label!r} ({environment_text(environment)})"
    return Addition(what, (line,), values, table=_table_path(worker.label, environment))


def _table_path(label: WorkerLabel, environment: EnvironmentName) -> tuple[Key, ...]:
    return ("workers", label, *environment_path(environment), "bindings")


# --- one addition ---------------------------------------------------------------------------------------------------


def _add(text: str, addition: Addition) -> str | None:
    """The text with the addition; None if its layout has no place for it, or the result would mean something else."""
    tree = read_tree(text)
    splice = _below(tree, addition) if addition.table is not None else _behind(tree, addition)
    if splice is None:
        return None
    try:
        added = apply_splices(text, [splice])
        proved = tomli.loads(added) == _merged(tomli.loads(text), addition.values)
    except (NoPlaceError, tomli.TOMLDecodeError):
        return None
    return added if proved else None


def _below(tree: TomlTree, addition: Addition) -> Splice | None:
    """The splice that adds lines at the end of a table with a header of its own, or None."""
    node = tree.find(addition.table or ())
    if node is None or node.section is None or node.section.header is None:
        return None
    pairs = node.section.pairs
    last = pairs[-1].end if pairs else node.section.header.end
    indent = indent_of(tree.text, pairs[-1].start) if pairs else ""
    at, newline = line_end(tree.text, last), newline_near(tree.text, last)
    block = newline.join(indent + line for line in addition.lines)
    return Splice(at, at, block + newline if tree.text[at - 1] == "\n" else newline + block)


def _behind(tree: TomlTree, addition: Addition) -> Splice:
    """The splice that adds a table after the last similar one, with an empty line between, or None."""
    for path in addition.behind:
        like = [index for index, found in enumerate(tree.paths) if found[: len(path)] == path]
        if like:
            return _after_section(tree, like[-1], addition.lines)
    return _after_section(tree, len(tree.sections) - 1, addition.lines)


def _after_section(tree: TomlTree, index: int, lines: tuple[str, ...]) -> Splice:
    """The splice after the last line of a section and the comments directly below it.

    Comments after an empty line, or directly above the next header, belong to the next section.
    """
    text, section = tree.text, tree.sections[index]
    last = section.pairs[-1].end if section.pairs else section.header.end if section.header else 0
    at = end = line_end(text, last) if section.pairs or section.header else 0
    while _is_comment(text, end):
        end = line_end(text, end)
    at = end if end == len(text) or _is_blank(text, end) else at
    newline = newline_near(text, at)
    block = newline.join(lines)
    if at and text[at - 1] != "\n":
        return Splice(at, at, newline * 2 + block)
    after = "" if at == len(text) or _is_blank(text, at) else newline
    return Splice(at, at, (newline if at else "") + block + newline + after)


def _is_comment(text: str, start: int) -> bool:
    return text[start : line_end(text, start)].lstrip(" \t").startswith("#")


def _is_blank(text: str, start: int) -> bool:
    return start < len(text) and not text[start : line_end(text, start)].strip()


def _merged(values: Values, more: Values) -> Values:
    """Both values merged; they have no value in common."""
    merged = dict(values)
    for key, value in more.items():
        there = merged.get(key)
        merged[key] = _merged(there, value) if isinstance(there, dict) and isinstance(value, dict) else value
    return merged


def _by_hand(path: str, addition: Addition) -> Diagnostic:
    table = addition.table
    header: tuple[str, ...] = ()
    if table is not None:
        is_worker, environment = table[0] == "workers", None if len(table) == 3 else str(table[-2])
        key = str(table[1])
        header = (bindings_table(key, environment) if is_worker else f"[{table[0]}.{toml_key(key)}]",)
    message = f"{addition.what} can't be added to {path} without changing an existing line"
    lines = (*header, *addition.lines)
    hint = to_paste("add these lines by hand", lines, names=lines)
    return Diagnostic(Severity.WARNING, Code.UPDATE_BY_HAND, message, Pointer(path, table or ()), hint)
