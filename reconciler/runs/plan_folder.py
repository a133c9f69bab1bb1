"""The saved plans of several stacks: a folder with one file for each, whose name says which mtls.toml it is for.

What is in such a folder is never trusted. Names are made from the files that a run was given, so no plan can choose a
file; one that is of none of them is refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Place
from reconciler.findings.errors import FileError, UsageError
from reconciler.findings.values import dataclass
from reconciler.runs.stacks import Member
from reconciler.system.discover import FILE_NAME

SUFFIX = ".plan.json"
_LONGEST = 150


@dataclass(frozen=True, slots=True)
class PlanFolder:
    """Where the plan of each stack is, or is to be, by the file of its stack."""

    folder: Path
    names: Mapping[str, str]

    def path_of(self, member: Member) -> Path:
        """The file of a stack's plan."""
        return self.folder / self.names[member.file]


def open_folder(folder: Path, members: Iterable[Member]) -> PlanFolder:
    """The folder for new plans, created if it is missing. FileError if it has anything else: a plan that is not written
    again would be taken for one of this run."""
    found = PlanFolder(folder, _names(members))
    hidden = {part.lower() for part in Path(os.path.realpath(folder)).parts} & {".git", ".mtlsctl"}
    try:
        if not hidden:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(folder, f"it can't be created: {os.strerror(error.errno or 0)}") from error
    if hidden:
        raise _refused(folder, "mtlsctl or git uses it")
    others = sorted(set(_listed(folder)) - set(found.names.values()))
    if others:
        raise _refused(folder, f"it has other files, such as {others[0]!r}")
    return found


def read_folder(folder: Path, members: Iterable[Member]) -> PlanFolder:
    """The folder of saved plans. UsageError if it has none, or a file that is of no stack of this run."""
    names = _names(members)
    listed = _listed(folder)
    other = next((name for name in sorted(listed) if name not in names.values()), None)
    if other is not None:
        raise UsageError(
            f"{other!r} in {folder} is not the plan of any stack of this run",
            hint="name the same stacks as for `plan`, such as with `--all`; a plan does not choose its mtls.toml",
        )
    if not listed:
        raise UsageError(f"{folder} has no saved plans", hint=f"make them with `mtlsctl plan --all --out {folder}`")
    return PlanFolder(folder, {file: name for file, name in names.items() if name in listed})


def _names(members: Iterable[Member]) -> dict[str, str]:
    """A name for each stack, made from the path of its mtls.toml below its git root, so that it is the same in every
    checkout. UsageError for two repositories with equal paths."""
    names = {member.file: _name(_below_root(member)) for member in members}
    twice = next((file for file, name in names.items() if list(names.values()).count(name) > 1), None)
    if twice is not None:
        raise UsageError(
            f"{twice} has the same path in its repository as another one of this run",
            hint="save the plans of each repository in a folder of its own",
        )
    return names


def _below_root(member: Member) -> tuple[str, ...]:
    project = member.project
    return (Path(os.path.realpath(project.folder)) / project.name).relative_to(project.files.root).parts


def _name(parts: tuple[str, ...]) -> str:
    """`apps__billing.plan.json` for apps/billing/mtls.toml; no two paths have one name."""
    *folders, file = map(_escaped, parts)
    stem = "__".join([*folders, *([] if file == FILE_NAME and folders else [file.replace(".", "%2E")])])
    if len(stem) > _LONGEST:
        stem = f"{stem[:_LONGEST]}-{sha256('/'.join(parts).encode(errors='surrogateescape')).hexdigest()[:16]}"
    return stem + SUFFIX


def _escaped(part: str) -> str:
    """A part of a path in letters, digits and signs that no shell, system or terminal takes for more."""
    text = quote(part, safe="", errors="surrogateescape").replace("~", "%7E").replace("__", "_%5F")
    if text.startswith((".", "_", "-")):
        text = f"%{ord(text[0]):02X}{text[1:]}"
    return f"{text[:-1]}%5F" if text.endswith("_") else text


def _listed(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except OSError as error:
        message = f"{folder} can't be read: {os.strerror(error.errno or 0)}"
        hint = "check its permissions"
        raise FileError(message, hint=hint, where=Place(str(folder)), code=Code.FILE_UNREADABLE) from error


def _refused(folder: Path, why: str) -> FileError:
    hint = "name a new or empty folder, in a pipeline one of the runner, such as $RUNNER_TEMP/plans"
    return FileError(f"`--out {folder}` was refused: {why}", hint=hint, where=Place(str(folder)), code=Code.OUT_REFUSED)
