"""Issuers of kind `step` with the real step-ca."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from reconciler.desired.parse import parse_declaration
from reconciler.findings.errors import IssuerError
from reconciler.issuers.context import IssuerContext
from reconciler.issuers.step import StepCa
from reconciler.keys import KINDS
from reconciler.model import CertificateName, KeyReference
from reconciler.model.renewal import SigningRequest, StepIssuer
from reconciler.web.vault import Vault
from tests.support.pages import blocks
from tests.support.paths import REPOSITORY
from tests.support.pki import CLIENT_AUTH, make_ca
from tests.support.step_ca import PASSWORD, authority, provisioner, request_for, step_ca

NAMES = (x509.DNSName("billing.example"), x509.UniformResourceIdentifier("spiffe://example/billing"))
LEAF = make_ca("CA").issue("billing", san=NAMES)
REQUEST = SigningRequest(
    "billing", request_for(LEAF), "", "billing", dns_names=("billing.example",), uris=("spiffe://example/billing",)
)
POLICY = {"policy": {"x509": {"allow": {"dns": ["*.example"], "uri": ["example"], "cn": ["billing", "ledger"]}}}}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A step-ca whose provisioner's key is encrypted as step does it today."""
    claims = {"minTLSCertDuration": "30s", "defaultTLSCertDuration": "5m", "maxTLSCertDuration": "1h"}
    own = provisioner(rounds=600_000, more={"claims": claims})
    with step_ca(tmp_path_factory.mktemp("step"), own, more=POLICY) as address:
        yield address


def issuer(url: str, password: bytes = PASSWORD) -> StepCa:
    """The issuer, as mtls.toml declares it."""
    options = StepIssuer(url, "mtlsctl", KeyReference("env", {"env": "X"}), "root.pem")
    root = authority()[0].certificate_pem
    return StepCa(
        "internal", options, IssuerContext(lambda _: root, lambda _: password, Vault({}), None, lambda _: None)
    )


def test_it_signs_what_is_asked_for(url: str) -> None:
    """The key and names of the request, for as long as is asked, with the chain up to its root."""
    answer = issuer(url).issue(replace(REQUEST, lifetime=timedelta(minutes=2)))
    leaf, above = x509.load_pem_x509_certificates(answer)
    assert leaf.public_key() == LEAF.certificate.public_key()
    assert tuple(leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value) == NAMES
    assert leaf.subject.rfc4514_string() == "CN=billing"
    assert timedelta(0) < leaf.not_valid_after_utc - datetime.now(UTC) <= timedelta(minutes=2)
    leaf.verify_directly_issued_by(above)
    above.verify_directly_issued_by(authority()[0].certificate)


def test_a_token_is_good_for_no_other_request(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even for one with the same names: step-ca compares the hash of the request."""
    opened = issuer(url)
    token = opened._token(opened._unlocked(), REQUEST)
    monkeypatch.setattr(StepCa, "_token", lambda *_: token)
    other = make_ca("CA").issue("billing", san=NAMES)
    with pytest.raises(IssuerError, match=r"signed nothing \(403\): .*fingerprint does not match"):
        opened.issue(replace(REQUEST, csr=request_for(other)))
    with pytest.raises(IssuerError, match=r"signed nothing \(401\)"):
        opened.issue(REQUEST)  # it was used


def test_its_refusals_say_what_is_not_allowed(url: str) -> None:
    """The lifetime, and the names of its policy."""
    with pytest.raises(IssuerError, match="more than the authorized maximum") as error:
        issuer(url).issue(replace(REQUEST, lifetime=timedelta(hours=2)))
    assert "change what they allow" in str(error.value.hint)
    for names, common_name in (((x509.DNSName("billing.other"),), "billing"), ((), "other")):
        leaf = make_ca("CA").issue(common_name, san=names)
        asked = SigningRequest("billing", request_for(leaf), "", common_name, tuple(name.value for name in names))
        with pytest.raises(IssuerError, match=r"not (allowed|permitted)") as error:
            issuer(url).issue(asked)
        assert not error.value.is_open


def test_a_wrong_password_is_named_as_such(url: str) -> None:
    with pytest.raises(IssuerError, match="the password does not open the key of the provisioner 'mtlsctl'"):
        issuer(url, b"wrong").demand()


def test_the_host_of_the_address_has_to_be_a_name_of_step_ca(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token is for that host; step-ca itself tells its log alone what is wrong."""
    opened = issuer(url)
    signer, options = opened._unlocked(), opened.options
    opened.options = replace(options, url="https://elsewhere.example")
    token = opened._token(signer, REQUEST)
    opened.options = options
    monkeypatch.setattr(StepCa, "_token", lambda *_: token)
    with pytest.raises(IssuerError, match=r"signed nothing \(401\)") as error:
        opened.issue(REQUEST)
    assert "`dnsNames`" in str(error.value.hint)


PAGE = REPOSITORY / "docs/how-to/renew-step.md"


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[StepCa, SigningRequest]]:
    """The issuer and the request that the page declares, at a step-ca with its template, policy and options."""
    shown = {name: [one.text for one in blocks(PAGE) if one.language == name] for name in ("json", "toml", "sh")}
    template, policy = shown["json"]
    options = dict(re.findall(r"--(x509-\w+-dur) (\S+)", shown["sh"][0]))
    claims = {
        "defaultTLSCertDuration": options["x509-default-dur"],
        "maxTLSCertDuration": options["x509-max-dur"],
        "disableRenewal": True,
        "enableSSHCA": False,
    }
    text = f'version = 1\nstack = "payments"\n\n{shown["toml"][0]}'
    declared, _ = parse_declaration(text.encode(), "mtls.toml", KINDS)
    step, renewal = declared.issuers["internal"].options, declared.certificates[CertificateName("billing")].renew
    assert isinstance(step, StepIssuer)
    assert renewal is not None
    assert renewal.names is not None
    names = tuple(name.removeprefix("DNS:") for name in renewal.names)
    leaf = make_ca("CA").issue("billing", san=tuple(map(x509.DNSName, names)))
    request = SigningRequest("billing", request_for(leaf), "", "billing", names, lifetime=renewal.lifetime)
    own = provisioner(step.provisioner, more={"claims": claims, "options": {"x509": {"template": template}}})
    with step_ca(tmp_path_factory.mktemp("page"), own, more=json.loads(policy)) as address:
        opened = issuer(address)
        opened.options = replace(step, url=address)
        yield opened, request


def test_the_provisioner_of_the_page_signs_for_clients_alone(documented: tuple[StepCa, SigningRequest]) -> None:
    """For as long as is declared there, with the names that were asked for."""
    opened, request = documented
    leaf = x509.load_pem_x509_certificates(opened.issue(request))[0]
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [CLIENT_AUTH]
    assert leaf.subject.rfc4514_string() == "CN=billing"
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == list(request.dns_names)
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == timedelta(days=30, minutes=1)


def test_the_provisioner_of_the_page_signs_nothing_else(documented: tuple[StepCa, SigningRequest]) -> None:
    """Neither for longer nor for another name."""
    opened, request = documented
    with pytest.raises(IssuerError, match="more than the authorized maximum"):
        opened.issue(replace(request, lifetime=timedelta(days=31)))
    for common_name, name in (("billing", "ledger.internal.example"), ("ledger", "billing.internal.example")):
        leaf = make_ca("CA").issue(common_name, san=(x509.DNSName(name),))
        with pytest.raises(IssuerError, match=r"signed nothing \(403\)"):
            opened.issue(replace(request, csr=request_for(leaf), common_name=common_name, dns_names=(name,)))


def test_without_names_it_gives_the_common_name_as_one(documented: tuple[StepCa, SigningRequest]) -> None:
    """As the page says; its policy does not allow that name."""
    opened, request = documented
    leaf = make_ca("CA").issue("billing")
    with pytest.raises(IssuerError, match="billing"):
        opened.issue(replace(request, csr=request_for(leaf), dns_names=()))
