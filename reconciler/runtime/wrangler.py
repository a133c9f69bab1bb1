"""Common to every run of wrangler: no prompts, no telemetry, and a private folder."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.runtime.children import undisturbed

RUNS_BUILD = "MTLSCTL_RUNS_BUILD"
"""Set for every build that mtlsctl runs itself: `mtlsctl guard` in it checks nothing."""

QUIET = {
    "CI": "true",
    "NO_COLOR": "1",
    "WRANGLER_SEND_METRICS": "false",
    "WRANGLER_SEND_ERROR_REPORTS": "false",
    RUNS_BUILD: "1",
}

NODE = ("NODE_PATH", "NODE_OPTIONS", "NODE_EXTRA_CA_CERTS", "NVM_DIR", "VOLTA_HOME", "ASDF_DIR", "ASDF_DATA_DIR")
"""Variables of Node and of its version managers; a shim installed by npm may belong to one of them."""

_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def plain(line: str) -> str:
    """A line of output without colours, which wrangler uses for errors even if told not to."""
    return _COLOUR.sub("", line).rstrip()


@contextmanager
def private_folder(name: str) -> Iterator[Path]:
    """A folder that only this user can read, deleted afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=f"mtlsctl-{name}-"))  # 0700
    try:
        yield folder
    finally:
        with undisturbed():
            shutil.rmtree(folder, ignore_errors=True)
