"""Drift on a terminal: by certificate, each fix once, short IDs, within the width."""

from __future__ import annotations

import pytest

from reconciler.findings.diagnostics import Place
from reconciler.model import BindingAddress, BindingName, CertificateName, StoreKind, StoreSettings, WorkerLabel
from reconciler.plan.coverage import Area, NotChecked
from reconciler.reports.drift import Drift, DriftFinding, State, Subject
from reconciler.reports.drift_findings import APPLY
from reconciler.views.table import Display, render
from tests.support.pki import NOW

ACME, OLD, LEGACY = (f"{first}-33a1-4f7e-9f5c-3d2b1a0c9e8d" for first in ("28b52d48", "838979d6", "c7269d99"))
CONFIG = "workers/partner-gateway-with-a-long-name/wrangler.jsonc"


def binding(name: str, environment: str | None = None) -> BindingAddress:
    return BindingAddress(WorkerLabel("gw"), CONFIG, environment, BindingName(name))


def changed(name: str) -> DriftFinding:
    """A binding of partner-acme that `mtlsctl apply` fixes."""
    return DriftFinding(
        *(State.CHANGED, Subject.BINDING, f"binding:{name}", f"{name} has {OLD}, expected {ACME}", APPLY),
        certificate=CertificateName("partner-acme"),
        at=binding(name),
        apply=True,
    )


DRIFT = Drift(
    "mono",
    StoreSettings(StoreKind.CLOUDFLARE),
    NOW,
    5,
    (
        changed("PARTNER"),
        changed("PARTNER_TWO"),
        DriftFinding(
            *(
                State.UNEXPECTED,
                Subject.BINDING,
                "binding:LATER",
                f"LATER in {CONFIG} (staging) has the placeholder",
            ),
            'declare it:\n[workers.gw.env.staging.bindings]\nLATER = "NAME"',
            at=binding("LATER", "staging"),
        ),
        DriftFinding(
            *(State.UNUSED, Subject.ENTRY, f"entry:{LEGACY}", f"nothing in this tree uses {LEGACY} (legacy)"),
            f"delete it:\nwrangler mtls-certificate delete --id {LEGACY}",
        ),
    ),
    not_checked=(NotChecked(Area.LIVE_WORKERS), NotChecked(Area.UNUSED)),
)


def test_on_a_narrow_terminal_it_reads_like_this() -> None:
    """The whole report; what `apply` fixes is said once, at the end, and lines to copy are whole."""
    text = render(DRIFT, "text", Display(lambda _: Place("mtls.toml", 7), width=60))
    assert (
        text
        == f"""\
Drift of mono on Cloudflare, 2026-11-23 12:00 UTC

  partner-acme
    ~ PARTNER has 838979d6, expected 28b52d48
      at   mtls.toml:7
    ~ PARTNER_TWO has 838979d6, expected 28b52d48
      at   mtls.toml:7

  {CONFIG}
    + LATER (staging) has the placeholder
      at   mtls.toml:7
      fix  declare it:
        | [workers.gw.env.staging.bindings]
        | LATER = "NAME"

  other uploaded certificates
    . nothing in this tree uses c7269d99 (legacy)
      at   mtls.toml:7
      fix  delete it:
        | wrangler mtls-certificate delete --id {LEGACY}

Not checked: live Workers (mtlsctl drift --live); unused
  certificates, shared keys, undeclared bindings (mtlsctl
  drift --unused).
Drift: 2 changed, 1 unexpected, 1 unused; 5 certificates and
  bindings in sync.
Next: mtlsctl apply  (fixes 2 of 4)
"""
    )


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_every_line_fits_but_for_lines_to_copy(width: int) -> None:
    """At any width, with long names."""
    lines = render(DRIFT, "text", Display(width=width)).splitlines()
    assert [line for line in lines if len(line) > width and not line.startswith("        | ")] == []


def test_in_a_pipe_ids_are_whole() -> None:
    """So that they can be searched for."""
    assert f"PARTNER has {OLD}, expected {ACME}\n" in render(DRIFT, "text", Display())
