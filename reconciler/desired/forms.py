"""What the models of several tables share: their base, values with several forms, and paths."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, JsonValue
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema
from pydantic_core.core_schema import ValidationInfo, with_info_plain_validator_function

from reconciler.desired import rules
from reconciler.findings.values import dataclass

if TYPE_CHECKING:
    from pydantic.json_schema import JsonSchemaValue


class Table(BaseModel):
    """Base of all tables: no unknown keys, no conversion of types."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)


def text_rule(check: Callable[[str], str], **schema: JsonValue) -> tuple[AfterValidator, FieldInfo]:
    """For `Annotated`: the rule of a text, and what the schema says of it."""
    return AfterValidator(check), Field(json_schema_extra=schema)


def one_of(known: Iterable[str]) -> tuple[AfterValidator, FieldInfo]:
    """For `Annotated`: a text that is one of these."""
    words = list(map(str, known))
    return text_rule(lambda text: rules.check_known(text, words), enum=[*words])


CertificatePath = Annotated[str, *text_rule(rules.check_certificate_path, pattern=rules.CERTIFICATE_PATH_PATTERN)]

Read = Callable[[object, ValidationInfo], object]


def alone(read: Callable[[object], object]) -> Read:
    """The same for a function that needs the value alone."""
    return lambda value, _: read(value)


@dataclass(frozen=True, slots=True, eq=False)
class OneOf:
    """For `Annotated`. `read`: takes a value as written. `forms`: the schemas and tables of what it takes; none, where
    `schema` adds them."""

    read: Read
    forms: tuple[JsonSchemaValue | type[BaseModel], ...] = ()

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return with_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        shown = [one if isinstance(one, dict) else handler(one.__pydantic_core_schema__) for one in self.forms]
        return {"anyOf": shown} if shown else {}
