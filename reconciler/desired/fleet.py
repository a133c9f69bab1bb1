"""Parses the bytes of fleet.toml to a `Fleet`, or to every problem of the file."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, Field, ValidationError, model_validator

from reconciler.desired import rules
from reconciler.desired.durations import DURATION_PATTERN, parse_duration
from reconciler.desired.findings import Findings, Raw, tables, texts
from reconciler.desired.forms import Table, text_rule
from reconciler.desired.freezes import UTC_NAME, load_zone
from reconciler.desired.misfits import Misfits
from reconciler.desired.parse import read_document, refuse_newer
from reconciler.desired.rules import Refused
from reconciler.desired.shapes import AccountId, ActText, Stack, Text, Version, Zone
from reconciler.desired.wording import Keys, Suggestions, named, quoted_value
from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.errors import InputError
from reconciler.model import Act
from reconciler.model.fleet import Credential, DenyRule, Fleet, FleetForge, FleetRule, GitSource, SecretPlace
from reconciler.model.forges import ForgeName

_SHORTEST_LOOK_S = 60
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}")
_PROJECT = re.compile(r"[A-Za-z0-9_][\w.-]{0,254}(/[A-Za-z0-9_][\w.-]{0,254}){1,20}", re.ASCII)
_BRANCH = re.compile(r"(?!-)[!-~]{1,200}")
_GIT_URL = re.compile(r"https://[^\s@\\]+|ssh://[^\s\\]+|file:///[^\s\\]+|[\w.][\w.-]*@[\w.-]+:[^\s\\]+", re.ASCII)
_GITLAB_API = "/api/v4"
_SECRET_IN_URL = re.compile(r"https?://[^/]*@|ssh://[^/@]*:[^/]*@")


def _glob(text: str) -> str:
    rules.check_relative(text)
    return text


def _look(text: str) -> str:
    if parse_duration(text).total_seconds() < _SHORTEST_LOOK_S:
        raise Refused(
            Code.OUT_OF_RANGE, "must be at least 1m", hint="each check takes calls of the account's rate limit"
        )
    return text


def _cron(text: str) -> str:
    """A cron expression of five fields."""
    try:
        from cronsim import CronSim, CronSimError  # only a fleet with `deny` needs it
    except ModuleNotFoundError as error:
        hint = "install mtlsctl again with it, in its checkout: pipx install --force '.[fleet]'"
        raise Refused(Code.EXTRA, "needs the Python package cronsim, which is not installed", hint=hint) from error
    try:
        if len(text.split()) == len(_CRON_FIELDS):
            CronSim(text, datetime(2026, 1, 1, tzinfo=UTC))
            return text
    except CronSimError:
        pass
    raise Refused(Code.BAD_CRON, f"must be a cron expression: {' '.join(_CRON_FIELDS)}", hint='write "0 16 * * FRI"')


def _deny_length(text: str) -> str:
    if not parse_duration(text):
        raise Refused(Code.OUT_OF_RANGE, "must be longer than 0s, or it denies nothing")
    return text


_CRON_FIELDS = ("minute", "hour", "day-of-month", "month", "day-of-week")


def _variable(text: str) -> str:
    if _VARIABLE.fullmatch(text):
        return text
    raise Refused(Code.BAD_NAME, "must be the name of a variable", hint="use letters, digits and _; never the token")


def _secret_file(text: str) -> str:
    if text and text.isprintable():
        return text
    raise Refused(Code.BAD_PATH, "must be the path of a file that has the token")


def _repository(text: str) -> str:
    if _REPOSITORY.fullmatch(text):
        return text
    raise Refused(Code.BAD_NAME, "must be a repository on GitHub: OWNER/NAME")


def _project(text: str) -> str:
    if _PROJECT.fullmatch(text):
        return text
    raise Refused(Code.BAD_NAME, "must be the path of a project on GitLab: GROUP/NAME or GROUP/SUBGROUP/NAME")


def _branch(text: str) -> str:
    if _BRANCH.fullmatch(text):
        return text
    raise Refused(Code.BAD_NAME, "must be the name of a branch")


def _git_url(text: str) -> str:
    """The address of a repository. Never shown: it may contain a password."""
    if _SECRET_IN_URL.match(text):
        hint = "remove them: git gets them from its credential helper"
        raise Refused(Code.BAD_URL, "must not contain a user name or password", hint=hint)
    if _GIT_URL.fullmatch(text) and text.isprintable():
        return text
    raise Refused(Code.BAD_URL, 'must be the address of a repository, such as "https://git.example/payments.git"')


Glob = Annotated[str, AfterValidator(_glob)]
LookText = Annotated[str, AfterValidator(_look), Field(json_schema_extra={"pattern": DURATION_PATTERN})]
DenyLength = Annotated[str, AfterValidator(_deny_length), Field(json_schema_extra={"pattern": DURATION_PATTERN})]
Cron = Annotated[str, AfterValidator(_cron)]
CredentialName = Annotated[str, AfterValidator(rules.name_rule("credential name", 48))]
CredentialKey = Annotated[str, AfterValidator(rules.name_rule("credential name", 48, of_key=True))]
AliasKey = Annotated[str, AfterValidator(rules.name_rule("account name", 32, of_key=True))]
FleetName = Annotated[str, *text_rule(rules.name_rule("fleet name", 32), pattern=rules.STACK_PATTERN)]
Tag = Annotated[str, AfterValidator(rules.name_rule("tag", 48))]


class PlaceTable(Table):
    """Where a token is, never the token itself: the name of a variable, or of a file."""

    env: Annotated[str, AfterValidator(_variable)] | None = Field(
        default=None, description="The name of the variable.", examples=["CF_TOKEN_PROD"]
    )
    file: Annotated[str, AfterValidator(_secret_file)] | None = Field(
        default=None, description="The path of a file with the token alone.", examples=["/run/secrets/cf-prod"]
    )

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise Refused(Code.BAD_VALUE, "must have one of `env` and `file`", hint='write { env = "CF_TOKEN_PROD" }')
        return self

    def build(self) -> SecretPlace:
        """As a value."""
        return SecretPlace(self.env, self.file)


class DenyTable(Table):
    """A time in which nothing is changed. Checks go on."""

    cron: Cron = Field(description="When it begins, as in crontab: five fields.", examples=["0 16 * * FRI"])
    length: DenyLength = Field(alias="for", description="How long it lasts.", examples=["64h"])
    zone: Zone = Field(default=UTC_NAME, description="The time zone of `cron`.", examples=["Europe/Berlin"])
    why: Text | None = Field(default=None, description="The reason, shown in reports.", examples=["weekend"])


class DefaultsTable(Table):
    """What holds for every stack, unless its `[[stacks]]` says something else."""

    look: LookText = Field(default="1h", description="How often each stack is checked.", examples=["1h"])
    act: ActText = Field(
        default=Act.NONE.value,
        description="What may be done without a person: none; retire (delete old certificates that nothing uses);"
        " rotate (also renew, upload and bind what replaces an older one); all (also what is new).",
        examples=["retire"],
    )
    concurrency: int = Field(default=8, ge=1, le=32, description="How many accounts are read at once.")
    max_acts: int = Field(
        default=20, ge=0, description="How many stacks one pass may change; the rest waits for its next check. 0: none."
    )
    deny: list[DenyTable] = Field(
        default=[],
        max_length=50,
        description="Times in which nothing is changed.",
        examples=[[{"cron": "0 16 * * FRI", "for": "64h", "zone": "Europe/Berlin"}]],
    )


class CredentialTable(Table):
    """One API token of Cloudflare, and the accounts that it may be used for."""

    token: PlaceTable = Field(description="Where the token is.", examples=[{"env": "CF_TOKEN_PROD"}])
    read_token: PlaceTable | None = Field(
        default=None,
        description="Where a token with read permissions is; checks use it.",
        examples=[{"env": "CF_TOKEN_PROD_READ"}],
    )
    budget: CredentialName | None = Field(
        default=None,
        description="Credentials with the same budget share one rate limit, as tokens of one user do (default: each"
        " token has its own).",
        examples=["platform-bot"],
    )
    accounts: list[str] = Field(
        min_length=1,
        description="The accounts that it may be used for: IDs, or names from `[accounts]`.",
        examples=[["023e105f4ecef8ad9ca31a8372d0c353"]],
    )


class GitTable(Table):
    """Another repository, which is only read."""

    url: Annotated[str, AfterValidator(_git_url)] = Field(
        description="Its address: https, ssh or file.", examples=["https://git.example/payments.git"]
    )
    ref: Annotated[str, AfterValidator(_branch)] = Field(
        default="main", description="A branch, a tag, or a whole commit hash.", examples=["main"]
    )


class StacksTable(Table):
    """Some stacks of the fleet, and what holds for them."""

    git: GitTable | None = Field(
        default=None,
        description="The repository that has these stacks, if it is another one. Nothing in it is changed, so `act` is"
        " at most `retire`.",
        examples=[{"url": "https://git.example/payments.git", "ref": "main"}],
    )
    files: list[Glob] = Field(
        min_length=1,
        description="Paths or globs of mtls.toml, relative to the folder of this file, or to the root of `git`.",
        examples=[["teams/*/mtls.toml"]],
    )
    exclude: list[Glob] = Field(
        default=[], description="Globs of files that are left out.", examples=[["teams/sandbox/**"]]
    )
    credential: CredentialName = Field(description="The name of a `[credentials.NAME]`.", examples=["prod"])
    tags: list[Tag] = Field(default=[], description="Words to select stacks by, with `--tag`.", examples=[["prod"]])
    act: ActText | None = Field(default=None, description="Overrides `[defaults]`.", examples=["retire"])
    look: LookText | None = Field(default=None, description="Overrides `[defaults]`.", examples=["15m"])
    retired: list[Stack] = Field(
        default=[],
        description="Names of stacks in the accounts of this credential that left the fleet for good, so that their"
        " absence is no alarm.",
        examples=[["old-shop"]],
    )


class ForgeTable(Table):
    """Where changed files are proposed, as pull requests or merge requests."""

    github: Annotated[str, AfterValidator(_repository)] | None = Field(
        default=None,
        description="The repository of this file on GitHub: OWNER/NAME.",
        examples=["example/certificates"],
    )
    gitlab: Annotated[str, AfterValidator(_project)] | None = Field(
        default=None,
        description="Or the project of this file on GitLab: its path, with subgroups.",
        examples=["example/platform/certificates"],
    )
    base: Annotated[str, AfterValidator(_branch)] = Field(
        default="main", description="The branch that is checked out, and that pull requests or merge requests go into."
    )
    token: PlaceTable = Field(description="Where the token of GitHub or GitLab is.", examples=[{"env": "GITHUB_TOKEN"}])
    url: str | None = Field(
        default=None,
        description="The address of its API (default: https://api.github.com or https://gitlab.com/api/v4).",
        examples=["https://github.example/api/v3"],
    )

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.github is None) == (self.gitlab is None):
            hint = 'write github = "OWNER/NAME" or gitlab = "GROUP/NAME"'
            raise Refused(Code.BAD_VALUE, "must have one of `github` and `gitlab`", hint=hint)
        if self.gitlab is not None and self.url is not None and not self.url.rstrip("/").endswith(_GITLAB_API):
            hint = f"write the address of your GitLab and {_GITLAB_API}, such as https://gitlab.example{_GITLAB_API}"
            raise Refused(Code.BAD_URL, f"has a `url` that does not end with {_GITLAB_API}", hint=hint)
        return self

    def build(self) -> FleetForge:
        """As a value."""
        kind = ForgeName.GITHUB if self.gitlab is None else ForgeName.GITLAB
        return FleetForge(kind, self.github or self.gitlab or "", self.base, self.token.build(), self.url)


class FleetDocument(Table):
    """fleet.toml: which stacks belong together, with which tokens, and what may be done without a person."""

    version: Version = Field(description="The version of this format.", examples=[rules.VERSION])
    fleet: FleetName = Field(description="The name of the fleet.", examples=["acme"])
    defaults: DefaultsTable = Field(default_factory=DefaultsTable, description="What holds for every stack.")
    accounts: dict[AliasKey, AccountId] = Field(
        default={},
        description="Short names of accounts, for tables and metrics (default: the beginning of the ID).",
        examples=[{"shop": "023e105f4ecef8ad9ca31a8372d0c353"}],
    )
    credentials: dict[CredentialKey, CredentialTable] = Field(description="API tokens, by name.")
    stacks: list[StacksTable] = Field(min_length=1, max_length=500, description="The stacks.")
    forge: ForgeTable | None = Field(
        default=None, description="Without it, nothing is done that would change files, and that is reported."
    )


_TABLES: dict[tuple[str, ...], type[BaseModel]] = {
    (): FleetDocument,
    ("defaults",): DefaultsTable,
    ("defaults", "deny", "*"): DenyTable,
    ("credentials", "*"): CredentialTable,
    ("credentials", "*", "token"): PlaceTable,
    ("credentials", "*", "read_token"): PlaceTable,
    ("stacks", "*"): StacksTable,
    ("stacks", "*", "git"): GitTable,
    ("forge",): ForgeTable,
    ("forge", "token"): PlaceTable,
}


class _FleetMisfits(Misfits):
    def _model(self, keys: Keys) -> type[BaseModel] | None:
        path = ["*" if isinstance(key, int) or keys[:at] == ("credentials",) else key for at, key in enumerate(keys)]
        return _TABLES.get(tuple(map(str, path)))

    def _home(self, keys: Keys, model: type[BaseModel] | None) -> str | None:  # noqa: ARG002 - as that of mtls.toml
        return None


def parse_fleet(data: bytes, path: str) -> tuple[Fleet, tuple[Diagnostic, ...]]:
    """The fleet and its warnings. InputError with every problem, in file order. `path`: its name in findings."""
    raw = read_document(data, path)
    refuse_newer(raw, path)
    findings = Findings(path, key_hint=rules.KEY_IN_FLEET_HINT, shape_hint=rules.SHAPE_IN_FLEET_HINT)
    findings.add_leaks(raw)
    document: FleetDocument | None = None
    try:
        document = FleetDocument.model_validate(raw)
    except ValidationError as error:
        _FleetMisfits(raw, {}, findings).add(error.errors(include_url=False, include_input=False))
    _check_credentials(raw, findings)
    _check_accounts(raw, findings)
    _check_acts(raw, findings)
    found = findings.in_order(raw)
    if document is None or any(one.is_error for one in found):
        raise InputError(found)
    return _build(document, path), found


def _check_credentials(raw: Raw, findings: Findings) -> None:
    """Each `[[stacks]]` names a credential that there is."""
    known, suggestions = [name for name, _ in tables(raw, "credentials")], Suggestions()
    held = raw.get("stacks")
    for index, table in enumerate(held if isinstance(held, list) else ()):
        name = table.get("credential") if isinstance(table, dict) else None
        if isinstance(name, str) and name not in known:
            keys = ("stacks", index, "credential")
            message = f"{named(keys)} is {quoted_value(name)}, which is no `[credentials.NAME]`"
            hint = suggestions.did_you_mean(name, known) or "add it, or correct the name"
            findings.add(Code.UNKNOWN_CREDENTIAL, keys, message, hint=hint)


def _check_acts(raw: Raw, findings: Findings) -> None:
    """Stacks of other repositories are at most retired."""
    held = raw.get("stacks")
    for index, table in enumerate(held if isinstance(held, list) else ()):
        if isinstance(table, dict) and "git" in table and table.get("act") in {Act.ROTATE.value, Act.ALL.value}:
            keys = ("stacks", index, "act")
            message = f"{named(keys)} must be `none` or `retire`, because files of another repository are not changed"
            findings.add(Code.BAD_VALUE, keys, message, hint="run a fleet in that repository, too, for the rest")


def _check_accounts(raw: Raw, findings: Findings) -> None:
    """Each account of a credential is an ID, or a name of `[accounts]`."""
    held = raw.get("accounts")
    known = list(held) if isinstance(held, dict) else []
    for name, table in tables(raw, "credentials"):
        for index, account in texts(table, "accounts"):
            if account not in known and not rules.accepts(rules.check_account_id, account):
                keys = ("credentials", name, "accounts", index)
                message = f"{named(keys)} must be an account ID (32 of 0-9 and a-f) or a name of `[accounts]`"
                hint = Suggestions().did_you_mean(account, known)
                findings.add(Code.BAD_ACCOUNT_ID, keys, message, hint=hint)


# --- from the checked shapes to the values of the model -------------------------------------------------------------


def _build(document: FleetDocument, path: str) -> Fleet:
    defaults, forge = document.defaults, document.forge
    return Fleet(
        path=path,
        name=document.fleet,
        rules=tuple(_rule(index, table, defaults) for index, table in enumerate(document.stacks)),
        credentials={name: _credential(name, table, document) for name, table in document.credentials.items()},
        max_acts=defaults.max_acts,
        concurrency=defaults.concurrency,
        deny=tuple(
            DenyRule(one.cron, parse_duration(one.length), load_zone(one.zone), one.why) for one in defaults.deny
        ),
        accounts={account: alias for alias, account in document.accounts.items()},
        forge=None if forge is None else forge.build(),
        act=Act(defaults.act) if "act" in defaults.model_fields_set else None,
    )


def _credential(name: str, table: CredentialTable, document: FleetDocument) -> Credential:
    return Credential(
        name=name,
        token=table.token.build(),
        accounts=tuple(document.accounts.get(one, one) for one in table.accounts),
        read_token=None if table.read_token is None else table.read_token.build(),
        budget=table.budget,
    )


def _rule(index: int, table: StacksTable, defaults: DefaultsTable) -> FleetRule:
    act = Act(table.act or defaults.act)
    return FleetRule(
        index=index,
        files=tuple(table.files),
        credential=table.credential,
        exclude=tuple(table.exclude),
        tags=tuple(table.tags),
        act=act if table.git is None else act.narrowed(Act.RETIRE),
        look=parse_duration(table.look or defaults.look),
        retired=tuple(table.retired),
        git=None if table.git is None else GitSource(table.git.url, table.git.ref),
        own_act=None if table.act is None else Act(table.act),
    )
