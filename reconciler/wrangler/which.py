"""Which file wrangler takes: its search, told by names alone. Whoever calls says which files there are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from posixpath import basename, dirname, join, normpath

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place

NAMES = ("wrangler.json", "wrangler.jsonc", "wrangler.toml")
"""In the order of wrangler's search: each name in every folder up to the root before the next name (wrangler 4.164)."""

CODE_CONFIGS = tuple(f"cloudflare.config.{suffix}" for suffix in ("ts", "mts", "js", "mjs"))
"""Configuration in code, behind wrangler's `--experimental-new-config`: it can't be read or edited as data."""

REDIRECT = ".wrangler/deploy/config.json"
"""Written by build tools beside the user's file; wrangler then deploys what its `configPath` names."""

FilesIn = Callable[[str], frozenset[str] | None]
"""The names of the files directly in a folder, None where there is no such folder."""


def search(folders: Sequence[str], files_in: FilesIn) -> str | None:
    """What wrangler takes when it is run in the first of these folders, the others being its parents, nearest first."""
    for name in NAMES:
        for folder in folders:
            if name in (files_in(folder) or ()):
                return normpath(join(folder, name))
    return None


def findings_beside(path: str, folders: Sequence[str], files_in: FilesIn) -> Iterator[Diagnostic]:
    """What lies beside or above a wrangler file and would be taken instead of it, or out of our reach."""
    taken = search(folders, files_in) if basename(path) in NAMES else None
    if taken is not None and taken != normpath(path):
        yield Diagnostic(
            Severity.WARNING,
            Code.CONFIG_SHADOWED,
            f"wrangler, run beside {path} without `-c`, takes {taken} instead",
            Place(path),
            f"deploy with `wrangler deploy -c {basename(path)}`, or name {taken} in `config`",
        )
    for name in sorted(set(CODE_CONFIGS) & (files_in(folders[0]) or frozenset())):
        code = normpath(join(folders[0], name))
        yield Diagnostic(
            Severity.WARNING,
            Code.CONFIG_IN_CODE,
            f"{code} lies beside {path}: a configuration in code is out of mtlsctl's reach",
            Place(code),
            "where wrangler runs with `--experimental-new-config`, write the ids there by hand: `mtlsctl output NAME`",
        )


def redirect_target(path: str, data: bytes) -> str | None:
    """The file that a redirect leads to; None where it is not as wrangler writes it. `path` is the redirect's own."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    target = document.get("configPath") if isinstance(document, dict) else None
    return normpath(join(dirname(path), target)) if isinstance(target, str) and target else None
