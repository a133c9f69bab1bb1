"""Projects of a given size for the bench: certificates, Workers and bindings.

All leaves share one key, so that a thousand are made in a second; the tool can't tell, and has the same work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support.cli import WRANGLER
from tests.support.measured import CLI, Measured, measure

KEY_VARIABLE = "BENCH_KEY"

_FIRST_BINDING = WRANGLER.index("[[mtls_certificates]]")
_SETTINGS = WRANGLER[:_FIRST_BINDING] + (
    'workers_dev = false\n\n[vars]\nAPI = "https://api.example"\nLEVEL = "info"\n\n'
    '[[kv_namespaces]]\nbinding = "CACHE"\nid = "0f2ac74b498b48028cb68387c421e279"\n\n'
)


@dataclass(frozen=True)
class BenchProject:
    """A project in a folder. Each Worker has its own wrangler file, and its share of the bindings.

    `store` and `policy` are lines of those tables; with an account no Worker is live.
    """

    folder: Path
    certificates: int
    workers: int
    bindings: int
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()), repr=False)
    store: tuple[str, ...] = ()
    policy: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    def write(self) -> None:
        """Everything but the store; no id is known yet."""
        (self.folder / ".git").mkdir(parents=True)
        self.write_certificates()
        for number in range(self.workers):
            path = self.folder / f"workers/w{number:04}/wrangler.toml"
            path.parent.mkdir(parents=True)
            path.write_text(_SETTINGS + "".join(_entry(name) for name in self._bound(number)))
        (self.folder / "mtls.toml").write_text(self._declaration())

    def write_certificates(self) -> None:
        """A new certificate for every name: at the second call each of them is to be rotated."""
        folder = self.folder / "certs"
        folder.mkdir(exist_ok=True)
        for number in range(self.certificates):
            (folder / f"{_name(number)}.pem").write_bytes(self._issue(number))

    def run(self, *arguments: str, timeout_s: float = 300.0) -> Measured:
        """`mtlsctl ARGUMENTS` here."""
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        environ = {KEY_VARIABLE: key, "HOME": str(self.folder), **self.environ}
        return measure([*CLI, *arguments], folder=self.folder, environ=environ, timeout_s=timeout_s)

    def _bound(self, worker: int) -> list[str]:
        """The certificates that a Worker presents; together they take turns."""
        share = range(worker, self.bindings, self.workers)
        return [_name(number % self.certificates) for number in share]

    def _declaration(self) -> str:
        lines = ["version = 1", 'stack = "bench"', "[store]", f"limit = {2 * self.certificates + 1000}"]
        lines += [*self.store, "[policy]", *self.policy]
        for number in range(self.certificates):
            name = _name(number)
            lines += [f"[certificates.{name}]", f'certificate = "certs/{name}.pem"']
            lines.append(f'private_key = {{ env = "{KEY_VARIABLE}" }}')
        for number in range(self.workers):
            lines += [f"[workers.w{number:04}]", f'config = "workers/w{number:04}/wrangler.toml"']
            lines += ["deployed = false"] if self.store else []
            lines.append(f"[workers.w{number:04}.bindings]")
            lines += [f'{name.upper()} = "{name}"' for name in self._bound(number)]
        return "\n".join(lines) + "\n"

    def _issue(self, number: int) -> bytes:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_common_name(f"client {number} of the bench"))
            .issuer_name(_common_name("Bench CA"))
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=365))
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(f"client-{number}.example")]), critical=False)
        )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _name(number: int) -> str:
    return f"c{number:04}"


def _common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _entry(name: str) -> str:
    return f'[[mtls_certificates]]\nbinding = "{name.upper()}"\ncertificate_id = ""\n\n'
