"""The values of mtls.toml about proving a certificate: where (`verify`), and before which step (`verify_before`).

Both can be a string or a larger value. Pydantic's own unions would report every alternative; these choose one by the
type of the value, and report only that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from reconciler.desired import rules
from reconciler.desired.forms import CertificatePath, OneOf, Table, alone
from reconciler.desired.rules import Refused
from reconciler.desired.wording import listed, quoted, type_of
from reconciler.findings.codes import Code
from reconciler.model import Gate, Origin

if TYPE_CHECKING:
    from pydantic.json_schema import JsonSchemaValue

GATES = [gate.value for gate in Gate]

_Url = Annotated[str, AfterValidator(rules.check_url), Field(json_schema_extra={"pattern": rules.URL_PATTERN})]


class OriginTable(Table):
    """An origin that enforces mutual TLS."""

    url: _Url = Field(
        description="The URL to request; a GET request to it must be harmless.",
        examples=["https://billing.example:8443/health"],
    )
    ca: CertificatePath | None = Field(
        default=None,
        description="PEM file with the roots to verify the origin's own certificate (default: those of this machine).",
        examples=["certs/origin-root.pem"],
    )
    client_ca: CertificatePath | None = Field(
        default=None,
        description="PEM file with the CAs that the origin trusts for clients: the chain must lead to one of them.",
        examples=["certs/client-root.pem"],
    )
    expect_status: int | None = Field(
        default=None,
        ge=200,
        le=599,
        description="The HTTP status for an accepted client (default: any except 400, 401, 403 and 500 to 599).",
        examples=[204],
    )


def read_origin(value: object) -> Origin:
    """The origin where a certificate is proved."""
    if isinstance(value, str):
        return Origin(rules.check_url(value))
    if isinstance(value, dict):
        table = OriginTable.model_validate(value)
        return Origin(table.url, table.ca, table.client_ca, table.expect_status)
    raise Refused(Code.WRONG_TYPE, f"must be a URL or a table with `url`, not {type_of(value)}")


def read_gates(value: object) -> frozenset[Gate]:
    """The steps before which a certificate must be proved: one word or a list of words; an empty list for none."""
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list):
        raise Refused(Code.WRONG_TYPE, f"must be one of {listed(GATES)}, or a list of them, not {type_of(value)}")
    known = [_word(word) for word in words]
    twice = next((word for word in known if known.count(word) > 1), None)
    if twice is not None:
        raise Refused(Code.DUPLICATE_VALUE, f"lists {quoted(twice)} twice", hint="remove one of them")
    return frozenset(map(Gate, known))


def _word(word: object) -> str:
    if not isinstance(word, str):
        raise Refused(Code.WRONG_TYPE, f"must list only strings, not {type_of(word)}")
    return rules.check_known(word, GATES)


_URL: JsonSchemaValue = {"type": "string", "pattern": rules.URL_PATTERN, "description": "The URL to request."}
_GATE: JsonSchemaValue = {"type": "string", "enum": GATES}

OriginValue = Annotated[Origin, OneOf(alone(read_origin), (_URL, OriginTable))]
GatesValue = Annotated[
    frozenset[Gate], OneOf(alone(read_gates), (_GATE, {"type": "array", "items": _GATE, "uniqueItems": True}))
]
