"""Runs a program of the operator for its output, such as one that prints a private key."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from reconciler.findings.errors import KeySourceError, NotStartedError
from reconciler.findings.escape import shell_command
from reconciler.runtime.children import Child, has_key, running

LONGEST_S = 120.0
"""A person may have to unlock a password manager."""

_NOT_STARTED = 127
"""What the keeper ends with, after one line with the system's reason; a script with a missing program ends so, too, but
may have done much before."""

_CREDENTIALS = (
    *("CLOUDFLARE_API_TOKEN", "CLOUDFLARE_API_KEY", "CF_API_TOKEN", "CF_API_KEY", "CLOUDFLARE_ACCESS_CLIENT_SECRET"),
    *(
        "MTLSCTL_CI_GITHUB_TOKEN",
        "MTLSCTL_CI_GITLAB_TOKEN",
        "MTLSCTL_RENEW_TOKEN",
    ),  # for mtlsctl alone, and may write to the repository
)

PIPELINE_TOKENS = frozenset(
    (
        *("GITHUB_TOKEN", "GH_TOKEN", "ACTIONS_RUNTIME_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"),
        *("GITLAB_TOKEN", "CI_JOB_TOKEN", "CI_REGISTRY_PASSWORD", "CI_DEPLOY_PASSWORD"),
    )
)
"""The tokens of a job. A program may need them for its own login, but one that signs certificates hardly does."""


def output(
    command: Sequence[str],
    *,
    folder: Path,
    environ: Mapping[str, str],
    withheld: frozenset[str],
    limit: int,
    longest_s: float = LONGEST_S,
    stdin: bytes | None = None,
    passed: frozenset[str] = frozenset(),
) -> bytes:
    """What the program writes to its standard output, without its last line break. It runs in `folder`.
    `stdin`: what it can read; None: nothing.

    It gets this environment, which password managers need, but no credential of Cloudflare, no token for mtlsctl alone,
    no variable in `withheld` and none with a private key; and those in `passed`, whatever they are. KeySourceError if
    it can't be started, fails, takes longer than `longest_s`, or writes more than `limit` bytes; nothing of what it
    wrote is in the message, not even of its standard error.
    """
    hidden = withheld.union(_CREDENTIALS)
    variables = {
        name: value for name, value in environ.items() if name in passed or not (name in hidden or has_key(value))
    }
    lines: list[str] = []
    complaints: list[str] = []
    started: list[Child] = []
    size = 0

    def hear(line: str) -> None:
        nonlocal size
        size += len(line) + 1
        if size <= limit + 1:
            lines.append(line)
            return
        for child in started:
            child.ask_to_end()

    def complain(line: str) -> None:
        if len(complaints) <= 1:  # a second one is of a program that was started
            complaints.append(line)

    with running(command, environ=variables, on_out=hear, on_err=complain, cwd=folder, stdin=stdin) as child:
        started.append(child)  # its first lines may have come before this
        try:
            code = child.wait(longest_s)
        except TimeoutError as error:
            raise _failed(command, f"did not end within {longest_s:.0f} s and was stopped") from error
    if size > limit + 1:
        raise _failed(command, f"printed more than {limit:,} bytes and was stopped")
    if code == _NOT_STARTED and complaints in [[f"{command[0]}: {os.strerror(one)}"] for one in errno.errorcode]:
        raise NotStartedError(
            f"the command {command[0]!r} could not be started", hint="install it, or check its name and the PATH"
        )
    if code:
        raise _failed(command, f"failed with exit code {code}")
    return "\n".join(lines).encode()


def _failed(command: Sequence[str], what: str) -> KeySourceError:
    by_hand = shell_command(command)
    return KeySourceError(
        f"the command {command[0]!r} {what}", hint=f"run it by hand to see why; its output is not shown here: {by_hand}"
    )
