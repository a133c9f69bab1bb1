"""`[policy.certificates]`: what each rule refuses, and what a breach of it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from reconciler.findings.codes import Code, Severity
from reconciler.findings.diagnostics import Diagnostic
from reconciler.findings.exits import ExitCode
from reconciler.model import CertificateName, Desired, Entry, Policy
from reconciler.model.certificate_policy import EXTENSIONS, RULES, USAGES, AllowedKey, CertificatePolicy
from reconciler.plan.assessment import Held
from reconciler.plan.certificate_policy import judge_policy
from reconciler.plan.plan import Plan, exit_code_of
from reconciler.x509.certificates import Bundle, quiet
from tests.support.pki import BEGIN, NOW, SERVER_AUTH, Authority, Issued, make_ca, make_key
from tests.support.worlds import actual, certificate, desired, entry, file, plan_of, shown, uid, worker

DAY = timedelta(days=1)
BILLING = CertificateName("billing")


@cache
def ca() -> Authority:
    return make_ca("Partner CA").issue_ca("Partner Issuing CA")


@cache
def leaf(key: str = "ec256", san: tuple[x509.GeneralName, ...] = ()) -> Issued:
    return ca().issue("billing.example", key=key, san=san, not_after=BEGIN + 365 * DAY)


def named(*names: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])


def world(issued: Issued, rules: CertificatePolicy, *, is_ca: bool = False) -> Desired:
    declared = certificate("billing", ca=True, key=None) if is_ca else certificate("billing")
    tables = {} if is_ca else {"BILLING": "billing"}
    wanted = desired(
        {"billing": None}, [worker("checkout", {None: tables})], declared=[declared], policy=Policy(certificates=rules)
    )
    return replace(wanted, bundles={BILLING: issued.bundle})


def breaches(issued: Issued, rules: CertificatePolicy) -> list[Diagnostic]:
    return list(judge_policy(world(issued, rules), None, NOW).get(BILLING, ()))


def fingerprint(authority: Authority) -> str:
    return Bundle((authority.der,)).fingerprint


SAN = (x509.DNSName("billing.example"),)
RSA_3072 = AllowedKey("RSA", 3072)

ALLOWED: dict[str, tuple[Callable[[], Issued], CertificatePolicy]] = {
    "no rule": (leaf, CertificatePolicy()),
    "exactly as long": (leaf, CertificatePolicy(max_lifetime=365 * DAY)),
    "the type": (leaf, CertificatePolicy(keys=(RSA_3072, AllowedKey("EC P-256")))),
    "the size": (lambda: leaf("rsa3072"), CertificatePolicy(keys=(RSA_3072,))),
    "the whole name of the issuer": (leaf, CertificatePolicy(issuers=("other", "CN=Partner Issuing CA"))),
    "the common name of the issuer": (leaf, CertificatePolicy(issuers=("Partner Issuing CA",))),
    "the fingerprint of a CA above": (leaf, CertificatePolicy(issuers=(fingerprint(ca()),))),
    "the usage": (leaf, CertificatePolicy(extended_key_usage=(USAGES["clientAuth"],))),
    "the extension": (lambda: leaf(san=SAN), CertificatePolicy(extensions=(EXTENSIONS["subjectAltName"],))),
    "a key of its own": (leaf, CertificatePolicy(key_reuse=False)),
    "a name that matches": (leaf, CertificatePolicy(names=("acme-*", "bill?ng"))),
    "a common name that matches": (leaf, CertificatePolicy(common_names=("*.example",))),
}
REFUSED: dict[str, tuple[Callable[[], Issued], CertificatePolicy, Code, str]] = {
    "longer by a second": (
        leaf,
        CertificatePolicy(max_lifetime=365 * DAY - timedelta(seconds=1)),
        Code.POLICY_LIFETIME,
        "'billing' is valid for 365d, which `max_lifetime = \"364d23h59m59s\"` in `[policy.certificates]` does",
    ),
    "another curve": (
        leaf,
        CertificatePolicy(keys=(RSA_3072, AllowedKey("EC P-384"))),
        Code.POLICY_KEY_TYPE,
        '\'billing\' has a key of type EC P-256, which `keys = ["RSA >= 3072", "EC P-384"]` in',
    ),
    "a smaller key": (
        lambda: leaf("rsa2048"),
        CertificatePolicy(keys=(RSA_3072,)),
        Code.POLICY_KEY_TYPE,
        "has a key of type RSA 2048",
    ),
    "another issuer": (
        leaf,
        CertificatePolicy(issuers=("CN=Platform CA", "Partner CA")),
        Code.POLICY_ISSUER,
        "was issued by CN=Partner Issuing CA, which `issuers = [",
    ),
    "a part of the issuer's name": (leaf, CertificatePolicy(issuers=("Partner*",)), Code.POLICY_ISSUER, ""),
    "its own fingerprint": (
        leaf,
        CertificatePolicy(issuers=(leaf().bundle.fingerprint,)),
        Code.POLICY_ISSUER,
        "",
    ),
    "a whole name as a common name": (
        lambda: make_ca("CN=Partner Issuing CA").issue("billing.example"),
        CertificatePolicy(issuers=("CN=Partner Issuing CA",)),
        Code.POLICY_ISSUER,
        "",
    ),
    "one of two common names of the issuer": (
        lambda: make_ca(named("Partner Issuing CA", "Other")).issue("billing.example"),
        CertificatePolicy(issuers=("Partner Issuing CA",)),
        Code.POLICY_ISSUER,
        "",
    ),
    "one usage of two": (
        leaf,
        CertificatePolicy(extended_key_usage=(USAGES["clientAuth"], SERVER_AUTH.dotted_string)),
        Code.POLICY_EXTENSION,
        "lacks extendedKeyUsage serverAuth, which `extended_key_usage =",
    ),
    "no usage": (
        lambda: ca().issue("billing.example", eku=None),
        CertificatePolicy(extended_key_usage=(USAGES["clientAuth"],)),
        Code.POLICY_EXTENSION,
        "lacks extendedKeyUsage clientAuth",
    ),
    "no extension": (
        leaf,
        CertificatePolicy(extensions=(EXTENSIONS["subjectAltName"], "1.2.3.4")),
        Code.POLICY_EXTENSION,
        'lacks the extension subjectAltName, 1.2.3.4, which `extensions = ["subjectAltName", "1.2.3.4"]`',
    ),
    "another name": (leaf, CertificatePolicy(names=("acme-*",)), Code.POLICY_NAME, "has this name, which `names ="),
    "another common name": (
        leaf,
        CertificatePolicy(common_names=("*.internal",)),
        Code.POLICY_NAME,
        "has the common name 'billing.example', which",
    ),
    "one of two common names": (
        lambda: ca().issue(named("a.example", "b.internal")),
        CertificatePolicy(common_names=("*.example",)),
        Code.POLICY_NAME,
        "has the common name 'a.example', 'b.internal'",
    ),
    "no common name": (
        lambda: ca().issue(x509.Name([])),
        CertificatePolicy(common_names=("*",)),
        Code.POLICY_NAME,
        "has no common name",
    ),
}


@pytest.mark.parametrize("row", ALLOWED)
def test_a_rule_allows(row: str) -> None:
    """No finding."""
    make, rules = ALLOWED[row]
    assert breaches(make(), rules) == []


@pytest.mark.parametrize("row", REFUSED)
def test_a_rule_refuses(row: str) -> None:
    """One error, with the rule and its value in message and hint, at the certificate in mtls.toml."""
    make, rules, code, message = REFUSED[row]
    (found,) = breaches(make(), rules)
    assert (found.severity, found.code, found.certificate) == (Severity.ERROR, code, "billing")
    assert message in found.message
    assert "in `[policy.certificates]`" in (found.hint or "")
    assert getattr(found.where, "keys", None) == ("certificates", "billing", "certificate")


def test_every_rule_is_tried() -> None:
    """Also in the row for `key_reuse` below."""
    tried = {rule for _, rules, _, _ in REFUSED.values() for rule in RULES if getattr(rules, rule)} - {"key_reuse"}
    assert tried == set(RULES) - {"key_reuse"}


@pytest.mark.parametrize("glob", ["*a" * 49 + "b", "*[ab]" * 19 + "c", "*" * 99 + "b"])
def test_no_glob_takes_long(glob: str) -> None:
    """A pull request can write both the glob and the certificate."""
    assert breaches(ca().issue(named("a" * 64)), CertificatePolicy(common_names=(glob,) * 100))


def test_a_common_name_that_is_too_long_matches_nothing() -> None:
    """X.520 allows 64 characters."""
    with quiet():
        long = ca().issue(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a" * 300, _validate=False)]))
    assert breaches(long, CertificatePolicy(common_names=("*",)))


# --- key reuse --------------------------------------------------------------------------------------------------------

UNIQUE = CertificatePolicy(key_reuse=False)


def with_key(slot: Issued) -> Issued:
    return ca().issue("billing.example", key=slot.key, not_after=BEGIN + 100 * DAY)


def stored(issued: Issued, number: int, name: str = "by hand") -> Entry:
    return replace(entry(number, number, name), certificates=issued.chain_pem.decode())


def test_a_key_in_two_declared_certificates_is_refused_in_both() -> None:
    """But not where both declare the same certificate: that is uploaded once."""
    first, second = leaf(), with_key(leaf())
    both = desired(dict.fromkeys(("a", "b", "same")), policy=Policy(certificates=UNIQUE))
    bundles = {"a": first.bundle, "b": second.bundle, "same": first.bundle}
    found = judge_policy(replace(both, bundles={CertificateName(k): v for k, v in bundles.items()}), None, NOW)
    told = [(name, one.code) for name, problems in found.items() for one in problems]
    assert told == [(name, Code.POLICY_KEY_REUSE) for name in ("a", "b", "same")]
    assert "'a' has the same key as 'b', which `key_reuse = false`" in found[CertificateName("a")][0].message


def test_a_renewal_with_the_key_of_an_uploaded_certificate_is_refused() -> None:
    """Whoever uploaded that one; a CA with this key is another thing."""
    there = stored(leaf(), 7)
    plan = plan_of(world(with_key(leaf()), UNIQUE), actual([there], {"checkout": file({None: {}})}))
    (found,) = [one for one in plan.diagnostics if one.code is Code.POLICY_KEY_REUSE]
    assert f"the uploaded certificate {uid(7)}" in found.message
    assert shown(plan) == []
    of_ca = plan_of(world(with_key(leaf()), UNIQUE), actual([replace(there, ca=True)], {"checkout": file({None: {}})}))
    assert shown(of_ca) == ["upload billing missing", "bind BILLING missing"]


# --- what is held -----------------------------------------------------------------------------------------------------

SHORT = CertificatePolicy(max_lifetime=DAY)


def plan_with(rules: CertificatePolicy, *entries: Entry, bound: dict[str, str] | None = None) -> Plan:
    return plan_of(world(leaf(), rules), actual(entries, {"checkout": file({None: bound or {}})}))


def of_policy(plan: Plan) -> list[tuple[Severity, Code]]:
    return [(one.severity, one.code) for one in plan.diagnostics if one.code.startswith("policy-")]


def test_an_error_holds_the_upload_and_its_bindings() -> None:
    """And the run ends with 3, as for every guard rail."""
    plan = plan_with(SHORT)
    assert shown(plan) == []
    assert of_policy(plan) == [(Severity.ERROR, Code.POLICY_LIFETIME)]
    assert [isinstance(row.verdict, Held) for row in plan.assessment.certificates] == [True]
    assert [isinstance(row.verdict, Held) for row in plan.assessment.bindings] == [True]
    assert exit_code_of(plan.diagnostics) is ExitCode.BLOCKED


def test_a_rule_that_only_warns_holds_nothing() -> None:
    """`warn_only` names it."""
    plan = plan_with(replace(SHORT, warn_only=frozenset({"max_lifetime"})))
    assert shown(plan) == ["upload billing missing", "bind BILLING missing"]
    assert of_policy(plan) == [(Severity.WARNING, Code.POLICY_LIFETIME)]


@pytest.mark.parametrize("bound", [{"BILLING": uid(1)}, {}], ids=["in use", "stored"])
def test_what_is_uploaded_already_is_only_warned_about(bound: dict[str, str]) -> None:
    """Nothing that is in use is taken away, and a revert to it must work."""
    plan = plan_with(SHORT, stored(leaf(), 1), bound=bound)
    assert shown(plan) == ([] if bound else ["bind BILLING missing"])
    assert of_policy(plan) == [(Severity.WARNING, Code.POLICY_LIFETIME)]
    (found,) = [one for one in plan.diagnostics if one.code is Code.POLICY_LIFETIME]
    assert (found.hint or "").startswith("it is uploaded already, so it stays in use; for its renewal, get")


def test_a_name_that_is_refused_holds_the_others_with_the_same_content() -> None:
    """They share one upload, and what is uploaded is only warned about; the finding is shown with each of them."""
    wanted = desired(
        dict.fromkeys(("acme-a", "b"), 1), policy=Policy(certificates=CertificatePolicy(names=("acme-*",)))
    )
    plan = plan_of(wanted, actual([]), only=("acme-a",))
    assert shown(plan) == []
    assert [(one.code, one.certificate) for one in plan.diagnostics if one.is_error] == [("policy-name", "acme-a")]
    assert all(isinstance(row.verdict, Held) for row in plan.assessment.certificates)


def test_offline_it_is_an_error_because_it_may_have_to_be_uploaded() -> None:
    """As every other error of a certificate."""
    plan = plan_of(world(leaf(), SHORT), actual(None, {"checkout": file({None: {}})}))
    assert of_policy(plan) == [(Severity.ERROR, Code.POLICY_LIFETIME)]


def test_of_a_ca_only_its_name_counts() -> None:
    """The other rules are about client certificates."""
    rules = CertificatePolicy(DAY, (RSA_3072,), ("x",), ("1.2",), ("1.2",), False, ("acme-*",), ("x",))
    found = judge_policy(world(ca(), rules, is_ca=True), None, NOW)[BILLING]
    assert [one.code for one in found] == [Code.POLICY_NAME]
    assert len(judge_policy(world(leaf(), rules), None, NOW)[BILLING]) == len(RULES) - 1


def test_an_unreadable_certificate_breaks_what_can_not_be_read() -> None:
    """A key of a type that the library does not know is none that is allowed."""
    odd = ca().issue("billing.example", key=make_key("secp256k1"))
    assert [one.code for one in breaches(odd, CertificatePolicy(keys=(AllowedKey("EC P-256"),)))] == ["policy-key-type"]
