"""The registration of a key source: its kind for the parser, and its opener."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reconciler.model.keys import KeyContext, KeySourceKind
from reconciler.model.ports import KeySource


@dataclass(frozen=True, slots=True)
class Registration:
    """One key source. `open` prepares it for a run, and reads no key yet."""

    kind: KeySourceKind
    open: Callable[[KeyContext], KeySource]
