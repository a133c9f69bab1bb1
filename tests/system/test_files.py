"""Reading the project tree: hostile paths, and keys outside the tree."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.findings.errors import FileError
from reconciler.system.files import ProjectFiles
from tests.support.trees import CONFIG, Hostile, bind_socket, leftovers, link, write

LIMIT = 1000
ROOT_USER = os.geteuid() == 0


HOSTILE = (
    Hostile("missing", "nothing.pem", "file-missing"),
    Hostile("below a file", f"{CONFIG}/x", "file-missing"),
    Hostile("a name that is too long", "x" * 300, "file-missing"),
    Hostile("a NUL byte", "a\0b.pem", "file-missing"),
    Hostile("half a surrogate pair", "a\ud800.pem", "file-missing"),
    Hostile("a line break", "a\nb.pem", "file-missing"),
    Hostile("a terminal's escape", "a\x1b[2Jb.pem", "file-missing"),
    Hostile("empty", "", "file-not-regular"),
    Hostile("absolute", "/etc/hosts", "file-outside"),
    Hostile("up and out", "../../outside.pem", "file-outside"),
    Hostile("out and back in", "../../repo/common.pem", "file-outside"),
    Hostile("down, then up and out", "workers/../../../outside.pem", "file-outside"),
    Hostile("a link out", "link.pem", "file-outside", link("link.pem", "../../outside.pem")),
    Hostile("an absolute link out", "link.pem", "file-outside", link("link.pem", "/etc/hosts")),
    Hostile("a link to a folder outside", "up/outside.pem", "file-outside", link("up", "../..")),
    Hostile("a dangling link out", "link.pem", "file-outside", link("link.pem", "../../no-such-file")),
    Hostile("a dangling link", "link.pem", "file-missing", link("link.pem", "no-such-file")),
    Hostile("a link to itself", "loop.pem", "file-not-regular", link("loop.pem", "loop.pem")),
    Hostile("a folder", "workers", "file-not-regular"),
    Hostile("a pipe", "fifo", "file-not-regular", lambda folder: os.mkfifo(folder / "fifo")),
    Hostile("a socket", "socket", "file-not-regular", bind_socket),
    Hostile("a link to a device", "zero", "file-outside", link("zero", "/dev/zero")),
    Hostile("a link into /proc", "environ", "file-outside", link("environ", "/proc/self/environ")),
    Hostile("git's own", "../.git/config", "file-in-git"),
    Hostile("git's own by a link", "config", "file-in-git", link("config", "../.git/config")),
    Hostile("git's own in capitals", ".GIT/config", "file-in-git", write(".GIT/config", b"x")),
    Hostile("git's own as HFS+ reads it", ".g\u200cit/config", "file-in-git", write(".g\u200cit/config", b"x")),
    Hostile("git's own as NTFS reads it", "GIT~1/config", "file-in-git", write("GIT~1/config", b"x")),
    Hostile("a submodule's git", "sub/.git/config", "file-in-git", write("sub/.git/config", b"x")),
    Hostile("a submodule's git file", "sub/.git", "file-in-git", write("sub/.git", b"gitdir: ../.git/modules/sub")),
    Hostile("too large", "big.pem", "file-too-large", write("big.pem", b"x" * (LIMIT + 1))),
)


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: case.id)
def test_a_hostile_path_is_refused(tree: Path, files: ProjectFiles, case: Hostile) -> None:
    """It is refused with its code and a hint, and the message can't control a terminal."""
    case.make(tree)
    with pytest.raises(FileError) as caught:
        files.read(case.path, limit=LIMIT)
    assert caught.value.code == case.code
    assert caught.value.hint
    assert caught.value.message.isprintable()
    assert "outside\n" not in caught.value.message


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: case.id)
def test_a_hostile_path_is_not_written_either(tree: Path, files: ProjectFiles, case: Hostile) -> None:
    """Replacing follows the same rules as reading, and leaves nothing behind."""
    case.make(tree)
    with pytest.raises(FileError):
        files.replace(case.path, old=b"x", new=b"y")
    if case.code not in ("file-missing", "file-too-large"):  # there, a new file may be made
        before = sorted(tree.parent.rglob("*"))
        with pytest.raises(FileError):
            files.create(case.path, b"y")
        assert sorted(tree.parent.rglob("*")) == before
    assert leftovers(tree.parent) == []


@pytest.mark.skipif(ROOT_USER, reason="root may read everything")
def test_an_unreadable_file_is_refused(tree: Path, files: ProjectFiles) -> None:
    """The error says that this user may not read it."""
    (tree / CONFIG).chmod(0)
    with pytest.raises(FileError) as caught:
        files.read(CONFIG, limit=LIMIT)
    assert caught.value.code == "file-unreadable"


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="this system has no /proc")
@pytest.mark.parametrize("path", ["proc/self/environ", "dev/zero", "dev/tty"])
def test_the_system_is_refused_where_the_tree_is_everything(path: str) -> None:
    """Even with mtls.toml in `/`, no pseudo file and no device is read."""
    with pytest.raises(FileError) as caught:
        ProjectFiles(Path("/")).read(path, limit=LIMIT)
    assert caught.value.code in {"file-not-regular", "file-missing"}


@pytest.mark.parametrize("path", [CONFIG, "../common.pem", "workers/../../common.pem", "link.toml", "a\nb.pem"])
def test_a_file_of_the_tree_is_read(tree: Path, files: ProjectFiles, path: str) -> None:
    """`..` and links are allowed inside the root; so is every possible file name."""
    (tree / "link.toml").symlink_to(CONFIG)
    (tree / "a\nb.pem").write_text("odd")
    assert files.read(path, limit=LIMIT) == (tree / path).read_bytes()


def test_a_file_may_be_as_large_as_the_limit(tree: Path, files: ProjectFiles) -> None:
    """A file of exactly that size is read."""
    (tree / "big.pem").write_bytes(b"x" * LIMIT)
    assert len(files.read("big.pem", limit=LIMIT)) == LIMIT


def test_without_git_the_folder_is_the_root(tmp_path: Path) -> None:
    """Outside a repository, nothing above the folder of mtls.toml is read."""
    (tmp_path / "project").mkdir()
    (tmp_path / "outside.pem").write_text("outside")
    with pytest.raises(FileError) as caught:
        ProjectFiles(tmp_path / "project").read("../outside.pem", limit=LIMIT)
    assert caught.value.code == "file-outside"


def test_two_names_of_one_file_have_one_identity(tree: Path, files: ProjectFiles) -> None:
    """The identity is the real path from the root, however it is reached."""
    (tree / "link.toml").symlink_to(CONFIG)
    names = (CONFIG, "link.toml", "workers/./checkout/../checkout/wrangler.toml", f"../mtls/{CONFIG}")
    assert {files.identity(name) for name in names} == {f"mtls/{CONFIG}"}


# --- keys ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A key in a folder outside the tree, reached through `..data` as Kubernetes mounts it."""
    folder = tmp_path / "secrets"
    (folder / "..2026").mkdir(parents=True)
    (folder / "..2026/tls.key").write_bytes(b"key")
    (folder / "..2026/tls.key").chmod(0o600)
    (folder / "..data").symlink_to("..2026")
    (folder / "tls.key").symlink_to("..data/tls.key")
    return folder / "tls.key"


def test_a_key_outside_is_refused(files: ProjectFiles, key: Path) -> None:
    """Without MTLSCTL_KEY_DIRS a key must be in the tree; the hint names the variable."""
    with pytest.raises(FileError, match="outside the project") as caught:
        files.read_key(str(key), limit=LIMIT)
    assert caught.value.code == "file-outside"
    assert "MTLSCTL_KEY_DIRS" in (caught.value.hint or "")


def test_a_key_below_a_named_folder_is_read(tree: Path, key: Path) -> None:
    """As an absolute path or with `..`, through links that stay in the folder."""
    files = ProjectFiles(tree, key_dirs=os.pathsep.join(["/no/such/folder", "", str(key.parent)]))
    assert files.read_key(str(key), limit=LIMIT).data == b"key"
    assert files.read_key("../../secrets/tls.key", limit=LIMIT).data == b"key"


def test_only_keys_may_be_outside(tree: Path, key: Path) -> None:
    """MTLSCTL_KEY_DIRS allows keys in its folders and nothing else."""
    with pytest.raises(FileError):
        ProjectFiles(tree, key_dirs=str(key.parent)).read("../../secrets/tls.key", limit=LIMIT)


def test_a_relative_key_folder_does_not_count(tree: Path, key: Path) -> None:
    """Its meaning would depend on the folder in which the run was started."""
    with pytest.raises(FileError):
        ProjectFiles(tree, key_dirs=os.path.relpath(key.parent)).read_key(str(key), limit=LIMIT)


def test_a_link_out_of_a_key_folder_is_refused(tree: Path, key: Path) -> None:
    """Links are resolved first: the key itself must be in the folder."""
    (key.parent / "leak.key").symlink_to("../outside.pem")
    with pytest.raises(FileError) as caught:
        ProjectFiles(tree, key_dirs=str(key.parent)).read_key(str(key.parent / "leak.key"), limit=LIMIT)
    assert caught.value.code == "file-outside"


@pytest.mark.parametrize(("mode", "readable"), [(0o600, False), (0o640, True), (0o604, True), (0o400, False)])
def test_a_key_says_who_else_may_read_it(tree: Path, files: ProjectFiles, mode: int, readable: bool) -> None:
    """Group and others count; and a log would not show the key."""
    (tree / "billing.key").write_bytes(b"very secret")
    (tree / "billing.key").chmod(mode)
    key = files.read_key("billing.key", limit=LIMIT)
    assert (key.data, key.readable_by_others) == (b"very secret", readable)
    assert "very secret" not in repr(key)


def test_a_key_in_git_is_refused(files: ProjectFiles) -> None:
    """Keys follow the rule about `.git`, too."""
    with pytest.raises(FileError) as caught:
        files.read_key("../.git/config", limit=LIMIT)
    assert caught.value.code == "file-in-git"


def test_a_link_to_nothing_says_where_it_leads(tree: Path, files: ProjectFiles) -> None:
    """Of a file, a key, or a folder on the way; a path without a link is only named."""
    (tree / "lone.pem").symlink_to("/mnt/secrets/lone.pem")
    (tree / "gone").symlink_to("nowhere")
    (tree / "inside.pem").symlink_to("deeper/none.pem")
    for path, target in (("gone/x.pem", tree / "nowhere/x.pem"), ("inside.pem", tree / "deeper/none.pem")):
        for read in (files.read, files.read_key):
            with pytest.raises(FileError) as caught:
                read(path, limit=10)
            assert caught.value.code == "file-missing"
            assert caught.value.message == f"{path!r} leads to {str(target)!r}, which does not exist"
    with pytest.raises(FileError, match=r"'none\.pem' does not exist"):
        files.read("none.pem", limit=10)


def test_a_link_out_of_the_tree_says_where_it_leads(tree: Path) -> None:
    """Of a file, and of a key outside the folders of MTLSCTL_KEY_DIRS; `..` needs no explanation."""
    (tree / "lone.pem").symlink_to("/mnt/secrets/lone.pem")
    files = ProjectFiles(tree, key_dirs="/run/secrets")
    for read in (files.read, files.read_key):
        with pytest.raises(FileError) as caught:
            read("lone.pem", limit=10)
        assert caught.value.code == "file-outside"
        assert "leads to '/mnt/secrets/lone.pem', which is outside the project" in caught.value.message
    with pytest.raises(FileError, match=r"'/mnt/secrets/x\.key' is outside the project") as lone:
        files.read_key("/mnt/secrets/x.key", limit=10)
    assert "MTLSCTL_KEY_DIRS" in (lone.value.hint or "")


def test_without_git_the_error_says_why_the_tree_is_small(tmp_path: Path) -> None:
    """An image that has the files but not `.git` has a smaller tree than the checkout."""
    (tmp_path / "project").mkdir()
    (tmp_path / "common.pem").write_text("x")
    files = ProjectFiles(tmp_path / "project")
    for read in (files.read, files.read_key):
        with pytest.raises(FileError) as caught:
            read("../common.pem", limit=10)
        assert "there is no .git, so the project is only the folder of mtls.toml" in (caught.value.hint or "")
    (tmp_path / ".git").mkdir()
    assert ProjectFiles(tmp_path / "project").read("../common.pem", limit=10) == b"x"
