"""The checks of `doctor` that look at the machine and the environment. No value of a variable is in any finding."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.model import Declaration
from reconciler.model.stores import TOKEN_VARIABLE
from reconciler.runs.doctor.checkout import cure, well
from reconciler.runs.project import KEY_DIRS
from reconciler.version import __version__

_LEGACY_TOKEN = "CF_API_TOKEN"  # noqa: S105 - the name of the variable
_GLOBAL_KEY = ("CLOUDFLARE_API_KEY", "CLOUDFLARE_EMAIL", "CF_API_KEY", "CF_EMAIL")
_TOKEN_FORM = re.compile(r"[A-Za-z0-9_-]+")
_GLOBAL_KEY_PREFIX = "cfk_"
_REQUIREMENT = re.compile(r"[A-Za-z0-9._-]+")
_OLDEST_PYTHON = (3, 11)

Variables = Mapping[str, str]


# --- the machine ----------------------------------------------------------------------------------------------------


def _python(_: Variables, __: Declaration | None) -> Iterator[Diagnostic]:
    version = platform.python_version()
    if sys.version_info < _OLDEST_PYTHON:
        yield Diagnostic(
            Severity.ERROR, Code.PYTHON_OLD, f"this is Python {version}", None, "mtlsctl needs Python 3.11 or newer"
        )
    else:
        yield well(Code.MTLSCTL, f"{__version__}, on Python {version} ({sys.platform})")


def _packages(_: Variables, __: Declaration | None) -> Iterator[Diagnostic]:
    """The packages that mtlsctl says it needs; those of optional extras are nobody's loss."""
    try:
        required = metadata.requires("mtlsctl") or []
    except metadata.PackageNotFoundError:
        hint = "to have its packages checked, run `pipx install .` in its checkout"
        yield Diagnostic(Severity.INFO, Code.PACKAGES, "mtlsctl runs from a folder, not installed", None, hint)
        return
    present: list[str] = []
    for requirement in required:
        name = _REQUIREMENT.match(requirement)
        if name is None or "extra ==" in requirement:
            continue
        try:
            present.append(f"{name.group()} {metadata.version(name.group())}")
        except metadata.PackageNotFoundError:
            hint = "run `pipx install --force .` in its checkout"
            message = f"the package {name.group()} is missing"
            yield Diagnostic(Severity.ERROR, Code.PACKAGE_MISSING, message, None, hint)
    yield well(Code.PACKAGES, ", ".join(present))


# --- the environment ------------------------------------------------------------------------------------------------


def _token(environ: Variables, declaration: Declaration | None) -> Iterator[Diagnostic]:
    """Whether there is a token, and whether it can be one; never what it is."""
    token = environ.get(TOKEN_VARIABLE)
    needed = declaration is not None and declaration.store.kind.traits.token_variable == TOKEN_VARIABLE
    if token is None and _LEGACY_TOKEN in environ:
        message = f"{TOKEN_VARIABLE} is not set, only its old name {_LEGACY_TOKEN}, which mtlsctl does not read"
        yield cure(Code.TOKEN_OLD_NAME, message, f"set {TOKEN_VARIABLE} instead")
    elif token is None and needed:
        message = f"{TOKEN_VARIABLE} is not set, so Cloudflare can't be asked"
        hint = (
            "create a token with `Account: SSL and Certificates` (Read to plan, Edit to apply) and pass it to the step"
            " that runs mtlsctl; `mtlsctl plan --offline` needs none"
        )
        yield cure(Code.TOKEN_MISSING, message, hint)
    elif token is None:
        yield well(Code.TOKEN, f"{TOKEN_VARIABLE} is not set, and nothing here needs it")
    else:
        problem = _token_problem(token)
        yield problem or well(Code.TOKEN, f"{TOKEN_VARIABLE} is set; its value is not shown")


def _token_problem(token: str) -> Diagnostic | None:
    if not token.strip():
        hint = "CI systems pass an empty value where a secret does not exist or is withheld, as from forks"
        return cure(Code.TOKEN_EMPTY, f"{TOKEN_VARIABLE} is set, but empty", hint)
    if any(character.isspace() for character in token):
        hint = "set it again without spaces and line ends; they often come from a file or from copying"
        return cure(Code.TOKEN_WHITE_SPACE, f"{TOKEN_VARIABLE} has white space in it", hint)
    if not _TOKEN_FORM.fullmatch(token):
        hint = "set it again, without quotes; a token has letters, digits, - and _ only"
        return cure(Code.TOKEN_MALFORMED, f"{TOKEN_VARIABLE} has characters that no token has", hint)
    if token.startswith(_GLOBAL_KEY_PREFIX):
        hint = "create a token with `Account: SSL and Certificates`; a global key may do everything"
        return cure(Code.TOKEN_IS_KEY, f"{TOKEN_VARIABLE} has a global API key, not a token", hint)
    return None


def _global_key(environ: Variables, _: Declaration | None) -> Iterator[Diagnostic]:
    """wrangler, unlike mtlsctl, prefers key and e-mail to a token (4.164.0)."""
    present = [name for name in _GLOBAL_KEY if name in environ]
    if present:
        message = f"{' and '.join(present)} {'is' if len(present) == 1 else 'are'} set: a global API key"
        message += ", which wrangler prefers to the token; mtlsctl uses the token alone"
        hint = f"unset {' '.join(present)}, so that both act as the same token, with its few permissions"
        yield cure(Code.GLOBAL_KEY, message, hint)


def _key_folders(environ: Variables, _: Declaration | None) -> Iterator[Diagnostic]:
    """The folders outside of the tree where private keys may lie."""
    named = [name for name in environ.get(KEY_DIRS, "").split(os.pathsep) if name]
    good = 0
    for name in named:
        folder = Path(name)
        if not folder.is_absolute():
            yield cure(Code.KEY_FOLDER_RELATIVE, f"{KEY_DIRS} has {name!r}, which does not count", "name it absolutely")
        elif not folder.is_dir():
            message = f"{KEY_DIRS} has {name!r}, where no folder is"
            yield cure(Code.KEY_FOLDER_MISSING, message, f"create it, or take it out of {KEY_DIRS}")
        else:
            good += 1
    if named and good == len(named):
        yield well(Code.KEY_FOLDERS, f"{KEY_DIRS} has {good} folder{'' if good == 1 else 's'}, all there")


MACHINE_CHECKS: tuple[tuple[str, Code, Callable[[Variables, Declaration | None], Iterable[Diagnostic]]], ...] = (
    ("python", Code.PYTHON_UNREADABLE, _python),
    ("packages", Code.PACKAGES_UNREADABLE, _packages),
    ("token", Code.TOKEN_UNREADABLE, _token),
    ("global-key", Code.GLOBAL_KEY_UNREADABLE, _global_key),
    ("key-folders", Code.KEY_FOLDERS_UNREADABLE, _key_folders),
)
"""Name, the code where the system refuses the check, and the check."""
