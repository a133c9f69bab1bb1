"""What the models of several tables share: their base, values with several forms, and paths."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema
from pydantic_core.core_schema import ValidationInfo, with_info_plain_validator_function

from reconciler.desired import rules
from reconciler.findings.values import dataclass

if TYPE_CHECKING:
    from pydantic.json_schema import JsonSchemaValue

CertificatePath = Annotated[
    str,
    AfterValidator(rules.check_certificate_path),
    Field(json_schema_extra={"pattern": rules.CERTIFICATE_PATH_PATTERN}),
]


class Table(BaseModel):
    """Base of all tables: no unknown keys, no conversion of types."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)


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
