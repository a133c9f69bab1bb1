"""Plans and what is told of them, made by hand of constants: names of 48 characters, and IDs of real length."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from datetime import timedelta

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place
from reconciler.model import (
    Action,
    Actual,
    Adopted,
    BindingAddress,
    BindingChange,
    BindingName,
    ByCertificate,
    CertificateName,
    Condition,
    Declaration,
    DeclaredCertificate,
    Deploy,
    Desired,
    Difference,
    Entry,
    EntryId,
    Gate,
    KeyReference,
    Reason,
    Retire,
    SiteAddress,
    StoreKind,
    StoreSettings,
    ToPresent,
    Unknown,
    Upload,
    User,
    UserKind,
    Verify,
    Waiting,
    WorkerLabel,
)
from reconciler.model.calls import Calls
from reconciler.model.ownership import Mark
from reconciler.plan.assess import judge
from reconciler.plan.assessment import ByIdRow
from reconciler.plan.coverage import Area, KeyNeeded, NotChecked
from reconciler.plan.inventory import Preference, Role
from reconciler.plan.live import LiveBinding, LiveState, Presented
from reconciler.plan.plan import Plan, SavedPlan
from reconciler.plan.quota import Quota, QuotaCount
from reconciler.plan.renewals import Due
from reconciler.plan.retire import Judged
from reconciler.plan.users import Use
from reconciler.reports.checks import Validation
from reconciler.reports.explain import Explanation, NameKind
from reconciler.reports.explain_bindings import BindingStory
from reconciler.reports.explain_certificates import CertificateStory
from reconciler.reports.explain_entries import EntryStory
from reconciler.reports.forecast import Begin, DueItem, Forecast, Outlook
from reconciler.reports.forecast_entries import Event, ForecastStep
from reconciler.reports.kept import KeptEntry
from reconciler.reports.outage import Outage
from reconciler.reports.status import BoundAt, ByIdStatus, CertificateStatus, Standing, Status, Urgency
from reconciler.x509.chains import Window
from tests.support.pki import DAY, NOW

LONG = CertificateName("partner-acme-international-settlements-eu-west-1")
PARTNER, WAREHOUSE, LEDGER = map(CertificateName, ("partner-acme", "warehouse", "ledger"))
OWNER = "team-international-payments-and-settlements-emea"
ACCOUNT = "0123456789abcdef0123456789abcdef"
STORE = StoreSettings(StoreKind.CLOUDFLARE, ACCOUNT)
OLD, NEW, THIRD, THEIRS = map(
    EntryId,
    (
        "28b52d48-33a1-4f7e-9f5c-3d2b1a0c9e8d",
        "9d7d1c39-55a1-4a5c-9a5f-0d5b1d0f6f11",
        "28b52d48-90ff-4c7f-82c7-8e9487d3ff60",
        "c7269d99-0c35-4c7f-82c7-8e9487d3ff60",
    ),
)


def at(label: str, environment: str | None, binding: str) -> BindingAddress:
    """A binding of a Worker."""
    return BindingAddress(WorkerLabel(label), f"workers/{label}/wrangler.jsonc", environment, BindingName(binding))


GATEWAY = at("partner-gw", "production", "PARTNER")
PAYOUTS = at("payouts", None, "PARTNER")
SETTLEMENT = at(
    "settlement-gateway-for-international-partners-eu",
    "production-of-the-european-union-and-switzerland",
    "INTERNATIONAL_SETTLEMENT_PARTNER_CERTIFICATE_EU1",
)
DIFFERENCES = (
    Difference("not_after", "2026-12-23T12:00:00Z", "2027-02-26T12:00:00Z"),
    Difference("key", "RSA 2048, SPKI 0123456789abcdef", "RSA 3072, SPKI fedcba9876543210"),
    Difference("serial_number", "1", "2"),
)
NAMES = Difference(
    "subject_alternative_names",
    "DNS:settlement.partner.example, DNS:old.settlement.partner.example",
    "DNS:settlement.partner.example, DNS:new.settlement.partner.example",
)


def upload(name: CertificateName, *differences: Difference) -> Upload:
    """An upload of a renewed certificate, or of a new one."""
    reason = Reason.CONTENT_CHANGED if differences else Reason.MISSING
    return Upload(name, "12" * 32, f"mono.{name}.121212121212", (reason,), differences)


def rebind(where: BindingAddress, name: CertificateName, before: str, *reasons: Reason) -> BindingChange:
    """An ID that is replaced by that of an upload."""
    return BindingChange(Action.REBIND, where, reasons or (Reason.CONTENT_CHANGED,), name, "12" * 32, before)


def entry(entry_id: EntryId, name: str) -> Entry:
    """An uploaded certificate."""
    return Entry(entry_id, f"mono.{name}.abababababab", uploaded_on=NOW - 40 * DAY)


def retire(entry_id: EntryId, name: CertificateName, reason: Reason = Reason.SUPERSEDED) -> Retire:
    """The deletion of an old certificate."""
    return Retire(entry(entry_id, name), name, "ab" * 32, (reason,))


FORMER = retire(EntryId("838979d6-0c35-4c7f-82c7-8e9487d3ff60"), WAREHOUSE)
ROLLBACK = "tracking-production could still roll back to version a34bc2fe, which uses it (1 deployment ago)"
DECLARED = (
    DeclaredCertificate(LONG, "certs/long.pem", owner=OWNER),
    DeclaredCertificate(PARTNER, "certs/partner-acme.pem", owner="team-partners"),
    DeclaredCertificate(WAREHOUSE, "certs/warehouse.pem"),
)
ROWS = judge(
    Desired(Declaration("mtls.toml", "mono", store=STORE, certificates={one.name: one for one in DECLARED}), {}),
    Actual({}, None),
    NOW,
)
WARNING = Diagnostic(
    Severity.WARNING,
    Code.NEWER_ENTRY,
    f"{LONG!r} has a newer uploaded certificate, {NEW}, than the one that its file declares",
    Place("mtls.toml", 7, 1),
    "pull first: a newer commit may have uploaded it. After a revert this is expected",
    LONG,
)
ERROR = Diagnostic(
    Severity.ERROR,
    Code.BY_ID_DUE,
    f"{SETTLEMENT.binding} in {SETTLEMENT.config} is due",
    Place(SETTLEMENT.config, 120, 18),
    f'change the ID in mtls.toml:\n[workers.settlement.bindings]\n{SETTLEMENT.binding} = {{ id = "{NEW}" }}',
)
PLAN = Plan(
    stack="mono",
    store=STORE,
    changes=(
        Verify(PARTNER, "12" * 32, "https://partner.example:8443/health", Gate.UPLOAD),
        upload(PARTNER, *DIFFERENCES),
        upload(LONG, *DIFFERENCES, NAMES),
        upload(LEDGER),
        rebind(GATEWAY, PARTNER, OLD),
        rebind(PAYOUTS, PARTNER, OLD),
        rebind(SETTLEMENT, LONG, "<PUT THE CERTIFICATE ID OF THE SETTLEMENT PARTNER HERE>", Reason.PLACEHOLDER_ID),
        BindingChange(Action.BIND, at("payouts", None, "LEDGER"), (Reason.MISSING,), LEDGER, "12" * 32, remote=True),
        BindingChange(Action.REBIND, at("payouts", None, "RATES"), (Reason.WRONG_ID,), None, None, THIRD, THEIRS),
        BindingChange(Action.UNBIND, at("tracking", None, "FORMER"), (Reason.REMOVED,), before=FORMER.entry.id),
        Deploy(
            SiteAddress(GATEWAY.worker, GATEWAY.config, "production"),
            "partner-gw-production",
            (Reason.LIVE_DIFFERS,),
            (ToPresent("PARTNER", None, "12" * 32, PARTNER, (OLD, None)),),
        ),
        retire(EntryId("51ffe1a4-0c35-4c7f-82c7-8e9487d3ff60"), CertificateName("former"), Reason.ORPHANED),
    ),
    adopted=tuple(
        Adopted(CertificateName(name), entry(EntryId(f"{number:08x}{NEW[8:]}"), name), ours=True)
        for number, name in enumerate(("warehouse", "a", "b", "c", "d", "e"))
    ),
    waiting=(
        Waiting(
            retire(OLD, PARTNER),
            Condition.SUCCESSOR_MISSING,
            "kept until its successor is uploaded, then for a grace period of 7d",
        ),
        Waiting(FORMER, Condition.ROLLBACK_REACH, ROLLBACK),
    ),
    unknown=(),
    due=(),
    diagnostics=(WARNING,),
    quota=Quota(QuotaCount(1000, 7, 10, 9), QuotaCount(5, 0, 0, 0)),
    made=NOW,
    calls=Calls(3, 17),
    keys=(
        KeyNeeded(PARTNER, KeyReference("env", {"env": "PARTNER_ACME_KEY"}), (Action.UPLOAD,)),
        KeyNeeded(LONG, KeyReference("file", {"file": "keys/partner-acme-international.key"}), (Action.UPLOAD,)),
    ),
    not_checked=(NotChecked(Area.LIVE_WORKERS), NotChecked(Area.OTHER_USERS), NotChecked(Area.KEYS)),
    apply_with=(),
    owners={PARTNER: "team-partners", LONG: OWNER},
    assessment=ROWS,
)
LATER = Waiting(
    replace(rebind(SETTLEMENT, LONG, OLD), after=NEW),
    Condition.NOT_VALID_YET,
    "the new certificate is not valid yet, so the one in use stays",
    NOW + 3 * DAY,
)
QUIET = replace(
    PLAN,
    changes=(),
    waiting=(LATER, Waiting(FORMER, Condition.ROLLBACK_REACH, ROLLBACK)),
    diagnostics=(),
    quota=Quota(QuotaCount(1000, 7, 7, 7), QuotaCount(5, 1, 1, 1)),
    keys=(),
    not_checked=(),
    live=(
        LiveBinding(
            GATEWAY, "partner-gw-production", LiveState.IN_SYNC, PARTNER, NEW, NEW, (Presented("v1", 100, NEW),)
        ),
        LiveBinding(
            SETTLEMENT,
            "settlement",
            LiveState.SPLIT,
            LONG,
            NEW,
            NEW,
            (Presented("a34bc2fe-33a1-4f7e-9f5c-3d2b1a0c9e8d", 90, OLD), Presented("b34bc2fe-33a1-4f7e-9f5c", 10, NEW)),
        ),
        LiveBinding(PAYOUTS, "payouts", LiveState.NEEDS_DEPLOY, PARTNER, NEW, NEW, (Presented("v2", 100, OLD),)),
    ),
)
PREVIEW = replace(
    QUIET,
    waiting=(),
    live=None,
    at=True,
    partial=(LONG, "led*"),
    due=(
        Due(LEDGER, NOW - DAY, NOW - 31 * DAY),
        Due(LONG, NOW + 20 * DAY, NOW - 10 * DAY, renewed=True),
        Due(PARTNER, NOW + 24 * DAY, NOW - 6 * DAY),
    ),
    quota=Quota(QuotaCount(3, 2, 2, 2, 2), QuotaCount(5, 0, 0, 0)),
)
OFFLINE = replace(
    PREVIEW,
    at=False,
    partial=(),
    due=(),
    quota=None,
    calls=None,
    adopted=(),
    offline=True,
    unknown=(
        *(Unknown(name, None, "only Cloudflare knows whether this content is uploaded") for name in (PARTNER, LONG)),
        Unknown(LONG, SETTLEMENT, "only Cloudflare knows whether this ID is the current one"),
    ),
    not_checked=(NotChecked(Area.STORE), NotChecked(Area.LIVE_WORKERS)),
)
SAVED = SavedPlan(**{one.name: getattr(PLAN, one.name) for one in fields(SavedPlan)})


def bound(where: BindingAddress, found: str | None, standing: Standing = Standing.IN_PLACE) -> BoundAt:
    """A binding with the ID that its file has."""
    return BoundAt(where, standing, found)


def certificate(
    name: CertificateName,
    urgency: Urgency,
    days: int,
    places: Iterable[BoundAt],
    owner: str | None = None,
    waiting: tuple[KeptEntry, ...] = (),
) -> CertificateStatus:
    """A certificate that ends so many days from now."""
    ends = NOW + timedelta(days=days)
    return CertificateStatus(
        name, urgency, entry(NEW, name), Due(name, ends, ends - 30 * DAY), owner, tuple(places), waiting
    )


KEPT = KeptEntry(Waiting(FORMER, Condition.ROLLBACK_REACH, ROLLBACK))
STUCK = KeptEntry(
    Waiting(FORMER, Condition.ROLLBACK_REACH, ROLLBACK),
    NOW - 3 * DAY,
    "deploy tracking-production once more, or set `rollback_versions = 0` in `[policy]`",
)
BY_ID = ByIdStatus(
    ByIdRow(
        THEIRS,
        entry(THEIRS, "rates"),
        Role.OTHER_STACK,
        None,
        Mark("books", CertificateName("rates")),
        None,
        None,
        (),
        Window(None, NOW + 90 * DAY),
    ),
    Urgency.LATER,
    (bound(at("payouts", None, "RATES"), THEIRS),),
)
STATUS = Status(
    "mono",
    STORE,
    NOW,
    (
        certificate(LEDGER, Urgency.EXPIRED, -3, [bound(at("payouts", None, "LEDGER"), NEW)]),
        certificate(
            LONG,
            Urgency.DUE,
            20,
            [bound(SETTLEMENT, OLD, Standing.OTHER_ID), bound(PAYOUTS, None, Standing.MISSING)],
            OWNER,
            (STUCK,),
        ),
        certificate(PARTNER, Urgency.LATER, 54, [bound(GATEWAY, NEW), bound(PAYOUTS, NEW)], "team-partners"),
        certificate(WAREHOUSE, Urgency.LATER, 89, [bound(at("tracking", None, "W"), NEW)], None, (KEPT,)),
    ),
    (replace(KEPT, waiting=replace(KEPT.waiting, change=retire(THIRD, CertificateName("former"), Reason.ORPHANED))),),
    {Action.UPLOAD: 1, Action.REBIND: 2},
    (WARNING, ERROR),
    outages=(
        Outage(at("payouts", None, "LEDGER"), LEDGER, NEW, NOW - 3 * DAY, failing=True),
        Outage(SETTLEMENT, LONG, OLD, NOW + 20 * DAY),
    ),
    by_id=(BY_ID,),
    uses=(Use(entry(NEW, PARTNER), PARTNER, Role.CURRENT, User(UserKind.HYPERDRIVE, "orders", "hyperdrive-1")),),
    live=QUIET.live,
    failed_on=("expired", "within=21d"),
)
CALM = replace(
    STATUS,
    certificates=STATUS.certificates[2:],
    orphaned=(),
    changes={},
    diagnostics=(),
    outages=(Outage(GATEWAY, PARTNER, NEW, NOW + 54 * DAY),),
    live=None,
    failed_on=(),
    not_checked=(NotChecked(Area.LIVE_WORKERS), NotChecked(Area.OTHER_USERS)),
)
EXPLANATION = Explanation(
    LONG,
    (NameKind.CERTIFICATE,),
    (
        CertificateStory(
            *(LONG, "certs/partner-acme-international-settlements-eu-west-1.pem", False, OWNER, "12" * 32, "ab" * 32),
            Due(LONG, NOW + 20 * DAY, NOW - 10 * DAY),
            entry(NEW, LONG),
            True,
            Preference.BOUND,
            None,
            "up to date",
            f"{NEW} has this content, and every binding uses it",
            False,
            "nothing is uploaded",
            (LEDGER,),
            "https://partner.example:8443/health",
            (Gate.UPLOAD, Gate.RETIRE),
            (User(UserKind.HYPERDRIVE, "orders", "hyperdrive-1"),),
        ),
    ),
    (
        BindingStory(
            SETTLEMENT,
            ByCertificate(LONG),
            OLD,
            NEW,
            Action.REBIND,
            "its ID is replaced",
            f"{SETTLEMENT.config} has {OLD}, an old certificate of {LONG}",
        ),
    ),
    (
        EntryStory(
            *(OLD, entry(OLD, LONG), Role.SUPERSEDED, LONG, "kept", ROLLBACK),
            (
                Judged(Condition.BINDINGS_PENDING, True),
                Judged(Condition.GRACE, False, until=NOW + 3 * DAY),
                Judged(
                    Condition.PRESENTED_LIVE,
                    False,
                    {"script": "settlement", "version": "a34bc2fe", "share": "90", "others": ""},
                    hint="deploy settlement once more",
                ),
                Judged(Condition.USED_ELSEWHERE, None),
            ),
            NOW - 3 * DAY,
            *("mono", NOW + 20 * DAY, NEW, (User(UserKind.WORKER, "settlement", "settlement", "live"),)),
        ),
    ),
    (WARNING,),
    (NotChecked(Area.OTHER_USERS),),
)
FORECAST = Forecast(
    stack="mono",
    store=STORE,
    made=NOW,
    until=NOW + 120 * DAY,
    calendar=(
        DueItem(LEDGER, Urgency.EXPIRED, NOW - 33 * DAY, NOW - 3 * DAY, None, None, ()),
        DueItem(LONG, Urgency.DUE, NOW - 10 * DAY, NOW + 20 * DAY, OWNER, entry(NEW, LONG), (bound(SETTLEMENT, NEW),)),
        DueItem(
            *(PARTNER, Urgency.LATER, NOW + 24 * DAY, NOW + 54 * DAY, "team-partners", entry(NEW, PARTNER)),
            (bound(GATEWAY, NEW), bound(PAYOUTS, NEW)),
        ),
        DueItem(LONG, Urgency.LATER, NOW + 100 * DAY, NOW + 130 * DAY, None, None, (), again=True),
    ),
    later=3,
    upcoming=DueItem(WAREHOUSE, Urgency.LATER, NOW + 200 * DAY, NOW + 230 * DAY, None, None, ()),
    unreadable=(CertificateName("broken"),),
    steps=(
        ForecastStep(NOW, Event.RENEWAL, LONG, False, 11),
        ForecastStep(NOW + 7 * DAY, Event.RETIRE, LONG, False, 10),
        ForecastStep(NOW + 24 * DAY, Event.RENEWAL, PARTNER, False, 11, again=True),
    ),
    leaf=Outlook(1000, 10, 11, NOW + 24 * DAY, 10, None),
    ca=Outlook(5, 1, 1, NOW, 1, None),
    assumptions=(
        "each renewed certificate lasts as long as the present one",
        "old certificates are deleted when their grace period ends, and nothing else is uploaded to this account",
    ),
    findings=(),
    diagnostics=(ERROR,),
    by_id=(BY_ID,),
    not_checked=(NotChecked(Area.LIVE_WORKERS),),
    begins=(Begin(WAREHOUSE, NOW + 9 * DAY, (GATEWAY, PAYOUTS)),),
)
PLANS: Mapping[str, object] = {
    "plan": PLAN,
    "plan-without-changes": QUIET,
    "plan-preview": PREVIEW,
    "plan-offline": OFFLINE,
    "show": SAVED,
    "status": STATUS,
    "status-calm": CALM,
    "status-name": replace(CALM, certificates=CALM.certificates[:1], by_id=(), about=("partner-*",), asked=True),
    "explain": EXPLANATION,
    "forecast": FORECAST,
    "findings": Validation((WARNING, ERROR), ("mtlsctl", "validate")),
}
