"""What was found: wrangler files, certificates and uploads, and the entry of each binding."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import field
from datetime import datetime
from functools import cached_property

from reconciler.desired.rules import accepts, check_environment_name
from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.values import dataclass
from reconciler.model import (
    ById,
    CaList,
    DeclaredHyperdrive,
    DeclaredWorker,
    Desired,
    Entry,
    EntryId,
    EnvironmentName,
    FoundBinding,
    HyperdriveConfig,
    HyperdriveField,
    Listing,
    WorkerLabel,
    WranglerEnvironment,
    WranglerFile,
    Zone,
)
from reconciler.model.identifiers import is_askable
from reconciler.model.ownership import CUSTOM, is_other_stacks, read_mark
from reconciler.model.words import environment_path, environment_text
from reconciler.plan.binding_findings import PAGES_ENVIRONMENTS
from reconciler.plan.inventory import Inventory, take_inventory
from reconciler.takeover.proposed import FoundCertificate


@dataclass(frozen=True, slots=True)
class UndeclaredBinding:
    """One binding of one environment. `entry` None: its ID is not uploaded, or is not a valid ID."""

    file: WranglerFile
    environment: EnvironmentName
    found: FoundBinding
    entry: Entry | None

    @property
    def text(self) -> str:
        """The place, for a sentence."""
        return f"{self.found.binding} in {self.file.path} ({environment_text(self.environment)})"

    @property
    def pointer(self) -> Pointer:
        """The place of the binding in its file."""
        table = environment_path(self.environment)
        return Pointer(self.file.path, (*table, "mtls_certificates", self.found.index))


@dataclass(frozen=True)
class Scene:
    """Everything that a proposal is made from.

    `desired`: what is declared already; for a new file only stack and store. `declared`: the wrangler files of its
    Workers, which are also in `configs`. `asked` and `unasked`: as in `Actual`, for all bindings. `hyperdrives`: the
    configurations of the account. `lists`: the hostnames that trust each CA, of every zone.
    """

    desired: Desired
    listing: Listing
    asked: Mapping[EntryId, Entry | None]
    configs: tuple[WranglerFile, ...]
    certificates: tuple[FoundCertificate, ...]
    now: datetime
    declared: Mapping[WorkerLabel, WranglerFile] = field(default_factory=dict)
    unasked: frozenset[EntryId] = frozenset()
    hyperdrives: tuple[HyperdriveConfig, ...] = ()
    lists: tuple[tuple[Zone, CaList], ...] = ()

    @cached_property
    def entries(self) -> Mapping[EntryId, Entry]:
        """Every known entry, including those that the list lacks and that were found by their ID."""
        asked = {entry.id: entry for entry in self.asked.values() if entry is not None}
        return {**asked, **{entry.id: entry for entry in self.listing.entries}}

    @cached_property
    def stock(self) -> Inventory:
        """The roles of the entries for what is declared already."""
        return take_inventory(self.desired, self.listing, self.declared)

    @cached_property
    def sites(self) -> tuple[UndeclaredBinding, ...]:
        """Every binding that is not declared and could be, in the order of the files."""
        return tuple(
            UndeclaredBinding(file, name, found, self._entry_of(found))
            for file in self.configs
            for name, environment in file.environments.items()
            if self.why_not(file, environment) is None
            for found in environment.bindings
            if not self.is_declared(file, name, found.binding)
        )

    @cached_property
    def bound_by_id(self) -> Mapping[EntryId, Entry]:
        """The client certificates that mtls.toml binds by their IDs, in its order."""
        targets = (
            declared.target
            for worker in self.desired.declaration.workers.values()
            for bindings in worker.environments.values()
            for declared in bindings
        )
        entries = (self.entries.get(target.id) for target in targets if isinstance(target, ById))
        return {entry.id: entry for entry in entries if entry is not None and not entry.ca}

    @property
    def in_use(self) -> Mapping[EntryId, Entry]:
        """Every client certificate that a binding uses: one that is not declared yet, or one declared by its ID; then
        what Hyperdrive uses, CAs too."""
        found = (site.entry for site in self.sites if site.entry is not None and not site.entry.ca)
        return {entry.id: entry for entry in (*found, *self.bound_by_id.values(), *self.used_by_hyperdrive.values())}

    def declared_hyperdrive(self, config: HyperdriveConfig) -> DeclaredHyperdrive | None:
        """The table that declares a configuration already, or None."""
        declared = self.desired.declaration.hyperdrives
        return next((one for one in declared if one.config in (config.id, config.name)), None)

    @cached_property
    def new_in_hyperdrive(self) -> tuple[tuple[HyperdriveConfig, Mapping[HyperdriveField, Entry]], ...]:
        """What configurations use, where their tables do not declare that field yet, by the names of configurations."""
        found = []
        for config in sorted(self.hyperdrives, key=lambda one: (one.name, one.id)):
            declared = self.declared_hyperdrive(config)
            ids = {
                one: EntryId(config.get(one) or "")
                for one in (HyperdriveField.CERTIFICATE, HyperdriveField.CA)
                if declared is None or one not in declared.certificates
            }
            used = {one: self.entries[entry_id] for one, entry_id in ids.items() if entry_id in self.entries}
            found += [(config, used)] if used else []
        return tuple(found)

    @cached_property
    def used_by_hyperdrive(self) -> Mapping[EntryId, Entry]:
        """The uploaded certificates that configurations use and do not declare yet, CAs too."""
        return {entry.id: entry for _, used in self.new_in_hyperdrive for entry in used.values()}

    def _entry_of(self, found: FoundBinding) -> Entry | None:
        """The entry of a binding if its ID is well-formed; mtls.toml can't bind anything else."""
        text = found.certificate_id
        askable = is_askable(text, self.desired.declaration.store.kind)
        return self.entries.get(EntryId(text)) if askable else None

    def workers_of(self, file: WranglerFile) -> tuple[DeclaredWorker, ...]:
        """The Workers that declare a file already, sorted by label."""
        return tuple(self._by_path.get(file.path, ()))

    @cached_property
    def _by_path(self) -> Mapping[str, list[DeclaredWorker]]:
        workers: dict[str, list[DeclaredWorker]] = defaultdict(list)
        for label, file in sorted(self.declared.items()):
            workers[file.path].append(self.desired.declaration.workers[label])
        return workers

    def declaring(self, file: WranglerFile, environment: EnvironmentName) -> DeclaredWorker | None:
        """The Worker that declares an environment already, or None."""
        return next((one for one in self.workers_of(file) if environment in one.environments), None)

    def is_declared(self, file: WranglerFile, environment: EnvironmentName, binding: str) -> bool:
        """Whether a binding is declared already."""
        worker = self.declaring(file, environment)
        return worker is not None and any(one.binding == binding for one in worker.environments[environment])

    def can_be_ours(self, entry: Entry) -> bool:
        """Whether a certificate with its content can be declared here and would use exactly this entry."""
        if entry.bundle is None or entry.bundle.digest in self._declared_contents or entry.type != CUSTOM:
            return False
        listed = entry.id in self.stock.entries  # what the list lacks is not adopted by the next plan
        return listed and not is_other_stacks(read_mark(entry), self.desired.declaration)

    @cached_property
    def _declared_contents(self) -> frozenset[str]:
        return frozenset(bundle.digest for bundle in self.desired.bundles.values())

    def why_not(self, file: WranglerFile, environment: WranglerEnvironment) -> str | None:
        """Why an environment can't be declared; None if it can."""
        ours, theirs = self.desired.declaration.store.account, environment.account_id
        if ours and theirs and theirs != ours:
            return f"it uses the account {theirs}, not {ours}"
        if file.pages and environment.name not in (None, *PAGES_ENVIRONMENTS):
            return "a Pages project can't have this environment"
        if environment.name is not None and not accepts(check_environment_name, environment.name):
            return "mtls.toml does not allow its name"
        return None

    def left_out(self) -> Iterator[Diagnostic]:
        """Yield a warning for each environment with bindings that can't be declared."""
        for file in self.configs:
            for environment in file.environments.values():
                why = self.why_not(file, environment)
                if why is not None and environment.bindings:
                    where = environment_path(environment.name)
                    message = f"{file.path} ({environment_text(environment.name)}) is left out: {why}"
                    hint = "its bindings are left as they are; each account needs an mtls.toml of its own"
                    yield Diagnostic(Severity.WARNING, Code.LEFT_OUT, message, Pointer(file.path, where), hint)
