"""Reading wrangler.toml, and changing one binding in it and nothing else."""

from __future__ import annotations

import copy

import pytest
import tomli
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st
from tomlkit.exceptions import TOMLKitError

from reconciler.findings.diagnostics import Place, Pointer
from reconciler.findings.errors import EditRefused, InputError
from reconciler.model import FoundBinding
from reconciler.wrangler import toml
from reconciler.wrangler.edit import Edit, RemoveBinding, SetBinding, edit_wrangler
from reconciler.wrangler.read import environment_table, read_wrangler
from reconciler.wrangler.splices import NoPlaceError, Splice, apply_splices
from tests.support.locating import resolve
from tests.support.strategies_toml import BINDINGS, IDS, wrangler_files

PATH = "workers/shop/wrangler.toml"
NEW, ID = "NEW", "id-1"


def edited(text: str, *edits: Edit) -> str:
    """The text after the edits."""
    return edit_wrangler(PATH, text.encode(), edits).decode()


def values_of(data: bytes) -> dict[str, object]:
    """The values of the file, by the parser alone."""
    return tomli.loads(data.decode().removeprefix("\ufeff"))


# --- adding: text before, environment, text after --------------------------------------------------------------------

AOT = '[[mtls_certificates]]\nbinding = "A"\ncertificate_id = "1"\n'
NEW_AOT = '[[mtls_certificates]]\nbinding = "NEW"\ncertificate_id = "id-1"\n'
ENTRY = '{ binding = "NEW", certificate_id = "id-1" }'

ADDED: dict[str, tuple[str, str | None, str]] = {
    "empty file": ("", None, NEW_AOT),
    "only blanks": ("  ", None, NEW_AOT + "  "),
    "only a comment, no final newline": ("# eof", None, "# eof\n\n" + NEW_AOT.rstrip()),
    "no final newline": ('name = "x"', None, 'name = "x"\n\n' + NEW_AOT.rstrip()),
    "array of tables, no final newline": (AOT.rstrip(), None, AOT + "\n" + NEW_AOT.rstrip()),
    "array of tables, last-line comment": (
        AOT.rstrip() + " # eof",
        None,
        AOT.rstrip() + " # eof\n\n" + NEW_AOT.rstrip(),
    ),
    "comment at the end stays with the text before it": (AOT + "# B = 2\n", None, AOT + "# B = 2\n\n" + NEW_AOT),
    "comment above the next header stays with it": (
        AOT + "\n# vars section\n[vars]\nA = 1\n",
        None,
        AOT + "\n" + NEW_AOT + "\n# vars section\n[vars]\nA = 1\n",
    ),
    "out of order": (
        (
            '[[env.p.mtls_certificates]]\nbinding = "A"\ncertificate_id = "1"\n\n[vars]\nx = 1\n\n'
            '[[env.p.mtls_certificates]]\nbinding = "B"\ncertificate_id = "2"\n\n[limits]\n'
        ),
        "p",
        (
            '[[env.p.mtls_certificates]]\nbinding = "A"\ncertificate_id = "1"\n\n[vars]\nx = 1\n\n'
            '[[env.p.mtls_certificates]]\nbinding = "B"\ncertificate_id = "2"\n\n'
            '[[env.p.mtls_certificates]]\nbinding = "NEW"\ncertificate_id = "id-1"\n\n[limits]\n'
        ),
    ),
    "byte order mark": ('\ufeffname = "x"\n', None, '\ufeffname = "x"\n\n' + NEW_AOT),
    "CRLF": (AOT.replace("\n", "\r\n"), None, f"{AOT}\n{NEW_AOT}".replace("\n", "\r\n")),
    "mixed newlines follow the neighbour": ("a = 1\r\nb = 2\n", None, "a = 1\r\nb = 2\n\n" + NEW_AOT),
    "tables below an element stay its own": (
        AOT + "[mtls_certificates.x]\n[vars]\n",
        None,
        AOT + "[mtls_certificates.x]\n" + NEW_AOT + "[vars]\n",
    ),
    "top level comes before the environments": (
        'name = "x"\n\n# staging\n[env.s]\nname = "y"\n',
        None,
        f'name = "x"\n\n{NEW_AOT}\n# staging\n[env.s]\nname = "y"\n',
    ),
    "nothing but environments": ("# all\n[env.s]\n", None, "# all\n[env.s]\n\n" + NEW_AOT),
    "indentation, alignment and quotes are followed": (
        "  [[ mtls_certificates ]]\n    binding        = 'A'\n    certificate_id = '1'\n",
        None,
        (
            "  [[ mtls_certificates ]]\n    binding        = 'A'\n    certificate_id = '1'\n\n"
            "  [[ mtls_certificates ]]\n    binding        = 'NEW'\n    certificate_id = 'id-1'\n"
        ),
    ),
    "tight sections stay tight": (AOT + AOT.replace("A", "B"), None, AOT + AOT.replace("A", "B") + NEW_AOT),
    "inline, one line": (
        "mtls_certificates = [{binding='A',certificate_id='1'}]\n",
        None,
        "mtls_certificates = [{binding='A',certificate_id='1'}, {binding='NEW',certificate_id='id-1'}]\n",
    ),
    "inline, one line, comma after the last": (
        'mtls_certificates = [ { binding = "A", certificate_id = "1" }, ]',
        None,
        f'mtls_certificates = [ {{ binding = "A", certificate_id = "1" }}, {ENTRY}, ]',
    ),
    "inline, many lines, comma before the comment": (
        'mtls_certificates = [\n\t{ binding = "A", certificate_id = "1" } # a\n]\n',
        None,
        f'mtls_certificates = [\n\t{{ binding = "A", certificate_id = "1" }}, # a\n\t{ENTRY}\n]\n',
    ),
    "inline, many lines, comma after the last, CRLF": (
        'mtls_certificates = [\r\n  { binding = "A", certificate_id = "1" }, # a\r\n  # more\r\n]\r\n',
        None,
        f'mtls_certificates = [\r\n  {{ binding = "A", certificate_id = "1" }}, # a\r\n  {ENTRY},\r\n  # more\r\n]\r\n',
    ),
    "inline, bracket on the last element's line": (
        'mtls_certificates = [\n  { binding = "A", certificate_id = "1" }]',
        None,
        f'mtls_certificates = [\n  {{ binding = "A", certificate_id = "1" }},\n  {ENTRY}]',
    ),
    "inline, comment after the only line": (
        'mtls_certificates = [ { binding = "A", certificate_id = "1" } # a\n]',
        None,
        f'mtls_certificates = [ {{ binding = "A", certificate_id = "1" }}, # a\n  {ENTRY}\n]',
    ),
    "inline, empty": ("mtls_certificates = []", None, f"mtls_certificates = [{ENTRY}]"),
    "inline, empty with a comment inside": (
        "mtls_certificates = [\n    # put them here\n]\n",
        None,
        f"mtls_certificates = [\n    # put them here\n    {ENTRY},\n]\n",
    ),
    "dotted environment": (
        "env.s.vars.X = 1\n",
        "s",
        'env.s.vars.X = 1\n\n[[env.s.mtls_certificates]]\nbinding = "NEW"\ncertificate_id = "id-1"\n',
    ),
    "dotted array below [env]": (
        "[env]\ns.mtls_certificates = []\n",
        "s",
        f"[env]\ns.mtls_certificates = [{ENTRY}]\n",
    ),
    "inline environment": (
        'env = { s = { name = "x" } }',
        "s",
        f'env = {{ s = {{ name = "x", mtls_certificates = [ {ENTRY} ] }} }}',
    ),
    "inline environment with dotted keys": (
        'env = { s.name = "x" }',
        "s",
        f'env = {{ s.name = "x", s.mtls_certificates = [ {ENTRY} ] }}',
    ),
    "inline environment, empty": ("env.s = {}", "s", f"env.s = {{mtls_certificates = [ {ENTRY} ]}}"),
    "environment that only its tables define": (
        "[env.s.vars]\nX = 1\n\n[env.t]\n",
        "s",
        '[env.s.vars]\nX = 1\n\n[[env.s.mtls_certificates]]\nbinding = "NEW"\ncertificate_id = "id-1"\n\n[env.t]\n',
    ),
    "quoted environment": (
        '[env."my env"]\n',
        "my env",
        '[env."my env"]\n\n[[env."my env".mtls_certificates]]\nbinding = "NEW"\ncertificate_id = "id-1"\n',
    ),
    "elements that are inline tables on many lines": (
        'mtls_certificates = [\n  {\n    binding = "A",\n    certificate_id = "1",\n  },\n]\n',
        None,
        (f'mtls_certificates = [\n  {{\n    binding = "A",\n    certificate_id = "1",\n  }},\n  {ENTRY},\n]\n'),
    ),
    "tables in an order that tomlkit does not read": (
        "[a.b]\n[c]\n[a]\n[[env.s.x]]\n[a.d.e]\n[env.s]\n[a.d]\n",
        "s",
        (
            "[a.b]\n[c]\n[a]\n[[env.s.x]]\n[a.d.e]\n[env.s]\n"
            '[[env.s.mtls_certificates]]\nbinding = "NEW"\ncertificate_id = "id-1"\n[a.d]\n'
        ),
    ),
    "headers inside strings are text": ("a = '''\n[env.s]\n'''\n", None, "a = '''\n[env.s]\n'''\n\n" + NEW_AOT),
}


@pytest.mark.parametrize(("before", "environment", "after"), ADDED.values(), ids=ADDED)
def test_a_new_binding_follows_the_layout_and_is_removed_without_a_trace(
    before: str, environment: str | None, after: str
) -> None:
    """Adding the binding results in exactly this text, and removing it restores the original."""
    assert edited(before, SetBinding(environment, NEW, ID)) == after
    assert edited(after, RemoveBinding(environment, NEW)) == before


# --- replacing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("literal", "new", "expected"),
    [
        ('"old"', "id-1", '"id-1"'),
        ("'old'", "id-1", "'id-1'"),
        ("''", "id-1", "'id-1'"),
        ("'old'", "it's", '"it\'s"'),
        ('"old"', 'a"b\\\n\x00', '"a\\"b\\\\\\n\\u0000"'),
        ('"""\nold"""', "id-1", '"""id-1"""'),
        ("'''old'''", "id-1", "'''id-1'''"),
        ("'''old'''", "a\nb", '"a\\nb"'),
        ('"\\u006fld"', "id-1", '"id-1"'),
    ],
)
def test_replacing_changes_only_the_text_in_the_quotes(literal: str, new: str, expected: str) -> None:
    """Quotes stay if they can contain the new ID; comments, spaces and other keys always stay."""
    text = '[[mtls_certificates]] # a\r\nremote = true\ncertificate_id   = LITERAL  # old\nbinding = "A"'
    after = edited(text.replace("LITERAL", literal), SetBinding(None, "A", new))
    assert after == text.replace("LITERAL", expected)


def test_replacing_changes_the_binding_of_its_environment() -> None:
    """The same name in another environment is another binding."""
    text = AOT + '[env.s]\nmtls_certificates = [{certificate_id="1",binding="A"}]'
    assert edited(text, SetBinding("s", "A", "2")) == text.replace('{certificate_id="1"', '{certificate_id="2"')


def test_without_a_change_the_same_bytes_object_is_returned() -> None:
    """For an ID that is already set, a binding that is already removed, and no edits."""
    data = AOT.encode()
    assert edit_wrangler(PATH, data, [SetBinding(None, "A", "1"), RemoveBinding(None, "B")]) is data
    assert edit_wrangler(PATH, data, []) is data


# --- removing --------------------------------------------------------------------------------------------------------

REMOVED: dict[str, tuple[str, str | None, str]] = {
    "comments above stay": (
        "# all\n\n# about A\n" + AOT + "\n# about B\n" + AOT.replace('"A"', '"B"'),
        None,
        "# all\n\n# about A\n\n# about B\n" + AOT.replace('"A"', '"B"'),
    ),
    "comments in its own lines are removed": (
        'x = 1\n\n[[mtls_certificates]] # one\n# two\nbinding = "A" # three\ncertificate_id = "1"\n# four\n\n[vars]\n',
        None,
        "x = 1\n\n# four\n\n[vars]\n",
    ),
    "tables below an element are removed with it": (AOT + "[vars]\n[mtls_certificates.x]\ny = 1\n", None, "[vars]\n"),
    "no final newline stays so": ("x = 1\r\n\r\n" + AOT.rstrip(), None, "x = 1"),
    "first of an inline array": (
        'mtls_certificates = [ { binding = "A", certificate_id = "1" }, { binding = "B", certificate_id = "1" } ]',
        None,
        'mtls_certificates = [ { binding = "B", certificate_id = "1" } ]',
    ),
    "a line of an inline array": (
        (
            'mtls_certificates = [\n  # a\n  { binding = "A", certificate_id = "1" }, # 1\n'
            '  # b\n  { binding = "B", certificate_id = "1" } # 2\n]'
        ),
        None,
        'mtls_certificates = [\n  # a\n  # b\n  { binding = "B", certificate_id = "1" } # 2\n]',
    ),
    "the last line, and its comma": (
        (
            'mtls_certificates = [\n  { binding = "B", certificate_id = "1" }, # 1\n'
            '  # a\n  { binding = "A", certificate_id = "1" } # 2\n]'
        ),
        None,
        'mtls_certificates = [\n  { binding = "B", certificate_id = "1" } # 1\n  # a\n]',
    ),
    "a comment before the bracket is not joined with it": (
        'mtls_certificates = [ # a\n  { binding = "A", certificate_id = "1" } ]',
        None,
        "mtls_certificates = [ # a\n ]",
    ),
    "an environment that nothing else defines stays": (
        'x = 1\n\n[[env."s".mtls_certificates]] # a\nbinding = "A"\ncertificate_id = "1"',
        "s",
        'x = 1\n\n[env."s"] # a',
    ),
    "an inline environment that nothing else defines stays": (
        'env = { s.mtls_certificates = [ { binding = "A", certificate_id = "1" } ] }',
        "s",
        "env = { s.mtls_certificates = [ ] }",
    ),
}


@pytest.mark.parametrize(("before", "environment", "after"), REMOVED.values(), ids=REMOVED)
def test_removing_deletes_only_the_binding(before: str, environment: str | None, after: str) -> None:
    """Removing the binding results in exactly this text."""
    assert edited(before, RemoveBinding(environment, "A")) == after


# --- rules for every file ---------------------------------------------------------------------------------------

NAMES = st.sampled_from((*BINDINGS, NEW))
CHOICE = st.integers(0, 5)


def _environment(data: bytes, choice: int) -> str | None:
    names = list(read_wrangler(PATH, data).environments)
    return names[choice % len(names)]


def _without(data: bytes, environment: str | None, binding: str) -> dict[str, object]:
    """The values of the file without one binding."""
    values = copy.deepcopy(values_of(data))
    table = environment_table(values, environment)
    assert table is not None
    entries = table.pop("mtls_certificates", [])
    assert isinstance(entries, list)
    table["mtls_certificates"] = [entry for entry in entries if entry["binding"] != binding]
    return values


def _agrees_with_tomlkit(data: bytes) -> bool | None:
    """Whether a second parser, which keeps CRLF in strings, reads the same values; None if it can't read the file."""
    text = data.decode().removeprefix("\ufeff").replace("\r\n", "\n")
    try:
        return bool(tomlkit.parse(text).unwrap() == tomli.loads(text))
    except (TOMLKitError, ValueError, KeyError, TypeError):
        return None


@settings(max_examples=250, deadline=None)
@given(wrangler_files(), NAMES, st.sampled_from((*IDS, ID)), CHOICE)
def test_setting_a_binding_changes_no_other_value(data: bytes, name: str, new: str, choice: int) -> None:
    """The binding has the ID. Two parsers read all other values as before, and their text is unchanged."""
    environment = _environment(data, choice)
    before = read_wrangler(PATH, data).environments[environment].find(name)
    after = edit_wrangler(PATH, data, [SetBinding(environment, name, new)])

    made = read_wrangler(PATH, after).environments[environment].find(name)
    assert made is not None
    assert made.certificate_id == new
    assert _without(after, environment, name) == _without(data, environment, name)
    assert edit_wrangler(PATH, after, [SetBinding(environment, name, new)]) is after
    if _agrees_with_tomlkit(data):
        assert _agrees_with_tomlkit(after)
    if before is None:
        rest = iter(after)
        assert all(byte in rest for byte in data)
        assert edit_wrangler(PATH, after, [RemoveBinding(environment, name)]) == data


@settings(max_examples=150, deadline=None)
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
        quotes = right[:3].decode() if right[:3] in (b"'''", b'"""') else right[:1].decode()
        assert tomli.loads(f"value = {quotes}{inside}{quotes}")["value"] == found.certificate_id


@settings(max_examples=200, deadline=None)
@given(wrangler_files(), CHOICE)
def test_removing_all_bindings_one_by_one_keeps_everything_else(data: bytes, choice: int) -> None:
    """No text is added, no other value changes, and the environments stay."""
    environment = _environment(data, choice)
    for found in read_wrangler(PATH, data).environments[environment].bindings:
        after = edit_wrangler(PATH, data, [RemoveBinding(environment, found.binding)])
        expected = _without(data, environment, found.binding)
        assert _without(after, environment, found.binding) == expected
        assert len(after) < len(data)
        if _agrees_with_tomlkit(data):
            assert _agrees_with_tomlkit(after) is not False
        data = after
    assert read_wrangler(PATH, data).environments[environment].bindings == ()


# --- refusing --------------------------------------------------------------------------------------------------------


def test_an_environment_is_never_created() -> None:
    """Setting a binding in an environment that the file lacks is refused with a hint."""
    with pytest.raises(EditRefused, match="no environment production") as caught:
        edited("[env.staging]\n", SetBinding("production", "A", "1"))
    assert caught.value.hint
    assert caught.value.where == Pointer(PATH, ("env",))


@pytest.mark.parametrize(
    "splices",
    [
        [Splice(0, 0, "x = 1\n")],
        [Splice(0, 8)],
        [Splice(4, 4, "&")],
        [Splice(0, 0, "# a comment of no use\n")],
        [Splice(0, 8), Splice(4, 9)],
        [],
    ],
)
def test_an_edit_that_cannot_be_proved_is_refused_with_the_lines_to_paste(
    monkeypatch: pytest.MonkeyPatch, splices: list[Splice]
) -> None:
    """Only an edit with the wanted result is accepted, whatever the format proposes."""
    monkeypatch.setattr(toml, "add", lambda *_: splices)
    with pytest.raises(EditRefused) as caught:
        edited('name = "x"\n[env.s]\n', SetBinding("s", "A", "1"))
    assert caught.value.hint is not None
    assert caught.value.hint.endswith('[[env.s.mtls_certificates]]\nbinding = "A"\ncertificate_id = "1"')
    assert caught.value.where == Pointer(PATH, ("env", "s", "mtls_certificates"))


def test_a_replacement_that_removes_a_comment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replacement can only change the complete string of the ID."""
    text = 'mtls_certificates = [{ binding = "A", certificate_id = "1" }] # "'
    monkeypatch.setattr(toml, "replace", lambda *_: [Splice(text.index('"1"'), len(text), '"2" }]')])
    with pytest.raises(EditRefused, match="can't be changed"):
        edited(text, SetBinding(None, "A", "2"))


@pytest.mark.parametrize("literal", ['"1', "1", "'a' # 'b'", "'a', 'b'", "", "['a']", "'a',"])
def test_only_one_whole_string_is_a_string(literal: str) -> None:
    """The proof of a replacement depends on it."""
    assert toml.string_value(literal) is None


def test_a_value_that_no_file_can_contain_is_refused() -> None:
    """Half a surrogate pair can't be encoded."""
    with pytest.raises(EditRefused):
        edited("", SetBinding(None, "A", "\ud800"))


def test_an_edit_that_makes_the_file_too_large_is_refused() -> None:
    """A written file can be read again."""
    with pytest.raises(EditRefused):
        edited("#" * 255_990, SetBinding(None, "A", "1"))


def test_overlapping_splices_are_an_error() -> None:
    """No text is replaced twice."""
    with pytest.raises(NoPlaceError):
        apply_splices("abc", [Splice(0, 2), Splice(1, 3)])


# --- reading ---------------------------------------------------------------------------------------------------------


def test_reading_finds_bindings_environments_and_taken_names() -> None:
    """The account is inherited, bindings are not; other kinds of bindings take their names too."""
    text = """
name = "shop"
account_id = "acc"
mtls_certificates = [{ binding = "A", certificate_id = "1" }, { binding = "B", certificate_id = "", remote = true }]
vars = { V = 1 }
durable_objects.bindings = [{ name = "DO", class_name = "X" }]
queues = { producers = [{ binding = "Q", queue = "q" }], consumers = [{ queue = "q" }] }
assets = { directory = "d", binding = "ASSETS" }
unsafe = { bindings = [{ name = "U", type = "ratelimit" }] }
secrets = { required = ["SECRET"] }
send_email = [{ name = "MAIL" }]
workflows = [{ binding = "W", name = "not-this", class_name = "X" }]
ai.binding = "AI"
rules = [{ type = "Text", name = "no" }]
[wasm_modules]
WASM = "a.wasm"
[[kv_namespaces]]
binding = "KV"
[previews]
vars = { P = 1 }
[env.staging]
account_id = "other"
kv_namespaces = [{ binding = "KV2", id = "1" }]
[env.production.vars]
V2 = 1
"""
    found = read_wrangler(PATH, text.encode())
    assert (found.path, found.worker_name) == (PATH, "shop")
    assert list(found.environments) == [None, "staging", "production"]
    top, staging, production = found.environments.values()
    assert top.bindings == (FoundBinding("A", "1", 0), FoundBinding("B", "", 1, remote=True))
    assert top.taken == {
        "V": "vars",
        "DO": "durable_objects",
        "Q": "queues",
        "ASSETS": "assets",
        "U": "unsafe",
        "SECRET": "secrets",
        "MAIL": "send_email",
        "W": "workflows",
        "AI": "ai",
        "WASM": "wasm_modules",
        "KV": "kv_namespaces",
    }
    assert (staging.bindings, staging.account_id) == ((), "other")
    assert staging.taken == {"KV2": "kv_namespaces", "ASSETS": "assets"}
    assert (production.account_id, production.taken) == ("acc", {"V2": "vars", "ASSETS": "assets"})


def test_every_problem_of_a_file_is_reported_with_its_place() -> None:
    """One error has all of them, each with the place of the wrong value."""
    text = """mtls_certificates = [
  1,
  { certificate_id = "1" },
  { binding = "", certificate_id = 1 },
  { binding = "A" },
  { binding = "B", certificate_id = "1" }, { binding = "B", certificate_id = "2" },
]
[env]
ignored = 1
[env.s]
mtls_certificates = "x"
"""
    with pytest.raises(InputError) as caught:
        read_wrangler(PATH, text.encode())
    found = []
    for problem in caught.value.problems:
        assert isinstance(problem.where, Pointer)
        place = resolve(problem.where, text.encode())
        found.append((str(problem.code), place.line, place.column))
    assert sorted(found, key=str) == [
        ("wrangler-binding-name", 3, 3),
        ("wrangler-binding-name", 4, 15),
        ("wrangler-bindings", 11, 21),
        ("wrangler-bindings", 2, 3),
        ("wrangler-certificate-id", 4, 36),
        ("wrangler-certificate-id", 5, 3),
        ("wrangler-duplicate-binding", 6, 56),
    ]


@pytest.mark.parametrize("text", ["env = 1", "[[env]]\nx = 1"])
def test_environments_that_are_not_tables_are_an_error(text: str) -> None:
    """It is a mistake, although wrangler ignores it for the top level."""
    with pytest.raises(InputError, match="`env` must be a table"):
        read_wrangler(PATH, text.encode())


def test_a_syntax_error_has_its_place() -> None:
    """Line and column refer to the file."""
    with pytest.raises(InputError) as caught:
        read_wrangler(PATH, b'name = "x"\nmtls_certificates = [\n')
    (problem,) = caught.value.problems
    assert (problem.code, problem.where) == ("wrangler-syntax", Place(PATH, 3, 1))
    assert problem.hint


def test_an_unknown_suffix_is_an_error_that_lists_the_known_ones() -> None:
    """The message has the file, the hint the known formats."""
    with pytest.raises(InputError) as caught:
        read_wrangler("workers/wrangler.yaml", b"")
    assert caught.value.code == "wrangler-format"
    assert caught.value.hint is not None
    assert "wrangler.toml" in caught.value.hint


def test_a_file_that_cannot_be_read_is_not_edited() -> None:
    """Malformed bindings stop an edit before it begins."""
    with pytest.raises(InputError):
        edited("mtls_certificates = 1", SetBinding(None, "A", "1"))
