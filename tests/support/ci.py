"""A project in a job of GitHub Actions, with a fake of its API on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.cli import Project, Result, make_project
from tests.support.forges import TOKEN, GitHub

HEAD = "a" * 40
EVENT = {"pull_request": {"number": 7, "head": {"sha": HEAD}}, "repository": {"full_name": "acme/shop"}}


@dataclass
class Bench:
    """A project in a job of GitHub Actions on the pull request 7, and the forge."""

    project: Project
    github: GitHub

    def ci(
        self,
        *arguments: str,
        run: int = 50,
        attempt: int = 1,
        commit: str = HEAD,
        event: object = None,
        **environ: str,
    ) -> Result:
        """`mtlsctl ci github ...` as the run of a commit, on a pull request or with `event`; with new files."""
        folder = self.project.folder
        for name in ("summary", "outputs"):
            (folder / "runner" / name).unlink(missing_ok=True)
        sent = event or {**EVENT, "pull_request": {"number": 7, "head": {"sha": commit}}}
        self.project.write("runner/event.json", sent if isinstance(sent, str) else json.dumps(sent))
        before = dict(self.project.environ)
        self.project.environ.update(
            {
                "GITHUB_ACTIONS": "true",
                "GITHUB_API_URL": self.github.url,
                "GITHUB_TOKEN": TOKEN,
                "GITHUB_REPOSITORY": "acme/shop",
                "GITHUB_RUN_ID": str(run),
                "GITHUB_RUN_ATTEMPT": str(attempt),
                "GITHUB_SHA": "b" * 40,
                "GITHUB_EVENT_NAME": "pull_request",
                "GITHUB_EVENT_PATH": str(folder / "runner/event.json"),
                "GITHUB_STEP_SUMMARY": str(folder / "runner/summary"),
                "GITHUB_OUTPUT": str(folder / "runner/outputs"),
                "GITHUB_WORKSPACE": str(folder),
                "RUNNER_TEMP": str(folder / "runner"),
                **environ,
            }
        )
        try:
            return self.project.run("ci", "github", *arguments)
        finally:
            self.project.environ = before

    @property
    def own(self) -> list[str]:
        """The bodies of all comments."""
        return [str(one["body"]) for one in self.github.comments]

    def runner(self, name: str) -> str:
        """A file of the runner."""
        return (self.project.folder / "runner" / name).read_text()

    @property
    def outputs(self) -> dict[str, str]:
        """The outputs of the step, read as the runner reads them."""
        lines = iter(self.runner("outputs").split("\n"))
        found = {}
        for line in lines:
            if line:
                name, _, end = line.partition("<<")
                found[name] = "\n".join(iter(lambda end=end: next(lines), end))  # type: ignore[misc]
        return found


@contextmanager
def make_bench(folder: Path) -> Iterator[Bench]:
    """One certificate, one Worker, one binding with a placeholder; no comment yet."""
    project = make_project(folder)
    project.write("runner/.keep", "")
    github = GitHub()
    with github.running():
        yield Bench(project, github)
