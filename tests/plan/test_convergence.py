"""The promise as a property: stop it anywhere, run it again, and the world is what the file says; once, and no more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.apply import World, apply_plan
from reconciler.findings.diagnostics import Diagnostic
from reconciler.model import (
    Actual,
    CaList,
    Change,
    Condition,
    Declaration,
    DeclaredCertificate,
    DeclaredHyperdrive,
    DeclaredZone,
    Desired,
    Entry,
    EntryId,
    HyperdriveConfig,
    KeyReference,
    Listing,
    Policy,
    Retire,
    StoreSettings,
    Sweep,
    Upload,
    WorkerLabel,
    Zone,
)
from reconciler.model.ownership import mark_name
from reconciler.model.ports import NewEntry, PrivateKey
from reconciler.plan.assess import judge, needs, see
from reconciler.plan.assessment import PlanOptions
from reconciler.plan.live import DeployChoice
from reconciler.plan.outcome import Outcome, Step, StepStatus
from reconciler.plan.plan import Plan, make_plan
from reconciler.runs.configs import load_configs
from reconciler.runs.look import Checkout, observe
from reconciler.stores.local import LocalStore
from reconciler.wrangler.read import read_wrangler
from tests.support.memory import MemoryClock, MemoryFiles, MemoryKeys, NoDeployer, NoProver, open_in_memory
from tests.support.pki import NOW
from tests.support.worlds import bundle, ca_bundle, certificate, issued, worker

NAMES = ("alpha", "beta")
LABELS = ("one", "two")
BINDINGS = ("A", "B", "C")
ENVIRONMENTS = (None, "staging")
CONTENTS = range(1, 6)
CONFIGS = ("db", "other")
ROOTS = (11, 12)
ZONE = "example.com"
HOSTS = ("api.example.com", "pay.example.com", "other.example.com")
ASKED = PlanOptions(deploy=DeployChoice(everybody=True))
FOREIGN = b'# foreign: keep\n[[kv_namespaces]]\nbinding = "KV"\nid = "0f2ac74b"\n'


class Stop(BaseException):
    """The process was killed here."""


@dataclass
class Gate:
    """Counts what `apply` does to the world, and kills it before or after the n-th effect."""

    kill_at: int | None = None
    after: bool = False
    count: int = 0

    def pass_through(self, effect: Callable[[], object]) -> object:
        self.count += 1
        if self.count == self.kill_at and not self.after:
            raise Stop
        result = effect()
        if self.count == self.kill_at:
            raise Stop
        return result


@dataclass
class Watch:
    """Observes steps; proves that every finished change was started."""

    started_changes: list[Change] = field(default_factory=list)

    def started(self, change: Change) -> None:
        self.started_changes.append(change)

    def finished(self, step: Step) -> None:
        assert step.change in self.started_changes


@dataclass
class Universe:
    """One generated world: what is declared, a store, a tree, a clock."""

    desired: Desired
    store: LocalStore
    files: MemoryFiles
    clock: MemoryClock
    uploads: list[str] = field(default_factory=list)

    def observe(self) -> Actual:
        """What exists now."""
        found = load_configs(self.desired.declaration, self.files, {})
        return observe(Checkout(self.desired, found.files, found.broken, (), (), found.findings), self.store)

    def plan(self) -> Plan:
        seen = self.observe()
        assessment = judge(self.desired, seen, self.clock.now(), ASKED)
        ids = needs(assessment).tree
        return make_plan(see(assessment, sweep=self.files.sweep(ids)) if ids else assessment)

    def apply(self, gate: Gate | None = None) -> Outcome:
        plan = self.plan()
        keys = MemoryKeys({name: issued(number).key_pem for name, number in KEYS.items()})
        gated = _Gated(self, gate or Gate())
        world = World(
            store=gated,
            files=gated,
            keys={"env": keys},
            observer=Watch(),
            still_safe=self.still_safe,
            deployer=NoDeployer,
            prover=NoProver(),
            now=self.clock.now,
        )
        return apply_plan(plan, self.desired, world)

    def still_safe(self, _uploaded: bool) -> set[EntryId]:
        """What a plan of this moment would retire."""
        return {change.entry.id for change in self.plan().changes if isinstance(change, Retire)}

    def entries(self) -> tuple[Entry, ...]:
        return self.store.list_entries().entries

    def state(self) -> tuple[list[tuple[str, str]], dict[str, dict[str, str]]]:
        """What a person would compare: contents with their names, and for each file which content each binding has, as
        for each Hyperdrive configuration."""
        digest = {entry.id: entry.bundle.digest if entry.bundle else "" for entry in self.entries()}
        named = sorted((entry.name, digest[entry.id]) for entry in self.entries())
        bound = {
            path: {
                f"{environment.name}/{found.binding}": digest.get(EntryId(found.certificate_id), found.certificate_id)
                for environment in read_wrangler(path, data).environments.values()
                for found in environment.bindings
            }
            for path, data in self.files.tree.items()
        }
        used = {
            config: {key: digest.get(EntryId(str(value)), str(value)) for key, value in self.mtls(config).items()}
            for config in CONFIGS
        }
        trusted = {digest[ca]: dict.fromkeys(sorted(names), "") for ca, names in self.trusted().items()}
        return named, bound | used | trusted

    def trusted(self) -> Mapping[EntryId, frozenset[str]]:
        """The hostnames that trust each CA, if any do."""
        lists = self.store.ca_lists(ZONE, [entry.id for entry in self.entries() if entry.ca])
        return {one.ca: frozenset(one.names) for one in lists if one.names}

    def mtls(self, config: str) -> Mapping[str, object]:
        """What a Hyperdrive configuration uses."""
        return self.store.hyperdrive(config).mtls


KEYS = {f"KEY_{number}": number for number in CONTENTS}


@dataclass
class _Gated:
    """Store and files of a universe behind the gate; every effect is counted, reads too."""

    universe: Universe
    gate: Gate

    at_once = 1
    calls = None
    lag_s = 0.0

    def look_back(self) -> tuple[Diagnostic, ...]:
        return self.universe.store.look_back()

    def give_up(self) -> None:
        """Nobody waits here."""

    def upload(self, new: NewEntry) -> Entry:
        def effect() -> Entry:
            entry = self.universe.store.upload(new)
            self.universe.uploads.append(entry.bundle.digest if entry.bundle else "")
            return entry

        result = self.gate.pass_through(effect)
        assert isinstance(result, Entry)
        return result

    def delete(self, entry_id: EntryId) -> None:
        self.gate.pass_through(lambda: self.universe.store.delete(entry_id))

    def get(self, entry_id: EntryId) -> Entry | None:
        return self.universe.store.get(entry_id)

    def get_all(self, ids: Iterable[EntryId]) -> dict[EntryId, Entry | None]:
        return self.universe.store.get_all(ids)

    def live(self) -> None:
        return self.universe.store.live()

    def hyperdrives(self, wanted: Iterable[str]) -> tuple[HyperdriveConfig, ...]:
        return self.universe.store.hyperdrives(wanted)

    def hyperdrive(self, config: str) -> HyperdriveConfig | None:
        return self.universe.store.hyperdrive(config)

    def update_hyperdrive(self, before: HyperdriveConfig, mtls: Mapping[str, object]) -> HyperdriveConfig:
        result = self.gate.pass_through(lambda: self.universe.store.update_hyperdrive(before, mtls))
        assert isinstance(result, HyperdriveConfig)
        return result

    def zones(self, name: str | None = None) -> tuple[Zone, ...]:
        return self.universe.store.zones(name)

    def ca_lists(self, zone: str, cas: Iterable[EntryId]) -> tuple[CaList, ...]:
        return self.universe.store.ca_lists(zone, cas)

    def add_hostnames(self, before: CaList, names: Sequence[str]) -> None:
        self.gate.pass_through(lambda: self.universe.store.add_hostnames(before, names))

    def list_entries(self) -> Listing:
        return self.universe.store.list_entries()

    def replace(self, path: str, *, old: bytes, new: bytes) -> None:
        self.gate.pass_through(lambda: self.universe.files.replace(path, old=old, new=new))

    def read(self, path: str, *, limit: int, stdin: bytes | None = None) -> bytes:
        return self.universe.files.read(path, limit=limit)

    def identity(self, path: str) -> str:
        return self.universe.files.identity(path)

    def files_in(self, folder: str) -> frozenset[str] | None:
        return self.universe.files.files_in(folder)

    def folders_up(self, path: str) -> tuple[str, ...]:
        return self.universe.files.folders_up(path)

    def sweep(self, ids: Iterable[EntryId]) -> Sweep:
        return self.universe.files.sweep(ids)

    def tidy(self) -> None:
        self.universe.files.tidy()


@st.composite
def universes(draw: st.DrawFn) -> Universe:
    """Any declaration over any store and any wrangler files."""
    clock = MemoryClock(NOW - timedelta(days=30))
    store = open_in_memory(StoreSettings(), clock=clock, ids=_counting_ids())
    stored = draw(st.lists(st.sampled_from(CONTENTS), unique=True, max_size=5))
    ids = ["<CERTIFICATE_ID>", "10ca1000-0000-4000-8000-ffffffffffff"]
    for number in stored:
        name = draw(st.sampled_from([*NAMES, *NAMES, "gone", "foreign"]))
        marked = mark_name("payments", certificate(name).name, bundle(number).digest)
        new = NewEntry(name if name == "foreign" else marked, False, bundle(number), PrivateKey(issued(number).key_pem))
        ids.append(store.upload(new).id)
        clock.time += timedelta(days=draw(st.integers(0, 9)))
    for number in draw(st.lists(st.sampled_from(ROOTS), unique=True)):
        name = draw(st.sampled_from(["root", "root", "foreign"]))
        marked = mark_name("payments", certificate(name).name, ca_bundle(number).digest)
        root = store.upload(NewEntry(name if name == "foreign" else marked, True, ca_bundle(number))).id
        names = draw(st.lists(st.sampled_from(HOSTS), unique=True))
        if names:
            store.add_hostnames(CaList(ZONE, root), names)
        clock.time += timedelta(days=draw(st.integers(0, 9)))
    clock.time = NOW
    for config in CONFIGS:
        used = draw(st.sampled_from([None, *ids[2:]]))
        mtls = {"later": "kept"} if used is None else {"later": "kept", "mtls_certificate_id": used}
        store.update_hyperdrive(store.hyperdrive(config), mtls)
    tree = {f"{label}/wrangler.toml": draw(_wrangler(ids)) for label in LABELS}
    return Universe(draw(_desired()), store, MemoryFiles(tree), clock)


def _counting_ids() -> Callable[[], str]:
    numbers: Iterator[int] = iter(range(1, 10_000))
    return lambda: f"10ca1000-0000-4000-8000-{next(numbers):012x}"


@st.composite
def _wrangler(draw: st.DrawFn, ids: list[str]) -> bytes:
    parts = [b'name = "worker"\n', FOREIGN]
    for environment in ENVIRONMENTS:
        prefix = "" if environment is None else f"env.{environment}."
        if environment is not None:
            parts.append(f"[env.{environment}.vars]\nX = 1\n".encode())
        bound = draw(st.dictionaries(st.sampled_from(BINDINGS), st.sampled_from(ids), max_size=2))
        for binding, text in bound.items():
            lines = f'[[{prefix}mtls_certificates]]\nbinding = "{binding}"\ncertificate_id = "{text}"\n'
            parts.append(lines.encode())
    return b"\n".join(parts)


@st.composite
def _desired(draw: st.DrawFn) -> Desired:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=3))
    contents = {name: draw(st.sampled_from(CONTENTS)) for name in names}
    certificates: dict[str, DeclaredCertificate] = {
        name: certificate(name, key=KeyReference("env", {"env": f"KEY_{number}"})) for name, number in contents.items()
    }
    workers = {}
    for label in LABELS:
        tables = {
            environment: draw(st.dictionaries(st.sampled_from(BINDINGS), st.sampled_from(names or ["x"]), max_size=3))
            if names
            else {}
            for environment in draw(st.lists(st.sampled_from(ENVIRONMENTS), unique=True))
        }
        workers[WorkerLabel(label)] = worker(label, tables, config=f"{label}/wrangler.toml")
    policy = Policy(
        grace=timedelta(days=draw(st.sampled_from([0, 0, 5, 100]))),
        prune=draw(st.booleans()),
        max_deletes=draw(st.sampled_from([0, 1, 10, 10])),
    )
    hyperdrives = [
        DeclaredHyperdrive(f"label-{config}", config, certificates[draw(st.sampled_from(names))].name, None, mode)
        for config in (draw(st.lists(st.sampled_from(CONFIGS), unique=True)) if names else ())
        for mode in (draw(st.sampled_from([None, "require"])),)
    ]
    root = draw(st.sampled_from([None, *ROOTS]))
    if root is not None:
        certificates["root"] = certificate("root", ca=True, key=None)
    hosts = draw(st.sampled_from([(), HOSTS[:1], HOSTS[:2]]))
    zones = (DeclaredZone(ZONE, {certificates["root"].name: hosts}),) if root is not None and hosts else ()
    bundles = {certificates[name].name: bundle(number) for name, number in contents.items()}
    bundles |= {certificates["root"].name: ca_bundle(root)} if root is not None else {}
    declaration = Declaration(
        path="mtls.toml",
        stack="payments",
        policy=policy,
        certificates={declared.name: declared for declared in certificates.values()},
        workers=workers,
        hyperdrives=tuple(hyperdrives),
        zones=zones,
    )
    return Desired(declaration, bundles)


PROFILE = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def until_empty(universe: Universe) -> int:
    """Apply until a plan is empty; how many runs it took.

    One run does everything but retires that were not safe when it began: an entry that a file named then goes in the
    second, as rule 5 has it, and one over max_deletes in a later one.
    """
    for runs in range(1 + 1 + len(CONTENTS) + len(ROOTS)):
        if not universe.plan().changes:
            return runs
        universe.apply()
    raise AssertionError(f"no convergence: {universe.plan().changes}")


@PROFILE
@given(universes())
def test_applying_a_plan_leaves_nothing_but_retires_that_the_first_plan_had_waiting(universe: Universe) -> None:
    """After one run nothing is left but what was unsafe to retire while that run could still see it named."""
    first = universe.plan()
    outcome = universe.apply()
    assert outcome.of(StepStatus.FAILED) == ()
    waited = {wait.entry.id for wait in first.waiting if wait.entry is not None}
    rest = universe.plan().changes
    assert all(getattr(change, "entry", None) and change.entry.id in waited for change in rest)  # type: ignore[union-attr]


@PROFILE
@given(universes())
def test_a_plan_without_anything_about_to_retire_is_empty_after_one_run(universe: Universe) -> None:
    """With a grace that nothing outlives, a single apply makes the next plan empty."""
    declaration = universe.desired.declaration
    policy = replace(declaration.policy, grace=timedelta(days=10_000))
    universe.desired = replace(universe.desired, declaration=replace(declaration, policy=policy))
    universe.apply()
    assert universe.plan().changes == ()


@PROFILE
@given(universes(), st.integers(1, 12), st.booleans())
def test_a_run_killed_at_any_effect_ends_the_same_when_run_again(universe: Universe, at: int, after: bool) -> None:
    """Killed before or after the n-th effect and run again: the same contents, names and bindings."""
    killed = Universe(universe.desired, _copy_store(universe), MemoryFiles(dict(universe.files.tree)), MemoryClock(NOW))
    until_empty(universe)
    with suppress(Stop):
        killed.apply(Gate(kill_at=at, after=after))
    until_empty(killed)
    assert killed.state() == universe.state()
    assert len(set(killed.uploads)) == len(killed.uploads)


@PROFILE
@given(universes())
def test_nothing_foreign_changes_and_nothing_bound_is_deleted(universe: Universe) -> None:
    """Foreign entries and bytes stay, and what a file names after the run is still in the store if it was before."""
    foreign = [entry for entry in universe.entries() if entry.name == "foreign"]
    before, trusted = {entry.id for entry in universe.entries()}, universe.trusted()
    until_empty(universe)
    now = universe.trusted()
    assert all(names <= now[ca] for ca, names in trusted.items() if universe.desired.declaration.zones)
    assert [entry for entry in universe.entries() if entry.name == "foreign"] == foreign
    kept = {entry.id for entry in universe.entries()}
    for config in CONFIGS:
        assert universe.mtls(config)["later"] == "kept"
    for one in universe.desired.declaration.hyperdrives:
        assert universe.mtls(one.config).get("mtls_certificate_id") not in before - kept
    for data in universe.files.tree.values():
        assert FOREIGN in data
        named = {entry_id for entry_id in before if entry_id.encode() in data}
        assert named <= kept


@PROFILE
@given(universes())
def test_every_upload_is_planned_once_and_a_second_run_uploads_nothing(universe: Universe) -> None:
    """One entry for each content, whatever number of certificates share it."""
    planned = [change.digest for change in universe.plan().changes if isinstance(change, Upload)]
    universe.apply()
    assert universe.uploads == planned
    assert len(set(planned)) == len(planned)
    universe.apply()
    assert universe.uploads == planned


@PROFILE
@given(universes())
def test_a_waiting_entry_is_still_there_after_the_run(universe: Universe) -> None:
    """What waits is kept, whatever else is done."""
    waiting = {
        wait.entry.id
        for wait in universe.plan().waiting
        if wait.entry is not None and wait.condition is not Condition.MAX_DELETES
    }
    universe.apply()
    assert waiting <= {entry.id for entry in universe.entries()}


def _copy_store(universe: Universe) -> LocalStore:
    """A second store with the same entries, names, ids and upload times."""
    entries = deepcopy(universe.entries())
    clock = MemoryClock()
    numbers = iter([entry.id for entry in entries])
    fresh = _counting_ids()
    for _ in entries:
        fresh()
    store = open_in_memory(StoreSettings(), clock=clock, ids=lambda: next(numbers, None) or fresh())
    for entry in entries:
        assert entry.uploaded_on is not None
        clock.time = entry.uploaded_on
        assert entry.bundle is not None
        number = next((one for one in CONTENTS if entry.bundle == bundle(one)), None)
        key = None if number is None else PrivateKey(issued(number).key_pem)
        store.upload(NewEntry(entry.name, entry.ca, entry.bundle, key))
    for ca, names in universe.trusted().items():
        store.add_hostnames(CaList(ZONE, ca), sorted(names))
    for config in CONFIGS:
        store.update_hyperdrive(store.hyperdrive(config), universe.mtls(config))
    clock.time = NOW
    return store


@PROFILE
@given(universes(), st.integers(1, 12), st.booleans())
def test_a_certificate_that_a_binding_and_a_configuration_share_outlives_both_uses(
    universe: Universe, at: int, after: bool
) -> None:
    """Whatever was killed where, and whatever moved first: what one of them uses after a run is stored."""
    for gate in (Gate(kill_at=at, after=after), Gate(kill_at=at + 1, after=not after), None, None):
        stored = {entry.id for entry in universe.entries()}
        with suppress(Stop):
            universe.apply(gate)
        declared = universe.desired.declaration.hyperdrives
        used = {universe.mtls(one.config).get("mtls_certificate_id") for one in declared if one.certificate}
        gone = stored - {entry.id for entry in universe.entries()}
        assert not used & gone
        assert not any(entry_id.encode() in data for entry_id in gone for data in universe.files.tree.values())
