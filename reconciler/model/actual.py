"""The observed state that a plan is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from reconciler.findings.values import dataclass
from reconciler.model.found import BrokenFile, Entry, Listing, Sweep, WranglerFile
from reconciler.model.hostnames import FoundZone
from reconciler.model.hyperdrive import Hyperdrives
from reconciler.model.live import Live
from reconciler.model.words import EntryId, WorkerLabel


@dataclass(frozen=True, slots=True)
class Actual:
    """The observed state. `listing` is None in an offline plan, which does not read the store.

    `asked` has the answers for IDs of bindings that the list lacks, `unasked` those that were too many to be
    requested. `sweep` is None if nothing would be retired, `live` is None if live Workers were not checked. `broken`:
    the declared wrangler files that can't be used. `hyperdrives` is None if none is declared, and so is
    `zones`, which is in the order of mtls.toml.
    """

    files: Mapping[WorkerLabel, WranglerFile]
    listing: Listing | None
    asked: Mapping[EntryId, Entry | None] = field(default_factory=dict)
    sweep: Sweep | None = None
    live: Live | None = None
    unasked: frozenset[EntryId] = frozenset()
    broken: Mapping[WorkerLabel, BrokenFile] = field(default_factory=dict)
    hyperdrives: Hyperdrives | None = None
    zones: tuple[FoundZone, ...] | None = None
