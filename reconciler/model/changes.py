"""Changes, waiting changes, and their reasons. The lists of actions, reasons and conditions are fixed."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from reconciler.findings.values import dataclass
from reconciler.model.declared import Gate
from reconciler.model.found import Entry
from reconciler.model.hostnames import HostnamesAddress
from reconciler.model.hyperdrive import HyperdriveAddress
from reconciler.model.words import BindingAddress, CertificateName, EntryId, SiteAddress


class Action(StrEnum):
    """What a change does."""

    UPLOAD = "upload"
    BIND = "bind"
    REBIND = "rebind"
    UNBIND = "unbind"
    DEPLOY = "deploy"
    UPDATE = "update"
    VERIFY = "verify"
    RETIRE = "retire"


class Phase(StrEnum):
    """The phases, in their only order: create, bind, deploy and update what is live, prove, then retire."""

    UPLOAD = "upload"
    BIND = "bind"
    DEPLOY = "deploy"
    UPDATE = "update"
    VERIFY = "verify"
    RETIRE = "retire"


class Reason(StrEnum):
    """Why a change is planned; a fixed list."""

    MISSING = "missing"
    CONTENT_CHANGED = "content-changed"
    PLACEHOLDER_ID = "placeholder-id"
    UNKNOWN_ID = "unknown-id"
    WRONG_ID = "wrong-id"
    REMOTE_DIFFERS = "remote-differs"
    SSLMODE_DIFFERS = "sslmode-differs"
    REMOVED = "removed"
    LIVE_DIFFERS = "live-differs"
    BEFORE_UPLOAD = "before-upload"
    BEFORE_BIND = "before-bind"
    BEFORE_RETIRE = "before-retire"
    SUPERSEDED = "superseded"
    ORPHANED = "orphaned"


@dataclass(frozen=True, slots=True)
class Difference:
    """One attribute of a certificate that changes; None: the certificate does not have it."""

    attribute: str
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """Upload a declared certificate. `name`: its mark. `shared_with`: other certificates with the same content.

    `not_after`: when it expires; it is not uploaded after that. Aware UTC. `leaf`: of several certificates, the
    fingerprint of the one that is presented, because the digest does not depend on their order.
    """

    certificate: CertificateName
    digest: str
    name: str
    reasons: tuple[Reason, ...]
    differences: tuple[Difference, ...] = ()
    shared_with: tuple[CertificateName, ...] = ()
    not_after: datetime | None = None
    leaf: str | None = None

    action = Action.UPLOAD
    phase = Phase.UPLOAD


@dataclass(frozen=True, slots=True)
class Identity:
    """What an uploaded certificate that is bound by its ID is: its name in the store, the stack and certificate that
    its mark names, and its subject; None if they are unknown."""

    name: str
    stack: str | None = None
    certificate: str | None = None
    subject: str | None = None

    @property
    def text(self) -> str:
        """`ledger of the stack books (CN=ledger)`, or its name in the store."""
        whose = self.name or "without a name"
        if self.stack is not None:
            whose = f"{self.certificate} of the stack {self.stack}"
        return f"{whose} ({self.subject})" if self.subject is not None else whose


@dataclass(frozen=True, slots=True)
class BindingChange:
    """Add, change or remove one item of `mtls_certificates`.

    `before` and `after` are IDs; `after` None in a bind or rebind: the ID is known once `digest` is uploaded. `remote`
    None: not declared, so it is not changed. `not_before`: when the certificate becomes valid, if `apply` must wait for
    that. `not_after`: when it expires; the binding is not changed after that. Both aware UTC. `identity`: what `after`
    is, of a certificate that is bound by its ID.
    """

    action: Action
    at: BindingAddress
    reasons: tuple[Reason, ...]
    certificate: CertificateName | None = None
    digest: str | None = None
    before: str | None = None
    after: EntryId | None = None
    remote: bool | None = None
    differences: tuple[Difference, ...] = ()
    not_before: datetime | None = None
    not_after: datetime | None = None
    identity: Identity | None = None

    phase = Phase.BIND


@dataclass(frozen=True, slots=True)
class ToPresent:
    """The certificate that one binding of a Worker uses after a deploy. `live`: the ID that each live version uses now.

    `id` None: known once `digest` is uploaded; if `digest` is None, too, the binding is removed. `later`: the content
    digest that it will use once that certificate is valid. `older`: `id` was uploaded before what is live now, so the
    deploy goes back to a previous certificate.
    """

    binding: str
    id: EntryId | None
    digest: str | None = None
    certificate: CertificateName | None = None
    live: tuple[EntryId | None, ...] = ()
    later: str | None = None
    older: bool = False

    @property
    def differs(self) -> bool:
        """Whether a live version uses something else; always True for a certificate that is not uploaded yet."""
        pending = self.id is None and self.digest is not None
        return pending or any(live != self.id for live in self.live)


@dataclass(frozen=True, slots=True)
class Deploy:
    """Deploy one environment of a wrangler file, because the live versions use other IDs than the file.

    `script`: the real name of the Worker. `serving`: the IDs of its live versions. `bindings`: those that this stack
    manages. `built`: the generated file that wrangler deploys instead. `not_after`: when the first certificate expires
    that replaces a valid one; the Worker is not deployed after that. Aware UTC.
    """

    at: SiteAddress
    script: str
    reasons: tuple[Reason, ...]
    bindings: tuple[ToPresent, ...]
    serving: tuple[str, ...] = ()
    built: str | None = None
    not_after: datetime | None = None

    action = Action.DEPLOY
    phase = Phase.DEPLOY
    certificate = None


UpdateAddress = HyperdriveAddress | HostnamesAddress
"""What is updated at once."""


@dataclass(frozen=True, slots=True)
class Update:
    """Change one field of a Hyperdrive configuration, or add hostnames to the list of a CA, which takes effect at once.

    `before` and `after` are IDs, or modes of `sslmode`; `after` None: the ID is known once `digest` is uploaded.
    `certificate`: of `sslmode` the one that it is about. `not_after`: when the certificate expires; nothing is changed
    after that. Aware UTC. `names`: the hostnames that are added; `listed`: those that the list of `after` has already.
    """

    at: UpdateAddress
    reasons: tuple[Reason, ...]
    certificate: CertificateName | None = None
    digest: str | None = None
    before: str | None = None
    after: str | None = None
    differences: tuple[Difference, ...] = ()
    not_after: datetime | None = None
    names: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()

    action = Action.UPDATE
    phase = Phase.UPDATE


GATE_REASONS = {
    Gate.UPLOAD: Reason.BEFORE_UPLOAD,
    Gate.BIND: Reason.BEFORE_BIND,
    Gate.RETIRE: Reason.BEFORE_RETIRE,
}
"""Why a proof is planned."""


@dataclass(frozen=True, slots=True)
class Verify:
    """Prove a certificate at its origin; the change after it is made only if that succeeds.

    `digest`: the content that is proved. `before` an upload or a bind, that is the new certificate; before a retire, it
    is the current one, not the one that is deleted.
    """

    certificate: CertificateName
    digest: str
    origin: str
    before: Gate

    action = Action.VERIFY
    phase = Phase.VERIFY

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why it is planned."""
        return (GATE_REASONS[self.before],)


@dataclass(frozen=True, slots=True)
class Retire:
    """Delete one entry. `entry`: as it was read; it is read and compared again just before the deletion.

    `not_after`: when its successor expires, if the entry is valid itself; it is not deleted after that. Aware UTC.
    """

    entry: Entry
    certificate: CertificateName
    digest: str
    reasons: tuple[Reason, ...]
    not_after: datetime | None = None

    action = Action.RETIRE
    phase = Phase.RETIRE


Change = Upload | BindingChange | Deploy | Update | Verify | Retire


class Condition(StrEnum):
    """What a change waits for: every change for the first two, bindings and uploads for the next two, removed bindings
    for the fifth, what is live for the sixth, retires for the others.

    A fixed list, in the order in which it is shown.
    """

    FROZEN = "frozen"
    NOT_VALID_YET = "not-valid-yet"
    VALIDITY_UNKNOWN = "validity-unknown"
    MAX_UNBINDS = "max-unbinds"
    UPDATE_NOT_REQUESTED = "update-not-requested"
    PRUNE_OFF = "prune-off"
    PRUNE_NOT_REQUESTED = "prune-not-requested"
    SUCCESSOR_MISSING = "successor-missing"
    NOT_TAKEN_OVER = "not-taken-over"
    CONTENT_UNKNOWN = "content-unknown"
    DECLARED_BY_ID = "declared-by-id"
    BINDINGS_PENDING = "bindings-pending"
    BOUND_IN_FILE = "bound-in-file"
    STILL_TRUSTED = "still-trusted"
    LISTING_UNSTABLE = "listing-unstable"
    CLOCK_SKEW = "clock-skew"
    SUCCESSOR_NOT_VALID = "successor-not-valid"
    GRACE = "grace"
    EMPTY = "empty-mtls-toml"
    PROTECTED = "protected"
    NAMED_IN_FILE = "named-in-file"
    UNCHECKED = "unchecked"
    PRESENTED_LIVE = "presented-live"
    ROLLBACK_REACH = "rollback-reach"
    USED_ELSEWHERE = "used-elsewhere"
    LIVE_UNCHECKED = "live-unchecked"
    NOT_DEPLOYED = "not-deployed"
    MAX_DELETES = "max-deletes"
    IN_USE = "in-use"
    UNPROVED = "unproved"
    CHANGED_MEANWHILE = "changed-meanwhile"
    NOT_IN_PLAN = "not-in-plan"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A change that will be made once `condition` holds. It is neither a pending change nor a failure.

    `until`: when that is, if known; aware UTC. `detail`: why it waits, as a sentence. `proofs`: those that must succeed
    before the change. Of an old certificate that waits for a time, `not_before`: the earliest time of its deletion, if
    known; `once`: what live Workers need before it, as a clause, if they use it.
    """

    change: Upload | BindingChange | Deploy | Update | Retire
    condition: Condition
    detail: str
    until: datetime | None = None
    proofs: tuple[Verify, ...] = ()
    not_before: datetime | None = None
    once: str | None = None

    @property
    def certificate(self) -> CertificateName | None:
        """The certificate that it is about; None for a binding by ID, and for a deploy."""
        return self.change.certificate

    @property
    def entry(self) -> Entry | None:
        """The entry that a retire deletes; None for other changes."""
        return self.change.entry if isinstance(self.change, Retire) else None


@dataclass(frozen=True, slots=True)
class Adopted:
    """A declared certificate that is already uploaded. `ours`: with a mark of this stack."""

    certificate: CertificateName
    entry: Entry
    ours: bool


@dataclass(frozen=True, slots=True)
class Unknown:
    """Something that an offline plan does not know, because the list of uploaded certificates was not read."""

    certificate: CertificateName | None
    at: BindingAddress | None
    message: str
