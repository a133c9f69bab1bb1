"""A forge on loopback for tests: state, pages, limits, and failures on request.

`FakeForge` is a small HTTP server; `GitHub` answers as https://docs.github.com/rest does, in the parts that are used.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

TOKEN = "ghs_canary0123456789abcdefghijklmnopqrst"
Reply = tuple[int, dict[str, str], Any]
Route = tuple[str, str, Callable[..., Reply]]
"""Method, pattern of the path, and what answers: `answer(request, *groups)`."""


@dataclass
class Request:
    """One call, as the forge saw it."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: Any


@dataclass
class FakeForge:
    """A server that answers by `routes`, with the token alone. `failures`: answers for the next calls whose
    `METHOD path` a pattern fits, one each, instead of the real ones; `after` also does what was asked."""

    token: str = TOKEN
    requests: list[Request] = field(default_factory=list)
    failures: list[tuple[str, Reply, bool]] = field(default_factory=list)
    url: str = ""

    def routes(self) -> list[Route]:
        """The API."""
        raise NotImplementedError

    def is_allowed(self, request: Request) -> bool:
        """Whether the token comes with a call."""
        return request.headers.get("authorization") == f"Bearer {self.token}"

    def fail(self, what: str, status: int, *, after: bool = False, **headers: str) -> None:
        """Answer the next call of this kind, such as `POST` or `GET /repos`, with an error."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.failures.append((what, (status, named, {"message": "a message of the forge"}), after))

    def calls(self, method: str) -> list[str]:
        """The paths of the calls of one method."""
        return [request.path for request in self.requests if request.method == method]

    def answer(self, request: Request) -> Reply:
        """What a call gets."""
        self.requests.append(request)
        if not self.is_allowed(request):
            return 401, {}, {"message": "Bad credentials"}
        asked = f"{request.method} {request.path}"
        failure = next((one for one in self.failures if re.search(one[0], asked)), None)
        if failure is not None:
            self.failures.remove(failure)
            if failure[2]:
                self._routed(request)
            return failure[1]
        return self._routed(request)

    def _routed(self, request: Request) -> Reply:
        for method, pattern, answer in self.routes():
            found = re.fullmatch(pattern, request.path)
            if found is not None and request.method == method:
                return answer(request, *found.groups())
        return 404, {}, {"message": "Not Found"}

    @contextmanager
    def running(self, tls: ssl.SSLContext | None = None) -> Iterator[str]:
        """Its address, as long as it answers."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        self.url = f"http{'s' if tls is not None else ''}://127.0.0.1:{server.server_port}"
        try:
            yield self.url
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


@dataclass
class FakeRepository(FakeForge):
    """A forge with one repository: branches, commits with their files, and pull requests.

    `pulls`: number, head, base, title, body, state (open, closed, merged) and url. `claims`, `writes` and `opens`: the
    calls that create a branch, give it a commit, and open a pull request.
    """

    noun: ClassVar[str]
    claims: ClassVar[str]
    writes: ClassVar[str]
    opens: ClassVar[str]
    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, Any]] = field(default_factory=dict)
    trees: dict[str, dict[str, bytes]] = field(default_factory=dict)
    pulls: list[dict[str, Any]] = field(default_factory=list)
    _heads: dict[int, str] = field(default_factory=dict)

    def commit(self, sha: str, files: Mapping[str, bytes], message: str = "Begin") -> None:
        """A commit with these files."""
        self.trees[f"tree-{sha}"] = dict(files)
        self.commits[sha] = {"message": message, "tree": f"tree-{sha}", "parents": []}

    def files_of(self, branch: str) -> dict[str, bytes]:
        """The files of a branch."""
        return self.trees[str(self.commits[self.branches[branch]]["tree"])]

    def head_of(self, pull: dict[str, Any]) -> str:
        """The commit of the branch, and the last one that it had once the pull request is not open any more."""
        if pull["state"] == "open" or pull["number"] not in self._heads:
            self._heads[pull["number"]] = self.branches.get(pull["head"], "")
        return self._heads[pull["number"]]

    def add_pull(self, head: str, base: str, title: str, body: str) -> dict[str, Any]:
        """A new pull request."""
        number = 30 + len(self.pulls)
        row = {"number": number, "head": head, "base": base, "title": title, "body": body, "state": "open"}
        self.pulls.append({**row, "url": f"https://forge.example/acme/shop/{number}"})
        return self.pulls[-1]


def _handler(forge: FakeForge) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else a body waits 40 ms for what acknowledges its headers

        def handle_any(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            data = self.rfile.read(length)
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, parts.path, query, headers, json.loads(data) if data else None)
            status, extra, body = forge.answer(request)
            content = b"" if body is None else json.dumps(body).encode()
            self.send_response_only(status)
            fixed = {"content-type": "application/json", "date": self.date_time_string()}
            for name, value in {**fixed, **extra}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def __getattr__(self, name: str) -> Callable[[], None]:
            if name.startswith("do_"):
                return self.handle_any
            raise AttributeError(name)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


ME = "github-actions[bot]"
MOST_CHARACTERS = 65_536


@dataclass
class GitHub(FakeRepository):
    """One repository, `acme/shop`, with the pull request 7. `per_page`: the most rows of a page, whatever is asked."""

    comments: list[dict[str, Any]] = field(default_factory=list)
    issues: list[dict[str, Any]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    login: str = ME
    may_write: bool = True
    per_page: int = 100
    most: int = MOST_CHARACTERS
    may_label: bool = True
    blobs: dict[str, bytes] = field(default_factory=dict)
    noun = "pull request"
    claims = "POST /repos/acme/shop/git/refs"
    writes = "PATCH /repos/acme/shop/git/refs"
    opens = "POST /repos/acme/shop/pulls"

    def routes(self) -> list[Route]:
        """As `FakeForge`."""
        repository = "/repos/acme/shop"
        return [
            ("POST", "/graphql", self._viewer),
            ("GET", f"{repository}/issues/7/comments", lambda request: self._page(request, self.comments)),
            ("POST", rf"{repository}/issues/(\d+)/comments", self._add_comment),
            ("PATCH", rf"{repository}/issues/comments/(\d+)", self._edit_comment),
            ("GET", f"{repository}/pulls/7/files", self._files),
            ("GET", f"{repository}/issues", self._issues),
            ("POST", f"{repository}/issues", self._add_issue),
            ("PATCH", rf"{repository}/issues/(\d+)", self._edit_issue),
            ("GET", rf"{repository}/git/ref/heads/(.+)", self._ref),
            ("POST", f"{repository}/git/refs", self._add_ref),
            ("PATCH", rf"{repository}/git/refs/heads/(.+)", self._move_ref),
            ("DELETE", rf"{repository}/git/refs/heads/(.+)", self._remove_ref),
            ("GET", rf"{repository}/git/commits/([0-9a-f]+)", self._commit),
            ("POST", f"{repository}/git/blobs", self._add_blob),
            ("POST", f"{repository}/git/trees", self._add_tree),
            ("POST", f"{repository}/git/commits", self._add_commit),
            ("GET", f"{repository}/pulls", self._pulls),
            ("POST", f"{repository}/pulls", self._add_pull),
        ]

    def _ref(self, request: Request, name: str) -> Reply:
        if name not in self.branches:
            return 404, {}, {"message": "Not Found"}
        return 200, {}, {"ref": f"refs/heads/{name}", "object": {"sha": self.branches[name]}}

    def _add_ref(self, request: Request) -> Reply:
        name = request.body["ref"].removeprefix("refs/heads/")
        if name in self.branches:
            return 422, {}, {"message": "Reference already exists"}
        self.branches[name] = request.body["sha"]
        reply = self._ref(request, name)
        return 201, {}, reply[2]

    def _move_ref(self, request: Request, name: str) -> Reply:
        assert request.body["force"] is True
        assert request.body["sha"] in self.commits
        if name in self.branches:
            self.branches[name] = request.body["sha"]
        return self._ref(request, name)

    def _remove_ref(self, request: Request, name: str) -> Reply:
        return (204, {}, None) if self.branches.pop(name, None) else (422, {}, {"message": "Reference does not exist"})

    def _commit(self, request: Request, sha: str) -> Reply:
        found = self.commits.get(sha)
        if found is None:
            return 404, {}, {"message": "Not Found"}
        return 200, {}, {"sha": sha, "message": found["message"], "tree": {"sha": found["tree"]}}

    def _add_blob(self, request: Request) -> Reply:
        assert request.body["encoding"] == "base64"
        sha = f"{len(self.blobs):040x}"
        self.blobs[sha] = base64.b64decode(request.body["content"])
        return 201, {}, {"sha": sha}

    def _add_tree(self, request: Request) -> Reply:
        files = dict(self.trees[request.body["base_tree"]])
        for row in request.body["tree"]:
            if row["sha"] is None and row["path"] not in files:
                return 422, {}, {"message": "GitRPC::BadObjectState"}
            if row["sha"] is None:
                del files[row["path"]]
            else:
                files[row["path"]] = self.blobs[row["sha"]]
        sha = f"tree-{len(self.trees)}"
        self.trees[sha] = files
        return 201, {}, {"sha": sha}

    def _add_commit(self, request: Request) -> Reply:
        sha = f"{len(self.commits) + 1000:040x}"
        self.commits[sha] = dict(request.body)
        return 201, {}, {"sha": sha, "message": request.body["message"], "tree": {"sha": request.body["tree"]}}

    def _pulls(self, request: Request) -> Reply:
        assert (request.query["state"], request.query["direction"]) == ("all", "desc")
        found = [one for one in reversed(self.pulls) if f"acme:{one['head']}" == request.query["head"]]
        return self._page(request, [self._pull(one) for one in found])

    def _pull(self, row: dict[str, Any]) -> dict[str, Any]:
        """As GitHub answers: the head has the commit of the branch, and keeps it once the pull request is closed."""
        ended = {"state": "closed", "merged_at": "2026-11-23T12:00:00Z"} if row["state"] == "merged" else {}
        head = {"ref": row["head"], "sha": self.head_of(row)}
        return {**row, "html_url": row["url"], "merged_at": None, **ended, "head": head}

    def _add_pull(self, request: Request) -> Reply:
        refused = self._refused(request.body["body"])
        if refused is not None:
            return refused
        return 201, {}, self._pull(self.add_pull(**request.body))

    def comment(self, body: str, *, login: str = ME) -> dict[str, Any]:
        """A comment on the pull request, by this user."""
        number = len(self.comments) + 1
        url = f"https://github.com/acme/shop/pull/7#issuecomment-{number}"
        self.comments.append({"id": number, "body": body, "html_url": url, "user": {"login": login}, "issue": 7})
        return self.comments[-1]

    def issue(self, title: str, body: str, *, login: str = ME, state: str = "open") -> dict[str, Any]:
        """An issue with the label of drift, by this user."""
        number = 100 + len(self.issues)
        row = {"number": number, "title": title, "body": body, "state": state, "user": {"login": login}}
        row |= {"html_url": f"https://github.com/acme/shop/issues/{number}", "labels": [{"name": "mtlsctl-drift"}]}
        self.issues.append(row)
        return row

    def _viewer(self, request: Request) -> Reply:
        return 200, {}, {"data": {"viewer": {"login": self.login}}}

    def _page(self, request: Request, rows: list[Any]) -> Reply:
        size = min(int(request.query.get("per_page", "30")), self.per_page)
        page = int(request.query.get("page", "1"))
        more = page * size < len(rows)
        link = {"link": f'<http://evil.example/next>; rel="next", <{self.url}/last>; rel="last"'} if more else {}
        return 200, link, rows[(page - 1) * size : page * size]

    def _refused(self, body: str) -> Reply | None:
        if not self.may_write:
            return 403, {}, {"message": "Resource not accessible by integration"}
        if len(body) > self.most:
            return 422, {}, {"message": f"Body is too long (maximum is {self.most} characters)"}
        return None

    def _add_comment(self, request: Request, number: str) -> Reply:
        refused = self._refused(request.body["body"])
        if refused is not None:
            return refused
        row = self.comment(request.body["body"], login=self.login)
        row["issue"] = int(number)
        return 201, {}, row

    def _edit_comment(self, request: Request, number: str) -> Reply:
        found = next((one for one in self.comments if one["id"] == int(number)), None)
        if found is None:
            return 404, {}, {"message": "Not Found"}
        refused = self._refused(request.body["body"])
        if refused is None:
            found["body"] = request.body["body"]
        return refused or (200, {}, found)

    def _files(self, request: Request) -> Reply:
        return self._page(request, [{"filename": name} for name in self.files])

    def _issues(self, request: Request) -> Reply:
        assert request.query["state"] == "all"
        label = request.query["labels"]
        return self._page(request, [one for one in self.issues if {"name": label} in one["labels"]])

    def _add_issue(self, request: Request) -> Reply:
        refused = self._refused(request.body["body"])
        if refused is not None:
            return refused
        row = self.issue(request.body["title"], request.body["body"], login=self.login)
        row["labels"] = [{"name": name} for name in request.body["labels"] if self.may_label]
        return 201, {}, row

    def _edit_issue(self, request: Request, number: str) -> Reply:
        found = next((one for one in self.issues if one["number"] == int(number)), None)
        if found is None:
            return 404, {}, {"message": "Not Found"}
        refused = self._refused(request.body.get("body", ""))
        if refused is None:
            found.update({name: request.body[name] for name in ("title", "body", "state") if name in request.body})
        return refused or (200, {}, found)
