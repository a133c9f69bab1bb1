"""Keys in a run of apply: each pair of certificate and key is checked once, even if the key is opened again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from reconciler.apply import World, apply_plan
from reconciler.apply import keys as apply_keys
from reconciler.findings.diagnostics import Diagnostic
from reconciler.model import Entry, KeyReference
from reconciler.model.ports import KeySource, NewEntry, PrivateKey, Store
from reconciler.plan.outcome import Outcome, StepStatus
from reconciler.stores import local
from reconciler.stores.database import MemoryDatabase
from reconciler.stores.local import LocalStore
from reconciler.x509.certificates import Bundle
from reconciler.x509.key_pairs import check_pair
from tests.support.memory import MemoryClock, MemoryFiles, MemoryKeys, NoDeployer, NoProver, open_in_memory
from tests.support.pki import NOW
from tests.support.worlds import actual, desired, issued, plan_of

WANTED = desired({"billing": 1})


@dataclass
class Turning:
    """A key source that returns another key each time, the last one repeatedly."""

    keys: list[bytes]

    def open(self, reference: KeyReference) -> PrivateKey:
        return PrivateKey(self.keys.pop(0) if len(self.keys) > 1 else self.keys[0])


def run(source: KeySource, store: Store | None = None) -> Outcome:
    world = World(
        store=store or open_in_memory(WANTED.declaration.store, clock=MemoryClock()),
        files=MemoryFiles(),
        keys={"env": source},
        observer=Nobody(),
        still_safe=lambda _: frozenset(),
        deployer=NoDeployer,
        prover=NoProver(),
        now=lambda: NOW,
    )
    return apply_plan(plan_of(WANTED, actual(())), WANTED, world)


class Nobody:
    """An observer that does nothing."""

    def started(self, change: object) -> None: ...

    def finished(self, step: object) -> None: ...


@pytest.fixture
def proofs(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The keys that are checked, in order, by any caller."""
    seen: list[bytes] = []

    def count(bundle: Bundle, key: bytes, *, where: None) -> tuple[Diagnostic, ...]:
        seen.append(key)
        return check_pair(bundle, key, where=where)

    for room in (apply_keys, local):
        monkeypatch.setattr(room, "check_pair", count)
    return seen


def test_a_pair_is_proved_once(proofs: list[bytes]) -> None:
    """The key is opened twice, to check it and to upload it; the local store relies on the check."""
    source = MemoryKeys({"KEY": issued(1).key_pem})
    assert [step.status for step in run(source).steps] == [StepStatus.DONE]
    assert source.opened == 2
    assert proofs == [issued(1).key_pem]


def test_a_key_that_changes_before_its_upload_is_proved_again(proofs: list[bytes]) -> None:
    """For example if someone replaces a file meanwhile; one that does not match is not sent."""
    (step,) = run(Turning([issued(1).key_pem, issued(2).key_pem])).steps
    assert (step.status, step.problem and step.problem.code) == (StepStatus.FAILED, "key-mismatch")
    assert proofs == [issued(1).key_pem, issued(2).key_pem]


@pytest.mark.parametrize("surround", [lambda key: key, lambda key: b"a comment\n" + key.replace(b"\n", b"\r\n")])
def test_what_is_uploaded_is_the_key_alone(surround: Callable[[bytes], bytes]) -> None:
    """Without anything else in its source."""
    sent: list[PrivateKey | None] = []

    class Watched(LocalStore):
        def upload(self, new: NewEntry) -> Entry:
            sent.append(new.key)
            return super().upload(new)

    store = Watched(MemoryDatabase(), clock=MemoryClock())
    run(MemoryKeys({"KEY": surround(issued(1).key_pem)}), store)
    assert sent == [PrivateKey(issued(1).key_pem, proved_for=issued(1).bundle.digest)]
