"""What a checkout or a pipeline hands on, tampered with: saved plans, the embedded store, the journal, the lock."""

from __future__ import annotations

import fcntl
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.model import StoreSettings
from reconciler.plan.plan import PlanFacts
from reconciler.records.saved_plan import read_plan
from reconciler.stores.database import SCHEMA, FileDatabase
from reconciler.stores.local import LocalStore
from reconciler.system.clock import SystemClock
from tests.support.cli import MTLS, WRANGLER, Project, Result
from tests.support.hostile import DOCUMENTED, FEW, LONG, check_run, check_texts
from tests.support.measured import CLI, measure, measure_counted
from tests.support.reports import sealed
from tests.support.sizes import sampled
from tests.support.worlds import issued

FORMATS = ((), ("--format", "json"))
Json = dict[str, Any]


@pytest.fixture
def plan(project: Project) -> Json:
    """A saved plan with an upload and a rebind."""
    document = project.run("plan", "--format", "json").json
    assert len(document["changes"]) == 2
    return document


def check(result: Result) -> None:
    assert result.code in DOCUMENTED
    check_texts(result.out, result.err)


# --- saved plans ----------------------------------------------------------------------------------------------------


def changed(**values: object) -> Callable[[Json], str]:
    """The plan with other values at its top."""
    return lambda plan: json.dumps({**plan, **values})


def in_change(**values: object) -> Callable[[Json], str]:
    """The plan with other values in its first change, and the digest as it was."""
    return lambda plan: json.dumps({**plan, "changes": [{**plan["changes"][0], **values}, *plan["changes"][1:]]})


PLANS: dict[str, Callable[[Json], str | bytes]] = {
    "nothing": lambda plan: "",
    "cut in the middle": lambda plan: json.dumps(plan)[:-200],
    "30 MB of blanks": lambda plan: json.dumps(plan) + " " * 30_000_000,
    "lists in lists": lambda plan: "[" * 1_000_000,
    "objects in objects": lambda plan: '{"a":' * 1_000_000,
    "lists in a value": lambda plan: json.dumps(plan)[:-1] + ',"x":' + "[" * 100_000 + "]" * 100_000 + "}",
    "a list": lambda plan: "[]",
    "another document": changed(format="mtlsctl.plan/2"),
    "a number for text": changed(stack=1),
    "no number": lambda plan: json.dumps({**plan, "offline": float("nan")}),
    "an infinite number": lambda plan: json.dumps({**plan, "at": float("inf")}),
    "a number of a million digits": lambda plan: json.dumps(plan)[:-1] + ',"x":' + "9" * 1_000_000 + "}",
    "an unknown key": changed(x=1),
    "a million unknown keys": lambda plan: (
        json.dumps(plan)[:-1] + "".join(f',"k{number}":1' for number in range(1_000_000)) + "}"
    ),
    "half a million bad changes": changed(changes=[{}] * 500_000),
    "100,000 adopted": changed(adopted=[{"certificate": "a", "entry": "b", "name": "c", "ours": True}] * 100_000),
    "100,000 findings": changed(diagnostics=[{"severity": "error", "code": "a", "message": "b"}] * 100_000),
    "the same key twice": lambda plan: json.dumps(plan)[:-1] + ',"stack":"other"}',
    "another digest": changed(digest="sha256:" + "0" * 64),
    "no digest": lambda plan: json.dumps({key: value for key, value in plan.items() if key != "digest"}),
    "another content": in_change(content_digest="0" * 64),
    "another action": in_change(action="retire"),
    "an unknown action": in_change(action="delete-everything"),
    "an unknown reason": in_change(reasons=["because"]),
    "a time that is none": changed(made="tomorrow"),
    "a time without zone": changed(made="2026-11-23T12:00:00"),
    "a year of six digits": changed(made="999999-01-01T00:00:00Z"),
    "UTF-16": lambda plan: json.dumps(plan).encode("utf-16"),
    "half a surrogate pair": changed(stack="\ud800"),
    "a NUL": changed(stack="\0"),
    "a byte that is no UTF-8": lambda plan: json.dumps(plan).encode().replace(b"payments", b"pay\xffments"),
    "a long name": in_change(name=LONG),
}
HARMLESS = {"100,000 adopted", "100,000 findings", "a long name", "a NUL", "the same key twice"}


@pytest.mark.parametrize("name", sampled(PLANS))
def test_a_hostile_plan_costs_little_and_executes_nothing(project: Project, plan: Json, name: str) -> None:
    """Shown or refused; what it says is never done on its word."""
    given = project.write("plan.json", PLANS[name](plan)).stat().st_size
    for command in (["show", "plan.json"], ["apply", "plan.json", "--phase", "retire"]):
        result = measure_counted(command, folder=project.folder, environ=project.environ)
        check_run(result, codes=frozenset({0, 1, 3, 4} if name in HARMLESS else {1, 4}), given=given)
    assert project.read("wrangler.toml") == WRANGLER
    assert not (project.folder / ".mtlsctl/store.db").exists()


def rename(value: object, name: str, skipped: frozenset[str]) -> object:
    """Every text of a document replaced, but what stands under the keys that decide its form."""
    if isinstance(value, dict):
        return {key: item if key in skipped else rename(item, name, skipped) for key, item in value.items()}
    if isinstance(value, list):
        return [rename(item, name, skipped) for item in value]
    return name if isinstance(value, str) else value


FORM = frozenset({"format", "kind", "made", "digest", "action", "phase", "reasons", "severity", "condition"})
FORM |= {
    "until",
    "not_before",
    "not_after",
    "valid_from",
    "valid_until",
    "renew_from",
    "uploaded_on",
    "next",
    "actions",
    "area",
}


@pytest.mark.parametrize("name", FEW.values(), ids=FEW)
def test_a_name_in_a_plan_is_shown_and_does_nothing(
    project: Project, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every text of a plan that has something of everything, with the digest that belongs to it."""
    project.write("mtls.toml", MTLS + "[policy]\nprune = true\n")
    project.run("apply", "--yes")
    project.certificate("billing", 2)
    document = project.run("plan", "--format", "json").json
    change = {"action": "retire", "phase": "retire", "reasons": ["superseded"], "before": "a", "name": "b"}
    document["waiting"] = [{**change, "entry": "a", "certificate": "c", "condition": "grace", "detail": "d"}]
    document["unknown"] = [{"certificate": "a", "worker": "b", "environment": "c", "binding": "d", "message": "e"}]
    document["diagnostics"] = [{"severity": "error", "code": "a", "message": "b", "path": "c", "hint": "d\ne"}]
    document["partial"], document["offline"] = ["a"], True
    hostile = rename(document, name, FORM)
    assert isinstance(hostile, dict)
    with monkeypatch.context() as unchecked:
        unchecked.setattr(PlanFacts, "digest", hostile["digest"])
        read = read_plan(sealed(hostile).encode(), "plan.json")
    project.write("plan.json", sealed({**hostile, "digest": read.digest}))
    for shown in FORMATS:
        result = project.run("show", "plan.json", *shown)
        assert result.code == 0, result
        check(result)
        check(project.run("apply", "plan.json", *shown))


# --- the embedded store ---------------------------------------------------------------------------------------------


def sql(*statements: str) -> Callable[[Path], None]:
    """Change a store's file with whatever SQLite allows."""

    def run(path: Path) -> None:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("DROP TRIGGER IF EXISTS entries_stay")
        for statement in statements:
            connection.execute(statement)
        connection.execute(SCHEMA[-1])
        connection.close()

    return run


def overwrite(start: int, data: bytes) -> Callable[[Path], None]:
    def run(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(start)
            file.write(data)

    return run


STORES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "no database": lambda path: path.write_bytes(b"x" * 10_000),
    "cut in the middle": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "garbled header": overwrite(16, b"\xff" * 80),
    "garbled pages": overwrite(4096, b"\xff" * 4096),
    "a newer version": sql("PRAGMA user_version = 2"),
    "another program's": sql("PRAGMA application_id = 7"),
    "another table": sql("CREATE TABLE more (x)"),
    "a view": sql("CREATE VIEW v AS SELECT * FROM entries"),
    "a time that is none": sql("UPDATE entries SET uploaded_on = 'tomorrow'"),
    "a number for text": sql("UPDATE entries SET certificates = x'ff00'"),
    "no certificate": sql("UPDATE entries SET certificates = 'x'"),
    "100 MB of text": sql("UPDATE entries SET name = printf('%.100000000c', 'x')"),
    "a command for an id": sql("UPDATE entries SET id = '::error::injected'"),
    "a command in an id": sql("UPDATE entries SET id = 'a' || char(10) || '::error::injected ##[error]x' || char(27)"),
}


@pytest.mark.parametrize("name", sampled(STORES))
def test_a_hostile_store_costs_little_and_is_not_changed(project: Project, name: str) -> None:
    """It is refused, or what it says is data; never repaired by guessing."""
    assert project.run("apply", "--yes").code == 0
    path = project.folder / ".mtlsctl/store.db"
    STORES[name](path)
    before = path.stat().st_size, path.stat().st_mtime_ns
    for command in (["plan"], ["status", "--format", "json"], ["output", "billing"], ["doctor"]):
        result = measure([*CLI, *command], folder=project.folder, environ=project.environ)
        check_run(result)
    assert (path.stat().st_size, path.stat().st_mtime_ns) == before


@pytest.mark.parametrize("name", [*FEW.values(), LONG], ids=[*FEW, "900 kB"])
def test_a_name_in_the_store_is_shown_and_does_nothing(project: Project, name: str) -> None:
    """Entries that others named: adopted, foreign, and those that `supersedes` names."""
    store = LocalStore(FileDatabase(project.folder), clock=SystemClock(), limit=StoreSettings().limit)
    entries = [
        store.seed(type_=kind, name=name, ca=False, certificates=issued(number).certificate_pem.decode())
        for number, kind in ((1, "custom"), (2, "custom"), (3, name))
    ]
    project.write("mtls.toml", MTLS.replace("private_key", f"supersedes = [{json.dumps(entries[1].id)}]\nprivate_key"))
    for command in (["plan"], ["status"], ["explain", "billing"], ["explain", entries[1].id], ["apply", "--yes"]):
        for shown in FORMATS:
            check(project.run(*command, *shown))
    for number in (3, 2):
        project.certificate("billing", number)
        check(project.run("plan"))


# --- journal and lock -----------------------------------------------------------------------------------------------


def journal(name: str) -> str:
    """Two runs of which every text is a name."""
    common = {"format": "mtlsctl.journal/1", "time": "2026-11-23T12:00:00Z"}
    change = {"action": "rebind", "phase": "bind", "certificate": name, "binding": name, "config": name, "worker": name}
    change |= {"environment": name, "before": name, "after": name, "content_digest": name}
    start = {"event": "run-started", "command": name, "version": name, "stack": name, "plan_digest": name, "pid": 1}
    problem = {"code": name, "message": name}
    end = {"event": "step-finished", "change": change, "status": "failed", "note": name, "problem": problem}
    events: list[Json] = [start, {"event": "step-started", "change": change}, end]
    lines = [
        json.dumps({**common, "run": run, **event}, separators=(",", ":"))
        for run in (name, f"{name}2")
        for event in events
    ]
    return "\n".join([*lines, name, '{"format":"mtlsctl.journal/9","x":' + json.dumps(name) + "}", ""])


@pytest.mark.parametrize("name", [*FEW.values(), LONG], ids=[*FEW, "900 kB"])
def test_a_name_in_the_journal_is_shown_and_does_nothing(project: Project, name: str) -> None:
    """The journal came with the checkout, so anybody may have written it."""
    project.write(".mtlsctl/journal.jsonl", journal(name))
    for shown in FORMATS:
        check(project.run("history", *shown))
    if name != LONG:
        assert "FAILED" in project.run("history").out


@pytest.mark.parametrize(
    "data",
    [b"", b"{" * 1_000_000, b"\n" * 5_000_000, b"\xff" * 5_000_000, b'{"format":"mtlsctl.journal/1"}\n' * 150_000],
    ids=["nothing", "one line", "empty lines", "noise", "lines that say nothing"],
)
def test_a_hostile_journal_costs_little(project: Project, data: bytes) -> None:
    """Read leniently, and never believed."""
    project.write(".mtlsctl/journal.jsonl", data)
    result = measure_counted(["history"], folder=project.folder, environ=project.environ)
    check_run(result, codes=frozenset({0}), given=len(data))


@pytest.mark.parametrize("name", [*FEW.values(), "##[error]injected"], ids=[*FEW, "a command in ASCII"])
def test_a_name_in_the_lock_is_shown_and_does_nothing(project: Project, name: str) -> None:
    """Whoever holds the lock says who it is; it is only shown."""
    owner = {"pid": 1, "host": name, "user": name, "command": name, "since": name}
    path = project.write(".mtlsctl/lock", json.dumps(owner))
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for shown in (*FORMATS, ("--lock-timeout", "1s")):
            result = project.run("apply", "--yes", *shown)
            assert result.code == 6
            check(result)
