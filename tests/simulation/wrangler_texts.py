"""Wrangler files as people write them: comments, foreign parts, and certificates in three styles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

Tables = Mapping[str, Mapping[str, str]]
"""Environment ("" is the top level) to binding to id."""


@dataclass(frozen=True, slots=True)
class Style:
    """How a file is laid out: `tables` [[...]], `inline` arrays, or `jsonc`."""

    name: str

    @property
    def path(self) -> str:
        """What such a file is called."""
        return "wrangler.jsonc" if self.name == "jsonc" else "wrangler.toml"

    def render(self, worker: str, tables: Tables) -> bytes:
        """A file with an environment for each table, the top level always among them."""
        lines = _jsonc(worker, tables) if self.name == "jsonc" else _toml(worker, tables, inline=self.name == "inline")
        return "\n".join(lines).encode() + b"\n"


STYLES = (Style("tables"), Style("tables"), Style("inline"), Style("jsonc"))


def _toml(worker: str, tables: Tables, *, inline: bool) -> Iterator[str]:
    yield f'# foreign: {worker} is deployed from CI\nname = "{worker}"   # foreign: its name'
    yield 'main = "src/index.js"\n'
    if inline:
        yield from _inline(tables.get("", {}))
    yield '# foreign: a namespace\n[[kv_namespaces]]\nbinding = "KV"\nid = "0f2ac74b"  # foreign: of production\n'
    if not inline:
        yield from _blocks(tables.get("", {}), "")
    yield '[vars]\nREGION = "eu"\n'
    for environment, table in tables.items():
        if environment:
            yield f"# foreign: begin of {environment}\n[env.{environment}]\nworkers_dev = false"
            if inline:
                yield from _inline(table)
            yield f'[env.{environment}.vars]\nREGION = "{environment}"  # foreign: here too\n'
            if not inline:
                yield from _blocks(table, f"env.{environment}.")
    yield "# foreign: the end"


def _blocks(table: Mapping[str, str], prefix: str) -> Iterator[str]:
    for binding, text in table.items():
        yield f'[[{prefix}mtls_certificates]]\nbinding = "{binding}"\ncertificate_id = "{text}"\n'


def _inline(table: Mapping[str, str]) -> Iterator[str]:
    if table:
        entries = ", ".join(
            f'{{ binding = "{binding}", certificate_id = "{text}" }}' for binding, text in table.items()
        )
        yield f"mtls_certificates = [ {entries} ]"


def _jsonc(worker: str, tables: Tables) -> Iterator[str]:
    yield f'// foreign: {worker}\n{{\n  "name": "{worker}",\n  // foreign: a namespace'
    yield '  "kv_namespaces": [{ "binding": "KV", "id": "0f2ac74b" }],'
    yield from _json_entries(tables.get("", {}), "  ")
    yield '  "env": {'
    for environment, table in tables.items():
        if environment:
            yield f'    // foreign: {environment}\n    "{environment}": {{'
            yield from _json_entries(table, "      ")
            yield f'      "vars": {{ "REGION": "{environment}" }},\n    }},'
    yield '  },\n  // foreign: the end\n  "main": "src/index.js",\n}'


def _json_entries(table: Mapping[str, str], indent: str) -> Iterator[str]:
    if table:
        yield f'{indent}"mtls_certificates": ['
        for binding, text in table.items():
            yield f'{indent}  {{ "binding": "{binding}", "certificate_id": "{text}" }},'
        yield f"{indent}],"
