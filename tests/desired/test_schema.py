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


def test_the_schema_is_valid_for_its_draft() -> None:
    """Editors can load it, and it refers to no URL."""
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    text = json.dumps(SCHEMA)
    assert "$ref" not in text
    assert "$id" not in text
    assert SCHEMA["title"] == "mtls.toml"


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD.keys())
def test_the_schema_accepts_what_the_parser_accepts(text: str) -> None:
    """Editors show no error in a good file."""
    VALIDATOR.validate(tomli.loads(text))


@pytest.mark.parametrize("bad", [bad for bad in BAD if bad.code != "toml-syntax"], ids=lambda bad: bad.name)
def test_the_schema_refuses_what_it_can_check(bad: BadFile) -> None:
    """The table lists the files that only the parser can refuse."""
    assert VALIDATOR.is_valid(tomli.loads(bad.text)) is bad.parser_only


def test_every_key_has_a_description_and_an_example() -> None:
    """Editors show them."""
    keys = dict(keys_of(SCHEMA))
    assert {"version", "private_key", "supersedes", "exclusive", "env", "bindings"} <= keys.keys()
    assert [name for name, schema in keys.items() if not {"description", "examples"} <= schema.keys()] == []


def test_every_example_fits_its_key() -> None:
    """An example can be copied as it is."""
    for name, schema in keys_of(SCHEMA):
        examples = schema["examples"]
        assert isinstance(examples, list)
        for example in examples:
            assert jsonschema.Draft7Validator(schema).is_valid(example), name


def test_key_sources_are_in_the_schema() -> None:
    """Editors complete every registered source, and a plain path only if a source accepts it."""
    without = declaration_schema(KINDS[1:])
    bare, tables = (json.dumps(dict(keys_of(one))["private_key"]) for one in (SCHEMA, without))
    assert '"file"' in bare
    assert '"file"' not in tables
    assert '"env"' in tables
    path = {"version": 1, "stack": "a", "certificates": {"a": {"certificate": "a.pem", "private_key": "a.key"}}}
    assert VALIDATOR.is_valid(path)
    assert not jsonschema.Draft7Validator(without).is_valid(path)
