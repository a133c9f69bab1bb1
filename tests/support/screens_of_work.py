"""Reports of work that was done, with long names and whole IDs: outcomes, the history, proofs, checks, an adoption."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.model import (
    Action,
    BindingAddress,
    BindingChange,
    BindingName,
    CertificateName,
    Condition,
    Entry,
    EntryId,
    Origin,
    Reason,
    Retire,
    SiteAddress,
    Upload,
    Waiting,
    WorkerLabel,
)
from reconciler.plan.outcome import Outcome, Step, StepStatus
from reconciler.plan.renewing import Renewals, RenewStatus
from reconciler.proof.levels import CertificateProof, Level, LevelResult, Skip, Verification
from reconciler.proof.verdicts import ProofStatus
from reconciler.records.history import HistoryDocument, HistoryRun, HistoryStep, RunEnd, StepEnd
from reconciler.records.journal import Actor, ChangeSummary, ProblemSummary
from reconciler.reports.checks import Checkup, Validation
from reconciler.reports.left import Applied, ToDeploy
from tests.support import reports
from tests.support.pki import DAY, END, NOW

LONG = CertificateName("partner-gateway-production-with-a-very-long-name")
ENVIRONMENT = "production-europe-with-a-name-as-long-as-allowed"
assert len(LONG) == len(ENVIRONMENT) == 48
SHORT = CertificateName("ledger")
OLD, OLDER, NEW = (EntryId(f"{first}-33a1-4f7e-9f5c-3d2b1a0c9e8d") for first in ("28b52d48", "838979d6", "a34bc2fe"))
CONFIG = "workers/partner-gateway/wrangler.jsonc"


def _upload(name: str) -> Upload:
    return Upload(CertificateName(name), "ab" * 32, f"mono.{name}.{'ab' * 6}", (Reason.MISSING,))


def _rebind(name: str, environment: str | None = None) -> BindingChange:
    at = BindingAddress(WorkerLabel("partner-gw"), CONFIG, environment, BindingName(name.upper().replace("-", "_")))
    return BindingChange(Action.REBIND, at, (Reason.CONTENT_CHANGED,), CertificateName(name), before=OLD)


def _retire(entry: EntryId) -> Retire:
    return Retire(Entry(entry, f"mono.{LONG}.{'cd' * 6}", uploaded_on=NOW), LONG, "cd" * 32, (Reason.SUPERSEDED,))


NO_KEY = Diagnostic(
    Severity.ERROR,
    Code.KEY_MISSING,
    "the private key of 'ledger' is missing: the environment variable LEDGER_KEY is not set",
    Pointer("mtls.toml", ("certificates", "ledger", "private_key")),
    "set LEDGER_KEY to the private key in PEM, or name another source in `private_key`",
)
READABLE = Diagnostic(
    Severity.WARNING,
    Code.KEY_READABLE,
    f"certs/{LONG}.key can be read by other users of this machine",
    Pointer("mtls.toml", ("certificates", LONG, "private_key")),
    f"run `chmod 600 certs/{LONG}.key`",
)
IN_USE = Waiting(_retire(OLDER), Condition.IN_USE, "Cloudflare reports that it is still in use", None)
GRACE = Waiting(_retire(OLD), Condition.GRACE, "7 days of grace after the upload", NOW + 7 * DAY)

DONE = (Step(_upload(LONG), StepStatus.DONE, NEW), Step(_rebind(LONG, ENVIRONMENT), StepStatus.DONE, NEW))
PLAN = replace(reports.PLAN, stack="mono", waiting=(GRACE,), diagnostics=())
TO_DEPLOY = (
    ToDeploy(SiteAddress(WorkerLabel("partner-gw"), CONFIG, ENVIRONMENT), "partner-gw-production"),
    ToDeploy(SiteAddress(WorkerLabel("payouts"), "workers/payouts/wrangler.jsonc", None), "payouts"),
)
FAILED = (
    *DONE,
    Step(_upload(SHORT), StepStatus.FAILED, problem=NO_KEY),
    Step(_rebind(SHORT), StepStatus.NOT_STARTED, note="the upload of 'ledger' failed"),
    Step(_retire(OLDER), StepStatus.WAITING, waiting=IN_USE),
)
INTERRUPTED = (
    *DONE,
    *(
        Step(_upload(f"partner-{number}"), StepStatus.NOT_STARTED, note="the run was interrupted")
        for number in range(1000)
    ),
    Step(
        _upload(SHORT),
        StepStatus.UNFINISHED,
        note="it was in progress when the run was interrupted; the next run checks its result",
    ),
)


def _history() -> Iterator[HistoryRun]:
    upload = ChangeSummary(action=Action.UPLOAD, phase=_upload(LONG).phase, certificate=LONG)
    rebind = ChangeSummary(
        action=Action.REBIND,
        phase=_rebind(LONG).phase,
        certificate=LONG,
        worker="partner-gw",
        config=CONFIG,
        environment=ENVIRONMENT,
        binding=LONG.upper().replace("-", "_"),
        before=OLD,
    )
    retire = ChangeSummary(action=Action.RETIRE, phase=_retire(OLD).phase, certificate=LONG, before=OLD)
    done = [HistoryStep(change=upload, status=StepEnd.DONE, entry=NEW)] * 999
    run = HistoryRun(
        run="run-3",
        command="apply",
        version="1.0",
        stack="mono",
        plan_digest="sha256:00",
        pid=4711,
        actor=Actor(
            user="runner",
            host="fv-az1",
            forge="github",
            login="octocat",
            run_url="https://github.example/a-long-organization/a-repository/actions/runs/12345678901/attempts/1",
            commit="0123456789abcdef" * 2 + "01234567",
            ref="refs/heads/renew-all-certificates-of-production",
        ),
        started=NOW,
        finished=NOW,
        ended=RunEnd.PARTIAL,
        exit_code=5,
        steps=(
            *done,
            HistoryStep(
                change=rebind,
                status=StepEnd.FAILED,
                problem=ProblemSummary(code="file-changed", message=f"{CONFIG} was changed by another program"),
            ),
        ),
    )
    yield run
    anna = Actor(user="anna", host="laptop")
    steps = (HistoryStep(change=retire, status=StepEnd.DONE, entry=OLD),)
    yield run.model_copy(
        update={"ended": RunEnd.DONE, "exit_code": 0, "steps": steps, "started": NOW - DAY, "actor": anna}
    )
    steps = (HistoryStep(change=rebind, status=StepEnd.UNFINISHED),)
    yield run.model_copy(update={"ended": RunEnd.UNFINISHED, "exit_code": None, "steps": steps, "started": NOW - DAY})


HISTORY = HistoryDocument(runs=tuple(_history()), more=3, torn=1, unknown=0)

_FILES = LevelResult(
    Level.FILES,
    ProofStatus.PROVED,
    "in-order",
    "the certificate and key are a valid client identity, and the chain leads to a CA of certs/clients.pem",
)
_ORIGIN = LevelResult(
    Level.ORIGIN,
    ProofStatus.REFUTED,
    "rejected",
    "the origin refused this certificate with the alert unknown_ca, as it refuses a throw-away one",
    "have the origin trust the issuer of this certificate, CN=Partner Client CA 2026",
)
_SKIPPED = LevelResult(
    Level.RUNTIME, ProofStatus.SKIPPED, "skipped", "mtls.toml has no `verify` for it", skipped=Skip.NOT_DECLARED
)
_URL = Origin("https://gateway.partner.example:8443/health")
GOOD = CertificateProof(LONG, "ab" * 32, END, _URL, (_FILES, _SKIPPED))
BAD = CertificateProof(SHORT, "cd" * 32, END, _URL, (_FILES, _ORIGIN, _SKIPPED))

CHECKS = (
    *(
        Diagnostic(Severity.INFO, code, message)
        for code, message in (
            (Code.DESIRED_STATE, "mtls.toml, in the git repository /home/someone/projects/mono"),
            (Code.STORE, "SQLite 3.46.1; .mtlsctl/store.db is intact, with 9 certificates"),
        )
    ),
    Diagnostic(Severity.INFO, Code.KEY_NOT_CHECKED, "the key of 'ledger' was not checked", None, "set LEDGER_KEY"),
    READABLE,
)

FOUND = (NO_KEY, READABLE, *reports.FINDINGS)
WORK: Mapping[str, object] = {
    "outcome-done": Applied(Outcome(replace(PLAN, commit="0123456789abcdef"), DONE), TO_DEPLOY),
    "outcome-failed": Applied(Outcome(PLAN, FAILED, (READABLE,)), TO_DEPLOY[1:], ("mtlsctl", "apply", "--only", LONG)),
    "outcome-interrupted": Applied(Outcome(PLAN, INTERRUPTED, interrupted=True)),
    "history": HISTORY,
    "guard": reports.GUARD,
    "renew": reports.RENEWALS,
    "renew-dry-run": Renewals(
        "payments",
        NOW,
        tuple(
            replace(one, status=RenewStatus.PLANNED, after=None, continued=False, findings=(), problems=())
            for one in reports.RENEWALS.steps[:2]
        ),
        dry_run=True,
    ),
    "guard-passed": reports.GUARD_PASSED,
    "stale-plan": reports.STALE,
    "verify": Verification("mono", NOW, frozenset(), (GOOD, BAD, replace(GOOD, certificate=CertificateName("a")))),
    "verify-one": replace(reports.VERIFICATION, certificates=reports.VERIFICATION.certificates[:1]),
    "init": replace(reports.ADOPTION, findings=(READABLE,)),
    "doctor": Checkup(CHECKS),
    "validate": Validation((NO_KEY, READABLE), ("mtlsctl", "validate")),
}
