"""A seeded story: something happens, the tool runs and is disturbed, again and again; at last it runs in quiet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from math import ceil
from random import Random

from tests.simulation.account import AccountStock
from tests.simulation.birth import Size, new_ripe_world, new_world
from tests.simulation.dates import changed_by_time
from tests.simulation.events import ACCOUNT_EVENTS, CLOCK_EVENTS, EVENTS, Event, mend, move_hostnames, rotate_ca
from tests.simulation.facts import declared
from tests.simulation.gate import Fault, Mode
from tests.simulation.invariants import unfinished, violations
from tests.simulation.ownership import owner
from tests.simulation.pool import CAS
from tests.simulation.scenarios import scenario
from tests.simulation.spec import DECLARATION, HOSTS, Certificate
from tests.simulation.stock import EmbeddedStock
from tests.simulation.world import APPLY, LOOK, LOOK_AHEAD, MEDDLERS, Ask, Checkout, MakeStock, Result, World

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
_PAUSE = timedelta(minutes=10)
"""After it every list of an account shows what it has, and nothing is in use that nothing uses."""


@dataclass(frozen=True)
class Where:
    """What certificates are kept in, and what stories of it are like.

    `lengths`: how many events one may have; `runs`: how many runs come after each; `ripe`: how many of the stories
    begin when entries are to go. `users`: a Hyperdrive configuration uses the first certificate, and hostnames trust
    the first CA.
    """

    stock: MakeStock
    events: tuple[tuple[str, Event], ...]
    lengths: tuple[int, ...]
    runs: tuple[int, ...]
    ripe: float
    size: Size
    users: bool = False


_OF_USERS = (("rotate_ca", rotate_ca),) * 3 + (("move_hostnames", move_hostnames),) * 3
_SMALL = Size(certificates=2, entries=3, workers=1)
WHERE: Mapping[str, Where] = {
    "embedded": Where(EmbeddedStock, EVENTS, (2, 3, 4, 5, 6, 7), (1, 1, 2), 0.0, Size()),
    "account": Where(AccountStock, ACCOUNT_EVENTS, (0, 0, 0, 1), (1,), 0.15, _SMALL),
    "hyperdrive": Where(EmbeddedStock, (*EVENTS, *_OF_USERS), (2, 3, 4, 5, 6, 7), (1, 1, 2), 0.0, Size(), users=True),
    "hyperdrive-account": Where(
        AccountStock, (*ACCOUNT_EVENTS, *_OF_USERS), (0, 0, 0, 1), (1,), 0.5, _SMALL, users=True
    ),
    "busy-account": Where(partial(AccountStock, at_once=10), ACCOUNT_EVENTS, (0, 0, 0, 1), (1,), 0.15, _SMALL),
}
"""The embedded store; an account with one call after the other, so that a seed tells the same story each time; the same
with a Hyperdrive configuration and hostnames; and an account with ten calls at once, where a seed need not."""


class Broken(AssertionError):
    """The tool broke a promise."""


@dataclass
class Story:
    """One seed. `tell` hears of each step, in a sentence."""

    seed: int = 0
    tell: Callable[[str], None] = lambda _: None
    where: str = "embedded"
    runs: int = 0
    deletions: int = 0
    met: set[str] = field(default_factory=set)
    """What went wrong in some run: the kind of a fault on the way to an account, or the mode of one at the gate."""
    longest: int = 40
    """About how many effects the next run has, for the choice of where it goes wrong."""
    replay: str = ""

    def __post_init__(self) -> None:
        self.replay = self.replay or f"--where {self.where} --seed {self.seed}"

    def play(self) -> int:
        """The whole story; how many runs it had. Broken, with the command that replays it, where a promise was."""
        random = Random(self.seed)  # noqa: S311 - a seed must replay
        where = WHERE[self.where]
        birth = new_ripe_world if random.random() < where.ripe else new_world
        world = birth(random, where.stock, where.size)
        if where.users:
            world.main.spec.hyperdrive = True
            leaves = [row.id for row in world.rows().values() if not row.ca and row.type == "custom"]
            used = {"mtls_certificate_id": random.choice(leaves)} if leaves and random.random() < 0.7 else {}
            world.stock.set_mtls({"later": "kept", **used})
            _let_trust(world, random)
            world.main.save()
        self.tell(f"mtls.toml:\n{world.main.spec.render().decode()}")
        self._disturbed_run(world, world.main, random)
        for _ in range(random.choice(where.lengths)):
            self._happen(world, *random.choice(where.events), random)
            checkout = world.main
            if random.random() < 0.15:
                checkout = random.choice(world.history).copy()
                self.tell("an older checkout runs:")
            for _ in range(random.choice(where.runs)):
                self._disturbed_run(world, checkout, random)
        mend(world)
        self._finish(world)
        return self.runs

    def play_scenario(self, name: str, fault: Fault) -> int:
        """One run with this fault in a world that is ready, and the quiet end; how many runs it had."""
        told = f"{fault.mode}:{fault.at}:{fault.which}:{fault.kind}"
        self.replay = f"--where {self.where} --scenario {name} --fault {told}"
        world = scenario(name, WHERE[self.where].stock)
        self._run(world, world.main, fault)
        self._finish(world)
        return self.runs

    def _happen(self, world: World, name: str, event: Event, random: Random) -> None:
        """An event. Where time alone passes, the plan before and the one after have the same digest."""
        looks = event in CLOCK_EVENTS and world.stock.account is None  # an account's list may lag
        before = self._run(world, world.main, ask=LOOK) if looks else None
        self.tell(f"event: {name}")
        world.history.append(world.main.copy())
        event(world, random)
        if before is not None:
            changed = changed_by_time(before.run, self._run(world, world.main, ask=LOOK_AHEAD).run)
            if changed:
                raise self._broken(changed)

    def _disturbed_run(self, world: World, checkout: Checkout, random: Random) -> None:
        world.stock.stir(random)
        ask, world.ask = world.ask, APPLY
        self.longest = len(self._run(world, checkout, self._fault(random), ask).seen) + 12

    def _fault(self, random: Random) -> Fault | None:
        """None, a fault at any effect, or one at an effect that lasts: of these there are few, and they matter most."""
        sort, mode, which = random.random(), random.choice(_MODES), random.randrange(6)
        if sort < 0.2:
            return None
        if sort < 0.6:
            return Fault(random.randint(1, self.longest), mode, which)
        return Fault(random.randint(1, 3), mode, which, random.choice(_LASTING))

    def _run(self, world: World, checkout: Checkout, fault: Fault | None = None, ask: Ask = APPLY) -> Result:
        result = world.run(checkout, fault, ask)
        self.runs += 1
        self.deletions += len(result.run.did.deletions)
        self.met |= {sent.met for sent in result.run.did.sent if sent.met}
        self.met |= {fault.mode} if fault is not None and result.met else set()
        self.tell(_sentence(result))
        found = violations(result.run)
        if found:
            raise self._broken(found)
        return result

    def _finish(self, world: World) -> None:
        """Quiet runs until nothing is left to do; and once more when what a binding waits for has begun."""
        world.stock.calm()
        if world.stock.account is not None:
            result = self._run(world, world.main)
            if not result.changes and not result.waiting:
                return self._demand_finished(result)
            _let_settle(world)
        result = self._run_until_finished(world)
        if result.binds is not None:
            self.tell(f"event: {result.binds:%m-%d %H:%M:%S} has come")
            world.pass_time(result.binds - world.clock.time)
            self._run_until_finished(world)
        return None

    def _run_until_finished(self, world: World) -> Result:
        """Quiet runs, and no more of them than the rules need."""
        most = 2 + _retiring_runs(world)  # one that waits for a begin may find more to do after it
        for _ in range(most + 1):
            result = self._run(world, world.main)
            if not result.changes:
                self._demand_finished(result)
                return result
        raise self._broken([f"not finished after {most} quiet runs: {result.changes}"])

    def _demand_finished(self, result: Result) -> None:
        left = unfinished(result.run)
        if left:
            raise self._broken(left)

    def _broken(self, found: list[str]) -> Broken:
        lines = "\n".join(f"  {sentence}" for sentence in found)
        return Broken(f"a promise was broken:\n{lines}\nreplay: python -m tests.simulation {self.replay}")


def _let_trust(world: World, random: Random) -> None:
    """Hostnames trust some of the stored CAs, and are declared for the first declared one; some CA is declared."""
    spec = world.main.spec
    spec.hostnames = True
    if not any(certificate.ca for certificate in spec.certificates.values()):
        spec.certificates["root"] = Certificate(random.choice(CAS), key="", ca=True)
    for row in world.rows().values():
        if row.ca and random.random() < 0.7:
            world.stock.trust(row.id, tuple(random.sample((*HOSTS, "own.example.com"), random.randint(0, 3))))


def _let_settle(world: World) -> None:
    """What the files name is deployed, twice, so that going back leads nowhere else; and time passes."""
    world.deploy()
    world.deploy()
    world.pass_time(_PAUSE)


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
    done += [f"{sent.name} met {sent.met}" for sent in did.sent if sent.met]
    fault = f", {result.met}" if result.met else ""
    run = result.run
    what = "apply" if run.retires is None else f"retire {run.retires} --now"
    what = what if run.saved is None else "apply the saved plan"
    ended = f"{run.now:%m-%d %H:%M:%S} {what}: {run.ended}{fault}"
    return f"{ended}; {len(result.seen)} effects; {', '.join(done) or 'changed nothing'}"


__all__ = ["MEDDLERS", "WHERE", "Broken", "Story"]
