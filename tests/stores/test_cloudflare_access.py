"""Access from the environment: address, account and token; an invalid one is reported before any call and not shown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from reconciler.model import StoreKind, StoreSettings
from reconciler.model.errors import StoreError
from reconciler.stores import StoreContext
from reconciler.stores.cloudflare.access import find_access
from reconciler.stores.cloudflare.store import CloudflareStore
from tests.support.cloudflare_server import ACCOUNT, TOKEN
from tests.support.embedded import open_reader, open_store
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
        ({**GOOD, "CLOUDFLARE_API_BASE_URL": "http://localhost.evil.example"}, "base-url"),
        ({**GOOD, "CLOUDFLARE_API_BASE_URL": "http://localhost@evil.example"}, "base-url"),
        ({**GOOD, "CLOUDFLARE_API_BASE_URL": "http://10.0.0.1"}, "base-url"),
        ({**GOOD, "CLOUDFLARE_API_BASE_URL": "http://0.0.0.0"}, "base-url"),
        ({**GOOD, "CLOUDFLARE_API_BASE_URL": "http://127.1"}, "base-url"),
        ({**GOOD, "CLOUDFLARE_API_BASE_URL": "http://0x7f.0.0.1"}, "base-url"),
        ({**GOOD, "CLOUDFLARE_API_BASE_URL": "http://2130706433"}, "base-url"),
        ({**GOOD, "CLOUDFLARE_API_BASE_URL": "http://[::ffff:10.0.0.1]"}, "base-url"),
        ({**GOOD, "CLOUDFLARE_API_BASE_URL": "file:///etc/passwd"}, "base-url"),
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


@pytest.mark.parametrize("host", ["api.cloudflare.com", "api.fed.cloudflare.com"])
@pytest.mark.parametrize("path", ["", "/", "/client", "/v4", "/client/v4/accounts"])
def test_cloudflares_own_address_needs_its_path(host: str, path: str) -> None:
    """Without it, every call would get a page instead of an answer; the hint has the whole address."""
    with pytest.raises(StoreError, match="does not end with /client/v4") as caught:
        find_access(SETTINGS, {**GOOD, "CLOUDFLARE_API_BASE_URL": f"https://{host}{path}"})
    assert f"https://{host}/client/v4" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("variable", "account"), [("CF_API_TOKEN", ACCOUNT), ("CF_ACCOUNT_ID", None)], ids=["the token", "the account"]
)
def test_an_old_name_is_mentioned_where_the_new_one_is_missing(variable: str, account: str | None) -> None:
    """Older versions of wrangler read it, mtlsctl does not; its value is not shown."""
    settings = StoreSettings(StoreKind.CLOUDFLARE, account)
    environ = {variable: TOKEN} if account else {**GOOD, variable: TOKEN}
    with pytest.raises(StoreError, match=f"{variable} is set, but that old name is not read") as caught:
        find_access(settings, environ)
    assert TOKEN not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize("account", [ACCOUNT, None], ids=["the token", "the account"])
def test_a_dotenv_file_is_mentioned_where_a_variable_is_missing(account: str | None, tmp_path: Path) -> None:
    """Wrangler reads it, mtlsctl does not. Only that it exists is looked at."""
    settings = StoreSettings(StoreKind.CLOUDFLARE, account)
    environ = {} if account else GOOD
    with pytest.raises(StoreError) as before:
        find_access(settings, environ, tmp_path)
    assert ".env" not in before.value.message
    (tmp_path / ".env").write_text(f"CLOUDFLARE_API_TOKEN={TOKEN}\n")
    (tmp_path / ".env").chmod(0)
    with pytest.raises(StoreError, match=r"mtlsctl does not read \.env") as caught:
        find_access(settings, environ, tmp_path)
    assert "set -a; . ./.env; set +a" in (caught.value.hint or "")


def test_a_malformed_account_is_named_by_its_variable() -> None:
    """Where it is from mtls.toml, the file was refused already."""
    wrong = ACCOUNT + "\n"
    with pytest.raises(StoreError, match="CLOUDFLARE_ACCOUNT_ID ends with a line break"):
        find_access(StoreSettings(StoreKind.CLOUDFLARE, wrong), {**GOOD, "CLOUDFLARE_ACCOUNT_ID": wrong})


@pytest.mark.parametrize(
    ("variable", "source"), [(True, "CLOUDFLARE_ACCOUNT_ID"), (False, "`account_id` in `[store]`")]
)
def test_an_error_about_the_account_says_where_its_id_was_set(variable: bool, source: str) -> None:
    """A typing error is found where it was made."""
    account = str(SETTINGS.account_id)
    environ = {**GOOD, **({"CLOUDFLARE_ACCOUNT_ID": account} if variable else {})}
    assert find_access(SETTINGS, environ).account_text.startswith(f"{account}, from {source}")
