"""Cloudflare's edge in small: real workerd behind a switch that drains, serving what an emulated account deploys."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.emulator.account import Account
from reconciler.model.ports import PrivateKey
from reconciler.runtime.bundling import bundle
from reconciler.runtime.workerd import listen, serving
from reconciler.workerd.config import BindingIdentity, ServedWorker, Variable, write_config
from reconciler.workerd.door import hosts_at
from reconciler.workerd.form import read_form
from reconciler.x509.certificates import parse_stored
from tests.support.pki import Issued
from tests.support.runtime_programs import node_path, workerd
from tests.support.wrangler_readers import MODULES

_WAIT_S = 120
"""Until a test is given up, on however slow a machine."""


class Switch:
    """Hands each connection to the backend of the moment. Those that an older backend has, it keeps to their end."""

    def __init__(self) -> None:
        self.port = 0
        self._backend = 0
        self._connections: Counter[int] = Counter()
        self._draining: set[int] = set()
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()

    @contextlib.contextmanager
    def running(self) -> Iterator[Switch]:
        """In a thread of its own."""
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self._end(server), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    def point_to(self, backend: int) -> None:
        """From now on every new connection is this port's."""
        with self._changed:
            self._backend = backend

    def drain(self, backend: int) -> None:
        """Wait until no connection of this port is left."""
        with self._changed:
            self._draining.add(backend)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: not self._connections[backend], _WAIT_S)

    def wait_for_draining(self, backend: int) -> None:
        """Until somebody waits for the last connections of this port."""
        with self._changed:
            assert self._changed.wait_for(lambda: backend in self._draining, _WAIT_S)

    async def _end(self, server: asyncio.Server) -> None:
        """Close every connection: one that is only dropped is a warning in a later test."""
        server.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self._changed:
            backend = self._backend
            self._connections[backend] += 1
        try:
            with contextlib.suppress(OSError):  # whoever asked sees that the connection ends
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", backend)
                await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            writer.close()
            with self._changed:
                self._connections[backend] -= 1
                self._changed.notify_all()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@dataclass
class Edge:
    """Serves a Worker of the account. `pairs` are what Cloudflare keeps and gives nobody back, by fingerprint."""

    account: Account
    config: Path
    switch: Switch
    pairs: dict[str, Issued]
    trusted: tuple[str, ...]
    lines: list[str] = field(default_factory=list)
    port: int = 0
    _running: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _ready: int = 0
    _next: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def roll_out(self) -> None:
        """Serve the version that is deployed now."""
        self.start()
        self.turn()

    def start(self) -> None:
        """Make that version ready, beside the one that serves."""
        with contextlib.ExitStack() as starting:
            listening = starting.enter_context(listen(0))
            config = write_config(self._deployed(), hosts_at(self.switch.port))
            hear = self.lines.append
            starting.enter_context(serving(workerd(), config, listening, environ={}, on_out=hear, on_err=hear))
            self._ready, self._next = listening.getsockname()[1], starting.pop_all()

    def turn(self) -> None:
        """Turn the switch to it; the one before drains, and ends."""
        before, old = self.port, self._running
        self.port, self._running = self._ready, self._next
        self.switch.point_to(self.port)
        self.switch.drain(before)
        old.close()

    def close(self) -> None:
        """End what runs."""
        self._running.close()
        self._next.close()

    def _deployed(self) -> ServedWorker:
        """The one version that serves: its code as wrangler makes it, its bindings as the account has them."""
        environ = {"PATH": node_path(), "HOME": str(self.config.parent)}
        form = bundle(MODULES / ".bin/wrangler", self.config, None, environ=environ, on_line=self.lines.append)
        built = read_form(form)
        (worker,) = self.account.holders.workers.values()
        (version,) = worker.deployed()
        resources = version["resources"]
        assert isinstance(resources, dict)
        bindings = [(str(one["name"]), self._served(one)) for one in resources["bindings"]]
        return ServedWorker(built.modules, bindings, built.compatibility_date)

    def _served(self, binding: Mapping[str, object]) -> BindingIdentity | Variable:
        if binding["type"] == "plain_text":
            return Variable(binding["text"])
        entry = self.account.get(str(binding["certificate_id"]))
        assert entry is not None
        stored = parse_stored(entry.certificates)
        assert stored is not None
        return BindingIdentity(stored.pem(), PrivateKey(self.pairs[stored.fingerprint].key_pem), self.trusted)


@dataclass
class Load:
    """A small steady load: `clients` that ask, and ask again after a pause, each time over a new connection.

    `answers` has every answer in its order, an exception's name where there was none. It never makes more than `most`.
    """

    port: int
    clients: int = 2
    pause_s: float = 0.03
    most: int = 5000
    answers: list[tuple[int, str] | str] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _ended: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def running(self) -> Iterator[Load]:
        """As long as the `with` lasts."""
        threads = [threading.Thread(target=self._ask_on, daemon=True) for _ in range(self.clients)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()

    def next(self, count: int) -> Sequence[tuple[int, str] | str]:
        """The next answers to questions that are asked from now on, or a few more."""
        with self._changed:
            start = len(self.answers) + self.clients  # those that are under way were asked before
            enough: Callable[[], bool] = lambda: len(self.answers) >= min(start + count, self.most)  # noqa: E731
            assert self._changed.wait_for(enough, _WAIT_S)
            return self.answers[start:]

    def _ask_on(self) -> None:
        while not self._ended.wait(self.pause_s):
            answer = self._ask()
            with self._changed:
                self.answers.append(answer)
                self._changed.notify_all()
                if len(self.answers) >= self.most:
                    return

    def _ask(self) -> tuple[int, str] | str:
        try:
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=_WAIT_S)) as connection:
                connection.request("GET", "/")
                reply = connection.getresponse()
                return reply.status, reply.read().decode()
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
