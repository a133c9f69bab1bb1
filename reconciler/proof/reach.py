"""The result of one call of a real Worker to an origin, and the port that makes it.

Such a call proves that the runtime accepts the certificate and key and that the origin answers; it can't prove that the
origin requests a certificate. Connections without a certificate prove that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from enum import StrEnum
from typing import Protocol

from reconciler.findings.values import dataclass
from reconciler.model.ports import PrivateKey

FORBIDDEN = (
    *("169.254.0.0/16", "fe80::/10"),
    *("100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32", "fd00:ec2::/32", "fd20:ce::/32"),
    *("::ffff:169.254.0.0/112", "::ffff:6464:64c8/128", "::ffff:a83f:8110/128", "::ffff:c000:c0/128"),
    *("64:ff9b::a9fe:0/112", "64:ff9b::6464:64c8/128", "64:ff9b::a83f:8110/128", "64:ff9b::c000:c0/128"),
)
"""Networks that no origin is in, but what a cloud tells its machines, credentials among it: link-local addresses, the
metadata services of Alibaba, Azure, Oracle, AWS and Google, and the IPv4 ones as IPv6, mapped or by NAT64."""

FORBIDDEN_TEXT = "its address is link-local, or that of a cloud's metadata service"


class Reached(StrEnum):
    """How far a call got; the words of `verify`'s verdicts if they mean the same."""

    ANSWERED = "answered"
    REJECTED = "rejected"
    NOT_SENT = "not-sent"
    UNUSABLE = "unusable"
    SERVER_UNTRUSTED = "server-untrusted"
    UNREACHABLE = "unreachable"
    FORBIDDEN = "forbidden"
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
