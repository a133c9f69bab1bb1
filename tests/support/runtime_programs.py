"""The real programs that Workers are made and run with, for tests; they come with wrangler, by `tests/node/setup`.

Without them a test is skipped; with CI=true a missing one is a failure.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import pytest

from reconciler.runtime.find import find_workerd
from tests.support.wrangler_readers import MODULES, NODE_FOLDER, find_node


def workerd() -> Path:
    """The binary of workerd."""
    found = find_workerd(NODE_FOLDER, NODE_FOLDER, {"PATH": ""})
    if found is None:
        reason = f"there is no workerd for {sys.platform} on {platform.machine()}: run tests/node/setup"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def node_path() -> str:
    """A PATH whose first Node is new enough for wrangler."""
    return os.pathsep.join((str(Path(find_node()).parent), os.environ.get("PATH", os.defpath)))


def install_wrangler(folder: Path) -> None:
    """Make wrangler, and workerd with it, a package of the project in this folder."""
    workerd()
    (folder / "node_modules").symlink_to(MODULES)
