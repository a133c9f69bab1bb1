"""Keys in files that SOPS encrypted: what is asked of `sops`, and the real one, with age, where it is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from reconciler.findings.codes import Code
from reconciler.findings.errors import FileError, KeySourceError
from reconciler.keys.age import AgeKeys
from reconciler.keys.sops import SopsKeySource
from reconciler.model import KeyReference
from reconciler.model.keys import KeyFile
from tests.cli.test_canaries import EVERYTHING, LOGS, search
from tests.support.cli import MTLS, Project, make_project
from tests.support.pki import make_ca
from tests.support.tools import find_age, find_tool
from tests.support.worlds import issued

LEAF = make_ca("Root").issue("client")


@dataclass
class Asked:
    """Key files and programs; what was asked of them."""

    output_: bytes = LEAF.key_pem
    missing: bool = False
    commands: list[list[str]] = field(default_factory=list)

    def read_key(self, path: str, *, limit: int) -> KeyFile:
        if self.missing:
            raise FileError(f"{path!r} does not exist", code=Code.FILE_MISSING)
        return KeyFile(b"x" * min(limit, 10))

    def output(self, command: Sequence[str], *, limit: int, stdin: bytes | None = None) -> bytes:
        assert limit > 0
        self.commands.append([*command])
        return self.output_

    def has(self, program: str) -> bool:
        return program == "sops"


def nothing(path: str) -> bytes:
    raise AssertionError(f"{path} was read")


def opened(asked: Asked, **options: str) -> bytes:
    return SopsKeySource(asked, asked, AgeKeys(nothing, {})).open(KeyReference("sops", options)).pem


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sops": "secrets/key.pem"}, ["./secrets/key.pem"]),
        ({"sops": "-x.yaml", "extract": "billing"}, ["--extract", '["billing"]', "./-x.yaml"]),
        ({"sops": "/keys/x.yaml", "extract": "a 'b c'"}, ["--extract", '["a"]["b c"]', "/keys/x.yaml"]),
    ],
)
def test_sops_is_asked_for_the_key_alone(options: dict[str, str], words: list[str]) -> None:
    """No path can be taken for an option."""
    asked = Asked()
    assert opened(asked, **options) == LEAF.key_pem
    assert asked.commands == [["sops", "--decrypt", *words]]


def test_a_file_outside_of_the_tree_is_not_given_to_sops() -> None:
    """The place of the file is judged as that of every other key."""
    asked = Asked(missing=True)
    with pytest.raises(KeySourceError, match="does not exist"):
        opened(asked, sops="x.yaml")
    assert asked.commands == []


def test_nothing_at_that_place_is_an_error() -> None:
    with pytest.raises(KeySourceError, match="has nothing there"):
        opened(Asked(output_=b"\n"), sops="x.yaml", extract="a")


@pytest.fixture
def tools() -> str:
    """A PATH with the real `sops` and `age-keygen`; skipped where they are not installed."""
    return os.pathsep.join((str(find_tool("sops").parent), str(find_age()), os.defpath))


def encrypted(project: Project, text: str, name: str) -> None:
    """A file of the project that SOPS encrypted for a new age key, which is in the environment."""
    made = subprocess.run(["age-keygen"], check=True, capture_output=True, text=True)
    public = made.stderr.split(":")[1].strip()
    project.environ["SOPS_AGE_KEY"] = made.stdout
    plain = project.write(name, text)
    command = [str(find_tool("sops")), "--encrypt", "--age", public, "--in-place", str(plain)]
    subprocess.run(command, check=True, capture_output=True, cwd=project.folder)
    assert LEAF.key_pem.decode().splitlines()[1] not in project.read(name)


@pytest.mark.parametrize("name", ["mtls.yaml", "mtls.json"])
def test_the_real_sops_gives_the_key(tmp_path: Path, tools: str, name: str) -> None:
    """The way of a user: a file in the repository, the age key in the environment, no option; and nothing is shown."""
    source = f'{{ sops = "{name}", extract = ["billing", "key"] }}'
    project = make_project(tmp_path, MTLS.replace('{ env = "BILLING_KEY" }', source))
    project.write("certs/billing.pem", LEAF.certificate_pem)
    project.environ = {"PATH": tools}
    encrypted(project, json.dumps({"billing": {"key": LEAF.key_pem.decode()}}), name)
    result = project.run("apply", "--yes", "--verbose", "--format", "json")
    assert result.code == 0, result.out + result.err
    assert [step["change"]["action"] for step in result.json["done"]] == ["upload", "rebind"]
    journal = "".join(path.read_text() for path in (tmp_path / ".mtlsctl").glob("journal*"))
    for secret in ("AGE-SECRET-KEY", LEAF.key_pem.decode().splitlines()[1]):
        assert secret not in result.out + result.err + journal


def test_the_wrong_age_key_changes_nothing(tmp_path: Path, tools: str) -> None:
    """The finding names the program, and how to see what it says."""
    project = make_project(tmp_path, MTLS.replace('{ env = "BILLING_KEY" }', '{ sops = "key.pem" }'))
    project.write("certs/billing.pem", LEAF.certificate_pem)
    project.environ = {"PATH": tools}
    encrypted(project, LEAF.key_pem.decode(), "key.pem")
    other = subprocess.run(["age-keygen"], check=True, capture_output=True, text=True)
    project.environ["SOPS_AGE_KEY"] = other.stdout
    result = project.run("apply", "--yes")
    assert result.code == 1
    assert "the command 'sops' failed with exit code" in " ".join(result.out.split())


@pytest.mark.parametrize("log", LOGS, ids=["text", "json"])
def test_the_file_of_the_real_sops_needs_no_sops(tmp_path: Path, tools: str, log: tuple[str, ...]) -> None:
    """A whole run without `sops` on its PATH: the same upload, and nothing secret in anything that is written."""
    source = '{ sops = "mtls.yaml", extract = ["billing", "key"] }'
    project = make_project(tmp_path, MTLS.replace('{ env = "BILLING_KEY" }', source))
    project.environ = {"PATH": tools}
    encrypted(project, json.dumps({"billing": {"key": issued(1).key_pem.decode()}}), "mtls.yaml")
    project.environ["PATH"] = os.defpath
    assert shutil.which("sops", path=os.defpath) is None
    results = [project.run(*arguments, *log) for arguments in EVERYTHING]
    assert [result.code for result in results] == [0] * len(results), [one.out + one.err for one in results]
    search(project, results, (1,), ())
    age_key = project.environ["SOPS_AGE_KEY"].splitlines()[-1]
    written = [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(age_key in text for text in (*written, *(one.out + one.err for one in results)))
