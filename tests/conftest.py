"""What holds in every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.severities import severities_checked


@pytest.fixture(scope="session", autouse=True)
def findings_have_a_severity_of_their_code() -> Iterator[None]:
    """Whatever the tests come across."""
    with severities_checked():
        yield
