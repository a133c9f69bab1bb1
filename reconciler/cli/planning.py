"""`plan` and `show`: what would happen."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from reconciler.cli.session import STDOUT, Session, command, moment
from reconciler.cli.terminal import say
from reconciler.findings.errors import UsageError
from reconciler.findings.exits import ExitCode, strongest
from reconciler.plan.live import DeployChoice
from reconciler.plan.plan import Plan
from reconciler.reports.stacks import join
from reconciler.runs.plan import PlanRequest
from reconciler.runs.plan import plan as make
from reconciler.runs.plan_folder import open_folder
from reconciler.runs.recording import record
from reconciler.runs.stacks import plan_all
from reconciler.views.table import Display, render

OnlyOption = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="NAME", help="Limit the plan to certificates matching NAME (glob; repeatable)."),
]
AllowDeletesOption = Annotated[
    int | None, typer.Option("--allow-deletes", metavar="N", min=0, help="Allow up to N deletions in this run.")
]
AllowUnbindsOption = Annotated[
    int | None,
    typer.Option("--allow-unbinds", metavar="N", min=0, help="Allow up to N bindings to be removed in this run."),
]
PruneOption = Annotated[
    bool,
    typer.Option(
        "--prune", help="Delete uploaded certificates that were removed from mtls.toml (needs `prune = true`)."
    ),
]
TakeOverOption = Annotated[
    list[str] | None,
    typer.Option(
        "--take-over",
        metavar="STACK",
        help="Delete old certificates that STACK, listed in `former_stacks`, uploaded (repeatable).",
    ),
]

OverrideProtectOption = Annotated[
    list[str] | None,
    typer.Option(
        "--override-protect",
        metavar="NAME",
        help="Delete old certificates even if `protect` has NAME, which must be exact (repeatable).",
    ),
]
AllowEmptyOption = Annotated[
    bool,
    typer.Option("--allow-empty", help="Delete and unbind also if mtls.toml declares no certificate."),
]
DetailedOption = Annotated[bool, typer.Option("--detailed-exitcode", help="Exit with code 2 if there are changes.")]
OverrideFreezeOption = Annotated[
    str | None,
    typer.Option(
        "--override-freeze", metavar="REASON", help="Make changes during a freeze; REASON is kept in the journal."
    ),
]


AtOption = Annotated[
    datetime | None,
    typer.Option(
        "--at",
        metavar="DATE",
        parser=moment,
        help="Preview the plan at DATE (UTC): YYYY-MM-DD, also with a time, such as '2026-12-06 02:30'. The result"
        " can't be applied.",
    ),
]
LiveOption = Annotated[
    bool | None,
    typer.Option("--live/--no-live", help="Read live Workers too (default: `check_live` in `[policy]`)."),
]
DeployOption = Annotated[
    bool,
    typer.Option(
        "--deploy", help="Deploy Workers that use a different certificate live; update Hyperdrive and hostnames."
    ),
]
OverSplitOption = Annotated[bool, typer.Option("--over-split", help="Deploy even if that ends a gradual deployment.")]
BaseOption = Annotated[
    str | None,
    typer.Option("--base", metavar="REV", help="Warn first of settings that protect less than at REV (runs git)."),
]
RecordInputsOption = Annotated[
    Path | None,
    typer.Option(
        "--record-inputs",
        metavar="FILE",
        help="Also record all that this plan was made from, without keys, for `mtlsctl replay FILE`.",
    ),
]
PlanOutOption = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="FILE", help="Save the plan for `mtlsctl apply FILE`; of several stacks, a folder of plans."
    ),
]


@command(
    example="mtlsctl plan --detailed-exitcode --out plan.json\nmtlsctl plan --all --out plans", shows=(Plan,), asks=True
)
def plan(
    session: Session,
    out: PlanOutOption = None,
    detailed_exitcode: DetailedOption = False,
    only: OnlyOption = None,
    at: AtOption = None,
    offline: Annotated[bool, typer.Option("--offline", help="Read files only; ask no server.")] = False,
    allow_deletes: AllowDeletesOption = None,
    allow_unbinds: AllowUnbindsOption = None,
    prune: PruneOption = False,
    take_over: TakeOverOption = None,
    override_protect: OverrideProtectOption = None,
    allow_empty: AllowEmptyOption = False,
    live: LiveOption = None,
    deploy: DeployOption = False,
    over_split: OverSplitOption = False,
    base: BaseOption = None,
    record_inputs: RecordInputsOption = None,
    pseudonyms: Annotated[
        bool, typer.Option("--pseudonyms", help="Record with pseudonyms for all names, also in certificates.")
    ] = False,
) -> None:
    """Show what `apply` would do, and why.

    Needs no private key, runs no command and changes nothing, so it is safe to run on a pull request. Only with --base
    it runs git, which reads mtls.toml of that revision, and nothing else.
    """
    request = PlanRequest(
        only=tuple(only or ()),
        at=at,
        offline=offline,
        allow_deletes=allow_deletes,
        allow_unbinds=allow_unbinds,
        prune=prune,
        take_over=tuple(take_over or ()),
        unprotected=tuple(override_protect or ()),
        allow_empty=allow_empty,
        live=live,
        deploy=DeployChoice(everybody=deploy, over_split=over_split),
        base=base,
    )
    demand_own_file("--record-inputs", record_inputs, out)
    if pseudonyms and record_inputs is None:
        raise UsageError("`--pseudonyms` is about a recording", hint="add `--record-inputs FILE`")
    if session.is_over_several:
        _plan_several(session, request, out, record_inputs, detailed_exitcode=detailed_exitcode)
    project = session.open_project()
    planned = make(project, request)
    again = apply_with(request, None if out == STDOUT else out)
    made = replace(planned.plan, apply_with=(*session.selection, *again))
    if record_inputs is not None:
        recording = record(planned, session.place, pseudonyms=pseudonyms)
        session.write(record_inputs, render(recording, "json", session.display(sys.stdout)), option="--record-inputs")
    if out is not None:
        session.write(out, render(made, "json", session.display(sys.stdout)))
    if out != STDOUT:
        session.show(made)
    elif session.format != "json":
        say(render(made, session.format, session.display(sys.stderr)), err=True, nl=False)
    raise typer.Exit(_exit_code(made, detailed=detailed_exitcode))


def demand_own_file(option: str, file: Path | None, *others: Path | None) -> None:
    """Raise UsageError if the file of an option is standard output, or that of another option."""
    if file == STDOUT:
        raise UsageError(f"`{option} -`: a record is a file, not standard output", hint="name a file")
    if file is not None and os.path.realpath(file) in {os.path.realpath(one) for one in others if one is not None}:
        raise UsageError(f"`{option} {file}` is also the file of PLAN or `--out`", hint="name another file")


def _exit_code(made: Plan, *, detailed: bool) -> ExitCode:
    return strongest((made.exit_code, *([ExitCode.CHANGES] if detailed and made.changes else ())))


def _plan_several(
    session: Session, request: PlanRequest, out: Path | None, record_inputs: Path | None, *, detailed_exitcode: bool
) -> NoReturn:
    """Show the plans of several stacks, save each in a folder, and end the command."""
    if record_inputs is not None:
        raise UsageError("`--record-inputs` is of one stack", hint="name one mtls.toml with `--file`")
    if out == STDOUT:
        raise UsageError("`--out -` can't print the plans of several stacks", hint="name a folder: `--out plans`")
    members = session.open_members()
    folder = open_folder(out, members) if out is not None else None
    stacks = plan_all(members, request)
    results = []
    for member, result in zip(members, stacks.results, strict=True):
        if isinstance(result.report, Plan):
            path = folder.path_of(member) if folder is not None else None
            arguments = ("-f", member.file, *apply_with(request, path))
            made = replace(result.report, apply_with=arguments)
            if path is not None:
                display = Display(result.place, folder=result.folder)
                session.write(path, render(made, "json", display))
            result = replace(result, report=made, exit_code=_exit_code(made, detailed=detailed_exitcode))
        results.append(result)
    session.end_with_all(join("plan", results), None)


def apply_with(request: PlanRequest, out: Path | None) -> tuple[str, ...]:
    """The arguments of `mtlsctl apply` for this plan."""
    if out is not None:
        return (str(out), *overrides_of(request))
    words = [word for name in request.only for word in ("--only", name)]
    if request.allow_deletes is not None:
        words += ["--allow-deletes", str(request.allow_deletes)]
    if request.allow_unbinds is not None:
        words += ["--allow-unbinds", str(request.allow_unbinds)]
    words += ["--prune"] if request.prune else []
    words += [word for stack in request.take_over for word in ("--take-over", stack)]
    words += ["--deploy"] if request.deploy.everybody else []
    words += ["--over-split"] if request.deploy.over_split else []
    return (*words, *overrides_of(request))


def overrides_of(request: PlanRequest) -> tuple[str, ...]:
    """The options that pass guard rails, which a saved plan does not have, because they are about acting."""
    words = [word for name in request.unprotected for word in ("--override-protect", name)]
    words += ["--allow-empty"] if request.allow_empty else []
    words += ["--override-freeze", request.freeze_reason] if request.freeze_reason is not None else []
    return tuple(words)
