"""Wrangler files in JSON with random layout: every form of bracket, comments, commas, newlines, BOM.

Built from one source of choices, so that hypothesis shrinks what it finds and a plain `random.Random` can drive it too.
Every text is JSON as wrangler's reader takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from hypothesis import strategies as st

BINDINGS = ("A", "B_2", "Ünï", "$cert", "😀")
ENVIRONMENTS = ("staging", "production", "my env", 'sta"ge', "ü😀", "12")
IDS = (
    "",
    "1",
    "2458ce5a-0c35-4c7f-82c7-8e9487d3ff60",
    "a//b",
    "a/*b*/",
    'say "hi"',
    "back\\slash",
    "tab\there",
    ",]}",
    "ü\n\x00😀",
)
COMMENTS = (
    "// note",
    "//",
    '// "open',
    "// ], } /*",
    '// "mtls_certificates": [],',
    "/* block */",
    "/**/",
    "/***/",
    "/* two\n   lines */",
    '/* " // , ] */',
)
OTHERS: tuple[tuple[str, str], ...] = (
    ("compatibility_date", '"2026-01-01"'),
    ("observability", '{ "enabled": true }'),
    ("vars", '{ "X": "// no comment", "Y": [1, -0.5e+3, null, {"deep": [[], {}]}] }'),
    ("vars", '{\n    "env": {}, // "staging"\n    "mtls_certificates": []\n  }'),
    ("kv_namespaces", '[{ "binding": "KV", "id": "1" }]'),
    ("kv_namespaces", '[\n    {\n      "binding": "KV",\n      "id": "1"\n    }\n  ]'),
    ("d1_databases", '[{"binding":"DB","database_id":"1",},]'),
    ("routes", '["a.example/*", "b.example/*",]'),
)


class Writer:
    """Draws layout; text is written with `\\n` and gets its newlines at the end."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.step = rng.choice(("  ", "  ", "\t", "\t", "    ", ""))
        self.colon = rng.choice((": ", ": ", ": ", ":", " : "))
        self.trailing = rng.random() < 0.3
        self.remarks = rng.choice((0.0, 0.1, 0.4))
        self.wild = rng.choice((0.0, 0.0, 0.1, 1.0))

    def maybe(self, share: float = 0.5) -> bool:
        """Yes or no, by chance."""
        return self.rng.random() < share

    def string(self, value: str) -> str:
        """The value in double quotes, now and then with escapes where none are needed."""
        return '"' + "".join(self._sign(sign) for sign in value) + '"'

    def member(self, key: str, value: str) -> str:
        """One member of an object."""
        colon = self.gap() + ":" + self.gap() if self.maybe(self.wild) else self.colon
        return f"{self.string(key)}{colon}{value}"

    def gap(self) -> str:
        """What may stand between any two tokens."""
        piece = self.rng.choice(("", "", " ", "  ", "\t", "\n", "\n  ", "\n\n\t", "COMMENT"))
        return piece.replace("COMMENT", self.rng.choice((" ", "", "\n")) + self.comment() + self.rng.choice(("", " ")))

    def comment(self) -> str:
        """A comment that may stand before anything: one to the end of its line has the newline behind it."""
        found = self.rng.choice(COMMENTS)
        return found + "\n" if found.startswith("//") else found

    def box(self, brackets: str, items: Sequence[str], depth: int) -> str:
        """Items between brackets: on one line, on many, or any way that there is."""
        if self.maybe(self.wild):
            return self._wild_box(brackets, items)
        if not items:
            return self._empty_box(brackets, depth)
        if depth > 1 and self.maybe(0.3) and not any("\n" in item for item in items):
            blank = self.rng.choice((" ", " ", ""))
            comma = "," * (self.maybe(0.2) and self.trailing)
            return f"{brackets[0]}{blank}{', '.join(items)}{comma}{blank}{brackets[1]}"
        inner, outer = "\n" + self.step * depth, "\n" + self.step * (depth - 1)
        parts = [brackets[0], self.remark()]
        for index, item in enumerate(items):
            comma = "," if index + 1 < len(items) or self.trailing else ""
            late = f" {self.rng.choice(COMMENTS[5:])}" if self.maybe(self.remarks / 4) else ""
            parts += [self.lines(inner), inner, item, late, comma, self.remark()]
        return "".join((*parts, self.lines(inner), outer, brackets[1]))

    def lines(self, inner: str) -> str:
        """Comments on lines of their own, and empty lines."""
        found = (
            [self.rng.choice(COMMENTS) for _ in range(self.rng.choice((1, 1, 2)))] if self.maybe(self.remarks) else []
        )
        return "\n" * self.maybe(0.05) + "".join(inner + comment for comment in found)

    def remark(self) -> str:
        """What may stand behind an item on its line."""
        found = f" {self.rng.choice(COMMENTS)}" if self.maybe(self.remarks) else ""
        return found + self.rng.choice(("", "", "", "", " "))

    def entry(self, binding: str, depth: int) -> str:
        """The object of one binding."""
        members = [
            self.member("binding", self.string(binding)),
            self.member("certificate_id", self.string(self.rng.choice(IDS))),
        ]
        if self.maybe(0.2):
            members.append(self.rng.choice(('"remote": true', '"extra": { "a": [1] }')))
        self.rng.shuffle(members)
        return self.box("{}", members, depth)

    def array(self, depth: int) -> str:
        """The bindings of one environment."""
        names = self.rng.sample(BINDINGS, self.rng.choice((0, 0, 1, 1, 2, 3)))
        entries = [self.entry(name, depth + 1) for name in names]
        if len(entries) == 1 and self.maybe(0.2):
            return f"[{self.entry(names[0], depth)}]"
        return self.box("[]", entries, depth)

    def environment(self, depth: int) -> list[str]:
        """The members of one environment, its own bindings among them or not."""
        members = [self.member("name", '"x"')] if self.maybe(0.6) else []
        found = dict(self.rng.sample(OTHERS, self.rng.choice((0, 0, 1, 2))))
        members += [self.member(key, value) for key, value in found.items()]
        if self.maybe(0.5):
            members.append(self.member("mtls_certificates", self.array(depth + 1)))
        self.rng.shuffle(members)
        return members

    def _empty_box(self, brackets: str, depth: int) -> str:
        outer = "\n" + self.step * (depth - 1)
        inside = self.rng.choice(("", "", "", " ", "  ", outer, " " + outer, "\n" + outer, "COMMENTS"))
        found = self.rng.choice(
            (
                f" {self.rng.choice(COMMENTS)}{outer}",
                f"{outer}{self.step}{self.rng.choice(COMMENTS)}{outer}",
                " /* c */ ",
            )
        )
        return brackets[0] + inside.replace("COMMENTS", found) + brackets[1]

    def _wild_box(self, brackets: str, items: Sequence[str]) -> str:
        parts = [brackets[0], self.gap()]
        for index, item in enumerate(items):
            parts += [item, self.gap()]
            if index + 1 < len(items) or self.maybe(0.3):
                parts += [",", self.gap()]
        return "".join((*parts, self.gap(), brackets[1]))

    def _sign(self, sign: str) -> str:
        if sign in '"\\':
            return f"\\{sign}"
        if sign == "/" and self.maybe(0.2):
            return "\\/"
        if sign.isprintable() and not self.maybe(0.02):
            return sign
        units = sign.encode("utf-16-be")
        return "".join(f"\\u{units[i]:02x}{units[i + 1]:02X}" for i in range(0, len(units), 2))


def wrangler_jsonc(rng: Random) -> bytes:
    """One wrangler file."""
    writer = Writer(rng)
    members = writer.environment(1)
    if writer.maybe(0.7):
        names = rng.sample(ENVIRONMENTS, rng.choice((0, 1, 1, 2)))
        tables = [writer.member(name, writer.box("{}", writer.environment(3), 3)) for name in names]
        members.insert(rng.randint(0, len(members)), writer.member("env", writer.box("{}", tables, 2)))
    ends = [writer.gap() if writer.maybe(0.2) else "" for _ in range(2)]
    text = ends[0] + writer.box("{}", members, 1) + ends[1] + rng.choice(("\n", "\n", "", "\n\n", " "))
    return (("\ufeff" if writer.maybe(0.2) else "") + _with_newlines(rng, text)).encode()


def wrangler_files() -> st.SearchStrategy[bytes]:
    """Any wrangler file in JSON with comments, as bytes."""
    return st.randoms(use_true_random=False).map(wrangler_jsonc)


def mutated(rng: Random, data: bytes) -> str:
    """The text with a few signs cut out, put in or changed, so that it is often no JSON any more; without BOM."""
    text = data.decode().removeprefix("\ufeff")
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        start = rng.randint(0, len(text))
        piece = rng.choice(
            (*"{}[],:\"/*\\\n\r\t\x00 1.-e=#'", "//", "/*", "*/", "true", "nul", "\\u12", "\\ud83d", "\ufeff", "é")
        )
        end = start + rng.choice((0, 0, 1, 1, 2, 8))
        text = text[:start] + piece * (rng.random() < 0.7) + text[end:]
    return text.lstrip("\ufeff")


def _with_newlines(rng: Random, text: str) -> str:
    style = rng.choice(("\n", "\n", "\r\n", "\r", "mixed"))
    draw: Callable[[], str] = (lambda: rng.choice(("\n", "\r\n", "\r"))) if style == "mixed" else (lambda: style)
    first, *rest = text.split("\n")
    return first + "".join(draw() + line for line in rest)
