"""The contract of every certificate store. To add a store, add it to `STORES` and `ROOMS` in test_stores.py.

The rules are those of the API, as far as they are known; each test states one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from reconciler.findings.diagnostics import Diagnostic
from reconciler.model import CaList, Entry, EntryId, StoreKind
from reconciler.model.errors import AlreadyStored, EntryNotFound, QuotaReached, StoreRefused
from reconciler.model.identifiers import is_askable
from reconciler.model.ports import NewEntry, PrivateKey, Store
from reconciler.stores import Connection, Uses
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

    `connect` opens a connection, as each run does. `manage` adds a CA of Gateway, which no upload can. `hyperdrive` is
    the ID of a configuration and `zone` of a zone; None if a fake server has none.
    """

    kind: StoreKind
    connect: Callable[[], Connection]
    clock: SetClock
    manage: Callable[[str], Entry]
    hyperdrive: str | None = None
    zone: str | None = None

    @cached_property
    def store(self) -> Store:
        """The whole store of one connection."""
        return self.connect().store()


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


def parts_of_key(issued: Issued) -> list[bytes]:
    """What any form of a private key in a file would have: the lines of its PEM, and its number."""
    assert isinstance(issued.key, EllipticCurvePrivateKey)
    number = issued.key.private_numbers().private_value.to_bytes(issued.key.key_size // 8)
    return [number, *(line for line in issued.key_pem.splitlines() if not line.startswith(b"-----"))]


class StoreContract:
    """The suite; a subclass gives the fixture `subject`."""

    def test_a_new_store_is_empty(self, subject: Subject) -> None:
        """Nothing is listed, and an unknown id is None, not an error."""
        listing = subject.store.list_entries()
        assert (listing.entries, listing.stable) == ((), True)
        assert subject.store.get(UNKNOWN) is None

    def test_a_second_connection_reads_what_the_first_wrote(self, subject: Subject) -> None:
        """Its reading half has all entries, and can't change them."""
        entries = tuple(subject.store.upload(leaf(issued)) for issued in LEAVES[:2])
        reader = subject.connect().reader()
        assert set(reader.list_entries().entries) == set(entries)
        assert reader.get(entries[0].id) == entries[0]
        assert reader.get_all([*(entry.id for entry in entries), UNKNOWN]) == {
            **{entry.id: entry for entry in entries},
            UNKNOWN: None,
        }
        assert not hasattr(reader, "upload")

    def test_a_connection_can_be_examined(self, subject: Subject) -> None:
        """As `doctor` does; only a store with Workers can prove at the edge."""
        connection = subject.connect()
        assert all(isinstance(one, Diagnostic) for one in connection.examine(Uses()))
        assert (connection.edge() is not None) is subject.kind.traits.has_live_workers

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

    def test_each_upload_is_later_than_all_before(self, subject: Subject) -> None:
        """Even if the clock does not move or goes back: the order decides what is retired."""
        start, times = subject.clock.time, list[datetime]()
        for issued, now in zip(LEAVES, (start, start, start - timedelta(days=400)), strict=False):
            subject.clock.time = now
            time = subject.store.upload(leaf(issued)).uploaded_on
            assert time is not None
            times.append(time)
        assert times == sorted(set(times))

    def test_ids_differ(self, subject: Subject) -> None:
        """No two entries have one id, and each is a UUID that no other kind of store has."""
        ids = {subject.store.upload(leaf(issued)).id for issued in LEAVES[:LEAF_LIMIT]}
        assert len(ids) == LEAF_LIMIT
        assert {kind for kind in StoreKind for one in ids if is_askable(one, kind)} == {subject.kind}

    def test_no_part_of_a_key_is_in_a_file(self, subject: Subject, tmp_path: Path) -> None:
        """Neither its text nor its number. A store without accounts writes files that only this user can read."""
        subject.store.upload(leaf(LEAVES[0]))
        files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".gitignore"]
        assert bool(files) is not subject.kind.traits.has_accounts
        for path in files:
            assert path.stat().st_mode & 0o077 == 0
            assert not any(part in path.read_bytes() for part in parts_of_key(LEAVES[0]))

    def test_a_hyperdrive_configuration_keeps_what_it_got(self, subject: Subject) -> None:
        """Another connection reads it, in the list and by its ID."""
        if subject.hyperdrive is None:
            pytest.skip("this fake server has no Hyperdrive")
        wanted, mtls = (subject.hyperdrive,), {"mtls_certificate_id": subject.store.upload(leaf(LEAVES[0])).id}
        (before,) = subject.store.hyperdrives(wanted)
        after = subject.store.update_hyperdrive(before, mtls)
        reader = subject.connect().reader()
        assert (after.id, after.mtls) == (subject.hyperdrive, mtls)
        assert reader.hyperdrives(wanted) == (reader.hyperdrive(subject.hyperdrive),) == (after,)

    def test_a_zone_keeps_the_hostnames_that_it_got(self, subject: Subject) -> None:
        """Another connection reads them, for this CA alone."""
        if subject.zone is None:
            pytest.skip("this fake server has no zones")
        first, second = (subject.store.upload(authority(pem(one))).id for one in CAS[:2])
        (before,) = subject.store.ca_lists(subject.zone, (first,))
        subject.store.add_hostnames(before, ["api.example.com"])
        assert subject.connect().reader().ca_lists(subject.zone, (first, second)) == (
            CaList(subject.zone, first, ("api.example.com",)),
            CaList(subject.zone, second),
        )

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
