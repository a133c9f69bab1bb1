"""A verification as text: for each certificate what each level proved, and what the origin did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from reconciler.findings.escape import printable
from reconciler.model.words import environment_text
from reconciler.proof.levels import CertificateProof, LevelResult, Verification
from reconciler.proof.observations import End, Moment, Observation, Seen
from reconciler.proof.requests import authority_texts
from reconciler.proof.verdicts import ProofStatus
from reconciler.views.table import Display
from reconciler.views.text.findings import show_findings, to_act_on
from reconciler.views.text.style import Style

_MAX_NAMES = 3
_ROW = "      {}"
_DETAIL = "                {}"
_MOMENTS = {
    Moment.BEFORE: "",
    Moment.DURING: " during the handshake",
    Moment.AFTER: " after the handshake",
}


def show_verification(verification: Verification, display: Display) -> str:
    """A verification with every finding of it."""
    levels = (level for proof in verification.certificates for level in proof.levels)
    found = (*verification.diagnostics, *(one for level in levels for one in level.findings))
    return render_verification(verification, display.style, findings=show_findings(to_act_on(found), display))


def render_verification(verification: Verification, style: Style, *, findings: str = "") -> str:
    """The whole verification. `findings`: its warnings and errors, as `render_findings` shows them."""
    return "\n".join(_lines(verification, style, findings)) + "\n"


def _lines(verification: Verification, style: Style, findings: str) -> Iterator[str]:
    yield style.bold(f"Proofs for the stack {printable(verification.stack)}, {verification.made:%Y-%m-%d %H:%M} UTC")
    for proof in verification.certificates:
        yield ""
        yield from _certificate_lines(proof, verification, style)
    if findings:
        yield ""
        yield findings
    yield ""
    yield _summary(verification, style)


def _certificate_lines(proof: CertificateProof, verification: Verification, style: Style) -> Iterator[str]:
    ends = f", ends {proof.not_after:%Y-%m-%d %H:%M} UTC" if proof.not_after else ""
    yield style.bold(f"{printable(proof.certificate)}{ends}")
    if proof.fingerprint:
        yield _ROW.format(style.dim(f"leaf {proof.fingerprint}"))
    if proof.origin:
        yield _ROW.format(style.dim(f"at {printable(proof.origin.url)}"))
    for result in proof.levels:
        yield from _level_lines(result, verification, style)


def _level_lines(result: LevelResult, verification: Verification, style: Style) -> Iterator[str]:
    paint = {
        ProofStatus.PROVED: style.good,
        ProofStatus.REFUTED: style.bad,
        ProofStatus.INCONCLUSIVE: style.change,
        ProofStatus.SKIPPED: style.change if verification.is_missing(result) else style.dim,
    }[result.standing]
    sign = {ProofStatus.PROVED: "+", ProofStatus.REFUTED: "!", ProofStatus.INCONCLUSIVE: "?", ProofStatus.SKIPPED: "-"}
    verdict = printable(result.verdict)
    yield f"  {paint(f'{sign[result.standing]} {result.level:<9} {verdict}')}: {printable(result.why)}"
    if result.hint and result.standing is not ProofStatus.PROVED:
        yield _DETAIL.format(f"hint: {printable(result.hint.splitlines()[0])}")
    for run in result.dry_runs:
        where = f"{run.binding} in {run.config} ({environment_text(run.environment)})"
        yield _DETAIL.format(style.dim(f"{printable(where)}: {printable(run.found or 'none')}"))
    if result.seen is not None:
        for line in _seen_lines(result.seen):
            yield _DETAIL.format(style.dim(line))


def _seen_lines(seen: Seen) -> Iterator[str]:
    """What was asked for, what was sent, and what came of each connection."""
    ours = seen.ours
    if ours.end in {End.UNREACHABLE, End.UNTRUSTED, End.NO_TLS, End.LOCAL}:
        return
    yield f"{_asked(ours)}; {_sent(ours)}"
    yield f"with it: {_came_of(ours)}"
    if seen.none is not None:
        yield f"without a certificate: {_came_of(seen.none)}"
    if seen.throw_away is not None:
        yield f"with an unknown one: {_came_of(seen.throw_away)}"
    if seen.late is not None:
        late = "asked for one after the handshake" if seen.late.asked_late else "asked for none"
        yield f"allowed to ask later: {late}, {_came_of(seen.late)}"


def _asked(seen: Observation) -> str:
    version = f"{printable(seen.tls_version)}, " if seen.tls_version else ""
    if not seen.observable:
        return f"{version}whether it asked for a certificate can't be seen"
    if seen.request is None:
        return f"{version}it asked for no certificate"
    names = authority_texts(seen.request)
    if not names:
        return f"{version}it asked for a certificate and named no CA"
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    shown = "; ".join(map(printable, names[:_MAX_NAMES]))
    return f"{version}it asked for a certificate of {shown}{more}"


def _sent(seen: Observation) -> str:
    if not seen.observable:
        return "nor what was sent"
    if not seen.sent:
        return "none was sent"
    others = len(seen.presented) - 1
    return "the leaf was sent" + (f", with {others} more" if others > 0 else " alone")


def _came_of(seen: Observation) -> str:
    if seen.end is End.ANSWERED:
        page = " (a page of nginx about the certificate)" if seen.page else ""
        proxied = ", through Cloudflare" if seen.cf_ray else ""
        return f"{seen.status}{page}{proxied}"
    moment = _MOMENTS[seen.moment] if seen.moment else ""
    word = f"the alert {printable(seen.alert)}" if seen.alert else printable(seen.detail) or str(seen.end)
    return f"{word}{moment}"


def _summary(verification: Verification, style: Style) -> str:
    if not verification.certificates:
        return style.bold("There is nothing to prove: no client certificate is declared.")
    counts: Counter[str] = Counter()
    for proof in verification.certificates:
        for result in proof.levels:
            counts["not run" if result.skipped else result.standing] += 1
    words = [f"{counts[word]} {word}" for word in ("proved", "refuted", "inconclusive", "not run") if counts[word]]
    missing = [
        f"{proof.certificate} ({result.level})"
        for proof in verification.certificates
        for result in proof.levels
        if verification.is_missing(result)
    ]
    text = f"{', '.join(words)}."
    if missing:
        text += f" Counted on and not run: {', '.join(map(printable, missing[:_MAX_NAMES]))}"
        text += f" and {len(missing) - _MAX_NAMES} more." if len(missing) > _MAX_NAMES else "."
    return (style.bad if verification.exit_code else style.good)(text)
