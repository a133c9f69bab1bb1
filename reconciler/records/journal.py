"""`mtlsctl.journal/1`: what a run did, one event per line, written as it happens and read back. Public facts only.

Nothing is resumed from a journal; it is for people. So reading is lenient: a line that a killed run cut off, or that a
later version wrote, is counted and left out.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from io import BytesIO
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.values import dataclass
from reconciler.model import Action, Change, HyperdriveField, Phase, Retire
from reconciler.plan.outcome import Step, StepStatus
from reconciler.plan.renewing import Renewable, RenewStatus, RenewStep
from reconciler.records.base import RecordPart, UtcTime
from reconciler.records.changes import change_part

MAX_LINE = 64_000
"""Bytes of a line that are read; our lines have a few hundred."""

_MAX_MESSAGE = 1000
RENEW: Literal["renew"] = "renew"
"""The action and the phase of a renewal, which is a change of no plan."""
_START = b'{"format":"mtlsctl.journal/'


def _in_utc(time: datetime) -> datetime:
    if time.utcoffset() != timedelta(0):
        raise ValueError("times must be in UTC")
    return time


EventTime = Annotated[UtcTime, AwareDatetime, AfterValidator(_in_utc)]


class JournalPart(RecordPart):
    """A part of an event. Unknown keys, as of a later version, are ignored."""

    model_config = ConfigDict(extra="ignore")


class ChangeSummary(JournalPart):
    """The identity of a change: as in a plan, without the reasons. The same in both events of a step.

    `serial`: of the certificate that is deleted or renewed, hexadecimal, as openssl has it. `issuer`: of a renewal,
    whose `before` is the fingerprint of the certificate that is renewed.
    """

    action: Action | Literal["renew"]
    phase: Phase | Literal["renew"]
    certificate: str | None = None
    content_digest: str | None = None
    worker: str | None = None
    config: str | None = None
    environment: str | None = None
    binding: str | None = None
    before: str | None = None
    after: str | None = None
    origin: str | None = None
    script: str | None = None
    hyperdrive: str | None = None
    hyperdrive_id: str | None = None
    field: HyperdriveField | None = None
    zone: str | None = None
    zone_id: str | None = None
    hostnames: tuple[str, ...] | None = None
    serial: str | None = None
    issuer: str | None = None


class RenewedSummary(JournalPart):
    """The certificate that a renewal put into its file."""

    fingerprint: str
    serial: str
    not_after: EventTime


class ProblemSummary(JournalPart):
    """Why a step failed."""

    code: str
    message: str


class Actor(JournalPart):
    """Who ran it: the user and the machine and, in a pipeline, what its forge says. Names of others; none is proved.

    `forge`: `github` or `gitlab`. `login`: who started the pipeline. `run_url`: its page. `ref`: the branch or tag.
    """

    user: str
    host: str
    forge: str | None = None
    login: str | None = None
    run_url: str | None = None
    commit: str | None = None
    ref: str | None = None


class _Event(JournalPart):
    format: Literal["mtlsctl.journal/1"] = "mtlsctl.journal/1"
    run: str
    time: EventTime


class RunStarted(_Event):
    """A run is about to make changes. `plan_digest` identifies its plan; empty for a renewal. `actor` None: an earlier
    version wrote it. `freeze_reason`: why during a freeze, if it was allowed to."""

    event: Literal["run-started"] = "run-started"
    command: str
    version: str
    stack: str
    plan_digest: str
    pid: Annotated[int, Field(ge=0, le=2**31)]
    actor: Actor | None = None
    freeze_reason: str | None = None


class StepStarted(_Event):
    """The first effect of a change is next."""

    event: Literal["step-started"] = "step-started"
    change: ChangeSummary


class StepFinished(_Event):
    """How a change ended. `entry` is the id that it created, bound or deleted; `note` says how, or what it waits
    for. `renewed`: of a renewal, the new certificate."""

    event: Literal["step-finished"] = "step-finished"
    change: ChangeSummary
    status: StepStatus
    entry: str | None = None
    note: str | None = None
    problem: ProblemSummary | None = None
    renewed: RenewedSummary | None = None


class RunFinished(_Event):
    """The run ended on its own, with this exit code."""

    event: Literal["run-finished"] = "run-finished"
    exit_code: Annotated[int, Field(ge=0, le=255)]
    interrupted: bool


class GuardSkipped(_Event):
    """A deploy was not checked, because the operator said so. `command`: wrangler's, if wrangler ran the guard."""

    event: Literal["skipped-guard"] = "skipped-guard"
    reason: Annotated[str, BeforeValidator(lambda text: str(text)[:_MAX_MESSAGE])]
    command: str | None = None


Event = RunStarted | StepStarted | StepFinished | RunFinished | GuardSkipped

_EVENT: TypeAdapter[Event] = TypeAdapter(
    Annotated[Event, Field(discriminator="event")], config=ConfigDict(defer_build=True)
)


@dataclass(frozen=True, slots=True)
class JournalRead:
    """Events in the order in which they were written; and the numbers of cut-off lines and of lines of other
    versions."""

    events: tuple[Event, ...]
    torn: int = 0
    unknown: int = 0


def summary_of(change: Change) -> ChangeSummary:
    """The change as in both of its events."""
    return ChangeSummary.made_from(
        change_part(change), serial=change.entry.serial if isinstance(change, Retire) else None, issuer=None
    )


def renewal_of(item: Renewable) -> ChangeSummary:
    """A renewal as in both of its events."""
    renew, present = item.declared.renew, item.present
    return ChangeSummary(
        action=RENEW,
        phase=RENEW,
        certificate=item.name,
        before=None if present is None else present.fingerprint,
        serial=None if present is None else present.facts().serial,
        issuer=None if renew is None else renew.issuer,
    )


def renewed_event(step: RenewStep, *, run: str, time: datetime) -> StepFinished:
    """The event for the end of a renewal."""
    after = step.after
    warned = [one.message for one in step.findings if one.code is Code.ISSUED_TWICE]
    return StepFinished(
        run=run,
        time=time,
        change=renewal_of(step.item),
        status=StepStatus.DONE if step.status is RenewStatus.RENEWED else StepStatus.FAILED,
        note="; ".join(warned)[:_MAX_MESSAGE] or None,
        problem=_problem(step.problems[0]) if step.problems else None,
        renewed=None if after is None else RenewedSummary.made_from(after, serial=after.facts().serial),
    )


def finished_event(step: Step, *, run: str, time: datetime) -> StepFinished:
    """The event for the end of a step."""
    note = step.waiting.detail if step.waiting is not None else step.note
    return StepFinished(
        run=run,
        time=time,
        change=summary_of(step.change),
        status=step.status,
        entry=step.entry,
        note=note,
        problem=_problem(step.problem) if step.problem is not None else None,
    )


def to_line(event: Event) -> bytes:
    """One line of visible ASCII: no name in it can act on a terminal that shows the file itself."""
    text = event.model_dump_json(exclude_none=True, ensure_ascii=True)
    return text.replace("\x7f", "\\u007f").encode() + b"\n"  # the only control character that JSON does not escape


def read_events(data: bytes) -> JournalRead:
    """The events in a journal's bytes, whatever they are. Raises nothing."""
    events: list[Event] = []
    torn = unknown = 0
    for line in BytesIO(data):
        if not line.startswith(_START):
            torn += line != b"\n"
            continue
        try:
            events.append(_EVENT.validate_json(line[:MAX_LINE]))
        except ValidationError as error:
            if error.errors(include_url=False, include_context=False, include_input=False)[0]["type"] == "json_invalid":
                torn += 1
            else:
                unknown += 1
    return JournalRead(tuple(events), torn, unknown)


def _problem(problem: Diagnostic) -> ProblemSummary:
    return ProblemSummary(code=problem.code, message=problem.message[:_MAX_MESSAGE])
