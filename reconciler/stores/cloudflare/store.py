"""The ports `StoreReader` and `Store` over the API of one Cloudflare account.

They don't decide what should be stored. They make sure that what they report of the account is true, and that a change
whose answer was lost is neither forgotten nor made twice.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Diagnostic
from reconciler.model import CaList, Entry, EntryId, HyperdriveConfig, Listing, Zone
from reconciler.model.errors import (
    AlreadyStored,
    BudgetUnavailable,
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
from reconciler.stores.cloudflare.hostnames import HostnameLists
from reconciler.stores.cloudflare.hyperdrive import HyperdriveConfigs
from reconciler.stores.cloudflare.listing import LAG_PAUSES_S, REPORT, Lists, compare, unlisted
from reconciler.stores.cloudflare.live import CloudflareLive
from reconciler.stores.cloudflare.wire import Envelope, parse_entry
from reconciler.x509.certificates import Bundle

IN_USE_PATIENCE_S = 60.0
"""Seconds to wait for "in use" to end after the last use was removed: in total for all deletes of a run."""

_ID_FORM = re.compile(r"[0-9A-Za-z_-]{1,128}")
_T = TypeVar("_T")
_EXHAUSTED = (Exhausted, BudgetUnavailable)
_STOPPERS = (UnknownStoreError, PermissionLacking, WrongAccount, NoAnswer, Exhausted, BudgetUnavailable)


def upload_call(path: str, new: NewEntry) -> ApiCall:
    """The call for an upload. A missing name or key is left out, not null, as in wrangler's calls."""
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
        raise StoreRefused("private_key is not PEM", number=0, hint="convert the key to PEM, which is ASCII") from None


def demand_as_sent(new: NewEntry, entry: Entry) -> Entry:
    """The entry of an upload's reply. StoreError unless it has the content, name and kind that were sent."""
    got = entry.bundle
    compared = {
        "content": got is not None and got.digest == new.bundle.digest,
        "name": entry.name == new.name,
        "ca flag": entry.ca is new.ca,
    }
    differs = [what for what, same in compared.items() if not same]
    if differs:
        raise StoreError(
            f"Cloudflare stored {new.name!r} as {entry.id}, but with a different {' and '.join(differs)} than was sent",
            hint="check that certificate, and delete it if it is of no use; nothing was bound to it",
            code=Code.UPLOAD_DIFFERS,
        )
    return entry


def demand_same(new: NewEntry, found: Entry) -> Entry:
    """The entry made by an upload whose answer was lost; AlreadyStored if it has another name or kind than was sent."""
    if (found.name, found.ca) != (new.name, new.ca):
        hint = "plan again to use the uploaded one; an account can have the same certificate only once, under any name"
        raise AlreadyStored(f"the account already has this certificate, as {found.id}", number=1471, hint=hint)
    return found


class CloudflareReader:
    """The port `StoreReader` over the API."""

    def __init__(self, client: Client, path: str, random: Callable[[], float], *, lists: Lists | None = None) -> None:
        self._client = client
        self._path = path
        self._random = random
        self.lists = lists or Lists(client, path, random)
        self._live: CloudflareLive | None = None
        self._hyperdrives = HyperdriveConfigs(client, path.rpartition("/")[0], random)
        self._lists = HostnameLists(client, path.split("/")[2], random)

    @property
    def calls(self) -> int:
        """The number of calls made so far by everything that shares the client."""
        return self._client.calls

    @property
    def lag_s(self) -> float:
        """Seconds to wait for the list to show an upload."""
        return sum(LAG_PAUSES_S)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def list_entries(self) -> Listing:
        """Every entry of the account with its type, including those of Gateway and Access.

        Pages after the first are read concurrently. Not stable if the list changed during each of four reads;
        StoreError if it has fewer entries than the server counts.
        """
        return self.lists.new()

    def get(self, entry_id: EntryId) -> Entry | None:
        """The entry with this id, or None. A text that can't be an id is not sent: it would lead to another path."""
        if not is_askable(entry_id):
            return None
        try:
            envelope = self._send(ApiCall(Operation.GET, "GET", f"{self._path}/{entry_id}"))
        except EntryNotFound:
            return None
        return entry_of(envelope)

    def get_all(self, ids: Iterable[EntryId]) -> dict[EntryId, Entry | None]:
        """As in the port; one call per connection at a time."""
        asked = tuple(dict.fromkeys(ids))
        found = self._client.side_by_side("Reading certificates", self.get, asked)
        return dict(zip(asked, found, strict=True))

    def hyperdrives(self, wanted: Iterable[str]) -> tuple[HyperdriveConfig, ...]:  # noqa: ARG002 - as in the port
        """Every Hyperdrive configuration of the account, in one call."""
        return self._hyperdrives.all()

    def hyperdrive(self, config: str) -> HyperdriveConfig | None:
        """As in the port."""
        return self._hyperdrives.get(config)

    def zones(self, name: str | None = None) -> tuple[Zone, ...]:
        """As in the port."""
        return self._lists.zones(name)

    def ca_lists(self, zone: str, cas: Iterable[EntryId]) -> tuple[CaList, ...]:
        """As in the port; one call per CA, side by side."""
        return self._lists.lists((zone, ca) for ca in cas)

    def live(self) -> CloudflareLive:
        """A reader of what Workers and other services of the account use; shares connections and the rate limit."""
        if self._live is None:
            account_id = self._path.split("/")[2]
            self._live = CloudflareLive(self._client, account_id, self._random)
        return self._live

    def _send(self, call: ApiCall) -> Envelope:
        return send_patiently(self._client, call, self._random)


def is_askable(entry_id: EntryId) -> bool:
    """True if the id is safe in a path. Any other text would lead to another path, an empty one to the list."""
    return _ID_FORM.fullmatch(entry_id) is not None


def entry_of(envelope: Envelope) -> Entry:
    """The entry of a reply; UnusableReply if it has none."""
    entry = parse_entry(envelope.result)
    if entry is None:
        raise UnusableReply("Cloudflare's reply contains no certificate with an ID", hint=REPORT)
    return entry


class CloudflareStore(CloudflareReader):
    """The port `Store` over the API; thread-safe.

    Cloudflare's list lags behind changes. The list of this object always includes what was uploaded through it, and
    never what was deleted through it.
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
        """The number of connections."""
        return self._client.at_once

    def give_up(self) -> None:
        """As in the port."""
        self._client.give_up()

    def list_entries(self) -> Listing:
        """The list of the reader, updated with the changes of this object."""
        with self._lock:
            uploaded = dict(self._uploaded)
        listing = super().list_entries()
        with self._lock:
            gone = set(self._deleted)
        listed = tuple(entry for entry in listing.entries if entry.id not in gone)
        known = {entry.id for entry in listed} | gone
        unlisted = tuple(entry for entry in uploaded.values() if entry.id not in known)
        return replace(listing, entries=(*listed, *unlisted))

    def upload(self, new: NewEntry) -> Entry:
        """The entry as stored, compared with what was sent.

        StoreRefused for a leaf without its key, before anything is sent; AlreadyStored (1471) with the existing entry,
        once the list shows it. After a lost answer the list is checked before the upload is repeated.
        """
        if new.key is None and not new.ca:
            hint = "upload the certificate with its key, which a Worker needs"
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
        """Delete an entry. EntryNotFound (1472); StoreRefused for one that Gateway or Access manages.

        EntryInUse if a service uses it, or if Cloudflare still reports a use after several tries; UseUnknown if that
        could not be checked.
        """
        if not is_askable(entry_id):
            raise EntryNotFound(
                "the account has no such certificate", number=1472, hint="check the ID; it is not a valid one"
            )
        self._change(lambda: self._delete(entry_id))
        with self._lock:
            self._deleted.add(entry_id)
            self._uploaded.pop(entry_id, None)

    def update_hyperdrive(self, before: HyperdriveConfig, mtls: Mapping[str, object]) -> HyperdriveConfig:
        """As in the port. One PATCH; repeated after a lost answer only if the configuration is still as before."""
        return self._change(lambda: self._hyperdrives.update(before, mtls), _EXHAUSTED)

    def add_hostnames(self, before: CaList, names: Sequence[str]) -> None:
        """As in the port. One PUT; repeated after a lost answer only if the list is still as before."""
        self._change(lambda: self._lists.add(before, names), _EXHAUSTED)

    def look_back(self) -> tuple[Diagnostic, ...]:
        """The differences between the list and the replies to this object's uploads.

        Reads the list once, or not at all if it was read after the last upload, as before a retire.
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

    def _change(self, effect: Callable[[], _T], stoppers: tuple[type[StoreError], ...] = _STOPPERS) -> _T:
        """The result of a change. StoreStopped after an error that would repeat, or that mtlsctl does not know.

        `stoppers`: the errors that stop the run. After an update its caller reads what became of it, and each kind of
        update needs a permission of its own.
        """
        stopped = self._stopped_by
        if stopped is not None:
            message = f"skipped: an earlier error from Cloudflare stopped this run: {stopped.message}"
            raise StoreStopped(message, hint=stopped.hint)
        try:
            return effect()
        except stoppers as error:
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
            f"it is unknown whether {new.name!r} was uploaded: {lost.message}",
            hint="run again: if it was uploaded, it is found by its content and not uploaded twice",
            code=lost.code,
        ) from lost

    def _check(self, new: NewEntry, entry: Entry) -> Entry:
        """The entry of a reply, compared with what was sent; read by its id if the reply has no content."""
        return demand_as_sent(new, entry if entry.certificates else self.get(entry.id) or entry)

    def _find_stored(self, new: NewEntry) -> Entry | None:
        """The entry that Cloudflare says is stored already, once a list shows it; None if none does for a minute."""
        last = self.lists.last
        found = _with_content(last.entries, new.bundle) if last is not None else None
        for pause in (0.0, *LAG_PAUSES_S):
            if found is not None:
                break
            if pause:
                self._client.wait(pause, f"Cloudflare says that {new.name!r} is stored, but does not list it yet")
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
        """EntryInUse if a service uses the entry. Cloudflare does not document that it would refuse to delete it."""
        try:
            services = self.live().services_of(entry_id)
        except (EntryNotFound, StoreClosed):
            raise
        except StoreError as error:
            message = f"it could not be checked what uses {entry_id}, so it is kept: {error.message}"
            raise UseUnknown(message, hint=error.hint) from error
        if services:
            hint = "remove it there first; Workers, hostnames and Hyperdrive configurations can use it"
            raise EntryInUse(
                f"the certificate is used by {', '.join(one.text for one in services)}", number=0, hint=hint
            )

    def _wait_for_users(self, attempt: int, entry_id: EntryId, why: str) -> bool:
        """Wait for a use that may have ended already; False if this run has waited long enough."""
        pause = min(2 * backoff_s(attempt, self._random()), 15.0)
        with self._lock:
            if pause > self._in_use_left_s:
                return False
            self._in_use_left_s -= pause
        self._client.wait(pause, f"{entry_id}: {why}")
        return True


def _with_content(entries: Iterable[Entry], bundle: Bundle) -> Entry | None:
    return next((entry for entry in entries if entry.bundle and entry.bundle.digest == bundle.digest), None)
