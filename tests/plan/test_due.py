"""When a certificate falls due, by every element of its chain; and what a plan of some day says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.model import Declaration, Desired, Policy, RenewBefore
from reconciler.plan.plan import Plan
from reconciler.plan.policy import count_back, renewal_start
from reconciler.plan.renewals import due_of, find_always_due, find_due
from reconciler.views.text.plan import render_plan
from reconciler.views.text.style import PLAIN
from reconciler.x509.certificates import Bundle
from reconciler.x509.chains import window_of
from tests.support.cli import MTLS, Project
from tests.support.pki import DAY, END, NOW, Issued, make_ca, patch
from tests.support.worlds import actual, certificate, desired, entry, plan_of

ROOT = make_ca("Root")
YEAR = 365 * DAY


def leaf(days: int = 365, *, above: Sequence[int] = ()) -> Issued:
    """A leaf that ends in so many days after NOW, below intermediates that end after so many; all begin at NOW."""
    issuer = ROOT
    for index, end in enumerate(above):
        issuer = issuer.issue_ca(f"Intermediate {index}", not_before=NOW, not_after=NOW + end * DAY)
    return issuer.issue(not_before=NOW, not_after=NOW + days * DAY)


# --- when -----------------------------------------------------------------------------------------------------------


def end_of(bundle: Bundle) -> datetime:
    """The end of its best path."""
    ends = window_of(bundle, now=NOW).ends
    assert ends is not None
    return ends


def start_of(issued: Issued, renew_before: RenewBefore | None) -> datetime:
    """When its renewal begins."""
    return renewal_start(issued.bundle, end_of(issued.bundle), renew_before)


@pytest.mark.parametrize(
    ("issued", "renew_before", "days"),
    [
        (leaf(365), None, 335),
        (leaf(90), None, 60),
        (leaf(60), None, 40),
        (leaf(1), None, 2 / 3),
        (leaf(365), RenewBefore(duration=10 * DAY), 355),
        (leaf(100), RenewBefore(share=0.33), 67),
        (leaf(365), RenewBefore(duration=0 * DAY), 365),
        (leaf(365, above=[100]), None, 70),
        (leaf(365, above=[100]), RenewBefore(duration=10 * DAY), 90),
        (leaf(100, above=[50]), RenewBefore(share=0.25), 25),
        (leaf(365, above=[80, 200]), None, 50),
        (leaf(365, above=[900, 800]), None, 335),
        (leaf(9), RenewBefore(duration=30 * DAY), 6),
    ],
    ids=[
        "thirty days of a year",
        "thirty days, the third of ninety",
        "a third of sixty",
        "a third of one day",
        "a duration",
        "a share of the lifetime",
        "nothing before the end",
        "counted from an intermediate that ends first",
        "a duration before that",
        "a share of the leaf's lifetime before that",
        "from the highest of three",
        "intermediates that outlast the leaf do not matter",
        "the default in place of a duration that is longer than its lifetime",
    ],
)
def test_renewal_starts_before_the_first_end_in_the_chain(
    issued: Issued, renew_before: RenewBefore | None, days: float
) -> None:
    """By a duration, a share of the leaf's lifetime, or the smaller of thirty days and a third of it."""
    assert start_of(issued, renew_before) == NOW + timedelta(days=days)


def test_a_leaf_that_ends_before_it_begins_is_due_at_its_end() -> None:
    """There is no lifetime to take a share of, and none below nothing."""
    issued = ROOT.issue(not_before=NOW, not_after=NOW - YEAR)
    for renew_before in (None, RenewBefore(share=0.5)):
        assert start_of(issued, renew_before) == NOW - YEAR


def test_a_date_before_all_dates_is_no_crash() -> None:
    """A stranger's certificate ends in the year 50, and renewal should begin a hundred years before."""
    issued = patch(ROOT.issue(not_after=datetime(2050, 1, 1, tzinfo=UTC)), b"20500101000000Z", b"00500101000000Z")
    assert start_of(issued, RenewBefore(duration=36_500 * DAY)) == datetime(50, 1, 1, tzinfo=UTC)
    assert count_back(datetime(50, 1, 1, tzinfo=UTC), 36_500 * DAY) == datetime(1, 1, 1, tzinfo=UTC)


# --- what is said ---------------------------------------------------------------------------------------------------


def world(bundle: Bundle, own: RenewBefore | None = None, policy: RenewBefore | None = None) -> Desired:
    """One declared certificate, `billing`."""
    declared = certificate("billing", renew_before=own)
    declaration = Declaration(
        "mtls.toml", "payments", policy=Policy(renew_before=policy), certificates={declared.name: declared}
    )
    return Desired(declaration, {declared.name: bundle})


def test_the_finding_of_a_renewal_follows_the_first_end_in_the_chain() -> None:
    """The day before nothing is said; then the date that matters is, not the leaf's."""
    wanted = world(leaf(365, above=[100]).bundle)
    (name,) = wanted.bundles
    due = due_of(wanted, name, wanted.bundles[name], end_of(wanted.bundles[name]))
    assert find_due(wanted, due, NOW + 69 * DAY) is None
    found = find_due(wanted, due, NOW + 70 * DAY)
    assert found is not None
    assert (found.code, f"{NOW + 100 * DAY:%Y-%m-%d}" in found.message) == ("renewal-due", True)


def test_a_root_that_has_ended_in_the_file_makes_nothing_due_or_expired() -> None:
    """Origins use their own copy of it."""
    old = make_ca("Old root", not_before=NOW - YEAR, not_after=NOW - DAY)
    chain = Bundle((old.issue("client").der, old.der))
    wanted = desired({"billing": 1})
    (name,) = wanted.bundles
    wanted = replace(wanted, bundles={name: chain})
    there = actual([replace(entry(1, 1, "@billing"), certificates=chain.pem())])
    dates = [one for one in plan_of(wanted, there).diagnostics if one.code in {"renewal-due", "certificate-expired"}]
    assert dates == []


@pytest.mark.parametrize(
    ("own", "policy", "where"),
    [
        (RenewBefore(duration=47 * DAY), None, ("certificates", "billing", "renew_before")),
        (None, RenewBefore(duration=90 * DAY), ("policy", "renew_before")),
        (RenewBefore(duration=46 * DAY), RenewBefore(duration=90 * DAY), None),
        (RenewBefore(share=0.99), RenewBefore(duration=90 * DAY), None),
        (None, None, None),
    ],
    ids=["as long as the lifetime", "the policy's, longer", "own, one day shorter", "a share never is", "the default"],
)
def test_a_certificate_that_would_always_be_due_is_told_once_and_not_as_due(
    own: RenewBefore | None, policy: RenewBefore | None, where: tuple[str, ...] | None
) -> None:
    """Certificates get shorter, and a `renew_before` of old times would warn for ever. The default takes its place."""
    wanted = world(leaf(47).bundle, own, policy)
    (name,) = wanted.bundles
    found = find_always_due(wanted, name)
    if where is None:
        assert found is None
    else:
        assert found is not None
        assert found.where is not None
        assert (found.code, getattr(found.where, "keys", None)) == ("renew-before-too-long", where)
        due = due_of(wanted, name, wanted.bundles[name], end_of(wanted.bundles[name]))
        assert (due.renew_from, find_due(wanted, due, NOW)) == (due.not_after - 47 * DAY / 3, None)
        assert find_due(wanted, due, due.renew_from) is not None
        assert "is valid for 47d only, so the default, 15d16h, is used" in found.message


# --- a plan of some day ---------------------------------------------------------------------------------------------


def looked_at(days: float, **options: object) -> Plan:
    """The plan for three stored certificates, so many days after NOW; each is due 30 days before its end."""
    early = certificate("early", renew_before=RenewBefore(duration=335 * DAY))
    wanted = desired({"billing": 1, "twin": 1, "early": 2}, declared=[early], **options)  # type: ignore[arg-type]
    there = actual([entry(1, 1, "@billing"), entry(2, 2, "@early")])
    return plan_of(wanted, there, now=NOW + days * DAY, at=True)


def test_a_plan_of_some_day_tells_what_is_due_by_then_and_what_entries_renewing_needs() -> None:
    """The days after the end are told as such; two certificates with one content need one entry."""
    plan = looked_at(310)
    text = render_plan(plan, PLAIN)
    assert "Due for renewal by then:\n  ! early    ends 2027-10-24 12:00 UTC  due since 2026-11-23\n" in text
    assert "  ! billing  ends 2027-10-24 12:00 UTC  due since 2027-09-24\n  ! twin     ends" in text
    assert "\nRenewing what is due needs 2 more certificates for a while: 4 of 1,000.\n" in text
    assert "Expired" not in text
    assert plan.quota is not None
    assert (plan.quota.leaf.renewals, plan.quota.ca.renewals) == (2, 0)


def test_a_plan_of_a_day_after_the_end_tells_what_has_expired_by_then() -> None:
    """Expired is not due: it is too late for that."""
    text = render_plan(looked_at(336), PLAIN)
    assert "Expired by then:\n  x early    ended 2027-10-24 12:00 UTC\n  x billing  ended" in text
    assert "Due for renewal" not in text
    assert "needs 2 more certificates for a while" in text


def test_a_plan_of_a_day_on_which_nothing_is_due_names_the_first_to_be() -> None:
    """No answer would leave a person wondering."""
    text = render_plan(looked_at(-10), PLAIN)
    assert "Nothing is due for renewal by then. First: early, from 2026-11-23." in text


def test_renewals_that_do_not_fit_into_the_account_are_loud() -> None:
    """Two stored, of three: the renewals need two more."""
    text = render_plan(looked_at(310, limit=3), PLAIN)
    assert "Renewing what is due needs 2 more certificates for a while: 4 of 3, WHICH DOES NOT FIT." in text


def test_a_ca_that_is_due_counts_against_the_quota_of_cas() -> None:
    """Which is five."""
    wanted = desired({"partner": 1}, declared=[certificate("partner", ca=True, key=None)])
    plan = plan_of(wanted, actual([entry(1, 1, "@partner", ca=True)]), now=END - DAY)
    assert "needs 1 more CA certificate for a while: 2 of 5" in render_plan(plan, PLAIN)


def test_an_offline_plan_tells_what_is_due_without_a_quota() -> None:
    """Files know dates, and nothing of the account."""
    text = render_plan(plan_of(desired({"billing": 1}), actual(None), now=END, at=True), PLAIN)
    assert "Due for renewal by then:\n  ! billing  ends" in text
    assert "Renewing" not in text


def test_a_preview_takes_a_time_as_it_is_printed(project: Project) -> None:
    """So that a date of a report can be copied."""
    for text in ("2027-10-01 02:30", "2027-10-01 02:30 UTC", "2027-10-01T02:30:00Z"):
        assert "AS OF 2027-10-01 02:30 UTC" in project.run("plan", "--at", text).out


def test_at_the_command_line_a_day_is_enough(project: Project) -> None:
    """Text for people; in JSON the same dates, and the entries that renewing needs."""
    project.run("apply", "--yes")
    result = project.run("plan", "--at", "2027-10-01")
    assert (result.code, "Due for renewal by then:\n  ! billing  ends 2027-10-24 12:00 UTC" in result.out) == (0, True)
    document = project.run("plan", "--at", "2027-10-01", "--format", "json").json
    assert (document["at"], document["made"]) == (True, "2027-10-01T00:00:00Z")
    assert document["due"] == [
        {"certificate": "billing", "not_after": "2027-10-24T12:00:00Z", "renew_from": "2027-09-24T12:00:00Z"}
        | {"renewed": False}
    ]
    assert document["quota"]["leaf"] == {"limit": 1000, "now": 1, "peak": 1, "after": 1, "renewals": 1}


@pytest.mark.parametrize("command", [("validate",), ("plan",), ("plan", "--offline")], ids=" ".join)
def test_a_renew_before_that_is_too_long_is_told_with_its_line(project: Project, command: tuple[str, ...]) -> None:
    """Before the first upload already, and it is no failure."""
    project.write("mtls.toml", MTLS.replace('stack = "payments"', 'stack = "payments"\npolicy.renew_before = "400d"'))
    result = project.run(*command)
    assert (result.code, result.out.count("warning[renew-before-too-long]")) == (0, 1)
    assert "at   mtls.toml:3:" in result.out
    assert "warning[renewal-due]" not in result.out
