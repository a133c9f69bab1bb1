"""The promise: stop it anywhere, run it again; one entry a certificate, nothing of yours changed, no key in any output.

Each test plays whole runs of the tool over a world in memory. A failure names the command that replays it.
"""

from __future__ import annotations

from itertools import count

import pytest

from tests.simulation.scenarios import SCENARIOS, scenario
from tests.simulation.story import MEDDLERS, Story
from tests.support.sizes import size

CHUNKS = size(3, full=32)
RUNS_A_CHUNK = 400
"""2,400 runs in all, or 12,800; the faults at every effect add some 9,700."""


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_stories_keep_every_promise(chunk: int) -> None:
    """Whatever happens in whatever order, with whatever fault at whatever effect."""
    runs = 0
    for seed in count(chunk * 10_000):
        runs += Story(seed).play()
        if runs >= RUNS_A_CHUNK:
            break


@pytest.mark.parametrize("chunk", range(size(1, full=8)))
def test_random_stories_with_hyperdrive_and_hostnames_keep_every_promise(chunk: int) -> None:
    """What it shares with Workers is deleted only after all of them have moved."""
    runs = 0
    for seed in count(chunk * 10_000):
        runs += Story(seed, where="hyperdrive").play()
        if runs >= RUNS_A_CHUNK:
            break


@pytest.mark.parametrize("part", range(size(2, 4)))
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_fault_at_every_effect_of_a_run_is_survived(name: str, part: int) -> None:
    """Not at random: each kind of failure, crash and interference at each effect there is."""
    world = scenario(name)
    seen = world.run(world.main).seen
    assert len(seen) > 20
    for at, effect in enumerate(seen, start=1):
        if at % 4 == part:
            for fault in effect.faults(at, MEDDLERS):
                Story().play_scenario(name, fault)


def test_a_seed_tells_the_same_story_each_time() -> None:
    """To the word; so a failure can be replayed."""
    for seed in range(5):
        first: list[str] = []
        second: list[str] = []
        Story(seed, first.append).play()
        Story(seed, second.append).play()
        assert first == second
