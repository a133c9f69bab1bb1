"""The table `[policy.certificates]`: which certificates may be uploaded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic.config import JsonDict

from reconciler.desired import rules
from reconciler.desired.durations import DURATION_PATTERN, check_lifetime, parse_duration
from reconciler.desired.forms import Table, one_of
from reconciler.desired.rules import Refused
from reconciler.desired.wording import Suggestions, listed, quoted_value
from reconciler.findings.codes import Code
from reconciler.model.certificate_policy import EXTENSIONS, NO_RULES, RULES, USAGES, AllowedKey, CertificatePolicy

MOST_VALUES = 100
"""Of a list: each is compared with each of a thousand certificates."""

_LONGEST_NAME = 300
_KEY_KINDS = ("EC P-256", "EC P-384", "EC P-521", "Ed25519")
_KEY_FORMS = ("RSA >= 2048", *_KEY_KINDS)
_LEAST_BITS, _MOST_BITS = 2048, 8192
_RSA = re.compile(r"RSA *>= *([1-9][0-9]{3,4})")
_KEY_PATTERN = f"^(?:RSA *>= *[1-9][0-9]{{3,4}}|{'|'.join(_KEY_KINDS)})$"
_OID = r"[0-2](?:\.(?:0|[1-9][0-9]{0,38})){1,30}"
_FINGERPRINT = re.compile(r"(?:[0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}")


def parse_key(text: str) -> AllowedKey:
    """The type of key, and of RSA the smallest size; raises Refused for anything else."""
    rsa = _RSA.fullmatch(text)
    if rsa is not None:
        bits = int(rsa[1])
        if _LEAST_BITS <= bits <= _MOST_BITS:
            return AllowedKey("RSA", bits)
        raise Refused(Code.OUT_OF_RANGE, f"must be between {_LEAST_BITS} and {_MOST_BITS} bits, which origins accept")
    if text in _KEY_KINDS:
        return AllowedKey(text)
    hint = Suggestions().did_you_mean(text, _KEY_FORMS)
    if re.match("(?i)rsa", text):
        bits_found = re.search("[2-8][0-9]{3}", text)
        hint = f"write `RSA >= {bits_found[0] if bits_found else _LEAST_BITS}`"
    raise Refused(Code.UNKNOWN_VALUE, f"must be one of {listed(_KEY_FORMS)}", hint=hint)


def _check_key(text: str) -> str:
    parse_key(text)
    return text


def _check_issuer(text: str) -> str:
    if 0 < len(text) <= _LONGEST_NAME and text.isprintable() and not text.isspace():
        return text
    raise Refused(Code.BAD_TEXT, f"must have 1 to {_LONGEST_NAME} printable characters, on one line")


def parse_issuer(text: str) -> str:
    """A name as it is; a fingerprint as 64 hex digits."""
    return text.replace(":", "").lower() if _FINGERPRINT.fullmatch(text) else text


def _name_of(known: dict[str, str]) -> Callable[[str], str]:
    """A rule for one of these names, or an object identifier."""

    def check(text: str) -> str:
        if text in known or re.fullmatch(_OID, text):
            return text
        message = f"must be one of {listed(known)}, or an object identifier such as `2.5.29.17`"
        raise Refused(Code.UNKNOWN_VALUE, message, hint=Suggestions().did_you_mean(text, list(known)))

    return check


def _name_pattern(known: dict[str, str]) -> str:
    return f"^(?:{'|'.join(known)}|{_OID})$"


def _few(values: list[str]) -> list[str]:
    """A list that allows or demands something, each of it once."""
    if not 0 < len(values) <= MOST_VALUES:
        hint = None if values else "remove it if everything is allowed"
        raise Refused(Code.OUT_OF_RANGE, f"must list 1 to {MOST_VALUES} values", hint=hint)
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise Refused(Code.DUPLICATE_VALUE, f"lists {quoted_value(twice)} twice", hint="remove one of them")
    return values


_Few = AfterValidator(_few)
_LIST: JsonDict = {"minItems": 1, "maxItems": MOST_VALUES, "uniqueItems": True}
_Text = Annotated[str, AfterValidator(rules.check_text), Field(json_schema_extra={"minLength": 1, "maxLength": 100})]
_Issuer = Annotated[
    str, AfterValidator(_check_issuer), Field(json_schema_extra={"minLength": 1, "maxLength": _LONGEST_NAME})
]
_Key = Annotated[str, AfterValidator(_check_key), Field(json_schema_extra={"pattern": _KEY_PATTERN})]
_Extension = Annotated[
    str, AfterValidator(_name_of(EXTENSIONS)), Field(json_schema_extra={"pattern": _name_pattern(EXTENSIONS)})
]
_Usage = Annotated[str, AfterValidator(_name_of(USAGES)), Field(json_schema_extra={"pattern": _name_pattern(USAGES)})]
_Rule = Annotated[str, *one_of(RULES)]
_Duration = Annotated[str, AfterValidator(check_lifetime), Field(json_schema_extra={"pattern": DURATION_PATTERN})]


class CertificatePolicyTable(Table):
    """Which certificates may be uploaded. Each key is a rule, and an error unless `warn_only` lists it."""

    max_lifetime: _Duration | None = Field(
        default=None,
        description="The longest time for which a certificate may be valid, from its begin to its end.",
        examples=["398d"],
    )
    keys: Annotated[list[_Key], _Few] | None = Field(
        default=None,
        description="The allowed types of keys: `RSA >= BITS`, `EC P-256`, `EC P-384`, `EC P-521` or `Ed25519`.",
        examples=[["RSA >= 3072", "EC P-256", "EC P-384"]],
        json_schema_extra=_LIST,
    )
    issuers: Annotated[list[_Issuer], _Few] | None = Field(
        default=None,
        description="The allowed issuers: the whole name as `mtlsctl` shows it (RFC 4514), the common name alone, or "
        "the SHA-256 fingerprint of a CA that is in the certificate's file.",
        examples=[["Partner Issuing CA", "CN=Platform CA,O=Example"]],
        json_schema_extra=_LIST,
    )
    extended_key_usage: Annotated[list[_Usage], _Few] | None = Field(
        default=None,
        description="What extendedKeyUsage must have, by name or object identifier.",
        examples=[["clientAuth"]],
        json_schema_extra=_LIST,
    )
    extensions: Annotated[list[_Extension], _Few] | None = Field(
        default=None,
        description="The extensions that a certificate must have, by name or object identifier.",
        examples=[["subjectAltName"]],
        json_schema_extra=_LIST,
    )
    key_reuse: bool = Field(
        default=True,
        description="false: no two certificates may have the same key, so each renewal needs a new one.",
        examples=[False],
    )
    names: Annotated[list[_Text], _Few] | None = Field(
        default=None,
        description="Globs for the names of certificates in this file; each must match one.",
        examples=[["partner-*"]],
        json_schema_extra=_LIST,
    )
    common_names: Annotated[list[_Text], _Few] | None = Field(
        default=None,
        description="Globs for the common name in the subject of a certificate; it must match one.",
        examples=[["*.clients.example"]],
        json_schema_extra=_LIST,
    )
    warn_only: Annotated[list[_Rule], _Few] | None = Field(
        default=None,
        description="The rules above that only warn.",
        examples=[["max_lifetime"]],
        json_schema_extra=_LIST,
    )


def build_certificate_policy(table: CertificatePolicyTable | None) -> CertificatePolicy:
    """The rules of a valid table; without it there are none."""
    if table is None:
        return NO_RULES
    return CertificatePolicy(
        max_lifetime=None if table.max_lifetime is None else parse_duration(table.max_lifetime),
        keys=tuple(map(parse_key, table.keys or ())),
        issuers=tuple(map(parse_issuer, table.issuers or ())),
        extended_key_usage=_identifiers(table.extended_key_usage, USAGES),
        extensions=_identifiers(table.extensions, EXTENSIONS),
        key_reuse=table.key_reuse,
        names=tuple(table.names or ()),
        common_names=tuple(table.common_names or ()),
        warn_only=frozenset(table.warn_only or ()),
    )


def _identifiers(words: Iterable[str] | None, known: dict[str, str]) -> tuple[str, ...]:
    return tuple(known.get(word, word) for word in words or ())
