"""What other programs of the same user can read of this process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.paths import REPOSITORY

HIDE = """
import ctypes, os, resource, subprocess, sys
sys.path.insert(0, sys.argv[1])
from reconciler.system.process import hide_from_other_programs
if os.getuid() == 0:  # which may read everything
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # as after a start as that user
def seen():
    read = subprocess.run(["/bin/cat", f"/proc/{os.getpid()}/environ"], capture_output=True, text=True, env={})
    return "canary" if "canary" in read.stdout else read.stderr.strip().rpartition(": ")[2].replace(" ", "-")
before = seen()
hide_from_other_programs()
print(before, seen(), resource.getrlimit(resource.RLIMIT_CORE)[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such switch")
def test_a_child_can_not_read_the_environment_of_its_parent() -> None:
    """As an ordinary user; root can read everything. No core is dumped either."""
    done = subprocess.run(
        [sys.executable, "-c", HIDE, str(REPOSITORY)],
        capture_output=True,
        text=True,
        cwd="/",
        env={"PATH": os.defpath, "SECRET": "canary"},
        check=False,
    )
    assert done.stdout.split() == ["canary", "Permission-denied", "0"], done.stderr
