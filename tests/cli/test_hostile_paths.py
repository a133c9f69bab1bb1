"""Things that are no regular file, and links that lead outside, in every place where a file is named or found."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.cli import MTLS, WRANGLER, Project, make_project
from tests.support.hostile import check_run
from tests.support.measured import CLI, measure
from tests.support.worlds import issued

SECRET = "what is outside of the tree"


def _socket(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(place.parent)  # the path of a socket may only have about 100 bytes
        try:
            server.bind(place.name)
        finally:
            os.chdir(here)


def _loop(place: Path) -> None:
    place.symlink_to(f"{place.name}.2")
    place.with_name(f"{place.name}.2").symlink_to(place.name)


KINDS: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a socket": _socket,
    "a folder": Path.mkdir,
    "a link to a device": lambda place: place.symlink_to("/dev/zero"),
    "a link into /proc": lambda place: place.symlink_to("/proc/self/environ"),
    "a circle of links": _loop,
    "a link to nothing": lambda place: place.symlink_to("nothing"),
    "a link outside": lambda place: place.symlink_to(place.parents[1] / "outside"),
    "a link into git": lambda place: place.symlink_to(place.parent / ".git/secret"),
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project in a git repository, beside which there is a file that it must not touch."""
    (tmp_path / "outside").write_text(SECRET)
    (tmp_path / "project/.git").mkdir(parents=True)
    (tmp_path / "project/.git/secret").write_text(SECRET)
    return make_project(tmp_path / "project")


def check(project: Project, *arguments: str, codes: frozenset[int] = frozenset({1})) -> str:
    """Run it as a process of its own; everything that it printed."""
    result = measure([*CLI, *arguments], folder=project.folder, environ=project.environ)
    check_run(result, codes=codes)
    printed = (result.out + result.err).decode()
    assert SECRET not in printed
    assert (project.folder.parent / "outside").read_text() == SECRET
    return printed


@pytest.mark.parametrize("kind", KINDS)
def test_an_mtls_toml_that_is_no_file_is_refused(project: Project, kind: str) -> None:
    """Nothing waits for a pipe, and nothing of a stranger's is shown."""
    (project.folder / "mtls.toml").unlink()
    KINDS[kind](project.folder / "mtls.toml")
    assert "error[file-" in check(project, "plan")


def test_certificates_that_are_no_files_are_refused_each_alone(project: Project) -> None:
    """Each is named with its reason; the good one beside them is planned."""
    tables = ""
    for number, (kind, make) in enumerate(KINDS.items()):
        make(project.folder / f"c{number}")
        tables += f'[certificates.c{number}]\ncertificate = "c{number}"  # {kind}\n'
    project.write("mtls.toml", MTLS + tables)
    printed = check(project, "plan", codes=frozenset({5}))
    assert "1 upload" in printed
    assert all(f"'c{number}'" in printed for number, _ in enumerate(KINDS))


def test_keys_that_are_no_files_are_refused_each_alone(project: Project) -> None:
    """Nothing is uploaded for them."""
    tables = ""
    for number, make in enumerate(KINDS.values()):
        make(project.folder / f"k{number}")
        project.write(f"c{number}.pem", issued(number + 2).certificate_pem)
        tables += f'[certificates.c{number}]\ncertificate = "c{number}.pem"\nprivate_key = "k{number}"\n'
    project.write("mtls.toml", MTLS + tables)
    printed = check(project, "apply", "--yes", codes=frozenset({5}))
    assert f"1 of {len(KINDS) + 1} certificates uploaded, 1 binding written" in printed
    assert all(f"'k{number}'" in printed for number, _ in enumerate(KINDS))


def test_wrangler_files_that_are_no_files_are_refused_each_alone(project: Project) -> None:
    """Each problem is shown where mtls.toml names the file."""
    tables = ""
    for number, make in enumerate(KINDS.values()):
        make(project.folder / f"w{number}.toml")
        tables += f'[workers.w{number}]\nconfig = "w{number}.toml"\n'
    project.write("mtls.toml", MTLS + tables)
    printed = check(project, "plan", codes=frozenset({5}))
    assert printed.count("error[") == printed.count("at   mtls.toml:") == len(KINDS)


@pytest.mark.parametrize("kind", ["a pipe", "a socket", "a folder", "a link to a device", "a circle of links"])
def test_a_plan_is_saved_into_files_only(project: Project, kind: str) -> None:
    """What `--out` names may be anywhere, for it is the user's own word; but it must be a file."""
    KINDS[kind](project.folder / "plan.json")
    check(project, "plan", "--out", "plan.json")


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_that_is_no_file_is_refused(project: Project, kind: str) -> None:
    """For `show` and `apply` alike; a link to a regular file is read, and is no plan."""
    KINDS[kind](project.folder / "plan.json")
    check(project, "show", "plan.json")


def test_what_the_sweep_meets_keeps_the_old_entry(project: Project) -> None:
    """A tree that can't be looked through wholly is a doubt, and a doubt keeps everything."""
    project.write("mtls.toml", MTLS + '[policy]\ngrace = "0s"\n')
    assert project.run("apply", "--yes").code == 0
    project.certificate("billing", 2)
    assert project.run("apply", "--yes", "--phase", "upload", "--phase", "bind").code == 0
    assert "1 deletion" in check(project, "plan", codes=frozenset({0}))
    for number, make in enumerate(KINDS.values()):
        folder = project.folder / f"other{number}"
        folder.mkdir()
        make(folder / "wrangler.toml")
    assert "1 old certificate kept" in check(project, "plan", codes=frozenset({0}))
    check(project, "apply", "--yes", codes=frozenset({0}))
    assert len(project.run("plan", "--format", "json").json["waiting"]) == 1


def test_a_wrangler_file_that_becomes_a_link_outside_is_not_written(project: Project) -> None:
    """Neither the target nor the link is changed; the upload before it is not lost."""
    (project.folder / "wrangler.toml").unlink()
    (project.folder.parent / "outside").write_text(WRANGLER)
    (project.folder / "wrangler.toml").symlink_to("../outside")
    result = measure([*CLI, "apply", "--yes"], folder=project.folder, environ=project.environ)
    check_run(result, codes=frozenset({5}))
    assert b"file-outside" in result.out
    assert (project.folder.parent / "outside").read_text() == WRANGLER


OURS = [
    (name, kind)
    for name in (".mtlsctl", ".mtlsctl/store.db", ".mtlsctl/lock", ".mtlsctl/journal.jsonl")
    for kind in KINDS
    if (name, kind) != (".mtlsctl", "a folder")
]


@pytest.mark.parametrize(("name", "kind"), OURS)
def test_what_is_in_the_place_of_our_own_files_is_not_used(project: Project, name: str, kind: str) -> None:
    """A checkout may bring anything under our names; nothing is read or written through it."""
    place = project.folder / name
    place.parent.mkdir(exist_ok=True)
    KINDS[kind](place)
    result = project.run("apply", "--yes")
    assert result.code == 1, result
    assert SECRET not in result.out + result.err
    assert "error[" in result.out + result.err
    assert (project.folder.parent / "outside").read_text() == SECRET
    assert (project.folder / ".git/secret").read_text() == SECRET
    assert not (project.folder / "nothing").exists()
    assert project.read("wrangler.toml") == WRANGLER
