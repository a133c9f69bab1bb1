"""Making a version of a Worker from what was uploaded, and showing versions."""

from __future__ import annotations

from reconciler.emulator.account import Worker, certificates_of
from reconciler.emulator.call import Ask, as_objects
from reconciler.emulator.envelope import ApiError, no_version, no_worker, success, unknown_binding
from reconciler.emulator.wire import Json, Reply

_SECRETS = frozenset({"secret_text", "secret_key"})
_HIDDEN = ("text", "key_base64", "key_jwk")
"""What a secret binding is given and never shows again."""

AUTHOR = "dev@example.com"


def find_worker(ask: Ask) -> Worker:
    """The Worker that the path names; ApiError 10007."""
    worker = ask.account.holders.workers.get(ask.names["worker"])
    if worker is None:
        raise no_worker()
    return worker


def add_version(ask: Ask, worker: Worker | None, metadata: Json, *, triggered_by: str) -> Json:
    """The next version, from metadata as wrangler uploads it. `worker` None: its first; the caller puts it in.

    ApiError 100143 for a certificate that the account does not have (everywhere yet), 10057 for a binding to inherit
    that is not there, where that is asked for strictly.
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
    """A new version that serves nothing yet; multipart, as PUT of the script."""
    version = add_version(ask, find_worker(ask), ask.form_json("metadata"), triggered_by="upload")
    return success({**version, "startup_time_ms": 10})


def list_versions(ask: Ask) -> Reply:
    """The newest first; of the hundred that can be deployed, where only those are asked for."""
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
    """Compatibility date and flags, and the usage model."""
    resources = version["resources"]
    runtime = resources.get("script_runtime") if isinstance(resources, dict) else None
    return dict(runtime) if isinstance(runtime, dict) else {}


def _bindings(ask: Ask, worker: Worker | None, metadata: Json) -> list[Json]:
    """The bindings of a new version: the whole list, what it inherits, and the kinds that it keeps."""
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
            raise ApiError(400, 10057, f"Binding '{binding.get('name')}' can't be inherited: there is none.")
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
