"""The emulator as a server: many clients at once, and what only HTTP has."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from reconciler.emulator import server
from reconciler.emulator.faults import Fault, FaultKind
from reconciler.emulator.server import listen, running
from reconciler.emulator.state import ACCOUNT_ID, EmulatorState
from reconciler.findings.errors import AddressError
from tests.emulator.test_certificates import PATH, body
from tests.support.emulated import HEADERS, DirectTransport, make_state
from tests.support.store_contract import LEAVES


@pytest.fixture
def state() -> EmulatorState:
    return make_state()


def test_many_uploads_of_one_content_make_one_entry(state: EmulatorState) -> None:
    """In any order."""
    with running(state) as url, httpx.Client(base_url=f"{url}/accounts/{ACCOUNT_ID}", headers=HEADERS) as api:
        with ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(lambda n: api.post(PATH, json=body(LEAVES[0], f"n{n}")), range(24)))
        assert sorted(reply.status_code for reply in replies) == [200] + [400] * 23
        assert len(api.get(PATH).json()["result"]) == 1
    assert len(state.calls) == 25


def test_an_emulator_can_be_looked_at_from_the_thread_of_the_test(state: EmulatorState) -> None:
    """While it runs, and afterwards."""
    with running(state) as url:
        reply = httpx.post(f"{url}/accounts/{ACCOUNT_ID}{PATH}", json=body(LEAVES[0]), headers=HEADERS)
        assert [entry.id for entry in state.account().entries()] == [reply.json()["result"]["id"]]
    assert len(state.account().store.list_entries().entries) == 1


def test_two_emulators_run_side_by_side(state: EmulatorState) -> None:
    """Each with its own port and its own state."""
    other = make_state()
    with running(state) as url, running(other) as other_url:
        httpx.post(f"{url}/accounts/{ACCOUNT_ID}{PATH}", json=body(LEAVES[0]), headers=HEADERS).raise_for_status()
        assert httpx.get(f"{other_url}/accounts/{ACCOUNT_ID}{PATH}", headers=HEADERS).json()["result"] == []


def test_an_emulator_ends_though_a_client_still_waits(state: EmulatorState) -> None:
    """Neither an open connection nor a reply that never comes keeps it running."""
    state.faults.add(Fault(FaultKind.HANG))
    with httpx.Client(headers=HEADERS, timeout=httpx.Timeout(10, read=0.05)) as client:
        with running(state) as url, pytest.raises(httpx.ReadTimeout):
            client.get(f"{url}/user")
        with pytest.raises(httpx.TransportError):
            client.get(f"{url}/user")
    assert [kind for kind, _, _ in state.faults.happened] == ["hang"]


def test_a_body_without_end_is_refused(state: EmulatorState, monkeypatch: pytest.MonkeyPatch) -> None:
    """413."""
    monkeypatch.setattr(server, "_MOST_BODY", 1000)
    with running(state) as url:
        assert httpx.post(f"{url}/user", content=b"x" * 1001, headers=HEADERS).status_code == 413
        assert httpx.get(f"{url}/user", headers=HEADERS).status_code == 200


def test_every_reply_takes_the_latency(state: EmulatorState) -> None:
    """In addition to the delay of a fault."""
    waited: list[float] = []
    state.settings.latency_s = 0.05
    with httpx.Client(transport=DirectTransport(state, wait=waited.append), headers=HEADERS) as client:
        client.get("http://emulator/client/v4/user")
    assert waited == [0.05]


def test_an_address_of_version_six_stands_in_brackets() -> None:
    """As in URLs."""
    try:
        listening = listen("::1", 0)
    except AddressError:
        pytest.skip("this machine has no IPv6 loopback")
    with listening:
        assert server.base_url(listening).startswith("http://[::1]:")
