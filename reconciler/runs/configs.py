"""Finds and reads the wrangler files that mtls.toml declares, as wrangler would find them, each once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import field, replace
from pathlib import PurePosixPath
from posixpath import basename, dirname, join, normpath

from reconciler.desired.rules import CONFIG_SUFFIXES
from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place, Pointer
from reconciler.findings.errors import FileError, InputError, ReconcilerError
from reconciler.findings.values import dataclass
from reconciler.model import BrokenFile, Built, Declaration, DeclaredWorker, EnvironmentName, WorkerLabel, WranglerFile
from reconciler.model.ports import FileReader
from reconciler.model.progress import Done, uncounted
from reconciler.model.templates import template_of
from reconciler.wrangler.formats import MAX_BYTES, load
from reconciler.wrangler.read import read_values
from reconciler.wrangler.which import NAMES, REDIRECT, findings_beside, redirect_target, search

ReadFiles = MutableMapping[str, bytes]
"""Text files that were read, by path, to look up the places of findings."""

_MAX_REDIRECT = 10_000

MOST_BYTES = 8_000_000
MOST_VALUES = 100_000
"""Of all wrangler files of a run together: a pull request can have thousands of links, or copies, of a large one."""


class OverBudgetError(ReconcilerError):
    """The wrangler files of a run are too large together, so no more of them is read."""

    code = Code.CONFIGS_TOO_LARGE


@dataclass(slots=True)
class ConfigReader:
    """Finds wrangler files as wrangler would, and reads them; folders are listed once.

    `noticed`: the findings about the files that were read. Every read counts in `left_bytes` and `left_values`; below
    0, it raises OverBudgetError.
    """

    files: FileReader
    read_files: ReadFiles
    noticed: list[Diagnostic] = field(default_factory=list)
    folders: dict[str, frozenset[str] | None] = field(default_factory=dict)
    left_bytes: int = MOST_BYTES
    left_values: int = MOST_VALUES

    def files_in(self, folder: str) -> frozenset[str] | None:
        """The names of the files directly in a folder; None if it is not a folder, or can't be read."""
        if folder not in self.folders:
            self.folders[folder] = self.files.files_in(folder)
        return self.folders[folder]

    def find(self, config: str) -> str:
        """The path of `config`; if it is a folder, what wrangler's search finds. FileError if it finds none."""
        if _is_file_name(config) or self.files_in(config) is None:
            return config
        found = search(self.files.folders_up(config), self.files_in)
        if found is None:
            raise FileError(
                f"wrangler finds no configuration in {config} or above",
                hint=self._template_hint(config, NAMES) or "name the wrangler file in `config`",
                code=Code.FILE_MISSING,
            )
        return found

    def read(self, path: str) -> WranglerFile:
        """A wrangler file, with the file that a build generated from it; ReconcilerError if it can't be used."""
        try:
            self.read_files[path] = data = self.files.read(path, limit=MAX_BYTES)
        except FileError as error:
            if error.code is Code.FILE_MISSING:
                error.hint = self._template_hint(dirname(path) or ".", (basename(path),)) or error.hint
            raise
        file = self._parse(path, data)
        folders = self.files.folders_up(dirname(path) or ".")
        self.noticed.extend(findings_beside(path, folders, self.files_in))
        for folder in folders:
            file = self._follow_redirect(file, folder, beside=folder == folders[0])
        return file

    def _parse(self, path: str, data: bytes) -> WranglerFile:
        """The bindings in a file; the other values are dropped."""
        self.left_bytes -= len(data)
        values = load(path, data) if self.left_bytes >= 0 else {}
        self.left_values -= _count(values)
        if self.left_bytes < 0 or self.left_values < 0:
            raise OverBudgetError(
                f"all wrangler files together have more than {MOST_BYTES // 1_000_000} MB, or {MOST_VALUES:,} values",
                hint="split mtls.toml into several, each with a `stack` of its own; run `init` for a smaller folder",
                where=Place(path),
            )
        return read_values(path, values)

    def at_declaration(
        self, declaration: Declaration, label: WorkerLabel, error: ReconcilerError
    ) -> Iterable[Diagnostic]:
        """The findings of an error; those without a line, such as a missing file, point to `config` in mtls.toml.

        Where the folder of a missing file does not exist either, the hint has the lines of a Worker that was removed.
        """
        if not isinstance(error, FileError):
            return error.diagnostics()
        where, config = Pointer(declaration.path, ("workers", label, "config")), declaration.workers[label].config
        found = [replace(problem, where=where) for problem in error.diagnostics()]
        folder = dirname(config) if _is_file_name(config) else config
        if error.code is not Code.FILE_MISSING or not folder or self.files_in(folder) is not None:
            return found
        lines = _lines_text(self.read_files.get(declaration.path), label)
        hint = f"if this Worker was removed, delete {lines} of {declaration.path}; else restore {folder}"
        return [replace(problem, hint=hint) for problem in found]

    def _template_hint(self, folder: str, wanted: Collection[str]) -> str | None:
        """What to do where a folder has only a template of a wanted file."""
        names = sorted(name for name in self.files_in(folder) or () if template_of(name) in wanted)
        return f"make it from its template first: {normpath(join(folder, names[0]))}" if names else None

    def _follow_redirect(self, file: WranglerFile, folder: str, *, beside: bool) -> WranglerFile:
        """The file with the generated one that wrangler deploys instead; an error if the file is that one itself."""
        redirect = normpath(join(folder, REDIRECT))
        if basename(redirect) not in (self.files_in(dirname(redirect)) or ()):
            return file
        try:
            target = redirect_target(redirect, self.files.read(redirect, limit=_MAX_REDIRECT))
            same = target is not None and self.files.identity(target) == self.files.identity(file.path)
        except FileError as error:
            if beside:
                self.noticed.append(_unfollowed(file, redirect, error))
            return file
        if target is None:
            return file
        if same:
            message = f"{file.path} is made by a build (see {redirect}); the next build overwrites it"
            hint = "name the file that the build reads in `config`, then build again"
            raise InputError([Diagnostic(Severity.ERROR, Code.CONFIG_GENERATED, message, Pointer(file.path), hint)])
        return replace(file, built=self._built(target)) if beside else file

    def _built(self, target: str) -> Built:
        """The content of the generated file; empty if it does not exist, or can't be read."""
        try:
            file = self._parse(target, self.files.read(target, limit=MAX_BYTES))
        except OverBudgetError:
            raise
        except ReconcilerError:
            return Built(target, frozenset())
        top = file.environments[None]
        return Built(target, frozenset((found.binding, found.certificate_id) for found in top.bindings), top.script)


def _unfollowed(file: WranglerFile, redirect: str, error: FileError) -> Diagnostic:
    """The warning about a redirect that leads out of the tree, or can't be read."""
    message = f"{redirect} tells wrangler which file to deploy, but mtlsctl did not follow it: {error.message}"
    hint = (
        f"build again inside the project, remove {redirect}, or deploy with `wrangler deploy -c {basename(file.path)}`"
    )
    return Diagnostic(Severity.WARNING, Code.REDIRECT_OUTSIDE, message, Pointer(redirect), hint)


@dataclass(frozen=True, slots=True)
class Configs:
    """The declared wrangler files: those that can be used, those that can't, and all findings about them."""

    files: Mapping[WorkerLabel, WranglerFile]
    broken: Mapping[WorkerLabel, BrokenFile]
    findings: tuple[Diagnostic, ...]


def load_configs(declaration: Declaration, files: FileReader, read_files: ReadFiles, done: Done = uncounted) -> Configs:
    """Every declared wrangler file, each read once. OverBudgetError if they are too large together.

    Two labels of the same file, by any path or link, share one `WranglerFile`; its findings are reported only for the
    first label.
    """
    reader = ConfigReader(files, read_files)
    loaded: dict[WorkerLabel, WranglerFile] = {}
    broken: dict[WorkerLabel, BrokenFile] = {}
    by_identity: dict[str, WranglerFile | BrokenFile] = {}
    for label, worker in sorted(declaration.workers.items()):
        done()
        try:
            path = reader.find(worker.config)
            identity = files.identity(path)
        except ReconcilerError as error:
            broken[label] = _broken(worker.config, tuple(reader.at_declaration(declaration, label, error)))
            reader.noticed.extend(broken[label].problems)
            continue
        if identity not in by_identity:
            try:
                by_identity[identity] = reader.read(path)
            except OverBudgetError as error:
                error.where = Pointer(declaration.path, ("workers", label, "config"))
                raise
            except ReconcilerError as error:
                found = tuple(reader.at_declaration(declaration, label, error))
                text = None if isinstance(error, FileError) else read_files[path]
                by_identity[identity] = _broken(path, found, text)
                reader.noticed.extend(found)
        file = by_identity[identity]
        if isinstance(file, BrokenFile):
            broken[label] = file
        else:
            loaded[label] = file
    for labels, problem in _declared_twice(declaration, loaded):
        reader.noticed.append(problem)
        for one in labels:
            broken[one] = _broken(loaded[one].path, (problem,), read_files[loaded[one].path])
    usable = {label: file for label, file in loaded.items() if label not in broken}
    return Configs(usable, broken, tuple(reader.noticed))


def _is_file_name(config: str) -> bool:
    """Whether `config` names a file: a folder of that name is an error, not a place to search in."""
    return PurePosixPath(config).suffix in CONFIG_SUFFIXES


def _broken(path: str, found: tuple[Diagnostic, ...], text: bytes | None = None) -> BrokenFile:
    errors = tuple(problem for problem in found if problem.is_error)
    return BrokenFile(path, errors, None if text is None else text.lower())


def _count(values: object) -> int:
    """The number of values in a parsed file, tables and lists among them."""
    count, left = 0, [values]
    while left:
        inside = left.pop()
        items = inside.values() if isinstance(inside, dict) else inside if isinstance(inside, list) else ()
        count += len(items)
        left.extend(item for item in items if isinstance(item, (dict, list)))
    return count


def deployed_path(file: WranglerFile, environment: EnvironmentName) -> str:
    """The file that wrangler would deploy: the generated one, if there is one."""
    return file.built.path if file.built is not None and environment is None else file.path


def _lines_text(data: bytes | None, label: WorkerLabel) -> str:
    """`lines 12 to 18`: where mtls.toml declares a Worker; the name of its table if that is not a table of its own."""
    from reconciler.syntax.toml import lines_below  # only for this finding

    blocks = lines_below(data.decode(), ("workers", label)) if data is not None else []
    texts = [str(first) if first == last else f"{first} to {last}" for first, last in blocks]
    return f"lines {' and '.join(texts)}" if texts else f"`workers.{label}`"


def _declared_twice(
    declaration: Declaration, files: Mapping[WorkerLabel, WranglerFile]
) -> Iterator[tuple[tuple[WorkerLabel, WorkerLabel], Diagnostic]]:
    """Yield the Workers of the same file under two paths, with the error; the same path twice was reported for
    mtls.toml already."""
    first: dict[tuple[str, EnvironmentName], DeclaredWorker] = {}
    for label, file in files.items():
        worker = declaration.workers[label]
        for environment in worker.environments:
            other = first.setdefault((file.path, environment), worker)
            if other.label != label and other.config != worker.config:
                where = "its top level" if environment is None else f"its environment {environment!r}"
                problem = Diagnostic(
                    Severity.ERROR,
                    Code.ENVIRONMENT_DECLARED_TWICE,
                    f"{worker.config} and {other.config} are the same file, and both {label!r} and {other.label!r}"
                    f" declare {where}",
                    Pointer(declaration.path, ("workers", label, "config")),
                    "declare each environment of a file only once",
                )
                yield (label, other.label), problem
