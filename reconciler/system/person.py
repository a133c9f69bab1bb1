"""The user and the machine of this process, as the operating system names them."""

from __future__ import annotations

import os
import platform
import pwd


def user_name() -> str:
    """The name of this process's user, or its number: containers run as users without a name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def host_name() -> str:
    """The name of this machine; empty if it has none."""
    return platform.node()
