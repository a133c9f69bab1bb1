"""Which upload a declared certificate uses, why that one, and whether its key is needed, in sentences."""

from __future__ import annotations

from datetime import datetime

from reconciler.findings.codes import Code
from reconciler.findings.values import dataclass
from reconciler.model import Action, CertificateName, DeclaredCertificate, Entry, Gate, Upload, User, Verify
from reconciler.model import Reason as ChangeReason
from reconciler.model.key_places import RENEWED
from reconciler.plan.assessment import CertificateRow, Held, Pending, Waits
from reconciler.plan.dates import declared_due
from reconciler.plan.gates import has_gate
from reconciler.plan.inventory import Preference, preference_of
from reconciler.plan.plan import Plan
from reconciler.plan.renewals import Due
from reconciler.plan.users import find_uses
from reconciler.plan.wording import wait_text
from reconciler.x509.certificates import serial_text
from reconciler.x509.chains import window_of

_WHY_THAT_ONE = {
    Preference.ONLY: "the only upload with this content",
    Preference.BOUND: "the one of several uploads with this content that is bound already",
    Preference.MARKED: "the one of several uploads with this content that has the mark of this stack",
    Preference.OLDEST: "the oldest of several uploads with this content",
    Preference.FIRST_ID: "the first by ID of several uploads with this content",
}


@dataclass(frozen=True, slots=True)
class CertificateStory:
    """One declared certificate. `digest`, `fingerprint` and `due` are None if its file can't be used.

    `ours`: its entry has a mark of this stack; else it is adopted. `action` None: nothing would happen. `what` and
    `why`: one clause each; so is `key_why`, for the need of its key. `shared_with`: certificates with the same content.
    `users`: what uses its entry in addition to declared and found bindings. `begins`: when it becomes valid. `in_use`:
    when the older certificate expires that is still in use, if there is one. `serial`: hexadecimal, as openssl has it.
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
    begins: datetime | None = None
    in_use: Due | None = None
    serial: str | None = None


def tell_certificate(name: CertificateName, plan: Plan) -> CertificateStory:
    """The story of one declared certificate; `name` must be declared."""
    assessment = plan.assessment
    row = assessment.by_name[name]
    upload = row.verdict.change if isinstance(row.verdict, Pending) else None
    proofs = (one for one in plan.changes if isinstance(one, Verify) and one.certificate == name)
    proof = next((one for one in proofs if one.before is not Gate.BIND), None)
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
        begins=window_of(row.bundle, now=assessment.now, ca=row.declared.ca).begins if row.bundle else None,
        in_use=row.due if row.due is not None and row.due.renewed else None,
        entry=row.entry,
        ours=row.ours,
        chosen=chosen,
        action=upload.action if upload else None,
        what=what,
        why=why,
        key_needed=lacks_key or ((upload is not None or proof is not None) and row.declared.key is not None),
        key_why=_key_clause(row.declared, upload is not None, proof, stored=row.entry is not None),
        shared_with=tuple(other for other in row.same_content if other != name),
        serial=serial_text(row.bundle.leaf) if row.bundle else None,
        origin=row.declared.verify.url if row.declared.verify else None,
        proved_before=tuple(gate for gate in Gate if has_gate(assessment.desired.declaration, name, gate)),
        users=tuple(
            use.user for use in find_uses(assessment) if row.entry is not None and use.entry.id == row.entry.id
        ),
    )


def _clauses(row: CertificateRow, chosen: Preference | None) -> tuple[str, str]:
    """What would happen to the certificate, and why."""
    match row.verdict:
        case Pending(change) if isinstance(change, Upload):
            return f"would be uploaded as {change.name}", _upload_clause(change)
        case _ if row.entry is not None:
            clause = _WHY_THAT_ONE[chosen or Preference.ONLY]
            return "already uploaded", f"{row.entry.id} is {clause}"
        case Held(by):
            return "not uploaded, and no upload is planned", "; ".join(dict.fromkeys(one.message for one in by))
        case Waits(condition=condition, facts=facts, until=until):
            when = f" until {until:%Y-%m-%d %H:%M} UTC" if until is not None else ""
            return f"not uploaded, and the upload waits{when}", wait_text(condition, facts)
        case _:
            return "not uploaded, and no upload is planned", "its file could not be read"


def _upload_clause(upload: Upload) -> str:
    if ChangeReason.CONTENT_CHANGED in upload.reasons:
        return "the content of its file differs from its uploaded certificate"
    return "no uploaded certificate has this content"


def _key_clause(declared: DeclaredCertificate, uploaded: bool, proof: Verify | None, *, stored: bool) -> str:
    if declared.key is None:
        if declared.ca:
            return "a CA has no private key"
        if stored:
            return "it is already uploaded; mtls.toml needs a `private_key` before its next renewal"
        return "mtls.toml has no `private_key` for it"
    kind = "" if declared.key.source == RENEWED else f"{declared.key.source} "
    source = f"{kind}{declared.key.options.get(declared.key.source, '')}".rstrip()
    if uploaded:
        return f"the upload needs it, from {source}"
    if proof is not None:
        return f"the proof before the {proof.before} needs it, from {source}"
    if stored:
        return "it is already uploaded, and binding needs no key"
    return "nothing would be uploaded"
