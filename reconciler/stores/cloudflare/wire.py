"""The API's JSON, parsed into types: the envelope, certificates, Workers, and everything else that uses certificates.

Every field except a certificate's id may be missing or null, and unknown fields are allowed: the published types
promise no more. A value that is only displayed counts as missing if it can't be read. A value that a decision depends
on is required: a reply without it is unusable, and never means "nothing".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from reconciler.model import Entry, EntryId, HyperdriveConfig, HyperdriveField
from reconciler.model.ownership import CUSTOM

MTLS = "mtls_certificate"


def _or_none(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    try:
        return handler(value)
    except ValueError:  # pydantic's ValidationError is one
        return None


def _or_empty(value: object) -> object:
    """The text; "" if it is absent or null. An unnamed certificate comes back with `name: ""`."""
    return value if isinstance(value, str) else ""


def _in_utc(time: datetime) -> datetime:
    """The time in UTC. RFC 3339 always has a zone; a time without one counts as UTC, as every time of the API is."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _list_or_empty(value: object) -> object:
    return value if isinstance(value, list) else []


def _null_as_list(value: object) -> object:
    return [] if value is None else value


def _null_as_text(value: object) -> object:
    return "" if value is None else value


_Text = Annotated[str, BeforeValidator(_or_empty)]
Moment = Annotated[Annotated[datetime, AfterValidator(_in_utc)] | None, WrapValidator(_or_none)]
"""A time in UTC; None if it is missing or can't be read."""
_T = TypeVar("_T")
_Count = Annotated[Annotated[int, Field(ge=0)] | None, WrapValidator(_or_none)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True, defer_build=True)


class CertificateBody(_Body):
    """One certificate as in the API. `updated_at`, which only replies to uploads have, is not used."""

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
        """The certificate as an `Entry`. A missing `type` is `custom`."""
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


class Trouble(_Body):
    """One error of the envelope; `error_chain` has its details, such as 6111 within 6003."""

    code: _Count = None
    message: _Text = ""
    error_chain: Annotated[list[Trouble], BeforeValidator(_list_or_empty)] = []


class ResultInfo(_Body):
    """The position of a page in the list. Every field may be missing."""

    page: _Count = None
    per_page: _Count = None
    total_count: _Count = None
    total_pages: _Count = None


class Envelope(_Body):
    """The wrapper of every reply. The caller parses `result`."""

    success: bool
    errors: Annotated[list[Trouble], BeforeValidator(_list_or_empty)] = []
    result: Any = Field(default=None, repr=False)
    result_info: Annotated[ResultInfo | None, WrapValidator(_or_none)] = None


def parse_envelope(body: bytes) -> Envelope | None:
    """The envelope, or None if the body is something else: HTML, half a JSON document, JSON of another shape."""
    try:
        return Envelope.model_validate_json(body)
    except ValidationError:
        return None


def parse_entry(result: object) -> Entry | None:
    """One entry, or None if the result is not a certificate."""
    try:
        return CertificateBody.model_validate(result).entry()
    except ValidationError:
        return None


def parse_entries(result: object) -> tuple[Entry, ...] | None:
    """A page of the list, in its order; None if it is not a list of certificates."""
    if not isinstance(result, list):
        return None
    entries = tuple(entry for item in result if (entry := parse_entry(item)) is not None)
    return entries if len(entries) == len(result) else None


class SignedBody(_Body):
    """A client certificate that the CA signed which Cloudflare manages. Without `status` it can't be used."""

    id: Annotated[str, Field(min_length=1)]
    certificate: Annotated[str, Field(min_length=1)]
    status: str


class ShareBody(_Body):
    """A version's share of the traffic."""

    version_id: Annotated[str, Field(min_length=1)]
    percentage: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]


class DeploymentBody(_Body):
    """One deployment: one version, or two that share the traffic."""

    id: Annotated[str, BeforeValidator(_null_as_text)] = ""
    created_on: Moment = None
    versions: list[ShareBody]


class DeploymentsBody(_Body):
    """The deployments of a Worker, newest first."""

    deployments: Annotated[list[DeploymentBody], BeforeValidator(_null_as_list)]


class BindingBody(_Body):
    """One binding of any kind."""

    type: str
    name: Annotated[str, BeforeValidator(_null_as_text)] = ""
    certificate_id: Annotated[str, BeforeValidator(_null_as_text)] = ""

    @model_validator(mode="after")
    def _tells_what_it_presents(self) -> BindingBody:
        if self.type == MTLS and not (self.name and self.certificate_id):
            raise ValueError("an mTLS binding has a name and a certificate")
        return self


def _named_once(bindings: list[BindingBody]) -> list[BindingBody]:
    names = [one.name for one in bindings if one.type == MTLS]
    if len(set(names)) < len(names):
        raise ValueError("two mTLS bindings have one name")
    return bindings


Bindings = Annotated[list[BindingBody], BeforeValidator(_null_as_list), AfterValidator(_named_once)]


class ResourcesBody(_Body):
    """The bindings of a version."""

    bindings: Bindings = []


class VersionBody(_Body):
    """One version. `resources` is required: without it the version would look as if it used no certificate."""

    resources: ResourcesBody


class SettingsBody(_Body):
    """The settings of a Worker's latest version."""

    bindings: Bindings


class NamedBody(_Body):
    """Something with an id and an optional name."""

    id: Annotated[str, Field(min_length=1)]
    name: Annotated[str, BeforeValidator(_null_as_text)] = ""


class ScriptBody(NamedBody):
    """One Worker in the list of all."""

    created_on: Moment = None


class SubdomainBody(_Body):
    """The account's subdomain of workers.dev, which becomes a part of a host name."""

    subdomain: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,63}$")]


def _null_as_object(value: object) -> object:
    return {} if value is None else value


def _tells_certificates(mtls: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """What is set in it. ValueError if a certificate that it uses can't be read."""
    given: dict[str, JsonValue] = {key: value for key, value in mtls.items() if value is not None}
    if any(not isinstance(given.get(one.key, ""), str) for one in HyperdriveField):
        raise ValueError("its IDs and its mode are texts")
    return given


class HyperdriveBody(NamedBody):
    """A Hyperdrive configuration."""

    mtls: Annotated[dict[str, JsonValue], BeforeValidator(_null_as_object), AfterValidator(_tells_certificates)] = {}

    def config(self) -> HyperdriveConfig:
        """The configuration as a value of the model."""
        return HyperdriveConfig(self.id, self.name, self.mtls)


class HostnamesBody(_Body):
    """The hostnames of a zone that are associated with a CA."""

    hostnames: Annotated[list[str], BeforeValidator(_null_as_list)]


class AssociationBody(_Body):
    """A service that uses a certificate."""

    service: Annotated[str, BeforeValidator(_null_as_text)] = ""
    status: Annotated[str, BeforeValidator(_null_as_text)] = ""


class TokenBody(_Body):
    """The status of the token that makes the call."""

    status: str
    expires_on: datetime | None = None


class PagesCertificateBody(_Body):
    """A binding of a Pages project."""

    certificate_id: str


class PagesSideBody(_Body):
    """One side, preview or production, of a Pages project."""

    mtls_certificates: dict[str, PagesCertificateBody] | None = None


class PagesBody(_Body):
    """A Pages project, with the bindings that its next deployments get."""

    deployment_configs: dict[str, PagesSideBody]


def parse(kind: type[_T], result: object) -> _T | None:
    """A result parsed as `kind`, or None if it is something else."""
    try:
        return _adapter(kind).validate_python(result)
    except ValidationError:
        return None


_ADAPTERS: dict[object, object] = {}


def _adapter(kind: type[_T]) -> TypeAdapter[_T]:
    """The adapter of a kind, cached: creating one takes longer than many uses."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return cast(TypeAdapter[_T], _ADAPTERS[kind])


def certificates_in(bindings: Sequence[BindingBody]) -> Mapping[str, EntryId]:
    """The mTLS bindings among these: ids by name."""
    return {one.name: EntryId(one.certificate_id) for one in bindings if one.type == MTLS}
