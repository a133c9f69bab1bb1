"""The ports `StoreReader` and `Store` over the API of one Cloudflare account.

It decides nothing about what should be stored. It makes sure that what it says of the account is true, and that a
call whose answer was lost is neither forgotten nor made twice.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Diagnostic
from reconciler.model import Entry, EntryId, Listing
from reconciler.model.errors import (
    AlreadyStored,
    EntryInUse,
    EntryNotFound,
    StoreClosed,
    StoreError,
    StoreRefused,
    StoreStopped,
    UnknownStoreError,
    UseUnknown,
)
from reconciler.model.ports import NewEntry
from reconciler.stores.cloudflare.client import ApiCall, Client, backoff_s, send_patiently
from reconciler.stores.cloudflare.errors import (
    Exhausted,
    NoAnswer,
    Operation,
    PermissionLacking,
    UnusableReply,
    WrongAccount,
)
from reconciler.stores.cloudflare.listing import LAG_PAUSES_S, REPORT, Lists, compare, unlisted
from reconciler.stores.cloudflare.live import CloudflareLive
from reconciler.stores.cloudflare.wire import Envelope, parse_entry
from reconciler.x509.certificates import Bundle

IN_USE_PATIENCE_S = 60.0
"""How long "in use" may linger after the last user is gone: for all deletes of a run together, not for each."""

_ID_FORM = re.compile(r"[0-9A-Za-z_-]{1,128}")
_T = TypeVar("_T")
_STOPPERS = (UnknownStoreError, PermissionLacking, WrongAccount, NoAnswer, Exhausted)


def upload_call(path: str, new: NewEntry) -> ApiCall:
    """The call for an upload. Without a name or a key the field is absent, not null, as wrangler sends it."""
    body: dict[str, str | bool] = {"ca": new.ca, "certificates": new.bundle.pem()}
    if new.name:
        body["name"] = new.name
    key = None
    if new.key is not None:
        key = body["private_key"] = _key_text(new)
    return ApiCall(Operation.UPLOAD, "POST", path, body=json.dumps(body).encode(), secret=key)


def _key_text(new: NewEntry) -> str:
    try:
        return new.key.pem.decode("ascii") if new.key is not None else ""
    except UnicodeDecodeError:
        # The error itself would quote the key.
        raise StoreRefused("private_key is no PEM", number=0, hint="a private key in PEM is plain ASCII") from None


def demand_as_sent(new: NewEntry, entry: Entry) -> Entry:
    """The entry of an upload's reply, which must have the content, name and kind that were sent."""
    got = entry.bundle
    compared = {
        "content": got is not None and got.digest == new.bundle.digest,
        "name": entry.name == new.name,
        "ca flag": entry.ca is new.ca,
    }
    differs = [what for what, same in compared.items() if not same]
    if differs:
        raise StoreError(
            f"Cloudflare stored {new.name!r} as {entry.id}, but with another {' and '.join(differs)} than was sent",
            hint="nothing was bound to it; look at that entry, and delete it where it is of no use",
            code=Code.UPLOAD_DIFFERS,
        )
    return entry


def demand_same(new: NewEntry, found: Entry) -> Entry:
    """The entry that an upload without an answer made; AlreadyStored where somebody else's has the content."""
    if (found.name, found.ca) != (new.name, new.ca):
        hint = "the store takes the same certificates once, under whatever name; plan again to adopt that entry"
        raise AlreadyStored(f"the account holds this certificate already, as {found.id}", number=1471, hint=hint)
    return found


class CloudflareReader:
    """The port `StoreReader` over the API."""

    def __init__(self, client: Client, path: str, random: Callable[[], float], *, lists: Lists | None = None) -> None:
        self._client = client
        self._path = path
        self._random = random
        self.lists = lists or Lists(client, path, random)
        self._live: CloudflareLive | None = None

    @property
    def calls(self) -> int:
        """How many calls were made, by whatever shares the client."""
        return self._client.calls

    @property
    def lag_s(self) -> float:
        """As long as an upload is waited for to be listed."""
        return sum(LAG_PAUSES_S)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def list_entries(self) -> Listing:
        """Every entry of the account, Gateway's and Access's too, with their type; pages after the first side by side.

        Not stable where the list moved at each of four looks; StoreError where it has fewer entries than it counts.
        """
        return self.lists.new()

    def get(self, entry_id: EntryId) -> Entry | None:
        """The entry with this id, or None. What can't be an id is not asked for: it would lead to another path."""
        if not is_askable(entry_id):
            return None
        try:
            envelope = self._send(ApiCall(Operation.GET, "GET", f"{self._path}/{entry_id}"))
        except EntryNotFound:
            return None
        return entry_of(envelope)

    def get_all(self, ids: Iterable[EntryId]) -> dict[EntryId, Entry | None]:
        """As the port; as many side by side as there are connections."""
        asked = tuple(dict.fromkeys(ids))
        return dict(zip(asked, self._client.side_by_side(self.get, asked), strict=True))

    def live(self) -> CloudflareLive:
        """What Workers and other services present of this account; shares connections and the rate limit."""
        if self._live is None:
            account_id = self._path.split("/")[2]
            self._live = CloudflareLive(self._client, account_id, self._random)
        return self._live

    def _send(self, call: ApiCall) -> Envelope:
        return send_patiently(self._client, call, self._random)


def is_askable(entry_id: EntryId) -> bool:
    """Whether an id can stand in a path; any other one leads elsewhere, an empty one to the list."""
    return _ID_FORM.fullmatch(entry_id) is not None


def entry_of(envelope: Envelope) -> Entry:
    """The entry that a reply has; UnusableReply where it has none."""
    entry = parse_entry(envelope.result)
    if entry is None:
        raise UnusableReply("Cloudflare's reply has no certificate with an id", hint=REPORT)
    return entry


class CloudflareStore(CloudflareReader):
    """The port `Store` over the API; its methods may be called by several threads.

    Lists lag behind uploads: the list of this object always has what was uploaded, and lacks what was deleted, through
    it.
    """

    def __init__(self, client: Client, path: str, random: Callable[[], float], *, lists: Lists | None = None) -> None:
        super().__init__(client, path, random, lists=lists)
        self._lock = threading.Lock()
        self._uploaded: dict[EntryId, Entry] = {}
        self._deleted: set[EntryId] = set()
        self._after_uploads = 0
        self._in_use_left_s = IN_USE_PATIENCE_S
        self._stopped_by: StoreError | None = None

    @property
    def at_once(self) -> int:
        """As many as there are connections."""
        return self._client.at_once

    def give_up(self) -> None:
        """As the port."""
        self._client.give_up()

    def list_entries(self) -> Listing:
        """As the reader's, with this object's own changes."""
        with self._lock:
            uploaded = dict(self._uploaded)
        listing = super().list_entries()
        with self._lock:
            gone = set(self._deleted)
        listed = tuple(entry for entry in listing.entries if entry.id not in gone)
        known = {entry.id for entry in listed} | gone
        unlisted = tuple(entry for entry in uploaded.values() if entry.id not in known)
        return Listing((*listed, *unlisted), stable=listing.stable)

    def upload(self, new: NewEntry) -> Entry:
        """The entry as stored, compared with what was sent.

        StoreRefused for a leaf without its key, before anything is sent; AlreadyStored (1471) with the entry that is in
        the way, once the list shows it. An upload without an answer is looked for before it is repeated.
        """
        if new.key is None and not new.ca:
            hint = "a certificate that a Worker uses is uploaded with its key"
            raise StoreRefused("private_key is missing", number=0, hint=hint)
        try:
            entry = self._change(lambda: self._upload(new))
        except AlreadyStored as refused:
            refused.entry = refused.entry or self._find_stored(new)
            raise
        with self._lock:
            self._uploaded[entry.id] = entry
            self._deleted.discard(entry.id)
            self._after_uploads = self.lists.mark()
        return entry

    def delete(self, entry_id: EntryId) -> None:
        """Gone afterwards. EntryNotFound (1472), StoreRefused for managed ones.

        EntryInUse where a service uses it, or Cloudflare says so after a while of asking; UseUnknown where that can't
        be told.
        """
        if not is_askable(entry_id):
            raise EntryNotFound("the account has no such certificate", number=1472, hint="this can't be an id")
        self._change(lambda: self._delete(entry_id))
        with self._lock:
            self._deleted.add(entry_id)
            self._uploaded.pop(entry_id, None)

    def look_back(self) -> tuple[Diagnostic, ...]:
        """What the list shows of this object's uploads otherwise than the replies said.

        One list, and none where one was read after the last upload, as before a retire.
        """
        uploaded = tuple(self._uploaded.values())
        if not uploaded or self._stopped_by is not None:
            return ()
        try:
            return tuple(compare(uploaded, self.lists.since(self._after_uploads), self.get))
        except StoreClosed:
            return ()
        except StoreError as error:
            return (unlisted(error),)

    # --- changes ------------------------------------------------------------------------------------------------------

    def _change(self, effect: Callable[[], _T]) -> _T:
        """Change something; nothing more after an answer that would be the same each time, or that nobody knows."""
        stopped = self._stopped_by
        if stopped is not None:
            message = f"not tried, for an earlier answer stopped this run: {stopped.message}"
            raise StoreStopped(message, hint=stopped.hint)
        try:
            return effect()
        except _STOPPERS as error:
            self._stopped_by = self._stopped_by or error
            raise

    # --- uploads ------------------------------------------------------------------------------------------------------

    def _upload(self, new: NewEntry) -> Entry:
        call = upload_call(self._path, new)
        for attempt in (1, 2):
            try:
                return self._check(new, entry_of(self._send(call)))
            except NoAnswer as error:
                if error.lasting or not error.sent:
                    raise
                lost = error
            self._client.sleep(backoff_s(attempt, self._random()))
            found = _with_content(self.lists.new().entries, new.bundle)
            if found is not None:
                return demand_same(new, found)
        raise StoreError(
            f"whether {new.name!r} was uploaded can't be told: {lost.message}",
            hint="run again: if it is there, it is found by its content and not uploaded twice",
            code=lost.code,
        ) from lost

    def _check(self, new: NewEntry, entry: Entry) -> Entry:
        """The entry of a reply, compared; one that shows nothing of its content is read by its id."""
        return demand_as_sent(new, entry if entry.certificates else self.get(entry.id) or entry)

    def _find_stored(self, new: NewEntry) -> Entry | None:
        """What Cloudflare says is stored already, as soon as a list shows it; None where none does for a minute."""
        last = self.lists.last
        found = _with_content(last.entries, new.bundle) if last is not None else None
        for pause in (0.0, *LAG_PAUSES_S):
            if found is not None:
                break
            if pause:
                self._client.wait(pause, f"Cloudflare's list does not show yet what it says is stored, {new.name!r}")
            found = _with_content(self.lists.new().entries, new.bundle)
        return found

    # --- deletes ------------------------------------------------------------------------------------------------------

    def _delete(self, entry_id: EntryId) -> None:
        self._demand_unused(entry_id)
        attempt = 0
        while True:
            try:
                self._send(ApiCall(Operation.DELETE, "DELETE", f"{self._path}/{entry_id}"))
            except EntryInUse as error:
                attempt += 1
                if not self._wait_for_users(attempt, entry_id, error.message):
                    raise
            else:
                return

    def _demand_unused(self, entry_id: EntryId) -> None:
        """Services name what they use; that Cloudflare refuses to delete it is not written down anywhere."""
        try:
            services = self.live().services_of(entry_id)
        except (EntryNotFound, StoreClosed):
            raise
        except StoreError as error:
            message = f"what uses {entry_id} can't be told, so it is kept: {error.message}"
            raise UseUnknown(message, hint=error.hint) from error
        if services:
            hint = "let go of it there; hostnames and Hyperdrive configurations may use it, as Workers do"
            raise EntryInUse(f"{', '.join(one.text for one in services)} uses it", number=0, hint=hint)

    def _wait_for_users(self, attempt: int, entry_id: EntryId, why: str) -> bool:
        """Wait a little for a use that may be gone already; False where this run has waited long enough."""
        pause = min(2 * backoff_s(attempt, self._random()), 15.0)
        with self._lock:
            if pause > self._in_use_left_s:
                return False
            self._in_use_left_s -= pause
        self._client.wait(pause, f"{entry_id}: {why}")
        return True


def _with_content(entries: Iterable[Entry], bundle: Bundle) -> Entry | None:
    return next((entry for entry in entries if entry.bundle and entry.bundle.digest == bundle.digest), None)
