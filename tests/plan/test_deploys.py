"""Which Workers are deployed: a table of what serves against what the file names, each row one rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest

from reconciler.apply import World, apply_plan
from reconciler.apply.deploys import in_waves
from reconciler.findings.errors import DeployError, StalePlanError
from reconciler.model import (
    Built,
    Change,
    Deploy,
    Deployer,
    EntryId,
    EnvironmentName,
    Live,
    LiveVersion,
    LiveWorker,
    StoreKind,
    StoreSettings,
    WorkerLabel,
    WranglerFile,
)
from reconciler.model.ports import WorkerDeployer
from reconciler.plan.approval import approve
from reconciler.plan.assess import judge
from reconciler.plan.assessment import PlanOptions
from reconciler.plan.live import NOBODY, DeployChoice, LiveState, target_of
from reconciler.plan.outcome import Step, StepStatus
from reconciler.plan.plan import Plan, make_plan
from reconciler.reports.drift_live import join_live
from reconciler.reports.drift_look import make_drift
from reconciler.reports.left import find_left
from reconciler.views.table import Display, render
from tests.plan.test_retire_live import NEW, OLD, real
from tests.support.cli import WRANGLER, make_project
from tests.support.interrupts import interrupt_main, interruptible
from tests.support.memory import MemoryClock, MemoryFiles, NoProver, open_in_memory
from tests.support.pki import NOW
from tests.support.worlds import actual, desired, file, worker

ASKED = DeployChoice(everybody=True)


def named(bindings: Mapping[str, str], script: str | None = "shop") -> WranglerFile:
    """A wrangler file with a Worker's name."""
    made = file({None: bindings})
    return replace(made, environments={None: replace(made.environments[None], script=script)}, worker_name=script)


def of_account(account_id: str) -> WranglerFile:
    """A wrangler file that says its account."""
    made = named({"BILLING": NEW.id})
    return replace(made, environments={None: replace(made.environments[None], account_id=account_id)})


def serves(*versions: Mapping[str, EntryId]) -> Live:
    """What the Worker serves: one version, or two that share the traffic."""
    share = 100 / max(len(versions), 1)
    found = tuple(LiveVersion(f"v{number}", table, share) for number, table in enumerate(versions, 1))
    return Live(workers={"shop": LiveWorker("shop", found)})


@dataclass(frozen=True)
class Row:
    """A declared Worker, its file, what serves; and what is planned."""

    name: str
    live: Live | None
    found: WranglerFile = field(default_factory=lambda: named({"BILLING": NEW.id}))
    deploys: int = 0
    findings: Sequence[str] = ()
    wanted: DeployChoice = ASKED
    declares: bool = False
    content: int = 1
    undeployed: bool = False
    declared: Mapping[str, str] = field(default_factory=lambda: {"BILLING": "billing"})
    more: Mapping[EnvironmentName, Mapping[str, str]] = field(default_factory=dict)


ROWS = [
    Row("what serves is what the file names", serves({"BILLING": NEW.id})),
    Row("another id serves", serves({"BILLING": OLD.id}), deploys=1),
    Row("the binding is not live yet", serves({}), deploys=1),
    Row("the file changes in this run", serves({"BILLING": OLD.id}), named({"BILLING": OLD.id}), deploys=1),
    Row("the upload is still to come", serves({"BILLING": NEW.id}), deploys=1, content=3),
    Row("nobody asked", serves({"BILLING": OLD.id}), wanted=DeployChoice()),
    Row(
        "the Worker declares it, and the operator allows it",
        serves({"BILLING": OLD.id}),
        wanted=DeployChoice(allowed=True),
        declares=True,
        deploys=1,
    ),
    Row(
        "the Worker declares it, and nobody allows it",
        serves({"BILLING": OLD.id}),
        wanted=DeployChoice(),
        declares=True,
        findings=["deploy-not-allowed"],
    ),
    Row("the Worker declares it and is up to date", serves({"BILLING": NEW.id}), wanted=DeployChoice(), declares=True),
    Row("deploys are not what the run is about", serves({"BILLING": OLD.id}), wanted=NOBODY, declares=True),
    Row("what serves was not looked at", None),
    Row(
        "two versions share the traffic",
        serves({"BILLING": OLD.id}, {"BILLING": NEW.id}),
        findings=["gradual-deployment"],
    ),
    Row("two versions share it, and both serve what the file names", serves({"BILLING": NEW.id}, {"BILLING": NEW.id})),
    Row(
        "two versions share it, and that is no matter",
        serves({"BILLING": OLD.id}, {"BILLING": NEW.id}),
        wanted=DeployChoice(everybody=True, over_split=True),
        deploys=1,
    ),
    Row("the account has no such Worker", Live(workers={"shop": None}), findings=["not-live"]),
    Row("it is said not to be live", Live(workers={"shop": None}), undeployed=True),
    Row("what serves could not be looked at", Live(unread={"shop": "no right"}), findings=["live-unread"]),
    Row(
        "the file gives its Worker no name",
        serves({"BILLING": OLD.id}),
        named({"BILLING": NEW.id}, None),
        findings=["deploy-unsupported"],
    ),
    Row(
        "a Pages project",
        serves({"BILLING": OLD.id}),
        replace(named({"BILLING": NEW.id}), pages=True),
        findings=["deploy-unsupported"],
    ),
    Row(
        "a build has the new id",
        serves({"BILLING": OLD.id}),
        replace(named({"BILLING": NEW.id}), built=Built("dist/w.json", frozenset({("BILLING", str(NEW.id))}), "shop")),
        deploys=1,
    ),
    Row(
        "a build still has the old id",
        serves({"BILLING": OLD.id}),
        replace(named({"BILLING": NEW.id}), built=Built("dist/w.json", frozenset({("BILLING", str(OLD.id))}), "shop")),
        findings=["build-needed", "redirected"],
    ),
    Row(
        "a build is of another Worker, as of another environment",
        serves({"BILLING": OLD.id}),
        replace(
            named({"BILLING": NEW.id}), built=Built("dist/w.json", frozenset({("BILLING", str(NEW.id))}), "shop-x")
        ),
        findings=["build-needed", "redirected"],
    ),
    Row(
        "a build still has a binding that is to go",
        serves({"BILLING": NEW.id, "GONE": OLD.id}),
        replace(
            named({"BILLING": NEW.id}),
            built=Built("dist/w.json", frozenset({("BILLING", str(NEW.id)), ("GONE", str(OLD.id))}), "shop"),
        ),
        findings=["build-needed", "redirected"],
    ),
    Row("the file is of another account", serves({"BILLING": OLD.id}), of_account("f" * 32)),
    Row("the file says the account of the store", serves({"BILLING": OLD.id}), of_account("a" * 32), deploys=1),
    Row(
        "two environments are one Worker",
        serves({"BILLING": OLD.id}),
        replace(
            named({"BILLING": NEW.id}),
            environments={
                None: replace(file({None: {"BILLING": NEW.id}}).environments[None], script="shop"),
                "x": replace(file({"x": {"BILLING": NEW.id}}).environments["x"], script="shop"),
            },
        ),
        more={"x": {"BILLING": "billing"}},
        findings=["deploy-ambiguous", "deploy-ambiguous"],
    ),
    Row("an undeclared binding of ours still serves", serves({"BILLING": NEW.id, "GONE": OLD.id}), deploys=1),
    Row(
        "an undeclared binding of somebody else serves something else",
        serves({"BILLING": NEW.id, "THEIRS": real(9)}),
        named({"BILLING": NEW.id, "THEIRS": real(8)}),
    ),
]


def plan_of(row: Row) -> Plan:
    declared = worker(
        tables={None: row.declared, **row.more},
        undeployed=frozenset({None}) if row.undeployed else frozenset(),
        deploy=Deployer.WRANGLER if row.declares else None,
    )
    found = desired({"billing": row.content}, [declared], store=StoreKind.CLOUDFLARE)
    account = replace(found.declaration.store, account_id="a" * 32)
    wanted = replace(found, declaration=replace(found.declaration, store=account))
    there = actual([NEW, OLD], {"checkout": row.found}, live=row.live)
    return make_plan(judge(wanted, there, NOW, PlanOptions(deploy=row.wanted)))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_deploy_is_planned_only_where_what_serves_differs(row: Row) -> None:
    """Decided by live truth alone."""
    plan = plan_of(row)
    assert len([change for change in plan.changes if change.action == "deploy"]) == row.deploys
    said = {problem.code for problem in plan.diagnostics if problem.certificate is None}
    assert said & {
        "gradual-deployment",
        "not-live",
        "live-unread",
        "deploy-unsupported",
        "build-needed",
        "deploy-ambiguous",
        "deploy-not-allowed",
    } == set(row.findings) - {"redirected"}


def test_a_deploy_keeps_its_key_when_its_upload_is_done() -> None:
    """A saved plan still allows what is left of it."""
    before = plan_of(Row("", serves({"BILLING": OLD.id}), named({"BILLING": OLD.id})))
    after = plan_of(Row("", serves({"BILLING": OLD.id})))
    from reconciler.plan.plan import change_key

    assert [change_key(change) for change in before.changes if change.action == "deploy"] == [
        change_key(change) for change in after.changes if change.action == "deploy"
    ]


@pytest.mark.parametrize(("content", "file_id", "live_id"), [(1, NEW.id, OLD.id), (2, OLD.id, NEW.id)])
def test_a_deploy_that_goes_back_to_an_older_upload_is_marked(content: int, file_id: EntryId, live_id: EntryId) -> None:
    """A re-run of an old commit plans one."""
    found = named({"BILLING": file_id})
    plan = plan_of(Row("", serves({"BILLING": live_id}), found, content=content))
    (deploy,) = [change for change in plan.changes if isinstance(change, Deploy)]
    assert [one.older for one in deploy.bindings] == [content == 2]
    assert ("older" in render(plan, "text", Display())) is (content == 2)


def test_a_binding_in_neither_the_file_nor_a_live_version_uses_no_certificate() -> None:
    """A new binding on a pull request."""
    declared = worker(tables={None: {"BILLING": "billing", "PARTNER": "billing"}})
    wanted = desired({"billing": 1}, [declared], store=StoreKind.CLOUDFLARE)
    there = actual([NEW], {"checkout": named({"BILLING": NEW.id})}, live=serves({"BILLING": NEW.id}))
    text = render(make_plan(judge(wanted, there, NOW), show_live=True), "text", Display())
    assert "1 binding uses the certificate of the wrangler file.\n" in text
    assert "1 binding is not in the wrangler file and not live yet.\n" in text


@pytest.mark.parametrize(
    ("live", "state"),
    [
        (serves({"BILLING": NEW.id}), LiveState.IN_SYNC),
        (serves({"BILLING": OLD.id}), LiveState.NEEDS_DEPLOY),
        (serves({}), LiveState.NEEDS_DEPLOY),
        (serves({"BILLING": OLD.id}, {"BILLING": NEW.id}), LiveState.SPLIT),
        (serves({"BILLING": NEW.id}, {"BILLING": NEW.id}), LiveState.IN_SYNC),
        (Live(workers={"shop": None}), LiveState.NOT_DEPLOYED),
        (serves(), LiveState.NOT_DEPLOYED),
        (Live(unread={"shop": "no right"}), LiveState.UNKNOWN),
    ],
)
def test_file_and_live_are_told_apart(live: Live, state: LiveState) -> None:
    """One word for each way in which they can stand to each other."""
    wanted = desired({"billing": 1}, [worker(tables={None: {"BILLING": "billing"}})], store=StoreKind.CLOUDFLARE)
    there = actual([NEW, OLD], {"checkout": named({"BILLING": NEW.id})}, live=live)
    (row,) = judge(wanted, there, NOW).live
    assert (row.state, row.file, row.script) == (state, NEW.id, "shop")


def test_the_sides_of_a_pages_project_are_two_targets() -> None:
    """Production is the top level's too."""
    made = replace(file({None: {}, "preview": {}, "production": {}}), pages=True)
    found = replace(made, environments={name: replace(one, script="site") for name, one in made.environments.items()})
    assert target_of(found, None) == target_of(found, "production") == "pages/site/production"
    assert target_of(found, "preview") == "pages/site/preview"


@pytest.mark.parametrize(
    ("sizes", "waves"),
    [
        ((None,), [5]),
        ((1, None), [1, 4]),
        ((1, 2), [1, 2]),
        ((1, 2, None), [1, 2, 2]),
        ((9,), [5]),
        ((2, 2, 2, None), [2, 2, 1]),
    ],
)
def test_waves_are_as_large_as_they_are_asked_for(sizes: tuple[int | None, ...], waves: list[int]) -> None:
    """What is left over without `all` is not deployed."""
    (deploy,) = [one for one in plan_of(Row("", serves({}))).changes if one.action == "deploy"]
    ready = [(number, deploy) for number in range(5)]
    assert [len(wave) for wave in in_waves(ready, sizes)] == waves  # type: ignore[arg-type]


@dataclass
class Interrupted:
    """A deployer whose first deploy meets Ctrl-C while the second is under way."""

    begun: Event = field(default_factory=Event)
    over: Event = field(default_factory=Event)
    waited: bool = False

    def deploy(self, config: str, environment: EnvironmentName, script: str) -> str | None:
        if script == "first":
            self.begun.wait(60)
            interrupt_main()
            raise DeployError("interrupted")
        self.begun.set()
        self.waited = self.over.wait(60)
        raise DeployError("ended")

    def demand_programs(self, configs: Iterable[str]) -> None:
        """All are there."""

    def give_up(self) -> None:
        self.over.set()


def world_with(deployer: WorkerDeployer) -> World:
    """An empty world with this deployer."""
    return World(
        store=open_in_memory(StoreSettings(), clock=MemoryClock()),
        files=MemoryFiles(),
        keys={},
        observer=Nobody(),
        still_safe=lambda _: frozenset(),
        deployer=lambda: deployer,
        prover=NoProver(),
        now=lambda: NOW,
    )


def test_an_approved_deploy_is_of_one_worker_and_no_other() -> None:
    """Its name can change after the review, and then another Worker's code would be overwritten."""
    plan = plan_of(Row("", serves({"BILLING": OLD.id})))
    (deploy,) = [change for change in plan.changes if isinstance(change, Deploy)]
    saved = replace(plan, changes=(replace(deploy, script="shop-staging"),))
    assert saved.digest != replace(plan, changes=(deploy,)).digest
    with pytest.raises(StalePlanError, match=r"not in the saved plan: deploy .* as shop"):
        approve(plan, saved)


def test_a_digest_is_of_one_account() -> None:
    """The same intent in another account is another one."""
    plan = plan_of(Row("", serves({"BILLING": OLD.id})))
    other = replace(plan, store=replace(plan.store, account_id="f" * 32))
    assert (plan.digest == other.digest, plan.digest == replace(plan, stack="other").digest) == (False, False)


class Unasked:
    """A deployer that nobody may ask."""

    def deploy(self, config: str, environment: EnvironmentName, script: str) -> str | None:
        raise AssertionError(f"{script} was deployed")

    def demand_programs(self, configs: Iterable[str]) -> None:
        """All are there."""

    def give_up(self) -> None:
        """Nothing is under way."""


def test_what_ends_before_it_is_deployed_is_not_deployed() -> None:
    """The plan was right when it was made; a wave, or a question, took longer."""
    plan = plan_of(Row("", serves({"BILLING": OLD.id})))
    (deploy,) = [change for change in plan.changes if isinstance(change, Deploy)]
    late = replace(deploy, not_after=NOW - timedelta(seconds=1))
    outcome = apply_plan(replace(plan, changes=(late,)), desired({}), world_with(Unasked()))
    (step,) = outcome.steps
    assert step.problem is not None
    assert (step.status, step.problem.code) == (StepStatus.FAILED, "certificate-expired")


@interruptible()
def test_an_interrupt_ends_what_is_being_deployed() -> None:
    """Else a wrangler that hangs would be waited for, and a second Ctrl-C needed."""
    plan = plan_of(Row("", serves({"BILLING": OLD.id})))
    (deploy,) = [change for change in plan.changes if isinstance(change, Deploy)]
    both = tuple(replace(deploy, script=script) for script in ("first", "second"))
    deployer = Interrupted()
    outcome = apply_plan(replace(plan, changes=both), desired({}), world_with(deployer))
    assert outcome.interrupted
    assert deployer.waited
    assert {step.status for step in outcome.steps} == {StepStatus.UNFINISHED}


class Nobody:
    """An observer that sees nothing."""

    def started(self, change: Change) -> None: ...

    def finished(self, step: Step) -> None: ...


def test_what_is_left_to_deploy_is_what_was_written_and_not_deployed() -> None:
    """Bound in this run, or left behind by an earlier one as far as it was looked at; nothing of the embedded store."""
    plan = plan_of(Row("", serves({"BILLING": OLD.id}), named({"BILLING": OLD.id})))
    rebind, deploy = plan.changes
    cloudflare = StoreSettings(StoreKind.CLOUDFLARE)
    files: dict[WorkerLabel, WranglerFile] = {}
    done = [Step(rebind, StepStatus.DONE), Step(deploy, StepStatus.DONE)]
    failed = [Step(rebind, StepStatus.DONE), Step(deploy, StepStatus.FAILED)]
    unwritten = [Step(rebind, StepStatus.FAILED), Step(deploy, StepStatus.NOT_STARTED)]
    assert find_left(done, (), cloudflare, files) == ()
    assert [one.command for one in find_left(failed, (), cloudflare, files)] == [
        ("wrangler", "deploy", "--config", "workers/checkout/wrangler.toml", "--env=")
    ]
    assert find_left(failed, (), StoreSettings(), files) == ()
    assert find_left(unwritten, (), cloudflare, files) == ()


@pytest.mark.parametrize("arguments", [["plan", "--deploy"], ["apply", "--yes", "--deploy"]], ids=" ".join)
def test_to_deploy_from_the_embedded_store_is_no_wish_that_is_passed_over(arguments: list[str], tmp_path: Path) -> None:
    """Nothing can be live of it; who asks is told, and nothing is changed."""
    project = make_project(tmp_path)
    result = project.run(*arguments)
    assert result.code == 64
    assert "`--deploy` reads live Workers" in result.err
    assert project.read("wrangler.toml") == WRANGLER
    assert project.run("plan", "--deploy", "--offline").code == 64


@pytest.mark.parametrize(
    ("live", "found", "told"),
    [
        (serves({"BILLING": NEW.id}), {"BILLING": NEW.id}, []),
        (
            serves({"BILLING": OLD.id}),
            {"BILLING": NEW.id},
            [("changed", "live:workers/checkout/wrangler.toml:top-level:BILLING")],
        ),
        (serves({}), {"BILLING": NEW.id}, [("missing", "live:workers/checkout/wrangler.toml:top-level:BILLING")]),
        (
            Live(workers={"shop": None}),
            {"BILLING": NEW.id},
            [("missing", "live:workers/checkout/wrangler.toml:top-level")],
        ),
        (
            serves({"BILLING": NEW.id, "GONE": OLD.id}),
            {"BILLING": NEW.id},
            [("unexpected", "live:workers/checkout/wrangler.toml:top-level:GONE")],
        ),
        (serves({"BILLING": NEW.id, "THEIRS": real(9)}), {"BILLING": NEW.id}, []),
        (
            serves({"BILLING": NEW.id}, {"BILLING": OLD.id}),
            {"BILLING": NEW.id},
            [("changed", "live:workers/checkout/wrangler.toml:top-level:BILLING")],
        ),
    ],
    ids=["in sync", "another id", "no binding", "no Worker", "an undeclared one of ours", "a foreign one", "gradual"],
)
def test_drift_of_what_serves_is_named_and_nothing_else(
    live: Live, found: Mapping[str, str], told: Sequence[tuple[str, str]]
) -> None:
    """With stable keys; what is not ours is nobody's drift."""
    wanted = desired({"billing": 1}, [worker(tables={None: {"BILLING": "billing"}})], store=StoreKind.CLOUDFLARE)
    there = actual([NEW, OLD], {"checkout": named(found)}, live=live)
    plan = make_plan(judge(wanted, there, NOW), show_live=True)
    drift = join_live(make_drift(plan), plan)
    assert [(one.state, one.key) for one in drift.findings if one.subject == "live"] == told


@pytest.mark.parametrize("live", [Live(workers={"shop": None}), Live(workers={"shop": LiveWorker("shop", ())})])
def test_drift_of_a_worker_without_a_live_version_says_that_it_is_not_deployed(live: Live) -> None:
    """In a whole sentence, with the binding that its file has."""
    wanted = desired({"billing": 1}, [worker(tables={None: {"BILLING": "billing"}})], store=StoreKind.CLOUDFLARE)
    there = actual([NEW], {"checkout": named({"BILLING": NEW.id})}, live=live)
    plan = make_plan(judge(wanted, there, NOW), show_live=True)
    found = [one.message for one in join_live(make_drift(plan), plan).findings if one.subject == "live"]
    assert found == [
        "shop, from workers/checkout/wrangler.toml (top level), is not deployed in this account; bindings: BILLING"
    ]


def test_drift_of_a_worker_that_is_not_deployed_is_one_finding_with_what_a_deploy_needs() -> None:
    """wrangler refuses a placeholder; and the Worker may not be meant to be live yet."""
    declared = worker(tables={None: {"BILLING": "billing", "MORE": "billing"}})
    wanted = desired({"billing": 1}, [declared], store=StoreKind.CLOUDFLARE)
    found = named({"BILLING": NEW.id, "MORE": NEW.id, "SMS": "<put id here>"})
    plan = make_plan(judge(wanted, actual([NEW], {"checkout": found}, live=serves()), NOW), show_live=True)
    (one,) = [one for one in join_live(make_drift(plan), plan).findings if one.subject == "live"]
    assert one.message.endswith("bindings: BILLING, MORE")
    assert one.hint.startswith("fix SMS in workers/checkout/wrangler.toml, which wrangler refuses")
    assert "then deploy it; or set `deployed = false` in `[workers.checkout]` until it is:\n" in one.hint


def test_drift_of_a_removed_binding_that_is_still_live_is_of_its_certificate() -> None:
    """So that it is shown with the rest of that certificate."""
    wanted = desired({"billing": 1}, [worker(tables={None: {"BILLING": "billing"}})], store=StoreKind.CLOUDFLARE)
    live = serves({"BILLING": NEW.id, "GONE": OLD.id})
    plan = make_plan(
        judge(wanted, actual([NEW, OLD], {"checkout": named({"BILLING": NEW.id})}, live=live), NOW), show_live=True
    )
    found = [one.certificate for one in join_live(make_drift(plan), plan).findings if one.subject == "live"]
    assert found == ["billing"]


def test_what_serves_and_could_not_be_looked_at_is_no_drift_but_an_error() -> None:
    """Exit 1, with the reason."""
    wanted = desired({"billing": 1}, [worker(tables={None: {"BILLING": "billing"}})], store=StoreKind.CLOUDFLARE)
    there = actual([NEW], {"checkout": named({"BILLING": NEW.id})}, live=Live(unread={"shop": "no right"}))
    plan = make_plan(judge(wanted, there, NOW), show_live=True)
    drift = join_live(make_drift(plan), plan)
    assert drift.exit_code == 1
    assert "no right" in drift.diagnostics[-1].message
