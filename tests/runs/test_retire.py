"""`mtlsctl retire`: a leaked key's old entry goes now; nothing but the grace is skipped."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reconciler.model import Condition
from reconciler.plan.outcome import StepStatus
from reconciler.runs.apply import apply
from reconciler.runs.plan import PlanRequest, plan
from reconciler.runs.project import open_project
from reconciler.x509.certificates import serial_text
from tests.support.cli import MTLS, WRANGLER, Project, make_project
from tests.support.worlds import issued


class Nobody:
    """Watches nothing."""

    def started(self, change: object) -> None:
        pass

    def finished(self, step: object) -> None:
        pass


APPLY = "run `mtlsctl apply --only billing`"
ID = re.compile(r"10ca1000-[0-9a-f-]{27}")


@pytest.fixture
def rotated(tmp_path: Path) -> Project:
    """A rotated certificate, its old entry waiting for its grace."""
    project = make_project(tmp_path)
    project.run("apply", "--yes")
    project.certificate("billing", 2)
    assert project.run("apply", "--yes").code == 0
    return project


def waiting(project: Project) -> list[dict[str, str]]:
    """What waits."""
    found: list[dict[str, str]] = project.run("plan", "--format", "json").json["waiting"]
    return found


def test_now_skips_the_grace(rotated: Project) -> None:
    """The old entry is gone, the current one and its binding stay."""
    bound = rotated.read("wrangler.toml")
    result = rotated.run("retire", "billing", "--now", "--yes")
    assert result.code == 0
    assert waiting(rotated) == []
    assert rotated.read("wrangler.toml") == bound
    assert rotated.run("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize(
    "text",
    [
        '{"certificate_id": "%s"}',
        '{"certificate_id": "%s", "vars": {"format": "mtlsctl.plan/1"}}',
        '{"format": "mtlsctl.plan/1", "mtls_certificates": [{"binding": "X", "certificate_id": "%s"}]}',
    ],
)
def test_a_marker_of_a_document_hides_no_file_from_the_search(rotated: Project, text: str) -> None:
    """`wrangler deploy -c prod.json` may use it."""
    (old,) = waiting(rotated)
    rotated.write("prod.json", text % old["entry"])
    result = rotated.run("retire", "billing", "--now", "--yes")
    assert (result.code, "prod.json" in result.out + result.err) == (3, True)
    assert len(waiting(rotated)) == 1


def test_a_saved_plan_in_the_tree_keeps_nothing(rotated: Project) -> None:
    """It names what it retires."""
    (old,) = waiting(rotated)
    assert rotated.run("plan", "--out", "plan.json").code == 0
    assert old["entry"] in rotated.read("plan.json")
    assert rotated.run("retire", "billing", "--now", "--yes").code == 0
    assert waiting(rotated) == []


def test_an_entry_is_named_by_its_id_too(rotated: Project) -> None:
    """One of several old entries."""
    (old,) = waiting(rotated)
    assert rotated.run("retire", old["entry"], "--now", "--yes").code == 0
    assert waiting(rotated) == []


def test_a_short_id_is_enough_if_it_is_of_one_certificate_only(rotated: Project) -> None:
    """As a terminal shows it; one that several have is refused, and nothing is deleted."""
    (old,) = waiting(rotated)
    assert rotated.run("retire", old["entry"][:8], "--now", "--yes").code == 64
    assert len(waiting(rotated)) == 1
    assert rotated.run("retire", old["entry"][:14], "--now", "--yes").code == 0
    assert waiting(rotated) == []


def test_the_name_of_a_removed_certificate_selects_it(rotated: Project) -> None:
    """Of a plan, as of `retire`; a name that is neither declared nor uploaded is refused."""
    rotated.write("mtls.toml", 'version = 1\nstack = "payments"\n[policy]\nprune = true\n')
    found = rotated.run("plan", "--only", "billing", "--format", "json")
    assert (found.code, {one["certificate"] for one in found.json["waiting"]}) == (0, {"billing"})
    assert rotated.run("plan", "--only", "biling").code == 64
    assert rotated.run("plan", "--only", "billing", "--offline").code == 64
    assert "billing is a certificate that was removed from mtls.toml" in rotated.run("explain", "billing").out


def test_without_now_the_grace_holds_and_the_hint_names_now(rotated: Project) -> None:
    """Blocked: exit 3."""
    result = rotated.run("retire", "billing", "--yes")
    assert result.code == 3
    assert "its grace period is not over" in result.err
    assert "run `mtlsctl explain billing` to see every condition; only if its key leaked," in result.err
    assert "`mtlsctl retire billing --now`" in result.err
    assert len(waiting(rotated)) == 1


def test_now_skips_nothing_else_a_binding_that_is_still_there_keeps_it(rotated: Project) -> None:
    """The old id stands in a file again: kept, whoever asks."""
    (old,) = waiting(rotated)
    current = ID.findall(rotated.read("wrangler.toml"))[0]
    rotated.write("wrangler.toml", rotated.read("wrangler.toml").replace(current, old["entry"]))
    result = rotated.run("retire", "billing", "--now", "--yes")
    assert result.code == 3
    assert "BILLING in wrangler.toml (top level) must get the ID of its successor first" in result.err
    assert len(waiting(rotated)) == 1


def test_now_skips_nothing_else_another_file_that_names_it_keeps_it(rotated: Project) -> None:
    """A wrangler file that nothing declares."""
    (old,) = waiting(rotated)
    rotated.write("apps/other/wrangler.jsonc", f'{{ "x": "{old["entry"]}" }}')
    result = rotated.run("retire", "billing", "--now", "--yes")
    assert result.code == 3
    assert "apps/other/wrangler.jsonc" in result.err


def test_the_current_entry_is_never_retired(rotated: Project) -> None:
    """By its id it is refused, and stays."""
    current = ID.findall(rotated.read("wrangler.toml"))[0]
    rotated.run("retire", "billing", "--now", "--yes")
    result = rotated.run("retire", current, "--now", "--yes")
    assert (result.code, "is not an old version, so it is not deleted" in result.err) == (3, True)
    assert rotated.run("output", "billing").out.strip() == current


def test_to_retire_again_is_nothing_to_do(rotated: Project) -> None:
    """Not blocked: what was asked for is so. With and without a terminal format, and without --yes."""
    rotated.run("retire", "billing", "--now", "--yes")
    current = rotated.run("output", "billing").out.strip()
    again = rotated.run("retire", "billing", "--now")
    assert (again.code, again.out.splitlines()) == (
        0,
        [
            f"Nothing to do: billing has no old version. Uploaded: {current} (current, 1 binding).",
            f"If its key leaked: replace certs/billing.pem and its private key, {APPLY}, then run this again.",
        ],
    )
    document = rotated.run("retire", "billing", "--format", "json")
    assert (document.code, document.json["exit_code"], document.json["done"]) == (0, 0, [])


def test_before_the_successor_is_uploaded_now_names_the_upload_and_no_grace(rotated: Project) -> None:
    """`--now` means no grace period, so none is named."""
    current = rotated.run("output", "billing").out.strip()
    rotated.certificate("billing", 3)
    result = rotated.run("retire", current, "--now", "--yes")
    assert (result.code, " 7d" in result.err) == (3, False)
    assert f"{current} of 'billing' can't be retired yet: its successor is not uploaded yet" in result.err
    assert "fix  run `mtlsctl apply --only billing`, then run this again" in result.err
    assert "kept until its successor is uploaded and valid" in rotated.run("retire", current, "--yes").err


def test_drift_uploads_a_replaced_certificate_before_it_restores_one(rotated: Project) -> None:
    """A line to copy that restores the file would bring a leaked key back."""
    rotated.certificate("billing", 3)
    text = " ".join(rotated.run("drift").out.split())
    first = "if it was renewed, or the key of the uploaded one leaked, run `mtlsctl apply` to upload it;"
    assert f"{first} if it was changed by mistake, restore it (`git checkout -- certs/billing.pem`" in text
    assert "| git checkout" not in text


def test_a_newer_upload_is_kept_until_a_third_certificate_makes_it_old(rotated: Project) -> None:
    """The renewed certificate leaked after a revert: the error names the way, which deletes both others."""
    newer = rotated.run("output", "billing").out.strip()
    rotated.certificate("billing", 1)
    assert rotated.run("apply", "--yes").code == 0
    reverted = rotated.run("output", "billing").out.strip()
    result = rotated.run("retire", newer, "--now", "--yes")
    assert (result.code, "it was uploaded after the current upload of billing" in result.err) == (3, True)
    assert "fix  if its key leaked, replace certs/billing.pem and its private key" in result.err
    nothing = rotated.run("retire", "billing", "--now")
    assert (nothing.code, f"and {newer} (newer than the declared one, so it is kept)" in nothing.out) == (0, True)
    rotated.certificate("billing", 3)
    assert rotated.run("apply", "--only", "billing", "--yes").code == 0
    deleted = rotated.run("retire", "billing", "--now", "--yes", "--format", "json").json["done"]
    assert {one["entry"] for one in deleted} == {newer, reverted}


def test_of_a_certificate_whose_file_cannot_be_read_it_is_unknown_what_is_old(rotated: Project) -> None:
    """So "nothing to do" would be a guess."""
    rotated.write("certs/billing.pem", "no certificate")
    result = rotated.run("retire", "billing", "--now", "--yes")
    assert (result.code, "could not be read, so it is unknown which uploads are old" in result.err) == (3, True)


def test_an_orphan_needs_prune_still(rotated: Project) -> None:
    """`--now` is about the grace alone."""
    rotated.write("mtls.toml", 'version = 1\nstack = "payments"\n')
    result = rotated.run("retire", "billing", "--now", "--yes")
    assert result.code == 3
    assert "prune" in result.err


def test_what_changed_while_the_plan_was_looked_at_keeps_an_entry(
    rotated: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old certificate is declared again between the plan and the delete: it stays."""
    monkeypatch.chdir(rotated.folder)
    project = open_project(None, cwd=rotated.folder, environ={})
    planned = plan(project, PlanRequest(retire="billing", skip_grace=True))
    assert len(planned.plan.changes) == 1
    rotated.certificate("billing", 1)
    outcome = apply(project, planned, Nobody())
    assert [wait.condition for wait in outcome.waiting] == [Condition.CHANGED_MEANWHILE]
    assert len(outcome.of(StepStatus.DONE)) == 0


def test_an_entry_that_somebody_else_retired_meanwhile_is_done(rotated: Project) -> None:
    """Gone is what was wanted; it does not wait for anything."""
    project = open_project(None, cwd=rotated.folder, environ={})
    planned = plan(project, PlanRequest(retire="billing", skip_grace=True))
    rotated.run("retire", "billing", "--now", "--yes")
    outcome = apply(project, planned, Nobody())
    assert [(step.status, step.note) for step in outcome.steps] == [(StepStatus.DONE, "it was already deleted")]


def test_an_unknown_name_is_wrong_use(rotated: Project) -> None:
    """64."""
    assert rotated.run("retire", "biling", "--now", "--yes").code == 64


def test_without_a_terminal_it_wants_yes(rotated: Project) -> None:
    """Like apply."""
    assert rotated.run("retire", "billing", "--now").code == 64
    assert len(waiting(rotated)) == 1


def test_max_deletes_holds(rotated: Project) -> None:
    """And `--allow-deletes` is there."""
    rotated.write("mtls.toml", MTLS + "[policy]\nmax_deletes = 0\n")
    assert rotated.run("retire", "billing", "--now", "--yes").code == 3
    assert rotated.run("retire", "billing", "--now", "--yes", "--allow-deletes", "1").code == 0


def test_the_journal_names_the_command(rotated: Project) -> None:
    """History tells a retire from an apply."""
    rotated.run("retire", "billing", "--now", "--yes")
    runs = rotated.run("history", "--format", "json").json["runs"]
    assert [run["command"] for run in runs] == ["retire", "apply", "apply"]


def test_history_and_explain_know_what_was_deleted(rotated: Project) -> None:
    """By its serial, which the owner of the service has, too. To explain a deleted ID is still wrong use."""
    (old,) = waiting(rotated)
    rotated.run("retire", "billing", "--now", "--yes")
    serial = serial_text(issued(1).certificate)
    assert f"ok: retire {old['entry']} of billing (serial {serial})" in rotated.run("history").out
    result = rotated.run("explain", old["entry"])
    assert (result.code, f"{old['entry']} of 'billing' (serial {serial}) was deleted on " in result.err) == (64, True)
    assert "no other version that this stack manages is uploaded" in rotated.run("explain", "billing").out


def test_a_retire_that_leaves_an_old_version_says_so_with_its_exit_code(rotated: Project) -> None:
    """Of two old versions one is deleted, and the other is in another file: 3, because both were asked for."""
    second = rotated.run("output", "billing").out.strip()
    rotated.certificate("billing", 3)
    assert rotated.run("apply", "--yes").code == 0
    rotated.write("other/wrangler.toml", WRANGLER.replace("<CERTIFICATE_ID>", second))
    result = rotated.run("retire", "billing", "--now", "--yes", "--format", "json")
    assert (result.code, result.json["exit_code"], len(result.json["done"])) == (3, 3, 1)
