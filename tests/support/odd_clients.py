"""Client certificates of every odd kind, each with its chain and key, to be shown to origins and to preflight."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache, partial
from typing import Unpack

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from tests.support.der_certificates import (
    BASIC,
    CA,
    ISSUER_KEY,
    ISSUES,
    LEAF,
    NULL,
    SERIAL,
    SIGNS,
    Changes,
    Key,
    Made,
    alternative,
    basic,
    compressed_info,
    constraints,
    explicit_info,
    explicit_key_pem,
    extended,
    extension,
    integer,
    key_ids,
    large_rsa,
    make,
    name,
    oid,
    pss_info,
    pss_key_pem,
    root,
    sequence,
    tlv,
    usage,
)
from tests.support.pki import CLIENT_AUTH, SERVER_AUTH

SHA1, MD5 = hashes.SHA1(), hashes.MD5()  # noqa: S303 - what origins refuse


@cache
def _between(kind: str = "ec256") -> Made:
    """An intermediate with nothing odd, with a key of this kind."""
    return make(root(), f"Intermediate {kind}", CA, key=kind)


def _leaf(extensions: Iterable[bytes] = LEAF, **changes: Unpack[Changes]) -> Made:
    """A client's certificate that differs in this alone from one that is accepted everywhere."""
    return make(_between(), "client.example", extensions, **changes)


def _below(
    extensions: Iterable[bytes] = CA, leaf_extensions: Iterable[bytes] = LEAF, **changes: Unpack[Changes]
) -> Made:
    """A client's certificate with nothing odd below an intermediate that differs in this."""
    return make(make(root(), "Odd", extensions, **changes), "client.example", leaf_extensions)


def _dated(begin: str, end: str) -> Made:
    """A client's certificate with these dates, below an intermediate that ends no sooner."""
    middle = make(root(), "Odd", CA, dates=("260101000000Z", max(end, "20491231235959Z")))
    return make(middle, "client.example", dates=(begin, end))


def _curve(kind: type[ec.EllipticCurve]) -> Key:
    return ec.generate_private_key(kind())


def _with_chain(*above: Made) -> Made:
    return replace(_leaf(), above=tuple(one.der for one in above))


def _cross_signed(*, first: bool) -> Made:
    """The intermediate is there twice, signed by the root that the origins trust and by another one."""
    crossed = make(make(None, "Old Root", CA), "Intermediate ec256", CA, key=_between().key)
    return _with_chain(crossed, _between()) if first else _with_chain(_between(), crossed)


def _directory(text: str) -> x509.DirectoryName:
    return x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]))


def _critical(others: Iterable[bytes], dotted: str, value: bytes) -> tuple[bytes, ...]:
    return (*others, extension(dotted, value, critical=True))


_DNS, _OTHER_DNS = x509.DNSName("client.example"), x509.DNSName("other.example")
_NAMED = (*LEAF, alternative(_DNS))
_CONSTRAINED = (*CA, constraints([_DNS]))
_FAR = ("260101000000Z", "20510101000000Z")
_NEVER = ("260101000000Z", "99991231235959Z")
_NOBODY_KNOWS = "1.3.6.1.4.1.99999.1"
_KNOWN, _UNKNOWN = (extension(_NOBODY_KNOWS, NULL, critical=critical) for critical in (False, True))

_OTHER_NAME = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), tlv(0x0C, b"a@b"))
_ADDRESS = tlv(0x86, b"http://a.example")
_CRITICAL = {
    "authorityInfoAccess": ("1.3.6.1.5.5.7.1.1", sequence(sequence(oid("1.3.6.1.5.5.7.48.1"), _ADDRESS))),
    "certificatePolicies": ("2.5.29.32", sequence(sequence(oid("1.2.3")))),
    "cRLDistributionPoints": ("2.5.29.31", sequence(sequence(tlv(0xA0, tlv(0xA0, _ADDRESS))))),
    "subjectKeyIdentifier": ("2.5.29.14", tlv(0x04, b"leaf")),
    "authorityKeyIdentifier": ("2.5.29.35", sequence()),
    "nsCertType": ("2.16.840.1.113730.1.1", b"\x03\x02\x07\x80"),
    "TLS feature": ("1.3.6.1.5.5.7.1.24", sequence(integer(5))),
    "issuerAltName": ("2.5.29.18", sequence(tlv(0x82, b"a.example"))),
    "proxyCertInfo": ("1.3.6.1.5.5.7.1.14", sequence(sequence(oid("1.3.6.1.5.5.7.21.1")))),
    "noCheck": ("1.3.6.1.5.5.7.48.1.5", NULL),
    "poison": ("1.3.6.1.4.1.11129.2.4.3", NULL),
    "application policies": ("1.3.6.1.4.1.311.21.10", sequence(sequence(oid("1.3.6.1.5.5.7.3.2")))),
}
_POLICIES = {
    "policyConstraints": ("2.5.29.36", sequence(tlv(0x80, b"\5"))),
    "policyConstraints 0": ("2.5.29.36", sequence(tlv(0x80, b"\0"))),
    "policyMappings": ("2.5.29.33", sequence(sequence(oid("1.2.3"), oid("1.2.4")))),
    "inhibitAnyPolicy": ("2.5.29.54", integer(0)),
}

KINDS: dict[str, Callable[[], Made]] = {
    # keys of the leaf
    "P-256": _leaf,
    "P-384": lambda: _leaf(key="ec384"),
    "P-521": lambda: _leaf(key="ec521"),
    "P-224": lambda: _leaf(key=_curve(ec.SECP224R1)),
    "secp256k1": lambda: _leaf(key="secp256k1"),
    "brainpoolP256r1": lambda: _leaf(key=_curve(ec.BrainpoolP256R1)),
    "brainpoolP384r1": lambda: _leaf(key=_curve(ec.BrainpoolP384R1)),
    "brainpoolP512r1": lambda: _leaf(key=_curve(ec.BrainpoolP512R1)),
    "P-256 written out": lambda: _leaf(info=explicit_info),
    "P-384 written out": lambda: _leaf(key="ec384", info=explicit_info),
    "P-256 written out, key too": lambda: _leaf(info=explicit_info, key_pem=explicit_key_pem),
    "P-256, its key written out": lambda: _leaf(key_pem=explicit_key_pem),
    "P-256, compressed": lambda: _leaf(info=compressed_info),
    "Ed25519": lambda: _leaf(key="ed25519"),
    "Ed448": lambda: _leaf(key="ed448"),
    "RSA 1024": lambda: _leaf(key="rsa1024"),
    "RSA 1536": lambda: _leaf(key="rsa1536"),
    "RSA 2048": lambda: _leaf(key="rsa2048"),
    "RSA 4096": lambda: _leaf(key=large_rsa(4096)),
    "RSA 8192": lambda: _leaf(key=large_rsa(8192)),
    "RSA 16384": lambda: _leaf(key=large_rsa(16384)),
    "RSA 4096, exponent 5": lambda: _leaf(key=large_rsa(4096, 5)),
    "RSA 4096, exponent of 33 bits": lambda: _leaf(key=large_rsa(4096, 2**32 + 15)),
    "RSA-PSS": lambda: _leaf(key="rsa2048", info=pss_info, key_pem=pss_key_pem),
    "RSA-PSS, a plain key": lambda: _leaf(key="rsa2048", info=pss_info),
    "DSA 2048": lambda: _leaf(key=dsa.generate_private_key(2048)),
    # keys of the intermediate
    "intermediate P-521": lambda: _below(key="ec521"),
    "intermediate P-224": lambda: _below(key=_curve(ec.SECP224R1)),
    "intermediate secp256k1": lambda: _below(key="secp256k1"),
    "intermediate brainpoolP256r1": lambda: _below(key=_curve(ec.BrainpoolP256R1)),
    "intermediate P-256 written out": lambda: _below(info=explicit_info),
    "intermediate P-256, compressed": lambda: _below(info=compressed_info),
    "intermediate Ed25519": lambda: _below(key="ed25519"),
    "intermediate Ed448": lambda: _below(key="ed448"),
    "intermediate RSA 1024": lambda: _below(key="rsa1024"),
    "intermediate RSA 8192": lambda: _below(key=large_rsa(8192)),
    "intermediate RSA 16384": lambda: _below(key=large_rsa(16384)),
    "intermediate RSA-PSS": lambda: make(
        make(root(), "Odd", CA, key="rsa2048", info=pss_info), "client.example", pss=True
    ),
    # signatures
    "SHA-1": lambda: _leaf(hash_algorithm=SHA1),
    "SHA-224": lambda: _leaf(hash_algorithm=hashes.SHA224()),
    "SHA-384": lambda: _leaf(hash_algorithm=hashes.SHA384()),
    "SHA-512": lambda: _leaf(hash_algorithm=hashes.SHA512()),
    "SHA-1 with RSA": lambda: make(_between("rsa2048"), "client.example", hash_algorithm=SHA1),
    "MD5 with RSA": lambda: make(_between("rsa2048"), "client.example", hash_algorithm=MD5),
    "SHA-224 with RSA": lambda: make(_between("rsa2048"), "client.example", hash_algorithm=hashes.SHA224()),
    "PSS with RSA": lambda: make(_between("rsa2048"), "client.example", pss=True),
    "PSS with RSA, short salt": lambda: make(_between("rsa2048"), "client.example", pss=True, salt=20),
    "intermediate SHA-1": lambda: _below(hash_algorithm=SHA1),
    "intermediate SHA-224": lambda: _below(hash_algorithm=hashes.SHA224()),
    "damaged": lambda: _leaf().damaged(),
    "self-signed": lambda: make(None, "self 1"),
    "self-signed with SHA-1": lambda: make(None, "self 2", hash_algorithm=SHA1),
    "self-signed, damaged": lambda: make(None, "self 3").damaged(),
    "self-signed, no extensions": lambda: make(None, "self 4", ()),
    # versions and serial numbers
    "version 1": lambda: _leaf(version=1),
    "version 2": lambda: _leaf(version=2),
    "intermediate version 1": lambda: _below(version=1),
    "serial 0": lambda: _leaf(serial=0),
    "serial negative": lambda: _leaf(serial=-5),
    "serial of 20 bytes": lambda: _leaf(serial=2**159 - 1),
    "serial of 21 bytes": lambda: _leaf(serial=2**160 - 1),
    "serial of 40 bytes": lambda: _leaf(serial=2**318),
    "intermediate serial 0": lambda: _below(serial=0),
    "intermediate serial negative": lambda: _below(serial=-5),
    "intermediate serial of 40 bytes": lambda: _below(serial=2**318),
    # names
    "empty subject": lambda: make(_between(), "", LEAF),
    "empty subject, another name": lambda: make(_between(), "", (*LEAF, alternative(_DNS, critical=True))),
    "intermediate empty subject": lambda: make(make(root(), "", CA), "client.example"),
    "issuer in other bytes": lambda: _leaf(
        issuer_name=x509.Name(
            [x509.NameAttribute(NameOID.COMMON_NAME, "Intermediate ec256", _ASN1Type.PrintableString)]
        ).public_bytes()
    ),
    # extensions
    "no extensions": lambda: _leaf(()),
    "unknown extension": lambda: _leaf((*LEAF, _KNOWN)),
    "unknown critical extension": lambda: _leaf((*LEAF, _UNKNOWN)),
    "intermediate unknown critical extension": lambda: _below((*CA, _UNKNOWN)),
    "name constraints kept": lambda: _below(_CONSTRAINED, _NAMED),
    "name constraints kept, not critical": lambda: _below((*CA, constraints([_DNS], critical=False)), _NAMED),
    "name constraints broken": lambda: _below((*CA, constraints([_OTHER_DNS])), _NAMED),
    "name constraints exclude": lambda: _below((*CA, constraints([], [_DNS])), _NAMED),
    "name constraints broken by the common name": lambda: _below((*CA, constraints([_OTHER_DNS]))),
    "name constraints broken by a common name that is no host": lambda: make(
        make(root(), "Odd", (*CA, constraints([_OTHER_DNS]))), "client"
    ),
    "name constraints for addresses, none there": lambda: _below(
        (*CA, constraints([x509.RFC822Name("example.org")])), _NAMED
    ),
    "name constraints of mail broken": lambda: _below(
        (*CA, constraints([x509.RFC822Name("example.org")])), (*LEAF, alternative(x509.RFC822Name("a@example.com")))
    ),
    "name constraints of URI broken": lambda: _below(
        (*CA, constraints([x509.UniformResourceIdentifier("example.org")])),
        (*LEAF, alternative(x509.UniformResourceIdentifier("https://example.com/a"))),
    ),
    "name constraints of directory names kept": lambda: _below((*CA, constraints([_directory("client.example")]))),
    "name constraints of directory names broken": lambda: _below((*CA, constraints([_directory("else")]))),
    "name constraints of an unknown kind": lambda: _below(
        (*CA, constraints([x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))])),
        (*LEAF, alternative(x509.RegisteredID(x509.ObjectIdentifier("1.2.3.4")))),
    ),
    "name constraints of directory names kept, not critical": lambda: _below(
        (*CA, constraints([_directory("client.example")], critical=False))
    ),
    "name constraints of addresses broken": lambda: _below(
        (*CA, constraints([x509.IPAddress(ipaddress.ip_network("10.0.0.0/8"))])),
        (*LEAF, alternative(x509.IPAddress(ipaddress.ip_address("192.0.2.1")))),
    ),
    "name constraints of an unknown kind, none there": lambda: _below(
        (*CA, constraints([x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))]))
    ),
    **{f"critical {title}": partial(_leaf, _critical(LEAF, *row)) for title, row in _CRITICAL.items()},
    **{f"intermediate critical {title}": partial(_below, _critical(CA, *row)) for title, row in _POLICIES.items()},
    "critical extendedKeyUsage": lambda: _leaf(
        _critical(LEAF[:2], "2.5.29.37", x509.ExtendedKeyUsage([CLIENT_AUTH]).public_bytes())
    ),
    "critical other names only": lambda: _leaf((*LEAF, alternative(_OTHER_NAME, critical=True))),
    "critical directory names only": lambda: _leaf((*LEAF, alternative(_directory("a"), critical=True))),
    "path length kept": lambda: _below((basic(ca=True, depth=0), usage(ISSUES))),
    "path length broken": lambda: make(
        make(make(root(), "Odd", (basic(ca=True, depth=0), usage(ISSUES))), "Lower", CA), "client.example"
    ),
    "server only": lambda: _leaf((*LEAF[:2], extended(SERVER_AUTH))),
    "intermediate server only": lambda: _below((*CA, extended(SERVER_AUTH))),
    "usage keyEncipherment": lambda: _leaf((LEAF[0], usage(b"\x03\x02\x05\x20"), LEAF[2])),
    "usage empty": lambda: _leaf((LEAF[0], usage(b"\x03\x01\x00"), LEAF[2])),
    "a CA": lambda: _leaf(CA),
    "a CA that may sign": lambda: _leaf((CA[0], usage(b"\x03\x02\x01\x86"), LEAF[2])),
    "intermediate without keyCertSign": lambda: _below((CA[0], usage(SIGNS))),
    "intermediate that is no CA": lambda: _below((basic(ca=False), usage(ISSUES))),
    "intermediate without extensions": lambda: _below(()),
    "extension twice": lambda: _leaf((*LEAF, LEAF[2])),
    "a CA by openssl req": lambda: make(
        None, "req self", (extension(BASIC, b"\x30\x03\x01\x01\xff", critical=True), *key_ids(b"req", b"req"))
    ),
    "a CA without usage": lambda: _leaf((basic(ca=True),)),
    "key issuer and serial differ": lambda: _leaf(
        extensions=(*LEAF, extension(ISSUER_KEY, sequence(tlv(0xA1, tlv(0xA4, name("Else"))), tlv(0x82, b"\x07"))))
    ),
    "key issuer and serial fit": lambda: _leaf(
        extensions=(
            *LEAF,
            extension(ISSUER_KEY, sequence(tlv(0xA1, tlv(0xA4, name("Root"))), tlv(0x82, (SERIAL).to_bytes(8)))),
        )
    ),
    "key ids fit": lambda: make(
        make(root(), "Odd", (*CA, *key_ids(b"middle", None))), "client.example", (*LEAF, *key_ids(b"leaf", b"middle"))
    ),
    "key ids differ": lambda: make(
        make(root(), "Odd", (*CA, *key_ids(b"middle", None))), "client.example", (*LEAF, *key_ids(b"leaf", b"other"))
    ),
    # dates
    "until 2051": lambda: _dated(*_FAR),
    "until 9999": lambda: _dated(*_NEVER),
    "self-signed until 9999": lambda: make(None, "self 5", dates=_NEVER),
    "intermediate until 9999": lambda: _below(dates=_NEVER),
    "from 1951": lambda: _dated("510101000000Z", "20510101000000Z"),
    "until 2030 in the long form": lambda: _dated("260101000000Z", "20300101000000Z"),
    "until 2030 with an offset": lambda: _dated("260101000000Z", "300101000000+0000"),
    # paths
    "cross-signed, the other first": lambda: _cross_signed(first=True),
    "cross-signed, the other last": lambda: _cross_signed(first=False),
    "no intermediate": _with_chain,
    "the root along": lambda: _with_chain(_between(), root()),
    "a stranger along": lambda: _with_chain(_between(), make(None, "Stranger", CA)),
    "out of order": lambda: _with_chain(root(), _between()),
}
"""What a client may show; each differs in one thing from what all accept."""
