"""The probe against real servers: each in every setting, with the right certificate and every wrong one."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers import programs
from tests.servers.certificates import pki
from tests.servers.python_tls import serve, server_context
from tests.support.proving import folder_with_files, probe, told

Start = Callable[[Path], AbstractContextManager[int]]

KINDS = ("right", "expired", "not yet valid", "wrong CA", "missing intermediate", "wrong EKU", "mismatched key")

# No origin ever sees it: the TLS library does not accept the pair.
MISMATCH = {"mismatched key": "not-sent"}


def openssl_says(right: str) -> dict[str, str]:
    """Verdicts of servers that verify with OpenSSL, which has an alert for each fault."""
    return {
        "right": right,
        "expired": "rejected certificate_expired",
        "not yet valid": "rejected bad_certificate",
        "wrong CA": "rejected unknown_ca",
        "missing intermediate": "rejected unknown_ca",
        "wrong EKU": "rejected unsupported_certificate",
        **MISMATCH,
    }


def all_wrong(right: str, wrong: str = "rejected") -> dict[str, str]:
    """One verdict for the right certificate, another for every wrong one."""
    return {kind: right if kind == "right" else wrong for kind in KINDS} | MISMATCH


def all_alike(verdict: str) -> dict[str, str]:
    """The same verdict for every certificate."""
    return all_wrong(verdict, verdict)


@dataclass(frozen=True)
class Row:
    """A server in one setting, and the verdict on each client."""

    name: str
    start: Start
    verdicts: dict[str, str]


def python(verify: ssl.VerifyMode, version: ssl.TLSVersion) -> Start:
    return lambda folder: serve(server_context(folder, verify, version))


def nginx(verify: str, versions: str = "TLSv1.2 TLSv1.3", more: str = "") -> Start:
    return lambda folder: programs.nginx(folder, verify, versions, more=more)


def haproxy(bind: str, versions: str = "ssl-min-ver TLSv1.2") -> Start:
    return lambda folder: programs.haproxy(folder, bind, versions)


def apache(verify: str, versions: str) -> Start:
    return lambda folder: programs.apache(folder, verify, versions)


def s_server(*options: str) -> Start:
    return lambda folder: programs.s_server(folder, *options)


def node(*, reject: bool, version: str) -> Start:
    return lambda folder: programs.node(folder, reject=reject, version=version)


ONE_2, ONE_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
ONLY_SOME_PATHS = "<Location /health>\nSSLVerifyClient require\n</Location>"
WITHOUT_CA = dict.fromkeys(("expired", "not yet valid", "wrong EKU"), "rejected")
"""nginx checks the certificate itself, but not its issuer."""

TABLE = (
    Row("Python required, 1.3", python(ssl.CERT_REQUIRED, ONE_3), openssl_says("accepted")),
    Row("Python required, 1.2", python(ssl.CERT_REQUIRED, ONE_2), openssl_says("accepted")),
    Row("Python optional, 1.3", python(ssl.CERT_OPTIONAL, ONE_3), openssl_says("optional")),
    Row("Python optional, 1.2", python(ssl.CERT_OPTIONAL, ONE_2), openssl_says("optional")),
    Row("Python none, 1.3", python(ssl.CERT_NONE, ONE_3), all_alike("not-requested")),
    Row("Python none, 1.2", python(ssl.CERT_NONE, ONE_2), all_alike("not-requested")),
    Row("nginx on, 1.3", nginx("on", "TLSv1.3"), all_wrong("accepted")),
    Row("nginx on, 1.2", nginx("on", "TLSv1.2"), all_wrong("accepted")),
    Row("nginx optional, 1.3", nginx("optional", "TLSv1.3"), all_wrong("optional")),
    Row("nginx optional, 1.2", nginx("optional", "TLSv1.2"), all_wrong("optional")),
    Row("nginx optional_no_ca, 1.3", nginx("optional_no_ca", "TLSv1.3"), all_alike("not-verified") | WITHOUT_CA),
    Row("nginx optional_no_ca, 1.2", nginx("optional_no_ca", "TLSv1.2"), all_alike("not-verified") | WITHOUT_CA),
    Row("nginx off, 1.3", nginx("off", "TLSv1.3"), all_alike("not-requested")),
    Row("nginx off, 1.2", nginx("off", "TLSv1.2"), all_alike("not-requested")),
    Row(
        "nginx optional, and the application insists",
        nginx("optional", more="if ($ssl_client_verify != SUCCESS) { return 403; }"),
        all_wrong("accepted"),
    ),
    Row("HAProxy required, 1.3", haproxy("verify required"), openssl_says("accepted")),
    Row("HAProxy required, 1.2", haproxy("verify required", "ssl-max-ver TLSv1.2"), openssl_says("accepted")),
    Row("HAProxy optional", haproxy("verify optional"), openssl_says("optional")),
    Row(
        "HAProxy required, errors ignored",
        haproxy("verify required crt-ignore-err all ca-ignore-err all"),
        all_alike("presence-only"),
    ),
    Row("Apache required, 1.3", apache("SSLVerifyClient require", "+TLSv1.3"), openssl_says("accepted")),
    Row("Apache required, 1.2", apache("SSLVerifyClient require", "+TLSv1.2"), openssl_says("accepted")),
    Row("Apache required for one path, 1.3", apache(ONLY_SOME_PATHS, "+TLSv1.3"), all_alike("requested-too-late")),
    Row(
        "Apache required for one path, 1.2",
        apache(ONLY_SOME_PATHS, "+TLSv1.2"),
        all_alike("requested-too-late handshake_failure") | MISMATCH,
    ),
    Row("openssl -Verify with errors, 1.3", s_server("-Verify", "3", "-verify_return_error"), openssl_says("accepted")),
    Row(
        "openssl -Verify with errors, 1.2",
        s_server("-Verify", "3", "-verify_return_error", "-tls1_2"),
        openssl_says("accepted"),
    ),
    Row("openssl -Verify", s_server("-Verify", "3"), all_alike("presence-only")),
    Row("openssl -verify", s_server("-verify", "3"), all_alike("not-verified")),
    Row("Node that rejects, 1.3", node(reject=True, version="TLSv1.3"), all_wrong("accepted")),
    Row("Node that rejects, 1.2", node(reject=True, version="TLSv1.2"), all_wrong("accepted")),
    Row("Node that only asks", node(reject=False, version="TLSv1.3"), all_alike("not-verified")),
)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_each_certificate_gets_its_verdict_from_a_real_server(row: Row, tmp_path: Path) -> None:
    """The same verdict, whether the server sends an alert, a page, or closes the connection."""
    with row.start(folder_with_files(tmp_path)) as port:
        assert {kind: told(probe(port, kind)) for kind in KINDS} == row.verdicts


def test_the_table_has_every_client_and_every_verdict_that_a_server_can_bring_about() -> None:
    """A new kind of certificate is tried everywhere."""
    assert set(KINDS) == set(pki().clients)
    assert {verdict.split()[0] for row in TABLE for verdict in row.verdicts.values()} == {
        "accepted",
        "optional",
        "presence-only",
        "not-verified",
        "not-requested",
        "rejected",
        "not-sent",
        "requested-too-late",
    }


def test_what_an_origin_asks_for_and_is_sent_is_told(tmp_path: Path) -> None:
    """nginx names its CA, Python names none; both receive the whole chain."""
    folder = folder_with_files(tmp_path)
    chain = pki().clients["right"].chain.count(b"BEGIN CERTIFICATE")
    for start, names in ((nginx("on"), 1), (python(ssl.CERT_REQUIRED, ONE_3), 0)):
        with start(folder) as port:
            ours = probe(port).ours
        assert ours.request is not None
        assert len(ours.request.authorities) == names
        assert ours.request.algorithms
        assert (ours.sent, len(ours.presented), ours.tls_version) == (True, chain, "TLSv1.3")
