"""The paths of the API, as its documentation writes them: with the names of ids in their places."""

from __future__ import annotations

_IDS = {
    "accounts": "account_id",
    "mtls_certificates": "id",
    "scripts": "script_name",
    "versions": "version_id",
    "projects": "project_name",
    "zones": "zone_id",
}
"""What stands for the part of a path that follows this one."""


def path_template(path: str) -> str:
    """`/accounts/{account_id}/mtls_certificates/{id}` for a path of an account: all calls of a kind look the same."""
    parts: list[str] = []
    name: str | None = None
    for part in path.split("/"):
        parts.append(part if name is None else f"{{{name}}}")
        name = _IDS.get(part) if name is None else None
    return "/".join(parts)
