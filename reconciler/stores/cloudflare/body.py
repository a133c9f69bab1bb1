"""The body of a reply, unpacked while it arrives. Does not know what it means."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import httpx

from reconciler.stores.cloudflare.access import BASE_URL
from reconciler.stores.cloudflare.errors import UnusableReply

ENCODING = "gzip"
"""The only one that is asked for, and taken: httpx would unpack each piece whole, up to a thousand times its size."""

_PIECE = 1 << 16
_GZIP = 16 + zlib.MAX_WBITS
CHECK_BETWEEN = f"check what is between this machine and Cloudflare; see {BASE_URL} and the proxy variables"


def unpacked(response: httpx.Response) -> Iterator[bytes]:
    """The body in pieces of at most 64 kB, whatever they were packed into.

    UnusableReply for another encoding than was asked for. Raises what httpx raises, DecodingError for half a gzip.
    """
    stream, encoding = response.stream, response.headers.get("content-encoding", "").strip().lower()
    assert isinstance(stream, httpx.SyncByteStream)  # noqa: S101 - nothing here is asynchronous
    if encoding in ("", "identity"):
        yield from stream
    elif encoding in (ENCODING, f"x-{ENCODING}"):
        yield from _unzipped(stream)
    else:
        message = "Cloudflare's reply is compressed in a way that mtlsctl did not ask for"
        raise UnusableReply(message, hint=CHECK_BETWEEN, lasting=True)


def _unzipped(stream: httpx.SyncByteStream) -> Iterator[bytes]:
    inflate, is_empty = zlib.decompressobj(_GZIP), True
    try:
        for packed in stream:
            left = packed
            while left:
                is_empty = False
                yield inflate.decompress(left, _PIECE)
                left = inflate.unconsumed_tail
        yield inflate.flush()
    except zlib.error as error:
        raise httpx.DecodingError("not gzip") from error
    if not inflate.eof and not is_empty:
        raise httpx.DecodingError("half a gzip")
