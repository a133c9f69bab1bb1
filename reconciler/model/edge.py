"""Throw-away Workers that call an origin from Cloudflare's edge: their names, and the port to the account."""

from __future__ import annotations

import re
from dataclasses import field
from datetime import timedelta
from typing import Protocol

from reconciler.findings.values import dataclass
from reconciler.model.errors import StoreRefused
from reconciler.model.words import EntryId

OLDEST = timedelta(hours=1)
"""A throw-away Worker that is older was left by a run that ended early. No run needs one for longer: of this hour, it
may wait a quarter for Cloudflare's rate limit."""

BINDING, SECRET, URL, TIMEOUT = "MY_CERT", "SECRET", "URL", "TIMEOUT_MS"
BINDINGS = frozenset({BINDING, SECRET, URL, TIMEOUT})
"""The names of all bindings of a throw-away Worker."""


def probe_name(stack: str, random: str) -> str:
    """The name of a throw-away Worker: at most 59 characters, of the 63 that a host name may have in one part.

    `random`: 12 digits in lower-case hex.
    """
    return f"mtlsctl-probe-{stack}-{random}"


def is_probe_name(name: str, stack: str) -> bool:
    """Whether a throw-away Worker of this stack may have this name. A name of another stack never fits."""
    return re.fullmatch(probe_name(re.escape(stack), "[0-9a-f]{12}"), name) is not None


@dataclass(frozen=True, slots=True)
class ListedWorker:
    """A Worker of the account. `age`: since it was created, by Cloudflare's clock; None if unknown."""

    name: str
    age: timedelta | None


@dataclass(frozen=True, slots=True)
class ProbeWorker:
    """A throw-away Worker to deploy. It answers only to requests with `secret`."""

    name: str
    source: bytes = field(repr=False)
    certificate: EntryId
    url: str
    timeout_ms: int
    secret: str = field(repr=False)


class EntryUnseen(StoreRefused):
    """100143: Workers don't know the certificate; for some seconds after its upload that is normal."""


class EdgeAccount(Protocol):
    """The throw-away Workers of an account. Each method is one effect; StoreError if it fails."""

    def demand_subdomain(self) -> None:
        """Read the account's subdomain of workers.dev, which `call` needs; StoreError if it has none."""

    def workers(self) -> tuple[ListedWorker, ...]:
        """Every Worker of the account."""

    def has_probe_bindings(self, name: str) -> bool:
        """Whether a Worker has the bindings of a throw-away Worker, and no other. False if it does not exist."""

    def deploy(self, worker: ProbeWorker) -> None:
        """Deploy it, under a name that no Worker has. EntryUnseen if Workers don't know the certificate yet."""

    def publish(self, name: str) -> None:
        """Let it be called on workers.dev, without preview URLs."""

    def call(self, name: str, secret: str) -> bytes:
        """Its answer. ReconcilerError if something else answered, or nothing, as in the first seconds."""

    def delete(self, name: str) -> None:
        """Delete it. No error if it does not exist."""
