"""Access from the environment: address, account and token; an invalid one is reported before any call and not shown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from reconciler.model import StoreKind, StoreSettings
from reconciler.model.errors import StoreError
from reconciler.stores import StoreContext, open_reader, open_store
from reconciler.stores.cloudflare.access import find_access
from reconciler.stores.cloudflare.store import CloudflareStore
from tests.support.cloudflare_server import ACCOUNT, TOKEN
from tests.support.store_contract import SetClock

SETTINGS = StoreSettings(StoreKind.CLOUDFLARE, ACCOUNT)
GOOD = {"CLOUDFLARE_API_TOKEN": TOKEN}


@pytest.mark.parametrize(
    ("more", "base_url"),
    [
        ({}, "https://api.cloudflare.com/client/v4"),
        ({"CLOUDFLARE_COMPLIANCE_REGION": "public"}, "https://api.cloudflare.com/client/v4"),
        ({"CLOUDFLARE_COMPLIANCE_REGION": "fedramp_high"}, "https://api.fed.cloudflare.com/client/v4"),
        ({"CLOUDFLARE_API_BASE_URL": ""}, "https://api.cloudflare.com/client/v4"),
        ({"CLOUDFLARE_API_BASE_URL": "https://proxy.example/cf/"}, "https://proxy.example/cf"),
        ({"CLOUDFLARE_API_BASE_URL": "http://127.0.0.1:8787/client/v4"}, "http://127.0.0.1:8787/client/v4"),
        ({"CLOUDFLARE_API_BASE_URL": "http://localhost:1"}, "http://localhost:1"),
        ({"CLOUDFLARE_API_BASE_URL": "http://[::1]:1"}, "http://[::1]:1"),
        (
            {"CLOUDFLARE_API_BASE_URL": "https://a.example", "CLOUDFLARE_COMPLIANCE_REGION": "fedramp_high"},
            "https://a.example",
        ),
    ],
)
def test_where_the_api_is(more: Mapping[str, str], base_url: str) -> None:
    """A given address takes precedence over the region; both are wrangler's variables."""
    access = find_access(SETTINGS, {**GOOD, **more})
    assert access.base_url == base_url
    assert access.certificates_path == f"/accounts/{ACCOUNT}/mtls_certificates"
    assert TOKEN not in repr(access)


@pytest.mark.parametrize(
    ("environ", "code"),
    [
        ({}, "token-missing"),
        ({"CLOUDFLARE_API_TOKEN": ""}, "token-missing"),
        ({"CLOUDFLARE_API_TOKEN": " \n"}, "token-missing"),
        ({"CLOUDFLARE_API_TOKEN": TOKEN + "\n"}, "token-white-space"),
        ({"CLOUDFLARE_API_TOKEN": TOKEN[:9] + " " + TOKEN[9:]}, "token-white-space"),
        ({"CLOUDFLARE_API_TOKEN": f"'{TOKEN}'"}, "token-malformed"),
        ({"CLOUDFLARE_API_TOKEN": TOKEN + "é"}, "token-malformed"),
        ({"CLOUDFLARE_API_TOKEN": "cfk_" + TOKEN}, "token-is-key"),
        ({**GOOD, "CLOUDFLARE_COMPLIANCE_REGION": "moon"}, "compliance-region"),
        ({**GOOD, "CLOUDFLARE_API_BASE_URL": "http://api.cloudflare.com"}, "base-url"),
        ({**GOOD, "CLOUDFLARE_API_BASE_URL": "http://127.0.0.1.example"}, "base-url"),
        ({**GOOD, "CLOUDFLARE_API_BASE_URL": "http://127.0.0.1@evil.example"}, "base-url"),
        ({**GOOD, "CLOUDFLARE_API_BASE_URL": "https://user:" + TOKEN + "@a.example"}, "base-url"),
        ({**GOOD, "CLOUDFLARE_API_BASE_URL": "ftp://a.example"}, "base-url"),
        ({**GOOD, "CLOUDFLARE_API_BASE_URL": "api.cloudflare.com"}, "base-url"),
        ({**GOOD, "CLOUDFLARE_API_BASE_URL": "https://a.example?x=1"}, "base-url"),
        ({**GOOD, "CLOUDFLARE_API_BASE_URL": "https://a.example:port"}, "base-url"),
        ({**GOOD, "CLOUDFLARE_API_BASE_URL": "https://a.example\\@b.example"}, "base-url"),
        ({**GOOD, "CLOUDFLARE_API_BASE_URL": "https://[::1"}, "base-url"),
        ({**GOOD, "CLOUDFLARE_API_BASE_URL": "https://"}, "base-url"),
    ],
)
def test_what_can_not_be_is_said_and_not_shown(environ: Mapping[str, str], code: str) -> None:
    """A token is never repaired, sent unencrypted, or quoted."""
    with pytest.raises(StoreError) as caught:
        find_access(SETTINGS, environ)
    error = caught.value
    assert error.code == code
    assert error.hint
    assert TOKEN[:9] not in f"{error.message} {error.hint} {error!r}"


def test_a_global_key_is_no_token() -> None:
    """The error says that the key is set and not used."""
    with pytest.raises(StoreError, match="CLOUDFLARE_API_KEY is set, which mtlsctl does not use"):
        find_access(SETTINGS, {"CLOUDFLARE_API_KEY": TOKEN})
    assert find_access(SETTINGS, {**GOOD, "CLOUDFLARE_API_KEY": "k"}).has_global_key


@pytest.mark.parametrize(
    ("account", "code"), [(None, "account-missing"), ("", "account-missing"), ("../x", "account-malformed")]
)
def test_the_account_is_needed_and_can_lead_nowhere_else(account: str | None, code: str) -> None:
    """The account ID becomes part of a path."""
    with pytest.raises(StoreError) as caught:
        find_access(StoreSettings(StoreKind.CLOUDFLARE, account), GOOD)
    assert caught.value.code == code


def test_both_halves_open_without_a_call(tmp_path: Path) -> None:
    """And the read-only part can't change anything."""
    context = StoreContext(GOOD)
    reader = open_reader(SETTINGS, root=tmp_path, clock=SetClock(), context=context)
    store = open_store(SETTINGS, root=tmp_path, clock=SetClock(), context=context)
    assert not hasattr(reader, "upload")
    assert isinstance(store, CloudflareStore)
    assert store.calls == 0
    assert list(tmp_path.iterdir()) == []
    assert TOKEN not in repr(context)
    store.close()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SSL_CERT_FILE", "/nowhere/ca.pem"),
        ("HTTPS_PROXY", "nonsense://user:secret@proxy"),
        ("HTTPS_PROXY", "http://a:b"),
    ],
)
def test_what_the_connection_can_not_use_is_said(
    variable: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CA bundles and proxies come from the environment; the address of a proxy is not shown."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(StoreError) as caught:
        open_reader(SETTINGS, root=tmp_path, clock=SetClock(), context=StoreContext(GOOD))
    assert caught.value.code == "store-connection"
    assert variable in (caught.value.hint or "")
    assert "secret" not in f"{caught.value.message}{caught.value.hint}"
    assert caught.value.__cause__ is None
