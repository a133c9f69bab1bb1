"""The meaning of workerd's lines, as printed by workerd 2026-11 and 2025-09."""

from __future__ import annotations

import json

import pytest

from reconciler.proof.reach import Reached
from reconciler.workerd.output import find_failure, read_failure
from reconciler.workerd.reaching import judge, refused

NEW = "workerd/jsg/util.c++:320: error: e = rust/worker/ffi.rs:104: failed: "
OLD = "workerd/jsg/util.c++:393: error: e = kj/compat/tls.c++:82: failed: OpenSSL error; message = error:"
ROWS = [
    (NEW + "received fatal alert: UnknownCA", Reached.REJECTED, "unknown_ca"),
    (OLD + "10000418:SSL routines:OPENSSL_internal:TLSV1_ALERT_UNKNOWN_CA", Reached.REJECTED, "unknown_ca"),
    (NEW + "received fatal alert: CertificateExpired", Reached.REJECTED, "certificate_expired"),
    (
        OLD + "10000415:SSL routines:OPENSSL_internal:SSLV3_ALERT_CERTIFICATE_EXPIRED",
        Reached.REJECTED,
        "certificate_expired",
    ),
    (NEW + "received fatal alert: BadCertificate", Reached.REJECTED, "bad_certificate"),
    (NEW + "received fatal alert: UnsupportedCertificate", Reached.REJECTED, "unsupported_certificate"),
    (NEW + "received fatal alert: HandshakeFailure", Reached.REJECTED, "handshake_failure"),
    (NEW + "received fatal alert: CertificateRequired", Reached.NOT_SENT, "certificate_required"),
    (
        OLD + "1000045c:SSL routines:OPENSSL_internal:TLSV1_ALERT_CERTIFICATE_REQUIRED",
        Reached.NOT_SENT,
        "certificate_required",
    ),
    (NEW + "received fatal alert: InternalError", Reached.INCONCLUSIVE, "internal_error"),
    (NEW + "TLS handshake failed: invalid peer certificate: UnknownIssuer", Reached.SERVER_UNTRUSTED, None),
    (
        "failed: TLS peer's certificate is not trusted; reason = self signed certificate in certificate chain",
        Reached.SERVER_UNTRUSTED,
        None,
    ),
    (NEW + "failed to lookup address information: Name or service not known", Reached.UNREACHABLE, None),
    ("service c: TLS configuration: keys may not be consistent: KeyMismatch", Reached.UNUSABLE, None),
    (
        "service c: TLS configuration: invalid peer certificate: Other(OtherError(UnsupportedCertVersion))",
        Reached.UNUSABLE,
        None,
    ),
    (NEW + "received fatal alert: DecodeError", Reached.REJECTED, "decode_error"),
    (OLD + "1e000065:Cipher functions:OPENSSL_internal:BAD_DECRYPT", Reached.UNUSABLE, None),
]


@pytest.mark.parametrize(("line", "reached", "alert"), ROWS, ids=[line[-40:] for line, _, _ in ROWS])
def test_a_line_of_workerd_tells_why_a_call_failed(line: str, reached: Reached, alert: str | None) -> None:
    """With rustls and with BoringSSL."""
    failure = read_failure(line)
    assert failure is not None
    assert (failure.reached, failure.alert) == (reached, alert)


@pytest.mark.parametrize("line", ["", "stack: /w@1 /w@2", "Error: mine", "the alert of a Worker: CertificateExpired"])
def test_other_lines_tell_nothing(line: str) -> None:
    """A Worker may print anything."""
    assert read_failure(line) is None


def test_the_first_failure_counts_and_a_long_reason_is_cut() -> None:
    """Later lines are of the second attempt."""
    lines = ["hello", NEW + "invalid peer certificate: " + "x" * 5000, NEW + "received fatal alert: UnknownCA"]
    failure = find_failure(lines)
    assert failure is not None
    assert failure.reached is Reached.SERVER_UNTRUSTED
    assert len(failure.detail) < 300


@pytest.mark.parametrize(
    ("answer", "reached"),
    [
        ({"status": 200, "body": "ok"}, Reached.ANSWERED),
        ({"status": 403, "body": "no"}, Reached.ANSWERED),
        ({"status": 400, "body": "<p>No required SSL certificate was sent</p>"}, Reached.NOT_SENT),
        ({"status": 400, "body": "<p>The SSL certificate error</p>"}, Reached.REJECTED),
        ({"status": 200, "body": "The SSL certificate error"}, Reached.ANSWERED),
        (
            {"error": "TimeoutError: The operation was aborted due to timeout", "name": "TimeoutError"},
            Reached.UNREACHABLE,
        ),
        ({"error": "Error: Network connection lost.", "name": "Error"}, Reached.INCONCLUSIVE),
        ({"error": "TypeError: Invalid URL"}, Reached.INCONCLUSIVE),
        ([], Reached.INCONCLUSIVE),
        ("", Reached.INCONCLUSIVE),
    ],
)
def test_an_answer_of_the_worker_is_judged(answer: object, reached: Reached) -> None:
    """nginx completes the handshake and gives the reason in its page."""
    assert judge(json.dumps(answer).encode(), []).reached is reached


@pytest.mark.parametrize("answer", [b"", b"{", b"\xff", b"[" * 100_000])
def test_an_answer_that_is_none_is_inconclusive(answer: bytes) -> None:
    """workerd may have crashed."""
    assert judge(answer, ["it broke"]).detail.endswith("it broke")


def test_a_start_that_fails_for_another_reason_is_nobodys_fault() -> None:
    """Only an error about the pair counts against the pair."""
    assert refused(["no such option"]).reached is Reached.INCONCLUSIVE
    assert refused([]).reached is Reached.INCONCLUSIVE
    assert refused(["service c: TLS configuration: no items found"]).reached is Reached.UNUSABLE
