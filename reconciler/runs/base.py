"""Compares mtls.toml with the revision that a change is based on: which of its guards are weaker now."""

from __future__ import annotations

from reconciler import keys
from reconciler.desired.parse import MAX_BYTES, parse_declaration
from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.errors import InputError, UsageError
from reconciler.findings.escape import printable
from reconciler.findings.values import dataclass
from reconciler.model import Declaration
from reconciler.plan.weakened import Weakened, find_weakened, weakened_findings
from reconciler.runs.project import Project
from reconciler.system.git import GitProblem, NotThere, is_revision, read_at


@dataclass(frozen=True, slots=True)
class GuardComparison:
    """The guards that are weaker now, and the findings about them. `weakened` None: it could not be compared."""

    weakened: tuple[Weakened, ...] | None = None
    findings: tuple[Diagnostic, ...] = ()


NOT_ASKED = GuardComparison()


def compare_with(project: Project, revision: str) -> GuardComparison:
    """The comparison with mtls.toml at a revision; mtls.toml as it is now was read already.

    UsageError if git has no such revision. What can't be read there is a finding, never passed over (rule 12).
    """
    shown = printable(revision)
    if not is_revision(revision):
        raise UsageError(
            f"`--base {shown}` is not a revision", hint="name a commit or a branch, such as HEAD^1 or main"
        )
    found = read_at(project.folder / project.name, revision, limit=MAX_BYTES)
    match found:
        case NotThere.REPOSITORY:
            raise UsageError("`--base` needs a git repository, and none was found here", hint="leave `--base` out")
        case NotThere.REVISION:
            hint = (
                "check the name. A shallow clone has only its newest commits: in GitHub Actions, set `fetch-depth: 2`"
                " for HEAD^1, or `fetch-depth: 0` for every revision; in GitLab, set `GIT_DEPTH: 0`"
            )
            raise UsageError(f"`--base {shown}`: git has no such revision here", hint=hint)
        case NotThere.FILE:
            why = f"it does not exist at {shown}"
            hint = "if this stack is new, there is nothing to compare; if mtls.toml was moved, compare the two by hand"
            return _not_compared(project, why, hint)
        case GitProblem():
            return _not_compared(project, found.message, found.hint)
    try:
        before = _parse(project, found)
    except InputError as error:
        first = next(one for one in error.diagnostics() if one.is_error)
        why = f"at {shown} it is not valid for this version of mtlsctl ({first.code}: {first.message})"
        return _not_compared(project, why, "fix it there first, or compare the two by hand")
    weakened = find_weakened(before, _parse(project, project.sources[project.name]))
    return GuardComparison(weakened, tuple(weakened_findings(weakened, project.name, shown)))


def _parse(project: Project, data: bytes) -> Declaration:
    """mtls.toml as it is in its file, without the limits of the operator, which the file can't loosen."""
    return parse_declaration(data, project.name, keys.KINDS)[0]


def _not_compared(project: Project, why: str, hint: str) -> GuardComparison:
    message = f"the guards in {project.name} were not compared: {why}"
    where = Pointer(project.name)
    return GuardComparison(findings=(Diagnostic(Severity.WARNING, Code.GUARDS_NOT_COMPARED, message, where, hint),))
