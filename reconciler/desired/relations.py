"""The rules between several values of mtls.toml: references, duplicates, keys that exclude each other.

They read the parsed TOML, not the models: so a table with one bad key is still checked in its other keys, and a
reference to an invalid certificate is not an unknown one. Values of the wrong type are skipped: the models report them.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice

from reconciler.desired.certificate_policy import parse_key
from reconciler.desired.findings import Findings, Raw, tables, texts
from reconciler.desired.renewal import KEY_TYPES
from reconciler.desired.rules import ENTRY_ID_PATTERN, NAME_PATTERN, Refused, accepts, check_zone
from reconciler.desired.wording import Keys, Suggestions, listed, named, quoted, quoted_value, table
from reconciler.findings.codes import Code, Severity
from reconciler.model import EnvironmentName, StoreKind
from reconciler.model.certificate_policy import AllowedKey
from reconciler.model.hostnames import is_in_zone

_MOST_LISTED = 5
_NOT_FOR_CA = (
    ("private_key", "a CA is uploaded without its private key"),
    ("renew", "a CA is renewed by its owner"),
    ("verify", "a CA is not a client certificate"),
    ("verify_before", "a CA is not a client certificate"),
)


def add_relations(raw: Raw, findings: Findings) -> None:
    """Add a finding for each broken rule."""
    _check_stacks(raw, findings)
    _check_store(raw, findings)
    _check_cas(raw, findings)
    _check_gates(raw, findings)
    _check_supersedes(raw, findings)
    _check_references(raw, findings)
    _check_issuers(raw, findings)
    _check_shared_files(raw, findings)
    _check_new_keys(raw, findings)
    _check_environments(raw, findings)
    _check_hyperdrives(raw, findings)
    _check_hostnames(raw, findings)


def _check_stacks(raw: Raw, findings: Findings) -> None:
    stack = raw.get("stack")
    for index, name in texts(raw, "former_stacks"):
        if name == stack:
            message = f"`former_stacks` lists {quoted_value(name)}, which is the current stack"
            findings.add(Code.FORMER_STACK_IS_STACK, ("former_stacks", index), message, hint="remove it from the list")
    _check_unique(raw, "former_stacks", ("former_stacks",), findings)


def _check_unique(raw: Raw, key: str, keys: Keys, findings: Findings) -> None:
    seen: set[str] = set()
    for index, text in texts(raw, key):
        if _same(text) in seen:
            message = f"{named(keys)} lists {quoted_value(text)} twice"
            findings.add(Code.DUPLICATE_VALUE, (*keys, index), message, hint="remove one of them")
        seen.add(_same(text))


def _same(text: str) -> str:
    """The text to compare by: IDs ignore case, names do not."""
    return text.lower() if re.fullmatch(ENTRY_ID_PATTERN, text) else text


def _check_store(raw: Raw, findings: Findings) -> None:
    store = raw.get("store")
    if not isinstance(store, dict) or "account_id" not in store:
        return
    kind = next((kind for kind in StoreKind if kind == store.get("kind", StoreKind.LOCAL)), None)
    if kind is not None and not kind.traits.has_accounts:
        findings.add(
            Code.ACCOUNT_ID_UNUSED,
            ("store", "account_id"),
            f"`account_id` in `[store]` has no effect: {kind.traits.title} has no account",
            hint='to use the account, set kind = "cloudflare"',
            at_key=True,
            severity=Severity.WARNING,
        )


def _check_cas(raw: Raw, findings: Findings) -> None:
    for name, certificate in tables(raw, "certificates"):
        if certificate.get("ca") is not True:
            continue
        for key, why in _NOT_FOR_CA:
            if key in certificate:
                keys = ("certificates", name, key)
                message = f"{named(keys)} can't be combined with `ca = true`: {why}"
                findings.add(Code.NOT_FOR_CA, keys, message, hint=f"remove `{key}` or `ca`", at_key=True)


def _check_gates(raw: Raw, findings: Findings) -> None:
    """A `verify_before` without an origin is an error here, so that no proof is skipped later."""
    policy = raw.get("policy")
    of_all = policy.get("verify_before") if isinstance(policy, dict) else None
    for name, certificate in tables(raw, "certificates"):
        if "verify" in certificate or certificate.get("ca") is True:
            continue
        own = "verify_before" in certificate
        if certificate["verify_before"] if own else of_all:
            keys: Keys = ("certificates", name, "verify_before") if own else ("certificates", name)
            setting = named(keys) if own else "`verify_before` in `[policy]`"
            message = f"{setting} requires a proof for {quoted(name)}, which has no `verify` origin"
            hint = 'add verify = "https://..."' + ("" if own else ", or verify_before = [] to require no proof")
            findings.add(Code.VERIFY_MISSING, keys, message, hint=hint, at_key=True)


def _check_supersedes(raw: Raw, findings: Findings) -> None:
    declared = {name for name, _ in tables(raw, "certificates")}
    successors: dict[str, str] = {}
    for name, certificate in tables(raw, "certificates"):
        keys = ("certificates", name, "supersedes")
        _check_unique(certificate, "supersedes", keys, findings)
        for index, text in texts(certificate, "supersedes"):
            other = successors.setdefault(_same(text), name)
            if text in declared:
                whose = "itself" if text == name else f"{quoted_value(text)}, which is declared in this file"
                message = f"{quoted(name)} can't supersede {whose}"
                hint = (
                    "remove it: earlier uploads of a declared certificate are superseded without it; "
                    "for another uploaded certificate with that name, write its ID"
                )
                findings.add(Code.SUPERSEDES_DECLARED, (*keys, index), message, hint=hint)
            elif other != name:
                message = f"{quoted(other)} and {quoted(name)} both supersede {quoted_value(text)}"
                hint = "remove it from one of them: an uploaded certificate can have only one successor"
                findings.add(Code.SUPERSEDED_TWICE, (*keys, index), message, hint=hint)


def _environments(worker: Raw, keys: Keys) -> Iterator[tuple[EnvironmentName, Keys, Raw]]:
    """The environments of a Worker: name, path of its table, and the table with its `bindings`."""
    if "bindings" in worker:
        yield None, (*keys, "bindings"), worker
    for name, environment in tables(worker, "env"):
        yield name, (*keys, "env", name), environment


def _check_references(raw: Raw, findings: Findings) -> None:
    declared = raw.get("certificates", {})
    if not isinstance(declared, dict):
        return
    cas = {name for name, certificate in tables(raw, "certificates") if certificate.get("ca") is True}
    suggestions = Suggestions()
    for label, worker in tables(raw, "workers"):
        for name, _, holder in _environments(worker, ("workers", label)):
            path: Keys = ("workers", label, "bindings") if name is None else ("workers", label, "env", name, "bindings")
            bindings = holder.get("bindings")
            for binding, target in bindings.items() if isinstance(bindings, dict) else ():
                keys = (*path, binding)
                if isinstance(target, dict) and "id" not in target:
                    target, keys = target.get("certificate"), (*keys, "certificate")
                if not isinstance(target, str):
                    continue
                if target not in declared:
                    _add_unknown(target, keys, declared, suggestions, findings)
                elif target in cas:
                    message = f"{named(keys)} refers to {quoted_value(target)}, which has `ca = true`"
                    hint = "bind a client certificate: a Worker can't use a CA"
                    findings.add(Code.CA_BOUND, keys, message, hint=hint)


def _check_issuers(raw: Raw, findings: Findings) -> None:
    declared = raw.get("issuers", {})
    if not isinstance(declared, dict):
        return
    suggestions = Suggestions()
    used: set[object] = set()
    for name, certificate in tables(raw, "certificates"):
        renew = certificate.get("renew")
        issuer = renew.get("issuer") if isinstance(renew, dict) else None
        used |= {issuer} if isinstance(issuer, str) else set()
        if isinstance(issuer, str) and issuer not in declared:
            keys = ("certificates", name, "renew", "issuer")
            message = f"{named(keys)} refers to {quoted_value(issuer)}, but no issuer with that name is declared"
            hint = suggestions.did_you_mean(issuer, list(declared)) or "declare it in `[issuers.NAME]`"
            findings.add(Code.UNKNOWN_ISSUER, keys, message, hint=hint)
    for name in declared if used <= set(declared) else ():  # else the misspelt name may mean it
        if name not in used:
            message = f"{named(('issuers', name))} is used by no certificate"
            hint = "name it in the `renew` of a certificate, or remove it"
            findings.add(
                Code.ISSUER_UNUSED, ("issuers", name), message, hint=hint, at_key=True, severity=Severity.WARNING
            )


def _check_shared_files(raw: Raw, findings: Findings) -> None:
    """A certificate file that is replaced by a renewal has its key in the sink of one certificate alone."""
    owners: dict[str, list[str]] = defaultdict(list)
    for name, certificate in tables(raw, "certificates"):
        path = certificate.get("certificate")
        if isinstance(path, str):
            owners[posixpath.normpath(path)].append(name)
    for name, certificate in tables(raw, "certificates"):
        path = certificate.get("certificate")
        others = [one for one in owners[posixpath.normpath(path)] if one != name] if isinstance(path, str) else []
        if "renew" in certificate and others:
            keys = ("certificates", name, "certificate")
            message = f"{quoted(name)} renews {quoted_value(str(path))}, which is the file of {quoted(others[0])}, too"
            hint = "give each of them a file of its own; or declare one certificate, and bind that everywhere"
            findings.add(Code.RENEWED_FILE_SHARED, keys, message, hint=hint)


def _check_new_keys(raw: Raw, findings: Findings) -> None:
    """The type of new keys must be one that `[policy.certificates]` allows."""
    policy = raw.get("policy")
    rules = policy.get("certificates") if isinstance(policy, dict) else None
    if not isinstance(rules, dict) or "keys" in [text for _, text in texts(rules, "warn_only")]:
        return
    allowed = [found for _, text in texts(rules, "keys") if (found := _allowed_key(text)) is not None]
    for name, certificate in tables(raw, "certificates"):
        renew = certificate.get("renew")
        kind = renew.get("key") if isinstance(renew, dict) else None
        wanted = _made_key(kind) if kind in KEY_TYPES else None
        if allowed and wanted is not None and not any(one.covers(wanted) for one in allowed):
            keys = ("certificates", name, "renew", "key")
            message = (
                f"{named(keys)} is {quoted_value(str(kind))}, which `keys` in `[policy.certificates]` does not allow"
            )
            findings.add(Code.POLICY_KEY_TYPE, keys, message, hint=f"write one of {listed(map(str, allowed))}")


def _allowed_key(text: str) -> AllowedKey | None:
    try:
        return parse_key(text)
    except Refused:
        return None  # reported by its model


def _made_key(kind: str) -> AllowedKey:
    word, _, bits = kind.partition(" ")
    return AllowedKey(word, int(bits)) if word == "RSA" else AllowedKey(kind)


def _add_unknown(target: str, keys: Keys, declared: Raw, suggestions: Suggestions, findings: Findings) -> None:
    message = f"{named(keys)} refers to {quoted_value(target)}, but no certificate with that name is declared"
    findings.add(Code.UNKNOWN_CERTIFICATE, keys, message, hint=_reference_hint(target, declared, suggestions))


_REMOVED = "if the certificate was removed on purpose, delete this line"


def _reference_hint(target: str, declared: Raw, suggestions: Suggestions) -> str:
    if re.fullmatch(ENTRY_ID_PATTERN, target):
        return f'write {{ id = "{target}" }} to bind a certificate that is managed elsewhere'
    meant = suggestions.did_you_mean(target, list(declared))
    if meant is not None:
        return f"{meant} Or, {_REMOVED}"
    if not declared:
        return f"{_REMOVED}; else declare it in `[certificates.NAME]` with `certificate` and `private_key`"
    more = ", ..." if len(declared) > _MOST_LISTED else ""
    name = target if re.fullmatch(NAME_PATTERN, target) else "NAME"
    known = f"{listed(islice(declared, _MOST_LISTED))}{more}"
    return f"declare it in `[certificates.{name}]`, or use a certificate that is declared: {known}; {_REMOVED}"


def _check_environments(raw: Raw, findings: Findings) -> None:
    """Compares files by their path as written, with `.` and `..` resolved; links are resolved later, in the run."""
    seen: dict[tuple[str, EnvironmentName], Keys] = {}
    for label, worker in tables(raw, "workers"):
        config = worker.get("config")
        if not isinstance(config, str):
            continue
        for name, keys, _ in _environments(worker, ("workers", label)):
            file = posixpath.normpath(config)
            other = seen.setdefault((file, name), keys)
            if other != keys:
                what = "the top level" if name is None else f"the environment {quoted(name)}"
                message = f"{table(other)} and {table(keys)} both declare {what} of {quoted_value(file)}"
                hint = "move the bindings of both into one table"
                findings.add(Code.ENVIRONMENT_DECLARED_TWICE, keys, message, hint=hint, at_key=True)


def _check_hyperdrives(raw: Raw, findings: Findings) -> None:
    declared = raw.get("certificates", {})
    cas = {name for name, certificate in tables(raw, "certificates") if certificate.get("ca") is True}
    suggestions, seen = Suggestions(), dict[str, str]()
    for label, found in tables(raw, "hyperdrive"):
        keys: Keys = ("hyperdrive", label)
        if not {"certificate", "ca", "sslmode"} & found.keys():
            message, hint = f"{table(keys)} declares nothing to use", "add `certificate`, `ca` or `sslmode`"
            findings.add(Code.HYPERDRIVE_EMPTY, keys, message, hint=hint, at_key=True)
        config = found.get("config")
        other = seen.setdefault(config, label) if isinstance(config, str) else label
        if other != label:
            message = f"{table(('hyperdrive', other))} and {table(keys)} are both about {quoted_value(str(config))}"
            hint = "move the keys of both into one table"
            findings.add(Code.HYPERDRIVE_DECLARED_TWICE, (*keys, "config"), message, hint=hint)
        for key, wants_ca in (("certificate", False), ("ca", True)):
            target = found.get(key)
            if not isinstance(target, str) or not isinstance(declared, dict):
                continue
            if target not in declared:
                _add_unknown(target, (*keys, key), declared, suggestions, findings)
            elif wants_ca is not (target in cas):
                has = "has" if target in cas else "does not have"
                message = f"{named((*keys, key))} refers to {quoted_value(target)}, which {has} `ca = true`"
                code = Code.HYPERDRIVE_NEEDS_CA if wants_ca else Code.CA_BOUND
                hint = "name the CA of the database" if wants_ca else "name a client certificate; a CA goes into `ca`"
                findings.add(code, (*keys, key), message, hint=hint)


def _check_hostnames(raw: Raw, findings: Findings) -> None:
    given = raw.get("certificates", {})
    declared: Raw = given if isinstance(given, dict) else {}
    cas = {name for name, certificate in tables(raw, "certificates") if certificate.get("ca") is True}
    suggestions = Suggestions()
    for zone, found in tables(raw, "hostnames"):
        if not accepts(check_zone, zone):
            continue
        keys: Keys = ("hostnames", zone)
        if not found:
            message, hint = f"{table(keys)} declares no CA", 'add one, such as `partner-ca = ["api.example.com"]`'
            findings.add(Code.HOSTNAMES_EMPTY, keys, message, hint=hint, at_key=True)
        for name, names in found.items():
            if name not in declared:
                _add_unknown(name, (*keys, name), declared, suggestions, findings)
            elif name not in cas:
                message = f"{named((*keys, name))} is a certificate that does not have `ca = true`"
                hint = "name the CA that signs the certificates of the clients"
                findings.add(Code.HOSTNAMES_NEED_CA, (*keys, name), message, hint=hint, at_key=True)
            if names == []:
                message, hint = f"{named((*keys, name))} lists no hostname", "add one, or remove the line"
                findings.add(Code.HOSTNAMES_EMPTY, (*keys, name), message, hint=hint)
            _check_unique(found, name, (*keys, name), findings)
            for index, host in texts(found, name):
                if not is_in_zone(host, zone):
                    message = f"{named((*keys, name))} lists {quoted_value(host)}, which is not in this zone"
                    hint = "move it to the table of its zone"
                    findings.add(Code.HOSTNAME_OUTSIDE, (*keys, name, index), message, hint=hint)
