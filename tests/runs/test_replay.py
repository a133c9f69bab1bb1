"""Replays of recordings that someone edited at random: a plan that every view can show, or one error; never a crash."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from reconciler.findings.codes import Code
from reconciler.findings.errors import ReconcilerError
from reconciler.plan.assessment import PlanOptions
from reconciler.plan.inputs import PlanInputs, Recording
from reconciler.plan.live import DeployChoice
from reconciler.plan.plan import Plan
from reconciler.records.recording import recording_text
from reconciler.runs.replay import replay_file
from reconciler.views.table import Display, formats_of, render
from tests.records.test_recording import WORLDS, everything
from tests.support.pki import NOW
from tests.support.sizes import size

EDITS = size(100, full=5000)
_TEXTS = ("", "x", "\ud800x", "production", "*" * 150, "10ca1000-0000-4000-8000-000000000001", "\x1b[2J")
_TIMES = ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-01-01T00:00:00+14:00")
VALUES: tuple[object, ...] = (*_TEXTS, *_TIMES, None, 0, -1, 10**30, 1e300, 8e13, -1e12, [], {}, True)


def documents() -> list[dict[str, Any]]:
    """One with a value in every field, and some worlds."""
    ask = PlanOptions(prune=True, deploy=DeployChoice(everybody=True), every_condition=True)
    worlds = list(WORLDS.values())[::9]
    inputs = [PlanInputs(desired=one, actual=there, now=NOW, ask=ask, show_live=True) for one, there in worlds]
    return [json.loads(recording_text(Recording(one))) for one in (everything(), *inputs)]


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in items:
        yield (*above, key)
        yield from places(one, (*above, key))


def edit(document: dict[str, Any], random: Random) -> None:
    """Put another value somewhere, or take one away."""
    *way, last = random.choice(list(places(document["inputs"])))
    target = document["inputs"]
    for key in way:
        target = target[key]
    if random.random() < 0.1:
        del target[last]
    else:
        target[last] = random.choice(VALUES)


def test_an_edited_recording_is_replayed_and_shown_in_every_format_or_refused(tmp_path: Path) -> None:
    """One error that names the file; what is wrong is told, whatever it is."""
    known, met = documents(), Counter[str]()
    random = Random(17)  # noqa: S311 - to find mistakes, not to keep secrets
    for _ in range(EDITS):
        document = copy.deepcopy(random.choice(known))
        for _ in range(random.choice((1, 1, 2))):
            edit(document, random)
        path = tmp_path / "recording.json"
        path.write_text(json.dumps(document))
        try:
            done = replay_file(path)
        except ReconcilerError as error:
            met[error.code] += 1
            continue
        for form in formats_of(Plan):
            assert render(done.plan, form, Display(done.place))
        met["shown"] += 1
    assert met.keys() == {Code.RECORDING_FILE, "shown"}
