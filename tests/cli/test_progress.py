"""How far long work is: one line that is drawn again at a terminal, a line now and then elsewhere."""

from __future__ import annotations

import io
import sys

import pytest

from reconciler.cli import progress, terminal
from reconciler.cli.progress import Logged, Meter, Redrawn
from reconciler.cli.terminal import BottomLine, say
from reconciler.views.text.layout import cells
from reconciler.views.text.progress import Work, bar_line, plain_line
from tests.support.terminals import on_screen

UPLOADING = Work("Uploading", 431, 1000, 20.0)


class Time:
    """A clock that a test sets forward."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Terminal(io.StringIO):
    """A stderr that is a terminal."""

    def isatty(self) -> bool:
        return True


class Bench:
    """A meter without its thread: the test says when time passes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, columns: int = 80, *, redrawn: bool = True) -> None:
        self.time, self.columns = Time(), columns
        self.stream = Terminal() if redrawn else io.StringIO()
        self.line = BottomLine()
        monkeypatch.setattr(sys, "stderr", self.stream)
        monkeypatch.setattr(terminal, "bottom", self.line)
        screen = Redrawn(self.line, lambda: self.columns) if redrawn else Logged()
        self.meter = Meter(screen, now=self.time, ticks=False)

    def after(self, seconds: float) -> None:
        self.time.now_s += seconds
        self.meter.tick()

    @property
    def shown(self) -> str:
        """Everything that is on the screen."""
        return "\n".join(on_screen(self.stream.getvalue()))


# --- the line ---------------------------------------------------------------------------------------------------------


def test_the_line_has_a_bar_a_count_the_rate_and_the_time_left() -> None:
    """Of the work so far."""
    assert bar_line(UPLOADING, 80) == "Uploading   ##########--------------   431/1000   22/s   about 26 s left"


def test_in_a_log_the_line_has_words() -> None:
    """No bar."""
    assert plain_line(UPLOADING) == "Uploading: 431 of 1000, 22/s, about 26 s left"


def test_work_of_unknown_size_has_a_count_and_a_rate() -> None:
    """Such as a search through a tree."""
    assert bar_line(Work("Searching files", 5000, None, 2.0), 80) == "Searching files   5000   2500/s"


@pytest.mark.parametrize(
    ("work", "end"),
    [
        (Work("Deploying", 1, 10, 60.0), "1/10   1.0/min   about 9 min left"),
        (Work("Deploying", 1, 2, 12.0), "1/2   5.0/min"),
        (Work("Deploying", 3, 10, 1.5), "3/10   2.0/s   about 4 s left"),
        (Work("Deploying", 1, 1000, 60.0), "1/1000   1.0/min   about 16 h 39 min left"),
        (Work("Deploying", 0, 10, 60.0), "0/10"),
        (Work("Deploying", 10, 10, 60.0), "10/10   10.0/min"),
        (Work("Deploying", 9, 10, 0.1), "9/10"),
    ],
)
def test_rate_and_time_left_are_in_a_unit_that_can_be_read(work: Work, end: str) -> None:
    """And left out while they mean nothing."""
    assert bar_line(work, 200).endswith(f"-   {end}" if work.done < 10 else end)


@pytest.mark.parametrize("width", range(200))
def test_the_line_fits_and_has_no_half_number(width: int) -> None:
    """What does not fit is left out, the count last."""
    line = bar_line(UPLOADING, width)
    assert cells(line) <= width
    assert all(word in "431/1000 22/s about 26 s left" for word in line.split()[1:] if "#" not in word)
    assert "431/1000" in line or width < len("Uploading   431/1000")


# --- on a screen ------------------------------------------------------------------------------------------------------


def test_work_that_is_soon_over_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan of a small project stays quiet."""
    bench = Bench(monkeypatch)
    with bench.meter.counting("Reading files", 3):
        bench.after(0.4)
    assert bench.stream.getvalue() == ""


def test_the_line_is_drawn_again_in_its_place_and_goes_with_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left of it on the screen."""
    bench = Bench(monkeypatch)
    with bench.meter.counting("Reading files", 4) as done:
        for number in range(1, 4):
            done()
            bench.after(1.0)
            assert f"{number}/4" in bench.shown
            assert bench.shown.count("Reading files") == 1
    assert bench.shown == ""


def test_the_cursor_is_never_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """So there is nothing to repair, whatever ends the run: the only sequence that is used deletes."""
    bench = Bench(monkeypatch)
    with bench.meter.counting("Reading files", 4):
        bench.after(1.0)
        say("a line", err=True)
    assert "\x1b" not in bench.stream.getvalue().replace("\x1b[J", "")


def test_other_lines_are_above_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """They stay."""
    bench = Bench(monkeypatch)
    with bench.meter.counting("Uploading", 4):
        bench.after(1.0)
        say("  x ledger failed", err=True)
        assert [line.split("  ")[0] for line in bench.shown.split("\n")] == ["", "Uploading"]
        assert bench.shown.startswith("  x ledger failed\n")
    assert bench.shown == "  x ledger failed\n"


def test_inner_work_is_shown_instead_of_outer_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan within an apply, such as before the deletions."""
    bench = Bench(monkeypatch)
    with bench.meter.counting("Deleting", 4):
        with bench.meter.counting("Searching files", None):
            bench.after(1.0)
            assert "Searching files" in bench.shown
        bench.after(1.0)
        assert bench.shown.startswith("Deleting")


def test_a_line_at_the_top_of_the_screen_is_not_taken_for_a_whole_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """tmux keeps a screen that is deleted from its begin on in its history, once for each time the line is drawn."""
    bench = Bench(monkeypatch)
    with bench.meter.counting("Uploading", 1000):
        bench.after(1.0)
        say("a line", err=True)
        bench.after(1.0)
    assert "\r\x1b[J" not in bench.stream.getvalue()


@pytest.mark.parametrize("columns", [200, 60, 20, 5, 1])
def test_a_line_is_never_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Whatever it was resized to: the `^C` that the terminal shows must not begin a new line."""
    bench = Bench(monkeypatch)
    with bench.meter.counting("Uploading", 1000):
        bench.after(1.0)
        bench.columns = columns
        bench.after(1.0)
        assert len(bench.shown) <= max(columns - 3, 0)


def test_elsewhere_there_is_a_line_at_each_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log keeps what it has; no escape sequence gets there."""
    bench = Bench(monkeypatch, redrawn=False)
    with bench.meter.counting("Uploading", 100) as done:
        done()
        bench.after(10.0)
        done()
        bench.after(10.0)
    assert bench.stream.getvalue() == (
        "Uploading: 1 of 100, 6.0/min, about 16 min left\nUploading: 2 of 100, 6.0/min, about 16 min left\n"
    )


def test_a_message_about_a_wait_fits_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never cut in a word; elsewhere it is one line."""
    message = "Stopping: 10 uploads in progress, up to 10 s. Press Ctrl-C again to quit now."
    monkeypatch.setenv("COLUMNS", "60")
    bench = Bench(monkeypatch)
    terminal.tell(message)
    assert bench.shown.splitlines() == [
        "Stopping: 10 uploads in progress, up to 10 s. Press Ctrl-C",
        "  again to quit now.",
    ]
    bench = Bench(monkeypatch, redrawn=False)
    terminal.tell(message)
    assert bench.stream.getvalue() == f"{message}\n"


@pytest.mark.parametrize(
    ("stream", "term", "expected"),
    [(Terminal(), "xterm", Redrawn), (Terminal(), "dumb", Logged), (io.StringIO(), "xterm", Logged)],
    ids=["terminal", "dumb terminal", "no terminal"],
)
def test_only_a_terminal_that_can_redraw_gets_the_line(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, term: str, expected: type
) -> None:
    """A log and a dumb terminal get a line every ten seconds."""
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", term)
    assert isinstance(progress.make_meter()._screen, expected)
    assert (Redrawn.every_s, Logged.every_s) == (0.1, 10.0)
