"""Runs a declared Worker on this machine: its mTLS bindings use the real certificates, with the available keys."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from posixpath import dirname, join
from typing import NoReturn, Protocol

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place, Pointer
from reconciler.findings.errors import InputError, UsageError
from reconciler.findings.suggest import suggest
from reconciler.findings.values import dataclass
from reconciler.model import (
    ByCertificate,
    CertificateName,
    Declaration,
    DeclaredWorker,
    Desired,
    EnvironmentName,
    WorkerLabel,
    WranglerFile,
)
from reconciler.plan.binding_findings import Site
from reconciler.runs.configs import deployed_path
from reconciler.runs.dev.bindings import Pairs, ServedBinding, choose
from reconciler.runs.look import look
from reconciler.runs.project import Project
from reconciler.runtime.bundling import bundle
from reconciler.runtime.children import Child, RuntimeFailure
from reconciler.runtime.find import WORKERD, WRANGLER, MissingProgram, find_workerd, find_wrangler
from reconciler.runtime.workerd import listen, newest_date, serving
from reconciler.workerd.config import ServedWorker, write_config
from reconciler.workerd.door import hosts_at
from reconciler.workerd.form import BuiltWorker, read_form
from reconciler.wrangler.formats import load
from reconciler.wrangler.read import environment_table


@dataclass(frozen=True, slots=True)
class DevRequest:
    """The options of the command. `without_unserved` runs the Worker without the bindings that can't be served;
    `hosts` are names that it is called by, in addition to those of the loopback."""

    worker: str
    environment: EnvironmentName = None
    port: int = 0
    without_unserved: bool = False
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Running:
    """A Worker that is ready."""

    worker: str
    environment: EnvironmentName
    url: str
    presented: tuple[ServedBinding, ...]


class Watcher(Protocol):
    """Receives the progress. `out` and `err` get the lines of the Worker and of workerd, from other threads."""

    def log(self, text: str) -> None:
        """A step of the run."""

    def findings(self, found: tuple[Diagnostic, ...]) -> None:
        """Findings that don't prevent the Worker from running."""

    def ready(self, running: Running) -> None:
        """The Worker is ready."""

    def out(self, line: str) -> None:
        """A line of the Worker's stdout."""

    def err(self, line: str) -> None:
        """A line of the Worker's stderr."""


def run_dev(project: Project, request: DevRequest, watcher: Watcher) -> NoReturn:
    """Run the Worker until something ends it, which is raised as an exception. Nothing of it remains."""
    run = _look(project, request, watcher)
    with contextlib.ExitStack() as stack:
        child, ready = run.start(stack)
        watcher.ready(ready)
        code = child.wait()
    hint = "check its last output, then run again"
    raise RuntimeFailure(f"workerd ended by itself with exit code {code}", hint=hint, code=Code.DEV_ENDED)


def _look(project: Project, request: DevRequest, watcher: Watcher) -> _DevRun:
    """The Worker as declared and as found, with the certificates of its bindings; nothing else is read."""
    checkout = look(project, partial(_narrow, request))
    checkout.demand_configs()
    if checkout.blocked:
        raise InputError(checkout.blocked)
    ((label, file),) = checkout.configs.items()
    found = file.environments.get(request.environment)
    if found is None:
        names = [name for name in file.environments if name is not None]
        hint = suggest(str(request.environment), names) if names else "leave out `--env`; the file has no environments"
        raise UsageError(f"{file.path} has no environment {request.environment!r}", hint=hint)
    if file.pages:
        hint = "put the calls into a Worker to try them here; Pages has its own runtime"
        problem = Diagnostic(
            Severity.ERROR, Code.DEV_PAGES, f"{file.path} belongs to a Pages project", Pointer(file.path), hint
        )
        raise InputError([problem])
    declaration = checkout.desired.declaration
    site = Site(declaration, declaration.workers[label], file, request.environment, found)
    return _DevRun(project, request, watcher, site, checkout.desired, checkout.findings)


def _narrow(request: DevRequest, declaration: Declaration) -> Declaration:
    """The declaration reduced to the requested Worker and the certificates of its environment."""
    label = WorkerLabel(request.worker)
    worker = declaration.workers.get(label)
    if worker is None:
        hint = suggest(request.worker, declaration.workers)
        raise UsageError(f"no Worker is declared as {request.worker!r}", hint=hint)
    certificates = {name: declaration.certificates[name] for name in _bound(worker, request.environment)}
    return replace(declaration, workers={label: worker}, certificates=certificates)


def _bound(worker: DeclaredWorker, environment: EnvironmentName) -> list[CertificateName]:
    targets = (binding.target for binding in worker.environments.get(environment, ()))
    return [target.certificate for target in targets if isinstance(target, ByCertificate)]


@dataclass(frozen=True, slots=True)
class _DevRun:
    project: Project
    request: DevRequest
    watcher: Watcher
    site: Site
    desired: Desired
    noticed: tuple[Diagnostic, ...]

    def start(self, stack: contextlib.ExitStack) -> tuple[Child, Running]:
        """workerd with the Worker, for the lifetime of `stack`. No frame of ours keeps the keys once it runs."""
        environ, watcher = self.project.environ, self.watcher
        wrangler, workerd = self._find(find_wrangler, WRANGLER), self._find(find_workerd, WORKERD)
        listening = stack.enter_context(listen(self.request.port))
        port: int = listening.getsockname()[1]
        served, presented = self._choose(self._build(wrangler), newest_date(workerd, environ))
        config = write_config(served, hosts_at(port, self.request.hosts))
        kept = serving(workerd, config, listening, environ=environ, on_out=watcher.out, on_err=watcher.err)
        child = stack.enter_context(kept)
        return child, Running(self.request.worker, self.request.environment, f"http://127.0.0.1:{port}", presented)

    @property
    def _deployed(self) -> Path:
        return self.project.folder / deployed_path(self.site.file, self.request.environment)

    def _find(self, find: Callable[[Path, Path, Mapping[str, str]], Path | None], variable: str) -> Path:
        name = variable.partition("_")[2].lower()
        found = find(self._deployed.parent, self.project.files.root, self.project.environ)
        if found is None:
            hint = f"run `npm install wrangler` next to the Worker to install wrangler and workerd, or set {variable}"
            raise MissingProgram(
                f"{name} was not found next to {self.site.file.path}, in a parent folder or on the PATH", hint=hint
            )
        self.watcher.log(f"{name}: {found}")
        return found

    def _build(self, wrangler: Path) -> BuiltWorker:
        """The Worker as wrangler would upload it."""

        def hear(line: str) -> None:
            self.watcher.log(f"wrangler: {line}")

        made = bundle(wrangler, self._deployed, self.request.environment, environ=self.project.environ, on_line=hear)
        return read_form(made)

    def _choose(self, built: BuiltWorker, newest: str | None) -> tuple[ServedWorker, tuple[ServedBinding, ...]]:
        """The configuration for workerd. InputError with all bindings that can't be served, unless they may be
        missing."""
        now = self.project.clock.now()
        pairs = Pairs(self.site, self.desired, self.project, now)
        identities = pairs.open_all()
        chosen = choose(self.site, built, identities, pairs.refused)
        date, capped = _cap(built.compatibility_date, newest, now, self.site.file)
        notes = (*self.noticed, *pairs.notes, *capped, *self._left_out())
        if chosen.unserved and not self.request.without_unserved:
            raise InputError((*notes, *chosen.unserved))
        self.watcher.findings((*notes, *map(_absent, chosen.unserved)))
        worker = ServedWorker(built.modules, chosen.bindings, date, built.compatibility_flags, built.script)
        return worker, tuple(pairs.presented)

    def _left_out(self) -> Iterator[Diagnostic]:
        """Findings about parts of a Worker that are not bindings: static assets and files of secrets."""
        path = self.site.file.path
        values = load(path, self.project.sources[path])
        table = environment_table(values, self.request.environment) or {}
        if "assets" in values or "assets" in table:
            message = f"{path} has static assets, which are not served here: every request goes to the Worker"
            yield Diagnostic(Severity.WARNING, Code.DEV_ASSETS, message, Pointer(path, ("assets",), at_key=True))
        beside = self.project.files.files_in(dirname(path) or ".") or frozenset()
        for name in sorted(beside & {".dev.vars", f".dev.vars.{self.request.environment}"}):
            message = f"{join(dirname(path), name)} is not read, so the Worker runs without the secrets in it"
            hint = "put what the Worker needs here into `vars` of an environment for this purpose"
            yield Diagnostic(Severity.WARNING, Code.DEV_SECRETS, message, Place(join(dirname(path), name)), hint)


def _absent(problem: Diagnostic) -> Diagnostic:
    """The finding as a warning, if the binding may be missing."""
    message = f"{problem.message}; the Worker runs without it"
    return replace(problem, severity=Severity.WARNING, message=message, hint=None)


def _cap(wanted: str, newest: str | None, now: datetime, file: WranglerFile) -> tuple[str, tuple[Diagnostic, ...]]:
    """The compatibility date for this workerd, which does not start with a date that it does not know."""
    limits = [date for date in (newest, f"{now:%Y-%m-%d}") if date is not None]
    if wanted <= min(limits):
        return wanted, ()
    message = f"this workerd knows compatibility dates up to {min(limits)}, but {file.path} has {wanted}"
    hint = "update wrangler, which includes workerd; until then the Worker runs here with the older date"
    where = Pointer(file.path, ("compatibility_date",))
    return min(limits), (Diagnostic(Severity.WARNING, Code.DEV_DATE_CAPPED, message, where, hint),)
