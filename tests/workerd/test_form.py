"""The upload form of wrangler: what is read from it, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from reconciler.workerd.form import FormError, Module, ModuleKind, read_form

JAVASCRIPT = "application/javascript+module"


def part(name: str, body: bytes, kind: str | None) -> bytes:
    """One part, as Node's undici writes it."""
    head = f'Content-Disposition: form-data; name="{name}"' + (f'; filename="{name}"' if kind else "")
    head += f"\r\nContent-Type: {kind}" if kind else ""
    return f"------x\r\n{head}\r\n\r\n".encode() + body + b"\r\n"


def form(metadata: Mapping[str, object], *modules: tuple[str, bytes, str]) -> bytes:
    """A whole form."""
    parts = [part("metadata", json.dumps(metadata).encode(), None), *(part(*module) for module in modules)]
    return b"".join(parts) + b"------x--\r\n"


def test_the_main_module_comes_first_and_source_maps_are_left_out() -> None:
    """workerd uses the first as the main module, and has no use for source maps."""
    data = form(
        {"main_module": "b.js"},
        ("./lib/a.js", b"1", JAVASCRIPT),
        ("b.js", b"2", JAVASCRIPT),
        ("b.js.map", b"{}", "application/source-map"),
    )
    assert read_form(data).modules == (
        Module("b.js", ModuleKind.ES, b"2"),
        Module("lib/a.js", ModuleKind.ES, b"1"),
    )


@pytest.mark.parametrize("body", [b"", b"\r\n", b"a\r\n\r\nb", b"\x00\xff--", b"--x\r\n\r\n", b'; name="c"\r\n\r\n'])
def test_the_bytes_of_a_module_are_kept(body: bytes) -> None:
    """A body may contain anything except the boundary."""
    data = form({"main_module": "a.js"}, ("a.js", b"x", JAVASCRIPT), ("d.bin", body, "application/octet-stream"))
    assert read_form(data).modules[1].data == body


def test_bindings_keep_their_kind_and_variables_their_value() -> None:
    """JSON and text alike."""
    bindings: list[dict[str, object]] = [
        {"name": "A", "type": "plain_text", "text": "é"},
        {"name": "B", "type": "json", "json": {"a": [1, None]}},
        {"name": "C", "type": "json", "json": None},
        {"name": "KV", "type": "kv_namespace", "namespace_id": "x"},
    ]
    built = read_form(form({"main_module": "a.js", "bindings": bindings}, ("a.js", b"x", JAVASCRIPT)))
    assert [(one.name, one.kind, one.value) for one in built.bindings] == [
        ("A", "plain_text", "é"),
        ("B", "json", {"a": [1, None]}),
        ("C", "json", None),
        ("KV", "kv_namespace", None),
    ]


def test_dates_and_flags_are_read_and_the_old_format_is_told_apart() -> None:
    """A script without modules has a body part."""
    made = read_form(
        form(
            {"body_part": "i.js", "compatibility_date": "2024-01-01", "compatibility_flags": ["nodejs_compat"]},
            ("i.js", b"x", "application/javascript"),
        )
    )
    assert (made.script, made.compatibility_date, made.compatibility_flags) == (True, "2024-01-01", ("nodejs_compat",))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"--x\r\nContent-Disposition: form-data\r\n\r\n\r\n--x--",
        form({}),
        form({"main_module": "gone.js"}),
        part("metadata", b"{}", None),
        part("metadata", b"[", None) + b"------x--\r\n",
        part("metadata", b"[" * 100_000, None) + b"------x--\r\n",
        form({"main_module": "a.py"}, ("a.py", b"", "text/x-python")),
        form({"main_module": "a.js"}, ("a.js", b"", "")),
    ],
    ids=["empty", "text", "nameless", "no main", "main missing", "cut", "no JSON", "too deep", "python", "no type"],
)
def test_what_is_no_such_form_is_refused(data: bytes) -> None:
    """From another version of wrangler, or of a Worker that can't be run here."""
    with pytest.raises(FormError) as caught:
        read_form(data)
    assert caught.value.code == "dev-bundle"
    assert caught.value.hint
