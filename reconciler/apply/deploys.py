"""The third phase: Workers whose live version uses other ids than their wrangler file are deployed, in waves.

After each wave the live versions are read again; the next wave starts only if all of them are correct.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.apply.run import PATIENCE_S, Run, expired_meanwhile
from reconciler.findings.errors import DeployError, ReconcilerError
from reconciler.model import BindingChange, Deploy, EntryId, Live, LiveQuestion, LiveVersion, Phase
from reconciler.model.concurrency import run_all
from reconciler.model.ports import WorkerDeployer
from reconciler.plan.outcome import Step, StepStatus

SIDE_BY_SIDE = 4
"""Each deploy is a Node process that bundles a Worker."""

_Deployed = str | ReconcilerError | None


def deploy_all(run: Run) -> None:
    """Deploy what is ready, wave by wave; stop after a wave in which a deploy failed."""
    ready = [(index, change) for index, change in run.of(Phase.DEPLOY) if isinstance(change, Deploy)]
    ready = [(index, change) for index, change in ready if _is_written(run, index, change)]
    for wave in in_waves(ready, run.world.waves):
        _deploy_wave(run, wave)
        if any(run.steps[index].status is StepStatus.FAILED for index, _ in wave):
            _leave(run, ready, "an earlier deploy failed")
            return
    _leave(run, ready, "its wave was not requested")


def in_waves(
    ready: Sequence[tuple[int, Deploy]], sizes: Sequence[int | None]
) -> Iterator[Sequence[tuple[int, Deploy]]]:
    """The deploys in waves of these sizes; None means all that remain."""
    begin = 0
    for size in sizes:
        end = len(ready) if size is None else begin + size
        if ready[begin:end]:
            yield ready[begin:end]
        begin = end


def _is_written(run: Run, index: int, deploy: Deploy) -> bool:
    """True if the wrangler file has the ids to deploy; otherwise the deploy is not started."""
    changes = [
        run.steps.get(place)
        for place, change in enumerate(run.plan.changes)
        if isinstance(change, BindingChange)
        and (change.at.config, change.at.environment) == (deploy.at.config, deploy.at.environment)
    ]
    if all(step is not None and step.status is StepStatus.DONE for step in changes):
        return True
    asked = Phase.BIND in run.phases
    note = "a change to its file was not made" if asked else "its file is changed in a phase not requested"
    run.steps[index] = Step(deploy, StepStatus.NOT_STARTED, note=note, blocked=not asked)
    return False


def _leave(run: Run, ready: Sequence[tuple[int, Deploy]], note: str) -> None:
    for index, change in ready:
        if index not in run.steps:
            run.steps[index] = Step(change, StepStatus.NOT_STARTED, note=note)


def _deploy_wave(run: Run, wave: Sequence[tuple[int, Deploy]]) -> None:
    """Deploy one wave concurrently; only wrangler is called from other threads."""
    begun: list[tuple[int, Deploy]] = []
    for index, change in wave:
        if run.start(index):
            if run.is_late(change):
                run.end(index, run.failure(index, expired_meanwhile(f"{change.script} was not deployed")))
            else:
                begun.append((index, change))
    deployer = run.world.deployer()
    versions = run_all(
        lambda item: _deploy(deployer, item[1]),
        begun,
        SIDE_BY_SIDE,
        give_up=deployer.give_up,  # else an interrupt would wait for wrangler
        patience_s=PATIENCE_S,
        waiting=lambda numbers: run.stopping(begun[number][0] for number in numbers),
    )
    live = _look(run, [change for _, change in begun])
    for (index, change), version in zip(begun, versions, strict=True):
        run.end(index, _ended(run, index, change, version, live))


def _deploy(deployer: WorkerDeployer, deploy: Deploy) -> _Deployed:
    try:
        if deploy.built is not None:  # built for this one environment; it has no others
            return deployer.deploy(deploy.built, None, deploy.script)
        return deployer.deploy(deploy.at.config, deploy.at.environment, deploy.script)
    except ReconcilerError as error:
        return error


def _look(run: Run, deploys: Sequence[Deploy]) -> Live | None:
    reader = run.world.store.live()
    return reader.look(LiveQuestion(tuple(one.script for one in deploys))) if reader is not None else None


def _ended(run: Run, index: int, deploy: Deploy, version: _Deployed, live: Live | None) -> Step:
    """The step of a deploy; done only if the live version uses the ids in the wrangler file."""
    if isinstance(version, ReconcilerError):
        return run.failure(index, version)
    found = live.workers.get(deploy.script) if live else None
    serving = found.serving if found else ()
    if not serving:
        why = live.unread.get(deploy.script, "it has none") if live else "live versions can't be read here"
        message = f"wrangler succeeded, but the live version of {deploy.script} can't be read: {why}"
        return run.failure(index, DeployError(message, hint="run `mtlsctl plan --live`"))
    problem = _not_serving(run, deploy, version, serving)
    if problem is not None:
        return run.failure(index, problem)
    served = " and ".join(one.id for one in serving)
    told = f"; wrangler reported {version}" if version and version not in {one.id for one in serving} else ""
    return Step(deploy, StepStatus.DONE, note=f"live version: {served}{told}")


def _not_serving(run: Run, deploy: Deploy, version: str | None, serving: Sequence[LiveVersion]) -> DeployError | None:
    wanted = {one.binding: one.id or run.uploaded.get(one.digest or "") for one in deploy.bindings}
    for one in serving:
        for binding, entry_id in wanted.items():
            presents: EntryId | None = one.bindings.get(binding)
            if presents != entry_id:
                told = f"wrangler reported version {version}" if version else "wrangler succeeded"
                return DeployError(
                    f"{told}, but the live version {one.id} of {deploy.script} uses"
                    f" {presents or 'nothing'} as {binding}, not {entry_id or 'nothing'}",
                    hint="run again to check the live version; `wrangler deployments list` shows who deployed last",
                )
    return None
