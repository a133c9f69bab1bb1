"""Where names and curves are in the picture of who uses which certificate: certificates left, their users right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from reconciler.findings.escape import printable
from reconciler.findings.values import dataclass
from reconciler.views.text.layout import shortened
from reconciler.views.text.lines import counted

MOST_ALONE = 200
"""So many bindings have a line each; of more, those of a Worker share one."""
MOST_ROWS = 200
"""Of each side; the table below the picture has all."""
ROW = 22
_LONGEST_NAME = 32


@dataclass(frozen=True, slots=True)
class Link:
    """A certificate, and one user of it: a binding of a Worker. `tone` is a word of the style.

    `worker`: of a binding, under which it is folded. `note`: what happens to it, in a few words.
    """

    certificate: str
    worker: str
    user: str
    tone: str = "good"
    note: str = ""


@dataclass(frozen=True, slots=True)
class UseName:
    """A name of one side, as much of it as there is room for, and whole."""

    y: int
    text: str
    whole: str


@dataclass(frozen=True, slots=True)
class Curve:
    """From a certificate to a user: the heights at both ends. `is_dashed`: it is not, or not yet, what is used."""

    left: int
    right: int
    tone: str
    whole: str
    is_dashed: bool


@dataclass(frozen=True, slots=True)
class UsesPicture:
    """The picture and its table, a row for each certificate. `left_out`: how many links are not drawn."""

    certificates: tuple[UseName, ...]
    users: tuple[UseName, ...]
    curves: tuple[Curve, ...]
    height: int
    left_out: int
    is_folded: bool
    rows: tuple[tuple[str, str], ...]
    kind: ClassVar[str] = "uses"


def make_uses(links: Sequence[Link]) -> UsesPicture | None:
    """The picture of these links, certificates in their order; None without any."""
    if not links:
        return None
    is_folded = len({link.user for link in links}) > MOST_ALONE
    ends = {link: link.worker if is_folded else link.user for link in links}
    left = _names(link.certificate for link in links)
    right = _names(ends.values())
    curves: dict[tuple[int, int, str, bool], str] = {}
    drawn = 0
    for link in links:
        one, other = left.get(link.certificate), right.get(ends[link])
        if one is not None and other is not None:
            drawn += 1
            whole = f"{link.certificate} → {ends[link]}{f': {link.note}' if link.note and not is_folded else ''}"
            curves.setdefault((one.y, other.y, link.tone, link.tone != "good"), whole)
    counts = _counts(links) if is_folded else {}
    users = (UseName(one.y, one.text + counts.get(name, ""), one.whole) for name, one in right.items())
    return UsesPicture(
        tuple(left.values()),
        tuple(users),
        tuple(Curve(one, other, tone, whole, dashed) for (one, other, tone, dashed), whole in curves.items()),
        max(len(left), len(right)) * ROW,
        len(links) - drawn,
        is_folded,
        tuple(_rows(links)),
    )


def _names(found: Iterable[str]) -> Mapping[str, UseName]:
    known = list(dict.fromkeys(found))[:MOST_ROWS]
    return {
        name: UseName(ROW * index + ROW // 2, shortened(printable(name), _LONGEST_NAME), name)
        for index, name in enumerate(known)
    }


def _counts(links: Iterable[Link]) -> Mapping[str, str]:
    """How many users a Worker has, in brackets."""
    users: dict[str, set[str]] = {}
    for link in links:
        users.setdefault(link.worker, set()).add(link.user)
    return {worker: f" ({counted(len(found), 'binding')})" for worker, found in users.items()}


def _rows(links: Iterable[Link]) -> Iterable[tuple[str, str]]:
    """The same as text: each certificate, and all that uses it."""
    users: dict[str, list[str]] = {}
    for link in links:
        shown = f"{link.user} ({link.note})" if link.note else link.user
        users.setdefault(link.certificate, []).append(shown)
    return ((certificate, ", ".join(found)) for certificate, found in users.items())
