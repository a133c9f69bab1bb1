"""Certificates signed by the PKI engine of HashiCorp Vault, whose stand-in on loopback behaves as documented."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from reconciler.findings.errors import IssuerError
from reconciler.issuers import open_issuer
from reconciler.issuers.context import IssuerContext
from reconciler.model.renewal import (
    DeclaredIssuer,
    IssuedCertificate,
    SearchableIssuer,
    SigningRequest,
    VaultIssuer,
)
from reconciler.web.vault import Vault
from reconciler.x509.certificates import Bundle, key_digest, parse_stored
from tests.support.forges import Reply
from tests.support.pki import make_ca, make_key
from tests.support.vault import ROOT, TOKEN, Policy, errors
from tests.support.vault_pki import Engine, PkiVault, Role, serial_of

POLICY: Policy = {
    "pki/sign/billing": ("update",),
    "pki/certs": ("list",),
    "pki/cert/*": ("read",),
}
"""As the how-to page has it."""


@dataclass
class Asked:
    """A Vault with a PKI engine, and the issuer that uses it."""

    fake: PkiVault
    environ: dict[str, str]
    told: list[str] = field(default_factory=list)

    @property
    def engine(self) -> Engine:
        return self.fake.pki["pki"]

    def issuer(self, role: str = "billing", mount: str = "pki") -> SearchableIssuer:
        context = IssuerContext(lambda _: b"", lambda _: b"", Vault(self.environ), None, self.told.append)
        opened = open_issuer(DeclaredIssuer("internal", VaultIssuer(role, mount)), context)
        assert isinstance(opened, SearchableIssuer)
        return opened


@pytest.fixture
def asked() -> Iterator[Asked]:
    fake = PkiVault(tokens={TOKEN: POLICY}, pki={"pki": Engine({"billing": Role("billing.example")})})
    with fake.running() as url:
        yield Asked(fake, {"VAULT_ADDR": url, "VAULT_TOKEN": TOKEN})


def request(common_name: str = "client.billing.example", **more: object) -> SigningRequest:
    """A request as `mtlsctl renew` makes it."""
    key = make_key("ec256")
    names = x509.SubjectAlternativeName([x509.DNSName(common_name), x509.UniformResourceIdentifier("spiffe://a/b")])
    builder = x509.CertificateSigningRequestBuilder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
    csr = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    digest = key_digest(make_ca("x", key=key).certificate)
    made = SigningRequest("billing", csr.public_bytes(Encoding.PEM), str(digest), common_name, (common_name,))
    return replace(made, uris=("spiffe://a/b",), **more)  # type: ignore[arg-type]


def parsed(found: bytes | IssuedCertificate | None) -> Bundle:
    pem = found.pem if isinstance(found, IssuedCertificate) else found or b""
    bundle = parse_stored(pem.decode())
    assert bundle is not None
    return bundle


def test_a_role_signs_a_request_and_the_answer_has_its_chain(asked: Asked) -> None:
    """Without the root, which the origin has; with the names and the time that were asked for."""
    wanted = request(lifetime=timedelta(hours=2))
    bundle = parsed(asked.issuer().issue(wanted))
    assert key_digest(bundle.leaf) == wanted.key
    assert bundle.certificates[1:] == (asked.engine.authority.certificate,)
    assert timedelta(hours=2) <= bundle.not_after - bundle.not_before < timedelta(hours=3)
    assert bundle.facts().subject_alternative_names == ("DNS:client.billing.example", "URI:spiffe://a/b")
    sent = asked.fake.requests[-1].body
    assert {name: sent[name] for name in ("common_name", "alt_names", "ip_sans", "uri_sans", "ttl")} == {
        "common_name": "client.billing.example",
        "alt_names": "client.billing.example",
        "ip_sans": "",
        "uri_sans": "spiffe://a/b",
        "ttl": "7200s",
    }


def test_an_old_vault_that_adds_the_root_is_no_different(asked: Asked) -> None:
    """It does not know the parameter, and answers with the whole chain."""
    sign = asked.engine.sign

    def old(role: Role, content: dict[str, object]) -> Reply:
        return sign(role, {**content, "remove_roots_from_chain": False})

    asked.engine.sign = old  # type: ignore[method-assign, assignment]
    assert len(parsed(asked.issuer().issue(request())).ders) == 2


def test_a_certificate_whose_answer_was_lost_is_found_by_its_key(asked: Asked) -> None:
    """With its chain; the certificates of others are not it."""
    wanted = request()
    for _ in range(3):
        asked.issuer().issue(request())
    asked.fake.failures.append(("POST /v1/pki/sign", errors(502, "x"), True))
    with pytest.raises(IssuerError) as error:
        asked.issuer().issue(wanted)
    assert error.value.is_open
    bundle = parsed(asked.issuer().find(wanted.key))
    assert key_digest(bundle.leaf) == wanted.key
    assert bundle.certificates[1:] == (asked.engine.authority.certificate,)
    assert asked.issuer().find("0" * 64) is None


def test_the_newest_one_is_found_and_a_revoked_one_only_if_all_are(asked: Asked) -> None:
    """So that its key is not used again; one that is deleted meanwhile is no error."""
    wanted = request()
    first, second = (parsed(asked.issuer().issue(wanted)) for _ in range(2))
    later = max((first, second), key=lambda one: one.not_before)
    assert parsed(asked.issuer().find(wanted.key)).not_before == later.not_before
    asked.engine.revoke(serial_of(first.leaf))
    assert parsed(asked.issuer().find(wanted.key)).leaf == second.leaf
    asked.engine.revoke(serial_of(second.leaf))
    found = asked.issuer().find(wanted.key)
    assert (found.is_revoked if found is not None else None) is True
    asked.fake.failures += [("GET /v1/pki/cert/", errors(404), False)] * 2
    assert asked.issuer().find(wanted.key) is None


def test_an_engine_that_signed_nothing_has_nothing(asked: Asked) -> None:
    """Vault answers an empty list with 404."""
    assert asked.issuer().find("0" * 64) is None


def test_a_list_that_is_not_whole_is_an_error(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that is there must not look as if it was not issued."""
    wanted = request()
    asked.issuer().issue(wanted)
    asked.issuer().issue(request())
    for mount in ("pki", "other"):
        asked.fake.tokens[TOKEN] = {} if mount == "pki" else ROOT
        with pytest.raises(IssuerError, match=r"Vault (does not permit 'list'|has nothing at)"):
            asked.issuer(mount=mount).find(wanted.key)
    asked.fake.tokens[TOKEN] = {**POLICY, "pki/cert/*": ()}
    with pytest.raises(IssuerError, match="Vault does not permit 'read' of 'pki/cert/"):
        asked.issuer().find(wanted.key)
    monkeypatch.setattr("reconciler.issuers.vault_pki._MOST", 1)
    with pytest.raises(IssuerError, match="the PKI engine 'pki' of Vault has 2 certificates") as error:
        asked.issuer().find(wanted.key)
    assert "vault write pki/tidy" in str(error.value.hint)


@pytest.mark.parametrize(
    ("role", "name", "words"),
    [
        ("billing", "client.evil.example", "common name client.evil.example not allowed by this role"),
        ("other", "client.billing.example", "unknown role: other"),
    ],
)
def test_what_the_role_refuses_is_told_in_its_words(asked: Asked, role: str, name: str, words: str) -> None:
    """What was sent is public, and only Vault knows the role."""
    asked.fake.tokens[TOKEN] = ROOT
    with pytest.raises(IssuerError) as error:
        asked.issuer(role).issue(request(name))
    assert error.value.message == f"Vault signed nothing: {words}"
    assert not error.value.is_open


@pytest.mark.parametrize("body", [None, "text", {"data": {}}, {"data": {"certificate": "text"}}])
def test_an_answer_without_a_certificate_leaves_it_open(asked: Asked, body: object) -> None:
    """It may have been signed."""
    asked.fake.failures.append(("POST", (200, {}, body), False))
    with pytest.raises(IssuerError) as error:
        asked.issuer().issue(request())
    assert error.value.is_open


def test_a_call_that_was_not_sent_leaves_nothing_open(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens there."""
    monkeypatch.setattr("reconciler.web.http._FIRST_PAUSE_S", 0.0)
    issuer = asked.issuer()
    issuer.demand()
    asked.environ["VAULT_ADDR"] = "http://127.0.0.1:1"
    for call in (asked.issuer().demand, partial(asked.issuer().issue, request())):
        with pytest.raises(IssuerError, match="it did not answer") as error:
            call()
        assert not error.value.is_open


def test_what_is_missing_is_told_before_a_key_is_made(asked: Asked) -> None:
    """The capability is asked for, not tried."""
    asked.issuer().demand()
    with pytest.raises(IssuerError) as error:
        asked.issuer("other").demand()
    assert error.value.message == "Vault does not permit 'update' of 'pki/sign/other'"
    assert 'path "pki/sign/other" { capabilities = ["update"] }' in str(error.value.hint)
    asked.fake.has_default = False  # it may not even ask
    asked.issuer().demand()
    asked.environ["VAULT_TOKEN"] = ""
    with pytest.raises(IssuerError, match="there is no login to Vault"):
        asked.issuer().demand()
    assert asked.engine.kept == {}


def test_what_vault_says_is_shown_as_text_and_not_at_any_length(asked: Asked) -> None:
    """What moves a cursor, hides text or fills the screen is none."""
    asked.fake.failures.append(("POST", errors(400, "\x1b[2Jred\n::error::\u202e" + "x" * 10_000), False))
    with pytest.raises(IssuerError) as error:
        asked.issuer().issue(request())
    assert len(error.value.message) < 400
    assert not {"\x1b", "\n", "\u202e"} & set(error.value.message)


def test_no_error_has_the_token(asked: Asked) -> None:
    """Whatever the server repeats."""
    asked.fake.failures.append(("POST", errors(500, TOKEN), False))
    asked.fake.failures.append(("GET", (200, {}, {"data": {"keys": [[TOKEN]]}}), False))
    for call in (partial(asked.issuer().issue, request()), partial(asked.issuer().find, "0" * 64)):
        with pytest.raises(IssuerError) as error:
            call()
        assert TOKEN not in f"{error.value.message} {error.value.hint} {error.value.__context__!r}"
