"""A real PostgreSQL that asks for client certificates, and a client with what a Hyperdrive configuration uses.

Hyperdrive runs at Cloudflare alone, so the client here is libpq, with the same three things: the pair, the CA and the
mode of the configuration that a run updated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest

from reconciler.emulator.server import running
from reconciler.system.clock import SystemClock
from tests.runs.test_hyperdrive import HYPERDRIVE, MTLS, ORIGIN
from tests.support.cli import Project, make_project
from tests.support.emulated import account_environ, client_of, make_state
from tests.support.pki import DAY, Authority, Issued, make_ca
from tests.support.postgres import OPEN, Postgres, make_client, postgres, server_ca

USER, PASSWORD = "app", "canary-password-of-the-database"
RULES = (f"hostssl postgres {USER} 127.0.0.1/32 scram-sha-256 clientcert=verify-full", *OPEN)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as started:
        started.run(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")
        yield started


@dataclass
class Database:
    """A project with one Hyperdrive configuration, and the database that it is of."""

    server: Postgres
    project: Project
    api: httpx.Client
    folder: Path
    pairs: Sequence[Issued] = ()

    def use(self, pair: Issued) -> None:
        """Replace the declared certificate and its key."""
        self.pairs = [*self.pairs, pair]
        self.project.write("certs/billing.pem", pair.chain_pem)
        self.project.environ["BILLING_KEY"] = pair.key_pem.decode()

    def apply(self) -> None:
        """Upload, update the configuration, and delete what is due."""
        result = self.project.run("apply", "--yes", "--deploy")
        assert result.code == 0, result

    def connect(self, pair: Issued | None = None) -> str:
        """The CN that the database saw, connected with what the configuration uses, or with another pair."""
        (config,) = self.api.get("/hyperdrive/configs").json()["result"]
        uploaded = self._uploaded(config["mtls"]["mtls_certificate_id"])
        (used,) = [one for one in self.pairs if one.chain_pem.strip() == uploaded.strip()]
        used = pair or used
        for name, content in (
            ("client.pem", used.chain_pem if pair else uploaded),
            ("client.key", used.key_pem),
            ("root.pem", self._uploaded(config["mtls"]["ca_certificate_id"])),
        ):
            (self.folder / name).write_bytes(content)
            (self.folder / name).chmod(0o600)
        with psycopg.connect(
            host="localhost",
            hostaddr="127.0.0.1",
            port=self.server.port,
            dbname="postgres",
            user=USER,
            password=PASSWORD,
            sslmode=config["mtls"]["sslmode"],
            sslrootcert=str(self.folder / "root.pem"),
            sslcert=str(self.folder / "client.pem"),
            sslkey=str(self.folder / "client.key"),
        ) as connection:
            row = connection.execute("SELECT client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
        assert row is not None
        return str(row[0])

    def _uploaded(self, certificate_id: str) -> bytes:
        """A certificate as the account has it."""
        return str(self.api.get(f"/mtls_certificates/{certificate_id}").json()["result"]["certificates"]).encode()


@pytest.fixture
def database(server: Postgres, tmp_path: Path) -> Iterator[Database]:
    state = make_state()
    state.clock = SystemClock()
    project = make_project(tmp_path / "project", MTLS + HYPERDRIVE)
    project.write("certs/root.pem", server_ca().certificate_pem)
    api = client_of(state)
    api.post("/hyperdrive/configs", json={"name": "db", "origin": {**ORIGIN, "password": "p"}})
    with running(state) as url:
        project.environ |= account_environ(url)
        yield Database(server, project, api, tmp_path)


def make_authority(name: str) -> Authority:
    """A CA of clients, valid around now by the real clock."""
    root = server_ca().certificate
    return make_ca(name, not_before=root.not_valid_before_utc, not_after=root.not_valid_before_utc + 300 * DAY)


def test_the_database_accepts_what_a_configuration_uses_before_and_after_a_rotation(database: Database) -> None:
    """The old pair, too, until the database no longer trusts its CA."""
    before, after = make_authority("Clients of this year"), make_authority("Clients of next year")
    old, new = make_client(before, USER), make_client(after, USER)
    database.server.trust(before, after, rules=RULES)
    database.use(old)
    database.apply()
    assert database.connect() == f"/CN={USER}"
    database.use(new)
    database.apply()
    assert database.connect() == database.connect(old) == f"/CN={USER}"
    database.server.trust(after, rules=RULES)
    assert database.connect() == f"/CN={USER}"
    with pytest.raises(psycopg.OperationalError, match="unknown ca"):
        database.connect(old)


def test_the_database_refuses_a_certificate_for_another_user(database: Database) -> None:
    """Of the right CA, and with the right password: `verify-full` compares the CN with the user."""
    clients = make_authority("Clients")
    database.server.trust(clients, rules=RULES)
    database.use(make_client(clients, "reports"))
    database.apply()
    before = len(database.server.lines)
    with pytest.raises(psycopg.OperationalError, match="failed"):
        database.connect()
    database.server.wait_for(f'failed for user "{USER}": CN mismatch', before)


def test_a_configuration_with_another_ca_does_not_reach_the_database(database: Database) -> None:
    """Its mode is `verify-full`, too."""
    clients = make_authority("Clients")
    database.server.trust(clients, rules=RULES)
    database.project.write("certs/root.pem", make_authority("Another root").certificate_pem)
    database.use(make_client(clients, USER))
    database.apply()
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        database.connect()
