"""GitLab on loopback for tests: the project 42 with the merge request 7.

It answers as https://docs.gitlab.com/api/rest/ says, in the parts that are used.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.support.forges import FakeForge, Reply, Request, Route

ME = 501
MOST_CHARACTERS = 1_000_000


@dataclass
class GitLab(FakeForge):
    """`notes` of the merge request. `per_page`: the most rows of a page, whatever is asked."""

    notes: list[dict[str, Any]] = field(default_factory=list)
    issues: list[dict[str, Any]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    may_write: bool = True
    per_page: int = 100

    def is_allowed(self, request: Request) -> bool:
        """As `FakeForge`; a project's token comes in a header of its own."""
        return request.headers.get("private-token") == self.token

    def routes(self) -> list[Route]:
        """As `FakeForge`."""
        project = "/api/v4/projects/42"
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
        ]

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
