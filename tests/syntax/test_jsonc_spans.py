"""The parser of JSON with comments: positions, values, and the texts that it refuses."""

from __future__ import annotations

import contextlib
import json
import sys
import tracemalloc
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Place, Pointer
from reconciler.syntax import jsonc_read
from reconciler.syntax.jsonc import JsoncError, JsonNode, parse
from reconciler.syntax.jsonc_read import load
from reconciler.syntax.reading import UnreadableError
from tests.support.counted import count_calls, growth
from tests.support.json_judge import read_json
from tests.support.locating import locate_json as locate
from tests.support.locating import resolve
from tests.support.measured import measure
from tests.support.paths import REPOSITORY
from tests.support.strategies_jsonc import mutated, wrangler_files, wrangler_jsonc

Keys = tuple[str | int, ...]


def refusal_of(text: str) -> JsoncError | None:
    """Why a text is refused; None if it is accepted."""
    try:
        parse(text)
    except JsoncError as error:
        return error
    return None


TEXT = """\
// first
{
  "name": "worker", // remark
  "v\\u0061rs" /* here */ : { "X": 1 },
  "list": [ 1, // one
    { "a": [ ] , },
  ],
  "env": {
\t"s😀": { /* , " */ "äöü": null }, "t": true
  }
}
"""

PLACES: list[tuple[Keys, tuple[int, int], tuple[int, int]]] = [
    ((), (2, 1), (2, 1)),
    (("name",), (3, 11), (3, 3)),
    (("vars",), (4, 28), (4, 3)),
    (("vars", "X"), (4, 35), (4, 30)),
    (("list",), (5, 11), (5, 3)),
    (("list", 0), (5, 13), (5, 13)),
    (("list", 1), (6, 5), (6, 5)),
    (("list", 1, "a"), (6, 12), (6, 7)),
    (("env", "s😀", "äöü"), (9, 27), (9, 20)),
    (("env", "t"), (9, 40), (9, 35)),
]

MISSING: list[tuple[Keys, tuple[int, int]]] = [
    (("nothing",), (2, 1)),
    (("name", "x"), (3, 11)),
    (("env", "production", "name"), (8, 10)),
    (("list", 2), (5, 11)),
    (("list", "x"), (5, 11)),
    (("env", 0), (8, 10)),
]


@pytest.mark.parametrize(("keys", "value", "key"), PLACES)
def test_a_path_has_the_place_of_its_value_and_of_its_key(
    keys: Keys, value: tuple[int, int], key: tuple[int, int]
) -> None:
    """Every kind of value has the line and column that an editor shows; columns count characters."""
    assert locate(TEXT, keys, at_key=False) == value
    assert locate(TEXT, keys, at_key=True) == key


@pytest.mark.parametrize(("keys", "place"), MISSING)
def test_a_missing_path_has_the_place_of_its_longest_part(keys: Keys, place: tuple[int, int]) -> None:
    """A missing value is reported where it should be."""
    assert locate(TEXT, keys, at_key=False) == locate(TEXT, keys, at_key=True) == place


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_newline_style_and_byte_order_mark_move_no_place(newline: str, mark: str) -> None:
    """Lines and columns are the ones that an editor shows."""
    text = mark + TEXT.replace("\n", newline)
    assert [locate(text, keys, at_key=False) for keys, *_ in PLACES] == [value for _, value, _ in PLACES]


@settings(max_examples=100, deadline=None)
@given(wrangler_files())
def test_every_value_is_at_its_span(data: bytes) -> None:
    """Another parser reads the text at each span to the value that the tree has there."""
    text = data.decode().removeprefix("\ufeff")
    root = parse(text)
    assert root.plain() == read_json(text)
    _check(text, root)


def _check(text: str, node: JsonNode) -> None:
    assert read_json(text[node.start : node.end]) == node.plain()
    if node.key is not None:
        assert json.loads(text[node.key.start : node.key.end]) == node.key.name
        assert node.first == node.key.start
    for child in node.children:
        assert node.start < child.first <= child.start < child.end < node.end
        _check(text, child)


@settings(max_examples=200, deadline=None)
@given(st.randoms(use_true_random=False))
def test_an_accepted_text_has_the_values_that_another_parser_reads(rng: Random) -> None:
    """Even with a few characters changed; and every refusal has its offset and a hint."""
    text = mutated(rng, wrangler_jsonc(rng))
    refusal = refusal_of(text)
    if refusal is None:
        assert read_json(text) == parse(text).plain()
    else:
        assert 0 <= refusal.offset <= len(text)
        assert refusal.hint


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[1, -0, 0.5, -1e3, 1E+2, 12.5e-1]", [1, 0, 0.5, -1000.0, 100.0, 1.25]),
        (r'["\"\\\/\b\f\n\r\t", "\u00fc\ud83d\ude00"]', ['"\\/\b\f\n\r\t', "ü😀"]),
        ("/**/[true,/*,*/false//]\r,null,]//", [True, False, None]),
        ('{"a":{},"b":[],}', {"a": {}, "b": []}),
        ('{"": 1, " ": 2}', {"": 1, " ": 2}),
        ('"\u2028\x7f"', "\u2028\x7f"),
        ("// \x00 \ufeff \n1", 1),
        ("[" * 200 + "]" * 200, None),
    ],
)
def test_values_are_parsed_as_wrangler_parses_them(text: str, value: object) -> None:
    """Escapes, numbers, both kinds of comment, trailing commas, and nesting up to the limit."""
    found = parse(text).plain()
    assert value is None or found == value


def test_long_integers_are_parsed_as_javascript_parses_them() -> None:
    """Python limits the digits of an integer; no file reaches that limit."""
    assert parse("[" + "1" * 5000 + "]").plain() == [float("inf")]
    assert load("f", b'{"a": ' + b"1" * 5000 + b"}", max_bytes=10_000) == {"a": float("inf")}


REFUSED: list[tuple[bytes, Place, str]] = [
    (b"", Place("f", 1, 1), "expected a value, but the file ends"),
    (b"// only a comment", Place("f", 1, 18), "expected a value, but the file ends"),
    (b"\xef\xbb\xbf{,}", Place("f", 1, 2), "expected a key"),
    (b'{"a": 1\n\n "b": 2}', Place("f", 3, 2), "expected a comma or }"),
    (b'{"a": 1, "b"', Place("f", 1, 13), "expected a colon"),
    (b'{"a": [1,,]}', Place("f", 1, 10), "expected a value"),
    (b'{"a": [1}', Place("f", 1, 9), "expected a comma or ]"),
    (b"{'a': 1}", Place("f", 1, 2), "double quotes"),
    (b"{a: 1}", Place("f", 1, 2), "double quotes"),
    (b'{"a": NaN}', Place("f", 1, 7), "expected a value"),
    (b'{"a": +1}', Place("f", 1, 7), "expected a value"),
    (b'{"a": 01}', Place("f", 1, 8), "expected a comma or }"),
    (b'{"a": 1.}', Place("f", 1, 8), "expected a comma or }"),
    (b'{"a": truex}', Place("f", 1, 11), "expected a comma or }"),
    (b"{} {}", Place("f", 1, 4), "unexpected content"),
    (b'{"a": 1} /*', Place("f", 1, 10), "a comment is not closed"),
    (b'{"a": /*/ 1}', Place("f", 1, 7), "a comment is not closed"),
    (b'{"a": / 1}', Place("f", 1, 7), "expected a value"),
    (b'{\r\n"a": "x\r\n"}', Place("f", 2, 6), "not closed on its line"),
    (b'{"a": "x', Place("f", 1, 7), "not closed on its line"),
    (b'{"a": "x\ty"}', Place("f", 1, 9), "contains a control character"),
    (b'{"a": "\x00"}', Place("f", 1, 8), "contains a control character"),
    (b"{\x00}", Place("f", 1, 2), "expected a key"),
    (b'{"a": "\\x"}', Place("f", 1, 8), "invalid escape"),
    (b'{"a": "\\u12g4"}', Place("f", 1, 8), "invalid escape"),
    (b'{"a": "\\ud83d x"}', Place("f", 1, 7), "half a surrogate pair"),
    (b'{"a": 1,\n "\\u0061": 2}', Place("f", 2, 2), "duplicate key"),
    (b'{"__proto__": {}}', Place("f", 1, 2), "__proto__"),
    (b"[" * 201, Place("f", 1, 201), "more than 200 deep"),
    (b'{"a":' * 201, Place("f", 1, 1001), "more than 200 deep"),
    (b"[1]", Place("f", 1, 1), "must contain an object"),
    (b'{"a": "\xff"}', Place("f", 1, 8), "UTF-8"),
    (b"\xff\xfe{\x00}\x00", Place("f", 1, 1), "UTF-16"),
    (b" " * 10_001, Place("f"), "larger than 10 kB"),
]


@pytest.mark.parametrize(("data", "where", "words"), REFUSED)
def test_a_file_that_is_not_json_is_one_error_with_its_place(data: bytes, where: Place, words: str) -> None:
    """Any problem with the bytes is one diagnostic with the caller's code and a hint."""
    with pytest.raises(UnreadableError) as caught:
        load("f", data, max_bytes=10_000)
    (problem,) = caught.value.as_error(Code.WRANGLER_SYNTAX).problems
    assert words in problem.message
    assert (problem.code, problem.where) == (Code.WRANGLER_SYNTAX, where)
    assert problem.hint


@pytest.mark.parametrize("other", [{"a": 2}, {"a": 1.0}, None])
def test_a_file_that_two_parsers_read_differently_is_refused(monkeypatch: pytest.MonkeyPatch, other: object) -> None:
    """A bug in one of them stops the run before a file is edited."""
    monkeypatch.setattr(jsonc_read, "_read_plainly", lambda _: other)
    with pytest.raises(UnreadableError, match="two parsers read this file differently"):
        load("f", b'{"a": 1}', max_bytes=100)


STEPS: dict[str, Callable[[int], str]] = {
    "deep arrays": lambda size: "[" * size,
    "deep objects": lambda size: '{"a":' * (size // 5),
    "many elements": lambda size: '{"a": [' + "1," * (size // 2) + "]}",
    "many objects": lambda size: '{"a": [' + "{}," * (size // 3) + "]}",
    "many keys": lambda size: "{" + ",".join(f'"{number:06}":1' for number in range(size // 11)) + "}",
    "comments": lambda size: "{" + "/**/" * (size // 4) + "}",
    "line comments": lambda size: "//\n" * (size // 3) + "{}",
    "comments that are not closed": lambda size: '{"a": 1' + "/* " * (size // 3),
    "commas": lambda size: '{"a": [1' + "," * size,
    "commas with blanks": lambda size: '{"a": [' + "1, " * (size // 3) + "]}",
}
"""Hostile texts of a given size that take many steps to parse."""
LONG_MATCHES: dict[str, Callable[[int], str]] = {
    "one string": lambda size: '{"a": "' + "x" * size + '"}',
    "one string of escapes": lambda size: '{"a": "' + "\\n" * (size // 2) + '"}',
    "backslashes": lambda size: '{"a": "' + "\\" * size,
    "quotes": lambda size: '"' * size,
    "one number": lambda size: '{"a": ' + "9" * size + "}",
    "one comment": lambda size: '{"a": 1 /*' + " *" * (size // 2) + "/}",
    "one comment that is not closed": lambda size: '{"a": 1 /*' + "/*" * (size // 2),
    "one line comment": lambda size: '{"a": 1 //' + "/" * size + "\n}",
    "slashes": lambda size: "{" + "/" * size,
    "blanks": lambda size: '{"a": [1,' + " \t\r\n" * (size // 4) + "]}",
    "null bytes": lambda size: "\x00" * size,
}
"""Hostile texts in which one match covers almost all of the text."""


def read_or_refuse(text: str) -> Callable[[], None]:
    def read() -> None:
        with contextlib.suppress(UnreadableError):
            load("f", text.encode(), max_bytes=len(text))

    return read


@pytest.mark.parametrize("make", [*STEPS.values(), *LONG_MATCHES.values()], ids=[*STEPS, *LONG_MATCHES])
def test_a_hostile_file_takes_a_linear_number_of_steps(make: Callable[[int], str]) -> None:
    """Parsed or refused, twice the text takes twice the steps, and a character takes a few of them, not dozens."""
    assert growth(lambda size: read_or_refuse(make(size)), 4_000) < 2.2
    assert count_calls(read_or_refuse(make(4_000))) < 10 * 4_000


def read_long_matches() -> None:
    for make in LONG_MATCHES.values():
        read_or_refuse(make(4_000_000))()


def test_a_hostile_file_causes_no_backtracking() -> None:
    """Fifteen times the largest file: it would take hours if a pattern were quadratic."""
    program = f"from {__name__} import read_long_matches; read_long_matches()"
    assert measure([sys.executable, "-c", program], folder=REPOSITORY).code == 0


def test_many_elements_cost_little_memory() -> None:
    """A tree of 30,000 nodes takes a few megabytes, so the largest file takes tens of megabytes."""
    tracemalloc.start()
    load("f", b'{"a": [' + b"1," * 30_000 + b"]}", max_bytes=256_000)
    assert tracemalloc.get_traced_memory()[1] < 15_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("name", ["a/wrangler.json", "a/Wrangler.JSONC"])
def test_a_pointer_resolves_by_suffix(name: str) -> None:
    """The suffix selects the format."""
    pointer = Pointer(name, ("x", "y"), at_key=True)
    assert resolve(pointer, b'\xef\xbb\xbf{"x": {\r\n "y": 1}}') == Place(name, 2, 2)


@pytest.mark.parametrize("data", [b"\xff", b"{", b"{'x': 1}"])
def test_a_pointer_into_a_file_that_cannot_be_read_keeps_its_path(data: bytes) -> None:
    """A missing place never makes a report fail."""
    assert resolve(Pointer("a.json", ("x",)), data) == Place("a.json")
