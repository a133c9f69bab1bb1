"""The documents of what is written and read back: plans, saved or not, and the history."""

from __future__ import annotations

from reconciler.plan.inputs import Recording
from reconciler.plan.plan import SavedPlan
from reconciler.records.base import to_json
from reconciler.records.history import HistoryDocument
from reconciler.records.plan import plan_document
from reconciler.records.recording import recording_text
from reconciler.views.json.document import as_view
from reconciler.views.table import Display

show_plan = as_view(plan_document)


def show_saved_plan(saved: SavedPlan, display: Display) -> str:
    """The plan as it was saved."""
    return show_plan(saved, display)


def show_recording(recording: Recording, _display: Display) -> str:
    """The recording, which is a document of its own."""
    return recording_text(recording)


def show_history(history: HistoryDocument, _display: Display) -> str:
    """The history, which is a document."""
    return to_json(history)
