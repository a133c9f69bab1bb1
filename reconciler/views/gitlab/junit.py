"""Findings as JUnit XML, as GitLab and most other CI systems show tests: a case for each certificate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from xml.etree import ElementTree as ET

from reconciler.findings.escape import printable
from reconciler.model import Change, Deploy, Upload
from reconciler.plan.plan import PlanFacts
from reconciler.plan.renewing import Renewals
from reconciler.reports.checks import RunFailure
from reconciler.reports.drift import Drift
from reconciler.reports.left import Applied
from reconciler.views.gitlab.findings import Checked, Found, block, found_in
from reconciler.views.table import Display
from reconciler.views.text.lines import counted

_OTHERS = "everything else"
"""The case of findings that are not about one certificate. No certificate can have a space in its name."""


def show_junit(report: Checked, display: Display) -> str:
    """A file with the one suite of this report."""
    return write_suites((suite_of(report, display),))


def suite_of(report: Checked, display: Display) -> ET.Element:
    """The cases of one stack. GitLab compares those of two runs by name, so a certificate without findings has one."""
    name = f"mtlsctl {_subject(report, display)}"
    cases = [_case(name, *case, display) for case in _cases(report)]
    failed = sum(case.find("failure") is not None for case in cases)
    suite = ET.Element("testsuite", name=name, tests=str(len(cases)), failures=str(failed), errors="0", skipped="0")
    suite.extend(cases)
    return suite


def write_suites(suites: Iterable[ET.Element]) -> str:
    """The file of these suites."""
    root = ET.Element("testsuites")
    root.extend(suites)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _subject(report: Checked, display: Display) -> str:
    """`plan payments`; the file, where the name of the stack is not known."""
    match report:
        case Applied():
            return f"apply {printable(report.outcome.plan.stack)}"
        case Drift():
            return f"drift {printable(report.stack)}"
        case PlanFacts():
            return f"plan {printable(report.stack)}"
        case Renewals():
            return f"renew {printable(report.stack)}"
        case RunFailure():
            return f"run {printable(display.file)}"
        case _:
            return f"validate {printable(display.file)}"


def _cases(report: Checked) -> Iterator[tuple[str, list[Found]]]:
    """Names and their findings: of drift each difference, else each certificate; everything else last."""
    found = list(found_in(report))
    if isinstance(report, Drift):
        drifted = {one.key for one in report.findings}
        yield from ((one.key[0], [one]) for one in found if one.key[0] in drifted)
        yield _OTHERS, [one for one in found if one.key[0] not in drifted]
        return
    plan = report.outcome.plan if isinstance(report, Applied) else report
    names = _certificates(plan) if isinstance(plan, PlanFacts | Renewals) else ()
    about: dict[str, list[Found]] = {name: [] for name in sorted(names)}
    for one in found:
        about.setdefault(one.certificate or _OTHERS, []).append(one)
    others = about.pop(_OTHERS, [])
    yield from about.items()
    yield _OTHERS, others


def _certificates(plan: PlanFacts | Renewals) -> set[str]:
    """Those that the plan mentions, changed or not."""
    if isinstance(plan, Renewals):
        return {step.item.name for step in plan.steps}
    names = {name for change in plan.changes for name in _of_change(change)}
    names |= {name for wait in plan.waiting for name in _of_change(wait.change)}
    return names | {one.certificate for one in plan.adopted} | {one.certificate for one in plan.due}


def _of_change(change: Change) -> Iterator[str]:
    if isinstance(change, Deploy):
        yield from (one.certificate for one in change.bindings if one.certificate is not None)
        return
    if change.certificate is not None:
        yield change.certificate
    if isinstance(change, Upload):
        yield from change.shared_with


def _case(suite: str, name: str, found: list[Found], display: Display) -> ET.Element:
    """A case that fails if the command does because of it; what is only to be known is in its output."""
    case = ET.Element("testcase", name=printable(name), classname=suite, file=printable(display.file))
    failed = [one for one in found if one.weight.fails]
    if failed:
        message = printable(failed[0].message) if len(failed) == 1 else counted(len(failed), "finding")
        failure = ET.SubElement(case, "failure", message=message, type=failed[0].check)
        failure.text = "\n".join(block(one, display) for one in failed)
    others = [one for one in found if not one.weight.fails]
    if others:
        ET.SubElement(case, "system-out").text = "\n".join(block(one, display) for one in others)
    return case
