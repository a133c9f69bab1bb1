"""Does each job of a worker in a process of its own, which ends when the worker does, in whatever way."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from functools import partial
from pathlib import Path

from reconciler.findings.errors import UsageError
from reconciler.findings.exits import ExitCode
from reconciler.findings.values import dataclass
from reconciler.model.engine import Done, Handler
from reconciler.runtime.children import Child, running

_LINES = 600
"""Of what a child wrote to stderr, the last ones are kept: one for each stack of an account, and more."""

_OUTCOMES: Mapping[int, str] = {
    ExitCode.OK: "done",
    ExitCode.CHANGES: "changes",
    ExitCode.BLOCKED: "blocked",
    ExitCode.STALE_PLAN: "stale",
    ExitCode.PARTIAL: "partial",
}


@dataclass(slots=True)
class Children:
    """The processes of the jobs. `command` gets the kind and the key of the job as its last arguments. `withheld`: the
    variables that the process of a job of this kind and key does not get; UsageError if there is no such job.

    `busy_s`: after how long a job is tried again whose key another process works on; `failed_s`: one that failed.
    `longest_s`: how long one may take; `patience_s`: how long it may then take to end what it has begun.
    """

    command: Sequence[str]
    environ: Mapping[str, str] = field(repr=False)
    folder: Path
    tell: Callable[[str], None] = lambda _: None
    busy_s: float = 15.0
    failed_s: float = 600.0
    longest_s: float = 3600.0
    patience_s: float = 60.0
    withheld: Callable[[str, str], frozenset[str]] = lambda *_: frozenset()
    _running: set[Child] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopping: bool = False

    def handler(self, kind: str) -> Handler:
        """Does jobs of this kind."""
        return partial(self._run, kind)

    def stop(self) -> None:
        """Ask all children to end what they do, and to begin nothing more; end them at once when this is called again,
        or after `patience_s`. Jobs that come later are handed back."""
        with self._lock:
            is_again, self._stopping = self._stopping, True
            for child in self._running:
                self._end(child, 0.0 if is_again else self.patience_s)

    def _run(self, kind: str, key: str) -> Done:
        lines: deque[str] = deque(maxlen=_LINES)
        command = [*self.command, kind, key]
        try:
            hidden = self.withheld(kind, key)
        except UsageError as error:  # of this fleet no longer, or not yet where this worker runs
            return self._told(kind, key, Done("unknown", error.message))
        environ = {name: value for name, value in self.environ.items() if name not in hidden}
        with running(command, environ=environ, on_out=_drop, on_err=lines.append, cwd=self.folder) as child:
            with self._lock:
                if self._stopping:
                    return Done("handed back", again_s=0.0)
                self._running.add(child)
            late = threading.Timer(self.longest_s, self._end, (child, self.patience_s))
            late.daemon = True
            late.start()
            try:
                code = child.wait()
            finally:
                with self._lock:
                    self._running.discard(child)
                is_late = late.finished.is_set()
                late.cancel()
        if is_late and not self._stopping:
            lines.appendleft(f"stopped: it took longer than {self.longest_s / 60:.0f} minutes")
        return self._told(kind, key, self._done(code, "\n".join(lines)))

    def _told(self, kind: str, key: str, done: Done) -> Done:
        """The same, after a line for the outcome and each line of its message."""
        for line in (done.outcome, *done.message.splitlines()):
            self.tell(f"{kind} {key}: {line}")
        return done

    def _end(self, child: Child, patience_s: float) -> None:
        """Interrupt it, and end it if that takes too long, as of one that is frozen."""
        child.interrupt()
        end = threading.Timer(patience_s, child.ask_to_end)
        end.daemon = True
        end.start()

    def _done(self, code: int, said: str) -> Done:
        if code in _OUTCOMES:
            return Done(_OUTCOMES[code], said)
        if code == ExitCode.LOCKED:
            return Done("busy", said, self.busy_s)
        if self._stopping:
            return Done("handed back", said, again_s=0.0)
        return Done("failed", said or f"exit code {code}", self.failed_s)


def _drop(_: str) -> None:
    """What a job prints is for people; what it found is in the database."""
