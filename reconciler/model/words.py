"""The words that name things: each its own type, so that none is taken for another."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class SiteAddress:
    """One environment of one wrangler file. `config`: its path from the folder of mtls.toml, with `/`."""

    worker: WorkerLabel
    config: str
    environment: EnvironmentName

    @property
    def text(self) -> str:
        """`workers/checkout/wrangler.toml (env staging)`, for a sentence."""
        return f"{self.config} ({environment_text(self.environment)})"


@dataclass(frozen=True, slots=True)
class BindingAddress(SiteAddress):
    """One binding of one environment of one wrangler file; without `environment`, of its top level."""

    binding: BindingName

    @property
    def site(self) -> SiteAddress:
        """The environment that it is in."""
        return SiteAddress(self.worker, self.config, self.environment)
