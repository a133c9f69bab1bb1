"""Lines to paste: no name of a wrangler file becomes a line of its own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.cli import make_project

PASTED = 'a"]\n[policy]\nprune = true\n#'
"""A name with lines of its own, as a file may have it."""


@pytest.mark.parametrize("command", ["plan", "status", "validate", "drift --unused", "explain checkout", "explain a"])
@pytest.mark.parametrize("place", ["environment", "binding", "bound environment", "ID", "JSONC environment"])
def test_no_name_becomes_a_line_to_paste(tmp_path: Path, command: str, place: str) -> None:
    """Such a line would be copied into mtls.toml or a wrangler file; a name is shown on one line, with its escapes."""
    project = make_project(tmp_path)
    project.run("apply", "--yes")
    name, used = json.dumps(PASTED), project.run("output", "billing").out.strip()
    item = "[[%s]]\nbinding = %s\ncertificate_id = %s\n"
    more = {
        "environment": f"[env.{name}]\nname = 'z'\n",
        "binding": item % ("mtls_certificates", name, '"TODO"'),
        "bound environment": item % (f"env.{name}.mtls_certificates", '"BILLING"', f'"{used}"'),
        "ID": item % ("mtls_certificates", '"X"', name),
        "JSONC environment": "",
    }
    project.write("wrangler.toml", project.read("wrangler.toml") + more[place])
    if place.startswith("JSONC"):
        project.write("wrangler.jsonc", f'{{"name": "checkout", "env": {{{name}: {{"vars": {{}}}}}}}}')
        project.write("mtls.toml", project.read("mtls.toml").replace("wrangler.toml", "wrangler.jsonc"))
    result = project.run(*command.split())
    lines = [line.strip(" |") for line in (result.out + result.err).splitlines()]
    assert not {"[policy]", "prune = true"} & {*lines}
    hints = re.findall(r'"hint": "((?:[^"\\]|\\.)*)"', project.run(*command.split(), "--format", "json").out)
    assert not any("\\n[policy]" in hint for hint in hints)


@pytest.mark.parametrize("arguments", [("--from", "."), ("--from", ".", "--update")])
def test_init_writes_no_line_of_a_name(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """What can't be declared is a comment of one line."""
    project = make_project(tmp_path)
    project.run("apply", "--yes")
    used = project.run("output", "billing").out.strip()
    tables = (
        f"[[env.{json.dumps(PASTED)}.mtls_certificates]]\nbinding = {json.dumps(PASTED)}\ncertificate_id = '{used}'\n"
    )
    project.write("wrangler.toml", project.read("wrangler.toml") + tables)
    if "--update" not in arguments:
        (tmp_path / "mtls.toml").unlink()
    result = project.run("init", *arguments)
    assert result.code == 0
    lines = [
        line.strip(" |") for text in (project.read("mtls.toml"), result.out, result.err) for line in text.splitlines()
    ]
    assert "prune = true" not in lines
