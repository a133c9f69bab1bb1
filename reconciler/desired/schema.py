"""The JSON Schema of mtls.toml, made from the same models that the parser uses, for editors and other tools.

Draft 07, because it is what the TOML language servers have in common: taplo, which is inside Even Better TOML, grew up
with drafts 4 to 7, and tombi reads 07 and later. Nothing by reference, because in draft 07 the keys beside a `$ref`,
such as its description, mean nothing.
No `$id`: the schema is found by its path (`#:schema ./schemas/mtls.schema.json`), not at an address.

It says less than the parser: what depends on several values, on Unicode or on the calendar, only the parser checks.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from reconciler.desired.shapes import Document
from reconciler.model.keys import KeySourceKind

DRAFT = "http://json-schema.org/draft-07/schema#"
TITLE = "mtls.toml"

_KEY_PATH = {
    "type": "string",
    "minLength": 1,
    # A key that was pasted has lines; a path has none.
    "pattern": r"^[^\x00-\x1f\x7f]+$",
    "description": "The path of a private key file, relative to the folder of this file, with /.",
}


def declaration_schema(kinds: Sequence[KeySourceKind]) -> dict[str, object]:
    """The schema, ready for `json.dumps`: the same every time for the same key sources."""
    schema = _schema_of(Document)
    properties = schema["properties"]
    certificate = properties["certificates"]["additionalProperties"]
    private_key = certificate["properties"]["private_key"]
    private_key["anyOf"] = [
        *([_KEY_PATH] if any(kind.bare for kind in kinds) else []),
        *(_schema_of(kind.shape) for kind in kinds),
    ]
    # A CA has no key here: said once more for editors.
    certificate["if"] = {"properties": {"ca": {"const": True}}, "required": ["ca"]}
    certificate["then"] = {"properties": {"private_key": False}}
    return {"$schema": DRAFT, "title": TITLE, **schema}


class _Generator(GenerateJsonSchema):
    """Pydantic's generator, for a format without null."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        # None stands for a key that is not there.
        if schema.get("default", None) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)


def _schema_of(model: type[BaseModel]) -> JsonSchemaValue:
    schema = model.model_json_schema(schema_generator=_Generator)
    return _inlined(schema, schema.pop("$defs", {}))


def _inlined(node: JsonSchemaValue, definitions: JsonSchemaValue) -> JsonSchemaValue:
    """The node without references and titles: keys beside a reference win over those of what it means."""
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
