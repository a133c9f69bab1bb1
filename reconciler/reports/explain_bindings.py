"""Why a binding changes, stays, or is held back, in sentences. Repeats what a plan decided; decides nothing anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.model import (
    Action,
    Actual,
    BindingChange,
    ByCertificate,
    ById,
    CertificateName,
    DeclaredBinding,
    DeclaredWorker,
    Desired,
    EntryId,
    EnvironmentName,
    Reason,
    WorkerLabel,
)
from reconciler.plan.diff import is_error
from reconciler.plan.plan import Plan


@dataclass(frozen=True, slots=True)
class BindingStory:
    """One binding of one environment. `declared` and `found`: what mtls.toml and the wrangler file say of it.

    `action` None: nothing would happen. `what` and `why` are one clause each. `problems` stand in the way.
    """

    worker: WorkerLabel
    config: str
    environment: EnvironmentName
    binding: str
    declared: ByCertificate | ById | None
    found: str | None
    wanted: EntryId | None
    action: Action | None
    what: str
    why: str
    problems: tuple[Diagnostic, ...] = ()

    @property
    def certificate(self) -> CertificateName | None:
        """The declared certificate that it shall present, if it is one."""
        return self.declared.certificate if isinstance(self.declared, ByCertificate) else None


def tell_bindings(plan: Plan, desired: Desired, actual: Actual) -> tuple[BindingStory, ...]:
    """Every binding that is declared, and every other one in the environments of declared wrangler files."""
    teller = _Teller(plan, desired, actual)
    return (*teller.declared(), *teller.undeclared())


class _Teller:
    """Looks things up in one plan."""

    def __init__(self, plan: Plan, desired: Desired, actual: Actual) -> None:
        self.plan, self.desired, self.actual = plan, desired, actual
        self.current = {item.certificate: item.entry for item in plan.adopted}
        found = [change for change in plan.changes if isinstance(change, BindingChange)]
        self.changes = {(change.config, change.environment, str(change.binding)): change for change in found}
        self.sites: set[tuple[str, EnvironmentName, str]] = set()

    def declared(self) -> Iterator[BindingStory]:
        """In the order of labels, then of the file."""
        for _, worker in sorted(self.desired.declaration.workers.items()):
            for environment, bindings in worker.environments.items():
                for binding in bindings:
                    yield self._declared(worker, environment, binding)

    def _declared(self, worker: DeclaredWorker, environment: EnvironmentName, binding: DeclaredBinding) -> BindingStory:
        file = self.actual.files.get(worker.label)
        config = file.path if file else worker.config
        self.sites.add((config, environment, binding.binding))
        there = file.environments.get(environment) if file else None
        at = there.find(binding.binding) if there else None
        found = at.certificate_id if at else None
        wanted = self._wanted(binding)
        change = self.changes.get((config, environment, str(binding.binding)))
        problems: tuple[Diagnostic, ...] = ()
        if change is not None:
            what, why = change_clauses(change)
        elif wanted is not None and found == wanted:
            what, why = "in place", f"{config} has {found}, {_as_declared(binding)}"
        else:
            problems = tuple(self._problems(worker, config, environment, binding))
            what, why = "nothing is planned", "; ".join(problem.message for problem in problems) or self._fallback()
        return BindingStory(
            worker=worker.label,
            config=config,
            environment=environment,
            binding=binding.binding,
            declared=binding.target,
            found=found,
            wanted=wanted,
            action=change.action if change else None,
            what=what,
            why=why,
            problems=problems,
        )

    def _wanted(self, binding: DeclaredBinding) -> EntryId | None:
        match binding.target:
            case ById(entry_id):
                return entry_id
            case ByCertificate(certificate):
                entry = self.current.get(certificate)
                return entry.id if entry else None

    def _fallback(self) -> str:
        return "only the store knows" if self.plan.offline else "something else about this file or certificate is wrong"

    def _problems(
        self, worker: DeclaredWorker, config: str, environment: EnvironmentName, binding: DeclaredBinding
    ) -> Iterator[Diagnostic]:
        """The errors that hold this binding back: of its certificate, of its line, of its environment, of its file."""
        top: tuple[str | int, ...] = ("workers", worker.label)
        place = top if environment is None else (*top, "env", environment)
        spots = [
            Pointer(self.desired.declaration.path, keys) for keys in (place, (*place, "bindings", binding.binding))
        ]
        sharing = self._sharing(binding)
        for problem in filter(is_error, self.plan.diagnostics):
            where = problem.where
            if problem.certificate is not None:
                if problem.certificate in sharing:
                    yield problem
            elif isinstance(where, Pointer):
                at_spot = replace(where, at_key=False) in spots
                if at_spot or (where.path == config and problem.code == Code.ACCOUNT_ID_IN_FILE):
                    yield problem

    def _sharing(self, binding: DeclaredBinding) -> frozenset[str]:
        """The declared certificate and those with the same content, which share its upload and its errors."""
        if not isinstance(binding.target, ByCertificate):
            return frozenset()
        bundles = self.desired.bundles
        own = bundles.get(binding.target.certificate)
        same = (name for name, bundle in bundles.items() if own is not None and bundle.digest == own.digest)
        return frozenset((binding.target.certificate, *same))

    def undeclared(self) -> Iterator[BindingStory]:
        """What the files have besides; each file once, whatever labels lead to it. Call it after `declared`."""
        seen: set[str] = set()
        for label, file in sorted(self.actual.files.items()):
            if file.path in seen:
                continue
            seen.add(file.path)
            for environment, there in file.environments.items():
                for found in there.bindings:
                    site = (file.path, environment, found.binding)
                    if site not in self.sites:
                        yield self._undeclared(label, site, found.certificate_id, found.index)

    def _undeclared(
        self, label: WorkerLabel, site: tuple[str, EnvironmentName, str], found: str, index: int
    ) -> BindingStory:
        config, environment, binding = site
        change = self.changes.get(site)
        where = () if environment is None else ("env", environment)
        pointer = Pointer(config, (*where, "mtls_certificates", index))
        noticed = [problem for problem in self.plan.diagnostics if problem.where == pointer]
        if change is not None:
            what, why = change_clauses(change)
        elif noticed:
            what, why = "nothing is planned", "; ".join(problem.message for problem in noticed)
        else:
            what, why = "nothing is planned", f"mtls.toml does not declare it, and {found} is no entry of this stack"
        return BindingStory(
            worker=label,
            config=config,
            environment=environment,
            binding=binding,
            declared=None,
            found=found,
            wanted=None,
            action=change.action if change else None,
            what=what,
            why=why,
        )


def _as_declared(binding: DeclaredBinding) -> str:
    match binding.target:
        case ById():
            return "the id that mtls.toml gives"
        case ByCertificate(certificate):
            return f"the current entry of {certificate}"


def change_clauses(change: BindingChange) -> tuple[str, str]:
    """What a planned change does to a binding, and why."""
    after = f"the id {change.after}" if change.after else "the id that the upload gives"
    what = {
        Action.BIND: f"would be added with {after}",
        Action.REBIND: f"would get {after}",
        Action.UNBIND: "would be removed",
    }.get(change.action, str(change.action))
    return what, " and ".join(_reason_clause(reason, change) for reason in change.reasons)


def _reason_clause(reason: Reason, change: BindingChange) -> str:
    had = f"{change.config} has {change.before or 'an empty id'} there"
    subject = change.certificate or "what mtls.toml declares"
    match reason:
        case Reason.MISSING:
            return f"{change.config} has no such binding there"
        case Reason.PLACEHOLDER_ID:
            return f"{had}, which is a placeholder"
        case Reason.UNKNOWN_ID:
            return f"{had}, which the store does not know"
        case Reason.CONTENT_CHANGED:
            return f"{had}, an entry with another content of {subject}"
        case Reason.WRONG_ID:
            return f"{had}, which is no entry of {subject}"
        case Reason.REMOTE_DIFFERS:
            return "its `remote` is not as mtls.toml declares it"
        case Reason.REMOVED:
            return f"mtls.toml does not declare it, and its entry is one of {subject}"
        case _:
            return str(reason)
