"""What became of one call of a real Worker to an origin, and the port that makes it.

Such a call proves that the runtime takes the pair and that the origin answers to it; it can't prove that the origin
asks for a certificate. Connections without one do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from reconciler.model.ports import PrivateKey


class Reached(StrEnum):
    """How far a call came; words of the verdicts of `verify` where they mean the same."""

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
    """What became of a call. `detail` is one sentence for a person; it holds no key, and quotes others unescaped.

    `status` is the HTTP status where there was an answer, `alert` the TLS alert by its name in RFC 8446 where the
    origin sent one. `proxied`: the answer came through Cloudflare's proxy, where such a call ends with 520 when it
    comes from a deployed Worker.
    """

    reached: Reached
    detail: str
    status: int | None = None
    alert: str | None = None
    proxied: bool = False


@dataclass(frozen=True, slots=True)
class OriginCall:
    """A call to make: a certificate chain in PEM with its key, to a URL.

    `trusted` are PEM texts of the roots that the origin's own certificate is checked by; none: those of this machine.
    """

    url: str
    certificates: str = field(repr=False)
    key: PrivateKey
    trusted: Sequence[str] = field(default=(), repr=False)


class Runtime(Protocol):
    """The real runtime of Workers, on this machine."""

    def call(self, call: OriginCall) -> Reach:
        """Run a Worker that makes this call through a binding, once; NOT_RUN where there is no runtime."""
