"""The checks of `doctor` of the machine and the environment. No finding contains the value of a variable."""

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
from reconciler.system.key_folders import KEY_DIRS
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
            Severity.ERROR,
            Code.PYTHON_OLD,
            f"Python {version} is too old",
            None,
            "run mtlsctl with Python 3.11 or newer",
        )
    else:
        yield well(Code.MTLSCTL, f"{__version__}, on Python {version} ({sys.platform})")


def _packages(_: Variables, __: Declaration | None) -> Iterator[Diagnostic]:
    """Whether the packages that mtlsctl requires are installed; those of optional extras may be missing."""
    try:
        required = metadata.requires("mtlsctl") or []
    except metadata.PackageNotFoundError:
        hint = "install it, for example with `pipx install .` in its checkout, to have its packages checked"
        message = "mtlsctl runs from a folder and is not installed, so its packages were not checked"
        yield Diagnostic(Severity.INFO, Code.PACKAGES, message, None, hint)
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
    """Whether the token is set and well-formed; never its value."""
    token = environ.get(TOKEN_VARIABLE)
    needed = declaration is not None and declaration.store.kind.traits.token_variable == TOKEN_VARIABLE
    if token is None and _LEGACY_TOKEN in environ:
        message = f"{TOKEN_VARIABLE} is not set, only its old name {_LEGACY_TOKEN}, which mtlsctl does not read"
        yield cure(Code.TOKEN_OLD_NAME, message, f"set {TOKEN_VARIABLE} instead")
    elif token is None and needed:
        message = f"{TOKEN_VARIABLE} is not set, so mtlsctl can't call Cloudflare's API"
        hint = (
            "create a token with `Account: SSL and Certificates` (Read to plan, Write to apply) and pass it to the step"
            " that runs mtlsctl; `mtlsctl plan --offline` and `forecast --offline` need none"
        )
        yield cure(Code.TOKEN_MISSING, message, hint)
    elif token is None:
        yield well(Code.TOKEN, f"{TOKEN_VARIABLE} is not set, and nothing here needs it")
    else:
        problem = _token_problem(token)
        yield problem or well(Code.TOKEN, f"{TOKEN_VARIABLE} is set; its value is not shown")


def _token_problem(token: str) -> Diagnostic | None:
    if not token.strip():
        hint = "check the secret in CI: one that is missing, or withheld from forks, is passed as an empty value"
        return cure(Code.TOKEN_EMPTY, f"{TOKEN_VARIABLE} is set, but empty", hint)
    if any(character.isspace() for character in token):
        hint = "set it again without spaces and line breaks; they often come from a file or from copying"
        return cure(Code.TOKEN_WHITE_SPACE, f"{TOKEN_VARIABLE} contains white space", hint)
    if not _TOKEN_FORM.fullmatch(token):
        hint = "set it again without quotes; a token has only letters, digits, - and _"
        return cure(Code.TOKEN_MALFORMED, f"{TOKEN_VARIABLE} contains characters that no token has", hint)
    if token.startswith(_GLOBAL_KEY_PREFIX):
        hint = "create a token with `Account: SSL and Certificates`; a global key has every permission"
        return cure(Code.TOKEN_IS_KEY, f"{TOKEN_VARIABLE} contains a global API key instead of a token", hint)
    return None


def _global_key(environ: Variables, _: Declaration | None) -> Iterator[Diagnostic]:
    """A global key, which wrangler, unlike mtlsctl, prefers to a token (4.164.0)."""
    present = [name for name in _GLOBAL_KEY if name in environ]
    if present:
        message = f"{' and '.join(present)} {'is' if len(present) == 1 else 'are'} set: a global API key"
        message += ", which wrangler prefers to the token; mtlsctl uses only the token"
        hint = f"unset {' '.join(present)}, so that both use the same token with its limited permissions"
        yield cure(Code.GLOBAL_KEY, message, hint)


def _key_folders(environ: Variables, _: Declaration | None) -> Iterator[Diagnostic]:
    """The folders outside the tree that may contain private keys."""
    named = [name for name in environ.get(KEY_DIRS, "").split(os.pathsep) if name]
    good = 0
    for name in named:
        folder = Path(name)
        if not folder.is_absolute():
            message = f"{KEY_DIRS} lists {name!r}, a relative path, which is ignored"
            yield cure(Code.KEY_FOLDER_RELATIVE, message, "write the absolute path")
        elif not folder.is_dir():
            message = f"{KEY_DIRS} lists {name!r}, which is not a directory"
            yield cure(Code.KEY_FOLDER_MISSING, message, f"create it, or remove it from {KEY_DIRS}")
        else:
            good += 1
    if named and good == len(named):
        yield well(Code.KEY_FOLDERS, f"{KEY_DIRS} lists {good} existing folder{'' if good == 1 else 's'}")


MACHINE_CHECKS: tuple[tuple[str, Code, Callable[[Variables, Declaration | None], Iterable[Diagnostic]]], ...] = (
    ("python", Code.PYTHON_UNREADABLE, _python),
    ("packages", Code.PACKAGES_UNREADABLE, _packages),
    ("token", Code.TOKEN_UNREADABLE, _token),
    ("global-key", Code.GLOBAL_KEY_UNREADABLE, _global_key),
    ("key-folders", Code.KEY_FOLDERS_UNREADABLE, _key_folders),
)
"""Name, code if the system refuses the check, and the check."""
