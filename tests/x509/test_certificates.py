"""Certificates as values, and the parser of certificate files."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import shlex
import shutil
import subprocess
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, pkcs7, pkcs12
from cryptography.x509.oid import NameOID

from reconciler.findings.codes import Severity
from reconciler.findings.diagnostics import Diagnostic, Place
from reconciler.findings.errors import CertificateError
from reconciler.x509.certificates import Bundle, parse_stored, quiet, remember, stored_fields
from reconciler.x509.files import MAX_CERTIFICATE_BYTES, MAX_CHAIN_BYTES, parse_file
from reconciler.x509.pem import Kind, recognise
from tests.support.pki import SERVER_AUTH, by_openssl, make_ca, patch, to_pem
from tests.support.worlds import bundle, issued

ROOT = make_ca("Root")
MIDDLE = ROOT.issue_ca("Intermediate")
LEAF = MIDDLE.issue("client")
CERT, KEY = LEAF.certificate_pem, LEAF.key_pem
UNREADABLE = patch(ROOT.issue("client"), b"\x0c\x04Root", b"\x0c\x04R\xffot")
BODY = CERT.decode().split("-----")[2]
LINES = CERT.decode().splitlines()


def problems_of(data: bytes, path: str = "certs/x.pem") -> tuple[Diagnostic, ...]:
    """The findings of `parse_file` about a file that it must refuse."""
    with pytest.raises(CertificateError) as refused:
        parse_file(data, path)
    return refused.value.diagnostics()


# --- values ---------------------------------------------------------------------------------------------------------


def test_the_content_digest_ignores_order_and_repetition() -> None:
    """The digest is SHA-256 over the sorted distinct DERs, so a chain returned in another order has the same one."""
    ders = LEAF.bundle.ders
    expected = hashlib.sha256(b"".join(sorted(ders))).hexdigest()
    assert Bundle(ders).digest == Bundle(ders[::-1]).digest == Bundle((*ders, ders[0])).digest == expected


def test_bundles_are_equal_by_their_ders_in_order() -> None:
    """Two bundles with equal DERs are equal, whatever their lines in a file."""
    ders = LEAF.bundle.ders
    assert Bundle(ders, lines=(3, 9)) == Bundle(ders)
    assert hash(Bundle(ders, lines=(3, 9))) == hash(Bundle(ders))
    assert Bundle(ders) != Bundle(ders[::-1])


def test_a_bundle_is_never_empty() -> None:
    """A bundle without a certificate is a ValueError."""
    with pytest.raises(ValueError, match="at least one"):
        Bundle(())


def test_the_fingerprint_is_the_leafs() -> None:
    """The fingerprint is SHA-256 of the first DER, as openssl prints it."""
    assert LEAF.bundle.fingerprint == hashlib.sha256(LEAF.der).hexdigest()


def test_pem_is_canonical() -> None:
    """The output is the same for every form of input: LF, 64 characters per line, no text around the blocks."""
    messy = b"\xef\xbb\xbfsubject=x\r\n" + LEAF.chain_pem.replace(b"\n", b"\r\n") + b"trailing"
    assert parse_file(messy, "x.pem").pem() == LEAF.chain_pem.decode()


def test_facts_are_text_that_a_person_compares() -> None:
    """Names, serial, times, key and fingerprint have the usual text forms."""
    names = (
        x509.DNSName("a.example"),
        x509.UniformResourceIdentifier("spiffe://a/b"),
        x509.IPAddress(ipaddress.ip_address("10.0.0.1")),
        x509.RFC822Name("a@b.example"),
        x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "d")])),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
        x509.OtherName(x509.ObjectIdentifier("1.2.4"), b"\x05\x00"),
    )
    subject = [(NameOID.COUNTRY_NAME, "DE"), (NameOID.COMMON_NAME, "a, b"), (NameOID.EMAIL_ADDRESS, "a@b")]
    leaf = ROOT.issue(x509.Name([x509.NameAttribute(oid, text) for oid, text in subject]), san=names, serial=255)
    facts = leaf.bundle.facts()
    assert facts.subject == "emailAddress=a@b,CN=a\\, b,C=DE"
    assert facts.issuer == "CN=Root"
    assert facts.subject_alternative_names == (
        "DNS:a.example",
        "URI:spiffe://a/b",
        "IP:10.0.0.1",
        "email:a@b.example",
        "DirName:CN=d",
        "RID:1.2.3",
        "otherName:1.2.4",
    )
    assert (facts.serial_number, facts.not_before, facts.not_after) == (
        "255",
        "2026-10-24T12:00:00Z",
        "2027-10-24T12:00:00Z",
    )
    assert facts.key.startswith("EC P-256, SPKI ")
    assert facts.fingerprint == hashlib.sha256(leaf.der).hexdigest()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("rsa2048", "RSA 2048"),
        ("ec384", "EC P-384"),
        ("ed25519", "Ed25519"),
        ("ed448", "Ed448"),
        ("dsa1024", "DSA 1024"),
    ],
)
def test_facts_name_the_key_type(kind: str, words: str) -> None:
    """A key is described by its type and size."""
    assert ROOT.issue(key=kind).bundle.facts().key.startswith(f"{words}, SPKI ")


def test_facts_show_names_that_cannot_be_read() -> None:
    """A malformed subjectAltName is shown as unreadable instead of an error."""
    leaf = patch(ROOT.issue(san=(x509.DNSName("unreadable.example"),)), b"\x82\x12unreadable", b"\x9d\x12unreadable")
    assert leaf.bundle.facts().subject_alternative_names == ("(unreadable)",)


def test_a_stored_issuer_that_is_not_text_is_unreadable() -> None:
    """Names are parsed late; a malformed one in a stored certificate is not an error."""
    bundle = parse_stored(UNREADABLE.certificate_pem.decode())
    assert bundle is not None
    assert (bundle.facts().issuer, stored_fields(bundle).issuer) == ("(unreadable)", "(unreadable)")


# --- stores ---------------------------------------------------------------------------------------------------------


def test_stored_text_is_parsed_once() -> None:
    """Parsing the same PEM twice returns the same object."""
    text = LEAF.chain_pem.decode()
    assert parse_stored(text) is parse_stored(text)


def test_a_trimmed_newline_is_the_same_certificate() -> None:
    """Stores trim the end of a PEM; the content is equal."""
    assert parse_stored(CERT.decode().strip()) == parse_stored(CERT.decode())


@pytest.mark.parametrize(
    "text",
    ["", "hello", KEY.decode(), CERT.decode()[:-40], LINES[0] + "\nAAAA\n" + LINES[-1], CERT.decode() + LINES[0]],
    ids=["nothing", "no-pem", "a-key", "truncated", "no-x509", "one-of-two-truncated"],
)
def test_stored_text_that_is_not_a_certificate_is_none(text: str) -> None:
    """Stored text that can't be read completely has no content to compare."""
    assert parse_stored(text) is None


@pytest.mark.parametrize(
    ("kind", "signature"),
    [
        ("rsa2048", "SHA256WithRSA"),
        ("ec256", "ECDSAWithSHA256"),
        ("ed25519", "PureEd25519"),
        ("ed448", "Unknown Signature"),
    ],
)
def test_stored_fields_are_spelled_as_cloudflare_does(kind: str, signature: str) -> None:
    """Issuer with the most specific part first and no spaces, decimal serial, Go's name of the signature algorithm."""
    parts = [("C", "US"), ("ST", "California"), ("O", "Localhost Root CA"), ("CN", "Root CA")]
    oids = {"C": NameOID.COUNTRY_NAME, "ST": NameOID.STATE_OR_PROVINCE_NAME, "O": NameOID.ORGANIZATION_NAME}
    name = x509.Name([x509.NameAttribute(oids.get(key, NameOID.COMMON_NAME), text) for key, text in parts])
    fields = stored_fields(make_ca(name, key=kind).issue(serial=2**120).bundle)
    assert fields.issuer == "CN=Root CA,O=Localhost Root CA,ST=California,C=US"
    assert fields.serial_number == str(2**120)
    assert fields.signature == signature
    assert fields.expires_on == datetime(2027, 10, 24, 12, 0, tzinfo=UTC)


def test_stored_fields_know_rsa_pss(tmp_path: Path) -> None:
    """RSA-PSS has its hash as a parameter, and Go's name contains both."""
    made = by_openssl(tmp_path, "-sha384", "-sigopt", "rsa_padding_mode:pss", key="rsa2048")
    assert stored_fields(made.bundle).signature == "SHA384WithRSAPSS"


# --- files that are accepted ----------------------------------------------------------------------------------------

ACCEPTED: dict[str, bytes] = {
    "a leaf": CERT,
    "leaf and intermediate": LEAF.chain_pem,
    "byte-order mark": b"\xef\xbb\xbf" + CERT,
    "windows line endings": CERT.replace(b"\n", b"\r\n"),
    "old mac line endings": CERT.replace(b"\n", b"\r"),
    "bag attributes": b"Bag Attributes\n    friendlyName: x\nsubject=CN = x\n\n" + CERT,
    "indentation": b"\n".join(b"    " + line for line in CERT.splitlines()),
    "text before, between and after": b"leaf:\n" + CERT + b"above it:\n" + MIDDLE.certificate_pem + b"end",
    "latin-1 text around it": "für\n".encode("latin-1") + CERT,
    "the older label": CERT.replace(b"CERTIFICATE", b"X509 CERTIFICATE"),
    "no newline at the end": CERT.strip(),
    "one long line of base64": to_pem("CERTIFICATE", b"")[:28]
    + b"".join(CERT.splitlines()[1:-1])
    + CERT.splitlines()[-1],
    "blank lines inside": CERT.replace(b"\n", b"\n\n"),
    "trustme": b"".join(blob.bytes() for blob in trustme.CA().issue_cert("a.example").cert_chain_pems),
}


@pytest.mark.parametrize("data", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_every_form_of_a_certificate_file_is_accepted(data: bytes) -> None:
    """PEM as tools and people write it, with any text around its blocks."""
    assert parse_file(data, "x.pem").ders


def test_a_bundle_from_a_file_knows_its_lines() -> None:
    """The bundle has the BEGIN line number of each certificate."""
    bundle = parse_file(b"\n\n" + LEAF.chain_pem, "x.pem")
    assert bundle == LEAF.bundle
    assert bundle.lines == (3, 3 + len(LINES))


# --- files that are refused -----------------------------------------------------------------------------------------

CONFLICT = "\n".join([LINES[0], "<<<<<<< HEAD", *LINES[1:-1], "=======", *LINES[1:-1], ">>>>>>> new", LINES[-1], ""])
REFUSED: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "empty": (lambda: b"", "certificate-empty", "the certificate file is empty"),
    "only white space": (lambda: b" \r\n\t\n", "certificate-empty", "the certificate file is empty"),
    "a certificate in DER": (
        lambda: LEAF.der,
        "certificate-not-pem",
        "the file is a certificate in binary DER form, not PEM",
    ),
    "a private key in DER": (
        lambda: LEAF.key_der,
        "certificate-is-private-key",
        "the file is a private key in binary DER form, not a certificate",
    ),
    "PKCS#12": (
        lambda: pkcs12.serialize_key_and_certificates(
            b"x", ec.generate_private_key(ec.SECP256R1()), None, None, BestAvailableEncryption(b"x")
        ),
        "certificate-not-pem",
        "the file is a PKCS#12 keystore (.p12, .pfx), not a PEM certificate",
    ),
    "PKCS#7 in DER": (
        lambda: pkcs7.serialize_certificates([LEAF.certificate], Encoding.DER),
        "certificate-not-pem",
        "the file is a PKCS#7 file in binary DER form (.p7b), not a PEM certificate",
    ),
    "PKCS#7 in PEM": (
        lambda: pkcs7.serialize_certificates([LEAF.certificate], Encoding.PEM),
        "certificate-wrong-block",
        "this block is a PKCS#7 bundle, not a PEM certificate",
    ),
    "a Java keystore": (
        lambda: b"\xfe\xed\xfe\xed\x00\x00\x00\x02\x00\x00",
        "certificate-not-pem",
        "the file is a Java keystore (.jks), not a PEM certificate",
    ),
    "JSON around a certificate": (
        lambda: json.dumps({"certificate": CERT.decode()}).encode(),
        "certificate-not-pem",
        "the file is JSON, not a PEM certificate",
    ),
    "an SSH public key": (
        lambda: b"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC me@host\n",
        "certificate-not-pem",
        "the file is an SSH public key, not a PEM certificate",
    ),
    "an SSH private key": (
        lambda: to_pem("OPENSSH PRIVATE KEY", b"openssh-key-v1"),
        "certificate-is-private-key",
        "the file is a private key, not a certificate",
    ),
    "a PuTTY key": (
        lambda: b"PuTTY-User-Key-File-3: ssh-ed25519\n",
        "certificate-not-pem",
        "the file is a PuTTY key (.ppk), not a PEM certificate",
    ),
    "a web page": (
        lambda: b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "certificate-not-pem",
        "the file is a web page (HTML or XML), not a PEM certificate",
    ),
    "a Git LFS pointer": (
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1234\n",
        "certificate-not-pem",
        "the file is a Git LFS pointer, not the file that it points to",
    ),
    "Ansible Vault": (
        lambda: b"$ANSIBLE_VAULT;1.1;AES256\n6238\n",
        "certificate-not-pem",
        "the file is data encrypted with a secrets tool (Ansible Vault, SOPS, age or git-crypt), not a PEM certificate",
    ),
    "base64 of a PEM": (
        lambda: b"LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUI=",
        "certificate-not-pem",
        "the file is PEM text with an additional base64 encoding, not a PEM certificate",
    ),
    "base64 without its lines": (
        BODY.encode,
        "certificate-not-pem",
        "the file is base64 without its BEGIN and END lines, not a PEM certificate",
    ),
    "plain text": (
        lambda: b"put the certificate here\n",
        "certificate-not-pem",
        "the file is text without any PEM block, not a PEM certificate",
    ),
    "binary noise": (
        lambda: b"\x7fELF\x02\x01\x01\x00\x00\x03\x00>",
        "certificate-not-pem",
        "the file is binary data of an unknown format, not a PEM certificate",
    ),
    "UTF-16": (
        lambda: CERT.decode().encode("utf-16"),
        "certificate-not-pem",
        "the file is text in UTF-16, not in UTF-8",
    ),
    "UTF-16 without its mark": (
        lambda: CERT.decode().encode("utf-16-be"),
        "certificate-not-pem",
        "the file is text in UTF-16, not in UTF-8",
    ),
    "certificate, then its key": (
        lambda: CERT + KEY,
        "certificate-has-private-key",
        "the certificate file contains a private key, but certificate files are public",
    ),
    "half a key after a certificate": (
        lambda: CERT + KEY[:90],
        "certificate-has-private-key",
        "the certificate file contains a private key, but certificate files are public",
    ),
    "a key labelled as a certificate": (
        lambda: KEY.replace(b"PRIVATE KEY", b"CERTIFICATE"),
        "certificate-has-private-key",
        "the block labelled CERTIFICATE contains a private key",
    ),
    "an encrypted key labelled as a certificate": (
        lambda: LEAF.encrypted_key_pem().replace(b"ENCRYPTED PRIVATE KEY", b"CERTIFICATE"),
        "certificate-has-private-key",
        "the block labelled CERTIFICATE contains a private key",
    ),
    "only a key": (lambda: KEY, "certificate-is-private-key", "the file is a private key, not a certificate"),
    "EC parameters and a key": (
        lambda: to_pem("EC PARAMETERS", b"\x06\x08") + LEAF.traditional_key_pem,
        "certificate-is-private-key",
        "the file is a private key, not a certificate",
    ),
    "a public key": (
        lambda: LEAF.public_key_pem,
        "certificate-wrong-block",
        "this block is a public key, not a certificate",
    ),
    "a public key labelled as a certificate": (
        lambda: LEAF.public_key_pem.replace(b"PUBLIC KEY", b"CERTIFICATE"),
        "certificate-wrong-block",
        "the block labelled CERTIFICATE contains a public key",
    ),
    "a signing request": (
        lambda: LEAF.request_pem,
        "certificate-wrong-block",
        "this block is a certificate signing request (CSR), not a certificate",
    ),
    "a trusted certificate of OpenSSL": (
        lambda: CERT.replace(b"CERTIFICATE", b"TRUSTED CERTIFICATE"),
        "certificate-wrong-block",
        "this block is an OpenSSL trusted certificate, which only OpenSSL reads",
    ),
    "a revocation list": (
        lambda: to_pem("X509 CRL", b"\x30\x00"),
        "certificate-wrong-block",
        "this block is a certificate revocation list, not a certificate",
    ),
    "DH parameters after a certificate": (
        lambda: CERT + to_pem("DH PARAMETERS", b"\x30\x00"),
        "certificate-wrong-block",
        "this block is of a type that does not belong in a certificate file",
    ),
    "no END": (
        lambda: CERT[:-40],
        "certificate-truncated",
        "no END line; of the certificates in this file, 1 have a BEGIN line and 0 are complete",
    ),
    "the last of two without END": (
        lambda: LEAF.chain_pem[:-40],
        "certificate-truncated",
        "no END line; of the certificates in this file, 2 have a BEGIN line and 1 are complete",
    ),
    "no BEGIN": (
        lambda: CERT.split(b"\n", 1)[1],
        "certificate-truncated",
        "no BEGIN line; of the certificates in this file, 0 have a BEGIN line and 0 are complete",
    ),
    "four dashes": (
        lambda: CERT.replace(b"-----BEGIN", b"----BEGIN").replace(b"-----END", b"----END"),
        "certificate-garbled",
        "this BEGIN or END line is malformed",
    ),
    "dashes of a word processor": (
        lambda: CERT.decode().replace("-----", "——").encode(),
        "certificate-garbled",
        "this BEGIN or END line is malformed",
    ),
    "a key with damaged lines": (
        lambda: CERT + KEY.replace(b"PRIVATE", b"PRIV\xc6TE"),
        "certificate-garbled",
        "this BEGIN or END line is malformed",
    ),
    "an issuer that is not text": (
        lambda: UNREADABLE.certificate_pem,
        "certificate-garbled",
        "the base64 is valid, but it does not contain a valid X.509 certificate",
    ),
    "a character that is not base64": (
        lambda: CERT.replace(b"M", b"*", 1),
        "certificate-garbled",
        "the certificate is damaged: this character is not valid in base64",
    ),
    "a base64 line lost its end": (
        lambda: CERT.replace(LINES[2].encode(), LINES[2][:-1].encode()),
        "certificate-garbled",
        "the certificate is damaged: a part of its base64 is missing",
    ),
    "whole lines of base64 lost": (
        lambda: "\n".join([*LINES[:4], LINES[-1]]).encode(),
        "certificate-garbled",
        "the certificate is truncated: it has 144 of ",
    ),
    "base64 of something else": (
        lambda: to_pem("CERTIFICATE", b"hello, world"),
        "certificate-garbled",
        "the base64 is valid, but it does not contain a valid X.509 certificate",
    ),
    "nothing between BEGIN and END": (
        lambda: b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        "certificate-garbled",
        "this certificate is empty: there is nothing between its BEGIN and END lines",
    ),
    "line breaks as two characters": (
        lambda: CERT.replace(b"\n", b"\\n"),
        "certificate-garbled",
        "the certificate has the two characters \\n in place of line breaks",
    ),
    "a merge conflict": (
        CONFLICT.encode,
        "certificate-garbled",
        "the file contains git merge conflict markers",
    ),
    "a version that does not exist": (
        lambda: CERT.replace(
            BODY.encode(),
            to_pem("X", LEAF.der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x09")).split(b"-----")[2],
        ),
        "certificate-garbled",
        "the base64 is valid, but it does not contain a valid X.509 certificate",
    ),
    "a huge certificate": (
        lambda: to_pem("CERTIFICATE", bytes(MAX_CERTIFICATE_BYTES)),
        "certificate-too-large",
        f"but the limit is {MAX_CERTIFICATE_BYTES:,}",
    ),
    "a huge file": (
        lambda: CERT + b"#" * MAX_CHAIN_BYTES,
        "chain-too-large",
        f"but the limit is {MAX_CHAIN_BYTES:,}",
    ),
    "eleven certificates": (
        lambda: CERT * 11,
        "chain-too-long",
        "the file has 11 certificates, but the limit is 10",
    ),
}


@pytest.mark.parametrize(("make", "code", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_file_that_is_not_a_certificate_is_named(make: Callable[[], bytes], code: str, message: str) -> None:
    """Every wrong file is an error with what the file really is, where it is, and what to do."""
    problems = problems_of(make())
    assert code in [problem.code for problem in problems]
    found = next(problem for problem in problems if problem.code == code)
    assert message in found.message
    assert found.severity is Severity.ERROR
    assert isinstance(found.where, Place)
    assert found.where.path == "certs/x.pem"
    assert found.hint


def test_every_problem_of_a_file_is_reported_with_its_line() -> None:
    """All problems are reported together, in file order, each at the line of its block."""
    data = (
        CERT + KEY + b"-----BEGIN CERTIFICATE-----\nAA*A\n-----END CERTIFICATE-----\n" + LEAF.request_pem + CERT[:-40]
    )
    places = [(found.code, found.where.line) for found in problems_of(data) if isinstance(found.where, Place)]
    text = data.decode().splitlines()
    garbled = next(number for number, line in enumerate(text, 1) if "*" in line)
    assert places == [
        ("certificate-has-private-key", text.index("-----BEGIN PRIVATE KEY-----") + 1),
        ("certificate-garbled", garbled),
        ("certificate-wrong-block", text.index("-----BEGIN CERTIFICATE REQUEST-----") + 1),
        ("certificate-truncated", len(text) - len(CERT[:-40].splitlines()) + 1),
    ]


def test_hints_quote_the_path_for_a_shell() -> None:
    """A command in a hint can be pasted for any file name."""
    path = "certs/my cert; rm -rf.der"
    assert shlex.quote(path) in (problems_of(LEAF.der, path)[0].hint or "")


def test_odd_serials_do_not_warn_on_stderr(tmp_path: Path) -> None:
    """Reading a certificate silences the library's warning about a serial number of zero."""
    made = by_openssl(tmp_path, "-set_serial", "0")
    assert parse_file(made.certificate_pem, "x.pem").facts().serial_number == "0"


@pytest.mark.parametrize("data", [bytes(80), b"0", b"0\x82", b"\x30\x80", b"\xff\xfe", b"[" * 50_000, b" {"])
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    """Any bytes result in a diagnostic."""
    assert problems_of(data)


def test_slow_searches_are_bounded() -> None:
    """Text that was crafted to be slow to search is refused at once."""
    for data in (
        b"-----BEGIN " * 8000,
        b"-" * 90_000,
        b"A" * 64 + b" " * 90_000 + b"!",
        b"- BEGIN " + b" " * 90_000 + b"!",
    ):
        assert problems_of(data)


def test_a_certificate_of_a_server_is_still_a_certificate() -> None:
    """The parser ignores what a certificate may be used for."""
    assert parse_file(ROOT.issue(eku=(SERVER_AUTH,)).certificate_pem, "x.pem").ders


def test_kinds_are_recognised_by_content() -> None:
    """The kind of a DER is found by loading it."""
    request = x509.load_pem_x509_csr(LEAF.request_pem).public_bytes(Encoding.DER)
    assert recognise(request, "x") is Kind.DER_REQUEST


@pytest.mark.parametrize("above", ["", "\ufeff", "# of the CA\n"])
def test_a_text_of_a_remembered_bundle_is_not_parsed_again(above: str) -> None:
    """Most certificates in files are also stored, and Cloudflare returns them without the last newline."""
    bundle = ROOT.issue("remembered").bundle
    remember(bundle, (above + bundle.pem()).encode())
    assert parse_stored(bundle.pem()) is bundle
    assert parse_stored(bundle.pem().strip()) is bundle


def test_a_nested_quiet_lasts_until_the_outer_one_ends() -> None:
    """Code that parses many certificates enters it once around all of them; warnings are errors in the tests."""
    with quiet():
        with quiet():
            pass
        warnings.warn("odd", UserWarning, stacklevel=1)
    with pytest.raises(UserWarning, match="odd"):
        warnings.warn("odd", UserWarning, stacklevel=1)


def test_a_serial_number_is_written_as_openssl_prints_it(tmp_path: Path) -> None:
    """In whole bytes, upper case."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")
    for number in (1, 2):
        made = issued(number)
        (tmp_path / "leaf.pem").write_bytes(made.certificate_pem)
        command = [program, "x509", "-noout", "-serial", "-in", str(tmp_path / "leaf.pem")]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert printed == f"serial={bundle(number).facts().serial}\n"
