"""The style of new TOML text, which follows the text around it: quotes, spaces, newlines, indentation."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from reconciler.findings.values import dataclass
from reconciler.syntax.text import line_start
from reconciler.syntax.toml_spans import KeyValue, Value

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BLANKS = re.compile(r"[ \t]*")
_EQUALS = re.compile(r"[ \t]*=[ \t]*")
_COMMA = re.compile(r"[ \t]*,[ \t]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TO_ESCAPE = re.compile(r'[\x00-\x1f\x7f"\\]')
_SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


@dataclass(frozen=True, slots=True)
class TomlEntryStyle:
    """The style of one element: the text around its keys, values and brackets."""

    quotes: str = '"'
    equals_binding: str = " = "
    equals_id: str = " = "
    comma: str = ", "
    opening: str = " "
    closing: str = " "

    def pairs(self, binding: str, certificate_id: str) -> tuple[str, str]:
        """The two lines of a binding."""
        return (
            f"binding{self.equals_binding}{write_string(binding, self.quotes)}",
            f"certificate_id{self.equals_id}{write_string(certificate_id, self.quotes)}",
        )

    def inline(self, binding: str, certificate_id: str) -> str:
        """The binding as an inline table on one line."""
        return f"{{{self.opening}{self.comma.join(self.pairs(binding, certificate_id))}{self.closing}}}"


def write_string(value: str, quotes: str = '"') -> str:
    """The TOML string literal of `value`, in these quotes if possible, else as a basic string."""
    if quotes[0] == "'":
        if "'" not in value and not _CONTROL.search(value):
            return f"{quotes}{value}{quotes}"
        quotes = '"'
    return f"{quotes}{_TO_ESCAPE.sub(_escape, value)}{quotes}"


def write_key(name: str) -> str:
    """The part of a key for `name`, without quotes if possible."""
    return name if _BARE_KEY.fullmatch(name) else write_string(name)


def quotes_of(literal: str) -> str:
    """The quotes of a string literal."""
    return literal[:3] if len(literal) >= 6 and literal[:3] in ('"""', "'''") else literal[0]


def style_of(text: str, pairs: Iterable[KeyValue], table: Value | None = None) -> TomlEntryStyle:
    """The style of an existing element, for the next one; `table` if it is an inline table."""
    pairs = tuple(pairs)
    named = {pair.keys[0].name: pair for pair in pairs}
    certificate_id = named.get("certificate_id")
    style = TomlEntryStyle(
        quotes=text[certificate_id.value.start] if certificate_id is not None else '"',
        equals_binding=_equals(text, named.get("binding")),
        equals_id=_equals(text, certificate_id),
    )
    if table is None or not pairs:
        return style
    return replace(
        style,
        opening=_if_like(_BLANKS, text[table.start + 1 : pairs[0].start], style.opening),
        closing=_if_like(_BLANKS, text[pairs[-1].end : table.end - 1], style.closing),
        comma=_if_like(_COMMA, text[pairs[0].end : pairs[1].start] if len(pairs) > 1 else "", style.comma),
    )


def indent_of(text: str, offset: int) -> str:
    """The indentation of the line with this offset."""
    found = _BLANKS.match(text, line_start(text, offset))
    return found.group() if found else ""


def deeper(indent: str) -> str:
    """This indentation with one more level."""
    return indent + ("\t" if "\t" in indent else "  ")


def newline_near(text: str, offset: int) -> str:
    """The newline before this offset, else the next one after it, else `\\n`."""
    end = text.rfind("\n", 0, offset)
    if end < 0:
        end = text.find("\n", offset)
    return "\r\n" if end > 0 and text[end - 1] == "\r" else "\n"


def _equals(text: str, pair: KeyValue | None) -> str:
    return _if_like(_EQUALS, text[pair.keys[-1].end : pair.value.start] if pair is not None else "", " = ")


def _if_like(form: re.Pattern[str], found: str, default: str) -> str:
    """The text that was found if it has this form, else the default: comments and line breaks are not copied."""
    return found if form.fullmatch(found) else default


def _escape(found: re.Match[str]) -> str:
    char = found.group()
    return _SHORT_ESCAPES.get(char, f"\\u{ord(char):04X}")
