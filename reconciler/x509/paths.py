"""Who may have issued whom, by name and by key: the paths from a certificate upwards within a bundle.

Knows nothing of files and findings. Names and signatures decide; what a certificate may be used for does not.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from reconciler.x509.certificates import MALFORMED, MOST_KNOWN, key_digest, serial_of


def is_self_issued(certificate: x509.Certificate) -> bool:
    """Whether subject and issuer are the same name; with another key, that is no root (RFC 5280 section 3.2)."""
    return certificate.subject == certificate.issuer


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Whether it is a root, or a leaf that signed itself: subject and issuer are the same name, and its key IDs don't
    say that another key signed it, as those of a root do that its predecessor signed.
    """
    return is_self_issued(certificate) and _names_its_own_key(certificate)


def key_ids_differ(child: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the child's authorityKeyIdentifier names another issuer than this one; absent parts don't count."""
    try:
        named = child.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    except (x509.ExtensionNotFound, *MALFORMED):
        return False
    serial, names = named.authority_cert_serial_number, named.authority_cert_issuer
    if child is not issuer and serial is not None and serial != serial_of(issuer):
        return True
    directory = [one.value for one in names or () if isinstance(one, x509.DirectoryName)]
    if child is not issuer and directory and issuer.issuer not in directory:
        return True
    own = _key_id(issuer)
    return None not in (own, named.key_identifier) and own != named.key_identifier


_MOST_COMPARED = 20
"""Certificates of a bundle; twice as many as a file may have. Only an account's list can have more."""


class Paths:
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
        counted = [index for index in self.distinct if not is_self_signed(self.certificates[index])]
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

        Of several with one name, as cross-signed or renewed CAs have, those with the right key, if any; first those
        that the child names by its key ID. A root that its predecessor signed has that as its issuer.
        """
        if index not in self._issuers:
            self._issuers[index] = self._find_issuers(self.certificates[index])
        return self._issuers[index]

    def _find_issuers(self, child: x509.Certificate) -> tuple[int, ...]:
        certificates, issuer = self.certificates, child.issuer
        found = [one for one in self.distinct if certificates[one].subject == issuer]
        is_own_issuer = is_self_issued(child)
        if len(found) < 2 and not is_own_issuer:
            return tuple(found)
        if is_own_issuer:
            if is_proved(child, child):
                return ()
            found = [one for one in found if certificates[one] != child]
        # One key, whatever the bytes of its name: a CA that signs across often writes the name in another encoding.
        proved = {one for one in found if is_proved(child, certificates[one])}
        if not proved:
            return () if is_own_issuer else tuple(found)
        keys = {key_digest(certificates[one]) for one in proved}
        twins = (one for one in found if key_digest(certificates[one]) in keys)
        return tuple(sorted(twins, key=lambda one: (key_ids_differ(child, certificates[one]), one not in proved)))

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
                if issuer not in below and (issuer in usable or is_self_signed(self.certificates[issuer])):
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


@lru_cache(maxsize=MOST_KNOWN)
def _names_its_own_key(certificate: x509.Certificate) -> bool:
    return not key_ids_differ(certificate, certificate) or is_proved(certificate, certificate)


def _key_id(certificate: x509.Certificate) -> bytes | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except (x509.ExtensionNotFound, *MALFORMED):
        return None


@lru_cache(maxsize=MOST_KNOWN)
def is_proved(child: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the name and the key of `issuer` signed `child`."""
    try:
        child.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True
