"""What a certificate store answers when it does not do as asked."""

from __future__ import annotations

from reconciler.findings.codes import Code
from reconciler.findings.errors import ReconcilerError
from reconciler.model.found import Entry


class StoreError(ReconcilerError):
    """The certificate store could not be read or written."""

    code = Code.STORE


class StoreRefused(StoreError):
    """The store answered no. `number` is its own error code, as Cloudflare numbers them, 0 where it has none."""

    code = Code.STORE_REFUSED

    def __init__(self, message: str, *, number: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.number = number


class AlreadyStored(StoreRefused):
    """1471: the store holds this content, under whatever name. `entry`: the one that has it, where it is found."""

    code = Code.ALREADY_STORED

    def __init__(self, message: str, *, number: int, hint: str | None = None, entry: Entry | None = None) -> None:
        super().__init__(message, number=number, hint=hint)
        self.entry = entry


class EntryNotFound(StoreRefused):
    """1472: no such entry, or it was deleted already."""

    code = Code.ENTRY_NOT_FOUND


class EntryInUse(StoreRefused):
    """The entry can't be deleted while something presents it."""

    code = Code.ENTRY_IN_USE


class UseUnknown(StoreError):
    """Whether something presents an entry can't be told, so it is kept."""

    code = Code.USE_UNKNOWN


class StoreStopped(StoreError):
    """Not tried: an earlier answer of the store stopped every change of this run."""

    code = Code.STORE_STOPPED


class StoreClosed(StoreError):
    """The run was interrupted before this call began, or while it waited."""

    code = Code.STORE_CLOSED


class QuotaReached(StoreRefused):
    """The account holds as many entries of this sort as it may (1489 for CAs)."""

    code = Code.QUOTA_REACHED


class UnknownStoreError(StoreRefused):
    """The store answered with an error that nobody here knows: nothing more may be changed in this run."""

    code = Code.STORE_UNKNOWN_ERROR
