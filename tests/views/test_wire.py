"""The JSON on the wire: what programs read stays as it is, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from reconciler.findings.codes import Code
from reconciler.model import Condition
from reconciler.records.saved_plan import read_plan
from reconciler.views.json.schemas import is_document
from reconciler.views.table import Display, render
from tests.support import reports
from tests.support.paths import REPOSITORY
from tests.support.reports import place

WIRE = Path(__file__).parent / "wire"

DISPLAY = Display(place)
DOCUMENTS: Mapping[str, object] = {
    "plan": reports.PLAN,
    "plan-offline": reports.OFFLINE,
    "outcome": reports.APPLIED,
    "status": reports.STATUS,
    "explain": reports.EXPLANATION,
    "drift": reports.DRIFT,
    "forecast": reports.FORECAST,
    "output": reports.CURRENT_ENTRY,
    "verify": reports.VERIFICATION,
    "history": reports.HISTORY,
    "guard": reports.GUARD,
    "renew": reports.RENEWALS,
    "init": reports.ADOPTION,
    "export": reports.PROPOSAL,
    "diagnostics": reports.VALIDATION,
    "diagnostics-stale": reports.STALE,
    "code": Code.QUOTA,
    "condition": Condition.MAX_DELETES,
    "log": reports.LOG_LINE,
    "stacks": reports.STACKS,
    "recording": reports.RECORDING,
    "fleet-list": reports.FLEET_LIST,
    "fleet-status": reports.FLEET_STATUS,
    "fleet-history": reports.FLEET_HISTORY,
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_written_as_it_always_was(name: str) -> None:
    """Every key, in its order, and every value; `tests/views/wire` has each document as it was first written."""
    assert render(DOCUMENTS[name], "json", DISPLAY) == (WIRE / f"{name}.json").read_text()


@pytest.mark.parametrize("path", sorted(WIRE.glob("*.json")), ids=lambda path: path.stem)
def test_what_is_on_the_wire_fits_its_schema_which_knows_every_key(path: Path) -> None:
    """A schema that a key is missing from would refuse it, for all of them are closed."""
    document = json.loads(path.read_text())
    kind = document["format"].removeprefix("mtlsctl.").removesuffix("/1")
    schema = json.loads((REPOSITORY / f"schemas/{kind}.schema.json").read_text())
    assert list(Draft202012Validator(schema).iter_errors(document)) == []


@pytest.mark.parametrize("path", sorted(WIRE.glob("*.json")), ids=lambda path: path.stem)
def test_what_is_written_is_known_again_in_any_layout(path: Path) -> None:
    """The sweep for IDs leaves such files out."""
    text = path.read_bytes()
    assert is_document(text)
    assert is_document(json.dumps(json.loads(text), separators=(",", ":")).encode())


def _other(change: Callable[[dict[str, object]], object]) -> bytes:
    document = json.loads((WIRE / "plan.json").read_text())
    return json.dumps(change(document)).encode()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(_other(lambda plan: {**plan, "mtls_certificates": []}), id="a key of wrangler's"),
        pytest.param(_other(lambda plan: {"stack": plan.pop("stack"), **plan}), id="format is not the first key"),
        pytest.param(_other(lambda plan: {"vars": plan}), id="not at the top"),
        pytest.param(_other(lambda plan: [plan]), id="in a list"),
        pytest.param(_other(lambda plan: {**plan, "format": "mtlsctl.plan/2"}), id="another version"),
        pytest.param(_other(lambda plan: {**plan, "format": "mtlsctl.drift/1"}), id="another kind"),
        pytest.param(_other(lambda plan: {**plan, "format": "mtlsctl.mtls/1"}), id="no document"),
        pytest.param(b'{"format": "mtlsctl.plan/1"}', id="no more than its format"),
        pytest.param(_other(dict) + b'{"certificate_id": "x"}', id="more after it"),
        pytest.param(b"// x\n" + _other(dict), id="a comment before it"),
        pytest.param(_other(dict)[:-1], id="cut off"),
        pytest.param(b'{"format": "mtlsctl.plan/1", "changes": [' + b"1," * 250_001 + b"1]}", id="too many values"),
    ],
)
def test_what_only_looks_like_a_document_is_none(text: bytes) -> None:
    """A wrangler file could have the marker anywhere, and would hide the IDs that it names."""
    assert not is_document(text)


def test_every_kind_of_document_is_on_the_wire() -> None:
    """A new one is written down here as well."""
    kinds = {json.loads(path.read_text())["format"] for path in WIRE.glob("*.json")}
    schemas = {path.name.removesuffix(".schema.json") for path in (REPOSITORY / "schemas").iterdir()}
    assert kinds == {f"mtlsctl.{kind}/1" for kind in schemas - {"mtls", "fleet"}}


@pytest.mark.parametrize("name", ["plan", "plan-offline"])
def test_a_plan_that_is_read_back_is_written_the_same_again(name: str) -> None:
    """Nothing of it is lost on the way."""
    data = (WIRE / f"{name}.json").read_bytes()
    assert render(read_plan(data, "plan.json"), "json", DISPLAY).encode() == data
