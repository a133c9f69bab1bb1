"""One way to read the files of a project: each once, with all that is wrong, and none that was narrowed away."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from reconciler.findings.errors import InputError
from reconciler.model import Declaration, Entry, EntryId, Listing, WorkerLabel
from reconciler.model.ports import StoreReader
from reconciler.runs.look import MOST_ASKED, Checkout, look, observe
from reconciler.runs.project import Project, open_project
from tests.support.cli import MTLS, WRANGLER, make_project
from tests.support.worlds import desired, entry, file, uid, worker

REFUNDS = """
[workers.refunds]
config = "refunds.toml"

[workers.refunds.bindings]
BILLING = "billing"
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two Workers: the wrangler file of the second is broken."""
    made = make_project(tmp_path, MTLS + REFUNDS)
    made.write("refunds.toml", "name = ")
    return open_project(None, cwd=tmp_path, environ={})


def only_checkout(whole: Declaration) -> Declaration:
    """Without the broken one."""
    label = WorkerLabel("checkout")
    return replace(whole, workers={label: whole.workers[label]})


def test_a_broken_wrangler_file_hides_no_other(project: Project) -> None:
    """The others are there to be judged."""
    checkout = look(project)
    assert list(checkout.broken) == ["refunds"]
    assert list(checkout.configs) == ["checkout"]


def test_a_run_that_needs_every_wrangler_file_ends_with_all_findings(project: Project) -> None:
    """Also those of the certificates, so that one run shows all there is to correct."""
    (project.folder / "certs/billing.pem").unlink()
    with pytest.raises(InputError) as caught:
        look(project).demand_configs()
    assert [problem.code for problem in caught.value.problems] == ["file-missing", "wrangler-syntax"]


def test_what_is_narrowed_away_is_not_read(project: Project) -> None:
    """A Worker that a run is not about can't keep it from running."""
    checkout = look(project, only_checkout)
    checkout.demand_configs()
    assert set(project.sources) == {"mtls.toml", "wrangler.toml"}


def test_two_labels_of_one_file_report_once_what_is_wrong_with_it(tmp_path: Path) -> None:
    """And share it where it is good."""
    made = make_project(
        tmp_path, MTLS + REFUNDS.replace("refunds.toml", "wrangler.toml").replace(".bindings", ".env.a.bindings")
    )
    checkout = look(open_project(None, cwd=tmp_path, environ={}))
    assert checkout.configs[WorkerLabel("checkout")] is checkout.configs[WorkerLabel("refunds")]
    made.write("wrangler.toml", WRANGLER + "name = ")
    checkout = look(open_project(None, cwd=tmp_path, environ={}))
    assert [problem.code for problem in checkout.noticed] == ["wrangler-syntax"]


# --- IDs that the list lacks ----------------------------------------------------------------------------------------


class Reader:
    """A store with one entry, and which IDs it was asked for one by one."""

    def __init__(self) -> None:
        self.asked: list[EntryId] = []

    def list_entries(self) -> Listing:
        return Listing((entry(1, 1),))

    def get_all(self, ids: Iterable[EntryId]) -> dict[EntryId, Entry | None]:
        self.asked.extend(ids)
        return dict.fromkeys(self.asked)


def test_undeclared_bindings_are_asked_for_while_there_is_room() -> None:
    """wrangler deploys them as well."""
    reader = Reader()
    there = file({None: {"LEDGER": uid(99), "OLD": uid(200), "TODO": "<ID>"}, "other": {"OLDER": uid(201)}})
    files = {WorkerLabel("checkout"): there}
    wanted = desired({"billing": 1}, [worker("checkout", {None: {"LEDGER": f"id:{uid(99)}"}})])
    seen = observe(Checkout(wanted, files, {}, (), (), ()), cast(StoreReader, reader))
    assert (reader.asked, seen.unasked) == ([uid(99), uid(200), uid(201)], frozenset())


def test_ids_of_declared_bindings_are_asked_for_first_and_no_more_than_the_limit() -> None:
    """Each is a call of the user's rate limit, and a pull request can write thousands into a wrangler file. Those that
    mtls.toml names come first."""
    reader = Reader()
    bindings = {f"B{number}": "billing" for number in range(30)} | {"LEDGER": f"id:{uid(99)}", "KNOWN": f"id:{uid(1)}"}
    found = {f"B{number}": uid(100 + number) for number in range(30)}
    more = {f"X{number}": uid(200 + number) for number in range(2000)}
    files = {WorkerLabel("checkout"): file({None: {**more, **found, "TODO": "<ID>"}, "other": more})}
    wanted = desired({"billing": 1}, [worker("checkout", {None: bindings})])
    seen = observe(Checkout(wanted, files, {}, (), (), ()), cast(StoreReader, reader))
    assert reader.asked == [uid(99), *(uid(100 + number) for number in range(MOST_ASKED - 1))]
    assert set(seen.asked) == set(reader.asked)
    assert seen.unasked == {uid(100 + number) for number in range(MOST_ASKED - 1, 30)}


def test_an_id_that_many_bindings_have_is_asked_for_once() -> None:
    """The limit is of IDs, not of bindings."""
    reader = Reader()
    bindings = {f"B{number}": "billing" for number in range(30)}
    files = {WorkerLabel("checkout"): file({None: dict.fromkeys(bindings, uid(9))})}
    wanted = desired({"billing": 1}, [worker("checkout", {None: bindings})])
    seen = observe(Checkout(wanted, files, {}, (), (), ()), cast(StoreReader, reader))
    assert (reader.asked, seen.unasked) == ([uid(9)], frozenset())
