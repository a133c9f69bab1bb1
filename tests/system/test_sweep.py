"""The sweep: which wrangler files of the tree still contain an id."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from reconciler.model import EntryId
from reconciler.system.confine import read_regular
from reconciler.system.files import ProjectFiles
from tests.support.trees import Hostile, link, write

ID = EntryId("10ca1000-4f6a-4c7f-82c7-8e9487d3ff60")
OTHER_ID = EntryId("2458ce5a-0c35-4c7f-82c7-8e9487d3ff60")


def test_the_sweep_finds_ids_in_the_whole_tree(tree: Path, files: ProjectFiles) -> None:
    """Anywhere in the tree, in any file that may configure a Worker, in any letter case, in comments, too."""
    for name in ("Wrangler.JSONC", "dist/wrangler.json", "../other/wrangler.prod.toml"):
        write(name, f"# {ID.upper()}".encode())(tree)
    write("wrangler-old.toml", OTHER_ID.encode())(tree)
    found = files.sweep([ID, OTHER_ID, EntryId("10ca1000-0000-4000-8000-000000000000")])
    assert found.complete
    assert found.mentions == {
        ID: ("../other/wrangler.prod.toml", "Wrangler.JSONC", "dist/wrangler.json"),
        OTHER_ID: ("wrangler-old.toml",),
    }


@pytest.mark.parametrize(
    "name",
    [".git/wrangler.toml", "node_modules/x/wrangler.toml", "mtls.toml", "wrangler.yaml", "wrangler.toml.bak"],
)
def test_the_sweep_leaves_other_files_out(tree: Path, files: ProjectFiles, name: str) -> None:
    """Files that wrangler does not read, and the folders of git and of packages, don't count as a use."""
    write(name, ID.encode())(tree)
    found = files.sweep([ID])
    assert (found.mentions, found.complete) == ({}, True)


@pytest.mark.parametrize(
    "name",
    [
        *("ops/odd.toml", "dist/worker.json", "prod.wrangler.toml", "b.toml", "cloudflare.config.ts", "a/mtls.toml"),
        *("wrangler.toml.example", "wrangler.jsonc.dist", "a/Wrangler.TOML.J2", "prod.json.tmpl"),
    ],
)
def test_the_sweep_finds_ids_in_files_of_other_names(tree: Path, files: ProjectFiles, name: str) -> None:
    """wrangler accepts any file with `-c`, a build writes its own, another mtls.toml may bind by id, and a pipeline
    makes a file of its template again."""
    write(name, ID.encode())(tree)
    assert files.sweep([ID]).mentions == {ID: (name,)}


def test_the_sweep_finds_an_id_behind_escapes(tree: Path, files: ProjectFiles) -> None:
    """JSON can write each of its characters as an escape."""
    write("wrangler.json", ID.replace("-", "\\u002d", 1).encode())(tree)
    assert files.sweep([ID]).mentions == {ID: ("wrangler.json",)}


def test_the_sweep_leaves_out_what_this_tool_writes(tree: Path) -> None:
    """A saved plan names what it retires; but a file with a name of wrangler's is never left out."""
    files = ProjectFiles(tree, is_document=lambda text: text.startswith(b"ours"))
    write("plan.json", b"ours " + ID.encode())(tree)
    write("wrangler.json", b"ours " + ID.encode())(tree)
    assert files.sweep([ID]).mentions == {ID: ("wrangler.json",)}


def test_a_large_data_file_is_no_doubt(tree: Path, files: ProjectFiles) -> None:
    """An unreadable file only counts if its name is one of wrangler's."""
    write("data.json", b" " * 20_000_001)(tree)
    assert files.sweep([ID]).complete


def test_a_file_of_another_name_that_leads_out_of_the_tree_is_a_doubt(tree: Path, files: ProjectFiles) -> None:
    """wrangler would follow it."""
    (tree / "prod.toml").symlink_to("../../outside.toml")
    (tree.parent.parent / "outside.toml").write_text(ID)
    assert files.sweep([ID]).unread == ("prod.toml",)


def test_this_mtls_toml_is_left_out_through_a_link_too(tree: Path, files: ProjectFiles) -> None:
    """Its own ids are declared."""
    write("conf/prod.toml", ID.encode())(tree)
    (tree / "mtls.toml").unlink(missing_ok=True)
    (tree / "mtls.toml").symlink_to("conf/prod.toml")
    assert files.sweep([ID]).mentions == {}


def test_the_sweep_enters_no_linked_folder(tmp_path: Path, tree: Path, files: ProjectFiles) -> None:
    """A circle of folders ends, and folders outside the tree are not read."""
    write("elsewhere/wrangler.toml", ID.encode())(tmp_path)
    (tree / "circle").symlink_to("..")
    (tree / "out").symlink_to("../../elsewhere")
    found = files.sweep([ID])
    assert (found.mentions, found.complete) == ({}, True)


def test_the_sweep_reads_a_linked_file(tree: Path, files: ProjectFiles) -> None:
    """A wrangler file may be a link to a file of the tree with any name."""
    write("base.toml", ID.encode())(tree)
    (tree / "wrangler.toml").symlink_to("base.toml")
    assert files.sweep([ID]).mentions == {ID: ("base.toml", "wrangler.toml")}


def test_a_file_with_many_names_is_read_once(tree: Path, files: ProjectFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """By links and by hard links; each name is reported, a file that is too large for nothing is not read again."""
    write("base.toml", ID.encode())(tree)
    write("big.json", b" " * 20_000_001)(tree)
    for number in range(3):
        (tree / f"link{number}.toml").symlink_to("base.toml")
        (tree / f"hard{number}.toml").hardlink_to(tree / "base.toml")
        (tree / f"big{number}.json").symlink_to("big.json")
    read: list[str] = []

    def counted(place: Path, path: str, *, limit: int) -> tuple[bytes, os.stat_result]:
        read.append(place.name)
        return read_regular(place, path, limit=limit)

    monkeypatch.setattr("reconciler.system.sweep.read_regular", counted)
    found = files.sweep([ID])
    assert len([name for name in read if name not in ("big.json", "wrangler.toml")]) == 1
    assert read.count("big.json") == 1
    assert (len(found.mentions[ID]), found.complete) == (7, True)


def test_a_large_file_is_a_doubt_only_under_a_name_of_wranglers(tree: Path, files: ProjectFiles) -> None:
    """Also where it was read under another name first, or is left for a later one."""
    write("data.json", b" " * 20_000_001)(tree)
    for name in ("a.json", "wrangler.json", "z.json"):
        (tree / name).symlink_to("data.json")
    assert files.sweep([ID]).unread == ("wrangler.json",)


UNSEEN = (
    Hostile("a dangling link", "wrangler.toml", "", link("wrangler.toml", "no-such-file")),
    Hostile("a link out", "wrangler.toml", "", link("wrangler.toml", "../../outside.pem")),
    Hostile("a link to a folder", "wrangler.toml", "", link("wrangler.toml", "workers")),
    Hostile("a pipe", "wrangler.toml", "", lambda folder: os.mkfifo(folder / "wrangler.toml")),
    Hostile("too large", "wrangler.toml", "", write("wrangler.toml", b" " * 20_000_001)),
)


@pytest.mark.parametrize("case", UNSEEN, ids=lambda case: case.id)
def test_what_the_sweep_cannot_see_makes_it_incomplete(tree: Path, files: ProjectFiles, case: Hostile) -> None:
    """A file that can't be read may contain the id."""
    write("dist/wrangler.json", ID.encode())(tree)
    case.make(tree)
    found = files.sweep([ID])
    assert not found.complete
    assert found.mentions == {ID: ("dist/wrangler.json",)}


def test_a_folder_that_cannot_be_listed_makes_the_sweep_incomplete(
    tree: Path, files: ProjectFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may contain a wrangler file."""
    real = os.scandir

    def refuse(path: Path) -> object:
        if path.name == "checkout":
            raise PermissionError(errno.EACCES, "no")
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert not files.sweep([ID]).complete


def test_a_sweep_for_nothing_looks_at_nothing(files: ProjectFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """If nothing is to be retired, the tree is not read."""
    monkeypatch.setattr(os, "scandir", None)
    assert files.sweep([]).complete


def test_a_name_that_is_no_utf8_can_be_printed(tree: Path, files: ProjectFiles) -> None:
    """Linux allows any bytes in a name, and a report must not fail because of them."""
    try:
        (tree / os.fsdecode(b"wrangler-\xff.toml")).write_text(ID)
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    assert files.sweep([ID]).mentions == {ID: ("wrangler-\\xff.toml",)}
