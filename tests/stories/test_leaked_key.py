"""The recipe for a leaked key, with default settings, as the how-to page has it: the real wrangler, both ways."""

from __future__ import annotations

import pytest

from tests.apply.test_deploy_wrangler import MTLS, bench, file_id, project
from tests.emulator.test_wrangler import Bench
from tests.support.cli import Project

__all__ = ["bench", "project"]

DEFAULTS = MTLS.replace('policy = { grace = "0s", rollback_versions = 0 }\n', "")


@pytest.fixture
def leaked(bench: Bench, project: Project) -> tuple[Bench, Project]:
    """A deployed Worker; its certificate file was replaced."""
    assert "policy" not in DEFAULTS
    project.write("mtls.toml", DEFAULTS)
    return bench, project


@pytest.mark.parametrize("ignored", [False, True], ids=["deployed-again", "rollback-given-up"])
def test_a_leaked_key_is_gone_today(leaked: tuple[Bench, Project], ignored: bool) -> None:
    """Upload and bind, deploy, retire: kept for a rollback, until one more deploy or the option."""
    bench, project = leaked
    (old,) = bench.serving()
    assert project.run("apply", "--only", "billing", "--yes").code == 0
    bench.passes("deploy", "--config", "wrangler.toml", "--env=")
    assert bench.serving() == {file_id(project)} != {old}
    kept = project.run("retire", "billing", "--now", "--yes")
    assert kept.code == 3
    assert "deploy tiny once more (`wrangler deploy --config wrangler.toml --env=`)" in kept.err
    if not ignored:
        bench.passes("deploy", "--config", "wrangler.toml", "--env=")
    options = ("--ignore-rollback",) if ignored else ()
    done = project.run("retire", "billing", "--now", "--yes", *options)
    assert done.code == 0, done.out + done.err
    assert ("no one can roll back to version" in done.out) is ignored
    assert [entry.id for entry in bench.state.account().entries()] == [file_id(project)]
    assert project.run("drift", "--live").code == 0
    assert project.run("retire", "billing", "--now").code == 0
