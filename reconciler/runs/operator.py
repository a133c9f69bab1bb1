"""What the operator of a machine allows and forbids, by variables: no mtls.toml, so no pull request, changes that."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from reconciler.desired.durations import parse_duration, parse_share
from reconciler.desired.rules import Refused, accepts, check_glob
from reconciler.findings.codes import Code
from reconciler.findings.errors import GuardError, ReconcilerError
from reconciler.findings.escape import printable
from reconciler.findings.values import dataclass
from reconciler.model import Declaration

PRUNE = "MTLSCTL_PRUNE"
MAX_DELETES = "MTLSCTL_MAX_DELETES"
MIN_GRACE = "MTLSCTL_MIN_GRACE"
PROTECT = "MTLSCTL_PROTECT"
SCHEDULED = "MTLSCTL_SCHEDULED"
_SHOWN = 40
_NO_REASON = frozenset({"1", "true", "false", "yes", "no", "on", "off"})


@dataclass(frozen=True, slots=True)
class Operator:
    """`prune`: every run retires what mtls.toml no longer declares. `max_deletes`: of one run, a number or a share in
    percent, None for no limit. `min_grace`: no grace period is shorter. `protect`: globs of certificates whose uploads
    are never deleted. `scheduled`: no person waits for this run."""

    prune: bool = False
    max_deletes: int | None = None
    max_deletes_share: int | None = None
    min_grace: timedelta = timedelta(0)
    protect: tuple[str, ...] = ()
    scheduled: bool = False

    def restrict(self, declaration: Declaration) -> Declaration:
        """The declaration within these limits."""
        policy = declaration.policy
        grace = max(policy.grace, self.min_grace)
        policy = replace(
            policy,
            grace=grace,
            min_grace=self.min_grace,
            most_deletes=self.max_deletes,
            most_deletes_share=self.max_deletes_share,
            always_protect=self.protect,
        )
        certificates = {
            name: one if one.grace is None else replace(one, grace=max(one.grace, self.min_grace))
            for name, one in declaration.certificates.items()
        }
        return replace(declaration, policy=policy, certificates=certificates)


def read_operator(environ: Mapping[str, str]) -> Operator:
    """The operator's variables; ReconcilerError for a value that can't be read, so that no limit is ever left out."""
    grace, (count, share) = environ.get(MIN_GRACE) or None, _most_deletes(environ.get(MAX_DELETES) or None)
    try:
        min_grace = timedelta(0) if grace is None else parse_duration(grace)
    except Refused as error:
        raise invalid_variable(MIN_GRACE, grace or "", "a duration", "write a duration such as 7d or 12h") from error
    return Operator(
        prune=is_on(environ, PRUNE),
        max_deletes=count,
        max_deletes_share=share,
        min_grace=min_grace,
        protect=_protect(environ.get(PROTECT) or ""),
        scheduled=is_on(environ, SCHEDULED) or any(environ.get(name) == "schedule" for name in _EVENTS),
    )


GITHUB_MERGED = frozenset(
    {"push", "schedule", "workflow_dispatch", "repository_dispatch", "workflow_run", "release", "deployment"}
)
"""Events of GitHub whose checkout is of the repository itself."""
GITLAB_MERGED = frozenset({"push", "schedule", "web", "api", "trigger", "pipeline", "parent_pipeline"})
"""Sources of GitLab's pipelines whose checkout is of the project itself."""


def demand_merged(environ: Mapping[str, str], command: str) -> None:
    """Raise GuardError in a pipeline whose checkout is not merged, as on a pull request; in doubt, too.

    A job that follows another workflow may have the files of a fork, so it is refused as well.
    """
    refused = unmerged_event(environ, GITHUB_MERGED - {"workflow_run"})
    if refused is not None:
        raise GuardError(
            f"`mtlsctl {command}` does not run for {printable(refused)}, whose checkout may not be merged yet",
            hint="run it on a schedule, on a push to the main branch, or by hand",
        )


def unmerged_event(environ: Mapping[str, str], merged: frozenset[str] = GITHUB_MERGED) -> str | None:
    """The event of a pipeline whose checkout may not be merged yet; None by hand, on a schedule or after a merge.

    `merged`: the events of GitHub that are trusted.
    """
    github, gitlab = (environ.get(name) or "" for name in _EVENTS)
    if gitlab and (gitlab not in GITLAB_MERGED or environ.get("CI_MERGE_REQUEST_IID")):
        return gitlab
    return github if github and github not in merged else None


_EVENTS = ("GITHUB_EVENT_NAME", "CI_PIPELINE_SOURCE")
"""What GitHub and GitLab tell a job about why it runs."""


def _most_deletes(text: str | None) -> tuple[int | None, int | None]:
    """A number, or a share in percent."""
    if text is None or re.fullmatch(r"[0-9]{1,9}", text):
        return (None, None) if text is None else (int(text), None)
    try:
        return None, parse_share(text)
    except Refused as error:
        wanted = "a whole number or a share such as 20%"
        raise invalid_variable(MAX_DELETES, text, wanted, "write a number such as 10, or 20%") from error


def _protect(text: str) -> tuple[str, ...]:
    """Names and globs, separated by spaces or commas."""
    globs = tuple(filter(None, re.split(r"[\s,]+", text)))
    for glob in globs:
        if not accepts(check_glob, glob):
            wanted = "a list of certificate names or globs"
            raise invalid_variable(PROTECT, text, wanted, 'write names such as "billing ledger*"')
    return globs


def is_on(environ: Mapping[str, str], variable: str) -> bool:
    """Whether a switch is on. ReconcilerError for another value than `1` and `0`, which would be ignored silently."""
    text = environ.get(variable) or "0"
    if text not in {"0", "1"}:
        raise invalid_variable(variable, text, "1 or 0", "write 1 to switch it on")
    return text == "1"


def read_reason(environ: Mapping[str, str], variable: str) -> str | None:
    """The reason that a variable gives; None if it is not set, empty or 0. ReconcilerError for a word that is none."""
    text = environ.get(variable, "").strip()
    if text.lower() in _NO_REASON:
        raise invalid_variable(variable, text, "a reason", "write why")
    return text if text not in {"", "0"} else None


def invalid_variable(variable: str, text: str, wanted: str, hint: str) -> ReconcilerError:
    """The error for a variable with a value that can't be read; `hint`: what to write."""
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    message = f"{variable} is {shown!r}, which is not {wanted}"
    return ReconcilerError(message, hint=f"{hint}, or unset {variable}", code=Code.VARIABLE_INVALID)
