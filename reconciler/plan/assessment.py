"""The Assessment: the result of judging everything once in a run, as rows that every report reads.

Values only. `assess.py` makes them. Plan, status, explain, drift and the metrics are views of them, and decide nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property

from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.values import dataclass
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
    UpdateAddress,
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
    """What must be read before a row can be judged."""

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
    """`change` is made once `condition` holds; `until`: when, if that is known.

    `facts`: the values for the sentence that `wording.wait_text` writes, by name.
    """

    change: Change
    condition: Condition
    until: datetime | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Held:
    """Errors prevent a change; ValueError if there are none. `change`: the one that they prevent, if it is known."""

    by: tuple[Diagnostic, ...]
    change: Change | None = None

    def __post_init__(self) -> None:
        if not self.by:
            raise ValueError("a row can't be held without a finding")


@dataclass(frozen=True, slots=True)
class Unseen:
    """It can't be judged before something is read."""

    need: Need
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """It is not changed, because this stack does not manage it, or it is current. `owner`: its certificate, if any."""

    role: Role
    owner: CertificateName | None = None


Verdict = UpToDate | Pending | Waits | Held | Unseen | Kept


# --- rows -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CertificateRow:
    """One declared certificate. `bundle` None: its file can't be used. `entry`: its current one, if it is uploaded.

    `ours`: that entry has a mark of this stack. `same_content`: all certificates with its content, itself included.
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
    """One binding, declared or found, or both.

    `entry`: the uploaded certificate with the ID that was found; `owner`: the declared or former certificate that it is
    of. `wanted`: the ID that the binding should have; None if it is not known yet. `table`: the keys that lead to its
    list in the wrangler file. `elsewhere`: it belongs to another account. `findings`: warnings about it.
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
        """The declared certificate that it should use; None if it is not declared by name."""
        target = self.target
        return target.certificate if isinstance(target, ByCertificate) else None

    @property
    def target(self) -> ByCertificate | ById | None:
        """What mtls.toml declares it to use."""
        return self.declared.target if self.declared is not None else None

    @property
    def found_id(self) -> str | None:
        """The ID in the wrangler file."""
        return self.found.certificate_id if self.found is not None else None

    @property
    def index(self) -> int:
        """Its index in its list; 0 if it was not found."""
        return self.found.index if self.found is not None else 0

    @property
    def is_preview(self) -> bool:
        """Whether it is one of `previews`, which can't be declared."""
        return self.table == ("previews",)

    @property
    def text(self) -> str:
        """The binding with its place, for a sentence."""
        where = "previews" if self.is_preview else environment_text(self.at.environment)
        return f"{self.at.binding} in {self.at.config} ({where})"

    @property
    def pointer(self) -> Pointer:
        """Where its ID is in the wrangler file; the place of its list if it was not found."""
        keys = (*self.table, "mtls_certificates")
        return Pointer(self.at.config, (*keys, self.found.index, "certificate_id") if self.found else keys)


@dataclass(frozen=True, slots=True)
class UpdateRow:
    """One declared field of one Hyperdrive configuration, or the hostnames of a zone that are to trust one CA.

    `certificate`: the declared one that it should use; None for `sslmode`. `found_id` and `wanted`: IDs, or modes.
    `entry`: the uploaded certificate that it uses; `owner`: the declared or former certificate that this is of.
    `names`: the declared hostnames; `lacking`: those that do not trust the wanted CA, though others may.
    """

    at: UpdateAddress
    certificate: CertificateName | None
    found_id: str | None
    entry: Entry | None
    owner: CertificateName | None
    wanted: str | None
    verdict: Verdict
    pointer: Pointer
    names: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    declared = True
    elsewhere = False

    @property
    def target(self) -> ByCertificate | None:
        """What mtls.toml declares it to use."""
        return ByCertificate(self.certificate) if self.certificate is not None else None

    @property
    def text(self) -> str:
        """The field with its configuration, for a sentence."""
        return self.at.text


UserRow = BindingRow | UpdateRow
"""A user of a certificate: it uses one, and should use one."""


def uses_text(row: UserRow) -> str:
    """A user and its verb, for a sentence: `BILLING in wrangler.toml (top level) uses`."""
    return f"{row.text} {'use' if isinstance(row, UpdateRow) and row.names else 'uses'}"


@dataclass(frozen=True, slots=True)
class SiteRow:
    """One declared environment of one wrangler file. `file` None: it was not read, or lacks the environment.

    `live`: the certificates that the live versions of its Worker use, one row for each binding; () if not read.
    """

    at: SiteAddress
    worker: DeclaredWorker
    file: WranglerFile | None
    live: tuple[LiveBinding, ...]
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One entry. `owner`: the declared or former certificate that it is of. `reason` and `successor`: only of one that
    leaves."""

    entry: Entry
    role: Role
    owner: CertificateName | None
    verdict: Verdict
    reason: Reason | None = None
    successor: Entry | None = None


@dataclass(frozen=True, slots=True)
class ByIdRow:
    """One uploaded certificate that bindings use by its ID, and that is not current for a declared certificate.

    `entry` None: it was not found, or the list was not read. `owner`: the certificate of this stack, if it is an old
    one of it. `mark`: the stack and name under which it was uploaded. `renew_from`: when its renewal is due by the
    policy. `newer`: a later upload under the same name. `bindings`: those that use it, or are declared to use it.
    `findings`: warnings about it.
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
        """When it expires; None if unknown."""
        return self.window.ends

    def has_ended(self, now: datetime) -> bool:
        """Whether it is known to have expired; it is still valid in its last second."""
        return self.window.has_ended(now)

    def is_due(self, now: datetime) -> bool:
        """Whether its renewal is due; also True if it has expired."""
        return self.has_ended(now) or (self.renew_from is not None and self.renew_from <= now)


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """The options of a run. `skip_grace`: the certificate or ID whose grace period is skipped. `ignore_rollback`: the
    one that is deleted even if a rollback could restore a version that uses it.

    `deploy`: which Workers are deployed if their live version differs. `patience`: how long this run waits until a
    certificate is valid. `every_condition`: check all conditions of every old entry, also those after the first that
    does not hold. `prune`: this run was told to retire what mtls.toml no longer declares. `take_over`: the former
    stacks whose entries it may retire.

    `unprotected`: the protected names whose entries it may retire. `allow_empty`: it may remove all if mtls.toml
    declares nothing. `freeze_reason`: why it makes changes during a freeze.
    """

    skip_grace: str | None = None
    ignore_rollback: str | None = None
    deploy: DeployChoice = NOBODY
    patience: timedelta = timedelta(0)
    every_condition: bool = False
    prune: bool = False
    take_over: frozenset[str] = frozenset()
    unprotected: frozenset[str] = frozenset()
    allow_empty: bool = False
    freeze_reason: str | None = None


NO_OPTIONS = PlanOptions()


@dataclass(frozen=True, slots=True)
class Looks:
    """What must be read next: the tree for these IDs, live Workers for these entries."""

    tree: tuple[EntryId, ...] = ()
    live: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class Assessment:
    """All rows and findings. `inventory` None: offline. `previews`: bindings of Worker Previews, never written.

    `found`, `found_live`, `limits`: findings about files and entries, about live Workers, and about limits.
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
    updates: tuple[UpdateRow, ...] = ()

    @property
    def findings(self) -> tuple[Diagnostic, ...]:
        """Every finding, in the order shown, including those of rows."""
        return (*self.found, *self.found_live, *self.limits)

    @property
    def rows(self) -> Iterator[CertificateRow | BindingRow | SiteRow | UpdateRow | EntryRow]:
        """Every row that has a verdict."""
        yield from self.certificates
        yield from self.bindings
        yield from self.sites
        yield from self.updates
        yield from self.entries

    @property
    def users(self) -> tuple[UserRow, ...]:
        """The bindings, the Hyperdrive configurations, and the hostnames."""
        return (*self.bindings, *self.updates)

    @cached_property
    def pending(self) -> tuple[Change, ...]:
        """The change of each row that has one."""
        return tuple(row.verdict.change for row in self.rows if isinstance(row.verdict, Pending))

    @cached_property
    def by_name(self) -> Mapping[CertificateName, CertificateRow]:
        """The row of each declared certificate."""
        return {row.name: row for row in self.certificates}

    @cached_property
    def by_entry(self) -> Mapping[EntryId, EntryRow]:
        """The row of each entry, by its ID."""
        return {row.entry.id: row for row in self.entries}

    @cached_property
    def uses(self) -> Mapping[str, tuple[BindingRow, ...]]:
        """The bindings that have an ID in their wrangler file, by that ID; with previews, without other accounts."""
        found: dict[str, list[BindingRow]] = defaultdict(list)
        for row in (*self.bindings, *self.previews):
            if row.found is not None and not row.elsewhere:
                found[row.found.certificate_id].append(row)
        return {text: tuple(sorted(rows, key=place_of)) for text, rows in found.items()}

    @cached_property
    def names(self) -> Mapping[EntryId, CertificateName]:
        """The declared or former certificate of each entry that is current or managed by this stack."""
        current = {row.entry.id: row.name for row in sorted(self.certificates, key=_name, reverse=True) if row.entry}
        return {**(self.inventory.owned if self.inventory else {}), **current}

    @property
    def live(self) -> tuple[LiveBinding, ...]:
        """The certificates that live Workers use, one row for each binding; () if they were not read."""
        return tuple(row for site in self.sites for row in site.live)

    def entry(self, text: str) -> Entry | None:
        """The entry with an ID, from the list or from the request for that ID alone (rule 6); None if unknown."""
        listed = self.by_entry.get(EntryId(text))
        return listed.entry if listed is not None else self.actual.asked.get(EntryId(text))


def _name(row: CertificateRow) -> str:
    return row.name


def place_of(row: BindingRow) -> tuple[str, tuple[str, ...], int]:
    """The sort key of a binding: its place."""
    return row.at.config, row.table, row.found.index if row.found else -1
