"""What every command shares: the session of one run, and what turns a function into a command."""

from __future__ import annotations

import inspect
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from posixpath import join, normpath
from typing import Annotated, Literal, NoReturn, TextIO, get_type_hints

import typer
from typer.core import TyperCommand

from reconciler.cli.help import build_command
from reconciler.cli.log import logging_to_stderr
from reconciler.cli.options import (
    AllOption,
    Colour,
    ColourOption,
    FileOption,
    FilesOption,
    FleetFileOption,
    LogFormat,
    LogFormatOption,
    VerboseOption,
    VersionOption,
    WideOption,
)
from reconciler.cli.progress import make_meter
from reconciler.cli.terminal import TEXT, columns, document_failure, say, show_failure, tell
from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Place, Pointer, Resolve
from reconciler.findings.differences import NONE
from reconciler.findings.errors import FileError, ReconcilerError, StalePlanError, UsageError
from reconciler.findings.exits import ExitCode
from reconciler.model.progress import SILENT, Progress
from reconciler.reports.checks import RunFailure
from reconciler.reports.stacks import Stacks
from reconciler.runs.budget import open_budget
from reconciler.runs.project import Project, open_project, project_at
from reconciler.runs.stacks import Make, Member, open_members, run_each
from reconciler.stores import StoreContext
from reconciler.system.discover import FILE_NAME
from reconciler.system.files import write_named
from reconciler.system.several import find_all, find_named, is_pattern
from reconciler.views.table import Display, formats_of, load, render
from reconciler.views.text.style import PLAIN, Style

_log = logging.getLogger(__name__)

_PRECIOUS = frozenset({".pem", ".key", ".crt", ".cer", ".toml", ".jsonc", ".db"})
"""A file with such a suffix is a certificate, a key, a configuration or a store, so no report is written to it."""

STDOUT = Path("-")
"""`--out -`, as in most tools."""

SEVERAL = ("validate", "plan", "apply", "status", "drift", "forecast", "ci")
"""The commands that take several stacks."""

_LONGEST_CHOICE = 40
"""Characters of a choice in a help of 60 columns."""

DEFAULT_MAX_WAIT = "15m"
"""Cloudflare's rate limit refuses everything for five minutes once any program has exceeded it."""

MaxWaitOption = Annotated[
    str,
    typer.Option("--max-wait", metavar="TIME", help="Wait at most TIME for Cloudflare's rate limit: 30s, 15m."),
]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="Also write the result to FILE (- for standard output).")
]


def seconds(text: str, option: str) -> float:
    """`30s`, `5m`, `1h`, or plain seconds, as the value of an option."""
    found = re.fullmatch(r"(\d{1,6})([smh]?)", text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is not a valid time: write 30s, 5m or 1h", param_hint=option)
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


def moment(text: str) -> datetime:
    """The time of an option such as `--at`, in UTC."""
    for form in ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M UTC", "%Y-%m-%dT%H:%M:%SZ"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise typer.BadParameter(f"{text!r} is not a date; write 2027-01-31, or '2027-01-31 12:00' for a time in UTC")


def _log_line(text: str) -> None:
    _log.info(text)


class Session:
    """One run of one command. `log_format` None: nothing is logged. `max_wait_s`: the longest total wait for the rate
    limit of a server. `tell` shows what a run waits for, `progress` how far it is; a log has both.
    """

    def __init__(
        self, files: Sequence[Path], colour: Colour | None, log_format: LogFormat | None, max_wait_s: float = 0.0
    ) -> None:
        self.files, self.colour = tuple(files), colour or Colour.AUTO
        self.command, self.all = "", False
        self.log_format = log_format
        # Not a bound method: a reference cycle would keep connections open until the garbage collector runs.
        self.tell: Callable[[str], None] = tell if log_format is None else _log_line
        self.progress: Progress = SILENT if log_format is not None else make_meter()
        self.max_wait_s = max_wait_s
        self.format = TEXT
        self.wide = False
        self.project: Project | None = None
        self.resolve: Resolve = Display().place  # where there is no project
        self._projects: tuple[Project, ...] = ()

    def style(self, stream: TextIO) -> Style:
        """Colour for a stream, or none."""
        auto = stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        return Style(auto if self.colour is Colour.AUTO else self.colour is Colour.ALWAYS)

    def width(self, stream: TextIO) -> int | None:
        """The columns of a terminal, at least `NARROWEST`; None for a file or a pipe, and with `--wide`."""
        return None if self.wide else columns(stream)

    @property
    def file(self) -> Path | None:
        """The file of `--file`, if any; UsageError if there are several."""
        if len(self.files) > 1:
            raise UsageError(
                f"`mtlsctl {self.command}` works with one stack, but `--file` is given {len(self.files)} times",
                hint=f"name one mtls.toml; several can be given to {', '.join(SEVERAL)}",
            )
        return next(iter(self.files), None)

    @property
    def selection(self) -> tuple[str, ...]:
        """The options that name the mtls.toml of this run, for a command that goes on; empty if it was searched for."""
        return () if self.is_over_several or not self.files else ("-f", str(self.files[0]))

    @property
    def is_over_several(self) -> bool:
        """Whether the run is over several stacks: with `--all`, several files, or a pattern, whatever it matches."""
        return self.all or len(self.files) > 1 or any(map(is_pattern, self.files))

    def open_members(self) -> tuple[Member, ...]:
        """The stacks of a run over several."""
        if not self.can_show(Stacks):
            raise UsageError(f"`--format {self.format}` is of one stack", hint="name one mtls.toml with `--file`")
        if self.all and self.files:
            raise UsageError("`--all` and `--file` can't be combined", hint="use one of them")
        cwd = _working_folder()
        files = find_all(cwd) if self.all else find_named(self.files, cwd)
        context = self._context()
        for file in files:
            self.log(f"desired state: {file}")
        members = open_members(files, cwd=cwd, environ=os.environ, context=context)
        self._projects = tuple(member.project for member in members)
        return members

    def end_with(
        self, make: Make, out: Path | None, demand: Callable[[], None] = lambda: None, *, again: bool = False
    ) -> NoReturn:
        """Show what a command comes to, for its stack or for each of several, and end with its exit code. `demand`:
        raises UsageError if something that was asked about is of none of several. `again`: a failed run over several
        shows how to run it again."""
        if self.is_over_several:
            stacks = run_each(self.command, self.open_members(), make)
            if not any(one.is_failure for one in stacks.results):
                demand()
            named = ("--all",) if self.all else tuple(word for file in self.files for word in ("-f", str(file)))
            self.end_with_all(replace(stacks, again=("mtlsctl", self.command, *named) if again else ()), out)
        report, exit_code = make(self.open_project()) or (None, ExitCode.OK)
        self.show(report, out)
        raise typer.Exit(exit_code)

    def end_with_all(self, stacks: Stacks, out: Path | None) -> NoReturn:
        """Show the results of a run over several stacks, and end with its exit code. The error of a stack is on stderr,
        too, unless it is text on stdout; a log in JSON has it."""
        for one in stacks.results:
            if not isinstance(one.report, RunFailure):
                continue
            if self.log_format is LogFormat.JSON:
                for finding in one.report.diagnostics:
                    _log.info(replace(finding, where=_seen_from_here(one.place(finding.where), one.folder)))
            elif self.format != TEXT:
                shown = replace(self.display(sys.stderr), place=one.place, folder=one.folder)
                say(render(one.report, TEXT, shown), err=True, nl=False)
        self.show(stacks, out)
        raise typer.Exit(stacks.exit_code)

    def _context(self) -> StoreContext:
        return StoreContext(os.environ, self.max_wait_s, self.tell, self.progress, open_budget(os.environ))

    def open_project(self) -> Project:
        """The project of this run."""
        context = self._context()
        self.project = open_project(self.file, cwd=_working_folder(), environ=os.environ, context=context)
        self.log(f"desired state: {self.project.folder / self.project.name}")
        return self.project

    def new_project(self) -> Project:
        """The project of a new mtls.toml, here or at `--file`; the file may already exist."""
        path = _working_folder() / (self.file or FILE_NAME)
        if not path.parent.is_dir():
            raise UsageError(f"the folder of {self.file} does not exist", hint="create it first")
        context = self._context()
        self.project = project_at(path, environ=os.environ, context=context)
        self.log(f"desired state: {path}")
        return self.project

    def log(self, text: str) -> None:
        """A line for `--verbose`."""
        _log_line(text)

    def fail(self, error: ReconcilerError) -> None:
        """Show why the run stopped: on stderr, and on stdout in the requested format."""
        differences = error.differences if isinstance(error, StalePlanError) else NONE
        failure = RunFailure(error.diagnostics(), differences, self.command)
        if self.log_format is not LogFormat.JSON:
            show_failure(failure, self.format, self.display(sys.stderr))
            return
        for finding in failure.diagnostics:
            _log.info(finding)
        document_failure(failure, self.format, self.display(sys.stderr))

    def place(self, where: Pointer | Place | None) -> Place | None:
        """The place of a finding; without a project only if it needs no lookup."""
        return self.project.place(where) if self.project else self.resolve(where)

    def display(self, stream: TextIO) -> Display:
        """How a report is shown on a stream, with places that lead from the working directory."""
        shown = Display(self.place, self.style(stream), width=self.width(stream))
        if self.project is None:
            return shown
        return replace(shown, folder=os.path.relpath(self.project.folder), file=self.project.within)

    def can_show(self, report: type) -> bool:
        """Whether such a report has the requested format."""
        return self.format in formats_of(report)

    def show(self, report: object, out: Path | None = None) -> None:
        """Show a report in the requested format: on stdout, and whole in a file if one is named."""
        display = self.display(sys.stdout)
        if out is not None and out != STDOUT:
            whole = replace(display, style=PLAIN, width=None)
            self.write(out, render(report, self.format, whole).lstrip("\n"))
        say(render(report, self.format, display), nl=False)

    def emit(self, text: str) -> None:
        """A result, to stdout."""
        say(text, nl=False)

    def write(self, out: Path, text: str, *, option: str = "--out", over_tracked: bool = False) -> None:
        """Replace a file that the user named, atomically; - is standard output. `over_tracked`: also one in git."""
        if out == STDOUT:
            self.emit(text)
            return
        if self._is_precious(out):
            raise FileError(
                f"`{option} {out}` would overwrite a file that mtlsctl or git uses",
                hint="name a file for the report, such as report.json",
                where=Place(str(out)),
                code=Code.OUT_REFUSED,
            )
        write_named(out, text.encode(), over_tracked=over_tracked)

    def _is_precious(self, out: Path) -> bool:
        """Whether a file is an input of this run, a certificate or key, or below `.git` or `.mtlsctl`."""
        real = Path(os.path.realpath(out))
        projects = (*self._projects, *((self.project,) if self.project else ()))
        sources = [project.folder / name for project in projects for name in project.sources]
        inputs = {Path(os.path.realpath(source)) for source in sources}
        hidden = {part.lower() for part in real.parts} & {".git", ".mtlsctl"}
        return bool(hidden) or real in inputs or real.suffix.lower() in _PRECIOUS


def _seen_from_here(place: Place | None, folder: str) -> Place | None:
    """A place that leads from the working directory; `folder`: that to which it is relative."""
    return None if place is None else replace(place, path=normpath(join(folder, place.path)))


def _working_folder() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise UsageError("the working directory does not exist any more", hint="go to another folder") from error


def command(
    *, example: str, shows: tuple[type, ...] = (), asks: bool = False
) -> Callable[[Callable[..., None]], Callable[[], TyperCommand]]:
    """Turn a function into a command that also takes the global options, and shows errors.

    The function's first parameter is the `Session`, its name that of the command. `example`: lines to copy. `shows`:
    the reports that it may show; the values of its `--format` are the formats that these have in the table of views.
    `asks`: it asks the store, and may have to wait.
    """

    def declare(function: Callable[..., None]) -> Callable[[], TyperCommand]:
        def run(**arguments: object) -> None:
            session = _session(arguments, function.__name__)
            with logging_to_stderr(session.log_format, session.place):
                try:
                    for name in ("out", "record", "record_inputs"):
                        _demand_file_name(f"--{name.replace('_', '-')}", arguments.get(name))
                    _demand_views(shows, session.format)
                    function(session, **arguments)
                except ReconcilerError as error:
                    session.fail(error)
                    raise typer.Exit(error.exit_code) from error
                except KeyboardInterrupt as error:  # typer would end without a word
                    raise typer.Abort from error

        def build() -> TyperCommand:
            signature = _signature(function, shows, asks=asks, several=function.__name__ in SEVERAL)
            run.__signature__ = signature  # type: ignore[attr-defined]
            run.__annotations__ = {one.name: one.annotation for one in signature.parameters.values()}
            run.__doc__ = function.__doc__
            return build_command(run, function.__name__, example=example)

        return build

    return declare


def _demand_views(shows: tuple[type, ...], format: str) -> None:  # noqa: A002 - the word of the option
    """Raise ReconcilerError before the run if what a format needs is not installed: `apply` must be able to report."""
    if format != TEXT:
        for report in shows:
            if format in formats_of(report):
                load(report, format)


def _demand_file_name(option: str, file: object) -> None:
    """Raise UsageError for `--out ""`, before the run: a variable of a script may be empty."""
    if file == Path():
        raise UsageError(
            f"`{option}` is empty or the working directory",
            hint="name a file; in a script, check that its variable is set",
        )


def _signature(
    function: Callable[..., None], shows: tuple[type, ...], *, asks: bool, several: bool
) -> inspect.Signature:
    """The parameters that typer sees: the context, the function's own without its session, the global options."""
    hints = get_type_hints(function, include_extras=True)
    file = FleetFileOption if function.__name__ == "fleet" else FilesOption if several else FileOption
    own = [
        parameter.replace(annotation=hints[parameter.name], kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in list(inspect.signature(function).parameters.values())[1:]
    ]
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, annotation, default in (
            ("file", file, None),
            *((("all", AllOption, False),) if several else ()),
            ("colour", ColourOption, None),
            ("wide", WideOption, False),
            ("verbose", VerboseOption, False),
            ("log_format", LogFormatOption, None),
            ("version", VersionOption, False),
            *((("max_wait", MaxWaitOption, DEFAULT_MAX_WAIT),) if asks else ()),
        )
    ]
    context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    return inspect.Signature([context, *_format_option(shows), *own, *shared])


def _format_option(shows: tuple[type, ...]) -> tuple[inspect.Parameter, ...]:
    """`--format` of a command that shows such reports."""
    formats = formats_of(*shows)
    if not formats:
        return ()
    told = {"help": "Choose the output format."}
    if len("|".join(formats)) > _LONGEST_CHOICE:
        told = {"help": f"Choose the output format: {', '.join(formats[:-1])} or {formats[-1]}.", "metavar": "FORMAT"}
    words = Annotated[Literal[formats], typer.Option("--format", **told)]  # type: ignore[valid-type]
    return (inspect.Parameter("format", inspect.Parameter.KEYWORD_ONLY, default=formats[0], annotation=words),)


def _session(arguments: dict[str, object], name: str) -> Session:
    """The session from the global options; one after the command overrides one before it."""
    context = arguments.pop("ctx")
    arguments.pop("version")
    file, colour, log_format = (arguments.pop(name) for name in ("file", "colour", "log_format"))
    wide, verbose = (arguments.pop(name) for name in ("wide", "verbose"))
    told = getattr(context, "obj", None)
    before = told if isinstance(told, dict) else {}
    chosen = log_format if isinstance(log_format, LogFormat) else before.get("log_format")
    session = Session(
        files=(file if isinstance(file, list) else None) or before.get("file") or (),
        colour=colour if isinstance(colour, Colour) else before.get("colour"),
        log_format=chosen or (LogFormat.TEXT if verbose or before.get("verbose") else None),
        max_wait_s=seconds(str(arguments.pop("max_wait", DEFAULT_MAX_WAIT)), "--max-wait"),
    )
    session.format = str(arguments.pop("format", TEXT))
    session.wide = bool(wide or before.get("wide"))
    session.command, session.all = name, bool(arguments.pop("all", False))
    return session
