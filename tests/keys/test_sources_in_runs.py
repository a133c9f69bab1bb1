"""What a run does with keys that are encrypted, or that a program prints; and that none of it is in what it writes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat, pkcs12

from tests.support.cli import MTLS, Project, Result, make_project
from tests.support.pki import make_ca

LEAF = make_ca("Root").issue("client")
SECRET = "correct horse battery"
PRINTS = "import pathlib, sys; pathlib.Path('ran').open('a').write('x'); print(open(sys.argv[1]).read())"


def declare(project: Project, source: str) -> Project:
    """The project with this `private_key`, and the files that the sources name."""
    project.write("mtls.toml", MTLS.replace('{ env = "BILLING_KEY" }', source))
    project.write("certs/billing.pem", LEAF.certificate_pem)
    project.environ = {"PASSPHRASE": SECRET}
    assert isinstance(LEAF.key, EllipticCurvePrivateKey)
    locked = BestAvailableEncryption(SECRET.encode())
    project.write("certs/billing.key", LEAF.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
    project.write("certs/billing.p12", pkcs12.serialize_key_and_certificates(b"x", LEAF.key, None, None, locked))
    project.write("plain.key", LEAF.key_pem)
    project.write("passphrase.txt", f"{SECRET}\n")
    return project


COMMAND = json.dumps([sys.executable, "-c", PRINTS, "plain.key"])
LOCKED = json.dumps([sys.executable, "-c", PRINTS, "certs/billing.key"])
TELLS = json.dumps([sys.executable, "-c", PRINTS, "passphrase.txt"])
SOURCES = {
    "encrypted PEM": '{ file = "certs/billing.key", passphrase = { env = "PASSPHRASE" } }',
    "a passphrase in a file": '{ file = "certs/billing.key", passphrase = { file = "passphrase.txt" } }',
    "PKCS#12": '{ pkcs12 = "certs/billing.p12", passphrase = { env = "PASSPHRASE" } }',
    "a command": f"{{ command = {COMMAND} }}",
    "a command for an encrypted key": f'{{ command = {LOCKED}, passphrase = {{ env = "PASSPHRASE" }} }}',
    "a command for the passphrase": f'{{ pkcs12 = "certs/billing.p12", passphrase = {{ command = {TELLS} }} }}',
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
def test_a_key_from_each_source_is_uploaded_and_written_nowhere(tmp_path: Path, source: str) -> None:
    """The whole way: plan, validate, apply; of key and passphrase nothing is in any output, nor in `.mtlsctl`."""
    project = declare(make_project(tmp_path), source)
    results = [project.run("plan"), project.run("validate"), project.run("plan", "--format", "json")]
    results.append(project.run("apply", "--yes", "--allow-commands", "--verbose", "--format", "json"))
    assert results[-1].code == 0, results[-1].out + results[-1].err
    assert [step["change"]["action"] for step in results[-1].json["done"]] == ["upload", "rebind"]
    written = [path.read_text(errors="replace") for path in (tmp_path / ".mtlsctl").glob("journal*")]
    for text in (*written, *(one.out + one.err for one in results)):
        assert SECRET not in text
        assert LEAF.key_pem.decode().splitlines()[1] not in text
    assert written


@pytest.mark.parametrize("name", [name for name in SOURCES if "command" in name])
def test_a_command_of_mtls_toml_is_started_only_if_the_run_may(tmp_path: Path, name: str) -> None:
    """No other command starts one, whatever it is told; apply names the option before and after it fails."""
    project = declare(make_project(tmp_path), SOURCES[name])
    for words in (["plan"], ["validate"], ["plan", "--offline"], ["doctor"], ["status"], ["drift"], ["verify"]):
        project.run(*words)
    refused = project.run("apply", "--yes")
    assert (refused.code, (tmp_path / "ran").exists()) == (1, False)
    assert "key-unavailable" in refused.out + refused.err
    assert "`mtlsctl apply --allow-commands`" in refused.out + refused.err


@pytest.mark.parametrize(
    "environ", [{"GITHUB_EVENT_NAME": "pull_request"}, {"CI_PIPELINE_SOURCE": "merge_request_event"}], ids=str
)
def test_no_command_is_started_on_a_pull_request(tmp_path: Path, environ: dict[str, str]) -> None:
    """Whoever opens one could change the command; exit 3, before anything is done."""
    project = declare(make_project(tmp_path), SOURCES["a command"])
    project.environ |= environ
    refused = project.run("apply", "--yes", "--allow-commands")
    assert (refused.code, (tmp_path / "ran").exists()) == (3, False)
    assert "may not be merged yet" in " ".join(refused.err.split())


def test_a_command_is_started_once_for_each_upload(tmp_path: Path) -> None:
    """Though the key is checked before anything changes: a person may have to answer each time."""
    project = declare(make_project(tmp_path), SOURCES["a command"])
    assert project.run("apply", "--yes", "--allow-commands").code == 0
    assert project.read("ran") == "x"
    assert project.run("apply", "--yes", "--allow-commands").code == 0  # nothing to upload
    assert project.read("ran") == "x"


def test_a_wrong_passphrase_changes_nothing(tmp_path: Path) -> None:
    """It is found out before anything of that certificate is changed."""
    project = declare(make_project(tmp_path), SOURCES["PKCS#12"])
    project.environ["PASSPHRASE"] = "not this one"
    before = project.read("wrangler.toml")
    result = project.run("apply", "--yes")
    assert (result.code, project.read("wrangler.toml")) == (1, before)
    assert "error[key-passphrase]" in result.out
    assert "not this one" not in result.out + result.err


def test_validate_says_what_it_did_not_read(tmp_path: Path) -> None:
    """How long decrypting takes is said by the file, which a pull request may have changed."""
    result = declare(make_project(tmp_path), SOURCES["encrypted PEM"]).run("validate")
    assert (result.code, "info[key-not-checked]" in result.out) == (0, True)
    assert "`mtlsctl apply` checks it before it changes anything" in result.out


def test_the_plan_says_where_the_passphrase_is(tmp_path: Path) -> None:
    """A reviewer sees both, and so does who applies a saved plan."""
    project = declare(make_project(tmp_path), SOURCES["PKCS#12"])
    shown = "certs/billing.p12 (passphrase: $PASSPHRASE)"
    assert shown in _line(project.run("plan", "--out", "plan.json", "--wide"))
    assert shown in _line(project.run("show", "plan.json", "--wide"))


def _line(result: Result) -> str:
    return " ".join((result.out + result.err).split())


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (f'{{ file = "x.key", passphrase = "{SECRET}" }}', "never the passphrase itself"),
        ('{ file = "x.key", passphrase = { env = "A", passphrase = { env = "B" } } }', "a passphrase of its own"),
        ('{ file = "x.key", passphrase = {} }', "must have one key source"),
        ("{ command = [] }", "command"),
        ('{ command = "op read" }', "command"),
    ],
)
def test_what_can_not_be_a_source_is_refused_and_not_shown(tmp_path: Path, source: str, message: str) -> None:
    """With its place; a passphrase in mtls.toml is never quoted."""
    result = declare(make_project(tmp_path), source).run("validate")
    assert result.code == 1
    assert message in " ".join((result.out + result.err).split())
    assert SECRET not in result.out + result.err


@pytest.mark.parametrize(
    "event", [{"GITHUB_EVENT_NAME": "pull_request"}, {"CI_PIPELINE_SOURCE": "merge_request_event"}]
)
def test_no_key_is_fetched_or_decrypted_for_a_checkout_that_is_not_merged(
    tmp_path: Path, event: dict[str, str]
) -> None:
    """Its mtls.toml, which anybody may have written, says what would be started and asked."""
    project = declare(
        make_project(tmp_path, MTLS), '{ pkcs12 = "certs/billing.p12", passphrase = { env = "PASSPHRASE" } }'
    )
    project.environ |= event
    result = project.run("apply", "--yes")
    assert result.code == 1
    assert "may not be merged, no key of `pkcs12` is read" in " ".join(result.out.split())
