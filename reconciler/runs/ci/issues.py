"""One issue for each thing that drift finds: opened once, updated, reopened, and closed when it is gone.

The first line of an issue is a hidden marker with the stack and the finding's key, by which it is found again, also
among closed ones. Only issues of the token's own user are read; what others write into theirs does nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Mapping

from reconciler.findings.values import dataclass
from reconciler.model.forges import Forge, Issue
from reconciler.plan.coverage import ABOUT_LIVE
from reconciler.reports.drift import Drift, DriftFinding, Subject
from reconciler.runs.ci.comment import is_marked, safe_key

LABEL = "mtlsctl-drift"
MOST_NEW = 20
"""Issues that one run opens or opens again. Of more, a person should read the report first."""
MOST_OTHER = 50
"""Issues that one run updates, and that it closes: forges limit how much is written in a minute."""


@dataclass(frozen=True, slots=True)
class IssueText:
    """What an issue says, as Markdown, without its marker."""

    title: str
    body: str


@dataclass(slots=True)
class IssueCounts:
    """How many issues were written; `left`: how many findings have none yet, because there were too many."""

    opened: int = 0
    updated: int = 0
    closed: int = 0
    left: int = 0


def keep_issues(
    forge: Forge, scope: str, drift: Drift, text_of: Callable[[DriftFinding], IssueText], why_closed: str
) -> IssueCounts:
    """Bring the issues of a stack up to date with its drift. WebError ends it; the next run goes on.

    `scope`: tells the issues of several stacks in one repository apart. Nothing is closed that this run could not have
    found: see `_can_close`.
    """
    prefix = f"mtlsctl:drift:{safe_key(scope)}"
    wanted = {_marker(prefix, finding.key): finding for finding in drift.findings if finding.fails}
    there = _by_marker(forge, prefix)
    kept = IssueCounts()
    for marker, finding in wanted.items():
        text = text_of(finding)
        _bring_up(forge, there.get(marker, [None])[0], text.title, f"{marker}\n{text.body}", kept)
    known = {_marker(prefix, key) for one in drift.findings for key in (one.key, *one.follows)}
    for marker, (first, *others) in there.items():
        gone = [first] if marker not in known and _can_close(drift, marker) else []
        for issue in (*gone, *others):
            if issue.is_open and kept.closed < MOST_OTHER:
                forge.edit_issue(issue.number, issue.title, issue.body, is_open=False)
                forge.add_issue_comment(issue.number, why_closed)
                kept.closed += 1
    return kept


def _bring_up(forge: Forge, there: Issue | None, title: str, body: str, kept: IssueCounts) -> None:
    if there is None or not there.is_open:
        if kept.opened == MOST_NEW:
            kept.left += 1
            return
        kept.opened += 1
        if there is None:
            forge.add_issue(title, body, LABEL)
        else:
            forge.edit_issue(there.number, title, body, is_open=True)
    elif (there.title, there.body.replace("\r\n", "\n")) != (title, body) and kept.updated < MOST_OTHER:
        kept.updated += 1
        forge.edit_issue(there.number, title, body, is_open=True)


def _marker(prefix: str, key: str) -> str:
    """Of the key of a finding alone, which begins with its subject: the message of the same thing may change."""
    digest = hashlib.sha256(key.encode("utf-8", "backslashreplace")).hexdigest()[:24]
    return f"<!-- {prefix}:{key.partition(':')[0]}-{digest} -->"


def _by_marker(forge: Forge, prefix: str) -> Mapping[str, list[Issue]]:
    """The own issues of a stack by their marker: open ones first, then the oldest."""
    form = re.compile(rf"<!-- {re.escape(prefix)}:[a-z]+-[0-9a-f]{{24}} -->")
    found: defaultdict[str, list[Issue]] = defaultdict(list)
    for issue in forge.issues(LABEL):
        marker = form.match(issue.body)
        if marker is not None and is_marked(issue.body, marker[0]):
            found[marker[0]].append(issue)
    return {marker: sorted(issues, key=lambda one: (not one.is_open, one.number)) for marker, issues in found.items()}


def _can_close(drift: Drift, marker: str) -> bool:
    """Whether the run would have found what an issue is about: it read everything, and live Workers if it is live."""
    if any(one.is_error for one in drift.diagnostics) or any(one.reason for one in drift.not_checked):
        return False
    is_live = f":{Subject.LIVE}-" in marker
    return not (is_live and any(one.area in ABOUT_LIVE for one in drift.not_checked))
