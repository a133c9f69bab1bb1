"""What the shells complete, read from the commands themselves.

`python -m tests.support.completions` writes it into the package, where no command has to be loaded to read it.
"""

from __future__ import annotations

import json
from typing import Any

from reconciler.cli.commands import COMMANDS, load_command
from reconciler.cli.complete import TABLE
from reconciler.cli.help import GLOBAL
from reconciler.findings.codes import Code
from reconciler.views.json.schemas import SCHEMAS

NAMES = {
    ("plan", "only"): "certificate",
    ("apply", "only"): "certificate",
    **{(name, "override_protect"): "certificate" for name in ("plan", "apply", "retire")},
    ("status", "names"): "certificate",
    ("verify", "names"): "certificate",
    ("output", "name"): "certificate",
    ("renew", "names"): "certificate",
    ("retire", "name"): "certificate",
    ("explain", "name"): "name",
    ("replay", "explain"): "other",
    ("dev", "worker"): "worker",
    ("guard", "names"): "worker",
    ("guard", "environment"): "environment",
    ("dev", "environment"): "environment",
    ("init", "stack"): "other",
    ("export", "stack"): "other",
}
"""What a name is the name of, by command and parameter."""


def completion_table() -> str:
    """The text of completion.json."""
    loaded = {name: load_command(name) for name in COMMANDS}
    table = {
        "options": [_option("", param) for param in loaded["plan"].params if _is_global(param)] + [_HELP],
        "commands": {
            name: {
                "help": COMMANDS[name][1],
                "options": [_option(name, param) for param in command.params if _is_option(param)],
                "arguments": [_argument(name, param) for param in command.params if not param.opts[0].startswith("-")],
            }
            for name, command in loaded.items()
        },
        "codes": [code.value for code in Code],
    }
    return _text(table)


def _text(value: object, depth: int = 0) -> str:
    """JSON with a line for each option and each code, so that two changes to it rarely meet."""
    if depth == 0:
        return _text(value, 1) + "\n"
    space, end = " " * depth, " " * (depth - 1)
    if isinstance(value, dict) and not {"names", "kind"} & set(value):
        rows = [f"{space}{json.dumps(key)}: {_text(item, depth + 1)}" for key, item in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{end}}}"
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(f"{space}{json.dumps(item)}" for item in value) + f"\n{end}]"
    return json.dumps(value)


_HELP = {"names": ["--help", "-h"], "help": "Show the help."}


def _is_global(param: Any) -> bool:
    return getattr(param, "rich_help_panel", None) == GLOBAL


def _is_option(param: Any) -> bool:
    return param.opts[0].startswith("-") and not _is_global(param) and not param.hidden


def _option(command: str, param: Any) -> dict[str, object]:
    names = sorted(param.opts, key=len, reverse=True)
    row: dict[str, object] = {"names": names, "help": param.help}
    if not param.is_flag:
        row |= _kind(command, param)
    return row | ({"repeatable": True} if param.multiple else {})


def _argument(command: str, param: Any) -> dict[str, object]:
    return _kind(command, param) | ({"many": True} if param.nargs == -1 else {})


def _kind(command: str, param: Any) -> dict[str, object]:
    """What a value is: one of a few, a path, a name, or something else."""
    choices = param.type_descriptor.choices
    if (command, param.name) == ("schema", "name"):
        choices = [name.removesuffix(".schema.json") for name in SCHEMAS]
    if choices is not None:
        return {"kind": "other", "values": [str(choice) for choice in choices]}
    if (command, param.name) in NAMES:
        return {"kind": NAMES[command, param.name]}
    words = (param.metavar or "").split("|")
    if "FOLDER" in words:
        return {"kind": "folder"}
    return {"kind": "file" if {"FILE", "PLAN"} & set(words) else "other"}


if __name__ == "__main__":
    TABLE.write_text(completion_table())
