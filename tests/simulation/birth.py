"""A random world from a seed: what is declared, what the store has, what stands in the wrangler files."""

from __future__ import annotations

from datetime import timedelta
from random import Random

from tests.simulation.pool import CAS, FOREIGN, LEAVES, NOW
from tests.simulation.spec import FORMER_STACK, OTHER_STACK, STACK, TOP, Certificate, Spec, Worker
from tests.simulation.world import World, mark_of
from tests.simulation.wrangler_texts import STYLES

NAMES = ("alpha", "beta", "gamma", "delta")
LABELS = ("one", "two", "three")
BINDINGS = ("A", "B", "C")
ENVIRONMENTS = ("staging", "production")
UNKNOWN = "10ca1000-0000-4000-8000-ffffffffffff"
PLACEHOLDER = "<CERTIFICATE_ID>"


def new_world(random: Random) -> World:
    """A world that nobody has run the tool in for a while."""
    world = World()
    world.main.spec = _spec(random)
    _fill_store(world, random)
    for label in random.sample(LABELS, random.randint(1, len(LABELS))):
        add_worker(world, label, random)
    world.main.save()
    return world


def _spec(random: Random) -> Spec:
    names = random.sample(NAMES, random.randint(1, len(NAMES)))
    spec = Spec(
        certificates={name: new_certificate(random) for name in names},
        former_stacks=(FORMER_STACK,) if random.random() < 0.3 else (),
        grace_days=random.choice((0, 0, 0, 3, 7)),
        prune=random.random() < 0.6,
        max_deletes=random.choice((0, 1, 2, 10, 10)),
    )
    if random.random() < 0.2:
        spec.certificates["root"] = Certificate(random.choice(CAS), key="", ca=True)
    return spec


def new_certificate(random: Random) -> Certificate:
    """A declared leaf."""
    own = random.choice((None, None, None, 0, 24))
    return Certificate(random.choice(LEAVES), random.choice(("env", "env", "file")), grace_hours=own)


def _fill_store(world: World, random: Random) -> None:
    """Entries of every sort, uploaded in the weeks before."""
    world.clock.time = NOW - timedelta(days=25)
    numbers = random.sample((*LEAVES, *FOREIGN, *CAS), random.randint(0, 6))
    for number in numbers:
        world.clock.time += timedelta(days=random.randint(0, 4), seconds=random.randint(0, 9))
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
    world.clock.time = NOW
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
