"""What one run over several stacks knows of each account: its list, which is read once, and the places in its quota
that the stacks before have planned to use."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import field, replace
from datetime import datetime
from pathlib import Path

from reconciler.findings.values import dataclass
from reconciler.model import Change, Declaration, Listing, StoreSettings, Upload
from reconciler.stores import Connections

Account = tuple[str, str | None, str | None]


def account_of(settings: StoreSettings, folder: Path) -> Account:
    """What tells accounts apart: their ID, or the folder of a local store."""
    local = None if settings.kind.traits.has_accounts else os.path.realpath(folder)
    return settings.kind, settings.account_id, local


@dataclass(slots=True)
class _Page:
    """What is known of one account; `read`: when the reading of its list began."""

    listing: Listing | None = None
    read: datetime | None = None
    taken: Counter[bool] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Ledger:
    """Shared by the projects of one run.

    A planned upload keeps its place even if it fails or its certificate is deleted again: so the plans that are shown
    together fit into the quota together.
    """

    connections: Connections
    pages: dict[Account, _Page] = field(default_factory=dict)

    def listing(self, account: Account) -> Listing | None:
        """The list, with the places that are taken; None if it must be read."""
        page = self._page(account)
        return None if page.listing is None else replace(page.listing, taken=dict(page.taken))

    def read_at(self, account: Account) -> datetime | None:
        """When the list was read."""
        return self._page(account).read

    def keep(self, account: Account, listing: Listing, began: datetime) -> Listing:
        """Remember a list that was just read, and give it with the places that are taken."""
        page = self._page(account)
        page.listing, page.read = replace(listing, taken={}), began
        return replace(listing, taken=dict(page.taken))

    def forget(self, account: Account) -> None:
        """Have the list read again."""
        page = self._page(account)
        page.listing = page.read = None

    def take(self, account: Account, changes: Iterable[Change], declaration: Declaration) -> None:
        """Count the uploads of a plan."""
        uploads = (one for one in changes if isinstance(one, Upload))
        self._page(account).taken.update(declaration.certificates[one.certificate].ca for one in uploads)

    def _page(self, account: Account) -> _Page:
        return self.pages.setdefault(account, _Page())
