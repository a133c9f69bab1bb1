"""Real processes, really killed: whatever the point, the next run finishes the job and nothing is left behind."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import tomllib
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest

from tests.cli.test_canaries import windows
from tests.support.cli import Project, Result
from tests.support.paths import REPOSITORY
from tests.support.pki import Issued, make_ca

DRIVER = REPOSITORY / "tests/support/killing.py"
COUNT = 12
PLACEHOLDER = "<CERTIFICATE_ID>"
OURS = "# ours: keep this"


@cache
def leaves() -> tuple[Issued, ...]:
    """Certificates that are valid today, for the process has the clock of this machine."""
    begin = datetime.now(UTC) - timedelta(days=1)
    end = begin + timedelta(days=300)
    root = make_ca("Root", not_before=begin, not_after=end)
    return tuple(root.issue(f"client-{number}", not_before=begin, not_after=end) for number in range(2 * COUNT))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Twelve certificates, each bound in two environments of a file of its own; nothing stored yet."""
    project = Project(tmp_path)
    lines = ['version = 1\nstack = "payments"\n[policy]\ngrace = "0s"\nmax_deletes = 100']
    for number in range(COUNT):
        name = f"c{number:02}"
        lines.append(
            f'[certificates.{name}]\ncertificate = "certs/{name}.pem"\nprivate_key = {{ env = "KEY_{number}" }}'
        )
        lines.append(
            f'[workers.{name}]\nconfig = "workers/{name}/wrangler.toml"\n[workers.{name}.bindings]\nA = "{name}"'
        )
        lines.append(f'[workers.{name}.env.staging.bindings]\nB = "{name}"')
        project.write(f"workers/{name}/wrangler.toml", wrangler(name))
    project.write("mtls.toml", "\n".join(lines) + "\n")
    put_certificates(project, 0)
    return project


def wrangler(name: str) -> str:
    """A file with a placeholder in one environment and nothing in the other."""
    entry = f'[[mtls_certificates]]\nbinding = "A"\ncertificate_id = "{PLACEHOLDER}"\n'
    return f'name = "{name}" {OURS}\n{entry}\n[env.staging.vars]\nX = 1 {OURS}\n'


def put_certificates(project: Project, first: int) -> None:
    """The certificates from the `first` on, with their keys."""
    for number, leaf in enumerate(leaves()[first : first + COUNT]):
        project.write(f"certs/c{number:02}.pem", leaf.certificate_pem)
        project.environ[f"KEY_{number}"] = leaf.key_pem.decode()


def run_until(project: Project, name: str, what: str, nth: int, when: str) -> subprocess.CompletedProcess[str]:
    """`mtlsctl apply --yes`, which gets the signal at a point that it must come to."""
    command = [sys.executable, str(DRIVER), name, what, str(nth), when, "apply", "--yes"]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(DRIVER.parent.parent), **project.environ}
    return subprocess.run(command, cwd=project.folder, env=environment, capture_output=True, text=True, check=False)


def rows(project: Project) -> dict[str, str]:
    """Id to content of every entry, read past the tool; nothing where nothing was stored."""
    path = project.folder / ".mtlsctl/store.db"
    if not path.exists():
        return {}
    connection = sqlite3.connect(path)
    try:
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return dict(connection.execute("SELECT id, digest FROM entries").fetchall()) if tables != (0,) else {}
    finally:
        connection.close()


def bound(project: Project) -> list[str]:
    """Every id that a file names; each file parses and has what was ours in it."""
    found = []
    for path in sorted(project.folder.glob("workers/*/wrangler.toml")):
        text = path.read_text()
        assert text.count(OURS) == 2
        values = tomllib.loads(text)
        for table in (values, values["env"]["staging"]):
            found += [entry["certificate_id"] for entry in table.get("mtls_certificates", ())]
    return found


def leftovers(project: Project) -> list[str]:
    """Files that only a run under way may have."""
    return [path.name for path in project.folder.rglob("*") if path.name.endswith((".tmp", "-journal"))]


def assert_nothing_points_nowhere(project: Project) -> None:
    assert set(bound(project)) - {PLACEHOLDER} <= rows(project).keys()


def finish(project: Project) -> Result:
    """One quiet run, after which everything is as declared and nothing is left."""
    result = project.run("apply", "--yes")
    assert result.code == 0, result.err
    assert project.run("plan", "--detailed-exitcode").code in (0, 2)
    assert leftovers(project) == []
    return result


def assert_settled(project: Project) -> None:
    """Exactly one entry a certificate, each bound twice; the plan is empty; no key is anywhere."""
    assert project.run("plan", "--detailed-exitcode").code == 0
    assert len(rows(project)) == len(set(rows(project).values())) == COUNT
    assert sorted(bound(project)) == sorted([*rows(project)] * 2)
    secret = set().union(*(windows(leaf) for leaf in leaves()))
    for path in project.folder.rglob("*"):
        text = path.read_bytes().decode("latin-1") if path.is_file() else ""
        assert not any(window in text for window in secret), path


# A first run writes 74 lines into the journal: it begins, 12 uploads, 24 bindings in 12 files, it ends.
POINTS = (
    *(("commit", nth, when) for nth in (1, 7, 12) for when in ("before", "after")),
    *(("replace", nth, when) for nth in (1, 7, 12) for when in ("before", "after")),
    *(("write", nth, when) for nth in (1, 2, 14, 25, 26, 27, 50, 74) for when in ("before", "half", "after")),
    *(("fsync", nth, when) for nth in (1, 14, 16, 18) for when in ("before", "after")),
)


@pytest.mark.parametrize(("what", "nth", "when"), POINTS)
def test_a_killed_first_run_is_finished_by_the_next(project: Project, what: str, nth: int, when: str) -> None:
    """SIGKILL, at uploads, at lines of the journal, at replacements of files."""
    assert run_until(project, "SIGKILL", what, nth, when).returncode == -signal.SIGKILL
    assert_nothing_points_nowhere(project)
    finish(project)
    assert_settled(project)


@pytest.mark.parametrize(("what", "nth", "when"), [point for point in POINTS if point[1] in (7, 16, 50)])
def test_a_killed_rotation_is_finished_by_the_next_two(project: Project, what: str, nth: int, when: str) -> None:
    """The next run finishes it but for the retires, which rule 5 leaves to the run after."""
    finish(project)
    put_certificates(project, COUNT)
    assert run_until(project, "SIGKILL", what, nth, when).returncode == -signal.SIGKILL
    assert_nothing_points_nowhere(project)
    finish(project)
    assert_nothing_points_nowhere(project)
    finish(project)
    assert_settled(project)


@pytest.mark.parametrize("nth", [1, 5, 12])
def test_a_killed_run_of_retires_is_finished_by_the_next(project: Project, nth: int) -> None:
    """What is deleted is deleted, and nothing else is."""
    finish(project)
    put_certificates(project, COUNT)
    finish(project)
    assert run_until(project, "SIGKILL", "commit", nth, "after").returncode == -signal.SIGKILL
    assert len(rows(project)) == 2 * COUNT - nth
    finish(project)
    assert_settled(project)


@pytest.mark.parametrize(
    ("name", "what", "nth"),
    [
        ("SIGTERM", what, nth)
        for what, nth in (("commit", 3), ("replace", 3), ("write", 20), ("write", 40), ("fsync", 16))
    ]
    + [("SIGINT", "write", 14), ("SIGINT", "replace", 1)],
)
def test_an_interrupted_run_says_so_and_the_next_one_finishes(project: Project, name: str, what: str, nth: int) -> None:
    """130, in words, with nothing half written; safe to run again."""
    ended = run_until(project, name, what, nth, "before")
    assert ended.returncode == 130, ended.stderr
    assert ended.stdout.splitlines()[-1] == "Next: mtlsctl apply"
    assert "Traceback" not in ended.stderr
    assert leftovers(project) == []
    assert_nothing_points_nowhere(project)
    finish(project)
    assert_settled(project)


def test_what_a_killed_run_left_goes_even_if_there_is_nothing_more_to_do(project: Project) -> None:
    """Somebody has finished by hand what the killed run was about; the next run still tidies up."""
    finish(project)
    before = project.read("mtls.toml")
    project.write("mtls.toml", before.replace('\nA = "c03"', '\nA2 = "c03"'))
    assert run_until(project, "SIGKILL", "replace", 1, "before").returncode == -signal.SIGKILL
    assert leftovers(project) != []
    project.write("mtls.toml", before)
    finish(project)
    assert_settled(project)
