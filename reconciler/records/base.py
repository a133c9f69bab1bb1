"""Common parts of all JSON documents: strict shapes, absent keys left out, times in UTC, places resolved."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Self, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, FailFast
from pydantic_core import PydanticSerializationError

from reconciler.findings.codes import Severity
from reconciler.findings.diagnostics import Diagnostic, Resolve

_V = TypeVar("_V")
_COMMAND = re.compile(r"##(?=\w*\[)")


UtcTime = AwareDatetime
"""Written as RFC 3339 in UTC has it, `2027-02-01T00:00:00Z`."""


class _FailFast(FailFast):
    """Pydantic's own class can't be part of a union, because it has no hash."""

    __hash__ = object.__hash__


FIRST_MISTAKE = _FailFast()
"""Marks a list that is read up to its first error: a document could contain a million of them."""


class RecordPart(BaseModel):
    """One JSON document or a part of one. It can be made of the attributes of other values."""

    model_config = ConfigDict(frozen=True, defer_build=True, from_attributes=True)

    @classmethod
    def made_from(cls, *sources: object, **given: object) -> Self:
        """The part with `given`, and in each other field the attribute of that name of the first source that has one.

        A source may be None: what no other one has is left out then. AttributeError for a field without a source.
        """
        for name, field in cls.model_fields.items():
            if name not in given:
                source = next((one for one in sources if hasattr(one, name)), None)
                if source is not None:
                    given[name] = getattr(source, name)
                elif None not in sources and field.default is None:
                    raise AttributeError(f"no source of {cls.__name__} has {name!r}")
        return cls.model_validate(given)


class JsonPart(RecordPart):
    """What is read back as strictly as it is written: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


def value_of(kind: Callable[..., _V], part: RecordPart, **given: object) -> _V:
    """The value of a dataclass with `given`, and in each other field what the part has there, if it has it."""
    names = getattr(kind, "__dataclass_fields__", {})
    return kind(**{name: value for name, value in part if name in names and value is not None} | given)


class DiagnosticPart(JsonPart):
    """One finding. `line` and `column` count from 1."""

    severity: Severity
    code: str
    message: str
    path: str | None = None
    line: int | None = None
    column: int | None = None
    hint: str | None = None
    certificate: str | None = None


def diagnostic_part(diagnostic: Diagnostic, resolve: Resolve) -> DiagnosticPart:
    """A finding with its place."""
    return DiagnosticPart.made_from(diagnostic, resolve(diagnostic.where))


def to_json(document: JsonPart, *, indent: int | None = 2) -> str:
    """The text of a document: two spaces, one final newline, absent keys left out, ASCII only. `indent` None: one line.

    ASCII, so that control or direction characters in other people's names can't act on the terminal that shows it. And
    no `##[` or `##vso[`, which CI runners obey anywhere in a line; `::` can't begin a line of JSON.
    """
    try:
        text = document.model_dump_json(indent=indent, exclude_none=True, ensure_ascii=True)
    except PydanticSerializationError:  # a byte of an argument or a file's name that is not UTF-8
        text = json.dumps(document.model_dump(mode="json", exclude_none=True), indent=indent)
    return _COMMAND.sub("#\\\\u0023", text).replace("\x7f", "\\u007f") + "\n"
