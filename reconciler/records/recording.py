"""`mtlsctl.recording/1`: everything that a plan was made from, without private keys, to make the same plan again.

Written of the values that the plan was made from, never of the files: of mtls.toml what it means, of wrangler files the
bindings and the names of what else is bound, of certificates the certificates. What looks like a secret is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import tzinfo
from functools import partial
from typing import Annotated, Literal, get_args

from pydantic import PlainSerializer, PlainValidator, ValidationError, WithJsonSchema

from reconciler.desired.freezes import load_zone
from reconciler.findings.codes import Code, Severity, find_code
from reconciler.findings.diagnostics import Diagnostic, Place, Pointer
from reconciler.findings.errors import InputError, ReconcilerError
from reconciler.findings.escape import printable
from reconciler.findings.secrets import HIDDEN, looks_secret
from reconciler.model import Actual, BrokenFile, Entry
from reconciler.model.found import has_needle, needle_of
from reconciler.model.freezes import Once
from reconciler.plan.inputs import PlanInputs, Recording
from reconciler.records.base import JsonPart, to_json
from reconciler.records.values import Form, Json, Values
from reconciler.version import __version__
from reconciler.x509.certificates import Bundle, parse_stored
from reconciler.x509.files import MAX_CHAIN_BYTES

MAX_BYTES = 20_000_000
"""The maximum size of a recording: one of a thousand certificates, all of them uploaded, has half of it."""

MAX_COMMAS = 1_000_000
"""The approximate maximum number of values: a recording of a thousand certificates has a tenth of it."""

_LONGEST_SHOWN = 200
_IDS = re.compile(rb"[\x20-\x5b\x5d-\x7e]*")


def _hidden(text: str) -> str:
    return HIDDEN if "PRIVATE KEY" in text or looks_secret(text) else text


def _certificates(text: str) -> str:
    """The certificates alone, whatever else a store returned; nothing of what can't be read."""
    bundle = parse_stored(text)
    if bundle is None:
        return ""
    return text if text.strip() == bundle.pem().strip() else bundle.pem()


def _write_bundle(bundle: Bundle) -> Json:
    return {"pem": bundle.pem(), "lines": list(bundle.lines)}


def _read_bundle(data: Json) -> Bundle:
    found = data if isinstance(data, dict) else {}
    pem, lines = found.get("pem"), found.get("lines", [])
    bundle = parse_stored(pem) if isinstance(pem, str) and len(pem) <= MAX_CHAIN_BYTES else None
    if bundle is None or not isinstance(lines, list) or not all(type(line) is int for line in lines):
        raise ValueError("must have certificates in PEM, and the lines where they begin")
    return Bundle(bundle.ders, tuple(lines))


def _write_ids(text: bytes) -> Json:
    if not _IDS.fullmatch(text):
        raise ValueError("of a file that can't be used, only the IDs in it are recorded")
    return text.decode()


def _read_ids(data: Json) -> bytes:
    if not isinstance(data, str) or not data.isascii():
        raise ValueError("must be the IDs in a file")
    return data.encode()


def _read_code(data: Json) -> Code:
    code = find_code(data) if isinstance(data, str) else None
    if code is None:
        raise ValueError("must be the code of a finding that this version knows")
    return code


def _read_zone(data: Json) -> tzinfo:
    if not isinstance(data, str):
        raise ValueError("must be the name of a time zone")  # noqa: TRY004 - a value of the file, not a type of ours
    return load_zone(data)


def _without_secrets(data: Json) -> Json:
    """A value of another API's JSON, in which no text has a secret."""
    match data:
        case str():
            return _hidden(data)
        case Mapping():
            return {key: _without_secrets(value) for key, value in data.items()}
        case list():
            return [_without_secrets(value) for value in data]
        case _:
            return data


_BUNDLE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["pem"],
    "properties": {"pem": {"type": "string"}, "lines": {"type": "array", "items": {"type": "integer"}}},
}
VALUES = Values(
    forms={
        Bundle: Form(_write_bundle, _read_bundle, _BUNDLE),
        bytes: Form(_write_ids, _read_ids, {"type": "string"}),
        Code: Form(str, _read_code, {"type": "string"}),
        tzinfo: Form(str, _read_zone, {"type": "string"}),
        object: Form(_without_secrets, lambda data: data, {}),
    },
    hide=_hidden,
    texts={(Entry, "certificates"): _certificates},
    local=frozenset({Once}),
)
_PLACES = Mapping[Pointer, Place]


class RecordingDocument(JsonPart):
    """Everything that a plan was made from. `version`: the one of mtlsctl that recorded it. `pseudonyms`: every name
    was replaced. `places`: pairs of where a finding of that plan pointed to, and the file, line and column of that.
    """

    format: Literal["mtlsctl.recording/1"] = "mtlsctl.recording/1"
    version: str
    pseudonyms: bool
    inputs: Annotated[
        PlanInputs,
        PlainValidator(partial(VALUES.read, PlanInputs, where="inputs")),
        PlainSerializer(partial(VALUES.write, PlanInputs)),
        WithJsonSchema(VALUES.schema(PlanInputs)),
    ]
    places: Annotated[
        Mapping[Pointer, Place],
        PlainValidator(lambda data: VALUES.read(_PLACES, data, "places")),
        PlainSerializer(lambda places: VALUES.write(_PLACES, places)),
        WithJsonSchema(VALUES.schema(_PLACES)),
    ]


_FORMAT = get_args(RecordingDocument.model_fields["format"].annotation)[0]


def recording_text(recording: Recording) -> str:
    """The text of a recording. ReconcilerError if it is larger than one that can be read back."""
    text = to_json(
        RecordingDocument.model_construct(
            version=recording.version,
            pseudonyms=recording.pseudonyms,
            inputs=without_texts(recording.inputs),
            places=recording.places,
        )
    )
    if len(text) > MAX_BYTES or text.count(",") > MAX_COMMAS:
        raise ReconcilerError(
            f"the recording would have {len(text):,} bytes, more than `mtlsctl replay` reads ({MAX_BYTES:,})",
            hint="the plan itself is not affected; leave `--record-inputs` out",
            code=Code.RECORDING_FILE,
        )
    return text


def without_texts(inputs: PlanInputs) -> PlanInputs:
    """The same inputs; of wrangler files that can't be used only which uploaded certificates they name."""
    actual = inputs.actual
    broken = {label: replace(file, text=_ids_in(file, actual)) for label, file in actual.broken.items()}
    return replace(inputs, actual=replace(actual, broken=broken))


def _ids_in(file: BrokenFile, actual: Actual) -> bytes | None:
    if file.text is None:
        return None
    entries = actual.listing.entries if actual.listing is not None else ()
    needles = (needle_of(entry.id) for entry in entries)
    return b" ".join(needle for needle in needles if has_needle(file.text, needle))


def read_recording(data: bytes, path: str) -> Recording:
    """A recording. InputError if the file is not one, or not one that this version can read."""
    if data.count(b",") > MAX_COMMAS:
        raise no_recording(path, "it has more values than a recording can have")
    try:
        document = RecordingDocument.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        message = str(first["msg"]).removeprefix("Value error, ")
        where = ".".join(str(part) for part in first["loc"])[:_LONGEST_SHOWN] or "the document"
        why = message if message.startswith(where) else f"{where}: {message}"
        raise no_recording(path, why[:_LONGEST_SHOWN], _version_of(data)) from None
    return Recording(document.inputs, document.places, document.pseudonyms, document.version)


_VERSION = re.compile(
    rb'\s*\{\s*"format"\s*:\s*"mtlsctl\.recording/[0-9]+",\s*"version"\s*:\s*"([0-9A-Za-z.+-]{1,40})"'
)


def _version_of(data: bytes) -> str | None:
    found = _VERSION.match(data)
    return found[1].decode() if found is not None else None


def no_recording(path: str, why: str, version: str | None = None) -> InputError:
    """The error for a file that can't be replayed. `version`: the one that recorded it, if it says so."""
    message = f"{path} is not a recording that this version can read: {printable(why)}"
    hint = f"use a file written by `mtlsctl plan --record-inputs FILE`, format {_FORMAT}"
    if version not in (None, __version__):
        hint = f"it was recorded by mtlsctl {version}, and this is {__version__}: replay it with that version"
    return InputError([Diagnostic(Severity.ERROR, Code.RECORDING_FILE, message, Place(path), hint)])
