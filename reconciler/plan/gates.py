"""Gates: the actions before which a certificate must be proved at its origin, and the proofs that changes need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler.model import CertificateName, Change, Declaration, Desired, Gate, Retire, Upload, Verify


def has_gate(declaration: Declaration, name: CertificateName, gate: Gate) -> bool:
    """Whether a certificate must be proved before this action; False if it is a CA, or no longer declared."""
    declared = declaration.certificates.get(name)
    if declared is None or declared.ca:
        return False
    gates = declaration.policy.verify_before if declared.verify_before is None else declared.verify_before
    return gate in gates


def needs_proof(desired: Desired, change: Change) -> frozenset[CertificateName]:
    """The certificates that must be proved before a change; for an upload, all that share it, each at its origin."""
    match change:
        case Upload():
            names, gate = (change.certificate, *change.shared_with), Gate.UPLOAD
        case Retire():
            names, gate = (change.certificate,), Gate.RETIRE
        case _:
            return frozenset()
    return frozenset(name for name in names if has_gate(desired.declaration, name, gate))


def guards(proof: Verify, change: Change) -> bool:
    """Whether a change is made only if this proof succeeds."""
    match change:
        case Upload():
            return proof.before is Gate.UPLOAD and proof.digest == change.digest
        case Retire():
            return proof.before is Gate.RETIRE and proof.certificate == change.certificate
        case _:
            return False


def proofs_for(desired: Desired, changes: Iterable[Change], gate: Gate) -> Iterator[Verify]:
    """The proofs that changes need, each once, in the order of the certificates' names."""
    wanted = {name for change in changes for name in needs_proof(desired, change)}
    for name in sorted(wanted):
        origin, bundle = desired.declaration.certificates[name].verify, desired.bundles.get(name)
        if origin is not None and bundle is not None:  # else it can't be proved, and an error holds its change
            yield Verify(name, bundle.digest, origin.url, gate)
