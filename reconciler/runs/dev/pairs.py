"""The pairs that a Worker's bindings present, opened to be used on this machine and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.errors import InputError
from reconciler.model import ById, CertificateName, DeclaredCertificate, Desired
from reconciler.plan.binding_findings import Site
from reconciler.runs.dev.choosing import unserved_by_id, unserved_without_key
from reconciler.runs.project import Project
from reconciler.runs.proving import load_roots
from reconciler.runs.verify.files import open_key
from reconciler.workerd.config import Identity
from reconciler.x509.preflight import check_for_upload


@dataclass(frozen=True, slots=True)
class Presented:
    """A binding that works, the certificate that it presents, and until when that is valid."""

    binding: str
    certificate: str
    ends: datetime


@dataclass(slots=True)
class Pairs:
    """What is found while the pairs are opened. `refused` has the bindings that can't be served, each with the reason;
    `notes` is what a person may want to know of the others.
    """

    site: Site
    desired: Desired
    project: Project
    now: datetime
    refused: dict[str, Diagnostic] = field(default_factory=dict)
    notes: list[Diagnostic] = field(default_factory=list)
    presented: list[Presented] = field(default_factory=list)

    def open_all(self) -> dict[str, Identity]:
        """What each declared binding presents, those left out that are refused. InputError for a pair that is none."""
        found: dict[str, Identity] = {}
        opened: dict[CertificateName, Identity | Diagnostic] = {}
        for binding in self.site.worker.environments.get(self.site.environment, ()):
            if isinstance(binding.target, ById):
                self.refused[binding.binding] = unserved_by_id(self.site, binding.binding)
                continue
            name = binding.target.certificate
            if name not in opened:
                opened[name] = self._open(binding.binding, self.desired.declaration.certificates[name])
            identity = opened[name]
            if isinstance(identity, Identity):
                found[binding.binding] = identity
                self.presented.append(Presented(binding.binding, name, self.desired.bundles[name].ends))
            else:
                self.refused[binding.binding] = identity
        return found

    def _open(self, binding: str, declared: DeclaredCertificate) -> Identity | Diagnostic:
        if declared.key is None:
            return unserved_without_key(self.site, binding, declared.name)
        where = Pointer(self.desired.declaration.path, ("certificates", declared.name, "private_key"))
        bundle = self.desired.bundles[declared.name]
        opened = open_key(self.project, declared, bundle)
        if opened.wrong:  # an old workerd starts with a key that does not belong, and presents nothing
            raise InputError(opened.wrong)
        if opened.key is None:
            message = f"{binding} presents {declared.name!r}, whose key is not at hand: {opened.missing}"
            return Diagnostic(Severity.ERROR, Code.KEY_UNAVAILABLE, message, where, opened.hint, declared.name)
        found = check_for_upload(bundle, ca=False, path=declared.path, now=self.now)
        # Here it is the origin that decides: an expired certificate may be just what somebody wants to try.
        grave = (problem for problem in found if problem.severity is Severity.ERROR)
        self.notes.extend((*opened.findings, *(replace(problem, severity=Severity.WARNING) for problem in grave)))
        roots = load_roots(self.project.files, declared.verify) if declared.verify is not None else None
        return Identity(bundle.pem(), opened.key, (roots.pem(),) if roots is not None else ())
