"""`drift`: each kind of change behind the tool's back is named rightly, and nothing else is."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from reconciler.emulator.server import running
from reconciler.emulator.state import new_state
from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.exits import ExitCode
from reconciler.model import BindingChange, DeclaredWorker, Entry, EnvironmentName, Retire, Update, Upload
from reconciler.plan.assess import judge, needs
from reconciler.plan.live import DeployChoice
from reconciler.plan.plan import Plan
from reconciler.reports.drift import Drift, DriftFinding, State, Subject, drift_key
from reconciler.reports.drift_look import make_drift
from reconciler.system.clock import SystemClock
from reconciler.views.table import Display, render
from tests.cli.test_canaries import search
from tests.plan.test_convergence import Universe, universes
from tests.plan.test_rules import ROWS, Row
from tests.support.cli import MTLS, WRANGLER, Project, make_project
from tests.support.emulated import account_environ
from tests.support.pki import NOW
from tests.support.store_contract import LEAVES
from tests.support.worlds import REAL_ID, actual, certificate, desired, entry, file, issued, plan_of, uid, worker

Table = dict[EnvironmentName, dict[str, str]]

HOSTILE = "\x1b[2Jx\u202ey\n::error::z"
SHOP, BOOKS = "apps/shop/wrangler.toml", "apps/books/wrangler.toml"


def declared_workers() -> list[DeclaredWorker]:
    """Two Workers: one with two environments and a binding by id, one with a single binding."""
    shop: Table = {None: {"BILLING": "billing", "ELSE": f"id:{uid(9)}"}, "staging": {"BILLING": "billing"}}
    return [worker("shop", shop, config=SHOP), worker("books", {None: {"LEDGER": "ledger"}}, config=BOOKS)]


@dataclass
class World:
    """A world in sync, for a row to change: what the files hold, what the store has, what the wrangler files say."""

    contents: dict[str, int | None] = field(default_factory=lambda: {"billing": 1, "ledger": 2})
    entries: list[Entry] = field(
        default_factory=lambda: [entry(1, 1, "@billing", age=40), entry(2, 2, "made by hand"), entry(9, 9, "elsewhere")]
    )
    shop: Table = field(
        default_factory=lambda: {None: {"BILLING": uid(1), "ELSE": uid(9)}, "staging": {"BILLING": uid(1)}}
    )
    books: Table = field(default_factory=lambda: {None: {"LEDGER": uid(2)}})
    workers: list[DeclaredWorker] = field(default_factory=declared_workers)

    def drift(self) -> Drift:
        """What `drift` says of it."""
        ledger = certificate("ledger", supersedes=(uid(2),))
        wanted = desired(self.contents, self.workers, declared=[ledger])
        files = {"shop": file(self.shop, path=SHOP), "books": file(self.books, path=BOOKS)}
        there = actual(self.entries, files)
        return make_drift(plan_of(wanted, there))

    def store(self, *entries: Entry, without: tuple[int, ...] = ()) -> None:
        """Other entries beside those that stay."""
        gone = {uid(number) for number in without}
        self.entries = [*(one for one in self.entries if one.id not in gone), *entries]


@dataclass(frozen=True)
class Behind:
    """What somebody did, and exactly what is to be found: `missing certificate:billing`."""

    what: str
    do: Callable[[World], object]
    found: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()


BILLING = f"binding:{SHOP}:top-level:BILLING"
STAGING = f"binding:{SHOP}:env/staging:BILLING"
ELSE = f"binding:{SHOP}:top-level:ELSE"
LEDGER = f"binding:{BOOKS}:top-level:LEDGER"


def put_back_to_an_older_entry(world: World) -> None:
    """As a revert of the wrangler file alone does."""
    world.store(entry(3, 3, "@billing", age=60))
    world.shop[None]["BILLING"] = uid(3)


IN_STORE = [
    Behind(
        "an entry of ours is deleted: its bindings follow it",
        lambda world: world.store(without=(1,)),
        ("missing certificate:billing",),
        (STAGING, BILLING),
    ),
    Behind(
        "an adopted entry is deleted",
        lambda world: world.store(without=(2,)),
        ("missing certificate:ledger",),
        (LEDGER,),
    ),
    Behind(
        "an entry is deleted while an older one still waits",
        lambda world: world.store(entry(3, 3, "@billing", age=60), without=(1,)),
        ("missing certificate:billing",),
        (STAGING, BILLING),
    ),
    Behind(
        "an entry that is managed elsewhere is deleted",
        lambda world: world.store(without=(9,)),
        (f"missing entry:{uid(9)}",),
        (ELSE,),
    ),
    Behind(
        "an entry is deleted, and the same certificate uploaded by hand: its bindings have a dead id",
        lambda world: world.store(entry(5, 1, "by hand"), without=(1,)),
        (f"changed {STAGING}", f"changed {BILLING}"),
    ),
    Behind(
        "a newer entry of ours is uploaded from elsewhere",
        lambda world: world.store(entry(5, 5, "@billing", age=1)),
        (f"unexpected entry:{uid(5)}",),
    ),
    Behind(
        "the content is there, as a CA",
        lambda world: world.store(entry(5, 1, ca=True), without=(1,)),
        ("changed certificate:billing",),
        (STAGING, BILLING),
    ),
    Behind(
        "the content belongs to another stack",
        lambda world: world.store(entry(5, 1, "@billing", stack="other"), without=(1,)),
        ("changed certificate:billing",),
        (STAGING, BILLING),
    ),
    Behind("an entry of somebody else comes", lambda world: world.store(entry(5, 5, "not ours"))),
    Behind("an entry of another stack comes", lambda world: world.store(entry(5, 5, "@billing", stack="other"))),
    Behind(
        "an older entry waits for its grace",
        lambda world: world.store(entry(2, 2, "made by hand", age=3), entry(5, 5, "@ledger", age=60), without=(2,)),
    ),
]

IN_WRANGLER_FILES = [
    Behind(
        "an id is changed to one that nobody knows",
        lambda world: world.shop[None].update(BILLING=uid(77)),
        (f"changed {BILLING}",),
    ),
    Behind(
        "an id is changed to that of another entry",
        lambda world: world.books[None].update(LEDGER=uid(1)),
        (f"changed {LEDGER}",),
    ),
    Behind(
        "an id is put back to a placeholder",
        lambda world: world.shop["staging"].update(BILLING="TODO"),
        (f"changed {STAGING}",),
    ),
    Behind(
        "an id is put back to that of an older entry",
        put_back_to_an_older_entry,
        (f"changed {BILLING}",),
    ),
    Behind(
        "the id of a binding by id is changed",
        lambda world: world.shop[None].update(ELSE=uid(1)),
        (f"changed {ELSE}",),
    ),
    Behind("a binding is taken out", lambda world: world.shop[None].pop("BILLING"), (f"missing {BILLING}",)),
    Behind(
        "an environment is taken out",
        lambda world: world.shop.pop("staging"),
        (f"missing environment:{SHOP}:env/staging",),
        (STAGING,),
    ),
    Behind(
        "a binding of ours is put in by hand",
        lambda world: world.books[None].update(MORE=uid(1)),
        (f"unexpected binding:{BOOKS}:top-level:MORE",),
    ),
    Behind(
        "a binding of ours is put into an environment that nothing declares",
        lambda world: world.shop.update(preview={"BILLING": uid(1)}),
        (f"unexpected binding:{SHOP}:env/preview:BILLING",),
    ),
    Behind(
        "a binding of an adopted entry is put in by hand",
        lambda world: world.shop["staging"].update(LEDGER=uid(2)),
        (f"unexpected binding:{SHOP}:env/staging:LEDGER",),
    ),
    Behind("a binding of somebody else is put in", lambda world: world.shop[None].update(MORE=uid(9))),
    Behind("an environment without bindings is put in", lambda world: world.shop.update(preview={})),
]

IN_CERTIFICATE_FILES = [
    Behind(
        "a certificate of ours is replaced: its bindings follow it",
        lambda world: world.contents.update(billing=5),
        ("changed certificate:billing",),
        (STAGING, BILLING),
    ),
    Behind(
        "an adopted certificate is replaced",
        lambda world: world.contents.update(ledger=5),
        ("changed certificate:ledger",),
        (LEDGER,),
    ),
    Behind(
        "a certificate is replaced by that of another name",
        lambda world: world.contents.update(billing=2),
        (f"changed {STAGING}", f"changed {BILLING}"),
    ),
    Behind(
        "a certificate is replaced, and an id put back to a placeholder",
        lambda world: (world.contents.update(billing=5), world.shop[None].update(BILLING="")),
        ("changed certificate:billing", f"changed {BILLING}"),
        (STAGING,),
    ),
    Behind(
        "a certificate is replaced, and a binding taken out",
        lambda world: (world.contents.update(billing=5), world.shop[None].pop("BILLING")),
        ("missing " + BILLING, "changed certificate:billing"),
        (STAGING,),
    ),
    Behind(
        "a certificate can't be read any more",
        lambda world: world.contents.update(billing=None),
        ("changed certificate:billing",),
        (STAGING, BILLING),
    ),
]
BEHIND = [*IN_STORE, *IN_WRANGLER_FILES, *IN_CERTIFICATE_FILES]


def shown(drift: Drift) -> tuple[str, ...]:
    """Its findings in short."""
    return tuple(f"{finding.state} {finding.key}" for finding in drift.findings)


def test_a_world_that_is_as_declared_is_in_sync() -> None:
    """Two certificates and four bindings."""
    drift = World().drift()
    assert shown(drift) == ()
    assert drift.summary == {**dict.fromkeys(State, 0), State.IN_SYNC: 6}
    assert drift.exit_code is ExitCode.OK


@pytest.mark.parametrize("row", BEHIND, ids=[row.what for row in BEHIND])
def test_what_somebody_did_is_named_rightly_and_nothing_else_is(row: Behind) -> None:
    """Each kind of change, alone."""
    world = World()
    row.do(world)
    drift = world.drift()
    assert shown(drift) == row.found
    assert sorted(key for finding in drift.findings for key in finding.follows) == sorted(row.follows)
    assert drift.exit_code is (ExitCode.CHANGES if any(one.fails for one in drift.findings) else ExitCode.OK)
    assert all(finding.message and finding.hint for finding in drift.findings)


@pytest.mark.parametrize("row", BEHIND, ids=[row.what for row in BEHIND])
def test_everything_is_in_sync_drifted_or_follows(row: Behind) -> None:
    """Nothing that is declared is lost between the three; what is unexpected comes on top."""
    world = World()
    row.do(world)
    drift = world.drift()
    follows = {key for finding in drift.findings for key in finding.follows}
    about = {finding.key for finding in drift.findings if finding.state is not State.UNEXPECTED}
    counted = {key for key in about | follows if key.startswith(("certificate:", "binding:"))}
    dead_ids = {key for finding in drift.findings if finding.subject is Subject.ENTRY for key in finding.follows}
    assert drift.in_sync + len(counted - dead_ids) == 6


def covers(drift: Drift, plan: Plan) -> bool:
    """Whether every change of a plan has a finding, or follows one."""
    told = {finding.key for finding in drift.findings} | {key for one in drift.findings for key in one.follows}
    wanted = set()
    for change in plan.changes:
        if isinstance(change, Upload):
            wanted |= {f"certificate:{name}" for name in (change.certificate, *change.shared_with)}
        elif isinstance(change, BindingChange):
            environment = "top-level" if change.at.environment is None else f"env/{change.at.environment}"
            wanted.add(drift_key(Subject.BINDING, change.at.config, environment, change.at.binding))
        elif isinstance(change, Retire):
            wanted.add(drift_key(Subject.ENTRY, change.entry.id))
        elif isinstance(change, Update):
            wanted.add(drift_key(Subject(change.at.place[0]), *change.at.place[1:]))
    return wanted <= told


ONLINE = [row for row in ROWS if row.there.listing is not None]


@pytest.mark.parametrize("row", ONLINE, ids=[row.rule for row in ONLINE])
def test_whatever_a_plan_would_change_has_drifted(row: Row) -> None:
    """Every world of the reconciler's rules: a plan with changes is never in sync."""
    plan = plan_of(row.wanted, row.there)
    assert covers(make_drift(plan), plan)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(universes())
def test_in_random_worlds_drift_and_plan_agree(universe: Universe) -> None:
    """What a plan would change has drifted; where a run that may change all would change nothing, and has no error, all
    is as declared."""
    there = universe.observe()
    drift = make_drift(plan_of(universe.desired, there))
    plan = plan_of(universe.desired, there, deploy=DeployChoice(everybody=True))
    assert covers(drift, plan)
    mended = {finding.state for finding in drift.findings} <= {State.UNEXPECTED}
    if not plan.changes and not any(problem.severity is Severity.ERROR for problem in plan.diagnostics):
        assert mended


def test_a_file_that_another_stack_binds_in_has_not_drifted() -> None:
    """`exclusive = false` says that what is not declared there is expected."""
    world = World()
    world.books[None]["MORE"] = uid(1)
    world.workers = [replace(one, exclusive=one.label != "books") for one in world.workers]
    assert shown(world.drift()) == ()


def test_a_retire_that_is_due_is_an_entry_that_nobody_expects() -> None:
    """The plan would delete it."""
    old, new = entry(1, 1, "@billing", age=60), entry(2, 2, "@billing", age=30)
    wanted = desired({"billing": 2}, [worker("checkout", {None: {"BILLING": "billing"}})])
    there = actual([old, new], {"checkout": file({None: {"BILLING": uid(2)}})})
    plan = plan_of(wanted, there)
    assert needs(judge(wanted, replace(there, sweep=None), NOW)).tree == (uid(1),)
    drift = make_drift(plan)
    assert shown(drift) == (f"unexpected entry:{uid(1)}",)
    assert (drift.findings[0].fails, drift.exit_code) == (False, ExitCode.OK)


def test_a_key_is_the_same_whatever_became_of_the_thing() -> None:
    """A receiver tells old from new by it."""
    keys = set()
    for text in ("TODO", uid(9), uid(77)):
        world = World()
        world.shop[None]["BILLING"] = text
        keys |= {finding.key for finding in world.drift().findings}
    world = World()
    del world.shop[None]["BILLING"]
    assert keys | {finding.key for finding in world.drift().findings} == {BILLING}


def test_parts_of_a_key_never_run_into_each_other() -> None:
    """Names of others may hold what stands between the parts."""
    hostile = [("a:b", "c"), ("a", "b:c"), ("a/b", "c"), ("a%3Ab", "c"), ("", "a:b:c"), ("\udcff", "c"), (HOSTILE, "c")]
    keys = {drift_key(Subject.BINDING, *parts) for parts in hostile}
    assert len(keys) == len(hostile)
    assert all(key.isascii() and key.isprintable() for key in keys)


def test_findings_from_elsewhere_join_in_order_and_change_the_exit_code() -> None:
    """What serving Workers present is looked for by others."""
    live = DriftFinding(State.CHANGED, Subject.CERTIFICATE, "worker:shop", "it presents another entry", "deploy it")
    world = World()
    joined = world.drift().joined([live], in_sync=3)
    assert (shown(joined), joined.in_sync, joined.exit_code) == (("changed worker:shop",), 9, ExitCode.CHANGES)
    world.shop[None].pop("BILLING")
    assert shown(world.drift().joined([live])) == (f"missing {BILLING}", "changed worker:shop")


def test_an_error_that_no_finding_tells_of_means_that_not_all_was_looked_at() -> None:
    """It wins over 2; one that a finding tells of is not said twice."""
    world = World()
    world.contents["billing"] = None
    drift = world.drift()
    assert (drift.diagnostics, drift.exit_code) == ((), ExitCode.CHANGES)
    error = Diagnostic(Severity.ERROR, Code.LISTING_SHORT, "a part of the list is missing")
    assert replace(drift, diagnostics=(error,)).exit_code is ExitCode.FAILED


def test_hostile_names_are_text() -> None:
    """Environments, bindings and ids are others' words."""
    world = World()
    world.workers = [worker("shop", {HOSTILE: {HOSTILE: "billing"}}, config=SHOP)]
    world.shop = {HOSTILE: {HOSTILE: HOSTILE, "MORE": uid(1)}}
    world.store(entry(5, 5, "@billing", age=1))
    text = render(world.drift(), "text", Display())
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


def test_after_apply_nothing_has_drifted(project: Project) -> None:
    """Exit 0, and no key is needed to say so."""
    result = project.run("drift")
    assert (result.code, result.err) == (0, "")
    assert result.out.rstrip().endswith("No drift; 2 certificates and bindings in sync.")


def test_a_changed_id_is_shown_with_its_place_and_the_command_that_fixes_it(project: Project) -> None:
    """Exit 2; `apply` fixes it, which is said once, at the end."""
    text = project.read("wrangler.toml")
    project.write("wrangler.toml", re.sub("10ca1000-[0-9a-f-]*", str(uid(77)), text))
    result = project.run("drift")
    assert result.code == 2
    assert f"  billing\n    ~ BILLING in wrangler.toml (top level) has {uid(77)}, which no" in result.out
    assert "      at   mtls.toml:12:1\n\n" in result.out
    assert result.out.endswith("Drift: 1 changed; 1 certificate or binding in sync.\nNext: mtlsctl apply\n")
    assert project.run("apply", "--yes").code == 0
    assert project.run("drift").code == 0


def test_a_certificate_file_that_is_gone_is_missing(project: Project) -> None:
    """It is drift, not a run that failed."""
    (project.folder / "certs/billing.pem").unlink()
    result = project.run("drift", "--format", "json")
    (found,) = result.json["findings"]
    assert (result.code, found["state"], found["key"]) == (2, "missing", "certificate:billing")
    assert result.json["diagnostics"] == []


def test_a_wrangler_file_that_is_gone_stops_the_run(project: Project) -> None:
    """As it stops a plan: then nothing can be said of its bindings."""
    (project.folder / "wrangler.toml").unlink()
    result = project.run("drift", "--format", "json")
    assert result.code == 1
    assert [problem["code"] for problem in result.json["diagnostics"]] == ["file-missing"]


def test_json_is_one_document_and_out_writes_the_same(project: Project) -> None:
    """For a scheduler: states counted, the finding with its key, its place and the binding that follows it."""
    project.write("certs/billing.pem", issued(2).certificate_pem)
    result = project.run("drift", "--format", "json", "--out", "drift.json")
    document = result.json
    assert (result.code, document["format"]) == (2, "mtlsctl.drift/1")
    assert document["summary"] == {str(state): int(state is State.CHANGED) for state in State}
    (found,) = document["findings"]
    assert (found["key"], found["state"], found["subject"]) == ("certificate:billing", "changed", "certificate")
    assert found["follows"] == ["binding:wrangler.toml:top-level:BILLING"]
    assert (found["path"], found["line"]) == ("mtls.toml", 5)
    assert found["expected"] != found["found"]
    assert found["apply"] is True
    assert project.read("drift.json") == result.out


def test_drift_writes_nothing_and_shows_no_key(project: Project) -> None:
    """Whatever stands in the files."""
    project.write("certs/billing.pem", issued(2).key_pem)
    before = {path: path.read_bytes() for path in project.folder.rglob("*") if path.is_file()}
    results = [project.run("drift", "--verbose"), project.run("drift", "--format", "json")]
    assert {path: path.read_bytes() for path in project.folder.rglob("*") if path.is_file()} == before
    assert [result.code for result in results] == [2, 2]
    search(project, results, (2,), ("certs/billing.pem",))


def test_drift_makes_no_call_beyond_those_of_a_plan(tmp_path: Path) -> None:
    """Counted at the account: the list, and one question for each id that the list lacks."""
    state = new_state(SystemClock())
    store = state.account().store
    for number in (0, 1):
        made = store.seed(type_="custom", name="x", ca=False, certificates=LEAVES[number].certificate_pem.decode())
        state.account().added(made)
    project = make_project(tmp_path, MTLS.replace("[certificates", '[store]\nkind = "cloudflare"\n\n[certificates', 1))
    project.write("wrangler.toml", WRANGLER.replace("<CERTIFICATE_ID>", REAL_ID))
    project.write("certs/billing.pem", LEAVES[0].certificate_pem)
    with running(state) as url:
        project.environ = account_environ(url)
        assert project.run("plan", "--detailed-exitcode").code == 2
        planned = [(call.method, call.path, call.query) for call in state.calls]
        state.calls.clear()
        assert project.run("drift").code == 2
    assert [(call.method, call.path, call.query) for call in state.calls] == planned
    assert any(path.endswith(REAL_ID) for _, path, _ in planned)
