"""Private keys in environment variables: `private_key = { env = "NAME" }`, the way CI systems provide secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field

from reconciler.findings.codes import Code
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
        """The key in the variable. KeySourceError if it is unset or empty, or plainly something else than a key; no
        message contains the value."""
        name = reference.options["env"]
        value = self.environment.get(name)
        if value is None:
            hint = f'in a shell, run: export {name}="$(cat KEY)"; in CI, pass the secret to the step that runs mtlsctl'
            raise KeySourceError(f"the environment variable {name} is not set", hint=hint)
        if not value.strip():
            hint = "check the secret: CI systems pass an empty value if it does not exist or is withheld, as from forks"
            raise KeySourceError(f"the environment variable {name} is empty", hint=hint)
        instead = _instead_of_key(value.strip())
        if instead is not None:
            what, hint = instead
            raise KeySourceError(f"the environment variable {name} contains {what}", hint=hint, code=Code.KEY_NOT_PEM)
        return PrivateKey(_with_line_breaks(value).encode("utf-8", errors="surrogateescape"))


def _instead_of_key(text: str) -> tuple[str, str] | None:
    """What a variable on one line contains instead of a key, and what to do; None if it may be a key."""
    if "\n" in text or len(text) > _LONGEST:
        return None
    return next(((what, hint) for form, what, hint in _INSTEAD if form.fullmatch(text)), None)


_LONGEST = 1000
_PATH_HINT = (
    'write private_key = { file = "PATH" }, and list the folder of PATH in MTLSCTL_KEY_DIRS if it is outside the'
    " project; or, in GitLab, change the type of the variable from File to Variable"
)
_RESOLVE = "run mtlsctl in the tool that resolves it, so that the variable contains the key itself"
_INSTEAD = tuple(
    (re.compile(form), what, hint)
    for form, what, hint in (
        (r"(?:\.{0,2}|~|[A-Za-z]:)[/\\][\w. /\\~@+-]+", "a path instead of a key", _PATH_HINT),
        (r"\S+\.(?:key|pem)", "a path instead of a key", _PATH_HINT),
        (r"op://.*", "a 1Password reference instead of a key", "run it as `op run -- mtlsctl ...`"),
        (r"(?:ref\+)?[a-z][a-z0-9+.-]*:(?!.*-----).*", "a reference to a secret instead of a key", _RESOLVE),
        (
            r"\$?\{\{.*\}\}|\$\{.*\}|\$\(.*\)|\$\w+|%\w+%|<.*>",
            "a placeholder instead of a key",
            "check the name of the secret; the CI system did not replace this text",
        ),
        (
            r"\*+|\[?(?i:masked|redacted|hidden|secret)\]?|[\u2022x]{3,}",
            "a masked value instead of a key",
            "copy the key from where it was made; a value that a CI system or a log shows masked is not the key",
        ),
    )
)
"""What pipelines put into a variable by mistake. No base64 and no PEM has one of these forms."""


def _with_line_breaks(value: str) -> str:
    r"""The value with the line breaks of its PEM, however often they were escaped.

    Many CI systems keep a variable on one line, so people write line breaks as `\n`, like in JSON; a second tool makes
    `\\n` of that, and the commands of a workflow `%0A`. PEM itself has no backslash and no percent sign.
    """
    if "\n" in value.strip():
        return value
    if re.search(r"%0[aA]", value):
        value = unquote(value)
    return re.sub(r"\\+n", "\n", re.sub(r"\\+r", "", value))


SOURCE = Registration(KeySourceKind("env", EnvironmentKey), lambda context: EnvironmentKeySource(context.environment))
