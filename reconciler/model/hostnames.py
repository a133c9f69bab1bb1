"""Hostnames of zones: the CAs that each trusts for client certificates, as declared and as found."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import field

from reconciler.findings.values import dataclass
from reconciler.model.words import CertificateName, EntryId

_WHOLE_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ZONE_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class HostnamesAddress:
    """The hostnames of one zone that trust one declared CA. `zone_id`: its ID; as declared if it was not found."""

    zone: str
    zone_id: str
    ca: CertificateName

    @property
    def text(self) -> str:
        """What it is, for a sentence."""
        return f"the hostnames of the zone {self.zone} that trust {self.ca}"

    @property
    def holder_text(self) -> str:
        """What one call changes, for a sentence."""
        return self.text

    @property
    def label(self) -> str:
        """The zone, as in mtls.toml."""
        return self.zone

    @property
    def kind(self) -> str:
        """What it is a part of, in one word."""
        return "zone"

    @property
    def part(self) -> str:
        """Which part it is, in one phrase."""
        return self.ca

    @property
    def short(self) -> str:
        """`hostnames of example.com (partner-ca)`, for a line of a report."""
        return f"hostnames of {self.zone} ({self.ca})"

    @property
    def holder(self) -> tuple[str, str, str]:
        """What one call changes."""
        return "hostnames", self.zone_id, self.ca

    @property
    def place(self) -> tuple[str, str, str]:
        """What one change is about; no other has it."""
        return self.holder

    @property
    def order(self) -> tuple[str, str, str]:
        """The sort key."""
        return f"hostnames {self.zone}", self.zone_id, self.ca


@dataclass(frozen=True, slots=True)
class DeclaredZone:
    """One `[hostnames."ZONE"]`: by CA the hostnames that are to trust it. `zone`: its ID or name."""

    zone: str
    cas: Mapping[CertificateName, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone of the account."""

    id: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class CaList:
    """The hostnames of a zone that trust one CA. ValueError without the whole ID of an uploaded certificate.

    Cloudflare takes an empty ID for the CA that it manages itself. So there is no such list, and no call for one.
    """

    zone: str
    ca: EntryId
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _WHOLE_ID.fullmatch(self.ca) or not self.zone:
            raise ValueError(f"{self.ca!r} is not the whole ID of a CA, or {self.zone!r} is not a zone")

    def lacking(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of these names that are not in it, in their order."""
        return lacking(self.names, names)

    def is_same(self, names: Iterable[str]) -> bool:
        """Whether it has exactly these names, in any order."""
        return _folded(self.names) == _folded(names)


@dataclass(frozen=True, slots=True)
class FoundZone:
    """What was found for a declared zone. `ids`: the zones with this ID or name. `lists`: of each CA of the account.

    `unread`: why that could not be read, and what to do about it.
    """

    declared: str
    ids: tuple[str, ...] = ()
    lists: tuple[CaList, ...] = ()
    unread: tuple[str, str | None] | None = None

    def of(self, ca: EntryId | None) -> tuple[str, ...]:
        """The hostnames that trust a CA."""
        return next((one.names for one in self.lists if one.ca == ca), ())


def is_zone_id(text: str) -> bool:
    """Whether a text is the ID of a zone, and not its name."""
    return _ZONE_ID.fullmatch(text) is not None


def is_in_zone(name: str, zone: str) -> bool:
    """Whether a hostname can be in a zone; of one that is given by its ID, that is unknown and so possible."""
    return is_zone_id(zone) or name == zone or name.endswith(f".{zone}")


def can_be_listed(text: str) -> bool:
    """Whether a text is the whole ID of an uploaded certificate, as `CaList` needs it."""
    return _WHOLE_ID.fullmatch(text) is not None


def lacking(listed: Iterable[str], names: Iterable[str]) -> tuple[str, ...]:
    """Those of these names that are not listed, in their order."""
    known = _folded(listed)
    return tuple(name for name in names if name.lower() not in known)


def _folded(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.lower() for name in names)
