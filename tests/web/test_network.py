"""The way to the API: which proxy and CA bundle of the environment count, and what is wrong with an unusable one."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

import pytest
import trustme

from reconciler.findings.codes import Code
from reconciler.findings.errors import ReconcilerError
from reconciler.model import StoreKind, StoreSettings
from reconciler.model.errors import StoreError
from reconciler.model.web import WebError
from reconciler.stores.cloudflare.access import find_access
from reconciler.stores.cloudflare.client import Client, Time
from reconciler.web.http import Address, Http
from reconciler.web.network import CA_FILE, CA_FOLDER, Network, find_network, trusted
from tests.support.cloudflare_server import ACCOUNT, TOKEN
from tests.support.store_contract import SetClock

API = "https://api.cloudflare.com/client/v4"
PROXY = "http://proxy.example:3128"


def chosen(base_url: str, environ: Mapping[str, str]) -> str | None:
    """The variable whose proxy is used."""
    proxy = find_network(base_url, environ).proxy
    return proxy.variable if proxy else None


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        ({}, None),
        ({"HTTPS_PROXY": PROXY}, "HTTPS_PROXY"),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "socks5://other"}, "https_proxy"),
        ({"https_proxy": "", "HTTPS_PROXY": PROXY}, "HTTPS_PROXY"),
        ({"ALL_PROXY": PROXY}, "ALL_PROXY"),
        ({"HTTPS_PROXY": PROXY, "ALL_PROXY": "socks5://127.0.0.1:1080"}, "HTTPS_PROXY"),
        ({"HTTPS_PROXY": PROXY, "all_proxy": "nonsense://x"}, "HTTPS_PROXY"),
        ({"HTTPS_PROXY": "proxy.example:3128"}, "HTTPS_PROXY"),
        ({"HTTP_PROXY": "nonsense://x"}, None),
    ],
    ids=[
        "none",
        "one",
        "lower case first",
        "an empty one is unset",
        "for everything",
        "SOCKS for everything else",
        "an unusable one that no call needs",
        "without a scheme",
        "only for http",
    ],
)
def test_the_proxy_is_chosen_as_curl_chooses_it(environ: Mapping[str, str], variable: str | None) -> None:
    """A proxy that no call would use is not looked at."""
    assert chosen(API, environ) == variable


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8787/client/v4", "http://localhost:8787", "http://[::1]:8787"],
)
def test_plain_http_uses_no_proxy_and_no_ca_bundle(url: str) -> None:
    """It is for this machine only, and a proxy could read the token."""
    assert find_network(url, {"HTTPS_PROXY": PROXY, "ALL_PROXY": "nonsense://x", CA_FILE: "/nowhere"}) == Network()


EXCEPTIONS = [
    ("*", API, True),
    ("other.example, *", API, True),
    ("api.cloudflare.com", API, True),
    ("cloudflare.com", API, True),
    (".cloudflare.com", API, True),
    ("*.cloudflare.com", API, True),
    ("API.Cloudflare.COM", API, True),
    ("localhost 127.0.0.1 cloudflare.com", API, True),
    ("flare.com", API, False),
    ("cloudflare.com.example", API, False),
    ("api.cloudflare.com:443", API, True),
    ("api.cloudflare.com:8443", API, False),
    ("api.cloudflare.com:8443", "https://api.cloudflare.com:8443/client/v4", True),
    ("https://api.cloudflare.com", API, True),
    ("127.0.0.1", "https://127.0.0.1:9/x", True),
    ("127.0.0.1:9", "https://127.0.0.1:9/x", True),
    ("127.0.0.1:8", "https://127.0.0.1:9/x", False),
    ("127.0.0.0/8", "https://127.0.0.1:9/x", True),
    ("10.0.0.0/8", "https://10.1.2.3/x", True),
    ("10.0.0.1/8", "https://10.1.2.3/x", True),
    ("10.0.0.0/8", "https://11.1.2.3/x", False),
    ("1.2.3.4", "https://11.2.3.4/x", False),
    ("::1", "https://[::1]:9/x", True),
    ("[::1]", "https://[::1]:9/x", True),
    ("[::1]:9", "https://[::1]:9/x", True),
    ("[::1]:8", "https://[::1]:9/x", False),
    ("::1/128", "https://[::1]:9/x", True),
    ("0:0:0:0:0:0:0:1", "https://[::1]:9/x", True),
    ("[fd00::1]:443", "https://[fd00::1]/x", True),
    ("fd00::/8", "https://[fd00::1]/x", True),
    ("[fd00::]/8", "https://[fd00::1]/x", True),
    ("fd00::/8", "https://10.0.0.1/x", False),
    ("fd00::/8", API, False),
    ("", API, False),
    (" , ,", API, False),
    (".", API, False),
    (":", API, False),
    ("[", API, False),
    ("]:443,[::1", API, False),
    ("10.0.0.0/99,::/999,a/b", API, False),
    ("http://[", API, False),
    ("%zz,\x7f", API, False),
]


@pytest.mark.parametrize(("entries", "url", "excepted"), EXCEPTIONS, ids=[f"{a} for {b}" for a, b, _ in EXCEPTIONS])
def test_exceptions_are_hosts_addresses_ports_and_blocks(entries: str, url: str, excepted: bool) -> None:
    """As in curl and Go. What can't be parsed excepts nothing, and stops nothing."""
    for name in ("no_proxy", "NO_PROXY"):
        assert chosen(url, {"HTTPS_PROXY": PROXY, name: entries}) == (None if excepted else "HTTPS_PROXY")
        assert chosen(url, {name: entries}) is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("nonsense://user:secret@proxy", "of a kind that mtlsctl can't use"),
        ("user:secret@proxy://x", "of a kind that mtlsctl can't use"),
        ("socks4://user:secret@proxy", r"\(socks4://\)"),
        ("http://a:secret", "is not a valid proxy URL"),
        ("http://user:sec ret@proxy", "is not a valid proxy URL"),
        ("http://", "is not a valid proxy URL"),
        ("http://user:secret@[::1", "is not a valid proxy URL"),
    ],
)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_an_unusable_proxy_is_named_by_its_variable_and_not_shown(value: str, words: str, variable: str) -> None:
    """Its address may contain a password."""
    with pytest.raises(ReconcilerError, match=words) as caught:
        find_network(API, {variable: value})
    assert caught.value.code == "variable-invalid"
    assert caught.value.message.startswith(variable)
    assert "secret" not in f"{caught.value.message}{caught.value.hint}"
    assert find_network(API, {variable: value, "NO_PROXY": "*"}).proxy is None


def test_a_socks_proxy_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, the message names the variable and what to install."""
    monkeypatch.setattr("reconciler.web.network.find_spec", lambda _: None)
    with pytest.raises(
        ReconcilerError, match="ALL_PROXY names a SOCKS proxy, which needs the package socksio"
    ) as caught:
        find_network(API, {"ALL_PROXY": "socks5://user:secret@127.0.0.1:1080"})
    assert "secret" not in f"{caught.value.message}{caught.value.hint}"
    monkeypatch.setattr("reconciler.web.network.find_spec", lambda _: object())
    assert chosen(API, {"ALL_PROXY": "socks5h://127.0.0.1:1080"}) == "ALL_PROXY"


@pytest.mark.parametrize("exceptions", ["[::1]", "[fd00::1]:443", "::1/128", "fd00::/8", "["])
def test_no_exception_stops_a_run(exceptions: str) -> None:
    """With and without a proxy, the client is made."""
    for proxies in ({}, {"HTTPS_PROXY": PROXY, "ALL_PROXY": "socks5://127.0.0.1:1"}):
        environ = {"CLOUDFLARE_API_TOKEN": TOKEN, "NO_PROXY": exceptions, **proxies}
        access = find_access(StoreSettings(StoreKind.CLOUDFLARE, ACCOUNT), environ)
        Client(access, Time(now=SetClock().now)).close()


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", CA_FILE])
def test_what_can_not_be_used_is_an_error_of_the_store_there(variable: str) -> None:
    """And of an API elsewhere, before anything is sent."""
    environ = {"CLOUDFLARE_API_TOKEN": TOKEN, variable: "nonsense://x"}
    with pytest.raises(StoreError, match=f"{variable} names") as caught:
        Client(find_access(StoreSettings(StoreKind.CLOUDFLARE, ACCOUNT), environ), Time(now=SetClock().now))
    assert caught.value.code == "store-connection"
    with mock.patch.dict(os.environ, environ), pytest.raises(WebError, match=f"{variable} names") as error:
        Http(Address("Vault", "https://vault.invalid", {}, Code.KEY_UNAVAILABLE), lambda _: None).get("/x")
    assert error.value.code == "key-unavailable"


# --- certificate authorities ----------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a CA bundle, and what is none."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "empty.pem").touch()
    (tmp_path / "der.pem").write_bytes(b"\x30\x82\x00\x00")
    (tmp_path / "torn.pem").write_bytes((tmp_path / "ca.pem").read_bytes()[:200])
    return tmp_path


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        (CA_FILE, "~/corp.pem", "SSL_CERT_FILE names '~/corp.pem', which does not exist"),
        (CA_FILE, "{folder}/nowhere.pem", "which does not exist"),
        (CA_FILE, "nowhere.pem", "SSL_CERT_FILE names 'nowhere.pem', which does not exist"),
        (CA_FILE, "{folder}", "which is not a file"),
        (CA_FILE, "/dev/null", "which is not a file"),
        (CA_FILE, "{folder}/empty.pem", "contains no certificates in PEM"),
        (CA_FILE, "{folder}/der.pem", "contains no certificates in PEM"),
        (CA_FILE, "{folder}/torn.pem", "contains no certificates in PEM"),
        (CA_FOLDER, "~/certs", "SSL_CERT_DIR names '~/certs', which does not exist"),
        (CA_FOLDER, "{folder}/ca.pem", "which is not a folder"),
    ],
)
def test_an_unusable_ca_bundle_has_one_cause(variable: str, value: str, words: str, folder: Path) -> None:
    """The message names the variable, its value and the cause; no other variable."""
    value = value.format(folder=folder)
    with pytest.raises(ReconcilerError) as caught:
        trusted(find_network(API, {variable: value}))
    assert caught.value.code == "variable-invalid"
    assert words in caught.value.message
    assert value in caught.value.message
    assert "PROXY" not in f"{caught.value.message}{caught.value.hint}"
    assert ("shell expands ~" in (caught.value.hint or "")) == value.startswith("~")


def test_the_ca_bundle_replaces_the_public_cas(folder: Path) -> None:
    """A file counts before a folder; of several folders, those that exist; an empty variable is unset."""
    both = {CA_FILE: str(folder / "ca.pem"), CA_FOLDER: "/nowhere"}
    assert len(trusted(find_network(API, both)).get_ca_certs()) == 1
    assert trusted(find_network(API, {CA_FOLDER: f"/nowhere:{folder}"})).get_ca_certs() == []
    assert len(trusted(find_network(API, {CA_FILE: "", CA_FOLDER: ""})).get_ca_certs()) > 50


@pytest.mark.parametrize("environ", [{}, {CA_FILE: "{folder}/ca.pem"}, {CA_FOLDER: "{folder}"}])
def test_servers_are_always_verified(environ: dict[str, str], folder: Path) -> None:
    """Whatever the environment says."""
    context = trusted(find_network(API, {name: value.format(folder=folder) for name, value in environ.items()}))
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_no_session_key_is_written_to_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection carries private keys; `SSLKEYLOGFILE` would let everybody who reads the file read them."""
    monkeypatch.setenv("SSLKEYLOGFILE", str(folder / "keys.log"))
    for environ in ({}, {CA_FILE: str(folder / "ca.pem")}, {CA_FOLDER: str(folder)}):
        assert trusted(find_network(API, environ)).keylog_filename is None


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "set SSL_CERT_FILE to your company's CA bundle; "),
        ({"NODE_EXTRA_CA_CERTS": "x"}, "(NODE_EXTRA_CA_CERTS is set, but mtlsctl does not read it)"),
        ({CA_FILE: "x"}, "SSL_CERT_FILE replaces the public CAs: add the CA"),
        ({CA_FOLDER: "x"}, "SSL_CERT_DIR replaces the public CAs: add the CA"),
    ],
)
def test_an_untrusted_server_is_answered_by_what_is_set(environ: Mapping[str, str], words: str) -> None:
    """The hint names the variable that is in use, or the one to set."""
    assert words in find_network(API, environ).trust_hint
