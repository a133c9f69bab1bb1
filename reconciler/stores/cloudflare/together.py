"""Several calls side by side, as many as there are connections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from reconciler.stores.cloudflare.client import Client

_A = TypeVar("_A")
_R = TypeVar("_R")


def side_by_side(client: Client, function: Callable[[_A], _R], items: Sequence[_A]) -> list[_R]:
    """`function` of each item, in order; the first error of any. An interrupt closes the client and ends the waits."""
    at_once = min(len(items), client.at_once)
    if at_once < 2:
        return [function(item) for item in items]
    threads = ThreadPoolExecutor(max_workers=at_once)
    try:
        return list(threads.map(function, items))
    except KeyboardInterrupt:
        client.close()  # else whoever waits for the rate limit would be waited for
        raise
    finally:
        threads.shutdown(cancel_futures=True)
