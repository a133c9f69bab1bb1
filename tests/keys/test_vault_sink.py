"""Slots of keys in HashiCorp Vault: what is written, what a lost answer leaves, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from reconciler.findings.errors import KeySourceError
from reconciler.keys.sinks import open_sink
from reconciler.model.key_places import Slot, VaultSink
from reconciler.model.keys import KeyContext
from reconciler.model.renewal import KeySink
from reconciler.web.vault import Vault
from tests.keys.test_keys import FakeKeyFiles, NoPrograms
from tests.support import vault as fakes
from tests.support.sinks import MemoryKeyFolders
from tests.support.vault import TOKEN, errors
from tests.support.worlds import issued

KEY, OTHER = issued(1).key_pem, issued(2).key_pem
SLOT, NEXT = Slot(1, "a" * 64), Slot(2, "b" * 64)
POLICY = {"secret/data/mtls/*": ("create", "read"), "secret/metadata/mtls/*": ("list", "delete")}
"""As the how-to page has it."""


@dataclass
class Kept:
    """A Vault, and the sink of a certificate in it."""

    fake: fakes.Vault
    url: str
    waits: list[float] = field(default_factory=list)

    def sink(self, certificate: str = "billing", mount: str = "secret") -> KeySink:
        vault = Vault({"VAULT_ADDR": self.url, "VAULT_TOKEN": TOKEN}, self.waits.append)
        return open_sink(
            VaultSink("mtls", mount),
            certificate,
            KeyContext(FakeKeyFiles(), {}, NoPrograms(), folders=MemoryKeyFolders(), vault=vault),
        )


@pytest.fixture
def kept() -> Iterator[Kept]:
    fake = fakes.Vault(tokens={TOKEN: POLICY})
    with fake.running() as url:
        yield Kept(fake, url)


def test_a_key_is_found_in_the_slot_that_it_was_put_in(kept: Kept) -> None:
    """By any later run, with the policy of the how-to page alone."""
    kept.sink().write(SLOT, KEY)
    kept.sink().write(NEXT, OTHER)
    assert kept.sink().slots() == {SLOT, NEXT}
    assert [kept.sink().read(slot) for slot in (SLOT, NEXT)] == [KEY, OTHER]
    assert sorted(kept.fake.kv["secret"]) == [f"mtls/billing/{slot.text}" for slot in (SLOT, NEXT)]


def test_a_certificate_has_slots_of_its_own(kept: Kept) -> None:
    """Whatever else is below the path."""
    kept.sink().write(SLOT, KEY)
    kept.fake.put("mtls/billing/notes", text="x")
    kept.fake.put("mtls/billing/0003-short/x", text="x")
    assert kept.sink().slots() == {SLOT}
    assert kept.sink("bill").slots() == frozenset()


def test_a_removed_slot_leaves_no_version(kept: Kept) -> None:
    """A deleted secret could be restored. Removing it twice is no error."""
    kept.sink().write(SLOT, KEY)
    for _ in range(2):
        kept.sink().remove(SLOT)
    assert kept.fake.kv["secret"] == {}
    assert kept.sink().slots() == frozenset()


def test_a_slot_is_never_written_over(kept: Kept) -> None:
    """Vault itself refuses it, so two runs at once can't do it either."""
    kept.sink().write(SLOT, KEY)
    for policy in (POLICY, fakes.ROOT):
        kept.fake.tokens[TOKEN] = policy
        with pytest.raises(KeySourceError, match=r"Vault has a secret 'mtls/billing/0001-a+' .+ already"):
            kept.sink().write(SLOT, OTHER)
    assert kept.sink().read(SLOT) == KEY


def test_a_write_whose_answer_was_lost_is_done(kept: Kept) -> None:
    """It is read, not written again."""
    kept.fake.failures.append(("POST", errors(502, "x"), True))
    kept.sink().write(SLOT, KEY)
    assert kept.sink().read(SLOT) == KEY
    assert len(kept.fake.calls("POST")) == 1


def test_a_write_that_was_not_made_is_an_error(kept: Kept) -> None:
    """Also where Vault can't say so."""
    kept.fake.failures.append(("POST", errors(502, "x"), False))
    with pytest.raises(KeySourceError, match="it answered with 502"):
        kept.sink().write(SLOT, KEY)
    assert kept.sink().slots() == frozenset()


def test_a_list_that_can_not_be_read_is_never_an_empty_one(kept: Kept) -> None:
    """An empty list is a 404 in Vault, and so is much else."""
    with pytest.raises(KeySourceError, match="Vault does not permit 'list'"):
        kept.sink(mount="kv").slots()
    kept.fake.tokens[TOKEN] = fakes.ROOT
    with pytest.raises(KeySourceError, match="Vault has nothing at 'kv/metadata/mtls/billing'"):
        kept.sink(mount="kv").slots()
    for body in (None, "no Vault", {"message": "not found"}):
        kept.fake.failures.append(("GET", (404, {}, body), False))
        with pytest.raises(KeySourceError, match="404"):
            kept.sink().slots()


def test_another_engine_that_takes_the_write_is_an_error(kept: Kept) -> None:
    """One of version 1 answers a write with nothing."""
    kept.fake.failures.append(("POST", (204, {}, None), False))
    with pytest.raises(KeySourceError, match="is not what its API promises"):
        kept.sink().write(SLOT, KEY)


@pytest.mark.parametrize(
    ("policy", "what", "line"),
    [
        ({}, "write", f'path "secret/data/mtls/billing/{SLOT.text}" {{ capabilities = ["create"] }}'),
        ({}, "read", f'path "secret/data/mtls/billing/{SLOT.text}" {{ capabilities = ["read"] }}'),
        ({}, "remove", f'path "secret/metadata/mtls/billing/{SLOT.text}" {{ capabilities = ["delete"] }}'),
    ],
)
def test_what_the_policy_does_not_permit_is_named(kept: Kept, policy: fakes.Policy, what: str, line: str) -> None:
    """To copy; and no error has the key."""
    kept.fake.tokens[TOKEN] = policy
    arguments = (SLOT, KEY) if what == "write" else (SLOT,)
    with pytest.raises(KeySourceError, match=r"\(403\)") as error:
        getattr(kept.sink(), what)(*arguments)
    assert line in str(error.value.hint)
    assert KEY.decode().splitlines()[1] not in f"{error.value.message} {error.value.hint} {error.value.__context__!r}"
