"""Opens the key of a certificate when it is needed, and only for that time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256

from reconciler.apply.run import Run
from reconciler.findings.codes import Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import InputError, ReconcilerError
from reconciler.model import CertificateName, DeclaredCertificate
from reconciler.model.keys import at_key, place_of_key
from reconciler.model.ports import PrivateKey
from reconciler.x509.key_pairs import check_pair, fitting, only_key


def open_key(run: Run, names: Iterable[CertificateName]) -> PrivateKey | None:
    """The key of certificates with the same content, without anything else, checked against them; None if none has
    one."""
    found = _open(run, names)
    if found is None:
        return None
    declared, key = found
    findings = _prove(run, declared, key)
    return PrivateKey(only_key(key.pem), findings, proved_for=run.desired.bundles[declared.name].digest)


def check_key(run: Run, names: Iterable[CertificateName]) -> tuple[Diagnostic, ...]:
    """The findings of opening that key, which is not kept. InputError if it does not belong to them."""
    found = _open(run, names)
    return () if found is None else _prove(run, *found)


def _open(run: Run, names: Iterable[CertificateName]) -> tuple[DeclaredCertificate, PrivateKey] | None:
    certificates = run.desired.declaration.certificates
    for name in names:
        reference = certificates[name].key
        if reference is None:
            continue
        try:
            key = run.world.keys[reference.source].open(reference)
            if key.several:
                key = replace(key, pem=fitting(key.several, run.desired.bundles[name]))
        except ReconcilerError as error:
            error.where = error.where or place_of_key(certificates[name], run.desired.declaration.path)
            raise
        return certificates[name], key
    return None


def _prove(run: Run, declared: DeclaredCertificate, key: PrivateKey) -> tuple[Diagnostic, ...]:
    """The findings of the key and of its pair. InputError if it does not belong to the certificates.

    A run checks each pair once. A key that is opened again is compared with the checked one by its hash, because its
    source may return another key by then.
    """
    bundle = run.desired.bundles[declared.name]
    seen = sha256(bundle.digest.encode() + key.pem).digest()
    if seen in run.proved:
        return key.findings
    problems = at_key(check_pair(bundle, key.pem, where=None), declared, run.desired.declaration.path)
    if any(found.severity is Severity.ERROR for found in problems):
        raise InputError(problems)
    run.proved.add(seen)
    return (*key.findings, *problems)
