"""`mtlsctl.fleet-list/1`: the stacks of a fleet, on one line, for a pipeline's matrix. `mtlsctl.fleet-status/1`: how
each of them is. `mtlsctl.fleet-history/1`: what workers did for one."""

from __future__ import annotations

from typing import Literal

from reconciler.model.fleet import Pause
from reconciler.records.base import DiagnosticPart, JsonPart, UtcTime, diagnostic_part, to_json
from reconciler.records.fleet import FleetStackPart, FleetStatusDocument
from reconciler.reports.fleet import FleetHistory, FleetList, FleetStack, FleetStackStatus, FleetStatus
from reconciler.views.table import Display
from reconciler.views.text.fleet import interval_text


class FleetListPart(JsonPart):
    """One stack. `file`: its mtls.toml, seen from the working directory. `stack` and `account` are absent if that can't
    be read. `account_name`: as fleet.toml calls the account. `act`: what may be done without a person. `look`: how
    often it is checked. `problem`: why nothing can be done with it."""

    file: str
    stack: str | None = None
    account: str | None = None
    account_name: str | None = None
    credential: str
    tags: tuple[str, ...]
    act: str
    look: str
    problem: str | None = None


class FleetRunPart(JsonPart):
    """One job. `job`: `look` checks the stacks of an account, `act` also does what is allowed for the stack. `ended`
    and `outcome` are absent while it runs; an `outcome` of `lost` means that its worker died. `message`: what it came
    to, a line for each stack."""

    job: str
    worker: str
    begun: UtcTime
    ended: UtcTime | None = None
    outcome: str | None = None
    message: str


class FleetHistoryDocument(JsonPart):
    """What workers did for one stack, the latest first. `account_name`: as fleet.toml calls the account. `paused`:
    until when nothing is done to it, and why, if it is paused. `message`: what is wrong with it now."""

    format: Literal["mtlsctl.fleet-history/1"] = "mtlsctl.fleet-history/1"
    fleet: str
    stack: str
    account: str
    account_name: str
    file: str | None = None
    paused: Pause | None = None
    message: str | None = None
    runs: tuple[FleetRunPart, ...]


class FleetListDocument(JsonPart):
    """The stacks in the order of fleet.toml. `diagnostics`: what could not be found."""

    format: Literal["mtlsctl.fleet-list/1"] = "mtlsctl.fleet-list/1"
    fleet: str
    stacks: tuple[FleetListPart, ...]
    diagnostics: tuple[DiagnosticPart, ...]


def show_fleet(status: FleetStatus, display: Display) -> str:
    """The document of a status, the most urgent stacks first."""
    document = FleetStatusDocument.made_from(
        status,
        stacks=tuple(map(_status_part, status.stacks)),
        diagnostics=tuple(diagnostic_part(one, display.place) for one in status.diagnostics),
    )
    return to_json(document)


def _status_part(one: FleetStackStatus) -> FleetStackPart:
    act = None if one.row is None else one.row.act
    given = {"act": act, "account_name": one.one.alias, "allowed": one.one.act, "paused": one.pause}
    return FleetStackPart.made_from(one, one.one, one.row, **given)


def show_history(history: FleetHistory, display: Display) -> str:  # noqa: ARG001 - as every view
    """The document of the history of a stack."""
    runs = tuple(FleetRunPart.made_from(one, job=one.kind) for one in history.runs)
    document = FleetHistoryDocument.made_from(history, account_name=history.alias, paused=history.pause, runs=runs)
    return to_json(document)


def show_list(found: FleetList, display: Display) -> str:
    """The document; on one line, because a pipeline's output has one."""
    diagnostics = tuple(diagnostic_part(one, display.place) for one in found.diagnostics)
    document = FleetListDocument(fleet=found.fleet, stacks=tuple(map(_part, found.stacks)), diagnostics=diagnostics)
    return to_json(document, indent=None)


def _part(one: FleetStack) -> FleetListPart:
    return FleetListPart.made_from(one, account_name=one.alias, look=interval_text(one.look))
