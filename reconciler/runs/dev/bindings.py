"""The bindings of a Worker that can be served on this machine, with their certificates and keys, and why others can't.

Keys are opened only for use on this machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.errors import InputError
from reconciler.findings.values import dataclass
from reconciler.model import ById, CertificateName, DeclaredCertificate, Desired
from reconciler.plan.binding_findings import Site
from reconciler.runs.handshake import load_roots, open_key
from reconciler.runs.project import Project
from reconciler.workerd.config import BindingIdentity, Variable
from reconciler.workerd.form import BuiltBinding, BuiltWorker
from reconciler.x509.chains import window_of
from reconciler.x509.preflight import check_for_upload

CERTIFICATE = "mtls_certificate"
_VARIABLES = frozenset({"plain_text", "json"})
_SECRETS = frozenset({"inherit", "secret_text", "secret_key"})


@dataclass(frozen=True, slots=True)
class Chosen:
    """`bindings` are served; `unserved` has an error for each binding that is not."""

    bindings: tuple[tuple[str, BindingIdentity | Variable], ...]
    unserved: tuple[Diagnostic, ...]


def choose(
    site: Site, built: BuiltWorker, identities: Mapping[str, BindingIdentity], refused: Mapping[str, Diagnostic]
) -> Chosen:
    """What is served: variables as built, and the declared certificates whose key is available.

    A declared binding that the wrangler file does not have yet is served, too. `refused` has the declared bindings that
    can't be served, with the reason.
    """
    variables = [(binding.name, Variable(binding.value)) for binding in built.bindings if binding.kind in _VARIABLES]
    others = [binding for binding in built.bindings if binding.kind not in _VARIABLES]
    declared = {*identities, *refused}
    missing = [_unserved(site, binding) for binding in others if binding.name not in declared]
    taken = {name for name, _ in variables}
    certificates = [(name, identity) for name, identity in identities.items() if name not in taken]
    return Chosen((*variables, *certificates), (*refused.values(), *missing))


def unserved_by_id(site: Site, binding: str) -> Diagnostic:
    """The error for a binding by id: the certificate is managed elsewhere, and a store never returns a key."""
    message = f"{binding} is bound by ID, and the private key of that certificate is not available"
    hint = "declare its certificate with a `private_key`, and bind it by name"
    return Diagnostic(Severity.ERROR, Code.DEV_UNSERVED, message, site.declared_at(binding), hint)


def unserved_without_key(site: Site, binding: str, certificate: str) -> Diagnostic:
    """The error for a certificate without a key in mtls.toml, for example an adopted one."""
    message = f"{binding} uses {certificate!r}, which has no `private_key`"
    where = Pointer(site.declaration.path, ("certificates", certificate))
    hint = 'add `private_key = { env = "NAME" }` or the path of a key file'
    return Diagnostic(Severity.ERROR, Code.DEV_UNSERVED, message, where, hint, certificate)


def _unserved(site: Site, binding: BuiltBinding) -> Diagnostic:
    where = _place(site, binding.name)
    if binding.kind == CERTIFICATE:
        message = f"{binding.name} is an mTLS binding, but mtls.toml does not declare it in {site.text}"
        hint = "declare it with its certificate and key"
        return Diagnostic(Severity.ERROR, Code.DEV_UNSERVED, message, where, hint)
    kind = "secret" if binding.kind in _SECRETS else binding.kind or "unknown"
    message = f"{binding.name} ({kind}) can't be served here"
    hint = "run with `--without-unserved` to leave it out"
    return Diagnostic(Severity.ERROR, Code.DEV_UNSERVED, message, where, hint)


def _place(site: Site, name: str) -> Pointer:
    """The place of a binding in the wrangler file; the file itself if the binding is not in it."""
    table: tuple[str | int, ...] = () if site.environment is None else ("env", site.environment)
    certificate = site.found.find(name)
    if certificate is not None:
        return Pointer(site.file.path, (*table, "mtls_certificates", certificate.index, "binding"))
    kind = site.found.taken.get(name)
    return Pointer(site.file.path, (*table, kind), at_key=True) if kind else Pointer(site.file.path)


@dataclass(frozen=True, slots=True)
class ServedBinding:
    """A served binding, the certificate that it uses, and the end of its validity."""

    binding: str
    certificate: str
    ends: datetime


@dataclass(slots=True)
class Pairs:
    """The certificates and keys of the bindings. `refused` has the bindings that can't be served, each with the reason;
    `notes` has findings about the others."""

    site: Site
    desired: Desired
    project: Project
    now: datetime
    refused: dict[str, Diagnostic] = field(default_factory=dict)
    notes: list[Diagnostic] = field(default_factory=list)
    presented: list[ServedBinding] = field(default_factory=list)

    def open_all(self) -> dict[str, BindingIdentity]:
        """The identity of each declared binding, without the refused ones. InputError for a key that does not match."""
        found: dict[str, BindingIdentity] = {}
        opened: dict[CertificateName, BindingIdentity | Diagnostic] = {}
        for binding in self.site.worker.environments.get(self.site.environment, ()):
            if isinstance(binding.target, ById):
                self.refused[binding.binding] = unserved_by_id(self.site, binding.binding)
                continue
            name = binding.target.certificate
            if name not in opened:
                opened[name] = self._open(binding.binding, self.desired.declaration.certificates[name])
            identity = opened[name]
            if isinstance(identity, BindingIdentity):
                found[binding.binding] = identity
                ends = window_of(self.desired.bundles[name], now=self.now).ends
                self.presented.append(ServedBinding(binding.binding, name, ends or self.now))
            else:
                self.refused[binding.binding] = identity
        return found

    def _open(self, binding: str, declared: DeclaredCertificate) -> BindingIdentity | Diagnostic:
        if declared.key is None:
            return unserved_without_key(self.site, binding, declared.name)
        where = Pointer(self.desired.declaration.path, ("certificates", declared.name, "private_key"))
        bundle = self.desired.bundles[declared.name]
        opened = open_key(self.project, declared, bundle)
        if opened.wrong:  # an old workerd starts with a key that does not match, and sends no certificate
            raise InputError(opened.wrong)
        if opened.key is None:
            message = f"{binding} uses {declared.name!r}, whose key is not available: {opened.missing}"
            return Diagnostic(Severity.ERROR, Code.KEY_UNAVAILABLE, message, where, opened.hint, declared.name)
        found = check_for_upload(bundle, ca=False, path=declared.path, now=self.now)
        # Here the origin decides: a user may want to try an expired certificate.
        grave = (problem for problem in found if problem.severity is Severity.ERROR)
        self.notes.extend((*opened.findings, *(replace(problem, severity=Severity.WARNING) for problem in grave)))
        roots = load_roots(self.project.files, declared.verify) if declared.verify is not None else None
        return BindingIdentity(bundle.pem(), opened.key, (roots.pem(),) if roots is not None else ())
