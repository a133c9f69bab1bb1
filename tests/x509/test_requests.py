"""New keys and certificate requests, and the comparison of an answer with what was asked for."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from reconciler.desired.renewal import KEY_TYPES
from reconciler.findings.diagnostics import Pointer
from reconciler.findings.errors import CertificateError
from reconciler.x509.certificates import key_kind
from reconciler.x509.requests import (
    MADE_KINDS,
    SigningKey,
    alternative_names,
    check_answer,
    make_key,
    make_request,
    profile_of,
    read_key,
)
from tests.support.pki import CLIENT_AUTH, SERVER_AUTH, Issued, make_ca
from tests.support.pki import make_key as any_key

CA = make_ca("Root")
WHERE = Pointer("mtls.toml", ("certificates", "billing", "renew"))


def test_every_type_that_mtls_toml_takes_can_be_made() -> None:
    """And no other."""
    assert MADE_KINDS == KEY_TYPES


@pytest.mark.parametrize("kind", ["EC P-256", "EC P-384", "RSA 2048"])
def test_a_new_key_is_of_its_type_and_is_read_back(kind: str) -> None:
    """As PKCS#8 PEM, and never the same one twice."""
    made = make_key(kind)
    assert made.pem.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert key_kind(load_pem_private_key(made.pem, None)) == made.kind == kind
    assert read_key(made.pem) == made
    assert make_key(kind).digest != made.digest
    assert made.pem.splitlines()[1].decode() not in repr(made)


@pytest.mark.parametrize("pem", [b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", b"x" * 200])
def test_what_is_no_key_is_refused_without_showing_it(pem: bytes) -> None:
    """A slot may have anything."""
    with pytest.raises(CertificateError) as refused:
        read_key(pem)
    assert "AAAA" not in str(refused.value)


def test_a_key_that_signs_no_request_is_refused() -> None:
    """Ed25519 is never made."""
    key = any_key("ed25519")
    issued = Issued(make_ca("x", key=key).certificate, key)
    with pytest.raises(CertificateError):
        read_key(issued.key_pem)


@pytest.mark.parametrize("kind", ["EC P-256", "RSA 2048"])
def test_an_ec_key_is_not_asked_to_encipher(kind: str) -> None:
    """The present certificate may have an RSA key, of which that can be asked."""
    present = CA.issue("billing", key="rsa2048", digital_signature=False).bundle
    csr = x509.load_pem_x509_csr(make_request(profile_of(present, None, None), make_key(kind)))
    usage = csr.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_encipherment is (kind == "RSA 2048")
    assert csr.is_signature_valid


def test_what_is_declared_wins_over_the_present_certificate() -> None:
    """Each on its own; an empty list asks for no names."""
    present = CA.issue("old", san=(x509.DNSName("old.example"),)).bundle
    assert profile_of(present, "CN=new", None).names == (x509.DNSName("old.example"),)
    assert profile_of(present, None, ()).names == ()
    names = ("DNS:a.example", "URI:spiffe://a/b", "IP:10.0.0.1", "IP:::1", "email:a@example.com")
    wanted = profile_of(present, None, names)
    assert wanted.common_name == "old"
    assert alternative_names(wanted, "IP") == ("10.0.0.1", "::1")
    assert [alternative_names(wanted, kind) for kind in ("DNS", "URI", "email")] == [
        ("a.example",),
        ("spiffe://a/b",),
        ("a@example.com",),
    ]


def test_names_without_a_subject_are_critical() -> None:
    """RFC 5280 section 4.2.1.6."""
    key: SigningKey = make_key("EC P-256")
    csr = x509.load_pem_x509_csr(make_request(profile_of(None, None, ("DNS:a.example",)), key))
    assert csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical


def test_nothing_to_ask_for_is_an_error() -> None:
    """No certificate, no subject, no names."""
    with pytest.raises(ValueError, match="neither `subject` nor `names`"):
        profile_of(None, None, None)


@pytest.mark.parametrize("names", [None, ()])
def test_a_certificate_that_names_no_one_is_not_asked_for(names: tuple[str, ...] | None) -> None:
    """An empty subject is fine with alternative names only."""
    with pytest.raises(ValueError, match="neither a subject nor alternative names"):
        profile_of(None, "", names)
    assert profile_of(None, "", ("DNS:a.example",)).common_name == ""


def test_names_are_shown_as_they_are_declared() -> None:
    """DNS names in lower case, but not their kind: it is copied into mtls.toml."""
    wanted = profile_of(None, "CN=a", ("DNS:A.example",))
    (found, *_) = check_answer(wanted, CA.issue("a").bundle, where=WHERE)
    assert "but DNS:a.example was asked for" in found.message


def test_other_purposes_are_a_warning_and_the_case_of_a_name_is_nothing() -> None:
    """CAs add purposes; origins look for the one that they need."""
    wanted = profile_of(CA.issue("a", san=(x509.DNSName("A.example"),)).bundle, None, None)
    same = CA.issue("a", san=(x509.DNSName("a.EXAMPLE"),)).bundle
    more = CA.issue("a", san=(x509.DNSName("a.example"),), eku=(CLIENT_AUTH, SERVER_AUTH)).bundle
    assert list(check_answer(wanted, same, where=WHERE)) == []
    assert [(one.code, one.is_error) for one in check_answer(wanted, more, where=WHERE)] == [("renewal-usages", False)]
