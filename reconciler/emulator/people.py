"""The identity of the token and its accounts, which wrangler requests first."""

from __future__ import annotations

from reconciler.emulator.state import Ask
from reconciler.emulator.wire import ApiError, Json, Reply, success
from reconciler.emulator.workers import AUTHOR


def verify_token(ask: Ask) -> Reply:
    """`/user/tokens/verify`, for tokens of a user; it does not know account-owned tokens."""
    if ask.token.account_owned:
        raise ApiError(401, 1000, "Invalid API Token")
    return success({"id": "token", "status": "active"})


def verify_account_token(ask: Ask) -> Reply:
    """`/accounts/{account}/tokens/verify`, for account-owned tokens."""
    if not ask.token.account_owned:
        raise ApiError(401, 1000, "Invalid API Token")
    return success({"id": "token", "status": "active"})


def get_user(ask: Ask) -> Reply:  # noqa: ARG001 - a handler like all others
    """The user."""
    return success({"id": "user", "email": AUTHOR})


def list_accounts(ask: Ask) -> Reply:
    """The accounts that the token may access; refused for an account-owned token."""
    if ask.token.account_owned:
        raise ApiError(400, 1001, "This endpoint does not support account owned tokens")
    return _page(ask, _accounts(ask))


def list_memberships(ask: Ask) -> Reply:
    """The same accounts, as memberships of the user."""
    return _page(ask, [{"id": f"membership-{account['id']}", "account": account} for account in _accounts(ask)])


def get_account(ask: Ask) -> Reply:
    """One account."""
    return success(_account(ask.account.id))


def _accounts(ask: Ask) -> list[Json]:
    allowed = ask.token.accounts
    return [_account(account_id) for account_id in ask.state.accounts if allowed is None or account_id in allowed]


def _account(account_id: str) -> Json:
    return {"id": account_id, "name": f"Emulated account {account_id[:8]}"}


def _page(ask: Ask, items: list[Json]) -> Reply:
    first = ask.request.first("page") in (None, "1")
    shown, count = items if first else [], len(items)
    info: Json = {
        "page": 1 if first else 2,
        "per_page": 50,
        "count": len(shown),
        "total_count": count,
        "total_pages": 1,
    }
    return success(shown, result_info=info)
