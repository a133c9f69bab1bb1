"""The Assessment: the one judgement of the world in a run, as rows that every report reads.

Values only. `assess.py` makes them; a plan, a status, an explanation, a drift and the metrics are views of them and
judge nothing again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property

from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.model import (
    Actual,
    BindingAddress,
    ByCertificate,
    ById,
    CertificateName,
    Change,
    Condition,
    DeclaredBinding,
    DeclaredCertificate,
    DeclaredWorker,
    Desired,
    Entry,
    EntryId,
    FoundBinding,
    Reason,
    SiteAddress,
    WranglerFile,
    environment_text,
)
from reconciler.model.ownership import Mark
from reconciler.plan.inventory import Inventory, Role
from reconciler.plan.live import NOBODY, DeployChoice, LiveBinding
from reconciler.plan.renewals import Due
from reconciler.x509.certificates import Bundle
from reconciler.x509.chains import Window

# --- verdicts -------------------------------------------------------------------------------------------------------


class Need(StrEnum):
    """What has to be looked at before a row can be judged."""

    STORE = "store"
    FILE = "file"
    TREE = "tree"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class UpToDate:
    """Nothing differs."""


@dataclass(frozen=True, slots=True)
class Pending:
    """`change` would be made: the only source of a plan's changes."""

    change: Change


@dataclass(frozen=True, slots=True)
class Waits:
    """`change` is to be made, but not before `condition` holds; `until` where a time is known.

    `facts` are what a sentence about it needs, by name; `wording.wait_text` writes it.
    """

    change: Change
    condition: Condition
    until: datetime | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Held:
    """Errors stand in the way. ValueError where there are none: nothing is ever held without a finding.

    `change`: what would be made without them, where that is known.
    """

    by: tuple[Diagnostic, ...]
    change: Change | None = None

    def __post_init__(self) -> None:
        if not self.by:
            raise ValueError("a row is held by findings, never by none")


@dataclass(frozen=True, slots=True)
class Unseen:
    """It can't be judged before something is looked at."""

    need: Need
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """It stays as it is, for it is not ours to change. `owner`: the certificate that it is of, where it is of one."""

    role: Role
    owner: CertificateName | None = None


Verdict = UpToDate | Pending | Waits | Held | Unseen | Kept


# --- rows -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CertificateRow:
    """One declared certificate. Without a `bundle` its file can't be used. `entry`: its current one, if it is stored.

    `ours`: that entry is under a mark of this stack. `same_content`: all certificates with its content, itself too.
    """

    declared: DeclaredCertificate
    bundle: Bundle | None
    entry: Entry | None
    ours: bool
    due: Due | None
    same_content: tuple[CertificateName, ...]
    verdict: Verdict

    @property
    def name(self) -> CertificateName:
        """Its name in mtls.toml."""
        return self.declared.name


@dataclass(frozen=True, slots=True)
class BindingRow:
    """One binding, declared or found, or both. `entry`: what the store has under the id found; `owner`: the declared
    or former certificate that this entry is of.

    `wanted`: the id that it should have, None where that is not known yet. `table`: the keys that lead to its list in
    the wrangler file. `elsewhere`: it is of another account than the store. `findings`: warnings about it.
    """

    at: BindingAddress
    table: tuple[str, ...]
    declared: DeclaredBinding | None
    found: FoundBinding | None
    entry: Entry | None
    owner: CertificateName | None
    wanted: EntryId | None
    verdict: Verdict
    elsewhere: bool = False
    findings: tuple[Diagnostic, ...] = ()

    @property
    def certificate(self) -> CertificateName | None:
        """The declared certificate that it should use, where it is declared by name."""
        target = self.target
        return target.certificate if isinstance(target, ByCertificate) else None

    @property
    def target(self) -> ByCertificate | ById | None:
        """What mtls.toml declares it to use."""
        return self.declared.target if self.declared is not None else None

    @property
    def found_id(self) -> str | None:
        """The id that the wrangler file has."""
        return self.found.certificate_id if self.found is not None else None

    @property
    def index(self) -> int:
        """Its place in its list, from 0; of one that is not found, 0."""
        return self.found.index if self.found is not None else 0

    @property
    def is_preview(self) -> bool:
        """Whether it is one of `previews`, which nobody declares."""
        return self.table == ("previews",)

    @property
    def text(self) -> str:
        """The binding with its place, for a sentence."""
        where = "previews" if self.is_preview else environment_text(self.at.environment)
        return f"{self.at.binding} in {self.at.config} ({where})"

    @property
    def pointer(self) -> Pointer:
        """Where its id is in the wrangler file; of one that is not found, where its list would be."""
        keys = (*self.table, "mtls_certificates")
        return Pointer(self.at.config, (*keys, self.found.index, "certificate_id") if self.found else keys)


@dataclass(frozen=True, slots=True)
class SiteRow:
    """One declared environment of one wrangler file. `file` None: it was not read, or lacks the environment.

    `live`: what the live versions of its Worker use, a row a binding; () where nobody looked.
    """

    at: SiteAddress
    worker: DeclaredWorker
    file: WranglerFile | None
    live: tuple[LiveBinding, ...]
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One entry of the store. `owner`: the declared or former certificate that it is of. `reason` and `successor` of
    one that is to leave."""

    entry: Entry
    role: Role
    owner: CertificateName | None
    verdict: Verdict
    reason: Reason | None = None
    successor: Entry | None = None


@dataclass(frozen=True, slots=True)
class ByIdRow:
    """One uploaded certificate that bindings name by its id, and that is the current one of no declared certificate.

    `entry` None: it is not found, or the store was not asked. `owner`: the certificate of this stack that it is an old
    one of. `mark`: under which stack and name it was uploaded. `renew_from`: when its renewal falls due by the policy.
    `newer`: what was uploaded later under the same name. `bindings`: those that use it or are declared to. `findings`:
    warnings about it.
    """

    id: EntryId
    entry: Entry | None
    role: Role
    owner: CertificateName | None
    mark: Mark | None
    renew_from: datetime | None
    newer: Entry | None
    bindings: tuple[BindingRow, ...]
    window: Window
    findings: tuple[Diagnostic, ...] = ()

    @property
    def not_after(self) -> datetime | None:
        """When it ends; None where that is not known."""
        return self.window.ends

    def has_ended(self, now: datetime) -> bool:
        """Whether it is known to have ended; the last second is valid still."""
        return self.window.has_ended(now)

    def is_due(self, now: datetime) -> bool:
        """Whether its renewal is due; what has ended is due too."""
        return self.has_ended(now) or (self.renew_from is not None and self.renew_from <= now)


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What a run wants. `skip_grace`: the certificate or id whose grace is skipped, and nothing else.

    `deploy`: which Workers are deployed where their live version differs. `patience`: a certificate that begins within
    this time is waited for in this run.
    """

    skip_grace: str | None = None
    deploy: DeployChoice = NOBODY
    patience: timedelta = timedelta(0)


NO_OPTIONS = PlanOptions()


@dataclass(frozen=True, slots=True)
class Looks:
    """What has to be looked at next: the tree for these ids, what is live for these entries."""

    tree: tuple[EntryId, ...] = ()
    live: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class Assessment:
    """Everything that was judged. `inventory` None: offline. `previews`: bindings of Worker Previews, never written.

    `found`, `found_live`, `limits`: findings of files and store, of what is live, and of limits.
    """

    desired: Desired
    actual: Actual
    now: datetime
    ask: PlanOptions
    inventory: Inventory | None
    certificates: tuple[CertificateRow, ...]
    sites: tuple[SiteRow, ...]
    bindings: tuple[BindingRow, ...]
    previews: tuple[BindingRow, ...]
    entries: tuple[EntryRow, ...]
    by_id: tuple[ByIdRow, ...]
    found: tuple[Diagnostic, ...]
    found_live: tuple[Diagnostic, ...] = ()
    limits: tuple[Diagnostic, ...] = ()

    @property
    def findings(self) -> tuple[Diagnostic, ...]:
        """Every finding, in the order shown, those of rows among them."""
        return (*self.found, *self.found_live, *self.limits)

    @property
    def rows(self) -> Iterator[CertificateRow | BindingRow | SiteRow | EntryRow]:
        """Every row that has a verdict."""
        yield from self.certificates
        yield from self.bindings
        yield from self.sites
        yield from self.entries

    @cached_property
    def by_name(self) -> Mapping[CertificateName, CertificateRow]:
        """The row of each declared certificate."""
        return {row.name: row for row in self.certificates}

    @cached_property
    def by_entry(self) -> Mapping[EntryId, EntryRow]:
        """The row of each entry of the store."""
        return {row.entry.id: row for row in self.entries}

    @cached_property
    def uses(self) -> Mapping[str, tuple[BindingRow, ...]]:
        """By id the bindings that are found with it, previews among them; those of other accounts left out."""
        found: dict[str, list[BindingRow]] = defaultdict(list)
        for row in (*self.bindings, *self.previews):
            if row.found is not None and not row.elsewhere:
                found[row.found.certificate_id].append(row)
        return {text: tuple(sorted(rows, key=place_of)) for text, rows in found.items()}

    @cached_property
    def names(self) -> Mapping[EntryId, CertificateName]:
        """The declared or former certificate of each entry that is current or ours."""
        current = {row.entry.id: row.name for row in sorted(self.certificates, key=_name, reverse=True) if row.entry}
        return {**(self.inventory.owned if self.inventory else {}), **current}

    @property
    def live(self) -> tuple[LiveBinding, ...]:
        """What live Workers use, binding by binding; () where nobody looked."""
        return tuple(row for site in self.sites for row in site.live)

    def entry(self, text: str) -> Entry | None:
        """The entry of an id: from the list, or from the one question that was asked for it (rule 6)."""
        listed = self.by_entry.get(EntryId(text))
        return listed.entry if listed is not None else self.actual.asked.get(EntryId(text))


def _name(row: CertificateRow) -> str:
    return row.name


def place_of(row: BindingRow) -> tuple[str, tuple[str, ...], int]:
    """Where a binding is, to sort by."""
    return row.at.config, row.table, row.found.index if row.found else -1
