"""Values behave as the frozen dataclasses of the standard library: tried for every class of the package."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Iterator
from dataclasses import MISSING, FrozenInstanceError, field, fields, replace
from typing import Any

import pytest
from pydantic import TypeAdapter

import reconciler
from reconciler.findings import values
from reconciler.findings.values import dataclass


def of_the_package() -> Iterator[Any]:
    """Every class that is made here."""
    for found in pkgutil.walk_packages(reconciler.__path__, "reconciler."):
        if not found.name.endswith("__main__"):
            module = importlib.import_module(found.name)
            for one in vars(module).values():
                is_own = isinstance(one, type) and one.__module__ == module.__name__
                if is_own and vars(one).get("__setstate__") is values._setstate:
                    yield one


def twin_of(made: Any) -> Any:
    """The same fields in a class that the standard library made."""
    rows = []
    for one in fields(made):
        settings: dict[str, Any] = {name: getattr(one, name) for name in ("init", "repr", "compare", "kw_only")}
        settings |= {name: getattr(one, name) for name in ("default", "default_factory")}
        rows.append((one.name, one.type, field(**{name: it for name, it in settings.items() if it is not MISSING})))
    twin = dataclasses.make_dataclass(made.__name__, rows, frozen=True, slots=True)
    twin.__qualname__ = made.__qualname__
    return twin


def parameters(init: Any) -> list[tuple[str, Any, bool]]:
    """What a class is made of, in order; a default that is made each time is another object in each class."""
    found = list(inspect.signature(init).parameters.values())
    return [(one.name, one.kind, one.default is not one.empty) for one in found]


def filled(made: Any, init: Any, given: dict[str, object]) -> object:
    """An instance; by its own `__init__`, because the tests put one that judges in the place of another."""
    one = object.__new__(made)
    init(one, **given)
    return one


def hashed(one: object) -> int | None:
    """Its hash; None if it has none, as one with a list in it."""
    try:
        return hash(one)
    except TypeError:
        return None


def test_every_class_of_the_package_is_as_the_standard_library_would_make_it() -> None:
    """What makes an instance, how it is shown, what it is equal to, and its place in a set or a pattern."""
    for made in of_the_package():
        twin = twin_of(made)
        init = values._compile_init(made)
        assert parameters(init) == parameters(twin.__init__), made
        assert made.__match_args__ == twin.__match_args__, made
        if hasattr(made, "__post_init__"):  # which looks at what it is given
            continue
        given = {name: object() for name, _, _ in parameters(init)[1:]}
        one, other = filled(made, init, given), twin(**given)
        assert made.__repr__ is not values._repr or repr(one) == repr(other), made
        assert filled(made, init, given) == one, made
        assert hashed(one) == hashed(other), made
        for name in given:
            changed = given | {name: object()}
            assert (filled(made, init, changed) == one) == (twin(**changed) == other), (made, name)


@dataclass(frozen=True, slots=True)
class Point:
    """With a field of each kind."""

    x: int
    tags: list[str] = field(default_factory=list)
    secret: str = field(default="canary", repr=False, compare=False)
    known: dict[str, int] = field(default_factory=dict, init=False, compare=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", self.x * 2)


@dataclass(frozen=True, slots=True)
class Named(Point):
    """With a field more than its base, and a way of its own to be shown."""

    name: str = "n"

    def __repr__(self) -> str:
        return f"<{self.name}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """By name only."""

    one: int
    two: int = 2


def test_defaults_are_made_for_each_instance() -> None:
    """Also of fields that are no parameters; then the class looks at the result."""
    one, other = Point(1), Point(1)
    assert (one.tags, one.known, one.size) == ([], {}, 2)
    assert one.tags is not other.tags
    assert one.known is not other.known
    assert Point(2, ["a"], secret="s").tags == ["a"]


def test_an_instance_never_changes() -> None:
    """Neither its fields nor any other attribute."""
    one: Any = Point(1)
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'x'"):
        one.x = 2
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'other'"):
        one.other = 2
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'x'"):
        del one.x
    assert one.x == 1


def test_only_what_is_compared_makes_a_difference() -> None:
    """And only among instances of one class."""
    assert Point(1, secret="a") == Point(1, secret="b")
    assert Point(1) != Point(2)
    assert Point(1) != Named(1)
    assert Setting(one=1) == Setting(one=1, two=2)
    assert len({Setting(one=1), Setting(one=1), Setting(one=2)}) == 2


def test_an_instance_is_shown_without_what_is_hidden() -> None:
    """A method of the class itself is kept."""
    assert repr(Point(1)) == "Point(x=1, tags=[], known={}, size=2)"
    assert repr(Named(1, name="it")) == "<it>"


def test_an_instance_is_copied_pickled_and_replaced() -> None:
    """With the fields that are no parameters."""
    one = Named(1, ["a"], name="it")
    for again in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one)), replace(one)):  # noqa: S301
        assert again == one
        assert (again.size, again.secret, again.name) == (2, "canary", "it")
    assert replace(one, x=4).size == 8


def test_wrong_arguments_are_an_error_that_names_the_class() -> None:
    """Before the first instance and after it."""
    for _ in range(2):
        with pytest.raises(TypeError, match=r"Setting\.__init__\(\) missing 1 required keyword-only argument: 'one'"):
            Setting()  # type: ignore[call-arg]
        with pytest.raises(TypeError, match=r"Setting\.__init__\(\) takes 1 positional argument but 2"):
            Setting(1)  # type: ignore[call-arg]


def test_pydantic_reads_and_writes_it() -> None:
    """As any dataclass."""
    adapter = TypeAdapter(Setting)
    assert adapter.validate_json('{"one": 1}') == Setting(one=1)
    assert adapter.dump_json(Setting(one=1)) == b'{"one":1,"two":2}'
    assert adapter.json_schema()["required"] == ["one"]


def test_what_is_not_frozen_is_made_by_the_standard_library() -> None:
    """Its instances change."""

    @dataclass(slots=True)
    class Counter:
        count: int = 0

    one = Counter()
    one.count += 1
    assert one == Counter(1)
