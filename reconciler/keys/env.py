"""Private keys in environment variables: `private_key = { env = "NAME" }`, the way CI systems provide secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from typing import Annotated
from urllib.parse import unquote

from pydantic import AfterValidator, Field

from reconciler.findings.codes import Code
from reconciler.findings.errors import KeySourceError
from reconciler.findings.values import dataclass
from reconciler.keys.registration import KeyTable, Registration
from reconciler.model import KeyReference
from reconciler.model.keys import KeySourceKind
from reconciler.model.ports import PrivateKey

_WELL_KNOWN = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "TMPDIR", "TMP", "TEMP", "TZ", "LANG", "TERM", "CI"),
        *("EDITOR", "HOSTNAME", "OLDPWD", "COLUMNS", "NO_COLOR", "IFS", "ENV", "BASH_ENV", "DISPLAY"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"),
        *("NODE_OPTIONS", "NODE_PATH", "NODE_ENV", "NODE_EXTRA_CA_CERTS", "NODE_TLS_REJECT_UNAUTHORIZED"),
        *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NVM_DIR", "VOLTA_HOME", "ASDF_DIR", "ASDF_DATA_DIR"),
        *("CLOUDFLARE_API_TOKEN", "CLOUDFLARE_API_KEY", "CLOUDFLARE_EMAIL", "CLOUDFLARE_ACCOUNT_ID", "CLOUDFLARE_ENV"),
        *("CLOUDFLARE_API_BASE_URL", "CLOUDFLARE_COMPLIANCE_REGION", "CLOUDFLARE_ACCESS_CLIENT_SECRET"),
        *("CLOUDFLARE_ACCESS_CLIENT_ID", "CF_API_TOKEN", "CF_API_KEY", "CF_EMAIL", "CF_ACCOUNT_ID"),
        "EMULATOR_TOKEN",
        *("NPM_TOKEN", "NODE_AUTH_TOKEN"),
        *("GH_TOKEN", "CI_PIPELINE_SOURCE", "CI_REPOSITORY_URL", "SSH_AUTH_SOCK"),
    )
)
_WELL_KNOWN_BEGINNINGS = (
    *("LC_", "LD_", "DYLD_", "XDG_", "GIT_", "MTLSCTL_", "WRANGLER_", "PYTHON", "NPM_CONFIG_", "VAULT_"),
    *("GITHUB_", "RUNNER_"),  # no secret of GitHub Actions may begin so
    *("GITLAB_", "CI_API_", "CI_COMMIT_", "CI_DEPLOY_", "CI_JOB_", "CI_MERGE_REQUEST_", "CI_PIPELINE_", "CI_PROJECT_"),
    *("CI_REGISTRY_", "ACTIONS_", "AWS_", "SOPS_"),
)


def is_well_known(name: str) -> bool:
    """Whether a variable has a meaning of its own for programs, in any letter case: none holds a private key.

    What mtls.toml names as a key is withheld from the programs that mtlsctl starts, and a value that is another secret
    would be tried as a key.
    """
    return name.upper() in _WELL_KNOWN or name.upper().startswith(_WELL_KNOWN_BEGINNINGS)


def _check_name(name: str) -> str:
    if is_well_known(name):
        raise ValueError(f"{name} is a variable that programs use for something else; choose a name of its own")
    return name


class EnvironmentKey(KeyTable):
    """A private key in an environment variable."""

    env: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
            max_length=255,
            description="Name of the environment variable with the PEM text of the key.",
        ),
        AfterValidator(_check_name),
    ]


@dataclass(frozen=True, slots=True)
class EnvironmentKeySource:
    """Reads keys from these variables, and never shows them."""

    environment: Mapping[str, str] = field(repr=False)

    def open(self, reference: KeyReference) -> PrivateKey:
        """The key in the variable. KeySourceError if it is unset or empty, or plainly something else than a key; no
        message contains the value."""
        name = reference.options["env"]
        value = self._value(name, f'export {name}="$(cat KEY)"')
        instead = _instead_of_key(value.strip())
        if instead is not None:
            what, hint = instead
            if hint is _PATH_HINT:
                hint = f'in a shell, run: export {name}="$(cat PATH)"; or {hint}'
            raise KeySourceError(f"the environment variable {name} contains {what}", hint=hint, code=Code.KEY_NOT_PEM)
        return PrivateKey(_with_line_breaks(value).encode("utf-8", errors="surrogateescape"))

    def passphrase(self, reference: KeyReference) -> bytes:
        """The value of the variable."""
        name = reference.options["env"]
        value = self._value(name, f"read -rs {name}; export {name}")
        return value.rstrip("\r\n").encode("utf-8", errors="surrogateescape")

    def _value(self, name: str, command: str) -> str:
        value = self.environment.get(name)
        if value is None:
            hint = f"in a shell, run: {command}; in CI, pass the secret to the step that runs mtlsctl"
            raise KeySourceError(f"the environment variable {name} is not set", hint=hint)
        if not value.strip():
            hint = "check the secret: CI systems pass an empty value if it does not exist or is withheld, as from forks"
            raise KeySourceError(f"the environment variable {name} is empty", hint=hint)
        return value


def _instead_of_key(text: str) -> tuple[str, str] | None:
    """What a variable on one line contains instead of a key, and what to do; None if it may be a key."""
    if "\n" in text or len(text) > _LONGEST:
        return None
    return next(((what, hint) for form, what, hint in _INSTEAD if re.fullmatch(form, text)), None)


_LONGEST = 1000
_PATH_HINT = (
    'write private_key = { file = "PATH" }, and list the folder of PATH in MTLSCTL_KEY_DIRS if it is outside the'
    " project; or, in GitLab, change the type of the variable from File to Variable"
)
_RESOLVE = "run mtlsctl in the tool that resolves it, so that the variable contains the key itself"
_INSTEAD = (
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
