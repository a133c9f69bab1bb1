"""GitLab's REST API, version 4: notes on a merge request and issues, of the token's own user only; and commits to
propose.

https://docs.gitlab.com/api/rest/, of 2026. The token is that of a project, a group or a person: the one of a job may
write nothing of this.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from pydantic import BaseModel, TypeAdapter

from reconciler.findings.codes import Code
from reconciler.model.forges import Comment, FileChange, Issue, PullRequest, PullState
from reconciler.model.web import Refusal, WebError
from reconciler.web.http import Address, Answer, Http

FORGE = "GitLab"
API_URL = "https://gitlab.com/api/v4"
_PER_PAGE = 100
_MOST_PAGES = 100
_MERGE_REQUEST = "/projects/{project}/merge_requests/{number}"
_ISSUES_OF = "/projects/{project}/issues"
_REPOSITORY = "/projects/{project}/repository"
_OPENED = "opened"
_STATES = {"merged": PullState.MERGED, "closed": PullState.CLOSED}
"""Of a merge request; `locked` is one that is being merged."""
_ACCESS_HINT = "check the project, and that the token has the scope `api` and the role Developer there"
_QUICK_ACTION = re.compile(r"(?m)^(\s*)/")


class _GitlabUser(BaseModel):
    id: int


class _Note(BaseModel):
    id: int
    body: str | None = None
    author: _GitlabUser | None = None
    system: bool = False


class _GitlabIssue(BaseModel):
    iid: int
    title: str
    description: str | None = None
    state: str
    author: _GitlabUser | None = None


class _Diff(BaseModel):
    new_path: str


class _GitlabCommit(BaseModel):
    id: str
    message: str = ""


class _Branch(BaseModel):
    commit: _GitlabCommit


class _MergeRequest(BaseModel):
    iid: int
    state: str
    sha: str | None = None
    web_url: str = ""
    source_project_id: int | None = None
    target_project_id: int


_Row = TypeVar("_Row")
_USER = TypeAdapter(_GitlabUser)
_NOTE, _NOTES = TypeAdapter(_Note), TypeAdapter(list[_Note])
_ISSUE, _ISSUES = TypeAdapter(_GitlabIssue), TypeAdapter(list[_GitlabIssue])
_DIFFS = TypeAdapter(list[_Diff])
_COMMIT, _BRANCH = TypeAdapter(_GitlabCommit), TypeAdapter(_Branch)
_MERGE_REQUEST_ROW, _MERGE_REQUESTS = TypeAdapter(_MergeRequest), TypeAdapter(list[_MergeRequest])


def without_quick_actions(text: str) -> str:
    """The text with no line that GitLab takes for a command, such as `/close`."""
    return _QUICK_ACTION.sub(r"\1&#47;", text)


def open_gitlab(base_url: str, project: int | str, token: str, tell: Callable[[str], None]) -> GitLab:
    """A project, by its ID or path, at a checked address. Calls nothing yet."""
    address = Address(FORGE, base_url, {"private-token": token}, Code.FORGE, access_hint=_ACCESS_HINT)
    return GitLab(Http(address, tell), project)


class GitLab:
    """One project, as `Forge` and as `Proposals`."""

    pull_noun = "merge request"

    def __init__(self, http: Http, project: int | str) -> None:
        self._http, self._project = http, project
        self._own: int | None = None

    def comments(self, pull: int) -> Iterator[Comment]:
        """As `Forge`: the notes, without those that GitLab wrote about an event."""
        own = self._own_id()
        for row in self._pages(_NOTES, f"{_MERGE_REQUEST}/notes?sort=asc&order_by=created_at&", number=pull):
            if row.author is not None and row.author.id == own and not row.system:
                yield _comment(row)

    def add_comment(self, pull: int, body: str) -> Comment:
        """As `Forge`."""
        return _comment(
            self._write("POST", f"{_MERGE_REQUEST}/notes", _NOTE, {"body": without_quick_actions(body)}, number=pull)
        )

    def edit_comment(self, pull: int, comment: int, body: str) -> Comment:
        """As `Forge`."""
        path = f"{_MERGE_REQUEST}/notes/{{note}}"
        return _comment(
            self._write("PUT", path, _NOTE, {"body": without_quick_actions(body)}, number=pull, note=comment)
        )

    def changed_files(self, pull: int) -> frozenset[str]:
        """As `Forge`."""
        return frozenset(row.new_path for row in self._pages(_DIFFS, f"{_MERGE_REQUEST}/diffs?", number=pull))

    def issues(self, label: str) -> Iterator[Issue]:
        """As `Forge`."""
        own = self._own_id()
        path = f"{_ISSUES_OF}?scope=all&state=all&author_id={{own}}&labels={{label}}&"
        for row in self._pages(_ISSUES, path, own=own, label=label):
            if row.author is not None and row.author.id == own:
                yield _issue(row)

    def add_issue(self, title: str, body: str, label: str) -> Issue:
        """As `Forge`. GitLab creates a label that does not exist."""
        content = {"title": title, "description": without_quick_actions(body), "labels": label}
        return _issue(self._write("POST", _ISSUES_OF, _ISSUE, content))

    def edit_issue(self, issue: int, title: str, body: str, *, is_open: bool) -> Issue:
        """As `Forge`."""
        content = {
            "title": title,
            "description": without_quick_actions(body),
            "state_event": "reopen" if is_open else "close",
        }
        return _issue(self._write("PUT", f"{_ISSUES_OF}/{{number}}", _ISSUE, content, number=issue))

    def add_issue_comment(self, issue: int, body: str) -> None:
        """As `Forge`."""
        content = {"body": without_quick_actions(body)}
        self._write("POST", f"{_ISSUES_OF}/{{number}}/notes", _NOTE, content, number=issue)

    def branch(self, name: str) -> str | None:
        """As `Proposals`."""
        answer = self._found(f"{_REPOSITORY}/branches/{{name}}", name=name)
        return None if answer is None else self._http.parsed(_BRANCH, answer).commit.id

    def message_of(self, commit: str) -> str:
        """As `Proposals`."""
        answer = self._http.get(f"{_REPOSITORY}/commits/{{sha}}?stats=false", project=self._project, sha=commit)
        return self._http.parsed(_COMMIT, answer).message

    def newest_pull(self, branch: str) -> PullRequest | None:
        """As `Proposals`. A fork may have a branch of the same name, and merge requests from it."""
        path = "/projects/{project}/merge_requests?state=all&source_branch={branch}&order_by=created_at&sort=desc&"
        for row in self._pages(_MERGE_REQUESTS, path, branch=branch):
            if row.source_project_id == row.target_project_id:
                return _pull(row)
        return None

    def create_branch(self, name: str, commit: str) -> None:
        """As `Proposals`."""
        self._write("POST", f"{_REPOSITORY}/branches", _BRANCH, {"branch": name, "ref": commit})

    def remove_branch(self, name: str) -> None:
        """As `Proposals`."""
        self._http.send("DELETE", f"{_REPOSITORY}/branches/{{name}}", None, project=self._project, name=name)

    def commit(self, branch: str, parent: str, message: str, changes: Sequence[FileChange]) -> None:
        """As `Proposals`. One call: `force` lets it begin at `start_sha`, and create or replace the branch."""
        content = {
            "branch": branch,
            "start_sha": parent,
            "force": True,
            "commit_message": message,
            "actions": [self._action(parent, one) for one in changes],
        }
        self._write("POST", f"{_REPOSITORY}/commits", _COMMIT, content)

    def open_pull(self, branch: str, base: str, title: str, body: str) -> PullRequest:
        """As `Proposals`. The merge removes its branch, so that one that is there is of a later renewal."""
        content = {
            "source_branch": branch,
            "target_branch": base,
            "title": title,
            "description": without_quick_actions(body),
            "remove_source_branch": True,
        }
        return _pull(self._write("POST", "/projects/{project}/merge_requests", _MERGE_REQUEST_ROW, content))

    def _action(self, parent: str, change: FileChange) -> dict[str, str]:
        """One file of a commit. GitLab wants to be told whether it is there already."""
        if change.content is None:
            return {"action": "delete", "file_path": change.path}
        found = self._found(f"{_REPOSITORY}/files/{{file}}?ref={{ref}}", file=change.path, ref=parent)
        content = {"content": base64.b64encode(change.content).decode(), "encoding": "base64"}
        return {"action": "create" if found is None else "update", "file_path": change.path, **content}

    def _found(self, path: str, /, **names: object) -> Answer | None:
        """The answer to a GET; None if there is no such thing."""
        try:
            return self._http.get(path, project=self._project, **names)
        except WebError as error:
            if error.refusal is Refusal.MISSING:
                return None
            raise

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _own_id(self) -> int:
        """The user as which this token writes; a project's token has one of its own."""
        if self._own is None:
            self._own = self._http.parsed(_USER, self._http.get("/user")).id
        return self._own

    def _pages(self, rows: TypeAdapter[list[_Row]], path: str, **names: object) -> Iterator[_Row]:
        """The rows of a list, page by page. The address of the next page is not taken from the answer."""
        for page in range(1, _MOST_PAGES + 1):
            query = f"{path}per_page={_PER_PAGE}&page={{page}}"
            answer = self._http.get(query, project=self._project, page=page, **names)
            yield from self._http.parsed(rows, answer)
            if not answer.headers.get("x-next-page"):
                return
        raise WebError(f"{FORGE} could not be read: a list has more than {_MOST_PAGES} pages", code=Code.FORGE)

    def _write(
        self, method: str, path: str, row: TypeAdapter[_Row], content: Mapping[str, object], **names: object
    ) -> _Row:
        answer = self._http.send(method, path, json.dumps(content).encode(), project=self._project, **names)
        return self._http.parsed(row, answer)


def _comment(row: _Note) -> Comment:
    return Comment(row.id, row.body or "")


def _issue(row: _GitlabIssue) -> Issue:
    return Issue(row.iid, row.title, row.description or "", row.state == _OPENED)


def _pull(row: _MergeRequest) -> PullRequest:
    return PullRequest(row.iid, _STATES.get(row.state, PullState.OPEN), row.sha or "", row.web_url)
