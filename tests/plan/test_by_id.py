"""What bindings name by `{ id = ... }`: its end is watched, and both stacks hear of a newer one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from reconciler.findings.codes import Code, Severity
from reconciler.model import (
    BindingChange,
    CertificateName,
    Declaration,
    DeclaredWorker,
    Desired,
    Entry,
    EntryId,
    Live,
    LiveVersion,
    LiveWorker,
    Policy,
    RenewBefore,
    StoreKind,
    Sweep,
)
from reconciler.model.ownership import mark_name
from reconciler.plan.inventory import Role
from reconciler.plan.plan import Plan
from reconciler.records.saved_plan import read_plan
from reconciler.reports.explain import explain
from reconciler.reports.status import make_status
from reconciler.views.table import Display, render
from reconciler.x509.certificates import Bundle
from tests.support.pki import DAY, END, NOW, make_ca
from tests.support.worlds import (
    CONFIG,
    actual,
    bundle,
    codes,
    days_ago,
    desired,
    entry,
    file,
    plan_of,
    shown,
    uid,
    waits,
    worker,
)

ROOT = make_ca("By Id Root")
SOON = ROOT.issue("soon", not_before=NOW - 60 * DAY, not_after=NOW + 5 * DAY).bundle
ENDED = ROOT.issue("ended", not_before=NOW - 90 * DAY, not_after=NOW - DAY).bundle
LATER = ROOT.issue("later", not_before=NOW + 9 * DAY, not_after=NOW + 400 * DAY).bundle
SHORT = ROOT.issue("short", not_before=NOW - 5 * DAY, not_after=NOW + 9 * DAY).bundle


def stored(number: int, content: Bundle, name: str = "by hand", *, age: float = 30) -> Entry:
    """An uploaded certificate; `name` as `books:ledger` is the mark of that stack and certificate."""
    stack, _, certificate = name.partition(":")
    name = mark_name(stack, CertificateName(certificate), content.digest) if certificate else name
    return Entry(id=uid(number), name=name, certificates=content.pem(), uploaded_on=days_ago(age))


def by_id(number: int) -> DeclaredWorker:
    return worker("checkout", {None: {"LEDGER": f"id:{uid(number)}"}})


def plan(
    *entries: Entry,
    found: str | None = None,
    wanted: Desired | None = None,
    workers: Sequence[DeclaredWorker] = (),
    policy: Policy | None = None,
    now: datetime = NOW,
) -> Plan:
    """The plan of a stack with LEDGER bound to the first entry by its id, in mtls.toml and in the file."""
    wanted = wanted or desired({}, workers or [by_id(1)], policy=policy)
    files = {"checkout": file({None: {"LEDGER": found or uid(1)}})}
    return plan_of(wanted, actual(entries, files, asked={uid(1): None} if not entries else {}), now=now)


# --- its end --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "policy", "codes_found"),
    [
        (bundle(1), None, []),
        (SOON, None, ["by-id-due"]),
        (ENDED, None, ["bound-expired"]),
        (bundle(1), Policy(renew_before=RenewBefore(timedelta(days=360))), ["by-id-due"]),
        (SOON, Policy(renew_before=RenewBefore(timedelta(days=1))), []),
        (SHORT, Policy(renew_before=RenewBefore(timedelta(days=45))), []),
    ],
    ids=[
        "not due",
        "due by the default",
        "ended",
        "due by the policy",
        "not due yet by the policy",
        "shorter than the policy's time, so by the default",
    ],
)
def test_what_is_bound_by_its_id_is_due_by_the_policy(
    content: Bundle, policy: Policy | None, codes_found: list[str]
) -> None:
    """Nobody renews it here, so a warning is all there can be: no change, nothing that waits."""
    made = plan(stored(1, content), policy=policy)
    assert (codes(made), shown(made), waits(made)) == (codes_found, [], [])


def test_the_warning_says_who_manages_it_and_where_it_is_used() -> None:
    """And that the id has to change here, too."""
    (found,) = plan(stored(1, SOON, "books:ledger")).diagnostics
    assert found.message == (
        f"{uid(1)} (books.ledger.{SOON.digest[:12]}) has been due for renewal since 2026-11-06 and expires on"
        f" {NOW + 5 * DAY:%Y-%m-%d %H:%M} UTC; LEDGER in {CONFIG} (top level) uses it by its ID"
    )
    assert found.hint == "it is managed by the stack 'books': have it renewed there, then change the ID in mtls.toml"


def test_one_that_can_not_be_read_ends_when_the_store_says() -> None:
    """Its lifetime is unknown, so it is due a month before."""
    unread = replace(stored(1, SOON), certificates="no PEM", expires_on=NOW + 29 * DAY)
    assert codes(plan(unread)) == ["by-id-due"]
    assert codes(plan(replace(unread, expires_on=NOW + 31 * DAY))) == []
    assert codes(plan(replace(unread, expires_on=None))) == []


def test_an_ended_one_that_is_declared_and_not_bound_yet_is_an_error_once() -> None:
    """The binding is held; there is no second finding for the same."""
    made = plan(stored(1, ENDED), entry(2, 2), found=uid(2))
    assert codes(made) == ["certificate-expired"]


def test_several_bindings_are_one_row_and_one_finding() -> None:
    """Each place is named once."""
    tables = {None: {"LEDGER": f"id:{uid(1)}", "B": f"id:{uid(1)}"}, "staging": {"LEDGER": f"id:{uid(1)}"}}
    wanted = desired({}, [worker("checkout", tables)])
    files = {"checkout": file({None: {"LEDGER": uid(1), "B": uid(1)}, "staging": {"LEDGER": uid(1)}})}
    made = plan_of(wanted, actual([stored(1, SOON)], files))
    (row,) = made.assessment.by_id
    assert len(row.bindings) == 3
    assert codes(made) == ["by-id-due"]


@pytest.mark.parametrize(
    ("workers", "role"),
    [
        ([worker("checkout", {None: {}})], Role.FOREIGN),
        ([worker("checkout", {None: {}}, exclusive=False)], None),
    ],
    ids=["in a file of this stack alone", "in a file where another stack binds too"],
)
def test_a_binding_that_nobody_declares_is_watched_in_files_of_this_stack(
    workers: list[DeclaredWorker], role: Role | None
) -> None:
    """`status` else says that nothing needs attention, until the day on which it ends."""
    made = plan(stored(1, SOON), workers=workers)
    assert [row.role for row in made.assessment.by_id] == ([] if role is None else [role])
    assert codes(made) == ([] if role is None else ["by-id-due"])


def test_the_current_entry_of_a_certificate_bound_by_its_id_is_not_watched_twice() -> None:
    """It has the row of its certificate."""
    wanted = desired({"ledger": 1}, [by_id(1)])
    assert plan(entry(1, 1, "@ledger"), wanted=wanted).assessment.by_id == ()


def test_an_id_that_is_not_found_is_a_row_without_dates() -> None:
    """The error of its binding says the rest."""
    made = plan()
    (row,) = made.assessment.by_id
    assert (row.entry, row.role, row.not_after, row.renew_from) == (None, Role.UNKNOWN, None, None)
    assert codes(made) == ["unknown-entry"]


def test_offline_nothing_is_known_of_it() -> None:
    """And nothing is said."""
    made = plan_of(desired({}, [by_id(1)]), actual(None, {"checkout": file({None: {"LEDGER": uid(1)}})}))
    assert [(row.id, row.not_after) for row in made.assessment.by_id] == [(uid(1), None)]
    assert codes(made) == []


# --- a newer one of the same name -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Newer:
    """What the store has beside LEDGER's, which is `books.ledger` of 30 days ago; `newer`: which one is named."""

    what: str
    entries: tuple[Entry, ...]
    newer: int | None
    first: Entry = field(default_factory=lambda: stored(1, bundle(1), "books:ledger"))


NEWER = [
    Newer("a later one under the same name", (stored(2, bundle(2), "books:ledger", age=3),), 2),
    Newer("an older one under the same name", (stored(2, bundle(2), "books:ledger", age=60),), None),
    Newer("a later one of another certificate", (stored(2, bundle(2), "books:other", age=3),), None),
    Newer("a later one of another stack", (stored(2, bundle(2), "shop:ledger", age=3),), None),
    Newer(
        "a later one whose name is no mark",
        (replace(stored(2, bundle(2), age=3), name=f"books.ledger.{'0' * 12}"),),
        None,
    ),
    Newer(
        "a later one whose time is not known", (replace(stored(2, bundle(2), "books:ledger"), uploaded_on=None),), None
    ),
    Newer("a later one that has ended", (stored(2, ENDED, "books:ledger", age=3),), None),
    Newer("a later one that is a CA", (replace(stored(2, bundle(2), "books:ledger", age=3), ca=True),), None),
    Newer("a later one that is not valid yet", (stored(2, LATER, "books:ledger", age=3),), 2),
    Newer(
        "a later one, and an even later one",
        (stored(2, bundle(2), "books:ledger", age=9), stored(3, bundle(3), "books:ledger", age=3)),
        3,
    ),
    Newer(
        "one that is valid, and a later one that is not yet",
        (stored(2, bundle(2), "books:ledger", age=9), stored(3, LATER, "books:ledger", age=3)),
        2,
    ),
    Newer(
        "its own time is not known",
        (stored(2, bundle(2), "books:ledger", age=3),),
        None,
        replace(stored(1, bundle(1), "books:ledger"), uploaded_on=None),
    ),
    Newer("it has no mark", (stored(2, bundle(2), "by hand", age=3),), None, stored(1, bundle(1), "by hand")),
]


@pytest.mark.parametrize("case", NEWER, ids=[case.what for case in NEWER])
def test_a_newer_one_is_what_was_uploaded_later_under_the_same_mark(case: Newer) -> None:
    """Only that: whatever is not sure is not said."""
    made = plan(case.first, *case.entries)
    (row,) = made.assessment.by_id
    assert (row.newer.id if row.newer else None) == (uid(case.newer) if case.newer else None)
    assert codes(made) == (["by-id-outdated"] if case.newer else [])


def test_the_other_stack_is_told_the_line_to_write() -> None:
    """Whatever else the line says stays."""
    declared = worker("checkout", {None: {"LEDGER": f"id:{uid(1)}"}, "my env": {"OLD": f"id:{uid(1)}"}})
    (binding,) = declared.environments[None]
    declared = replace(declared, environments={**declared.environments, None: (replace(binding, remote=True),)})
    files = {"checkout": file({None: {"LEDGER": uid(1)}, "my env": {"OLD": uid(1)}})}
    entries = [stored(1, SOON, "books:ledger"), stored(2, bundle(2), "books:ledger", age=3)]
    found = next(
        one for one in plan_of(desired({}, [declared]), actual(entries, files)).diagnostics if "newer" in one.message
    )
    assert found.message == (
        f"LEDGER in {CONFIG} (top level), OLD in {CONFIG} (my env) use {uid(1)} of the stack 'books', which"
        f" uploaded a newer certificate under the name 'ledger': {uid(2)} ({days_ago(3):%Y-%m-%d});"
        f" {uid(1)} expires on {NOW + 5 * DAY:%Y-%m-%d %H:%M} UTC"
    )
    assert (found.hint or "").splitlines() == [
        "change the ID in mtls.toml:",
        "[workers.checkout.bindings]",
        f'LEDGER = {{ id = "{uid(2)}", remote = true }}',
        '[workers.checkout.env."my env".bindings]',
        f'OLD = {{ id = "{uid(2)}" }}',
    ]


def test_a_newer_one_that_is_not_valid_yet_is_said_with_the_time_from_which_it_is() -> None:
    """Changed today, the binding would wait, or fail."""
    made = plan(stored(1, bundle(1), "books:ledger"), stored(2, LATER, "books:ledger", age=3))
    hint = made.diagnostics[-1].hint or ""
    assert hint.startswith(f"change the ID in mtls.toml once it is valid ({NOW + 9 * DAY:%Y-%m-%d %H:%M} UTC):\n")


def test_an_old_one_of_this_stack_is_to_be_bound_by_its_name() -> None:
    """Then every renewal reaches it."""
    wanted = desired({"ledger": 2}, [by_id(1)])
    made = plan(entry(1, 1, "@ledger", age=40), entry(2, 2, "@ledger", age=20), wanted=wanted)
    (row,) = made.assessment.by_id
    assert (row.owner, row.role) == ("ledger", Role.SUPERSEDED)
    found = next(one for one in made.diagnostics if one.code == "by-id-outdated")
    assert f"an old certificate of 'ledger'; the current one is {uid(2)}" in found.message
    assert (
        found.hint == 'bind the certificate by its name in mtls.toml:\n[workers.checkout.bindings]\nLEDGER = "ledger"'
    )


def test_a_binding_that_nobody_declares_is_to_be_changed_in_its_file() -> None:
    """There is no line of mtls.toml."""
    made = plan(
        stored(1, bundle(1), "books:ledger"),
        stored(2, bundle(2), "books:ledger", age=3),
        workers=[worker("checkout", {None: {}})],
    )
    assert made.diagnostics[-1].hint == f"write {uid(2)} into {CONFIG}"


# --- both stacks ----------------------------------------------------------------------------------------------------

OLD_ID, NEW_ID = EntryId("00000001-0000-4000-8000-000000000000"), EntryId("00000002-0000-4000-8000-000000000000")
OURS = Live(workers={"ledger": LiveWorker("ledger", (LiveVersion("v1", {"LEDGER": NEW_ID}, 100.0),))}, whole=True)
THEIRS = LiveWorker("checkout", (LiveVersion("v7", {"LEDGER": OLD_ID}, 100.0),))


@dataclass(frozen=True)
class Seen:
    """What the stack that rotated can see of the one that binds by id; `says`: its words about the old entry."""

    what: str
    says: str | None
    sweep: Sweep | None = field(default_factory=Sweep)
    live: Live | None = field(default_factory=lambda: OURS)
    age: float = 20


SEEN = [
    Seen(
        "one repository: its files name the old id",
        "its ID is in shop/mtls.toml, shop/wrangler.toml",
        Sweep(mentions={OLD_ID: ("shop/mtls.toml", "shop/wrangler.toml")}),
    ),
    Seen(
        "another repository, one account: its Worker is live with it",
        "it is used by version v7 of checkout (100 % of the traffic)",
        live=replace(OURS, workers={**OURS.workers, "checkout": THEIRS}),
    ),
    Seen(
        "another repository: live Workers were not read", "live Workers were not checked, and might use it", live=None
    ),
    Seen("the grace is not over, so no one was asked", "its grace period is not over", None, None, age=2),
    Seen("nothing uses it any more", None),
]


def two_stacks(seen: Seen) -> tuple[Plan, Plan]:
    """The plan of `payments`, which has rotated `ledger`, and that of `shop`, which binds the old one by its id."""
    old = replace(entry(1, 1, "@ledger", age=40), id=OLD_ID)
    new = replace(entry(2, 2, "@ledger", age=seen.age), id=NEW_ID)
    own = worker("ledger", {None: {"LEDGER": "ledger"}}, config="ledger/wrangler.toml")
    found = file({None: {"LEDGER": NEW_ID}}, path="ledger/wrangler.toml", script="ledger")
    wanted = desired({"ledger": 2}, [own], store=StoreKind.CLOUDFLARE)
    ours = plan_of(wanted, actual([old, new], {"ledger": found}, sweep=seen.sweep, live=seen.live))
    theirs = desired({}, [worker("checkout", {None: {"LEDGER": f"id:{OLD_ID}"}})], store=StoreKind.CLOUDFLARE)
    declaration: Declaration = replace(theirs.declaration, stack="shop")
    there = actual([old, new], {"checkout": file({None: {"LEDGER": OLD_ID}})})
    return ours, plan_of(replace(theirs, declaration=declaration), there)


@pytest.mark.parametrize("seen", SEEN, ids=[seen.what for seen in SEEN])
def test_both_stacks_hear_of_an_old_certificate_that_is_still_bound_by_its_id(seen: Seen) -> None:
    """The one that binds it always does; the one that rotated as far as it can see, and never says what it can't."""
    ours, theirs = two_stacks(seen)
    assert [wait.detail for wait in ours.waiting] == ([] if seen.says is None else [seen.says])
    assert codes(theirs) == ["by-id-outdated"]
    assert f"of the stack 'payments', which uploaded a newer certificate under the name 'ledger': {NEW_ID}" in next(
        one.message for one in theirs.diagnostics if one.code == "by-id-outdated"
    )


def test_once_the_id_is_changed_both_are_silent() -> None:
    """The other stack binds the new one."""
    new = replace(entry(2, 2, "@ledger", age=20), id=NEW_ID)
    theirs = desired({}, [worker("checkout", {None: {"LEDGER": f"id:{NEW_ID}"}})], store=StoreKind.CLOUDFLARE)
    theirs = replace(theirs, declaration=replace(theirs.declaration, stack="shop"))
    made = plan_of(theirs, actual([new], {"checkout": file({None: {"LEDGER": NEW_ID}})}))
    assert (shown(made), codes(made)) == ([], [])
    (row,) = made.assessment.by_id
    assert (row.role, row.mark.stack if row.mark else None, row.not_after) == (Role.OTHER_STACK, "payments", END)


# --- what it is -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("found", [uid(9), "<CERTIFICATE_ID>", uid(2)], ids=["unknown ID", "placeholder", "another"])
def test_a_change_to_an_id_of_another_stack_shows_what_it_is_and_is_a_warning(found: str) -> None:
    """A UUID alone would give a Worker the identity of another team in one unreadable line."""
    made = plan(stored(1, bundle(1), "books:ledger"), stored(2, bundle(2)), found=found)
    (change,) = made.changes
    assert isinstance(change, BindingChange)
    assert change.identity is not None
    assert (change.identity.stack, change.identity.certificate) == ("books", "ledger")
    (warned,) = [one for one in made.diagnostics if one.code is Code.ID_OF_OTHER_STACK]
    assert warned.severity is Severity.WARNING
    assert "ledger of the stack books (CN=client-1)" in warned.message
    assert uid(1) in warned.message
    for text in (render(made, "text", Display(width=None)), render(made, "text", Display(width=60))):
        assert "ledger of the stack books (CN=client-1)" in " ".join(text.split())
    (part,) = json.loads(render(made, "json", Display()))["changes"]
    assert (part["identity"]["stack"], part["identity"]["subject"]) == ("books", "CN=client-1")


def test_a_saved_plan_shows_what_an_id_is() -> None:
    """Without the store, from what was approved."""
    made = plan(stored(1, bundle(1), "books:ledger"), found=uid(9))
    saved = read_plan(render(made, "json", Display()).encode(), "plan.json")
    assert "ledger of the stack books (CN=client-1)" in render(saved, "text", Display())


def test_a_binding_that_waits_shows_what_its_id_is_and_warns() -> None:
    """It is approved before it happens."""
    made = plan(stored(1, LATER, "books:ledger"), stored(2, bundle(2)), found=uid(2))
    assert (made.changes, waits(made)) == ((), ["None not-valid-yet"])
    assert "id-of-other-stack" in codes(made)
    assert "ledger of the stack books (CN=later)" in render(made, "text", Display())


def test_an_id_that_the_worker_has_already_is_no_warning() -> None:
    """The change was approved; a warning for ever would be read by nobody."""
    assert codes(plan(stored(1, bundle(1), "books:ledger"))) == []


@pytest.mark.parametrize("name", ["by hand", "payments:ledger", ""])
def test_an_id_of_no_other_stack_shows_what_it_is_without_a_warning(name: str) -> None:
    """Whoever uploaded it by hand, or under our mark."""
    made = plan(stored(1, bundle(1), name), found=uid(9))
    assert "id-of-other-stack" not in codes(made)
    assert "(CN=client-1)" in render(made, "text", Display())


def test_what_others_named_is_shown_as_text() -> None:
    """An entry's name may be anything."""
    made = plan(stored(1, bundle(1), "x\x1b[2J\n::error::"), found=uid(9))
    text = render(made, "text", Display())
    assert "\x1b" not in text
    assert not any(line.lstrip().startswith("::") for line in text.splitlines())


@pytest.mark.parametrize("found", [uid(1), uid(9)], ids=["in place", "to be changed"])
def test_status_and_explain_show_what_an_id_is(found: str) -> None:
    """The binding's story, the certificate's, and the row of the status."""
    made = plan(stored(1, bundle(1), "books:ledger"), found=found)
    told = render(explain("LEDGER", made), "text", Display())
    assert "ledger of the stack books (CN=client-1)" in told
    assert "subject     CN=client-1" in render(explain(uid(1), made), "text", Display())
    (part,) = json.loads(render(make_status(made), "json", Display()))["by_id"]
    assert part["subject"] == "CN=client-1"
    detail = render(replace(make_status(made), asked=True), "text", Display())
    assert "CN=client-1" in detail
