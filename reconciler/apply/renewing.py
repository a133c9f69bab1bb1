"""What a renewal works with: its ports, its findings, and the check of what the issuer answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import field, replace
from datetime import datetime
from typing import Protocol

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.errors import InputError, IssuerError
from reconciler.findings.values import dataclass
from reconciler.model import Desired, Gate
from reconciler.model.key_places import Slot
from reconciler.model.ports import PrivateKey
from reconciler.model.renewal import IssuedCertificate, Issuer, KeySink, Renewal, SearchableIssuer
from reconciler.plan.certificate_policy import judge_policy
from reconciler.plan.gates import has_gate
from reconciler.plan.renewing import Renewable, RenewStep, find_age
from reconciler.proof.ports import ClientIdentity, OriginProver
from reconciler.proof.proofs import proof_problem, proof_warnings
from reconciler.x509.certificates import Bundle
from reconciler.x509.files import parse_file
from reconciler.x509.key_pairs import check_pair
from reconciler.x509.preflight import check_for_upload
from reconciler.x509.requests import CertificateProfile, SigningKey, check_answer


class CertificateFiles(Protocol):
    """The certificate files of the tree; as the `Files` of a project."""

    def replace(self, path: str, *, old: bytes, new: bytes) -> None:
        """Replace the content `old` by `new` in one step; FileChangedError if the file is no longer `old`."""

    def create(self, path: str, data: bytes) -> None:
        """Create a file in one step; FileError if something is there."""

    def demand_writable(self, path: str, *, new: bool) -> None:
        """FileError if `replace`, or `create` of a `new` file, is bound to fail, or git would ignore the new file."""


@dataclass(frozen=True, slots=True)
class RenewWorld:
    """The ports of the renewal of one certificate.

    `report`: shows a finding at once, before the effect that it is about, because the run may be killed after it.
    `demand_lock`: raises LockedError once the lock is lost; asked before each effect.
    """

    sink: KeySink
    issuer: Issuer
    files: CertificateFiles
    prover: OriginProver
    now: Callable[[], datetime]
    report: Callable[[Diagnostic], None]
    demand_lock: Callable[[], None]


@dataclass(slots=True)
class RenewWork:
    """One renewal. `findings` grows while it goes on. `asked`: the issuer was asked for a certificate. `done`: how it
    ended, once its file has the new one."""

    item: Renewable
    renewal: Renewal
    desired: Desired
    world: RenewWorld
    findings: list[Diagnostic] = field(default_factory=list)
    asked: bool = False
    done: RenewStep | None = None
    _found: dict[str, IssuedCertificate | None] = field(default_factory=dict)

    @property
    def where(self) -> Pointer:
        """The place of findings about it."""
        return Pointer(self.desired.declaration.path, ("certificates", self.item.name, "renew"))

    def finding(self, severity: Severity, code: Code, message: str, hint: str) -> Diagnostic:
        return Diagnostic(severity, code, message, self.where, hint, self.item.name)

    def report(self, found: Diagnostic) -> None:
        self.findings.append(found)
        self.world.report(found)

    def find(self, issuer: SearchableIssuer, slot: Slot) -> IssuedCertificate | None:
        """What was issued for the key of a slot, searched once."""
        if slot.key not in self._found:
            self._found[slot.key] = issuer.find(slot.key)
        return self._found[slot.key]


def read_answer(work: RenewWork, answer: bytes) -> Bundle:
    try:
        return parse_file(answer, work.item.declared.path)
    except InputError as error:
        message = f"the answer of the issuer {work.renewal.issuer!r} is no certificate: {error.message}"
        raise IssuerError(
            message, hint="it must be PEM: the certificate first, then its chain", is_open=True
        ) from error


def demand_acceptable(work: RenewWork, wanted: CertificateProfile, key: SigningKey, answer: Bundle) -> Desired:
    """The desired state with the new certificate. InputError if it must not take the place of the present one."""
    item, desired, now = work.item, work.desired, work.world.now()
    after = replace(desired, bundles={**desired.bundles, item.name: answer})
    found = [
        *check_pair(answer, key.pem, where=None),
        *check_for_upload(answer, ca=False, path=item.declared.path, now=now),
        *check_answer(wanted, answer, where=work.where),
        *find_age(item, answer, work.where),
        *judge_policy(after, None, now).get(item.name, ()),
    ]
    _demand_good(work, found)
    if answer.not_before <= now:
        _demand_good(work, _prove(work, after, PrivateKey(key.pem)))
    return after


_HINTS = {
    Code.KEY_MISMATCH: "the issuer has to sign the request that it is sent, whose key is new",
    Code.CHAIN_HAS_ROOT: "let the issuer leave it out of its answer",
}
"""What to do about an issuer's answer, where that is something else than for a file."""


def _demand_good(work: RenewWork, found: Iterable[Diagnostic]) -> None:
    """Keep warnings; InputError for errors, whose last one says that nothing is changed and how to go on."""
    found = [
        replace(one, where=work.where, certificate=work.item.name, hint=_HINTS.get(one.code, one.hint)) for one in found
    ]
    errors = [one for one in found if one.is_error]
    work.findings.extend(one for one in found if not one.is_error)
    if errors:
        kept = f"{work.item.declared.path} is not changed, and the next `mtlsctl renew` goes on with the same key"
        last = errors[-1]
        raise InputError([*errors[:-1], replace(last, hint=f"{last.hint}; {kept}" if last.hint else kept)])


def _prove(work: RenewWork, after: Desired, key: PrivateKey) -> Iterator[Diagnostic]:
    """The proof at the origin that an upload of the new pair would need."""
    name, origin = work.item.name, work.item.declared.verify
    if origin is None or not has_gate(after.declaration, name, Gate.UPLOAD):
        return
    bundle = after.bundles[name]
    proof = work.world.prover.prove(origin, ClientIdentity(bundle, key))
    yield from proof_warnings(name, proof, bundle, work.where)
    problem = proof_problem(name, proof, work.where)
    if problem is not None:
        yield problem
