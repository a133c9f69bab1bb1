"""`mtlsctl ci github` against a fake of GitHub's API on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.cli import Project, Result, make_project
from tests.support.forges import TOKEN, GitHub

HEAD = "a" * 40
MARKER = "<!-- mtlsctl:plan:payments -->"


@dataclass
class Bench:
    """A project in a job of GitHub Actions on the pull request 7, and the forge."""

    project: Project
    github: GitHub

    def ci(self, *arguments: str, run: int = 50, attempt: int = 1, commit: str = HEAD, **environ: str) -> Result:
        """`mtlsctl ci github ...` as the run of a commit; its files are new."""
        folder = self.project.folder
        for name in ("summary", "outputs"):
            (folder / "runner" / name).unlink(missing_ok=True)
        event = {"pull_request": {"number": 7, "head": {"sha": commit}}, "repository": {"full_name": "acme/shop"}}
        self.project.write("runner/event.json", json.dumps(event))
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


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    project = make_project(tmp_path)
    project.write("runner/.keep", "")
    github = GitHub()
    with github.running():
        yield Bench(project, github)


def test_a_plan_is_one_comment_that_later_runs_update(bench: Bench) -> None:
    """Found by its marker, and edited in place."""
    bench.ci("plan")
    bench.ci("plan", run=51, commit="c" * 40)
    assert len(bench.own) == 1
    first, second, title = bench.own[0].split("\n")[:3]
    assert first == MARKER
    assert second == f"<!-- mtlsctl:run:51.1:{'c' * 40} -->"
    assert title.startswith("### mtlsctl plan `payments`: ")
    assert "Commit `cccccccccccc`" in bench.own[0]
    assert "digest `sha256:" in bench.own[0]
