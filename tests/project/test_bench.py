"""The bench itself: its projects are what they say, and one tiny round of it works. What is slow fails nothing here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.account import AccountSizes, measure_account, rows_as_text
from tests.bench.budget import measure_budget
from tests.bench.fleet import FleetReport, FleetRow, FleetSizes, measure_fleet
from tests.bench.project import BenchProject
from tests.bench.run import Bench, Report, Row, Sizes, run_bench
from tests.support.cli import run
from tests.support.measured import CLI, measure


def test_a_prepared_project_has_nothing_to_do(tmp_path: Path) -> None:
    """After one apply the plan is empty: what is measured as a no-op is one."""
    project = BenchProject(tmp_path / "project", certificates=3, workers=2, bindings=5)
    project.write()
    assert project.run("apply", "--yes").code == 0
    plan = run(project.folder, {}, "plan", "--format", "json").json
    assert plan["changes"] == []
    assert len(plan["adopted"]) == 3
    texts = [path.read_text() for path in sorted(project.folder.glob("workers/*/wrangler.toml"))]
    assert [text.count("10ca1000-") for text in texts] == [3, 2]


def test_new_certificates_are_a_rotation_of_all_of_them(tmp_path: Path) -> None:
    """The second set of certificates has other contents under the same names."""
    project = BenchProject(tmp_path / "project", certificates=2, workers=2, bindings=2)
    project.write()
    project.run("apply", "--yes")
    project.write_certificates()
    plan = run(project.folder, {}, "plan", "--format", "json").json
    assert plan["summary"]["upload"] == 2
    assert plan["summary"]["rebind"] == 2


def test_one_tiny_round_measures_every_row(tmp_path: Path) -> None:
    """Every row has a figure, in text and in JSON."""
    report = run_bench(tmp_path, Sizes(plans=(1, 2, 3), rotated=1, files=1), runs=1)
    rows = json.loads(report.to_json())["rows"]
    assert [row["name"].split(":")[0] for row in rows] == [
        "--version",
        "--help",
        "plan --help",
        "apply --help",
        *["no-op plan"] * 3,
        "rotation",
        "refusing 20,000 bindings to nothing",
        "refusing 85,000 empty entries",
    ]
    assert all(row["cpu_ms"] > 0 and row["peak_mb"] > 1 for row in rows)
    assert all(row["name"] in report.to_text() for row in rows)


def test_a_row_over_its_aim_says_so() -> None:
    """Time or memory, either is enough."""
    report = Report(
        10.0,
        (
            Row("fast", 50.0, 20.0, ratio=5.0, aim=8),
            Row("slow", 90.0, 20.0, ratio=9.0, aim=8),
            Row("large", 50.0, 120.0, ratio=5.0, aim=8, peak_aim_mb=100),
            Row("shown", 50.0, 120.0, ratio=5.0),
        ),
        growth=1.0,
    )
    assert [row.verdict for row in report.rows] == ["ok", "over", "over", ""]


def test_a_command_that_fails_is_no_figure(tmp_path: Path) -> None:
    """A quick failure must not look like a quick tool."""
    bench = Bench(tmp_path, runs=1)
    with pytest.raises(RuntimeError, match="ended with 64"):
        bench.take("broken", lambda: measure([*CLI, "plan"], folder=tmp_path))


def test_the_account_is_asked_as_often_as_it_must_be_and_no_more(tmp_path: Path) -> None:
    """Calls are counted, not timed: a page for 50 entries, one call for an upload, none for a certificate."""
    sizes = AccountSizes(held=60, workers=2, uploaded=3, rotated=4, files=4, tight=2)
    first, idle, rotation, retired, tight = measure_account(tmp_path, sizes)
    assert first.calls <= 1 + 3 + 1
    assert idle.calls == 2
    assert rotation.calls <= 1 + 4 + 1
    assert retired.calls <= 1 + 2 * 4
    assert retired.in_use > 0
    assert all(row.refused == 0 for row in (first, idle, rotation, retired, tight))
    assert all(row.name in rows_as_text((first, idle)) for row in (first, idle))


def test_the_rate_budget_is_measured_with_a_real_database() -> None:
    """How much of it the processes used, and that nothing was refused."""
    row = measure_budget(quota=20, window_s=1.0, processes=2, calls=5)
    assert row is not None
    assert (row.calls, row.refused) == (10, 0)
    assert "10 of 20 in the fullest window (50 % used), 0 refused" in row.to_text()


def test_a_round_over_a_fleet_is_measured(tmp_path: Path) -> None:
    """Calls, CPU and memory of a small and a large one, in text and in JSON."""
    report = measure_fleet(tmp_path, FleetSizes(accounts=(1, 2), stacks=2, certificates=2))
    assert [(row.stacks, row.certificates, row.calls) for row in (report.small, report.large)] == [(2, 4, 1), (4, 8, 2)]
    assert all(row.cpu_s > 0 and row.peak_mb > 1 for row in (report.small, report.large))
    assert "4 stacks, 8 certificates" in report.to_text()
    assert json.loads(json.dumps(report.to_json()))["growth"] == report.growth


def test_the_growth_of_a_fleet_is_that_of_each_stack() -> None:
    """Ten times the stacks at twenty times the cost is twice as much for each."""
    small, large = FleetRow(50, 2000, 40, 40, 2.0, 90.0), FleetRow(500, 20_000, 401, 400, 40.0, 300.0)
    report = FleetReport(small, large)
    assert report.growth == 2
    assert [line.split()[-1] for line in report.to_text().splitlines()[1:]] == ["ok", "over", "over"]
