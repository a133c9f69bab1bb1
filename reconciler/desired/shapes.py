"""The models of the tables of mtls.toml, for the parser and the JSON Schema.

Values stay as written; `parse` converts them to the values of the model. Rules between several keys are in `relations`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from reconciler.desired import freezes, rules
from reconciler.desired.certificate_policy import CertificatePolicyTable
from reconciler.desired.durations import DURATION_PATTERN, RENEW_BEFORE_PATTERN, parse_duration, parse_renew_before
from reconciler.desired.forms import CertificatePath, Table, one_of, text_rule
from reconciler.desired.proofs import GatesValue, OriginValue
from reconciler.desired.renewal import IssuerValue, RenewTable
from reconciler.desired.unions import DeletesValue, KeyValue, MostDeletes, TargetValue
from reconciler.model import Act, Deployer, StoreKind
from reconciler.model.hyperdrive import SSLMODES


def _duration(text: str) -> str:
    parse_duration(text)
    return text


def _renew_before(text: str) -> str:
    parse_renew_before(text)
    return text


Duration = Annotated[str, *text_rule(_duration, pattern=DURATION_PATTERN)]
RenewBeforeText = Annotated[str, *text_rule(_renew_before, pattern=RENEW_BEFORE_PATTERN)]
Stack = Annotated[str, *text_rule(rules.name_rule("stack name", 32), pattern=rules.STACK_PATTERN)]
CertificateKey = Annotated[str, AfterValidator(rules.name_rule("certificate name", 48, of_key=True))]
IssuerKey = Annotated[str, AfterValidator(rules.name_rule("issuer name", 48, of_key=True))]
WorkerKey = Annotated[str, AfterValidator(rules.name_rule("worker label", 48, of_key=True))]
HyperdriveKey = Annotated[str, AfterValidator(rules.name_rule("Hyperdrive label", 48, of_key=True))]
HyperdriveText = Annotated[str, *text_rule(rules.check_hyperdrive, minLength=1, maxLength=100)]
ZoneKey = Annotated[str, AfterValidator(rules.check_zone)]
HostnameText = Annotated[
    str, AfterValidator(rules.check_hostname), Field(json_schema_extra={"pattern": f"^{rules.HOSTNAME_PATTERN}$"})
]
Hostnames = Annotated[list[HostnameText], Field(json_schema_extra={"minItems": 1, "uniqueItems": True})]
ZoneTable = Annotated[
    dict[CertificateKey, Hostnames],
    Field(json_schema_extra={"propertyNames": {"pattern": rules.NAME_PATTERN}, "minProperties": 1}),
]
SslmodeText = Annotated[str, *one_of(SSLMODES)]
CertificateRef = Annotated[str, Field(json_schema_extra={"pattern": rules.NAME_PATTERN})]
EnvironmentKey = Annotated[str, AfterValidator(rules.check_environment_name)]
BindingKey = Annotated[str, AfterValidator(rules.check_binding_name)]
NameGlob = Annotated[str, *text_rule(rules.check_glob, pattern=rules.GLOB_PATTERN, maxLength=rules.LONGEST_GLOB)]
FreezeStart = Annotated[str, *text_rule(freezes.check_start, pattern=freezes.START_PATTERN)]
FreezeEnd = Annotated[str, *text_rule(freezes.check_end, pattern=freezes.END_PATTERN)]
Zone = Annotated[str, *text_rule(freezes.check_zone, pattern=freezes.ZONE_PATTERN)]
Superseded = Annotated[str, *text_rule(rules.check_superseded, minLength=1, maxLength=100)]


AccountId = Annotated[str, *text_rule(rules.check_account_id, pattern=rules.ACCOUNT_ID_PATTERN)]
Text = Annotated[str, *text_rule(rules.check_text, minLength=1, maxLength=100)]
StoreKindText = Annotated[str, *one_of(StoreKind)]
ConfigPath = Annotated[str, *text_rule(rules.check_config_path, pattern=rules.CONFIG_PATH_PATTERN)]
DeployerText = Annotated[str, *one_of(Deployer)]
ActText = Annotated[str, *one_of(Act)]
Version = Annotated[int, AfterValidator(rules.check_version), Field(json_schema_extra={"const": rules.VERSION})]

RequiredVersion = Annotated[
    str, *text_rule(rules.check_required_version, pattern=rules.REQUIRED_VERSION_PATTERN, maxLength=100)
]


class StoreTable(Table):
    """The certificate store that this file uses."""

    kind: StoreKindText = Field(
        default=StoreKind.LOCAL.value,
        description="; ".join(f'"{kind}" is {kind.traits.about}' for kind in StoreKind) + ".",
        examples=[kind.value for kind in StoreKind],
    )
    account_id: AccountId | None = Field(
        default=None,
        description="The Cloudflare account ID (default: CLOUDFLARE_ACCOUNT_ID). The API token is read only from "
        "CLOUDFLARE_API_TOKEN.",
        examples=["023e105f4ecef8ad9ca31a8372d0c353"],
    )
    limit: int = Field(
        default=1000,
        ge=1,
        description="How many leaf certificates the account can have; raise it if Cloudflare raised your limit.",
        examples=[1000],
    )


class FreezeTable(Table):
    """A time in which nothing is uploaded, bound, deployed or deleted."""

    start: FreezeStart = Field(
        description="When it begins: a date, or a weekday for every week, with or without a time.",
        examples=["2026-12-20", "fri 16:00"],
    )
    end: FreezeEnd = Field(
        description="When it ends, in the same form. A day without a time is part of the freeze.",
        examples=["2027-01-03", "mon 08:00"],
    )
    zone: Zone = Field(
        default=freezes.UTC_NAME,
        description="The time zone of both, as the IANA database names it.",
        examples=["Europe/Berlin"],
    )
    why: Text | None = Field(
        default=None,
        description="The reason, shown to those who wait.",
        examples=["end of the year"],
    )

    @model_validator(mode="after")
    def _belongs_together(self) -> FreezeTable:
        freezes.parse_freeze(self.start, self.end, self.zone, self.why)
        return self


class PolicyTable(Table):
    """When certificates are due for renewal, and how carefully old ones are retired."""

    renew_before: RenewBeforeText | None = Field(
        default=None,
        description="How long before its end a certificate is due for renewal: a duration, or a share of its lifetime "
        "(default: 30 days or a third of the lifetime, whichever is shorter).",
        examples=["30d", "33%"],
    )
    grace: Duration = Field(
        default="7d",
        description="Minimum time to keep a superseded or orphaned uploaded certificate.",
        examples=["7d", "12h", "1d12h", "0s"],
    )
    prune: bool = Field(
        default=False,
        description="true: allow apply --prune to delete uploaded certificates of this stack that were removed from "
        "this file. Without --prune they are kept.",
        examples=[False],
    )
    max_deletes: DeletesValue = Field(
        default=MostDeletes(count=10),
        description="How many uploaded certificates one apply can retire: a number, a share of those that this stack "
        "has uploaded (rounded up), or a table with both, of which the smaller counts. The rest is kept until "
        "--allow-deletes N.",
        examples=[10, "20%", {"count": 10, "share": "20%"}],
        json_schema_extra={"default": 10},
    )
    max_unbinds: int | None = Field(
        default=None,
        ge=0,
        description="How many bindings one apply can remove from the wrangler files; the rest is kept until "
        "--allow-unbinds N, and the exit code is 3 (default: 10, or half of the bindings of this stack, whichever is "
        "more).",
        examples=[10],
    )
    rollback_versions: int = Field(
        default=1,
        ge=0,
        le=100,
        description="How many deployments of a Worker before the newest must remain available for a rollback: the "
        "certificates that their versions use are kept.",
        examples=[1],
    )
    verify_before: GatesValue | None = Field(
        default=None,
        description="When each certificate must be proved at the origin of its `verify`: before its upload, before it "
        "is bound (from Cloudflare's edge, by a throw-away Worker), before the old one is retired. Without it, nothing "
        "is proved automatically.",
        examples=["upload", ["upload", "retire"]],
    )
    check_live: bool = Field(
        default=False,
        description="true: every plan, drift and status reads the live Workers of the account, as with --live. That "
        "takes one to three calls for each declared Worker. The local store has no live Workers.",
        examples=[True],
    )
    certificates: CertificatePolicyTable | None = Field(
        default=None,
        description="Which certificates may be uploaded.",
        examples=[{"max_lifetime": "398d", "keys": ["EC P-256"]}],
    )
    protect: list[NameGlob] = Field(
        default=[],
        description="Names or globs of certificates whose uploads are never deleted, even after they were removed from "
        "this file, until --override-protect NAME.",
        examples=[["billing", "ledger-*"]],
    )
    freeze: list[FreezeTable] = Field(
        default=[],
        max_length=100,
        description="Times in which nothing is uploaded, bound, deployed or deleted, until --override-freeze REASON. A "
        "certificate whose bound predecessor ends soon passes, with a warning.",
        examples=[[{"start": "fri 16:00", "end": "mon 08:00", "zone": "Europe/Berlin"}]],
    )


class CertificateTable(Table):
    """One certificate to upload and keep."""

    certificate: CertificatePath = Field(
        description="The PEM file, leaf first, then its intermediates: relative to the folder of this file, with /.",
        examples=["certs/billing.pem"],
    )
    private_key: KeyValue | None = Field(
        default=None,
        description="Where the private key is, never the key itself: a path, or a table with one key source. "
        "Needed only for an upload.",
        examples=["certs/billing.key", {"env": "BILLING_KEY"}],
    )
    ca: bool = Field(
        default=False,
        description="true: a CA for API Shield, Access or Hyperdrive. It has no private key and can't be bound.",
        examples=[True],
    )
    verify: OriginValue | None = Field(
        default=None,
        description="The origin that enforces mutual TLS, as a URL or a table; `mtlsctl verify` proves the handshake "
        "there.",
        examples=[
            "https://billing.example:8443/health",
            {"url": "https://billing.example:8443/health", "ca": "certs/origin-root.pem", "expect_status": 204},
        ],
    )
    verify_before: GatesValue | None = Field(
        default=None,
        description="Overrides the policy: when this certificate must be proved; [] for never.",
        examples=["upload", ["upload", "retire"], []],
    )
    supersedes: list[Superseded] = Field(
        default_factory=list,
        description="Uploaded certificates that this one replaces: IDs (or names) of certificates that are not managed "
        "here, or former names of this certificate.",
        examples=[["2458ce5a-0c35-4c7f-82c7-8e9487d3ff60"]],
        json_schema_extra={"uniqueItems": True},
    )
    renew_before: RenewBeforeText | None = Field(
        default=None,
        description="Overrides the policy: how long before its end this certificate is due for renewal.",
        examples=["30d", "33%"],
    )
    grace: Duration | None = Field(
        default=None,
        description="Overrides the policy: minimum time to keep superseded uploads of this certificate.",
        examples=["1h"],
    )
    owner: Text | None = Field(
        default=None, description="Who is responsible for it; shown in reports.", examples=["team-payments"]
    )
    renew: RenewTable | None = Field(
        default=None,
        description="How `mtlsctl renew` makes the next certificate. `private_key` is then only needed for a"
        " certificate that was made in another way.",
        examples=[{"issuer": "internal", "sink": {"sops": "secrets/mtls"}}],
    )


Bindings = dict[BindingKey, TargetValue]


class EnvironmentTable(Table):
    """One environment of a wrangler file. Without `bindings`, it declares that the environment has none."""

    deployed: bool | None = Field(
        default=None,
        description="Overrides the Worker's setting: false if no Worker of this environment is live yet.",
        examples=[False],
    )

    bindings: Bindings = Field(
        default_factory=dict,
        description="The certificate that each binding of this environment uses: its name, or { id = ... }.",
        examples=[{"BILLING": "billing-staging"}],
        json_schema_extra={"propertyNames": {"pattern": rules.BINDING_PATTERN}},
    )


class WorkerTable(Table):
    """One Worker and the wrangler file that configures it."""

    config: ConfigPath = Field(
        description="The wrangler file (.toml, .json or .jsonc) or its folder: relative to the folder of this file, "
        "with /.",
        examples=["workers/checkout/wrangler.toml"],
    )
    exclusive: bool = Field(
        default=True,
        description="false: another stack also manages bindings in this file, so no binding is removed here.",
        examples=[False],
    )
    deployed: bool = Field(
        default=True,
        description="false: no Worker of this file is live yet, so old certificates are not kept until one is found.",
        examples=[False],
    )
    deploy: DeployerText | None = Field(
        default=None,
        description='"wrangler": ask apply to run the project\'s own wrangler if the live version uses a different ID '
        "than the file. It needs MTLSCTL_DEPLOY=1 or apply --deploy; without this key only apply --deploy deploys.",
        examples=["wrangler"],
    )
    bindings: Bindings | None = Field(
        default=None,
        description="The certificate that each binding of the top-level environment uses: its name, or { id = ... }.",
        examples=[{"BILLING": "billing"}],
        json_schema_extra={"propertyNames": {"pattern": rules.BINDING_PATTERN}},
    )
    env: dict[EnvironmentKey, EnvironmentTable] = Field(
        default_factory=dict,
        description="The other environments, by name. wrangler does not inherit mtls_certificates: each lists its own.",
        examples=[{"staging": {"bindings": {"BILLING": "billing-staging"}}}],
        json_schema_extra={"propertyNames": {"minLength": 1, "maxLength": 100}},
    )


class HyperdriveTable(Table):
    """The certificates that one Hyperdrive configuration uses for its database. What is left out is not changed."""

    config: HyperdriveText = Field(
        description="The ID or the name of the Hyperdrive configuration.",
        examples=["warehouse", "6f2c1a5f0e7b4a0f9d1b7c3e5a8d2f41"],
    )
    certificate: CertificateRef | None = Field(
        default=None,
        description="The certificate that it uses for the database: the name of a client certificate.",
        examples=["warehouse"],
    )
    ca: CertificateRef | None = Field(
        default=None,
        description="The CA that the certificate of the database must be signed by: the name of one with `ca = true`.",
        examples=["warehouse-ca"],
    )
    sslmode: SslmodeText | None = Field(
        default=None,
        description="How it checks the certificate of the database; in lower case for PostgreSQL, in upper case for "
        "MySQL.",
        examples=["verify-full", "VERIFY_IDENTITY"],
    )


class FleetPolicyTable(Table):
    """What the operator of a fleet may have done to this stack without a person."""

    act: ActText = Field(
        default=Act.ALL.value,
        description="The most that `mtlsctl fleet run` may do here, whatever fleet.toml allows: none, retire, rotate or"
        " all.",
        examples=["none"],
    )


class Document(Table):
    """mtls.toml: which certificates exist, and which binding of which Worker uses which of them."""

    version: Version = Field(description="The version of this format.", examples=[rules.VERSION])
    required_version: RequiredVersion | None = Field(
        default=None,
        description="The versions of mtlsctl that may use this file, as a version specifier (PEP 440). Any other "
        "version stops before it reads the rest.",
        examples=[">=0.1,<1"],
    )
    stack: Stack = Field(
        description="The owner mark on everything that this file uploads: at most 32 of a-z, 0-9 and -.",
        examples=["payments"],
    )
    former_stacks: list[Stack] = Field(
        default_factory=list,
        description="Earlier names of this stack: their marks still count for certificates declared here.",
        examples=[["billing"]],
        json_schema_extra={"uniqueItems": True},
    )
    store: StoreTable = Field(
        default_factory=StoreTable, description="The certificate store.", examples=[{"kind": "local"}]
    )
    policy: PolicyTable = Field(
        default_factory=PolicyTable, description="Policy settings, all optional.", examples=[{"grace": "7d"}]
    )
    certificates: dict[CertificateKey, CertificateTable] = Field(
        default_factory=dict,
        description="The certificates, by name: at most 48 of a-z, 0-9 and -.",
        examples=[{"billing": {"certificate": "certs/billing.pem", "private_key": {"env": "BILLING_KEY"}}}],
        json_schema_extra={"propertyNames": {"pattern": rules.NAME_PATTERN}},
    )
    issuers: dict[IssuerKey, IssuerValue] = Field(
        default_factory=dict,
        description="The issuers that `mtlsctl renew` asks for certificates, by a name that you choose.",
        examples=[{"internal": {"kind": "command", "command": ["./sign.sh"]}}],
        json_schema_extra={"propertyNames": {"pattern": rules.NAME_PATTERN}},
    )
    workers: dict[WorkerKey, WorkerTable] = Field(
        default_factory=dict,
        description="The Workers, by a label that you choose; the real name is in the wrangler file.",
        examples=[{"checkout": {"config": "wrangler.toml", "bindings": {"BILLING": "billing"}}}],
        json_schema_extra={"propertyNames": {"pattern": rules.NAME_PATTERN}},
    )
    hyperdrive: dict[HyperdriveKey, HyperdriveTable] = Field(
        default_factory=dict,
        description="The Hyperdrive configurations, by a label that you choose. A change takes effect at once, so only "
        "apply --deploy makes it, or apply with MTLSCTL_DEPLOY=1.",
        examples=[{"warehouse": {"config": "warehouse", "certificate": "warehouse", "sslmode": "verify-full"}}],
        json_schema_extra={"propertyNames": {"pattern": rules.NAME_PATTERN}},
    )
    hostnames: dict[ZoneKey, ZoneTable] = Field(
        default_factory=dict,
        description="The hostnames that trust a CA for client certificates, by the name or ID of their zone, and by "
        "the name of a certificate with `ca = true`. They are added at once, so only apply --deploy does it, or apply "
        "with MTLSCTL_DEPLOY=1; no hostname is ever removed.",
        examples=[{"example.com": {"partner-ca": ["api.example.com", "pay.example.com"]}}],
        json_schema_extra={"propertyNames": {"pattern": rules.ZONE_PATTERN}},
    )
    fleet: FleetPolicyTable = Field(
        default_factory=FleetPolicyTable,
        description="What `mtlsctl fleet run` may do to this stack; it never allows more than fleet.toml.",
        examples=[{"act": "none"}],
    )
