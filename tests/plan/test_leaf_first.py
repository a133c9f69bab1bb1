"""The content digest is of a set of certificates; the first of them is the one that a Worker presents."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.findings.codes import Code, Severity
from reconciler.model import Action, CertificateName, Desired, Entry, Listing, Upload
from reconciler.model.ownership import mark_name
from reconciler.plan.assessment import Held, UpToDate
from reconciler.plan.inventory import take_inventory
from reconciler.plan.plan import Plan, change_key
from reconciler.x509.certificates import Bundle, stored_fields
from tests.support.pki import make_ca
from tests.support.worlds import STACK, actual, certificate, desired, entry, file, plan_of, uid, worker

ROOT = make_ca("Root")
INTERMEDIATE = ROOT.issue_ca("Intermediate")
LEAF = INTERMEDIATE.issue("client")
RIGHT = LEAF.bundle
TURNED = Bundle(RIGHT.ders[::-1])
BILLING = CertificateName("billing")


def declaring(chains: dict[str, Bundle], bound: str = "billing", **settings: object) -> Desired:
    """These certificates, one of them bound as BILLING."""
    declared = [certificate(name, **settings) for name in chains]
    wanted = desired(dict.fromkeys(chains, 1), [worker("checkout", {None: {"BILLING": bound}})], declared=declared)
    return Desired(wanted.declaration, {CertificateName(name): bundle for name, bundle in chains.items()})


def uploaded(chain: Bundle, name: str = "", number: int = 1, *, ca: bool = False) -> Entry:
    """An entry with this chain, and the fields of its leaf."""
    fields = stored_fields(chain)
    made = entry(number, 1, name or mark_name(STACK, BILLING, chain.digest), ca=ca)
    return replace(made, certificates=chain.pem(), serial_number=fields.serial_number)


def planned(wanted: Desired, *entries: Entry) -> Plan:
    """The plan for it, the first entry already bound."""
    return plan_of(wanted, actual(entries, {"checkout": file({None: {"BILLING": uid(1)}})}))


def test_two_orders_are_one_content() -> None:
    """Which is why the order has to be looked at."""
    assert RIGHT.digest == TURNED.digest
    assert RIGHT != TURNED


@pytest.mark.parametrize("name", ["", "somebody's"], ids=["with our mark", "of somebody"])
def test_an_entry_with_another_leaf_first_is_an_error_and_is_never_used(name: str) -> None:
    """The Worker would present that one: neither adopted, nor bound, nor in place."""
    plan = planned(declaring({"billing": RIGHT}), uploaded(TURNED, name))
    (found,) = [one for one in plan.diagnostics if one.code is Code.LEAF_DIFFERS]
    assert (found.severity, found.certificate) == (Severity.ERROR, "billing")
    assert uid(1) in found.message
    assert "CN=Intermediate" in found.message
    assert (plan.changes, plan.adopted, plan.waiting) == ((), (), ())
    (row,) = plan.assessment.certificates
    (binding,) = plan.assessment.bindings
    assert isinstance(row.verdict, Held)
    assert isinstance(binding.verdict, Held)


def test_an_entry_with_the_right_leaf_is_used_beside_one_with_another() -> None:
    """The right one is there, so nothing is in the way; the binding moves to it."""
    plan = planned(declaring({"billing": RIGHT}), uploaded(TURNED), uploaded(RIGHT, number=2))
    assert [one.entry.id for one in plan.adopted] == [uid(2)]
    assert [(one.action, getattr(one, "after", None)) for one in plan.changes] == [(Action.REBIND, uid(2))]


def test_only_another_order_behind_the_leaf_is_a_warning() -> None:
    """The leaf is presented either way."""
    longer = Bundle((*RIGHT.ders, ROOT.der))
    turned = Bundle((longer.ders[0], *longer.ders[:0:-1]))
    plan = planned(declaring({"billing": longer}), uploaded(turned))
    assert [one.code for one in plan.diagnostics if one.code in (Code.CHAIN_ORDER, Code.LEAF_DIFFERS)] == [
        "chain-order"
    ]
    assert [one.entry.id for one in plan.adopted] == [uid(1)]


def test_a_store_may_give_a_chain_back_in_another_order() -> None:
    """Its own fields tell which certificate it is, so that our own upload is not refused for ever."""
    given_back = replace(uploaded(RIGHT), certificates=TURNED.pem())
    assert [one.entry.id for one in planned(declaring({"billing": RIGHT}), given_back).adopted] == [uid(1)]
    other = replace(uploaded(TURNED), certificates=RIGHT.pem())
    assert planned(declaring({"billing": RIGHT}), other).adopted == ()


def test_a_ca_file_has_no_leaf() -> None:
    """Each of its certificates counts."""
    cas = Bundle((ROOT.der, INTERMEDIATE.der))
    wanted = desired({"billing": 1}, declared=[certificate("billing", ca=True, key=None)])
    stored = uploaded(Bundle(cas.ders[::-1]), ca=True)
    inventory = take_inventory(Desired(wanted.declaration, {BILLING: cas}), Listing((stored,)), {})
    assert inventory.current == {BILLING: stored}
    assert inventory.refused == {}


@pytest.mark.parametrize("entries", [(), (uploaded(RIGHT),), (uploaded(TURNED),)], ids=["none", "right", "turned"])
def test_two_files_with_one_content_and_two_leaves_are_errors(entries: tuple[Entry, ...]) -> None:
    """They would share one upload, and one of the two Workers would present the wrong certificate."""
    plan = planned(declaring({"billing": RIGHT, "ledger": TURNED}), *entries)
    found = [one.certificate for one in plan.diagnostics if one.code is Code.LEAF_DIFFERS]
    assert {"billing", "ledger"} <= set(found)
    assert plan.changes == ()


def test_an_entry_with_another_leaf_first_can_be_bound_by_its_id() -> None:
    """Whoever writes the ID means that entry."""
    wanted = declaring({"ledger": RIGHT}, bound=f"id:{uid(1)}")
    plan = planned(wanted, uploaded(TURNED))
    assert isinstance(plan.assessment.bindings[0].verdict, UpToDate)


def test_an_approved_upload_is_of_one_leaf() -> None:
    """With the certificates of the file turned round, it is another change; a single one has no order."""
    (upload, _) = planned(declaring({"billing": RIGHT})).changes
    assert isinstance(upload, Upload)
    assert upload.leaf == RIGHT.fingerprint
    assert change_key(replace(upload, leaf=TURNED.fingerprint)) != change_key(upload)
    (alone, _) = planned(declaring({"billing": Bundle(RIGHT.ders[:1])})).changes
    assert "leaf" not in change_key(alone)
