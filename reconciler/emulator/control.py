"""`/_emulator/...`: set lags, limits, faults and tokens, and read the state. For callers on this machine only."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import asdict

from reconciler.emulator.account import Account, Worker
from reconciler.emulator.faults import read_faults
from reconciler.emulator.settings import Limiter, RateLimit
from reconciler.emulator.state import EmulatorState
from reconciler.emulator.tokens import ALL, Token, permissions_named
from reconciler.emulator.wire import ApiError, Json, Reply, Request, failure, json_reply, no_route
from reconciler.model.errors import StoreError

CONTROL = "/_emulator/"


def control(state: EmulatorState, request: Request) -> Reply:
    """The reply to a request under `/_emulator/`: 200 with JSON, 403 for callers elsewhere, 400 for invalid input."""
    # A page in a browser on this machine must not call it either; browsers send the origin of a page.
    if not _is_here(request.client) or "origin" in request.headers:
        return json_reply(403, {"error": "the control endpoint only accepts programs on the emulator's own machine"})
    handler = _HANDLERS.get((request.method, request.path.removeprefix(CONTROL)))
    if handler is None:
        return failure(no_route(request.path))
    try:
        body = request.json() if request.body else {}
        return json_reply(200, handler(state, body))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return json_reply(400, {"error": f"{type(error).__name__}: {error}"})
    except (StoreError, ApiError) as error:
        return json_reply(400, {"error": error.message})


def _show(state: EmulatorState, _: object) -> Json:
    return {
        "settings": asdict(state.settings),
        "rate_limit": asdict(state.limiter.limit) if state.limiter.limit else None,
        "tokens": len(state.access.known),
        "faults": [asdict(fault) for fault in state.faults.pending],
        "happened": [list(event) for event in state.faults.happened],
        "accounts": {account.id: _show_account(account) for account in state.accounts.values()},
    }


def _show_account(account: Account) -> Json:
    uses: dict[str, list[str]] = {}
    for used, service, name in account.uses():
        uses.setdefault(used, []).append(f"{service}:{name}")
    return {
        "certificates": [
            {"id": entry.id, "name": entry.name, "ca": entry.ca, "type": entry.type, "users": uses.get(entry.id, [])}
            for entry in account.entries()
        ],
        "workers": {
            worker.name: {
                "versions": [version["id"] for version in worker.versions],
                "deployed": [version["id"] for version in worker.deployed()],
            }
            for worker in account.holders.workers.values()
        },
        "hyperdrive": list(account.holders.hyperdrive),
    }


def _set(state: EmulatorState, body: object) -> Json:
    state.settings.change(body)
    return asdict(state.settings)


def _limit(state: EmulatorState, body: object) -> Json:
    """Set {"quota", "window_s", "block_s", "headers", "per_second"}; {} removes the limits."""
    given = _object(body)
    per_second = given.pop("per_second", None)
    told = given.pop("headers", "honest")
    if told not in ("honest", "absent", "generous"):
        raise ValueError("headers must be honest, absent or generous")
    numbers = {str(name): _number(value) for name, value in given.items()}
    limit = None
    if numbers:
        window_s = numbers.get("window_s", 300.0)
        limit = RateLimit(int(numbers["quota"]), window_s, numbers.get("block_s", window_s))
    burst = None if per_second is None else RateLimit(int(_number(per_second)), window_s=1.0, block_s=1.0)
    state.limiter, state.burst = Limiter(limit, told=told), Limiter(burst)
    return {"rate_limit": asdict(limit) if limit else None, "per_second": burst.quota if burst else None}


def _add_faults(state: EmulatorState, body: object) -> Json:
    """Add a list of faults, or those of {"seed": 1, "rate": 0.1, "most": 50}."""
    if isinstance(body, dict):
        rate, most = _number(body.get("rate", 0.1)), int(_number(body.get("most", 1000)))
        state.faults.seed(int(_number(body["seed"])), rate=rate, most=most)
        return {"seed": body["seed"]}
    faults = read_faults(body)
    state.faults.add(*faults)
    return {"added": len(faults)}


def _clear_faults(state: EmulatorState, _: object) -> Json:
    state.faults.clear()
    return {}


def _add_token(state: EmulatorState, body: object) -> Json:
    """Add {"token", "permissions": [...], "accounts": [...], "active", "account_owned"}; then unknown tokens are
    refused."""
    given = _object(body)
    accounts = given.get("accounts")
    if accounts == []:
        raise ValueError("accounts is empty, so the token would be good for nothing; leave it out for every account")
    names = given.get("permissions")
    state.access.tokens[str(given["token"])] = Token(
        permissions=ALL if names is None else permissions_named(_list(names)),
        accounts=None if accounts is None else frozenset(str(account) for account in _list(accounts)),
        active=given.get("active", True) is True,
        account_owned=given.get("account_owned", False) is True,
    )
    return {"tokens": len(state.access.known)}


def _forget_tokens(state: EmulatorState, _: object) -> Json:
    """Forget the added tokens: what was accepted at the start is accepted again."""
    state.access.tokens.clear()
    return {"tokens": len(state.access.known)}


def _add_account(state: EmulatorState, body: object) -> Json:
    account_id = str(_object(body)["account"])
    if len(account_id) != 32 or set(account_id) - set("0123456789abcdef"):
        raise ValueError("an account ID must have 32 hexadecimal digits in lower case")
    return {"account": state.add_account(account_id).id}


def _add_zone(state: EmulatorState, body: object) -> Json:
    """Add a zone to the first account: {"name", "id"}; without an id it gets one."""
    given = _object(body)
    zone = str(given.get("id") or state.ids().replace("-", ""))
    account = _account(state, {})
    account.holders.zones[zone] = str(given["name"])
    account.release(account.held())
    return {"zone": zone}


def _seed_managed(state: EmulatorState, body: object) -> Json:
    """Add a managed certificate: {"type": "gateway_managed", "name", "certificates", "account"}."""
    given = _object(body)
    texts = {name: str(given[name]) for name in ("name", "certificates")}
    entry = state.seed_managed(type_=str(given["type"]), account_id=_account(state, given).id, **texts)
    return {"id": entry.id}


def _bind(state: EmulatorState, body: object) -> Json:
    """Make a Worker live with exactly these bindings: {"worker", "bindings": {name: certificate id}, "account"}."""
    given = _object(body)
    account, name = _account(state, given), str(given["worker"])
    bindings = _object(given["bindings"])
    before, now = account.held(), state.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    worker = account.holders.workers.setdefault(name, Worker(name, state.ids(), created_on=now, modified_on=now))
    shown = [{"type": "mtls_certificate", "name": key, "certificate_id": value} for key, value in bindings.items()]
    version: Json = {
        "id": state.ids(),
        "number": len(worker.versions) + 1,
        "metadata": {"created_on": now, "modified_on": now, "source": "api", "hasPreview": False},
        "annotations": {"workers/triggered_by": "upload"},
        "resources": {"bindings": shown, "script": {}, "script_runtime": {}},
    }
    worker.versions.append(version)
    share: Json = {"version_id": version["id"], "percentage": 100}
    worker.deployments.append({"id": state.ids(), "source": "api", "created_on": now, "versions": [share]})
    account.release(before)
    return {"worker": name, "version": version["id"]}


def _unbind(state: EmulatorState, body: object) -> Json:
    """Delete a Worker: {"worker", "account"}."""
    given = _object(body)
    account = _account(state, given)
    before = account.held()
    account.holders.workers.pop(str(given["worker"]), None)
    account.release(before)
    return {}


def _calls(state: EmulatorState, _: object) -> Json:
    return {"calls": [asdict(call) for call in state.calls]}


def _forget_calls(state: EmulatorState, _: object) -> Json:
    state.calls.clear()
    return {}


_HANDLERS: dict[tuple[str, str], Callable[[EmulatorState, object], Json]] = {
    ("GET", "state"): _show,
    ("PATCH", "settings"): _set,
    ("PUT", "rate-limit"): _limit,
    ("POST", "faults"): _add_faults,
    ("DELETE", "faults"): _clear_faults,
    ("POST", "tokens"): _add_token,
    ("DELETE", "tokens"): _forget_tokens,
    ("POST", "accounts"): _add_account,
    ("POST", "zones"): _add_zone,
    ("POST", "managed"): _seed_managed,
    ("POST", "bind"): _bind,
    ("POST", "unbind"): _unbind,
    ("GET", "calls"): _calls,
    ("DELETE", "calls"): _forget_calls,
}


def _is_here(client: str) -> bool:
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return address.is_loopback or (mapped is not None and mapped.is_loopback)


def _account(state: EmulatorState, given: Json) -> Account:
    return state.account(str(given.get("account") or next(iter(state.accounts))))


def _object(value: object) -> Json:
    match value:
        case dict():
            return dict(value)
        case _:
            raise ValueError("the body must be a JSON object")


def _list(value: object) -> list[object]:
    match value:
        case list():
            return value
        case _:
            raise ValueError("expected a list")


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise ValueError(f"expected a number of at least 0, found {value!r}")
    return float(value)
