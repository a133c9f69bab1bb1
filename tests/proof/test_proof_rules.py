"""From the observations to the verdict: a row for each rule, and properties of every possible observation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.findings.exits import ExitCode
from reconciler.proof.alerts import ABOUT_THE_CERTIFICATE, ALERTS
from reconciler.proof.observations import End, Moment, NginxPage, Observation, Seen, Shown
from reconciler.proof.requests import CertificateRequest
from reconciler.proof.rules import RULES, is_worth_comparing, judge, may_be_asked_late
from reconciler.proof.verdicts import EXIT_CODES, ProofStatus, Verdict
from reconciler.proof.words import REJECTIONS
from tests.support.pki import make_ca

ASKED = CertificateRequest()


def answered(status: int = 200, **more: object) -> Observation:
    """An answer to a client that was asked for its certificate and sent it, unless `more` says otherwise."""
    settings: dict[str, object] = {"request": ASKED, "sent": True, "moment": Moment.AFTER, "status": status} | more
    return Observation(Shown.OURS, End.ANSWERED, **settings)  # type: ignore[arg-type]


def ended(end: End, moment: Moment = Moment.AFTER, **more: object) -> Observation:
    """A connection with another end; the client was asked as in `answered`."""
    settings: dict[str, object] = {"request": ASKED, "sent": True, "moment": moment} | more
    return Observation(Shown.OURS, end, **settings)  # type: ignore[arg-type]


def alert(name: str, moment: Moment = Moment.AFTER, **more: object) -> Observation:
    """An alert of the origin."""
    return ended(End.ALERT, moment, alert=name, **more)


def unasked(seen: Observation) -> Observation:
    """The same without a request for a certificate."""
    return replace(seen, request=None, sent=False)


def unwatched(seen: Observation) -> Observation:
    """The same if the messages of the handshake can't be observed."""
    return replace(seen, request=None, sent=False, observable=False)


NO_CERTIFICATE = alert("certificate_required", sent=False)
UNKNOWN_CA = alert("unknown_ca")
CLOSED = ended(End.CLOSED)
OPEN = unasked(answered())
LATE = unasked(alert("handshake_failure", asked_late=True))
PASSES, PASSES_WITHOUT = answered(), answered(sent=False)

ROOT = make_ca("Root")
BETWEEN = ROOT.issue_ca("Between")
LEAF = BETWEEN.issue("leaf")


def seen(
    ours: Observation,
    none: Observation | None = NO_CERTIFICATE,
    throw_away: Observation | None = UNKNOWN_CA,
    *,
    late: Observation | None = None,
    expect: int | None = None,
    chain: tuple[bytes, ...] = (),
) -> Seen:
    """All connections; by default those of an origin that enforces mutual TLS."""
    return Seen(ours, none, throw_away, late, expect, chain)


@dataclass(frozen=True)
class Row:
    """The observations and the expected verdict."""

    name: str
    seen: Seen
    rule: str
    verdict: str = ""


ALL_ALIKE = alert("internal_error")
TABLE = (
    Row("no connection", seen(ended(End.UNREACHABLE), None, None), "unreachable"),
    Row("an address that is not called", seen(ended(End.FORBIDDEN), None, None), "forbidden", "unreachable"),
    Row("no answer", seen(ended(End.SILENT), None, None), "unreachable"),
    Row("its own certificate", seen(ended(End.UNTRUSTED), None, None), "server-untrusted"),
    Row("no TLS there", seen(ended(End.NO_TLS), None, None), "no-tls", "inconclusive"),
    Row("a key that does not fit", seen(ended(End.LOCAL), None, None), "local-fault", "not-sent"),
    Row(
        "asked after the handshake",
        seen(unasked(answered(403)), OPEN, OPEN, late=LATE),
        "too-late",
        "requested-too-late",
    ),
    Row("asked late and nothing came", seen(unasked(ended(End.SILENT)), late=LATE), "too-late", "requested-too-late"),
    Row("asked late at once", seen(unasked(answered(200, asked_late=True))), "too-late", "requested-too-late"),
    Row("asked in time as well", seen(answered(200, asked_late=True)), "accepted"),
    Row("a page: none sent", seen(answered(400, page=NginxPage.NO_CERTIFICATE)), "page-not-sent", "not-sent"),
    Row("a page: error", seen(answered(400, page=NginxPage.CERTIFICATE_ERROR)), "page-rejected", "rejected"),
    Row(
        "a page is no answer",
        seen(answered(400, page=NginxPage.CERTIFICATE_ERROR), expect=400),
        "page-rejected",
        "rejected",
    ),
    Row("nothing sent, an alert", seen(alert("bad_certificate", sent=False)), "not-sent"),
    Row("nothing sent, and served", seen(answered(sent=False), PASSES), "not-sent"),
    *(Row(name, seen(alert(name)), "alert", "rejected") for name in sorted(ABOUT_THE_CERTIFICATE)),
    Row("an alert during the handshake", seen(alert("unknown_ca", Moment.DURING)), "alert", "rejected"),
    Row("an alert, unwatched", seen(unwatched(alert("unknown_ca"))), "alert", "rejected"),
    Row("required, and sent", seen(alert("certificate_required")), "alert-without-a-reason", "rejected"),
    Row("failure, and sent", seen(alert("handshake_failure"), CLOSED, CLOSED), "alert-without-a-reason", "rejected"),
    Row(
        "failure, unwatched, others pass",
        seen(unwatched(alert("handshake_failure")), OPEN, OPEN),
        "alert-without-a-reason",
        "rejected",
    ),
    Row("another alert, ours alone", seen(ALL_ALIKE, PASSES, PASSES), "alert-by-comparison", "rejected"),
    Row("another alert, for all", seen(ALL_ALIKE, ALL_ALIKE, ALL_ALIKE), "alert-to-all", "inconclusive"),
    Row(
        "failure before anything was asked",
        seen(unasked(alert("handshake_failure", Moment.DURING))),
        "alert-to-all",
        "inconclusive",
    ),
    Row("denied before anything was asked", seen(unasked(alert("access_denied"))), "alert-to-all", "inconclusive"),
    Row("closed, others not", seen(CLOSED), "closed-on-ours", "rejected"),
    Row("closed, and so an unknown one", seen(CLOSED, NO_CERTIFICATE, CLOSED), "closed-on-ours", "rejected"),
    Row("closed for all", seen(CLOSED, CLOSED, CLOSED), "closed-on-all", "inconclusive"),
    Row("closed, nothing asked", seen(unasked(ended(End.CLOSED)), OPEN, OPEN), "closed-on-all", "inconclusive"),
    Row("no HTTP", seen(ended(End.NO_HTTP)), "no-http", "inconclusive"),
    Row("520 of a proxy", seen(answered(520, cf_ray=True)), "proxied-zone", "inconclusive"),
    Row("520 of another", seen(answered(520)), "origin-fault", "inconclusive"),
    Row("a fault", seen(answered(503)), "origin-fault", "inconclusive"),
    Row("a fault that is expected", seen(answered(503), expect=503), "accepted"),
    Row("nothing asked", seen(OPEN, OPEN, OPEN), "not-requested"),
    Row("nothing asked, and refused", seen(unasked(answered(401)), OPEN, OPEN), "not-requested"),
    Row(
        "nothing asked, and nothing late",
        seen(unasked(answered(403)), OPEN, OPEN, late=unasked(answered(403))),
        "not-requested",
    ),
    Row("asked of others only", seen(OPEN, NO_CERTIFICATE), "asked-sometimes", "inconclusive"),
    Row("asked of ours only", seen(PASSES, OPEN), "asked-sometimes", "inconclusive"),
    Row("nothing asked, nothing to compare", seen(OPEN, ended(End.UNREACHABLE)), "asked-sometimes", "inconclusive"),
    Row("401", seen(answered(401), answered(401), answered(401)), "application-refuses", "inconclusive"),
    Row("403 for us alone", seen(answered(403)), "application-refuses", "inconclusive"),
    Row("403 that is expected", seen(answered(403), expect=403), "accepted"),
    Row("another status than expected", seen(answered(404), expect=200), "unexpected-status", "inconclusive"),
    Row("a status that nobody expects", seen(answered(404)), "accepted"),
    Row("a redirect", seen(answered(302)), "accepted"),
    Row("none could not be tried", seen(PASSES, ended(End.SILENT)), "not-comparable", "inconclusive"),
    Row("none meets a fault", seen(PASSES, answered(500)), "not-comparable", "inconclusive"),
    Row(
        "the unknown one was not sent",
        seen(PASSES, throw_away=alert("unknown_ca", sent=False)),
        "not-comparable",
        "inconclusive",
    ),
    Row("not compared", seen(PASSES, None, None), "not-comparable", "inconclusive"),
    Row("enforced", seen(PASSES), "accepted"),
    Row("enforced, unwatched", seen(unwatched(answered()), unwatched(alert("x")), unwatched(alert("y"))), "accepted"),
    Row("enforced by the application", seen(PASSES, answered(403, sent=False), answered(401)), "accepted"),
    Row(
        "others get another status",
        seen(answered(200), answered(302, sent=False), answered(404), expect=200),
        "accepted",
    ),
    Row("none passes", seen(PASSES, PASSES_WITHOUT), "optional"),
    Row("an unknown one passes", seen(PASSES, throw_away=PASSES), "presence-only"),
    Row("all pass", seen(PASSES, PASSES_WITHOUT, PASSES), "not-verified"),
    Row("all pass, unwatched", seen(*[unwatched(answered())] * 3), "not-observable", "inconclusive"),
    Row(
        "a chain that was completed",
        seen(answered(presented=LEAF.bundle.ders), chain=(LEAF.der,)),
        "more-sent",
        "inconclusive",
    ),
    Row(
        "a root that was added",
        seen(answered(presented=(*LEAF.bundle.ders, ROOT.der)), chain=LEAF.bundle.ders),
        "accepted",
    ),
)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_what_was_seen_has_one_verdict(row: Row) -> None:
    """By the first rule that matches."""
    judged = judge(row.seen)
    assert (judged.rule, str(judged.verdict)) == (row.rule, row.verdict or row.rule)
    assert judged.why


def test_every_rule_decides_somewhere_in_the_table() -> None:
    """Each rule is reachable and tested."""
    assert {row.rule for row in TABLE} == {name for name, _ in RULES}


def test_every_verdict_has_its_exit_code() -> None:
    """Proved is 0, refuted 1, and inconclusive 3."""
    codes = {verdict.value: EXIT_CODES[verdict.standing] for verdict in Verdict}
    proved = ("accepted", "optional", "presence-only", "not-verified")
    refuted = ("not-requested", "rejected", "not-sent", "requested-too-late")
    still_open = ("server-untrusted", "unreachable", "inconclusive")
    assert codes == {
        **dict.fromkeys(proved, ExitCode.OK),
        **dict.fromkeys(refuted, ExitCode.FAILED),
        **dict.fromkeys(still_open, ExitCode.BLOCKED),
    }


def test_every_alert_about_a_certificate_is_put_into_words() -> None:
    """The user reads what the alert means."""
    assert set(REJECTIONS) == ABOUT_THE_CERTIFICATE
    assert set(ALERTS.values()) > ABOUT_THE_CERTIFICATE


@pytest.mark.parametrize(
    ("ours", "expect", "late"),
    [
        (unasked(answered(403)), None, True),
        (unasked(answered(403)), 403, False),
        (unasked(answered(200)), None, False),
        (unasked(answered(200)), 204, True),
        (unasked(answered(500)), None, False),
        (answered(403), None, False),
        (unwatched(answered(403)), None, False),
        (unasked(alert("handshake_failure")), None, True),
        (unasked(alert("handshake_failure", Moment.DURING)), None, False),
        (unasked(ended(End.CLOSED)), None, True),
        (unasked(ended(End.UNREACHABLE, Moment.BEFORE)), None, False),
    ],
)
def test_a_late_request_is_looked_for_where_it_would_explain_a_refusal(
    ours: Observation, expect: int | None, late: bool
) -> None:
    """One more connection to production is made only if it can explain something."""
    assert may_be_asked_late(ours, expect) is late


# --- any observation ------------------------------------------------------------------------------------------------

REQUESTS = st.none() | st.just(ASKED)
OBSERVATIONS = st.builds(
    Observation,
    shown=st.just(Shown.OURS),
    end=st.sampled_from(End),
    moment=st.sampled_from(Moment),
    observable=st.booleans(),
    request=REQUESTS,
    asked_late=st.booleans(),
    sent=st.booleans(),
    alert=st.sampled_from(sorted(ALERTS.values())),
    status=st.sampled_from([200, 204, 302, 400, 401, 403, 404, 500, 520]),
    page=st.none() | st.sampled_from(NginxPage),
    cf_ray=st.booleans(),
)
ANYTHING = st.builds(
    Seen,
    OBSERVATIONS,
    st.none() | OBSERVATIONS,
    st.none() | OBSERVATIONS,
    st.none() | OBSERVATIONS,
    st.none() | st.sampled_from([200, 204, 403]),
)


@given(ANYTHING)
def test_anything_that_may_be_seen_has_a_verdict(anything: Seen) -> None:
    """The list of rules is complete."""
    assert judge(anything).verdict in Verdict


@given(ANYTHING)
def test_nothing_is_proved_without_an_answer_to_our_certificate(anything: Seen) -> None:
    """Whatever the other connections got: ours was sent if that can be observed, was requested, and was answered."""
    if judge(anything).verdict.standing is not ProofStatus.PROVED:
        return
    ours = anything.ours
    assert ours.end is End.ANSWERED
    assert ours.page is None
    assert not ours.observable or (ours.request is not None and ours.sent)
    assert anything.expect in (None, ours.status)
    assert anything.expect is not None or ours.status in {200, 204, 302, 404}


@given(ANYTHING)
def test_accepted_is_said_only_where_both_others_are_refused(anything: Seen) -> None:
    """The only full proof needs all three connections."""
    if judge(anything).verdict is not Verdict.ACCEPTED:
        return
    for other in (anything.none, anything.throw_away):
        assert other is not None
        assert other.end in {End.ALERT, End.CLOSED, End.ANSWERED}
        if other.end is End.ANSWERED and other.page is None:
            assert other.status != anything.expect
            assert anything.expect is not None or other.status in {400, 401, 403}


@given(OBSERVATIONS)
def test_what_is_not_compared_needs_no_comparison(ours: Observation) -> None:
    """The verdict does not depend on connections that are not made."""
    if is_worth_comparing(ours):
        return
    alone = judge(Seen(ours))
    assert judge(Seen(ours, PASSES, PASSES)) == alone == judge(Seen(ours, NO_CERTIFICATE, UNKNOWN_CA))
