"""Words of other tools, and the commands that do the same here. Imported only for a wrong command line."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches

from reconciler.cli.commands import COMMANDS
from reconciler.cli.complete import TABLE

_LIST = "run `mtlsctl status` to list the certificates and where they are bound"
_SHOW = "run `mtlsctl explain NAME` for a certificate, a binding or a Worker; `mtlsctl status` lists them"
_PLAN = "run `mtlsctl plan`: it shows what `mtlsctl apply` would do, and changes nothing"
_CHECK = "run `mtlsctl validate` to check mtls.toml and the files that it names"
_DECLARE = "declare it in mtls.toml, then run `mtlsctl apply`"
_ADOPT = "run `mtlsctl init --from .` to adopt what exists, or `mtlsctl init --update` if there is an mtls.toml"
_APPLY = "run `mtlsctl apply`; with `--deploy` it also deploys Workers"
_REMOVE = (
    "remove it from mtls.toml, set `prune = true` in `[policy]`, then run `mtlsctl apply --prune`; "
    "for a leaked key, see `mtlsctl retire --help`"
)
_ROTATE = "replace the certificate file and its private key, then run `mtlsctl apply`"
_BACK = "revert the commit that changed the certificate file, then run `mtlsctl apply`: it needs no key"
_REFRESH = "run `mtlsctl drift` to list what differs; every run reads Cloudflare and the files again"
_UNUSED = "run `mtlsctl drift --unused` to list unused certificates; `mtlsctl drift` alone lists what differs"
_LOGIN = "set CLOUDFLARE_API_TOKEN; `mtlsctl doctor` shows what the token may do"
_NO_STATE = "there is no state file: run `mtlsctl plan`, which reads Cloudflare and the files each time"
_HISTORY = "run `mtlsctl history` to show the runs that changed something from this checkout"
_DUE = "run `mtlsctl forecast` to show when renewals are due, and whether the quota suffices"

_COMMANDS: Mapping[str, Collection[str]] = {
    _LIST: ("list", "ls", "certificates", "certificate", "certs", "cert", "mtls-certificate", "workers", "bindings"),
    _SHOW: ("get", "describe", "info", "inspect", "view", "why"),
    _PLAN: ("diff", "preview", "dry-run", "dryrun", "changes", "what-if"),
    _CHECK: ("check", "lint", "test", "fmt", "format"),
    _DECLARE: ("create", "add", "new", "upload", "put", "push", "set", "bind", "edit", "update"),
    _ADOPT: ("import", "adopt", "pull", "scan", "discover", "bootstrap", "setup"),
    _APPLY: ("deploy", "publish", "up", "sync", "run", "reconcile", "converge", "release"),
    _REMOVE: ("delete", "del", "rm", "remove", "destroy", "down", "unbind", "revoke", "prune", "gc", "clean", "purge"),
    _ROTATE: ("rotate", "replace", "reissue", "issue"),
    _BACK: ("rollback", "revert", "undo", "restore"),
    _REFRESH: ("refresh", "reload", "compare", "audit"),
    _UNUSED: ("unused", "orphans", "orphan", "stale", "leftovers", "mismatches"),
    _LOGIN: ("login", "logout", "whoami", "auth", "configure", "token"),
    _NO_STATE: ("state", "workspace", "taint", "untaint", "console", "force-unlock", "unlock"),
    _HISTORY: ("log", "logs", "journal", "events", "runs"),
    _DUE: ("due", "expiry", "expiring", "calendar", "quota", "usage"),
    "run `mtlsctl status --format prometheus` for metrics": ("metrics", "monitor", "alerts", "watch"),
    "run `mtlsctl dev WORKER` to run a Worker on this machine": ("serve", "start", "local"),
    "run `mtlsctl emulator` to emulate Cloudflare's API on this machine": ("mock", "simulate", "fake"),
    "run `mtlsctl export` to print all uploaded certificates as an mtls.toml": ("dump", "backup"),
    "run `mtlsctl explain CODE` for a finding's code": ("code", "codes", "error", "errors"),
    "run `mtlsctl --version`": ("version",),
    "run `mtlsctl --help`": ("help",),
}

_CLOSE = 0.75
"""The least similarity of a suggestion, so that `--json` does not suggest `--version`."""

_QUESTION = "use `--yes` to apply without asking"
_JSON = "use `--format json`"
_ONLY = "use `--only NAME`; it takes globs, and can be repeated"
_LOG = "use `--verbose`, and `--log-format json` for machines"
_FILE = "use `--file FILE` to name an mtls.toml"
_TOKEN = "set CLOUDFLARE_API_TOKEN; a token on the command line can be read by other users of this machine"  # noqa: S105 - words
_ACCOUNT = "set `account_id` in `[store]` of mtls.toml, or CLOUDFLARE_ACCOUNT_ID"

_OPTIONS: Mapping[str, tuple[str | None, Collection[str]]] = {
    _JSON: ("--format", ("--json", "--yaml")),
    f"{_JSON}; `--out FILE` writes it to a file": ("--out", ("--output", "-o", "--output-format", "--output-file")),
    _QUESTION: (
        "--yes",
        ("--auto-approve", "--approve", "--confirm", "--skip-confirmation", "--assume-yes", "--no-input"),
    ),
    f"{_QUESTION}; it overrides no guard rail": (
        "--yes",
        ("--force",),
    ),
    _PLAN: (None, ("--dry-run", "-n", "--dryrun", "--check", "--preview", "--diff", "--what-if", "--noop")),
    _ONLY: ("--only", ("--target", "-t", "--name", "--certificate", "--filter", "--selector", "-l", "--include")),
    _REMOVE: (None, ("--destroy", "--delete")),
    _REFRESH: (None, ("--refresh", "--refresh-only", "--no-refresh")),
    _UNUSED: (None, ("--orphans", "--unused", "--stale")),
    _ROTATE: (None, ("--replace", "--rotate", "--renew")),
    _NO_STATE: (None, ("--state", "--backend-config", "--lock", "--no-lock")),
    _LOG: ("--verbose", ("--debug", "-v", "-d", "--trace", "--log-level", "--log")),
    "run `mtlsctl plan --live` to see live Workers; `apply` and `retire` read them when they need to": (
        None,
        ("--live",),
    ),
    "run `mtlsctl plan --offline` or `mtlsctl forecast --offline`, which only read files": (None, ("--offline",)),
    "run `mtlsctl plan --at 2027-01-31` to preview a date, or `mtlsctl forecast` for all dates": (None, ("--at",)),
    "use `--color never`": ("--color", ("--no-color", "--no-colour", "--colour")),
    "add `2>/dev/null`: only results are written to stdout": (None, ("--quiet", "-q", "--silent")),
    _FILE: ("--file", ("--config", "-c", "--chdir", "-C", "--cwd", "--directory", "--path", "--project")),
    _ACCOUNT: (None, ("--account", "--account-id")),
    _TOKEN: (None, ("--token", "--api-token", "--api-key", "--profile")),
    "declare the bindings of each environment in mtls.toml": (None, ("--env", "-e", "--environment")),
    "use `--detailed-exitcode`": ("--detailed-exitcode", ("--detailed-exit-code", "--exit-code", "--fail-on-changes")),
    "use `--max-wait TIME`; `--lock-timeout TIME` waits for another run": ("--lock-timeout", ("--timeout", "--wait")),
    "use `--max-wait TIME`": ("--max-wait", ("--timeout", "--wait")),
    "leave it out: as many calls are made at once as Cloudflare allows": (None, ("--parallelism", "-j", "--jobs")),
    "use `--version`": ("--version", ("-V",)),
}
"""By hint, the option that a command must have for it (None: any command), and the options that it is for."""


def hint_for_command(word: str) -> str:
    """A hint for a command that does not exist."""
    for hint, words in _COMMANDS.items():
        if word.lower() in words:
            return hint
    near = get_close_matches(word.lower(), COMMANDS, n=1)
    return f"did you mean `mtlsctl {near[0]}`?" if near else "run `mtlsctl --help` to list the commands"


def _options_of_commands() -> set[str]:
    """The options of all commands, without loading one; empty if their table can't be read."""
    try:
        commands = json.loads(TABLE.read_bytes())["commands"].values()
    except OSError:
        return set()
    return {name for command in commands for option in command["options"] for name in option["names"]}


def as_written(name: str, arguments: Iterable[str], known: Collection[str]) -> str:
    """An option that does not exist, as it was written: of `-auto-approve` typer reports `-a` alone.

    Only as far as it has the name of an option: the rest may be a value, and so a secret.
    """
    words = {*known, *_options_of_commands(), *(other for _, others in _OPTIONS.values() for other in others)}
    written = (word.partition("=")[0] for word in arguments if word.startswith(name))
    return next((word for word in written if f"-{word}" in words), name)


def hint_for_option(written: str, command: str, known: Collection[str]) -> str | None:
    """A hint for an option that a command does not have; None if there is none.

    `command` is empty before the command. `known`: the options that the command has.
    """
    two_dashes = f"-{written}"
    if two_dashes in known:
        return f"write it with two dashes: `{two_dashes}`"
    if not command and (found := {written, two_dashes} & _options_of_commands()):
        return f"write it after the command: `mtlsctl COMMAND {found.pop()}`"
    names = (written, two_dashes)
    if command == "plan" and written in _OPTIONS[_PLAN][1]:
        return "leave it out: `mtlsctl plan` changes nothing"
    for hint, (has, others) in _OPTIONS.items():
        if any(name in others for name in names) and (has is None or has in known or not command):
            return f"{hint}, after the command" if has and has not in known else hint
    swapped = [one for one in known if sorted(one) == sorted(written)]  # `--form` is `--from`, not `--format`
    near = swapped or get_close_matches(written, known, n=1, cutoff=_CLOSE)
    return f"did you mean `{near[0]}`?" if near else None
