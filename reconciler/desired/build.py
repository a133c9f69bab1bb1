"""From the checked shapes to the core's values: every text gets its type, every default its place."""

from __future__ import annotations

import re
from collections.abc import Mapping

from reconciler.desired.durations import parse_duration, parse_renew_before
from reconciler.desired.rules import ENTRY_ID_PATTERN
from reconciler.desired.shapes import CertificateTable, Document, PolicyTable, StoreTable, WorkerTable
from reconciler.desired.unions import BoundTo
from reconciler.model import (
    BindingName,
    CertificateName,
    Declaration,
    DeclaredBinding,
    DeclaredCertificate,
    DeclaredWorker,
    Deployer,
    EnvironmentName,
    Policy,
    RenewBefore,
    StoreKind,
    StoreSettings,
    WorkerLabel,
)


def build_declaration(document: Document, path: str) -> Declaration:
    """The declaration; nothing can fail any more."""
    return Declaration(
        path=path,
        stack=document.stack,
        former_stacks=tuple(document.former_stacks),
        store=_store(document.store),
        policy=_policy(document.policy),
        certificates={
            CertificateName(name): _certificate(CertificateName(name), table)
            for name, table in document.certificates.items()
        },
        workers={WorkerLabel(label): _worker(WorkerLabel(label), table) for label, table in document.workers.items()},
    )


def _store(table: StoreTable) -> StoreSettings:
    return StoreSettings(kind=StoreKind(table.kind), account_id=table.account_id, limit=table.limit)


def _policy(table: PolicyTable) -> Policy:
    return Policy(
        renew_before=_renew_before(table.renew_before),
        grace=parse_duration(table.grace),
        prune=table.prune,
        max_deletes=table.max_deletes,
        rollback_versions=table.rollback_versions,
        verify_before=table.verify_before or frozenset(),
    )


def _renew_before(text: str | None) -> RenewBefore | None:
    return None if text is None else parse_renew_before(text)


def _certificate(name: CertificateName, table: CertificateTable) -> DeclaredCertificate:
    return DeclaredCertificate(
        name=name,
        path=table.certificate,
        key=table.private_key,
        ca=table.ca,
        verify=table.verify,
        verify_before=table.verify_before,
        supersedes=tuple(text.lower() if re.fullmatch(ENTRY_ID_PATTERN, text) else text for text in table.supersedes),
        renew_before=_renew_before(table.renew_before),
        grace=None if table.grace is None else parse_duration(table.grace),
        owner=table.owner,
    )


def _worker(label: WorkerLabel, table: WorkerTable) -> DeclaredWorker:
    environments: dict[EnvironmentName, tuple[DeclaredBinding, ...]] = {}
    if table.bindings is not None:
        environments[None] = _bindings(table.bindings)
    for name, environment in table.env.items():
        environments[name] = _bindings(environment.bindings)
    deployed = {None: table.deployed} | {
        name: table.deployed if one.deployed is None else one.deployed for name, one in table.env.items()
    }
    return DeclaredWorker(
        label=label,
        config=table.config,
        exclusive=table.exclusive,
        environments=environments,
        undeployed=frozenset(name for name, is_deployed in deployed.items() if not is_deployed),
        deploy=None if table.deploy is None else Deployer(table.deploy),
    )


def _bindings(table: Mapping[str, BoundTo]) -> tuple[DeclaredBinding, ...]:
    return tuple(DeclaredBinding(BindingName(name), bound.target, bound.remote) for name, bound in table.items())
