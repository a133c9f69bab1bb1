"""What a handler gets: the request, who asks, and the account that it is about."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.emulator.access import Token
from reconciler.emulator.account import Account
from reconciler.emulator.envelope import invalid
from reconciler.emulator.faults import Fault
from reconciler.emulator.state import State
from reconciler.emulator.wire import Json, Request


@dataclass(frozen=True, slots=True)
class Ask:
    """One request on its way through. `names` has the variable parts of its path; `fault` is for lists and deletes."""

    request: Request
    state: State
    token: Token
    names: Mapping[str, str]
    fault: Fault | None = None

    @property
    def account(self) -> Account:
        """The account that the path names."""
        return self.state.account(self.names["account"])

    def body(self) -> Json:
        """The body as a JSON object; ApiError where it is none."""
        return as_object(self._json())

    def number(self, name: str, default: int) -> int:
        """A number of the query from 1 up, the default where it is none."""
        text = self.request.first(name) or ""
        return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 10 else default

    def form_json(self, name: str) -> Json:
        """A part of a multipart body as a JSON object; ApiError where it is missing or none."""
        found = next((part for part in self.request.parts() if part.name == name), None)
        if found is None:
            raise invalid(f"the multipart body has no part {name!r}")
        try:
            return as_object(json.loads(found.body))
        except ValueError as error:
            raise invalid(f"the part {name!r} is no JSON") from error

    def from_(self) -> str:
        """Which tool asks, as Workers remember it: `wrangler`, or `api` for everybody else."""
        return "wrangler" if self.request.headers.get("user-agent", "").startswith("wrangler/") else "api"

    def now(self) -> str:
        """The time as the Workers API writes it, with microseconds."""
        return self.state.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _json(self) -> object:
        try:
            return self.request.json()
        except (ValueError, RecursionError) as error:
            raise invalid("Could not parse the request body: it is no JSON") from error


def as_object(value: object) -> Json:
    """A JSON object; ApiError where the value is something else."""
    if not isinstance(value, dict):
        raise invalid("the body is no JSON object")
    return value


def as_objects(value: object) -> list[Json]:
    """A list of JSON objects, empty for null; ApiError where the value is something else."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise invalid("a list is expected")
    return [as_object(item) for item in value]
