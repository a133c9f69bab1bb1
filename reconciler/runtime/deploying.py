"""Hands a wrangler file to the project's own wrangler, which builds and deploys it as it always does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.core.errors import DeployError
from reconciler.core.model import EnvironmentName
from reconciler.runtime.children import running
from reconciler.runtime.find import find_wrangler
from reconciler.runtime.wrangler import QUIET, plain, private_folder

_NOT_FOR_WRANGLER = ("CLOUDFLARE_API_KEY", "CLOUDFLARE_EMAIL", "CF_API_KEY", "CF_EMAIL", "CLOUDFLARE_ENV")
"""A global key would win over the token (wrangler 4), and an environment over the one that is asked for."""
_KEPT_LINES = 400
_SHOWN_LINES = 4
_MOST_OUTPUT = 1_000_000


@dataclass(frozen=True, slots=True)
class WranglerRoller:
    """The port `Roller`. `withheld`: variables that hold private keys, which no build needs to see."""

    folder: Path
    root: Path
    environ: Mapping[str, str] = field(repr=False)
    withheld: frozenset[str]
    account_id: str | None

    def deploy(self, config: str, environment: EnvironmentName) -> str | None:
        """The version that `wrangler deploy` says it deployed; DeployError with its own last words where it failed."""
        path = self.folder / config
        wrangler = find_wrangler(path.parent, self.root, self.environ)
        if wrangler is None:
            raise DeployError(
                f"there is no wrangler to deploy {config} with",
                hint="`npm install --save-dev wrangler` beside it, or set MTLSCTL_WRANGLER",
            )
        command = [str(wrangler), "deploy", "--config", str(path), f"--env={environment or ''}"]
        with private_folder("deploy") as private:
            told = private / "output.ndjson"
            lines: list[str] = []

            def hear(line: str) -> None:
                lines.append(plain(line))
                del lines[:-_KEPT_LINES]

            variables = {**self._environment(), "WRANGLER_OUTPUT_FILE_PATH": str(told)}
            with running(command, environ=variables, on_out=hear, on_err=hear, cwd=path.parent) as child:
                code = child.wait()
            if code != 0:
                raise DeployError(f"wrangler could not deploy {config}: {_worth(lines)}", hint=_hint(code))
            return _version(told)

    def _environment(self) -> dict[str, str]:
        """Everything that the build may need, but no private key, and no other way into the account than the token."""
        kept = {
            name: value
            for name, value in self.environ.items()
            if name not in self.withheld and name not in _NOT_FOR_WRANGLER and "PRIVATE KEY-----" not in value
        }
        account = {"CLOUDFLARE_ACCOUNT_ID": self.account_id} if self.account_id else {}
        return {**kept, **account, **QUIET}


def _version(told: Path) -> str | None:
    """The version that wrangler's output file names; None where it has none, as of an older wrangler."""
    try:
        with told.open("rb") as file:
            lines = file.read(_MOST_OUTPUT).splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("type") == "deploy" and isinstance(event.get("version_id"), str):
            return str(event["version_id"])
    return None


def _worth(lines: list[str]) -> str:
    """What went wrong, in one line: from the first error on, else the last that it said."""
    spoken = [line.strip() for line in lines if line.strip() and "Logs were written" not in line]
    start = next((number for number, line in enumerate(spoken) if "ERROR" in line), max(len(spoken) - _SHOWN_LINES, 0))
    worth = (line.replace("\u2718 ", "").replace("[ERROR] ", "") for line in spoken[start : start + _SHOWN_LINES])
    return " / ".join(worth) or "it printed nothing"


def _hint(code: int) -> str:
    if code == 127:
        return "wrangler needs Node on the path"
    return "the message is wrangler's own; mend it, then run `mtlsctl apply` again, which deploys what is left"
