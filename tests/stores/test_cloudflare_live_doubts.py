"""Invalid replies about live versions: each one is unread and keeps certificates, and never means "nothing".

The emulator answers, and one reply is changed on its way.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import pytest

from reconciler.emulator.app import PREFIX
from reconciler.emulator.state import ACCOUNT_ID, EmulatorState
from reconciler.model import Entry, EntryId, Live, LiveQuestion
from reconciler.stores.cloudflare.access import Access
from reconciler.stores.cloudflare.client import Client, Time
from reconciler.stores.cloudflare.store import CloudflareReader
from tests.emulator.test_certificates import upload
from tests.emulator.test_workers import certificate, put
from tests.support.emulated import TOKEN, DirectTransport, client_of, make_state
from tests.support.store_contract import LEAVES, SetClock

Bend = Callable[[dict[str, object]], dict[str, object] | None]
"""Another body for a reply; None: Cloudflare has no such thing (10007)."""

NOT_THERE = {"success": False, "errors": [{"code": 10007, "message": "not there"}], "result": None}
FREE = EntryId("0" * 36)


@dataclass
class Bent(httpx.BaseTransport):
    """The emulator, with changed replies for paths that end in this way."""

    state: EmulatorState
    end: str
    bend: Bend
    asked: list[str] = field(default_factory=list)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        response = DirectTransport(self.state).handle_request(request)
        if not request.url.path.endswith(self.end):
            return response
        body = self.bend(json.loads(response.content))
        return httpx.Response(200, json=body) if body is not None else httpx.Response(404, json=NOT_THERE)


@pytest.fixture
def state() -> EmulatorState:
    return make_state(SetClock())


@pytest.fixture
def ids(state: EmulatorState) -> list[EntryId]:
    """Two certificates; the live version of `shop` uses the first."""
    api = client_of(state)
    found = [EntryId(upload(api, leaf)["id"]) for leaf in LEAVES[:2]]
    put(api, certificate(found[0]))
    return found


def look(state: EmulatorState, end: str, bend: Bend, *targets: str, ca: bool = False, back: int = 1) -> Live:
    """What is read if something may be retired."""
    access = Access(f"http://127.0.0.1{PREFIX}", ACCOUNT_ID, TOKEN, is_loopback=True)
    client = Client(access, Time(now=SetClock().now, sleep=lambda _: None), transport=Bent(state, end, bend))
    reader = CloudflareReader(client, access.certificates_path, lambda: 0.5)
    return reader.live().look(LiveQuestion(targets, (Entry(FREE, ca=ca),), back))


def version_of(state: EmulatorState) -> str:
    """The only version of `shop`."""
    return str(state.account().holders.workers["shop"].versions[0]["id"])


def result(value: object) -> Bend:
    return lambda body: {**body, "result": value}


def share(version: object, percentage: object = 100) -> dict[str, object]:
    return {"version_id": version, "percentage": percentage}


def deployments(*shares: list[dict[str, object]]) -> Bend:
    return result({"deployments": [{"versions": one} for one in shares]})


DEPLOYMENTS: list[tuple[str, Bend]] = [
    ("null", result(None)),
    ("no object", result([])),
    ("no deployments in it", result({})),
    ("deployments that are text", result({"deployments": "none"})),
    ("a newest one without versions", deployments([])),
    ("a newest one with null for versions", result({"deployments": [{"versions": None}]})),
    ("a version without an id", deployments([{"percentage": 100}])),
    ("a version of which the id is null", deployments([share(None)])),
    ("a version without a share", deployments([{"version_id": "v"}])),
    ("a share below nothing", deployments([share("v", -5)])),
    ("a share above everything", deployments([share("v", 1e300)])),
    ("shares that leave some of the traffic to nobody", deployments([share("v", 60), share("w", 20)])),
    ("a version that would lead to another path", deployments([share("..")])),
]


@pytest.mark.parametrize("bend", [pytest.param(bend, id=name) for name, bend in DEPLOYMENTS])
def test_deployments_that_tell_not_what_serves_are_a_doubt(
    state: EmulatorState, ids: list[EntryId], bend: Bend
) -> None:
    """The Worker is unread; it counts neither as without bindings nor as missing."""
    live = look(state, "/deployments", bend)
    assert "shop" in live.unread
    assert "shop" not in live.workers


BINDING = {"type": "mtls_certificate", "name": "A", "certificate_id": "x"}
VERSIONS: list[tuple[str, Bend]] = [
    ("null", result(None)),
    ("nothing of what it uses", result({"id": "v"})),
    ("bindings that are no list", result({"resources": {"bindings": "A"}})),
    ("a binding without a type", result({"resources": {"bindings": [{"name": "A"}]}})),
    ("an mTLS binding without an id", result({"resources": {"bindings": [{**BINDING, "certificate_id": None}]}})),
    ("an mTLS binding without a name", result({"resources": {"bindings": [{**BINDING, "name": ""}]}})),
    ("one name twice", result({"resources": {"bindings": [BINDING, {**BINDING, "certificate_id": "y"}]}})),
    ("that it is not there", lambda _: None),
]


@pytest.mark.parametrize("bend", [pytest.param(bend, id=name) for name, bend in VERSIONS])
def test_a_version_that_serves_and_does_not_tell_with_what_is_a_doubt(
    state: EmulatorState, ids: list[EntryId], bend: Bend
) -> None:
    """It is known to be live, so the Worker exists and may use anything."""
    live = look(state, f"/versions/{version_of(state)}", bend)
    assert "shop" in live.unread
    assert "shop" not in live.workers


@pytest.mark.parametrize(
    ("newest", "times"),
    [
        (0, ("2026-11-24T10:00:00.5Z", "2026-11-24T10:00:00Z")),  # "." sorts before "Z"
        (0, ("2026-11-24T09:00:00+01:00", "2026-11-24T07:30:00Z")),
        (1, ("2026-11-24T10:00:00Z", "2026-11-24T10:00:01Z")),
        (0, (None, "2026-11-24T10:00:00Z")),  # else the first would be taken for the oldest
        (0, ("soon", "2026-11-24T10:00:00Z")),
    ],
)
def test_the_newest_deployment_is_told_by_its_time_and_else_by_its_place(
    state: EmulatorState, ids: list[EntryId], newest: int, times: tuple[str | None, str]
) -> None:
    """Compared as times, not as text; if one has no time, the order of the list counts: newest first."""
    put(client_of(state), certificate(ids[1]))
    first, second = (str(version["id"]) for version in state.account().holders.workers["shop"].versions)
    listed = [
        {"created_on": time, "versions": [share(version)]} for time, version in zip(times, (first, second), strict=True)
    ]
    worker = look(state, "/deployments", result({"deployments": listed})).workers["shop"]
    assert worker is not None
    assert [version.id for version in worker.serving] == [(first, second)[newest]]


def test_a_deployment_that_is_listed_twice_counts_once(state: EmulatorState, ids: list[EntryId]) -> None:
    """Else it would replace the one that a rollback leads to."""
    put(client_of(state), certificate(ids[1]))

    def twice(body: dict[str, object]) -> dict[str, object]:
        found = body["result"]
        assert isinstance(found, dict)
        newest, *older = found["deployments"]
        return {**body, "result": {"deployments": [newest, newest, *older]}}

    worker = look(state, "/deployments", twice).workers["shop"]
    assert worker is not None
    assert [set(version.bindings.values()) for version in worker.versions] == [{ids[1]}, {ids[0]}]


def zone(number: int) -> dict[str, object]:
    return {"id": f"zone-{number}", "name": f"z{number}.example"}


ZONES: list[tuple[str, Bend]] = [
    (
        "fewer than it counts",
        lambda body: {**body, "result": [zone(1)], "result_info": {"total_count": 2, "total_pages": 1}},
    ),
    ("the same page again and again", lambda body: {**body, "result": [zone(1)], "result_info": {"total_pages": 9}}),
    (
        "a zone without an id",
        lambda body: {**body, "result": [{"name": "z.example"}], "result_info": {"total_pages": 1}},
    ),
    (
        "a zone that would lead to another path",
        lambda body: {**body, "result": [{"id": ".."}], "result_info": {"total_pages": 1}},
    ),
]


@pytest.mark.parametrize("bend", [pytest.param(bend, id=name) for name, bend in ZONES])
def test_a_short_list_of_zones_is_a_doubt(state: EmulatorState, ids: list[EntryId], bend: Bend) -> None:
    """A hostname of a zone that is not listed may need the CA."""
    assert "the hostname associations" in look(state, "/zones", bend, ca=True).unread


def test_a_worker_whose_name_leads_to_another_path_is_not_asked_for(state: EmulatorState, ids: list[EntryId]) -> None:
    """The answer would be about something else."""
    live = look(state, "/nowhere", lambda body: body, "..", ".")
    assert {"..", "."} <= set(live.unread)
