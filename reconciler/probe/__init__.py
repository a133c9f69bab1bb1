"""Tests a certificate and key at an origin from this machine, over real connections that are observed.

It requests the given URL and nothing else: a GET, no redirect, no proxy, short timeouts, no kept session. The private
key is passed only to the TLS library. The result is not judged here.
"""

from __future__ import annotations

from reconciler.probe.prober import OriginProber

__all__ = ["OriginProber"]
