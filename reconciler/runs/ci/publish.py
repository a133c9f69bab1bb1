"""What every forge publishes of a run in the same way: the comment of a plan, the issues of drift, and what could
not be published.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import ReconcilerError
from reconciler.findings.exits import ExitCode
from reconciler.model.forges import Comment, Forge
from reconciler.model.web import Refusal, WebError
from reconciler.plan.plan import Plan
from reconciler.reports.drift import Drift, DriftFinding
from reconciler.reports.stacks import StackResult
from reconciler.runs.ci.comment import RunOf, keep_comment, mark_as_old, marker_of, only_marker
from reconciler.runs.ci.issues import MOST_NEW, IssueText, keep_issues
from reconciler.runs.ci.pipeline import CiRun
from reconciler.runs.ci.settings import CommentWhen
from reconciler.views.markdown.drift import issue_text, issue_title
from reconciler.views.markdown.page import code
from reconciler.views.markdown.published import comment_text, short_text
from reconciler.views.table import Display

_SEVERAL = "all-stacks"
"""The key of the comment of several stacks."""


def keep_plan(forge: Forge, pull: int, run: CiRun, job: RunOf, page: str, facts: str) -> Comment | None:
    """The comment of a plan, written or updated; None if there is none to write."""
    several = _SEVERAL if len(run.results) > 1 else None  # a new stack does not change it
    key = run.settings.comment_key or several or run.results[0].key
    # Without a key, mtls.toml could not be read: then a single comment is the one of this stack.
    marker = marker_of("plan", key) if key is not None else only_marker(forge, pull, "plan")
    if marker is None:
        return None
    if all(one.is_failure for one in run.results):
        why = f"The run for commit {code(job.commit[:12] or 'unknown')} failed{_link(job.url)}."
        return mark_as_old(forge, pull, marker, job, why)
    is_quiet = all(_is_quiet(one) for one in run.results)
    return keep_comment(
        forge,
        pull,
        marker,
        job,
        comment_text(page, facts),
        or_short=short_text(page, facts),
        only_if_there=is_quiet and run.settings.comment is CommentWhen.CHANGES,
    )


def _is_quiet(result: StackResult) -> bool:
    """Whether a reviewer need not hear of this plan: it has no change, and loosens no guard."""
    return isinstance(result.report, Plan) and result.exit_code is ExitCode.OK and not result.report.weakened


def keep_drift(forge: Forge, run: CiRun, job: RunOf, cure: str) -> Iterator[Diagnostic]:
    """Bring the issues of every stack up to date; what could not be done, and how many findings have no issue.

    `cure`: what to do if the token may not.
    """
    why = f"{code('mtlsctl drift')} does not find this any more{_link(job.url)}."
    for result, display in zip(run.results, run.displays, strict=True):
        if not isinstance(result.report, Drift):
            continue  # nothing was found out, so nothing is closed
        stack = result.report.stack

        def text_of(finding: DriftFinding, stack: str = stack, display: Display = display) -> IssueText:
            return IssueText(issue_title(finding, stack), issue_text(finding, stack, display))

        try:
            scope = "-".join(part for part in (run.settings.comment_key, result.key) if part)
            kept = keep_issues(forge, scope, result.report, text_of, why)
        except WebError as error:
            yield unpublished(f"the issues of the stack {stack}", error, cure)
            continue
        if kept.left:
            message = f"{kept.left} findings of the stack {stack} have no issue: one run opens at most {MOST_NEW}"
            yield Diagnostic(Severity.WARNING, Code.FORGE, message, None, "fix the others first, or run this again")


def facts_of(run: CiRun, job: RunOf) -> str:
    """`Commit abc, 2026-11-29 10:00 UTC, digest sha256:..., the run`."""
    parts = [f"Commit {code(job.commit[:12])}"] if job.commit else []
    parts.append(f"{run.time:%Y-%m-%d %H:%M} UTC")
    digests = [one.report.digest for one in run.results if isinstance(one.report, Plan)]
    parts += [f"digest {code(digests[0])}"] if len(digests) == 1 else []
    return f"{', '.join(parts)}{_link(job.url)}"


def _link(url: str) -> str:
    return f" ([run]({url}))" if url else ""


def notice(message: str) -> Diagnostic:
    """Something that was not published, and need not be."""
    return Diagnostic(Severity.INFO, Code.FORGE, message)


def unpublished(what: str, error: ReconcilerError, cure: str) -> Diagnostic:
    """What could not be published, as a warning. If the token may not, as on a pull request from a fork, as a note with
    `cure`."""
    is_denied = isinstance(error, WebError) and error.refusal is Refusal.DENIED
    severity = Severity.INFO if is_denied else Severity.WARNING
    hint = cure if is_denied else error.hint
    return Diagnostic(severity, Code.FORGE, f"{what} could not be published: {error.message}", None, hint)
