"""GitLab CI: what its runner says about this job, and where a run is published there.

The variables are those of https://docs.gitlab.com/ci/variables/predefined_variables/, of 2026.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import GuardError, ReconcilerError, UsageError
from reconciler.findings.escape import printable
from reconciler.findings.values import dataclass
from reconciler.model.forges import Proposals
from reconciler.plan.plan import Plan
from reconciler.plan.renewing import Renewals
from reconciler.reports.checks import RunFailure, Validation
from reconciler.reports.drift import Drift
from reconciler.reports.left import Applied
from reconciler.runs.ci.comment import RunOf
from reconciler.runs.ci.pipeline import CiRun, Published, find_api
from reconciler.runs.ci.publish import facts_of, keep_drift, keep_plan, notice, unpublished
from reconciler.runs.ci.settings import CiCommand, CommentWhen
from reconciler.runs.operator import GITLAB_MERGED, demand_merged
from reconciler.system.files import write_named
from reconciler.views.gitlab.codequality import issues_of, write_issues
from reconciler.views.gitlab.junit import suite_of, write_suites
from reconciler.views.gitlab.terraform import write_counts
from reconciler.views.markdown.published import page_of

if TYPE_CHECKING:
    from reconciler.forges.gitlab import GitLab

TOKENS = ("MTLSCTL_CI_GITLAB_TOKEN", "GITLAB_TOKEN")
"""Where the forge's token is read from, and nowhere else; the first that is set. CI_JOB_TOKEN can't write."""
RENEW_TOKEN = "MTLSCTL_RENEW_TOKEN"  # noqa: S105 - the name of a variable
"""Read first by `renew`, which needs a role that notes don't, and which only protected branches should have."""
API_VARIABLE = "CI_API_V4_URL"
STORE_TOKEN = "CLOUDFLARE_API_TOKEN"  # noqa: S105 - the name of a variable
CODE_QUALITY, JUNIT, TERRAFORM = "mtlsctl-codequality.json", "mtlsctl-junit.xml", "mtlsctl-terraform.json"
"""The reports, at the top of the checkout: an artifact can't be outside it."""
_NUMBER = re.compile(r"[0-9]{1,18}")
_COMMIT = re.compile(r"[0-9a-f]{40,64}")
_URL = re.compile(r"https?://[\w.:/%-]+")
_BRANCH = re.compile(r"[!-~]{1,200}")
_MAY_WRITE = "give the token the scope `api` and the role Reporter in this project"


@dataclass(frozen=True, slots=True)
class _GitlabJob:
    """Where a job runs. `project`: the one that its merge request or its issues are in. `pull`: the number of the merge
    request that it is for. `is_foreign`: whether its checkout is, or may be, of a fork."""

    source: str
    project: int | None
    pull: int | None
    is_foreign: bool
    run: RunOf


def open_pipeline(environ: Mapping[str, str], tell: Callable[[str], None]) -> GitLabPipeline:
    """The pipeline of this job. Calls nothing yet."""
    return GitLabPipeline(environ, tell)


class GitLabPipeline:
    """One job on GitLab CI, as `Pipeline`. Its runner obeys no line of the output."""

    scratch: Path | None = None
    opening = closing = ""

    def __init__(self, environ: Mapping[str, str], tell: Callable[[str], None]) -> None:
        self._environ, self._tell = environ, tell
        self._job = _read_job(environ)

    def demand_safe(self, command: CiCommand) -> None:
        """As `Pipeline`."""
        job = self._job
        if self._environ.get(STORE_TOKEN) and job.is_foreign:
            raise GuardError(
                f"{STORE_TOKEN} is set, but this merge request is of a fork, or unknown whose, so nothing was run",
                hint="run `mtlsctl ci gitlab validate` without a token there; see docs/how-to/ci.md",
            )
        if command is CiCommand.RENEW:
            demand_merged(self._environ, "ci gitlab renew")
        if command is not CiCommand.APPLY:
            return
        if job.pull is not None or (job.source and job.source not in GITLAB_MERGED):
            raise GuardError(
                f"`ci gitlab apply` does not run for {printable(job.source)}, whose checkout is not merged yet",
                hint="run it on the default branch, or on a schedule; use `plan` on a merge request",
            )

    @property
    def base_branch(self) -> str:
        """As `Pipeline`."""
        found = self._environ.get("CI_COMMIT_BRANCH", "")
        if not _BRANCH.fullmatch(found):
            raise UsageError("this job has no branch to propose renewals to", hint="run it on a branch, such as main")
        return found

    def open_proposals(self) -> Proposals:
        """As `Pipeline`."""
        found = self._open_forge((RENEW_TOKEN, *TOKENS))
        if found is None:
            raise UsageError(
                f"`ci gitlab renew` opens merge requests, and {RENEW_TOKEN} is not set",
                hint="create a project access token with the scope `api` and the role Developer, and set it to that",
            )
        return found

    def publish(self, run: CiRun) -> Published:
        """As `Pipeline`."""
        problems = [*self._report(run), *self._talk(run)]
        return Published("", tuple(problems))

    def _report(self, run: CiRun) -> Iterator[Diagnostic]:
        """Write the reports; what could not be written."""
        folder = Path(self._environ.get("CI_PROJECT_DIR") or ".")
        for name, text in _reports(run):
            try:
                write_named(folder / name if folder.is_dir() else Path(name), text.encode())
            except ReconcilerError as error:
                yield unpublished(f"the report {name}", error, _MAY_WRITE)

    def _talk(self, run: CiRun) -> Iterator[Diagnostic]:
        """Write the note on the merge request, or the issues of drift; what could not be written."""
        pull = self._job.pull
        is_for_note = run.command is CiCommand.PLAN and pull is not None
        is_for_issues = run.command is CiCommand.DRIFT and pull is None
        if not (is_for_note or is_for_issues) or run.settings.comment is CommentWhen.NEVER:
            return
        what = "the note on the merge request" if is_for_note else "the issues of drift"
        try:
            forge = self._open_forge()
            if forge is None:
                yield notice(f"{what} could not be written: {' and '.join(TOKENS)} are not set")
                return
            with closing(forge):
                if pull is None:
                    yield from keep_drift(forge, run, self._job.run, _MAY_WRITE)
                    return
                page = page_of(run.stacks, run.displays)
                keep_plan(forge, pull, run, self._job.run, page, facts_of(run, self._job.run))
        except ReconcilerError as error:
            yield unpublished(what, error, _MAY_WRITE)

    def _open_forge(self, tokens: tuple[str, ...] = TOKENS) -> GitLab | None:
        """The project on GitLab; None without a token. ReconcilerError for a variable that can't be used."""
        from reconciler.forges.gitlab import API_URL, open_gitlab

        found = find_api(self._environ, tokens, API_VARIABLE, API_URL)
        if found is None:
            return None
        base_url, token = found
        if self._job.project is None:
            raise ReconcilerError(
                "CI_PROJECT_ID is not a number", hint="the runner sets it", code=Code.VARIABLE_INVALID
            )
        return open_gitlab(base_url, self._job.project, token, self._tell)


def _read_job(environ: Mapping[str, str]) -> _GitlabJob:
    def number(name: str) -> int | None:
        text = environ.get(name, "")
        return int(text) if _NUMBER.fullmatch(text) else None

    own, source = number("CI_PROJECT_ID"), number("CI_MERGE_REQUEST_SOURCE_PROJECT_ID")
    pull, event = number("CI_MERGE_REQUEST_IID"), environ.get("CI_PIPELINE_SOURCE", "")
    is_request = pull is not None or "request" in event
    # The commit of a pipeline for merged results is one that no branch has.
    commit = environ.get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA") or environ.get("CI_COMMIT_SHA", "")
    url = environ.get("CI_JOB_URL", "")
    return _GitlabJob(
        source=event,
        project=number("CI_MERGE_REQUEST_PROJECT_ID") or own,
        pull=pull,
        is_foreign=is_request and (source is None or source != own),
        run=RunOf(
            number=number("CI_PIPELINE_ID") or 0,
            attempt=number("CI_JOB_ID") or 1,
            commit=commit if _COMMIT.fullmatch(commit) else "",
            url=url if _URL.fullmatch(url) else "",
        ),
    )


def _reports(run: CiRun) -> Iterator[tuple[str, str]]:
    """The files and their contents. Counts only if every plan was made: one that failed must not look empty."""
    found = [
        (one.report, display)
        for one, display in zip(run.results, run.displays, strict=True)
        if isinstance(one.report, Plan | Applied | Validation | Drift | Renewals | RunFailure)
    ]
    yield CODE_QUALITY, write_issues([issue for report, display in found for issue in issues_of(report, display)])
    yield JUNIT, write_suites(suite_of(report, display) for report, display in found)
    plans = [report for report, _ in found if isinstance(report, Plan)]
    if plans and len(plans) == len(run.results):
        yield TERRAFORM, write_counts(plans)
