"""What `init` did, as text: what was written, what was taken over, what there is to know, and what comes next."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.findings.escape import printable
from reconciler.model import ById
from reconciler.takeover.adoption import Adoption
from reconciler.views.table import Display
from reconciler.views.text.findings import count_findings, show_findings
from reconciler.views.text.plan import change_lines
from reconciler.views.text.style import Style


def show_adoption(adoption: Adoption, display: Display) -> str:
    """What was done, with all that there is to know."""
    return render_adoption(adoption, display.style, findings=show_findings(adoption.findings, display))


def render_adoption(adoption: Adoption, style: Style, *, findings: str = "") -> str:
    """Everything. `findings` as `render_findings` shows them."""
    return "\n".join(_lines(adoption, style, findings)) + "\n"


def _lines(adoption: Adoption, style: Style, findings: str) -> Iterator[str]:
    if findings:
        yield findings
        yield ""
    written = ", ".join(map(printable, adoption.written))
    if adoption.written:
        yield style.bold(f"{'Added to' if adoption.updated else 'Wrote'} {written}")
    else:
        yield style.good(f"{printable(adoption.file)} has everything already; nothing was added.")
    yield f"  the stack {printable(adoption.stack)} on {adoption.store.title}"
    yield from (f"  {line}" for line in _taken(adoption))
    yield ""
    yield from _plan_lines(adoption, style)
    counted = count_findings(adoption.findings)
    if counted:
        yield style.warn(f"{counted}, see above.")
    yield from _next_lines(adoption, style)


def _taken(adoption: Adoption) -> Iterator[str]:
    """What is declared now that was not before."""
    certificates = len(adoption.proposal.certificates)
    if certificates:
        yield f"{_count(certificates, 'certificate')}, each found in this tree by the content of its entry"
    by_id = {one.target.id for one in adoption.bindings if isinstance(one.target, ById)}
    if adoption.bindings:
        workers = len({one.at.worker for one in adoption.bindings})
        yield f"{_count(len(adoption.bindings), 'binding')} of {_count(workers, 'Worker')}"
    if by_id:
        yield f"{_count(len(by_id), 'entry', 'entries')} bound by {'its id' if len(by_id) == 1 else 'their ids'}"


def _plan_lines(adoption: Adoption, style: Style) -> Iterator[str]:
    changes = adoption.plan.changes
    if not changes:
        yield style.good("`mtlsctl plan` has no changes.")
        return
    yield style.bold(f"`mtlsctl plan` has {_count(len(changes), 'change')}:")
    for change in changes:
        yield from change_lines(change, style, adoption.plan.keys)


def _next_lines(adoption: Adoption, style: Style) -> Iterator[str]:
    yield ""
    yield style.bold("next:")
    if not adoption.searched:
        yield "  declare a certificate and a Worker, as the comments in the file show,"
        yield "  or have what is in this tree taken over: mtlsctl init --update --from ."
    elif adoption.findings:
        yield "  look at the findings: in the file, what could not be declared is a comment with its reason"
    yield "  mtlsctl plan                what would happen; it changes nothing"
    if adoption.searched:
        yield "  mtlsctl drift --unused      what is unused or not declared, each with its fix"
    yield f"  git add {printable(adoption.file)} schemas    then review and commit"


def _count(count: int, word: str, plural: str | None = None) -> str:
    return f"{count} {word if count == 1 else plural or f'{word}s'}"
