"""Finds what a tree has to adopt: wrangler files, as wrangler would find them, and certificate files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Set
from dataclasses import field, replace
from itertools import takewhile
from pathlib import Path
from posixpath import basename, dirname, join, normpath

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place
from reconciler.findings.errors import FileError, InputError, ReconcilerError, UsageError
from reconciler.findings.values import dataclass
from reconciler.model import BrokenFile, WorkerLabel, WranglerFile
from reconciler.model.progress import Done
from reconciler.model.templates import template_of
from reconciler.runs.configs import ConfigReader, OverBudgetError
from reconciler.runs.project import Project
from reconciler.system.discover import FILE_NAME, git_root
from reconciler.system.git import ask_ignored, ask_tracked
from reconciler.system.walk import SKIPPED, walk
from reconciler.takeover.proposed import FoundCertificate
from reconciler.wrangler.which import NAMES, search
from reconciler.x509.files import MAX_CHAIN_BYTES, parse_file

_CERTIFICATE_SUFFIXES = (".pem", ".crt", ".cer", ".cert")
_CONFIG_SUFFIXES = (".toml", ".json", ".jsonc")
_KEY_NAMES = ("{stem}.key", "{stem}-key.pem", "{stem}.key.pem")
_GENERATED = frozenset({".wrangler"})
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found. `configs`: the wrangler files with bindings. `findings`: what was left out."""

    configs: tuple[WranglerFile, ...]
    certificates: tuple[FoundCertificate, ...]
    findings: tuple[Diagnostic, ...]


def survey(
    project: Project,
    below: Path,
    declared: Mapping[WorkerLabel, WranglerFile],
    broken: Mapping[WorkerLabel, BrokenFile],
) -> Survey:
    """Everything in a folder and its subfolders. `declared`: wrangler files that are declared already; `broken`: those
    of them that can't be used, which are reported elsewhere.

    Certificate files are found in the whole folder of mtls.toml: the Workers of one subfolder may use those of another.

    UsageError if `below` is not a folder of the tree. Files that git ignores and generated files are left out.
    """
    root = demand_folder(project, below)
    return _Surveyor(project, root, declared, ConfigReader(project.files, project.sources), broken).run()


def demand_folder(project: Project, below: Path) -> Path:
    """The real path of a folder to search; UsageError if it is not one of the tree."""
    root = Path(os.path.realpath(below))
    if not root.is_dir() or not root.is_relative_to(project.files.root):
        why = "" if git_root(project.files.root) else ", the folder of mtls.toml, because there is no .git"
        hint = f"name a folder inside {project.files.root}{why}"
        raise UsageError(f"`--from {below}` is not a folder of this tree", hint=hint)
    return root


def undeclared(
    project: Project, declared: Mapping[WorkerLabel, WranglerFile], broken: Mapping[WorkerLabel, BrokenFile]
) -> tuple[WranglerFile, ...]:
    """The wrangler files with bindings that `init --update` would add, but those that have a nearer mtls.toml."""
    root = Path(os.path.realpath(project.folder))
    reader = ConfigReader(project.files, project.sources)
    return tuple(_Surveyor(project, root, declared, reader, broken).undeclared())


@dataclass
class _Surveyor:
    """One search of the tree."""

    project: Project
    root: Path
    declared: Mapping[WorkerLabel, WranglerFile]
    reader: ConfigReader
    broken: Mapping[WorkerLabel, BrokenFile]
    findings: list[Diagnostic] = field(default_factory=list)

    def run(self) -> Survey:
        with self.project.progress.counting("Searching files", None) as done:
            places = sorted({*self._places(done), *self._outside(done)})
        answer = ask_ignored(places)
        if answer.problem is not None:
            message = f"could not leave out the files that git ignores: {answer.problem.message}"
            hint = f"{answer.problem.hint}; then check that no generated wrangler file is declared"
            self.findings.append(Diagnostic(Severity.WARNING, Code.GIT_UNREADABLE, message, None, hint))
        ignored = answer.yes
        named = {path: place for place in places if (path := self._named(place)) is not None}
        templates = [path for path in named if template_of(basename(path)) is not None]
        self.findings.extend(_templates(sorted(path for path in templates if template_of(path) not in named)))
        named = {path: place for path, place in named.items() if path not in templates}
        configs = {path for path in named if _is_config(basename(path))}
        left_out = sorted(path for path in configs if named[path] in ignored)
        self.findings.extend(_ignored(left_out))
        paths = sorted(named.keys() - configs)
        with self.project.progress.counting("Reading certificates", len(paths)) as done:
            found = [(path, self._certificate(path, done)) for path in paths]
        keys = {one.key: self.project.folder / one.key for _, one in found if one is not None and one.key is not None}
        tracked = ask_tracked(keys.values()).yes  # such a key must be replaced, and its file is not a place for a key
        certificates = tuple(
            replace(
                one,
                ignored=named[path] in ignored,
                outside=not named[path].is_relative_to(self.root),
                key=None if one.key is None or keys[one.key] in tracked else one.key,
            )
            for path, one in found
            if one is not None
        )
        return Survey(tuple(self._configs(configs - set(left_out))), certificates, tuple(self.findings))

    def undeclared(self) -> Iterator[WranglerFile]:
        """Yield the wrangler files with bindings that no Worker declares."""
        with self.project.progress.counting("Searching files", None) as done:
            places = [place for place in self._places(done) if _is_config(place.name) and not template_of(place.name)]
        ignored = ask_ignored(places).yes
        mine = [one for one in places if one not in ignored and _is_nearest(self.root, one)]
        known = {file.path for file in self.declared.values()}
        found = self._configs({path for place in mine if (path := self._named(place)) is not None})
        yield from (file for file in found if file.path not in known)

    def _places(self, done: Done) -> Iterator[Path]:
        for place, is_listed in walk(self.root, _is_wanted, skipped=SKIPPED | _GENERATED):
            done()
            if is_listed:
                yield place
            else:
                name = os.path.relpath(place, self.project.folder)
                message = f"{name!r} can't be listed, so its files are not adopted"
                hint = "let this user read it, then run `mtlsctl init --update`"
                self.findings.append(Diagnostic(Severity.WARNING, Code.LEFT_OUT, message, Place(name), hint))

    def _outside(self, done: Done) -> Iterator[Path]:
        """Certificate files of the project that are not in the folder to search."""
        home = Path(os.path.realpath(self.project.folder))
        if self.root == home or not self.root.is_relative_to(home):
            return
        for place, is_listed in walk(home, _is_certificate, skipped=SKIPPED | _GENERATED):
            done()
            if is_listed and not place.is_relative_to(self.root):
                yield place

    def _named(self, place: Path) -> str | None:
        """A place as a path of mtls.toml: relative to its folder, with /; None if the name is not valid UTF-8."""
        name = os.path.relpath(place, os.path.realpath(self.project.folder)).replace(os.sep, "/")
        try:
            name.encode()
        except UnicodeEncodeError:
            message = f"{name!r} is left out: its name is not valid UTF-8"
            self.findings.append(Diagnostic(Severity.WARNING, Code.LEFT_OUT, message, None, "rename it"))
            return None
        return name

    # --- wrangler files -----------------------------------------------------------------------------------------

    def _configs(self, paths: Set[str]) -> Iterator[WranglerFile]:
        known = {self.project.files.identity(file.path) for file in self.declared.values()}
        yield from {file.path: file for file in self.declared.values()}.values()
        broken = {file.path for file in self.broken.values()}
        for path in sorted(paths - broken, key=lambda path: (self._is_link(path), path)):
            try:
                identity = self.project.files.identity(path)
                if identity in known:
                    continue
                known.add(identity)
                file = self._config(path)
            except OverBudgetError:
                raise
            except ReconcilerError as error:
                self.findings.extend(_unusable(path, error))
                continue
            if file is not None:
                yield file

    def _is_link(self, path: str) -> bool:
        return (self.project.folder / path).is_symlink()

    def _config(self, path: str) -> WranglerFile | None:
        """A wrangler file with bindings that wrangler would use; None for any other file."""
        file = self.reader.read(path)
        bound = any(environment.bindings for environment in file.environments.values())
        beside = search([dirname(path) or "."], self.reader.files_in)
        if bound and basename(path) in NAMES and beside is not None and beside != normpath(path):
            message = f"{path} is left out: wrangler uses {beside}, which is next to it"
            hint = f"delete {path} if it is no longer used; if you deploy it with `-c`, declare it by hand"
            self.findings.append(Diagnostic(Severity.WARNING, Code.LEFT_OUT, message, Place(path), hint))
            return None
        return file if bound else None

    # --- certificates -------------------------------------------------------------------------------------------

    def _certificate(self, path: str, done: Done) -> FoundCertificate | None:
        """A certificate file; None for any other. A private key is read to recognize it, and not kept."""
        done()
        try:
            bundle = parse_file(self.project.files.read(path, limit=MAX_CHAIN_BYTES), path)
        except ReconcilerError:
            return None
        folder, name = dirname(path), basename(path)
        stem = name.rpartition(".")[0]
        beside = self.reader.files_in(folder or ".") or frozenset()
        key = next((name for form in _KEY_NAMES if (name := form.format(stem=stem)) in beside), None)
        return FoundCertificate(path, bundle, None if key is None else join(folder, key))


def _is_nearest(home: Path, place: Path) -> bool:
    """Whether no folder between that of mtls.toml (`home`) and a file has an mtls.toml of its own."""
    between = takewhile(lambda folder: folder != home, place.parents)
    return not any(os.path.lexists(folder / FILE_NAME) for folder in between)


def _is_wanted(name: str) -> bool:
    made = template_of(name)
    return (made is not None and _is_config(made)) or _is_config(name) or _is_certificate(name)


def _is_certificate(name: str) -> bool:
    return name.lower().endswith(_CERTIFICATE_SUFFIXES)


def _is_config(name: str) -> bool:
    return name.lower().startswith("wrangler") and name.lower().endswith(_CONFIG_SUFFIXES)


def _ignored(paths: list[str]) -> Iterator[Diagnostic]:
    if paths:
        told = ", ".join(paths[:_MOST_NAMED]) + (", ..." if len(paths) > _MOST_NAMED else "")
        count = f"{len(paths)} wrangler file{'' if len(paths) == 1 else 's'}"
        are, them = ("is", "it") if len(paths) == 1 else ("are", "them")
        message = f"{count} {are} left out, because git ignores {them}: {told}"
        hint = "for a file that a build generates, declare the file that it is generated from"
        yield Diagnostic(Severity.INFO, Code.IGNORED_BY_GIT, message, None, hint)


def _templates(paths: list[str]) -> Iterator[Diagnostic]:
    """Templates of which the file is not here: what a pipeline makes from them gets no new IDs."""
    for path in paths:
        message = f"{path} is left out: it is a template"
        hint = "make the file from it, then run `mtlsctl init --update`; or write IDs into it: `mtlsctl output NAME`"
        yield Diagnostic(Severity.WARNING, Code.LEFT_OUT, message, Place(path), hint)


def _unusable(path: str, error: ReconcilerError) -> Iterator[Diagnostic]:
    """Yield a warning for a wrangler file that can't be read, unless it is generated or only has a similar name."""
    if error.code == Code.CONFIG_GENERATED or basename(path) not in NAMES:
        return
    if isinstance(error, (InputError, FileError)):
        first = error.diagnostics()[0]
        message = f"{path} is left out: {first.message}"
        yield Diagnostic(Severity.WARNING, Code.LEFT_OUT, message, first.where or Place(path), first.hint)
    else:
        raise error
