"""How many calls a plan has made to the store's server, and how many `apply` makes: a window of the rate limit is soon
spent, and dashboards share it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.model import Change, Deploy, Retire, Upload

PER_PAGE = 50
"""Entries on a page of the list: the default of the API's own example; a larger one may be refused or ignored."""
_A_RETIRE = 3
"""The entry is read, what uses it is asked for, then it is deleted."""
_A_DEPLOY = 2
"""What serves afterwards: the deployments of the Worker, and the new version. wrangler's own calls are not ours."""


@dataclass(frozen=True, slots=True)
class Calls:
    """`made`: for this plan. `apply`: what `mtlsctl apply` makes in all, planning included, if nothing goes wrong."""

    made: int
    apply: int


def expect_calls(changes: Iterable[Change], *, made: int, again: int, entries: int) -> Calls:
    """The calls of a plan over so many `entries`. `again`: what a second look at what is live costs.

    Uploads are looked for in one list at the end. Before something is retired what is live is looked at again.
    """
    changes = tuple(changes)
    uploads = sum(isinstance(change, Upload) for change in changes)
    retires = sum(isinstance(change, Retire) for change in changes)
    deploys = sum(isinstance(change, Deploy) for change in changes)
    more = uploads + _A_RETIRE * retires + _A_DEPLOY * deploys
    if uploads:
        more += count_pages(entries + uploads)
    if retires:
        more += again
    return Calls(made, made + more)


def count_pages(entries: int) -> int:
    """The pages of a list; an empty one has one, too."""
    return max(1, -(-entries // PER_PAGE))
