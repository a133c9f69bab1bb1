"""What an upload finds that somebody made meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from reconciler.apply import World, apply_plan
from reconciler.findings.codes import Code
from reconciler.model import CertificateName, Change, Desired, KeyReference, StoreSettings
from reconciler.model.ports import PrivateKey
from reconciler.plan.outcome import Step, StepStatus
from reconciler.x509.certificates import Bundle
from tests.support.memory import MemoryFiles, NoDeployer, NoProver, open_in_memory
from tests.support.pki import NOW, make_ca
from tests.support.store_contract import SetClock
from tests.support.worlds import actual, certificate, desired, plan_of

LEAF = make_ca("Root").issue_ca("Intermediate").issue("client")
RIGHT, TURNED = LEAF.bundle, Bundle(LEAF.bundle.ders[::-1])


@dataclass(frozen=True)
class Key:
    """The leaf's key."""

    def open(self, _: KeyReference) -> PrivateKey:
        return PrivateKey(LEAF.key_pem)


class Nobody:
    """Watches nothing."""

    def started(self, change: Change) -> None: ...

    def finished(self, step: Step) -> None: ...


@pytest.mark.parametrize(("meanwhile", "code"), [(RIGHT, None), (TURNED, Code.LEAF_DIFFERS)], ids=["same", "turned"])
def test_a_certificate_that_was_uploaded_meanwhile_is_used_only_with_the_same_leaf(
    meanwhile: Bundle, code: Code | None
) -> None:
    """The store says that it has this content; with another certificate first, a Worker would present that one."""
    wanted = desired({"billing": 1}, declared=[certificate("billing")])
    wanted = Desired(wanted.declaration, {CertificateName("billing"): RIGHT})
    plan = plan_of(wanted, actual(()))
    store = open_in_memory(StoreSettings(), clock=SetClock())
    store.seed(type_="custom", name="somebody's", ca=False, certificates=meanwhile.pem())
    world = World(
        store=store,
        files=MemoryFiles(),
        keys={"env": Key()},
        observer=Nobody(),
        still_safe=lambda _: frozenset(),
        deployer=NoDeployer,
        prover=NoProver(),
        now=lambda: NOW,
    )
    (step,) = apply_plan(plan, wanted, world).steps
    assert step.status is (StepStatus.DONE if code is None else StepStatus.FAILED)
    assert (step.problem.code if step.problem is not None else None) is code
