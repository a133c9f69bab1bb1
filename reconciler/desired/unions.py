"""The values of mtls.toml of several types: `private_key`, the target of a binding, and `max_deletes`.

Pydantic's own unions would report every alternative; these choose one by the type of the value, and report only that.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, cast

from pydantic import AfterValidator, Field, ValidationError
from pydantic_core.core_schema import ValidationInfo

from reconciler.desired import rules
from reconciler.desired.durations import SHARE_PATTERN, parse_share
from reconciler.desired.forms import OneOf, Table, alone
from reconciler.desired.rules import Refused
from reconciler.desired.wording import Suggestions, listed, looks_like_key, quoted, type_of
from reconciler.findings.codes import Code
from reconciler.findings.values import dataclass
from reconciler.model import ByCertificate, ById, CertificateName, EntryId, KeyReference
from reconciler.model.keys import KeySourceKind

if TYPE_CHECKING:
    from pydantic.json_schema import JsonSchemaValue

PASSPHRASE = "passphrase"  # noqa: S105 - a word of mtls.toml
"""The key of the table in which it is said where a key's passphrase is."""

Kinds = Mapping[str, KeySourceKind]
"""The registered key sources by name, passed to pydantic as its context."""


def _share(text: str) -> str:
    parse_share(text)
    return text


_REMOTE = Field(
    default=None,
    description="For local development: true makes calls in `wrangler dev` use the deployed certificate. "
    "Without it, the wrangler file's own setting is kept.",
    examples=[True],
)


@dataclass(frozen=True, slots=True)
class BoundTo:
    """The certificate that a binding uses, and its `remote` if that is declared."""

    target: ByCertificate | ById
    remote: bool | None = None


class CertificateReference(Table):
    """A certificate in this file, by its name, with settings of the binding."""

    certificate: Annotated[str, Field(json_schema_extra={"pattern": rules.NAME_PATTERN})] = Field(
        description="The name of a certificate in this file.", examples=["billing"]
    )
    remote: bool | None = _REMOTE


class EntryReference(Table):
    """An uploaded certificate that is managed elsewhere, by its ID."""

    id: Annotated[
        str, AfterValidator(rules.check_entry_id), Field(json_schema_extra={"pattern": rules.ENTRY_ID_PATTERN})
    ] = Field(
        description="The ID of an uploaded certificate that is managed elsewhere: a UUID.",
        examples=["9d7d1c39-55a1-4a5c-9a5f-0d5b1d0f6f11"],
    )
    remote: bool | None = _REMOTE


def reference_shape(value: Mapping[str, object]) -> type[CertificateReference | EntryReference]:
    """The model of a binding's table, chosen by its keys."""
    return CertificateReference if "certificate" in value and "id" not in value else EntryReference


def read_target(value: object) -> BoundTo:
    """The target of a binding. `relations` checks that the certificate is declared."""
    if isinstance(value, str):
        return BoundTo(ByCertificate(CertificateName(value)))
    if isinstance(value, dict):
        if "certificate" in value and "id" in value:
            hint = "use `certificate` for one in this file, `id` for one that is managed elsewhere"
            raise Refused(Code.BAD_VALUE, "must have either `certificate` or `id`, not both", hint=hint)
        found = reference_shape(value).model_validate(value)
        if isinstance(found, CertificateReference):
            return BoundTo(ByCertificate(CertificateName(found.certificate)), found.remote)
        # IDs are compared in lower case, as stores return them.
        return BoundTo(ById(EntryId(found.id.lower())), found.remote)
    message = f'must be the name of a certificate or `{{ id = "..." }}`, not {type_of(value)}'
    raise Refused(Code.WRONG_TYPE, message)


def read_key(value: object, info: ValidationInfo) -> KeyReference:
    """Where a private key is. The value is never quoted: it may be the key itself."""
    kinds = cast(Kinds, info.context)
    if isinstance(value, str):
        return _read_bare(value, kinds)
    if not isinstance(value, dict):
        raise Refused(Code.WRONG_TYPE, f"must be a path or a table with one key source, not {type_of(value)}")
    if any(looks_like_key(text) for text in _texts(value)):
        raise Refused(Code.PRIVATE_KEY_IN_FILE, rules.KEY_IN_FILE, hint=rules.KEY_IN_FILE_HINT)
    table = {key: part for key, part in value.items() if key != PASSPHRASE}
    key, passphrase = _of_table(table, kinds), _read_passphrase(value.get(PASSPHRASE), kinds)
    return key if passphrase is None else replace(key, passphrase=passphrase)


def _texts(table: Mapping[str, object]) -> Iterator[str]:
    for value in table.values():
        yield from (text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str))


def _read_passphrase(value: object, kinds: Kinds) -> KeyReference | None:
    """Where the passphrase of a key is. The value is never quoted: it may be the passphrase itself."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise Refused(
            Code.BAD_KEY_SOURCE,
            "`passphrase` must be a table with one key source, never the passphrase itself",
            hint='write passphrase = { env = "NAME" }, and put it into that variable',
        )
    if PASSPHRASE in value:
        raise Refused(Code.BAD_KEY_SOURCE, "a passphrase can't have a passphrase of its own")
    return _of_table(value, kinds)


def _of_table(table: Mapping[str, object], kinds: Kinds) -> KeyReference:
    kind = _chosen(table, kinds)
    path = table[kind.name]
    if kind.is_path and isinstance(path, str):
        rules.check_key_path(path)
    return _reference(kind, table)


def _read_bare(text: str, kinds: Kinds) -> KeyReference:
    kind = next((kind for kind in kinds.values() if kind.bare), None)
    if kind is None:
        raise Refused(Code.WRONG_TYPE, "must be a table with one key source, not a string")
    rules.check_key_path(text)
    try:
        return _reference(kind, {kind.name: text})
    except ValidationError:
        raise Refused(Code.BAD_PATH, "must be the path to a private key file") from None


def _reference(kind: KeySourceKind, table: Mapping[str, object]) -> KeyReference:
    options = kind.shape.model_validate(table).model_dump(exclude_none=True)
    return KeyReference(kind.name, {name: _option(value) for name, value in options.items()})


def _option(value: object) -> str:
    return shlex.join(map(str, value)) if isinstance(value, list) else str(value)


def _chosen(table: Mapping[str, object], kinds: Kinds) -> KeySourceKind:
    """The key source of the table, which must have exactly one."""
    named = [name for name in kinds if name in table]
    if len(named) == 1:
        return kinds[named[0]]
    if named:
        raise Refused(Code.BAD_KEY_SOURCE, f"must have one key source, not {len(named)}: {listed(named)}")
    suggestions = Suggestions()
    hints = (suggestions.did_you_mean(key, list(kinds)) for key in table)
    message = f"must have one key source: {' or '.join(map(quoted, kinds))}"
    raise Refused(Code.BAD_KEY_SOURCE, message, hint=next(filter(None, hints), None))


@dataclass(frozen=True, slots=True)
class MostDeletes:
    """`max_deletes`: a number, and a share in percent. None: no such limit; one of the two is not None."""

    count: int | None = None
    share: int | None = None


class DeletesTable(Table):
    """Both limits; the smaller counts."""

    count: int = Field(ge=0, description="How many, whatever the stack has.", examples=[10])
    share: Annotated[str, AfterValidator(_share), Field(json_schema_extra={"pattern": SHARE_PATTERN})] = Field(
        description="The share of what this stack has uploaded, rounded up.", examples=["20%"]
    )


def read_deletes(value: object) -> MostDeletes:
    """How many certificates one run deletes."""
    if isinstance(value, str):
        return MostDeletes(share=parse_share(value))
    if isinstance(value, dict):
        table = DeletesTable.model_validate(value)
        return MostDeletes(table.count, parse_share(table.share))
    if type(value) is not int:
        message = f'must be a whole number, a share such as "20%", or a table with both, not {type_of(value)}'
        raise Refused(Code.WRONG_TYPE, message)
    if value < 0:
        raise Refused(Code.OUT_OF_RANGE, "must be 0 or more")
    return MostDeletes(count=value)


_NAME: JsonSchemaValue = {
    "type": "string",
    "pattern": rules.NAME_PATTERN,
    "description": "The name of a certificate in this file.",
}
_SHARE: JsonSchemaValue = {
    "type": "string",
    "pattern": SHARE_PATTERN,
    "description": "The share of what this stack has uploaded, rounded up.",
}
_NUMBER: JsonSchemaValue = {"type": "integer", "minimum": 0, "description": "How many, whatever the stack has."}

TargetValue = Annotated[BoundTo, OneOf(alone(read_target), (_NAME, CertificateReference, EntryReference))]
DeletesValue = Annotated[MostDeletes, OneOf(alone(read_deletes), (_NUMBER, _SHARE, DeletesTable))]
KeyValue = Annotated[KeyReference, OneOf(read_key)]
