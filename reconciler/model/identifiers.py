"""What an id in a wrangler file is: of a real account, of the embedded store, or a placeholder."""

from __future__ import annotations

import re
from enum import Enum

from reconciler.model import StoreKind

EMBEDDED_PREFIX = "10ca1000-"
"""The first group of every id that the embedded store gives out."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NIL = re.compile(r"[0-]+")


class IdKind(Enum):
    """Where an id comes from, as far as its text can tell."""

    ACCOUNT = "account"
    EMBEDDED = "embedded"
    PLACEHOLDER = "placeholder"


def kind_of_id(text: str) -> IdKind:
    """Certificate ids are dashed UUIDs; anything else, and the UUID of zeros, is a placeholder.

    One with blanks around it, in capitals or without its dashes was meant as an id, so it is no placeholder either.
    """
    text = text.strip()
    if not _UUID.fullmatch(text) or _NIL.fullmatch(text):
        return IdKind.PLACEHOLDER
    return IdKind.EMBEDDED if text.lower().startswith(EMBEDDED_PREFIX) else IdKind.ACCOUNT


def is_askable(text: str, store: StoreKind) -> bool:
    """Whether a store of this kind can be asked for this id: it is written as stores write them."""
    return _ID.fullmatch(text) is not None and not is_placeholder(text, store) and not is_of_other_store(text, store)


def is_placeholder(text: str, store: StoreKind) -> bool:
    """To a real account's store, the embedded store's ids are placeholders too."""
    kind = kind_of_id(text)
    return kind is IdKind.PLACEHOLDER or (kind is IdKind.EMBEDDED and store is not StoreKind.LOCAL)


def is_of_other_store(text: str, store: StoreKind) -> bool:
    """Whether the embedded store meets an id that may be a real account's, and must leave alone."""
    return store is StoreKind.LOCAL and kind_of_id(text) is IdKind.ACCOUNT
