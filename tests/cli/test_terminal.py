"""A real terminal: the line that is drawn again, Ctrl-C during work and at a prompt, and what is left on the screen."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from reconciler.emulator import server
from reconciler.emulator.app import answer
from reconciler.emulator.state import EmulatorState
from reconciler.emulator.wire import Reply, Request
from tests.stores.test_cloudflare_calls import Account, account
from tests.stories.test_kill_account import finish
from tests.support.cli import Project
from tests.support.terminals import CTRL_C, PATIENCE_S, in_terminal

__all__ = ["account"]

COUNT = 24


class Held:
    """An account that answers no more uploads after the first, until it is let go."""

    def __init__(self) -> None:
        self.uploads = 0
        self.asked, self.free = threading.Event(), threading.Event()

    def answer(self, state: EmulatorState, request: Request) -> Reply:
        self.uploads += request.method == "POST"
        if self.uploads > 1:
            self.asked.set()
            self.free.wait(PATIENCE_S)
        return answer(state, request)


@pytest.fixture
def held(account: Account, monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    account.declare(COUNT)
    made = Held()
    monkeypatch.setattr(server, "answer", made.answer)
    yield made
    made.free.set()


def test_long_work_is_one_line_that_is_drawn_again(account: Account, held: Held) -> None:
    """With a count; nothing of it stays, and what went well is not repeated."""
    with in_terminal(account.project, "apply", "--yes", columns=120) as run:
        run.until(r"Uploading   #*-+   1/24")
        run.until(r"\r\rUploading   #*-+   1/24")
        held.free.set()
        assert run.end() == 0
    screen = "\n".join(run.screen)
    assert "Uploading" not in screen
    assert "\nDone: 24 certificates uploaded.  Details: mtlsctl history\n" in screen
    assert "ok:" not in screen


def test_ctrl_c_says_at_once_what_it_waits_for(account: Account, held: Held) -> None:
    """What was sent may end, and is part of the outcome; nothing more begins."""
    with in_terminal(account.project, "apply", "--yes", columns=120) as run:
        run.until(r"Uploading   #*-+   1/24")
        run.press(CTRL_C)
        run.until(r"Stopping: 10 uploads in progress, up to 10 s\. Press Ctrl-C again to quit now\.")
        held.free.set()
        assert run.end() == 130
    assert "Stopping: 10 uploads in progress, up to 10 s. Press Ctrl-C again to quit now." in run.screen
    assert "Interrupted: 11 of 24 certificates uploaded, 13 not started.  Details: mtlsctl history" in run.screen
    assert run.screen[-2:] == ["Next: mtlsctl apply", ""]
    finish(account)


def test_a_second_ctrl_c_quits_at_once(account: Account, held: Held) -> None:
    """Without an answer; the next run finds out what became of the uploads."""
    with in_terminal(account.project, "apply", "--yes", columns=120) as run:
        run.until(r"Uploading   #*-+   1/24")
        run.press(CTRL_C)
        run.until("Press Ctrl-C again to quit now")
        run.press(CTRL_C)
        assert run.end() == 130
        assert not held.free.is_set()
    assert "Interrupted: 1 of 24 certificates uploaded, 10 with unknown result, 13 not started." in run.screen
    held.free.set()
    finish(account)


def test_a_run_that_is_terminated_leaves_a_whole_terminal(account: Account, held: Held) -> None:
    """SIGTERM ends it as Ctrl-C does; the cursor was never hidden, and no line is left half drawn."""
    with in_terminal(account.project, "apply", "--yes", columns=120) as run:
        run.until(r"Uploading   #*-+   1/24")
        os.kill(run.process.pid, signal.SIGTERM)
        run.until("Stopping: 10 uploads")
        held.free.set()
        assert run.end() == 130
    assert "\x1b[?" not in run.seen
    assert not any("Uploading" in line for line in run.screen)


def test_a_failure_is_shown_at_once_above_the_line(account: Account, held: Held) -> None:
    """While the others are still under way."""
    del account.project.environ["C000_KEY"]
    with in_terminal(account.project, "apply", "--yes", columns=120) as run:
        run.until(r"x upload c000 failed \[")
        run.until(r"Uploading   #+-+   2/24")
        held.free.set()
        assert run.end() == 5
    assert any(line.startswith("Done in part: 23 of 24 certificates uploaded, 1 failed.") for line in run.screen)


def test_ctrl_c_at_the_question_leaves_a_clean_line(project: Project) -> None:
    """And says that nothing was changed."""
    with in_terminal(project, "apply") as run:
        run.until(r"Apply these changes\? \[y/N\]: ")
        run.press(CTRL_C)
        assert run.end() == 130
    assert run.screen[-3:] == ["Apply these changes? [y/N]: ^C", "Interrupted: nothing was changed.", ""]
    assert not (project.folder / ".mtlsctl/journal.jsonl").exists()


def test_a_variable_that_is_not_set_is_named_before_the_question(project: Project) -> None:
    """So that no one says yes to what can only fail."""
    del project.environ["BILLING_KEY"]
    with in_terminal(project, "apply") as run:
        run.until(r"\nwarning: \$BILLING_KEY is not set, so the upload of billing will fail\.")
        run.until(r"Apply these changes\? \[y/N\]: ")
        run.press("\x04")
        assert run.end() == 1


def test_the_end_of_the_input_at_the_question_is_a_no(project: Project) -> None:
    """Ctrl-D."""
    with in_terminal(project, "apply") as run:
        run.until(r"Apply these changes\? \[y/N\]: ")
        run.press("\x04")
        assert run.end() == 1
    assert "Apply these changes? [y/N]:" in run.screen
    assert any("nothing was changed" in line for line in run.screen)


def test_ctrl_c_at_the_questions_of_init_writes_nothing(project: Project) -> None:
    """Neither the first nor the second."""
    (project.folder / "mtls.toml").unlink()
    with in_terminal(project, "init") as run:
        run.until(r"Name of the stack \[.*\]: ")
        run.press("mono\n")
        run.until(r"Store: .*\]: ")
        run.press(CTRL_C)
        assert run.end() == 130
    assert run.screen[-2:] == ["Interrupted: nothing was written.", ""]
    assert not (project.folder / "mtls.toml").exists()


def test_with_a_log_there_is_no_line(account: Account, held: Held) -> None:
    """The log has the steps."""
    with in_terminal(account.project, "apply", "--yes", "--verbose") as run:
        run.until("upload c00. as .*: started")
        held.free.set()
        assert run.end() == 0
    assert "\x1b" not in run.seen
    assert "###" not in run.seen


def test_a_dumb_terminal_gets_no_escape_sequence(account: Account, held: Held) -> None:
    """TERM=dumb: an editor's shell, for example."""
    held.free.set()
    with in_terminal(account.project, "apply", "--yes", term="dumb") as run:
        assert run.end() == 0
    assert "\x1b" not in run.seen


def test_ctrl_c_while_reading_says_that_nothing_is_lost(account: Account, held: Held) -> None:
    """A plan, for example, which waits for the account."""
    held.uploads = 2
    with in_terminal(account.project, "plan") as run:
        assert held.asked.wait(PATIENCE_S)
        run.press(CTRL_C)
        assert run.end() == 130
    assert run.screen[-3:] == ["^C", "Interrupted. It is safe to run the command again.", ""]
