"""The JSON of Workers and of all else that uses certificates, parsed at the door.

What a decision rests on must be there: a reply without it is unusable, and never means "nothing".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from reconciler.model import EntryId
from reconciler.stores.cloudflare.wire import Moment

_CONFIG = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)
MTLS = "mtls_certificate"


class _Body(BaseModel):
    model_config = _CONFIG


def _list_or_empty(value: object) -> object:
    return [] if value is None else value


def _text_or_empty(value: object) -> object:
    return "" if value is None else value


class ShareBody(_Body):
    """A version's part of the traffic."""

    version_id: Annotated[str, Field(min_length=1)]
    percentage: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]


class DeploymentBody(_Body):
    """One deployment: one version, or two that share the traffic."""

    id: Annotated[str, BeforeValidator(_text_or_empty)] = ""
    created_on: Moment = None
    versions: list[ShareBody]


class DeploymentsBody(_Body):
    """The deployments of a Worker, the newest first."""

    deployments: Annotated[list[DeploymentBody], BeforeValidator(_list_or_empty)]


class BindingBody(_Body):
    """One binding of any kind."""

    type: str
    name: Annotated[str, BeforeValidator(_text_or_empty)] = ""
    certificate_id: Annotated[str, BeforeValidator(_text_or_empty)] = ""

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


Bindings = Annotated[list[BindingBody], BeforeValidator(_list_or_empty), AfterValidator(_named_once)]


class ResourcesBody(_Body):
    """What a version uses."""

    bindings: Bindings = []


class VersionBody(_Body):
    """One version. `resources` must be there: a version without would look as if it presented nothing."""

    resources: ResourcesBody


class SettingsBody(_Body):
    """The settings of a Worker's latest version."""

    bindings: Bindings


class NamedBody(_Body):
    """Something that has an id, and perhaps a name."""

    id: Annotated[str, Field(min_length=1)]
    name: Annotated[str, BeforeValidator(_text_or_empty)] = ""


class MtlsBody(_Body):
    """The certificates of a Hyperdrive configuration."""

    mtls_certificate_id: Annotated[str, BeforeValidator(_text_or_empty)] = ""
    ca_certificate_id: Annotated[str, BeforeValidator(_text_or_empty)] = ""


class HyperdriveBody(NamedBody):
    """A Hyperdrive configuration."""

    mtls: MtlsBody | None = None


class HostnamesBody(_Body):
    """The hostnames of a zone that a CA is for."""

    hostnames: Annotated[list[str], BeforeValidator(_list_or_empty)]


class AssociationBody(_Body):
    """A service that uses a certificate."""

    service: Annotated[str, BeforeValidator(_text_or_empty)] = ""
    status: Annotated[str, BeforeValidator(_text_or_empty)] = ""


class TokenBody(_Body):
    """What Cloudflare says of the token that asks."""

    status: str
    expires_on: datetime | None = None


class PagesCertificateBody(_Body):
    """A binding of a Pages project."""

    certificate_id: str


class PagesSideBody(_Body):
    """One side, preview or production, of a Pages project."""

    mtls_certificates: dict[str, PagesCertificateBody] | None = None


class PagesBody(_Body):
    """A Pages project, with what its next deployments are configured to present."""

    deployment_configs: dict[str, PagesSideBody]


_T = TypeVar("_T")


def parse(kind: type[_T], result: object) -> _T | None:
    """A result as what it should be, or None where it is something else."""
    try:
        return _adapter(kind).validate_python(result)
    except ValidationError:
        return None


_ADAPTERS: dict[object, object] = {}


def _adapter(kind: type[_T]) -> TypeAdapter[_T]:
    """Made once for each kind: to make one takes longer than to use it many times."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return cast(TypeAdapter[_T], _ADAPTERS[kind])


def certificates_in(bindings: Sequence[BindingBody]) -> Mapping[str, EntryId]:
    """The mTLS bindings among them: ids by name."""
    return {one.name: EntryId(one.certificate_id) for one in bindings if one.type == MTLS}
