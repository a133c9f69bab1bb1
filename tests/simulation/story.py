"""A seeded story: something happens, the tool runs and is disturbed, again and again; at last it runs in quiet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from random import Random

from tests.simulation.birth import new_world
from tests.simulation.events import EVENTS, mend
from tests.simulation.facts import declared
from tests.simulation.gate import Fault, Mode
from tests.simulation.invariants import DECLARATION, unfinished, violations
from tests.simulation.ownership import owner
from tests.simulation.scenarios import scenario
from tests.simulation.world import MEDDLERS, Checkout, Result, World

_MODES = (
    *Mode,
    Mode.CRASH_BEFORE,
    Mode.CRASH_AFTER,
    Mode.CRASH_HALF,
    Mode.CRASH_HALF,
    Mode.FAIL,
    Mode.FAIL,
    Mode.MEDDLE,
)
_LASTING = ("store.upload", "store.delete", "file.replace", "journal.append", "key.open")


class Broken(AssertionError):
    """The tool broke a promise."""


@dataclass
class Story:
    """One seed. `tell` hears of each step, in a sentence."""

    seed: int = 0
    tell: Callable[[str], None] = lambda _: None
    runs: int = 0
    longest: int = 40
    """About how many effects the next run has, for the choice of where it goes wrong."""
    replay: str = ""

    def __post_init__(self) -> None:
        self.replay = self.replay or f"--seed {self.seed}"

    def play(self) -> int:
        """The whole story; how many runs it had. Broken, with the command that replays it, where a promise was."""
        random = Random(self.seed)  # noqa: S311 - a seed must replay
        world = new_world(random)
        self.tell(f"mtls.toml:\n{world.main.spec.render().decode()}")
        self._disturbed_run(world, world.main, random)
        for _ in range(random.randint(2, 7)):
            name, event = random.choice(EVENTS)
            self.tell(f"event: {name}")
            world.history.append(world.main.copy())
            event(world, random)
            checkout = world.main
            if random.random() < 0.15:
                checkout = random.choice(world.history).copy()
                self.tell("an older checkout runs:")
            for _ in range(random.choice((1, 1, 2))):
                self._disturbed_run(world, checkout, random)
        mend(world)
        self._finish(world)
        return self.runs

    def play_scenario(self, name: str, fault: Fault) -> int:
        """One run with this fault in a world that is ready, and the quiet end; how many runs it had."""
        self.replay = f"--scenario {name} --fault {fault.mode}:{fault.at}:{fault.which}:{fault.kind}"
        world = scenario(name)
        self._run(world, world.main, fault)
        self._finish(world)
        return self.runs

    def _disturbed_run(self, world: World, checkout: Checkout, random: Random) -> None:
        self.longest = len(self._run(world, checkout, self._fault(random)).seen) + 12

    def _fault(self, random: Random) -> Fault | None:
        """None, a fault at any effect, or one at an effect that lasts: of these there are few, and they matter most."""
        sort, mode, which = random.random(), random.choice(_MODES), random.randrange(6)
        if sort < 0.2:
            return None
        if sort < 0.6:
            return Fault(random.randint(1, self.longest), mode, which)
        return Fault(random.randint(1, 3), mode, which, random.choice(_LASTING))

    def _run(self, world: World, checkout: Checkout, fault: Fault | None = None) -> Result:
        result = world.run(checkout, fault)
        self.runs += 1
        self.tell(_sentence(result))
        found = violations(result.run)
        if found:
            raise self._broken(found)
        return result

    def _finish(self, world: World) -> None:
        """Quiet runs until nothing is left to do, and no more of them than the rules need."""
        most = 1 + _retiring_runs(world)
        for _ in range(most + 1):
            result = self._run(world, world.main)
            if not result.changes:
                break
        else:
            raise self._broken([f"not finished after {most} quiet runs: {result.changes}"])
        left = unfinished(result.run)
        if left:
            raise self._broken(left)

    def _broken(self, found: list[str]) -> Broken:
        lines = "\n".join(f"  {sentence}" for sentence in found)
        return Broken(f"a promise was broken:\n{lines}\nreplay: python -m tests.simulation {self.replay}")


def _retiring_runs(world: World) -> int:
    """How many runs the retires may take, beside the one that does all the rest.

    An entry that a file named when a run began is retired by the next run at the earliest (rule 5), and a run retires
    no more than `max_deletes`.
    """
    means = declared(world.main.tree[DECLARATION])
    rows = world.rows()
    ours = sum(owner(means, rows, row) is not None for row in rows.values())
    return ceil(ours / means.max_deletes) if means.max_deletes else 0


def _sentence(result: Result) -> str:
    did = result.run.did
    done = [
        *(f"uploaded {upload.name} as {upload.id[-4:]}" for upload in did.uploads),
        *(f"replaced {change.path}" for change in did.replacements),
        *(f"deleted {gone.rows[gone.id].name} ({gone.id[-4:]})" for gone in did.deletions),
    ]
    fault = f", {result.met}" if result.met else ""
    return f"run: {result.run.ended}{fault}; {len(result.seen)} effects; {', '.join(done) or 'changed nothing'}"


__all__ = ["MEDDLERS", "Broken", "Story"]
