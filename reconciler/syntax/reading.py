"""From bytes to text: size and encoding, and where they fail. The same for every file that people write."""

from __future__ import annotations

from enum import Enum

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place
from reconciler.findings.errors import InputError
from reconciler.syntax.text import line_and_column, split_bom


class ReadFault(Enum):
    """What can keep a file from being read."""

    TOO_LARGE = "too-large"
    NOT_UTF8 = "not-utf8"
    TOO_DEEP = "too-deep"
    SYNTAX = "syntax"


class UnreadableError(Exception):
    """A file that can't be read, in words; `as_error` gives it the code of whoever reads it."""

    def __init__(self, fault: ReadFault, message: str, where: Place, hint: str | None = None) -> None:
        super().__init__(message)
        self.fault, self.message, self.where, self.hint = fault, message, where, hint

    def as_error(self, code: Code) -> InputError:
        """The same as one finding."""
        return InputError([Diagnostic(Severity.ERROR, code, self.message, self.where, self.hint)])


def read_text(path: str, data: bytes, *, max_bytes: int) -> str:
    """The text of a file, its byte order mark passed over; UnreadableError where it is too large or no UTF-8."""
    if len(data) > max_bytes:
        size = f"{max_bytes // 1_000_000} MB" if max_bytes >= 1_000_000 else f"{max_bytes // 1000} kB"
        hint = "move what is not needed out of it"
        raise UnreadableError(ReadFault.TOO_LARGE, f"the file is larger than {size}", Place(path), hint)
    try:
        return split_bom(data.decode())[1]
    except UnicodeDecodeError as error:
        before = split_bom(data[: error.start].decode())[1]
        where = Place(path, *line_and_column(before, len(before)))
        wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        message = "the file is UTF-16, not UTF-8" if wide else "the file is not UTF-8"
        raise UnreadableError(ReadFault.NOT_UTF8, message, where, "save it as UTF-8") from error
