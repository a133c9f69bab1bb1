"""wrangler.json and wrangler.jsonc: the splices that change one binding.

wrangler reads both by one reader, so both may have comments and trailing commas. A first binding brings its key along,
as the last member of its environment. The key goes with the last binding where the array looks as it is written here:
a blank or a new line behind its bracket, no comment around the entry. An empty array of the user's is filled without
either, and so stays. Says only where to cut; whether the outcome means what was wanted is proved elsewhere.
"""

from __future__ import annotations

import dataclasses
import json

from reconciler.model import EnvironmentName
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
from reconciler.wrangler.splices import KEY, NoPlaceError, Splice, environment_path


def string_value(literal: str) -> str | None:
    """What one JSON string as written means; None where this is not exactly one string."""
    try:
        node = parse(literal)
    except JsoncError:
        return None
    whole = (node.start, node.end) == (0, len(literal))
    return node.value if whole and isinstance(node.value, str) else None


def snippet(environment: EnvironmentName, binding: str, certificate_id: str) -> str:
    """The lines that a person would paste for this binding."""
    value: object = [{"binding": binding, "certificate_id": certificate_id}]
    for key in reversed((*environment_path(environment), KEY)):
        value = {key: value}
    lines = json.dumps(value, indent=2, ensure_ascii=False).splitlines()[1:-1]
    return "\n".join(line.removeprefix("  ") for line in lines)


def add(text: str, environment: EnvironmentName, binding: str, certificate_id: str) -> list[Splice]:
    """Put a new binding behind the last of its environment, or as the first."""
    root = parse(text)
    holder = _environment(root, environment)
    array = holder.child(KEY)
    if array is None:
        return _add_key(text, root, holder, binding, certificate_id)
    if array.kind != "array":
        raise NoPlaceError("the value is no array")
    room = jsonc_lists.find_room(text, root, array)
    sample = array if array.children else find_sample(root, holder)
    style = _entry_style(text, root, sample)
    if not array.children and not room.own_line:
        style = dataclasses.replace(style, lines=False)
    return room.put(write_entry(style, room.line, binding, certificate_id))


def replace(text: str, environment: EnvironmentName, index: int, certificate_id: str) -> list[Splice]:
    """Put another id into the quotes of an entry that is there."""
    found = parse(text).find((*environment_path(environment), KEY, index, "certificate_id"))
    if found is None or found.kind != "string":
        raise NoPlaceError("the id is no string")
    return [Splice(found.start, found.end, write_string(certificate_id))]


def set_remote(text: str, environment: EnvironmentName, index: int, remote: bool) -> list[Splice]:
    """Put another `remote` in the place of an entry's, or add it behind its last member."""
    root = parse(text)
    entry = root.find((*environment_path(environment), KEY, index))
    if entry is None or entry.kind != "object":
        raise NoPlaceError("there is no such entry")
    literal = "true" if remote else "false"
    found = entry.child("remote")
    if found is not None:
        return [Splice(found.start, found.end, literal)]
    colon = colon_of(text, entry.children[0], ": ") if entry.children else ": "
    return jsonc_lists.find_room(text, root, entry).put(f'"remote"{colon}{literal}')


def remove(text: str, environment: EnvironmentName, index: int) -> list[Splice]:
    """Take an entry out. The environment stays, and the array too, unless it looks like one that `add` brought."""
    root = parse(text)
    holder = _environment(root, environment)
    array = holder.child(KEY)
    if array is None or array.child(index) is None:
        raise NoPlaceError("there is no such entry")
    if jsonc_lists.is_alone(text, array):
        place = next(i for i, member in enumerate(holder.children) if member is array)
        return jsonc_lists.remove(text, holder, place)
    return jsonc_lists.remove(text, array, index)


def _environment(root: JsonNode, environment: EnvironmentName) -> JsonNode:
    found = root.find(environment_path(environment))
    if found is None or found.kind != "object":
        raise NoPlaceError("there is no such environment")
    return found


def _add_key(text: str, root: JsonNode, holder: JsonNode, binding: str, certificate_id: str) -> list[Splice]:
    """The key with its first binding, as `is_alone` will know it: on many lines where it begins one, else on one."""
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
    """As the last entry of the sample is written; without one on many lines, with the small habits of the file."""
    if sample is not None and sample.children and sample.children[-1].kind == "object":
        return style_of(text, sample.children[-1], JsonEntryStyle())
    style = style_of(text, root, JsonEntryStyle())
    if style.lines:
        style = JsonEntryStyle(colon=style.colon, trailing=style.trailing)
    return dataclasses.replace(style, lines=True)
