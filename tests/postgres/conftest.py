"""A PostgreSQL for the tests here, and a new database with the tables of mtlsctl for each of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from reconciler.postgres.connection import connect
from reconciler.postgres.schema import upgrade
from tests.support.postgres import Postgres, postgres

_numbers = count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    with postgres() as started:
        yield started


@pytest.fixture
def url(server: Postgres) -> str:
    """The address of the database."""
    made = server.new_database(f"fleet-{next(_numbers)}")
    with connect(made) as connection:
        upgrade(connection)
    return made
