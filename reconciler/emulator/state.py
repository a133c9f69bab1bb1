"""Everything that the emulator knows, and what a handler gets to answer one request from it.

The clock and the ids are handed in; the lock is for whoever serves it from threads.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from reconciler.emulator.account import Account
from reconciler.emulator.faults import Fault, Faults
from reconciler.emulator.settings import Limiter, Settings
from reconciler.emulator.tokens import KnownTokens, Token
from reconciler.emulator.wire import Json, Request, invalid, other_account
from reconciler.findings.errors import FileError
from reconciler.model import Entry
from reconciler.model.ports import Clock

ACCOUNT_ID = "0123456789abcdef0123456789abcdef"
"""The account that is there when nobody asks for another."""

_LOGGED = 100_000


def new_id() -> str:
    """An id as Cloudflare gives them: a random UUID."""
    return str(uuid4())


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One request that was answered, for tests that count. `status` is what was answered, also where it got lost."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    status: int
    fault: str | None = None


@dataclass
class EmulatorState:
    """Accounts and tokens, settings, limits and faults. `folder` is where accounts are kept; None: in memory.

    `limiter` counts by token, `burst` by address: Cloudflare's is 200 in a second, which one client on the loopback
    passes without meaning to, so there is none at first.
    """

    clock: Clock
    ids: Callable[[], str] = new_id
    folder: Path | None = None
    settings: Settings = field(default_factory=Settings)
    access: KnownTokens = field(default_factory=KnownTokens)
    limiter: Limiter = field(default_factory=Limiter)
    burst: Limiter = field(default_factory=lambda: Limiter(None))
    faults: Faults = field(default_factory=Faults)
    accounts: dict[str, Account] = field(default_factory=dict)
    calls: list[RecordedCall] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def add_account(self, account_id: str = ACCOUNT_ID) -> Account:
        """An account, the same one where it is there already; read from the folder where it was kept."""
        with self.lock:
            if account_id not in self.accounts:
                folder = None if self.folder is None else self.folder / account_id
                if folder is not None:
                    _make(folder)
                self.accounts[account_id] = Account(
                    account_id, settings=self.settings, clock=self.clock, ids=self.ids, folder=folder
                )
            return self.accounts[account_id]

    def account(self, account_id: str = ACCOUNT_ID) -> Account:
        """The account of this id; ApiError where it is not there."""
        found = self.accounts.get(account_id)
        if found is None:
            raise other_account()
        return found

    def seed_managed(self, *, type_: str, name: str, certificates: str, account_id: str = ACCOUNT_ID) -> Entry:
        """Put a CA of Gateway's or Access's into an account, as no upload can."""
        with self.lock:
            account = self.account(account_id)
            entry = account.store.seed(type_=type_, name=name, ca=True, certificates=certificates)
            account.added(entry)
            return entry

    def record(self, call: RecordedCall) -> None:
        """Remember a call, the newest hundred thousand of them."""
        self.calls.append(call)
        del self.calls[:-_LOGGED]


def new_state(clock: Clock, *, account_id: str = ACCOUNT_ID, folder: Path | None = None) -> EmulatorState:
    """A state with one account and Cloudflare's own limits, without faults, where any token may everything."""
    state = EmulatorState(clock, folder=folder)
    state.add_account(account_id)
    return state


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = "name a folder that can be written, or one that can be made"
        raise FileError(f"can't make the folder {str(folder)!r}: {error.strerror}", hint=hint) from error


@dataclass(frozen=True, slots=True)
class Ask:
    """One request on its way through. `names` has the variable parts of its path; `fault` is for lists and deletes."""

    request: Request
    state: EmulatorState
    token: Token
    names: Mapping[str, str]
    fault: Fault | None = None

    @property
    def account(self) -> Account:
        """The account that the path names."""
        return self.state.account(self.names["account"])

    def body(self) -> Json:
        """The body as a JSON object; ApiError where it is none."""
        return as_object(self._json())

    def number(self, name: str, default: int) -> int:
        """A number of the query from 1 up, the default where it is none."""
        text = self.request.first(name) or ""
        return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 10 else default

    def form_json(self, name: str) -> Json:
        """A part of a multipart body as a JSON object; ApiError where it is missing or none."""
        found = next((part for part in self.request.parts() if part.name == name), None)
        if found is None:
            raise invalid(f"the multipart body has no part {name!r}")
        try:
            return as_object(json.loads(found.body))
        except ValueError as error:
            raise invalid(f"the part {name!r} is no JSON") from error

    def from_(self) -> str:
        """Which tool asks, as Workers remember it: `wrangler`, or `api` for everybody else."""
        return "wrangler" if self.request.headers.get("user-agent", "").startswith("wrangler/") else "api"

    def now(self) -> str:
        """The time as the Workers API writes it, with microseconds."""
        return self.state.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _json(self) -> object:
        try:
            return self.request.json()
        except (ValueError, RecursionError) as error:
            raise invalid("Could not parse the request body: it is no JSON") from error


def as_object(value: object) -> Json:
    """A JSON object; ApiError where the value is something else."""
    if not isinstance(value, dict):
        raise invalid("the body is no JSON object")
    return value


def as_objects(value: object) -> list[Json]:
    """A list of JSON objects, empty for null; ApiError where the value is something else."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise invalid("a list is expected")
    return [as_object(item) for item in value]
