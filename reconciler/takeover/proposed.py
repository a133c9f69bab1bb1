"""What `init` and `export` propose to declare."""

from __future__ import annotations

from reconciler.findings.values import dataclass
from reconciler.model.declared import ByCertificate, ById, StoreSettings
from reconciler.model.found import Entry
from reconciler.model.hostnames import DeclaredZone
from reconciler.model.hyperdrive import DeclaredHyperdrive
from reconciler.model.words import BindingName, CertificateName, EntryId, EnvironmentName, WorkerLabel
from reconciler.x509.certificates import Bundle


@dataclass(frozen=True, slots=True)
class FoundCertificate:
    """A certificate file of the tree. `key`: a file next to it with the name of its private key; it is never opened.

    `ignored`: git ignores it, so other checkouts lack it. `new`: it does not exist yet, and will be written.
    `outside`: it is not in the folder that was searched for Workers, so it is only matched to uploads in use.
    """

    path: str
    bundle: Bundle
    key: str | None = None
    ignored: bool = False
    new: bool = False
    outside: bool = False


@dataclass(frozen=True, slots=True)
class ProposedCertificate:
    """One `[certificates.NAME]` for an uploaded certificate."""

    name: CertificateName
    path: str
    entry: Entry
    ca: bool = False
    supersedes: tuple[EntryId, ...] = ()
    key: str | None = None


@dataclass(frozen=True, slots=True)
class ProposedBinding:
    """One line of a bindings table. `target` None: nothing can be declared yet, so the line is a comment.

    `remark`: a comment at the end of the line, which must stay true after rotations. `guess`: what the line would
    declare if it were not a comment.
    """

    binding: BindingName
    target: ByCertificate | ById | None
    remark: str = ""
    guess: ByCertificate | ById | None = None


@dataclass(frozen=True, slots=True)
class ProposedEnvironment:
    """One bindings table. Without a target it is a comment, because an empty table would mean: no bindings."""

    name: EnvironmentName
    bindings: tuple[ProposedBinding, ...]
    remark: str = ""

    @property
    def is_declared(self) -> bool:
        """Whether there is anything to declare."""
        return any(binding.target is not None for binding in self.bindings)


@dataclass(frozen=True, slots=True)
class ProposedWorker:
    """One `[workers.LABEL]`. `known`: it is declared already; only environments or bindings are new."""

    label: WorkerLabel
    config: str
    environments: tuple[ProposedEnvironment, ...] = ()
    exclusive: bool = True
    known: bool = False


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A certificate file that could be declared, as a comment, because no entry in use has its content."""

    name: CertificateName
    path: str
    key: str | None


@dataclass(frozen=True, slots=True)
class Proposal:
    """What to declare, in the order in which it is written.

    `others`: what can't be declared, as text. `savable`: the uploads bound by ID that could get a certificate file.
    """

    stack: str
    store: StoreSettings
    certificates: tuple[ProposedCertificate, ...] = ()
    workers: tuple[ProposedWorker, ...] = ()
    suggestions: tuple[Suggestion, ...] = ()
    others: tuple[str, ...] = ()
    savable: frozenset[EntryId] = frozenset()
    hyperdrives: tuple[DeclaredHyperdrive, ...] = ()
    zones: tuple[DeclaredZone, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to declare."""
        return not (self.certificates or self.workers or self.hyperdrives or self.zones)
