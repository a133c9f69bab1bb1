"""Where things stand in a JSON text with comments, what it says, and which texts are refused."""

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
from reconciler.syntax.jsonc import JsoncError, JsonNode, locate, parse
from reconciler.syntax.jsonc_read import load
from reconciler.syntax.places import resolve
from reconciler.syntax.reading import UnreadableError
from tests.support.counted import count_calls, growth
from tests.support.json_judge import read_json
from tests.support.measured import measure
from tests.support.paths import REPOSITORY
from tests.support.strategies_jsonc import mutated, wrangler_files, wrangler_jsonc

Keys = tuple[str | int, ...]


def refusal_of(text: str) -> JsoncError | None:
    """Why a text is refused, None where it is read."""
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
    """Every kind of value is found where a person sees it; columns count characters."""
    assert locate(TEXT, keys, at_key=False) == value
    assert locate(TEXT, keys, at_key=True) == key


@pytest.mark.parametrize(("keys", "place"), MISSING)
def test_a_missing_path_has_the_place_of_its_longest_part(keys: Keys, place: tuple[int, int]) -> None:
    """What is not there is reported where it would have been."""
    assert locate(TEXT, keys, at_key=False) == locate(TEXT, keys, at_key=True) == place


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_newline_style_and_byte_order_mark_move_no_place(newline: str, mark: str) -> None:
    """Lines and columns are those that an editor shows."""
    text = mark + TEXT.replace("\n", newline)
    assert [locate(text, keys, at_key=False) for keys, *_ in PLACES] == [value for _, value, _ in PLACES]


@settings(max_examples=100, deadline=None)
@given(wrangler_files())
def test_every_value_stands_where_the_tree_says(data: bytes) -> None:
    """The text at each span, read alone by another reader, is the value that the tree has there."""
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
def test_what_is_accepted_means_what_another_reader_reads(rng: Random) -> None:
    """Of texts with a few signs changed, too; and there is no error but one with its place."""
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
def test_values_are_read_as_wrangler_reads_them(text: str, value: object) -> None:
    """Escapes, numbers, both kinds of comment, trailing commas, and depth up to the cap."""
    found = parse(text).plain()
    assert value is None or found == value


def test_long_integers_are_read_as_javascript_reads_them() -> None:
    """Python has a limit on digits; no file runs into it."""
    assert parse("[" + "1" * 5000 + "]").plain() == [float("inf")]
    assert load("f", b'{"a": ' + b"1" * 5000 + b"}", max_bytes=10_000) == {"a": float("inf")}


REFUSED: list[tuple[bytes, Place, str]] = [
    (b"", Place("f", 1, 1), "a value is missing: the file ends"),
    (b"// only a comment", Place("f", 1, 18), "a value is missing: the file ends"),
    (b"\xef\xbb\xbf{,}", Place("f", 1, 2), "a key is missing"),
    (b'{"a": 1\n\n "b": 2}', Place("f", 3, 2), "a comma or } is missing"),
    (b'{"a": 1, "b"', Place("f", 1, 13), "a colon is missing"),
    (b'{"a": [1,,]}', Place("f", 1, 10), "a value is missing"),
    (b'{"a": [1}', Place("f", 1, 9), "a comma or ] is missing"),
    (b"{'a': 1}", Place("f", 1, 2), "double quotes"),
    (b"{a: 1}", Place("f", 1, 2), "double quotes"),
    (b'{"a": NaN}', Place("f", 1, 7), "a value is missing"),
    (b'{"a": +1}', Place("f", 1, 7), "a value is missing"),
    (b'{"a": 01}', Place("f", 1, 8), "a comma or } is missing"),
    (b'{"a": 1.}', Place("f", 1, 8), "a comma or } is missing"),
    (b'{"a": truex}', Place("f", 1, 11), "a comma or } is missing"),
    (b"{} {}", Place("f", 1, 4), "nothing may follow"),
    (b'{"a": 1} /*', Place("f", 1, 10), "a comment is not closed"),
    (b'{"a": /*/ 1}', Place("f", 1, 7), "a comment is not closed"),
    (b'{"a": / 1}', Place("f", 1, 7), "a value is missing"),
    (b'{\r\n"a": "x\r\n"}', Place("f", 2, 6), "not closed on its line"),
    (b'{"a": "x', Place("f", 1, 7), "not closed on its line"),
    (b'{"a": "x\ty"}', Place("f", 1, 9), "a control character"),
    (b'{"a": "\x00"}', Place("f", 1, 8), "a control character"),
    (b"{\x00}", Place("f", 1, 2), "a key is missing"),
    (b'{"a": "\\x"}', Place("f", 1, 8), "no such escape"),
    (b'{"a": "\\u12g4"}', Place("f", 1, 8), "no such escape"),
    (b'{"a": "\\ud83d x"}', Place("f", 1, 7), "half a surrogate pair"),
    (b'{"a": 1,\n "\\u0061": 2}', Place("f", 2, 2), "there twice"),
    (b'{"__proto__": {}}', Place("f", 1, 2), "__proto__"),
    (b"[" * 201, Place("f", 1, 201), "more than 200 deep"),
    (b'{"a":' * 201, Place("f", 1, 1001), "more than 200 deep"),
    (b"[1]", Place("f", 1, 1), "should hold an object"),
    (b'{"a": "\xff"}', Place("f", 1, 8), "UTF-8"),
    (b"\xff\xfe{\x00}\x00", Place("f", 1, 1), "UTF-16"),
    (b" " * 10_001, Place("f"), "larger than 10 kB"),
]


@pytest.mark.parametrize(("data", "where", "words"), REFUSED)
def test_a_file_that_is_no_json_is_one_error_with_its_place(data: bytes, where: Place, words: str) -> None:
    """Whatever is wrong with the bytes, it is one diagnostic of the caller's code, with a hint."""
    with pytest.raises(UnreadableError) as caught:
        load("f", data, max_bytes=10_000)
    (problem,) = caught.value.as_error(Code.WRANGLER_SYNTAX).problems
    assert words in problem.message
    assert (problem.code, problem.where) == (Code.WRANGLER_SYNTAX, where)
    assert problem.hint


@pytest.mark.parametrize("other", [{"a": 2}, {"a": 1.0}, None])
def test_a_file_about_which_two_readers_differ_is_refused(monkeypatch: pytest.MonkeyPatch, other: object) -> None:
    """A fault in either of them stops the run; it never edits a file."""
    monkeypatch.setattr(jsonc_read, "_read_plainly", lambda _: other)
    with pytest.raises(UnreadableError, match="two readers differ"):
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
"""Hostile texts of a given size that are read in many steps."""
LOOKS: dict[str, Callable[[int], str]] = {
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
"""And those in which one look must take in almost all of the text."""


def read_or_refuse(text: str) -> Callable[[], None]:
    def read() -> None:
        with contextlib.suppress(UnreadableError):
            load("f", text.encode(), max_bytes=len(text))

    return read


@pytest.mark.parametrize("make", [*STEPS.values(), *LOOKS.values()], ids=[*STEPS, *LOOKS])
def test_a_hostile_file_takes_no_more_steps_than_it_has_signs(make: Callable[[int], str]) -> None:
    """Read or refused, twice the text costs twice the steps; and a sign takes some of them, not dozens."""
    assert growth(lambda size: read_or_refuse(make(size)), 4_000) < 2.2
    assert count_calls(read_or_refuse(make(4_000))) < 10 * 4_000


def look_at_much() -> None:
    for make in LOOKS.values():
        read_or_refuse(make(4_000_000))()


def test_a_hostile_file_is_looked_at_once() -> None:
    """Fifteen times the largest file: it would take hours if a pattern looked at each sign once more for each sign."""
    program = f"from {__name__} import look_at_much; look_at_much()"
    assert measure([sys.executable, "-c", program], folder=REPOSITORY).code == 0


def test_many_elements_cost_little_memory() -> None:
    """A tree of 30,000 nodes is some megabytes, so that of the largest file some tens."""
    tracemalloc.start()
    load("f", b'{"a": [' + b"1," * 30_000 + b"]}", max_bytes=256_000)
    assert tracemalloc.get_traced_memory()[1] < 15_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("name", ["a/wrangler.json", "a/Wrangler.JSONC"])
def test_a_pointer_resolves_by_suffix(name: str) -> None:
    """The place is looked up in the file's own format."""
    pointer = Pointer(name, ("x", "y"), at_key=True)
    assert resolve(pointer, b'\xef\xbb\xbf{"x": {\r\n "y": 1}}') == Place(name, 2, 2)


@pytest.mark.parametrize("data", [b"\xff", b"{", b"{'x': 1}"])
def test_a_pointer_into_what_cannot_be_read_keeps_its_path(data: bytes) -> None:
    """A report never fails for want of a place."""
    assert resolve(Pointer("a.json", ("x",)), data) == Place("a.json")
