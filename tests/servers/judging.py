"""What real origins do with client certificates of every kind: one verdict for each kind, origin and version of TLS.

The verdicts are kept in `tests/support/data/origin-verdicts.json`, with the versions of who gave them. After a change
of the kinds, `python -m tests.servers.judging` writes them again; it needs Go, nginx, openssl and workerd.
"""

from __future__ import annotations

import contextlib
import json
import re
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from reconciler.model.ports import PrivateKey
from reconciler.proof.reach import OriginCall, Reach, Reached
from reconciler.runtime.reaching import LocalRuntime
from reconciler.x509.pem import encode
from tests.servers import find_program
from tests.servers.certificates import pki
from tests.servers.lenient import ACCEPTED, NOT_SENT, REFUSED, show
from tests.servers.programs import find_go, go_tls, nginx, s_server, workerd_tls
from tests.support.der_certificates import Made, root
from tests.support.odd_clients import KINDS
from tests.support.runtime_programs import workerd

TABLE = Path(__file__).parents[1] / "support" / "data" / "origin-verdicts.json"
UNUSABLE = "unusable"
"""workerd does not start with such a certificate or key."""

Verdicts = Mapping[str, Mapping[str, str]]
"""By kind, then by judge."""


@dataclass(frozen=True)
class Origin:
    """A real origin that demands client certificates; `version` is what its program says of itself."""

    start: Callable[[Path], AbstractContextManager[int]]
    version: Callable[[], str]


def _said(program: str, argument: str, pattern: str) -> str:
    done = subprocess.run([program, argument], capture_output=True, check=True, text=True)
    found = re.search(pattern, done.stdout + done.stderr)
    assert found is not None, done
    return found[0]


ORIGINS: Mapping[str, Origin] = {
    "openssl": Origin(
        lambda folder: s_server(folder, "-Verify", "5", "-verify_return_error"),
        lambda: _said(find_program("openssl"), "version", r"OpenSSL \S+"),
    ),
    "nginx": Origin(lambda folder: nginx(folder, "on"), lambda: _said(find_program("nginx"), "-v", r"nginx/\S+")),
    "go": Origin(go_tls, lambda: _said(find_go(), "version", r"go1\S+")),
    "workerd": Origin(workerd_tls, lambda: _said(str(workerd()), "--version", r"\d{4}-\d{2}-\d{2}")),
}
_TLS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
CLIENT = ssl.OPENSSL_VERSION.rsplit(maxsplit=3)[0]
"""The library that shows the certificates."""

REACHED = ("nginx", "go")
"""The origins that a Worker calls, too."""

JUDGES = (
    *(f"{origin} {version}" for origin in ORIGINS for version in _TLS),
    *(f"a Worker to {origin}" for origin in REACHED),
)


def judged(origin: str, kinds: Iterable[str]) -> dict[str, dict[str, str]]:
    """The verdicts of an origin in TLS 1.2 and 1.3."""
    made = {kind: KINDS[kind]() for kind in kinds}
    with running(origin, made.values()) as port:
        return {
            kind: {
                f"{origin} {version}": show(port, one.pem, one.key_pem, _TLS[version]).partition(":")[0]
                for version in _TLS
            }
            for kind, one in made.items()
        }


def reached(origin: str, kinds: Iterable[str]) -> dict[str, dict[str, str]]:
    """What comes of it where a Worker calls an origin with each certificate."""
    made = {kind: KINDS[kind]() for kind in kinds}
    with running(origin, made.values()) as port, ThreadPoolExecutor(2) as pool:
        calls = pool.map(lambda one: _call(one, port), made.values())
        return {kind: {f"a Worker to {origin}": verdict} for kind, verdict in zip(made, calls, strict=True)}


@contextlib.contextmanager
def running(origin: str, clients: Iterable[Made]) -> Iterator[int]:
    """The port of an origin that trusts the root, and those of the clients that signed themselves."""
    trusted = (root().der, *(one.der for one in clients if one.signs_itself))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pki().write(folder)
        (folder / "clients.pem").write_text("".join(encode("CERTIFICATE", der) for der in trusted))
        with ORIGINS[origin].start(folder) as port:
            yield port


def _call(one: Made, port: int) -> str:
    runtime = LocalRuntime([Path("/")], Path("/"), {"MTLSCTL_WORKERD": str(workerd())}, 20)
    trusted = (pki().server_root.certificate_pem.decode(),)
    return _word(
        runtime.call(OriginCall(f"https://localhost:{port}/", one.pem.decode(), PrivateKey(one.key_pem), trusted))
    )


def _word(reach: Reach) -> str:
    match reach.reached:
        case Reached.ANSWERED if reach.status == 200:
            return ACCEPTED
        case Reached.UNUSABLE:
            return UNUSABLE
        case Reached.NOT_SENT:
            return NOT_SENT
        case Reached.REJECTED:
            return REFUSED
        case _:
            raise AssertionError(reach)


def stored() -> tuple[Mapping[str, str], Verdicts]:
    """The versions of who judged, and the verdicts."""
    table = json.loads(TABLE.read_text())
    return table["versions"], {
        kind: dict(zip(JUDGES, [row] * len(JUDGES) if isinstance(row, str) else row, strict=True))
        for kind, row in table["verdicts"].items()
    }


def is_of_this_machine(origin: str) -> bool:
    """Whether the stored verdicts are those of the very programs that are installed here."""
    versions, _ = stored()
    return versions.get("client") == CLIENT and versions.get(origin) == ORIGINS[origin].version()


def write() -> None:
    """Judge everything, and write the table: a line for each kind, one word where all agree."""
    rows: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
    for judge in (judged, reached):
        for origin in ORIGINS if judge is judged else REACHED:
            for kind, verdicts in judge(origin, KINDS).items():
                rows[kind].update(verdicts)
    lines = []
    for kind, row in rows.items():
        words = [row[judge] for judge in JUDGES]
        lines.append(f"    {json.dumps(kind)}: {json.dumps(words[0] if len(set(words)) == 1 else words)}")
    versions = {"client": CLIENT, **{name: origin.version() for name, origin in ORIGINS.items()}}
    head = json.dumps({"versions": versions, "judges": JUDGES}, indent=2)[:-2]
    TABLE.write_text(f'{head},\n  "verdicts": {{\n' + ",\n".join(lines) + "\n  }\n}\n")


if __name__ == "__main__":
    write()
