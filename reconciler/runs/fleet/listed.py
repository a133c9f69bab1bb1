"""Lists, checks and selects the stacks of a fleet, from files alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import InputError, ReconcilerError, UsageError
from reconciler.findings.escape import printable
from reconciler.findings.values import dataclass
from reconciler.model.fleet import StackRow
from reconciler.plan.plan import exit_code_of
from reconciler.reports.checks import Validation
from reconciler.reports.fleet import FleetList, FleetStack
from reconciler.reports.stacks import StackResult, Stacks, join
from reconciler.runs.fleet.look import placed
from reconciler.runs.fleet.members import FleetMember
from reconciler.runs.fleet.opened import OpenedFleet, missing_secrets
from reconciler.runs.project import Project
from reconciler.runs.validate import validate
from reconciler.system.discover import git_root
from reconciler.system.git import GitProblem, NotThere, changed_since, is_revision


def list_fleet(opened: OpenedFleet, members: Sequence[FleetMember]) -> FleetList:
    """These stacks, those with a problem, too."""
    return FleetList(
        opened.fleet.name, tuple(_stack(one, opened) for one in members), (*opened.warnings, *opened.problems)
    )


def _stack(one: FleetMember, opened: OpenedFleet) -> FleetStack:
    problem = one.member.problem
    return FleetStack(
        file=one.member.file,
        stack=one.member.stack,
        account=one.account,
        alias=None if one.account is None else opened.fleet.alias(one.account),
        credential=one.rule.credential,
        tags=one.rule.tags,
        act=one.act,
        look=one.rule.look,
        problem=None if problem is None else problem.message,
    )


def validate_fleet(opened: OpenedFleet, members: Sequence[FleetMember], environ: Mapping[str, str]) -> Stacks:
    """The findings about fleet.toml, and those of each stack. A token that is missing here is a warning: it may be
    there where passes run."""
    found = (*opened.warnings, *missing_secrets(opened, environ), *opened.problems)
    code, place = exit_code_of(found), opened.file.place
    whole = [StackResult(opened.fleet.path, None, Validation(found), code, place, is_stack=False)]
    return join("fleet validate", [*(whole if found else ()), *(_validated(one, opened) for one in members)])


def _validated(one: FleetMember, opened: OpenedFleet) -> StackResult:
    member = one.member
    try:
        if member.problem is not None:
            raise member.problem
        report = Validation(validate(member.project))
        result = member.result(report, exit_code_of(report.diagnostics))
    except ReconcilerError as error:
        result = member.failure(error)
    return placed(result, one, opened)


def changed_members(opened: OpenedFleet, members: Sequence[FleetMember], revision: str) -> tuple[FleetMember, ...]:
    """Those of which a file differs from a revision, or all if fleet.toml does; one that can't be read is among them.

    UsageError if git has no such revision here. What git can't be asked is an error: no stack is left out for it.
    """
    shown = printable(revision)
    root = git_root(opened.folder)
    if root is None:
        raise UsageError("`--changed-since` needs a git repository, and none was found here", hint="leave it out")
    if not is_revision(revision):
        raise UsageError(f"`--changed-since {shown}` is not a revision", hint="name a commit or a branch, such as main")
    found = changed_since(root, revision)
    if isinstance(found, GitProblem):
        raise ReconcilerError(found.message, hint=found.hint, code=Code.GIT_UNREADABLE)
    if isinstance(found, NotThere):
        hint = "check the name; a shallow clone has only its newest commits: in GitHub Actions, set `fetch-depth: 0`"
        raise UsageError(f"`--changed-since {shown}`: git has no such revision here", hint=hint)
    file = os.path.relpath(os.path.realpath(opened.file.path), root)
    return tuple(
        one for one in members if file in found or (one.rule.git is None and _is_changed(one, found))
    )  # git knows here what changed in this repository alone


def _is_changed(one: FleetMember, changed: frozenset[str]) -> bool:
    """Whether a file in the folder of a stack, or another one that its mtls.toml names, is among these."""
    project = one.member.project
    folder = os.path.relpath(os.path.realpath(project.folder), project.files.root)
    prefix = "" if folder == "." else f"{folder}/"
    if any(path.startswith(prefix) for path in changed):
        return True
    try:
        return any(path == name or path.startswith(f"{name}/") for name in named_files(project) for path in changed)
    except ReconcilerError:
        return True


def named_files(project: Project) -> list[str]:
    """The files and folders that an mtls.toml names, from the root of the repository."""
    declaration = project.declaration()[0]
    paths = [one.path for one in declaration.certificates.values()]
    paths += [worker.config for worker in declaration.workers.values()]
    return [project.files.identity(path) for path in paths]


# --- selection ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Selected:
    """`--tag`, `--only` and `--exclude`: any of the tags; names or globs of stacks, or paths of their files."""

    tags: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def has_row(self, row: StackRow) -> bool:
        """Whether a stack that is not there now is meant. One whose tags are unknown may have any."""
        return (
            (not self.tags or row.tags is None or not set(self.tags).isdisjoint(row.tags))
            and (not self.only or any(_is_row(row, name) for name in self.only))
            and not any(_is_row(row, name) for name in self.exclude)
        )

    def unmatched(self, opened: OpenedFleet, rows: Callable[[], Sequence[StackRow]]) -> tuple[str, ...]:
        """The words of `exclude` that match no stack: one that is there, or one that is remembered, of `rows`."""
        new = [name for name in self.exclude if not any(_is_named(one, name) for one in opened.members)]
        known = rows() if new else ()
        return tuple(name for name in new if not any(_is_row(row, name) for row in known))

    def choose(
        self,
        opened: OpenedFleet,
        rows: Callable[[], Sequence[StackRow]],
        missing: Callable[[Sequence[StackRow]], Sequence[StackRow]],
    ) -> tuple[FleetMember, ...]:
        """The stacks that are meant. UsageError if a tag or name of `only` matches none; InputError if that may be
        because something could not be read. `rows`: what is remembered, read only then. `missing`: those of them that
        are not there and that the command reports, so that words may match one of them instead."""
        members = opened.members
        for option, words, has in (("--tag", self.tags, _has_tag), ("--only", self.only, _is_named)):
            for word in words:
                if not any(has(one, word) for one in members):
                    known = rows()
                    alone = Selected(tags=(word,)) if option == "--tag" else Selected(only=(word,))
                    if not any(map(alone.has_row, missing(known))):
                        raise _no_match(opened, known, option, word)
        return tuple(
            one
            for one in members
            if (not self.tags or any(_has_tag(one, tag) for tag in self.tags))
            and (not self.only or any(_is_named(one, name) for name in self.only))
            and not any(_is_named(one, name) for name in self.exclude)
        )


def _no_match(opened: OpenedFleet, rows: Sequence[StackRow], option: str, word: str) -> ReconcilerError:
    """The error for an option that matches no stack that could be read."""
    message = f"`{option} {word}` matches no stack of the fleet"
    found = opened.unknown(lambda rule: option == "--only" or word in rule.tags)
    there = {one.key for one in opened.members}
    gone = [row for row in rows if (_is_row(row, word) if option == "--only" else word in (row.tags or ()))]
    gone = [row for row in gone if row.key not in there]
    if not found and not gone:
        return UsageError(message, hint="run `mtlsctl fleet list`")
    known = ", ".join(f"{row.stack} ({opened.fleet.alias(row.account)})" for row in gone)
    message += f" that could be read{f'; remembered, and not found now: {known}' if known else ''}"
    hint = "correct the errors above" if found else "restore its file; `mtlsctl fleet status` shows what is known of it"
    return InputError((*found, Diagnostic(Severity.ERROR, Code.FLEET_STACK_MISSING, message, None, hint)))


def _has_tag(one: FleetMember, tag: str) -> bool:
    return tag in one.rule.tags


def _is_row(row: StackRow, pattern: str) -> bool:
    return fnmatchcase(row.stack, pattern) or fnmatchcase(row.file, pattern)


def _is_named(one: FleetMember, pattern: str) -> bool:
    return fnmatchcase(one.member.stack or "", pattern) or fnmatchcase(one.file, pattern)
