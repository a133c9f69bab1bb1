"""The emulator as a server: many clients at once, and what only HTTP has."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from reconciler.emulator import server
from reconciler.emulator.faults import Fault, FaultKind
from reconciler.emulator.server import is_expected, listen, running
from reconciler.emulator.state import ACCOUNT_ID, EmulatorState
from reconciler.findings.errors import AddressError
from tests.emulator.test_certificates import PATH, body
from tests.support.emulated import HEADERS, DirectTransport, make_state
from tests.support.store_contract import LEAVES


@pytest.fixture
def state() -> EmulatorState:
    return make_state()


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """One for many tests: it reads the certificates of all CAs, which takes longer than they do."""
    with httpx.Client(headers=HEADERS) as one:
        yield one


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


@pytest.mark.parametrize("path", ["/client/v4/user", "/_emulator/state"])
@pytest.mark.parametrize(
    ("host", "status"),
    [
        *((host, 200) for host in ("localhost", "LOCALHOST:1", "127.0.0.1:8787", "127.9.9.9", "[::1]:8787")),
        *((host, 421) for host in ("attacker.example", "attacker.example:8787", "localhost.attacker.example", "")),
        *((host, 421) for host in ("10.0.0.5", "127.1", "user@localhost", "localhost:8787:1", "0x7f.0.0.1")),
    ],
)
def test_another_host_is_refused(state: EmulatorState, client: httpx.Client, host: str, status: int, path: str) -> None:
    """By DNS rebinding a page could read the state under its own name."""
    with running(state) as url:
        reply = client.get(url.removesuffix("/client/v4") + path, headers={"Host": host})
    assert reply.status_code == status
    assert ("certificates" in reply.text) == (status == 200 and path == "/_emulator/state")


def test_one_that_listens_for_others_answers_to_addresses_and_allowed_names() -> None:
    """As in a container, where clients call it by a name."""
    expected = ("10.0.0.5:8787", "[fd00::5]:8787", "localhost", "emulator:8787")
    assert [is_expected(host, "0.0.0.0", {"emulator"}) for host in expected] == [True] * 4  # noqa: S104
    assert not is_expected("attacker.example", "0.0.0.0", {"emulator"})  # noqa: S104


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
