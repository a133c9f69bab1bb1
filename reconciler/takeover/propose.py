"""From what was found to what is proposed to be declared."""

from __future__ import annotations

from reconciler.findings.diagnostics import Diagnostic
from reconciler.takeover import findings as say
from reconciler.takeover.matching import match
from reconciler.takeover.proposed import Proposal
from reconciler.takeover.scene import Scene
from reconciler.takeover.workers import propose_workers


def propose(scene: Scene) -> tuple[Proposal, tuple[Diagnostic, ...]]:
    """The proposal, and what a person should know of it; the plan of the result tells the rest."""
    matched = match(scene)
    workers, about_workers = propose_workers(scene, matched)
    used = {
        found.certificate_id
        for file in scene.configs
        for environment in file.environments.values()
        for found in environment.bindings
    }
    declaration = scene.desired.declaration
    proposal = Proposal(declaration.stack, declaration.store, matched.certificates, workers, matched.suggestions)
    findings = (*scene.left_out(), *matched.findings, *about_workers, *say.name_twice(scene.listing, used))
    return proposal, findings
