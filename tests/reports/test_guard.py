"""`guard`: what a deploy would upload, and why it is stopped or not. A row for each rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from reconciler.findings.codes import Code
from reconciler.findings.exits import ExitCode
from reconciler.model import Built, Entry, EntryId, EnvironmentName, StoreKind, WorkerLabel
from reconciler.plan.assess import judge
from reconciler.reports.guard import Guard, GuardScope, GuardVerdict, make_guard
from tests.support.pki import NOW, make_ca
from tests.support.worlds import CONFIG, REAL_ID, actual, certificate, desired, entry, file, pem, uid, worker

EVERYTHING = GuardScope(frozenset({CONFIG}))
PLACEHOLDER = "<CERTIFICATE_ID>"
_CA = make_ca("Guard Root")
ENDED = _CA.issue(
    "ended", not_before=NOW - timedelta(days=90), not_after=NOW - timedelta(days=1)
).certificate_pem.decode()
LATER = _CA.issue(
    "later", not_before=NOW + timedelta(days=3), not_after=NOW + timedelta(days=90)
).certificate_pem.decode()


def of(one: Entry, text: str) -> Entry:
    """The same upload with another certificate, under the mark that it has."""
    return replace(one, certificates=text)


@dataclass(frozen=True)
class Row:
    """One binding BILLING, what it has in the file, and what is uploaded: which code stops it, or None.

    `declared`: as in mtls.toml. `content`: of the declared certificate. `entries` None: offline.
    """

    what: str
    found: str | None
    code: Code | None
    entries: Sequence[Entry] | None = (entry(1, 1, "@billing"),)
    declared: Mapping[str, str] = field(default_factory=lambda: {"BILLING": "billing"})
    content: int | None = 1
    asked: Mapping[EntryId, Entry | None] = field(default_factory=dict)
    unasked: Sequence[EntryId] = ()


OLD, NEW = entry(1, 1, "@billing", age=30), entry(2, 2, "@billing", age=5)
ROWS = [
    Row("the current certificate is deployed", uid(1), None),
    Row("a binding that the file lacks", None, Code.GUARD_MISSING),
    Row("a placeholder", PLACEHOLDER, Code.GUARD_PLACEHOLDER),
    Row("an ID that the account does not have", uid(9), Code.GUARD_UNKNOWN, asked={uid(9): None}),
    Row("an ID that the list lacks and the account has", uid(9), None, entries=(), asked={uid(9): entry(9, 1)}),
    Row("an ID that was not asked for", uid(9), Code.GUARD_NOT_CHECKED, unasked=(uid(9),)),
    Row("a text that only looks like an ID", uid(9).upper(), Code.GUARD_UNKNOWN),
    Row("an ID of an account, with the local store", REAL_ID, Code.GUARD_NOT_CHECKED),
    Row("this checkout renewed, and nobody wrote the ID", uid(1), Code.GUARD_OLDER, (OLD, NEW), content=2),
    Row("a newer commit renewed: a stale branch", uid(1), Code.GUARD_OLDER, (OLD, NEW)),
    Row("a stale branch that renews, too", uid(1), Code.GUARD_OLDER, (OLD, NEW), content=3),
    Row("a branch that renews, before its upload", uid(2), Code.GUARD_BEHIND, (OLD, NEW), content=3),
    Row("a renewal that was uploaded a moment ago", uid(9), None, (OLD,), content=2, asked={uid(9): entry(9, 2)}),
    Row("a file ahead of mtls.toml", uid(2), Code.GUARD_DIFFERS, (OLD, NEW)),
    Row("the certificate of another name", uid(5), Code.GUARD_DIFFERS, (OLD, entry(5, 5, "@ledger"))),
    Row("another name's, and nothing is uploaded", uid(5), Code.GUARD_DIFFERS, (entry(5, 5, "@ledger"),)),
    Row("an upload by hand, before the first of ours", uid(6), Code.GUARD_BEHIND, (entry(6, 6, "by hand"),)),
    Row("a certificate that has expired", uid(1), Code.GUARD_EXPIRED, (of(OLD, ENDED), NEW), content=2),
    Row("a certificate that is not valid yet", uid(1), Code.GUARD_NOT_YET_VALID, (of(OLD, LATER),), content=3),
    Row("a newer one that is not valid yet", uid(1), None, (OLD, of(NEW, LATER))),
    Row("a newer one that has expired", uid(1), None, (OLD, of(NEW, ENDED))),
    Row("a newer one of another stack", uid(1), None, (OLD, entry(2, 2, "@billing", age=5, stack="other"))),
    Row("the same content, uploaded again", uid(1), None, (OLD, entry(2, 1, "@billing", age=5))),
    Row("a certificate file that can't be read", uid(1), Code.GUARD_NOT_CHECKED, content=None),
    Row("bound by its ID", uid(1), None, declared={"BILLING": f"id:{uid(1)}"}),
    Row("bound by its ID, though a newer one is uploaded", uid(1), None, (OLD, NEW), {"BILLING": f"id:{uid(1)}"}),
    Row("another ID than declared", uid(1), Code.GUARD_DIFFERS, (OLD, NEW), {"BILLING": f"id:{uid(2)}"}),
    Row("not declared, and known", uid(7), None, (OLD, entry(7, 7, "by hand")), {}),
    Row("not declared, and managed by this stack", uid(1), None, declared={}),
    Row("not declared, and unknown", uid(9), Code.GUARD_UNKNOWN, declared={}, asked={uid(9): None}),
    Row("not declared, and a placeholder", PLACEHOLDER, Code.GUARD_PLACEHOLDER, declared={}),
    Row("not declared, and expired", uid(7), Code.GUARD_EXPIRED, (of(entry(7, 7, "by hand"), ENDED),), {}),
    Row("offline, an ID", uid(1), None, None),
    Row("offline, a placeholder", PLACEHOLDER, Code.GUARD_PLACEHOLDER, None),
    Row("offline, a binding that the file lacks", None, Code.GUARD_MISSING, None),
    Row("offline, another ID than declared", uid(1), Code.GUARD_DIFFERS, None, {"BILLING": f"id:{uid(2)}"}),
    Row("offline, not declared", uid(9), None, None, {}),
]


def asked_of(row: Row) -> Guard:
    """The answer to a deploy of the whole file."""
    wanted = desired({"billing": row.content, "ledger": 5}, [worker(tables={None: row.declared})])
    files = {"checkout": file({None: {"BILLING": row.found} if row.found is not None else {}})}
    there = actual(row.entries, files, asked=row.asked, unasked=row.unasked)
    return make_guard(judge(wanted, there, NOW), EVERYTHING)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_a_deploy_is_stopped_for_a_reason_that_has_a_code(row: Row) -> None:
    """And the exit code is 3 only then."""
    answer = asked_of(row)
    assert [one.code for one in answer.diagnostics] == ([row.code] if row.code is not None else [])
    stops = row.code not in (None, Code.GUARD_BEHIND)
    assert answer.exit_code is (ExitCode.BLOCKED if stops else ExitCode.OK)
    (binding,) = answer.bindings
    unseen = GuardVerdict.NOT_CHECKED if row.code is Code.GUARD_NOT_CHECKED else GuardVerdict.STOPPED
    assert binding.verdict is (unseen if stops else GuardVerdict.OK)
    assert all(one.hint for one in answer.diagnostics if one.code is not Code.GUARD_NOT_CHECKED)


def test_every_code_of_the_guard_that_stops_a_binding_is_in_the_table() -> None:
    """Else a rule would have no row."""
    stops = {code for code in Code if code.name.startswith("GUARD_") and code.exit_code is ExitCode.BLOCKED}
    assert stops - {row.code for row in ROWS} == {Code.GUARD_BUILD}


def test_an_expired_certificate_file_stops_a_deploy_offline() -> None:
    """Whatever ID the file has, it is of that certificate or an outdated one."""
    wanted = desired({"billing": 1}, [worker(tables={None: {"BILLING": "billing"}})])
    there = actual(None, {"checkout": file({None: {"BILLING": uid(1)}})})
    later = NOW + timedelta(days=10_000)
    assert [one.code for one in make_guard(judge(wanted, there, later), EVERYTHING).diagnostics] == [Code.GUARD_EXPIRED]


def test_after_a_revert_the_newer_certificate_can_be_accepted() -> None:
    """That one alone: what is uploaded after it stops again."""
    wanted = desired({"billing": 1}, [worker(tables={None: {"BILLING": "billing"}})])
    files = {"checkout": file({None: {"BILLING": uid(1)}})}
    two, three = judge(wanted, actual((OLD, NEW), files), NOW), (OLD, NEW, entry(3, 3, "@billing", age=1))
    assert make_guard(two, EVERYTHING, [uid(2)]).diagnostics == ()
    (stopped,) = make_guard(judge(wanted, actual(three, files), NOW), EVERYTHING, [uid(2)]).diagnostics
    assert stopped.hint is not None
    assert f"mtlsctl guard --accept-newer {uid(3)}" in stopped.hint


ENVIRONMENTS: Mapping[EnvironmentName, Mapping[str, str]] = {
    None: {"BILLING": uid(1)},
    "staging": {"BILLING": PLACEHOLDER},
}


@pytest.mark.parametrize(("environment", "stopped"), [(None, True), ("staging", True), ("", False)])
def test_only_the_environment_that_is_deployed_counts(environment: str | None, stopped: bool) -> None:
    """If it is known; the empty one is the top level, as in wrangler's `--env`."""
    wanted = desired({"billing": 1}, [worker(tables={None: {"BILLING": "billing"}, "staging": {"BILLING": "billing"}})])
    judged = judge(wanted, actual((OLD,), {"checkout": file(ENVIRONMENTS)}), NOW)
    answer = make_guard(judged, replace(EVERYTHING, environment=environment))
    assert (answer.exit_code is ExitCode.BLOCKED) is stopped
    assert len(answer.bindings) == (2 if environment is None else 1)


def test_another_file_does_not_count() -> None:
    """A Worker is not stopped because of its neighbour."""
    wanted = desired({"billing": 1}, [worker(tables={None: {"BILLING": "billing"}})])
    judged = judge(wanted, actual((OLD,), {"checkout": file({None: {"BILLING": PLACEHOLDER}})}), NOW)
    assert make_guard(judged, GuardScope(frozenset({"other/wrangler.toml"}))).diagnostics == ()


@pytest.mark.parametrize(
    ("built", "environment", "stopped"),
    [(uid(1), None, False), (uid(2), None, False), (uid(2), "", True), (uid(9), None, True), (None, None, True)],
    ids=["of the top level", "of staging", "of another environment", "of neither", "without the binding"],
)
def test_a_generated_file_must_have_the_ids_of_what_is_deployed(
    built: str | None, environment: str | None, stopped: bool
) -> None:
    """wrangler deploys that one, which was made for one environment."""
    pairs = frozenset({("BILLING", built)} if built is not None else ())
    tables = {None: {"BILLING": uid(1)}, "staging": {"BILLING": uid(2)}}
    made = replace(file(tables), built=Built("dist/wrangler.json", pairs))
    judged = judge(desired({}, [worker(tables={None: {}, "staging": {}})]), actual((OLD, NEW), {"checkout": made}), NOW)
    answer = make_guard(judged, replace(EVERYTHING, environment=environment))
    assert [one.code for one in answer.diagnostics] == ([Code.GUARD_BUILD] if stopped else [])


def test_what_belongs_to_another_account_is_left_out_unless_it_is_declared_here() -> None:
    """Another mtls.toml declares it, and its guard judges it."""
    account, other = "0" * 32, "f" * 32
    wanted = desired({"billing": 1}, [worker(tables={None: {"BILLING": "billing"}})], store=StoreKind.CLOUDFLARE)
    store = replace(wanted.declaration.store, account_id=account)
    wanted = replace(wanted, declaration=replace(wanted.declaration, store=store))
    made = file({None: {"BILLING": REAL_ID}, "staging": {"BILLING": REAL_ID}})
    one = Entry(EntryId(REAL_ID), certificates=pem(1), uploaded_on=NOW)

    def answer(elsewhere: EnvironmentName) -> Guard:
        there = {**made.environments, elsewhere: replace(made.environments[elsewhere], account_id=other)}
        found = actual((one,), {"checkout": replace(made, environments=there)})
        return make_guard(judge(wanted, found, NOW), EVERYTHING)

    undeclared, declared = answer("staging"), answer(None)
    assert (undeclared.others, undeclared.diagnostics) == (1, ())
    assert [problem.code for problem in declared.diagnostics] == [Code.GUARD_NOT_CHECKED]


def test_two_workers_of_one_file_are_both_judged() -> None:
    """wrangler deploys an environment of a file, whichever label declares it."""
    tables: Mapping[EnvironmentName, Mapping[str, str]] = {None: {"BILLING": "billing"}}
    wanted = desired({"billing": 1}, [worker("one", tables), worker("two", {"staging": {"BILLING": "billing"}})])
    made = file({None: {"BILLING": uid(1)}, "staging": {"BILLING": PLACEHOLDER}})
    there = actual((OLD,), {WorkerLabel("one"): made, WorkerLabel("two"): made})
    answer = make_guard(judge(wanted, there, NOW), EVERYTHING)
    assert sorted((one.row.at.worker, one.verdict.value) for one in answer.bindings) == [
        ("one", "ok"),
        ("two", "stopped"),
    ]


def test_nothing_is_stopped_that_was_just_applied() -> None:
    """A certificate of which nothing is declared to be bound stops nothing either."""
    wanted = desired({"billing": 2, "ledger": 5}, declared=[certificate("ledger")])
    assert make_guard(judge(wanted, actual((OLD, NEW)), NOW), EVERYTHING).bindings == ()
