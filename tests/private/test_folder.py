"""The folder `.mtlsctl/`: made once, closed to others, ignored by git, and never entered through a link."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from reconciler.findings.codes import Code
from reconciler.findings.errors import FileError
from reconciler.private.folder import FOLDER, create_file, make_folder, open_file

WRITE = os.O_WRONLY | os.O_CREAT


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_folder_is_closed_to_others_and_ignored_by_git(tmp_path: Path) -> None:
    """Whatever the umask allows."""
    old = os.umask(0)
    try:
        folder = make_folder(tmp_path)
    finally:
        os.umask(old)
    assert (folder, mode_of(folder)) == (tmp_path / FOLDER, 0o700)
    assert (folder / ".gitignore").read_text() == "*\n"


def test_a_folder_that_exists_stays_as_it_is(tmp_path: Path) -> None:
    """With what its owner wrote into it."""
    folder = make_folder(tmp_path)
    (folder / ".gitignore").write_text("*.db\n")
    folder.chmod(0o750)
    make_folder(tmp_path)
    assert ((folder / ".gitignore").read_text(), mode_of(folder)) == ("*.db\n", 0o750)


def test_a_file_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    """With the folder, if that is missing, too."""
    os.close(open_file(tmp_path, "state", WRITE))
    assert mode_of(tmp_path / FOLDER / "state") == 0o600


def test_without_o_creat_nothing_is_made(tmp_path: Path) -> None:
    """Reading leaves no trace."""
    with pytest.raises(FileNotFoundError):
        open_file(tmp_path, "state", os.O_RDONLY)
    assert list(tmp_path.iterdir()) == []


def test_a_child_process_does_not_inherit_the_file(tmp_path: Path) -> None:
    """It could be a lock, which would then be held for longer than the run."""
    descriptor = open_file(tmp_path, "state", WRITE)
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)


@pytest.mark.parametrize("flags", [os.O_RDONLY, WRITE], ids=["to read", "to write"])
def test_a_link_or_a_pipe_is_refused(tmp_path: Path, flags: int) -> None:
    """A checkout may bring one. The pipe does not make it hang."""
    folder, other = make_folder(tmp_path), tmp_path / "other"
    other.write_text("theirs")
    (folder / "link").symlink_to(other)
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    for name in ("link", "pipe", "folder"):
        with pytest.raises(FileError) as caught:
            open_file(tmp_path, name, flags)
        assert caught.value.code is Code.FILE_NOT_REGULAR
        assert f"{FOLDER}/{name}" in str(caught.value)
    assert other.read_text() == "theirs"


def test_a_link_instead_of_the_folder_is_refused(tmp_path: Path) -> None:
    """What it leads to gets no file."""
    other = tmp_path / "other"
    other.mkdir()
    (tmp_path / FOLDER).symlink_to(other)
    for open_it in (lambda: open_file(tmp_path, "state", WRITE), lambda: make_folder(tmp_path)):
        with pytest.raises(FileError):
            open_it()
    assert list(other.iterdir()) == []


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777], ids=oct)
def test_a_folder_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    """They may have written its files. The hint has the command that closes it."""
    os.close(open_file(tmp_path, "state", WRITE))
    (tmp_path / FOLDER).chmod(mode)
    for flags in (os.O_RDONLY, WRITE):
        with pytest.raises(FileError) as caught:
            open_file(tmp_path, "state", flags)
        assert caught.value.code is Code.FOLDER_WRITABLE
        assert "chmod 700" in (caught.value.hint or "")


def test_a_file_is_created_by_one_process_and_never_changed(tmp_path: Path) -> None:
    """The second one keeps what the first wrote."""
    create_file(tmp_path / "new", b"first", 0o600)
    create_file(tmp_path / "new", b"second", 0o600)
    assert (tmp_path / "new").read_bytes() == b"first"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_file_that_can_not_be_written_whole_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run would use the empty file."""
    made = os.open

    def full(path: Path, flags: int, mode: int = 0o777) -> int:
        os.close(made(path, flags, mode))
        return made("/dev/full", os.O_WRONLY)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(OSError, match="No space left"):
        create_file(tmp_path / "new", b"data", 0o600)
    assert not (tmp_path / "new").exists()
