"""A wrangler file that can't be used stops its own Worker, and nothing else (rule 8)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.cli import MTLS, WRANGLER, Project, make_project

CONFIG = "workers/refunds/wrangler.toml"
TWO = (
    MTLS
    + f"""
[certificates.refunds]
certificate = "certs/refunds.pem"
private_key = {{ env = "REFUNDS_KEY" }}

[workers.refunds]
config = "{CONFIG}"

[workers.refunds.bindings]
REFUNDS = "refunds"
"""
)
REFUNDS = WRANGLER.replace("checkout", "refunds").replace("BILLING", "REFUNDS")
JSONC = '{ "name": "refunds", "mtls_certificates": [{ "binding": "REFUNDS", "certificate_id": "" }] }\n'


def remove_folder(project: Project) -> None:
    """The Worker was removed, but not from mtls.toml."""
    shutil.rmtree(project.folder / "workers")


def remove(project: Project) -> None:
    """Its folder is still there."""
    (project.folder / CONFIG).unlink()


def make_folder(project: Project) -> None:
    """A folder of that name."""
    remove(project)
    (project.folder / CONFIG).mkdir()


def break_toml(project: Project) -> None:
    """A syntax error."""
    project.write(CONFIG, project.read(CONFIG) + "main = \n")


def break_jsonc(project: Project) -> None:
    """A syntax error in the other format."""
    remove(project)
    project.write("mtls.toml", project.read("mtls.toml").replace("refunds/wrangler.toml", "refunds/wrangler.jsonc"))
    project.write("workers/refunds/wrangler.jsonc", JSONC.replace("{", "{ ,", 1))


def leave_conflict(project: Project) -> None:
    """Both sides of a merge."""
    project.write(CONFIG, f"<<<<<<< HEAD\n{REFUNDS}=======\n{REFUNDS}>>>>>>> other\n")


def make_large(project: Project) -> None:
    """Larger than any wrangler file."""
    project.write(CONFIG, project.read(CONFIG) + "#" * 256_000)


def forbid(project: Project) -> None:
    """This user may not read it."""
    (project.folder / CONFIG).chmod(0)


BROKEN: dict[Callable[[Project], None], str] = {
    remove_folder: "file-missing",
    remove: "file-missing",
    make_folder: "file-not-regular",
    break_toml: "wrangler-syntax",
    break_jsonc: "wrangler-syntax",
    leave_conflict: "wrangler-syntax",
    make_large: "file-too-large",
    forbid: "file-unreadable",
}
UNREAD = (remove_folder, remove, make_folder, make_large, forbid)
"""Those whose bytes can't be read: they may have any ID."""

each = pytest.mark.parametrize("spoil", BROKEN, ids=lambda one: one.__name__)


def two_workers(folder: Path, spoil: Callable[[Project], None]) -> Project:
    """The file of the second Worker can't be used."""
    if spoil is forbid and os.geteuid() == 0:
        pytest.skip("root may read every file")
    project = make_project(folder, TWO)
    project.write(CONFIG, REFUNDS)
    project.certificate("refunds", 2)
    spoil(project)
    return project


def errors(document: dict[str, list[dict[str, str]]]) -> list[str]:
    """The codes of its errors."""
    return [one["code"] for one in document["diagnostics"] if one["severity"] == "error"]


@each
def test_the_rest_is_planned_and_applied(tmp_path: Path, spoil: Callable[[Project], None]) -> None:
    """5 as long as something can be done, then 1; only the bindings of that Worker are missing."""
    project = two_workers(tmp_path, spoil)
    found = project.run("plan", "--format", "json")
    assert (found.code, errors(found.json)) == (5, [BROKEN[spoil]])
    done = [(one["action"], one.get("worker")) for one in found.json["changes"]]
    assert done == [("upload", None), ("upload", None), ("rebind", "checkout")]
    applied = project.run("apply", "--yes", "--format", "json")
    assert (applied.code, len(applied.json["done"])) == (5, 3)
    again = project.run("plan", "--format", "json")
    assert (again.code, errors(again.json), again.json["changes"]) == (1, [BROKEN[spoil]], [])


@each
def test_another_certificate_alone_is_not_concerned(tmp_path: Path, spoil: Callable[[Project], None]) -> None:
    """No error and 0 with --only of the other one; the error and 5 with --only of its own."""
    project = two_workers(tmp_path, spoil)
    other = project.run("plan", "--only", "billing", "--format", "json")
    assert (other.code, errors(other.json), other.json["summary"]["rebind"]) == (0, [], 1)
    own = project.run("plan", "--only", "refunds", "--format", "json")
    assert (own.code, errors(own.json)) == (5, [BROKEN[spoil]])
    assert project.run("apply", "--only", "billing", "--yes").code == 0


@each
def test_every_report_shows_the_rest_and_the_error(tmp_path: Path, spoil: Callable[[Project], None]) -> None:
    """`status`, `drift`, `explain` and `validate` say what is wrong, and claim nothing about that Worker."""
    project = two_workers(tmp_path, spoil)
    project.run("apply", "--yes")
    status = project.run("status")
    assert status.code == 1
    assert "REFUNDS of refunds (top level): its wrangler file could not be read" in status.out
    drift = project.run("drift")
    assert (drift.code, "No drift in what could be compared; 3 certificates and bindings in sync." in drift.out) == (
        1,
        True,
    )
    explained = project.run("explain", "refunds")
    assert (explained.code, f"error[{BROKEN[spoil]}]" in explained.out) == (0, True)
    assert project.run("validate").code == 1
    assert all(BROKEN[spoil] in one.out for one in (status, drift))


@each
def test_a_saved_plan_is_applied_without_it(tmp_path: Path, spoil: Callable[[Project], None]) -> None:
    """Also if the file broke after the plan was saved: its changes are missing then."""
    if spoil is break_jsonc:
        pytest.skip("another mtls.toml is another plan")
    project = two_workers(tmp_path, lambda _: None)
    out = project.folder / "plan.json"
    assert project.run("plan", "--out", str(out)).code == 0
    if spoil is forbid and os.geteuid() == 0:
        pytest.skip("root may read every file")
    spoil(project)
    applied = project.run("apply", str(out), "--format", "json")
    assert (applied.code, len(applied.json["done"])) == (5, 3)
    assert "10ca1000-" in project.read("wrangler.toml")


def test_two_broken_files_are_both_reported(tmp_path: Path) -> None:
    """With nothing left to bind, the uploads still go ahead."""
    project = two_workers(tmp_path, break_toml)
    project.write("wrangler.toml", "name = \n")
    found = project.run("plan", "--format", "json")
    assert (found.code, errors(found.json)) == (5, ["wrangler-syntax", "wrangler-syntax"])
    assert found.json["summary"] | {"upload": 2} == found.json["summary"]
    assert found.json["summary"]["rebind"] == 0


def test_two_workers_of_one_broken_file_are_both_held_and_it_is_reported_once(tmp_path: Path) -> None:
    """By two labels."""
    project = two_workers(tmp_path, break_toml)
    third = f'\n[workers.third]\nconfig = "{CONFIG}"\n[workers.third.env.a.bindings]\nBILLING = "billing"\n'
    project.write("mtls.toml", TWO + third)
    assert errors(project.run("plan", "--format", "json").json) == ["wrangler-syntax"]
    explained = project.run("explain", "third", "--format", "json")
    assert [one["what"] for one in explained.json["bindings"]] == ["nothing is planned"]


def test_for_a_removed_worker_the_hint_has_the_lines_to_delete(tmp_path: Path) -> None:
    """Deleting them is all that it takes."""
    project = two_workers(tmp_path, remove_folder)
    lines = project.read("mtls.toml").splitlines()
    first, last = lines.index("[workers.refunds]") + 1, lines.index('REFUNDS = "refunds"') + 1
    hint = f"if this Worker was removed, delete lines {first} to {last} of mtls.toml; else restore workers/refunds"
    assert hint in project.run("plan").out
    project.write("mtls.toml", "\n".join(lines[: first - 1] + lines[last:]) + "\n")
    assert project.run("plan").code == 0


def test_the_tables_of_a_removed_worker_may_be_apart(tmp_path: Path) -> None:
    """Each block is named; where it has no table of its own, its name is."""
    project = make_project(tmp_path, MTLS.replace('"wrangler.toml"', '"gone/wrangler.toml"'))
    apart = '[workers.a]\nconfig = "no/wrangler.toml"\n\n[policy]\n\n[workers.a.bindings]\nA = "billing"\n'
    project.write("mtls.toml", MTLS + apart)
    assert "delete lines 13 to 14 and 18 to 19 of mtls.toml" in project.run("plan").out
    inline = 'version = 1\nstack = "x"\nworkers.a = { config = "no/wrangler.toml", bindings = {} }\n'
    project.write("mtls.toml", inline)
    assert "delete `workers.a` of mtls.toml" in project.run("plan").out


# --- retires --------------------------------------------------------------------------------------------------------


def rotated(folder: Path) -> tuple[Project, str]:
    """Both certificates are in use, and the first was renewed; with the ID of its old upload."""
    project = two_workers(folder, lambda _: None)
    assert project.run("apply", "--yes").code == 0
    old = project.run("output", "billing").out.strip()
    project.certificate("billing", 3)
    assert project.run("apply", "--yes").code == 0
    return project, old


@pytest.mark.parametrize("spoil", UNREAD, ids=lambda one: one.__name__)
def test_a_file_whose_bytes_cannot_be_read_keeps_every_old_certificate(
    tmp_path: Path, spoil: Callable[[Project], None]
) -> None:
    """It may have any ID."""
    if spoil is forbid and os.geteuid() == 0:
        pytest.skip("root may read every file")
    project, _ = rotated(tmp_path)
    spoil(project)
    result = project.run("retire", "billing", "--now", "--yes")
    assert result.code == 3
    assert f"{CONFIG} could not be read, and might have its ID" in result.err


@pytest.mark.parametrize("spoil", [break_toml, leave_conflict], ids=lambda one: one.__name__)
def test_a_broken_file_that_can_be_read_keeps_only_the_ids_in_its_text(
    tmp_path: Path, spoil: Callable[[Project], None]
) -> None:
    """In any letter case, in a comment as well; without the ID, the retire of the other certificate goes ahead."""
    project, old = rotated(tmp_path)
    spoil(project)
    project.write(CONFIG, project.read(CONFIG) + f"# {old.upper()}\n")
    kept = project.run("retire", "billing", "--now", "--yes")
    assert (kept.code, f"its ID is still in {CONFIG}" in kept.err) == (3, True)
    project.write(CONFIG, project.read(CONFIG).replace(old.upper(), ""))
    assert project.run("retire", "billing", "--now", "--yes").code == 0


def test_a_broken_file_keeps_the_certificates_that_its_worker_declares(tmp_path: Path) -> None:
    """Whatever its text has: its own binding may still use the old one."""
    project, _ = rotated(tmp_path)
    project.certificate("refunds", 4)
    assert project.run("apply", "--yes").code == 0
    project.write(CONFIG, "name = \n")
    result = project.run("retire", "refunds", "--now", "--yes")
    assert result.code == 3
    assert f"REFUNDS in {CONFIG} (top level) could not be checked" in result.err
