"""Writes to the streams: lines for people, and failures. Imports nothing that is slow."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from shutil import get_terminal_size
from typing import TextIO

import typer

from reconciler.findings.errors import ReconcilerError
from reconciler.findings.escape import printable
from reconciler.findings.exits import ExitCode
from reconciler.reports.checks import RunFailure
from reconciler.views.table import Display, formats_of, load, render
from reconciler.views.text.layout import NARROWEST, wrapped

TEXT = "text"
"""The format for people; the only one that goes to stderr."""
_DELETE_AFTER = "\x1b[J"
"""Deletes what is after the cursor: also what became several lines when the terminal got narrower. Never sent at the
begin of a line: tmux would take a line at the top of the screen for a whole screen, and keep it in its history."""
_ERASE = f"\r {_DELETE_AFTER}\r"


class BottomLine:
    """A line on stderr below everything else, drawn again in its place.

    The cursor waits at its begin and is never hidden, so the terminal needs no repair, whatever ends the run.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._text = ""

    def draw(self, text: str) -> None:
        """Show this text instead of the last one."""
        with self.lock:
            self._text = text
            _write(f"\r{text or ' '}{_DELETE_AFTER}\r")

    def clear(self) -> None:
        """Remove the line."""
        with self.lock:
            if self._text:
                self._text = ""
                _write(_ERASE)

    @contextlib.contextmanager
    def lifted(self) -> Iterator[None]:
        """Out of the way for the duration of the `with`."""
        with self.lock:
            if self._text:
                _write(_ERASE)
            yield
            if self._text:
                _write(f"{self._text}\r")


def _write(text: str) -> None:
    with contextlib.suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()


bottom = BottomLine()
"""The one of this process: there is one stderr."""


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print a text; its `Style` has already decided about colours.

    If stderr can't be written, the run continues.
    """
    with bottom.lifted(), contextlib.suppress(OSError) if err else contextlib.nullcontext():
        typer.echo(text, err=err, nl=nl, color=True)


def tell(line: str) -> None:
    """A message about what a run waits for; on stderr, even if it is not a terminal."""
    say("\n".join(wrapped(printable(line), columns(sys.stderr), then="  ")), err=True)


def columns(stream: TextIO) -> int | None:
    """The width of a terminal for what is written line by line, at least `NARROWEST`; None for a file or a pipe."""
    if not stream.isatty():
        return None
    try:
        found = os.get_terminal_size(stream.fileno()).columns
    except OSError:
        found = 0
    return max(get_terminal_size(fallback=(found or 80, 24)).columns, NARROWEST)


def ask(question: str, *, unchanged: str) -> str:
    """The line that a person answers, empty at the end of the input; on stderr.

    Ctrl-C ends the run with 130. `unchanged`, such as "nothing was changed", is shown on a line of its own.
    """
    try:
        say(question, err=True, nl=False)
        _await_line()
        line = sys.stdin.readline()
    except KeyboardInterrupt:
        say(f"\nInterrupted: {unchanged}.", err=True)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    if not line.endswith("\n"):
        say("", err=True)
    return line


def _await_line() -> None:
    """Wait at a terminal until there is something to read; KeyboardInterrupt as soon as there is a Ctrl-C.

    A signal that arrives just before a read begins would be seen only after the next line.
    """
    if not sys.stdin.isatty() or threading.current_thread() is not threading.main_thread():
        return
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    before = signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    try:
        while sys.stdin not in select.select([sys.stdin, woken], [], [])[0]:
            os.read(woken, 1)
    finally:
        signal.set_wakeup_fd(before)
        os.close(woken)
        os.close(wakes)


@contextlib.contextmanager
def until_stopped() -> Iterator[None]:
    """What runs until Ctrl-C, which is its end and no interruption; exit code 130 all the same."""
    try:
        yield
    except KeyboardInterrupt:
        say(f"{line_after_signal()}Stopped.", err=True)
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def line_after_signal() -> str:
    """What ends the line in which a terminal shows `^C`."""
    return "\n" if sys.stderr.isatty() else ""


def show_failure(failure: RunFailure, format: str, display: Display) -> None:  # noqa: A002 - the word of the option
    """Show why a run stopped: on stderr as text, and on stdout in the requested format."""
    say(render(failure, TEXT, display), err=True, nl=False)
    document_failure(failure, format, display)


def document_failure(failure: RunFailure, format: str, display: Display) -> None:  # noqa: A002 - the word of the option
    """Print why a run stopped on stdout, in the requested format, unless that is text.

    A format without a view of failures prints nothing: a file of metrics must keep the last good values. Nor does one
    that is not installed, which may be the failure.
    """
    if format == TEXT or format not in formats_of(RunFailure):
        return
    try:
        view = load(RunFailure, format)
    except ReconcilerError:
        return
    say(view(failure, display), nl=False)
