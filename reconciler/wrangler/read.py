"""Reads the certificate bindings of a wrangler file from its plain values, for every format. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic, Place, Pointer, shorten
from reconciler.findings.errors import InputError
from reconciler.findings.secrets import looks_secret
from reconciler.model import EnvironmentName, FoundBinding, WranglerEnvironment, WranglerFile
from reconciler.model.words import environment_path
from reconciler.wrangler.formats import load
from reconciler.wrangler.splices import KEY

Keys = tuple[str | int, ...]

_LONGEST = 100
"""IDs have 36 characters. Longer text can be anything, even a private key, and is never shown."""


def read_wrangler(path: str, data: bytes) -> WranglerFile:
    """The bindings of every environment of a wrangler file; the top level is the environment None.

    An empty `certificate_id` is a placeholder and is returned as it is. `account_id` is the environment's own, else the
    top level's, as wrangler inherits it; nothing else is inherited. A value under `env` that is not a table is not an
    environment: wrangler accepts such files too. InputError with every problem of the file:
    `wrangler-format`, `wrangler-syntax`, `wrangler-environment`, `wrangler-bindings`, `wrangler-binding-name`,
    `wrangler-certificate-id`, `wrangler-duplicate-binding`.
    """
    return read_values(path, load(path, data))


def read_values(path: str, values: Mapping[str, object]) -> WranglerFile:
    """The bindings as in `read_wrangler`, from the parsed values of the file."""
    problems: list[Diagnostic] = []
    environments = {
        name: WranglerEnvironment(
            name=name,
            bindings=tuple(_bindings(path, environment_path(name), table.get(KEY, []), problems)),
            taken=taken_names(table, values),
            account_id=_text(table.get("account_id")) or _text(values.get("account_id")),
            script=_script(name, table, values),
        )
        for name, table in _environments(path, values, problems)
    }
    previews = values.get("previews")
    found = (
        tuple(_bindings(path, ("previews",), previews.get(KEY, []), problems)) if isinstance(previews, dict) else None
    )
    if problems:
        raise InputError(shorten(problems, Place(path)))
    return WranglerFile(
        path=path,
        environments=environments,
        worker_name=_text(values.get("name")),
        previews=found,
        pages="pages_build_output_dir" in values,
    )


def environment_table(values: Mapping[str, object], environment: EnvironmentName) -> dict[str, object] | None:
    """The table of an environment, or None if the file does not have it."""
    table: object = values
    for key in environment_path(environment):
        table = table.get(key) if isinstance(table, dict) else None
    return table if isinstance(table, dict) else None


def _environments(
    path: str, values: Mapping[str, object], problems: list[Diagnostic]
) -> Iterator[tuple[EnvironmentName, Mapping[str, object]]]:
    yield None, values
    tables = values.get("env")
    if isinstance(tables, dict):
        for name, table in tables.items():
            if len(name) > _LONGEST or _is_secret(name):
                message = "the name of an environment contains a secret or is far too long; it is not shown"
                problems.append(_problem(Code.WRANGLER_NO_ID, message, path, ("env",), "rename it"))
            elif isinstance(table, dict):
                yield name, table
    elif tables is not None:
        problems.append(_problem(Code.WRANGLER_ENVIRONMENT, "`env` must be a table", path, ("env",)))


def _bindings(path: str, table: tuple[str, ...], value: object, problems: list[Diagnostic]) -> Iterator[FoundBinding]:
    keys: Keys = (*table, KEY)
    if not isinstance(value, list):
        problems.append(_problem(Code.WRANGLER_BINDINGS, f"`{KEY}` must be an array of tables", path, keys))
        return
    seen: set[str] = set()
    for index, entry in enumerate(value):
        found = list(_entry_problems(path, (*keys, index), entry))
        problems += found
        if found or not isinstance(entry, dict):
            continue
        binding = str(entry["binding"])
        if binding in seen:
            message = f"the binding {binding} is defined twice in one environment"
            hint = "remove one of them"
            where = (*keys, index, "binding")
            problems.append(_problem(Code.WRANGLER_DUPLICATE_BINDING, message, path, where, hint))
        seen.add(binding)
        yield FoundBinding(binding, str(entry["certificate_id"]), index, entry.get("remote") is True)


def _entry_problems(path: str, keys: Keys, entry: object) -> Iterator[Diagnostic]:
    if not isinstance(entry, dict):
        yield _problem(Code.WRANGLER_BINDINGS, f"each element of `{KEY}` must be a table", path, keys)
        return
    for key in ("binding", "certificate_id"):
        text = entry.get(key)
        if isinstance(text, str) and (_is_secret(text) or len(text) > _LONGEST):
            why = "contains a private key or a token" if _is_secret(text) else "is far too long for a name or an ID"
            message = f"`{key}` {why}"
            what = "name of the binding" if key == "binding" else "ID of the certificate"
            hint = f"write the {what}; a key or token that was in the file is no longer secret: replace it"
            yield _problem(Code.WRANGLER_NO_ID, message, path, (*keys, key), hint)
            return
    name = entry.get("binding")
    if not isinstance(name, str) or not name:
        message = f"each element of `{KEY}` must have a `binding`: a string that is not empty"
        yield _problem(Code.WRANGLER_BINDING_NAME, message, path, (*keys, "binding"))
    if not isinstance(entry.get("certificate_id"), str):
        message = f"each element of `{KEY}` must have a `certificate_id`: a string"
        hint = "write an empty string if the ID is not known yet"
        yield _problem(Code.WRANGLER_CERTIFICATE_ID, message, path, (*keys, "certificate_id"), hint)


def _is_secret(text: str) -> bool:
    return "PRIVATE KEY" in text or looks_secret(text)


def _problem(
    code: Code, message: str, path: str, keys: Keys, hint: str = "use the form that wrangler expects"
) -> Diagnostic:
    return Diagnostic(Severity.ERROR, code, message, Pointer(path, keys), hint)


def _script(environment: EnvironmentName, table: Mapping[str, object], values: Mapping[str, object]) -> str | None:
    """The Worker's real name: that of the environment, else `NAME-ENVIRONMENT`; a Pages project has one for all."""
    name = _text(values.get("name"))
    if environment is None or "pages_build_output_dir" in values:
        return name
    return _text(table.get("name")) or (f"{name}-{environment}" if name else None)


def _text(value: object) -> str | None:
    """The value if it is a string that is not empty, else None."""
    return value if isinstance(value, str) and value else None


# --- names that are taken -------------------------------------------------------------------------------------------

# Tolerant, because these names are only used to prevent duplicates. The shapes are those of wrangler 4.164: most kinds
# are a table or an array of tables with `binding`; the others are listed here.
_NAMES_ARE_KEYS = frozenset({"vars", "wasm_modules", "text_blobs", "data_blobs"})
_NAMED_BY_NAME = frozenset({"send_email", "ratelimits", "durable_objects", "unsafe", "logfwdr"})
_LISTS_INSIDE = ("bindings", "producers")
_NO_BINDINGS = frozenset({KEY, "env", "previews"})
_INHERITED = ("assets",)
"""The only kind with a binding that an environment inherits if it has none."""


def taken_names(table: Mapping[str, object], top_level: Mapping[str, object]) -> dict[str, str]:
    """Each name that is in use, with the key that uses it; the first key if several do."""
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
