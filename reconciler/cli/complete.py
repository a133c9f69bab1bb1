"""Completes a command line for a shell: `mtlsctl __complete SHELL WORD...` prints what may come next, one a line.

It must be there at once, so it imports neither typer nor a command: completion.json has what they take (`make docs`
writes it), and names come from mtls.toml alone. Whatever goes wrong, it prints nothing and ends well: a person types.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import tomli

from reconciler.cli.scripts import SCRIPTS
from reconciler.system.discover import find_file

TYPE_CHECKING = False  # typing itself would take as long as all of the rest
if TYPE_CHECKING:
    from typing import NotRequired, TypedDict

    class Option(TypedDict):
        """An option by all its names. Without a `kind` it takes no value; `values` are all that it takes."""

        names: list[str]
        help: str
        kind: NotRequired[str]
        values: NotRequired[list[str]]
        repeatable: NotRequired[bool]

    class Argument(TypedDict):
        """A positional argument; the last one may take `many` words."""

        kind: str
        values: NotRequired[list[str]]
        many: NotRequired[bool]

    class CommandRow(TypedDict):
        """What a command takes."""

        help: str
        options: list[Option]
        arguments: list[Argument]

    class CompletionTable(TypedDict):
        """The whole command line."""

        options: list[Option]
        commands: dict[str, CommandRow]
        codes: list[str]


FILES, FOLDERS = ":files", ":folders"
"""Lines that ask the shell for its own completion of paths."""

TABLE = Path(__file__).with_name("completion.json")

_MAX_BYTES = 1_000_000
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
"""The part of a name that is shown to a shell: nothing that it could take for more than a word."""

Candidate = tuple[str, str]
"""A word and what it is."""


def answer(arguments: Sequence[str]) -> bool:
    """Whether the command line was for completion; if so, it was answered."""
    match list(arguments):
        case ["__complete", *rest]:
            _complete(rest)
            return True
        case ["completion", shell] if shell in SCRIPTS:  # run by every shell that starts
            with contextlib.suppress(OSError):
                sys.stdout.write(SCRIPTS[shell])
                sys.stdout.flush()
                return True
    return False  # the command itself knows what to say


def _complete(arguments: Sequence[str]) -> None:
    """Print the candidates for the last word, in the form of the shell that is named first."""
    try:
        shell, *words = arguments
        sys.stdout.write("".join(f"{line}\n" for line in lines_for(shell, words or [""])))
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001 - also Ctrl-C: the shell shows its prompt again
        return


def lines_for(shell: str, words: Sequence[str]) -> Iterator[str]:
    """One line for each candidate. `words`: what follows `mtlsctl`, up to the word that is being typed."""
    table: CompletionTable = json.loads(TABLE.read_bytes())
    joined = _join(words) if shell == "bash" else list(words)
    line = _Line(table, joined[:-1])
    current = joined[-1]
    option, sign, value = current.partition("=")
    if sign and line.waiting is None and option.startswith("--") and not line.ended:
        line.take(option)
        # bash has split the word at the sign, and replaces what follows it.
        prefix = "" if shell == "bash" else f"{option}="
        candidates = [(prefix + word, about) for word, about in _matching(value, line.values())]
    else:
        candidates = _matching(current, line.values() if line.waiting else line.next(current))
    for word, about in candidates:
        yield _shown(shell, word, about)


def _join(words: Sequence[str]) -> list[str]:
    """The words of bash as they were typed: it splits `--format=json` into three."""
    joined: list[str] = []
    for word in words:
        before = joined[-1] if joined and joined[-1].startswith("--") else ""
        if before and (word == "=" or before.endswith("=")):
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def _matching(start: str, candidates: Iterable[Candidate]) -> list[Candidate]:
    return [one for one in candidates if one[0].startswith(start) or one[0] in (FILES, FOLDERS)]


def _shown(shell: str, word: str, about: str) -> str:
    if shell == "zsh" and word not in (FILES, FOLDERS):
        word = word.replace(":", "\\:")
    separator = {"zsh": ":", "fish": "\t"}.get(shell)
    return f"{word}{separator}{about}" if separator and about else word


class _Line:
    """The state after the words before the current one. `waiting`: the option whose value comes next."""

    def __init__(self, table: CompletionTable, words: Sequence[str]) -> None:
        self._table = table
        self._command: str | None = None
        self._arguments: list[str] = []
        self._used: set[str] = set()
        self._file: str | None = None
        self.waiting: Option | None = None
        self.ended = False
        for word in words:
            self._read(word)

    def _read(self, word: str) -> None:
        if self.waiting is not None:
            self._file = word if "--file" in self.waiting["names"] else self._file
            self.waiting = None
        elif word == "--" and not self.ended:
            self.ended = True
        elif word.startswith("-") and not self.ended:
            option, sign, value = word.partition("=")
            self.take(option)
            if sign:
                self._read(value)
        elif self._command is None:
            self._command = word
        else:
            self._arguments.append(word)

    def take(self, name: str) -> None:
        """Read an option; if it takes a value, that comes next."""
        option = next((one for one in self._options() if name in one["names"]), None)
        if option is not None:
            self._used.add(option["names"][0])
            self.waiting = option if "kind" in option else None

    def next(self, current: str) -> Iterator[Candidate]:
        """The commands, arguments or options that can come next."""
        if current.startswith("-") and not self.ended:
            yield from self._unused()
        elif self._command is None:
            yield from ((name, row["help"]) for name, row in self._table["commands"].items())
        elif (argument := self._argument()) is not None:
            yield from self._of(argument["kind"], argument.get("values", []))
        elif not self.ended:
            yield from self._unused()

    def values(self) -> Iterator[Candidate]:
        """The values of the option that waits for one."""
        if self.waiting is not None:
            yield from self._of(self.waiting.get("kind", ""), self.waiting.get("values", []))

    def _argument(self) -> Argument | None:
        row = self._table["commands"].get(self._command or "")
        if row is None or not row["arguments"]:
            return None
        place, arguments = len(self._arguments), row["arguments"]
        if place < len(arguments):
            return arguments[place]
        return arguments[-1] if arguments[-1].get("many") else None

    def _options(self) -> list[Option]:
        row = self._table["commands"].get(self._command or "")
        return [*(row["options"] if row else []), *self._table["options"]]

    def _unused(self) -> Iterator[Candidate]:
        if self._command is not None and self._command not in self._table["commands"]:
            return
        for option in self._options():
            if option["names"][0] not in self._used or option.get("repeatable"):
                yield option["names"][0], option["help"]

    def _of(self, kind: str, values: Sequence[str]) -> Iterator[Candidate]:
        """The words of a kind."""
        yield from ((value, "") for value in values)
        if kind == "file":
            yield FILES, ""
        elif kind == "folder":
            yield FOLDERS, ""
        elif kind != "other":
            yield from self._names(kind)

    def _names(self, kind: str) -> Iterator[Candidate]:
        declared = _read_toml(self._file)
        workers = _tables(declared.get("workers"))
        if kind in ("certificate", "name"):
            yield from ((name, "certificate") for name in _keys(declared.get("certificates")))
        if kind in ("worker", "name"):
            yield from ((name, "Worker") for name in _keys(declared.get("workers")))
        if kind == "name":
            yield from ((name, "binding") for name in _bindings(workers.values()))
            yield from ((code, "finding") for code in self._table["codes"])
        if kind == "environment" and self._arguments:
            worker = workers.get(self._arguments[0], {})
            yield from ((name, "environment") for name in _keys(worker.get("env")))


def _read_toml(file: str | None) -> dict[str, object]:
    """mtls.toml, checked only for its size; empty if there is none."""
    path = Path(file).expanduser() if file else find_file(Path.cwd())
    if path is None:
        return {}
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)  # a pipe would hang the shell
    with os.fdopen(descriptor, "rb") as source:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return {}
        data = source.read(_MAX_BYTES + 1)
    return tomli.loads(data.decode()) if len(data) <= _MAX_BYTES else {}


def _tables(value: object) -> dict[str, dict[str, object]]:
    return {name: table for name, table in value.items() if isinstance(table, dict)} if isinstance(value, dict) else {}


def _keys(value: object) -> list[str]:
    return [name for name in value if _NAME.fullmatch(name)] if isinstance(value, dict) else []


def _bindings(workers: Iterable[dict[str, object]]) -> list[str]:
    """The names of all bindings of all environments, each once."""
    tables = [table for worker in workers for table in (worker, *_tables(worker.get("env")).values())]
    return list(dict.fromkeys(name for table in tables for name in _keys(table.get("bindings"))))
