"""The stacks of a fleet, and which certificates of them it does not renew, though their mtls.toml declares it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.values import dataclass
from reconciler.model import Act, CertificateName, DeclaredCertificate
from reconciler.model.fleet import Fleet, FleetRule, StackKey
from reconciler.model.key_places import CommandSink, SopsSink
from reconciler.model.renewal import CommandIssuer, DeclaredIssuer, StepIssuer
from reconciler.runs.stacks import Member


@dataclass(frozen=True, slots=True)
class FleetMember:
    """One mtls.toml of a fleet. `file`: relative to the folder of fleet.toml. `member`: without a token, for what is
    read from files alone; its `problem` says why nothing can be done. `not_renewed`: the certificates that renew
    themselves, but not in this fleet, each with the reason."""

    file: str
    path: Path
    rule: FleetRule
    member: Member
    not_renewed: Mapping[CertificateName, str] = field(default_factory=dict)

    @property
    def key(self) -> StackKey | None:
        """What tells it from others; None if its mtls.toml can't be used, or names no account."""
        account, stack = self.account, self.member.stack
        return None if account is None or stack is None else (account, stack)

    @property
    def account(self) -> str | None:
        """The ID of its account, if it names one."""
        return None if self.member.store is None else self.member.store.account

    @property
    def folder(self) -> Path:
        """The folder of its mtls.toml."""
        return self.path.parent

    @property
    def act(self) -> Act:
        """The most that may be done."""
        return self.rule.act.narrowed(self.member.act)


IN_TREE = "its keys would be files of the repository, which a fleet never writes"
COMMANDS = "it needs a command of mtls.toml, and a fleet runs none"
HINTS: Mapping[str, str] = {
    IN_TREE: "renew it with `mtlsctl ci FORGE renew` in a pipeline of that repository, or use another sink",
    COMMANDS: "renew it with `mtlsctl renew --allow-commands`, or use another issuer and sink",
}
"""Each reason, and what to do about it."""


def with_renewals(members: Sequence[FleetMember]) -> tuple[FleetMember, ...]:
    """The same stacks, each with the certificates that are not renewed."""
    return tuple(replace(one, not_renewed=dict(_not_renewed(one))) for one in members)


def _not_renewed(one: FleetMember) -> Iterator[tuple[CertificateName, str]]:
    for declared, issuer in one.member.renewing if one.act.allows(Act.ROTATE) else ():
        reason = _reason(declared, issuer)
        if reason is not None:
            yield declared.name, reason


def _reason(declared: DeclaredCertificate, issuer: DeclaredIssuer) -> str | None:
    sink = declared.renew.sink if declared.renew is not None else None
    if isinstance(sink, SopsSink):
        return IN_TREE
    options = issuer.options
    needs_command = isinstance(sink, CommandSink) or isinstance(options, CommandIssuer)
    needs_command = needs_command or (isinstance(options, StepIssuer) and options.password.needs_command)
    return COMMANDS if needs_command else None


def find_not_renewed(fleet: Fleet, members: Sequence[FleetMember]) -> Iterator[Diagnostic]:
    """For each `[[stacks]]` and reason one, with the first certificate."""
    found: dict[tuple[int, str], list[str]] = defaultdict(list)
    for one in members:
        for name, reason in one.not_renewed.items():
            found[one.rule.index, reason].append(f"{name!r} of {one.file}")
    for (index, reason), names in sorted(found.items()):
        more = f" (and {len(names) - 1} more like it)" if len(names) > 1 else ""
        where = Pointer(fleet.path, ("stacks", index))
        message = f"this fleet does not renew {names[0]}{more}: {reason}"
        yield Diagnostic(Severity.WARNING, Code.FLEET_NOT_DONE, message, where, HINTS[reason])
