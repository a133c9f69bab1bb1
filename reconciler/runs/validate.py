"""The checks that need no server: the files, the certificates, and the available keys."""

from __future__ import annotations

import os
import posixpath
import shlex
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place
from reconciler.findings.errors import FileError, KeySourceError, ReconcilerError
from reconciler.findings.escape import shell_command
from reconciler.model import Actual, Declaration, DeclaredCertificate, Desired, KeyReference
from reconciler.model.key_places import FileSink, SinkOptions, SopsSink
from reconciler.model.keys import at_key, declaration_of_key, place_of_key
from reconciler.plan.assessment import NO_OPTIONS, Held
from reconciler.plan.bindings import BindingJudge
from reconciler.plan.certificate_policy import judge_policy
from reconciler.plan.certificates import judge_certificates
from reconciler.plan.renewals import find_always_due, with_renewal
from reconciler.runs.handshake import check_cas
from reconciler.runs.look import Checkout, look
from reconciler.runs.project import Project
from reconciler.stores.database import STORE_FILE
from reconciler.system.git import ask_ignored, ask_tracked
from reconciler.x509.certificates import Bundle
from reconciler.x509.files import MAX_CHAIN_BYTES
from reconciler.x509.key_pairs import check_pair
from reconciler.x509.preflight import check_unknown

_KEY_NAMES = (".key", ".pem")
_ELSEWHERE = "normal on a pull request, whose job has no keys; `mtlsctl validate` checks the pair where the key is"


def validate(project: Project) -> tuple[Diagnostic, ...]:
    """Every finding, in the order of the file. Opens the available keys; a missing one is not an error here."""
    checkout = look(project)
    desired, declaration = checkout.desired, checkout.desired.declaration
    found: list[Diagnostic] = [*checkout.warnings, *checkout.blocked]
    absent: list[Diagnostic] = []
    now = project.clock.now()
    breaches = judge_policy(desired, None, now)
    checks: dict[tuple[Bundle, bool, str], tuple[Diagnostic, ...]] = {}  # a file can be named thousands of times
    for name, bundle in desired.bundles.items():
        declared = declaration.certificates[name]
        same = (bundle, declared.ca, declared.path)
        if same not in checks:
            checks[same] = tuple(check_unknown(bundle, ca=declared.ca, path=declared.path, now=now))
        found.extend(replace(with_renewal(problem, declared), certificate=name) for problem in checks[same])
        found.extend(breaches.get(name, ()))
        always_due = find_always_due(desired, name)
        found.extend([always_due] if always_due is not None else [])
        checked = tuple(replace(problem, certificate=name) for problem in _check_key(project, declared, bundle))
        found.extend(problem for problem in checked if problem.code is not Code.KEY_NOT_CHECKED)
        absent.extend(problem for problem in checked if problem.code is Code.KEY_NOT_CHECKED)
        if declared.verify is not None:
            cas = check_cas(declared.path, declared.verify, bundle, project.files, now)
            found.extend(replace(problem, certificate=name) for problem in cas)
    found.extend(absent if len(absent) == 1 else _join_absent(absent))
    found.extend(tracked_keys(project, declaration))
    found.extend(checkout.noticed)
    found.extend(_ignored_configs(project, checkout))
    found.extend(_tracked_store(project))
    offline = Actual(checkout.configs, listing=None, broken=checkout.broken)
    found.extend(_check_bindings(desired, offline, found, now))
    return tuple(dict.fromkeys(found))


def _check_bindings(
    desired: Desired, offline: Actual, found: list[Diagnostic], now: datetime
) -> tuple[Diagnostic, ...]:
    """What is wrong with bindings and files, as far as files can tell. What a certificate's own errors hold is not
    reported again."""
    rows, _ = judge_certificates(desired, None, now, found)
    errors: dict[str | None, list[Diagnostic]] = defaultdict(list)
    for one in found:
        if one.is_error:
            errors[one.certificate].append(one)
    held = {
        row.name: replace(row, verdict=Held(tuple(errors[row.name]))) if row.name in errors else row for row in rows
    }
    return BindingJudge(desired, offline, None, {}, held, now, NO_OPTIONS.patience).run().findings


def _check_key(project: Project, declared: DeclaredCertificate, bundle: Bundle) -> Iterator[Diagnostic]:
    """The findings about a certificate and its key, if the key is available; in a pipeline it often is not."""
    try:
        key = project.key_of(declared, only_local=True)
    except KeySourceError as error:
        if not error.is_absent:
            yield from at_key(error.diagnostics(), declared, project.name)
            return
        message = f"the key of {declared.name!r} is not available, so the pair was not checked: {error.message}"
        hint = _ELSEWHERE if declared.key is not None and _is_elsewhere(declared.key) else error.hint
        where = declaration_of_key(declared, project.name)
        yield Diagnostic(Severity.INFO, Code.KEY_NOT_CHECKED, message, where, hint)
    except ReconcilerError as error:
        yield from error.diagnostics()
    else:
        if key is not None:
            yield from key.findings
            yield from at_key(check_pair(bundle, key.pem, where=None), declared, project.name)


def _is_elsewhere(key: KeyReference) -> bool:
    """Whether a key that is not available here is so in the job of every pull request."""
    return key.source == "env" or (key.slots is not None and isinstance(key.slots.sink, FileSink))


def _join_absent(absent: Sequence[Diagnostic]) -> Iterator[Diagnostic]:
    """One finding for several keys that are not available, as on a pull request."""
    if absent:
        names = ", ".join(str(one.certificate) for one in absent)
        message = f"the keys of {names} are not available, so these pairs were not checked"
        yield Diagnostic(Severity.INFO, Code.KEY_NOT_CHECKED, message, hint=_ELSEWHERE)


def tracked_keys(
    project: Project, declaration: Declaration, unasked: Severity = Severity.ERROR
) -> Iterator[Diagnostic]:
    """An error for each private key that git tracks: everyone who can read the repository has it.

    If git can't be asked: a finding of the severity `unasked` in a repository, else a note.
    """
    files = {
        certificate.name: key.file
        for certificate in declaration.certificates.values()
        if (key := certificate.own_key) is not None and key.file is not None and _is_in_clear(project, key)
    }
    declared = {name: project.folder / path for name, path in files.items()}
    others = _undeclared_keys(project, declaration, frozenset(declared.values()))
    answer = ask_tracked((*declared.values(), *others.values()))
    if answer.problem is not None:
        asked = (*declared.items(), *others.items())
        names = ", ".join(repr(str(name)) for name, path in asked if path in answer.unknown)
        message = f"could not check whether git tracks the private key of {names}: {answer.problem.message}"
        yield Diagnostic(unasked, Code.KEY_TRACKING_UNKNOWN, message, None, answer.problem.hint)
    elif answer.outside & frozenset(declared.values()):
        message = "did not check whether git tracks private keys: there is no git repository here"
        yield Diagnostic(Severity.INFO, Code.KEY_TRACKING_UNKNOWN, message)
    for name, path in declared.items():
        if path in answer.yes:
            yield Diagnostic(
                Severity.ERROR,
                Code.KEY_IN_GIT,
                f"git tracks the private key of {name!r}",
                place_of_key(declaration.certificates[name], declaration.path),
                _out_of_git(files[name]),
                name,
            )
    for other, path in others.items():
        if path in answer.yes:
            message = "git tracks this file, which contains a private key"
            yield Diagnostic(Severity.ERROR, Code.KEY_IN_GIT, message, Place(other), _out_of_git(other))


_PEM_KEY = b"PRIVATE KEY-----"
_MOST_ENCRYPTED = 1_000_000
"""Bytes of a file of sops."""


def _is_in_clear(project: Project, key: KeyReference) -> bool:
    """Whether who has this key's file has the key: it is not encrypted, or mtls.toml has no passphrase for it."""
    if key.source in {"sops", "age"}:  # encrypted, unless someone forgot it
        try:
            return _PEM_KEY in project.files.read_key(str(key.file), limit=_MOST_ENCRYPTED).data
        except FileError:
            return False
    if key.passphrase is None or key.source != "file":
        return key.passphrase is None
    try:
        data = project.files.read_key(str(key.file), limit=MAX_CHAIN_BYTES).data
    except FileError:
        return True  # git may track it all the same
    from reconciler.x509.locked_keys import is_encrypted

    return not is_encrypted(data)


def _out_of_git(path: str) -> str:
    """How to take a private key out of git; its history keeps it, so the key itself must be replaced."""
    command = shell_command(("git", "rm", "--cached", "--", path))
    return (
        f"run `{command}`, and add it to .gitignore. The history of git keeps it, so treat it as leaked: have the"
        " certificate reissued with a new key, and keep that key in a secret of the pipeline"
    )


def _undeclared_keys(project: Project, declaration: Declaration, known: frozenset[Path]) -> dict[str, Path]:
    """The files with a private key in clear, in the folders of slots by content, and by name, too, in those of declared
    certificates; without `known`.

    Not the certificate files: a private key in one of them is an error of that file.
    """
    certificates = {one.path for one in declaration.certificates.values()}
    sinks = [one.key.slots for one in declaration.certificates.values() if one.key is not None and one.key.slots]
    slots = {
        posixpath.join(_folder_of(one.sink), owner) for one in sinks if _folder_of(one.sink) for owner in one.owners
    }
    folders = sorted({*slots, *(posixpath.dirname(path) for path in certificates)})
    found: dict[str, Path] = {}
    for folder in folders:
        for name in sorted(project.files.files_in(folder or ".") or ()):
            path = posixpath.join(folder, name)
            is_other = path not in certificates and project.folder / path not in known
            if is_other and (folder in slots or name.endswith(_KEY_NAMES)) and _has_key(project, path):
                found[path] = project.folder / path
    return found


def _folder_of(sink: SinkOptions) -> str:
    """The folder of a sink in files, else nothing."""
    match sink:
        case FileSink(folder) | SopsSink(folder):
            return folder
        case _:
            return ""


def _has_key(project: Project, path: str) -> bool:
    try:
        return _PEM_KEY in project.files.read(path, limit=MAX_CHAIN_BYTES)
    except FileError:
        return False  # larger than any key, or unreadable here


def _tracked_store(project: Project) -> Iterator[Diagnostic]:
    """A local store that came with the checkout: whoever can write to the repository decides what it says is uploaded.

    `plan` runs no program, so only `validate` and `doctor` find out.
    """
    store = project.folder / STORE_FILE
    if os.path.lexists(store) and ask_tracked((store,)).yes:  # that git can't be asked is reported for other files
        message = "git tracks the local store, so others can change what mtlsctl takes as uploaded"
        hint = f"run `git rm --cached {shlex.quote(STORE_FILE)}`"
        yield Diagnostic(Severity.WARNING, Code.STORE_IN_GIT, message, Place(STORE_FILE), hint)


def _ignored_configs(project: Project, checkout: Checkout) -> Iterator[Diagnostic]:
    """Declared wrangler files that git ignores: nobody else gets the IDs that are written into them."""
    paths = {project.folder / file.path: file.path for file in checkout.configs.values()}
    answer = ask_ignored(paths)
    if answer.problem is not None:
        message = f"could not check whether git ignores the declared wrangler files: {answer.problem.message}"
        yield Diagnostic(Severity.WARNING, Code.GIT_UNREADABLE, message, None, answer.problem.hint)
    for place, path in paths.items():
        if place in answer.yes:
            message = "git ignores this wrangler file, so the IDs that mtlsctl writes into it are in no commit"
            hint = "if it is generated, declare the file that it is generated from; else commit it: `git add -f`"
            yield Diagnostic(Severity.WARNING, Code.IGNORED_BY_GIT, message, Place(path), hint)
