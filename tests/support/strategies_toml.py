"""Wrangler files in TOML with random layout: every form of binding and environment, comments, newlines, BOM.

Built from one source of choices, so that hypothesis shrinks what it finds and a plain `random.Random` can drive it too.
Every text is valid TOML 1.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random

from hypothesis import strategies as st

BINDINGS = ("A", "B_2", "Ünï", "$cert")
ENVIRONMENTS = ("staging", "production", "my env", 'sta"ge', "ü", "12")
IDS = (
    "",
    "1",
    "2458ce5a-0c35-4c7f-82c7-8e9487d3ff60",
    "a#b",
    "it's",
    'say "hi"',
    "back\\slash",
    "tab\there",
    "ü\n\x00",
)
COMMENTS = ("# note", "#", "# [vars]", '# "open', "# ], } '''", "# mtls_certificates = []", "# ü", '# """')
OTHERS = (
    ("vars", 'X = "1"'),
    ("vars", "list = [ 1, # one\n 2 ]"),
    ("limits", "cpu_ms = 1.5"),
    ("site", 'text = """\n[[mtls_certificates]]\n# no comment \\"\\"\\" ""\n"""'),
    ("site", "text = '''\n[env.staging] # '' ''''"),
    ("site", "at = 2026-01-01 10:00:00"),
    ("site", 'deep.er."ke.y" = { a = {}, b.c = [ [ ], [ { } ] ] }'),
)


class Writer:
    """Draws layout; text is written with `\\n` and gets its newlines at the end."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng

    def maybe(self, share: float = 0.5) -> bool:
        return self.rng.random() < share

    def blank(self) -> str:
        return self.rng.choice(("", " ", " ", "  ", "\t"))

    def comment(self) -> str:
        return self.rng.choice(COMMENTS)

    def string(self, value: str) -> str:
        """The value in one of the four kinds of quotes."""
        basic = "".join(_escaped(sign) for sign in value)
        forms = [f'"{basic}"'] * 3 + [f'"""{basic}"""', f'"""\n{basic}"""']
        if not any(sign in "'\x00\n" for sign in value):
            forms += [f"'{value}'"] * 2 + [f"'''{value}'''", f"'''\n{value}'''"]
        return self.rng.choice(forms)

    def key(self, *names: str) -> str:
        """A dotted key, now and then with quotes and blanks where none are needed."""
        dot = self.rng.choice((".", ".", ".", " . "))
        return dot.join(self._part(name) for name in names)

    def pair(self, key: str, value: str) -> str:
        return f"{key}{self.blank()}={self.blank()}{value}"

    def gap(self, *, lines: bool) -> str:
        """What may stand between the elements of an array."""
        if not lines:
            return self.blank()
        piece = self.rng.choice(("", "", " ", "\n", "\n  ", "\n\t", "COMMENT"))
        return piece.replace("COMMENT", f" {self.comment()}\n  ")

    def boxed(self, brackets: str, items: Sequence[str], *, lines: bool) -> str:
        """Items between brackets, with or without a comma behind the last."""
        parts = [brackets[0], self.gap(lines=lines)]
        for index, item in enumerate(items):
            parts += [item, self.gap(lines=lines and self.maybe(0.3))]
            if index + 1 < len(items) or self.maybe(0.3):
                parts += [",", self.gap(lines=lines)]
        return "".join((*parts, self.gap(lines=lines), brackets[1]))

    def entry(self, binding: str) -> list[str]:
        """The pairs of one binding."""
        pairs = [
            self.pair(self.key("binding"), self.string(binding)),
            self.pair(self.key("certificate_id"), self.string(self.rng.choice(IDS))),
        ]
        if self.maybe(0.2):
            pairs.append(self.rng.choice(("remote = true", "extra = { a = [ 1 ] }")))
        self.rng.shuffle(pairs)
        return pairs

    def array(self, bindings: Iterable[str]) -> str:
        """An inline array of bindings, on one line or many."""
        lines = self.maybe()
        entries = [self.boxed("{}", self.entry(name), lines=lines and self.maybe(0.2)) for name in bindings]
        return self.boxed("[]", entries, lines=lines)

    def bindings(self) -> list[str]:
        return self.rng.sample(BINDINGS, self.rng.choice((0, 1, 1, 2, 3)))

    def section(self, header: str, pairs: Iterable[str]) -> str:
        """A header with its pairs, comments around and among them, indented or not."""
        indent = self.rng.choice(("", "", "  ", "\t"))
        above = [self.comment() for _ in range(self.rng.choice((0, 0, 1, 2)))]
        if above and self.maybe(0.3):
            above.append("")
        lines = [*above, self.rng.choice(("", "", "  ")) + header + self._remark()]
        for pair in pairs:
            lines += [f"{indent}{self.comment()}"] * self.maybe(0.1) + [""] * self.maybe(0.1)
            lines.append(f"{indent}{pair}{self._remark()}")
        lines += [self.comment()] * self.maybe(0.1) + self.rng.choice(([], [""], [""], ["", "  "]))
        return "".join(f"{line}\n" for line in lines)

    def tables(self, path: Sequence[str]) -> list[str]:
        """`[[path.mtls_certificates]]` for each binding, some with a table below."""
        header = f"[[{self.blank()}{self.key(*path, 'mtls_certificates')}{self.blank()}]]"
        found = []
        for name in self.bindings():
            text = self.section(header, self.entry(name))
            if self.maybe(0.1):
                text += self.section(f"[{self.key(*path, 'mtls_certificates', 'below')}]", ["x = 1"])
            found.append(text)
        return found

    def _remark(self) -> str:
        return f" {self.comment()}" if self.maybe(0.15) else self.rng.choice(("", "", "", " "))

    def _part(self, name: str) -> str:
        bare = name.isascii() and name.replace("_", "").isalnum()
        quoted = '"' + "".join(_escaped(sign) for sign in name) + '"'
        return quoted if not bare or self.maybe(0.1) else name


def wrangler_toml(rng: Random) -> bytes:
    """One wrangler file."""
    writer = Writer(rng)
    names = rng.sample(ENVIRONMENTS, rng.choice((0, 1, 1, 2)))
    root, sections = _top_level(writer)
    form = rng.choice((_as_sections, _as_sections, _inside_env, _inline, _dotted))
    more_pairs, more_sections = form(writer, names)
    sections += more_sections
    if writer.maybe():
        rng.shuffle(sections)
    text = writer.section("", root + more_pairs).lstrip("\n") + "".join(sections)
    if writer.maybe(0.3):
        text = text.rstrip("\n \t")
    return (("\ufeff" if writer.maybe(0.2) else "") + _with_newlines(rng, text)).encode()


def wrangler_files() -> st.SearchStrategy[bytes]:
    """Any wrangler file in TOML, as bytes."""
    return st.randoms(use_true_random=False).map(wrangler_toml)


Made = tuple[list[str], list[str]]
"""Pairs for the root, and sections in an order that may be changed."""


def _top_level(writer: Writer) -> Made:
    pairs = [writer.pair("name", '"worker"')] if writer.maybe(0.8) else []
    sections = []
    if writer.maybe(0.3):
        pairs.append(writer.pair(writer.key("mtls_certificates"), writer.array(writer.bindings())))
    else:
        sections = ["".join(writer.tables(()))]
    for name in ("kv", "other"):
        if writer.maybe(0.3) and name == "kv":
            sections.append(writer.section("[[kv_namespaces]]", ['binding = "KV"', 'id = "1"']))
        elif writer.maybe(0.5) and name == "other":
            header, pair = writer.rng.choice(OTHERS)
            sections.append(writer.section(f"[{header}]", [pair]))
    return pairs, sections


def _as_sections(writer: Writer, names: Sequence[str]) -> Made:
    sections = []
    for name in names:
        pairs = ['name = "x"'] * writer.maybe()
        inline = writer.maybe(0.3)
        if inline:
            pairs.append(writer.pair("mtls_certificates", writer.array(writer.bindings())))
        if inline or writer.maybe():
            sections.append(writer.section(f"[{writer.key('env', name)}]", pairs))
        if not inline:
            sections += ["".join(writer.tables(("env", name)))] if writer.maybe(0.7) else writer.tables(("env", name))
        if writer.maybe():
            sections.append(writer.section(f"[{writer.key('env', name, 'vars')}]", ['X = "1"']))
    return [], sections


def _environment_pairs(writer: Writer, path: Sequence[str]) -> list[str]:
    """Dotted pairs, or one inline table, that make an environment."""
    values = [("name", '"x"'), ("vars", '{ Y = "1" }')]
    values = writer.rng.sample(values, writer.rng.choice((1, 2)))
    if writer.maybe(0.6):
        values.append(("mtls_certificates", writer.array(writer.bindings())))
    if writer.maybe():
        return [writer.pair(writer.key(*path, key), value) for key, value in values]
    table = [writer.pair(writer.key(key), value) for key, value in values if writer.maybe(0.8)]
    return [writer.pair(writer.key(*path), writer.boxed("{}", table, lines=writer.maybe(0.3)))]


def _inside_env(writer: Writer, names: Sequence[str]) -> Made:
    pairs = [pair for name in names for pair in _environment_pairs(writer, (name,))]
    return [], [writer.section("[env]", pairs)]


def _inline(writer: Writer, names: Sequence[str]) -> Made:
    pairs = [pair for name in names for pair in _environment_pairs(writer, (name,))]
    return [writer.pair("env", writer.boxed("{}", pairs, lines=writer.maybe(0.3)))], []


def _dotted(writer: Writer, names: Sequence[str]) -> Made:
    return [pair for name in names for pair in _environment_pairs(writer, ("env", name))], []


def _with_newlines(rng: Random, text: str) -> str:
    style = rng.choice(("\n", "\n", "\r\n", "mixed"))
    draw: Callable[[], str] = (lambda: rng.choice(("\n", "\r\n"))) if style == "mixed" else (lambda: style)
    first, *rest = text.split("\n")
    return first + "".join(draw() + line for line in rest)


def _escaped(sign: str) -> str:
    if sign in '"\\':
        return f"\\{sign}"
    return sign if sign.isprintable() else f"\\u{ord(sign):04x}"
