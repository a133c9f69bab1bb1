"""Faults as a client sees them over a real socket and over the transport of the tests."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from reconciler.emulator.faults import Fault, FaultKind, read_faults
from reconciler.emulator.server import running
from reconciler.emulator.state import ACCOUNT_ID, EmulatorState
from tests.emulator.test_certificates import PATH, body, control, upload
from tests.support.emulated import HEADERS, DirectTransport, client_of, make_state
from tests.support.pki import make_ca
from tests.support.store_contract import LEAVES


@pytest.fixture
def state() -> EmulatorState:
    return make_state()


@pytest.fixture(params=["socket", "direct"])
def api(request: pytest.FixtureRequest, state: EmulatorState) -> Iterator[httpx.Client]:
    """A client with a timeout of 0.2 seconds."""
    if request.param == "direct":
        with client_of(state) as client:
            yield client
        return
    with running(state) as url:
        base = f"{url}/accounts/{ACCOUNT_ID}"
        with httpx.Client(base_url=base, headers=HEADERS, timeout=httpx.Timeout(10, read=0.2)) as client:
            yield client


@pytest.mark.parametrize(
    ("kind", "error", "done"),
    [
        (FaultKind.LOST_REPLY, httpx.RemoteProtocolError, True),
        (FaultKind.RESET, httpx.ReadError, False),
        (FaultKind.HANG, httpx.ReadTimeout, False),
        (FaultKind.HANG_AFTER, httpx.ReadTimeout, True),
        (FaultKind.TRUNCATED, httpx.RemoteProtocolError, True),
    ],
)
def test_a_connection_can_break(
    api: httpx.Client, state: EmulatorState, kind: FaultKind, error: type[Exception], done: bool
) -> None:
    """Before or after the upload is done; then everything works again."""
    state.faults.add(Fault(kind, method="POST"))
    with pytest.raises(error):
        api.post(PATH, json=body(LEAVES[0]))
    assert len(api.get(PATH).json()["result"]) == int(done)
    assert api.post(PATH, json=body(LEAVES[0])).status_code == (400 if done else 200)
    assert state.faults.happened == [(kind.value, "POST", f"/client/v4/accounts/{ACCOUNT_ID}{PATH}")]


@pytest.mark.parametrize(
    ("fault", "status", "text", "done"),
    [
        (Fault(FaultKind.RATE_LIMITED), 429, "throttling", False),
        (Fault(FaultKind.SERVER_ERROR, status=502), 502, "unknown error", False),
        (Fault(FaultKind.SERVER_ERROR_AFTER), 503, "unknown error", True),
        (Fault(FaultKind.HTML), 403, "<!DOCTYPE html>", False),
        (Fault(FaultKind.BROKEN_JSON), 200, '{"success": true', True),
        (Fault(FaultKind.REDIRECT), 302, "", False),
        (Fault(FaultKind.SLOW, seconds=0.01), 200, '"success": true', True),
    ],
    ids=lambda value: value.kind.value if isinstance(value, Fault) else "",
)
def test_a_reply_can_be_wrong(
    api: httpx.Client, state: EmulatorState, fault: Fault, status: int, text: str, done: bool
) -> None:
    """With or without the work done."""
    state.faults.add(fault)
    reply = api.post(PATH, json=body(LEAVES[0]))
    assert reply.status_code == status
    assert text in reply.text
    assert "retry-after" not in reply.headers
    assert len(api.get(PATH).json()["result"]) == int(done)


def test_a_reply_can_be_huge(api: httpx.Client, state: EmulatorState) -> None:
    """64 MB, in valid JSON."""
    state.faults.add(Fault(FaultKind.HUGE))
    with api.stream("GET", PATH, timeout=10) as reply:  # making 64 MB takes a moment
        assert int(reply.headers["content-length"]) == 64 * 1024 * 1024


def test_a_429_can_say_when_to_come_back(api: httpx.Client, state: EmulatorState) -> None:
    """Or not, as above."""
    state.faults.add(Fault(FaultKind.RATE_LIMITED, retry_after=7))
    assert api.get(PATH).headers["retry-after"] == "7"


def test_a_list_can_lag_shift_and_miscount(state: EmulatorState) -> None:
    """For one request each; other requests are answered normally."""
    api, authority = client_of(state), make_ca("Many")
    ids = [upload(api, authority.issue(f"leaf-{number}"))["id"] for number in range(5)]
    kinds = [FaultKind.LIST_LAG, FaultKind.SHIFTED_PAGES, FaultKind.WRONG_TOTAL, FaultKind.IGNORED_PAGE]
    state.faults.add(*(Fault(kind, count=2) for kind in kinds))
    assert api.get(f"{PATH}/{ids[0]}").status_code == 200
    replies = [api.get(PATH, params={"page": 2, "per_page": 2}).json() for _ in range(5)]
    shown = [[entry["id"] for entry in reply["result"]] for reply in replies]
    assert shown == [ids[2:3], ids[3:5], ids[2:4], ids[0:2], ids[2:4]]
    assert [reply["result_info"]["total_count"] for reply in replies] == [3, 5, 6, 5, 5]


def test_a_delete_can_find_an_entry_in_use_that_is_not(state: EmulatorState) -> None:
    """Once; the next one works."""
    api = client_of(state)
    at = f"{PATH}/{upload(api, LEAVES[0])['id']}"
    state.faults.add(Fault(FaultKind.IN_USE))
    assert [api.delete(at).status_code for _ in range(2)] == [400, 200]


def test_a_script_says_which_request_and_how_often(state: EmulatorState) -> None:
    """By method, by a part of the path, by the number of requests to skip, and by the number to meet."""
    given = [{"kind": "5xx", "method": "GET", "path": "workers", "skip": 1, "times": 2, "status": 500}]
    assert control(state, "POST", "faults", given).json() == {"added": 1}
    api = client_of(state)
    assert api.get(PATH).status_code == 200
    assert [api.get("/workers/scripts").status_code for _ in range(4)] == [200, 500, 500, 200]


def met(seed: int, count: int = 300) -> list[tuple[str, str, str]]:
    """The faults that a seed gives to the same requests."""
    state = make_state()
    state.faults.seed(seed, rate=0.2, most=30)
    with httpx.Client(transport=DirectTransport(state), base_url="http://emulator", headers=HEADERS) as client:
        for _ in range(count):
            try:
                client.get(f"/client/v4/accounts/{ACCOUNT_ID}{PATH}")
            except httpx.TransportError:
                continue
    return state.faults.happened


def test_a_seed_does_the_same_each_time_and_comes_to_an_end() -> None:
    """So that a failure can be reproduced, and a run can converge."""
    assert met(1) == met(1) != met(2)
    assert len(met(3)) == 30
    assert len({kind for kind, _, _ in met(1) + met(2) + met(3)}) > 8


def test_faults_can_be_taken_back(state: EmulatorState) -> None:
    """Those of a script and those of a seed."""
    control(state, "POST", "faults", [{"kind": "reset", "times": 100}])
    control(state, "POST", "faults", {"seed": 1, "rate": 1})
    control(state, "DELETE", "faults")
    assert client_of(state).get(PATH).status_code == 200


@pytest.mark.parametrize("kind", FaultKind)
def test_every_fault_can_be_named_in_a_file(kind: FaultKind) -> None:
    """By the value of its kind."""
    assert read_faults([{"kind": kind.value}]) == (Fault(kind),)
