"""The reference and explanation pages are true: generated parts are fresh, and closed lists are whole."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from reconciler import keys
from reconciler.cli.commands import COMMANDS, GROUPS, load_command
from reconciler.desired.schema import declaration_schema
from reconciler.findings.codes import Code
from reconciler.findings.exits import ExitCode
from reconciler.keys.env import is_well_known
from reconciler.model import Action, Reason
from reconciler.plan.coverage import Area
from reconciler.proof.levels import Level
from reconciler.proof.verdicts import EXIT_CODES, Verdict
from reconciler.reports.drift import State
from reconciler.reports.status import Alarm, Standing
from reconciler.views.json.schemas import SCHEMAS
from tests.support.paths import REPOSITORY
from tests.support.reference import FOLDER, PART, PARTS, filled
from tests.support.source import sources

pytestmark = pytest.mark.xdist_group("source")  # one worker parses the package

PAGES = sorted(FOLDER.parent.rglob("*.md"))
COMMANDS_PAGE = FOLDER / "commands.md"
PLAN_PAGE = REPOSITORY / "docs/explanation/plan.md"


def section(page: Path, heading: str) -> str:
    """What is below a heading, up to the next one of its level or above."""
    level = len(heading) - len(heading.lstrip("#"))
    _, found, rest = f"\n{page.read_text()}".partition(f"\n{heading}\n")
    assert found, f"{page.name} has no heading {heading!r}"
    unfenced = re.sub(r"(?ms)^```.*?^```$", "", rest)
    return re.split(rf"(?m)^#{{1,{level}}} ", unfenced)[0]


def cells(text: str) -> Iterator[list[str]]:
    """The cells of each row of the tables in a text, without heads and rules."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        is_head = number + 1 < len(lines) and lines[number + 1].startswith("|--")
        if line.startswith("|") and not line.startswith("|--") and not is_head:
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def words_of(text: str) -> list[str]:
    """The words in backticks in the first cells of a text's tables."""
    return [word for first, *_ in cells(text) for word in re.findall(r"`([^`]+)`", first)]


# --- what is generated ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_generated_parts_of_a_page_are_fresh(page: Path) -> None:
    """`make docs` writes them again."""
    assert page.read_text() == filled(page.read_text()), "run `make docs` and commit the result"


def used() -> list[str]:
    """What is generated somewhere."""
    return [found["what"] for page in PAGES for found in PART.finditer(page.read_text())]


def test_everything_that_can_be_generated_is_on_some_page() -> None:
    """Once. A comment without its end would generate nothing."""
    parts = used()
    assert len(set(parts)) == len(parts)
    assert {part.split()[0] for part in parts} == set(PARTS)
    assert len(parts) == sum(page.read_text().count("<!-- generated: ") for page in PAGES)


def test_every_command_is_in_its_group_in_the_order_of_the_help() -> None:
    """With a heading, and so an anchor, that is its name."""
    headings = re.findall(r"(?m)^##(?: (.+)|# `(.+)`)$", COMMANDS_PAGE.read_text())
    found = [group or name for group, name in headings if group != "Global options"]
    assert found == [word for group, names in GROUPS.items() for word in (group, *names)]
    assert [part.split()[1] for part in used() if part.startswith("command ")] == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_notes_on_a_command_name_no_option_that_it_lacks(name: str) -> None:
    """Options of other commands are in code that names the command."""
    options = {option for one in load_command(name).params for option in (*one.opts, *one.secondary_opts)}
    named = re.findall(r"`(--?[a-z][a-z-]*)", section(COMMANDS_PAGE, f"### `{name}`"))
    assert set(named) - options - {"--help", "-h"} == set()


def tables(schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """The path of every table of mtls.toml that has keys of its own."""
    for one in (one.get("items", one) for one in schema.get("anyOf", [schema])):
        if "properties" in one:
            yield path
        if isinstance(one.get("additionalProperties"), dict):
            yield from tables(one["additionalProperties"], f"{path}.*")
        for key, value in one.get("properties", {}).items():
            yield from tables(value, f"{path}.{key}")


def test_every_table_of_mtls_toml_has_its_keys_on_the_page() -> None:
    """The bindings of an environment are as those of the top level, and a passphrase is where a key may be."""
    found = {path.removeprefix(".") for path in tables(declaration_schema(keys.KINDS))}
    shown = {" ".join(part.split()[1:]) for part in used() if part.split()[0] == "keys"}
    same = {"workers.*.env.*.bindings.*", "certificates.*.private_key.passphrase", "issuers.*.password"}
    assert found - same == shown


# --- closed lists ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "heading", "words"),
    [
        (PLAN_PAGE, "## Actions", Action),
        (PLAN_PAGE, "## Reasons", Reason),
        (COMMANDS_PAGE, "### `drift`", State),
        (COMMANDS_PAGE, "#### Verdicts of an origin", Verdict),
    ],
    ids=["actions", "reasons", "states", "verdicts"],
)
def test_a_closed_list_is_on_its_page_whole_and_without_others(page: Path, heading: str, words: type[StrEnum]) -> None:
    """Pipelines read these words."""
    text = PART.sub("", section(page, heading)).partition("\n#### ")[0]
    assert sorted(words_of(text)) == sorted(word.value for word in words)


@pytest.mark.parametrize(
    ("name", "words"), [("plan", Area), ("status", Alarm), ("verify", Level)], ids=["areas", "alarms", "levels"]
)
def test_the_notes_on_a_command_have_its_closed_list(name: str, words: type[StrEnum]) -> None:
    """`within` with an example of its time."""
    notes = PART.sub("", section(COMMANDS_PAGE, f"### `{name}`").partition("#### ")[0])
    assert [word.partition("=")[0] for word in words_of(notes)] == [word.value for word in words]


def test_a_verdict_has_its_exit_code() -> None:
    """In the last cell of its row."""
    rows = cells(section(COMMANDS_PAGE, "#### Verdicts of an origin"))
    found = {first.strip("`"): int(last) for first, *_, last in rows}
    assert found == {verdict.value: EXIT_CODES[verdict.standing] for verdict in Verdict}


def test_the_guard_rails_are_the_findings_that_end_with_3() -> None:
    """And an option that is none."""
    linked = re.findall(r"\[`([a-z-]+)`\]", "".join(first for first, *_ in cells(section(PLAN_PAGE, "## Guard rails"))))
    assert sorted(linked) == sorted(code.value for code in Code if code.exit_code is ExitCode.BLOCKED)


def test_every_document_is_listed_with_its_schema() -> None:
    """The formats of the schemas."""
    names = [
        file.removesuffix(".schema.json") for file in SCHEMAS if file not in {"mtls.schema.json", "fleet.schema.json"}
    ]
    table = (FOLDER / "json.md").read_text().partition("## Keys")[0]
    found = {first.strip("`"): last for first, _, last in cells(table)}
    assert found == {f"mtlsctl.{name}/1": f"[{name}](../../schemas/{name}.schema.json)" for name in names}


def test_the_standing_of_a_binding_is_told_word_for_word() -> None:
    """Alert rules ask for it."""
    row = next(
        meaning for first, meaning, *_ in cells(section(FOLDER / "metrics.md", "# Metrics")) if first == "`standing`"
    )
    assert re.findall(r"`([a-z-]+)`", row) == [word.value for word in Standing]


def test_the_security_page_says_of_every_command_what_it_does() -> None:
    """An option in a row is one of its command."""
    table = section(REPOSITORY / "docs/explanation/security.md", "## What each command does")
    named = {word.split()[0] for word in words_of(table)}
    assert named == set(COMMANDS)


def test_the_glossary_is_in_order() -> None:
    """Each word once."""
    found = [first.casefold() for first, *_ in cells((FOLDER / "glossary.md").read_text())]
    assert found == sorted(set(found))


# --- environment variables ------------------------------------------------------------------------------------------

NAME = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")
NO_VARIABLES = {
    *("ALL_PHASES", "CA_LIMIT", "CERTIFICATE_VERIFY_FAILED", "MY_CERT", "O_PATH", "TIMEOUT_MS"),
    *("BILLING_KEY", "STEP_PASSWORD", "CF_TOKEN_PROD", "CF_TOKEN_PROD_READ"),  # examples
    *("VERIFY_CA", "VERIFY_IDENTITY"),  # modes of MySQL
    "PYDANTIC_DISABLE_PLUGINS",  # set, never read
    "FETCH_HEAD",  # of git
}
"""Texts that look like variables, and are other names."""
OF_LIBRARIES = {
    *("SSLKEYLOGFILE", "COLUMNS"),
    *(f"GIT_CONFIG_{name}" for name in ("COUNT", "KEY_0", "VALUE_0", "GLOBAL", "SYSTEM", "NOSYSTEM")),
}
"""Read by Python and typer; or passed on to git by a pattern."""


def texts(node: ast.AST) -> Iterator[str]:
    """The texts in a part of the source that look like the name of a variable."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str) and NAME.fullmatch(inner.value):
            yield inner.value


def variables_in(tree: ast.Module) -> Iterator[str]:
    """Names with an underscore, what is asked of an environment, and what is passed on to programs."""
    yield from (name for name in texts(tree) if "_" in name)
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=owner, attr="get")) if _is_environ(owner):
                yield from texts(node)
            case ast.Compare(comparators=[other]) if _is_environ(other):
                yield from texts(node)
            case ast.Assign(targets=[ast.Name(id="_PASSED_ON" | "QUIET")]):
                yield from texts(node)


def _is_environ(node: ast.AST) -> bool:
    """Whether it is called like an environment: `environ`, `os.environ`, `self._environ`."""
    return "environ" in str(getattr(node, "attr", getattr(node, "id", "")))


def on_the_page() -> Iterable[str]:
    """Every variable that the page names."""
    return (word for word in re.findall(r"`([^`]+)`", (FOLDER / "environment.md").read_text()) if NAME.fullmatch(word))


def test_every_variable_that_the_code_names_is_on_the_page_and_no_other() -> None:
    """Also those that programs get or don't get."""
    in_code = {name for source in sources() for name in variables_in(source.tree)} - NO_VARIABLES
    assert set(on_the_page()) == in_code | OF_LIBRARIES


def test_no_variable_on_the_page_may_be_declared_as_a_private_key() -> None:
    """As the page says: each has a meaning of its own."""
    assert [name for name in on_the_page() if not is_well_known(name)] == []


def test_variables_are_found_in_every_way_in_which_the_code_reads_them() -> None:
    """Else the test before this one would have nothing to say."""
    code = 'a = os.environ.get("TERM"); b = "CI" in os.environ; _PASSED_ON = ("TZ",); c = "AN_OTHER"; d = "GET"'
    assert sorted(variables_in(ast.parse(code))) == ["AN_OTHER", "CI", "TERM", "TZ"]
