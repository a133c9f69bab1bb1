"""The command line in process: a project in a folder, and what a run of `mtlsctl` there prints and ends with."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TextIO
from unittest import mock

import httpx

from reconciler.cli import main
from tests.support.pki import Issued
from tests.support.worlds import issued

WRANGLER = """\
name = "checkout"
main = "src/index.js"
compatibility_date = "2026-11-01"

[[mtls_certificates]]
binding = "BILLING"
certificate_id = "<CERTIFICATE_ID>"
"""

MTLS = """\
version = 1
stack = "payments"

[certificates.billing]
certificate = "certs/billing.pem"
private_key = { env = "BILLING_KEY" }

[workers.checkout]
config = "wrangler.toml"

[workers.checkout.bindings]
BILLING = "billing"
"""


@dataclass(frozen=True)
class Result:
    """What a run printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Its stdout as a JSON document; what is inside is for the test to say."""
        document = json.loads(self.out)
        assert isinstance(document, dict)
        return document


@dataclass
class Project:
    """A folder with an mtls.toml, its certificates and wrangler files. `issue`: makes a certificate of a number."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)
    issue: Callable[[int], Issued] = issued

    def write(self, path: str, text: str | bytes) -> Path:
        """A file of the project."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode() if isinstance(text, str) else text)
        return target

    def read(self, path: str) -> str:
        """A file of the project."""
        return (self.folder / path).read_bytes().decode()

    def certificate(self, name: str, number: int) -> None:
        """Put the number-th test certificate under a name, and its key into the environment."""
        self.write(f"certs/{name}.pem", self.issue(number).certificate_pem)
        self.environ[f"{name.upper().replace('-', '_')}_KEY"] = self.issue(number).key_pem.decode()

    def run(self, *arguments: str, folder: str = ".", stdin: TextIO | None = None) -> Result:
        """`mtlsctl ARGUMENTS` in the project's folder, with nothing of the real environment but what is needed."""
        return run(self.folder / folder, self.environ, *arguments, stdin=stdin)


def run(folder: Path, environ: Mapping[str, str], *arguments: str, stdin: TextIO | None = None) -> Result:
    """`mtlsctl ARGUMENTS` in a folder."""
    out, err = io.StringIO(), io.StringIO()
    environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(folder), **environ}
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.dict(os.environ, environment, clear=True),
        mock.patch.object(sys, "argv", ["mtlsctl", *arguments]),
        mock.patch.object(sys, "stdin", stdin or io.StringIO()),
        mock.patch.object(httpx, "create_ssl_context", _tls_settings),
        contextlib.chdir(folder),
        _signals_kept(),
    ):
        try:
            main()
        except SystemExit as ended:
            code = ended.code
    return Result(code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())


_tls_settings = cache(httpx.create_ssl_context)
"""The certificates of all CAs are read once, not in each run that connects."""


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """A run ends its process, so it leaves signals as it needs them; here the process goes on."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def make_project(
    folder: Path, mtls: str = MTLS, wrangler: str = WRANGLER, *, issue: Callable[[int], Issued] = issued
) -> Project:
    """One certificate, one Worker, one binding with a placeholder."""
    project = Project(folder, issue=issue)
    project.write("mtls.toml", mtls)
    project.write("wrangler.toml", wrangler)
    project.certificate("billing", 1)
    return project
