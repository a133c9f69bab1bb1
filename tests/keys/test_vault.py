"""Keys in HashiCorp Vault: every login, every refusal, and that nothing secret is told. Vault is a server on loopback
that behaves as documented."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import ValidationError

from reconciler.findings.codes import Code
from reconciler.findings.errors import KeySourceError
from reconciler.keys.vault import VaultKey, VaultKeySource
from reconciler.model import KeyReference
from reconciler.web.vault import Vault
from tests.cli.test_canaries import windows_of
from tests.support import vault as fakes
from tests.support.cli import MTLS, make_project
from tests.support.vault import ID_TOKEN, ROLE_ID, SECRET_ID, TOKEN, errors
from tests.support.worlds import issued

KEY = issued(1).key_pem.decode()
READ = {"secret/data/mtls/*": ("read",)}
BY_TOKEN = {"VAULT_TOKEN": TOKEN}
BY_APP_ROLE = {"VAULT_ROLE_ID": ROLE_ID, "VAULT_SECRET_ID": SECRET_ID}
BY_JWT = {"VAULT_AUTH_ROLE": "mtlsctl", "VAULT_ID_TOKEN": ID_TOKEN}
SECRETS = (TOKEN, SECRET_ID, ID_TOKEN, "canary")


@dataclass
class Asked:
    """A Vault with one key, and what is set for the run. `shown`: every text of an error."""

    fake: fakes.Vault
    environ: dict[str, str]
    waits: list[float] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)

    def source(self, **environ: str) -> VaultKeySource:
        return VaultKeySource(Vault({**self.environ, **environ}, self.waits.append))

    def key(self, path: str = "mtls/billing", **options: str) -> str:
        """The key there, with the login of a token unless another is set."""
        environ = {} if any(name.startswith("VAULT_") for name in self.environ if name != "VAULT_ADDR") else BY_TOKEN
        return self.source(**environ).open(reference(path, **options)).pem.decode()

    def refusal(self, path: str = "mtls/billing", **options: str) -> KeySourceError:
        """The error instead of it."""
        with pytest.raises(KeySourceError) as error:
            self.key(path, **options)
        assert error.value.hint
        self.shown += [error.value.message, error.value.hint]
        return error.value


def reference(path: str = "mtls/billing", field: str = "private_key", mount: str = "secret") -> KeyReference:
    return KeyReference("vault", {"vault": path, "field": field, "mount": mount})


@pytest.fixture
def asked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Asked]:
    """No test waits, and none shows a secret: not in an error, and not in the log."""
    caplog.set_level(logging.INFO)
    fake = fakes.Vault(app_roles={(ROLE_ID, SECRET_ID): READ}, jwt_roles={("mtlsctl", ID_TOKEN): READ})
    fake.put("mtls/billing", private_key=KEY, passphrase="canary\n", number=7, empty=" ")
    with fake.running() as url:
        asked = Asked(fake, {"VAULT_ADDR": url, "HOME": str(tmp_path)})
        yield asked
    told = " ".join([*asked.shown, *(repr(record.msg) for record in caplog.records if record.name != "httpx")])
    assert [secret for secret in (*SECRETS, *windows_of(KEY.encode())) if secret in told] == []
    assert [record for record in caplog.records if record.name == "httpx" and TOKEN in record.getMessage()] == []


# --- what is read ---------------------------------------------------------------------------------------------------


def test_the_key_is_the_field_of_the_latest_version(asked: Asked) -> None:
    """With the token of the environment, and one call."""
    asked.fake.kv["secret"]["mtls/billing"].insert(0, fakes.Version({"private_key": "old"}))
    assert asked.key() == KEY
    assert asked.fake.calls("GET") == ["/v1/secret/data/mtls/billing"]


def test_a_passphrase_can_be_a_field(asked: Asked) -> None:
    """Without the line break at its end."""
    asked.fake.put("mtls/other", word="correct\r\n")
    assert asked.source(**BY_TOKEN).passphrase(reference("mtls/other", "word")) == b"correct"


def test_an_engine_can_be_mounted_below_a_path(asked: Asked) -> None:
    """With spaces and the like in the names, too."""
    asked.fake.kv["team/kv"] = {}
    asked.fake.put("my keys/a+b@c", mount="team/kv", pem="text")
    assert asked.key("my keys/a+b@c", field="pem", mount="team/kv") == "text"


def test_a_namespace_goes_with_every_call(asked: Asked) -> None:
    """With the login, too."""
    asked.fake.namespace = "team/payments"
    asked.environ |= {"VAULT_NAMESPACE": "team/payments", **BY_JWT}
    assert asked.key() == KEY
    assert [one.headers["x-vault-namespace"] for one in asked.fake.requests] == ["team/payments"] * 2


# --- logins ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("login", [BY_APP_ROLE, BY_JWT], ids=["AppRole", "JWT"])
def test_a_run_logs_in_once(asked: Asked, login: Mapping[str, str]) -> None:
    """And what it logs in with is sent to the login alone."""
    source = asked.source(**login)
    assert [source.open(reference()).pem for _ in range(3)] == [KEY.encode()] * 3
    assert asked.fake.logins == 1
    secret = SECRET_ID if login is BY_APP_ROLE else ID_TOKEN
    assert [secret in json.dumps([one.body, *one.headers.values()]) for one in asked.fake.requests] == [True] + 3 * [
        False
    ]


def test_a_token_comes_before_a_login_and_that_before_the_kept_one(asked: Asked, tmp_path: Path) -> None:
    """As the documentation lists them."""
    (tmp_path / ".vault-token").write_text("hvs.kept\n")
    asked.source(**BY_TOKEN, **BY_JWT).open(reference())
    assert asked.fake.logins == 0
    asked.source(**BY_JWT).open(reference())
    assert asked.fake.logins == 1
    asked.fake.tokens["hvs.kept"] = READ
    asked.source().open(reference())
    assert asked.fake.requests[-1].headers["x-vault-token"] == "hvs.kept"


@pytest.mark.parametrize(
    ("of_file", "value", "more"),
    [("VAULT_TOKEN_FILE", TOKEN, {}), ("VAULT_ID_TOKEN_FILE", ID_TOKEN, {"VAULT_AUTH_ROLE": "mtlsctl"})],
)
def test_a_token_can_be_in_a_file(
    asked: Asked, tmp_path: Path, of_file: str, value: str, more: Mapping[str, str]
) -> None:
    """As agents and CI systems write them."""
    (tmp_path / "token").write_text(f"{value}\n")
    asked.environ |= {of_file: str(tmp_path / "token"), **more}
    assert asked.key() == KEY
    asked.environ[of_file] = str(tmp_path / "missing")
    assert asked.refusal().message == f"the file of {of_file} could not be read: No such file or directory"


@pytest.mark.parametrize(
    ("environ", "message", "hint"),
    [
        ({"VAULT_AUTH_ROLE": "other", "VAULT_ID_TOKEN": ID_TOKEN}, "refused the login at auth/jwt (400)", "audience"),
        (
            {**BY_APP_ROLE, "VAULT_SECRET_ID": "canary"},
            "refused the login at auth/approle (400)",
            "a secret ID expires",
        ),
        ({**BY_APP_ROLE, "VAULT_AUTH_PATH": "team/x"}, "refused the login at auth/team/x (403)", "VAULT_ROLE_ID"),
        ({"VAULT_AUTH_ROLE": "mtlsctl"}, "there is no login to Vault", "vault login"),
        ({"VAULT_TOKEN": "canary\ncanary"}, "VAULT_TOKEN has spaces, line ends", "copy the token again"),
        ({"VAULT_NAMESPACE": "a\r\nx: canary", **BY_TOKEN}, "VAULT_NAMESPACE is not a namespace", "such as"),
        ({"VAULT_ADDR": "http://vault.example:8200"}, "VAULT_ADDR is not the https address", "https://"),
        ({"VAULT_ADDR": "https://u:canary@vault.example"}, "VAULT_ADDR is not the https address", "https://"),
        ({"VAULT_ADDR": ""}, "VAULT_ADDR is not set", "export VAULT_ADDR="),
        ({"VAULT_CACERT": "/nowhere"}, "the file of VAULT_CACERT could not be read: No such file", "check"),
        ({"VAULT_CACERT": __file__}, "VAULT_CACERT names a file that has no certificates", "PEM"),
    ],
)
def test_a_login_that_fails_says_why(asked: Asked, environ: Mapping[str, str], message: str, hint: str) -> None:
    """Before any secret is read."""
    asked.environ |= environ
    error = asked.refusal()
    assert message in error.message
    assert hint in str(error.hint)
    assert asked.fake.calls("GET") == []


# --- refusals -------------------------------------------------------------------------------------------------------


def test_a_denied_read_names_the_line_of_the_policy(asked: Asked) -> None:
    """To copy."""
    asked.fake.tokens[TOKEN] = {"secret/data/other/*": ("read",)}
    error = asked.refusal()
    assert error.message == "Vault does not permit 'read' of 'secret/data/mtls/billing' (403)"
    assert 'path "secret/data/mtls/billing" { capabilities = ["read"] }' in str(error.hint)
    assert error.is_absent


def test_an_expired_token_is_denied_too(asked: Asked) -> None:
    """Vault does not tell them apart."""
    asked.fake.tokens.clear()
    assert "an expired token is denied, too" in str(asked.refusal().hint)


@pytest.mark.parametrize(
    ("path", "mount", "hint"),
    [
        ("mtls/none", "secret", "vault kv get -mount=secret mtls/none"),
        ("secret/mtls/billing", "secret", "leave 'secret/' out of the path"),
        ("data/mtls/billing", "secret", "leave 'data/' out of the path"),
        ("mtls/billing", "kv", "check the path, `mount`"),
    ],
)
def test_a_secret_that_is_not_there_is_said_with_what_may_be_wrong(
    asked: Asked, path: str, mount: str, hint: str
) -> None:
    """Among it what people copy from the API."""
    error = asked.refusal(path, mount=mount)
    assert f"Vault has no secret {path!r} of the KV mount {mount!r}" in error.message
    assert hint in str(error.hint)


def test_a_deleted_version_is_not_the_one_before_it(asked: Asked) -> None:
    """It says how to get it back."""
    asked.fake.put("mtls/billing", private_key="new")
    asked.fake.kv["secret"]["mtls/billing"][-1].deleted = fakes.TIME
    error = asked.refusal()
    assert error.message == "version 2 of 'mtls/billing' of the KV mount 'secret' in Vault was deleted"
    assert "vault kv undelete -mount=secret -versions=2 mtls/billing" in str(error.hint)
    asked.fake.kv["secret"]["mtls/billing"][-1].destroyed = True
    assert "was destroyed" in asked.refusal().message


@pytest.mark.parametrize(
    ("name", "message", "code"),
    [
        ("key", "has no field 'key'", Code.KEY_UNAVAILABLE),
        ("number", "has no text in the field 'number'", Code.KEY_UNAVAILABLE),
        ("empty", "has nothing in the field 'empty'", Code.KEY_EMPTY),
    ],
)
def test_a_field_without_a_key_is_an_error(asked: Asked, name: str, message: str, code: Code) -> None:
    """That names neither the other fields nor a value."""
    error = asked.refusal(field=name)
    assert message in error.message
    assert error.code is code


def test_a_sealed_vault_is_asked_again_and_then_said(asked: Asked) -> None:
    """A new active server may just be unsealing."""
    asked.fake.sealed = True
    assert asked.refusal().message == "Vault is sealed"
    assert asked.waits == [1.0, 2.0, 4.0]


def test_a_redirect_is_not_followed(asked: Asked) -> None:
    """The token would go with it, to whatever the answer names."""
    asked.fake.failures.append(("GET", (307, {"location": "http://evil.example/"}, None), False))
    error = asked.refusal()
    assert "a redirect (307), which is not followed" in error.message
    assert "active server" in str(error.hint)


def test_a_vault_that_does_not_answer_is_an_error(asked: Asked) -> None:
    """With the variable that names it."""
    asked.environ["VAULT_ADDR"] = "http://127.0.0.1:1"
    error = asked.refusal()
    assert error.message == "Vault could not be read: it did not answer, or not completely"
    assert "VAULT_ADDR" in str(error.hint)


@pytest.mark.parametrize("body", ["canary", {"data": {"data": "canary"}}, {"data": None}, [f"{TOKEN}"]])
def test_an_answer_of_another_form_is_an_error_that_does_not_show_it(asked: Asked, body: object) -> None:
    """As of a KV engine of version 1, or of a proxy."""
    asked.fake.failures.append(("GET", (200, {}, body), False))
    assert "its answer is not what its API promises" in asked.refusal().message


def test_what_vault_says_is_not_shown(asked: Asked) -> None:
    """Some of its messages repeat what was sent."""
    asked.fake.failures.append(("POST", errors(500, f"internal error: {SECRET_ID}"), False))
    asked.environ |= BY_APP_ROLE
    assert asked.refusal().message == "Vault could not be written: it answered with 500"


# --- mtls.toml ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "table",
    [
        *(
            {"vault": path}
            for path in ("", "/a", "a/", "a//b", "..", "a/../b", "a/.", ".a", "a?b", "a#b", "a%2fb", "a\n")
        ),
        {"vault": "a", "mount": "../sys"},
        {"vault": "a", "field": ""},
        {"vault": "a", "field": "x\n"},
        {"vault": "a", "token": TOKEN},
        {"vault": "a", "address": "https://evil.example"},
    ],
)
def test_a_table_leads_nowhere_else_and_has_no_token(table: dict[str, str]) -> None:
    """Neither the address nor the login is in mtls.toml, which a stranger can change."""
    with pytest.raises(ValidationError):
        VaultKey.model_validate(table)


def test_a_table_has_defaults() -> None:
    """Those of Vault for the mount."""
    assert VaultKey(vault="a/b").model_dump() == {"vault": "a/b", "field": "private_key", "mount": "secret"}


def test_an_upload_takes_its_key_from_vault_and_logs_nothing_of_it(asked: Asked, tmp_path: Path) -> None:
    """The whole run, with its log; nothing of the key or the token is in the tree afterwards."""
    project = make_project(tmp_path, MTLS.replace('{ env = "BILLING_KEY" }', '{ vault = "mtls/billing" }'))
    project.environ = {**asked.environ, **BY_JWT}
    result = project.run("apply", "--yes", "--verbose", "--format", "json")
    assert result.code == 0, result.err
    assert "/v1/{mount}/data/{path}" in result.err
    asked.shown += [result.out, result.err]
    asked.shown += [path.read_bytes().decode("latin-1") for path in project.folder.rglob("*") if path.is_file()]
    assert asked.fake.logins == 1
    assert asked.fake.calls("GET") == ["/v1/secret/data/mtls/billing"]


def test_a_pull_request_reads_nothing_in_vault(asked: Asked, tmp_path: Path) -> None:
    """`plan` needs no key, and `validate` says which it did not read."""
    project = make_project(tmp_path, MTLS.replace('{ env = "BILLING_KEY" }', '{ vault = "mtls/billing" }'))
    project.environ = {**asked.environ, **BY_TOKEN}
    for command in (["plan"], ["validate"], ["status"], ["doctor"]):
        project.run(*command)
    assert asked.fake.requests == []


def test_the_error_of_a_run_names_the_certificate_and_the_cure(asked: Asked, tmp_path: Path) -> None:
    """Before anything of it changed."""
    project = make_project(tmp_path, MTLS.replace('{ env = "BILLING_KEY" }', '{ vault = "mtls/none" }'))
    project.environ = {**asked.environ, **BY_TOKEN}
    result = project.run("apply", "--yes")
    shown = " ".join(result.out.split() + result.err.split())
    assert "Vault has no secret 'mtls/none'" in shown
    assert result.code == 1
