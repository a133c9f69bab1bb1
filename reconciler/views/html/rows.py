"""Rows that several pages have: what waits; and the bindings of a certificate, for the picture of who uses what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler.model import BindingAddress, BindingChange, UpdateAddress, Waiting
from reconciler.plan.live import LiveBinding, LiveState
from reconciler.reports.status import BoundAt, Standing
from reconciler.views.html.page import PageTable, Tone, table
from reconciler.views.html.uses import Link
from reconciler.views.text.lines import until_text
from reconciler.views.text.names import ShownNames, environment
from reconciler.views.text.plan import live_row_lines
from reconciler.views.text.plan_groups import arrow, used_ids, waiting_text
from reconciler.views.text.status import standing_text
from reconciler.views.text.style import PLAIN

WIDTH = 100
"""For `ShownNames`: IDs are short in tables, and whole in the details."""
_STANDINGS = {Standing.IN_PLACE: Tone.GOOD, Standing.WAITING: Tone.PLAIN}


def waiting_table(waits: Iterable[Waiting], names: ShownNames) -> PageTable | None:
    """Everything that waits, why, and until when."""
    found = tuple(waits)
    used = used_ids(found)
    heads = ("Certificate", "What waits", "Why", "Until")
    return table(
        "Changes that wait, and old certificates that are kept", heads, (_row(one, names, used) for one in found)
    )


def _row(wait: Waiting, names: ShownNames, used: frozenset[str]) -> tuple[str, ...]:
    change = wait.change
    if isinstance(change, BindingChange):
        what = f"{names.binding(change.at)}: {arrow(change, names)}"
    else:
        what = waiting_text(change, names, used)[0]
    return wait.certificate or "", what, names.text(wait.detail), until_text(wait).lstrip(",; ")


def live_texts(rows: Iterable[LiveBinding] | None, names: ShownNames) -> Iterator[str]:
    """The bindings of which live Workers use something else than their file has; nothing where none was read."""
    for row in rows or ():
        if row.state is not LiveState.IN_SYNC:
            yield "; ".join(line.strip() for line in live_row_lines(row, PLAIN, names))


def user(at: BindingAddress, names: ShownNames) -> str:
    """`checkout.BILLING (staging)`."""
    where = f" ({environment(at)})" if at.environment is not None else ""
    return f"{names.worker(at)}.{at.binding}{where}"


def update_user(at: UpdateAddress) -> str:
    """`warehouse (client certificate)`."""
    return f"{at.label} ({at.part})"


def links_of(certificate: str, places: Iterable[BoundAt], names: ShownNames) -> Iterator[Link]:
    """The bindings that use a certificate, or should."""
    for place in places:
        tone = _STANDINGS.get(place.standing, Tone.LOOK)
        note = standing_text(place, names).removeprefix(": ")
        yield Link(certificate, names.worker(place.at), user(place.at, names), tone, note)
