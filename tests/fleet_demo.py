"""A fleet on a PostgreSQL of its own: 60 stacks, 3 accounts, three workers, of which one is killed; nothing is lost.

`make fleet-demo` runs it, with the real program over the emulator. Each stack has an old certificate that may be
deleted (`act = "retire"`). The page with every stack stays, in build/.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from reconciler.model import CertificateName
from reconciler.model.ownership import mark_name
from reconciler.model.ports import NewEntry, PrivateKey
from tests.support.cli import WRANGLER
from tests.support.estates import ACCOUNTS, Estate, make_estate
from tests.support.paths import REPOSITORY
from tests.support.pki import Authority, Issued, make_ca
from tests.support.postgres import postgres

PAGE = REPOSITORY / "build/fleet-demo.html"
_WORKERS = 3
_DAY = timedelta(days=1)
_LONGEST_S = 120
_ENDED = """
SELECT count(DISTINCT key) FROM mtlsctl.run
WHERE kind = 'act' AND outcome NOT IN ('busy', 'handed back', 'failed', 'lost')"""

_TELLS = """
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('ended', ''); RETURN NULL; END $$;
CREATE TRIGGER tell AFTER UPDATE ON mtlsctl.run FOR EACH STATEMENT EXECUTE FUNCTION tell();
"""
"""What tells of each job that ended, so that no one has to ask again and again."""


def play(stacks: int, page: Path) -> None:
    """Show the story; AssertionError at the first thing that is not as it should be."""
    with ExitStack() as until:
        folder = Path(until.enter_context(tempfile.TemporaryDirectory(prefix="mtlsctl-fleet-")))
        say(f"Starting the emulator of Cloudflare with {stacks} stacks in {len(ACCOUNTS)} accounts, and a PostgreSQL.")
        estate = until.enter_context(make_estate(folder / "checkout", stacks=stacks))
        _outdate(estate, stacks)
        limit = f'act = "retire"\nmax_acts = {stacks}'
        estate.write("fleet.toml", estate.read("fleet.toml").replace('act = "retire"', limit))
        estate.environ["MTLSCTL_DATABASE_URL"] = until.enter_context(postgres()).new_database("fleet")
        _show(estate, "database", "upgrade")
        with psycopg.connect(estate.environ["MTLSCTL_DATABASE_URL"]) as connection:
            connection.execute(_TELLS)
        workers = until.enter_context(_workers(estate))
        say(f"{_WORKERS} workers check each account by one list, and delete what nothing uses any more:")
        _wait(estate, stacks // 4)
        say("One of them is killed in the midst of its work (SIGKILL). What it had begun, another one does again:")
        workers[0].send_signal(signal.SIGKILL)
        _wait(estate, stacks)
        for worker in workers[1:]:
            worker.terminate()
            assert worker.wait() == 0
        left = [estate.entries(account) for account in range(len(ACCOUNTS))]
        say(f"Certificates that are left: {' + '.join(map(str, left))}, one for each of the {stacks} stacks.")
        assert sum(left) == stacks
        _show(estate, "status")
        page.parent.mkdir(exist_ok=True)
        result = estate.run("fleet", "status", "--format", "html", "--out", str(page))
        assert result.code == 0, result.err
        say(f"The page with all stacks: {page}")


def say(text: str) -> None:
    """Tell what comes next."""
    print(f"\n# {text}", flush=True)


def _outdate(estate: Estate, stacks: int) -> None:
    """Upload an old and a current certificate for each stack, and bind the current one."""
    now = datetime.now(UTC).replace(microsecond=0)
    ca = make_ca("Fleet Root", not_before=now - 400 * _DAY, not_after=now + 3650 * _DAY)
    for number in range(1, stacks + 1):
        account = (number - 1) % len(ACCOUNTS)
        folder = f"{('one', 'two', 'three')[account]}/s{number}"
        old, new = (_issue(ca, number, now - age * _DAY) for age in (300, 1))
        store = estate.state.accounts[ACCOUNTS[account]].store
        for issued in (old, new):
            name = mark_name(f"s{number}", CertificateName("billing"), issued.bundle.digest)
            entry = store.upload(NewEntry(name, False, issued.bundle, PrivateKey(issued.key_pem)))
        estate.write(f"{folder}/wrangler.toml", WRANGLER.replace("<CERTIFICATE_ID>", entry.id))
        estate.write(f"{folder}/certs/billing.pem", new.certificate_pem)


def _issue(ca: Authority, number: int, begin: datetime) -> Issued:
    return ca.issue(f"client-{number}", not_before=begin, not_after=begin + 365 * _DAY)


@contextmanager
def _workers(estate: Estate) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Workers, which end with the `with`."""
    environ = {**os.environ, **estate.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "reconciler", "fleet", "worker"]
    started = [subprocess.Popen(command, cwd=estate.folder, env=environ) for _ in range(_WORKERS)]
    try:
        yield started
    finally:
        for worker in started:
            worker.kill()
            worker.wait()


def _wait(estate: Estate, number: int) -> None:
    """Return once so many stacks were changed. AssertionError if nothing ends for two minutes."""
    with psycopg.connect(estate.environ["MTLSCTL_DATABASE_URL"], autocommit=True) as connection:
        connection.execute("LISTEN ended")
        while (row := connection.execute(_ENDED).fetchone()) is None or row[0] < number:
            assert list(connection.notifies(timeout=_LONGEST_S, stop_after=1)), f"{row} of {number} stacks were changed"


def _show(estate: Estate, *words: str) -> None:
    print(f"$ mtlsctl fleet {' '.join(words)}")
    result = estate.run("fleet", *words)
    assert result.code == 0, result
    print(result.out, flush=True)


if __name__ == "__main__":
    play(60, PAGE)
