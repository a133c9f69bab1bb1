"""`make check` is fast, `make test` runs everything, `make slow` plays the large tests at their full size."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.support.paths import REPOSITORY
from tests.support.sizes import SLOW, is_slow


@pytest.mark.parametrize("place", SLOW)
def test_what_is_called_slow_is_there(place: str) -> None:
    """A test that was renamed would no longer be slow, and no one would notice."""
    path, _, name = place.partition("[")[0].partition("::")
    assert (REPOSITORY / "tests" / path).exists()
    assert not name or f"def {name}(" in (REPOSITORY / "tests" / path).read_text()


def test_a_test_is_slow_by_its_folder_its_file_or_its_name() -> None:
    """And no other one is."""
    assert is_slow("tests/simulation/test_schedules.py::test_any")
    assert is_slow("tests/project/test_bench.py::test_any[a]")
    assert is_slow("tests/runs/test_verify.py::test_wrangler_is_asked_what_it_would_deploy")
    assert not is_slow("tests/runs/test_verify.py::test_any")


def test_this_test_has_no_mark_of_a_slow_one(request: pytest.FixtureRequest) -> None:
    """The marks are given where tests are collected."""
    assert request.node.get_closest_marker("slow") is None


@pytest.mark.parametrize(("value", "sizes"), [("1", "20"), ("", "8")], ids=["full", "base"])
def test_the_full_size_is_for_who_asks_for_it(value: str, sizes: str) -> None:
    """By one variable."""
    code = "from tests.support.sizes import size; print(size(8, full=20))"
    environ = {**os.environ, "TESTS_FULL": value}
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, env=environ, capture_output=True, check=True)
    assert done.stdout.decode().strip() == sizes


@pytest.mark.parametrize("command", ["check", "test", "slow"])
def test_the_readme_names_the_commands_that_test(command: str) -> None:
    """And the Makefile has each."""
    assert re.search(rf"^make {command} ", (REPOSITORY / "README.md").read_text(), re.MULTILINE)
    assert re.search(rf"^{command}:", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
