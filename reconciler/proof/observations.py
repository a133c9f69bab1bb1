"""What one connection to an origin showed, and what four of them are together. Facts only; nothing here judges."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reconciler.proof.requests import CertificateRequest


class Shown(StrEnum):
    """Which certificate a connection had to show."""

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


class Moment(StrEnum):
    """When it ended. Under TLS 1.3 a server judges the client's certificate after the handshake."""

    BEFORE = "before-the-handshake"
    DURING = "during-the-handshake"
    AFTER = "after-the-handshake"


class NginxPage(StrEnum):
    """What nginx answers with status 400 where it does not like a client's certificate."""

    NO_CERTIFICATE = "no-certificate"
    CERTIFICATE_ERROR = "certificate-error"


@dataclass(frozen=True, slots=True)
class Observation:
    """One connection. `detail`: the system's words about its end.

    `observable`: whether the messages of the handshake could be watched; where not, `request`, `asked_late`, `sent`
    and `presented` say nothing. `request`: what the origin asked for during the handshake, None where it did not ask.
    `asked_late`: it asked after the handshake, or for a new one. `sent`: our certificate went out, with the proof
    that we have its key; `presented` has all the certificates that went with it. `cf_ray`: Cloudflare stands before
    the origin.
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
    """All connections to one origin. Those that would tell nothing more were not made.

    `late`: our certificate once more, asking for it after the handshake allowed. `expect`: the status that an
    accepted client gets, None: any that is no refusal and no fault. `chain`: what should have been presented.
    """

    ours: Observation
    none: Observation | None = None
    throw_away: Observation | None = None
    late: Observation | None = None
    expect: int | None = None
    chain: tuple[bytes, ...] = ()
