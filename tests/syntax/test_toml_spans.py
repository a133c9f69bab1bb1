"""The scanner of TOML: positions, and the texts that are too large or too deep."""

from __future__ import annotations

import contextlib
import sys
import tracemalloc
from collections.abc import Callable

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Place, Pointer
from reconciler.syntax.reading import UnreadableError
from reconciler.syntax.text import line_and_column
from reconciler.syntax.toml import Key, TomlTree, read_tree
from reconciler.syntax.toml_read import check_caps, load
from reconciler.syntax.toml_spans import ScanError, scan
from tests.support.counted import count_calls, growth
from tests.support.locating import locate_toml as locate
from tests.support.locating import resolve
from tests.support.measured import measure
from tests.support.paths import REPOSITORY
from tests.support.strategies_toml import COMMENTS, wrangler_files

TEXT = """\
# first
name = "worker" # remark
vars.deep.X = 1
"quo ted".'b' = [ 1, # one
  { a.b = 2, c = [ ] },
]
[env.staging]
name = 'x'
[env.staging.vars]
A = \"\"\"
[no.header]
\"\"\" # end
 [[ list ]]
k = 2026-01-01 10:00:00
[list.sub]
[[list]]
inline = {
  x = { y = 1 }, # TOML 1.1
}
[[list.deep]]
[env]
"""

PLACES: list[tuple[tuple[Key, ...], tuple[int, int], tuple[int, int]]] = [
    ((), (1, 1), (1, 1)),
    (("name",), (2, 8), (2, 1)),
    (("vars",), (3, 1), (3, 1)),
    (("vars", "deep"), (3, 1), (3, 6)),
    (("vars", "deep", "X"), (3, 15), (3, 11)),
    (("quo ted", "b"), (4, 17), (4, 11)),
    (("quo ted", "b", 0), (4, 19), (4, 19)),
    (("quo ted", "b", 1), (5, 3), (5, 3)),
    (("quo ted", "b", 1, "a", "b"), (5, 11), (5, 7)),
    (("quo ted", "b", 1, "c"), (5, 18), (5, 14)),
    (("env",), (21, 1), (21, 2)),
    (("env", "staging"), (7, 1), (7, 6)),
    (("env", "staging", "name"), (8, 8), (8, 1)),
    (("env", "staging", "vars", "A"), (10, 5), (10, 1)),
    (("list",), (13, 2), (13, 5)),
    (("list", 0), (13, 2), (13, 2)),
    (("list", 0, "k"), (14, 5), (14, 1)),
    (("list", 0, "sub"), (15, 1), (15, 7)),
    (("list", 1), (16, 1), (16, 1)),
    (("list", 1, "inline", "x", "y"), (18, 13), (18, 9)),
    (("list", 1, "deep"), (20, 1), (20, 8)),
    (("list", 1, "deep", 0), (20, 1), (20, 1)),
]

MISSING: list[tuple[tuple[Key, ...], tuple[int, int]]] = [
    (("nothing",), (1, 1)),
    (("name", "x"), (2, 8)),
    (("env", "production", "name"), (21, 1)),
    (("env", "staging", "vars", "B"), (9, 1)),
    (("list", 2), (13, 2)),
    (("list", 0, "sub", "x"), (15, 1)),
    (("quo ted", "b", 1, "d"), (5, 3)),
]


@pytest.mark.parametrize(("keys", "value", "key"), PLACES)
def test_a_path_has_the_place_of_its_value_and_of_its_key(
    keys: tuple[Key, ...], value: tuple[int, int], key: tuple[int, int]
) -> None:
    """Every kind of header, key and value has the line and column that an editor shows."""
    assert locate(TEXT, keys, at_key=False) == value
    assert locate(TEXT, keys, at_key=True) == key


@pytest.mark.parametrize(("keys", "place"), MISSING)
def test_a_missing_path_has_the_place_of_its_longest_part(keys: tuple[Key, ...], place: tuple[int, int]) -> None:
    """A missing value is reported where it should be."""
    assert locate(TEXT, keys, at_key=False) == locate(TEXT, keys, at_key=True) == place


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_newline_style_and_byte_order_mark_move_no_place(newline: str, mark: str) -> None:
    """Lines and columns are the ones that an editor shows."""
    text = mark + TEXT.replace("\n", newline)
    assert [locate(text, keys, at_key=False) for keys, *_ in PLACES] == [value for _, value, _ in PLACES]


def test_columns_count_characters() -> None:
    """A character is one column, regardless of its bytes."""
    assert locate('"äöü€😀" = 1', ("äöü€😀",), at_key=False) == (1, 11)


@pytest.mark.parametrize(
    ("offset", "place"), [(0, (1, 1)), (2, (1, 3)), (3, (2, 1)), (5, (3, 1)), (99, (3, 1)), (-1, (1, 1))]
)
def test_an_offset_outside_the_text_has_the_nearest_place(offset: int, place: tuple[int, int]) -> None:
    """Any offset is valid."""
    assert line_and_column("ab\n\r\n", offset) == place


@settings(max_examples=150, deadline=None)
@given(wrangler_files())
def test_every_value_is_at_its_span(data: bytes) -> None:
    """The text at each span is parsed to the value at that path, and no path is missing."""
    text = data.decode().removeprefix("\ufeff")
    _check(read_tree(data.decode()), tomli.loads(text), ())


def _check(tree: TomlTree, value: object, path: tuple[Key, ...]) -> None:
    node = tree.find(path)
    assert node is not None, path
    if isinstance(value, dict):
        for key, inner in value.items():
            _check(tree, inner, (*path, key))
        assert set(node.children) == set(value)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _check(tree, inner, (*path, index))
        assert node.child(len(value)) is None
    else:
        assert node.value is not None
        literal = tree.text[node.value.start : node.value.end]
        assert tomli.loads(f"value = {literal}\n")["value"] == value


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from("[]{}\"'\\#=,. \n\ra1\ufeff"), max_size=40))
def test_the_scanner_ends_on_any_text(text: str) -> None:
    """Any text ends with a result or a ScanError, and a ScanError means invalid TOML."""
    try:
        scan(text)
    except ScanError:
        with pytest.raises(tomli.TOMLDecodeError):
            tomli.loads(text.removeprefix("\ufeff"))


def test_deep_values_cost_no_recursion() -> None:
    """Deep nesting does not exhaust the stack."""
    depth = 50_000
    assert len(scan("a = " + "[" * depth + "]" * depth)[0].pairs) == 1


def read_or_refuse(text: str) -> Callable[[], None]:
    """Check the limits, then scan."""

    def read() -> None:
        check_caps(text)
        with contextlib.suppress(ScanError):
            scan(text)

    return read


@pytest.mark.parametrize(
    "make",
    [
        lambda size: "a.b.c = 1.5 # x\n" * (size // 16),
        lambda size: "[a.b]\n" * (size // 6),
        lambda size: "[[a]]\n" * (size // 6),
        lambda size: "a = [" + "1," * (size // 2) + "]",
        lambda size: "a = [" + "[]," * (size // 3) + "]",
        lambda size: "a = " + "[1," * (size // 3),
        lambda size: "a = " + "{a=" * (size // 3) + "1" + "}" * (size // 3),
        lambda size: "a" + ".a" * (size // 2) + " = 1",
    ],
)
def test_a_hostile_text_takes_a_linear_number_of_steps(make: Callable[[int], str]) -> None:
    """Twice the text takes twice the steps, and a character takes a few of them, not dozens."""
    assert growth(lambda size: read_or_refuse(make(size)), 6_000) < 2.2
    assert count_calls(read_or_refuse(make(6_000))) < 15 * 6_000


def read_long_matches() -> None:
    """Scan texts in which one match covers almost all, four times as large as the limit of mtls.toml."""
    size = 4_000_000
    for text in (
        "\n" * size,
        "#" * size,
        " \t" * (size // 2) + "= 1",
        "a" * size,
        "a = 1" + " \t" * (size // 2),
        "a = " + "1" * size,
        "a = '" + "x" * size,
        'a = "' + '\\"' * (size // 2),
        'a = """' + '\\"' * (size // 2),
        "a = '''" + "'\n" * (size // 2),
        '"' + "\\" * size,
        "a = {" + "\n" * size + "}",
    ):
        read_or_refuse(text)()


def test_a_hostile_text_causes_no_backtracking() -> None:
    """It would take hours if a pattern were quadratic."""
    program = f"from {__name__} import read_long_matches; read_long_matches()"
    assert measure([sys.executable, "-c", program], folder=REPOSITORY).code == 0


@pytest.mark.parametrize(
    "text",
    [
        ".".join("a" * 32) + " = 1.5",
        "[" + ".".join("a" * 32) + "]",
        "a = " + "[" * 32 + "]" * 32,
        "a = " + "{a=" * 32 + "1" + "}" * 32,
        "".join(f"a{number} = [[1.5], [2.5]]\n" for number in range(1000)),
        'a = "' + "." * 99 + '" # ' + "[" * 99,
        "a = '''\n" + "[.'\n" * 99 + "'''",
        'a = """\n' + '{."\\"\n' * 99 + '"""""',
        '"' + "." * 99 + "\".'" + "[" * 99 + "' = 1",
        "a = [" + "1.5, " * 99 + "]",
        "".join(f"[[a.b{number}]] # [\n c = {{ d = '[.' }}\r\n" for number in range(99)),
    ],
)
def test_a_text_within_the_limits_is_accepted(text: str) -> None:
    """Dots and brackets count only where they nest: not in strings, comments and numbers."""
    tomli.loads(text)
    assert check_caps(text) is None


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        (".".join("a" * 33) + " = 1", 63),
        ("x = 1\n[" + " . ".join("a" * 33) + "]", 133),
        ("a = " + "[" * 33 + "]" * 33, 36),
        ("a = { b = { " + ".".join("c" * 33) + " = 1 } }", 75),
        ("".join(f"[a.b{number}]\nc = {{ d = 1 }}\n" for number in range(10, 50)) + "e = " + "[" * 33, 916),
        ("a = " + ("{" + ".".join("b" * 20) + "=") * 4 + "1" + "}" * 4, 135),
    ],
)
def test_the_first_position_over_a_limit_is_reported(text: str, offset: int) -> None:
    """It is the first character too many."""
    excess = check_caps(text)
    assert excess is not None
    assert excess.offset == offset


def test_a_key_of_thousands_of_parts_costs_neither_time_nor_memory() -> None:
    """The limits are checked before the text is parsed."""
    data = (".".join("a" * 20_000) + " = 1").encode()
    tracemalloc.start()
    with pytest.raises(UnreadableError, match="more than 32 parts"):
        load("mtls.toml", data, max_bytes=1_000_000)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("data", "where", "words"),
    [
        (b"a = 1\nb = \n", Place("f.toml", 2, 5), "expected a valid value"),
        (b"\xef\xbb\xbfa = ", Place("f.toml", 1, 5), "expected a valid value"),
        (b"a = 1\r\nb = '\xff'", Place("f.toml", 2, 6), "UTF-8"),
        (b"a = 1\na = 2", Place("f.toml", 2, 6), "a second time"),
        (b"a = " + b"1" * 5000, Place("f.toml", 1, 5), "too many digits"),
        (b"#" * 10_001, Place("f.toml"), "larger than 10 kB"),
    ],
)
def test_a_file_that_is_not_toml_is_one_error_with_its_place(data: bytes, where: Place, words: str) -> None:
    """Any problem with the bytes is one diagnostic with the caller's code and a hint."""
    with pytest.raises(UnreadableError, match=words) as caught:
        load("f.toml", data, max_bytes=10_000)
    (problem,) = caught.value.as_error(Code.WRANGLER_SYNTAX).problems
    assert (problem.code, problem.where) == (Code.WRANGLER_SYNTAX, where)
    assert problem.hint


def test_a_pointer_resolves_by_suffix() -> None:
    """The suffix selects the format."""
    pointer = Pointer("a/mtls.toml", ("x", "y"), at_key=True)
    assert resolve(pointer, b"\xef\xbb\xbf[x]\r\n y = 1") == Place("a/mtls.toml", 2, 2)


@pytest.mark.parametrize(
    ("path", "data"), [("a.toml", b"\xff"), ("a.toml", b"= 1"), ("a.pem", b"x = 1"), ("a.toml", b"[x\n")]
)
def test_a_pointer_into_a_file_that_cannot_be_read_keeps_its_path(path: str, data: bytes) -> None:
    """A missing place never makes a report fail."""
    assert resolve(Pointer(path, ("x",)), data) == Place(path)


def test_comments_of_the_strategies_are_comments() -> None:
    """The generated files depend on it."""
    assert all(tomli.loads(comment) == {} for comment in COMMENTS)
