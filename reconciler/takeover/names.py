"""Converts any name to one that mtls.toml allows, and keeps names unique."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from itertools import count

from cryptography.x509.oid import NameOID

from reconciler.x509.certificates import MALFORMED, Bundle, quiet

STACK_LENGTH = 32
NAME_LENGTH = 48
_FALLBACK_STACK = "main"


def fit_name(text: str, longest: int = NAME_LENGTH) -> str:
    """The text reduced to `a-z`, `0-9` and `-`; empty if nothing is left of it."""
    plain = unicodedata.normalize("NFKD", text)
    plain = "".join(sign for sign in plain if not unicodedata.combining(sign))
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:longest].rstrip("-")


def default_stack(folder: str) -> str:
    """The name of a stack from that of its folder."""
    return fit_name(folder, STACK_LENGTH) or _FALLBACK_STACK


def common_name(bundle: Bundle) -> str:
    """The common name of the leaf; empty if there is none, or if it can't be read."""
    try:
        with quiet():
            found = bundle.leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except MALFORMED:
        return ""
    return str(found[0].value) if found else ""


class Names:
    """A source of unique names."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def give(self, *wishes: str, fallback: str) -> str:
        """The first wish that gives an allowed name, with a number if that name is taken."""
        base = next((name for wish in wishes if (name := fit_name(wish))), fallback)
        for number in count(1):
            name = base if number == 1 else f"{base[: NAME_LENGTH - len(str(number)) - 1].rstrip('-')}-{number}"
            if name not in self._taken:
                self._taken.add(name)
                return name
        raise AssertionError("unreachable: there is always a next number")
