"""`plan --base`: what the change under review loosens is told first."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli import MTLS, Project, Result, make_project
from tests.support.gits import no_git
from tests.support.trees import git

LOOSE = MTLS.replace("[certificates", '[policy]\ngrace = "0s"\nmax_deletes = 1000\n\n[certificates', 1)


def commit(project: Project) -> None:
    """Everything as it is."""
    git(project.folder, "add", "--all")
    git(project.folder, "commit", "--quiet", "--message", "change")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A repository whose last commit loosens two guards."""
    (tmp_path / "repo").mkdir()
    made = make_project(tmp_path / "repo")
    git(made.folder, "init", "--quiet")
    commit(made)
    made.write("mtls.toml", LOOSE)
    commit(made)
    return made


def warned(result: Result) -> list[str]:
    """The findings about guards, which are the first ones."""
    codes = [one["code"] for one in result.json["diagnostics"]]
    told = [code for code in codes if code.startswith("guard")]
    assert codes[: len(told)] == told
    return told


def test_what_is_weaker_comes_first_in_every_format(project: Project) -> None:
    """With its values and its line; the exit code stays, for the reviewer decides."""
    made = project.run("plan", "--base", "HEAD^1", "--format", "json", "--out", "plan.json")
    assert made.code == 0
    assert warned(made) == ["guard-weakened", "guard-weakened"]
    assert made.json["weakened"] == [
        {"guard": "grace", "before": "7d", "after": "0s", "path": "policy.grace"},
        {"guard": "max_deletes", "before": "10", "after": "1000", "path": "policy.max_deletes"},
    ]
    first = made.json["diagnostics"][0]
    assert (first["severity"], first["path"], first["line"]) == ("warning", "mtls.toml", 5)
    for command in (("plan", "--base", "HEAD^1"), ("show", "plan.json")):
        text = project.run(*command).out
        assert text.startswith("warning[guard-weakened]: `policy.grace` is weaker than at HEAD^1: 7d -> 0s, so")
        assert "GUARDS WEAKENED: grace, max_deletes; see the warnings" in text
        page = project.run(*command, "--format", "markdown").out.splitlines()
        assert page[4] == "**`GUARDS WEAKENED: grace, max_deletes; see the warnings`**"
        assert page[9].startswith("warning[guard-weakened]: ")


def test_errors_do_not_push_it_out_of_a_page(project: Project) -> None:
    """A page shows ten findings; a pull request can bring any number of errors."""
    broken = "".join(f'[certificates.x{number}]\ncertificate = "none{number}.pem"\n' for number in range(20))
    project.write("mtls.toml", LOOSE + broken)
    page = project.run("plan", "--base", "HEAD^1", "--format", "markdown").out
    assert page.index("warning[guard-weakened]") < page.index("error[")


def test_without_the_option_or_without_a_change_nothing_is_told(project: Project) -> None:
    """An empty list says that the guards were compared; no list, that they were not."""
    same = project.run("plan", "--base", "HEAD", "--format", "json")
    assert (warned(same), same.json["weakened"]) == ([], [])
    asked = project.run("plan", "--format", "json")
    assert (warned(asked), "weakened" in asked.json) == ([], False)


def test_the_digest_is_that_of_the_same_plan_without_the_option(project: Project) -> None:
    """What is weaker is no change; so an approved plan stays one."""
    with_base = project.run("plan", "--base", "HEAD^1", "--format", "json", "--out", "plan.json").json
    assert with_base["digest"] == project.run("plan", "--format", "json").json["digest"]
    assert project.run("apply", "plan.json").code == 0


def test_the_limits_of_the_operator_hide_nothing(project: Project) -> None:
    """The job that plans may have them, and the one that applies may not."""
    project.environ |= {"MTLSCTL_MAX_DELETES": "3", "MTLSCTL_MIN_GRACE": "7d"}
    assert len(project.run("plan", "--base", "HEAD^1", "--format", "json").json["weakened"]) == 2


@pytest.mark.parametrize(
    ("revision", "message", "hint"),
    [
        ("nope", "git has no such revision here", "fetch-depth: 2"),
        ("--help", "is not a revision", "HEAD^1"),
        ("", "is not a revision", "HEAD^1"),
        ("a\x1b[2J", "`--base a\\x1b[2J` is not a revision", "HEAD^1"),
    ],
)
def test_a_revision_that_is_none_is_wrong_use(project: Project, revision: str, message: str, hint: str) -> None:
    """Exit code 64, before anything is read from the account."""
    result = project.run("plan", f"--base={revision}")
    assert (result.code, result.out) == (64, "")
    assert message in result.err
    assert hint in result.err


def test_outside_of_a_repository_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    """The message says so."""
    result = make_project(tmp_path).run("plan", "--base", "HEAD")
    assert result.code == 64
    assert "`--base` needs a git repository" in result.err


def test_a_file_that_is_new_is_told(project: Project) -> None:
    """Or moved: then the change may loosen anything."""
    git(project.folder, "mv", "mtls.toml", "other.toml")
    result = project.run("--file", "other.toml", "plan", "--base", "HEAD", "--format", "json")
    assert (result.code, warned(result), "weakened" in result.json) == (0, ["guards-not-compared"], False)
    (first, *_) = result.json["diagnostics"]
    assert first["message"] == "the guards in other.toml were not compared: it does not exist at HEAD"
    assert "if this stack is new" in first["hint"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version = 1\n", "(missing-key: `stack` is missing)"),
        ("[[[", "(toml-syntax: "),
        ("x = 1\n" * 200_000, "had 1,200,000 bytes"),
        ('version = 1\nstack = "a"\nrequired_version = ">=99"\n', "(required-version: "),
    ],
    ids=["schema", "syntax", "size", "version"],
)
def test_a_base_that_can_not_be_read_is_told(project: Project, text: str, message: str) -> None:
    """Never passed over: the finding is first, and the document has no list."""
    project.write("mtls.toml", text)
    commit(project)
    project.write("mtls.toml", MTLS)
    result = project.run("plan", "--base", "HEAD", "--format", "json")
    assert (result.code, warned(result), "weakened" in result.json) == (0, ["guards-not-compared"], False)
    assert message in result.json["diagnostics"][0]["message"]
    page = project.run("plan", "--base", "HEAD", "--format", "markdown").out
    assert "warning[guards-not-compared]" in page.partition("<details>")[0]


def test_without_git_it_is_told_too(project: Project, tmp_path: Path) -> None:
    """And the plan is made."""
    project.environ["PATH"] = no_git(tmp_path)
    result = project.run("plan", "--base", "HEAD", "--format", "json")
    assert (result.code, warned(result)) == (0, ["guards-not-compared"])
    assert "git is not installed" in result.json["diagnostics"][0]["message"]
    assert result.json["changes"]


HOSTILE = "x](http://evil) <!-- mtlsctl:plan --> @team ```\u202e"


def test_hostile_names_in_either_revision_do_nothing(project: Project) -> None:
    """Markup, markers, mentions, fences, and characters that turn a line around."""
    value = HOSTILE.replace("\u202e", "")
    rules = f"[policy.certificates]\nissuers = ['{value}']\n\n[certificates"
    env = f"\n[workers.checkout.env.'{value}']\n"
    project.write("mtls.toml", MTLS.replace("[certificates", rules, 1) + env)
    commit(project)
    project.write("mtls.toml", MTLS + env + "deployed = false\n")
    result = project.run("plan", "--base", "HEAD", "--format", "markdown")
    head, _, details = result.out.partition("<details>")
    assert "guard-weakened" in head
    outside = [part for index, part in enumerate(head.split("````text" if "````" in head else "```text")) if not index]
    assert all(bad not in outside[0] for bad in ("<!--", "@team", "](http"))
    assert head.count("\n````text") + head.count("\n```text") == 1
    assert details
    document = project.run("plan", "--base", "HEAD", "--format", "json")
    assert {one["guard"] for one in document.json["weakened"]} == {"issuers", "deployed"}
