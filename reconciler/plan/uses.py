"""Every place that names an entry by its id: bindings of declared wrangler files, and `{ id = ... }` in mtls.toml."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reconciler.findings.diagnostics import Pointer
from reconciler.model import (
    Actual,
    ById,
    DeclaredBinding,
    DeclaredWorker,
    Desired,
    EnvironmentName,
    FoundBinding,
    WranglerFile,
)
from reconciler.model.words import environment_text
from reconciler.plan.binding_findings import bindings_table


@dataclass(frozen=True, slots=True)
class Use:
    """One binding of a wrangler file. `declared`: what mtls.toml says of it, None where it says nothing.

    `table` has the keys that lead to its list: an environment's, or those of `previews`, which nobody declares.
    """

    worker: DeclaredWorker
    file: WranglerFile
    environment: EnvironmentName
    table: tuple[str, ...]
    found: FoundBinding
    declared: DeclaredBinding | None

    @property
    def text(self) -> str:
        """The binding with its place, for a sentence."""
        where = "previews" if self.table == ("previews",) else environment_text(self.environment)
        return f"{self.found.binding} in {self.file.path} ({where})"

    @property
    def pointer(self) -> Pointer:
        """Where its id stands."""
        return Pointer(self.file.path, (*self.table, "mtls_certificates", self.found.index, "certificate_id"))

    @property
    def bindings_table(self) -> str:
        """The header of the table in mtls.toml that declares it, or would."""
        return bindings_table(self.worker.label, self.environment)


def find_uses(desired: Desired, actual: Actual) -> tuple[Use, ...]:
    """Every binding of every declared wrangler file, each file once, in the order of their paths.

    Environments of another account are left out: their ids mean nothing to this store.
    """
    return tuple(sorted(_uses(desired, actual), key=lambda use: (use.file.path, use.table, use.found.index)))


def ids_by_id(desired: Desired) -> frozenset[str]:
    """The ids that mtls.toml itself names."""
    return frozenset(
        binding.target.id
        for worker in desired.declaration.workers.values()
        for bindings in worker.environments.values()
        for binding in bindings
        if isinstance(binding.target, ById)
    )


def _uses(desired: Desired, actual: Actual) -> Iterator[Use]:
    workers, account = desired.declaration.workers, desired.declaration.store.account_id
    by_file: dict[str, list[DeclaredWorker]] = {}
    for label, file in sorted(actual.files.items()):
        by_file.setdefault(file.path, []).append(workers[label])
    files = {file.path: file for file in actual.files.values()}
    for path, declaring in by_file.items():
        file = files[path]
        for environment, there in file.environments.items():
            if account and there.account_id and there.account_id != account:
                continue
            owner = next((one for one in declaring if environment in one.environments), declaring[0])
            known = {one.binding: one for one in owner.environments.get(environment, ())}
            table = () if environment is None else ("env", environment)
            for found in there.bindings:
                declared = next((one for name, one in known.items() if name == found.binding), None)
                yield Use(owner, file, environment, table, found, declared)
        for found in file.previews or ():
            yield Use(declaring[0], file, None, ("previews",), found, None)
