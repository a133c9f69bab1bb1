"""The source of the package, parsed, for the tests that read it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from reconciler.findings.codes import Code
from tests.support.paths import REPOSITORY


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Every node of a file; parsed and walked once per process."""
    return tuple(ast.walk(ast.parse(path.read_text())))


@dataclass(frozen=True)
class Source:
    """A file of the package, parsed."""

    path: Path

    @property
    def tree(self) -> ast.Module:
        """The module, the first of its nodes."""
        (module,) = (node for node in nodes(self.path)[:1] if isinstance(node, ast.Module))
        return module

    def codes(self) -> Iterator[Code]:
        """Every `Code.NAME` in it."""
        for node in nodes(self.path):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Code":
                yield Code[node.attr]

    def enums(self) -> Iterator[ast.ClassDef]:
        """Every closed list in it."""
        for node in nodes(self.path):
            if isinstance(node, ast.ClassDef) and any("Enum" in ast.unparse(base) for base in node.bases):
                yield node


@cache
def sources(room: str = "") -> tuple[Source, ...]:
    """The files of a room, or of all of them."""
    paths = sorted((REPOSITORY / "reconciler" / room).rglob("*.py"))
    return tuple(map(Source, paths))
