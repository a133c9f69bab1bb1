"""The contract of every certificate store. To add a store, add a line to test_stores.py.

The rules are those of the API, as far as they are known; each test states one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from reconciler.model import Entry, EntryId
from reconciler.model.errors import AlreadyStored, EntryNotFound, QuotaReached, StoreRefused
from reconciler.model.ports import NewEntry, PrivateKey, Store
from reconciler.x509.certificates import Bundle, parse_stored
from tests.support.pki import NOW, Issued, make_ca

LEAF_LIMIT = 3
CA_LIMIT = 5
UNKNOWN = EntryId("10ca1000-0000-4000-8000-000000000000")

CA = make_ca("Contract CA")
LEAVES = tuple(CA.issue(f"client-{number}") for number in range(LEAF_LIMIT + 1))
CAS = tuple(make_ca(f"CA {number}") for number in range(CA_LIMIT + 2))


@dataclass
class SetClock:
    """A clock that moves only when a test sets it."""

    time: datetime = field(default=NOW + timedelta(microseconds=467938))

    def now(self) -> datetime:
        return self.time

    def wait_until(self, time: datetime) -> None:
        self.time = max(self.time, time)


@dataclass(frozen=True)
class Subject:
    """A store under test, empty at first, with a leaf quota of LEAF_LIMIT.

    `manage` adds a CA of Gateway, which no upload can.
    """

    store: Store
    clock: SetClock
    manage: Callable[[str], Entry]


def pem(issued: Issued) -> str:
    return issued.certificate_pem.decode()


def bundle_of(certificates: str) -> Bundle:
    bundle = parse_stored(certificates)
    assert bundle is not None
    return bundle


def leaf(issued: Issued, name: str = "payments.billing") -> NewEntry:
    return NewEntry(name=name, ca=False, bundle=issued.bundle, key=PrivateKey(issued.key_pem))


def authority(certificates: str, name: str = "payments.ca") -> NewEntry:
    return NewEntry(name=name, ca=True, bundle=bundle_of(certificates))


class StoreContract:
    """The suite; a subclass gives the fixture `subject`."""

    def test_a_new_store_is_empty(self, subject: Subject) -> None:
        """Nothing is listed, and an unknown id is None, not an error."""
        listing = subject.store.list_entries()
        assert (listing.entries, listing.stable) == ((), True)
        assert subject.store.get(UNKNOWN) is None

    def test_an_upload_is_there_at_once(self, subject: Subject) -> None:
        """The list and a read by id return what the upload returned."""
        entry = subject.store.upload(leaf(LEAVES[0]))
        assert subject.store.list_entries().entries == (entry,)
        assert subject.store.get(entry.id) == entry

    def test_an_entry_shows_what_the_api_shows(self, subject: Subject) -> None:
        """Name, flags, and the fields of the leaf in the API's spelling."""
        entry = subject.store.upload(leaf(LEAVES[0], name="any name, even ünusual"))
        bundle = parse_stored(pem(LEAVES[0]))
        assert bundle is not None
        assert (entry.name, entry.ca, entry.type) == ("any name, even ünusual", False, "custom")
        assert entry.issuer == bundle.leaf.issuer.rfc4514_string()
        assert entry.serial_number == str(bundle.leaf.serial_number)
        assert entry.signature == "ECDSAWithSHA256"
        assert entry.expires_on == bundle.not_after
        assert entry.expires_on is not None
        assert entry.expires_on.microsecond == 0

    def test_uploaded_on_is_the_clocks_time(self, subject: Subject) -> None:
        """In UTC, to the microsecond."""
        entry = subject.store.upload(leaf(LEAVES[0]))
        assert entry.uploaded_on == subject.clock.time
        assert entry.uploaded_on is not None
        assert entry.uploaded_on.utcoffset() == timedelta(0)

    def test_ids_differ(self, subject: Subject) -> None:
        """No two entries have one id."""
        ids = {subject.store.upload(leaf(issued)).id for issued in LEAVES[:LEAF_LIMIT]}
        assert len(ids) == LEAF_LIMIT

    @pytest.mark.parametrize("ending", ["", "\n", "\n\n", "\r\n"])
    def test_the_trailing_newline_is_trimmed(self, subject: Subject, ending: str) -> None:
        """With or without it, it is the same certificate, and it comes back without."""
        text = pem(LEAVES[0]).rstrip("\n")
        new = NewEntry(name="x", ca=False, bundle=bundle_of(text + ending), key=PrivateKey(LEAVES[0].key_pem))
        assert subject.store.upload(new).certificates == text

    def test_a_chain_keeps_its_order(self, subject: Subject) -> None:
        """The leaf first, as it was sent."""
        text = pem(LEAVES[0]) + pem(CA)
        new = NewEntry(name="x", ca=False, bundle=bundle_of(text), key=PrivateKey(LEAVES[0].key_pem))
        back = subject.store.upload(new).bundle
        assert back is not None
        assert new.bundle == back

    def test_the_same_content_is_refused_under_any_name(self, subject: Subject) -> None:
        """1471; the existing entry stays as it is."""
        entry = subject.store.upload(leaf(LEAVES[0], name="one"))
        with pytest.raises(AlreadyStored) as caught:
            subject.store.upload(leaf(LEAVES[0], name="other"))
        assert caught.value.number == 1471
        assert subject.store.list_entries().entries == (entry,)

    def test_the_same_content_in_another_order_is_refused(self, subject: Subject) -> None:
        """The content is the set of certificates."""
        subject.store.upload(authority(pem(CAS[0]) + pem(CAS[1])))
        with pytest.raises(AlreadyStored):
            subject.store.upload(authority(pem(CAS[1]) + pem(CAS[0])))

    def test_a_leaf_and_its_chain_are_two_contents(self, subject: Subject) -> None:
        """One more certificate makes it another entry."""
        subject.store.upload(authority(pem(CAS[0])))
        subject.store.upload(authority(pem(CAS[0]) + pem(CAS[1])))
        assert len(subject.store.list_entries().entries) == 2

    def test_names_may_repeat(self, subject: Subject) -> None:
        """And they may be missing."""
        for number, name in enumerate(("same", "same", "")):
            subject.store.upload(leaf(LEAVES[number], name=name))
        assert sorted(entry.name for entry in subject.store.list_entries().entries) == ["", "same", "same"]

    def test_a_deleted_entry_is_gone(self, subject: Subject) -> None:
        """The same content may be uploaded again, as a new entry."""
        entry = subject.store.upload(leaf(LEAVES[0]))
        subject.store.delete(entry.id)
        assert subject.store.get(entry.id) is None
        assert subject.store.list_entries().entries == ()
        assert subject.store.upload(leaf(LEAVES[0])).id != entry.id

    @pytest.mark.parametrize("entry_id", [UNKNOWN, "", "no id", "1' OR '1'='1", "\ud800"], ids=ascii)
    def test_what_is_not_there_cannot_be_deleted(self, subject: Subject, entry_id: str) -> None:
        """1472, whether it never existed or was deleted, whatever its id looks like; nothing else is deleted."""
        entry = subject.store.upload(leaf(LEAVES[0]))
        with pytest.raises(EntryNotFound) as caught:
            subject.store.delete(EntryId(entry_id))
        assert caught.value.number == 1472
        assert subject.store.get(EntryId(entry_id)) is None
        assert subject.store.list_entries().entries == (entry,)

    def test_deleting_twice_is_not_found(self, subject: Subject) -> None:
        """1472 the second time; a caller may count it as done."""
        entry = subject.store.upload(leaf(LEAVES[0]))
        subject.store.delete(entry.id)
        with pytest.raises(EntryNotFound):
            subject.store.delete(entry.id)

    def test_the_quota_of_leaves(self, subject: Subject) -> None:
        """As many as the limit, not counting CAs; stored content is 1471 even then; a delete makes room."""
        subject.store.upload(authority(pem(CAS[0])))
        entries = [subject.store.upload(leaf(issued)) for issued in LEAVES[:LEAF_LIMIT]]
        with pytest.raises(QuotaReached):
            subject.store.upload(leaf(LEAVES[LEAF_LIMIT]))
        with pytest.raises(AlreadyStored):
            subject.store.upload(leaf(LEAVES[0]))
        subject.store.delete(entries[0].id)
        subject.store.upload(leaf(LEAVES[LEAF_LIMIT]))

    def test_the_quota_of_cas(self, subject: Subject) -> None:
        """1489 at the sixth; leaves and managed CAs do not count."""
        subject.manage(pem(CAS[CA_LIMIT + 1]))
        subject.store.upload(leaf(LEAVES[0]))
        for ca in CAS[:CA_LIMIT]:
            subject.store.upload(authority(pem(ca)))
        with pytest.raises(QuotaReached) as caught:
            subject.store.upload(authority(pem(CAS[CA_LIMIT])))
        assert caught.value.number == 1489
        assert "Hit maximum CA cert allocation." in caught.value.message

    def test_managed_entries_are_listed_and_stay(self, subject: Subject) -> None:
        """They show their type; deleting one is refused."""
        entry = subject.manage(pem(CAS[0]))
        assert subject.store.list_entries().entries == (entry,)
        assert entry.type == "gateway_managed"
        with pytest.raises(StoreRefused, match="Unauthorized"):
            subject.store.delete(entry.id)
        assert subject.store.get(entry.id) == entry

    def test_a_ca_needs_no_key(self, subject: Subject) -> None:
        """A matching key is not refused, either."""
        assert subject.store.upload(authority(pem(CAS[0]))).ca
        new = NewEntry(name="x", ca=True, bundle=CAS[1].bundle, key=PrivateKey(CAS[1].key_pem))
        assert subject.store.upload(new).ca

    @pytest.mark.parametrize(
        "new",
        [
            pytest.param(authority(pem(LEAVES[0])), id="a leaf as a CA"),
            pytest.param(authority(pem(CAS[0]) + pem(LEAVES[0])), id="a leaf among CAs"),
            pytest.param(NewEntry("x", ca=False, bundle=LEAVES[0].bundle), id="a leaf without its key"),
            pytest.param(
                NewEntry("x", ca=False, bundle=LEAVES[0].bundle, key=PrivateKey(LEAVES[1].key_pem)),
                id="a leaf with another's key",
            ),
            pytest.param(
                NewEntry("x", ca=True, bundle=CAS[0].bundle, key=PrivateKey(LEAVES[1].key_pem)),
                id="a CA with another's key",
            ),
            pytest.param(
                NewEntry("x", ca=False, bundle=LEAVES[0].bundle, key=PrivateKey(b"no key")),
                id="a key that is none",
            ),
        ],
    )
    def test_what_does_not_fit_is_refused(self, subject: Subject, new: NewEntry) -> None:
        """Nothing of it is stored, and no part of a key is shown."""
        with pytest.raises(StoreRefused) as caught:
            subject.store.upload(new)
        assert subject.store.list_entries().entries == ()
        for line in new.key.pem.decode().splitlines() if new.key else ():
            assert line not in f"{caught.value.message} {caught.value.hint}"

    def test_a_key_that_was_proved_for_other_certificates_is_refused(self, subject: Subject) -> None:
        """A checked pair counts only for the certificates it was checked with."""
        key = PrivateKey(LEAVES[1].key_pem, proved_for=LEAVES[1].bundle.digest)
        with pytest.raises(StoreRefused):
            subject.store.upload(NewEntry("x", ca=False, bundle=LEAVES[0].bundle, key=key))
        assert subject.store.list_entries().entries == ()
