"""`dev`: a declared Worker on this machine, with the real certificates."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

import typer

from reconciler.cli.options import AllowHostOption
from reconciler.cli.session import Session, command
from reconciler.cli.terminal import say, until_stopped
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.escape import printable
from reconciler.model.words import environment_text
from reconciler.runs.dev.worker import DevRequest, Running, run_dev
from reconciler.views.table import Display
from reconciler.views.text.findings import show_findings
from reconciler.views.text.layout import Cell, table, wrapped
from reconciler.views.text.status import time_text
from reconciler.workerd.output import read_failure

_LONGEST = 4000

WorkerArgument = Annotated[str, typer.Argument(metavar="WORKER", help="The label of a Worker in mtls.toml.")]
EnvironmentOption = Annotated[
    str | None, typer.Option("--env", "-e", metavar="NAME", help="Use this environment (default: the top level).")
]
PortOption = Annotated[
    int,
    typer.Option(
        "--port", "-p", metavar="PORT", min=0, max=65535, help="Listen on this port of 127.0.0.1; 0 takes a free one."
    ),
]
WithoutOption = Annotated[bool, typer.Option("--without-unserved", help="Leave out bindings that do not work here.")]


@command(example="mtlsctl dev checkout --env staging --port 8788")
def dev(
    session: Session,
    worker: WorkerArgument,
    environment: EnvironmentOption = None,
    port: PortOption = 8788,
    without_unserved: WithoutOption = False,
    allow_host: AllowHostOption = None,
) -> None:
    """Run a Worker on this machine with its real certificates.

    Runs until Ctrl-C. The project's own wrangler builds the Worker and workerd, the runtime of Workers, runs it;
    neither gets a token, and Cloudflare is not asked. Variables work too. Any other binding (KV, R2, secrets, ...) is
    an error, or left out with --without-unserved. workerd gets private keys in memory: no file has them. Requests of
    web pages of other sites are refused, and those to another host name than 127.0.0.1 or localhost.
    """
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGTERM))  # closing the terminal ends it in order, too
    request = DevRequest(worker, environment or None, port, without_unserved, tuple(allow_host or ()))
    with until_stopped():
        run_dev(session.open_project(), request, _Terminal(session))


class _Terminal:
    """Shows the progress at a terminal."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.log = session.log

    def findings(self, found: tuple[Diagnostic, ...]) -> None:
        if found:
            say(show_findings(found, self._session.display(sys.stderr)), err=True)

    def ready(self, running: Running) -> None:
        presented = [(one.binding, one.certificate, one.ends) for one in running.presented]
        where = environment_text(running.environment)
        display = self._session.display(sys.stdout)
        self._session.emit(_render_running(running.worker, where, running.url, presented, display))
        sys.stdout.flush()
        say("Press Ctrl-C to stop. Every program on this machine can use these certificates.", err=True)

    def out(self, line: str) -> None:
        with contextlib.suppress(OSError):  # stdout is closed, but the Worker keeps running
            say(_render_line(line))
            sys.stdout.flush()

    def err(self, line: str) -> None:
        if line.startswith("stack: "):
            return  # addresses in workerd
        failure = read_failure(line)
        say(_render_line(line if failure is None else f"a call failed: {failure.detail}"), err=True)


def _render_running(
    worker: str, where: str, url: str, presented: Iterable[tuple[str, str, datetime]], display: Display
) -> str:
    """Where the Worker answers, and which binding uses what: pairs of binding and certificate, with its end."""
    style = display.style
    head = f"{printable(worker)} ({printable(where)}) answers on {url}"
    lines = [style.bold(line) for line in wrapped(head, display.width, then="  ")]
    rows = [
        [Cell(printable(binding), shrinks=True), Cell(f"uses {printable(name)}, which expires {time_text(ends)}")]
        for binding, name, ends in presented
    ]
    lines += table(rows, display.width)
    if not rows:
        lines.append(style.warn("  no binding of it uses a certificate"))
    return "\n".join(lines) + "\n"


def _render_line(line: str) -> str:
    """A line that a Worker printed, escaped so that it can't control the terminal."""
    return printable(line[:_LONGEST])
