"""What serves traffic: one version, or two that share it."""

from __future__ import annotations

from reconciler.emulator.account import Worker
from reconciler.emulator.call import Ask, as_objects
from reconciler.emulator.envelope import ApiError, invalid, no_version, success
from reconciler.emulator.versions import AUTHOR, find_worker
from reconciler.emulator.wire import Json, Reply


def deploy(ask: Ask, worker: Worker, shares: list[Json], annotations: Json) -> Json:
    """The new deployment of a Worker; what was deployed before serves nothing any more."""
    deployment: Json = {
        "id": ask.state.ids(),
        "source": ask.from_(),
        "strategy": "percentage",
        "author_email": AUTHOR,
        "annotations": annotations,
        "created_on": ask.now(),
        "versions": shares,
    }
    worker.deployments.append(deployment)
    worker.modified_on, worker.last_deployed_from = ask.now(), ask.from_()
    return deployment


def deploy_all(ask: Ask, worker: Worker, version: Json) -> Json:
    """Give one version all of the traffic."""
    share: Json = {"version_id": version["id"], "percentage": 100}
    return deploy(ask, worker, [share], {"workers/triggered_by": "upload"})


def create_deployment(ask: Ask) -> Reply:
    """One or two versions whose shares add up to 100; deploying an older one is what a rollback is."""
    worker, body = find_worker(ask), ask.body()
    shares = [
        {"version_id": str(share.get("version_id")), "percentage": share.get("percentage")}
        for share in as_objects(body.get("versions"))
    ]
    if any(worker.version(str(share["version_id"])) is None for share in shares):
        raise no_version()
    if not 1 <= len(shares) <= 2 or _sum(shares) != 100:
        raise invalid("a deployment has one or two versions, whose percentages add up to 100")
    annotations = body.get("annotations")
    given = annotations if isinstance(annotations, dict) else {}
    return success(deploy(ask, worker, list(shares), {**given, "workers/triggered_by": "deployment"}))


def list_deployments(ask: Ask) -> Reply:
    """The newest first: the first one serves traffic."""
    return success({"deployments": find_worker(ask).deployments[::-1]})


def get_deployment(ask: Ask) -> Reply:
    """One deployment."""
    wanted = ask.names["deployment"]
    found = next((one for one in find_worker(ask).deployments if one["id"] == wanted), None)
    if found is None:
        raise ApiError(404, 10007, "This deployment does not exist on your account.")
    return success(found)


def _sum(shares: list[Json]) -> float:
    """The percentages together, NaN where one is no number from 0 to 100."""
    total = 0.0
    for share in shares:
        percentage = share["percentage"]
        if isinstance(percentage, bool) or not isinstance(percentage, (int, float)) or not 0 <= percentage <= 100:
            return float("nan")
        total += percentage
    return round(total, 6)
