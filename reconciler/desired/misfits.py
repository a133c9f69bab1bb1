"""Turns what pydantic says about the shapes into findings with our words, codes and places.

Pydantic's own text never gets out: it quotes what it was given, which may be a secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from reconciler.desired.findings import Findings, Raw, value_at
from reconciler.desired.proofs import OriginTable
from reconciler.desired.rules import Refused
from reconciler.desired.shapes import CertificateTable, Document, EnvironmentTable, PolicyTable, StoreTable, WorkerTable
from reconciler.desired.unions import Kinds, reference_shape
from reconciler.desired.wording import Keys, Suggestions, named, quoted, table, type_of
from reconciler.findings.codes import Code

_EXPECTED = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "float_type": "a number",
}
_DURATIONS = frozenset({"grace", "renew_before"})

# Where a key that stands in the wrong table belongs.
_HOMES: tuple[tuple[type[BaseModel], str], ...] = (
    (Document, "at the top, before the first `[table]`"),
    (StoreTable, "in `[store]`"),
    (PolicyTable, "in `[policy]`"),
    (CertificateTable, "in `[certificates.NAME]`"),
    (WorkerTable, "in `[workers.LABEL]`"),
)


# What people call these keys who know other tools.
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
    """Every error of the shapes as a finding. A key that was misspelt is not reported as missing besides."""
    _Misfits(raw, kinds, findings).add(error.errors(include_url=False, include_input=False))


@dataclass(slots=True)
class _Misfits:
    raw: Raw
    kinds: Kinds
    findings: Findings
    suggestions: Suggestions = field(default_factory=Suggestions)
    misspelt: set[Keys] = field(default_factory=set)

    def add(self, errors: Sequence[ErrorDetails]) -> None:
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
        known = list(model.model_fields) if model else []
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
        shape = model.model_fields.get(str(keys[-1])) if model else None
        examples = shape.examples if shape else None
        hint = f"for example {keys[-1]} = {_toml(examples[0])}" if examples else None
        self.findings.add(
            Code.MISSING_KEY, keys[:-1], f"{quoted(str(keys[-1]))} is missing{place}", hint=hint, at_key=len(keys) > 1
        )

    def _misfit(self, error: ErrorDetails) -> None:
        keys: Keys = error["loc"]
        context = error.get("ctx", {})
        cause = context.get("error")
        if isinstance(cause, Refused):
            # Pydantic marks an error of a table's key by one more part behind the key.
            place = keys[:-1] if cause.of_key else keys
            says = f"{named(place)} {cause.says}"
            self.findings.add(cause.code, place, says, hint=cause.hint, at_key=cause.of_key)
        elif error["type"] in _EXPECTED:
            value = value_at(self.raw, keys)
            says = f"{named(keys)} must be {_EXPECTED[error['type']]}, not {type_of(value)}"
            self.findings.add(Code.WRONG_TYPE, keys, says, hint=_type_hint(keys, value))
        elif error["type"] == "greater_than_equal":
            self.findings.add(Code.OUT_OF_RANGE, keys, f"{named(keys)} must be {context['ge']} or more")
        elif error["type"] == "less_than_equal":
            self.findings.add(Code.OUT_OF_RANGE, keys, f"{named(keys)} must be {context['le']} or less")
        else:
            self._unfit(keys, cause)

    def _unfit(self, keys: Keys, cause: object) -> None:
        """A rule of a key source's own shape. Its words are shown only where its author chose them."""
        says = str(cause) if isinstance(cause, ValueError) else "is not what this key takes"
        model = self._model(keys[:-1])
        shape = model.model_fields.get(str(keys[-1])) if model else None
        hint = shape.description if shape else None
        self.findings.add(Code.BAD_VALUE, keys, f"{named(keys)}: {says}", hint=hint)

    def _model(self, keys: Keys) -> type[BaseModel] | None:
        """The shape of the table at `keys`."""
        match keys:
            case ():
                return Document
            case ("store",):
                return StoreTable
            case ("policy",):
                return PolicyTable
            case ("certificates", _):
                return CertificateTable
            case ("certificates", _, "private_key"):
                held = value_at(self.raw, keys)
                names = held if isinstance(held, dict) else ()
                return next((kind.shape for name, kind in self.kinds.items() if name in names), None)
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

    def _home(self, keys: Keys, model: type[BaseModel] | None) -> str | None:
        """Where a known key belongs that stands in the wrong table."""
        name, value = keys[-1], value_at(self.raw, keys)
        in_worker = model in {WorkerTable, EnvironmentTable}
        if in_worker and isinstance(value, str) and value_at(self.raw, ("certificates", value)) is not None:
            return f"bindings stand in {table((*keys[:-1], 'bindings'))}"
        if model is Document and isinstance(value, dict):
            # A table of the top level: its name is misspelt rather than misplaced.
            return None
        homes = [place for shape, place in _HOMES if shape is not model and name in shape.model_fields]
        return f"it belongs {' or '.join(homes)}" if homes else None


def _type_hint(keys: Keys, value: object) -> str | None:
    """For the numbers that people write where a duration needs its unit."""
    if keys[-1] in _DURATIONS and type(value) is int and 0 <= value <= 3650:
        return f'write it with its unit: "{value}d"'
    return None


def _toml(value: object) -> str:
    """An example value as TOML writes it; only texts and numbers are required anywhere."""
    return f'"{value}"' if isinstance(value, str) else str(value)
