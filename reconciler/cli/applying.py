"""`apply` and `retire`: what changes something, under the lock of the checkout."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.carrying import Doing, confirm, perform, warn_of_keys
from reconciler.cli.planning import (
    AllowDeletesOption,
    AllowEmptyOption,
    AllowUnbindsOption,
    DeployOption,
    OnlyOption,
    OverrideFreezeOption,
    OverrideProtectOption,
    OverSplitOption,
    PruneOption,
    TakeOverOption,
    apply_with,
    overrides_of,
)
from reconciler.cli.record import RecordOption, record_keeper
from reconciler.cli.saved import read_saved
from reconciler.cli.session import Session, command, seconds
from reconciler.cli.several import Saved, apply_several
from reconciler.cli.terminal import TEXT, say
from reconciler.desired.durations import parse_duration
from reconciler.desired.rules import Refused, accepts, check_text
from reconciler.findings.errors import GuardError, UsageError
from reconciler.findings.escape import printable
from reconciler.findings.suggest import nearest
from reconciler.model import CertificateName, EntryId, Phase
from reconciler.model.identifiers import is_short_id
from reconciler.plan.approval import demand_digest
from reconciler.plan.live import DeployChoice
from reconciler.plan.plan import Plan
from reconciler.plan.policy import PATIENCE
from reconciler.reports.explain import DELETED
from reconciler.reports.explain_entries import why_it_stays
from reconciler.reports.kept import hint_to_make_old, hint_to_retire, nothing_to_retire
from reconciler.reports.left import Applied
from reconciler.runs.apply import demand_programs, parse_waves
from reconciler.runs.journal import NO_RUN
from reconciler.runs.operator import demand_merged
from reconciler.runs.plan import Planned, PlanRequest, plan_approved
from reconciler.runs.plan import plan as make
from reconciler.runs.project import Project
from reconciler.views.table import render
from reconciler.views.text.lines import until_text


class PhaseName(StrEnum):
    """The phases of `--phase`."""

    UPLOAD = "upload"
    BIND = "bind"
    DEPLOY = "deploy"
    UPDATE = "update"
    VERIFY = "verify"
    RETIRE = "retire"


def read_waves(text: str) -> tuple[int | None, ...]:
    """The sizes of `--wave`."""
    try:
        return parse_waves(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not valid: write sizes, such as 1,5,all", param_hint="--wave") from error


AllowCommandsOption = Annotated[
    bool, typer.Option("--allow-commands", help="Start the commands of mtls.toml that print private keys.")
]
OutcomeOutOption = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Also write the outcome to FILE.")]
PhaseOption = Annotated[
    list[PhaseName] | None,
    typer.Option(
        "--phase", metavar="PHASE", help="Run only upload, bind, deploy, update, verify or retire (repeatable)."
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Apply without asking.")]
LockTimeoutOption = Annotated[
    str,
    typer.Option("--lock-timeout", metavar="TIME", help="Wait at most TIME for another run to end: 30s, 5m."),
]


@command(example="mtlsctl apply plan.json --lock-timeout 5m", shows=(Applied,), asks=True)
def apply(
    session: Session,
    saved: Annotated[Path | None, typer.Argument(metavar="PLAN", help="A plan saved by `plan --out`.")] = None,
    out: OutcomeOutOption = None,
    record: RecordOption = None,
    yes: YesOption = False,
    phase: PhaseOption = None,
    only: OnlyOption = None,
    allow_deletes: AllowDeletesOption = None,
    allow_unbinds: AllowUnbindsOption = None,
    prune: PruneOption = False,
    take_over: TakeOverOption = None,
    override_protect: OverrideProtectOption = None,
    allow_empty: AllowEmptyOption = False,
    override_freeze: OverrideFreezeOption = None,
    digest: Annotated[
        str | None, typer.Option("--digest", metavar="D", help="Apply only if the plan has this digest.")
    ] = None,
    deploy: DeployOption = False,
    wave: Annotated[
        str,
        typer.Option("--wave", metavar="N,N,all", help="Deploy N Workers, then the next N, then the rest."),
    ] = "all",
    over_split: OverSplitOption = False,
    allow_commands: AllowCommandsOption = False,
    lock_timeout: LockTimeoutOption = "0s",
    max_age: Annotated[
        str, typer.Option("--max-age", metavar="TIME", help="Refuse a saved PLAN older than TIME: 12h, 7d.")
    ] = "7d",
) -> None:
    """Upload, bind and retire what `plan` shows.

    Uploads missing certificates, writes their IDs into the wrangler files, deploys and updates Hyperdrive and
    hostnames if you ask for it, and deletes old certificates that nothing uses. Shows the plan and asks before it
    changes anything. It is always safe to run again.

    With a saved PLAN it plans again and runs only if every change it finds is in PLAN.

    What `protect`, a freeze or an mtls.toml without certificates holds back is not done, and the exit code is 3. The
    options that allow it are for this run, with or without PLAN.
    """
    if allow_commands:
        demand_merged(os.environ, "apply --allow-commands")
    stacks = tuple(take_over or ())
    given = {
        "--only": only,
        "--allow-deletes": allow_deletes is not None,
        "--allow-unbinds": allow_unbinds is not None,
        "--prune": prune,
        "--take-over": stacks,
    }
    if saved is not None and any(given.values()):
        names = " and ".join(f"`{name}`" for name, value in given.items() if value)
        raise UsageError(
            f"{names} can't be combined with a saved plan, which says already what is done",
            hint="leave that out, or make a new plan with it: `mtlsctl plan --out FILE`",
        )
    if digest is not None and not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise UsageError(
            f"`--digest {printable(digest)}` is not a digest", hint="copy it whole: `sha256:` and 64 hexadecimal digits"
        )
    wanted = DeployChoice(everybody=deploy, over_split=over_split)
    request = PlanRequest(
        only=tuple(only or ()),
        allow_deletes=allow_deletes,
        allow_unbinds=allow_unbinds,
        prune=prune,
        take_over=stacks,
        deploy=wanted,
        patience=PATIENCE,
        acts=True,
        unprotected=tuple(override_protect or ()),
        allow_empty=allow_empty,
        freeze_reason=_reason(override_freeze),
    )
    words: tuple[str, ...] = (str(saved), *overrides_of(request)) if saved is not None else apply_with(request, None)
    words += tuple(word for name in phase or () for word in ("--phase", name))
    words += ("--allow-commands",) if allow_commands else ()
    again = ("apply", *session.selection, *words, *(("--deploy",) if deploy and saved is not None else ()))
    keep = record_keeper(session, record, saved, out)
    phases = tuple(Phase(name) for name in phase) if phase else tuple(Phase)
    doing = Doing(phases, again, read_waves(wave), keep, allow_commands=allow_commands)
    timeout_s, age = seconds(lock_timeout, "--lock-timeout"), _age(max_age)
    if session.is_over_several or (saved is not None and _is_folder(saved)):
        if digest is not None:
            raise UsageError("`--digest` is of one plan", hint="name one stack with `--file`, and its plan")
        apply_several(session, request, Saved(saved, age) if saved else None, doing, timeout_s, yes=yes, out=out)
    project = session.open_project()
    project.allow_commands = allow_commands
    approved = read_saved(session, saved) if saved is not None else None
    with project.lock(command="apply", timeout_s=timeout_s, waiting=session.tell) as held:
        keep(NO_RUN)
        planned = make(project, request) if approved is None else plan_approved(project, approved, request, age)
        if digest is not None:
            demand_digest(planned.plan, digest, approved, str(saved))
        _carry_out(session, project, planned, doing, held, yes=yes or approved is not None, out=out)


@command(
    example="mtlsctl retire billing --now\nmtlsctl retire billing --now --ignore-rollback", shows=(Applied,), asks=True
)
def retire(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME|ID", help="A certificate, or an ID (8 or more characters).")],
    now: Annotated[bool, typer.Option("--now", help="Skip the grace period (for a leaked key).")] = False,
    ignore_rollback: Annotated[
        bool,
        typer.Option("--ignore-rollback", help="Delete even if a rollback could restore a version that uses it."),
    ] = False,
    out: OutcomeOutOption = None,
    record: RecordOption = None,
    yes: YesOption = False,
    allow_deletes: AllowDeletesOption = None,
    take_over: TakeOverOption = None,
    override_protect: OverrideProtectOption = None,
    override_freeze: OverrideFreezeOption = None,
    lock_timeout: LockTimeoutOption = "0s",
) -> None:
    """Delete the old versions of one certificate.

    Deletes only what its successor has replaced everywhere, or what was removed from mtls.toml. For a leaked key, apply
    the new certificate first, then run this with --now. `mtlsctl explain NAME` shows what an old version waits for.

    With --ignore-rollback, versions that a rollback could restore do not count; the plan names those to which no one
    can go back then. What live versions use is never deleted.
    """
    keep = record_keeper(session, record, out)
    project = session.open_project()
    with project.lock(
        command="retire", timeout_s=seconds(lock_timeout, "--lock-timeout"), waiting=session.tell
    ) as held:
        keep(NO_RUN)
        stacks = tuple(take_over or ())
        request = PlanRequest(
            retire=name,
            skip_grace=now,
            ignore_rollback=ignore_rollback,
            allow_deletes=allow_deletes,
            prune=True,
            take_over=stacks,
            live=False,
            acts=True,
            unprotected=tuple(override_protect or ()),
            freeze_reason=_reason(override_freeze),
        )
        planned = make(project, request)
        _demand_retirable(planned, planned.request.retire or name, now=now)
        again = [
            "retire",
            *session.selection,
            name,
            *(["--now"] if now else []),
            *(["--ignore-rollback"] if ignore_rollback else []),
        ]
        again += [*(word for stack in stacks for word in ("--take-over", stack)), *overrides_of(request)]
        _carry_out(session, project, planned, Doing((Phase.RETIRE,), again, keep=keep), held, yes=yes, out=out)


def _reason(text: str | None) -> str | None:
    """The reason to change something during a freeze; UsageError if it says nothing."""
    if text is not None and not accepts(check_text, text):
        hint = "write why it can't wait, such as a ticket: 1 to 100 printable characters, on one line"
        raise UsageError("`--override-freeze` needs a reason, which the journal keeps", hint=hint)
    return text


def _is_folder(path: Path) -> bool:
    """False for a name that no file can have, too: reading it reports that."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _age(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except Refused as error:
        raise typer.BadParameter(f"{text!r} is not a valid time: write 12h or 7d", param_hint="--max-age") from error


def _demand_retirable(planned: Planned, name: str, *, now: bool) -> None:
    """Raise GuardError or UsageError, with the reason, if nothing can be deleted."""
    if planned.plan.changes:
        return
    waiting = planned.plan.waiting
    if waiting:
        first = waiting[0]
        entry = first.entry.id if first.entry is not None else ""
        raise GuardError(
            f"{entry} of {first.certificate!r} can't be retired yet: {first.detail}{until_text(first)}",
            hint=hint_to_retire(first, name, planned.plan.assessment, skips_grace=now),
        )
    row = planned.plan.assessment.by_name.get(CertificateName(name))
    if row is not None:
        if row.bundle is None:
            raise GuardError(
                f"the certificate file of {name!r} could not be read, so it is unknown which uploads are old",
                hint="fix that file, then run this again; `mtlsctl validate` shows what is wrong with it",
            )
        return  # the plan is empty, which is what was asked for
    entry_row = planned.plan.assessment.by_entry.get(EntryId(name))
    if entry_row is None:
        raise UsageError(
            f"{name!r} is neither a certificate in mtls.toml nor the ID of an uploaded one",
            hint=DELETED if is_short_id(name) else _meant(name, planned.plan),
        )
    raise GuardError(
        f"{name} is not an old version, so it is not deleted:"
        f" {why_it_stays(entry_row.role, entry_row.entry, entry_row.owner)}",
        hint=hint_to_make_old(entry_row, planned.plan.assessment),
    )


def _meant(name: str, made: Plan) -> str:
    """What to write instead of a name that is unknown."""
    rows = made.assessment.entries
    near = nearest(name, [*made.assessment.by_name, *(row.owner for row in rows if row.owner is not None)])
    lists = "run `mtlsctl status` to list both"
    return lists if near is None else f"did you mean `{printable(near)}`? Else {lists}"


def _carry_out(
    session: Session,
    project: Project,
    planned: Planned,
    doing: Doing,
    held: Callable[[], None],
    *,
    yes: bool,
    out: Path | None,
) -> None:
    """Show the plan, ask, apply it, show the outcome, and end the command."""
    text = session.format == TEXT
    made = planned.plan
    pending = doing.is_pending(made)
    if made.selection.retire is not None and not (made.changes or made.waiting or made.exit_code):
        say(nothing_to_retire(CertificateName(made.selection.retire), made.assessment), err=not text)
    elif text or (pending and not yes):
        say(render(made, TEXT, session.display(sys.stdout)), nl=False, err=not text)
    if pending:
        demand_programs(project, planned, doing.phases)
        if not yes:
            warn_of_keys(made, project, doing.phases)
        confirm(yes, can_save=doing.again[0] == "apply")
    applied = perform(session, project, planned, doing, held)
    if not text or applied.outcome.steps or applied.to_deploy or out is not None:
        session.show(applied, out)
    raise typer.Exit(applied.outcome.exit_code)
