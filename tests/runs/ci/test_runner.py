"""What `mtlsctl ci github` writes for the runner, and where it refuses to run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.test_canaries import search
from tests.support.ci import EVENT, Bench
from tests.support.cli import MTLS, WRANGLER
from tests.support.hostile import FEW, LONG, check_texts

OWN = {"repository": {"full_name": "acme/shop"}}
HOSTILE = "".join(
    sign if sign.isprintable() and sign not in '"\\' else f"\\U{ord(sign):08x}" for sign in FEW["everything"]
)


def commands(out: str) -> list[str]:
    """The lines that the runner obeys: it stops at a stop command, and goes on at its word."""
    found, word = [], None
    for line in out.splitlines():
        text = line.lstrip()
        if word is not None:
            word = None if text == f"::{word}::" else word
        elif text.startswith("::stop-commands::"):
            word = text.removeprefix("::stop-commands::")
            assert len(word) > 30
        elif text.startswith("::"):
            found.append(text)
    assert word is None, "the runner was never told to go on"
    return found


# --- commands for the runner ----------------------------------------------------------------------------------------


def test_only_annotations_are_commands(bench: Bench) -> None:
    """Whatever the report and the errors print."""
    bench.project.write("wrangler.toml", WRANGLER.replace("<CERTIFICATE_ID>", HOSTILE[:60]))
    bench.project.write("mtls.toml", MTLS.replace("checkout]", f'"{HOSTILE}"]'))
    for command in ("validate", "plan", "drift"):
        done = bench.ci(command)
        assert all(line.startswith(("::error ", "::warning ")) for line in commands(done.out))
        assert done.out.startswith("::stop-commands::")


def test_the_word_that_ends_the_silence_is_new_in_each_run(bench: Bench) -> None:
    """Else a name could contain it."""
    words = {bench.ci("validate").out.splitlines()[0] for _ in range(3)}
    assert len(words) == 3


def test_a_finding_is_an_annotation_at_its_line(bench: Bench) -> None:
    """With the path from the root of the repository, wherever the command is run."""
    bench.project.write("mtls.toml", "version = 1\nstack = 5\n")
    found = commands(bench.ci("validate").out)
    assert re.fullmatch(r"::error file=mtls.toml,line=2,col=9,title=[a-z-]+::.*", found[0])


def test_paths_lead_from_the_root_of_the_repository(bench: Bench) -> None:
    """Also where mtls.toml is in a folder of it."""
    bench.project.write("deep/mtls.toml", "version = 1\nstack = 5\n")
    found = commands(bench.ci("validate", "--file", "deep/mtls.toml").out)
    assert found[0].startswith("::error file=deep/mtls.toml,line=2,")


def test_of_many_findings_those_in_changed_files_come_first(bench: Bench) -> None:
    """There are ten annotations; the API says which files are changed, and is asked only then."""
    names = [f"c{number:02}" for number in range(14)]
    text = "".join(f'\n[certificates.{name}]\ncertificate = "certs/{name}.pem"\n' for name in names)
    for name in names:
        bench.project.write(f"certs/{name}.pem", "broken")
    bench.project.write("mtls.toml", MTLS + text)
    bench.github.files = ["certs/c12.pem", "certs/c13.pem"]
    found = commands(bench.ci("validate").out)
    assert len(found) == 10
    assert "/repos/acme/shop/pulls/7/files" in bench.github.calls("GET")


# --- the summary ----------------------------------------------------------------------------------------------------


def test_the_summary_has_the_plan_and_a_picture(bench: Bench) -> None:
    """Of who uses which certificate."""
    bench.ci("plan")
    text = bench.runner("summary")
    assert text.startswith("### mtlsctl plan `payments`: 1 upload")
    assert '```mermaid\nflowchart LR\n  n0["billing"]\n  n1["checkout/BILLING"]\n  n0 --> n1\n```' in text
    assert Path(bench.outputs["summary"]).read_text() in text


def test_the_summary_is_added_to_what_is_there(bench: Bench) -> None:
    """Other commands of the step may have written some."""
    bench.project.write("runner/kept", "before\n")
    bench.ci("plan", GITHUB_STEP_SUMMARY=str(bench.project.folder / "runner/kept"))
    assert bench.runner("kept").startswith("before\n### mtlsctl plan")


@pytest.mark.parametrize("size", [899_000, 899_999, 900_000, 2_000_000])
def test_a_summary_is_never_longer_than_the_runner_takes(bench: Bench, size: int) -> None:
    """What is there counts, in bytes."""
    there = bench.project.write("runner/kept", "é" * (size // 2))
    before = there.stat().st_size
    done = bench.ci("plan", GITHUB_STEP_SUMMARY=str(there))
    assert done.code == 0
    assert there.stat().st_size <= max(900_000, before)
    assert ("summary of this job is full" in done.err) is (there.stat().st_size == before)


def test_a_run_that_failed_says_why_in_the_summary(bench: Bench) -> None:
    """Where there is no report."""
    bench.project.write("mtls.toml", "version = 1\nstack = 5\n")
    assert bench.ci("plan").code == 1
    assert bench.runner("summary").startswith("### mtlsctl plan: failed\n")
    assert "mtls.toml:2:9" in bench.runner("summary")


# --- outputs --------------------------------------------------------------------------------------------------------


def test_the_outputs_have_the_counts_and_the_files(bench: Bench) -> None:
    """As a later step reads them."""
    bench.ci("plan")
    found = bench.outputs
    plan = json.loads(Path(found["plan"]).read_text())
    assert found["digest"] == plan["digest"]
    assert found["comment-url"] == "https://github.com/acme/shop/pull/7#issuecomment-1"
    numbers = {name: found[name] for name in ("changes", "to-upload", "to-bind", "to-retire", "drift", "exit-code")}
    assert list(numbers.values()) == ["2", "1", "1", "0", "0", "2"]


def test_the_saved_plan_can_be_applied(bench: Bench) -> None:
    """It is outside of the checkout unless `--out` says where."""
    bench.ci("plan", "--out", "reviewed.json")
    assert bench.outputs["plan"] == "reviewed.json"
    assert bench.project.run("apply", "reviewed.json").code == 0


def test_an_output_can_end_no_other(bench: Bench) -> None:
    """A value with the lines of another output is a value."""
    out = "plan\nchanges<<x\n0\nx\n.json"
    bench.ci("plan", "--out", out)
    assert bench.outputs["plan"] == out
    assert bench.outputs["changes"] == "2"


# --- what the job ends with -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("failing", "code"), [("errors", 0), ("changes", 2), ("never", 0)])
def test_changes_fail_the_job_only_where_that_is_asked_for(bench: Bench, failing: str, code: int) -> None:
    """The output has the command's own code."""
    assert bench.ci("plan", "--fail-on", failing).code == code
    assert bench.outputs["exit-code"] == "2"


@pytest.mark.parametrize(("failing", "code"), [("errors", 1), ("changes", 1), ("never", 0)])
def test_an_error_in_a_report_fails_the_job_unless_never(bench: Bench, failing: str, code: int) -> None:
    """As of one certificate."""
    bench.project.write("certs/billing.pem", "broken")
    assert bench.ci("plan", "--fail-on", failing).code == code


@pytest.mark.parametrize("failing", ["errors", "changes", "never"])
def test_an_error_without_a_report_always_fails_the_job(bench: Bench, failing: str) -> None:
    """Nothing was found out; also without an mtls.toml."""
    bench.project.write("mtls.toml", "broken")
    assert bench.ci("plan", "--fail-on", failing).code == 1
    (bench.project.folder / "mtls.toml").unlink()
    assert bench.ci("plan", "--fail-on", failing).code == 64


# --- where it refuses to run ----------------------------------------------------------------------------------------

FORK = {"workflow_run": {"event": "pull_request", "head_repository": {"full_name": "mallory/shop"}}, **OWN}
SAME = {"workflow_run": {"event": "push", "head_repository": {"full_name": "acme/shop"}}, **OWN}


@pytest.mark.parametrize("command", ["validate", "plan", "apply", "drift"])
@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("pull_request_target", EVENT),
        ("issue_comment", OWN),
        ("workflow_run", FORK),
        ("workflow_run", OWN),
        ("workflow_run", {"workflow_run": {"head_repository": None}, **OWN}),
        ("workflow_run", {"workflow_run": SAME["workflow_run"]}),
        ("workflow_run", "not JSON"),
        ("workflow_run", "[" * 100_000),
        ("workflow_run", json.dumps({**SAME, "more": "x" * 10_000_000})),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "-",
)
def test_nothing_is_run_with_a_token_where_a_stranger_may_have_written_the_files(
    bench: Bench, command: str, name: str, event: object
) -> None:
    """In doubt, too: an event that is missing, broken or too large."""
    done = bench.ci(command, event=event, GITHUB_EVENT_NAME=name, CLOUDFLARE_API_TOKEN="secret-token")
    assert done.code == 3
    assert "CLOUDFLARE_API_TOKEN is set" in done.err
    assert "nothing was run" in done.err
    assert "secret-token" not in done.out + done.err
    assert bench.github.requests == []
    assert not (bench.project.folder / ".mtlsctl").exists()


def test_a_run_after_another_workflow_of_the_same_repository_may_have_a_token(bench: Bench) -> None:
    """Its checkout is not a fork's."""
    done = bench.ci("plan", event=SAME, GITHUB_EVENT_NAME="workflow_run", CLOUDFLARE_API_TOKEN="x")
    assert done.code == 0


def test_without_a_token_a_stranger_may_be_validated(bench: Bench) -> None:
    """The job without secrets is the required check."""
    done = bench.ci("validate", GITHUB_TOKEN="", GITHUB_EVENT_NAME="pull_request_target")
    assert done.code == 0
    assert bench.github.requests == []


# --- apply ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pull_request", "pull_request_target", "pull_request_review", "merge_group", "new"])
def test_apply_runs_only_where_the_checkout_is_merged(bench: Bench, name: str) -> None:
    """Also without a token; an event that nobody knows is refused."""
    done = bench.ci("apply", GITHUB_EVENT_NAME=name)
    assert done.code == 3
    assert f"does not run on the event {name}" in done.err
    assert not (bench.project.folder / ".mtlsctl/store.db").exists()


def test_apply_plans_and_applies_in_one_run(bench: Bench) -> None:
    """And the outcome is in the summary."""
    done = bench.ci("apply", event=OWN, GITHUB_EVENT_NAME="push")
    assert done.code == 0
    assert "10ca1000-" in bench.project.read("wrangler.toml")
    assert bench.runner("summary").startswith("### mtlsctl apply `payments`: ")
    assert bench.outputs["changes"] == "2"
    assert bench.github.requests == []
    again = bench.ci("apply", event=OWN, GITHUB_EVENT_NAME="push")
    assert (again.code, bench.outputs["changes"]) == (0, "0")


def test_apply_does_no_more_than_a_given_plan(bench: Bench) -> None:
    """A plan only narrows: what it lacks is not done, and that is exit code 4."""
    bench.ci("plan", "--out", "reviewed.json")
    bench.project.certificate("ledger", 2)
    more = '[certificates.ledger]\ncertificate = "certs/ledger.pem"\nprivate_key = { env = "LEDGER_KEY" }\n\n[workers'
    bench.project.write("mtls.toml", MTLS.replace("[workers", more, 1) + 'LEDGER = "ledger"\n')
    arguments = ("apply", "--plan", "reviewed.json")
    assert bench.ci(*arguments, event=OWN, GITHUB_EVENT_NAME="push").code == 4
    assert not (bench.project.folder / ".mtlsctl/store.db").exists()
    bench.project.write("mtls.toml", MTLS)
    assert bench.ci(*arguments, event=OWN, GITHUB_EVENT_NAME="push").code == 0


def test_a_tampered_plan_is_refused(bench: Bench) -> None:
    """It has a hash over all that it shows; and what it has would still be planned again."""
    bench.ci("plan", "--out", "reviewed.json")
    bench.project.write("reviewed.json", bench.project.read("reviewed.json").replace("payments", "ledger"))
    assert bench.ci("apply", "--plan", "reviewed.json", event=OWN, GITHUB_EVENT_NAME="push").code == 4


def test_apply_fails_the_job_also_with_fail_on_never(bench: Bench) -> None:
    """Something was to be done, and was not."""
    bench.project.environ.clear()  # no key
    assert bench.ci("apply", "--fail-on", "never", event=OWN, GITHUB_EVENT_NAME="push").code == 1


# --- inputs ---------------------------------------------------------------------------------------------------------


def test_an_input_can_be_a_variable_and_an_option_wins(bench: Bench) -> None:
    """That is how an action hands its inputs over; an empty one was not given."""
    variables = {
        "MTLSCTL_CI_FAIL_ON": "changes",
        "MTLSCTL_CI_COMMENT": "never",
        "MTLSCTL_CI_FILE": "deep/mtls.toml",
        "MTLSCTL_CI_OUT": "plan.json",
        "MTLSCTL_CI_MAX_WAIT": "",
        "MTLSCTL_CI_LIVE": "",
        "MTLSCTL_CI_DEPLOY": "false",
    }
    bench.project.write("deep/mtls.toml", MTLS.replace('"certs/', '"../certs/').replace('"wrangler', '"../wrangler'))
    bench.project.write(".git/HEAD", "ref: refs/heads/main\n")
    assert bench.ci("plan", **variables).code == 2  # type: ignore[arg-type]
    assert bench.own == []
    assert (bench.project.folder / "plan.json").exists()
    assert bench.ci("plan", "--fail-on", "errors", "--out", "other.json", **variables).code == 0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MTLSCTL_CI_FAIL_ON", "warnings"),
        ("MTLSCTL_CI_COMMENT", "true"),
        ("MTLSCTL_CI_DEPLOY", "yes"),
        ("MTLSCTL_CI_LIVE", "x" * 1000),
        ("MTLSCTL_CI_MAX_WAIT", "soon"),
        ("MTLSCTL_CI_LOCK_TIMEOUT", "-1s"),
    ],
)
def test_a_variable_that_cannot_be_read_stops_the_run(bench: Bench, variable: str, value: str) -> None:
    """Else a limit would be left out."""
    done = bench.ci("plan", **{variable: value})  # type: ignore[arg-type]
    assert done.code == 1
    assert f"error[variable-invalid]: {variable} is " in done.err
    assert len(done.err) < 500


@pytest.mark.parametrize(("command", "option"), [("plan", "--plan"), ("apply", "--out"), ("validate", "--html")])
def test_a_file_that_a_command_does_not_use_is_wrong_use(bench: Bench, command: str, option: str) -> None:
    """Before anything is done."""
    done = bench.ci(command, option, "x.json", event=OWN, GITHUB_EVENT_NAME="push")
    assert done.code == 64
    assert option in done.err


# --- hostile names --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*FEW.values(), f"@everyone {LONG[:3000]}"], ids=[*FEW, "long"])
def test_no_name_acts_in_anything_that_is_published(bench: Bench, name: str) -> None:
    """Not on the runner, in the summary, in the comment or in an output."""
    text = "".join(sign if sign.isprintable() and sign not in '"\\' else f"\\U{ord(sign):08x}" for sign in name)
    more = f'\n[[mtls_certificates]]\nbinding = "{text}"\ncertificate_id = "{text[:40]}"\n'
    bench.project.write("wrangler.toml", WRANGLER + more)
    for command in ("validate", "plan", "drift"):
        done = bench.ci(command)
        commands(done.out)
        inside = "\n".join(line for line in done.out.splitlines() if not line.startswith("::"))
        check_texts(inside, done.err, bench.runner("outputs").replace("::", ""))
        assert bench.outputs["exit-code"].isdecimal()
    for body in (*bench.own, bench.runner("summary")):
        assert "@everyone" not in re.sub(r"(?ms)^(`{3,})\w*$.*?^\1$|`[^`\n]*`", "", body)


# --- what a fork's pull request can't do ----------------------------------------------------------------------------


def test_plan_runs_no_program_and_changes_nothing_in_the_checkout(
    bench: Bench, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it writes is the runner's, and the forge's."""
    outside = tmp_path_factory.mktemp("runner")
    files = {name: str(outside / name) for name in ("summary", "outputs")}

    def snapshot() -> dict[str, bytes]:
        folder = bench.project.folder
        return {
            str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and "runner" not in path.parts
        }

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr("subprocess.Popen", refuse)
    before = snapshot()
    variables = {"GITHUB_STEP_SUMMARY": files["summary"], "GITHUB_OUTPUT": files["outputs"]}
    for command in ("plan", "drift"):
        assert bench.ci(command, RUNNER_TEMP=str(outside), **variables).code == 0  # type: ignore[arg-type]
    assert snapshot() == before
    assert sorted(path.name for path in outside.iterdir()) == [
        *("mtlsctl-drift.md", "mtlsctl-plan-payments.json", "mtlsctl-plan.md", "outputs", "summary"),
    ]


def test_a_key_is_in_nothing_that_apply_publishes(bench: Bench) -> None:
    """The canary of a run that opens one."""
    done = bench.ci("apply", "--verbose", event=OWN, GITHUB_EVENT_NAME="push")
    assert done.code == 0
    search(bench.project, [done], (1,), ())


@pytest.mark.parametrize("place", ["GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"])
def test_a_file_of_the_runner_that_cannot_be_written_fails_no_job(bench: Bench, place: str) -> None:
    """It is a warning; a link is not followed."""
    link = bench.project.folder / "runner/link"
    link.symlink_to(bench.project.folder / "mtls.toml")
    for path in (str(link), str(bench.project.folder / "missing/file")):
        done = bench.ci("plan", **{place: path})  # type: ignore[arg-type]
        assert done.code == 0
        assert "could not be published" in done.err
    assert bench.project.read("mtls.toml") == MTLS
