"""Compare what a release is called in its tag, its version, its changelog and its metadata, before it is built.

    python .ci/check_release.py v0.1.0 https://git.example/platform/mtlsctl

A release can't be taken back: the index takes each version once. So this stops where the four do not agree.
Standard library only, because it runs before anything is installed.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def problems(tag: str, repository: str, *, root: Path = ROOT) -> Iterator[str]:
    """A sentence for each difference, with what to do."""
    found = re.search(r'^__version__ = "(.+)"$', (root / "reconciler/version.py").read_text(), re.MULTILINE)
    version = found[1] if found else ""
    if tag != f"v{version}":
        yield f"the tag is {tag}, and reconciler/version.py has {version}: tag the commit that has the version"
    changelog = (root / "CHANGELOG.md").read_text()
    if not re.search(rf"^## \[?{re.escape(version)}\]? - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        yield f"CHANGELOG.md has no heading `## {version} - YYYY-MM-DD`: rename `## Unreleased`, and add a new one"
    urls = tomllib.loads((root / "pyproject.toml").read_text())["project"].get("urls", {})
    if repository not in (url.rstrip("/") for url in urls.values()):
        yield f'no address in [project.urls] is this repository: add `Source = "{repository}"` to pyproject.toml'


def main(tag: str, repository: str) -> int:
    """0 where everything agrees, else 1."""
    found = list(problems(tag, repository))
    for problem in found:
        sys.stderr.write(f"error: {problem}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
