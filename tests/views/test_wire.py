"""The JSON on the wire: what programs read stays as it is, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from reconciler.findings.codes import Code
from reconciler.model import Condition
from reconciler.records.saved_plan import read_plan
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
    "init": reports.ADOPTION,
    "export": reports.PROPOSAL,
    "diagnostics": reports.VALIDATION,
    "code": Code.QUOTA,
    "condition": Condition.MAX_DELETES,
    "log": reports.LOG_LINE,
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


def test_every_kind_of_document_is_on_the_wire() -> None:
    """A new one is written down here as well."""
    kinds = {json.loads(path.read_text())["format"] for path in WIRE.glob("*.json")}
    schemas = {path.name.removesuffix(".schema.json") for path in (REPOSITORY / "schemas").iterdir()}
    assert kinds == {f"mtlsctl.{kind}/1" for kind in schemas - {"mtls"}}


@pytest.mark.parametrize("name", ["plan", "plan-offline"])
def test_a_plan_that_is_read_back_is_written_the_same_again(name: str) -> None:
    """Nothing of it is lost on the way."""
    data = (WIRE / f"{name}.json").read_bytes()
    assert render(read_plan(data, "plan.json"), "json", DISPLAY).encode() == data
