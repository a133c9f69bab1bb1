"""The example of sixty Workers, from its first apply to a rotation and back; judged by readers that are not ours."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tomli
import tomlkit

from tests.project.test_examples import EXAMPLES, copy, make
from tests.support.cli import Project, Result
from tests.support.json_judge import read_json
from tests.support.trees import git
from tests.support.wrangler_readers import Case, find_node, read_all, uploaded_bindings

MONOREPO = EXAMPLES / "monorepo"
FILES = sorted(path.relative_to(MONOREPO).as_posix() for path in MONOREPO.glob("apps/*/wrangler.*"))
DECLARATION: dict[str, Any] = tomli.loads((MONOREPO / "mtls.toml").read_text())

BOM = b"\xef\xbb\xbf"
ID = re.compile(rb"""(certificate_id["']?\s*[:=]\s*(?:/\*.*?\*/\s*)?["'])([^"']*)(["'])""")

Bindings = dict[str, dict[str, str]]
"""Environment ("" is the top level) to binding to certificate or id; environments without any are left out."""


# --- readers ---------------------------------------------------------------------------------------------------------


def declared(document: dict[str, Any]) -> dict[str, Bindings]:
    """File to what mtls.toml says of it, certificates by their names."""
    return {_file(worker["config"]): _declared_bindings(worker) for worker in document["workers"].values()}


def _file(config: str) -> str:
    """The file itself where a folder is declared: there is one in each."""
    (found,) = [path for path in FILES if path == config or path.startswith(f"{config}/")]
    return found


def _declared_bindings(worker: dict[str, Any]) -> Bindings:
    tables = {"": worker, **worker.get("env", {})}
    return {name: dict(table["bindings"]) for name, table in tables.items() if table.get("bindings")}


def values_of(path: str, data: bytes) -> dict[str, Any]:
    """A wrangler file by tomli, or by a reader of JSON with comments."""
    text = data.removeprefix(BOM).decode()
    values = tomli.loads(text) if path.endswith(".toml") else read_json(text)
    assert isinstance(values, dict)
    return values


def tables_of(values: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The environments of a file, the top level first."""
    yield "", values
    yield from values.get("env", {}).items()


def bound(values: dict[str, Any]) -> Bindings:
    """The bindings of a file, with their ids; none may stand there twice."""
    found: Bindings = {}
    for environment, table in tables_of(values):
        entries = table.get("mtls_certificates") or []
        names = {entry["binding"]: entry["certificate_id"] for entry in entries}
        assert len(names) == len(entries)
        if names:
            found[environment] = names
    return found


def names_of(bindings: dict[str, Bindings]) -> set[tuple[str, str, str]]:
    """File, environment and name of every binding."""
    return {
        (path, environment, name)
        for path, environments in bindings.items()
        for environment, names in environments.items()
        for name in names
    }


def original(path: str) -> bytes:
    """A file as the example has it."""
    return (MONOREPO / path).read_bytes()


DECLARED = declared(DECLARATION)
ORIGINAL = {path: bound(values_of(path, original(path))) for path in FILES}
MISSING = names_of(DECLARED) - names_of(ORIGINAL)


# --- the example, applied --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Applied:
    """The example after `apply`, and the id of each certificate."""

    project: Project
    ids: dict[str, str]

    def files(self) -> dict[str, bytes]:
        """Every wrangler file."""
        return {path: (self.project.folder / path).read_bytes() for path in FILES}

    def wanted(self) -> dict[str, Bindings]:
        """What mtls.toml declares, by ids."""
        return {
            path: {name: {key: self.ids[of] for key, of in table.items()} for name, table in environments.items()}
            for path, environments in DECLARED.items()
        }


def prepare(into: Path) -> Project:
    """The example with its certificates, as its README makes them."""
    names = [name for name, table in DECLARATION["certificates"].items() if not table.get("ca")]
    project = copy("monorepo", into, *names)
    shutil.copy(project.folder / "certs/throwaway-ca.pem", project.folder / "certs/partner-ca.pem")
    project.environ["BANK_KEY"] = project.read("certs/bank.key")
    (project.folder / "certs/bank.key").unlink()
    return project


def apply(project: Project) -> dict[str, str]:
    """`apply`, which may leave nothing undone; the ids of what it uploaded."""
    result = project.run("apply", "--yes", "--format", "json")
    assert result.code == 0, result.out + result.err
    uploads = [step for step in result.json["done"] if step["change"]["action"] == "upload"]
    return {step["change"]["certificate"]: step["entry"] for step in uploads}


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Applied:
    """For tests that only look."""
    project = prepare(tmp_path_factory.mktemp("applied"))
    return Applied(project, apply(project))


@pytest.fixture
def own(applied: Applied, tmp_path: Path) -> Applied:
    """For tests that go on from there: a copy, with the store."""
    folder = tmp_path / "monorepo"
    shutil.copytree(applied.project.folder, folder)
    return Applied(Project(folder, dict(applied.project.environ)), applied.ids)


# --- before ----------------------------------------------------------------------------------------------------------


def test_it_is_as_large_and_as_mixed_as_it_says() -> None:
    """Sixty files that are all declared, a third of each format, some with CRLF, a mark or no last newline."""
    assert Counter(Path(path).suffix for path in FILES) == {".toml": 20, ".json": 20, ".jsonc": 20}
    assert sorted(DECLARED) == FILES
    assert len(DECLARATION["workers"]) == len(FILES)
    assert len(DECLARATION["certificates"]) == 12
    data = [original(path) for path in FILES]
    assert sum(b"\r\n" in text for text in data) >= 4
    assert sum(not text.endswith(b"\n") for text in data) >= 4
    assert sum(text.startswith(BOM) for text in data) >= 1


def test_there_is_nothing_to_find(tmp_path: Path) -> None:
    """No error, no warning, no remark: by `validate`, and by a plan."""
    project = prepare(tmp_path)
    git(project.folder, "init", "--quiet")  # else a note says that nothing could be asked about keys
    assert project.run("validate") == Result(0, "Everything checked is in order.\n", "")
    assert project.run("plan", "--format", "json").json["diagnostics"] == []


def test_the_first_plan_names_every_binding_once(tmp_path: Path) -> None:
    """What is not there is bound, what has a placeholder is bound anew, and there is nothing else to do to a file."""
    plan = prepare(tmp_path).run("plan", "--format", "json").json
    found: dict[str, list[tuple[str, str, str]]] = {"bind": [], "rebind": []}
    for change in plan["changes"]:
        if change["action"] != "upload":
            place = (change["config"], change.get("environment") or "", change["binding"])
            found[change["action"]].append(place)
    assert sorted(found["bind"]) == sorted(MISSING)
    assert sorted(found["rebind"]) == sorted(names_of(ORIGINAL))
    assert plan["summary"]["upload"] == 12


# --- after -----------------------------------------------------------------------------------------------------------


def test_every_binding_of_every_file_is_as_declared(applied: Applied) -> None:
    """In every environment exactly the declared ones, with the id of the certificate that mtls.toml names."""
    assert len(set(applied.ids.values())) == 12
    for path, data in applied.files().items():
        assert bound(values_of(path, data)) == applied.wanted()[path], path


def test_nothing_else_in_a_file_means_anything_else(applied: Applied) -> None:
    """All other values are equal, and so are the other keys of an entry that was there, in its place."""
    for path, data in applied.files().items():
        before, after = values_of(path, original(path)), values_of(path, data)
        tables = dict(tables_of(after))
        for environment, table in tables_of(before):
            entries = table.pop("mtls_certificates", [])
            made = tables[environment].pop("mtls_certificates", [])
            for entry in (*entries, *made):
                del entry["certificate_id"]
            assert made[: len(entries)] == entries, path
            assert all(entry.keys() == {"binding"} for entry in made[len(entries) :]), path
        assert after == before, path


def masked(data: bytes, ids: Iterable[str]) -> bytes:
    """The file with one word in the place of these ids, where they are ids: not in a comment or a text."""
    known = {text.encode() for text in ids}
    return ID.sub(lambda found: found[1] + b"ID" + found[3] if found[2] in known else found[0], data)


def masked_original(path: str) -> bytes:
    """The same of a file as the example has it: with its placeholders."""
    return masked(original(path), {text for names in ORIGINAL[path].values() for text in names.values()})


def test_every_byte_that_is_no_id_stays(applied: Applied) -> None:
    """Where nothing was missing the bytes are equal; elsewhere all of them are still there, in order."""
    added = {path for path, _, _ in MISSING}
    for path, data in applied.files().items():
        before, after = masked_original(path), masked(data, applied.ids.values())
        assert (before == after) == (path not in added), path
        rest = iter(re.findall(rb"[\w-]+|\r\n|.", after, re.DOTALL))
        assert all(piece in rest for piece in re.findall(rb"[\w-]+|\r\n|.", before, re.DOTALL)), path
        assert _outline(after) == _outline(before), path


def _outline(data: bytes) -> tuple[bool, bool, bool, bool]:
    """Byte order mark, CRLF, bare LF, and whether the last line is ended."""
    bare = b"\n" in data.replace(b"\r\n", b"")
    return data.startswith(BOM), b"\r\n" in data, bare, data.endswith(b"\n")


def test_what_was_added_can_be_taken_out_to_the_byte(own: Applied) -> None:
    """With every binding undeclared that was missing once, the files are as they were, but for their ids."""
    document = tomli.loads((MONOREPO / "mtls.toml").read_text())
    for worker in document["workers"].values():
        path = _file(worker["config"])
        for environment, table in {"": worker, **worker.get("env", {})}.items():
            bindings = table.get("bindings", {})
            table["bindings"] = {name: of for name, of in bindings.items() if (path, environment, name) not in MISSING}
    own.project.write("mtls.toml", tomlkit.dumps(document))
    apply(own.project)
    for path, data in own.files().items():
        assert masked(data, own.ids.values()) == masked_original(path), path


def test_again_there_is_nothing_to_do(own: Applied) -> None:
    """The second plan is empty, and a second apply writes no file."""
    assert own.project.run("plan", "--detailed-exitcode").code == 0
    before = _written(own.project.folder)
    assert apply(own.project) == {}
    assert _written(own.project.folder) == before


def _written(folder: Path) -> dict[Path, tuple[int, int, bytes]]:
    """Every file of the tree but our own, with what changes when it is written."""
    files = [path for path in folder.rglob("*") if path.is_file() and ".mtlsctl" not in path.parts]
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()) for path in files}


# --- later -----------------------------------------------------------------------------------------------------------


def test_a_rotation_changes_the_ids_of_one_certificate_and_a_revert_gives_the_bytes_back(own: Applied) -> None:
    """Of the one that most files share; the way back needs no key and uploads nothing."""
    users = {path: {of for table in tables.values() for of in table.values()} for path, tables in DECLARED.items()}
    (name, shared), *_ = Counter(of for names in users.values() for of in names).most_common()
    before = own.files()
    pem = own.project.read(f"certs/{name}.pem")
    make(own.project.folder, name)
    new = apply(own.project)
    assert list(new) == [name]
    after = own.files()
    changed = {path for path in FILES if after[path] != before[path]}
    assert changed == {path for path, names in users.items() if name in names}
    assert len(changed) == shared >= 20
    for path in FILES:
        assert after[path].replace(new[name].encode(), own.ids[name].encode()) == before[path], path
    own.project.write(f"certs/{name}.pem", pem)
    (own.project.folder / f"certs/{name}.key").unlink()
    assert apply(own.project) == {}
    assert own.files() == before
    assert own.project.run("plan", "--detailed-exitcode").code == 0


def test_a_line_deleted_in_mtls_toml_takes_one_binding_out_of_one_file(own: Applied) -> None:
    """The last step of its README."""
    before, path = own.files(), "apps/webhooks/wrangler.jsonc"
    lines = own.project.read("mtls.toml").splitlines(keepends=True)
    goes = lines.index("[workers.webhooks.bindings]\n") + 2
    assert lines[goes].startswith('BILLING = "billing" # goes')
    own.project.write("mtls.toml", "".join(lines[:goes] + lines[goes + 1 :]))
    apply(own.project)
    after = own.files()
    assert [changed for changed in FILES if after[changed] != before[changed]] == [path]
    assert bound(values_of(path, after[path])) == {"": {"PARTNER": own.ids["partner"]}}


# --- wrangler itself -------------------------------------------------------------------------------------------------


def test_wranglers_readers_find_what_is_declared(applied: Applied) -> None:
    """In all sixty files."""
    find_node()
    files = applied.files()
    cases: list[Case] = [("toml" if path.endswith(".toml") else "jsonc", data.decode()) for path, data in files.items()]
    for path, answer in zip(files, read_all(cases), strict=True):
        values = answer["value"]
        assert isinstance(values, dict)
        assert bound(values) == applied.wanted()[path], path


@pytest.mark.parametrize(
    ("path", "environment"),
    [
        ("apps/payouts/wrangler.toml", "staging"),
        ("apps/wallet/wrangler.json", None),
        ("apps/health-check/wrangler.jsonc", None),
    ],
)
def test_wrangler_would_upload_exactly_the_declared_ids(own: Applied, path: str, environment: str | None) -> None:
    """By the metadata of a dry run."""
    find_node()
    assert uploaded_bindings(own.project.folder / path, environment) == own.wanted()[path][environment or ""]
