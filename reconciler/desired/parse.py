"""From the bytes of mtls.toml to a declaration, or to everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from reconciler.desired.build import build_declaration
from reconciler.desired.findings import Findings, Raw
from reconciler.desired.misfits import add_misfits
from reconciler.desired.reading import read_document
from reconciler.desired.relations import add_relations
from reconciler.desired.rules import VERSION
from reconciler.desired.shapes import Document
from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import InputError
from reconciler.model import Declaration
from reconciler.model.keys import KeySourceKind


def parse_declaration(
    data: bytes, path: str, kinds: Sequence[KeySourceKind]
) -> tuple[Declaration, tuple[Diagnostic, ...]]:
    """The declaration with its warnings; InputError with every problem and warning, in the order of the file.

    `path` is the file's name for diagnostics, `kinds` the key sources that `private_key` may name. Opens nothing.
    """
    raw = read_document(data, path)
    _refuse_newer(raw, path)
    findings = Findings(path)
    findings.add_leaks(raw)
    by_name = {kind.name: kind for kind in kinds}
    document: Document | None = None
    try:
        document = Document.model_validate(raw, context=by_name)
    except ValidationError as error:
        add_misfits(error, raw, by_name, findings)
    add_relations(raw, findings)
    found = findings.in_order(raw)
    if document is None or any(finding.severity is Severity.ERROR for finding in found):
        raise InputError(found)
    return build_declaration(document, path), found


def _refuse_newer(raw: Raw, path: str) -> None:
    """A newer format may mean anything by the other keys, so nothing more is said about them."""
    version = raw.get("version")
    if type(version) is int and version > VERSION:
        findings = Findings(path)
        findings.add(
            Code.UNSUPPORTED_VERSION,
            ("version",),
            f"the file is made for a newer mtlsctl: this one reads version {VERSION}",
            hint="update mtlsctl",
        )
        raise InputError(findings.in_order(raw))
