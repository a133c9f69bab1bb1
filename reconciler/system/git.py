"""What git knows about the tree: its root, and tracked and ignored files. Changes nothing, contacts no server."""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path

from reconciler.findings.events import ProgramStarted
from reconciler.system.discover import git_root
from reconciler.system.process import hide_from_other_programs

_log = logging.getLogger(__name__)

_TIMEOUT_S = 30
_PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_CONFIG_HOME", "LANG", "LC_ALL")


def tracked(paths: Iterable[Path]) -> set[Path] | None:
    """Those of `paths` whose file is in git's index, links resolved; None if that is unknown.

    It is unknown if git is missing, does not answer in 30 seconds, or refuses (a folder that is not a repository, or
    one of another owner).
    """
    found: set[Path] = set()
    for root, real in _by_root(paths).items():
        if root is None:
            return None
        names = _ls_files(root, sorted({path.relative_to(root).as_posix() for path in real.values()}))
        if names is None:
            return None
        found |= {given for given, path in real.items() if path.relative_to(root).as_posix() in names}
    return found


def _by_root(paths: Iterable[Path]) -> Mapping[Path | None, Mapping[Path, Path]]:
    """The paths as given and resolved, by repository; those outside any repository under None."""
    groups: dict[Path | None, dict[Path, Path]] = {}
    for given in paths:
        real = Path(os.path.realpath(given))
        groups.setdefault(git_root(real.parent), {})[given] = real
    return groups


def ignored(path: Path) -> bool | None:
    """True if git ignores `path`, which need not exist; None if that is unknown, as for `tracked`."""
    real = Path(os.path.realpath(path))
    root = git_root(real.parent)
    done = _git(root, "check-ignore", "--quiet", "--", real.relative_to(root).as_posix()) if root else None
    return None if done is None or done.returncode not in (0, 1) else done.returncode == 0


def ignored_among(paths: Iterable[Path]) -> set[Path]:
    """Those of `paths` that git ignores and does not track; empty if that is unknown, as outside git."""
    found: set[Path] = set()
    for root, real in _by_root(paths).items():
        if root is None:
            continue
        names = {given: os.fsencode(path.relative_to(root).as_posix()) for given, path in real.items()}
        asked = b"".join(name + b"\0" for name in sorted(set(names.values())))
        done = _git(root, "check-ignore", "-z", "--stdin", stdin=asked)
        if done is not None and done.returncode == 0:
            told = set(done.stdout.split(b"\0"))
            found |= {given for given, name in names.items() if name in told}
    return found


def _ls_files(root: Path, names: Sequence[str]) -> set[str] | None:
    """Those of `names`, relative to `root`, that are in the index of the repository at `root`."""
    # literal, because a file may be called `*.key`
    done = _git(root, "--literal-pathspecs", "ls-files", "-z", "--", *names)
    if done is None or done.returncode != 0:
        return None
    return {os.fsdecode(name) for name in done.stdout.split(b"\0") if name}


def _git(root: Path, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes] | None:
    """The result of git in the repository at `root`; None if it did not finish."""
    # No file watcher: its hook is a command that the repository configures.
    options = ("-c", "core.fsmonitor=false")
    shown = takewhile(lambda argument: argument != "--", arguments)  # thousands of names may follow
    hide_from_other_programs()
    _log.info(ProgramStarted(("git", *shown), str(root)))
    try:
        return subprocess.run(  # noqa: S603 - a fixed command by argv, no shell; the names follow `--`
            ["git", *options, *arguments],  # noqa: S607 - whichever git the user works with
            cwd=root,
            env=_environment(),
            input=stdin,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def _environment() -> dict[str, str]:
    """The variables that git needs from this process's environment, which may contain private keys and tokens.

    Not git's own variables: inside a hook they name the hook's repository and index.
    """
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
