"""Everything that a plan looks at, gathered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.model.found import Entry, Listing, Sweep, WranglerFile
from reconciler.model.live import Live
from reconciler.model.words import EntryId, WorkerLabel


@dataclass(frozen=True, slots=True)
class Actual:
    """What is there. `listing` None: an offline plan, the store was not asked.

    `asked` has the answers for ids that a file names and the list lacks. `sweep` None: nothing was to be retired.
    `live` None: nobody wanted to know what serves.
    """

    files: Mapping[WorkerLabel, WranglerFile]
    listing: Listing | None
    asked: Mapping[EntryId, Entry | None] = field(default_factory=dict)
    sweep: Sweep | None = None
    live: Live | None = None
