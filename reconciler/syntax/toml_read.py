"""Bytes of a TOML file to plain values, or one error that says where and what to do. Reads no file itself."""

from __future__ import annotations

import tomli

from reconciler.core.errors import Diagnostic, InputError, Place, Severity
from reconciler.syntax.caps import check_caps
from reconciler.syntax.text import line_and_column, split_bom


def load_toml(path: str, data: bytes, *, max_bytes: int, code: str) -> dict[str, object]:
    """What a TOML 1.1 file says, as plain values: dict, list, str, int, float, bool, dates and times.

    A byte order mark is passed over. InputError with one diagnostic of this code, with its place where there is one,
    for a file that is too large, no UTF-8, over the caps of `check_caps`, or no TOML.
    """
    if len(data) > max_bytes:
        raise _error(
            code, f"the file is larger than {max_bytes:,} bytes", Place(path), "move what is not needed out of it"
        )
    try:
        _, text = split_bom(data.decode())
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        raise _error(code, "the file is not UTF-8", _place(path, before, len(before)), "save it as UTF-8") from error
    excess = check_caps(text)
    if excess is not None:
        where = _place(path, text, excess.offset)
        raise _error(code, f"the file {excess.message}", where, "write it with fewer levels")
    try:
        return dict[str, object](tomli.loads(text))
    except tomli.TOMLDecodeError as error:
        where = Place(path, error.lineno, error.colno)
        raise _error(code, f"not valid TOML: {_lower(error.msg)}", where, "correct the line") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits
        raise _error(code, f"can't be read as TOML: {error}", Place(path), "correct the value") from error


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


def _place(path: str, text: str, offset: int) -> Place:
    return Place(path, *line_and_column(split_bom(text)[1], offset))


def _error(code: str, message: str, where: Place, hint: str) -> InputError:
    return InputError([Diagnostic(Severity.ERROR, code, message, where, hint)])
