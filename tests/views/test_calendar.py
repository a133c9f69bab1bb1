"""`--format ics`: what is said where the extra is not installed."""

from __future__ import annotations

import sys

import pytest

from tests.support.cli import Project


def test_a_calendar_without_its_extra_is_one_clear_line(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to run; the other formats need nothing more."""
    monkeypatch.setitem(sys.modules, "icalendar", None)
    monkeypatch.delitem(sys.modules, "reconciler.views.ics.calendar", raising=False)
    result = project.run("status", "--format", "ics")
    assert (result.code, result.out) == (1, "")
    assert "needs icalendar, which is not installed" in result.err
    assert "pipx install --force '.[calendar]'" in result.err
    assert "Traceback" not in result.err
    assert project.run("status").code == 0
