"""The verdict of an update, which takes effect at once: what `bindings.py` does for wrangler files.

It is made only by a run that was asked for it, like a deploy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.values import dataclass
from reconciler.model import (
    Actual,
    CertificateName,
    Condition,
    Desired,
    Entry,
    EntryId,
    HostnamesAddress,
    Reason,
    Update,
)
from reconciler.plan.assessment import CertificateRow, Held, Need, Pending, Unseen, Verdict, Waits
from reconciler.plan.differences import certificate_differences
from reconciler.plan.inventory import Inventory
from reconciler.plan.live import DeployChoice
from reconciler.plan.rebind import Pair, rebind_reasons
from reconciler.x509.certificates import rfc3339
from reconciler.x509.chains import window_of


@dataclass(frozen=True, slots=True)
class UpdateScene:
    """What updates are judged by. `inventory` None: offline. `found`: the findings, in the order of mtls.toml."""

    desired: Desired
    actual: Actual
    inventory: Inventory | None
    certificates: Mapping[CertificateName, CertificateRow]
    now: datetime
    choice: DeployChoice
    found: list[Diagnostic] = field(default_factory=list)

    def wanted(self, name: CertificateName) -> EntryId | None:
        """The current upload of a certificate; None if it is not uploaded."""
        current = self.certificates[name].entry if name in self.certificates else None
        return current.id if current is not None else None

    def entry(self, found: str | None) -> Entry | None:
        """The uploaded certificate with an ID."""
        return self.inventory.entries.get(EntryId(found)) if found is not None and self.inventory is not None else None

    def owner(self, entry: Entry | None, name: CertificateName) -> CertificateName | None:
        """The certificate that an entry is of: by its mark, handed over, or the current one by its content."""
        if entry is None or self.inventory is None:
            return None
        current = self.inventory.current.get(name)
        return name if current is not None and current.id == entry.id else self.inventory.owned.get(entry.id)

    def reasons(self, found: str | None, name: CertificateName) -> tuple[Reason, ...]:
        """Why what uses the certificate `found` gets that of `name`."""
        if found is None:
            return (Reason.MISSING,)
        entry = self.entry(found)
        return rebind_reasons(Pair(entry, self.owner(entry, name), name, placeholder=False, asked=True))

    def asked(self, change: Update) -> Verdict:
        """A change that nothing prevents: pending, if this run makes it."""
        if self.choice.updates(change.at):
            return Pending(change)
        return Waits(change, Condition.UPDATE_NOT_REQUESTED)

    def judge(self, change: Update, name: CertificateName, entry: Entry | None, pointer: Pointer) -> Verdict:
        """The verdict where something uses `entry`, and not what `name` has now.

        `change`: without what depends on the file of the new certificate.
        """
        row, bundle = self.certificates.get(name), self.desired.bundles.get(name)
        if row is not None and isinstance(row.verdict, Held):
            return Held(row.verdict.by)
        if row is None or bundle is None:
            return Unseen(Need.FILE)
        window, old = window_of(bundle, now=self.now, ca=row.declared.ca), entry.bundle if entry is not None else None
        differences = certificate_differences(old, bundle) if old is not None and old != bundle else ()
        change = replace(change, digest=bundle.digest, differences=differences, not_after=window.ends)
        if window.ends is not None and window.has_ended(self.now):
            return self._expired(change, name, window.ends, pointer)
        if isinstance(row.verdict, Waits):
            return Waits(change, row.verdict.condition, row.verdict.until)
        is_used_valid = entry is not None and entry.window(self.now).contains(self.now)
        if is_used_valid and window.begins is not None and self.now < window.begins:
            return Waits(change, Condition.NOT_VALID_YET, window.begins)
        if is_used_valid and not window.contains(self.now):
            return Waits(change, Condition.VALIDITY_UNKNOWN)
        return self.asked(change)

    def _expired(self, change: Update, name: CertificateName, ends: datetime, pointer: Pointer) -> Held:
        verb = "are" if isinstance(change.at, HostnamesAddress) else "is"
        message = f"{change.at.text} {verb} not changed: {name!r} expired on {rfc3339(ends)}"
        hint = "get a new certificate, and replace its file"
        problem = Diagnostic(Severity.ERROR, Code.CERTIFICATE_EXPIRED, message, pointer, hint, name)
        self.found.append(problem)
        return Held((problem,), change)
