"""Where wrangler and workerd are searched, and which one is used."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest

from reconciler.runtime.find import MissingProgram, find_workerd, find_wrangler

BINARY, SCRIPT = b"\x7fELF", b"#!/usr/bin/env node\n"
OWN = f"@cloudflare/workerd-{sys.platform}-{'arm64' if platform.machine() in ('arm64', 'aarch64') else '64'}"


def program(path: Path, content: bytes = BINARY, mode: int = 0o755) -> Path:
    """A file that may be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_the_nearest_package_up_to_the_root_is_taken(tmp_path: Path) -> None:
    """As Node finds packages; those above the tree belong to someone else."""
    root, worker = tmp_path / "repo", tmp_path / "repo/apps/worker"
    worker.mkdir(parents=True)
    program(tmp_path / f"node_modules/{OWN}/bin/workerd")
    program(tmp_path / "node_modules/.bin/wrangler", SCRIPT)
    assert find_workerd(worker, root, {"PATH": ""}) is None
    assert find_wrangler(worker, root, {"PATH": ""}) is None
    above = program(root / f"node_modules/{OWN}/bin/workerd"), program(root / "node_modules/.bin/wrangler", SCRIPT)
    assert (find_workerd(worker, root, {"PATH": ""}), find_wrangler(worker, root, {"PATH": ""})) == above
    near = program(worker / "node_modules/workerd/bin/workerd"), program(worker / "node_modules/.bin/wrangler", SCRIPT)
    assert (find_workerd(worker, root, {"PATH": ""}), find_wrangler(worker, root, {"PATH": ""})) == near


def test_nothing_outside_of_the_tree_is_run(tmp_path: Path) -> None:
    """A path in mtls.toml, or a link, may lead out of it."""
    root, outside = tmp_path / "repo", tmp_path / "outside"
    root.mkdir()
    program(outside / f"node_modules/{OWN}/bin/workerd")
    program(outside / "node_modules/.bin/wrangler", SCRIPT)
    (root / "link").symlink_to(outside)
    for place in (outside, root / "../outside", root / "link"):
        assert find_workerd(place, root, {"PATH": ""}) is None
        assert find_wrangler(place, root, {"PATH": ""}) is None


@pytest.mark.parametrize(
    "modules",
    [
        "node_modules",
        "node_modules/.pnpm/node_modules",
        "node_modules/wrangler/node_modules",
        "node_modules/miniflare/node_modules",
    ],
)
def test_workerd_is_found_where_package_managers_put_it(tmp_path: Path, modules: str) -> None:
    """Next to wrangler, inside it, or in pnpm's own folder."""
    found = program(tmp_path / modules / OWN / "bin/workerd")
    assert find_workerd(tmp_path, tmp_path, {"PATH": ""}) == found


def test_a_script_called_workerd_is_not_taken(tmp_path: Path) -> None:
    """npm's shim starts the binary without the descriptors that it should inherit."""
    program(tmp_path / "node_modules/workerd/bin/workerd", SCRIPT)
    program(tmp_path / "bin/workerd", SCRIPT)
    assert find_workerd(tmp_path, tmp_path, {"PATH": str(tmp_path / "bin")}) is None
    program(tmp_path / "bin/workerd")
    assert find_workerd(tmp_path, tmp_path, {"PATH": str(tmp_path / "bin")}) == tmp_path / "bin/workerd"


def test_what_the_operator_names_comes_first(tmp_path: Path) -> None:
    """Then the project's, then those on the PATH."""
    named = program(tmp_path / "mine/w")
    on_path = program(tmp_path / "bin/wrangler", SCRIPT)
    assert find_wrangler(tmp_path, tmp_path, {"PATH": str(tmp_path / "bin")}) == on_path
    project = program(tmp_path / "node_modules/.bin/wrangler", SCRIPT)
    assert find_wrangler(tmp_path, tmp_path, {"PATH": str(tmp_path / "bin")}) == project
    environ = {"PATH": str(tmp_path / "bin"), "MTLSCTL_WRANGLER": str(named), "MTLSCTL_WORKERD": str(named)}
    assert find_wrangler(tmp_path, tmp_path, environ) == named
    assert find_workerd(tmp_path, tmp_path, environ) == named


@pytest.mark.parametrize("text", ["workerd", "/no/such/workerd", "{tmp}", "{tmp}/plain"])
def test_a_named_program_that_cant_be_run_is_an_error_and_nothing_else_is_taken(tmp_path: Path, text: str) -> None:
    """The operator means exactly that one."""
    program(tmp_path / "plain", mode=0o644)
    program(tmp_path / f"node_modules/{OWN}/bin/workerd")
    with pytest.raises(MissingProgram) as caught:
        find_workerd(tmp_path, tmp_path, {"MTLSCTL_WORKERD": text.format(tmp=tmp_path)})
    assert caught.value.code == "program-missing"
