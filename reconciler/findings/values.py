"""A `dataclass` that costs less to define, and to make instances of, than that of the standard library.

Before Python 3.13, the standard library compiles six methods for each frozen class, one by one, and a plan imports two
hundred of them. Here only `__init__` is compiled, and not before it is called. Instances behave the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, fields
from functools import cache
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(cls=None, /, *, kw_only=False, **options):
        """A class as of `dataclasses.dataclass`. One that is not frozen, or has no slots, is made by it."""
        if options != {"frozen": True, "slots": True}:
            return dataclasses.dataclass(cls, kw_only=kw_only, **options)
        return _make(cls, kw_only) if cls is not None else lambda cls: _make(cls, kw_only)


def _make(cls: type, kw_only: bool) -> type:
    cls.__doc__ = cls.__doc__ or cls.__name__  # else the standard library writes the signature, which takes long
    made: Any = dataclasses.dataclass(cls, init=False, repr=False, eq=False, slots=True, kw_only=kw_only)
    values = _values_of([field.name for field in fields(made) if field.compare])

    def init(self: object, *args: object, **named: object) -> None:
        if made.__init__ is init:  # not, where a test has put another one in its place
            made.__init__ = _compile_init(made)
        _compile_init(made)(self, *args, **named)

    def eq(self: object, other: object) -> bool:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    def hash_(self: object) -> int:
        return hash(values(self))

    for name, method in {"__init__": init, "__eq__": eq, "__hash__": hash_, **_SHARED}.items():
        if cls.__dict__.get(name) is None:
            setattr(made, name, method)
    return made  # type: ignore[no-any-return]


def _values_of(names: list[str]) -> Callable[[object], tuple[object, ...]]:
    if len(names) > 1:
        return attrgetter(*names)
    get = attrgetter(*names) if names else None
    return (lambda one: (get(one),)) if get is not None else lambda _: ()


@cache
def _compile_init(made: Any) -> Any:
    """The `__init__` of a class: each value goes straight into its slot."""
    parameters: dict[bool, list[str]] = {False: [], True: []}  # by whether they are passed by name only
    lines = ["pass"]
    scope: dict[str, Any] = {"__name__": made.__module__, "MISSING": MISSING}
    for field in fields(made):
        name = value = field.name
        parameter, default = name, ""
        scope[f"set_{name}"] = getattr(made, name).__set__
        if field.default is not MISSING:
            scope[f"default_{name}"] = field.default
            parameter, default = f"{name}=default_{name}", f"default_{name}"
        elif field.default_factory is not MISSING:
            scope[f"make_{name}"] = field.default_factory
            parameter, default = f"{name}=MISSING", f"make_{name}()"
            value = f"{default} if {name} is MISSING else {name}"
        if field.init:
            parameters[bool(field.kw_only)].append(parameter)
        if field.init or default:
            lines.append(f"set_{name}(self, {value if field.init else default})")
    if hasattr(made, "__post_init__"):
        lines.append("self.__post_init__()")
    named = ["*", *parameters[True]] if parameters[True] else []
    head = ", ".join(["self", *parameters[False], *named])
    exec(f"def __init__({head}):\n  " + "\n  ".join(lines), scope)  # noqa: S102 - as the standard library does
    scope["__init__"].__qualname__ = f"{made.__qualname__}.__init__"
    return scope["__init__"]


@recursive_repr()
def _repr(self: Any) -> str:
    shown = (f"{field.name}={getattr(self, field.name)!r}" for field in fields(self) if field.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _setattr(_: object, name: str, __: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _delattr(_: object, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _getstate(self: Any) -> list[object]:
    return [getattr(self, field.name) for field in fields(self)]


def _setstate(self: Any, state: list[object]) -> None:
    for field, value in zip(fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)


_SHARED = {
    "__repr__": _repr,
    "__setattr__": _setattr,
    "__delattr__": _delattr,
    "__getstate__": _getstate,
    "__setstate__": _setstate,
}
