"""GitHub Actions: what its runner says about this job, and where a run is published there.

The variables and the event are those of https://docs.github.com/actions, of 2026.
"""

from __future__ import annotations

import os
import posixpath
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place
from reconciler.findings.errors import GuardError, ReconcilerError, UsageError
from reconciler.findings.escape import printable
from reconciler.findings.values import dataclass
from reconciler.model import Phase
from reconciler.model.forges import Comment, Forge, Proposals
from reconciler.model.web import WebError
from reconciler.plan.plan import Plan
from reconciler.plan.renewing import Renewals
from reconciler.reports.checks import RunFailure, Validation
from reconciler.reports.drift import Drift
from reconciler.reports.left import Applied
from reconciler.runs.ci.comment import RunOf
from reconciler.runs.ci.pipeline import CiRun, Published, find_api
from reconciler.runs.ci.publish import facts_of, keep_drift, keep_plan, notice, unpublished
from reconciler.runs.ci.settings import CiCommand, CommentWhen
from reconciler.runs.operator import GITHUB_MERGED, demand_merged
from reconciler.system.files import read_named, write_named
from reconciler.system.runner import append, size_of
from reconciler.views.github.commands import MOST_ANNOTATIONS, show_annotations, show_outputs
from reconciler.views.markdown.published import page_of, summary_text

if TYPE_CHECKING:
    from reconciler.forges.github import GitHub

TOKENS = ("MTLSCTL_CI_GITHUB_TOKEN", "GITHUB_TOKEN")
"""Where the forge's token is read from, and nowhere else; the first that is set."""
API_VARIABLE = "GITHUB_API_URL"
STORE_TOKEN = "CLOUDFLARE_API_TOKEN"  # noqa: S105 - the name of a variable
MOST_SUMMARY_BYTES = 900_000
"""Of the summary of a step, with what is there already. GitHub shows nothing of one with more than 1 MiB."""
_MOST_EVENT_BYTES = 10_000_000
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}")
_COMMIT = re.compile(r"[0-9a-f]{40,64}")
_FOR_STRANGERS = frozenset({"pull_request_target", "issue_comment"})
"""Events that a stranger can cause and whose jobs have secrets."""
_MAY_WRITE = "give the job `pull-requests: write`; the token of a fork can't have it"
_MAY_OPEN = "give the job `issues: write`; the token of a fork can't have it"


class _Repository(BaseModel):
    full_name: str


class _Head(BaseModel):
    sha: str = ""


class _PullRequest(BaseModel):
    number: int
    head: _Head = _Head()


class _WorkflowRun(BaseModel):
    event: str = ""
    head_repository: _Repository | None = None


class _RunnerEvent(BaseModel):
    """What is read of an event; all else may change."""

    pull_request: _PullRequest | None = None
    workflow_run: _WorkflowRun | None = None
    repository: _Repository | None = None


@dataclass(frozen=True, slots=True)
class _GithubJob:
    """Where a job runs. `event` None: it could not be read. `pull`: the number of the pull request that it is for."""

    event_name: str
    event: _RunnerEvent | None
    repository: str
    run: RunOf
    workspace: Path | None

    @property
    def pull(self) -> int | None:
        request = self.event.pull_request if self.event is not None else None
        return request.number if request is not None and self.event_name.startswith("pull_request") else None


def open_pipeline(environ: Mapping[str, str], tell: Callable[[str], None]) -> GitHubPipeline:
    """The pipeline of this job. Calls nothing yet."""
    return GitHubPipeline(environ, tell)


def random_word() -> str:
    """A word that nobody can guess, so that no text of others can contain it."""
    return f"mtlsctl-{secrets.token_hex(16)}"


class GitHubPipeline:
    """One job on GitHub Actions, as `Pipeline`."""

    def __init__(self, environ: Mapping[str, str], tell: Callable[[str], None]) -> None:
        self._environ, self._tell = environ, tell
        self._job = _read_job(environ)
        self._word = random_word()

    @property
    def scratch(self) -> Path | None:
        """As `Pipeline`."""
        folder = self._environ.get("RUNNER_TEMP")
        return Path(folder) if folder else None

    @property
    def opening(self) -> str:
        """As `Pipeline`."""
        return f"::stop-commands::{self._word}\n"

    @property
    def closing(self) -> str:
        """As `Pipeline`."""
        return f"::{self._word}::\n"

    def demand_safe(self, command: CiCommand) -> None:
        """As `Pipeline`."""
        name = self._job.event_name
        if command is CiCommand.RENEW:
            demand_merged(self._environ, "ci github renew")
        if self._environ.get(STORE_TOKEN):
            _demand_own(self._job)
        if command is CiCommand.APPLY and name and name not in GITHUB_MERGED:
            raise GuardError(
                f"`ci github apply` does not run on the event {printable(name)}, whose checkout is not merged yet",
                hint="run it on a push to main, on a schedule or by workflow_dispatch; use `plan` on a pull request",
            )

    @property
    def base_branch(self) -> str:
        """As `Pipeline`."""
        found = re.fullmatch(r"refs/heads/([!-~]{1,200})", self._environ.get("GITHUB_REF", ""))
        if found is None:
            raise UsageError("this job has no branch to propose renewals to", hint="run it on a branch, such as main")
        return found[1]

    def open_proposals(self) -> Proposals:
        """As `Pipeline`."""
        found = self._open_forge()
        if found is None:
            raise UsageError(
                f"`ci github renew` opens pull requests, and {' and '.join(TOKENS)} are not set",
                hint="give the job `contents: write` and `pull-requests: write`, and pass the token",
            )
        return found

    def publish(self, run: CiRun) -> Published:
        """As `Pipeline`."""
        problems: list[Diagnostic] = []
        page = page_of(run.stacks, run.displays)
        facts = facts_of(run, self._job.run)
        comment, changed = self._talk(run, page, facts, problems)
        annotations = show_annotations(_placed(run, self._job.workspace), changed)
        summary = self._summarize(run, facts, problems)
        self._put_outputs(run, comment, summary, problems)
        return Published(annotations, tuple(problems))

    def _talk(
        self, run: CiRun, page: str, facts: str, problems: list[Diagnostic]
    ) -> tuple[Comment | None, frozenset[str]]:
        """Everything that needs the forge's API: the comment, and which files the pull request changes."""
        pull, nothing = self._job.pull, (None, frozenset[str]())
        is_for_issues = run.command is CiCommand.DRIFT and pull is None
        is_for_pull = run.command in {CiCommand.PLAN, CiCommand.VALIDATE} and pull is not None
        if not is_for_issues and not is_for_pull:
            return nothing
        try:
            forge = self._open_forge()
        except ReconcilerError as error:
            problems.extend(replace(one, severity=Severity.WARNING, code=Code.FORGE) for one in error.diagnostics())
            return nothing
        if forge is None:
            if run.command is not CiCommand.VALIDATE and run.settings.comment is not CommentWhen.NEVER:
                what = "no comment was" if is_for_pull else "no issues were"
                problems.append(notice(f"{what} written: {' and '.join(TOKENS)} are not set"))
            return nothing
        with closing(forge):
            if pull is None:
                problems.extend(keep_drift(forge, run, self._job.run, _MAY_OPEN))
                return nothing
            return self._comment_and_files(forge, pull, run, page, facts, problems)

    def _comment_and_files(
        self, forge: Forge, pull: int, run: CiRun, page: str, facts: str, problems: list[Diagnostic]
    ) -> tuple[Comment | None, frozenset[str]]:
        comment, changed = None, frozenset[str]()
        try:
            if _has_many(run):
                changed = forge.changed_files(pull)
        except WebError as error:
            problems.append(unpublished("the order of annotations", error, _MAY_WRITE))
        try:
            if run.command is CiCommand.PLAN and run.settings.comment is not CommentWhen.NEVER:
                comment = keep_plan(forge, pull, run, self._job.run, page, facts)
        except WebError as error:
            problems.append(unpublished("the comment on the pull request", error, _MAY_WRITE))
        return comment, changed

    def _open_forge(self) -> GitHub | None:
        """The repository on GitHub; None without a token. ReconcilerError for a variable that can't be used."""
        from reconciler.forges.github import API_URL, open_github

        found = find_api(self._environ, TOKENS, API_VARIABLE, API_URL)
        if found is None:
            return None
        base_url, token = found
        if not _REPOSITORY.fullmatch(self._job.repository):
            raise ReconcilerError(
                "GITHUB_REPOSITORY is not OWNER/NAME", hint="the runner sets it", code=Code.VARIABLE_INVALID
            )
        return open_github(base_url, self._job.repository, token, self._tell)

    def _summarize(self, run: CiRun, facts: str, problems: list[Diagnostic]) -> Path | None:
        """Write the summary: to the runner's file, and to one of its own, which is what comes back."""
        path = self._environ.get("GITHUB_STEP_SUMMARY")
        room = MOST_SUMMARY_BYTES - (size_of(Path(path)) if path else 0)
        # A character has up to four bytes; a picture and the facts take some, too.
        page = page_of(run.stacks, run.displays, max(room // 5, 1000))
        text = summary_text(page, run.results, facts, room)
        if not text:
            problems.append(notice("the summary of this job is full, so this run is not in it"))
            return None
        try:
            if path:
                append(Path(path), f"{text}\n".encode())
            if self.scratch is not None:
                own = self.scratch / f"mtlsctl-{run.command}.md"
                write_named(own, text.encode())
                return own
        except ReconcilerError as error:
            problems.append(unpublished("the summary", error, _MAY_WRITE))
        return None

    def _put_outputs(
        self, run: CiRun, comment: Comment | None, summary: Path | None, problems: list[Diagnostic]
    ) -> None:
        path = self._environ.get("GITHUB_OUTPUT")
        if not path:
            return
        values = {
            **_counts(run),
            "exit-code": str(int(run.stacks.exit_code)),
            "plan": str(run.plan or ""),
            "summary": str(summary or ""),
            "comment-url": comment.url if comment is not None else "",
        }
        try:
            append(Path(path), show_outputs(values, random_word()).encode("utf-8", "surrogateescape"))
        except ReconcilerError as error:
            problems.append(unpublished("the outputs of this step", error, _MAY_WRITE))


# --- what the runner says -------------------------------------------------------------------------------------------


def _read_job(environ: Mapping[str, str]) -> _GithubJob:
    event = _read_event(environ.get("GITHUB_EVENT_PATH"))
    head = event.pull_request.head.sha if event is not None and event.pull_request is not None else ""
    commit = head or environ.get("GITHUB_SHA", "")
    repository, run_id = environ.get("GITHUB_REPOSITORY", ""), environ.get("GITHUB_RUN_ID", "")
    server = environ.get("GITHUB_SERVER_URL") or "https://github.com"
    workspace = environ.get("GITHUB_WORKSPACE")
    is_known = run_id.isdecimal() and _REPOSITORY.fullmatch(repository) and re.fullmatch(r"https?://[\w.:-]+", server)
    return _GithubJob(
        event_name=environ.get("GITHUB_EVENT_NAME", ""),
        event=event,
        repository=repository,
        run=RunOf(
            number=int(run_id) if run_id.isdecimal() else 0,
            attempt=int(text) if (text := environ.get("GITHUB_RUN_ATTEMPT", "")).isdecimal() else 1,
            commit=commit if _COMMIT.fullmatch(commit) else "",
            url=f"{server}/{repository}/actions/runs/{run_id}" if is_known else "",
        ),
        workspace=Path(workspace) if workspace else None,
    )


def _read_event(path: str | None) -> _RunnerEvent | None:
    """The event; None if there is none, or if it is not what GitHub sends."""
    if not path:
        return None
    try:
        return _RunnerEvent.model_validate_json(read_named(Path(path), limit=_MOST_EVENT_BYTES))
    except (ReconcilerError, ValidationError):
        return None


def _demand_own(job: _GithubJob) -> None:
    """Raise GuardError for events with which a stranger's files may meet the token; in doubt, too."""
    move = "run it on pull_request, where a fork gets no secret, or take the token from this job"
    if job.event_name in _FOR_STRANGERS:
        raise GuardError(
            f"{STORE_TOKEN} is set, but anyone can cause the event {job.event_name}, so nothing was run", hint=move
        )
    if job.event_name != "workflow_run":
        return
    run = job.event.workflow_run if job.event is not None else None
    base = job.event.repository if job.event is not None else None
    head = run.head_repository if run is not None else None
    if head is None or base is None or head.full_name != base.full_name:
        whose = "it is unknown of which repository" if head is None or base is None else "it is of a fork"
        message = f"{STORE_TOKEN} is set, but this job follows a run of another workflow, and {whose}"
        raise GuardError(f"{message}; so nothing was run", hint=move)


# --- what is published ----------------------------------------------------------------------------------------------


def _counts(run: CiRun) -> dict[str, str]:
    """The numbers of all stacks together, and the digest if there is one plan."""
    plans = [one.report for one in run.results if isinstance(one.report, Plan)]
    plans += [one.report.outcome.plan for one in run.results if isinstance(one.report, Applied)]
    changes = [change for plan in plans for change in plan.changes]
    drifts = [one.report for one in run.results if isinstance(one.report, Drift)]
    of = {phase: sum(change.phase is phase for change in changes) for phase in Phase}
    return {
        "changes": str(len(changes)),
        "to-upload": str(of[Phase.UPLOAD]),
        "to-bind": str(of[Phase.BIND]),
        "to-retire": str(of[Phase.RETIRE]),
        "drift": str(sum(finding.fails for drift in drifts for finding in drift.findings)),
        "digest": plans[0].digest if len(plans) == 1 else "",
    }


def _has_many(run: CiRun) -> bool:
    """Whether there are more findings than annotations, so that it matters which files the pull request changes."""
    return sum(len(_diagnostics(one.report)) for one in run.results) > MOST_ANNOTATIONS


def _diagnostics(report: object) -> tuple[Diagnostic, ...]:
    """The findings of a report that can be annotations."""
    if isinstance(report, Applied):
        return report.outcome.problems
    return report.diagnostics if isinstance(report, Plan | Renewals | Drift | Validation | RunFailure) else ()


def _placed(run: CiRun, workspace: Path | None) -> Iterator[tuple[Diagnostic, Place | None]]:
    """The findings with their places from the root of the repository."""
    for result, display in zip(run.results, run.displays, strict=True):
        for finding in _diagnostics(result.report):
            place = display.place(finding.where)
            yield finding, _in_repository(place, display.folder, workspace)


def _in_repository(place: Place | None, folder: str, workspace: Path | None) -> Place | None:
    if place is None or workspace is None:
        return None
    path = os.path.relpath(Path.cwd() / folder / place.path, os.path.realpath(workspace))
    path = posixpath.normpath(path)
    return None if path.startswith("../") else Place(path, place.line, place.column)
