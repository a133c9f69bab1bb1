"""Cloudflare's own Python SDK works with the emulator, over HTTP and unchanged."""

from __future__ import annotations

from collections.abc import Iterator

import cloudflare
import pytest

from reconciler.emulator.server import running
from reconciler.emulator.state import ACCOUNT_ID
from tests.support.emulated import TOKEN, make_state
from tests.support.store_contract import CAS, LEAVES, pem


@pytest.fixture
def sdk() -> Iterator[cloudflare.Cloudflare]:
    with running(make_state()) as url, cloudflare.Cloudflare(api_token=TOKEN, base_url=url, max_retries=0) as client:
        yield client


def create(sdk: cloudflare.Cloudflare, number: int, name: str) -> str:
    made = sdk.mtls_certificates.create(
        account_id=ACCOUNT_ID,
        ca=False,
        certificates=pem(LEAVES[number]),
        private_key=LEAVES[number].key_pem.decode(),
        name=name,
    )
    assert made is not None
    assert made.id is not None
    assert made.updated_at is not None
    return made.id


def test_the_sdk_creates_lists_gets_and_deletes(sdk: cloudflare.Cloudflare) -> None:
    """With every field of its models."""
    first, second = create(sdk, 0, "one"), create(sdk, 1, "two")
    authority = sdk.mtls_certificates.create(account_id=ACCOUNT_ID, ca=True, certificates=pem(CAS[0]))
    assert authority is not None
    listed = list(sdk.mtls_certificates.list(account_id=ACCOUNT_ID))
    assert [(entry.id, entry.name, entry.ca) for entry in listed] == [
        (first, "one", False),
        (second, "two", False),
        (authority.id, "", True),
    ]
    got = sdk.mtls_certificates.get(first, account_id=ACCOUNT_ID)
    assert got is not None
    assert got.serial_number == str(LEAVES[0].certificate.serial_number)
    assert got.expires_on == LEAVES[0].certificate.not_valid_after_utc
    assert list(sdk.mtls_certificates.associations.get(first, account_id=ACCOUNT_ID)) == []
    deleted = sdk.mtls_certificates.delete(first, account_id=ACCOUNT_ID)
    assert deleted is not None
    assert deleted.id == first
    assert [entry.id for entry in sdk.mtls_certificates.list(account_id=ACCOUNT_ID)] == [second, authority.id]


def test_the_sdk_understands_refusals(sdk: cloudflare.Cloudflare) -> None:
    """As errors with their status and code."""
    create(sdk, 0, "one")
    with pytest.raises(cloudflare.BadRequestError) as again:
        create(sdk, 0, "other")
    assert again.value.errors[0].code == 1471
    with pytest.raises(cloudflare.NotFoundError) as missing:
        sdk.mtls_certificates.get("2458ce5a-0c35-4c7f-82c7-8e9487d3ff60", account_id=ACCOUNT_ID)
    assert missing.value.errors[0].code == 1472


def test_the_sdk_changes_hyperdrive_configurations(sdk: cloudflare.Cloudflare) -> None:
    """It creates, lists, edits and deletes them; an edit of `mtls` leaves the origin, and no reply has the password."""
    one, two = create(sdk, 0, "one"), create(sdk, 1, "two")
    configs = sdk.hyperdrive.configs
    made = configs.create(
        account_id=ACCOUNT_ID,
        name="orders",
        origin={
            "database": "d",
            "host": "db.example.com",
            "password": "write-only",
            "port": 5432,
            "scheme": "postgres",
            "user": "u",
        },
        mtls={"mtls_certificate_id": one, "sslmode": "require"},
    )
    assert made is not None
    edited = configs.edit(made.id, account_id=ACCOUNT_ID, mtls={"mtls_certificate_id": two, "sslmode": "require"})
    assert edited is not None
    (listed,) = configs.list(account_id=ACCOUNT_ID)
    assert listed.id == made.id
    got = configs.get(made.id, account_id=ACCOUNT_ID)
    assert got is not None
    assert got.mtls is not None
    assert got.mtls.mtls_certificate_id == two
    assert got.origin.to_dict() == made.origin.to_dict()
    assert "write-only" not in got.to_json() + edited.to_json() + listed.to_json() + made.to_json()
    with pytest.raises(cloudflare.APIStatusError):
        sdk.mtls_certificates.delete(two, account_id=ACCOUNT_ID)
    configs.delete(made.id, account_id=ACCOUNT_ID)
    assert list(configs.list(account_id=ACCOUNT_ID)) == []


def test_the_sdk_replaces_the_list_of_one_ca_in_a_zone(sdk: cloudflare.Cloudflare) -> None:
    """Without an ID it is that of Cloudflare's own CA; a CA with hostnames can't be deleted."""
    zone = "023e105f4ecef8ad9ca31a8372d0c353"
    authority = sdk.mtls_certificates.create(account_id=ACCOUNT_ID, ca=True, certificates=pem(CAS[0]))
    assert authority is not None
    assert authority.id is not None
    lists = sdk.certificate_authorities.hostname_associations
    for names in (["a.example.com", "b.example.com"], ["c.example.com"]):
        put = lists.update(zone_id=zone, hostnames=names, mtls_certificate_id=authority.id)
        assert put is not None
        assert put.hostnames == names
    lists.update(zone_id=zone, hostnames=["own.example.com"])
    found = lists.get(zone_id=zone, mtls_certificate_id=authority.id), lists.get(zone_id=zone)
    assert [one.hostnames if one is not None else None for one in found] == [["c.example.com"], ["own.example.com"]]
    assert [one.id for one in sdk.zones.list()] == [zone]
    assert list(sdk.zones.list(name="example.com")) == []
    with pytest.raises(cloudflare.BadRequestError, match="in use"):
        sdk.mtls_certificates.delete(authority.id, account_id=ACCOUNT_ID)
    lists.update(zone_id=zone, hostnames=[], mtls_certificate_id=authority.id)
    assert sdk.mtls_certificates.delete(authority.id, account_id=ACCOUNT_ID) is not None
