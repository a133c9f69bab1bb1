"""Dataclasses as JSON and back, by their types alone: a field that is added to one is written, read and described.

Nothing is listed here by name but what JSON has no form for. Reading trusts nothing: every value has the type of its
field, unknown keys are refused, and ValueError says where.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from reconciler.findings.values import dataclass

Json = object
"""What a JSON parser gives: None, bool, int, float, str, lists and dicts of these."""

_ESCAPE = re.compile(r"\\(\\|u[0-9a-f]{4})")


@dataclass(frozen=True, slots=True)
class Form:
    """How a type that is not a dataclass of its own is written, read and described."""

    write: Callable[[Any], Json]
    read: Callable[[Json], Any]
    schema: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Values:
    """Writes and reads values. `forms`: of types that JSON has no form for. `hide`: what is written of a text, which
    may contain a secret; `texts`: the same of single fields. `local`: the dataclasses whose times have no zone."""

    forms: Mapping[type, Form]
    hide: Callable[[str], str]
    texts: Mapping[tuple[type, str], Callable[[str], str]]
    local: frozenset[type] = frozenset()

    def write(self, kind: object, value: object) -> Json:
        """The value of a type as JSON."""
        return self._write(_bare(kind), value)

    def _write(self, kind: Any, value: Any) -> Json:
        if kind in self.forms:
            return self.forms[kind].write(value)
        if isinstance(kind, type) and is_dataclass(kind):
            return {
                one.name: self._write(hint, getattr(value, one.name))
                if (kind, one.name) not in self.texts
                else _escaped(self.texts[kind, one.name](getattr(value, one.name)))
                for one, hint in fields_of(kind)
            }
        origin, parts = get_origin(kind), get_args(kind)
        if origin in (Union, UnionType):
            kinds = _kinds(kind)
            found = _kind_of(value, kinds)
            written = self._write(found, value)
            return {"kind": found.__name__, **written} if is_tagged(kinds) and isinstance(written, dict) else written
        if origin is tuple:
            return [self._write(_part(parts, index), one) for index, one in enumerate(value)]
        if origin is frozenset:
            return sorted((self._write(parts[0], one) for one in value), key=str)
        if origin is Mapping:
            pairs = [(self._write(parts[0], key), self._write(parts[1], one)) for key, one in value.items()]
            return dict(pairs) if parts[0] is str else [list(pair) for pair in pairs]
        if issubclass(kind, Enum):
            return str(value.value)
        if kind is datetime:
            text: str = value.isoformat()
            return text.replace("+00:00", "Z")
        if kind is timedelta:
            seconds: float = value.total_seconds()
            return int(seconds) if seconds == int(seconds) else seconds
        return _escaped(self.hide(value)) if kind is str else value

    def read(self, kind: object, data: Json, where: str = "") -> Any:
        """The value of a type from JSON; ValueError with its place if it is not one."""
        return self._read(_bare(kind), data, where)

    def _read(self, kind: Any, data: Any, where: str) -> Any:
        if kind in self.forms:
            return _tried(self.forms[kind].read, data, where)
        if is_dataclass(kind):
            return self._read_fields(kind, _demand(data, dict, where), where)
        origin, parts = get_origin(kind), get_args(kind)
        if origin in (Union, UnionType):
            return self._read_one_of(_kinds(kind), data, where)
        if origin is tuple:
            found = _demand(data, list, where)
            if parts[-1] is not Ellipsis and len(found) != len(parts):
                raise ValueError(f"{where}: must have {len(parts)} values")
            return tuple(self._read(_part(parts, index), one, f"{where}.{index}") for index, one in enumerate(found))
        if origin is frozenset:
            return frozenset(self._read(parts[0], one, where) for one in _demand(data, list, where))
        if origin is Mapping:
            pairs = _demand(data, dict, where).items() if parts[0] is str else map(_pair, _demand(data, list, where))
            return {
                self._read(parts[0], key, where): self._read(parts[1], one, f"{where}.{str(key)[:_SHOWN]}")
                for key, one in pairs
            }
        if issubclass(kind, Enum):
            return _tried(kind, _demand(data, str, where), where)
        if kind is datetime:
            return _tried(datetime.fromisoformat, _demand(data, str, where), where)
        if kind is timedelta:
            return _tried(lambda seconds: timedelta(seconds=seconds), _demand(data, float, where), where)
        return _unescaped(_demand(data, str, where)) if kind is str else _demand(data, kind, where)

    def _read_fields(self, kind: Any, data: dict[str, Json], where: str) -> Any:
        known = {one.name: (one, hint) for one, hint in fields_of(kind)}
        unknown = next((key for key in data if key not in known), None)
        if unknown is not None:
            raise ValueError(f"{_in(where, unknown[:_SHOWN])}: this version does not know this key")
        values = {}
        for name, (one, hint) in known.items():
            if name in data:
                values[name] = self._read(hint, data[name], _in(where, name))
            elif one.default is MISSING and one.default_factory is MISSING:
                raise ValueError(f"{_in(where, name)}: is missing")
            if isinstance(values.get(name), datetime) and (values[name].tzinfo is None) is not (kind in self.local):
                raise ValueError(f"{_in(where, name)}: must have {'no' if kind in self.local else 'a'} time zone")
        return _tried(lambda found: kind(**found), values, where)

    def _read_one_of(self, kinds: tuple[Any, ...], data: Json, where: str) -> Any:
        if data is None and NoneType in kinds:
            return None
        others = [one for one in kinds if one is not NoneType]
        if is_tagged(kinds):
            told = dict(_demand(data, dict, where))
            name = told.pop("kind", None)
            found = next((one for one in others if one.__name__ == name), None)
            if found is None:
                raise ValueError(f"{_in(where, 'kind')}: must be one of {', '.join(one.__name__ for one in others)}")
            return self._read(found, told, where)
        fit = next((one for one in others if isinstance(one, type) and type(data) is one), others[0])
        return self._read(fit, data, where)

    def schema(self, kind: object, above: tuple[object, ...] = ()) -> dict[str, Json]:
        """The JSON Schema of a type. `above`: the dataclasses around it, of which only the first is written out."""
        bare: Any = _bare(kind)
        if bare in self.forms:
            return dict(self.forms[bare].schema)
        if is_dataclass(bare):
            return {"type": "object"} if bare in above else self._schema_of_fields(bare, (*above, bare))
        origin, parts = get_origin(bare), get_args(bare)
        if origin in (Union, UnionType):
            kinds = _kinds(bare)
            found = [(one, self.schema(one, above)) for one in kinds]
            return {"anyOf": [_with_kind(one, its) if is_tagged(kinds) else its for one, its in found]}
        if origin is tuple and parts[-1] is not Ellipsis:
            items = [self.schema(one, above) for one in parts]
            return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
        if origin in (tuple, frozenset):
            return {"type": "array", "items": self.schema(parts[0], above)}
        if origin is Mapping and parts[0] is str:
            return {"type": "object", "additionalProperties": self.schema(parts[1], above)}
        if origin is Mapping:
            pair = [self.schema(one, above) for one in parts]
            return {"type": "array", "items": {"type": "array", "prefixItems": pair, "minItems": 2, "maxItems": 2}}
        if issubclass(bare, Enum):
            return {"enum": [str(one.value) for one in bare]}
        return dict(_SCHEMAS[bare])

    def _schema_of_fields(self, kind: Any, above: tuple[object, ...]) -> dict[str, Json]:
        found = fields_of(kind)
        required = [one.name for one, _ in found if one.default is MISSING and one.default_factory is MISSING]
        return {
            "type": "object",
            "additionalProperties": False,
            "required": required,
            "properties": {one.name: self.schema(hint, above) for one, hint in found},
        }


_SHOWN = 60
_WORDS: Mapping[type, str] = {
    NoneType: "null",
    dict: "an object",
    list: "a list",
    str: "a text",
    float: "a number",
    int: "a whole number",
    bool: "true or false",
}
_SCHEMAS: Mapping[object, Mapping[str, Json]] = {
    NoneType: {"type": "null"},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    datetime: {"type": "string"},
    timedelta: {"type": "number", "description": "seconds"},
}


@cache
def fields_of(kind: type) -> tuple[tuple[Field[Any], Any], ...]:
    """The fields that make a dataclass, each with its type."""
    hints = get_type_hints(kind)
    return tuple((one, _bare(hints[one.name])) for one in fields(kind) if one.init)


def _bare(kind: Any) -> Any:
    """A type without the name that `NewType` gives it; also of the parts of another."""
    if hasattr(kind, "__supertype__"):
        return _bare(kind.__supertype__)
    origin: Any = get_origin(kind)
    parts = get_args(kind)
    if not parts:
        return kind
    bare = tuple(one if one is Ellipsis else _bare(one) for one in parts)
    if origin in (Union, UnionType):
        return Union[bare]  # noqa: UP007 - made of values
    return origin[bare]


def _kinds(kind: Any) -> tuple[Any, ...]:
    """The types of a union: bool before int, because every bool is an int for Python."""
    return tuple(sorted(get_args(kind), key=lambda one: one is not bool))


def _kind_of(value: Any, kinds: tuple[Any, ...]) -> Any:
    """The type of a union that a value has; for Python's types, a whole number may stand for a float."""
    for one in kinds:
        if isinstance(value, get_origin(one) or one) or (one is float and isinstance(value, int)):
            return one
    raise TypeError(f"{type(value).__name__} is none of {kinds}")


def is_tagged(kinds: tuple[Any, ...]) -> bool:
    """Whether a union has several dataclasses, so that JSON must name the one."""
    return sum(is_dataclass(one) for one in kinds) > 1


def _with_kind(kind: Any, schema: dict[str, Json]) -> dict[str, Json]:
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict) or not isinstance(required, list):
        return schema
    return schema | {"required": ["kind", *required], "properties": {"kind": {"const": kind.__name__}, **properties}}


def _part(parts: tuple[Any, ...], index: int) -> Any:
    return parts[0] if parts[-1] is Ellipsis else parts[index]


def _pair(data: Json) -> tuple[Json, Json]:
    if not isinstance(data, list) or len(data) != 2:
        raise ValueError("a pair of key and value must have two values")
    return data[0], data[1]


def _demand(data: Any, kind: type, where: str) -> Any:
    """The data if it is of a type; a whole number is a float, too, but True is no number."""
    fits = type(data) is kind or (kind is float and type(data) is int)
    if not fits:
        raise ValueError(f"{where or 'the document'}: must be {_WORDS[kind]}")
    return data


def _tried(make: Callable[[Any], Any], data: Any, where: str) -> Any:
    try:
        return make(data)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{where or 'the document'}: is not valid: {str(error)[:_SHOWN]}") from None


def _in(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _escaped(text: str) -> str:
    """A text in which every backslash is two, and what is no Unicode is `\\udcff`: JSON can't have that in any form."""
    return text.replace("\\", "\\\\").encode("utf-8", "backslashreplace").decode()


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: "\\" if found[1] == "\\" else chr(int(found[1][1:], 16)), text)
