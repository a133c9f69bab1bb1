"""The lines of a run's log, for people and for machines."""

from __future__ import annotations

import json
from dataclasses import replace

import jsonschema
import pytest

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place
from reconciler.findings.events import CallMade, FileAction, FileTouched, ProgramStarted
from reconciler.model import EntryId
from reconciler.plan.outcome import Step, StepBegan, StepEnded, StepStatus
from reconciler.reports.log import LogEvent, LogLine
from reconciler.views.table import Display, render
from tests.support.hostile import NAMES, check_texts
from tests.support.paths import REPOSITORY
from tests.support.pki import NOW
from tests.support.reports import RETIRE, UPLOAD

SCHEMA = json.loads((REPOSITORY / "schemas/log.schema.json").read_text())
CALL = CallMade("GET", "/accounts/{account_id}/mtls_certificates", 45.4)
PROBLEM = Diagnostic(
    Severity.ERROR, Code.KEY_UNAVAILABLE, "$BILLING_KEY is not set", Place("mtls.toml", 3, 1), "set it"
)
TIME = NOW.replace(hour=12, minute=0, second=1, microsecond=23_456)

LINES: dict[str, tuple[LogEvent, str, str]] = {
    "a call": (replace(CALL, status=200), "GET /accounts/{account_id}/mtls_certificates 200 45 ms", "info"),
    "a call that says everything": (
        replace(CALL, status=200, page=2, ray="8f2b1c0011223344-FRA", remaining=1199, limit=1200),
        "GET /accounts/{account_id}/mtls_certificates page 2 200 45 ms cf-ray=8f2b1c0011223344-FRA rate=1199/1200",
        "info",
    ),
    "a call that does not say the limit": (
        replace(CALL, status=200, remaining=7),
        f"GET {CALL.path} 200 45 ms rate=7",
        "info",
    ),
    "a call that is refused": (replace(CALL, status=429), f"GET {CALL.path} 429 45 ms", "warning"),
    "a call without an answer": (
        replace(CALL, note="the connection broke"),
        f"GET {CALL.path} failed after 45 ms: the connection broke",
        "warning",
    ),
    "a file": (
        FileTouched(FileAction.WRITTEN, "/p/wrangler.toml", 1234),
        "wrote /p/wrangler.toml (1,234 bytes)",
        "info",
    ),
    "a file that is added to": (FileTouched(FileAction.OPENED, "/p/lock"), "opened /p/lock for writing", "info"),
    "a file that is removed": (FileTouched(FileAction.REMOVED, "/p/.x.tmp"), "removed /p/.x.tmp", "info"),
    "a program": (ProgramStarted(("git", "ls-files", "a b"), "/p"), "started git ls-files 'a b' in /p", "info"),
    "a step that begins": (StepBegan(UPLOAD), f"upload billing as {UPLOAD.name}: started", "info"),
    "a step that deletes": (
        StepEnded(Step(RETIRE, StepStatus.DONE, entry=RETIRE.entry.id), 71.2),
        f"retire {RETIRE.entry.id} of billing: done after 71 ms",
        "info",
    ),
    "a step that is done": (
        StepEnded(Step(UPLOAD, StepStatus.DONE, entry=EntryId("7f3a"), note="it was there"), 71.2),
        f"upload billing as {UPLOAD.name}: done after 71 ms -> 7f3a: it was there",
        "info",
    ),
    "a step that failed": (
        StepEnded(Step(UPLOAD, StepStatus.FAILED, problem=PROBLEM), 1.0),
        f"upload billing as {UPLOAD.name}: failed after 1 ms: $BILLING_KEY is not set",
        "error",
    ),
    "a finding": (PROBLEM, "error[key-unavailable]: $BILLING_KEY is not set (set it)", "error"),
    "a text": ("desired state: /p/mtls.toml", "desired state: /p/mtls.toml", "info"),
}


@pytest.mark.parametrize("name", LINES)
def test_a_line_for_people_has_the_time_and_what_happened(name: str) -> None:
    """UTC, to the millisecond."""
    event, text, _ = LINES[name]
    assert render(LogLine(TIME, event), "text", Display()) == f"12:00:01.023Z {text}\n"


@pytest.mark.parametrize("name", LINES)
def test_a_line_for_machines_is_one_document_with_the_same_words(name: str) -> None:
    """It fits the schema, and its event names the part that has the facts."""
    event, text, level = LINES[name]
    line = render(LogLine(TIME, event), "json", Display())
    assert line.count("\n") == 1
    document = json.loads(line)
    jsonschema.validate(document, SCHEMA)
    assert (document["message"], document["level"]) == (text, level)
    parts = set(document) - {"format", "time", "level", "event", "message"}
    part = {"step-started": "step", "step-finished": "step"}.get(document["event"], document["event"])
    assert parts == (set() if part == "message" else {part})


def test_a_document_has_the_facts_of_a_call() -> None:
    """Numbers as numbers, so that they can be counted and compared."""
    event, _, _ = LINES["a call that says everything"]
    assert json.loads(render(LogLine(TIME, event), "json", Display()))["call"] == {
        "method": "GET",
        "path": "/accounts/{account_id}/mtls_certificates",
        "page": 2,
        "status": 200,
        "ms": 45.4,
        "cf_ray": "8f2b1c0011223344-FRA",
        "rate_remaining": 1199,
        "rate_limit": 1200,
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_acts_on_no_terminal_and_no_runner(name: str) -> None:
    """In every text that an event can have, in both formats."""
    hostile = NAMES[name]
    events: tuple[LogEvent, ...] = (
        replace(CALL, note=hostile),
        FileTouched(FileAction.WRITTEN, hostile),
        ProgramStarted((hostile, hostile), hostile),
        StepEnded(Step(UPLOAD, StepStatus.DONE, entry=EntryId(hostile), note=hostile), 1.0),
        replace(PROBLEM, message=hostile, hint=hostile),
        hostile,
    )
    for event in events:
        for shown in ("text", "json"):
            line = render(LogLine(TIME, event), shown, Display())
            assert line.count("\n") == 1
            check_texts(line, line)
