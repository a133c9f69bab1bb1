"""A request and a reply as values, whoever carries them: uvicorn, or a test without any socket."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

Json = dict[str, object]

_BOUNDARY = re.compile(r'boundary="?([^";]+)"?', re.IGNORECASE)
_PART_NAME = re.compile(r'[; ]name="([^"]*)"', re.IGNORECASE)


class Delivery(Enum):
    """How a reply travels; everything but WHOLE is a fault."""

    WHOLE = "whole"
    CLOSED = "closed"
    """Nothing is sent, the connection just ends."""
    RESET = "reset"
    """Nothing is sent, the connection is reset."""
    HANGING = "hanging"
    """Nothing is sent until the client gives up."""
    CUT = "cut"
    """Half of the body, and then the connection ends."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks. `path` is decoded and has the prefix of the API; header names are in lower case."""

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
        """The body as JSON whatever its content type says: wrangler sends certificates as text/plain. ValueError."""
        return json.loads(self.body)

    def parts(self) -> tuple[Part, ...]:
        """The parts of a multipart body, empty where it is none."""
        found = _BOUNDARY.search(self.headers.get("content-type", ""))
        if not found:
            return ()
        # The first delimiter stands at the very beginning, all others after a line end.
        chunks = (b"\r\n" + self.body).split(b"\r\n--" + found[1].encode())
        return tuple(part for chunk in chunks[1:] if (part := _part(chunk)) is not None)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart body."""

    name: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the client gets, `delay_s` later."""

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
