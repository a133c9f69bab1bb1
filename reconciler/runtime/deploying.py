"""Deploys a wrangler file with the project's own wrangler, which builds and deploys as usual."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field
from fnmatch import fnmatchcase
from pathlib import Path

from reconciler.findings.errors import DeployError
from reconciler.findings.secrets import Secrets
from reconciler.findings.values import dataclass
from reconciler.model import EnvironmentName
from reconciler.runtime.children import Child, OnLine, environment, has_key, running
from reconciler.runtime.find import MissingProgram, find_wrangler
from reconciler.runtime.output import deployed_version, is_unseen, last_words
from reconciler.runtime.wrangler import NODE, QUIET, plain, private_folder

_GLOBAL_KEYS = ("CLOUDFLARE_API_KEY", "CF_API_KEY")
_PASSED_ON = (
    *("CLOUDFLARE_API_TOKEN", "CLOUDFLARE_COMPLIANCE_REGION", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("CI", "GITHUB_ACTIONS", "GITLAB_CI", "NODE_ENV", "WRANGLER_LOG", "WRANGLER_BUILD_CONDITIONS"),
)
MORE_VARIABLES = "MTLSCTL_PASS"
"""More names of variables for the build, separated by commas; globs."""
_SETTLED = {
    "CLOUDFLARE_API_KEY": "not-used",
    "CLOUDFLARE_EMAIL": "",
    "CLOUDFLARE_ENV": "",
    "NODE_TLS_REJECT_UNAUTHORIZED": "1",
    "WRANGLER_API_ENVIRONMENT": "production",
}
"""What decides where wrangler sends the token, and which one: set, so that no `.env` file can. From an `.env` file
wrangler takes what is unset or empty. A global key counts only together with an address, so that one alone leaves the
token in use, and an address from an `.env` file makes the deploy fail. `--env` wins over `CLOUDFLARE_ENV`."""
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
"""Each is read in lower case first, where an empty one counts as set."""
_SECRET = ("CLOUDFLARE_API_TOKEN", "CF_API_TOKEN", "CLOUDFLARE_ACCESS_CLIENT_SECRET", *_GLOBAL_KEYS)
_KEPT_LINES = 400

LONGEST_S = 1800.0
"""Seconds. A build may take long; one that takes longer hangs."""
_VERSION_S = 60.0
_VERSION = re.compile(r"\b(\d+)\.\d+\.\d+\b")
_OLDEST = 4
"""The oldest major version of wrangler that deploys are tested with."""
_COMMAND_NOT_FOUND = 127
_NO_NODE = "install Node, which wrangler needs on the PATH"
LAG_PAUSES_S = (2.0, 4.0, 8.0, 10.0)
"""Seconds between attempts while Workers don't see an upload yet: with the attempts, more than 20 seconds in total."""


@dataclass(slots=True)
class WranglerDeployer:
    """The port `WorkerDeployer`. `withheld` are variables with private keys, which no build needs; `base_url` is the
    address of the API."""

    folder: Path
    root: Path
    environ: Mapping[str, str] = field(repr=False)
    withheld: frozenset[str]
    account_id: str | None
    base_url: str
    longest_s: float = LONGEST_S
    pauses_s: tuple[float, ...] = LAG_PAUSES_S
    _over: threading.Event = field(default_factory=threading.Event, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _children: set[Child] = field(default_factory=set, init=False)

    def demand_programs(self, configs: Iterable[str]) -> None:
        """As in the port; each wrangler is asked for its version, which needs Node as a deploy does."""
        found: dict[Path, Path] = {}
        missing: list[str] = []
        for config in dict.fromkeys(configs):
            folder = (self.folder / config).parent
            wrangler = find_wrangler(folder, self.root, self.environ)
            if wrangler is None:
                missing.append(config)
            else:
                found.setdefault(wrangler, folder)
        if missing:
            raise _not_found(missing)
        for wrangler, folder in found.items():
            self._demand_usable(wrangler, folder)

    def _demand_usable(self, wrangler: Path, folder: Path) -> None:
        lines: list[str] = []
        variables = {**environment(self.environ, *NODE), **QUIET}
        with self._running([str(wrangler), "--version"], variables, folder, lines.append) as child:
            try:
                code = child.wait(_VERSION_S)
            except TimeoutError:
                return  # a slow machine; the deploy itself has its own limit
        words = last_words([plain(line) for line in lines], self._secrets())
        if code:
            hint = _NO_NODE if code == _COMMAND_NOT_FOUND else "fix what it reports, or install wrangler again"
            raise MissingProgram(f"wrangler can't be run ({wrangler}): {words}", hint=hint)
        version = _VERSION.search(words)
        if version is not None and int(version[1]) < _OLDEST:
            message = f"wrangler {version[0]} is too old to deploy with ({wrangler})"
            raise MissingProgram(message, hint=f"run `npm install --save-dev wrangler@{_OLDEST}` in {folder}")

    def deploy(self, config: str, environment: EnvironmentName, script: str) -> str | None:
        """The version that `wrangler deploy` reports; DeployError with wrangler's last output if it failed."""
        path = self.folder / config
        wrangler = find_wrangler(path.parent, self.root, self.environ)
        if wrangler is None:
            raise _not_found([config])
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
        """As in the port."""
        self._over.set()
        with self._lock:
            for child in self._children:
                child.ask_to_end()

    def _run(
        self, command: list[str], variables: Mapping[str, str], folder: Path, config: str
    ) -> tuple[int, list[str]]:
        """The exit code and the last lines of output; DeployError if it does not finish."""
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
                    f"wrangler did not finish within {self.longest_s:.0f} s and was stopped; {config} may or may not be"
                    f" deployed: {words}",
                    hint="run `mtlsctl apply` again; it checks the live version",
                ) from error

    @contextmanager
    def _running(self, command: list[str], variables: Mapping[str, str], folder: Path, hear: OnLine) -> Iterator[Child]:
        """A child that `give_up` can end."""
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
        """What programs need, the token, what `MTLSCTL_PASS` names, and no private key.

        Account, address, proxies and the Worker's name are the planned ones, whatever a CI system or an `.env` file
        sets: a variable that is set, even to nothing, is not read from there.
        """
        asked = [name.strip() for name in self.environ.get(MORE_VARIABLES, "").split(",") if name.strip()]
        more = [name for name in self.environ if any(fnmatchcase(name, pattern) for pattern in asked)]
        kept = {
            name: value
            for name, value in environment(self.environ, *NODE, *_PASSED_ON, *more).items()
            if name not in self.withheld and not has_key(value)
        }
        proxies = {
            spelled: self.environ.get(name.lower()) or self.environ.get(name, "")
            for name in _PROXIES
            for spelled in (name, name.lower())
        }
        settled = {**proxies, **_SETTLED, "CLOUDFLARE_API_BASE_URL": self.base_url}
        account = {"CLOUDFLARE_ACCOUNT_ID": self.account_id} if self.account_id else {}
        return {**kept, **settled, **account, **QUIET, "WRANGLER_CI_OVERRIDE_NAME": script}

    def _secrets(self) -> Secrets:
        names = (*_SECRET, *self.withheld)
        return Secrets(tuple(value for name in names if (value := self.environ.get(name, "").strip())))


def _not_found(configs: Sequence[str]) -> MissingProgram:
    more = f" and {len(configs) - 1} more" if len(configs) > 1 else ""
    return MissingProgram(
        f"wrangler was not found, so {configs[0]}{more} can't be deployed",
        hint="check the PATH, or run `npm install --save-dev wrangler` in its folder, or set MTLSCTL_WRANGLER",
    )


def _hint(code: int, *, unseen: bool) -> str:
    if code == _COMMAND_NOT_FOUND:
        return _NO_NODE
    if unseen:
        return "run `mtlsctl apply` again to deploy the rest; an upload may take a moment to reach Workers"
    return "fix what wrangler reports, then run `mtlsctl apply` again to deploy the rest"
