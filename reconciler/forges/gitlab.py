"""GitLab's REST API, version 4: notes on a merge request and issues, of the token's own user only.

https://docs.gitlab.com/api/rest/, of 2026. The token is that of a project, a group or a person: the one of a job may
write no notes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from pydantic import BaseModel, TypeAdapter

from reconciler.findings.codes import Code
from reconciler.model.forges import Comment, Issue
from reconciler.model.web import WebError
from reconciler.web.http import Address, Http

FORGE = "GitLab"
API_URL = "https://gitlab.com/api/v4"
_PER_PAGE = 100
_MOST_PAGES = 100
_MERGE_REQUEST = "/projects/{project}/merge_requests/{number}"
_ISSUES_OF = "/projects/{project}/issues"
_OPENED = "opened"


class _User(BaseModel):
    id: int


class _Note(BaseModel):
    id: int
    body: str | None = None
    author: _User | None = None
    system: bool = False


class _Issue(BaseModel):
    iid: int
    title: str
    description: str | None = None
    state: str
    author: _User | None = None


class _Diff(BaseModel):
    new_path: str


_Row = TypeVar("_Row")
_USER = TypeAdapter(_User)
_NOTE, _NOTES = TypeAdapter(_Note), TypeAdapter(list[_Note])
_ISSUE, _ISSUES = TypeAdapter(_Issue), TypeAdapter(list[_Issue])
_DIFFS = TypeAdapter(list[_Diff])


def open_gitlab(base_url: str, project: int, token: str, tell: Callable[[str], None]) -> GitLab:
    """A project at a checked address. Calls nothing yet."""
    return GitLab(Http(Address(FORGE, base_url, {"private-token": token}, Code.FORGE), tell), project)


class GitLab:
    """One project, as `Forge`."""

    def __init__(self, http: Http, project: int) -> None:
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
        return _comment(self._write("POST", f"{_MERGE_REQUEST}/notes", _NOTE, {"body": body}, number=pull))

    def edit_comment(self, pull: int, comment: int, body: str) -> Comment:
        """As `Forge`."""
        path = f"{_MERGE_REQUEST}/notes/{{note}}"
        return _comment(self._write("PUT", path, _NOTE, {"body": body}, number=pull, note=comment))

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
        content = {"title": title, "description": body, "labels": label}
        return _issue(self._write("POST", _ISSUES_OF, _ISSUE, content))

    def edit_issue(self, issue: int, title: str, body: str, *, is_open: bool) -> Issue:
        """As `Forge`."""
        content = {"title": title, "description": body, "state_event": "reopen" if is_open else "close"}
        return _issue(self._write("PUT", f"{_ISSUES_OF}/{{number}}", _ISSUE, content, number=issue))

    def add_issue_comment(self, issue: int, body: str) -> None:
        """As `Forge`."""
        self._write("POST", f"{_ISSUES_OF}/{{number}}/notes", _NOTE, {"body": body}, number=issue)

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


def _issue(row: _Issue) -> Issue:
    return Issue(row.iid, row.title, row.description or "", row.state == _OPENED)
