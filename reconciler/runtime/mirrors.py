"""Copies of other repositories, made by git: the files of one commit each, in a folder that no later call changes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from reconciler.findings.codes import Code
from reconciler.findings.escape import shell_command
from reconciler.findings.values import dataclass
from reconciler.private.folder import make_folder
from reconciler.runtime.children import RuntimeFailure, environment, has_key, running

LONGEST_S = 120.0
"""Seconds that git may take for one repository."""
KEPT = timedelta(days=1)
"""How long a copy that was not asked for again stays: a run may still read it."""

_OPTIONS = (
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "submodule.recurse=false"),
    *("-c", "gc.auto=0", "-c", "core.autocrlf=false", "-c", "advice.detachedHead=false"),
    # Large files are left out: their filter would contact a server that the repository names.
    *("-c", "filter.lfs.smudge=", "-c", "filter.lfs.process=", "-c", "filter.lfs.required=false"),
)
_SET = {
    "LC_ALL": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "https:ssh:file",
    "GIT_NO_REPLACE_OBJECTS": "1",
}
_CREDENTIALS = (
    *("SSH_AUTH_SOCK", "GIT_ASKPASS", "GIT_SSH", "GIT_SSH_COMMAND"),
    *("GH_TOKEN", "GITHUB_TOKEN", "GITLAB_TOKEN"),  # which the helpers of `gh` and `glab` read
    *("GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY"),
)
_CONFIGURATION = re.compile(r"GIT_CONFIG_(?:COUNT|KEY_\d+|VALUE_\d+|GLOBAL|SYSTEM|NOSYSTEM)")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_USER = re.compile(r"(?<=://)[^/@\s]+@")
_LONGEST_LINE = 300
_MOST_LINES = 100
_NOT_STARTED = 127


class MirrorFailed(RuntimeFailure):
    """A repository could not be read."""

    code = Code.GIT_MIRROR


@dataclass(frozen=True, slots=True)
class Mirrors:
    """The copies below `.mtlsctl/` in `root`. git gets its credentials from its own helpers, of this environment."""

    root: Path
    environ: Mapping[str, str]
    longest_s: float = LONGEST_S

    def read(self, url: str, ref: str, now: datetime, max_age: timedelta = timedelta()) -> Path:
        """The folder with the files that `ref` (a branch, a tag, or a whole commit hash) has in the repository now, or
        had when git was last asked, if that is at most `max_age` ago.

        Only that commit is fetched, without its history, submodules and large files; nothing that the repository
        contains is run. MirrorFailed if the repository, or the ref, can't be read in time; OSError if the copy can't be
        written. A call that was killed leaves nothing that a later one takes for a copy.
        """
        if url.startswith("-") or ref.startswith("-"):
            raise ValueError("an option of git")
        name = hashlib.sha256(f"{url}\0{ref}".encode()).hexdigest()[:16]
        place = make_folder(self.root) / "mirrors" / name
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        failed = place.with_suffix(".failed")
        if max_age and (known := self._asked(place, failed, (now - max_age).timestamp())) is not None:
            return known
        try:
            tree = self._current(url, ref, place, time.monotonic() + self.longest_s)
        except MirrorFailed as error:
            failed.write_text(json.dumps([error.message, error.hint]))
            os.utime(failed, times=(now.timestamp(), now.timestamp()))
            raise
        failed.unlink(missing_ok=True)
        os.utime(tree, times=(now.timestamp(), now.timestamp()))
        for other in place.iterdir():
            if other.stat().st_mtime < (now - KEPT).timestamp():
                shutil.rmtree(other, ignore_errors=True)
        return tree

    def _asked(self, place: Path, failed: Path, since: float) -> Path | None:
        """The copy that was asked for last, if that was after a time; MirrorFailed if it could not be read."""
        found = [one for one in place.iterdir() if _COMMIT.fullmatch(one.name)]
        last = max((*found, *([failed] if failed.exists() else [])), key=lambda one: one.stat().st_mtime, default=None)
        if last is None or last.stat().st_mtime <= since:
            return None
        if last != failed:
            return last
        try:
            message, hint = json.loads(failed.read_bytes())
        except ValueError:  # it is just being written
            return None
        raise MirrorFailed(message, hint=hint)

    def _current(self, url: str, ref: str, place: Path, until: float) -> Path:
        name, commit = (ref, ref) if _COMMIT.fullmatch(ref) else self._find(url, ref, place, until)
        if (place / commit).is_dir():
            return place / commit
        with tempfile.TemporaryDirectory(prefix="new-", dir=place, ignore_cleanup_errors=True) as made:
            new = Path(made) / "tree"
            self._git(url, place, until, "init", "--quiet", "--template=", str(new))
            fetch = ("fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--", url, name)
            self._git(url, new, until, *fetch)
            self._git(url, new, until, "checkout", "--quiet", "--detach", "FETCH_HEAD")
            # The ref may have moved since it was looked up.
            (commit,) = self._git(url, new, until, "rev-parse", "--verify", "HEAD")
            tree = place / commit
            if not tree.is_dir():  # else another run was faster
                new.rename(tree)
        return tree

    def _find(self, url: str, ref: str, place: Path, until: float) -> tuple[str, str]:
        """The full name of the ref, and its commit. A branch goes before a tag of the same name."""
        wanted = (ref,) if ref.startswith("refs/") else (f"refs/heads/{ref}", f"refs/tags/{ref}")
        lines = self._git(
            url, place, until, "ls-remote", "--quiet", "--", url, *wanted, *(f"{name}^{{}}" for name in wanted)
        )
        found = {name: commit for commit, _, name in (line.partition("\t") for line in lines)}
        for name in wanted:
            commit = found.get(f"{name}^{{}}") or found.get(name)
            if commit is not None and _COMMIT.fullmatch(commit):
                return name, commit
        hint = f"run `{shell_command(('git', 'ls-remote', url))}` to see its branches and tags"
        raise MirrorFailed(f"the repository {url} has no branch or tag {ref!r}", hint=hint)

    def _git(self, url: str, folder: Path, until: float, *arguments: str) -> Sequence[str]:
        """The lines that git printed. `until`: when it is stopped, by the monotonic clock."""
        lines: list[str] = []
        errors: list[str] = []
        more = (*_CREDENTIALS, *filter(_CONFIGURATION.fullmatch, self.environ))
        variables = {name: value for name, value in environment(self.environ, *more).items() if not has_key(value)}
        command = ("git", *_OPTIONS, *arguments)
        with running(
            command,
            environ=variables | _SET,
            on_out=lambda line: lines.append(line) if len(lines) < _MOST_LINES else None,
            on_err=lambda line: errors.append(line) if len(errors) < _MOST_LINES else None,
            cwd=folder,
        ) as child:
            try:
                code = child.wait(max(until - time.monotonic(), 0.0))
            except TimeoutError as error:
                message = f"git could not read the repository {url} within {self.longest_s:.0f} s and was stopped"
                raise MirrorFailed(message, hint="check the connection to its server, and try again") from error
        if code == _NOT_STARTED:
            raise MirrorFailed("git is not installed", hint="install git, or run this where it is installed")
        if code:
            hint = f"run `{shell_command(('git', 'ls-remote', url))}` as the same user to see the same error"
            raise MirrorFailed(f"git could not read the repository {url}: {_reason(errors)}", hint=hint)
        return lines


def _reason(errors: Sequence[str]) -> str:
    """git's own reason, in one line, without user names and passwords of addresses."""
    said = [line for line in errors if line.startswith(("fatal:", "error:", "remote:", "ssh:"))] or list(errors)
    line = said[0].partition(": ")[2] or said[0] if said else "it gave no reason"
    return _USER.sub("", line)[:_LONGEST_LINE]
