"""An origin's request for a certificate, read from its bytes: real ones, and anything that a stranger may send."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from reconciler.proof.requests import (
    CertificateRequest,
    algorithm_names,
    authority_texts,
    names_issuer,
    read_certificates,
    read_request,
)
from tests.support.pki import make_ca

ONE_2, ONE_3 = 0x0303, 0x0304

ROOT = make_ca("Root, of all")
BETWEEN = ROOT.issue_ca("Between")
LEAF = BETWEEN.issue("leaf")
OTHER = make_ca("Other")


def sized(data: bytes, width: int) -> bytes:
    """Bytes after their length, as in TLS."""
    return len(data).to_bytes(width, "big") + data


def name_of(authority: x509.Certificate) -> bytes:
    """The subject in DER."""
    return authority.subject.public_bytes()


def message(kind: int, body: bytes) -> bytes:
    """A handshake message."""
    return bytes((kind,)) + sized(body, 3)


def request_1_2(names: list[bytes]) -> bytes:
    """As in TLS 1.2 (RFC 5246 section 7.4.4)."""
    authorities = b"".join(sized(name, 2) for name in names)
    return message(13, sized(b"\x01\x40", 1) + sized(b"\x04\x03\x08\x04", 2) + sized(authorities, 2))


def request_1_3(names: list[bytes] | None) -> bytes:
    """As in TLS 1.3 (RFC 8446 section 4.3.2)."""
    extensions = b"\x00\x0d" + sized(sized(b"\x04\x03\x08\x04", 2), 2)
    if names is not None:
        extensions += b"\x00\x2f" + sized(sized(b"".join(sized(name, 2) for name in names), 2), 2)
    return message(13, sized(b"", 1) + sized(extensions, 2))


NAMES = [name_of(ROOT.certificate), name_of(OTHER.certificate)]


@pytest.mark.parametrize(
    ("data", "version"), [(request_1_2(NAMES), ONE_2), (request_1_3(NAMES), ONE_3)], ids=["TLS 1.2", "TLS 1.3"]
)
def test_a_request_names_cas_and_signatures(data: bytes, version: int) -> None:
    """In both versions of TLS, which encode it differently."""
    request = read_request(data, version)
    assert request.authorities == tuple(NAMES)
    assert algorithm_names(request.algorithms) == ("ecdsa_secp256r1_sha256", "rsa_pss_rsae_sha256")
    assert authority_texts(request) == (r"CN=Root\, of all", "CN=Other")


@pytest.mark.parametrize(("data", "version"), [(request_1_2([]), ONE_2), (request_1_3(None), ONE_3)])
def test_a_request_need_not_name_any_ca(data: bytes, version: int) -> None:
    """Python's servers name none."""
    assert read_request(data, version).authorities == ()
    assert read_request(data, version).algorithms


def test_an_issuer_anywhere_in_the_chain_counts() -> None:
    """Origins name roots, which the chain does not contain."""
    assert names_issuer(CertificateRequest((NAMES[0],)), LEAF.bundle)
    assert names_issuer(CertificateRequest((name_of(BETWEEN.certificate),)), LEAF.bundle)
    assert not names_issuer(CertificateRequest((NAMES[1],)), LEAF.bundle)
    assert not names_issuer(CertificateRequest((b"\x30\x03",)), LEAF.bundle)


def test_the_same_name_in_another_kind_of_text_is_the_same() -> None:
    """CAs write their names as PrintableString, and servers may read them from files with UTF8String."""
    other = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Root", _type=x509.name._ASN1Type.PrintableString)])
    assert other.public_bytes() != name_of(make_ca("Root").certificate)
    assert names_issuer(CertificateRequest((other.public_bytes(),)), make_ca("Root").issue("leaf").bundle)


def test_what_can_not_be_read_is_told_by_its_size() -> None:
    """And never shown as it is."""
    assert authority_texts(CertificateRequest((b"\x1b[31m", b"\x30\x00"))) == ("(unreadable, 5 bytes)", "(empty)")


def test_a_long_name_is_cut() -> None:
    """A name may have 64 kB."""
    long = x509.Name([x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "a" * 64)] * 300).public_bytes()
    (text,) = authority_texts(CertificateRequest((long,)))
    assert len(text) == 200


def test_an_unknown_signature_is_told_by_its_number() -> None:
    """There will be new ones."""
    assert algorithm_names((0x0905,)) == ("0x0905",)


@pytest.mark.parametrize("version", [ONE_2, ONE_3])
def test_the_certificates_of_a_message_are_read_in_order(version: int) -> None:
    """TLS 1.3 has a context before them and extensions after each."""
    extensions = sized(b"", 2) if version == ONE_3 else b""
    entries = b"".join(sized(der, 3) + extensions for der in LEAF.bundle.ders)
    body = (sized(b"", 1) if version == ONE_3 else b"") + sized(entries, 3)
    assert read_certificates(message(11, body), version) == LEAF.bundle.ders


VERSIONS = st.sampled_from([ONE_2, ONE_3, 0])


@given(st.binary(max_size=300), VERSIONS)
def test_any_bytes_are_read_as_far_as_they_go(data: bytes, version: int) -> None:
    """Nothing is raised, whatever a stranger sends."""
    request = read_request(data, version)
    assert len(authority_texts(request)) == len(request.authorities)
    assert len(algorithm_names(request.algorithms)) == len(request.algorithms)
    assert not names_issuer(request, LEAF.bundle)
    assert isinstance(read_certificates(data, version), tuple)


@given(st.integers(0, 400), st.integers(0, 255), VERSIONS)
def test_a_damaged_request_is_read_as_far_as_it_goes(at: int, value: int, version: int) -> None:
    """One byte of a real one changed, or the end cut off."""
    for whole in (request_1_2(NAMES), request_1_3(NAMES)):
        damaged = bytearray(whole)
        damaged[at % len(whole)] = value
        for data in (bytes(damaged), whole[:at]):
            authority_texts(read_request(data, version))


def test_of_very_many_names_the_first_thousand_are_kept() -> None:
    """A message may have 16 MB."""
    assert len(read_request(request_1_2([b"\x30\x00"] * 5000), ONE_2).authorities) == 1000
