"""The emulator over HTTP: uvicorn, in a thread for tests or in the foreground for the command line."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Collection, Iterator, MutableMapping
from concurrent.futures import Future
from typing import Any
from urllib.parse import parse_qsl

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from reconciler.emulator.app import PREFIX, answer
from reconciler.emulator.state import EmulatorState
from reconciler.emulator.wire import Delivery, Reply, Request, failure, unexpected_host
from reconciler.findings.errors import AddressError

OnReply = Callable[[Request, Reply], None]

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]

_MOST_BODY = 64 * 1024 * 1024
_NO_LINGER = struct.pack("ii", 1, 0)


@contextlib.contextmanager
def running(state: EmulatorState, on_reply: OnReply | None = None) -> Iterator[str]:
    """The base URL of a server over this state, on a free loopback port, for the duration of the `with`."""
    with contextlib.closing(listen("127.0.0.1", 0)) as listening:
        server = _Stoppable(_config(state, listening, on_reply=on_reply))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield base_url(listening)  # a client that connects before the server is ready waits in the socket's queue
        finally:
            server.stopped.set_result(None)
            thread.join()


class _Stoppable(uvicorn.Server):
    """Stops at once; uvicorn itself checks every 0.1 s whether it should stop, and then waits for another 0.1 s."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stopped: Future[None] = Future()

    async def main_loop(self) -> None:
        await asyncio.wrap_future(self.stopped)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - `running` closes it
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await asyncio.sleep(0)  # connections close; a reply that is still delayed is cancelled with the loop


def serve(
    state: EmulatorState, listening: socket.socket, *, hosts: Collection[str] = (), on_reply: OnReply | None = None
) -> None:
    """Answer requests until a signal ends it; the signal is raised again afterwards. `hosts` are additional names."""
    uvicorn.Server(_config(state, listening, hosts, on_reply)).run(sockets=[listening])


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free port. AddressError if the address can't be used."""
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=128
        )
    except (OSError, OverflowError, UnicodeError) as error:
        hint = "choose another port with --port, or 0 for a free one"
        raise AddressError(f"can't listen on {host} port {port}: {error}", hint=hint) from error


def base_url(listening: socket.socket) -> str:
    """The value for CLOUDFLARE_API_BASE_URL."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{PREFIX}"


_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:/@\[\]]+)(:[0-9]{1,5})?")


def is_expected(host: str, listening: str, hosts: Collection[str]) -> bool:
    """Whether a request with this `Host` may be answered: it names this machine by an address, or by an allowed name.

    A web page can reach the emulator under a name of its own, by DNS rebinding, but not under an address.
    """
    found = _HOST.fullmatch(host.lower())
    if found is None:
        return False
    name = found[1].strip("[]")
    if name == "localhost" or name in hosts:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback or not ipaddress.ip_address(listening).is_loopback
    except ValueError:
        return False


def _config(
    state: EmulatorState, listening: socket.socket, hosts: Collection[str] = (), on_reply: OnReply | None = None
) -> uvicorn.Config:
    address: str = listening.getsockname()[0]
    names = frozenset(name.lower() for name in hosts)
    transports: dict[tuple[str, int], asyncio.Transport] = {}

    class Protocol(H11Protocol):
        """Keeps its transport, because ASGI has no way to break a connection."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            # asyncio does this only for sockets marked as TCP, and ours are not; without it a reply takes 40 ms more.
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.client is not None:
                transports[self.client] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            if self.client is not None:
                transports.pop(self.client, None)
            super().connection_lost(exc)

    async def app(scope: _Message, receive: _Receive, send: _Send) -> None:
        request = await _read(scope, receive)
        if request is None:
            return await _send(Reply(413, b""), send)
        if is_expected(request.headers.get("host", ""), address, names):
            reply = answer(state, request)
        else:
            reply = failure(unexpected_host())
        if on_reply is not None:
            on_reply(request, reply)
        if reply.delay_s:
            await asyncio.sleep(reply.delay_s)
        if reply.delivery is Delivery.WHOLE:
            return await _send(reply, send)
        return await _break(reply, transports.get(scope["client"]), receive, send)

    return uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=1,
    )


async def _read(scope: _Message, receive: _Receive) -> Request | None:
    """The whole request; None if its body is too large."""
    body = bytearray()
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > _MOST_BODY:
            return None
    query = parse_qsl(scope["query_string"].decode(errors="replace"), keep_blank_values=True)
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    client = scope["client"][0] if scope["client"] else ""
    return Request(scope["method"], scope["path"], tuple(query), headers, bytes(body), client)


async def _send(reply: Reply, send: _Send) -> None:
    await _start(reply, send)
    await send({"type": "http.response.body", "body": reply.body})


async def _start(reply: Reply, send: _Send) -> None:
    headers = {**reply.headers, "content-length": str(len(reply.body))}
    told = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": told})


async def _break(reply: Reply, transport: asyncio.Transport | None, receive: _Receive, send: _Send) -> None:
    """Send an incomplete reply; ends when the connection has ended, else uvicorn would answer with 500."""
    if transport is not None:
        match reply.delivery:
            case Delivery.RESET:
                connection = transport.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                transport.abort()
            case Delivery.CLOSED:
                transport.abort()
            case Delivery.CUT:
                await _start(reply, send)
                half = reply.body[: len(reply.body) // 2]
                await send({"type": "http.response.body", "body": half, "more_body": True})
                transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass
