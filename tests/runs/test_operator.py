"""What the operator orders and forbids, outside the repository: options of a run, and variables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.cli import MTLS, WRANGLER, Project, Result, make_project

LEFT = """\
version = 1
stack = "payments"
policy = { prune = true, grace = "0s" }
[certificates.left]
certificate = "certs/left.pem"
private_key = { env = "LEFT_KEY" }
"""


@pytest.fixture
def removed(tmp_path: Path) -> Project:
    """A certificate that was uploaded, and is no longer in mtls.toml or in a wrangler file; another one is left."""
    project = make_project(tmp_path, MTLS + LEFT[LEFT.index("[") :])
    project.certificate("left", 9)
    assert project.run("apply", "--yes").code == 0
    project.write("mtls.toml", LEFT)
    project.write("wrangler.toml", WRANGLER.partition("mtls_certificates")[0].partition("[[")[0])
    return project


def with_variables(project: Project, variables: dict[str, str]) -> Project:
    """The same project on a machine with these variables."""
    return replace(project, environ={**project.environ, **variables})


def uploads(project: Project) -> int:
    """How many certificates are uploaded."""
    count: int = project.run("plan", "--format", "json").json["quota"]["leaf"]["now"]
    return count


def retired(result: Result) -> int:
    """How many uploads a plan deletes, or a run deleted."""
    assert result.code == 0, result.err
    done = result.json.get("changes") or [step["change"] for step in result.json.get("done", ())]
    return sum(change["action"] == "retire" for change in done)


# --- prune ------------------------------------------------------------------------------------------------------------


def test_no_commit_alone_deletes_what_it_removes(removed: Project) -> None:
    """`prune = true` and `grace = "0s"` came with it."""
    result = removed.run("apply", "--yes")
    assert result.code == 0
    assert "to delete it, run `mtlsctl apply --prune`" in " ".join(result.out.split())
    assert retired(removed.run("plan", "--format", "json")) == 0


def test_the_option_orders_it_for_one_run(removed: Project) -> None:
    """And nothing is left to do."""
    assert retired(removed.run("apply", "--yes", "--prune", "--format", "json")) == 1
    assert removed.run("plan", "--prune", "--detailed-exitcode").code == 0


@pytest.mark.parametrize(("value", "count"), [("1", 1), ("0", 0), ("", 0)])
def test_the_variable_orders_it_for_every_run(removed: Project, value: str, count: int) -> None:
    """With 1, as `MTLSCTL_DEPLOY`."""
    assert retired(with_variables(removed, {"MTLSCTL_PRUNE": value}).run("plan", "--format", "json")) == count
    assert retired(with_variables(removed, {"MTLSCTL_PRUNE": value}).run("apply", "--yes", "--format", "json")) == count


def test_what_has_to_be_ordered_again_later_is_in_the_next_command(removed: Project) -> None:
    """Without the option, the run after the grace period would delete nothing."""
    removed.write("mtls.toml", LEFT.replace("0s", "1d"))
    for command in (("plan", "--prune"), ("apply", "--prune", "--yes")):
        assert removed.run(*command).out.endswith(" UTC on, run: mtlsctl apply --prune\n")
    assert "on, run:" not in removed.run("plan").out


def test_the_order_needs_the_permission_of_the_file(removed: Project) -> None:
    """Both are needed."""
    removed.write("mtls.toml", LEFT.replace("prune = true", "prune = false"))
    assert (
        retired(with_variables(removed, {"MTLSCTL_PRUNE": "1"}).run("apply", "--yes", "--prune", "--format", "json"))
        == 0
    )


def test_a_saved_plan_that_has_the_deletion_is_the_order(removed: Project) -> None:
    """It was approved; no second `--prune` is needed, and none is taken."""
    assert removed.run("plan", "--prune", "--out", "plan.json").code == 0
    result = removed.run("apply", "plan.json", "--prune")
    assert (result.code, "`--prune` can't be combined with a saved plan" in result.err) == (64, True)
    assert retired(removed.run("apply", "plan.json", "--format", "json")) == 1


def test_a_saved_plan_without_the_deletion_is_no_order_whatever_the_machine_allows(removed: Project) -> None:
    """Only what was approved is done."""
    assert removed.run("plan", "--out", "plan.json").code == 0
    assert retired(with_variables(removed, {"MTLSCTL_PRUNE": "1"}).run("apply", "plan.json", "--format", "json")) == 0


def test_the_next_command_has_the_options_of_the_plan(removed: Project) -> None:
    """To be pasted."""
    result = removed.run("plan", "--prune", "--allow-unbinds", "3")
    assert "Next: mtlsctl apply --allow-unbinds 3 --prune" in result.out


def test_retire_by_name_is_an_order(removed: Project) -> None:
    """Of one certificate, by the person who runs it."""
    assert removed.run("retire", "billing", "--yes").code == 0
    assert uploads(removed) == 1


def test_retire_by_name_needs_no_other_certificate(removed: Project) -> None:
    """Whoever names one does not mean all, whatever mtls.toml came back as."""
    removed.write("mtls.toml", LEFT.partition("[certificates")[0])
    assert removed.run("apply", "--prune", "--yes").code == 3
    assert removed.run("retire", "billing", "--yes").code == 0
    assert uploads(removed) == 1


# --- take-over --------------------------------------------------------------------------------------------------------


@pytest.fixture
def renamed(tmp_path: Path) -> Project:
    """A stack with another name, and a renewed certificate; the old upload has the mark of the former name."""
    project = make_project(tmp_path, MTLS.replace("payments", "theirs"))
    assert project.run("apply", "--yes").code == 0
    mine = MTLS.replace('"payments"', '"payments"\nformer_stacks = ["theirs"]\npolicy = { grace = "0s" }')
    project.write("mtls.toml", mine)
    project.certificate("billing", 2)
    assert project.run("apply", "--yes").code == 0
    return project


def test_uploads_of_a_former_stack_are_kept_until_its_name_is_given(renamed: Project) -> None:
    """The plan says what to type, and that works."""
    result = renamed.run("plan")
    assert "`mtlsctl apply --take-over theirs`" in " ".join(result.out.split())
    assert retired(renamed.run("apply", "--yes", "--take-over", "theirs", "--format", "json")) == 1


def test_retire_needs_the_name_of_the_former_stack_too(renamed: Project) -> None:
    """A leaked key of ours is no reason to delete the upload of somebody else."""
    result = renamed.run("retire", "billing", "--now", "--yes")
    assert (result.code, "`mtlsctl apply --take-over theirs`" in result.err) == (3, True)
    assert renamed.run("retire", "billing", "--now", "--yes", "--take-over", "theirs").code == 0


def test_a_saved_plan_that_has_the_deletion_takes_over(renamed: Project) -> None:
    """As with `--prune`."""
    assert renamed.run("plan", "--take-over", "theirs", "--out", "plan.json").code == 0
    assert retired(renamed.run("apply", "plan.json", "--format", "json")) == 1


def test_only_a_former_stack_can_be_taken_over(renamed: Project) -> None:
    """Anything else is a mistake in the command line."""
    result = renamed.run("plan", "--take-over", "thiers")
    assert result.code == 64
    assert "`--take-over thiers`: `former_stacks` in mtls.toml does not list that stack" in result.err
    assert "theirs" in result.err


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def old(tmp_path: Path) -> Project:
    """Three old uploads of one certificate, which mtls.toml would let go at once."""
    loose = MTLS.replace('"payments"', '"payments"\npolicy = { grace = "0s", max_deletes = 99 }', 1)
    project = make_project(tmp_path, loose)
    for number in (1, 2, 3, 4):
        project.certificate("billing", number)
        assert project.run("apply", "--yes", "--phase", "upload", "--phase", "bind").code == 0
    return project


def test_no_run_deletes_more_than_the_operator_allows(old: Project) -> None:
    """Neither by mtls.toml, nor by an option, nor by a saved plan."""
    limit = {"MTLSCTL_MAX_DELETES": "1"}
    assert retired(old.run("plan", "--format", "json")) == 3
    assert old.run("plan", "--out", "plan.json").code == 0
    assert retired(with_variables(old, limit).run("plan", "--format", "json")) == 1
    assert retired(with_variables(old, limit).run("plan", "--allow-deletes", "9", "--format", "json")) == 1
    assert retired(with_variables(old, limit).run("apply", "plan.json", "--format", "json")) == 1
    assert retired(with_variables(old, limit).run("apply", "--yes", "--format", "json")) == 1
    assert retired(with_variables(old, {"MTLSCTL_MAX_DELETES": "0"}).run("plan", "--format", "json")) == 0


def test_no_grace_is_shorter_than_the_operator_allows(old: Project) -> None:
    """That of the policy, and that of a certificate; the limits are no weak settings then."""
    env = {"MTLSCTL_MIN_GRACE": "7d", "MTLSCTL_MAX_DELETES": "10"}
    result = with_variables(old, env).run("plan", "--format", "json")
    assert retired(result) == 0
    assert [wait["condition"] for wait in result.json["waiting"]] == ["grace"] * 3
    assert "policy-weak" not in result.out
    own = old.read("mtls.toml").replace('certs/billing.pem"\n', 'certs/billing.pem"\ngrace = "0s"\n', 1)
    assert own != old.read("mtls.toml")
    old.write("mtls.toml", own)
    assert retired(with_variables(old, env).run("plan", "--format", "json")) == 0
    assert retired(with_variables(old, {"MTLSCTL_MIN_GRACE": "0s"}).run("plan", "--format", "json")) == 3


def test_what_waits_names_the_variable_that_keeps_it(old: Project) -> None:
    """Neither a shorter `grace` nor another run helps then."""
    for env, said in (
        ({"MTLSCTL_MIN_GRACE": "9d"}, "its grace period is not over: 9d, which the variable MTLSCTL_MIN_GRACE demands"),
        ({"MTLSCTL_MAX_DELETES": "0"}, "the variable MTLSCTL_MAX_DELETES is 0, so no run deletes anything"),
    ):
        found = with_variables(old, env).run("plan", "--format", "json").json["waiting"]
        assert [said in wait["detail"] for wait in found] == [True] * 3
    raised = with_variables(old, {"MTLSCTL_MIN_GRACE": "1h"}).run("plan").out
    assert "`grace` (MTLSCTL_MIN_GRACE raises it to 1h)" in " ".join(raised.split())


def test_retire_now_skips_the_shortest_grace_of_the_operator_too(old: Project) -> None:
    """A leaked key can't wait, and whoever types it is no commit."""
    result = with_variables(old, {"MTLSCTL_MIN_GRACE": "7d"}).run("retire", "billing", "--now", "--yes")
    assert result.code == 0, result.err
    assert uploads(old) == 1


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("MTLSCTL_MAX_DELETES", "ten", "MTLSCTL_MAX_DELETES is 'ten', which is not a whole number"),
        ("MTLSCTL_MAX_DELETES", "-1", "MTLSCTL_MAX_DELETES is '-1', which is not a whole number"),
        ("MTLSCTL_MAX_DELETES", "1" * 99, f"MTLSCTL_MAX_DELETES is '{'1' * 40}...', which is not a whole number"),
        ("MTLSCTL_MIN_GRACE", "7", "MTLSCTL_MIN_GRACE is '7', which is not a duration"),
        ("MTLSCTL_MIN_GRACE", "99999999w", "MTLSCTL_MIN_GRACE is '99999999w', which is not a duration"),
        ("MTLSCTL_PRUNE", "true", "MTLSCTL_PRUNE is 'true', which is not 1 or 0"),
        ("MTLSCTL_DEPLOY", "yes", "MTLSCTL_DEPLOY is 'yes', which is not 1 or 0"),
    ],
)
def test_a_limit_that_cannot_be_read_stops_every_run(old: Project, variable: str, value: str, said: str) -> None:
    """It is never left out; the error names the variable, and what to write."""
    result = with_variables(old, {variable: value}).run("apply", "--yes")
    assert result.code == 1
    assert "variable-invalid" in result.err
    assert said in " ".join(result.err.split())
    assert f"or unset {variable}" in " ".join(result.err.split())


# --- bindings ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def many(tmp_path: Path) -> Project:
    """Twelve Workers that use one certificate; mtls.toml no longer says so."""
    project = make_project(tmp_path)
    names = [f"w{number:02}" for number in range(12)]
    tables = "".join(f'[workers.{name}]\nconfig = "{name}/wrangler.toml"\nbindings = {{}}\n' for name in names)
    declared = MTLS.partition("[workers")[0] + tables
    for name in names:
        project.write(f"{name}/wrangler.toml", WRANGLER.replace("checkout", name))
    project.write("mtls.toml", declared.replace("{}", '{ BILLING = "billing" }'))
    assert project.run("apply", "--yes").code == 0
    project.write("mtls.toml", declared)
    return project


def bound(project: Project) -> int:
    """How many wrangler files have the binding."""
    return sum("BILLING" in path.read_text() for path in project.folder.glob("w*/wrangler.toml"))


def test_apply_removes_as_many_bindings_as_one_run_may_and_ends_with_3(many: Project) -> None:
    """The rest waits for a person; the reports say so, and drift does not call it in order."""
    assert many.run("plan", "--detailed-exitcode").code == 3
    assert many.run("apply", "--yes", "--allow-unbinds", "3").code == 3
    assert bound(many) == 9
    told = " ".join(many.run("explain", "w11", "--format", "text").out.split())
    assert many.run("drift").code == 2
    assert bound(many) == 9
    assert "BILLING" in told
    assert many.run("apply", "--yes").code == 0
    assert bound(many) == 0


def test_a_saved_plan_removes_the_bindings_that_it_has_and_keeps_those_that_waited(many: Project) -> None:
    """It ended with 3; whoever approves it approves these, also where some are removed already."""
    assert many.run("plan", "--out", "plan.json").code == 3
    assert many.run("apply", "plan.json", "--only", "billing").code == 64
    many.write("w00/wrangler.toml", WRANGLER.partition("[[")[0])
    result = many.run("apply", "plan.json", "--format", "json")
    assert result.code == 0, result.err
    assert {wait["condition"] for wait in result.json["waiting"]} == {"not-in-plan"}
    assert bound(many) == 2


def test_a_saved_plan_may_have_more_than_one_run_removes_by_default(many: Project) -> None:
    """The number was approved with it."""
    assert many.run("plan", "--allow-unbinds", "12", "--out", "plan.json").code == 0
    assert many.run("apply", "plan.json").code == 0
    assert bound(many) == 0
