"""The house: imports point downward only, what is pure does no I/O, and the command line starts light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "reconciler"

ALLOWED: dict[str, set[str]] = {
    "core": set(),
    "syntax": {"core"},
    "wrangler": {"core", "syntax"},
    "desired": {"core", "syntax"},
    "documents": {"core", "desired"},
    "outputs": {"core", "documents"},
    "takeover": {"core", "syntax", "wrangler", "desired", "outputs"},
    "apply": {"core", "wrangler"},
    "private": {"core"},
    "system": {"core", "documents", "private"},
    "keys": {"core"},
    "probe": {"core"},
    "stores": {"core", "private"},
    "emulator": {"core", "stores", "system"},
    "workerd": {"core"},
    "runtime": {"core", "workerd"},
}
PURE = {"core", "syntax", "wrangler", "workerd", "desired", "documents", "outputs", "takeover"}
EFFECTS = {"os", "socket", "subprocess", "sqlite3", "httpx", "tempfile", "shutil", "logging", "random", "secrets"}


def modules(room: str) -> Iterator[Path]:
    """The files of a room."""
    return (ROOT / room).rglob("*.py")


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, inside of functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def room_of(module: str) -> str | None:
    """The room of a module of ours, None for everybody else's."""
    parts = module.split(".")
    return parts[1] if parts[0] == "reconciler" and len(parts) > 1 else None


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_a_room_imports_only_rooms_below_it(room: str) -> None:
    """Edges do not import each other; the core imports nobody."""
    for path in modules(room):
        rooms = {name for module in imported(path) if (name := room_of(module)) is not None}
        assert rooms - {room, "version"} <= ALLOWED[room], path


@pytest.mark.parametrize("room", sorted(PURE))
def test_a_pure_room_does_no_io_and_never_asks_for_the_time(room: str) -> None:
    """No module with effects, no open(), no now()."""
    for path in modules(room):
        assert not {module.split(".")[0] for module in imported(path)} & EFFECTS, path
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        names = {getattr(call.func, "id", getattr(call.func, "attr", "")) for call in calls}
        assert not names & {"open", "now", "today", "utcnow", "getenv", "input", "print"}, path


def test_every_room_is_known_here() -> None:
    """A new room says what it may import."""
    rooms = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()}
    assert rooms == set(ALLOWED) | {"cli"}


def test_only_the_command_line_imports_typer_and_at_its_top_nothing_else_that_is_slow() -> None:
    """Beside the standard library; everything else is imported by the command that needs it."""
    for path in ROOT.rglob("*.py"):
        top = ast.parse(path.read_text()).body
        names = {
            module.split(".")[0]
            for node in top
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for module in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
        }
        if path.parent.name == "cli":
            assert names - sys.stdlib_module_names <= {"typer", "reconciler"}, path
        else:
            assert "typer" not in names, path


HEAVY = ("cryptography", "deepdiff", "httpx", "rich", "sqlite3", "tomli", "tomlkit")


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["--version"], (*HEAVY, "pydantic")),
        (["--help"], (*HEAVY, "pydantic")),
        (["plan", "--help"], HEAVY),  # typer itself takes pydantic for the types of some options
        (["apply", "--help"], HEAVY),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_help_and_version_import_nothing_heavy(arguments: list[str], heavy: tuple[str, ...]) -> None:
    """What a shell prompt or a completion asks for comes at once."""
    code = (
        "import sys; from reconciler.cli import main\n"
        f"sys.argv = ['mtlsctl', *{arguments!r}]\n"
        "try: main()\n"
        f"except SystemExit: print('HEAVY', sorted({set(heavy)!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"
