"""What changes, what waits, and why; the lists of actions, reasons and conditions are closed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from reconciler.model.declared import Gate
from reconciler.model.found import Entry
from reconciler.model.words import BindingAddress, CertificateName, EntryId, SiteAddress


class Action(StrEnum):
    """What a change does."""

    UPLOAD = "upload"
    BIND = "bind"
    REBIND = "rebind"
    UNBIND = "unbind"
    DEPLOY = "deploy"
    VERIFY = "verify"
    RETIRE = "retire"


class Phase(StrEnum):
    """The only order there is: create, bind, put into service, prove, then retire."""

    UPLOAD = "upload"
    BIND = "bind"
    DEPLOY = "deploy"
    VERIFY = "verify"
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
    LIVE_DIFFERS = "live-differs"
    BEFORE_UPLOAD = "before-upload"
    BEFORE_RETIRE = "before-retire"
    SUPERSEDED = "superseded"
    ORPHANED = "orphaned"


@dataclass(frozen=True, slots=True)
class Difference:
    """One attribute of a certificate that changes; a side without a value does not have it."""

    attribute: str
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """Put a declared certificate into the store. `name` is the mark it gets; `shared_with` declare the same content.

    `not_after`: when it ends; it is not uploaded any more from then on; aware UTC.
    """

    certificate: CertificateName
    digest: str
    name: str
    reasons: tuple[Reason, ...]
    differences: tuple[Difference, ...] = ()
    shared_with: tuple[CertificateName, ...] = ()
    not_after: datetime | None = None

    action = Action.UPLOAD
    phase = Phase.UPLOAD


@dataclass(frozen=True, slots=True)
class BindingChange:
    """Add, change or remove one entry of `mtls_certificates`.

    `before` and `after` are ids; `after` None in a bind or rebind: the id is known once `digest` is uploaded.
    `remote` None: not declared, so it stays as it is. `not_before`: when the certificate begins, if `apply` has to wait
    for that. `not_after`: when it ends; the change is not made any more from then on. Both aware UTC.
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

    phase = Phase.BIND


@dataclass(frozen=True, slots=True)
class ToPresent:
    """What one binding of a Worker uses after a deploy; `live` is what each live version uses now.

    `id` None: known once `digest` is uploaded; without a digest it is not bound any more. `later`: the content digest
    that it will use once that certificate has begun.
    """

    binding: str
    id: EntryId | None
    digest: str | None = None
    certificate: CertificateName | None = None
    live: tuple[EntryId | None, ...] = ()
    later: str | None = None

    @property
    def differs(self) -> bool:
        """Whether some serving version presents something else; what is not uploaded yet none can present."""
        pending = self.id is None and self.digest is not None
        return pending or any(live != self.id for live in self.live)


@dataclass(frozen=True, slots=True)
class Deploy:
    """Hand one environment of a wrangler file to wrangler, for what serves presents other ids than the file names.

    `script` is the Worker's real name, `serving` the ids of the versions that serve now, `bindings` all that are ours.
    `built`: what a build made of the file, and is deployed instead. `not_after`: when the first of the certificates
    ends that it puts in the place of a valid one; it is not deployed any more from then on; aware UTC.
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


@dataclass(frozen=True, slots=True)
class Verify:
    """Prove a certificate at its origin, and do what comes after it only if that succeeds.

    `digest` is the content that is proved. `before` an upload it is not stored yet; before a retire it is the current
    one that is proved, not what is to go.
    """

    certificate: CertificateName
    digest: str
    origin: str
    before: Gate

    action = Action.VERIFY
    phase = Phase.VERIFY

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """What it is for."""
        return (Reason.BEFORE_UPLOAD if self.before is Gate.UPLOAD else Reason.BEFORE_RETIRE,)


@dataclass(frozen=True, slots=True)
class Retire:
    """Delete one entry. `entry` is what was seen, compared again just before the delete. `not_after`: when its
    successor ends, if the entry is valid; it is not deleted any more from then on; aware UTC.
    """

    entry: Entry
    certificate: CertificateName
    digest: str
    reasons: tuple[Reason, ...]
    not_after: datetime | None = None

    action = Action.RETIRE
    phase = Phase.RETIRE


Change = Upload | BindingChange | Deploy | Verify | Retire


class Condition(StrEnum):
    """What a change waits for: a binding or an upload for the first two, a retire for the others.

    Closed and stable, in the order in which it is shown.
    """

    NOT_VALID_YET = "not-valid-yet"
    VALIDITY_UNKNOWN = "validity-unknown"
    PRUNE_OFF = "prune-off"
    SUCCESSOR_MISSING = "successor-missing"
    CONTENT_UNKNOWN = "content-unknown"
    DECLARED_BY_ID = "declared-by-id"
    BINDINGS_PENDING = "bindings-pending"
    BOUND_IN_FILE = "bound-in-file"
    LISTING_UNSTABLE = "listing-unstable"
    SUCCESSOR_NOT_VALID = "successor-not-valid"
    GRACE = "grace"
    NAMED_IN_FILE = "named-in-file"
    UNCHECKED = "unchecked"
    LIVE_UNCHECKED = "live-unchecked"
    NOT_DEPLOYED = "not-deployed"
    PRESENTED_LIVE = "presented-live"
    ROLLBACK_REACH = "rollback-reach"
    USED_ELSEWHERE = "used-elsewhere"
    MAX_DELETES = "max-deletes"
    IN_USE = "in-use"
    UNPROVED = "unproved"
    CHANGED_MEANWHILE = "changed-meanwhile"
    NOT_IN_PLAN = "not-in-plan"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A change that will be made once `condition` holds; it is no change yet, and no failure.

    `until`: when that is, where a time is known; aware UTC. `detail` is for a person. `proofs`: what has to be proved
    before the change is made.
    """

    change: Upload | BindingChange | Deploy | Retire
    condition: Condition
    detail: str
    until: datetime | None = None
    proofs: tuple[Verify, ...] = ()

    @property
    def certificate(self) -> CertificateName | None:
        """The certificate that it is about; None of a binding by id, and of a deploy."""
        return self.change.certificate

    @property
    def entry(self) -> Entry | None:
        """What is to be deleted, of a retire."""
        return self.change.entry if isinstance(self.change, Retire) else None


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
    at: BindingAddress | None
    message: str
