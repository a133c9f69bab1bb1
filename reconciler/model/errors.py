"""The errors of a certificate store."""

from __future__ import annotations

from reconciler.findings.codes import Code
from reconciler.findings.errors import ReconcilerError
from reconciler.model.found import Entry


class StoreError(ReconcilerError):
    """The certificate store could not be read or written."""

    code = Code.STORE


class StoreRefused(StoreError):
    """The store refused a call. `number` is its error code, with Cloudflare's numbers; 0 if it has none."""

    code = Code.STORE_REFUSED

    def __init__(self, message: str, *, number: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.number = number


class AlreadyStored(StoreRefused):
    """1471: the store already has this content, under any name. `entry`: the one with it, if it was found."""

    code = Code.ALREADY_STORED

    def __init__(self, message: str, *, number: int, hint: str | None = None, entry: Entry | None = None) -> None:
        super().__init__(message, number=number, hint=hint)
        self.entry = entry


class EntryNotFound(StoreRefused):
    """1472: the entry does not exist, or was already deleted."""

    code = Code.ENTRY_NOT_FOUND


class EntryInUse(StoreRefused):
    """The entry can't be deleted while something uses it."""

    code = Code.ENTRY_IN_USE


class UseUnknown(StoreError):
    """Whether something uses an entry could not be checked, so it is kept."""

    code = Code.USE_UNKNOWN


class StoreStopped(StoreError):
    """Skipped: an earlier error of the store stopped all changes of this run."""

    code = Code.STORE_STOPPED


class StoreClosed(StoreError):
    """The run was interrupted before this call started, or while it waited."""

    code = Code.STORE_CLOSED


class BudgetUnavailable(StoreError):
    """The rate budget that this process shares with others is out of reach, so no call may be made."""

    code = Code.DATABASE


class QuotaReached(StoreRefused):
    """The account has reached its limit of entries of this kind (1489 for CAs)."""

    code = Code.QUOTA_REACHED


class UnknownStoreError(StoreRefused):
    """The store returned an unknown error: this run must not change anything else."""

    code = Code.STORE_UNKNOWN_ERROR
