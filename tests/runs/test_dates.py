"""Dates at the command line: a renewal that begins later, one that begins at once, and what has expired."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import reconciler.runs.project as projects
from reconciler.cli import applying
from reconciler.stores.local import LocalStore
from tests.support.cli import Project, Result, make_project
from tests.support.memory import MemoryClock
from tests.support.pki import DAY, NOW, Issued, make_ca

ROOT = make_ca("Dates", not_before=NOW - 4000 * DAY, not_after=NOW + 4000 * DAY)
FIRST = ROOT.issue("first", not_before=NOW - 10 * DAY, not_after=NOW + 300 * DAY)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> MemoryClock:
    """The clock of every run of a test."""
    clock = MemoryClock(NOW)
    monkeypatch.setattr(projects, "SystemClock", lambda: clock)
    return clock


@pytest.fixture
def applied(tmp_path: Path, clock: MemoryClock) -> Project:
    """A project whose first certificate is bound."""
    project = make_project(tmp_path)
    give(project, FIRST)
    assert project.run("apply", "--yes").code == 0
    return project


def give(project: Project, issued: Issued) -> None:
    """Replace the certificate and its key."""
    project.write("certs/billing.pem", issued.chain_pem)
    project.environ["BILLING_KEY"] = issued.key_pem.decode()


def later(begins: datetime, ends: timedelta = 400 * DAY) -> Issued:
    """A renewal."""
    return ROOT.issue("later", not_before=begins, not_after=NOW + ends)


def test_a_renewal_that_begins_later_is_bound_by_the_first_run_after_that(applied: Project, clock: MemoryClock) -> None:
    """Until then the old one is what every binding and every `output` has, and nothing is a failure."""
    bound, old = applied.read("wrangler.toml"), applied.run("output", "billing").out
    give(applied, later(NOW + 10 * DAY))
    first = applied.run("apply", "--yes", "--format", "json")
    assert (first.code, [one["change"]["action"] for one in first.json["done"]]) == (0, ["upload"])
    assert first.json["next"] == "2026-12-03T12:00:00Z"
    assert (applied.read("wrangler.toml"), applied.run("output", "billing").out) == (bound, old)
    assert applied.run("plan", "--detailed-exitcode").code == 0
    assert applied.run("drift").code == 0
    at = applied.run("plan", "--at", "2026-12-04", "--format", "json").json
    assert [change["action"] for change in at["changes"]] == ["rebind"]
    clock.time = NOW + 10 * DAY
    assert applied.run("apply", "--yes").code == 0
    assert applied.read("wrangler.toml") != bound
    assert applied.run("output", "billing").out != old


def test_apply_waits_for_a_certificate_that_begins_within_five_minutes(applied: Project, clock: MemoryClock) -> None:
    """It says so, and binds it only then; `plan` does not wait."""
    bound = applied.read("wrangler.toml")
    give(applied, later(NOW + timedelta(minutes=2)))
    assert "waits" not in applied.run("plan").err
    assert clock.time == NOW
    result = applied.run("apply", "--yes")
    assert (result.code, clock.time) == (0, NOW + timedelta(minutes=2))
    assert "Waiting until 12:02:00 UTC" in result.err
    assert applied.read("wrangler.toml") != bound


def test_the_digest_of_a_plan_holds_after_the_begin(applied: Project, clock: MemoryClock) -> None:
    """So what was approved on one day can be applied on another."""
    give(applied, later(NOW + 10 * DAY))
    applied.run("apply", "--yes")
    digest = applied.run("plan", "--format", "json").json["digest"]
    clock.time = NOW + 11 * DAY
    assert applied.run("apply", "--yes", "--digest", digest).code == 0
    assert applied.run("plan", "--format", "json").json["changes"] == []


def test_a_saved_plan_does_not_grow_with_time(applied: Project, clock: MemoryClock) -> None:
    """What waited in it stays waiting, which is no failure."""
    give(applied, later(NOW + 10 * DAY))
    applied.run("apply", "--yes")
    bound = applied.read("wrangler.toml")
    assert applied.run("plan", "--out", "plan.json").code == 0
    clock.time = NOW + 11 * DAY
    assert applied.run("apply", "plan.json", "--max-age", "30d").code == 0
    assert applied.read("wrangler.toml") == bound


def test_the_last_valid_certificate_survives_its_grace(applied: Project, clock: MemoryClock) -> None:
    """Bound by hand to one that begins in a month, and long after the grace."""
    old = applied.run("output", "billing").out.strip()
    give(applied, later(NOW + 30 * DAY))
    applied.run("apply", "--yes")
    entries = applied.run("status", "--format", "json").json["certificates"][0]
    applied.write("wrangler.toml", applied.read("wrangler.toml").replace(old, entries["entry"]))
    clock.time = NOW + 29 * DAY
    result = applied.run("apply", "--yes", "--format", "json")
    assert (result.code, result.json["done"]) == (0, [])
    assert [one["condition"] for one in result.json["waiting"]] == ["successor-not-valid"]


def test_going_back_to_an_expired_certificate_binds_nothing(applied: Project, clock: MemoryClock) -> None:
    """Its entry is stored still, so it is an error to `plan` and `apply`; `validate` can't know what is bound now."""
    give(applied, later(NOW - DAY))
    assert applied.run("apply", "--yes").code == 0
    bound = applied.read("wrangler.toml")
    clock.time = NOW + 301 * DAY
    give(applied, FIRST)
    assert [applied.run(*command).code for command in (("validate",), ("plan",), ("apply", "--yes"))] == [0, 1, 1]
    assert "warning[certificate-expired]" in applied.run("validate").out
    assert applied.read("wrangler.toml") == bound


def test_a_file_that_has_expired_in_use_does_not_fail_what_is_checked_offline(
    applied: Project, clock: MemoryClock
) -> None:
    """As in `plan`; what needs its ID for a new binding fails everywhere."""
    clock.time = NOW + 301 * DAY
    commands = (("validate",), ("plan", "--offline"), ("plan",))
    assert [applied.run(*command).code for command in commands] == [0, 0, 0]
    text = applied.read("wrangler.toml")
    (found,) = set(re.findall(r"10ca1000-[0-9a-f-]+", text))
    applied.write("wrangler.toml", text.replace(found, "<ID>"))
    results = [applied.run(*command) for command in commands]
    assert [(one.code, "error[certificate-expired]" in one.out) for one in results] == [(1, True)] * 3


def test_an_expired_certificate_in_use_comes_first_in_every_report(applied: Project, clock: MemoryClock) -> None:
    """And a monitor can fail on it."""
    clock.time = NOW + 301 * DAY
    for command in ("plan", "status", "drift", "forecast"):
        result = applied.run(command, "--format", "json")
        assert result.json["diagnostics"][0]["code"] == "bound-expired", command
    assert applied.run("status", "--fail-on", "expired").code == 2
    assert "CALLS FAIL NOW through BILLING" in applied.run("status").out
    assert "bound-expired" in applied.run("explain", "billing").out


def test_a_renewal_that_is_declared_is_not_asked_for_again(applied: Project, clock: MemoryClock) -> None:
    """What is in use is due, and says that its renewal is there; the calendar speaks of the next one."""
    clock.time = NOW + 290 * DAY
    give(applied, later(NOW + 295 * DAY, 700 * DAY))
    plan = applied.run("plan")
    assert "renewal-due" not in plan.out
    due = "  ! billing  ends 2027-09-19 12:00 UTC  due since 2027-08-20  renewed in mtls.toml, but still in use"
    assert due in plan.out
    assert applied.run("status", "--fail-on", "due").code == 0
    assert "due already" not in applied.run("forecast").out
    assert "2028-10-23" in applied.run("explain", "billing").out


# --- what ends while a run waits ------------------------------------------------------------------------------------

SOON = timedelta(minutes=1)


def slowly(
    monkeypatch: pytest.MonkeyPatch, clock: MemoryClock, owner: object, name: str, *, only: str | None = None
) -> None:
    """Let two minutes pass in each call, or in those of one step of it."""
    original = getattr(owner, name)

    def slow(*arguments: object, **named: object) -> object:
        result = original(*arguments, **named)
        if only is None or only in arguments:
            clock.time += 2 * SOON
        return result

    monkeypatch.setattr(owner, name, slow)


def failed(result: Result) -> list[str]:
    """The codes of the steps that failed."""
    return [one["problem"]["code"] for one in result.json["failed"]]


def test_what_ends_while_the_question_waits_is_not_uploaded(
    applied: Project, clock: MemoryClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither uploaded nor bound: the plan was right when it was shown."""
    bound = applied.read("wrangler.toml")
    give(applied, later(NOW - DAY, SOON))
    slowly(monkeypatch, clock, applying, "confirm")
    result = applied.run("apply", "--yes", "--format", "json")
    assert (result.code, failed(result)) == (1, ["certificate-expired"])
    assert applied.read("wrangler.toml") == bound


def test_what_ends_while_its_upload_takes_long_is_not_bound(
    applied: Project, clock: MemoryClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An account can make a run wait for minutes."""
    bound = applied.read("wrangler.toml")
    give(applied, later(NOW - DAY, SOON))
    slowly(monkeypatch, clock, LocalStore, "upload")
    result = applied.run("apply", "--yes", "--format", "json")
    assert (result.code, failed(result)) == (5, ["certificate-expired"])
    assert [one["change"]["action"] for one in result.json["done"]] == ["upload"]
    assert applied.read("wrangler.toml") == bound


def test_what_ends_while_the_question_waits_is_not_bound_by_its_id(
    applied: Project, clock: MemoryClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same of an ID that mtls.toml declares."""
    old = applied.run("output", "billing").out.strip()
    give(applied, later(NOW - DAY, SOON))
    assert applied.run("apply", "--yes").code == 0
    new = applied.run("output", "billing").out.strip()
    applied.write("wrangler.toml", applied.read("wrangler.toml").replace(new, old))
    applied.write(
        "mtls.toml", applied.read("mtls.toml").replace('BILLING = "billing"', f'BILLING = {{ id = "{new}" }}')
    )
    slowly(monkeypatch, clock, applying, "confirm")
    result = applied.run("apply", "--yes", "--format", "json")
    assert (result.code, failed(result)) == (1, ["certificate-expired"])
    assert old in applied.read("wrangler.toml")


def test_the_last_valid_certificate_stays_if_its_successor_ends_just_before_the_delete(
    applied: Project, clock: MemoryClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 11, to the last moment at which it can be checked."""
    old = applied.run("output", "billing").out.strip()
    give(applied, later(NOW - DAY, 20 * DAY))
    assert applied.run("apply", "--yes").code == 0
    clock.time = NOW + 20 * DAY - SOON
    slowly(monkeypatch, clock, LocalStore, "get", only=old)
    result = applied.run("apply", "--yes", "--format", "json")
    assert [one["condition"] for one in result.json["waiting"]] == ["changed-meanwhile"]
    assert applied.run("explain", old).code == 0
