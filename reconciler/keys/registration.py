"""What a key source hands in to be known: what the parser must know of it, and how it is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reconciler.model.keys import KeyContext, KeySourceKind
from reconciler.model.ports import KeySource


@dataclass(frozen=True, slots=True)
class Registration:
    """One key source. `open` makes it ready for a run and reads nothing yet."""

    kind: KeySourceKind
    open: Callable[[KeyContext], KeySource]
