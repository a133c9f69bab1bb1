"""The emulator for tests: over HTTP with `reconciler.emulator.server.running`, or with this module, without a
socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from urllib.parse import parse_qsl

import httpx

from reconciler.emulator.app import PREFIX, answer
from reconciler.emulator.faults import FaultKind
from reconciler.emulator.settings import Limiter
from reconciler.emulator.state import ACCOUNT_ID, EmulatorState, new_state
from reconciler.emulator.wire import Delivery, Request
from reconciler.model.ports import Clock
from tests.support.store_contract import SetClock

TOKEN = "a-token-of-the-tests"
LOST_ANSWERS = [
    (FaultKind.LOST_REPLY, True),
    (FaultKind.HANG_AFTER, True),
    (FaultKind.SERVER_ERROR_AFTER, True),
    (FaultKind.RESET, False),
    (FaultKind.HANG, False),
]
"""Faults that lose the answer of a change, and whether the change is made."""
HEADERS = {"authorization": f"Bearer {TOKEN}"}


def account_environ(url: str) -> dict[str, str]:
    """The variables by which mtlsctl and wrangler call the emulator at this address."""
    return {"CLOUDFLARE_API_BASE_URL": url, "CLOUDFLARE_ACCOUNT_ID": ACCOUNT_ID, "CLOUDFLARE_API_TOKEN": TOKEN}


class DirectTransport(httpx.BaseTransport):
    """Passes each request of an httpx client to the emulator. Delays go to `wait`, which may set a clock forward.

    Faults look to the client as they would over a socket; a reply that never comes is an immediate timeout.
    """

    def __init__(self, state: EmulatorState, *, wait: Callable[[float], None] = lambda _: None) -> None:
        self._state = state
        self._wait = wait

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        query = parse_qsl(request.url.query.decode(), keep_blank_values=True)
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = Request(request.method, request.url.path, tuple(query), headers, request.read())
        reply = answer(self._state, asked)
        self._wait(reply.delay_s)
        match reply.delivery:
            case Delivery.WHOLE:
                return httpx.Response(reply.status, headers=dict(reply.headers), content=reply.body)
            case Delivery.CUT:
                told = {**reply.headers, "content-length": str(len(reply.body))}
                return httpx.Response(reply.status, headers=told, stream=_Half(reply.body))
            case Delivery.CLOSED:
                raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)
            case Delivery.RESET:
                raise httpx.ReadError("Connection reset by peer", request=request)
            case Delivery.HANGING:
                raise httpx.ReadTimeout("timed out", request=request)


class _Half(httpx.SyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        yield self._body[: len(self._body) // 2]
        raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")


def numbered_ids(first: int = 1) -> Callable[[], str]:
    """Ids that are the same in every run: 00000001-0000-4000-8000-000000000000, ..."""
    numbers = count(first)
    return lambda: f"{next(numbers):08x}-0000-4000-8000-000000000000"


def make_state(clock: Clock | None = None, *, first_id: int = 1) -> EmulatorState:
    """An emulator with one account, a clock that does not move, repeatable ids, and no request limit."""
    state = new_state(clock or SetClock())
    state.limiter = Limiter(None)
    state.ids = numbered_ids(first_id)
    state.accounts.clear()
    state.add_account()
    return state


def client_of(state: EmulatorState, *, token: str | None = TOKEN) -> httpx.Client:
    """A client of the account, whose paths are relative to it, such as `/mtls_certificates`."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    url = f"http://emulator{PREFIX}/accounts/{ACCOUNT_ID}"
    return httpx.Client(transport=DirectTransport(state), base_url=url, headers=headers)
