"""`make fleet-demo`, with fewer stacks: what it shows is so, though a worker is killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fleet_demo import play


def test_nothing_is_lost_when_a_worker_is_killed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Every stack is as it should be at the end, and on the page."""
    play(6, tmp_path / "page.html")
    shown = capfd.readouterr().out
    assert "acme: 6 stacks: 6 ok." in shown
    assert all(f"s{number}" in (tmp_path / "page.html").read_text() for number in range(1, 7))
