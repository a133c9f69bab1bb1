"""Findings as blocks of text: what happened, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from posixpath import join, normpath

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place, Pointer, Resolve
from reconciler.findings.escape import printable
from reconciler.reports.checks import RunFailure
from reconciler.views.table import Display
from reconciler.views.text.layout import wrapped
from reconciler.views.text.style import Style

OF_GUARDS = frozenset({Code.GUARD_WEAKENED, Code.GUARDS_NOT_COMPARED})


def render_finding(
    diagnostic: Diagnostic, resolve: Resolve, style: Style, *, folder: str = "", width: int | None = None
) -> str:
    """One block. `folder` leads from the working directory to the folder of mtls.toml, so that places can be opened.

    Further lines of a hint, such as lines to paste, are behind a bar and not wrapped: none of them can start anything.
    """
    label = f"{diagnostic.severity}[{printable(diagnostic.code)}]:"
    paint = {Severity.ERROR: style.bad, Severity.WARNING: style.warn, Severity.INFO: style.dim}[diagnostic.severity]
    first, *rest = wrapped(f"{label} {printable(diagnostic.message)}", width, then="  ")
    head = (paint(label) + first.removeprefix(label), *rest)
    return "\n".join((*head, *place_lines(diagnostic.where, diagnostic.hint, resolve, folder=folder, width=width)))


def place_lines(
    where: Pointer | Place | None, hint: str | None, resolve: Resolve, *, folder: str = "", width: int | None = None
) -> Iterator[str]:
    """The lines below what happened: where, and what to do."""
    shown = place_text(where, resolve, folder)
    if shown is not None:
        yield from (f"  at   {shown}",) if " " in shown else wrapped(shown, width, first="  at   ")
    if hint:
        first, *rest = hint.splitlines()
        yield from wrapped(printable(first), width, first="  fix  ")
        yield from (f"    | {printable(line)}" for line in rest)


def place_text(where: Pointer | Place | None, resolve: Resolve, folder: str) -> str | None:
    """`workers/checkout/wrangler.toml:7:18`, from the working directory."""
    place = resolve(where)
    if place is None:
        return None
    path = normpath(join(folder, place.path)) if folder else place.path
    return ":".join(str(part) for part in (printable(path), place.line, place.column) if part is not None)


def render_findings(
    diagnostics: Iterable[Diagnostic], resolve: Resolve, style: Style, *, folder: str = "", width: int | None = None
) -> str:
    """All blocks, errors last, so that they are nearest to the prompt; equal ones once. Weakened guards come first: all
    that follows was judged by them."""
    order = [Severity.INFO, Severity.WARNING, Severity.ERROR]
    unique = dict.fromkeys(diagnostics)
    ordered = sorted(unique, key=lambda one: (one.code not in OF_GUARDS, order.index(one.severity)))
    return "\n".join(render_finding(one, resolve, style, folder=folder, width=width) for one in ordered)


def show_findings(diagnostics: Iterable[Diagnostic], display: Display) -> str:
    """All blocks, as `render_findings` has them, and below them where to read more."""
    found = tuple(diagnostics)
    blocks = render_findings(found, display.place, display.style, folder=display.folder, width=display.width)
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
    """Why a run stopped; before it what differs between two plans, of which most runs have nothing."""
    told = ""
    if failure.differences.shown:
        from reconciler.views.text.differences import render_differences

        told = f"{render_differences(failure.differences, display)}\n\n"
    return f"{told}{show_findings(failure.diagnostics, display)}\n"


def count_findings(diagnostics: Iterable[Diagnostic]) -> str:
    """`2 errors, 1 warning`; empty where there is neither."""
    unique = dict.fromkeys(diagnostics)
    counts = {word: sum(item.severity is word for item in unique) for word in (Severity.ERROR, Severity.WARNING)}
    return ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for word, count in counts.items() if count)
