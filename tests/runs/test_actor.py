"""Who runs this: the user and the machine, or what a pipeline says; data of others, bounded and without secrets."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from reconciler.records.journal import Actor
from reconciler.runs.actor import find_actor
from tests.support.cli import Project

GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_ACTOR": "anna",
    "GITHUB_TRIGGERING_ACTOR": "octocat",
    "GITHUB_SERVER_URL": "https://github.example",
    "GITHUB_REPOSITORY": "acme/shop.api",
    "GITHUB_RUN_ID": "7",
    "GITHUB_RUN_ATTEMPT": "2",
    "GITHUB_SHA": "ab" * 20,
    "GITHUB_REF": "refs/heads/main",
}
GITLAB = {
    "GITLAB_CI": "true",
    "GITLAB_USER_LOGIN": "anna",
    "CI_JOB_URL": "https://gitlab.example/acme/shop/-/jobs/7",
    "CI_PIPELINE_URL": "https://gitlab.example/acme/shop/-/pipelines/3",
    "CI_COMMIT_SHA": "cd" * 20,
    "CI_COMMIT_REF_NAME": "main",
}
RUN_URL = "https://github.example/acme/shop.api/actions/runs/7"
SECRET = "canary-0123456789"


def actor(environ: Mapping[str, str], user: str = "runner", host: str = "box") -> dict[str, str]:
    return find_actor(environ, user, host).model_dump(exclude_none=True)


def test_on_a_machine_it_is_its_user_and_host() -> None:
    """Also in another pipeline, and where a forge's variables are set outside of it."""
    assert actor({"BUILDKITE": "true", "GITHUB_ACTOR": "x", "CI_COMMIT_SHA": "x"}) == {"user": "runner", "host": "box"}


def test_on_github_it_is_who_started_the_run_with_its_page_commit_and_ref() -> None:
    """Of a run that was started again, who did that, not who started the first."""
    assert actor(GITHUB) == {
        "user": "runner",
        "host": "box",
        "forge": "github",
        "login": "octocat",
        "run_url": f"{RUN_URL}/attempts/2",
        "commit": "ab" * 20,
        "ref": "refs/heads/main",
    }
    older = {
        key: value for key, value in GITHUB.items() if key not in {"GITHUB_TRIGGERING_ACTOR", "GITHUB_RUN_ATTEMPT"}
    }
    assert (actor(older)["login"], actor(older)["run_url"]) == ("anna", RUN_URL)


def test_on_gitlab_it_is_who_started_the_job_with_its_page_commit_and_ref() -> None:
    """The pipeline's page where the job has none."""
    assert actor(GITLAB) == {
        "user": "runner",
        "host": "box",
        "forge": "gitlab",
        "login": "anna",
        "run_url": GITLAB["CI_JOB_URL"],
        "commit": "cd" * 20,
        "ref": "main",
    }
    assert actor({**GITLAB, "CI_JOB_URL": ""})["run_url"] == GITLAB["CI_PIPELINE_URL"]


def test_what_a_pipeline_does_not_say_is_left_out() -> None:
    """Nothing is made up."""
    assert actor({"GITHUB_ACTIONS": "true"}) == {"user": "runner", "host": "box", "forge": "github"}
    assert actor({"GITLAB_CI": "true"}) == {"user": "runner", "host": "box", "forge": "gitlab"}


@pytest.mark.parametrize(
    ("variable", "value", "found"),
    [
        ("GITHUB_SERVER_URL", f"https://bot:{SECRET}@github.example", f"{RUN_URL}/attempts/2"),
        ("GITHUB_SERVER_URL", f"https://{SECRET}@github.example:8443/", f"{RUN_URL}/attempts/2"),
        ("GITHUB_SERVER_URL", f"https://github.example?token={SECRET}", f"{RUN_URL}/attempts/2"),
        ("GITHUB_SERVER_URL", f"https://github.example/#{SECRET}", f"{RUN_URL}/attempts/2"),
        ("GITHUB_SERVER_URL", "javascript:alert(1)//", None),
        ("GITHUB_SERVER_URL", "https://[", None),
        ("GITHUB_SERVER_URL", "", None),
        ("GITHUB_SERVER_URL", "https://git\x1b[2Jhub.example", None),
        ("GITHUB_REPOSITORY", "acme/shop/../../evil", None),
        ("GITHUB_REPOSITORY", "a/b?x", None),
        ("GITHUB_RUN_ID", "7\n::error::", None),
        ("GITHUB_REPOSITORY", f"a/{'b' * 2000}", None),
    ],
)
def test_an_address_has_no_credentials_and_no_surprises(variable: str, value: str, found: str | None) -> None:
    """What is not plainly the page of a run is left out."""
    shown = actor({**GITHUB, variable: value})
    assert SECRET not in json.dumps(shown)
    url = shown.get("run_url")
    assert (url and url.replace(":8443", "")) == found


def test_an_address_of_gitlab_has_no_credentials_either() -> None:
    """Nor a query or a fragment."""
    url = f"https://gitlab-ci-token:{SECRET}@gitlab.example/a/-/jobs/7?private_token={SECRET}#{SECRET}"
    assert actor({**GITLAB, "CI_JOB_URL": url})["run_url"] == "https://gitlab.example/a/-/jobs/7"


def test_every_value_is_bounded_and_can_be_written() -> None:
    """A branch's name may be long, or have bytes that are not UTF-8."""
    odd = find_actor({**GITHUB, "GITHUB_REF": "\udcff" + "x" * 5000, "GITHUB_SHA": "y" * 5000}, "z" * 5000, "h\udcff")
    assert odd.ref is not None
    assert (len(odd.ref), odd.ref[:2], len(odd.commit or ""), len(odd.user), odd.host) == (255, "?x", 255, 255, "h?")
    assert Actor.model_validate_json(odd.model_dump_json()) == odd


@pytest.mark.parametrize("secret", [f"https://bot:{SECRET}@github.example", f"https://github.example/?t={SECRET}"])
def test_no_credential_of_an_address_reaches_a_file_or_an_output(project: Project, secret: str) -> None:
    """The journal, the record, the history in every format."""
    project.environ.update({**GITHUB, "GITHUB_SERVER_URL": secret, "GITHUB_TOKEN": SECRET})
    results = [project.run("apply", "--yes", "--record", "record.json")]
    results += [project.run("history", "--format", kind) for kind in ("text", "json", "markdown")]
    assert [result.code for result in results] == [0] * 4
    assert "octocat" in results[1].out
    texts = [text for result in results for text in (result.out, result.err)]
    texts += [path.read_bytes().decode("latin-1") for path in project.folder.rglob("*") if path.is_file()]
    assert not any(SECRET in text for text in texts)
