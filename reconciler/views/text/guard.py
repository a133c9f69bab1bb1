"""The answer to a deploy as text: one line if it may go ahead."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.findings.escape import printable
from reconciler.findings.exits import ExitCode
from reconciler.model import environment_text
from reconciler.reports.guard import SKIP_GUARD, Guard, GuardVerdict
from reconciler.views.table import Display
from reconciler.views.text.findings import show_findings
from reconciler.views.text.layout import wrapped
from reconciler.views.text.lines import counted, listed, prose

_MOST_FILES = 3


def show_guard(guard: Guard, display: Display) -> str:
    """Why the deploy is stopped, and how to allow it; or that it is not."""
    findings = [show_findings(guard.diagnostics, display)] if guard.diagnostics else []
    ending = "\n".join(_ending(guard, display))
    return "\n\n".join((*findings, *([ending] if ending else []))) + "\n"


def _ending(guard: Guard, display: Display) -> Iterator[str]:
    style, width = display.style, prose(display.width)
    if guard.skipped is not None:
        if not guard.diagnostics:
            yield from map(style.change, wrapped(f"Nothing was checked: {printable(guard.skipped)}.", width))
        return
    of = f"{counted(len(guard.bindings), 'binding')} of {_what(guard)}"
    if guard.others:
        text = f"Not checked: {counted(guard.others, 'binding')} of another account, which another mtls.toml declares."
        yield from map(style.change, wrapped(text, width))
    if guard.exit_code is ExitCode.OK:
        text = f"No file stops the deploy: {of}. IDs were not checked." if guard.offline else f"Checked: {of}."
        yield from map(style.good, wrapped(text, width))
        return
    bad = sum(one.verdict is not GuardVerdict.OK for one in guard.bindings)
    text = f"Stopped: {bad} of {of}." if bad else f"Stopped: {_what(guard)}."
    yield from map(style.bold, wrapped(text, width))
    yield from wrapped(f"To deploy all the same, set {SKIP_GUARD} to the reason. It is logged.", width)


def _what(guard: Guard) -> str:
    environment = guard.scope.environment
    where = "all environments" if environment is None else environment_text(environment or None)
    return f"{listed(sorted(guard.scope.files), _MOST_FILES)} ({printable(where)})"
