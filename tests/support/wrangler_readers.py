"""wrangler itself and its readers, run in Node as judges; where they are not installed a test is skipped.

They are installed by `tests/node/setup`. With CI=true a missing part is a failure, so that no run is green without it.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NoReturn

import pytest

from tests.support.paths import REPOSITORY

NODE_FOLDER = REPOSITORY / "tests/node"
MODULES = NODE_FOLDER / "node_modules"

Form = Literal["jsonc", "toml"]
Case = tuple[Form, str]


def read_all(cases: Iterable[Case]) -> list[dict[str, object]]:
    """What wrangler's own readers say of each text: {"value": ...} or {"error": ...}; one process for all."""
    lines = "".join(json.dumps({"format": form, "text": text}) + "\n" for form, text in cases)
    command = [find_node(), "readers.mjs"]
    done = subprocess.run(command, cwd=NODE_FOLDER, input=lines.encode(), capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    answers: list[dict[str, object]] = [json.loads(line) for line in done.stdout.decode().split("\n") if line]
    return answers


def uploaded_bindings(config: Path, environment: str | None) -> dict[str, str]:
    """The mTLS bindings, name to id, in the metadata that wrangler would upload for one environment.

    A dry run: wrangler is given no network, no login and no home but the folder of the file.
    """
    folder = config.parent
    target = folder / f"upload-{environment or 'top'}"
    wrangler = MODULES / "wrangler" / "bin" / "wrangler.js"
    arguments = ["deploy", "--dry-run", "--outfile", str(target), "-c", config.name, f"--env={environment or ''}"]
    quiet = {"CI": "true", "WRANGLER_SEND_METRICS": "false", "WRANGLER_LOG_PATH": str(folder / "logs")}
    variables = {"PATH": os.defpath, "HOME": str(folder), **quiet}
    command = [find_node(), str(wrangler), *arguments]
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    head, _, rest = target.read_bytes().partition(b'name="metadata"\r\n\r\n')
    assert head
    metadata = json.loads(rest.partition(b"\r\n--")[0])
    found = [binding for binding in metadata["bindings"] if binding["type"] == "mtls_certificate"]
    bindings = {binding["name"]: binding["certificate_id"] for binding in found}
    assert len(bindings) == len(found)
    return bindings


def find_node() -> str:
    """The pinned Node, which runs where the machine has an older one or none; the test ends here without it."""
    if not (MODULES / ".installed.json").is_file():
        _give_up("wrangler and its readers are not installed: run tests/node/setup")
    if not any(MODULES.glob("node-*/bin/node")):
        _give_up("there is no Node 22 for this machine")
    return str(NODE_FOLDER / "bin/node")


def _give_up(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
