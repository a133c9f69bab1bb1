"""Pages of HTML: they stand alone, show everything that text shows, and names of others do nothing in them."""

from __future__ import annotations

import re
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import combinations, pairwise
from time import process_time
from xml.etree import ElementTree

import pytest

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.escape import printable
from reconciler.findings.exits import ExitCode
from reconciler.model import BindingAddress, BindingName, CertificateName, Entry, EntryId, Waiting, WorkerLabel
from reconciler.plan.coverage import NotChecked
from reconciler.plan.outcome import Outcome, Step, StepStatus
from reconciler.plan.plan import PlanFacts
from reconciler.plan.renewals import Due
from reconciler.reports.checks import RunFailure
from reconciler.reports.drift import Drift
from reconciler.reports.fleet import FleetStatus
from reconciler.reports.forecast import Forecast
from reconciler.reports.left import Applied
from reconciler.reports.outage import Outage
from reconciler.reports.stacks import StackResult, Stacks
from reconciler.reports.status import BoundAt, CertificateStatus, Standing, Status, Urgency
from reconciler.views.html.page import COLOURS, SHAPES, SIGNS, Tone, show_page
from reconciler.views.html.plan import plan_report
from reconciler.views.html.status import status_report
from reconciler.views.markdown.page import not_checked as not_checked_in_markdown
from reconciler.views.table import VIEWS, Display, formats_of, render
from tests.support.cli import Project
from tests.support.hostile import NAMES, check_texts
from tests.support.html_pages import COMMAND, FOLDER, Element, check_page, page_of, pages, parsed, words
from tests.support.pki import DAY, NOW
from tests.support.reports import (
    APPLIED,
    BIND,
    DRIFT,
    FLEET_STATUS,
    FORECAST,
    OFFLINE,
    PLAN,
    SAVED_PLAN,
    STACKS,
    STATUS,
    STORE,
    place,
)
from tests.support.screens import SCREENS
from tests.views.test_markdown import MARKUP, renamed

REPORTS = (PLAN, SAVED_PLAN, OFFLINE, APPLIED, DRIFT, STATUS, FORECAST, RunFailure(PLAN.diagnostics))
ALL = {**MARKUP, **NAMES}
SHOWN: dict[str, object] = {f"{type(one).__name__} {at}": one for at, one in enumerate(REPORTS)}
SHOWN |= {name: one for name, one in SCREENS.items() if "html" in formats_of(type(one))}
each = pytest.mark.parametrize("report", SHOWN.values(), ids=SHOWN)
SVG = re.compile(r"<svg\b(?:(?!<svg\b).)*?</svg>", re.DOTALL)


def main_of(page: Element) -> Element:
    """All but the folded text: what is in tables and lists."""
    (article,) = page.all("article")
    return replace(article, texts=[one for one in article.texts if one is not article.children[-1]])


def test_pages_are_as_they_were_looked_at() -> None:
    """After a change, run the command and look at the pages in a browser."""
    found = {path.name: path.read_text() for path in FOLDER.iterdir()}
    assert found == pages(), f"run `{COMMAND}`"


def test_every_report_with_a_page_is_tried_here() -> None:
    """Each row of the table."""
    known = {f"{type(report).__module__}:{type(report).__qualname__}" for report in (*REPORTS, STACKS, FLEET_STATUS)}
    assert known == {report for report, shown in VIEWS if shown == "html"}


@each
def test_a_page_stands_alone(report: object) -> None:
    """No script, nothing from elsewhere, and a policy that forbids both; every element ends where it should."""
    text = page_of(report)
    page = parsed(text)
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    assert [one.attributes["content"] for one in page.all("meta") if "http-equiv" in one.attributes] == [policy]
    assert not list(page.all("script", "link", "img", "iframe", "object", "embed", "base", "form", "use", "image"))
    for one in page.all():
        assert not {name for name in one.attributes if name.startswith("on") or name in ("style", "src", "srcset")}
        assert (one.attributes.get("href") or "#").startswith("#")
    assert not re.search(r"url\(|@import|javascript:", text)


@each
def test_pictures_are_well_formed(report: object) -> None:
    """Also for who reads them as XML; each has a title, and the larger ones a description."""
    text = page_of(report)
    while found := SVG.search(text):
        ElementTree.fromstring(found[0])  # noqa: S314 - of our own making
        text = text[: found.start()] + "<g/>" + text[found.end() :]
    assert "<svg" not in text
    for one in parsed(page_of(report)).all("svg"):
        if one.attributes.get("role") == "img":
            assert [child.tag for child in one.children[:2]] == ["title", "desc"]


@each
def test_a_page_can_be_heard(report: object) -> None:
    """Its language, its headings in order, the heads of its tables, and what names its parts."""
    page = parsed(page_of(report))
    (html,) = page.all("html")
    assert html.attributes["lang"] == "en"
    levels = [int(one.tag[1]) for one in page.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert levels.count(1) == 1
    for table in page.all("table"):
        assert table.children[0].tag == "caption"
        assert table.children[0].text.strip()
        assert all(one.attributes["scope"] in ("col", "row") for one in table.all("th"))
        widths = {len(row.children) for row in table.all("tr")}
        assert len(widths) == 1
    ids = [one.attributes["id"] for one in page.all() if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    for one in page.all():
        assert set((one.attributes.get("aria-labelledby") or "").split()) <= set(ids)
        if one.tag == "svg" and one.attributes.get("role") != "img" and "x" not in one.attributes:
            assert one.attributes["aria-hidden"] == "true"


@each
def test_a_page_is_used_with_the_keyboard(report: object) -> None:
    """What can be folded or clicked is a native element; what can be scrolled can be reached, and says what it is."""
    page = parsed(page_of(report))
    for one in page.all():
        if "tabindex" in one.attributes:
            assert one.attributes["tabindex"] == "0"
            assert one.attributes["role"] == "region"
            assert one.attributes["aria-labelledby"]
    wide = {id(child) for one in page.all("div") if one.attributes.get("class") == "wide" for child in one.all("table")}
    folded = {id(child) for one in page.all("details") for child in one.children if child.tag == "table"}
    assert {id(one) for one in page.all("table")} == wide | folded
    assert all(one.children[0].tag == "summary" for one in page.all("details"))


@each
def test_states_are_more_than_colours(report: object) -> None:
    """A tone has a sign of its own, next to words."""
    page = parsed(page_of(report))
    for one in page.all("span"):
        tone = (one.attributes["class"] or "").split()[1]
        assert one.text == SIGNS[Tone(tone)]
    assert len(set(SIGNS.values())) == len(Tone)


def _findings(report: object) -> Iterator[Diagnostic]:
    match report:
        case PlanFacts() | Status() | Drift() | FleetStatus() | RunFailure():
            yield from report.diagnostics
        case Applied():
            yield from report.outcome.problems
        case Forecast():
            yield from (*report.diagnostics, *report.findings)


def _not_checked(report: object) -> tuple[NotChecked, ...]:
    match report:
        case PlanFacts() | Status() | Drift() | Forecast():
            return report.not_checked
    return ()


def _waiting(report: object) -> Iterator[Waiting]:
    match report:
        case PlanFacts() | Drift():
            yield from report.waiting
        case Applied():
            yield from report.outcome.waiting
        case Status():
            yield from (one.waiting for item in report.certificates for one in item.waiting)
            yield from (one.waiting for one in report.orphaned)


@each
def test_every_finding_is_in_the_page_once(report: object) -> None:
    """With its place and its fix; not only in the folded text."""
    main = main_of(parsed(page_of(report)))
    found = [one for one in main.all("li") if one.all("strong") and re.search(r"(error|warning|info)\[", one.text)]
    expected = list(dict.fromkeys(_findings(report)))
    assert len(found) == len(expected)
    shown = words(one.text for one in found)
    for one in expected:
        assert words([f"{one.severity}[{one.code}]: {printable(one.message)}"]) in shown
        for line in (one.hint or "").splitlines():
            assert words([printable(line)]) in shown


@each
def test_everything_that_was_not_checked_is_in_sight(report: object) -> None:
    """In the head: a page must not look complete where it is not. The words are those of Markdown."""
    page = parsed(page_of(report))
    head = words(one.text for one in next(page.all("article")).children[0].all("p"))
    reasons = [one for one in _not_checked(report) if one.reason is not None]
    for one in reasons:
        assert printable(one.detail) in head
    assert ("Not checked: " in head) is bool(_not_checked(report))
    if isinstance(report, Status | Forecast):
        command = "status" if isinstance(report, Status) else "forecast"
        for line in not_checked_in_markdown(report.not_checked, command):
            assert re.sub(r"</?code>|`", "", line) in head


@each
def test_everything_that_waits_has_a_row(report: object) -> None:
    """With the reason and, where it is known, the time."""
    page = parsed(page_of(report))
    tables = (one for one in page.all("table") if "that wait" in one.children[0].text)
    rows = [row for table in tables for row in table.children[-1].all("tr")]
    waits = list(_waiting(report))
    assert len(rows) == len(waits)
    for row, wait in zip(rows, waits, strict=True):
        assert (wait.certificate or "") == row.children[0].text
        assert row.children[2].text
        assert wait.until is None or f"{wait.until:%Y-%m-%d}" in row.children[3].text


@each
def test_a_page_is_the_same_each_time(report: object) -> None:
    """To the byte, so that two of them can be compared."""
    assert page_of(report) == page_of(report)


@cache
def tags_of_another(at: int) -> Counter[str]:
    """The elements of the page of a report whose names are simple."""
    return Counter(one.tag for one in check_page(page_of(renamed(REPORTS[at], "other"))).all())


@pytest.mark.parametrize("name", ALL.values(), ids=ALL)
@pytest.mark.parametrize("report", REPORTS, ids=lambda report: type(report).__name__)
def test_no_name_acts_in_a_page(report: object, name: str) -> None:
    """The page has the elements that it has for any other name, and no name in an attribute."""
    text = page_of(renamed(report, name))
    if name != NAMES["the end of a block"]:  # which ends none in HTML
        check_texts(text)
    page = check_page(text)
    assert Counter(one.tag for one in page.all()) == tags_of_another(REPORTS.index(report))
    assert words([printable(name)]) in words([page.text])


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """By WCAG 2.2, from 1 to 21."""
    light, dark = sorted(map(_luminance, (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_texts_and_shapes_have_contrast(scheme: int) -> None:
    """4.5 : 1 for text and 3 : 1 for what is drawn, as level AA asks for, on both grounds of each scheme."""
    assert round(contrast("#000000", "#ffffff"), 1) == 21
    for ground in ("paper", "card"):
        for name in ("ink", "quiet", "good", "look", "bad"):
            assert contrast(COLOURS[name][scheme], COLOURS[ground][scheme]) >= 4.5, name
        for name, colour in SHAPES.items():
            assert contrast(colour, COLOURS[ground][scheme]) >= 3, name
    for ground in ("#ffffff", "#121212"):  # of a viewer that blocks the style
        assert all(contrast(colour, ground) >= 3 for colour in SHAPES.values())


def test_each_part_of_a_life_has_a_form_of_its_own() -> None:
    """Not only a colour: no two of the legend are drawn alike without it."""
    (legend, *_) = (one for one in parsed(page_of(SCREENS["status"])).all("figcaption") if one.all("svg"))
    forms = [
        [(part.tag, {**part.attributes, "fill": "", "stroke": str("stroke" in part.attributes)}) for part in one.all()]
        for one in legend.all("svg")
        if one.attributes.get("aria-hidden")
    ]
    assert len(forms) == 5
    assert all(one != other for one, other in combinations(forms, 2))


def many(number: int, due: int) -> Status:
    """A status of so many certificates with two bindings each; the first of them are due."""
    certificates, outages, found = [], [], []
    for at in range(number):
        name, worker = CertificateName(f"partner-{at:04}-settlement"), WorkerLabel(f"worker-{at // 2}")
        entry = Entry(EntryId(f"{zlib.crc32(name.encode()):08x}-55a1-4a5c-9a5f-0d5b1d0f6f11"), f"payments.{name}")
        bindings = [
            BindingAddress(worker, f"workers/{worker}/wrangler.toml", environment, BindingName(f"PARTNER_{at}"))
            for environment in (None, "staging")
        ]
        ends = NOW + timedelta(days=5 + at % 350)
        urgency = Urgency.DUE if at < due else Urgency.LATER
        places = tuple(BoundAt(one, Standing.IN_PLACE, entry.id) for one in bindings)
        dates = Due(name, ends, NOW if urgency is Urgency.DUE else ends)
        certificates.append(CertificateStatus(name, urgency, entry, dates, "team-payments", places, ()))
        outages += [Outage(one, name, entry.id, ends) for one in bindings]
        if urgency is Urgency.DUE:
            where = Pointer("mtls.toml", ("certificates", name))
            message = f"{name!r} has been due for renewal since 2026-11-23 and expires on 2026-12-01 12:00 UTC"
            hint = f"get a new certificate, replace certs/{name}.pem, and run `mtlsctl apply`"
            found.append(Diagnostic(Severity.WARNING, Code.RENEWAL_DUE, message, where, hint, name))
    return Status("payments", STORE, NOW, tuple(certificates), (), {}, tuple(found), outages=tuple(outages))


@pytest.mark.parametrize("due", [20, 1000])
def test_a_thousand_certificates_are_a_page(due: int) -> None:
    """Below 1 MB, in seconds: pictures have the most urgent and say how many more there are, tables have all."""
    status, began = many(1000, due), process_time()
    text = page_of(status)
    assert process_time() - began < 10
    assert len(text.encode()) < 1_000_000
    page = parsed(text)
    captions = words(one.text for one in page.all("figcaption"))
    assert "The 40 most urgent; 960 more certificates in the table." in captions
    assert "The bindings of each Worker are drawn as one line." in captions
    assert "1600 more uses in the table." in captions
    (table, more, uses) = (len(list(one.children[-1].all("tr"))) for one in page.all("table"))
    assert (table, more, uses) == (50, 950, 1000)
    assert len([one for one in page.all("li") if one.all("strong") and "renewal-due" in one.text]) == due


def test_long_details_say_how_much_they_leave_out() -> None:
    """The findings and the tables have all of it."""
    (pre,) = [one for one in parsed(page_of(many(1000, 1000))).all("pre") if "more lines" in one.text]
    assert re.search(r"\.\.\. \d+ more lines: see --format text\n$", pre.text)


def test_several_stacks_share_a_page() -> None:
    """Each has a section below its own heading, a link to it, and IDs of its own."""
    display = Display(place)
    page = parsed(show_page([plan_report(PLAN, display), plan_report(replace(PLAN, stack="books"), display)]))
    assert [one.text for one in page.all("h1")] == ["2 stacks"]
    assert [one.text.split(":")[0] for one in page.all("h2")] == ["✕ payments", "✕ books"]
    ids = [one.attributes["id"] for one in page.all() if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    assert [one.attributes["href"] for one in page.all("a")] == ["#s1", "#s2"]
    assert {"s1", "s2"} <= set(ids)
    assert status_report(STATUS, display).command == "status"


def test_a_run_over_several_stacks_is_one_page() -> None:
    """What failed comes first, with its findings; each stack says which file it is of."""
    failure = RunFailure((Diagnostic(Severity.ERROR, Code.FILE_MISSING, "no such file <b>"),))
    results = (
        StackResult("a/mtls.toml", "payments", PLAN, ExitCode.OK),
        StackResult("b/mtls.toml", None, failure, ExitCode.FAILED),
        StackResult("c/mtls.toml", "books", STATUS, ExitCode.OK),
        StackResult("d/mtls.toml", "shop", DRIFT, ExitCode.CHANGES),
        StackResult("e/mtls.toml", "post", FORECAST, ExitCode.OK),
        StackResult("f/mtls.toml", "mail", APPLIED, ExitCode.OK),
    )
    page = parsed(render(Stacks("plan", results, ExitCode.PARTIAL), "html", Display(place)))
    assert [one.text for one in page.all("h1")] == ["6 stacks"]
    assert next(page.all("h2")).text == "✕ b/mtls.toml: failed"
    assert "no such file <b>" in words(one.text for one in page.all("p"))
    facts = words(one.text for one in page.all("dd"))
    assert all(f"{letter}/mtls.toml" in facts for letter in "abcdef")


def test_a_plan_and_its_saved_form_have_the_same_sections() -> None:
    """What is approved is what was reviewed; the saved one has its digest as well."""
    one, other = parsed(page_of(PLAN)), parsed(page_of(SAVED_PLAN))
    assert [head.text for head in one.all("h2")] == [head.text for head in other.all("h2")]
    assert SAVED_PLAN.digest in words(part.text for part in other.all("dd"))


def test_an_outcome_lists_every_step() -> None:
    """What failed comes first."""
    outcome: Outcome = APPLIED.outcome
    tables = parsed(page_of(APPLIED)).all("table")
    (table,) = (one for one in tables if one.children[0].text == "Every change of the plan")
    results = [row.children[2].text for row in table.children[-1].all("tr")]
    assert results == ["✕ failed", "▲ not proved", "▲ not started", "○ kept", "✓ done"]
    assert len(results) == len(outcome.steps)


def test_an_outcome_says_what_to_commit_and_to_deploy() -> None:
    """With the commands, as text does."""
    outcome = Outcome(replace(PLAN, commit="0" * 40), (Step(BIND, StepStatus.DONE),))
    page = parsed(page_of(replace(APPLIED, outcome=outcome)))
    sections = {one.children[0].text: words([one.text]) for one in page.all("section")}
    assert "Commit the new IDs: git add workers/checkout/wrangler.toml" in sections["To commit"]
    assert "wrangler deploy --config workers/checkout/wrangler.toml --env=staging" in sections["To deploy"]


def test_a_page_without_its_extra_is_one_clear_line(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to run, before anything is changed; the other formats need nothing more."""
    monkeypatch.setitem(sys.modules, "jinja2", None)
    for name in [name for name in sys.modules if name.startswith("reconciler.views.html")]:
        monkeypatch.delitem(sys.modules, name)
    for command in (["status"], ["apply", "--yes"]):
        result = project.run(*command, "--format", "html")
        assert (result.code, result.out) == (1, "")
        assert "needs Jinja2, which is not installed" in result.err
        assert "pipx install --force '.[html]'" in result.err
        assert "Traceback" not in result.err
    assert "1 upload" in project.run("plan").out


@pytest.mark.parametrize("command", ["status", "drift", "forecast"])
def test_a_page_is_written_to_a_file(project: Project, command: str) -> None:
    """The same as on stdout."""
    result = project.run(command, "--format", "html", "--out", "page.html")
    assert project.read("page.html") == result.out
    assert result.out.startswith("<!DOCTYPE html>\n")


def test_a_saved_plan_is_shown_as_a_page(project: Project) -> None:
    """`--out` of a plan is the plan; `show` and a redirection make its page, and so does apply."""
    result = project.run("plan", "--out", "../plan.json", "--format", "html")
    assert result.out.startswith("<!DOCTYPE html>")
    shown = project.run("show", "../plan.json", "--format", "html")
    assert "digest" in parsed(shown.out).text.lower()
    applied = project.run("apply", "--yes", "--format", "html")
    (title,) = parsed(applied.out).all("title")
    assert "1 certificate uploaded" in title.text


def test_without_dates_and_bindings_there_is_no_picture() -> None:
    """And nothing else that is empty."""
    page = parsed(page_of(replace(STATUS, certificates=(), by_id=(), uses=(), orphaned=(), diagnostics=(), live=None)))
    assert not list(page.all("svg", "figure"))
    assert all(words([one.text]) for one in page.all("section", "p", "h2", "dd"))


@pytest.mark.parametrize("made", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)])
def test_a_preview_of_the_first_and_of_the_last_day_has_a_timeline(made: datetime) -> None:
    """`plan --at` takes any date, and a recording may have one."""
    page = parsed(page_of(replace(PLAN, made=made)))
    assert any(one.attributes.get("role") == "img" for one in page.all("svg"))


def test_a_timeline_of_days_and_of_a_decade() -> None:
    """Both have dates on their scale, few enough for a phone, and what ends later is cut."""
    for away in (-7000 * DAY, timedelta(hours=20), 3 * DAY, 30 * DAY, 3650 * DAY, 2_900_000 * DAY):
        row = replace(STATUS.certificates[0], due=Due(CertificateName("billing"), NOW + away, NOW))
        page = parsed(page_of(replace(STATUS, certificates=(row,), by_id=())))
        picture = next(one for one in page.all("svg") if one.attributes.get("role") == "img")
        ticks = [one.text for one in picture.children if one.tag == "text"]
        assert 2 <= len(ticks) <= 6
        assert len(set(ticks)) == len(ticks)
        for bar in picture.all("rect"):
            x, width = (float((bar.attributes[key] or "").rstrip("%")) for key in ("x", "width"))
            assert 0 <= x <= x + width <= 100.01
