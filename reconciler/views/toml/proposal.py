"""A proposal as an mtls.toml."""

from __future__ import annotations

from reconciler.takeover.proposed import Proposal
from reconciler.takeover.write import EXPORTED, write_declaration
from reconciler.views.table import Display


def show_proposal(proposal: Proposal, _display: Display) -> str:
    """The whole file, as `export` prints it."""
    return write_declaration(proposal, about=EXPORTED)
