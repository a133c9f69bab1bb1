"""What GitHub's runner obeys: annotations as lines of the output, and the outputs of a step as lines of a file.

As `@actions/core` writes them: packages/core/src/command.ts and file-command.ts of actions/toolkit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from reconciler.findings.codes import Severity
from reconciler.findings.diagnostics import Diagnostic, Place
from reconciler.findings.escape import printable

MOST_ANNOTATIONS = 10
"""GitHub drops the others of a step and kind without a word."""
_LONGEST = 1000
_KINDS = {Severity.ERROR: "error", Severity.WARNING: "warning"}


def show_annotations(found: Iterable[tuple[Diagnostic, Place | None]], changed: Collection[str]) -> str:
    """The ten worst findings, one line each: errors first, and of these those in a changed file first.

    Notes are left out. The place is that in the repository; None: not in it.
    """
    worst = [one for one in dict.fromkeys(found) if one[0].severity in _KINDS]
    kinds = list(_KINDS)
    worst.sort(key=lambda one: (kinds.index(one[0].severity), one[1] is None or one[1].path not in changed))
    return "".join(_annotation(*one) for one in worst[:MOST_ANNOTATIONS])


def _annotation(finding: Diagnostic, place: Place | None) -> str:
    at = {} if place is None else {"file": place.path, "line": place.line, "col": place.column}
    values = {**at, "title": finding.code}
    properties = ",".join(f"{name}={_property(str(value))}" for name, value in values.items() if value is not None)
    hint = f"\nfix: {finding.hint}" if finding.hint else ""
    text = "\n".join(printable(line) for line in f"{finding.message}{hint}".split("\n"))
    return f"::{_KINDS[finding.severity]} {properties}::{_data(text[:_LONGEST])}\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def show_outputs(values: Mapping[str, str], delimiter: str) -> str:
    """The outputs of a step. ValueError if a value contains the delimiter, which is random."""
    if any(delimiter in text for text in values.values()):
        raise ValueError("a value contains the delimiter")
    return "".join(f"{name}<<{delimiter}\n{text}\n{delimiter}\n" for name, text in values.items())
