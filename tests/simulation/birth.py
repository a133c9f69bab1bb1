"""A random world from a seed: what is declared, what the store has, what stands in the wrangler files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random

from tests.simulation.pool import CAS, DATED, FOREIGN, NOW, PLAIN, some_leaf
from tests.simulation.spec import FORMER_STACK, OTHER_STACK, STACK, TOP, Certificate, Spec, Worker
from tests.simulation.stock import EmbeddedStock
from tests.simulation.world import MakeStock, World, mark_of
from tests.simulation.wrangler_texts import STYLES, Style

NAMES = ("alpha", "beta", "gamma", "delta")
LABELS = ("one", "two", "three")
BINDINGS = ("A", "B", "C")
ENVIRONMENTS = ("staging", "production")
UNKNOWN = "10ca1000-0000-4000-8000-ffffffffffff"
PLACEHOLDER = "<CERTIFICATE_ID>"


@dataclass(frozen=True)
class Size:
    """How much there is at most."""

    certificates: int = len(NAMES)
    entries: int = 6
    workers: int = len(LABELS)


def new_world(random: Random, stock: MakeStock = EmbeddedStock, size: Size = Size()) -> World:
    """A world that nobody has run the tool in for a while."""
    world = World(stock, begins=NOW - timedelta(days=25))
    world.main.spec = _spec(random, size)
    world.main.spec.account = world.stock.account
    _fill_store(world, random, size)
    for label in random.sample(LABELS, random.randint(1, size.workers)):
        add_worker(world, label, random)
    world.main.save()
    world.deploy()
    return world


def new_ripe_world(random: Random, stock: MakeStock, size: Size) -> World:
    """A world in which entries are to go: everything was rotated some days ago, and perhaps deployed then or now."""
    world = World(stock, begins=NOW - timedelta(days=25))
    spec = world.main.spec = Spec(grace_days=0, prune=True, rollback=random.choice((0, 1)), account=world.stock.account)
    spec.max_deletes = random.choice((1, 10, 10))
    names = random.sample(NAMES, random.randint(1, size.certificates))
    numbers = random.sample(PLAIN[:-1], 2 * len(names) + 1)
    if random.random() < 0.4:
        numbers[random.randrange(len(numbers))] = random.choice(DATED)
    style, bound = random.choice(STYLES), names[: random.choice((1, 2, 2))]
    world.put(numbers[0], mark_of(STACK, "gone", numbers[0]))
    _rotate(world, dict(zip(names, numbers[1:], strict=False)), bound, style)
    world.deploy()
    if random.random() < 0.2:
        world.stock.deploy({"by-hand": {"ANY": random.choice(list(world.rows()))}})
    _rotate(world, dict(zip(names, reversed(numbers), strict=False)), bound, style)
    for pause in (NOW - world.clock.time, timedelta()):
        for _ in range(random.choice((0, 1, 2))):
            world.deploy()
        world.pass_time(pause)
    return world


def _rotate(world: World, contents: Mapping[str, int], bound: Sequence[str], style: Style) -> None:
    """New contents for these certificates are uploaded, and some of them bound in the file of one Worker."""
    spec, path = world.main.spec, f"workers/one/{style.path}"
    ids: dict[str, str] = {}
    for name, number in contents.items():
        world.pass_time(timedelta(days=2))
        spec.certificates[name] = Certificate(number)
        world.put(number, mark_of(STACK, name, number))
        ids[name] = list(world.rows())[-1]
    bindings = dict(zip(BINDINGS, bound, strict=False))
    world.main.tree[path] = style.render("one", {TOP: {binding: ids[name] for binding, name in bindings.items()}})
    spec.workers["one"] = Worker(path, {TOP: bindings})
    world.main.save()


def _spec(random: Random, size: Size) -> Spec:
    names = random.sample(NAMES, random.randint(1, size.certificates))
    spec = Spec(
        certificates={name: new_certificate(random) for name in names},
        former_stacks=(FORMER_STACK,) if random.random() < 0.3 else (),
        grace_days=random.choice((0, 0, 0, 3, 7)),
        prune=random.random() < 0.6,
        max_deletes=random.choice((0, 1, 2, 10, 10)),
        rollback=random.choice((0, 1)),
    )
    spec.protect = tuple(names[:1]) if spec.grace_days == 3 else ()  # no draw of its own: seeds tell the same stories
    if random.random() < 0.2:
        spec.certificates["root"] = Certificate(random.choice(CAS), key="", ca=True)
    return spec


def new_certificate(random: Random) -> Certificate:
    """A declared leaf."""
    own = random.choice((None, None, None, 0, 24))
    return Certificate(some_leaf(random), random.choice(("env", "env", "file")), grace_hours=own)


def _fill_store(world: World, random: Random, size: Size) -> None:
    """Entries of every sort, uploaded in the weeks before."""
    numbers = random.sample((*PLAIN, *random.sample(DATED, 4), *FOREIGN, *CAS), random.randint(0, size.entries))
    for number in numbers:
        world.pass_time(timedelta(days=random.randint(0, 4), seconds=random.randint(0, 9)))
        sort = random.random()
        if sort < 0.6 and number not in FOREIGN:
            stack = FORMER_STACK if sort < 0.08 else STACK
            world.put(number, mark_of(stack, random.choice((*NAMES, "gone")), number))
        elif sort < 0.75:
            world.put(number, mark_of(OTHER_STACK, random.choice(NAMES), number))
        elif sort < 0.85 and number in FOREIGN:
            world.manage(number)
        else:
            world.put(number, f"by-hand-{number}")
    world.pass_time(NOW - world.clock.time)
    foreign = [row for row in world.rows().values() if row.name.startswith("by-hand") and not row.ca]
    if foreign and random.random() < 0.5:
        certificate = random.choice([one for one in world.main.spec.certificates.values() if not one.ca])
        certificate.supersedes = (random.choice((foreign[0].id, foreign[0].name)),)


def some_id(world: World, random: Random) -> str:
    """Whatever may stand in a wrangler file."""
    return random.choice([*world.rows(), *world.rows(), PLACEHOLDER, "", UNKNOWN])


def some_target(world: World, random: Random) -> str:
    """What a binding may be declared to present: a leaf that is declared, now and then an id."""
    leaves = [row.id for row in world.rows().values() if not row.ca]
    names = [name for name, certificate in world.main.spec.certificates.items() if not certificate.ca]
    if leaves and (random.random() < 0.1 or not names):
        return f"id:{random.choice(leaves)}"
    return random.choice(names) if names else f"id:{UNKNOWN}"


def add_worker(world: World, label: str, random: Random) -> None:
    """A Worker with its file and its tables, which need not agree yet."""
    style = random.choice(STYLES)
    path = f"workers/{label}/{style.path}"
    has = [TOP, *random.sample(ENVIRONMENTS, random.randint(0, 2))]
    tables = {
        environment: {name: some_id(world, random) for name in random.sample(BINDINGS, random.choice((0, 1, 1, 2)))}
        for environment in has
    }
    world.main.tree[path] = style.render(label, tables)
    declares = [environment for environment in has if random.random() < 0.8] or [TOP]
    if random.random() < 0.05:
        declares.append(random.choice([name for name in (*ENVIRONMENTS, "other") if name not in declares]))
    names = (*BINDINGS, *BINDINGS, *BINDINGS, "KV")
    world.main.spec.workers[label] = Worker(
        config=path,
        exclusive=random.random() < 0.9,
        tables={
            environment: {random.choice(names): some_target(world, random) for _ in range(random.randint(0, 3))}
            for environment in declares
        },
    )
