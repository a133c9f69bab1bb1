"""Writing: atomic replacement, files written elsewhere, and cleaning up after a killed run."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import reconciler.system.files
from reconciler.findings.diagnostics import Place
from reconciler.findings.errors import FileChangedError, FileError
from reconciler.system.atomic import create_atomic, write_atomic
from reconciler.system.confine import ConfinedTree
from reconciler.system.files import ProjectFiles, write_named
from tests.support.trees import CONFIG, git, leftovers, link, nothing

LIMIT = 1000
OLD, NEW = b"id = 1\r\n", b"id = 2\r\n\xff\n"


def test_replacing_keeps_bytes_and_mode(tree: Path, files: ProjectFiles) -> None:
    """Every byte is as given, including line ends, and the file keeps its mode."""
    (tree / CONFIG).write_bytes(OLD)
    (tree / CONFIG).chmod(0o664)
    files.replace(CONFIG, old=OLD, new=NEW)
    assert (tree / CONFIG).read_bytes() == NEW
    assert stat.S_IMODE((tree / CONFIG).stat().st_mode) == 0o664
    assert leftovers(tree) == []


def test_replacing_through_a_link_keeps_the_link(tree: Path, files: ProjectFiles) -> None:
    """The target of a link is replaced, next to itself; the link stays a link."""
    (tree / CONFIG).write_bytes(OLD)
    (tree / "link.toml").symlink_to(CONFIG)
    files.replace("link.toml", old=OLD, new=NEW)
    assert (tree / "link.toml").is_symlink()
    assert (tree / CONFIG).read_bytes() == NEW


@pytest.mark.parametrize("meanwhile", [b"", OLD + b"# more", OLD[:-1], NEW, None], ids=repr)
def test_a_file_that_changed_is_not_replaced(tree: Path, files: ProjectFiles, meanwhile: bytes | None) -> None:
    """A file that another program changed, shortened or emptied meanwhile stays as it is."""
    place = tree / CONFIG
    if meanwhile is None:
        place.unlink()
    else:
        place.write_bytes(meanwhile)
    with pytest.raises(FileChangedError):
        files.replace(CONFIG, old=OLD, new=NEW)
    assert (place.read_bytes() if place.exists() else None) == meanwhile


def swap(tree: Path, moved: str, elsewhere: Path) -> None:
    """Another program puts a link to elsewhere where a folder of the path was."""
    shutil.copytree(tree / moved, elsewhere)
    (tree / moved).rename(tree / f"{moved}.old")
    (tree / moved).symlink_to(elsewhere)


@pytest.mark.parametrize("moved", ["workers/checkout", "workers"])
@pytest.mark.parametrize("step", ["_expect", "write_atomic"])
def test_a_folder_that_becomes_a_link_leads_no_write_out_of_the_tree(
    tree: Path, files: ProjectFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: str, step: str
) -> None:
    """Check and write are in one folder, however late it is swapped, and whatever has its name then."""
    (tree / CONFIG).write_bytes(OLD)
    outside = tmp_path / "outside"
    where: object = ProjectFiles if step == "_expect" else reconciler.system.files
    effect = getattr(where, step)

    def swapped(*arguments: object, **named: object) -> object:
        swap(tree, moved, outside)
        return effect(*arguments, **named)

    monkeypatch.setattr(where, step, swapped)
    files.replace(CONFIG, old=OLD, new=NEW)
    written = Path(CONFIG).relative_to(moved)
    assert (outside / written).read_bytes() == OLD
    assert (tree / f"{moved}.old" / written).read_bytes() == NEW
    assert leftovers(tmp_path) == []


def test_a_folder_that_became_a_link_before_is_no_folder(
    tree: Path, files: ProjectFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between resolving the path and opening its folder: nothing is written anywhere."""
    (tree / CONFIG).write_bytes(OLD)
    resolve = ConfinedTree.resolve

    def swapped(self: ConfinedTree, path: str) -> Path:
        real = resolve(self, path)
        swap(tree, "workers", tmp_path / "outside")
        return real

    monkeypatch.setattr(ConfinedTree, "resolve", swapped)
    with pytest.raises(FileChangedError):
        files.replace(CONFIG, old=OLD, new=NEW)
    assert {place.read_bytes() for place in tmp_path.rglob("wrangler.toml")} == {OLD}


def test_a_system_without_descriptors_of_folders_still_replaces(
    tree: Path, files: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By paths, as before; a link inside of the tree stays one."""
    monkeypatch.setattr("reconciler.system.confine._BY_FOLDER", False)
    (tree / CONFIG).write_bytes(OLD)
    (tree / "link.toml").symlink_to(CONFIG)
    files.replace("link.toml", old=OLD, new=NEW)
    assert (tree / "link.toml").is_symlink()
    assert (tree / CONFIG).read_bytes() == NEW
    assert leftovers(tree) == []


def test_a_folder_that_can_be_entered_and_not_listed_is_enough(tree: Path, files: ProjectFiles) -> None:
    """To write into it."""
    (tree / CONFIG).write_bytes(OLD)
    (tree / "workers").chmod(0o311)
    (tree / "workers/checkout").chmod(0o311)
    try:
        files.replace(CONFIG, old=OLD, new=NEW)
    finally:
        for folder in ("workers", "workers/checkout"):
            (tree / folder).chmod(0o755)
    assert (tree / CONFIG).read_bytes() == NEW


def test_a_read_only_file_is_not_replaced(tree: Path, files: ProjectFiles) -> None:
    """Its folder would allow it, but someone marked the file, so even root must change the mode first."""
    (tree / CONFIG).write_bytes(OLD)
    (tree / CONFIG).chmod(0o444)
    with pytest.raises(FileError, match="read-only") as caught:
        files.replace(CONFIG, old=OLD, new=NEW)
    assert caught.value.code == "file-unwritable"


@pytest.mark.parametrize("moved", ["workers/checkout", "workers"])
def test_a_new_file_is_made_in_the_folder_that_was_checked(
    tree: Path, files: ProjectFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: str
) -> None:
    """A folder that becomes a link before, or while the file is made, leads it nowhere."""
    outside = tmp_path / "outside"
    link = os.link

    def swapped_late(source: str, target: str, **named: int) -> None:
        swap(tree, moved, outside)
        link(source, target, src_dir_fd=named["src_dir_fd"], dst_dir_fd=named["dst_dir_fd"])

    with monkeypatch.context() as late:
        late.setattr(os, "link", swapped_late)
        files.create("workers/checkout/new/a.pem", NEW)
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("a.pem")] == [
        Path("repo/mtls") / f"{moved}.old" / Path("workers/checkout").relative_to(moved) / "new/a.pem"
    ]
    shutil.rmtree(outside)
    (tree / moved).unlink()
    (tree / f"{moved}.old").rename(tree / moved)

    def swapped_early(base: Path, path: Path, data: bytes, *, where: Place) -> None:
        swap(tree, moved, outside)
        create_atomic(base, path, data, where=where)

    monkeypatch.setattr(reconciler.system.files, "create_atomic", swapped_early)
    with pytest.raises(FileError, match="could not be written"):
        files.create("workers/checkout/b.pem", NEW)
    assert not list(tmp_path.rglob("b.pem"))
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("descriptors", [True, False])
def test_a_new_file_replaces_nothing(
    tree: Path, files: ProjectFiles, monkeypatch: pytest.MonkeyPatch, descriptors: bool
) -> None:
    """Neither a file nor a link to nothing; its folders are made, and nothing else is left behind."""
    monkeypatch.setattr("reconciler.system.confine._BY_FOLDER", descriptors)
    files.create("a/b/new.pem", NEW)
    assert (tree / "a/b/new.pem").read_bytes() == NEW
    (tree / "a/link.pem").symlink_to("nothing")
    for taken in ("a/b/new.pem", "a/link.pem"):
        with pytest.raises(FileError) as caught:
            files.create(taken, OLD)
        assert caught.value.code == "file-exists"
    assert (tree / "a/b/new.pem").read_bytes() == NEW
    assert not (tree / "a/nothing").exists()
    assert leftovers(tree) == []


@pytest.mark.parametrize("step", ["fsync", "replace", "fchmod"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_failed_replacement_leaves_the_old_file(
    tree: Path, files: ProjectFiles, monkeypatch: pytest.MonkeyPatch, step: str, number: int
) -> None:
    """Whichever step fails, the old content stays, there is no temporary file, and a hint says what to do."""
    (tree / CONFIG).write_bytes(OLD)

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(FileError) as caught:
        files.replace(CONFIG, old=OLD, new=NEW)
    monkeypatch.undo()
    assert caught.value.code == "file-unwritable"
    assert caught.value.hint
    assert (tree / CONFIG).read_bytes() == OLD
    assert leftovers(tree) == []


def test_a_disk_that_takes_only_a_part_leaves_the_old_file(tree: Path, files: ProjectFiles) -> None:
    """A write that stops half way, here at the system's limit for the size of files, leaves no trace."""
    (tree / CONFIG).write_bytes(OLD)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(FileError):
            files.replace(CONFIG, old=OLD, new=b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tree / CONFIG).read_bytes() == OLD
    assert leftovers(tree) == []


def test_an_interrupt_leaves_the_old_file(tree: Path, files: ProjectFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C between writing and replacing cleans up, too."""
    (tree / CONFIG).write_bytes(OLD)

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        files.replace(CONFIG, old=OLD, new=NEW)
    monkeypatch.undo()
    assert (tree / CONFIG).read_bytes() == OLD
    assert leftovers(tree) == []


def test_a_folder_that_cannot_be_synced_does_not_matter(
    tree: Path, files: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems can't sync folders; the file is replaced anyway."""
    (tree / CONFIG).write_bytes(OLD)
    real = os.fsync

    def refuse_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "no")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    files.replace(CONFIG, old=OLD, new=NEW)
    assert (tree / CONFIG).read_bytes() == NEW


@pytest.mark.parametrize("step", ["opened_folder", "write_atomic"])
def test_a_folder_of_out_that_becomes_a_link_is_not_followed(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """After it was checked that none of them is one."""
    outside = tmp_path / "outside"
    effect = getattr(reconciler.system.files, step)

    def swapped(*arguments: object, **named: object) -> object:
        swap(tree, "workers", outside)
        return effect(*arguments, **named)

    monkeypatch.setattr(reconciler.system.files, step, swapped)
    if step == "opened_folder":
        with pytest.raises(FileError, match="become a symbolic link") as caught:
            write_named(tree / "workers/plan.json", NEW)
        assert caught.value.code == "out-refused"
    else:
        write_named(tree / "workers/plan.json", NEW)
        assert (tree / "workers.old/plan.json").read_bytes() == NEW
    assert not (outside / "plan.json").exists()
    assert leftovers(tmp_path) == []


# --- writing elsewhere -----------------------------------------------------------------------------------------------


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize(
    ("existing", "mode", "after"),
    [(None, 0o644, 0o640), (None, 0o600, 0o600), (0o600, 0o644, 0o600), (0o644, 0o600, 0o600), (0o644, 0o644, 0o644)],
)
def test_mode_is_the_most_a_file_gets(tmp_path: Path, existing: int | None, mode: int, after: int) -> None:
    """A new file gets the mode minus the umask; an existing one never more than it had."""
    target = tmp_path / "plan.json"
    if existing is not None:
        target.write_bytes(b"old")
        target.chmod(existing)
    write_atomic(target, b"new", mode)
    assert (target.read_bytes(), stat.S_IMODE(target.stat().st_mode)) == (b"new", after)


def test_a_device_is_not_replaced(tmp_path: Path) -> None:
    """`--out /dev/null` as root must not replace it with a file; the test uses a pipe."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "link"):
        with pytest.raises(FileError) as caught:
            write_atomic(tmp_path / name, b"x")
        assert caught.value.code == "file-not-regular"
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.parametrize("name", ["no/such/folder/plan.json", "a\0b", "x" * 250])
def test_an_impossible_place_is_an_error(tmp_path: Path, name: str) -> None:
    """A missing folder, or an impossible file name, is reported as an error."""
    with pytest.raises(FileError) as caught:
        write_atomic(tmp_path / name, b"x")
    assert caught.value.code == "file-unwritable"


# --- tidying ---------------------------------------------------------------------------------------------------------


def test_tidy_removes_only_what_a_killed_run_left(tree: Path, files: ProjectFiles) -> None:
    """Our temporary files of the files that were read are removed; everything else stays, however similar its name."""
    folder = (tree / CONFIG).parent
    ours = folder / ".wrangler.toml.mtlsctl-0123abcd.tmp"
    others = (
        ".wrangler.toml.mtlsctl-0123abcg.tmp",
        ".wrangler.toml.mtlsctl-0123abcd0.tmp",
        ".wrangler.toml.mtlsctl-.tmp",
        ".wrangler.toml.tmp",
        ".other.toml.mtlsctl-0123abcd.tmp",
        "wrangler.toml.mtlsctl-0123abcd.tmp",
    )
    for name in (ours.name, *others):
        (folder / name).write_text("x")
    (folder / ".wrangler.toml.mtlsctl-00000000.tmp").symlink_to("wrangler.toml")
    (folder / ".wrangler.toml.mtlsctl-11111111.tmp").mkdir()
    (tree / ".mtls.toml.mtlsctl-0123abcd.tmp").write_text("x")

    files.tidy()
    assert ours.exists()
    files.read(CONFIG, limit=LIMIT)
    files.tidy()
    assert not ours.exists()
    assert all((folder / name).exists() for name in others)
    assert (folder / ".wrangler.toml.mtlsctl-00000000.tmp").is_symlink()
    assert (folder / ".wrangler.toml.mtlsctl-11111111.tmp").is_dir()
    assert (tree / ".mtls.toml.mtlsctl-0123abcd.tmp").exists()


def test_tidy_finds_what_a_kill_leaves(tree: Path, files: ProjectFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replacement names its temporary file in a way that tidy recognizes."""
    (tree / CONFIG).write_bytes(OLD)
    monkeypatch.setattr(os, "replace", lambda *_, **__: None)  # as if killed before the last step
    files.replace(CONFIG, old=OLD, new=NEW)
    monkeypatch.undo()
    assert len(leftovers(tree)) == 1
    files.tidy()
    assert leftovers(tree) == []


def test_a_replaced_file_keeps_its_group_where_the_owner_can_not_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only root may give a file away, but its group may be one of the user's own."""
    path, asked = tmp_path / "x", list[tuple[int, int]]()
    path.write_text("old")

    def as_user(_: int, owner: int, group: int) -> None:
        asked.append((owner, group))
        if owner != -1:
            raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("reconciler.system.atomic.os.fchown", as_user)
    write_atomic(path, b"new")
    before = path.stat()
    assert asked == [(before.st_uid, before.st_gid), (-1, before.st_gid)]
    assert path.read_text() == "new"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a certificate file, which ignores `build`."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / ".gitignore").write_text("build/\n")
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs/old.pem").write_bytes(OLD)
    return tmp_path


def test_what_can_be_written_passes_and_nothing_is_made(repository: Path) -> None:
    """A file that is there, a new one, and one with new folders."""
    files = ProjectFiles(repository)
    before = sorted(repository.rglob("*"))
    files.demand_writable("certs/old.pem", new=False)
    files.demand_writable("certs/new.pem", new=True)
    files.demand_writable("a/b/new.pem", new=True)
    assert sorted(repository.rglob("*")) == before


def forbid_folder(folder: Path) -> None:
    (folder / "certs").chmod(0o555)


UNWRITABLE: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "read-only": ("certs/old.pem", lambda folder: (folder / "certs/old.pem").chmod(0o444), "is read-only"),
    "read-only folder": ("certs/old.pem", forbid_folder, "could not be written: Permission denied"),
    "read-only folder of a new one": ("certs/new.pem", forbid_folder, "could not be written: Permission denied"),
    "below a file": ("certs/old.pem/new.pem", nothing, "could not be written: Not a directory"),
    "a broken link": ("certs/link.pem", link("certs/link.pem", "nowhere"), "already exists"),
    "outside": ("../new.pem", nothing, "outside"),
    "in .git": (".git/new.pem", nothing, "inside .git"),
    "in .mtlsctl": (".mtlsctl/new.pem", nothing, "inside .mtlsctl"),
    "in node_modules": ("a/node_modules/new.pem", nothing, "inside node_modules"),
    "ignored": ("build/new.pem", nothing, "git ignores"),
    "not a repository": (
        "certs/new.pem",
        lambda folder: (folder / ".git/HEAD").unlink(),
        "unknown whether git ignores",
    ),
}


@pytest.mark.parametrize("case", UNWRITABLE)
def test_what_can_not_be_written_or_committed_is_known_before(repository: Path, case: str) -> None:
    """So that no one is asked for what would be lost."""
    path, prepare, message = UNWRITABLE[case]
    if prepare is forbid_folder and os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    prepare(repository)
    with pytest.raises(FileError) as caught:
        ProjectFiles(repository).demand_writable(path, new=path != "certs/old.pem")
    assert message in caught.value.message
    assert caught.value.hint
    assert caught.value.where == Place(path)
