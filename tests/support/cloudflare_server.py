"""Cloudflare's API for tests: over the local store, in process, with a fault per call.

`FakeCloudflare` answers requests; `make_store` returns the Cloudflare store that calls it, with a clock that only
sleeping moves.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx

from reconciler.model import Entry, EntryId, StoreKind
from reconciler.model.budget import RateBudget
from reconciler.model.errors import AlreadyStored, EntryNotFound, QuotaReached, StoreRefused
from reconciler.model.ports import NewEntry, PrivateKey
from reconciler.stores.cloudflare import CloudflareConnection
from reconciler.stores.cloudflare.access import Access
from reconciler.stores.cloudflare.client import DEFAULT_BOUNDS, Bounds, Client, Time
from reconciler.stores.cloudflare.store import CloudflareStore
from reconciler.stores.database import MemoryDatabase
from reconciler.stores.local import LocalStore, parse_upload
from reconciler.x509.certificates import rfc3339
from tests.support.pki import NOW
from tests.support.store_contract import LEAF_LIMIT, SetClock, Subject

TOKEN = "canary-token-0123456789-abcdefghijklmnop"
ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
ACCESS = Access("https://api.example/client/v4", ACCOUNT, TOKEN)

Respond = Callable[[], httpx.Response]
Fault = Callable[[httpx.Request, Respond], httpx.Response]


@dataclass
class FakeTime:
    """A clock that only sleeping moves, and the list of all sleeps."""

    at: float = 1000.0
    sleeps: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.at)

    def monotonic(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.at += seconds


@dataclass
class FakeCloudflare:
    """The certificates API of one account. With `lag`, an upload is missing from that many lists."""

    store: LocalStore
    lag: int = 0
    headers: Callable[[], dict[str, str]] = dict
    calls: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    in_use: dict[EntryId, int] = field(default_factory=dict)
    services: dict[EntryId, tuple[str, ...]] = field(default_factory=dict)
    hidden: dict[EntryId, int] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(self, method: str, *faults: Fault) -> None:
        """Give the next calls of a method these faults, one each."""
        self.faults.setdefault(method, []).extend(faults)

    def handle(self, request: httpx.Request) -> httpx.Response:
        with self.lock:
            self.calls.append(f"{request.method} {request.url.raw_path.decode()}")
            self.bodies.append(request.content)
            faults = self.faults.get(request.method)
            fault = faults.pop(0) if faults else None
            response = fault(request, lambda: self._answer(request)) if fault else self._answer(request)
            response.headers.update(self.headers())
            return response

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return refuse(401, 9106, "Authentication failed")
        prefix = f"/client/v4/accounts/{ACCOUNT}/mtls_certificates"
        path = request.url.path
        if not path.startswith(prefix):
            return refuse(404, 7003, "Could not route to this path, perhaps your object identifier is invalid?")
        entry_id = EntryId(path.removeprefix(prefix).removeprefix("/"))
        try:
            if request.method == "POST":
                return self._upload(request)
            if not entry_id:
                return self._list(request)
            if entry_id.endswith("/associations"):
                return self._associations(EntryId(entry_id.removesuffix("/associations")))
            return self._delete(entry_id) if request.method == "DELETE" else self._get(entry_id)
        except StoreRefused as error:
            return _from_store(error)

    def _list(self, request: httpx.Request) -> httpx.Response:
        page, per_page = int(request.url.params["page"]), int(request.url.params["per_page"])
        listed = [entry for entry in self.store.list_entries().entries if not self.hidden.get(entry.id)]
        if page == 1:
            self.hidden = {entry_id: left - 1 for entry_id, left in self.hidden.items() if left > 1}
        part = listed[(page - 1) * per_page : page * per_page]
        info = {
            "page": page,
            "per_page": per_page,
            "count": len(part),
            "total_count": len(listed),
            "total_pages": -(-len(listed) // per_page),
        }
        return success([shown(entry) for entry in part], result_info=info)

    def _get(self, entry_id: EntryId) -> httpx.Response:
        entry = self.store.get(entry_id)
        return success(shown(entry)) if entry else refuse(404, 1472, "Certificate not found")

    def _associations(self, entry_id: EntryId) -> httpx.Response:
        if self.store.get(entry_id) is None:
            return refuse(404, 1472, "Certificate not found")
        return success([{"service": name, "status": "pending_deployment"} for name in self.services.get(entry_id, ())])

    def _upload(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        key = PrivateKey(body["private_key"].encode()) if "private_key" in body else None
        entry = self.store.upload(NewEntry(body.get("name", ""), body["ca"], parse_upload(body["certificates"]), key))
        if self.lag:
            self.hidden[entry.id] = self.lag
        return success({**shown(entry), "updated_at": shown(entry)["uploaded_on"]})

    def _delete(self, entry_id: EntryId) -> httpx.Response:
        left = self.in_use.get(entry_id, 0)
        if left:
            self.in_use[entry_id] = left - 1
            return refuse(400, 1000, "Certificate cannot be deleted while in use.")
        entry = self.store.get(entry_id)
        self.store.delete(entry_id)
        return success(shown(entry) if entry else None)


def shown(entry: Entry) -> dict[str, object]:
    """An entry as in the API."""
    uploaded = entry.uploaded_on
    return {
        "id": entry.id,
        "name": entry.name,
        "ca": entry.ca,
        "certificates": entry.certificates,
        "type": entry.type,
        "issuer": entry.issuer,
        "serial_number": entry.serial_number,
        "signature": entry.signature,
        "expires_on": rfc3339(entry.expires_on) if entry.expires_on else None,
        "uploaded_on": uploaded.isoformat().replace("+00:00", "Z") if uploaded else None,
    }


def success(result: object, **more: object) -> httpx.Response:
    return httpx.Response(200, json={"success": True, "errors": [], "messages": [], "result": result, **more})


def refuse(status: int, code: int, message: str, headers: dict[str, str] | None = None) -> httpx.Response:
    body = {"success": False, "errors": [{"code": code, "message": message}], "messages": [], "result": None}
    return httpx.Response(status, json=body, headers=headers)


def _from_store(error: StoreRefused) -> httpx.Response:
    match error:
        case AlreadyStored():
            return refuse(400, 1471, "Certificate already exists.")
        case EntryNotFound():
            return refuse(404, 1472, "Certificate not found")
        case QuotaReached():
            return refuse(400, error.number or 1400, error.message)
        case _:
            return refuse(401 if error.message == "Unauthorized" else 400, 1400, error.message)


# --- faults -----------------------------------------------------------------------------------------------------------


def answer(status: int, *, text: str = "", headers: dict[str, str] | None = None) -> Fault:
    """Nothing is done; this reply is sent."""
    return lambda _, __: httpx.Response(status, text=text, headers=headers)


def refusing(status: int, code: int, message: str) -> Fault:
    """Nothing is done; the envelope is a refusal."""
    return lambda _, __: refuse(status, code, message)


def limited(retry_after: str | None = None) -> Fault:
    """429."""
    return lambda _, __: refuse(429, 971, "slow down", {"retry-after": retry_after} if retry_after else None)


def unsent(_: httpx.Request, __: Respond) -> httpx.Response:
    """No connection is made."""
    raise httpx.ConnectError("[Errno 111] Connection refused")


def reset(_: httpx.Request, __: Respond) -> httpx.Response:
    """The connection breaks before anything is done."""
    raise httpx.ReadError("reset")


def lost(_: httpx.Request, respond: Respond) -> httpx.Response:
    """It is done, but the reply is lost."""
    respond()
    raise httpx.ReadTimeout("timed out")


def torn(_: httpx.Request, respond: Respond) -> httpx.Response:
    """It is done, but only half of the reply arrives."""
    content = respond().content
    return httpx.Response(200, content=content[: len(content) // 2])


# --- the store --------------------------------------------------------------------------------------------------------


def make_server(clock: SetClock | None = None, *, limit: int = 1000) -> FakeCloudflare:
    return FakeCloudflare(
        LocalStore(MemoryDatabase(), clock=clock or SetClock(), limit=limit, ids=lambda: str(uuid4()))
    )


def make_client(
    handler: Callable[[httpx.Request], httpx.Response],
    time: FakeTime | None = None,
    *,
    access: Access = ACCESS,
    bounds: Bounds = DEFAULT_BOUNDS,
    tell: Callable[[str], None] = lambda _: None,
    shared: RateBudget | None = None,
) -> Client:
    time = time or FakeTime()
    clocks = Time(now=time.now, monotonic=time.monotonic, sleep=time.sleep)
    return Client(access, clocks, bounds=bounds, tell=tell, transport=httpx.MockTransport(handler), shared=shared)


def make_store(server: FakeCloudflare, time: FakeTime | None = None, *, access: Access = ACCESS) -> CloudflareStore:
    client = make_client(server.handle, time, access=access)
    return CloudflareStore(client, access.certificates_path, lambda: 0.5)


def on_cloudflare(_: Path, clock: SetClock) -> Subject:
    server = make_server(clock, limit=LEAF_LIMIT)

    def manage(certificates: str) -> Entry:
        return server.store.seed(type_="gateway_managed", name="Gateway", ca=True, certificates=certificates)

    def connect() -> CloudflareConnection:
        return CloudflareConnection(make_client(server.handle), ACCESS)

    return Subject(StoreKind.CLOUDFLARE, connect, clock, manage)
