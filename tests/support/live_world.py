"""A small company: one account in the emulator, a repository with a history, Workers that are live, and people.

Every request passes one gate: a delete of what is live, or named, is caught as it is sent, whatever the emulator says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx

from reconciler.emulator.account import Worker, certificates_of
from reconciler.emulator.app import PREFIX
from reconciler.emulator.state import ACCOUNT_ID, EmulatorState
from reconciler.findings.errors import DeployError, ReconcilerError
from reconciler.model import Change, Declaration, EnvironmentName, StoreSettings
from reconciler.model.ports import Store, StoreReader
from reconciler.plan.live import DeployChoice
from reconciler.plan.outcome import Outcome, Step
from reconciler.runs.apply import apply
from reconciler.runs.plan import Planned, PlanRequest, plan
from reconciler.runs.project import Project
from reconciler.stores.cloudflare.access import Access
from reconciler.stores.cloudflare.client import Client, Time
from reconciler.stores.cloudflare.store import CloudflareReader, CloudflareStore
from reconciler.wrangler.formats import MAX_BYTES
from reconciler.wrangler.read import read_wrangler
from tests.emulator.test_workers import certificate, multipart
from tests.simulation.gate import Crash, Gate
from tests.simulation.ports import GatedFiles, GatedLines, GatedLock
from tests.support.emulated import TOKEN, DirectTransport, client_of, make_state
from tests.support.memory import NoProvers
from tests.support.store_contract import SetClock
from tests.support.worlds import issued

CONTENTS = 5
WORKERS = ("checkout", "invoices")
ROLLBACK = 1
HEAD = f"""\
version = 1
stack = "payments"
store = {{ kind = "cloudflare", account_id = "{ACCOUNT_ID}" }}
policy = {{ grace = "1d", prune = true, rollback_versions = {ROLLBACK} }}
"""

Tree = dict[str, bytes]


def tree_of(contents: dict[str, int]) -> Tree:
    """A repository that declares these certificates, each bound in every Worker."""
    lines = [HEAD]
    for name in contents:
        key = f'private_key = {{ env = "KEY_{contents[name]}" }}'
        lines.append(f'[certificates.{name}]\ncertificate = "certs/{name}.pem"\n{key}\n')
    for worker in WORKERS:
        lines.append(f'[workers.{worker}]\nconfig = "{worker}/wrangler.toml"\n[workers.{worker}.bindings]\n')
        lines += [f'{name.upper()} = "{name}"\n' for name in contents]
    tree = {"mtls.toml": "".join(lines).encode()}
    return tree | {f"certs/{name}.pem": issued(number).certificate_pem for name, number in contents.items()}


@dataclass
class World:
    """Everything there is. `violations` are deletes that should never have been sent."""

    clock: SetClock = field(default_factory=SetClock)
    main: Tree = field(default_factory=dict)
    history: list[Tree] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    deleted: int = 0
    judges_main: bool = True
    went_back: bool = False

    def __post_init__(self) -> None:
        self.state: EmulatorState = make_state(self.clock)
        self.api = client_of(self.state)
        self.contents = {"billing": 0}
        for worker in WORKERS:
            self.main[f"{worker}/wrangler.toml"] = f'name = "{worker}"\nmain = "i.js"\n'.encode()
        self.commit(tree_of(self.contents))

    # --- the repository ----------------------------------------------------------------------------------------------

    def commit(self, changed: Tree) -> None:
        """A commit on main."""
        self.main.update(changed)
        self.history.append(dict(self.main))

    def renew(self, name: str, number: int) -> None:
        """Another content for a certificate."""
        self.went_back |= any(issued(number).certificate_pem in tree.values() for tree in self.history)
        self.contents = {**self.contents, name: number}
        self.commit(tree_of(self.contents))

    def drop(self, name: str) -> None:
        """A certificate leaves mtls.toml, with its bindings."""
        self.contents = {other: number for other, number in self.contents.items() if other != name}
        self.commit(tree_of(self.contents))

    # --- live --------------------------------------------------------------------------------------------------------

    @property
    def workers(self) -> dict[str, Worker]:
        """The Workers of the account."""
        return self.state.account().holders.workers

    def deploy(self, worker: str, ids: dict[str, str]) -> httpx.Response:
        """Upload a Worker with these bindings, and give it all of the traffic."""
        bindings = [certificate(entry_id, name) for name, entry_id in ids.items()]
        return self.api.put(f"/workers/scripts/{worker}", files=multipart(bindings))

    def upload_version(self, worker: str, ids: dict[str, str]) -> httpx.Response:
        """A version that serves nothing yet."""
        bindings = [certificate(entry_id, name) for name, entry_id in ids.items()]
        return self.api.post(f"/workers/scripts/{worker}/versions", files=multipart(bindings))

    def share(self, worker: str, shares: dict[str, int]) -> httpx.Response:
        """A deployment of these versions; of an old one alone, a rollback."""
        versions = [{"version_id": version, "percentage": share} for version, share in shares.items()]
        return self.api.post(f"/workers/scripts/{worker}/deployments", json={"versions": versions})

    def presented(self) -> dict[str, str]:
        """Every id that a live version, or one within reach of a rollback, presents; and who does."""
        found: dict[str, str] = {}
        for worker in self.workers.values():
            for deployment in worker.deployments[-1 - ROLLBACK :]:
                versions = deployment["versions"]
                assert isinstance(versions, list)
                for share in versions:
                    version = worker.version(str(share["version_id"]))
                    found |= dict.fromkeys(certificates_of(version) if version else (), worker.name)
        return found

    # --- runs --------------------------------------------------------------------------------------------------------

    def run(self, tree: Tree, *, deploy: bool = False, crash_at: int = 0) -> Outcome | None:
        """`mtlsctl apply --yes` in a checkout; None where it ended before it was done."""
        transport = _Watched(self, crash_at)
        project = self._project(tree, transport)
        try:
            planned: Planned = plan(project, PlanRequest(prune=True, deploy=DeployChoice(everybody=deploy)))
            return apply(project, planned, _Nobody())
        except (ReconcilerError, Crash):
            return None

    def _project(self, tree: Tree, transport: httpx.BaseTransport) -> Project:
        gate = Gate()
        keys = {f"KEY_{number}": issued(number).key_pem.decode() for number in range(CONTENTS)}
        files = GatedFiles(tree, gate=gate)
        return Project(
            folder=Path("/simulated"),
            name="mtls.toml",
            environ={**keys, "CLOUDFLARE_API_TOKEN": TOKEN},
            files=files,
            stores=_Stores(self.clock, transport),
            lines=GatedLines(bytearray(), gate),
            lock=GatedLock(gate),
            clock=self.clock,
            deployers=_Deployers(self, files),
            provers=NoProvers(),
        )


class _Nobody:
    def started(self, change: Change) -> None: ...

    def finished(self, step: Step) -> None: ...


@dataclass(frozen=True)
class _Stores:
    clock: SetClock
    transport: httpx.BaseTransport

    def open_reader(self, _settings: StoreSettings) -> StoreReader:
        return CloudflareReader(*self._parts())

    def open_store(self, _settings: StoreSettings) -> Store:
        return CloudflareStore(*self._parts())

    def _parts(self) -> tuple[Client, str, Callable[[], float]]:
        access = Access(f"http://127.0.0.1{PREFIX}", ACCOUNT_ID, TOKEN, is_loopback=True)
        client = Client(access, Time(now=self.clock.now, sleep=lambda _: None), transport=self.transport)
        return client, access.certificates_path, lambda: 0.5


@dataclass(frozen=True)
class _Deployers:
    """Deploys what a wrangler file says, as wrangler does, by the API."""

    world: World
    files: GatedFiles

    def open(self, _declaration: Declaration) -> _Deployers:
        return self

    def demand_programs(self, configs: Iterable[str]) -> None: ...

    def give_up(self) -> None: ...

    def deploy(self, config: str, environment: EnvironmentName, script: str) -> str | None:
        found = read_wrangler(config, self.files.read(config, limit=MAX_BYTES)).environments[environment]
        ids = {binding.binding: binding.certificate_id for binding in found.bindings}
        reply = self.world.deploy(script, ids)
        if reply.status_code != 200:
            raise DeployError(reply.text)
        return str(reply.json()["result"]["deploymentId"])


class _Watched(httpx.BaseTransport):
    """The emulator, with a judge at its door. At the `crash_at`-th request the process dies: after it,
    or before it where the number is negative."""

    def __init__(self, world: World, crash_at: int) -> None:
        self._world = world
        self._inner = DirectTransport(world.state)
        self._left = abs(crash_at)
        self._before = crash_at < 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE":
            self._judge(request.url.path.rpartition("/")[2])
        self._left -= 1
        if self._left == 0 and self._before:
            raise Crash
        response = self._inner.handle_request(request)
        if self._left == 0:
            raise Crash
        if request.method == "DELETE" and response.status_code == 200:
            self._world.deleted += 1
        return response

    def _judge(self, entry_id: str) -> None:
        world = self._world
        by = world.presented().get(entry_id)
        if by is not None:
            world.violations.append(f"{entry_id} was to be deleted, and {by} presents it")
        naming = [path for path, data in world.main.items() if entry_id.encode() in data]
        if naming and world.judges_main:
            world.violations.append(f"{entry_id} was to be deleted, and {naming} on main name it")


def days(count: float) -> timedelta:
    """So many."""
    return timedelta(days=count)


def bound(tree: Tree, worker: str) -> dict[str, str]:
    """What a wrangler file names, placeholders left out."""
    found = read_wrangler("wrangler.toml", tree[f"{worker}/wrangler.toml"]).environments[None].bindings
    return {binding.binding: binding.certificate_id for binding in found if len(binding.certificate_id) == 36}


def every_id(state: EmulatorState) -> Iterator[str]:
    """The ids of the account, in the order of their uploads."""
    yield from (entry.id for entry in state.account().entries())
