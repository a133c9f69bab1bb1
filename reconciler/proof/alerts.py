"""The TLS alerts by number, and those about a client's certificate (RFC 8446 section 6.2)."""

from __future__ import annotations

ALERTS = {
    0: "close_notify",
    10: "unexpected_message",
    20: "bad_record_mac",
    22: "record_overflow",
    40: "handshake_failure",
    42: "bad_certificate",
    43: "unsupported_certificate",
    44: "certificate_revoked",
    45: "certificate_expired",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    49: "access_denied",
    50: "decode_error",
    51: "decrypt_error",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    86: "inappropriate_fallback",
    90: "user_canceled",
    100: "no_renegotiation",
    109: "missing_extension",
    110: "unsupported_extension",
    112: "unrecognized_name",
    113: "bad_certificate_status_response",
    115: "unknown_psk_identity",
    116: "certificate_required",
    120: "no_application_protocol",
}

ABOUT_THE_CERTIFICATE = frozenset(
    {
        "bad_certificate",
        "unsupported_certificate",
        "certificate_revoked",
        "certificate_expired",
        "certificate_unknown",
        "unknown_ca",
        "access_denied",
        "decode_error",
    }
)
"""Alerts that a server sends because of the client's certificate. The server chooses which one, and it may be
imprecise: Go sends decode_error for what it can't read, and bad_certificate for everything else."""

WITHOUT_A_REASON = frozenset({"certificate_required", "handshake_failure"})
"""Alerts of servers that received no certificate, and of some that refuse one."""


def alert_name(number: int) -> str:
    """The name of an alert; its number if it has no name."""
    return ALERTS.get(number, f"alert {number}")
