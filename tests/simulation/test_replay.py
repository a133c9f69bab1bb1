"""A recording tells all: in whatever world a plan was made, its recording gives the same plan, to the last finding."""

from __future__ import annotations

from itertools import count

import pytest

from reconciler.plan.inputs import Recording
from reconciler.records.recording import recording_text
from reconciler.runs.plan import Planned
from reconciler.runs.project import Project
from tests.simulation import world
from tests.simulation.pool import LEAVES, content
from tests.simulation.scenarios import SCENARIOS, scenario
from tests.simulation.story import WHERE, Story
from tests.simulation.world import Ask
from tests.support.replays import as_recorded, demand_same, replayed
from tests.support.sizes import size

PLANS = size(60, full=1500)


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[Planned]:
    """Every plan that a run of the simulation makes without a saved one, each replayed as it is made."""
    made: list[Planned] = []
    make, keys = world._plan, [content(number).key for number in LEAVES]

    def make_and_replay(project: Project, ask: Ask, former: tuple[str, ...]) -> Planned:
        planned = make(project, ask, former)
        if ask.saved is None:
            made.append(planned)
            text = recording_text(Recording(planned.inputs))
            assert not any(line in text for key in keys for line in key.splitlines()[1:-1])
            assert replayed(planned.inputs) == as_recorded(planned.plan, planned.inputs)
            if len(made) % 5 == 0:
                demand_same(planned.inputs)
        return planned

    monkeypatch.setattr(world, "_plan", make_and_replay)
    return made


@pytest.mark.parametrize("where", WHERE)
def test_a_replayed_plan_equals_the_recorded_one_in_every_story(where: str, plans: list[Planned]) -> None:
    """With whatever fault at whatever effect, of each kind of store; a bug of a run breaks the story.

    With pseudonyms it is the same but for the names.
    """
    for seed in count(7_000):
        Story(seed, where=where).play()
        if len(plans) >= PLANS:
            break
    assert any(planned.plan.changes for planned in plans)
    assert any(planned.plan.waiting for planned in plans)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_replayed_plan_equals_the_recorded_one_in_every_scenario(name: str, plans: list[Planned]) -> None:
    """Where there is much to do."""
    ready = scenario(name)
    assert ready.run(ready.main).run.bug is None
    (*_, last) = plans
    demand_same(last.inputs)
