"""Workers that may rotate: renewals and new bindings become pull requests, and no secret is shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from tests.cli.test_canaries import windows_of
from tests.postgres.test_fleet_worker import IDLE, Fleet
from tests.runs.test_fleet_proposals import RENEW, RENEWAL, Forged
from tests.support.estates import ACCOUNTS, TOKENS, make_estate
from tests.support.fleet_workers import works
from tests.support.forges import TOKEN, GitHub
from tests.support.pki import DAY
from tests.support.postgres import Postgres
from tests.support.vault import TOKEN as VAULT_TOKEN
from tests.support.vault_pki import Engine, PkiVault, Role

NOW = datetime.now(UTC).replace(microsecond=0)
PASSWORD = "canary-password-of-the-database"
BRANCH = f"mtlsctl/apply/{ACCOUNTS[1][:8]}/s2"


@pytest.fixture
def fleet(server: Postgres, url: str, tmp_path: Path) -> Iterator[Fleet]:
    """The first stack has a certificate that is due, and the second one a renewed one that is not uploaded."""
    forge, vault = GitHub(), PkiVault(pki={"pki": Engine({"billing": Role("billing.example")})})
    with (
        forge.running(),
        vault.running() as vault_url,
        make_estate(tmp_path / "checkout", stacks=3) as estate,
        works(server, url, tmp_path) as made,
    ):
        estate.__class__ = Forged
        assert isinstance(estate, Forged)
        estate.forge = forge
        old = vault.pki["pki"].authority.issue(
            "client.billing.example", not_before=NOW - timedelta(days=87), not_after=NOW + 3 * DAY
        )
        estate.write("one/s1/certs/billing.pem", old.chain_pem)
        estate.environ["KEY_1"] = old.key_pem.decode()
        estate.apply("one/s1", 0)
        estate.apply("two/s2", 1)
        estate.put("two/s2", 2, 502)
        (tmp_path / "keys").mkdir(mode=0o700)
        renew = RENEW.replace("SINK", f'file = "{tmp_path}/keys"')
        estate.write("one/s1/mtls.toml", estate.read("one/s1/mtls.toml") + renew)
        estate.write(".gitignore", ".mtlsctl\n")
        estate.rotates()
        estate.commit()
        estate.environ |= {"FORGE_TOKEN": TOKEN, "VAULT_ADDR": vault_url, "VAULT_TOKEN": VAULT_TOKEN}
        estate.environ["MTLSCTL_KEY_DIRS"] = str(tmp_path / "keys")
        fleet = Fleet(estate, made)
        estate.environ["MTLSCTL_DATABASE_URL"] = url.replace("postgres@", f"postgres:{PASSWORD}@")
        yield fleet


def test_workers_renew_upload_and_bind_and_show_no_secret(
    fleet: Fleet, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each once. Keys and tokens are in no table, log, page, metric, commit, and file of the checkout."""
    estate = fleet.estate
    assert isinstance(estate, Forged)
    fleet.start()
    fleet.start()
    fleet.works.wait_for(
        "SELECT count(DISTINCT key) = 2 FROM mtlsctl.run"
        " WHERE kind = 'act' AND outcome IN ('done', 'changes') AND key ~ 's[12]$'"
    )
    for stack in ("s1", "s2"):
        fleet.run("trigger", stack)
    fleet.works.wait_for(IDLE)
    assert sorted(pull["head"] for pull in estate.forge.pulls) == [BRANCH, RENEWAL]
    assert (estate.entries(0), estate.entries(1), estate.status()) == (1, 2, "")
    changed = [(RENEWAL, "one/s1/certs/billing.pem"), (BRANCH, "two/s2/wrangler.toml")]
    assert all(estate.forge.files_of(branch)[name].decode() != estate.read(name) for branch, name in changed)
    shown = [fleet.run("history", name, *form).out for name in ("s1", "s2") for form in ((), ("--format", "json"))]
    shown += [fleet.run("status", "--format", form).out for form in ("text", "json", "markdown", "html", "prometheus")]
    assert fleet.works.end() == [0, 0]
    written = [path.read_bytes() for path in (tmp_path / "keys").rglob("*") if path.is_file()]
    keys = [content for content in written if b"PRIVATE KEY" in content]
    assert len(keys) == 1
    secrets = {TOKEN, PASSWORD, VAULT_TOKEN, *TOKENS}
    secrets |= set().union(*map(windows_of, [*keys, *(estate.environ[f"KEY_{number}"].encode() for number in (1, 2))]))
    log = capfd.readouterr().err
    assert log.count("\nact ") >= 4
    texts = [*shown, log, *_tables(fleet.works.url), *fleet.works.server.lines, str(estate.forge.pulls)]
    texts += [str(one.body) for one in estate.forge.requests]
    texts += [path.read_bytes().decode("latin-1") for path in estate.folder.rglob("*") if path.is_file()]
    flat = "\n\n".join(text.replace("\\n", "").replace("\n", "") for text in texts)
    assert [secret for secret in secrets if secret in flat] == []


def _tables(url: str) -> Iterable[str]:
    """Each table of mtlsctl, and of the jobs."""
    with psycopg.connect(url) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'mtlsctl'").fetchall()
        for (name,) in names:
            yield str(connection.execute(f'SELECT * FROM mtlsctl."{name}"').fetchall())  # noqa: S608
