"""The Cloudflare store: the certificates of one account, over the API.

access.py reads the environment, client.py sends HTTP within the rate limit of rate.py, errors.py explains refusals,
wire.py parses; listing.py, live.py and rights.py read, store.py has the ports.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from reconciler.findings.diagnostics import Diagnostic
from reconciler.model import StoreSettings
from reconciler.model.ports import Clock
from reconciler.stores import Connection, StoreContext, Uses
from reconciler.stores.cloudflare.access import GLOBAL_KEY, Access, find_access
from reconciler.stores.cloudflare.client import DEFAULT_BOUNDS, Bounds, Client, Time, Turns
from reconciler.stores.cloudflare.edge import CloudflareEdge
from reconciler.stores.cloudflare.rights import examine
from reconciler.stores.cloudflare.store import CloudflareReader, CloudflareStore


def connect(
    settings: StoreSettings, *, root: Path, clock: Clock, context: StoreContext, beside: Connection | None = None
) -> CloudflareConnection:
    """A connection to one account. StoreError for an invalid token, account or address. Makes no call."""
    access = find_access(settings, context.environ, root, context.token_name)
    if isinstance(beside, CloudflareConnection) and beside.has_token_of(access):
        return beside.to(access)
    if access.has_global_key:
        context.tell(f"{GLOBAL_KEY} is set, too: mtlsctl uses only the token, but wrangler would use that key")
    bounds = Bounds(max_wait_s=context.max_wait_s, run_s=DEFAULT_BOUNDS.run_s + context.max_wait_s)
    turns = beside.turns if isinstance(beside, CloudflareConnection) else None
    client = Client(
        access,
        Time(now=clock.now),
        bounds=bounds,
        tell=context.tell,
        progress=context.progress,
        turns=turns,
        shared=context.budget,
    )
    return CloudflareConnection(client, access)


class CloudflareConnection:
    """One account for one run: each Worker version is read once. All accounts of a run have one client, so one rate
    limit and one time limit."""

    def __init__(self, client: Client, access: Access) -> None:
        self._client = client
        self._access = access
        self._reader = CloudflareReader(client, access.certificates_path, random.random)

    @property
    def turns(self) -> Turns:
        """The rate limit."""
        return self._client.turns

    def has_token_of(self, access: Access) -> bool:
        """Whether its token is that of another access."""
        return access.token == self._access.token

    def to(self, access: Access) -> CloudflareConnection:
        """The connection to another account, with the same client."""
        self._client.know(access)
        return CloudflareConnection(self._client, access)

    def reader(self) -> CloudflareReader:
        """The read-only part."""
        return self._reader

    def store(self) -> CloudflareStore:
        """The whole store. Restarts the time limit of the run, because a person may have spent time on the plan."""
        self._client.begin_anew()
        return CloudflareStore(self._client, self._access.certificates_path, random.random, lists=self._reader.lists)

    def edge(self) -> CloudflareEdge:
        """Throw-away Workers of the account, with the same client."""
        return CloudflareEdge(self._client, self._access, random.random)

    def examine(self, uses: Uses) -> Iterator[Diagnostic]:
        """As `Connection`."""
        return examine(self._client, self._access, uses)
