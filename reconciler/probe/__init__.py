"""Proves a pair at an origin from this machine: real connections, watched while they are made.

Asks the URL that it is given and nothing else: a GET, no redirect, no proxy, short timeouts, no session kept. The
private key is handed to the TLS library and to nobody else. What is seen is not judged here.
"""

from __future__ import annotations

from reconciler.probe.prober import OriginProber

__all__ = ["OriginProber"]
