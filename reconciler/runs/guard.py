"""Asks before a deploy whether the IDs in a wrangler file may go live: one list, kept for a minute."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import FileError, InputError, ReconcilerError, UsageError
from reconciler.findings.suggest import suggest
from reconciler.findings.values import dataclass
from reconciler.model import Actual, BrokenFile, ById, EntryId, Listing, WranglerFile
from reconciler.model.errors import StoreError
from reconciler.model.identifiers import is_short_id, whole_id
from reconciler.model.ports import Clock, StoreReader
from reconciler.model.words import WorkerLabel
from reconciler.plan.assess import judge
from reconciler.plan.live import is_elsewhere
from reconciler.records.journal import GuardSkipped, to_line
from reconciler.records.recent import MAX_BYTES, ListedAt, read_recent, recent_text
from reconciler.reports.guard import SKIP_GUARD, Guard, GuardScope, make_guard, not_checked
from reconciler.runs.configs import ConfigReader
from reconciler.runs.look import Checkout, ask_for_missing, look
from reconciler.runs.operator import read_reason
from reconciler.runs.project import Project
from reconciler.runtime.wrangler import RUNS_BUILD
from reconciler.system.journal import journal_state
from reconciler.system.recent import read_recent_file, write_recent_file
from reconciler.wrangler.which import search

WRANGLER_COMMAND = "WRANGLER_COMMAND"
"""Set by wrangler for a `[build] command`: the command that builds (wrangler 4.164)."""
ENVIRONMENT = "CLOUDFLARE_ENV"
"""The environment for wrangler without `--env`."""
_DEPLOYS_NOTHING = frozenset({"dev", "types"})
_RECENT = "recent.json"


@dataclass(frozen=True, slots=True)
class GuardRequest:
    """`names`: labels of Workers, or wrangler files or their folders, relative to `cwd`; none: the file that wrangler
    would use in `cwd`, or else all. `environment`: as wrangler's `--env`; None: all. `accepted`: IDs, or their first
    8 or more characters, of newer uploads that an older certificate may be used instead of."""

    cwd: Path
    names: tuple[str, ...] = ()
    environment: str | None = None
    offline: bool = False
    accepted: tuple[str, ...] = ()


def why_nothing_is_deployed(environ: Mapping[str, str]) -> str | None:
    """Why a build is not of a deploy that must be checked; None if it may be."""
    command = environ.get(WRANGLER_COMMAND, "")
    if command in _DEPLOYS_NOTHING:
        return f"`wrangler {command}` deploys nothing"
    return "mtlsctl itself runs this build" if environ.get(RUNS_BUILD) == "1" else None


def skip(project: Project | None, environ: Mapping[str, str], clock: Clock) -> Guard | None:
    """The answer without a check, if the operator wants none: logged in the journal, and a warning. Else None."""
    reason = read_reason(environ, SKIP_GUARD)
    if reason is None:
        return None
    command = _writable(environ.get(WRANGLER_COMMAND, "")) or None
    event = GuardSkipped(run=os.urandom(6).hex(), time=clock.now(), reason=_writable(reason), command=command)
    hint = "unset it once the deploy is done"
    try:
        if project is not None:
            # One short line, appended at once: it needs no lock, which the `apply` that deploys may hold.
            project.lines.append(to_line(event))
            project.lines.sync()
    except FileError as error:
        hint = f"{hint}; it could not be written to the journal: {error.message}"
    message = f"the guard was skipped, because {SKIP_GUARD} is set: {reason}"
    warning = Diagnostic(Severity.WARNING, Code.GUARD_SKIPPED, message, None, hint)
    return Guard(clock.now(), GuardScope(frozenset()), skipped=reason, diagnostics=(warning,))


def _writable(text: str) -> str:
    """The text without bytes that are not UTF-8, which a variable may have."""
    return text.encode(errors="backslashreplace").decode()


def guard(project: Project, request: GuardRequest) -> Guard:
    """The verdict of each binding that would be deployed. InputError if a file of them can't be used."""
    checkout = look(project)
    scope = _find_scope(project, checkout, request)
    settings, now = checkout.desired.declaration.store, project.clock.now()
    short = next((text for text in request.accepted if not is_short_id(text)), None)
    if short is not None:
        raise UsageError(f"`--accept-newer {short}` is not an ID", hint="give the ID, or its first 8 characters")

    def judged(reader: StoreReader | None, listing: Listing | None) -> Guard:
        actual = _observe(checkout, scope, reader, listing)
        assessment = judge(checkout.desired, actual, now, findings=checkout.findings)
        ids = [entry.id for entry in listing.entries] if listing is not None else []
        accepted = (whole_id(text, ids) for text in request.accepted)
        return make_guard(assessment, scope, [EntryId(one) for one in accepted if one is not None])

    if request.offline:
        return judged(None, None)
    try:
        reader = project.stores.open_reader(settings)
        at = _listed_at(project, checkout)
        recent = _read_recent(project, at)
        if recent is not None:
            answer = judged(reader, recent)
            if not answer.diagnostics:
                return answer
        # What a recent list does not know, `apply` may have uploaded meanwhile: nothing is stopped because of one.
        listing = reader.list_entries()
        if at is not None:
            write_recent_file(project.folder, _RECENT, recent_text(listing, at, now))
        return judged(reader, listing)
    except StoreError as error:
        return not_checked(scope, settings, error.diagnostics()[0], now)


def _listed_at(project: Project, checkout: Checkout) -> ListedAt | None:
    """What a list is of; None where a list costs no call."""
    settings = checkout.desired.declaration.store
    if not settings.kind.traits.has_accounts or settings.account_id is None:
        return None
    from reconciler.stores.cloudflare.access import base_url_of

    return ListedAt(settings.account_id, base_url_of(project.environ), journal_state(project.folder))


def _read_recent(project: Project, at: ListedAt | None) -> Listing | None:
    data = read_recent_file(project.folder, _RECENT, limit=MAX_BYTES) if at is not None else None
    return read_recent(data, at, project.clock.now()) if data is not None and at is not None else None


def _observe(checkout: Checkout, scope: GuardScope, reader: StoreReader | None, listing: Listing | None) -> Actual:
    """What exists; only IDs that would be deployed are asked for one by one."""
    if reader is None or listing is None:
        return Actual(checkout.configs, None, broken=checkout.broken)
    kind = checkout.desired.declaration.store.kind
    asked, unasked = ask_for_missing(reader, listing, _ids(checkout, scope), kind)
    return Actual(checkout.configs, listing, asked, unasked=unasked, broken=checkout.broken)


def _ids(checkout: Checkout, scope: GuardScope) -> Iterator[str]:
    declaration = checkout.desired.declaration
    for label, file in checkout.configs.items():
        for environment, there in file.environments.items():
            if scope.includes(file.path, environment) and not is_elsewhere(declaration.store, there):
                yield from (found.certificate_id for found in there.bindings)
                declared = declaration.workers[label].environments.get(environment, ())
                yield from (one.target.id for one in declared if isinstance(one.target, ById))


# --- what would be deployed -----------------------------------------------------------------------------------------


def _find_scope(project: Project, checkout: Checkout, request: GuardRequest) -> GuardScope:
    """The wrangler files and the environment. InputError if one of the files can't be used; UsageError for a name, or
    an environment, of nothing here."""
    places = _Places(project, checkout, request.cwd)
    labels = {label for name in request.names for label in places.named(name)} or places.used_here()
    for label in sorted(labels & set(checkout.broken)):
        raise InputError((*checkout.warnings, *checkout.broken[label].problems))
    files = {checkout.configs[label].path: checkout.configs[label] for label in labels}
    wanted = request.environment
    known = {name or "" for file in files.values() for name in file.environments}
    if wanted is not None and wanted not in known:
        message = f"no environment {wanted!r} in {', '.join(sorted(files)) or 'any declared wrangler file'}"
        raise UsageError(message, hint=suggest(wanted, known - {""}) if known - {""} else None)
    return GuardScope(frozenset(files), wanted)


@dataclass(frozen=True, slots=True)
class _Places:
    """Finds declared Workers by what wrangler is called with."""

    project: Project
    checkout: Checkout
    cwd: Path

    def named(self, name: str) -> set[WorkerLabel]:
        """The Workers of a label, or of a wrangler file or its folder, relative to the working directory."""
        if name in self._files:
            return self._at(self._files[WorkerLabel(name)].path)
        try:
            reader = ConfigReader(self.project.files, self.project.sources)
            found = self._at(reader.find(self._from_project(self.cwd / name)))
        except ReconcilerError:
            found = set()
        if not found:
            message = f"{name!r} is neither a Worker in mtls.toml nor a wrangler file that it declares"
            raise UsageError(message, hint=suggest(name, self._files))
        return found

    def used_here(self) -> set[WorkerLabel]:
        """Those of the wrangler file that wrangler would use in the working directory; all if there is none."""
        here = self._from_project(self.cwd)
        if self.project.files.files_in(here) is None:
            return set(self._files)
        path = search(self.project.files.folders_up(here), self.project.files.files_in)
        if path is None:
            return set(self._files)
        found = self._at(path)
        if not found:
            message = f"wrangler would deploy {path}, which mtls.toml does not declare, so it can't be checked"
            raise UsageError(message, hint="declare it in mtls.toml, or give the label of a Worker that is declared")
        return found

    @property
    def _files(self) -> Mapping[WorkerLabel, WranglerFile | BrokenFile]:
        return {**self.checkout.configs, **self.checkout.broken}

    def _at(self, path: str) -> set[WorkerLabel]:
        """The Workers of a file, by any path that leads to it; several may share one."""
        identity = self._identity(path)
        return {label for label, file in self._files.items() if self._identity(file.path) == identity}

    def _identity(self, path: str) -> str:
        try:
            return self.project.files.identity(path)
        except ReconcilerError:
            return path

    def _from_project(self, place: Path) -> str:
        return os.path.relpath(os.path.realpath(place), os.path.realpath(self.project.folder))
