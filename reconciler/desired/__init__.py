"""mtls.toml: what somebody wants, from bytes to a `Declaration` or to every problem of the file with its place.

Pure: opens no file, no key and no store; what the file names is not looked at. Knows the key sources only by the
shapes that it is handed.
"""

from __future__ import annotations

from reconciler.desired.parse import parse_declaration

__all__ = ["parse_declaration"]
