"""What happens between two runs: people and other machines change what is declared, stored, written, and the time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random

from tests.simulation.birth import LABELS, NAMES, add_worker, new_certificate, some_id, some_target
from tests.simulation.facts import digest, numbers, periods_of
from tests.simulation.pool import CAS, DATED, FOREIGN, LEAVES, periods, some_leaf
from tests.simulation.spec import STACK, key_path, key_variable
from tests.simulation.world import LOOK, Ask, World, comment, mark_of, with_ids

Event = Callable[[World, Random], None]

_BROKEN = b"\n[[[ half an edit\n"


def rotate(world: World, random: Random) -> None:
    """A certificate file is replaced, by a new content or back to one that was there."""
    cas = [certificate for certificate in world.main.spec.certificates.values() if certificate.ca]
    if cas and random.random() < 0.2:
        cas[0].content = random.choice(CAS)
    _give(world, random, some_leaf(random))


def rotate_ca(world: World, random: Random) -> None:
    """A declared CA has a new content, or one that was there."""
    cas = [certificate for certificate in world.main.spec.certificates.values() if certificate.ca]
    if cas:
        cas[0].content = random.choice(CAS)
    world.main.save()


def move_hostnames(world: World, random: Random) -> None:
    """Somebody ends the trust of hostnames in a CA, or lets another one trust it."""
    cas = [row.id for row in world.rows().values() if row.ca]
    if cas:
        ca = random.choice(cas)
        listed = world.stock.trusted().get(ca, ())
        world.stock.trust(ca, random.choice(((), listed[:1], (*listed, "hand.example.com"))))


def _give(world: World, random: Random, number: int) -> str:
    """A declared leaf gets a content; its name, "" where none is declared."""
    spec = world.main.spec
    leaves = [name for name, certificate in spec.certificates.items() if not certificate.ca]
    leaves += [name for name in leaves for _ in spec.bindings_of(name)]  # rather what is bound
    name = random.choice(leaves) if leaves else ""
    if name:
        spec.certificates[name].content = number
    world.main.save()
    return name


def rotate_to_later(world: World, random: Random) -> None:
    """A certificate is renewed by one that begins later, if there is one still; perhaps just before it begins."""
    now = world.clock.time
    later = {number: begins for number in DATED if (begins := periods(number)[0].begins) > now}
    number = random.choice(list(later) or DATED)
    _give(world, random, number)
    if number in later and random.random() < 0.5:
        minutes = random.choice((6, 5, 4, 2, 1))
        world.pass_time(max(later[number] - timedelta(minutes=minutes) - now, timedelta()))


def go_back_to_ended(world: World, random: Random) -> None:
    """A certificate file goes back to a content that has ended, and that may be stored still."""
    now = world.clock.time
    number = random.choice([one for one in LEAVES if all(period.ends < now for period in periods(one))] or DATED)
    name = _give(world, random, number)
    if name and random.random() < 0.8:
        world.put(number, mark_of(STACK, name, number))


def bind_by_id(world: World, random: Random) -> None:
    """A binding is declared to use what is managed elsewhere, whatever its dates."""
    number = random.choice(DATED)
    world.put(number, f"by-hand-{number}")
    leaves = [row.id for row in world.rows().values() if not row.ca]
    tables = [table for worker in world.main.spec.workers.values() for table in worker.tables.values()]
    if tables and leaves:
        random.choice(tables)[random.choice("ABC")] = f"id:{random.choice((leaves[-1], random.choice(leaves)))}"
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
            certificate.content = some_leaf(random)
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
    spec.protect = tuple(sorted(spec.certificates)[:1]) if spec.grace_days == 1 else ()
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
    hours = random.choice((0, 1, 23, 24, 72, 168, 240, -24))
    world.pass_time(timedelta(hours=hours, seconds=random.randrange(240 if not hours else 60)))


def move_to_a_date(world: World, random: Random) -> None:
    """Time passes until about when something begins or ends: minutes before, at that second, or just after."""
    now = world.clock.time
    times = sorted(time for time in _dates(world) if time > now)
    if times:
        minutes = random.choice((-10, -6, -5, -4, -2, -1, 0, 0, 1, 3))
        time = times[min(len(times) - 1, random.choice((0, 0, 0, 1, 2)))]
        world.pass_time(max(time + timedelta(minutes=minutes, seconds=random.choice((-1, 0, 1))) - now, timedelta()))


def _dates(world: World) -> set[datetime]:
    """When what is declared or stored begins and ends."""
    declared = {certificate.content for certificate in world.main.spec.certificates.values()}
    found = [period for number in declared if number is not None for period in periods(number)]
    found += [period for row in world.rows().values() for period in periods_of(row.pem)]
    return {time for period in found for time in period}


def plan_and_apply_later(world: World, random: Random) -> None:
    """A plan is saved, perhaps of something new, and time passes until it is applied."""
    if random.random() < 0.6:
        random.choice((rotate, rotate_to_later, bind))(world, random)
    saved = world.run(world.main, ask=LOOK).plan
    random.choice((move_clock, move_to_a_date, move_to_a_date))(world, random)
    if saved is not None:
        world.ask = Ask(saved=saved.encode())


def retire_now(world: World, random: Random) -> None:
    """A key has leaked: what is old of a certificate, or one entry, is to go at once."""
    names = world.main.spec.certificates
    contents = {certificate.content for certificate in names.values()}
    old = [row for row in world.rows().values() if numbers().get(digest(row.pem)) not in contents]
    marked = [name for row in old for name in names if f".{name}." in row.name]
    world.ask = Ask(retires=random.choice([*marked * 3, *names, *(row.id for row in old)]))


def upload(world: World, random: Random) -> None:
    """Somebody else uploads: what is foreign, or what may be declared, under whatever name."""
    number = random.choice((*FOREIGN, *(some_leaf(random) for _ in range(8))))
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


CLOCK_EVENTS: tuple[Event, ...] = (move_clock, move_clock, move_to_a_date, move_to_a_date, move_to_a_date)
"""After which nothing but the time is another."""
EVENTS: tuple[tuple[str, Event], ...] = tuple(
    (event.__name__, event)
    for event in (
        *(rotate,) * 4, rotate_to_later, rotate_to_later, go_back_to_ended, bind_by_id, revert, revert, rename,
        remove, add, add, add_or_remove_worker, bind, bind, policy, edit, edit, *CLOCK_EVENTS, plan_and_apply_later,
        plan_and_apply_later, retire_now, retire_now, upload, delete, lose_key, damage, repair, mend_now,
    )
)  # fmt: skip
ACCOUNT_EVENTS = (*EVENTS, *((event.__name__, event) for event in (*(deploy,) * 6, deploy_by_hand)))
