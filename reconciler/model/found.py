"""What exists: the uploaded certificates of a store, and the bindings of wrangler files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta

from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.values import dataclass
from reconciler.model.words import EntryId, EnvironmentName
from reconciler.x509.certificates import MALFORMED, Bundle, parse_stored, serial_of, serial_text, subject_text
from reconciler.x509.chains import Window, window_of


@dataclass(frozen=True, slots=True)
class Entry:
    """One uploaded certificate. Only `id` is always set; times are aware UTC."""

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
        """The certificates, or None if the store's text can't be parsed. The same PEM is parsed once per run."""
        return parse_stored(self.certificates)

    @property
    def leaf_at(self) -> int:
        """The index in `bundle` of the certificate that a handshake presents: the first.

        A store may give a chain back in another order; its own fields then tell which one it is.
        """
        bundle = self.bundle
        if bundle is None or len(bundle.ders) == 1:
            return 0
        described = [at for at, one in enumerate(bundle.certificates) if str(serial_of(one)) == self.serial_number]
        return described[0] if len(described) == 1 else 0

    @property
    def subject(self) -> str | None:
        """The subject of the certificate that a handshake presents; None if the store's text can't be parsed."""
        return subject_text(self.bundle.certificates[self.leaf_at]) if self.bundle is not None else None

    @property
    def serial(self) -> str | None:
        """The serial number of its leaf, hexadecimal, as openssl has it; None if unknown."""
        return serial_text(self.bundle.certificates[self.leaf_at]) if self.bundle is not None else None

    def has_leaf_of(self, bundle: Bundle) -> bool:
        """Whether it presents the leaf of `bundle`: the same certificates may be uploaded with another one first."""
        return self.bundle is not None and self.bundle.ders[self.leaf_at] == bundle.ders[0]

    def window(self, now: datetime) -> Window:
        """When it is valid, by the best path at `now`. If it can't be read, only the end that the store lists."""
        bundle = self.bundle
        try:
            return Window(None, self.expires_on) if bundle is None else window_of(bundle, now=now, ca=self.ca)
        except MALFORMED:
            return Window(None, self.expires_on)


@dataclass(frozen=True, slots=True)
class Listing:
    """Every entry of the account. If not `stable`, the list changed while it was read, and nothing can be retired.

    `ahead`: how far the clock of this machine is before the server's, negative if behind; None if the server did not
    tell its time. A store on this machine has no other clock. `taken`: how many more, by whether they are CAs, other
    stacks of this run upload.
    """

    entries: tuple[Entry, ...]
    stable: bool = True
    ahead: timedelta | None = timedelta(0)
    taken: Mapping[bool, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FoundBinding:
    """One element of `mtls_certificates` in a wrangler file; `index` counts from 0 in its environment."""

    binding: str
    certificate_id: str
    index: int
    remote: bool = False


@dataclass(frozen=True, slots=True)
class WranglerEnvironment:
    """One environment of a wrangler file. `taken` maps the names of its other bindings to their kind.

    `script`: the real name of its Worker, or None if the file does not have it.
    """

    name: EnvironmentName
    bindings: tuple[FoundBinding, ...] = ()
    taken: Mapping[str, str] = field(default_factory=dict)
    account_id: str | None = None
    script: str | None = None

    def find(self, binding: str) -> FoundBinding | None:
        """The binding with this name, or None."""
        return next((found for found in self.bindings if found.binding == binding), None)


@dataclass(frozen=True, slots=True)
class Built:
    """The file that a build tool generated from a wrangler file, and that wrangler deploys instead of it.

    It has its path, pairs of binding and ID, and the real name of its Worker. It was generated for one environment and
    has no environments itself.
    """

    path: str
    bindings: frozenset[tuple[str, str]]
    script: str | None = None


@dataclass(frozen=True, slots=True)
class WranglerFile:
    """A parsed wrangler file. `path` is the same as in `Pointer.path`; `worker_name` is the top level's `name`.

    `previews` are the bindings of Worker Previews, which are never written. `pages`: it is a Pages project. `built`:
    the file that a redirect makes wrangler use.
    """

    path: str
    environments: Mapping[EnvironmentName, WranglerEnvironment]
    worker_name: str | None = None
    previews: tuple[FoundBinding, ...] | None = None
    pages: bool = False
    built: Built | None = None


@dataclass(frozen=True, slots=True)
class BrokenFile:
    """A declared wrangler file that can't be used. `problems`: the errors. `text`: its bytes in lower case; None if
    they can't be read, so that it may have any ID."""

    path: str
    problems: tuple[Diagnostic, ...]
    text: bytes | None = field(default=None, repr=False)


def needle_of(entry_id: EntryId) -> bytes:
    """An ID as it is searched for in a text in lower case."""
    return entry_id.lower().encode(errors="surrogatepass")


def has_needle(text: bytes, needle: bytes) -> bool:
    """Whether a text in lower case contains an ID, anywhere; in one with escapes, its last group is enough."""
    return needle in text or (b"\\u" in text and needle.rpartition(b"-")[2] in text)


@dataclass(frozen=True, slots=True)
class Sweep:
    """The files that contain an ID, from one search of the tree; the files in `unread` could not be read."""

    mentions: Mapping[EntryId, tuple[str, ...]] = field(default_factory=dict)
    unread: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether all files were read."""
        return not self.unread
