"""Calls to an HTTP API: bounded in time, size and number of attempts, with the token for that one address only.

No redirect is followed, so the token never goes elsewhere. No error shows the token, what was sent, or what was
answered; the log has the path as a template.
"""

from __future__ import annotations

import logging
import os
import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import TypeVar
from urllib.parse import quote, urlsplit
from weakref import finalize

import httpx
from pydantic import TypeAdapter, ValidationError

from reconciler.findings.codes import Code
from reconciler.findings.errors import ReconcilerError
from reconciler.findings.events import CallMade
from reconciler.findings.values import dataclass
from reconciler.model.web import Refusal, WebError
from reconciler.version import __version__
from reconciler.web.network import DIRECT, find_network, is_loopback, trusted, trusting_only

_log = logging.getLogger(__name__)

ATTEMPTS = 4
LONGEST_WAIT_S = 60.0
"""Of one run, for refused calls: a job should end."""
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_LONGEST_CALL_S = 120.0
_MOST_BYTES = 40_000_000
"""Of a body: a page of 100 comments of a forge can have 26 MB."""
_FIRST_PAUSE_S = 1.0
_TOO_MANY, _DENIED = 429, 403
_INVALID = frozenset({400, 422})
_GONE = frozenset({404, 410})
_MOVED = frozenset({301, 302, 307, 308})
_SERVER_ERROR = 500
_TOKEN_FORM = re.compile(r"[\x21-\x7e]+")
_WITH_SLASHES = frozenset({"repo", "mount", "path"})
"""The names of a template whose values are parts of a path, and not one of its segments."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Address:
    """An API, how to prove who calls it, and the code of its errors.

    `base_url` as `check_base_url` returns it; ValueError for another. `headers` have the token. `roots`: the PEM of the
    only CAs that may vouch for the server, as `check_roots` returns it; None: the public ones, or those that
    SSL_CERT_FILE names. `trust_hint`: what to do if they don't, instead of the hint about SSL_CERT_FILE. `access_hint`:
    what to do if the token may not, or if there is nothing that it may see.
    """

    title: str
    base_url: str
    headers: Mapping[str, str] = field(repr=False)
    code: Code
    roots: bytes | None = None
    trust_hint: str | None = None
    access_hint: str | None = None

    def __post_init__(self) -> None:
        if not _is_safe(self.base_url):
            raise ValueError(self.title)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with its whole body. The names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


def check_base_url(named: str, url: str, hint: str, code: Code = Code.VARIABLE_INVALID) -> str:
    """The address of an API, without a slash at its end; ReconcilerError unless it is https, or http on loopback.

    `named`: the variable or setting that has it.
    """
    if not _is_safe(url):
        message = f"{named} is not the https address of an API, so no token is sent there"
        raise ReconcilerError(message, hint=hint, code=code)
    return url.rstrip("/")


def _is_safe(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    has_more = "@" in parts.netloc or parts.query or parts.fragment or re.search(r"[\s\\]", url)
    return bool(host) and is_safe and not has_more


def check_token(variable: str, token: str) -> str:
    """A token that fits into a header; ReconcilerError, which does not show it, for any other."""
    if not _TOKEN_FORM.fullmatch(token):
        message = f"{variable} has spaces, line ends or other characters that no token has"
        raise ReconcilerError(message, hint=f"copy the token again into {variable}", code=Code.VARIABLE_INVALID)
    return token


def check_roots(named: str, pem: bytes, code: Code = Code.VARIABLE_INVALID) -> bytes:
    """The PEM of CA certificates; ReconcilerError if it has none or a damaged one.

    `named`: the variable or setting with their file.
    """
    try:
        trusting_only(pem)
    except (ssl.SSLError, ValueError):
        message = f"{named} names a file that has no certificates in PEM, or a damaged one"
        hint = "name a PEM file: each of its CA certificates begins with -----BEGIN CERTIFICATE-----"
        raise ReconcilerError(message, hint=hint, code=code) from None
    return pem


class Http:
    """One API for one run. `tell` gets what is waited for; `sleep` waits."""

    def __init__(
        self,
        address: Address,
        tell: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._address, self._tell, self._sleep = address, tell, sleep
        self._left_s = LONGEST_WAIT_S
        self._network = DIRECT
        self._client: httpx.Client | None = None

    def get(self, path: str, /, **names: object) -> Answer:
        """The answer to a GET of `path`, a template such as `/repos/{repo}/issues` that `names` fill, quoted."""
        return self.send("GET", path, None, **names)

    def send(self, method: str, path: str, body: bytes | None, /, **names: object) -> Answer:
        """The answer to a call with a JSON body; WebError for anything but success.

        A call that was refused or not sent, and so changed nothing, is repeated a few times, after the time that the
        server names. After an error of the server only a GET, PUT or PATCH is: a comment must not be written twice.
        """
        parts = {name: quote(str(value), safe="/" if name in _WITH_SLASHES else "") for name, value in names.items()}
        url, client = self._address.base_url + path.format_map(parts), self._open()
        for attempt in range(1, ATTEMPTS + 1):
            answer = self._exchange(client, method, path, url, body)
            if isinstance(answer, Answer) and 200 <= answer.status < 300:
                return answer
            failure = self._failure(method, answer) if isinstance(answer, Answer) else answer
            told = _seconds(answer.headers.get("retry-after", "")) if isinstance(answer, Answer) else None
            pause = told if told is not None else _FIRST_PAUSE_S * 2 ** (attempt - 1)
            may_repeat = _may_repeat(method, failure, told)
            if not may_repeat or attempt == ATTEMPTS or pause > self._left_s:
                raise failure
            self._tell(f"{failure.message}; trying again in {pause:.0f} s")
            self._left_s -= pause
            self._sleep(pause)
        raise AssertionError  # the last attempt returns or raises

    def parsed(self, adapter: TypeAdapter[_T], answer: Answer) -> _T:
        """The body as what it should be; WebError for anything else."""
        try:
            return adapter.validate_json(answer.body)
        except ValidationError:
            reason = "its answer is not what its API promises"
            hint = "check what is between this run and the API, such as a proxy"
            raise self._error("GET", reason, Refusal.UNKNOWN, hint=hint) from None  # the other shows a part of it

    def _exchange(
        self, client: httpx.Client, method: str, path: str, url: str, body: bytes | None
    ) -> Answer | WebError:
        """The answer with its whole body, or why there is none."""
        began = time.monotonic()
        status, note, result = None, None, None
        try:
            with client.stream(method, url, content=body) as response:
                status, data = response.status_code, bytearray()
                for part in response.iter_bytes():
                    data += part
                    if len(data) > _MOST_BYTES or time.monotonic() - began > _LONGEST_CALL_S:
                        note = "too long"
                        break
                headers = {name.lower(): value for name, value in response.headers.items()}
                result = Answer(status, headers, bytes(data)) if note is None else self._lost(method)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            status, note, result = None, type(error).__name__, self._lost(method, error)
        _log.info(CallMade(method, path, (time.monotonic() - began) * 1000, status, note))
        return result

    def _open(self) -> httpx.Client:
        """The client; WebError for a proxy or a CA bundle of the environment that can't be used."""
        if self._client is None:
            try:
                self._client = self._new_client()
            except ReconcilerError as error:
                raise WebError(error.message, code=self._address.code, hint=error.hint) from None
            except (OSError, ValueError, ImportError, httpx.InvalidURL) as error:
                # Neither the cause nor the value is shown: the address of a proxy may contain a password.
                message = f"the connection to {self._address.title} could not be set up ({type(error).__name__})"
                hint = "check HTTPS_PROXY and ALL_PROXY: write them like http://proxy.example:8080"
                raise WebError(message, code=self._address.code, hint=hint) from None
            finalize(self, self._client.close)  # no one else knows when the last call of a run was
        return self._client

    def _new_client(self) -> httpx.Client:
        network = self._network = find_network(self._address.base_url, os.environ)
        is_here = is_loopback(urlsplit(self._address.base_url).hostname or "")
        proxy = None if is_here else network.proxy  # no proxy leads to this machine
        own = {"user-agent": f"mtlsctl/{__version__}", "content-type": "application/json"}
        return httpx.Client(
            headers={**self._address.headers, **own},
            verify=trusted(network) if self._address.roots is None else trusting_only(self._address.roots),
            timeout=_TIMEOUT,
            follow_redirects=False,
            trust_env=False,
            proxy=None if proxy is None else proxy.url,
        )

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()

    def _error(
        self, method: str, reason: str, refusal: Refusal, *, hint: str | None = None, answer: Answer | None = None
    ) -> WebError:
        message = f"{self._address.title} could not be {'read' if method == 'GET' else 'written'}: {reason}"
        status, body = (answer.status, answer.body) if answer is not None else (0, b"")
        return WebError(message, code=self._address.code, refusal=refusal, hint=hint, status=status, body=body)

    def _lost(self, method: str, error: Exception | None = None) -> WebError:
        untrusted = re.search(r"CERTIFICATE_VERIFY_FAILED\] certificate verify failed: (.*?)(?: \(_ssl|$)", str(error))
        if untrusted is not None:
            reason = f"TLS verification failed: {untrusted[1]}"
            return self._error(method, reason, Refusal.OTHER, hint=self._address.trust_hint or self._network.trust_hint)
        is_unreached = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError)
        refusal = Refusal.UNREACHED if is_unreached else Refusal.UNKNOWN
        return self._error(method, "it did not answer, or not completely", refusal)

    def _failure(self, method: str, answer: Answer) -> WebError:
        status = answer.status
        is_limit = status == _TOO_MANY or (
            status == _DENIED
            and ("retry-after" in answer.headers or answer.headers.get("x-ratelimit-remaining") == "0")
        )
        if is_limit:
            hint = "run the job again later"
            return self._error(method, "its rate limit is reached", Refusal.OTHER, hint=hint, answer=answer)
        access_hint = self._address.access_hint
        if status == _DENIED:
            return self._error(method, "the token may not (403)", Refusal.DENIED, hint=access_hint, answer=answer)
        refusal = Refusal.MISSING if status in _GONE else Refusal.INVALID if status in _INVALID else Refusal.OTHER
        refusal = Refusal.UNKNOWN if status >= _SERVER_ERROR else refusal
        found_hint = access_hint if refusal is Refusal.MISSING or status in _MOVED else None
        return self._error(method, f"it answered with {status}", refusal, hint=found_hint, answer=answer)


def _may_repeat(method: str, failure: WebError, told: float | None) -> bool:
    """Whether a call that failed may be made again. `told`: the server names a time for that."""
    match failure.refusal:
        case Refusal.UNREACHED:
            return True
        case Refusal.UNKNOWN:
            return method != "POST" or told is not None
        case Refusal.OTHER:
            return failure.status in {_TOO_MANY, _DENIED}
    return False


def _seconds(text: str) -> float | None:
    """The seconds of Retry-After; its other form, a date, is not used by these servers."""
    return float(text) if re.fullmatch(r"[0-9]{1,6}", text) else None
