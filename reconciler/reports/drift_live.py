"""Drift that only `--live` shows: live Workers that differ from their wrangler file, and other users of old
certificates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Pointer
from reconciler.findings.escape import printable, shell_command
from reconciler.model import CertificateName, EntryId, SiteAddress, UserKind
from reconciler.model.words import environment_path, environment_text
from reconciler.plan.assessment import Assessment, Pending
from reconciler.plan.binding_findings import toml_key
from reconciler.plan.inventory import Role
from reconciler.plan.live import LiveBinding, LiveState, unread_findings
from reconciler.plan.plan import Plan
from reconciler.plan.users import Use, find_uses
from reconciler.reports.drift import Drift, DriftFinding, State, Subject, drift_key, environment_part
from reconciler.reports.left import deploy_command

_OTHERS = {UserKind.HYPERDRIVE, UserKind.HOSTNAMES}
_STATES = {
    LiveState.NEEDS_DEPLOY: State.CHANGED,
    LiveState.SPLIT: State.CHANGED,
}


def join_live(drift: Drift, plan: Plan) -> Drift:
    """The drift with that of live Workers, of a plan that read them. A Worker that could not be read is an error."""
    inventory = plan.assessment.inventory
    owned = frozenset(inventory.owned) if inventory is not None else frozenset()
    rows = [row for row in plan.live or () if _is_ours(row, owned)]
    drift = replace(drift, findings=tuple(_with_live(drift.findings, rows)))
    findings = tuple(_findings(rows, plan.assessment, inventory.owned if inventory is not None else {}))
    declared = {(row.at.place[1], row.certificate) for row in plan.assessment.updates}
    others = (use for use in find_uses(plan.assessment) if use.user.kind in _OTHERS)
    uses = [use for use in others if (use.user.id, use.certificate) not in declared]
    findings += tuple(_use_findings(uses, plan.assessment))
    in_sync = sum(row.state in {LiveState.IN_SYNC, LiveState.FILE_BEHIND} for row in rows)
    in_sync += sum(use.role is Role.CURRENT for use in uses)
    told = [problem.message for problem in drift.diagnostics if problem.code is Code.LIVE_UNREAD]
    unknown = (row for row in rows if row.state is LiveState.UNKNOWN)
    unread = unread_findings(row for row in unknown if not any(str(row.detail) in message for message in told))
    return drift.joined(findings, unread, in_sync=in_sync)


def _is_ours(row: LiveBinding, owned: frozenset[EntryId]) -> bool:
    """Declared, or using a certificate of this stack that nothing declares."""
    declared = row.certificate is not None or row.desired is not None
    return declared or any(one.id in owned for one in row.live)


def _with_live(findings: Iterable[DriftFinding], rows: list[LiveBinding]) -> Iterator[DriftFinding]:
    """The findings; one about a file that is behind its live version says that no deploy is needed."""
    behind = {row.at for row in rows if row.state is LiveState.FILE_BEHIND}
    for one in findings:
        if one.subject is Subject.BINDING and one.at in behind:
            hint = f"{one.hint}; then commit the file. Do not deploy the file as it is" if one.apply else one.hint
            one = replace(one, message=f"{one.message}; the live version is right, only the file is behind", hint=hint)
        yield one


def _findings(
    rows: list[LiveBinding], assessment: Assessment, owned: Mapping[EntryId, CertificateName]
) -> Iterator[DriftFinding]:
    missing: dict[SiteAddress, list[LiveBinding]] = defaultdict(list)
    for row in rows:
        state = _STATES.get(row.state)
        if row.state is LiveState.NOT_DEPLOYED:
            missing[row.at.site].append(row)
            continue
        if state is None:
            continue
        if row.state is LiveState.NEEDS_DEPLOY and row.file is None:
            state = State.UNEXPECTED
        elif row.state is LiveState.NEEDS_DEPLOY and all(one.id is None for one in row.live):
            state = State.MISSING
        certificate = row.certificate
        if certificate is None and row.desired is None:  # declared no more: of the certificate that is still live
            certificate = next((owned[one.id] for one in row.live if one.id is not None and one.id in owned), None)
        hint = "finish the gradual deployment: `wrangler versions deploy`"
        yield _finding(
            row, state, certificate, hint if row.state is LiveState.SPLIT else _deploy(row.at.site, assessment)
        )
    for site, of_site in missing.items():
        if site.environment not in assessment.desired.declaration.workers[site.worker].undeployed:
            yield _not_deployed(site, of_site, assessment)


def _deploy(site: SiteAddress, assessment: Assessment, otherwise: str = "") -> str:
    """How to deploy a Worker: after IDs are written, so as not to roll back, and what wrangler refuses is fixed."""
    mine = [row for row in assessment.bindings if row.at.site == site]
    unusable = [row for row in mine if row.declared is None and row.found is not None and row.entry is None]
    built = assessment.actual.files[site.worker].built
    command = shell_command(deploy_command(site.config, site.environment, built.path if built else None))
    steps = []
    if any(isinstance(row.verdict, Pending) for row in mine):
        steps.append("run `mtlsctl apply`")
    if unusable:
        names = ", ".join(printable(row.at.binding) for row in unusable)
        steps.append(f"fix {names} in {printable(site.config)}, which wrangler refuses: no certificate has such an ID")
    return f"{', then '.join((*steps, 'deploy it'))}{otherwise}:\n{command}"


def _not_deployed(site: SiteAddress, rows: Sequence[LiveBinding], assessment: Assessment) -> DriftFinding:
    """A Worker without a live version, once for all of its bindings."""
    where = f"{site.config} ({environment_text(site.environment)})"
    table = f"[workers.{site.worker}" + ("]" if site.environment is None else f".env.{toml_key(site.environment)}]")
    otherwise = f"; or set `deployed = false` in `{table}` until it is"
    return DriftFinding(
        state=State.MISSING,
        subject=Subject.LIVE,
        key=drift_key(Subject.LIVE, site.config, environment_part(site.environment)),
        message=f"{rows[0].script or 'the Worker'}, from {where}, is not deployed in this account; bindings: "
        + ", ".join(row.at.binding for row in rows),
        hint=_deploy(site, assessment, otherwise),
        where=Pointer(site.config, environment_path(site.environment)),
        at=site,
    )


def _finding(row: LiveBinding, state: State, certificate: CertificateName | None, hint: str) -> DriftFinding:
    return DriftFinding(
        state=state,
        subject=Subject.LIVE,
        key=drift_key(Subject.LIVE, row.at.config, environment_part(row.at.environment), row.at.binding),
        message=_message(row),
        hint=hint,
        where=Pointer(row.at.config, (*environment_path(row.at.environment), "mtls_certificates")),
        certificate=certificate,
        at=row.at,
        expected=row.file,
        found=next((one.id for one in row.live if one.id is not None and one.id != row.file), None),
    )


def _message(row: LiveBinding) -> str:
    """What is live and what the wrangler file has, in one sentence."""
    worker, file = row.script or row.at.config, f"{row.at.config} ({environment_text(row.at.environment)})"
    has = f"{file} has {row.file}" if row.file is not None else f"{file} does not have it"
    if all(one.id is None for one in row.live):
        return f"the live version of {worker} has no binding {row.at.binding}; {has}"
    uses = " and ".join(f"{one.id or 'nothing'} ({one.share:g} %)" for one in row.live)
    return f"the live version of {worker} uses {uses} as {row.at.binding}; {has}"


def _use_findings(uses: list[Use], assessment: Assessment) -> Iterator[DriftFinding]:
    """What still uses old certificates though their successor is uploaded; only its owner can change it."""
    by_key: dict[str, list[Use]] = defaultdict(list)
    for use in uses:
        if use.role is Role.SUPERSEDED:
            by_key[drift_key(Subject.LIVE, use.user.kind, use.user.id or use.user.name, use.certificate)].append(use)
    for one_key, (use, *others) in by_key.items():
        current = assessment.by_name.get(use.certificate)
        if current is None or current.entry is None:
            continue
        count = f"{len(others)} more old certificate{'s' if len(others) > 1 else ''}"
        old = f"{use.entry.id} and {count}" if others else f"{use.entry.id}, an old certificate"
        key = "ca_certificate_id" if use.entry.ca else "mtls_certificate_id"
        hint = f"set its {key} to {current.entry.id}"
        if use.user.kind is UserKind.HOSTNAMES:
            hint = f"associate them with {current.entry.id} instead (API Shield, client certificates)"
        yield DriftFinding(
            state=State.CHANGED,
            subject=Subject.LIVE,
            key=one_key,
            message=f"{use.user.text} uses {old} of {use.certificate!r}; the current one is {current.entry.id}",
            hint=hint,
            certificate=use.certificate,
            expected=current.entry.id,
            found=use.entry.id,
        )
