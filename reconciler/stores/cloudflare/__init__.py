"""The Cloudflare store: the certificates of one account, over the API.

access.py reads the environment, client.py speaks HTTP inside the limit of rate.py, errors.py puts refusals into words,
wire.py parses; listing.py, live.py and rights.py read, store.py has the ports. Only this package may import httpx.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from reconciler.findings.diagnostics import Diagnostic
from reconciler.model import StoreSettings
from reconciler.model.ports import Clock
from reconciler.stores import StoreContext
from reconciler.stores.cloudflare.access import GLOBAL_KEY, Access, find_access
from reconciler.stores.cloudflare.client import DEFAULT_BOUNDS, Bounds, Client, Time
from reconciler.stores.cloudflare.rights import examine
from reconciler.stores.cloudflare.store import CloudflareReader, CloudflareStore


def connect(settings: StoreSettings, *, root: Path, clock: Clock, context: StoreContext) -> CloudflareConnection:  # noqa: ARG001 - as StoreRoom
    """The way to one account. StoreError for a bad token, account or address; makes no call."""
    access = find_access(settings, context.environ)
    if access.has_global_key:
        context.tell(f"{GLOBAL_KEY} is set, too: mtlsctl uses the token alone, and wrangler would use that key")
    bounds = Bounds(max_wait_s=context.max_wait_s, run_s=DEFAULT_BOUNDS.run_s + context.max_wait_s)
    client = Client(access, Time(now=clock.now), bounds=bounds, tell=context.tell)
    return CloudflareConnection(client, access)


class CloudflareConnection:
    """One account for one run: one client, so one rate limit, one patience, and each version of a Worker read once."""

    def __init__(self, client: Client, access: Access) -> None:
        self._client = client
        self._access = access
        self._reader = CloudflareReader(client, access.certificates_path, random.random)

    def reader(self) -> CloudflareReader:
        """The reading half."""
        return self._reader

    def store(self) -> CloudflareStore:
        """The whole store. The time that a run may take begins anew: a person may have thought about the plan."""
        self._client.begin_anew()
        return CloudflareStore(self._client, self._access.certificates_path, random.random, lists=self._reader.lists)

    def examine(self, *, cas: bool, pages: bool) -> Iterator[Diagnostic]:
        """As `Connection`."""
        return examine(self._client, self._access, cas=cas, pages=pages)
