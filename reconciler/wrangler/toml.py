"""Splices that add, change or remove one binding of wrangler.toml.

Follows the existing layout, for every layout that TOML has for an array of tables: inline on one line or several,
`[[...]]`, dotted keys, inside an inline `env`. Only proposes splices; `edit` proves the result.
"""

from __future__ import annotations

import tomli

from reconciler.model import EnvironmentName
from reconciler.model.words import environment_path
from reconciler.syntax.text import line_end
from reconciler.syntax.toml import Key, TomlNode, TomlTree, read_tree
from reconciler.syntax.toml_spans import Section, Value
from reconciler.wrangler import toml_lists, toml_sections
from reconciler.wrangler.splices import KEY, NoPlaceError, Splice
from reconciler.wrangler.toml_style import (
    TomlEntryStyle,
    indent_of,
    newline_near,
    quotes_of,
    style_of,
    write_key,
    write_string,
)


def string_value(literal: str) -> str | None:
    """The value of one TOML string literal, or None if the text is not exactly one string."""
    try:
        values: list[object] = tomli.loads(f"values = [{literal}]")["values"]
    except ValueError:
        return None
    match values:
        case [str(value)] if literal[-1] == literal[0] and literal[0] in "\"'":
            return value
    return None


def snippet(environment: EnvironmentName, binding: str, certificate_id: str) -> str:
    """The lines to paste by hand for this binding."""
    return "\n".join(_section_lines(_header(environment), TomlEntryStyle(), binding, certificate_id))


def add(text: str, environment: EnvironmentName, binding: str, certificate_id: str) -> list[Splice]:
    """The insertions that add a binding after the last one of its environment, or as the first."""
    tree = read_tree(text)
    path = (*environment_path(environment), KEY)
    found = tree.find(path)
    if found is not None and found.value is not None:
        style = _style_of_last(text, found.value)
        return toml_lists.append(text, found.value, style.inline(binding, certificate_id))
    if found is not None and found.elements:
        return [_append_section(tree, (*path, len(found.elements) - 1), found.elements[-1], binding, certificate_id)]
    holder = _inline_holder(tree, path)
    if holder is not None:
        depth, table = holder
        key = ".".join(write_key(part) for part in path[depth:])
        # By the spaces inside the brackets, `remove` recognises a key that was written here.
        item = f"{key} = [ {TomlEntryStyle().inline(binding, certificate_id)} ]"
        return toml_lists.append(text, table, item)
    lines = _section_lines(_header(environment), TomlEntryStyle(), binding, certificate_id)
    return [toml_sections.insert_after(tree, _last_section_of(tree, environment), lines)]


def replace(text: str, environment: EnvironmentName, index: int, certificate_id: str) -> list[Splice]:
    """The splice that replaces the ID of an existing binding, in the same quotes."""
    tree = read_tree(text)
    found = tree.find((*environment_path(environment), KEY, index, "certificate_id"))
    if found is None or found.value is None or found.value.kind != "string":
        raise NoPlaceError("the ID is not a string")
    span = found.value
    return [Splice(span.start, span.end, write_string(certificate_id, quotes_of(text[span.start : span.end])))]


def set_remote(text: str, environment: EnvironmentName, index: int, remote: bool) -> list[Splice]:
    """The splices that replace `remote` of a binding, or add it after the last pair."""
    tree = read_tree(text)
    path: tuple[Key, ...] = (*environment_path(environment), KEY, index)
    literal = "true" if remote else "false"
    found = tree.find((*path, "remote"))
    if found is not None and found.value is not None:
        return [Splice(found.value.start, found.value.end, literal)]
    entry = tree.find(path)
    if entry is not None and entry.value is not None:
        return toml_lists.append(text, entry.value, f"remote = {literal}")
    if entry is None or entry.section is None or not entry.section.pairs:
        raise NoPlaceError("the binding has no lines of its own")
    last = entry.section.pairs[-1]
    end, newline = line_end(text, last.end), newline_near(text, last.end)
    line = f"{indent_of(text, last.start)}remote = {literal}"
    return [Splice(end, end, line + newline if text[end - 1] == "\n" else newline + line)]


def remove(text: str, environment: EnvironmentName, index: int) -> list[Splice]:
    """The deletions that remove a binding. The environment stays; an inline array too, unless `add` writes it so."""
    tree = read_tree(text)
    path = (*environment_path(environment), KEY)
    found = tree.find(path)
    if found is None:
        raise NoPlaceError("array not found")
    if found.value is None:
        if len(found.elements) == 1 and _is_only_content(tree, path):
            return toml_sections.replace_section(tree, (*path, index), _environment_header(tree, found.elements[0]))
        return toml_sections.remove_sections(tree, (*path, index))
    holder = _inline_holder(tree, path)
    if holder is not None and _is_as_added(text, found.value) and not _is_only_content(tree, path):
        place = next((i for i, pair in enumerate(holder[1].pairs) if pair is found.pair), None)
        if place is not None:
            return toml_lists.remove(text, holder[1], place)
    return toml_lists.remove(text, found.value, index)


def _style_of_last(text: str, array: Value) -> TomlEntryStyle:
    if not array.items or array.items[-1].kind != "table":
        return TomlEntryStyle()
    return style_of(text, array.items[-1].pairs, array.items[-1])


def _append_section(tree: TomlTree, path: tuple[Key, ...], node: TomlNode, binding: str, certificate_id: str) -> Splice:
    """Add a section in the style of the last one of the array, with the same text in its header."""
    text, section = tree.text, node.section
    if section is None or section.header is None:
        raise NoPlaceError("the array has no header")
    header = indent_of(text, section.header.start) + text[section.header.start : section.header.end]
    style = style_of(text, section.pairs)
    indent = indent_of(text, section.pairs[0].start) if section.pairs else ""
    lines = [header, *(indent + pair for pair in style.pairs(binding, certificate_id))]
    last = toml_sections.sections_below(tree, path)[-1]
    return toml_sections.insert_after(tree, last, lines, tight=toml_sections.is_tight(tree, section.header))


def _section_lines(header: str, style: TomlEntryStyle, binding: str, certificate_id: str) -> list[str]:
    return [header, *style.pairs(binding, certificate_id)]


def _header(environment: EnvironmentName) -> str:
    return f"[[{'.'.join(write_key(part) for part in (*environment_path(environment), KEY))}]]"


def _inline_holder(tree: TomlTree, path: tuple[str, ...]) -> tuple[int, Value] | None:
    """The innermost inline table around a path, with its depth; None if a header can reach the path."""
    holder: tuple[int, Value] | None = None
    for depth, node in tree.walk(path[:-1]):
        if node is not None and node.value is not None and node.value.kind == "table":
            holder = depth, node.value
    return holder


def _last_section_of(tree: TomlTree, environment: EnvironmentName) -> int:
    """The index of the section after which the first `[[...]]` of an environment is added: the environment's last one.

    For the top level, the last section outside the environments, so that it comes before them. In a file with only
    environments it comes last, so that no comment at the top is separated from the text that it describes.
    """
    path = environment_path(environment)
    if path:
        indexes = [i for i, section in enumerate(tree.sections) if _concerns(section, tree.paths[i], path)]
    else:
        indexes = [i for i, found in enumerate(tree.paths) if found[:1] != ("env",)]
        if indexes == [0] and not tree.sections[0].pairs:
            indexes = []
    return indexes[-1] if indexes else len(tree.sections) - 1


def _concerns(section: Section, path: tuple[Key, ...], environment: tuple[str, ...]) -> bool:
    """Whether a section, or a dotted key in it, is part of an environment."""
    if path[: len(environment)] == environment:
        return True
    if path != environment[: len(path)]:
        return False
    rest = environment[len(path) :]
    return any(tuple(part.name for part in pair.keys[: len(rest)]) == rest for pair in section.pairs)


def _is_as_added(text: str, array: Value) -> bool:
    """Whether an array looks as `add` writes it: one element, with one space on either side."""
    inner = text[array.start + 1 : array.end - 1]
    return len(array.items) == 1 and inner == f" {text[array.items[0].start : array.items[0].end]} "


def _is_only_content(tree: TomlTree, path: tuple[str, ...]) -> bool:
    """Whether the environment would be lost without its `mtls_certificates`."""
    table = tree.find(path[:-1])
    return len(path) > 1 and table is not None and not table.value and not table.section and len(table.children) == 1


def _environment_header(tree: TomlTree, element: TomlNode) -> str:
    """`[env.X]`, spelled as in the header of the array of tables in it."""
    header = element.section.header if element.section is not None else None
    if header is None:
        raise NoPlaceError("the array has no header")
    return f"[{tree.text[header.keys[0].start : header.keys[-2].end]}]"
