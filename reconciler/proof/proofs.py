"""One proof at an origin, and the findings about it."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.values import dataclass
from reconciler.model import CertificateName
from reconciler.proof.levels import LevelResult
from reconciler.proof.observations import Seen
from reconciler.proof.requests import names_issuer
from reconciler.proof.verdicts import Judgement, ProofStatus, Verdict
from reconciler.proof.words import HINTS
from reconciler.x509.certificates import Bundle


@dataclass(frozen=True, slots=True)
class Proof:
    """The result of one probe of an origin."""

    url: str
    seen: Seen
    judgement: Judgement

    @property
    def standing(self) -> ProofStatus:
        """The status of the verdict."""
        return self.judgement.verdict.standing

    @property
    def note(self) -> str:
        """The verdict in a word or two, such as `rejected (unknown_ca)`."""
        alert = self.seen.ours.alert if self.judgement.verdict is Verdict.REJECTED else None
        return f"{self.judgement.verdict} ({alert})" if alert else str(self.judgement.verdict)


def proof_warnings(name: CertificateName, proof: Proof, bundle: Bundle, where: Pointer) -> Iterator[Diagnostic]:
    """Findings about a successful proof."""
    judgement, request = proof.judgement, proof.seen.ours.request
    if proof.standing is ProofStatus.PROVED and not judgement.verdict.is_full:
        message = f"{name!r} passes at {proof.url}, which proves little ({judgement.verdict}): {judgement.why}"
        yield Diagnostic(Severity.WARNING, Code.VERIFY_WEAK, message, where, judgement.hint, name)
    if proof.seen.ours.cf_ray:
        yield proxied_warning(name, proof.url, where)
    if request is not None and request.authorities and not names_issuer(request, bundle):
        count = len(request.authorities)
        message = f"{proof.url} names the CAs that it trusts ({count}), and no issuer of {name!r} is among them"
        hint = "no action needed if the proof passed: origins may trust other CAs, but some clients then send nothing"
        yield Diagnostic(Severity.WARNING, Code.ISSUER_NOT_NAMED, message, where, hint, name)


def proxied_warning(name: CertificateName, url: str, where: Pointer) -> Diagnostic:
    """The warning that Cloudflare's proxy is in front of the origin: a deployed Worker may not get the same answer."""
    message = f"{url} answers through Cloudflare's proxy, which refuses Workers that send {name!r} there (520)"
    return Diagnostic(Severity.WARNING, Code.ORIGIN_PROXIED, message, where, HINTS["proxied"], name)


def edge_problem(name: CertificateName, url: str, result: LevelResult, where: Pointer) -> Diagnostic | None:
    """As `proof_problem`, of a proof from Cloudflare's edge."""
    if result.standing is ProofStatus.PROVED:
        return None
    why = f"{result.verdict}: {result.why}"
    if result.standing is ProofStatus.REFUTED:
        message = f"from Cloudflare, {url} does not accept the uploaded {name!r}: {why}"
        return Diagnostic(Severity.ERROR, Code.VERIFY_REFUTED, message, where, result.hint, name)
    message = f"the uploaded {name!r} could not be verified from Cloudflare at {url}: {why}"
    return Diagnostic(Severity.ERROR, Code.VERIFY_INCONCLUSIVE, message, where, result.hint, name)


def proof_problem(name: CertificateName, proof: Proof, where: Pointer) -> Diagnostic | None:
    """Why a step that needs this proof can't be made; None if it can."""
    judgement = proof.judgement
    if proof.standing is ProofStatus.PROVED:
        return None
    if proof.standing is ProofStatus.REFUTED:
        message = f"{proof.url} does not accept {name!r}: {proof.note}: {judgement.why}"
        return Diagnostic(Severity.ERROR, Code.VERIFY_REFUTED, message, where, judgement.hint, name)
    message = f"{name!r} could not be verified at {proof.url}: {proof.note}: {judgement.why}"
    return Diagnostic(Severity.ERROR, Code.VERIFY_INCONCLUSIVE, message, where, judgement.hint, name)
