"""The part of `make bench` that is about fleets: one round of `fleet run` in which nothing is to do."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from reconciler.emulator.server import running
from reconciler.model.calls import PER_PAGE
from tests.support.fleets import make_fleet
from tests.support.measured import CLI, measure

GROWTH_AIM = 1.2


@dataclass(frozen=True, slots=True)
class FleetSizes:
    """How large the fleets are. `accounts`: of the small and the large one."""

    accounts: tuple[int, int] = (2, 20)
    stacks: int = 25
    certificates: int = 40


@dataclass(frozen=True, slots=True)
class FleetRow:
    """One round. `calls_aim`: one list of each account, page by page."""

    stacks: int
    certificates: int
    calls: int
    calls_aim: int
    cpu_s: float
    peak_mb: float


@dataclass(frozen=True, slots=True)
class FleetReport:
    """The rounds of a small and a large fleet. `growth`: CPU for each stack of the large one, over that of the small
    one: 1 is linear."""

    small: FleetRow
    large: FleetRow

    @property
    def growth(self) -> float:
        """How much dearer each stack is in the large fleet."""
        return (self.large.cpu_s / self.large.stacks) / (self.small.cpu_s / self.small.stacks)

    def to_json(self) -> dict[str, object]:
        """The report for a machine."""
        rows = [asdict(row) for row in (self.small, self.large)]
        return {"rows": rows, "growth": self.growth, "growth_aim": GROWTH_AIM}

    def to_text(self) -> str:
        """The report for a person."""
        lines = [f"{'a fleet, nothing to do':<40}  {'calls':>6}  {'aim':>7}  {'CPU s':>6}  {'peak MB':>7}"]
        for row in (self.small, self.large):
            name = f"{row.stacks:,} stacks, {row.certificates:,} certificates"
            verdict = "ok" if row.calls <= row.calls_aim else "over"
            aim = f"<= {row.calls_aim}"
            lines.append(f"{name:<40}  {row.calls:>6}  {aim:>7}  {row.cpu_s:>6.2f}  {row.peak_mb:>7.0f}  {verdict}")
        verdict = "ok" if self.growth <= GROWTH_AIM else "over"
        lines.append(
            f"a stack of the large fleet costs {self.growth:.2f} times as much (aim: <= {GROWTH_AIM:g})  {verdict}"
        )
        return "\n".join(lines)


def measure_fleet(folder: Path, sizes: FleetSizes) -> FleetReport:
    """One round of both fleets, each in a folder of its own. RuntimeError where a round fails."""
    small, large = (_round(folder / f"fleet-{accounts}", accounts, sizes) for accounts in sizes.accounts)
    return FleetReport(small, large)


def _round(folder: Path, accounts: int, sizes: FleetSizes) -> FleetRow:
    project, state = make_fleet(folder, accounts, stacks=sizes.stacks, certificates=sizes.certificates)
    with running(state) as url:
        environ = {**project.environ, "CLOUDFLARE_API_BASE_URL": url, "HOME": str(folder)}
        state.calls.clear()
        done = measure([*CLI, "fleet", "run", "--format", "json"], folder=folder, environ=environ)
    stacks = accounts * sizes.stacks
    if done.code != 0 or len(json.loads(done.out)["stacks"]) != stacks:
        raise RuntimeError(f"the round over {stacks} stacks ended with {done.code}: {done.err.decode()[-2000:]}")
    pages = accounts * -(-sizes.stacks * sizes.certificates // PER_PAGE)
    return FleetRow(stacks, stacks * sizes.certificates, len(state.calls), pages, done.cpu_s, done.peak_mb)
