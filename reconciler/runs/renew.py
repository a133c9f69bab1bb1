"""Renews certificates: chooses what is due, opens sinks and issuers, and writes the journal. Changes no store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field, replace
from datetime import datetime
from functools import partial

from reconciler import issuers, keys
from reconciler.apply.renew import renew_certificate
from reconciler.apply.renewing import RenewWorld
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import FileChangedError, LockedError, ReconcilerError, UsageError
from reconciler.findings.exits import ExitCode
from reconciler.findings.suggest import nearest
from reconciler.findings.values import dataclass
from reconciler.issuers.context import IssuerContext
from reconciler.keys.sinks import open_sink
from reconciler.model.renewal import CommandIssuer, Issuer
from reconciler.plan.plan import match_names
from reconciler.plan.renewals import find_due
from reconciler.plan.renewing import Renewable, Renewals, RenewChoice, RenewStatus, RenewStep, choose
from reconciler.runs.apply import actor_of
from reconciler.runs.handshake import Proving
from reconciler.runs.journal import Journal, Keep
from reconciler.runs.look import Checkout, look
from reconciler.runs.project import Project
from reconciler.x509.files import MAX_CHAIN_BYTES, parse_file


@dataclass(frozen=True, slots=True)
class RenewRequest:
    """What is asked for: certificates by name or glob, those of them that are due with `due`; all if there is none.

    `new_key`: do not go on with the keys of runs that did not end.
    """

    names: tuple[str, ...] = ()
    due: bool = False
    new_key: bool = False


def preview(project: Project, request: RenewRequest) -> Renewals:
    """What a run would renew. Reads files only; asks no issuer and no sink."""
    checkout, now = look(project), project.clock.now()
    choice = _choose(checkout, request, now)
    steps = tuple(RenewStep(item, RenewStatus.PLANNED) for item in choice.items)
    return _report(checkout, choice, steps, now, dry_run=True)


def due_names(project: Project) -> tuple[str, ...]:
    """The certificates that `--due` would renew."""
    checkout = look(project)
    choice = choose(checkout.desired, checkout.blocked, (), project.clock.now(), only_due=True)
    return tuple(item.name for item in choice.items)


def renew(
    project: Project,
    request: RenewRequest,
    tell: Callable[[str], None],
    report: Callable[[Diagnostic], None],
    *,
    demand_lock: Callable[[], None] = lambda: None,
    keep: Keep = lambda _: None,
    before: Callable[[Renewable], None] = lambda _: None,
    after: Callable[[RenewStep], RenewStep] = lambda step: step,
) -> Renewals:
    """Renew what is asked for, one after another, under the lock of the checkout.

    `tell`: shows a line to the user. `report`: shows a finding that must be seen even if the run is killed. `before`:
    called before each renewal, which fails with a ReconcilerError of it; `after`: makes of each what is reported.
    """
    checkout, now = look(project), project.clock.now()
    choice = _choose(checkout, request, now)
    if not choice.items:
        return _report(checkout, choice, (), now)
    demand_lock()
    project.files.tidy()
    journal = Journal(project.lines, clock=project.clock, keep=keep)
    stack = checkout.desired.declaration.stack
    journal.begin(command="renew", stack=stack, plan_digest="", actor=actor_of(project))
    run = _RenewRun(project, checkout, request, tell, report, demand_lock, journal, before, after)
    steps: list[RenewStep] = []
    findings: tuple[Diagnostic, ...] = ()
    interrupted = False
    try:
        for item in choice.items:
            steps.append(run.renew(item))
            interrupted = steps[-1].interrupted
            if interrupted:
                break
    except KeyboardInterrupt:  # before its first effect
        interrupted = True
    except LockedError as error:
        findings = error.diagnostics()
    except Exception:  # a bug: what is done is evidence all the same
        journal.end(exit_code=ExitCode.FAILED, interrupted=False)
        raise
    steps += (RenewStep(item, RenewStatus.NOT_STARTED) for item in choice.items[len(steps) :])
    found = replace(_report(checkout, choice, tuple(steps), now), interrupted=interrupted)
    found = replace(found, findings=(*found.findings, *findings))
    journal.end(exit_code=found.exit_code, interrupted=interrupted)
    return replace(found, findings=(*found.findings, *journal.findings))


@dataclass(frozen=True, slots=True)
class _RenewRun:
    """One run, with the ports of its certificates."""

    project: Project
    checkout: Checkout
    request: RenewRequest
    tell: Callable[[str], None]
    report: Callable[[Diagnostic], None]
    demand_lock: Callable[[], None]
    journal: Journal
    before: Callable[[Renewable], None]
    after: Callable[[RenewStep], RenewStep]
    _issuers: dict[str, Issuer] = field(default_factory=dict, init=False)
    """Those of this run: one login and one secret for all certificates of an issuer."""

    def renew(self, item: Renewable) -> RenewStep:
        """The renewal of one certificate, with its lines in the journal."""
        self.journal.renewing(item)
        self.tell(f"Renewing {item.name}")
        try:
            step = self._renew(item)
            try:
                step = self.after(step)
            except KeyboardInterrupt:
                step = replace(step, interrupted=True)
        except LockedError:
            raise
        except ReconcilerError as error:  # before the first effect: a port that can't be opened
            found = tuple(replace(one, certificate=item.name) for one in error.diagnostics())
            step = RenewStep(item, RenewStatus.FAILED, problems=found)
        if step.status is not RenewStatus.INTERRUPTED:
            self.journal.renewed(step)
        return step

    def _renew(self, item: Renewable) -> RenewStep:
        renewal, key = item.declared.renew, item.declared.key
        if renewal is None or key is None or key.slots is None:
            raise ValueError(item.name)
        project, text = self.project, None
        if item.present is not None:
            path = item.declared.path
            text = project.files.read(path, limit=MAX_CHAIN_BYTES)
            if parse_file(text, path) != item.present:
                raise FileChangedError(f"{path!r} was changed during this run", hint="run this again")
        world = RenewWorld(
            sink=open_sink(renewal.sink, key.slots.owners[0], project.key_context),
            issuer=self._issuer(renewal.issuer),
            files=project.files,
            prover=Proving(project.files, project.provers.prober),
            now=project.clock.now,
            report=self.report,
            demand_lock=self.demand_lock,
        )
        self.before(item)
        return renew_certificate(item, text, self.checkout.desired, world, new_key=self.request.new_key)

    def _issuer(self, name: str) -> Issuer:
        if name not in self._issuers:
            self._issuers[name] = self._opened(name)
        return self._issuers[name]

    def _opened(self, name: str) -> Issuer:
        project, declared = self.project, self.checkout.desired.declaration.issuers[name]
        programs = project.signing_programs(declared.options.env if isinstance(declared.options, CommandIssuer) else ())

        def output(command: Sequence[str], stdin: bytes) -> bytes:
            return programs.output(command, limit=MAX_CHAIN_BYTES, stdin=stdin)

        return issuers.open_issuer(
            declared,
            IssuerContext(
                read=partial(project.files.read, limit=MAX_CHAIN_BYTES),
                secret=partial(keys.open_secret, context=project.key_context),
                vault=project.vault,
                output=output if project.allow_commands else None,
                tell=self.tell,
                managed_ca=partial(project.managed_ca, tell=self.tell),
            ),
        )


def _choose(checkout: Checkout, request: RenewRequest, now: datetime) -> RenewChoice:
    """What is to be renewed; UsageError for a name of nothing, or of a certificate that mtlsctl can't renew."""
    certificates = checkout.desired.declaration.certificates
    for pattern, names in match_names(checkout.desired, request.names).items():
        if not names:
            near = nearest(pattern, list(certificates))
            hint = f"did you mean `{near}`?" if near is not None else "run `mtlsctl status` to see all names"
            raise UsageError(f"mtls.toml declares no certificate {pattern!r}", hint=hint)
        if not any(certificates[name].renew is not None for name in names):
            raise UsageError(
                f"{names[0]!r} can't be renewed by mtlsctl: it declares no `renew`",
                hint=f"add [certificates.{names[0]}.renew] with an issuer and a sink; or replace"
                f" {certificates[names[0]].path} yourself",
            )
    return choose(checkout.desired, checkout.blocked, request.names, now, only_due=request.due)


def _report(
    checkout: Checkout, choice: RenewChoice, steps: tuple[RenewStep, ...], now: datetime, *, dry_run: bool = False
) -> Renewals:
    desired = checkout.desired
    manual = (find_due(desired, due, now) for due in choice.manual)
    findings = (*checkout.warnings, *choice.findings, *(one for one in manual if one is not None))
    stack = desired.declaration.stack
    return Renewals(stack, now, steps, choice.manual, tuple(findings), dry_run=dry_run)
