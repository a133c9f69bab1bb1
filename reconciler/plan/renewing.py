"""Which certificates `mtlsctl renew` renews, and what became of them.

Due is what `renewals.py` says of the declared file: a certificate whose successor is in its file already is not renewed
again, whatever is bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field, replace
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.exits import ExitCode, strongest
from reconciler.findings.values import dataclass
from reconciler.model import CertificateName, DeclaredCertificate, Desired, Difference
from reconciler.model.key_places import SopsSink, sink_text
from reconciler.plan.differences import certificate_differences
from reconciler.plan.plan import exit_code_of
from reconciler.plan.renewals import Due, file_due, find_always_due, find_due
from reconciler.x509.certificates import Bundle, rfc3339


class RenewReason(StrEnum):
    """Why a certificate is renewed: `named` on the command line, although it is not due."""

    MISSING = "missing"
    EXPIRED = "expired"
    DUE = "due"
    NAMED = "named"


class RenewStatus(StrEnum):
    """How the renewal of one certificate ended; `planned` in a dry run."""

    RENEWED = "renewed"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    NOT_STARTED = "not-started"
    PLANNED = "planned"


@dataclass(frozen=True, slots=True)
class Renewable:
    """A certificate to renew. `present`: of its file; None if there is none yet."""

    declared: DeclaredCertificate
    reason: RenewReason
    present: Bundle | None
    due: Due | None = None

    @property
    def name(self) -> CertificateName:
        """The name of the certificate."""
        return self.declared.name


@dataclass(frozen=True, slots=True)
class RenewStep:
    """How the renewal of one certificate ended. `after`: the new certificate, if its file has it now. `slot`: of its
    key. `continued`: with the key of a run that did not end. `asked`: the issuer was asked for a certificate.
    `removed`: slots. `findings`: warnings about it; `problems`: why it failed. `interrupted`: the run was, during this
    renewal, which may be complete all the same.
    """

    item: Renewable
    status: RenewStatus
    after: Bundle | None = None
    slot: str | None = None
    continued: bool = False
    findings: tuple[Diagnostic, ...] = ()
    problems: tuple[Diagnostic, ...] = ()
    asked: bool = False
    removed: tuple[str, ...] = ()
    interrupted: bool = False

    @property
    def issuer(self) -> str:
        """The name of the issuer."""
        renew = self.item.declared.renew
        return renew.issuer if renew is not None else ""

    @property
    def sink(self) -> str:
        """Where its keys are, for a sentence."""
        renew = self.item.declared.renew
        return sink_text(renew.sink) if renew is not None else ""

    @property
    def to_commit(self) -> tuple[str, ...]:
        """What it changed in the tree, to commit: the certificate file, and the folder of encrypted keys."""
        sink = self.item.declared.renew.sink if self.item.declared.renew is not None else None
        return (self.item.declared.path, *((sink.sops,) if isinstance(sink, SopsSink) else ()))

    @property
    def differences(self) -> tuple[Difference, ...]:
        """The facts that the new certificate changes; all of them if there was none."""
        return () if self.after is None else certificate_differences(self.item.present, self.after)


@dataclass(frozen=True, slots=True)
class RenewalProposal:
    """The pull request of a renewal, in a pipeline. `opened`: by this run; else an earlier one did, and nothing was
    renewed. `noun`: what the forge calls it."""

    certificate: CertificateName
    branch: str
    number: int
    url: str
    opened: bool
    noun: str = "pull request"


@dataclass(frozen=True, slots=True)
class Renewals:
    """A run of `mtlsctl renew`. `manual`: the certificates that are due and declare no `renew`. `reported`: findings
    that the terminal shows already."""

    stack: str
    made: datetime
    steps: tuple[RenewStep, ...]
    manual: tuple[Due, ...] = ()
    findings: tuple[Diagnostic, ...] = ()
    dry_run: bool = False
    interrupted: bool = False
    proposals: tuple[RenewalProposal, ...] = ()
    reported: tuple[Diagnostic, ...] = ()

    def of(self, status: RenewStatus) -> tuple[RenewStep, ...]:
        """The steps that ended so, in order."""
        return tuple(step for step in self.steps if step.status is status)

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Every finding: those of the run, and those of each certificate."""
        own = (one for step in self.steps for one in (*step.problems, *step.findings))
        return (*self.findings, *own)

    @property
    def exit_code(self) -> ExitCode:
        """1 if nothing was renewed and something failed, 5 if some were renewed and some failed."""
        codes = [exit_code_of(self.diagnostics)]
        if self.interrupted:
            codes.append(ExitCode.INTERRUPTED)
        if any(one.code is Code.LOCKED for one in self.findings):
            codes.append(ExitCode.LOCKED)
        if self.of(RenewStatus.RENEWED) and self.of(RenewStatus.FAILED):
            codes.append(ExitCode.PARTIAL)
        return strongest(codes)


@dataclass(frozen=True, slots=True)
class RenewChoice:
    """What is renewed, what is due but declares no `renew`, and the findings that keep others from it."""

    items: tuple[Renewable, ...]
    manual: tuple[Due, ...] = ()
    findings: tuple[Diagnostic, ...] = field(default=())


def choose(
    desired: Desired,
    unreadable: Sequence[Diagnostic],
    patterns: Sequence[str],
    now: datetime,
    *,
    only_due: bool,
) -> RenewChoice:
    """The certificates to renew, by name. `unreadable`: the findings about certificate files that could not be read;
    one that is missing is to be made, any other can't be renewed. `patterns`: names or globs; empty: all."""
    items: list[Renewable] = []
    manual: list[Due] = []
    findings: list[Diagnostic] = []
    for name, declared in sorted(desired.declaration.certificates.items()):
        if patterns and not any(fnmatchcase(name, pattern) for pattern in patterns):
            continue
        due, bundle = file_due(desired, name, now), desired.bundles.get(name)
        if declared.renew is None:
            if due is not None and due.is_due(now) and not declared.ca:
                manual.append(due)
            continue
        why = [one for one in unreadable if one.certificate == name and one.code is not Code.FILE_MISSING]
        if bundle is None and why:
            findings.extend(why)
            continue
        reason = _reason(desired, name, due, now)
        if reason is None and not only_due:
            reason = RenewReason.NAMED
        if reason is not None:
            items.append(Renewable(declared, reason, bundle, due))
        always = find_always_due(desired, name) if bundle is not None else None
        findings.extend([always] if always is not None else [])
    return RenewChoice(tuple(items), tuple(manual), tuple(findings))


def _reason(desired: Desired, name: CertificateName, due: Due | None, now: datetime) -> RenewReason | None:
    """Why a certificate is to be renewed; None if it is not due."""
    if due is None:
        return RenewReason.MISSING if name not in desired.bundles else RenewReason.DUE
    if due.has_expired(now):
        return RenewReason.EXPIRED
    return RenewReason.DUE if due.is_due(now) else None


def is_useful(desired: Desired, name: CertificateName, found: Bundle, now: datetime) -> bool:
    """Whether a certificate that was issued earlier can take the place of the present one: it is not due itself, and
    not older."""
    renewed = replace(desired, bundles={**desired.bundles, name: found})
    present = desired.bundles.get(name)
    is_older = present is not None and found.not_before < present.not_before
    return not is_older and found != present and _reason(renewed, name, file_due(renewed, name, now), now) is None


def find_age(item: Renewable, answer: Bundle, where: Pointer) -> Iterator[Diagnostic]:
    """An error if the issuer's certificate is older than the present one, a warning if it expires earlier."""
    present = item.present
    if present is None:
        return
    is_same = answer.fingerprint == present.fingerprint
    if is_same or answer.not_before < present.not_before:
        older = (
            f"is older than the present one: it is valid from {rfc3339(answer.not_before)}, the present one from"
            f" {rfc3339(present.not_before)}"
        )
        message = f"the issuer's certificate {'is the present one' if is_same else older}"
        hint = "let the issuer answer with a new certificate"
        yield Diagnostic(Severity.ERROR, Code.RENEWAL_DIFFERS, message, where, hint, item.name)
    elif answer.not_after < present.not_after:
        message = (
            f"the new certificate of {item.name!r} expires on {rfc3339(answer.not_after)}, earlier than the"
            f" present one, which is valid until {rfc3339(present.not_after)}"
        )
        hint = "no action needed if it is meant to be shorter"
        yield Diagnostic(Severity.WARNING, Code.RENEWAL_ENDS_EARLIER, message, where, hint, item.name)


def find_dates(after: Desired, name: CertificateName, now: datetime) -> Iterator[Diagnostic]:
    """A warning if the new certificate is due already, or always."""
    due = file_due(after, name, now)
    for found in (find_always_due(after, name), None if due is None else find_due(after, due, now)):
        if found is not None:
            yield found
