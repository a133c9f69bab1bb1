"""Findings as GitLab's Code Quality report, a list of issues that GitLab shows in the files of a merge request."""

from __future__ import annotations

import hashlib
import json
from collections import Counter

from reconciler.findings.escape import printable
from reconciler.views.gitlab.findings import Checked, Found, found_in, place_of
from reconciler.views.table import Display


def show_code_quality(report: Checked, display: Display) -> str:
    """The list, empty if there is nothing to report."""
    return write_issues(issues_of(report, display))


def issues_of(report: Checked, display: Display) -> list[dict[str, object]]:
    """An issue for each finding. GitLab shows one of those that have the same fingerprint, so each has its own."""
    seen: Counter[tuple[str, ...]] = Counter()
    issues = []
    for one in found_in(report):
        seen[one.key] += 1
        issues.append(_issue(one, seen[one.key], display))
    return issues


def write_issues(issues: list[dict[str, object]]) -> str:
    """The file of the report."""
    return json.dumps(issues, indent=2) + "\n"


def _issue(found: Found, nth: int, display: Display) -> dict[str, object]:
    place = place_of(found, display)
    identity = json.dumps([display.file, *found.key, nth])
    first = (found.hint or "").partition("\n")[0]
    fix = f" (fix: {printable(first)})" if first else ""
    return {
        "description": f"{printable(found.message)}{fix}",
        "check_name": found.check,
        "fingerprint": hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest(),
        "severity": str(found.weight),
        "location": {"path": place.path, "lines": {"begin": place.line}},
    }
