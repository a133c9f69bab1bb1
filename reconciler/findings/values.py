"""`dataclass` as in the standard library, but quick to define.

Before Python 3.13 the standard library compiles six methods for each frozen class, and a plan imports more than two
hundred of them. Here only `__init__` is compiled, once for all classes whose fields are of the same kinds in the same
order. The type checker alone holds that nothing assigns to a frozen value. There is no `InitVar`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING
from functools import cache
from operator import attrgetter
from reprlib import recursive_repr
from types import CodeType, FunctionType
from typing import TYPE_CHECKING

_GIVEN, _FRESH, _SET, _LEFT = range(4)
"""A field is an argument; is one, or is made anew; is always made anew; or is left to `__post_init__`."""

_NEW = object()
"""The default of an argument that is made anew."""

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(cls=None, /, *, frozen=False, eq=True, order=False, **options):
        """The class as `dataclasses.dataclass` makes it, with methods of the same meaning."""
        if cls is None:
            return lambda cls: dataclass(cls, frozen=frozen, eq=eq, order=order, **options)
        cls.__doc__ = cls.__doc__ or cls.__name__  # else the signature is written there, which takes long
        made = dataclasses.dataclass(cls, init=False, repr=False, eq=order, order=order, **options)
        if "__init__" not in made.__dict__:
            _set_init(made)
        if eq:
            _compare_by_values(made, is_hashable=frozen)
        if "__repr__" not in made.__dict__:
            made.__repr__ = _repr
        return made

    def _set_init(made):
        fields = sorted(dataclasses.fields(made), key=attrgetter("kw_only"))
        code = _storing(tuple(map(_kind, fields)), hasattr(made, "__post_init__"))
        names = {f"_{number}": field.name for number, field in enumerate(fields)}
        arguments = [field for field in fields if field.init]
        by_name = sum(field.kw_only for field in arguments)
        code = code.replace(
            co_names=tuple(names.get(name, name) for name in code.co_names),
            co_varnames=("self", *(field.name for field in arguments)),
            co_argcount=1 + len(arguments) - by_name,
            co_kwonlyargcount=by_name,
        )
        makers = [_maker(field) for field in fields]
        init = FunctionType(code, {"NEW": _NEW, "new": makers}, argdefs=_defaults(arguments[: code.co_argcount - 1]))
        named = {field.name: _default(field) for field in arguments[code.co_argcount - 1 :]}
        init.__kwdefaults__ = {name: default for name, default in named.items() if default is not MISSING}
        init.__qualname__ = f"{made.__qualname__}.__init__"
        made.__init__ = init

    def _defaults(arguments):
        found = [_default(field) for field in arguments]
        given = tuple(default for default in found if default is not MISSING)
        if any(default is MISSING for default in found[len(found) - len(given) :]):
            raise TypeError("a field without a default follows one that has a default")
        return given

    def _default(field):
        return field.default if field.default_factory is MISSING else _NEW

    def _maker(field):
        return (lambda: field.default) if field.default_factory is MISSING else field.default_factory

    def _kind(field):
        if field.init:
            return _GIVEN if field.default_factory is MISSING else _FRESH
        return _LEFT if field.default is field.default_factory else _SET

    @cache
    def _storing(kinds, has_post_init):
        arguments = ["self", *(f"_{number}" for number, kind in enumerate(kinds) if kind in (_GIVEN, _FRESH))]
        values = {_GIVEN: "_{0}", _FRESH: "new[{0}]() if _{0} is NEW else _{0}", _SET: "new[{0}]()"}
        lines = [f"self._{n} = {values[kind].format(n)}" for n, kind in enumerate(kinds) if kind != _LEFT]
        lines += ["self.__post_init__()"] if has_post_init else ["pass"]
        body = "\n ".join(lines)
        module = compile(f"def __init__({', '.join(arguments)}):\n {body}", "<fields>", "exec")
        return next(code for code in module.co_consts if isinstance(code, CodeType))

    def _compare_by_values(made, *, is_hashable):
        names = [field.name for field in dataclasses.fields(made) if field.compare]
        values = attrgetter(*names) if names else type

        def is_equal(self, other):
            return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

        if "__eq__" not in made.__dict__:
            made.__eq__ = is_equal
        if made.__dict__.get("__hash__") is None:
            made.__hash__ = (lambda self: hash(values(self))) if is_hashable else None

    @recursive_repr()
    def _repr(self):
        shown = (f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr)
        return f"{type(self).__qualname__}({', '.join(shown)})"
