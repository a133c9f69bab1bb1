"""The API's JSON, parsed at the door: the envelope and the certificate object.

Every field but an entry's id may be missing or null, and unknown ones are allowed: the published types say no more. A
value that only is shown and can't be read counts as missing; one that decisions rest on makes the reply unusable.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from reconciler.model import Entry, EntryId
from reconciler.model.ownership import CUSTOM

_CONFIG = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


def _or_none(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    try:
        return handler(value)
    except ValueError:  # pydantic's is one
        return None


def _or_empty(value: object) -> object:
    """Absent, null and "" are alike: an unnamed certificate comes back with `name: ""`."""
    return value if isinstance(value, str) else ""


def _in_utc(time: datetime) -> datetime:
    """RFC 3339 always has a zone; without one it is taken for UTC, as every time of the API is."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _list_or_empty(value: object) -> object:
    return value if isinstance(value, list) else []


_Text = Annotated[str, BeforeValidator(_or_empty)]
Moment = Annotated[Annotated[datetime, AfterValidator(_in_utc)] | None, WrapValidator(_or_none)]
"""A time in UTC; None where it is missing or can't be read."""
_Count = Annotated[Annotated[int, Field(ge=0)] | None, WrapValidator(_or_none)]


class CertificateBody(BaseModel):
    """One certificate as the API gives it. `updated_at` is in the reply to an upload only, and nobody needs it."""

    model_config = _CONFIG

    id: Annotated[str, Field(min_length=1)]
    name: _Text = ""
    ca: bool | None = None
    certificates: _Text = Field(default="", repr=False)
    type: str | None = None
    issuer: _Text = ""
    serial_number: _Text = ""
    signature: _Text = ""
    expires_on: Moment = None
    uploaded_on: Moment = None

    def entry(self) -> Entry:
        """The same in the house's words. A missing `type` is `custom`."""
        return Entry(
            id=EntryId(self.id),
            name=self.name,
            ca=bool(self.ca),
            certificates=self.certificates,
            type=self.type or CUSTOM,
            issuer=self.issuer,
            serial_number=self.serial_number,
            signature=self.signature,
            expires_on=self.expires_on,
            uploaded_on=self.uploaded_on,
        )


class Trouble(BaseModel):
    """One error of the envelope; `error_chain` has what lies below it, such as 6111 below 6003."""

    model_config = _CONFIG

    code: _Count = None
    message: _Text = ""
    error_chain: Annotated[list[Trouble], BeforeValidator(_list_or_empty)] = []


class ResultInfo(BaseModel):
    """Where a page stands in the list. All of it may be missing."""

    model_config = _CONFIG

    page: _Count = None
    per_page: _Count = None
    total_count: _Count = None
    total_pages: _Count = None


class Envelope(BaseModel):
    """What every reply is wrapped in. `result` is parsed by whoever asked."""

    model_config = _CONFIG

    success: bool
    errors: Annotated[list[Trouble], BeforeValidator(_list_or_empty)] = []
    result: Any = Field(default=None, repr=False)
    result_info: Annotated[ResultInfo | None, WrapValidator(_or_none)] = None


def parse_envelope(body: bytes) -> Envelope | None:
    """The envelope, or None where the body is none: HTML, half a JSON document, JSON of another shape."""
    try:
        return Envelope.model_validate_json(body)
    except ValidationError:
        return None


def parse_entry(result: object) -> Entry | None:
    """One entry, or None where it is none."""
    try:
        return CertificateBody.model_validate(result).entry()
    except ValidationError:
        return None


def parse_entries(result: object) -> tuple[Entry, ...] | None:
    """A page of the list, in its order; None where it is no list, or one of its entries is none."""
    if not isinstance(result, list):
        return None
    entries = tuple(entry for item in result if (entry := parse_entry(item)) is not None)
    return entries if len(entries) == len(result) else None
