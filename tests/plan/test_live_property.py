"""No entry goes that somebody could still present: whatever people do, in whatever order, and wherever a run dies."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from reconciler.model import Condition
from reconciler.plan import retire
from reconciler.stores.cloudflare.store import CloudflareStore
from tests.support.live_world import CONTENTS, WORKERS, World, bound, days, every_id
from tests.support.sizes import size

NAMES = st.sampled_from(["billing", "ledger"])
PICK = st.integers(0, 1_000)


class Company(RuleBasedStateMachine):
    """Edits, runs, crashes, deploys, splits, rollbacks, reverts, old checkouts, and clocks that jump."""

    @initialize()
    def begin(self) -> None:
        self.world = World()

    @rule(name=NAMES, number=st.integers(0, CONTENTS - 1))
    def renew(self, name: str, number: int) -> None:
        """A certificate is renewed, or goes back to what it was; two may share a content."""
        self.world.renew(name, number)

    @rule(name=NAMES)
    def drop(self, name: str) -> None:
        self.world.drop(name)

    @rule(deploy=st.booleans())
    def run_main(self, deploy: bool) -> None:
        """A pipeline on main, which commits what it wrote."""
        self.world.run(self.world.main, deploy=deploy)
        self.world.commit({})

    @rule(deploy=st.booleans(), at=st.integers(-25, 25))
    def die(self, deploy: bool, at: int) -> None:
        """The same, killed at one of its requests."""
        self.world.run(self.world.main, deploy=deploy, crash_at=at)

    @rule(pick=PICK)
    def run_old_checkout(self, pick: int) -> None:
        """A forgotten job of an earlier commit. It sees its own files and what is live; that main went back to an
        earlier content, and its file names that again without being deployed yet, it can't know."""
        world = self.world
        old = dict(world.history[pick % len(world.history)])
        world.judges_main = not world.went_back
        world.run(old)
        world.judges_main = True

    @rule(pick=PICK)
    def revert(self, pick: int) -> None:
        """git revert: everything is as it was in an earlier commit."""
        self.world.went_back = True
        self.world.commit(self.world.history[pick % len(self.world.history)])

    @rule(worker=st.sampled_from(WORKERS))
    def deploy(self, worker: str) -> None:
        """By hand, what main's file names."""
        self.world.deploy(worker, bound(self.world.main, worker))

    @rule(pick=PICK, worker=st.sampled_from((*WORKERS, "unheard-of")))
    def deploy_something(self, pick: int, worker: str) -> None:
        """By hand, any id of the account, under any name: a Worker that no file knows among them."""
        ids = list(every_id(self.world.state))
        if ids:
            self.world.deploy(worker, {"ANY": ids[pick % len(ids)]})

    @rule(worker=st.sampled_from(WORKERS), share=st.integers(1, 99), pick=PICK)
    def split(self, worker: str, share: int, pick: int) -> None:
        """A gradual deployment of what main's file names beside some earlier version."""
        found = self.world.workers.get(worker)
        reply = self.world.upload_version(worker, bound(self.world.main, worker))
        if found is not None and reply.status_code == 200:
            versions = [str(version["id"]) for version in found.versions]
            other = versions[pick % (len(versions) - 1)]
            self.world.share(worker, {versions[-1]: share, other: 100 - share})

    @rule(worker=st.sampled_from(WORKERS), pick=PICK)
    def roll_back(self, worker: str, pick: int) -> None:
        """To any version that there is."""
        found = self.world.workers.get(worker)
        if found is not None:
            versions = [str(version["id"]) for version in found.versions]
            self.world.share(worker, {versions[pick % len(versions)]: 100})

    @rule(count=st.sampled_from([0.1, 1, 2, 30, -0.5, -3]))
    def jump(self, count: float) -> None:
        """Time passes, or a clock is set."""
        self.world.clock.time += days(count)

    @invariant()
    def nothing_needed_was_to_be_deleted(self) -> None:
        assert self.world.violations == []


Company.TestCase.settings = settings(max_examples=size(30, full=60), stateful_step_count=40, deadline=None)
TestCompany = Company.TestCase


def test_the_old_entry_does_go_once_nothing_needs_it() -> None:
    """The property above is not held by never deleting: the ordinary way ends with one entry."""
    world = World()
    assert world.run(world.main, deploy=False) is not None
    for worker in WORKERS:
        world.deploy(worker, bound(world.main, worker))
    world.renew("billing", 1)
    assert world.run(world.main, deploy=True) is not None
    world.clock.time += days(2)
    world.run(world.main, deploy=True)
    assert world.deleted == 0, "the deployment before still presents it"
    for worker in WORKERS:
        world.deploy(worker, bound(world.main, worker))
    world.run(world.main, deploy=True)
    assert world.deleted == 1
    assert len(list(every_id(world.state))) == 1
    assert world.violations == []


def run_until_retired(world: World) -> None:
    """A rotation, deployed once, and a run after the grace."""
    world.run(world.main, deploy=False)
    for worker in WORKERS:
        world.deploy(worker, bound(world.main, worker))
    world.renew("billing", 1)
    world.run(world.main, deploy=False)
    world.clock.time += days(2)
    world.run(world.main)


@pytest.mark.parametrize(
    "forgotten",
    [{Condition.PRESENTED_LIVE, Condition.USED_ELSEWHERE}, {Condition.ROLLBACK_REACH}],
    ids=["what serves", "what one may go back to"],
)
def test_a_gate_that_forgets_what_is_live_is_caught(forgotten: set[Condition], monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge can fail. What serves is kept thrice: the associations of Cloudflare name its service as well, and the
    store asks for them once more just before it deletes."""
    checks = tuple((condition, check) for condition, check in retire.WITH_LIVE if condition not in forgotten)
    monkeypatch.setattr(retire, "WITH_LIVE", checks)
    if Condition.USED_ELSEWHERE in forgotten:
        monkeypatch.setattr(CloudflareStore, "_demand_unused", lambda _store, _entry_id: None)
    world = World()
    run_until_retired(world)
    if Condition.ROLLBACK_REACH in forgotten:
        assert world.violations == []
        world.run(world.main, deploy=True)
        world.run(world.main)
    assert any("presents it" in violation for violation in world.violations)
