"""Reads the upload form of a Worker, as `wrangler deploy --dry-run --outfile FILE` writes it.

It contains the complete result of the user's sources, settings and environments, so none of these are read again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from enum import StrEnum
from posixpath import normpath

from reconciler.findings.codes import Code
from reconciler.findings.errors import ReconcilerError
from reconciler.findings.values import dataclass


class ModuleKind(StrEnum):
    """The type of a module, in the words of workerd's configuration."""

    ES = "esModule"
    COMMON_JS = "commonJsModule"
    TEXT = "text"
    DATA = "data"
    WASM = "wasm"
    JSON = "json"


_KINDS: Mapping[str, ModuleKind] = {
    "application/javascript+module": ModuleKind.ES,
    "application/javascript": ModuleKind.COMMON_JS,
    "text/plain": ModuleKind.TEXT,
    "application/octet-stream": ModuleKind.DATA,
    "application/wasm": ModuleKind.WASM,
    "application/json": ModuleKind.JSON,
}
_SOURCE_MAP = "application/source-map"


@dataclass(frozen=True, slots=True)
class Module:
    """A module, with the name under which others import it."""

    name: str
    kind: ModuleKind
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class BuiltBinding:
    """A binding as it would be uploaded. `kind` is Cloudflare's term; only a variable has a `value`."""

    name: str
    kind: str
    value: object = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class BuiltWorker:
    """A Worker as wrangler would upload it, the main module first. `compatibility_date` is "" if it has none.

    `script` is true for the old format, one script without modules.
    """

    modules: tuple[Module, ...]
    bindings: tuple[BuiltBinding, ...] = ()
    compatibility_date: str = ""
    compatibility_flags: tuple[str, ...] = ()
    script: bool = False


class FormError(ReconcilerError):
    """wrangler built something that can't be run here."""

    code = Code.DEV_BUNDLE


def read_form(form: bytes) -> BuiltWorker:
    """The Worker in a form; FormError if it has none, or one of a type that can't be run here."""
    parts = dict(_parts(form))
    metadata = _metadata(parts.pop("metadata", None))
    main = metadata.get("main_module") or metadata.get("body_part")
    if not isinstance(main, str) or main not in parts:
        raise _unreadable("it names no main module")
    ordered = {main: parts.pop(main), **parts}
    modules = tuple(
        Module(normpath(name), _kind(name, part.content_type), part.body)
        for name, part in ordered.items()
        if part.content_type != _SOURCE_MAP
    )
    flags = metadata.get("compatibility_flags")
    return BuiltWorker(
        modules=modules,
        bindings=tuple(_bindings(metadata.get("bindings"))),
        compatibility_date=str(metadata.get("compatibility_date") or ""),
        compatibility_flags=tuple(map(str, flags)) if isinstance(flags, list) else (),
        script="main_module" not in metadata,
    )


def read_certificate_ids(form: bytes) -> dict[str, str]:
    """The certificate id of each mTLS binding in a form, by name; FormError if the form can't be read."""
    bindings = _metadata(dict(_parts(form)).get("metadata")).get("bindings")
    found = (entry for entry in (bindings if isinstance(bindings, list) else ()) if isinstance(entry, dict))
    return {
        str(entry.get("name", "")): str(entry.get("certificate_id", ""))
        for entry in found
        if entry.get("type") == "mtls_certificate"
    }


@dataclass(frozen=True, slots=True)
class _Part:
    content_type: str
    body: bytes = field(repr=False)


def _parts(form: bytes) -> Iterator[tuple[str, _Part]]:
    """The parts of a multipart form (RFC 7578) by name. A body may contain any bytes, so only heads are decoded."""
    boundary, _, _ = form.partition(b"\r\n")
    if not boundary.startswith(b"--"):
        raise _unreadable("it does not begin with a boundary")
    for chunk in (b"\r\n" + form).split(b"\r\n" + boundary)[1:]:
        if chunk.startswith(b"--"):
            return
        head, found, body = chunk.partition(b"\r\n\r\n")
        headers = head.decode("utf-8", "replace")
        name = re.search(r'; name="([^"\r\n]*)"', headers)
        if not found or name is None:
            raise _unreadable("a part of it has no name")
        kind = re.search(r"(?im)^content-type: *([^\r\n;]+)", headers)
        yield name[1], _Part(kind[1].strip() if kind else "", body)
    raise _unreadable("it is incomplete")


def _metadata(part: _Part | None) -> dict[str, object]:
    try:
        value = json.loads(part.body) if part else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise _unreadable("it has no metadata")
    return value


def _kind(name: str, content_type: str) -> ModuleKind:
    kind = _KINDS.get(content_type)
    if kind is None:
        raise FormError(
            f"the module {name!r} has the type {content_type or 'unknown'}, which can't be run here",
            hint="use JavaScript or TypeScript, with modules of WebAssembly, text or data",
        )
    return kind


def _bindings(value: object) -> Iterator[BuiltBinding]:
    for entry in value if isinstance(value, list) else ():
        if isinstance(entry, dict):
            kind = str(entry.get("type", ""))
            yield BuiltBinding(str(entry.get("name", "")), kind, entry.get("text", entry.get("json")))


def _unreadable(reason: str) -> FormError:
    hint = "update wrangler in this project; the output of wrangler 4 can be read"
    return FormError(f"the Worker that wrangler built can't be read: {reason}", hint=hint)
