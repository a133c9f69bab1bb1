"""The values of mtls.toml about renewal: `[issuers.NAME]`, and `[certificates.NAME.renew]`.

An issuer is chosen by its `kind`, a sink by the one key that its table has; only the chosen one's errors are reported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated, Literal

from cryptography import x509
from pydantic import AfterValidator, Field, JsonValue
from pydantic.fields import FieldInfo
from pydantic_core.core_schema import ValidationInfo

from reconciler.desired import rules
from reconciler.desired.durations import DURATION_PATTERN, check_lifetime, parse_duration
from reconciler.desired.forms import CertificatePath, OneOf, Table, alone, one_of
from reconciler.desired.rules import Refused
from reconciler.desired.unions import KeyValue
from reconciler.desired.wording import Suggestions, listed, type_of
from reconciler.findings.codes import Code
from reconciler.model.key_places import CommandSink, FileSink, SinkOptions, SopsSink, VaultSink
from reconciler.model.renewal import CloudflareIssuer, CommandIssuer, IssuerOptions, Renewal, StepIssuer, VaultIssuer

KEY_TYPES = ("EC P-256", "EC P-384", "RSA 2048", "RSA 3072", "RSA 4096")
"""Of new keys: what every origin and workerd can use, see `x509/key_types.py`."""

_NAME_KINDS = ("DNS", "URI", "IP", "email")
_NAME = rf"^(?:{'|'.join(_NAME_KINDS)}):[!-~]{{1,253}}$"
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_PATH = rf"^{_PART}(?:/{_PART}){{0,15}}$"
_ZONE = r"^[0-9a-f]{32}$"
_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]{0,254}$"
_PROVISIONER = r'^[^\x00-\x1f\x7f"\\]{1,200}$'


def _matching(pattern: str, what: str) -> tuple[AfterValidator, FieldInfo]:
    """The rule for a text of this pattern, and the pattern for the schema."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise Refused(Code.BAD_VALUE, f"must be {what}")
        return text

    return AfterValidator(check), Field(json_schema_extra={"pattern": pattern})


def _check_https(text: str) -> str:
    return rules.check_url(text).rstrip("/")


def _check_subject(text: str) -> str:
    if not text.isprintable():
        raise Refused(Code.BAD_TEXT, "must have printable characters alone, on one line")
    try:
        x509.Name.from_rfc4514_string(text)
    except ValueError:
        hint = 'write it as RFC 4514 has it: "CN=billing,O=Example"'
        raise Refused(Code.BAD_VALUE, "is no subject of a certificate", hint=hint) from None
    return text


def _check_name(text: str) -> str:
    if not re.fullmatch(_NAME, text):
        raise Refused(
            Code.BAD_VALUE,
            f"must begin with one of {listed(f'{kind}:' for kind in _NAME_KINDS)}, followed by the name",
            hint='for example names = ["DNS:billing.example"]',
        )
    kind, _, value = text.partition(":")
    if kind == "IP":
        try:
            ip_address(value)
        except ValueError:
            raise Refused(Code.BAD_VALUE, f"has {value!r}, which is no IP address") from None
        if "%" in value:  # a certificate has no place for it
            raise Refused(Code.BAD_VALUE, f"has {value!r}, an IP address with a zone, which no certificate can have")
    return text


_NameText = Annotated[str, AfterValidator(_check_name), Field(json_schema_extra={"pattern": _NAME})]
_KeyType = Annotated[str, *one_of(KEY_TYPES)]
_Lifetime = Annotated[str, AfterValidator(check_lifetime), Field(json_schema_extra={"pattern": DURATION_PATTERN})]
_Url = Annotated[str, AfterValidator(_check_https), Field(json_schema_extra={"pattern": rules.URL_PATTERN})]
_Path = Annotated[str, *_matching(_PATH, "a path of Vault, such as `mtls/billing`")]
_Variable = Annotated[str, *_matching(_VARIABLE, "the name of a variable")]
_Words = Annotated[
    list[Annotated[str, Field(max_length=4096, pattern=r"^[^\x00]*$")]],
    Field(min_length=1, max_length=64),
]
_Folder = Annotated[str, AfterValidator(rules.check_key_path), Field(min_length=1, max_length=4096)]
_TreeFolder = Annotated[
    str,
    AfterValidator(rules.check_tree_folder),
    Field(min_length=1, max_length=4096, json_schema_extra={"pattern": "^[^/~]"}),
]


_KIND = Field(description="The kind of the issuer.")


class StepTable(Table):
    """A step-ca."""

    kind: Literal["step"] = _KIND
    url: _Url = Field(description="The address of step-ca.", examples=["https://ca.internal.example:9000"])
    provisioner: Annotated[str, *_matching(_PROVISIONER, "the name of a provisioner")] = Field(
        description="The name of its JWK provisioner.", examples=["mtlsctl"]
    )
    password: KeyValue = Field(
        description="Where the password of the provisioner's key is, never the password itself.",
        examples=[{"env": "STEP_PASSWORD"}],
    )
    root: CertificatePath | None = Field(
        default=None,
        description="PEM file with the root of step-ca's own certificate (default: those of this machine).",
        examples=["certs/step-root.pem"],
    )

    def build(self) -> IssuerOptions:
        """The issuer of the model."""
        return StepIssuer(self.url, self.provisioner, self.password, self.root)


class VaultPkiTable(Table):
    """A PKI secrets engine of Vault or OpenBao; its address and login are those of the key source `vault`."""

    kind: Literal["vault-pki"] = _KIND
    role: Annotated[str, *_matching(f"^{_PART}$", "the name of a role")] = Field(
        description="The role that signs.", examples=["billing"]
    )
    mount: _Path = Field(default="pki", description="Where the engine is mounted.", examples=["pki"])

    def build(self) -> IssuerOptions:
        """The issuer of the model."""
        return VaultIssuer(self.role, self.mount)


class CloudflareTable(Table):
    """The CA that Cloudflare manages for a zone; the token is read from CLOUDFLARE_API_TOKEN."""

    kind: Literal["cloudflare"] = _KIND
    zone: Annotated[str, *_matching(_ZONE, "the ID of a zone: 32 hex digits")] = Field(
        description="The ID of the zone.", examples=["023e105f4ecef8ad9ca31a8372d0c353"]
    )

    def build(self) -> IssuerOptions:
        """The issuer of the model."""
        return CloudflareIssuer(self.zone)


class CommandTable(Table):
    """A program that reads a certificate request and prints the certificate."""

    kind: Literal["command"] = _KIND
    command: _Words = Field(
        description="A program and its arguments, run without a shell in the folder of mtls.toml, only by `mtlsctl"
        " renew --allow-commands`. It reads the certificate request (PEM) and prints the certificate, then its chain.",
        examples=[["./sign.sh"]],
    )
    env: Annotated[list[_Variable], Field(max_length=64)] = Field(
        default_factory=list,
        description="Variables with secrets that the program gets, in addition to the environment without the tokens"
        " and keys that mtlsctl knows.",
        examples=[["VAULT_TOKEN"]],
    )

    def build(self) -> IssuerOptions:
        """The issuer of the model."""
        return CommandIssuer(tuple(self.command), tuple(self.env))


IssuerTables = StepTable | VaultPkiTable | CloudflareTable | CommandTable

ISSUERS: Mapping[str, type[IssuerTables]] = {
    "step": StepTable,
    "vault-pki": VaultPkiTable,
    "cloudflare": CloudflareTable,
    "command": CommandTable,
}
"""The kinds of issuers, as `kind` names them."""


def read_issuer(value: object, info: ValidationInfo) -> IssuerOptions:
    """The issuer of a table of `[issuers]`."""
    if not isinstance(value, dict):
        raise Refused(Code.WRONG_TYPE, f"must be a table with `kind`, not {type_of(value)}")
    kind = value.get("kind")
    if kind is None:
        raise Refused(Code.MISSING_KEY, "has no `kind`", hint=f"add it: {listed(ISSUERS)}")
    table = ISSUERS.get(kind) if isinstance(kind, str) else None
    if table is None:
        hint = Suggestions().did_you_mean(kind, list(ISSUERS)) if isinstance(kind, str) else None
        raise Refused(Code.UNKNOWN_VALUE, f"has a `kind` that is not one of {listed(ISSUERS)}", hint=hint)
    return table.model_validate(value, context=info.context).build()


class FileSinkTable(Table):
    """Key files that only this user can read."""

    file: _Folder = Field(
        description="A folder that git does not track, relative to the folder of mtls.toml, or absolute if it is listed"
        " in MTLSCTL_KEY_DIRS.",
        examples=["/etc/mtlsctl/keys"],
    )

    def build(self) -> SinkOptions:
        """The sink of the model."""
        return FileSink(self.file)


class SopsSinkTable(Table):
    """Files that SOPS encrypts."""

    sops: _TreeFolder = Field(
        description="A folder of the tree, relative to the folder of mtls.toml. Your own `sops` encrypts, as .sops.yaml"
        " says for files in it.",
        examples=["secrets/mtls"],
    )

    def build(self) -> SinkOptions:
        """The sink of the model."""
        return SopsSink(self.sops)


class VaultSinkTable(Table):
    """Secrets of Vault's or OpenBao's key/value engine, version 2."""

    vault: _Path = Field(description="The path below which the keys are.", examples=["mtls"])
    mount: _Path = Field(default="secret", description="Where the engine is mounted.", examples=["secret"])

    def build(self) -> SinkOptions:
        """The sink of the model."""
        return VaultSink(self.vault, self.mount)


def _naming(*names: str) -> tuple[AfterValidator, FieldInfo]:
    """The rule that these are in the arguments of a program, without which it would mix up keys."""

    def check(words: list[str]) -> list[str]:
        missing = [name for name in names if not any(name in word for word in words[1:])]
        if missing:
            hint = f"such as {json.dumps(['keys.sh', *names])}"
            raise Refused(Code.BAD_VALUE, f"must have {listed(missing)} in its arguments", hint=hint)
        return words

    contains: list[JsonValue] = [{"contains": {"pattern": re.escape(name)}} for name in names]
    return AfterValidator(check), Field(json_schema_extra={"allOf": contains})


_OfCertificate = Annotated[_Words, *_naming("{certificate}")]
_OfSlot = Annotated[_Words, *_naming("{certificate}", "{slot}")]


class SinkCommands(Table):
    """Programs that keep keys; `{certificate}` in their arguments becomes STACK_NAME, `{slot}` the name of the slot."""

    write: _OfSlot = Field(description="Reads the key (PEM) from its standard input.")
    read: _OfSlot = Field(description="Prints the key (PEM).")
    list: _OfCertificate = Field(description="Prints the names of the slots of the certificate, one in a line.")
    remove: _OfSlot = Field(description="Removes a slot.")


class CommandSinkTable(Table):
    """Programs that keep keys, run without a shell in the folder of mtls.toml, only with --allow-commands."""

    command: SinkCommands = Field(description="One program for each verb.")

    def build(self) -> SinkOptions:
        """The sink of the model."""
        one = self.command
        return CommandSink(tuple(one.write), tuple(one.read), tuple(one.list), tuple(one.remove))


SinkTables = FileSinkTable | SopsSinkTable | VaultSinkTable | CommandSinkTable

SINKS: Mapping[str, type[SinkTables]] = {
    "sops": SopsSinkTable,
    "vault": VaultSinkTable,
    "file": FileSinkTable,
    "command": CommandSinkTable,
}
"""The kinds of sinks, by the key that their table must have."""


def read_sink(value: object) -> SinkOptions:
    """Where new keys are put."""
    if not isinstance(value, dict):
        raise Refused(Code.WRONG_TYPE, f"must be a table with {listed(SINKS)}, not {type_of(value)}")
    chosen = [name for name in SINKS if name in value]
    if len(chosen) != 1:
        found = f", not {len(chosen)}: {listed(chosen)}" if chosen else ""
        raise Refused(Code.BAD_VALUE, f"must have one of {listed(SINKS)}{found}", hint='such as { sops = "secrets" }')
    return SINKS[chosen[0]].model_validate(value).build()


IssuerValue = Annotated[IssuerOptions, OneOf(read_issuer, tuple(ISSUERS.values()))]
_SinkValue = Annotated[SinkOptions, OneOf(alone(read_sink), tuple(SINKS.values()))]


class RenewTable(Table):
    """How `mtlsctl renew` makes the next certificate."""

    issuer: str = Field(description="The name of one of `[issuers]`.", examples=["internal"])
    sink: _SinkValue = Field(
        description="Where new private keys are put, and where `apply` finds them.", examples=[{"sops": "secrets/mtls"}]
    )
    key: _KeyType | None = Field(
        default=None,
        description="The type of new keys (default: that of the present certificate).",
        examples=["EC P-256"],
    )
    subject: Annotated[str, AfterValidator(_check_subject)] | None = Field(
        default=None,
        description="The subject to ask for, as in RFC 4514 (default: that of the present certificate).",
        examples=["CN=billing,O=Example"],
    )
    names: Annotated[list[_NameText], Field(max_length=100)] | None = Field(
        default=None,
        description="The alternative names to ask for (default: those of the present certificate).",
        examples=[["DNS:billing.example"]],
    )
    lifetime: _Lifetime | None = Field(
        default=None, description="How long it should be valid (default: the issuer decides).", examples=["90d"]
    )

    def build(self) -> Renewal:
        """The renewal of the model."""
        return Renewal(
            issuer=self.issuer,
            sink=self.sink,
            key=self.key,
            subject=self.subject,
            names=None if self.names is None else tuple(self.names),
            lifetime=None if self.lifetime is None else parse_duration(self.lifetime),
        )
