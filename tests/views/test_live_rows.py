"""The lines of live Workers: a reason once, and what is not applied yet."""

from __future__ import annotations

from reconciler.model import BindingAddress, BindingName, CertificateName, WorkerLabel
from reconciler.plan.live import LiveBinding, LiveState
from reconciler.views.text.plan import live_row_lines, without_repeated_reasons
from reconciler.views.text.style import PLAIN
from tests.support.worlds import uid


def at(binding: str) -> BindingAddress:
    """A binding of one Worker."""
    return BindingAddress(WorkerLabel("shop"), "wrangler.toml", None, BindingName(binding))


def test_a_reason_for_several_bindings_is_written_once() -> None:
    """Another reason is written, too."""
    rows = [
        LiveBinding(at(name), "shop", LiveState.UNKNOWN, detail=why)
        for name, why in (("A", "x"), ("B", "x"), ("C", "y"))
    ]
    assert [row.detail for row in without_repeated_reasons(rows)] == ["x", "see above", "y"]


def test_a_renewed_certificate_that_is_not_applied_is_said_in_words() -> None:
    """The live version uses what the file has, and both will change."""
    row = LiveBinding(at("A"), "shop", LiveState.IN_SYNC, CertificateName("billing"), None, uid(1))
    head, sides = live_row_lines(row, PLAIN)
    assert head.endswith("uses what the file has; a new certificate is not applied yet")
    assert "wanted" not in sides
