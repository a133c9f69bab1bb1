"""Each guard loosened, tightened and unchanged, and how that is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest

from reconciler.desired import parse_declaration
from reconciler.findings.codes import Code, Severity
from reconciler.model import Declaration
from reconciler.model.certificate_policy import RULES
from reconciler.plan.weakened import find_weakened, weakened_findings
from tests.support.desired_files import HEAD, KINDS


def parse(text: str) -> Declaration:
    return parse_declaration((text if text.startswith("version") else HEAD + text).encode(), "mtls.toml", KINDS)[0]


@dataclass(frozen=True)
class Row:
    """A setting as it was and as it is now, and what is told: `path: before -> after`."""

    before: str
    after: str
    told: tuple[str, ...]
    is_loss_both_ways: bool = False


def policy(text: str) -> str:
    return f"[policy]\n{text}\n"


def rule(text: str) -> str:
    return f"[policy.certificates]\n{text}\n"


def billing(text: str, more: str = "") -> str:
    return f'{more}[certificates.billing]\ncertificate = "billing.pem"\n{text}\n'


def other(text: str) -> str:
    return f'[certificates.other]\ncertificate = "other.pem"\n{text}\n'


def site(text: str, label: str = "site", config: str = "wrangler.toml") -> str:
    return f'[workers.{label}]\nconfig = "{config}"\n{text}\n'


STAGING = "[workers.site.env.staging]\n"
ORIGIN = 'verify = "https://billing.example/"\n'
BINDING = '[workers.site.bindings]\nA = { id = "9d7d1c39-55a1-4a5c-9a5f-0d5b1d0f6f11" }\n'

CHRISTMAS = "2026-12-20 00:00 to 2027-01-05 00:00 UTC"

ROWS: Mapping[str, Row] = {
    "stack": Row(
        'version = 1\nstack = "payments"\n',
        'version = 1\nstack = "billing"\n',
        ("stack: payments -> billing",),
        is_loss_both_ways=True,
    ),
    "former_stacks": Row("", 'former_stacks = ["shop"]\n', ("former_stacks: none -> shop",)),
    "prune": Row("", policy("prune = true"), ("policy.prune: false -> true",)),
    "grace": Row("", policy('grace = "1h"'), ("policy.grace: 7d -> 1h",)),
    "grace of a certificate": Row(billing(""), billing('grace = "1h"'), ("certificates.billing.grace: 7d -> 1h",)),
    "grace of a certificate that falls back to the policy": Row(
        billing('grace = "30d"'), billing(""), ("certificates.billing.grace: 30d -> 7d",)
    ),
    "grace of a certificate that is removed": Row(
        billing('grace = "30d"'), "", ("certificates.billing.grace: 30d -> 7d",)
    ),
    "grace of a certificate that is new": Row("", billing('grace = "1h"'), ("certificates.billing.grace: 7d -> 1h",)),
    "max_deletes": Row("", policy("max_deletes = 11"), ("policy.max_deletes: 10 -> 11",)),
    "max_deletes as a share": Row(
        policy('max_deletes = "10%"'), policy('max_deletes = "20%"'), ("policy.max_deletes: 10% -> 20%",)
    ),
    "max_deletes without its share": Row(
        policy('max_deletes = { count = 9, share = "10%" }'),
        policy("max_deletes = 9"),
        ("policy.max_deletes: 9 and 10% -> 9",),
    ),
    "protect": Row(
        policy('protect = ["billing", "ledger*"]'),
        policy('protect = ["ledger*"]'),
        ("policy.protect: billing, ledger* -> ledger*",),
    ),
    "supersedes of another certificate": Row(
        policy('protect = ["billing"]') + billing('supersedes = ["old"]') + other(""),
        policy('protect = ["billing"]') + billing("") + other('supersedes = ["old"]'),
        ("certificates.other.supersedes: billing -> other",),
    ),
    "exclusive of a Worker with another label and file": Row(
        site("exclusive = false"), site("", "shop", "apps/shop.toml"), ("workers.shop.exclusive: false -> true",)
    ),
    "freeze": Row(
        policy('freeze = [{ start = "fri 16:00", end = "mon 08:00" }, { start = "2026-12-20", end = "2027-01-04" }]'),
        policy('freeze = [{ start = "2026-12-20", end = "2027-01-04" }]'),
        (f"policy.freeze: every fri 16:00 to mon 08:00 UTC, {CHRISTMAS} -> {CHRISTMAS}",),
    ),
    "max_unbinds": Row("", policy("max_unbinds = 11"), ("policy.max_unbinds: 10 by default -> 11",)),
    "rollback_versions": Row("", policy("rollback_versions = 0"), ("policy.rollback_versions: 1 -> 0",)),
    "check_live": Row(policy("check_live = true"), "", ("policy.check_live: true -> false",)),
    "deployed": Row(site(""), site("deployed = false"), ("workers.site.deployed: true -> false",)),
    "deployed of an environment": Row(
        site("") + STAGING,
        site("") + STAGING + "deployed = false\n",
        ("workers.site.env.staging.deployed: true -> false",),
    ),
    "deployed of a Worker with another label": Row(
        site(""), site("deployed = false", "shop", "./wrangler.toml"), ("workers.shop.deployed: true -> false",)
    ),
    "deployed of a Worker in another file": Row(
        site(""), site("deployed = false", config="other.toml"), ("workers.site.deployed: true -> false",)
    ),
    "deployed of a Worker with another label, whose file is named by its folder": Row(
        site("", config="a/wrangler.toml"),
        site("deployed = false", "shop", "a"),
        ("workers.shop.deployed: true -> false",),
    ),
    "exclusive": Row(site("exclusive = false"), site(""), ("workers.site.exclusive: false -> true",)),
    "verify_before": Row(
        policy('verify_before = ["upload", "retire"]'),
        policy('verify_before = "upload"'),
        ("policy.verify_before: retire, upload -> upload",),
    ),
    "verify_before of a certificate": Row(
        billing(ORIGIN, policy('verify_before = "upload"')),
        billing(ORIGIN + "verify_before = []", policy('verify_before = "upload"')),
        ("certificates.billing.verify_before: upload -> none",),
    ),
    "max_lifetime": Row(
        rule('max_lifetime = "90d"'),
        rule('max_lifetime = "91d"'),
        ("policy.certificates.max_lifetime: 90d -> 91d",),
    ),
    "max_lifetime removed": Row(rule('max_lifetime = "90d"'), "", ("policy.certificates.max_lifetime: 90d -> none",)),
    "keys": Row(
        rule('keys = ["RSA >= 3072"]'),
        rule('keys = ["RSA >= 2048"]'),
        ("policy.certificates.keys: RSA >= 3072 -> RSA >= 2048",),
    ),
    "issuers": Row(
        rule('issuers = ["A CA"]'),
        rule('issuers = ["A CA", "B CA"]'),
        ("policy.certificates.issuers: A CA -> A CA, B CA",),
    ),
    "extended_key_usage": Row(
        rule('extended_key_usage = ["clientAuth", "1.2.3"]'),
        rule('extended_key_usage = ["1.2.3"]'),
        ("policy.certificates.extended_key_usage: clientAuth, 1.2.3 -> 1.2.3",),
    ),
    "extensions": Row(
        rule('extensions = ["subjectAltName"]'), "", ("policy.certificates.extensions: subjectAltName -> none",)
    ),
    "key_reuse": Row(rule("key_reuse = false"), "", ("policy.certificates.key_reuse: false -> true",)),
    "names": Row(rule('names = ["acme-*"]'), rule('names = ["acm*"]'), ("policy.certificates.names: acme-* -> acm*",)),
    "common_names": Row(
        rule('common_names = ["*.example"]'), "", ("policy.certificates.common_names: *.example -> none",)
    ),
    "warn_only": Row(
        rule("key_reuse = false"),
        rule('key_reuse = false\nwarn_only = ["key_reuse"]'),
        ("policy.certificates.warn_only: none -> key_reuse",),
    ),
}
UNCHANGED: Mapping[str, tuple[str, str]] = {
    "the default is written": ("", policy('grace = "7d"\nmax_deletes = 10\nrollback_versions = 1')),
    "a duration is written in another way": (policy('grace = "7d"'), policy('grace = "168h"')),
    "a certificate has its own value": ("", billing('grace = "30d"')),
    "a limit is written that was the default": ("", policy("max_unbinds = 10")),
    "a binding more raises the default": (site(BINDING), site(BINDING + BINDING.splitlines()[1].replace("A", "B"))),
    "a Worker that is new is not live": ("", site("deployed = false")),
    "a Worker is removed": (site("exclusive = false"), ""),
    "a proof more": (policy('verify_before = "upload"'), policy('verify_before = ["retire", "upload"]')),
    "the order of a list": (rule('issuers = ["A", "B"]'), rule('issuers = ["B", "A"]')),
    "a glob that matches less": (rule('names = ["acme-*"]'), rule('names = ["acme-*-prod"]')),
    "a larger key": (rule('keys = ["RSA >= 2048"]'), rule('keys = ["RSA >= 4096"]')),
    "a new rule that only warns": ("", rule('key_reuse = false\nwarn_only = ["key_reuse"]')),
    "a name for an object identifier": (
        rule('extensions = ["2.5.29.17"]'),
        rule('extensions = ["subjectAltName"]'),
    ),
}


def told(before: str, after: str) -> tuple[str, ...]:
    found = find_weakened(parse(before), parse(after))
    return tuple(f"{one.path}: {one.before} -> {one.after}" for one in found)


@pytest.mark.parametrize("name", ROWS)
def test_a_guard_that_is_loosened_is_told(name: str) -> None:
    """With its values, and where it is; the name is the key in mtls.toml."""
    row = ROWS[name]
    assert told(row.before, row.after) == row.told
    (found,) = find_weakened(parse(row.before), parse(row.after))
    assert found.guard == name.split(" ")[0]
    assert found.effect


@pytest.mark.parametrize("name", ROWS)
def test_a_guard_that_is_tightened_or_stays_is_not_told(name: str) -> None:
    """Another name of the stack is a loss in both directions."""
    row = ROWS[name]
    assert bool(told(row.after, row.before)) is row.is_loss_both_ways
    assert told(row.before, row.before) == told(row.after, row.after) == ()


@pytest.mark.parametrize("name", UNCHANGED)
def test_what_protects_as_much_is_not_told(name: str) -> None:
    """A warning without a reason is soon ignored."""
    assert told(*UNCHANGED[name]) == ()


def test_every_rule_for_certificates_is_a_guard() -> None:
    """Each has a row."""
    assert {*RULES, "warn_only"} <= {name.split(" ")[0] for name in ROWS}


def test_a_glob_that_might_match_more_counts_as_weaker() -> None:
    """Where that can't be told from the globs alone."""
    for before, after in (("a?", "a*"), ("*]", "[ab]"), ("[ab]", "a")):
        assert told(rule(f'names = ["{before}"]'), rule(f'names = ["{after}"]'))


# --- as findings ------------------------------------------------------------------------------------------------------


def test_a_finding_has_the_values_the_effect_and_the_place() -> None:
    """A warning: whether it is meant is for the reviewer to say."""
    found = find_weakened(parse(""), parse(policy('grace = "1h"')))
    (one,) = weakened_findings(found, "mtls.toml", "HEAD^1")
    assert (one.severity, one.code) == (Severity.WARNING, Code.GUARD_WEAKENED)
    assert one.message == "`policy.grace` is weaker than at HEAD^1: 7d -> 1h, so old certificates are deleted earlier"
    assert getattr(one.where, "keys", None) == ("policy", "grace")


def test_a_guard_is_one_finding_however_many_places_it_has() -> None:
    """A thousand certificates are not a thousand warnings, nor hide another one."""
    names = [f"c{number}" for number in range(5)]
    text = "".join(f'[certificates.{name}]\ncertificate = "c.pem"\ngrace = "{name[1]}h"\n' for name in names)
    found = find_weakened(parse(""), parse(policy("max_deletes = 99") + text))
    grace, deletes = weakened_findings(found, "mtls.toml", "main")
    assert grace.message.startswith(
        "`certificates.c0.grace` is weaker than at main: 7d -> 0s"
        " (also `certificates.c1.grace`, `certificates.c2.grace`, `certificates.c3.grace` and 1 more), so old"
    )
    assert "policy.max_deletes" in deletes.message
    assert len(found) == 6


def test_a_long_value_is_cut_in_the_sentence_alone() -> None:
    """A list can have a hundred values."""
    values = [f"CN=Partner Issuing CA {number}" for number in range(100)]
    found = find_weakened(parse(rule('issuers = ["A CA"]')), parse(rule(f"issuers = {values}")))
    (one,) = weakened_findings(found, "mtls.toml", "main")
    assert "CA 99" in found[0].after
    assert len(one.message) < 400


def test_an_environment_with_any_name_is_told_on_one_line() -> None:
    """wrangler decides which names are valid."""
    name = 'a."b` | <!-- @x'
    table = "[workers.site.env.'" + name + "']\n"
    (found,) = find_weakened(parse(site("") + table), parse(site("") + table + "deployed = false\n"))
    assert found.path == 'workers.site.env."a.\\"b` | <!-- @x".deployed'
    assert replace(found, path="") != found
