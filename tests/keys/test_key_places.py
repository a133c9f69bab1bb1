"""What is wrong with a private key is reported at its file, with the way to its declaration; else at that one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli import MTLS, Project, make_project
from tests.support.worlds import issued

KEY = "certs/billing.key"
IN_FILE = MTLS.replace('{ env = "BILLING_KEY" }', f'"{KEY}"')
NAMED = "`private_key` of 'billing' in mtls.toml names this file"
WRONG = {
    "key-mismatch": issued(7).key_pem,
    "key-not-pem": b"\x30\x82 no key",
    "key-too-large": b"x" * 100_000,
}


@pytest.mark.parametrize("code", WRONG)
@pytest.mark.parametrize("command", [("validate",), ("apply", "--yes")], ids=lambda words: str(words[0]))
def test_a_key_in_a_file_is_reported_at_that_file(tmp_path: Path, code: str, command: tuple[str, ...]) -> None:
    """So that an editor, or an annotation of a pull request, leads to it."""
    project = make_project(tmp_path, IN_FILE)
    project.write(KEY, WRONG[code]).chmod(0o600)
    result = project.run(*command)
    assert result.code == 1
    assert f"error[{code}]" in result.out
    assert f"at   {KEY}\n" in result.out
    if code != "key-too-large" or command == ("validate",):
        assert NAMED in result.out


def test_a_key_in_a_variable_is_reported_at_its_declaration(tmp_path: Path) -> None:
    """A variable has no place."""
    project = make_project(tmp_path)
    project.environ["BILLING_KEY"] = issued(7).key_pem.decode()
    result = project.run("validate")
    assert "error[key-mismatch]" in result.out
    assert "at   mtls.toml:6:15\n" in result.out
    assert "names this file" not in result.out


def test_a_keystore_is_reported_with_the_option_for_old_ones(tmp_path: Path) -> None:
    """OpenSSL 3 reads the old ciphers of many `.p12` files only with -legacy."""
    project: Project = make_project(tmp_path, IN_FILE)
    project.write(KEY, bytes.fromhex("3082010a020103308201")).chmod(0o600)
    project.write("certs/billing.pem", bytes.fromhex("3082010a020103308201"))
    assert "openssl pkcs12 -nokeys -in certs/billing.pem -out certificate.pem; for an old keystore, add -legacy" in (
        project.run("validate").out
    )
