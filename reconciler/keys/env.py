"""Private keys in environment variables: `private_key = { env = "NAME" }`, the way CI systems provide secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from reconciler.findings.errors import KeySourceError
from reconciler.keys.registration import Registration
from reconciler.model import KeyReference
from reconciler.model.keys import KeySourceKind
from reconciler.model.ports import PrivateKey


class EnvironmentKey(BaseModel):
    """A private key in an environment variable."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    env: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
            max_length=255,
            description="Name of the environment variable with the PEM text of the key.",
        ),
    ]


@dataclass(frozen=True, slots=True)
class EnvironmentKeySource:
    """Reads keys from these variables, and never shows them."""

    environment: Mapping[str, str] = field(repr=False)

    def open(self, reference: KeyReference) -> PrivateKey:
        """The key in the variable. KeySourceError if it is unset or empty; no message contains the value."""
        name = reference.options["env"]
        value = self.environment.get(name)
        if value is None:
            hint = f'in a shell, run: export {name}="$(cat KEY)"; in CI, pass the secret to the step that runs mtlsctl'
            raise KeySourceError(f"the environment variable {name} is not set", hint=hint)
        if not value.strip():
            hint = "check the secret: CI systems pass an empty value if it does not exist or is withheld, as from forks"
            raise KeySourceError(f"the environment variable {name} is empty", hint=hint)
        return PrivateKey(_with_line_breaks(value).encode("utf-8", errors="surrogateescape"))


def _with_line_breaks(value: str) -> str:
    # Many CI systems keep a variable on one line, so people write the line breaks of a PEM as \n, like in JSON.
    if "\n" in value.strip():
        return value
    return value.replace("\\r", "").replace("\\n", "\n")


SOURCE = Registration(KeySourceKind("env", EnvironmentKey), lambda context: EnvironmentKeySource(context.environment))
