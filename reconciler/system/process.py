"""This process itself, before it holds a private key or starts a program."""

from __future__ import annotations

import contextlib
import resource
import sys
from functools import cache

_PR_SET_DUMPABLE = 4  # linux/prctl.h


@cache
def hide_from_other_programs() -> None:
    """From now on no other program of this user can read this process's memory and environment; no core is dumped.

    The first on Linux only, and never against root: a program that mtlsctl starts could otherwise read the variables
    that it was not given in `/proc/PID/environ` of its parent. Done once; what a system refuses is left.
    """
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
