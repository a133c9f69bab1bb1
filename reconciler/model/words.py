"""The words that name things: each its own type, so that none is taken for another."""

from __future__ import annotations

from typing import NewType

CertificateName = NewType("CertificateName", str)
EntryId = NewType("EntryId", str)
WorkerLabel = NewType("WorkerLabel", str)
BindingName = NewType("BindingName", str)

EnvironmentName = str | None
"""None is the top level of a wrangler file."""


def environment_text(environment: EnvironmentName) -> str:
    """An environment in words."""
    return "top level" if environment is None else f"env {environment}"
