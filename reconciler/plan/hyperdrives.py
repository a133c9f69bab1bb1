"""The verdict of each declared field of a Hyperdrive configuration: what `bindings.py` does for wrangler files.

A change takes effect at once, so it is made only by a run that was asked for it, like a deploy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.model import (
    Actual,
    CertificateName,
    Condition,
    DeclaredHyperdrive,
    Desired,
    Entry,
    EntryId,
    HyperdriveAddress,
    HyperdriveConfig,
    HyperdriveField,
    Reason,
    Update,
)
from reconciler.plan.assessment import (
    CertificateRow,
    Held,
    Need,
    Pending,
    Unseen,
    UpdateRow,
    UpToDate,
    Verdict,
    Waits,
)
from reconciler.plan.differences import certificate_differences
from reconciler.plan.inventory import Inventory
from reconciler.plan.live import DeployChoice
from reconciler.plan.rebind import Pair, rebind_reasons
from reconciler.x509.certificates import rfc3339
from reconciler.x509.chains import window_of


def judge_hyperdrives(
    desired: Desired,
    actual: Actual,
    inventory: Inventory | None,
    certificates: Mapping[CertificateName, CertificateRow],
    now: datetime,
    choice: DeployChoice,
) -> tuple[tuple[UpdateRow, ...], tuple[Diagnostic, ...]]:
    """A row for each declared field, in the order of mtls.toml, and the findings. `inventory` None: offline."""
    declaration = desired.declaration
    rows: list[UpdateRow] = []
    found: list[Diagnostic] = []
    unread = actual.hyperdrives.unread if actual.hyperdrives is not None else None
    if unread is not None:
        message, hint = unread
        where = Pointer(declaration.path, ("hyperdrive",), at_key=True)
        text = f"the declared Hyperdrive configurations are not updated, because they could not be read: {message}"
        found.append(Diagnostic(Severity.ERROR, Code.HYPERDRIVE_UNREAD, text, where, hint))
    configs = actual.hyperdrives.configs if actual.hyperdrives is not None and unread is None else None
    known = [_find(one, configs or ()) for one in declaration.hyperdrives]
    times = Counter(same[0].id for same in known if len(same) == 1)
    for declared, same in zip(declaration.hyperdrives, known, strict=True):
        problem = found[0] if unread is not None else None
        if configs is not None and (len(same) != 1 or times[same[0].id] > 1):
            problem = _not_one(declaration.path, declared, same)
            found.append(problem)
        config = same[0] if len(same) == 1 else None
        judge = _Judge(desired, actual, inventory, certificates, now, choice, declared, config, problem, found)
        rows.extend(judge.rows())
    return tuple(rows), tuple(found)


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
class _Judge:
    """One declared configuration. `config` None: not found, or not read. `problem`: the error that holds all of it."""

    desired: Desired
    actual: Actual
    inventory: Inventory | None
    certificates: Mapping[CertificateName, CertificateRow]
    now: datetime
    choice: DeployChoice
    declared: DeclaredHyperdrive
    config: HyperdriveConfig | None
    problem: Diagnostic | None
    found: list[Diagnostic]

    def rows(self) -> Iterator[UpdateRow]:
        rows = [self._row(one, name) for one, name in self.declared.certificates.items()]
        yield from rows
        if self.declared.sslmode is not None:
            yield self._mode_row(self.declared.sslmode, rows)

    def _row(self, what: HyperdriveField, name: CertificateName) -> UpdateRow:
        entry = self._entry(what)
        current = self.certificates[name].entry if name in self.certificates else None
        wanted = current.id if current is not None else None
        return UpdateRow(
            at=self._at(what),
            certificate=name,
            found_id=self._found(what),
            entry=entry,
            owner=self._owner(entry, name),
            wanted=wanted,
            verdict=self._judge(what, name, wanted),
            pointer=self._pointer(what),
        )

    def _mode_row(self, mode: str, rows: Sequence[UpdateRow]) -> UpdateRow:
        what, found = HyperdriveField.SSLMODE, self._found(HyperdriveField.SSLMODE)
        verdict = self._in_the_way()
        if verdict is None:
            about = self.declared.ca or self.declared.certificate
            change = Update(self._at(what), (Reason.SSLMODE_DIFFERS,), about, before=found, after=mode)
            # A mode that checks the certificate of the database fails without the CA that it is checked with.
            ca = next((row.verdict for row in rows if row.at.field is HyperdriveField.CA), None)
            verdict = UpToDate() if found == mode else self._asked(change)
            if found != mode and isinstance(ca, Held | Waits | Unseen):
                verdict = replace(ca, change=change)
        return UpdateRow(self._at(what), None, found, None, None, mode, verdict, self._pointer(what))

    def _judge(self, what: HyperdriveField, name: CertificateName, wanted: EntryId | None) -> Verdict:
        """The verdict of a certificate. One that is in place is up to date, even if something else is wrong."""
        if wanted is not None and self._found(what) == wanted:
            return UpToDate()
        obstacle = self._in_the_way()
        if obstacle is not None:
            return obstacle
        row, bundle = self.certificates.get(name), self.desired.bundles.get(name)
        if row is not None and isinstance(row.verdict, Held):
            return Held(row.verdict.by)
        if row is None or bundle is None:
            return Unseen(Need.FILE)
        window, entry = window_of(bundle, now=self.now, ca=row.declared.ca), self._entry(what)
        old = entry.bundle if entry is not None else None
        change = Update(
            at=self._at(what),
            reasons=self._reasons(what, name),
            certificate=name,
            digest=bundle.digest,
            before=self._found(what),
            after=wanted,
            differences=certificate_differences(old, bundle) if old is not None and old != bundle else (),
            not_after=window.ends,
        )
        if window.ends is not None and window.has_ended(self.now):
            return self._expired(what, name, window.ends, change)
        if isinstance(row.verdict, Waits):
            return Waits(change, row.verdict.condition, row.verdict.until)
        is_used_valid = entry is not None and entry.window(self.now).contains(self.now)
        if is_used_valid and window.begins is not None and self.now < window.begins:
            return Waits(change, Condition.NOT_VALID_YET, window.begins)
        if is_used_valid and not window.contains(self.now):
            return Waits(change, Condition.VALIDITY_UNKNOWN)
        return self._asked(change)

    def _in_the_way(self) -> Verdict | None:
        """What prevents every change of this configuration; None if nothing does."""
        if self.inventory is None:
            return Unseen(Need.STORE)
        if self.problem is not None:
            return Held((self.problem,))
        return Unseen(Need.LIVE) if self.config is None else None

    def _asked(self, change: Update) -> Verdict:
        if self.choice.updates(change.at.config):
            return Pending(change)
        return Waits(change, Condition.UPDATE_NOT_REQUESTED)

    def _expired(self, what: HyperdriveField, name: CertificateName, ends: datetime, change: Update) -> Held:
        message = f"{self._at(what).text} is not changed: {name!r} expired on {rfc3339(ends)}"
        hint = "get a new certificate, and replace its file"
        problem = Diagnostic(Severity.ERROR, Code.CERTIFICATE_EXPIRED, message, self._pointer(what), hint, name)
        self.found.append(problem)
        return Held((problem,), change)

    def _reasons(self, what: HyperdriveField, name: CertificateName) -> tuple[Reason, ...]:
        found, entry = self._found(what), self._entry(what)
        if found is None:
            return (Reason.MISSING,)
        return rebind_reasons(Pair(entry, self._owner(entry, name), name, placeholder=False, asked=True))

    def _owner(self, entry: Entry | None, name: CertificateName) -> CertificateName | None:
        """The certificate that an entry is of: by its mark, handed over, or the current one by its content."""
        if entry is None or self.inventory is None:
            return None
        current = self.inventory.current.get(name)
        return name if current is not None and current.id == entry.id else self.inventory.owned.get(entry.id)

    def _entry(self, what: HyperdriveField) -> Entry | None:
        found = self._found(what)
        return self.inventory.entries.get(EntryId(found)) if found is not None and self.inventory is not None else None

    def _found(self, what: HyperdriveField) -> str | None:
        return self.config.get(what) if self.config is not None else None

    def _at(self, what: HyperdriveField) -> HyperdriveAddress:
        return HyperdriveAddress(self.declared.label, self.config.id if self.config else self.declared.config, what)

    def _pointer(self, what: HyperdriveField) -> Pointer:
        return Pointer(self.desired.declaration.path, ("hyperdrive", self.declared.label, what))
