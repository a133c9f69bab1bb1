"""The verdict of each declared field of a Hyperdrive configuration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.values import dataclass
from reconciler.model import (
    CertificateName,
    DeclaredHyperdrive,
    Entry,
    EntryId,
    HyperdriveAddress,
    HyperdriveConfig,
    HyperdriveField,
    Reason,
    Update,
)
from reconciler.model.ownership import is_other_stacks, read_mark
from reconciler.plan.assessment import Held, Need, Unseen, UpdateRow, UpToDate, Verdict, Waits
from reconciler.plan.updates import UpdateScene


def judge_hyperdrives(scene: UpdateScene) -> Iterator[UpdateRow]:
    """A row for each declared field, in the order of mtls.toml."""
    declaration, actual = scene.desired.declaration, scene.actual
    unread: Diagnostic | None = None
    if actual.hyperdrives is not None and actual.hyperdrives.unread is not None:
        message, hint = actual.hyperdrives.unread
        where = Pointer(declaration.path, ("hyperdrive",), at_key=True)
        text = f"the declared Hyperdrive configurations are not updated, because they could not be read: {message}"
        unread = Diagnostic(Severity.ERROR, Code.HYPERDRIVE_UNREAD, text, where, hint)
        scene.found.append(unread)
    configs = actual.hyperdrives.configs if actual.hyperdrives is not None and unread is None else None
    known = [_find(one, configs or ()) for one in declaration.hyperdrives]
    times = Counter(same[0].id for same in known if len(same) == 1)
    for declared, same in zip(declaration.hyperdrives, known, strict=True):
        problem = unread
        if configs is not None and (len(same) != 1 or times[same[0].id] > 1):
            problem = _not_one(declaration.path, declared, same)
            scene.found.append(problem)
        yield from _HyperdriveJudge(scene, declared, same[0] if len(same) == 1 else None, problem).rows()


def _find(declared: DeclaredHyperdrive, configs: Sequence[HyperdriveConfig]) -> Sequence[HyperdriveConfig]:
    """The configuration with this ID; else those with this name."""
    by_id = [one for one in configs if one.id == declared.config]
    return by_id or [one for one in configs if one.name == declared.config]


def _not_one(path: str, declared: DeclaredHyperdrive, same: Sequence[HyperdriveConfig]) -> Diagnostic:
    where, text = Pointer(path, ("hyperdrive", declared.label, "config")), declared.config
    if not same:
        message = f"there is no Hyperdrive configuration with the ID or name {text!r}"
        hint = "run `wrangler hyperdrive list` to see those of the account"
        return Diagnostic(Severity.ERROR, Code.HYPERDRIVE_NOT_FOUND, message, where, hint)
    if len(same) == 1:
        message = f"{text!r} is the Hyperdrive configuration {same[0].id}, which another table declares, too"
        return Diagnostic(
            Severity.ERROR, Code.HYPERDRIVE_DECLARED_TWICE, message, where, "move the keys of both into one table"
        )
    ids = ", ".join(one.id for one in same)
    message = f"{len(same)} Hyperdrive configurations have the name {text!r}: {ids}"
    return Diagnostic(Severity.ERROR, Code.HYPERDRIVE_AMBIGUOUS, message, where, "write the ID of one instead")


@dataclass(frozen=True, slots=True)
class _HyperdriveJudge:
    """One declared configuration. `config` None: not found, or not read. `problem`: the error that holds all of it."""

    scene: UpdateScene
    declared: DeclaredHyperdrive
    config: HyperdriveConfig | None
    problem: Diagnostic | None

    def rows(self) -> Iterator[UpdateRow]:
        rows = [self._row(one, name) for one, name in self.declared.certificates.items()]
        yield from rows
        if self.declared.sslmode is not None:
            yield self._mode_row(self.declared.sslmode, rows)

    def _row(self, what: HyperdriveField, name: CertificateName) -> UpdateRow:
        found = self._found(what)
        entry, wanted = self.scene.entry(found), self.scene.wanted(name)
        self._tell_other_stack(what, name, entry)
        return UpdateRow(
            at=self._at(what),
            certificate=name,
            found_id=found,
            entry=entry,
            owner=self.scene.owner(entry, name),
            wanted=wanted,
            verdict=self._judge(what, name, wanted),
            pointer=self._pointer(what),
        )

    def _tell_other_stack(self, what: HyperdriveField, name: CertificateName, entry: Entry | None) -> None:
        """Report that another stack probably declares this configuration, too: each would undo what the other does."""
        mark = read_mark(entry) if entry is not None else None
        if entry is None or mark is None or not is_other_stacks(mark, self.scene.desired.declaration):
            return
        message = f"{self._at(what).text} is {entry.id}, which the stack {mark.stack!r} uploaded, and not {name!r}"
        hint = (
            f"if {mark.stack!r} declares this configuration, too, remove it there or here: the two would switch it back"
            f" and forth; if {mark.stack!r} is a former name of this stack, add it to `former_stacks`"
        )
        self.scene.found.append(
            Diagnostic(Severity.WARNING, Code.HYPERDRIVE_DECLARED_TWICE, message, self._pointer(what), hint, name)
        )

    def _mode_row(self, mode: str, rows: Sequence[UpdateRow]) -> UpdateRow:
        what, found = HyperdriveField.SSLMODE, self._found(HyperdriveField.SSLMODE)
        verdict = self._in_the_way()
        if verdict is None:
            about = self.declared.ca or self.declared.certificate
            change = Update(self._at(what), (Reason.SSLMODE_DIFFERS,), about, before=found, after=mode)
            # A mode that checks the certificate of the database fails without the CA that it is checked with.
            ca = next((row.verdict for row in rows if row.at == self._at(HyperdriveField.CA)), None)
            verdict = UpToDate() if found == mode else self.scene.asked(change)
            if found != mode and isinstance(ca, Held | Waits | Unseen):
                verdict = replace(ca, change=change)
        return UpdateRow(self._at(what), None, found, None, None, mode, verdict, self._pointer(what))

    def _judge(self, what: HyperdriveField, name: CertificateName, wanted: EntryId | None) -> Verdict:
        """The verdict of a certificate. One that is in place is up to date, even if something else is wrong."""
        found = self._found(what)
        if wanted is not None and found == wanted:
            return UpToDate()
        change = Update(self._at(what), self.scene.reasons(found, name), name, before=found, after=wanted)
        return self._in_the_way() or self.scene.judge(change, name, self.scene.entry(found), self._pointer(what))

    def _in_the_way(self) -> Verdict | None:
        """What prevents every change of this configuration; None if nothing does."""
        if self.scene.inventory is None:
            return Unseen(Need.STORE)
        if self.problem is not None:
            return Held((self.problem,))
        return Unseen(Need.LIVE) if self.config is None else None

    def _found(self, what: HyperdriveField) -> str | None:
        return self.config.get(what) if self.config is not None else None

    def _at(self, what: HyperdriveField) -> HyperdriveAddress:
        return HyperdriveAddress(self.declared.label, self.config.id if self.config else self.declared.config, what)

    def _pointer(self, what: HyperdriveField) -> Pointer:
        return Pointer(self.scene.desired.declaration.path, ("hyperdrive", self.declared.label, what))
