"""How every document becomes a view."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from reconciler.findings.diagnostics import Resolve
from reconciler.records.base import JsonPart, to_json
from reconciler.views.table import Display

R = TypeVar("R")


def as_view(document: Callable[[R, Resolve], JsonPart]) -> Callable[[R, Display], str]:
    """The view that writes a report's document."""

    def view(report: R, display: Display) -> str:
        return to_json(document(report, display.place))

    return view
