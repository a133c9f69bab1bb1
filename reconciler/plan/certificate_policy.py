"""Which certificates `[policy.certificates]` does not allow.

An error holds the upload, and so the bindings. What is uploaded already is only warned about: it stays in use, and a
revert to it must work. Offline that is unknown, so it is an error there, too. With `ca = true` only `names` counts: the
other rules are about client certificates, so about the leaf of a file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from hashlib import sha256

from cryptography import x509
from cryptography.x509.oid import NameOID

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.values import dataclass
from reconciler.model import CertificateName, DeclaredCertificate, Desired
from reconciler.model.certificate_policy import EXTENSIONS, NO_RULES, USAGES, AllowedKey, CertificatePolicy
from reconciler.model.ownership import CUSTOM
from reconciler.model.words import names_text
from reconciler.plan.inventory import Inventory
from reconciler.plan.policy import duration_text, lifetime_of
from reconciler.x509.certificates import MALFORMED, Bundle, issuer_text, key_digest, key_kind, public_key_of, quiet
from reconciler.x509.chains import make_chain

_MOST_NAMED = 3
_LONGEST_MATCHED = 200
"""Of a common name; X.520 allows 64. A longer one matches no glob, because matching it could take long."""

Holders = Mapping[str, Sequence[tuple[str, str]]]
"""For the digest of each key: the fingerprint of each leaf that has it, and what to call it."""


@dataclass(frozen=True, slots=True)
class _PolicyCase:
    """One declared certificate with what its rules need."""

    declared: DeclaredCertificate
    policy: CertificatePolicy
    bundle: Bundle
    holders: Holders
    now: datetime


@dataclass(frozen=True, slots=True)
class _Breach:
    """What breaks a rule: `what` follows the certificate in a sentence, `setting` is the rule as it is written."""

    what: str
    setting: str
    cure: str


def judge_policy(
    desired: Desired, inventory: Inventory | None, now: datetime
) -> Mapping[CertificateName, tuple[Diagnostic, ...]]:
    """The findings about each certificate that breaks a rule. `inventory` None: offline."""
    policy = desired.declaration.policy.certificates
    if policy == NO_RULES:
        return {}
    holders = {} if policy.key_reuse else _holders_of_keys(desired, inventory)
    found = {}
    for name, bundle in desired.bundles.items():
        declared = desired.declaration.certificates[name]
        with quiet():
            case = _PolicyCase(declared, policy, bundle, holders, now)
            is_stored = None if inventory is None else name in inventory.current
            breaches = tuple(_breaches(case, desired.declaration.path, is_stored=is_stored))
        if breaches:
            found[name] = breaches
    return found


def _breaches(case: _PolicyCase, path: str, *, is_stored: bool | None) -> Iterator[Diagnostic]:
    for rule, (code, check) in _RULES.items():
        if case.declared.ca and rule not in _FOR_CA:
            continue
        for breach in check(case):
            is_warning = is_stored or rule in case.policy.warn_only
            name, setting = case.declared.name, f"`{breach.setting}` in `[policy.certificates]`"
            hint = f"{breach.cure}; or change {setting}"
            if is_stored:
                hint = f"it is uploaded already, so it stays in use; for its renewal, {breach.cure}"
            elif is_stored is None and not is_warning:
                hint += ". If it is uploaded already, it stays in use, and `mtlsctl plan` only warns"
            yield Diagnostic(
                Severity.WARNING if is_warning else Severity.ERROR,
                code,
                f"{name!r} {breach.what}, which {setting} does not allow",
                Pointer(path, ("certificates", name, "certificate")),
                hint,
                name,
            )


# --- the rules ------------------------------------------------------------------------------------------------------


def _lifetime(case: _PolicyCase) -> Iterator[_Breach]:
    most, found = case.policy.max_lifetime, lifetime_of(case.bundle)
    if most is not None and found > most:
        text = duration_text(most)
        yield _Breach(
            f"is valid for {duration_text(found)}",
            f'max_lifetime = "{text}"',
            f"get a certificate that is valid for {text} at most",
        )


def _key_type(case: _PolicyCase) -> Iterator[_Breach]:
    allowed = case.policy.keys
    key = public_key_of(case.bundle.leaf)
    kind = "unknown type" if key is None else key_kind(key)
    word, _, bits = kind.partition(" ")
    found = AllowedKey(word, int(bits)) if word == "RSA" else AllowedKey(kind)
    if allowed and not any(one.covers(found) for one in allowed):
        yield _Breach(
            f"has a key of type {kind}",
            _list_text("keys", map(str, allowed)),
            f"create a key of type {' or '.join(map(str, allowed))}, and get a certificate for it",
        )


def _issuer(case: _PolicyCase) -> Iterator[_Breach]:
    allowed = case.policy.issuers
    if not allowed or _has_issuer(case, frozenset(allowed)):
        return
    yield _Breach(
        f"was issued by {issuer_text(case.bundle.leaf)}",
        _list_text("issuers", allowed),
        "get the certificate from an allowed CA",
    )


def _has_issuer(case: _PolicyCase, allowed: frozenset[str]) -> bool:
    """Whether the issuer is allowed: by its whole name, by its only common name, or by the fingerprint of a CA above.

    What contains `=` is never the common name alone: a CA could have another CA's whole name as its common name.
    """
    common = _common_names(lambda: case.bundle.leaf.issuer)
    name = common[0] if len(common) == 1 and "=" not in common[0] else None
    if allowed & {issuer_text(case.bundle.leaf), name}:
        return True
    path = make_chain(case.bundle, case.declared.path, now=case.now).path
    return any(sha256(case.bundle.ders[index]).hexdigest() in allowed for index in path[1:])


def _usages(case: _PolicyCase) -> Iterator[_Breach]:
    wanted = case.policy.extended_key_usage
    if not wanted:
        return
    try:
        found = case.bundle.leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        there = {usage.dotted_string for usage in found}
    except (x509.ExtensionNotFound, *MALFORMED):
        there = set()
    yield from _lacking("extended_key_usage", "extendedKeyUsage ", wanted, there, USAGES)


def _extensions(case: _PolicyCase) -> Iterator[_Breach]:
    try:
        there = {one.oid.dotted_string for one in case.bundle.leaf.extensions}
    except MALFORMED:
        there = set()
    yield from _lacking("extensions", "the extension ", case.policy.extensions, there, EXTENSIONS)


def _lacking(
    rule: str, what: str, wanted: Sequence[str], there: set[str], known: Mapping[str, str]
) -> Iterator[_Breach]:
    names = {identifier: word for word, identifier in known.items()}
    lacks = [names.get(one, one) for one in wanted if one not in there]
    if lacks:
        text = f"{what}{', '.join(lacks)}"
        setting = _list_text(rule, (names.get(one, one) for one in wanted))
        yield _Breach(f"lacks {text}", setting, f"ask the CA to reissue it with {text}")


def _key_reuse(case: _PolicyCase) -> Iterator[_Breach]:
    digest = None if case.policy.key_reuse else key_digest(case.bundle.leaf)
    others = [text for leaf, text in case.holders.get(digest or "", ()) if leaf != case.bundle.fingerprint]
    if others:
        named = names_text(others, _MOST_NAMED)
        yield _Breach(
            f"has the same key as {named}", "key_reuse = false", "create a new key, and get a certificate for it"
        )


def _name(case: _PolicyCase) -> Iterator[_Breach]:
    globs = case.policy.names
    if globs and not any(fnmatchcase(case.declared.name, glob) for glob in globs):
        yield _Breach("has this name", _list_text("names", globs), "choose a name that matches")


def _common_name(case: _PolicyCase) -> Iterator[_Breach]:
    globs, found = case.policy.common_names, _common_names(lambda: case.bundle.leaf.subject)
    fits = [any(fnmatchcase(name, glob) for glob in globs) for name in found if len(name) <= _LONGEST_MATCHED]
    if globs and not (found and len(fits) == len(found) and all(fits)):
        names = ", ".join(repr(name[:_LONGEST_MATCHED]) for name in found)
        yield _Breach(
            f"has the common name {names}" if found else "has no common name",
            _list_text("common_names", globs),
            "get a certificate with a common name that matches",
        )


_RULES: Mapping[str, tuple[Code, Callable[[_PolicyCase], Iterator[_Breach]]]] = {
    "max_lifetime": (Code.POLICY_LIFETIME, _lifetime),
    "keys": (Code.POLICY_KEY_TYPE, _key_type),
    "issuers": (Code.POLICY_ISSUER, _issuer),
    "extended_key_usage": (Code.POLICY_EXTENSION, _usages),
    "extensions": (Code.POLICY_EXTENSION, _extensions),
    "key_reuse": (Code.POLICY_KEY_REUSE, _key_reuse),
    "names": (Code.POLICY_NAME, _name),
    "common_names": (Code.POLICY_NAME, _common_name),
}
"""In the order shown."""

_FOR_CA = frozenset({"names"})


def _list_text(rule: str, values: Iterable[str]) -> str:
    """A list as it is written in mtls.toml; of a long one the first values."""
    known = list(values)
    more = ", ..." if len(known) > _MOST_NAMED else ""
    return f"{rule} = [{', '.join(map(_quoted, known[:_MOST_NAMED]))}{more}]"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _common_names(read: Callable[[], x509.Name]) -> list[str]:
    """The common names in a subject or issuer; none if it can't be read."""
    try:
        return [str(one.value) for one in read().get_attributes_for_oid(NameOID.COMMON_NAME)]
    except MALFORMED:
        return []


def _holders_of_keys(desired: Desired, inventory: Inventory | None) -> Holders:
    """Every client certificate that is declared or uploaded, by its key."""
    found: dict[str, dict[str, str]] = defaultdict(dict)

    def add(bundle: Bundle, text: str) -> None:
        digest = key_digest(bundle.leaf)
        if digest is not None:
            found[digest].setdefault(bundle.fingerprint, text)

    for name, bundle in desired.bundles.items():
        if not desired.declaration.certificates[name].ca:
            add(bundle, repr(str(name)))
    for entry in inventory.entries.values() if inventory is not None else ():
        if entry.bundle is not None and entry.type == CUSTOM and not entry.ca:
            add(entry.bundle, f"the uploaded certificate {entry.id}")
    return {digest: tuple(leaves.items()) for digest, leaves in found.items()}
