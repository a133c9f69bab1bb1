"""Worlds that are ready for one run with much to do; the tests disturb that run at each of its effects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cache

from tests.simulation.pool import CAS, CHAINED, LATER, NOW, periods
from tests.simulation.spec import FORMER_STACK, HOSTS, TOP, Certificate, Spec, Worker
from tests.simulation.stock import EmbeddedStock
from tests.simulation.world import MakeStock, World, mark_of
from tests.simulation.wrangler_texts import STYLES, Style

_TABLES, _, _INLINE, _JSONC = STYLES
PLACEHOLDER = "<CERTIFICATE_ID>"


def scenario(name: str, stock: MakeStock = EmbeddedStock) -> World:
    """A new world, the same each time."""
    return _template(name, stock).copy()


@cache
def _template(name: str, stock: MakeStock) -> World:
    return SCENARIOS[name](stock)


def _base(stock: MakeStock, begins: datetime = NOW) -> World:
    """Three certificates, bound in files of three styles; nothing stored yet."""
    world = World(stock, begins=begins)
    spec = world.main.spec = Spec(grace_days=0, prune=True, rollback=0, account=world.stock.account)
    spec.certificates = {"alpha": Certificate(0), "beta": Certificate(1, key="file"), "gamma": Certificate(CHAINED)}
    _worker(world, "one", _TABLES, {TOP: {"A": "alpha"}, "staging": {"B": "beta"}})
    _worker(world, "two", _INLINE, {TOP: {"A": "alpha", "C": "gamma"}})
    _worker(world, "three", _JSONC, {TOP: {"B": "beta"}, "production": {"C": "gamma"}})
    world.main.save()
    return world


def _worker(world: World, label: str, style: Style, tables: dict[str, dict[str, str]]) -> None:
    path = f"workers/{label}/{style.path}"
    bound = {environment: dict.fromkeys(table, PLACEHOLDER) for environment, table in tables.items()}
    world.main.tree[path] = style.render(label, bound)
    world.main.spec.workers[label] = Worker(path, tables)


def _settled(stock: MakeStock) -> World:
    """The same, applied and deployed a month ago."""
    world = _base(stock, NOW - timedelta(days=30))
    world.run(world.main)
    world.deploy()
    world.pass_time(timedelta(days=30))
    return world


def first_run(stock: MakeStock) -> World:
    """Everything is to be uploaded, beside entries of others, and a CA."""
    world = _base(stock)
    world.put(30, "by-hand")
    world.manage(31)
    world.main.spec.certificates["root"] = Certificate(CAS[0], key="", ca=True)
    world.main.save()
    return world


def rotation(stock: MakeStock) -> World:
    """Two of three are rotated, a binding is added, one removed."""
    world = _settled(stock)
    spec = world.main.spec
    spec.certificates["alpha"].content, spec.certificates["beta"].content = 2, 3
    spec.workers["one"].tables[TOP]["C"] = "gamma"
    del spec.workers["two"].tables[TOP]["C"]
    world.main.save()
    return world


def shared(stock: MakeStock) -> World:
    """What Workers and a Hyperdrive configuration share is rotated, and so is a CA that hostnames trust; what they were
    before is still stored."""
    world = _base(stock, NOW - timedelta(days=30))
    spec = world.main.spec
    spec.hyperdrive = True
    world.stock.set_mtls({"later": "kept"})
    spec.hostnames = True
    spec.certificates["root"] = Certificate(CAS[0], key="", ca=True)
    world.main.save()
    world.run(world.main)
    world.deploy()
    world.pass_time(timedelta(days=30))
    spec.certificates["alpha"].content, spec.certificates["root"].content = 2, CAS[1]
    del spec.workers["two"], spec.workers["three"]
    world.main.save()
    return world


def behind(stock: MakeStock) -> World:
    """The same, but only the Hyperdrive configuration and one hostname still have to move; the Workers have."""
    world = shared(stock)
    old = world.stock.mtls()
    trusted = world.stock.trusted()
    world.run(world.main)
    world.deploy()
    world.stock.set_mtls(old)
    for ca in world.stock.trusted().keys() - trusted.keys():
        world.stock.trust(ca, ("own.example.com", HOSTS[0]))
    world.pass_time(timedelta(minutes=1))
    return world


def retirement(stock: MakeStock) -> World:
    """Rotated and bound already: the old entries are to go, two at a time."""
    world = _settled(stock)
    spec = world.main.spec
    for name, number in (("alpha", 2), ("beta", 3), ("gamma", 4)):
        spec.certificates[name].content = number
    spec.max_deletes = 2
    world.main.save()
    world.run(world.main)
    world.deploy()
    world.put(5, mark_of("payments", "gone", 5))
    world.pass_time(timedelta(minutes=1))
    return world


def renaming(stock: MakeStock) -> World:
    """A certificate has a new name and content, another left; entries of others are handed over."""
    world = _settled(stock)
    spec = world.main.spec
    world.put(7, "by-hand")
    world.put(5, mark_of(FORMER_STACK, "beta", 5))
    spec.former_stacks = (FORMER_STACK,)
    spec.certificates["omega"] = spec.certificates.pop("alpha")
    spec.certificates["omega"].content = 4
    spec.certificates["omega"].supersedes = ("alpha", "by-hand")
    for worker in spec.workers.values():
        for table in worker.tables.values():
            for binding, target in list(table.items()):
                if target == "alpha":
                    table[binding] = "omega"
                elif target == "gamma":
                    del table[binding]
    del spec.certificates["gamma"]
    world.main.save()
    return world


def beginning(stock: MakeStock) -> World:
    """Two of one file are renewed, by what begins in a minute and in four."""
    world = World(stock, begins=NOW - timedelta(days=30))
    spec = world.main.spec = Spec(grace_days=0, prune=True, rollback=0, account=world.stock.account)
    spec.certificates = {"alpha": Certificate(0), "beta": Certificate(1, key="file")}
    _worker(world, "one", _JSONC, {TOP: {"A": "alpha", "B": "beta"}})
    world.main.save()
    world.run(world.main)
    world.deploy()
    spec.certificates["alpha"].content, spec.certificates["beta"].content = LATER, LATER + 1
    world.main.save()
    world.pass_time(periods(LATER)[0].begins - timedelta(minutes=1) - world.clock.time)
    return world


def reverted(stock: MakeStock) -> World:
    """Back to contents that are stored: nothing to upload, much to bind."""
    world = _settled(stock)
    spec = world.main.spec
    spec.certificates["alpha"].content = 2
    world.main.save()
    world.run(world.main)
    spec.certificates["alpha"].content = 0
    world.main.environ.clear()
    world.main.save()
    return world


SCENARIOS: Mapping[str, Callable[[MakeStock], World]] = {
    "first-run": first_run,
    "rotation": rotation,
    "retirement": retirement,
    "renaming": renaming,
    "reverted": reverted,
    "beginning": beginning,
    "shared": shared,
    "behind": behind,
}
