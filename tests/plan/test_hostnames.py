"""Hostnames as users of CAs: what is added, what waits, and what their trust keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.desired.freezes import parse_freeze
from reconciler.findings.codes import Severity
from reconciler.model import (
    CaList,
    CertificateName,
    Condition,
    DeclaredZone,
    Desired,
    Entry,
    EntryId,
    FoundZone,
    HostnamesAddress,
    Policy,
    Update,
)
from reconciler.model.ownership import mark_name
from reconciler.plan.assess import judge
from reconciler.plan.assessment import PlanOptions
from reconciler.plan.guards import hold
from reconciler.plan.live import NOBODY, DeployChoice
from reconciler.plan.plan import Plan, Selection, make_plan
from reconciler.records.saved_plan import read_plan
from reconciler.views.table import Display, render
from reconciler.x509.certificates import parse_stored
from tests.plan.test_hyperdrives import ASKED, waits
from tests.support.pki import DAY, NOW, make_ca
from tests.support.reports import place
from tests.support.worlds import actual, ca_bundle, certificate, desired, entry, uid

ZONE, ZONE_ID = "example.com", "0123456789abcdef0123456789abcdef"
API, PAY = "api.example.com", "pay.example.com"
AT = HostnamesAddress(ZONE, ZONE_ID, CertificateName("root"))


def ca_entry(number: int, name: str = "@root", age: float = 1) -> Entry:
    """An uploaded CA; `@root` is the mark of a declared one."""
    bundle = ca_bundle(number)
    marked = mark_name("payments", CertificateName(name[1:]), bundle.digest) if name.startswith("@") else name
    return replace(entry(number, number, "x", age=age, ca=True), name=marked, certificates=bundle.pem())


OLD, NEW = ca_entry(1, age=60), ca_entry(2, age=30)


def trusted(*lists: tuple[int, Sequence[str]], ids: tuple[str, ...] = (ZONE_ID,)) -> FoundZone:
    """The zone as it was read, with the hostnames of these entries."""
    return FoundZone(ZONE, ids, tuple(CaList(ZONE_ID, uid(number), tuple(names)) for number, names in lists))


def plan_of(
    contents: Mapping[str, int],
    entries: Sequence[Entry],
    *found: FoundZone,
    zones: Sequence[DeclaredZone] | None = None,
    hosts: tuple[str, ...] = (API, PAY),
    choice: DeployChoice = ASKED,
    only: tuple[str, ...] = (),
    policy: Policy | None = None,
) -> Plan:
    """The plan of a run that was asked to update, with all CAs; by default `hosts` are to trust `root`."""
    cas = [certificate(name, ca=True, key=None) for name in contents]
    made = desired(contents, declared=cas, policy=policy)
    zones = (DeclaredZone(ZONE, {CertificateName("root"): hosts}),) if zones is None else zones
    bundles = {CertificateName(name): ca_bundle(number) for name, number in contents.items()}
    wanted = Desired(replace(made.declaration, zones=tuple(zones)), bundles)
    seen = replace(actual(entries), zones=found)
    return make_plan(judge(wanted, seen, NOW, PlanOptions(deploy=choice, prune=True)), Selection(only))


def updates(plan: Plan) -> list[tuple[str | None, str | None, tuple[str, ...], tuple[str, ...]]]:
    """The updates: the CA before and after, what is added, and what is listed already."""
    changes = [change for change in plan.changes if isinstance(change, Update)]
    return [(change.before, change.after, change.names, change.listed) for change in changes]


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ([], [(None, uid(2), (API, PAY), ())]),
        ([(2, [PAY, API])], []),
        ([(2, ["own.example.com", PAY, API])], []),
        ([(2, ["API.example.com", PAY])], []),
        ([(2, [PAY, "own.example.com"])], [(uid(2), uid(2), (API,), (PAY, "own.example.com"))]),
        ([(1, [API, PAY])], [(uid(1), uid(2), (API, PAY), ())]),
        ([(1, [API, PAY]), (2, [API])], [(uid(1), uid(2), (PAY,), (API,))]),
        ([(1, [API, PAY]), (2, [API, PAY])], []),
        ([(1, ["own.example.com"])], [(None, uid(2), (API, PAY), ())]),
    ],
    ids=[
        "none yet",
        "in another order",
        "with others",
        "in upper case",
        "one is missing, and another stays",
        "they trust the old CA",
        "one has moved",
        "both CAs",
        "others trust the old CA",
    ],
)
def test_what_the_list_of_the_current_ca_lacks_is_added(
    lists: list[tuple[int, list[str]]], expected: list[object]
) -> None:
    """Lists are compared as sets; nothing is ever removed."""
    assert updates(plan_of({"root": 2}, [OLD, NEW], trusted(*lists))) == expected


def test_a_new_ca_gets_the_hostnames_once_it_is_uploaded() -> None:
    """In the same run; they trust the old one until then, and after it."""
    plan = plan_of({"root": 2}, [OLD], trusted((1, [API, PAY])))
    assert [str(change.action) for change in plan.changes] == ["upload", "update"]
    assert updates(plan) == [(uid(1), None, (API, PAY), ())]
    assert waits(plan) == [("retire", "successor-missing")]


def test_without_being_asked_it_waits() -> None:
    """It takes effect at once; it is no change and no error."""
    plan = plan_of({"root": 2}, [NEW], trusted(), choice=DeployChoice())
    assert (plan.changes, waits(plan), plan.exit_code) == ((), [("update", "update-not-requested")], 0)
    assert plan_of({"root": 2}, [NEW], trusted(), choice=NOBODY).changes == ()


@pytest.mark.parametrize(
    ("choice", "is_made"),
    [
        (DeployChoice(allowed=True), True),
        (DeployChoice(zones=frozenset({ZONE_ID})), True),
        (DeployChoice(zones=frozenset({"f" * 32})), False),
    ],
    ids=["by the operator", "by a saved plan", "of another zone"],
)
def test_who_may_ask_for_it(choice: DeployChoice, is_made: bool) -> None:
    """As for deploys."""
    assert bool(updates(plan_of({"root": 2}, [NEW], trusted(), choice=choice))) is is_made


def test_the_old_ca_is_kept_while_hostnames_trust_it_and_the_plan_says_which() -> None:
    """Both may be trusted while clients move; a person ends that, and the plan says how."""
    policy = Policy(grace=timedelta(0))
    plan = plan_of({"root": 2}, [OLD, NEW], trusted((1, [API]), (2, [API, PAY])), policy=policy)
    (wait,) = plan.waiting
    assert (wait.condition, plan.changes) == (Condition.STILL_TRUSTED, ())
    assert wait.detail.startswith("hostnames still trust it: api.example.com (zone example.com); once no client has")
    assert "(how: mtlsctl explain still-trusted)" in wait.detail
    both = trusted((1, [API, "own.example.com"]), (2, [API, PAY]))
    (wait,) = plan_of({"root": 2}, [OLD, NEW], both, policy=policy).waiting
    assert "these trust only it, not its successor: own.example.com (zone example.com); declare these" in wait.detail
    after = plan_of({"root": 2}, [OLD, NEW], trusted((1, []), (2, [API, PAY])), policy=policy)
    assert [str(change.action) for change in after.changes] == ["retire"]


def test_the_old_ca_waits_first_for_what_must_still_trust_its_successor() -> None:
    """Also where only one hostname is missing."""
    plan = plan_of({"root": 2}, [OLD, NEW], trusted((1, [API, PAY]), (2, [API])), choice=DeployChoice())
    (_, retire) = plan.waiting
    assert retire.condition is Condition.BINDINGS_PENDING
    assert retire.detail == "the hostnames of the zone example.com that trust root must trust its successor first"


def test_hostnames_that_are_not_declared_are_reported_and_stay() -> None:
    """As a note of every report."""
    plan = plan_of({"root": 2}, [NEW], trusted((2, [API, "own.example.com", PAY])))
    (note,) = plan.diagnostics
    assert (note.severity, str(note.code)) == (Severity.INFO, "hostnames-foreign")
    assert note.message == "in the zone example.com, own.example.com also trusts 'root', not managed here"
    assert plan.changes == ()


@pytest.mark.parametrize(
    ("found", "code", "message"),
    [
        (trusted(ids=()), "zone-not-found", "the account has no zone with the name 'example.com'"),
        (trusted(ids=("a", "b")), "zone-not-found", "the account has 2 zones with the name 'example.com': a, b"),
        (FoundZone(ZONE, unread=("no answer", "wait")), "hostnames-unread", "they could not be read: no answer"),
    ],
    ids=["none", "several", "unread"],
)
def test_a_zone_that_can_not_be_used_holds_its_own_changes_alone(found: FoundZone, code: str, message: str) -> None:
    """The upload is made, and the other zone gets its hostnames."""
    root = CertificateName("root")
    zones = [DeclaredZone(ZONE, {root: (API,)}), DeclaredZone("example.net", {root: ("a.example.net",)})]
    other = FoundZone("example.net", ("f" * 32,))
    plan = plan_of({"root": 2}, [], found, other, zones=zones)
    assert [str(change.action) for change in plan.changes] == ["upload", "update"]
    (problem,) = plan.diagnostics
    assert str(problem.code) == code
    assert message in problem.message


def test_one_zone_under_its_name_and_its_id_is_an_error() -> None:
    """Each list has one place."""
    root = CertificateName("root")
    zones = [DeclaredZone(ZONE, {root: (API,)}), DeclaredZone(ZONE_ID, {root: (PAY,)})]
    found = FoundZone(ZONE, (ZONE_ID,)), FoundZone(ZONE_ID, (ZONE_ID,))
    plan = plan_of({"root": 2}, [NEW], *found, zones=zones)
    assert (updates(plan), [str(one.code) for one in plan.diagnostics]) == ([], ["hostnames-declared-twice"] * 2)


def test_two_names_for_one_ca_in_a_zone_are_an_error() -> None:
    """The list is of the uploaded certificate, so the first name has it."""
    zone = DeclaredZone(ZONE, {CertificateName("root"): (API,), CertificateName("same"): (PAY,)})
    plan = plan_of({"root": 2, "same": 2}, [NEW], trusted(), zones=[zone])
    assert [names for _, _, names, _ in updates(plan)] == [(API,)]
    (problem,) = plan.diagnostics
    assert (str(problem.code), problem.certificate) == ("hostnames-declared-twice", "same")


def test_offline_it_is_unknown() -> None:
    """The store was not read."""
    made = desired({"root": 2}, declared=[certificate("root", ca=True, key=None)])
    zones = (DeclaredZone(ZONE, {CertificateName("root"): (API,)}),)
    wanted = Desired(replace(made.declaration, zones=zones), made.bundles)
    plan = make_plan(judge(wanted, replace(actual([]), listing=None), NOW, PlanOptions(deploy=ASKED)))
    assert "whether the hostnames of the zone example.com trust it" in [one.message for one in plan.unknown]


def test_a_ca_that_is_not_valid_yet_waits_while_another_one_is_trusted() -> None:
    """As for a binding."""
    plan = plan_of({"root": 2}, [OLD, NEW], trusted((1, [API, PAY])))
    late = parse_stored(make_ca("late", not_before=NOW + DAY).certificate_pem.decode())
    assert late is not None
    wanted = Desired(plan.assessment.desired.declaration, {CertificateName("root"): late})
    made = make_plan(judge(wanted, plan.assessment.actual, NOW, PlanOptions(deploy=ASKED)))
    assert ("update", "not-valid-yet") in waits(made)


def test_a_freeze_holds_it() -> None:
    """Like every change."""
    freeze = parse_freeze("2026-01-01", "2027-01-01", "UTC", "holidays")
    plan = hold(plan_of({"root": 2}, [NEW], trusted(), policy=Policy(freezes=(freeze,))), refuses=True)
    assert (plan.changes, waits(plan)) == ((), [("update", "frozen")])


def test_a_full_account_says_so_before_a_rotation_of_a_ca_begins() -> None:
    """Nothing is uploaded or added, and the message says why the old one is in the way."""
    others = [ca_entry(number, f"other-{number}") for number in range(3, 7)]
    plan = plan_of({"root": 2}, [OLD, *others], trusted((1, [API, PAY])))
    assert plan.changes == ()
    (problem,) = plan.diagnostics
    assert str(problem.code) == "quota"
    assert problem.message == (
        "'root' can't be uploaded: the quota for CA certificates (5) is reached, and the old CA stays until a person"
        " removes its hostnames"
    )
    assert (problem.hint or "").startswith("make a place first: delete by hand a CA that nothing uses")


def test_a_full_account_names_the_old_cas_that_wait_only_for_their_grace_period() -> None:
    """They can be deleted at once; a CA that no hostname trusts waits for nobody."""
    others = [ca_entry(number, f"other-{number}") for number in range(3, 5)]
    grown = [ca_entry(5, "@other", age=60), ca_entry(6, "@other", age=1)]
    plan = plan_of({"other": 6, "root": 2}, [OLD, *others, *grown], trusted((1, [])))
    (problem,) = plan.diagnostics
    assert problem.message.endswith("is reached, and the old CA stays until its grace period is over")
    assert f"`mtlsctl retire {uid(5)} --now` (other); or delete by hand" in (problem.hint or "")
    (problem,) = plan_of({"root": 7}, [OLD, NEW, *map(ca_entry, range(3, 6), "abc")], trusted((1, []))).diagnostics
    assert f"put the file of {NEW.id} back, run `mtlsctl retire root --now`" in (problem.hint or "")
    at_once = plan_of({"root": 2}, [OLD, *others, *grown], trusted((1, [])), policy=Policy(grace=timedelta(0)))
    assert "the old CA stays until the new one is uploaded" in " ".join(one.message for one in at_once.diagnostics)


def test_the_digest_covers_the_zone_the_new_hostnames_and_those_before() -> None:
    """In any order; what was approved is added to the list that was seen."""
    lists = ([(2, ["a", "b"])], [(2, ["b", "a"])], [(2, ["a"])], [(2, ["a", "b", API])])
    same, other_order, fewer, one_less = (plan_of({"root": 2}, [NEW], trusted(*one)).digest for one in lists)
    assert same == other_order
    assert len({same, fewer, one_less}) == 3


def test_a_plan_is_the_same_after_it_was_saved() -> None:
    """With zone, hostnames and list."""
    plan = plan_of({"root": 2}, [OLD, NEW], trusted((1, [API, PAY]), (2, ["own.example.com"])))
    text = render(plan, "json", Display(place))
    saved = read_plan(text.encode(), "plan.json")
    assert saved.digest == plan.digest
    (change,) = [change for change in saved.changes if isinstance(change, Update)]
    assert (change.at, change.names, change.listed) == (AT, (API, PAY), ("own.example.com",))
    part = next(one for one in json.loads(text)["changes"] if one["action"] == "update")
    assert (part["zone"], part["zone_id"], part["hostnames"]) == (ZONE, ZONE_ID, [API, PAY])


@pytest.mark.parametrize("width", [60, 80, None])
@pytest.mark.parametrize("choice", [ASKED, DeployChoice()], ids=["to be added", "waiting"])
def test_a_plan_names_every_hostname_whole(width: int | None, choice: DeployChoice) -> None:
    """A reviewer must see what will trust the CA."""
    hosts = tuple(f"{'a-long-label-' * 2}{number}.example.com" for number in range(4))
    plan = plan_of({"root": 2}, [OLD, NEW], trusted((1, [API])), hosts=hosts, choice=choice)
    shown = render(plan, "text", Display(place, width=width))
    assert all(host in shown for host in hosts)
    assert "4 new hostnames" in shown


def test_a_list_can_not_be_made_without_the_whole_id_of_a_ca() -> None:
    """Cloudflare takes an empty ID for the CA that it manages, so no call for that can exist."""
    for text in ("", " ", "10ca1000", uid(1)[:-1], uid(1).replace("-", ""), f"{uid(1)}\n"):
        with pytest.raises(ValueError, match="not the whole ID of a CA"):
            CaList(ZONE_ID, EntryId(text), ("api.example.com",))
    with pytest.raises(ValueError, match="is not a zone"):
        CaList("", uid(1))
