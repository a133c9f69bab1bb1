"""What an id in a wrangler file is: of a real account, of a store that marks its ids, or a placeholder."""

from __future__ import annotations

import re
from enum import Enum

from reconciler.model import StoreKind

_UUID = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NIL = re.compile(r"[0-]+")
_PREFIXES = tuple(kind.traits.id_prefix for kind in StoreKind if kind.traits.id_prefix is not None)


class IdKind(Enum):
    """Where an id comes from, as far as its text can tell."""

    ACCOUNT = "account"
    PREFIXED = "prefixed"
    PLACEHOLDER = "placeholder"


def kind_of_id(text: str) -> IdKind:
    """Certificate ids are dashed UUIDs; anything else, and the UUID of zeros, is a placeholder.

    One with blanks around it, in capitals or without its dashes was meant as an id, so it is no placeholder either.
    """
    text = text.strip()
    if not _UUID.fullmatch(text) or _NIL.fullmatch(text):
        return IdKind.PLACEHOLDER
    return IdKind.PREFIXED if text.lower().startswith(_PREFIXES) else IdKind.ACCOUNT


def is_askable(text: str, store: StoreKind) -> bool:
    """Whether a store of this kind can be asked for this id: it is written as stores write them."""
    return _ID.fullmatch(text) is not None and not is_placeholder(text, store) and not is_of_other_store(text, store)


def is_placeholder(text: str, store: StoreKind) -> bool:
    """Whether an id may be replaced without asking: so may those that another store has marked as its own."""
    kind = kind_of_id(text)
    return kind is IdKind.PLACEHOLDER or (kind is IdKind.PREFIXED and not _has_prefix_of(text, store))


def is_of_other_store(text: str, store: StoreKind) -> bool:
    """Whether a store that marks its ids meets one that may be a real account's, and must leave it alone."""
    return store.traits.id_prefix is not None and kind_of_id(text) is IdKind.ACCOUNT


def _has_prefix_of(text: str, store: StoreKind) -> bool:
    prefix = store.traits.id_prefix
    return prefix is not None and text.strip().lower().startswith(prefix)
