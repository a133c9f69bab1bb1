"""GitLab on loopback for tests: the project 42, acme/team/shop, with the merge request 7.

It answers as https://docs.gitlab.com/api/rest/ says, in the parts that are used.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.support.forges import FakeRepository, Reply, Request, Route

ME = 501
MOST_CHARACTERS = 1_000_000


@dataclass
class GitLab(FakeRepository):
    """`notes` of the merge request. `per_page`: the most rows of a page, whatever is asked. `forked`: merge requests
    from branches of forks."""

    notes: list[dict[str, Any]] = field(default_factory=list)
    issues: list[dict[str, Any]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    may_write: bool = True
    per_page: int = 100
    forked: list[dict[str, Any]] = field(default_factory=list)
    noun = "merge request"
    claims = "POST .*/repository/branches"
    writes = "POST .*/repository/commits"
    opens = "POST .*/merge_requests$"

    def is_allowed(self, request: Request) -> bool:
        """As `FakeForge`; a project's token comes in a header of its own."""
        return request.headers.get("private-token") == self.token

    def routes(self) -> list[Route]:
        """As `FakeForge`."""
        project = "/api/v4/projects/(?:42|acme%2Fteam%2Fshop)"
        repository = f"{project}/repository"
        merge_request = f"{project}/merge_requests/7"
        return [
            ("GET", "/api/v4/user", lambda _: (200, {}, {"id": ME, "username": "project_42_bot"})),
            ("GET", f"{merge_request}/notes", lambda request: self._page(request, self.notes)),
            ("POST", f"{merge_request}/notes", self._add_note),
            ("PUT", rf"{merge_request}/notes/(\d+)", self._edit_note),
            ("GET", f"{merge_request}/diffs", self._diffs),
            ("GET", f"{project}/issues", self._issues),
            ("POST", f"{project}/issues", self._add_issue),
            ("PUT", rf"{project}/issues/(\d+)", self._edit_issue),
            ("POST", rf"{project}/issues/(\d+)/notes", self._add_issue_note),
            ("GET", f"{repository}/branches/([^/]+)", self._branch),
            ("POST", f"{repository}/branches", self._add_branch),
            ("DELETE", f"{repository}/branches/([^/]+)", self._remove_branch),
            ("GET", f"{repository}/commits/([0-9a-f]+)", self._commit),
            ("POST", f"{repository}/commits", self._add_commit),
            ("GET", f"{repository}/files/([^/]+)", self._file),
            ("GET", f"{project}/merge_requests", self._merge_requests),
            ("POST", f"{project}/merge_requests", self._add_merge_request),
        ]

    def _branch(self, request: Request, name: str) -> Reply:
        commit = self.branches.get(unquote(name))
        if commit is None:
            return 404, {}, {"message": "404 Branch Not Found"}
        return 200, {}, {"name": unquote(name), "commit": {"id": commit, "message": self.commits[commit]["message"]}}

    def _add_branch(self, request: Request) -> Reply:
        name, commit = request.body["branch"], request.body["ref"]
        if name in self.branches:
            return 400, {}, {"message": "Branch already exists"}
        if commit not in self.commits:
            return 400, {}, {"message": f"Invalid reference name: {commit}"}
        self.branches[name] = commit
        return 201, {}, self._branch(request, name)[2]

    def _remove_branch(self, request: Request, name: str) -> Reply:
        if self.branches.get(unquote(name)) is None:
            return 404, {}, {"message": "404 Branch Not Found"}
        self._end(unquote(name), "closed")
        del self.branches[unquote(name)]
        return 204, {}, None

    def _end(self, branch: str, state: str) -> None:
        """As GitLab does to the merge request of a branch that is removed."""
        for pull in self.pulls:
            if pull["head"] == branch and pull["state"] == "open":
                self.head_of(pull)
                pull["state"] = state

    def _commit(self, request: Request, sha: str) -> Reply:
        found = self.commits.get(sha)
        if found is None:
            return 404, {}, {"message": "404 Commit Not Found"}
        return 200, {}, {"id": sha, "message": found["message"], "parent_ids": found["parents"]}

    def _file(self, request: Request, path: str) -> Reply:
        data = self.trees[self.commits[request.query["ref"]]["tree"]].get(unquote(path))
        if data is None:
            return 404, {}, {"message": "404 File Not Found"}
        return 200, {}, {"file_path": unquote(path), "encoding": "base64", "content": base64.b64encode(data).decode()}

    def _add_commit(self, request: Request) -> Reply:
        body = request.body
        assert not {"start_sha", "start_branch"} <= body.keys()
        if body["branch"] in self.branches and not body.get("force"):
            return 400, {}, {"message": f"A branch called '{body['branch']}' already exists."}
        if body["start_sha"] not in self.commits:
            return 400, {}, {"message": f"Cannot find start_sha '{body['start_sha']}'"}
        files = dict(self.trees[self.commits[body["start_sha"]]["tree"]])
        for action in body["actions"]:
            path = action["file_path"]
            if (action["action"] == "create") == (path in files):
                return 400, {}, {"message": "A file with this name already exists, or doesn't"}
            if action["action"] == "delete":
                del files[path]
            else:
                assert action["encoding"] == "base64"
                files[path] = base64.b64decode(action["content"], validate=True)
        sha = f"{len(self.commits) + 1000:040x}"
        self.commit(sha, files, body["commit_message"])
        self.commits[sha]["parents"] = [body["start_sha"]]
        self.branches[body["branch"]] = sha
        return 201, {}, self._commit(request, sha)[2]

    def _merge_requests(self, request: Request) -> Reply:
        assert (request.query["state"], request.query["order_by"], request.query["sort"]) == (
            "all",
            "created_at",
            "desc",
        )
        found = [one for one in reversed(self.pulls) if one["head"] == request.query["source_branch"]]
        return self._page(request, [*self.forked, *map(self._merge_request, found)])

    def _merge_request(self, row: dict[str, Any]) -> dict[str, Any]:
        state = {"open": "opened"}.get(row["state"], row["state"])
        ids = {"iid": row["number"], "source_project_id": 42, "target_project_id": 42}
        return {**ids, "state": state, "sha": self.head_of(row) or None, "web_url": row["url"]}

    def _add_merge_request(self, request: Request) -> Reply:
        body = request.body
        refused = self._refused(body["description"])
        if refused is not None:
            return refused
        if any(one["head"] == body["source_branch"] and one["state"] == "open" for one in self.pulls):
            return 409, {}, {"message": ["Another open merge request already exists for this source branch: !30"]}
        # GitLab carries out lines that begin like this, and does not show them.
        assert not re.search(r"(?m)^\s*/", body["description"])
        names = ("source_branch", "target_branch", "title", "description")
        return 201, {}, self._merge_request(self.add_pull(*(body[name] for name in names)))

    def note(self, body: str, *, author: int = ME, system: bool = False) -> dict[str, Any]:
        """A note on the merge request, by this user."""
        self.notes.append({"id": len(self.notes) + 1, "body": body, "author": {"id": author}, "system": system})
        return self.notes[-1]

    def issue(self, title: str, body: str, *, author: int = ME, state: str = "opened") -> dict[str, Any]:
        """An issue with the label of drift, by this user."""
        iid = 100 + len(self.issues)
        row = {"iid": iid, "title": title, "description": body, "state": state, "author": {"id": author}}
        row |= {"web_url": f"https://gitlab.example/acme/shop/-/issues/{iid}", "labels": ["mtlsctl-drift"], "notes": []}
        self.issues.append(row)
        return row

    def _page(self, request: Request, rows: list[Any]) -> Reply:
        size = min(int(request.query.get("per_page", "20")), self.per_page)
        page = int(request.query.get("page", "1"))
        more = page * size < len(rows)
        link = {"link": f'<http://evil.example/next>; rel="next", <{self.url}/last>; rel="last"'} if more else {}
        return 200, {**link, "x-next-page": str(page + 1) if more else ""}, rows[(page - 1) * size : page * size]

    def _refused(self, body: str) -> Reply | None:
        if not self.may_write:
            return 403, {}, {"message": "403 Forbidden"}
        if len(body) > MOST_CHARACTERS:
            return 400, {}, {"message": {"note": ["is too long (maximum is 1000000 characters)"]}}
        return None

    def _add_note(self, request: Request) -> Reply:
        return self._refused(request.body["body"]) or (201, {}, self.note(request.body["body"]))

    def _edit_note(self, request: Request, number: str) -> Reply:
        found = next((one for one in self.notes if one["id"] == int(number)), None)
        if found is None:
            return 404, {}, {"message": "404 Not found"}
        refused = self._refused(request.body["body"])
        if refused is None:
            found["body"] = request.body["body"]
        return refused or (200, {}, found)

    def _diffs(self, request: Request) -> Reply:
        return self._page(request, [{"new_path": name} for name in self.files])

    def _issues(self, request: Request) -> Reply:
        assert (request.query["state"], request.query["scope"]) == ("all", "all")
        author = int(request.query["author_id"])
        rows = [one for one in self.issues if request.query["labels"] in one["labels"]]
        return self._page(request, [one for one in rows if one["author"]["id"] == author])

    def _add_issue(self, request: Request) -> Reply:
        refused = self._refused(request.body["description"])
        if refused is not None:
            return refused
        row = self.issue(request.body["title"], request.body["description"])
        row["labels"] = request.body["labels"].split(",")
        return 201, {}, row

    def _edit_issue(self, request: Request, number: str) -> Reply:
        found = next((one for one in self.issues if one["iid"] == int(number)), None)
        if found is None:
            return 404, {}, {"message": "404 Not found"}
        refused = self._refused(request.body.get("description", ""))
        if refused is None:
            found.update({name: request.body[name] for name in ("title", "description") if name in request.body})
            found["state"] = {"close": "closed", "reopen": "opened"}[request.body["state_event"]]
        return refused or (200, {}, found)

    def _add_issue_note(self, request: Request, number: str) -> Reply:
        found = next(one for one in self.issues if one["iid"] == int(number))
        found["notes"].append(request.body["body"])
        return 201, {}, {"id": 1, "body": request.body["body"], "author": {"id": ME}}
