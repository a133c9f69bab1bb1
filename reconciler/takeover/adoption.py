"""The result of `init`: the files that it wrote, and the plan of the new mtls.toml."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.values import dataclass
from reconciler.model import BindingAddress, ByCertificate, ById, StoreSettings
from reconciler.plan.plan import Plan
from reconciler.takeover.proposed import Proposal


@dataclass(frozen=True, slots=True)
class AdoptedBinding:
    """One binding that is declared now."""

    at: BindingAddress
    target: ByCertificate | ById


@dataclass(frozen=True, slots=True)
class Adoption:
    """The result of `init`. `file`: the mtls.toml; `updated`: it existed before. `written`: every new or changed file.

    `to_commit`: these, and other files that mtls.toml names and git does not track yet.

    `proposal`: what was added. `findings`: all of them, including those of the plan. `searched`: the tree was searched.
    """

    file: str
    updated: bool
    searched: bool
    stack: str
    store: StoreSettings
    written: tuple[str, ...]
    proposal: Proposal
    findings: tuple[Diagnostic, ...]
    plan: Plan
    to_commit: tuple[str, ...] = ()

    @property
    def bindings(self) -> tuple[AdoptedBinding, ...]:
        """Every binding that was added, in the order of the file."""
        return tuple(self._bindings())

    def _bindings(self) -> Iterator[AdoptedBinding]:
        for worker in self.proposal.workers:
            for environment in worker.environments:
                for one in environment.bindings:
                    if one.target is not None:
                        at = BindingAddress(worker.label, worker.config, environment.name, one.binding)
                        yield AdoptedBinding(at, one.target)
