"""What every command shares: the global options, the streams, and the one place where errors become text."""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import re
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO, TypeVar, get_type_hints

import typer

if TYPE_CHECKING:
    from reconciler.findings.diagnostics import Diagnostic
    from reconciler.findings.errors import ReconcilerError
    from reconciler.records.base import Document
    from reconciler.runs.project import Project
    from reconciler.views.text.style import Style


class Format(StrEnum):
    """How a result is printed."""

    TEXT = "text"
    JSON = "json"


class Colour(StrEnum):
    """When colour is used; `auto` is on a terminal, unless NO_COLOR is set."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


def _print_version(value: bool) -> None:
    if value:
        from reconciler.version import __version__

        typer.echo(f"mtlsctl {__version__}")
        raise typer.Exit


_ANSI = re.compile(r"\x1b\[[0-9;]*m")
"""The colours of `Style`: for a terminal, never for a file."""

_PRECIOUS = frozenset({".pem", ".key", ".crt", ".cer", ".toml", ".jsonc", ".db"})
"""No report is called so; what is, is somebody's certificate, key, configuration or store."""

GROUP = "Global options"
DEFAULT_MAX_WAIT = "15m"
"""Cloudflare's rate limit refuses everything for five minutes once it is passed, whoever passed it."""

FileOption = Annotated[
    Path | None,
    typer.Option(
        "--file",
        "-f",
        metavar="FILE",
        help="The desired state; without it mtls.toml here or in a parent folder, up to the git root.",
        rich_help_panel=GROUP,
    ),
]
ColourOption = Annotated[
    Colour | None, typer.Option("--color", help="When to use colour (default: auto).", rich_help_panel=GROUP)
]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", help="Say on stderr what is being done.", rich_help_panel=GROUP)
]
VersionOption = Annotated[
    bool,
    typer.Option("--version", help="Show the version.", is_eager=True, callback=_print_version, rich_help_panel=GROUP),
]
MaxWaitOption = Annotated[
    str,
    typer.Option("--max-wait", metavar="TIME", help="How long to wait for Cloudflare's rate limit, as 30s or 15m."),
]
FormatOption = Annotated[Format, typer.Option("--format", help="Text for people, or JSON.")]
OutOption = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the same to a file, atomically.")]


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print; whether there is colour in it was decided by the `Style` that made it.

    That stderr can't be written is no reason to stop: there is nobody to be told.
    """
    with contextlib.suppress(OSError) if err else contextlib.nullcontext():
        typer.echo(text, err=err, nl=nl, color=True)


def tell(line: str) -> None:
    """A line for whoever wonders what a run waits for; on stderr, whether or not a person watches."""
    from reconciler.findings.escape import printable

    say(printable(line), err=True)


def seconds(text: str) -> float:
    """`30s`, `5m`, `1h`, or plain seconds."""
    found = re.fullmatch(r"(\d{1,6})([smh]?)", text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no time to wait: write 30s, 5m or 1h")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


class Session:
    """One run of one command. `max_wait_s`: how long it may wait for a server's rate limit in all."""

    def __init__(self, file: Path | None, colour: Colour | None, verbose: bool, max_wait_s: float = 0.0) -> None:
        self.file, self.colour, self.verbose = file, colour or Colour.AUTO, verbose
        self.max_wait_s = max_wait_s
        self.format = Format.TEXT
        self.project: Project | None = None

    def style(self, stream: TextIO) -> Style:
        """Colour for a stream, or none."""
        from reconciler.views.text.style import Style

        auto = stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        return Style(auto if self.colour is Colour.AUTO else self.colour is Colour.ALWAYS)

    def open_project(self) -> Project:
        """The project that this run is about."""
        from reconciler.runs.project import open_project
        from reconciler.stores import StoreContext

        context = StoreContext(os.environ, self.max_wait_s, tell)
        self.project = open_project(self.file, cwd=_working_folder(), environ=os.environ, context=context)
        self.log(f"desired state: {self.project.folder / self.project.name}")
        return self.project

    def new_project(self) -> Project:
        """The project of an mtls.toml that is to be made, here or at `--file`; it may be there."""
        from reconciler.findings.errors import UsageError
        from reconciler.runs.project import project_at
        from reconciler.stores import StoreContext
        from reconciler.system.discover import FILE_NAME

        path = _working_folder() / (self.file or FILE_NAME)
        if not path.parent.is_dir():
            raise UsageError(f"the folder of {self.file} does not exist", hint="create it first")
        context = StoreContext(os.environ, self.max_wait_s, tell)
        self.project = project_at(path, environ=os.environ, context=context)
        self.log(f"desired state: {path}")
        return self.project

    def log(self, text: str) -> None:
        """A line for `--verbose`."""
        if self.verbose:
            from reconciler.findings.escape import printable

            say(f"mtlsctl: {printable(text)}", err=True)

    def findings(self, diagnostics: tuple[Diagnostic, ...], style: Style) -> str:
        """Findings as text, with places that lead from the working directory."""
        from reconciler.findings.diagnostics import Place
        from reconciler.records.base import Resolve
        from reconciler.views.text.findings import render_findings

        project = self.project
        folder = os.path.relpath(project.folder) if project else ""
        resolve: Resolve = project.place if project else lambda where: where if isinstance(where, Place) else None
        return render_findings(diagnostics, resolve, style, folder=folder)

    def emit(self, text: str, out: Path | None = None) -> None:
        """A result: to stdout, and to a file where one is asked for."""
        if out is not None:
            self.write(out, _ANSI.sub("", text))
        say(text, nl=False)

    def write(self, out: Path, text: str) -> None:
        """A file that the user named, replaced atomically."""
        from reconciler.findings.diagnostics import Place
        from reconciler.findings.errors import FileError
        from reconciler.system.atomic import write_atomic

        if self._is_precious(out):
            raise FileError(
                f"`--out {out}` would overwrite what mtlsctl or git works with",
                hint="name a file for the report, such as report.json",
                where=Place(str(out)),
                code="out-refused",
            )
        write_atomic(out, text.encode(), where=Place(str(out)))

    def _is_precious(self, out: Path) -> bool:
        """Whether a file is an input of this run, a certificate or key, or below `.git` or `.mtlsctl`."""
        real = Path(os.path.realpath(out))
        sources = [self.project.folder / name for name in self.project.sources] if self.project else []
        inputs = {Path(os.path.realpath(source)) for source in sources}
        hidden = {part.lower() for part in real.parts} & {".git", ".mtlsctl"}
        return bool(hidden) or real in inputs or real.suffix.lower() in _PRECIOUS

    def emit_document(self, document: Document, out: Path | None = None) -> None:
        """A JSON document."""
        from reconciler.records.base import to_json

        self.emit(to_json(document), out)

    def report(self, error: ReconcilerError) -> None:
        """An error that stopped the run: blocks on stderr, and the document on stdout where JSON was asked for."""
        from reconciler.findings.errors import ExitCode

        diagnostics = error.diagnostics()
        say(self.findings(diagnostics, self.style(sys.stderr)), err=True)
        if self.format is Format.JSON and error.exit_code is not ExitCode.USAGE:
            from reconciler.views.json.diagnostics import diagnostics_document

            self.emit_document(
                diagnostics_document(diagnostics, self.project.place if self.project else lambda _: None)
            )


def _working_folder() -> Path:
    from reconciler.findings.errors import UsageError

    try:
        return Path.cwd()
    except OSError as error:
        raise UsageError("the working directory does not exist any more", hint="go to another folder") from error


R = TypeVar("R")


def command(
    app: typer.Typer, *, name: str | None = None, example: str, asks: bool = False
) -> Callable[[Callable[..., None]], None]:
    """Register a function as a command that also takes the global options, and turns errors into blocks of text.

    The function's first parameter is the `Session`. `example` closes its help. `asks`: it asks the store, and
    may have to wait.
    """

    def register(function: Callable[..., None]) -> None:
        hints = get_type_hints(function, include_extras=True)
        own = [
            parameter.replace(annotation=hints[parameter.name])
            for parameter in list(inspect.signature(function).parameters.values())[1:]
        ]
        shared = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for name, annotation, default in (
                ("file", FileOption, None),
                ("colour", ColourOption, None),
                ("verbose", VerboseOption, False),
                ("version", VersionOption, False),
                *((("max_wait", MaxWaitOption, DEFAULT_MAX_WAIT),) if asks else ()),
            )
        ]
        context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)

        @functools.wraps(function)
        def run(**arguments: object) -> None:
            session = _session(arguments)
            from reconciler.findings.errors import ReconcilerError

            try:
                function(session, **arguments)
            except ReconcilerError as error:
                session.report(error)
                raise typer.Exit(error.exit_code) from error

        keyword_only = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
        parameters = [context, *keyword_only, *shared]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        del run.__wrapped__
        app.command(name, help=inspect.cleandoc(function.__doc__ or ""), epilog=f"Example: {example}")(run)

    return register


def _session(arguments: dict[str, object]) -> Session:
    """The session from the global options, those after the command winning over those before it."""
    context = arguments.pop("ctx")
    arguments.pop("version")
    file, colour, verbose = (arguments.pop(name) for name in ("file", "colour", "verbose"))
    told = getattr(context, "obj", None)
    before = told if isinstance(told, dict) else {}
    session = Session(
        file=file if isinstance(file, Path) else before.get("file"),
        colour=colour if isinstance(colour, Colour) else before.get("colour"),
        verbose=bool(verbose or before.get("verbose")),
        max_wait_s=seconds(str(arguments.pop("max_wait", DEFAULT_MAX_WAIT))),
    )
    wanted = arguments.get("output_format")
    session.format = Format.JSON if wanted == Format.JSON else Format.TEXT
    return session
