"""The checks of `doctor` of a checkout: its files, private keys, leftovers of killed runs. Read-only."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place
from reconciler.findings.errors import KeySourceError, ReconcilerError
from reconciler.findings.escape import shell_word
from reconciler.model import Declaration
from reconciler.private.folder import FOLDER
from reconciler.runs.configs import ConfigReader
from reconciler.runs.project import Project
from reconciler.runs.validate import tracked_keys
from reconciler.stores.database import STORE_FILE
from reconciler.system.atomic import leftover_of
from reconciler.system.discover import git_root
from reconciler.system.git import ask_ignored, ask_tracked

_IGNORE_FILE = ".gitignore"


def well(code: Code, message: str) -> Diagnostic:
    """An info about a check that passed."""
    return Diagnostic(Severity.INFO, code, message)


def cure(code: Code, message: str, hint: str, *, place: str | None = None) -> Diagnostic:
    """A warning with what to do; `place` is relative to the folder of mtls.toml."""
    return Diagnostic(Severity.WARNING, code, message, Place(place) if place else None, hint)


def _writable(project: Project, declaration: Declaration | None) -> Iterator[Diagnostic]:
    """Whether the files can be written. A file is replaced by a new one next to it, so its folder must be writable,
    too."""
    refused = 0
    for place in (project.folder, *dict.fromkeys(path.parent for path in _wrangler_files(project, declaration))):
        if not os.access(place, os.W_OK | os.X_OK):
            refused += 1
            hint = "let this user write here before `mtlsctl apply`; `mtlsctl plan` does not need it"
            yield cure(Code.FOLDER_READ_ONLY, "this folder can't be written", hint, place=_named(project, place))
    for path in _wrangler_files(project, declaration):
        if path.exists() and not os.access(path, os.W_OK):
            refused += 1
            hint = f"run `chmod u+w {shell_word(_named(project, path))}`"
            yield cure(Code.FILE_READ_ONLY, "this file can't be written", hint, place=_named(project, path))
    if not refused:
        yield well(Code.WRITABLE, "the folder of mtls.toml and the wrangler files can be written")


def _permissions(project: Project, _: Declaration | None) -> Iterator[Diagnostic]:
    """Whether only this user can read `.mtlsctl` and its files, next to mtls.toml and at the git root: 0700 and
    0600."""
    places = dict.fromkeys(Path(os.path.realpath(one)) / FOLDER for one in (project.folder, project.files.root))
    folders = [place for place in places if stat.S_ISDIR(_mode(place))]
    if not folders:
        yield well(Code.PERMISSIONS, f"{FOLDER} does not exist yet; the first `mtlsctl apply` creates it")
        return
    open_to_others = [path for folder in folders for path in _open_to_others(folder)]
    for path in open_to_others:
        wanted = 0o700 if path in folders else 0o600
        name = _named(project, path)
        message = f"its permissions are {stat.S_IMODE(_mode(path)):04o}, so other users of this machine can read it"
        yield cure(Code.OPEN_TO_OTHERS, message, f"run `chmod {wanted:o} {shell_word(name)}`", place=name)
    if not open_to_others:
        yield well(Code.PERMISSIONS, f"other users of this machine can't read {FOLDER}")


def _open_to_others(folder: Path) -> Iterator[Path]:
    """The folder and each of its files that other users can read."""
    if _mode(folder) & 0o077:
        yield folder
    with os.scandir(folder) as listing:
        for entry in sorted(listing, key=lambda one: one.name):
            path = folder / entry.name
            if entry.name != _IGNORE_FILE and stat.S_ISREG(_mode(path)) and _mode(path) & 0o077:
                yield path


def _ignored(project: Project, _: Declaration | None) -> Iterator[Diagnostic]:
    """Whether git ignores the store and the journal, which belong to this checkout only."""
    folder, store = project.folder / FOLDER, project.folder / STORE_FILE
    if git_root(project.folder) is None or not stat.S_ISDIR(_mode(folder)):
        return
    is_tracked, is_ignored = ask_tracked([store]), ask_ignored([store])
    problem = is_tracked.problem or is_ignored.problem
    if problem is not None:
        yield cure(Code.GIT_UNREADABLE, f"could not check what git tracks and ignores: {problem.message}", problem.hint)
    elif is_tracked.yes:
        hint = f"run `git rm --cached {shell_word(STORE_FILE)}`"
        yield cure(Code.STORE_IN_GIT, "git tracks the local store of this checkout", hint, place=STORE_FILE)
    elif is_ignored.yes:
        yield well(Code.GIT, f"git ignores {FOLDER}")
    else:
        hint = f"run `printf '*\\n' > {FOLDER}/{_IGNORE_FILE}`"
        yield cure(Code.FOLDER_NOT_IGNORED, f"git does not ignore {FOLDER}", hint, place=FOLDER)


def _keys(project: Project, declaration: Declaration | None) -> Iterator[Diagnostic]:
    """Private key files that git tracks, or that other users can read."""
    if declaration is None:
        return
    found: list[Diagnostic] = list(tracked_keys(project, declaration, Severity.WARNING))
    asked = not any(one.code is Code.KEY_TRACKING_UNKNOWN for one in found)
    declared = [one for one in declaration.certificates.values() if one.key is not None and one.key.file is not None]
    for certificate in declared:
        try:
            key = project.key_of(certificate, only_local=True)
            found.extend(key.findings if key is not None else ())
        except KeySourceError as error:
            if not error.is_absent:
                found.extend(error.diagnostics())
                continue
            message = f"the key of {certificate.name!r} is not available: {error.message}"
            found.append(Diagnostic(Severity.INFO, Code.KEY_NOT_AT_HAND, message, error.where, error.hint))
    yield from found
    if declared and all(one.code is Code.KEY_TRACKING_UNKNOWN for one in found):
        count = f"{len(declared)} private key file{'' if len(declared) == 1 else 's'}"
        yield well(Code.KEYS, f"{count}, readable only by this user{' and not in git' if asked else ''}")


def _leftovers(project: Project, declaration: Declaration | None) -> Iterator[Diagnostic]:
    """Temporary files of killed runs next to the files that they were replacing."""
    targets = (*_wrangler_files(project, declaration), Path(os.path.realpath(project.folder / project.name)))
    count = 0
    for folder in dict.fromkeys(path.parent for path in targets):
        names = {path.name for path in targets if path.parent == folder}
        for path in sorted(folder.iterdir()):
            if leftover_of(path.name) in names:
                count += 1
                hint = "delete it, or let the next `mtlsctl apply` delete it"
                yield cure(Code.LEFTOVER, "a killed run left this temporary file", hint, place=_named(project, path))
    if not count:
        yield well(Code.LEFTOVERS, "no killed run left temporary files next to the wrangler files")


def _wrangler_files(project: Project, declaration: Declaration | None) -> tuple[Path, ...]:
    """The real paths of the declared wrangler files; `validate` reports those that can't be followed."""
    found: list[Path] = []
    if declaration is None:
        return ()
    reader = ConfigReader(project.files, {})
    for worker in declaration.workers.values():
        try:
            path = project.files.root / project.files.identity(reader.find(worker.config))
        except ReconcilerError:
            continue
        if path.parent.is_dir():
            found.append(path)
    return tuple(dict.fromkeys(found))


def _mode(path: Path) -> int:
    """The mode of a file, links not followed; 0 if it does not exist."""
    try:
        return path.lstat().st_mode
    except FileNotFoundError:
        return 0


def _named(project: Project, path: Path) -> str:
    """A path as in findings: relative to the folder of mtls.toml, with `/`."""
    relative = os.path.relpath(os.path.realpath(path.parent), os.path.realpath(project.folder))
    return (Path(relative) / path.name).as_posix() if path != project.folder else "."


CHECKS: tuple[tuple[str, Code, Callable[[Project, Declaration | None], Iterable[Diagnostic]]], ...] = (
    ("writable", Code.WRITABLE_UNREADABLE, _writable),
    ("permissions", Code.PERMISSIONS_UNREADABLE, _permissions),
    ("git", Code.GIT_UNREADABLE, _ignored),
    ("keys", Code.KEYS_UNREADABLE, _keys),
    ("leftovers", Code.LEFTOVERS_UNREADABLE, _leftovers),
)
"""Name, code if the system refuses the check, and the check."""
