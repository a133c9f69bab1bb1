"""`make bench`: what the tool costs, as a multiple of a bare `python -c pass` of the same run, beside the aims.

Every figure is the median of several runs of a real process, user and system time together. `--json` for a machine.
Nothing here fails for being slow: how fast a machine is does not say whether a program is right.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench.account import AccountSizes, measure_account, rows_as_json, rows_as_text
from tests.bench.budget import measure_budget
from tests.bench.fleet import FleetSizes, measure_fleet
from tests.bench.project import BenchProject
from tests.support.cli import MTLS, make_project
from tests.support.hostile_files import JSON_FILES, MTLS_FILES
from tests.support.measured import CLI, Measured, measure

PEAK_AIM_MB = 100.0
LINEAR_AIM = 1.5


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large the projects are. `plans`: certificates of the no-op plans; the aim is for the middle one."""

    plans: tuple[int, int, int] = (500, 1000, 2000)
    rotated: int = 100
    files: int = 200


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `ratio` is to P; an aim of None: the row is only shown."""

    name: str
    cpu_ms: float
    peak_mb: float
    ratio: float
    aim: float | None = None
    peak_aim_mb: float | None = None

    @property
    def verdict(self) -> str:
        """`ok` or `over`; nothing without an aim."""
        if self.aim is None:
            return ""
        over = self.ratio > self.aim or (self.peak_aim_mb is not None and self.peak_mb > self.peak_aim_mb)
        return "over" if over else "ok"


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was measured. `growth`: what the second doubling cost over twice the first: 1 is
    linear, 2 is quadratic."""

    p_ms: float
    rows: tuple[Row, ...]
    growth: float

    def to_json(self) -> str:
        """The report for a machine."""
        rows = [{**asdict(row), "verdict": row.verdict} for row in self.rows]
        return json.dumps({"p_ms": self.p_ms, "rows": rows, "growth": self.growth, "growth_aim": LINEAR_AIM}, indent=2)

    def to_text(self) -> str:
        """The report for a person."""
        width = max(len(row.name) for row in self.rows)
        lines = [f"P, a bare `python -c pass`: {self.p_ms:.1f} ms of CPU", ""]
        lines.append(f"{'':<{width}}  {'CPU ms':>7}  {'P':>6}  {'aim':>6}  {'peak MB':>7}")
        for row in self.rows:
            aim = "" if row.aim is None else f"<= {row.aim:g}"
            figures = f"{row.cpu_ms:>7.0f}  {row.ratio:>6.1f}  {aim:>6}  {row.peak_mb:>7.0f}"
            lines.append(f"{row.name:<{width}}  {figures}  {row.verdict}".rstrip())
        verdict = "ok" if self.growth <= LINEAR_AIM else "over"
        lines += ["", f"twice the size costs {self.growth:.2f} times twice as much (aim: <= {LINEAR_AIM:g})  {verdict}"]
        return "\n".join(lines)


class Bench:
    """One run of the bench in a folder; every figure is taken beside one of the bare interpreter."""

    def __init__(self, folder: Path, runs: int) -> None:
        self.folder, self.runs = folder, runs
        self.bare_s: list[float] = []
        self.taken: list[tuple[str, float, float, float | None, float | None]] = []

    def take(
        self,
        name: str,
        once: Callable[[], Measured],
        aim: float | None = None,
        peak_aim_mb: float | None = None,
        *,
        code: int = 0,
    ) -> float:
        """Measure one row; the median of its CPU time in seconds. RuntimeError where a run ends with another code."""
        results: list[Measured] = []
        for _ in range(self.runs):
            self.bare_s.append(measure([sys.executable, "-c", "pass"], folder=self.folder).cpu_s)
            result = once()
            if result.code != code:
                raise RuntimeError(f"{name} ended with {result.code}: {result.err.decode()}")
            results.append(result)
        cpu_s = statistics.median(result.cpu_s for result in results)
        self.taken.append((name, cpu_s, max(result.peak_mb for result in results), aim, peak_aim_mb))
        return cpu_s

    def report(self, growth: float) -> Report:
        """All rows, by the P of this run."""
        p_s = statistics.median(self.bare_s)
        rows = (Row(name, cpu_s * 1000, peak, cpu_s / p_s, aim, most) for name, cpu_s, peak, aim, most in self.taken)
        return Report(p_s * 1000, tuple(rows), growth)


def run_bench(folder: Path, sizes: Sizes, runs: int) -> Report:
    """Measure everything in an empty folder."""
    bench = Bench(folder, runs)
    for arguments, aim in ((["--version"], 8), (["--help"], 8), (["plan", "--help"], 18), (["apply", "--help"], 18)):
        bench.take(" ".join(arguments), lambda given=arguments: measure([*CLI, *given], folder=folder), aim)  # type: ignore[misc]
    small, middle, large = _plans(bench, sizes)
    _rotation(bench, sizes)
    _hostile(bench)
    return bench.report((large - middle) / max(2 * (middle - small), 1e-9))


def _plans(bench: Bench, sizes: Sizes) -> Iterator[float]:
    for count in sizes.plans:
        project = BenchProject(bench.folder / f"plan-{count}", count, max(1, count // 5), max(1, count * 3 // 5))
        _prepare(project)
        aimed = count == sizes.plans[1]
        name = f"no-op plan: {count:,} certificates, {project.workers:,} Workers, {project.bindings:,} bindings"
        yield bench.take(name, lambda at=project: at.run("plan"), *((40, PEAK_AIM_MB) if aimed else ()))  # type: ignore[misc]


def _rotation(bench: Bench, sizes: Sizes) -> None:
    project = BenchProject(bench.folder / "rotation", sizes.rotated, sizes.files, sizes.files)
    _prepare(project)

    def rotate() -> Measured:
        project.write_certificates()
        return project.run("apply", "--yes")

    bench.take(f"rotation: {sizes.rotated:,} certificates, bound in {sizes.files:,} files", rotate, 100)


def _hostile(bench: Bench) -> None:
    """The costliest of the files that nobody wrote in good faith."""
    costly = {
        "20,000 bindings to nothing": {"mtls.toml": MTLS_FILES["20,000 bindings to nothing"]()},
        "85,000 empty entries": {
            "mtls.toml": MTLS.replace("wrangler.toml", "wrangler.jsonc"),
            "wrangler.jsonc": JSON_FILES["empty entries"](),
        },
    }
    for number, (name, files) in enumerate(costly.items()):
        project = make_project(bench.folder / f"hostile-{number}")
        for path, content in files.items():
            project.write(path, content)

        def refuse(folder: Path = project.folder) -> Measured:
            return measure([*CLI, "plan"], folder=folder)

        # A broken wrangler file holds only its own Worker, so the certificate could still be uploaded.
        bench.take(f"refusing {name}", refuse, 100, code=5 if "wrangler.jsonc" in files else 1)


def _prepare(project: BenchProject) -> None:
    """A project in which everything is applied."""
    project.write()
    done = project.run("apply", "--yes")
    if done.code != 0:
        raise RuntimeError(f"the project could not be prepared: {done.err.decode()}{done.out.decode()}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="for a machine")
    parser.add_argument("--runs", type=int, default=7, metavar="N", help="how often each figure is taken")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = run_bench(Path(folder), Sizes(), options.runs)
        rows = measure_account(Path(folder), AccountSizes())
        fleet = measure_fleet(Path(folder), FleetSizes())
    budget = measure_budget()
    if options.json:
        found = {
            "account": rows_as_json(rows),
            "fleet": fleet.to_json(),
            "budget": budget.to_json() if budget is not None else None,
        }
        sys.stdout.write(json.dumps({**json.loads(report.to_json()), **found}, indent=2) + "\n")
    else:
        last = budget.to_text() if budget is not None else "rate budget: not measured, PostgreSQL is not installed"
        sys.stdout.write(f"{report.to_text()}\n\n{rows_as_text(rows)}\n\n{fleet.to_text()}\n\n{last}\n")


if __name__ == "__main__":
    main()
