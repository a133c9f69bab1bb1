"""Where private keys come from. A new source is one new file and one line in `SOURCES`.

Each source has a name, a shape in mtls.toml and an opener. A source opens a key only when asked for it, never shows
it, and does not judge it: `x509/key_pairs.py` does.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.keys import env, file
from reconciler.keys.registration import Registration
from reconciler.model.keys import KeyContext, KeySourceKind
from reconciler.model.ports import KeySource

SOURCES: tuple[Registration, ...] = (
    file.SOURCE,
    env.SOURCE,
)

KINDS: tuple[KeySourceKind, ...] = tuple(source.kind for source in SOURCES)
"""What the parser of mtls.toml and its schema know of the sources."""


def open_sources(context: KeyContext) -> Mapping[str, KeySource]:
    """Every source by its name, ready to be asked for keys."""
    return {source.kind.name: source.open(context) for source in SOURCES}
