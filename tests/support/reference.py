"""The reference pages: the parts that are made from the code, between two comments of a page.

`python -m tests.support.reference` writes them again. What is outside of the comments is written by hand and stays. The
page of findings is made as a whole.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from reconciler import keys
from reconciler.cli.commands import load_command
from reconciler.cli.help import GLOBAL
from reconciler.desired import parse, rules
from reconciler.desired.durations import DURATION_PATTERN, RENEW_BEFORE_PATTERN, SHARE_PATTERN
from reconciler.desired.schema import declaration_schema, fleet_schema
from reconciler.findings.codes import Code
from reconciler.findings.exits import PRECEDENCE, ExitCode
from reconciler.model import Condition
from reconciler.plan.plan import Plan
from reconciler.plan.wording import MEANINGS
from reconciler.records import saved_plan
from reconciler.reports.fleet import fleet_families
from reconciler.reports.metrics import Family, make_metrics
from reconciler.runs import configs
from reconciler.syntax import jsonc, toml_read
from reconciler.views.markdown.findings import findings_page
from reconciler.views.prometheus.metrics import PREFIX
from reconciler.wrangler import formats
from reconciler.x509 import files, pem
from tests.support.paths import REPOSITORY
from tests.support.reports import FLEET_STATUS
from tests.support.worlds import actual, desired, entry, file, plan_of, uid, worker

FOLDER = REPOSITORY / "docs/reference"
PART = re.compile(r"(?ms)^<!-- generated: (?P<what>[^\n]+?) -->\n.*?^<!-- end -->$")
"""One part of a page: the first comment says what is in it."""

_WIDTH = 120
_HELP = "| `--help`, `-h` | | Show the help. |"
_WORDS = {
    DURATION_PATTERN: "duration",
    RENEW_BEFORE_PATTERN: "duration or share",
    SHARE_PATTERN: "share",
    rules.CERTIFICATE_PATH_PATTERN: "path",
    rules.CONFIG_PATH_PATTERN: "path",
    rules.URL_PATTERN: "URL",
}
"""What a text is, by the pattern that it must have."""

Schema = Mapping[str, Any]


def filled(page: str) -> str:
    """The text of a page with every generated part made again."""
    return PART.sub(lambda found: f"<!-- generated: {found['what']} -->\n{_part(found['what'])}<!-- end -->", page)


def _part(what: str) -> str:
    """The text between the comments: what the first word makes of the others."""
    name, *arguments = what.split()
    lines = PARTS[name](*arguments)
    return "\n" + "".join(f"{line}\n" for line in lines) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


# --- commands -------------------------------------------------------------------------------------------------------


def _command(name: str) -> Iterator[str]:
    """What a command does, its usage, its options and its examples."""
    command = load_command(name)
    yield from _paragraphs(command.help or "")
    with command.make_context(f"mtlsctl {name}", [], resilient_parsing=True) as context:
        yield f"Usage: `mtlsctl {' '.join([name, *command.collect_usage_pieces(context)])}`"
    shown = [param for param in command.params if not getattr(param, "hidden", False)]
    own = [param for param in shown if getattr(param, "rich_help_panel", None) != GLOBAL]
    if own:
        yield ""
        yield from _options(sorted(own, key=lambda param: param.param_type_name))  # arguments first
    yield ""
    yield "```sh"
    yield from (command.epilog or "").removeprefix("Example: ").replace("\n" + " " * len("Example: "), "\n").split("\n")
    yield "```"


def _paragraphs(text: str) -> Iterator[str]:
    """Each paragraph of a help text, with a blank line after it; columns, after a \\b, stay as they are."""
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("\b"):
            yield from ("```text", *paragraph.strip("\b\n").splitlines(), "```")
        else:
            yield from textwrap.wrap(
                " ".join(paragraph.split()), _WIDTH, break_long_words=False, break_on_hyphens=False
            )
        yield ""


def _global_options() -> Iterator[str]:
    """What every command takes."""
    params = load_command("plan").params
    yield from _options(param for param in params if getattr(param, "rich_help_panel", None) == GLOBAL)
    yield _HELP


def _options(params: Iterable[Any]) -> Iterator[str]:
    yield from _table(("option", "default", "meaning"), map(_option, params))


def _option(param: Any) -> tuple[str, str, str]:
    if param.param_type_name == "argument":
        return f"`{param.metavar}`", _code(param.default), param.help
    value = "" if param.is_flag else f" {param.metavar or '|'.join(map(str, param.type_descriptor.choices))}"
    forms: list[str] = sorted(param.opts, key=len, reverse=True) + param.secondary_opts
    names = ", ".join([f"`{forms[0]}{value}`", *(f"`{other}`" for other in forms[1:])])
    return names, "" if param.is_flag else _code(param.default), param.help


def _code(value: object) -> str:
    return "" if value in (None, ()) else f"`{value}`"


# --- mtls.toml ------------------------------------------------------------------------------------------------------


def _keys(path: str = "") -> Iterator[str]:
    """The keys of a table of mtls.toml: type, default and meaning. `*` in a path is any name."""
    return _keys_of(declaration_schema(keys.KINDS), path)


def _fleet_keys(path: str = "") -> Iterator[str]:
    """The same, of fleet.toml."""
    return _keys_of(fleet_schema(), path)


def _keys_of(schema: Schema, path: str) -> Iterator[str]:
    tables: list[Any] = [schema]
    for part in path.split(".") if path else ():
        tables = [
            inner
            for table in tables
            if part == "*" or part in table["properties"]
            for inner in _tables(table["additionalProperties"] if part == "*" else table["properties"][part])
        ]
    required = [set(table.get("required", ())) for table in tables]
    found = {key: value for table in tables for key, value in table["properties"].items()}
    types = {key: {"anyOf": [one["properties"][key] for one in tables if key in one["properties"]]} for key in found}
    rows = (
        (f"`{key}`", _type(types[key]), _default(key, one, required), one["description"]) for key, one in found.items()
    )
    yield from _table(("key", "type", "default", "meaning"), rows)


def _tables(schema: Schema) -> list[Any]:
    """The tables that a value can be."""
    found = [one.get("items", one) for one in schema.get("anyOf", [schema])]
    return [one for one in found if one.get("type") == "object"]


def _type(schema: Schema) -> str:
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(one) for one in schema["anyOf"]))
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(one)}`" for one in schema["enum"])
    match schema["type"]:
        case "string":
            return _WORDS.get(schema.get("pattern", ""), "text")
        case "array":
            return "list of these" if "enum" in schema["items"] else f"list of {_type(schema['items'])}"
        case "object":
            inner = {} if "properties" in schema else schema["additionalProperties"]
            is_nested = "additionalProperties" in inner and "properties" not in inner
            return "table" if not inner else "table by name" if is_nested else f"{_type(inner)} by name"
        case "integer":
            return f"integer{_limits(schema)}"
        case other:
            return str(other)


def _limits(schema: Schema) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    return "" if least is None else f", at least {least}" if most is None else f", {least} to {most}"


def _default(key: str, schema: Schema, required: Sequence[set[str]]) -> str:
    """Nothing where several tables are possible, or where the meaning has it."""
    if len(required) == 1 and key in required[0]:
        return "required"
    default = schema.get("default")
    return "" if default in (None, {}) else f"`{json.dumps(default)}`"


def _file_limits() -> Iterator[str]:
    deep = f"keys of {toml_read.MAX_PARTS} parts, values nested {toml_read.MAX_NESTING} deep"
    chain = f"{files.MAX_CHAIN_BYTES:,} bytes, {files.MAX_CHAIN_LENGTH} certificates"
    rows = (
        ("mtls.toml", f"{parse.MAX_BYTES:,} bytes; {deep}"),
        ("a wrangler file", f"{formats.MAX_BYTES:,} bytes; TOML as mtls.toml, JSON nested {jsonc.MAX_NESTING} deep"),
        ("all wrangler files of a run", f"{configs.MOST_BYTES:,} bytes, {configs.MOST_VALUES:,} values"),
        ("a certificate file", f"{chain} of {files.MAX_CERTIFICATE_BYTES:,} bytes"),
        ("a private key", f"{pem.MAX_KEY_BYTES:,} bytes"),
        ("a saved plan", f"{saved_plan.MAX_BYTES:,} bytes"),
    )
    yield from _table(("file", "at most"), rows)


# --- exit codes and metrics -----------------------------------------------------------------------------------------


def _exit_codes() -> Iterator[str]:
    yield from _table(("code", "meaning"), ((f"`{int(code)}`", code.meaning) for code in ExitCode))


def _exit_order() -> Iterator[str]:
    yield f"If several apply, the first of these is used: {', '.join(str(int(code)) for code in PRECEDENCE)}."


def _exit_findings() -> Iterator[str]:
    """The findings that end a run with a code of their own, each with a link."""
    special = [code for code in ExitCode if code not in (ExitCode.OK, ExitCode.FAILED)]
    rows = ((code, [one for one in Code if one.exit_code is code]) for code in special)
    linked = (
        (f"`{int(code)}`", ", ".join(f"[`{one}`](findings.md#{one})" for one in found)) for code, found in rows if found
    )
    yield from _table(("code", "findings"), linked)


def _metrics() -> Iterator[str]:
    rows = ((f"`{PREFIX}{one.name}`", _labels(one), one.help) for one in make_metrics(watched(), "1"))
    yield from _table(("metric", "labels", "meaning"), rows)


def _fleet_metrics() -> Iterator[str]:
    rows = ((f"`{PREFIX}{one.name}`", _all_labels(one), one.help) for one in fleet_families(FLEET_STATUS))
    yield from _table(("metric", "labels", "meaning"), rows)


def _all_labels(family: Family) -> str:
    return ", ".join(f"`{name}`" for name, _ in family.samples[0].labels)


def _labels(family: Family) -> str:
    """Its labels, but for those that every metric has."""
    return ", ".join(f"`{name}`" for name, _ in family.samples[0].labels if name != "stack")


def watched() -> Plan:
    """A plan of which every metric has a sample."""
    wanted = desired({"billing": 1}, [worker("checkout", {None: {"BILLING": "billing", "LEDGER": f"id:{uid(2)}"}})])
    there = {"checkout": file({None: {"BILLING": uid(1), "LEDGER": uid(2)}})}
    return plan_of(wanted, actual([entry(1, 1, "@billing"), entry(2, 2)], there))


# --- conditions -----------------------------------------------------------------------------------------------------

_OF_CHANGES = (
    *(Condition.FROZEN, Condition.EMPTY),
    *(Condition.NOT_VALID_YET, Condition.VALIDITY_UNKNOWN, Condition.MAX_UNBINDS),
    Condition.UPDATE_NOT_REQUESTED,
)
"""What bindings, uploads and deploys wait for, too; the other conditions keep an old certificate."""


def _conditions(kind: str) -> Iterator[str]:
    """What a change waits for, or what keeps an old certificate: why, and what to do."""
    because = {"waits": "why it waits", "kept": "why it is kept"}[kind]
    found = [one for one in MEANINGS if (one in _OF_CHANGES) is (kind == "waits")]
    yield from _table(("condition", because, "what to do"), ((f"`{one}`", *MEANINGS[one]) for one in found))


PARTS: Mapping[str, Callable[..., Iterator[str]]] = {
    "command": _command,
    "conditions": _conditions,
    "global-options": _global_options,
    "keys": _keys,
    "fleet-keys": _fleet_keys,
    "file-limits": _file_limits,
    "exit-codes": _exit_codes,
    "exit-order": _exit_order,
    "exit-findings": _exit_findings,
    "metrics": _metrics,
    "fleet-metrics": _fleet_metrics,
}
"""What can be generated, by the first word of its comment."""


if __name__ == "__main__":
    for path in sorted(FOLDER.parent.rglob("*.md")):
        path.write_text(filled(path.read_text()))
    (FOLDER / "findings.md").write_text(findings_page())
