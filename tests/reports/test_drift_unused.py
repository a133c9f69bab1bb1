"""`drift --unused`: unused certificates, shared keys and undeclared bindings are findings with keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Pointer
from reconciler.findings.exits import ExitCode
from reconciler.model import (
    Actual,
    DeclaredWorker,
    Desired,
    Entry,
    EntryId,
    EnvironmentName,
    FoundBinding,
    Live,
    Policy,
    StoreKind,
    StoreSettings,
    Sweep,
    User,
    UserKind,
    WranglerFile,
)
from reconciler.plan.coverage import Area
from reconciler.reports.drift import Drift
from reconciler.reports.drift_look import make_drift
from reconciler.reports.drift_unused import find_unused, join_unused
from reconciler.views.table import Display, render
from tests.cli.test_canaries import search
from tests.support.cli import MTLS, Project, make_project
from tests.support.pki import END, NOW, make_ca, make_key
from tests.support.worlds import CONFIG, REAL_ID, actual, certificate, desired, entry, file, plan_of, uid, worker

Table = Mapping[EnvironmentName, Mapping[str, str]]
BILLING = worker("checkout", {None: {"BILLING": "billing"}})
HANDED = certificate("billing", supersedes=(uid(1),))
HOSTILE = "\x1b[2Jx\u202ey\n::error::z"
LATER = END + timedelta(days=1)

_CA = make_ca("Shared Keys")
_KEY = make_key()
_SAME_KEY = [_CA.issue(f"same-{number}", key=_KEY) for number in range(2)]


def same_key(number: int, name: str) -> Entry:
    """An uploaded certificate with the key that all of these have."""
    text = _SAME_KEY[number].certificate_pem.decode()
    return replace(entry(number + 50, 1, name), certificates=text)


def search_world(
    wanted: Desired,
    there: Actual,
    *,
    now: datetime = NOW,
    sweep: Sweep = Sweep(),  # noqa: B008
    told: bool = True,
) -> Drift:
    """What `drift --unused` shows of a world."""
    plan = plan_of(wanted, there, now=now, told=told)
    return join_unused(make_drift(plan), plan, sweep)


def in_file(tables: Table) -> dict[str, WranglerFile]:
    return {"checkout": file(tables)}


def shown(drift: Drift) -> list[str]:
    """The findings in short: `unexpected MORE placeholder-left`, the key without what all keys of its kind have."""
    return [f"{one.state} {one.key.rpartition(':')[2]} {one.code or '-'}" for one in drift.findings]


def notes(drift: Drift) -> list[str]:
    """What is used as declared, and not managed here."""
    return [one.message for one in drift.diagnostics if one.code is Code.ENTRY_FOREIGN]


@dataclass(frozen=True)
class Row:
    """A world, exactly the findings it has, a part of the first fix, and a part of each note."""

    what: str
    entries: Sequence[Entry]
    tables: Table
    found: Sequence[str] = ()
    fix: str = ""
    notes: Sequence[str] = ()
    workers: tuple[DeclaredWorker, ...] = (BILLING,)
    handed: bool = True
    now: datetime = NOW
    store: StoreKind = StoreKind.LOCAL
    asked: Mapping[EntryId, Entry | None] | None = None
    fails: bool = True


OURS = entry(1, 1, "@billing")
LEDGER = entry(9, 9, "ledger")
BOUND: Table = {None: {"BILLING": uid(1)}}
MORE: Table = {None: {"BILLING": uid(1), "MORE": uid(9)}}
BY_ID = worker("checkout", {None: {"BILLING": "billing", "MORE": f"id:{uid(9)}"}})
SHARED_FILE = replace(BILLING, exclusive=False)


def unused(number: int) -> str:
    return f"unused {uid(number)} entry-unreferenced"


ROWS = [
    Row("all up to date", [OURS], BOUND),
    Row("adopted and handed over", [entry(1, 1, "by hand")], BOUND),
    # unused certificates
    Row(
        "one that nothing names",
        [OURS, entry(2, 2, "old")],
        BOUND,
        [unused(2)],
        f"wrangler mtls-certificate delete --id {uid(2)}",
    ),
    Row(
        "an older one under the same name can be superseded by it",
        [entry(1, 1, "billing"), entry(2, 2, "billing", age=60)],
        BOUND,
        [unused(2)],
        f'add this to `[certificates.billing]`:\nsupersedes = ["{uid(2)}"]',
        handed=False,
        notes=["is not in its `supersedes`"],
    ),
    Row(
        "a certificate with `supersedes` gets no second line of it",
        [entry(1, 1, "billing"), entry(2, 2, "billing", age=60)],
        BOUND,
        [unused(2)],
        f'add "{uid(2)}" to the `supersedes` of `[certificates.billing]`',
    ),
    Row(
        "a later one under the same name was not replaced by it",
        [entry(1, 1, "billing"), entry(2, 2, "billing", age=1)],
        BOUND,
        [unused(2)],
        "wrangler mtls-certificate delete",
    ),
    Row("a declared one that nothing binds", [OURS], {}, [unused(1)], "`mtlsctl output billing`", workers=()),
    Row("no longer declared", [OURS, entry(2, 2, "@gone")], BOUND, [unused(2)], "`mtlsctl apply --prune`"),
    Row(
        "a superseded one that apply deletes: reported by drift alone",
        [OURS, entry(2, 2, "@billing", age=60)],
        BOUND,
        [f"unexpected {uid(2)} -"],
        "run `mtlsctl apply`",
        fails=False,  # it is the daily run's work
    ),
    Row("a superseded one in its grace", [entry(1, 1, "@billing", age=1), entry(2, 2, "@billing", age=60)], BOUND),
    Row("of another stack, whose files are not here", [OURS, entry(2, 2, "@billing", stack="other")], BOUND),
    Row("a CA, whose users are in no file", [OURS, entry(2, 2, "ca", ca=True)], BOUND),
    Row("managed by Cloudflare", [OURS, entry(2, 2, "x", type="access_managed")], BOUND),
    Row(
        "newer than the declared one: reported by drift alone",
        [OURS, entry(2, 2, "@billing", age=1)],
        BOUND,
        [f"unexpected {uid(2)} newer-entry"],
        "pull first",
    ),
    # bindings that can't work
    Row(
        "a declared binding with an unknown ID: its certificate is not unused",
        [OURS],
        {None: {"BILLING": uid(77)}},
        ["changed BILLING -"],
        "run `mtlsctl apply`",
    ),
    Row(
        "an undeclared binding with an unknown ID",
        [OURS],
        {None: {"BILLING": uid(1), "MORE": "10ca1000-dead-4bad-9bad-ffffffffffff"}},
        ["unexpected MORE entry-missing"],
        "add this to `[workers.checkout.bindings]`, and run `mtlsctl apply`; or remove the binding from "
        f'{CONFIG}:\nMORE = "NAME"',
    ),
    Row(
        "an ID with a typing error",
        [OURS],
        {None: {"BILLING": uid(1), "MORE": uid(1).replace("0000-4000", "0000-4001")}},
        ["unexpected MORE entry-missing"],
        f"did you mean {uid(1)} ({OURS.name})? add this to `[workers.checkout.bindings]`, then run `mtlsctl apply`:\n"
        'MORE = "billing"',
    ),
    Row(
        "an ID in capitals of a certificate that is not managed here",
        [OURS, LEDGER],
        {None: {"BILLING": uid(1), "MORE": uid(9).upper()}},
        ["unexpected MORE entry-missing", unused(9)],
        f'MORE = {{ id = "{uid(9)}" }}',
    ),
    Row(
        "a binding by ID, of a certificate that was deleted",
        [OURS],
        MORE,
        [f"missing {uid(9)} -"],
        "put the right ID into mtls.toml",
        workers=(BY_ID,),
    ),
    Row(
        "an ID of an account, with the local store",
        [OURS],
        {None: {"BILLING": uid(1), "MORE": REAL_ID}},
        ["unexpected MORE id-of-other-store"],
        'kind = "cloudflare"',
    ),
    Row(
        "an ID of the local store is a placeholder in an account",
        [],
        {None: {"MORE": uid(5)}},
        ["missing billing -", "missing BILLING -", "unexpected MORE placeholder-left"],
        store=StoreKind.CLOUDFLARE,
    ),
    Row(
        "a placeholder in an environment that nothing declares",
        [OURS],
        {None: {"BILLING": uid(1)}, "my env": {"MORE": "TODO"}},
        ["unexpected MORE placeholder-left"],
        '[workers.checkout.env."my env".bindings]\nMORE = "NAME"',
    ),
    Row(
        "a placeholder of a binding with the name of a certificate",
        [OURS],
        {None: {"BILLING": uid(1)}, "staging": {"BILLING": "TODO"}},
        ["unexpected BILLING placeholder-left"],
        '[workers.checkout.env.staging.bindings]\nBILLING = "billing"',
    ),
    Row(
        "a CA, which a Worker can't use",
        [OURS, entry(5, 5, "ca", ca=True)],
        {None: {"BILLING": uid(1), "MORE": uid(5)}},
        ["unexpected MORE entry-is-ca"],
        'MORE = "NAME"',
    ),
    Row(
        "what can't work is not expected in a file where another stack binds too",
        [OURS],
        {None: {"BILLING": uid(1), "MORE": "TODO"}},
        ["unexpected MORE placeholder-left"],
        workers=(SHARED_FILE,),
    ),
    # bindings of what is not managed here
    Row(
        "bound without being declared",
        [OURS, LEDGER],
        MORE,
        ["unexpected MORE entry-foreign"],
        "run `mtlsctl init --update`",
    ),
    Row(
        "bound without being declared, and expired",
        [OURS, LEDGER],
        MORE,
        ["unexpected MORE entry-expired"],
        "run `mtlsctl init --update --certificates certs`",
        now=LATER,
    ),
    Row("bound by ID: it is as declared", [OURS, LEDGER], MORE, notes=["is not managed here"], workers=(BY_ID,)),
    Row(
        "bound by ID, of another stack",
        [OURS, entry(9, 9, "@ledger", stack="other")],
        MORE,
        notes=["is managed by the stack 'other'"],
        workers=(BY_ID,),
    ),
    Row(
        "bound by ID, and not in the list, which may lag",
        [],
        BOUND,
        ["missing billing -"],
        asked={uid(1): OURS},
        workers=(worker("checkout", {None: {"BILLING": f"id:{uid(1)}"}}),),
    ),
    Row(
        "adopted, and not superseded",
        [entry(1, 1, "by hand")],
        BOUND,
        notes=["is not in its `supersedes`"],
        handed=False,
    ),
    Row(
        "a declared binding with the ID of something else",
        [OURS, LEDGER],
        {None: {"BILLING": uid(9)}},
        ["changed BILLING -"],
        "run `mtlsctl apply`",
    ),
    Row(
        "in a file where another stack binds too",
        [OURS, LEDGER],
        MORE,
        notes=["is not managed here"],
        workers=(SHARED_FILE,),
    ),
    # bindings of this stack
    Row(
        "of this stack, and undeclared: reported by drift alone",
        [OURS],
        {None: {"BILLING": uid(1), "MORE": uid(1)}},
        ["unexpected MORE undeclared-binding"],
        'MORE = "billing"',
    ),
    Row(
        "an adopted certificate in an environment that nothing declares",
        [entry(1, 1, "by hand")],
        {None: {"BILLING": uid(1)}, "staging": {"MORE": uid(1)}},
        ["unexpected MORE undeclared-binding"],
        '[workers.checkout.env.staging.bindings]\nMORE = "billing"',
        notes=["is not in its `supersedes`"],
        handed=False,
    ),
    # one key, several certificates
    Row(
        "one key in two certificates",
        [OURS, same_key(0, "one"), same_key(1, "two")],
        BOUND,
        ["shared KEY key-shared", unused(50), unused(51)],
        "a key of its own",
    ),
    Row("one key in two renewals", [OURS, same_key(0, "one"), same_key(1, "one")], BOUND, [unused(50), unused(51)]),
    # expired: as declared, so a plan warns of it
    Row("expired and still bound", [OURS], BOUND, now=LATER),
]


@pytest.mark.parametrize("row", ROWS, ids=[row.what for row in ROWS])
def test_a_world_has_exactly_these_findings_and_notes(row: Row) -> None:
    """Each finding has a key of its own and a fix; a finding ends the run with 2, a note does not."""
    certificates = [HANDED if row.handed else certificate("billing")]
    wanted = desired({"billing": 1}, row.workers, declared=certificates, store=row.store)
    files = in_file(row.tables) if row.workers else {}
    found = search_world(wanted, actual(row.entries, files, asked=row.asked or {}), now=row.now)
    digest = next((one.key.rpartition(":")[2] for one in found.findings if one.subject == "key"), "KEY")
    assert [one.replace(digest, "KEY") for one in shown(found)] == list(row.found)
    assert all(one.hint for one in found.findings)
    assert row.fix in (found.findings[0].hint if found.findings else "")
    assert len(notes(found)) == len(row.notes)
    assert all(part in note for part, note in zip(row.notes, notes(found), strict=True))
    assert found.exit_code is (ExitCode.CHANGES if row.found and row.fails else ExitCode.OK)


def test_what_is_expired_and_declared_is_reported_once_by_the_plan() -> None:
    """`bound-expired`; of a certificate bound by its ID as well."""
    by_id: Table = {None: {"MORE": uid(9)}}
    worlds = [
        (desired({"billing": 1}, [BILLING]), OURS, BOUND),
        (desired({}, [worker("checkout", {None: {"MORE": f"id:{uid(9)}"}})]), LEDGER, by_id),
    ]
    for wanted, one, tables in worlds:
        found = search_world(wanted, actual([one], in_file(tables)), now=LATER)
        assert [problem.code for problem in found.diagnostics].count(Code.BOUND_EXPIRED) == 1


def test_the_keys_do_not_depend_on_the_order_of_lists_or_on_the_time() -> None:
    """So a pipeline keeps one issue for each finding."""
    entries = [OURS, LEDGER, entry(2, 2, "old"), same_key(0, "one"), same_key(1, "two")]
    tables: dict[EnvironmentName, dict[str, str]] = {
        None: {"BILLING": uid(1), "MORE": uid(9)},
        "staging": {"MORE": "TODO"},
    }
    turned = {name: dict(reversed(table.items())) for name, table in reversed(tables.items())}
    wanted = desired({"billing": 1}, [BILLING])
    first = search_world(wanted, actual(entries, in_file(tables)))
    again = search_world(wanted, actual(entries[::-1], in_file(turned)), now=NOW + timedelta(hours=1))
    keys = [one.key for one in first.findings]
    assert keys == [one.key for one in again.findings]
    assert len(set(keys)) == len(keys) == 6
    assert f"binding:{CONFIG}:env/staging:MORE" in keys


def test_a_binding_of_previews_has_a_key_of_its_own() -> None:
    """Next to one with the same name at the top level; the fix is to write the ID by hand."""
    previews = (FoundBinding("LOST", "TODO", 0), FoundBinding("OLD", uid(2), 1), FoundBinding("BILLING", uid(1), 2))
    tables: Table = {None: {"BILLING": uid(1), "LOST": "TODO"}}
    there = {"checkout": replace(file(tables), previews=previews)}
    found = search_world(desired({"billing": 1}, [BILLING]), actual([OURS, entry(2, 2, "@billing", age=60)], there))
    assert [one.key for one in found.findings] == [
        f"binding:{CONFIG}:previews:LOST",
        f"binding:{CONFIG}:previews:OLD",
        f"binding:{CONFIG}:top-level:LOST",
    ]
    assert found.findings[0].where == Pointer(CONFIG, ("previews", "mtls_certificates", 0, "certificate_id"))
    assert all("by hand" in one.hint for one in found.findings[:2])


def test_an_environment_of_another_account_is_not_checked_against_this_store() -> None:
    """Its IDs are of that account."""
    found = file({None: {"BILLING": uid(1)}, "other": {"BILLING": uid(77)}})
    other = replace(found.environments["other"], account_id="f" * 32)
    there = actual([OURS], {"checkout": replace(found, environments={**found.environments, "other": other})})
    wanted = desired({"billing": 1}, [BILLING])
    assert shown(search_world(wanted, there)) == ["unexpected BILLING entry-missing"]
    here = replace(wanted.declaration, store=StoreSettings(account_id="a" * 32))
    assert shown(search_world(replace(wanted, declaration=here), there)) == []


def test_only_the_ids_of_unused_certificates_are_searched_for() -> None:
    """A search reads every file; what is in use needs none."""
    there = actual([OURS, entry(2, 2, "old"), entry(3, 3, "@billing", age=60)], in_file(BOUND))
    assert find_unused(plan_of(desired({"billing": 1}, [BILLING], declared=[HANDED]), there)) == (uid(2),)


def test_what_another_file_names_is_used_by_something_that_is_not_declared() -> None:
    """The file is named, and the state is another; the key is the same."""
    there, wanted = actual([OURS, entry(2, 2, "old")], in_file(BOUND)), desired({"billing": 1}, [BILLING])
    sweep = Sweep({uid(2): ("apps/other/wrangler.toml",)})
    (found,) = search_world(wanted, there, sweep=sweep).findings
    (before,) = search_world(wanted, there).findings
    assert (found.state, found.key) == ("unexpected", before.key)
    assert "but apps/other/wrangler.toml has its ID" in found.message
    assert "`mtlsctl init --update`" in found.hint


def test_the_fix_searches_the_folder_of_the_file_that_has_the_id() -> None:
    """Which may be next to the folder of mtls.toml."""
    there, wanted = actual([OURS, entry(2, 2, "old")], in_file(BOUND)), desired({"billing": 1}, [BILLING])
    sweep = Sweep({uid(2): ("apps/wrangler.toml", "../../ledger/wrangler.toml")})
    (found,) = search_world(wanted, there, sweep=sweep).findings
    assert "`mtlsctl init --update --from ../..`" in found.hint


def test_a_placeholder_is_reported_once() -> None:
    """The plan warns of it, too."""
    there = actual([OURS], in_file({None: {"BILLING": uid(1), "MORE": "TODO"}}))
    found = search_world(desired({"billing": 1}, [BILLING]), there)
    assert [one.code for one in found.findings] == ["placeholder-left"]
    assert "placeholder-left" not in [one.code for one in found.diagnostics]


def test_a_file_that_could_not_be_searched_is_reported() -> None:
    """Before a certificate is deleted as unused."""
    there = actual([OURS, entry(2, 2, "old")], in_file(BOUND))
    drift = search_world(desired({"billing": 1}, [BILLING]), there, sweep=Sweep(unread=("secret", "other")))
    assert "as far as it could be searched (secret could not)" in drift.findings[0].message
    (unread,) = [one for one in drift.not_checked if one.area is Area.UNUSED]
    assert (unread.reason, unread.command(drift.command)) == ("secret (and 1 more)", None)


def test_a_certificate_that_something_in_the_account_uses_is_not_unused() -> None:
    """Known with `--live`."""
    users = {uid(2): (User(UserKind.HYPERDRIVE, "db", "hd-1"),)}
    wanted = desired({"billing": 1, "db": 2}, [BILLING], store=StoreKind.CLOUDFLARE)
    there = actual([OURS, entry(2, 2, "@db")], in_file(BOUND))
    assert f"unused {uid(2)} entry-unreferenced" in shown(search_world(wanted, there))
    live = replace(there, live=Live(users=users, users_of=frozenset(users)))
    assert f"unused {uid(2)} entry-unreferenced" not in shown(search_world(wanted, live))


def test_a_certificate_that_every_run_prunes_is_not_reported() -> None:
    """It waits for its grace, or its deletion is drift; without the order, nothing deletes it by itself."""
    there = actual([OURS, entry(2, 2, "@gone", age=1)], in_file(BOUND))
    wanted = desired({"billing": 1}, [BILLING], policy=Policy(prune=True))
    assert shown(search_world(wanted, there)) == []
    assert shown(search_world(wanted, there, told=False)) == [unused(2)]


def test_a_key_is_shared_across_a_declared_certificate_and_others() -> None:
    """All of them are named in JSON, and the bindings that use them."""
    entries = [same_key(0, "foreign"), replace(same_key(1, ""), name="other"), OURS]
    tables: Table = {None: {"BILLING": uid(1), "MORE": uid(50)}}
    found = search_world(desired({"billing": 1}, [BILLING]), actual(entries, in_file(tables)))
    (shared,) = [one for one in found.findings if one.code is Code.KEY_SHARED]
    assert set(shared.entries) == {uid(50), uid(51)}
    assert shared.follows == (f"binding:{CONFIG}:top-level:MORE",)


def test_drift_alone_says_that_it_did_not_search_and_which_command_does() -> None:
    """And searches nothing: no sweep is handed to it."""
    there = actual([OURS, entry(2, 2, "old")], in_file({None: {"BILLING": uid(1), "MORE": "TODO"}}))
    drift = make_drift(plan_of(desired({"billing": 1}, [BILLING]), there))
    assert drift.findings == ()
    (skipped,) = [one for one in drift.not_checked if one.area is Area.UNUSED]
    assert skipped.command(drift.command) == "mtlsctl drift --unused"


def test_hostile_names_are_text() -> None:
    """Names, environments, bindings and IDs are words of others."""
    tables: Table = {HOSTILE: {HOSTILE: HOSTILE, "A": uid(9)}}
    there = actual([entry(9, 9, HOSTILE), entry(8, 8, HOSTILE)], {"checkout": file(tables, path=HOSTILE)})
    found = search_world(desired({}, [worker("checkout", {HOSTILE: {}})]), there, sweep=Sweep({uid(8): (HOSTILE,)}))
    assert len(found.findings) == 3
    for width in (None, 60):
        text = render(found, "text", Display(width=width))
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


def add_binding(project: Project) -> None:
    """A binding that nothing declares, with an unknown ID."""
    text = f'[[mtls_certificates]]\nbinding = "X"\ncertificate_id = "{uid(7)}"\n'
    project.write("wrangler.toml", project.read("wrangler.toml") + text)


def test_where_nothing_is_found_it_says_so(project: Project) -> None:
    """Without any key."""
    result = project.run("drift", "--unused")
    assert (result.code, result.err) == (0, "")
    assert result.out.rstrip().endswith("No drift; 2 certificates and bindings in sync.")
    assert "Not checked" not in result.out


def test_a_wrangler_file_that_is_not_declared_is_a_warning_unless_another_mtls_toml_is_nearer(project: Project) -> None:
    """Its bindings are in no plan; `init --update` adds it."""
    head = project.read("wrangler.toml").partition("[[")[0]
    text = f'{head}[[mtls_certificates]]\nbinding = "TAX"\ncertificate_id = "<TODO>"\n'
    project.write("apps/refunds/wrangler.toml", text)
    project.write("apps/other/wrangler.toml", text)
    project.write("apps/other/mtls.toml", "")
    result = project.run("drift", "--unused")
    assert result.code == 0
    words = " ".join(result.out.split())
    assert "warning[worker-undeclared]: mtls.toml does not declare apps/refunds/wrangler.toml, which has 1" in words
    assert "apps/other" not in result.out


def test_a_binding_with_an_unknown_id_is_shown_with_its_line_and_its_fix(project: Project) -> None:
    """Exit 2; `drift` alone warns of it, and says what it left out."""
    add_binding(project)
    result = project.run("drift", "--unused")
    assert result.code == 2
    assert f"  wrangler.toml\n    + X (top level) has {uid(7)}, which is not in the" in result.out
    assert "      at   wrangler.toml:10:18\n      fix  declare its certificate in `[certificates.NAME]`" in result.out
    assert '        | X = "NAME"\n' in result.out
    assert result.out.rstrip().endswith("Drift: 1 unexpected; 2 certificates and bindings in sync.")
    alone = project.run("drift")
    assert alone.code == 0
    assert "undeclared bindings (mtlsctl drift --unused)." in alone.out


def test_a_certificate_in_a_file_that_is_not_declared_is_found_there(project: Project) -> None:
    """All files of the tree are searched, with `--unused` alone."""
    used = project.run("output", "billing").out.strip()
    project.write("mtls.toml", MTLS.partition("[workers")[0])
    result = project.run("drift", "--unused")
    assert f"{used} (payments.billing." in result.out
    assert "but wrangler.toml has its ID" in result.out
    assert used not in project.run("drift").out


def test_the_tree_is_searched_with_unused_alone(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search reads every file of the tree."""
    project.write("mtls.toml", MTLS.partition("[workers")[0])
    searched: list[list[EntryId]] = []

    def sweep(_tree: object, ids: Iterable[EntryId], *, leave_out: str, **_: object) -> Sweep:
        searched.append([*ids])
        return Sweep(unread=(leave_out,))

    monkeypatch.setattr("reconciler.system.files.sweep_tree", sweep)
    assert project.run("drift").code == 0
    assert searched == []
    assert project.run("drift", "--unused").code == 2
    assert len(searched) == len(searched[0]) == 1


def test_json_is_one_document_and_out_writes_the_same(project: Project) -> None:
    """With the code, the place and what was searched."""
    add_binding(project)
    result = project.run("drift", "--unused", "--format", "json", "--out", "drift.json")
    document = result.json
    assert (result.code, document["format"], document["unused"]) == (2, "mtlsctl.drift/1", True)
    assert (document["summary"]["unexpected"], document["summary"]["unused"]) == (1, 0)
    (found,) = document["findings"]
    assert (found["key"], found["code"], found["apply"]) == (
        "binding:wrangler.toml:top-level:X",
        "entry-missing",
        False,
    )
    assert (found["path"], found["line"]) == ("wrangler.toml", 10)
    assert document["not_checked"] == []
    assert project.read("drift.json") == result.out


def test_no_key_ever_shows_and_nothing_is_written(project: Project) -> None:
    """Whatever is in the files."""
    project.write("certs/other.key", make_ca("x").key_pem)
    before = {path: path.read_bytes() for path in project.folder.rglob("*") if path.is_file()}
    results = [project.run("drift", "--unused", "--verbose"), project.run("drift", "--unused", "--format", "json")]
    assert {path: path.read_bytes() for path in project.folder.rglob("*") if path.is_file()} == before
    search(project, results, (1,), ())
