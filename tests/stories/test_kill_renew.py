"""Real renewals, really killed, with keys in files and a program that signs: the next run always goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from reconciler.x509.certificates import key_digest
from reconciler.x509.files import parse_file
from reconciler.x509.key_pairs import check_pair
from tests.cli.test_canaries import windows_of
from tests.support.cli import Project
from tests.support.paths import REPOSITORY
from tests.support.pki import Authority, make_ca

DRIVER = REPOSITORY / "tests/support/killing.py"
SIGN = """\
import datetime, sys
from pathlib import Path
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

folder = Path(__file__).parent
csr = x509.load_pem_x509_csr(sys.stdin.buffer.read())
ca = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
made = x509.CertificateBuilder(
    issuer_name=ca.subject, subject_name=csr.subject, public_key=csr.public_key(),
    serial_number=x509.random_serial_number(), not_valid_before=now - datetime.timedelta(minutes=1),
    not_valid_after=now + datetime.timedelta(days=30), extensions=list(csr.extensions),
).sign(load_pem_private_key((folder / "ca.key").read_bytes(), None), hashes.SHA256())
with (folder / "issued").open("a") as log:
    log.write(f"{made.serial_number}\\n")
sys.stdout.buffer.write(made.public_bytes(Encoding.PEM) + ca.public_bytes(Encoding.PEM))
"""


@cache
def authority() -> Authority:
    """A CA that is valid today, for the processes have the clock of this machine."""
    begin = datetime.now(UTC) - timedelta(days=60)
    root = make_ca("Root", not_before=begin, not_after=begin + timedelta(days=3650))
    return root.issue_ca("Internal CA", not_before=begin, not_after=begin + timedelta(days=3000))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A certificate that is due, whose key is not in its sink yet."""
    made = Project(tmp_path / "checkout")
    issuer, keys = tmp_path / "issuer", tmp_path / "keys"
    for folder in (issuer, keys):
        folder.mkdir()
    keys.chmod(0o700)
    (issuer / "sign.py").write_text(SIGN)
    ca = authority()
    (issuer / "ca.pem").write_bytes(ca.certificate_pem)
    (issuer / "ca.key").write_bytes(ca.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    now = datetime.now(UTC)
    old = ca.issue("billing", not_before=now - timedelta(days=29), not_after=now + timedelta(days=1))
    made.write("certs/billing.pem", old.chain_pem)
    made.write(
        "mtls.toml",
        f'version = 1\nstack = "payments"\n[issuers.internal]\nkind = "command"\n'
        f'command = ["{sys.executable}", "{issuer}/sign.py"]\n'
        '[certificates.billing]\ncertificate = "certs/billing.pem"\n'
        f'[certificates.billing.renew]\nissuer = "internal"\nsink = {{ file = "{keys}" }}\n',
    )
    made.environ["MTLSCTL_KEY_DIRS"] = str(keys)
    return made


def run(project: Project, *killed: str) -> subprocess.CompletedProcess[str]:
    """`mtlsctl renew --due`, which gets the signal at a point if one is named."""
    driver = [str(DRIVER), *killed] if killed else ["-m", "reconciler"]
    command = [sys.executable, *driver, "renew", "--due", "--allow-commands"]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY), **project.environ}
    return subprocess.run(command, cwd=project.folder, env=environment, capture_output=True, text=True, check=False)


def assert_whole(project: Project, shown: str) -> None:
    """One certificate file, its key in its slot, they match, and the rest of what was issued is reported."""
    bundle = parse_file((project.folder / "certs/billing.pem").read_bytes(), "certs/billing.pem")
    assert bundle.not_after > datetime.now(UTC) + timedelta(days=25)
    slots = sorted((project.folder.parent / "keys/payments_billing").iterdir())
    (selected,) = [path for path in slots if path.name.endswith(str(key_digest(bundle.leaf)))]
    key = selected.read_bytes()
    assert check_pair(bundle, key, where=None) == ()
    assert selected.stat().st_mode & 0o777 == 0o600
    issued = (project.folder.parent / "issuer/issued").read_text().split()
    assert str(bundle.leaf.serial_number) in issued
    assert len(issued) - 1 <= shown.count("warning[issued-twice]")
    tree = b"".join(path.read_bytes() for path in project.folder.rglob("*") if path.is_file()) + shown.encode()
    assert not [window for window in windows_of(key) if window.encode() in tree]
    assert not [path for path in project.folder.parent.rglob("*.tmp") if path.is_file()]


@pytest.mark.parametrize(
    ("what", "when"), [("write", "before"), ("fsync", "after"), ("replace", "before"), ("replace", "after")]
)
def test_a_killed_renewal_is_finished_by_the_next_run(project: Project, what: str, when: str) -> None:
    """At every write, sync and replacement of a file, one after another."""
    points = 0
    for nth in range(1, 40):
        one = Project(project.folder.parent / str(nth) / "checkout", dict(project.environ))
        copy(project, one)
        killed = run(one, "SIGKILL", what, str(nth), when)
        if killed.returncode == 0:
            break
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        points += 1
        again = run(one)
        assert again.returncode == 0, again.stdout + again.stderr
        assert_whole(one, killed.stdout + killed.stderr + again.stderr)
    assert points >= (1 if what == "replace" else 3)


def copy(project: Project, other: Project) -> None:
    """The same project in a place of its own."""
    old, new = project.folder.parent, other.folder.parent
    for name in ("checkout", "issuer"):
        for path in (old / name).rglob("*"):
            if path.is_file():
                target = new / path.relative_to(old)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes().replace(f"{old}/".encode(), f"{new}/".encode()))
    (new / "keys").mkdir(mode=0o700)
    other.environ["MTLSCTL_KEY_DIRS"] = str(new / "keys")
