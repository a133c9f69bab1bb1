"""Who runs this, for the journal. What a pipeline's environment says is recorded and never relied on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from reconciler.records.journal import Actor

_LONGEST = 255
_LONGEST_URL = 1000
_URL = re.compile(r"[\x21-\x7e]+")


def find_actor(environ: Mapping[str, str], user: str, host: str) -> Actor:
    """The user and the machine; in a job of GitHub or GitLab also who started it, its page, its commit and its ref.

    Of an address only scheme, host, port and path are kept: a name, a password or a query may be secret.
    """
    told: dict[str, str | None] = {}
    if environ.get("GITHUB_ACTIONS") == "true":
        told = {
            "forge": "github",
            "login": environ.get("GITHUB_TRIGGERING_ACTOR") or environ.get("GITHUB_ACTOR"),
            "run_url": _github_run(environ),
            "commit": environ.get("GITHUB_SHA"),
            "ref": environ.get("GITHUB_REF"),
        }
    elif environ.get("GITLAB_CI") == "true":
        told = {
            "forge": "gitlab",
            "login": environ.get("GITLAB_USER_LOGIN"),
            "run_url": _public(environ.get("CI_JOB_URL") or environ.get("CI_PIPELINE_URL") or ""),
            "commit": environ.get("CI_COMMIT_SHA"),
            "ref": environ.get("CI_COMMIT_REF_NAME"),
        }
    known = {key: value if key == "run_url" else _bounded(value) for key, value in told.items() if value}
    return Actor(user=_bounded(user), host=_bounded(host), **known)


def _github_run(environ: Mapping[str, str]) -> str | None:
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT")
    server, repository, run, attempt = (environ.get(name, "") for name in names)
    known = _public(server)
    if known is None or not re.fullmatch(r"[\w.-]+/[\w.-]+", repository) or not re.fullmatch(r"[0-9]+", run):
        return None
    attempts = f"/attempts/{attempt}" if re.fullmatch(r"[0-9]+", attempt) else ""
    return _public(f"{known.rstrip('/')}/{repository}/actions/runs/{run}{attempts}")


def _public(address: str) -> str | None:
    """A web address without user, password, query and fragment; None if it is not one."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    host = parts.netloc.rpartition("@")[2]
    found = f"{parts.scheme}://{host}{parts.path}"
    is_one = parts.scheme in {"http", "https"} and host and len(found) <= _LONGEST_URL and _URL.fullmatch(found)
    return found if is_one else None


def _bounded(text: str) -> str:
    """The text, cut to a reasonable length; bytes that are not UTF-8 become question marks."""
    return text[:_LONGEST].encode("utf-8", "replace").decode()
