"""Wires a run: load -> observe -> diff -> plan (-> apply). Knows every room and decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from reconciler import keys, stores
from reconciler.apply import ALL_PHASES, Observer, World, apply_plan
from reconciler.core.diff import find_sweep_ids, make_changes
from reconciler.core.errors import InputError, Place, Pointer, UsageError
from reconciler.core.key_shapes import KeyContext
from reconciler.core.model import Actual, Desired, Phase
from reconciler.core.outcome import Outcome
from reconciler.core.plan import Plan, make_plan, match_names
from reconciler.core.ports import Clock
from reconciler.observe import load_certificates, load_declaration, load_wrangler, observe
from reconciler.syntax.places import resolve
from reconciler.system.clock import SystemClock
from reconciler.system.discover import FILE_NAME, find_file
from reconciler.system.files import ProjectFiles

KEY_DIRS = "MTLSCTL_KEY_DIRS"


@dataclass(slots=True)
class Project:
    """One mtls.toml and the tree around it, for one run. `sources` keeps what was read, to find places in."""

    folder: Path
    name: str
    environ: Mapping[str, str] = field(repr=False)
    files: ProjectFiles
    clock: Clock
    sources: dict[str, bytes] = field(default_factory=dict, repr=False)

    def place(self, where: Pointer | Place | None) -> Place | None:
        """Where a finding is: file, line, column."""
        if not isinstance(where, Pointer):
            return where
        data = self.sources.get(where.path)
        if data is None:
            return Place(where.path)
        if where.path != self.name:
            return resolve(where, data)
        # Whatever `--file` is called, it is read as FILE_NAME is.
        return replace(resolve(replace(where, path=FILE_NAME), data), path=self.name)


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with what it was made from."""

    plan: Plan
    desired: Desired
    actual: Actual


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What the command line asks of a plan. `at`: another moment than now, for looking."""

    only: tuple[str, ...] = ()
    at: datetime | None = None
    offline: bool = False
    allow_deletes: int | None = None


def open_project(file: Path | None, *, cwd: Path, environ: Mapping[str, str], clock: Clock | None = None) -> Project:
    """The project of `--file`, else of the nearest mtls.toml; UsageError where there is none."""
    path = cwd / file if file is not None else find_file(cwd)
    if path is None:
        raise UsageError(
            f"there is no {FILE_NAME} here or in a parent folder up to the git root",
            hint="go to the folder that has it, or name it with `--file`",
        )
    if file is not None and not path.exists():
        raise UsageError(f"{file} does not exist", hint="`--file` names an mtls.toml; is the path right?")
    files = ProjectFiles(path.parent, key_dirs=environ.get(KEY_DIRS, ""))
    return Project(path.parent, path.name, environ, files, clock or SystemClock())


def plan(project: Project, request: PlanRequest) -> Planned:
    """The plan of this moment. Holds the reading half of the store, opens no key, runs no command, writes nothing."""
    declaration, warnings = load_declaration(project.files, project.name, keys.KINDS, project.sources)
    desired, blocked = load_certificates(declaration, project.files)
    try:
        wrangler_files = load_wrangler(declaration, project.files, project.sources)
    except InputError as error:
        raise InputError((*warnings, *blocked, *error.problems)) from error
    if request.only:
        _demand_matches(desired, request.only)
    now = request.at or project.clock.now()
    reader = (
        None if request.offline else stores.open_reader(declaration.store, root=project.folder, clock=project.clock)
    )
    actual = observe(desired, wrangler_files, reader)
    ids = find_sweep_ids(desired, actual, now)
    if ids:
        actual = replace(actual, sweep=project.files.sweep(ids))
    changes = make_changes(desired, actual, now)
    changes = replace(changes, diagnostics=(*warnings, *blocked, *changes.diagnostics))
    made = make_plan(
        changes,
        desired,
        actual.listing,
        now=now,
        allow_deletes=request.allow_deletes,
        only=request.only,
        at=request.at is not None,
    )
    return Planned(made, desired, actual)


def apply(project: Project, planned: Planned, observer: Observer, phases: Sequence[Phase] = ALL_PHASES) -> Outcome:
    """Carry out a plan that was made in this run."""
    declaration = planned.desired.declaration
    context = KeyContext(files=project.files, environment=project.environ)
    project.files.tidy()
    world = World(
        store=stores.open_store(declaration.store, root=project.folder, clock=project.clock),
        files=project.files,
        keys=keys.open_sources(context),
        observer=observer,
    )
    return apply_plan(planned.plan, planned.desired, world, phases)


def _demand_matches(desired: Desired, only: tuple[str, ...]) -> None:
    for pattern, names in match_names(desired, only).items():
        if not names:
            known = ", ".join(sorted(desired.declaration.certificates)) or "none"
            raise UsageError(f"`--only {pattern}` names no declared certificate", hint=f"declared are: {known}")
