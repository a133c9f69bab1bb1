"""The Cloudflare store: the certificates of one account, over the API.

access.py knows the environment, client.py speaks HTTP inside the limit of rate.py, errors.py puts refusals into words,
wire.py parses; store.py is the port. Only this package may import httpx.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import TypeVar

from reconciler.core.model import StoreSettings
from reconciler.core.ports import Clock, Store, StoreReader
from reconciler.stores.cloudflare.access import find_access
from reconciler.stores.cloudflare.client import Client, Time
from reconciler.stores.cloudflare.http import Bounds
from reconciler.stores.cloudflare.reader import CloudflareReader
from reconciler.stores.cloudflare.store import CloudflareStore
from reconciler.stores.surroundings import Surroundings


def open_reader(settings: StoreSettings, *, root: Path, clock: Clock, around: Surroundings) -> StoreReader:  # noqa: ARG001 - as StoreRoom
    """The reading half. StoreError for a bad token, account or address; makes no call."""
    return _open(CloudflareReader, settings, clock, around)


def open_store(settings: StoreSettings, *, root: Path, clock: Clock, around: Surroundings) -> Store:  # noqa: ARG001
    """The whole store; otherwise as `open_reader`."""
    return _open(CloudflareStore, settings, clock, around)


_R = TypeVar("_R", bound=CloudflareReader)


def _open(kind: type[_R], settings: StoreSettings, clock: Clock, around: Surroundings) -> _R:
    access = find_access(settings, around.environ)
    bounds = Bounds(max_wait_s=around.max_wait_s)
    client = Client(access, Time(now=clock.now), bounds=bounds, tell=around.tell)
    return kind(client, access.certificates_path, random.random)
