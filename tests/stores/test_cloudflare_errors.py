"""Each known refusal of Cloudflare: its error class, its unchanged text, and the hint that names the permission."""

from __future__ import annotations

import pytest

from reconciler.findings.secrets import HIDDEN, Secrets
from reconciler.model.errors import (
    AlreadyStored,
    EntryInUse,
    EntryNotFound,
    QuotaReached,
    StoreRefused,
    UnknownStoreError,
)
from reconciler.stores.cloudflare.errors import (
    Operation,
    OtherAccount,
    PermissionLacking,
    TokenUnknown,
    WrongAccount,
    refusal,
)
from reconciler.stores.cloudflare.wire import Trouble
from tests.support.cloudflare_server import TOKEN
from tests.support.store_contract import LEAVES

GET, LIST, UPLOAD, DELETE = Operation.GET, Operation.LIST, Operation.UPLOAD, Operation.DELETE


@pytest.mark.parametrize(
    ("operation", "status", "code", "message", "kind", "hint"),
    [
        (UPLOAD, 400, 1471, "An identical certificate already exists", AlreadyStored, "plan again"),
        (UPLOAD, 400, 1471, "", AlreadyStored, "plan again"),
        (UPLOAD, 409, None, "Certificate already exists.", AlreadyStored, "plan again"),
        (GET, 404, 1472, "Certificate not found", EntryNotFound, "was never in this account"),
        (DELETE, 400, 1472, "Certificate not found", EntryNotFound, "already deleted"),
        (GET, 404, 4040, "nothing here", EntryNotFound, "already deleted"),
        (DELETE, 400, 1400, "Certificate already deleted", EntryNotFound, "already deleted"),
        (DELETE, 400, 1400, "Certificate cannot be deleted while in use.", EntryInUse, "deploy every Worker"),
        (UPLOAD, 400, 1489, "Hit maximum CA cert allocation.", QuotaReached, "API Shield"),
        (UPLOAD, 400, 1400, "Hit maximum cert allocation.", QuotaReached, "delete certificates that nothing uses"),
        (UPLOAD, 400, 1400, "unable to parse certificate", StoreRefused, "mtlsctl validate"),
        (UPLOAD, 400, 1408, "Unable to parse certificate", StoreRefused, "mtlsctl validate"),
        (UPLOAD, 400, 1400, "The private key does not match", StoreRefused, "mtlsctl validate"),
        (DELETE, 401, 10000, "Unauthorized", StoreRefused, "Gateway or Access"),
        (DELETE, 401, None, "Unauthorized", StoreRefused, "Gateway or Access"),
        (LIST, 403, 10000, "Authentication error", PermissionLacking, "`Account: SSL and Certificates Read`"),
        (UPLOAD, 403, 10000, "Authentication error", PermissionLacking, "`Account: SSL and Certificates Write`"),
        (DELETE, 403, 10000, "Authentication error", PermissionLacking, "SSL and Certificates > Edit"),
        (LIST, 403, 10000, "Authentication error", PermissionLacking, "the role of the user"),
        (LIST, 401, 9106, "Authentication failed", TokenUnknown, "CLOUDFLARE_API_TOKEN"),
        (LIST, 401, 9109, "Invalid access token", TokenUnknown, "not expired"),
        (LIST, 403, 9109, "Unauthorized to access requested resource", OtherAccount, "account_id"),
        (DELETE, 403, 9109, "Unauthorized to access requested resource", OtherAccount, "account_id"),
        (LIST, 400, 6003, "Invalid request headers", TokenUnknown, "CLOUDFLARE_API_TOKEN"),
        (LIST, 400, 1001, "this endpoint does not support account owned tokens", PermissionLacking, "user token"),
        (LIST, 404, 7003, "Could not route to /x", WrongAccount, "account_id"),
        (GET, 404, 7003, "Could not route to /x", WrongAccount, "account_id"),
        (LIST, 403, None, "", PermissionLacking, "SSL and Certificates Read"),
        (UPLOAD, 400, 4711, "Tuesdays only", UnknownStoreError, "nothing more was changed"),
        (DELETE, 400, 1471, "already exists", UnknownStoreError, "nothing more was changed"),
        (LIST, 404, None, "", UnknownStoreError, "nothing more was changed"),
        (LIST, 400, 1001, "something else", UnknownStoreError, "nothing more was changed"),
    ],
)
def test_a_refusal_in_words(
    operation: Operation, status: int, code: int | None, message: str, kind: type[StoreRefused], hint: str
) -> None:
    """By code first, then by text, then by status; Cloudflare's own code and text are in the message."""
    account = "0123, from `account_id` in `[store]`"
    error = refusal(operation, status, [Trouble(code=code, message=message)], Secrets(), account=account)
    assert type(error) is kind
    assert error.number == (code or 0)
    assert (f"Cloudflare {code}" if code else f"HTTP {status}") in error.message
    assert message in error.message
    assert hint in (error.hint or "")


def test_the_code_is_matched_before_the_text() -> None:
    """A text can contain anything."""
    trouble = Trouble(code=1489, message="Certificate already exists")
    assert type(refusal(UPLOAD, 400, [trouble], Secrets())) is QuotaReached


def test_any_error_of_several_counts_and_what_lies_below_them() -> None:
    """The first known error counts; the chain of 6003 says what is wrong with the headers."""
    below = Trouble(code=6111, message="Invalid format for Authorization header")
    top = Trouble(code=1, message="Invalid", error_chain=[below])
    error = refusal(LIST, 400, [top], Secrets())
    assert type(error) is TokenUnknown
    assert "Cloudflare 6111 Invalid format for Authorization header" in error.message


def test_an_answer_without_any_error_is_unknown() -> None:
    """`success: false` without details."""
    error = refusal(UPLOAD, 400, [], Secrets())
    assert type(error) is UnknownStoreError
    assert "HTTP 400" in error.message


def test_a_global_key_beside_the_token_is_mentioned() -> None:
    """If the token is refused, the user may think that the key is used."""
    trouble = Trouble(code=9106, message="Authentication failed")
    error = refusal(LIST, 401, [trouble], Secrets(), has_global_key=True)
    assert "CLOUDFLARE_API_KEY is set, too" in (error.hint or "")


KEY = LEAVES[0].key_pem.decode()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"bad header: Bearer {TOKEN}", id="the token"),
        pytest.param(f"token {TOKEN[10:30]} is bad", id="a part of the token"),
        pytest.param(f"can't read {KEY}", id="the key"),
        pytest.param("body was " + KEY.replace("\n", "\\n"), id="the key, as JSON has it"),
        pytest.param("near " + KEY.splitlines()[1][10:30], id="a part of a line of the key"),
        pytest.param("-----BEGIN PRIVATE KEY-----", id="any key"),
    ],
)
def test_a_text_that_quotes_a_secret_is_not_shown(text: str) -> None:
    """The whole text is hidden, because the text around a secret may be the rest of it."""
    secrets = Secrets((TOKEN,)).with_(KEY)
    error = refusal(UPLOAD, 400, [Trouble(code=1400, message=text)], secrets)
    assert error.message.endswith(HIDDEN)
    assert TOKEN not in repr(secrets)


def test_a_harmless_text_is_shown_unchanged_and_a_long_one_in_part() -> None:
    """Even one about keys."""
    secrets = Secrets((TOKEN, KEY))
    text = "the private key's 'algorithm' isn't \"allowed\""
    assert secrets.show(text) == text
    assert len(secrets.show("x" * 10_000)) == 1000
