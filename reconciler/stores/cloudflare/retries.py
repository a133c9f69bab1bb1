"""Making a call again after an answer that never came: what may be repeated is, with longer and longer pauses."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from reconciler.model.errors import EntryNotFound
from reconciler.stores.cloudflare.client import Call, Client
from reconciler.stores.cloudflare.errors import NoAnswer, Operation
from reconciler.stores.cloudflare.wire import Envelope

ATTEMPTS = 5
_FIRST_PAUSE_S = 0.5


def send_patiently(client: Client, call: Call, random: Callable[[], float]) -> Envelope:
    """The envelope of a success; what `Client.send` raises where no attempt had one.

    An upload is made again only where it certainly did not reach the server. A delete of what is gone is a success
    after one whose answer was lost, for that one may have done it. `random` gives numbers from 0 to 1.
    """
    unsure = False
    for attempt in count(1):
        try:
            return client.send(call)
        except EntryNotFound:
            if unsure and call.operation is Operation.DELETE:
                return Envelope(success=True)
            raise
        except NoAnswer as error:
            repeatable = not error.sent or call.operation is not Operation.UPLOAD
            if error.lasting or not repeatable or attempt == ATTEMPTS:
                raise
            unsure = unsure or error.sent
            why = f"{error.message}; then once more"
        client.wait(backoff_s(attempt, random()), why)
    raise AssertionError  # count() does not end


def backoff_s(attempt: int, random: float) -> float:
    """Half a second after the first attempt, twice as long after each further one, and up to half of it more or less.

    The jitter keeps jobs apart that failed at the same moment.
    """
    return _FIRST_PAUSE_S * 2.0 ** (attempt - 1) * (0.5 + random)
