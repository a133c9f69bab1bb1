"""Certificates that are written again: of the same shape, with no name of the old ones, and still a chain."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Network

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from reconciler.x509.certificates import Bundle, key_kind, public_key_of
from reconciler.x509.paths import is_proved
from reconciler.x509.preflight import check_for_upload
from reconciler.x509.reissue import CannotReissueError, Reissuer, texts_of
from tests.support.pki import NOW, make_ca, make_key

KINDS = ("ec256", "ec384", "rsa2048", "ed25519")


def make_rsa(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def rewritten(*bundles: Bundle) -> tuple[Bundle, ...]:
    """The bundles, written again together."""
    names: dict[str, str] = {}
    ders = dict.fromkeys(der for bundle in bundles for der in bundle.ders)
    reissuer = Reissuer(ders, make_rsa, lambda text: names.setdefault(text, f"name-{len(names)}"))
    return tuple(map(reissuer.bundle, bundles))


@pytest.mark.parametrize("kind", KINDS)
def test_a_chain_stays_a_chain_of_the_same_kinds_of_keys(kind: str) -> None:
    """Each is signed by the new key of the next, as it was; the checks before an upload find the same."""
    ca = make_ca("Acme Root", key=kind)
    old = ca.issue_ca("Acme Issuing", key=kind).issue("billing.acme", key=kind).bundle
    (new,) = rewritten(old)
    assert is_proved(*new.certificates[:2])
    for one, two in zip(old.certificates, new.certificates, strict=True):
        assert key_kind(public_key_of(one)) == key_kind(public_key_of(two))
        assert one.signature_algorithm_oid == two.signature_algorithm_oid
        assert (one.not_valid_before_utc, one.not_valid_after_utc) == (
            two.not_valid_before_utc,
            two.not_valid_after_utc,
        )
        assert (one.version, len(one.signature) - len(two.signature) in range(-3, 4)) == (two.version, True)
        assert [(each.oid, each.critical) for each in one.extensions] == [(e.oid, e.critical) for e in two.extensions]
    told = [[one.code for one in check_for_upload(each, ca=False, path="x", now=NOW)] for each in (old, new)]
    assert told[0] == told[1]


def test_one_key_stays_one_key_and_two_stay_two() -> None:
    """Rules about keys that several certificates share find them."""
    ca, key = make_ca("Root"), make_key("rsa2048")
    one, two, other = rewritten(
        ca.issue("a", key=key).bundle, ca.issue("b", key=key).bundle, ca.issue("c", key=make_key("rsa2048", 1)).bundle
    )
    assert one.leaf.public_key() == two.leaf.public_key() != other.leaf.public_key()


def test_alternative_names_of_every_kind_are_replaced_by_one_of_that_kind() -> None:
    """A wildcard stays one."""
    names = (
        x509.DNSName("*.acme.test"),
        x509.DNSName("acme.test"),
        x509.UniformResourceIdentifier("spiffe://acme/billing"),
        x509.RFC822Name("acme@acme.test"),
        x509.IPAddress(IPv4Address("203.0.113.9")),
        x509.IPAddress(IPv6Network("2001:db8:acee::/48").network_address),
        x509.DirectoryName(x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Acme")])),
        x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x04acme"),
    )
    (new,) = rewritten(make_ca("Root").issue("acme", san=names).bundle)
    found = list(new.leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    assert [type(one) for one in found] == [type(one) for one in names]
    assert str(getattr(found[0], "value", "")).startswith("*.name-")
    assert b"acme" not in new.ders[0].lower()
    assert b"\xcb\x00\x71\x09" not in new.ders[0]


def test_names_keep_their_parts() -> None:
    """A country is none that was there; every other part has a text of its own."""
    oid = x509.NameOID
    name = x509.Name(
        [
            x509.NameAttribute(oid.COUNTRY_NAME, "DE"),
            x509.NameAttribute(oid.ORGANIZATION_NAME, "Acme"),
            x509.NameAttribute(oid.COMMON_NAME, "Acme"),
        ]
    )
    old = make_ca("Root").issue(name).bundle
    assert list(texts_of(old)) == ["DE", "Acme", "Acme", "Root"]
    (new,) = rewritten(old)
    assert new.leaf.subject.rfc4514_string() == "CN=name-1,O=name-1,C=XX"
    assert new.leaf.issuer.rfc4514_string() == "CN=name-0"


def test_a_signature_that_nothing_here_can_check_is_none() -> None:
    """Its issuer is not here; so it is zeros, and no key was made for it."""
    (new,) = rewritten(make_ca("Root").issue("client").bundle)
    assert set(new.leaf.signature) == {0}


def test_a_certificate_that_did_not_come_from_its_issuer_still_did_not() -> None:
    """The names fit, the key does not."""
    one, other = make_ca("Root"), make_ca("Root", key=make_key("ec256", 3))
    (new,) = rewritten(Bundle((*one.issue("client").bundle.ders, other.der)))
    assert new.certificates[0].issuer == new.certificates[1].subject
    assert not is_proved(*new.certificates)


def test_odd_serial_numbers_stay_odd() -> None:
    """Zero and below; others become small ones."""
    (new,) = rewritten(make_ca("Root").issue("client", serial=2**150).bundle)
    assert new.leaf.serial_number == 1


def test_what_can_t_be_written_again_is_named() -> None:
    """Key types that nothing supports here; by its subject, for the person who has it."""
    with pytest.raises(CannotReissueError, match="CN=client"):
        rewritten(make_ca("Root").issue("client", key=make_key("dsa1024")).bundle)
