"""A child never outlives its run, however that ends; and it sees only the environment that it needs.

A pipe that every process of the group inherits shows whether any is left: it ends when the last one does.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from reconciler.runtime.children import environment, running, undisturbed
from tests.support.paths import REPOSITORY

ROOT = REPOSITORY
GRANDCHILD = (
    "import subprocess, sys, signal\n"
    "{before}\n"
    "subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'], close_fds=False)\n"
    "print('ready', flush=True)\n"
    "{after}"
)
ENDLESS = GRANDCHILD.format(before="", after="signal.pause()")
SHORT = GRANDCHILD.format(before="", after="")
STUBBORN = GRANDCHILD.format(before="signal.signal(signal.SIGTERM, signal.SIG_IGN)", after="signal.pause()")
DETACHED = (
    "import subprocess, sys\n"
    "wait = [sys.executable, '-c', 'import sys; sys.stdin.read()']\n"
    "subprocess.Popen(wait, stdin=int(sys.argv[1]), start_new_session=True)\n"
    "print('x' * 200_000)\n"
    "print('ready', end='')"
)


class Pipe:
    """A pipe that a process group holds open."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()

    def let_go(self) -> None:
        """Close our end, so that only the children hold it."""
        os.close(self.writing)

    def ended(self) -> bool:
        """True if all of them have ended, or end soon."""
        return bool(select.select([self.reading], [], [], 60)[0]) and os.read(self.reading, 1) == b""


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    os.close(made.reading)


@contextmanager
def python(code: str, pipe: Pipe, on_out: Callable[[str], None] = print) -> Iterator[Callable[[], int]]:
    """The exit code of a Python that runs this, once it has ended."""
    command = [sys.executable, "-c", code]
    with running(command, environ={}, on_out=on_out, on_err=on_out, passed=[pipe.writing]) as child:
        pipe.let_go()
        yield child.wait


def test_leaving_ends_the_child_and_what_it_has_started(pipe: Pipe) -> None:
    """In the normal case: no exception, no signal."""
    with python(ENDLESS, pipe):
        pass
    assert pipe.ended()


def test_an_exception_ends_it_too(pipe: Pipe) -> None:
    """Ctrl-C is one."""
    with pytest.raises(KeyboardInterrupt), python(ENDLESS, pipe):
        raise KeyboardInterrupt
    assert pipe.ended()


def test_a_child_that_ignores_being_asked_is_made_to_end(pipe: Pipe) -> None:
    """SIGKILL can't be ignored."""
    ready = threading.Event()
    with python(STUBBORN, pipe, lambda _: ready.set()):
        assert ready.wait(60)
    assert pipe.ended()


def test_what_a_child_leaves_running_ends_with_it(pipe: Pipe) -> None:
    """All lines that it printed arrive."""
    lines: list[str] = []
    with python(SHORT, pipe, lines.append) as wait:
        assert wait() == 0
    assert lines == ["ready"]
    assert pipe.ended()


def test_a_process_that_a_child_detached_is_not_waited_for() -> None:
    """It still has the pipes of the child, whose own lines are all there; no thread is left that reads them."""
    reading, writing = os.pipe()
    lines: list[str] = []
    before = set(threading.enumerate())
    command = [sys.executable, "-c", DETACHED, str(reading)]
    with running(command, environ={}, on_out=lines.append, on_err=lines.append, passed=[reading]) as child:
        os.close(reading)
        assert child.wait() == 0
        assert set(threading.enumerate()) <= before
        assert ("".join(lines[:-1]), lines[-1]) == ("x" * 200_000, "ready")
        os.close(writing)  # ends it


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_parent_that_is_killed_leaves_nobody_behind(pipe: Pipe, number: signal.Signals) -> None:
    """Not even by SIGKILL, after which it can't do anything."""
    code = (
        "import sys\nfrom reconciler.runtime.children import running\n"
        f"command = [sys.executable, '-c', {ENDLESS!r}]\n"
        f"with running(command, environ={{}}, on_out=lambda line: print(line, flush=True), on_err=print,"
        f" passed=[{pipe.writing}]) as child: child.wait()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, pass_fds=[pipe.writing], text=True
    )
    pipe.let_go()
    assert parent.stdout is not None
    with parent.stdout:
        assert parent.stdout.readline() == "ready\n"
        parent.send_signal(number)
        parent.wait()
    assert pipe.ended()


def test_the_exit_code_is_the_childs(pipe: Pipe) -> None:
    """Also if a signal ended it, and if there is no such program."""
    with python("raise SystemExit(7)", pipe) as wait:
        assert wait() == 7
    lines: list[str] = []
    killed = [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]
    with running(killed, environ={}, on_out=lines.append, on_err=lines.append) as child:
        assert child.wait() == 137
    with running(["/no/such/program"], environ={}, on_out=lines.append, on_err=lines.append) as child:
        assert child.wait() == 127
    assert lines == ["/no/such/program: No such file or directory"]


def test_lines_come_whole_without_their_ends_and_endless_ones_in_pieces(pipe: Pipe) -> None:
    """Bytes that are not UTF-8 are replaced."""
    lines: list[str] = []
    code = r"import os; os.write(1, b'a\r\nb\xff\n\n' + b'x' * 100000)"
    with python(code, pipe, lines.append) as wait:
        wait()
    assert lines[:3] == ["a", "b\ufffd", ""]
    assert "".join(lines[3:]) == "x" * 100_000
    assert max(map(len, lines)) == 65536


def test_a_child_gets_what_is_passed_and_no_stdin() -> None:
    """Nothing of the terminal or of the environment."""
    lines: list[str] = []
    code = "import os, sys; print(sorted(set(os.environ) - {'LC_CTYPE'}), sys.stdin.read())"
    with running([sys.executable, "-c", code], environ={"A": "1"}, on_out=lines.append, on_err=lines.append) as child:
        child.wait()
    assert lines == ["['A'] "]


def test_the_environment_is_a_list_of_names_and_no_key_or_token_is_on_it() -> None:
    """Unknown variables are not passed on."""
    full = {"PATH": "/bin", "HOME": "/h", "CLOUDFLARE_API_TOKEN": "t", "BILLING_KEY": "k", "NODE_OPTIONS": "o"}
    assert environment(full) == {"PATH": "/bin", "HOME": "/h"}
    assert environment(full, "NODE_OPTIONS", "ABSENT") == {"PATH": "/bin", "HOME": "/h", "NODE_OPTIONS": "o"}


def test_a_signal_waits_until_the_cleaning_is_done() -> None:
    """And then has its usual effect."""
    done: list[str] = []

    def clean() -> None:
        with undisturbed():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            done.append("cleaned")

    with pytest.raises(KeyboardInterrupt):
        clean()
    assert done == ["cleaned"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
