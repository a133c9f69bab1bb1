"""What is there: the store's entries, and what wrangler files say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.model.words import EntryId, EnvironmentName
from reconciler.x509.certificates import MALFORMED, Bundle, parse_stored
from reconciler.x509.chains import Window, window_of


@dataclass(frozen=True, slots=True)
class Entry:
    """What the store holds under one id. Only `id` is sure to be there; times are aware UTC."""

    id: EntryId
    name: str = ""
    ca: bool = False
    certificates: str = field(default="", repr=False)
    type: str = "custom"
    issuer: str = ""
    serial_number: str = ""
    signature: str = ""
    expires_on: datetime | None = None
    uploaded_on: datetime | None = None

    @property
    def bundle(self) -> Bundle | None:
        """The certificates, or None where the store gave text that is none. The same PEM is parsed once a run."""
        return parse_stored(self.certificates)

    def window(self, now: datetime) -> Window:
        """When it is valid, by the path that is best `now`; unreadable certificates: only the end that is listed."""
        bundle = self.bundle
        try:
            return Window(None, self.expires_on) if bundle is None else window_of(bundle, now=now, ca=self.ca)
        except MALFORMED:
            return Window(None, self.expires_on)


@dataclass(frozen=True, slots=True)
class Listing:
    """Every entry of the account. Not `stable`: the list moved while it was read, so nothing may be retired by it."""

    entries: tuple[Entry, ...]
    stable: bool = True


@dataclass(frozen=True, slots=True)
class FoundBinding:
    """One entry of `mtls_certificates` in a wrangler file; `index` counts from 0 inside its environment."""

    binding: str
    certificate_id: str
    index: int
    remote: bool = False


@dataclass(frozen=True, slots=True)
class WranglerEnvironment:
    """What one environment of a wrangler file says. `taken` maps the names of its other bindings to their kind.

    `script`: the real name of its Worker, None where the file gives none.
    """

    name: EnvironmentName
    bindings: tuple[FoundBinding, ...] = ()
    taken: Mapping[str, str] = field(default_factory=dict)
    account_id: str | None = None
    script: str | None = None

    def find(self, binding: str) -> FoundBinding | None:
        """The binding of this name, if it is there."""
        return next((found for found in self.bindings if found.binding == binding), None)


@dataclass(frozen=True, slots=True)
class Built:
    """What a build tool made of a wrangler file, and wrangler deploys instead: its path, bindings by id, and the real
    name of its Worker. It was made for one environment and has none itself."""

    path: str
    bindings: frozenset[tuple[str, str]]
    script: str | None = None


@dataclass(frozen=True, slots=True)
class WranglerFile:
    """A wrangler file, read. `path` is as `Pointer.path`; `worker_name` is the top level's `name`.

    `previews` are the bindings of Worker Previews, which are read and never written. `pages`: a Pages project.
    `built`: what a redirect leads wrangler to.
    """

    path: str
    environments: Mapping[EnvironmentName, WranglerEnvironment]
    worker_name: str | None = None
    previews: tuple[FoundBinding, ...] | None = None
    pages: bool = False
    built: Built | None = None


@dataclass(frozen=True, slots=True)
class Sweep:
    """Which files name an id, from one look through the tree; `unread` could not be looked at."""

    mentions: Mapping[EntryId, tuple[str, ...]] = field(default_factory=dict)
    unread: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether everything was looked at."""
        return not self.unread
