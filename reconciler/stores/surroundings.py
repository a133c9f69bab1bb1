"""What a store may use of the world around it, beside its own server or file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


def _silent(_: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The environment, and how a wait for a server is dealt with.

    `max_wait_s` is how long a run may wait for rate limits in all: 15 minutes outlast Cloudflare's block of five.
    `tell` is given each wait in words, and what a person should know of the environment.
    """

    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    max_wait_s: float = 900.0
    tell: Callable[[str], None] = _silent
