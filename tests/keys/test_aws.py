"""Keys in AWS Secrets Manager, as moto imitates it, and servers that answer wrongly, slowly or not at all."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from reconciler.keys import aws
from tests.cli.test_canaries import EVERYTHING, LOGS, search
from tests.support.cli import MTLS, Project, Result, make_project
from tests.support.worlds import issued

PEM = issued(1).key_pem.decode()
REGION = "eu-central-1"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AWS_SESSION_TOKEN": "IQoJb3JpZ2luX2VjEXAMPLETOKEN",
    "AWS_EC2_METADATA_DISABLED": "true",
}
SECRETS = {"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
NAME = "mtls/billing"


def declare(folder: Path, source: str = f'{{ aws = "{NAME}" }}') -> Project:
    """A project whose key is in AWS, with credentials and a region in the environment."""
    project = make_project(folder, MTLS.replace('{ env = "BILLING_KEY" }', source))
    project.environ = {**CREDENTIALS, "AWS_REGION": REGION}
    return project


@cache
def client_of(region: str) -> Any:
    """Of moto, whichever test asks."""
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    return boto3.Session(region_name=region, **keys).client("secretsmanager")


def store(value: str | bytes, name: str = NAME, region: str = REGION) -> str:
    """A secret in what moto has for AWS; its ARN."""
    kind = {"SecretString": value} if isinstance(value, str) else {"SecretBinary": value}
    return str(client_of(region).create_secret(Name=name, **kind)["ARN"])


def shown(result: Result) -> str:
    """All that it printed, on one line; nothing secret is in it."""
    text = " ".join((result.out + result.err).split())
    assert "Traceback" not in text
    assert not any(CREDENTIALS[name] in text for name in SECRETS)
    return text


@pytest.fixture(autouse=True)
def account() -> Iterator[None]:
    """An account of AWS, in process."""
    with mock_aws():
        yield


def test_the_key_and_the_credentials_are_in_nothing_that_is_written(tmp_path: Path) -> None:
    """The whole way, every command, with all that is logged."""
    store(PEM)
    project = declare(tmp_path)
    results = [project.run(*arguments, *log) for arguments, log in zip(EVERYTHING, cycle(LOGS))]
    assert [result.code for result in results] == [0] * len(results), [one.out + one.err for one in results]
    search(project, results, (1,), ())
    written = [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    texts = (*written, *(one.out + one.err for one in results))
    assert not any(CREDENTIALS[name] in text for name in SECRETS for text in texts)


@pytest.mark.parametrize("command", [["validate"], ["plan"], ["doctor"], ["status"], ["drift"], ["plan", "--offline"]])
def test_nothing_but_apply_and_verify_asks_aws(
    tmp_path: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither on a pull request, whose mtls.toml could name any secret, nor in a plan."""
    monkeypatch.setattr(aws.AwsKeySource, "open", lambda *_: pytest.fail("AWS was asked"))
    assert declare(tmp_path).run(*command).code in (0, 2)


def test_a_secret_is_read_in_each_form(tmp_path: Path) -> None:
    """By name and by ARN, in another region, as text and as bytes, as a value of an object; and a passphrase."""
    locked = issued(1).encrypted_key_pem().decode()
    there = store(PEM, "there", "us-west-2")
    sources = {
        f'{{ aws = "{store(PEM)}" }}': {},
        f'{{ aws = "{there}" }}': {},
        '{ aws = "there", region = "us-west-2" }': {},
        '{ aws = "there" }': {"AWS_REGION": "us-west-2"},
    }
    store(PEM.encode(), "binary")
    store(json.dumps({"key": PEM, "locked": locked, "passphrase": "password"}), "object")
    sources['{ aws = "binary" }'] = {}
    sources['{ aws = "object", json_key = "key" }'] = {}
    sources['{ aws = "object", json_key = "locked", passphrase = { aws = "object", json_key = "passphrase" } }'] = {}
    for number, (source, environ) in enumerate(sources.items()):
        project = declare(tmp_path / str(number), source)
        project.environ |= environ
        result = project.run("apply", "--yes")
        assert result.code == 0, (source, result.out + result.err)


WRONG: dict[str, tuple[str, dict[str, str], str]] = {
    "no such secret": (
        '{ aws = "none" }',
        {},
        "AWS refused the secret 'none' in eu-central-1: ResourceNotFoundException",
    ),
    "no region": (
        f'{{ aws = "{NAME}" }}',
        {"AWS_REGION": ""},
        "the region of the AWS secret 'mtls/billing' is not known",
    ),
    "no credentials": (
        f'{{ aws = "{NAME}" }}',
        {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
        "the AWS credentials or settings of this run can't be used: NoCredentialsError",
    ),
    "no such profile": (f'{{ aws = "{NAME}" }}', {"AWS_PROFILE": "none"}, "can't be used: ProfileNotFound"),
    "not JSON": (f'{{ aws = "{NAME}", json_key = "a" }}', {}, "the secret 'mtls/billing' is not a JSON object"),
    "no such value": ('{ aws = "object", json_key = "b" }', {}, "the secret 'object' has no text at 'b'"),
    "a number": ('{ aws = "object", json_key = "n" }', {}, "the secret 'object' has no text at 'n'"),
    "blank": ('{ aws = "blank" }', {}, "the secret 'blank' is empty"),
    "too long": ('{ aws = "long" }', {}, "the secret 'long' is too long for a key"),
    "not a key": ('{ aws = "hello" }', {}, "private key"),
    "another key": ('{ aws = "other" }', {}, "key-mismatch"),
    "a region that is none": ('{ aws = "x", region = "evil.example/" }', {}, "region"),
    "a name that is none": ('{ aws = "a b" }', {}, "aws"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_secret_that_can_not_be_used_changes_nothing(tmp_path: Path, case: str) -> None:
    """It is found out before anything of that certificate is changed, and says what to do."""
    texts = {NAME: "canary-hello", "object": '{"a": "canary-hello", "n": 5}', "blank": " \n", "hello": "canary-hello"}
    for name, text in {**texts, "long": "canary-hello" * 2000, "other": issued(2).key_pem.decode()}.items():
        store(text, name)
    source, environ, message = WRONG[case]
    project = declare(tmp_path, source)
    project.environ |= environ
    before = project.read("wrangler.toml")
    result = project.run("apply", "--yes")
    assert (result.code, project.read("wrangler.toml")) == (1, before)
    assert message in shown(result)
    assert "canary-hello" not in shown(result)
    search(project, [result], (1, 2), ())


def test_without_its_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, and nothing is changed; what needs no key works."""
    project = declare(tmp_path)
    for name in ("botocore", "botocore.config"):
        monkeypatch.setitem(sys.modules, name, None)
    result = project.run("apply", "--yes")
    assert result.code == 1
    assert "this private key needs botocore, which is not installed" in shown(result)
    assert "pipx install --force '.[aws]'" in shown(result)
    assert project.run("plan").code == 0


class Endpoint(ThreadingHTTPServer):
    """A server in the place of AWS, whose every answer is the same. `answer` None: it never answers."""

    def __init__(self, status: int, answer: bytes | None) -> None:
        self.status, self.answer, self.calls, self.stopped = status, answer, 0, threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    def __enter__(self) -> Endpoint:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        self.server.calls += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.answer is None:
            self.server.stopped.wait()
            return
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


REFUSED = {"__type": "x#Sign\x1b[31mature", "message": f"the token was {CREDENTIALS['AWS_SESSION_TOKEN']}"}
ANSWERS: dict[str, tuple[int, bytes | None, str]] = {
    "an error that quotes the request": (403, json.dumps(REFUSED).encode(), "AWS refused the secret"),
    "an error without a word": (403, b"", "AWS refused the secret"),
    "no JSON": (200, b"<html>canary-hello", "the secret 'mtls/billing' is empty"),
    "no secret": (200, b"{}", "the secret 'mtls/billing' is empty"),
    "another type": (200, b'{"SecretString": [1]}', "the secret 'mtls/billing' is empty"),
    "bytes that are none": (200, b'{"SecretBinary": "canary-hello%"}', "the answer of AWS for the secret"),
    "a long answer": (200, json.dumps({"SecretString": "x" * 5_000_000}).encode(), "is too long for a key"),
    "no answer": (200, None, "AWS did not answer for 'mtls/billing' within 2 s"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_whatever_answers_is_one_finding(tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the answer is shown, it is soon over, and nothing is changed."""
    status, answer, message = ANSWERS[case]
    if answer is None:
        monkeypatch.setattr(aws, "LONGEST_S", 2.0)
    project = declare(tmp_path)
    with Endpoint(status, answer) as endpoint:
        project.environ["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = f"http://127.0.0.1:{endpoint.server_port}"
        result = project.run("apply", "--yes")
    assert (result.code, endpoint.calls if answer is not None else 1) == (1, 1)
    assert message in shown(result)
    assert "canary-hello" not in shown(result)
    assert "\x1b" not in result.out + result.err


def test_where_nothing_answers_it_is_tried_three_times(tmp_path: Path) -> None:
    """An error of the server is tried again, and one of the network, too; then it says so."""
    project = declare(tmp_path)
    with Endpoint(500, b"{}") as endpoint:
        project.environ["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = f"http://127.0.0.1:{endpoint.server_port}"
        result = project.run("apply", "--yes")
    assert (result.code, endpoint.calls) == (1, 3)
    assert "AWS refused the secret" in shown(result)
    result = project.run("apply", "--yes")
    assert "AWS Secrets Manager could not be reached for 'mtls/billing': EndpointConnectionError" in shown(result)
