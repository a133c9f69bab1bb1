"""`mtlsctl.fleet-status/1`: what is known of the stacks of a fleet; also what is remembered between passes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import ValidationError

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place
from reconciler.findings.errors import InputError
from reconciler.model.fleet import Acted, Look, Pause, Queue, StackRow
from reconciler.records.base import DiagnosticPart, JsonPart, UtcTime, to_json

MAX_BYTES = 64_000_000


class FleetStackPart(JsonPart):
    """One stack. `look`: the last one, absent if there was none. `success`: when the last look ended without an error.
    `act`: the last one. `tags`: those that it has in fleet.toml. What follows is only in the output of `fleet status`.
    `account_name`: as in fleet.toml. `state`: one of vanished, broken, failed, incomplete, not-checked, blocked, drift,
    changes, ok. `due`: when it is checked next. `allowed`: what may be done without a person. `message`: what is wrong.
    `paused`: until when nothing is done to it, and why, if it is paused."""

    stack: str | None = None
    account: str | None = None
    file: str
    look: Look | None = None
    success: UtcTime | None = None
    act: Acted | None = None
    tags: tuple[str, ...] | None = None
    account_name: str | None = None
    state: str | None = None
    due: UtcTime | None = None
    allowed: str | None = None
    message: str | None = None
    paused: Pause | None = None


class FleetStatusDocument(JsonPart):
    """All stacks, in the order of their names. `made` and `exit_code` are only in the output of `fleet status`, as the
    findings about fleet.toml and its files in `diagnostics`, and what workers do in `queue`, if there are any."""

    format: Literal["mtlsctl.fleet-status/1"] = "mtlsctl.fleet-status/1"
    fleet: str
    made: UtcTime | None = None
    exit_code: int | None = None
    stacks: tuple[FleetStackPart, ...] = ()
    diagnostics: tuple[DiagnosticPart, ...] | None = None
    queue: Queue | None = None


def record_text(fleet: str, rows: Iterable[StackRow]) -> bytes:
    """What is remembered, as a text."""
    parts = (FleetStackPart.made_from(row, None) for row in sorted(rows, key=lambda row: (row.stack, row.account)))
    return to_json(FleetStatusDocument(fleet=fleet, stacks=tuple(parts))).encode()


def read_record(data: bytes, path: str, fleet: str) -> tuple[StackRow, ...]:
    """What was remembered of a fleet. InputError for anything else: without it no one would miss a stack."""
    try:
        document = FleetStatusDocument.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))[:80] or "the document"
        raise _no_record(path, f"{where}: {first['msg']}") from None
    if document.fleet != fleet:
        raise _no_record(path, f"it is of the fleet {document.fleet!r}, not of {fleet!r}")
    return tuple(
        StackRow(one.account, one.stack, one.file, one.look, one.success, one.act, one.tags)
        for one in document.stacks
        if one.account is not None and one.stack is not None
    )


def _no_record(path: str, why: str) -> InputError:
    message = f"{path} is not what this version remembers of this fleet: {why}"
    hint = "name another file with `--state`, or delete it: all stacks are checked again, and no missing one is noticed"
    return InputError([Diagnostic(Severity.ERROR, Code.FLEET_STATE, message, Place(path), hint)])
