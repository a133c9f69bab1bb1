"""One issue for each thing that drift finds, on GitHub, against a fake of its API on loopback."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from reconciler.forges.github import open_github
from reconciler.model import StoreSettings
from reconciler.plan.coverage import Area, NotChecked
from reconciler.reports.drift import Drift, DriftFinding, State, Subject
from reconciler.runs.ci.issues import IssueText, keep_issues
from tests.support.ci import Bench
from tests.support.cli import WRANGLER, Result
from tests.support.forges import ME, TOKEN
from tests.support.hostile import NAMES
from tests.support.pki import NOW

EVENT = {"repository": {"full_name": "acme/shop"}}
MARKER = re.compile(r"<!-- mtlsctl:drift:payments:(?P<subject>[a-z]+)-[0-9a-f]{24} -->")


def drift(bench: Bench, *arguments: str) -> Result:
    """A scheduled run."""
    return bench.ci("drift", *arguments, event=EVENT, GITHUB_EVENT_NAME="schedule")


@pytest.fixture
def clean(bench: Bench) -> Bench:
    """Everything is as declared."""
    assert bench.project.run("apply", "--yes").code == 0
    return bench


@pytest.fixture
def drifted(clean: Bench) -> Bench:
    """One binding has another ID."""
    break_binding(clean)
    assert drift(clean).code == 0
    assert len(clean.github.issues) == 1
    return clean


def break_binding(bench: Bench, certificate_id: str = "10ca1000-0000-4000-8000-000000000001") -> None:
    bench.project.write("wrangler.toml", WRANGLER.replace("<CERTIFICATE_ID>", certificate_id))


def only(bench: Bench) -> dict[str, Any]:
    assert len(bench.github.issues) == 1
    return bench.github.issues[0]


def test_without_drift_there_is_no_issue(clean: Bench) -> None:
    """And nothing is written."""
    assert drift(clean).code == 0
    assert clean.github.issues == []


def test_a_difference_is_an_issue_with_the_label_and_the_key(drifted: Bench) -> None:
    """And the job does not fail for it, unless that is asked for."""
    issue = only(drifted)
    assert issue["labels"] == [{"name": "mtlsctl-drift"}]
    found = MARKER.match(issue["body"])
    assert found is not None
    assert found["subject"] == "binding"
    assert issue["title"] == "Certificate drift in payments: changed binding billing"
    assert "`mtlsctl apply` fixes it." in issue["body"]
    assert drifted.outputs["drift"] == "1"
    assert drifted.outputs["exit-code"] == "2"
    assert drift(drifted, "--fail-on", "changes").code == 2


def test_the_same_difference_is_written_once(drifted: Bench) -> None:
    """A run that finds nothing new writes nothing."""
    written = len(drifted.github.calls("POST") + drifted.github.calls("PATCH"))
    drift(drifted)
    new = drifted.github.calls("POST") + drifted.github.calls("PATCH")
    assert new[written:] == ["/graphql"]


def test_an_issue_is_updated_when_its_text_changes(drifted: Bench) -> None:
    """It is the same issue: its key is of the binding, not of the message."""
    before = only(drifted)["body"]
    break_binding(drifted, "10ca1000-0000-4000-8000-000000000002")
    drift(drifted)
    after = only(drifted)["body"]
    assert after != before
    assert after.partition("\n")[0] == before.partition("\n")[0]


def test_an_issue_is_closed_with_a_comment_when_its_difference_is_gone(drifted: Bench) -> None:
    """And a later run leaves it alone."""
    assert drifted.project.run("apply", "--yes").code == 0
    drift(drifted)
    assert only(drifted)["state"] == "closed"
    assert ["does not find this any more" in one["body"] for one in drifted.github.comments] == [True]
    drift(drifted)
    assert len(drifted.github.comments) == 1


def test_a_difference_that_comes_back_opens_its_issue_again(drifted: Bench) -> None:
    """It is found among the closed ones, on any page."""
    drifted.project.run("apply", "--yes")
    drift(drifted)
    for number in range(8):
        drifted.github.issue(f"another {number}", "text", state="closed")
    drifted.github.issues.reverse()
    drifted.github.per_page = 3
    break_binding(drifted)
    drift(drifted)
    assert len(drifted.github.issues) == 9
    assert [one["state"] for one in drifted.github.issues if MARKER.match(one["body"])] == ["open"]


@pytest.mark.parametrize(
    ("login", "prefix"), [("mallory", ""), ("github-actions", ""), (ME, "quoted: "), (ME, "\n"), (ME, "> ")]
)
def test_only_own_issues_that_begin_with_the_marker_count(drifted: Bench, login: str, prefix: str) -> None:
    """Those of others are neither updated nor closed, and do not stop one of our own."""
    issue = only(drifted)
    body = prefix + issue["body"]
    issue.update(body=body, user={"login": login}, title="theirs")
    drift(drifted)
    assert len(drifted.github.issues) == 2
    drifted.project.run("apply", "--yes")
    drift(drifted)
    assert (issue["body"], issue["title"], issue["state"]) == (body, "theirs", "open")


def test_a_second_issue_for_one_difference_is_closed(drifted: Bench) -> None:
    """Two runs at the same time may have opened two; the older one is kept."""
    issue = only(drifted)
    other = drifted.github.issue(issue["title"], issue["body"])
    drift(drifted)
    assert [issue["state"], other["state"]] == ["open", "closed"]


def test_stacks_of_one_repository_leave_each_others_issues(drifted: Bench) -> None:
    """The stack is part of the marker."""
    mtls = drifted.project.read("mtls.toml")
    drifted.project.write("mtls.toml", mtls.replace('"payments"', '"ledger"').replace("[workers", "[workers"))
    drift(drifted)
    assert "open" in {one["state"] for one in drifted.github.issues if MARKER.match(one["body"])}


def test_a_failed_run_closes_nothing(drifted: Bench) -> None:
    """It did not look."""
    drifted.project.write("mtls.toml", "broken")
    assert drift(drifted).code == 1
    assert only(drifted)["state"] == "open"


def test_a_run_that_could_not_read_everything_closes_nothing(drifted: Bench) -> None:
    """With an error, what is missing from the findings may still differ."""
    drifted.project.write("wrangler.toml", "broken")
    assert drift(drifted).code == 1
    assert only(drifted)["state"] == "open"


def test_an_issue_of_a_binding_stays_open_while_its_certificate_is_broken(drifted: Bench) -> None:
    """The finding of the certificate stands for its bindings; whether they differ is unknown."""
    drifted.project.write("certs/billing.pem", "broken")
    drift(drifted)
    assert [one["state"] for one in drifted.github.issues] == ["open", "open"]


def test_one_run_opens_a_few_issues_and_reports_the_rest(clean: Bench) -> None:
    """A repository is not flooded."""
    names = [f"B{number}" for number in range(25)]
    mtls = clean.project.read("mtls.toml")
    clean.project.write("mtls.toml", mtls + "".join(f'{name} = "billing"\n' for name in names))
    done = drift(clean)
    assert len(clean.github.issues) == 20
    assert "5 findings of the stack payments have no issue: one run opens at most 20" in done.err
    drift(clean)
    assert len(clean.github.issues) == 25


def test_an_issue_without_its_label_is_closed_at_once(clean: Bench) -> None:
    """It would never be found again, and every run would open another."""
    clean.github.may_label = False
    break_binding(clean)
    done = drift(clean)
    assert done.code == 0
    assert "issues: write" in done.err
    assert [one["state"] for one in clean.github.issues] == ["closed"]


@pytest.mark.parametrize("status", [403, 404, 410, 422, 429, 500])
def test_a_forge_that_refuses_fails_no_drift(clean: Bench, status: int) -> None:
    """Also where issues are switched off (410)."""
    break_binding(clean)
    for _ in range(9):
        clean.github.fail("/issues", status, retry_after="0")
    done = drift(clean)
    assert done.code == 0
    assert "[forge]" in done.err


def test_a_pull_request_writes_no_issue(clean: Bench) -> None:
    """It shows what is proposed, not what is."""
    break_binding(clean)
    clean.ci("drift")
    assert clean.github.issues == []


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_hostile_name_is_plain_text_in_an_issue(clean: Bench, name: str) -> None:
    """In the title it is left out, in the text it is in a block of code."""
    hostile = f"@everyone <!-- --> ``` {name}"[:60].replace("\\", "\\\\").replace('"', '\\"')
    text = "".join(sign if sign.isprintable() else f"\\U{ord(sign):08x}" for sign in hostile)
    clean.project.write("wrangler.toml", WRANGLER.replace("<CERTIFICATE_ID>", text))
    drift(clean)
    issue = only(clean)
    assert issue["title"] == "Certificate drift in payments: changed binding billing"
    assert MARKER.match(issue["body"]) is not None
    fence = re.search(r"(?m)^(`{3,})text$", issue["body"])
    assert fence is not None
    outside = re.sub(rf"(?ms)^{fence[1]}text$.*?^{fence[1]}$", "", issue["body"])
    assert "@everyone" not in outside
    assert "everyone" in issue["body"]


def test_an_issue_says_where(clean: Bench) -> None:
    """With the line, so that it can be found."""
    break_binding(clean)
    drift(clean)
    assert re.search(r"at   mtls.toml:\d+", only(clean)["body"]) is not None


@pytest.mark.parametrize("unread", [NotChecked(Area.LIVE_WORKERS), NotChecked(Area.OTHER_USERS, partly=True)])
def test_an_issue_of_a_live_worker_stays_open_where_live_workers_are_not_read(bench: Bench, unread: NotChecked) -> None:
    """A run without `--live` would not find it; one that reads them closes it."""
    assert closed_by(bench, LIVE, (unread,)) == "open"
    assert closed_by(bench, LIVE, ()) == "closed"


@pytest.mark.parametrize("area", [Area.LIVE_WORKERS, Area.UNUSED])
def test_nothing_is_closed_where_something_could_not_be_read(bench: Bench, area: Area) -> None:
    """As where a token lacks a permission."""
    assert closed_by(bench, BINDING, (NotChecked(area, "403"),)) == "open"
    assert closed_by(bench, BINDING, (NotChecked(area),)) == "closed"


LIVE, BINDING = "live:wrangler.toml:top-level:BILLING", "binding:wrangler.toml:top-level:BILLING"


def closed_by(bench: Bench, key: str, unread: tuple[NotChecked, ...]) -> object:
    """The state of the issue of a key, after a run that found nothing and left this unread."""
    one = DriftFinding(State.CHANGED, Subject(key.partition(":")[0]), key, "differs", "fix it")
    empty = Drift("payments", StoreSettings(), NOW, 1, ())
    with closing(open_github(bench.github.url, "acme/shop", TOKEN, lambda _: None)) as forge:
        for drift in (replace(empty, findings=(one,)), replace(empty, not_checked=unread)):
            keep_issues(forge, "payments", drift, lambda finding: IssueText("title", finding.message), "gone")
    return only(bench)["state"]
