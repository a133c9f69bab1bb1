"""The one rule for account IDs, wherever one is written."""

from __future__ import annotations

import pytest

from reconciler.desired.parse import parse_declaration
from reconciler.findings.errors import InputError
from reconciler.keys import KINDS
from reconciler.model import StoreKind, StoreSettings
from reconciler.model.accounts import account_problem
from reconciler.model.errors import StoreError
from reconciler.stores.cloudflare.access import find_access
from tests.support.cli import MTLS, Project

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
TOKEN = "v1.canary-7f3a9c2e5b1d8f4a6c0e9b7d_23e105f4ece"
SHAPES = {
    ACCOUNT + "\n": "ends with a line break",
    ACCOUNT + "\r\n": "ends with a line break",
    " " + ACCOUNT: "has white space around it",
    f'"{ACCOUNT}"': "contains quotes",
    f"'{ACCOUNT}": "contains quotes",
    ACCOUNT.upper(): "has upper-case letters",
    "me@example.com": "is a mail address",
    "<< todo >>": "is still a placeholder",
    "${X}": "is still a placeholder",
    "$ACCOUNT": "is still a placeholder",
    "{{ account }}": "is still a placeholder",
    "YOUR_ACCOUNT_ID": "is still a placeholder",
    "xxxxxxxx": "is still a placeholder",
    ACCOUNT + ACCOUNT[:8]: "looks like an API token",
    "cfat_" + ACCOUNT: "looks like an API token",
    "023e105f-4ece-f8ad-9ca3-1a8372d0c353": "has dashes, like the ID of a certificate",
    ACCOUNT[:31]: "has 31 digits instead of 32",
    "../x": "is not 32 digits of 0-9 and a-f",
    TOKEN[:30]: "is not 32 digits of 0-9 and a-f",
}


def test_the_id_of_an_account_has_32_digits() -> None:
    """Nothing else has no problem."""
    assert account_problem(ACCOUNT) is None
    assert account_problem("") is not None


@pytest.mark.parametrize("text", SHAPES, ids=repr)
def test_the_cause_is_named_and_the_text_is_not_shown(text: str) -> None:
    """It may be a token."""
    problem = account_problem(text)
    assert problem is not None
    assert problem.cause == SHAPES[text]
    assert text.strip() not in f"{problem.cause} {problem.hint}"


@pytest.mark.parametrize("text", SHAPES, ids=repr)
def test_variable_mtls_toml_and_wrangler_file_have_one_rule(text: str, project: Project) -> None:
    """Each names its own place, and the same cause."""
    variable = {"CLOUDFLARE_API_TOKEN": "t" * 40, "CLOUDFLARE_ACCOUNT_ID": text}
    with pytest.raises(StoreError) as refused:
        find_access(StoreSettings(StoreKind.CLOUDFLARE, text), variable)
    quoted = '"' + text.replace('"', '\\"').replace("\r", "\\r").replace("\n", "\\n") + '"'
    head = f'{MTLS}[store]\nkind = "cloudflare"\naccount_id = '
    with pytest.raises(InputError) as wrong:
        parse_declaration(f"{head}{quoted}\n".encode(), "mtls.toml", KINDS)
    project.write("mtls.toml", f'{head}"{ACCOUNT}"\n')
    project.write("wrangler.toml", f"account_id = {quoted}\n" + project.read("wrangler.toml"))
    result = project.run("validate")
    assert refused.value.message == f"CLOUDFLARE_ACCOUNT_ID {SHAPES[text]}"
    assert f"`account_id` in `[store]` must be a Cloudflare account ID, but it {SHAPES[text]}" in wrong.value.message
    assert result.code == 1
    assert SHAPES[text] in result.out
    assert "`account_id` of" in result.out


def test_a_malformed_variable_is_compared_with_nothing(project: Project) -> None:
    """Files can be checked without an account; that they were not compared with it is reported."""
    project.write("mtls.toml", f'{MTLS}[store]\nkind = "cloudflare"\n')
    project.write("wrangler.toml", f'account_id = "{ACCOUNT}"\n' + project.read("wrangler.toml"))
    project.environ["CLOUDFLARE_ACCOUNT_ID"] = ACCOUNT + "\n"
    result = project.run("plan", "--offline")
    assert result.code == 0
    assert "warning[account-malformed]" in result.out + result.err
    assert "account-differs" not in result.out + result.err
