"""The judges' own reading of files and certificates. Shares nothing with the tool: not one import."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Any

from cryptography import x509

from tests.simulation.pool import CAS, FOREIGN, LEAVES, Period, content, periods
from tests.simulation.spec import ZONE

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----\s+(.*?)-----END CERTIFICATE-----", re.DOTALL)
_ID = re.compile(rb'("?certificate_id"?\s*[=:]\s*")[^"]*(")')
_MARK = re.compile(r"([a-z0-9-]+)\.([a-z0-9-]+)\.([0-9a-f]{12})")
_HOURS = {"d": 24, "h": 1}
KEY = "mtls_certificates"


@cache
def ders(pem: str) -> tuple[bytes, ...]:
    """The certificates of a text, in its order; nothing where it is none."""
    return tuple(base64.b64decode("".join(block.split())) for block in _BLOCK.findall(pem))


@cache
def digest(pem: str) -> str:
    """The content digest; "" for what is no certificate."""
    found = ders(pem)
    try:
        for der in found:
            x509.load_der_x509_certificate(der)
    except ValueError:
        return ""
    return hashlib.sha256(b"".join(sorted(set(found)))).hexdigest() if found else ""


@cache
def numbers() -> Mapping[str, int]:
    """The contents of the pool by their digests."""
    return {digest(content(number).pem): number for number in (*LEAVES, *CAS, *FOREIGN)}


@cache
def periods_of(pem: str) -> tuple[Period, ...]:
    """When a certificate is valid, as the pool knows; nothing where it is not of the pool."""
    number = numbers().get(digest(pem))
    return () if number is None else periods(number)


def begins(pem: str) -> datetime:
    """When the first path of a certificate of the pool begins."""
    return min(period.begins for period in periods_of(pem))


def is_valid(pem: str, at: datetime) -> bool:
    """Whether some path of a certificate is valid at a time."""
    return any(period.begins <= at <= period.ends for period in periods_of(pem))


def has_ended(pem: str, at: datetime) -> bool:
    """Whether no path of it will be valid again."""
    return bool(periods_of(pem)) and all(period.ends < at for period in periods_of(pem))


def mark(name: str, type_: str, pem: str) -> tuple[str, str] | None:
    """Stack and certificate of a name that is a mark of this content."""
    found = _MARK.fullmatch(name)
    if found is None or type_ != "custom" or not digest(pem).startswith(found[3]) or not digest(pem):
        return None
    return found[1], found[2]


# --- wrangler files -------------------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def values(path: str, data: bytes) -> dict[str, Any]:
    """A wrangler file; ValueError where it does not parse. Not to be changed."""
    text = data.decode()
    if path.endswith(".jsonc"):
        lines = (line for line in text.splitlines() if not line.lstrip().startswith("//"))
        found = json.loads(re.sub(r",(\s*[}\]])", r"\1", "\n".join(lines)))
    else:
        found = tomllib.loads(text)
    assert isinstance(found, dict)
    return found


def parses(path: str, data: bytes) -> bool:
    """Whether it does."""
    try:
        values(path, data)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=512)
def bound(path: str, data: bytes) -> dict[tuple[str, str], str]:
    """(environment, binding) to id; the top level is "". Not to be changed."""
    found = values(path, data)
    tables = {"": found, **found.get("env", {})}
    return {
        (name, entry["binding"]): entry["certificate_id"]
        for name, table in tables.items()
        for entry in table.get(KEY, ())
    }


def deployed(path: str, data: bytes) -> dict[str, dict[str, str]]:
    """The Workers that a file makes, by their names, with their bindings."""
    found = values(path, data)
    names = {"": found["name"], **{name: f"{found['name']}-{name}" for name in found.get("env", {})}}
    workers: dict[str, dict[str, str]] = {worker: {} for worker in names.values()}
    for (environment, binding), entry in bound(path, data).items():
        workers[names[environment]][binding] = entry
    return workers


def has_environment(path: str, data: bytes, name: str) -> bool:
    """Whether the file has it."""
    return not name or name in values(path, data).get("env", {})


@lru_cache(maxsize=512)
def foreign_values(path: str, data: bytes) -> str:
    """Everything but the certificates, in one text, order included."""
    found = dict(values(path, data))
    found.pop(KEY, None)
    if "env" in found:
        found["env"] = {
            name: {key: value for key, value in table.items() if key != KEY} for name, table in found["env"].items()
        }
    return json.dumps(found)


@lru_cache(maxsize=512)
def foreign_lines(data: bytes) -> tuple[bytes, ...]:
    """The lines with something of the users' in them, in order."""
    return tuple(line for line in data.splitlines() if b"foreign" in line or b"hand" in line)


def masked(data: bytes) -> bytes:
    """The bytes with every id taken out."""
    return _ID.sub(rb"\1\2", data)


# --- mtls.toml ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Binding:
    """One declared binding. `target` is a certificate's name, or `id:` and an id."""

    path: str
    environment: str
    name: str
    target: str
    exclusive: bool


@dataclass(frozen=True)
class Declared:
    """What mtls.toml says, as the judges read it."""

    stack: str
    former: tuple[str, ...]
    grace: timedelta
    prune: bool
    max_deletes: int
    rollback: int
    protect: tuple[str, ...]
    certificates: dict[str, dict[str, Any]]
    bindings: tuple[Binding, ...]
    hyperdrive: str | None = None
    """The certificate that `[hyperdrive.db]` declares."""
    hostnames: dict[str, list[str]] = field(default_factory=dict)
    """The hostnames of the zone that are to trust each CA."""
    tables: frozenset[tuple[str, str]] = field(default_factory=frozenset)
    """(path, environment) of every declared table, empty ones too."""

    @property
    def paths(self) -> frozenset[str]:
        """The wrangler files."""
        return frozenset(path for path, _ in self.tables)

    def grace_of(self, name: str) -> timedelta:
        """A certificate's own, else the policy's."""
        own = self.certificates.get(name, {}).get("grace")
        return _duration(own) if own else self.grace


@lru_cache(maxsize=512)
def declared(data: bytes) -> Declared:
    """mtls.toml, read."""
    found = tomllib.loads(data.decode())
    bindings: list[Binding] = []
    tables: set[tuple[str, str]] = set()
    for worker in found.get("workers", {}).values():
        path, exclusive = worker["config"], worker["exclusive"]
        named = {"": worker} if "bindings" in worker else {}
        for environment, table in {**named, **worker.get("env", {})}.items():
            tables.add((path, environment))
            for name, target in table["bindings"].items():
                text = target if isinstance(target, str) else f"id:{target['id']}"
                bindings.append(Binding(path, environment, name, text, exclusive))
    return Declared(
        stack=found["stack"],
        former=tuple(found["former_stacks"]),
        grace=_duration(found["policy"]["grace"]),
        prune=found["policy"]["prune"],
        max_deletes=found["policy"]["max_deletes"],
        rollback=found["policy"]["rollback_versions"],
        protect=tuple(found["policy"].get("protect", ())),
        certificates=found.get("certificates", {}),
        bindings=tuple(bindings),
        hyperdrive=found.get("hyperdrive", {}).get("db", {}).get("certificate"),
        hostnames=found.get("hostnames", {}).get(ZONE, {}),
        tables=frozenset(tables),
    )


def _duration(text: str) -> timedelta:
    return timedelta(hours=int(text[:-1]) * _HOURS[text[-1]])
