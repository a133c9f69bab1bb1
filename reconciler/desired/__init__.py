"""Parses mtls.toml: from bytes to a `Declaration`, or to every problem of the file with its place.

Pure: opens no file, no key and no store, and does not read the files that mtls.toml names. Knows the key sources only
by the shapes that are passed in.
"""

from __future__ import annotations

from reconciler.desired.parse import parse_declaration

__all__ = ["parse_declaration"]
