"""The log of calls: one line for each, with what a person needs to find it again, and nothing that others wrote."""

from __future__ import annotations

import logging

import httpx
import pytest

from reconciler.findings.events import CallMade
from reconciler.stores.cloudflare.client import ApiCall, send_patiently
from reconciler.stores.cloudflare.errors import Operation
from reconciler.stores.cloudflare.paths import path_template
from tests.support.cloudflare_server import (
    ACCESS,
    TOKEN,
    FakeTime,
    Fault,
    answer,
    limited,
    lost,
    make_client,
    make_server,
    unsent,
)

LIST = ApiCall(Operation.LIST, "GET", ACCESS.certificates_path, {"page": 2, "per_page": 50})
ACCOUNT = f"/accounts/{ACCESS.account_id}"
RAY = "8f2b1c0011223344-FRA"


@pytest.mark.parametrize(
    ("path", "template"),
    [
        (f"{ACCOUNT}/mtls_certificates", "/accounts/{account_id}/mtls_certificates"),
        (f"{ACCOUNT}/mtls_certificates/x/associations", "/accounts/{account_id}/mtls_certificates/{id}/associations"),
        (f"{ACCOUNT}/workers/scripts", "/accounts/{account_id}/workers/scripts"),
        (f"{ACCOUNT}/workers/scripts/a/settings", "/accounts/{account_id}/workers/scripts/{script_name}/settings"),
        (
            f"{ACCOUNT}/workers/scripts/versions/versions/versions",
            "/accounts/{account_id}/workers/scripts/{script_name}/versions/{version_id}",
        ),
        (f"{ACCOUNT}/pages/projects/a%2Fb", "/accounts/{account_id}/pages/projects/{project_name}"),
        (f"{ACCOUNT}/hyperdrive/configs", "/accounts/{account_id}/hyperdrive/configs"),
        (
            "/zones/z/certificate_authorities/hostname_associations",
            "/zones/{zone_id}/certificate_authorities/hostname_associations",
        ),
        ("/user/tokens/verify", "/user/tokens/verify"),
    ],
)
def test_a_path_is_logged_with_the_names_of_its_ids(path: str, template: str) -> None:
    """Whatever the ids are: a Worker may be called `versions`."""
    assert path_template(path) == template


def calls_of(caplog: pytest.LogCaptureFixture, *faults: Fault, **headers: str) -> list[CallMade]:
    """The calls that were logged until a list was read."""
    caplog.set_level(logging.INFO, "reconciler")
    server = make_server()
    server.headers = lambda: headers
    server.fail("GET", *faults)
    client = make_client(server.handle, FakeTime())
    send_patiently(client, LIST, lambda: 0.5)
    client.close()
    return [record.msg for record in caplog.records if isinstance(record.msg, CallMade)]


def test_a_call_is_logged_with_its_ray_and_what_the_limit_leaves(caplog: pytest.LogCaptureFixture) -> None:
    """Cloudflare's support finds a call by its ray."""
    limits = {"ratelimit": '"default";r=1199;t=300', "ratelimit-policy": '"default";q=1200;w=300'}
    (call,) = calls_of(caplog, **{"cf-ray": RAY}, **limits)
    assert (call.method, call.path, call.page) == ("GET", "/accounts/{account_id}/mtls_certificates", 2)
    assert (call.status, call.ray, call.remaining, call.limit) == (200, RAY, 1199, 1200)


def test_every_attempt_is_logged_and_each_wait_between(caplog: pytest.LogCaptureFixture) -> None:
    """Those without an answer with the reason."""
    calls = calls_of(caplog, unsent, lost, answer(502, text="<html>"), limited("3"))
    assert [call.status for call in calls] == [None, None, 502, 429, 200]
    assert "refused" in (calls[0].note or "")
    assert "did not answer within 30 s" in (calls[1].note or "")
    waits = [str(record.msg) for record in caplog.records if str(record.msg).startswith("waiting")]
    assert waits[0].startswith("waiting 500 ms: Cloudflare can't be reached")


@pytest.mark.parametrize("ray", [TOKEN, f"{RAY}\n{TOKEN}", RAY.lower(), "8f2b1c", "", f"{RAY} "])
def test_a_ray_that_looks_like_none_is_left_out(caplog: pytest.LogCaptureFixture, ray: str) -> None:
    """A server, or what stands in for one, may write anything into a header."""
    caplog.set_level(logging.INFO, "reconciler")
    response = httpx.Response(200, json={"success": True}, headers=[(b"cf-ray", ray.encode())])
    client = make_client(lambda _: response)
    client.send(LIST)
    (call,) = [record.msg for record in caplog.records if isinstance(record.msg, CallMade)]
    assert call.ray is None


def test_nothing_is_put_together_for_a_log_that_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand calls cost no more than they did."""
    monkeypatch.setattr("reconciler.stores.cloudflare.client.path_template", lambda _: pytest.fail("it was"))
    client = make_client(make_server().handle)
    client.send(LIST)
