"""Holds every finding that a test makes to the severities of its code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from reconciler.findings.diagnostics import Diagnostic


@contextmanager
def severities_checked() -> Iterator[None]:
    """Every finding made meanwhile has a severity that its code allows; AssertionError where one has not.

    Only tests ask: to a user a finding of the wrong severity is better than a crash.
    """
    make = Diagnostic.__init__

    def checked(finding: Diagnostic, *arguments: Any, **named: Any) -> None:
        make(finding, *arguments, **named)
        assert finding.severity in finding.code.severities, f"{finding.code} is never an {finding.severity}"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Diagnostic, "__init__", checked)
        yield
