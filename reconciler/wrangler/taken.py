"""Which binding names an environment of a wrangler file uses for other things than certificates.

Read generously: a name that is found here is only ever kept from being used twice. The shapes are those of wrangler
4.164: most kinds are a table or an array of tables with `binding`; the rest is listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler.wrangler.splices import KEY

_NAMES_ARE_KEYS = frozenset({"vars", "wasm_modules", "text_blobs", "data_blobs"})
_NAMED_BY_NAME = frozenset({"send_email", "ratelimits", "durable_objects", "unsafe", "logfwdr"})
_LISTS_INSIDE = ("bindings", "producers")
_NO_BINDINGS = frozenset({KEY, "env", "previews"})
_INHERITED = ("assets",)
"""Of the kinds with a binding only assets are inherited by an environment that has none of its own."""


def taken_names(table: Mapping[str, object], top_level: Mapping[str, object]) -> dict[str, str]:
    """Each name that is in use, to the key of the file that uses it; the first where several do."""
    inherited = {kind: top_level[kind] for kind in _INHERITED if kind in top_level and kind not in table}
    found: dict[str, str] = {}
    for kind, value in (*table.items(), *inherited.items()):
        if kind not in _NO_BINDINGS:
            for name in _names(kind, value):
                found.setdefault(name, kind)
    return found


def _names(kind: str, value: object) -> Iterator[str]:
    if isinstance(value, list):
        for entry in value:
            yield from _own_name(kind, entry)
        return
    if not isinstance(value, dict):
        return
    if kind in _NAMES_ARE_KEYS:
        yield from (str(name) for name in value)
        return
    yield from _own_name(kind, value)
    for key in _LISTS_INSIDE:
        inside = value.get(key)
        for entry in inside if isinstance(inside, list) else ():
            yield from _own_name(kind, entry)
    required = value.get("required") if kind == "secrets" else None
    yield from (name for name in required if isinstance(name, str)) if isinstance(required, list) else ()


def _own_name(kind: str, entry: object) -> Iterator[str]:
    if isinstance(entry, dict):
        name = entry.get("binding", entry.get("name") if kind in _NAMED_BY_NAME else None)
        if isinstance(name, str) and name:
            yield name
