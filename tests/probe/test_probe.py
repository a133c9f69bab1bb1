"""Probing an origin: what is sent and what never is, and the result of everything that can go wrong."""

from __future__ import annotations

import os
import socket
import ssl
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from reconciler.findings.diagnostics import Pointer
from reconciler.model import CertificateName
from reconciler.model.ports import PrivateKey
from reconciler.probe import OriginProber, address, contexts, exchange, watch
from reconciler.probe.address import Endpoint
from reconciler.probe.exchange import OriginAnswer, read_answer
from reconciler.probe.prober import make_throwaway
from reconciler.proof.observations import End, Moment, NginxPage, Shown
from reconciler.proof.ports import ClientIdentity
from reconciler.proof.proofs import Proof, proof_warnings
from reconciler.proof.reach import FORBIDDEN
from reconciler.proof.rules import judge
from reconciler.runs.project import VERIFY_VARIABLE, project_at
from reconciler.runtime.reaching import LocalRuntime
from reconciler.x509.certificates import Bundle
from reconciler.x509.files import parse_file
from tests.servers import listening_socket, port_of
from tests.servers.certificates import pki
from tests.servers.python_tls import ANSWER, serve, server_context
from tests.support.origins import origin, server_ca
from tests.support.pki import NOW, make_ca, make_key
from tests.support.proving import QUICK, folder_with_files, pair_of, probe, told

REQUIRED, NONE = ssl.CERT_REQUIRED, ssl.CERT_NONE
ONE_2, ONE_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return folder_with_files(tmp_path)


@contextmanager
def enforcing(folder: Path, answer: bytes | None = ANSWER, requests: list[bytes] | None = None) -> Iterator[int]:
    """The port of an origin that requires a certificate of `pki`."""
    with serve(server_context(folder, REQUIRED, ONE_3), answer, requests) as port:
        yield port


# --- what is sent ---------------------------------------------------------------------------------------------------


def test_the_declared_url_is_asked_for_with_a_get_and_nothing_else(folder: Path) -> None:
    """Path and query as declared, no body, no cookie; the throw-away client does not get that far."""
    requests: list[bytes] = []
    with enforcing(folder, requests=requests) as port:
        probe(port, path="/health?deep=1&ü#part")
    (request,) = requests
    head, *headers = request.decode("ascii").split("\r\n")
    assert head == "GET /health?deep=1&%C3%BC HTTP/1.1"
    assert [line.partition(":")[0] for line in headers if line] == ["Host", "User-Agent", "Accept", "Connection"]
    assert f"Host: localhost:{port}" in headers


def test_a_redirect_is_not_followed(folder: Path) -> None:
    """Its target is not declared."""
    elsewhere: list[bytes] = []
    with serve(None, requests=elsewhere) as other:
        answer = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{other}/\r\n\r\n".encode()
        with enforcing(folder, answer) as port:
            seen = probe(port)
    assert (seen.ours.status, told(seen)) == (302, "accepted")
    assert elsewhere == []


@pytest.mark.parametrize(
    "resolved",
    [
        *("169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "febf::1", "fd00:ec2::254", "fd20:ce::254"),
        *("::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "100.100.100.200", "::ffff:100.100.100.200"),
        *("168.63.129.16", "::ffff:168.63.129.16", "192.0.0.192", "64:ff9b::192.0.0.192"),
    ],
)
def test_what_resolves_to_a_metadata_service_is_not_called(monkeypatch: pytest.MonkeyPatch, resolved: str) -> None:
    """Whatever its name, and whatever else it resolves to: `verify` is a line of a pull request."""
    families = {True: socket.AF_INET6, False: socket.AF_INET}
    answers = [(families[":" in one], socket.SOCK_STREAM, 6, "", (one, 443)) for one in ("127.0.0.1", resolved)]
    connected: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    monkeypatch.setattr(exchange, "connect", lambda endpoint, _: connected.append(endpoint))
    seen = probe(443, host="origin.example")
    assert (seen.ours.end, told(seen), connected) == (End.FORBIDDEN, "unreachable", [])
    hint = judge(seen).hint
    assert hint is not None
    assert "MTLSCTL_VERIFY_PRIVATE=1" in hint


@pytest.mark.parametrize("host", ["2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "[fe80::1]"])
def test_an_odd_form_of_such_an_address_is_the_same(host: str) -> None:
    """As the system's resolver reads it."""
    assert probe(443, host=host).ours.end in (End.FORBIDDEN, End.UNREACHABLE)


@pytest.mark.parametrize(
    "place", ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "fd12::1", "203.0.113.5", "169.253.1.1"]
)
def test_other_private_addresses_are_called(place: str) -> None:
    """An origin is often in the network of the operator."""
    assert not Endpoint(socket.AF_INET, (place, 443)).is_in(FORBIDDEN)


def test_the_operator_may_allow_every_address(folder: Path) -> None:
    """By MTLSCTL_VERIFY_PRIVATE=1, and by nothing else; no file of the repository can."""
    for value, allowed in (("1", True), ("0", False), ("", False)):
        provers = project_at(folder / "mtls.toml", environ={VERIFY_VARIABLE: value}).provers
        prober, runtime = provers.prober(), provers.runtime([])
        assert isinstance(prober, OriginProber)
        assert isinstance(runtime, LocalRuntime)
        assert (prober.deny == (), runtime.deny == ()) == (allowed, allowed)


def test_no_proxy_of_the_environment_is_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof is about the way from this machine to the origin."""
    asked: list[bytes] = []
    with serve(None, requests=asked) as proxy, enforcing(folder) as port:
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
        assert told(probe(port)) == "accepted"
    assert asked == []


def test_no_session_is_resumed(folder: Path) -> None:
    """In a resumed session an origin does not request the certificate again; here each session is new."""
    with serve(server_context(folder, REQUIRED, ONE_2)) as port:
        for _ in range(3):
            assert probe(port).ours.request is not None


@pytest.mark.parametrize("kind", ["ec256", "ec384", "rsa2048", "ed25519"])
def test_the_throw_away_certificate_has_a_key_like_ours(kind: str) -> None:
    """Otherwise an origin might refuse its signature, which says nothing about the certificate."""
    like = make_ca("like", key=kind).bundle
    pair = make_throwaway(like, NOW)
    assert type(pair.bundle.leaf.public_key()) is type(like.leaf.public_key())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    contexts.load_pair(context, pair)


# --- what is seen ---------------------------------------------------------------------------------------------------


def test_a_lost_alert_is_no_matter_of_luck(folder: Path) -> None:
    """The request waits until the origin had time to object: in TLS 1.3 it judges after the handshake."""
    with enforcing(folder) as port:
        alerts = [probe(port, "wrong CA").ours.alert for _ in range(25)]
    assert set(alerts) == {"unknown_ca"}


def test_the_request_waits_for_the_objection_of_the_origin(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an objection nothing is sent on the closed connection."""
    sent: list[str] = []
    send = exchange.Exchange._send

    def watched(self: exchange.Exchange, tls: ssl.SSLSocket, request: bytes) -> None:
        sent.append(self.shown)
        send(self, tls, request)

    monkeypatch.setattr(exchange, "_MIN_PAUSE_S", 30)  # it ends when the origin sends a ticket or an alert
    monkeypatch.setattr(exchange.Exchange, "_send", watched)
    with enforcing(folder) as port:
        assert [told(probe(port)), told(probe(port, "wrong CA"))] == ["accepted", "rejected unknown_ca"]
    assert sent == [Shown.OURS]


def test_nobody_listens() -> None:
    """No one listens on the port."""
    with closing(listening_socket()) as free:
        port = port_of(free)
    seen = probe(port)
    assert told(seen) == "unreachable"
    assert seen.ours.detail == f"connecting to 127.0.0.1:{port} failed: Connection refused"
    assert seen.none is None


def test_a_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the system's error."""

    def refuse(*_: object, **__: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    seen = probe(443, host="origin.example")
    assert (told(seen), seen.ours.moment) == ("unreachable", Moment.BEFORE)
    assert seen.ours.detail == "the name origin.example does not resolve: Name or service not known"


def test_a_host_that_can_be_no_name_at_all() -> None:
    """A label has 63 characters at most."""
    seen = probe(443, host="a" * 64 + ".example")
    assert (told(seen), seen.ours.detail) == ("unreachable", "the host of the URL is not a valid name")


def test_a_name_with_letters_of_other_scripts_is_looked_up_as_dns_writes_it() -> None:
    """And TLS checks that form."""
    parts = address.read_url("https://bücher.example:8443/ä?ö=ü#x")
    assert (parts.host, parts.port) == ("xn--bcher-kva.example", 8443)
    assert (parts.authority, parts.path) == ("xn--bcher-kva.example:8443", "/%C3%A4?%C3%B6=%C3%BC")


def test_an_address_of_ip_version_6_is_written_in_brackets_in_http_alone() -> None:
    """DNS and TLS use it without brackets."""
    parts = address.read_url("https://[::1]/")
    assert (parts.host, parts.port, parts.authority, parts.path) == ("::1", 443, "[::1]", "/")


def test_an_origin_of_an_unknown_ca_is_shown_no_certificate(folder: Path) -> None:
    """Nothing is sent to a server that may be anyone."""
    requests: list[bytes] = []
    with enforcing(folder, requests=requests) as port:
        seen = probe(port, roots=pki().client_root.bundle)
    assert told(seen) == "server-untrusted"
    assert "unable to get local issuer certificate" in judge(seen).why
    assert (seen.ours.sent, seen.none, requests) == (False, None, [])


def test_an_origin_of_another_name_is_not_trusted() -> None:
    """A certificate for another host proves nothing about this one."""
    with origin(names=("other.example",)) as running:
        seen = probe(running.port, roots=server_ca().bundle)
    assert told(seen) == "server-untrusted"
    assert "not valid for 'localhost'" in judge(seen).why


def test_a_server_without_tls_is_told_as_such() -> None:
    """Plain HTTP on the port."""
    with serve(None, b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        seen = probe(port)
    assert (told(seen), judge(seen).rule) == ("inconclusive", "no-tls")


def test_a_server_that_never_speaks_is_unreachable() -> None:
    """It accepts the connection and sends nothing."""
    with closing(listening_socket()) as deaf:
        seen = probe(port_of(deaf), timeouts=QUICK)
    assert (told(seen), seen.ours.end, seen.ours.moment) == ("unreachable", End.SILENT, Moment.DURING)


def test_a_server_that_never_answers_is_unreachable() -> None:
    """The handshake succeeds, but there is no answer."""
    with origin(NONE, silent=True) as running:
        seen = probe(running.port, roots=server_ca().bundle, timeouts=QUICK)
    assert (told(seen), seen.ours.end, seen.ours.moment) == ("unreachable", End.SILENT, Moment.AFTER)


def test_a_closed_connection_is_tried_once_more(folder: Path) -> None:
    """It need not concern certificates; if it persists for all, the result is inconclusive."""
    requests: list[bytes] = []
    with serve(server_context(folder, NONE, ONE_3), None, requests) as port:
        seen = probe(port)
    assert (told(seen), judge(seen).rule) == ("inconclusive", "closed-on-all")
    # Ours, none, throw-away, and ours with a late request allowed: each twice.
    assert len(requests) == 8


def test_an_answer_that_is_no_http_is_inconclusive(folder: Path) -> None:
    """For example a mail server."""
    with enforcing(folder, b"220 mail.example ESMTP\r\n") as port:
        seen = probe(port)
    assert (told(seen), judge(seen).rule) == ("inconclusive", "no-http")


@pytest.mark.parametrize(
    ("status", "expect", "verdict"),
    [
        (204, None, "accepted"),
        (204, 204, "accepted"),
        (404, 200, "inconclusive"),
        (403, None, "inconclusive"),
        (403, 403, "accepted"),
        (503, None, "inconclusive"),
        (503, 503, "accepted"),
    ],
)
def test_the_status_that_an_accepted_client_gets_can_be_declared(
    folder: Path, status: int, expect: int | None, verdict: str
) -> None:
    """Without it, every status except refusals and server errors counts."""
    with enforcing(folder, f"HTTP/1.1 {status} X\r\n\r\n".encode()) as port:
        assert told(probe(port, expect=expect)) == verdict


def test_cloudflare_before_the_origin_is_noticed(folder: Path) -> None:
    """A zone behind its proxy answers Workers with 520."""
    with enforcing(folder, b"HTTP/1.1 520 X\r\nServer: x\r\nCF-RAY: 8a-FRA\r\n\r\n") as port:
        seen = probe(port)
    assert (seen.ours.cf_ray, judge(seen).rule) == (True, "proxied-zone")
    with enforcing(folder, b"HTTP/1.1 200 OK\r\nCF-RAY: 8a-FRA\r\n\r\n") as port:
        seen = probe(port)
    proof, where = Proof("https://a.example/", seen, judge(seen)), Pointer("mtls.toml")
    found = proof_warnings(CertificateName("billing"), proof, pair_of(pki().clients["right"]).bundle, where)
    assert (told(seen), [problem.code for problem in found]) == ("accepted", ["origin-proxied"])


@pytest.mark.parametrize(
    ("verify", "verdict"), [(REQUIRED, "accepted"), (ssl.CERT_OPTIONAL, "optional"), (NONE, "inconclusive")]
)
def test_where_messages_can_not_be_watched_the_comparison_decides(
    folder: Path, verify: ssl.VerifyMode, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later Python may remove the private hook; then nothing is guessed."""
    monkeypatch.setattr(watch, "_CALLBACK", "_gone")
    with serve(server_context(folder, verify, ONE_3)) as port:
        seen = probe(port)
        assert told(seen) == verdict
        assert (seen.ours.observable, seen.ours.request) == (False, None)
        refused = probe(port, "expired")
    expected = "inconclusive" if verify is NONE else "rejected certificate_expired"
    assert told(refused) == expected


def test_a_chain_that_the_tls_library_completes_is_no_proof(folder: Path) -> None:
    """OpenSSL adds certificates from the origin's roots; Cloudflare sends only what was uploaded."""
    between = parse_file(pki().clients["right"].chain, "x").ders[1]
    roots = Bundle((pki().server_root.der, between))
    with enforcing(folder) as port:
        seen = probe(port, "missing intermediate", roots=roots)
    assert (seen.ours.status, judge(seen).rule, told(seen)) == (200, "more-sent", "inconclusive")


@pytest.mark.parametrize(
    ("version", "level", "number", "alert"),
    [
        (0x0303, 2, 48, "unknown_ca"),
        (0x0303, 1, 112, None),  # a warning of an Apache that does not know the name
        (0x0303, 1, 0, None),
        (0x0304, 2, 116, "certificate_required"),
        (0x0304, 1, 42, "bad_certificate"),
        (0x0304, 1, 0, None),
        (0x0304, 1, 90, None),
        (0x0304, 2, 200, "alert 200"),
    ],
)
def test_an_alert_counts_where_it_ends_the_connection(version: int, level: int, number: int, alert: str | None) -> None:
    """Before TLS 1.3 there are warnings; alerts that we send don't count."""
    seen = watch.Watch()
    seen._saw(None, "read", version, 21, number, bytes((level, number)))
    assert seen.alert == alert
    own = watch.Watch()
    own._saw(None, "write", version, 21, number, bytes((level, number)))
    assert own.alert is None


# --- answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", OriginAnswer(200, False)),
        (b"HTTP/1.0 200\r\n\r\nbody", OriginAnswer(200, False, b"body")),
        (b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", OriginAnswer(200, False)),
        (b"HTTP/1.1 100 Continue\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\nServer: x\n\n", OriginAnswer(200, False)),
        (b"HTTP/1.1 520 X\r\ncf-ray: 1\r\n\r\n", OriginAnswer(520, True)),
        (b"HTTP/1.1 200 OK\r\nX: cf-ray: 1\r\n\r\n", OriginAnswer(200, False)),
        (b"", None),
        (b"HTT", None),
        (b"HTTP/1.1 200 OK\r\nX: y\r\n", None),
    ],
)
def test_the_head_of_an_answer_is_read(data: bytes, answer: OriginAnswer | None) -> None:
    """The status, and whether Cloudflare is in between; interim answers are skipped."""
    assert read_answer(data) == answer


@pytest.mark.parametrize(
    "data",
    [b"220 mail", b"HTTP/2 200 OK\r\n\r\n", b"HTTP/1.1 99999\r\n\r\n", b"\x00\x00\x12\x04", b"HTTP/1.1 abc\r\n\r\n"],
)
def test_what_is_no_http_is_refused(data: bytes) -> None:
    """As soon as it is clear."""
    with pytest.raises(ValueError, match="no status line"):
        read_answer(data)


@pytest.mark.parametrize(
    ("status", "body", "page"),
    [
        (400, b"<center>No required SSL certificate was sent</center>", NginxPage.NO_CERTIFICATE),
        (400, b"<center>The SSL certificate error</center>", NginxPage.CERTIFICATE_ERROR),
        (403, b"the ssl certificate error", NginxPage.CERTIFICATE_ERROR),
        (200, b"the ssl certificate error", None),
        (400, b"Bad Request", None),
    ],
)
def test_the_pages_of_nginx_are_known(status: int, body: bytes, page: NginxPage | None) -> None:
    """nginx sends it with 400, unless the page is configured with another status."""
    assert OriginAnswer(status, False, body).page is page


# --- the key --------------------------------------------------------------------------------------------------------


def test_of_the_key_no_file_stays_behind(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether or not the system has files in memory; nor a descriptor."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    pair = pair_of(pki().clients["right"])
    for has_memory in (True, False):
        if not has_memory:
            monkeypatch.delattr(os, "memfd_create", raising=False)
        with enforcing(folder) as port:
            assert told(probe(port)) == "accepted"
        before = set(Path("/dev/fd").iterdir())
        contexts.load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), pair)
        assert set(Path("/dev/fd").iterdir()) <= before  # others may close theirs meanwhile
        assert list(temporary.iterdir()) == []


def test_the_file_of_the_key_is_closed_to_others_while_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a named file is needed: mode 0600 in a folder of 0700, deleted even if the library fails."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delattr(os, "memfd_create", raising=False)
    looked: list[tuple[int, int]] = []

    class Context(ssl.SSLContext):
        def load_cert_chain(self, certfile: object, *_: object, **__: object) -> None:
            path = Path(str(certfile))
            looked.append((stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)))
            raise ssl.SSLError(1, "no")

    with pytest.raises(ssl.SSLError):
        contexts.load_pair(Context(ssl.PROTOCOL_TLS_CLIENT), pair_of(pki().clients["right"]))
    assert looked == [(0o600, 0o700)]
    assert list(tmp_path.iterdir()) == []


def test_nobody_is_asked_for_the_password_of_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library refuses an encrypted key instead of prompting on the terminal."""
    issued = make_ca("encrypted", key=make_key())
    pair = ClientIdentity(issued.bundle, PrivateKey(issued.encrypted_key_pem()))
    with pytest.raises(ssl.SSLError):
        contexts.load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), pair)


def test_a_pair_that_the_library_does_not_take_is_our_fault_not_the_origins(folder: Path) -> None:
    """No connection is made with it."""
    requests: list[bytes] = []
    with enforcing(folder, requests=requests) as port:
        seen = probe(port, "mismatched key")
    assert (seen.ours.end, seen.ours.shown, seen.ours.detail) == (End.LOCAL, Shown.OURS, "key values mismatch")
    assert requests == []
