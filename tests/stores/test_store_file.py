"""The file of the local store: its place, its content, and which files are refused."""

from __future__ import annotations

import contextlib
import resource
import sqlite3
import stat
import struct
from pathlib import Path

import pytest

from reconciler.model.errors import StoreError, StoreRefused
from reconciler.model.ports import NewEntry
from reconciler.stores.database import APPLICATION_ID, SCHEMA, FileDatabase, MemoryDatabase
from reconciler.stores.local import LocalStore
from tests.support.embedded import SETTINGS, on_disk, open_reader, open_store, store_file
from tests.support.store_contract import LEAVES, UNKNOWN, SetClock, leaf

# --- the file --------------------------------------------------------------------------------------------------------


def test_reading_creates_nothing(tmp_path: Path) -> None:
    """Neither part creates a file before there is something to store; nor does a refused upload."""
    reader = open_reader(SETTINGS, root=tmp_path, clock=SetClock())
    store = open_store(SETTINGS, root=tmp_path, clock=SetClock())
    assert reader.list_entries() == store.list_entries()
    assert reader.get(UNKNOWN) is None
    with pytest.raises(StoreRefused):
        store.delete(UNKNOWN)
    with pytest.raises(StoreRefused):
        store.upload(NewEntry("x", ca=False, bundle=LEAVES[0].bundle))
    assert list(tmp_path.iterdir()) == []


def test_the_store_is_for_this_user_and_not_for_git(tmp_path: Path) -> None:
    """Git ignores its folder, and there is a single file that can be copied."""
    on_disk(tmp_path, SetClock()).store.upload(leaf(LEAVES[0]))
    folder = tmp_path / ".mtlsctl"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "store.db").stat().st_mode) == 0o600
    assert (folder / ".gitignore").read_text() == "*\n"
    assert sorted(place.name for place in folder.iterdir()) == [".gitignore", "store.db"]


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    """Others keep files in it, too."""
    folder = tmp_path / ".mtlsctl"
    folder.mkdir(mode=0o755)
    (folder / ".gitignore").write_text("# mine\n")
    on_disk(tmp_path, SetClock()).store.upload(leaf(LEAVES[0]))
    assert (folder / ".gitignore").read_text() == "# mine\n"


def test_keys_are_never_in_the_file(tmp_path: Path) -> None:
    """Not one line of a key, stored or refused, is in any file of the folder."""
    store = on_disk(tmp_path, SetClock()).store
    store.upload(leaf(LEAVES[0]))
    with pytest.raises(StoreRefused):
        store.upload(NewEntry("x", ca=False, bundle=LEAVES[0].bundle, key=leaf(LEAVES[1]).key))
    content = b"".join(place.read_bytes() for place in (tmp_path / ".mtlsctl").iterdir())
    for issued in LEAVES[:2]:
        assert not any(line in content for line in issued.key_pem.splitlines())


@pytest.mark.parametrize("name", ["a b", "50%", "what?mode=rwc", "a#b", "ü", "%2e%2e", "a'b"])
def test_any_folder_will_do(tmp_path: Path, name: str) -> None:
    """SQLite gets the path as a URI; no character of a folder's name may change its meaning."""
    root = tmp_path / name
    root.mkdir()
    entry = on_disk(root, SetClock()).store.upload(leaf(LEAVES[0]))
    assert on_disk(root, SetClock()).store.get(entry.id) == entry
    assert [place.name for place in tmp_path.iterdir()] == [name]


def test_entries_cannot_be_changed(tmp_path: Path) -> None:
    """The file itself refuses it."""
    on_disk(tmp_path, SetClock()).store.upload(leaf(LEAVES[0]))
    with sql(tmp_path) as connection, pytest.raises(sqlite3.IntegrityError, match="can not be changed"):
        connection.execute("UPDATE entries SET name = 'other'")


# --- files that are not stores ---------------------------------------------------------------------------------------


class sql:  # noqa: N801 - reads as a word in a with
    """A connection of plain SQLite to the store's file, committed and closed at the end."""

    def __init__(self, root: Path) -> None:
        (root / ".mtlsctl").mkdir(exist_ok=True)
        self._connection = sqlite3.connect(root / ".mtlsctl/store.db")

    def __enter__(self) -> sqlite3.Connection:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.commit()
        self._connection.close()


def refused(root: Path) -> StoreError:
    """The error that reading, looking up, uploading and deleting all raise."""
    store = LocalStore(FileDatabase(root, timeout_s=0.05), clock=SetClock())
    errors = []
    for use in (
        store.list_entries,
        lambda: store.get(UNKNOWN),
        lambda: store.upload(leaf(LEAVES[1])),
        lambda: store.delete(UNKNOWN),
    ):
        with pytest.raises(StoreError) as caught:
            use()
        errors.append(caught.value)
    assert {error.code for error in errors} == {errors[0].code}
    assert errors[0].hint
    assert errors[0].where
    return errors[0]


def test_a_newer_store_is_left_alone(tmp_path: Path) -> None:
    """The hint is to update, not to repair."""
    store_file(tmp_path)
    with sql(tmp_path) as connection:
        connection.execute("PRAGMA user_version = 2")
    error = refused(tmp_path)
    assert (error.code, "newer" in error.message) == ("store-newer", True)


def test_a_file_that_is_no_database_is_damaged(tmp_path: Path) -> None:
    """Whatever its content, it is not overwritten."""
    place = store_file(tmp_path)
    place.write_bytes(b"-----BEGIN something else-----\n" * 100)
    before = place.read_bytes()
    assert refused(tmp_path).code == "store-damaged"
    assert place.read_bytes() == before


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    """No table is added to it."""
    with sql(tmp_path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    assert refused(tmp_path).code == "store-damaged"


@pytest.mark.parametrize(
    "statement", ["CREATE TRIGGER x AFTER INSERT ON entries BEGIN SELECT 1; END", "DROP INDEX entries_by_digest"]
)
def test_a_changed_schema_is_not_trusted(tmp_path: Path, statement: str) -> None:
    """The rules are in the schema, and a file with another schema may come from anyone."""
    store_file(tmp_path)
    with sql(tmp_path) as connection:
        connection.execute(statement)
    assert refused(tmp_path).code == "store-damaged"


@pytest.mark.parametrize("value", ["X'00'", "'yesterday'", "CAST(X'ff' AS TEXT)", "'9999-99-99T00:00:00Z'"])
def test_a_row_that_makes_no_sense_is_damage(tmp_path: Path, value: str) -> None:
    """It is reported, not passed on and not left out of the list."""
    store = on_disk(tmp_path, SetClock()).store
    store.upload(leaf(LEAVES[0]))
    with sql(tmp_path) as connection:
        connection.execute(
            f"INSERT INTO entries SELECT id || 1, 'x', type, name, ca, '', '', '', '', {value}, '9' FROM entries"  # noqa: S608
        )
    with pytest.raises(StoreError) as caught:
        store.list_entries()
    assert caught.value.code == "store-damaged"


def test_torn_pages_are_damage(tmp_path: Path) -> None:
    """Half a file is noticed when it is read, at the latest."""
    place = store_file(tmp_path)
    place.write_bytes(place.read_bytes()[:4096] + b"\xff" * 8192)
    with pytest.raises(StoreError) as caught:
        on_disk(tmp_path, SetClock()).store.list_entries()
    assert caught.value.code == "store-damaged"


def share_pages(place: Path, rows: int) -> None:
    """Let every row of a store of one row be that row, its long text in the same pages of the file."""
    data = bytearray(place.read_bytes())
    with contextlib.closing(sqlite3.connect(place)) as connection:
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'entries'").fetchone()[0]
    at, size = (root - 1) * 4096, 4096
    (first,) = struct.unpack_from(">H", data, at + 8)
    payload = 0
    for used in range(1, 9):
        byte = data[at + first + used - 1]
        payload = payload << 7 | byte & 0x7F
        if byte < 0x80:
            break
    least = (size - 12) * 32 // 255 - 23  # https://www.sqlite.org/fileformat2.html, section 1.6
    local = least + (payload - least) % (size - 4)
    local = local if local <= size - 35 else least
    head = bytes(data[at + first : at + first + used])
    rest = bytes(data[at + first + used + 1 : at + first + used + 1 + local + 4])  # after the row's number
    cells = [head + bytes([number]) + rest for number in range(1, rows + 1)]
    page, end, places = bytearray(size), size, []
    for cell in cells:
        end -= len(cell)
        page[end : end + len(cell)] = cell
        places.append(end)
    struct.pack_into(">BHHHB", page, 0, 13, 0, rows, end, 0)
    struct.pack_into(f">{rows}H", page, 8, *places)
    assert end >= 8 + 2 * rows
    data[at : at + size] = page
    place.write_bytes(data)


def test_rows_that_share_pages_are_damage(tmp_path: Path) -> None:
    """800 rows with one text of 1.9 MB would be 1.5 GB to read, in a file of 4 MB."""
    place = store_file(tmp_path)
    store = on_disk(tmp_path, SetClock()).store
    (entry,) = store.list_entries().entries
    with sql(tmp_path) as connection:
        connection.execute("DROP TRIGGER entries_stay")
        connection.execute("UPDATE entries SET certificates = ?", ("x" * 200_300,))
        connection.execute(SCHEMA[-1])
        for number in range(2, 8):
            time = f"2026-12-0{number}T00:00:00.000000Z"
            connection.execute(
                f"INSERT INTO entries SELECT id || {number}, digest || {number}, type, name, ca, '', issuer,"  # noqa: S608
                f" serial_number, signature, expires_on, '{time}' FROM entries WHERE id = '{entry.id}'"
            )
    assert len(store.list_entries().entries) == 7
    share_pages(place, 7)
    with pytest.raises(StoreError) as caught:
        store.list_entries()
    assert caught.value.code == "store-damaged"
    assert "share their content" in caught.value.message


@pytest.mark.parametrize(
    ("name", "most"), [("MOST_ROWS", 2), ("MOST_BYTES", 2 * len(LEAVES[0].bundle.pem()) + 900)], ids=["rows", "bytes"]
)
def test_what_is_read_of_a_store_has_a_limit(
    tmp_path: Path, name: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of rows, and of bytes in all of them."""
    store = on_disk(tmp_path, SetClock()).store
    monkeypatch.setattr(f"reconciler.stores.database.{name}", most)
    for number in range(2):
        store.upload(leaf(LEAVES[number]))
    assert len(store.list_entries().entries) == 2
    store.upload(leaf(LEAVES[2]))
    with pytest.raises(StoreError, match="has more than") as caught:
        store.list_entries()
    assert caught.value.code == "store-damaged"


def test_a_store_without_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite counts its steps: a tree of pages that point to each other would keep it busy for ever."""
    store = on_disk(tmp_path, SetClock()).store
    for number in range(3):
        store.upload(leaf(LEAVES[number]))
    monkeypatch.setattr("reconciler.stores.database._STEPS", 10)
    monkeypatch.setattr("reconciler.stores.database._MOST_STEPS", 3)
    with pytest.raises(StoreError, match="far more steps") as caught:
        store.list_entries()
    assert caught.value.code == "store-damaged"


@pytest.mark.parametrize("name", [".mtlsctl", ".mtlsctl/store.db", ".mtlsctl/store.db-journal"])
def test_links_are_not_followed(tmp_path: Path, name: str) -> None:
    """A checkout may contain a link to anywhere."""
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for folder in (root, elsewhere):
        folder.mkdir()
        store_file(folder)
    target = elsewhere / name
    if name.endswith("journal"):
        target.write_text("x")
    place = root / name
    if place.is_dir():
        place.rename(root / "aside")
    place.unlink(missing_ok=True)
    place.symlink_to(target)
    assert refused(root).code == "store-damaged"


def test_a_journal_that_names_a_file_is_not_played_back(tmp_path: Path) -> None:
    """SQLite would read the file that it names, and may delete it."""
    place = store_file(tmp_path)
    journal = place.with_name("store.db-journal")
    journal.write_bytes(b"x" * 600 + b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7")
    assert refused(tmp_path).code == "store-damaged"
    assert journal.exists()


def test_a_store_in_use_says_so(tmp_path: Path) -> None:
    """After the timeout; nothing is stored in part."""
    place = store_file(tmp_path)
    holder = sqlite3.connect(place, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    store = LocalStore(FileDatabase(tmp_path, timeout_s=0.01), clock=SetClock())
    for use in (store.list_entries, lambda: store.upload(leaf(LEAVES[1]))):
        with pytest.raises(StoreError) as caught:
            use()
        assert caught.value.code == "store-locked"
    holder.execute("ROLLBACK")
    holder.close()
    store.upload(leaf(LEAVES[1]))


def test_a_full_disk_says_so_and_keeps_the_store(tmp_path: Path) -> None:
    """Simulated by the system's limit for the size of files; afterwards everything works as before."""
    store = on_disk(tmp_path, SetClock()).store
    entry = store.upload(leaf(LEAVES[0]))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    try:
        with pytest.raises(StoreError) as caught:
            store.upload(leaf(LEAVES[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.code in {"store-full", "store-io"}
    assert store.list_entries().entries == (entry,)
    store.upload(leaf(LEAVES[1]))


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that nobody can write to")
def test_a_folder_that_cannot_be_made_says_so() -> None:
    """The first upload reports it; /proc accepts no folders, not even from root."""
    with pytest.raises(StoreError, match="can't be used"):
        LocalStore(FileDatabase(Path("/proc")), clock=SetClock()).upload(leaf(LEAVES[0]))


def test_an_exception_undoes_the_transaction() -> None:
    """An unfinished write leaves nothing behind."""
    database = MemoryDatabase()
    with pytest.raises(KeyboardInterrupt), database.writing():
        raise KeyboardInterrupt
    with database.reading() as connection:
        assert connection is None


def test_an_empty_file_is_an_empty_store(tmp_path: Path) -> None:
    """A process may be killed between creating the file and writing to it."""
    (tmp_path / ".mtlsctl").mkdir()
    (tmp_path / ".mtlsctl/store.db").touch()
    assert on_disk(tmp_path, SetClock()).store.list_entries().entries == ()


def test_the_file_names_its_program(tmp_path: Path) -> None:
    """`file store.db` shows the application id, which no other database has by chance."""
    place = store_file(tmp_path)
    assert place.read_bytes()[68:72] == APPLICATION_ID.to_bytes(4, "big")
