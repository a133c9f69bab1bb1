"""Parsing good mtls.toml files: the values that they declare."""

from __future__ import annotations

from datetime import timedelta

import pytest

from reconciler.desired import parse_declaration
from reconciler.model import (
    BindingName,
    ByCertificate,
    ById,
    CertificateName,
    Declaration,
    DeclaredBinding,
    DeclaredCertificate,
    DeclaredWorker,
    EntryId,
    Gate,
    KeyReference,
    Origin,
    Policy,
    RenewBefore,
    StoreKind,
    StoreSettings,
    WorkerLabel,
)
from reconciler.model.certificate_policy import AllowedKey, CertificatePolicy
from tests.support.desired_files import CERTIFICATE, EXAMPLE, GOOD, HEAD, KINDS, WORKER


def parse(text: str) -> Declaration:
    """The declaration of a file without warnings."""
    declaration, warnings = parse_declaration(text.encode(), "mtls.toml", KINDS)
    assert warnings == ()
    return declaration


def test_the_example_is_parsed_to_its_declaration() -> None:
    """Every key of the format becomes its value in the declaration."""
    billing = DeclaredCertificate(
        CertificateName("billing"),
        "certs/billing.pem",
        KeyReference("env", {"env": "BILLING_KEY"}),
        verify=Origin("https://billing.example:8443/health"),
        supersedes=("2458ce5a-0c35-4c7f-82c7-8e9487d3ff60",),
        grace=timedelta(hours=1),
        owner="team-payments",
    )
    staging = DeclaredCertificate(
        CertificateName("billing-staging"),
        "certs/billing-staging.pem",
        KeyReference("file", {"file": "certs/billing-staging.key"}),
        renew_before=RenewBefore(share=0.33),
    )
    partner = DeclaredCertificate(CertificateName("partner-ca"), "certs/partner-ca.pem", ca=True)
    ledger = ById(EntryId("9d7d1c39-55a1-4a5c-9a5f-0d5b1d0f6f11"))
    worker = DeclaredWorker(
        WorkerLabel("checkout"),
        "workers/checkout/wrangler.toml",
        environments={
            None: (
                DeclaredBinding(BindingName("BILLING"), ByCertificate(billing.name)),
                DeclaredBinding(BindingName("LEDGER"), ledger),
            ),
            "staging": (DeclaredBinding(BindingName("BILLING"), ByCertificate(staging.name)),),
        },
    )
    assert parse(EXAMPLE) == Declaration(
        "mtls.toml",
        "payments",
        certificates={certificate.name: certificate for certificate in (billing, staging, partner)},
        workers={worker.label: worker},
    )


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD.keys())
def test_a_good_file_has_no_findings(text: str) -> None:
    """Every form that the format allows is accepted without a warning."""
    assert parse(text).stack == "payments"


def test_the_defaults_are_those_of_the_model() -> None:
    """An absent table has the same values as the model's defaults."""
    assert parse(HEAD) == parse(HEAD + "[store]\n[policy]\n") == Declaration("mtls.toml", "payments")


def test_a_byte_order_mark_is_accepted() -> None:
    """Editors on Windows write one."""
    assert parse("\ufeff" + HEAD) == parse(HEAD)


def test_all_settings_are_read() -> None:
    """Store and policy accept values other than the defaults."""
    account = "023e105f4ecef8ad9ca31a8372d0c353"
    declaration = parse(
        HEAD + f'former_stacks = ["old"]\n[store]\nkind = "cloudflare"\naccount_id = "{account}"\nlimit = 2000\n'
        '[policy]\nrenew_before = "45d"\ngrace = "0s"\nprune = true\nmax_deletes = 0\nmax_unbinds = 2\n'
        "rollback_versions = 3\ncheck_live = true\n"
    )
    assert declaration.former_stacks == ("old",)
    assert declaration.store == StoreSettings(StoreKind.CLOUDFLARE, account, 2000)
    assert declaration.policy == Policy(RenewBefore(timedelta(days=45)), timedelta(0), True, 0, 2, 3, check_live=True)


def test_all_rules_for_certificates_are_read() -> None:
    """Names become object identifiers, and a fingerprint is read however it is written."""
    prints = "AB:" * 31 + "AB"
    declaration = parse(
        HEAD + '[policy.certificates]\nmax_lifetime = "398d"\nkeys = ["RSA>=3072", "EC P-256"]\n'
        f'issuers = ["CN=Partner CA,O=Example", "{prints}"]\nextended_key_usage = ["clientAuth", "1.2.3"]\n'
        'extensions = ["subjectAltName"]\nkey_reuse = false\nnames = ["acme-*"]\ncommon_names = ["*.example"]\n'
        'warn_only = ["names"]\n'
    )
    assert declaration.policy.certificates == CertificatePolicy(
        timedelta(days=398),
        (AllowedKey("RSA", 3072), AllowedKey("EC P-256")),
        ("CN=Partner CA,O=Example", "ab" * 32),
        ("1.3.6.1.5.5.7.3.2", "1.2.3"),
        ("2.5.29.17",),
        False,
        ("acme-*",),
        ("*.example",),
        frozenset({"names"}),
    )


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("0s", timedelta(0)),
        ("90m", timedelta(minutes=90)),
        ("1h", timedelta(hours=1)),
        ("1d12h", timedelta(hours=36)),
        ("2w1d", timedelta(days=15)),
        ("36500d", timedelta(days=36500)),
    ],
)
def test_a_duration_is_numbers_with_units(text: str, duration: timedelta) -> None:
    """From weeks to seconds, alone or combined."""
    assert parse(HEAD + f'[policy]\ngrace = "{text}"\n').policy.grace == duration


def test_only_tables_in_the_file_are_declared() -> None:
    """An empty bindings table or an empty environment table declares an environment; nothing else does."""
    worker = WorkerLabel("site")
    assert parse(HEAD + WORKER).workers[worker].environments == {}
    assert parse(HEAD + WORKER + "[workers.site.bindings]\n").workers[worker].environments == {None: ()}
    others = parse(HEAD + WORKER + "[workers.site.env.a]\n[workers.site.env.b.bindings]\n")
    assert others.workers[worker].environments == {"a": (), "b": ()}


def test_deployed_is_set_for_a_worker_or_an_environment() -> None:
    """The Worker's setting applies to all of its environments, unless one has its own."""
    text = f"{HEAD}{WORKER}deployed = false\n[workers.site.env.a]\n[workers.site.env.b]\ndeployed = true\n"
    assert parse(text).workers[WorkerLabel("site")].undeployed == {None, "a"}
    text = f"{HEAD}{WORKER}[workers.site.env.a]\ndeployed = false\n[workers.site.env.b]\n"
    assert parse(text).workers[WorkerLabel("site")].undeployed == {"a"}


def test_labels_may_share_a_file_with_different_environments() -> None:
    """Only the same environment of the same file is a conflict."""
    text = HEAD + WORKER + "[workers.site.bindings]\n[workers.more]\nconfig = 'wrangler.toml'\n[workers.more.env.a]\n"
    assert len(parse(text).workers) == 2


def test_ids_are_read_in_lower_case() -> None:
    """Stores return them in lower case, and they are compared as text."""
    text = HEAD + WORKER + '[workers.site.bindings]\nA = { id = "9D7D1C39-55A1-4A5C-9A5F-0D5B1D0F6F11" }\n'
    (bound,) = parse(text).workers[WorkerLabel("site")].environments[None]
    assert bound.target == ById(EntryId("9d7d1c39-55a1-4a5c-9a5f-0d5b1d0f6f11"))


def test_an_origin_is_a_url_or_a_table() -> None:
    """The table has what the probe needs in addition to the URL."""
    table = '{ url = "https://a.example/", ca = "roots.pem", client_ca = "clients.pem", expect_status = 204 }'
    read = [
        parse(f"{HEAD}{CERTIFICATE}verify = {text}\n").certificates[CertificateName("billing")].verify
        for text in ('"https://a.example/"', '{ url = "https://a.example/" }', table)
    ]
    plain = Origin("https://a.example/")
    assert read == [plain, plain, Origin("https://a.example/", "roots.pem", "clients.pem", 204)]


@pytest.mark.parametrize(
    ("text", "gates"),
    [
        ('"upload"', {Gate.UPLOAD}),
        ('["retire"]', {Gate.RETIRE}),
        ('["upload", "retire"]', {Gate.UPLOAD, Gate.RETIRE}),
        ("[]", set()),
    ],
)
def test_gates_are_a_word_or_a_list(text: str, gates: set[Gate]) -> None:
    """In the policy, and on a certificate, which overrides it."""
    line = f"verify_before = {text}\n"
    declaration = parse(f'{HEAD}{CERTIFICATE}verify = "https://a.example/"\n{line}[policy]\n{line}')
    assert declaration.policy.verify_before == frozenset(gates)
    assert declaration.certificates[CertificateName("billing")].verify_before == frozenset(gates)


def test_a_certificate_without_an_origin_can_opt_out_of_the_gate_of_the_policy() -> None:
    """With an empty list. A CA does not need one, because it is not a client certificate."""
    text = f'{HEAD}[policy]\nverify_before = "upload"\n{CERTIFICATE}verify_before = []\n[certificates.ca]\n'
    parsed = parse(f'{text}certificate = "ca.pem"\nca = true\n')
    assert parsed.certificates[CertificateName("billing")].verify_before == frozenset()
    assert parsed.certificates[CertificateName("ca")].verify_before is None
