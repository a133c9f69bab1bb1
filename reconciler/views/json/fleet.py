"""`mtlsctl.fleet-list/1`: the stacks of a fleet, on one line, for a pipeline's matrix. `mtlsctl.fleet-status/1`: how
each of them is."""

from __future__ import annotations

from typing import Literal

from reconciler.records.base import DiagnosticPart, JsonPart, diagnostic_part, to_json
from reconciler.records.fleet import FleetStackPart, FleetStatusDocument
from reconciler.reports.fleet import FleetList, FleetStack, FleetStackStatus, FleetStatus
from reconciler.views.table import Display
from reconciler.views.text.fleet import interval_text


class FleetListPart(JsonPart):
    """One stack. `file`: its mtls.toml, seen from the working directory. `stack` and `account` are absent if that can't
    be read. `account_name`: as fleet.toml calls the account. `act`: what may be done without a person. `look`: how
    often it is looked at. `problem`: why nothing can be done with it."""

    file: str
    stack: str | None = None
    account: str | None = None
    account_name: str | None = None
    credential: str
    tags: tuple[str, ...]
    act: str
    look: str
    problem: str | None = None


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
    return FleetStackPart.made_from(one, one.one, one.row, act=act, account_name=one.one.alias, allowed=one.one.act)


def show_list(found: FleetList, display: Display) -> str:
    """The document; on one line, because a pipeline's output has one."""
    diagnostics = tuple(diagnostic_part(one, display.place) for one in found.diagnostics)
    document = FleetListDocument(fleet=found.fleet, stacks=tuple(map(_part, found.stacks)), diagnostics=diagnostics)
    return to_json(document, indent=None)


def _part(one: FleetStack) -> FleetListPart:
    return FleetListPart.made_from(one, account_name=one.alias, look=interval_text(one.look))
