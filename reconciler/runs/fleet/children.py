"""Does each job of a worker in a process of its own, which ends when the worker does, in whatever way."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from functools import partial
from pathlib import Path

from reconciler.findings.exits import ExitCode
from reconciler.findings.values import dataclass
from reconciler.model.engine import Done, Handler
from reconciler.runtime.children import Child, running

_LINES = 20
"""Of what a child wrote to stderr, the last ones are kept."""

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
    variables that the process of a job of this kind and key does not get.

    `busy_s`: after how long a job is tried again whose key another process works on; `failed_s`: one that failed.
    """

    command: Sequence[str]
    environ: Mapping[str, str] = field(repr=False)
    folder: Path
    tell: Callable[[str], None] = lambda _: None
    busy_s: float = 15.0
    failed_s: float = 600.0
    withheld: Callable[[str, str], frozenset[str]] = lambda *_: frozenset()
    _running: set[Child] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopping: bool = False

    def handler(self, kind: str) -> Handler:
        """Does jobs of this kind."""
        return partial(self._run, kind)

    def stop(self) -> None:
        """Ask all children to end what they do, and to begin nothing more. Jobs that come later are handed back."""
        with self._lock:
            self._stopping = True
            for child in self._running:
                child.interrupt()

    def _run(self, kind: str, key: str) -> Done:
        lines: deque[str] = deque(maxlen=_LINES)
        command = [*self.command, kind, key]
        hidden = self.withheld(kind, key)
        environ = {name: value for name, value in self.environ.items() if name not in hidden}
        with running(command, environ=environ, on_out=_drop, on_err=lines.append, cwd=self.folder) as child:
            with self._lock:
                if self._stopping:
                    return Done("handed back", again_s=0.0)
                self._running.add(child)
            try:
                code = child.wait()
            finally:
                with self._lock:
                    self._running.discard(child)
        done = self._done(code, "\n".join(lines))
        self.tell(f"{kind} {key}: {done.outcome}{'; ' * bool(lines)}{next(iter(lines), '')}")
        return done

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
