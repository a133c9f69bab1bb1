"""What mtls.toml says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from reconciler.model.stores import StoreKind
from reconciler.model.words import BindingName, CertificateName, EntryId, EnvironmentName, WorkerLabel
from reconciler.x509.certificates import Bundle


class Deployer(StrEnum):
    """What puts a changed wrangler file into service."""

    WRANGLER = "wrangler"


class Gate(StrEnum):
    """Before what a certificate has to be proved at its origin."""

    UPLOAD = "upload"
    RETIRE = "retire"


CA_LIMIT = 5
"""Custom CA certificates that an account may hold, shared with API Shield and Gateway (Cloudflare's error 1489)."""


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """`[store]`. `limit` is the leaf quota, 1,000 unless Cloudflare raised the account's."""

    kind: StoreKind = StoreKind.LOCAL
    account_id: str | None = None
    limit: int = 1000

    @property
    def title(self) -> str:
        """The store in a sentence."""
        return self.kind.traits.title

    @property
    def account(self) -> str | None:
        """The account that the certificates are in; None where the store has none, or it is not known."""
        return self.account_id if self.kind.traits.has_accounts else None


@dataclass(frozen=True, slots=True)
class RenewBefore:
    """How long before its end a certificate is due: a duration, or a share (0 to 1) of its lifetime."""

    duration: timedelta | None = None
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """`[policy]`, with the defaults of the format. `renew_before` None: the smaller of 30 days and a third.

    `rollback_versions`: how many deployments before the newest one may go back to, so that what they present stays.
    `check_live`: every plan, drift and status reads live Workers, as with `--live`.
    """

    renew_before: RenewBefore | None = None
    grace: timedelta = timedelta(days=7)
    prune: bool = False
    max_deletes: int = 10
    rollback_versions: int = 1
    verify_before: frozenset[Gate] = frozenset()
    check_live: bool = False


@dataclass(frozen=True, slots=True)
class KeyReference:
    """Where a private key is, not the key: the name of a key source and that source's own options."""

    source: str
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Origin:
    """An origin that enforces mutual TLS: where the handshake is proved. Paths are as written.

    `ca`: file of the roots that its own certificate is checked by; None: those of this machine. `client_ca`: file of
    the CAs that it trusts clients by, where that is known. `expect_status`: the HTTP status that an accepted client
    gets; None: any but 400, 401, 403 and those of a fault.
    """

    url: str
    ca: str | None = None
    client_ca: str | None = None
    expect_status: int | None = None


@dataclass(frozen=True, slots=True)
class DeclaredCertificate:
    """One `[certificates.NAME]`. `path` is as written, relative to the folder of mtls.toml.

    `verify_before` None: as the policy says.
    """

    name: CertificateName
    path: str
    key: KeyReference | None = None
    ca: bool = False
    verify: Origin | None = None
    verify_before: frozenset[Gate] | None = None
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
    """One `[workers.LABEL]`. `environments` has exactly the tables that stand in the file, empty ones too.

    `undeployed`: environments of which it is said that no Worker of theirs is live. `deploy` None: somebody else does.
    """

    label: WorkerLabel
    config: str
    exclusive: bool = True
    environments: Mapping[EnvironmentName, tuple[DeclaredBinding, ...]] = field(default_factory=dict)
    undeployed: frozenset[EnvironmentName] = frozenset()
    deploy: Deployer | None = None


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
