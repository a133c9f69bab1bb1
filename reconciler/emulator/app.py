"""The reply to one request: limits, faults, the token, the route, and the record of the call."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime

from reconciler.emulator import certificates, holders, managed_ca, people, workers
from reconciler.emulator.control import CONTROL, control
from reconciler.emulator.faults import INSTEAD, Fault, instead, spoil
from reconciler.emulator.settings import retry_after
from reconciler.emulator.state import Ask, EmulatorState, RecordedCall
from reconciler.emulator.tokens import Permission, credential, demand, is_malformed
from reconciler.emulator.wire import ApiError, Reply, Request, failure, malformed_token, no_route, rate_limited
from reconciler.findings.values import dataclass
from reconciler.model.errors import StoreError

PREFIX = "/client/v4"
WORKERS_DEV = "/workers.dev/"
"""In place of the domain: a Worker on workers.dev is called here, followed by its name."""
_ACCOUNT_ID = re.compile(r"[0-9a-f]{32}")

Handler = Callable[[Ask], Reply]


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the table. Without `permission`, any token may call it."""

    method: str
    pattern: re.Pattern[str]
    handler: Handler
    permission: Permission | None


def find_route(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """The route of a request and the variable parts of its path, or None."""
    for route in ROUTES:
        if route.method == method and (found := route.pattern.fullmatch(path)):
            return route, found.groupdict()
    return None


def _routes() -> Iterator[Route]:
    for line, handler in _TABLE.items():
        method, path, *needed = line.split(maxsplit=2)
        account = "/accounts/{account}"
        full = path.replace("~", account)
        pattern = re.compile(PREFIX + re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", full))
        yield Route(method, pattern, handler, _NEEDED[needed[0]] if needed else None)


_NEEDED = {
    "ssl:read": Permission.CERTIFICATES_READ,
    "ssl:write": Permission.CERTIFICATES_WRITE,
    "zone:read": Permission.ZONE_CERTIFICATES_READ,
    "zone:write": Permission.ZONE_CERTIFICATES_WRITE,
    "workers:read": Permission.WORKERS_READ,
    "workers:write": Permission.WORKERS_WRITE,
    "hyperdrive:read": Permission.HYPERDRIVE_READ,
    "hyperdrive:write": Permission.HYPERDRIVE_WRITE,
    "zones:read": Permission.ZONE_READ,
    "pages:read": Permission.PAGES_READ,
    "pages:write": Permission.PAGES_WRITE,
}

_CERTIFICATE = "~/mtls_certificates"
_SCRIPT = "~/workers/scripts/{worker}"
_SERVICE = "~/workers/services/{worker}"
_CONFIG = "~/hyperdrive/configs"
_PROJECT = "~/pages/projects/{project}"
_HOSTNAMES = "/zones/{zone}/certificate_authorities/hostname_associations"
_SIGNED = "/zones/{zone}/client_certificates"

_TABLE: dict[str, Handler] = {
    f"GET {_CERTIFICATE} ssl:read": certificates.list_certificates,
    f"POST {_CERTIFICATE} ssl:write": certificates.upload_certificate,
    f"GET {_CERTIFICATE}/{{id}} ssl:read": certificates.get_certificate,
    f"DELETE {_CERTIFICATE}/{{id}} ssl:write": certificates.delete_certificate,
    f"GET {_CERTIFICATE}/{{id}}/associations ssl:read": certificates.list_associations,
    "GET ~/workers/scripts workers:read": workers.list_scripts,
    f"PUT {_SCRIPT} workers:write": workers.put_script,
    f"DELETE {_SCRIPT} workers:write": workers.delete_script,
    f"GET {_SCRIPT}/settings workers:read": workers.get_settings,
    f"PATCH {_SCRIPT}/settings workers:write": workers.patch_settings,
    f"GET {_SCRIPT}/script-settings workers:read": workers.get_settings,
    f"PATCH {_SCRIPT}/script-settings workers:write": workers.patch_script_settings,
    f"GET {_SCRIPT}/secrets workers:read": workers.list_secrets,
    f"GET {_SCRIPT}/schedules workers:read": workers.list_schedules,
    f"PUT {_SCRIPT}/schedules workers:write": workers.put_schedules,
    f"GET {_SCRIPT}/subdomain workers:read": workers.get_script_subdomain,
    f"POST {_SCRIPT}/subdomain workers:write": workers.set_script_subdomain,
    f"GET {_SCRIPT}/versions workers:read": workers.list_versions,
    f"POST {_SCRIPT}/versions workers:write": workers.upload_version,
    f"GET {_SCRIPT}/versions/{{version}} workers:read": workers.get_version,
    f"GET {_SCRIPT}/deployments workers:read": workers.list_deployments,
    f"POST {_SCRIPT}/deployments workers:write": workers.create_deployment,
    f"GET {_SCRIPT}/deployments/{{deployment}} workers:read": workers.get_deployment,
    f"GET {_SERVICE} workers:read": workers.get_service,
    f"DELETE {_SERVICE} workers:write": workers.delete_script,
    f"GET {_SERVICE}/environments/{{environment}} workers:read": workers.get_service_environment,
    f"GET {_SERVICE}/environments/{{environment}}/bindings workers:read": workers.list_service_bindings,
    f"GET {_SERVICE}/environments/{{environment}}/subdomain workers:read": workers.get_service_subdomain,
    f"GET {_SERVICE}/environments/{{environment}}/routes workers:read": workers.list_nothing,
    "GET ~/workers/domains/records workers:read": workers.list_nothing,
    "GET ~/workers/durable_objects/namespaces workers:read": workers.list_nothing,
    "GET ~/storage/kv/namespaces workers:read": workers.list_nothing,
    "GET ~/workers/workers workers:read": workers.list_workers,
    "GET ~/workers/workers/{worker} workers:read": workers.get_worker,
    "GET ~/workers/subdomain workers:read": workers.get_account_subdomain,
    f"GET {_CONFIG} hyperdrive:read": holders.list_configs,
    f"POST {_CONFIG} hyperdrive:write": holders.create_config,
    f"GET {_CONFIG}/{{config}} hyperdrive:read": holders.get_config,
    f"PUT {_CONFIG}/{{config}} hyperdrive:write": holders.change_config,
    f"PATCH {_CONFIG}/{{config}} hyperdrive:write": holders.change_config,
    f"DELETE {_CONFIG}/{{config}} hyperdrive:write": holders.delete_config,
    "GET /zones zones:read": holders.list_zones,
    f"GET {_HOSTNAMES} zone:read": holders.get_hostnames,
    f"PUT {_HOSTNAMES} zone:write": holders.put_hostnames,
    f"GET {_SIGNED} zone:read": managed_ca.list_signed,
    f"POST {_SIGNED} zone:write": managed_ca.sign,
    f"GET {_SIGNED}/{{id}} zone:read": managed_ca.get_signed,
    f"DELETE {_SIGNED}/{{id}} zone:write": managed_ca.revoke,
    "GET ~/pages/projects pages:read": holders.list_projects,
    f"GET {_PROJECT} pages:read": holders.get_project,
    f"GET {_PROJECT}/upload-token pages:read": holders.get_upload_token,
    f"POST {_PROJECT}/deployments pages:write": holders.deploy_project,
    f"GET {_PROJECT}/deployments/{{deployment}} pages:read": holders.get_project_deployment,
    "POST /pages/assets/check-missing": holders.check_missing,
    "POST /pages/assets/upsert-hashes": holders.upsert_hashes,
    "GET /user": people.get_user,
    "GET /user/tokens/verify": people.verify_token,
    "GET ~/tokens/verify": people.verify_account_token,
    "GET /accounts": people.list_accounts,
    "GET /memberships": people.list_memberships,
    "GET ~": people.get_account,
}

ROUTES = tuple(_routes())


def answer(state: EmulatorState, request: Request) -> Reply:
    """The reply to one request. Thread-safe; never waits."""
    with state.lock:
        if request.path.startswith(CONTROL):
            return control(state, request)
        if request.path.startswith(WORKERS_DEV):
            return _call_worker(state, request)
        reply = _answer(state, request)
        return replace(reply, delay_s=reply.delay_s + state.settings.latency_s)


def _call_worker(state: EmulatorState, request: Request) -> Reply:
    name = request.path.removeprefix(WORKERS_DEV).strip("/")
    called = (account.holders.workers.get(name) for account in state.accounts.values())
    is_there = any(worker is not None and worker.subdomain for worker in called)
    return state.run_worker(name, request) if is_there else Reply(404, b"There is nothing here yet\n")


def _answer(state: EmulatorState, request: Request) -> Reply:
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
    state.record(RecordedCall(request.method, request.path, request.query, reply.status, kind))
    ray = {"cf-ray": f"{os.urandom(8).hex()}-EMU"}
    told = {"date": _http_date(now), **ray}
    return replace(reply, headers={**reply.headers, **state.limiter.headers(caller, now), **told})


def _http_date(now: datetime) -> str:
    """The emulator's own time, by which it also says when something was uploaded."""
    return format_datetime(now.astimezone(UTC), usegmt=True)


def _work(state: EmulatorState, request: Request, fault: Fault | None) -> Reply:
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
        # The file under --store can be broken or locked; the client sees an error of the service.
        return failure(ApiError(500, 10013, error.message))
    return reply
