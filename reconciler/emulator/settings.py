"""What can be set about the emulator while it runs."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from reconciler.emulator.wire import Json


@dataclass(slots=True)
class Settings:
    """Seconds of lag, quotas, and the answers of which more than one is known.

    `latency_s` passes before each reply. `list_lag_s`: how long an upload stays out of the list. `binding_lag_s`: how
    long no version may name it (100143). `in_use_lag_s`: how long it can't be deleted after its last use.
    `already_deleted`: whether a second delete answers so, instead of with 1472. `most_per_page` cuts what a client asks
    for. `held_by`: whether versions that are not deployed hold a certificate, too; nobody has published that.
    """

    latency_s: float = 0.0
    list_lag_s: float = 0.0
    binding_lag_s: float = 0.0
    in_use_lag_s: float = 0.0
    already_deleted: bool = False
    leaf_limit: int = 1000
    per_page: int = 50
    most_per_page: int = 1000
    name_filter: Literal["exact", "substring"] = "exact"
    held_by: Literal["deployed", "every-version"] = "deployed"

    def change(self, values: object) -> None:
        """Set fields by name, from JSON. ValueError, and nothing is set, where one does not fit."""
        given: Json = {}
        problems: list[str | None] = ["settings are a JSON object"]
        match values:
            case dict():
                given = values
                problems = [_problem(name, value) for name, value in given.items()]
        problem = next(filter(None, problems), None)
        if problem is not None:
            raise ValueError(problem)
        for name, value in given.items():
            setattr(self, name, value)


_WORDS = {"name_filter": ("exact", "substring"), "held_by": ("deployed", "every-version")}
_SECONDS = ("latency_s", "list_lag_s", "binding_lag_s", "in_use_lag_s")
_NAMES = tuple(field.name for field in fields(Settings))


def _problem(name: str, value: object) -> str | None:
    if name not in _NAMES:
        return f"there is no setting {name!r}, only {', '.join(_NAMES)}"
    if name in _WORDS:
        return None if value in _WORDS[name] else f"{name} is one of {', '.join(_WORDS[name])}"
    if name == "already_deleted":
        return None if isinstance(value, bool) else f"{name} is true or false"
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        return f"{name} is a number from 0"
    return None if name in _SECONDS or isinstance(value, int) else f"{name} is a whole number"
