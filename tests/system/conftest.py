"""The tree that these tests read and write."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.system.files import ProjectFiles
from tests.support.trees import make_tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The root of the tree."""
    return make_tree(tmp_path)


@pytest.fixture
def files(tree: Path) -> ProjectFiles:
    """The files of the tree, as mtlsctl reads and writes them."""
    return ProjectFiles(tree)
