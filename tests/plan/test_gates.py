"""Gates: what has to be proved at an origin before something is done, in the plan, in a saved one, and in a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.apply import ALL_PHASES, World, apply_plan
from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import FileError, GuardError, KeySourceError, StalePlanError
from reconciler.findings.exits import ExitCode
from reconciler.model import (
    BindingChange,
    CertificateName,
    Change,
    Condition,
    DeclaredCertificate,
    Desired,
    EntryId,
    Gate,
    KeyReference,
    Origin,
    Phase,
    Policy,
    Retire,
    StoreSettings,
    Upload,
    Verify,
)
from reconciler.model.ownership import mark_name
from reconciler.model.ports import NewEntry, PrivateKey
from reconciler.plan.approval import approve
from reconciler.plan.outcome import Outcome, Step, StepStatus
from reconciler.plan.plan import Plan
from reconciler.plan.retire import keep
from reconciler.proof.levels import Level, LevelResult
from reconciler.proof.observations import End, Observation, Seen, Shown
from reconciler.proof.ports import ClientIdentity
from reconciler.proof.proofs import Proof
from reconciler.proof.verdicts import Judgement, ProofStatus, Verdict
from reconciler.records.base import to_json
from reconciler.records.plan import plan_document
from reconciler.records.saved_plan import read_plan
from reconciler.reports.explain import explain
from reconciler.views.text.explain import render_explanation
from reconciler.views.text.plan import render_plan
from reconciler.views.text.style import PLAIN
from reconciler.wrangler.read import read_wrangler
from tests.support.memory import MemoryClock, MemoryFiles, NoDeployer, open_in_memory
from tests.support.pki import NOW
from tests.support.worlds import CONFIG, actual, bundle, certificate, desired, entry, file, issued, plan_of, uid, worker

UPLOAD, BIND, RETIRE = (frozenset({gate}) for gate in Gate)
BOTH = UPLOAD | RETIRE
URL = "https://billing.example/health"


def gated(name: str, before: frozenset[Gate] | None = None, url: str = URL, **settings: object) -> DeclaredCertificate:
    """A certificate with an origin."""
    return certificate(name, verify=Origin(url), verify_before=before, **settings)


def wanted(
    *declared: DeclaredCertificate, contents: dict[str, int] | None = None, policy: frozenset[Gate] = frozenset()
) -> Desired:
    """Certificates with contents 1, 2, ... of which billing is bound."""
    numbers = contents or {item.name: number for number, item in enumerate(declared, 1)}
    bound = worker(tables={None: {"BILLING": "billing"}})
    return desired(numbers, [bound], declared=declared, policy=Policy(verify_before=policy))


def fresh(want: Desired) -> Plan:
    """The plan where nothing is stored."""
    return plan_of(want, actual([], {"checkout": file({None: {}})}))


def rotated(want: Desired) -> Plan:
    """The plan where billing has content 1 as the current entry, bound, and an old one whose grace is over."""
    stored = [entry(1, 1, "@billing", age=30), entry(2, 9, "@billing", age=60)]
    return plan_of(want, actual(stored, {"checkout": file({None: {"BILLING": uid(1)}})}))


def shape(plan: Plan) -> list[str]:
    """The changes in order."""
    return [f"{change.action} {change.certificate}" for change in plan.changes]


# --- the plan -------------------------------------------------------------------------------------------------------


def test_a_proof_stands_before_the_upload_that_needs_it() -> None:
    """It is shown first, and made first."""
    plan = fresh(wanted(gated("billing", UPLOAD), certificate("ledger")))
    assert shape(plan) == ["verify billing", "upload billing", "upload ledger", "bind billing"]
    text = render_plan(plan, PLAIN)
    assert f"\n  billing  new\n    * prove   at {URL}, before the upload, needs $" in text
    assert text.index("* prove") < text.index("+ upload") < text.index("+ checkout")
    assert plan.summary[plan.changes[0].action] == 1


def test_a_proof_stands_before_the_retire_that_needs_it() -> None:
    """It is the current certificate that is proved, not the one that goes."""
    plan = rotated(wanted(gated("billing", RETIRE)))
    assert shape(plan) == ["verify billing", "retire billing"]
    proof, retire = plan.changes
    assert isinstance(proof, Verify)
    assert isinstance(retire, Retire)
    assert (proof.digest, retire.digest) == (bundle(1).digest, bundle(9).digest)
    assert proof.reasons == ("before-retire",)


@pytest.mark.parametrize(
    ("policy", "own", "uploads", "retires"),
    [
        (frozenset(), None, False, False),
        (BOTH, None, True, True),
        (UPLOAD, None, True, False),
        (RETIRE, None, False, True),
        (BOTH, frozenset(), False, False),
        (frozenset(), BOTH, True, True),
        (UPLOAD, RETIRE, False, True),
    ],
)
def test_a_certificate_has_its_own_gates_or_those_of_the_policy(
    policy: frozenset[Gate], own: frozenset[Gate] | None, uploads: bool, retires: bool
) -> None:
    """What it says itself wins, and an empty list says that it has none."""
    want = wanted(gated("billing", own), policy=policy)
    assert ("verify billing" in shape(fresh(want))) is uploads
    assert ("verify billing" in shape(rotated(want))) is retires


def test_what_is_not_uploaded_needs_no_proof() -> None:
    """A certificate that is stored already, a CA, and one that does not fit into the account."""
    assert (
        shape(
            plan_of(
                wanted(gated("billing", BOTH)),
                actual([entry(1, 1, "@billing")], {"checkout": file({None: {"BILLING": uid(1)}})}),
            )
        )
        == []
    )
    ca = certificate("ca", ca=True, key=None)
    assert "verify ca" not in shape(fresh(wanted(certificate("billing"), ca, policy=frozenset())))
    full = replace(wanted(gated("billing", UPLOAD)).declaration.store, limit=0)
    want = wanted(gated("billing", UPLOAD))
    assert shape(fresh(replace(want, declaration=replace(want.declaration, store=full)))) == []


def test_each_certificate_that_shares_an_upload_is_proved_at_its_own_origin() -> None:
    """One content, two origins: both have to accept it."""
    other = gated("other", UPLOAD, "https://other.example/")
    plan = fresh(wanted(gated("billing", UPLOAD), other, contents={"billing": 1, "other": 1}))
    assert shape(plan)[:3] == ["verify billing", "verify other", "upload billing"]
    (first, second) = (change for change in plan.changes if isinstance(change, Verify))
    assert (first.origin, second.origin) == (URL, "https://other.example/")


def test_a_proof_at_the_edge_stands_between_the_upload_and_its_binding() -> None:
    """It proves what is uploaded, so it needs no key."""
    plan = fresh(wanted(gated("billing", BIND), certificate("ledger")))
    assert shape(plan) == ["upload billing", "upload ledger", "verify billing", "bind billing"]
    assert plan.changes[2].reasons == ("before-bind",)
    text = render_plan(plan, PLAIN)
    assert f"\n    * prove   at {URL}, from Cloudflare's edge, before it is bound\n" in text
    assert text.index("+ upload") < text.index("* prove") < text.index("+ checkout")
    stored = plan_of(wanted(gated("billing", BIND)), actual([entry(1, 1, "@billing")], {"checkout": file({None: {}})}))
    assert shape(stored) == ["verify billing", "bind billing"]
    assert stored.keys == ()


@pytest.mark.parametrize(("bound", "remote"), [({"BILLING": uid(1), "OLD": uid(2)}, None), ({"BILLING": uid(1)}, True)])
def test_a_binding_that_gets_no_other_certificate_needs_no_proof(bound: dict[str, str], remote: bool | None) -> None:
    """One is removed, or only `remote` changes: nothing new comes into use."""
    declared = worker(tables={None: {"BILLING": "billing"}})
    (binding,) = declared.environments[None]
    declared = replace(declared, environments={**declared.environments, None: (replace(binding, remote=remote),)})
    want = desired({"billing": 1}, [declared], declared=[gated("billing", BIND)])
    stored = [entry(1, 1, "@billing"), entry(2, 9, "@billing", age=60)]
    plan = plan_of(want, actual(stored, {"checkout": file({None: bound})}))
    assert "verify billing" not in shape(plan)
    assert [change for change in plan.changes if isinstance(change, BindingChange)]


# --- digests and saved plans ----------------------------------------------------------------------------------------


def test_a_proof_is_part_of_what_is_approved() -> None:
    """Where it is made, and before what, count; so a plan with a gate is another plan."""
    plans = [
        fresh(wanted(gated("billing"))),
        fresh(wanted(gated("billing", UPLOAD))),
        fresh(wanted(gated("billing", UPLOAD, "https://other.example/"))),
        fresh(wanted(gated("billing", BIND))),
        rotated(wanted(gated("billing"))),
        rotated(wanted(gated("billing", RETIRE))),
    ]
    assert len({plan.digest for plan in plans}) == len(plans)


@pytest.mark.parametrize("make", [fresh, rotated])
def test_a_saved_plan_keeps_its_proofs(make: Callable[[Desired], Plan]) -> None:
    """Written and read back it is the same."""
    plan = make(wanted(gated("billing", frozenset(Gate))))
    saved = read_plan(to_json(plan_document(plan, lambda _: None)).encode(), "plan.json")
    assert [change for change in saved.changes if isinstance(change, Verify)] == [
        change for change in plan.changes if isinstance(change, Verify)
    ]
    assert saved.digest == plan.digest
    assert approve(plan, saved).changes == plan.changes


@pytest.mark.parametrize(
    ("now", "saved"),
    [
        (gated("billing"), gated("billing", UPLOAD)),
        (gated("billing", UPLOAD, "https://other.example/"), gated("billing", UPLOAD)),
        (gated("billing", UPLOAD), gated("billing")),
        (gated("billing"), gated("billing", BIND)),
        (gated("billing", BIND), gated("billing", UPLOAD)),
    ],
    ids=["gate gone", "other origin", "gate new", "edge gone", "other gate"],
)
def test_a_gate_that_changed_after_the_approval_makes_the_plan_stale(
    now: DeclaredCertificate, saved: DeclaredCertificate
) -> None:
    """Nobody approved an upload without its proof, nor requests to another origin."""
    with pytest.raises(StalePlanError, match="nothing was changed"):
        approve(fresh(wanted(now)), fresh(wanted(saved)))


def test_a_retire_that_waited_when_the_plan_was_saved_needs_no_proof() -> None:
    """It stays, so nothing is sent for it."""
    want = wanted(gated("billing", RETIRE))
    found = rotated(want)
    waited = tuple(keep(change, Condition.GRACE, "wait") for change in found.changes if isinstance(change, Retire))
    saved = replace(found, changes=(), waiting=waited)
    approved = approve(found, saved)
    assert approved.changes == ()
    assert [item.condition for item in approved.waiting] == [Condition.NOT_IN_PLAN]


def test_what_was_done_meanwhile_needs_no_proof_any_more() -> None:
    """The saved plan had an upload with its proof; somebody else uploaded it."""
    want = wanted(gated("billing", UPLOAD))
    stored = plan_of(want, actual([entry(1, 1, "@billing")], {"checkout": file({None: {}})}))
    assert shape(approve(stored, fresh(want))) == ["bind billing"]


# --- a run ----------------------------------------------------------------------------------------------------------


@dataclass
class Prover:
    """Gives the verdicts it is told, and remembers where it was asked."""

    verdicts: Mapping[str, Verdict | FileError]
    asked: list[str] = field(default_factory=list)

    def prove(self, origin: Origin, pair: ClientIdentity) -> Proof:
        assert pair.bundle.digest in {bundle(number).digest for number in (1, 2)}
        self.asked.append(origin.url)
        verdict = self.verdicts[origin.url]
        if isinstance(verdict, FileError):
            raise verdict
        alert = "unknown_ca" if verdict is Verdict.REJECTED else None
        return Proof(origin.url, Seen(Observation(Shown.OURS, End.ALERT, alert=alert)), Judgement(verdict, "x", "why"))


class Keys:
    """The keys of contents 1 and 2, by the name of the certificate; `missing` are not at hand."""

    def __init__(self, *missing: str) -> None:
        self.missing = missing

    def open(self, reference: KeyReference) -> PrivateKey:
        name = reference.options["env"]
        if name in self.missing:
            raise KeySourceError(f"{name} is not set")
        return PrivateKey(issued(int(name[-1])).key_pem)


@dataclass
class Watch:
    """What was started, in order."""

    started_changes: list[str] = field(default_factory=list)

    def started(self, change: Change) -> None:
        self.started_changes.append(f"{change.action} {change.certificate}")

    def finished(self, step: Step) -> None:
        """Nobody asks."""


@dataclass
class EdgeOf:
    """Has the same verdict for every uploaded certificate, and remembers which it was asked for."""

    standing: ProofStatus
    asked: list[EntryId] = field(default_factory=list)

    def prove(self, certificate: CertificateName, origin: Origin, entry: EntryId) -> LevelResult:
        assert (certificate, origin.url) == ("billing", URL)
        self.asked.append(entry)
        left = Diagnostic(Severity.WARNING, Code.EDGE_WORKER_LEFT, "it is left")
        return LevelResult(Level.EDGE, self.standing, "verdict", "why", "hint", (left,))


@dataclass
class Bench:
    """A store in memory, one wrangler file, and runs over them."""

    prover: Prover
    keys: Keys = field(default_factory=Keys)
    clock: MemoryClock = field(default_factory=MemoryClock)
    watch: Watch = field(default_factory=Watch)
    edge: EdgeOf | None = None
    waits: list[datetime] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = open_in_memory(StoreSettings(), clock=self.clock)
        self.files = MemoryFiles({CONFIG: b'name = "checkout"\n'})

    def put(self, number: int, name: str) -> None:
        """Upload a content under the mark of a certificate."""
        mark = mark_name("payments", CertificateName(name), bundle(number).digest)
        key = PrivateKey(issued(number).key_pem)
        self.store.upload(NewEntry(mark, False, bundle(number), key))

    def plan(self, want: Desired) -> Plan:
        """The plan of this moment."""
        found = read_wrangler(CONFIG, self.files.tree[CONFIG])
        there = actual(self.store.list_entries().entries, {"checkout": found})
        return plan_of(want, there, now=self.clock.now())

    def apply(self, want: Desired, phases: Sequence[Phase] = ALL_PHASES, plan: Plan | None = None) -> Outcome:
        """Carry out the plan of this moment, or another."""
        made = plan or self.plan(want)
        safe = frozenset(change.entry.id for change in made.changes if isinstance(change, Retire))
        world = World(
            store=self.store,
            files=self.files,
            keys={"env": self.keys},
            observer=self.watch,
            still_safe=lambda _: safe,
            deployer=NoDeployer,
            prover=self.prover,
            edge=self._edge,
            wait_until=self.waits.append,
            now=lambda: NOW,
        )
        return apply_plan(made, want, world, phases)

    def _edge(self) -> EdgeOf:
        if self.edge is None:
            raise GuardError("nothing is deployed for a pull request")
        return self.edge

    def stored(self) -> set[str]:
        """The contents that the store has."""
        digests = {bundle(number).digest: str(number) for number in (1, 2, 9)}
        return {digests[item.bundle.digest] for item in self.store.list_entries().entries if item.bundle}


def keyed(name: str, number: int, **settings: object) -> DeclaredCertificate:
    """A certificate whose key is there, with a gate unless it is said otherwise."""
    defaults: dict[str, object] = {"before": BOTH, "key": KeyReference("env", {"env": f"{name.upper()}_{number}"})}
    return gated(name, **(defaults | settings))  # type: ignore[arg-type]


def ended(outcome: Outcome) -> dict[str, str]:
    """Each step and how it ended."""
    return {f"{step.change.action} {step.change.certificate}": str(step.status) for step in outcome.steps}


LEDGER_URL = "https://ledger.example/"
TWO = wanted(keyed("billing", 1), keyed("ledger", 2, before=frozenset(), url=LEDGER_URL))


@pytest.mark.parametrize(
    ("verdict", "proof", "upload", "code"),
    [
        (Verdict.ACCEPTED, "done", "done", ExitCode.OK),
        (Verdict.OPTIONAL, "done", "done", ExitCode.OK),
        (Verdict.PRESENCE_ONLY, "done", "done", ExitCode.OK),
        (Verdict.NOT_VERIFIED, "done", "done", ExitCode.OK),
        (Verdict.NOT_REQUESTED, "failed", "not-started", ExitCode.PARTIAL),
        (Verdict.REJECTED, "failed", "not-started", ExitCode.PARTIAL),
        (Verdict.NOT_SENT, "failed", "not-started", ExitCode.PARTIAL),
        (Verdict.REQUESTED_TOO_LATE, "failed", "not-started", ExitCode.PARTIAL),
        (Verdict.SERVER_UNTRUSTED, "unproved", "not-started", ExitCode.BLOCKED),
        (Verdict.UNREACHABLE, "unproved", "not-started", ExitCode.BLOCKED),
        (Verdict.INCONCLUSIVE, "unproved", "not-started", ExitCode.BLOCKED),
    ],
)
def test_what_is_not_proved_is_not_uploaded_and_the_rest_goes_on(
    verdict: Verdict, proof: str, upload: str, code: ExitCode
) -> None:
    """Nothing of that certificate changes; the ledger has no gate, and is uploaded."""
    bench = Bench(Prover({URL: verdict}))
    outcome = bench.apply(TWO)
    assert ended(outcome) == {
        "verify billing": proof,
        "upload billing": upload,
        "upload ledger": "done",
        "bind billing": upload,
    }
    assert outcome.exit_code == code
    assert bench.stored() == ({"1", "2"} if upload == "done" else {"2"})
    assert (b"certificate_id" in bench.files.tree[CONFIG]) is (upload == "done")
    assert bench.watch.started_changes[0] == "verify billing"


AT_EDGE = wanted(keyed("billing", 1, before=BIND), keyed("ledger", 2, before=frozenset(), url=LEDGER_URL))


@pytest.mark.parametrize(
    ("standing", "proof", "bound", "code"),
    [
        (ProofStatus.PROVED, "done", "done", ExitCode.OK),
        (ProofStatus.REFUTED, "failed", "not-started", ExitCode.PARTIAL),
        (ProofStatus.INCONCLUSIVE, "unproved", "not-started", ExitCode.BLOCKED),
        (ProofStatus.SKIPPED, "unproved", "not-started", ExitCode.BLOCKED),
        (None, "failed", "not-started", ExitCode.PARTIAL),
    ],
)
def test_what_is_not_proved_at_the_edge_is_uploaded_and_not_bound(
    standing: ProofStatus | None, proof: str, bound: str, code: ExitCode
) -> None:
    """The uploaded certificate is tried, not its file: the origin is not called from here."""
    edge = None if standing is None else EdgeOf(standing)
    bench = Bench(Prover({}), edge=edge)
    outcome = bench.apply(AT_EDGE)
    assert ended(outcome) == {
        "upload billing": "done",
        "upload ledger": "done",
        "verify billing": proof,
        "bind billing": bound,
    }
    assert outcome.exit_code == code
    assert (b"certificate_id" in bench.files.tree[CONFIG]) is (bound == "done")
    if edge is not None:
        assert edge.asked == [one.id for one in bench.store.list_entries().entries if one.name.startswith("payments.b")]
        assert "edge-worker-left" in [one.code for one in outcome.findings]
    if bound != "done":
        assert "no proof: " in str(outcome.steps[-1].note)


def test_nothing_is_proved_at_the_edge_that_was_not_uploaded() -> None:
    """Its key is missing, so its upload fails."""
    bench = Bench(Prover({}), Keys("BILLING_1"), edge=EdgeOf(ProofStatus.PROVED))
    assert ended(bench.apply(AT_EDGE)) == {
        "upload billing": "failed",
        "upload ledger": "done",
        "verify billing": "not-started",
        "bind billing": "not-started",
    }
    assert bench.edge is not None
    assert bench.edge.asked == []


@pytest.mark.parametrize("phase", [Phase.BIND, Phase.VERIFY])
def test_the_phase_of_the_bindings_makes_their_proofs(phase: Phase) -> None:
    """Or that of all proofs, which binds nothing."""
    bench = Bench(Prover({}), edge=EdgeOf(ProofStatus.PROVED))
    bench.put(1, "billing")
    outcome = bench.apply(AT_EDGE, [phase])
    bound = "done" if phase is Phase.BIND else "not-started"
    assert (ended(outcome)["verify billing"], ended(outcome)["bind billing"]) == ("done", bound)


def test_a_certificate_that_begins_in_this_run_is_proved_once_it_is_valid() -> None:
    """Before that, every origin would refuse it."""
    bench = Bench(Prover({}), edge=EdgeOf(ProofStatus.PROVED))
    bench.put(1, "billing")
    plan = bench.plan(AT_EDGE)
    begins = NOW + timedelta(minutes=1)
    changes = tuple(replace(one, not_before=begins) if isinstance(one, BindingChange) else one for one in plan.changes)
    assert ended(bench.apply(AT_EDGE, plan=replace(plan, changes=changes)))["bind billing"] == "done"
    assert bench.waits == [begins, begins]


def test_alone_it_is_a_failure_and_not_done_in_part() -> None:
    """A proof of another certificate changes nothing, so it does not count as done."""
    want = wanted(keyed("billing", 1), keyed("ledger", 2, url=LEDGER_URL, key=KeyReference("env", {"env": "NO_2"})))
    bench = Bench(Prover({URL: Verdict.REJECTED, LEDGER_URL: Verdict.REJECTED}))
    assert bench.apply(want).exit_code is ExitCode.FAILED
    assert (
        Bench(Prover({URL: Verdict.UNREACHABLE, LEDGER_URL: Verdict.UNREACHABLE})).apply(want).exit_code
        is ExitCode.BLOCKED
    )


def test_why_is_told_at_each_step() -> None:
    """The proof has its finding, the upload the verdict, the binding the upload."""
    outcome = Bench(Prover({URL: Verdict.REJECTED})).apply(wanted(keyed("billing", 1)))
    assert [step.note for step in outcome.steps] == [
        "rejected (unknown_ca)",
        f"no proof: {URL}: rejected (unknown_ca)",
        "the upload of 'billing' was not made",
    ]
    (problem,) = outcome.problems[-1:]
    assert (problem.code, problem.severity, problem.certificate) == ("verify-refuted", Severity.ERROR, "billing")


def test_a_proof_that_is_worth_little_is_a_warning() -> None:
    """It goes on, and is said."""
    outcome = Bench(Prover({URL: Verdict.OPTIONAL})).apply(wanted(keyed("billing", 1)))
    assert [(item.code, item.severity) for item in outcome.findings] == [("verify-weak", Severity.WARNING)]


def test_without_its_key_nothing_is_asked_and_nothing_uploaded() -> None:
    """The key is looked at before anything, as for every upload."""
    bench = Bench(Prover({}), Keys("BILLING_1"))
    outcome = bench.apply(TWO)
    assert ended(outcome)["upload billing"] == "failed"
    assert ended(outcome)["verify billing"] == "not-started"
    assert (bench.prover.asked, outcome.exit_code) == ([], ExitCode.PARTIAL)


def test_an_origin_whose_own_file_is_missing_fails_its_certificate_alone() -> None:
    """The file of `ca`, say."""
    bench = Bench(Prover({URL: FileError("'roots.pem' does not exist")}))
    assert ended(bench.apply(TWO))["verify billing"] == "failed"
    assert bench.stored() == {"2"}


def test_all_that_share_an_upload_must_be_accepted() -> None:
    """One origin of two refuses it: it is not uploaded for either."""
    want = wanted(keyed("billing", 1), keyed("other", 1, url=LEDGER_URL), contents={"billing": 1, "other": 1})
    bench = Bench(Prover({URL: Verdict.ACCEPTED, LEDGER_URL: Verdict.REJECTED}))
    assert ended(bench.apply(want))["upload billing"] == "not-started"
    assert bench.stored() == set()


def test_many_proofs_are_all_made() -> None:
    """More than are made side by side."""
    declared = [keyed(f"c{number}", 1, url=f"https://{number}.example/") for number in range(20)]
    want = wanted(*declared, contents={item.name: 1 for item in declared})
    bench = Bench(Prover({f"https://{number}.example/": Verdict.ACCEPTED for number in range(20)}))
    assert set(ended(bench.apply(replace(want))).values()) == {"done"}
    assert len(bench.prover.asked) == 20


# --- phases ---------------------------------------------------------------------------------------------------------


def test_a_phase_brings_the_proofs_that_it_needs() -> None:
    """`--phase upload` does not go around the gate."""
    bench = Bench(Prover({URL: Verdict.REJECTED}))
    outcome = bench.apply(wanted(keyed("billing", 1)), (Phase.UPLOAD,))
    assert ended(outcome) == {
        "verify billing": "failed",
        "upload billing": "not-started",
        "bind billing": "not-started",
    }


def test_the_phase_verify_alone_makes_the_proofs_and_nothing_else() -> None:
    """A rehearsal."""
    bench = Bench(Prover({URL: Verdict.ACCEPTED}))
    outcome = bench.apply(wanted(keyed("billing", 1)), (Phase.VERIFY,))
    assert ended(outcome) == {"verify billing": "done", "upload billing": "not-started", "bind billing": "not-started"}
    assert bench.stored() == set()


def test_a_phase_without_what_is_guarded_makes_no_proof() -> None:
    """Nothing is sent for `--phase bind`."""
    bench = Bench(Prover({}))
    outcome = bench.apply(wanted(keyed("billing", 1)), (Phase.BIND,))
    assert ended(outcome)["verify billing"] == "not-started"
    assert bench.prover.asked == []


# --- before a retire ------------------------------------------------------------------------------------------------


def rotated_bench(prover: Prover, keys: Keys | None = None) -> Bench:
    """Content 9 was replaced by 1, which is bound, and its grace is over."""
    bench = Bench(prover, keys or Keys())
    bench.put(9, "billing")
    bench.clock.time += timedelta(hours=1)
    bench.put(1, "billing")
    current = next(item for item in bench.store.list_entries().entries if item.bundle == bundle(1))
    text = f'name = "checkout"\n[[mtls_certificates]]\nbinding = "BILLING"\ncertificate_id = "{current.id}"\n'
    bench.files.tree[CONFIG] = text.encode()
    bench.clock.time += timedelta(days=8)
    return bench


BILLING = wanted(keyed("billing", 1, before=RETIRE))


@pytest.mark.parametrize(
    ("verdict", "proof", "retire", "code"),
    [
        (Verdict.ACCEPTED, "done", "done", ExitCode.OK),
        (Verdict.NOT_VERIFIED, "done", "done", ExitCode.OK),
        (Verdict.REJECTED, "failed", "waiting", ExitCode.FAILED),
        (Verdict.NOT_REQUESTED, "failed", "waiting", ExitCode.FAILED),
        (Verdict.UNREACHABLE, "unproved", "waiting", ExitCode.OK),
        (Verdict.SERVER_UNTRUSTED, "unproved", "waiting", ExitCode.OK),
        (FileError("'roots.pem' does not exist"), "failed", "waiting", ExitCode.FAILED),
    ],
    ids=str,
)
def test_an_old_entry_stays_until_the_current_certificate_is_proved(
    verdict: Verdict | FileError, proof: str, retire: str, code: ExitCode
) -> None:
    """To wait is no failure; that the current one is refused is."""
    bench = rotated_bench(Prover({URL: verdict}))
    outcome = bench.apply(BILLING)
    assert ended(outcome) == {"verify billing": proof, "retire billing": retire}
    assert outcome.exit_code == code
    assert bench.stored() == ({"1"} if retire == "done" else {"1", "9"})
    assert [item.condition for item in outcome.waiting] == ([] if retire == "done" else [Condition.UNPROVED])


def test_without_the_key_the_old_entry_waits() -> None:
    """The store gives no key back; whoever runs without it keeps the entry, and nothing is asked."""
    bench = rotated_bench(Prover({}), Keys("BILLING_1"))
    outcome = bench.apply(BILLING)
    assert ended(outcome) == {"verify billing": "unproved", "retire billing": "waiting"}
    (waiting,) = outcome.waiting
    assert waiting.detail == (
        f"there is no proof for the current certificate of 'billing': {URL}: its key is not available: "
        "BILLING_1 is not set"
    )
    assert (bench.prover.asked, outcome.exit_code) == ([], ExitCode.OK)


def test_a_certificate_that_names_no_key_waits() -> None:
    """It was adopted, say."""
    bench = rotated_bench(Prover({}))
    outcome = bench.apply(wanted(keyed("billing", 1, before=RETIRE, key=None)))
    assert ended(outcome) == {"verify billing": "unproved", "retire billing": "waiting"}


def test_no_plan_gets_around_a_gate() -> None:
    """A plan that lacks the proof, by whatever mistake, retires and uploads nothing that is gated."""
    bench = rotated_bench(Prover({URL: Verdict.ACCEPTED}))
    made = bench.plan(BILLING)
    bare = replace(made, changes=tuple(change for change in made.changes if not isinstance(change, Verify)))
    assert ended(bench.apply(BILLING, plan=bare)) == {"retire billing": "waiting"}

    bench = Bench(Prover({URL: Verdict.ACCEPTED}))
    want = wanted(keyed("billing", 1))
    made = bench.plan(want)
    bare = replace(made, changes=tuple(change for change in made.changes if isinstance(change, Upload)))
    assert ended(bench.apply(want, plan=bare)) == {"upload billing": "not-started"}


# --- explained ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "proved", "key"),
    [
        (
            RETIRE,
            "proved      at https://billing.example/health, before each retire",
            "needed: the proof before the retire",
        ),
        (
            frozenset(),
            "proved      at https://billing.example/health, when asked for",
            "not needed: it is already uploaded",
        ),
    ],
    ids=["a gate", "none"],
)
def test_explain_tells_where_and_before_what_a_certificate_is_proved(
    before: frozenset[Gate], proved: str, key: str
) -> None:
    """And that the key is needed for it; of an entry, that its successor has to be proved."""
    bench = rotated_bench(Prover({}))
    want = wanted(keyed("billing", 1, before=before))
    plan = bench.plan(want)
    told = explain("billing", plan)
    text = render_explanation(told, PLAIN)
    assert proved in text
    assert key in text
    asked = {one.condition for story in told.entries for one in story.conditions}
    assert (Condition.UNPROVED in asked) is bool(before)


# --- anything -------------------------------------------------------------------------------------------------------

NAMES = ("alpha", "beta", "gamma")


@st.composite
def stories(draw: st.DrawFn) -> tuple[Desired, dict[str, Verdict], tuple[str, ...], tuple[Phase, ...]]:
    """Certificates that share contents or not, with gates or not; verdicts, missing keys, phases."""
    contents = {name: draw(st.sampled_from([1, 2])) for name in NAMES}
    declared = [
        keyed(name, contents[name], before=draw(st.sampled_from([frozenset(), UPLOAD, BOTH])), url=f"https://{name}/")
        for name in NAMES
    ]
    verdicts = {f"https://{name}/": draw(st.sampled_from(Verdict)) for name in NAMES}
    missing = draw(st.lists(st.sampled_from([f"{name.upper()}_{contents[name]}" for name in NAMES]), unique=True))
    phases = draw(st.lists(st.sampled_from(Phase), unique=True, min_size=1))
    return wanted(*declared, contents=contents), verdicts, tuple(missing), tuple(phases)


@given(stories())
def test_nothing_that_a_gate_guards_is_uploaded_without_its_proofs(
    story: tuple[Desired, dict[str, Verdict], tuple[str, ...], tuple[Phase, ...]],
) -> None:
    """Whatever else happens; nobody is asked of whom no gate is declared; and once all accept, a run ends it."""
    want, verdicts, missing, phases = story
    bench = Bench(Prover(dict(verdicts)), Keys(*missing))
    outcome = bench.apply(want, phases)
    stored = bench.stored()
    for name, declared in want.declaration.certificates.items():
        is_gated = Gate.UPLOAD in (declared.verify_before or ())
        content = next(str(number) for number in (1, 2) if bundle(number) == want.bundles[name])
        proved = verdicts[f"https://{name}/"].standing is ProofStatus.PROVED
        assert content not in stored or not is_gated or proved
        assert is_gated or f"https://{name}/" not in bench.prover.asked
    assert (Phase.UPLOAD in phases) or not stored
    assert outcome.exit_code is not ExitCode.OK or not outcome.of(StepStatus.FAILED)

    bench.prover.verdicts = dict.fromkeys(verdicts, Verdict.ACCEPTED)
    bench.keys = Keys()
    bench.apply(want)
    assert bench.plan(want).changes == ()
