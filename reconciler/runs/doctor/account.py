"""The one check of `doctor` that asks a server: whether the account answers, and what the token may do there."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler import stores
from reconciler.findings.diagnostics import Diagnostic, Severity
from reconciler.findings.errors import ReconcilerError
from reconciler.model import Declaration, StoreKind
from reconciler.model.errors import StoreError
from reconciler.runs.configs import load_configs
from reconciler.runs.project import Project
from reconciler.stores import StoreContext


def check_account(project: Project, declaration: Declaration | None) -> Iterator[Diagnostic]:
    """Nothing where the store is embedded, or where the token, which has a check of its own, can be none.

    Files can be planned without any account, so nothing that is found here is more than a warning. Waits for nobody.
    """
    if declaration is None or declaration.store.kind is StoreKind.LOCAL:
        return
    context = StoreContext(project.environ, max_wait_s=0.0)
    try:
        connection = stores.connect(declaration.store, root=project.folder, clock=project.clock, context=context)
    except StoreError as error:
        if not error.code.startswith("token-"):
            yield Diagnostic(Severity.WARNING, error.code, error.message, None, error.hint)
        return
    cas = any(certificate.ca for certificate in declaration.certificates.values())
    yield from connection.examine(cas=cas, pages=_has_pages(project, declaration))


def _has_pages(project: Project, declaration: Declaration) -> bool:
    """Whether a declared wrangler file is a Pages project's; what is wrong with files is `validate`'s to report."""
    try:
        configs, _ = load_configs(declaration, project.files, {})
    except ReconcilerError:
        return False
    return any(file.pages for file in configs.values())
