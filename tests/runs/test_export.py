"""`export`: all that a store holds, as an mtls.toml or JSON, from the account alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli
from jsonschema import Draft202012Validator

from reconciler import keys
from reconciler.desired.parse import parse_declaration
from reconciler.emulator.server import running
from reconciler.emulator.state import ACCOUNT_ID, new_state
from reconciler.system.clock import SystemClock
from reconciler.x509.certificates import parse_stored
from tests.runs.test_init import _CA, LEAVES, Account
from tests.support.worlds import issued
from tests.views.test_schemas import SCHEMAS


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    """Two certificates under one name, a CA, one of ours, one of another stack, one of Gateway's."""
    state = new_state(SystemClock())
    with running(state) as url:
        account = Account(tmp_path, url, state)
        account.upload(LEAVES[0], "Billing")
        account.upload(LEAVES[1], "Billing")
        account.upload(_CA, "partner", ca=True)
        account.upload(issued(1), f"shop.ledger.{issued(1).bundle.digest[:12]}")
        account.upload(issued(2), f"other.ledger.{issued(2).bundle.digest[:12]}")
        state.seed_managed(type_="gateway_managed", name="Gateway", certificates=issued(3).certificate_pem.decode())
        yield account


def test_export_prints_an_mtls_toml_of_everything_that_can_be_declared(account: Account) -> None:
    """The parser takes it; what can't be declared is a comment. Nothing is written."""
    result = account.project.run("export", "--stack", "shop")
    assert (result.code, result.err) == (0, "")
    values = tomli.loads(result.out)
    entries = {entry.id: entry for entry in account.state.account().entries()}
    assert {
        name: (one["certificate"], one.get("ca", False), [entries[text].name for text in one.get("supersedes", [])])
        for name, one in values["certificates"].items()
    } == {
        "billing": ("certs/billing.pem", False, ["Billing"]),
        "billing-2": ("certs/billing-2.pem", False, ["Billing"]),
        "ledger": ("certs/ledger.pem", False, []),
        "partner": ("certs/partner.pem", True, ["partner"]),
    }
    assert "workers" not in values
    assert parse_declaration(result.out.encode(), "mtls.toml", keys.KINDS)[1] == ()
    assert "# Left out of this export:\n" in result.out
    assert "by the stack 'other'" in result.out
    assert "managed by Cloudflare (type 'gateway_managed')" in result.out
    assert list(account.project.folder.iterdir()) == []
    assert {call.method for call in account.state.calls} == {"GET"}


def test_with_its_certificates_it_is_a_project_that_plans_empty(account: Account) -> None:
    """From the account alone to an empty plan, in two commands."""
    project = account.project
    result = project.run("export", "--stack", "shop", "--certificates", "keys/public")
    project.write("mtls.toml", result.out)
    assert sorted(path.name for path in (project.folder / "keys/public").iterdir()) == [
        "billing-2.pem",
        "billing.pem",
        "ledger.pem",
        "partner.pem",
    ]
    assert project.run("plan", "--detailed-exitcode").code == 0
    again = project.run("export", "--certificates", "keys/public", "--verbose")
    assert again.code == 0
    assert "wrote" not in again.err


def test_a_file_with_another_certificate_is_never_overwritten(account: Account) -> None:
    """It is said, and stays."""
    account.project.write("certs/ledger.pem", LEAVES[2].certificate_pem)
    result = account.project.run("export", "--stack", "shop", "--certificates", "certs")
    assert result.code == 1
    assert "error[file-exists]" in result.err
    assert account.project.read("certs/ledger.pem") == LEAVES[2].certificate_pem.decode()


def test_no_certificate_is_written_through_a_link_that_leads_out_of_the_tree(account: Account, tmp_path: Path) -> None:
    """A pull request may have prepared the folder, as for `init`."""
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (account.project.folder / "certs").symlink_to(outside)
    result = account.project.run("export", "--stack", "shop", "--certificates", "certs")
    assert result.code == 1
    assert "error[file-outside]" in result.err
    assert list(outside.iterdir()) == []


def test_json_has_the_certificates_themselves(account: Account) -> None:
    """One document, with what a script needs; and a schema."""
    result = account.project.run("export", "--stack", "shop", "--format", "json", "--out", "export.json")
    document = result.json
    validator = Draft202012Validator(json.loads((SCHEMAS / "export.schema.json").read_text()))
    assert list(validator.iter_errors(document)) == []
    assert document["store"] == {"kind": "cloudflare", "account_id": ACCOUNT_ID}
    for one in document["certificates"]:
        bundle = parse_stored(one["pem"])
        assert bundle is not None
        assert (bundle.digest, bundle.fingerprint) == (one["content_digest"], one["fingerprint"])
    assert len(document["others"]) == 2
    assert account.project.read("export.json") == result.out


def test_stack_and_store_are_those_of_the_mtls_toml_that_is_there(account: Account) -> None:
    """Also from a folder below it; the command line has the last word."""
    account.project.write(
        "mtls.toml", f'version = 1\nstack = "other"\n[store]\nkind = "cloudflare"\naccount_id = "{ACCOUNT_ID}"\n'
    )
    (account.project.folder / ".git").mkdir()
    (account.project.folder / "sub").mkdir()
    assert account.project.run("export", "--format", "json", folder="sub").json["stack"] == "other"
    assert account.project.run("export", "--format", "json", "--stack", "shop").json["stack"] == "shop"
    local = account.project.run("export", "--format", "json", "--store", "local").json
    assert (local["store"], local["certificates"]) == ({"kind": "local"}, [])


def test_an_account_that_can_not_be_read_is_an_error_in_json_too(account: Account) -> None:
    """Never an empty export."""
    account.project.environ["CLOUDFLARE_API_TOKEN"] = "has spaces"
    result = account.project.run("export", "--format", "json")
    assert result.code == 1
    assert [one["code"] for one in result.json["diagnostics"]] == ["token-white-space"]
