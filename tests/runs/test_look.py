"""One way to read the files of a project: each once, with all that is wrong, and none that was narrowed away."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.findings.errors import InputError
from reconciler.model import Declaration, WorkerLabel
from reconciler.runs.look import look
from reconciler.runs.project import Project, open_project
from tests.support.cli import MTLS, WRANGLER, make_project

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
