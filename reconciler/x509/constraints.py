"""Checks the names of a chain against the name constraints of its CAs (RFC 5280 section 4.2.1.10), as OpenSSL does."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509.oid import NameOID

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.values import dataclass
from reconciler.x509.certificates import MALFORMED
from reconciler.x509.chains import Chain

_CHECKED_BY_ALL = (x509.DNSName, x509.RFC822Name, x509.IPAddress, x509.UniformResourceIdentifier)
_TITLES: dict[type[x509.GeneralName], str] = {
    x509.DNSName: "the DNS name",
    x509.RFC822Name: "the email address",
    x509.IPAddress: "the IP address",
    x509.UniformResourceIdentifier: "the URI",
    x509.DirectoryName: "the subject",
}
_HOST_NAME = re.compile(r"(?=.*\.)\w([\w.-]*\w)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Name:
    """A name of a certificate; `value` has the type that the library gives it, and text for a text."""

    kind: type[x509.GeneralName]
    value: object

    def __str__(self) -> str:
        value = self.value.rfc4514_string() if isinstance(self.value, x509.Name) else self.value
        return f"{_TITLES.get(self.kind, 'a name of type ' + self.kind.__name__)} {value}"


def name_constraints(chain: Chain) -> Iterator[Diagnostic]:
    """Names that a CA of the path may not issue for, and constraints that some origins can't check."""
    for at, index in enumerate(chain.path):
        found = _constraints(chain.bundle.certificates[index]) if index in chain.issuers else None
        if found is None:
            continue
        who = chain.describe(index)
        refused = _refused(chain, chain.path[:at], found.value)
        if refused is not None:
            below, name = refused
            message = f"{who} may not issue for {name} of {chain.describe(below)} (name constraints)"
            hint = "origins refuse this chain: ask the CA for a certificate with names that it may issue for"
            yield chain.finding(Severity.ERROR, Code.NAME_CONSTRAINTS, message, index, hint)
        elif any(_is_rare(one, critical=found.critical) for one in _subtrees(found.value)):
            message = f"{who} has name constraints of a type that some origins do not support"
            hint = "make sure that the origin supports them, or ask the CA for an intermediate without them"
            yield chain.finding(Severity.WARNING, Code.NAME_CONSTRAINTS, message, index, hint)


def _constraints(certificate: x509.Certificate) -> x509.Extension[x509.NameConstraints] | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.NameConstraints)
    except (x509.ExtensionNotFound, *MALFORMED):
        return None


def _subtrees(constraints: x509.NameConstraints) -> Iterable[x509.GeneralName]:
    return (*(constraints.permitted_subtrees or ()), *(constraints.excluded_subtrees or ()))


def _is_rare(constraint: x509.GeneralName, *, critical: bool) -> bool:
    """Go refuses critical ones of these types, workerd also others of directory names."""
    return isinstance(constraint, x509.DirectoryName) or (critical and not isinstance(constraint, _CHECKED_BY_ALL))


def _refused(chain: Chain, below: Iterable[int], constraints: x509.NameConstraints) -> tuple[int, _Name] | None:
    for index in below:
        for name in _names(chain.bundle.certificates[index], is_leaf=index == chain.leaf):
            if not _is_allowed(name, constraints):
                return index, name
    return None


def _names(certificate: x509.Certificate, *, is_leaf: bool) -> Iterator[_Name]:
    """Every name. A leaf's common name counts as a DNS name if it looks like one and the leaf has no other."""
    try:
        others = list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except (x509.ExtensionNotFound, *MALFORMED):
        others = []
    yield from (_Name(type(other), other.value) for other in others)
    try:
        subject = certificate.subject
    except MALFORMED:
        return
    if subject.rdns:
        yield _Name(x509.DirectoryName, subject)
    for mail in subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS):
        yield _Name(x509.RFC822Name, mail.value)
    if is_leaf and not any(isinstance(other, x509.DNSName) for other in others):
        for common in subject.get_attributes_for_oid(NameOID.COMMON_NAME):
            if isinstance(common.value, str) and _HOST_NAME.fullmatch(common.value):
                yield _Name(x509.DNSName, common.value)


def _is_allowed(name: _Name, constraints: x509.NameConstraints) -> bool:
    permitted = [one for one in constraints.permitted_subtrees or () if isinstance(one, name.kind)]
    excluded = [one for one in constraints.excluded_subtrees or () if isinstance(one, name.kind)]
    if not permitted and not excluded:
        return True
    if name.kind not in _TITLES:
        return False  # origins can't compare them, and so refuse
    if permitted and not any(_is_within(name.value, one.value) for one in permitted):
        return False
    return not any(_is_within(name.value, one.value) for one in excluded)


def _is_within(value: object, subtree: object) -> bool:
    """Whether a name is in a subtree of its own type."""
    match value, subtree:
        case x509.Name(), x509.Name():
            ours, theirs = _directory(value), _directory(subtree)
            return ours[: len(theirs)] == theirs
        case ((ipaddress.IPv4Address() | ipaddress.IPv6Address()), (ipaddress.IPv4Network() | ipaddress.IPv6Network())):
            return value in subtree
        case str(), str() if "://" in value:
            return _is_host_within(_host(value), subtree, with_subdomains=subtree.startswith("."))
        case str(), str() if "@" in value:
            if "@" in subtree:
                return value.casefold() == subtree.casefold()
            host = value.rpartition("@")[2]
            return _is_host_within(host, subtree, with_subdomains=subtree.startswith("."))
        case str(), str():
            return _is_host_within(value, subtree, with_subdomains=True)
        case _:
            return False


def _is_host_within(host: str, subtree: str, *, with_subdomains: bool) -> bool:
    ours, theirs = host.casefold().rstrip("."), subtree.casefold().lstrip(".")
    if with_subdomains and (not theirs or ours.endswith(f".{theirs}")):
        return True
    return ours == theirs and not subtree.startswith(".")


def _host(uri: str) -> str:
    try:
        return urlsplit(uri).hostname or ""
    except ValueError:
        return ""


def _directory(name: x509.Name) -> list[frozenset[tuple[str, str]]]:
    """Comparable parts, most significant first: upper case and runs of spaces don't count (RFC 5280 section 7.1)."""
    return [
        frozenset((one.oid.dotted_string, " ".join(str(one.value).split()).casefold()) for one in part)
        for part in name.rdns
    ]
