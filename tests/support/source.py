"""The source of the package, parsed, for the tests that read it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from reconciler.findings.codes import Code
from tests.support.paths import REPOSITORY


@dataclass(frozen=True)
class Source:
    """A file of the package, parsed."""

    path: Path
    tree: ast.Module

    def codes(self) -> Iterator[Code]:
        """Every `Code.NAME` in it."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Code":
                yield Code[node.attr]

    def enums(self) -> Iterator[ast.ClassDef]:
        """Every closed list in it."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ClassDef) and any("Enum" in ast.unparse(base) for base in node.bases):
                yield node


@cache
def sources(room: str = "") -> tuple[Source, ...]:
    """The files of a room, or of all of them."""
    paths = sorted((REPOSITORY / "reconciler" / room).rglob("*.py"))
    return tuple(Source(path, ast.parse(path.read_text())) for path in paths)
