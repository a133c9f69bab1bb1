"""The engine of a fleet: the port. Says when and where work is done, keeps two from doing the same, survives deaths."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from reconciler.findings.values import dataclass


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work: of a kind, on a key. At most one runs and one waits; what comes then is the one that waits.

    Jobs of one group, which is their key up to `/`, run one after the other, in the order in which they were added.

    `not_before`: aware UTC; None: at once.
    """

    number: int
    kind: str
    key: str
    not_before: datetime | None = None


def group_of(key: str) -> str:
    """The group of a job with this key."""
    return key.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Done:
    """What a job came to. `outcome`: one word, for the history. `again_s`: do it again after these seconds."""

    outcome: str
    message: str = ""
    again_s: float | None = None


@dataclass(frozen=True, slots=True)
class RecordedJob:
    """One job, as people see it. `ended` None: it runs. `outcome`: `lost` if its worker died. Times are aware UTC."""

    kind: str
    key: str
    worker: str
    begun: datetime
    ended: datetime | None
    outcome: str | None
    message: str


Handler = Callable[[str], Done]
"""Does the work for a key, in a thread of its own. It may be done a second time, so it begins from what it finds."""


@dataclass(frozen=True, slots=True)
class Duty:
    """What a worker does in addition to jobs. `every_minute`: run by one worker of all, with the minute that it is for.

    `on_stop`: each time the worker is asked to stop, in its main thread; it then waits for the jobs that run.
    """

    every_minute: Callable[[datetime], None] = lambda _: None
    on_stop: Callable[[], None] = lambda: None
    tell: Callable[[str], None] = lambda _: None


class Engine(Protocol):
    """Every call may raise ReconcilerError."""

    def defer(self, kind: str, key: str, not_before: datetime | None = None, *, first: bool = False) -> bool:
        """Whether a job was added; False if one waits already. `first`: before all others of its group that wait."""

    def cancel(self, kind: str, key: str) -> bool:
        """Whether a job that waited was removed."""

    def running(self) -> Sequence[Job]:
        """The jobs that workers do now, those of dead workers too."""

    def waiting(self) -> Sequence[Job]:
        """The jobs that wait."""

    def stalled(self) -> Sequence[Job]:
        """The jobs whose worker is not heard of any more. Living workers add each of them again."""

    def work(self, handlers: Mapping[str, Handler], at_once: int, duty: Duty) -> None:
        """Do jobs until SIGTERM or SIGINT, `at_once` at the same time. Lives through restarts of the database."""
