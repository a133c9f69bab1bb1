"""Recordings: they have everything that a plan is made from, and give the same plan; and what is none is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator

from reconciler.desired.freezes import parse_freeze
from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place, Pointer
from reconciler.findings.errors import InputError
from reconciler.model import (
    Act,
    Actual,
    BrokenFile,
    CertificateName,
    Desired,
    EntryId,
    Listing,
    Live,
    LiveVersion,
    LiveWorker,
    Policy,
    StoreKind,
    Sweep,
    User,
    UserKind,
    WorkerLabel,
)
from reconciler.model.certificate_policy import AllowedKey, CertificatePolicy
from reconciler.model.declared import Deployer, Origin, RenewBefore
from reconciler.model.declared import Gate as ProofGate
from reconciler.model.found import Built
from reconciler.model.hostnames import CaList, DeclaredZone, FoundZone
from reconciler.model.hyperdrive import DeclaredHyperdrive, HyperdriveConfig, Hyperdrives
from reconciler.model.key_places import RENEWED, CommandSink, FileSink, KeyReference, KeySlots, SopsSink, VaultSink
from reconciler.model.renewal import CloudflareIssuer, CommandIssuer, DeclaredIssuer, Renewal, StepIssuer, VaultIssuer
from reconciler.plan.assessment import PlanOptions
from reconciler.plan.inputs import CallsMade, PlanInputs, Recording, replay, under
from reconciler.plan.live import DeployChoice
from reconciler.plan.plan import Selection
from reconciler.plan.weakened import Weakened
from reconciler.records.recording import MAX_COMMAS, VALUES, read_recording, recording_text
from reconciler.records.values import fields_of
from reconciler.x509.certificates import Bundle
from tests.plan import test_agreement, test_deploys, test_retire_live, test_rules
from tests.support.paths import REPOSITORY
from tests.support.pki import NOW
from tests.support.replays import as_recorded, recorded, replayed
from tests.support.worlds import (
    REAL_ID,
    actual,
    bundle,
    certificate,
    codes,
    desired,
    entry,
    file,
    pem,
    shown,
    uid,
    waits,
    worker,
)

SCHEMA = Draft202012Validator(json.loads((REPOSITORY / "schemas/recording.schema.json").read_text()))
CONFIG = "workers/checkout/wrangler.toml"


def everything() -> PlanInputs:
    """Inputs in which every field of every type has another value than its default."""
    freezes = (
        parse_freeze("2027-12-20", "2027-12-30", "Europe/Berlin", "holidays"),
        parse_freeze("fri", "sun", "UTC", None),
    )
    rules = CertificatePolicy(
        timedelta(days=400),
        (AllowedKey("RSA", 2048),),
        ("CN=Test Root",),
        ("1.2.3",),
        ("2.5.29.17",),
        False,
        ("*",),
        ("*",),
        frozenset({"names"}),
    )
    policy = Policy(
        RenewBefore(share=0.3),
        timedelta(hours=1),
        True,
        3,
        4,
        2,
        frozenset({ProofGate.RETIRE}),
        True,
        rules,
        20,
        ("led*",),
        freezes,
        timedelta(minutes=1),
        5,
        50,
        ("vault",),
    )
    key = KeyReference("pkcs12", {"pkcs12": "a.p12"}, KeyReference("env", {"env": "PASS"}))
    billing = certificate(
        "billing",
        key=key,
        verify=Origin("https://a.example/", "ca.pem", "clients.pem", 204),
        verify_before=frozenset({ProofGate.UPLOAD}),
        supersedes=(str(uid(9)),),
        renew_before=RenewBefore(timedelta(days=9)),
        grace=timedelta(seconds=90),
        owner="team",
    )
    renewals = [
        Renewal("step", FileSink("keys"), "EC P-256", "CN=b", ("DNS:b",), timedelta(days=9)),
        Renewal("pki", SopsSink("secrets")),
        Renewal("zone", VaultSink("mtls", "kv")),
        Renewal("own", CommandSink(("w",), ("r",), ("l",), ("d",))),
    ]
    renewing = [
        certificate(
            f"r{number}",
            renew=one,
            key=KeyReference(RENEWED, {RENEWED: "x"}, slots=KeySlots("r", one.sink, "5", key, ("s",), "a" * 32)),
        )
        for number, one in enumerate(renewals)
    ]
    issuers = [
        DeclaredIssuer("step", StepIssuer("https://ca.example", "mtlsctl", key, "ca.pem")),
        DeclaredIssuer("pki", VaultIssuer("billing", "pki2")),
        DeclaredIssuer("zone", CloudflareIssuer("0" * 32)),
        DeclaredIssuer("own", CommandIssuer(("sign",), ("VAULT_TOKEN",))),
    ]
    drive = DeclaredHyperdrive("db", "h1", CertificateName("billing"), CertificateName("ca"), "verify-full")
    zone = DeclaredZone("example.com", {CertificateName("ca"): ("api.example.com",)})
    ca = certificate("ca", ca=True, key=None)
    tables: Mapping[str | None, Mapping[str, str]] = {None: {"B": "billing", "L": f"id:{uid(4)}"}, "None": {}}
    checkout = worker(tables=tables, exclusive=False, undeployed=frozenset({"None"}), deploy=Deployer.WRANGLER)
    wanted = desired(
        {"billing": 1, "ca": 2, "bad": None, **{one.name: None for one in renewing}},
        [checkout, worker("other", {None: {}}, config="o.toml")],
        declared=[billing, ca, *renewing],
        policy=policy,
        former_stacks=("old",),
        store=StoreKind.CLOUDFLARE,
        limit=9,
    )
    first, *others = checkout.environments[None]
    tables_there = {**checkout.environments, None: (replace(first, remote=True), *others)}
    workers = {**wanted.declaration.workers, checkout.label: replace(checkout, environments=tables_there)}
    store = replace(wanted.declaration.store, account_id="0" * 32)
    whole = replace(
        wanted.declaration, store=store, workers=workers, hyperdrives=(drive,), zones=(zone,), fleet_act=Act.NONE
    )
    wanted = replace(wanted, declaration=replace(whole, issuers={one.name: one for one in issuers}))
    here = file({None: {"B": uid(1)}, "None": {"X": "\\ud800 \ud800 \\"}}, taken={None: {"KV": "kv"}}, script="shop")
    there = here.environments[None]
    bound = replace(there.bindings[0], remote=True)
    environments = {**here.environments, None: replace(there, bindings=(bound,), account_id="0" * 32)}
    here = replace(
        here,
        environments=environments,
        worker_name="shop",
        previews=(bound,),
        pages=True,
        built=Built("dist/wrangler.json", frozenset({("B", uid(1)), ("A", uid(2))}), "shop"),
    )
    where = Pointer("o.toml", ("env", 0), at_key=True)
    problem = Diagnostic(Severity.ERROR, Code.FILE, "broken", where, "mend it", "billing")
    broken = {WorkerLabel("other"): BrokenFile("o.toml", (problem,), uid(1).encode())}
    stored = replace(
        entry(1, 1, "@billing"),
        issuer="CN=x",
        serial_number="12",
        signature="SHA",
        expires_on=NOW,
        type="keyless",
        ca=True,
    )
    version = LiveVersion("v1", {"B": uid(1)}, 12.5, 1, NOW)
    live = Live(
        {"shop": LiveWorker("shop", (version,)), "gone": None},
        {uid(1): (User(UserKind.HYPERDRIVE, "db", "h1", "live"),)},
        {"w": "403"},
        True,
        frozenset({uid(1)}),
        {"hostnames": "404"},
    )
    there_is = Actual(
        {WorkerLabel("checkout"): here},
        Listing((stored,), False, timedelta(seconds=-2.5), {True: 1, False: 2}),
        {uid(4): entry(4, 4), EntryId(REAL_ID): None},
        Sweep({uid(1): ("a.toml",)}, ("b.toml",)),
        live,
        frozenset({uid(7)}),
        broken,
        Hyperdrives((HyperdriveConfig("h1", "db", {"sslmode": "require"}),), ("403", "ask")),
        (
            FoundZone("example.com", ("z1",), (CaList("z1", uid(2), ("API.example.com", "own.example.com")),)),
            FoundZone("example.net", unread=("403", None)),
        ),
    )
    ask = PlanOptions(
        "billing",
        "ledger",
        DeployChoice(
            True,
            True,
            True,
            True,
            frozenset({WorkerLabel("checkout")}),
            frozenset({"shop"}),
            frozenset({"h1"}),
            frozenset({"z1"}),
        ),
        timedelta(minutes=5),
        True,
        True,
        frozenset({"old"}),
        frozenset({"vault"}),
        True,
        "why",
    )
    return PlanInputs(
        desired=wanted,
        actual=there_is,
        now=NOW,
        ask=ask,
        findings=(problem, replace(problem, where=Place("c", 1, 2))),
        selection=Selection(("bill*",), "billing"),
        allow_deletes=1,
        allow_unbinds=2,
        at=True,
        show_live=True,
        refuses=True,
        calls=CallsMade(3, 4),
        commit="abc",
        weakened=(Weakened("g", "1", "2", "policy.g", ("policy", "g"), "less"),),
        compared=(problem,),
    )


def types_in(kind: Any, found: dict[type, None] | None = None) -> dict[type, None]:
    """Every dataclass that a value of this type can contain."""
    found = {} if found is None else found
    if isinstance(kind, type) and is_dataclass(kind) and kind not in found and kind not in VALUES.forms:
        found[kind] = None
        for _, hint in fields_of(kind):
            types_in(hint, found)
    for part in get_args(kind):
        types_in(part, found)
    return found


def values_in(value: Any) -> Iterator[Any]:
    """Every dataclass value in a value."""
    if is_dataclass(value) and not isinstance(value, type):
        yield value
        if type(value) not in VALUES.forms:
            for one in fields(value):
                yield from values_in(getattr(value, one.name))
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from values_in(key)
            yield from values_in(one)
    elif isinstance(value, tuple | frozenset):
        for one in value:
            yield from values_in(one)


@pytest.mark.parametrize("kind", types_in(PlanInputs), ids=lambda kind: kind.__name__)
def test_every_field_of_what_a_plan_is_made_from_is_recorded(kind: type) -> None:
    """A new field of any type is written, or this fails; and `everything` above must have a value that shows it."""
    inputs = everything()
    there = [one for one in values_in(inputs) if type(one) is kind]
    assert there, f"`everything` has no {kind.__name__}"
    written = VALUES.write(kind, there[0])
    assert isinstance(written, dict)
    assert list(written) == [one.name for one in fields(kind)]
    for one in fields(kind):
        assert any(getattr(value, one.name) != one.default for value in there), f"{kind.__name__}.{one.name}"
    assert all(VALUES.read(kind, VALUES.write(kind, value)) == value for value in there)


def test_desired_and_actual_are_among_what_is_recorded() -> None:
    """So that the test above is about them."""
    assert {Desired, Actual, Policy, Listing, Live, Sweep, PlanOptions} <= types_in(PlanInputs).keys()


def test_everything_is_read_back_as_it_was() -> None:
    """And its document fits the schema, which knows every key."""
    inputs = everything()
    assert recorded(inputs) == inputs
    document = json.loads(recording_text(Recording(inputs, {Pointer("a", ("b",)): Place("a", 1, 2)})))
    assert list(SCHEMA.iter_errors(document)) == []


@pytest.mark.parametrize("name", test_agreement.PARTS)
def test_worlds_with_every_kind_of_error_are_replayed(name: str) -> None:
    """Certificates that no origin takes among them, to the byte."""
    made = test_agreement.assess_world([test_agreement.PARTS[name](10), test_agreement.superseded(40)])
    inputs = PlanInputs(
        desired=made.desired, actual=made.actual, now=made.now, ask=made.ask, findings=made.findings, refuses=True
    )
    assert replayed(inputs) == replace(replay(inputs), replayed=False)


WORLDS = {
    **{f"rule: {row.rule}": (row.wanted, row.there) for row in test_rules.ROWS},
    **{
        f"{kind}: {name}": (made.assessment.desired, made.assessment.actual)
        for kind, rows in (
            ("live", [(row.name, row.plan()) for row in test_retire_live.GATES]),
            ("deploy", [(row.name, test_deploys.plan_of(row)) for row in test_deploys.ROWS]),
        )
        for name, made in rows
    },
}


@pytest.mark.parametrize("name", WORLDS)
def test_worlds_of_every_rule_are_replayed(name: str) -> None:
    """Online and offline, with live Workers and without."""
    wanted, there = WORLDS[name]
    ask = PlanOptions(prune=True, deploy=DeployChoice(everybody=True), every_condition=True)
    for shows in (False, True):
        inputs = PlanInputs(desired=wanted, actual=there, now=NOW, ask=ask, show_live=shows)
        assert replayed(inputs) == replace(replay(inputs), replayed=False)


# --- secrets --------------------------------------------------------------------------------------------------------

SECRET = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgc3VwZXJzZWNyZXQ\n"


def test_of_a_wrangler_file_that_is_broken_only_the_known_ids_are_recorded() -> None:
    """Its text may be anything; the condition that reads it holds all the same."""
    text = f'[vars]\ntoken = "hunter2"\n{SECRET}\nid = "{uid(1)}" "{uid(2)}" "{uid(3)}"'.lower().encode()
    problem = Diagnostic(Severity.ERROR, Code.FILE, "broken")
    there = actual([entry(1, 1, "@billing", age=90), entry(3, 3, "@billing", age=10)], {})
    broken = {WorkerLabel("checkout"): BrokenFile(CONFIG, (problem,), text)}
    wanted = desired({"billing": 3}, [worker(tables={None: {}})])
    inputs = PlanInputs(desired=wanted, actual=replace(there, broken=broken), now=NOW)
    (kept,) = recorded(inputs).actual.broken.values()
    assert kept.text == f"{uid(1)} {uid(3)}".encode()
    assert waits(replayed(inputs)) == ["billing bound-in-file"]
    assert replayed(inputs) == as_recorded(replace(replay(inputs), replayed=False), inputs)


@pytest.mark.parametrize("secret", [SECRET, SECRET.splitlines()[1], "cfut_" + "A1b2" * 10])
def test_a_secret_in_any_text_is_left_out(secret: str) -> None:
    """Wherever it lies: in what a store returned beside the certificates, in a name, an ID, a sentence, a key."""
    inputs = everything()
    (first,) = inputs.actual.listing.entries if inputs.actual.listing else ()
    told = replace(first, name=secret, certificates=pem(1) + secret, issuer=secret)
    named = replace(inputs.findings[0], message=f"see {secret}", hint=secret, where=Pointer(secret, (secret,)))
    inputs = replace(
        inputs,
        actual=replace(
            inputs.actual,
            listing=Listing((told, replace(told, certificates=secret))),
            asked={EntryId(secret): None},
            live=Live(unread={secret: secret}),
        ),
        findings=(named,),
        commit=secret,
        selection=Selection((secret,), secret),
    )
    text = recording_text(Recording(inputs, {Pointer("a", (secret,)): Place(secret)}))
    assert "PRIVATE" not in text
    assert secret.splitlines()[-1][:20] not in text
    assert read_recording(text.encode(), "x").inputs.actual.listing is not None


# --- files that are none ----------------------------------------------------------------------------------------------


def changed(change: Mapping[str, object] | str, at: str = "") -> bytes:
    """A recording in which one value is another."""
    document = json.loads(recording_text(Recording(everything())))
    target = document
    for key in at.split(".")[:-1] if at else ():
        target = target[int(key) if key.isdigit() else key]
    target[at.rsplit(".", 1)[-1]] = change
    return json.dumps(document).encode()


BAD: Mapping[str, tuple[bytes, str]] = {
    "nothing": (b"", "Invalid JSON"),
    "no JSON": (b"stack = 1", "Invalid JSON"),
    "a list": (b"[]", "the document: Input should be an object"),
    "another document": (b'{"format": "mtlsctl.plan/1"}', "format: Input should be 'mtlsctl.recording/1'"),
    "deep": (b'{"a":' * 5000 + b"1" + b"}" * 5000, "recursion limit"),
    "many values": (b"[" + b"1," * MAX_COMMAS + b"1, 1]", "more values than a recording can have"),
    "a key that is unknown": (
        changed("x", "inputs.actual.later"),
        "inputs.actual.later: this version does not",
    ),
    "an action of another type": (changed("x", "inputs.allow_deletes"), "inputs.allow_deletes: must be a whole number"),
    "a word that is unknown": (changed("zip", "inputs.desired.declaration.store.kind"), "store.kind: is not valid"),
    "a time without a zone": (changed("2026-01-01T00:00:00", "inputs.now"), "inputs.now: must have a time zone"),
    "a duration that is none": (changed("7d", "inputs.desired.declaration.policy.grace"), "grace: must be a number"),
    "a zone that is a path": (
        changed("../x", "inputs.desired.declaration.policy.freezes.0.zone"),
        "zone: is not valid",
    ),
    "no certificate": (
        changed({"pem": "x"}, "inputs.desired.bundles.billing"),
        "billing: is not valid: must have certificates",
    ),
    "no object": (changed("x", "inputs.desired"), "inputs.desired: must be an object"),
    "nothing of it": (changed("x", "inputs"), "inputs: must be an object"),
    "no pair": (changed([[1]], "places"), "a pair of key and value must have two values"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_recording_is_refused_with_the_place_of_the_mistake(name: str) -> None:
    """One finding, at the file."""
    data, words = BAD[name]
    with pytest.raises(InputError) as raised:
        read_recording(data, "recording.json")
    (problem,) = raised.value.problems
    assert (problem.code, problem.where) == (Code.RECORDING_FILE, Place("recording.json"))
    assert words in problem.message
    assert len(problem.message) < 400


def test_a_recording_of_another_version_that_can_t_be_read_names_that_version() -> None:
    """So a person knows what to install."""
    text = recording_text(Recording(everything(), version="99.1")).replace('"inputs": {', '"inputs": {"new": 1,', 1)
    with pytest.raises(InputError) as raised:
        read_recording(text.encode(), "recording.json")
    assert "recorded by mtlsctl 99.1" in str(raised.value.hint)


def test_a_recording_of_an_older_version_lacks_what_came_later() -> None:
    """A field with a default may be missing."""
    document = json.loads(recording_text(Recording(everything())))
    del document["inputs"]["actual"]["unasked"]
    del document["inputs"]["ask"]
    read = read_recording(json.dumps(document).encode(), "x").inputs
    assert (read.actual.unasked, read.ask) == (frozenset(), PlanOptions())


# --- another policy ---------------------------------------------------------------------------------------------------


def old_one(grace: timedelta, sweep: Sweep | None, live: Live | None, kind: StoreKind = StoreKind.LOCAL) -> PlanInputs:
    """An upload that was superseded ten days ago."""
    wanted = desired({"billing": 2}, [worker(tables={None: {"B": "billing"}})], policy=Policy(grace=grace), store=kind)
    there = actual(
        [entry(1, 1, "@billing", age=90), entry(2, 2, "@billing", age=10)],
        {"checkout": file({None: {"B": uid(2)}}, script="shop")},
        sweep=sweep,
        live=live,
    )
    return PlanInputs(desired=wanted, actual=there, now=NOW)


def test_another_policy_gives_the_plan_that_it_would_have_given() -> None:
    """A longer grace period keeps what the recorded plan deletes."""
    inputs = old_one(timedelta(days=7), Sweep(), None)
    assert shown(replayed(inputs)) == ["retire billing superseded"]
    longer = under(recorded(inputs), Policy(grace=timedelta(days=30)), ())
    assert (shown(replay(longer)), waits(replay(longer))) == ([], ["billing grace"])


def test_what_the_recorded_run_did_not_search_is_kept_under_another_policy() -> None:
    """The recorded policy kept it, so the tree was not searched for it."""
    inputs = old_one(timedelta(days=30), None, None)
    assert waits(replayed(inputs)) == ["billing grace"]
    shorter = under(recorded(inputs), Policy(grace=timedelta(0)), ())
    assert (shown(replay(shorter)), waits(replay(shorter))) == ([], ["billing unchecked"])
    searched_for_others = replace(inputs, actual=replace(inputs.actual, sweep=Sweep()))
    shorter = under(recorded(searched_for_others), Policy(grace=timedelta(0)), ())
    assert waits(replay(shorter)) == ["billing unchecked"]


def test_live_workers_that_were_read_less_deeply_keep_everything_under_another_policy() -> None:
    """A policy that protects more rollbacks needs versions that the recorded run did not read."""
    read = Live({"shop": LiveWorker("shop", (LiveVersion("v", {"B": uid(2)}, 100.0),))}, whole=True)
    inputs = old_one(timedelta(days=7), Sweep(), read, StoreKind.CLOUDFLARE)
    assert shown(replayed(inputs)) == ["retire billing superseded"]
    same = under(recorded(inputs), Policy(grace=timedelta(days=8)), ())
    assert shown(replay(same)) == ["retire billing superseded"]
    deeper = under(recorded(inputs), Policy(grace=timedelta(days=7), rollback_versions=3), ())
    assert waits(replay(deeper)) == ["billing live-unchecked"]


def test_findings_about_the_recorded_policy_are_replaced_by_those_about_the_other() -> None:
    """The others stay."""
    old, new, other = (
        Diagnostic(Severity.WARNING, Code.FREEZE, text, Pointer("mtls.toml", keys))
        for text, keys in (("old", ("policy", "freeze")), ("new", ("policy",)), ("other", ("stack",)))
    )
    inputs = replace(old_one(timedelta(days=7), Sweep(), None), findings=(old, other))
    assert under(inputs, Policy(), (new, other)).findings == (other, new)


def test_the_parts_of_a_recording_are_values() -> None:
    """Of a certificate its bytes, of a time its zone."""
    assert VALUES.read(Bundle, VALUES.write(Bundle, bundle(1))) == bundle(1)
    assert VALUES.write(datetime, datetime(2027, 1, 1, tzinfo=UTC)) == "2027-01-01T00:00:00Z"
    assert codes(replay(recorded(old_one(timedelta(days=7), Sweep(), None)))) == []
    assert CertificateName("billing") in recorded(everything()).desired.bundles
