"""Finds the file that wrangler uses, by names alone. The caller lists the files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from posixpath import basename, dirname, join, normpath

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place

NAMES = ("wrangler.json", "wrangler.jsonc", "wrangler.toml")
"""The order of wrangler's search: each name in every folder up to the root before the next name (wrangler 4.164)."""

CODE_CONFIGS = tuple(f"cloudflare.config.{suffix}" for suffix in ("ts", "mts", "js", "mjs"))
"""Configuration in code, for wrangler's `--experimental-new-config`: it can't be read or edited as data."""

REDIRECT = ".wrangler/deploy/config.json"
"""Written by build tools next to the user's file; wrangler then deploys the file in its `configPath`."""

FilesIn = Callable[[str], frozenset[str] | None]
"""Returns the names of the files directly in a folder, or None if the folder does not exist."""


def search(folders: Sequence[str], files_in: FilesIn) -> str | None:
    """The file that wrangler uses when it is run in the first folder; the others are its parents, nearest first."""
    for name in NAMES:
        for folder in folders:
            if name in (files_in(folder) or ()):
                return normpath(join(folder, name))
    return None


def findings_beside(path: str, folders: Sequence[str], files_in: FilesIn) -> Iterator[Diagnostic]:
    """Findings about files near a wrangler file that wrangler uses instead of it, or that mtlsctl can't manage."""
    taken = search(folders, files_in) if basename(path) in NAMES else None
    if taken is not None and taken != normpath(path):
        yield Diagnostic(
            Severity.WARNING,
            Code.CONFIG_SHADOWED,
            f"wrangler uses {taken} instead of {path} if it is run in the folder of {path} without `-c`",
            Place(path),
            f"deploy with `wrangler deploy -c {basename(path)}`, or set `config` to {taken}",
        )
    for name in sorted(set(CODE_CONFIGS) & (files_in(folders[0]) or frozenset())):
        code = normpath(join(folders[0], name))
        yield Diagnostic(
            Severity.WARNING,
            Code.CONFIG_IN_CODE,
            f"{code} is next to {path}, and mtlsctl can't manage configuration in code",
            Place(code),
            "if wrangler runs with `--experimental-new-config`, write the IDs from `mtlsctl output NAME` there by hand",
        )


def redirect_target(path: str, data: bytes) -> str | None:
    """The file that a redirect points to, or None if its format is unknown. `path` is that of the redirect file."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    target = document.get("configPath") if isinstance(document, dict) else None
    return normpath(join(dirname(path), target)) if isinstance(target, str) and target else None
