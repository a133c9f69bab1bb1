"""Small worlds for the tests of the core: a declaration, a store and wrangler files, in a line each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache

from reconciler.model import (
    Actual,
    BindingAddress,
    BindingName,
    ByCertificate,
    ById,
    CertificateName,
    Declaration,
    DeclaredBinding,
    DeclaredCertificate,
    DeclaredWorker,
    Desired,
    Entry,
    EntryId,
    EnvironmentName,
    FoundBinding,
    KeyReference,
    Listing,
    Live,
    Policy,
    StoreKind,
    StoreSettings,
    Sweep,
    WorkerLabel,
    WranglerEnvironment,
    WranglerFile,
)
from reconciler.model.ownership import mark_name
from reconciler.plan.assess import judge
from reconciler.plan.assessment import PlanOptions
from reconciler.plan.live import NOBODY, DeployChoice
from reconciler.plan.plan import Plan, Selection, make_plan
from reconciler.system.clock import SystemClock
from reconciler.x509.certificates import Bundle, parse_stored
from tests.support.pki import DAY, NOW, Authority, Issued, make_ca

STACK = "payments"
CONFIG = "workers/checkout/wrangler.toml"
REAL_ID = "2458ce5a-0c35-4c7f-82c7-8e9487d3ff60"

Bindings = Mapping[str, str]
"""Binding name to a certificate's name, or `id:` and an id."""


@cache
def _ca() -> Authority:
    return make_ca("Test Root")


@cache
def issued(number: int) -> Issued:
    """The number-th throw-away leaf of a process: the same number is the same certificate."""
    return _ca().issue(f"client-{number}")


@cache
def _ca_now() -> Authority:
    now = SystemClock().now()
    return make_ca("Test Root", not_before=now - 60 * DAY, not_after=now + 3650 * DAY)


@cache
def issued_now(number: int) -> Issued:
    """The same as `issued`, for tests that run by the real clock: valid today, whenever that is."""
    now = SystemClock().now()
    return _ca_now().issue(f"client-{number}", not_before=now - 30 * DAY, not_after=now + 335 * DAY)


def pem(number: int) -> str:
    """Its certificate."""
    return issued(number).certificate_pem.decode()


def bundle(number: int) -> Bundle:
    """Its certificate, parsed."""
    parsed = parse_stored(pem(number))
    assert parsed is not None
    return parsed


@cache
def ca_bundle(number: int) -> Bundle:
    """The certificate of a CA, another one for each number."""
    parsed = parse_stored(make_ca(f"root {number}").certificate_pem.decode())
    assert parsed is not None
    return parsed


def uid(number: int) -> EntryId:
    """An id of the embedded store."""
    return EntryId(f"10ca1000-0000-4000-8000-{number:012x}")


def days_ago(days: float) -> datetime:
    """A moment before the NOW of the tests."""
    return NOW - timedelta(days=days)


def entry(
    number: int,
    content: int,
    name: str = "",
    *,
    age: float = 30,
    stack: str = STACK,
    ca: bool = False,
    type: str = "custom",  # noqa: A002 - the word of the model
) -> Entry:
    """An entry of the store. `name` `@billing` is a mark for that certificate; anything else is the name itself."""
    if name.startswith("@"):
        name = mark_name(stack, CertificateName(name[1:]), bundle(content).digest)
    return Entry(id=uid(number), name=name, ca=ca, certificates=pem(content), type=type, uploaded_on=days_ago(age))


def certificate(name: str, **settings: object) -> DeclaredCertificate:
    """A declared certificate with a key in the environment."""
    declared = {"key": KeyReference("env", {"env": "KEY"})} | settings
    return DeclaredCertificate(CertificateName(name), f"certs/{name}.pem", **declared)  # type: ignore[arg-type]


def bindings(table: Bindings) -> tuple[DeclaredBinding, ...]:
    """One bindings table."""
    return tuple(
        DeclaredBinding(
            BindingName(name),
            ById(EntryId(target[3:])) if target.startswith("id:") else ByCertificate(CertificateName(target)),
        )
        for name, target in table.items()
    )


def worker(
    label: str = "checkout",
    tables: Mapping[EnvironmentName, Bindings] | None = None,
    *,
    config: str = CONFIG,
    exclusive: bool = True,
    **more: object,
) -> DeclaredWorker:
    """A declared Worker."""
    environments = {name: bindings(table) for name, table in (tables or {}).items()}
    return DeclaredWorker(WorkerLabel(label), config, exclusive, environments, **more)  # type: ignore[arg-type]


def desired(
    contents: Mapping[str, int | None],
    workers: Sequence[DeclaredWorker] = (),
    *,
    declared: Sequence[DeclaredCertificate] = (),
    policy: Policy | None = None,
    former_stacks: tuple[str, ...] = (),
    store: StoreKind = StoreKind.LOCAL,
    limit: int = 1000,
) -> Desired:
    """A desired state: certificate names with the number of their content, None for a file that could not be read."""
    own = {item.name: item for item in declared}
    certificates = {CertificateName(name): own.get(CertificateName(name)) or certificate(name) for name in contents}
    declaration = Declaration(
        path="mtls.toml",
        stack=STACK,
        former_stacks=former_stacks,
        store=StoreSettings(store, limit=limit),
        policy=policy or Policy(),
        certificates=certificates,
        workers={item.label: item for item in workers},
    )
    bundles = {CertificateName(name): bundle(number) for name, number in contents.items() if number is not None}
    return Desired(declaration, bundles)


def file(
    tables: Mapping[EnvironmentName, Mapping[str, str]],
    *,
    path: str = CONFIG,
    taken: Mapping[EnvironmentName, Mapping[str, str]] | None = None,
    script: str | None = None,
) -> WranglerFile:
    """A wrangler file: for each environment the ids by binding."""
    all_tables: dict[EnvironmentName, Mapping[str, str]] = {None: {}, **tables}
    environments: dict[EnvironmentName, WranglerEnvironment] = {
        name: WranglerEnvironment(
            name,
            tuple(FoundBinding(binding, text, index) for index, (binding, text) in enumerate(table.items())),
            (taken or {}).get(name, {}),
            script=script if script is None or name is None else f"{script}-{name}",
        )
        for name, table in all_tables.items()
    }
    return WranglerFile(path, environments)


def actual(
    entries: Sequence[Entry] | None = (),
    files: Mapping[str, WranglerFile] | None = None,
    *,
    asked: Mapping[EntryId, Entry | None] | None = None,
    unasked: Iterable[EntryId] = (),
    sweep: Sweep | None = Sweep(),  # noqa: B008 - a value, never changed
    stable: bool = True,
    ahead: timedelta | None = timedelta(0),
    live: Live | None = None,
) -> Actual:
    """What is there; `entries` None is offline."""
    listing = None if entries is None else Listing(tuple(entries), stable, ahead)
    labelled = {WorkerLabel(label): found for label, found in (files or {}).items()}
    return Actual(
        files=labelled, listing=listing, asked=asked or {}, sweep=sweep, live=live, unasked=frozenset(unasked)
    )


def plan_of(
    wanted: Desired,
    there: Actual,
    *,
    now: datetime = NOW,
    only: tuple[str, ...] = (),
    told: bool = True,
    deploy: DeployChoice = NOBODY,
    **options: object,
) -> Plan:
    """The plan for a world; `told`: of a run that was told to prune, and to take over from every former stack."""
    stacks = frozenset(wanted.declaration.former_stacks if told else ())
    judged = judge(wanted, there, now, PlanOptions(prune=told, take_over=stacks, deploy=deploy))
    return make_plan(judged, Selection(only), **options)  # type: ignore[arg-type]


def shown(plan: Plan) -> list[str]:
    """The changes of a plan in short: `rebind BILLING content-changed`."""
    lines = []
    for change in plan.changes:
        at = getattr(change, "at", None)
        subject = at.binding if isinstance(at, BindingAddress) else getattr(change, "certificate", None)
        lines.append(f"{change.action} {subject} {','.join(change.reasons)}")
    return lines


def waits(plan: Plan) -> list[str]:
    """What waits: `billing grace`."""
    return [f"{wait.certificate} {wait.condition}" for wait in plan.waiting]


def codes(plan: Plan) -> list[str]:
    """The findings of a plan, without what is said of the test leaves themselves."""
    return [problem.code for problem in plan.diagnostics if problem.code not in {"renewal-due", "chain-incomplete"}]
