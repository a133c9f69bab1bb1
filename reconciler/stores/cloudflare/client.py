"""HTTP calls to the API: connections, explained failures, the rate limit, and retries.

Returns the envelope of a success and raises for everything else; knows nothing about certificates. `Client.send` only
repeats a call that the rate limit refused; `send_patiently` repeats every call that is safe to repeat. No error shows
the token, what was sent, or the address of a proxy.
"""

from __future__ import annotations

import logging
import math
import re
import ssl
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import field
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import count
from typing import TypeVar
from urllib.parse import urlencode, urlsplit

import httpx

from reconciler.findings.codes import Code
from reconciler.findings.errors import ReconcilerError
from reconciler.findings.events import CallMade
from reconciler.findings.secrets import Secrets
from reconciler.findings.values import dataclass
from reconciler.model.budget import LATEST_S, RateBudget
from reconciler.model.concurrency import run_all
from reconciler.model.errors import BudgetUnavailable, EntryNotFound, StoreClosed, StoreError
from reconciler.model.progress import SILENT, Progress, counted
from reconciler.stores.cloudflare.access import BASE_URL, Access
from reconciler.stores.cloudflare.body import CHECK_BETWEEN, ENCODING, unpacked
from reconciler.stores.cloudflare.errors import Exhausted, NoAnswer, Operation, UnusableReply, WrongAccount, refusal
from reconciler.stores.cloudflare.paths import path_template
from reconciler.stores.cloudflare.rate import Budget, read_allowance, read_date, read_retry_after
from reconciler.stores.cloudflare.wire import Envelope, parse_envelope
from reconciler.version import __version__
from reconciler.web.network import Network, trusted

_log = logging.getLogger(__name__)

CONNECTIONS = 10
JSON = "application/json"
ATTEMPTS = 5
_FIRST_PAUSE_S = 0.5
AGAIN = "run the same command again; it checks what exists and continues"
_TOLD_FROM_S = 1.0
_RAY_FORM = re.compile(r"[0-9a-f]{16}(?:-[A-Z]{3})?")
_TOO_MANY = 429
_SERVER_ERROR = 500
_BUSY = 503
_ODD_PATH = f"check {BASE_URL}: the path of Cloudflare's API ends with /client/v4"
_STATUS = "check www.cloudflarestatus.com, then run the same command again; it checks what exists and continues"

_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits: seconds to connect, between two bytes, for a call and for a run; bytes of a body.

    `connections` is the number of concurrent calls; with 1, every call is made from the caller's thread.
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
class HttpReply:
    """A reply with its whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class ApiConnections:
    """Connections with the proxy, TLS and timeouts of httpx, each a transport of its own that one call uses at a time.

    A shared pool would check every idle connection before and after each call, and httpx's client would add cookies,
    redirects and authentication, which the API does not use: together half of the cost of a call.
    """

    def __init__(self, connect: Callable[[], httpx.BaseTransport], headers: Mapping[str, str], bounds: Bounds) -> None:
        """`connect` makes a transport; the first one is made at once, so that bad settings are known at once."""
        self._connect, self._headers = connect, httpx.Headers(headers)
        timeout = httpx.Timeout(bounds.read_s, connect=bounds.connect_s, pool=bounds.call_s)
        self._extensions = {"timeout": timeout.as_dict()}
        self._all = [connect()]
        self._idle = deque(self._all)

    @contextmanager
    def exchange(
        self, method: str, url: httpx.URL, body: bytes | None, content_type: str = JSON
    ) -> Iterator[httpx.Response]:
        """The response, its body not read yet. Raises what httpx raises."""
        headers = self._headers
        if body is not None:
            headers = headers.copy()
            headers["content-type"] = content_type
        request = httpx.Request(method, url, headers=headers, content=body, extensions=self._extensions)
        try:
            transport = self._idle.pop()  # the one that was used last is the least likely to have timed out
        except IndexError:
            transport = self._connect()
            self._all.append(transport)
        try:
            with closing(transport.handle_request(request)) as response:
                response.request = request
                yield response
        finally:
            self._idle.append(transport)

    def close(self) -> None:
        """Close all connections, those of calls that are being made too."""
        for transport in self._all:
            transport.close()


def open_http(access: Access, bounds: Bounds, transport: httpx.BaseTransport | None) -> ApiConnections:
    """A client that calls the API through the proxy of `access`, and trusts its CAs; StoreError if one is unusable."""
    through = access.network.proxy
    headers = {
        "accept": JSON,
        "accept-encoding": ENCODING,
        "authorization": f"Bearer {access.token}",
        "user-agent": f"mtlsctl/{__version__}",
    }
    try:
        if transport is not None:
            return ApiConnections(lambda: transport, headers, bounds)
        context = trusted(access.network)
        proxy = httpx.Proxy(through.url) if through is not None else None
        return ApiConnections(
            lambda: httpx.HTTPTransport(verify=context, trust_env=False, proxy=proxy), headers, bounds
        )
    except ReconcilerError as error:
        raise StoreError(error.message, hint=error.hint, code=Code.STORE_CONNECTION) from None
    except (OSError, ValueError, ImportError, httpx.InvalidURL) as error:
        # Neither the cause nor the value is shown: the address of a proxy may contain a password.
        what = f"the proxy of {through.variable}" if through is not None else "the connection to Cloudflare"
        message = f"{what} could not be set up ({type(error).__name__})"
        hint = f"write {through.variable} like http://proxy.example:8080" if through is not None else None
        raise StoreError(message, hint=hint, code=Code.STORE_CONNECTION) from None


def unreachable(error: httpx.TransportError, bounds: Bounds, secrets: Secrets, network: Network) -> NoAnswer:
    """The error for a call that was not sent."""
    through = network.proxy
    if isinstance(error, httpx.ConnectTimeout):
        behind = f" through the proxy of {through.variable}" if through is not None else ""
        message = f"connecting to Cloudflare{behind} timed out after {bounds.connect_s:.0f} s"
        return NoAnswer(message, hint=AGAIN, sent=False)
    if isinstance(error, httpx.PoolTimeout):
        return NoAnswer("all connections to Cloudflare stayed busy", hint=AGAIN, sent=False)
    if isinstance(error.__cause__, ssl.SSLError) or "CERTIFICATE_VERIFY_FAILED" in str(error):
        message = (
            "TLS verification failed: the server's certificate is not valid for Cloudflare's API: "
            f"{secrets.show(str(error))}"
        )
        return NoAnswer(message, hint=network.trust_hint, sent=False, lasting=True)
    said = secrets.show(str(error)) or type(error).__name__
    if through is not None:
        # Without the tunnel nothing was sent: a proxy that can't be reached is a ConnectError like any other.
        refused = isinstance(error, httpx.ProxyError)
        what = "failed to connect to Cloudflare" if refused else "can't be reached"
        hint = f"check {through.variable} and what the proxy allows; NO_PROXY lists the hosts to reach without it"
        return NoAnswer(f"the proxy of {through.variable} {what}: {said}", hint=hint, sent=False)
    hint = f"check the network; set HTTPS_PROXY to use a proxy, or {BASE_URL} to use another address"
    return NoAnswer(f"Cloudflare can't be reached: {said}", hint=hint, sent=False)


def torn(error: httpx.TransportError | httpx.DecodingError, bounds: Bounds) -> NoAnswer:
    """The error for a call that may have reached the server. Omits httpx's message, which may quote what was sent."""
    if isinstance(error, httpx.TimeoutException):
        return NoAnswer(f"Cloudflare did not answer within {bounds.read_s:.0f} s", hint=AGAIN)
    return NoAnswer(f"the connection to Cloudflare was lost ({type(error).__name__})", hint=AGAIN)


def redirected(reply: HttpReply) -> StoreError:
    try:
        host = urlsplit(reply.headers.get("location", "")).hostname
    except ValueError:
        host = None
    return UnusableReply(
        f"the API redirects{f' to {host}' if host else ''} (HTTP {reply.status}), and mtlsctl follows no redirects",
        hint=f"check {BASE_URL}; the token is sent to no other address",
        lasting=True,
    )


def no_json(reply: HttpReply, access: Access) -> StoreError:
    """The error for a reply without an envelope: a page of a proxy or firewall, or half a reply. It quotes nothing."""
    hint = f"check for a proxy or firewall in between; {BASE_URL} and HTTPS_PROXY set the address and the proxy"
    kind = "an HTML page" if reply.body[:200].lstrip()[:1] == b"<" else "something else"
    refused = reply.status >= 400
    return UnusableReply(
        f"the address of the API answered with {kind} instead of the API's JSON (HTTP {reply.status})",
        hint=f"{_ODD_PATH}; else {hint}" if access.odd_path else hint,
        sent=not refused,
        lasting=refused,
    )


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One call. `path` follows the base URL. If `body` contains a private key or another secret, `secret` is its
    text."""

    operation: Operation
    method: str
    path: str
    query: Mapping[str, str | int] = field(default_factory=dict)
    body: bytes | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)
    content_type: str = JSON


@dataclass(frozen=True, slots=True)
class Time:
    """The clocks, and how to wait. Without `sleep`, a wait ends after its time or when the client is closed."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] | None = None


@dataclass(frozen=True, slots=True)
class Turns:
    """Which call may begin, for all clients with one rate limit. `turn` guards `budget`."""

    budget: Budget = field(default_factory=Budget)
    turn: threading.Condition = field(default_factory=threading.Condition)


class Client:
    """The API for one account, or for several with one token; thread-safe. `calls` is the number of calls made so far.

    `ahead`: how far this machine's clock was before the server's at the last reply that told the server's time.
    """

    def __init__(
        self,
        access: Access,
        time: Time,
        *,
        bounds: Bounds = DEFAULT_BOUNDS,
        tell: Callable[[str], None] = lambda _: None,
        progress: Progress = SILENT,
        transport: httpx.BaseTransport | None = None,
        turns: Turns | None = None,
        shared: RateBudget | None = None,
    ) -> None:
        """`turns`: the rate limit that it shares with other clients; None: it has its own. `shared`: a budget that
        other processes use, too; each call needs a moment of it."""
        self.calls = 0
        self.ahead: timedelta | None = None
        self._access = access
        self._accounts = {access.account_id: access}
        self._time = time
        self._bounds = bounds
        self._tell = tell
        self._progress = progress
        self._secrets = Secrets((access.token,))
        self.turns = turns or Turns()
        self._budget, self._turn = self.turns.budget, self.turns.turn
        self._shared = shared
        self._closed = threading.Event()
        self._deadline: float | None = None
        self._waited_s = 0.0
        self._waited_to = 0.0
        self._http = open_http(access, bounds, transport)
        weakref.finalize(self, self._http.close)

    @property
    def at_once(self) -> int:
        """The number of concurrent calls."""
        return self._bounds.connections

    def know(self, access: Access) -> None:
        """Name a further account, of the same environment, in errors about it."""
        self._accounts[access.account_id] = access

    def begin_anew(self) -> None:
        """Restart the time limit of the run with the next call."""
        self._deadline = None

    def give_up(self) -> None:
        """Start no more calls, and wake the threads that wait for a turn. Calls in progress may finish."""
        self._closed.set()
        with self._turn:
            self._turn.notify_all()

    def close(self) -> None:
        """Give up, and close the connections."""
        self.give_up()
        self._http.close()

    def monotonic(self) -> float:
        """Seconds of the client's clock, to measure a call by."""
        return self._time.monotonic()

    def server_now(self) -> datetime | None:
        """The time by the server's clock; None if no reply has told it."""
        return None if self.ahead is None else self._time.now() - self.ahead

    def sleep(self, seconds: float) -> None:
        """Wait. StoreClosed if the client gave up meanwhile, Exhausted if the wait would exceed the run's limit."""
        if self._deadline is not None and self._time.monotonic() + seconds > self._deadline:
            raise self._out_of_time()
        if self._time.sleep is not None:
            self._time.sleep(seconds)
        elif self._closed.wait(seconds):
            raise _was_closed()

    def wait(self, seconds: float, why: str, *, lost_s: float = 0.0) -> None:
        """Wait, and report it if it is long enough to be noticed; `lost_s` is what a call took in vain before."""
        if seconds >= _TOLD_FROM_S:
            self._tell(f"waiting {seconds:.0f} s: {why}")
        elif seconds + lost_s >= _TOLD_FROM_S:
            self._tell(why)
        else:
            _log.info(f"waiting {seconds * 1000:.0f} ms: {why}")
        self.sleep(seconds)

    def send(self, call: ApiCall) -> Envelope:
        """The envelope of a success.

        StoreRefused if Cloudflare refuses, NoAnswer if there is no usable answer, Exhausted if the rate limit or the
        time limit of the run leaves no time. After a 429 the call waits and is made again, because nothing was done.
        """
        while True:
            begun = self._take_turn()
            reply: HttpReply | None = None
            try:
                reply = self._exchange(call)
            except StoreError as error:
                self._log_call(call, begun, note=error.message)
                raise
            finally:
                self._end_turn(begun, reply)
            self._log_call(call, begun, reply)
            if reply.status != _TOO_MANY:
                return self._judge(call, reply)
            self._stop_others()

    def _log_call(self, call: ApiCall, begun: float, reply: HttpReply | None = None, note: str | None = None) -> None:
        """Say that a call was made. Of what others wrote only numbers are taken, and a ray that looks like one."""
        if not _log.isEnabledFor(logging.INFO):
            return
        headers = reply.headers if reply is not None else {}
        allowance = read_allowance(headers)
        ray = headers.get("cf-ray", "")
        page = call.query.get("page")
        made = CallMade(
            call.method,
            path_template(call.path),
            ms=(self._time.monotonic() - begun) * 1000,
            status=reply.status if reply is not None else None,
            note=note,
            page=page if isinstance(page, int) else None,
            ray=ray if _RAY_FORM.fullmatch(ray) else None,
            remaining=allowance.remaining if allowance is not None else None,
            limit=allowance.quota if allowance is not None else None,
        )
        _log.info(made)

    def side_by_side(self, what: str, effect: Callable[[_T], _R], items: Sequence[_T]) -> list[_R]:
        """The result of `effect` for each item, in order; one call per connection at a time. Gives up on Ctrl-C.

        `what` says what is being done, for who waits.
        """
        with self._progress.counting(what, len(items)) as done:
            return run_all(counted(effect, done), items, self.at_once, give_up=self.give_up)

    # --- the rate limit -----------------------------------------------------------------------------------------------

    def _take_turn(self) -> float:
        """Wait until a call may begin, and take that moment for this call."""
        begun = None
        while begun is None:
            begun = self._take_own_turn(math.inf) if self._shared is None else self._take_shared_turn(self._shared)
        return begun

    def _take_shared_turn(self, shared: RateBudget) -> float | None:
        """The same; None if the moment of the shared budget could not be used in time, and was given back."""
        moment, begun = shared.take(), None
        due = self._time.monotonic() + moment.wait_s
        try:
            if moment.wait_s > 0:
                with self._turn:
                    self._count_wait(self._time.monotonic(), moment.wait_s)
                self.sleep(moment.wait_s)
            if moment.wait_s <= LATEST_S or shared.holds(moment):
                begun = self._take_own_turn(due + LATEST_S)
        finally:
            if begun is None:
                with suppress(BudgetUnavailable):  # it is only lost
                    shared.give_back(moment)
        return begun

    def _stop_others(self) -> None:
        """After a 429: let no process that shares the budget call before this one may again."""
        if self._shared is not None:
            with self._turn:
                pause = self._budget.delay(self._time.monotonic())
            self._shared.refused(pause or 0.0)

    def _take_own_turn(self, latest: float) -> float | None:
        """Wait until a call of this process may begin, and take that moment; None if it would be after `latest`."""
        while True:
            with self._turn:
                if self._closed.is_set():
                    raise _was_closed()
                now = self._time.monotonic()
                self._deadline = now + self._bounds.run_s if self._deadline is None else self._deadline
                if now > self._deadline:
                    raise self._out_of_time()
                if now > latest:
                    return None
                pause = self._budget.delay(now)
                if pause is None:
                    self._turn.wait()
                    continue
                if pause <= 0:
                    self._budget.begin(now)
                    self.calls += 1
                    return now
                self._count_wait(now, pause)
            self.sleep(pause)

    def _end_turn(self, begun: float, reply: HttpReply | None) -> None:
        with self._turn:
            now = self._time.monotonic()
            allowance = read_allowance(reply.headers) if reply is not None else None
            self._budget.end(begun, now, allowance)
            if self._shared is not None and allowance is not None and allowance.quota is not None:
                self._shared.seen(allowance.quota - allowance.remaining)
            if reply is not None:
                self._heed(now, reply)
            self._turn.notify_all()

    def _heed(self, now: float, reply: HttpReply) -> None:
        """Delay the next calls if the reply asks for it, and compare the clocks."""
        here, there = self._time.now(), read_date(reply.headers)
        self.ahead = here - there if there is not None else self.ahead
        retry_after_s = read_retry_after(reply.headers, here)
        if reply.status == _TOO_MANY or (reply.status == _BUSY and retry_after_s is not None):
            self._budget.refuse(now, retry_after_s)
        else:
            self._budget.accept()

    def _count_wait(self, now: float, pause: float) -> None:
        """Add a wait to the total, once for several threads that wait for the same moment. Exhausted if too long."""
        until = now + pause
        more = until - max(now, self._waited_to)
        if more <= 0:
            return
        if self._waited_s + more > self._bounds.max_wait_s:
            enough = math.ceil((self._waited_s + more) / 60)
            raise Exhausted(
                f"Cloudflare's rate limit requires a wait of {pause:.0f} s, longer than this run may wait",
                hint=f"allow it with `--max-wait {enough}m`, or run again later to continue; the limit is 1,200 calls"
                " in five minutes, including calls of dashboards",
                code=Code.RATE_LIMITED,
            )
        self._waited_s += more
        self._waited_to = until
        if pause >= _TOLD_FROM_S:
            over = self._time.now() + timedelta(seconds=pause)
            self._tell(f"waiting {pause:.0f} s for Cloudflare's rate limit, until {over:%H:%M:%S} UTC")

    # --- one exchange -------------------------------------------------------------------------------------------------

    def _exchange(self, call: ApiCall) -> HttpReply:
        query = f"?{urlencode(call.query)}" if call.query else ""
        url = _parse_url(f"{self._access.base_url}{call.path}{query}")
        try:
            with self._http.exchange(call.method, url, call.body, call.content_type) as response:
                return HttpReply(response.status_code, dict(response.headers), self._read(response))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
            raise unreachable(error, self._bounds, self._secrets, self._access.network) from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise torn(error, self._bounds) from error

    def _read(self, response: httpx.Response) -> bytes:
        """The body. UnusableReply if it is too large, NoAnswer if it takes too long."""
        ends = self._time.monotonic() + self._bounds.call_s
        body = bytearray()
        for chunk in unpacked(response):
            body += chunk
            if len(body) > self._bounds.body_bytes:
                raise UnusableReply(
                    f"Cloudflare's reply is larger than {self._bounds.body_bytes // 1_000_000} MB",
                    hint=CHECK_BETWEEN,
                    lasting=True,
                )
            if self._time.monotonic() > ends:
                raise NoAnswer(f"Cloudflare's reply was not complete after {self._bounds.call_s:.0f} s", hint=AGAIN)
        return bytes(body)

    def _judge(self, call: ApiCall, reply: HttpReply) -> Envelope:
        """The envelope of a success; raises the error for any other reply."""
        secrets = self._secrets.with_(call.secret) if call.secret else self._secrets
        if 300 <= reply.status < 400:
            raise redirected(reply)
        envelope = parse_envelope(reply.body)
        troubles = envelope.errors if envelope is not None else []
        if reply.status >= _SERVER_ERROR:
            said = "; ".join(f"{trouble.code or ''} {secrets.show(trouble.message)}".strip() for trouble in troubles)
            raise NoAnswer(f"Cloudflare failed with HTTP {reply.status}{': ' * bool(said)}{said}", hint=_STATUS)
        if envelope is None:
            raise no_json(reply, self._access)
        if not envelope.success or reply.status >= 400:
            has_global_key = self._access.has_global_key
            access = self._access_of(call)
            error = refusal(
                call.operation,
                reply.status,
                troubles,
                secrets,
                has_global_key=has_global_key,
                account=access.account_text,
                token=access.token_name,
            )
            if isinstance(error, WrongAccount) and self._access.odd_path:
                error.hint = f"{_ODD_PATH}; else {error.hint}"
            raise error
        return envelope

    def _access_of(self, call: ApiCall) -> Access:
        """The access to the account that the path of a call names; to the first one for a zone, which names none."""
        account = call.path.removeprefix("/accounts/").partition("/")[0]
        return self._accounts.get(account, self._access)

    def _out_of_time(self) -> Exhausted:
        return Exhausted(
            f"the run reached its time limit of {self._bounds.run_s:.0f} s",
            hint="completed steps are kept; run the same command again to continue",
            code=Code.STORE_TIMEOUT,
        )


@lru_cache(maxsize=1024)
def _parse_url(text: str) -> httpx.URL:
    """The URL, parsed once: httpx itself would parse it three times per call, half of the cost of a call."""
    return httpx.URL(text)


def _was_closed() -> StoreClosed:
    return StoreClosed("the run was interrupted before this call could be made", hint=AGAIN)


def send_patiently(client: Client, call: ApiCall, random: Callable[[], float]) -> Envelope:
    """The envelope of a success; the error of `Client.send` if every attempt failed.

    An upload or a signature is repeated only if it certainly did not reach the server. After a delete whose answer was
    lost, "not found" counts as a success, because that delete may have worked. `random` returns numbers from 0 to 1.
    """
    unsure = False
    for attempt in count(1):
        begun = client.monotonic()
        try:
            return client.send(call)
        except EntryNotFound:
            if unsure and call.operation is Operation.DELETE:
                return Envelope(success=True)
            raise
        except NoAnswer as error:
            repeatable = not error.sent or not call.operation.is_once
            if error.lasting or not repeatable or attempt == ATTEMPTS:
                raise
            unsure = unsure or error.sent
            why = f"{error.message}; retrying ({attempt} of {ATTEMPTS - 1})"
            lost_s = client.monotonic() - begun
        client.wait(backoff_s(attempt, random()), why, lost_s=lost_s)
    raise AssertionError  # count() does not end


def backoff_s(attempt: int, random: float) -> float:
    """Seconds to wait: 0.5 after the first attempt, twice as long after each further one, plus or minus up to half.

    The jitter separates jobs that failed at the same moment.
    """
    return _FIRST_PAUSE_S * 2.0 ** (attempt - 1) * (0.5 + random)
