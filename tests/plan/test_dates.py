"""No last valid certificate is retired, and no binding moves to one that has ended (rules 10 and 11)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from reconciler.findings.codes import Severity
from reconciler.findings.exits import ExitCode
from reconciler.model import CertificateName, Condition, Desired, Entry, Listing, Policy
from reconciler.model.ownership import mark_name
from reconciler.plan.plan import exit_code_of
from reconciler.x509.certificates import Bundle, parse_stored
from reconciler.x509.pem import encode
from tests.support.pki import BEGIN, END, NOW, make_ca
from tests.support.worlds import (
    STACK,
    actual,
    certificate,
    codes,
    days_ago,
    desired,
    file,
    plan_of,
    shown,
    uid,
    waits,
    worker,
)

DAY = timedelta(days=1)
BILLING = worker("checkout", {None: {"BILLING": "billing"}})
ROOT = make_ca("Dates Root", not_before=NOW - 4000 * DAY)


def chain(
    *, begin: datetime = BEGIN, end: datetime = END, issuer_begin: datetime = BEGIN, issuer_end: datetime = END
) -> Bundle:
    """A leaf with its intermediate, valid as told."""
    issuer = ROOT.issue_ca("Dates Issuer", not_before=issuer_begin, not_after=issuer_end)
    parsed = parse_stored(issuer.issue("dates", not_before=begin, not_after=end).chain_pem.decode())
    assert parsed is not None
    return parsed


def stored(number: int, content: Bundle, name: str = "@billing", *, age: float = 30, ca: bool = False) -> Entry:
    """An entry with this content."""
    if name.startswith("@"):
        name = mark_name(STACK, CertificateName(name[1:]), content.digest)
    return Entry(id=uid(number), name=name, ca=ca, certificates=content.pem(), uploaded_on=days_ago(age))


def declaring(contents: Mapping[str, Bundle], base: Desired) -> Desired:
    """The same with these contents."""
    return replace(base, bundles={CertificateName(name): content for name, content in contents.items()})


VALID = chain()
ENDED = chain(begin=NOW - 60 * DAY, end=NOW - DAY)
LATER = chain(begin=NOW + 10 * DAY)

NOT_YET = {
    "a leaf that begins later": LATER,
    "an intermediate that begins later": chain(issuer_begin=NOW + 10 * DAY),
    "a leaf that has ended": ENDED,
    "an intermediate that has ended": chain(issuer_begin=NOW - 60 * DAY, issuer_end=NOW - DAY),
}


@pytest.mark.parametrize("successor", NOT_YET.values(), ids=NOT_YET)
def test_an_entry_stays_while_its_successor_is_not_valid(successor: Bundle) -> None:
    """The old one is the last that works, however long its grace is over."""
    wanted = declaring({"billing": successor}, desired({"billing": 1}, [BILLING]))
    there = actual(
        [stored(1, VALID, age=300), stored(2, successor, age=100)], {"checkout": file({None: {"BILLING": uid(2)}})}
    )
    plan = plan_of(wanted, there)
    assert (shown(plan), waits(plan)) == ([], ["billing successor-not-valid"])


def test_the_wait_for_a_successor_says_until_when() -> None:
    """Until the successor begins; one that has ended never becomes valid, so no time is given."""
    files = {"checkout": file({None: {"BILLING": uid(2)}})}

    def until(successor: Bundle) -> datetime | None:
        wanted = declaring({"billing": successor}, desired({"billing": 1}, [BILLING]))
        there = actual([stored(1, VALID, age=300), stored(2, successor, age=100)], files)
        return plan_of(wanted, there).waiting[0].until

    assert until(LATER) == NOW + 10 * DAY
    assert until(ENDED) is None


def test_an_entry_that_has_ended_does_not_wait_for_a_valid_successor() -> None:
    """It serves nobody any more; the grace counts from the begin of its successor all the same."""
    base = desired({"billing": 1}, [BILLING], policy=Policy(grace=timedelta(0)))
    files = {"checkout": file({None: {"BILLING": uid(2)}})}
    there = actual([stored(1, ENDED, age=300), stored(2, LATER, age=100)], files)
    (waiting,) = plan_of(declaring({"billing": LATER}, base), there).waiting
    assert (waiting.condition, waiting.until) == (Condition.GRACE, NOW + 10 * DAY)


def test_an_orphan_waits_for_the_later_entry_of_its_subject_to_become_valid() -> None:
    """Its content may have been shared with the certificate that was rotated."""
    wanted = declaring({"billing": LATER}, desired({"billing": 1}, [BILLING], policy=Policy(prune=True)))
    there = actual(
        [stored(1, VALID, "@gone", age=300), stored(2, LATER, age=100)],
        {"checkout": file({None: {"BILLING": uid(2)}})},
    )
    assert waits(plan_of(wanted, there)) == ["gone successor-not-valid"]


def test_a_root_that_has_ended_does_not_count() -> None:
    """Origins use their own copy of it."""
    old_root = make_ca("Old Root", not_after=NOW - DAY)
    issuer = old_root.issue_ca("Dates Issuer")
    root = encode("CERTIFICATE", old_root.certificate.public_bytes(Encoding.DER))
    bundle = parse_stored(issuer.issue("dates").chain_pem.decode() + root)
    assert bundle is not None
    assert bundle.certificates[-1].not_valid_after_utc < NOW
    wanted = declaring({"billing": bundle}, desired({"billing": 1}, [BILLING]))
    there = actual(
        [stored(1, VALID, age=300), stored(2, bundle, age=100)], {"checkout": file({None: {"BILLING": uid(2)}})}
    )
    assert shown(plan_of(wanted, there)) == ["retire billing superseded"]


# --- bindings ------------------------------------------------------------------------------------------------------

BEFORE: Mapping[str, Mapping[str, str]] = {
    "no binding": {},
    "a valid entry": {"BILLING": uid(2)},
    "a placeholder": {"BILLING": "TODO"},
    "an entry that has ended": {"BILLING": uid(3)},
}


@pytest.mark.parametrize("table", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize("target", ["billing", f"id:{uid(1)}"], ids=["by name", "by id"])
def test_no_binding_moves_to_a_certificate_that_has_ended(table: Mapping[str, str], target: str) -> None:
    """Whatever is bound now, by name or by id, after a revert or not; it is an error."""
    other = chain(begin=NOW - 90 * DAY, end=NOW - 2 * DAY)
    wanted = declaring({"billing": ENDED}, desired({"billing": 1}, [worker("checkout", {None: {"BILLING": target}})]))
    entries = [stored(1, ENDED, age=50), stored(2, VALID, age=20), stored(3, other, "by hand")]
    plan = plan_of(wanted, actual(entries, {"checkout": file({None: table})}))
    assert shown(plan) == []
    held = [one for one in plan.diagnostics if one.code == "certificate-expired" and one.severity is Severity.ERROR]
    assert len(held) == 1
    assert exit_code_of(plan.diagnostics) is ExitCode.FAILED


def test_an_id_in_place_is_not_held_by_its_date_nor_is_its_remote() -> None:
    """Nothing moves."""
    wanted = declaring({"billing": ENDED}, desired({"billing": 1}, [BILLING]))
    there = actual([stored(1, ENDED)], {"checkout": file({None: {"BILLING": uid(1)}})})
    assert not [one for one in plan_of(wanted, there).diagnostics if one.severity is Severity.ERROR]
    remote = replace(
        BILLING,
        environments={None: tuple(replace(one, remote=True) for one in BILLING.environments[None])},
    )
    moved = declaring({"billing": ENDED}, desired({"billing": 1}, [remote]))
    assert shown(plan_of(moved, there)) == ["rebind BILLING remote-differs"]


def test_only_what_moves_to_the_ended_certificate_is_held() -> None:
    """The other binding of the same file is made."""
    two = worker("checkout", {None: {"BILLING": "billing", "LEDGER": "ledger"}})
    wanted = declaring({"billing": ENDED, "ledger": VALID}, desired({"billing": 1, "ledger": 2}, [two]))
    there = actual([stored(1, ENDED), stored(2, VALID, "@ledger")], {"checkout": file({})})
    assert shown(plan_of(wanted, there)) == ["bind LEDGER missing"]


def test_an_entry_whose_text_cannot_be_read_is_judged_by_the_date_that_the_store_lists() -> None:
    """The store shows when its leaf ends."""
    odd = Entry(id=uid(1), name="odd", certificates="no PEM", uploaded_on=days_ago(3), expires_on=NOW - DAY)
    wanted = desired({}, [worker("checkout", {None: {"BILLING": f"id:{uid(1)}"}})])
    plan = plan_of(wanted, actual([odd], {"checkout": file({})}))
    assert (shown(plan), codes(plan)) == ([], ["certificate-expired"])


def test_offline_a_binding_to_a_file_that_has_ended_is_held_too() -> None:
    """The file's dates need no store."""
    wanted = declaring({"billing": ENDED}, desired({"billing": 1}, [BILLING]))
    plan = plan_of(wanted, actual(None, {"checkout": file({})}))
    assert shown(plan) == []
    assert [one.severity for one in plan.diagnostics if one.code == "certificate-expired"].count(Severity.ERROR) == 1


def test_a_stable_list_is_no_reason_to_retire_what_still_serves() -> None:
    """The guard holds for a handed-over entry, too, which has no mark of ours."""
    handed = certificate("billing", supersedes=(uid(1),))
    wanted = declaring({"billing": LATER}, desired({"billing": 1}, [BILLING], declared=[handed]))
    there = actual(
        Listing((stored(1, VALID, "by hand", age=300), stored(2, LATER, age=100))).entries,
        {"checkout": file({None: {"BILLING": uid(2)}})},
    )
    assert waits(plan_of(wanted, there)) == ["billing successor-not-valid"]
