"""The key of a certificate, opened where it is needed and held no longer than that."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.apply.run import Run
from reconciler.findings.codes import Severity
from reconciler.findings.diagnostics import Pointer
from reconciler.findings.errors import InputError, ReconcilerError
from reconciler.model import CertificateName
from reconciler.model.ports import PrivateKey
from reconciler.x509.key_pairs import check_pair, only_key


def open_key(run: Run, names: Iterable[CertificateName]) -> PrivateKey | None:
    """The key of certificates of one content, its pair proved and nothing beside it; None where none names one."""
    certificates = run.desired.declaration.certificates
    for name in names:
        reference = certificates[name].key
        if reference is None:
            continue
        where = Pointer(run.desired.declaration.path, ("certificates", name, "private_key"))
        try:
            key = run.world.keys[reference.source].open(reference)
        except ReconcilerError as error:
            error.where = error.where or where
            raise
        problems = check_pair(run.desired.bundles[name], key.pem, where=where)
        if any(found.severity is Severity.ERROR for found in problems):
            raise InputError(problems)
        return PrivateKey(only_key(key.pem), (*key.findings, *problems))
    return None
