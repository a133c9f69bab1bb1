"""The JSON Schemas of mtls.toml and fleet.toml for editors and other tools, from the models that the parsers use.

Draft 07, because all TOML language servers support it: taplo, which is part of Even Better TOML, supports drafts 4 to
7, and tombi 07 and later. No references, because in draft 07 the keys next to a `$ref`, such as a description, are
ignored. No `$id`: editors find the schema by its path (`#:schema ./schemas/mtls.schema.json`), not by a URL.

It is less strict than the parser: only the parser checks what depends on several values, Unicode or the calendar.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from reconciler.desired.fleet import FleetDocument
from reconciler.desired.shapes import Document
from reconciler.desired.unions import PASSPHRASE
from reconciler.model.keys import KeySourceKind

DRAFT = "http://json-schema.org/draft-07/schema#"
TITLE = "mtls.toml"

_KEY_PATH = {
    "type": "string",
    "minLength": 1,
    # A pasted key has line breaks; a path has none.
    "pattern": r"^[^\x00-\x1f\x7f]+$",
    "description": "The path to a private key file, relative to the folder of this file, with /.",
}


def declaration_schema(kinds: Sequence[KeySourceKind]) -> dict[str, object]:
    """The schema, ready for `json.dumps`. Deterministic for the same key sources."""
    schema = _schema_of(Document)
    properties = schema["properties"]
    certificate = properties["certificates"]["additionalProperties"]
    private_key = certificate["properties"]["private_key"]
    shapes = [_schema_of(kind.shape) for kind in kinds]
    private_key["anyOf"] = [
        *([_KEY_PATH] if any(kind.bare for kind in kinds) else []),
        *(_with_passphrase(shape, shapes) for shape in shapes),
    ]
    for table in properties["issuers"]["additionalProperties"]["anyOf"]:
        if "password" in table["properties"]:
            table["properties"]["password"]["anyOf"] = shapes
    # A CA has no private key: repeated here so that editors check it.
    certificate["if"] = {"properties": {"ca": {"const": True}}, "required": ["ca"]}
    certificate["then"] = {"properties": {"private_key": False, "renew": False}}
    return {"$schema": DRAFT, "title": TITLE, **schema}


def fleet_schema() -> dict[str, object]:
    """The schema of fleet.toml."""
    return {"$schema": DRAFT, "title": "fleet.toml", **_schema_of(FleetDocument)}


def _with_passphrase(table: JsonSchemaValue, shapes: Sequence[JsonSchemaValue]) -> JsonSchemaValue:
    """The table of a key source, which may say where the passphrase is that the key is encrypted with."""
    passphrase = {
        "anyOf": shapes,
        "description": "Where the passphrase of an encrypted key is, never the passphrase itself.",
    }
    return {**table, "properties": {**table["properties"], PASSPHRASE: passphrase}}


class _Generator(GenerateJsonSchema):
    """Pydantic's generator, adapted to a format without null."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        # None means that the key is absent.
        if schema.get("default", None) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)


def _schema_of(model: type[BaseModel]) -> JsonSchemaValue:
    schema = model.model_json_schema(schema_generator=_Generator)
    return _inlined(schema, schema.pop("$defs", {}))


def _inlined(node: JsonSchemaValue, definitions: JsonSchemaValue) -> JsonSchemaValue:
    """The node without references and titles. Keys next to a reference override those of its definition."""
    reference = node.get("$ref")
    if isinstance(reference, str):
        node = {**definitions[reference.rsplit("/", 1)[-1]], **{key: node[key] for key in node if key != "$ref"}}
    return {
        key: _inlined_value(value, definitions)
        for key, value in node.items()
        if not (key == "title" and isinstance(value, str))
    }


def _inlined_value(value: object, definitions: JsonSchemaValue) -> object:
    if isinstance(value, dict):
        return _inlined(value, definitions)
    return [_inlined_value(item, definitions) for item in value] if isinstance(value, list) else value
