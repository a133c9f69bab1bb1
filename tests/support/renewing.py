"""The ports of a renewal in memory: a sink, an issuer with a CA, and a gate that can kill a run at any effect."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from reconciler.apply.renew import renew_certificate
from reconciler.apply.renewing import RenewWorld
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import FileError, IssuerError, KeySourceError
from reconciler.model import CertificateName, DeclaredCertificate, Desired, Policy
from reconciler.model.key_places import FileSink, Slot
from reconciler.model.renewal import IssuedCertificate, Renewal, SigningRequest
from reconciler.plan.renewing import Renewable, RenewReason, RenewStep
from reconciler.x509.certificates import Bundle, key_digest
from reconciler.x509.files import parse_file
from reconciler.x509.key_pairs import check_pair
from tests.support.memory import MemoryFiles, NoProver
from tests.support.pki import DAY, NOW, Authority, Issued
from tests.support.worlds import desired

PATH = "certs/billing.pem"
RENEW = Renewal("internal", FileSink("keys"))


class Killed(BaseException):
    """What a kill is to the code that is killed: nothing that it could catch."""


@dataclass
class Gate:
    """Every effect of a run passes here: it is counted, and the run can be killed before or after any of them."""

    kill_at: int | None = None
    before: bool = True
    end: type[BaseException] = Killed
    seen: list[str] = field(default_factory=list)

    @contextmanager
    def passing(self, what: str) -> Iterator[None]:
        """One effect."""
        index = len(self.seen)
        self.seen.append(what)
        if index == self.kill_at and self.before:
            raise self.end
        yield
        if index == self.kill_at:
            raise self.end


@dataclass
class MemorySink:
    """A sink over a mapping."""

    gate: Gate
    keys: dict[Slot, bytes] = field(default_factory=dict)
    cannot_remove: bool = False

    def slots(self) -> frozenset[Slot]:
        with self.gate.passing("slots"):
            return frozenset(self.keys)

    def read(self, slot: Slot) -> bytes:
        with self.gate.passing("read"):
            if slot not in self.keys:
                raise KeySourceError("there is no such slot")
            return self.keys[slot]

    def write(self, slot: Slot, key: bytes) -> None:
        with self.gate.passing("write"):
            if slot in self.keys:
                raise KeySourceError("there is such a slot already")
            self.keys[slot] = key

    def remove(self, slot: Slot) -> None:
        with self.gate.passing("remove"):
            if self.cannot_remove:
                raise KeySourceError("the vault is sealed")
            self.keys.pop(slot, None)


@dataclass
class CaIssuer:
    """Signs requests with a CA of the tests. `alter` changes what is signed; `lost`: that many answers get lost after
    the certificate was issued; `refused`: that many requests are refused."""

    gate: Gate
    ca: Authority
    clock: Callable[[], datetime] = lambda: NOW
    lifetime: timedelta = 60 * DAY
    lost: int = 0
    missing: str | None = None
    refused: int = 0
    alter: Callable[[x509.CertificateBuilder], x509.CertificateBuilder] = lambda builder: builder
    issued: list[tuple[str, bytes]] = field(default_factory=list)
    requests: list[SigningRequest] = field(default_factory=list)

    def demand(self) -> None:
        if self.missing is not None:
            raise IssuerError(self.missing)

    def issue(self, request: SigningRequest) -> bytes:
        with self.gate.passing("issue"):
            self.requests.append(request)
            if self.refused:
                self.refused -= 1
                raise IssuerError("the role does not allow this name")
            pem = self.alter_and_sign(x509.load_pem_x509_csr(request.csr))
            self.issued.append((request.key, pem))
        if self.lost:
            self.lost -= 1
            raise IssuerError("the connection broke before the answer came", is_open=True)
        return pem

    def alter_and_sign(self, csr: x509.CertificateSigningRequest) -> bytes:
        """The chain for a request."""
        assert csr.is_signature_valid
        builder = x509.CertificateBuilder(
            issuer_name=self.ca.certificate.subject,
            subject_name=csr.subject,
            public_key=csr.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=self.clock(),
            not_valid_after=self.clock() + self.lifetime,
            extensions=list(csr.extensions),
        )
        assert isinstance(self.ca.key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
        signed = self.alter(builder).sign(self.ca.key, hashes.SHA256())
        return b"".join(one.public_bytes(Encoding.PEM) for one in (signed, self.ca.certificate, *self.ca.intermediates))


@dataclass
class SearchableCa(CaIssuer):
    """The same, which knows what it issued. `revoked`: the keys whose certificates are."""

    revoked: set[str] = field(default_factory=set)

    def find(self, key: str) -> IssuedCertificate | None:
        with self.gate.passing("find"):
            found = next((pem for digest, pem in reversed(self.issued) if digest == key), None)
            return None if found is None else IssuedCertificate(found, is_revoked=key in self.revoked)


@dataclass
class GatedFiles(MemoryFiles):
    """Files in memory, whose writes pass the gate. `unwritable`: why none can be written."""

    gate: Gate = field(default_factory=Gate)
    unwritable: FileError | None = None

    def demand_writable(self, path: str, *, new: bool) -> None:
        super().demand_writable(path, new=new)
        if self.unwritable is not None:
            raise self.unwritable

    def replace(self, path: str, *, old: bytes, new: bytes) -> None:
        with self.gate.passing("replace"):
            super().replace(path, old=old, new=new)

    def create(self, path: str, data: bytes) -> None:
        with self.gate.passing("replace"):
            super().create(path, data)


@dataclass
class RenewScene:
    """One certificate that renews itself, its sink, its issuer and its file. `reports`: what was shown at once."""

    ca: Authority
    present: Issued | None
    renew: Renewal = RENEW
    can_find: bool = False
    path: str = PATH
    gate: Gate = field(default_factory=Gate)
    time: datetime = NOW
    reports: list[Diagnostic] = field(default_factory=list)
    settings: dict[str, object] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)
    sink: MemorySink = field(init=False)
    issuer: CaIssuer = field(init=False)
    files: GatedFiles = field(init=False)
    world: RenewWorld = field(init=False)

    def __post_init__(self) -> None:
        self.sink = MemorySink(self.gate)
        kind = SearchableCa if self.can_find else CaIssuer
        self.issuer = kind(self.gate, self.ca, clock=lambda: self.time)
        tree = {} if self.present is None else {self.path: self.present.chain_pem}
        self.files = GatedFiles(tree, gate=self.gate)
        self.world = RenewWorld(
            self.sink, self.issuer, self.files, NoProver(), lambda: self.time, self.reports.append, lambda: None
        )

    @property
    def bundle(self) -> Bundle | None:
        """What its file has."""
        return parse_file(self.files.tree[self.path], self.path) if self.path in self.files.tree else None

    @property
    def desired(self) -> Desired:
        """The desired state that has it alone."""
        name = CertificateName("billing")
        declared = DeclaredCertificate(name, self.path, renew=self.renew, **self.settings)  # type: ignore[arg-type]
        made = desired({"billing": None}, declared=[declared], policy=self.policy)
        return replace(made, bundles={} if self.bundle is None else {name: self.bundle})

    def run(self, kill_at: int | None = None, *, before: bool = True, new_key: bool = False) -> RenewStep:
        """One renewal; raises Killed at the effect with this index."""
        self.gate.kill_at, self.gate.before, self.gate.seen = kill_at, before, []
        wanted = self.desired
        item = Renewable(wanted.declaration.certificates[CertificateName("billing")], RenewReason.DUE, self.bundle)
        return renew_certificate(item, self.files.tree.get(self.path), wanted, self.world, new_key=new_key)

    def selected(self) -> list[Slot]:
        """The slots with the key of its file, whose keys are checked to be that key."""
        bundle = self.bundle
        assert bundle is not None
        found = [slot for slot in self.sink.keys if slot.key == key_digest(bundle.leaf)]
        assert all(not check_pair(bundle, self.sink.keys[slot], where=None) for slot in found)
        return found
