"""Types for names, IDs and addresses, so that one is not used in place of another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NewType

from reconciler.findings.values import dataclass

CertificateName = NewType("CertificateName", str)
EntryId = NewType("EntryId", str)
WorkerLabel = NewType("WorkerLabel", str)
BindingName = NewType("BindingName", str)

EnvironmentName = str | None
"""None is the top level of a wrangler file."""


def environment_text(environment: EnvironmentName) -> str:
    """The environment for a sentence: its name, or `top level`."""
    return "top level" if environment is None else environment


def environment_path(environment: EnvironmentName) -> tuple[str, ...]:
    """The keys of an environment's table in a wrangler file; empty for the top level."""
    return () if environment is None else ("env", environment)


def names_text(names: Sequence[str], most: int = 3) -> str:
    """The first names, and the number of the others."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


@dataclass(frozen=True, slots=True)
class SiteAddress:
    """One environment of one wrangler file. `config` is its path relative to the folder of mtls.toml, with `/`."""

    worker: WorkerLabel
    config: str
    environment: EnvironmentName

    @property
    def text(self) -> str:
        """`workers/checkout/wrangler.toml (staging)`, for a sentence."""
        return f"{self.config} ({environment_text(self.environment)})"


@dataclass(frozen=True, slots=True)
class BindingAddress(SiteAddress):
    """One binding in one environment of one wrangler file; without `environment`, in its top level."""

    binding: BindingName

    @property
    def site(self) -> SiteAddress:
        """The environment of the binding."""
        return SiteAddress(self.worker, self.config, self.environment)
