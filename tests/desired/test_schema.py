"""The JSON Schema of mtls.toml agrees with its parser."""

from __future__ import annotations

import json
from collections.abc import Iterator

import jsonschema
import pytest
import tomli

from reconciler.desired.schema import declaration_schema
from tests.support.desired_files import BAD, GOOD, KINDS, BadFile

SCHEMA = declaration_schema(KINDS)
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)


def keys_of(schema: object) -> Iterator[tuple[str, dict[str, object]]]:
    """Every key that the schema describes, with its schema."""
    if not isinstance(schema, dict):
        return
    for name, below in schema.get("properties", {}).items():
        yield name, below
        yield from keys_of(below)
    yield from keys_of(schema.get("additionalProperties"))


def test_the_schema_is_a_valid_one_of_its_draft() -> None:
    """Editors can load it, and it leads to no address."""
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    text = json.dumps(SCHEMA)
    assert "$ref" not in text
    assert "$id" not in text
    assert SCHEMA["title"] == "mtls.toml"


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD.keys())
def test_the_schema_takes_what_the_parser_takes(text: str) -> None:
    """No editor marks a good file."""
    VALIDATOR.validate(tomli.loads(text))


@pytest.mark.parametrize("bad", [bad for bad in BAD if bad.code != "toml-syntax"], ids=lambda bad: bad.name)
def test_the_schema_refuses_what_it_can_tell(bad: BadFile) -> None:
    """The table says where only the parser knows."""
    assert VALIDATOR.is_valid(tomli.loads(bad.text)) is bad.parser_only


def test_every_key_has_a_description_and_an_example() -> None:
    """That is what an editor shows."""
    keys = dict(keys_of(SCHEMA))
    assert {"version", "private_key", "supersedes", "exclusive", "env", "bindings"} <= keys.keys()
    assert [name for name, schema in keys.items() if not {"description", "examples"} <= schema.keys()] == []


def test_every_example_fits_its_key() -> None:
    """An example that a user copies is right."""
    for name, schema in keys_of(SCHEMA):
        examples = schema["examples"]
        assert isinstance(examples, list)
        for example in examples:
            assert jsonschema.Draft7Validator(schema).is_valid(example), name


def test_key_sources_stand_in_the_schema() -> None:
    """A source that is registered is completed by editors, and the plain path only where a source takes it."""
    bare, tables = json.dumps(SCHEMA), json.dumps(declaration_schema(KINDS[1:]))
    assert '"file"' in bare
    assert '"file"' not in tables
    assert '"env"' in tables
    path = {"version": 1, "stack": "a", "certificates": {"a": {"certificate": "a.pem", "private_key": "a.key"}}}
    assert VALIDATOR.is_valid(path)
    assert not jsonschema.Draft7Validator(declaration_schema(KINDS[1:])).is_valid(path)
