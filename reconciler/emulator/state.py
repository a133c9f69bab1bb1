"""The whole state of the emulator, and the context in which a handler answers one request.

The clock and the ids are passed in; the lock is for callers that serve it from threads.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from uuid import uuid4

from reconciler.emulator.account import Account
from reconciler.emulator.faults import Fault, Faults
from reconciler.emulator.settings import Limiter, Settings
from reconciler.emulator.tokens import KnownTokens, Token
from reconciler.emulator.wire import Json, Reply, Request, invalid, json_reply, other_account
from reconciler.findings.errors import FileError
from reconciler.findings.values import dataclass
from reconciler.model import Entry
from reconciler.model.ports import Clock

ACCOUNT_ID = "0123456789abcdef0123456789abcdef"
"""The account that exists by default."""

_LOGGED = 100_000


def new_id() -> str:
    """An id in Cloudflare's format: a random UUID."""
    return str(uuid4())


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One answered request, for tests that count. `status` is the status of the answer, even if the answer was lost."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    status: int
    fault: str | None = None


def runs_no_worker(name: str, request: Request) -> Reply:  # noqa: ARG001 - as `run_worker`
    """The answer of every Worker: it is not run, because that needs the private keys, which are not kept."""
    return json_reply(200, {"error": "the emulator runs no Workers", "name": "Emulated"})


@dataclass
class EmulatorState:
    """Accounts and tokens, settings, limits and faults, kept in `folder` or, without one, in memory.

    `limiter` counts by token, `burst` by address. Cloudflare's burst limit is 200 a second, which a single client on
    the loopback exceeds, so by default there is none. `run_worker` answers a call of a Worker on workers.dev.
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
    run_worker: Callable[[str, Request], Reply] = runs_no_worker

    def add_account(self, account_id: str = ACCOUNT_ID) -> Account:
        """The account with this id, created if it does not exist; read from the folder if it was kept there."""
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
        """The account with this id; ApiError if it does not exist."""
        found = self.accounts.get(account_id)
        if found is None:
            raise other_account()
        return found

    def seed_managed(self, *, type_: str, name: str, certificates: str, account_id: str = ACCOUNT_ID) -> Entry:
        """Add a CA of Gateway or Access to an account, which no upload can."""
        with self.lock:
            account = self.account(account_id)
            entry = account.store.seed(type_=type_, name=name, ca=True, certificates=certificates)
            account.added(entry)
            return entry

    def record(self, call: RecordedCall) -> None:
        """Record a call; the newest hundred thousand are kept."""
        self.calls.append(call)
        del self.calls[:-_LOGGED]


def new_state(clock: Clock, *, account_id: str = ACCOUNT_ID, folder: Path | None = None) -> EmulatorState:
    """A state with one account and Cloudflare's own limits, without faults, in which any token may do everything."""
    state = EmulatorState(clock, folder=folder)
    state.add_account(account_id)
    return state


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = "choose a folder that this user can create or write"
        raise FileError(f"can't create the folder {str(folder)!r}: {error.strerror}", hint=hint) from error


@dataclass(frozen=True, slots=True)
class Ask:
    """One request being answered. `names` has the variable parts of its path; `fault` is for lists and deletes."""

    request: Request
    state: EmulatorState
    token: Token
    names: Mapping[str, str]
    fault: Fault | None = None

    @property
    def account(self) -> Account:
        """The account in the path."""
        return self.state.account(self.names["account"])

    def body(self) -> Json:
        """The body as a JSON object; ApiError if it is something else."""
        return as_object(self._json())

    def objects(self) -> list[Json]:
        """The body as a list of JSON objects; ApiError if it is something else."""
        return as_objects(self._json())

    def number(self, name: str, default: int) -> int:
        """A number from 1 in the query, the default if there is no valid one."""
        text = self.request.first(name) or ""
        return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 10 else default

    def form_json(self, name: str) -> Json:
        """A part of a multipart body as a JSON object; ApiError if it is missing or something else."""
        found = next((part for part in self.request.parts() if part.name == name), None)
        if found is None:
            raise invalid(f"the multipart body has no part {name!r}")
        try:
            return as_object(json.loads(found.body))
        except ValueError as error:
            raise invalid(f"the part {name!r} is not JSON") from error

    def from_(self) -> str:
        """The tool that made the request, as Workers record it: `wrangler`, or `api` for all others."""
        return "wrangler" if self.request.headers.get("user-agent", "").startswith("wrangler/") else "api"

    def now(self) -> str:
        """The time in the format of the Workers API, with microseconds."""
        return self.state.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _json(self) -> object:
        try:
            return self.request.json()
        except (ValueError, RecursionError) as error:
            raise invalid("Could not parse the request body: it is not JSON") from error


def as_object(value: object) -> Json:
    """The value as a JSON object; ApiError if it is something else."""
    if not isinstance(value, dict):
        raise invalid("the body is not a JSON object")
    return value


def as_objects(value: object) -> list[Json]:
    """The value as a list of JSON objects, empty for null; ApiError if it is something else."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise invalid("expected a list")
    return [as_object(item) for item in value]
