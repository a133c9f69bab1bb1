"""What holds in every test."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.scheduler import LoadGroupScheduling

from tests.support.cli import Project, make_project
from tests.support.severities import severities_checked
from tests.support.sizes import is_slow


def pytest_configure() -> None:
    """Listen to signals again: a background job of a shell, or under nohup, is deaf to them, as are its children.

    Objects of ten thousand tests are kept, so that looking for unused ones takes a sixth of the time to collect them.
    """
    gc.set_threshold(300_000)  # until all are collected
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what takes long, so that `-m "not slow"` leaves it out."""
    for item in items:
        if is_slow(item.nodeid):
            item.add_marker(pytest.mark.slow)
    gc.freeze()  # what was collected stays for the whole run
    gc.set_threshold(700)  # as Python itself has it: clients that nobody closed keep threads of their servers


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Give each worker whole files of fast tests: one message for all, and what a module makes is made once.

    Slow tests are spread one by one, and groups stay together. xdist counts all units again after each test.
    """
    if config.getoption("dist") != "loadgroup":
        return None
    scheduler = LoadGroupScheduling(config, log)
    group_of = scheduler._split_scope

    def unit_of(node_id: str) -> str:
        group: str = group_of(node_id)
        return group if group != node_id or is_slow(node_id) else node_id.partition("::")[0]

    scheduler._split_scope = unit_of
    return scheduler


@pytest.fixture(scope="session", autouse=True)
def findings_have_a_severity_of_their_code() -> Iterator[None]:
    """Whatever the tests come across."""
    with severities_checked():
        yield


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """One certificate, one Worker, one binding with a placeholder; nothing is applied yet."""
    return make_project(tmp_path)
