"""Requests and replies as values, independent of the transport, and the API's replies: its envelope and all refusals.

The codes and texts of refusals are Cloudflare's if they are known.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import field
from enum import Enum

from reconciler.findings.values import dataclass
from reconciler.model.errors import AlreadyStored, EntryNotFound, QuotaReached, StoreRefused

Json = dict[str, object]
UNPUBLISHED = 1400
"""In place of codes that are not published; a client must rely on the message, as with the real API."""

_BOUNDARY = re.compile(r'boundary="?([^";]+)"?', re.IGNORECASE)
_PART_NAME = re.compile(r'[; ]name="([^"]*)"', re.IGNORECASE)


class Delivery(Enum):
    """How a reply is sent; every value except WHOLE is a fault."""

    WHOLE = "whole"
    CLOSED = "closed"
    """Nothing is sent, and the connection ends."""
    RESET = "reset"
    """Nothing is sent, and the connection is reset."""
    HANGING = "hanging"
    """Nothing is sent until the client gives up."""
    CUT = "cut"
    """Half of the body is sent, then the connection ends."""


@dataclass(frozen=True, slots=True)
class Request:
    """A client's request. `path` is decoded and includes the prefix of the API; header names are in lower case."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    client: str = "127.0.0.1"

    def first(self, name: str) -> str | None:
        """The first value of a query parameter."""
        return next((value for key, value in self.query if key == name), None)

    def json(self) -> object:
        """The body as JSON, whatever its content type: wrangler sends certificates as text/plain. ValueError."""
        return json.loads(self.body)

    def parts(self) -> tuple[Part, ...]:
        """The parts of a multipart body, empty for another body."""
        found = _BOUNDARY.search(self.headers.get("content-type", ""))
        if not found:
            return ()
        # The first delimiter is at the very beginning, all others follow a line break.
        chunks = (b"\r\n" + self.body).split(b"\r\n--" + found[1].encode())
        return tuple(part for chunk in chunks[1:] if (part := _part(chunk)) is not None)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart body."""

    name: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply for the client, sent after `delay_s`."""

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    delivery: Delivery = Delivery.WHOLE
    delay_s: float = 0.0


def json_reply(status: int, body: object, headers: Mapping[str, str] | None = None) -> Reply:
    """A reply with a JSON body."""
    return Reply(status, json.dumps(body).encode(), {"content-type": "application/json", **(headers or {})})


def _part(chunk: bytes) -> Part | None:
    head, separator, body = chunk.partition(b"\r\n\r\n")
    found = _PART_NAME.search(head.decode(errors="replace"))
    return Part(found[1], body) if separator and found else None


class ApiError(Exception):
    """A refusal: its HTTP status, code and message for the client."""

    def __init__(self, status: int, code: int, message: str, *, also: tuple[tuple[int, str], ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.also = also


def success(result: object, *, result_info: Json | None = None) -> Reply:
    """200 with a result. An empty list stays `[]`, because wrangler fails on null."""
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
    """400 with an error chain: the Authorization header is not `Bearer` and a token."""
    chain = [{"code": 6111, "message": "Invalid format for Authorization header"}]
    error = {"code": 6003, "message": "Invalid request headers", "error_chain": chain}
    return json_reply(400, {"success": False, "errors": [error], "messages": [], "result": None})


def unknown_credentials() -> ApiError:
    """The server does not know the token or key."""
    return ApiError(401, 9106, "Authentication failed")


def inactive_token() -> ApiError:
    """The token was disabled or has expired."""
    return ApiError(401, 9109, "Invalid access token")


def other_account() -> ApiError:
    """The token is not for this account."""
    return ApiError(403, 9109, "Unauthorized to access requested resource")


def not_permitted() -> ApiError:
    """The token lacks the permission for the call."""
    return ApiError(403, 10000, "Authentication error")


def no_route(path: str) -> ApiError:
    """The path does not exist, or its account id is not valid."""
    message = f"Could not route to {path}, perhaps your object identifier is invalid?"
    return ApiError(404, 7003, message, also=((7000, "No route for that URI"),))


def unexpected_host() -> ApiError:
    """The request is for a host name that the emulator was not told to answer to."""
    return ApiError(421, UNPUBLISHED, "The emulator does not answer to this host name; allow it with --allow-host HOST")


def rate_limited() -> ApiError:
    """Too many requests."""
    return ApiError(429, 971, "Please wait and consider throttling your request speed")


def invalid(message: str) -> ApiError:
    """The body is not valid for the call."""
    return ApiError(400, UNPUBLISHED, message)


def certificate_not_found() -> ApiError:
    """1472, for GET and DELETE."""
    return ApiError(404, 1472, "Certificate not found.")


def certificate_deleted() -> ApiError:
    """The other known answer to a second delete, which some clients have received."""
    return ApiError(400, UNPUBLISHED, "Certificate has already been deleted: already deleted.")


def certificate_in_use() -> ApiError:
    """Something uses it, or did a short while ago."""
    return ApiError(400, 1000, "Certificate cannot be deleted while in use.")


def managed_certificate() -> ApiError:
    """Entries of Gateway and Access can't be deleted here."""
    return ApiError(401, 10000, "Unauthorized")


def no_worker() -> ApiError:
    """10007: no such Worker."""
    return ApiError(404, 10007, "This Worker does not exist on your account.")


def no_service() -> ApiError:
    """10090: the same for the older endpoint."""
    return ApiError(404, 10090, "This service does not exist")


def no_version() -> ApiError:
    """The Worker has no version with this id."""
    return ApiError(404, 10007, "This Worker version does not exist on your account.")


def unknown_binding(certificate_id: str) -> ApiError:
    """100143: a version uses a certificate that the account does not have, or not everywhere yet."""
    return ApiError(400, 100143, f"mTLS certificate '{certificate_id}' not found.")


def from_store(error: StoreRefused) -> ApiError:
    """A refusal of the local store, in Cloudflare's words."""
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
            # The similar API for origin pulls answers "Unable to parse certificate" with this number.
            return ApiError(400, 1408, error.message)
