"""A real Worker calls real origins through its binding: the result for each kind of fault."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from reconciler.model.ports import PrivateKey
from reconciler.proof.reach import FORBIDDEN_TEXT, OriginCall, Reach, Reached
from reconciler.runtime.reaching import LocalRuntime
from tests.servers.certificates import pki
from tests.servers.programs import nginx
from tests.support.origins import BEGIN, END, TODAY, client, client_ca, origin, server_ca
from tests.support.pki import SERVER_AUTH, Issued, make_ca
from tests.support.runtime_programs import install_wrangler, workerd

DAY = timedelta(days=1)


def call(url: str, shown: Issued, *, key: bytes | None = None, trust: bool = True, timeout_s: float = 10.0) -> Reach:
    """The result of a call with this pair."""
    runtime = LocalRuntime([Path("/")], Path("/"), {"MTLSCTL_WORKERD": str(workerd())}, timeout_s)
    trusted = (server_ca().certificate_pem.decode(),) if trust else ()
    return runtime.call(OriginCall(url, shown.chain_pem.decode(), PrivateKey(key or shown.key_pem), trusted))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda version: version.name)
def test_a_worker_presents_the_certificate_and_is_answered(version: ssl.TLSVersion) -> None:
    """The origin receives our leaf."""
    with origin(version=version) as running:
        reach = call(running.url, client("right"))
        assert (reach.reached, reach.status, reach.alert) == (Reached.ANSWERED, 200, None)
        assert running.seen == [client("right").certificate.serial_number]


@dataclass(frozen=True)
class Fault:
    """A pair that an origin does not accept, and its alert in each version of TLS."""

    name: str
    shown: Issued
    reached: Reached
    alert: str


def _faults() -> list[Fault]:
    stranger = make_ca("Stranger", not_before=BEGIN, not_after=END)
    chained = _chained()
    wide = partial(client_ca().issue, not_before=BEGIN, not_after=END)
    return [
        Fault("wrong CA", stranger.issue("wrong", not_before=BEGIN, not_after=END), Reached.REJECTED, "unknown_ca"),
        Fault("self-signed", make_ca("self", ca=None, not_before=BEGIN, not_after=END), Reached.REJECTED, "unknown_ca"),
        Fault("missing intermediate", Issued(chained.certificate, chained.key), Reached.REJECTED, "unknown_ca"),
        Fault("expired", client_ca().issue("old", not_before=BEGIN, not_after=TODAY - DAY), *EXPIRED),
        Fault("not yet valid", client_ca().issue("new", not_before=TODAY + DAY, not_after=END), *NOT_YET),
        Fault("not for clients", wide("server", eku=(SERVER_AUTH,)), *NOT_FOR_CLIENTS),
    ]


def _chained() -> Issued:
    below = client_ca().issue_ca("Below", not_before=BEGIN, not_after=END)
    return below.issue("chained", not_before=BEGIN, not_after=END)


EXPIRED = (Reached.REJECTED, "certificate_expired")
NOT_YET = (Reached.REJECTED, "bad_certificate")
NOT_FOR_CLIENTS = (Reached.REJECTED, "unsupported_certificate")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda version: version.name)
@pytest.mark.parametrize("fault", _faults(), ids=lambda fault: fault.name)
def test_an_origin_that_refuses_is_told_with_its_alert(fault: Fault, version: ssl.TLSVersion) -> None:
    """The Worker itself only sees "internal error"."""
    with origin(version=version) as running:
        reach = call(running.url, fault.shown)
    assert (reach.reached, reach.alert, reach.status) == (fault.reached, fault.alert, None)
    assert fault.alert in reach.detail


def test_an_nginx_that_refuses_says_so_in_its_page(tmp_path: Path) -> None:
    """It completes the handshake first, and answers 400."""
    stranger = make_ca("Stranger", not_before=BEGIN, not_after=END).issue("x", not_before=BEGIN, not_after=END)
    pki().write(tmp_path)
    with nginx(tmp_path, "on") as port:
        url = f"https://localhost:{port}/"
        assert call(url, client("right")).reached is Reached.ANSWERED
        reach = call(url, stranger)
    assert (reach.reached, reach.status, reach.alert) == (Reached.REJECTED, 400, None)


def test_an_intermediate_goes_along() -> None:
    """An origin that trusts only the root accepts the whole chain."""
    with origin() as running:
        assert call(running.url, _chained()).reached is Reached.ANSWERED


@pytest.mark.parametrize("kind", ["mismatch", "encrypted"])
def test_a_pair_that_is_none_never_gets_to_the_origin(kind: str) -> None:
    """workerd refuses it when it starts."""
    shown = client("right")
    key = client("other").key_pem if kind == "mismatch" else shown.encrypted_key_pem()
    with origin() as running:
        reach = call(running.url, shown, key=key)
        assert running.seen == []
    assert reach.reached is Reached.UNUSABLE
    assert "does not accept the certificate and key" in reach.detail
    assert not any(line in reach.detail for line in key.decode().splitlines())


METADATA = ("169.254.169.254", "[::ffff:169.254.169.254]", "[fe80::1]", "[fd00:ec2::254]", "100.100.100.200")


@pytest.mark.parametrize("host", METADATA)
def test_a_cloud_s_metadata_service_is_not_called(host: str) -> None:
    """workerd itself refuses the address, after it has resolved the name."""
    reach = call(f"https://{host}/latest/meta-data/", client("right"))
    assert (reach.reached, reach.detail) == (Reached.FORBIDDEN, f"the origin was not called: {FORBIDDEN_TEXT}")


def test_an_origin_whose_own_certificate_is_strange_is_not_talked_to() -> None:
    """Its root is not one of this machine's, and was not given."""
    with origin() as running:
        reach = call(running.url, client("right"), trust=False)
        assert running.seen == []
    assert reach.reached is Reached.SERVER_UNTRUSTED


def test_roots_that_are_given_count_instead_of_those_of_this_machine(tmp_path: Path) -> None:
    """As in every other proof. `SSL_CERT_FILE` names the CAs that this machine trusts."""
    roots = tmp_path / "roots.pem"
    roots.write_bytes(server_ca().certificate_pem)
    environ = {"MTLSCTL_WORKERD": str(workerd()), "SSL_CERT_FILE": str(roots)}
    runtime, shown = LocalRuntime([tmp_path], tmp_path, environ), client("right")
    pair = shown.chain_pem.decode(), PrivateKey(shown.key_pem)
    with origin() as running:
        assert runtime.call(OriginCall(running.url, *pair)).reached is Reached.ANSWERED
        others = (client_ca().certificate_pem.decode(),)
        assert runtime.call(OriginCall(running.url, *pair, others)).reached is Reached.SERVER_UNTRUSTED


def test_an_origin_is_checked_by_the_host_of_the_url() -> None:
    """As with the real binding, and by no other name."""
    with origin(names=("localhost",)) as running:
        assert call(running.url, client("right")).reached is Reached.ANSWERED
        assert call(running.url.replace("localhost", "127.0.0.1"), client("right")).reached is Reached.SERVER_UNTRUSTED
        assert len(running.seen) == 1


def test_a_name_that_does_not_resolve_is_unreachable() -> None:
    """`.invalid` never does (RFC 6761)."""
    assert call("https://origin.invalid/", client("right")).reached is Reached.UNREACHABLE


def test_a_port_that_nobody_listens_at_says_nothing_of_the_certificate() -> None:
    """To a Worker, a refused connection looks like one closed without an alert."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert call(f"https://localhost:{port}/", client("right")).reached is Reached.INCONCLUSIVE


def test_an_origin_that_never_answers_is_given_up() -> None:
    """After the given time."""
    with origin(silent=True) as running:
        assert call(running.url, client("right"), timeout_s=0.5).reached is Reached.UNREACHABLE


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    """Only the declared URL is requested."""
    with origin(status=302, headers=(("location", "/elsewhere"),)) as running:
        reach = call(running.url, client("right"))
        assert (reach.reached, reach.status) == (Reached.ANSWERED, 302)
        assert len(running.seen) == 1


def test_an_answer_through_cloudflares_proxy_is_noticed() -> None:
    """A deployed Worker would get 520 from such a zone."""
    with origin(headers=(("cf-ray", "8f00ba-AMS"),)) as running:
        assert call(running.url, client("right")).proxied


def test_workerd_is_looked_for_in_every_place(tmp_path: Path) -> None:
    """If each Worker has its own packages, there is none next to mtls.toml."""
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
    install_wrangler(folders[1])
    runtime, shown = LocalRuntime(folders, tmp_path, {"PATH": ""}), client("right")
    with origin() as running:
        reach = runtime.call(
            OriginCall(
                running.url,
                shown.chain_pem.decode(),
                PrivateKey(shown.key_pem),
                (server_ca().certificate_pem.decode(),),
            )
        )
    assert reach.reached is Reached.ANSWERED


def test_without_workerd_nothing_is_said_to_be_proved(tmp_path: Path) -> None:
    """A level that was not run is reported as skipped."""
    reach = LocalRuntime([tmp_path], tmp_path, {"PATH": str(tmp_path)}).call(
        OriginCall("https://localhost/", client("right").chain_pem.decode(), PrivateKey(client("right").key_pem))
    )
    assert reach.reached is Reached.NOT_RUN
