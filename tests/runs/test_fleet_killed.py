"""A pass that is killed at any moment: the next one ends well, and nothing is done twice or left out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from reconciler.stores.cloudflare.client import ApiCall, Client
from reconciler.system.journal import JournalFile
from reconciler.system.state_file import StateFile
from tests.support.estates import Estate, make_estate
from tests.support.paths import REPOSITORY
from tests.support.renewing import Killed

STATE = ".mtlsctl/fleet.json"


class Gate:
    """Counts the effects of a pass, and ends it before one of them."""

    def __init__(self, nth: int) -> None:
        self.left = nth

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


@contextmanager
def killed_at(nth: int) -> Iterator[Gate]:
    """What is written, and every call that changes something, passes the gate."""
    gate = Gate(nth)

    def through(real: Callable[..., Any], counts: Callable[..., bool] = lambda *_: True) -> Callable[..., Any]:
        def effect(*arguments: Any, **named: Any) -> Any:
            if counts(*arguments):
                gate()
            return real(*arguments, **named)

        return effect

    def changes(_: Client, call: ApiCall) -> bool:
        return call.method != "GET"

    with (
        mock.patch.object(StateFile, "write", through(StateFile.write)),
        mock.patch.object(JournalFile, "append", through(JournalFile.append)),
        mock.patch.object(Client, "send", through(Client.send, changes)),
    ):
        yield gate


def is_killed(estate: Estate, nth: int) -> bool:
    """Whether a pass was ended before its NTH effect."""
    with killed_at(nth) as gate:
        try:
            estate.run("fleet", "run", "--all")
        except Killed:
            return True
    return gate.left <= 0


def test_a_pass_that_was_killed_is_made_good_by_the_next(tmp_path: Path) -> None:
    """Before each of its effects once: the old certificate is deleted once, and all is remembered."""
    with make_estate(tmp_path / "checkout", stacks=1) as estate:
        estate.apply("one/s1", 0)
        effects = 0
        for number in range(1, 100):
            estate.put("one/s1", 1, 500 + number)
            estate.apply("one/s1", 0)
            assert estate.entries(0) == 2
            killed = is_killed(estate, number)
            result = estate.run("fleet", "run", "--all")
            assert (result.code, estate.entries(0)) == (0, 1), number
            (one,) = json.loads(estate.read(STATE))["stacks"]
            assert one["look"]["state"] == "ok"
            assert one["act"]["state"] in {"done", "interrupted"}
            if not killed:
                break
            effects += 1
        assert effects >= 6  # two looks and acts in the state, the journal, the deletion


def test_a_pass_that_is_really_killed_holds_no_lock(tmp_path: Path) -> None:
    """The kernel frees it; what it had written is whole."""
    with make_estate(tmp_path / "checkout", stacks=3) as estate:
        estate.outdate("one/s1", 0, 1)
        words = [sys.executable, str(REPOSITORY / "tests/support/killing.py"), "SIGKILL", "replace", "4", "before"]
        environ = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY), **estate.environ}
        done = subprocess.run(
            [*words, "fleet", "run"], cwd=estate.folder, env=environ, capture_output=True, check=False
        )
        assert done.returncode == -9
        assert len(json.loads(estate.read(STATE))["stacks"]) == 3
        assert estate.run("fleet", "run", "--all").code == 2
        assert estate.entries(0) == 1
