"""Stacks of other repositories: read by git, changed in nothing but the account; a broken remote stops them alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.estates import Estate, make_estate
from tests.support.trees import git


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[Estate]:
    """Six stacks in three accounts; those of the third are in a repository of their own."""
    with make_estate(tmp_path / "checkout", stacks=6) as made:
        made.outdate("one/s1", 0, 1)
        made.outdate("three/s3", 2, 3)
        remote = tmp_path / "remote"
        remote.mkdir()
        shutil.move(made.folder / "three", remote / "three")
        git(remote, "init", "--quiet", "--initial-branch=main")
        git(remote, "add", ".")
        git(remote, "commit", "--quiet", "-m", "x")
        rule = f'git = {{ url = "{remote.as_uri()}" }}\nfiles = ["three'
        made.write("fleet.toml", made.read("fleet.toml").replace('files = ["three', rule))
        yield made


def remote_of(estate: Estate) -> Path:
    return estate.folder.parent / "remote"


def states(estate: Estate) -> dict[str, str]:
    result = estate.run("fleet", "status", "--format", "json")
    return {one["stack"]: one["state"] for one in result.json["stacks"]}


def test_stacks_of_another_repository_are_checked_and_retired_as_others(estate: Estate) -> None:
    """Under the address of their repository."""
    prefix = f"{remote_of(estate).as_uri()}#main:"
    listed = estate.run("fleet", "list", "--format", "json").json["stacks"]
    assert [one["file"] for one in listed if one["stack"] == "s3"] == [f"{prefix}three/s3/mtls.toml"]
    assert estate.entries(2) == 2
    assert estate.run("fleet", "run").code == 2
    assert (estate.entries(0), estate.entries(2)) == (1, 1)


def test_nothing_in_another_repository_is_changed(estate: Estate) -> None:
    """What is allowed by default is narrowed: an upload would need a binding in its wrangler file."""
    estate.write("fleet.toml", estate.read("fleet.toml").replace('act = "retire"', 'act = "all"'))
    head = git(remote_of(estate), "rev-parse", "HEAD")
    listed = estate.run("fleet", "list", "--format", "json").json["stacks"]
    assert {one["act"] for one in listed if one["account"] == "c" * 32} == {"retire"}
    notes = {one["stack"]: one.get("note") for one in estate.run("fleet", "run", "--format", "json").json["stacks"]}
    assert notes["s3"] == (
        'allowed by `act = "all"` of [defaults] at fleet.toml:5:1, at most retire for stacks of another repository'
    )
    assert estate.entries(2) == 1  # the old one was deleted, and nothing was uploaded for s6
    assert (git(remote_of(estate), "rev-parse", "HEAD"), git(remote_of(estate), "status", "--short")) == (head, "")


def test_a_new_commit_is_seen_by_the_next_pass(estate: Estate) -> None:
    """Nobody has to update anything."""
    estate.run("fleet", "run")
    remote = remote_of(estate)
    text = (remote / "three/s3/mtls.toml").read_text()
    (remote / "three/s3/mtls.toml").write_text(text.replace('"s3"', '"renamed"'))
    git(remote, "commit", "--quiet", "-a", "-m", "x")
    assert "renamed" in estate.run("fleet", "list").out


def test_a_status_needs_no_answer_of_a_repository_that_was_read_lately(estate: Estate) -> None:
    """It shows what the last pass found. Once that is older than two intervals, git is asked again."""
    estate.run("fleet", "run")
    remote_of(estate).rename(estate.folder.parent / "away")
    assert states(estate)["s3"] != "vanished"
    for tree in (estate.folder / ".mtlsctl/mirrors").glob("*/*"):
        os.utime(tree, (0, 0))
    assert states(estate)["s3"] == "vanished"


def test_a_repository_that_cannot_be_read_stops_its_stacks_alone(estate: Estate) -> None:
    """They are no stacks that left, and not few enough to stop everything: the others are changed."""
    assert estate.run("fleet", "plan").code == 2
    estate.write("fleet.toml", estate.read("fleet.toml").replace('act = "retire"', 'act = "none"'))
    estate.run("fleet", "run")
    estate.write("fleet.toml", estate.read("fleet.toml").replace('act = "none"', 'act = "retire"'))
    remote_of(estate).rename(estate.folder.parent / "away")
    result = estate.run("fleet", "run", "--all", "--format", "json")
    alarms = [one for one in result.json["stacks"] if one["file"] == "fleet.toml"]
    assert [one["code"] for alarm in alarms for one in alarm["diagnostics"]] == ["git-mirror"]
    assert (
        alarms[0]["diagnostics"][0]["line"]
        == estate.read("fleet.toml").splitlines().index(f'git = {{ url = "{remote_of(estate).as_uri()}" }}') + 1
    )
    assert result.code == 5
    assert (estate.entries(0), estate.entries(2)) == (1, 2)
    assert {name: state for name, state in states(estate).items() if name in {"s3", "s6"}} == {
        "s3": "vanished",
        "s6": "vanished",
    }


@pytest.mark.parametrize(("option", "word"), [("--tag", "far"), ("--only", "s3")])
def test_a_selection_names_the_repository_that_cannot_be_read(estate: Estate, option: str, word: str) -> None:
    """And the stacks of it that are remembered; other words match nothing, as ever."""
    estate.write(
        "fleet.toml",
        estate.read("fleet.toml").replace('\ncredential = "three"', '\ncredential = "three"\ntags = ["far"]'),
    )
    estate.run("fleet", "run")
    remote_of(estate).rename(estate.folder.parent / "away")
    result = estate.run("fleet", "list", option, word)
    said = " ".join(result.err.split())
    known = "s3 (cccccccc), s6 (cccccccc)" if option == "--tag" else "s3 (cccccccc)"
    assert (result.code, "error[git-mirror]" in said, f"not found now: {known}" in said) == (1, True, True), said
    assert estate.run("fleet", "list", "--tag", "near").code == 64


def test_a_link_that_leads_out_of_its_repository_is_refused(estate: Estate) -> None:
    """It would make a file of this machine an mtls.toml."""
    remote, outside = remote_of(estate), estate.folder.parent / "outside.toml"
    (remote / "three/s3/mtls.toml").rename(outside)
    (remote / "three/s3/mtls.toml").symlink_to(outside)
    git(remote, "commit", "--quiet", "-a", "-m", "x")
    result = estate.run("fleet", "validate", "--format", "json")
    found = [one for stack in result.json["stacks"] for one in stack.get("diagnostics", ())]
    (error,) = (one["message"] for one in found if one["severity"] == "error")
    assert error.endswith("which is outside the project")


def test_what_changed_here_does_not_tell_of_another_repository(estate: Estate) -> None:
    """A pipeline of this repository has no work for it, unless fleet.toml itself has changed."""
    estate.git("add", "-A")
    estate.git("commit", "-q", "-m", "y")
    estate.write("one/s1/certs/billing.pem", "x")
    found = estate.run("fleet", "list", "--changed-since", "HEAD", "--format", "json").json["stacks"]
    assert [one["stack"] for one in found] == ["s1"]


def test_no_token_of_the_fleet_is_in_a_copy(estate: Estate) -> None:
    """Nor anything that the repository has not."""
    estate.run("fleet", "run")
    copies = [path.parent for path in (estate.folder / ".mtlsctl/mirrors").glob("*/*/.git")]
    assert len(copies) == 1
    found = subprocess.run(["grep", "-rl", "canary-token", str(copies[0])], capture_output=True, text=True, check=False)
    assert found.stdout == ""
