"""From the observations to a verdict: a list of named rules, of which the first that matches decides.

The order matters: first what prevents a proof, then what the origin did with our certificate, then what it does with
others.
"""

from __future__ import annotations

from collections.abc import Callable

from reconciler.proof.alerts import ABOUT_THE_CERTIFICATE, WITHOUT_A_REASON
from reconciler.proof.observations import End, Moment, NginxPage, Observation, Seen
from reconciler.proof.reactions import FAULTS, REFUSALS, Reaction, asked, asked_nothing, differs, reaction
from reconciler.proof.verdicts import Judgement, Verdict
from reconciler.proof.words import HINTS, REJECTIONS
from reconciler.x509.certificates import Bundle
from reconciler.x509.paths import is_self_signed

_PROXY_FAULT = 520


_Found = tuple[Verdict, str, str | None] | None
_Rule = Callable[[Seen], _Found]


def judge(seen: Seen) -> Judgement:
    """The verdict; at least one rule always matches."""
    name, (verdict, why, hint) = next((name, found) for name, rule in RULES if (found := rule(seen)) is not None)
    return Judgement(verdict, name, why, hint)


def is_worth_comparing(ours: Observation) -> bool:
    """True if the other connections could add something: the origin was reached, and our side worked."""
    return ours.end not in {End.UNREACHABLE, End.FORBIDDEN, End.SILENT, End.UNTRUSTED, End.NO_TLS, End.LOCAL}


def may_be_asked_late(ours: Observation, expect: int | None) -> bool:
    """True if one more connection should allow what no Worker can do: a request for a certificate after the
    handshake."""
    broke_off = ours.moment is Moment.AFTER and ours.end in {End.ALERT, End.CLOSED, End.SILENT}
    refused = ours.end is End.ANSWERED and reaction(ours, expect) is Reaction.REFUSED
    return asked(ours) is False and (broke_off or refused)


def _ended(end: End, verdict: Verdict, why: str, hint: str) -> _Rule:
    """A rule for the connection with our certificate, if it ended so; `why` may have its `detail` and its `alert`."""

    def rule(seen: Seen) -> _Found:
        ours = seen.ours
        return (verdict, why.format(detail=ours.detail, alert=ours.alert), HINTS[hint]) if ours.end is end else None

    return rule


def _answered_with(page: NginxPage, verdict: Verdict, why: str, hint: str) -> _Rule:
    """A rule for an error page of nginx."""
    return lambda seen: (verdict, why, HINTS[hint]) if seen.ours.page is page else None


# --- what prevents a proof --------------------------------------------------------------------------------------------


def _too_late(seen: Seen) -> _Found:
    late = any(one is not None and one.asked_late for one in (seen.ours, seen.late))
    if asked(seen.ours) is not False or not late:
        return None
    why = "the origin requests a certificate only after the handshake, when a Worker can't send one"
    return Verdict.REQUESTED_TOO_LATE, why, HINTS["late"]


# --- what the origin did with our certificate -------------------------------------------------------------------------


def _not_sent(seen: Seen) -> _Found:
    ours = seen.ours
    if not asked(ours) or ours.sent or ours.end not in {End.ALERT, End.ANSWERED}:
        return None
    why = "the origin requested a certificate, but ours was not sent: its key can make none of the accepted signatures"
    return Verdict.NOT_SENT, why, HINTS["signatures"]


def _more_sent(seen: Seen) -> _Found:
    """A TLS library may complete a chain from certificates that it knows, which Cloudflare would not. An additional
    root does not matter: the origin either trusts it already or does not."""
    beyond = tuple(der for der in seen.ours.presented if der not in seen.chain)
    extra = [one for one in Bundle(beyond).certificates if not is_self_signed(one)] if beyond else []
    if not seen.ours.sent or not extra:
        return None
    why = (
        f"the TLS library of this machine sent {len(extra)} more certificates than the file has, so this proves nothing"
    )
    return Verdict.INCONCLUSIVE, why, HINTS["origin-ca-roots"]


def _alert(seen: Seen) -> _Found:
    ours = seen.ours
    if ours.end is not End.ALERT or ours.alert not in ABOUT_THE_CERTIFICATE or asked(ours) is False:
        return None
    return Verdict.REJECTED, REJECTIONS[ours.alert], HINTS.get(ours.alert, HINTS["log"])


def _alert_without_a_reason(seen: Seen) -> _Found:
    ours = seen.ours
    if ours.end is not End.ALERT or ours.alert not in WITHOUT_A_REASON or asked(ours) is False:
        return None
    if not ours.sent and not differs(seen):
        return None
    return Verdict.REJECTED, "the origin refuses this certificate without a reason", HINTS["log"]


def _alert_by_comparison(seen: Seen) -> _Found:
    ours = seen.ours
    if ours.end is not End.ALERT or asked(ours) is False or not differs(seen):
        return None
    return (
        Verdict.REJECTED,
        f"the origin ends the connection with {ours.alert}, but only for this certificate",
        HINTS["log"],
    )


def _closed_on_ours(seen: Seen) -> _Found:
    if seen.ours.end is not End.CLOSED or asked(seen.ours) is False or not differs(seen):
        return None
    return (
        Verdict.REJECTED,
        "the origin closes the connection without a reason, but only for this certificate",
        HINTS["log"],
    )


# --- what the origin answered -----------------------------------------------------------------------------------------


def _proxied_zone(seen: Seen) -> _Found:
    if seen.ours.status != _PROXY_FAULT or not seen.ours.cf_ray or seen.ours.status == seen.expect:
        return None
    return Verdict.INCONCLUSIVE, "Cloudflare's proxy in front of the origin answers 520", HINTS["proxied"]


def _origin_fault(seen: Seen) -> _Found:
    if seen.ours.status not in FAULTS or seen.ours.status == seen.expect:
        return None
    return (
        Verdict.INCONCLUSIVE,
        f"the origin was reached, but answers with the server error {seen.ours.status}",
        HINTS["fault"],
    )


def _not_requested(seen: Seen) -> _Found:
    if not asked_nothing(seen.ours) or not asked_nothing(seen.none):
        return None
    why = "the origin does not request a client certificate, so this proves nothing about ours"
    return Verdict.NOT_REQUESTED, why, HINTS["not-requested"]


def _asked_sometimes(seen: Seen) -> _Found:
    if asked(seen.ours) is not False and not (asked(seen.ours) and asked_nothing(seen.none)):
        return None
    return Verdict.INCONCLUSIVE, "the origin requests a certificate only on some connections", HINTS["backends"]


def _application_refuses(seen: Seen) -> _Found:
    status = seen.ours.status
    if status not in REFUSALS or status == seen.expect:
        return None
    why = f"the TLS handshake succeeds, but the application refuses with {status}"
    return Verdict.INCONCLUSIVE, why, HINTS["application"]


def _unexpected_status(seen: Seen) -> _Found:
    if seen.expect is None or seen.ours.status == seen.expect:
        return None
    why = f"the TLS handshake succeeds, but the origin answers {seen.ours.status} instead of {seen.expect}"
    return Verdict.INCONCLUSIVE, why, HINTS["url"]


# --- what the origin does with other clients --------------------------------------------------------------------------


def _not_comparable(seen: Seen) -> _Found:
    for other, who in ((seen.none, "without a certificate"), (seen.throw_away, "with an unknown certificate")):
        unsent = other is seen.throw_away and other is not None and asked(other) and not other.sent
        if unsent or reaction(other, seen.expect) is Reaction.UNCLEAR:
            what = "not made" if other is None or unsent else _told(other)
            return (
                Verdict.INCONCLUSIVE,
                f"this certificate passes, but the connection {who} can't be compared: {what}",
                HINTS["again"],
            )
    return None


def _told(seen: Observation) -> str:
    return f"HTTP {seen.status}" if seen.status is not None else seen.detail or seen.end


def _by(none: Reaction, unknown: Reaction, verdict: Verdict, why: str, hint: str | None = None) -> _Rule:
    def rule(seen: Seen) -> _Found:
        reactions = reaction(seen.none, seen.expect), reaction(seen.throw_away, seen.expect)
        return (verdict, why, hint) if reactions == (none, unknown) else None

    return rule


def _not_observable(seen: Seen) -> _Found:
    both = (seen.none, seen.throw_away)
    if seen.ours.observable or any(reaction(one, seen.expect) is not Reaction.OK for one in both):
        return None
    why = "every client passes, and this Python can't observe whether the origin requests a certificate"
    return Verdict.INCONCLUSIVE, why, HINTS["python"]


_SILENT = "the origin was reached but did not answer: {detail}"
_LOCAL = "the TLS library of this machine does not accept the certificate and key: {detail}"
_PAGE_NOT_SENT = "the origin answers that no certificate was sent (an error page of nginx)"
_PAGE_REJECTED = (
    "the origin does not accept this certificate (an error page of nginx; only its error log has the reason)"
)
_ACCEPTED = "the origin accepts this certificate, and refuses clients without one and with an unknown one"
_OPTIONAL = "the origin accepts this certificate and refuses an unknown one, but accepts clients without one, too"
_PRESENCE = "the origin refuses clients without a certificate, but accepts any certificate, even an unknown one"
_NOT_VERIFIED = "the origin requests a certificate, but accepts every client; the application may still check it"

RULES: tuple[tuple[str, _Rule], ...] = (
    ("too-late", _too_late),
    ("forbidden", _ended(End.FORBIDDEN, Verdict.UNREACHABLE, "the origin was not called: {detail}", "address")),
    ("unreachable", _ended(End.UNREACHABLE, Verdict.UNREACHABLE, "the origin could not be reached: {detail}", "reach")),
    ("unreachable", _ended(End.SILENT, Verdict.UNREACHABLE, _SILENT, "reach")),
    (
        "server-untrusted",
        _ended(
            End.UNTRUSTED,
            Verdict.SERVER_UNTRUSTED,
            "the origin's own certificate is not trusted: {detail}",
            "origin-ca",
        ),
    ),
    ("no-tls", _ended(End.NO_TLS, Verdict.INCONCLUSIVE, "the TLS handshake failed: {detail}", "tls")),
    ("local-fault", _ended(End.LOCAL, Verdict.NOT_SENT, _LOCAL, "pair")),
    ("page-not-sent", _answered_with(NginxPage.NO_CERTIFICATE, Verdict.NOT_SENT, _PAGE_NOT_SENT, "in-between")),
    ("page-rejected", _answered_with(NginxPage.CERTIFICATE_ERROR, Verdict.REJECTED, _PAGE_REJECTED, "log")),
    ("not-sent", _not_sent),
    ("more-sent", _more_sent),
    ("alert", _alert),
    ("alert-without-a-reason", _alert_without_a_reason),
    ("alert-by-comparison", _alert_by_comparison),
    ("alert-to-all", _ended(End.ALERT, Verdict.INCONCLUSIVE, "the origin ends every connection with {alert}", "tls")),
    ("closed-on-ours", _closed_on_ours),
    (
        "closed-on-all",
        _ended(End.CLOSED, Verdict.INCONCLUSIVE, "the origin closes every connection: {detail}", "reach"),
    ),
    ("no-http", _ended(End.NO_HTTP, Verdict.INCONCLUSIVE, "the origin's answer is not HTTP: {detail}", "url")),
    ("proxied-zone", _proxied_zone),
    ("origin-fault", _origin_fault),
    ("not-requested", _not_requested),
    ("asked-sometimes", _asked_sometimes),
    ("application-refuses", _application_refuses),
    ("unexpected-status", _unexpected_status),
    ("not-comparable", _not_comparable),
    ("not-observable", _not_observable),
    ("accepted", _by(Reaction.REFUSED, Reaction.REFUSED, Verdict.ACCEPTED, _ACCEPTED)),
    ("optional", _by(Reaction.OK, Reaction.REFUSED, Verdict.OPTIONAL, _OPTIONAL, HINTS["require"])),
    ("presence-only", _by(Reaction.REFUSED, Reaction.OK, Verdict.PRESENCE_ONLY, _PRESENCE, HINTS["require"])),
    ("not-verified", _by(Reaction.OK, Reaction.OK, Verdict.NOT_VERIFIED, _NOT_VERIFIED, HINTS["require"])),
)
