"""Shared by the tests of mtls.toml: key sources, good files, and the table of bad ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from reconciler.desired import parse_declaration
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import InputError
from reconciler.model.keys import KeySourceKind

HEAD = 'version = 1\nstack = "payments"\n'
CERTIFICATE = '[certificates.billing]\ncertificate = "billing.pem"\n'
WORKER = '[workers.site]\nconfig = "wrangler.toml"\n'

EXAMPLE = """\
#:schema ./schemas/mtls.schema.json
version = 1
stack = "payments"                      # the owner mark on everything this file uploads
former_stacks = []

[store]
kind = "local"

[policy]
grace = "7d"
prune = false
max_deletes = 10

[certificates.billing]
certificate = "certs/billing.pem"
private_key = { env = "BILLING_KEY" }
verify = "https://billing.example:8443/health"
supersedes = ["2458ce5a-0c35-4c7f-82c7-8e9487d3ff60"]
grace = "1h"
owner = "team-payments"

[certificates.billing-staging]
certificate = "certs/billing-staging.pem"
private_key = "certs/billing-staging.key"
renew_before = "33%"

[certificates.partner-ca]
certificate = "certs/partner-ca.pem"
ca = true

[workers.checkout]
config = "workers/checkout/wrangler.toml"

[workers.checkout.bindings]
BILLING = "billing"
LEDGER = { id = "9d7d1c39-55a1-4a5c-9a5f-0d5b1d0f6f11" }

[workers.checkout.env.staging.bindings]
BILLING = "billing-staging"
"""

GOOD = {
    "the example": EXAMPLE,
    "the smallest": HEAD,
    "a required version": HEAD + 'required_version = " >= 0.1.dev0 , != 0.0.9, <1000"\n',
    "windows line ends": HEAD.replace("\n", "\r\n"),
    "a real account": HEAD
    + '[store]\nkind = "cloudflare"\naccount_id = "023e105f4ecef8ad9ca31a8372d0c353"\nlimit = 2000\n',
    "every path": HEAD + '[certificates.a]\ncertificate = "../certs/a b.pem"\nprivate_key = "/run/keys/a.key"\n'
    '[workers.a]\nconfig = "."\n[workers.b]\nconfig = "my.site/"\n[workers.c]\nconfig = "c/wrangler.jsonc"\n',
    "javascript names": HEAD + '[certificates.a]\ncertificate = "a.pem"\n[workers.w]\nconfig = "w"\n'
    '[workers.w.bindings]\n"$_1" = "a"\n"ключ" = "a"\nclass = "a"\n',
    "hostnames": HEAD + '[certificates.a]\ncertificate = "a.pem"\nca = true\n[hostnames."example.com"]\n'
    'a = ["example.com", "api.example.com", "a_b.xn--bcher-kva.example.com"]\n'
    '[hostnames.0123456789abcdef0123456789abcdef]\na = ["api.example.net"]\n',
    "hyperdrive": HEAD + '[certificates.a]\ncertificate = "a.pem"\n[certificates.b]\ncertificate = "b.pem"\nca = true\n'
    '[hyperdrive.db]\nconfig = "6f2c1a5f0e7b4a0f9d1b7c3e5a8d2f41"\ncertificate = "a"\nca = "b"\n'
    'sslmode = "VERIFY_IDENTITY"\n[hyperdrive.other]\nconfig = "A name, with spaces"\nsslmode = "require"\n',
    "toml 1.1": HEAD + '[certificates]\na = {\n  certificate = "a.pem",\n  private_key = { env = "A", },\n}\n',
}


def _variable(text: str) -> str:
    if not text.isidentifier():
        raise ValueError("must be the name of a variable")
    return text


class FileShape(BaseModel):
    """A path."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    file: str = Field(min_length=1)


class EnvShape(BaseModel):
    """The name of a variable, with one rule of its own."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    env: Annotated[str, AfterValidator(_variable), Field(json_schema_extra={"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"})]


KINDS = (KeySourceKind("file", FileShape, bare=True, is_path=True), KeySourceKind("env", EnvShape))


def warnings_of(text: str) -> tuple[Diagnostic, ...]:
    """All findings about a file that is accepted."""
    return parse_declaration(text.encode(), "mtls.toml", KINDS)[1]


def problems(data: str | bytes) -> tuple[Diagnostic, ...]:
    """All findings about a bad file."""
    with pytest.raises(InputError) as caught:
        parse_declaration(data.encode() if isinstance(data, str) else data, "mtls.toml", KINDS)
    return caught.value.diagnostics()


@dataclass(frozen=True, slots=True)
class BadFile:
    """One row of the table: a file and its finding."""

    name: str
    text: str
    code: str
    at: str
    message: str
    hint: str | None
    parser_only: bool
    is_warning: bool


def _bad_file(block: str) -> BadFile:
    title, _, rest = block.partition("\n")
    name, *flags = title.split(" | ")
    text, code_and_place, *words = rest.strip("\n").split("\n>>> ")
    code, _, at = code_and_place.partition(" at ")
    head = "" if "whole" in flags else HEAD
    hint = words[1] if words[1:] else None
    is_warning = "warning" in flags
    return BadFile(name, f"{head}{text}\n", code, at, words[0], hint, is_warning or "parser only" in flags, is_warning)


BAD = [
    _bad_file(block)
    for block in Path(__file__).with_name("desired_bad.txt").read_text(encoding="utf-8").split("\n=== ")[1:]
]
