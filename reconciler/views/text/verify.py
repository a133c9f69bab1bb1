"""A verification as text: for each certificate what each level proved, and what the origin did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from reconciler.findings.escape import printable
from reconciler.model.words import environment_text
from reconciler.proof.levels import CertificateProof, Level, LevelResult, Skip, Verification
from reconciler.proof.observations import End, Moment, Observation, Seen
from reconciler.proof.requests import authority_texts
from reconciler.proof.verdicts import ProofStatus
from reconciler.views.table import Display
from reconciler.views.text.findings import to_act_on
from reconciler.views.text.layout import Cell, table, wrapped
from reconciler.views.text.lines import counted, finding_lines, led, listed, next_lines, prose
from reconciler.views.text.style import Style

_MAX_NAMES = 3
_MOST_ROWS = 20
_INDENT = "      "
_DETAIL = "                "
_MOMENTS = {
    Moment.BEFORE: "",
    Moment.DURING: " during the handshake",
    Moment.AFTER: " after the handshake",
}
_SIGNS = {ProofStatus.PROVED: "+", ProofStatus.REFUTED: "!", ProofStatus.INCONCLUSIVE: "?", ProofStatus.SKIPPED: "-"}
_PLAIN = {"in-order": "ok", "skipped": "skipped"}
"""Words for verdicts whose own say less to a person."""


def show_verification(verification: Verification, display: Display) -> str:
    """A verification with every finding of it.

    A terminal gets one row for each certificate, and in full what is not proved; a file, a pipe, and who verifies a
    single certificate get everything.
    """
    return "\n".join(_lines(verification, display)) + "\n"


def _lines(verification: Verification, display: Display) -> Iterator[str]:
    style, width = display.style, prose(display.width)
    yield style.bold(f"Proofs for the stack {printable(verification.stack)}, {verification.made:%Y-%m-%d %H:%M} UTC")
    proofs = verification.certificates
    if display.width is not None and len(proofs) > 1:
        yield ""
        yield from _rows(verification, display)
        proofs = tuple(proof for proof in proofs if not _is_fine(proof, verification))
        whole = False
    else:
        whole = True
    for proof in proofs:
        yield ""
        yield from _certificate_lines(proof, verification, style, width, whole=whole)
    levels = (level for proof in verification.certificates for level in proof.levels)
    found = to_act_on((*verification.diagnostics, *(one for level in levels for one in level.findings)))
    if found:
        yield ""
        yield from finding_lines(found, display)
    yield ""
    yield from _summary(verification, style, width)


def _is_fine(proof: CertificateProof, verification: Verification) -> bool:
    """Whether nothing was refuted, left open, or skipped although it is required."""
    return all(_is_right(result, verification) for result in proof.levels)


def _is_right(result: LevelResult, verification: Verification) -> bool:
    return result.standing is ProofStatus.PROVED or (result.skipped is not None and not verification.is_missing(result))


def _rows(verification: Verification, display: Display) -> Iterator[str]:
    """A table of the certificates; of many only those that are not fine, and how many others there are."""
    style, proofs = display.style, verification.certificates
    shown = [proof for proof in proofs if len(proofs) <= _MOST_ROWS or not _is_fine(proof, verification)][:_MOST_ROWS]
    levels = [level for level in Level if any(result.level is level for proof in proofs for result in proof.levels)]
    head = ("CERTIFICATE", "EXPIRES", *(level.value.upper() for level in levels))
    rows = [[Cell(text, style.dim, shrinks=index == 0) for index, text in enumerate(head)]]
    for proof in shown:
        ends = f"{proof.not_after:%Y-%m-%d}" if proof.not_after else "-"
        results = {result.level: result for result in proof.levels}
        rows.append([Cell(printable(proof.certificate), shrinks=True), Cell(ends)])
        rows[-1] += [_cell(results.get(level), verification, style) for level in levels]
    if shown:
        yield from table(rows, display.width)
    fine = sum(_is_fine(proof, verification) for proof in proofs if proof not in shown)
    if fine:
        yield f"  {counted(fine, 'certificate')} passed."
    left = len(proofs) - len(shown) - fine
    if left:
        yield f"  {counted(left, 'certificate')} more did not pass; --wide shows all."


def _cell(result: LevelResult | None, verification: Verification, style: Style) -> Cell:
    if result is None:
        return Cell("-")
    return Cell(printable(_PLAIN.get(result.verdict, result.verdict)), _paint(result, verification, style))


def _paint(result: LevelResult, verification: Verification, style: Style) -> Callable[[str], str]:
    return {
        ProofStatus.PROVED: style.good,
        ProofStatus.REFUTED: style.bad,
        ProofStatus.INCONCLUSIVE: style.change,
        ProofStatus.SKIPPED: style.change if verification.is_missing(result) else style.dim,
    }[result.standing]


def _certificate_lines(
    proof: CertificateProof, verification: Verification, style: Style, width: int | None, *, whole: bool
) -> Iterator[str]:
    """One certificate: all of it, or only what is not fine."""
    ends = f", expires {proof.not_after:%Y-%m-%d %H:%M} UTC" if proof.not_after and whole else ""
    yield style.bold(f"{printable(proof.certificate)}{ends}")
    if proof.fingerprint and whole:
        yield f"{_INDENT}{style.dim(f'leaf {proof.fingerprint}')}"
    if proof.origin:
        yield f"{_INDENT}{style.dim(f'at {printable(proof.origin.url)}')}"
    for result in proof.levels:
        if whole or not _is_right(result, verification):
            yield from _level_lines(result, verification, style, width)


def _level_lines(result: LevelResult, verification: Verification, style: Style, width: int | None) -> Iterator[str]:
    verdict = printable(_PLAIN.get(result.verdict, result.verdict))
    label = f"{_SIGNS[result.standing]} {result.level:<9} {verdict}:"
    paint = _paint(result, verification, style)
    yield from led(label, printable(result.why), width, paint=paint, then=_DETAIL)
    if result.hint and result.standing is not ProofStatus.PROVED:
        yield from wrapped(printable(result.hint.splitlines()[0]), width, first=f"{_DETAIL}fix  ")
    details = []
    for run in result.dry_runs:
        where = f"{run.binding} in {run.config} ({environment_text(run.environment)})"
        details.append(f"{printable(where)}: {printable(run.found or 'none')}")
    details += _seen_lines(result.seen) if result.seen is not None else ()
    for detail in details:
        yield from map(style.dim, wrapped(detail, width, first=_DETAIL))


def _seen_lines(seen: Seen) -> Iterator[str]:
    """What was asked for, what was sent, and what came of each connection."""
    ours = seen.ours
    if ours.end in {End.UNREACHABLE, End.FORBIDDEN, End.UNTRUSTED, End.NO_TLS, End.LOCAL}:
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


def _summary(verification: Verification, style: Style, width: int | None) -> Iterator[str]:
    """The counts, what is missing, and what to run next."""
    if not verification.certificates:
        yield from wrapped("Nothing to verify: mtls.toml declares no client certificate.", width)
        return
    results = [(proof, result) for proof in verification.certificates for result in proof.levels]
    counts = Counter("skipped" if result.skipped else _COUNTED[result.standing] for _, result in results)
    text = ", ".join(f"{counts[word]} {word}" for word in (*_COUNTED.values(), "skipped") if counts[word]) + "."
    missing = [f"{proof.certificate} ({result.level})" for proof, result in results if verification.is_missing(result)]
    if missing:
        text += f" Required but skipped: {listed(missing, _MAX_NAMES)}."
    paint = style.bad if verification.exit_code else style.good
    yield from map(paint, wrapped(text, width))
    held = sorted({result.level for _, result in results if result.skipped is Skip.NOT_ALLOWED}, reverse=True)
    if held:
        run = f"{' and '.join(held)} {'run' if len(held) > 1 else 'runs'} programs of this checkout"
        yield from wrapped(f"{run}: add --run-project if you trust it.", width)
    failed = [proof.certificate for proof in verification.certificates if not _is_fine(proof, verification)]
    if failed:
        names = failed if len(failed) <= _MAX_NAMES else []
        demanded = [level for level in Level if Level.EDGE in verification.demanded and level in verification.demanded]
        levels = [word for level in demanded for word in ("--level", level)]  # `edge` runs only if it is named
        yield from next_lines(("mtlsctl", "verify", *names, *levels), width, before="fix what is listed, then run: ")


_COUNTED = {
    ProofStatus.PROVED: "passed",
    ProofStatus.REFUTED: "rejected",
    ProofStatus.INCONCLUSIVE: "inconclusive",
}
