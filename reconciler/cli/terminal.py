"""The streams: what is said to a person, and how a failure is shown. Imports nothing that is slow."""

from __future__ import annotations

import contextlib

import typer

from reconciler.findings.escape import printable
from reconciler.reports.checks import RunFailure
from reconciler.views.table import Display, formats_of, render

TEXT = "text"
"""The format for people; the only one that goes to stderr."""


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print; whether there is colour in it was decided by the `Style` that made it.

    That stderr can't be written is no reason to stop: there is nobody to be told.
    """
    with contextlib.suppress(OSError) if err else contextlib.nullcontext():
        typer.echo(text, err=err, nl=nl, color=True)


def tell(line: str) -> None:
    """A line for whoever wonders what a run waits for; on stderr, whether or not a person watches."""
    say(printable(line), err=True)


def show_failure(failure: RunFailure, format: str, display: Display) -> None:  # noqa: A002 - the word of the option
    """Show why a run stopped: on stderr for a person, and on stdout in the format that was asked for."""
    say(render(failure, TEXT, display), err=True, nl=False)
    document_failure(failure, format, display)


def document_failure(failure: RunFailure, format: str, display: Display) -> None:  # noqa: A002 - the word of the option
    """Print why a run stopped on stdout, in the format that was asked for, if it is none for people.

    A format without a view of failures prints nothing: metrics of a failed run would stand in for the last good ones.
    """
    if format != TEXT and format in formats_of(RunFailure):
        say(render(failure, format, display), nl=False)
