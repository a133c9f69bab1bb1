"""`mtlsctl.verify/1`: what was proved of each certificate, level by level."""

from __future__ import annotations

from typing import Literal

from reconciler.findings.diagnostics import Resolve
from reconciler.proof.levels import CertificateProof, DryRun, Level, LevelResult, Skip, Verification
from reconciler.proof.observations import End, Moment, NginxPage, Observation, Seen, Shown
from reconciler.proof.requests import algorithm_names, authority_texts
from reconciler.proof.verdicts import ProofStatus
from reconciler.records.base import DiagnosticPart, JsonPart, UtcTime, diagnostic_part
from reconciler.views.json.document import as_view

MAX_AUTHORITIES = 20
"""Names of CAs that are written down; an origin may send thousands."""


class RequestPart(JsonPart):
    """What the origin asked for. `authorities`: the first CAs that it names, of `authorities_total`."""

    authorities: tuple[str, ...]
    authorities_total: int
    signature_algorithms: tuple[str, ...]


class ConnectionPart(JsonPart):
    """One connection. `late`: it allowed to be asked after the handshake.

    Where the messages of the handshake could not be watched, `observable` is false, and `requested` and `sent` are left
    out. `sent` counts the certificates that went out with the proof that we have the key.
    """

    shown: Shown
    late: bool
    end: End
    moment: Moment | None = None
    tls_version: str | None = None
    observable: bool
    requested: bool | None = None
    request: RequestPart | None = None
    requested_late: bool
    sent: int | None = None
    alert: str | None = None
    status: int | None = None
    page: NginxPage | None = None
    cf_ray: bool
    detail: str | None = None


class CallPart(JsonPart):
    """One call of a real Worker. `proxied`: Cloudflare is before the origin."""

    reached: str
    status: int | None = None
    alert: str | None = None
    proxied: bool


class LevelPart(JsonPart):
    """One level. `skipped` says why it was not run; then it proves nothing."""

    level: Level
    standing: ProofStatus
    verdict: str
    why: str
    hint: str | None = None
    skipped: Skip | None = None
    connections: tuple[ConnectionPart, ...] | None = None
    dry_runs: tuple[DryRun, ...] | None = None
    call: CallPart | None = None
    diagnostics: tuple[DiagnosticPart, ...]


class ProofPart(JsonPart):
    """One certificate. Without `fingerprint` its file could not be read; without `origin` there is no `verify`."""

    certificate: str
    fingerprint: str | None = None
    not_after: UtcTime | None = None
    origin: str | None = None
    levels: tuple[LevelPart, ...]


class VerifyDocument(JsonPart):
    """`demanded`: levels that were asked for by name. `exit_code` is that of the command."""

    format: Literal["mtlsctl.verify/1"] = "mtlsctl.verify/1"
    stack: str
    made: UtcTime
    demanded: tuple[Level, ...]
    exit_code: int
    certificates: tuple[ProofPart, ...]
    diagnostics: tuple[DiagnosticPart, ...]


def verify_document(verification: Verification, resolve: Resolve) -> VerifyDocument:
    """A verification as its document."""
    return VerifyDocument.made_from(
        verification,
        demanded=tuple(level for level in Level if level in verification.demanded),
        certificates=tuple(_proof(proof, resolve) for proof in verification.certificates),
        diagnostics=tuple(diagnostic_part(problem, resolve) for problem in verification.diagnostics),
    )


show_verification = as_view(verify_document)


def _proof(proof: CertificateProof, resolve: Resolve) -> ProofPart:
    return ProofPart.made_from(
        proof,
        origin=proof.origin.url if proof.origin else None,
        levels=tuple(_level(result, resolve) for result in proof.levels),
    )


def _level(result: LevelResult, resolve: Resolve) -> LevelPart:
    return LevelPart.made_from(
        result,
        connections=_connections(result.seen) if result.seen else None,
        dry_runs=result.dry_runs or None,
        call=result.reach,
        diagnostics=tuple(diagnostic_part(problem, resolve) for problem in result.findings),
    )


def _connections(seen: Seen) -> tuple[ConnectionPart, ...]:
    made = ((seen.ours, False), (seen.none, False), (seen.throw_away, False), (seen.late, True))
    return tuple(_connection(one, late) for one, late in made if one is not None)


def _connection(seen: Observation, late: bool) -> ConnectionPart:
    return ConnectionPart.made_from(
        seen,
        late=late,
        requested=seen.request is not None if seen.observable else None,
        request=_request(seen),
        requested_late=seen.asked_late,
        sent=(len(seen.presented) if seen.sent else 0) if seen.observable else None,
        detail=seen.detail or None,
    )


def _request(seen: Observation) -> RequestPart | None:
    if seen.request is None:
        return None
    return RequestPart(
        authorities=authority_texts(seen.request)[:MAX_AUTHORITIES],
        authorities_total=len(seen.request.authorities),
        signature_algorithms=algorithm_names(seen.request.algorithms)[:MAX_AUTHORITIES],
    )
