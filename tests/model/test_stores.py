"""The kinds of store: each has its traits, and other code depends only on the traits."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from reconciler.model import StoreKind, StoreSettings
from reconciler.model.identifiers import is_askable, is_of_other_store, is_placeholder
from reconciler.model.stores import TRAITS
from tests.support.paths import REPOSITORY
from tests.support.source import nodes

ROOT = REPOSITORY / "reconciler"
OF_ACCOUNT = "2458ce5a-0c35-4c7f-82c7-8e9487d3ff60"
OF_LOCAL = "10ca1000-0c35-4c7f-82c7-8e9487d3ff60"


def is_specific(path: Path) -> bool:
    """Whether a module compares with a specific kind of store, or imports the mark of its IDs."""
    comparisons = (node for node in nodes(path) if isinstance(node, ast.Compare))
    sides = (side for node in comparisons for side in (node.left, *node.comparators))
    compared = any(isinstance(side, ast.Attribute) and getattr(side.value, "id", "") == "StoreKind" for side in sides)
    return compared or any(isinstance(node, ast.alias) and node.name.endswith("_ID_PREFIX") for node in nodes(path))


def test_every_kind_of_store_has_its_own_traits() -> None:
    """Each has a row, and no two have the same title or prefix."""
    assert set(TRAITS) == set(StoreKind)
    for values in (
        [traits.title for traits in TRAITS.values()],
        [traits.id_prefix for traits in TRAITS.values() if traits.id_prefix],
    ):
        assert len(set(values)) == len(values)


def test_a_store_without_accounts_marks_its_ids() -> None:
    """By the first group of a UUID, so that no ID is taken for that of an account."""
    for kind, traits in TRAITS.items():
        assert (traits.id_prefix is None) is traits.has_accounts, kind
        assert re.fullmatch("([0-9a-f]{8}-)?", traits.id_prefix or ""), kind


def test_no_code_outside_the_stores_depends_on_a_specific_kind() -> None:
    """The traits describe what a kind can do, so a new kind needs no new branch."""
    outside = [path for path in ROOT.rglob("*.py") if path.parts[len(ROOT.parts)] != "stores"]
    assert [path for path in outside if is_specific(path)] == []


@pytest.mark.parametrize(
    ("text", "store", "expected"),
    [
        pytest.param("<ID>", StoreKind.LOCAL, (True, False, False), id="text that is not an ID is a placeholder"),
        pytest.param("<ID>", StoreKind.CLOUDFLARE, (True, False, False), id="also for an account"),
        pytest.param(OF_LOCAL, StoreKind.LOCAL, (False, False, True), id="a store can be asked for its own ID"),
        pytest.param(OF_LOCAL, StoreKind.CLOUDFLARE, (True, False, False), id="other stores can replace a marked ID"),
        pytest.param(OF_ACCOUNT, StoreKind.CLOUDFLARE, (False, False, True), id="an account's own ID"),
        pytest.param(OF_ACCOUNT, StoreKind.LOCAL, (False, True, False), id="a store that marks IDs keeps it"),
    ],
)
def test_an_id_is_classified_by_the_prefix_of_the_store(
    text: str, store: StoreKind, expected: tuple[bool, bool, bool]
) -> None:
    """It is a placeholder, of another store, or one that this store can be asked for."""
    assert (is_placeholder(text, store), is_of_other_store(text, store), is_askable(text, store)) == expected


@pytest.mark.parametrize(("kind", "account"), [(StoreKind.LOCAL, None), (StoreKind.CLOUDFLARE, "a" * 32)])
def test_an_account_counts_only_if_the_store_has_accounts(kind: StoreKind, account: str | None) -> None:
    """Otherwise an account ID has no effect."""
    assert StoreSettings(kind, "a" * 32).account == account
