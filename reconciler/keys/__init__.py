"""The sources of private keys. A new source is one new file and one line in `SOURCES`.

Each source has a name, a model for its table in mtls.toml, and an opener. A source opens a key only on request, never
shows it, and does not judge it: `x509/key_pairs.py` does that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from reconciler.keys import age, aws, command, env, file, sops
from reconciler.keys.registration import Registration, SecretSource
from reconciler.model import KeyReference
from reconciler.model.keys import KeyContext, KeySourceKind
from reconciler.model.ports import KeySource, PrivateKey

SOURCES: tuple[Registration, ...] = (
    file.SOURCE,
    env.SOURCE,
    file.PKCS12,
    command.SOURCE,
    sops.SOURCE,
    age.SOURCE,
    aws.SOURCE,
)

KINDS: tuple[KeySourceKind, ...] = tuple(source.kind for source in SOURCES)
"""The sources as the parser of mtls.toml and its schema know them."""


def open_sources(context: KeyContext) -> Mapping[str, KeySource]:
    """Every source by its name, ready to open keys, and to decrypt them where mtls.toml has a passphrase."""
    plain = {source.kind.name: source.open(context) for source in SOURCES}
    return {name: _Unlocking(source, plain) for name, source in plain.items()}


def is_local(reference: KeyReference) -> bool:
    """Whether opening this key reads this machine alone, starts nothing and is fast, whatever mtls.toml has."""
    kind = next(kind for kind in KINDS if kind.name == reference.source)
    return kind.is_local and reference.passphrase is None


@dataclass(frozen=True, slots=True)
class _Unlocking:
    """A source whose keys may be encrypted; `others` has those of passphrases.

    A run opens a key twice: to check it before anything changes, and for its upload. What costs a call, or a person an
    answer, is kept in between, and no longer.
    """

    source: SecretSource
    others: Mapping[str, SecretSource]
    _kept: list[tuple[KeyReference, PrivateKey]] = field(default_factory=list, init=False, repr=False)

    def open(self, reference: KeyReference) -> PrivateKey:
        """The key, decrypted. KeySourceError as of the source, or if it can't be decrypted."""
        if is_local(reference):
            return self.source.open(reference)
        kept = next((one for one in self._kept if one[0] == reference), None)
        if kept is not None:
            self._kept.remove(kept)
            return kept[1]
        key = self._unlock(reference, self.source.open(reference))
        self._kept.append((reference, key))
        return key

    def _unlock(self, reference: KeyReference, key: PrivateKey) -> PrivateKey:
        secret = reference.passphrase
        if secret is None and reference.source != file.PKCS12.kind.name:
            return key
        from reconciler.x509.locked_keys import unlock  # a rarely needed part of the library

        passphrase = b"" if secret is None else self.others[secret.source].passphrase(secret)
        return replace(key, pem=unlock(key.pem, passphrase))
