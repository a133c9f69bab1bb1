"""Worlds to be taken over, in memory: entries, wrangler files and certificate files in; text and its plan out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import tomli

from reconciler import keys
from reconciler.desired.parse import parse_declaration
from reconciler.findings.codes import Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.model import (
    Actual,
    Declaration,
    Desired,
    Entry,
    EntryId,
    Listing,
    Retire,
    StoreKind,
    StoreSettings,
    Sweep,
    WorkerLabel,
    WranglerFile,
)
from reconciler.model.identifiers import is_askable
from reconciler.plan.assess import judge
from reconciler.plan.plan import Plan, make_plan
from reconciler.takeover.propose import propose
from reconciler.takeover.proposed import FoundCertificate, Proposal
from reconciler.takeover.scene import Scene
from reconciler.takeover.update import only_new, update_declaration
from reconciler.takeover.write import write_declaration
from tests.support.pki import NOW
from tests.support.worlds import STACK, bundle

Tables = Mapping[str | None, Mapping[str, str]]


@dataclass(frozen=True)
class World:
    """What is there. `files`: certificate files, by path the number of their content."""

    entries: Sequence[Entry] = ()
    configs: Sequence[WranglerFile] = ()
    files: Mapping[str, int] = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()
    keys: Mapping[str, str] = field(default_factory=dict)
    stack: str = STACK
    store: StoreSettings = field(default_factory=StoreSettings)
    lagging: Sequence[Entry] = ()

    @property
    def found(self) -> tuple[FoundCertificate, ...]:
        """The certificate files."""
        return tuple(
            FoundCertificate(path, bundle(number), self.keys.get(path), path in self.ignored)
            for path, number in self.files.items()
        )

    @property
    def ids(self) -> frozenset[str]:
        """Every id that a wrangler file names."""
        environments = (environment for file in self.configs for environment in file.environments.values())
        return frozenset(one.certificate_id for environment in environments for one in environment.bindings)

    @property
    def asked(self) -> dict[EntryId, Entry | None]:
        """The answers for ids that the list lacks."""
        late = {entry.id: entry for entry in self.lagging}
        listed = {entry.id for entry in self.entries}
        names = (EntryId(text) for text in sorted(self.ids) if is_askable(text, self.store.kind))
        return {text: late.get(text) for text in names if text not in listed}

    def scene(
        self, desired: Desired | None = None, declared: Mapping[WorkerLabel, WranglerFile] | None = None
    ) -> Scene:
        """The same for a proposal."""
        bare = Desired(Declaration("mtls.toml", self.stack, store=self.store), {})
        return Scene(
            desired or bare,
            Listing(tuple(self.entries)),
            self.asked,
            tuple(self.configs),
            self.found,
            NOW,
            declared or {},
        )


@dataclass(frozen=True)
class Taken:
    """What came of it: the text, what it means, and the plan of it."""

    world: World
    text: str
    proposal: Proposal
    findings: tuple[Diagnostic, ...]

    @cached_property
    def values(self) -> dict[str, Any]:
        """The text as TOML."""
        return tomli.loads(self.text)

    @cached_property
    def desired(self) -> Desired:
        """What it declares, with the certificates of the world; InputError where the format refuses it."""
        declaration, warnings = parse_declaration(self.text.encode(), "mtls.toml", keys.KINDS)
        assert warnings == ()
        certificates = declaration.certificates
        bundles = {name: bundle(self.world.files[one.path]) for name, one in certificates.items()}
        return Desired(declaration, bundles)

    @property
    def declared(self) -> dict[WorkerLabel, WranglerFile]:
        """The wrangler files of its Workers."""
        by_path = {file.path: file for file in self.world.configs}
        return {label: by_path[worker.config] for label, worker in self.desired.declaration.workers.items()}

    @property
    def actual(self) -> Actual:
        """What a plan of it looks at."""
        listing = Listing(tuple(self.world.entries))
        return Actual(files=self.declared, listing=listing, asked=self.world.asked, sweep=Sweep())

    @cached_property
    def plan(self) -> Plan:
        """The plan of it."""
        return make_plan(judge(self.desired, self.actual, NOW))

    @property
    def errors(self) -> list[Diagnostic]:
        """What the plan calls an error."""
        return [problem for problem in self.plan.diagnostics if problem.severity is Severity.ERROR]

    @property
    def changes(self) -> list[object]:
        """What the plan would change; of a stack that is taken up again, old entries may be due to go."""
        return [change for change in self.plan.changes if not isinstance(change, Retire)]

    def codes(self) -> list[str]:
        """The codes of the proposal's own findings."""
        return [finding.code for finding in self.findings]

    def updated(self, world: World) -> Taken:
        """After `--update`, in another world."""
        again = Taken(world, self.text, self.proposal, ())
        by_path = {file.path: file for file in world.configs}
        workers = again.desired.declaration.workers
        declared = {label: by_path[worker.config] for label, worker in workers.items()}
        proposal, findings = propose(world.scene(again.desired, declared))
        proposal = only_new(proposal)
        text, by_hand = update_declaration(self.text, again.desired.declaration, proposal)
        return Taken(world, text, proposal, (*findings, *by_hand))

    def edited(self, text: str) -> Taken:
        """With another text, as a person would have it."""
        return replace(self, text=text)


def take_over(world: World) -> Taken:
    """What `init --from` would write."""
    proposal, findings = propose(world.scene())
    return Taken(world, write_declaration(proposal), proposal, findings)


def in_account(account: str = "a" * 32) -> StoreSettings:
    """The settings of a Cloudflare store."""
    return StoreSettings(StoreKind.CLOUDFLARE, account)


def lines_survive(old: str, new: str) -> bool:
    """Whether every line of a text is still there, in order; the last one may have got a newline."""
    rest: Iterable[str] = iter(new.splitlines())
    return all(line in rest for line in old.splitlines())
