"""Which entry a declared certificate has, why that one, and whether its key is needed, in sentences."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.findings.codes import Code
from reconciler.model import Action, CertificateName, DeclaredCertificate, Entry, Gate, Upload, User, Verify
from reconciler.model import Reason as ChangeReason
from reconciler.plan.assessment import CertificateRow, Held, Pending
from reconciler.plan.dates import declared_due
from reconciler.plan.gates import has_gate
from reconciler.plan.inventory import Preference, preference_of
from reconciler.plan.plan import Plan
from reconciler.plan.renewals import Due
from reconciler.plan.users import find_uses

_WHY_THAT_ONE = {
    Preference.ONLY: "the only entry with this content",
    Preference.BOUND: "among several entries with this content the one that is bound already",
    Preference.MARKED: "among several entries with this content the one with the mark of this stack",
    Preference.OLDEST: "among several entries with this content the oldest",
    Preference.FIRST_ID: "among several entries with this content the first by id",
}


@dataclass(frozen=True, slots=True)
class CertificateStory:
    """One declared certificate. Digest, fingerprint and `due` are None where its file can't be used.

    `ours`: its entry is under a mark of this stack, not adopted. `action` None: nothing is to be done; `what` and `why`
    are a clause each, as `key_why` is, of why its key is needed or not. `shared_with` declare the same content.
    `users`: what else uses its entry, besides the bindings that are declared or found.
    """

    name: CertificateName
    path: str
    ca: bool
    owner: str | None
    digest: str | None
    fingerprint: str | None
    due: Due | None
    entry: Entry | None
    ours: bool
    chosen: Preference | None
    action: Action | None
    what: str
    why: str
    key_needed: bool
    key_why: str
    shared_with: tuple[CertificateName, ...]
    origin: str | None = None
    proved_before: tuple[Gate, ...] = ()
    users: tuple[User, ...] = ()


def tell_certificate(name: CertificateName, plan: Plan) -> CertificateStory:
    """The story of one declared certificate; `name` must be declared."""
    assessment = plan.assessment
    row = assessment.by_name[name]
    upload = row.verdict.change if isinstance(row.verdict, Pending) else None
    proof = next((one for one in plan.changes if isinstance(one, Verify) and one.certificate == name), None)
    chosen = preference_of(assessment.desired, assessment.actual, name, row.entry) if row.entry and row.bundle else None
    what, why = _clauses(row, chosen)
    lacks_key = isinstance(row.verdict, Held) and any(one.code is Code.KEY_MISSING for one in row.verdict.by)
    return CertificateStory(
        name=name,
        path=row.declared.path,
        ca=row.declared.ca,
        owner=row.declared.owner,
        digest=row.bundle.digest if row.bundle else None,
        fingerprint=row.bundle.fingerprint if row.bundle else None,
        due=declared_due(row, assessment),
        entry=row.entry,
        ours=row.ours,
        chosen=chosen,
        action=upload.action if upload else None,
        what=what,
        why=why,
        key_needed=lacks_key or ((upload is not None or proof is not None) and row.declared.key is not None),
        key_why=_key_clause(row.declared, upload is not None, proof, stored=row.entry is not None),
        shared_with=tuple(other for other in row.same_content if other != name),
        origin=row.declared.verify.url if row.declared.verify else None,
        proved_before=tuple(gate for gate in Gate if has_gate(assessment.desired.declaration, name, gate)),
        users=tuple(
            use.user for use in find_uses(assessment) if row.entry is not None and use.entry.id == row.entry.id
        ),
    )


def _clauses(row: CertificateRow, chosen: Preference | None) -> tuple[str, str]:
    """What would become of the certificate, and why."""
    match row.verdict:
        case Pending(change) if isinstance(change, Upload):
            return f"would be uploaded as {change.name}", _upload_clause(change)
        case _ if row.entry is not None:
            clause = _WHY_THAT_ONE[chosen or Preference.ONLY]
            return "stored already: nothing to upload", f"{row.entry.id} is {clause}"
        case Held(by):
            return "not stored, and no upload is planned", "; ".join(dict.fromkeys(one.message for one in by))
        case _:
            return "not stored, and no upload is planned", "its file could not be read"


def _upload_clause(upload: Upload) -> str:
    if ChangeReason.CONTENT_CHANGED in upload.reasons:
        return "its file has another content than the entry that it has so far"
    return "the store has no entry with this content"


def _key_clause(declared: DeclaredCertificate, uploaded: bool, proof: Verify | None, *, stored: bool) -> str:
    if declared.key is None:
        return "a CA has none" if declared.ca else "mtls.toml names none"
    source = f"{declared.key.source} {declared.key.options.get(declared.key.source, '')}".rstrip()
    if uploaded:
        return f"the upload sends it, from {source}"
    if proof is not None:
        return f"the proof before the {proof.before} needs it, from {source}"
    if stored:
        return "this content is stored already, and binding needs no key"
    return "nothing would be uploaded"
