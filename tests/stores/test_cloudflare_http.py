"""The Cloudflare store over real connections on this machine: TLS, proxies, redirects, and whole runs of the tool."""

from __future__ import annotations

import contextlib
import gzip
import os
import socket
import ssl
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import httpx
import pytest
import trustme

from reconciler.cli.commands import COMMANDS, load_command
from reconciler.model import StoreKind, StoreSettings
from reconciler.model.errors import StoreError
from reconciler.stores import StoreContext
from reconciler.stores.cloudflare.client import Time
from reconciler.stores.cloudflare.errors import NoAnswer, UnusableReply
from reconciler.stores.cloudflare.store import CloudflareReader
from tests.cli.test_canaries import search
from tests.project.test_house import ROOT, imported
from tests.support.cli import MTLS, Project, make_project
from tests.support.cloudflare_server import (
    ACCOUNT,
    TOKEN,
    FakeCloudflare,
    FakeTime,
    Fault,
    Respond,
    answer,
    limited,
    lost,
    make_server,
    refusing,
    torn,
)
from tests.support.embedded import open_reader
from tests.support.store_contract import SetClock
from tests.support.worlds import issued

HEAD = f'[store]\nkind = "cloudflare"\naccount_id = "{ACCOUNT}"\n'


@contextlib.contextmanager
def serving(server: FakeCloudflare, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """The base URL at which the server answers during the `with`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True
        fake: ClassVar[FakeCloudflare] = server

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            url = f"http://server{self.path}"
            request = httpx.Request(self.command, url, headers=list(self.headers.items()), content=body)
            try:
                response = self.fake.handle(request)
            except httpx.TransportError:
                self.close_connection = True
                return
            self.send_response(response.status_code)
            assert isinstance(response.stream, httpx.SyncByteStream)
            sent = b"".join(response.stream)  # packed, if it is
            for name, value in response.headers.items():
                if name not in {"content-length", "transfer-encoding"}:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.handle_error = lambda *_: None  # type: ignore[method-assign]
        if context is not None:
            http.socket = context.wrap_socket(http.socket, server_side=True)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http{'s' if context else ''}://127.0.0.1:{http.server_port}/client/v4"
        finally:
            http.shutdown()
            thread.join()


def reader_of(base_url: str) -> CloudflareReader:
    environ = {**os.environ, "CLOUDFLARE_API_TOKEN": TOKEN, "CLOUDFLARE_API_BASE_URL": base_url}
    context = StoreContext(environ)
    settings = StoreSettings(StoreKind.CLOUDFLARE, ACCOUNT)
    reader = open_reader(settings, root=Path(), clock=SetClock(), context=context)
    assert isinstance(reader, CloudflareReader)
    return reader


def test_only_this_store_and_the_room_for_calls_speak_http() -> None:
    """So all network access is in two places, and everything else starts without the library."""
    speaking = (path for path in ROOT.rglob("*.py") if any(name.split(".")[0] == "httpx" for name in imported(path)))
    assert {path.relative_to(ROOT).parts[:-1] for path in speaking} == {("stores", "cloudflare"), ("web",)}


@pytest.fixture
def company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's TLS context, with its CA in SSL_CERT_FILE."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    bundle = tmp_path / "company.pem"
    authority.cert_pem.write_to_path(bundle)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    return context


def test_a_server_must_prove_who_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On this machine, too. SSL_CERT_FILE names a company's own CA; nothing turns the check off."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    bundle = tmp_path / "company.pem"
    authority.cert_pem.write_to_path(bundle)
    server = make_server()
    with serving(server, context) as base_url:
        with contextlib.closing(reader_of(base_url)) as reader, pytest.raises(NoAnswer) as caught:
            reader.list_entries()
        assert "TLS verification failed" in caught.value.message
        assert "SSL_CERT_FILE" in (caught.value.hint or "")
        assert reader.calls == 1
        assert server.calls == []
        monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
        with contextlib.closing(reader_of(base_url)) as reader:
            assert reader.list_entries().entries == ()


def test_a_token_in_clear_goes_through_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain http is only for this machine, and a proxy could read the token."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with serving(make_server()) as base_url, contextlib.closing(reader_of(base_url)) as reader:
        assert reader.list_entries().entries == ()


def test_a_packed_reply_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is unpacked is counted before more is: 63 kB that hold 62 MB never cost more than a reply may have."""
    bomb = gzip.compress(bytes(62 << 20))
    made: list[int] = []
    new = zlib.decompressobj

    class Counted:
        """Unpacks, and counts what was unpacked."""

        def __init__(self, wbits: int) -> None:
            self.inflate = new(wbits)

        def decompress(self, data: bytes, most: int = 0) -> bytes:
            out = self.inflate.decompress(data, most)
            made.append(len(out))
            return out

        def __getattr__(self, name: str) -> object:
            return getattr(self.inflate, name)

    def explode(_: httpx.Request, __: Respond) -> httpx.Response:
        return httpx.Response(200, headers={"content-encoding": "gzip"}, content=iter([bomb]))

    monkeypatch.setattr("reconciler.stores.cloudflare.body.zlib.decompressobj", Counted)
    server = make_server()
    server.fail("GET", explode)
    with (
        serving(server) as base_url,
        contextlib.closing(reader_of(base_url)) as reader,
        pytest.raises(UnusableReply, match="larger than 20 MB"),
    ):
        reader.list_entries()
    assert reader.calls == 1
    assert 20_000_000 < sum(made) <= 20_000_000 + (1 << 16)


def test_a_redirect_is_not_followed() -> None:
    """Not even to a server that would answer."""
    server, other = make_server(), make_server()
    with serving(server) as base_url, serving(other) as elsewhere, contextlib.closing(reader_of(base_url)) as reader:
        server.fail("GET", answer(307, headers={"location": elsewhere}))
        with pytest.raises(StoreError, match="redirects to 127"):
            reader.list_entries()
    assert other.calls == []


@dataclass
class Tunnel:
    """A proxy that connects to any requested host and records the requests; or refuses with `status`."""

    status: int = 200
    asked: list[bytes] = field(default_factory=list)

    def serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            request = b"".join(iter(lines.readline, b"\r\n"))
            self.asked.append(request)
            connection.sendall(b"HTTP/1.1 %d x\r\n\r\n" % self.status)
            if self.status != 200:
                return
            host, port = request.split()[1].decode().split(":")
            with socket.create_connection((host, int(port))) as onward:
                back = threading.Thread(target=_pump, args=(onward, connection))
                back.start()
                _pump(connection, onward)
                back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Copy bytes from one socket to the other until the first one ends."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def tunneling(tunnel: Tunnel) -> Iterator[str]:
    """The address of the proxy."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=tunnel.serve, args=(listening.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://user:canary@127.0.0.1:{listening.getsockname()[1]}"


def test_a_company_proxy_is_used_and_sees_no_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, company: ssl.SSLContext
) -> None:
    """HTTPS_PROXY leads to the server; the call itself is inside TLS."""
    tunnel = Tunnel()
    with serving(make_server(), company) as base_url, tunneling(tunnel) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        with contextlib.closing(reader_of(base_url)) as reader:
            assert reader.list_entries().entries == ()
        host = base_url.removeprefix("https://").partition("/")[0]
    (asked,) = tunnel.asked
    assert asked.startswith(f"CONNECT {host} HTTP/1.1".encode())
    assert TOKEN.encode() not in asked


def test_a_proxy_that_refuses_is_said_and_its_address_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, company: ssl.SSLContext
) -> None:
    """The address may contain a password."""
    with serving(make_server(), company) as base_url, tunneling(Tunnel(407)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        monkeypatch.setattr("reconciler.stores.cloudflare.Time", lambda now: replace(Time(now), sleep=lambda _: None))
        with contextlib.closing(reader_of(base_url)) as reader, pytest.raises(NoAnswer, match="proxy") as caught:
            reader.list_entries()
    assert "HTTPS_PROXY" in (caught.value.hint or "")
    assert "canary" not in f"{caught.value.message}{caught.value.hint}"


# --- whole runs -------------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> FakeCloudflare:
    return make_server()


@pytest.fixture
def project(tmp_path: Path, server: FakeCloudflare) -> Iterator[Project]:
    project = make_project(tmp_path, MTLS + HEAD)
    with serving(server) as base_url:
        project.environ |= {"CLOUDFLARE_API_TOKEN": TOKEN, "CLOUDFLARE_API_BASE_URL": base_url}
        yield project


def test_a_first_apply_and_then_nothing_to_do(project: Project, server: FakeCloudflare) -> None:
    """Uploaded, bound, and found again; a plan costs one call here."""
    assert project.run("apply", "--yes").code == 0
    (entry,) = server.store.list_entries().entries
    assert entry.name.startswith("payments.billing.")
    assert entry.id in project.read("wrangler.toml")
    before = len(server.calls)
    assert project.run("plan", "--detailed-exitcode").code == 0
    assert len(server.calls) == before + 1


def test_what_is_there_is_adopted(project: Project, server: FakeCloudflare) -> None:
    """No matter who uploaded it; no call changes anything, and no key is needed."""
    entry = server.store.seed(type_="custom", name="by hand", ca=False, certificates=issued(1).certificate_pem.decode())
    del project.environ["BILLING_KEY"]
    assert project.run("apply", "--yes").code == 0
    assert entry.id in project.read("wrangler.toml")
    assert all(call.startswith("GET") for call in server.calls)


def test_an_upload_whose_reply_is_lost_is_found(project: Project, server: FakeCloudflare) -> None:
    """One run, one uploaded certificate, bound."""
    server.fail("POST", lost)
    result = project.run("apply", "--yes")
    assert result.code == 0, result.err
    (entry,) = server.store.list_entries().entries
    assert entry.id in project.read("wrangler.toml")


def test_an_unknown_answer_is_shown_unchanged_and_shows_no_secret(project: Project, server: FakeCloudflare) -> None:
    """In every format, with the token and the key as canaries."""
    body = issued(1).key_pem.decode().replace("\n", "\\n")
    texts = ("Tuesdays only", f"you sent {TOKEN} and {body}")
    results = []
    for text in texts:
        server.fail("POST", refusing(400, 4711, text))
        results.append(project.run("apply", "--yes", "--verbose", "--format", "json", "--out", "outcome.json"))
    assert [result.code for result in results] == [1, 1]
    assert "Cloudflare 4711 Tuesdays only" in results[0].out
    assert "4711" in results[1].out
    search(project, results, (1,), ())
    for text in (*(result.out + result.err for result in results), project.read("outcome.json")):
        assert TOKEN not in text


@pytest.mark.parametrize("log", [("--verbose",), ("--log-format", "json")], ids=["text", "json"])
def test_the_log_of_calls_shows_no_secret(
    project: Project, server: FakeCloudflare, time: FakeTime, log: tuple[str, ...]
) -> None:
    """Whatever the server does with what it was sent: in headers, refusals, pages, redirects, and half replies."""
    body = issued(1).key_pem.decode().replace("\n", "\\n")
    quotes = f"you sent Bearer {TOKEN} and {body}"
    server.headers = lambda: {"cf-ray": TOKEN, "ratelimit": f'"{TOKEN}";r=9;t=9', "ratelimit-policy": quotes}
    faults: list[Fault] = [
        *(refusing(400, 4711, quotes), answer(500, text=quotes), answer(403, text=f"<html>{quotes}"), limited("7")),
        *(answer(302, headers={"location": f"https://evil.example/{TOKEN}?{TOKEN}"}), lost, torn),
    ]
    results = []
    for fault in faults:
        server.fail("GET", fault)
        server.fail("POST", fault)
        results.append(project.run("plan", *log))
        results.append(project.run("apply", "--yes", *log))
    results.append(project.run("plan", "--live", *log))
    calls = [line for result in results for line in result.err.splitlines() if "{account_id}" in line]
    assert len(calls) == len(server.calls)
    assert {result.code for result in results} == {0, 1}
    search(project, results, (1,), ())
    assert all(TOKEN not in result.out + result.err for result in results)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    """The clock of every client; it moves only by waiting."""
    fake = FakeTime()
    clocks = Time(now=fake.now, monotonic=fake.monotonic, sleep=fake.sleep)
    monkeypatch.setattr("reconciler.stores.cloudflare.Time", lambda **_: clocks)
    return fake


def test_a_429_fails_no_run_that_may_wait(project: Project, server: FakeCloudflare, time: FakeTime) -> None:
    """Whichever call gets it; each wait is reported on stderr, and stdout remains a document."""
    server.fail("GET", limited("287"))
    server.fail("POST", limited("300"))
    result = project.run("apply", "--yes", "--format", "json")
    assert result.code == 0
    assert time.sleeps == [287.0, 300.0]
    assert "waiting 287 s for Cloudflare's rate limit, until 12:21:27 UTC" in result.err
    assert result.json["exit_code"] == 0


@pytest.mark.parametrize("command", ["plan", "status", "drift", "forecast", "apply"])
def test_a_run_waits_no_longer_than_max_wait(
    project: Project, server: FakeCloudflare, time: FakeTime, command: str
) -> None:
    """The error says how much would be enough, and no further call is made."""
    server.fail("GET", limited("287"))
    result = project.run(command, "--max-wait", "4m")
    assert result.code == 1
    assert "error[rate-limited]" in result.err
    assert "`--max-wait 5m`" in result.err
    assert (time.sleeps, len(server.calls)) == ([], 1)


def test_every_command_that_asks_the_store_can_be_told_how_long_to_wait() -> None:
    """Only these commands: one that makes no calls never waits."""
    commands = {name: load_command(name) for name in COMMANDS}
    silent = {"completion", "doctor", "dev", "emulator", "history", "renew", "replay", "schema", "show", "validate"}
    waiting = {name for name, command in commands.items() if any("--max-wait" in each.opts for each in command.params)}
    assert waiting == set(commands) - silent


def test_max_wait_is_for_the_whole_run(project: Project, server: FakeCloudflare, time: FakeTime) -> None:
    """The plan used the time already, so the upload may not wait."""
    server.fail("GET", limited("200"))
    server.fail("POST", limited("200"))
    result = project.run("apply", "--yes", "--max-wait", "5m")
    assert result.code == 1
    assert "error[rate-limited]" in result.out
    assert time.sleeps == [200.0]


def test_a_time_that_is_none_is_wrong_use(project: Project) -> None:
    """The error has an example of a valid one."""
    result = project.run("plan", "--max-wait", "soon")
    assert (result.code, "write 30s, 5m or 1h" in result.err) == (64, True)


def test_a_global_key_beside_the_token_is_said_once(project: Project) -> None:
    """wrangler would use it, perhaps for another account."""
    project.environ["CLOUDFLARE_API_KEY"] = "canary-key"
    result = project.run("apply", "--yes")
    assert result.code == 0
    assert result.err.count("CLOUDFLARE_API_KEY is set, too: mtlsctl uses only the token") == 1
    assert "canary-key" not in result.out + result.err
