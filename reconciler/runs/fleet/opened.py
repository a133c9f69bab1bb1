"""Finds the stacks of a fleet, and connects each with the token of its credential."""

from __future__ import annotations

import contextvars
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from threading import Lock

from reconciler.desired.fleet import parse_fleet
from reconciler.desired.parse import MAX_BYTES
from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place, Pointer
from reconciler.findings.errors import InputError, ReconcilerError, UsageError
from reconciler.findings.values import dataclass
from reconciler.model import StoreKind
from reconciler.model.concurrency import run_all
from reconciler.model.errors import StoreError
from reconciler.model.fleet import Credential, Fleet, FleetRule, GitSource, SecretPlace, StackKey, StackRow
from reconciler.model.ports import Clock
from reconciler.plan.fleet import denied, deny_text
from reconciler.runs.fleet.members import FleetMember, find_not_renewed, with_renewals
from reconciler.runs.ledger import Ledger
from reconciler.runs.operator import SCHEDULED
from reconciler.runs.project import Project, project_at
from reconciler.runs.stacks import read_members
from reconciler.runtime.mirrors import Mirrors
from reconciler.stores import Connection, Connections, StoreContext
from reconciler.stores.cloudflare.access import ACCOUNT, GLOBAL_KEY, TOKEN
from reconciler.syntax.places import Places
from reconciler.system.clock import SystemClock
from reconciler.system.files import read_named
from reconciler.system.several import find_matches

FLEET_FILE = "fleet.toml"
_MOST_TOKEN_BYTES = 10_000
_OF_TOKEN = frozenset({Code.TOKEN_WHITE_SPACE, Code.TOKEN_MALFORMED, Code.TOKEN_IS_KEY})
"""What is wrong with the value of a token."""


@dataclass(frozen=True, slots=True)
class FleetFile:
    """fleet.toml: its absolute path, and its bytes."""

    path: Path
    data: bytes = field(repr=False)

    def place(self, where: Pointer | Place | None) -> Place | None:
        """The place of a finding in it."""
        return _places(self.data).find(where) if isinstance(where, Pointer) else where

    def named(self, rule: FleetRule, fleet: Fleet) -> str:
        """A rule, for reports: `[[stacks]] 2 at fleet.toml:30:1`, counted from 1."""
        return f"[[stacks]] {rule.index + 1} at {self.place(Pointer(fleet.path, ('stacks', rule.index), at_key=True))}"

    def named_act(self, rule: FleetRule, fleet: Fleet) -> str:
        """What decides what a rule allows, for reports: `act = "all"` of [defaults] at fleet.toml:5:1."""
        if rule.own_act is not None:
            written, where = rule.own_act, self.named(rule, fleet)
        elif fleet.act is not None:
            place = self.place(Pointer(fleet.path, ("defaults", "act"), at_key=True))
            written, where = fleet.act, f"[defaults] at {place}"
        else:
            return f'`act = "{rule.act}"`, which is the default'
        less = f", at most {rule.act} for stacks of another repository" if written is not rule.act else ""
        return f'`act = "{written}"` of {where}{less}'


@lru_cache(maxsize=4)
def _places(data: bytes) -> Places:
    return Places(FLEET_FILE, data)


@dataclass(frozen=True, slots=True)
class OpenedFleet:
    """A fleet and the stacks that were found. `warnings`: about it. `problems`: what could not be found. `unread`: the
    repositories that could not be read."""

    fleet: Fleet
    folder: Path
    file: FleetFile
    members: tuple[FleetMember, ...] = ()
    warnings: tuple[Diagnostic, ...] = ()
    problems: tuple[Diagnostic, ...] = ()
    unread: tuple[GitSource, ...] = ()

    def path_from(self, folder: Path) -> str:
        """The path that leads from a folder to fleet.toml."""
        return os.path.relpath(self.file.path, folder)

    def command(self, *words: str) -> tuple[str, ...]:
        """A command about this fleet, to run in the same folder."""
        file = self.fleet.path
        return ("mtlsctl", "fleet", *words, *(() if file == FLEET_FILE else ("-f", file)))

    def deny_text(self, now: datetime) -> str | None:
        """The `deny` that holds now, with its end; None if changes may begin."""
        found = denied(self.fleet.deny, now)
        if found is None:
            return None
        return deny_text(found, self.file.place(Pointer(self.fleet.path, ("defaults", "deny", found.index))))

    def unread_rows(self, rows: Iterable[StackRow]) -> tuple[StackRow, ...]:
        """The known stacks of repositories that could not be read."""
        prefixes = tuple(source.prefix for source in self.unread)
        return tuple(row for row in rows if row.file.startswith(prefixes))

    def unknown(self, concerns: Callable[[FleetRule], bool]) -> tuple[Diagnostic, ...]:
        """Why stacks of these rules may be unknown: what could not be found, and files that can't be read."""
        sources = {rule.git for rule in self.fleet.rules if concerns(rule)}
        indexes = {rule.index for rule in self.fleet.rules if rule.git in sources or concerns(rule)}
        found = [one for one in self.problems if isinstance(one.where, Pointer) and one.where.keys[1] in indexes]
        for one in self.members:
            if one.member.problem is not None and one.member.stack is None and concerns(one.rule):
                message = f"{one.file} can't be read: {one.member.problem.message}"
                found.append(Diagnostic(Severity.ERROR, one.member.problem.code, message, Place(one.member.file)))
        return tuple(found)

    def no_stack(self, message: str, hint: str) -> ReconcilerError:
        """The error for a stack that was not found; with what could not be read, where it may be."""
        unknown = self.unknown(lambda _: True)
        if not unknown:
            return UsageError(message, hint=hint)
        found = Diagnostic(Severity.ERROR, Code.FLEET_STACK_MISSING, message, None, "correct the errors above")
        return InputError((*unknown, found))

    def retired(self, rows: Iterable[StackRow]) -> frozenset[StackKey]:
        """The known stacks that left: those that a rule with their account has in `retired`. An account that no
        credential has any more left, too; then any rule may name its stacks."""
        known = {account for one in self.fleet.credentials.values() for account in one.accounts}

        def has(rule: FleetRule, row: StackRow) -> bool:
            is_of = row.account in self.fleet.credentials[rule.credential].accounts or row.account not in known
            return is_of and row.stack in rule.retired

        return frozenset(row.key for row in rows if any(has(rule, row) for rule in self.fleet.rules))


def read_fleet_file(file: Path | None, cwd: Path) -> FleetFile:
    """The file of `--file`, else the fleet.toml here. UsageError if there is none."""
    path = cwd / (file or FLEET_FILE)
    if not os.path.lexists(path):
        hint = "go to its folder, or name it with `--file`" if file is None else "check the path of `--file`"
        raise UsageError(f"{file or FLEET_FILE} does not exist{' here' if file is None else ''}", hint=hint)
    return FleetFile(path, read_named(path, limit=MAX_BYTES))


def open_fleet(
    file: FleetFile,
    *,
    cwd: Path,
    environ: Mapping[str, str],
    context: StoreContext,
    max_age: timedelta | None = timedelta(),
) -> OpenedFleet:
    """The fleet of a fleet.toml and its stacks; InputError with all problems of that file. Places in it lead from
    `cwd`. Other repositories are fetched, unless that was done at most `max_age` ago; None: two intervals (`look`) of
    their stacks. No other server is asked."""
    path = file.path
    fleet, warnings = parse_fleet(file.data, Path(os.path.relpath(path, cwd)).as_posix())
    folder = path.parent
    problems: list[Diagnostic] = []
    mirrored = _mirrored(fleet, Mirrors(folder, environ), problems, max_age)
    bases = {
        rule.index: folder if rule.git is None else mirrored[rule.git]
        for rule in fleet.rules
        if rule.git is None or rule.git in mirrored
    }
    found = _find_files(fleet, bases, problems)
    quiet = environ_of(environ, fleet, None)
    projects = [
        (_named(one, rules[0], bases, cwd), project_at(one, environ=quiet, context=context))
        for one, rules in found.items()
    ]
    members = tuple(
        _checked(FleetMember(_named(one, rules[0], bases, folder), one, rules[0], member), rules, fleet, file)
        for (one, rules), member in zip(found.items(), read_members(projects), strict=True)
    )
    kept = with_renewals([one for one in members if one.member.stack not in one.rule.retired])
    warnings += tuple(_still_there(one, fleet) for one in members if one.member.stack in one.rule.retired)
    warnings += tuple(find_not_renewed(fleet, kept))
    unread = {rule.git for rule in fleet.rules if rule.git is not None} - mirrored.keys()
    return OpenedFleet(fleet, folder, file, kept, warnings, tuple(problems), tuple(unread))


def _still_there(one: FleetMember, fleet: Fleet) -> Diagnostic:
    where = Pointer(fleet.path, ("stacks", one.rule.index, "retired"))
    message = f"{one.member.stack!r} is in `retired`, but {one.file} is there, and is left out"
    return Diagnostic(Severity.WARNING, Code.FLEET_STACK_RETIRED, message, where, "delete the file, or the name here")


def fetch_again(opened: OpenedFleet, members: Sequence[FleetMember], environ: Mapping[str, str]) -> None:
    """Fetch the repositories of these stacks for those who open the fleet next, who find what can't be read."""
    fleet = replace(opened.fleet, rules=tuple(one.rule for one in members))
    _mirrored(fleet, Mirrors(opened.folder, environ), [], timedelta())


def _mirrored(
    fleet: Fleet, mirrors: Mirrors, problems: list[Diagnostic], max_age: timedelta | None
) -> Mapping[GitSource, Path]:
    """The files of the other repositories that can be read; a problem for each of the others."""
    sources = {rule.git: rule.index for rule in reversed(fleet.rules) if rule.git is not None}
    if not sources:
        return {}
    now = SystemClock().now()

    def read(source: GitSource) -> Path | Diagnostic:
        where = Pointer(fleet.path, ("stacks", sources[source], "git"))
        try:
            look = min(rule.look for rule in fleet.rules if rule.git == source)
            return mirrors.read(source.url, source.ref, now, 2 * look if max_age is None else max_age)
        except ReconcilerError as error:
            return Diagnostic(Severity.ERROR, Code.GIT_MIRROR, error.message, where, error.hint)
        except OSError as error:
            message = f"the repository {source.url} could not be copied: {error.strerror}"
            hint = f"check that {mirrors.root} can be written, and has space"
            return Diagnostic(Severity.ERROR, Code.GIT_MIRROR, message, where, hint)

    context = contextvars.copy_context()  # so that --verbose shows the calls of git
    effect = lambda source: context.copy().run(read, source)  # noqa: E731
    found = dict(zip(sources, run_all(effect, list(sources), fleet.concurrency), strict=True))
    problems += [one for one in found.values() if isinstance(one, Diagnostic)]
    return {source: one for source, one in found.items() if isinstance(one, Path)}


def _named(file: Path, rule: FleetRule, bases: Mapping[int, Path], folder: Path) -> str:
    """The name of a file, seen from a folder; that of another repository begins with its address."""
    if rule.git is None:
        return Path(os.path.relpath(file, folder)).as_posix()
    return f"{rule.git.prefix}{file.relative_to(bases[rule.index]).as_posix()}"


def _find_files(fleet: Fleet, bases: Mapping[int, Path], problems: list[Diagnostic]) -> dict[Path, list[FleetRule]]:
    """Each file with the rules that have it, in the order of fleet.toml. `bases`: the folders that the globs of each
    rule are relative to; rules without one are left out."""
    found: dict[Path, list[FleetRule]] = {}
    for rule in (one for one in fleet.rules if one.index in bases):
        folder = bases[rule.index]
        left_out = [
            _matches(pattern, folder, fleet, (rule.index, "exclude", index), problems)
            for index, pattern in enumerate(rule.exclude)
        ]
        if None in left_out:
            continue  # what can't be left out for certain is not touched
        excluded = {path for paths in left_out for path in paths or ()}
        for index, pattern in enumerate(rule.files):
            matches = _matches(pattern, folder, fleet, (rule.index, "files", index), problems)
            if matches == ():
                where = Pointer(fleet.path, ("stacks", rule.index, "files", index))
                base = "this file's folder" if rule.git is None else "the root of that repository"
                message, hint = f"{pattern!r} matches no file", f"check the path; it is relative to {base}"
                problems.append(Diagnostic(Severity.ERROR, Code.FLEET_FILES, message, where, hint))
            for path in matches or ():
                if path not in excluded and rule not in found.setdefault(path, []):
                    found[path].append(rule)
    return {path: rules for path, rules in found.items() if rules}


def _matches(
    pattern: str, folder: Path, fleet: Fleet, keys: tuple[int, str, int], problems: list[Diagnostic]
) -> tuple[Path, ...] | None:
    """The files of a pattern; None, with a problem, if a folder can't be searched."""
    try:
        return find_matches(pattern, folder)
    except ReconcilerError as error:
        where = Pointer(fleet.path, ("stacks", *keys))
        problems.append(Diagnostic(Severity.ERROR, Code.FLEET_FILES, error.message, where, error.hint))
        return None


def _checked(one: FleetMember, rules: Sequence[FleetRule], fleet: Fleet, file: FleetFile) -> FleetMember:
    """The same, with the problem of a stack that the fleet must not touch."""
    member, project = one.member, one.member.project
    if member.problem is not None:
        return one
    where = Pointer(project.name, ("store", "account_id"))
    credential = fleet.credentials[one.rule.credential]
    if len(rules) > 1:
        several = " and ".join(file.named(rule, fleet) for rule in rules)
        message, hint = f"this file is in {several}", "add it to `exclude` of all but one"
        problem = ReconcilerError(message, hint=hint, where=Pointer(project.name), code=Code.FLEET_FILES)
    elif member.store is None or not member.store.kind.traits.has_accounts:
        message = "this stack uses the local store, but a fleet is of Cloudflare accounts"
        hint = 'set `kind = "cloudflare"` in `[store]`, or add the file to `exclude`'
        problem = ReconcilerError(message, hint=hint, where=Pointer(project.name, ("store",)), code=Code.FLEET_ACCOUNT)
    elif one.account is None:
        message = "`account_id` in `[store]` is missing: a fleet takes no account from the environment"
        problem = ReconcilerError(message, hint="write the ID of the account", where=where, code=Code.FLEET_ACCOUNT)
    elif one.account not in credential.accounts:
        message = f"the credential {credential.name!r} of {fleet.path} may not be used for the account {one.account}"
        hint = f"correct the account, or add it to `accounts` of [credentials.{credential.name}]"
        problem = ReconcilerError(message, hint=hint, where=where, code=Code.FLEET_ACCOUNT)
    else:
        return one
    return replace(one, member=replace(member, problem=problem))


def environ_of(environ: Mapping[str, str], fleet: Fleet, token: str | None) -> dict[str, str]:
    """What a stack is given of the environment: no token of the fleet but its own, and no account. No person waits for
    a pass, so what a freeze holds is no error."""
    hidden = fleet.secret_variables | {TOKEN, ACCOUNT, GLOBAL_KEY}
    kept = {name: value for name, value in environ.items() if name not in hidden}
    return kept | {SCHEDULED: "1"} | ({} if token is None else {TOKEN: token})


# --- connections ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Desk:
    """The connections of one pass: one client for each token, one rate limit for each budget, and of each account one
    list for all checks, and one for all that is changed. Used by several threads."""

    opened: OpenedFleet
    environ: Mapping[str, str] = field(repr=False)
    context: StoreContext
    clock: Clock = field(default_factory=SystemClock)
    _ledgers: dict[tuple[SecretPlace, bool], Ledger] = field(default_factory=dict)
    _budgets: dict[str, dict[StoreKind, Connection]] = field(default_factory=dict, repr=False)
    _opening: Lock = field(default_factory=Lock)

    def project(self, one: FleetMember, *, acts: bool) -> Project:
        """A stack with the token of its credential: the one for looks, unless it `acts`. ReconcilerError if the token
        can't be read or is not valid. Makes no call."""
        credential = self.opened.fleet.credentials[one.rule.credential]
        place = credential.token if acts else credential.read_token or credential.token
        with self._opening:
            ledger = self._ledger(credential, place, acts=acts)
            context = ledger.connections.context
            environ = context.environ
            project = project_at(one.path, environ=environ, context=context, ledger=ledger, shares_lock=acts)
            try:
                project.stores.open_reader(project.declaration()[0].store)
            except StoreError as error:
                if error.code in _OF_TOKEN:
                    error.where = Pointer(self.opened.fleet.path, _keys_of(credential, place))
                raise
        return project

    def _ledger(self, credential: Credential, place: SecretPlace, *, acts: bool) -> Ledger:
        if (place, acts) not in self._ledgers:
            keys = _keys_of(credential, place)
            token = read_secret(place, self.environ, self.opened, keys)
            budget = self._budgets.setdefault(credential.budget or f"token {token}", {})
            context = replace(self.context_of(credential, token), token_name=_name_of(place, keys))
            self._ledgers[place, acts] = Ledger(Connections(self.clock, context, budget=budget))
        return self._ledgers[place, acts]

    def forget_lists(self) -> None:
        """Have what acts next read the list of its account again."""
        with self._opening:
            self._ledgers = {key: ledger for key, ledger in self._ledgers.items() if not key[1]}

    def context_of(self, credential: Credential, token: str) -> StoreContext:  # noqa: ARG002 - used by `SharedDesk`
        """What the connections with a token are made with."""
        return replace(self.context, environ=environ_of(self.environ, self.opened.fleet, token))


def _keys_of(credential: Credential, place: SecretPlace) -> tuple[str, str, str]:
    return ("credentials", credential.name, "token" if place is credential.token else "read_token")


def _name_of(place: SecretPlace, keys: tuple[str, str, str]) -> str:
    """Where a token is, for messages: "CF_TOKEN_PROD (`token` of [credentials.prod])"."""
    source = place.env if place.env is not None else f"the file {place.file}"
    return f"{source} (`{keys[2]}` of [credentials.{keys[1]}])"


def missing_secrets(opened: OpenedFleet, environ: Mapping[str, str]) -> Iterator[Diagnostic]:
    """A warning for each token of fleet.toml that can't be read."""
    fleet = opened.fleet
    places = [
        (place, _keys_of(one, place))
        for one in fleet.credentials.values()
        for place in (one.token, one.read_token)
        if place is not None
    ]
    for place, keys in (*places, *([(fleet.forge.token, ("forge", "token"))] if fleet.forge is not None else ())):
        try:
            read_secret(place, environ, opened, keys)
        except ReconcilerError as error:
            yield Diagnostic(Severity.WARNING, error.code, error.message, error.where, error.hint)


def read_secret(
    place: SecretPlace, environ: Mapping[str, str], opened: OpenedFleet, keys: tuple[str | int, ...]
) -> str:
    """A token; ReconcilerError, at these keys of fleet.toml, if it is not there."""
    where = Pointer(opened.fleet.path, keys)
    if place.env is not None:
        token = environ.get(place.env, "")
        problem, hint = f"the variable {place.env} is not set", "set it to the API token"
    else:
        path = opened.folder / (place.file or "")
        problem, hint = f"the file {place.file} has no token", "write the API token alone into it"
        try:
            token = read_named(path, limit=_MOST_TOKEN_BYTES).decode(errors="replace").strip()
        except ReconcilerError as error:
            raise ReconcilerError(error.message, hint=error.hint, where=where, code=Code.TOKEN_MISSING) from error
    if not token.strip():
        raise ReconcilerError(problem, hint=hint, where=where, code=Code.TOKEN_MISSING)
    return token
