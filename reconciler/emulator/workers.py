"""Workers: uploading a script, its settings, and the older view of it as a service."""

from __future__ import annotations

from reconciler.emulator.account import Worker
from reconciler.emulator.call import Ask
from reconciler.emulator.deployments import deploy_all
from reconciler.emulator.envelope import ApiError, no_service, success
from reconciler.emulator.versions import add_version, bindings_of, find_worker, runtime_of
from reconciler.emulator.wire import Json, Reply

SUBDOMAIN = "emulator"


def put_script(ask: Ask) -> Reply:
    """A whole upload: a new version that gets all of the traffic at once; creates the Worker where there is none."""
    name, workers = ask.names["worker"], ask.account.holders.workers
    worker = workers.get(name)
    version = add_version(ask, worker, ask.form_json("metadata"), triggered_by="upload")
    if worker is None:
        worker = Worker(name, tag=ask.state.ids().replace("-", ""), created_on=ask.now(), modified_on=ask.now())
        worker.versions.append(version)
        workers[name] = worker
    deploy_all(ask, worker, version)
    deployment_id = str(version["id"])
    return success(
        {
            **_script(worker),
            "id": name,
            "deployment_id": deployment_id.replace("-", ""),
            "deploymentId": deployment_id,
            "startup_time_ms": 10,
            "available_on_subdomain": worker.subdomain,
            "mutable_pipeline_id": worker.tag,
            "pipeline_hash": worker.tag,
        }
    )


def delete_script(ask: Ask) -> Reply:
    """The Worker, with all of its versions; what it used is in use no more."""
    del ask.account.holders.workers[find_worker(ask).name]
    return success(None)


def list_scripts(ask: Ask) -> Reply:
    """Every Worker, by name."""
    workers = sorted(ask.account.holders.workers.values(), key=lambda worker: worker.name)
    return success([{**_script(worker), "id": worker.name} for worker in workers])


def list_workers(ask: Ask) -> Reply:
    """The same in the newer form."""
    workers = sorted(ask.account.holders.workers.values(), key=lambda worker: worker.name)
    count = len(workers)
    info: Json = {"page": 1, "per_page": max(count, 1), "count": count, "total_count": count, "total_pages": 1}
    return success([_worker(worker) for worker in workers], result_info=info)


def get_worker(ask: Ask) -> Reply:
    """One Worker in the newer form, by its name or its tag."""
    wanted = ask.names["worker"]
    found = next((one for one in ask.account.holders.workers.values() if wanted in (one.name, one.tag)), None)
    return success(_worker(found if found else find_worker(ask)))


def get_settings(ask: Ask) -> Reply:
    """Bindings of the latest version, which need not be the one that serves traffic, and more."""
    return success(_settings(find_worker(ask)))


def patch_settings(ask: Ask) -> Reply:
    """A new version with other bindings, deployed at once; multipart with one part `settings`.

    10215 while the newest version is not what is deployed: known of secrets, assumed here.
    """
    worker, given = find_worker(ask), ask.form_json("settings")
    latest = worker.versions[-1]
    if worker.deployed() != [latest]:
        raise ApiError(400, 10215, "The latest version of this Worker is not deployed; deploy it first.")
    metadata = {**runtime_of(latest), "bindings": bindings_of(latest), **given}
    deploy_all(ask, worker, add_version(ask, worker, metadata, triggered_by="upload"))
    return success(_settings(worker))


def patch_script_settings(ask: Ask) -> Reply:
    """What is no part of a version: tags and observability."""
    worker, given = find_worker(ask), ask.body()
    tags = given.pop("tags", None)
    if isinstance(tags, list):
        worker.tags = [str(tag) for tag in tags]
    worker.script_settings.update(given)
    return success(_settings(worker))


def list_secrets(ask: Ask) -> Reply:
    """The names of secrets; for a Worker that is not there too, which wrangler asks about before its first upload."""
    worker = ask.account.holders.workers.get(ask.names["worker"])
    bindings = bindings_of(worker.versions[-1]) if worker else []
    secrets = [binding for binding in bindings if str(binding.get("type")).startswith("secret_")]
    return success([{"name": secret["name"], "type": secret["type"]} for secret in secrets])


def list_schedules(ask: Ask) -> Reply:
    """No Worker runs here, so none is scheduled."""
    find_worker(ask)
    return success({"schedules": []})


def get_script_subdomain(ask: Ask) -> Reply:
    """Whether the Worker is to be reached on workers.dev."""
    enabled = find_worker(ask).subdomain
    return success({"enabled": enabled, "previews_enabled": enabled})


def set_script_subdomain(ask: Ask) -> Reply:
    """Set that."""
    find_worker(ask).subdomain = ask.body().get("enabled") is True
    return get_script_subdomain(ask)


def get_account_subdomain(ask: Ask) -> Reply:  # noqa: ARG001 - a handler like all others
    """The account's name below workers.dev."""
    return success({"subdomain": SUBDOMAIN})


def get_service(ask: Ask) -> Reply:
    """A Worker as wrangler looks for it before each deploy; 10090 where there is none."""
    worker = _service(ask)
    environment = {"environment": "production", "script": {**_script(worker), "tags": worker.tags}}
    times = {"created_on": worker.created_on, "modified_on": worker.modified_on}
    return success({"id": worker.name, "default_environment": environment, **times})


def get_service_environment(ask: Ask) -> Reply:
    """What wrangler compares with its file after somebody else changed the Worker."""
    worker = _service(ask)
    script = {**_settings(worker), "last_deployed_from": worker.last_deployed_from}
    del script["bindings"]
    times = {"created_on": worker.created_on, "modified_on": worker.modified_on}
    return success({"environment": ask.names["environment"], "script": script, **times})


def list_service_bindings(ask: Ask) -> Reply:
    """Bindings of the latest version."""
    return success(bindings_of(_service(ask).versions[-1]))


def get_service_subdomain(ask: Ask) -> Reply:
    """As for the script."""
    enabled = _service(ask).subdomain
    return success({"enabled": enabled, "previews_enabled": enabled})


def list_nothing(ask: Ask) -> Reply:  # noqa: ARG001 - a handler like all others
    """Routes, domains, and other things that this account has none of."""
    return success([])


def _service(ask: Ask) -> Worker:
    worker = ask.account.holders.workers.get(ask.names["worker"])
    if worker is None:
        raise no_service()
    return worker


def _script(worker: Worker) -> Json:
    return {
        "id": worker.tag,
        "etag": worker.tag,
        "handlers": ["fetch"],
        "modified_on": worker.modified_on,
        "created_on": worker.created_on,
        "usage_model": "standard",
        "last_deployed_from": worker.last_deployed_from,
        "tag": worker.tag,
    }


def _settings(worker: Worker) -> Json:
    latest = worker.versions[-1]
    fixed: Json = {"logpush": False, "tail_consumers": None, "observability": None}
    return {
        "bindings": bindings_of(latest),
        **runtime_of(latest),
        **fixed,
        **worker.script_settings,
        "tags": worker.tags,
    }


def _worker(worker: Worker) -> Json:
    fixed: Json = {"logpush": False, "tail_consumers": [], "observability": {"enabled": False}, "references": {}}
    return {
        **fixed,
        **worker.script_settings,
        "id": worker.tag,
        "name": worker.name,
        "created_on": worker.created_on,
        "updated_on": worker.modified_on,
        "tags": worker.tags,
        "subdomain": {"enabled": worker.subdomain, "previews_enabled": worker.subdomain},
    }
