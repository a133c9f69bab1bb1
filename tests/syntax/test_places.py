"""Resolving findings to file, line and column: correct for each, and fast for many."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest

from reconciler.findings.diagnostics import Place, Pointer
from reconciler.runs.project import open_project
from reconciler.syntax import jsonc, toml
from reconciler.syntax.places import Places
from tests.support.locating import locate_toml, resolve

MANY = 300
TOML = "".join(f"[certificates.c{number}]\ncertificate = 'x'\n" for number in range(MANY)).encode()
JSON = ("{\n" + ",\n".join(f'  "c{number}": {number}' for number in range(MANY)) + "\n}").encode()


def test_many_findings_in_one_toml_file_scan_it_once() -> None:
    """Otherwise a report of a thousand due certificates would take twenty seconds."""
    with mock.patch.object(toml, "read_tree", wraps=toml.read_tree) as read:
        file = Places("mtls.toml", TOML)
        places = [file.find(Pointer("mtls.toml", ("certificates", f"c{number}"))) for number in range(MANY)]
    assert places == [Place("mtls.toml", 2 * number + 1, 1) for number in range(MANY)]
    assert read.call_count == 1


def test_many_findings_in_one_json_file_parse_it_once() -> None:
    """The same as for TOML."""
    with mock.patch.object(jsonc, "parse", wraps=jsonc.parse) as parse:
        file = Places("wrangler.json", JSON)
        places = [file.find(Pointer("wrangler.json", (f"c{number}",), at_key=True)) for number in range(MANY)]
    assert places == [Place("wrangler.json", number + 2, 3) for number in range(MANY)]
    assert parse.call_count == 1


@pytest.mark.parametrize("keys", [(), ("äöü",), ("b",), ("b", "c"), ("b", "c", 1), ("nothing",)])
@pytest.mark.parametrize(
    "text", ['"äöü" = 1\n\n[b]\r\n c = [1,\n 2]\n', '\ufeff\n"äöü" = 1\n[b]\nc=[1, 2]', "b.c = [1]"]
)
def test_a_place_is_where_locate_finds_it(text: str, keys: tuple[str | int, ...]) -> None:
    """The index of lines has the same counts as `line_and_column`."""
    for at_key in (False, True):
        found = resolve(Pointer("a.toml", keys, at_key), text.encode())
        assert (found.line, found.column) == locate_toml(text, keys, at_key=at_key)


@pytest.mark.parametrize("path", ["mtls.toml", "wrangler.json"])
def test_a_changed_file_is_parsed_again(tmp_path: Path, path: str) -> None:
    """A project keeps only the places of the version that was read last."""
    (tmp_path / "mtls.toml").touch()
    project = open_project(None, cwd=tmp_path, environ={})
    first, second = (b"a = 1\n", b"\n\na = 1\n") if path.endswith("toml") else (b'{"a": 1}', b'\n\n{"a": 1}')
    for data, line in ((first, 1), (second, 3), (first, 1)):
        project.sources[path] = data
        place = project.place(Pointer(path, ("a",), at_key=True))
        assert place is not None
        assert place.line == line
