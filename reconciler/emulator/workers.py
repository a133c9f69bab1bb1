"""Workers: uploading a script, its settings, versions and deployments, and the older view of it as a service."""

from __future__ import annotations

from reconciler.emulator.account import Worker, certificates_of
from reconciler.emulator.state import Ask, as_objects
from reconciler.emulator.wire import (
    ApiError,
    Json,
    Reply,
    invalid,
    no_service,
    no_version,
    no_worker,
    success,
    unknown_binding,
)

_SECRETS = frozenset({"secret_text", "secret_key"})
_HIDDEN = ("text", "key_base64", "key_jwk")
"""The fields of a secret binding that are accepted and never shown."""

AUTHOR = "dev@example.com"


def find_worker(ask: Ask) -> Worker:
    """The Worker in the path; ApiError 10007."""
    worker = ask.account.holders.workers.get(ask.names["worker"])
    if worker is None:
        raise no_worker()
    return worker


def add_version(ask: Ask, worker: Worker | None, metadata: Json, *, triggered_by: str) -> Json:
    """The next version, from metadata as wrangler uploads it. If `worker` is None it is the first; the caller adds it.

    ApiError 100143 for a certificate that the account does not have (everywhere yet); 10057 for a binding to inherit
    that does not exist, if the request is strict about that.
    """
    bindings = _bindings(ask, worker, metadata)
    now = ask.now()
    given = metadata.get("annotations")
    version: Json = {
        "id": ask.state.ids(),
        "number": len(worker.versions) + 1 if worker else 1,
        "metadata": {
            "author_email": AUTHOR,
            "author_id": "user",
            "created_on": now,
            "modified_on": now,
            "source": ask.from_(),
            "hasPreview": False,
        },
        "annotations": {**(given if isinstance(given, dict) else {}), "workers/triggered_by": triggered_by},
        "resources": {
            "bindings": bindings,
            "script": {"etag": ask.state.ids(), "handlers": ["fetch"], "last_deployed_from": ask.from_()},
            "script_runtime": {
                "compatibility_date": metadata.get("compatibility_date"),
                "compatibility_flags": metadata.get("compatibility_flags") or [],
                "usage_model": metadata.get("usage_model") or "standard",
            },
        },
    }
    for certificate_id in certificates_of(version):
        entry = ask.account.get(certificate_id)
        if entry is None or ask.account.is_recent(certificate_id, ask.state.settings.binding_lag_s):
            raise unknown_binding(certificate_id)
    if worker is not None:
        worker.versions.append(version)
        worker.modified_on, worker.last_deployed_from = now, ask.from_()
    return version


def upload_version(ask: Ask) -> Reply:
    """Add a version that is not live yet; multipart, as PUT of the script."""
    version = add_version(ask, find_worker(ask), ask.form_json("metadata"), triggered_by="upload")
    return success({**version, "startup_time_ms": 10})


def list_versions(ask: Ask) -> Reply:
    """The versions, newest first; at most the hundred deployable ones if only those are requested."""
    versions = find_worker(ask).versions[::-1]
    return success({"items": versions[:100] if ask.request.first("deployable") == "true" else versions})


def get_version(ask: Ask) -> Reply:
    """One version, with its bindings."""
    version = find_worker(ask).version(ask.names["version"])
    if version is None:
        raise no_version()
    return success(version)


def bindings_of(version: Json) -> list[Json]:
    """The bindings of a version."""
    resources = version["resources"]
    return as_objects(resources.get("bindings")) if isinstance(resources, dict) else []


def runtime_of(version: Json) -> Json:
    """The compatibility date and flags, and the usage model."""
    resources = version["resources"]
    runtime = resources.get("script_runtime") if isinstance(resources, dict) else None
    return dict(runtime) if isinstance(runtime, dict) else {}


def _bindings(ask: Ask, worker: Worker | None, metadata: Json) -> list[Json]:
    """The bindings of a new version: those in the list, those it inherits, and the kinds that it keeps."""
    latest = bindings_of(worker.versions[-1]) if worker and worker.versions else []
    strict = ask.request.first("bindings_inherit") == "strict"
    found: list[Json] = []
    for binding in as_objects(metadata.get("bindings")):
        if binding.get("type") != "inherit":
            hidden = _HIDDEN if binding.get("type") in _SECRETS else ()
            found.append({name: value for name, value in binding.items() if name not in hidden})
            continue
        inherited = _inherited(binding, worker, latest)
        if inherited is not None:
            found.append(inherited)
        elif strict:
            raise ApiError(400, 10057, f"Binding '{binding.get('name')}' can't be inherited: it does not exist.")
    keep = metadata.get("keep_bindings")
    names = {binding.get("name") for binding in found}
    kept = [binding for binding in latest if isinstance(keep, list) and binding.get("type") in keep]
    return found + [binding for binding in kept if binding.get("name") not in names]


def _inherited(binding: Json, worker: Worker | None, latest: list[Json]) -> Json | None:
    version_id = binding.get("version_id") or "latest"
    if version_id == "latest":
        source = latest
    else:
        version = worker.version(str(version_id)) if worker else None
        source = bindings_of(version) if version else []
    wanted = binding.get("old_name") or binding.get("name")
    found = next((other for other in source if other.get("name") == wanted), None)
    return {**found, "name": binding.get("name")} if found else None


def deploy(ask: Ask, worker: Worker, shares: list[Json], annotations: Json) -> Json:
    """A new deployment of a Worker; it replaces the previous one."""
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
    """Deploy one or two versions whose shares add up to 100; deploying an older one is a rollback."""
    worker, body = find_worker(ask), ask.body()
    shares = [
        {"version_id": str(share.get("version_id")), "percentage": share.get("percentage")}
        for share in as_objects(body.get("versions"))
    ]
    if any(worker.version(str(share["version_id"])) is None for share in shares):
        raise no_version()
    if not 1 <= len(shares) <= 2 or _sum(shares) != 100:
        raise invalid("a deployment must have one or two versions, and their percentages must add up to 100")
    annotations = body.get("annotations")
    given = annotations if isinstance(annotations, dict) else {}
    return success(deploy(ask, worker, list(shares), {**given, "workers/triggered_by": "deployment"}))


def list_deployments(ask: Ask) -> Reply:
    """The deployments, newest first: the first one is live."""
    return success({"deployments": find_worker(ask).deployments[::-1]})


def get_deployment(ask: Ask) -> Reply:
    """One deployment."""
    wanted = ask.names["deployment"]
    found = next((one for one in find_worker(ask).deployments if one["id"] == wanted), None)
    if found is None:
        raise ApiError(404, 10007, "This deployment does not exist on your account.")
    return success(found)


def _sum(shares: list[Json]) -> float:
    """The sum of the percentages, NaN if one is not a number from 0 to 100."""
    total = 0.0
    for share in shares:
        percentage = share["percentage"]
        if isinstance(percentage, bool) or not isinstance(percentage, (int, float)) or not 0 <= percentage <= 100:
            return float("nan")
        total += percentage
    return round(total, 6)


def put_script(ask: Ask) -> Reply:
    """A complete upload: a new version that gets all traffic at once; creates the Worker if it does not exist."""
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
    """Delete the Worker with all its versions, which ends the use of its certificates."""
    del ask.account.holders.workers[find_worker(ask).name]
    return success(None)


def list_scripts(ask: Ask) -> Reply:
    """Every Worker, by name."""
    workers = sorted(ask.account.holders.workers.values(), key=lambda worker: worker.name)
    return success([{**_script(worker), "id": worker.name} for worker in workers])


def list_workers(ask: Ask) -> Reply:
    """Every Worker, in the newer format."""
    workers = sorted(ask.account.holders.workers.values(), key=lambda worker: worker.name)
    count = len(workers)
    info: Json = {"page": 1, "per_page": max(count, 1), "count": count, "total_count": count, "total_pages": 1}
    return success([_worker(worker) for worker in workers], result_info=info)


def get_worker(ask: Ask) -> Reply:
    """One Worker in the newer format, by its name or its tag."""
    wanted = ask.names["worker"]
    found = next((one for one in ask.account.holders.workers.values() if wanted in (one.name, one.tag)), None)
    return success(_worker(found if found else find_worker(ask)))


def get_settings(ask: Ask) -> Reply:
    """Bindings and more of the latest version, which need not be the live one."""
    return success(_settings(find_worker(ask)))


def patch_settings(ask: Ask) -> Reply:
    """A new version with other bindings, deployed at once; multipart with one part `settings`.

    10215 if the newest version is not the deployed one: known for secrets, assumed here.
    """
    worker, given = find_worker(ask), ask.form_json("settings")
    latest = worker.versions[-1]
    if worker.deployed() != [latest]:
        raise ApiError(400, 10215, "The latest version of this Worker is not deployed; deploy it first.")
    metadata = {**runtime_of(latest), "bindings": bindings_of(latest), **given}
    deploy_all(ask, worker, add_version(ask, worker, metadata, triggered_by="upload"))
    return success(_settings(worker))


def patch_script_settings(ask: Ask) -> Reply:
    """Change what does not belong to a version: tags and observability."""
    worker, given = find_worker(ask), ask.body()
    tags = given.pop("tags", None)
    if isinstance(tags, list):
        worker.tags = [str(tag) for tag in tags]
    worker.script_settings.update(given)
    return success(_settings(worker))


def list_secrets(ask: Ask) -> Reply:
    """The names of secrets, empty for a Worker that does not exist: wrangler asks before the first upload, too."""
    worker = ask.account.holders.workers.get(ask.names["worker"])
    bindings = bindings_of(worker.versions[-1]) if worker else []
    secrets = [binding for binding in bindings if str(binding.get("type")).startswith("secret_")]
    return success([{"name": secret["name"], "type": secret["type"]} for secret in secrets])


def list_schedules(ask: Ask) -> Reply:
    """The cron triggers. Only remembered: no Worker runs here."""
    return success({"schedules": find_worker(ask).schedules})


def put_schedules(ask: Ask) -> Reply:
    """Replace all cron triggers, as wrangler does for `triggers.crons`."""
    worker, now = find_worker(ask), ask.now()
    given = [str(one.get("cron", "")) for one in ask.objects()]
    if not all(given):
        raise invalid("each schedule must have a cron expression")
    worker.schedules = [{"cron": cron, "created_on": now, "modified_on": now} for cron in given]
    return list_schedules(ask)


def get_script_subdomain(ask: Ask) -> Reply:
    """Whether the Worker is available on workers.dev."""
    enabled = find_worker(ask).subdomain
    return success({"enabled": enabled, "previews_enabled": enabled})


def set_script_subdomain(ask: Ask) -> Reply:
    """Set whether the Worker is available on workers.dev."""
    find_worker(ask).subdomain = ask.body().get("enabled") is True
    return get_script_subdomain(ask)


def get_account_subdomain(ask: Ask) -> Reply:
    """The account's subdomain of workers.dev; 10007 without one, as wrangler expects."""
    if not ask.state.settings.subdomain:
        raise no_worker()
    return success({"subdomain": ask.state.settings.subdomain})


def get_service(ask: Ask) -> Reply:
    """A Worker as wrangler reads it before each deploy; 10090 if it does not exist."""
    worker = _service(ask)
    environment = {"environment": "production", "script": {**_script(worker), "tags": worker.tags}}
    times = {"created_on": worker.created_on, "modified_on": worker.modified_on}
    return success({"id": worker.name, "default_environment": environment, **times})


def get_service_environment(ask: Ask) -> Reply:
    """The settings that wrangler compares with its file after someone else changed the Worker."""
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
    """Always empty: routes, domains, and other things that this account does not have."""
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
