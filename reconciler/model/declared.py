"""The values of mtls.toml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import timedelta
from enum import StrEnum

from reconciler.findings.values import dataclass
from reconciler.model.accounts import account_problem
from reconciler.model.certificate_policy import NO_RULES, CertificatePolicy
from reconciler.model.freezes import Freeze
from reconciler.model.hostnames import DeclaredZone
from reconciler.model.hyperdrive import DeclaredHyperdrive
from reconciler.model.key_places import KeyReference
from reconciler.model.renewal import DeclaredIssuer, Renewal, StepIssuer
from reconciler.model.stores import StoreKind
from reconciler.model.words import BindingName, CertificateName, EntryId, EnvironmentName, WorkerLabel
from reconciler.x509.certificates import Bundle


class Deployer(StrEnum):
    """What deploys a changed wrangler file."""

    WRANGLER = "wrangler"


class Gate(StrEnum):
    """The steps before which a certificate must be proved at its origin. Before `bind`, that is from Cloudflare's edge
    with what was uploaded; else from this machine."""

    UPLOAD = "upload"
    BIND = "bind"
    RETIRE = "retire"


class Act(StrEnum):
    """What may be done without a person; each allows all before it.

    `retire`: delete old certificates that nothing uses. `rotate`: also renew certificates, and upload and bind those
    that replace an older one. `all`: also upload and bind what is new.
    """

    NONE = "none"
    RETIRE = "retire"
    ROTATE = "rotate"
    ALL = "all"

    def narrowed(self, other: Act) -> Act:
        """The one of the two that allows less."""
        return min(self, other, key=list(Act).index)

    def allows(self, other: Act) -> bool:
        """Whether the other one is allowed, too."""
        return self.narrowed(other) is other


CA_LIMIT = 5
"""Limit of custom CA certificates in an account, shared with API Shield and Gateway (Cloudflare's error 1489)."""


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """`[store]`. `limit` is the quota of leaf certificates: 1,000, unless Cloudflare raised it for the account."""

    kind: StoreKind = StoreKind.LOCAL
    account_id: str | None = None
    limit: int = 1000

    @property
    def title(self) -> str:
        """The name of the store in a sentence."""
        return self.kind.traits.title

    @property
    def account(self) -> str | None:
        """The account of the certificates; None if the store has no accounts, or the account is unknown or invalid."""
        if not self.kind.traits.has_accounts or self.account_id is None or account_problem(self.account_id) is not None:
            return None
        return self.account_id


@dataclass(frozen=True, slots=True)
class RenewBefore:
    """How long before its end a certificate is due: a duration, or a share (0 to 1) of its lifetime."""

    duration: timedelta | None = None
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """`[policy]`, with the defaults of the format. `renew_before` None: 30 days or a third, whichever is shorter.

    `max_unbinds` None: 10, or half of the bindings of this stack, whichever is more.
    `rollback_versions`: how many deployments before the newest must remain available for a rollback. The certificates
    that they use are kept.
    `check_live`: every plan, drift and status reads live Workers, as with `--live`.
    `max_deletes`: of one run, None for no such limit; `max_deletes_share`: in percent of what this stack has uploaded,
    rounded up; the smaller counts. `protect`: names or globs of certificates whose uploads are never deleted.
    `freezes`: when nothing is changed.
    `min_grace`, `most_deletes`, `most_deletes_share`, `always_protect`: limits of the operator, in addition. `grace` is
    within its limit already.
    """

    renew_before: RenewBefore | None = None
    grace: timedelta = timedelta(days=7)
    prune: bool = False
    max_deletes: int | None = 10
    max_unbinds: int | None = None
    rollback_versions: int = 1
    verify_before: frozenset[Gate] = frozenset()
    check_live: bool = False
    certificates: CertificatePolicy = NO_RULES
    max_deletes_share: int | None = None
    protect: tuple[str, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    min_grace: timedelta = timedelta(0)
    most_deletes: int | None = None
    most_deletes_share: int | None = None
    always_protect: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """An origin that enforces mutual TLS, where the handshake is proved. Paths are as written.

    `ca`: file with the roots that verify its own certificate; None: those of this machine. `client_ca`: file with the
    CAs that it trusts for clients, if they are known. `expect_status`: the HTTP status for an accepted client; None:
    any except 400, 401, 403 and 500 to 599.
    """

    url: str
    ca: str | None = None
    client_ca: str | None = None
    expect_status: int | None = None


@dataclass(frozen=True, slots=True)
class DeclaredCertificate:
    """One `[certificates.NAME]`. `path` is as written, relative to the folder of mtls.toml.

    `verify_before` None: the policy's value. `renew`: how it is renewed; its `key` has `slots` then.
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
    renew: Renewal | None = None

    @property
    def own_key(self) -> KeyReference | None:
        """The declared `private_key`; of a certificate that renews itself, that of before its first renewal."""
        return self.key if self.key is None or self.key.slots is None else self.key.slots.otherwise


@dataclass(frozen=True, slots=True)
class ByCertificate:
    """The target of a binding that uses a declared certificate."""

    certificate: CertificateName


@dataclass(frozen=True, slots=True)
class ById:
    """The target of a binding that uses an uploaded certificate that is managed elsewhere."""

    id: EntryId


@dataclass(frozen=True, slots=True)
class DeclaredBinding:
    """One line of a bindings table. `remote` is for local development; if it is not declared, it is not changed."""

    binding: BindingName
    target: ByCertificate | ById
    remote: bool | None = None


@dataclass(frozen=True, slots=True)
class DeclaredWorker:
    """One `[workers.LABEL]`. `environments` has exactly the tables in the file, including empty ones.

    `undeployed`: the environments that are declared to have no live Worker. `deploy` None: mtlsctl does not deploy it,
    except with `apply --deploy`.
    """

    label: WorkerLabel
    config: str
    exclusive: bool = True
    environments: Mapping[EnvironmentName, tuple[DeclaredBinding, ...]] = field(default_factory=dict)
    undeployed: frozenset[EnvironmentName] = frozenset()
    deploy: Deployer | None = None

    @property
    def certificates(self) -> frozenset[CertificateName]:
        """The declared certificates that its bindings use by name."""
        targets = (binding.target for bindings in self.environments.values() for binding in bindings)
        return frozenset(target.certificate for target in targets if isinstance(target, ByCertificate))


@dataclass(frozen=True, slots=True)
class Declaration:
    """mtls.toml, parsed and validated; `path` is its name in diagnostics. `fleet_act`: the most that a fleet may do."""

    path: str
    stack: str
    former_stacks: tuple[str, ...] = ()
    store: StoreSettings = StoreSettings()
    policy: Policy = Policy()
    certificates: Mapping[CertificateName, DeclaredCertificate] = field(default_factory=dict)
    workers: Mapping[WorkerLabel, DeclaredWorker] = field(default_factory=dict)
    issuers: Mapping[str, DeclaredIssuer] = field(default_factory=dict)
    hyperdrives: tuple[DeclaredHyperdrive, ...] = ()
    zones: tuple[DeclaredZone, ...] = ()
    fleet_act: Act = Act.ALL

    @property
    def secret_variables(self) -> frozenset[str]:
        """The environment variables with private keys and passphrases, which no program is given."""
        keys = [one.key for one in self.certificates.values() if one.key is not None]
        passwords = [one.options.password for one in self.issuers.values() if isinstance(one.options, StepIssuer)]
        return frozenset(name for key in (*keys, *passwords) for name in key.variables)


@dataclass(frozen=True, slots=True)
class Desired:
    """The declaration and its certificates. A certificate without a bundle is blocked, because its file is invalid."""

    declaration: Declaration
    bundles: Mapping[CertificateName, Bundle]
