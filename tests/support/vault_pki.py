"""The PKI engine of the Vault for tests: roles, `sign`, the list of certificates, and each by its serial number.

As https://developer.hashicorp.com/vault/api-docs/secret/pki has it, for what is used: with the defaults of a role, the
common name and the alternative names are those of the request, and the key usages are those of the role.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support import vault
from tests.support.forges import Reply, Request
from tests.support.pki import Authority, make_ca
from tests.support.vault import answered, errors


@dataclass
class Role:
    """What a role permits: one domain with what is below it, and a longest time; for clients, and servers too."""

    domain: str
    max_ttl: timedelta = timedelta(days=90)
    server_flag: bool = False


@dataclass
class Engine:
    """A PKI engine with an intermediate CA. `kept`: what was signed, by serial number, with the time of revocation."""

    roles: dict[str, Role]
    authority: Authority = field(default_factory=lambda: make_ca("Root").issue_ca("Intermediate"))
    kept: dict[str, tuple[x509.Certificate, int]] = field(default_factory=dict)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    @property
    def chain(self) -> list[str]:
        """The intermediate and its root (PEM)."""
        return [self.authority.certificate_pem.decode(), ROOT_PEM]

    def sign(self, role: Role, content: Mapping[str, Any]) -> Reply:
        """A certificate for a request."""
        request = x509.load_pem_x509_csr(content["csr"].encode())
        names = [str(one.value) for one in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        common_name = (names or [content["common_name"]])[0]
        if not f".{common_name}".endswith(f".{role.domain}"):
            return errors(400, f"common name {common_name} not allowed by this role")
        ttl = timedelta(seconds=int(content.get("ttl", "2592000s").removesuffix("s")))
        now = self.clock().replace(microsecond=0)
        builder = x509.CertificateBuilder(
            subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]),
            issuer_name=self.authority.certificate.subject,
            public_key=request.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - timedelta(seconds=30),
            not_valid_after=now + min(ttl, role.max_ttl),
        )
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if role.server_flag else [])]
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        for extension in request.extensions:
            if isinstance(extension.value, x509.SubjectAlternativeName):
                builder = builder.add_extension(extension.value, critical=False)
        certificate = builder.sign(self.authority.key, hashes.SHA256())
        serial = serial_of(certificate)
        self.kept[serial] = (certificate, 0)
        chain = self.chain[:1] if content.get("remove_roots_from_chain") else self.chain
        data = {"certificate": pem_of(certificate), "ca_chain": chain, "issuing_ca": chain[0], "serial_number": serial}
        return answered(data)

    def revoke(self, serial: str) -> None:
        """As an operator does."""
        self.kept[serial] = (self.kept[serial][0], 1_790_000_000)


ROOT_PEM = make_ca("Another root").certificate_pem.decode()
"""A self-signed certificate, for the end of a chain."""


def pem_of(certificate: x509.Certificate) -> str:
    """As Vault answers it."""
    return certificate.public_bytes(Encoding.PEM).decode()


def serial_of(certificate: x509.Certificate) -> str:
    """`39:dd:2e:90`, as Vault writes serial numbers."""
    digits = f"{certificate.serial_number:x}"
    digits = digits.zfill(len(digits) + len(digits) % 2)
    return ":".join(digits[start : start + 2] for start in range(0, len(digits), 2))


@dataclass
class PkiVault(vault.Vault):
    """A Vault with PKI engines, too, by mount."""

    pki: dict[str, Engine] = field(default_factory=dict)

    def _permitted(self, request: Request, path: str) -> Reply:
        for mount, engine in self.pki.items():
            found = re.fullmatch(rf"{re.escape(mount)}/(sign|certs|cert)(?:/([^/]+))?", path)
            if found is None:
                continue
            match found[1], request.method:
                case "sign", "POST" | "PUT" if found[2] in engine.roles:
                    return engine.sign(engine.roles[found[2]], request.body)
                case "sign", "POST" | "PUT":
                    return errors(400, f"unknown role: {found[2]}")
                case "certs", "LIST" | "GET":
                    return answered({"keys": list(engine.kept)}) if engine.kept else errors(404)
                case "cert", "GET" if found[2] == "ca_chain":
                    return answered({"certificate": "\n".join(engine.chain), "revocation_time": 0})
                case "cert", "GET" if found[2] in engine.kept:
                    certificate, revoked = engine.kept[found[2]]
                    return answered({"certificate": pem_of(certificate), "revocation_time": revoked})
            return errors(404)
        return super()._permitted(request, path)
