"""The nouns: what is declared, what is there, what changes. Values only; nothing here reads or decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from reconciler.core.certificates import Bundle, parse_stored

CertificateName = NewType("CertificateName", str)
EntryId = NewType("EntryId", str)
WorkerLabel = NewType("WorkerLabel", str)
BindingName = NewType("BindingName", str)

EnvironmentName = str | None
"""None is the top level of a wrangler file."""


# --- declared -------------------------------------------------------------------------------------------------------


class StoreKind(StrEnum):
    """Which certificate store a file talks to."""

    LOCAL = "local"
    CLOUDFLARE = "cloudflare"


CA_LIMIT = 5
"""Custom CA certificates that an account may hold, shared with API Shield and Gateway (Cloudflare's error 1489)."""


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """`[store]`. `limit` is the leaf quota, 1,000 unless Cloudflare raised the account's."""

    kind: StoreKind = StoreKind.LOCAL
    account_id: str | None = None
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class RenewBefore:
    """How long before its end a certificate is due: a duration, or a share (0 to 1) of its lifetime."""

    duration: timedelta | None = None
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """`[policy]`, with the defaults of the format. `renew_before` None: the smaller of 30 days and a third."""

    renew_before: RenewBefore | None = None
    grace: timedelta = timedelta(days=7)
    prune: bool = False
    max_deletes: int = 10


@dataclass(frozen=True, slots=True)
class KeyReference:
    """Where a private key is, not the key: the name of a key source and that source's own options."""

    source: str
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DeclaredCertificate:
    """One `[certificates.NAME]`. `path` is as written, relative to the folder of mtls.toml."""

    name: CertificateName
    path: str
    key: KeyReference | None = None
    ca: bool = False
    verify: str | None = None
    supersedes: tuple[str, ...] = ()
    renew_before: RenewBefore | None = None
    grace: timedelta | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class ByCertificate:
    """A binding presents a declared certificate."""

    certificate: CertificateName


@dataclass(frozen=True, slots=True)
class ById:
    """A binding presents an entry that is managed elsewhere."""

    id: EntryId


@dataclass(frozen=True, slots=True)
class DeclaredBinding:
    """One line of a bindings table. `remote`, for local development, is left as found where it is not declared."""

    binding: BindingName
    target: ByCertificate | ById
    remote: bool | None = None


@dataclass(frozen=True, slots=True)
class DeclaredWorker:
    """One `[workers.LABEL]`. `environments` has exactly the tables that stand in the file, empty ones too."""

    label: WorkerLabel
    config: str
    exclusive: bool = True
    environments: Mapping[EnvironmentName, tuple[DeclaredBinding, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Declaration:
    """mtls.toml, read and checked; `path` is its name for diagnostics."""

    path: str
    stack: str
    former_stacks: tuple[str, ...] = ()
    store: StoreSettings = StoreSettings()
    policy: Policy = Policy()
    certificates: Mapping[CertificateName, DeclaredCertificate] = field(default_factory=dict)
    workers: Mapping[WorkerLabel, DeclaredWorker] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Desired:
    """The declaration with the certificates it points to; one without a bundle is blocked, for its file is bad."""

    declaration: Declaration
    bundles: Mapping[CertificateName, Bundle]


# --- there ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entry:
    """What the store holds under one id. Only `id` is sure to be there; times are aware UTC."""

    id: EntryId
    name: str = ""
    ca: bool = False
    certificates: str = field(default="", repr=False)
    type: str = "custom"
    issuer: str = ""
    serial_number: str = ""
    signature: str = ""
    expires_on: datetime | None = None
    uploaded_on: datetime | None = None

    @property
    def bundle(self) -> Bundle | None:
        """The certificates, or None where the store gave text that is none. The same PEM is parsed once a run."""
        return parse_stored(self.certificates)


@dataclass(frozen=True, slots=True)
class Listing:
    """Every entry of the account. Not `stable`: the list moved while it was read, so nothing may be retired by it."""

    entries: tuple[Entry, ...]
    stable: bool = True


@dataclass(frozen=True, slots=True)
class FoundBinding:
    """One entry of `mtls_certificates` in a wrangler file; `index` counts from 0 inside its environment."""

    binding: str
    certificate_id: str
    index: int
    remote: bool = False


@dataclass(frozen=True, slots=True)
class WranglerEnvironment:
    """What one environment of a wrangler file says. `taken` maps the names of its other bindings to their kind."""

    name: EnvironmentName
    bindings: tuple[FoundBinding, ...] = ()
    taken: Mapping[str, str] = field(default_factory=dict)
    account_id: str | None = None

    def find(self, binding: str) -> FoundBinding | None:
        """The binding of this name, if it is there."""
        return next((found for found in self.bindings if found.binding == binding), None)


@dataclass(frozen=True, slots=True)
class Built:
    """What a build tool made of a wrangler file, and wrangler deploys instead: its path and bindings by id."""

    path: str
    bindings: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class WranglerFile:
    """A wrangler file, read. `path` is as `Pointer.path`; `worker_name` is the top level's `name`.

    `previews` are the bindings of Worker Previews, which are read and never written. `pages`: a Pages project.
    `built`: what a redirect leads wrangler to.
    """

    path: str
    environments: Mapping[EnvironmentName, WranglerEnvironment]
    worker_name: str | None = None
    previews: tuple[FoundBinding, ...] | None = None
    pages: bool = False
    built: Built | None = None


@dataclass(frozen=True, slots=True)
class Sweep:
    """Which files name an id, from one look through the tree; not `complete`: some file could not be looked at."""

    mentions: Mapping[EntryId, tuple[str, ...]] = field(default_factory=dict)
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Actual:
    """Everything a plan looks at. `listing` None: an offline plan, the store was not asked.

    `asked` has the answers for ids that a file names and the list lacks. `sweep` None: nothing was to be retired.
    """

    files: Mapping[WorkerLabel, WranglerFile]
    listing: Listing | None
    asked: Mapping[EntryId, Entry | None] = field(default_factory=dict)
    sweep: Sweep | None = None


# --- changes --------------------------------------------------------------------------------------------------------


class Action(StrEnum):
    """What a change does."""

    UPLOAD = "upload"
    BIND = "bind"
    REBIND = "rebind"
    UNBIND = "unbind"
    RETIRE = "retire"


class Phase(StrEnum):
    """The only order there is: create, bind, then retire."""

    UPLOAD = "upload"
    BIND = "bind"
    RETIRE = "retire"


class Reason(StrEnum):
    """Why a change is planned; closed and stable."""

    MISSING = "missing"
    CONTENT_CHANGED = "content-changed"
    PLACEHOLDER_ID = "placeholder-id"
    UNKNOWN_ID = "unknown-id"
    WRONG_ID = "wrong-id"
    REMOTE_DIFFERS = "remote-differs"
    REMOVED = "removed"
    SUPERSEDED = "superseded"
    ORPHANED = "orphaned"


@dataclass(frozen=True, slots=True)
class Difference:
    """One attribute of a certificate that the new one has otherwise; None: the side has no such thing."""

    attribute: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Upload:
    """Put a declared certificate into the store. `name` is the mark it gets; `shared_with` declare the same content."""

    certificate: CertificateName
    digest: str
    name: str
    reasons: tuple[Reason, ...]
    differences: tuple[Difference, ...] = ()
    shared_with: tuple[CertificateName, ...] = ()

    action = Action.UPLOAD
    phase = Phase.UPLOAD


@dataclass(frozen=True, slots=True)
class BindingChange:
    """Add, change or remove one entry of `mtls_certificates`.

    `before` and `after` are ids; `after` None in a bind or rebind: the id is known once `digest` is uploaded.
    `remote` None: not declared, so it stays as it is.
    """

    action: Action
    worker: WorkerLabel
    config: str
    environment: EnvironmentName
    binding: BindingName
    reasons: tuple[Reason, ...]
    certificate: CertificateName | None = None
    digest: str | None = None
    before: str | None = None
    after: EntryId | None = None
    remote: bool | None = None
    differences: tuple[Difference, ...] = ()

    phase = Phase.BIND


@dataclass(frozen=True, slots=True)
class Retire:
    """Delete one entry. `entry` is what was seen, compared again just before the delete."""

    entry: Entry
    certificate: CertificateName
    digest: str
    reasons: tuple[Reason, ...]

    action = Action.RETIRE
    phase = Phase.RETIRE


Change = Upload | BindingChange | Retire


class Condition(StrEnum):
    """What a retire waits for; closed and stable, in the order in which it is shown."""

    PRUNE_OFF = "prune-off"
    SUCCESSOR_MISSING = "successor-missing"
    CONTENT_UNKNOWN = "content-unknown"
    DECLARED_BY_ID = "declared-by-id"
    BINDINGS_PENDING = "bindings-pending"
    BOUND_IN_FILE = "bound-in-file"
    NAMED_IN_FILE = "named-in-file"
    GRACE = "grace"
    LISTING_UNSTABLE = "listing-unstable"
    UNCHECKED = "unchecked"
    MAX_DELETES = "max-deletes"
    IN_USE = "in-use"
    CHANGED_MEANWHILE = "changed-meanwhile"
    NOT_IN_PLAN = "not-in-plan"


@dataclass(frozen=True, slots=True)
class Waiting:
    """An entry that will go, and what for. `until` only where a time is known; `detail` is for a person."""

    entry: Entry
    certificate: CertificateName
    condition: Condition
    detail: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Adopted:
    """A declared certificate that the store has already. `ours`: under a mark of this stack."""

    certificate: CertificateName
    entry: Entry
    ours: bool


@dataclass(frozen=True, slots=True)
class Unknown:
    """What an offline plan can't say, because only the store knows."""

    certificate: CertificateName | None
    worker: WorkerLabel | None
    environment: EnvironmentName
    binding: BindingName | None
    message: str
