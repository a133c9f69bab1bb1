"""Calls to an API: how long they wait, what they repeat, whom they trust, and what their errors say.

A forge stands for every other server.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

import pytest
import trustme

from reconciler.findings.codes import Code
from reconciler.findings.errors import ReconcilerError
from reconciler.forges.github import GitHub
from reconciler.model.web import Refusal, WebError
from reconciler.web.http import Address, Http, check_base_url, check_roots
from tests.support import forges
from tests.support.forges import TOKEN


@dataclass
class Asked:
    """The fake, the calls to it, and all waits."""

    fake: forges.GitHub
    http: Http
    waits: list[float] = field(default_factory=list)

    @property
    def github(self) -> GitHub:
        return GitHub(self.http, "acme/shop")


@pytest.fixture
def asked() -> Iterator[Asked]:
    """No test waits."""
    fake, waits = forges.GitHub(), list[float]()
    with fake.running() as url:
        address = Address("GitHub", url, {"authorization": f"Bearer {TOKEN}"}, Code.FORGE)
        with closing(Http(address, lambda _: None, waits.append)) as http:
            yield Asked(fake, http, waits)


def test_a_refused_call_is_repeated_after_the_time_that_the_forge_names(asked: Asked) -> None:
    """A comment was not written, so it can be written again."""
    asked.fake.fail("POST /repos", 429, retry_after="7")
    assert asked.github.add_comment(7, "text").body == "text"
    assert asked.waits == [7.0]


@pytest.mark.parametrize("limit", [{"retry_after": "3"}, {"x_ratelimit_remaining": "0"}])
def test_a_rate_limit_can_be_a_403(asked: Asked, limit: dict[str, str]) -> None:
    """GitHub answers so; without these headers it means that the token may not."""
    asked.fake.fail("GET", 403, **limit)  # type: ignore[arg-type]
    assert asked.github.changed_files(7) == frozenset()
    assert len(asked.waits) == 1
    asked.fake.fail("GET", 403)
    with pytest.raises(WebError) as error:
        asked.github.changed_files(7)
    assert error.value.refusal is Refusal.DENIED


def test_no_run_waits_longer_than_a_minute(asked: Asked) -> None:
    """In all: what is published is not worth more of a job's time."""
    for _ in range(9):
        asked.fake.fail("GET", 429, retry_after="25")
    for _ in range(2):
        with pytest.raises(WebError, match="its rate limit is reached"):
            asked.github.changed_files(7)
    assert asked.waits == [25.0, 25.0]
    asked.fake.failures.clear()
    asked.fake.fail("GET", 429, retry_after="3600")
    with pytest.raises(WebError, match="its rate limit is reached"):
        asked.github.changed_files(7)


def test_a_read_is_repeated_after_an_error_of_the_server(asked: Asked) -> None:
    """A few times, with growing pauses."""
    for _ in range(9):
        asked.fake.fail("GET", 500)
    with pytest.raises(WebError, match="it answered with 500") as error:
        asked.github.changed_files(7)
    assert error.value.refusal is Refusal.UNKNOWN
    assert asked.waits == [1.0, 2.0, 4.0]


def test_a_comment_is_not_repeated_after_an_error_of_the_server(asked: Asked) -> None:
    """It may have been written."""
    asked.fake.fail("POST /repos", 502)
    with pytest.raises(WebError):
        asked.github.add_comment(7, "text")
    assert asked.waits == []


@pytest.mark.parametrize("body", [None, "text", {"data": None, "errors": ["x"]}, [[[]]], [{"id": "x"}]])
def test_an_answer_of_another_form_is_an_error_that_does_not_show_it(asked: Asked, body: object) -> None:
    """As of a proxy that answers with a page of its own."""
    asked.fake.failures.append(("GET", (200, {}, body), False))
    with pytest.raises(WebError, match="is not what its API promises") as error:
        asked.github.changed_files(7)
    assert "text" not in error.value.message


def test_a_forge_that_does_not_answer_is_an_error(asked: Asked) -> None:
    """Nothing listens there."""
    address = Address("GitHub", "http://127.0.0.1:1", {"authorization": f"Bearer {TOKEN}"}, Code.FORGE)
    http = Http(address, lambda _: None, asked.waits.append)
    with closing(http), pytest.raises(WebError, match="it did not answer") as error:
        GitHub(http, "acme/shop").changed_files(7)
    assert TOKEN not in repr(address) + repr(error.value)


def test_an_answer_that_is_too_long_is_not_read(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded, whatever the server sends."""
    monkeypatch.setattr("reconciler.web.http._MOST_BYTES", 1000)
    asked.fake.files = ["x" * 2000]
    with pytest.raises(WebError, match="not completely"):
        asked.github.changed_files(7)


@pytest.mark.parametrize(
    "url", ["https://api.github.com/", "http://127.0.0.1:8080", "http://[::1]:1", "http://localhost"]
)
def test_an_address_is_https_or_on_this_machine(url: str) -> None:
    """Without the slash at its end."""
    assert check_base_url("GITHUB_API_URL", url, "unset it") == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        *("http://vault.example", "http://10.0.0.1", "ftp://127.0.0.1", "vault.example:8200", "https://", ""),
        *("https://user:secret@vault.example", "https://vault.example?x=1", "https://vault.example#x"),
        *("https://vault.example\n.evil.example", "https://vault.example:port", "http://localhost.evil.example"),
    ],
)
def test_no_token_is_sent_to_any_other_address(url: str) -> None:
    """The error does not show it: a password could be in it."""
    with pytest.raises(ReconcilerError, match="VAULT_ADDR is not the https address of an API") as error:
        check_base_url("VAULT_ADDR", url, "set it")
    assert "secret" not in error.value.message
    with pytest.raises(ValueError, match="Vault"):
        Address("Vault", url, {}, Code.FORGE)


def test_a_call_that_was_not_sent_is_repeated(asked: Asked) -> None:
    """Whatever it would have done."""
    address = Address("GitHub", "http://127.0.0.1:1", {}, Code.FORGE)
    http = Http(address, lambda _: None, asked.waits.append)
    with closing(http), pytest.raises(WebError) as error:
        http.send("POST", "/x", b"{}")
    assert error.value.refusal is Refusal.UNREACHED
    assert asked.waits == [1.0, 2.0, 4.0]


def test_no_redirect_is_followed(asked: Asked) -> None:
    """The token would go with it."""
    with forges.GitHub().running() as elsewhere:
        asked.fake.failures.append(("GET", (307, {"location": elsewhere}, None), False))
        with pytest.raises(WebError, match="it answered with 307") as error:
            asked.http.get("/user")
    assert (error.value.refusal, error.value.status) == (Refusal.OTHER, 307)
    assert asked.waits == []


def test_an_error_has_the_answer_and_does_not_show_it(asked: Asked) -> None:
    """The edge that knows its form reads the reason there."""
    asked.fake.fail("GET", 404)
    with pytest.raises(WebError) as error:
        asked.http.get("/user")
    assert (error.value.refusal, error.value.status) == (Refusal.MISSING, 404)
    assert b"a message of the forge" in error.value.body
    assert "a message of the forge" not in f"{error.value!r} {error.value} {error.value.diagnostics()}"


def test_only_what_is_part_of_a_path_has_slashes(asked: Asked) -> None:
    """A name can't lead to another call."""
    with pytest.raises(WebError):
        asked.http.get("/{mount}/{name}", mount="a/b", name="c/../d?e#f")
    assert asked.fake.requests[-1].path == "/a/b/c%2F..%2Fd%3Fe%23f"


def test_an_own_root_is_the_only_one_that_counts(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a server that it does not vouch for gets nothing."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    authority, other = trustme.CA(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    fake = forges.GitHub(files=["a"])
    with fake.running(context) as url:
        for roots, hint in ((other.cert_pem.bytes(), "name its CA"), (None, None)):
            address = Address("GitHub", url, {}, Code.FORGE, roots, hint)
            http = Http(address, lambda _: None, asked.waits.append)
            with closing(http), pytest.raises(WebError, match="TLS verification failed: ") as error:
                http.get("/user")
            assert (hint or "set SSL_CERT_FILE to") in str(error.value.hint)
            assert error.value.refusal is Refusal.OTHER
        roots = check_roots("VAULT_CACERT", authority.cert_pem.bytes())
        address = Address("GitHub", url, {"authorization": f"Bearer {TOKEN}"}, Code.FORGE, roots)
        with closing(Http(address, lambda _: None)) as http:
            assert GitHub(http, "acme/shop").changed_files(7) == {"a"}
    assert len(fake.requests) == 1
    assert asked.waits == []


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"text", b"\xff", b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----"]
)
def test_roots_without_a_certificate_are_an_error(data: bytes) -> None:
    """Found before the first call."""
    with pytest.raises(ReconcilerError, match="VAULT_CACERT names a file that has no certificates in PEM"):
        check_roots("VAULT_CACERT", data)
