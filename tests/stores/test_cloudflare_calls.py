"""The exact number of calls that whole runs make to an account, and the number that the plan shows beforehand."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.emulator.server import running
from reconciler.emulator.state import EmulatorState
from reconciler.findings.codes import Severity
from reconciler.model import EntryId
from reconciler.model.calls import Calls, count_pages, expect_calls
from reconciler.plan.outcome import StepStatus
from reconciler.runs.apply import apply
from reconciler.runs.plan import PlanRequest, plan
from reconciler.runs.project import open_project
from reconciler.stores.cloudflare.listing import compare
from reconciler.system.clock import SystemClock
from tests.runs.test_retire import Nobody
from tests.support.cli import Project, Result
from tests.support.cloudflare_server import answer, make_server, make_store
from tests.support.emulated import account_environ, make_state
from tests.support.memory import MemoryClock
from tests.support.store_contract import LEAVES, leaf

COUNT = 60
PAGES = 2
"""The pages of a list of that many certificates."""
CERTIFICATES = "/mtls_certificates"


@dataclass
class Account:
    """A project on an emulated account that counts its calls."""

    project: Project
    state: EmulatorState

    def run(self, *arguments: str) -> Result:
        """The result of a run; the count starts again with it."""
        self.state.calls.clear()
        return self.project.run(*arguments)

    @property
    def calls(self) -> Counter[str]:
        """The calls of the last run, counted by `list`, `associations`, `live`, else by method."""
        return Counter(map(self._kind, self.state.calls))

    @staticmethod
    def _kind(call: object) -> str:
        path, method = getattr(call, "path", ""), getattr(call, "method", "")
        if CERTIFICATES not in path:
            return "live"
        if path.endswith(CERTIFICATES) and method == "GET":
            return "list"
        return "associations" if path.endswith("/associations") else str(method)

    def declare(self, count: int, *, first: int = 1, policy: str = "") -> None:
        """Declare `count` certificates; the content of number n is leaf `first` + n."""
        lines = [f'version = 1\nstack = "payments"\n[store]\nkind = "cloudflare"\n[policy]\n{policy}']
        for number in range(count):
            name = f"c{number:03}"
            self.project.certificate(name, first + number)
            lines.append(f'[certificates.{name}]\ncertificate = "certs/{name}.pem"')
            lines.append(f'private_key = {{ env = "{name.upper()}_KEY" }}')
        self.project.write("mtls.toml", "\n".join(lines) + "\n")


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    state = make_state()
    state.clock = SystemClock()
    with running(state) as url:
        environ = account_environ(url)
        yield Account(Project(tmp_path, environ), state)


def said(result: Result) -> tuple[int, int]:
    """The calls that a plan reports: made, and needed by apply."""
    calls = result.json["calls"]
    return calls["made"], calls["apply"]


# --- whole runs -------------------------------------------------------------------------------------------------------


def test_a_first_apply_makes_one_call_each_and_looks_once_at_the_end(account: Account) -> None:
    """One page of an empty list, one call per upload, the pages at the end; the plan shows exactly this number."""
    account.declare(COUNT)
    assert said(account.run("plan", "--format", "json")) == (1, 1 + COUNT + PAGES)
    assert account.run("apply", "--yes").code == 0
    assert account.calls == {"list": 1 + PAGES, "POST": COUNT}


def test_a_plan_lists_pages_and_nothing_else(account: Account) -> None:
    """An apply without changes makes the same calls."""
    account.declare(COUNT)
    account.run("apply", "--yes")
    for command in ("plan", "apply", "status"):
        assert account.run(command).code == 0
        assert account.calls == {"list": PAGES}
    assert "\nThis plan made 2 calls to Cloudflare.\n" in account.run("plan").out


def test_a_retire_lists_once_and_reads_and_deletes_each(account: Account) -> None:
    """The plan is made again before the first delete, from a list younger than the lag of lists; deleted certificates
    are not looked up afterwards. The only other calls ask what uses each certificate."""
    account.declare(COUNT)
    account.run("apply", "--yes")
    account.declare(0, policy='prune = true\ngrace = "0s"\nmax_deletes = 100\n')
    made, expected = said(account.run("plan", "--prune", "--allow-empty", "--format", "json"))
    assert account.run("apply", "--yes", "--prune", "--allow-empty").code == 0
    calls = account.calls
    assert (calls["list"], calls["GET"], calls["DELETE"]) == (PAGES, COUNT, COUNT)
    assert made < sum(calls.values()) <= expected
    assert account.state.account().entries() == ()


def test_uploads_and_retires_in_one_run_list_once_more_and_not_twice(account: Account) -> None:
    """The list before the retires also confirms the uploads: it was read after the last one."""
    account.declare(COUNT)
    account.run("apply", "--yes")
    account.declare(2, first=COUNT + 1, policy='prune = true\ngrace = "0s"\nmax_deletes = 100\n')
    assert account.run("apply", "--yes", "--prune").code == 0
    assert account.calls["list"] == 2 * PAGES
    assert account.calls["POST"] == 2
    assert account.calls["DELETE"] == COUNT - 2


@pytest.mark.parametrize(("thought_s", "lists"), [(59, 1), (61, 2)])
def test_a_list_serves_the_last_look_for_as_long_as_lists_lag(account: Account, thought_s: int, lists: int) -> None:
    """After a longer pause for the confirmation the list is read again."""
    account.declare(2)
    account.run("apply", "--yes")
    account.declare(0, policy='prune = true\ngrace = "0s"\n')
    clock = MemoryClock(SystemClock().now())
    real = open_project(None, cwd=account.project.folder, environ=account.project.environ)
    project = replace(real, clock=clock)
    account.state.calls.clear()
    planned = plan(project, PlanRequest(prune=True, allow_empty=True))
    clock.time += timedelta(seconds=thought_s)
    outcome = apply(project, planned, Nobody())
    assert len(outcome.of(StepStatus.DONE)) == 2
    assert account.calls["list"] == lists


def test_the_embedded_store_says_nothing_of_calls(tmp_path: Path) -> None:
    """There is no server to call."""
    project = Project(tmp_path)
    project.write("mtls.toml", 'version = 1\nstack = "payments"\n')
    assert "calls" not in project.run("plan").out
    assert "calls" not in project.run("plan", "--format", "json").json


def test_a_saved_plan_keeps_what_it_said_of_calls(account: Account) -> None:
    """`show` shows it, and it is not part of the digest."""
    account.declare(1)
    account.run("plan", "--out", "plan.json")
    assert "This plan made 1 call to Cloudflare; `mtlsctl apply` makes about 3." in account.run("show", "plan.json").out
    assert said(account.run("show", "plan.json", "--format", "json")) == (1, 3)
    assert account.run("apply", "plan.json").code == 0


def test_the_journal_has_each_upload_as_it_began_and_ended(account: Account) -> None:
    """Even with ten uploads at once."""
    account.declare(COUNT)
    account.run("apply", "--yes")
    (run,) = account.run("history", "--format", "json").json["runs"]
    assert len(run["steps"]) == COUNT
    events = [json.loads(line)["event"] for line in account.project.read(".mtlsctl/journal.jsonl").splitlines()]
    counts = Counter(events)
    assert sorted(counts.values()) == [1, 1, COUNT, COUNT]


@pytest.mark.parametrize(("entries", "pages"), [(0, 1), (1, 1), (50, 1), (51, 2), (1000, 20)], ids=str)
def test_the_pages_of_a_list(entries: int, pages: int) -> None:
    """Fifty entries per page; an empty list has one page, too."""
    assert count_pages(entries) == pages
    assert expect_calls((), made=pages, again=0, entries=entries) == Calls(pages, pages)


# --- the check of uploads at the end ----------------------------------------------------------------------------------


def test_a_list_that_lags_is_expected_and_told_once(account: Account) -> None:
    """An info, not a warning; three are read by id, and the next plan has no changes."""
    account.declare(COUNT)
    account.state.settings.change({"list_lag_s": 3600})
    result = account.run("apply", "--yes", "--format", "json")
    assert result.code == 0
    assert account.calls == {"list": 2, "POST": COUNT, "GET": 3}
    (found,) = [item for item in result.json["diagnostics"] if item["code"] == "list-lags"]
    assert (found["severity"], found["message"].split()[0]) == ("info", str(COUNT))


def test_an_upload_that_somebody_deleted_is_a_warning() -> None:
    """It is neither listed nor found by its id."""
    server = make_server()
    store = make_store(server)
    entry = store.upload(leaf(LEAVES[0]))
    server.store.delete(entry.id)
    (found,) = store.look_back()
    assert (found.code, found.severity) == ("upload-gone", Severity.WARNING)
    assert entry.id in found.message


@pytest.mark.parametrize("change", [{"name": "other"}, {"ca": True}, {"type": "gateway_managed"}, {"certificates": ""}])
def test_an_upload_that_is_listed_otherwise_is_a_warning(change: dict[str, object]) -> None:
    """A warning unless name, kind and content are as in the reply."""
    server = make_server()
    entry = make_store(server).upload(leaf(LEAVES[0]))
    listing = replace(server.store.list_entries(), entries=(replace(entry, **change),))  # type: ignore[arg-type]
    (found,) = compare([entry], listing, lambda _: None)
    assert (found.code, found.severity) == ("upload-listed-otherwise", Severity.WARNING)


def test_a_content_that_two_entries_have_is_a_warning() -> None:
    """Cloudflare refuses this, but perhaps not for two uploads at the same moment."""
    server = make_server()
    entry = make_store(server).upload(leaf(LEAVES[0]))
    other = replace(entry, id=EntryId("another-id"), name="of another run")
    listing = replace(server.store.list_entries(), entries=(entry, other))
    (found,) = compare([entry], listing, lambda _: None)
    assert found.code == "content-twice"
    assert other.id in found.message


def test_a_list_that_can_not_be_read_at_the_end_fails_nothing() -> None:
    """Completed steps are kept; a warning says what was not checked."""
    server = make_server()
    store = make_store(server)
    store.upload(leaf(LEAVES[0]))
    server.fail("GET", *[answer(502)] * 5)
    (found,) = store.look_back()
    assert (found.code, found.severity) == ("uploads-unseen", Severity.WARNING)


def test_what_changed_nothing_looks_at_nothing() -> None:
    """Nor after deletes, whose replies confirm the deletion."""
    server = make_server()
    store = make_store(server)
    assert store.look_back() == ()
    entry = server.store.upload(leaf(LEAVES[0]))
    store.delete(entry.id)
    before = len(server.calls)
    assert store.look_back() == ()
    assert len(server.calls) == before
