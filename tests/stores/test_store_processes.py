"""The local store between processes: two at once, and one that is killed. Real processes, no waiting by time."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from reconciler.model.errors import AlreadyStored, StoreError
from reconciler.stores.database import FileDatabase
from tests.support.embedded import SETTINGS, on_disk, open_reader, store_file
from tests.support.paths import REPOSITORY
from tests.support.store_contract import LEAVES, SetClock, leaf

CHILD = """
import sys
from pathlib import Path
from reconciler.model.errors import AlreadyStored
from reconciler.model import StoreSettings
from reconciler.model.ports import NewEntry, PrivateKey
from reconciler.stores.database import FileDatabase
from reconciler.stores.local import LocalStore, new_id, parse_upload
from reconciler.system.clock import SystemClock

root, certificate, key = map(Path, sys.argv[1:])
new = NewEntry("x", ca=False, bundle=parse_upload(certificate.read_text()), key=PrivateKey(key.read_bytes()))

def wait():
    print("ready", flush=True)
    sys.stdin.readline()

"""

UPLOAD = """
wait()
try:
    print(LocalStore(FileDatabase(root), clock=SystemClock()).upload(new).id)
except AlreadyStored as error:
    print(error.number)
"""

STOP_IN_UPLOAD = """
def stop():
    wait()
    return new_id()

LocalStore(FileDatabase(root), clock=SystemClock(), ids=stop).upload(new)
"""

STOP_WITH_PAGES_WRITTEN = """
with FileDatabase(root).writing() as connection:
    connection.execute("PRAGMA cache_size = 1")
    for number in range(100):
        row = [f"{number}-{column}" * 100 for column in range(11)]
        connection.execute("INSERT INTO entries VALUES (?,?,?,?,?,?,?,?,?,?,?)", row)
    wait()
"""


Start = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a process with the second leaf, and return when its script waits."""
    with ExitStack() as children:

        def start(script: str) -> subprocess.Popen[str]:
            (tmp_path / "cert.pem").write_bytes(LEAVES[1].certificate_pem)
            (tmp_path / "cert.key").write_bytes(LEAVES[1].key_pem)
            child = children.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", CHILD + script, tmp_path, tmp_path / "cert.pem", tmp_path / "cert.key"],
                    cwd=REPOSITORY,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            children.callback(child.kill)
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            return child

        yield start


def kill(child: subprocess.Popen[str]) -> None:
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=30)
    assert child.returncode == -signal.SIGKILL


def test_two_processes_store_one_content_once(tmp_path: Path, start: Start) -> None:
    """Both start at the same time without a store; one gets the entry, the other 1471."""
    children = [start(UPLOAD) for _ in range(2)]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    said = [child.communicate(timeout=30)[0].strip() for child in children]
    (entry,) = on_disk(tmp_path, SetClock()).store.list_entries().entries
    assert sorted(said) == sorted([entry.id, "1471"])


@pytest.mark.parametrize("script", [STOP_IN_UPLOAD, STOP_WITH_PAGES_WRITTEN], ids=["before", "after pages are written"])
@pytest.mark.parametrize("first", [True, False], ids=["the first upload", "a later upload"])
def test_a_killed_upload_leaves_a_usable_store(tmp_path: Path, start: Start, script: str, first: bool) -> None:
    """The reader shows the state before it, and the same upload works afterwards."""
    store = on_disk(tmp_path, SetClock()).store
    before = () if first else (store.upload(leaf(LEAVES[0])),)
    kill(start(script))
    assert open_reader(SETTINGS, root=tmp_path, clock=SetClock()).list_entries().entries == before
    entry = store.upload(leaf(LEAVES[1]))
    assert store.list_entries().entries == (*before, entry)
    with pytest.raises(AlreadyStored):
        store.upload(leaf(LEAVES[1]))


def test_what_was_killed_and_cannot_be_undone_is_said(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a read-only file system the unfinished write stays, and no read may ignore it."""
    place = store_file(tmp_path)
    kill(start(STOP_WITH_PAGES_WRITTEN))
    assert place.with_name("store.db-journal").exists()
    connect = FileDatabase._connect
    monkeypatch.setattr(FileDatabase, "_connect", lambda self, _: connect(self, "ro"))
    with pytest.raises(StoreError, match="a killed run") as caught:
        open_reader(SETTINGS, root=tmp_path, clock=SetClock()).list_entries()
    assert caught.value.code == "store-read-only"
