"""Several changes of the store at once, as many as it takes.

Only the store is called from other threads: keys, journal and terminal stay in the one that applies the plan, and a
change is said to begin when it really does. So no port but the store has to be safe for several threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from queue import Empty, SimpleQueue
from threading import Thread

from reconciler.apply.run import Run
from reconciler.findings.errors import ReconcilerError
from reconciler.model.errors import StoreClosed
from reconciler.plan.outcome import Status, Step

PATIENCE_S = 10.0
"""So long an interrupted run lets calls end that are on their way: only they can tell whether something was changed."""

Effect = Callable[[], Step]
Prepare = Callable[[], Effect]
"""What is done in this thread, such as opening a key; it gives what may be done in another one."""


def attempt_all(run: Run, changes: Iterable[tuple[int, Prepare]]) -> None:
    """Try changes as `Run.attempt` does, several at once where the store takes them.

    They go alone until one is done: what would be refused each time, for a missing permission, is asked for once.
    """
    left = iter(changes)
    for index, prepare in left:
        if run.stopped:
            run.leave(index)
            continue
        run.attempt(index, partial(_carry_out, prepare))
        step = run.steps.get(index)
        if run.world.store.at_once > 1 and step is not None and step.status is Status.DONE:
            _Together(run).attempt_all(left)


def _carry_out(prepare: Prepare) -> Step:
    return prepare()()


class _Together:
    """Changes under way, each in a thread of its own. A thread that hangs can't keep the process from ending."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._under_way: set[int] = set()
        self._results: dict[int, Step | BaseException] = {}
        self._ended: SimpleQueue[int] = SimpleQueue()

    def attempt_all(self, changes: Iterator[tuple[int, Prepare]]) -> None:
        """Every change, or those until the store takes no more. What ends this early lets go on what is under way, so
        that it can be told how it ended."""
        try:
            while not self._run.stopped and (batch := self._next(changes)):
                for index in self._run.start_all(batch):
                    self._begin(index, batch[index])
                self._take_ended()
            while self._under_way:
                self._take_ended()
        except BaseException:
            self._let_end()
            raise

    def _next(self, changes: Iterator[tuple[int, Prepare]]) -> dict[int, Prepare]:
        """As many as there is room for beside those under way."""
        return dict(islice(changes, self._run.world.store.at_once - len(self._under_way)))

    def _begin(self, index: int, prepare: Prepare) -> None:
        try:
            effect = prepare()
        except ReconcilerError as error:
            self._run.end(index, self._run.failure(index, error))
            return
        self._under_way.add(index)
        Thread(target=self._work, args=(index, effect), daemon=True).start()

    def _work(self, index: int, effect: Effect) -> None:
        """In the other thread. What is no error of ours is raised by the one that applies the plan."""
        try:
            self._results[index] = effect()
        except StoreClosed as error:
            self._results[index] = error
        except ReconcilerError as error:
            self._results[index] = self._run.failure(index, error)
        except BaseException as error:  # noqa: BLE001 - no thread may end unseen
            self._results[index] = error
        self._ended.put(index)

    def _take_ended(self) -> None:
        """Wait until a change ends, where one is under way; tell of it, and of all others that have ended by then."""
        if not self._under_way:
            return
        ended = [self._ended.get()]
        with suppress(Empty):
            while True:
                ended.append(self._ended.get_nowait())
        for index in ended:
            result = self._results[index]
            if isinstance(result, BaseException):
                raise result
            self._run.end(index, result)
            self._under_way.discard(index)

    def _let_end(self) -> None:
        """Nothing begins any more, what waits gives up, and what is on its way may end, but for a second interrupt."""
        self._run.world.store.give_up()
        ends = time.monotonic() + PATIENCE_S
        try:
            while self._under_way - self._results.keys():
                self._ended.get(timeout=max(ends - time.monotonic(), 0.0))
        except (Empty, KeyboardInterrupt):
            pass
        for index in sorted(self._under_way):
            result = self._results.get(index)
            if isinstance(result, Step) and index not in self._run.steps:
                self._run.end(index, result)
