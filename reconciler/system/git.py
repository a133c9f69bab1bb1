"""What git knows about the tree: tracked and ignored files, and a file as it was. Changes nothing, contacts no server,
and runs no command that the repository configures.

Where git can't be asked, the answer says so, and why: no file is then called untracked or not ignored.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from itertools import takewhile
from pathlib import Path

from reconciler.findings.escape import shell_command, shell_word
from reconciler.findings.events import ProgramStarted
from reconciler.findings.values import dataclass
from reconciler.system.discover import git_root
from reconciler.system.process import hide_from_other_programs

_log = logging.getLogger(__name__)

_TIMEOUT_S = 30
_PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_CONFIG_HOME", "LANG")
_CONFIGURATION = re.compile(r"GIT_CONFIG_(?:COUNT|KEY_\d+|VALUE_\d+|GLOBAL|SYSTEM|NOSYSTEM)")
"""Where the user, or the image of a container, says which checkouts of other owners git accepts."""
_OTHER_OWNER = (b"dubious ownership", b"unsafe repository")
_SET = {
    "LC_ALL": "C",  # some of its messages are looked for
    # A partial clone fetches a file that it lacks, by a command of its configuration; older versions of git know only
    # the second.
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
}
_LONGEST_REVISION = 200
_OBJECT = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_NOT_READ = re.compile(rb"^fatal: |lazy fetching disabled|Permission denied", re.MULTILINE)
"""git goes on without a `.gitignore` that it can't read, and then says that nothing is ignored."""


@dataclass(frozen=True, slots=True)
class GitProblem:
    """Why git could not be asked. `message` is a whole sentence, `hint` what to do."""

    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class GitAnswer:
    """Those of the given paths for which git says yes; and those for which nothing is known.

    `outside` are in no repository. `problem` is why git could not be asked about the `unknown` ones.
    """

    yes: frozenset[Path] = frozenset()
    outside: frozenset[Path] = frozenset()
    unknown: frozenset[Path] = frozenset()
    problem: GitProblem | None = None


def ask_tracked(paths: Iterable[Path]) -> GitAnswer:
    """Whether the file of each path is in git's index, links resolved."""
    return _ask(paths, _ls_files)


def ask_ignored(paths: Iterable[Path]) -> GitAnswer:
    """Whether git ignores each path and does not track it. The files need not exist."""
    return _ask(paths, _check_ignore)


class NotThere(StrEnum):
    """What git has not: a repository, the revision, or the file in it."""

    REPOSITORY = "repository"
    REVISION = "revision"
    FILE = "file"


def read_at(path: Path, revision: str, *, limit: int) -> bytes | NotThere | GitProblem:
    """What a file of this name was at a revision; nothing is checked out or fetched.

    No link is followed, neither of now nor of then: a change could replace the file by a link to another one.
    ValueError if the revision could be an option of git, or several lines.
    """
    if not is_revision(revision):
        raise ValueError("not a revision")
    named = Path(os.path.normpath(path.absolute()))
    root = git_root(named.parent)
    if root is None:
        return NotThere.REPOSITORY
    top = next((folder for folder in reversed(named.parents) if Path(os.path.realpath(folder)) == root), None)
    if top is None:
        return GitProblem(f"a link in {str(path)!r} leads into another repository", "name the file without that link")
    asked = _git(root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    commit = _output(asked, root, none=1)
    if isinstance(commit, GitProblem):
        return commit
    if not _OBJECT.fullmatch(commit.strip()):
        return NotThere.REVISION
    return _read_file(root, commit.strip().decode(), named.relative_to(top).as_posix(), limit)


def head_of(root: Path) -> str | GitProblem:
    """The commit that is checked out in a repository."""
    found = _output(_git(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}"), root)
    return found if isinstance(found, GitProblem) else found.decode().strip()


def changed_since(root: Path, revision: str) -> frozenset[str] | NotThere | GitProblem:
    """The files of the repository at `root` that differ from a revision now, or that git does not track yet; relative
    to `root`. ValueError if the revision could be an option of git."""
    if not is_revision(revision):
        raise ValueError("not a revision")
    commit = _output(_git(root, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"), root, none=1)
    if isinstance(commit, GitProblem):
        return commit
    if not _OBJECT.fullmatch(commit.strip()):
        return NotThere.REVISION
    names: set[str] = set()
    for arguments in (
        # Nothing that .gitattributes names is run: no filter of a text, and no program that compares.
        ("diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", commit.strip().decode(), "--"),
        ("ls-files", "--others", "--exclude-standard", "-z", "--"),
    ):
        found = _names(_git(root, *arguments), root)
        if isinstance(found, GitProblem):
            return found
        names |= found
    return frozenset(names)


def is_revision(text: str) -> bool:
    """Whether git can be asked for a revision of this name."""
    return 0 < len(text) <= _LONGEST_REVISION and text.isprintable() and not text.startswith("-")


def _read_file(root: Path, commit: str, name: str, limit: int) -> bytes | NotThere | GitProblem:
    """The file of this name in a commit; both as git has them."""
    options = ("--literal-pathspecs", "ls-tree", "-l", "-z", "--full-tree", commit)
    row = _output(_git(root, *options, "--", name), root)
    by_hand = f"run `{shell_command(('git', '-C', str(root), 'show', f'{commit}:{name}'))}`"
    if isinstance(row, GitProblem):
        return replace(row, hint=f"{by_hand}: a partial clone fetches the file then")
    if not row:
        return NotThere.FILE
    mode, _, blob, size = row.partition(b"\t")[0].decode().split()
    if not mode.startswith("100"):
        return GitProblem(f"{name!r} was no regular file in commit {commit}", by_hand)
    if int(size) > limit:
        return GitProblem(f"{name!r} had {int(size):,} bytes in commit {commit}; at most {limit:,} are read", by_hand)
    return _output(_git(root, "cat-file", "blob", blob), root)


def _ask(paths: Iterable[Path], question: Callable[[Path, Sequence[str]], set[str] | GitProblem]) -> GitAnswer:
    """The answer of git, which is asked once for each repository."""
    yes: set[Path] = set()
    outside: set[Path] = set()
    unknown: set[Path] = set()
    problem: GitProblem | None = None
    for root, real in _by_root(paths).items():
        if root is None:
            outside |= real.keys()
            continue
        names = {given: path.relative_to(root).as_posix() for given, path in real.items()}
        told = question(root, sorted(set(names.values())))
        if isinstance(told, GitProblem):
            problem = problem or told
            unknown |= real.keys()
        else:
            yes |= {given for given, name in names.items() if name in told}
    return GitAnswer(frozenset(yes), frozenset(outside), frozenset(unknown), problem)


def _by_root(paths: Iterable[Path]) -> Mapping[Path | None, Mapping[Path, Path]]:
    """The paths as given and resolved, by repository; those outside any repository under None."""
    groups: dict[Path | None, dict[Path, Path]] = {}
    for given in paths:
        real = Path(os.path.realpath(given))
        groups.setdefault(git_root(real.parent), {})[given] = real
    return groups


def _ls_files(root: Path, names: Sequence[str]) -> set[str] | GitProblem:
    """Those of `names`, relative to `root`, that are in the index of the repository at `root`."""
    # literal, because a file may be called `*.key`
    return _names(_git(root, "--literal-pathspecs", "ls-files", "-z", "--", *names), root)


def _check_ignore(root: Path, names: Sequence[str]) -> set[str] | GitProblem:
    """Those of `names`, relative to `root`, that git ignores."""
    asked = b"".join(os.fsencode(name) + b"\0" for name in names)
    return _names(_git(root, "check-ignore", "-z", "--stdin", stdin=asked), root, none=1)


def _names(done: subprocess.CompletedProcess[bytes] | GitProblem, root: Path, none: int = 0) -> set[str] | GitProblem:
    """The names that git printed; `none` is its exit code for no name at all."""
    printed = _output(done, root, none)
    return printed if isinstance(printed, GitProblem) else {os.fsdecode(name) for name in printed.split(b"\0") if name}


def _output(done: subprocess.CompletedProcess[bytes] | GitProblem, root: Path, none: int = 0) -> bytes | GitProblem:
    """What git printed; `none` is its exit code for nothing."""
    if isinstance(done, GitProblem):
        return done
    if done.returncode not in (0, none):
        return _refusal(done, root)
    if _NOT_READ.search(done.stderr):
        message = f"git could not read a file that it needs in {str(root)!r}, and mtlsctl lets it fetch nothing"
        return GitProblem(message, f"if you trust this repository, run `git -C {shlex.quote(str(root))} status` first")
    return done.stdout


def _refusal(done: subprocess.CompletedProcess[bytes], root: Path) -> GitProblem:
    """Why git failed. Its own words are not shown: they may quote a value of some configuration file."""
    if any(words in done.stderr for words in _OTHER_OWNER):
        cure = f"git config --global --add safe.directory {shell_word(str(root))}"
        return GitProblem(f"git refuses the repository {str(root)!r}, because another user owns it", f"run `{cure}`")
    what = f"git failed in {str(root)!r} (exit code {done.returncode})"
    if b"not a git repository" in done.stderr:
        what = f"git finds no valid repository at {str(root)!r}"
    return GitProblem(what, f"run `git -C {shell_word(str(root))} status` to see why")


def _git(root: Path, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes] | GitProblem:
    """The result of git in the repository at `root`, or why there is none."""
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
    except FileNotFoundError:
        return GitProblem("git is not installed", "install git, or run this where it is installed")
    except subprocess.TimeoutExpired:
        return GitProblem(f"git did not answer within {_TIMEOUT_S} s", "check the file system of the repository")
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return GitProblem(f"git could not be run ({type(error).__name__})", "check that `git --version` works here")


def _environment() -> dict[str, str]:
    """The variables that git needs from this process's environment, which may contain private keys and tokens.

    Not git's own variables but those of its configuration: inside a hook they name the hook's repository and index.
    """
    names = (*_PASSED_ON, *(name for name in os.environ if _CONFIGURATION.fullmatch(name)))
    return {name: os.environ[name] for name in names if name in os.environ} | _SET
