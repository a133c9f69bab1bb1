"""The names of one report: IDs as short as they may be, a Worker by its label where that is of one file only."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from reconciler.findings.escape import printable
from reconciler.model import BindingAddress, SiteAddress, UpdateAddress
from reconciler.views.text.layout import ShortIds, shortened

_LONGEST_TEXT = 24
_ID_CHARACTERS = frozenset("0123456789abcdef-")
_ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")


class ShownNames:
    """What a report calls things. `width`: that of its display; None shows everything whole."""

    def __init__(
        self,
        width: int | None,
        ids: Iterable[str | None] = (),
        places: Iterable[SiteAddress] = (),
        *,
        offline: bool = False,
    ) -> None:
        self.new = "?" if offline else "new"  # an ID that is unknown: offline it may be uploaded already
        self._width, self._ids = width, ShortIds(ids, width)
        configs: dict[str, set[str]] = defaultdict(set)
        for one in places:
            configs[one.worker].add(one.config)
        self._ambiguous = {label for label, found in configs.items() if len(found) > 1}

    def id(self, text: str | None) -> str:
        """An ID; of a binding also what else the file has there, `none` where it has nothing."""
        if text is None:
            return "none"
        is_id = bool(text) and _ID_CHARACTERS.issuperset(text)
        if is_id or self._width is None:
            return self._ids(text) or '""'
        return shortened(printable(text), _LONGEST_TEXT) or '""'

    def text(self, sentence: str) -> str:
        """A sentence, escaped, with its IDs as short as the others."""
        return _ID.sub(lambda found: self.id(found[0]), printable(sentence))

    def worker(self, at: SiteAddress) -> str:
        """The label of a Worker, or the path of its file."""
        return printable(at.config if at.worker in self._ambiguous else at.worker)

    def site(self, at: SiteAddress) -> str:
        """`partner-gw (production)`, for a sentence."""
        return f"{self.worker(at)} ({environment(at)})"

    def binding(self, at: BindingAddress) -> str:
        """`PARTNER of partner-gw (production)`, for a sentence."""
        return f"{printable(at.binding)} of {self.site(at)}"

    def user(self, at: BindingAddress | UpdateAddress) -> str:
        """A binding, a field of a Hyperdrive configuration, or hostnames, for a sentence."""
        return self.binding(at) if isinstance(at, BindingAddress) else printable(at.text)


def environment(at: SiteAddress) -> str:
    """The name of an environment, for a column."""
    return "top level" if at.environment is None else printable(at.environment)
