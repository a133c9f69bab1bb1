"""What a deploy would upload, binding by binding: whether its ID may go live. A view of the rows of the assessment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from enum import StrEnum

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.exits import ExitCode, strongest
from reconciler.findings.values import dataclass
from reconciler.model import ByCertificate, Desired, Entry, EntryId, EnvironmentName, StoreSettings, WranglerFile
from reconciler.model.identifiers import is_askable, is_of_other_store, is_placeholder
from reconciler.plan.assessment import Assessment, BindingRow, Held, Need, Pending, Unseen
from reconciler.plan.inventory import Role, is_older
from reconciler.plan.renewals import to_renew
from reconciler.x509.certificates import rfc3339
from reconciler.x509.chains import window_of

SKIP_GUARD = "MTLSCTL_SKIP_GUARD"
"""The reason why a deploy must not be stopped; it is logged."""

_DECLARE = "declare the binding in mtls.toml and run `mtlsctl apply`, or remove it from the wrangler file; then deploy"
_APPLY = "run `mtlsctl apply`, or pull the commit with the IDs that it wrote, then deploy"
_UPDATE = "update this branch (`git pull`, or rebase it)"
_OF_CERTIFICATE = frozenset({Role.CURRENT, Role.NEWER, Role.SUPERSEDED})


class GuardVerdict(StrEnum):
    """Whether a binding may be deployed. `not-checked` stops a deploy as `stopped` does."""

    OK = "ok"
    STOPPED = "stopped"
    NOT_CHECKED = "not-checked"


@dataclass(frozen=True, slots=True)
class GuardScope:
    """What would be deployed: the wrangler files, by path, and the environment as wrangler's `--env` has it: empty for
    the top level, None for every environment."""

    files: frozenset[str]
    environment: str | None = None

    def includes(self, config: str, environment: EnvironmentName) -> bool:
        """Whether an environment of a wrangler file would be deployed."""
        return config in self.files and self.environment in (None, environment or "")


@dataclass(frozen=True, slots=True)
class GuardedBinding:
    """One binding that would be deployed. `problem`: why it stops the deploy, or what there is to know."""

    row: BindingRow
    verdict: GuardVerdict
    problem: Diagnostic | None


@dataclass(frozen=True, slots=True)
class Guard:
    """The answer to a deploy. `skipped`: why nothing was checked. `offline`: only files were read.

    `others`: how many bindings belong to another account, which another mtls.toml declares. `diagnostics`: those of the
    bindings, and all others.
    """

    made: datetime
    scope: GuardScope
    store: StoreSettings | None = None
    offline: bool = False
    skipped: str | None = None
    bindings: tuple[GuardedBinding, ...] = ()
    others: int = 0
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """3 if the deploy is stopped."""
        return strongest(problem.code.exit_code for problem in self.diagnostics if problem.is_error)


def make_guard(assessment: Assessment, scope: GuardScope, accepted: Iterable[EntryId] = ()) -> Guard:
    """The verdict of every binding in the scope. `accepted`: newer uploads that an older certificate may be used
    instead of, as after a revert."""
    declaration = assessment.desired.declaration
    rows = [row for row in assessment.bindings if scope.includes(row.at.config, row.at.environment)]
    own = [row for row in rows if row.declared is not None or not row.elsewhere]
    bindings = tuple(_guarded(_GuardCase(row, assessment, frozenset(accepted))) for row in own)
    return Guard(
        assessment.now,
        scope,
        store=declaration.store,
        offline=assessment.inventory is None,
        bindings=bindings,
        others=len(rows) - len(own),
        diagnostics=(
            *(one.problem for one in bindings if one.problem is not None),
            *_builds(assessment.actual.files.values(), scope),
        ),
    )


def not_checked(scope: GuardScope, store: StoreSettings, problem: Diagnostic, now: datetime) -> Guard:
    """The answer where the store could not be asked: nothing is known, so the deploy is stopped."""
    hint = "; ".join((*filter(None, (problem.hint,)), "to judge the files alone, run `mtlsctl guard --offline`"))
    stopped = Diagnostic(
        Severity.ERROR, Code.GUARD_NOT_CHECKED, f"the IDs were not checked: {problem.message}", problem.where, hint
    )
    return Guard(now, scope, store=store, diagnostics=(stopped,))


@dataclass(frozen=True, slots=True)
class _GuardCase:
    """One binding with what it is judged by."""

    row: BindingRow
    assessment: Assessment
    accepted: frozenset[EntryId]

    @property
    def now(self) -> datetime:
        return self.assessment.now

    @property
    def desired(self) -> Desired:
        return self.assessment.desired

    @property
    def is_offline(self) -> bool:
        return self.assessment.inventory is None

    def stop(self, code: Code, what: str, hint: str | None) -> Diagnostic:
        return Diagnostic(Severity.ERROR, code, f"{self.row.text} {what}", self.row.pointer, hint, self.row.certificate)


def _guarded(case: _GuardCase) -> GuardedBinding:
    problem = next((found for check in CHECKS if (found := check(case)) is not None), None)
    if problem is None or not problem.is_error:
        return GuardedBinding(case.row, GuardVerdict.OK, problem)
    is_unseen = problem.code is Code.GUARD_NOT_CHECKED
    return GuardedBinding(case.row, GuardVerdict.NOT_CHECKED if is_unseen else GuardVerdict.STOPPED, problem)


def _missing(case: _GuardCase) -> Diagnostic | None:
    if case.row.found is not None or isinstance(case.row.verdict, Held):
        return None
    return case.stop(Code.GUARD_MISSING, "is declared in mtls.toml, but the wrangler file does not have it", _APPLY)


def _elsewhere(case: _GuardCase) -> Diagnostic | None:
    if not case.row.elsewhere:
        return None
    hint = "declare that environment in an mtls.toml of its own, with its account in `[store]`"
    return case.stop(Code.GUARD_NOT_CHECKED, "belongs to another account than this project", hint)


def _placeholder(case: _GuardCase) -> Diagnostic | None:
    text = case.row.found_id
    if text is None or not is_placeholder(text, case.desired.declaration.store.kind):
        return None
    hint = _APPLY if case.row.certificate is not None else _DECLARE
    return case.stop(Code.GUARD_PLACEHOLDER, f"has the placeholder {text!r} instead of an ID", hint)


def _unknown(case: _GuardCase) -> Diagnostic | None:
    text, actual, store = case.row.found_id, case.assessment.actual, case.desired.declaration.store
    if text is None or case.row.entry is not None or case.is_offline:
        return None
    if EntryId(text) in actual.asked or not (is_askable(text, store.kind) or is_of_other_store(text, store.kind)):
        what = f"has {text}, which {store.title} does not have"
        return case.stop(Code.GUARD_UNKNOWN, what, f"{_UPDATE}; if it is up to date, run `mtlsctl apply`")
    if is_of_other_store(text, store.kind):
        what, hint = f"has {text}, an ID of a Cloudflare account, but this project uses {store.title}", None
    else:
        what, hint = f"has {text}, which was not asked for: too many IDs are unknown", "correct the others first"
    return case.stop(Code.GUARD_NOT_CHECKED, what, hint)


def _expired(case: _GuardCase) -> Diagnostic | None:
    entry, now = case.row.entry, case.now
    if entry is not None:
        window = entry.window(now)
        if window.ends is None or not window.has_ended(now):
            return None
        what = f"uses {entry.id}, which expired on {rfc3339(window.ends)}"
        return case.stop(Code.GUARD_EXPIRED, what, _renewed(case))
    bundle = case.desired.bundles.get(case.row.certificate) if case.row.certificate and case.is_offline else None
    if bundle is None:
        return None
    window = window_of(bundle, now=now)
    if window.ends is None or not window.has_ended(now):
        return None
    # Another ID than that of this certificate would be an outdated one.
    what = f"uses {case.row.certificate!r}, which expired on {rfc3339(window.ends)}"
    return case.stop(Code.GUARD_EXPIRED, what, _renewed(case))


def _renewed(case: _GuardCase) -> str:
    current = case.assessment.entry(case.row.wanted) if case.row.wanted is not None else None
    if current is not None and current.window(case.now).contains(case.now):
        return _APPLY
    declared = case.desired.declaration.certificates.get(case.row.certificate) if case.row.certificate else None
    new = "get a new certificate" if declared is None or declared.renew is None else to_renew(declared)
    return f"{_UPDATE}; if it is up to date, {new} and run `mtlsctl apply`"


def _not_begun(case: _GuardCase) -> Diagnostic | None:
    entry = case.row.entry
    begins = entry.window(case.now).begins if entry is not None else None
    if entry is None or begins is None or begins <= case.now:
        return None
    what = f"uses {entry.id}, which is not valid before {rfc3339(begins)}"
    return case.stop(Code.GUARD_NOT_YET_VALID, what, "deploy after that, or bind a certificate that is valid now")


def _differs(case: _GuardCase) -> Diagnostic | None:
    """What a plan would change now: an older certificate, or another one."""
    row = case.row
    if row.declared is None or row.found_id is None or not isinstance(row.verdict, Pending):
        return None
    if row.wanted is None:
        if row.owner in (None, row.certificate):
            return None
        what = f"uses {row.found_id} of {row.owner!r}, but mtls.toml declares {row.certificate!r}"
        return case.stop(Code.GUARD_DIFFERS, what, _APPLY)
    if row.found_id == row.wanted:
        return None
    wanted = case.assessment.entry(row.wanted)
    if row.entry is not None and wanted is not None and row.owner == row.certificate and is_older(row.entry, wanted):
        return case.stop(Code.GUARD_OLDER, _older_text(row.entry, wanted), _APPLY)
    name = f" of {row.certificate!r}" if row.certificate is not None else ""
    return case.stop(Code.GUARD_DIFFERS, f"has {row.found_id}, but mtls.toml declares {row.wanted}{name}", _APPLY)


def _older(case: _GuardCase) -> Diagnostic | None:
    """Something newer was uploaded than this checkout knows: its branch is old, or the renewal was reverted."""
    row = case.row
    if row.entry is None or not isinstance(row.target, ByCertificate):
        return None
    later = [
        one.entry
        for one in case.assessment.entries
        if one.owner == row.certificate
        and one.role in _OF_CERTIFICATE
        and one.entry.id not in case.accepted
        and is_older(row.entry, one.entry)
        and one.entry.window(case.now).contains(case.now)
    ]
    newest = max(later, key=lambda entry: (str(entry.uploaded_on), entry.id), default=None)
    if newest is None:
        return None
    allow = f"if a newer commit was reverted, run `mtlsctl guard --accept-newer {newest.id}`, in a build as its command"
    return case.stop(Code.GUARD_OLDER, _older_text(row.entry, newest), f"{_UPDATE}; {allow}")


def _older_text(entry: Entry, newer: Entry) -> str:
    since = f" on {newer.uploaded_on:%Y-%m-%d %H:%M} UTC" if newer.uploaded_on is not None else ""
    return f"uses {entry.id}, but {newer.id} was uploaded later{since}"


def _held(case: _GuardCase) -> Diagnostic | None:
    match case.row.verdict:
        case Held(by=(first, *_)):
            return case.stop(Code.GUARD_NOT_CHECKED, f"could not be judged: {first.message}", first.hint)
        case Unseen(need=Need.FILE):
            what, hint = "could not be judged: a file of it can't be used", "run `mtlsctl validate`, which shows why"
            return case.stop(Code.GUARD_NOT_CHECKED, what, hint)
        case _:
            return None


def _behind(case: _GuardCase) -> Diagnostic | None:
    row, name = case.row, case.row.certificate
    certificate = case.assessment.by_name.get(name) if name is not None else None
    if row.entry is None or certificate is None or certificate.bundle is None or certificate.entry is not None:
        return None
    if row.entry.bundle is not None and row.entry.bundle.digest == certificate.bundle.digest:
        return None  # uploaded a moment ago: lists lag
    message = f"{row.text} uses {row.entry.id}; the renewed certificate {name!r} is not uploaded yet"
    return Diagnostic(
        Severity.INFO, Code.GUARD_BEHIND, message, row.pointer, "run `mtlsctl apply`, and deploy again", name
    )


CHECKS: tuple[Callable[[_GuardCase], Diagnostic | None], ...] = (
    *(_missing, _elsewhere, _placeholder, _unknown, _expired, _not_begun),
    *(_differs, _older, _held, _behind),
)
"""The first that finds something decides."""


def _builds(files: Iterable[WranglerFile], scope: GuardScope) -> Iterator[Diagnostic]:
    """Generated files, which wrangler deploys instead, that have the IDs of no environment in the scope."""
    for file in {file.path: file for file in files if file.path in scope.files}.values():
        states = (
            frozenset((found.binding, found.certificate_id) for found in there.bindings)
            for environment, there in file.environments.items()
            if scope.includes(file.path, environment)
        )
        if file.built is not None and file.built.bindings not in states:
            message = f"wrangler deploys {file.built.path}, which a build generated from {file.path} with other IDs"
            yield Diagnostic(Severity.ERROR, Code.GUARD_BUILD, message, Pointer(file.path), "build again, then deploy")
