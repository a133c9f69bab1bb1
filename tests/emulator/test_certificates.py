"""The emulated certificate endpoints: each test is one known rule of Cloudflare's API."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from reconciler.emulator.state import EmulatorState
from tests.support.emulated import client_of, make_state
from tests.support.pki import Issued, make_ca
from tests.support.store_contract import CAS, LEAVES, SetClock, pem

PATH = "/mtls_certificates"
MANAGED = make_ca("Gateway CA")


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def state(clock: SetClock) -> EmulatorState:
    return make_state(clock)


@pytest.fixture
def api(state: EmulatorState) -> httpx.Client:
    return client_of(state)


def body(issued: Issued, name: str = "one") -> dict[str, object]:
    return {
        "name": name,
        "ca": False,
        "certificates": pem(issued),
        "private_key": issued.key_pem.decode(),
    }


def upload(api: httpx.Client, issued: Issued, name: str = "one") -> dict[str, Any]:
    reply = api.post(PATH, json=body(issued, name))
    assert reply.status_code == 200, reply.text
    result: dict[str, Any] = reply.json()["result"]
    return result


def upload_ca(api: httpx.Client, issued: Issued) -> httpx.Response:
    return api.post(PATH, json={"name": "ca", "ca": True, "certificates": pem(issued)})


def error_of(reply: httpx.Response) -> tuple[int, int, str]:
    """Status, code and message of a refusal, checked to be in a refusing envelope."""
    answer = reply.json()
    assert (answer["success"], answer["result"], answer["messages"]) == (False, None, [])
    return reply.status_code, answer["errors"][0]["code"], answer["errors"][0]["message"]


# --- bodies, lists and pages -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", ["application/json", "text/plain;charset=UTF-8", "x/y", None])
def test_an_upload_is_json_under_any_content_type(api: httpx.Client, content_type: str | None) -> None:
    """wrangler sends text/plain."""
    headers = {"content-type": content_type} if content_type else {}
    reply = api.post(PATH, content=json.dumps(body(LEAVES[0])), headers=headers)
    assert reply.status_code == 200


def test_an_empty_list_is_a_list(api: httpx.Client) -> None:
    """Never null, on which wrangler fails."""
    answer = api.get(PATH).json()
    assert answer["result"] == []
    assert answer["result_info"] == {"page": 1, "per_page": 50, "count": 0, "total_count": 0, "total_pages": 0}


def test_a_list_has_pages_of_fifty(api: httpx.Client, state: EmulatorState) -> None:
    """`page` and `per_page` select, `result_info` counts."""
    authority = make_ca("Many")
    ids = [upload(api, authority.issue(f"leaf-{number}"))["id"] for number in range(51)]
    first, second, third = (api.get(PATH, params={"page": page}).json() for page in (1, 2, 3))
    assert [len(page["result"]) for page in (first, second, third)] == [50, 1, 0]
    assert [entry["id"] for page in (first, second) for entry in page["result"]] == ids
    assert second["result_info"] == {"page": 2, "per_page": 50, "count": 1, "total_count": 51, "total_pages": 2}
    small = api.get(PATH, params={"page": 3, "per_page": 20}).json()
    assert [entry["id"] for entry in small["result"]] == ids[40:51]
    assert small["result_info"]["total_pages"] == 3
    state.settings.most_per_page = 25
    assert api.get(PATH, params={"per_page": 1000}).json()["result_info"]["per_page"] == 25


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"ca": "false"}, ["one", "one", "two"]),
        ({"ca": "true"}, ["ca", "Gateway"]),
        ({"name": "one"}, ["one", "one"]),
        ({"name": "on"}, []),
        ({"name": "one", "ca": "true"}, []),
        ({"type": "custom"}, ["one", "one", "two", "ca"]),
        ({"type": "gateway_managed,access_managed"}, ["Gateway"]),
        ({"type": "custom,gateway_managed", "ca": "true"}, ["ca", "Gateway"]),
        ({}, ["one", "one", "two", "ca", "Gateway"]),
    ],
    ids=str,
)
def test_a_list_honours_its_filters(
    api: httpx.Client, state: EmulatorState, query: dict[str, str], names: list[str]
) -> None:
    """`ca`, `name` (exactly) and `type` (several); the counts are those of the matches."""
    for issued, name in zip(LEAVES, ("one", "one", "two"), strict=False):
        upload(api, issued, name)
    upload_ca(api, CAS[0])
    state.seed_managed(type_="gateway_managed", name="Gateway", certificates=pem(MANAGED))
    answer = api.get(PATH, params=query).json()
    assert [entry["name"] for entry in answer["result"]] == names
    assert answer["result_info"]["total_count"] == len(names)


def test_a_name_filter_can_find_parts_of_names(api: httpx.Client, state: EmulatorState) -> None:
    """It is not documented which of the two the real API does."""
    upload(api, LEAVES[0], "payments.billing")
    state.settings.name_filter = "substring"
    assert len(api.get(PATH, params={"name": "billing"}).json()["result"]) == 1


# --- uploads ---------------------------------------------------------------------------------------------------------


def test_equal_content_is_stored_once_whatever_its_name(api: httpx.Client) -> None:
    """1471."""
    upload(api, LEAVES[0])
    again = api.post(PATH, json=body(LEAVES[0], "another name"))
    assert error_of(again) == (400, 1471, "Certificate already exists.")


def test_names_may_repeat_or_be_missing(api: httpx.Client) -> None:
    """A missing name comes back empty."""
    assert upload(api, LEAVES[0], "same")["name"] == upload(api, LEAVES[1], "same")["name"] == "same"
    nameless = body(LEAVES[2])
    del nameless["name"]
    assert api.post(PATH, json=nameless).json()["result"]["name"] == ""


def test_an_entry_is_shown_as_the_api_shows_it(api: httpx.Client) -> None:
    """A UUID, no newline at the end, a decimal serial, Go's name of the signature, the API's time format; never the
    key."""
    shown = upload(api, LEAVES[0])
    assert shown["id"].count("-") == 4
    assert len(shown["id"]) == 36
    assert shown["certificates"] == pem(LEAVES[0]).rstrip("\n")
    assert shown["serial_number"] == str(LEAVES[0].certificate.serial_number)
    assert shown["signature"] == "ECDSAWithSHA256"
    assert shown["issuer"].startswith("CN=")
    assert shown["expires_on"].endswith("Z")
    assert "." not in shown["expires_on"]
    assert shown["uploaded_on"].endswith(".467938Z")
    assert (shown["ca"], shown["type"]) == (False, "custom")
    assert "PRIVATE KEY" not in json.dumps(shown)
    got = api.get(f"{PATH}/{shown['id']}").json()["result"]
    listed = api.get(PATH).json()["result"][0]
    assert got == listed == {name: value for name, value in shown.items() if name != "updated_at"}
    assert "updated_at" in shown


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"certificates": LEAVES[0].key_pem.decode()}, "Unable to parse certificate"),
        ({"certificates": "no PEM"}, "Unable to parse certificate"),
        ({"certificates": None}, "must be strings"),
        ({"certificates": pem(LEAVES[0]) + LEAVES[0].key_pem.decode()}, "Unable to parse certificate"),
        ({"private_key": LEAVES[1].key_pem.decode()}, "key"),
        ({"private_key": "no PEM"}, "key"),
        ({"private_key": None}, "private_key is missing"),
        ({"ca": "false"}, "ca must be"),
        ({"ca": True}, "not a CA"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "-".join(value),
)
def test_what_is_no_certificate_with_its_key_is_refused(
    api: httpx.Client, change: dict[str, object], message: str
) -> None:
    """With 400, and no part of it in the reply."""
    reply = api.post(PATH, json={**body(LEAVES[0]), **change})
    status, _, said = error_of(reply)
    assert status == 400
    assert message in said
    assert "BEGIN" not in reply.text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("text", id="text"),
        pytest.param(LEAVES[0].key_pem.decode(), id="a key"),
        pytest.param(pem(LEAVES[0]) + LEAVES[0].key_pem.decode(), id="certificate and key"),
        pytest.param(pem(LEAVES[0])[:-30], id="torn"),
        pytest.param(pem(LEAVES[0]) + "-----BEGIN CERTIFICATE-----\n", id="torn after the first"),
        pytest.param("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", id="no certificate inside"),
        pytest.param("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", id="a public key"),
    ],
)
def test_what_is_no_certificate_is_refused(api: httpx.Client, text: str) -> None:
    """An upload must have at least one certificate and nothing else."""
    status, _, said = error_of(api.post(PATH, json={**body(LEAVES[0]), "certificates": text}))
    assert (status, "Unable to parse certificate" in said) == (400, True)
    assert api.get(PATH).json()["result"] == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(api: httpx.Client, content: bytes) -> None:
    """With 400."""
    assert error_of(api.post(PATH, content=content))[0] == 400


def test_the_sixth_ca_is_refused(api: httpx.Client, state: EmulatorState) -> None:
    """1489; managed ones do not count."""
    state.seed_managed(type_="gateway_managed", name="Gateway", certificates=pem(MANAGED))
    assert [upload_ca(api, issued).status_code for issued in CAS[:5]] == [200] * 5
    assert error_of(upload_ca(api, CAS[5])) == (400, 1489, "Hit maximum CA cert allocation.")


def test_the_quota_of_leaves_can_be_set(api: httpx.Client, state: EmulatorState) -> None:
    """It is 1,000 by default."""
    assert state.settings.leaf_limit == 1000
    state.settings.leaf_limit = 1
    upload(api, LEAVES[0])
    assert error_of(api.post(PATH, json=body(LEAVES[1])))[2] == "Hit maximum cert allocation."


# --- deleting --------------------------------------------------------------------------------------------------------


def test_a_deleted_entry_is_gone(api: httpx.Client) -> None:
    """The reply is the entry; after that 1472."""
    shown = upload(api, LEAVES[0])
    at = f"{PATH}/{shown['id']}"
    assert api.delete(at).json()["result"]["id"] == shown["id"]
    assert api.get(PATH).json()["result"] == []
    for reply in (api.get(at), api.delete(at), api.get(f"{at}/associations")):
        assert error_of(reply) == (404, 1472, "Certificate not found.")


def test_a_second_delete_can_say_already_deleted(api: httpx.Client, state: EmulatorState) -> None:
    """The other known answer: 400."""
    state.settings.already_deleted = True
    at = f"{PATH}/{upload(api, LEAVES[0])['id']}"
    api.delete(at)
    status, _, message = error_of(api.delete(at))
    assert status == 400
    assert "already deleted" in message


def test_a_managed_entry_can_not_be_deleted(api: httpx.Client, state: EmulatorState) -> None:
    """401, and it stays."""
    entry = state.seed_managed(type_="access_managed", name="Access", certificates=pem(MANAGED))
    assert error_of(api.delete(f"{PATH}/{entry.id}"))[::2] == (401, "Unauthorized")
    assert api.get(f"{PATH}/{entry.id}").json()["result"]["type"] == "access_managed"


def bind(state: EmulatorState, worker: str, certificate_id: str) -> None:
    given = {"worker": worker, "bindings": {"MY_CERT": certificate_id}}
    assert control(state, "POST", "bind", given).status_code == 200


def control(state: EmulatorState, method: str, path: str, given: object = None) -> httpx.Response:
    return client_of(state).request(method, f"http://emulator/_emulator/{path}", json=given)


IN_USE = (400, 1000, "Certificate cannot be deleted while in use.")


def test_what_a_worker_presents_can_not_be_deleted(api: httpx.Client, state: EmulatorState, clock: SetClock) -> None:
    """Nor during the in-use lag after its last use, although the associations are empty by then."""
    state.settings.in_use_lag_s = 30
    certificate_id = upload(api, LEAVES[0])["id"]
    at = f"{PATH}/{certificate_id}"
    assert api.get(f"{at}/associations").json()["result"] == []
    bind(state, "shop", certificate_id)
    assert api.get(f"{at}/associations").json()["result"] == [{"service": "workers", "status": "active"}]
    clock.time += timedelta(days=1)
    assert error_of(api.delete(at)) == IN_USE
    control(state, "POST", "unbind", {"worker": "shop"})
    assert api.get(f"{at}/associations").json()["result"] == []
    clock.time += timedelta(seconds=29)
    assert error_of(api.delete(at)) == IN_USE
    clock.time += timedelta(seconds=1)
    assert api.delete(at).status_code == 200


def test_versions_that_are_not_deployed_hold_only_where_that_is_set(api: httpx.Client, state: EmulatorState) -> None:
    """What the real API does with them is not known."""
    old, new = (upload(api, issued)["id"] for issued in LEAVES[:2])
    bind(state, "shop", old)
    bind(state, "shop", new)
    state.settings.held_by = "every-version"
    assert error_of(api.delete(f"{PATH}/{old}")) == IN_USE
    state.settings.held_by = "deployed"
    assert api.delete(f"{PATH}/{old}").status_code == 200
    assert error_of(api.delete(f"{PATH}/{new}")) == IN_USE


def test_what_hyperdrive_presents_can_not_be_deleted(api: httpx.Client) -> None:
    """The leaf and the CA of a config."""
    leaf, authority = upload(api, LEAVES[0])["id"], upload_ca(api, CAS[0]).json()["result"]["id"]
    mtls = {"mtls_certificate_id": leaf, "ca_certificate_id": authority, "sslmode": "verify-full"}
    made = api.post("/hyperdrive/configs", json={"name": "db", "origin": {"password": "p"}, "mtls": mtls}).json()
    assert "password" not in made["result"]["origin"]
    for used in (leaf, authority):
        assert error_of(api.delete(f"{PATH}/{used}")) == IN_USE
        assert api.get(f"{PATH}/{used}/associations").json()["result"][0]["service"] == "hyperdrive"
    config = f"/hyperdrive/configs/{made['result']['id']}"
    assert api.get(config).json() == made
    assert api.patch(config, json={"mtls": {"mtls_certificate_id": leaf}}).status_code == 200
    assert api.delete(f"{PATH}/{authority}").status_code == 200
    assert api.delete(config).status_code == 200
    assert api.get("/hyperdrive/configs").json()["result"] == []
    assert api.delete(f"{PATH}/{leaf}").status_code == 200


def test_what_hostnames_stand_on_can_not_be_deleted(api: httpx.Client) -> None:
    """PUT replaces the whole list of one CA, and [] ends the use."""
    authority = upload_ca(api, CAS[0]).json()["result"]["id"]
    at = "http://emulator/client/v4/zones/zone1/certificate_authorities/hostname_associations"
    given = {"hostnames": ["api.example.com"], "mtls_certificate_id": authority}
    assert api.put(at, json=given).json()["result"] == {"hostnames": ["api.example.com"]}
    assert api.get(at, params={"mtls_certificate_id": authority}).json()["result"]["hostnames"] == ["api.example.com"]
    assert api.get(at).json()["result"] == {"hostnames": []}
    assert error_of(api.delete(f"{PATH}/{authority}")) == IN_USE
    api.put(at, json={**given, "hostnames": []})
    assert api.delete(f"{PATH}/{authority}").status_code == 200


def test_a_zone_that_was_added_is_found_by_its_name(api: httpx.Client) -> None:
    """With or without an ID of one's own; any other zone that was asked about is there by its ID."""
    control, zones = "http://127.0.0.1/_emulator/zones", "http://127.0.0.1/client/v4/zones"
    made = api.post(control, json={"name": "example.com"}).json()["zone"]
    assert api.post(control, json={"name": "example.net", "id": "0" * 32}).json() == {"zone": "0" * 32}
    found = api.get(zones, params={"name": "example.com"}).json()["result"]
    assert [(one["id"], one["name"]) for one in found] == [(made, "example.com")]
    assert len(api.get(zones).json()["result"]) == 2
    assert api.post(control, json={"id": "1" * 32}).status_code == 400


# --- lag -------------------------------------------------------------------------------------------------------------


def test_an_upload_is_listed_after_the_lag_and_there_by_id_at_once(
    api: httpx.Client, state: EmulatorState, clock: SetClock
) -> None:
    """Lists are eventually consistent; the counts are those of the listed entries."""
    state.settings.list_lag_s = 5
    certificate_id = upload(api, LEAVES[0])["id"]
    assert api.get(f"{PATH}/{certificate_id}").status_code == 200
    assert api.get(PATH).json()["result_info"]["total_count"] == 0
    assert error_of(api.post(PATH, json=body(LEAVES[0])))[1] == 1471
    clock.time += timedelta(seconds=5)
    assert api.get(PATH).json()["result"][0]["id"] == certificate_id
