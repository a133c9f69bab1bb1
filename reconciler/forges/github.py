"""GitHub's REST API: comments on a pull request and issues, of the token's own user only; and commits to propose.

https://docs.github.com/rest, version 2022-11-28. Only who the token belongs to is asked by GraphQL: REST answers that
to people alone, and the token of a job belongs to an app.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from pydantic import BaseModel, TypeAdapter

from reconciler.findings.codes import Code
from reconciler.model.forges import Comment, FileChange, Issue, PullRequest, PullState
from reconciler.model.web import Refusal, WebError
from reconciler.web.http import Address, Http

FORGE = "GitHub"
API_URL = "https://api.github.com"
VERSION = "2022-11-28"
_PER_PAGE = 100
_MOST_PAGES = 100
"""Of a list. An issue of GitHub has at most 2,500 comments."""
_MOST_FILE_PAGES = 30
"""GitHub lists at most 3,000 files of a pull request."""
_ACCESS_HINT = "check the repository, and that the token may write contents and pull requests there"
_ISSUE = "/repos/{repo}/issues/{number}"
_REST_OF_SERVER = "/v3"


class _GithubUser(BaseModel):
    login: str


class _Comment(BaseModel):
    id: int
    body: str | None = None
    html_url: str = ""
    user: _GithubUser | None = None


class _Label(BaseModel):
    name: str


class _GithubIssue(BaseModel):
    number: int
    title: str
    body: str | None = None
    state: str
    labels: list[_Label] = []
    user: _GithubUser | None = None
    pull_request: dict[str, object] | None = None


class _GithubFile(BaseModel):
    filename: str


class _Object(BaseModel):
    sha: str


class _Ref(BaseModel):
    object: _Object


class _GithubCommit(BaseModel):
    sha: str
    message: str = ""
    tree: _Object


class _Pull(BaseModel):
    number: int
    html_url: str = ""
    state: str
    head: _Object
    merged_at: str | None = None


class _Data(BaseModel):
    viewer: _GithubUser


class _Viewer(BaseModel):
    data: _Data


_Row = TypeVar("_Row")
_COMMENT, _COMMENTS = TypeAdapter(_Comment), TypeAdapter(list[_Comment])
_ISSUE_ROW, _ISSUES = TypeAdapter(_GithubIssue), TypeAdapter(list[_GithubIssue])
_OBJECT, _REF, _COMMIT = TypeAdapter(_Object), TypeAdapter(_Ref), TypeAdapter(_GithubCommit)
_PULL, _PULLS = TypeAdapter(_Pull), TypeAdapter(list[_Pull])
_FILES, _VIEWER = TypeAdapter(list[_GithubFile]), TypeAdapter(_Viewer)


def open_github(base_url: str, repository: str, token: str, tell: Callable[[str], None]) -> GitHub:
    """A repository at a checked address. Calls nothing yet."""
    headers = {
        "accept": "application/vnd.github+json",
        "authorization": f"Bearer {token}",
        "x-github-api-version": VERSION,
    }
    root = base_url.removesuffix(_REST_OF_SERVER)  # of GitHub Enterprise Server: https://HOST/api
    http = Http(Address(FORGE, root, headers, Code.FORGE, access_hint=_ACCESS_HINT), tell)
    return GitHub(http, repository, rest=base_url.removeprefix(root))


class GitHub:
    """One repository, as `Forge` and as `Proposals`.

    `rest`: the path of the REST API below the address that GraphQL is below, too.
    """

    pull_noun = "pull request"

    def __init__(self, http: Http, repository: str, *, rest: str = "") -> None:
        self._http, self._repository, self._rest = http, repository, rest
        self._login: str | None = None

    def comments(self, pull: int) -> Iterator[Comment]:
        """As `Forge`."""
        own = self._own_login()
        for row in self._pages(_COMMENTS, f"{_ISSUE}/comments?", number=pull):
            if row.user is not None and row.user.login == own:
                yield _comment(row)

    def add_comment(self, pull: int, body: str) -> Comment:
        """As `Forge`."""
        return _comment(self._write("POST", f"{_ISSUE}/comments", _COMMENT, {"body": body}, number=pull))

    def edit_comment(self, pull: int, comment: int, body: str) -> Comment:  # noqa: ARG002 - other forges need the pull
        """As `Forge`."""
        path = "/repos/{repo}/issues/comments/{comment}"
        return _comment(self._write("PATCH", path, _COMMENT, {"body": body}, comment=comment))

    def changed_files(self, pull: int) -> frozenset[str]:
        """As `Forge`."""
        path = "/repos/{repo}/pulls/{number}/files?"
        return frozenset(row.filename for row in self._pages(_FILES, path, _MOST_FILE_PAGES, number=pull))

    def issues(self, label: str) -> Iterator[Issue]:
        """As `Forge`."""
        own = self._own_login()
        for row in self._pages(_ISSUES, "/repos/{repo}/issues?state=all&labels={label}&", label=label):
            if row.user is not None and row.user.login == own and row.pull_request is None:
                yield _issue(row)

    def add_issue(self, title: str, body: str, label: str) -> Issue:
        """As `Forge`. GitHub creates a label that does not exist."""
        content = {"title": title, "body": body, "labels": [label]}
        row = self._write("POST", "/repos/{repo}/issues", _ISSUE_ROW, content)
        # GitHub drops a label that the token may not set, without a word, and the issue would never be found again.
        if label not in (one.name for one in row.labels):
            self.edit_issue(row.number, title, body, is_open=False)
            message = f"{FORGE} could not be written: the token may not set labels"
            raise WebError(message, code=Code.FORGE, refusal=Refusal.DENIED)
        return _issue(row)

    def edit_issue(self, issue: int, title: str, body: str, *, is_open: bool) -> Issue:
        """As `Forge`."""
        content = {"title": title, "body": body, "state": "open" if is_open else "closed"}
        return _issue(self._write("PATCH", _ISSUE, _ISSUE_ROW, content, number=issue))

    def add_issue_comment(self, issue: int, body: str) -> None:
        """As `Forge`."""
        self.add_comment(issue, body)

    def branch(self, name: str) -> str | None:
        """As `Proposals`."""
        try:
            answer = self._http.get(f"{self._rest}/repos/{{repo}}/git/ref/heads/{{path}}", **self._named(name))
        except WebError as error:
            if error.refusal is Refusal.MISSING:
                return None
            raise
        return self._http.parsed(_REF, answer).object.sha

    def message_of(self, commit: str) -> str:
        """As `Proposals`."""
        return self._commit(commit).message

    def newest_pull(self, branch: str) -> PullRequest | None:
        """As `Proposals`."""
        query = "head={head}&state=all&sort=created&direction=desc&per_page=1"
        head = f"{self._repository.partition('/')[0]}:{branch}"
        answer = self._http.get(f"{self._rest}/repos/{{repo}}/pulls?{query}", repo=self._repository, head=head)
        rows = self._http.parsed(_PULLS, answer)
        return _pull(rows[0]) if rows else None

    def create_branch(self, name: str, commit: str) -> None:
        """As `Proposals`."""
        self._write("POST", "/repos/{repo}/git/refs", _REF, {"ref": f"refs/heads/{name}", "sha": commit})

    def remove_branch(self, name: str) -> None:
        """As `Proposals`."""
        self._http.send("DELETE", f"{self._rest}/repos/{{repo}}/git/refs/heads/{{path}}", None, **self._named(name))

    def commit(self, branch: str, parent: str, message: str, changes: Sequence[FileChange]) -> None:
        """As `Proposals`."""
        rows = [{"path": one.path, "mode": "100644", "type": "blob", "sha": self._blob(one)} for one in changes]
        tree = {"base_tree": self._commit(parent).tree.sha, "tree": rows}
        made = self._write("POST", "/repos/{repo}/git/trees", _OBJECT, tree)
        content = {"message": message, "tree": made.sha, "parents": [parent]}
        commit = self._write("POST", "/repos/{repo}/git/commits", _COMMIT, content).sha
        if self.branch(branch) is None:
            self.create_branch(branch, commit)
            return
        path = "/repos/{repo}/git/refs/heads/{path}"
        self._write("PATCH", path, _REF, {"sha": commit, "force": True}, path=branch)

    def open_pull(self, branch: str, base: str, title: str, body: str) -> PullRequest:
        """As `Proposals`."""
        content = {"title": title, "head": branch, "base": base, "body": body}
        return _pull(self._write("POST", "/repos/{repo}/pulls", _PULL, content))

    def _blob(self, change: FileChange) -> str | None:
        if change.content is None:
            return None
        content = {"content": base64.b64encode(change.content).decode(), "encoding": "base64"}
        return self._write("POST", "/repos/{repo}/git/blobs", _OBJECT, content).sha

    def _commit(self, sha: str) -> _GithubCommit:
        answer = self._http.get(f"{self._rest}/repos/{{repo}}/git/commits/{{sha}}", repo=self._repository, sha=sha)
        return self._http.parsed(_COMMIT, answer)

    def _named(self, branch: str) -> dict[str, object]:
        return {"repo": self._repository, "path": branch}

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _own_login(self) -> str:
        """The name under which this token writes, such as `github-actions[bot]`."""
        if self._login is None:
            query = json.dumps({"query": "query { viewer { login } }"}).encode()
            answer = self._http.send("POST", "/graphql", query)
            self._login = self._http.parsed(_VIEWER, answer).data.viewer.login
        return self._login

    def _pages(
        self, rows: TypeAdapter[list[_Row]], path: str, most: int = _MOST_PAGES, **names: object
    ) -> Iterator[_Row]:
        """The rows of a list, page by page. The address of the next page is not taken from the answer."""
        for page in range(1, most + 1):
            query = f"{self._rest}{path}per_page={_PER_PAGE}&page={{page}}"
            answer = self._http.get(query, repo=self._repository, page=page, **names)
            yield from self._http.parsed(rows, answer)
            if 'rel="next"' not in answer.headers.get("link", ""):
                return
        if most == _MOST_PAGES:
            raise WebError(f"{FORGE} could not be read: a list has more than {most} pages", code=Code.FORGE)

    def _write(
        self, method: str, path: str, row: TypeAdapter[_Row], content: Mapping[str, object], /, **names: object
    ) -> _Row:
        body = json.dumps(content).encode()
        answer = self._http.send(method, f"{self._rest}{path}", body, repo=self._repository, **names)
        return self._http.parsed(row, answer)


def _comment(row: _Comment) -> Comment:
    return Comment(row.id, row.body or "", row.html_url)


def _issue(row: _GithubIssue) -> Issue:
    return Issue(row.number, row.title, row.body or "", row.state == "open")


def _pull(row: _Pull) -> PullRequest:
    ended = PullState.CLOSED if row.merged_at is None else PullState.MERGED
    state = PullState.OPEN if row.state == "open" else ended
    return PullRequest(row.number, state, row.head.sha, row.html_url)
