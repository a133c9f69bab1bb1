"""The checked-in schemas are fresh, and what the tool writes fits them."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator

from reconciler import keys
from reconciler.views.json.schemas import DECLARATION_SCHEMA, FLEET_SCHEMA, all_schemas
from tests.support.cli import MTLS, Project
from tests.support.paths import REPOSITORY

SCHEMAS = REPOSITORY / "schemas"


def test_checked_in_schemas_are_fresh() -> None:
    """`make schemas` writes them again."""
    written = {path.name: path.read_text() for path in SCHEMAS.iterdir()}
    assert written == dict(all_schemas(keys.KINDS)), "run `make schemas` and commit the result"


def test_every_document_names_its_format_as_a_constant() -> None:
    """A reader knows from `format` which schema to use."""
    for name, text in all_schemas(keys.KINDS).items():
        if name not in {DECLARATION_SCHEMA, FLEET_SCHEMA}:
            constant = json.loads(text)["properties"]["format"]["const"]
            assert constant == f"mtlsctl.{name.removesuffix('.schema.json')}/1"


@pytest.mark.parametrize(
    ("arguments", "schema"),
    [
        (["plan"], "plan"),
        (["plan", "--offline"], "plan"),
        (["plan", "--only", "billing", "--at", "2030-01-01"], "plan"),
        (["apply", "--yes"], "outcome"),
        (["apply", "--yes", "--phase", "bind"], "outcome"),
        (["validate"], "diagnostics"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_what_is_written_fits_its_schema(project: Project, arguments: list[str], schema: str) -> None:
    """The documents of every command, in a project with something to say."""
    project.write("wrangler.toml", project.read("wrangler.toml") + "[env.staging.vars]\nX = 1\n")
    document = project.run(*arguments, "--format", "json").json
    validator = Draft202012Validator(json.loads((SCHEMAS / f"{schema}.schema.json").read_text()))
    assert list(validator.iter_errors(document)) == []
    assert document["format"] == f"mtlsctl.{schema}/1"


def test_a_rotation_with_waiting_entries_fits_the_plan_schema(project: Project) -> None:
    """Differences, waiting entries and until are there."""
    project.run("apply", "--yes")
    project.certificate("billing", 2)
    before = project.run("plan", "--format", "json").json
    project.run("apply", "--yes")
    after = project.run("plan", "--format", "json").json
    validator = Draft202012Validator(json.loads((SCHEMAS / "plan.schema.json").read_text()))
    assert before["changes"][0]["differences"]
    assert after["waiting"][0]["until"]
    for document in (before, after):
        assert list(validator.iter_errors(document)) == []


def test_schema_prints_the_schema_of_mtls_toml(project: Project) -> None:
    """And `--out` writes it where an editor finds it."""
    printed = project.run("schema").out
    assert printed == (SCHEMAS / DECLARATION_SCHEMA).read_text()
    project.run("schema", "--out", "mtls.schema.json")
    assert project.read("mtls.schema.json") == printed


def test_errors_that_stop_a_run_fit_the_diagnostics_schema(project: Project) -> None:
    """Several findings with places."""
    project.write("mtls.toml", MTLS.replace("private_key", "privat_key").replace('= "billing"', '= "x"'))
    document = project.run("plan", "--format", "json").json
    validator = Draft202012Validator(json.loads((SCHEMAS / "diagnostics.schema.json").read_text()))
    assert list(validator.iter_errors(document)) == []
    assert len(document["diagnostics"]) == 2
