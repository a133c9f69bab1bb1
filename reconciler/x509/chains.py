"""How the certificates of a chain hang together: who issued whom, by name and by signature.

Proves the links inside a bundle and nothing about an origin: without the origin's own root, a chain that ends in any
root looks the same (RFC 5280 section 6 needs a trust anchor). It must not ask what a certificate may be used for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import MD5, SHA1

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place
from reconciler.findings.values import dataclass
from reconciler.x509.certificates import MOST_KNOWN, Bundle, issuer_text, key_digest, quiet, subject_text
from reconciler.x509.paths import Paths, is_self_issued, is_self_signed, key_ids_differ


@dataclass(frozen=True, slots=True)
class Window:
    """When a chain is valid, both ends included, aware UTC. None: unknown."""

    begins: datetime | None
    ends: datetime | None

    def contains(self, now: datetime) -> bool:
        """Whether the chain is known to be valid now."""
        return self.begins is not None and self.ends is not None and self.begins <= now <= self.ends

    def has_ended(self, now: datetime) -> bool:
        """Whether the chain is known to have ended."""
        return self.ends is not None and self.ends < now


@lru_cache(maxsize=MOST_KNOWN)
def window_of(bundle: Bundle, *, now: datetime, ca: bool = False) -> Window:
    """The latest begin and the earliest end over the leaf and the intermediates of its best path; of CAs, over every
    certificate. A MALFORMED error where a name in it can't be read.

    Roots, duplicates and certificates beside the path don't count: origins use their own copies (RFC 5280 section 6.1).
    """
    counted = bundle.certificates
    if not ca and len(counted) > 1:
        with quiet():
            chain = make_chain(bundle, "", now=now)
        counted = tuple(bundle.certificates[index] for index in (chain.leaf, *chain.issuers))
    return Window(
        max(certificate.not_valid_before_utc for certificate in counted),
        min(certificate.not_valid_after_utc for certificate in counted),
    )


@dataclass(frozen=True, slots=True)
class Chain:
    """A bundle with the path in it: indexes into the bundle, the leaf's first, as far as issuers are found by name.

    The leaf is at 0 unless the file has it elsewhere: `order` reports that, all other checks look at the real one.
    `issuers`: the intermediates on the path, which an origin must accept beside the leaf; a root is not among them.
    """

    bundle: Bundle
    path_name: str
    path: tuple[int, ...]
    issuers: tuple[int, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        is_root = is_self_signed(self.bundle.certificates[self.path[-1]])
        object.__setattr__(self, "issuers", self.path[1:-1] if is_root else self.path[1:])

    @property
    def leaf(self) -> int:
        """Which certificate is the leaf."""
        return self.path[0]

    def related(self) -> tuple[int, ...]:
        """The certificates beside the path that other paths of the leaf go through, in the order of the file."""
        certificates = self.bundle.certificates
        on_path = {certificates[index] for index in self.path}
        reachable = Paths(certificates, self.leaf).reachable()
        return tuple(sorted(index for index in reachable if certificates[index] not in on_path))

    def place(self, index: int) -> Place:
        """Where the certificate begins, as far as that is known."""
        lines = self.bundle.lines
        return Place(self.path_name, lines[index] if index < len(lines) else None)

    def describe(self, index: int) -> str:
        """The certificate in words, for a sentence."""
        count, subject = len(self.bundle.ders), subject_text(self.bundle.certificates[index])
        place = "the certificate" if count == 1 else f"certificate {index + 1} of {count}"
        return f"{place} ({subject})"

    def finding(self, severity: Severity, code: Code, message: str, index: int, hint: str) -> Diagnostic:
        """A finding about one certificate, at its line."""
        return Diagnostic(severity, code, message, self.place(index), hint)


def make_chain(bundle: Bundle, path: str, *, now: datetime) -> Chain:
    """The bundle with the best path from its leaf upwards. `path` is the file's name, `now` aware UTC.

    Of several paths, as cross-signed intermediates make them: one that is valid now, then the one that ends last.
    """
    return Chain(bundle, path, Paths(bundle.certificates, _find_leaf(bundle.certificates)).best(now))


def weak_hash(certificate: x509.Certificate) -> str | None:
    """`SHA-1` or `MD5` where the signature rests on it, else None."""
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None
    if isinstance(algorithm, SHA1):
        return "SHA-1"
    return "MD5" if isinstance(algorithm, MD5) else None


def duplicates(chain: Chain) -> Iterator[Diagnostic]:
    """The same certificate twice: harmless for origins, but nobody meant it."""
    ders = chain.bundle.ders
    for index, der in enumerate(ders):
        if der in ders[:index]:
            message = f"{chain.describe(index)} is already in the file as certificate {ders.index(der) + 1}"
            yield chain.finding(Severity.WARNING, Code.CHAIN_DUPLICATE, message, index, "remove one of the two")


def order(chain: Chain) -> Iterator[Diagnostic]:
    """Yield findings unless the leaf is first, each certificate is issued by the next, and there are no others."""
    if chain.leaf != 0:
        message = f"{chain.describe(0)} is an issuer, but the certificate of the key must come first"
        hint = f"put {chain.describe(chain.leaf)} first, then its intermediates, each before the one that issued it"
        yield chain.finding(Severity.ERROR, Code.CHAIN_ORDER, message, 0, hint)
        return
    if list(chain.path) != sorted(chain.path):
        steps = ", ".join(str(index + 1) for index in chain.path)
        index = next(at for at, before in zip(chain.path[1:], chain.path, strict=False) if at < before)
        message = f"{chain.describe(index)} comes before a certificate that it issued"
        hint = f"write them in this order, each before its issuer: {steps}"
        yield chain.finding(Severity.ERROR, Code.CHAIN_ORDER, message, index, hint)
    yield from _beside_the_path(chain)


def signatures(chain: Chain) -> Iterator[Diagnostic]:
    """Yield a finding for each link that the issuer's key does not prove; `weak_links` reports SHA-1 and MD5."""
    certificates = chain.bundle.certificates
    if chain.path == (chain.leaf,):
        yield from _own_signature(chain, chain.leaf)
    for lower, upper in zip(chain.path, chain.path[1:], strict=False):
        child, issuer = certificates[lower], certificates[upper]
        if weak_hash(child) is None:
            yield from _link(chain, lower, upper, child, issuer)


def own_signatures(chain: Chain) -> Iterator[Diagnostic]:
    """The signature of each certificate that is its own issuer."""
    for index in range(len(chain.bundle.ders)):
        yield from _own_signature(chain, index)


def weak_links(chain: Chain) -> Iterator[Diagnostic]:
    """Yield a finding for SHA-1 and MD5 on the leaf and its intermediates; the signature of a root is never checked
    (OpenSSL, level 1 and up)."""
    for index in (chain.leaf, *chain.issuers):
        if weak := weak_hash(chain.bundle.certificates[index]):
            message = f"{chain.describe(index)} is signed with {weak}, which origins refuse"
            hint = "ask the CA to reissue it with SHA-256"
            yield chain.finding(Severity.ERROR, Code.WEAK_SIGNATURE, message, index, hint)


def _find_leaf(certificates: tuple[x509.Certificate, ...]) -> int:
    """0, or where the first certificate issued others, the only one that issued none of them."""
    issuers = {certificate.issuer for certificate in certificates if not is_self_issued(certificate)}
    if certificates[0].subject not in issuers:
        return 0
    leaves = [index for index, certificate in enumerate(certificates) if certificate.subject not in issuers]
    return leaves[0] if len({certificates[index] for index in leaves}) == 1 else 0


def _beside_the_path(chain: Chain) -> Iterator[Diagnostic]:
    certificates, path = chain.bundle.certificates, chain.path
    related = chain.related()
    known = {certificates[index] for index in (*path, *related)}
    extras = [index for index, certificate in enumerate(certificates) if certificate not in known]
    top = path[-1]
    if path == (0,) and not is_self_signed(certificates[0]):
        issuer = issuer_text(certificates[0])
        if extras:
            message = f"{chain.describe(0)} was issued by {issuer}, but {chain.describe(extras[0])} comes next"
            hint = f"put the certificate of {issuer} after it"
            yield chain.finding(Severity.ERROR, Code.CHAIN_BROKEN, message, extras[0], hint)
            return
        message = f"the file does not contain {issuer}, the issuer of {chain.describe(0)}"
        hint = "add the intermediates after the leaf, unless the origin trusts that issuer directly"
        yield chain.finding(Severity.WARNING, Code.CHAIN_INCOMPLETE, message, 0, hint)
    if top and is_self_signed(certificates[top]):
        message = f"{chain.describe(top)} is a root, which origins ignore in a chain"
        yield chain.finding(Severity.WARNING, Code.CHAIN_HAS_ROOT, message, top, "remove it from the file")
    yield from _second_paths(chain, related)
    for index in extras:
        message = f"{chain.describe(index)} is not part of the leaf's chain"
        yield chain.finding(Severity.WARNING, Code.CHAIN_UNRELATED, message, index, "remove it from the file")


def _second_paths(chain: Chain, related: tuple[int, ...]) -> Iterator[Diagnostic]:
    """What cross-signing makes: a certificate of the same name and key as one of the path, of another issuer."""
    certificates = chain.bundle.certificates
    for index in related:
        twins = [one for one in chain.issuers if _is_twin(certificates[one], certificates[index])]
        if twins and not is_self_signed(certificates[index]):
            message = (
                f"{chain.describe(index)} is a second path: it has the name and key of certificate {twins[0] + 1}"
                " and another issuer"
            )
            hint = "first put the one whose root the origin trusts: origins that use OpenSSL try only the first"
            yield chain.finding(Severity.INFO, Code.CHAIN_SECOND_PATH, message, index, hint)


def _is_twin(one: x509.Certificate, other: x509.Certificate) -> bool:
    return one.subject == other.subject and key_digest(one) == key_digest(other)


def _own_signature(chain: Chain, index: int) -> Iterator[Diagnostic]:
    certificate = chain.bundle.certificates[index]
    if (
        not is_self_signed(certificate)
        or weak_hash(certificate)
        or Paths(chain.bundle.certificates, index).issuers(index)
    ):
        return
    try:
        certificate.verify_directly_issued_by(certificate)
    except InvalidSignature:
        message = f"{chain.describe(index)} is self-signed, but its signature is wrong"
        hint = "the file is damaged or was changed: copy it again from its source, or create it again"
        yield chain.finding(Severity.ERROR, Code.SELF_SIGNATURE, message, index, hint)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return  # its kind of signature or key is reported by the checks of keys


def _link(
    chain: Chain, lower: int, upper: int, child: x509.Certificate, issuer: x509.Certificate
) -> Iterator[Diagnostic]:
    pair = f"{chain.describe(lower)} was not signed by the key of {chain.describe(upper)}"
    if child.issuer.public_bytes() != issuer.subject.public_bytes():
        message = f"{chain.describe(lower)} encodes the name of its issuer in other bytes than {chain.describe(upper)}"
        hint = "some origins compare the bytes and refuse this; ask the CA to reissue it"
        yield chain.finding(Severity.WARNING, Code.CHAIN_NAME_ENCODING, message, lower, hint)
        return
    try:
        child.verify_directly_issued_by(issuer)
    except InvalidSignature:
        hint = "it has another key; find the issuer's certificate that was in use when this one was issued"
        yield chain.finding(Severity.ERROR, Code.CHAIN_SIGNATURE, f"{pair}, although the names match", upper, hint)
        return
    except (ValueError, TypeError, UnsupportedAlgorithm):
        message = f"the signature on {chain.describe(lower)} uses an algorithm that can't be checked here"
        hint = "make sure that the origin supports this signature algorithm"
        yield chain.finding(Severity.WARNING, Code.SIGNATURE_UNKNOWN, message, lower, hint)
        return
    if key_ids_differ(child, issuer):
        message = f"the authorityKeyIdentifier of {chain.describe(lower)} does not match {chain.describe(upper)}"
        hint = "origins that use OpenSSL refuse this: use the intermediate that the CA delivered with the certificate"
        yield chain.finding(Severity.ERROR, Code.CHAIN_KEY_ID, message, lower, hint)
