"""Finds what a tree has to be taken over: wrangler files as wrangler would find them, and certificate files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from posixpath import basename, dirname, join, normpath

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place
from reconciler.findings.errors import FileError, InputError, ReconcilerError, UsageError
from reconciler.model import WorkerLabel, WranglerFile
from reconciler.model.templates import template_of
from reconciler.runs.configs import ConfigReader
from reconciler.runs.project import Project
from reconciler.system.discover import git_root
from reconciler.system.git import ask_ignored
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
    """What there is. `configs` have bindings, or may have; `findings`: what was left out."""

    configs: tuple[WranglerFile, ...]
    certificates: tuple[FoundCertificate, ...]
    findings: tuple[Diagnostic, ...]


def survey(project: Project, below: Path, declared: Mapping[WorkerLabel, WranglerFile]) -> Survey:
    """Everything below a folder. `declared`: wrangler files that mtls.toml has already; they stay as they are.

    UsageError where `below` is no folder of the tree. Files that git ignores are left out, and so is what a build made.
    """
    root = Path(os.path.realpath(below))
    if not root.is_dir() or not root.is_relative_to(project.files.root):
        why = "" if git_root(project.files.root) else ", the folder of mtls.toml, because there is no .git"
        hint = f"name a folder in {project.files.root}{why}"
        raise UsageError(f"--from {str(below)!r} is no folder of this tree", hint=hint)
    return _Surveyor(project, root, declared, ConfigReader(project.files, project.sources)).run()


@dataclass
class _Surveyor:
    """One look through the tree."""

    project: Project
    root: Path
    declared: Mapping[WorkerLabel, WranglerFile]
    reader: ConfigReader
    findings: list[Diagnostic] = field(default_factory=list)

    def run(self) -> Survey:
        places = sorted(self._places())
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
        certificates = tuple(
            replace(found, ignored=named[path] in ignored)
            for path in sorted(named.keys() - configs)
            if (found := self._certificate(path)) is not None
        )
        return Survey(tuple(self._configs(configs - set(left_out))), certificates, tuple(self.findings))

    def _places(self) -> Iterator[Path]:
        for place, is_listed in walk(self.root, _is_wanted, skipped=SKIPPED | _GENERATED):
            if is_listed:
                yield place
            else:
                name = os.path.relpath(place, self.project.folder)
                message = f"{name!r} can't be listed, so what is in it is not taken over"
                hint = "let this user read it, then run `mtlsctl init --update`"
                self.findings.append(Diagnostic(Severity.WARNING, Code.LEFT_OUT, message, Place(name), hint))

    def _named(self, place: Path) -> str | None:
        """A place as mtls.toml names it: relative to its folder, with /; None where the name is no text."""
        name = os.path.relpath(place, os.path.realpath(self.project.folder)).replace(os.sep, "/")
        try:
            name.encode()
        except UnicodeEncodeError:
            message = f"{name!r} is left out: its name is no UTF-8"
            self.findings.append(Diagnostic(Severity.WARNING, Code.LEFT_OUT, message, None, "rename it"))
            return None
        return name

    # --- wrangler files -----------------------------------------------------------------------------------------

    def _configs(self, paths: Iterable[str]) -> Iterator[WranglerFile]:
        known = {self.project.files.identity(file.path) for file in self.declared.values()}
        yield from {file.path: file for file in self.declared.values()}.values()
        for path in sorted(paths, key=lambda path: (self._is_link(path), path)):
            try:
                identity = self.project.files.identity(path)
                if identity in known:
                    continue
                known.add(identity)
                file = self._config(path)
            except ReconcilerError as error:
                self.findings.extend(_unusable(path, error))
                continue
            if file is not None:
                yield file

    def _is_link(self, path: str) -> bool:
        return (self.project.folder / path).is_symlink()

    def _config(self, path: str) -> WranglerFile | None:
        """A wrangler file that wrangler might be run with; None where it has nothing to do with certificates."""
        file = self.reader.read(path)
        bound = any(environment.bindings for environment in file.environments.values())
        beside = search([dirname(path) or "."], self.reader.files_in)
        if bound and basename(path) in NAMES and beside is not None and beside != normpath(path):
            message = f"{path} is left out: wrangler takes {beside}, which lies beside it"
            hint = f"remove {path} if it is not used any more; if it is deployed with `-c`, declare it by hand"
            self.findings.append(Diagnostic(Severity.WARNING, Code.LEFT_OUT, message, Place(path), hint))
            return None
        return file if bound else None

    # --- certificates -------------------------------------------------------------------------------------------

    def _certificate(self, path: str) -> FoundCertificate | None:
        """A certificate file; None for any other. A private key is read to know it for one, and let go of."""
        try:
            bundle = parse_file(self.project.files.read(path, limit=MAX_CHAIN_BYTES), path)
        except ReconcilerError:
            return None
        folder, name = dirname(path), basename(path)
        stem = name.rpartition(".")[0]
        beside = self.reader.files_in(folder or ".") or frozenset()
        key = next((name for form in _KEY_NAMES if (name := form.format(stem=stem)) in beside), None)
        return FoundCertificate(path, bundle, None if key is None else join(folder, key))


def _is_wanted(name: str) -> bool:
    made = template_of(name)
    return (made is not None and _is_config(made)) or _is_config(name) or name.lower().endswith(_CERTIFICATE_SUFFIXES)


def _is_config(name: str) -> bool:
    return name.lower().startswith("wrangler") and name.lower().endswith(_CONFIG_SUFFIXES)


def _ignored(paths: list[str]) -> Iterator[Diagnostic]:
    if paths:
        told = ", ".join(paths[:_MOST_NAMED]) + (", ..." if len(paths) > _MOST_NAMED else "")
        count = f"{len(paths)} wrangler file{'' if len(paths) == 1 else 's'}"
        message = f"{count} that git ignores {'is' if len(paths) == 1 else 'are'} left out: {told}"
        hint = "a file that is made by a build is made again; declare what it is made from"
        yield Diagnostic(Severity.INFO, Code.IGNORED_BY_GIT, message, None, hint)


def _templates(paths: list[str]) -> Iterator[Diagnostic]:
    """Templates of which the file is not here: what a pipeline makes from them gets no new IDs."""
    for path in paths:
        message = f"{path} is left out: it is a template"
        hint = "make the file from it, then run `mtlsctl init --update`; or write IDs into it: `mtlsctl output NAME`"
        yield Diagnostic(Severity.WARNING, Code.LEFT_OUT, message, Place(path), hint)


def _unusable(path: str, error: ReconcilerError) -> Iterator[Diagnostic]:
    """A wrangler file that can't be read. What a build made is nothing to say, nor what is only called like one."""
    if error.code == Code.CONFIG_GENERATED or basename(path) not in NAMES:
        return
    if isinstance(error, (InputError, FileError)):
        first = error.diagnostics()[0]
        message = f"{path} is left out: {first.message}"
        yield Diagnostic(Severity.WARNING, Code.LEFT_OUT, message, first.where or Place(path), first.hint)
    else:
        raise error
