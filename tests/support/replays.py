"""Recordings of plans: made, read back and replayed, for every test that has a world."""

from __future__ import annotations

from dataclasses import replace

from reconciler.plan.inputs import PlanInputs, Recording, replay
from reconciler.plan.plan import Plan
from reconciler.records.pseudonyms import with_pseudonyms
from reconciler.records.recording import read_recording, recording_text, without_texts
from reconciler.runs.recording import make_rsa


def recorded(inputs: PlanInputs) -> PlanInputs:
    """The inputs as they are read back from their recording."""
    return read_recording(recording_text(Recording(inputs)).encode(), "recording.json").inputs


def as_recorded(plan: Plan, inputs: PlanInputs) -> Plan:
    """A plan that was made from the whole files, with what a recording has of them."""
    return replace(plan, assessment=replace(plan.assessment, actual=without_texts(inputs).actual))


def replayed(inputs: PlanInputs) -> Plan:
    """The plan of a recording, as if it were none."""
    return replace(replay(recorded(inputs)), replayed=False)


def structure(plan: Plan) -> dict[str, object]:
    """A plan without names, in an order that no name decides."""
    return {
        "changes": sorted(str((one.action, getattr(one, "reasons", ()))) for one in plan.changes),
        "waiting": sorted(str((one.change.action, one.condition, one.until)) for one in plan.waiting),
        "findings": sorted((one.severity, one.code) for one in plan.diagnostics),
        "due": sorted((one.not_after, one.renew_from) for one in plan.due),
        "live": None if plan.live is None else sorted(one.state for one in plan.live),
        "quota": plan.quota,
        "exit code": plan.exit_code,
    }


def demand_same(inputs: PlanInputs) -> None:
    """The recording with pseudonyms gives the same plan, but for the names."""
    hidden = recorded(with_pseudonyms(inputs, make_rsa))
    assert structure(replay(hidden)) == structure(replay(inputs))
