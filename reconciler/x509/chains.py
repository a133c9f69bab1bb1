"""How the certificates of a chain hang together: who issued whom, by name and by signature.

Proves the links inside a bundle and nothing about an origin: without the origin's own root, a chain that ends in any
root looks the same (RFC 5280 section 6 needs a trust anchor). It must not ask what a certificate may be used for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import MD5, SHA1

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place
from reconciler.x509.certificates import Bundle, issuer_text, quiet, subject_text


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


@lru_cache(maxsize=4096)
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
    """

    bundle: Bundle
    path_name: str
    path: tuple[int, ...]

    @property
    def leaf(self) -> int:
        """Which certificate is the leaf."""
        return self.path[0]

    @property
    def issuers(self) -> tuple[int, ...]:
        """The intermediates on the path: what an origin must accept beside the leaf; a root is not among them."""
        return tuple(index for index in self.path[1:] if not is_self_issued(self.bundle.certificates[index]))

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
    return Chain(bundle, path, _Paths(bundle.certificates, _find_leaf(bundle.certificates)).best(now))


def is_self_issued(certificate: x509.Certificate) -> bool:
    """Whether subject and issuer are the same name: a root, or a leaf that signed itself (RFC 5280 section 3.2)."""
    return certificate.subject == certificate.issuer


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
    for lower, upper in zip(chain.path, chain.path[1:], strict=False):
        child, issuer = certificates[lower], certificates[upper]
        if weak_hash(child) is None:
            yield from _link(chain, lower, upper, child, issuer)


def weak_links(chain: Chain) -> Iterator[Diagnostic]:
    """Yield a finding for SHA-1 and MD5 on the leaf and its intermediates; the signature of a root is never checked
    (OpenSSL, level 1 and up)."""
    for index in (chain.leaf, *chain.issuers):
        if weak := weak_hash(chain.bundle.certificates[index]):
            message = f"{chain.describe(index)} is signed with {weak}, which origins refuse"
            hint = "ask the CA to reissue it with SHA-256"
            yield chain.finding(Severity.ERROR, Code.WEAK_SIGNATURE, message, index, hint)


_MOST_COMPARED = 20
"""Certificates of a bundle; twice as many as a file may have. Only an account's list can have more."""


class _Paths:
    """The paths from a leaf to where they end in a bundle: at a root, or where no issuer is found."""

    def __init__(self, certificates: tuple[x509.Certificate, ...], leaf: int) -> None:
        self.certificates, self.leaf = certificates, leaf
        first: dict[x509.Certificate, int] = {}
        for index, certificate in enumerate(certificates):
            first.setdefault(certificate, index)
        self.distinct = tuple(first.values())
        self._issuers: dict[int, tuple[int, ...]] = {}

    def best(self, now: datetime) -> tuple[int, ...]:
        """Indexes, the leaf's first."""
        path = self._only_one()
        if path is not None:
            return path
        if len(self.distinct) > _MOST_COMPARED:
            return self._first_in_file()
        counted = [index for index in self.distinct if not is_self_issued(self.certificates[index])]
        valid = [index for index in counted if self._begin(index) <= now <= self._end(index)]
        for usable in (valid, counted):
            # Of paths that are valid now, when they began does not matter.
            begins = None if usable is valid else sorted({self._begin(index) for index in usable})
            for end in sorted({self._end(index) for index in usable}, reverse=True):
                for begin in begins or (None,):
                    fit = (one for one in usable if self._end(one) >= end and (not begin or self._begin(one) <= begin))
                    path = self._find(frozenset(fit))
                    if path is not None:
                        return path
        return self._first_in_file()

    def _begin(self, index: int) -> datetime:
        """When it begins, if not before the leaf: earlier is no better."""
        leaf = self.certificates[self.leaf].not_valid_before_utc
        return max(self.certificates[index].not_valid_before_utc, leaf)

    def _end(self, index: int) -> datetime:
        """When it ends, if not after the leaf: later is no better."""
        return min(self.certificates[index].not_valid_after_utc, self.certificates[self.leaf].not_valid_after_utc)

    def issuers(self, index: int) -> tuple[int, ...]:
        """Who may have issued a certificate, in the order of the file; () for a root.

        Of several with one name, as cross-signed or renewed CAs have, those with the right key, if any.
        """
        if index not in self._issuers:
            self._issuers[index] = self._find_issuers(self.certificates[index])
        return self._issuers[index]

    def _find_issuers(self, child: x509.Certificate) -> tuple[int, ...]:
        if is_self_issued(child):
            return ()
        found = [index for index in self.distinct if self.certificates[index].subject == child.issuer]
        proved = [one for one in found if _is_proved(child, self.certificates[one])] if len(found) > 1 else []
        return tuple(proved or found)

    def reachable(self) -> frozenset[int]:
        """Every certificate on some path."""
        found, left = {self.leaf}, [self.leaf]
        while left:
            new = set(self.issuers(left.pop())) - found
            found |= new
            left.extend(new)
        return frozenset(found)

    def _only_one(self) -> tuple[int, ...] | None:
        """The path of a bundle that has no other."""
        path = [self.leaf]
        while issuers := self.issuers(path[-1]):
            if len(issuers) > 1 or issuers[0] in path:
                return None
            path.append(issuers[0])
        return tuple(path)

    def _find(self, usable: frozenset[int]) -> tuple[int, ...] | None:
        """The first whole path through these and any root."""
        below: dict[int, int | None] = {self.leaf: None}
        left = [self.leaf]
        while left:
            index = left.pop()
            issuers = self.issuers(index)
            if not issuers:
                return _down(index, below)
            for issuer in reversed(issuers):
                if issuer not in below and (issuer in usable or is_self_issued(self.certificates[issuer])):
                    below[issuer] = index
                    left.append(issuer)
        return None

    def _first_in_file(self) -> tuple[int, ...]:
        """A path as far as it goes, of certificates that issued each other in a circle."""
        path = [self.leaf]
        while found := [index for index in self.issuers(path[-1]) if index not in path]:
            path.append(found[0])
        return tuple(path)


def _down(top: int, below: dict[int, int | None]) -> tuple[int, ...]:
    path: list[int] = []
    index: int | None = top
    while index is not None:
        path.append(index)
        index = below[index]
    return tuple(reversed(path))


def _is_proved(child: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        child.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def _find_leaf(certificates: tuple[x509.Certificate, ...]) -> int:
    """0, or where the first certificate issued others, the only one that issued none of them."""
    issuers = {certificate.issuer for certificate in certificates if not is_self_issued(certificate)}
    if certificates[0].subject not in issuers:
        return 0
    leaves = [index for index, certificate in enumerate(certificates) if certificate.subject not in issuers]
    return leaves[0] if len({certificates[index] for index in leaves}) == 1 else 0


def _beside_the_path(chain: Chain) -> Iterator[Diagnostic]:
    certificates, path = chain.bundle.certificates, chain.path
    on_path = {certificates[index] for index in path}
    # A second path, as cross-signed intermediates make one, is there for origins that build it.
    related = {certificates[index] for index in _Paths(certificates, chain.leaf).reachable()}
    extras = [index for index, certificate in enumerate(certificates) if certificate not in on_path | related]
    top = path[-1]
    if path == (0,) and not is_self_issued(certificates[0]):
        issuer = issuer_text(certificates[0])
        if extras:
            message = f"{chain.describe(0)} was issued by {issuer}, but {chain.describe(extras[0])} comes next"
            hint = f"put the certificate of {issuer} after it"
            yield chain.finding(Severity.ERROR, Code.CHAIN_BROKEN, message, extras[0], hint)
            return
        message = f"the file does not contain {issuer}, the issuer of {chain.describe(0)}"
        hint = "add the intermediates after the leaf, unless the origin trusts that issuer directly"
        yield chain.finding(Severity.WARNING, Code.CHAIN_INCOMPLETE, message, 0, hint)
    if top and is_self_issued(certificates[top]):
        message = f"{chain.describe(top)} is a root, which origins ignore in a chain"
        yield chain.finding(Severity.WARNING, Code.CHAIN_HAS_ROOT, message, top, "remove it from the file")
    for index in extras:
        message = f"{chain.describe(index)} is not part of the leaf's chain"
        yield chain.finding(Severity.WARNING, Code.CHAIN_UNRELATED, message, index, "remove it from the file")


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
    except (ValueError, TypeError, UnsupportedAlgorithm):
        message = f"the signature on {chain.describe(lower)} uses an algorithm that can't be checked here"
        hint = "make sure that the origin supports this signature algorithm"
        yield chain.finding(Severity.WARNING, Code.SIGNATURE_UNKNOWN, message, lower, hint)
