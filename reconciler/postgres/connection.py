"""A connection to the database, made when it is first used, and once more if it was lost. Explains failures."""

from __future__ import annotations

import re
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from reconciler.findings.codes import Code
from reconciler.findings.errors import ReconcilerError
from reconciler.findings.escape import printable
from reconciler.findings.secrets import Secrets

SCHEMA = "mtlsctl"
_CONNECT_S = 5
_STATEMENT_MS = 30_000
_ALIVE = {"keepalives_idle": 5, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 20_000}
"""A machine that vanished is noticed by both sides in 20 seconds, and its locks are free."""

_OPTIONS = "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3 -c timezone=UTC"

_MAY_USE = "SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = %s"
_GRANTS = (
    "GRANT USAGE ON SCHEMA {schema} TO {role};"
    " GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role};"
    " GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role}"
)
"""What a role needs that does not own the schema."""

_T = TypeVar("_T")
Connection = psycopg.Connection[tuple[Any, ...]]


def settings_of(url: str) -> dict[str, str]:
    """The settings of every connection; ReconcilerError if the address is not valid."""
    try:
        given = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
        if _has_torn_password(url, given):
            raise psycopg.ProgrammingError
    except (psycopg.Error, UnicodeError):
        raise ReconcilerError(  # not even the cause is shown: it quotes the address
            "the address of the database is not valid",
            hint="write it like postgresql://user@db.example:5432/mtlsctl, with percent-encoded signs in the password:"
            " %40 for `@`, %2F for `/`, %3A for `:` and %25 for `%`",
            code=Code.DATABASE,
        ) from None
    options = f"{given.get('options', '')} {_OPTIONS} -c statement_timeout={_STATEMENT_MS}".strip()
    return {
        "application_name": "mtlsctl",
        "connect_timeout": str(_CONNECT_S),
        **{name: str(value) for name, value in _ALIVE.items()},
        **given,
        "options": f"{options} -c search_path={SCHEMA}",
    }


def _has_torn_password(url: str, given: Mapping[str, str]) -> bool:
    """Whether a part of the password was taken for a host, a port or a database, which errors would show."""
    place = url.partition("://")[2].partition("?")[0]
    is_torn = place.count("@") > 1 or "/" in place.rpartition("@")[0]
    return is_torn or "@" in given.get("host", "") or re.fullmatch("[0-9,]*", given.get("port", "")) is None


def connect(url: str) -> Connection:
    """A new connection, each statement its own transaction. ReconcilerError if the database is out of reach, or its
    role may not use the schema: PostgreSQL would then say that there are no tables."""
    settings = settings_of(url)
    with explained(settings):
        made: Connection = psycopg.connect(**settings, autocommit=True)  # type: ignore[arg-type]  # numbers are texts
        try:
            if made.execute(_MAY_USE, (SCHEMA,)).fetchone() == (False,):
                raise psycopg.errors.InsufficientPrivilege(f"permission denied for schema {SCHEMA}")
        except BaseException:
            made.close()
            raise
        return made


@contextmanager
def explained(settings: dict[str, str]) -> Iterator[None]:
    """Raise ReconcilerError for what the database refuses, without a secret."""
    role = sql.Identifier(settings["user"]).as_string() if settings.get("user") else "ROLE"
    secrets = Secrets(tuple(settings[name] for name in ("password", "sslpassword") if name in settings))
    try:
        yield
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedFunction) as error:
        raise ReconcilerError(
            "the tables of mtlsctl in the database are missing, or of another version",
            hint="run `mtlsctl fleet database upgrade`",
            code=Code.DATABASE_OLD,
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise ReconcilerError(
            f"the database does not allow this: {printable(error.diag.message_primary or str(error))}",
            hint=f"let the owner of the schema run `{_GRANTS.format(schema=SCHEMA, role=role)}`",
            code=Code.DATABASE,
        ) from error
    except psycopg.errors.ConnectionTimeout as error:
        raise ReconcilerError(
            f"the database did not answer within {settings['connect_timeout']} s",
            hint="check that PostgreSQL runs, and the address in its variable; `connect_timeout=20` there waits longer",
            code=Code.DATABASE,
        ) from error
    except psycopg.Error as error:
        said = printable(secrets.show(" ".join(str(error).split())))
        raise ReconcilerError(
            f"the database could not be used: {said or type(error).__name__}",
            hint="check that PostgreSQL runs, and the variable with its address",
            code=Code.DATABASE,
        ) from error


class SharedConnection:
    """One connection for all threads of a process, one at a time."""

    def __init__(self, url: str, prepare: Callable[[Connection], None] = lambda _: None) -> None:
        """`prepare` runs on each new connection. Connects to nothing yet."""
        self._url = url
        self._settings = settings_of(url)
        self._prepare = prepare
        self._lock = threading.Lock()
        self._open: list[Connection] = []
        weakref.finalize(self, _close, self._open)

    def run(self, work: Callable[[Connection], _T]) -> _T:
        """The result of `work`, which is run a second time if the connection turns out to be lost."""
        with self._lock, explained(self._settings):
            was_open = bool(self._open)
            try:
                return work(self._connection())
            except psycopg.OperationalError:
                is_lost = bool(self._open) and (self._open[0].closed or self._open[0].broken)
                _close(self._open)
                if not (was_open and is_lost):
                    raise
                return work(self._connection())

    def close(self) -> None:
        """Close the connection. The next work opens one again."""
        with self._lock:
            _close(self._open)

    def _connection(self) -> Connection:
        if not self._open:
            made = connect(self._url)
            try:
                self._prepare(made)
            except BaseException:
                made.close()
                raise
            self._open.append(made)
        return self._open[0]


def _close(connections: list[Connection]) -> None:
    while connections:
        connections.pop().close()
