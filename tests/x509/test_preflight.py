"""The checks before an upload, with certificates that pass and certificates that fail."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from reconciler.findings.codes import Severity
from reconciler.findings.diagnostics import Diagnostic, Place
from reconciler.x509.certificates import Bundle
from reconciler.x509.files import parse_file
from reconciler.x509.preflight import check_dates, check_for_upload
from tests.support.pki import DAY, END, NOW, SERVER_AUTH, Issued, by_openssl, make_ca, patch, rsa_pss_by_openssl

ROOT = make_ca("Root")
MIDDLE = ROOT.issue_ca("Intermediate")
LOWER = MIDDLE.issue_ca("Lower")
LEAF = MIDDLE.issue("client")
DEEP = LOWER.issue("deep")
OTHER = make_ca("Other")
ERROR, WARNING = Severity.ERROR, Severity.WARNING


def bundle(*issued: Issued) -> Bundle:
    """These certificates alone, in this order."""
    return Bundle(tuple(one.der for one in issued))


def upload_findings(checked: Bundle, *, ca: bool = False, now: datetime = NOW) -> tuple[Diagnostic, ...]:
    """The findings about these certificates before an upload."""
    return check_for_upload(checked, ca=ca, path="certs/x.pem", now=now)


# --- good ones ------------------------------------------------------------------------------------------------------


def _self_signed() -> Bundle:
    return make_ca("self", ca=False).bundle


FIT: dict[str, Callable[[], Bundle]] = {
    "leaf and intermediate": lambda: LEAF.bundle,
    "leaf and two intermediates": lambda: DEEP.bundle,
    "no extendedKeyUsage": lambda: MIDDLE.issue(eku=None).bundle,
    "any extendedKeyUsage": lambda: MIDDLE.issue(eku=(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)).bundle,
    "client and server": lambda: MIDDLE.issue(eku=(SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)).bundle,
    "no keyUsage": lambda: MIDDLE.issue(digital_signature=None).bundle,
    "no basicConstraints": lambda: MIDDLE.issue(ca=None).bundle,
    "a name and nothing else": lambda: MIDDLE.issue(eku=None, digital_signature=None, ca=None).bundle,
    "self-signed": _self_signed,
    "RSA 2048": lambda: make_ca("r", key="rsa2048", ca=False).bundle,
    "P-384": lambda: MIDDLE.issue(key="ec384").bundle,
    "a hundred years": lambda: make_ca("c", ca=False, not_after=NOW + 36500 * DAY).bundle,
    "valid until this second": lambda: make_ca("c", ca=False, not_after=NOW).bundle,
}


@pytest.mark.parametrize("make", FIT.values(), ids=FIT.keys())
def test_a_fit_certificate_has_no_finding(make: Callable[[], Bundle]) -> None:
    """A certificate that origins accept has no findings."""
    assert upload_findings(make()) == ()


def test_certificates_of_trustme_pass() -> None:
    """A chain made by another library has no finding except that its issuer is missing."""
    chain = trustme.CA().issue_cert("a.example").cert_chain_pems
    found = upload_findings(parse_file(b"".join(blob.bytes() for blob in chain), "x.pem"))
    assert [finding.code for finding in found] == ["chain-incomplete"]


@pytest.mark.parametrize(
    "make",
    [lambda: ROOT.bundle, lambda: bundle(ROOT, OTHER), lambda: bundle(MIDDLE), lambda: bundle(ROOT, MIDDLE)],
    ids=["a root", "two roots", "an intermediate", "a root and its intermediate"],
)
def test_a_fit_ca_has_no_finding(make: Callable[[], Bundle]) -> None:
    """As CAs, several unrelated certificates in any order are fine."""
    assert upload_findings(make(), ca=True) == ()


# --- bad ones -------------------------------------------------------------------------------------------------------

Row = tuple[Callable[[], Bundle], Severity, str, str]


def _reversed() -> Bundle:
    return patch(
        make_ca("x", ca=False),
        b"\x17\x0d261024120000Z\x17\x0d361120120000Z",
        b"\x17\x0d361120120000Z\x17\x0d261024120000Z",
    ).bundle


def _renamed_in_other_bytes() -> Bundle:
    upper = make_ca("Root").issue_ca("Upper")
    leaf = upper.issue("client")
    plain = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Upper", _ASN1Type.PrintableString)])
    twin = make_ca("Root").issue_ca(plain, key=upper.key)
    return bundle(leaf, twin)


BAD: dict[str, Row] = {
    "an expired leaf": (
        lambda: MIDDLE.issue(not_after=NOW - 12 * DAY).bundle,
        ERROR,
        "certificate-expired",
        "certificate 1 of 2 (CN=client) has EXPIRED: it ended on 2026-11-11T12:00:00Z, 12 days ago",
    ),
    "a leaf that is not valid yet": (
        lambda: MIDDLE.issue(not_before=NOW + DAY).bundle,
        WARNING,
        "certificate-not-yet-valid",
        "certificate 1 of 2 (CN=client) is not valid before 2026-11-24T12:00:00Z",
    ),
    "an expired intermediate": (
        lambda: ROOT.issue_ca("Old", not_after=NOW - DAY).issue().bundle,
        ERROR,
        "intermediate-expired",
        "certificate 2 of 2 (CN=Old) has EXPIRED: it ended on 2026-11-22T12:00:00Z, 1 day ago",
    ),
    "an intermediate that is not valid yet": (
        lambda: ROOT.issue_ca("New", not_before=NOW + DAY).issue().bundle,
        WARNING,
        "intermediate-not-yet-valid",
        "certificate 2 of 2 (CN=New) is not valid before 2026-11-24T12:00:00Z",
    ),
    "an intermediate that ends before the leaf": (
        lambda: ROOT.issue_ca("Short", not_after=END - DAY).issue().bundle,
        WARNING,
        "intermediate-ends-first",
        "certificate 2 of 2 (CN=Short) expires on 2027-10-23T12:00:00Z, before the leaf that depends on it",
    ),
    "dates in reverse": (
        _reversed,
        ERROR,
        "dates-reversed",
        "the certificate (CN=x) ends before it begins, so it is never valid",
    ),
    "the wrong intermediate": (
        lambda: bundle(LEAF, OTHER.issue_ca("Stranger")),
        ERROR,
        "chain-broken",
        "certificate 1 of 2 (CN=client) was issued by CN=Intermediate, but certificate 2 of 2 (CN=Stranger) comes next",
    ),
    "the root in the place of the intermediate": (
        lambda: bundle(LEAF, ROOT),
        ERROR,
        "chain-broken",
        "certificate 1 of 2 (CN=client) was issued by CN=Intermediate, but certificate 2 of 2 (CN=Root) comes next",
    ),
    "an intermediate of the right name and another key": (
        lambda: bundle(LEAF, ROOT.issue_ca("Intermediate")),
        ERROR,
        "chain-signature",
        "was not signed by the key of certificate 2 of 2 (CN=Intermediate), although the names match",
    ),
    "the intermediate first": (
        lambda: bundle(MIDDLE, LEAF),
        ERROR,
        "chain-order",
        "certificate 1 of 2 (CN=Intermediate) is an issuer, but the certificate of the key must come first",
    ),
    "a whole chain from the root down": (
        lambda: bundle(ROOT, MIDDLE, LEAF),
        ERROR,
        "chain-order",
        "certificate 1 of 3 (CN=Root) is an issuer, but the certificate of the key must come first",
    ),
    "intermediates in the wrong order": (
        lambda: bundle(DEEP, MIDDLE, LOWER),
        ERROR,
        "chain-order",
        "certificate 2 of 3 (CN=Intermediate) comes before a certificate that it issued",
    ),
    "no intermediate": (
        lambda: bundle(LEAF),
        WARNING,
        "chain-incomplete",
        "the file does not contain CN=Intermediate, the issuer of the certificate (CN=client)",
    ),
    "the root at the end": (
        lambda: bundle(LEAF, MIDDLE, ROOT),
        WARNING,
        "chain-has-root",
        "certificate 3 of 3 (CN=Root) is a root, which origins ignore in a chain",
    ),
    "the leaf twice": (
        lambda: bundle(LEAF, LEAF, MIDDLE),
        WARNING,
        "chain-duplicate",
        "certificate 2 of 3 (CN=client) is already in the file as certificate 1",
    ),
    "a stranger after a whole chain": (
        lambda: bundle(LEAF, MIDDLE, OTHER),
        WARNING,
        "chain-unrelated",
        "certificate 3 of 3 (CN=Other) is not part of the leaf's chain",
    ),
    "a stranger after a self-signed leaf": (
        lambda: bundle(make_ca("self", ca=False), OTHER),
        WARNING,
        "chain-unrelated",
        "certificate 2 of 2 (CN=Other) is not part of the leaf's chain",
    ),
    "an issuer's name in another encoding": (
        _renamed_in_other_bytes,
        WARNING,
        "chain-name-encoding",
        "encodes the name of its issuer in other bytes than certificate 2 of 2 (CN=Upper)",
    ),
    "an intermediate that is not a CA": (
        lambda: ROOT.issue_ca("Fake", ca=False, cert_sign=False).issue().bundle,
        ERROR,
        "intermediate-not-ca",
        "certificate 2 of 2 (CN=Fake) is used as an issuer, but is not a CA",
    ),
    "an intermediate that must not sign": (
        lambda: ROOT.issue_ca("Mute", cert_sign=False).issue().bundle,
        ERROR,
        "intermediate-not-ca",
        "certificate 2 of 2 (CN=Mute) is used as an issuer, but its keyUsage lacks keyCertSign",
    ),
    "a CA as a leaf": (
        lambda: bundle(MIDDLE),
        ERROR,
        "leaf-is-ca",
        "the certificate (CN=Intermediate) is a CA, not a client certificate (basicConstraints CA:TRUE)",
    ),
    "a self-signed CA as a leaf": (
        lambda: ROOT.bundle,
        ERROR,
        "leaf-is-ca",
        "the certificate (CN=Root) is a CA, not a client certificate (basicConstraints CA:TRUE)",
    ),
    "a server's certificate": (
        lambda: MIDDLE.issue(eku=(SERVER_AUTH, x509.ObjectIdentifier("1.2.3"))).bundle,
        ERROR,
        "usage-without-client-auth",
        "certificate 1 of 2 (CN=client) can't authenticate a TLS client: its extendedKeyUsage is serverAuth, 1.2.3",
    ),
    "an intermediate for servers only": (
        lambda: ROOT.issue_ca("Servers", eku=(SERVER_AUTH,)).issue().bundle,
        ERROR,
        "usage-without-client-auth",
        "certificate 2 of 2 (CN=Servers) can't authenticate a TLS client: its extendedKeyUsage is serverAuth",
    ),
    "a key that must not sign": (
        lambda: MIDDLE.issue(digital_signature=False).bundle,
        ERROR,
        "usage-without-digital-signature",
        "certificate 1 of 2 (CN=client) can't sign a TLS handshake: its keyUsage lacks digitalSignature",
    ),
    "RSA 1024": (
        lambda: MIDDLE.issue(key="rsa1024").bundle,
        ERROR,
        "key-type-refused",
        "certificate 1 of 2 (CN=client) has a key of type RSA 1024: origins refuse RSA keys below 2048 bits",
    ),
    "an intermediate with RSA 1024": (
        lambda: ROOT.issue_ca("Weak", key="rsa1024").issue().bundle,
        ERROR,
        "key-type-refused",
        "certificate 2 of 2 (CN=Weak) has a key of type RSA 1024: origins refuse RSA keys below 2048 bits",
    ),
    "DSA": (
        lambda: MIDDLE.issue(key="dsa1024").bundle,
        ERROR,
        "key-type-refused",
        "certificate 1 of 2 (CN=client) has a key of type DSA 1024: TLS clients use RSA or EC keys",
    ),
    "Ed448": (
        lambda: MIDDLE.issue(key="ed448").bundle,
        ERROR,
        "key-type-refused",
        "certificate 1 of 2 (CN=client) has a key of type Ed448: TLS clients use RSA or EC keys",
    ),
    "secp256k1": (
        lambda: MIDDLE.issue(key="secp256k1").bundle,
        ERROR,
        "key-type-refused",
        "certificate 1 of 2 (CN=client) has a key of type EC secp256k1: TLS clients use the curves P-256 and P-384",
    ),
    "a key of unknown type": (
        lambda: (
            patch(
                make_ca("x", key="ed25519", ca=False), b"\x2b\x65\x70\x03\x21\x00", b"\x2b\x65\x7a\x03\x21\x00"
            ).bundle
        ),
        ERROR,
        "key-type-refused",
        "the certificate (CN=x) has a key of unknown type (1.3.101.122)",
    ),
    "Ed25519": (
        lambda: MIDDLE.issue(key="ed25519").bundle,
        WARNING,
        "key-type-rare",
        "certificate 1 of 2 (CN=client) has a key of type Ed25519, which some stores and origins do not accept",
    ),
    "P-521": (
        lambda: MIDDLE.issue(key="ec521").bundle,
        WARNING,
        "key-type-rare",
        "certificate 1 of 2 (CN=client) has a key of type EC P-521, which some stores and origins do not accept",
    ),
    "an extension that can't be read": (
        lambda: (
            patch(
                make_ca("x", ca=False),
                b"\x55\x1d\x13\x01\x01\xff\x04\x02\x30\x00",
                b"\x55\x1d\x13\x01\x01\xff\x04\x02\x31\x00",
            ).bundle
        ),
        ERROR,
        "extension-unreadable",
        "the certificate (CN=x) has an unreadable or duplicate extension",
    ),
}


def assert_found(found: tuple[Diagnostic, ...], severity: Severity, code: str, message: str) -> None:
    """One finding has all of this; no other finding is an error."""
    hits = [finding for finding in found if finding.code == code]
    assert [hit.severity for hit in hits] == [severity]
    assert message in hits[0].message
    assert hits[0].hint
    assert isinstance(hits[0].where, Place)
    assert [other for other in found if other.severity is ERROR and other.code != code] == []


@pytest.mark.parametrize(("make", "severity", "code", "message"), BAD.values(), ids=BAD.keys())
def test_a_fault_is_found_and_named(make: Callable[[], Bundle], severity: Severity, code: str, message: str) -> None:
    """Each fault has one finding with its own code and severity, and no other error hides it."""
    assert_found(upload_findings(make()), severity, code, message)


BY_OPENSSL: dict[str, tuple[tuple[str, ...], str, bool, Severity, str, str]] = {
    "SHA-1 on the leaf": (
        ("-sha1",),
        "ec256",
        True,
        ERROR,
        "weak-signature",
        "certificate 1 of 2 (CN=by-openssl) is signed with SHA-1, which origins refuse",
    ),
    "MD5 on a self-signed leaf": (
        ("-md5",),
        "rsa2048",
        False,
        ERROR,
        "weak-signature",
        "the certificate (CN=by-openssl) is signed with MD5, which origins refuse",
    ),
    "serial zero": (
        ("-set_serial", "0"),
        "ec256",
        True,
        WARNING,
        "serial-odd",
        "certificate 1 of 2 (CN=by-openssl) has a serial number that is zero (RFC 5280 section 4.1.2.2)",
    ),
    "a negative serial": (
        ("-set_serial", "-5"),
        "ec256",
        True,
        WARNING,
        "serial-odd",
        "certificate 1 of 2 (CN=by-openssl) has a serial number that is negative (RFC 5280 section 4.1.2.2)",
    ),
    "a serial of 21 bytes": (
        ("-set_serial", "0x" + "7f" * 21),
        "ec256",
        True,
        WARNING,
        "serial-odd",
        "has a serial number that is longer than 20 bytes (RFC 5280 section 4.1.2.2)",
    ),
    "version 1": (
        (),
        "ec256",
        True,
        WARNING,
        "version-odd",
        "certificate 1 of 2 (CN=by-openssl) is an X.509 certificate of version 1, which has no extensions",
    ),
}


@pytest.mark.parametrize(
    ("options", "key", "signed", "severity", "code", "message"), BY_OPENSSL.values(), ids=BY_OPENSSL.keys()
)
def test_a_fault_that_only_openssl_makes_is_found(
    tmp_path: Path, options: tuple[str, ...], key: str, signed: bool, severity: Severity, code: str, message: str
) -> None:
    """SHA-1 is reported as SHA-1, not as a broken link; odd serials and versions are findings, not output on stderr."""
    made = by_openssl(tmp_path, *options, key=key, signer=MIDDLE if signed else None)
    if code == "version-odd" and made.certificate.version is x509.Version.v3:
        pytest.skip("this openssl makes no certificate of version 1")
    assert_found(upload_findings(made.bundle, now=made.bundle.not_before), severity, code, message)


def test_rsa_pss_keys_are_rare(tmp_path: Path) -> None:
    """A key that is restricted to RSA-PSS is distinguished from a plain RSA key."""
    made, _ = rsa_pss_by_openssl(tmp_path)
    message = "the certificate (CN=pss) has a key of type RSA-PSS 2048, which some stores and origins do not accept"
    assert_found(upload_findings(made, now=made.not_before), WARNING, "key-type-rare", message)


def test_the_signature_of_a_root_does_not_matter(tmp_path: Path) -> None:
    """Origins don't check a root's own signature, so SHA-1 there is not a finding."""
    root = by_openssl(tmp_path, "-sha1")
    leaf = make_ca("by-openssl", key=root.key).issue("client")
    found = upload_findings(bundle(leaf, root))
    assert [finding.code for finding in found if finding.severity is ERROR] == []
    assert "chain-has-root" in {finding.code for finding in found}


@pytest.mark.parametrize(
    ("digest", "severity", "code"),
    [("-sha1", WARNING, "weak-signature"), ("-md5", ERROR, "ca-signature-algorithm")],
)
def test_a_ca_may_be_signed_with_sha1_but_not_with_md5(
    tmp_path: Path, digest: str, severity: Severity, code: str
) -> None:
    """Cloudflare documents SHA-1 among the algorithms of CAs, so it is only a warning there."""
    (tmp_path / "ca.ext").write_text("basicConstraints=critical,CA:TRUE\n")
    made = by_openssl(tmp_path, digest, "-extfile", "ca.ext", signer=make_ca(key="rsa2048"))
    found = upload_findings(made.bundle, ca=True, now=made.bundle.not_before)
    assert [(finding.severity, finding.code) for finding in found] == [(severity, code)]


BAD_CAS: dict[str, Row] = {
    "a leaf as a CA": (
        lambda: bundle(LEAF),
        ERROR,
        "ca-is-leaf",
        "the certificate (CN=client) is declared as a CA, but lacks basicConstraints CA:TRUE",
    ),
    "a leaf after a CA": (
        lambda: bundle(ROOT, make_ca("plain", ca=None)),
        ERROR,
        "ca-is-leaf",
        "certificate 2 of 2 (CN=plain) is declared as a CA, but lacks basicConstraints CA:TRUE",
    ),
    "a CA with Ed25519": (
        lambda: make_ca("Ed", key="ed25519").bundle,
        ERROR,
        "ca-signature-algorithm",
        "the certificate (CN=Ed) has a signature algorithm that Cloudflare does not accept for CAs",
    ),
    "an expired CA": (
        lambda: bundle(ROOT, make_ca("Old", not_after=NOW - DAY)),
        ERROR,
        "certificate-expired",
        "certificate 2 of 2 (CN=Old) has EXPIRED: it ended on 2026-11-22T12:00:00Z, 1 day ago",
    ),
    "a CA with RSA 1024": (
        lambda: make_ca("Weak", key="rsa1024").bundle,
        ERROR,
        "key-type-refused",
        "the certificate (CN=Weak) has a key of type RSA 1024: origins refuse RSA keys below 2048 bits",
    ),
    "the same CA twice": (
        lambda: bundle(ROOT, ROOT),
        WARNING,
        "chain-duplicate",
        "certificate 2 of 2 (CN=Root) is already in the file as certificate 1",
    ),
}


@pytest.mark.parametrize(("make", "severity", "code", "message"), BAD_CAS.values(), ids=BAD_CAS.keys())
def test_a_fault_of_a_ca_is_found_and_named(
    make: Callable[[], Bundle], severity: Severity, code: str, message: str
) -> None:
    """Certificates uploaded with `ca = true` must be CAs of a type that Cloudflare accepts."""
    assert_found(upload_findings(make(), ca=True), severity, code, message)


# --- order, places, the library, dates ------------------------------------------------------------------------------


def test_findings_come_in_the_order_of_the_checks() -> None:
    """Dates first, then keys, then the chain, then what it may be used for."""
    worst = MIDDLE.issue(not_after=NOW - DAY, key="rsa1024", eku=(SERVER_AUTH,), digital_signature=False)
    codes = [finding.code for finding in upload_findings(bundle(worst))]
    assert codes == [
        "certificate-expired",
        "key-type-refused",
        "chain-incomplete",
        "usage-without-client-auth",
        "usage-without-digital-signature",
    ]


def test_a_finding_points_to_the_line_of_its_certificate() -> None:
    """A finding about the second certificate of a file is at the line where that begins."""
    checked = parse_file(LEAF.certificate_pem + OTHER.certificate_pem, "certs/x.pem")
    assert upload_findings(checked)[0].where == Place("certs/x.pem", checked.lines[1])


def test_the_right_order_is_in_the_hint() -> None:
    """The hint for a chain in the wrong order has the right order."""
    found = upload_findings(bundle(DEEP, MIDDLE, LOWER))
    assert [finding.hint for finding in found] == ["write them in this order, each before its issuer: 1, 3, 2"]


def test_of_two_issuers_of_one_name_the_one_with_the_key_counts() -> None:
    """A renewed CA next to its predecessor is an extra certificate, not a broken link."""
    renewed = ROOT.issue_ca("Intermediate")
    found = upload_findings(bundle(LEAF, renewed, MIDDLE))
    assert [(finding.severity, finding.code) for finding in found] == [(WARNING, "chain-unrelated")]


def test_what_the_library_warns_of_is_a_finding() -> None:
    """A country of more than two letters is read without output on stderr, and reported once, as a warning."""
    with pytest.warns(UserWarning, match="length"):
        country = x509.NameAttribute(NameOID.COUNTRY_NAME, "Germany", _validate=False)
    made = MIDDLE.issue(x509.Name([country])).chain_pem
    checked = parse_file(made, "x.pem")
    found = upload_findings(checked)
    assert [(one.severity, one.code) for one in found] == [(WARNING, "library-warning")]
    assert found[0].message == "the X.509 library warns: Attribute's length must be >= 2 and <= 2, but it was 7"
    assert checked.facts().subject == "C=Germany"
    assert check_dates(checked, path="x.pem", ca=False, now=NOW) == ()


def test_a_valid_chain_has_no_date_finding() -> None:
    """A stored certificate that is valid has no finding."""
    assert check_dates(DEEP.bundle, path="x.pem", ca=False, now=NOW) == ()


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: MIDDLE.issue(not_after=NOW - DAY).bundle, "certificate-expired"),
        (lambda: MIDDLE.issue(not_before=NOW + DAY).bundle, "certificate-not-yet-valid"),
        (lambda: ROOT.issue_ca("Old", not_after=NOW - DAY).issue().bundle, "intermediate-expired"),
    ],
    ids=["leaf expired", "leaf not yet valid", "intermediate expired"],
)
def test_what_is_stored_and_out_of_date_is_a_warning(make: Callable[[], Bundle], code: str) -> None:
    """The certificate is already uploaded, so its dates are a warning, not an error."""
    found = check_dates(make(), path="certs/x.pem", ca=False, now=NOW)
    assert [(finding.severity, finding.code) for finding in found] == [(WARNING, code)]


def test_an_expired_root_in_a_stored_chain_does_not_matter() -> None:
    """Origins use their own copy of the root."""
    old = make_ca("Old root", not_after=NOW - DAY)
    assert check_dates(bundle(old.issue("client"), old), path="x.pem", ca=False, now=NOW) == ()
