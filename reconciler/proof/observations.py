"""What was observed on one connection to an origin, and on four of them together. Facts only, no judgement."""

from __future__ import annotations

from enum import StrEnum

from reconciler.findings.values import dataclass
from reconciler.proof.requests import CertificateRequest


class Shown(StrEnum):
    """The certificate that a connection was to send."""

    OURS = "ours"
    NONE = "none"
    THROW_AWAY = "throw-away"


class End(StrEnum):
    """How a connection ended."""

    ANSWERED = "answered"
    ALERT = "alert"
    CLOSED = "closed"
    SILENT = "silent"
    UNREACHABLE = "unreachable"
    UNTRUSTED = "untrusted"
    NO_TLS = "no-tls"
    NO_HTTP = "no-http"
    LOCAL = "local"
    FORBIDDEN = "forbidden"


class Moment(StrEnum):
    """When it ended. In TLS 1.3 a server judges the client's certificate after the handshake."""

    BEFORE = "before-the-handshake"
    DURING = "during-the-handshake"
    AFTER = "after-the-handshake"


class NginxPage(StrEnum):
    """nginx's error pages with status 400 about a client's certificate."""

    NO_CERTIFICATE = "no-certificate"
    CERTIFICATE_ERROR = "certificate-error"


@dataclass(frozen=True, slots=True)
class Observation:
    """One connection. `detail` is the system's message about its end.

    `observable` is false if the messages of the handshake could not be observed; then `request`, `asked_late`, `sent`
    and `presented` mean nothing. `request` is the origin's request for a certificate during the handshake, None without
    one. `asked_late`: the origin requested a certificate after the handshake, or a new handshake. `sent`: our
    certificate was sent, with the proof that we have its key; `presented` has all the certificates sent with it.
    `cf_ray`: Cloudflare is in front of the origin.
    """

    shown: Shown
    end: End
    detail: str = ""
    moment: Moment | None = None
    tls_version: str | None = None
    observable: bool = True
    request: CertificateRequest | None = None
    asked_late: bool = False
    sent: bool = False
    presented: tuple[bytes, ...] = ()
    alert: str | None = None
    status: int | None = None
    page: NginxPage | None = None
    cf_ray: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """All connections to one origin. Those that would add nothing were not made.

    `late` is our certificate once more, with a request after the handshake allowed. `expect` is the status that an
    accepted client gets; None: any except refusals and server errors. `chain` is what should have been sent.
    """

    ours: Observation
    none: Observation | None = None
    throw_away: Observation | None = None
    late: Observation | None = None
    expect: int | None = None
    chain: tuple[bytes, ...] = ()
