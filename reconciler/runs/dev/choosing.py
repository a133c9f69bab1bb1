"""Which bindings of a Worker are served on this machine, and why the others are not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.plan.binding_findings import Site
from reconciler.workerd.config import Identity, Variable
from reconciler.workerd.form import BuiltBinding, BuiltWorker

CERTIFICATE = "mtls_certificate"
_VARIABLES = frozenset({"plain_text", "json"})
_SECRETS = frozenset({"inherit", "secret_text", "secret_key"})


@dataclass(frozen=True, slots=True)
class Chosen:
    """`bindings` are served, and so is nothing of `unserved`, which has an error for each."""

    bindings: tuple[tuple[str, Identity | Variable], ...]
    unserved: tuple[Diagnostic, ...]


def choose(
    site: Site, built: BuiltWorker, identities: Mapping[str, Identity], refused: Mapping[str, Diagnostic]
) -> Chosen:
    """What is served: variables as they are built, and the certificates that mtls.toml declares and a key is there for.

    A declared binding that the wrangler file does not have yet is served too. `refused` has the declared bindings that
    can't be, with the reason.
    """
    variables = [(binding.name, Variable(binding.value)) for binding in built.bindings if binding.kind in _VARIABLES]
    others = [binding for binding in built.bindings if binding.kind not in _VARIABLES]
    declared = {*identities, *refused}
    missing = [_unserved(site, binding) for binding in others if binding.name not in declared]
    taken = {name for name, _ in variables}
    certificates = [(name, identity) for name, identity in identities.items() if name not in taken]
    return Chosen((*variables, *certificates), (*refused.values(), *missing))


def unserved_by_id(site: Site, binding: str) -> Diagnostic:
    """A binding to an entry that is managed elsewhere: a store never gives a key back."""
    message = f"{binding} presents an entry by its id, and its private key is nowhere to be had"
    hint = "declare its certificate with a `private_key`, and bind it by name"
    return Diagnostic(Severity.ERROR, Code.DEV_UNSERVED, message, site.declared_at(binding), hint)


def unserved_without_key(site: Site, binding: str, certificate: str) -> Diagnostic:
    """A certificate that was adopted, say, and whose key mtls.toml does not know."""
    message = f"{binding} presents {certificate!r}, which has no `private_key`"
    where = Pointer(site.declaration.path, ("certificates", certificate))
    hint = 'add `private_key = { env = "NAME" }` or the path of a key file'
    return Diagnostic(Severity.ERROR, Code.DEV_UNSERVED, message, where, hint, certificate)


def _unserved(site: Site, binding: BuiltBinding) -> Diagnostic:
    where = _place(site, binding.name)
    if binding.kind == CERTIFICATE:
        message = f"{binding.name} presents a certificate, and mtls.toml does not declare it in {site.text}"
        hint = "declare it, so that it is known which certificate and key it presents"
        return Diagnostic(Severity.ERROR, Code.DEV_UNSERVED, message, where, hint)
    kind = "secret" if binding.kind in _SECRETS else binding.kind or "unknown"
    message = f"{binding.name} ({kind}) can't be served here"
    hint = "`--without-unserved` runs the Worker without it"
    return Diagnostic(Severity.ERROR, Code.DEV_UNSERVED, message, where, hint)


def _place(site: Site, name: str) -> Pointer:
    """Where the wrangler file has a binding; the file, where it does not say."""
    table: tuple[str | int, ...] = () if site.environment is None else ("env", site.environment)
    certificate = site.found.find(name)
    if certificate is not None:
        return Pointer(site.file.path, (*table, "mtls_certificates", certificate.index, "binding"))
    kind = site.found.taken.get(name)
    return Pointer(site.file.path, (*table, kind), at_key=True) if kind else Pointer(site.file.path)
