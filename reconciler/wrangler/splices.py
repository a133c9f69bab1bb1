"""The edits of a wrangler file, and splices: the only way in which its text is changed."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.findings.values import dataclass
from reconciler.model import EnvironmentName

KEY = "mtls_certificates"


@dataclass(frozen=True, slots=True)
class SetBinding:
    """Set a binding to this ID: add it, or replace the text of its ID; then set `remote` if it is given."""

    environment: EnvironmentName
    binding: str
    certificate_id: str
    remote: bool | None = None


@dataclass(frozen=True, slots=True)
class SetRemote:
    """Set `remote` of an existing binding: add it, or replace its literal."""

    environment: EnvironmentName
    binding: str
    remote: bool


@dataclass(frozen=True, slots=True)
class RemoveBinding:
    """Remove a binding."""

    environment: EnvironmentName
    binding: str


Edit = SetBinding | SetRemote | RemoveBinding


@dataclass(frozen=True, slots=True)
class Splice:
    """Replaces the text from `start` to `end` by `text`; an insertion if both are equal."""

    start: int
    end: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class ListElement:
    """One element of a list or table, with the positions around it on its line."""

    start: int
    end: int
    comma: int | None
    lead: int | None
    """The offset of the newline before it, if only white space is between."""
    line_end: int | None
    """The offset of the newline after it, if only white space and comments are between."""

    @property
    def after(self) -> int:
        """The offset after it and its comma."""
        return self.end if self.comma is None else self.comma + 1


class NoPlaceError(ValueError):
    """The layout does not support this edit."""


def apply_splices(text: str, splices: Iterable[Splice]) -> str:
    """The text after all splices. Offsets refer to the original text. NoPlaceError if two splices overlap."""
    parts: list[str] = []
    position = 0
    for splice in sorted(splices, key=lambda splice: splice.start):
        if not position <= splice.start <= splice.end <= len(text):
            raise NoPlaceError("splices overlap")
        parts += (text[position : splice.start], splice.text)
        position = splice.end
    return "".join((*parts, text[position:]))
