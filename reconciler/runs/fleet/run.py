"""One pass over a fleet: look at what is due, account by account; then act, stack by stack, as far as it is allowed."""

from __future__ import annotations

import contextvars
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import field, replace
from datetime import datetime
from threading import Lock

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.errors import ReconcilerError, UsageError
from reconciler.findings.escape import printable
from reconciler.findings.exits import ExitCode, strongest
from reconciler.findings.suggest import nearest
from reconciler.findings.values import dataclass
from reconciler.model import Act
from reconciler.model.concurrency import run_all
from reconciler.model.fleet import Acted, ActState, FleetRecord, LookState, StackKey, StackRow
from reconciler.model.forges import Proposals
from reconciler.plan.fleet import Circumstances, Missed, Permit, find_missed, find_work, is_due, permit
from reconciler.plan.plan import Plan
from reconciler.reports.checks import RunFailure
from reconciler.reports.fleet import (
    UNREAD,
    VANISHED,
    FleetStackStatus,
    FleetStatus,
    StackState,
    look_after,
    make_fleet_status,
)
from reconciler.reports.stacks import StackResult, Stacks, join
from reconciler.runs.fleet.act import act_on, not_renewed
from reconciler.runs.fleet.listed import list_fleet
from reconciler.runs.fleet.look import Looked, code_of, look_at, no_forge_text
from reconciler.runs.fleet.members import FleetMember
from reconciler.runs.fleet.opened import Desk, OpenedFleet
from reconciler.runs.fleet.proposals import open_forge
from reconciler.x509.certificates import quiet


@dataclass(frozen=True, slots=True)
class PassRequest:
    """The options of a pass. `everything`: look at what is not due, too. `misses`: which missing stacks are reported.
    `acts`: change something; else it only shows what would be allowed. `remembers`: write down what was found.
    `paused`: the stacks that are not changed, each with the reason."""

    everything: bool = False
    misses: Callable[[StackRow], bool] = lambda _: True
    acts: bool = True
    remembers: bool = True
    paused: Mapping[StackKey, str] = field(default_factory=dict)


def run_pass(
    command: str,
    desk: Desk,
    members: Sequence[FleetMember],
    record: FleetRecord,
    request: PassRequest,
    tell: Callable[[str], None],
) -> Stacks:
    """The results of all stacks that were due, and the alarms. LockedError if another pass runs."""
    run = _Pass(desk, record, request, tell)
    with record.locked() if request.remembers else nullcontext():
        return join(command, tuple(run.results(members)))


def missed_of(opened: OpenedFleet, rows: Sequence[StackRow]) -> Missed:
    """The known stacks that were not found. Where a glob could not be searched, a stack may still be there."""
    found = {one.key for one in opened.members if one.key is not None}
    found |= {(one.account or "", name) for one in opened.members for name in one.member.former_stacks}
    broken = {one.file for one in opened.members if one.key is None}
    return find_missed(rows, found, broken | {row.file for row in opened.unread_rows(rows)}, opened.retired(rows))


def status_of(
    opened: OpenedFleet,
    members: Sequence[FleetMember],
    record: FleetRecord,
    now: datetime,
    misses: Callable[[StackRow], bool],
) -> FleetStatus:
    """How these stacks were when they were checked. `misses`: which missing stacks are shown, too. Asks no server of
    Cloudflare."""
    rows = record.rows()
    missing = [one for one in missing_of(opened, rows) if misses(one[0])]
    found = make_fleet_status(list_fleet(opened, members), rows, missing, opened.fleet.alias, now, record.pauses())
    shrunk = missed_of(opened, rows).shrunk
    if shrunk:
        found = replace(found, diagnostics=(*found.diagnostics, _shrunk(opened)))
    around = Circumstances(opened.deny_text(now), shrunk, opened.fleet.max_acts)
    by_file = {one.member.file: one for one in members}
    stacks = tuple(_held(one, by_file.get(one.one.file), opened, around) for one in found.stacks)
    return replace(found, stacks=stacks, queue=record.queue())


def _held(
    one: FleetStackStatus, member: FleetMember | None, opened: OpenedFleet, around: Circumstances
) -> FleetStackStatus:
    """The same; with what holds the changes of a stack now, if nothing else is said of it."""
    if member is None or one.state is not StackState.CHANGES or one.message is not None:
        return one
    allowed = _permit_of(member, LookState.CHANGES, opened, around)
    return replace(one, message=allowed.why) if allowed.act is Act.NONE else one


def _permit_of(one: FleetMember, state: LookState, opened: OpenedFleet, around: Circumstances) -> Permit:
    source = opened.file.named_act(one.rule, opened.fleet)
    return permit(opened.fleet, one.rule.act, one.member.act, state, around, source=source)


@dataclass(frozen=True, slots=True)
class KnownStack:
    """A stack that the fleet has, or had. `file`: its mtls.toml; None if it is not known any more. `member`: None if it
    is not there now. `message`: what is wrong with it."""

    account: str
    stack: str
    file: str | None = None
    member: FleetMember | None = None
    message: str | None = None

    @property
    def key(self) -> StackKey:
        """What tells it from others."""
        return self.account, self.stack


def find_stacks(opened: OpenedFleet, rows: Sequence[StackRow], name: str) -> tuple[KnownStack, ...]:
    """The stacks with this name or this file, also those that are not there any more."""
    found: dict[StackKey, KnownStack] = {}
    for one in opened.members:
        if one.key is not None and name in (one.member.stack, one.file):
            message = one.member.problem.message if one.member.problem is not None else None
            found[one.key] = KnownStack(*one.key, one.file, one, message)
    missing = {row.key: message for row, message in missing_of(opened, rows)}
    broken = {one.file: one.member.problem.message for one in opened.members if one.key is None and one.member.problem}
    is_file_of_member = any(one.file == name for one in found.values())  # whichever stack it was before
    for row in rows:
        if name in (row.stack, None if is_file_of_member else row.file) and row.key not in found:
            message = missing.get(row.key) or broken.get(row.file) or VANISHED
            found[row.key] = KnownStack(*row.key, row.file, message=message)
    return tuple(found.values())


def the_one(opened: OpenedFleet, name: str, found: Sequence[KnownStack]) -> KnownStack:
    """The only stack of these. UsageError if there is none, or several; InputError if it may be in what could not be
    read."""
    if len(found) == 1:
        return found[0]
    if found:
        named = ", ".join(f"{one.file} ({opened.fleet.alias(one.account)})" for one in found)
        message = f"the fleet has {len(found)} stacks with the name {name!r}: {named}"
        raise UsageError(message, hint="name its file instead of the stack")
    message = f"the fleet has no stack with the name {name!r}, and remembers none"
    near = nearest(name, [one.member.stack for one in opened.members if one.member.stack is not None])
    raise opened.no_stack(message, f"did you mean `{printable(near)}`?" if near else "run `mtlsctl fleet list`")


def missing_of(opened: OpenedFleet, rows: Sequence[StackRow]) -> tuple[tuple[StackRow, str], ...]:
    """The known stacks that are not there now, each with the reason."""
    return (
        *((row, VANISHED) for row in missed_of(opened, rows).vanished),
        *((row, UNREAD) for row in opened.unread_rows(rows)),
    )


def vanished_result(row: StackRow, opened: OpenedFleet) -> StackResult:
    """The alarm for a stack that is not there any more."""
    message = f"the stack {row.stack!r} of the account {opened.fleet.alias(row.account)} was not found any more"
    retire = f"add {row.stack!r} to `retired` of its [[stacks]] in {opened.fleet.path}"
    hint = f"restore {row.file}; if it left for good, {retire}"
    found = Diagnostic(Severity.ERROR, Code.FLEET_STACK_MISSING, message, None, hint)
    return StackResult(row.file, row.stack, RunFailure((found,)), ExitCode.FAILED)


def _shrunk(opened: OpenedFleet) -> Diagnostic:
    """What holds every change while most stacks are missing."""
    message = "fewer than half of the known stacks were found, so nothing is changed anywhere"
    hint = "check the checkout and the globs; add the names of stacks that left to `retired`"
    return Diagnostic(Severity.ERROR, Code.FLEET_SHRUNK, message, Pointer(opened.fleet.path), hint)


def _alarm(opened: OpenedFleet, found: tuple[Diagnostic, ...], code: ExitCode) -> StackResult:
    """What is wrong with the fleet as a whole."""
    return StackResult(opened.fleet.path, None, RunFailure(found), code, opened.file.place, is_stack=False)


@dataclass(slots=True)
class _Pass:
    desk: Desk
    record: FleetRecord
    request: PassRequest
    tell: Callable[[str], None]
    acted: int = 0
    interrupted: bool = False
    _writing: Lock = field(default_factory=Lock)

    @property
    def opened(self) -> OpenedFleet:
        return self.desk.opened

    def results(self, members: Sequence[FleetMember]) -> Iterator[StackResult]:
        """Alarms first, then the stacks in the order of fleet.toml."""
        rows = {row.key: row for row in self.record.rows()}
        missed = missed_of(self.opened, tuple(rows.values()))
        if missed.retired and self.request.remembers:
            self.record.put((), leave_out=missed.retired)
        yield from self._alarms(missed)
        now = self.desk.clock.now()
        due = [one for one in members if self._is_due(one, rows, now)]
        looked = self._look(due, rows, now)
        with ExitStack() as stack:
            forge = None
            try:
                forge = open_forge(self.opened, self.desk.environ, self.tell) if self.request.acts else None
            except ReconcilerError as error:  # what needs no file is done all the same
                yield _alarm(self.opened, error.diagnostics(), error.exit_code)
            if forge is not None:
                stack.callback(forge.close)
            # What was changed last comes last, so that no stack waits forever behind `max_acts` others.
            order = sorted(due, key=lambda one: _last_acted(looked[one.file]))
            results = {one.file: _whole(self._act(looked[one.file], missed, forge), looked[one.file]) for one in order}
        yield from (results[one.file] for one in due)

    def _alarms(self, missed: Missed) -> Iterator[StackResult]:
        if self.opened.problems:
            yield _alarm(self.opened, self.opened.problems, ExitCode.FAILED)
        for row in filter(self.request.misses, missed.vanished):
            yield vanished_result(row, self.opened)
        if missed.shrunk:
            yield _alarm(self.opened, (_shrunk(self.opened),), ExitCode.BLOCKED)

    def _is_due(self, one: FleetMember, rows: dict[tuple[str, str], StackRow], now: datetime) -> bool:
        """A stack without a name is always shown: nothing can be remembered of it."""
        if self.request.everything or one.key is None or one.member.problem is not None:
            return True
        return is_due(rows.get(one.key), one.key, one.rule.look, now)

    # --- looks --------------------------------------------------------------------------------------------------------

    def _look(
        self, members: Iterable[FleetMember], rows: dict[tuple[str, str], StackRow], now: datetime
    ) -> dict[str, Looked]:
        """What was found of each, by its file. Accounts side by side, the stacks of one from one list."""
        groups: dict[tuple[str | None, str], list[FleetMember]] = defaultdict(list)
        for one in members:
            groups[one.account, one.rule.credential].append(one)

        def look(group: list[FleetMember]) -> tuple[Looked, ...]:
            found = tuple(self._remember(one, rows) for one in look_at(self.desk, group, now))
            with self._writing:
                self._put(one.row for one in found)
            return found

        at_once = max(1, min(self.opened.fleet.concurrency, len(groups)))
        with quiet():  # once, around all threads: what it does is of the whole process
            context = contextvars.copy_context()
            effect = lambda group: context.copy().run(look, group)  # noqa: E731
            done = run_all(effect, list(groups.values()), at_once)
        return {one.one.file: one for group in done for one in group}

    def _remember(self, looked: Looked, rows: dict[tuple[str, str], StackRow]) -> Looked:
        """The same, with what was known before and is still true."""
        if looked.row is None:
            return looked
        if looked.one.member.problem is not None:  # read again by each command, so it is shown until it is corrected
            return replace(looked, row=None)
        before = rows.get(looked.row.key)
        if before is None:
            return looked
        success, act, look = looked.row.success or before.success, before.act, looked.row.look
        if look is not None and before.look is not None and look.state is LookState.FAILED:
            look = replace(look, outage=look.outage or before.look.outage)  # it comes all the same
        if act is not None and act.state is ActState.BEGUN:  # no other pass runs
            act = replace(act, state=ActState.INTERRUPTED)
        return replace(looked, row=replace(looked.row, look=look, success=success, act=act))

    def _put(self, rows: Iterable[StackRow | None]) -> None:
        if self.request.remembers:
            self.record.put([row for row in rows if row is not None])

    # --- acts ---------------------------------------------------------------------------------------------------------

    def _act(self, looked: Looked, missed: Missed, forge: Proposals | None) -> StackResult:
        """The result of a stack, after what may be done was done."""
        made, row, one = looked.result.report, looked.row, looked.one
        if not isinstance(made, Plan) or row is None or row.look is None:
            return looked.result
        allowed = self._permit(one, row.look.state, missed)
        renewed = [name for name in looked.due if name not in one.not_renewed]
        act = allowed.act if allowed.act is not Act.NONE else one.act
        work = find_work(made.changes, renewed, act, self._no_forge(forge))
        left = [work.held, looked.result.note, *(f"{found.message}; {found.hint}" for found in not_renewed(looked))]
        if not work.is_any:
            why = allowed.why if allowed.act is Act.NONE else f"nothing of this is {allowed.why}"
            notes = [_frozen_text(made) if not made.changes else why if work.held is None else None, *left]
            return replace(looked.result, note="; ".join(filter(None, notes)))
        if self.interrupted:
            return replace(looked.result, note="not done: the pass was interrupted")
        if allowed.act is Act.NONE or not self.request.acts:
            self.acted += allowed.act is not Act.NONE  # what would be changed counts for `max_acts`, too
            return replace(looked.result, note="; ".join(filter(None, (allowed.why, *left))))
        self.tell(f"Changing {one.member.stack} ({allowed.why})")
        self._put([replace(row, act=Acted(row.look.time, allowed.act, ActState.BEGUN))])
        done = act_on(self.desk, looked, allowed, forge, self.tell)
        after = look_after(row.look, done.acted)
        self._put([replace(row, act=done.acted, look=after)])
        self.acted += done.acted.changed
        self.interrupted = done.result.exit_code is ExitCode.INTERRUPTED
        note = "; ".join(filter(None, (done.result.note, work.held)))
        return replace(done.result, note=note, exit_code=code_of(done.result.exit_code, after))

    def _no_forge(self, forge: Proposals | None) -> str | None:
        text = no_forge_text(self.opened.fleet)
        if text is None and forge is None and self.request.acts:
            return "not done: this changes files, and `[forge]` can't be used; correct its error"
        return text

    def _permit(self, one: FleetMember, state: LookState, missed: Missed) -> Permit:
        fleet = self.opened.fleet
        paused = self.request.paused.get(one.key) if one.key is not None else None
        if paused is not None:
            return Permit(Act.NONE, f"not done: {paused}")
        deny = self.opened.deny_text(self.desk.clock.now())
        around = Circumstances(deny, missed.shrunk, fleet.max_acts - self.acted)
        return _permit_of(one, state, self.opened, around)


def _whole(result: StackResult, looked: Looked) -> StackResult:
    """The same; failed, with the reason, if the look could not check something, whatever was done since."""
    failed = looked.result.report.failed_checks if isinstance(looked.result.report, Plan) else ()
    if not failed:
        return result
    notes = (result.note, *(f"could not be checked: {one}" for one in failed))
    code = strongest((result.exit_code, ExitCode.FAILED))
    return replace(result, exit_code=code, note="; ".join(note for note in notes if note))


def _frozen_text(made: Plan) -> str:
    """Until when a freeze of mtls.toml holds changes; empty if it holds none."""
    return next((f"not done: {one.message}" for one in made.diagnostics if one.code is Code.FREEZE), "")


def _last_acted(looked: Looked) -> str:
    """When a stack was changed last, to sort by; first those that never were."""
    act = looked.row.act if looked.row is not None else None
    return "" if act is None else act.time.isoformat()
