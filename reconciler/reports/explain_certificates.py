"""Which entry a declared certificate has, why that one, and whether its key is needed, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.model import (
    Action,
    Adopted,
    CertificateName,
    DeclaredCertificate,
    Desired,
    Entry,
    Gate,
    Listing,
    Upload,
    Verify,
    WorkerLabel,
    WranglerFile,
)
from reconciler.model import Reason as ChangeReason
from reconciler.plan.gates import has_gate
from reconciler.plan.inventory import Preference, preference_of
from reconciler.plan.plan import Plan
from reconciler.plan.renewals import Due

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


def tell_certificate(
    name: CertificateName,
    plan: Plan,
    desired: Desired,
    listing: Listing,
    files: Mapping[WorkerLabel, WranglerFile],
) -> CertificateStory:
    """The story of one declared certificate; `name` must be declared."""
    declared = desired.declaration.certificates[name]
    bundle = desired.bundles.get(name)
    adopted = next((item for item in plan.adopted if item.certificate == name), None)
    chosen = preference_of(desired, listing, files, name, adopted.entry) if adopted and bundle else None
    upload = _upload_of(name, plan)
    proof = next((one for one in plan.changes if isinstance(one, Verify) and one.certificate == name), None)
    same = (other for other, content in desired.bundles.items() if bundle and content.digest == bundle.digest)
    what, why = _clauses(name, plan, upload, adopted, chosen)
    return CertificateStory(
        name=name,
        path=declared.path,
        ca=declared.ca,
        owner=declared.owner,
        digest=bundle.digest if bundle else None,
        fingerprint=bundle.fingerprint if bundle else None,
        due=next((due for due in plan.due if due.certificate == name), None),
        entry=adopted.entry if adopted else None,
        ours=adopted.ours if adopted else False,
        chosen=chosen,
        action=upload.action if upload else None,
        what=what,
        why=why,
        key_needed=(upload is not None or proof is not None) and declared.key is not None,
        key_why=_key_clause(declared, upload, proof, stored=adopted is not None),
        shared_with=tuple(other for other in same if other != name),
        origin=declared.verify.url if declared.verify else None,
        proved_before=tuple(gate for gate in Gate if has_gate(desired.declaration, name, gate)),
    )


def _clauses(
    name: CertificateName, plan: Plan, upload: Upload | None, adopted: Adopted | None, chosen: Preference | None
) -> tuple[str, str]:
    """What would become of the certificate, and why."""
    if upload is not None:
        return f"would be uploaded as {upload.name}", _upload_clause(upload)
    if adopted is not None:
        return "stored already: nothing to upload", f"{adopted.entry.id} is {_WHY_THAT_ONE[chosen or Preference.ONLY]}"
    return "not stored, and no upload is planned", _held_back(name, plan)


def _upload_of(name: CertificateName, plan: Plan) -> Upload | None:
    uploads = (change for change in plan.changes if isinstance(change, Upload))
    return next((upload for upload in uploads if name in (upload.certificate, *upload.shared_with)), None)


def _upload_clause(upload: Upload) -> str:
    if ChangeReason.CONTENT_CHANGED in upload.reasons:
        return "its file has another content than the entry that it has so far"
    return "the store has no entry with this content"


def _held_back(name: CertificateName, plan: Plan) -> str:
    errors = [problem.message for problem in plan.diagnostics if problem.certificate == name]
    return "; ".join(errors) or "something about a certificate with the same content is wrong"


def _key_clause(declared: DeclaredCertificate, upload: Upload | None, proof: Verify | None, *, stored: bool) -> str:
    if declared.key is None:
        return "a CA has none" if declared.ca else "mtls.toml names none"
    source = f"{declared.key.source} {declared.key.options.get(declared.key.source, '')}".rstrip()
    if upload is not None:
        return f"the upload sends it, from {source}"
    if proof is not None:
        return f"the proof before the {proof.before} needs it, from {source}"
    if stored:
        return "this content is stored already, and binding needs no key"
    return "nothing would be uploaded"
