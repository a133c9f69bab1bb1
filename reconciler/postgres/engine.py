"""The engine over Procrastinate. What would wedge a job there is not used: its retries.

A job never raises: what comes of it is in its history, and to be done again it is added anew. A dead worker's job is
failed by the janitor and added anew, even if another one waits. A restart of the database ends Procrastinate's worker
without an error, so a loop begins it again (procrastinate-org/procrastinate#1446, #1543, #1408).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from os import getpid
from typing import Any, TypeVar

import psycopg
from procrastinate import App, JobContext, PsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException, UniqueViolation
from procrastinate.jobs import Job as EngineJob
from procrastinate.jobs import Status

from reconciler.findings.codes import Code
from reconciler.findings.errors import ReconcilerError
from reconciler.findings.values import dataclass
from reconciler.model.engine import Done, Duty, Handler, Job, group_of
from reconciler.postgres.connection import explained, settings_of
from reconciler.postgres.history import History

_JANITOR, _MINUTE = "janitor", "every-minute"
_FAILED_AGAIN_S = 60.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
_HEALTHY_S = 60.0
"""A worker that ran that long did not fail at its start."""

_LEAVE_S = 3.0
"""How long a worker that was asked to stop, and does nothing any more, waits for the database."""

_CONNECTIONS = 6
"""At most, of a worker: two listen, the others are used for moments."""

_ONE_RUNS = "procrastinate_jobs_lock_idx_v1"
"""Procrastinate's index by which of the jobs with one lock one runs."""

_LIVES = """
WITH dead AS (DELETE FROM worker WHERE seen < clock_timestamp() - make_interval(secs => %(dead)s))
INSERT INTO worker (fleet, name, seen) VALUES (%(fleet)s, %(name)s, clock_timestamp())
ON CONFLICT (fleet, name) DO UPDATE SET seen = excluded.seen"""
_ENDS = "DELETE FROM worker WHERE fleet = %(fleet)s AND name = %(name)s"
_GONE = "died, or lost the database"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: `beat_s` between two signs of life of a worker, `dead_s` without one until it is dead, `poll_s` between
    two looks for jobs. `janitor`, `minute`: when, as cron expressions with seconds."""

    beat_s: float = 5.0
    dead_s: float = 20.0
    poll_s: float = 1.0
    janitor: str = "* * * * * */10"
    minute: str = "* * * * *"


class _Connector(PsycopgConnector):
    """Where two workers take jobs with one lock at the same moment, one of them finds no job, instead of an error that
    ends it."""

    async def execute_query_one_async(self, query: str, **arguments: Any) -> dict[str, Any]:
        """As Procrastinate's."""
        try:
            found: dict[str, Any] = await super().execute_query_one_async(query, **arguments)
        except UniqueViolation as error:
            if error.constraint_name != _ONE_RUNS:
                raise
            return {"id": None}
        return found


@dataclass(frozen=True, slots=True)
class Queues:
    """The queues of a fleet: other fleets of the database have other workers."""

    fleet: str

    @property
    def jobs(self) -> str:
        """Jobs. Its name is short: it becomes a channel of PostgreSQL."""
        return f"jobs {hashlib.sha256(self.fleet.encode()).hexdigest()[:16]}"

    @property
    def chores(self) -> str:
        """Chores, which have places of their own, so that they never wait for jobs."""
        return f"chores {self.jobs}"

    def name(self, kind: str, key: str) -> str:
        """The name of a job, of which one waits."""
        return f"{self.jobs} {kind} {key}"

    async def defer(self, app: App, kind: str, key: str, **when: Any) -> bool:
        """Procrastinate runs jobs with the same lock in their order, so one for later would stop its group until then.
        It has a lock of its own; if it begins while another job of its group runs, it waits for the lock of that job.
        """
        name = self.name(kind, key)
        is_later = when.get("schedule_at") is not None or "schedule_in" in when
        lock = name if is_later else f"{self.jobs} {group_of(key)}"
        try:
            await app.configure_task(kind, queue=self.jobs, lock=lock, queueing_lock=name, **when).defer_async(key=key)
        except AlreadyEnqueued:
            return False
        return True


class PostgresEngine:
    """`Engine`."""

    def __init__(self, url: str, fleet: str, pace: Pace | None = None) -> None:
        """Connects to nothing yet. ReconcilerError if the address is not valid."""
        self._settings = settings_of(url)
        self._queues = Queues(fleet)
        self._pace = pace or Pace()
        self._history = History(url, fleet)
        for name in ("procrastinate", "psycopg.pool", "asyncio"):  # what concerns a person is told by this module
            logging.getLogger(name).addHandler(logging.NullHandler())
            logging.getLogger(name).propagate = False

    # --- jobs ---------------------------------------------------------------------------------------------------------

    def defer(self, kind: str, key: str, not_before: datetime | None = None, *, first: bool = False) -> bool:
        """As in `Engine`."""
        return self._call(lambda app: self._queues.defer(app, kind, key, schedule_at=not_before, priority=int(first)))

    def cancel(self, kind: str, key: str) -> bool:
        """As in `Engine`."""

        async def cancel(app: App) -> bool:
            lock = self._queues.name(kind, key)
            waiting = await app.job_manager.list_jobs_async(status=Status.TODO.value, queueing_lock=lock)
            ends = [await app.job_manager.cancel_job_by_id_async(one.id or 0, delete_job=True) for one in waiting]
            return any(ends)

        return self._call(cancel)

    def running(self) -> Sequence[Job]:
        """As in `Engine`."""
        return self._list(Status.DOING)

    def waiting(self) -> Sequence[Job]:
        """As in `Engine`."""
        return self._list(Status.TODO)

    def stalled(self) -> Sequence[Job]:
        """As in `Engine`."""
        return self._call(lambda app: _jobs(_stalled(app, self._queues.jobs, self._pace)))

    def close(self) -> None:
        """Close the connection that is kept."""
        self._history.close()

    def _list(self, status: Status) -> Sequence[Job]:
        queue = self._queues.jobs
        return self._call(lambda app: _jobs(app.job_manager.list_jobs_async(queue=queue, status=status.value)))

    def _call(self, work: Callable[[App], Awaitable[_T]]) -> _T:
        async def call() -> _T:
            async with _opened(self._settings) as app:
                return await work(app)

        with _explained(self._settings):
            return asyncio.run(call())

    # --- a worker -----------------------------------------------------------------------------------------------------

    def work(self, handlers: Mapping[str, Handler], at_once: int, duty: Duty) -> None:
        """As in `Engine`. ReconcilerError if the tables are missing."""
        asyncio.run(_Worker(self._settings, self._queues, self._pace, self._history, handlers, at_once, duty).live())


class _Worker:
    """One process that does jobs."""

    def __init__(
        self,
        settings: dict[str, str],
        queues: Queues,
        pace: Pace,
        history: History,
        handlers: Mapping[str, Handler],
        at_once: int,
        duty: Duty,
    ) -> None:
        self._settings, self._queues, self._pace = settings, queues, pace
        self._history, self._handlers, self._at_once, self._duty = history, handlers, at_once, duty
        self._name = f"{socket.gethostname()}:{getpid()}"
        self._threads = ThreadPoolExecutor(at_once + 2)  # for the janitor's duty, too
        self._stopping = asyncio.Event()
        self._handling = 0
        self._unrecorded: dict[int, Done] = {}
        """The jobs that ended while the database was away, by their number."""

    async def live(self) -> None:
        """Work until asked to stop; begin again after the database was lost."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        pause_s = _FIRST_PAUSE_S
        while not self._stopping.is_set():
            begun = loop.time()
            why = "the connection was lost"
            try:
                with _explained(self._settings):
                    await self._until_asked(self._work())
            except ReconcilerError as error:
                if error.code == Code.DATABASE_OLD:
                    raise
                why = error.message
            if self._stopping.is_set():
                break
            pause_s = _FIRST_PAUSE_S if loop.time() - begun > _HEALTHY_S else pause_s
            self._duty.tell(f"the database: {why}; beginning again in {pause_s:.0f} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        self._threads.shutdown()

    def _stop(self) -> None:
        self._stopping.set()
        self._duty.on_stop()

    async def _until_asked(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it, and end it once this worker was asked to stop: first in order, and by force where the database is not
        there to take leave of."""
        task, asked = asyncio.create_task(work), asyncio.create_task(self._stopping.wait())
        await asyncio.wait({task, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=_LEAVE_S)
            while self._handling and not task.done():
                await asyncio.wait({task}, timeout=_LEAVE_S)
        if not task.cancelled():
            task.result()

    async def _work(self) -> None:
        """Until Procrastinate ends it. The jobs that run come to their end."""
        async with _opened(self._settings) as app, self._alive(app):
            await self._in_thread(self._record_rest)  # before a janitor takes these jobs for lost
            for kind, handler in self._handlers.items():
                app.task(name=kind, pass_context=True)(self._task(app, kind, handler))
            for name, cron, chore in (
                (_JANITOR, self._pace.janitor, self._janitor(app)),
                (_MINUTE, self._pace.minute, self._every_minute),
            ):
                queue = self._queues.chores
                periodic = app.task(name=name, queue=queue, queueing_lock=f"{queue} {name}")(chore)
                app.periodic(cron=cron, periodic_id=queue)(periodic)
            workers = [
                asyncio.create_task(
                    app.run_worker_async(
                        queues=[queue],
                        name=self._name,
                        concurrency=places,
                        install_signal_handlers=False,
                        delete_jobs="successful",
                        fetch_job_polling_interval=self._pace.poll_s,
                        update_heartbeat_interval=self._pace.beat_s,
                        stalled_worker_timeout=self._pace.dead_s,
                    )
                )
                for queue, places in ((self._queues.jobs, self._at_once), (self._queues.chores, 2))
            ]
            try:
                await asyncio.wait(workers, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in workers:
                    task.cancel()  # it then fetches nothing more, and waits for its jobs
                ended = await asyncio.gather(*workers, return_exceptions=True)
            for error in ended:
                if isinstance(error, Exception):
                    raise error

    def _task(self, app: App, kind: str, handler: Handler) -> Callable[..., Awaitable[None]]:
        async def run(context: JobContext, key: str) -> None:
            number = context.job.id or 0
            self._handling += 1
            try:
                done = await self._in_thread(lambda: self._handled(kind, handler, key, number))
            finally:
                self._handling -= 1
            if done.again_s is not None:
                again_s = round(done.again_s)
                await self._queues.defer(
                    app, kind, key, **({"schedule_in": {"seconds": again_s}} if again_s > 0 else {})
                )

        return run

    def _handled(self, kind: str, handler: Handler, key: str, number: int) -> Done:
        """Do the job, with its history. Never raises: the job would be lost with its error."""
        try:
            self._history.begin(number, kind, key, self._name)
        except ReconcilerError as error:
            return Done("failed", error.message, _FAILED_AGAIN_S)
        try:
            done = handler(key)
        except Exception as error:  # noqa: BLE001 - of a bug only the type is told; its text may quote a secret
            message = error.message if isinstance(error, ReconcilerError) else type(error).__name__
            done = Done("failed", message, _FAILED_AGAIN_S)
        try:
            self._history.end(number, done.outcome, done.message)
        except ReconcilerError:
            self._unrecorded[number] = done
        return done

    def _record_rest(self) -> None:
        for number, done in tuple(self._unrecorded.items()):
            self._history.end(number, done.outcome, done.message)
            del self._unrecorded[number]

    def _janitor(self, app: App) -> Callable[[int], Awaitable[None]]:
        async def tidy(timestamp: int) -> None:  # noqa: ARG001 - as Procrastinate calls it
            for queue in (self._queues.jobs, self._queues.chores):
                for one in await _stalled(app, queue, self._pace):
                    await self._replace(app, one)

        return tidy

    async def _replace(self, app: App, dead: EngineJob) -> None:
        """Add the job of a dead worker anew, unless another janitor did."""
        try:
            await app.job_manager.finish_job_by_id_async(dead.id or 0, Status.FAILED, delete_job=True)
        except ConnectorException:
            return
        if "key" in dead.task_kwargs:
            await self._queues.defer(app, dead.task_name, str(dead.task_kwargs["key"]))
            self._duty.tell(f"{dead.task_name} {dead.task_kwargs['key']}: its worker {_GONE}; it is done again")
            await self._in_thread(lambda: self._history.end(dead.id or 0, "lost", f"its worker {_GONE}"))

    async def _every_minute(self, timestamp: int) -> None:
        at = datetime.fromtimestamp(timestamp, UTC)
        try:
            await self._in_thread(lambda: self._duty.every_minute(at))
        except ReconcilerError as error:
            self._duty.tell(error.message)
        except Exception as error:  # noqa: BLE001 - as of a job; the next minute may work
            self._duty.tell(f"what is due could not be added: {type(error).__name__}")

    @contextlib.asynccontextmanager
    async def _alive(self, app: App) -> AsyncIterator[None]:
        """Show that this worker lives, during the `async with`."""
        who = {"fleet": self._queues.fleet, "name": self._name}

        async def show() -> None:
            while True:
                with contextlib.suppress(ConnectorException):  # the next sign is given once the database is there
                    await app.connector.execute_query_async(_LIVES, **who, dead=self._pace.dead_s)
                await asyncio.sleep(self._pace.beat_s)

        signs = asyncio.create_task(show())
        try:
            yield
        finally:
            signs.cancel()
            with contextlib.suppress(ConnectorException):
                await app.connector.execute_query_async(_ENDS, **who)

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


@contextlib.asynccontextmanager
async def _opened(settings: dict[str, str]) -> AsyncIterator[App]:
    """The app. Its first connection tells what is wrong, and at once; a pool would try for long."""
    await (await psycopg.AsyncConnection.connect(**settings)).close()  # type: ignore[arg-type]  # numbers are texts, too
    pool: dict[str, Any] = {"kwargs": settings, "min_size": 1, "max_size": _CONNECTIONS}
    app = App(connector=_Connector(timeout=float(settings["connect_timeout"]), **pool))
    async with app.open_async():
        yield app


def _stalled(app: App, queue: str, pace: Pace) -> Awaitable[Iterable[EngineJob]]:
    return app.job_manager.get_stalled_jobs(queue=queue, seconds_since_heartbeat=pace.dead_s)


async def _jobs(found: Awaitable[Iterable[EngineJob]]) -> Sequence[Job]:
    return [_job(one) for one in await found]


def _job(found: EngineJob) -> Job:
    return Job(found.id or 0, found.task_name, str(found.task_kwargs["key"]), found.scheduled_at)


@contextlib.contextmanager
def _explained(settings: dict[str, str]) -> Iterator[None]:
    """Raise ReconcilerError for what the database refuses."""
    with explained(settings):
        try:
            yield
        except ConnectorException as error:
            cause = error.__cause__
            raise (cause if isinstance(cause, psycopg.Error) else psycopg.OperationalError(str(error))) from error
