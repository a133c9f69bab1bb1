"""Reading wrangler.json and wrangler.jsonc, and changing one binding in them and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.findings.diagnostics import Place, Pointer
from reconciler.findings.errors import EditRefused, InputError
from reconciler.model import FoundBinding
from reconciler.wrangler import jsonc
from reconciler.wrangler.edit import Edit, RemoveBinding, SetBinding, edit_wrangler
from reconciler.wrangler.read import environment_table, read_wrangler
from reconciler.wrangler.splices import NoPlaceError, Splice
from tests.support.counted import count_calls, growth
from tests.support.json_judge import read_json
from tests.support.locating import resolve
from tests.support.strategies_jsonc import BINDINGS, IDS, wrangler_files

PATH = "workers/shop/wrangler.jsonc"
NEW, ID = "NEW", "id-1"


def edited(text: str, *edits: Edit) -> str:
    """The text after the edits."""
    return edit_wrangler(PATH, text.encode(), edits).decode()


def values_of(data: bytes) -> dict[str, object]:
    """The values of the file, read by a parser that is not part of mtlsctl."""
    found = read_json(data.decode())
    assert isinstance(found, dict)
    return found


# --- adding: text before, environment, text after. M is the key, E a binding on one line ------------------------------

A = '{ "binding": "A", "certificate_id": "1" }'
KEY = '"mtls_certificates"'
ENTRY = '{ "binding": "NEW", "certificate_id": "id-1" }'
LONG = '{\n      "binding": "NEW",\n      "certificate_id": "id-1"\n    }'
TWO = f'{{\n\t"kv": [{{"id":"1"}}],\n\t"env": {{\n\t\t"s": {{\n\t\t\tM: [\n\t\t\t\t{A}\n\t\t\t]\n\t\t}},\n'

ADDED: dict[str, tuple[str, str | None, str]] = {
    "empty object": (
        "{}\n",
        None,
        '{\n  M: [\n    {\n      "binding": "NEW",\n      "certificate_id": "id-1"\n    }\n  ]\n}\n',
    ),
    "empty object, blanks": ("{ }", None, "{M: [ E ] }"),
    "empty object, two lines": ("{\n}", None, f"{{\n  M: [\n    {LONG}\n  ],\n}}"),
    "empty object, a comment": ("{ // c\r\n}", None, f"{{ // c\n  M: [\n    {LONG}\n  ]\n}}".replace("\n", "\r\n")),
    "empty object, a block comment": ("{ /* c */ }", None, "{ /* c */ M: [ E ] }"),
    "one line": ('{ "name": "x" }\n', None, '{ "name": "x", M: [ E ] }\n'),
    "one line, tight": (
        '{"name":"x"}',
        None,
        '{"name":"x",M:[ {"binding":"NEW","certificate_id":"id-1"} ]}',
    ),
    "one line, comma after the last": ('{ "name": "x", }', None, '{ "name": "x", M: [ E ], }'),
    "many lines": ('{\n  "name": "x"\n}\n', None, f'{{\n  "name": "x",\n  M: [\n    {LONG}\n  ]\n}}\n'),
    "tabs, CRLF, byte order mark, no final newline": (
        '\ufeff{\r\n\t"name": "x"\r\n}',
        None,
        (
            '\ufeff{\r\n\t"name": "x",\r\n\tM: [\r\n\t\t{\r\n\t\t\t"binding": "NEW",\r\n'
            '\t\t\t"certificate_id": "id-1"\r\n\t\t}\r\n\t]\r\n}'
        ),
    ),
    "old Macintosh newlines": (
        '{\r  "name": "x" // c\r}\r',
        None,
        f'{{\n  "name": "x", // c\n  M: [\n    {LONG}\n  ]\n}}\n'.replace("\n", "\r"),
    ),
    "commas after the last": (
        '{\n  "name" : "x",\n}\n',
        None,
        (
            '{\n  "name" : "x",\n  M : [\n    {\n      "binding" : "NEW",\n'
            '      "certificate_id" : "id-1",\n    },\n  ],\n}\n'
        ),
    ),
    "no indentation at all": (
        '{\n"name": "x"\n}',
        None,
        '{\n"name": "x",\nM: [\n{\n"binding": "NEW",\n"certificate_id": "id-1"\n}\n]\n}',
    ),
    "comments after the last member stay where they are": (
        '{\n  "name": "x" /* name */ // of the worker\n  // "vars": {}\n}\n',
        None,
        f'{{\n  "name": "x", /* name */ // of the worker\n  M: [\n    {LONG}\n  ]\n  // "vars": {{}}\n}}\n',
    ),
    "a comment between the last member and its comma": (
        '{\n  "name": "x" // c\n  , // d\n}',
        None,
        f'{{\n  "name": "x" // c\n  , // d\n  M: [\n    {LONG.replace("1" + chr(34), "1" + chr(34) + ",")},\n  ],\n}}',
    ),
    "the layout of another array is followed": (
        '{\n  "kv_namespaces": [\n    { "binding": "KV", "id": "1" },\n  ],\n  "name": "x"\n}',
        None,
        '{\n  "kv_namespaces": [\n    { "binding": "KV", "id": "1" },\n  ],\n  "name": "x",\n  M: [\n    E,\n  ]\n}',
    ),
    "the layout of another environment is followed first": (
        TWO + '\t\t"t": {}\n\t}\n}',
        "t",
        TWO + '\t\t"t": {\n\t\t\tM: [\n\t\t\t\tE\n\t\t\t]\n\t\t}\n\t}\n}',
    ),
    "an environment on one line": (
        '{\n  "env": {\n    "s": { "name": "y" },\n  }\n}',
        "s",
        '{\n  "env": {\n    "s": { "name": "y", M: [ E ] },\n  }\n}',
    ),
    "an empty environment in a file of one line": (
        '{"env":{"s":{}}}',
        "s",
        '{"env":{"s":{M:[ E ]}}}'.replace("E", '{"binding":"NEW","certificate_id":"id-1"}'),
    ),
    "an environment whose name has escapes": (
        '{ "env": { "s\\ud83d\\ude00": { } } }',
        "s😀",
        '{ "env": { "s\\ud83d\\ude00": {M: [ E ] } } }',
    ),
    "empty array": (f"{{\n  {KEY}: []\n}}", None, "{\n  M: [E]\n}"),
    "empty array, blanks": (f"{{ {KEY} : [ ] }}", None, "{ M : [E ] }".replace("E", ENTRY.replace(":", " :"))),
    "empty array, two lines": (f"{{\n  {KEY}: [\n  ]\n}}", None, "{\n  M: [E\n  ]\n}"),
    "empty array with a comment inside": (
        f"{{\n  {KEY}: [\n      // put them here\n  ],\n}}",
        None,
        (
            '{\n  M: [\n      // put them here\n      {\n        "binding": "NEW",\n'
            '        "certificate_id": "id-1",\n      },\n  ],\n}'
        ),
    ),
    "empty array with a comment after the bracket": (
        f"{{\n  {KEY}: [ // here\n  ]\n}}",
        None,
        f"{{\n  M: [ // here\n    {LONG}\n  ]\n}}",
    ),
    "empty array with a block comment": (f"{{ {KEY}: [/* here */] }}", None, "{ M: [/* here */ E] }"),
    "array on one line": (f"{{ {KEY}: [ {A} ] }}", None, f"{{ M: [ {A}, E ] }}"),
    "array on one line, tight": (
        '{"mtls_certificates":[{"binding":"A","certificate_id":"1"}]}',
        None,
        '{M:[{"binding":"A","certificate_id":"1"},{"binding":"NEW","certificate_id":"id-1"}]}',
    ),
    "array on one line, comma after the last": (f"{{ {KEY}: [{A},] }}", None, f"{{ M: [{A}, E,] }}"),
    "array on one line, a comment after the last": (
        f"{{ {KEY}: [ {A} /* a */ ] }}",
        None,
        f"{{ M: [ {A} /* a */, E ] }}",
    ),
    "array on many lines, the comma comes before the comment": (
        f"{{\n  {KEY}: [\n    {A} // a\n  ]\n}}",
        None,
        f"{{\n  M: [\n    {A}, // a\n    E\n  ]\n}}",
    ),
    "array on many lines, comma after the last": (
        f"{{\n  {KEY}: [\n    {A}, // a\n    // more\n  ]\n}}",
        None,
        f"{{\n  M: [\n    {A}, // a\n    E,\n    // more\n  ]\n}}",
    ),
    "array on many lines, bracket on the last line": (
        f"{{\n  {KEY}: [\n    {A}]\n}}",
        None,
        f"{{\n  M: [\n    {A},\n    E]\n}}",
    ),
    "array on one line, a comment after it": (
        f"{{\n  {KEY}: [ {A} // a\n  ]\n}}",
        None,
        f"{{\n  M: [ {A}, // a\n    E\n  ]\n}}",
    ),
    "brackets in pairs": (
        '{\n  M: [{\n    "binding": "A",\n    "certificate_id": "1",\n  }]\n}',
        None,
        (
            '{\n  M: [{\n    "binding": "A",\n    "certificate_id": "1",\n  }, {\n'
            '    "binding": "NEW",\n    "certificate_id": "id-1",\n  }]\n}'
        ),
    ),
    "comma first": (
        '{ "name": "x"\n, "main": "y"\n}\n',
        None,
        '{ "name": "x"\n, "main": "y", M: [ E ]\n}\n',
    ),
    "text like the key in strings and comments is ignored": (
        '{ "vars": { "mtls_certificates": "[]" } /* "mtls_certificates": [] */ }',
        None,
        '{ "vars": { "mtls_certificates": "[]" } /* "mtls_certificates": [] */, M: [ E ] }',
    ),
}


@pytest.mark.parametrize(("before", "environment", "after"), ADDED.values(), ids=ADDED)
def test_a_new_binding_follows_the_layout_and_is_removed_without_a_trace(
    before: str, environment: str | None, after: str
) -> None:
    """Adding the binding results in exactly this text, and removing it restores the original."""
    before, after = (text.replace("M:", f"{KEY}:").replace("M :", f"{KEY} :") for text in (before, after))
    after = after.replace("[E", f"[{ENTRY}").replace(" E", f" {ENTRY}").replace("\tE", f"\t{ENTRY}")
    assert edited(before, SetBinding(environment, NEW, ID)) == after
    assert edited(after, RemoveBinding(environment, NEW)) == before


@pytest.mark.parametrize("before", ["{}", '{"a":1}', '{\n  "a": 1, // c\n  // d\n}', f"{{\n{KEY}: []\n}}"])
def test_two_bindings_are_removed_without_a_trace_in_any_order(before: str) -> None:
    """The order in which they were added does not matter."""
    one, two = SetBinding(None, "A", "1"), SetBinding(None, "B", "2")
    remove_one, remove_two = RemoveBinding(None, "A"), RemoveBinding(None, "B")
    assert edited(before, one, two, remove_one, remove_two) == before
    assert edited(before, one, two, remove_two, remove_one) == before


# --- replacing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("literal", "new", "expected"),
    [
        ('"old"', "id-1", '"id-1"'),
        ('""', "id-1", '"id-1"'),
        ('"\\u006fld\\ud83d\\ude00"', "ü😀", '"ü😀"'),
        ('"a\\"//"', 'a"b\\\n\x00', '"a\\"b\\\\\\n\\u0000"'),
    ],
)
def test_replacing_changes_only_the_text_in_the_quotes(literal: str, new: str, expected: str) -> None:
    """Comments, spaces and other keys stay, in any order."""
    text = (
        '\ufeff{"mtls_certificates": [ // a\r\n'
        '{ "remote" : true,\t"certificate_id"  /**/:   LITERAL , // old\r"binding": "A",}]}'
    )
    after = edited(text.replace("LITERAL", literal), SetBinding(None, "A", new))
    assert after == text.replace("LITERAL", expected)


def test_replacing_changes_the_binding_of_its_environment() -> None:
    """The same name in another environment is another binding."""
    text = '{"mtls_certificates": [{"binding": "A", "certificate_id": "1"}], "env": {"s": {"mtls_certificates": [X]}}}'
    before = text.replace("X", '{"certificate_id":"1","binding":"A"}')
    assert edited(before, SetBinding("s", "A", "2")) == text.replace("X", '{"certificate_id":"2","binding":"A"}')


def test_without_a_change_the_same_bytes_object_is_returned() -> None:
    """For an ID that is already set, a binding that is already removed, and no edits."""
    data = f"{{ {KEY}: [{A}] }}".encode()
    assert edit_wrangler(PATH, data, [SetBinding(None, "A", "1"), RemoveBinding(None, "B")]) is data
    assert edit_wrangler(PATH, data, []) is data


# --- removing --------------------------------------------------------------------------------------------------------

B = A.replace('"A"', '"B"')

REMOVED: dict[str, tuple[str, str]] = {
    "a line": (f"{{M: [\n  // a\n  {A}, // 1\n  // b\n  {B} // 2\n]}}", f"{{M: [\n  // a\n  // b\n  {B} // 2\n]}}"),
    "the last line, and the comma before it": (
        f"{{M: [\n  {B}, // 1\n  // a\n  {A} // 2\n]}}",
        f"{{M: [\n  {B} // 1\n  // a\n]}}",
    ),
    "the first of a line": (f"{{M: [ {A}, {B} ]}}", f"{{M: [ {B} ]}}"),
    "the middle of a line": (f"{{M: [{B}, {A}, {B.replace('B', 'C')}]}}", f"{{M: [{B}, {B.replace('B', 'C')}]}}"),
    "the last of a line, with its comma": (f"{{M: [{B}, {A},]}}", f"{{M: [{B},]}}"),
    "a bracket is not joined with a comment": (f"{{M: [{B}, // b\n {A}]}}", f"{{M: [{B} // b\n]}}"),
    "an array that the user wrote stays": (f"{{M: [{A}]}}", "{M: []}"),
    "an array with a comment stays": (f"{{M: [ // a\n  {A}\n]}}", "{M: [ // a\n]}"),
    "comments above the key stay": (
        f'{{\n  // all\n  M: [\n    {A}\n  ], // certificates\n  // next\n  "name": "x"\n}}',
        '{\n  // all\n  // next\n  "name": "x"\n}',
    ),
    "the key on the line of another": (f'{{ M: [ {A} ], "name": "x" }}', '{ "name": "x" }'),
    "the key between two others on their line": (f'{{ "a": 1, M: [ {A} ], "b": 1 }}', '{ "a": 1, "b": 1 }'),
    "the only key on one line": (f"{{ M: [ {A} ] }}", "{ }"),
    "the only key": (f"{{\n  M: [\n    {A}\n  ]\n}}", "{}"),
    "the key at the end of a line": (f'{{\n  "a": 1, M: [ {A} ], // c\n  "b": 1\n}}', '{\n  "a": 1, // c\n  "b": 1\n}'),
}


@pytest.mark.parametrize(("before", "after"), REMOVED.values(), ids=REMOVED)
def test_removing_deletes_only_the_binding(before: str, after: str) -> None:
    """Removing the binding results in exactly this text."""
    assert edited(before.replace("M:", f"{KEY}:"), RemoveBinding(None, "A")) == after.replace("M:", f"{KEY}:")


# --- rules for every file ---------------------------------------------------------------------------------------

NAMES = st.sampled_from((*BINDINGS, NEW))
CHOICE = st.integers(0, 5)


def _environment(data: bytes, choice: int) -> str | None:
    names = list(read_wrangler(PATH, data).environments)
    return names[choice % len(names)]


def _wanted(data: bytes, environment: str | None, binding: str, certificate_id: str | None) -> dict[str, object]:
    """The values of the file after a binding gets this ID, or is removed."""
    values = copy.deepcopy(values_of(data))
    table = environment_table(values, environment)
    assert table is not None
    entries = table.setdefault("mtls_certificates", [])
    assert isinstance(entries, list)
    found = [entry for entry in entries if entry["binding"] == binding]
    if certificate_id is None:
        table["mtls_certificates"] = [entry for entry in entries if entry["binding"] != binding]
    elif found:
        found[0]["certificate_id"] = certificate_id
    else:
        entries.append({"binding": binding, "certificate_id": certificate_id})
    return values


@settings(max_examples=200, deadline=None)
@given(wrangler_files(), NAMES, st.sampled_from((*IDS, ID)), CHOICE)
def test_setting_a_binding_changes_no_other_value(data: bytes, name: str, new: str, choice: int) -> None:
    """Checked by an independent parser; a second edit changes nothing; removing it restores the bytes."""
    environment = _environment(data, choice)
    before = read_wrangler(PATH, data).environments[environment].find(name)
    after = edit_wrangler(PATH, data, [SetBinding(environment, name, new)])

    assert values_of(after) == _wanted(data, environment, name, new)
    assert edit_wrangler(PATH, after, [SetBinding(environment, name, new)]) is after
    if before is None:
        rest = iter(after)
        assert all(byte in rest for byte in data)
        assert edit_wrangler(PATH, after, [RemoveBinding(environment, name)]) == data


@settings(max_examples=100, deadline=None)
@given(wrangler_files(), CHOICE)
def test_replacing_changes_exactly_the_text_of_the_id(data: bytes, choice: int) -> None:
    """The text before and after the new ID is unchanged, and the text that it replaces is the old ID."""
    environment = _environment(data, choice)
    for found in read_wrangler(PATH, data).environments[environment].bindings:
        after = edit_wrangler(PATH, data, [SetBinding(environment, found.binding, "the-one-new-id")])
        left, _, right = after.partition(b"the-one-new-id")
        assert data.startswith(left)
        assert data.endswith(right)
        inside = data[len(left) : len(data) - len(right)].decode()
        assert read_json(f'"{inside}"') == found.certificate_id


@settings(max_examples=150, deadline=None)
@given(wrangler_files(), CHOICE)
def test_removing_all_bindings_one_by_one_keeps_everything_else(data: bytes, choice: int) -> None:
    """No text is added, no other value changes, and the environments stay."""
    environment = _environment(data, choice)
    for found in read_wrangler(PATH, data).environments[environment].bindings:
        after = edit_wrangler(PATH, data, [RemoveBinding(environment, found.binding)])
        values = copy.deepcopy(values_of(after))
        table = environment_table(values, environment)
        assert table is not None
        table.setdefault("mtls_certificates", [])
        assert values == _wanted(data, environment, found.binding, None)
        rest = iter(data)
        assert all(byte in rest for byte in after)
        data = after
    assert read_wrangler(PATH, data).environments[environment].bindings == ()


def many_keys(count: int) -> bytes:
    """A file with this many keys and comments, on separate lines."""
    lines = "".join(f'  "key{number}": {{ "text": "value // {number}" }}, // remark\n' for number in range(count))
    return f'{{\n{lines}  "env": {{ "s": {{ {KEY}: [\n    {A}\n  ] }} }},\n}}\n'.encode()


def many_values(count: int) -> bytes:
    """A file with this many arrays in one array, on one line."""
    return f'{{"list": [{"[1]," * count}], "env": {{ "s": {{ {KEY}: [{A}] }} }}}}'.encode()


def many_bindings(count: int) -> bytes:
    """A file with this many bindings in one environment."""
    entries = ",\n".join(A.replace("A", f"A{number}", 1) for number in range(count))
    return f'{{ "env": {{ "s": {{ {KEY}: [\n{entries}\n] }} }} }}'.encode()


def test_the_largest_file_is_edited() -> None:
    """A quarter of a megabyte with thousands of keys and comments."""
    data = many_keys(4_800)
    assert 235_000 < len(data) < 255_000
    after = edit_wrangler(PATH, data, [SetBinding("s", NEW, ID)])
    assert edit_wrangler(PATH, after, [RemoveBinding("s", NEW)]) == data


@pytest.mark.parametrize("make", [many_keys, many_values, many_bindings])
def test_an_edit_takes_a_linear_number_of_steps(make: Callable[[int], bytes]) -> None:
    """Twice the file takes twice the steps, and a character takes a few of them."""

    def edit(count: int) -> Callable[[], bytes]:
        data = make(count)
        return lambda: edit_wrangler(PATH, data, [SetBinding("s", NEW, ID)])

    assert growth(edit, 200) < 2.2
    assert count_calls(edit(200)) < 100 * len(make(200))


# --- refusing --------------------------------------------------------------------------------------------------------


def test_an_environment_is_never_created() -> None:
    """Setting a binding in an environment that the file lacks is refused with a hint."""
    with pytest.raises(EditRefused, match="no environment production") as caught:
        edited('{"env": {"staging": {}}}', SetBinding("production", "A", "1"))
    assert caught.value.hint
    assert caught.value.where == Pointer(PATH, ("env",))


@pytest.mark.parametrize(
    "splices",
    [
        [Splice(1, 1, '"x": 1, ')],
        [Splice(1, 8)],
        [Splice(1, 1, "//")],
        [Splice(0, 0, "// a comment of no use\n")],
        [Splice(1, 8), Splice(4, 9)],
        [],
    ],
)
def test_an_edit_that_cannot_be_proved_is_refused_with_the_lines_to_paste(
    monkeypatch: pytest.MonkeyPatch, splices: list[Splice]
) -> None:
    """Only an edit with the wanted result is accepted, whatever the format proposes."""
    monkeypatch.setattr(jsonc, "add", lambda *_: splices)
    with pytest.raises(EditRefused) as caught:
        edited('{"name": "x", "env": {"s": {}}}', SetBinding("s", "A", 'ü"'))
    hint = caught.value.hint or ""
    lines = hint.partition("\n")[2]
    assert lines.startswith('"env": {\n  "s": {\n    "mtls_certificates": [\n')
    entry = {"binding": "A", "certificate_id": 'ü"'}
    assert read_json(f"{{{lines}}}") == {"env": {"s": {"mtls_certificates": [entry]}}}
    assert caught.value.where == Pointer(PATH, ("env", "s", "mtls_certificates"))


def test_a_replacement_that_removes_a_comment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replacement can only change the complete string of the ID."""
    text = '{"mtls_certificates": [{ "binding": "A", "certificate_id": "1" /**/ }]}'
    monkeypatch.setattr(jsonc, "replace", lambda *_: [Splice(text.index('"1"'), text.index(" }]"), '"2"')])
    with pytest.raises(EditRefused, match="can't be changed"):
        edited(text, SetBinding(None, "A", "2"))


@pytest.mark.parametrize(
    "literal", ['"1', "1", "'a'", '"a" // b', ' "a"', '"a", "b"', "", '["a"]', '"a",', '"\\ud800"']
)
def test_only_one_whole_string_is_a_string(literal: str) -> None:
    """The proof of a replacement depends on it."""
    assert jsonc.string_value(literal) is None


@pytest.mark.parametrize(("environment", "text"), [("s", '{"env": {}}'), (None, '{"mtls_certificates": null}')])
def test_an_unsupported_layout_has_no_splices(environment: str | None, text: str) -> None:
    """The format never guesses."""
    with pytest.raises(NoPlaceError):
        jsonc.add(text, environment, "A", "1")
    with pytest.raises(NoPlaceError):
        jsonc.remove(text, environment, 0)
    with pytest.raises(NoPlaceError):
        jsonc.replace(text, environment, 0, "1")


def test_a_value_that_no_file_can_contain_is_refused() -> None:
    """Half a surrogate pair can't be encoded."""
    with pytest.raises(EditRefused):
        edited("{}", SetBinding(None, "A", "\ud800"))


def test_an_edit_that_makes_the_file_too_large_is_refused() -> None:
    """A written file can be read again."""
    with pytest.raises(EditRefused):
        edited("{}" + " " * 255_990, SetBinding(None, "A", "1"))


@pytest.mark.parametrize(
    "text",
    [
        '{"mtls_certificates": [], "mtls_certificates": []}',
        '{"mtls_certificates": [], "mtls_certific\\u0061tes": []}',
        '{"env": {"s": {}, "s": {}}}',
        '{"mtls_certificates": [{"binding": "A", "certificate_id": "1", "certificate_id": "2"}]}',
        '{"__proto__": {"mtls_certificates": []}}',
        '{"mtls_certificates": 1}',
        "[]",
        "{",
        "",
    ],
)
def test_a_file_that_is_ambiguous_or_broken_is_not_edited(text: str) -> None:
    """A duplicate key is as bad as a missing bracket."""
    with pytest.raises(InputError):
        edited(text, SetBinding(None, "A", "2"))


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["wrangler.json", "wrangler.jsonc", "wrangler.staging.JSON"])
def test_reading_finds_bindings_and_environments(name: str) -> None:
    """Both suffixes are parsed in the same way; comments and trailing commas are allowed in both."""
    text = """\ufeff{
  "name": "shop", // the shop
  "account_id": "acc",
  "mtls_certificates": [{ "binding": "A", "certificate_id": "1" }, { "certificate_id": "", "binding": "B" },],
  "vars": { "V": 1 },
  "env": { /* one */ "staging": { "account_id": "other", "kv_namespaces": [{ "binding": "KV", "id": "1" }] } },
}"""
    found = read_wrangler(name, text.encode())
    assert (found.path, found.worker_name) == (name, "shop")
    top, staging = found.environments.values()
    assert top.bindings == (FoundBinding("A", "1", 0), FoundBinding("B", "", 1))
    assert (top.account_id, top.taken) == ("acc", {"V": "vars"})
    assert (staging.name, staging.account_id, staging.taken) == ("staging", "other", {"KV": "kv_namespaces"})


def test_every_problem_of_a_file_is_reported_with_its_place() -> None:
    """One error has all of them, each with the place of the wrong value."""
    text = """{
  "mtls_certificates": [
    1, { "certificate_id": "1" },
    { "binding": "A", "certificate_id": 1 },
    { "binding": "B", "certificate_id": "1" }, { "binding": "B", "certificate_id": "2" },
  ],
  "env": { "ignored": 1, "s": { "mtls_certificates": "x" } }
}"""
    with pytest.raises(InputError) as caught:
        read_wrangler(PATH, text.encode())
    found = []
    for problem in caught.value.problems:
        assert isinstance(problem.where, Pointer)
        place = resolve(problem.where, text.encode())
        found.append((str(problem.code), place.line, place.column))
    assert sorted(found, key=str) == [
        ("wrangler-binding-name", 3, 8),
        ("wrangler-bindings", 3, 5),
        ("wrangler-bindings", 7, 54),
        ("wrangler-certificate-id", 4, 41),
        ("wrangler-duplicate-binding", 5, 61),
    ]


def test_a_syntax_error_has_its_place() -> None:
    """Line and column refer to the file."""
    with pytest.raises(InputError) as caught:
        read_wrangler(PATH, b'{\n  "name": "x"\n  "main": "y"\n}')
    (problem,) = caught.value.problems
    assert (problem.code, problem.where) == ("wrangler-syntax", Place(PATH, 3, 3))
    assert problem.hint
