"""What may be asked of a wrangler file, and the only way in which its text is ever changed: cut here, put that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.model import EnvironmentName

KEY = "mtls_certificates"


@dataclass(frozen=True, slots=True)
class SetBinding:
    """The binding is there, with this id: added, or the text of its id replaced; then `remote`, where it is given."""

    environment: EnvironmentName
    binding: str
    certificate_id: str
    remote: bool | None = None


@dataclass(frozen=True, slots=True)
class SetRemote:
    """The binding, which is there, has this `remote`: added, or its literal replaced."""

    environment: EnvironmentName
    binding: str
    remote: bool


@dataclass(frozen=True, slots=True)
class RemoveBinding:
    """The binding is not there."""

    environment: EnvironmentName
    binding: str


Edit = SetBinding | SetRemote | RemoveBinding


@dataclass(frozen=True, slots=True)
class Splice:
    """Text from `start` to `end` becomes `text`; an insertion where both are equal."""

    start: int
    end: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class ListElement:
    """One element of a list or table, and what is around it on its line."""

    start: int
    end: int
    comma: int | None
    lead: int | None
    """Where the newline before it begins, if only blanks are between."""
    line_end: int | None
    """Where its line's newline begins, if only blanks and comments are between."""

    @property
    def after(self) -> int:
        """Behind it and its comma."""
        return self.end if self.comma is None else self.comma + 1


class NoPlaceError(ValueError):
    """The layout has no place for this edit."""


def apply_splices(text: str, splices: Iterable[Splice]) -> str:
    """The text with all splices done; offsets are those of the text given. NoPlaceError where two overlap."""
    parts: list[str] = []
    position = 0
    for splice in sorted(splices, key=lambda splice: splice.start):
        if not position <= splice.start <= splice.end <= len(text):
            raise NoPlaceError("splices overlap")
        parts += (text[position : splice.start], splice.text)
        position = splice.end
    return "".join((*parts, text[position:]))


def environment_path(environment: EnvironmentName) -> tuple[str, ...]:
    """The keys of an environment's table; none for the top level."""
    return () if environment is None else ("env", environment)
