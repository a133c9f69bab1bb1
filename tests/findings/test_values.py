"""Values behave as dataclasses of the standard library: every rule is tried with both."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import field, fields, replace
from typing import Any

import pytest

from reconciler.findings import values

both = pytest.mark.parametrize("dataclass", [values.dataclass, dataclasses.dataclass], ids=["ours", "standard"])


@values.dataclass(frozen=True, slots=True)
class Kept:
    """One that can be pickled, because it is in a module."""

    x: int
    y: str = "y"


def make_point(dataclass: Any) -> Any:
    """A class with a field of each kind."""

    @dataclass(frozen=True, slots=True)
    class Point:
        x: int
        tags: list[str] = field(default_factory=list, compare=False)
        secret: str = field(default="canary", repr=False)
        size: int = field(init=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "size", self.x * 2)

    return Point


@both
def test_a_value_is_shown_with_the_fields_that_may_be_shown(dataclass: Any) -> None:
    """A field with `repr=False` may be a key."""
    point = make_point(dataclass)
    assert repr(point(1)) == "make_point.<locals>.Point(x=1, tags=[], size=2)"
    assert point.__match_args__ == ("x", "tags", "secret")


@both
def test_values_are_equal_if_the_compared_fields_are(dataclass: Any) -> None:
    """As members of a set, too; one of another class never is."""
    point = make_point(dataclass)
    assert point(1, ["a"]) == point(1, ["b"]) != point(2)
    assert {point(1), point(1), point(2)} == {point(1), point(2)}
    assert point(1, secret="x") != point(1)
    assert point(1) != (1, "canary", 2)
    assert point(1) != make_point(dataclass)(1)


@both
def test_a_value_without_fields_equals_its_like(dataclass: Any) -> None:
    """As a verdict that needs no facts."""

    @dataclass(frozen=True, slots=True)
    class Empty:
        pass

    assert Empty() == Empty()
    assert hash(Empty()) == hash(Empty())
    assert Empty() != object()


@both
def test_only_frozen_values_are_hashable(dataclass: Any) -> None:
    """Others may change while they are in a set; with `eq=False` an object equals itself alone."""

    @dataclass(slots=True)
    class Open:
        x: list[int]

    @dataclass(eq=False)
    class Own:
        x: int

    assert Open([1]) == Open([1])
    with pytest.raises(TypeError):
        hash(Open([1]))
    assert Own(1) != Own(1)
    assert len({Own(1), Own(1)}) == 2


@both
def test_methods_of_the_class_stay(dataclass: Any) -> None:
    """What a class defines itself is not replaced."""

    @dataclass(frozen=True, slots=True)
    class Named:
        name: str

        def __repr__(self) -> str:
            return self.name

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 7

    assert (repr(Named("a")), Named("a") == Named("b"), hash(Named("a"))) == ("a", True, 7)


@both
def test_ordered_values_are_sorted_by_their_fields(dataclass: Any) -> None:
    """`order=True` compares them as tuples."""

    @dataclass(frozen=True, slots=True, order=True)
    class Version:
        major: int
        minor: int

    versions: list[Any] = [Version(2, 0), Version(1, 9), Version(1, 2)]
    assert sorted(versions) == versions[::-1]
    assert len({Version(1, 2), Version(1, 2)}) == 1


@both
def test_a_subclass_has_the_fields_of_its_base(dataclass: Any) -> None:
    """And is never equal to one of its base."""
    point = make_point(dataclass)

    @dataclass(frozen=True, slots=True)
    class Named(point):  # type: ignore[misc, valid-type]
        name: str = ""

    assert [one.name for one in fields(Named)] == ["x", "tags", "secret", "size", "name"]
    assert Named(1, name="a") == Named(1, name="a") != Named(1, name="b")
    assert Named(1) != point(1)


def test_a_value_can_be_replaced_copied_and_pickled() -> None:
    """Without the methods that the standard library adds to frozen classes with slots."""
    kept = Kept(1)
    assert replace(kept, x=2) == Kept(2)
    assert copy.copy(kept) == copy.deepcopy(kept) == pickle.loads(pickle.dumps(kept)) == kept  # noqa: S301 - our own
    assert not hasattr(kept, "__dict__")


@both
def test_a_field_that_is_made_anew_is_shared_by_no_two_values(dataclass: Any) -> None:
    """Whether it is an argument or not."""

    @dataclass(slots=True)
    class Box:
        given: list[int] = field(default_factory=list)
        own: list[int] = field(default_factory=list, init=False)
        size: int = field(default=3, init=False)

    first, second, third = Box(), Box(), Box([7])
    first.given.append(1)
    first.own.append(2)
    assert (second.given, second.own, second.size, third.given) == ([], [], 3, [7])


@both
def test_a_field_may_be_given_by_name_alone(dataclass: Any) -> None:
    """One field, or all; also where a subclass adds others after it."""

    @dataclass(frozen=True, slots=True)
    class Base:
        x: int
        folder: str = field(kw_only=True)
        tags: tuple[str, ...] = field(default=(), kw_only=True)

    @dataclass(frozen=True, slots=True)
    class Derived(Base):
        y: int = 2

    derived: Any = Derived
    made = derived(1, 5, folder="f")
    assert (made.x, made.folder, made.tags, made.y) == (1, "f", (), 5)
    assert derived(1, folder="f", tags=("a",)).y == 2
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'folder'"):
        derived(1)


@both
def test_arguments_that_do_not_fit_are_told_by_name(dataclass: Any) -> None:
    """As for any function."""
    point = make_point(dataclass)
    with pytest.raises(TypeError, match=r"make_point.<locals>.Point.__init__\(\) missing 1 required .*: 'x'"):
        point()
    with pytest.raises(TypeError, match="unexpected keyword argument 'size'"):
        point(1, size=2)
    with pytest.raises(TypeError, match="takes from 2 to 4 positional arguments but 5 were given"):
        point(1, [], "", 4)


@both
def test_a_field_without_a_default_stands_before_those_with_one(dataclass: Any) -> None:
    """Else the defaults would belong to others."""
    with pytest.raises(TypeError, match="default"):

        @dataclass
        class Wrong:
            x: int = 1
            y: int  # type: ignore[misc]
