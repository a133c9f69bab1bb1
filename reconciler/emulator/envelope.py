"""Cloudflare's envelope, and every refusal that the emulator can give, with Cloudflare's codes where they are known."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.emulator.wire import Json, Reply, json_reply
from reconciler.model.errors import AlreadyStored, EntryNotFound, QuotaReached, StoreRefused

UNPUBLISHED = 1400
"""Stands for codes that exist and are not published; a client must go by the message, as with the real API."""


class ApiError(Exception):
    """A refusal: its HTTP status, code and message as the client sees them."""

    def __init__(self, status: int, code: int, message: str, *, also: tuple[tuple[int, str], ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.also = also


def success(result: object, *, result_info: Json | None = None) -> Reply:
    """200 with a result. An empty list stays `[]`: wrangler breaks on null."""
    body: Json = {"success": True, "errors": [], "messages": [], "result": result}
    if result_info is not None:
        body["result_info"] = result_info
    return json_reply(200, body)


def failure(error: ApiError, headers: Mapping[str, str] | None = None) -> Reply:
    """The reply to a refused request."""
    errors = [{"code": error.code, "message": error.message}]
    errors += [{"code": code, "message": message} for code, message in error.also]
    return json_reply(error.status, {"success": False, "errors": errors, "messages": [], "result": None}, headers)


def malformed_token() -> Reply:
    """400 with a chain: the Authorization header is no `Bearer` with a token."""
    chain = [{"code": 6111, "message": "Invalid format for Authorization header"}]
    error = {"code": 6003, "message": "Invalid request headers", "error_chain": chain}
    return json_reply(400, {"success": False, "errors": [error], "messages": [], "result": None})


def unknown_credentials() -> ApiError:
    """Neither a token nor a key that this server knows."""
    return ApiError(401, 9106, "Authentication failed")


def inactive_token() -> ApiError:
    """A token that was disabled or has expired."""
    return ApiError(401, 9109, "Invalid access token")


def other_account() -> ApiError:
    """A token that is not for this account."""
    return ApiError(403, 9109, "Unauthorized to access requested resource")


def not_permitted() -> ApiError:
    """A token without the permission that the call needs."""
    return ApiError(403, 10000, "Authentication error")


def no_route(path: str) -> ApiError:
    """No such path, or an account id that is none."""
    message = f"Could not route to {path}, perhaps your object identifier is invalid?"
    return ApiError(404, 7003, message, also=((7000, "No route for that URI"),))


def rate_limited() -> ApiError:
    """Too many requests."""
    return ApiError(429, 971, "Please wait and consider throttling your request speed")


def invalid(message: str) -> ApiError:
    """A body that is not what the call takes."""
    return ApiError(400, UNPUBLISHED, message)


def certificate_not_found() -> ApiError:
    """1472, for GET and DELETE."""
    return ApiError(404, 1472, "Certificate not found.")


def certificate_deleted() -> ApiError:
    """The other answer to deleting twice, which some clients have met."""
    return ApiError(400, UNPUBLISHED, "Certificate has already been deleted: already deleted.")


def certificate_in_use() -> ApiError:
    """Something still presents it, or did a short while ago."""
    return ApiError(400, 1000, "Certificate cannot be deleted while in use.")


def managed_certificate() -> ApiError:
    """Gateway's and Access's own entries can't be deleted here."""
    return ApiError(401, 10000, "Unauthorized")


def no_worker() -> ApiError:
    """10007: no such Worker."""
    return ApiError(404, 10007, "This Worker does not exist on your account.")


def no_service() -> ApiError:
    """10090, the same of the older endpoint."""
    return ApiError(404, 10090, "This service does not exist")


def no_version() -> ApiError:
    """A version id that this Worker does not have."""
    return ApiError(404, 10007, "This Worker version does not exist on your account.")


def unknown_binding(certificate_id: str) -> ApiError:
    """100143: a version names a certificate that the account does not have, or not yet everywhere."""
    return ApiError(400, 100143, f"mTLS certificate '{certificate_id}' not found.")


def from_store(error: StoreRefused) -> ApiError:
    """What the embedded store refuses, in Cloudflare's words."""
    match error:
        case AlreadyStored():
            return ApiError(400, 1471, "Certificate already exists.")
        case EntryNotFound():
            return certificate_not_found()
        case QuotaReached():
            return ApiError(400, error.number or UNPUBLISHED, error.message)
        case _ if error.message == "Unauthorized":
            return managed_certificate()
        case _:
            # The sister API for origin pulls says "Unable to parse certificate" with this number.
            return ApiError(400, 1408, error.message)
