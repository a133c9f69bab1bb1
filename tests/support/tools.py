"""The real programs of others that keys and certificates come from: sops and step-ca by `tests/tools/setup`, and age.

Without them a test is skipped; with CI=true a missing one is a failure.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from tests.servers import find_program, missing
from tests.support.paths import REPOSITORY

_MODULE = REPOSITORY / "tests/tools"


def built() -> Path:
    """The folder that `tests/tools/setup` builds into: outside of the checkout, one for each set of versions."""
    versions = (_MODULE / "go.mod").read_bytes() + (_MODULE / "go.sum").read_bytes()
    caches = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(caches, "mtlsctl-tests", hashlib.sha256(versions).hexdigest()[:16])


def find_tool(name: str) -> Path:
    """The path of `sops` or `step-ca`: the one that was built for the tests, else the one on the PATH."""
    found = shutil.which(name, path=str(built())) or shutil.which(name)
    return Path(found or missing(f"{name} is not built; tests/tools/setup does it, with Go"))


def find_age() -> Path:
    """The folder with `age` and `age-keygen`."""
    find_program("age-keygen")
    return Path(find_program("age")).parent
