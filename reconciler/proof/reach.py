"""The result of one call of a real Worker to an origin, and the port that makes it.

Such a call proves that the runtime accepts the certificate and key and that the origin answers; it can't prove that the
origin requests a certificate. Connections without a certificate prove that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from reconciler.model.ports import PrivateKey


class Reached(StrEnum):
    """How far a call got; the words of `verify`'s verdicts if they mean the same."""

    ANSWERED = "answered"
    REJECTED = "rejected"
    NOT_SENT = "not-sent"
    UNUSABLE = "unusable"
    SERVER_UNTRUSTED = "server-untrusted"
    UNREACHABLE = "unreachable"
    INCONCLUSIVE = "inconclusive"
    NOT_RUN = "not-run"


@dataclass(frozen=True, slots=True)
class Reach:
    """The result of a call. `detail` is a sentence for the user; it contains no key and may quote unescaped text.

    `status` is the HTTP status if there was an answer, `alert` the name in RFC 8446 of the TLS alert if the origin sent
    one. `proxied`: the answer came through Cloudflare's proxy, where the same call from a deployed Worker gets 520.
    """

    reached: Reached
    detail: str
    status: int | None = None
    alert: str | None = None
    proxied: bool = False


@dataclass(frozen=True, slots=True)
class OriginCall:
    """A call to make: a certificate chain in PEM with its key, to a URL.

    `trusted` are PEM texts of the roots that verify the origin's own certificate; if empty, those of this machine.
    """

    url: str
    certificates: str = field(repr=False)
    key: PrivateKey
    trusted: Sequence[str] = field(default=(), repr=False)


class Runtime(Protocol):
    """The real runtime of Workers, on this machine."""

    def call(self, call: OriginCall) -> Reach:
        """The result of a Worker that makes this call through a binding, once; NOT_RUN if there is no runtime."""
