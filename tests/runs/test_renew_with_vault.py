"""`mtlsctl renew` with Vault as issuer and sink: the way of a user, and kills at every call; no key is on a disk."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from reconciler.issuers import open_issuer
from reconciler.issuers.context import IssuerContext
from reconciler.keys.vault import VaultKeySink
from reconciler.model.key_places import VaultSink
from reconciler.model.renewal import DeclaredIssuer, Renewal, VaultIssuer
from reconciler.plan.renewing import RenewStatus
from reconciler.web.http import Answer
from reconciler.web.vault import Vault
from reconciler.x509.key_pairs import check_pair
from tests.cli.test_canaries import windows_of
from tests.support.cli import MTLS, make_project
from tests.support.pki import DAY, NOW
from tests.support.renewing import PATH, Killed, RenewScene
from tests.support.vault import ID_TOKEN, TOKEN, Policy
from tests.support.vault_pki import Engine, PkiVault, Role

RENEW = """
[issuers.internal]
kind = "vault-pki"
role = "mtls-clients"

[certificates.billing.renew]
issuer = "internal"
sink = { vault = "mtls" }
"""
POLICY: Policy = {
    "pki/sign/mtls-clients": ("update",),
    "pki/certs": ("list",),
    "pki/cert/*": ("read",),
    "secret/data/mtls/*": ("create", "read"),
    "secret/metadata/mtls/*": ("list", "delete"),
}
"""As the how-to page has it."""


CALL = Vault.call


def make_vault(domain: str) -> PkiVault:
    return PkiVault(
        tokens={TOKEN: POLICY},
        jwt_roles={("mtlsctl", ID_TOKEN): POLICY},
        pki={"pki": Engine({"mtls-clients": Role(domain)})},
    )


def test_certificate_and_key_come_from_vault_and_go_to_cloudflare_alone(tmp_path: Path) -> None:
    """Three renewals with the log on, by the ID token of a job: nothing of a key or a token is shown or written."""
    fake, shown, keys = make_vault("client-1"), list[str](), set[str]()
    project = make_project(tmp_path, MTLS + RENEW)
    login = {"VAULT_AUTH_ROLE": "mtlsctl", "VAULT_ID_TOKEN": ID_TOKEN}
    with fake.running() as url:
        project.environ |= {"VAULT_ADDR": url, **login}
        for _ in range(3):
            for command in (["renew", "billing", "--format", "json"], ["apply", "--yes"]):
                result = project.run(*command, "--verbose")
                assert result.code == 0, result.out + result.err
                shown.append(result.out + result.err)
            keys |= {version.data["private_key"] for slot in fake.kv["secret"].values() for version in slot}
    written = [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    assert len(keys) == 3
    assert len([path for path in fake.calls("POST") if path.endswith("/login")]) == 6  # one in each run
    reads = [path for path in fake.calls("GET") if path.startswith("/v1/secret/data/")]
    assert len(reads) == 3  # each key is opened twice, and read once
    assert len(fake.kv["secret"]) == 2  # the key of the previous certificate stays, for a revert
    secrets = {ID_TOKEN, *(token for token in fake.tokens), *(one for key in keys for one in windows_of(key.encode()))}
    assert [one for one in secrets for text in (*shown, *written) if one in text] == []


@dataclass
class World:
    """One certificate of Vault's CA that was renewed twice and is due, with real adapters to Vault."""

    fake: PkiVault
    scene: RenewScene

    @property
    def engine(self) -> Engine:
        return self.fake.pki["pki"]


@contextmanager
def open_world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    fake = make_vault("billing.example")
    engine = fake.pki["pki"]
    present = engine.authority.issue("client.billing.example", not_before=NOW - 60 * DAY, not_after=NOW + 5 * DAY)
    options = VaultSink("mtls")
    scene = RenewScene(engine.authority, present, renew=Renewal("internal", options))
    engine.clock = lambda: scene.time

    def gated(self: Vault, method: str, path: str, /, *rest: dict[str, object], may: str, **names: object) -> Answer:
        with scene.gate.passing(f"{method} {path}"):
            return CALL(self, method, path, *rest, may=may, **names)

    monkeypatch.setattr(Vault, "call", gated)
    with fake.running() as url:
        environ = {"VAULT_ADDR": url, "VAULT_TOKEN": TOKEN}
        context = IssuerContext(lambda _: b"", lambda _: b"", Vault(environ), None, lambda _: None)
        issuer = open_issuer(DeclaredIssuer("internal", VaultIssuer("mtls-clients")), context)
        sink = VaultKeySink(options, "payments_billing", Vault(environ))
        scene.world = replace(scene.world, sink=sink, issuer=issuer)
        for _ in range(2):
            scene.run()
            scene.time += 26 * DAY
        yield World(fake, scene)


def test_a_renewal_that_is_killed_at_any_call_is_finished_by_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before and after each call of the third renewal: one certificate was signed for it, its key is in one slot, and
    the key of the first one is gone."""
    with open_world(monkeypatch) as world:
        world.scene.run()
        effects = list(world.scene.gate.seen)
    assert [effect.partition(" ")[0] for effect in effects] == ["POST", "GET", "POST", "POST", "replace", "DELETE"]
    for index, before in itertools.product(range(len(effects)), (True, False)):
        with open_world(monkeypatch) as world:
            scene, old = world.scene, world.scene.files.tree[PATH]
            with pytest.raises(Killed):
                scene.run(index, before=before)
            if scene.files.tree[PATH] == old:
                assert scene.run().status is RenewStatus.RENEWED
            assert scene.bundle is not None
            assert len(world.engine.kept) == 3, (effects[index], before)
            last = max(scene.world.sink.slots())
            assert last.number == 3
            assert check_pair(scene.bundle, scene.world.sink.read(last), where=None) == ()
