"""Where everything stands: each declared certificate by urgency, with its entry, its places and what waits.

Sums up what a plan has decided already and what the wrangler files say; decides nothing anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from reconciler.findings.diagnostics import Diagnostic
from reconciler.model import (
    Action,
    BindingAddress,
    BindingName,
    ByCertificate,
    ById,
    CertificateName,
    Desired,
    Entry,
    EnvironmentName,
    StoreSettings,
    Waiting,
    WorkerLabel,
    WranglerFile,
)
from reconciler.plan.plan import Plan
from reconciler.plan.renewals import Due

Files = Mapping[WorkerLabel, WranglerFile]


class Urgency(StrEnum):
    """How soon somebody has to act, the most urgent first. `unreadable`: the file is bad, so nobody knows."""

    EXPIRED = "expired"
    DUE = "due"
    UNREADABLE = "unreadable"
    LATER = "later"


class Standing(StrEnum):
    """What a wrangler file has where a certificate is, or should be, bound.

    `undeclared`: it presents the current entry, or one that waits to be retired, and mtls.toml does not say so.
    """

    IN_PLACE = "in-place"
    OTHER_ID = "other-id"
    MISSING = "missing"
    UNDECLARED = "undeclared"


@dataclass(frozen=True, slots=True)
class BoundAt:
    """One binding of one environment. `found` is the id that the file has there, None where it has none."""

    at: BindingAddress
    standing: Standing
    found: str | None


@dataclass(frozen=True, slots=True)
class CertificateStatus:
    """One declared certificate. `entry` None: not stored. Without `due` its file could not be read."""

    certificate: CertificateName
    urgency: Urgency
    entry: Entry | None
    due: Due | None
    owner: str | None
    places: tuple[BoundAt, ...]
    waiting: tuple[Waiting, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """One look. `orphaned`: what waits of certificates that are no longer declared. `changes`: pending, by action."""

    stack: str
    store: StoreSettings
    made: datetime
    certificates: tuple[CertificateStatus, ...]
    orphaned: tuple[Waiting, ...]
    changes: Mapping[Action, int]
    diagnostics: tuple[Diagnostic, ...]


def make_status(plan: Plan, desired: Desired, files: Files) -> Status:
    """The status of a plan that asked the store and looked at everything, not at some names alone."""
    due = {item.certificate: item for item in plan.due}
    current = {item.certificate: item.entry for item in plan.adopted}
    waiting: dict[CertificateName, list[Waiting]] = defaultdict(list)
    for wait in plan.waiting:
        waiting[wait.certificate].append(wait)
    sites = _Sites(desired, files)
    certificates = [
        CertificateStatus(
            certificate=name,
            urgency=_urgency(due.get(name), plan.made),
            entry=current.get(name),
            due=due.get(name),
            owner=certificate.owner,
            places=tuple(sites.places(name, current.get(name), waiting.get(name, ()))),
            waiting=tuple(waiting.get(name, ())),
        )
        for name, certificate in desired.declaration.certificates.items()
    ]
    return Status(
        stack=plan.stack,
        store=plan.store,
        made=plan.made,
        certificates=tuple(sorted(certificates, key=_order)),
        orphaned=tuple(wait for wait in plan.waiting if wait.certificate not in desired.declaration.certificates),
        changes=plan.summary,
        diagnostics=plan.diagnostics,
    )


def _urgency(due: Due | None, now: datetime) -> Urgency:
    if due is None:
        return Urgency.UNREADABLE
    if due.has_expired(now):
        return Urgency.EXPIRED
    return Urgency.DUE if due.is_due(now) else Urgency.LATER


def _order(status: CertificateStatus) -> tuple[int, str, str]:
    renew_from = status.due.renew_from.isoformat() if status.due else ""
    return list(Urgency).index(status.urgency), renew_from, status.certificate


@dataclass(frozen=True, slots=True)
class _Site:
    """One binding of one environment, declared or found."""

    at: BindingAddress
    found: str | None

    def with_standing(self, standing: Standing) -> BoundAt:
        return BoundAt(self.at, standing, self.found)


class _Sites:
    """Every binding, gathered once: declared ones by what they shall present, the others by the id that they have."""

    def __init__(self, desired: Desired, files: Files) -> None:
        self._by_target: dict[ByCertificate | ById, list[_Site]] = defaultdict(list)
        self._undeclared: dict[str, list[_Site]] = defaultdict(list)
        declared: set[tuple[str, EnvironmentName, str]] = set()
        for label, worker in sorted(desired.declaration.workers.items()):
            file = files.get(label)
            config = file.path if file else worker.config
            for environment, bindings in worker.environments.items():
                for one in bindings:
                    found = _found(file, environment, one.binding)
                    at = BindingAddress(label, config, environment, one.binding)
                    self._by_target[one.target].append(_Site(at, found))
                    declared.add((config, environment, one.binding))
        for label, file in _each_once(files):
            for environment, there in file.environments.items():
                for one_found in there.bindings:
                    if (file.path, environment, one_found.binding) not in declared:
                        at = BindingAddress(label, file.path, environment, BindingName(one_found.binding))
                        self._undeclared[one_found.certificate_id].append(_Site(at, one_found.certificate_id))

    def places(self, name: CertificateName, entry: Entry | None, waiting: Iterable[Waiting]) -> Iterator[BoundAt]:
        """Where it is declared, by its name or by the id of its entry; then where that, or one that waits, is found."""
        targets = (ByCertificate(name), *(() if entry is None else (ById(entry.id),)))
        for target in targets:
            for site in self._by_target.get(target, ()):
                yield site.with_standing(_standing(site.found, entry))
        for one in (entry, *(wait.entry for wait in waiting)):
            for site in self._undeclared.get(one.id, ()) if one else ():
                yield site.with_standing(Standing.UNDECLARED)


def _each_once(files: Files) -> tuple[tuple[WorkerLabel, WranglerFile], ...]:
    """Every file under the first of its labels."""
    first: dict[str, tuple[WorkerLabel, WranglerFile]] = {}
    for label, file in sorted(files.items()):
        first.setdefault(file.path, (label, file))
    return tuple(first.values())


def _found(file: WranglerFile | None, environment: EnvironmentName, binding: str) -> str | None:
    there = file.environments.get(environment) if file else None
    found = there.find(binding) if there else None
    return found.certificate_id if found else None


def _standing(found: str | None, entry: Entry | None) -> Standing:
    if found is None:
        return Standing.MISSING
    return Standing.IN_PLACE if entry is not None and found == entry.id else Standing.OTHER_ID
