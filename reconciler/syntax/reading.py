"""Decodes bytes to text, with checks of size and encoding. Used for every file that people write."""

from __future__ import annotations

import re
from enum import Enum

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place
from reconciler.findings.errors import InputError
from reconciler.syntax.text import line_and_column, split_bom


class ReadFault(Enum):
    """Why a file can't be read."""

    TOO_LARGE = "too-large"
    NOT_UTF8 = "not-utf8"
    TOO_DEEP = "too-deep"
    SYNTAX = "syntax"


class UnreadableError(Exception):
    """A file that can't be read. `as_error` turns it into a finding with the caller's code."""

    def __init__(self, fault: ReadFault, message: str, where: Place, hint: str | None = None) -> None:
        super().__init__(message)
        self.fault, self.message, self.where, self.hint = fault, message, where, hint

    def as_error(self, code: Code) -> InputError:
        """The error as one finding with this code."""
        return InputError([Diagnostic(Severity.ERROR, code, self.message, self.where, self.hint)])


_CONFLICT = re.compile(r"^(?:(?:<{7}|\|{7}|>{7})(?: .*)?|={7})\r?$", re.MULTILINE)


def syntax_error(path: str, text: str, message: str, where: Place, hint: str | None) -> UnreadableError:
    """The error for a text that is not valid in its format. The mark of a merge conflict in it comes first: a parser
    trips over it in other words, or over what is around it."""
    mark = _CONFLICT.search(text)
    if mark is not None:
        where = Place(path, *line_and_column(text, mark.start()))
        message = "the file contains git merge conflict markers"
        hint = "resolve the conflict: keep one side, without the lines of <<<<<<<, ======= and >>>>>>>"
    return UnreadableError(ReadFault.SYNTAX, message, where, hint)


def read_text(path: str, data: bytes, *, max_bytes: int) -> str:
    """The text of a file without its byte order mark. UnreadableError if it is too large or not UTF-8."""
    if len(data) > max_bytes:
        size = f"{max_bytes // 1_000_000} MB" if max_bytes >= 1_000_000 else f"{max_bytes // 1000} kB"
        hint = "remove content that is not needed"
        raise UnreadableError(ReadFault.TOO_LARGE, f"the file is larger than {size}", Place(path), hint)
    try:
        return split_bom(data.decode())[1]
    except UnicodeDecodeError as error:
        before = split_bom(data[: error.start].decode())[1]
        where = Place(path, *line_and_column(before, len(before)))
        wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        message = "the file is UTF-16, not UTF-8" if wide else "the file is not UTF-8"
        raise UnreadableError(ReadFault.NOT_UTF8, message, where, "save it as UTF-8") from error
