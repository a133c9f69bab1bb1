"""Since when old entries are kept, and what to do about it.

A grace period ends by itself. Other conditions can last: a Worker that is deployed once a year can keep an entry for a
year.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from reconciler.findings.escape import shell_command
from reconciler.findings.values import dataclass
from reconciler.model import CertificateName, Condition, Deploy, EntryId, SiteAddress, Waiting
from reconciler.plan.assess import scene_of
from reconciler.plan.assessment import Assessment, CertificateRow, EntryRow, Pending, SiteRow, Waits
from reconciler.plan.inventory import Role
from reconciler.plan.live import is_elsewhere, target_of, target_text
from reconciler.plan.plan import Plan
from reconciler.plan.retire import kept_since
from reconciler.plan.retire_live import LiveUse, can_be_live, live_uses
from reconciler.reports.left import deploy_command

_MOST_NAMED = 4
_HINTS: Mapping[Condition, str] = {
    Condition.NAMED_IN_FILE: "remove its ID from {files}",
    Condition.UNCHECKED: "make that file readable, or remove it",
    Condition.USED_ELSEWHERE: "let {users} use another certificate",
}
"""What to do about conditions other than those of live Workers, if the detail of the condition does not say it."""


@dataclass(frozen=True, slots=True)
class KeptFor:
    """A version of a Worker that keeps an entry. `site`: the declared environment that deploys this Worker."""

    use: LiveUse
    site: SiteAddress | None


@dataclass(frozen=True, slots=True)
class KeptEntry:
    """A waiting change. Of an old entry, `since`: when its grace period ended, if it has; `hint`: what to do about it.

    `live`: the versions of Workers that keep it, if it waits for these.
    """

    waiting: Waiting
    since: datetime | None = None
    hint: str | None = None
    live: tuple[KeptFor, ...] = ()


def find_kept(plan: Plan) -> tuple[KeptEntry, ...]:
    """Every waiting change, in the order of the plan."""
    scene, sites = scene_of(plan.assessment), _Sites(plan.assessment)

    def find(wait: Waiting) -> KeptEntry:
        if wait.entry is None:
            return KeptEntry(wait)
        row = plan.assessment.by_entry[wait.entry.id]
        facts = row.verdict.facts if isinstance(row.verdict, Waits) else {}
        live = sites.keeping(wait.condition, wait.entry.id)
        return KeptEntry(wait, kept_since(row, scene), sites.hint(wait.condition, facts, live, wait.entry.id), live)

    return tuple(map(find, plan.waiting))


def hint_of(condition: Condition, facts: Mapping[str, str], entry_id: EntryId, assessment: Assessment) -> str | None:
    """What to do to make a condition of an entry hold; None if only time does, or if the detail says it."""
    sites = _Sites(assessment)
    return sites.hint(condition, facts, sites.keeping(condition, entry_id), entry_id)


def needs_more_deploys(entry_id: EntryId, assessment: Assessment) -> bool:
    """Whether one deploy of each Worker is not enough, because a rollback could restore a version that uses it."""
    return _Sites(assessment).more_deploys(entry_id)


def is_deployed_here(condition: Condition, entry_id: EntryId, assessment: Assessment) -> bool:
    """Whether only versions of Workers that mtls.toml declares keep an entry, so that deploys of these end it."""
    found = _Sites(assessment).keeping(condition, entry_id)
    return bool(found) and all(one.site is not None for one in found)


def hint_to_retire(waiting: Waiting, name: str, assessment: Assessment, *, skips_grace: bool) -> str:
    """What to do where `mtlsctl retire NAME` can't delete an entry yet, for a person in a hurry."""
    certificate, entry, condition = waiting.certificate, waiting.entry, waiting.condition
    live = " --live" if can_be_live(assessment.desired) else ""
    explain = f"run `mtlsctl explain {certificate}{live}` to see every condition"
    if condition is Condition.GRACE and not skips_grace:
        return f"{explain}; only if its key leaked, skip the grace period: `mtlsctl retire {name} --now`"
    row = assessment.by_entry.get(entry.id) if entry is not None else None
    if row is None or not isinstance(row.verdict, Waits):
        return explain
    sites, ignoring = _Sites(assessment), f"`mtlsctl retire {name}{' --now' if skips_grace else ''} --ignore-rollback`"
    if condition is Condition.ROLLBACK_REACH and row.verdict.facts.get("case") != "latest":
        uses = tuple(one.use for one in sites.keeping(condition, row.entry.id))
        return f"{sites.to_leave_reach(uses)}, then run this again; or give up the rollback: {ignoring}"
    if condition is Condition.PRESENTED_LIVE and sites.more_deploys(row.entry.id):
        hint = sites.hint(condition, row.verdict.facts, sites.keeping(condition, row.entry.id), row.entry.id)
        return f"{hint}, then run this again; or give up the rollback after the first deploy: {ignoring}"
    is_bound_next = condition is Condition.BINDINGS_PENDING and waiting.until is None
    if (
        row.owner is not None
        and row.owner in assessment.by_name
        and (condition is Condition.SUCCESSOR_MISSING or (is_bound_next and not row.verdict.facts["case"]))
    ):
        return f"{sites.to_apply(row.owner)}, then run this again"
    hint = hint_of(condition, row.verdict.facts, row.entry.id, assessment)
    return explain if hint is None else f"{hint}, then run this again; {explain}"


def nothing_to_retire(name: CertificateName, assessment: Assessment) -> str:
    """What is uploaded of a declared certificate that has no old version, and what to do if its key leaked."""
    row = assessment.by_name[name]
    if row.entry is None:
        return f"Nothing to do: {name} has no old version, and is not uploaded yet. Next: mtlsctl apply --only {name}"
    newer = [one.entry.id for one in assessment.entries if one.owner == name and one.role is Role.NEWER]
    more = f", and {', '.join(newer)} (newer than the declared one, so it is kept)" if newer else ""
    count = len(assessment.uses.get(row.entry.id, ()))
    uses = f"{count} binding{'' if count == 1 else 's'}"
    return (
        f"Nothing to do: {name} has no old version. Uploaded: {row.entry.id} (current, {uses}){more}.\n"
        f"If its key leaked: {_to_replace(row, assessment)}, then run this again."
    )


def hint_to_make_old(row: EntryRow, assessment: Assessment) -> str:
    """What to do where `mtlsctl retire ID` names an upload that is not an old version."""
    declared = assessment.by_name.get(row.owner) if row.owner is not None else None
    if declared is None:
        return f"run `mtlsctl explain {row.entry.id}` to see what uses it"
    if row.role is Role.UNDECIDED:
        return f"fix {declared.declared.path}, then run this again"
    leaked = f"if its key leaked, {_to_replace(declared, assessment)}"
    if row.role is Role.NEWER:
        return f"{leaked}: then this one is old; run this again"
    return (
        f"{leaked}, then run `mtlsctl retire {row.owner} --now`; if nothing needs it any more, remove it from mtls.toml"
        " with `prune = true`, then run `mtlsctl apply --prune`"
    )


def _to_replace(row: CertificateRow, assessment: Assessment) -> str:
    """What makes the current upload of a certificate an old one."""
    key = "" if row.declared.ca else " and its private key"
    new = f"replace {row.declared.path}{key}"
    if row.declared.renew is not None:
        new = f"run `mtlsctl renew {row.name} --new-key`, commit its file"
    return f"{new}, {_Sites(assessment).to_apply(row.name)}"


class _Sites:
    """The declared environments by the Worker that they deploy, gathered once."""

    def __init__(self, assessment: Assessment) -> None:
        self._live = assessment.actual.live
        is_ignored = assessment.ask.ignore_rollback is not None
        self._rollback_versions = 0 if is_ignored else assessment.desired.declaration.policy.rollback_versions
        self._bindings = assessment.bindings
        self._updates = assessment.updates
        self._by_target: dict[str, SiteRow] = {}
        store = assessment.desired.declaration.store
        self._has_live = can_be_live(assessment.desired)
        for row in assessment.sites:
            if row.file is None or is_elsewhere(store, row.file.environments[row.at.environment]):
                continue
            target = target_of(row.file, row.at.environment)
            if target is not None:
                self._by_target.setdefault(target, row)

    def keeping(self, condition: Condition, entry_id: EntryId) -> tuple[KeptFor, ...]:
        """The versions of Workers for which an entry waits."""
        if condition not in {Condition.PRESENTED_LIVE, Condition.ROLLBACK_REACH}:
            return ()
        uses = live_uses(entry_id, self._live)
        rows = (self._by_target.get(use.worker.script) for use in uses)
        return tuple(KeptFor(use, row.at if row else None) for use, row in zip(uses, rows, strict=True))

    def hint(
        self, condition: Condition, facts: Mapping[str, str], live: Iterable[KeptFor], entry_id: EntryId
    ) -> str | None:
        """What to do to make the condition hold, or None."""
        uses = tuple(one.use for one in live)
        if not uses:
            hint = _HINTS.get(condition)
            return hint.format_map(facts) if hint is not None else None
        is_deployed = all(use.version.deployments_ago is not None for use in uses)
        if condition is Condition.ROLLBACK_REACH and is_deployed:
            return self._to_leave_reach(uses)
        return self._to_replace(entry_id, uses)

    def _to_replace(self, entry_id: EntryId, uses: Sequence[LiveUse]) -> str:
        """What ends the use by live versions: a deploy of each, and more until no rollback can restore one."""
        used = Counter(use.worker.script for use in uses)
        split = [use.worker.script for use in uses if len(use.worker.serving) > 1]
        whole = [use.worker.script for use in uses if used[use.worker.script] >= len(use.worker.serving)]
        behind = self._behind(entry_id, uses)
        steps = [behind] if behind is not None else []
        steps += [f"finish the gradual deployment of {_names(split)}"] if split else []
        declared = [script for script in whole if script in self._by_target]
        if declared:
            steps.append(f"deploy {_names(declared)}{self._how(declared) if behind is None else ''}")
        others = [script for script in whole if script not in self._by_target]
        if others:
            steps.append(f"deploy {_names(others)} with another certificate")
        reach = self._rollback_versions if any(use.version.deployments_ago is not None for use in uses) else 0
        them = "it" if len({*split, *whole}) == 1 else "them"
        then = (
            f", then deploy {them} {_more_times(reach)} with wrangler (`rollback_versions = {reach}`)" if reach else ""
        )
        first = f"{steps.pop(0)}, then " if behind is not None and len(steps) > 1 else ""
        return f"{first}{' and '.join(steps)}{then}"

    def to_apply(self, name: CertificateName) -> str:
        """The command that uploads and binds a declared certificate, and the Workers to deploy after it."""
        places = {row.at.site for row in self._bindings if row.certificate == name}
        scripts = [script for script, row in self._by_target.items() if row.at in places] if self._has_live else []
        deploy = " --deploy" if any(row.certificate == name for row in self._updates) else ""
        return f"run `mtlsctl apply --only {name}{deploy}`{f', deploy {_names(scripts)}' if scripts else ''}"

    def more_deploys(self, entry_id: EntryId) -> bool:
        """Whether Workers must be deployed more than once, so that no rollback restores a version that uses it."""
        uses = self.keeping(Condition.PRESENTED_LIVE, entry_id)
        return self._rollback_versions > 0 and any(use.use.version.deployments_ago is not None for use in uses)

    def _behind(self, entry_id: EntryId, uses: Sequence[LiveUse]) -> str | None:
        """The command that must be run before a deploy helps, because the wrangler files still have the ID."""
        sites = {row.at for use in uses if (row := self._by_target.get(use.worker.script)) is not None}
        stale = [row for row in self._bindings if row.found_id == entry_id and row.at.site in sites]
        if not stale:
            return None
        times = [row.verdict.until for row in stale if isinstance(row.verdict, Waits) and row.verdict.until is not None]
        return f"run `mtlsctl apply` from {max(times):%Y-%m-%d %H:%M} UTC on" if times else "run `mtlsctl apply`"

    def _to_leave_reach(self, uses: Sequence[LiveUse]) -> str:
        """What makes a rollback to these versions impossible: a number of deploys, or a lower `rollback_versions`."""
        nearest = min(use.version.deployments_ago or 0 for use in uses)
        return f"{self.to_leave_reach(uses)}, or set `rollback_versions = {nearest - 1}` in `[policy]`"

    def to_leave_reach(self, uses: Sequence[LiveUse]) -> str:
        """How often to deploy which Workers until no rollback can restore these versions."""
        scripts = [use.worker.script for use in uses]
        nearest = min(use.version.deployments_ago or 0 for use in uses)
        return f"deploy {_names(scripts)} {_more_times(self._rollback_versions - nearest + 1)}{self._command(scripts)}"

    def _how(self, scripts: Sequence[str]) -> str:
        """The command that deploys these declared Workers: `mtlsctl apply --deploy` if it would deploy all of them."""
        if all(_would_deploy(self._by_target[script]) for script in scripts):
            return " (`mtlsctl apply --deploy`)"
        return self._command(scripts)

    def _command(self, scripts: Sequence[str]) -> str:
        """The command of wrangler if there is one Worker, and it is declared here; else empty."""
        row = self._by_target.get(scripts[0]) if len(set(scripts)) == 1 else None
        if row is None or row.file is None or row.file.pages:
            return ""
        built = row.file.built.path if row.file.built is not None else None
        return f" (`{shell_command(deploy_command(row.at.config, row.at.environment, built))}`)"


def _would_deploy(row: SiteRow) -> bool:
    """Whether `apply --deploy` would deploy an environment as it is."""
    if row.file is None or row.file.pages:
        return False
    return isinstance(row.verdict, Pending | Waits) and isinstance(row.verdict.change, Deploy)


def _names(scripts: Iterable[str]) -> str:
    """The names of the first few Workers, and the number of the others."""
    shown = [target_text(script) for script in dict.fromkeys(scripts)]
    if len(shown) > _MOST_NAMED:
        shown[_MOST_NAMED - 1 :] = [f"{len(shown) - _MOST_NAMED + 1} more Workers"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _more_times(count: int) -> str:
    return "once more" if count == 1 else f"{count} more times"
