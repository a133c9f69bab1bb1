"""`dataclass` as in the standard library, but quick to define.

Before Python 3.13 the standard library compiles six methods for each frozen class, and a plan imports more than two
hundred of them. Here only `__init__` is compiled. The type checker alone holds that nothing assigns to a frozen value.
"""

from __future__ import annotations

import dataclasses
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(cls=None, /, *, frozen=False, eq=True, order=False, **options):
        """The class as `dataclasses.dataclass` makes it, with methods of the same meaning."""
        if cls is None:
            return lambda cls: dataclass(cls, frozen=frozen, eq=eq, order=order, **options)
        cls.__doc__ = cls.__doc__ or cls.__name__  # else the signature is written there, which takes long
        made = dataclasses.dataclass(cls, repr=False, eq=order, order=order, **options)
        if eq:
            _compare_by_values(made, is_hashable=frozen)
        if "__repr__" not in made.__dict__:
            made.__repr__ = _repr
        return made

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
