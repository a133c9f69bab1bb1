"""The history: the lines of a journal, grouped into runs, as text for a terminal and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer import BadParameter

from reconciler.cli.root import app
from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.model import (
    Action,
    BindingAddress,
    BindingChange,
    BindingName,
    CertificateName,
    Change,
    Reason,
    Upload,
    WorkerLabel,
)
from reconciler.plan.outcome import Step, StepStatus
from reconciler.records.history import HistoryDocument, RunEnd, history_document
from reconciler.records.journal import Actor
from reconciler.runs.journal import Journal, read_journal
from reconciler.system.clock import SystemClock
from reconciler.system.journal import JournalFile
from reconciler.views.json.schemas import schema_text
from reconciler.views.table import Display, render
from reconciler.views.text.history import show_history
from reconciler.views.text.style import PLAIN, Style
from tests.support.hostile import check_texts
from tests.support.memory import MemoryClock
from tests.support.reports import DEPLOY
from tests.support.worlds import uid
from tests.views.test_markdown import MARKUP, tokens

HOSTILE = "\x1b[2J\n::error::x\u202e\u2066\x9b\r\t\x7f\u2028"
ANNA = Actor(user="anna", host="laptop")
UPLOAD = Upload(CertificateName("billing"), "12" * 32, "payments.billing.121212121212", (Reason.MISSING,))


def bind(name: str = "BILLING", config: str = "workers/checkout/wrangler.toml") -> BindingChange:
    return BindingChange(
        Action.BIND,
        BindingAddress(WorkerLabel("checkout"), config, None, BindingName(name)),
        (Reason.MISSING,),
        CertificateName("billing"),
    )


class Past:
    """Runs of a checkout, an hour apart."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = MemoryClock()
        self.count = 0
        self.actor = ANNA

    def run(
        self,
        *steps: Step | Change,
        exit_code: int | None = 0,
        interrupted: bool = False,
        stack: str = "payments",
        command: str = "apply",
    ) -> None:
        """A run with these steps; a bare change is one that never ended, and so is a run without an exit code."""
        self.count += 1
        journal = Journal(JournalFile(self.folder), clock=self.clock, new_run=lambda: f"run-{self.count}")
        journal.begin(command=command, stack=stack, plan_digest="sha256:00", actor=self.actor)
        for step in steps:
            journal.started(step.change if isinstance(step, Step) else step)
            if isinstance(step, Step):
                journal.finished(step)
        if exit_code is not None:
            journal.end(exit_code=exit_code, interrupted=interrupted)
        self.clock.time += timedelta(hours=1)

    def document(self, limit: int | None = 20, since: datetime | None = None) -> HistoryDocument:
        return history_document(read_journal(self.folder), limit=limit, since=since)

    def text(self, limit: int = 20) -> str:
        return show_history(self.document(limit), Display())


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return Past(tmp_path)


# --- as text ---------------------------------------------------------------------------------------------------------


def test_runs_are_shown_newest_first_with_what_they_did(past: Past) -> None:
    """When, what, how each step ended, and how the run did."""
    problem = Diagnostic(Severity.ERROR, Code.FILE_CHANGED, "it changed meanwhile")
    past.run(Step(UPLOAD, StepStatus.DONE, entry=uid(1)), Step(bind(), StepStatus.FAILED, problem=problem), exit_code=5)
    past.run(Step(bind(), StepStatus.DONE, entry=uid(1)))
    place = "BILLING of checkout (top level)"
    assert past.text() == (
        f"2026-11-23 13:00:00 UTC  apply payments  done\n"
        f"  by: anna@laptop\n"
        f"  ok: bind {place} -> {uid(1)}\n"
        f"\n"
        f"2026-11-23 12:00:00 UTC  apply payments  failed in part (exit 5)\n"
        f"  by: anna@laptop\n"
        f"  ok: upload billing -> {uid(1)}\n"
        f"  FAILED: bind {place}: it changed meanwhile [file-changed]\n"
    )


def test_a_deploy_names_the_worker_that_was_deployed(past: Past) -> None:
    """Its real name, as Cloudflare has it, and where it is declared; one that failed as well."""
    done = Step(DEPLOY, StepStatus.DONE, note="live version: v2")
    past.run(done, DEPLOY, exit_code=None)
    first, second = past.text().splitlines()[-2:]
    at = DEPLOY.at
    assert first == f"  ok: deploy {DEPLOY.script}: {at.worker} ({at.environment or 'top level'}) (live version: v2)"
    assert DEPLOY.script in second
    assert [step.change.script for step in past.document().runs[0].steps] == [DEPLOY.script, DEPLOY.script]


def test_a_killed_run_is_shown_as_one(past: Past) -> None:
    """With the step that was in progress, and what to do about it: nothing special."""
    past.run(Step(UPLOAD, StepStatus.DONE, entry=uid(1)), bind(), exit_code=None)
    head, more, _, upload, step = past.text().splitlines()
    assert "never ended: killed, or still running as pid" in head
    assert more == "  The next `mtlsctl apply` finishes what is left of it."
    assert upload.startswith("  ok: upload")
    assert step.startswith("  started, end unknown: bind BILLING")
    (run,) = past.document().runs
    assert (run.ended, run.finished, run.exit_code) == (RunEnd.UNFINISHED, None, None)


@pytest.mark.parametrize(
    ("later", "is_over"),
    [
        ({}, True),
        ({"command": "apply"}, True),
        ({"exit_code": None}, False),
        ({"exit_code": 1}, False),
        ({"stack": "billing"}, False),
        ({"command": "renew"}, False),
    ],
    ids=["done", "by hand", "killed too", "failed", "another stack", "a renewal"],
)
def test_what_a_killed_run_left_is_finished_by_a_later_one(past: Past, later: dict[str, Any], is_over: bool) -> None:
    """Of the same stack, that went well; until then the history says what finishes it."""
    past.run(UPLOAD, exit_code=None, command="fleet run")
    past.run(**{"command": "fleet run", **later})
    assert ("  A later run finished what was left of it." in past.text().splitlines()) == is_over
    hints = past.text().count("The next `mtlsctl fleet run` finishes what is left of it.")
    assert hints == (0 if is_over else 2 if later == {"exit_code": None} else 1)


def test_a_run_killed_inside_of_a_line_is_shown_too(past: Past) -> None:
    """The torn line is mentioned, and affects no other run."""
    past.run(bind(), exit_code=None)
    place = past.folder / ".mtlsctl/journal.jsonl"
    place.write_bytes(place.read_bytes()[:-20])
    past.run(Step(bind(), StepStatus.DONE))
    assert [run.ended for run in past.document().runs] == [RunEnd.DONE, RunEnd.UNFINISHED]
    assert past.text().endswith("  no step was started\n\n1 line of the journal cut off, where a run was killed.\n")


@pytest.mark.parametrize(
    ("exit_code", "interrupted", "ended", "words"),
    [
        (0, False, RunEnd.DONE, "  done"),
        (1, False, RunEnd.FAILED, "failed (exit 1)"),
        (3, False, RunEnd.BLOCKED, "blocked (exit 3)"),
        (5, False, RunEnd.PARTIAL, "failed in part (exit 5)"),
        (130, True, RunEnd.INTERRUPTED, "interrupted (exit 130)"),
    ],
)
def test_how_a_run_ended(past: Past, exit_code: int, interrupted: bool, ended: RunEnd, words: str) -> None:
    """According to its exit code."""
    past.run(exit_code=exit_code, interrupted=interrupted)
    assert past.document().runs[0].ended is ended
    assert past.text().splitlines()[0].endswith(words)


def test_the_newest_are_shown_and_the_others_counted(past: Past) -> None:
    """Nothing is left out silently."""
    for _ in range(3):
        past.run()
    document = past.document(limit=1)
    assert ([run.run for run in document.runs], document.more) == (["run-3"], 2)
    assert past.text(limit=1).endswith("2 older runs not shown; --limit shows more.\n")


def test_many_steps_that_went_well_are_counted_at_a_terminal(past: Past) -> None:
    """A pipe gets each of them, and so does a terminal with `--wide`."""
    past.run(*(Step(bind(f"B{number}"), StepStatus.DONE) for number in range(25)))
    assert past.text().count("  ok: bind B") == 25
    text = show_history(past.document(), Display(width=80))
    assert text.endswith("  by: anna@laptop\n  ok: 25 bindings written; --wide shows each\n")


def test_without_a_run_there_is_a_sentence(past: Past) -> None:
    """Not an empty answer."""
    assert past.text() == "No runs yet. `mtlsctl apply` writes down what it does.\n"


def test_the_clock_may_be_set_back(past: Past) -> None:
    """The order is that of the lines."""
    past.run()
    past.clock.time -= timedelta(days=2)
    past.run()
    assert [run.run for run in past.document().runs] == ["run-2", "run-1"]


def test_steps_of_a_run_whose_begin_is_lost_are_left_out(past: Past) -> None:
    """Nothing is known about them."""
    past.run(Step(bind(), StepStatus.DONE))
    place = past.folder / ".mtlsctl/journal.jsonl"
    place.write_bytes(b"".join(place.read_bytes().splitlines(keepends=True)[1:]))
    past.run()
    assert [run.run for run in past.document().runs] == ["run-2"]


# --- who ran it ------------------------------------------------------------------------------------------------------

OCTOCAT = Actor(
    user="runner",
    host="fv-az1",
    forge="github",
    login="octocat",
    run_url="https://github.example/acme/shop/actions/runs/7",
    commit="0123456789abcdef" * 2 + "01234567",
    ref="refs/heads/main",
)


def test_a_pipeline_is_shown_with_its_actor_run_commit_and_ref(past: Past) -> None:
    """Instead of the runner's own user and machine, which JSON has, too."""
    past.actor = OCTOCAT
    past.run()
    by = "  by: octocat (github), refs/heads/main, commit 0123456789ab, https://github.example/acme/shop/actions/runs/7"
    assert past.text().splitlines()[1] == by
    assert past.document().runs[0].actor == OCTOCAT


def test_lines_of_an_earlier_version_do_not_say_who(past: Past) -> None:
    """The rest of them is shown as ever."""
    past.run(Step(bind(), StepStatus.DONE))
    journal = past.folder / ".mtlsctl/journal.jsonl"
    journal.write_text(journal.read_text().replace(',"actor":{"user":"anna","host":"laptop"}', ""))
    document = past.document()
    assert (document.runs[0].actor, document.unknown, document.torn) == (None, 0, 0)
    assert "by:" not in past.text()


# --- since when ------------------------------------------------------------------------------------------------------


def test_since_a_time_all_runs_are_shown_and_the_older_ones_counted(past: Past) -> None:
    """However many there are."""
    begin = past.clock.time
    for _ in range(25):
        past.run()
    document = past.document(limit=None, since=begin + timedelta(hours=2))
    assert (len(document.runs), document.more, document.since) == (23, 2, begin + timedelta(hours=2))
    assert "2 older runs not shown; --since and --limit show more." in show_history(document, Display())


def test_since_a_time_without_a_run_there_is_a_sentence_that_says_the_time(past: Past) -> None:
    """It must not look like a checkout that has never been applied."""
    past.run()
    document = past.document(limit=None, since=past.clock.time + timedelta(days=1))
    text = show_history(document, Display())
    assert text == "No runs since 2026-11-24 13:00 UTC.\n\n1 older run not shown; --since and --limit show more.\n"


# --- as Markdown ------------------------------------------------------------------------------------------------------


def test_a_page_has_a_row_for_each_run(past: Past) -> None:
    """When, who, the command, how it ended and what it changed; each step is folded."""
    problem = Diagnostic(Severity.ERROR, Code.FILE_CHANGED, "it changed meanwhile")
    past.run(Step(UPLOAD, StepStatus.DONE, entry=uid(1)), Step(bind(), StepStatus.FAILED, problem=problem), exit_code=5)
    past.actor = OCTOCAT
    past.run(Step(bind(), StepStatus.DONE))
    page = render(past.document(), "markdown", Display())
    assert page.startswith(
        "### mtlsctl history `payments`: 2 runs (1 done, 1 partial)\n\n"
        "| When (UTC) | Who | Command | Result | Changes |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| 2026-11-23 13:00 | `octocat (github)` on `refs/heads/main` | `apply` | done | 1 binding written |\n"
        "| 2026-11-23 12:00 | <code>anna&#64;laptop</code> | `apply` | failed in part (exit 5)"
        " | 1 certificate uploaded; 1 failed |\n"
    )
    assert "FAILED: bind BILLING" in page.partition("<details>")[2]


@pytest.mark.parametrize("name", [*MARKUP.values(), HOSTILE])
def test_no_name_of_a_pipeline_acts_in_a_page(past: Past, name: str) -> None:
    """A branch may be called anything, and a login is of another system."""
    past.actor = Actor(user=name, host=name, forge="github", login=name, run_url=name, commit=name, ref=name)
    past.run(bind(name, name), stack=name)
    past.actor = Actor(user=name, host=name)
    past.run(stack=f"other {name}")
    page = render(past.document(), "markdown", Display())
    check_texts(page)
    found = list(tokens(page))
    assert not {token.type for token in found} & {"link_open", "image", "em_open", "strong_open"}
    assert sum(token.type == "td_open" for token in found) == 2 * 5
    assert [token.type for token in found].count("html_block") == 2


# --- names of others --------------------------------------------------------------------------------------------------


def hostile(past: Past) -> None:
    past.actor = Actor(
        user=HOSTILE, host=HOSTILE, forge="github", login=HOSTILE, run_url=HOSTILE, commit=HOSTILE, ref=HOSTILE
    )
    problem = Diagnostic(Severity.ERROR, Code.FILE_CHANGED, HOSTILE)
    change = BindingChange(
        Action.REBIND,
        BindingAddress(WorkerLabel(HOSTILE), HOSTILE, HOSTILE, BindingName(HOSTILE)),
        (),
        CertificateName(HOSTILE),
        before=HOSTILE,
    )
    past.run(Step(change, StepStatus.FAILED, problem=problem, note=HOSTILE), bind("::error::"), stack=HOSTILE)
    journal = past.folder / ".mtlsctl/journal.jsonl"
    written = journal.read_text()
    assert '"code":"file-changed"' in written
    journal.write_text(written.replace('"code":"file-changed"', f'"code":{json.dumps(HOSTILE)}'))


@pytest.mark.parametrize("style", [PLAIN, Style(colour=True)], ids=["plain", "coloured"])
def test_no_name_acts_on_a_terminal_or_a_pipeline(past: Past, style: Style) -> None:
    """Every line starts with our own text, and every character of a name is visible."""
    hostile(past)
    text = show_history(past.document(), Display(style=style))
    lines = text.splitlines()
    assert len(lines) == text.count("\n") == 4
    for line in lines:
        assert not line.lstrip().startswith("::")
        for code in ("1", "2", "31", "32", "33", "33;1", "0"):
            line = line.replace(f"\x1b[{code}m", "") if style.colour else line
        assert line.isprintable()


def test_json_is_ascii_and_fits_its_schema(past: Past) -> None:
    """So nothing in it can act on a terminal, either, and other programs can rely on it."""
    from reconciler import keys
    from reconciler.records.base import to_json

    hostile(past)
    past.run(exit_code=None)
    text = to_json(past.document())
    assert text.isascii()
    assert not any(character < " " for character in text.replace("\n", ""))
    schema = json.loads(schema_text("history.schema.json", keys.KINDS))
    jsonschema.Draft202012Validator(schema).validate(json.loads(text))


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def run(past: Past, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """`history` alone, in the folder of the project; returns its output."""
    (past.folder / "mtls.toml").write_text("not even TOML")
    monkeypatch.chdir(past.folder)

    def run(*arguments: str) -> str:
        app(["history", *arguments], standalone_mode=False)
        return capsys.readouterr().out

    return run


def test_the_command_prints_text(past: Past, run: Callable[..., str]) -> None:
    """Whatever mtls.toml contains now."""
    past.run(Step(bind(), StepStatus.DONE))
    assert run() == past.text()


@pytest.mark.parametrize(
    ("since", "runs"),
    [("3h", 2), ("2026-11-23 13:00", 2), ("2026-11-23T14:00:00Z", 1), ("2026-11-23", 3), ("100w", 3), ("0s", 0)],
)
def test_since_takes_a_date_or_a_duration(
    past: Past, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch, since: str, runs: int
) -> None:
    """Runs at 12, 13 and 14 o'clock; it is 15:59."""
    for _ in range(3):
        past.run()
    past.clock.time += timedelta(minutes=59)
    monkeypatch.setattr(SystemClock, "now", lambda _: past.clock.time)
    assert len(json.loads(run("--since", since, "--format", "json"))["runs"]) == runs


@pytest.mark.parametrize("since", ["yesterday", "", "30", "-1d", "2026-13-01", "99999999999d", "4000000d", "33%"])
def test_what_is_neither_a_date_nor_a_duration_is_wrong_use(past: Past, run: Callable[..., str], since: str) -> None:
    """With an example of both."""
    with pytest.raises(BadParameter, match="2027-01-31"):
        run("--since", since)


def test_the_command_prints_json_and_writes_it(past: Past, run: Callable[..., str]) -> None:
    """The same on stdout and in the file."""
    past.run(Step(bind(), StepStatus.DONE))
    past.run()
    out = run("--format", "json", "--limit", "1", "--out", "history.json")
    document = json.loads(out)
    assert (document["format"], len(document["runs"]), document["more"]) == ("mtlsctl.history/1", 1, 1)
    assert (past.folder / "history.json").read_text() == out
