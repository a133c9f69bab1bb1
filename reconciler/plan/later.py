"""When an old certificate can be deleted that waits for a time, and what live Workers need before: a forecast.

The deletion itself is judged again then, by all conditions.
"""

from __future__ import annotations

from datetime import datetime

from reconciler.model import EntryId
from reconciler.plan.assessment import EntryRow, Waits
from reconciler.plan.live import target_text
from reconciler.plan.retire import RetireScene, grace_end_of, leaving_of
from reconciler.plan.retire_live import live_uses

_MOST_NAMED = 3
_TIMES = {1: "once", 2: "twice"}


def deletion_time(row: EntryRow, scene: RetireScene) -> datetime | None:
    """The earliest time at which a leaving entry can be deleted; None if that is unknown."""
    until = row.verdict.until if isinstance(row.verdict, Waits) else None
    ends = grace_end_of(leaving_of(row), scene)
    return max(until, ends) if until is not None and ends is not None else None


def deploys_text(entry_id: EntryId, scene: RetireScene) -> str | None:
    """How often which Workers must be deployed until no rollback can restore an entry, as a clause.

    None if no version is known to use it.
    """
    uses = live_uses(entry_id, scene.actual.live)
    times = max((deploys_needed(use.version.deployments_ago, scene) for use in uses), default=0)
    if times < 1:
        return None
    shown = list(dict.fromkeys(target_text(use.worker.script) for use in uses))
    if len(shown) > _MOST_NAMED:
        shown[_MOST_NAMED - 1 :] = [f"{len(shown) - _MOST_NAMED + 1} more Workers"]
    who = f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) > 1 else shown[0]
    return f"{who} {'is' if who == shown[0] else 'are'} deployed {times_text(times)} without it"


def deploys_needed(ago: int | None, scene: RetireScene) -> int:
    """The number of deploys that put a version out of reach, which was deployed `ago` deployments before the newest.

    None of these: it was not deployed, so the next deploy replaces it.
    """
    reach = 0 if scene.ask.ignore_rollback is not None else scene.desired.declaration.policy.rollback_versions
    return 1 if ago is None else reach - ago + 1


def times_text(count: int) -> str:
    """`once`, `twice`, `3 times`."""
    return _TIMES.get(count, f"{count} times")
