"""The documentation is true: its command lines can be run, and its links lead somewhere."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from reconciler.cli import commands
from reconciler.cli.commands import load_command
from reconciler.cli.root import app
from tests.support.paths import REPOSITORY

ROOT = REPOSITORY
PAGES = sorted(
    page for folder in ("*.md", ".github/*.md", "docs/**/*.md", "examples/**/*.md") for page in ROOT.glob(folder)
)
COMMANDS: dict[str, Any] = {name: load_command(name) for name in commands.COMMANDS}
ids = pytest.mark.parametrize


def _without_fences(text: str) -> str:
    """The text without the lines of fenced blocks: a `# comment` there is no heading."""
    return re.sub(r"(?ms)^```.*?^```$", "", text)


def fenced(page: Path, language: str) -> Iterator[str]:
    """The blocks of one language."""
    yield from re.findall(rf"(?ms)^```{language}\n(.*?)^```$", page.read_text())


# --- the command line -----------------------------------------------------------------------------------------------


def command_lines(page: Path) -> Iterator[str]:
    """Every line of a page's shell blocks that runs mtlsctl."""
    lines = [line for block in fenced(page, "sh") for line in block.replace("\\\n", " ").splitlines()]
    yield from (line for line in lines if re.match(r"(.+ (&&|\||;) )?(\w+=\S* )*mtlsctl ", line))


def arguments_of(line: str) -> list[str]:
    """What mtlsctl is given in a line of shell."""
    words = shlex.split(line.replace("$RUNNER_TEMP", "runner"), comments=True)
    after = words[words.index("mtlsctl") + 1 :]
    end = next((index for index, word in enumerate(after) if word in {"|", ">", "&&", "||", ";"}), len(after))
    return after[:end]


LINES = [(page, line) for page in PAGES for line in command_lines(page)]


@ids(("page", "line"), LINES, ids=[f"{page.parent.name}/{page.name}: {line}" for page, line in LINES])
def test_a_command_line_in_the_documentation_is_one(page: Path, line: str) -> None:
    """Its command is known, its options and their values are taken, and nothing is missing."""
    root: Any = typer.main.get_command(app)
    arguments = arguments_of(line)
    if arguments == ["--version"]:
        return
    name = next((word for word in arguments if word in COMMANDS), None)
    assert name is not None, f"{page.name} has {line!r}, without a command"
    context = root.make_context("mtlsctl", list(arguments))
    try:
        COMMANDS[name].make_context(name, arguments[arguments.index(name) + 1 :], parent=context)
    except typer.exceptions.TyperException as error:
        pytest.fail(f"{page.name} has {line!r}: {error}")


def test_command_lines_are_found_wherever_they_are() -> None:
    """Else the test before this one would have nothing to say."""
    assert {word for _, line in LINES for word in arguments_of(line)} >= set(COMMANDS)
    lines = [line for _, line in LINES]
    assert any(line.startswith("CLOUDFLARE_API_TOKEN=") for line in lines)
    assert any(" && mtlsctl " in line for line in lines)


# --- links ----------------------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings get: lower case, dashes for spaces, no other punctuation."""
    headings: Iterable[str] = re.findall(r"(?m)^#+ (.+)$", _without_fences(page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> Iterator[str]:
    """The targets of a page's links that lead into this tree."""
    for target in re.findall(r"\]\(([^)\s]+)\)", _without_fences(page.read_text())):
        if "://" not in target and not target.startswith("mailto:"):
            yield target


@ids("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_a_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    """A file that was moved takes its links along."""
    for target in links(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_relative_to(ROOT), target
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target


def test_the_readme_leads_to_the_index_and_the_index_to_every_page() -> None:
    """So no page needs more than two clicks."""
    index = ROOT / "docs/index.md"
    assert "docs/index.md" in set(links(ROOT / "README.md"))
    linked = {(index.parent / target.partition("#")[0]).resolve() for target in links(index)}
    assert set((ROOT / "docs").rglob("*.md")) - {index} <= linked
