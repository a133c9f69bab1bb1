"""A project's tree on disk for the tests of the file system's edge, and things to put into it."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CONFIG = "workers/checkout/wrangler.toml"


def git(folder: Path, *arguments: str) -> str:
    """The output of a git command in a folder, without the hooks and the identity of whoever runs the tests."""
    options = ("-c", "core.hooksPath=/dev/null", "-c", "user.name=tests", "-c", "user.email=tests@mtls.example")
    done = subprocess.run(["git", *options, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def make_tree(parent: Path) -> Path:
    """The folder of mtls.toml, in a folder below the root of a git repository; and a file beside the repository."""
    root = parent / "repo"
    folder = root / "mtls"
    (folder / "workers/checkout").mkdir(parents=True)
    (root / ".git").mkdir()
    (root / ".git/config").write_text("secret")
    (root / "common.pem").write_text("shared")
    (folder / CONFIG).write_text("name = 'checkout'\n")
    (parent / "outside.pem").write_text("outside")
    return folder


def leftovers(folder: Path) -> list[str]:
    return sorted(name for place in folder.rglob("*") if (name := place.name).endswith(".tmp"))


def nothing(_: Path) -> None:
    """The path needs no preparation."""


def link(name: str, target: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).symlink_to(target)


def write(name: str, data: bytes) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)

    return make


def bind_socket(folder: Path) -> None:
    here = Path.cwd()
    os.chdir(folder)  # the path of a socket may only have about 100 bytes
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("socket")
    finally:
        os.chdir(here)


@dataclass(frozen=True)
class Hostile:
    """A path that must be refused, what to prepare in the folder of mtls.toml, and the code of the refusal."""

    id: str
    path: str
    code: str
    make: Callable[[Path], object] = nothing
