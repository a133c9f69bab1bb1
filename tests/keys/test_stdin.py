"""Keys that are piped into a run: one, or those of several certificates, and what is no pipe."""

from __future__ import annotations

import contextlib
import os
import pty
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from reconciler.system import piped
from tests.cli.test_canaries import LOGS, search
from tests.support.cli import MTLS, Project, Result, make_project
from tests.support.paths import REPOSITORY
from tests.support.worlds import issued

ONE = MTLS.replace('{ env = "BILLING_KEY" }', "{ stdin = true }")
TWO = (
    ONE
    + """
[certificates.second]
certificate = "certs/second.pem"
private_key = { stdin = true }
"""
)
FIRST, SECOND, OTHER = (issued(number).key_pem for number in (1, 2, 3))


def declare(folder: Path, mtls: str = ONE) -> Project:
    """A project whose keys come from standard input."""
    project = make_project(folder, mtls)
    project.certificate("second", 2)
    project.environ = {}
    return project


@contextlib.contextmanager
def printed(data: bytes, *, ends: bool = True) -> Iterator[TextIO]:
    """Standard input, into which another program printed this; unless `ends`, it stays open."""
    reading, writing = os.pipe()

    def write() -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(writing, data)
        if ends:
            os.close(writing)

    writer = threading.Thread(target=write)
    writer.start()
    with open(reading, encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor
        yield stream
    writer.join()
    if not ends:
        os.close(writing)


def applied(project: Project, data: bytes, *more: str) -> Result:
    """`PROGRAM | mtlsctl apply --yes`, where the program prints this."""
    with printed(data) as stream:
        return project.run("apply", "--yes", *more, stdin=stream)


def shown(result: Result) -> str:
    """All that it printed, on one line."""
    return " ".join((result.out + result.err).split())


@pytest.mark.parametrize("log", LOGS, ids=["text", "json"])
def test_one_key_is_uploaded_and_written_nowhere(tmp_path: Path, log: tuple[str, ...]) -> None:
    """Whatever is around it; the plan says where it comes from, and a second run needs none."""
    project = declare(tmp_path)
    results = [project.run("plan"), applied(project, b"Bag Attributes\n" + FIRST, *log)]
    assert [result.code for result in results] == [0, 0], results[1].out + results[1].err
    assert "needs standard input" in shown(results[0])
    results += [project.run("apply", "--yes"), project.run("history", "--format", "json")]
    assert [result.code for result in results[2:]] == [0, 0]
    search(project, results, (1,), ())


@pytest.mark.parametrize("keys", [FIRST + SECOND, SECOND + OTHER + FIRST + FIRST], ids=["two", "more in another order"])
def test_each_certificate_gets_its_own_key_of_a_stream(tmp_path: Path, keys: bytes) -> None:
    """By its public key; keys of no certificate are left alone."""
    project = declare(tmp_path, TWO)
    result = applied(project, keys, "--format", "json")
    assert result.code == 0, result.out + result.err
    assert [step["change"]["action"] for step in result.json["done"]] == ["upload", "upload", "rebind"]
    search(project, [result], (1, 2, 3), ())


def test_a_certificate_without_its_key_is_the_only_one_that_fails(tmp_path: Path) -> None:
    """The others are uploaded; the finding says how many keys there were, and for what."""
    project = declare(tmp_path, TWO)
    result = applied(project, FIRST + OTHER)
    assert result.code == 5
    assert "error[key-mismatch]" in result.out
    message = "none of the 2 private keys on standard input belongs to the certificate (CN=client-2)"
    assert message in shown(result)
    search(project, [result], (1, 2, 3), ())


def test_an_encrypted_key_is_piped_like_any_other(tmp_path: Path) -> None:
    """With its passphrase in a variable; or the passphrase is piped, and the key is in a file."""
    locked = issued(1).encrypted_key_pem()
    project = declare(tmp_path, ONE.replace("{ stdin = true }", '{ stdin = true, passphrase = { env = "P" } }'))
    project.environ["P"] = "password"
    assert applied(project, locked).code == 0
    other = declare(
        tmp_path / "other", ONE.replace("{ stdin = true }", '{ file = "x.key", passphrase = { stdin = true } }')
    )
    other.write("x.key", locked).chmod(0o600)
    assert applied(other, b"password\n").code == 0


WRONG = {
    "empty": (b"", "the private key is read from standard input, which is empty"),
    "blank": (b" \n", "the private key is read from standard input, which is empty"),
    "another key": (SECOND, "key-mismatch"),
    "no key": (b"hello", "private key"),
    "binary": (bytes(range(256)), "private key"),
    "two that are damaged": (FIRST[:60] + FIRST[:60], "private key"),
    "too much": (b"x" * 2_000_000, "standard input has more than 1,000,000 bytes"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_key_changes_nothing(tmp_path: Path, case: str) -> None:
    """One finding, without a part of it."""
    data, message = WRONG[case]
    project = declare(tmp_path)
    before = project.read("wrangler.toml")
    result = applied(project, data)
    assert (result.code, project.read("wrangler.toml")) == (1, before)
    assert message in shown(result)
    assert "Traceback" not in shown(result)
    search(project, [result], (1, 2), ())


def test_a_program_that_does_not_end_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After as long as a person needs to unlock something."""
    monkeypatch.setattr(piped, "LONGEST_S", 0.2)
    with printed(FIRST, ends=False) as stream:
        result = declare(tmp_path).run("apply", "--yes", stdin=stream)
    assert result.code == 1
    assert "standard input did not end within 0 s" in shown(result)


def test_a_terminal_is_refused(tmp_path: Path) -> None:
    """Nobody types a key; the finding says what to do instead."""
    project = declare(tmp_path)
    ours, theirs = pty.openpty()
    with open(theirs, encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor
        result = project.run("apply", "--yes", stdin=stream)
    os.close(ours)
    assert result.code == 1
    assert "error[key-unavailable]: the private key is read from standard input, which is a terminal" in shown(result)
    assert "COMMAND | mtlsctl apply --yes" in shown(result)


def test_at_a_terminal_it_is_said_before_the_question(tmp_path: Path) -> None:
    """So that nobody says yes to what can't be done."""
    project = declare(tmp_path)
    ours, theirs = pty.openpty()
    os.write(ours, b"n\n")
    with open(theirs, encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor
        result = project.run("apply", stdin=stream)
    os.close(ours)
    assert "warning: its key is read from standard input, which is a terminal, so the upload of billing" in shown(
        result
    )


@pytest.mark.parametrize("command", [["validate"], ["plan"], ["doctor"], ["status"], ["drift"], ["plan", "--offline"]])
def test_nothing_but_apply_and_verify_reads_it(tmp_path: Path, command: list[str]) -> None:
    """A pipeline may have anything there, or nothing that ever ends."""
    with printed(b"", ends=False) as stream:
        assert declare(tmp_path).run(*command, stdin=stream).code in (0, 2)


def test_without_a_pipe_there_is_no_key(tmp_path: Path) -> None:
    """A closed standard input, as of some schedulers, is an empty one."""
    declare(tmp_path)
    command = [sys.executable, "-m", "reconciler", "apply", "--yes"]
    script = shlex.join(command) + " <&-"
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "which is empty" in " ".join(done.stdout.split())


@pytest.mark.parametrize("value", ["false", '"x"', "1", "{}"])
def test_stdin_is_true_or_not_there(tmp_path: Path, value: str) -> None:
    """Anything else is a mistake in mtls.toml."""
    result = declare(tmp_path, ONE.replace("stdin = true", f"stdin = {value}")).run("validate")
    assert (result.code, "`stdin` in `[certificates.billing.private_key]`" in shown(result)) == (1, True)
    assert "must be true" in shown(result)
