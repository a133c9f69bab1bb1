"""One request in, one reply out: limits, faults, who asks, where it goes, and what is kept of it."""

from __future__ import annotations

import re
from dataclasses import replace

from reconciler.emulator.access import credential, demand, is_malformed
from reconciler.emulator.call import Ask
from reconciler.emulator.control import CONTROL, control
from reconciler.emulator.envelope import ApiError, failure, malformed_token, no_route, rate_limited
from reconciler.emulator.faults import INSTEAD, Fault, instead, spoil
from reconciler.emulator.limits import retry_after
from reconciler.emulator.routes import find_route
from reconciler.emulator.state import Call, State
from reconciler.emulator.wire import Reply, Request
from reconciler.model.errors import StoreError

_ACCOUNT_ID = re.compile(r"[0-9a-f]{32}")


def answer(state: State, request: Request) -> Reply:
    """The reply to one request. May be called from any number of threads; nothing is waited for here."""
    with state.lock:
        if request.path.startswith(CONTROL):
            return control(state, request)
        reply = _answer(state, request)
        return replace(reply, delay_s=reply.delay_s + state.settings.latency_s)


def _answer(state: State, request: Request) -> Reply:
    caller, now = credential(request) or request.client, state.clock.now()
    wait_s = state.burst.count(request.client, now) or state.limiter.count(caller, now)
    fault: Fault | None = None
    if wait_s is not None:
        reply = failure(rate_limited(), retry_after(wait_s))
    else:
        fault = state.faults.take(request)
        if fault is not None and fault.kind in INSTEAD:
            reply = instead(fault)
        else:
            reply = _work(state, request, fault)
            reply = spoil(reply, fault) if fault is not None else reply
    kind = fault.kind.value if fault else None
    state.record(Call(request.method, request.path, request.query, reply.status, kind))
    return replace(reply, headers={**reply.headers, **state.limiter.headers(caller, now)})


def _work(state: State, request: Request, fault: Fault | None) -> Reply:
    if is_malformed(request):
        return malformed_token()
    try:
        token = state.access.identify(request)
        found = find_route(request.method, request.path)
        if found is None:
            raise no_route(request.path)
        route, names = found
        account_id = names.get("account")
        if account_id is not None and not _ACCOUNT_ID.fullmatch(account_id):
            raise no_route(request.path)
        demand(token, account=account_id, needed=route.permission)
        ask = Ask(request, state, token, names, fault)
        if request.method == "GET":
            return route.handler(ask)
        held = {account.id: account.held() for account in state.accounts.values()}
        reply = route.handler(ask)
        for account in state.accounts.values():
            account.release(held[account.id])
    except ApiError as error:
        return failure(error)
    except StoreError as error:
        # The file under --store can be broken or in somebody's way; a client sees a service that has a bad day.
        return failure(ApiError(500, 10013, error.message))
    return reply
