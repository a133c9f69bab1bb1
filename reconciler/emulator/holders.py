"""The other users of a certificate: Hyperdrive configs, hostname associations, and Pages projects, as far as needed."""

from __future__ import annotations

import json

from reconciler.emulator.account import Account
from reconciler.emulator.state import Ask, as_object, as_objects
from reconciler.emulator.tokens import UPLOAD_TOKEN
from reconciler.emulator.wire import ApiError, Json, Reply, Request, certificate_not_found, invalid, success


def create_config(ask: Ask) -> Reply:
    """Create a Hyperdrive config. No database is connected; the certificates that it names must exist."""
    config: Json = {"id": ask.state.ids().replace("-", ""), "created_on": ask.now(), "caching": {"disabled": False}}
    _fill(ask, config)
    ask.account.holders.hyperdrive[str(config["id"])] = config
    return success(config)


def list_configs(ask: Ask) -> Reply:
    """One page of the configs."""
    return _page(ask, list(ask.account.holders.hyperdrive.values()))


def get_config(ask: Ask) -> Reply:
    """One config."""
    return success(_config(ask))


def change_config(ask: Ask) -> Reply:
    """Change the given fields, for PUT and PATCH."""
    config = _config(ask)
    _fill(ask, config)
    return success(config)


def delete_config(ask: Ask) -> Reply:
    """Delete a config, which ends the use of its certificates."""
    del ask.account.holders.hyperdrive[str(_config(ask)["id"])]
    return success(None)


def list_zones(ask: Ask) -> Reply:
    """One page of the zones, by `account.id` and `name`; every zone that was added, or ever had a hostname
    association."""
    account = owner_of_zones(ask)
    wanted, name = ask.request.first("account.id"), ask.request.first("name")
    names = {**{zone: zone for zone in sorted(account.holders.hostnames)}, **account.holders.zones}
    zones = names.items() if wanted in (None, account.id) else ()
    found: list[Json] = [
        {"id": zone, "name": one, "account": {"id": account.id}} for zone, one in zones if name in (None, one)
    ]
    return _page(ask, found)


def get_hostnames(ask: Ask) -> Reply:
    """The hostnames that a CA is associated with in a zone; without an id, those of Cloudflare's own CA."""
    owner = _owner_of_zone(ask)
    return success({"hostnames": owner.get(ask.request.first("mtls_certificate_id") or "", [])})


def put_hostnames(ask: Ask) -> Reply:
    """Replace the whole list of one CA in one zone; [] removes it."""
    body = ask.body()
    hostnames, certificate_id = body.get("hostnames"), str(body.get("mtls_certificate_id") or "")
    if not isinstance(hostnames, list):
        raise invalid("hostnames must be a list")
    if certificate_id:
        _demand(ask, certificate_id)
    _owner_of_zone(ask)[certificate_id] = [str(name) for name in hostnames]
    return success({"hostnames": hostnames})


def list_projects(ask: Ask) -> Reply:
    """Every Pages project that was deployed."""
    return success(list(ask.account.holders.pages.values()))


def get_project(ask: Ask) -> Reply:
    """A Pages project; every name exists, so that a deploy needs no preparation."""
    return success(_project(ask))


def get_upload_token(ask: Ask) -> Reply:  # noqa: ARG001 - a handler like all others
    """A token for assets."""
    return success({"jwt": UPLOAD_TOKEN})


def check_missing(ask: Ask) -> Reply:  # noqa: ARG001 - a handler like all others
    """Always empty: no asset is missing, because none is ever served."""
    return success([])


def upsert_hashes(ask: Ask) -> Reply:  # noqa: ARG001 - a handler like all others
    """Does nothing: asset hashes are not kept."""
    return success(None)


def deploy_project(ask: Ask) -> Reply:
    """Deploy a Pages project; its Functions use the certificates that they bind."""
    project = _project(ask)
    parts = {part.name: part.body for part in ask.request.parts()}
    branch = parts.get("branch", b"").decode(errors="replace")
    bundle = parts.get("_worker.bundle")
    if bundle is not None:
        found = _bundle_bindings(ask, bundle)
        project["resources"] = {"bindings": found}
        presented: Json = {str(one["name"]): {"certificate_id": one["certificate_id"]} for one in found}
        sides: Json = {"production": {}, "preview": {}, **as_object(project.get("deployment_configs"))}
        project["deployment_configs"] = {**sides, _environment(project, branch): {"mtls_certificates": presented}}
    ask.account.holders.pages[str(project["name"])] = project
    return success({**_deployment(ask, ask.state.ids()), "environment": _environment(project, branch), "aliases": None})


def get_project_deployment(ask: Ask) -> Reply:
    """A deployment, which has always succeeded."""
    return success(_deployment(ask, ask.names["deployment"]))


def _page(ask: Ask, everything: list[Json]) -> Reply:
    page, per_page = ask.number("page", 1), ask.number("per_page", 20)
    shown = everything[(page - 1) * per_page : page * per_page]
    info: Json = {
        "page": page,
        "per_page": per_page,
        "count": len(shown),
        "total_count": len(everything),
        "total_pages": -(-len(everything) // per_page),
    }
    return success(shown, result_info=info)


def _fill(ask: Ask, config: Json) -> None:
    given = ask.body()
    mtls = given.get("mtls")
    if isinstance(mtls, dict):
        for name in ("mtls_certificate_id", "ca_certificate_id"):
            if mtls.get(name):
                _demand(ask, str(mtls[name]))
    origin = given.get("origin")
    if isinstance(origin, dict):
        origin.pop("password", None)
    config.update({name: given[name] for name in ("name", "origin", "mtls", "caching") if name in given})
    if not isinstance(config.get("name"), str):
        raise invalid("name must be a string")
    config["modified_on"] = ask.now()


def _config(ask: Ask) -> Json:
    found = ask.account.holders.hyperdrive.get(ask.names["config"])
    if found is None:
        raise ApiError(404, 2001, "Hyperdrive config not found.")
    return found


def _owner_of_zone(ask: Ask) -> dict[str, list[str]]:
    """The associations of a zone."""
    return owner_of_zones(ask).holders.hostnames.setdefault(ask.names["zone"], {})


def owner_of_zones(ask: Ask) -> Account:
    """The first account: every zone belongs to it, because the emulator has no list of zones."""
    return next(iter(ask.state.accounts.values()))


def _demand(ask: Ask, certificate_id: str) -> None:
    if not any(account.get(certificate_id) for account in ask.state.accounts.values()):
        raise certificate_not_found()


def _project(ask: Ask) -> Json:
    name = ask.names["project"]
    empty: Json = {"name": name, "production_branch": "main", "subdomain": f"{name}.pages.dev", "domains": []}
    return ask.account.holders.pages.get(name, {**empty, "deployment_configs": {"production": {}, "preview": {}}})


def _deployment(ask: Ask, deployment_id: str) -> Json:
    url = f"https://{deployment_id[:8]}.{ask.names['project']}.pages.dev"
    return {"id": deployment_id, "url": url, "latest_stage": {"name": "deploy", "status": "success"}}


def _environment(project: Json, branch: str) -> str:
    return "production" if branch in ("", project["production_branch"]) else "preview"


def _bundle_bindings(ask: Ask, bundle: bytes) -> list[Json]:
    """The mTLS bindings in the metadata of the Functions, which are a multipart body inside one part."""
    boundary = bundle.partition(b"\r\n")[0].removeprefix(b"--").decode(errors="replace")
    inner = Request("POST", "", headers={"content-type": f"multipart/form-data; boundary={boundary}"}, body=bundle)
    texts = [part.body for part in inner.parts() if part.name == "metadata"]
    try:
        metadata = as_object(json.loads(texts[0])) if texts else {}
    except ValueError as error:
        raise invalid("the metadata of the Functions is not JSON") from error
    found = as_objects(metadata.get("bindings"))
    bindings = [one for one in found if one.get("type") == "mtls_certificate"]
    for binding in bindings:
        _demand(ask, str(binding.get("certificate_id")))
    return bindings
