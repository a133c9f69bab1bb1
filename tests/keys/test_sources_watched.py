"""What others on the machine can see while a key is read from each source: arguments, environments, and files."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import boto3
import pyrage
import pytest
import tomli
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12
from moto import mock_aws

from tests.cli.test_canaries import windows
from tests.keys.test_aws import CREDENTIALS, REGION
from tests.keys.test_stdin import printed
from tests.support.cli import MTLS, Project, make_project
from tests.support.paths import REPOSITORY
from tests.support.tools import find_tool
from tests.support.watching import Seen, watched
from tests.support.worlds import issued

PEM, LOCKED = issued(1).key_pem, issued(1).encrypted_key_pem()
PASSPHRASE = "correct horse battery"
IDENTITY = pyrage.x25519.Identity.generate()
PRINTS = "import sys; print(open(sys.argv[1]).read())"


@dataclass(frozen=True)
class Case:
    """A source, what it needs, and the files that have the key in clear because the user keeps it there."""

    source: str
    prepare: Callable[[Project], None]
    in_clear: tuple[str, ...] = ()
    programs: frozenset[str] = frozenset()


def prints(path: str) -> str:
    """A `command` that prints a file."""
    return f"{{ command = {json.dumps([sys.executable, '-c', PRINTS, path])} }}"


def variables(**values: str) -> Callable[[Project], None]:
    """Put these into the environment, with a file that has the passphrase for a command."""

    def prepare(project: Project) -> None:
        project.environ |= values
        project.write("kept/passphrase.txt", PASSPHRASE)

    return prepare


def file(path: str, data: bytes) -> Callable[[Project], None]:
    """Write a file that only the user can read, and have an age key and a passphrase in the environment."""

    def prepare(project: Project) -> None:
        project.write(path, data).chmod(stat.S_IRUSR | stat.S_IWUSR)
        project.environ |= {"SOPS_AGE_KEY": str(IDENTITY), "PASSPHRASE": PASSPHRASE}

    return prepare


def sops(project: Project) -> None:
    """A file that the real sops encrypted, which is on the PATH."""
    path = project.write("mtls.json", json.dumps({"billing": {"key": PEM.decode()}}))
    words = ["--encrypt", "--age", str(IDENTITY.to_public()), "--in-place", str(path)]
    subprocess.run([str(find_tool("sops")), *words], check=True, env={"HOME": str(project.folder)})
    project.environ |= {
        "SOPS_AGE_KEY": str(IDENTITY),
        "PATH": os.pathsep.join((str(find_tool("sops").parent), os.environ["PATH"])),
    }


def no_sops(project: Project) -> None:
    """The same file, and no sops."""
    sops(project)
    project.environ["PATH"] = os.defpath


def aws(project: Project) -> None:
    """A secret in what moto has for AWS."""
    session = boto3.Session("a", "b", region_name=REGION)
    session.client("secretsmanager").create_secret(Name="billing", SecretString=PEM.decode())
    project.environ |= {**CREDENTIALS, "AWS_REGION": REGION}


def keystore() -> bytes:
    """A PKCS#12 file with the key."""
    key = issued(1).key
    assert isinstance(key, EllipticCurvePrivateKey)
    return pkcs12.serialize_key_and_certificates(b"x", key, None, None, BestAvailableEncryption(PASSPHRASE.encode()))


def nothing(_: Project) -> None:
    """What is piped is enough."""


PYTHON = frozenset({Path(sys.executable).name})
EXTRACT = '{ sops = "mtls.json", extract = ["billing", "key"] }'
CASES = {
    "env": Case('{ env = "BILLING_KEY" }', variables(BILLING_KEY=PEM.decode())),
    "env, and a program for its passphrase": Case(
        f'{{ env = "BILLING_KEY", passphrase = {prints("kept/passphrase.txt")} }}',
        variables(BILLING_KEY=PEM.decode()),
        programs=PYTHON,
    ),
    "file": Case('"kept/billing.key"', file("kept/billing.key", PEM), ("kept/billing.key",)),
    "pkcs12": Case('{ pkcs12 = "a.p12", passphrase = { env = "PASSPHRASE" } }', file("a.p12", keystore())),
    "command": Case(prints("kept/billing.key"), file("kept/billing.key", PEM), ("kept/billing.key",), PYTHON),
    "sops": Case(EXTRACT, sops, programs=frozenset({"sops"})),
    "sops without sops": Case(EXTRACT, no_sops),
    "age": Case('{ age = "a.age" }', file("a.age", pyrage.encrypt(PEM, [IDENTITY.to_public()]))),
    "aws": Case('{ aws = "billing" }', aws),
    "stdin": Case("{ stdin = true }", nothing),
}


def secrets_in(seen: Seen) -> set[str]:
    """Where a part of the key was seen, or one of the secrets that lead to it."""
    others = {PASSPHRASE, str(IDENTITY), CREDENTIALS["AWS_SECRET_ACCESS_KEY"], CREDENTIALS["AWS_SESSION_TOKEN"]}
    return {place for secret in windows(issued(1)) | others for place in seen.places(secret)}


@pytest.mark.parametrize("name", CASES)
def test_nobody_sees_the_key_while_it_is_read(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the arguments or the environment of a child, not in a file for a moment. A program of mtls.toml, and sops,
    get other variables: they may need them."""
    case = CASES[name]
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    project = make_project(tmp_path / "project", MTLS.replace('{ env = "BILLING_KEY" }', case.source))
    project.environ = {"TMPDIR": str(temporary)}
    with mock_aws(), printed(PEM if name == "stdin" else b"") as stream:
        case.prepare(project)
        with watched(temporary, project.folder) as seen:
            result = project.run("apply", "--yes", "--allow-commands", "--verbose", stdin=stream)
    assert result.code == 0, result.out + result.err
    assert case.programs <= seen.programs()
    kept = {str(project.folder / path) for path in (*case.in_clear, "kept/passphrase.txt")}
    assert {place for place in secrets_in(seen) - kept if not place.startswith("environment")} == set()
    for secret in windows(issued(1)):
        assert not [place for place in seen.places(secret) if place.startswith("environment")]
    text = (result.out + result.err).replace("\n", "")
    assert not any(secret in text for secret in windows(issued(1)))


RECIPES = re.findall(
    r"^\| ([\w ]+) \| `(\{ command = .*\})` \|$", (REPOSITORY / "docs/how-to/keys.md").read_text(), re.M
)


def test_every_password_manager_of_the_page_is_tried() -> None:
    """So that a row that is written in another way is not left out."""
    assert [name for name, _ in RECIPES] == ["1Password", "Bitwarden", "pass", "Google Cloud", "Azure"]


@pytest.mark.parametrize(("name", "source"), RECIPES, ids=[name for name, _ in RECIPES])
def test_the_recipe_for_a_password_manager_can_be_copied(tmp_path: Path, name: str, source: str) -> None:
    """It starts the program with these words, each as it is written; what it prints is uploaded."""
    words = tomli.loads(f"private_key = {source}")["private_key"]["command"]
    project = make_project(tmp_path, MTLS.replace('{ env = "BILLING_KEY" }', source))
    script = "#!/bin/sh\nprintf '%s\\n' \"$@\" > asked.txt\ncat billing.key\n"
    project.write(f"bin/{words[0]}", script).chmod(0o755)
    project.write("billing.key", PEM)
    project.environ = {"PATH": os.pathsep.join((str(tmp_path / "bin"), os.defpath))}
    result = project.run("apply", "--yes", "--allow-commands")
    assert result.code == 0, result.out + result.err
    assert project.read("asked.txt").splitlines() == words[1:]
