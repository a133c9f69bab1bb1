"""Counts the API calls of a plan and of its `apply`. The rate limit is quickly used up, and dashboards share it."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.findings.values import dataclass
from reconciler.model import Change, Deploy, Gate, HostnamesAddress, Retire, Update, Upload, Verify

PER_PAGE = 50
"""Certificates per page of the list, the value in the API's own example; a larger one may be refused or ignored."""
_A_RETIRE = 3
"""Calls for a retire: read the certificate, list what uses it, delete it."""
_AN_UPDATE = 2
"""Calls for an update of a Hyperdrive configuration: read it, change it."""
_AT_EDGE, _A_PROOF = 2, 3
"""Calls for proofs at the edge: the subdomain and the list of Workers; then for each deploy, publish and delete one."""
_HOSTNAMES = 3
"""Calls for an update of hostnames: read the list of the CA, write it, read it again."""
_A_DEPLOY = 2
"""Calls for a deploy: read the Worker's deployments and the new version afterwards. wrangler's calls don't count."""


@dataclass(frozen=True, slots=True)
class Calls:
    """`made`: calls of this plan. `apply`: all calls of `mtlsctl apply`, planning included, if nothing fails."""

    made: int
    apply: int


def expect_calls(changes: Iterable[Change], *, made: int, again: int, entries: int) -> Calls:
    """The calls of a plan for a store with this many `entries`. `again`: the calls of another check of live Workers.

    Uploads are confirmed by one list at the end. Live Workers are checked again before something is retired.
    """
    changes = tuple(changes)
    uploads = sum(isinstance(change, Upload) for change in changes)
    retires = sum(isinstance(change, Retire) for change in changes)
    deploys = sum(isinstance(change, Deploy) for change in changes)
    updated = {change.at.holder: change.at for change in changes if isinstance(change, Update)}
    proofs = sum(isinstance(change, Verify) and change.before is Gate.BIND for change in changes)
    more = uploads + _A_RETIRE * retires + _A_DEPLOY * deploys
    more += sum(_HOSTNAMES if isinstance(at, HostnamesAddress) else _AN_UPDATE for at in updated.values())
    if uploads:
        more += count_pages(entries + uploads)
    if proofs:
        more += _AT_EDGE + _A_PROOF * proofs
    if retires:
        more += again
    return Calls(made, made + more)


def count_pages(entries: int) -> int:
    """The number of pages of a list; an empty list has one page."""
    return max(1, -(-entries // PER_PAGE))
