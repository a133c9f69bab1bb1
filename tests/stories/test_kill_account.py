"""Real processes that upload side by side, killed and interrupted: each content is there once, and all is told."""

from __future__ import annotations

import re
import signal
from collections import Counter

import pytest

from tests.stores.test_cloudflare_calls import CERTIFICATES, Account, account
from tests.stories.test_kill import run_until

__all__ = ["account"]

COUNT = 24


@pytest.fixture
def declared(account: Account) -> Account:
    """So many certificates, none of them stored."""
    account.declare(COUNT)
    return account


def stored(account: Account) -> set[str]:
    return {entry.id for entry in account.state.account().entries()}


def posts(account: Account) -> int:
    """Uploads that were done."""
    uploads = [call for call in account.state.calls if call.method == "POST" and call.path.endswith(CERTIFICATES)]
    return sum(call.status == 200 for call in uploads)


def finish(account: Account) -> None:
    """The next run does the rest, and only that; each content is there once."""
    assert account.project.run("apply", "--yes").code == 0
    digests = Counter(entry.bundle.digest for entry in account.state.account().entries() if entry.bundle)
    assert list(digests.values()) == [1] * COUNT
    assert account.project.run("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("nth", [2, 5, 14, 30])
def test_an_interrupted_run_says_all_that_it_did(declared: Account, name: str, nth: int) -> None:
    """At a line of the journal, with other calls on their way: 130, and what is told as done is what is there."""
    ended = run_until(declared.project, name, "write", nth, "before")
    assert ended.returncode == 130, ended.stderr
    assert "Traceback" not in ended.stderr
    *_, last = ended.stdout.splitlines()
    assert last == "Next: mtlsctl apply"
    (head,) = [line for line in ended.stdout.splitlines() if line.startswith("Interrupted: ")]
    told = re.match(rf"Interrupted: (\d+) of {COUNT} certificates uploaded, ", head)
    before = posts(declared)
    assert before == len(stored(declared)) == (int(told[1]) if told else 0) < COUNT
    finish(declared)
    assert posts(declared) == COUNT


@pytest.mark.parametrize("nth", [2, 5, 14, 30])
def test_a_killed_run_is_finished_by_the_next(declared: Account, nth: int) -> None:
    """What was sent when it died is there, and is found by its content."""
    assert run_until(declared.project, "SIGKILL", "write", nth, "before").returncode == -signal.SIGKILL
    finish(declared)
    assert posts(declared) == COUNT
