"""What happens between two runs: people and other machines change what is declared, stored, written, and the time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from random import Random

from tests.simulation.birth import LABELS, NAMES, add_worker, new_certificate, some_id, some_target
from tests.simulation.pool import FOREIGN, LEAVES
from tests.simulation.spec import STACK, key_path, key_variable
from tests.simulation.world import World, comment, mark_of, with_ids

Event = Callable[[World, Random], None]

_BROKEN = b"\n[[[ half an edit\n"


def rotate(world: World, random: Random) -> None:
    """A certificate file is replaced, by a new content or back to one that was there."""
    leaves = [certificate for certificate in world.main.spec.certificates.values() if not certificate.ca]
    if leaves:
        random.choice(leaves).content = random.choice(LEAVES)
    world.main.save()


def revert(world: World, random: Random) -> None:
    """`git revert`: mtls.toml and the certificates as they were, perhaps the wrangler files too."""
    old = random.choice(world.history)
    world.main.spec = old.spec.copy()
    whole = random.random() < 0.5
    for worker in world.main.spec.workers.values():
        if whole or worker.config not in world.main.tree:
            world.main.tree[worker.config] = old.tree[worker.config]
    world.main.save()


def damage(world: World, random: Random) -> None:
    """A certificate file is cut short."""
    random.choice(list(world.main.spec.certificates.values())).content = None
    world.main.save()


def repair(world: World, random: Random) -> None:
    """Damaged certificate files are whole again."""
    for certificate in world.main.spec.certificates.values():
        if certificate.content is None and not certificate.ca:
            certificate.content = random.choice(LEAVES)
    world.main.save()


def rename(world: World, random: Random) -> None:
    """A certificate gets another name, with or without `supersedes`."""
    spec = world.main.spec
    old = random.choice(list(spec.certificates))
    free = [name for name in NAMES if name not in spec.certificates]
    if spec.certificates[old].ca or not free:
        return
    new = random.choice(free)
    for table, binding in spec.bindings_of(old):
        table[binding] = new
    spec.certificates[new] = spec.certificates.pop(old)
    _forget(world, new)
    if random.random() < 0.6:
        spec.certificates[new].supersedes = (*spec.certificates[new].supersedes, old)
    world.main.save()


def remove(world: World, random: Random) -> None:
    """A certificate leaves mtls.toml, and its bindings with it."""
    spec = world.main.spec
    if len(spec.certificates) < 2:
        return
    name = random.choice(list(spec.certificates))
    for table, binding in spec.bindings_of(name):
        del table[binding]
    del spec.certificates[name]
    world.main.save()


def add(world: World, random: Random) -> None:
    """A certificate is declared."""
    name = random.choice(NAMES)
    if name not in world.main.spec.certificates:
        _forget(world, name)
        world.main.spec.certificates[name] = new_certificate(random)
    world.main.save()


def add_or_remove_worker(world: World, random: Random) -> None:
    """A Worker comes with its file, or leaves mtls.toml; its file stays."""
    label = random.choice(LABELS)
    if label in world.main.spec.workers:
        del world.main.spec.workers[label]
    else:
        add_worker(world, label, random)
    world.main.save()


def bind(world: World, random: Random) -> None:
    """A declared binding is changed, added or taken out."""
    tables = [table for worker in world.main.spec.workers.values() for table in worker.tables.values()]
    if tables:
        table = random.choice(tables)
        name = random.choice("ABC")
        if name in table and random.random() < 0.4:
            del table[name]
        else:
            table[name] = some_target(world, random)
    world.main.save()


def policy(world: World, random: Random) -> None:
    """The policy is changed."""
    spec = world.main.spec
    spec.grace_days, spec.prune = random.choice((0, 1, 7)), random.random() < 0.6
    spec.max_deletes = random.choice((0, 1, 10))
    world.main.save()


def edit(world: World, random: Random) -> None:
    """Somebody edits a wrangler file by hand: a comment, an id, or half an edit that does not parse."""
    files = world.main.wranglers
    if not files:
        return
    path = random.choice(files)
    data = world.main.tree[path]
    sort = random.random()
    if sort < 0.4:
        data += comment(path, f"by hand {random.randrange(99)}")
    elif sort < 0.85:
        data = with_ids(data, some_id(world, random), random.choice((0, 1)))
    elif not data.endswith(_BROKEN):
        data += _BROKEN
    world.main.tree[path] = data


def move_clock(world: World, random: Random) -> None:
    """Time passes; now and then a clock was wrong and is set back."""
    hours = random.choice((1, 23, 24, 72, 168, 240, -24))
    world.pass_time(timedelta(hours=hours, seconds=random.randrange(60)))


def upload(world: World, random: Random) -> None:
    """Somebody else uploads: what is foreign, or what may be declared, under whatever name."""
    number = random.choice((*FOREIGN, *LEAVES))
    world.put(number, random.choice(("by-hand", mark_of(STACK, random.choice(NAMES), number))))


def delete(world: World, random: Random) -> None:
    """Somebody else deletes an entry, perhaps one that is bound."""
    rows = world.rows()
    if rows:
        world.take(random.choice(list(rows)))


def lose_key(world: World, random: Random) -> None:
    """A key is not where it is declared to be, is cut short, or is another one."""
    name = random.choice(list(world.main.spec.certificates))
    other = world.main.environ.get(key_variable(random.choice(NAMES)), "no key at all")[: random.choice((150, None))]
    world.main.environ[key_variable(name)] = other
    world.main.tree[key_path(name)] = other.encode()


def mend(world: World) -> None:
    """What only people can mend: half edits and lost keys."""
    for path in world.main.wranglers:
        world.main.tree[path] = world.main.tree[path].replace(_BROKEN, b"")
    world.main.hand_out_keys()


def _forget(world: World, name: str) -> None:
    """A name that is declared can't be a former name as well."""
    for certificate in world.main.spec.certificates.values():
        certificate.supersedes = tuple(item for item in certificate.supersedes if item != name)


def mend_now(world: World, _random: Random) -> None:
    """Half edits and lost keys are noticed."""
    mend(world)


def deploy(world: World, _random: Random) -> None:
    """Every Worker is deployed with what its file names."""
    world.deploy()


def deploy_by_hand(world: World, random: Random) -> None:
    """Somebody deploys a Worker that no file knows, with whatever is stored."""
    leaves = [row.id for row in world.rows().values() if not row.ca]
    if leaves:
        world.stock.deploy({random.choice(("by-hand", "one")): {"ANY": random.choice(leaves)}})


EVENTS: tuple[tuple[str, Event], ...] = tuple(
    (event.__name__, event)
    for event in (
        *(rotate,) * 4, revert, revert, rename, remove, add, add, add_or_remove_worker, bind, bind, policy, edit, edit,
        *(move_clock,) * 3, upload, delete, lose_key, damage, repair, mend_now,
    )
)  # fmt: skip
ACCOUNT_EVENTS = (*EVENTS, *((event.__name__, event) for event in (*(deploy,) * 6, deploy_by_hand)))
