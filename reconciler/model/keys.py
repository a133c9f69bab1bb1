"""The interface of key sources: the name, the model of the table in mtls.toml, and the access to files.

The parser of mtls.toml and the key sources import this module, and not each other. It must not open anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Protocol

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Diagnostic, Place, Pointer
from reconciler.findings.errors import FileError
from reconciler.findings.values import dataclass
from reconciler.model.declared import DeclaredCertificate

if TYPE_CHECKING:
    from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class KeySourceKind:
    """One key source as the parser knows it.

    `shape` is the model of its table in `private_key`: frozen, without extra keys, and with one required key that has
    the name of the source. The validated table becomes `KeyReference.options`. `bare`: a plain string means
    `{ name = string }`; only one source can have this. `is_path`: its value is the path of a file.

    `is_local`: opening a key of it reads this machine alone, starts nothing and is fast, whatever mtls.toml has, so
    `validate` may do it on a pull request.
    """

    name: str
    shape: type[BaseModel]
    bare: bool = False
    is_path: bool = False
    is_local: bool = True


@dataclass(frozen=True, slots=True)
class KeyFile:
    """The content of a private key file. `readable_by_others`: its group or everyone can read it."""

    data: bytes = field(repr=False)
    readable_by_others: bool = False


class KeyFiles(Protocol):
    """The port that reads private key files."""

    def read_key(self, path: str, *, limit: int) -> KeyFile:
        """The whole file, and whether others can read it, by the opened descriptor.

        `path` is as written in mtls.toml. FileError, never with content, if the file is missing, is longer than `limit`
        bytes, is not a regular file, is inside `.git`, or is outside the tree and outside the folders that the operator
        listed, with links resolved.
        """


class KeyFolders(Protocol):
    """The port to the folders in which sinks keep keys: in each, a folder for each certificate, with a file for each
    key.

    `folder` is as written in mtls.toml, and may be where a private key file may be; `within` and `name` are a folder
    and a file below it, and links of these are not followed. Every method may raise FileError, never with content.
    """

    def names(self, folder: str, within: str) -> frozenset[str]:
        """The names in `folder/within`, every one but those of writes that were killed; none if it is not there yet."""

    def read(self, folder: str, within: str, name: str, *, limit: int) -> bytes:
        """The whole file, of at most `limit` bytes."""

    def create(self, folder: str, within: str, name: str, data: bytes, *, in_clear: bool) -> None:
        """Create a file, durably, complete or not at all; an error if it is there. `in_clear`: the key is not
        encrypted, so only this user can read it, and it is an error where git tracks it or would."""

    def remove(self, folder: str, within: str, name: str) -> None:
        """Remove a file; one that is not there is no error."""


def place_of_key(declared: DeclaredCertificate, path: str) -> Pointer | Place:
    """The place of a private key: its file if it is in one, else its declaration in mtls.toml, which `path` names."""
    if declared.key is not None and declared.key.file is not None:
        return Place(declared.key.file)
    return declaration_of_key(declared, path)


def declaration_of_key(declared: DeclaredCertificate, path: str) -> Pointer:
    """Where mtls.toml, which `path` names, says where the private key is."""
    renews = declared.key is not None and declared.key.slots is not None
    return Pointer(path, ("certificates", declared.name, *(("renew", "sink") if renews else ("private_key",))))


def at_key(found: Iterable[Diagnostic], declared: DeclaredCertificate, path: str) -> tuple[Diagnostic, ...]:
    """The findings about a private key at its place: named by its variable; of a file, the hint names its
    declaration."""
    where = place_of_key(declared, path)
    if isinstance(where, Pointer):
        variable = declared.key.options.get("env") if declared.key is not None else None
        prefix = f"${variable} for {declared.path}: " if variable is not None else ""

        def named(message: str) -> str:
            return message if variable is not None and variable in message else f"{prefix}{message}"

        return tuple(replace(problem, where=where, message=named(problem.message)) for problem in found)
    names = f"`private_key` of {declared.name!r} in {path} names this file"
    return tuple(
        replace(problem, where=where, hint=f"{problem.hint}; {names}" if problem.hint else names) for problem in found
    )


class Programs(Protocol):
    """The port that runs programs for their output."""

    def output(self, command: Sequence[str], *, limit: int, stdin: bytes | None = None) -> bytes:
        """What the program writes to its standard output, without its last line break; nothing else of it is shown.

        `stdin`: what it can read from its standard input; None: nothing.

        KeySourceError if it can't be started, fails, takes too long, or writes more than `limit` bytes.
        """

    def has(self, program: str) -> bool:
        """Whether a program of this name is on the PATH."""


ReadOwn = Callable[[str], bytes]
ReadPiped = Callable[[], bytes | None]


def _no_file(path: str) -> bytes:
    raise FileError(f"{path!r} does not exist", code=Code.FILE_MISSING)


def _nothing_piped() -> bytes:
    return b""


class SecretServer(Protocol):
    """The port to a server with secrets. It logs in once for a run, at the first call.

    Every method may raise ReconcilerError, which never shows a value.
    """

    def read(self, mount: str, path: str) -> Mapping[str, object]:
        """The fields of a secret, by name; an error if there is none."""

    def names(self, mount: str, path: str) -> Sequence[str]:
        """The names directly below a path; none if there is nothing."""

    def create(self, mount: str, path: str, fields: Mapping[str, str]) -> None:
        """Write a new secret; an error if there is one already."""

    def remove(self, mount: str, path: str) -> None:
        """Delete a secret with all its versions; one that does not exist is no error."""


@dataclass(frozen=True, slots=True)
class KeyContext:
    """The inputs of key sources. `environment` may contain secrets, so it is never shown. `allow_commands`: this run
    may start the commands of mtls.toml. `read_own`: the whole of a file that the operator named, wherever it is;
    FileError, never with content. It must not be called with a path of mtls.toml. `piped`: all of standard input, the
    same at each call; None if it is a terminal; KeySourceError if it doesn't end, or is too long. `folders`: for sinks
    in files. `unmerged`: the event of a pipeline
    whose checkout may not be merged yet, where only local keys are read; None: there is none.
    """

    files: KeyFiles
    environment: Mapping[str, str] = field(repr=False)
    programs: Programs
    allow_commands: bool = False
    read_own: ReadOwn = _no_file
    piped: ReadPiped = _nothing_piped
    folders: KeyFolders = field(kw_only=True)
    vault: SecretServer = field(kw_only=True)
    unmerged: str | None = None
