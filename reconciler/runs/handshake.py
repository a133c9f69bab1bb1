"""The key and the CAs for a handshake with a declared origin, and its proof."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import KeySourceError, ReconcilerError
from reconciler.findings.values import dataclass
from reconciler.model import DeclaredCertificate, Origin
from reconciler.model.keys import at_key
from reconciler.model.ports import FileReader, PrivateKey
from reconciler.proof.ports import ClientIdentity, Prober, ProbeTarget
from reconciler.proof.proofs import Proof
from reconciler.proof.rules import judge
from reconciler.proof.trust import check_trust, roots_of
from reconciler.runs.project import Project
from reconciler.x509.certificates import Bundle
from reconciler.x509.files import MAX_CHAIN_BYTES, parse_file
from reconciler.x509.key_pairs import check_pair, fitting, only_key


@dataclass(frozen=True, slots=True)
class OpenedKey:
    """The key of a certificate, ready to use, or why there is none. `wrong` has the findings that make the pair
    unusable."""

    key: PrivateKey | None = None
    missing: str = ""
    hint: str | None = None
    wrong: tuple[Diagnostic, ...] = ()
    findings: tuple[Diagnostic, ...] = ()


def open_key(project: Project, declared: DeclaredCertificate, bundle: Bundle) -> OpenedKey:
    """The key, checked against its certificate. A missing key is not an error: the checkout of a pipeline often has
    none."""
    try:
        opened = project.key_of(declared)
        pem = b"" if opened is None else fitting(opened.several, bundle) if opened.several else opened.pem
    except KeySourceError as error:
        if not error.is_absent:
            return OpenedKey(wrong=at_key(error.diagnostics(), declared, project.name))
        return OpenedKey(missing=error.message, hint=error.hint)
    except ReconcilerError as error:
        return OpenedKey(missing=error.message, hint=error.hint)
    if opened is None:
        return OpenedKey(missing="mtls.toml has no `private_key` for it")
    wrong = at_key(check_pair(bundle, pem, where=None), declared, project.name)
    if wrong:
        return OpenedKey(wrong=wrong, findings=opened.findings)
    return OpenedKey(PrivateKey(only_key(pem)), findings=opened.findings)


@dataclass(frozen=True, slots=True)
class Proving:
    """The port `OriginProver` over the files of a project; `prober` is created only when needed."""

    files: FileReader
    prober: Callable[[], Prober]

    def prove(self, origin: Origin, pair: ClientIdentity) -> Proof:
        """The proof; ReconcilerError if the file of `ca` can't be used."""
        seen = self.prober().probe(ProbeTarget(origin.url, load_roots(self.files, origin), origin.expect_status), pair)
        return Proof(origin.url, seen, judge(seen))


def load_roots(files: FileReader, origin: Origin) -> Bundle | None:
    """The roots that verify the origin's own certificate; None: the roots of this machine."""
    return None if origin.ca is None else roots_of(load_cas(files, origin.ca), origin.ca)


def load_cas(files: FileReader, path: str) -> Bundle:
    """The certificates in a file of CAs; ReconcilerError if it can't be used."""
    return parse_file(files.read(path, limit=MAX_CHAIN_BYTES), path)


def check_cas(path: str, origin: Origin, bundle: Bundle, files: FileReader, now: datetime) -> Iterator[Diagnostic]:
    """Findings about the files of CAs that an origin names, and about the chain's path to them."""
    try:
        load_roots(files, origin)
    except ReconcilerError as error:
        yield from error.diagnostics()
    if origin.client_ca is None:
        return
    try:
        trusted = load_cas(files, origin.client_ca)
    except ReconcilerError as error:
        yield from error.diagnostics()
    else:
        yield from check_trust(bundle, trusted, path=path, trusted_path=origin.client_ca, now=now)
