"""Findings as blocks of text: what happened, where, and what to do; and the check-up that consists of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from posixpath import join, normpath

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place, Pointer, Resolve
from reconciler.findings.escape import printable
from reconciler.reports.checks import Checkup, RunFailure, Validation
from reconciler.views.table import Display
from reconciler.views.text.style import Style


def render_finding(diagnostic: Diagnostic, resolve: Resolve, style: Style, *, folder: str = "") -> str:
    """One block. `folder` leads from the working directory to the folder of mtls.toml, so that places can be opened.

    A hint of several lines, such as lines to paste, stands behind a bar: no line of it can start anything.
    """
    label = f"{diagnostic.severity}[{printable(diagnostic.code)}]"
    paint = {Severity.ERROR: style.bad, Severity.WARNING: style.warn, Severity.INFO: style.dim}[diagnostic.severity]
    head = f"{paint(label)}: {printable(diagnostic.message)}"
    return "\n".join((head, *place_lines(diagnostic.where, diagnostic.hint, resolve, folder=folder)))


def place_lines(
    where: Pointer | Place | None, hint: str | None, resolve: Resolve, *, folder: str = ""
) -> Iterator[str]:
    """The lines below what happened: where, and what to do."""
    place = resolve(where)
    if place is not None:
        path = normpath(join(folder, place.path)) if folder else place.path
        shown = ":".join(str(part) for part in (printable(path), place.line, place.column) if part is not None)
        yield f"  at {shown}"
    if hint:
        first, *rest = hint.splitlines()
        yield f"  hint: {printable(first)}"
        yield from (f"    | {printable(line)}" for line in rest)


def render_findings(diagnostics: Iterable[Diagnostic], resolve: Resolve, style: Style, *, folder: str = "") -> str:
    """All blocks, errors last, so that they stand nearest to the prompt; equal ones once."""
    order = [Severity.INFO, Severity.WARNING, Severity.ERROR]
    unique = dict.fromkeys(diagnostics)
    ordered = sorted(unique, key=lambda diagnostic: order.index(diagnostic.severity))
    return "\n".join(render_finding(diagnostic, resolve, style, folder=folder) for diagnostic in ordered)


def show_findings(diagnostics: Iterable[Diagnostic], display: Display) -> str:
    """All blocks, as `render_findings` has them, and below them where to read more."""
    found = tuple(diagnostics)
    blocks = render_findings(found, display.place, display.style, folder=display.folder)
    command = explaining(found)
    return f"{blocks}\n{display.style.dim(f'About a finding: {command}')}" if command is not None else blocks


def explaining(diagnostics: Iterable[Diagnostic]) -> str | None:
    """The command that explains the errors and warnings: with the code if all have one. None if there are none.

    Wrong use of the command line has its hint, which leads to the help.
    """
    codes = {problem.code for problem in to_act_on(diagnostics)} - {Code.USAGE}
    return f"mtlsctl explain {codes.pop() if len(codes) == 1 else 'CODE'}" if codes else None


def to_act_on(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Errors and warnings, notes left out."""
    return tuple(problem for problem in diagnostics if problem.severity is not Severity.INFO)


def show_failure(failure: RunFailure, display: Display) -> str:
    """Why a run stopped."""
    return f"{show_findings(failure.diagnostics, display)}\n"


def show_validation(validation: Validation, display: Display) -> str:
    """Every finding, and how many there are."""
    found, style = validation.diagnostics, display.style
    counted = count_findings(found)
    summary = style.bold(f"{counted}.") if counted else style.good("Everything checked is in order.")
    text = f"{show_findings(found, display)}\n\n" if found else ""
    return f"{text}{summary}\n"


def count_findings(diagnostics: Iterable[Diagnostic]) -> str:
    """`2 errors, 1 warning`; empty where there is neither."""
    unique = dict.fromkeys(diagnostics)
    counts = {word: sum(item.severity is word for item in unique) for word in (Severity.ERROR, Severity.WARNING)}
    return ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for word, count in counts.items() if count)


# --- a check-up -------------------------------------------------------------------------------------------------------


def show_checkup(checkup: Checkup, display: Display) -> str:
    """The whole check-up."""
    findings = show_findings(to_act_on(checkup.diagnostics), display)
    return render_checkup(checkup.diagnostics, display.style, findings=findings)


def render_checkup(diagnostics: Iterable[Diagnostic], style: Style, *, findings: str) -> str:
    """The whole check-up. `findings`: the errors and warnings among them, as `render_findings` shows them."""
    found = tuple(diagnostics)
    notes = [item for item in found if item.severity is Severity.INFO]
    width = max((len(item.code) for item in notes), default=0)
    lines = [style.bold("mtlsctl looked at this machine and checkout")]
    for item in notes:
        sign = style.good("ok") if item.hint is None else style.change("--")
        lines.append(f"  {sign}  {item.code:<{width}}  {printable(item.message)}")
        if item.hint is not None:
            lines.append(f"      {'':<{width}}  hint: {printable(item.hint)}")
    if findings:
        lines += ["", findings]
    counted = count_findings(found)
    lines += ["", style.bold(f"{counted}.") if counted else style.good("Everything looked at is in order.")]
    return "\n".join(lines) + "\n"
