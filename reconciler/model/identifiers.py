"""Classifies IDs in wrangler files: of a Cloudflare account, of a store that marks its IDs, or a placeholder."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum

from reconciler.model import StoreKind

_UUID = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NIL = re.compile(r"[0-]+")
ID_PREFIXES = tuple(kind.traits.id_prefix for kind in StoreKind if kind.traits.id_prefix is not None)
"""Of the stores that mark their IDs."""

_SHORT_ID = re.compile(r"[0-9a-f-]{8,36}")


class IdKind(Enum):
    """The origin of an ID, by its text."""

    ACCOUNT = "account"
    PREFIXED = "prefixed"
    PLACEHOLDER = "placeholder"


def kind_of_id(text: str) -> IdKind:
    """The kind of an ID. Certificate IDs are dashed UUIDs; anything else, and the UUID of zeros, is a placeholder.

    A UUID with white space around it, in upper case or without dashes was meant as an ID, so it is not a placeholder.
    """
    text = text.strip()
    if not _UUID.fullmatch(text) or _NIL.fullmatch(text):
        return IdKind.PLACEHOLDER
    return IdKind.PREFIXED if text.lower().startswith(ID_PREFIXES) else IdKind.ACCOUNT


def is_short_id(text: str) -> bool:
    """Whether a text can be an ID, or the first 8 or more characters of one."""
    return _SHORT_ID.fullmatch(text) is not None


def whole_id(text: str, ids: Iterable[str]) -> str | None:
    """The only one of these IDs that is the text or begins with it; None if there is no such ID, or several.

    Fewer than 8 characters never match.
    """
    if not is_short_id(text):
        return None
    found = {one for one in ids if one.startswith(text)}
    return text if text in found else found.pop() if len(found) == 1 else None


def is_askable(text: str, store: StoreKind) -> bool:
    """Whether a store of this kind can be asked for this ID: it has the form of the store's IDs."""
    return _ID.fullmatch(text) is not None and not is_placeholder(text, store) and not is_of_other_store(text, store)


def is_placeholder(text: str, store: StoreKind) -> bool:
    """Whether an ID can be replaced without a check; also true for an ID that is marked by another store."""
    kind = kind_of_id(text)
    return kind is IdKind.PLACEHOLDER or (kind is IdKind.PREFIXED and not _has_prefix_of(text, store))


def is_of_other_store(text: str, store: StoreKind) -> bool:
    """Whether the store marks its IDs, and this one may be of a Cloudflare account, so that it must not be replaced."""
    return store.traits.id_prefix is not None and kind_of_id(text) is IdKind.ACCOUNT


def _has_prefix_of(text: str, store: StoreKind) -> bool:
    prefix = store.traits.id_prefix
    return prefix is not None and text.strip().lower().startswith(prefix)
