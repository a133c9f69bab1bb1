"""All reports agree: they are views of one assessment, over random worlds with every kind of error in them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.desired.freezes import parse_freeze
from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import InputError
from reconciler.model import (
    BindingChange,
    BrokenFile,
    CaList,
    CertificateName,
    DeclaredCertificate,
    DeclaredHyperdrive,
    DeclaredWorker,
    DeclaredZone,
    Desired,
    Entry,
    FoundZone,
    HyperdriveConfig,
    Hyperdrives,
    Policy,
    Retire,
    Sweep,
    Update,
    Upload,
    WorkerLabel,
    WranglerFile,
)
from reconciler.model.certificate_policy import AllowedKey, CertificatePolicy
from reconciler.model.ownership import mark_name
from reconciler.plan import assess
from reconciler.plan.assessment import Assessment, Held, Pending, PlanOptions, UpToDate
from reconciler.plan.guards import hold
from reconciler.plan.live import NOBODY, DeployChoice, LiveState
from reconciler.plan.outcome import Step, StepStatus
from reconciler.plan.plan import Plan, Selection, draw_plan, make_plan
from reconciler.reports.drift import Drift, Subject, drift_key, environment_part
from reconciler.reports.drift_live import join_live
from reconciler.reports.drift_look import make_drift
from reconciler.reports.drift_unused import join_unused
from reconciler.reports.explain_bindings import tell_bindings, tell_updates
from reconciler.reports.explain_certificates import tell_certificate
from reconciler.reports.guard import GuardScope, GuardVerdict, make_guard
from reconciler.reports.left import find_left
from reconciler.reports.status import Standing, make_status
from reconciler.views.table import Display, render
from reconciler.wrangler.read import read_wrangler
from reconciler.x509.certificates import Bundle
from reconciler.x509.files import parse_file
from tests.plan import test_deploys, test_rules
from tests.plan.test_retire_live import NEW, OLD, real
from tests.project.test_house import imported
from tests.support.paths import REPOSITORY
from tests.support.pki import NOW, SERVER_AUTH, make_ca
from tests.support.source import nodes
from tests.support.worlds import (
    REAL_ID,
    STACK,
    actual,
    bundle,
    ca_bundle,
    certificate,
    desired,
    entry,
    file,
    issued,
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
    broken: dict[str, BrokenFile] = field(default_factory=dict)
    rules: dict[str, object] = field(default_factory=dict)
    """More of `[policy.certificates]`, for the whole world."""
    hyperdrives: list[DeclaredHyperdrive] = field(default_factory=list)
    configs: list[HyperdriveConfig] = field(default_factory=list)
    zones: list[DeclaredZone] = field(default_factory=list)
    found_zones: list[FoundZone] = field(default_factory=list)
    unread: tuple[str, str | None] | None = None
    """Why no Hyperdrive configuration could be read."""


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


def broken(text: str) -> Callable[[int], Part]:
    """A wrangler file that can't be used."""

    def make(number: int) -> Part:
        part, label = bound(number), f"w{number}"
        path = part.workers[0].config
        try:
            read_wrangler(path, text.encode())
        except InputError as error:
            return replace(part, files={}, broken={label: BrokenFile(path, error.problems)}, findings=error.problems)
        raise AssertionError("the file can be read")

    return make


def without_format(number: int) -> Part:
    """A wrangler file of a format that wrangler does not have."""
    part, label, path = bound(number), f"w{number}", f"workers/w{number}/wrangler.yaml"
    declared = worker(label, {None: {"CERT": f"c{number}"}}, config=path)
    with pytest.raises(InputError) as caught:
        read_wrangler(path, b"")
    found = caught.value.problems
    return replace(part, workers=[declared], files={}, broken={label: BrokenFile(path, found)}, findings=found)


def ruled(rules: Mapping[str, object]) -> Callable[[int], Part]:
    """A rule that no new certificate keeps."""
    return lambda number: replace(bound(number), rules=dict(rules))


def with_one_key(number: int) -> Part:
    """Two certificates with one key."""
    part, other = bound(number, content=with_key(number)), f"c{number + 1}"
    again = {**part.certificates, other: certificate(other)}
    bundles = {**part.bundles, other: with_key(number + 1)}
    return replace(part, certificates=again, bundles=bundles, rules={"key_reuse": False})


@cache
def with_key(number: int) -> Bundle:
    return make_ca("Test Root").issue(f"client-{number}", key=issued(1).key).bundle


def other_leaf_first(number: int) -> Part:
    """The content is uploaded, with another certificate in front."""
    pair = bundle(number), bundle(number + 1)
    there = replace(entry(number, number, "x"), certificates="".join(one.pem() for one in reversed(pair)))
    ders = tuple(der for one in pair for der in one.ders)
    return stored(bound(number, content=Bundle(ders)), number, there)


def hyperdrive(number: int, *configs: HyperdriveConfig, **declared: str) -> Part:
    """A Hyperdrive configuration, with a client certificate, and a CA by which it checks the database."""
    leaf, ca = f"c{number}", f"ca{number}"
    one = DeclaredHyperdrive(f"db{number}", **{"config": f"db-{number}", "certificate": leaf, "ca": ca, **declared})  # type: ignore[arg-type]
    return Part(
        certificates={leaf: certificate(leaf), ca: certificate(ca, ca=True, key=None)},
        bundles={leaf: bundle(number), ca: ca_bundle(number)},
        entries=[entry(number, number, f"@{leaf}"), ca_entry(number)],
        hyperdrives=[one],
        configs=list(configs),
    )


def ca_entry(number: int) -> Entry:
    content = ca_bundle(number)
    mark = mark_name(STACK, CertificateName(f"ca{number}"), content.digest)
    return replace(entry(number + 5, number, ca=True), name=mark, certificates=content.pem())


def configuration(number: int, **mtls: object) -> HyperdriveConfig:
    return HyperdriveConfig(f"{number:032x}", f"db-{number}", mtls)


def hyperdrive_in_place(number: int) -> Part:
    found = configuration(
        number, mtls_certificate_id=uid(number), ca_certificate_id=uid(number + 5), sslmode="verify-full"
    )
    return hyperdrive(number, found, sslmode="verify-full")


def hyperdrive_twice(number: int) -> Part:
    """Two tables declare one configuration, by its ID and by its name."""
    part = hyperdrive(number, configuration(number))
    again = replace(part.hyperdrives[0], label=f"again{number}", config=part.configs[0].id)
    return replace(part, hyperdrives=[*part.hyperdrives, again])


def hyperdrive_of_expired(number: int) -> Part:
    part = hyperdrive(number, configuration(number))
    past = make_ca("Past").issue(f"past-{number}", not_before=NOW - 90 * DAY, not_after=NOW - DAY).bundle
    return replace(part, bundles={**part.bundles, f"c{number}": past})


def hostnames(number: int, zone: FoundZone | None = None, *names: str) -> Part:
    """A zone in which a host is to trust a CA. `zone` None: it was found. `names`: those that trust it already."""
    ca, name = CertificateName(f"ca{number}"), f"z{number}.example"
    lists = (CaList(f"{number:032x}", uid(number + 5), names),)
    return Part(
        certificates={ca: certificate(ca, ca=True, key=None)},
        bundles={ca: ca_bundle(number)},
        entries=[ca_entry(number)],
        zones=[DeclaredZone(name, {ca: (f"api.{name}",)})],
        found_zones=[zone or FoundZone(name, (f"{number:032x}",), lists)],
    )


def one_ca_twice(number: int) -> Part:
    """One zone with two names of the same CA."""
    part, other = hostnames(number), CertificateName(f"again{number}")
    (zone,) = part.zones
    return replace(
        part,
        certificates={**part.certificates, other: certificate(other, ca=True, key=None)},
        bundles={**part.bundles, other: ca_bundle(number)},
        zones=[replace(zone, cas={**zone.cas, other: (f"pay.{zone.zone}",)})],
    )


def one_zone_twice(number: int) -> Part:
    """Two tables of one zone, by its name and by its ID."""
    part = hostnames(number)
    (zone,), (found,) = part.zones, part.found_zones
    again = found.ids[0]
    return replace(
        part,
        zones=[zone, DeclaredZone(again, {CertificateName(f"ca{number}"): (f"pay.{zone.zone}",)})],
        found_zones=[found, replace(found, declared=again)],
    )


UNREAD = ("no permission", "give the token more")
BROKEN = {
    "no TOML": "x = = 1",
    "an environment that is no table": "env = 1",
    "bindings that are no list": "mtls_certificates = 1",
    "a binding without a name": '[[mtls_certificates]]\ncertificate_id = "x"',
    "a binding without an ID": '[[mtls_certificates]]\nbinding = "X"',
    "a binding twice": '[[mtls_certificates]]\nbinding = "X"\ncertificate_id = "x"\n' * 2,
    "a key as an ID": f'[[mtls_certificates]]\nbinding = "X"\ncertificate_id = "{"x" * 3000}"',
}
RULED: Mapping[str, Mapping[str, object]] = {
    "lifetime": {"max_lifetime": DAY},
    "key type": {"keys": (AllowedKey("RSA", 4096),)},
    "issuer": {"issuers": ("CN=Another",)},
    "usage": {"extended_key_usage": (SERVER_AUTH.dotted_string,)},
}

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
    **{f"a wrangler file with {name}": broken(text) for name, text in BROKEN.items()},
    "a wrangler file of another format": without_format,
    **{f"a rule about the {name}": ruled(rules) for name, rules in RULED.items()},
    "one key twice": with_one_key,
    "an entry with another leaf": other_leaf_first,
    "Hyperdrive: up to date": hyperdrive_in_place,
    "Hyperdrive: new": lambda number: hyperdrive(number, configuration(number), sslmode="verify-ca"),
    "Hyperdrive: an old certificate": lambda number: hyperdrive(
        number, configuration(number, mtls_certificate_id=uid(number + 1), sslmode="require")
    ),
    "Hyperdrive: not uploaded": lambda number: replace(hyperdrive(number, configuration(number)), entries=[]),
    "Hyperdrive: expired": hyperdrive_of_expired,
    "Hyperdrive: missing": hyperdrive,
    "Hyperdrive: twice the name": lambda number: hyperdrive(
        number, configuration(number), replace(configuration(number), id=f"{number + 1:032x}")
    ),
    "Hyperdrive: declared twice": hyperdrive_twice,
    "Hyperdrive: not read": lambda number: replace(hyperdrive(number), unread=UNREAD),
    "hostnames: up to date": lambda number: hostnames(number, None, f"api.z{number}.example"),
    "hostnames: new": hostnames,
    "hostnames: not uploaded": lambda number: replace(hostnames(number), entries=[]),
    "hostnames: no such zone": lambda number: hostnames(number, FoundZone(f"z{number}.example")),
    "hostnames: not read": lambda number: hostnames(number, FoundZone(f"z{number}.example", unread=UNREAD)),
    "hostnames: one CA twice": one_ca_twice,
    "hostnames: one zone twice": one_zone_twice,
}


def assess_world(parts: Sequence[Part], limit: int = 1000, choice: DeployChoice = NOBODY) -> Assessment:
    """One world of several parts."""
    rules: dict[str, Any] = {"names": ("c*", "again*")}
    rules |= {key: one for part in parts for key, one in part.rules.items()}
    certificates = {name: one for part in parts for name, one in part.certificates.items()}
    wanted = desired(
        dict.fromkeys(certificates),
        [one for part in parts for one in part.workers],
        declared=list(certificates.values()),
        policy=Policy(prune=True, certificates=CertificatePolicy(**rules)),
        limit=limit,
    )
    bundles = {CertificateName(name): one for part in parts for name, one in part.bundles.items()}
    files = {label: found for part in parts for label, found in part.files.items()}
    there = replace(
        actual([one for part in parts for one in part.entries], files),
        broken={WorkerLabel(label): one for part in parts for label, one in part.broken.items()},
        hyperdrives=Hyperdrives(
            tuple(one for part in parts for one in part.configs),
            next((part.unread for part in parts if part.unread), None),
        ),
        zones=tuple(one for part in parts for one in part.found_zones),
    )
    declaration = replace(
        wanted.declaration,
        hyperdrives=tuple(one for part in parts for one in part.hyperdrives),
        zones=tuple(one for part in parts for one in part.zones),
    )
    findings = tuple(one for part in parts for one in part.findings)
    asked = PlanOptions(deploy=choice)
    return assess.judge(Desired(declaration, bundles), there, NOW, asked, findings=findings)


def keys_of_changes(plan: Plan) -> Iterator[str]:
    """The keys that drift gives to what the plan changes."""
    for change in plan.changes:
        match change:
            case Upload():
                yield from (drift_key(Subject.CERTIFICATE, name) for name in (change.certificate, *change.shared_with))
            case BindingChange():
                at = change.at
                yield drift_key(Subject.BINDING, at.config, environment_part(at.environment), at.binding)
            case Retire():
                yield drift_key(Subject.ENTRY, change.entry.id)


def keys_of_updates(plan: Plan) -> Iterator[str]:
    """The same of what takes effect at once, which only `apply --deploy` changes."""
    for change in plan.changes:
        if isinstance(change, Update):
            kind, *place = change.at.place
            yield drift_key(Subject(kind), *place)


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
    planned, updates = set(keys_of_changes(plan)), set(keys_of_updates(plan))
    is_asked = plan.assessment.ask.deploy.everybody
    for finding in drift.findings:
        is_update = finding.subject in {Subject.HYPERDRIVE, Subject.HOSTNAMES}
        assert is_update is ("`mtlsctl apply --deploy`" in finding.hint)
        assert not is_update or (finding.key in updates) is is_asked, finding
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
    updates = [row.at for row in plan.assessment.updates if isinstance(row.verdict, UpToDate)]
    assert [story.at for story in tell_updates(plan.assessment) if story.what == "up to date"] == updates
    assert drift.in_sync == len(same) + len(certificates) + len(updates)


CHOICES = (NOBODY, DeployChoice(everybody=True))
"""What takes effect at once is asked for, or not."""


@settings(deadline=None, max_examples=150)
@given(st.lists(st.sampled_from(sorted(PARTS)), min_size=1, max_size=6), st.integers(0, 12), st.sampled_from(CHOICES))
def test_all_reports_agree_over_worlds_with_errors_in_them(names: list[str], limit: int, choice: DeployChoice) -> None:
    """Whatever is wrong next to whatever is right, however little room the account has, and what was asked for."""
    parts = [PARTS[name](10 * number) for number, name in enumerate(names, 1)]
    demand_agreement(make_plan(assess_world(parts, limit, choice)))


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
    parts = [PARTS[name](10 * number) for number, name in enumerate(names, 1)]
    free, findings = assess_world(parts), [one for part in parts for one in part.findings]
    declaration = free.desired.declaration
    policy = replace(declaration.policy, freezes=(FREEZE,) if freeze else (), protect=protect)
    wanted = replace(free.desired, declaration=replace(declaration, policy=policy))
    judged = assess.judge(wanted, free.actual, NOW, free.ask, findings)
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
    for choice in CHOICES:
        demand_agreement(make_plan(assess_world([PARTS[name](10)], choice=choice)))
        demand_agreement(make_plan(assess_world([PARTS[name](10)], 0, choice)))


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

READING = ("wrangler/read.py", "wrangler/formats.py", "x509/files.py")
"""What is wrong with a file that was read: the errors come with what was read."""
NEVER_HOLDS = {"supersedes-ambiguous", "nothing-declared", "too-many-unbinds"}
"""Errors about what to remove: these changes wait, and nothing that is to be made is held."""
BY_OPENSSL_ONLY = {"weak-signature"}
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


def judging() -> set[Path]:
    """The modules that make a verdict `Held`, and all of the judgement that these use."""
    root = REPOSITORY / "reconciler"
    found = {path for path in (root / "plan").glob("*.py") if "Held" in calls(path)} | {root / one for one in READING}
    while (
        more := {
            path
            for one in found
            for module in imported(one)
            if module.startswith(("reconciler.plan.", "reconciler.x509."))
            and (path := root.joinpath(*module.split(".")[1:]).with_suffix(".py")).exists()
        }
        - found
    ):
        found |= more
    return found


def calls(path: Path) -> set[str]:
    """The names of the functions and classes that a module calls."""
    return {getattr(node.func, "id", "") for node in nodes(path) if isinstance(node, ast.Call)}


def errors_of(path: Path) -> set[Code]:
    """The codes that a module names and that can be errors."""
    attributes = (node for node in nodes(path) if isinstance(node, ast.Attribute))
    found = {Code[one.attr] for one in attributes if getattr(one.value, "id", "") == "Code"}
    return {code for code in found if Severity.ERROR in code.severities}


def test_every_code_that_can_hold_something_holds_something_here() -> None:
    """A new error that holds gets a part of a world, or a row of the rules."""
    can_hold = {str(code) for path in judging() for code in errors_of(path)}
    assert {"policy-issuer", "hyperdrive-unread", "zone-not-found", "wrangler-syntax", "chain-broken"} <= can_hold
    held = held_codes()
    assert can_hold - held == NEVER_HOLDS | BY_OPENSSL_ONLY
