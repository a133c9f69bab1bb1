"""Gates: the actions before which a certificate must be proved at its origin, and the proofs that changes need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler.model import (
    Action,
    BindingChange,
    CertificateName,
    Change,
    Declaration,
    Desired,
    Gate,
    Retire,
    Upload,
    Verify,
)


def has_gate(declaration: Declaration, name: CertificateName, gate: Gate) -> bool:
    """Whether a certificate must be proved before this action; False if it is a CA, or no longer declared."""
    declared = declaration.certificates.get(name)
    if declared is None or declared.ca:
        return False
    gates = declaration.policy.verify_before if declared.verify_before is None else declared.verify_before
    return gate in gates


def gate_of(change: Change) -> Gate | None:
    """The gate before a change; None if it has none: it brings no other certificate into use, and deletes none."""
    match change:
        case Upload():
            return Gate.UPLOAD
        case BindingChange() if change.action is not Action.UNBIND:
            is_same = change.after is not None and change.after == change.before
            return None if is_same else Gate.BIND
        case Retire():
            return Gate.RETIRE
        case _:
            return None


def needs_proof(desired: Desired, change: Change) -> frozenset[CertificateName]:
    """The certificates that must be proved before a change; for an upload, all that share it, each at its origin."""
    gate = gate_of(change)
    if gate is None or change.certificate is None:
        return frozenset()
    names = (change.certificate, *(change.shared_with if isinstance(change, Upload) else ()))
    return frozenset(name for name in names if has_gate(desired.declaration, name, gate))


def guards(proof: Verify, change: Change) -> bool:
    """Whether a change is made only if this proof succeeds."""
    same = proof.digest == change.digest if isinstance(change, Upload) else proof.certificate == change.certificate
    return same and proof.before is gate_of(change)


def proofs_for(desired: Desired, changes: Iterable[Change], gate: Gate) -> Iterator[Verify]:
    """The proofs that changes need, each once, in the order of the certificates' names."""
    wanted = {name for change in changes for name in needs_proof(desired, change)}
    for name in sorted(wanted):
        origin, bundle = desired.declaration.certificates[name].verify, desired.bundles.get(name)
        if origin is not None and bundle is not None:  # else it can't be proved, and an error holds its change
            yield Verify(name, bundle.digest, origin.url, gate)
