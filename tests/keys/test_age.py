"""Keys in files that age encrypted, in whole runs: by its library, and by age itself in both forms."""

from __future__ import annotations

import subprocess
import sys
from itertools import cycle
from pathlib import Path

import pyrage
import pytest
from pyrage import x25519

from tests.cli.test_canaries import EVERYTHING, LOGS, search
from tests.support.cli import MTLS, Project, make_project
from tests.support.tools import find_age
from tests.support.worlds import issued

IDENTITY = x25519.Identity.generate()
OTHER = x25519.Identity.generate()
KEY = "secrets/billing.key.age"
PEM = issued(1).key_pem
LOCKED = b"""\
-----BEGIN AGE ENCRYPTED FILE-----
YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IHNjcnlwdCA1U1pUVTJnQXh1WnE4dEJ0
R2hEZ0V3IDE5Cnh2ekc0T25ZSGx6SUJUVUVHQ0x3czV0RnZQTnNuZ3ZvSThYVHNr
YXlpOW8KLS0tIE5lRi9zelVHRWhTVkZlTEtFbGVyU3hyQ2FwS1RNZWNJSndJTTdP
YUFFK1kKVeWgNF/H8Blx4UPwGP+/iuDPQqmO7l+IcrufTyIwCdVQ
-----END AGE ENCRYPTED FILE-----
"""
"""What `age -p` makes of an x, kept here because making it takes three seconds."""


def declare(folder: Path, data: bytes | None = None) -> Project:
    """A project whose key is in an age file, and the age key in the environment."""
    project = make_project(folder, MTLS.replace('{ env = "BILLING_KEY" }', f'{{ age = "{KEY}" }}'))
    project.write(KEY, pyrage.encrypt(PEM, [IDENTITY.to_public()]) if data is None else data)
    project.environ = {"SOPS_AGE_KEY": str(IDENTITY)}
    return project


def test_neither_the_key_nor_the_age_key_is_in_what_is_written(tmp_path: Path) -> None:
    """The whole way, every command; the file in the repository stays as it is."""
    project = declare(tmp_path)
    results = [project.run(*arguments, *log) for arguments, log in zip(EVERYTHING, cycle(LOGS))]
    assert [result.code for result in results] == [0] * len(results), [one.out + one.err for one in results]
    search(project, results, (1,), ())
    written = [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(str(IDENTITY) in text for text in (*written, *(one.out + one.err for one in results)))


@pytest.mark.parametrize("command", [["validate"], ["plan"], ["doctor"], ["status"], ["drift"], ["plan", "--offline"]])
def test_nothing_but_apply_and_verify_decrypts_it(
    tmp_path: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They run on pull requests, whose files may be made to take long."""
    project = declare(tmp_path)
    monkeypatch.setattr(pyrage, "decrypt", lambda *_: pytest.fail("it was decrypted"))
    assert project.run(*command).code in (0, 2)


def test_a_key_that_is_encrypted_in_git_is_no_finding(tmp_path: Path) -> None:
    """That is what it is encrypted for."""
    project = declare(tmp_path)
    for words in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", *words], check=True, cwd=tmp_path)
    result = project.run("validate")
    assert (result.code, "key-in-git" in result.out) == (0, False)


@pytest.mark.parametrize("source", ["age", "sops"])
def test_a_key_that_is_not_encrypted_in_git_is_an_error(tmp_path: Path, source: str) -> None:
    """Whatever mtls.toml says that the file is."""
    project = declare(tmp_path, PEM)
    project.write("mtls.toml", project.read("mtls.toml").replace("age =", f"{source} ="))
    for words in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", *words], check=True, cwd=tmp_path)
    result = project.run("validate")
    assert (result.code, "error[key-in-git]" in result.out) == (1, True)


WRONG: dict[str, tuple[bytes, dict[str, str], str]] = {
    "another recipient": (
        pyrage.encrypt(PEM, [OTHER.to_public()]),
        {},
        f"'{KEY}' could not be decrypted with the 1 age key that was found",
    ),
    "a passphrase": (LOCKED, {}, "could not be decrypted with the 1 age key"),
    "cut off": (pyrage.encrypt(PEM, [IDENTITY.to_public()])[:-20], {}, "encrypted for another one, or damaged"),
    "armored and cut off": (
        pyrage.encrypt(PEM, [IDENTITY.to_public()], armored=True)[:-60],
        {},
        "encrypted for another one, or damaged",
    ),
    "in clear": (PEM, {}, f"'{KEY}' is not a file that age encrypted"),
    "empty": (b"", {}, f"'{KEY}' is not a file that age encrypted"),
    "not a key": (pyrage.encrypt(b"hello", [IDENTITY.to_public()]), {}, "private key"),
    "no age key": (pyrage.encrypt(PEM, [IDENTITY.to_public()]), {"SOPS_AGE_KEY": ""}, "no age key was found"),
    "a damaged age key": (
        pyrage.encrypt(PEM, [IDENTITY.to_public()]),
        {"SOPS_AGE_KEY": str(OTHER)[:-5]},
        "an age key in SOPS_AGE_KEY is damaged",
    ),
    "no file of age keys": (
        pyrage.encrypt(PEM, [IDENTITY.to_public()]),
        {"SOPS_AGE_KEY_FILE": "/nowhere/\x1b[31mkeys.txt"},
        "the file of age keys can't be read",
    ),
    "too large": (b"age-encryption.org/v1\n" + b"x" * 200_000, {}, "is larger than 100,000 bytes"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_can_not_be_decrypted_changes_nothing(tmp_path: Path, case: str) -> None:
    """It is found out before anything of that certificate is changed; no secret and no control character is shown."""
    data, environ, message = WRONG[case]
    project = declare(tmp_path, data)
    project.environ |= environ
    before = project.read("wrangler.toml")
    result = project.run("apply", "--yes")
    assert (result.code, project.read("wrangler.toml")) == (1, before)
    shown = result.out + result.err
    assert message in " ".join(shown.split())
    assert not any(secret in shown for secret in (str(IDENTITY)[20:], str(OTHER)[20:-5], "\x1b"))
    search(project, [result], (1,), (KEY,))


def test_without_its_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, and nothing is changed; what needs no key works."""
    project = declare(tmp_path)
    monkeypatch.setitem(sys.modules, "pyrage", None)
    result = project.run("apply", "--yes")
    assert result.code == 1
    shown = " ".join((result.out + result.err).split())
    assert "this private key needs pyrage, which is not installed" in shown
    assert "pipx install --force '.[age]'" in shown
    assert "Traceback" not in shown
    assert project.run("plan").code == 0


@pytest.mark.parametrize("armor", [[], ["--armor"]], ids=["binary", "armored"])
def test_what_the_real_age_encrypted_is_read(tmp_path: Path, armor: list[str]) -> None:
    """For two recipients, by the age key of one of them in a file; the key inside may have a passphrase, too."""
    project = declare(tmp_path)
    (tmp_path / KEY).unlink()
    keygen, age = (str(find_age() / name) for name in ("age-keygen", "age"))
    made = subprocess.run([keygen, "-o", tmp_path / "ours.txt"], check=True, capture_output=True, text=True)
    recipient = made.stderr.split(":")[1].strip()
    others = ["-r", str(OTHER.to_public())]
    command = [age, *armor, *others, "-r", recipient, "-o", str(tmp_path / KEY)]
    locked = issued(1).encrypted_key_pem()
    subprocess.run(command, check=True, input=locked)
    with_passphrase = f'{{ age = "{KEY}", passphrase = {{ age = "passphrase.age" }} }}'
    project.write("mtls.toml", MTLS.replace('{ env = "BILLING_KEY" }', with_passphrase))
    subprocess.run([age, "-r", recipient, "-o", tmp_path / "passphrase.age"], check=True, input=b"password\n")
    project.environ = {"SOPS_AGE_KEY_FILE": str(tmp_path / "ours.txt")}
    result = project.run("apply", "--yes")
    assert result.code == 0, result.out + result.err
    search(project, [result], (1,), ())
