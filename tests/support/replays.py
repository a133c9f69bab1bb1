"""Recordings of plans: made, read back and replayed, for every test that has a world."""

from __future__ import annotations

from dataclasses import replace

from reconciler.plan.inputs import PlanInputs, Recording, replay
from reconciler.plan.plan import Plan
from reconciler.records.recording import read_recording, recording_text, without_texts


def recorded(inputs: PlanInputs) -> PlanInputs:
    """The inputs as they are read back from their recording."""
    return read_recording(recording_text(Recording(inputs)).encode(), "recording.json").inputs


def as_recorded(plan: Plan, inputs: PlanInputs) -> Plan:
    """A plan that was made from the whole files, with what a recording has of them."""
    return replace(plan, assessment=replace(plan.assessment, actual=without_texts(inputs).actual))


def replayed(inputs: PlanInputs) -> Plan:
    """The plan of a recording, as if it were none."""
    return replace(replay(recorded(inputs)), replayed=False)
