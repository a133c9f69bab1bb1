"""Turns pydantic's validation errors into findings with codes, places and plain messages.

Pydantic's own text is never shown: it quotes its input, which may be a secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from datetime import date

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from reconciler.desired.certificate_policy import CertificatePolicyTable
from reconciler.desired.findings import Findings, Raw, value_at
from reconciler.desired.proofs import OriginTable
from reconciler.desired.renewal import ISSUERS, SINKS, RenewTable, SinkCommands
from reconciler.desired.rules import Refused
from reconciler.desired.shapes import (
    CertificateTable,
    Document,
    EnvironmentTable,
    FleetPolicyTable,
    FreezeTable,
    PolicyTable,
    StoreTable,
    WorkerTable,
)
from reconciler.desired.unions import DeletesTable, Kinds, reference_shape
from reconciler.desired.wording import Keys, Suggestions, named, quoted, table, type_of
from reconciler.findings.codes import Code
from reconciler.findings.values import dataclass

_EXPECTED = {
    "string_type": "a string",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "float_type": "a number",
}
_DURATIONS = frozenset({"for", "grace", "lifetime", "look", "max_lifetime", "renew_before"})

# Where a key belongs that is in the wrong table.
_HOMES: tuple[tuple[type[BaseModel], str], ...] = (
    (Document, "the top of the file, before the first `[table]`"),
    (StoreTable, "`[store]`"),
    (PolicyTable, "`[policy]`"),
    (CertificatePolicyTable, "`[policy.certificates]`"),
    (CertificateTable, "`[certificates.NAME]`"),
    (WorkerTable, "`[workers.LABEL]`"),
)


# Names that other tools use for these keys.
_OTHER_WORDS = {
    "account": "account_id",
    "cert": "certificate",
    "crt": "certificate",
    "environments": "env",
    "key": "private_key",
    "pem": "certificate",
    "wrangler": "config",
}


def add_misfits(error: ValidationError, raw: Raw, kinds: Kinds, findings: Findings) -> None:
    """Add a finding for each validation error. A misspelt key is not also reported as missing."""
    Misfits(raw, kinds, findings).add(error.errors(include_url=False, include_input=False))


_POLICY: dict[tuple[str | int, ...], type[BaseModel]] = {
    (): PolicyTable,
    ("certificates",): CertificatePolicyTable,
    ("freeze",): FreezeTable,
    ("max_deletes",): DeletesTable,
}
"""The models of `[policy]` and of the tables in it."""


@dataclass(slots=True)
class Misfits:
    """Adds a finding for each validation error of one file; `_model` and `_home` know which file that is."""

    raw: Raw
    kinds: Kinds
    findings: Findings
    suggestions: Suggestions = field(default_factory=Suggestions)
    misspelt: set[Keys] = field(default_factory=set)

    def add(self, errors: Sequence[ErrorDetails]) -> None:
        """Add a finding for each error. A misspelt key is not also reported as missing."""
        for error in errors:
            if error["type"] == "extra_forbidden":
                self._unknown(error["loc"])
        for error in errors:
            if error["type"] == "missing":
                self._missing(error["loc"])
            elif error["type"] != "extra_forbidden":
                self._misfit(error)

    def _unknown(self, keys: Keys) -> None:
        name = str(keys[-1])
        model = self._model(keys[:-1])
        known = list(_fields(model))
        hint = self._home(keys, model)
        meant = _OTHER_WORDS.get(name)
        if meant not in known:
            meant = None if hint else self.suggestions.closest(name, known)
        if meant is not None:
            self.misspelt.add((*keys[:-1], meant))
            hint = f"did you mean {quoted(meant)}?"
        place = f"in {table(keys[:-1])}" if len(keys) > 1 else "at the top level"
        self.findings.add(Code.UNKNOWN_KEY, keys, f"unknown key {quoted(name)} {place}", hint=hint, at_key=True)

    def _missing(self, keys: Keys) -> None:
        if keys in self.misspelt:
            return
        place = f" in {table(keys[:-1])}" if len(keys) > 1 else ""
        model = self._model(keys[:-1])
        shape = _fields(model).get(str(keys[-1]))
        examples = shape.examples if shape else None
        hint = f"add it, for example: {keys[-1]} = {_toml(examples[0])}" if examples else None
        self.findings.add(
            Code.MISSING_KEY, keys[:-1], f"{quoted(str(keys[-1]))} is missing{place}", hint=hint, at_key=len(keys) > 1
        )

    def _misfit(self, error: ErrorDetails) -> None:
        keys: Keys = error["loc"]
        context = error.get("ctx", {})
        cause = context.get("error")
        if isinstance(cause, Refused):
            # Pydantic marks an error in a key of a table with an additional part after the key.
            place = keys[:-1] if cause.of_key else keys
            message = f"{named(place)} {cause.message}"
            self.findings.add(cause.code, place, message, hint=cause.hint, at_key=cause.of_key)
        elif error["type"] in _EXPECTED:
            value = value_at(self.raw, keys)
            message = f"{named(keys)} must be {_EXPECTED[error['type']]}, not {type_of(value)}"
            self.findings.add(
                Code.WRONG_TYPE, keys, message, hint=_type_hint(keys, value) or self._table_hint(keys, value)
            )
        elif error["type"] == "greater_than_equal":
            self.findings.add(Code.OUT_OF_RANGE, keys, f"{named(keys)} must be {context['ge']} or more")
        elif error["type"] == "less_than_equal":
            self.findings.add(Code.OUT_OF_RANGE, keys, f"{named(keys)} must be {context['le']} or less")
        elif error["type"] == "too_short":
            least = context["min_length"]
            self._bad_value(keys, " must not be empty" if least == 1 else f" must have at least {least} items")
        elif error["type"] == "too_long":
            self._bad_value(keys, f" must have at most {context['max_length']} items")
        else:
            self._bad_value(keys, f": {cause if isinstance(cause, ValueError) else 'not a valid value for this key'}")

    def _bad_value(self, keys: Keys, reason: str) -> None:
        """Report a value that a rule of a shape refuses; `reason` follows its name."""
        shape = _fields(self._model(keys[:-1])).get(str(keys[-1]))
        hint = shape.description if shape else None
        self.findings.add(Code.BAD_VALUE, keys, f"{named(keys)}{reason}", hint=hint)

    def _table_hint(self, keys: Keys, value: object) -> str | None:
        """An example, if a text is where a small table must be."""
        shape = _fields(self._model(keys[:-1])).get(str(keys[-1]))
        example = shape.examples[0] if shape and shape.examples else None
        if not isinstance(value, str) or not isinstance(example, dict):
            return None
        has_tables = any(isinstance(each, dict) for each in example.values())
        return None if has_tables else f"write {keys[-1]} = {_toml(example)}"

    def _model(self, keys: Keys) -> type[BaseModel] | None:
        """The model of the table at `keys`, or None if it has none."""
        match keys:
            case ():
                return Document
            case ("store",):
                return StoreTable
            case ("fleet",):
                return FleetPolicyTable
            case ("policy", *rest):
                return _POLICY.get(tuple(rest[:1]))
            case ("certificates", _):
                return CertificateTable
            case ("certificates", _, "private_key"):
                return self._source(keys)
            case ("issuers", *_) | ("certificates", _, "renew", *_):
                return self._renewal_model(keys)
            case ("certificates", _, "verify"):
                return OriginTable
            case ("workers", _):
                return WorkerTable
            case ("workers", _, "env", _):
                return EnvironmentTable
            case (*_, "bindings", _):
                held = value_at(self.raw, keys)
                return reference_shape(held if isinstance(held, dict) else {})
            case _:
                return None

    def _renewal_model(self, keys: Keys) -> type[BaseModel] | None:
        """The same, of `[issuers]` and the tables of `renew`."""
        held = value_at(self.raw, keys)
        names = held if isinstance(held, dict) else {}
        match keys:
            case ("certificates", _, "renew"):
                return RenewTable
            case ("certificates", _, "renew", "sink"):
                return next((one for name, one in SINKS.items() if name in names), None)
            case ("certificates", _, "renew", "sink", "command"):
                return SinkCommands
            case ("issuers", _):
                kind = names.get("kind")
                return ISSUERS.get(kind) if isinstance(kind, str) else None
            case ("issuers", _, "password"):
                return self._source(keys)
            case _:
                return None

    def _source(self, keys: Keys) -> type[BaseModel] | None:
        """The model of the key source that the table at `keys` names."""
        held = value_at(self.raw, keys)
        names = held if isinstance(held, dict) else ()
        return next((kind.shape for name, kind in self.kinds.items() if name in names), None)

    def _home(self, keys: Keys, model: type[BaseModel] | None) -> str | None:
        """A hint for a known key in the wrong table, or None."""
        name, value = keys[-1], value_at(self.raw, keys)
        in_worker = model in {WorkerTable, EnvironmentTable}
        if in_worker and isinstance(value, str) and value_at(self.raw, ("certificates", value)) is not None:
            return f"move it to {table((*keys[:-1], 'bindings'))}"
        if model is Document and isinstance(value, dict):
            # A table at the top level is probably misspelt, not misplaced.
            return None
        homes = [place for shape, place in _HOMES if shape is not model and name in shape.model_fields]
        return f"move it to {' or '.join(homes)}" if homes else None


def _fields(model: type[BaseModel] | None) -> dict[str, FieldInfo]:
    """The keys of a table as the file has them."""
    return {} if model is None else {field.alias or name: field for name, field in model.model_fields.items()}


def _type_hint(keys: Keys, value: object) -> str | None:
    """A hint for a number in place of a duration, a date without quotes, or a table that must be a list; or None."""
    if keys == ("policy", "freeze") and isinstance(value, dict):
        return "write `[[policy.freeze]]`, which can be repeated"
    if isinstance(value, date):
        return "write it in quotes"
    if keys[-1] in _DURATIONS and type(value) is int and 0 <= value <= 3650:
        return f'add a unit: "{value}d"'
    return None


def _toml(value: object) -> str:
    """An example value in TOML; required keys are strings, numbers or small tables."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_toml(each)}' for key, each in value.items())} }}"
    return f'"{value}"' if isinstance(value, str) else str(value)
