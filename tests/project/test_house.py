"""The house: imports point downward only, what is pure does no I/O, and the command line starts light."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from reconciler.views.table import VIEWS
from tests.support.paths import REPOSITORY
from tests.support.source import nodes

pytestmark = pytest.mark.xdist_group("source")  # one worker parses the package

ROOT = REPOSITORY / "reconciler"

ROOMS: dict[str, set[str]] = {
    "cli": {
        *(
            "runs",
            "views",
            "records",
            "reports",
            "takeover",
            "plan",
            "proof",
            "model",
            "findings",
            "desired",
            "workerd",
        ),
        *("emulator", "keys", "stores", "postgres", "system"),
    },
    "runs": {
        *("apply", "views", "records", "reports", "takeover", "plan", "proof", "model", "x509", "findings"),
        *("desired", "wrangler", "syntax", "workerd"),
        *("stores", "keys", "issuers", "system", "probe", "runtime", "forges", "postgres", "web", "private"),
    },
    "apply": {"plan", "proof", "model", "x509", "findings", "wrangler"},
    "emulator": {"stores", "system", "model", "x509", "findings"},  # answers with the local store, at a socket
    "stores": {"web", "private", "model", "x509", "findings"},
    "keys": {"model", "x509", "findings"},
    "issuers": {"web", "model", "x509", "findings"},
    "system": {"private", "model", "findings"},
    "probe": {"proof", "model", "x509", "findings"},
    "runtime": {"private", "workerd", "proof", "model", "findings"},
    "forges": {"web", "model", "findings"},
    "postgres": {"records", "model", "findings"},
    "web": {"model", "findings"},
    "private": {"findings"},
    "views": {"records", "reports", "takeover", "plan", "proof", "model", "findings", "desired"},
    "records": {"plan", "model", "x509", "findings", "desired"},
    "reports": {"plan", "model", "x509", "findings"},
    "takeover": {"plan", "model", "x509", "findings", "desired", "wrangler", "syntax"},
    "plan": {"model", "x509", "findings"},
    "workerd": {"proof", "model", "x509", "findings"},
    "proof": {"model", "x509", "findings"},
    "desired": {"model", "findings", "syntax"},
    "wrangler": {"model", "findings", "syntax"},
    "model": {"x509", "findings"},
    "x509": {"findings"},
    "syntax": {"findings"},
    "findings": set(),
}
"""What each room may import, from the top of the house to its ground: a room never imports one above it."""
LOOSE = {"__init__", "__main__", "version"}
"""The only modules outside of a room; every room may ask for the version."""
PURE = {
    *("views", "records", "reports", "takeover", "plan", "proof", "model", "x509", "findings"),
    *("desired", "wrangler", "syntax", "workerd"),
}
SHELL = {"cli", "runs", "apply"}
BELOW_EDGES = {"web", "private"}
"""Edges that other edges use."""
EFFECTS = {"os", "socket", "subprocess", "sqlite3", "httpx", "tempfile", "shutil", "logging", "random", "secrets"}


def modules(room: str) -> Iterator[Path]:
    """The files of a room."""
    return (ROOT / room).rglob("*.py")


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, inside of functions too."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "reconciler":
            yield from (f"reconciler.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, path  # a relative import would hide its room
            yield node.module or ""


def room_of(module: str) -> str | None:
    """The room of a module of ours, None for everybody else's."""
    parts = module.split(".")
    return parts[1] if parts[0] == "reconciler" and len(parts) > 1 else None


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_below_it(room: str) -> None:
    """Edges do not import each other; what is pure imports nothing but what is pure."""
    below = list(ROOMS)[list(ROOMS).index(room) + 1 :]
    assert ROOMS[room] <= set(below)
    for path in modules(room):
        rooms = {name for module in imported(path) if (name := room_of(module)) is not None}
        assert rooms - {room, "version"} <= ROOMS[room], path


def test_every_arrow_that_a_room_may_have_is_there() -> None:
    """The table is what the house is, not what it might become."""
    for room, allowed in ROOMS.items():
        found = {room_of(module) for path in modules(room) for module in imported(path)}
        assert allowed <= found, room


def test_what_is_pure_imports_only_what_is_pure() -> None:
    """So that nothing pure reaches an effect by a detour."""
    for room in PURE:
        assert ROOMS[room] <= PURE, room


@pytest.mark.parametrize("room", sorted(PURE))
def test_a_pure_room_does_no_io_and_never_asks_for_the_time(room: str) -> None:
    """No module with effects, no open(), no now()."""
    for path in modules(room):
        assert not {module.split(".")[0] for module in imported(path)} & EFFECTS, path
        calls = [node for node in nodes(path) if isinstance(node, ast.Call)]
        names = {getattr(call.func, "id", getattr(call.func, "attr", "")) for call in calls}
        assert not names & {"open", "now", "today", "utcnow", "getenv", "input", "print"}, path


def test_the_table_of_views_names_only_what_views_may_import() -> None:
    """It names reports and functions without importing them, so the imports alone do not tell."""
    for (report, _), view in VIEWS.items():
        assert room_of(report.partition(":")[0]) in ROOMS["views"], report
        assert room_of(view.partition(":")[0]) == "views", view


def test_every_module_is_in_a_room() -> None:
    """A new room says what it may import."""
    assert {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()} == set(ROOMS)
    assert {path.stem for path in ROOT.glob("*.py")} == LOOSE


def test_edges_use_no_other_edges_but_those_below_them() -> None:
    """The emulator alone is built of two others, as the picture of the house says."""
    edges = ROOMS.keys() - PURE - SHELL
    found = {(room, other) for room in edges for other in ROOMS[room] & edges - BELOW_EDGES}
    assert found == {("emulator", "stores"), ("emulator", "system")}


def test_the_picture_of_the_house_has_every_room_and_its_kind() -> None:
    """As the table here."""
    page = (REPOSITORY / "docs/architecture.md").read_text()
    shown = dict(re.findall(r"^\| `(\w+)/` \| (\w+) \|", page, re.MULTILINE))
    kinds = {room: "pure" if room in PURE else "shell" if room in SHELL else "edge" for room in ROOMS}
    assert shown == kinds


def test_the_picture_of_the_house_names_only_modules_that_there_are() -> None:
    """A module that was moved or merged is not looked for."""
    page = (REPOSITORY / "docs/architecture.md").read_text()
    named = {one for one in re.findall(r"`((?:\w+/)+\w+\.py)`", page) if one.split("/")[0] in {*ROOMS, "tests"}}
    assert len(named) > 50
    assert [one for one in sorted(named) if not any((base / one).exists() for base in (ROOT, REPOSITORY))] == []


def test_every_room_has_tests_of_its_own() -> None:
    """In the folder of its name."""
    assert [room for room in ROOMS if not list((REPOSITORY / "tests" / room).glob("test_*.py"))] == []


def classes(path: Path) -> list[str]:
    """The names of a module's classes."""
    return [node.name for node in nodes(path) if isinstance(node, ast.ClassDef)]


def repeated() -> set[str]:
    """The names that several classes of the package have."""
    counts = Counter(name for path in ROOT.rglob("*.py") for name in classes(path))
    return {name for name, count in counts.items() if count > 1}


def test_a_class_is_called_as_no_other_of_the_package() -> None:
    """One name, one meaning; also one that is private."""
    assert repeated() == set()


def test_what_the_package_imports_is_what_it_declares() -> None:
    """Else it works here, where the tests bring more, and not where only mtlsctl is installed."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    texts = [*project["dependencies"], *(text for extra in extras for text in extra)]
    names = {module.split(".")[0] for path in ROOT.rglob("*.py") for module in imported(path)}
    distributions = metadata.packages_distributions()
    others = {one for name in names - sys.stdlib_module_names - {"reconciler"} for one in distributions[name]}
    found = set(map(canonicalize_name, others)) - {"pydantic-core", "pyrage-stubs"}  # pinned by pydantic itself; types
    assert found == {canonicalize_name(Requirement(text).name) for text in texts}


def test_only_the_command_line_imports_typer() -> None:
    """What is below it can be used without one."""
    for path in ROOT.rglob("*.py"):
        if path.parent.name != "cli":
            assert "typer" not in {module.split(".")[0] for module in imported(path)}, path


def test_the_command_line_imports_everything_at_the_top_of_its_files() -> None:
    """Commands are loaded when they are run, so none has to hide; only the entry catches signals first."""
    for path in modules("cli"):
        functions = [node for node in nodes(path) if isinstance(node, ast.FunctionDef)]
        inside = [node for one in functions for node in ast.walk(one) if isinstance(node, ast.Import | ast.ImportFrom)]
        assert (inside == []) is (path.name != "__init__.py"), path


HEAVY = ("cryptography", "deepdiff", "httpx", "jinja2", "psycopg", "pydantic", "rich", "sqlite3", "tomli", "tomlkit")


@pytest.mark.parametrize(
    "arguments",
    [["--version"], ["--help"]],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    """What a shell prompt asks for comes at once."""
    code = (
        "import sys; from reconciler.cli import main\n"
        f"sys.argv = ['mtlsctl', *{arguments!r}]\n"
        "try: main()\n"
        f"except SystemExit: print('HEAVY', sorted({set(HEAVY)!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"
