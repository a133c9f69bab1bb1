"""`status --orphans`: what of store and wrangler files does not belong together, and what mends it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from reconciler.findings.diagnostics import Pointer
from reconciler.model import (
    Actual,
    DeclaredWorker,
    Desired,
    Entry,
    EntryId,
    EnvironmentName,
    FoundBinding,
    StoreKind,
    StoreSettings,
    Sweep,
    WranglerFile,
)
from reconciler.reports.orphans import ORDER, Orphans, find_orphans, unreferenced
from reconciler.views.text.orphans import _HEADS, render_orphans
from reconciler.views.text.style import PLAIN
from tests.cli.test_canaries import search
from tests.support.cli import MTLS, Project, make_project
from tests.support.pki import END, NOW, make_ca, make_key
from tests.support.worlds import CONFIG, REAL_ID, actual, certificate, desired, entry, file, plan_of, uid, worker

Table = Mapping[EnvironmentName, Mapping[str, str]]
BILLING = worker("checkout", {None: {"BILLING": "billing"}})
HANDED = certificate("billing", supersedes=(uid(1),))
HOSTILE = "\x1b[2Jx\u202ey\n::error::z"

_CA = make_ca("Shared Keys")
_KEY = make_key()
_SAME_KEY = [_CA.issue(f"same-{number}", key=_KEY) for number in range(2)]


def same_key(number: int, name: str) -> Entry:
    """An entry whose certificate has the key that all of these have."""
    text = _SAME_KEY[number].certificate_pem.decode()
    return replace(entry(number + 50, 1, name), certificates=text)


def look(wanted: Desired, there: Actual, *, now: datetime = NOW, sweep: Sweep = Sweep()) -> Orphans:  # noqa: B008
    """What there is to find in a world."""
    return find_orphans(plan_of(wanted, there, now=now), sweep)


def in_file(tables: Table, *, label: str = "checkout") -> dict[str, WranglerFile]:
    """One wrangler file."""
    return {label: file(tables)}


def codes(orphans: Orphans) -> list[str]:
    """The codes of the findings."""
    return [orphan.finding.code for orphan in orphans.findings]


def test_an_environment_of_another_account_is_none_of_this_store() -> None:
    """Its ids are not asked for here."""
    found = file({None: {"BILLING": uid(1)}, "other": {"BILLING": uid(77)}})
    other = replace(found.environments["other"], account_id="f" * 32)
    there = actual([OURS], {"checkout": replace(found, environments={**found.environments, "other": other})})
    wanted = desired({"billing": 1}, [BILLING])
    assert codes(look(wanted, there)) == ["entry-missing"]
    here = replace(wanted.declaration, store=StoreSettings(account_id="a" * 32))
    assert codes(look(replace(wanted, declaration=here), there)) == []


@dataclass(frozen=True)
class Row:
    """A world, exactly the findings it has, and a part of what mends the first."""

    what: str
    entries: list[Entry]
    tables: Table
    found: list[str] = field(default_factory=list)
    mend: str = ""
    workers: tuple[DeclaredWorker, ...] = (BILLING,)
    handed: bool = True
    now: datetime = NOW
    store: StoreKind = StoreKind.LOCAL
    asked: Mapping[EntryId, Entry | None] = field(default_factory=dict)


OURS = entry(1, 1, "@billing")
BOUND: Table = {None: {"BILLING": uid(1)}}
ELSEWHERE = worker("checkout", {None: {"BILLING": "billing", "MORE": f"id:{uid(9)}"}})

ROWS = [
    Row("all in place", [OURS], BOUND),
    Row("adopted and handed over", [entry(1, 1, "by hand")], BOUND),
    # in the store and unreferenced
    Row(
        "an entry that nothing names",
        [OURS, entry(2, 2, "old")],
        BOUND,
        ["entry-unreferenced"],
        f"wrangler mtls-certificate delete --id {uid(2)}",
    ),
    Row(
        "an older entry under the same name: it can be handed over",
        [entry(1, 1, "billing"), entry(2, 2, "billing", age=60)],
        BOUND,
        ["entry-unreferenced"],
        f'[certificates.billing]\nsupersedes = ["{uid(2)}"]',
    ),
    Row(
        "a later entry under the same name is nobody's successor",
        [entry(1, 1, "billing"), entry(2, 2, "billing", age=1)],
        BOUND,
        ["entry-unreferenced"],
        "wrangler mtls-certificate delete",
    ),
    Row(
        "a declared certificate that nothing binds",
        [OURS],
        {},
        ["entry-unreferenced"],
        "`mtlsctl output billing`",
        workers=(),
    ),
    Row("ours, and no longer declared", [OURS, entry(2, 2, "@gone")], BOUND, ["entry-unreferenced"], "`prune = true`"),
    Row("superseded: it goes by itself", [OURS, entry(2, 2, "@billing", age=60)], BOUND),
    Row("of another stack: its files are not here", [OURS, entry(2, 2, "@billing", stack="other")], BOUND),
    Row("a CA: who uses it does not stand in a file", [OURS, entry(2, 2, "ca", ca=True)], BOUND),
    Row("managed by Cloudflare", [OURS, entry(2, 2, "x", type="access_managed")], BOUND),
    # referenced and missing
    Row(
        "a declared binding with an id that nobody knows",
        [OURS],
        {None: {"BILLING": uid(77)}},
        ["entry-missing", "entry-unreferenced"],
        "`mtlsctl apply` writes the id of 'billing'",
    ),
    Row(
        "an undeclared binding with an id that nobody knows",
        [OURS],
        {None: {"BILLING": uid(1), "MORE": "10ca1000-dead-4bad-9bad-ffffffffffff"}},
        ["entry-missing"],
        '[workers.checkout.bindings]\nMORE = "NAME"',
    ),
    Row(
        "an id with a slip of the pen: what was meant is known",
        [OURS],
        {None: {"BILLING": uid(1), "MORE": uid(1).replace("0000-4000", "0000-4001")}},
        ["entry-missing"],
        f"did you mean {uid(1)} ({OURS.name})? declare it, and run `mtlsctl apply`:\n"
        '[workers.checkout.bindings]\nMORE = "billing"',
    ),
    Row(
        "an id in capitals is not written as ids are",
        [OURS],
        {None: {"BILLING": uid(1).upper()}},
        ["entry-missing", "entry-unreferenced"],
        f"did you mean {uid(1)}",
    ),
    Row(
        "a binding by id, of an entry that is gone",
        [OURS],
        {None: {"BILLING": uid(1), "MORE": uid(9)}},
        ["entry-missing"],
        "put the right id into [workers.checkout.bindings]",
        workers=(ELSEWHERE,),
    ),
    Row(
        "a real account's id, with the embedded store",
        [OURS],
        {None: {"BILLING": uid(1), "MORE": REAL_ID}},
        ["id-of-other-store"],
        'kind = "cloudflare"',
    ),
    Row(
        "an embedded id is a placeholder to an account",
        [],
        {None: {"BILLING": uid(5)}},
        ["placeholder-left"],
        "`mtlsctl apply` writes",
        store=StoreKind.CLOUDFLARE,
    ),
    Row(
        "a placeholder that nothing declares",
        [OURS],
        {None: {"BILLING": uid(1)}, "my env": {"MORE": "TODO"}},
        ["placeholder-left"],
        '[workers.checkout.env."my env".bindings]\nMORE = "NAME"',
    ),
    Row(
        "a placeholder of a binding that is called as a certificate is",
        [OURS],
        {None: {"BILLING": uid(1)}, "staging": {"BILLING": "TODO"}},
        ["placeholder-left"],
        '[workers.checkout.env.staging.bindings]\nBILLING = "billing"',
    ),
    Row(
        "an id that the list lacks and the store knows is no finding",
        [],
        BOUND,
        [],
        asked={uid(1): OURS},
        workers=(worker("checkout", {None: {"BILLING": f"id:{uid(1)}"}}),),
    ),
    Row(
        "the id of a CA, which no Worker can present",
        [OURS, entry(5, 5, "ca", ca=True)],
        {None: {"BILLING": uid(1), "MORE": uid(5)}},
        ["entry-is-ca"],
        'MORE = "NAME"',
    ),
    # referenced and foreign
    Row(
        "bound by id, managed elsewhere",
        [OURS, entry(9, 9, "ledger")],
        {None: {"BILLING": uid(1), "MORE": uid(9)}},
        ["entry-foreign"],
        "`mtlsctl export`",
        workers=(ELSEWHERE,),
    ),
    Row(
        "bound without being declared, and not ours",
        [OURS, entry(9, 9, "ledger")],
        {None: {"BILLING": uid(1), "MORE": uid(9)}},
        ["entry-foreign"],
        f'[workers.checkout.bindings]\nMORE = {{ id = "{uid(9)}" }}',
    ),
    Row(
        "a declared binding with the id of somebody else's entry",
        [OURS, entry(9, 9, "ledger")],
        {None: {"BILLING": uid(9)}},
        ["entry-foreign", "entry-unreferenced"],
        "`mtlsctl apply` writes the id of 'billing' there",
    ),
    Row(
        "adopted, and not handed over",
        [entry(1, 1, "by hand")],
        BOUND,
        ["entry-foreign"],
        f'[certificates.billing]\nsupersedes = ["{uid(1)}"]',
        handed=False,
    ),
    Row(
        "of another stack",
        [OURS, entry(9, 9, "@ledger", stack="other")],
        {None: {"BILLING": uid(1), "MORE": uid(9)}},
        ["entry-foreign"],
        "that stack rotates it",
        workers=(ELSEWHERE,),
    ),
    # one key, several certificates
    Row(
        "one key in two certificates",
        [OURS, same_key(0, "one"), same_key(1, "two")],
        BOUND,
        ["key-shared", "entry-unreferenced", "entry-unreferenced"],
        "a key of its own",
    ),
    Row(
        "one key in two renewals under one name",
        [OURS, same_key(0, "one"), same_key(1, "one")],
        BOUND,
        ["entry-unreferenced", "entry-unreferenced"],
    ),
    # expired
    Row(
        "expired and still bound",
        [OURS],
        BOUND,
        ["entry-expired"],
        "replace certs/billing.pem by a renewed certificate",
        now=END + timedelta(seconds=1),
    ),
    Row("in its last second", [OURS], BOUND, now=END),
    Row(
        "expired, and managed elsewhere",
        [entry(9, 9, "ledger")],
        {None: {"MORE": uid(9)}},
        ["entry-expired", "entry-foreign"],
        "renew it where it is managed",
        workers=(worker("checkout", {None: {"MORE": f"id:{uid(9)}"}}),),
        now=END + timedelta(days=1),
    ),
    # what a plan says too
    Row(
        "ours, and bound without being declared",
        [OURS],
        {None: {"BILLING": uid(1), "MORE": uid(1)}},
        ["undeclared-binding"],
        "declare it in the Worker's `bindings`",
    ),
    Row(
        "newer than what is declared",
        [OURS, entry(2, 2, "@billing", age=1)],
        BOUND,
        ["newer-entry", "entry-unreferenced"],
        "a newer checkout may have uploaded it",
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=[row.what for row in ROWS])
def test_a_world_has_exactly_these_findings(row: Row) -> None:
    """And the first says what mends it."""
    certificates = [HANDED if row.handed else certificate("billing")]
    wanted = desired({"billing": 1}, row.workers, declared=certificates, store=row.store)
    files = in_file(row.tables) if row.workers else {}
    found = look(wanted, actual(row.entries, files, asked=row.asked), now=row.now)
    assert codes(found) == row.found
    assert all(orphan.finding.hint for orphan in found.findings)
    if row.found:
        assert row.mend in (found.findings[0].finding.hint or "")


def test_every_kind_of_finding_is_in_the_table_has_a_place_in_the_order_and_a_head() -> None:
    """None is forgotten."""
    assert {code for row in ROWS for code in row.found} == set(ORDER) == set(_HEADS)


def test_only_the_ids_of_unreferenced_entries_are_looked_for_in_the_tree() -> None:
    """A sweep reads every file; what is in use needs none."""
    there = actual([OURS, entry(2, 2, "old"), entry(3, 3, "@billing", age=60)], in_file(BOUND))
    wanted = desired({"billing": 1}, [BILLING], declared=[HANDED])
    assert unreferenced(plan_of(wanted, there)) == (uid(2),)


def test_an_entry_that_another_file_names_is_said_with_that_file() -> None:
    """It is in use, by a Worker that mtls.toml does not have."""
    there = actual([OURS, entry(2, 2, "old")], in_file(BOUND))
    sweep = Sweep({uid(2): ("apps/other/wrangler.toml",)})
    (found,) = look(desired({"billing": 1}, [BILLING]), there, sweep=sweep).findings
    assert "but apps/other/wrangler.toml names it" in found.finding.message
    assert "`mtlsctl init --update --from .`" in (found.finding.hint or "")


def test_a_tree_that_could_not_be_looked_through_is_said() -> None:
    """Nobody shall delete on half a look."""
    there = actual([OURS, entry(2, 2, "old")], in_file(BOUND))
    (found,) = look(desired({"billing": 1}, [BILLING]), there, sweep=Sweep(unread=("secret",))).findings
    assert "as far as it could be looked at (secret could not)" in found.finding.message


def test_bindings_of_previews_count_as_uses() -> None:
    """They are read, and never written."""
    found = file(BOUND)
    previews = (FoundBinding("OLD", uid(2), 0), FoundBinding("LOST", "TODO", 1))
    there = actual([OURS, entry(2, 2, "@billing", age=60)], {"checkout": replace(found, previews=previews)})
    findings = look(desired({"billing": 1}, [BILLING]), there).findings
    assert [orphan.finding.code for orphan in findings] == ["placeholder-left", "undeclared-binding"]
    assert findings[0].finding.where == Pointer(CONFIG, ("previews", "mtls_certificates", 1, "certificate_id"))
    assert all("by hand" in (orphan.finding.hint or "") for orphan in findings)


def test_a_finding_names_its_entries_and_every_binding() -> None:
    """One finding for an entry, however often it is bound."""
    tables = {None: {"A": uid(9), "B": uid(9)}, "staging": {"A": uid(9)}}
    (found,) = look(desired({}, [worker("checkout", {})]), actual([entry(9, 9, "x")], in_file(tables))).findings
    assert found.entries == (uid(9),)
    assert [(spot.environment, spot.binding) for spot in found.spots] == [(None, "A"), (None, "B"), ("staging", "A")]


def test_a_key_is_shared_across_a_declared_certificate_and_a_foreign_one() -> None:
    """Renewals of the declared one count as one."""
    entries = [same_key(0, "foreign"), replace(same_key(1, ""), name="other"), OURS]
    found = look(desired({"billing": 1}, [BILLING]), actual(entries, in_file(BOUND)))
    (shared,) = [one for one in found.findings if one.finding.code == "key-shared"]
    assert set(shared.entries) == {uid(50), uid(51)}


def test_hostile_names_are_text() -> None:
    """Names, environments, bindings and ids are others' words."""
    tables: Table = {HOSTILE: {HOSTILE: HOSTILE, "A": uid(9)}}
    there = actual([entry(9, 9, HOSTILE), entry(8, 8, HOSTILE)], {"checkout": file(tables, path=HOSTILE)})
    found = look(desired({}, [worker("checkout", {HOSTILE: {}})]), there, sweep=Sweep({uid(8): (HOSTILE,)}))
    text = render_orphans(found, lambda _: None, PLAIN)
    assert len(found.findings) == 3
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert not any(line.lstrip().startswith("::") for line in text.splitlines())


# --- at the command line --------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """One certificate, one Worker, one binding; applied."""
    made = make_project(tmp_path)
    assert made.run("apply", "--yes").code == 0
    made.environ.clear()
    return made


def test_where_all_belongs_together_it_says_so(project: Project) -> None:
    """Without any key."""
    result = project.run("status", "--orphans")
    assert (result.code, result.err) == (0, "")
    assert result.out.rstrip().endswith("Nothing is orphaned.")


def test_a_binding_with_an_unknown_id_is_shown_with_its_line_and_what_mends_it(project: Project) -> None:
    """And `apply` is what mends it."""
    project.write(
        "wrangler.toml",
        project.read("wrangler.toml") + f'[[mtls_certificates]]\nbinding = "X"\ncertificate_id = "{uid(7)}"\n',
    )
    result = project.run("status", "--orphans")
    assert result.code == 0
    assert f"referenced, and not in the store:\n  . X in wrangler.toml (top level) has {uid(7)}" in result.out
    assert "      at   wrangler.toml:10:18\n      fix  declare it, and run `mtlsctl apply`:\n" in result.out
    assert '        | [workers.checkout.bindings]\n        | X = "NAME"\n' in result.out
    assert result.out.rstrip().endswith("1 finding.")


def test_an_entry_in_a_file_that_is_not_declared_is_found_there(project: Project) -> None:
    """The tree is looked through."""
    used = project.run("output", "billing").out.strip()
    project.write("mtls.toml", MTLS.partition("[workers")[0])
    result = project.run("status", "--orphans")
    assert f"{used} (payments.billing." in result.out
    assert "is bound by no declared Worker, but wrangler.toml names it" in result.out


def test_json_is_one_document_and_out_writes_the_same(project: Project) -> None:
    """Code, ids, places, what mends it."""
    project.write("wrangler.toml", project.read("wrangler.toml").replace("BILLING", "OTHER"))
    result = project.run("status", "--orphans", "--format", "json", "--out", "orphans.json")
    document = result.json
    assert (result.code, document["format"]) == (0, "mtlsctl.orphans/1")
    assert document["summary"] == {"undeclared-binding": 1}
    (found,) = document["findings"]
    assert found["places"] == [{"worker": "checkout", "config": "wrangler.toml", "binding": "OTHER"}]
    assert (found["code"], found["severity"], found["path"], found["line"]) == (
        "undeclared-binding",
        "warning",
        "wrangler.toml",
        5,
    )
    assert project.read("orphans.json") == result.out


def test_no_key_ever_shows_and_nothing_is_written(project: Project) -> None:
    """Whatever stands in the files."""
    project.write("certs/other.key", make_ca("x").key_pem)
    before = {path: path.read_bytes() for path in project.folder.rglob("*") if path.is_file()}
    results = [project.run("status", "--orphans", "--verbose"), project.run("status", "--orphans", "--format", "json")]
    assert {path: path.read_bytes() for path in project.folder.rglob("*") if path.is_file()} == before
    search(project, results, (1,), ())


@pytest.mark.parametrize(
    ("after", "told", "beside"),
    [
        (timedelta(days=1), ["entry-expired", "entry-foreign"], []),
        (-timedelta(days=1), ["entry-foreign"], ["by-id-due"]),
    ],
    ids=["ended", "due"],
)
def test_what_is_bound_by_its_id_and_has_ended_is_told_once(
    after: timedelta, told: list[str], beside: list[str]
) -> None:
    """The plan warns of it too, in other words; what is only due is told by the plan alone."""
    wanted = desired({}, [worker("checkout", {None: {"MORE": f"id:{uid(9)}"}})])
    there = actual([entry(9, 9, "ledger")], in_file({None: {"MORE": uid(9)}}))
    found = look(wanted, there, now=END + after)
    assert codes(found) == told
    assert [problem.code for problem in found.diagnostics] == beside
