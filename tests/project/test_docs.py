"""The documentation is true: it has every word, command, option and key, and no other; links lead somewhere."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel

from reconciler.cli import commands
from reconciler.cli.commands import load_command
from reconciler.cli.root import app
from reconciler.desired import shapes
from reconciler.findings.exits import ExitCode
from reconciler.model import Action, Condition, Reason
from reconciler.views.json.schemas import all_schemas
from tests.support.paths import REPOSITORY

ROOT = REPOSITORY
GUIDE = (ROOT / "docs/guide.md").read_text()
PAGES = sorted(
    page for folder in ("*.md", ".github/*.md", "docs/**/*.md", "examples/**/*.md") for page in ROOT.glob(folder)
)
COMMANDS: dict[str, Any] = {name: load_command(name) for name in commands.COMMANDS}
GLOBAL_OPTIONS = {"--file", "-f", "--color", "--verbose", "--log-format", "--version", "--max-wait"}
"""Those of every command, and of every command that asks the store."""

ids = pytest.mark.parametrize


def section(text: str, heading: str) -> str:
    """What stands below a heading, up to the next one of its level or above."""
    level = len(heading) - len(heading.lstrip("#"))
    _, found, rest = f"\n{text}".partition(f"\n{heading}\n")
    assert found, f"there is no heading {heading!r}"
    return re.split(rf"(?m)^#{{1,{level}}} ", _without_fences(rest))[0]


def _without_fences(text: str) -> str:
    """The text without the lines of fenced blocks: a `# comment` there is no heading."""
    return re.sub(r"(?ms)^```.*?^```$", "", text)


def first_cells(text: str) -> Iterator[str]:
    """The first cell of each row of the tables in a text, without head and rule."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        is_head = number + 1 < len(lines) and lines[number + 1].startswith("|--")
        if line.startswith("|") and not line.startswith("|--") and not is_head:
            yield re.split(r"(?<!\\)\|", line)[1]


def words_of(text: str) -> list[str]:
    """The words in backticks in the first cells of a text's tables."""
    return [word for cell in first_cells(text) for word in re.findall(r"`([^`]+)`", cell)]


def fenced(page: Path, language: str) -> Iterator[str]:
    """The blocks of one language."""
    yield from re.findall(rf"(?ms)^```{language}\n(.*?)^```$", page.read_text())


# --- closed lists ---------------------------------------------------------------------------------------------------


@ids(
    ("heading", "words"),
    [("### Actions", Action), ("### Reasons", Reason), ("### Waiting", Condition)],
    ids=["actions", "reasons", "conditions"],
)
def test_a_closed_list_stands_in_the_guide_whole_and_without_others(heading: str, words: type[StrEnum]) -> None:
    """Pipelines read these words."""
    assert sorted(words_of(section(GUIDE, heading))) == sorted(word.value for word in words)


def test_the_guide_tells_every_exit_code() -> None:
    """And no other."""
    told = [int(cell) for cell in first_cells(section(GUIDE, "## 5. Exit codes"))]
    assert told == sorted(ExitCode)


def test_the_guide_names_every_document_and_its_command() -> None:
    """The formats of the schemas."""
    documents = {name.removesuffix(".schema.json") for name in all_schemas([])} - {"mtls"}
    assert set(words_of(section(GUIDE, "## 6. JSON"))) == {f"mtlsctl.{name}/1" for name in documents}


@ids(
    ("table", "head"),
    [
        (shapes.Document, "Top level:"),
        (shapes.StoreTable, "`[store]`:"),
        (shapes.PolicyTable, "`[policy]`:"),
        (shapes.CertificateTable, "`[certificates.NAME]`:"),
        (shapes.WorkerTable, "`[workers.LABEL]`:"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_the_guide_has_every_key_of_mtls_toml_with_its_default(table: type[BaseModel], head: str) -> None:
    """In the order of the format."""
    _, _, rest = section(GUIDE, "### Keys").partition(f"{head}\n\n")
    rows = [re.split(r"(?<!\\)\|", line) for line in rest.partition("\n\n")[0].splitlines()[2:]]
    assert [row[1].strip(" `") for row in rows] == list(table.model_fields)
    for row, field in zip(rows, table.model_fields.values(), strict=True):
        default = row[3].strip(" `")
        if field.is_required():
            assert default == "needed", row
        elif isinstance(field.default, bool):
            assert default == str(field.default).lower(), row
        elif isinstance(field.default, str | int):
            assert default.strip('"') == str(field.default), row


# --- the command line -----------------------------------------------------------------------------------------------


def options_of(command: Any) -> set[str]:
    """The options of a command as they are written, `--no-live` as well as `--live`."""
    written = (option for one in command.params for option in (*one.opts, *one.secondary_opts))
    return {option for option in written if option.startswith("-")}


@ids("name", sorted(COMMANDS))
def test_the_guide_has_each_command_with_each_of_its_options(name: str) -> None:
    """In the command's own section."""
    told = section(GUIDE, f"### `{name}`")
    missing = {option for option in options_of(COMMANDS[name]) - GLOBAL_OPTIONS if f"`{option}" not in told}
    assert missing == set()


@ids("name", sorted(COMMANDS))
def test_a_section_of_a_command_names_no_option_that_it_lacks(name: str) -> None:
    """Options of other commands stand in code that names the command."""
    told = re.findall(r"`(--?[a-z][a-z-]*)", section(GUIDE, f"### `{name}`"))
    assert set(told) - options_of(COMMANDS[name]) == set()


@ids("name", sorted(COMMANDS))
def test_each_command_has_an_example(name: str) -> None:
    """A line to copy."""
    _, _, rest = GUIDE.partition(f"### `{name}`\n")
    block = re.search(r"(?ms)^```sh\n(.*?)^```$", rest.partition("\n### ")[0])
    assert block is not None
    assert f"mtlsctl {name}" in block[1]


def test_the_guide_has_no_section_of_a_command_that_is_gone() -> None:
    """Headings in backticks are commands."""
    assert sorted(re.findall(r"(?m)^### `(.+)`$", GUIDE)) == sorted(COMMANDS)


def test_the_guide_tells_the_global_options() -> None:
    """Once, for all commands."""
    told = " ".join(first_cells(section(GUIDE, "## 4. Commands")))
    assert {option for option in (*GLOBAL_OPTIONS, "--help", "-h") if f"`{option}" not in told} == set()


def command_lines(page: Path) -> Iterator[str]:
    """Every line of a page's shell blocks that runs mtlsctl."""
    lines = [line for block in fenced(page, "sh") for line in block.replace("\\\n", " ").splitlines()]
    yield from (line for line in lines if re.match(r"(.+ (&&|\||;) )?(\w+=\S* )*mtlsctl ", line))


def arguments_of(line: str) -> list[str]:
    """What mtlsctl is given in a line of shell."""
    words = shlex.split(line, comments=True)
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
    assert set((ROOT / "docs").rglob("*.md")) - {index, ROOT / "docs/guide.md"} <= linked
