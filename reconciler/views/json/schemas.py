"""The JSON Schemas of every document, by the name of the file in `schemas/`; and whether a text is such a document."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from pydantic import ValidationError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core.core_schema import DataclassField, ModelField, TypedDictField

from reconciler.desired.schema import declaration_schema, fleet_schema
from reconciler.model.keys import KeySourceKind
from reconciler.records.base import JsonPart
from reconciler.records.fleet import FleetStatusDocument
from reconciler.records.history import HistoryDocument
from reconciler.records.plan import PlanDocument
from reconciler.records.recording import MAX_BYTES as MAX_RECORDING
from reconciler.records.recording import MAX_COMMAS as MAX_VALUES
from reconciler.records.recording import RecordingDocument
from reconciler.records.saved_plan import MAX_BYTES, MAX_COMMAS
from reconciler.views.json.codes import CodeDocument, ConditionDocument
from reconciler.views.json.diagnostics import DiagnosticsDocument
from reconciler.views.json.drift import DriftDocument
from reconciler.views.json.explain import ExplainDocument
from reconciler.views.json.fleet import FleetHistoryDocument, FleetListDocument
from reconciler.views.json.forecast import ForecastDocument
from reconciler.views.json.guard import GuardDocument
from reconciler.views.json.log import LogDocument
from reconciler.views.json.outcome import OutcomeDocument
from reconciler.views.json.renew import RenewDocument
from reconciler.views.json.stacks import StacksDocument
from reconciler.views.json.status import OutputDocument, StatusDocument
from reconciler.views.json.takeover import ExportDocument, InitDocument
from reconciler.views.json.verify import VerifyDocument

DECLARATION_SCHEMA = "mtls.schema.json"
FLEET_SCHEMA = "fleet.schema.json"
_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_DOCUMENTS: Mapping[str, type[JsonPart]] = {
    "plan.schema.json": PlanDocument,
    "outcome.schema.json": OutcomeDocument,
    "diagnostics.schema.json": DiagnosticsDocument,
    "status.schema.json": StatusDocument,
    "explain.schema.json": ExplainDocument,
    "code.schema.json": CodeDocument,
    "condition.schema.json": ConditionDocument,
    "output.schema.json": OutputDocument,
    "history.schema.json": HistoryDocument,
    "verify.schema.json": VerifyDocument,
    "drift.schema.json": DriftDocument,
    "guard.schema.json": GuardDocument,
    "forecast.schema.json": ForecastDocument,
    "init.schema.json": InitDocument,
    "export.schema.json": ExportDocument,
    "renew.schema.json": RenewDocument,
    "log.schema.json": LogDocument,
    "stacks.schema.json": StacksDocument,
    "fleet-list.schema.json": FleetListDocument,
    "fleet-status.schema.json": FleetStatusDocument,
    "fleet-history.schema.json": FleetHistoryDocument,
    "recording.schema.json": RecordingDocument,
}
SCHEMAS = (DECLARATION_SCHEMA, FLEET_SCHEMA, *_DOCUMENTS)
"""The names of all files."""

_LARGEST = MAX_RECORDING, MAX_VALUES

_FORMAT = re.compile(rb'\s*\{\s*"format"\s*:\s*"mtlsctl\.([a-z-]+)/[0-9]+"')


def is_document(text: bytes) -> bool:
    """Whether the whole text is one document that this version writes, with `format` as its first key.

    A file that only has such a key somewhere may be anything, a wrangler file too.
    """
    start = _FORMAT.match(text)
    document = _DOCUMENTS.get(f"{start[1].decode()}.schema.json") if start is not None else None
    size, commas = _LARGEST if document is RecordingDocument else (MAX_BYTES, MAX_COMMAS)
    if document is None or len(text) > size or text.count(b",") > commas:
        return False
    try:
        read = document.model_validate_json(text)
        if isinstance(read, StacksDocument):
            return all(one.report is None or is_document(json.dumps(one.report).encode()) for one in read.stacks)
    except ValidationError as error:
        # What is null is left out of what is written, and some parts can't be read back without it.
        found = error.errors(include_url=False, include_input=False, include_context=False)
        return all(one["type"] == "missing" and len(one["loc"]) > 1 for one in found)
    return True


class _AbsentForNone(GenerateJsonSchema):
    """What may be none is left out of a document, so it is never required."""

    def field_is_required(self, field: ModelField | DataclassField | TypedDictField, total: bool) -> bool:
        return field["schema"]["type"] != "nullable" and super().field_is_required(field, total)


def schema_text(name: str, kinds: Sequence[KeySourceKind]) -> str:
    """The schema with this file name, one of SCHEMAS: of mtls.toml or fleet.toml, or of a document that the tool
    writes."""
    if name == DECLARATION_SCHEMA:
        return _text(declaration_schema(kinds))
    if name == FLEET_SCHEMA:
        return _text(fleet_schema())
    made = _DOCUMENTS[name].model_json_schema(mode="serialization", schema_generator=_AbsentForNone)
    return _text({"$schema": _DRAFT} | made)


def _text(schema: Mapping[str, object]) -> str:
    return json.dumps(schema, indent=2) + "\n"


def all_schemas(kinds: Sequence[KeySourceKind]) -> Mapping[str, str]:
    """File name to text of every schema. Takes a second: where one is enough, ask for that one."""
    return {name: schema_text(name, kinds) for name in SCHEMAS}
