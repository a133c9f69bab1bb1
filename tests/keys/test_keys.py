"""Private keys: their sources, the checks of keys and pairs, and that no part of a key is ever shown."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import BaseModel, ValidationError

from reconciler.desired import parse_declaration
from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place
from reconciler.findings.errors import CertificateError, FileError, InputError, KeySourceError
from reconciler.keys import KINDS, SOURCES, open_sources
from reconciler.keys.env import is_well_known
from reconciler.model import KeyReference
from reconciler.model.keys import KeyContext, KeyFile
from reconciler.model.ports import PrivateKey
from reconciler.runtime import children, deploying, wrangler
from reconciler.x509.certificates import Bundle
from reconciler.x509.files import parse_file
from reconciler.x509.key_pairs import check_pair, only_key
from reconciler.x509.pem import MAX_KEY_BYTES
from tests.support.der_certificates import explicit_key_pem, make, plain_key_pem, pss_info, pss_key_pem
from tests.support.pki import make_ca, rsa_pss_by_openssl, to_pem
from tests.support.sinks import MemoryKeyFolders

ROOT = make_ca("Root")
MIDDLE = ROOT.issue_ca("Intermediate")
LEAF = MIDDLE.issue("client")
RSA_LEAF = ROOT.issue("client", key="rsa2048")
PSS = make(None, "client", key="rsa2048", info=pss_info)
WHERE = Place("keys/x.key")
PARAMETERS = to_pem("EC PARAMETERS", bytes.fromhex("06082a8648ce3d030107"))


def plain(key: x25519.X25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    """A key as PKCS#8."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


# --- pairs that match -----------------------------------------------------------------------------------------------

PAIRS: dict[str, Callable[[], tuple[Bundle, bytes]]] = {
    "PKCS#8 EC": lambda: (LEAF.bundle, LEAF.key_pem),
    "PKCS#8 RSA": lambda: (RSA_LEAF.bundle, RSA_LEAF.key_pem),
    "PKCS#8 Ed25519": lambda: (lambda leaf: (leaf.bundle, leaf.key_pem))(ROOT.issue(key="ed25519")),
    "P-521": lambda: (lambda leaf: (leaf.bundle, leaf.traditional_key_pem))(ROOT.issue(key="ec521")),
    "PKCS#1": lambda: (RSA_LEAF.bundle, RSA_LEAF.traditional_key_pem),
    "SEC1": lambda: (LEAF.bundle, LEAF.traditional_key_pem),
    "EC parameters, then the key": lambda: (LEAF.bundle, PARAMETERS + LEAF.traditional_key_pem),
    "the certificate next to it": lambda: (LEAF.bundle, LEAF.certificate_pem + LEAF.key_pem + ROOT.certificate_pem),
    "byte-order mark": lambda: (LEAF.bundle, b"\xef\xbb\xbf" + LEAF.key_pem),
    "windows line endings": lambda: (LEAF.bundle, LEAF.key_pem.replace(b"\n", b"\r\n")),
    "indentation": lambda: (LEAF.bundle, LEAF.key_pem.replace(b"\n", b"\n    ")),
    "all on one line": lambda: (LEAF.bundle, LEAF.key_pem.replace(b"\n", b" ")),
    "bag attributes": lambda: (LEAF.bundle, b"Key Attributes: <No Attributes>\n" + LEAF.key_pem),
    "no newline at the end": lambda: (LEAF.bundle, LEAF.key_pem.strip()),
}


@pytest.mark.parametrize("make", PAIRS.values(), ids=PAIRS.keys())
def test_a_pair_that_matches_has_no_finding(make: Callable[[], tuple[Bundle, bytes]]) -> None:
    """Every form in which tools write keys is accepted."""
    bundle, key = make()
    assert check_pair(bundle, key, where=WHERE) == ()


@pytest.mark.parametrize("make", PAIRS.values(), ids=PAIRS.keys())
def test_only_the_key_is_sent(make: Callable[[], tuple[Bundle, bytes]]) -> None:
    """The result is one strict block with the same key, and no other text."""
    bundle, key = make()
    alone = only_key(key)
    assert alone.count(b"-----BEGIN ") == 1
    assert b"\r" not in alone
    assert alone.endswith(b"PRIVATE KEY-----\n")
    assert check_pair(bundle, alone, where=None) == ()
    load_pem_private_key(alone, None)


def test_a_pair_restricted_to_rsa_pss_matches(tmp_path: Path) -> None:
    """A key of type RSA-PSS is proved to match too."""
    bundle, key = rsa_pss_by_openssl(tmp_path)
    assert check_pair(bundle, key, where=WHERE) == ()


def test_a_pair_of_which_only_one_is_restricted_to_rsa_pss_does_not_match() -> None:
    """TLS libraries take them for two types of key, though the numbers are the same."""
    for bundle, key in (
        (Bundle(PSS.ders), plain_key_pem(PSS.key)),
        (RSA_LEAF.bundle, pss_key_pem(RSA_LEAF.key)),
    ):
        assert_refused(check_pair(bundle, key, where=WHERE), "key-type-refused", "is for RSA-PSS alone")


# --- pairs that do not ----------------------------------------------------------------------------------------------


RSA_PARTS = ("d", "p", "q", "dmp1", "dmq1", "iqmp")


def damaged_rsa(**parts: int) -> bytes:
    """The RSA leaf's key as PKCS#1 with some private numbers replaced, which the library can't write."""
    assert isinstance(RSA_LEAF.key, rsa.RSAPrivateKey)
    numbers = RSA_LEAF.key.private_numbers()
    public = numbers.public_numbers
    values = (0, public.n, public.e, *(parts.get(name, getattr(numbers, name)) for name in RSA_PARTS))
    return to_pem("RSA PRIVATE KEY", _tlv(0x30, b"".join(_tlv(2, _signed(value)) for value in values)))


def _signed(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    length = bytes([size]) if size < 0x80 else bytes([0x80 + len(octets)]) + octets
    return bytes([tag]) + length + content


KEY = LEAF.key_pem
Row = tuple[Callable[[], bytes], str, str]
BAD: dict[str, Row] = {
    "empty": (lambda: b"", "key-empty", "the private key is empty"),
    "white space": (lambda: b"\r\n ", "key-empty", "the private key is empty"),
    "encrypted PKCS#8": (
        LEAF.encrypted_key_pem,
        "key-encrypted",
        "the private key is encrypted, but an upload needs it unencrypted",
    ),
    "encrypted by the headers of RFC 1421": (
        lambda: LEAF.encrypted_key_pem(traditional=True),
        "key-encrypted",
        "the private key is encrypted, but an upload needs it unencrypted",
    ),
    "encrypted PKCS#8 in DER": (
        lambda: base64.b64decode(b"".join(LEAF.encrypted_key_pem().splitlines()[1:-1])),
        "key-encrypted",
        "the private key is encrypted, but an upload needs it unencrypted",
    ),
    "a certificate": (
        lambda: LEAF.certificate_pem,
        "key-is-certificate",
        "expected a private key in PEM, found a certificate",
    ),
    "a public key": (
        lambda: LEAF.public_key_pem,
        "key-is-public",
        "expected a private key in PEM, found a public key",
    ),
    "a signing request": (
        lambda: LEAF.request_pem,
        "key-is-request",
        "expected a private key in PEM, found a certificate signing request (CSR)",
    ),
    "DH parameters": (
        lambda: to_pem("DH PARAMETERS", b"\x30\x00"),
        "key-not-pem",
        "expected a private key in PEM, found a PEM block of another type",
    ),
    "two keys": (lambda: KEY + ROOT.key_pem, "key-several", "expected one private key, found 2"),
    "no END": (lambda: KEY[:-30], "key-truncated", "the private key is truncated: its END line is missing"),
    "no BEGIN": (
        lambda: KEY.split(b"\n", 1)[1],
        "key-truncated",
        "the private key is truncated: its BEGIN line is missing",
    ),
    "four dashes": (
        lambda: KEY.replace(b"-----", b"----"),
        "key-garbled",
        "the BEGIN or END line of the private key is malformed",
    ),
    "a character that is not base64": (
        lambda: KEY.replace(b"M", b"*", 1),
        "key-garbled",
        "the private key is damaged: its base64 can't be decoded",
    ),
    "nothing in the block": (
        lambda: to_pem("PRIVATE KEY", b""),
        "key-garbled",
        "the private key is damaged: its base64 can't be decoded",
    ),
    "half of its bytes": (
        lambda: to_pem("PRIVATE KEY", LEAF.key_der[:60]),
        "key-garbled",
        "the base64 is valid, but it does not contain a usable private key",
    ),
    "a certificate labelled as a key": (
        lambda: to_pem("PRIVATE KEY", LEAF.der),
        "key-garbled",
        "the base64 is valid, but it does not contain a usable private key",
    ),
    "DER": (
        lambda: LEAF.key_der,
        "key-not-pem",
        "expected a private key in PEM, found a private key in binary DER form",
    ),
    "UTF-16": (
        lambda: KEY.decode().encode("utf-16"),
        "key-not-pem",
        "expected a private key in PEM, found text in UTF-16, not in UTF-8",
    ),
    "base64 of a PEM": (
        lambda: base64.b64encode(KEY),
        "key-not-pem",
        "expected a private key in PEM, found PEM text with an additional base64 encoding",
    ),
    "JSON": (
        lambda: b'{"key": "x"}',
        "key-not-pem",
        "expected a private key in PEM, found JSON",
    ),
    "the path of a key": (
        lambda: b"/run/secrets/billing.key",
        "key-not-pem",
        "expected a private key in PEM, found text without any PEM block",
    ),
    "an OpenSSH key": (
        lambda: to_pem("OPENSSH PRIVATE KEY", b"openssh-key-v1\0"),
        "key-not-pem",
        "the private key is in OpenSSH format, which TLS does not use",
    ),
    "too large": (
        lambda: KEY + b"#" * MAX_KEY_BYTES,
        "key-too-large",
        f"but the limit is {MAX_KEY_BYTES:,}",
    ),
    "RSA 1024": (
        lambda: make_ca(key="rsa1024").key_pem,
        "key-type-refused",
        "the private key has type RSA 1024: origins refuse RSA keys below 2048 bits",
    ),
    "DSA": (
        lambda: make_ca(key="dsa1024").key_pem,
        "key-type-refused",
        "the private key has type DSA 1024: TLS clients use RSA or EC keys",
    ),
    "secp256k1": (
        lambda: make_ca(key="secp256k1").key_pem,
        "key-type-refused",
        "the private key has type EC secp256k1: TLS clients use the curves P-256 and P-384",
    ),
    "a written-out curve": (
        lambda: explicit_key_pem(LEAF.key),
        "key-encoding",
        "the private key has explicit EC parameters instead of a named curve",
    ),
    "a key that cannot sign": (
        lambda: plain(x25519.X25519PrivateKey.generate()),
        "key-type-refused",
        "the private key has type X25519: TLS clients use RSA or EC keys",
    ),
    "the key of no certificate here": (
        lambda: ROOT.key_pem,
        "key-mismatch",
        "the private key does not match the certificate (CN=client)",
    ),
    "a key of another kind": (
        lambda: RSA_LEAF.key_pem,
        "key-mismatch",
        "the private key does not match the certificate (CN=client)",
    ),
    "the key of the intermediate": (
        lambda: MIDDLE.key_pem,
        "key-of-other-certificate",
        "the private key matches certificate 2 of 2 (CN=Intermediate), not the first one (CN=client)",
    ),
}


def assert_refused(found: tuple[Diagnostic, ...], code: str, message: str) -> None:
    """Check for one error, at the given place, with a hint."""
    assert [(one.severity, one.code, one.where) for one in found] == [(Severity.ERROR, code, WHERE)]
    assert message in found[0].message
    assert found[0].hint


@pytest.mark.parametrize(("make", "code", "message"), BAD.values(), ids=BAD.keys())
def test_a_wrong_key_is_reported_by_its_kind(make: Callable[[], bytes], code: str, message: str) -> None:
    """Every wrong key is one error with what it really is."""
    assert_refused(check_pair(LEAF.bundle, make(), where=WHERE), code, message)


def test_the_leaf_must_be_first_in_the_file_of_its_key() -> None:
    """A chain with the intermediate first does not match the leaf's key, and the message has the one that does."""
    reversed_chain = Bundle(LEAF.bundle.ders[::-1])
    message = "the private key matches certificate 2 of 2 (CN=client), not the first one (CN=Intermediate)"
    assert_refused(check_pair(reversed_chain, KEY, where=WHERE), "key-of-other-certificate", message)


def test_a_key_with_only_the_right_public_part_does_not_match() -> None:
    """The proof is a signature, so the private part of another key is detected."""
    other = rsa.generate_private_key(65537, 2048).private_numbers()
    key = damaged_rsa(**{part: getattr(other, part) for part in ("d", "dmp1", "dmq1")})
    message = "but can't sign for it: its private part is damaged"
    assert_refused(check_pair(RSA_LEAF.bundle, key, where=WHERE), "key-garbled", message)


@pytest.mark.parametrize("part", RSA_PARTS)
@pytest.mark.parametrize("value", [-1, 0, 1, 2, 2**64 + 1, 2**2048, 2**4000 + 1])
def test_damaged_numbers_of_an_rsa_key_are_harmless(part: str, value: int) -> None:
    """No value in the private part makes the check crash or hang; a refused key is reported as damaged."""
    found = check_pair(RSA_LEAF.bundle, damaged_rsa(**{part: value}), where=WHERE)
    assert {one.code for one in found} <= {"key-garbled"}


def test_only_key_refuses_a_file_without_a_key() -> None:
    """A file without a usable key block has nothing to upload."""
    with pytest.raises(CertificateError) as refused:
        only_key(LEAF.certificate_pem)
    assert refused.value.code == "key-is-certificate"


# --- no part of a key is ever shown ---------------------------------------------------------------------------------


def windows(data: bytes) -> set[str]:
    """Every run of 20 characters of the key's base64, with and without its line breaks."""
    text = data.decode("latin-1")
    joined = "".join(line for line in text.splitlines() if not line.startswith("-----"))
    return {form[at : at + 20] for form in (joined, joined.upper()) for at in range(max(len(form) - 19, 0))}


def test_no_finding_contains_a_part_of_a_key() -> None:
    """No finding about a key, or about a certificate file with one, quotes it."""
    secret = windows(KEY) | windows(LEAF.traditional_key_pem) | windows(RSA_LEAF.key_pem) | windows(ROOT.key_pem)
    keys = [make() for make, _, _ in BAD.values()]
    broken = [KEY[:cut] for cut in range(20, len(KEY), 7)] + [
        KEY.replace(KEY[at : at + 1], b"*") for at in range(30, 90)
    ]
    found: list[Diagnostic] = []
    for data in (*keys, *broken):
        found += check_pair(LEAF.bundle, data, where=WHERE)
        for form in (data, LEAF.certificate_pem + data, data.replace(b"PRIVATE KEY", b"CERTIFICATE")):
            try:
                parse_file(form, "x.pem")
            except CertificateError as error:
                found += error.diagnostics()
    text = "\n".join(f"{one.message}\n{one.hint}\n{one!r}" for one in found)
    assert len(found) > 200
    assert [part for part in secret if part in text or part in text.upper()] == []


# --- sources --------------------------------------------------------------------------------------------------------


class FakeKeyFiles:
    """A port to key files, from a dictionary."""

    def __init__(self, files: Mapping[str, KeyFile] = {}) -> None:
        self.files = files
        self.limits: list[int] = []

    def read_key(self, path: str, *, limit: int) -> KeyFile:
        """The file, or a FileError with its own message."""
        self.limits.append(limit)
        if path not in self.files:
            raise FileError(f"{path!r} does not exist", code=Code.FILE_MISSING, where=Place(path))
        return self.files[path]


class NoPrograms:
    """A port that starts nothing."""

    def output(self, command: Sequence[str], *, limit: int, stdin: bytes | None = None) -> bytes:
        raise AssertionError(f"{command} was started for at most {limit} bytes")

    def has(self, program: str) -> bool:
        return False


class NoVault:
    """A port that reads nothing."""

    def read(self, mount: str, path: str) -> Mapping[str, object]:
        raise AssertionError(f"{path} was read in {mount}")

    def names(self, mount: str, path: str) -> Sequence[str]:
        raise AssertionError(f"{path} was listed in {mount}")

    def create(self, mount: str, path: str, fields: Mapping[str, str]) -> None:
        raise AssertionError(f"{path} was written in {mount} with {len(fields)} fields")

    def remove(self, mount: str, path: str) -> None:
        raise AssertionError(f"{path} was removed in {mount}")


def open_key(
    source: str, value: str, *, files: FakeKeyFiles | None = None, environment: Mapping[str, str] | None = None
) -> PrivateKey:
    """The key that a source returns for `{ source = value }`."""
    context = KeyContext(
        files or FakeKeyFiles(), environment or {}, NoPrograms(), folders=MemoryKeyFolders(), vault=NoVault()
    )
    return open_sources(context)[source].open(KeyReference(source, {source: value}))


def test_every_source_is_registered_with_its_shape() -> None:
    """The parser and the run have the same sources, each with one required key of the same name."""
    assert [kind.name for kind in KINDS] == ["file", "env", "pkcs12", "command", "sops", "vault", "age", "aws", "stdin"]
    assert [kind.name for kind in KINDS if kind.bare] == ["file"]
    assert len(KINDS) == len(SOURCES)
    for kind in KINDS:
        assert [name for name, field in kind.shape.model_fields.items() if field.is_required()] == [kind.name]


@pytest.mark.parametrize(
    ("source", "table"),
    [
        ("env", {"env": "BILLING_KEY"}),
        ("env", {"env": "_x9"}),
        ("file", {"file": "certs/x.key"}),
    ],
)
def test_a_shape_accepts_its_own_key(source: str, table: dict[str, str]) -> None:
    """The table in mtls.toml becomes the options of the reference."""
    assert shape_of(source).model_validate(table).model_dump() == table


@pytest.mark.parametrize(
    ("source", "table"),
    [
        ("env", {}),
        ("env", {"env": ""}),
        ("env", {"env": "9X"}),
        ("env", {"env": "A-B"}),
        ("env", {"env": "A\n"}),
        ("env", {"env": 5}),
        ("env", {"env": "A", "file": "x"}),
        ("file", {"file": ""}),
        ("file", {"file": "x", "mode": "0600"}),
    ],
)
def test_a_shape_refuses_everything_else(source: str, table: dict[str, object]) -> None:
    """Missing, empty, malformed and unknown keys are errors."""
    with pytest.raises(ValidationError):
        shape_of(source).model_validate(table)


def shape_of(source: str) -> type[BaseModel]:
    """The model of one source."""
    return next(kind.shape for kind in KINDS if kind.name == source)


def test_a_key_in_a_variable_is_returned() -> None:
    """The value of the variable is the key."""
    assert open_key("env", "BILLING_KEY", environment={"BILLING_KEY": KEY.decode()}).pem == KEY


@pytest.mark.parametrize("newline", ["\\n", "\\r\\n", "\\\\n", "\\\\r\\\\n", "%0A", "%0D%0A", "%0a"])
def test_line_breaks_as_two_characters_are_accepted(newline: str) -> None:
    """CI variables often have a PEM on one line with the two characters \\n for a line break, escaped once or twice, or
    as in a URL."""
    key = open_key("env", "K", environment={"K": KEY.decode().replace("\n", newline)})
    assert check_pair(LEAF.bundle, key.pem, where=None) == ()


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "the environment variable BILLING_KEY is not set"),
        ({"BILLING_KEY": ""}, "the environment variable BILLING_KEY is empty"),
        ({"BILLING_KEY": " \n"}, "the environment variable BILLING_KEY is empty"),
    ],
)
def test_a_variable_without_a_key_is_an_error_with_a_hint(environment: dict[str, str], message: str) -> None:
    """An unset and an empty variable have different messages, because they have different causes."""
    with pytest.raises(KeySourceError, match=message) as refused:
        open_key("env", "BILLING_KEY", environment=environment)
    assert refused.value.hint


INSTEAD = {
    "/builds/group/project.tmp/BILLING_KEY": "a path",
    "./certs/billing.key": "a path",
    "../billing.key": "a path",
    "~/keys/billing.key": "a path",
    "C:\\\\keys\\\\billing.key": "a path",
    "billing.pem": "a path",
    "op://vault/item/private key": "a 1Password reference",
    "vault:secret/data/mtls#key": "a reference to a secret",
    "ref+vault://secret/mtls#/key": "a reference to a secret",
    "arn:aws:secretsmanager:eu-west-1:1234:secret:mtls": "a reference to a secret",
    "${{ secrets.BILLING_KEY }}": "a placeholder",
    "{{ billing_key }}": "a placeholder",
    "$(BILLING_KEY)": "a placeholder",
    "${BILLING_KEY}": "a placeholder",
    "$BILLING_KEY": "a placeholder",
    "%BILLING_KEY%": "a placeholder",
    "<your key>": "a placeholder",
    "***": "a masked value",
    "[MASKED]": "a masked value",
    "redacted": "a masked value",
    "xxxxxxxx": "a masked value",
}


@pytest.mark.parametrize("value", INSTEAD)
def test_what_a_variable_has_instead_of_a_key_is_named_and_not_shown(value: str) -> None:
    """It is an error on every machine, not a key that is only missing here."""
    with pytest.raises(KeySourceError, match=f"variable K contains {INSTEAD[value]} instead of a key") as refused:
        open_key("env", "K", environment={"K": f"{value}\n"})
    assert not refused.value.is_absent
    assert refused.value.hint
    assert value not in refused.value.message


@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_variable_may_be_set_elsewhere(value: str) -> None:
    """CI withholds secrets from forks."""
    with pytest.raises(KeySourceError) as refused:
        open_key("env", "K", environment={"K": value})
    assert refused.value.is_absent


def test_bare_base64_is_never_called_something_else() -> None:
    """The check of the key says what is wrong with it."""
    for text in ("MIIEvQIBADANBgkqhkiG9w0BAQEFAASC", "LS0tLS1CRUdJTg==", "/u3+7QAAAAIAAAAB==", "Zm9v/YmFy+"):
        assert open_key("env", "K", environment={"K": text}).pem == text.encode()


def test_bytes_that_are_not_text_pass_through_a_variable() -> None:
    """A variable contains bytes on POSIX; a value that is not UTF-8 fails later, in the check of the key."""
    value = os.fsdecode(b"\xff\xfeK")
    assert open_key("env", "K", environment={"K": value}).pem == b"\xff\xfeK"


def test_a_key_file_is_read_with_its_limit() -> None:
    """The port gets the size limit, and its data is the key."""
    files = FakeKeyFiles({"certs/x.key": KeyFile(KEY)})
    assert open_key("file", "certs/x.key", files=files) == PrivateKey(KEY)
    assert files.limits == [MAX_KEY_BYTES]


def test_a_key_file_that_others_can_read_is_a_warning() -> None:
    """The key is used, and the hint of the finding has the command to fix the mode."""
    files = FakeKeyFiles({"my keys/x.key": KeyFile(KEY, readable_by_others=True)})
    (finding,) = open_key("file", "my keys/x.key", files=files).findings
    assert (finding.severity, finding.code, finding.where) == (
        Severity.WARNING,
        "key-readable",
        Place("my keys/x.key"),
    )
    assert finding.hint == "chmod 600 'my keys/x.key'"


def test_a_missing_key_file_is_an_error_with_a_hint() -> None:
    """The port's error becomes an error of the key source, with its place and its cause."""
    with pytest.raises(KeySourceError, match=r"'certs/x\.key' does not exist") as refused:
        open_key("file", "certs/x.key")
    assert refused.value.hint
    assert refused.value.where == Place("certs/x.key")
    assert isinstance(refused.value.__cause__, FileError)


def test_no_value_with_a_key_shows_it() -> None:
    """The repr of keys, key files and the context with its environment contains no secret."""
    secret = KEY.decode()
    context = KeyContext(FakeKeyFiles(), {"K": secret}, NoPrograms(), folders=MemoryKeyFolders(), vault=NoVault())
    values = (context, KeyFile(KEY), PrivateKey(KEY), open_sources(context)["env"])
    shown = "".join(f"{one!r}{one}" for one in values)
    assert [part for part in windows(KEY) if part in shown] == []
    assert "BEGIN" not in shown


@pytest.mark.parametrize(
    "name",
    [
        *("PATH", "HOME", "Path", "http_proxy", "LC_ALL", "LD_PRELOAD", "CLOUDFLARE_API_TOKEN", "CF_API_TOKEN"),
        *("NODE_OPTIONS", "MTLSCTL_PASS", "SSL_CERT_FILE", "XDG_CONFIG_HOME", "WRANGLER_LOG", "GITHUB_TOKEN"),
    ],
)
def test_a_variable_with_a_meaning_of_its_own_holds_no_key(name: str) -> None:
    """It would be withheld from the programs that need it, or another secret would be tried as a key."""
    with pytest.raises(InputError) as refused:
        parse_declaration(declaring(name), "mtls.toml", KINDS)
    (found,) = refused.value.diagnostics()
    assert found.code is Code.BAD_VALUE
    assert f"{name} is a variable that programs use for something else" in found.message


@pytest.mark.parametrize("name", ["BILLING_KEY", "PATH_KEY", "CLOUDFLARE_MTLS_KEY", "CI_KEY", "NODE_KEY", "pem"])
def test_any_other_variable_may_hold_a_key(name: str) -> None:
    """Names of one's own that only begin like a well-known one."""
    parse_declaration(declaring(name), "mtls.toml", KINDS)


def declaring(name: str) -> bytes:
    """An mtls.toml whose key is in this variable."""
    key = f'private_key = {{ env = "{name}" }}'
    return f'version = 1\nstack = "s"\n[certificates.a]\ncertificate = "a.pem"\n{key}\n'.encode()


def test_every_variable_that_programs_are_given_has_a_meaning_of_its_own() -> None:
    """So that no mtls.toml can take one away."""
    given = {*children._PASSED_ON, *deploying._PASSED_ON, *deploying._PROXIES, *deploying._SECRET, *wrangler.NODE}
    assert {name for name in given if not is_well_known(name)} == set()
