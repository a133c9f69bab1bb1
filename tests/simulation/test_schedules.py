"""The promise, over an account: whatever its network, its lists and its limit do, and wherever a run dies, the next
runs end with exactly one entry a content, and nothing that is foreign, bound or presented was touched.

Each schedule plays whole runs of the tool, with its real store and client, against the emulator without a socket. A
failure names the command that replays it.
"""

from __future__ import annotations

import pytest

from tests.simulation.gate import Mode
from tests.simulation.story import Story
from tests.simulation.weather import ANYWHERE, ON_LISTS
from tests.support.sizes import size

CHUNKS, EACH = size(2, full=20), 100
"""400 schedules, or 2,000, with one call after the other, which are the same each time."""
BUSY_CHUNKS, BUSY_EACH = size(1, full=4), 60
"""And 60, or 240, with ten calls at once: their order is not known, and no promise may rest on it."""


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_schedule_of_faults_ends_converged(chunk: int) -> None:
    """Lost replies, resets, timeouts, refusals, torn and shifted lists, lags, and a death at any effect."""
    stories = [Story(seed, where="account") for seed in range(chunk * EACH, (chunk + 1) * EACH)]
    for story in stories:
        story.play()
    met = {kind for story in stories for kind in story.met}
    assert {fault.kind for fault in ANYWHERE} <= met
    assert {fault.kind for fault in ON_LISTS} & met
    assert {Mode.CRASH_BEFORE, Mode.CRASH_AFTER, Mode.MEDDLE} <= met
    assert sum(story.deletions for story in stories) > EACH // 4, "what is to go does go"


@pytest.mark.parametrize("chunk", range(size(1, full=6)))
def test_every_schedule_with_hyperdrive_and_hostnames_ends_converged(chunk: int) -> None:
    """An update that was made and answered by an error, one that was lost, and a death around it."""
    for seed in range(chunk * EACH, (chunk + 1) * EACH):
        Story(seed, where="hyperdrive-account").play()


@pytest.mark.parametrize("chunk", range(BUSY_CHUNKS))
def test_ten_calls_at_once_keep_every_promise(chunk: int) -> None:
    """The same faults, in an order that is another one each time."""
    for seed in range(chunk * BUSY_EACH, (chunk + 1) * BUSY_EACH):
        Story(seed, where="busy-account").play()


def test_a_schedule_is_the_same_each_time() -> None:
    """To the word; so a failure can be replayed."""
    for seed in range(10):
        first: list[str] = []
        second: list[str] = []
        Story(seed, first.append, "account").play()
        Story(seed, second.append, "account").play()
        assert first == second
