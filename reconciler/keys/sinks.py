"""The sinks of private keys: where `mtlsctl renew` puts new ones, and where `apply` finds them.

A sink shows no key, and judges none. A new one is a class here or in a file of its own, and a row in `open_sink`.
"""

from __future__ import annotations

from reconciler.findings.errors import KeySourceError
from reconciler.keys.vault import VaultKeySink
from reconciler.model.key_places import SinkOptions, VaultSink, sink_text
from reconciler.model.keys import KeyContext
from reconciler.model.renewal import KeySink


def open_sink(options: SinkOptions, certificate: str, context: KeyContext) -> KeySink:
    """The sink with the keys of this certificate; nothing is read or started yet."""
    if isinstance(options, VaultSink):
        return VaultKeySink(options, certificate, context.vault)
    raise KeySourceError(f"{sink_text(options)} can't be used for {certificate!r} by this mtlsctl")
