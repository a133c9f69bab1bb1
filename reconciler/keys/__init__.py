"""The sources of private keys. A new source is one new file and one line in `SOURCES`.

Each source has a name, a model for its table in mtls.toml, and an opener. A source opens a key only on request, never
shows it, and does not judge it: `x509/key_pairs.py` does that.
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
"""The sources as the parser of mtls.toml and its schema know them."""


def open_sources(context: KeyContext) -> Mapping[str, KeySource]:
    """Every source by its name, ready to open keys."""
    return {source.kind.name: source.open(context) for source in SOURCES}
