"""The lock of a checkout, between real processes: they synchronize through pipes, and nothing waits by time."""

from __future__ import annotations

import errno
import os
import pwd
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from reconciler.findings.errors import FileError, LockedError
from reconciler.findings.exits import ExitCode
from reconciler.system.lock import checkout_lock
from tests.support.memory import MemoryClock
from tests.support.paths import REPOSITORY

HOLD = """
import sys
from pathlib import Path
from reconciler.system.clock import SystemClock
from reconciler.system.lock import checkout_lock

with checkout_lock(Path(sys.argv[1]), command="apply", clock=SystemClock(), timeout_s=0, waiting=print):
    print("held", flush=True)
    sys.stdin.readline()
"""

WAIT = """
import sys
from pathlib import Path
from reconciler.system.clock import SystemClock
from reconciler.system.lock import checkout_lock

def waiting(text):
    print(text, flush=True)

with checkout_lock(Path(sys.argv[1]), command="retire", clock=SystemClock(), timeout_s=60, waiting=waiting):
    print("held", flush=True)
"""

Start = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a process in the folder of the test."""
    with ExitStack() as children:

        def start(script: str) -> subprocess.Popen[str]:
            child = children.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", script, tmp_path],
                    cwd=REPOSITORY,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            children.callback(child.kill)
            return child

        yield start


def line_of(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().rstrip("\n")


def lock(
    folder: Path, waiting: Callable[[str], None] = print, timeout_s: float = 0, *, shared: bool = False
) -> AbstractContextManager[Callable[[], None]]:
    clock = MemoryClock()
    return checkout_lock(folder, command="apply", clock=clock, timeout_s=timeout_s, waiting=waiting, shared=shared)


def refusal(folder: Path) -> LockedError:
    with pytest.raises(LockedError) as caught, lock(folder):
        pass
    return caught.value


def test_a_second_process_is_told_who_holds_it(tmp_path: Path, start: Start) -> None:
    """The command, the process and its start; exit 6, and a hint."""
    child = start(HOLD)
    assert line_of(child) == "held"
    error = refusal(tmp_path)
    assert error.exit_code is ExitCode.LOCKED
    assert f"pid {child.pid}" in error.message
    assert f"on {os.uname().nodename}" in error.message
    assert "`mtlsctl apply`" in error.message
    assert "since 20" in error.message
    assert error.hint is not None
    assert "--lock-timeout" in error.hint


def test_those_who_share_it_keep_others_out(tmp_path: Path) -> None:
    """Until the last of them is done; and no one shares it with a run that does not."""
    with lock(tmp_path, shared=True):
        with lock(tmp_path, shared=True) as held:
            held()
        refusal(tmp_path)
    with lock(tmp_path), pytest.raises(LockedError), lock(tmp_path, shared=True):
        pass


def test_it_is_free_when_its_holder_was_killed(tmp_path: Path, start: Start) -> None:
    """The text of the dead holder is still in the file and does not count."""
    child = start(HOLD)
    assert line_of(child) == "held"
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=30)
    assert str(child.pid) in (tmp_path / ".mtlsctl/lock").read_text()
    told: list[str] = []
    with lock(tmp_path, told.append):
        assert f'"pid":{os.getpid()}' in (tmp_path / ".mtlsctl/lock").read_text()
    assert told == []


def test_a_run_waits_and_gets_it_when_the_other_ends(tmp_path: Path, start: Start) -> None:
    """It reports only once which run it waits for."""
    with lock(tmp_path):
        child = start(WAIT)
        assert line_of(child) == (
            f"waiting for `mtlsctl apply` of {user()} on {os.uname().nodename}, pid {os.getpid()}, "
            "since 2026-11-23T12:00:00Z"
        )
    assert line_of(child) == "held"
    assert child.communicate(timeout=30)[0] == ""
    assert child.returncode == 0


def test_a_run_waits_no_longer_than_it_is_told(tmp_path: Path) -> None:
    """Then it ends as if it had not waited."""
    told: list[str] = []
    with lock(tmp_path), pytest.raises(LockedError), lock(tmp_path, told.append, timeout_s=0.01):
        pass
    assert len(told) == 1


def test_it_is_free_afterwards_and_the_file_stays(tmp_path: Path) -> None:
    """Also after an exception; and the file no longer names the holder."""
    with pytest.raises(ZeroDivisionError), lock(tmp_path):
        raise ZeroDivisionError
    with lock(tmp_path):
        pass
    assert (tmp_path / ".mtlsctl/lock").read_bytes() == b""


def replaced(root: Path) -> None:
    (root / ".mtlsctl/lock").rename(root / "x")
    (root / ".mtlsctl/lock").touch()


def linked(root: Path) -> None:
    (root / ".mtlsctl/lock").rename(root / "x")
    (root / ".mtlsctl/lock").symlink_to("../x")


LOSSES: dict[str, Callable[[Path], object]] = {
    "deleted": lambda root: (root / ".mtlsctl/lock").unlink(),
    "replaced": replaced,
    "a link to it": linked,
    "moved with its folder": lambda root: (root / ".mtlsctl").rename(root / "moved"),
}


@pytest.mark.parametrize("how", LOSSES)
def test_its_holder_finds_out_that_the_file_is_another(tmp_path: Path, how: str) -> None:
    """Another run could lock the new file; so the first one stops."""
    with lock(tmp_path) as demand:
        demand()
        LOSSES[how](tmp_path)
        with pytest.raises(LockedError, match="deleted or replaced") as caught:
            demand()
        assert caught.value.exit_code is ExitCode.LOCKED


def test_who_waited_for_a_file_that_was_replaced_locks_the_new_one(tmp_path: Path, start: Start) -> None:
    """Else it would hold the lock of a file that nobody else opens."""
    with lock(tmp_path):
        child = start(WAIT.replace("waiting=waiting):", "waiting=waiting) as demand:\n    demand()"))
        assert line_of(child).startswith("waiting for ")
        (tmp_path / ".mtlsctl/lock").unlink()
        (tmp_path / ".mtlsctl/lock").touch()
    assert line_of(child) == "held"
    assert child.wait(timeout=30) == 0


def test_who_was_refused_changes_nothing(tmp_path: Path) -> None:
    """The text of the holder stays, and so does the lock."""
    with lock(tmp_path):
        before = (tmp_path / ".mtlsctl/lock").read_bytes()
        refusal(tmp_path)
        refusal(tmp_path)
        assert (tmp_path / ".mtlsctl/lock").read_bytes() == before


def test_a_child_does_not_keep_it(tmp_path: Path, start: Start) -> None:
    """A process started meanwhile, which inherits everything inheritable, continues without the lock."""
    with lock(tmp_path):
        sleeper = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, close_fds=False)
    try:
        child = start(HOLD)
        assert line_of(child) == "held"
    finally:
        sleeper.communicate(timeout=30)


def test_a_child_of_a_killed_holder_does_not_keep_it(tmp_path: Path, start: Start) -> None:
    """No descriptor leaks into children of the holder."""
    script = HOLD.replace(
        '    print("held", flush=True)',
        "    import subprocess\n"
        '    subprocess.Popen(["/bin/cat"], stdout=subprocess.DEVNULL, close_fds=False)\n'
        '    print("held", flush=True)',
    ).replace("sys.stdin.readline()", "import signal; signal.pause()")
    child = start(script)
    assert line_of(child) == "held"
    child.send_signal(signal.SIGKILL)
    child.wait(timeout=30)
    with lock(tmp_path):
        pass


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b'{"pid":1}',
        b"\xff",
        b'{"pid":1,"host":"\\u001b[2J","user":"u","command":"c","since":"s"}',
        b"[" * 9999,
    ],
    ids=["empty", "torn", "parts", "no UTF-8", "an escape sequence", "deep"],
)
def test_a_text_that_is_not_ours_is_not_shown(tmp_path: Path, text: bytes) -> None:
    """The lock still counts."""
    with lock(tmp_path):
        (tmp_path / ".mtlsctl/lock").write_bytes(text)
        assert refusal(tmp_path).message == "this checkout is locked by another run of mtlsctl"


def test_hostile_names_become_plain(tmp_path: Path) -> None:
    """The text can be shown safely on the terminals of other users."""
    told: list[str] = []
    held = checkout_lock(
        tmp_path, command="ap\x1bply\n::add-mask::\u202e", clock=MemoryClock(), timeout_s=0, waiting=print
    )
    with held, pytest.raises(LockedError), lock(tmp_path, told.append, timeout_s=0.01):
        pass
    assert "`mtlsctl ap?ply?::add-mask::?`" in told[0]
    assert told[0].isprintable()


def test_it_is_made_for_this_user_and_not_for_git(tmp_path: Path) -> None:
    """Like everything in that folder."""
    with lock(tmp_path):
        pass
    folder = tmp_path / ".mtlsctl"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "lock").stat().st_mode) == 0o600
    assert (folder / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize("name", [".mtlsctl", ".mtlsctl/lock"])
def test_links_are_not_followed(tmp_path: Path, name: str) -> None:
    """A checkout may contain a link to anywhere; its target is not even opened."""
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    (elsewhere / ".mtlsctl").mkdir(parents=True)
    (elsewhere / ".mtlsctl/lock").write_text("theirs")
    root.mkdir()
    if name != ".mtlsctl":
        (root / ".mtlsctl").mkdir()
    (root / name).symlink_to(elsewhere / name)
    with pytest.raises(FileError, match="link") as caught, lock(root):
        pass
    assert caught.value.code == "file-not-regular"
    assert [place.name for place in (elsewhere / ".mtlsctl").iterdir()] == ["lock"]
    assert (elsewhere / ".mtlsctl/lock").read_text() == "theirs"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_only_a_regular_file_is_locked(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """And a pipe does not make the run hang."""
    (tmp_path / ".mtlsctl").mkdir()
    make(tmp_path / ".mtlsctl/lock")
    with pytest.raises(FileError, match="not the kind of file"), lock(tmp_path):
        pass


def test_no_lock_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the file system has no locks, the run can't be protected, so it is refused."""

    def flock(_: int, __: int) -> None:
        raise OSError(errno.ENOLCK, "")

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(FileError, match="can't be locked"), lock(tmp_path):
        pass


def user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name
