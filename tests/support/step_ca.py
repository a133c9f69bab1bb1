"""step-ca for tests: the real one on loopback, provisioners with their keys, and a fake that fails on request."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc.jwe import JWERegistry, encrypt_compact
from joserfc.jwk import Key, OctKey, generate_key
from joserfc.registry import Header

from tests.servers import listening_socket, port_of, process, read_until
from tests.support.forges import FakeForge, Reply, Request, Route
from tests.support.pki import Authority, Issued, make_ca
from tests.support.tools import find_tool

PASSWORD = b"canary-password-of-the-provisioner"
NAME = "mtlsctl"
_TODAY = datetime.now(UTC).replace(microsecond=0)
_BEGIN, _END = _TODAY - timedelta(days=1), _TODAY + timedelta(days=300)


class _AnyRounds(JWERegistry):
    """joserfc makes no more than 300,000; step makes 600,000."""

    def check_header(self, header: Header, check_more: bool = False) -> None:
        """Everything is allowed."""


@dataclass(frozen=True)
class Provisioner:
    """A JWK provisioner; `row` is how step-ca's configuration and its API have it."""

    key: Key
    row: dict[str, Any]


def provisioner(
    name: str = NAME,
    *,
    kind: str = "EC",
    curve: str | int = "P-256",
    algorithm: str = "ES256",
    password: bytes = PASSWORD,
    rounds: int = 1000,
    more: Mapping[str, object] | None = None,
) -> Provisioner:
    """A new one. `more`: its `claims` and `options`."""
    parameters: Any = {"use": "sig", "alg": algorithm}
    key = generate_key(kind, curve, parameters, auto_kid=True)  # type: ignore[call-overload]
    encrypted = lock(json.dumps(key.as_dict(private=True)).encode(), password, rounds=rounds)
    public = key.as_dict(private=False)
    return Provisioner(key, {"type": "JWK", "name": name, "key": public, "encryptedKey": encrypted, **(more or {})})


def lock(
    plain: bytes,
    password: bytes = PASSWORD,
    *,
    rounds: int = 1000,
    algorithm: str = "PBES2-HS256+A128KW",
    encryption: str = "A256GCM",
) -> str:
    """A text encrypted with a password, as step does it."""
    header = {"alg": algorithm, "enc": encryption, "cty": "jwk+json", "p2c": rounds}
    registry = _AnyRounds(algorithms=(algorithm, encryption))
    return encrypt_compact(header, plain, OctKey.import_key(password), registry=registry)


@cache
def authority() -> tuple[Authority, Authority]:
    """A root, and the intermediate that signs."""
    root = make_ca("Step Root", not_before=_BEGIN, not_after=_END)
    return root, root.issue_ca("Step Intermediate", not_before=_BEGIN, not_after=_END)


def request_for(issued: Issued) -> bytes:
    """A signing request with the subject and names of a certificate."""
    builder = x509.CertificateSigningRequestBuilder(issued.certificate.subject)
    with contextlib.suppress(x509.ExtensionNotFound):
        names = issued.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        builder = builder.add_extension(names.value, critical=False)
    return builder.sign(issued.key, hashes.SHA256()).public_bytes(Encoding.PEM)


@contextlib.contextmanager
def step_ca(folder: Path, *provisioners: Provisioner, more: Mapping[str, object] | None = None) -> Iterator[str]:
    """The address of a real step-ca with these provisioners. `more`: of its configuration's `authority`."""
    program = find_tool("step-ca")
    root, signer = authority()
    (folder / "root.pem").write_bytes(root.certificate_pem)
    (folder / "signer.pem").write_bytes(signer.certificate_pem)
    (folder / "signer.key").write_bytes(signer.traditional_key_pem)
    with contextlib.closing(listening_socket()) as free:
        port = port_of(free)  # it can't inherit a socket
    configuration = {
        "root": str(folder / "root.pem"),
        "crt": str(folder / "signer.pem"),
        "key": str(folder / "signer.key"),
        "address": f"127.0.0.1:{port}",
        "dnsNames": ["localhost"],
        "authority": {"provisioners": [one.row for one in provisioners], **(more or {})},
    }
    (folder / "ca.json").write_text(json.dumps(configuration))
    environ = {"HOME": str(folder), "STEPPATH": str(folder)}
    with process([str(program), str(folder / "ca.json")], folder, environ=environ) as started:
        read_until(started, b"Serving HTTPS on")
        yield f"https://localhost:{port}"


@dataclass
class FakeStepCa(FakeForge):
    """Lists its provisioners, `per_page` at a time, and signs nothing: it answers with `signed`."""

    provisioners: list[dict[str, Any]] = field(default_factory=list)
    signed: object = None
    per_page: int = 100

    def is_allowed(self, request: Request) -> bool:
        """What proves who asks is in the body."""
        return True

    def routes(self) -> list[Route]:
        """As `FakeForge`."""
        return [("GET", "/provisioners", self._list), ("POST", "/1.0/sign", lambda _: (201, {}, self.signed))]

    def refuse(self, status: int, message: str, **headers: str) -> None:
        """Answer the next request for a certificate with an error of step-ca."""
        body = {"status": status, "message": message}
        self.failures.append(("POST", (status, headers, body), False))

    def _list(self, request: Request) -> Reply:
        at = int(request.query.get("cursor") or "0")
        rest = self.provisioners[at + self.per_page :]
        page = self.provisioners[at : at + self.per_page]
        return 200, {}, {"provisioners": page or None, "nextCursor": str(at + self.per_page) if rest else ""}
