"""The Cloudflare store over real connections to this machine: TLS, proxies, redirects, and whole runs of the tool."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import httpx
import pytest
import trustme

from reconciler.core.errors import StoreError
from reconciler.core.model import StoreKind, StoreSettings
from reconciler.stores import Surroundings, open_reader
from reconciler.stores.cloudflare.errors import NoAnswer
from reconciler.stores.cloudflare.reader import CloudflareReader
from tests.cli import MTLS, Project, make_project
from tests.cloudflare_server import ACCOUNT, TOKEN, FakeCloudflare, answer, lost, make_server, refusing
from tests.store_contract import SetClock
from tests.test_canaries import search
from tests.test_house import ROOT, imported
from tests.worlds import issued

HEAD = f'[store]\nkind = "cloudflare"\naccount_id = "{ACCOUNT}"\n'


@contextlib.contextmanager
def serving(server: FakeCloudflare, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """The base URL at which the server answers as long as the `with` lasts."""

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
            for name, value in response.headers.items():
                if name != "content-length":
                    self.send_header(name, value)
            self.send_header("content-length", str(len(response.content)))
            self.end_headers()
            self.wfile.write(response.content)

        do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.handle_error = lambda *_: None  # type: ignore[method-assign]
        if context is not None:
            http.socket = context.wrap_socket(http.socket, server_side=True)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http{'s' if context else ''}://127.0.0.1:{http.server_port}/client/v4"
        http.shutdown()
        thread.join()


def reader_of(base_url: str) -> CloudflareReader:
    around = Surroundings({"CLOUDFLARE_API_TOKEN": TOKEN, "CLOUDFLARE_API_BASE_URL": base_url})
    settings = StoreSettings(StoreKind.CLOUDFLARE, ACCOUNT)
    reader = open_reader(settings, root=Path(), clock=SetClock(), around=around)
    assert isinstance(reader, CloudflareReader)
    return reader


def test_only_this_store_speaks_http() -> None:
    """So that who talks to whom can be read in one place, and everything else starts without the library."""
    speaking = (path for path in ROOT.rglob("*.py") if any(name.split(".")[0] == "httpx" for name in imported(path)))
    importing = {path.relative_to(ROOT).parts[:2] for path in speaking}
    assert importing == {("stores", "cloudflare")}


def test_a_server_must_prove_who_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On this machine too. A company's own CA is named by SSL_CERT_FILE; nothing switches the check off."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    bundle = tmp_path / "company.pem"
    authority.cert_pem.write_to_path(bundle)
    server = make_server()
    with serving(server, context) as base_url:
        with contextlib.closing(reader_of(base_url)) as reader, pytest.raises(NoAnswer) as caught:
            reader.list_entries()
        assert "does not prove" in caught.value.message
        assert "SSL_CERT_FILE" in (caught.value.hint or "")
        assert reader.calls == 1
        assert server.calls == []
        monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
        with contextlib.closing(reader_of(base_url)) as reader:
            assert reader.list_entries().entries == ()


def test_a_token_in_clear_goes_through_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain http is for this machine, so a proxy would be the one who reads it."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with serving(make_server()) as base_url, contextlib.closing(reader_of(base_url)) as reader:
        assert reader.list_entries().entries == ()


def test_a_redirect_is_not_followed() -> None:
    """Not even to a server that would answer."""
    server, other = make_server(), make_server()
    with serving(server) as base_url, serving(other) as elsewhere, contextlib.closing(reader_of(base_url)) as reader:
        server.fail("GET", answer(307, headers={"location": elsewhere}))
        with pytest.raises(StoreError, match="redirects to 127"):
            reader.list_entries()
    assert other.calls == []


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
    """Uploaded, bound, and found again; a plan is one call here."""
    assert project.run("apply", "--yes").code == 0
    (entry,) = server.store.list_entries().entries
    assert entry.name.startswith("payments.billing.")
    assert entry.id in project.read("wrangler.toml")
    before = len(server.calls)
    assert project.run("plan", "--detailed-exitcode").code == 0
    assert len(server.calls) == before + 1


def test_what_is_there_is_adopted(project: Project, server: FakeCloudflare) -> None:
    """Whoever uploaded it; no call changes anything, and no key is needed."""
    entry = server.store.seed(type_="custom", name="by hand", ca=False, certificates=issued(1).certificate_pem.decode())
    del project.environ["BILLING_KEY"]
    assert project.run("apply", "--yes").code == 0
    assert entry.id in project.read("wrangler.toml")
    assert all(call.startswith("GET") for call in server.calls)


def test_an_upload_whose_reply_is_lost_is_found(project: Project, server: FakeCloudflare) -> None:
    """One run, one entry, bound."""
    server.fail("POST", lost)
    result = project.run("apply", "--yes")
    assert result.code == 0, result.err
    (entry,) = server.store.list_entries().entries
    assert entry.id in project.read("wrangler.toml")


def test_an_unknown_answer_is_shown_unchanged_and_shows_no_secret(project: Project, server: FakeCloudflare) -> None:
    """In every format, with the token and the key planted as canaries."""
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
