"""The sources of private keys. A new source is one new file and one line in `SOURCES`.

Each source has a name, a model for its table in mtls.toml, and an opener. A source opens a key only on request, never
shows it, and does not judge it: `x509/key_pairs.py` does that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace

from reconciler.findings.errors import KeySourceError
from reconciler.findings.escape import printable
from reconciler.findings.values import dataclass
from reconciler.keys import age, aws, command, env, file, sops, stdin, vault
from reconciler.keys.registration import Registration, SecretSource
from reconciler.keys.sinks import open_sink
from reconciler.model import KeyReference
from reconciler.model.key_places import RENEWED, FileSink, sink_text
from reconciler.model.keys import KeyContext, KeySourceKind
from reconciler.model.ports import KeySource, PrivateKey

SOURCES: tuple[Registration, ...] = (
    file.SOURCE,
    env.SOURCE,
    file.PKCS12,
    command.SOURCE,
    sops.SOURCE,
    vault.SOURCE,
    age.SOURCE,
    aws.SOURCE,
    stdin.SOURCE,
)

KINDS: tuple[KeySourceKind, ...] = tuple(source.kind for source in SOURCES)
"""The sources as the parser of mtls.toml and its schema know them."""

SECRET_VARIABLES = frozenset(name for source in SOURCES for name in source.secrets)
"""The variables with what the sources, and the sinks of the same kinds, log in or decrypt with."""


def open_sources(context: KeyContext) -> Mapping[str, KeySource]:
    """Every source by its name, ready to open keys, and to decrypt them where mtls.toml has a passphrase."""
    plain = {source.kind.name: source.open(context) for source in SOURCES}
    declared: dict[str, KeySource] = {name: _Unlocking(source, plain) for name, source in plain.items()}
    every = {**declared, RENEWED: _Renewed(declared, context)}
    return {name: _Keeping(source, context.unmerged) for name, source in every.items()}


def open_secret(reference: KeyReference, context: KeyContext) -> bytes:
    """A declared secret that is no key, such as the password of an issuer. KeySourceError as for a key."""
    source = next(source for source in SOURCES if source.kind.name == reference.source)
    return source.open(context).passphrase(reference)


def is_local(reference: KeyReference) -> bool:
    """Whether opening this key reads this machine alone, starts nothing and is fast, whatever mtls.toml has."""
    if reference.slots is not None:
        first = reference.slots.otherwise
        return isinstance(reference.slots.sink, FileSink) and (first is None or is_local(first))
    kind = next(kind for kind in KINDS if kind.name == reference.source)
    return kind.is_local and reference.passphrase is None


@dataclass(frozen=True, slots=True)
class _Keeping:
    """A source that is asked once for what a run opens twice: to check it before anything changes, and for its upload.

    What costs a call, or a person an answer, is kept in between, and no longer.
    """

    source: KeySource
    unmerged: str | None
    _kept: list[tuple[KeyReference, PrivateKey]] = field(default_factory=list, init=False, repr=False)

    def open(self, reference: KeyReference) -> PrivateKey:
        """The key. KeySourceError as of the source."""
        if is_local(reference):
            return self.source.open(reference)
        kept = next((one for one in self._kept if one[0] == reference), None)
        if kept is not None:
            self._kept.remove(kept)
            return kept[1]
        if self.unmerged is not None:  # the file of a stranger would say what is started and asked
            event = printable(self.unmerged)
            raise KeySourceError(
                f"for {event}, whose checkout may not be merged, no key of `{reference.source}` is read",
                hint="run it on a schedule, on a push to the main branch, or by hand",
            )
        key = self.source.open(reference)
        self._kept.append((reference, key))
        return key


@dataclass(frozen=True, slots=True)
class _Unlocking:
    """A source whose keys may be encrypted; `others` has those of passphrases."""

    source: SecretSource
    others: Mapping[str, SecretSource]

    def open(self, reference: KeyReference) -> PrivateKey:
        """The key, decrypted. KeySourceError as of the source, or if it can't be decrypted."""
        return self._unlock(reference, self.source.open(reference))

    def _unlock(self, reference: KeyReference, key: PrivateKey) -> PrivateKey:
        secret = reference.passphrase
        if secret is None and reference.source != file.PKCS12.kind.name:
            return key
        from reconciler.x509.locked_keys import unlock  # a rarely needed part of the library

        passphrase = b"" if secret is None else self.others[secret.source].passphrase(secret)
        return replace(key, pem=unlock(key.pem, passphrase))


@dataclass(frozen=True, slots=True)
class _Renewed:
    """The keys of certificates that renew themselves; `declared` has the sources of those of before."""

    declared: Mapping[str, KeySource]
    context: KeyContext

    def open(self, reference: KeyReference) -> PrivateKey:
        """The key in the slot that the certificate file selects, else that of `private_key`; KeySourceError if none."""
        slots = reference.slots
        if slots is None:
            raise ValueError(reference)
        for owner in slots.owners:
            sink = open_sink(slots.sink, owner, self.context)
            fitting = sorted(slot for slot in sink.slots() if slot.key == slots.key)
            if fitting:
                return PrivateKey(sink.read(fitting[-1]))
        if slots.otherwise is not None:
            return self.declared[slots.otherwise.source].open(slots.otherwise)
        raise KeySourceError(
            f"{sink_text(slots.sink)} has no key that belongs to the certificate file of {slots.certificate!r}",
            hint=f"run `mtlsctl renew {slots.certificate}`, or say with `private_key` where its key is",
        )
