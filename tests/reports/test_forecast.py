"""`forecast`: the calendar, and the number of entries over time; as a pure function and at the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from reconciler.model import Actual, CertificateName, DeclaredCertificate, Desired, Entry, Policy, RenewBefore
from reconciler.model.ownership import mark_name
from reconciler.reports import forecast_entries
from reconciler.reports.forecast import Forecast, make_forecast
from reconciler.reports.forecast_entries import Event
from reconciler.reports.status import Urgency
from reconciler.views.text.forecast import render_forecast
from reconciler.views.text.style import PLAIN
from reconciler.x509.certificates import Bundle
from tests.plan.test_dates import later_plan
from tests.runs.test_frugal import Counted, CountedFiles, CountedStores, NoLines, no_lock
from tests.support.cli import MTLS, Project, make_project
from tests.support.paths import REPOSITORY
from tests.support.pki import DAY, NOW, make_ca
from tests.support.worlds import STACK, actual, certificate, days_ago, desired, file, plan_of, uid, worker

ROOT = make_ca("Root")
HOSTILE = "\x1b[2Jx\u202ey\n::error::z"
WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Given:
    """A certificate that ends in so many days, and began so many before NOW; without `begins`, for a year at least.

    `entry`: how the store has it: under our mark, under another name, or not.
    """

    ends: float
    begins: float | None = None
    entry: str | None = "ours"
    renew: RenewBefore | None = None
    grace: timedelta | None = None
    ca: bool = False
    owner: str | None = None

    def bundle(self) -> Bundle:
        issue = ROOT.issue_ca if self.ca else ROOT.issue
        begins = max(365 - self.ends, 30) if self.begins is None else self.begins
        return issue(not_before=NOW - begins * DAY, not_after=NOW + self.ends * DAY).bundle

    def declared(self, name: str) -> DeclaredCertificate:
        more = {"key": None} if self.ca else {}
        settings = {"renew_before": self.renew, "grace": self.grace, "ca": self.ca, "owner": self.owner, **more}
        return certificate(name, **settings)


def world(
    given: Mapping[str, Given],
    *,
    old: Sequence[tuple[str, float]] = (),
    shared: str | None = None,
    policy: Policy | None = None,
    limit: int = 1000,
) -> tuple[Desired, Actual]:
    """The certificates as given, each stored as it says, bound nowhere.

    `old`: superseded entries by certificate and age in days. `shared`: one that has the content of the first.
    """
    wanted = desired(dict.fromkeys(given, 1), declared=[one.declared(name) for name, one in given.items()], limit=limit)
    bundles = {CertificateName(name): one.bundle() for name, one in given.items()}
    if shared is not None:
        bundles[CertificateName(shared)] = next(iter(bundles.values()))
    declaration = replace(wanted.declaration, policy=policy or Policy())
    entries: list[Entry] = []
    for number, (name, one) in enumerate(given.items(), start=1):
        if one.entry is not None and name != shared:
            content = bundles[CertificateName(name)]
            marked = mark_name(STACK, CertificateName(name), content.digest)
            entries.append(_stored(number, marked if one.entry == "ours" else one.entry, content, 3, ca=one.ca))
    for number, (name, age) in enumerate(old, start=100):
        content = ROOT.issue(f"old-{number}").bundle
        entries.append(_stored(number, mark_name(STACK, CertificateName(name), content.digest), content, age))
    return Desired(declaration, bundles), actual(entries)


def _stored(number: int, name: str, content: Bundle, age: float, *, ca: bool = False) -> Entry:
    return Entry(uid(number), name, ca, content.pem(), uploaded_on=days_ago(age))


def forecast(wanted: Desired, there: Actual, days: int = 120) -> Forecast:
    """The forecast of a world."""
    return make_forecast(plan_of(wanted, there), days)


def calendar(found: Forecast) -> list[str]:
    """The calendar in short: days from NOW, name, urgency, `again`."""
    return [
        f"{(item.renew_from - NOW) / DAY:g} {item.certificate} {'again' if item.again else item.urgency}"
        for item in found.calendar
    ]


def steps(found: Forecast) -> list[str]:
    """The steps in short: days from NOW, event, name, entries afterwards."""
    return [f"{(step.at - NOW) / DAY:g} {step.event} {step.certificate} {step.entries}" for step in found.steps]


# --- the calendar ---------------------------------------------------------------------------------------------------


def test_the_calendar_has_what_falls_due_by_the_last_day_and_counts_the_rest() -> None:
    """A year's certificate is due 30 days before its end; one second later than the last moment is later."""
    given = {"last": Given(ends=150), "next": Given(ends=151), "first": Given(ends=40)}
    found = forecast(*world(given))
    assert calendar(found) == ["10 first later", "120 last later"]
    assert (found.later, found.upcoming and found.upcoming.certificate) == (1, "next")
    assert found.until == NOW + 120 * DAY


def test_what_is_overdue_or_has_expired_stands_first_with_its_own_date() -> None:
    """Its renewal is counted from now on."""
    given = {"soon": Given(ends=40), "due": Given(ends=20, begins=345), "over": Given(ends=-1, begins=364)}
    found = forecast(*world(given))
    assert calendar(found) == ["-31 over expired", "-10 due due", "10 soon later"]
    assert [step for step in steps(found) if "renewal" in step] == [
        "0 renewal due 4",
        "0 renewal over 5",
        "10 renewal soon 4",
    ]


def test_the_first_end_in_the_chain_counts() -> None:
    """An intermediate ends in 50 days; the leaf would last for a year."""
    wanted, there = world({"billing": Given(ends=335, entry=None)})
    middle = ROOT.issue_ca("Short", not_before=NOW - 30 * DAY, not_after=NOW + 50 * DAY)
    chain = middle.issue(not_before=NOW - 30 * DAY, not_after=NOW + 335 * DAY).bundle
    wanted = replace(wanted, bundles={CertificateName("billing"): chain})
    found = forecast(wanted, there)
    assert calendar(found) == ["20 billing later"]
    assert found.calendar[0].not_after == NOW + 50 * DAY


def test_a_short_certificate_falls_due_again_and_again() -> None:
    """Of 45 days, renewed 15 before the end: its successors are supposed to last as long."""
    found = forecast(*world({"short": Given(ends=45, begins=0)}))
    assert calendar(found) == ["30 short later", "60 short again", "90 short again", "120 short again"]
    assert [(item.not_after - NOW) / DAY for item in found.calendar] == [45, 75, 105, 135]


def test_a_certificate_that_would_always_be_due_follows_the_default() -> None:
    """As `mtlsctl renew --due` does."""
    given = {"short": Given(ends=45, begins=0, renew=RenewBefore(duration=60 * DAY))}
    assert calendar(forecast(*world(given)))[:2] == ["30 short later", "60 short again"]


def test_each_line_says_whose_it_is_and_where_a_renewal_has_to_arrive() -> None:
    """Declared bindings, and one that nobody declares with the same entry; not what only waits to be retired."""
    given = {"billing": Given(ends=40, owner="team-payments")}
    wanted, there = world(given, old=[("billing", 60)])
    declared = worker("checkout", {None: {"BILLING": "billing"}, "staging": {}})
    wanted = replace(wanted, declaration=replace(wanted.declaration, workers={declared.label: declared}))
    found_file = file({None: {"BILLING": uid(1), "MORE": uid(1), "OLD": uid(100)}, "staging": {}})
    (item,) = forecast(wanted, replace(there, files={declared.label: found_file})).calendar
    assert (item.owner, item.entry and item.entry.id) == ("team-payments", uid(1))
    assert [place.at.binding for place in item.places] == ["BILLING", "MORE"]


def test_a_file_that_can_not_be_used_is_named_and_not_dated() -> None:
    """Nobody knows when it falls due."""
    found = forecast(desired({"bad": None, "billing": 1}), actual())
    assert found.unreadable == ("bad",)
    assert "When bad falls due is not known: its file can't be used." in render_forecast(found, PLAIN)


# --- entries over time ----------------------------------------------------------------------------------------------


DUE_IN_10 = Given(ends=40)


@pytest.mark.parametrize(
    ("given", "more", "told", "peak"),
    [
        ({"a": Given(ends=400)}, {}, [], 1),
        ({"a": DUE_IN_10}, {}, ["10 renewal a 2", "17 retire a 1"], 2),
        ({"a": Given(ends=40, grace=WEEK * 2)}, {}, ["10 renewal a 2", "24 retire a 1"], 2),
        ({"a": DUE_IN_10}, {"policy": Policy(grace=timedelta(0))}, ["10 renewal a 2", "10 retire a 1"], 2),
        (
            {"a": DUE_IN_10, "b": DUE_IN_10},
            {},
            ["10 renewal a 3", "10 renewal b 4", "17 retire a 3", "17 retire b 2"],
            4,
        ),
        (
            {"a": DUE_IN_10, "b": Given(ends=50)},
            {},
            ["10 renewal a 3", "17 retire a 2", "20 renewal b 3", "27 retire b 2"],
            3,
        ),
        ({"a": DUE_IN_10, "b": DUE_IN_10}, {"shared": "b"}, ["10 renewal a 2", "17 retire a 1"], 2),
        (
            {
                "a": Given(ends=40, grace=WEEK),
                "b": Given(ends=40, renew=RenewBefore(duration=35 * DAY), grace=WEEK * 2),
            },
            {"shared": "b"},
            ["5 renewal a 2", "19 retire a 1"],
            2,
        ),
        ({"a": Given(ends=40, entry="billing by hand")}, {}, ["10 renewal a 2"], 2),
        (
            {"a": Given(ends=40, begins=5, entry="billing by hand")},
            {},
            ["25 renewal a 2", "55 renewal a 3", "62 retire a 2", "85 renewal a 3", "92 retire a 2", "115 renewal a 3"],
            3,
        ),
        ({"a": Given(ends=40, entry=None)}, {}, ["0 upload a 1", "10 renewal a 2", "17 retire a 1"], 2),
        ({"a": Given(ends=-1, begins=300, entry=None)}, {}, ["0 renewal a 1"], 1),
        ({"a": Given(ends=400)}, {"old": [("a", 60)]}, ["4 retire a 1"], 2),
        ({"a": Given(ends=400, entry=None)}, {"old": [("a", 60)]}, ["0 upload a 2", "7 retire a 1"], 2),
        ({"a": Given(ends=400)}, {"old": [("gone", 60)]}, [], 2),
        ({"a": Given(ends=400)}, {"old": [("a", 60)], "policy": Policy(grace=DAY)}, ["0 retire a 1"], 2),
        (
            {"a": Given(ends=400)},
            {"old": [("a", 60), ("a", 61)], "policy": Policy(grace=DAY, max_deletes=1)},
            ["0 retire a 2", "0 retire a 1"],
            3,
        ),
        (
            {"a": Given(ends=40, begins=5, grace=365 * DAY)},
            {},
            ["25 renewal a 2", "55 renewal a 3", "85 renewal a 4", "115 renewal a 5"],
            5,
        ),
    ],
    ids=[
        "nothing is due",
        "one entry more for a grace",
        "its own grace",
        "no grace: both in one moment, and still two",
        "two on one day",
        "two, one after the other",
        "two certificates with one content are one",
        "of those the earlier renewal and the longer grace count",
        "the old entry of somebody else stays",
        "what its renewals brought is ours, and goes",
        "what is not stored yet is uploaded now",
        "what can't be uploaded counts once it is renewed",
        "what waits for its grace goes then",
        "what waits for its successor goes a grace after it is uploaded",
        "what waits for no moment stays",
        "what can go now goes now",
        "what is over the limit of one run goes in the next",
        "a grace that outlasts the renewals piles them up",
    ],
)
def test_the_number_of_entries_follows_renewals_and_graces(
    given: dict[str, Given], more: dict[str, Any], told: list[str], peak: int
) -> None:
    """One more when it falls due, one less when the grace is over; the peak is what has to fit."""
    found = forecast(*world(given, **more))
    assert steps(found) == told
    assert found.leaf is not None
    assert found.leaf.peak == peak
    assert found.leaf.end == (found.steps[-1].entries if found.steps else found.leaf.now)
    assert found.ca is not None
    assert found.ca.peak == 0


def test_cas_are_counted_apart() -> None:
    """Five of them fit into an account."""
    found = forecast(*world({"partner": Given(ends=40, ca=True), "billing": Given(ends=400)}))
    assert [(step.event, step.ca, step.entries) for step in found.steps] == [
        (Event.RENEWAL, True, 2),
        (Event.RETIRE, True, 1),
    ]
    assert (found.leaf and found.leaf.peak, found.ca and (found.ca.peak, found.ca.limit)) == (1, (2, 5))


def test_the_peak_is_the_first_moment_at_which_it_is_reached() -> None:
    """With a quota of two the second renewal is the first that does not fit."""
    given = {"a": DUE_IN_10, "b": Given(ends=41)}
    found = forecast(*world(given, limit=3))
    assert found.leaf is not None
    assert (found.leaf.now, found.leaf.peak, found.leaf.end) == (2, 4, 2)
    assert found.leaf.peak_at == NOW + 11 * DAY
    assert found.leaf.over is not None
    assert (found.leaf.over.certificate, found.leaf.over.at) == ("b", NOW + 11 * DAY)
    (finding,) = found.findings
    assert (finding.code, finding.certificate) == ("forecast-quota", "b")
    assert "4 of 3 certificates" in finding.message
    assert "leaf certificates: 2 of 3 now, peak 4 on 2026-12-04, 2 at the end: THAT DOES NOT FIT" in (
        render_forecast(found, PLAIN)
    )


def test_what_fits_exactly_fits() -> None:
    """Of a quota of four, four."""
    found = forecast(*world({"a": DUE_IN_10, "b": DUE_IN_10}, limit=4))
    assert found.leaf is not None
    assert (found.leaf.over, found.findings) == (None, ())


def test_offline_there_are_dates_and_no_numbers() -> None:
    """And nothing is supposed of entries."""
    wanted, _ = world({"a": DUE_IN_10})
    found = forecast(wanted, actual(None))
    assert calendar(found) == ["10 a later"]
    assert (found.leaf, found.ca, found.steps, len(found.assumptions)) == (None, None, (), 1)


def test_what_is_supposed_is_said_with_the_doubts_of_this_account() -> None:
    """An entry that waits for no moment, and one of somebody else: both are counted to the end."""
    given = {"a": Given(ends=40, entry="by hand"), "b": Given(ends=400)}
    found = forecast(*world(given, old=[("gone", 60)]))
    assert found.assumptions[-2].startswith("the old certificate of gone stays to the end: its certificate was removed")
    assert found.assumptions[-1:] == (
        "1 old certificate stays to the end, not managed here and not handed over with `supersedes`",
    )


def test_too_many_steps_end_the_forecast_sooner_and_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate of an hour for ten years would have no end; what is told is whole up to there."""
    monkeypatch.setattr(forecast_entries, "MAX_STEPS", 3)
    found = forecast(*world({"short": Given(ends=3, begins=0)}))
    assert len(found.steps) == 3
    assert found.until == found.steps[-1].at + 2 * DAY
    assert {finding.code for finding in found.findings} == {"forecast-cut"}
    assert all(item.renew_from <= found.until for item in found.calendar)


def test_a_certificate_without_end_is_no_crash() -> None:
    """99991231235959Z says that there is none (RFC 5280 section 4.1.2.5)."""
    wanted, there = world({"a": DUE_IN_10})
    for_ever = ROOT.issue(not_before=NOW - DAY, not_after=NOW.replace(year=9999)).bundle
    found = forecast(replace(wanted, bundles={CertificateName("a"): for_ever}), there, days=3650)
    assert (found.calendar, found.later) == ((), 1)


# --- as text --------------------------------------------------------------------------------------------------------


def shown(given: Mapping[str, Given]) -> list[str]:
    """The lines of the calendar and of the entries, without heads and empty lines."""
    text = render_forecast(forecast(*world(given)), PLAIN).partition("Assumptions:")[0]
    return [line for line in text.splitlines() if line[:4].strip() in {".", "~", "!", "x", "+", "-"}]


def test_a_two_day_certificate_is_five_lines() -> None:
    """Of 120 days: its renewal and all that follow, in the calendar and of the account. The numbers stay exact."""
    found = forecast(*world({"short": Given(ends=2, begins=0)}))
    assert (len(found.calendar), len(found.steps)) == (90, 174)
    assert found.leaf is not None
    assert (found.leaf.peak, found.leaf.end) == (7, 7)  # of seven days of grace: the current one and six before it
    assert shown({"short": Given(ends=2, begins=0)}) == [
        "  . 2026-11-24  short  falls due, expires 2026-11-25 12:00 UTC",
        "  ~ 2026-11-26  short  89 more renewals until 2027-03-23, about every 1.3 days",
        "  + 2026-11-24  short is renewed: 2 then",
        "  ~ 2026-11-26  short: 89 more renewals until 2027-03-23, about every 1.3 days; peak 7",
        "  - 2026-12-01  the old certificate of short is deleted: 6 then",
    ]


@pytest.mark.parametrize(
    ("lifetime", "told"),
    [
        (80, ["  ~ 2027-03-10  a  due again, would expire 2027-04-05 20:00 UTC"]),
        (
            60,
            [
                "  ~ 2027-02-11  a  due again, would expire 2027-03-03 12:00 UTC",
                "  ~ 2027-03-23  a  due again, would expire 2027-04-12 12:00 UTC",
            ],
        ),
        (45, ["  ~ 2027-01-22  a  3 more renewals until 2027-03-23, about every 30 days"]),
        (1.5, ["  ~ 2026-11-25  a  119 more renewals until 2027-03-23, about every day"]),
        (0.5, ["  ~ 2026-11-24  a  359 more renewals until 2027-03-23, about every 8 hours"]),
    ],
    ids=["one more", "two more", "three more", "of a day and a half", "of twelve hours"],
)
def test_more_than_two_further_renewals_share_a_line(lifetime: float, told: list[str]) -> None:
    """With their number, the last of them and how far apart they are."""
    lines = shown({"a": Given(ends=lifetime, begins=0)})
    assert [line for line in lines if line.startswith("  ~") and "peak" not in line] == told


def test_what_is_shared_of_one_certificate_hides_nothing_of_another() -> None:
    """Its renewal keeps its own lines, between those of the others."""
    lines = shown({"short": Given(ends=2, begins=0), "billing": Given(ends=40)})
    assert "  . 2026-12-03  billing  falls due, expires 2027-01-02 12:00 UTC" in lines
    assert sum("billing" in line for line in lines) == 3


def test_the_begin_of_a_certificate_that_waits_is_an_event() -> None:
    """With what to do then, and which bindings wait."""
    plan = later_plan()
    forecast = make_forecast(plan, 120)
    (begin,) = forecast.begins
    assert (begin.certificate, begin.at, [one.binding for one in begin.places]) == (
        "billing",
        NOW + 10 * DAY,
        ["BILLING"],
    )
    assert f"+ {begin.at:%Y-%m-%d}  billing  becomes valid" in render_forecast(forecast, PLAIN)
    assert "run mtlsctl apply; waiting: BILLING of checkout (top level)" in render_forecast(forecast, PLAIN)
    assert make_forecast(plan, 9).begins == ()


def test_hostile_names_are_text() -> None:
    """Owners, environments, bindings and files are others' words."""
    wanted, there = world({"a": Given(ends=40, owner=HOSTILE)})
    declared = worker("checkout", {HOSTILE: {HOSTILE: "a"}}, config=HOSTILE)
    wanted = replace(wanted, declaration=replace(wanted.declaration, workers={declared.label: declared}))
    text = render_forecast(forecast(wanted, there), PLAIN)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert not any(line.lstrip().startswith("::") for line in text.splitlines())


# --- at the command line --------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """One certificate, due 30 days before its end in October 2027."""
    made = make_project(tmp_path)
    made.write("mtls.toml", MTLS.replace("[certificates.billing]", '[certificates.billing]\nowner = "team-payments"'))
    return made


def test_text_has_the_calendar_the_entries_and_what_is_supposed(project: Project) -> None:
    """Without any key at hand, and nothing is made by looking."""
    project.run("apply", "--yes")
    project.environ.clear()
    result = project.run("forecast", "--days", "400")
    assert (result.code, result.err) == (0, "")
    assert "2027-09\n  . 2027-09-24  billing  falls due, expires 2027-10-24 12:00 UTC\n" in result.out
    assert "      owner team-payments; used by BILLING of checkout (top level)\n" in result.out
    assert "leaf certificates: 1 of 1,000 now, peak 2 on 2027-09-24, 1 at the end\n" in result.out
    renewed, deleted = "billing is renewed: 2 then", "the old certificate of billing is deleted: 1 then"
    assert f"  + 2027-09-24  {renewed}\n  - 2027-10-01  {deleted}\n" in result.out
    assert "Assumptions:\n  - " in result.out


def test_json_fits_its_schema_and_out_writes_the_same(project: Project) -> None:
    """Online and offline."""
    schema = REPOSITORY / "schemas/forecast.schema.json"
    validator = Draft202012Validator(json.loads(schema.read_text()))
    project.run("apply", "--yes")
    result = project.run("forecast", "--days", "400", "--format", "json", "--out", "forecast.json")
    offline = project.run("forecast", "--days", "400", "--format", "json", "--offline").json
    for document in (result.json, offline):
        assert list(validator.iter_errors(document)) == []
        (item,) = document["calendar"]
        assert (item["certificate"], item["renew_from"]) == ("billing", "2027-09-24T12:00:00Z")
        assert item["places"] == [{"worker": "checkout", "config": "wrangler.toml", "binding": "BILLING"}]
    assert project.read("forecast.json") == result.out
    assert result.json["quota"]["leaf"]["peak_at"] == "2027-09-24T12:00:00Z"
    assert ("quota" in offline, offline["offline"], offline["steps"]) == (False, True, [])


def test_a_quota_that_does_not_suffice_is_a_warning_with_its_place(project: Project) -> None:
    """No failure: there is time."""
    project.run("apply", "--yes")
    project.write("mtls.toml", project.read("mtls.toml") + "[store]\nlimit = 1\n")
    result = project.run("forecast", "--days", "400")
    assert result.code == 0
    assert "warning[forecast-quota]: the quota is too small for 'billing' on 2027-09-24" in result.out
    assert "at   mtls.toml:4:" in result.out


def test_a_bad_certificate_file_ends_with_1_and_the_rest_is_told(project: Project) -> None:
    """As `status` does."""
    project.write("mtls.toml", project.read("mtls.toml") + '[certificates.bad]\ncertificate = "bad.pem"\nca = true\n')
    result = project.run("forecast", "--days", "400")
    assert result.code == 1
    assert "error[file-missing]" in result.out
    assert "2027-09-24  billing" in result.out


@pytest.mark.parametrize("days", ["0", "3651", "-1", "x"])
def test_days_that_are_none_are_wrong_use(project: Project, days: str) -> None:
    """From one day to ten years."""
    result = project.run("forecast", "--days", days)
    assert (result.code, result.out) == (64, "")


def test_a_forecast_asks_the_store_for_no_more_than_a_plan(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """One look: the same reads, and no write, no key, no journal, no lock."""
    import reconciler.cli.session
    import reconciler.runs.project

    project.run("apply", "--yes")
    opened = reconciler.runs.project.open_project
    looks: list[Counted] = []

    def counting(*arguments: Any, **named: Any) -> reconciler.runs.project.Project:
        counted, real = Counted(), opened(*arguments, **named)
        looks.append(counted)
        files, stores = CountedFiles(real.files, counted), CountedStores(real.stores, counted)
        return replace(real, files=files, stores=stores, lines=NoLines(), lock=no_lock)

    monkeypatch.setattr(reconciler.cli.session, "open_project", counting)
    assert [project.run(*command).code for command in (("plan",), ("forecast",), ("forecast", "--offline"))] == [0] * 3
    plan, online, offline = looks
    assert (online, online.readers, online.writes, online.keys) == (plan, 1, 0, 0)
    assert (offline.readers, offline.writes, offline.keys) == (0, 0, 0)


def test_urgency_words_are_those_of_status() -> None:
    """A reader of both documents learns them once."""
    assert {item.urgency for item in forecast(*world({"a": Given(ends=20, begins=345)})).calendar} == {Urgency.DUE}
