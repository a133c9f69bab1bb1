"""What must still be deployed after a run: the environments whose file has IDs that are not live yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from posixpath import join, normpath

from reconciler.findings.values import dataclass
from reconciler.model import (
    Action,
    BindingAddress,
    BindingChange,
    Deploy,
    EnvironmentName,
    SiteAddress,
    StoreSettings,
    WorkerLabel,
    WranglerFile,
)
from reconciler.plan.live import LiveBinding, LiveState, target_of
from reconciler.plan.outcome import Outcome, Step, StepStatus
from reconciler.plan.renewing import Renewals


@dataclass(frozen=True, slots=True)
class ToDeploy:
    """One environment of a wrangler file. `script`: the real name of its Worker, if the file has one."""

    at: SiteAddress
    script: str | None
    built: str | None = None

    @property
    def command(self) -> tuple[str, ...]:
        """The command that deploys it, for the folder of mtls.toml."""
        return deploy_command(self.at.config, self.at.environment, self.built)

    def command_from(self, folder: str) -> tuple[str, ...]:
        """The same command for another folder; `folder`: the path from there to the folder of mtls.toml."""
        config, built = (
            normpath(join(folder, path)) if path is not None else None for path in (self.at.config, self.built)
        )
        return deploy_command(config or self.at.config, self.at.environment, built)


@dataclass(frozen=True, slots=True)
class Applied:
    """The outcome of a plan, and what must still be deployed. `again`: the command that continues it. `pulls`: the open
    pull requests that have the files which it wrote; empty where they are not open; None: the files are in the
    checkout. `renewed`: what was renewed before it. `file`: the mtls.toml, where commands must name it."""

    outcome: Outcome
    to_deploy: tuple[ToDeploy, ...] = ()
    again: tuple[str, ...] = ("mtlsctl", "apply")
    pulls: tuple[str, ...] | None = None
    renewed: Renewals | None = None
    file: str | None = None

    def named(self, command: Sequence[str]) -> tuple[str, ...]:
        """The same command, with `file`."""
        return (*command, *(("-f", self.file) if self.file is not None else ()))

    @property
    def is_of_saved_plan(self) -> bool:
        """Whether the command names a saved plan."""
        return self.again[1] == "apply" and any(not word.startswith("-") for word in self.again[2:3])


def deploy_command(config: str, environment: EnvironmentName, built: str | None = None) -> tuple[str, ...]:
    """The command that deploys one environment of a wrangler file; an empty `--env` names the top level.

    `built`: the file that a build generated for one environment; it is named because `--config` ignores redirects.
    """
    if built is not None:
        return ("wrangler", "deploy", "--config", built, "--env=")
    return ("wrangler", "deploy", "--config", config, f"--env={environment or ''}")


def find_left(
    steps: Iterable[Step],
    live: Iterable[LiveBinding],
    store: StoreSettings,
    files: Mapping[WorkerLabel, WranglerFile],
) -> tuple[ToDeploy, ...]:
    """The environments that this run changed and did not deploy, and those from before, if live Workers were read.

    Without those whose live version already uses what this run wrote into the file. Empty for a store whose
    certificates no deployed Worker can use.
    """
    if not store.kind.traits.has_live_workers:
        return ()
    left: dict[tuple[str, EnvironmentName], WorkerLabel] = {}
    deployed: set[tuple[str, EnvironmentName]] = set()
    steps = tuple(steps)
    changes = ((step.change, step.status) for step in steps)
    unwritten = {
        (change.at.config, change.at.environment)
        for change, status in changes
        if isinstance(change, BindingChange) and status is not StepStatus.DONE
    }
    live = tuple(live)
    used = {row.at: {one.id for one in row.live} for row in live}
    for step in steps:
        change = step.change
        if isinstance(change, BindingChange) and step.status is StepStatus.DONE and _is_used(change, used):
            continue
        if isinstance(change, Deploy) and step.status is StepStatus.DONE:
            deployed.add((change.at.config, change.at.environment))
        elif isinstance(change, Deploy) and (change.at.config, change.at.environment) in unwritten:
            continue  # its file does not have the new IDs yet
        elif isinstance(change, Deploy) or (isinstance(change, BindingChange) and step.status is StepStatus.DONE):
            left.setdefault((change.at.config, change.at.environment), change.at.worker)
    for row in live:
        if row.state is LiveState.NEEDS_DEPLOY:
            left.setdefault((row.at.config, row.at.environment), row.at.worker)
    return tuple(
        ToDeploy(
            SiteAddress(worker, config, environment), _script(files.get(worker), environment), _built(files.get(worker))
        )
        for (config, environment), worker in sorted(left.items(), key=lambda item: (item[0][0], item[0][1] or ""))
        if (config, environment) not in deployed
    )


def _is_used(change: BindingChange, used: Mapping[BindingAddress, Set[str | None]]) -> bool:
    """Whether every live version already has what a change wrote; an ID from an upload of this run is never live."""
    after = None if change.action is Action.UNBIND else change.after
    return (after is not None or change.action is Action.UNBIND) and used.get(change.at) == {after}


def _script(file: WranglerFile | None, environment: EnvironmentName) -> str | None:
    return target_of(file, environment) if file is not None and environment in file.environments else None


def _built(file: WranglerFile | None) -> str | None:
    return file.built.path if file is not None and file.built is not None else None
