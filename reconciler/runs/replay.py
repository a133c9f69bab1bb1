"""Makes a plan again from a recording. Reads that file, and the one with another policy: no server, nothing else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from reconciler import keys
from reconciler.desired.parse import MAX_BYTES as MAX_DECLARATION
from reconciler.desired.parse import parse_declaration
from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Diagnostic, Place, Pointer
from reconciler.findings.errors import FileError, InputError, ReconcilerError
from reconciler.findings.values import dataclass
from reconciler.plan.inputs import PlanInputs, Recording, replay, under
from reconciler.plan.plan import Plan
from reconciler.records.recording import MAX_BYTES, no_recording, read_recording
from reconciler.runs.operator import Operator
from reconciler.syntax.places import Places
from reconciler.system.discover import FILE_NAME
from reconciler.system.files import read_named


@dataclass(frozen=True, slots=True)
class Replayed:
    """The plan of a recording. `places`: where its findings point to, as far as that is known."""

    plan: Plan
    recording: Recording
    places: Mapping[Pointer, Place]

    def place(self, where: Pointer | Place | None) -> Place | None:
        """The place of a finding; without line and column where nothing recorded them."""
        return self.places.get(where, Place(where.path)) if isinstance(where, Pointer) else where


def replay_file(path: Path, policy: Path | None = None) -> Replayed:
    """The plan of a recording, with the `[policy]` of an mtls.toml if one is named; InputError for a bad file."""
    if os.path.isdir(path):  # noqa: PTH112 - for any name, and never an error
        raise FileError(f"{path} is a folder, not a recording", where=Place(str(path)), code=Code.FILE_NOT_REGULAR)
    recording = read_recording(read_named(path, limit=MAX_BYTES), str(path))
    inputs, places = recording.inputs, recording.places
    try:
        if policy is not None:
            inputs, found = _with_policy(inputs, policy)
            places = {**places, **found}
        return Replayed(replay(inputs), recording, places)
    except ReconcilerError:
        raise
    except Exception as error:
        why = f"its parts do not fit together ({type(error).__name__})"
        raise no_recording(str(path), why, recording.version) from error


def _with_policy(inputs: PlanInputs, path: Path) -> tuple[PlanInputs, Mapping[Pointer, Place]]:
    """The inputs under another policy, within the limits that the operator of the recorded run had set."""
    data, name = read_named(path, limit=MAX_DECLARATION), str(path)
    places = Places(FILE_NAME, data)

    def placed(one: Diagnostic) -> Diagnostic:
        return replace(one, where=places.find(one.where)) if isinstance(one.where, Pointer) else one

    try:
        declaration, warnings = parse_declaration(data, name, keys.KINDS)
    except InputError as error:
        raise InputError(map(placed, error.problems)) from error
    before = inputs.desired.declaration.policy
    limits = Operator(
        max_deletes=before.most_deletes,
        max_deletes_share=before.most_deletes_share,
        min_grace=before.min_grace,
        protect=before.always_protect,
    )
    pointers = [one.where for one in warnings if isinstance(one.where, Pointer)]
    return under(inputs, limits.restrict(declaration).policy, warnings), {one: places.find(one) for one in pointers}
