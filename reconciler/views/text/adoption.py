"""What `init` did, as text: what was written, what was taken over, what there is to know, and what comes next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from reconciler.findings.codes import Severity
from reconciler.findings.escape import printable, shell_command
from reconciler.model import ById
from reconciler.takeover.adoption import Adoption
from reconciler.views.table import Display
from reconciler.views.text.findings import count_findings
from reconciler.views.text.layout import Cell, table, wrapped
from reconciler.views.text.lines import counted, finding_lines, job_of, prose
from reconciler.views.text.style import Style


def show_adoption(adoption: Adoption, display: Display) -> str:
    """What was done, with all that there is to know."""
    findings = finding_lines(sorted(adoption.findings, key=lambda one: list(Severity).index(one.severity)), display)
    return "\n".join((*findings, *(("",) if adoption.findings else ()), *_lines(adoption, display))) + "\n"


def _lines(adoption: Adoption, display: Display) -> Iterator[str]:
    style, width = display.style, prose(display.width)
    if adoption.written:
        did = "Added to" if adoption.updated else "Wrote"
        yield from map(style.bold, wrapped(f"{did} {', '.join(map(printable, adoption.written))}", width, then="  "))
    elif adoption.findings:
        text = f"Nothing can be added to {printable(adoption.file)}. What is left is above, each with what to do."
        yield from wrapped(text, width)
    else:
        text = f"{printable(adoption.file)} has everything already. Nothing was added."
        yield from map(style.good, wrapped(text, width))
    for fact in (f"stack {printable(adoption.stack)}, on {adoption.store.title}", *_taken(adoption)):
        yield from wrapped(fact, width, first="  ", then="    ")
    yield ""
    yield from _plan_lines(adoption, style, width)
    problems = count_findings(adoption.findings)
    if problems:
        yield style.warn(f"{problems}, see above.")
    yield ""
    yield from _next_lines(adoption, display)


def _taken(adoption: Adoption) -> Iterator[str]:
    """What is declared now that was not before."""
    certificates = len(adoption.proposal.certificates)
    if certificates:
        new = sum(one.path in adoption.written for one in adoption.proposal.certificates)
        matched = f"{certificates - new} matched to {'a file' if certificates - new == 1 else 'files'} by content"
        each = "matched" if certificates == 1 else "each matched"
        how = f": {counted(new, 'file')} written, {matched}" if new else f", {each} to a file by its content"
        yield f"{counted(certificates, 'certificate')}{how}"
    by_id = {one.target.id for one in adoption.bindings if isinstance(one.target, ById)}
    if adoption.bindings:
        workers = len({one.at.worker for one in adoption.bindings})
        yield f"{counted(len(adoption.bindings), 'binding')} of {counted(workers, 'Worker')}"
    if adoption.proposal.hyperdrives:
        yield counted(len(adoption.proposal.hyperdrives), "Hyperdrive configuration")
    names = sum(len(names) for zone in adoption.proposal.zones for names in zone.cas.values())
    if names:
        yield f"{counted(names, 'hostname')} of {counted(len(adoption.proposal.zones), 'zone')}"
    if by_id:
        yield f"{counted(len(by_id), 'certificate')} bound by {'its ID' if len(by_id) == 1 else 'their IDs'}"
    savable = len(by_id & adoption.proposal.savable)
    if savable:
        have = f"{savable} of them {'has' if savable == 1 else 'have'} no file in this folder or below"
        if savable == len(by_id):
            have = {1: "it has no file", 2: "neither has a file"}.get(savable, "none has a file")
            have += " in this folder or below"
        yield f"{have}: to write and declare them, run `mtlsctl init --update --certificates certs`"


def _plan_lines(adoption: Adoption, style: Style, width: int | None) -> Iterator[str]:
    changes = adoption.plan.changes
    if not changes:
        yield style.good("`mtlsctl plan` has no changes.")
        return
    counts = Counter(job_of(change.action) for change in changes)
    jobs = ", ".join(counted(number, job) for job, number in counts.items())
    text = f"`mtlsctl plan` has {counted(len(changes), 'change')}: {jobs}."
    yield from map(style.change, wrapped(text, width))


def _next_lines(adoption: Adoption, display: Display) -> Iterator[str]:
    """The commands that come next, each with what it does; the first one last, next to the prompt."""
    style, width = display.style, prose(display.width)
    if not adoption.searched:
        text = "Declare a certificate and a Worker, as the comments in the file show. Or adopt what is in this folder:"
        yield from wrapped(text, width)
        yield "  mtlsctl init --update --from ."
    elif adoption.findings:
        yield from wrapped("What could not be declared is a comment in the file, with the reason.", width)
    yield style.bold("Next:")
    steps = [("mtlsctl plan", "shows what would happen; changes nothing")]
    if adoption.searched:
        steps.append(("mtlsctl drift --unused", "what is unused or not declared, each with its fix"))
    if len(adoption.to_commit) > (0 if adoption.written else 1):
        steps.append((shell_command(("git", "add", *adoption.to_commit)), "then review and commit"))
    yield from table([[Cell(command), Cell(does)] for command, does in steps], display.width)
