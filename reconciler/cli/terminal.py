"""Writes to the streams: lines for people, and failures. Imports nothing that is slow."""

from __future__ import annotations

import contextlib

import typer

from reconciler.findings.escape import printable
from reconciler.reports.checks import RunFailure
from reconciler.views.table import Display, formats_of, render

TEXT = "text"
"""The format for people; the only one that goes to stderr."""


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print a text; its `Style` has already decided about colours.

    If stderr can't be written, the run continues.
    """
    with contextlib.suppress(OSError) if err else contextlib.nullcontext():
        typer.echo(text, err=err, nl=nl, color=True)


def tell(line: str) -> None:
    """Print on stderr what a run waits for, even without a terminal."""
    say(printable(line), err=True)


def show_failure(failure: RunFailure, format: str, display: Display) -> None:  # noqa: A002 - the word of the option
    """Show why a run stopped: on stderr as text, and on stdout in the requested format."""
    say(render(failure, TEXT, display), err=True, nl=False)
    document_failure(failure, format, display)


def document_failure(failure: RunFailure, format: str, display: Display) -> None:  # noqa: A002 - the word of the option
    """Print why a run stopped on stdout, in the requested format, unless that is text.

    A format without a view of failures prints nothing: a file of metrics must keep the last good values.
    """
    if format != TEXT and format in formats_of(RunFailure):
        say(render(failure, format, display), nl=False)
