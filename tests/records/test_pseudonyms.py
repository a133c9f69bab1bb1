"""Recordings with pseudonyms: no name is left, and the plan is the same but for the names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import get_type_hints

import pytest

from reconciler.findings.errors import ReconcilerError
from reconciler.model import EntryId, Policy, StoreKind
from reconciler.model.certificate_policy import CertificatePolicy
from reconciler.model.hostnames import CaList, FoundZone
from reconciler.model.live import Live, hostnames_user
from reconciler.model.ownership import read_mark
from reconciler.plan.assessment import PlanOptions
from reconciler.plan.inputs import PlanInputs, Recording, replay
from reconciler.plan.live import DeployChoice
from reconciler.plan.users import users_by_entry
from reconciler.records import pseudonyms
from reconciler.records.pseudonyms import with_pseudonyms
from reconciler.records.recording import recording_text
from reconciler.runs.recording import make_rsa
from reconciler.x509.certificates import key_digest
from tests.plan import test_agreement
from tests.records.test_recording import WORLDS, everything, types_in
from tests.support.pki import NOW, make_ca
from tests.support.replays import demand_same
from tests.support.worlds import actual, codes, desired, entry, file, shown, uid, waits, worker

REFUSED = {
    "unfit: DSA",
    "unfit: a key of unknown type",
    "unfit: an extension that can't be read",
    "odd: key-encoding",
    "odd: name-constraints",
}
"""What depends on bytes that can't be written without what they say; the recording is refused, and says so."""


@pytest.mark.parametrize("name", test_agreement.PARTS)
def test_worlds_with_every_kind_of_error_have_the_same_plan_or_are_refused(name: str) -> None:
    """A certificate that its odd bytes make odd can't be written again."""
    made = test_agreement.assess_world([test_agreement.PARTS[name](10), test_agreement.superseded(40)])
    inputs = PlanInputs(desired=made.desired, actual=made.actual, now=made.now, ask=made.ask, findings=made.findings)
    if name not in REFUSED:
        demand_same(inputs)
        return
    with pytest.raises(ReconcilerError, match="can't be replaced") as refused:
        with_pseudonyms(inputs, make_rsa)
    assert "--pseudonyms" in str(refused.value.hint)


@pytest.mark.parametrize("name", WORLDS)
def test_worlds_of_every_rule_have_the_same_plan(name: str) -> None:
    """With live Workers, and with all conditions."""
    wanted, there = WORLDS[name]
    ask = PlanOptions(prune=True, deploy=DeployChoice(everybody=True), every_condition=True)
    demand_same(PlanInputs(desired=wanted, actual=there, now=NOW, ask=ask, show_live=True))


def texts_in(value: object) -> Iterator[str]:
    """Every text in a JSON document, keys too."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield key
            yield from texts_in(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts_in(one)
    elif isinstance(value, str):
        yield value


def poisoned(inputs: PlanInputs) -> tuple[PlanInputs, set[str]]:
    """The inputs with a text of its own in each field that has one, and these texts."""
    told: set[str] = set()

    class Poison(pseudonyms._Pseudonyms):
        def text(self, role: pseudonyms.TextRole, text: str) -> str:
            if role is pseudonyms.TextRole.KEEP or text in pseudonyms._kept(role) or role is pseudonyms.TextRole.ID:
                return text
            told.add(f"secretname{len(told)}x")
            return f"secretname{len(told) - 1}x"

    return Poison(make_rsa).walk(inputs), told


def test_no_text_of_any_field_is_left() -> None:
    """Of every type that a plan is made from; a field that is added later is replaced, too, without being listed."""
    inputs, told = poisoned(everything())
    assert len(told) > 50
    names = pseudonyms._Pseudonyms(make_rsa)
    names.walk(inputs)
    names.settle()
    text = recording_text(Recording(names.walk(inputs), pseudonyms=True))
    assert "secretname" not in text
    assert "Test Root" not in text


def test_certificates_have_nothing_that_tells_which_they_were() -> None:
    """No name, key, serial number, fingerprint or key ID; but the same dates, kinds of keys, and chain."""
    ca = make_ca("Acme Root")
    issued = ca.issue_ca("Acme Issuing CA").issue("billing.acme.example")
    wanted = desired({"billing": None}, [worker(tables={None: {"B": "billing"}})])
    wanted = replace(wanted, bundles=dict.fromkeys(wanted.declaration.certificates, issued.bundle))
    there = actual([], {"checkout": file({None: {"B": "TODO"}})})
    inputs = PlanInputs(desired=wanted, actual=there, now=NOW)
    (old,), (new,) = inputs.desired.bundles.values(), with_pseudonyms(inputs, make_rsa).desired.bundles.values()
    for one, two in zip(old.certificates, new.certificates, strict=True):
        assert (one.not_valid_before_utc, one.not_valid_after_utc) == (
            two.not_valid_before_utc,
            two.not_valid_after_utc,
        )
        assert one.serial_number != two.serial_number
        assert key_digest(one) != key_digest(two)
        assert [each.oid for each in one.extensions] == [each.oid for each in two.extensions]
    new.certificates[0].verify_directly_issued_by(new.certificates[1])
    assert not any(b"cme" in der for der in new.ders)


def protected(glob: str, **rules: object) -> PlanInputs:
    """An old upload that a glob protects."""
    policy = Policy(protect=(glob,), certificates=CertificatePolicy(**rules), prune=True)  # type: ignore[arg-type]
    wanted = desired({"billing": 2}, [worker(tables={None: {"B": "billing"}})], policy=policy, store=StoreKind.LOCAL)
    there = actual(
        [entry(1, 1, "@billing", age=90), entry(2, 2, "@billing", age=10)], {"checkout": file({None: {"B": uid(2)}})}
    )
    return PlanInputs(desired=wanted, actual=there, now=NOW)


def test_hostnames_that_are_read_twice_stay_one_user() -> None:
    """A joined text is replaced as its parts are."""
    listed = CaList("z1", uid(1), ("a.example.com", "B.example.com", "c.example.com", "d.example.com"))
    user = hostnames_user(listed)
    assert user is not None
    live = Live(users={uid(1): (user,)}, users_of=frozenset({uid(1)}))
    there = replace(actual([entry(1, 1)]), live=live, zones=(FoundZone("example.com", ("z1",), (listed,)),))
    made = with_pseudonyms(PlanInputs(desired=desired({}), actual=there, now=NOW, ask=PlanOptions()), make_rsa)
    (users,) = users_by_entry(made.actual).values()
    assert [one.name for one in users] == ["host-1, host-2, host-3 and 1 more"]


def test_globs_match_what_they_matched() -> None:
    """They become the pseudonyms of that; one that matches nothing stays one."""
    for glob, held in (("bill*", ["billing protected"]), ("led*", [])):
        inputs = protected(glob)
        hidden = replay(with_pseudonyms(inputs, make_rsa))
        assert [one.split()[-1] for one in waits(hidden)] == [one.split()[-1] for one in held]
    (glob,) = with_pseudonyms(protected("led*"), make_rsa).desired.declaration.policy.protect
    assert glob.startswith("unmatched")


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ({"common_names": ("client-*",)}, None),
        ({"common_names": ("other-*",)}, "policy-name"),
        ({"issuers": ("Test Root",)}, None),
        ({"issuers": ("CN=Test Root",)}, None),
        ({"issuers": ("CN=Other",)}, "policy-issuer"),
        ({"names": ("bill*",)}, None),
        ({"names": ("led*",)}, "policy-name"),
    ],
)
def test_rules_about_names_allow_what_they_allowed(rules: dict[str, object], code: str | None) -> None:
    """Of names of certificates, of what is in them, and of who issued them."""
    hidden = with_pseudonyms(protected("x", **rules), make_rsa)
    found = [one for one in codes(replay(hidden)) if one.startswith("policy-")]
    assert found == ([code] if code else [])


def test_marks_and_ids_stay_what_they_are() -> None:
    """A mark of this stack is one of its pseudonym, with the digest of the new content; an ID of a store one of it."""
    hidden = with_pseudonyms(protected("bill*"), make_rsa)
    listing = hidden.actual.listing
    assert listing is not None
    marks = [read_mark(one) for one in listing.entries]
    assert {(one.stack, one.certificate) for one in marks if one} == {("stack-1", "certificate-1")}
    assert all(one.id.startswith("10ca1000-") for one in listing.entries)
    assert shown(replay(hidden)) == []


def test_an_id_that_is_written_in_another_way_stays_the_same_id() -> None:
    """In upper case and with spaces it was meant as one."""
    inputs = protected("x")
    odd = EntryId(f" {uid(2).upper()}")
    inputs = replace(inputs, actual=replace(inputs.actual, files={"checkout": file({None: {"B": odd}})}))  # type: ignore[dict-item]
    (found,) = with_pseudonyms(inputs, make_rsa).actual.files.values()
    written = found.environments[None].bindings[0].certificate_id
    listing = with_pseudonyms(inputs, make_rsa).actual.listing
    assert listing is not None
    assert written == f" {listing.entries[1].id.upper()}"


def test_every_role_is_of_a_field_that_exists() -> None:
    """The tables name no field that was renamed."""
    known = types_in(PlanInputs)
    for kind, name in (*pseudonyms._OF_FIELDS, *pseudonyms._PATTERNS):
        assert kind in known
        assert name in {one.name for one in fields(kind)}, (kind, name)
        assert "str" in str(get_type_hints(kind)[name]) or "Mapping" in str(get_type_hints(kind)[name])


def test_words_of_formats_are_all_that_is_kept() -> None:
    """In a recording with pseudonyms every text is one of them, a pseudonym, or a word of the format."""
    text = json.loads(recording_text(Recording(with_pseudonyms(protected("bill*"), make_rsa), pseudonyms=True)))
    inputs = text["inputs"]["actual"]
    assert "billing" not in str(inputs)
    assert not any("checkout" in one or "BILLING" in one for one in texts_in(inputs))
