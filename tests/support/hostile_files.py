"""Files that were made to cost much or to be misread: bombs, cut texts, things that are not what they are called."""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Callable
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.support.cli import MTLS, WRANGLER
from tests.support.worlds import issued

Content = Callable[[], str | bytes]

_HEAD = "version = 1\nstack = 'a'\n"
_PARTS = ".".join(["b"] * 30)
_JSON = '{"name":"x","mtls_certificates":[{"binding":"BILLING","certificate_id":"<CERTIFICATE_ID>"}]'


def many(head: str, line: Callable[[int], str], size: int, tail: str = "") -> str:
    """As many lines, by their number, as fit."""
    parts, left, number = [head], size - len(head) - len(tail), 0
    while (left := left - len(text := line(number))) >= 0:
        parts.append(text)
        number += 1
    return "".join((*parts, tail))


def noise(size: int) -> bytes:
    """The same random bytes each time."""
    return hashlib.shake_256(b"noise").digest(size)


def of_mtls(line: Callable[[int], str], head: str = _HEAD) -> Content:
    return lambda: many(head, line, 1_000_000)


def of_wrangler(line: Callable[[int], str], head: str = WRANGLER) -> Content:
    return lambda: many(head, line, 255_000)


def of_json(line: Callable[[int], str], head: str, tail: str) -> Content:
    return lambda: many(head, line, 255_000, tail)


_TEXTS: dict[str, Content] = {
    "a key of 40 kB of dots": lambda: "a." * 20_000 + "b = 1\n",
    "lists in lists": lambda: "x = " + "[" * 100_000,
    "closed lists in lists": lambda: "x = " + "[" * 60_000 + "]" * 60_000,
    "tables in tables": lambda: "x = " + "{a=" * 60_000,
    "a text that is not closed": lambda: 'x = """' + "\\" * 200_000,
    "a literal that is not closed": lambda: "x = '''" + "'" * 200_001,
    "only quotes": lambda: '"' * 200_000,
    "only brackets": lambda: "[]" * 100_000,
    "a number of 200,000 digits": lambda: "x = " + "9" * 200_000,
    "a hexadecimal number of 200,000 digits": lambda: "x = 0x" + "f" * 200_000,
    "a float with an exponent of 200,000 digits": lambda: "x = 1e" + "9" * 200_000,
    "a year of five digits": lambda: "x = 99999-12-31\n",
    "the second after the last": lambda: "x = 9999-12-31T23:59:60Z\n",
    "a NUL": lambda: "x = '\0'\n",
    "a byte order mark in the middle": lambda: "\ufeffx = 1\n",
    "bytes that are no UTF-8": lambda: b"x = '\xff'\n",
    "half a surrogate pair": lambda: b"x = '\xed\xa0\x80'\n",
    "the same key again and again": lambda: "a = 1\n" * 30_000,
    "32 parts in each of many headers": lambda: "".join(f"[a{number}.{_PARTS}]\n" for number in range(3000)),
}
"""What is hostile in any TOML file, behind its good part."""


def _behind(good: str, content: Content) -> Content:
    def make() -> bytes:
        bad = content()
        return good.encode() + (bad.encode() if isinstance(bad, str) else bad)

    return make


MTLS_FILES: dict[str, Content] = {
    **{name: _behind(MTLS, content) for name, content in _TEXTS.items()},
    "1 MB of comments": lambda: MTLS + "# x\n" * ((1_000_000 - len(MTLS)) // 4),
    "1 MB and a byte": lambda: MTLS + "#" * (1_000_001 - len(MTLS)),
    "1 MB of new lines": lambda: MTLS + "\n" * (1_000_000 - len(MTLS)),
    "unknown tables": of_mtls(lambda number: f"[k{number}]\n", MTLS),
    "100,000 keys": of_mtls(lambda number: f"k{number}=1\n"),
    "20,000 unknown keys": lambda: _HEAD + "".join(f"k{number}=1\n" for number in range(20_000)),
    "empty certificates": of_mtls(lambda number: f"[certificates.c{number}]\n"),
    "4,000 misspelt certificates": lambda: (
        _HEAD + "".join(f"[certificates.c{number}]\ncertifcate='x'\n" for number in range(4000))
    ),
    "7,000 Workers without their files": lambda: (
        _HEAD + "".join(f"[workers.w{number}]\nconfig='w{number}.toml'\n" for number in range(7000))
    ),
    "7,000 environments that are not there": lambda: (
        MTLS + "".join(f"[workers.checkout.env.e{number}]\n" for number in range(7000))
    ),
    "20,000 bindings to nothing": lambda: MTLS + "".join(f"B{number}='c{number}'\n" for number in range(20_000)),
    "20,000 former names": lambda: MTLS.replace(
        "private_key", f"supersedes = {[f'n{number}' for number in range(20_000)]}\nprivate_key"
    ),
    "a key source of 20,000 keys": lambda: MTLS.replace(
        '{ env = "BILLING_KEY" }', "{" + ",".join(f"k{number}=1" for number in range(20_000)) + "}"
    ),
    "a list of 300,000 lists": lambda: MTLS + "x=[" + "[]," * 300_000 + "]\n",
    "UTF-16": lambda: MTLS.encode("utf-16"),
    "UTF-32": lambda: MTLS.encode("utf-32"),
    "carriage returns alone": lambda: MTLS.replace("\n", "\r"),
    "compressed": lambda: gzip.compress(MTLS.encode()),
    "noise": lambda: noise(900_000),
    "cut in the middle": lambda: MTLS[: len(MTLS) // 2],
    "nothing": lambda: "",
}

WRANGLER_FILES: dict[str, Content] = {
    **{
        name: _behind(WRANGLER, _TEXTS[name]) for name in ("a key of 40 kB of dots", "a NUL", "bytes that are no UTF-8")
    },
    "300 kB": lambda: WRANGLER + "#" * 300_000,
    "environments": of_wrangler(lambda number: f"[env.e{number}]\n"),
    "bindings": of_wrangler(
        lambda number: (
            f"[[mtls_certificates]]\nbinding='B{number}'\ncertificate_id='10ca1000-0000-4000-8000-{number:012}'\n"
        )
    ),
    "entries without a word": of_wrangler(lambda number: "[[mtls_certificates]]\n"),
    "one name again and again": of_wrangler(lambda number: "[[mtls_certificates]]\nbinding='B'\ncertificate_id=''\n"),
    "numbers for entries": lambda: "mtls_certificates = [" + "1," * 14_000 + "]\n",
    "UTF-16": lambda: WRANGLER.encode("utf-16"),
    "carriage returns alone": lambda: WRANGLER.replace("\n", "\r"),
    "compressed": lambda: gzip.compress(WRANGLER.encode()),
    "cut in the middle": lambda: WRANGLER[: len(WRANGLER) // 2],
    "nothing": lambda: "",
}

JSON_FILES: dict[str, Content] = {
    "300 kB": lambda: _JSON + "}" + " " * 300_000,
    "lists in lists": lambda: _JSON + ',"x":' + "[" * 120_000,
    "closed lists in lists": lambda: _JSON + ',"x":' + "[" * 100_000 + "]" * 100_000 + "}",
    "many lists of 190 levels": lambda: _JSON + ',"x":[' + ",".join(["[" * 190 + "]" * 190] * 600) + "]}",
    "objects in objects": lambda: _JSON + ',"x":' + '{"a":' * 40_000,
    "comments that are not closed": lambda: _JSON + "/*" * 100_000,
    "comments alone": lambda: "//\n" * 80_000 + _JSON + "}",
    "only slashes": lambda: "/" * 200_000,
    "only commas": lambda: _JSON + "," * 200_000,
    "only quotes": lambda: _JSON + '"' * 200_000,
    "only backslashes": lambda: _JSON + ',"x":"' + "\\" * 200_000,
    "a number of 200,000 digits": lambda: _JSON + ',"x":' + "9" * 200_000 + "}",
    "an exponent of 200,000 digits": lambda: _JSON + ',"x":1e' + "9" * 200_000 + "}",
    "no number": lambda: _JSON + ',"x":NaN}',
    "half a surrogate pair": lambda: _JSON + ',"x":"\\ud800"}',
    "the same key twice": lambda: _JSON + ',"name":"y"}',
    "the prototype": lambda: _JSON + ',"__proto__":{}}',
    "a NUL": lambda: _JSON + "\0}",
    "keys": of_json(lambda number: f',"k{number}":1', _JSON, "}"),
    "the same key again and again": of_json(lambda number: ',"k":1', _JSON, "}"),
    "empty entries": of_json(lambda number: ",{}", '{"mtls_certificates":[{}', "]}"),
    "environments": of_json(lambda number: f',"e{number}":{{}}', _JSON + ',"env":{"a":{}', "}}"),
    "a text": lambda: '"' + "a" * 200_000 + '"',
    "UTF-16": lambda: (_JSON + "}").encode("utf-16"),
    "nothing": lambda: "",
}


def _block(data: bytes, label: str = "CERTIFICATE") -> str:
    return f"-----BEGIN {label}-----\n{base64.encodebytes(data).decode()}-----END {label}-----\n"


def _certificate(key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey, names: int = 0) -> bytes:
    """A certificate of any key, with as many alternative names."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hostile")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key).serial_number(5)
    builder = builder.not_valid_before(datetime(2026, 1, 1)).not_valid_after(datetime(2036, 1, 1))  # noqa: DTZ001 - UTC
    if names:
        alternatives = [x509.DNSName(f"host-{number}.example.com") for number in range(names)]
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.PEM)


def large_rsa() -> rsa.RSAPrivateKey:
    """A real RSA key of 15,636 bits in no time: its primes are Mersenne's."""
    p, q, e = (1 << 11213) - 1, (1 << 4423) - 1, 65537
    d = pow(e, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(e, p * q))
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


def large_rsa_pem() -> bytes:
    return large_rsa().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _ec() -> ec.EllipticCurvePublicKey:
    return ec.generate_private_key(ec.SECP256R1()).public_key()


CERTIFICATE_FILES: dict[str, Content] = {
    "10,000 blocks": lambda: "-----BEGIN A-----\n-----END A-----\n" * 10_000,
    "10,000 certificates": lambda: issued(1).certificate_pem * 10_000,
    "11 certificates": lambda: b"".join(issued(1).certificate_pem for _ in range(11)),
    "2,700 blocks": lambda: "-----BEGIN A-----\n-----END A-----\n" * 2700,
    "only beginnings": lambda: "-----BEGIN CERTIFICATE-----\n" * 3300,
    "only ends": lambda: "-----END CERTIFICATE-----\n" * 3600,
    "beginnings of nothing": lambda: "-----BEGIN " * 8600,
    "too few dashes": lambda: "----BEGIN CERTIFICATE----\n" * 3600,
    "only dashes": lambda: "-" * 94_000,
    "dashes apart": lambda: "- " * 47_000,
    "a leaf of 76 kB": lambda: _certificate(_ec(), 2600),
    "an RSA key of 15,636 bits": lambda: _certificate(large_rsa().public_key()),
    "a length of 4 GB": lambda: _block(b"\x30\x84\xff\xff\xff\xff" + b"\0" * 100),
    "a length of 16 EB": lambda: _block(b"\x30\x88" + b"\xff" * 8 + b"\0" * 100),
    "lengths without end": lambda: _block(b"\x30\x80" * 10_000),
    "sequences in sequences": lambda: _block(b"\x30\x82\x20\x00" * 4000),
    "binary with a length of 4 GB": lambda: b"\x30\x84\xff\xff\xff\xff" + b"\0" * 90_000,
    "PKCS#12 without end": lambda: b"\x30\x82\x01\x00\x02\x01\x03" + b"\x30\x80" * 40_000,
    "noise": lambda: noise(90_000),
    "zeros": lambda: bytes(94_000),
    "compressed": lambda: gzip.compress(issued(1).certificate_pem),
    "UTF-16": lambda: issued(1).certificate_pem.decode().encode("utf-16"),
    "base64 of base64": lambda: base64.b64encode(issued(1).certificate_pem),
    "a terminal's escape inside": lambda: "-----BEGIN CERTIFICATE-----\n\x1b[31m::error::\n-----END CERTIFICATE-----\n",
    "a label that is an escape": lambda: "-----BEGIN \x1b[31m-----\n-----END \x1b[31m-----\n",
    "cut in the middle": lambda: issued(1).certificate_pem[:200],
    "nothing": lambda: "",
}

KEYS: dict[str, Content] = {
    "an RSA key of 15,636 bits": large_rsa_pem,
    "100 kB": lambda: "x" * 100_000,
    "only beginnings": lambda: "-----BEGIN PRIVATE KEY-----\n" * 450,
    "a length of 4 GB": lambda: _block(b"\x30\x84\xff\xff\xff\xff" + b"\0" * 100, "PRIVATE KEY"),
    "a terminal's escape": lambda: "\x1b[31m-----BEGIN \x1b[31m PRIVATE KEY-----",
    "noise": lambda: noise(12_000).replace(b"\0", b"1"),
}
