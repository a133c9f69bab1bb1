"""What waits, on a terminal: a row for each binding, then once for what; a date is never shown as a promise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model import Action, BindingAddress, BindingChange, BindingName, Condition, Waiting, WorkerLabel
from reconciler.plan.outcome import Outcome, Step, StepStatus
from reconciler.reports.left import Applied
from reconciler.views.table import Display, render
from reconciler.views.text.lines import until_text
from reconciler.views.text.names import ShownNames
from reconciler.views.text.plan_groups import waiting_block
from tests.support.pki import DAY, NOW
from tests.support.reports import APPLIED
from tests.support.screens_of_plans import NEW, OLD, PARTNER, retire

LATER = NOW + 3 * DAY


def waiting(environment: str | None) -> Waiting:
    """A binding that waits for the new certificate."""
    at = BindingAddress(WorkerLabel("gw"), "gw/wrangler.jsonc", environment, BindingName("PARTNER"))
    change = BindingChange(Action.REBIND, at, (), PARTNER, None, OLD, NEW)
    return Waiting(change, Condition.NOT_VALID_YET, "the new certificate is not valid yet", LATER)


def test_bindings_that_wait_for_the_same_have_a_row_each_and_one_reason() -> None:
    """As the rows of bindings that are written."""
    names = ShownNames(80, (OLD, NEW))
    assert list(waiting_block([waiting(None), waiting("staging")], names, 80)) == [
        "    . gw  top level  PARTNER  28b52d48 -> 9d7d1c39",
        "    . gw  staging    PARTNER  28b52d48 -> 9d7d1c39",
        "      wait until 2026-11-26 12:00 UTC, then for `mtlsctl apply`: the new",
        "      certificate is not valid yet",
    ]


def test_the_end_of_grace_is_not_shown_as_the_date_of_the_deletion() -> None:
    """Other conditions may keep the certificate longer."""
    kept = Waiting(retire(OLD, PARTNER), Condition.GRACE, "its grace period is not over", LATER)
    assert until_text(kept) == "; deleted from 2026-11-26 12:00 UTC on, once nothing uses it"
    assert until_text(replace(kept, once="gw is deployed twice without it")) == (
        "; deleted from 2026-11-26 12:00 UTC on, once gw is deployed twice without it"
    )
    pending = replace(kept, condition=Condition.BINDINGS_PENDING, not_before=LATER + 7 * DAY)
    assert until_text(pending) == (
        ", until 2026-11-26 12:00 UTC; deleted from 2026-12-03 12:00 UTC on, once nothing uses it"
    )
    assert until_text(replace(kept, condition=Condition.SUCCESSOR_NOT_VALID)) == (
        ", until 2026-11-26 12:00 UTC, then for its grace period"
    )
    assert until_text(replace(kept, condition=Condition.PRESENTED_LIVE, until=None)) == ""


def test_a_run_with_deploys_does_not_suggest_itself() -> None:
    """What it could not deploy, it could not deploy again."""
    steps = tuple(step for step in APPLIED.outcome.steps if step.status is not StepStatus.FAILED)
    whole = replace(APPLIED, outcome=replace(APPLIED.outcome, steps=steps))
    assert "Or deploy with" in render(whole, "text", Display())
    assert "Or deploy with" not in render(replace(whole, again=("mtlsctl", "apply", "--deploy")), "text", Display())


def test_a_failed_run_has_one_next_command() -> None:
    """In a pipeline the job has to begin again: its checkout does not have the new IDs."""
    text = render(replace(APPLIED, again=("mtlsctl", "apply", "plan.json")), "text", Display())
    assert "Or deploy with" not in text
    assert text.endswith("\nNext: fix what failed; in a pipeline start a new run, else run: mtlsctl apply plan.json\n")
    again = replace(APPLIED, again=("mtlsctl", "apply", "--only", "billing"))
    assert render(again, "text", Display()).endswith(
        "\nNext: fix what failed, then run: mtlsctl apply --only billing\n"
    )


@pytest.mark.parametrize("commit", [None, "0123456789abcdef"])
def test_what_was_written_into_wrangler_files_has_to_be_committed(commit: str | None) -> None:
    """Each file once, from the working directory; outside git there is nothing to commit."""
    step = Step(waiting(None).change, StepStatus.DONE)
    outcome = Outcome(replace(APPLIED.outcome.plan, commit=commit), (step, step))
    text = render(Applied(outcome), "text", Display(folder="../mono"))
    assert ("\nCommit the new IDs:\n  git add ../mono/gw/wrangler.jsonc\n" in text) is (commit is not None)
