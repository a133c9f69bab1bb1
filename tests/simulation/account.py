"""The certificates of an account: the emulator without a socket, the real store and client, and one gate for each call.

Its list lags, its limit refuses, its network fails, and its Workers present what they were deployed with. Its clock
never goes back, whatever is done to the one of those who run the tool.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from random import Random
from threading import RLock

import httpx

from reconciler.emulator.account import Account, certificates_of
from reconciler.emulator.app import PREFIX, answer
from reconciler.emulator.faults import ON_LISTS, Fault, FaultKind
from reconciler.emulator.settings import Limiter, RateLimit
from reconciler.emulator.state import ACCOUNT_ID
from reconciler.emulator.wire import Request
from reconciler.findings.errors import ReconcilerError
from reconciler.model import Entry, StoreSettings
from reconciler.model.ports import NewEntry, Store, StoreReader
from reconciler.runs.project import Stores
from reconciler.stores.cloudflare.access import BASE_URL, find_access
from reconciler.stores.cloudflare.access import TOKEN as TOKEN_VARIABLE
from reconciler.stores.cloudflare.client import Bounds, Client, Time
from reconciler.stores.cloudflare.store import CloudflareReader, CloudflareStore
from reconciler.stores.database import MemoryDatabase
from tests.simulation.gate import Gate
from tests.simulation.pool import NOW
from tests.simulation.record import Recorder, Row, Sent
from tests.simulation.spec import CONFIG, ZONE, ZONE_ID
from tests.simulation.weather import Weather, faults_at
from tests.support.emulated import TOKEN, DirectTransport, make_state
from tests.support.memory import MemoryClock

_CERTIFICATES = f"{PREFIX}/accounts/{ACCOUNT_ID}/mtls_certificates"
_TIMEOUT_S = 30.0
CONFIG_ID = f"{'0' * 31}1"
"""Of the Hyperdrive configuration."""
_SECOND = 1_000_000
"""The first id that a copy gives."""
_CLEAR = {None, FaultKind.RATE_LIMITED, FaultKind.SLOW, FaultKind.IN_USE, *ON_LISTS}
"""What leaves no doubt of whether a call was carried out."""
_NAMES = {"POST": "store.upload", "DELETE": "store.delete", "GET": "store.get"}


class AccountStock:
    """One account. `at_once`: how many calls a run makes at the same time; of several nobody knows the order."""

    account: str | None = ACCOUNT_ID

    def __init__(self, clock: MemoryClock, *, at_once: int = 1, first_id: int = 1) -> None:
        self.at_once = at_once
        self.here = clock
        self.clock = MemoryClock(clock.time)
        self.state = make_state(self.clock, first_id=first_id)
        self.state.account().holders.zones[ZONE_ID] = ZONE
        self.weather = Weather()
        self.lock = RLock()

    @property
    def there(self) -> Account:
        """The account as the emulator has it."""
        return self.state.account()

    def copy(self, clock: MemoryClock) -> AccountStock:
        again = AccountStock(clock, at_once=self.at_once, first_id=_SECOND)
        again.clock.time = self.clock.time
        old, new = self.there._database, again.there._database
        assert isinstance(old, MemoryDatabase)
        assert isinstance(new, MemoryDatabase)
        old._connection.backup(new._connection)
        again.there.holders = deepcopy(self.there.holders)
        again.there.uploaded = dict(self.there.uploaded)
        return again

    # --- others -------------------------------------------------------------------------------------------------------

    def rows(self) -> dict[str, Row]:
        with self.state.lock:
            return {
                one.id: Row(
                    one.id, one.name, one.type, int(one.ca), one.certificates, str((one.uploaded_on or NOW).isoformat())
                )
                for one in self.there.entries()
            }

    def put(self, new: NewEntry) -> None:
        self.there.added(self.there.store.upload(new))

    def manage(self, certificates: str) -> None:
        with suppress(ReconcilerError):
            seed = partial(self.there.store.seed, type_="gateway_managed", name="Gateway", ca=False)
            self.there.added(seed(certificates=certificates))

    def take(self, entry: str) -> None:
        if not self.there.is_held(entry):
            with suppress(ReconcilerError):
                self.there.delete(entry)

    def deploy(self, workers: Mapping[str, Mapping[str, str]]) -> None:
        for name, bindings in workers.items():
            if all(self.there.get(entry) for entry in bindings.values()):
                body = json.dumps({"worker": name, "bindings": bindings}).encode()
                assert answer(self.state, Request("POST", "/_emulator/bind", body=body)).status == 200

    def mtls(self) -> dict[str, object]:
        found = self.there.holders.hyperdrive.get(CONFIG_ID, {}).get("mtls")
        return dict(found) if isinstance(found, dict) else {}

    def set_mtls(self, mtls: Mapping[str, object]) -> None:
        self.there.holders.hyperdrive[CONFIG_ID] = {"id": CONFIG_ID, "name": CONFIG, "mtls": dict(mtls)}

    def trusted(self) -> dict[str, tuple[str, ...]]:
        lists = self.there.holders.hostnames.get(ZONE_ID, {})
        return {ca: tuple(names) for ca, names in lists.items() if names}

    def trust(self, ca: str, names: tuple[str, ...]) -> None:
        before = self.there.held()
        self.there.holders.hostnames.setdefault(ZONE_ID, {})[ca] = list(names)
        self.there.release(before)

    def pass_time(self, time: timedelta) -> None:
        self.clock.time += max(time, timedelta())

    def stir(self, random: Random) -> None:
        settings = self.state.settings
        settings.most_per_page = random.choice((3, 50, 50))
        settings.list_lag_s = random.choice((0.0, 0.0, 0.0, 3.0, 3.0, 40.0, 40.0, 300.0))
        settings.in_use_lag_s = random.choice((0.0, 0.0, 20.0, 300.0))
        settings.already_deleted = random.random() < 0.5
        limit = random.choice((None, None, None, RateLimit(30, 60.0, 60.0), RateLimit(50, 60.0, 300.0)))
        self.state.limiter = Limiter(limit, told=random.choice(("honest", "honest", "absent", "generous")))
        self.weather = Weather(random.choice((0.0, 0.1, 0.2, 0.4)), Random(random.getrandbits(32)))  # noqa: S311

    def calm(self) -> None:
        self.state.limiter = Limiter(None)
        self.weather = Weather()

    # --- one run ------------------------------------------------------------------------------------------------------

    def stores(self, gate: Gate, recorder: Recorder, tell: Callable[[str], None]) -> Stores:
        return _Stores(self, GatedTransport(self, gate, recorder), recorder, tell)

    def wait(self, seconds: float) -> None:
        """Whoever runs the tool waits; both clocks go on."""
        with self.lock:
            self.here.time += timedelta(seconds=seconds)
            self.clock.time += timedelta(seconds=seconds)

    def seconds(self) -> float:
        """A clock that never goes back, from 1970."""
        return self.clock.time.timestamp()

    def back(self, entry: str) -> int | None:
        """How many deployments ago something presented an entry, 0 for what is in use; None for what nothing knows."""
        found = [0] if entry in self.there.held() else []
        for worker in self.there.holders.workers.values():
            for steps, deployment in enumerate(reversed(worker.deployments)):
                shares = deployment["versions"]
                assert isinstance(shares, list)
                versions = [worker.version(str(share["version_id"])) for share in shares]
                found += [steps for version in versions if version and entry in certificates_of(version)]
        return min(found, default=None)

    def hidden(self, fault: Fault | None) -> set[str]:
        """The entries that a list of this moment lacks."""
        ids: list[str] = [entry.id for entry in self.there.entries()]
        late = {entry for entry in ids if self.there.is_recent(entry, self.state.settings.list_lag_s)}
        if fault is not None and fault.kind is FaultKind.LIST_LAG:
            late |= set([entry for entry in ids if entry not in late][-fault.count :])
        return late


class GatedTransport(DirectTransport):
    """Each call to the emulator is an effect of the run, and meets the weather of the day."""

    def __init__(self, stock: AccountStock, gate: Gate, recorder: Recorder) -> None:
        super().__init__(stock.state, wait=stock.wait)
        self._stock = stock
        self._gate = gate
        self._recorder = recorder

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        name, subject = _effect_of(request)
        with self._stock.lock:
            return self._gate.passes(
                name,
                subject,
                lambda: self._meet(request, name, subject, self._stock.weather.draw(name)),
                fails=[partial(self._meet, request, name, subject, fault) for fault in faults_at(name)],
            )

    def _meet(self, request: httpx.Request, name: str, subject: str, fault: Fault | None) -> httpx.Response:
        """The reply to a request that meets a fault, and what is to be written down of it."""
        state, recorder = self._stock.state, self._recorder
        if fault is not None:
            state.faults.add(fault)
        if name == "store.list":
            recorder.hidden |= self._stock.hidden(fault)
        back = self._stock.back(subject) if name == "store.delete" else None
        before = self._stock.rows() if request.method != "GET" else {}
        if name == "store.delete":
            recorder.deleting(subject)
        try:
            return super().handle_request(request)
        except httpx.ReadTimeout:
            self._stock.wait(_TIMEOUT_S)
            raise
        finally:
            state.faults.clear()
            kind = fault.kind if fault is not None else None
            recorder.sent.append(Sent(name, subject, kind in _CLEAR, back, kind or ""))
            if request.method != "GET":
                self._note(before)

    def _note(self, before: Mapping[str, Row]) -> None:
        """Whatever the emulator told of it: what was done was done."""
        after = self._stock.rows()
        for entry in after.keys() - before.keys():
            self._recorder.uploaded(entry, after[entry].name, after[entry].pem)
        for entry in before.keys() - after.keys():
            self._recorder.deleted(entry)


@dataclass(frozen=True)
class _Stores:
    """The way of one run to the account."""

    stock: AccountStock
    transport: GatedTransport
    recorder: Recorder
    tell: Callable[[str], None]

    def open_reader(self, settings: StoreSettings) -> StoreReader:
        client, path = self._parts(settings)
        return CloudflareReader(client, path, _half)

    def open_store(self, settings: StoreSettings) -> Store:
        client, path = self._parts(settings)
        return _Asked(client, path, _half, recorder=self.recorder)

    def _parts(self, settings: StoreSettings) -> tuple[Client, str]:
        access = find_access(settings, {TOKEN_VARIABLE: TOKEN, BASE_URL: f"http://127.0.0.1{PREFIX}"})
        time = Time(now=self.stock.here.now, monotonic=self.stock.seconds, sleep=self.stock.wait)
        bounds = Bounds(connections=self.stock.at_once)
        return Client(access, time, bounds=bounds, tell=self.tell, transport=self.transport), access.certificates_path


class _Asked(CloudflareStore):
    """Writes down what it is asked to upload."""

    def __init__(self, client: Client, path: str, random: Callable[[], float], *, recorder: Recorder) -> None:
        super().__init__(client, path, random)
        self._recorder = recorder

    def upload(self, new: NewEntry) -> Entry:
        self._recorder.asked(new.bundle.pem())
        return super().upload(new)


def _half() -> float:
    return 0.5


def _effect_of(request: httpx.Request) -> tuple[str, str]:
    """What a call is about: the certificates of an upload, or an entry's id."""
    path = request.url.path
    if path == _CERTIFICATES:
        return (
            ("store.upload", json.loads(request.read())["certificates"])
            if request.method == "POST"
            else (
                "store.list",
                "",
            )
        )
    if "/hyperdrive/" in path:
        return ("hyperdrive.read" if request.method == "GET" else "hyperdrive.update"), path.rpartition("/")[2]
    if path.endswith("/hostname_associations"):
        return ("hostnames.read" if request.method == "GET" else "hostnames.add"), path.split("/")[-3]
    below = path.removeprefix(f"{_CERTIFICATES}/")
    if below == path:
        return "live.read", ""
    entry, _, rest = below.partition("/")
    return ("store.uses", entry) if rest else (_NAMES[request.method], entry)
