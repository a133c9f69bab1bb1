"""The part of `make bench` that is about the rate budget in PostgreSQL: how much of a limit the processes use."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import pytest

from reconciler.emulator.settings import RateLimit
from tests.support.postgres import postgres
from tests.support.sharing import call_side_by_side


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """`most`: calls in the fullest window, of `quota`.

    `wall_s`: from the first call to the last; `ideal_s`: the least that the limit allows.
    """

    processes: int
    calls: int
    quota: int
    most: int
    refused: int
    wall_s: float
    ideal_s: float

    def to_text(self) -> str:
        """The row for a person."""
        return (
            f"rate budget: {self.processes} processes, {self.calls} calls: {self.most} of {self.quota} in the fullest"
            f" window ({100 * self.most // self.quota} % used), {self.refused} refused, {self.wall_s:.1f} s"
            f" (ideal {self.ideal_s:.1f} s)"
        )

    def to_json(self) -> dict[str, object]:
        """The row for a machine."""
        return asdict(self)


def measure_budget(
    *, quota: int = 400, window_s: float = 5.0, processes: int = 8, calls: int = 120
) -> BudgetRow | None:
    """The row; None where there is no PostgreSQL."""
    try:
        with postgres() as server:
            shared = call_side_by_side(
                server.url(), RateLimit(quota, window_s, window_s), processes=processes, calls=calls
            )
    except pytest.skip.Exception:
        return None
    made = len(shared.times)
    wall_s = (shared.times[-1] - shared.times[0]).total_seconds()
    ideal_s = (made - 1) // quota * window_s
    return BudgetRow(processes, made, quota, shared.most, shared.refused, wall_s, ideal_s)
