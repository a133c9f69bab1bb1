"""`mtlsctl replay`: makes the plan of a recording again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.session import OutOption, Session, command
from reconciler.findings.errors import UsageError
from reconciler.findings.escape import printable
from reconciler.plan.plan import Plan
from reconciler.reports.explain import Explanation
from reconciler.reports.explain import explain as explain_name
from reconciler.runs.replay import replay_file


@command(
    example="mtlsctl replay recording.json\nmtlsctl replay recording.json --policy strict.toml --explain billing",
    shows=(Plan, Explanation),
)
def replay(
    session: Session,
    recording: Annotated[
        Path, typer.Argument(metavar="RECORDING", help="A file written by `mtlsctl plan --record-inputs`.")
    ],
    policy: Annotated[
        Path | None,
        typer.Option(
            "--policy", metavar="FILE", help="Use the `[policy]` of this mtls.toml instead of the recorded one."
        ),
    ] = None,
    explain: Annotated[
        str | None,
        typer.Option("--explain", metavar="NAME", help="Explain a certificate, binding, Worker or ID of that plan."),
    ] = None,
    out: OutOption = None,
) -> None:
    """Make a recorded plan again, and show it.

    Reads that file only: not mtls.toml, and nothing from Cloudflare or the local store. The result shows why something
    was planned, and is the plan of that time; it can't be applied. Exits as `mtlsctl plan` did.

    With --policy it shows what another `[policy]` would have planned. What the recorded run did not read, because its
    own policy did not need it, is unknown then, and what depends on it is kept.
    """
    if explain is not None and not session.can_show(Explanation):
        raise UsageError(f"`--format {session.format}` can't show an explanation", hint="use text or json")
    done = replay_file(recording, policy)
    session.resolve = done.place
    names = ", with pseudonyms for all names" if done.recording.pseudonyms else ""
    of = f"the plan of {done.plan.made:%Y-%m-%d %H:%M} UTC, recorded by mtlsctl {printable(done.recording.version)}"
    session.tell(f"{recording}: {of}{names}. Nothing else was read.")
    if explain is not None:
        session.show(explain_name(explain, done.plan), out)
        return
    session.show(done.plan, out)
    raise typer.Exit(done.plan.exit_code)
