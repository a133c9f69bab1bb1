"""One report of each kind, made by hand of constants, with every field in use somewhere: to see how they are shown."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place, Pointer
from reconciler.findings.differences import Comparison, Differences, FieldDifference, PlanDifference
from reconciler.findings.events import CallMade
from reconciler.findings.exits import ExitCode
from reconciler.model import (
    Act,
    Action,
    Actual,
    Adopted,
    BindingAddress,
    BindingChange,
    BindingName,
    ByCertificate,
    ById,
    CertificateName,
    Condition,
    Declaration,
    DeclaredBinding,
    DeclaredCertificate,
    Deploy,
    Desired,
    Difference,
    Entry,
    EntryId,
    FoundBinding,
    Gate,
    KeyReference,
    Listing,
    LiveVersion,
    LiveWorker,
    Origin,
    Phase,
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
from reconciler.model.engine import RecordedJob
from reconciler.model.fleet import Acted, ActState, Look, LookState, Pause, Queue, StackRow
from reconciler.model.key_places import SopsSink
from reconciler.model.ownership import Mark
from reconciler.model.renewal import Renewal
from reconciler.plan.assess import judge
from reconciler.plan.assessment import BindingRow, ByIdRow, UpToDate
from reconciler.plan.coverage import Area, KeyNeeded, NotChecked
from reconciler.plan.inputs import PlanInputs, Recording
from reconciler.plan.inventory import Preference, Role
from reconciler.plan.live import LiveBinding, LiveState, Presented
from reconciler.plan.outcome import Outcome, Step, StepStatus
from reconciler.plan.plan import Plan, SavedPlan
from reconciler.plan.quota import Quota, QuotaCount
from reconciler.plan.renewals import Due
from reconciler.plan.renewing import Renewable, Renewals, RenewReason, RenewStatus, RenewStep
from reconciler.plan.retire import Judged
from reconciler.plan.retire_live import LiveUse
from reconciler.plan.users import Use
from reconciler.proof.levels import CertificateProof, DryRun, Level, LevelResult, Skip, Verification
from reconciler.proof.observations import End, Moment, NginxPage, Observation, Seen, Shown
from reconciler.proof.reach import Reach, Reached
from reconciler.proof.requests import CertificateRequest
from reconciler.proof.verdicts import ProofStatus as Verdict
from reconciler.records.history import HistoryDocument, history_document
from reconciler.records.journal import (
    Actor,
    ChangeSummary,
    JournalRead,
    ProblemSummary,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
)
from reconciler.records.plan import PlanDocument, content_hash
from reconciler.reports.checks import Checkup, RunFailure, Validation
from reconciler.reports.current import Current
from reconciler.reports.drift import Drift, DriftFinding, State
from reconciler.reports.drift import Subject as DriftSubject
from reconciler.reports.explain import Explanation, NameKind
from reconciler.reports.explain_bindings import BindingStory
from reconciler.reports.explain_certificates import CertificateStory
from reconciler.reports.explain_entries import EntryStory
from reconciler.reports.fleet import VANISHED, FleetHistory, FleetList, FleetStack, make_fleet_status
from reconciler.reports.forecast import Begin, DueItem, Forecast, Outlook
from reconciler.reports.forecast_entries import Event
from reconciler.reports.forecast_entries import ForecastStep as EntryStep
from reconciler.reports.guard import Guard, GuardedBinding, GuardScope, GuardVerdict
from reconciler.reports.kept import KeptEntry, KeptFor
from reconciler.reports.left import Applied, ToDeploy
from reconciler.reports.log import LogLine
from reconciler.reports.metrics import Family, Metrics, Sample
from reconciler.reports.stacks import StackResult, join
from reconciler.reports.status import BoundAt, ByIdStatus, CertificateStatus, Standing, Status, Urgency
from reconciler.takeover.adoption import Adoption
from reconciler.takeover.proposed import (
    Proposal,
    ProposedBinding,
    ProposedCertificate,
    ProposedEnvironment,
    ProposedWorker,
)
from reconciler.x509.certificates import parse_stored
from reconciler.x509.chains import Window
from tests.support.pki import DAY, END, NOW

PEM = """\
-----BEGIN CERTIFICATE-----
MIIBXjCCAQSgAwIBAgIUO3MtpEp27rbBIkeMvxZlyAR+07EwCgYIKoZIzj0EAwIw
FjEUMBIGA1UEAwwLR29sZGVuIFJvb3QwHhcNMjYxMDI0MTIwMDAwWhcNMjcxMDI0
MTIwMDAwWjARMQ8wDQYDVQQDDAZnb2xkZW4wWTATBgcqhkjOPQIBBggqhkjOPQMB
BwNCAAS0epDu+r3eFC9NKcYh6/2GrhONDHI21Wsjv/439crxYo8vbfNRIRXc6Qwj
de50XGmqV3giMaLWesFMZDNT4nkTozUwMzAMBgNVHRMBAf8EAjAAMA4GA1UdDwEB
/wQEAwIHgDATBgNVHSUEDDAKBggrBgEFBQcDAjAKBggqhkjOPQQDAgNIADBFAiA0
+4G0Kj+aZ+pFbT/qUI6XujWPqhVnMoC+G9EnN5vXxAIhAKPcHMqwzoLECYwPN6KR
uLpmNKdrSjzjbp5SYyVSFOVS
-----END CERTIFICATE-----
"""
"""A certificate that never changes; its key is nowhere."""

ACCOUNT = "0123456789abcdef0123456789abcdef"
NEW, OLD = EntryId("9d7d1c39-55a1-4a5c-9a5f-0d5b1d0f6f11"), EntryId("2458ce5a-0c35-4c7f-82c7-8e9487d3ff60")
BILLING, LEDGER = CertificateName("billing"), CertificateName("ledger")
CHECKOUT, CONFIG = WorkerLabel("checkout"), "workers/checkout/wrangler.toml"
TOP = SiteAddress(CHECKOUT, CONFIG, None)
STAGING = SiteAddress(CHECKOUT, CONFIG, "staging")
BOUND = BindingAddress(CHECKOUT, CONFIG, None, BindingName("BILLING"))
STAGED = BindingAddress(CHECKOUT, CONFIG, "staging", BindingName("BILLING"))
DIGEST, LATER_DIGEST = "12" * 32, "ab" * 32
STORE = StoreSettings(StoreKind.CLOUDFLARE, ACCOUNT, 2000)
CURRENT = Entry(NEW, f"payments.billing.{DIGEST[:12]}", certificates=PEM, uploaded_on=NOW - 2 * DAY)
FORMER = Entry(OLD, "", uploaded_on=NOW - 40 * DAY)
ODD = NOW + timedelta(days=3, seconds=4, microseconds=50)
"""A time with a fraction."""

WARNING = Diagnostic(
    Severity.WARNING, Code.RENEWAL_DUE, "billing is due for renewal", Pointer("mtls.toml", ("certificates", "billing"))
)
ERROR = Diagnostic(
    Severity.ERROR,
    Code.UNKNOWN_ENTRY,
    "BILLING has an id\x1b[2J \u202e\x7f ##[x] ü",
    Place(CONFIG, 7, 18),
    "look",
    "billing",
)
NOTE = Diagnostic(Severity.INFO, Code.KEY_NOT_CHECKED, "no key is there", Place("certs/billing.pem"))
FINDINGS = (WARNING, ERROR, NOTE)


def place(where: Pointer | Place | None) -> Place | None:
    """Where a finding is, as if every key had a line of its own."""
    return Place(where.path, len(where.keys) + 1, 1) if isinstance(where, Pointer) else where


# --- plan and outcome -----------------------------------------------------------------------------------------------

DIFFERENCES = (Difference("issuer", "CN=Old", "CN=New"), Difference("dns_names", None, "a.example"))
UPLOAD = Upload(BILLING, DIGEST, f"payments.billing.{DIGEST[:12]}", (Reason.CONTENT_CHANGED,), DIFFERENCES, (LEDGER,))
BIND = BindingChange(Action.BIND, STAGED, (Reason.MISSING,), BILLING, DIGEST, remote=True)
REBIND = BindingChange(
    Action.REBIND, BOUND, (Reason.CONTENT_CHANGED, Reason.WRONG_ID), BILLING, DIGEST, OLD, NEW, None, DIFFERENCES
)
UNBIND = BindingChange(Action.UNBIND, BOUND, (Reason.REMOVED,), before=OLD)
DEPLOY = Deploy(
    TOP,
    "checkout-live",
    (Reason.LIVE_DIFFERS,),
    (ToPresent("BILLING", NEW, DIGEST, BILLING, (OLD, None)), ToPresent("OTHER", None)),
    ("version-1", "version-2"),
    "dist/wrangler.json",
)
PROOF = Verify(BILLING, DIGEST, "https://billing.example:8443/health", Gate.UPLOAD)
LATE_PROOF = Verify(BILLING, DIGEST, "https://billing.example:8443/health", Gate.RETIRE)
RETIRE = Retire(FORMER, BILLING, LATER_DIGEST, (Reason.SUPERSEDED,))
GRACE = Waiting(RETIRE, Condition.GRACE, "its grace period is not over", ODD)
UNCHECKED = Waiting(
    Retire(Entry(OLD, "by hand"), LEDGER, DIGEST, (Reason.SUPERSEDED,)),
    Condition.UNCHECKED,
    "a file could not be read",
)
QUOTA = Quota(QuotaCount(2000, 9, 11, 10, 1), QuotaCount(5, 1, 1, 1))
LIVE = (
    LiveBinding(
        BOUND,
        "checkout-live",
        LiveState.SPLIT,
        BILLING,
        NEW,
        OLD,
        (Presented("version-1", 90, OLD), Presented("version-2", 10.5, None)),
        "a gradual deployment",
    ),
    LiveBinding(STAGED, None, LiveState.UNKNOWN),
)

UNSEEN = (NotChecked(Area.OTHER_USERS), NotChecked(Area.TREE))
NOTHING = judge(Desired(Declaration("mtls.toml", "payments"), {}), Actual({}, None), NOW)
"""The rows of a plan that a view never reads."""
_BUNDLE = parse_stored(PEM)
assert _BUNDLE is not None
DECLARED = judge(
    Desired(
        Declaration(
            "mtls.toml",
            "payments",
            certificates={BILLING: DeclaredCertificate(BILLING, "certs/billing.pem", owner="team-payments")},
        ),
        {BILLING: _BUNDLE},
    ),
    Actual({}, None),
    NOW,
)
"""The rows of a plan with the facts of one certificate."""
PLAN = Plan(
    stack="payments",
    store=STORE,
    changes=(PROOF, UPLOAD, BIND, REBIND, UNBIND, DEPLOY, LATE_PROOF, RETIRE),
    adopted=(Adopted(LEDGER, CURRENT, True), Adopted(BILLING, FORMER, False)),
    waiting=(GRACE, UNCHECKED),
    unknown=(),
    due=(Due(BILLING, END, END - 30 * DAY), Due(LEDGER, ODD, NOW)),
    diagnostics=FINDINGS,
    quota=QUOTA,
    made=NOW,
    partial=("billing", "led*"),
    live=LIVE,
    calls=Calls(3, 17),
    keys=(
        KeyNeeded(BILLING, KeyReference("env", {"env": "BILLING_KEY"}), (Action.VERIFY, Action.UPLOAD)),
        KeyNeeded(LEDGER, KeyReference("file", {"file": "certs/ledger.key"}), (Action.UPLOAD,)),
    ),
    not_checked=(NotChecked(Area.LIVE_WORKERS, "shop: the token may not"), *UNSEEN, NotChecked(Area.KEYS)),
    apply_with=("plan.json",),
    assessment=DECLARED,
)
OFFLINE = Plan(
    stack="payments",
    store=StoreSettings(),
    changes=(),
    adopted=(),
    waiting=(),
    unknown=(Unknown(BILLING, None, "whether it is uploaded"), Unknown(None, STAGED, "whether it is uploaded")),
    due=(),
    diagnostics=(),
    quota=None,
    made=ODD,
    offline=True,
    at=True,
    not_checked=(NotChecked(Area.STORE),),
    apply_with=("plan.json",),
    assessment=NOTHING,
)
OUTCOME = Outcome(
    PLAN,
    (
        Step(UPLOAD, StepStatus.DONE, NEW, note="found again"),
        Step(BIND, StepStatus.FAILED, problem=ERROR),
        Step(DEPLOY, StepStatus.NOT_STARTED, note="the phase deploy was not requested"),
        Step(PROOF, StepStatus.UNPROVED, blocked=True),
        Step(RETIRE, StepStatus.WAITING, waiting=GRACE),
    ),
    (WARNING,),
    interrupted=True,
)
APPLIED = Applied(OUTCOME, (ToDeploy(STAGING, "checkout-staging"), ToDeploy(TOP, None, "dist/wrangler.json")))
SAVED_PLAN = SavedPlan(**{one.name: getattr(PLAN, one.name) for one in fields(SavedPlan)})

# --- reports --------------------------------------------------------------------------------------------------------

_USED, _UNUSED = LiveVersion("version-1", {"BILLING": OLD}, 90.5, 0, ODD), LiveVersion("version-0", {"BILLING": OLD})
WORKER = LiveWorker("checkout-live", (_USED, _UNUSED))
KEPT = KeptEntry(
    Waiting(UNCHECKED.change, Condition.PRESENTED_LIVE, "it is used by version version-1"),
    NOW,
    "deploy checkout-live \x1b[2J",
    (KeptFor(LiveUse(WORKER, _USED), STAGING), KeptFor(LiveUse(WORKER, _UNUSED), None)),
)

DB = User(UserKind.HYPERDRIVE, "db", "hyperdrive-1")
SHOP = User(UserKind.WORKER, "shop", "shop", "live")
ELSE = BindingAddress(CHECKOUT, CONFIG, None, BindingName("ELSE"))
THEIRS = Entry(OLD, f"books.ledger.{LATER_DIGEST[:12]}", certificates=PEM)
BY_ID = (
    ByIdStatus(
        ByIdRow(OLD, THEIRS, Role.OTHER_STACK, None, Mark("books", LEDGER), NOW, CURRENT, (), window=Window(NOW, END)),
        Urgency.DUE,
        (BoundAt(ELSE, Standing.IN_PLACE, OLD),),
    ),
    ByIdStatus(
        ByIdRow(NEW, None, Role.UNKNOWN, None, None, None, None, (), Window(None, None)), Urgency.UNREADABLE, ()
    ),
)
USES = (Use(CURRENT, BILLING, Role.CURRENT, DB), Use(FORMER, BILLING, Role.SUPERSEDED, SHOP))
STATUS = Status(
    "payments",
    STORE,
    NOW,
    (
        CertificateStatus(
            BILLING,
            Urgency.DUE,
            CURRENT,
            Due(BILLING, END, NOW),
            "team-payments",
            (BoundAt(BOUND, Standing.IN_PLACE, NEW), BoundAt(STAGED, Standing.MISSING, None)),
            (KeptEntry(GRACE),),
        ),
        CertificateStatus(LEDGER, Urgency.UNREADABLE, None, None, None, (), ()),
    ),
    (KEPT,),
    {Action.UPLOAD: 1, Action.BIND: 0},
    FINDINGS,
    by_id=BY_ID,
    uses=USES,
    live=LIVE,
    not_checked=(NotChecked(Area.OTHER_USERS),),
)
EXPLANATION = Explanation(
    "billing",
    (NameKind.CERTIFICATE, NameKind.ENTRY),
    (
        CertificateStory(
            BILLING,
            "certs/billing.pem",
            False,
            "team-payments",
            DIGEST,
            LATER_DIGEST,
            Due(BILLING, END, NOW),
            CURRENT,
            True,
            Preference.BOUND,
            Action.UPLOAD,
            "is uploaded",
            "it is not in the store",
            True,
            "it is uploaded",
            (LEDGER,),
            "https://billing.example",
            (Gate.UPLOAD, Gate.RETIRE),
            (DB,),
        ),
        CertificateStory(
            *(LEDGER, "certs/ledger.pem", True, None, None, None, None, None, False, None, None),
            *("nothing", "its file is bad", False, "a CA has no private key", ()),
        ),
    ),
    (
        BindingStory(BOUND, ByCertificate(BILLING), OLD, NEW, Action.REBIND, "is rebound", "its id is old", FINDINGS),
        BindingStory(STAGED, ById(OLD), None, None, None, "stays", "nothing is planned"),
    ),
    (
        EntryStory(
            *(OLD, FORMER, Role.SUPERSEDED, BILLING, "stays", "it waits"),
            (
                Judged(Condition.GRACE, False, until=ODD),
                Judged(Condition.BOUND_IN_FILE, None),
                Judged(
                    Condition.PRESENTED_LIVE,
                    False,
                    {"script": "a", "version": "b", "share": "1", "others": ""},
                    hint="c",
                ),
            ),
            NOW,
            *("payments", NOW, NEW, (SHOP,)),
        ),
        EntryStory(NEW, None, Role.UNKNOWN, None, "nothing is planned", "the store does not know it"),
    ),
    FINDINGS,
    (NotChecked(Area.LIVE_WORKERS),),
)
DRIFT = Drift(
    "payments",
    STORE,
    NOW,
    4,
    (
        DriftFinding(
            State.CHANGED,
            DriftSubject.BINDING,
            "binding:a:b",
            "BILLING is another",
            "run `mtlsctl apply` to fix it",
            Pointer(CONFIG, ("mtls_certificates", 0)),
            BILLING,
            STAGED,
            NEW,
            OLD,
            (Reason.WRONG_ID,),
            ("live:a",),
            apply=True,
        ),
        DriftFinding(
            State.UNEXPECTED, DriftSubject.ENVIRONMENT, "environment:a", "it is new", "declare it", at=STAGING
        ),
        DriftFinding(State.MISSING, DriftSubject.CERTIFICATE, "certificate:ledger", "it is gone", "upload it"),
        DriftFinding(
            *(State.SHARED, DriftSubject.KEY, "key:a", "one key", "reissue"), entries=(NEW, OLD), code=Code.KEY_SHARED
        ),
    ),
    FINDINGS,
    not_checked=(NotChecked(Area.LIVE_WORKERS), NotChecked(Area.UNUSED)),
)
FORECAST = Forecast(
    stack="payments",
    store=STORE,
    made=NOW,
    until=NOW + 120 * DAY,
    calendar=(
        DueItem(
            *(BILLING, Urgency.DUE, NOW, END, "team-payments", CURRENT),
            (BoundAt(BOUND, Standing.IN_PLACE, NEW), BoundAt(STAGED, Standing.MISSING, None)),
        ),
        DueItem(BILLING, Urgency.LATER, END, ODD, None, None, (), again=True),
    ),
    later=3,
    upcoming=None,
    unreadable=(LEDGER,),
    steps=(
        EntryStep(NOW, Event.RENEWAL, BILLING, False, 2001),
        EntryStep(ODD, Event.RETIRE, LEDGER, True, 1, again=True),
    ),
    leaf=Outlook(2000, 9, 2001, NOW, 10, EntryStep(NOW, Event.RENEWAL, BILLING, False, 2001)),
    ca=Outlook(5, 1, 1, ODD, 1, None),
    assumptions=("nobody uploads anything else",),
    findings=(WARNING,),
    diagnostics=(ERROR,),
    by_id=BY_ID,
    uses=USES[:1],
    not_checked=(NotChecked(Area.LIVE_WORKERS),),
    begins=(Begin(BILLING, ODD, (BOUND, STAGED)),),
)
METRICS = Metrics((Family("findings", "Findings of this look.", (Sample((("stack", "payments"),), 2),)),))
VALIDATION, CHECKUP, FAILURE = Validation(FINDINGS), Checkup(FINDINGS), RunFailure(FINDINGS)
STALE = RunFailure(
    (Diagnostic(Severity.ERROR, Code.STALE_PLAN, "the plan found now has other changes", hint="make a new plan"),),
    Differences(
        (
            PlanDifference(
                difference=Comparison.DIFFERENT,
                action="upload",
                what="upload billing",
                certificate="billing",
                fields=(
                    FieldDifference("content_digest", DIGEST, LATER_DIGEST),
                    FieldDifference("not_after", "2027-10-24T12:00:00Z", "2027-12-24T12:00:00Z"),
                    FieldDifference("subject_alternative_names", None, "DNS:\x1b[2J ##[x].example"),
                ),
            ),
            PlanDifference(
                difference=Comparison.ADDED,
                action="bind",
                what=f"bind BILLING in {CONFIG} (staging)",
                certificate="billing",
                worker="checkout",
                config=CONFIG,
                environment="staging",
                binding="BILLING",
            ),
            PlanDifference(
                difference=Comparison.GONE,
                action="retire",
                what=f"retire {OLD} of billing",
                certificate="billing",
                entry=OLD,
                detail="it waits: its grace period is not over",
            ),
        ),
        12,
    ),
)
CURRENT_ENTRY = Current(BILLING, CURRENT, LATER_DIGEST, DIGEST, END)

# --- proofs ---------------------------------------------------------------------------------------------------------

ASKED = CertificateRequest((b"0\x000\x00", b"no name"), (0x0403, 0x1234))
SEEN = Seen(
    Observation(
        Shown.OURS,
        End.ANSWERED,
        moment=Moment.AFTER,
        tls_version="TLSv1.3",
        request=ASKED,
        sent=True,
        presented=(b"leaf", b"issuer"),
        status=200,
        page=NginxPage.NO_CERTIFICATE,
        cf_ray=True,
    ),
    Observation(Shown.NONE, End.ALERT, "an alert", Moment.DURING, "TLSv1.2", alert="certificate_required"),
    None,
    Observation(Shown.OURS, End.CLOSED, observable=False, asked_late=True),
)
VERIFICATION = Verification(
    "payments",
    NOW,
    frozenset({Level.RUNTIME, Level.FILES}),
    (
        CertificateProof(
            BILLING,
            LATER_DIGEST,
            END,
            Origin("https://billing.example"),
            (
                LevelResult(Level.FILES, Verdict.PROVED, "usable", "it is fit", findings=(WARNING,)),
                LevelResult(
                    *(Level.WRANGLER, Verdict.REFUTED, "wrong-id", "it is another", "run apply"),
                    dry_runs=(
                        DryRun("checkout", CONFIG, None, "BILLING", OLD, NEW),
                        DryRun("checkout", CONFIG, "staging", "BILLING", None, None),
                    ),
                ),
                LevelResult(Level.ORIGIN, Verdict.PROVED, "accepted", "it is accepted", seen=SEEN),
                LevelResult(
                    *(Level.RUNTIME, Verdict.INCONCLUSIVE, "rejected", "it was refused", None),
                    reach=Reach(Reached.REJECTED, "no", 400, "bad_certificate", True),
                ),
            ),
        ),
        CertificateProof(
            LEDGER,
            None,
            None,
            None,
            (LevelResult(Level.FILES, Verdict.SKIPPED, "skipped", "no key", "give one", skipped=Skip.NO_KEY),),
        ),
    ),
    FINDINGS,
)

# --- history --------------------------------------------------------------------------------------------------------

_REBOUND = ChangeSummary(
    action=Action.REBIND,
    phase=Phase.BIND,
    certificate=BILLING,
    content_digest=DIGEST,
    worker=CHECKOUT,
    config=CONFIG,
    environment="staging",
    binding="BILLING",
    before=OLD,
    after=NEW,
)
_UPLOADED = ChangeSummary(action=Action.UPLOAD, phase=Phase.UPLOAD, certificate=BILLING, content_digest=DIGEST)
_PROVED = ChangeSummary(action=Action.VERIFY, phase=Phase.VERIFY, certificate=BILLING, origin="https://b.example")


_PIPELINE = Actor(
    user="runner",
    host="fv-az1",
    forge="github",
    login="octocat",
    run_url="https://github.example/acme/shop/actions/runs/7/attempts/1",
    commit="0123456789abcdef" * 2 + "01234567",
    ref="refs/heads/main",
)


def _started(run: str, actor: Actor | None = None) -> RunStarted:
    start = RunStarted(run=run, time=NOW, command="apply", version="1.2.3", stack="payments", plan_digest="", pid=7)
    return start.model_copy(update={"plan_digest": f"sha256:{DIGEST}", "actor": actor})


HISTORY: HistoryDocument = history_document(
    JournalRead(
        (
            _started("run-1"),
            _started("run-2", _PIPELINE),
            StepStarted(run="run-2", time=NOW, change=_UPLOADED),
            StepFinished(
                run="run-2", time=ODD, change=_UPLOADED, status=StepStatus.DONE, entry=NEW, note="found again"
            ),
            StepStarted(run="run-2", time=NOW, change=_REBOUND),
            StepFinished(
                run="run-2",
                time=NOW,
                change=_REBOUND,
                status=StepStatus.FAILED,
                problem=ProblemSummary(code="file", message="no"),
            ),
            RunFinished(run="run-2", time=ODD, exit_code=5, interrupted=False),
            _started("run-3", Actor(user="anna", host="laptop")),
            StepStarted(run="run-3", time=NOW, change=_PROVED),
        ),
        torn=1,
        unknown=2,
    ),
    limit=2,
    since=NOW - DAY,
)

# --- the answer to a deploy -----------------------------------------------------------------------------------------


def _guarded(binding: str, found: str, problem: Diagnostic | None = None) -> GuardedBinding:
    at = BindingAddress(CHECKOUT, CONFIG, None, BindingName(binding))
    there = FoundBinding(binding, found, 0)
    declared = DeclaredBinding(at.binding, ByCertificate(BILLING))
    row = BindingRow(at, (), declared, there, None, BILLING, CURRENT.id, UpToDate())
    verdict = GuardVerdict.STOPPED if problem is not None else GuardVerdict.OK
    return GuardedBinding(row, verdict, problem)


_STOP = Diagnostic(
    Severity.ERROR,
    Code.GUARD_OLDER,
    f"BILLING in {CONFIG} (top level) uses {OLD}, but {CURRENT.id} was uploaded later",
    Pointer(CONFIG, ("mtls_certificates", 0, "certificate_id")),
    "update this branch",
    BILLING,
)
GUARD = Guard(
    NOW,
    GuardScope(frozenset({CONFIG}), "staging"),
    store=STORE,
    bindings=(_guarded("BILLING", OLD, _STOP), _guarded("LEDGER", CURRENT.id)),
    others=1,
    diagnostics=(_STOP,),
)
GUARD_PASSED = Guard(NOW, GuardScope(frozenset({CONFIG})), store=STORE, bindings=(_guarded("LEDGER", CURRENT.id),))

# --- renewals -------------------------------------------------------------------------------------------------------

SUCCESSOR = parse_stored(
    """\
-----BEGIN CERTIFICATE-----
MIIBZDCCAQugAwIBAgICXu0wCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJR29sZGVu
IENBMB4XDTI2MTEwMTAwMDAwMFoXDTI3MDIwMTAwMDAwMFowETEPMA0GA1UEAwwG
Z29sZGVuMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYW1gW/x7yH4V1XVZVPF1
YsRawMlwdWuXLIBu4TZBJ/0oRyuvpJzqVOFenVybsn9Y29r1kSJMWkNswBd0BGOX
Q6NQME4wDAYDVR0TAQH/BAIwADAOBgNVHQ8BAf8EBAMCB4AwEwYDVR0lBAwwCgYI
KwYBBQUHAwIwGQYDVR0RBBIwEIIOZ29sZGVuLmV4YW1wbGUwCgYIKoZIzj0EAwID
RwAwRAIgEe33F78+UxdbgCFh6ee1CVqdwuXIy8T8US/ctrh9ilcCIEp/fNM00wCD
+cu2KLPc7weASf1aQApY9lh6meJ7Scft
-----END CERTIFICATE-----
"""
)
_RENEWAL = Renewal("internal", SopsSink("secrets/mtls"))
_RENEWED = Renewable(
    DeclaredCertificate(BILLING, "certs/billing.pem", owner="team-payments", renew=_RENEWAL),
    RenewReason.DUE,
    _BUNDLE,
    Due(BILLING, NOW + 7 * DAY, NOW - DAY),
)
_FIRST = Renewable(DeclaredCertificate(LEDGER, "certs/ledger.pem", renew=_RENEWAL), RenewReason.MISSING, None)
_TWICE = Diagnostic(
    *(Severity.WARNING, Code.ISSUED_TWICE, "a certificate of 'billing' may have been issued by an earlier run"),
    *(Pointer("mtls.toml", ("certificates", BILLING, "renew")), "revoke it", BILLING),
)
_REFUSED = Diagnostic(Severity.ERROR, Code.ISSUER, "the issuer is \x1b[2J down ##[x]", None, "run again", LEDGER)
RENEWALS = Renewals(
    "payments",
    NOW,
    (
        RenewStep(_RENEWED, RenewStatus.RENEWED, SUCCESSOR, f"0002-{DIGEST}", True, (_TWICE,)),
        RenewStep(_FIRST, RenewStatus.FAILED, problems=(_REFUSED,)),
        RenewStep(_FIRST, RenewStatus.NOT_STARTED),
    ),
    (Due(CertificateName("partner"), NOW + DAY, NOW - DAY),),
)

# --- what is taken over ---------------------------------------------------------------------------------------------

PROPOSAL = Proposal(
    "payments",
    STORE,
    (
        ProposedCertificate(BILLING, "certs/billing.pem", CURRENT, supersedes=(OLD,)),
        ProposedCertificate(
            CertificateName("root"), "certs/root.pem", Entry(OLD, "root", ca=True, certificates=PEM), ca=True
        ),
        ProposedCertificate(LEDGER, "certs/ledger.pem", FORMER),
    ),
    (
        ProposedWorker(
            CHECKOUT,
            CONFIG,
            (
                ProposedEnvironment(None, (ProposedBinding(BindingName("BILLING"), ByCertificate(BILLING)),)),
                ProposedEnvironment("staging", (ProposedBinding(BindingName("A"), ById(OLD), "managed elsewhere"),)),
            ),
        ),
    ),
    others=("an entry without a certificate",),
)
ADOPTION = Adoption(
    *("mtls.toml", True, True, "payments", STORE, ("mtls.toml", "certs/billing.pem"), PROPOSAL, FINDINGS, PLAN),
    to_commit=("mtls.toml", "certs/billing.pem"),
)

RECORDING = Recording(
    PlanInputs(
        desired=DECLARED.desired,
        actual=Actual({}, Listing((CURRENT,)), asked={OLD: None}),
        now=NOW,
        findings=FINDINGS,
        commit="0123abc",
    ),
    places={Pointer("mtls.toml", ("certificates", "billing")): Place("mtls.toml", 3, 1)},
    version="0.1.0",
)

# --- the log of a run -----------------------------------------------------------------------------------------------

LOG_LINE = LogLine(
    NOW,
    CallMade(
        *("GET", "/accounts/{account_id}/mtls_certificates", 45.4, 200, "once more", 2, "8f2b1c0011223344-FRA"),
        *(1199, 1200),
    ),
)

# --- several stacks -------------------------------------------------------------------------------------------------

STACKS = join(
    "plan",
    (
        StackResult("apps/a/mtls.toml", "payments", PLAN, ExitCode.OK, place),
        StackResult("apps/b/mtls.toml", None, FAILURE, ExitCode.FAILED, place),
        StackResult("apps/c/mtls.toml", "c", METRICS, ExitCode.OK, place),
    ),
)

FLEET_LIST = FleetList(
    "acme",
    (
        FleetStack("apps/shop/mtls.toml", "shop", ACCOUNT, "eu", "prod", ("prod",), Act.RETIRE, timedelta(hours=1)),
        FleetStack(
            *("apps/bad/mtls.toml", None, None, None, "prod", (), Act.NONE, timedelta(minutes=90)),
            problem="`stack` is missing",
        ),
    ),
    (
        Diagnostic(
            Severity.ERROR, Code.FLEET_FILES, "'gone/*' matches no file", Pointer("fleet.toml", ("stacks", 0)), "fix"
        ),
    ),
)

_LOOK = Look(NOW, LookState.CHANGES, {Action.UPLOAD: 1, Action.REBIND: 2}, 3, END, "sha256:" + "0" * 64)
_FAILED = Look(NOW - timedelta(minutes=5), LookState.FAILED, message="the API refused the token")
_PAUSE = Pause(END, "an audit")
_FLEET_STATUS = make_fleet_status(
    replace(
        FLEET_LIST,
        stacks=(
            *FLEET_LIST.stacks,
            FleetStack("apps/pay/mtls.toml", "pay", ACCOUNT, "eu", "prod", (), Act.NONE, timedelta(hours=1)),
            FleetStack("apps/new/mtls.toml", "new", ACCOUNT, "eu", "prod", (), Act.NONE, timedelta(hours=1)),
        ),
    ),
    (
        StackRow(
            *(ACCOUNT, "shop", "apps/shop/mtls.toml", _LOOK, NOW),
            Acted(NOW, Act.RETIRE, ActState.PROPOSED, {Action.RETIRE: 1}, "a note", "https://forge.example/pull/1"),
        ),
        StackRow(ACCOUNT, "pay", "apps/pay/mtls.toml", _FAILED, NOW - timedelta(days=1)),
    ),
    ((StackRow(ACCOUNT, "left", "apps/left/mtls.toml", Look(NOW - timedelta(days=3), LookState.OK), NOW), VANISHED),),
    lambda _: "eu",
    NOW + timedelta(minutes=3),
    {(ACCOUNT, "shop"): _PAUSE},
)
FLEET_STATUS = replace(
    _FLEET_STATUS,
    queue=Queue(
        3,
        2,
        5,
        12.5,
        stalled=1,
        lost=4,
        longest_act_s=42.5,
        budgets={"platform-bot": 1040},
        waits={"platform-bot": 7.5},
    ),
)

FLEET_HISTORY = FleetHistory(
    *("acme", "shop", ACCOUNT, "eu", "apps/shop/mtls.toml"),
    runs=(
        RecordedJob("act", f"{ACCOUNT}/shop", "host-1", NOW, None, None, ""),
        RecordedJob(
            *("look", f"{ACCOUNT}/prod", "host-2", NOW - timedelta(hours=1), NOW - timedelta(minutes=59), "changes"),
            message="pay: the API refused the token\nshop: 1 upload; not done: paused until 2027-01-01",
        ),
    ),
    pause=_PAUSE,
    message="it was not checked for two intervals",
)

REPORTS: tuple[object, ...] = (
    *(PLAN, OFFLINE, SAVED_PLAN, APPLIED, STATUS, METRICS, EXPLANATION, CURRENT_ENTRY, DRIFT, FORECAST),
    *(
        VERIFICATION,
        HISTORY,
        GUARD,
        RENEWALS,
        ADOPTION,
        PROPOSAL,
        VALIDATION,
        CHECKUP,
        FAILURE,
        STALE,
        Code.QUOTA,
        Condition.GRACE,
        LOG_LINE,
        STACKS,
        RECORDING,
        FLEET_LIST,
        FLEET_STATUS,
        FLEET_HISTORY,
    ),
)


def sealed(document: dict[str, Any]) -> str:
    """A plan with the hash that fits it, which anybody can compute."""
    read = PlanDocument.model_validate_json(json.dumps(document))
    return json.dumps({**document, "content_hash": content_hash(read)})
