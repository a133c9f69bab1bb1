"""Hands a wrangler file to the project's own wrangler, which builds and deploys it as it always does."""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.findings.errors import DeployError
from reconciler.findings.secrets import Secrets
from reconciler.model import EnvironmentName
from reconciler.runtime.children import Child, OnLine, running
from reconciler.runtime.find import find_wrangler
from reconciler.runtime.output import deployed_version, is_unseen, last_words
from reconciler.runtime.wrangler import QUIET, plain, private_folder

_GLOBAL_KEYS = ("CLOUDFLARE_API_KEY", "CF_API_KEY")
_NOT_FOR_WRANGLER = (
    *_GLOBAL_KEYS,
    *("CLOUDFLARE_EMAIL", "CF_EMAIL"),
    *("CLOUDFLARE_ENV", "WRANGLER_CI_MATCH_TAG", "WRANGLER_OUTPUT_FILE_DIRECTORY"),
)
"""A global key would win over the token (wrangler 4), an environment over the one that is asked for; a CI system's tag
is that of one Worker alone, and each of ours is told by its name."""
_SECRET = ("CLOUDFLARE_API_TOKEN", "CF_API_TOKEN", "CLOUDFLARE_ACCESS_CLIENT_SECRET", *_GLOBAL_KEYS)
_KEPT_LINES = 400
_PEM, _PEM_IN_BASE64 = "PRIVATE KEY-----", "LS0tLS1CRUdJTi"

LONGEST_S = 1800.0
"""A build may take long; what takes longer hangs."""
LAG_PAUSES_S = (2.0, 4.0, 8.0, 10.0)
"""Between attempts, while Workers have not seen an upload yet: with the attempts themselves more than 20 seconds."""


@dataclass(slots=True)
class WranglerDeployer:
    """The port `WorkerDeployer`. `withheld`: variables that hold private keys, which no build needs to see."""

    folder: Path
    root: Path
    environ: Mapping[str, str] = field(repr=False)
    withheld: frozenset[str]
    account_id: str | None
    longest_s: float = LONGEST_S
    pauses_s: tuple[float, ...] = LAG_PAUSES_S
    _over: threading.Event = field(default_factory=threading.Event, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _children: set[Child] = field(default_factory=set, init=False)

    def deploy(self, config: str, environment: EnvironmentName, script: str) -> str | None:
        """The version that `wrangler deploy` says it deployed; DeployError with its own last words where it failed."""
        path = self.folder / config
        wrangler = find_wrangler(path.parent, self.root, self.environ)
        if wrangler is None:
            raise DeployError(
                f"there is no wrangler to deploy {config} with",
                hint="`npm install --save-dev wrangler` beside it, or set MTLSCTL_WRANGLER",
            )
        command = [str(wrangler), "deploy", "--config", str(path), f"--env={environment or ''}"]
        for pause in (*self.pauses_s, None):
            with private_folder("deploy") as private:
                output = private / "output.ndjson"
                variables = {**self._environment(script), "WRANGLER_OUTPUT_FILE_PATH": str(output)}
                code, lines = self._run(command, variables, path.parent, config)
                if code == 0:
                    return deployed_version(output)
            unseen = is_unseen(lines)
            if not unseen or pause is None or self._over.wait(pause):
                break
        words = last_words(lines, self._secrets())
        raise DeployError(f"wrangler could not deploy {config}: {words}", hint=_hint(code, unseen=unseen))

    def give_up(self) -> None:
        """As the port."""
        self._over.set()
        with self._lock:
            for child in self._children:
                child.ask_to_end()

    def _run(
        self, command: list[str], variables: Mapping[str, str], folder: Path, config: str
    ) -> tuple[int, list[str]]:
        """Its exit code and the last that it printed; DeployError where it does not end."""
        lines: list[str] = []

        def hear(line: str) -> None:
            lines.append(plain(line))
            del lines[:-_KEPT_LINES]

        with self._running(command, variables, folder, hear) as child:
            try:
                return child.wait(self.longest_s), lines
            except TimeoutError as error:
                words = last_words(lines, self._secrets())
                raise DeployError(
                    f"wrangler did not end within {self.longest_s:.0f} s, so it was ended; {config} may be deployed or"
                    f" not: {words}",
                    hint="run `mtlsctl apply` again: it looks at what serves",
                ) from error

    @contextmanager
    def _running(self, command: list[str], variables: Mapping[str, str], folder: Path, hear: OnLine) -> Iterator[Child]:
        """A child that `give_up` knows."""
        with running(command, environ=variables, on_out=hear, on_err=hear, cwd=folder) as child:
            with self._lock:
                self._children.add(child)
            try:
                if self._over.is_set():
                    child.ask_to_end()
                yield child
            finally:
                with self._lock:
                    self._children.discard(child)

    def _environment(self, script: str) -> dict[str, str]:
        """Everything that the build may need, but no private key, and no other way into the account than the token.

        Whatever a CI system or an `.env` file calls the Worker, it is the one that was decided on.
        """
        kept = {
            name: value
            for name, value in self.environ.items()
            if name not in self.withheld and name not in _NOT_FOR_WRANGLER and not _has_key(value)
        }
        account = {"CLOUDFLARE_ACCOUNT_ID": self.account_id} if self.account_id else {}
        return {**kept, **account, **QUIET, "WRANGLER_CI_OVERRIDE_NAME": script}

    def _secrets(self) -> Secrets:
        names = (*_SECRET, *self.withheld)
        return Secrets(tuple(value for name in names if (value := self.environ.get(name, "").strip())))


def _has_key(value: str) -> bool:
    """Whether a variable holds a private key in PEM, or that in base64."""
    if _PEM in value:
        return True
    _, found, rest = value.partition(_PEM_IN_BASE64)
    try:
        return bool(found) and _PEM.encode() in base64.b64decode((found + rest)[:64])
    except binascii.Error:
        return True  # it begins as a PEM and is none that can be told


def _hint(code: int, *, unseen: bool) -> str:
    if code == 127:
        return "wrangler needs Node on the path"
    if unseen:
        return "an upload may take a moment to reach Workers: run `mtlsctl apply` again, which deploys what is left"
    return "the message is wrangler's own; mend it, then run `mtlsctl apply` again, which deploys what is left"
