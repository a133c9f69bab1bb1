"""The inputs of `mtlsctl ci`: options, and the variables by which an action or a component passes them on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from reconciler.desired.durations import parse_duration
from reconciler.desired.rules import Refused
from reconciler.findings.values import dataclass
from reconciler.runs.apply import parse_waves
from reconciler.runs.operator import invalid_variable

_T = TypeVar("_T")
_Word = TypeVar("_Word", bound=StrEnum)


class CiCommand(StrEnum):
    """What a pipeline runs."""

    VALIDATE = "validate"
    PLAN = "plan"
    APPLY = "apply"
    RENEW = "renew"
    DRIFT = "drift"


class CommentWhen(StrEnum):
    """When a plan is a comment: `changes` writes none while there are no changes; one that exists is always updated."""

    CHANGES = "changes"
    ALWAYS = "always"
    NEVER = "never"


class Failing(StrEnum):
    """What makes the job fail: errors; also changes or drift; or nothing but an error without a report."""

    ERRORS = "errors"
    CHANGES = "changes"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class CiInputs:
    """The inputs of one run. None: not given.

    `comment_key`: tells the comments of several jobs on one pull request apart; the stack's name is the default.
    `files`, `all`: the stacks, as for the command itself. `plan`: the saved plan that `apply` is limited to.
    `plan_out`: where `plan` saves its plan; of several stacks, a folder. `base`: whose guards are compared.
    `html`: where a page is written. `record`: where `apply` keeps the record of its run. `waves`: how
    many Workers are deployed at a time.
    """

    files: tuple[Path, ...] = ()
    all: bool = False
    comment: CommentWhen = CommentWhen.CHANGES
    comment_key: str | None = None
    fail_on: Failing = Failing.ERRORS
    deploy: bool = False
    live: bool | None = None
    max_wait_s: float = 900.0
    lock_timeout_s: float = 0.0
    plan: Path | None = None
    plan_out: Path | None = None
    base: str | None = None
    allow_commands: bool = False
    record: Path | None = None
    waves: tuple[int | None, ...] = (None,)
    html: Path | None = None


def read_settings(environ: Mapping[str, str], options: Mapping[str, object]) -> CiInputs:
    """The settings: an option wins over its variable, `MTLSCTL_CI_` and the name of the option in capitals.

    An empty variable counts as unset: that is what an input is that nobody gave. ReconcilerError (`variable-invalid`)
    for a value that can't be read. `options`: by field name, None for one that was not given.
    """
    given = {name: value for name, value in options.items() if value is not None}

    def read(field: str, variable: str, parse: Callable[[str, str], _T]) -> None:
        text = environ.get(variable) or None
        if field not in given and text is not None:
            given[field] = parse(variable, text)

    read("files", "MTLSCTL_CI_FILE", _paths)
    read("all", "MTLSCTL_CI_ALL", _switch)
    read("comment", "MTLSCTL_CI_COMMENT", _word(CommentWhen))
    read("comment_key", "MTLSCTL_CI_COMMENT_KEY", _text)
    read("fail_on", "MTLSCTL_CI_FAIL_ON", _word(Failing))
    read("deploy", "MTLSCTL_CI_DEPLOY", _switch)
    read("live", "MTLSCTL_CI_LIVE", _switch)
    read("max_wait_s", "MTLSCTL_CI_MAX_WAIT", _seconds)
    read("lock_timeout_s", "MTLSCTL_CI_LOCK_TIMEOUT", _seconds)
    read("plan", "MTLSCTL_CI_PLAN", _path)
    read("plan_out", "MTLSCTL_CI_OUT", _path)
    read("base", "MTLSCTL_CI_BASE", _text)
    read("allow_commands", "MTLSCTL_CI_ALLOW_COMMANDS", _switch)
    read("record", "MTLSCTL_CI_RECORD", _path)
    read("waves", "MTLSCTL_CI_WAVE", _waves)
    read("html", "MTLSCTL_CI_HTML", _path)
    return CiInputs(**given)  # type: ignore[arg-type]


def _path(_: str, text: str) -> Path:
    return Path(text)


def _paths(_: str, text: str) -> tuple[Path, ...]:
    """One path for each line, so that a path may have blanks."""
    return tuple(Path(line.strip()) for line in text.splitlines() if line.strip())


def _waves(variable: str, text: str) -> tuple[int | None, ...]:
    try:
        return parse_waves(text)
    except ValueError as error:
        raise invalid_variable(variable, text, "a list of sizes", "write sizes such as 1,5,all") from error


def _text(_: str, text: str) -> str:
    return text


def _switch(variable: str, text: str) -> bool:
    """A switch: as `is_on` of `runs/operator.py`, and in the words that YAML has for it."""
    words = {"1": True, "true": True, "0": False, "false": False}
    if text.lower() not in words:
        raise invalid_variable(variable, text, "true or false", "write true to switch it on")
    return words[text.lower()]


def _seconds(variable: str, text: str) -> float:
    try:
        return parse_duration(text).total_seconds()
    except Refused as error:
        raise invalid_variable(variable, text, "a duration", "write a duration such as 30s or 15m") from error


def _word(words: type[_Word]) -> Callable[[str, str], _Word]:
    def parse(variable: str, text: str) -> _Word:
        if text not in set(words):
            raise invalid_variable(variable, text, f"one of {', '.join(words)}", f"write {next(iter(words))}")
        return words(text)

    return parse
