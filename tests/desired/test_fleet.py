"""fleet.toml: what it means, and the findings about a bad one: all at once, each at its place, and never a secret."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import jsonschema
import pytest
import tomli

from reconciler.desired.fleet import parse_fleet
from reconciler.desired.schema import fleet_schema
from reconciler.findings.codes import Code
from reconciler.findings.diagnostics import Diagnostic, Pointer
from reconciler.findings.errors import InputError
from reconciler.model import Act
from reconciler.model.fleet import FleetForge, SecretPlace
from reconciler.model.forges import ForgeName
from tests.desired.test_schema import keys_of
from tests.support.locating import resolve
from tests.support.source import sources

ACCOUNT, OTHER = "a" * 32, "b" * 32
HEAD = 'version = 1\nfleet = "acme"\n'
CREDENTIAL = f'[credentials.prod]\ntoken = {{ env = "PROD_TOKEN" }}\naccounts = ["{ACCOUNT}"]\n'
STACKS = '[[stacks]]\nfiles = ["apps/*/mtls.toml"]\ncredential = "prod"\n'
WHOLE = HEAD + CREDENTIAL + STACKS
SCHEMA = fleet_schema()
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)


def problems(text: str) -> list[tuple[Diagnostic, str]]:
    """Every finding about a bad file, with its line and column."""
    with pytest.raises(InputError) as caught:
        parse_fleet(text.encode(), "fleet.toml")
    found = []
    for one in caught.value.diagnostics():
        place = resolve(one.where, text.encode()) if isinstance(one.where, Pointer) else one.where
        found.append((one, str(place).removeprefix("fleet.toml:")))
    return found


def of_git(keys: str) -> str:
    """Stacks of another repository."""
    return WHOLE.replace("[[stacks]]\n", f"[[stacks]]\ngit = {{ {keys} }}\n")


BAD = {
    "no version": ('fleet = "acme"\n' + CREDENTIAL + STACKS, "missing-key at 1:1"),
    "newer version": ("version = 2\n", "unsupported-version at 1:11"),
    "syntax": ("version = \n", "toml-syntax at 1:11"),
    "no credentials": (HEAD + STACKS, "missing-key at 1:1 unknown-credential at 5:14"),
    "no stacks": (HEAD + CREDENTIAL, "missing-key at 1:1"),
    "unknown key": (WHOLE + "excludes = []\n", "unknown-key at 9:1"),
    "wrong type": (WHOLE + "tags = 1\n", "wrong-type at 9:8"),
    "no files": (WHOLE.replace('"apps/*/mtls.toml"', ""), "bad-value at 7:9"),
    "absolute glob": (WHOLE.replace("apps/", "/apps/"), "bad-path at 7:10"),
    "unknown credential": (WHOLE.replace('= "prod"', '= "prd"'), "unknown-credential at 8:14"),
    "bad name of a fleet": (WHOLE.replace("acme", "Acme Ltd"), "bad-name at 2:9"),
    "bad act": (WHOLE + 'act = "rotat"\n', "unknown-value at 9:7"),
    "no unit": (WHOLE + 'look = "60"\n', "bad-duration at 9:8"),
    "too often": (WHOLE + 'look = "59s"\n', "out-of-range at 9:8"),
    "acts below none": (HEAD + "[defaults]\nmax_acts = -1\n" + CREDENTIAL + STACKS, "out-of-range at 4:12"),
    "bad cron": (
        HEAD + '[defaults]\ndeny = [{ cron = "0 25 * * *", for = "1h" }]\n' + CREDENTIAL + STACKS,
        "bad-cron at 4:18",
    ),
    "cron with seconds": (
        HEAD + '[defaults]\ndeny = [{ cron = "0 0 1 * * *", for = "1h" }]\n' + CREDENTIAL + STACKS,
        "bad-cron at 4:18",
    ),
    "deny without for": (
        HEAD + '[defaults]\ndeny = [{ cron = "0 1 * * *", why = "" }]\n' + CREDENTIAL + STACKS,
        "missing-key at 4:9 bad-text at 4:37",
    ),
    "deny of no length": (
        HEAD + '[defaults]\ndeny = [{ cron = "0 1 * * *", for = "0s" }]\n' + CREDENTIAL + STACKS,
        "out-of-range at 4:37",
    ),
    "unknown zone": (
        HEAD + '[defaults]\ndeny = [{ cron = "0 1 * * *", for = "1h", zone = "Mars/Base" }]\n' + CREDENTIAL + STACKS,
        "unknown-zone at 4:50",
    ),
    "no account": (WHOLE.replace(f'"{ACCOUNT}"', ""), "bad-value at 5:12"),
    "bad account": (WHOLE.replace(ACCOUNT, "shop"), "bad-account-id at 5:13"),
    "bad alias": (HEAD + '[accounts]\nshop = "x"\n' + CREDENTIAL + STACKS, "bad-account-id at 4:8"),
    "token as text": (WHOLE.replace('{ env = "PROD_TOKEN" }', '"PROD_TOKEN"'), "wrong-type at 4:9"),
    "two places": (WHOLE.replace("env =", 'file = "t", env ='), "bad-value at 4:9"),
    "no place": (WHOLE.replace('env = "PROD_TOKEN"', ""), "bad-value at 4:9"),
    "bad variable": (WHOLE.replace("PROD_TOKEN", "$PROD"), "bad-name at 4:17"),
    "address of a repository": (of_git('url = "payments"'), "bad-url at 7:15"),
    "repository without encryption": (of_git('url = "http://git.example/x.git"'), "bad-url at 7:15"),
    "password in an address": (of_git('url = "https://me:hunter2@git.example/x.git"'), "bad-url at 7:15"),
    "repository without address": (of_git('ref = "main"'), "missing-key at 7:1"),
    "option as ref": (of_git('url = "https://git.example/x.git", ref = "-x"'), "bad-name at 7:50"),
    "too much in another repository": (
        of_git('url = "git@git.example:x.git"') + 'act = "rotate"\n',
        "bad-value at 10:7",
    ),
    "bad repository": (WHOLE + '[forge]\ngithub = "acme"\ntoken = { env = "T" }\n', "bad-name at 10:10"),
    "bad project": (WHOLE + '[forge]\ngitlab = "acme"\ntoken = { env = "T" }\n', "bad-name at 10:10"),
    "no forge": (WHOLE + '[forge]\ntoken = { env = "T" }\n', "bad-value at 9:1"),
    "two forges": (
        WHOLE + '[forge]\ngithub = "acme/shop"\ngitlab = "acme/shop"\ntoken = { env = "T" }\n',
        "bad-value at 9:1",
    ),
    "GitLab without its API": (
        WHOLE + '[forge]\ngitlab = "acme/shop"\ntoken = { env = "T" }\nurl = "https://gitlab.example"\n',
        "bad-url at 9:1",
    ),
}


@pytest.mark.parametrize(("text", "expected"), BAD.values(), ids=BAD.keys())
def test_a_bad_file_has_its_findings(text: str, expected: str) -> None:
    """Each with its code and place."""
    assert " ".join(f"{one.code} at {place}" for one, place in problems(text)) == expected


def test_every_code_of_the_file_is_tested() -> None:
    """But those of a part that is not installed, and of a file whose lines can't be shown."""
    own = next(source for source in sources("desired") if source.path.name == "fleet.py")
    in_table = {word for _, expected in BAD.values() for word in expected.split()}
    assert set(map(str, own.codes())) - in_table == {"extra"}


def test_without_its_package_a_deny_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never "nothing is denied"; a file without one needs no package."""
    monkeypatch.setitem(sys.modules, "cronsim", None)
    parse_fleet(WHOLE.encode(), "fleet.toml")
    ((found, place),) = problems(EVERYTHING)
    assert (found.code, place) == (Code.EXTRA, "9:18")
    assert "pipx install --force '.[fleet]'" in str(found.hint)


def test_every_problem_is_reported_at_once_in_file_order() -> None:
    """A bad table hides no finding about the others."""
    text = (
        HEAD + '[defaults]\nact = "x"\n' + CREDENTIAL.replace("env", "evn") + STACKS.replace("prod", "Prod") + "x = 1\n"
    )
    found = problems(text)
    assert [one.code for one, _ in found] == [
        *("unknown-value", "unknown-key", "bad-name", "unknown-credential", "unknown-key"),
    ]
    lines = [int(place.split(":")[0]) for _, place in found]
    assert lines == sorted(lines)


def test_a_misspelt_key_has_its_hint() -> None:
    """As it is written in the file, and not as the code calls it."""
    ((found, _),) = problems(WHOLE.replace("[[stacks]]", "[[stacks]]\nexclud = []"))
    assert found.hint == "did you mean `exclude`?"
    text = HEAD + '[defaults]\ndeny = [{ cron = "0 1 * * *", "fo" = "1h" }]\n' + CREDENTIAL + STACKS
    assert [one.hint for one, _ in problems(text)] == ["did you mean `for`?"]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (WHOLE.replace("acme", "Acme"), "is not a valid fleet name: use 1 to 32 of a-z", "use `acme`, for example"),
        (WHOLE.replace('"apps/*/mtls.toml"', ""), "`files` in `[[stacks]] 1` must not be empty", "Paths or globs"),
        (WHOLE.replace(f'"{ACCOUNT}"', ""), "must not be empty", "The accounts that it may be used for"),
        (
            HEAD + "[defaults]\ndeny = [" + '{ cron = "0 1 * * *", for = "1h" },' * 51 + "]\n" + CREDENTIAL + STACKS,
            "must have at most 50 items",
            "Times in which nothing is changed",
        ),
        (
            WHOLE.replace('{ env = "PROD_TOKEN" }', '"PROD_TOKEN"'),
            "`token` in `[credentials.prod]` must be a table, not a string",
            'write token = { env = "CF_TOKEN_PROD" }',
        ),
    ],
)
def test_a_finding_says_what_is_wrong_and_what_to_write(text: str, message: str, hint: str) -> None:
    """In the words of this file."""
    ((found, _),) = problems(text)
    assert (message in found.message, str(found.hint).startswith(hint)) == (True, True), (found.message, found.hint)


@pytest.mark.parametrize("secret", ["cfut_" + "a1b2c3d4e5" * 4, "Zq3xW0vK7-uT1rB_nM5yH8cJ2dF6gS4aLpE9oXiQ"])
@pytest.mark.parametrize(
    "text",
    [
        WHOLE.replace('{ env = "PROD_TOKEN" }', '"S"'),
        WHOLE.replace("PROD_TOKEN", "S"),
        WHOLE.replace("env =", "file =").replace("PROD_TOKEN", "S"),
        WHOLE.replace(ACCOUNT, "S"),
        WHOLE.replace('"prod"', '"S"'),
        WHOLE.replace("apps/", "S/"),
        WHOLE + '"S" = 1\n',
    ],
)
def test_a_pasted_secret_is_never_shown(text: str, secret: str) -> None:
    """A finding about a value never quotes a token."""
    found = problems(
        text.replace("S", secret) if '"S"' in text else text.replace("S/", f"{secret}/").replace('"S', f'"{secret}')
    )
    assert secret not in " ".join(f"{one.message} {one.hint}" for one, _ in found)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("cfut_" + "a1b2c3d4e5" * 4, 'write { env = "CF_TOKEN_PROD" }'),
        ("-----BEGIN PRIVATE KEY-----", "the mtls.toml of each stack names the place of its keys"),
    ],
)
def test_a_pasted_secret_has_the_hint_of_this_file(value: str, hint: str) -> None:
    """Not that of mtls.toml, whose token is in a variable with a fixed name."""
    ((found, _),) = problems(WHOLE.replace('{ env = "PROD_TOKEN" }', f'"{value}"'))
    assert (hint in str(found.hint), "CLOUDFLARE_API_TOKEN" in str(found.hint)) == (True, False)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (WHOLE + STACKS.replace("apps/", "/apps/"), "item 1 of `files` in `[[stacks]] 2`"),
        (WHOLE + STACKS.replace('"prod"', '"prd"'), "`credential` in `[[stacks]] 2`"),
        (of_git('url = "x"'), "`url` in `git` of `[[stacks]] 1`"),
        (WHOLE + STACKS + "x = 1\n", "unknown key `x` in `[[stacks]] 2`"),
    ],
)
def test_tables_of_a_list_are_counted_from_1(text: str, named: str) -> None:
    """As in reports."""
    assert [named in found.message for found, _ in problems(text)] == [True]


EVERYTHING = f"""\
version = 1
fleet = "acme"

[defaults]
look = "30m"
act = "retire"
concurrency = 4
max_acts = 5
deny = [{{ cron = "0 16 * * 5", for = "64h", zone = "Europe/Berlin", why = "weekend" }}]

[accounts]
shop = "{ACCOUNT}"

[credentials.prod]
token = {{ env = "PROD_TOKEN" }}
read_token = {{ file = "/run/secrets/read" }}
budget = "bot"
accounts = ["shop", "{OTHER}"]

[[stacks]]
files = ["teams/*/mtls.toml"]
exclude = ["teams/old/**"]
credential = "prod"
tags = ["prod"]
retired = ["gone"]

[[stacks]]
files = ["own/mtls.toml"]
credential = "prod"
act = "all"
look = "1d"

[forge]
gitlab = "acme/platform/certs"
token = {{ env = "GITLAB_TOKEN" }}
url = "https://gitlab.example/git/api/v4/"
"""


def test_a_whole_file_is_read() -> None:
    """Names of accounts become IDs, and a `[[stacks]]` overrides the defaults."""
    fleet, warnings = parse_fleet(EVERYTHING.encode(), "fleet.toml")
    assert (warnings, fleet.name, fleet.concurrency, fleet.max_acts) == ((), "acme", 4, 5)
    first, second = fleet.rules
    assert (first.act, first.look, first.retired) == (Act.RETIRE, timedelta(minutes=30), ("gone",))
    assert (second.act, second.look, second.tags) == (Act.ALL, timedelta(days=1), ())
    credential = fleet.credentials["prod"]
    assert credential.accounts == (ACCOUNT, OTHER)
    assert (credential.token, credential.read_token) == (
        SecretPlace("PROD_TOKEN"),
        SecretPlace(file="/run/secrets/read"),
    )
    assert (fleet.alias(ACCOUNT), fleet.alias(OTHER)) == ("shop", "bbbbbbbb")
    assert fleet.deny[0].length == timedelta(hours=64)
    assert fleet.forge is not None
    assert fleet.forge == FleetForge(
        ForgeName.GITLAB,
        "acme/platform/certs",
        "main",
        SecretPlace("GITLAB_TOKEN"),
        "https://gitlab.example/git/api/v4/",
    )
    assert fleet.secret_variables == {"PROD_TOKEN", "GITLAB_TOKEN"}


def test_nothing_is_done_without_a_person_unless_the_file_says_so() -> None:
    """The default of `act`."""
    assert [rule.act for rule in parse_fleet(WHOLE.encode(), "fleet.toml")[0].rules] == [Act.NONE]


def all_keys(schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key that the schema describes, those of tables in lists, too."""
    for name, one in keys_of(schema):
        yield name, one
        yield from all_keys(one.get("items"))


# --- the schema -----------------------------------------------------------------------------------------------------


def test_the_schema_is_valid_and_accepts_a_whole_file() -> None:
    """Editors show no error in a good file."""
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert "$ref" not in json.dumps(SCHEMA)
    VALIDATOR.validate(tomli.loads(EVERYTHING))
    assert not VALIDATOR.is_valid(tomli.loads(WHOLE + "x = 1\n"))


def test_every_key_has_a_description_and_its_examples_fit() -> None:
    """Editors show them, and they can be copied as they are."""
    keys = list(all_keys(SCHEMA))
    assert {"cron", "for", "read_token", "exclude", "budget"} <= {name for name, _ in keys}
    assert [name for name, one in keys if "description" not in one] == []
    for name, one in keys:
        for example in one.get("examples", []):
            assert jsonschema.Draft7Validator(one).is_valid(example), name
