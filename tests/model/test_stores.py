"""The kinds of store: every one has its traits, and nothing but the traits tells one from another."""

from __future__ import annotations

import pytest

from reconciler.model import StoreKind, StoreSettings
from reconciler.model.identifiers import is_askable, is_of_other_store, is_placeholder
from reconciler.model.stores import TRAITS

OF_ACCOUNT = "2458ce5a-0c35-4c7f-82c7-8e9487d3ff60"
OF_LOCAL = "10ca1000-0c35-4c7f-82c7-8e9487d3ff60"


def test_every_kind_of_store_has_traits_of_its_own() -> None:
    """A row for each, and no two share a title or a prefix."""
    assert set(TRAITS) == set(StoreKind)
    for values in (
        [traits.title for traits in TRAITS.values()],
        [traits.id_prefix for traits in TRAITS.values() if traits.id_prefix],
    ):
        assert len(set(values)) == len(values)


@pytest.mark.parametrize(
    ("text", "store", "expected"),
    [
        pytest.param("<ID>", StoreKind.LOCAL, (True, False, False), id="no id is a placeholder everywhere"),
        pytest.param("<ID>", StoreKind.CLOUDFLARE, (True, False, False), id="also for an account"),
        pytest.param(OF_LOCAL, StoreKind.LOCAL, (False, False, True), id="a store's own id can be asked for"),
        pytest.param(OF_LOCAL, StoreKind.CLOUDFLARE, (True, False, False), id="a marked id is free for other stores"),
        pytest.param(OF_ACCOUNT, StoreKind.CLOUDFLARE, (False, False, True), id="an account's own id"),
        pytest.param(OF_ACCOUNT, StoreKind.LOCAL, (False, True, False), id="a store that marks ids leaves it alone"),
    ],
)
def test_an_id_is_judged_by_the_prefix_of_the_store(
    text: str, store: StoreKind, expected: tuple[bool, bool, bool]
) -> None:
    """Placeholder, of another store, or one that this store can be asked for."""
    assert (is_placeholder(text, store), is_of_other_store(text, store), is_askable(text, store)) == expected


@pytest.mark.parametrize(("kind", "account"), [(StoreKind.LOCAL, None), (StoreKind.CLOUDFLARE, "a" * 32)])
def test_an_account_counts_only_where_the_store_has_accounts(kind: StoreKind, account: str | None) -> None:
    """One that is set all the same has no effect."""
    assert StoreSettings(kind, "a" * 32).account == account
