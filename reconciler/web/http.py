"""Calls to a forge's API: bounded in time, size and number of attempts, with the token for that one address only.

No redirect is followed, so the token never goes elsewhere. No error shows the token, what was sent, or what was
answered; the log has the path as a template.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TypeVar
from urllib.parse import quote, urlsplit

import httpx
from pydantic import TypeAdapter, ValidationError

from reconciler.findings.codes import Code
from reconciler.findings.errors import ReconcilerError
from reconciler.findings.events import CallMade
from reconciler.model.forges import ForgeError, Refusal
from reconciler.version import __version__

_log = logging.getLogger(__name__)

ATTEMPTS = 4
LONGEST_WAIT_S = 60.0
"""Of one run, for refused calls: a comment is not worth more of a job's time."""
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_LONGEST_CALL_S = 120.0
_MOST_BYTES = 40_000_000
"""Of a body: a page of 100 comments can have 26 MB."""
_FIRST_PAUSE_S = 1.0
_TOO_MANY, _DENIED = 429, 403
_INVALID = frozenset({400, 422})
_GONE = frozenset({404, 410})
_SERVER_ERROR = 500
_TOKEN_FORM = re.compile(r"[\x21-\x7e]+")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Address:
    """An API and how to prove who calls it. `headers` have the token."""

    forge: str
    base_url: str
    headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer with its whole body."""

    headers: Mapping[str, str]
    body: bytes = field(repr=False)


def check_base_url(variable: str, url: str) -> str:
    """The address of an API, without a slash at its end; ReconcilerError unless it is https, or http on loopback."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))
    if not host or not is_safe or "@" in parts.netloc or parts.query or parts.fragment or re.search(r"[\s\\]", url):
        message = f"{variable} is not the https address of an API, so the forge's token is not sent there"
        raise ReconcilerError(message, hint=f"unset {variable}; the runner sets it", code=Code.VARIABLE_INVALID)
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_token(variable: str, token: str) -> str:
    """A token that fits into a header; ReconcilerError, which does not show it, for any other."""
    if not _TOKEN_FORM.fullmatch(token):
        message = f"{variable} has spaces, line ends or other characters that no token has"
        raise ReconcilerError(message, hint=f"copy the token again into {variable}", code=Code.VARIABLE_INVALID)
    return token


class ForgeHttp:
    """One API for one run. `tell` gets what is waited for; `sleep` waits."""

    def __init__(
        self,
        address: Address,
        tell: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._address, self._tell, self._sleep = address, tell, sleep
        self._left_s = LONGEST_WAIT_S
        self._client: httpx.Client | None = None

    def get(self, path: str, **names: object) -> Answer:
        """The answer to a GET of `path`, a template such as `/repos/{repo}/issues` that `names` fill, quoted."""
        return self.send("GET", path, None, **names)

    def send(self, method: str, path: str, body: bytes | None, **names: object) -> Answer:
        """The answer to a call with a JSON body; ForgeError for anything but success.

        A call that was refused, and so changed nothing, is repeated a few times after the time that the forge names.
        After an error of the server only a GET, PUT or PATCH is: a comment must not be written twice.
        """
        parts = {name: quote(str(value), safe="/" if name == "repo" else "") for name, value in names.items()}
        url = self._address.base_url + path.format_map(parts)
        for attempt in range(1, ATTEMPTS + 1):
            status, answer = self._exchange(method, path, url, body)
            if answer is not None and 200 <= status < 300:
                return answer
            failure = self._failure(method, status, answer)
            pause = self._pause(method, status, answer, failure, attempt)
            if pause is None or attempt == ATTEMPTS or pause > self._left_s:
                raise failure
            self._tell(f"{self._address.forge} asks to wait; trying again in {pause:.0f} s")
            self._left_s -= pause
            self._sleep(pause)
        raise AssertionError  # the last attempt returns or raises

    def _pause(
        self, method: str, status: int, answer: Answer | None, failure: ForgeError, attempt: int
    ) -> float | None:
        """Seconds after which the call may be repeated; None if it may not."""
        told = _seconds(answer.headers.get("retry-after", "")) if answer is not None else None
        is_limit = status == _TOO_MANY or (status == _DENIED and failure.refusal is Refusal.OTHER)
        is_server_error = failure.refusal is Refusal.UNKNOWN and (method != "POST" or told is not None)
        if not is_limit and not is_server_error:
            return None
        return told if told is not None else _FIRST_PAUSE_S * 2 ** (attempt - 1)

    def _exchange(self, method: str, path: str, url: str, body: bytes | None) -> tuple[int, Answer | None]:
        """The status and the answer; status 0 and None where there was none."""
        began = time.monotonic()
        status, note, answer = 0, None, None
        try:
            with self._open().stream(method, url, content=body) as response:
                status = response.status_code
                data = bytearray()
                for part in response.iter_bytes():
                    data += part
                    if len(data) > _MOST_BYTES or time.monotonic() - began > _LONGEST_CALL_S:
                        note, data = "too long", bytearray()
                        break
                answer = Answer({name.lower(): value for name, value in response.headers.items()}, bytes(data))
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            note, status, answer = type(error).__name__, 0, None
        ms = (time.monotonic() - began) * 1000
        _log.info(CallMade(method, path, ms, status or None, note))
        return (0, None) if note is not None else (status, answer)

    def _open(self) -> httpx.Client:
        if self._client is None:
            is_plain = self._address.base_url.startswith("http:")  # loopback, which no proxy is for
            context = httpx.create_ssl_context()
            context.keylog_filename = None  # type: ignore[assignment] # else SSLKEYLOGFILE gets the session keys
            headers = {**self._address.headers, "user-agent": f"mtlsctl/{__version__}"}
            headers |= {"content-type": "application/json"}
            self._client = httpx.Client(
                headers=headers, verify=context, timeout=_TIMEOUT, follow_redirects=False, trust_env=not is_plain
            )
        return self._client

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()

    def _failure(self, method: str, status: int, answer: Answer | None) -> ForgeError:
        forge = self._address.forge
        deed = "read" if method == "GET" else "written"
        if answer is None or status >= _SERVER_ERROR:
            reason = f"it answered with {status}" if status else "it did not answer, or not completely"
            return ForgeError(f"{forge} could not be {deed}: {reason}", refusal=Refusal.UNKNOWN)
        is_limit = status == _TOO_MANY or (
            status == _DENIED
            and ("retry-after" in answer.headers or answer.headers.get("x-ratelimit-remaining") == "0")
        )
        if is_limit:
            return ForgeError(f"{forge} could not be {deed}: its rate limit is reached", hint="run the job again later")
        if status == _DENIED:
            return ForgeError(f"{forge} could not be {deed}: the token may not (403)", refusal=Refusal.DENIED)
        refusal = Refusal.MISSING if status in _GONE else Refusal.INVALID if status in _INVALID else Refusal.OTHER
        return ForgeError(f"{forge} could not be {deed}: it answered with {status}", refusal=refusal)


def _seconds(text: str) -> float | None:
    """The seconds of Retry-After; its other form, a date, is not used by the forges."""
    return float(text) if re.fullmatch(r"[0-9]{1,6}", text) else None


def parsed(forge: str, adapter: TypeAdapter[_T], body: bytes) -> _T:
    """The body as what it should be; ForgeError for anything else."""
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        message = f"{forge} could not be read: its answer is not what its API promises"
        raise ForgeError(message, hint="check what is between this job and the API, such as a proxy") from error
