"""The rate budget in a real PostgreSQL: how moments are handed out, and what processes that share it send."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import datetime
from pathlib import Path

import psycopg
import pytest
from psycopg_pool import ConnectionPool
from pyrate_limiter import PostgresBucket, Rate, RateItem

from reconciler.emulator.server import running
from reconciler.emulator.settings import RateLimit
from reconciler.findings.codes import Code
from reconciler.findings.errors import ReconcilerError
from reconciler.model.errors import BudgetUnavailable
from reconciler.postgres.budget import PostgresBudget
from reconciler.system.clock import SystemClock
from tests.support.cli import MTLS, make_project
from tests.support.emulated import account_environ, make_state
from tests.support.postgres import Postgres
from tests.support.sharing import call_side_by_side

LONG_S = 1000.0
"""A window that does not end in a test."""

LIMIT = RateLimit(400, window_s=5.0, block_s=5.0)
"""Cloudflare's, scaled in time far more than in calls: so a call that begins late weighs no more than it does there."""


@pytest.fixture
def budget(url: str) -> Iterator[PostgresBudget]:
    """19 calls in a thousand seconds."""
    with closing(PostgresBudget(url, "bot", quota=20, window_s=LONG_S)) as made:
        yield made


def waits(budget: PostgresBudget, number: int) -> list[int]:
    """How many windows the next calls have to wait."""
    return [round(budget.take().wait_s / LONG_S) for _ in range(number)]


def test_a_window_is_used_at_once_and_then_the_next_one(budget: PostgresBudget) -> None:
    """95 % of the quota; who comes later gets later moments."""
    assert waits(budget, 19) == [0] * 19
    assert waits(budget, 19) == [1] * 19
    assert waits(budget, 1) == [2]


def test_all_processes_share_what_has_the_same_name(url: str, budget: PostgresBudget) -> None:
    """And nothing with another name."""
    waits(budget, 19)
    with closing(PostgresBudget(url, "bot", quota=20, window_s=LONG_S)) as same:
        assert waits(same, 1) == [1]
    with closing(PostgresBudget(url, "other", quota=20, window_s=LONG_S)) as other:
        assert waits(other, 1) == [0]


def test_a_moment_that_was_given_back_is_taken_by_the_next_call(budget: PostgresBudget) -> None:
    """So is one of the future."""
    now = [budget.take() for _ in range(19)]
    later = budget.take()
    budget.give_back(now[3])
    budget.give_back(later)
    assert waits(budget, 2) == [0, 1]


def test_a_refused_call_stops_everybody(url: str, budget: PostgresBudget) -> None:
    """Those that come, and those that wait already; a shorter block does not end a longer one."""
    waits(budget, 19)
    waiting = budget.take()
    assert budget.holds(waiting)
    with closing(PostgresBudget(url, "bot", quota=20, window_s=LONG_S)) as other:
        other.refused(3 * LONG_S)
        other.refused(1)
    assert not budget.holds(waiting)
    assert waits(budget, 1) == [3]


def test_what_others_use_of_the_limit_is_noticed(url: str, budget: PostgresBudget) -> None:
    """Once, and never counted as less than what was taken here."""
    waits(budget, 4)
    budget.seen(used=4)
    assert waits(budget, 1) == [0]
    budget.seen(used=15)
    assert waits(budget, 1) == [0]  # the 16th
    budget.seen(used=16)
    assert waits(budget, 4) == [0, 0, 0, 1]
    with psycopg.connect(url, options="-c search_path=mtlsctl") as connection:
        others = connection.execute("SELECT count(*) FROM call WHERE is_other").fetchone()
    assert others == (10,)


def test_many_threads_get_as_many_moments_as_there_are(budget: PostgresBudget) -> None:
    """Whatever their order."""
    with ThreadPoolExecutor(8) as pool:
        found = sorted(pool.map(lambda _: round(budget.take().wait_s / LONG_S), range(40)))
    assert found == [0] * 19 + [1] * 19 + [2] * 2


def test_without_the_database_there_is_no_moment_and_no_secret_in_the_error(server: Postgres, url: str) -> None:
    """It is used again once it is back."""
    secret = url.replace("postgres@", "postgres:canary-password-0123456789@")
    with closing(PostgresBudget(secret, "bot", quota=20, window_s=LONG_S)) as budget:
        budget.take()
        server.stop()
        try:
            with pytest.raises(BudgetUnavailable, match="no request is sent without the rate budget 'bot'") as caught:
                budget.take()
        finally:
            server.start()
        assert "canary" not in f"{caught.value.message} {caught.value.hint}"
        assert waits(budget, 19) == [0] * 18 + [1]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:/x:canary-password@y",
        "postgresql://x:pass@canary@db",
        "postgresql://x:canary/pass@db/x",
        "postgresql://x:pass/canary@db/x",
        "postgresql://x:pass?canary@canary@db/x",
        "postgresql://x:100%canary@db/x",
        "what=canary-password",
    ],
)
def test_an_address_that_is_not_one_is_not_shown(url: str) -> None:
    """Its text may have a password."""
    with pytest.raises(ReconcilerError, match="the database") as caught:
        PostgresBudget(url, "bot").take()
    assert caught.value.code == Code.DATABASE
    assert "%2F for `/`" in (caught.value.hint or "")
    assert "canary" not in f"{caught.value.message} {caught.value.hint}"


def test_the_tables_are_made_by_the_first_process_that_needs_them(server: Postgres) -> None:
    """Also if several begin at the same time."""
    url = server.new_database("empty")
    with ExitStack() as stack, ThreadPoolExecutor(4) as pool:
        budgets = [stack.enter_context(closing(PostgresBudget(url, "bot"))) for _ in range(4)]
        assert [moment.wait_s for moment in pool.map(PostgresBudget.take, budgets)] == [0.0] * 4


def test_a_role_that_may_not_make_the_tables_is_told_what_to_do(server: Postgres) -> None:
    """Once the schema is its own, it may."""
    server.new_database("of others")
    server.run("CREATE ROLE guest LOGIN")
    with closing(PostgresBudget(server.url("of%20others", "guest"), "bot")) as budget:
        with pytest.raises(BudgetUnavailable, match="permission denied for database") as caught:
            budget.take()
        assert "CREATE SCHEMA mtlsctl AUTHORIZATION" in (caught.value.hint or "")
        with psycopg.connect(server.url("of%20others"), autocommit=True) as owner:
            owner.execute("CREATE SCHEMA mtlsctl AUTHORIZATION guest")
        assert budget.take().wait_s == 0.0


def test_tables_of_another_version_say_what_mends_them(url: str) -> None:
    """The database is not called unreachable."""
    with psycopg.connect(url, options="-c search_path=mtlsctl", autocommit=True) as connection:
        connection.execute("DROP TABLE call")
    with closing(PostgresBudget(url, "bot")) as budget, pytest.raises(BudgetUnavailable) as caught:
        budget.take()
    assert (caught.value.code, caught.value.hint) == (Code.DATABASE_OLD, "run `mtlsctl fleet database upgrade`")


# --- processes that share one -----------------------------------------------------------------------------------------


def judge(url: str, times: Sequence[datetime]) -> int:
    """How many of these calls pyrate-limiter's own bucket would have refused, with the whole quota."""
    with ConnectionPool(url, min_size=1, max_size=1) as pool:
        bucket = PostgresBucket(pool, "judge", [Rate(LIMIT.quota, int(LIMIT.window_s * 1000))])
        return sum(not bucket.put(RateItem("call", int(time.timestamp() * 1000))) for time in times)


def test_eight_processes_never_send_more_than_the_limit_in_any_window(url: str) -> None:
    """Counted by the emulator, which refused nothing, and by the limiter of another project."""
    shared = call_side_by_side(url, LIMIT, processes=8, calls=90)
    assert len(shared.times) == 8 * 90
    assert shared.refused == 0
    assert shared.most <= LIMIT.quota
    assert judge(url, shared.times) == 0


def test_a_run_with_the_variables_takes_a_moment_for_each_of_its_calls(url: str, tmp_path: Path) -> None:
    """Plans and applies."""
    state = make_state()
    state.clock = SystemClock()
    project = make_project(tmp_path, MTLS.replace("[certificates", '[store]\nkind = "cloudflare"\n\n[certificates'))
    with running(state) as api:
        project.environ |= {
            **account_environ(api),
            "MTLSCTL_DATABASE_URL": url,
            "MTLSCTL_BUDGET": "bot",
        }
        assert project.run("plan").code == 0
        assert project.run("apply", "--yes").code == 0
    with psycopg.connect(url, options="-c search_path=mtlsctl") as connection:
        taken = connection.execute("SELECT budget, count(*) FROM call GROUP BY budget").fetchall()
    assert taken == [("bot", len(state.calls))]


def test_a_budget_without_a_database_is_an_error(tmp_path: Path) -> None:
    """It is not ignored."""
    project = make_project(tmp_path)
    project.environ["MTLSCTL_BUDGET"] = "bot"
    result = project.run("plan")
    assert (result.code, "error[database]: MTLSCTL_BUDGET names a rate budget" in result.err) == (1, True)
