"""The emulated Workers endpoints: versions, live versions, and the certificates that they use."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from reconciler.emulator.state import EmulatorState
from tests.emulator.test_certificates import error_of, upload
from tests.support.emulated import client_of, make_state
from tests.support.store_contract import LEAVES, SetClock

SCRIPT = "/workers/scripts/shop"
UNKNOWN = "deadbeef-0000-4000-8000-000000000000"


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def state(clock: SetClock) -> EmulatorState:
    return make_state(clock)


@pytest.fixture
def api(state: EmulatorState) -> httpx.Client:
    return client_of(state)


def certificate(certificate_id: str, name: str = "MY_CERT") -> dict[str, str]:
    return {"type": "mtls_certificate", "name": name, "certificate_id": certificate_id}


def multipart(bindings: list[dict[str, str]], **more: object) -> dict[str, Any]:
    """The `files` of an upload: metadata first, then a module."""
    metadata = {"main_module": "index.js", "bindings": bindings, "compatibility_date": "2026-01-01", **more}
    module = ("index.js", b"export default {}\r\n--not-the-boundary\r\n", "application/javascript+module")
    return {"metadata": (None, json.dumps(metadata)), "index.js": module}


def put(api: httpx.Client, *bindings: dict[str, str], strict: bool = False, **more: object) -> httpx.Response:
    query = {"bindings_inherit": "strict"} if strict else {}
    return api.put(SCRIPT, files=multipart(list(bindings), **more), params=query)


def post_version(api: httpx.Client, *bindings: dict[str, str]) -> str:
    reply = api.post(f"{SCRIPT}/versions", files=multipart(list(bindings)))
    version_id: str = reply.json()["result"]["id"]
    return version_id


def deploy(api: httpx.Client, **shares: float) -> httpx.Response:
    versions = [{"version_id": version_id, "percentage": share} for version_id, share in shares.items()]
    return api.post(f"{SCRIPT}/deployments", json={"strategy": "percentage", "versions": versions})


def serving(api: httpx.Client) -> dict[str, float]:
    newest = api.get(f"{SCRIPT}/deployments").json()["result"]["deployments"][0]
    return {share["version_id"]: share["percentage"] for share in newest["versions"]}


def bindings(api: httpx.Client) -> list[dict[str, str]]:
    found: list[dict[str, str]] = api.get(f"{SCRIPT}/settings").json()["result"]["bindings"]
    return found


def test_a_whole_upload_serves_at_once(api: httpx.Client) -> None:
    """It creates the Worker, its first version, and a deployment of that version."""
    one = upload(api, LEAVES[0])["id"]
    result = put(api, certificate(one)).json()["result"]
    assert serving(api) == {result["deploymentId"]: 100}
    assert bindings(api) == [certificate(one)]
    version = api.get(f"{SCRIPT}/versions/{result['deploymentId']}").json()["result"]
    assert version["resources"]["bindings"] == [certificate(one)]
    assert [worker["id"] for worker in api.get("/workers/scripts").json()["result"]] == ["shop"]
    assert api.get("/workers/workers/shop").json()["result"]["name"] == "shop"


def test_a_version_serves_only_when_it_is_deployed(api: httpx.Client) -> None:
    """Alone, together with another one, and again after a rollback; the list of versions has the newest first."""
    one, two = (upload(api, issued)["id"] for issued in LEAVES[:2])
    old = put(api, certificate(one)).json()["result"]["deploymentId"]
    new = post_version(api, certificate(two))
    assert serving(api) == {old: 100}
    assert bindings(api) == [certificate(two)]
    deploy(api, **{new: 10, old: 90})
    assert serving(api) == {new: 10, old: 90}
    for held in (one, two):
        assert api.delete(f"/mtls_certificates/{held}").status_code == 400
    deploy(api, **{new: 100})
    deploy(api, **{old: 100})
    assert serving(api) == {old: 100}
    assert [item["id"] for item in api.get(f"{SCRIPT}/versions").json()["result"]["items"]] == [new, old]


@pytest.mark.parametrize("shares", [{}, {"": 99.0}, {"": 50.0, UNKNOWN: 50.0}, {"": -1.0}], ids=str)
def test_a_deployment_that_does_not_add_up_is_refused(api: httpx.Client, shares: dict[str, float]) -> None:
    """And changes nothing."""
    version = put(api).json()["result"]["deploymentId"]
    assert deploy(api, **{key or version: share for key, share in shares.items()}).status_code in (400, 404)
    assert serving(api) == {version: 100}


def test_an_unknown_certificate_stops_an_upload(api: httpx.Client) -> None:
    """100143 for a script and for a version, and nothing is created."""
    refused = (400, 100143, f"mTLS certificate '{UNKNOWN}' not found.")
    assert error_of(put(api, certificate(UNKNOWN))) == refused
    assert error_of(api.get(f"{SCRIPT}/settings"))[:2] == (404, 10007)
    version = put(api).json()["result"]["deploymentId"]
    assert error_of(api.post(f"{SCRIPT}/versions", files=multipart([certificate(UNKNOWN)]))) == refused
    assert error_of(put(api, certificate(UNKNOWN))) == refused
    assert serving(api) == {version: 100}


def test_a_certificate_can_be_bound_after_the_lag(api: httpx.Client, state: EmulatorState, clock: SetClock) -> None:
    """Right after its upload it may be unknown to Workers."""
    state.settings.binding_lag_s = 10
    one = upload(api, LEAVES[0])["id"]
    assert error_of(put(api, certificate(one)))[1] == 100143
    clock.time += timedelta(seconds=10)
    assert put(api, certificate(one)).status_code == 200


def test_bindings_are_the_whole_list(api: httpx.Client) -> None:
    """Bindings that an upload does not list are removed, except for the kinds that it keeps and those it inherits."""
    one, two = (upload(api, issued)["id"] for issued in LEAVES[:2])
    secret = {"type": "secret_text", "name": "S", "text": "hidden"}
    put(api, certificate(one), secret, {"type": "plain_text", "name": "P", "text": "shown"})
    assert "hidden" not in api.get(f"{SCRIPT}/settings").text
    assert api.get(f"{SCRIPT}/secrets").json()["result"] == [{"name": "S", "type": "secret_text"}]
    inherited = {"type": "inherit", "name": "OLD_CERT", "old_name": "MY_CERT"}
    put(api, certificate(two), inherited, keep_bindings=["secret_text", "secret_key"], strict=True)
    assert bindings(api) == [certificate(two), certificate(one, "OLD_CERT"), {"type": "secret_text", "name": "S"}]
    put(api)
    assert bindings(api) == []


def test_what_can_not_be_inherited_is_dropped_or_refused(api: httpx.Client) -> None:
    """Silently, unless the request is strict: 10057."""
    put(api)
    nothing = {"type": "inherit", "name": "NOTHING"}
    assert error_of(put(api, nothing, strict=True))[:2] == (400, 10057)
    assert put(api, nothing).status_code == 200
    assert bindings(api) == []


def test_settings_can_be_patched_while_the_newest_version_serves(api: httpx.Client) -> None:
    """One certificate is replaced, everything else inherited; during a gradual deployment it is refused."""
    one, two = (upload(api, issued)["id"] for issued in LEAVES[:2])
    put(api, certificate(one), {"type": "secret_text", "name": "S", "text": "hidden"})
    given = {"bindings": [certificate(two), {"type": "inherit", "name": "S"}]}
    settings = {"settings": (None, json.dumps(given))}
    assert api.patch(f"{SCRIPT}/settings", files=settings).status_code == 200
    assert bindings(api) == [certificate(two), {"type": "secret_text", "name": "S"}]
    assert api.delete(f"/mtls_certificates/{one}").status_code == 200
    post_version(api, certificate(two))
    assert error_of(api.patch(f"{SCRIPT}/settings", files=settings))[1] == 10215


def test_who_changed_a_worker_last_is_remembered(api: httpx.Client) -> None:
    """wrangler warns if it was someone else."""
    put(api)
    service = "/workers/services/shop"
    assert api.get(service).json()["result"]["default_environment"]["script"]["last_deployed_from"] == "api"
    api.headers["user-agent"] = "wrangler/4.164.0"
    put(api)
    assert api.get(service).json()["result"]["default_environment"]["script"]["last_deployed_from"] == "wrangler"


def test_a_deleted_worker_holds_nothing(api: httpx.Client) -> None:
    """Its certificates can be deleted; every request about it answers that it does not exist."""
    one = upload(api, LEAVES[0])["id"]
    put(api, certificate(one))
    assert api.delete(SCRIPT).status_code == 200
    assert api.delete(f"/mtls_certificates/{one}").status_code == 200
    for path in ("settings", "deployments", "versions", "subdomain"):
        assert error_of(api.get(f"{SCRIPT}/{path}"))[:2] == (404, 10007)
    assert error_of(api.get("/workers/services/shop"))[:2] == (404, 10090)


@pytest.mark.parametrize(
    "files",
    [
        {"other": (None, "{}")},
        {"metadata": (None, "{")},
        {"metadata": (None, "[]")},
        {"metadata": (None, '{"bindings": 5}')},
    ],
    ids=["no metadata", "no JSON", "no object", "no list"],
)
def test_an_upload_without_metadata_is_refused(api: httpx.Client, files: dict[str, Any]) -> None:
    """400, and no Worker is created."""
    assert api.put(SCRIPT, files=files).status_code == 400
    assert api.get("/workers/scripts").json()["result"] == []


def test_cron_triggers_are_remembered(api: httpx.Client) -> None:
    """Wrangler sends all of them after each deploy of a file with `triggers.crons`."""
    api.put(SCRIPT, files=multipart([]))
    assert api.get(f"{SCRIPT}/schedules").json()["result"] == {"schedules": []}
    put = api.put(f"{SCRIPT}/schedules", json=[{"cron": "0 3 * * *"}, {"cron": "*/5 * * * *"}])
    crons = [one["cron"] for one in api.get(f"{SCRIPT}/schedules").json()["result"]["schedules"]]
    assert (put.status_code, crons) == (200, ["0 3 * * *", "*/5 * * * *"])
    assert api.put(f"{SCRIPT}/schedules", json=[{}]).status_code == 400
