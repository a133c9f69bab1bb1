"""`status`, `explain`, `output`, `drift` and `forecast`: what people ask every day."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from reconciler.cli.planning import LiveOption
from reconciler.cli.session import OutOption, Session, command
from reconciler.desired.durations import parse_duration
from reconciler.findings.codes import Code
from reconciler.findings.errors import UsageError
from reconciler.findings.escape import printable
from reconciler.findings.exits import ExitCode, strongest
from reconciler.model import Condition
from reconciler.plan.plan import exit_code_of
from reconciler.reports.current import Current, find_current
from reconciler.reports.drift import Drift
from reconciler.reports.explain import Explanation
from reconciler.reports.explain import explain as explain_name
from reconciler.reports.forecast import Forecast, make_forecast
from reconciler.reports.metrics import Metrics, make_metrics
from reconciler.reports.scope import Scope, known_here, narrow, show_only
from reconciler.reports.status import Alarm, FailOn, Status, make_status
from reconciler.reports.status import fail_on as with_alarms
from reconciler.runs.drift import find_drift
from reconciler.runs.explain import suggest_word, tell_deleted, word_meant
from reconciler.runs.plan import Planned, PlanRequest, plan
from reconciler.runs.project import Project
from reconciler.version import __version__

FailOnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-on", metavar="CONDITION", help="Exit 2 if expired, due[=21d], gap, waiting or within=21d holds."
    ),
]
DaysOption = Annotated[int, typer.Option("--days", metavar="N", min=1, max=3650, help="Forecast N days.")]
NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME", help="Limit to certificates matching NAME (glob), or to an ID that is bound."),
]
OwnerOption = Annotated[str | None, typer.Option("--owner", metavar="OWNER", help="Limit to certificates of OWNER.")]
DueOption = Annotated[bool, typer.Option("--due", help="Show only what is due for renewal or has expired.")]
ExpiredOption = Annotated[bool, typer.Option("--expired", help="Show only what has expired.")]
UnusedOption = Annotated[
    bool, typer.Option("--unused", help="Also search for unused certificates, shared keys and undeclared bindings.")
]


@command(
    example=(
        "mtlsctl status 'billing*' --due\nmtlsctl status --format prometheus --out /var/lib/node_exporter/mtlsctl.prom"
    ),
    shows=(Status, Metrics),
    asks=True,
)
def status(
    session: Session,
    names: NamesArgument = None,
    out: OutOption = None,
    owner: OwnerOption = None,
    due: DueOption = False,
    expired: ExpiredOption = False,
    live: LiveOption = None,
    fail_on: FailOnOption = None,
) -> None:
    """Show each certificate: expiry, bindings, what is due or kept.

    Shows first when calls begin to fail if nothing is done. Then a row for each certificate, the most urgent first, and
    details of those that need attention; give NAME for all details. Opens no private key and changes nothing.

    For a monitor: `--fail-on expired`, `due` (now), `due=21d` (within that time), `gap` (between two certificates),
    `waiting`, or `within=21d` (an outage within that time); repeatable. Exits with 2 if one of them holds. NAME and
    --owner limit what is judged; --due and --expired only limit the rows that are shown.

    `--format prometheus` prints metrics for node-exporter's textfile collector, `--format ics` a calendar.
    """
    asked = tuple((text, _alarm(text)) for text in fail_on or ())
    scope = Scope(tuple(names or ()), owner)
    is_limited = not scope.is_everything or due or expired
    if is_limited and session.can_show(Metrics):
        raise UsageError("metrics are of the whole stack", hint="leave out NAME, --owner, --due and --expired")
    known: set[str] = set()

    def make(project: Project) -> tuple[Status | Metrics, ExitCode] | None:
        planned = plan(project, PlanRequest(live=live))
        whole = make_status(planned.plan)
        here = known_here(whole, scope) if session.is_over_several else scope
        if here is None:
            return None
        known.update(here.words)
        found = with_alarms(narrow(whole, planned.plan, here), asked)
        alarmed = ExitCode.CHANGES if found.failed_on else ExitCode.OK
        exit_code = strongest((exit_code_of(found.diagnostics), alarmed))
        if session.can_show(Metrics):
            return Metrics(make_metrics(planned.plan, __version__)), exit_code
        return show_only(found, due=due, expired=expired), exit_code

    def demand() -> None:
        unknown = next((word for word in scope.words if word not in known), None)
        if unknown is not None:
            hint = "run `mtlsctl status --all` without it to see all names"
            raise UsageError(f"{unknown!r} is of no certificate in any of these stacks", hint=hint)

    session.end_with(make, out, demand)


def _alarm(text: str) -> FailOn:
    """The condition of one `--fail-on`; UsageError if it is not valid."""
    name, given, value = text.partition("=")
    words = [alarm.value for alarm in Alarm if alarm is not Alarm.WITHIN]
    hint = f"write one of {', '.join(words)}, or due=21d or within=21d"
    can_have_time = name in {Alarm.DUE, Alarm.WITHIN}
    if name not in set(Alarm) or (given and not can_have_time) or (not given and name == Alarm.WITHIN):
        raise UsageError(f"`--fail-on {printable(text)}` is not a condition", hint=hint)
    try:
        return FailOn(Alarm(name), parse_duration(value) if given else timedelta(0))
    except ValueError as error:
        raise UsageError(f"`--fail-on {printable(text)}`: the time {error}", hint=hint) from error


@command(
    example="mtlsctl explain billing\nmtlsctl explain renewal-due", shows=(Explanation, Code, Condition), asks=True
)
def explain(
    session: Session,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|CODE",
            help="A certificate, a binding, a Worker's label, an ID (8 or more characters), a finding's code, or a"
            " condition.",
        ),
    ],
    out: OutOption = None,
    live: LiveOption = None,
) -> None:
    """Explain why something is planned or not, or a finding's code.

    For a certificate: which upload is used and why, what happens to each binding, and each condition that an old
    version still waits for; with --live all conditions are checked. Opens no private key and changes nothing.

    For a code or a condition: its meaning and its fix, of a code also its severities and its exit code; no mtls.toml is
    needed. If mtls.toml declares the same name, that name is explained.
    """
    word = word_meant(name, session.open_project)
    if word is not None:
        session.show(word, out)
        return
    try:
        planned = plan(session.open_project(), PlanRequest(live=live, every_condition=True))
        found = explain_name(name, planned.plan)
    except UsageError as error:
        raise suggest_word(tell_deleted(error, name, session.open_project), name) from error
    session.show(found, out)


@command(example="mtlsctl output billing", shows=(Current,), asks=True)
def output(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A declared certificate.")],
    out: OutOption = None,
) -> None:
    """Print the ID of an uploaded certificate.

    Prints the ID that a binding would get now, alone on a line, for a pipeline, Terraform or Hyperdrive. If a renewed
    certificate is not valid yet, that is the older one. Exits with 1 if it is not uploaded yet, or has expired.
    """
    planned = _look(session.open_project())
    session.show(find_current(name, planned.plan), out)


@command(
    example="mtlsctl drift --format json --out drift.json\nmtlsctl drift --unused",
    shows=(Drift,),
    asks=True,
)
def drift(session: Session, unused: UnusedOption = False, out: OutOption = None, live: LiveOption = None) -> None:
    """List what differs from mtls.toml; exit 2 if anything does.

    An old certificate that is ready to be deleted is listed, but does not count for exit code 2.

    Finds what changed, is missing, or is not declared: among the uploaded certificates, in the wrangler files and in
    the certificate files; with --live in the live Workers too. Each finding has a key that stays the same from run to
    run. Opens no private key and changes nothing.

    With --unused it also searches all files of the tree: for unused certificates, one private key in several
    certificates, and undeclared bindings with a placeholder, an unknown ID or a certificate that is not managed here.
    Each of them is a finding like any other: the exit code is 2. It also warns of wrangler files that mtls.toml does
    not declare.
    """

    def make(project: Project) -> tuple[Drift, ExitCode]:
        found = find_drift(project, live=live, unused=unused)
        return found, found.exit_code

    session.end_with(make, out)


@command(example="mtlsctl forecast --days 120", shows=(Forecast,), asks=True)
def forecast(
    session: Session,
    days: DaysOption = 120,
    out: OutOption = None,
    offline: Annotated[bool, typer.Option("--offline", help="Read files only; show no quota.")] = False,
    live: LiveOption = None,
) -> None:
    """Show when renewals are due, and whether the quota suffices.

    Lists when each certificate must be renewed, who owns it and where it is bound. During a renewal the account holds
    the old and the new certificate, so it also shows how many the account will hold, and when they no longer fit. Shows
    its assumptions. Opens no private key and changes nothing.
    """

    def make(project: Project) -> tuple[Forecast, ExitCode]:
        planned = plan(project, PlanRequest(offline=offline, live=live, every_condition=True))
        found = make_forecast(planned.plan, days)
        return found, exit_code_of(found.diagnostics)

    session.end_with(make, out)


def _look(project: Project) -> Planned:
    """The plan, for a report without live Workers."""
    return plan(project, PlanRequest(live=False))
