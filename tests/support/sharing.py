"""Processes that share one rate budget, against an emulator that counts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reconciler.emulator.server import running
from reconciler.emulator.settings import Limiter, RateLimit
from reconciler.system.clock import SystemClock
from tests.support.emulated import make_state

CALLERS = """
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from reconciler.model import StoreKind, StoreSettings
from reconciler.postgres.budget import PostgresBudget
from reconciler.stores.cloudflare.access import find_access
from reconciler.stores.cloudflare.client import ApiCall, Client, Time
from reconciler.stores.cloudflare.errors import Operation

url, api, account, quota, window_s, processes, calls = sys.argv[1:]


def call():
    environ = {"CLOUDFLARE_API_BASE_URL": api, "CLOUDFLARE_API_TOKEN": "t" * 40}
    access = find_access(StoreSettings(StoreKind.CLOUDFLARE, account), environ, Path("."))
    budget = PostgresBudget(url, "bot", quota=int(quota), window_s=float(window_s))
    client = Client(access, Time(now=lambda: datetime.now(UTC)), shared=budget)
    for _ in range(int(calls)):
        client.send(ApiCall(Operation.LIST, "GET", access.certificates_path, {"page": 1, "per_page": 5}))
    budget.close()
    client.close()
    os._exit(0)


children = []
for _ in range(int(processes)):
    children.append(os.fork())
    if children[-1] == 0:
        call()
sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


@dataclass(slots=True)
class Counting(Limiter):
    """The same, and when each request came."""

    times: list[datetime] = field(default_factory=list)

    def count(self, caller: str, now: datetime) -> float | None:
        self.times.append(now)
        return super(Counting, self).count(caller, now)


@dataclass(frozen=True)
class Shared:
    """What the emulator counted: when each request came, the most in any window, and how many were refused."""

    times: Sequence[datetime]
    most: int
    refused: int


def call_side_by_side(url: str, limit: RateLimit, *, processes: int, calls: int) -> Shared:
    """Let processes with a client and connections of their own make their calls, each as fast as the budget lets it."""
    state = make_state()
    state.clock = SystemClock()
    state.limiter = counting = Counting(limit, told="absent")  # so that their own budgets do not see it
    (account,) = state.accounts
    with running(state) as api:
        values = (url, api, account, limit.quota, limit.window_s, processes, calls)
        subprocess.run([sys.executable, "-W", "error", "-c", CALLERS, *map(str, values)], check=True)
    times, window = sorted(counting.times), timedelta(seconds=limit.window_s)
    most = max(sum(begin <= time < begin + window for time in times) for begin in times)
    return Shared(times, most, sum(call.status == 429 for call in state.calls))
