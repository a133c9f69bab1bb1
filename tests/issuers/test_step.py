"""Issuers of kind `step`: what step-ca is asked, and what is told where it can't be asked or refuses."""

from __future__ import annotations

import hashlib
import json
import logging
import ssl
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from email.utils import formatdate
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc import jwt

from reconciler.findings.errors import FileError, IssuerError, KeySourceError
from reconciler.issuers import open_issuer
from reconciler.issuers.context import IssuerContext
from reconciler.issuers.step import StepCa
from reconciler.model import KeyReference
from reconciler.model.renewal import DeclaredIssuer, SigningRequest, StepIssuer
from reconciler.web.vault import Vault
from tests.support.cli import Project
from tests.support.pki import make_ca
from tests.support.step_ca import NAME, PASSWORD, FakeStepCa, Provisioner, lock, provisioner, request_for

LEAF = make_ca("CA").issue("billing", san=(x509.DNSName("billing.example"),))
REQUEST = SigningRequest("billing", request_for(LEAF), "", "billing", dns_names=("billing.example",))
PROVISIONER = provisioner()
SECRET = KeyReference("env", {"env": "STEP_PASSWORD"})


@dataclass(repr=False)
class Asked:
    """The issuer, the fake that it asks, and what it was given."""

    fake: FakeStepCa
    url: str
    root: bytes = b""
    password: bytes = PASSWORD
    waits: list[float] = field(default_factory=list)
    secrets: list[KeyReference] = field(default_factory=list)

    def issuer(self, name: str = NAME, url: str | None = None, root: str | None = "certs/root.pem") -> StepCa:
        """A new one, which remembers nothing."""
        options = StepIssuer(url or self.url, name, SECRET, root)
        context = IssuerContext(self._read, self._secret, Vault({}), None, lambda _: None)
        opened = open_issuer(DeclaredIssuer("internal", options), context)
        assert isinstance(opened, StepCa)
        opened.sleep = self.waits.append
        return opened

    def refused(self, issuer: StepCa | None = None) -> IssuerError:
        """The error of a request for a certificate."""
        with pytest.raises(IssuerError) as error:
            (issuer or self.issuer()).issue(REQUEST)
        return error.value

    def _read(self, path: str) -> bytes:
        if path != "certs/root.pem":
            raise FileError(f"{path} does not exist")
        return self.root

    def _secret(self, reference: KeyReference) -> bytes:
        self.secrets.append(reference)
        return self.password


@pytest.fixture
def asked() -> Iterator[Asked]:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    pem = LEAF.certificate_pem.decode()
    fake = FakeStepCa(provisioners=[PROVISIONER.row], signed={"crt": pem, "ca": pem, "certChain": [pem, pem]})
    with fake.running(context) as url:
        yield Asked(fake, url, authority.cert_pem.bytes())


def sent(asked: Asked, own: Provisioner = PROVISIONER) -> jwt.Token:
    """The token of the last request, whose signature is the provisioner's."""
    return jwt.decode(asked.fake.requests[-1].body["ott"], own.key, algorithms=[str(own.key.alg)])


def test_a_token_is_for_one_request_alone(asked: Asked) -> None:
    """It names the request by its hash, and no two are the same."""
    answer = asked.issuer().issue(REQUEST)
    assert answer == LEAF.certificate_pem * 2
    first = sent(asked)
    der = x509.load_pem_x509_csr(REQUEST.csr).public_bytes(Encoding.DER)
    bound = urlsafe_b64encode(hashlib.sha256(der).digest()).decode().rstrip("=")
    assert first.header == {"typ": "JWT", "alg": "ES256", "kid": PROVISIONER.key.kid}
    assert first.claims["exp"] - first.claims["nbf"] == 300
    assert abs(first.claims["iat"] - time.time()) < 60
    assert {name: first.claims[name] for name in ("iss", "aud", "sub", "sans", "cnf")} == {
        "iss": NAME,
        "aud": f"{asked.url}/1.0/sign",
        "sub": "billing",
        "sans": ["billing.example"],
        "cnf": {"x5rt#S256": bound},
    }
    asked.issuer().issue(REQUEST)
    assert sent(asked).claims["jti"] != first.claims["jti"]


def test_every_kind_of_name_is_in_the_token(asked: Asked) -> None:
    """step-ca compares them with those of the request. Without a common name the first is the subject."""
    names = replace(REQUEST, ip_addresses=("127.0.0.1",), uris=("spiffe://a/b",), emails=("a@b.example",))
    asked.issuer().issue(names)
    assert sent(asked).claims["sans"] == ["billing.example", "127.0.0.1", "spiffe://a/b", "a@b.example"]
    asked.issuer().issue(replace(REQUEST, common_name=""))
    assert sent(asked).claims["sub"] == "billing.example"
    asked.issuer().issue(replace(REQUEST, dns_names=()))
    assert "sans" not in sent(asked).claims
    with pytest.raises(IssuerError, match="the request for 'billing' has no name") as error:
        asked.issuer().issue(replace(REQUEST, common_name="", dns_names=()))
    assert "[certificates.billing.renew]" in str(error.value.hint)


def test_a_lifetime_is_asked_for_where_one_is_declared(asked: Asked) -> None:
    """Without it the provisioner's default counts."""
    asked.issuer().issue(REQUEST)
    assert asked.fake.requests[-1].body["csr"] == REQUEST.csr.decode()
    assert "notAfter" not in asked.fake.requests[-1].body
    asked.issuer().issue(replace(REQUEST, lifetime=timedelta(days=90)))
    assert asked.fake.requests[-1].body["notAfter"] == "7776000s"


@pytest.mark.parametrize(
    "signed", [{"crt": "LEAF", "ca": "CA"}, {"crt": "LEAF\n", "ca": "CA", "certChain": None}], ids=["older", "null"]
)
def test_an_answer_without_a_chain_has_leaf_and_intermediate(asked: Asked, signed: object) -> None:
    asked.fake.signed = signed
    assert asked.issuer().issue(REQUEST) == b"LEAF\nCA\n"


@pytest.mark.parametrize(
    ("kind", "curve", "algorithm"), [("EC", "P-384", "ES384"), ("RSA", 2048, "RS256"), ("OKP", "Ed25519", "EdDSA")]
)
def test_a_provisioner_may_have_a_key_of_another_kind(
    asked: Asked, kind: str, curve: str | int, algorithm: str
) -> None:
    """As `step crypto jwk create` makes them."""
    own = provisioner(kind=kind, curve=curve, algorithm=algorithm)
    asked.fake.provisioners = [own.row]
    asked.issuer().issue(REQUEST)
    assert asked.fake.requests[-1].body["ott"].count(".") == 2
    if algorithm != "EdDSA":  # of which the library of the test warns
        assert sent(asked, own).claims["iss"] == NAME


def test_demand_asks_for_no_certificate_and_the_key_is_opened_once(asked: Asked) -> None:
    """A command for the password may ask a person."""
    issuer = asked.issuer()
    issuer.demand()
    assert [request.method for request in asked.fake.requests] == ["GET"]
    issuer.issue(REQUEST)
    issuer.issue(REQUEST)
    assert [request.method for request in asked.fake.requests] == ["GET", "POST", "POST"]
    assert asked.secrets == [SECRET]


def test_all_pages_of_provisioners_are_read(asked: Asked) -> None:
    """And no server can make that endless."""
    others = [provisioner(f"other-{number}").row for number in range(3)]
    asked.fake.provisioners, asked.fake.per_page = [*others, PROVISIONER.row], 1
    asked.issuer().issue(REQUEST)
    for _ in range(200):
        asked.fake.failures.append(("GET", (200, {}, {"provisioners": [], "nextCursor": "1"}), False))
    with pytest.raises(IssuerError, match="more provisioners than mtlsctl reads"):
        asked.issuer().demand()


def test_a_provisioner_may_have_two_keys(asked: Asked) -> None:
    """While one is replaced by the other: the password says which is meant."""
    asked.fake.provisioners = [provisioner(password=b"another password").row, PROVISIONER.row]
    asked.issuer().issue(REQUEST)
    assert sent(asked).header["kid"] == PROVISIONER.key.kid


def test_an_unknown_provisioner_is_an_error_with_those_that_there_are(asked: Asked) -> None:
    """Only those of type JWK, which could be meant; names of the server act on no terminal."""
    asked.fake.provisioners += [{"type": "ACME", "name": "acme"}, provisioner("ci\x1b[31m\n::error::").row]
    with pytest.raises(IssuerError, match="has no provisioner 'billing'") as error:
        asked.issuer("billing").demand()
    hint = str(error.value.hint)
    assert hint.startswith("set `provisioner` of [issuers.internal] to one of type JWK; it has: 'ci")
    assert "acme" not in hint
    assert hint.isprintable()


@pytest.mark.parametrize(
    "row",
    [{"type": "ACME", "name": NAME}, {**PROVISIONER.row, "encryptedKey": None}, {**PROVISIONER.row, "type": "X5C"}],
    ids=["acme", "key elsewhere", "another type"],
)
def test_a_provisioner_without_an_encrypted_key_can_not_be_used(asked: Asked, row: dict[str, object]) -> None:
    asked.fake.provisioners = [row]
    with pytest.raises(IssuerError, match="has no encrypted key for the provisioner 'mtlsctl'"):
        asked.issuer().demand()


@pytest.mark.parametrize("password", [b"wrong", b"\xff\xfe", b"-----BEGIN PUBLIC KEY-----"])
def test_a_wrong_password_is_named_as_such(asked: Asked, password: bytes) -> None:
    """And not shown."""
    asked.password = password
    with pytest.raises(IssuerError, match="the password does not open the key of the provisioner 'mtlsctl'") as error:
        asked.issuer().demand()
    assert "check `password` of [issuers.internal]" in str(error.value.hint)
    assert error.value.__context__ is None


PLAIN = json.dumps(PROVISIONER.key.as_dict(private=True)).encode()


@pytest.mark.parametrize(
    "encrypted",
    [
        "",
        "text",
        "a.b.c",
        lock(PLAIN, algorithm="PBES2-HS512+A256KW"),
        lock(PLAIN, encryption="A128CBC-HS256"),
        lock(PLAIN, rounds=1000).replace(".", "A.", 1),
        lock(b"CANARY no JSON"),
        lock(b'["CANARY"]'),
        lock(b'{"kty":"EC","d":"CANARY"}'),
        lock(json.dumps(PROVISIONER.key.as_dict(private=False)).encode()),
        lock(json.dumps({**PROVISIONER.key.as_dict(private=True), "alg": "none"}).encode()),
        lock(json.dumps({**PROVISIONER.key.as_dict(private=True), "alg": "RS256"}).encode()),
        lock(json.dumps({**PROVISIONER.key.as_dict(private=True), "use": "enc"}).encode()),
        lock(b'{"kty":"oct","alg":"HS256","k":"CANARY"}'),
        lock(b"[" * 30_000),
    ],
)
def test_a_key_of_another_form_is_one_sentence(asked: Asked, encrypted: str) -> None:
    """Nothing of what is in it is shown."""
    asked.fake.provisioners = [{**PROVISIONER.row, "encryptedKey": encrypted}]
    with pytest.raises(IssuerError, match="provisioner 'mtlsctl'") as error:
        asked.issuer().demand()
    assert "CANARY" not in f"{error.value!r} {error.value.diagnostics()} {error.value.__cause__!r}"


def test_no_server_can_make_a_run_compute_for_hours(asked: Asked) -> None:
    """step makes 600,000 rounds; far more are refused before they begin."""
    head, _, rest = lock(PLAIN).partition(".")
    del head
    text = json.dumps({"alg": "PBES2-HS256+A128KW", "enc": "A256GCM", "p2s": "AAAA", "p2c": 2**31 - 1})
    header = urlsafe_b64encode(text.encode()).decode().rstrip("=")
    asked.fake.provisioners = [{**PROVISIONER.row, "encryptedKey": f"{header}.{rest}"}]
    began = time.monotonic()
    with pytest.raises(IssuerError, match="can't read the key of the provisioner"):
        asked.issuer().demand()
    assert time.monotonic() - began < 5


def test_as_many_rounds_as_step_makes_are_no_error(asked: Asked) -> None:
    """The library itself takes half of them."""
    own = provisioner(rounds=600_000)
    asked.fake.provisioners = [own.row]
    asked.issuer().issue(REQUEST)
    assert sent(asked, own).claims["iss"] == NAME


@pytest.mark.parametrize(
    ("status", "message", "hint", "is_open"),
    [
        (401, "lacked necessary authorization.", "the host of `url` is one of the `dnsNames` of step-ca", False),
        (403, "more than the authorized maximum.", "`names`, `subject` and `lifetime`", False),
        (400, "invalid csr.", "read the log of step-ca", False),
        (500, "error applying certificate template", "a template of the provisioner", True),
    ],
)
def test_a_refusal_has_the_reason_of_step_ca_and_what_to_do(
    asked: Asked, status: int, message: str, hint: str, is_open: bool
) -> None:
    """After an error of the server it is unknown whether it signed."""
    asked.fake.refuse(status, message)
    error = asked.refused()
    what = "may have signed the request" if is_open else "signed nothing"
    assert error.message == f"step-ca {asked.url} {what} ({status}): {message.removesuffix('.')}"
    assert hint in str(error.hint)
    assert error.is_open is is_open
    assert asked.fake.calls("POST") == ["/1.0/sign"]


@pytest.mark.parametrize(("ahead", "way"), [(600, "ahead of"), (-600, "behind")])
def test_a_token_is_refused_where_the_clocks_differ(asked: Asked, ahead: int, way: str) -> None:
    """step-ca gives no reason, and its answers have its time."""
    told = {"date": formatdate(time.time() + ahead, usegmt=True)}
    asked.fake.failures.append(("GET", (200, told, {"provisioners": [PROVISIONER.row]}), False))
    asked.fake.refuse(401, "no")
    assert f" s {way} that of this machine" in str(asked.refused().hint)


def test_what_a_server_says_is_bounded_and_acts_on_nothing(asked: Asked) -> None:
    """It is data: one line of visible characters."""
    asked.fake.refuse(403, "\x1b[2J\n::error::" + "x" * 100_000)
    message = asked.refused().message
    assert message.isprintable()
    assert len(message) < 500


@pytest.mark.parametrize("body", [None, "text", [], {"message": 7}])
def test_a_refusal_without_a_reason_is_one_too(asked: Asked, body: object) -> None:
    asked.fake.failures.append(("POST", (403, {}, body), False))
    assert asked.refused().message.endswith("signed nothing (403): it gave no reason")


@pytest.mark.parametrize("body", [None, "text", {}, {"crt": None}, {"crt": 7, "certChain": "x"}])
def test_after_an_answer_of_another_form_it_may_have_signed(asked: Asked, body: object) -> None:
    asked.fake.failures.append(("POST", (201, {}, body), False))
    error = asked.refused()
    assert error.is_open
    assert "may have signed the request; its answer was lost, or is not one of step-ca" in error.message


def test_a_lost_answer_is_open_and_a_call_that_was_not_sent_is_not(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller must know which it was."""
    issuer = asked.issuer()
    issuer.demand()
    monkeypatch.setattr("reconciler.web.http._MOST_BYTES", 10)
    assert asked.refused(issuer).is_open
    issuer.options = replace(issuer.options, url="https://127.0.0.1:1")
    error = asked.refused(issuer)
    assert not error.is_open
    assert error.message == "step-ca https://127.0.0.1:1 does not answer any more"
    assert asked.waits == [1.0, 2.0, 4.0]


def test_an_address_that_is_not_one_of_step_ca_is_told_with_its_setting(asked: Asked) -> None:
    """Nothing listens there, or another server does."""
    for url, reason in (("https://127.0.0.1:1", "did not answer"), (f"{asked.url}/ca", "answered with 404")):
        with pytest.raises(IssuerError, match=reason) as error:
            asked.issuer(url=url).demand()
        assert str(error.value.hint).startswith("check `url` of [issuers.internal]")
        assert not error.value.is_open


def test_a_server_that_its_root_does_not_vouch_for_gets_nothing(asked: Asked) -> None:
    """With the line of mtls.toml to correct."""
    good, asked.root = asked.root, trustme.CA().cert_pem.bytes()
    with pytest.raises(IssuerError, match="TLS verification failed") as error:
        asked.issuer().demand()
    assert "certs/root.pem is the root certificate of this step-ca" in str(error.value.hint)
    with pytest.raises(IssuerError, match="TLS verification failed") as error:
        asked.issuer(root=None).demand()
    assert "set `root` of [issuers.internal]" in str(error.value.hint)
    assert asked.fake.requests == []
    asked.root = good
    asked.issuer().demand()


def test_a_root_or_password_that_can_not_be_read_is_told_before_anything_is_asked(asked: Asked) -> None:
    with pytest.raises(IssuerError, match=r"certs/none\.pem does not exist"):
        asked.issuer(root="certs/none.pem").demand()
    asked.root = b"no PEM"
    with pytest.raises(IssuerError, match=r"`root` of \[issuers.internal\] names a file that has no certificates"):
        asked.issuer().demand()

    def absent(reference: KeyReference) -> bytes:
        raise KeySourceError("the environment variable STEP_PASSWORD is not set", hint="set it")

    issuer = asked.issuer()
    issuer.context = replace(issuer.context, secret=absent)
    with pytest.raises(IssuerError, match="STEP_PASSWORD is not set") as error:
        issuer.demand()
    assert error.value.hint == "set it"
    assert asked.fake.requests == []


@pytest.mark.parametrize("url", ["https://ca.example?x=1", "https://ca.example#x"])
def test_an_address_with_more_than_a_host_and_a_path_is_an_error(asked: Asked, url: str) -> None:
    with pytest.raises(IssuerError, match=r"`url` of \[issuers.internal\]"):
        asked.issuer(url=url).demand()


def test_nothing_shows_the_password_or_a_token(
    asked: Asked, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where the server repeats it; nor the private key of the provisioner."""
    caplog.set_level(logging.DEBUG)
    issuer = asked.issuer()
    issuer.issue(REQUEST)
    token = asked.fake.requests[-1].body["ott"]
    shown = [repr(issuer), repr(issuer._unlocked())]
    monkeypatch.setattr(asked.fake, "answer", lambda request: (403, {}, {"message": f"token {request.body['ott']}"}))
    error = asked.refused(issuer)
    shown += [repr(error), str(error), str(error.diagnostics()), caplog.text]
    private = str(PROVISIONER.key.as_dict(private=True)["d"])
    for secret in (PASSWORD.decode(), token, token.split(".")[1], private):
        assert not [text for text in shown if secret in text]
    assert "its text is not shown" in error.message


MTLS = """\
version = 1
stack = "payments"

[issuers.internal]
kind = "step"
url = "URL"
provisioner = "mtlsctl"
password = { env = "STEP_PASSWORD" }
root = "certs/root.pem"

[certificates.billing]
certificate = "certs/billing.pem"

[certificates.billing.renew]
issuer = "internal"
sink = { sops = "secrets" }
subject = "CN=billing"
"""


def test_all_certificates_of_a_run_share_one_key_of_the_provisioner(asked: Asked, tmp_path: Path) -> None:
    """A command for its password may ask a person, and the key takes a while to decrypt."""
    project = Project(tmp_path, {"STEP_PASSWORD": PASSWORD.decode(), "MTLSCTL_KEY_DIRS": str(tmp_path / "keys")})
    text = MTLS.replace("URL", asked.url).replace('sops = "secrets"', 'file = "keys"')
    tables = text[text.index("[certificates.billing]") :]
    project.write("mtls.toml", f"{text}\n{tables.replace('billing', 'ledger')}")
    project.write("certs/root.pem", asked.root)
    (tmp_path / "keys").mkdir()
    for _ in range(2):
        asked.fake.refuse(403, "not now")
    result = project.run("renew", "billing", "ledger")
    assert result.out.count("signed nothing (403): not now") == 2
    assert [request.method for request in asked.fake.requests] == ["GET", "POST", "POST"]


def test_without_its_extra_it_is_one_clear_line(asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to run, before anything is asked or made."""
    monkeypatch.setitem(sys.modules, "joserfc", None)
    project = Project(tmp_path, {"STEP_PASSWORD": PASSWORD.decode()})
    project.write("mtls.toml", MTLS.replace("URL", asked.url))
    project.write("certs/root.pem", asked.root)
    result = project.run("renew", "billing")
    assert result.code == 1
    assert "error[extra]: issuers of kind `step` need joserfc, which is not installed" in result.out
    assert "pipx install --force '.[step]'" in result.out
    assert "Traceback" not in result.out + result.err
    assert asked.fake.requests == []
    assert sorted(path.name for path in tmp_path.rglob("*") if ".mtlsctl" not in path.parts) == [
        "certs",
        "mtls.toml",
        "root.pem",
    ]
