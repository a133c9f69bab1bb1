"""The parser of mtls.toml handles any bytes, and reads back any declaration that was written."""

from __future__ import annotations

import contextlib
from datetime import UTC, date, datetime, time, timedelta
from typing import cast
from zoneinfo import ZoneInfo

import tomlkit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.desired import parse_declaration
from reconciler.desired.freezes import DAYS
from reconciler.findings.diagnostics import Pointer
from reconciler.findings.errors import InputError
from reconciler.model import (
    BindingName,
    ByCertificate,
    ById,
    CertificateName,
    Declaration,
    DeclaredBinding,
    DeclaredCertificate,
    DeclaredWorker,
    Deployer,
    EntryId,
    EnvironmentName,
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
from reconciler.model.freezes import Freeze, Once, Weekly
from tests.support.desired_files import EXAMPLE, KINDS
from tests.support.locating import resolve

# --- anything -------------------------------------------------------------------------------------------------------

PIECES = [
    *EXAMPLE.replace("=", " = ").split(),
    "\n",
    "\n",
    "[",
    "]",
    "{",
    "}",
    ",",
    ".",
    '""',
    '"',
    "'",
    "\ufeff",
    "\0",
    "1e9",
]
KEYS = st.sampled_from(
    [
        *("version", "stack", "store", "policy", "certificates", "workers", "kind", "grace", "billing", "certificate"),
        *("private_key", "ca", "supersedes", "config", "bindings", "env", "id", "BILLING", "file", "[key]"),
        *("__proto__", "a.b", "verify", "verify_before", "url", "expect_status"),
    ]
) | st.text(max_size=3)
VALUES = st.recursive(
    st.sampled_from(["billing", "7d", "a.pem", "wrangler.toml", "local", "{x}", "33%"])
    | st.text(max_size=5)
    | st.integers()
    | st.booleans()
    | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=25,
)


def read(data: bytes) -> None:
    """Parse, and resolve the place of every finding."""
    try:
        parse_declaration(data, "mtls.toml", KINDS)
    except InputError as error:
        for problem in error.problems:
            if isinstance(problem.where, Pointer):
                resolve(problem.where, data)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """The parser raises only InputError."""
    read(data)


@given(st.lists(st.sampled_from(PIECES), max_size=60))
def test_any_pieces_of_a_file_are_read_or_refused(pieces: list[str]) -> None:
    """The parser raises only InputError for input that resembles the format."""
    read(" ".join(pieces).encode())


@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_any_toml_is_read_or_refused(document: dict[str, object]) -> None:
    """The parser raises only InputError for values at unexpected places."""
    with contextlib.suppress(UnicodeEncodeError):
        read(tomlkit.dumps(document).encode())


# --- round trip -----------------------------------------------------------------------------------------------------

NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,8}", fullmatch=True)
DURATIONS = st.integers(0, 36_500 * 86_400).map(lambda seconds: timedelta(seconds=seconds))
RENEWALS = (
    st.none()
    | st.builds(RenewBefore, duration=DURATIONS)
    | st.builds(RenewBefore, share=st.integers(1, 99).map(lambda percent: percent / 100))
)
IDS = st.uuids().map(lambda number: EntryId(str(number)))
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
KEY_REFERENCES = st.builds(lambda name: KeyReference("env", {"env": name}), st.sampled_from(["A", "_b1"])) | st.builds(
    lambda path: KeyReference("file", {"file": path}), PATHS
)
GATES = st.frozensets(st.sampled_from(Gate))
ORIGINS = st.builds(
    Origin,
    st.sampled_from(["https://a.example:8443/health?x=1", "https://[::1]/"]),
    st.none() | PATHS,
    st.none() | PATHS,
    st.none() | st.integers(200, 599),
)
OIDS = st.lists(st.sampled_from(["1.2.3", "2.5.29.17"]), unique=True).map(tuple)
TEXTS = st.lists(st.sampled_from(["acme-*", "CN=A CA,O=Example", "ab" * 32]), unique=True).map(tuple)
RULES = st.builds(
    CertificatePolicy,
    max_lifetime=st.none() | DURATIONS.filter(bool),
    keys=st.lists(st.sampled_from([AllowedKey("RSA", 3072), AllowedKey("Ed25519")]), unique=True).map(tuple),
    issuers=TEXTS,
    extended_key_usage=OIDS,
    extensions=OIDS,
    key_reuse=st.booleans(),
    names=TEXTS,
    common_names=TEXTS,
    warn_only=st.frozensets(st.sampled_from(["keys", "names"])),
)
OWNERS = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=20)


@st.composite
def declared_certificates(draw: st.DrawFn, name: str, superseded: st.SearchStrategy[str]) -> DeclaredCertificate:
    """One valid certificate."""
    ca = draw(st.booleans())
    verify = None if ca else draw(st.none() | ORIGINS)
    return DeclaredCertificate(
        CertificateName(name),
        draw(PATHS),
        key=None if ca else draw(st.none() | KEY_REFERENCES),
        ca=ca,
        verify=verify,
        verify_before=None if ca else draw(st.none() | GATES) if verify else frozenset(),
        supersedes=tuple(draw(st.lists(superseded, max_size=2, unique=True))),
        renew_before=draw(RENEWALS),
        grace=draw(st.none() | DURATIONS),
        owner=draw(st.none() | OWNERS),
    )


@st.composite
def declared_workers(
    draw: st.DrawFn,
    label: str,
    tables: st.SearchStrategy[dict[EnvironmentName, tuple[DeclaredBinding, ...]]],
) -> DeclaredWorker:
    """One Worker; any of its environments, and the top level, can be undeployed."""
    environments = draw(tables)
    return DeclaredWorker(
        WorkerLabel(label),
        f"{label}/wrangler.toml",
        draw(st.booleans()),
        environments,
        draw(st.frozensets(st.sampled_from([None, *environments]))),
        draw(st.none() | st.just(Deployer.WRANGLER)),
    )


@st.composite
def declarations(draw: st.DrawFn) -> Declaration:
    """Any valid declaration."""
    stack, *former = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    # Each certificate has its own ID and name: an entry has one successor.
    certificates = {
        CertificateName(name): draw(declared_certificates(name, st.sampled_from([str(draw(IDS)), f"{name}.old"])))
        for name in draw(st.lists(NAMES, max_size=4, unique=True))
    }
    leaves = [name for name, certificate in certificates.items() if not certificate.ca]
    target: st.SearchStrategy[ByCertificate | ById] = st.builds(ById, IDS)
    if leaves:
        target |= st.builds(ByCertificate, st.sampled_from(leaves))
    bindings = st.dictionaries(st.sampled_from(["A", "$b", "ключ_1"]), target, max_size=3).map(
        lambda table: tuple(DeclaredBinding(BindingName(name), bound) for name, bound in table.items())
    )
    environment = cast("st.SearchStrategy[EnvironmentName]", st.none() | st.sampled_from(["staging", "my.env", "прод"]))
    workers = {
        WorkerLabel(label): draw(declared_workers(label, st.dictionaries(environment, bindings, max_size=3)))
        for label in draw(st.lists(NAMES, max_size=3, unique=True))
    }
    store = StoreSettings(StoreKind.CLOUDFLARE, draw(st.none() | st.just("0" * 32)), draw(st.integers(1, 5000)))
    count = draw(st.none() | st.integers(0, 100))
    policy = Policy(
        draw(RENEWALS),
        draw(DURATIONS),
        draw(st.booleans()),
        count,
        draw(st.none() | st.integers(0, 100)),
        draw(st.integers(0, 9)),
        draw(GATES),
        draw(st.booleans()),
        draw(RULES),
        draw(st.none() | st.integers(0, 100)) if count is not None else draw(st.integers(0, 100)),
        tuple(draw(st.lists(NAMES | st.just("ledger*"), max_size=2))),
        tuple(draw(st.lists(freezes(), max_size=2))),
    )
    return Declaration("mtls.toml", stack, tuple(former), store, policy, certificates, workers)


@st.composite
def freezes(draw: st.DrawFn) -> Freeze:
    """A freeze, to the minute."""
    zone = draw(st.sampled_from([UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("Australia/Lord_Howe")]))
    why = draw(st.none() | st.just("no changes over the weekend"))
    week = timedelta(days=7)
    if draw(st.booleans()):
        minutes = draw(st.lists(st.integers(0, 7 * 1440 - 1), min_size=2, max_size=2, unique=True))
        begins, ends = (timedelta(minutes=count) for count in minutes)
        return Freeze(Weekly(begins, ends if ends > begins else ends + week), zone, why)
    begin = datetime.combine(draw(st.dates(date(2000, 1, 1), date(2100, 1, 1))), time(12, 30))
    return Freeze(Once(begin, begin + timedelta(minutes=draw(st.integers(1, 10**6)))), zone, why)


def written_freeze(freeze: Freeze) -> dict[str, object]:
    """The freeze in the file."""
    texts = [moment(freeze.when.begins), moment(freeze.when.ends)]
    return present({"start": texts[0], "end": texts[1], "zone": str(freeze.zone), "why": freeze.why})


def moment(value: datetime | timedelta) -> str:
    """A local time, or that of a weekday."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    minutes = value // timedelta(minutes=1) % (7 * 1440)
    return f"{DAYS[minutes // 1440]} {minutes // 60 % 24:02}:{minutes % 60:02}"


def written_deletes(policy: Policy) -> object:
    """One limit, or both."""
    share = None if policy.max_deletes_share is None else f"{policy.max_deletes_share}%"
    if policy.max_deletes is None or share is None:
        return share if policy.max_deletes is None else policy.max_deletes
    return {"count": policy.max_deletes, "share": share}


def duration(value: timedelta) -> str:
    """The duration in seconds."""
    return f"{int(value.total_seconds())}s"


def renew_before(value: RenewBefore | None) -> str | None:
    """The text of the format."""
    if value is None:
        return None
    return duration(value.duration) if value.duration is not None else f"{round((value.share or 0) * 100)}%"


def present(table: dict[str, object]) -> dict[str, object]:
    """The table without absent values."""
    return {key: value for key, value in table.items() if value is not None}


def written_origin(origin: Origin | None) -> object:
    """A string if the origin has only a URL, else a table."""
    if origin is None or origin == Origin(origin.url):
        return origin and origin.url
    paths: dict[str, object] = {"ca": origin.ca, "client_ca": origin.client_ca}
    return present({"url": origin.url, **paths, "expect_status": origin.expect_status})


def gates(value: frozenset[Gate] | None) -> object:
    """One word, or a list."""
    if value is None:
        return None
    words = sorted(gate.value for gate in value)
    return words[0] if len(words) == 1 else words


def written_certificate(certificate: DeclaredCertificate) -> dict[str, object]:
    """The certificate's table."""
    key = certificate.key
    return present(
        {
            "certificate": certificate.path,
            "private_key": None if key is None else key.options["file"] if key.source == "file" else dict(key.options),
            "ca": certificate.ca,
            "verify": written_origin(certificate.verify),
            "verify_before": gates(certificate.verify_before),
            "supersedes": list(certificate.supersedes),
            "renew_before": renew_before(certificate.renew_before),
            "grace": None if certificate.grace is None else duration(certificate.grace),
            "owner": certificate.owner,
        }
    )


def written_target(target: ByCertificate | ById) -> object:
    """Inline, because a separate table would come after the strings, and the order of bindings matters."""
    return tomlkit.inline_table().append("id", target.id) if isinstance(target, ById) else target.certificate


def written_worker(worker: DeclaredWorker) -> dict[str, object]:
    """The Worker's table."""
    bindings = {
        name: {bound.binding: written_target(bound.target) for bound in bound_here}
        for name, bound_here in worker.environments.items()
    }
    return present(
        {
            "config": worker.config,
            "exclusive": worker.exclusive,
            "deployed": None not in worker.undeployed,
            "deploy": worker.deploy,
            "bindings": bindings.get(None),
            "env": {
                name: {"deployed": name not in worker.undeployed, "bindings": table}
                for name, table in bindings.items()
                if name is not None
            },
        }
    )


def written_rules(rules: CertificatePolicy) -> dict[str, object]:
    """The table of the rules; an empty list is not written."""
    lists = {
        "keys": list(map(str, rules.keys)),
        "issuers": list(rules.issuers),
        "extended_key_usage": list(rules.extended_key_usage),
        "extensions": list(rules.extensions),
        "names": list(rules.names),
        "common_names": list(rules.common_names),
        "warn_only": sorted(rules.warn_only),
    }
    most = None if rules.max_lifetime is None else duration(rules.max_lifetime)
    given = {rule: values for rule, values in lists.items() if values}
    return present({"max_lifetime": most, "key_reuse": rules.key_reuse, **given})


def written(declaration: Declaration) -> str:
    """The declaration as TOML."""
    store, policy = declaration.store, declaration.policy
    return tomlkit.dumps(
        {
            "version": 1,
            "stack": declaration.stack,
            "former_stacks": list(declaration.former_stacks),
            "store": present({"kind": store.kind.value, "account_id": store.account_id, "limit": store.limit}),
            "policy": present(
                {
                    "renew_before": renew_before(policy.renew_before),
                    "grace": duration(policy.grace),
                    "prune": policy.prune,
                    "max_deletes": written_deletes(policy),
                    "max_unbinds": policy.max_unbinds,
                    "rollback_versions": policy.rollback_versions,
                    "verify_before": gates(policy.verify_before),
                    "check_live": policy.check_live,
                    "certificates": written_rules(policy.certificates),
                    "protect": list(policy.protect),
                    "freeze": list(map(written_freeze, policy.freezes)),
                }
            ),
            "certificates": {name: written_certificate(item) for name, item in declaration.certificates.items()},
            "workers": {label: written_worker(item) for label, item in declaration.workers.items()},
        }
    )


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])  # a busy machine can be slow
@given(declarations())
def test_what_is_written_is_read_back(declaration: Declaration) -> None:
    """A valid declaration, written as TOML, parses to itself."""
    assert parse_declaration(written(declaration).encode(), "mtls.toml", KINDS) == (declaration, ())
