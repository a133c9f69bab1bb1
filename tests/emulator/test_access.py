"""Tokens, request limits, and the control endpoint of the emulator."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import httpx
import pytest

from reconciler.emulator.app import answer
from reconciler.emulator.settings import Limiter, RateLimit
from reconciler.emulator.state import ACCOUNT_ID, EmulatorState
from reconciler.emulator.tokens import Permission, Token
from reconciler.emulator.wire import Request
from tests.emulator.test_certificates import PATH, control, error_of
from tests.support.emulated import TOKEN, client_of, make_state
from tests.support.pki import make_ca
from tests.support.store_contract import SetClock, pem

OTHER_ACCOUNT = "f" * 32


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def state(clock: SetClock) -> EmulatorState:
    return make_state(clock)


def get(state: EmulatorState, headers: Mapping[str, str], path: str = PATH) -> httpx.Response:
    with client_of(state, token=None) as client:
        return client.get(path, headers=headers)


def test_any_token_is_good_until_one_is_known(state: EmulatorState) -> None:
    """Also a global key with its e-mail."""
    key = {"x-auth-key": "key", "x-auth-email": "dev@example.com"}
    assert get(state, {"authorization": "Bearer whatever"}).status_code == 200
    assert get(state, key).status_code == 200
    state.access.tokens[TOKEN] = Token()
    assert get(state, {"authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert get(state, {"authorization": f"Bearer {TOKEN}", **key}).status_code == 401


READ = frozenset({Permission.CERTIFICATES_READ})


@pytest.mark.parametrize(
    ("token", "method", "path", "refused"),
    [
        (None, "GET", PATH, (401, 9106, "Authentication failed")),
        (Token(active=False), "GET", PATH, (401, 9109, "Invalid access token")),
        (Token(accounts=frozenset()), "GET", PATH, (403, 9109, "Unauthorized to access requested resource")),
        (Token(READ), "POST", PATH, (403, 10000, "Authentication error")),
        (Token(READ), "DELETE", f"{PATH}/x", (403, 10000, "Authentication error")),
        (Token(READ), "GET", "/workers/scripts", (403, 10000, "Authentication error")),
        (Token(frozenset()), "GET", PATH, (403, 10000, "Authentication error")),
    ],
    ids=["unknown", "inactive", "other account", "upload", "delete", "workers", "list"],
)
def test_a_token_must_have_what_the_call_takes(
    state: EmulatorState, token: Token | None, method: str, path: str, refused: tuple[int, int, str]
) -> None:
    """401 and 403 with Cloudflare's codes."""
    state.access.tokens["another"] = Token()
    if token is not None:
        state.access.tokens[TOKEN] = token
    assert error_of(client_of(state).request(method, path)) == refused


def test_writing_includes_reading(state: EmulatorState) -> None:
    """As documented: either permission allows a read."""
    state.access.tokens[TOKEN] = Token(frozenset({Permission.CERTIFICATES_WRITE}))
    assert client_of(state).get(PATH).status_code == 200


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer a b", "Basic x", "Bearer a\n"])
def test_a_malformed_header_has_a_chain_of_errors(state: EmulatorState, header: str) -> None:
    """400, 6003 with 6111, as for a token that was pasted with its newline."""
    reply = answer(state, Request("GET", "/client/v4/user", headers={"authorization": header}))
    assert reply.status == 400
    assert b"6003" in reply.body
    assert b"6111" in reply.body


def test_no_credentials_are_refused(state: EmulatorState) -> None:
    """9106."""
    assert error_of(get(state, {}))[:2] == (401, 9106)


@pytest.mark.parametrize("path", ["/nothing", "/accounts/short/mtls_certificates", "/accounts", ""])
def test_what_is_not_there_has_no_route(state: EmulatorState, path: str) -> None:
    """404, 7003: an unknown path of the API, a path outside it, or an invalid account id."""
    base = "http://emulator/client/v4" if path != "/accounts" else "http://emulator"
    assert error_of(client_of(state).get(base + path))[:2] == (404, 7003)


def test_an_account_that_is_not_there_is_not_ours(state: EmulatorState) -> None:
    """403, 9109."""
    url = f"http://emulator/client/v4/accounts/{OTHER_ACCOUNT}{PATH}"
    assert error_of(client_of(state).get(url))[:2] == (403, 9109)
    state.add_account(OTHER_ACCOUNT)
    assert client_of(state).get(url).json()["result"] == []


def test_a_token_that_an_account_owns_can_not_list_accounts(state: EmulatorState) -> None:
    """400, 1001; and it is verified at another path."""
    root = "http://emulator/client/v4"
    api = client_of(state)
    assert [account["id"] for account in api.get(f"{root}/accounts").json()["result"]] == [ACCOUNT_ID]
    assert api.get(f"{root}/user/tokens/verify").json()["result"]["status"] == "active"
    assert api.get("/tokens/verify").status_code == 401
    state.access.tokens[TOKEN] = Token(account_owned=True)
    assert error_of(api.get(f"{root}/accounts"))[:2] == (400, 1001)
    assert api.get(f"{root}/user/tokens/verify").status_code == 401
    assert api.get("/tokens/verify").status_code == 200


# --- request limits --------------------------------------------------------------------------------------------------


def test_every_reply_says_how_many_requests_are_left(state: EmulatorState, clock: SetClock) -> None:
    """Refusals, too; after its time a new window begins."""
    state.limiter = Limiter(RateLimit(quota=3, window_s=6, block_s=300))
    api = client_of(state)
    assert api.get(PATH).headers["ratelimit"] == '"default";r=2;t=6'
    clock.time += timedelta(seconds=2.5)
    refused = api.get(f"{PATH}/unknown")
    assert refused.status_code == 404
    assert refused.headers["ratelimit"] == '"default";r=1;t=4'
    assert refused.headers["ratelimit-policy"] == '"default";q=3;w=6'
    clock.time += timedelta(seconds=3.5)
    assert api.get(PATH).headers["ratelimit"] == '"default";r=2;t=6'


def test_one_request_too_many_blocks_everything_for_a_while(state: EmulatorState, clock: SetClock) -> None:
    """429 with Retry-After, which does not start again with each refused request."""
    state.limiter = Limiter(RateLimit(quota=2, window_s=10, block_s=300))
    api = client_of(state)
    assert [api.get(PATH).status_code for _ in range(2)] == [200, 200]
    blocked = api.get(PATH)
    assert error_of(blocked)[:2] == (429, 971)
    assert blocked.headers["retry-after"] == "300"
    clock.time += timedelta(seconds=299.5)
    assert api.get(PATH).headers["retry-after"] == "1"
    assert client_of(state, token="somebody-else").get(PATH).status_code == 200
    clock.time += timedelta(seconds=0.5)
    assert api.get(PATH).status_code == 200


def test_the_limit_is_cloudflares_unless_told_otherwise() -> None:
    """1,200 in five minutes, then a block of five minutes."""
    assert Limiter().limit == RateLimit(1200, 300, 300)


def test_an_address_can_be_limited_by_the_second(state: EmulatorState, clock: SetClock) -> None:
    """Whatever its tokens; it may continue in the next second."""
    control(state, "PUT", "rate-limit", {"per_second": 2})
    statuses = [client_of(state, token=token).get(PATH).status_code for token in ("a", "b", "c")]
    assert statuses == [200, 200, 429]
    clock.time += timedelta(seconds=1)
    assert client_of(state).get(PATH).status_code == 200


def test_the_headers_can_be_missing_or_too_generous(state: EmulatorState) -> None:
    """A client must not depend on them."""
    state.limiter = Limiter(RateLimit(quota=5), told="absent")
    assert "ratelimit" not in client_of(state).get(PATH).headers
    state.limiter = Limiter(RateLimit(quota=5), told="generous")
    assert client_of(state).get(PATH).headers["ratelimit"].startswith('"default";r=40;')


# --- the control endpoint --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", ["192.0.2.7", "2001:db8::1", "", "testclient"])
def test_only_this_machine_may_steer(state: EmulatorState, client: str) -> None:
    """403 for all others, even if the server listens for them."""
    assert answer(state, Request("GET", "/_emulator/state", client=client)).status == 403


@pytest.mark.parametrize("client", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine_may_steer(state: EmulatorState, client: str) -> None:
    """But not a page in a browser on it."""
    assert answer(state, Request("GET", "/_emulator/state", client=client)).status == 200
    page = Request("GET", "/_emulator/state", headers={"origin": "https://example.com"}, client=client)
    assert answer(state, page).status == 403


def test_lags_limits_and_tokens_can_be_set_from_outside(state: EmulatorState) -> None:
    """And they can be read; tokens are counted and never shown."""
    assert control(state, "PATCH", "settings", {"list_lag_s": 2.5, "leaf_limit": 7}).json()["leaf_limit"] == 7
    assert control(state, "PUT", "rate-limit", {"quota": 10, "window_s": 6}).status_code == 200
    names = ["Account: SSL and Certificates Read"]
    control(state, "POST", "tokens", {"token": "sesame", "permissions": names, "accounts": [ACCOUNT_ID]})
    control(state, "POST", "accounts", {"account": OTHER_ACCOUNT})
    shown = control(state, "GET", "state")
    assert shown.json()["settings"]["list_lag_s"] == 2.5
    assert shown.json()["rate_limit"] == {"quota": 10, "window_s": 6.0, "block_s": 6.0}
    assert set(shown.json()["accounts"]) == {ACCOUNT_ID, OTHER_ACCOUNT}
    assert (shown.json()["tokens"], "sesame" in shown.text) == (1, False)
    assert client_of(state, token="sesame").get(PATH).status_code == 200
    assert client_of(state, token="sesame").post(PATH).status_code == 403


def test_managed_entries_and_workers_can_be_put_in_from_outside(state: EmulatorState) -> None:
    """And every call is recorded until the record is cleared."""
    given = {"type": "gateway_managed", "name": "Gateway", "certificates": pem(make_ca("Gateway"))}
    entry_id = control(state, "POST", "managed", given).json()["id"]
    control(state, "POST", "bind", {"worker": "shop", "bindings": {"A": entry_id}})
    client_of(state).get(PATH, params={"page": 2})
    account = control(state, "GET", "state").json()["accounts"][ACCOUNT_ID]
    assert account["certificates"][0]["users"] == ["workers:shop"]
    assert list(account["workers"]) == ["shop"]
    (call,) = control(state, "GET", "calls").json()["calls"]
    assert (call["method"], call["query"], call["status"]) == ("GET", [["page", "2"]], 200)
    control(state, "DELETE", "calls")
    assert control(state, "GET", "calls").json()["calls"] == []


def test_added_tokens_can_be_forgotten(state: EmulatorState) -> None:
    """Then what the emulator began with is accepted again: any token, or only the given one."""
    added = {"token": "sesame", "permissions": []}
    control(state, "POST", "tokens", added)
    assert error_of(client_of(state).get(PATH))[:2] == (401, 9106)
    assert control(state, "DELETE", "tokens").json() == {"tokens": 0}
    assert client_of(state).get(PATH).status_code == 200
    state.access.given[TOKEN] = Token()
    control(state, "POST", "tokens", {**added, "token": TOKEN})
    assert client_of(state).get(PATH).status_code == 403
    assert control(state, "DELETE", "tokens").json() == {"tokens": 1}
    assert client_of(state).get(PATH).status_code == 200
    assert client_of(state, token="sesame").get(PATH).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "given"),
    [
        ("PATCH", "settings", {"list_lag": 1}),
        ("PATCH", "settings", {"list_lag_s": -1}),
        ("PATCH", "settings", {"leaf_limit": 1.5}),
        ("PATCH", "settings", {"held_by": "nobody"}),
        ("PATCH", "settings", {"already_deleted": 1}),
        ("PATCH", "settings", [1]),
        ("PUT", "rate-limit", {"window_s": 1}),
        ("PUT", "rate-limit", {"headers": "wrong"}),
        ("POST", "tokens", {"permissions": []}),
        ("POST", "tokens", {"token": "t", "permissions": ["Everything"]}),
        ("POST", "tokens", {"token": "t", "accounts": []}),
        ("POST", "accounts", {"account": "../escape"}),
        ("POST", "managed", {"type": "gateway_managed", "name": "x", "certificates": "none"}),
        ("POST", "bind", {"worker": "shop", "bindings": {}, "account": OTHER_ACCOUNT}),
        ("POST", "faults", [{"kind": "surprise"}]),
        ("POST", "faults", [{"kind": "slow", "seconds": "1"}]),
        ("POST", "faults", "all"),
    ],
)
def test_what_does_not_fit_is_refused_with_words(state: EmulatorState, method: str, path: str, given: object) -> None:
    """400, and nothing changes."""
    before = control(state, "GET", "state").json()
    reply = control(state, method, path, given)
    assert reply.status_code == 400
    assert reply.json()["error"]
    assert control(state, "GET", "state").json() == before
