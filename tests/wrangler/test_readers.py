"""Wrangler reads edited files as intended: tested with its own parsers over thousands of cases, and wrangler itself."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

import pytest

from reconciler.findings.errors import InputError
from reconciler.wrangler.edit import Edit, RemoveBinding, SetBinding, edit_wrangler
from reconciler.wrangler.formats import load
from reconciler.wrangler.read import environment_table, read_wrangler
from tests.support import strategies_jsonc, strategies_toml
from tests.support.wrangler_readers import Case, Form, find_node, read_all, uploaded_bindings

Make = Callable[[Random], bytes]

STRICTER = ("half a surrogate pair", "duplicate key", "must contain an object")
"""Parts of the messages for files that mtlsctl refuses and wrangler's parsers accept, in these cases."""


@pytest.fixture(autouse=True)
def _wrangler() -> None:
    find_node()


@pytest.mark.parametrize(
    ("form", "make", "bindings"),
    [
        ("jsonc", strategies_jsonc.wrangler_jsonc, strategies_jsonc.BINDINGS),
        ("toml", strategies_toml.wrangler_toml, strategies_toml.BINDINGS),
    ],
)
def test_wrangler_reads_an_edited_file_as_intended(form: Form, make: Make, bindings: Sequence[str]) -> None:
    """Wrangler's parser reads all values of every file before and after an edit, and the binding as it was set."""
    path = f"wrangler.{form}"
    texts: list[bytes] = []
    wanted: list[tuple[Edit, bytes]] = []
    for seed in range(2000):
        rng = Random(seed)  # noqa: S311
        data = make(rng)
        edit = _any_edit(rng, path, data, bindings)
        after = edit_wrangler(path, data, [edit])
        texts += (data, after)
        wanted.append((edit, after))
    answers = read_all([(form, data.decode()) for data in texts])
    assert len(answers) == len(texts)
    for data, answer in zip(texts, answers, strict=True):
        assert _as_json(answer.get("value")) == _as_json(load(path, data)), data.decode()
    for (edit, after), answer in zip(wanted, answers[1::2], strict=True):
        values = answer["value"]
        assert isinstance(values, dict)
        table = environment_table(values, edit.environment)
        assert table is not None, after.decode()
        entries = table.get("mtls_certificates", [])
        assert isinstance(entries, list)
        ids = [entry["certificate_id"] for entry in entries if entry["binding"] == edit.binding]
        assert ids == ([edit.certificate_id] if isinstance(edit, SetBinding) else []), after.decode()


@pytest.mark.parametrize(
    ("form", "make"), [("jsonc", strategies_jsonc.wrangler_jsonc), ("toml", strategies_toml.wrangler_toml)]
)
def test_wrangler_refuses_and_reads_the_same_files(form: Form, make: Make) -> None:
    """For files with a few characters changed, of which many can't be parsed."""
    texts = list(_mutations(make, 4000))
    cases: list[Case] = [(form, text) for text in texts]
    refused = 0
    for text, answer in zip(texts, read_all(cases), strict=True):
        try:
            value = load(f"wrangler.{form}", text.encode())
        except InputError as error:
            refused += 1
            stricter = any(words in error.message for words in STRICTER)
            assert "error" in answer or stricter, text
        else:
            assert _as_json(answer.get("value")) == _as_json(value), text
    assert 1000 < refused < 3000


def _any_edit(rng: Random, path: str, data: bytes, bindings: Sequence[str]) -> Edit:
    environment = rng.choice(list(read_wrangler(path, data).environments))
    name = rng.choice((*bindings, "NEW"))
    if rng.random() < 0.3:
        return RemoveBinding(environment, name)
    return SetBinding(environment, name, rng.choice(("id-1", 'ü😀"\\', "//")))


def _mutations(make: Make, count: int) -> Iterator[str]:
    for seed in range(count):
        rng = Random(seed)  # noqa: S311
        yield strategies_jsonc.mutated(rng, make(rng))


def _as_json(value: object) -> object:
    """The value as JavaScript writes it to JSON, with one kind of newline: some TOML parsers keep CRLF, some do not."""
    if isinstance(value, dict):
        return {key: _as_json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_as_json(inner) for inner in value]
    if isinstance(value, str):
        return value.replace("\r\n", "\n")
    if isinstance(value, datetime.datetime):
        return value.isoformat(timespec="milliseconds")
    return value.isoformat() if isinstance(value, datetime.date) else value


# --- wrangler itself -------------------------------------------------------------------------------------------------

HEAD = '"name": "shop", "main": "index.js", "compatibility_date": "2026-01-01"'

FILES = {
    "sections/wrangler.toml": """# shop
name = "shop"
main = "index.js"
compatibility_date = "2026-01-01"

[[mtls_certificates]]
binding = "OLD"
certificate_id = "old"

[env.staging] # tested here
vars = { X = "1" }

# live
[env.production]
mtls_certificates = [
  { binding = "LEDGER", certificate_id = "old" } # was by hand
]
""",
    "inline/wrangler.toml": """name = "shop"
main = "index.js"
compatibility_date = "2026-01-01"
mtls_certificates = []
env.staging.vars.X = "1"
env.production = { vars = { X = "2" } }
""".replace("\n", "\r\n"),
    "plain/wrangler.json": f'{{{HEAD},"env":{{"staging":{{}},"production":{{"mtls_certificates":[]}}}}}}',
    "commented/wrangler.jsonc": f"""\ufeff{{
\t// shop
\t{HEAD}, /* fixed */
\t"mtls_certificates": [ // managed
\t\t{{ "certificate_id": "old", "binding": "OLD", "remote": true }}, // the first
\t],
\t"env": {{
\t\t"staging": {{
\t\t\t// nothing yet
\t\t}},
\t\t"production": {{ "vars": {{ "X": "\\u0031" }}, }},
\t}},
}}""",
}

DECLARED: dict[str | None, dict[str, str]] = {
    None: {"BILLING": "2458ce5a-0c35-4c7f-82c7-8e9487d3ff60", "LEDGER": "id-2"},
    "staging": {"BILLING": "id-3"},
    "production": {"LEDGER": "id-4", "BILLING": "id-5", "THIRD": "id-6"},
}


@pytest.mark.parametrize("name", FILES)
def test_wrangler_would_upload_exactly_the_declared_bindings(tmp_path: Path, name: str) -> None:
    """The metadata of a dry run has them, for the top level and each environment."""
    edits: list[Edit] = [RemoveBinding(None, "OLD")]
    edits += [
        SetBinding(environment, binding, certificate_id)
        for environment, bindings in DECLARED.items()
        for binding, certificate_id in bindings.items()
    ]
    config = tmp_path / name
    config.parent.mkdir()
    config.write_bytes(edit_wrangler(name, FILES[name].encode(), edits))
    (config.parent / "index.js").write_text("export default { fetch: () => new Response() };\n")
    assert {environment: uploaded_bindings(config, environment) for environment in DECLARED} == DECLARED
