"""The connection itself: how it is set up, and what its failures mean in words.

An error here has nothing of what was sent, and of a proxy's address nothing at all.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from reconciler.findings.codes import Code
from reconciler.findings.secrets import Secrets
from reconciler.model.errors import StoreError
from reconciler.stores.cloudflare.access import BASE_URL, Access
from reconciler.stores.cloudflare.errors import NoAnswer, UnusableReply
from reconciler.version import __version__

CONNECTIONS = 10
AGAIN = "run again: it finds out what is there and goes on"
_TRUST = "name your company's CA bundle by SSL_CERT_FILE; the check itself can't be switched off"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much and how long: seconds to connect, between two bytes, for a call and for a run; bytes of a body.

    `connections`: so many calls at once; with 1 nothing is ever called from another thread.
    """

    connect_s: float = 10.0
    read_s: float = 30.0
    call_s: float = 120.0
    run_s: float = 3600.0
    max_wait_s: float = 900.0
    body_bytes: int = 20_000_000
    connections: int = CONNECTIONS


DEFAULT_BOUNDS = Bounds()


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


def open_http(access: Access, bounds: Bounds, transport: httpx.BaseTransport | None) -> httpx.Client:
    """Proxies and CA bundles are the environment's, as httpx reads them; but a token in clear goes through no proxy."""
    try:
        return httpx.Client(
            headers={"authorization": f"Bearer {access.token}", "user-agent": f"mtlsctl/{__version__}"},
            timeout=httpx.Timeout(bounds.read_s, connect=bounds.connect_s, pool=bounds.call_s),
            limits=httpx.Limits(max_connections=bounds.connections, max_keepalive_connections=bounds.connections),
            follow_redirects=False,
            trust_env=not (access.is_loopback and urlsplit(access.base_url).scheme == "http"),
            transport=transport,
        )
    except (OSError, ValueError, ImportError, httpx.InvalidURL) as error:
        # Neither cause nor values are shown: the address of a proxy may have a password.
        raise StoreError(
            f"no connection can be set up ({type(error).__name__})",
            hint="look at SSL_CERT_FILE, SSL_CERT_DIR, HTTPS_PROXY and ALL_PROXY: is there such a file, such a proxy?",
            code=Code.STORE_CONNECTION,
        ) from None


def unreachable(error: httpx.TransportError, bounds: Bounds, secrets: Secrets) -> NoAnswer:
    """The call never was sent."""
    if isinstance(error, httpx.ConnectTimeout):
        return NoAnswer(f"Cloudflare took no connection within {bounds.connect_s:.0f} s", hint=AGAIN, sent=False)
    if isinstance(error, httpx.PoolTimeout):
        return NoAnswer("no connection to Cloudflare became free", hint=AGAIN, sent=False)
    if isinstance(error, httpx.ProxyError):
        message = f"the proxy does not lead to Cloudflare: {secrets.show(str(error))}"
        return NoAnswer(message, hint="look at HTTPS_PROXY and ALL_PROXY, and what the proxy allows", sent=False)
    if isinstance(error.__cause__, ssl.SSLError) or "CERTIFICATE_VERIFY_FAILED" in str(error):
        message = f"the server does not prove that it is Cloudflare's: {secrets.show(str(error))}"
        return NoAnswer(message, hint=_TRUST, sent=False, lasting=True)
    message = f"Cloudflare can't be reached: {secrets.show(str(error)) or type(error).__name__}"
    hint = f"is there a way to the internet from here? HTTPS_PROXY names a proxy, {BASE_URL} another address"
    return NoAnswer(message, hint=hint, sent=False)


def torn(error: httpx.TransportError | httpx.DecodingError, bounds: Bounds) -> NoAnswer:
    """The call may have reached the server. What the library says is left out: it may quote what was sent."""
    if isinstance(error, httpx.TimeoutException):
        return NoAnswer(f"Cloudflare did not answer within {bounds.read_s:.0f} s", hint=AGAIN)
    return NoAnswer(f"the connection to Cloudflare broke ({type(error).__name__})", hint=AGAIN)


def redirected(reply: Reply) -> StoreError:
    try:
        host = urlsplit(reply.headers.get("location", "")).hostname
    except ValueError:
        host = None
    return UnusableReply(
        f"the API redirects{f' to {host}' if host else ''} (HTTP {reply.status}), which is not followed",
        hint=f"is {BASE_URL} right? The token is sent nowhere else",
        lasting=True,
    )


def no_json(reply: Reply) -> StoreError:
    """A reply without an envelope: a proxy's or a firewall's page, or half a reply. Nothing of it is quoted."""
    kind = "an HTML page" if reply.body[:200].lstrip()[:1] == b"<" else "no JSON that the API could have written"
    refused = reply.status >= 400
    return UnusableReply(
        f"Cloudflare's address answered with {kind} (HTTP {reply.status})",
        hint=f"is a proxy or a firewall in between? {BASE_URL} and HTTPS_PROXY lead there",
        sent=not refused,
        lasting=refused,
    )
