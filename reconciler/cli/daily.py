"""`status`, `explain`, `output`, `drift` and `forecast`: what people ask every day."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from reconciler.cli.planning import LiveOption
from reconciler.cli.session import OutOption, Session, command
from reconciler.findings.codes import Code
from reconciler.findings.errors import UsageError
from reconciler.plan.plan import exit_code_of
from reconciler.reports.current import Current, find_current
from reconciler.reports.drift import Drift
from reconciler.reports.drift_live import join_live
from reconciler.reports.drift_look import make_drift
from reconciler.reports.explain import Explanation
from reconciler.reports.explain import explain as explain_name
from reconciler.reports.forecast import Forecast, make_forecast
from reconciler.reports.metrics import Metrics, make_metrics
from reconciler.reports.orphans import Orphans, find_orphans, unreferenced
from reconciler.reports.status import Status, make_status
from reconciler.runs.explain import code_meant, suggest_code
from reconciler.runs.plan import Planned, PlanRequest, plan
from reconciler.runs.project import Project
from reconciler.version import __version__

DaysOption = Annotated[int, typer.Option("--days", metavar="N", min=1, max=3650, help="How far to look.")]
OrphansOption = Annotated[
    bool, typer.Option("--orphans", help="What does not belong together in store and wrangler files instead.")
]


@command(
    example="mtlsctl status --format prometheus --out /var/lib/node_exporter/mtlsctl.prom",
    shows=(Status, Orphans, Metrics),
    asks=True,
)
def status(session: Session, out: OutOption = None, orphans: OrphansOption = False, live: LiveOption = None) -> None:
    """Show what is due, bound and waiting.

    Every declared certificate, the most urgent first: its entry, its end, its owner, where it is bound and where not
    yet, what waits and until when. What needs attention comes last. Opens no private key and changes nothing.

    With `--orphans` instead: entries that nothing refers to, ids that lead nowhere or to what is not ours, keys in
    several certificates, what has expired and is still bound; each with the line or the command that mends it.

    `--format prometheus` prints metrics for node-exporter's textfile collector.
    """
    if orphans:
        _show_orphans(session, out)
    planned = plan(session.open_project(), PlanRequest(live=live))
    found = make_status(planned.plan)
    if session.can_show(Metrics):
        session.show(Metrics(make_metrics(planned.plan, __version__)), out)
    else:
        session.show(found, out)
    raise typer.Exit(exit_code_of(found.diagnostics))


@command(example="mtlsctl explain billing, or mtlsctl explain renewal-due", shows=(Explanation, Code), asks=True)
def explain(
    session: Session,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|CODE",
            help="A certificate, a binding, a Worker's label, the ID of an uploaded certificate, or a finding's code.",
        ),
    ],
    out: OutOption = None,
    live: LiveOption = None,
) -> None:
    """Say why something is planned, or not; or what a finding's code means.

    Which entry a certificate has and why that one, what would happen to each binding, and each condition that an old
    entry still waits for. Opens no private key and changes nothing.

    For a code: its severities, its exit code, its meaning and its fix. No mtls.toml is needed for that; a name that
    mtls.toml declares is explained instead.
    """
    code = code_meant(name, session.open_project)
    if code is not None:
        session.show(code, out)
        return
    try:
        planned = plan(session.open_project(), PlanRequest(live=live))
        found = explain_name(name, planned.plan)
    except UsageError as error:
        raise suggest_code(error, name) from error
    session.show(found, out)


@command(example="mtlsctl output billing", shows=(Current,), asks=True)
def output(
    session: Session,
    name: Annotated[str, typer.Argument(help="A declared certificate.")],
    out: OutOption = None,
) -> None:
    """Print the id of a certificate's entry.

    Alone on a line, for a pipeline, Terraform or Hyperdrive. Exit 1 where the certificate is not stored yet.
    """
    planned = _look(session.open_project())
    session.show(find_current(name, planned.plan), out)


@command(example="mtlsctl drift --format json --out drift.json", shows=(Drift,), asks=True)
def drift(session: Session, out: OutOption = None, live: LiveOption = None) -> None:
    """Show what is not as declared; exit 2 where anything is.

    Certificates, bindings and entries that changed, are missing, or are there without being declared: in the store, in
    the wrangler files, in the certificate files; with `--live` in what serves too. Each has a key that stays the same
    from run to run. Looks at what a plan looks at, opens no private key and changes nothing.
    """
    planned = plan(session.open_project(), PlanRequest(live=live))
    found = make_drift(planned.plan)
    if planned.plan.live is not None:
        found = join_live(found, planned.plan)
    session.show(found, out)
    raise typer.Exit(found.exit_code)


@command(example="mtlsctl forecast --days 120", shows=(Forecast,), asks=True)
def forecast(
    session: Session,
    days: DaysOption = 120,
    out: OutOption = None,
    offline: Annotated[bool, typer.Option("--offline", help="Read files only: dates, but no quota.")] = False,
    live: LiveOption = None,
) -> None:
    """Show what falls due when, against the quota.

    When each certificate is to be renewed, whose it is and where it is bound. A renewal needs an entry beside the old
    one until that is retired: so also how many entries the account will hold, and when they do not fit. What this rests
    on is said. Looks at what a plan looks at, opens no private key and changes nothing.
    """
    planned = plan(session.open_project(), PlanRequest(offline=offline, live=live))
    found = make_forecast(planned.plan, days)
    session.show(found, out)
    raise typer.Exit(exit_code_of(found.diagnostics))


def _look(project: Project) -> Planned:
    """The plan, with what it was made from, for a report that says nothing of live Workers."""
    return plan(project, PlanRequest(live=False))


def _show_orphans(session: Session, out: Path | None) -> NoReturn:
    """What of store and wrangler files does not belong together; ends the command."""
    session.demand(Orphans, "`status --orphans`")
    project = session.open_project()
    planned = _look(project)
    sweep = project.files.sweep(unreferenced(planned.plan))
    found = find_orphans(planned.plan, sweep)
    session.show(found, out)
    raise typer.Exit(exit_code_of(found.diagnostics))
