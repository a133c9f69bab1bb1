"""All reports agree: they are views of one assessment, over random worlds with every kind of error in them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.desired.freezes import parse_freeze
from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import InputError
from reconciler.model import (
    BindingChange,
    CertificateName,
    DeclaredCertificate,
    DeclaredWorker,
    Entry,
    Policy,
    Retire,
    Sweep,
    Upload,
    WranglerFile,
)
from reconciler.model.certificate_policy import CertificatePolicy
from reconciler.plan import assess
from reconciler.plan.assessment import Assessment, Held, Pending, UpToDate
from reconciler.plan.guards import hold
from reconciler.plan.live import LiveState
from reconciler.plan.outcome import Step, StepStatus
from reconciler.plan.plan import Plan, Selection, draw_plan, make_plan
from reconciler.reports.drift import Drift, Subject, environment_part, key_of
from reconciler.reports.drift_live import join_live
from reconciler.reports.drift_look import make_drift
from reconciler.reports.drift_unused import join_unused
from reconciler.reports.explain_bindings import tell_bindings
from reconciler.reports.explain_certificates import tell_certificate
from reconciler.reports.guard import GuardScope, GuardVerdict, make_guard
from reconciler.reports.left import find_left
from reconciler.reports.status import Standing, make_status
from reconciler.views.table import Display, render
from reconciler.x509.certificates import Bundle
from reconciler.x509.files import parse_file
from tests.plan import test_deploys, test_rules
from tests.plan.test_retire_live import NEW, OLD, real
from tests.support.paths import REPOSITORY
from tests.support.pki import NOW, make_ca
from tests.support.source import nodes
from tests.support.worlds import (
    REAL_ID,
    actual,
    bundle,
    certificate,
    desired,
    entry,
    file,
    uid,
    worker,
)
from tests.x509 import test_certificates, test_preflight

DAY = timedelta(days=1)


@dataclass
class Part:
    """A part of a world, which stands for itself: a certificate, a Worker that uses it, its file, its entries."""

    certificates: dict[str, DeclaredCertificate] = field(default_factory=dict)
    bundles: dict[str, Bundle] = field(default_factory=dict)
    workers: list[DeclaredWorker] = field(default_factory=list)
    files: dict[str, WranglerFile] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    findings: tuple[Diagnostic, ...] = ()


def bound(number: int, *, found: Mapping[str, str] | None = None, content: Bundle | None = None) -> Part:
    """A certificate of its own number with a Worker that binds it. `found`: what its file has; None: nothing yet."""
    name, label = f"c{number}", f"w{number}"
    path = f"workers/{label}/wrangler.toml"
    return Part(
        certificates={name: certificate(name)},
        bundles={name: content or bundle(number)},
        workers=[worker(label, {None: {"CERT": name}}, config=path)],
        files={label: file({None: found or {}}, path=path)},
    )


def stored(part: Part, number: int, *entries: Entry) -> Part:
    return replace(part, entries=[*part.entries, *entries])


def in_place(number: int) -> Part:
    """Nothing to do."""
    return stored(bound(number, found={"CERT": uid(number)}), number, entry(number, number, f"@c{number}"))


def renewed(number: int) -> Part:
    """The file has a new certificate; the old one is bound."""
    old = entry(number, number + 1, f"@c{number}", age=60)
    return stored(bound(number, found={"CERT": uid(number)}), number, old)


def superseded(number: int) -> Part:
    """An old entry that nothing needs any more."""
    old = entry(number + 1, number + 1, f"@c{number}", age=90)
    return stored(in_place(number), number, old)


def without_key(number: int) -> Part:
    part = bound(number)
    return replace(part, certificates={name: certificate(name, key=None) for name in part.certificates})


def one_content_twice(number: int) -> Part:
    part = bound(number)
    ca = f"ca{number}"
    return replace(
        part,
        certificates={**part.certificates, ca: certificate(ca, ca=True, key=None)},
        bundles={**part.bundles, ca: bundle(number)},
    )


def of_entry(**changes: object) -> Callable[[int], Part]:
    """The content is stored in an entry that can't be used."""
    return lambda number: stored(bound(number), number, entry(number, number, "x", **changes))  # type: ignore[arg-type]


def of_other_stack(number: int) -> Part:
    return stored(bound(number), number, entry(number, number, f"@c{number}", stack="shop"))


def unread(data: bytes) -> Callable[[int], Part]:
    """The certificate's file is no certificate."""

    def make(number: int) -> Part:
        part, name = bound(number), CertificateName(f"c{number}")
        try:
            parse_file(data, "x.pem")
        except InputError as error:
            found = tuple(replace(one, certificate=name) for one in error.problems)
            return replace(part, bundles={}, findings=found)
        raise AssertionError("the file can be read")

    return make


def unfit(make: Callable[[], Bundle], *, ca: bool = False) -> Callable[[int], Part]:
    """A certificate that no origin takes, or no store."""

    def part(number: int) -> Part:
        made = bound(number, content=make())
        if not ca:
            return made
        name = f"c{number}"
        return replace(made, certificates={name: certificate(name, ca=True, key=None)}, workers=[], files={})

    return part


def refused_by_policy(number: int) -> Part:
    """A certificate whose name `[policy.certificates]` does not allow."""
    part, name = bound(number), f"x{number}"
    binds = [worker(one.label, {None: {"CERT": name}}, config=one.config) for one in part.workers]
    return replace(part, certificates={name: certificate(name)}, bundles={name: bundle(number)}, workers=binds)


def by_id(number: int, target: str, *entries: Entry) -> Part:
    label = f"w{number}"
    path = f"workers/{label}/wrangler.toml"
    return Part(
        workers=[worker(label, {None: {"CERT": f"id:{target}"}}, config=path)],
        files={label: file({None: {}}, path=path)},
        entries=list(entries),
    )


def in_file(number: int, change: Callable[[WranglerFile], WranglerFile]) -> Part:
    """A new binding, in a file that is odd."""
    part = bound(number)
    return replace(part, files={label: change(found) for label, found in part.files.items()})


def taken(found: WranglerFile) -> WranglerFile:
    top = replace(found.environments[None], taken={"CERT": "a KV namespace"})
    return replace(found, environments={None: top})


def elsewhere_declared(number: int) -> Part:
    """The declared environment is not in the file."""
    part = bound(number)
    label = f"w{number}"
    declared = worker(label, {"staging": {"CERT": f"c{number}"}}, config=part.workers[0].config)
    return replace(part, workers=[declared])


def pages(number: int) -> Part:
    part = elsewhere_declared(number)
    label = f"w{number}"
    found = file({"staging": {}}, path=part.files[label].path)
    return replace(part, files={label: replace(found, pages=True)})


def with_account_id(number: int) -> Part:
    part = bound(number, found={"OTHER": REAL_ID})
    return stored(part, number, entry(number, number, f"@c{number}"))


def ended(number: int) -> Part:
    """Back to a certificate that has ended and is stored."""
    past = make_ca("Past").issue(f"past-{number}", not_before=NOW - 90 * DAY, not_after=NOW - DAY).bundle
    old = replace(entry(number, number), name="by hand", certificates=past.pem())
    valid = entry(number + 1, number + 1, f"@c{number}", age=5)
    return stored(bound(number, found={"CERT": uid(number + 1)}, content=past), number, old, valid)


def undeclared(number: int) -> Part:
    """A binding of ours that mtls.toml does not declare."""
    return stored(
        bound(number, found={"CERT": uid(number), "MORE": uid(number)}), number, entry(number, number, f"@c{number}")
    )


def shared(number: int) -> Part:
    """Another stack binds in this file."""
    part = undeclared(number)
    return replace(part, workers=[replace(part.workers[0], exclusive=False)])


PARTS: Mapping[str, Callable[[int], Part]] = {
    "up to date": in_place,
    "new": bound,
    "renewed": renewed,
    "superseded": superseded,
    "undeclared": undeclared,
    "shared file": shared,
    "a certificate without a key": without_key,
    "one content as CA and leaf": one_content_twice,
    "a name that the policy refuses": refused_by_policy,
    "an entry that Cloudflare manages": of_entry(type="gateway_managed"),
    "an entry that is a CA": of_entry(ca=True),
    "an entry of another stack": of_other_stack,
    "an unknown id": lambda number: by_id(number, uid(number)),
    "a CA by id": lambda number: by_id(number, uid(number), entry(number, number, "ca", ca=True)),
    "the id of an account": lambda number: by_id(number, REAL_ID),
    "an entry by id": lambda number: by_id(number, uid(number), entry(number, number, "theirs")),
    "a name that is taken": lambda number: in_file(number, taken),
    "an environment that is missing": elsewhere_declared,
    "an environment that Pages has not": pages,
    "a file with an account's id": with_account_id,
    "a certificate that has ended": ended,
    **{f"unfit: {name}": unfit(row[0]) for name, row in test_preflight.BAD.items() if row[1] is Severity.ERROR},
    **{
        f"unfit CA: {name}": unfit(row[0], ca=True)
        for name, row in test_preflight.BAD_CAS.items()
        if row[1] is Severity.ERROR
    },
    **{
        f"odd: {code}": unfit(partial(test_preflight.odd, kind))
        for kind, (severity, code, _) in test_preflight.ODD.items()
        if severity is Severity.ERROR
    },
    **{f"no certificate: {name}": unread(row[0]()) for name, row in test_certificates.REFUSED.items()},
}


def assess_world(parts: Sequence[Part], limit: int = 1000) -> Assessment:
    """One world of several parts."""
    certificates = {name: one for part in parts for name, one in part.certificates.items()}
    wanted = desired(
        dict.fromkeys(certificates),
        [one for part in parts for one in part.workers],
        declared=list(certificates.values()),
        policy=Policy(prune=True, certificates=CertificatePolicy(names=("c*",))),
        limit=limit,
    )
    bundles = {CertificateName(name): one for part in parts for name, one in part.bundles.items()}
    files = {label: found for part in parts for label, found in part.files.items()}
    there = actual([one for part in parts for one in part.entries], files)
    findings = tuple(one for part in parts for one in part.findings)
    return assess.judge(replace(wanted, bundles=bundles), there, NOW, findings=findings)


def keys_of_changes(plan: Plan) -> Iterator[str]:
    """The keys that drift gives to what the plan changes."""
    for change in plan.changes:
        match change:
            case Upload():
                yield from (key_of(Subject.CERTIFICATE, name) for name in (change.certificate, *change.shared_with))
            case BindingChange():
                at = change.at
                yield key_of(Subject.BINDING, at.config, environment_part(at.environment), at.binding)
            case Retire():
                yield key_of(Subject.ENTRY, change.entry.id)


def demand_agreement(plan: Plan) -> None:
    """Every report of a plan says the same as its rows."""
    assessment, drift = plan.assessment, make_drift(plan)
    demand_one_finding_a_key(plan, drift)
    demand_true_promises(plan, drift)
    held = [row.verdict for row in assessment.rows if isinstance(row.verdict, Held)]
    assert all(one.is_error and one in plan.diagnostics for verdict in held for one in verdict.by)
    pending = {id(row.verdict.change) for row in assessment.rows if isinstance(row.verdict, Pending)}
    assert {id(change) for change in plan.changes} == pending
    demand_same_counts(plan, drift)
    demand_a_guard_that_agrees(assessment)
    for story in tell_bindings(assessment):
        planned = [one for one in plan.changes if isinstance(one, BindingChange) and one.at == story.at]
        assert [one.action for one in planned] == ([] if story.action is None else [story.action])
        assert "something else" not in story.why
    for row in assessment.certificates:
        told = tell_certificate(row.name, plan)
        is_planned = any(
            isinstance(one, Upload) and row.name in (one.certificate, *one.shared_with) for one in plan.changes
        )
        assert (told.action is not None) is is_planned
        assert told.why


def demand_a_guard_that_agrees(assessment: Assessment) -> None:
    """A deploy is stopped for what a plan would change in the file, and for what holds that change; not for what is in
    place, unless its certificate is not valid, unknown, or has a newer one."""
    scope = GuardScope(frozenset(row.at.config for row in assessment.bindings))
    for one in make_guard(assessment, scope).bindings:
        row, verdict = one.row, one.row.verdict
        differs = row.declared is not None and row.found_id != row.wanted
        if isinstance(verdict, Pending) and differs and row.wanted is not None:
            assert one.verdict is not GuardVerdict.OK, row
        if isinstance(verdict, Held):
            assert one.verdict is not GuardVerdict.OK, row
        if isinstance(verdict, UpToDate) and one.problem is not None and not row.elsewhere:
            in_place = {Code.GUARD_UNKNOWN, Code.GUARD_EXPIRED, Code.GUARD_NOT_YET_VALID, Code.GUARD_OLDER}
            assert one.problem.code in {*in_place, Code.GUARD_NOT_CHECKED}, row


def demand_one_finding_a_key(plan: Plan, drift: Drift) -> None:
    """A pipeline keeps an issue for each key, so no two findings have one key; `--unused` only adds."""
    whole = join_unused(drift, plan, Sweep())
    keys = [finding.key for finding in whole.findings]
    assert len(keys) == len(set(keys)), keys
    assert set(drift.findings) <= set(whole.findings)


def demand_true_promises(plan: Plan, drift: Drift) -> None:
    """No report says that apply fixes what the plan has no change for; and no error that holds is kept back."""
    planned = set(keys_of_changes(plan))
    for finding in drift.findings:
        assert finding.apply is (finding.key in planned), finding
        assert not finding.apply or "run `mtlsctl apply`" in finding.hint
    told = " ".join(f"{one.message} {one.hint}" for one in drift.findings)
    unusable = {row.name for row in plan.assessment.certificates if row.bundle is None}
    for row in plan.assessment.rows:
        for problem in row.verdict.by if isinstance(row.verdict, Held) else ():
            is_told = problem.code in TOLD_BY_DRIFT or problem.message in told or problem.certificate in unusable
            assert is_told or problem in drift.diagnostics, problem


TOLD_BY_DRIFT = {"unknown-environment", "unknown-entry", "binding-name-taken"}
"""Errors that a finding of drift tells in its own words."""


def demand_same_counts(plan: Plan, drift: Drift) -> None:
    """All reports count the same bindings as up to date."""
    rows = [row for row in plan.assessment.bindings if row.declared is not None]
    same = [row.at for row in rows if isinstance(row.verdict, UpToDate)]
    assert [story.at for story in tell_bindings(plan.assessment) if story.what == "up to date"] == same
    by_name = sum(row.certificate is not None for row in rows if isinstance(row.verdict, UpToDate))
    status = make_status(plan)
    standing = [place.standing for one in status.certificates for place in one.places]
    assert standing.count(Standing.IN_PLACE) == by_name
    certificates = [row for row in plan.assessment.certificates if isinstance(row.verdict, UpToDate)]
    assert drift.in_sync == len(same) + len(certificates)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.sampled_from(sorted(PARTS)), min_size=1, max_size=6), st.integers(0, 12))
def test_all_reports_agree_over_worlds_with_errors_in_them(names: list[str], limit: int) -> None:
    """Whatever is wrong beside whatever is right, and however little room the account has."""
    parts = [PARTS[name](10 * number) for number, name in enumerate(names, 1)]
    demand_agreement(make_plan(assess_world(parts, limit)))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from(sorted(PARTS)), max_size=5),
    st.booleans(),
    st.booleans(),
    st.sampled_from([(), ("c*",), ("c1?",)]),
)
def test_all_reports_agree_over_what_guard_rails_hold(
    names: list[str], freeze: bool, refuses: bool, protect: tuple[str, ...]
) -> None:
    """And the plan has the digest that it has without them; a freeze leaves drift as it is."""
    free = assess_world([PARTS[name](10 * number) for number, name in enumerate(names, 1)])
    declaration = free.desired.declaration
    policy = replace(declaration.policy, freezes=(FREEZE,) if freeze else (), protect=protect)
    wanted = replace(free.desired, declaration=replace(declaration, policy=policy))
    judged = assess.judge(wanted, free.actual, NOW, free.ask)
    found, plan = make_plan(judged), hold(make_plan(judged), refuses=refuses)
    demand_agreement(plan)
    assert plan.digest == found.digest == make_plan(free).digest
    assert {one.key for one in make_drift(plan).findings if one.subject is not Subject.ENTRY} == {
        one.key for one in make_drift(found).findings if one.subject is not Subject.ENTRY
    }


FREEZE = parse_freeze("2026-11-20", "2026-11-30", "UTC", None)
"""Holds at NOW."""


@pytest.mark.parametrize("name", PARTS)
def test_all_reports_agree_over_each_kind_of_part(name: str) -> None:
    """So that every kind is met, whatever is drawn."""
    demand_agreement(make_plan(assess_world([PARTS[name](10)])))
    demand_agreement(make_plan(assess_world([PARTS[name](10)], limit=0)))


ONLINE = [row for row in test_rules.ROWS if row.there.listing is not None]
DEPLOYS = [
    *test_deploys.ROWS,
    test_deploys.Row(
        "a placeholder stays in the file",
        test_deploys.serves({"BILLING": OLD.id}),
        test_deploys.named({"BILLING": "TODO"}),
        declared={"BILLING": f"id:{real(77)}"},
    ),
]


@pytest.mark.parametrize("row", ONLINE, ids=[row.rule for row in ONLINE])
def test_all_reports_agree_over_the_worlds_of_the_rules(row: test_rules.Row) -> None:
    """The rules have worlds of their own."""
    demand_agreement(make_plan(assess.judge(row.wanted, row.there, NOW)))


@pytest.mark.parametrize("row", DEPLOYS, ids=[row.name for row in DEPLOYS])
def test_all_reports_agree_over_deploys(row: test_deploys.Row) -> None:
    """What is held of a deploy is in the plan's findings."""
    plan = test_deploys.plan_of(row)
    held = [one.verdict for one in plan.assessment.sites if isinstance(one.verdict, Held)]
    assert all(problem in plan.diagnostics for verdict in held for problem in verdict.by)
    assert make_drift(plan).findings is not None


def test_no_report_advises_a_deploy_where_only_the_file_is_behind() -> None:
    """The live version has the right ID already; a deploy of the file as it is would roll back."""
    row = test_deploys.Row("", test_deploys.serves({"BILLING": NEW.id}), test_deploys.named({"BILLING": OLD.id}))
    made = test_deploys.plan_of(row)
    plan = draw_plan(made.assessment, made.selection, show_live=True)
    assert [one.state for one in plan.live or ()] == [LiveState.FILE_BEHIND]
    assert [one.action for one in plan.changes] == ["rebind"]
    drift = join_live(make_drift(plan), plan)
    about = [one for one in drift.findings if one.subject in {Subject.BINDING, Subject.LIVE}]
    assert [(one.subject, one.apply) for one in about] == [(Subject.BINDING, True)]
    assert "only the file is behind" in about[0].message
    shown = [render(document, "text", Display()) for document in (plan, make_status(plan), drift)]
    assert not any("wrangler deploy" in text or "to deploy" in text for text in shown)
    done = [Step(change, StepStatus.DONE) for change in plan.changes]
    assert find_left(done, plan.assessment.live, plan.store, plan.assessment.actual.files) == ()
    assert len(find_left(done, (), plan.store, plan.assessment.actual.files)) == 1


def test_a_file_that_gets_another_id_is_never_advised_to_be_deployed_as_it_is() -> None:
    """Another binding of it may be behind: `apply` comes first."""
    files = test_deploys.named({"BILLING": OLD.id, "MORE": NEW.id})
    row = test_deploys.Row(
        "",
        test_deploys.serves({"BILLING": NEW.id, "MORE": OLD.id}),
        files,
        declared={"BILLING": "billing", "MORE": "billing"},
    )
    made = test_deploys.plan_of(row)
    plan = draw_plan(made.assessment, made.selection, show_live=True)
    (found,) = [one for one in join_live(make_drift(plan), plan).findings if one.subject is Subject.LIVE]
    assert found.hint.startswith("run `mtlsctl apply`, then deploy it:")
    done = [Step(change, StepStatus.DONE) for change in plan.changes if change.action == "rebind"]
    assert len(find_left(done, plan.assessment.live, plan.store, plan.assessment.actual.files)) == 1


def test_a_part_of_the_plan_is_filtered_and_not_judged_otherwise() -> None:
    """`--only` leaves every verdict as it is."""
    whole = assess_world([PARTS[name](10 * number) for number, name in enumerate(sorted(PARTS), 1)])
    every, part = make_plan(whole), make_plan(whole, Selection(only=("c10",)))
    assert [row.verdict for row in part.assessment.bindings] == [row.verdict for row in every.assessment.bindings]
    assert set(part.changes) <= set(every.changes)


# --- every code that can hold something is met ------------------------------------------------------------------------

HOLDING = (
    *(f"plan/{name}.py" for name in ("binding_findings", "certificates", "inventory", "quota", "deploys")),
    *(f"x509/{name}.py" for name in ("preflight", "chains", "constraints", "extensions", "key_types")),
)
NEVER_HOLDS = {"supersedes-ambiguous"}
"""An error about what to delete: it holds nothing that is to be made."""
BY_OPENSSL_ONLY = {"weak-signature", "extension-unreadable"}
"""Certificates that the library does not make; the preflight tests meet them, and they hold as the others do."""


def held_codes() -> set[str]:
    """The codes that hold something in one of the worlds of this file."""
    found: set[str] = set()
    worlds = [assess_world([PARTS[name](10)], limit) for name in PARTS for limit in (0, 1000)]
    plans = [make_plan(world) for world in worlds]
    plans += [make_plan(assess.judge(row.wanted, row.there, NOW)) for row in test_rules.ROWS]
    plans += [test_deploys.plan_of(row) for row in DEPLOYS]
    for plan in plans:
        for row in plan.assessment.rows:
            found.update(str(one.code) for one in (row.verdict.by if isinstance(row.verdict, Held) else ()))
    return found


def raised_as_errors(path: Path) -> Iterator[str]:
    """The codes that a module gives to errors, by its text."""
    for node in nodes(path):
        if isinstance(node, ast.Call):
            severities = [one for one in node.args if isinstance(one, ast.Attribute) and one.attr == "ERROR"]
            for argument in node.args if severities else ():
                if isinstance(argument, ast.Attribute) and getattr(argument.value, "id", "") == "Code":
                    yield argument.attr.lower().replace("_", "-")
                elif (
                    isinstance(argument, ast.Constant) and isinstance(argument.value, str) and " " not in argument.value
                ):
                    yield argument.value
                    break


def test_every_code_that_can_hold_something_holds_something_here() -> None:
    """A new error that holds gets a part of a world, or a row of the rules."""
    can_hold = {code for name in HOLDING for code in raised_as_errors(REPOSITORY / "reconciler" / name)}
    assert len(can_hold) > 25
    assert can_hold - NEVER_HOLDS - BY_OPENSSL_ONLY <= held_codes()
