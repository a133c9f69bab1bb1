"""A real PostgreSQL with TLS on a port of 127.0.0.1: a cluster of its own in a temporary folder, gone with its `with`.

`tests/servers/setup` installs it. PostgreSQL refuses to run as root, so there it runs as the user of its package.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import psycopg
from cryptography import x509
from psycopg import sql

from tests.servers import listening_socket, missing, port_of
from tests.support.pki import SERVER_AUTH, Authority, Issued, make_ca

ADMIN = "postgres"
OPEN = ("host all all 127.0.0.1/32 trust",)
"""Everybody on this machine, without a password."""
_READY, _RELOADED = "database system is ready to accept connections", "received SIGHUP, reloading configuration files"
_DAY = timedelta(days=1)


@cache
def server_ca() -> Authority:
    """The CA of the server's certificate, valid around now by the real clock."""
    return make_ca("Database Root", not_before=_now() - _DAY, not_after=_now() + 300 * _DAY)


def make_client(ca: Authority, name: str) -> Issued:
    """A client certificate for a user, valid around now by the real clock."""
    return ca.issue(name, not_before=_now() - _DAY, not_after=_now() + 90 * _DAY)


@dataclass
class Postgres:
    """A running server. `lines`: its log since it was made."""

    programs: Path
    folder: Path
    port: int
    lines: list[str] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _process: subprocess.Popen[str] | None = None
    _listener: threading.Thread = field(default_factory=threading.Thread)

    def url(self, database: str = ADMIN, user: str = ADMIN) -> str:
        """The address of a database, for users without a password."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def run(self, *commands: str) -> None:
        """Run SQL as the administrator."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            for command in commands:
                connection.execute(sql.SQL(command))

    def new_database(self, name: str) -> str:
        """The address of a new, empty database."""
        self.run(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def trust(self, *authorities: Authority, rules: Sequence[str] = OPEN) -> None:
        """Trust client certificates of these CAs from now on, and only connections that fit these rules."""
        self._write("clients.pem", b"".join(one.certificate_pem for one in authorities))
        self._write("data/pg_hba.conf", "".join(f"{rule}\n" for rule in rules).encode())
        if self._process is not None:
            before = len(self.lines)
            self._process.send_signal(signal.SIGHUP)
            self.wait_for(_RELOADED, before)

    def start(self) -> None:
        """Start it, and return once it answers."""
        before = len(self.lines)
        command = [str(self.programs / "postgres"), "-D", str(self.folder / "data"), *_options(self.folder, self.port)]
        self._process = subprocess.Popen(
            _as_user(command), cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self._listener = threading.Thread(target=self._listen, args=(self._process,), daemon=True)
        self._listener.start()
        self.wait_for(_READY, before)

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Stop it as after a crash, or SIGINT: cut all connections and stop in order."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            self._listener.join()
            self._process = None

    def wait_for(self, words: str, after: int = 0) -> None:
        """Return once a line of the log has these words; fail if the server ends before. `after`: skip so many."""
        with self._changed:
            found = lambda: any(words in one or "server ended" in one for one in self.lines[after:])  # noqa: E731
            self._changed.wait_for(found, timeout=120)
        assert any(words in one for one in self.lines[after:]), "".join(self.lines[after:])[-2000:]

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                with self._changed:
                    self.lines.append(line)
                    self._changed.notify_all()
        with self._changed:
            self.lines.append("the server ended\n")
            self._changed.notify_all()

    def _write(self, name: str, content: bytes) -> None:
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(0o600)
        _give(path)


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """A new server, which trusts everybody on this machine."""
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="mtlsctl-postgres-"))  # pytest's own folders are closed to other users
    try:
        _give(folder)
        init = [str(programs / "initdb"), "-D", str(folder / "data"), "-U", ADMIN, "--no-sync", "-E", "UTF8"]
        subprocess.run([*_as_user(init), "--no-locale"], cwd=folder, check=True, capture_output=True)
        with contextlib.closing(listening_socket()) as free:
            server = Postgres(programs, folder, port_of(free))  # it can't inherit a socket
        own = server_ca().issue(
            "localhost",
            not_before=_now() - _DAY,
            not_after=_now() + 90 * _DAY,
            eku=(SERVER_AUTH,),
            san=(x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))),
        )
        server._write("server.pem", own.chain_pem)
        server._write("server.key", own.key_pem)
        server.trust(server_ca())
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def _options(folder: Path, port: int) -> Iterator[str]:
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": "",
        "ssl": "on",
        "ssl_cert_file": folder / "server.pem",
        "ssl_key_file": folder / "server.key",
        "ssl_ca_file": folder / "clients.pem",
        "fsync": "off",  # the machine does not crash
        "log_min_messages": "info",
        "log_statement": "none",
        "max_connections": 200,
        "client_connection_check_interval": 100,  # what waits for a dead client ends
    }
    for name, value in settings.items():
        yield from ("-c", f"{name}={value}")


def _programs() -> Path:
    """The folder with `postgres` and `initdb`, which Debian keeps off the PATH: that of the newest version."""
    found = sorted(Path("/usr/lib/postgresql").glob("[0-9]*/bin/postgres"), key=lambda one: float(one.parts[-3]))
    on_path = shutil.which("postgres")
    if found:
        return found[-1].parent
    return Path(on_path).parent if on_path else missing("PostgreSQL is not installed; tests/servers/setup does it")


def _as_user(command: list[str]) -> list[str]:
    """The command, as a user that PostgreSQL accepts. It dies with this process where the system can do that."""
    setpriv = shutil.which("setpriv")
    if os.geteuid() == 0 and setpriv is None:
        missing("PostgreSQL does not run as root, and there is no setpriv (util-linux)")
    dies = [setpriv, "--pdeathsig", "QUIT"] if setpriv is not None else []
    if os.geteuid() == 0:
        user = _user()
        dies += ["--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups"]
    return [*dies, *command]


def _user() -> pwd.struct_passwd:
    known = {one.pw_name: one for one in pwd.getpwall()}
    return known.get(ADMIN) or known["nobody"]


def _give(path: Path) -> None:
    if os.geteuid() == 0:
        shutil.chown(path, _user().pw_uid, _user().pw_gid)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
