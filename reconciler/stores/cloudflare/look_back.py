"""The look at the list after a run's uploads. Nothing that it finds is a failure: all was done as the replies say.

Only uploads are looked for. An entry that was deleted was read by its id just before, and Cloudflare's reply said that
it is gone; that a list which lags shows it still would tell nobody anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.model import Entry, EntryId, Listing
from reconciler.model.errors import StoreError

_MOST_ASKED = 3
"""So many that the list lacks are asked for by id. Where there are more, the list lags; that is its habit."""


def compare(
    uploaded: Sequence[Entry], listing: Listing, get: Callable[[EntryId], Entry | None]
) -> Iterator[Diagnostic]:
    """What the list shows otherwise than the replies to uploads said. `get` asks for one by id."""
    listed = {entry.id: entry for entry in listing.entries}
    alike: dict[str, list[EntryId]] = defaultdict(list)
    for entry in listing.entries:
        if entry.bundle is not None:
            alike[entry.bundle.digest].append(entry.id)
    for entry in uploaded:
        there = listed.get(entry.id)
        if there is not None and _facts(there) != _facts(entry):
            yield _differs(entry)
        others = [one for one in alike[entry.bundle.digest if entry.bundle else ""] if one != entry.id]
        if others:
            yield _twice(entry, others)
    yield from _missing([entry for entry in uploaded if entry.id not in listed], get)


def unlisted(error: StoreError) -> Diagnostic:
    """The list could not be read."""
    message = f"what was uploaded was not looked for in the list afterwards: {error.message}"
    return _warning(Code.UPLOADS_UNSEEN, message, "run `mtlsctl plan`, which reads the list")


def _missing(entries: Sequence[Entry], get: Callable[[EntryId], Entry | None]) -> Iterator[Diagnostic]:
    lagging = len(entries)
    for entry in entries[:_MOST_ASKED]:
        try:
            gone = get(entry.id) is None
        except StoreError:
            gone = False  # it lags, as far as anybody knows
        if gone:
            lagging -= 1
            message = f"{entry.id} ({entry.name!r}), which this run uploaded, is not there any more"
            yield _warning(
                Code.UPLOAD_GONE, message, "somebody deleted it; run `mtlsctl apply` again to upload it again"
            )
    if lagging:
        what = "one entry" if lagging == 1 else f"{lagging} entries"
        message = f"{what} that this run uploaded {'is' if lagging == 1 else 'are'} not in Cloudflare's list yet"
        hint = "none needed: Cloudflare's list lags behind; an id that a file names is asked for by itself meanwhile"
        yield Diagnostic(Severity.INFO, Code.LIST_LAGS, message, None, hint)


def _facts(entry: Entry) -> tuple[str, bool, str, object]:
    return entry.name, entry.ca, entry.type, entry.bundle


def _differs(entry: Entry) -> Diagnostic:
    message = f"{entry.id} ({entry.name!r}), which this run uploaded, is listed otherwise than the reply said"
    return _warning(Code.UPLOAD_LISTED_OTHERWISE, message, "look at that entry, and run `mtlsctl plan`")


def _twice(entry: Entry, others: Sequence[EntryId]) -> Diagnostic:
    message = f"what this run uploaded as {entry.id} ({entry.name!r}) is stored as {', '.join(others)} too"
    return _warning(Code.CONTENT_TWICE, message, "some other run was as fast: delete the one that nothing presents")


def _warning(code: Code, message: str, hint: str) -> Diagnostic:
    return Diagnostic(Severity.WARNING, code, message, None, hint)
