"""Which declared certificates are uploaded, which must be uploaded, and which are held (rules 1, 2 and 9)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.model import CertificateName, Condition, Desired, Entry, Gate, Reason, Upload
from reconciler.model.ownership import is_ours, mark_name, read_mark
from reconciler.plan.assessment import CertificateRow, Held, Need, Pending, Unseen, UpToDate, Verdict, Waits
from reconciler.plan.certificate_policy import judge_policy
from reconciler.plan.differences import certificate_differences
from reconciler.plan.gates import proofs_for
from reconciler.plan.inventory import Inventory
from reconciler.plan.renewals import find_earlier_end, find_going_back, with_renewal
from reconciler.x509.certificates import Bundle
from reconciler.x509.chains import window_of
from reconciler.x509.preflight import check_for_upload, check_unknown

_MOST_NAMED = 5


def judge_certificates(
    desired: Desired, inventory: Inventory | None, now: datetime, unusable: Sequence[Diagnostic]
) -> tuple[tuple[CertificateRow, ...], tuple[Diagnostic, ...]]:
    """A row for each declared certificate, in the order of mtls.toml, and the findings.

    `inventory` None: offline. `unusable`: the findings about certificate files; an error among them holds its
    certificate.
    """
    judge = _CertificateJudge(desired, inventory, now)
    return judge.rows(unusable), tuple(judge.findings)


class _CertificateJudge:
    """Judges by content: certificates with the same content share one entry, one upload, and its errors."""

    def __init__(self, desired: Desired, inventory: Inventory | None, now: datetime) -> None:
        self.desired, self.inventory, self.now = desired, inventory, now
        self.groups = _groups(desired)
        self.together = {digest: tuple(names) for digest, names in self.groups.items()}  # one, in each of their rows
        self.same = {digest: _same_content_twice(desired, names) for digest, names in self.groups.items()}
        self.breaches = judge_policy(desired, inventory, now)
        self.findings: list[Diagnostic] = [one for found in self.same.values() for one in found]
        if inventory is not None:
            self.findings.extend(inventory.diagnostics)

    def rows(self, unusable: Sequence[Diagnostic]) -> tuple[CertificateRow, ...]:
        """Every row; `dates.py` adds when each is due."""
        verdicts = {
            name: verdict
            for digest, names in self.groups.items()
            for name, verdict in self._judge(digest, names).items()
        }
        errors: dict[str | None, list[Diagnostic]] = defaultdict(list)
        for one in unusable:
            if one.is_error:
                errors[one.certificate].append(one)
        names = self.desired.declaration.certificates
        return tuple(self._row(name, verdicts.get(name), errors.get(name, ())) for name in names)

    def _row(self, name: CertificateName, verdict: Verdict | None, errors: Sequence[Diagnostic]) -> CertificateRow:
        bundle = self.desired.bundles.get(name)
        entry = self.inventory.current.get(name) if self.inventory else None
        if verdict is None:
            verdict = Held(tuple(errors)) if errors else Unseen(Need.FILE)
        return CertificateRow(
            declared=self.desired.declaration.certificates[name],
            bundle=bundle,
            entry=entry,
            ours=entry is not None and is_ours(read_mark(entry), self.desired.declaration),
            due=None,
            same_content=self.together[bundle.digest] if bundle is not None else (name,),
            verdict=verdict,
        )

    def _judge(self, digest: str, names: list[CertificateName]) -> Mapping[CertificateName, Verdict]:
        """The verdict of each certificate with this content."""
        inventory = self.inventory
        same = self.same.get(digest, ())
        if same:
            return dict.fromkeys(names, Held(same))
        breaches = self._breaches(names)
        if inventory is None:
            return self._judge_offline(names, breaches)
        refused = inventory.refused
        if any(name in inventory.current or name in refused for name in names):
            self.findings.extend(one for one in breaches if not one.is_error)
            return {name: Held((refused[name],)) if name in refused else UpToDate() for name in names}
        found = [*_check_upload(self.desired, names, self.now), *_same_leaf(self.desired, inventory, names), *breaches]
        previous = _previous(inventory, names)
        older = find_going_back(self.desired, names, previous, self.now)
        older = older or find_earlier_end(self.desired, names, previous, self.now)
        errors = tuple(one for one in found if one.is_error)
        older = None if errors else older  # what is refused replaces nothing
        self.findings.extend(found if older is None else [*found, older])
        upload = _upload(self.desired, inventory, digest, names)
        return _held(names, errors, upload) if errors else dict.fromkeys(names, self._judge_upload(upload))

    def _breaches(self, names: list[CertificateName]) -> list[Diagnostic]:
        """The findings of the policy. One name that it refuses holds them all: they have one upload."""
        found = [one for name in names for one in self.breaches.get(name, ())]
        errors = [one for one in found if one.is_error]
        free = set(names) - {one.certificate for one in errors}
        return [*found, *(replace(one, certificate=name) for name in sorted(free) for one in errors)]

    def _judge_offline(
        self, names: list[CertificateName], breaches: list[Diagnostic]
    ) -> Mapping[CertificateName, Verdict]:
        """Judged as `validate` does: the certificate may be uploaded, or may still have to be."""
        found = [*_check_file(self.desired, names, self.now, is_unknown=True), *breaches]
        self.findings.extend(found)
        errors = tuple(one for one in found if one.is_error)
        return _held(names, errors) if errors else dict.fromkeys(names, Unseen(Need.STORE))

    def _judge_upload(self, upload: Upload) -> Verdict:
        """Rule 10: an upload does not wait until its certificate is valid, unless it must be proved first."""
        declared = self.desired.declaration.certificates[upload.certificate]
        window = window_of(self.desired.bundles[upload.certificate], now=self.now, ca=declared.ca)
        begins = window.begins
        is_later = begins is not None and self.now < begins
        if not window.has_ended(self.now):
            upload = replace(upload, not_after=window.ends)
        if is_later and any(proofs_for(self.desired, (upload,), Gate.UPLOAD)):
            return Waits(upload, Condition.NOT_VALID_YET, begins, {"case": "proof"})
        return Pending(upload)


def _held(
    names: Iterable[CertificateName], errors: Sequence[Diagnostic], upload: Upload | None = None
) -> Mapping[CertificateName, Verdict]:
    """Each certificate held by its own errors; it has one if another with the same content has one."""
    return {name: Held(tuple(one for one in errors if one.certificate == name), upload) for name in names}


def _groups(desired: Desired) -> dict[str, list[CertificateName]]:
    """Declared certificates by content: those with the same content share one entry."""
    groups: dict[str, list[CertificateName]] = defaultdict(list)
    for name in sorted(desired.bundles):
        groups[desired.bundles[name].digest].append(name)
    return groups


def _same_content_twice(desired: Desired, names: Sequence[CertificateName]) -> tuple[Diagnostic, ...]:
    """An error for each, if some are declared as a CA and others not, or with another leaf: the same content is
    uploaded only once."""
    certificates = [desired.declaration.certificates[name] for name in names]
    if len({one.ca for one in certificates}) > 1:
        code = Code.SAME_CONTENT
        message = f"{_together(names)} have the same content, but not all of them have `ca = true`"
        hint = "set `ca` to the same value in all of them: the same content can be uploaded only once"
    elif not certificates[0].ca and len({desired.bundles[name].fingerprint for name in names}) > 1:
        code = Code.LEAF_DIFFERS
        message = f"{_together(names)} have the same certificates in their files, but not the same one first"
        hint = "the first is the one that a Worker uses: in each file, write the leaf and only its own issuers"
    else:
        return ()
    path = desired.declaration.path
    return tuple(
        Diagnostic(Severity.ERROR, code, message, Pointer(path, ("certificates", name)), hint, name) for name in names
    )


def _together(names: Sequence[CertificateName]) -> str:
    more = len(names) - _MOST_NAMED
    return " and ".join((*names[:_MOST_NAMED], f"{more:,} more") if more > 0 else names)


def _check_file(
    desired: Desired, names: list[CertificateName], now: datetime, *, is_unknown: bool = False
) -> list[Diagnostic]:
    """The findings about the content, which is checked once; each is repeated for every certificate with it.

    `is_unknown`: whether it is uploaded is not known.
    """
    check = check_unknown if is_unknown else check_for_upload
    first = desired.declaration.certificates[names[0]]
    found = check(desired.bundles[names[0]], ca=first.ca, path=first.path, now=now)
    declared = desired.declaration.certificates
    return [replace(with_renewal(problem, declared[name]), certificate=name) for problem in found for name in names]


def _check_upload(desired: Desired, names: list[CertificateName], now: datetime) -> list[Diagnostic]:
    """The findings of all checks before an upload; each is repeated for every certificate with the same content."""
    first = desired.declaration.certificates[names[0]]
    found = []
    keys = [name for name in names if desired.declaration.certificates[name].key is not None]
    if not first.ca and not keys:
        message = f"{names[0]!r} is not uploaded yet, and can't be: it has no `private_key`"
        pointer = Pointer(desired.declaration.path, ("certificates", names[0]))
        hint = 'add `private_key = { env = "NAME" }`, or the path of a key file'
        found.append(Diagnostic(Severity.ERROR, Code.KEY_MISSING, message, pointer, hint))
    of_key = [replace(problem, certificate=name) for problem in found for name in names]
    return [*_check_file(desired, names, now), *of_key]


def _same_leaf(desired: Desired, inventory: Inventory, names: list[CertificateName]) -> list[Diagnostic]:
    """A warning for each entry with this leaf and another chain: Cloudflare may refuse the upload as a duplicate."""
    leaf = desired.bundles[names[0]].fingerprint
    same = [entry for entry in inventory.entries.values() if entry.bundle and entry.bundle.fingerprint == leaf]
    message = f"{desired.declaration.store.title} already has the leaf of {names[0]!r}, with another chain, as "
    hint = "the upload may be refused as a duplicate; use the chain that is uploaded, or a renewed certificate"
    pointer = Pointer(desired.declaration.path, ("certificates", names[0], "certificate"))
    return [Diagnostic(Severity.WARNING, Code.SAME_LEAF, message + entry.id, pointer, hint, names[0]) for entry in same]


def _upload(desired: Desired, inventory: Inventory, digest: str, names: list[CertificateName]) -> Upload:
    previous = _previous(inventory, names)
    bundle = desired.bundles[names[0]]
    old = previous.bundle if previous else None
    differences = certificate_differences(old, bundle) if old else ()
    if _has_known_key(inventory, names, bundle):
        differences = tuple(one for one in differences if one.attribute != "key")
    return Upload(
        certificate=names[0],
        digest=digest,
        name=mark_name(desired.declaration.stack, names[0], digest),
        reasons=(Reason.CONTENT_CHANGED if previous else Reason.MISSING,),
        differences=differences,
        shared_with=tuple(names[1:]),
        leaf=bundle.fingerprint if len(bundle.ders) > 1 else None,
    )


def _has_known_key(inventory: Inventory, names: list[CertificateName], bundle: Bundle) -> bool:
    """Whether any upload of this name has the same key: the newest alone does not say that a leaked key is gone."""
    others = (one.entry.bundle for one in inventory.leaving if one.certificate in names)
    return any(one is not None and one.facts().key == bundle.facts().key for one in others)


def _previous(inventory: Inventory, names: list[CertificateName]) -> Entry | None:
    """The newest entry that the upload replaces."""
    left = [leaving.entry for leaving in inventory.leaving if leaving.certificate in names]
    timed = [(entry.uploaded_on, entry.id, entry) for entry in left if entry.uploaded_on is not None]
    return max(timed)[2] if timed else (left[0] if left else None)
