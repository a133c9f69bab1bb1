"""Splices that change one binding of wrangler.json or wrangler.jsonc.

wrangler parses both in the same way, so both can have comments and trailing commas. The first binding adds its key as
the last member of its environment. Removing the last binding also removes the key if the array looks as it is written
here: a space or a newline after its bracket, and no comment around the binding. An empty array that the user wrote is
filled without that space or newline, and so it stays. Only proposes splices; `edit` proves the result.
"""

from __future__ import annotations

import dataclasses
import json

from reconciler.model import EnvironmentName
from reconciler.model.words import environment_path
from reconciler.syntax.jsonc import JsoncError, JsonNode, parse
from reconciler.wrangler import jsonc_lists
from reconciler.wrangler.jsonc_style import (
    JsonEntryStyle,
    colon_of,
    find_sample,
    has_trailing_comma,
    style_of,
    write_entry,
    write_string,
)
from reconciler.wrangler.splices import KEY, NoPlaceError, Splice


def string_value(literal: str) -> str | None:
    """The value of one JSON string literal, or None if the text is not exactly one string."""
    try:
        node = parse(literal)
    except JsoncError:
        return None
    is_all = (node.start, node.end) == (0, len(literal))
    return node.value if is_all and isinstance(node.value, str) else None


def snippet(environment: EnvironmentName, binding: str, certificate_id: str) -> str:
    """The lines to paste by hand for this binding."""
    value: object = [{"binding": binding, "certificate_id": certificate_id}]
    for key in reversed((*environment_path(environment), KEY)):
        value = {key: value}
    lines = json.dumps(value, indent=2, ensure_ascii=False).splitlines()[1:-1]
    return "\n".join(line.removeprefix("  ") for line in lines)


def add(text: str, environment: EnvironmentName, binding: str, certificate_id: str) -> list[Splice]:
    """The insertions that add a binding after the last one of its environment, or as the first."""
    root = parse(text)
    holder = _environment(root, environment)
    array = holder.child(KEY)
    if array is None:
        return _add_key(text, root, holder, binding, certificate_id)
    if array.kind != "array":
        raise NoPlaceError("the value is not an array")
    room = jsonc_lists.find_room(text, root, array)
    sample = array if array.children else find_sample(root, holder)
    style = _entry_style(text, root, sample)
    if not array.children and not room.own_line:
        style = dataclasses.replace(style, lines=False)
    return room.put(write_entry(style, room.line, binding, certificate_id))


def replace(text: str, environment: EnvironmentName, index: int, certificate_id: str) -> list[Splice]:
    """The splice that replaces the ID of an existing binding, quotes included."""
    found = parse(text).find((*environment_path(environment), KEY, index, "certificate_id"))
    if found is None or found.kind != "string":
        raise NoPlaceError("the ID is not a string")
    return [Splice(found.start, found.end, write_string(certificate_id))]


def set_remote(text: str, environment: EnvironmentName, index: int, remote: bool) -> list[Splice]:
    """The splices that replace `remote` of a binding, or add it after the last member."""
    root = parse(text)
    entry = root.find((*environment_path(environment), KEY, index))
    if entry is None or entry.kind != "object":
        raise NoPlaceError("binding not found")
    literal = "true" if remote else "false"
    found = entry.child("remote")
    if found is not None:
        return [Splice(found.start, found.end, literal)]
    colon = colon_of(text, entry.children[0], ": ") if entry.children else ": "
    return jsonc_lists.find_room(text, root, entry).put(f'"remote"{colon}{literal}')


def remove(text: str, environment: EnvironmentName, index: int) -> list[Splice]:
    """The deletions that remove a binding. The environment stays; the array too, unless `add` writes it so."""
    root = parse(text)
    holder = _environment(root, environment)
    array = holder.child(KEY)
    if array is None or array.child(index) is None:
        raise NoPlaceError("binding not found")
    if jsonc_lists.is_alone(text, array):
        place = next(i for i, member in enumerate(holder.children) if member is array)
        return jsonc_lists.remove(text, holder, place)
    return jsonc_lists.remove(text, array, index)


def _environment(root: JsonNode, environment: EnvironmentName) -> JsonNode:
    found = root.find(environment_path(environment))
    if found is None or found.kind != "object":
        raise NoPlaceError("environment not found")
    return found


def _add_key(text: str, root: JsonNode, holder: JsonNode, binding: str, certificate_id: str) -> list[Splice]:
    """Add the key with its first binding in the form that `is_alone` recognises: on several lines if it begins one."""
    room = jsonc_lists.find_room(text, root, holder)
    sample = find_sample(root, holder)
    style = _entry_style(text, root, sample)
    member = next(iter(holder.children or root.children), None)
    colon = style.colon if member is None else colon_of(text, member, style.colon)
    if room.own_line:
        line = room.line.deeper()
        comma = "," * has_trailing_comma(text, root if sample is None else sample)
        array = f"[{line.begin()}{write_entry(style, line, binding, certificate_id)}{comma}{room.line.begin()}]"
    else:
        style = dataclasses.replace(style, lines=False)
        array = f"[ {write_entry(style, room.line, binding, certificate_id)} ]"
    return room.put(f'"{KEY}"{colon}{array}')


def _entry_style(text: str, root: JsonNode, sample: JsonNode | None) -> JsonEntryStyle:
    """The style of the last element of the sample; without a sample, several lines in the style of the file."""
    if sample is not None and sample.children and sample.children[-1].kind == "object":
        return style_of(text, sample.children[-1], JsonEntryStyle())
    style = style_of(text, root, JsonEntryStyle())
    if style.lines:
        style = JsonEntryStyle(colon=style.colon, trailing=style.trailing)
    return dataclasses.replace(style, lines=True)
