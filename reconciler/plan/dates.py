"""When each certificate is due, and the findings about dates (rule 10): expired, due, or with a gap ahead.

They follow the certificates that bindings use, not those that are declared, because calls fail by the former. They
never hold a change; `bindings.py` does that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.values import dataclass
from reconciler.model import ById, CertificateName, Condition, Desired, Entry, EntryId
from reconciler.plan.assessment import Assessment, CertificateRow, Pending, UserRow, Waits, uses_text
from reconciler.plan.inventory import Inventory
from reconciler.plan.renewals import Due, due_of, file_due, find_always_due, find_due, to_renew, with_renewal
from reconciler.x509.certificates import rfc3339
from reconciler.x509.preflight import check_dates, check_stored

_Subject = CertificateName | EntryId
_NOT_YET = frozenset({Code.CERTIFICATE_NOT_YET_VALID, Code.INTERMEDIATE_NOT_YET_VALID})
"""Not reported if a waiting binding already reports it, with the time."""


@dataclass(frozen=True, slots=True)
class JudgedDates:
    """The certificates with their due dates. `expired`: reported before everything else. `findings`: after the other
    findings about certificates."""

    certificates: tuple[CertificateRow, ...]
    expired: tuple[Diagnostic, ...]
    findings: tuple[Diagnostic, ...]


def judge_dates(
    desired: Desired,
    certificates: Sequence[CertificateRow],
    bindings: Sequence[UserRow],
    now: datetime,
    inventory: Inventory | None,
) -> JudgedDates:
    """The due date of each certificate, and the findings about dates. `inventory` None: offline."""
    users: dict[CertificateName, list[UserRow]] = defaultdict(list)
    for binding in bindings:
        name = binding.certificate
        if name is not None and name == binding.owner and binding.entry is not None:
            users[name].append(binding)
    rows = tuple(replace(row, due=_due(desired, row, users.get(row.name, ()), now)) for row in certificates)
    expired = _bound_expired(bindings, desired, inventory, now)
    early = _bound_early(bindings, now)
    found: list[Diagnostic] = list(early.values())
    waited_for = {row.certificate for row in bindings if isinstance(row.verdict, Waits)} | set(early)
    for row in sorted(rows, key=lambda row: row.name):
        if row.bundle is not None and (inventory is None or row.entry is not None):
            dates = _of_stored(desired, row, now, is_bound_expired=row.name in expired)
            found.extend(one for one in dates if one.code not in _NOT_YET or row.name not in waited_for)
    found.extend(_gaps(desired, bindings, now))
    always = (find_always_due(desired, row.name) for row in sorted(rows, key=lambda row: row.name) if row.bundle)
    found.extend(one for one in always if one is not None)
    return JudgedDates(rows, tuple(expired.values()), tuple(found))


def declared_due(row: CertificateRow, assessment: Assessment) -> Due | None:
    """When the certificate of the declared file is due, even if another one is in use; None if it can't be read."""
    return file_due(assessment.desired, row.name, assessment.now)


def _due(desired: Desired, row: CertificateRow, users: Sequence[UserRow], now: datetime) -> Due | None:
    """The due date of the certificate in use that expires first; of the declared one if none is in use."""
    if row.bundle is None:
        return None
    bound = [(user.entry.bundle, user.entry.window(now).ends) for user in users if user.entry is not None]
    if not bound:
        return file_due(desired, row.name, now)
    dues = [due_of(desired, row.name, bundle, ends) for bundle, ends in bound if bundle and ends]
    return min(dues, key=lambda due: due.not_after, default=None)


def _bound_expired(
    bindings: Sequence[UserRow], desired: Desired, inventory: Inventory | None, now: datetime
) -> Mapping[_Subject, Diagnostic]:
    """The expired certificates that are in use and stay in use, by the declared certificate or ID."""
    found: dict[_Subject, list[UserRow]] = defaultdict(list)
    for row in bindings:
        stays = row.declared is not None and not _moves(row)
        if stays and row.entry is not None and row.entry.window(now).has_ended(now):
            target = row.target
            subject = target.id if isinstance(target, ById) else row.certificate
            if subject is not None:
                found[subject].append(row)
    return {
        subject: _expired(subject, rows, _valid_entry(desired, inventory, rows[0].certificate, now), desired, now)
        for subject, rows in found.items()
    }


def _valid_entry(
    desired: Desired, inventory: Inventory | None, name: CertificateName | None, now: datetime
) -> Entry | None:
    """The uploaded certificate of this name that is valid now: the current one, else the newest; None if none is."""
    if inventory is None or name is None:
        return None
    current = inventory.current.get(name)
    owned = [inventory.entries[entry_id] for entry_id, owner in inventory.owned.items() if owner == name]
    newest_first = sorted(owned, key=lambda entry: (str(entry.uploaded_on or ""), entry.id), reverse=True)
    stored = newest_first if current is None else [current, *newest_first]
    is_ca = desired.declaration.certificates[name].ca
    return next((entry for entry in stored if entry.ca == is_ca and entry.window(now).contains(now)), None)


def _moves(row: UserRow) -> bool:
    """Whether a binding gets another id in this run."""
    return isinstance(row.verdict, Pending) and row.found_id != row.wanted


def _expired(
    subject: _Subject, rows: Sequence[UserRow], valid: Entry | None, desired: Desired, now: datetime
) -> Diagnostic:
    first = rows[0]
    ends = min(end for row in rows if row.entry is not None and (end := row.entry.window(now).ends) is not None)
    more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
    name = first.certificate
    what = f"the certificate {name!r}" if name is not None else f"the certificate {subject}"
    message = f"{what} expired on {rfc3339(ends)} and is still in use: {first.text}{more}"
    if name is None:
        hint = "it is not managed here: declare the ID of a valid certificate, run `mtlsctl apply`, and deploy"
    elif valid is None:
        hint = f"{to_renew(desired.declaration.certificates[name])}, run `mtlsctl apply`, and deploy"
    elif valid.id == first.wanted:
        hint = f"{valid.id} is valid: fix what keeps the binding from it, run `mtlsctl apply`, and deploy"
    else:
        hint = (
            f"{valid.id} is uploaded and valid: restore its file (pull, or revert the revert), run `mtlsctl apply`,"
            " and deploy"
        )
    return Diagnostic(Severity.WARNING, Code.BOUND_EXPIRED, message, first.pointer, hint, name)


def _bound_early(bindings: Sequence[UserRow], now: datetime) -> Mapping[_Subject, Diagnostic]:
    """The certificates that are in use and not valid yet, by the declared certificate or ID."""
    found: dict[_Subject, Diagnostic] = {}
    for row in bindings:
        target = row.target
        subject = target.id if isinstance(target, ById) else row.certificate
        if row.declared is None or _moves(row) or row.entry is None or subject is None or subject in found:
            continue
        begins = row.entry.window(now).begins
        if begins is not None and now < begins:
            message = f"{uses_text(row)} a certificate that is not valid before {rfc3339(begins)}"
            hint = (
                "calls through it fail until then; if they must work earlier, declare a certificate that is valid now"
            )
            name = row.certificate
            found[subject] = Diagnostic(Severity.WARNING, Code.BOUND_BEFORE_VALID, message, row.pointer, hint, name)
    return found


def _of_stored(desired: Desired, row: CertificateRow, now: datetime, *, is_bound_expired: bool) -> Iterator[Diagnostic]:
    """Findings about dates and keys of an uploaded certificate, and about a due renewal. Offline only the latter: the
    file was judged before."""
    bundle = row.bundle
    if bundle is None:
        return
    if row.entry is not None and not row.declared.ca:
        keys = check_stored(bundle, path=row.declared.path, now=now)
        yield from (replace(problem, certificate=row.name) for problem in keys)
    dates = check_dates(bundle, path=row.declared.path, ca=row.declared.ca, now=now)
    if row.entry is not None and not is_bound_expired:  # else the other finding already reports it
        yield from (replace(with_renewal(problem, row.declared), certificate=row.name) for problem in dates)
    due = None if dates or row.due is None or row.due.renewed else find_due(desired, row.due, now)
    if due is not None:
        yield due


def _gaps(desired: Desired, bindings: Sequence[UserRow], now: datetime) -> Iterator[Diagnostic]:
    """Where the certificate in use expires before its successor is valid: the longest gap of each certificate or ID."""
    gaps: dict[_Subject, tuple[datetime, datetime, UserRow]] = {}
    for row in bindings:
        verdict, target = row.verdict, row.target
        if not isinstance(verdict, Waits) or verdict.condition is not Condition.NOT_VALID_YET or row.entry is None:
            continue
        ends, begins = row.entry.window(now).ends, verdict.until
        subject = target.id if isinstance(target, ById) else row.certificate
        if subject is not None and ends is not None and begins is not None and ends < begins:
            gaps[subject] = min(gaps.get(subject, (ends, begins, row)), (ends, begins, row), key=lambda gap: gap[0])
    for subject, (ends, begins, row) in gaps.items():
        what = f"the certificate {row.certificate!r}" if row.certificate is not None else f"the certificate {subject}"
        message = (
            f"{row.text} has no valid certificate from {rfc3339(ends)} to {rfc3339(begins)}: the one in use expires"
            f" before {what} becomes valid"
        )
        hint = f"get a certificate that becomes valid before {rfc3339(ends)}"
        name = row.certificate
        yield Diagnostic(
            Severity.WARNING,
            Code.VALIDITY_GAP,
            message,
            Pointer(desired.declaration.path, ("certificates", name, "certificate")) if name else row.pointer,
            hint,
            row.certificate,
        )
