"""What the operator of a machine allows and forbids, by variables: no mtls.toml, so no pull request, changes that."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from reconciler.desired.durations import parse_duration
from reconciler.desired.rules import Refused
from reconciler.findings.codes import Code
from reconciler.findings.errors import ReconcilerError
from reconciler.model import Declaration

PRUNE = "MTLSCTL_PRUNE"
MAX_DELETES = "MTLSCTL_MAX_DELETES"
MIN_GRACE = "MTLSCTL_MIN_GRACE"
_SHOWN = 40
_NO_REASON = frozenset({"1", "true", "false", "yes", "no", "on", "off"})


@dataclass(frozen=True, slots=True)
class Operator:
    """`prune`: every run retires what mtls.toml no longer declares. `max_deletes`: of one run, None for no limit.
    `min_grace`: no grace period is shorter."""

    prune: bool = False
    max_deletes: int | None = None
    min_grace: timedelta = timedelta(0)

    def restrict(self, declaration: Declaration) -> Declaration:
        """The declaration within these limits."""
        policy = declaration.policy
        most = policy.max_deletes if self.max_deletes is None else min(policy.max_deletes, self.max_deletes)
        grace = max(policy.grace, self.min_grace)
        policy = replace(policy, grace=grace, min_grace=self.min_grace)
        policy = replace(policy, max_deletes=most, most_deletes=self.max_deletes)
        certificates = {
            name: one if one.grace is None else replace(one, grace=max(one.grace, self.min_grace))
            for name, one in declaration.certificates.items()
        }
        return replace(declaration, policy=policy, certificates=certificates)


def read_operator(environ: Mapping[str, str]) -> Operator:
    """The operator's variables; ReconcilerError for a value that can't be read, so that no limit is ever left out."""
    count, grace = environ.get(MAX_DELETES) or None, environ.get(MIN_GRACE) or None
    if count is not None and not re.fullmatch(r"[0-9]{1,9}", count):
        raise invalid_variable(MAX_DELETES, count, "a whole number", "write a number such as 10")
    try:
        min_grace = timedelta(0) if grace is None else parse_duration(grace)
    except Refused as error:
        raise invalid_variable(MIN_GRACE, grace or "", "a duration", "write a duration such as 7d or 12h") from error
    return Operator(is_on(environ, PRUNE), None if count is None else int(count), min_grace)


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
