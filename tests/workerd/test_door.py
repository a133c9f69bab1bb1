"""The Worker in front of those that run here: what web pages could send is refused, everything else goes through."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import socket
from collections.abc import Iterator
from queue import SimpleQueue

import pytest

from reconciler.runtime.workerd import listen, serving
from reconciler.workerd.config import ServedWorker, write_config
from reconciler.workerd.door import hosts_at
from reconciler.workerd.form import Module, ModuleKind
from tests.support.runtime_programs import workerd

MAIN = b"""\
export default {
  async fetch(request) {
    const { pathname, search } = new URL(request.url);
    if (pathname === "/socket") {
      const [client, server] = Object.values(new WebSocketPair());
      server.accept();
      server.addEventListener("message", ({ data }) => server.send(`heard ${data}`));
      return new Response(null, { status: 101, webSocket: client });
    }
    if (pathname === "/away") return Response.redirect("https://elsewhere.example/", 302);
    if (pathname === "/broken") throw new Error(`thrown at ${search.slice(1)}`);
    if (pathname === "/packed") return new Response("packed", { headers: { "content-encoding": "gzip" } });
    return Response.json([request.method, request.url, await request.text(), [...request.headers]]);
  }
}
"""


@pytest.fixture(scope="module")
def lines() -> SimpleQueue[str]:
    return SimpleQueue()


@pytest.fixture(scope="module")
def port(lines: SimpleQueue[str]) -> Iterator[int]:
    """Where a Worker answers, also as `shop.example`."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(listen(0))
        found: int = listening.getsockname()[1]
        served = ServedWorker([Module("i.js", ModuleKind.ES, MAIN)], [], "2025-01-01")
        config = write_config(served, hosts_at(found, ["shop.example"]))
        stack.enter_context(serving(workerd(), config, listening, environ={}, on_out=lines.put, on_err=lines.put))
        yield found


def ask(port: int, path: str = "/", *, method: str = "GET", body: str = "", **headers: str) -> tuple[int, bytes]:
    """Status and body; a name of a header has _ for -."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        named = {name.replace("_", "-"): value.replace("PORT", str(port)) for name, value in headers.items()}
        connection.request(method, path.replace("PORT", str(port)), body, named)
        reply = connection.getresponse()
        return reply.status, reply.read()


OURS = ["127.0.0.1:PORT", "localhost:PORT", "LOCALHOST:PORT", "[::1]:PORT", "shop.example:PORT"]
FOREIGN = [
    *(
        "attacker.example",
        "attacker.example:PORT",
        "localhost:1",
        "localhost",
        "127.0.0.1",
        "127.1:PORT",
        "0.0.0.0:PORT",
    ),
    *("0x7f.0.0.1:PORT", "localhost.attacker.example:PORT", "localhost:PORT:PORT", "a@localhost:PORT", "::1:PORT", ""),
    *("localhost:PORT/", "localhost:PORT@attacker.example", "localhost.:PORT", "localhost:PORT, attacker.example"),
]


@pytest.mark.parametrize("host", OURS)
def test_its_own_names_are_answered(port: int, host: str) -> None:
    """And those that were allowed."""
    assert ask(port, Host=host)[0] == 200


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("host", FOREIGN)
def test_another_host_is_refused(port: int, host: str, method: str) -> None:
    """By DNS rebinding, a page reaches this port under its own name."""
    status, body = ask(port, method=method, Host=host)
    assert status in (400, 421)
    assert b"attacker" not in body


def test_a_request_without_a_host_is_refused(port: int) -> None:
    """As old clients send it."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert connection.recv(65536).split()[1] in (b"400", b"421")


def test_the_worker_never_sees_another_host(port: int) -> None:
    """Not in the URL of a request to a proxy, either, which no browser sends here."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(f"GET http://attacker.example/ HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode())
        reply = connection.recv(65536)
        assert f'"http://localhost:{port}/'.encode() in reply or reply.split()[1] == b"421"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://attacker.example"},
        {"Origin": "null"},
        {"Origin": "https://localhost.attacker.example:PORT"},
        {"Origin": "http://attacker.example", "Sec_Fetch_Site": "same-origin"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "cross-site", "Origin": "http://localhost:3000"},
    ],
)
def test_a_request_of_a_page_of_another_site_is_refused(port: int, headers: dict[str, str]) -> None:
    """The page can't read the answer, but the Worker would have called its origin."""
    for path, method in (("/", "GET"), ("/", "POST"), ("/socket", "GET")):
        assert ask(port, path, method=method, Host="localhost:PORT", **headers)[0] == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://localhost:PORT", "Sec_Fetch_Site": "same-origin"},
        {"Origin": "http://localhost:3000", "Sec_Fetch_Site": "same-site"},
        {"Origin": "https://shop.example"},
        {"Sec_Fetch_Site": "none"},
    ],
)
def test_a_page_of_this_machine_is_answered(port: int, headers: dict[str, str]) -> None:
    """A frontend that is developed on another port, and an address that was typed."""
    assert ask(port, Host="localhost:PORT", **headers)[0] == 200


def test_everything_else_goes_through_unchanged(port: int) -> None:
    """Method, URL, headers and body; redirects are not followed, and compressed bodies stay so."""
    _, body = ask(port, "/a%20b?c=%2F", method="PUT", body="text", Host="shop.example:PORT", X_Other="1")
    seen = body.decode()
    assert f'["PUT","http://shop.example:{port}/a%20b?c=%2F","text",' in seen
    assert '["x-other","1"]' in seen
    assert ask(port, "/away")[0] == 302
    assert gzip.decompress(ask(port, "/packed", Accept_Encoding="gzip")[1]) == b"packed"


def test_what_a_worker_throws_is_told_once(port: int, lines: SimpleQueue[str]) -> None:
    """As without a door; what it said of the first is complete once it says something of the second."""
    seen: list[str] = []
    for query in ("first", "second"):
        assert ask(port, f"/broken?{query}")[0] == 500
    while not any("thrown at second" in line for line in seen):
        seen.append(lines.get(timeout=60))
    assert sum("thrown at first" in line for line in seen) == 1


@pytest.mark.parametrize(("host", "status"), [("localhost", b"101"), ("attacker.example", b"421")])
def test_a_web_socket_passes_the_same_door(port: int, host: str, status: bytes) -> None:
    """Pages may open one to any host, without asking first."""
    lines = ["GET /socket HTTP/1.1", f"Host: {host}:{port}", "Connection: Upgrade", "Upgrade: websocket"]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""]
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall("\r\n".join(lines).encode())
        assert connection.recv(65536).split()[1] == status
        if status == b"101":
            connection.sendall(b"\x81\x82\0\0\0\0hi")  # a text frame; its mask is zero
            assert connection.recv(65536).endswith(b"heard hi")


def test_the_default_port_of_http_needs_no_number() -> None:
    """Browsers leave it out."""
    assert hosts_at(80, ["Shop.example"])[3:] == [
        "shop.example:80",
        *("127.0.0.1", "localhost", "[::1]", "shop.example"),
    ]
