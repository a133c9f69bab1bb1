"""The part of `make bench` that is about an account: calls and time against the emulator, each call 50 ms away.

The emulator is a process of its own, over HTTP, and counts the calls. How many there are says whether the program is
right, and is tested; how long they take is only shown beside its aim.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from urllib.request import Request, urlopen

from tests.bench.project import BenchProject
from tests.support.measured import Measured
from tests.support.paths import REPOSITORY

LATENCY_MS = 50
TIGHT, TIGHT_S = 120, 6
_POLICY = ('grace = "0s"', "max_deletes = 100000", "rollback_versions = 0")


@dataclass(frozen=True, slots=True)
class AccountSizes:
    """How large the account is. `held`: certificates of a no-op plan; `tight`: uploads against a tight limit."""

    held: int = 1000
    workers: int = 200
    uploaded: int = 1000
    rotated: int = 100
    files: int = 200
    tight: int = 300


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One figure. `calls` are about certificates, `in_use` ask what uses one, `refused` were answered with 429."""

    name: str
    calls: int
    in_use: int
    refused: int
    wall_s: float
    cpu_s: float
    calls_aim: int | None = None
    wall_aim_s: float | None = None
    cpu_aim_s: float | None = None

    @property
    def verdict(self) -> str:
        """`ok` or `over`; nothing without an aim."""
        pairs = ((self.calls, self.calls_aim), (self.wall_s, self.wall_aim_s), (self.cpu_s, self.cpu_aim_s))
        aimed = [(found, aim) for found, aim in pairs if aim is not None]
        return "" if not aimed else "ok" if all(found <= aim for found, aim in aimed) and not self.refused else "over"


class Account:
    """A running emulator, and what it counts."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.environ = environ
        self._control = environ["CLOUDFLARE_API_BASE_URL"].removesuffix("/client/v4") + "/_emulator"

    def take(self, name: str, project: BenchProject, *arguments: str, **aims: float) -> AccountRow:
        """One command, measured. RuntimeError where it fails."""
        self._ask("DELETE", "calls")
        begin = time.monotonic()
        done: Measured = project.run(*arguments)
        wall_s = time.monotonic() - begin
        if done.code != 0:
            raise RuntimeError(f"{name} ended with {done.code}: {done.err.decode()}{done.out.decode()[-2000:]}")
        calls = json.loads(self._ask("GET", "calls"))["calls"]
        in_use = sum("/mtls_certificates" not in call["path"] or "/associations" in call["path"] for call in calls)
        refused = sum(call["status"] == 429 for call in calls)
        return AccountRow(name, len(calls) - in_use, in_use, refused, wall_s, done.cpu_s, **aims)  # type: ignore[arg-type]

    def _ask(self, method: str, path: str) -> bytes:
        with urlopen(Request(f"{self._control}/{path}", method=method)) as reply:  # noqa: S310 - loopback
            return bytes(reply.read())


@contextmanager
def account(folder: Path, *arguments: str) -> Iterator[Account]:
    """An emulator for as long as the `with` lasts."""
    command = [sys.executable, "-m", "reconciler", "emulator", "--port", "0", *arguments]
    environ = {"PATH": os.defpath, "HOME": str(folder), "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        try:
            yield Account({found[1]: found[2] for line in lines if (found := re.match(r"export (\w+)=(.*)", line))})
        finally:
            process.kill()


def measure_account(folder: Path, sizes: AccountSizes) -> tuple[AccountRow, ...]:
    """Every row, in empty folders below `folder`."""
    latency = ("--latency", str(LATENCY_MS))
    rows: list[AccountRow] = []
    with account(folder, *latency) as there:
        project = _project(folder / "first", there, sizes.uploaded, 1, 1)
        pages = ceil(sizes.uploaded / 50)
        name = f"first apply of {sizes.uploaded:,} uploads, at the real rate limit"
        aims = {"calls_aim": 1 + sizes.uploaded + pages, "wall_aim_s": 8.0}
        rows.append(there.take(name, project, "apply", "--yes", **aims))
    with account(folder, *latency, "--rate-limit", "off") as there:
        rows += _long_lived(folder, there, sizes)
    rows += _tight(folder, sizes)
    return tuple(rows)


def _long_lived(folder: Path, there: Account, sizes: AccountSizes) -> Iterator[AccountRow]:
    project = _project(folder / "held", there, sizes.held, sizes.workers, 3 * sizes.workers)
    there.take("prepare", project, "apply", "--yes")
    pages = ceil(sizes.held / 50)
    name = f"no-op plan over {sizes.held:,} certificates and {sizes.workers:,} Workers"
    yield there.take(name, project, "plan", calls_aim=pages, wall_aim_s=0.9, cpu_aim_s=0.6)
    with account(folder, "--latency", str(LATENCY_MS), "--rate-limit", "off") as other:
        rotated = _project(folder / "rotated", other, sizes.rotated, sizes.files, sizes.files)
        other.take("prepare", rotated, "apply", "--yes")
        rotated.write_certificates()
        name = f"rotation of {sizes.rotated:,} certificates bound in {sizes.files:,} files"
        aims = {"calls_aim": ceil(1.45 * sizes.rotated), "wall_aim_s": 3.5}
        yield other.take(name, rotated, "apply", "--yes", **aims)
        name = f"retiring the {sizes.rotated:,} old entries"
        yield other.take(name, rotated, "apply", "--yes", calls_aim=ceil(2 * sizes.rotated / 50) + 2 * sizes.rotated)


def _tight(folder: Path, sizes: AccountSizes) -> Iterator[AccountRow]:
    """The ideal is what the same takes without a limit, and the windows that must be waited for."""
    with account(folder, "--rate-limit", "off") as there:
        free = there.take("", _project(folder / "free", there, sizes.tight, 1, 1), "apply", "--yes")
    ideal_s = (ceil(free.calls / TIGHT) - 1) * TIGHT_S + free.wall_s
    with account(folder, "--rate-limit", f"{TIGHT}/{TIGHT_S}s") as there:
        project = _project(folder / "tight", there, sizes.tight, 1, 1)
        name = f"first apply of {sizes.tight:,} uploads at {TIGHT} calls in {TIGHT_S} s (ideal {ideal_s:.1f} s)"
        yield there.take(name, project, "apply", "--yes", wall_aim_s=1.15 * ideal_s)


def _project(folder: Path, there: Account, certificates: int, workers: int, bindings: int) -> BenchProject:
    made = BenchProject(
        folder, certificates, workers, bindings, store=('kind = "cloudflare"',), policy=_POLICY, environ=there.environ
    )
    made.write()
    return made


def rows_as_text(rows: tuple[AccountRow, ...]) -> str:
    """The rows for a person."""
    width = max(len(row.name) for row in rows)
    titles = f"{'calls':>6}  {'aim':>7}  {'in use':>6}  {'429':>3}  {'wall s':>6}  {'aim':>7}  {'CPU s':>6}"
    lines = [f"{'an account, over HTTP':<{width}}  {titles}"]
    for row in rows:
        calls_aim = "" if row.calls_aim is None else f"<= {row.calls_aim}"
        wall_aim = "" if row.wall_aim_s is None else f"<= {row.wall_aim_s:.1f}"
        counted = f"{row.calls:>6}  {calls_aim:>7}  {row.in_use:>6}  {row.refused:>3}"
        timed = f"{row.wall_s:>6.1f}  {wall_aim:>7}  {row.cpu_s:>6.2f}"
        lines.append(f"{row.name:<{width}}  {counted}  {timed}  {row.verdict}".rstrip())
    return "\n".join(lines)


def rows_as_json(rows: tuple[AccountRow, ...]) -> list[dict[str, object]]:
    """The rows for a machine."""
    return [{**asdict(row), "verdict": row.verdict} for row in rows]
