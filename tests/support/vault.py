"""A server on loopback that behaves as HashiCorp documents Vault, for want of a real one.

KV version 2, tokens, the logins AppRole and JWT, policies, namespaces, and a seal; the rest is 404.
https://developer.hashicorp.com/vault/api-docs: secret/kv/kv-v2, auth/token, auth/approle, auth/jwt, and the errors.
"""

from __future__ import annotations

import fnmatch
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.support.forges import FakeForge, Reply, Request

TOKEN = "hvs.canary0123456789abcdefghijklmnopqrstuvw"
SECRET_ID = "canary01-2345-6789-abcd-ef0123456789"
ROLE_ID = "59d6d1ca-47bb-4e7e-a40b-8be3bc5a0ba8"
ID_TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJjYW5hcnkifQ.Y2FuYXJ5LWNhbmFyeS1jYW5hcnk"
TIME = "2026-11-01T12:00:00.000000000Z"
ROOT = {"*": ("create", "read", "update", "delete", "list")}
"""The policy that permits everything."""

Policy = Mapping[str, tuple[str, ...]]
"""Capabilities by path; a `*` at the end stands for any rest, a `+` for one part."""


def errors(status: int, *messages: str) -> Reply:
    """An answer that refuses."""
    return status, {}, {"errors": list(messages)}


def answered(data: object) -> Reply:
    """An answer with data, in Vault's envelope."""
    head = {"request_id": "b20b56e3", "lease_id": "", "renewable": False, "lease_duration": 0}
    return 200, {}, {**head, "data": data, "wrap_info": None, "warnings": None, "auth": None}


@dataclass
class Version:
    """One version of a secret."""

    data: dict[str, Any]
    deleted: str = ""
    destroyed: bool = False


@dataclass
class Vault(FakeForge):
    """One Vault. `kv`: the secrets of each KV mount, by path, with their versions."""

    tokens: dict[str, Policy] = field(default_factory=lambda: {TOKEN: ROOT})
    app_roles: dict[tuple[str, str], Policy] = field(default_factory=dict)
    jwt_roles: dict[tuple[str, str], Policy] = field(default_factory=dict)
    kv: dict[str, dict[str, list[Version]]] = field(default_factory=lambda: {"secret": {}})
    namespace: str = ""
    sealed: bool = False
    logins: int = 0
    has_default: bool = True

    def put(self, path: str, *, mount: str = "secret", **data: Any) -> None:
        """A new version of a secret."""
        self.kv[mount].setdefault(path, []).append(Version(data))

    def is_allowed(self, request: Request) -> bool:
        """As `FakeForge`; what a call may do is decided where it is answered."""
        return True

    def answer(self, request: Request) -> Reply:
        """As `FakeForge`, with Vault's form of errors."""
        if self.sealed:
            self.requests.append(request)
            return errors(503, "Vault is sealed")
        return super().answer(request)

    def _routed(self, request: Request) -> Reply:
        path = unquote(request.path).removeprefix("/v1/")
        if request.headers.get("x-vault-request") != "true":
            return errors(412, "missing X-Vault-Request")  # as a proxy that requires it
        if request.headers.get("x-vault-namespace", "").strip("/") != self.namespace:
            return errors(404, f'no handler for route "{path}". route entry not found.')
        login = re.fullmatch(r"auth/(.+)/login", path)
        if login is not None and request.method in {"POST", "PUT"}:
            return self._log_in(login[1], request.body)
        policy = self.tokens.get(request.headers.get("x-vault-token", ""))
        if policy is None:
            return errors(403, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n")
        if not self._permits(policy, path, request):
            return errors(403, "1 error occurred:\n\t* permission denied\n\n")
        return self._permitted(request, path)

    def _permitted(self, request: Request, path: str) -> Reply:
        """What a call gets that may be made."""
        if path == "auth/token/lookup-self":
            return answered({"id": request.headers["x-vault-token"], "ttl": 3600})
        if path == "sys/capabilities-self":
            (asked,) = request.body["paths"]
            policy = self.tokens[request.headers["x-vault-token"]]
            may = sorted({one for rule, can in policy.items() if _matches(rule, asked) for one in can}) or ["deny"]
            return answered({"capabilities": may, asked: may})
        if path == "auth/token/revoke-self":
            del self.tokens[request.headers["x-vault-token"]]
            return 204, {}, None
        for mount, secrets in self.kv.items():
            found = re.fullmatch(rf"{re.escape(mount)}/(data|metadata|delete|undelete|destroy)(?:/(.*))?", path)
            if found is not None:
                return _kv(secrets, request, found[1], found[2] or "")
        return errors(404, f'no handler for route "{path}". route entry not found.')

    def _log_in(self, mount: str, content: Mapping[str, str]) -> Reply:
        if "jwt" in content:
            policy = self.jwt_roles.get((content.get("role", ""), content["jwt"])) if mount == "jwt" else None
            refusal = f"error validating token: error verifying token signature of {content['jwt']}"
        else:
            key = (content.get("role_id", ""), content.get("secret_id", ""))
            policy = self.app_roles.get(key) if mount == "approle" else None
            refusal = "invalid role or secret ID"
        if mount not in {"jwt", "approle"}:
            return errors(403, "permission denied")
        if policy is None:
            return errors(400, refusal)
        self.logins += 1
        token = f"hvs.login{self.logins:02d}canary0123456789abcdefghijkl"
        self.tokens[token] = policy
        return 200, {}, {"auth": {"client_token": token, "lease_duration": 300, "renewable": True}, "data": None}

    def _permits(self, policy: Policy, path: str, request: Request) -> bool:
        """Whether a policy permits a call; by the policy `default`, every token may do a few of its own."""
        if self.has_default and path in {"auth/token/lookup-self", "auth/token/revoke-self", "sys/capabilities-self"}:
            return True
        if is_list(request):
            wanted = "list"
        elif request.method in {"POST", "PUT"}:
            wanted = "update" if self._exists(path) else "create"
        else:
            wanted = {"GET": "read", "DELETE": "delete"}[request.method]
        paths = {path, f"{path.rstrip('/')}/"} if wanted == "list" else {path}
        return any(wanted in can for rule, can in policy.items() if any(_matches(rule, one) for one in paths))

    def _exists(self, path: str) -> bool:
        """Whether a write would be an update."""
        found = ((mount, path.removeprefix(f"{mount}/data/")) for mount in self.kv if path.startswith(f"{mount}/data/"))
        return next((rest in self.kv[mount] for mount, rest in found), True)


def is_list(request: Request) -> bool:
    """Whether a call lists, in either way."""
    return request.method == "LIST" or (request.method == "GET" and request.query.get("list") == "true")


def _matches(rule: str, path: str) -> bool:
    return fnmatch.fnmatchcase(path, rule) if "+" not in rule else bool(re.fullmatch(rule.replace("+", "[^/]+"), path))


def _kv(secrets: dict[str, list[Version]], request: Request, what: str, path: str) -> Reply:
    if what == "metadata" and is_list(request):
        return _list(secrets, path)
    versions = secrets.get(path, [])
    match what, request.method:
        case "data", "GET":
            return _read(versions, int(request.query.get("version", "0")))
        case "data", "POST" | "PUT":
            return _write(secrets, path, request.body)
        case "data", "DELETE":
            _each(versions, [len(versions)], "delete")
            return 204, {}, None
        case (("delete" | "undelete" | "destroy"), "POST" | "PUT"):
            _each(versions, request.body["versions"], what)
            return 204, {}, None
        case "metadata", "DELETE":
            secrets.pop(path, None)
            return 204, {}, None
        case "metadata", "GET" if versions:
            rows = {str(number): _metadata(one, number) for number, one in enumerate(versions, 1)}
            return answered({"current_version": len(versions), "versions": rows})
    return errors(404)


def _list(secrets: Mapping[str, object], path: str) -> Reply:
    folder = f"{path.rstrip('/')}/" if path else ""
    rests = [one.removeprefix(folder) for one in secrets if one.startswith(folder)]
    keys = sorted({rest if "/" not in rest else rest.partition("/")[0] + "/" for rest in rests})
    return answered({"keys": keys}) if keys else errors(404)


def _read(versions: list[Version], number: int) -> Reply:
    number = number or len(versions)
    if not 0 < number <= len(versions):
        return errors(404)
    version = versions[number - 1]
    is_absent = bool(version.deleted) or version.destroyed
    data = {"data": None if is_absent else version.data, "metadata": _metadata(version, number)}
    status, headers, body = answered(data)
    return (404 if is_absent else status), headers, body


def _write(secrets: dict[str, list[Version]], path: str, content: Mapping[str, Any]) -> Reply:
    if "data" not in content:
        return errors(400, "no data provided")
    current = len(secrets.get(path, []))
    if content.get("options", {}).get("cas", current) != current:
        return errors(400, "check-and-set parameter did not match the current version")
    secrets.setdefault(path, []).append(Version(dict(content["data"])))
    return answered(_metadata(secrets[path][-1], current + 1))


def _each(versions: list[Version], numbers: list[int], what: str) -> None:
    for number in itertools.filterfalse(lambda number: not 0 < number <= len(versions), numbers):
        version = versions[number - 1]
        if what == "destroy":
            version.data, version.destroyed = {}, True
        else:
            version.deleted = TIME if what == "delete" else ""


def _metadata(version: Version, number: int) -> dict[str, object]:
    times = {"created_time": TIME, "deletion_time": version.deleted}
    return {**times, "custom_metadata": None, "destroyed": version.destroyed, "version": number}
