"""Name constraints, type by type; every row was decided the same by `openssl verify`."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from reconciler.x509.certificates import Bundle
from reconciler.x509.preflight import check_for_upload
from tests.support.der_certificates import CA, LEAF, Made, alternative, constraints, make, root

DNS, MAIL, URI = x509.DNSName, x509.RFC822Name, x509.UniformResourceIdentifier


def network(text: str) -> x509.IPAddress:
    return x509.IPAddress(ipaddress.ip_network(text))


def address(text: str) -> x509.IPAddress:
    return x509.IPAddress(ipaddress.ip_address(text))


def directory(**parts: str) -> x509.DirectoryName:
    kinds = {"C": NameOID.COUNTRY_NAME, "O": NameOID.ORGANIZATION_NAME, "CN": NameOID.COMMON_NAME}
    return x509.DirectoryName(x509.Name([x509.NameAttribute(kinds[key], value) for key, value in parts.items()]))


ROWS: list[tuple[x509.GeneralName, x509.GeneralName, bool]] = [
    (DNS("example.org"), DNS("example.org"), True),
    (DNS("example.org"), DNS("a.b.example.org"), True),
    (DNS("example.org"), DNS("A.EXAMPLE.ORG"), True),
    (DNS("example.org"), DNS("notexample.org"), False),
    (DNS("a.example.org"), DNS("example.org"), False),
    (DNS(".example.org"), DNS("a.example.org"), True),
    (DNS(".example.org"), DNS("example.org"), False),
    (MAIL("me@example.org"), MAIL("me@example.org"), True),
    (MAIL("me@example.org"), MAIL("you@example.org"), False),
    (MAIL("example.org"), MAIL("me@example.org"), True),
    (MAIL("example.org"), MAIL("me@mail.example.org"), False),
    (MAIL(".example.org"), MAIL("me@mail.example.org"), True),
    (MAIL(".example.org"), MAIL("me@example.org"), False),
    (URI("example.org"), URI("https://example.org/a"), True),
    (URI("example.org"), URI("spiffe://example.org/a"), True),
    (URI("example.org"), URI("https://a.example.org:8443/a"), False),
    (URI(".example.org"), URI("https://a.example.org/"), True),
    (URI(".example.org"), URI("https://example.org/"), False),
    (network("10.0.0.0/8"), address("10.1.2.3"), True),
    (network("10.0.0.0/8"), address("11.1.2.3"), False),
    (network("2001:db8::/32"), address("2001:db8::1"), True),
    (network("2001:db8::/32"), address("10.1.2.3"), False),
    (directory(O="Acme"), directory(O="Acme", CN="a"), True),
    (directory(O="Acme"), directory(O="ACME", CN="a"), True),
    (directory(O="Acme"), directory(C="DE", O="Acme"), False),
    (directory(O="Acme", CN="a"), directory(O="Acme"), False),
]


def chain(permitted: x509.GeneralName, name: x509.GeneralName) -> Made:
    """A client with this name and no other, below a CA that may issue for names of one kind."""
    middle = make(root(), "Middle", (*CA, constraints([permitted])))
    return make(middle, "", (*LEAF, alternative(name)))


@pytest.mark.parametrize(("permitted", "name", "allowed"), ROWS, ids=lambda value: str(getattr(value, "value", value)))
def test_a_name_is_permitted_as_openssl_decides(
    permitted: x509.GeneralName, name: x509.GeneralName, allowed: bool
) -> None:
    """What is not permitted is an error."""
    found = check_for_upload(Bundle(chain(permitted, name).ders), ca=False, path="x.pem", now=datetime.now(UTC))
    assert ("name-constraints" in {one.code for one in found if one.is_error}) == (not allowed)
