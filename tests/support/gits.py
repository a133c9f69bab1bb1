"""Gits that answer nothing: one that refuses every checkout as another owner's, and none at all."""

from __future__ import annotations

import shutil
from pathlib import Path


def refusing_git(folder: Path) -> str:
    """A PATH with the real git, which takes every repository for one of another owner."""
    program = shutil.which("git")
    assert program is not None
    (folder / "refusing").mkdir()
    script = folder / "refusing/git"
    script.write_text(f'#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec {program} "$@"\n')
    script.chmod(0o755)
    return f"{script.parent}:/usr/bin:/bin"


def no_git(folder: Path) -> str:
    """A PATH without git."""
    (folder / "empty").mkdir()
    return str(folder / "empty")
