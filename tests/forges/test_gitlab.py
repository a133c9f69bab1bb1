"""The API of GitLab: projects by their path, and merge requests that are not of the project's own branches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from reconciler.forges.gitlab import GitLab, open_gitlab
from reconciler.model.forges import FileChange, PullState
from tests.support import gitlab
from tests.support.forges import TOKEN

BASE = "a" * 40


@contextmanager
def running(fake: gitlab.GitLab, root: str = "") -> Iterator[GitLab]:
    """The project in a subgroup, on a GitLab whose address ends with `root`."""
    with fake.running() as url:
        opened = open_gitlab(f"{url}{root}/api/v4", "acme/team/shop", TOKEN, lambda _: None)
        try:
            yield opened
        finally:
            opened.close()


@pytest.fixture
def fake() -> gitlab.GitLab:
    """A project with one commit."""
    made = gitlab.GitLab()
    made.commit(BASE, {"certs/a.pem": b"old", "certs/gone.pem": b"gone"})
    return made


def test_a_project_in_a_subgroup_is_found_by_its_path(fake: gitlab.GitLab) -> None:
    """With every slash of path, branch and file quoted."""
    with running(fake) as forge:
        assert forge.branch("mtlsctl/renew/a") is None
        forge.create_branch("mtlsctl/renew/a", BASE)
        assert forge.branch("mtlsctl/renew/a") == BASE
    path = "/api/v4/projects/acme%2Fteam%2Fshop/repository/branches"
    assert fake.calls("GET")[0] == f"{path}/mtlsctl%2Frenew%2Fa"


def test_gitlab_may_be_below_a_path(fake: gitlab.GitLab) -> None:
    """As its `relative_url_root` has it."""
    with running(fake, "/git") as forge:
        forge.branch("main")
    assert fake.calls("GET") == ["/git/api/v4/projects/acme%2Fteam%2Fshop/repository/branches/main"]


def test_a_commit_replaces_a_branch_whatever_it_had(fake: gitlab.GitLab) -> None:
    """Also one that does not exist. Files are created, updated and deleted as its parent needs it."""
    changes = [FileChange("certs/a.pem", b"\xff\x00"), FileChange("b", b""), FileChange("certs/gone.pem", None)]
    with running(fake) as forge:
        for message in ("first", "second"):
            forge.commit("new", BASE, message, changes)
            assert fake.files_of("new") == {"certs/a.pem": b"\xff\x00", "b": b""}
            assert forge.message_of(fake.branches["new"]) == message
            assert fake.commits[fake.branches["new"]]["parents"] == [BASE]


def test_a_merge_request_of_a_fork_is_not_taken_for_ours(fake: gitlab.GitLab) -> None:
    """Anyone can open one whose branch has our name; it would stop every renewal."""
    fake.per_page = 1
    strange = {"state": "closed", "sha": BASE, "target_project_id": 42}
    fake.forked = [{**strange, "iid": 90, "source_project_id": 66}, {**strange, "iid": 91, "source_project_id": None}]
    with running(fake) as forge:
        assert forge.newest_pull("mine") is None
        fake.branches["mine"] = BASE
        opened = forge.open_pull("mine", "main", "Title", "Body")
        assert forge.newest_pull("mine") == opened
        assert (opened.number, opened.state, opened.head) == (30, PullState.OPEN, BASE)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("open", PullState.OPEN),
        ("locked", PullState.OPEN),
        ("merged", PullState.MERGED),
        ("closed", PullState.CLOSED),
    ],
)
def test_the_states_of_a_merge_request(fake: gitlab.GitLab, state: str, expected: PullState) -> None:
    """One that is being merged is `locked`."""
    fake.branches["mine"] = BASE
    fake.add_pull("mine", "main", "Title", "Body")["state"] = state
    with running(fake) as forge:
        found = forge.newest_pull("mine")
    assert found is not None
    assert found.state is expected


def test_no_line_of_a_body_is_a_quick_action(fake: gitlab.GitLab) -> None:
    """GitLab would obey it, and leave it out of the text."""
    fake.branches["mine"] = BASE
    with running(fake) as forge:
        forge.open_pull("mine", "main", "Title", "/merge\ntext")
        forge.add_issue("Title", "/close\ntext", "label")
    bodies = (fake.pulls[0]["body"], fake.issues[0]["description"])
    assert bodies == ("&#47;merge\ntext", "&#47;close\ntext")
