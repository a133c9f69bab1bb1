"""The log of a run: what the rooms below log goes to stderr, as lines for people or for machines.

Only the loggers of this package are heard. Those of libraries are not: httpcore's would show the token.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from reconciler.cli.terminal import say
from reconciler.findings.diagnostics import Resolve
from reconciler.reports.log import LogLine
from reconciler.views.table import Display, render

_ROOT = "reconciler"


@contextmanager
def logging_to_stderr(format: str | None, place: Resolve) -> Iterator[None]:  # noqa: A002 - the word of the option
    """Write the log to stderr, in a format of `LogLine`, as long as the `with` lasts. None: nothing is logged."""
    if format is None:
        yield
        return
    logger, handler = logging.getLogger(_ROOT), _ToStderr(format, place)
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]
        handler.close()


class _ToStderr(logging.Handler):
    """One line for each record, whose message is an event, or a text."""

    def __init__(self, format: str, place: Resolve) -> None:  # noqa: A002 - the word of the option
        super().__init__(logging.INFO)
        self._format = format
        self._display = Display(place)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line. An error in it never stops the run."""
        try:
            line = LogLine(datetime.fromtimestamp(record.created, UTC), record.msg)
            say(render(line, self._format, self._display), err=True, nl=False)
        except Exception as error:  # noqa: BLE001 - a bug here must not leave an upload half done
            say(f"mtlsctl: a line of the log could not be written ({type(error).__name__})", err=True)
