"""The JSON on the wire: what programs read stays as it is, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from reconciler.records.base import to_json
from reconciler.records.plan import plan_document
from reconciler.records.saved_plan import read_plan
from reconciler.views.json.diagnostics import diagnostics_document
from reconciler.views.json.drift import drift_document
from reconciler.views.json.explain import explain_document
from reconciler.views.json.forecast import forecast_document
from reconciler.views.json.orphans import orphans_document
from reconciler.views.json.outcome import outcome_document
from reconciler.views.json.status import output_document, status_document
from reconciler.views.json.takeover import export_document, init_document
from reconciler.views.json.verify import verify_document
from tests.support import reports
from tests.support.paths import REPOSITORY
from tests.support.reports import place

WIRE = Path(__file__).parent / "wire"

DOCUMENTS: Mapping[str, Callable[[], str]] = {
    "plan": lambda: to_json(plan_document(reports.PLAN, place)),
    "plan-offline": lambda: to_json(plan_document(reports.OFFLINE, place)),
    "outcome": lambda: to_json(outcome_document(reports.OUTCOME, place, reports.TO_DEPLOY)),
    "status": lambda: to_json(status_document(reports.STATUS, place)),
    "explain": lambda: to_json(explain_document(reports.EXPLANATION, place)),
    "drift": lambda: to_json(drift_document(reports.DRIFT, place)),
    "forecast": lambda: to_json(forecast_document(reports.FORECAST, place)),
    "orphans": lambda: to_json(orphans_document(reports.ORPHANS, place)),
    "output": lambda: to_json(output_document(reports.CURRENT_ENTRY)),
    "verify": lambda: to_json(verify_document(reports.VERIFICATION, place)),
    "history": lambda: to_json(reports.HISTORY),
    "init": lambda: to_json(init_document(reports.ADOPTION, place)),
    "export": lambda: to_json(export_document(reports.PROPOSAL)),
    "diagnostics": lambda: to_json(diagnostics_document(reports.FINDINGS, place)),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_written_as_it_always_was(name: str) -> None:
    """Every key, in its order, and every value; `tests/views/wire` has each document as it was first written."""
    assert DOCUMENTS[name]() == (WIRE / f"{name}.json").read_text()


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
    assert to_json(plan_document(read_plan(data, "plan.json"), place)).encode() == data
