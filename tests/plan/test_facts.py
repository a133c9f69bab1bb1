"""The public facts of certificates in a plan: what rules of others decide by."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from reconciler.findings.errors import StalePlanError
from reconciler.model import CertificateName, Desired
from reconciler.plan.facts import MOST_NAMES, PublicFacts
from reconciler.plan.plan import Plan
from reconciler.records.base import to_json
from reconciler.records.plan import plan_document
from reconciler.records.saved_plan import read_plan
from reconciler.x509.certificates import Bundle
from tests.support.paths import REPOSITORY
from tests.support.pki import BEGIN, END, NOW, Issued, make_ca, make_key
from tests.support.worlds import actual, certificate, desired, plan_of

ROOT = make_ca("Root")
HOSTILE = "\x1b[2J ##[error] \u202e ::x"


def plan_with(*leaves: Issued | Bundle, only: tuple[str, ...] = (), **settings: Any) -> Plan:
    """A plan that declares these certificates, called a, b, ..."""
    names = [CertificateName(chr(ord("a") + index)) for index in range(len(leaves))]
    wanted = desired(dict.fromkeys(names, 1), declared=[certificate(name, **settings) for name in names])
    bundles = [leaf if isinstance(leaf, Bundle) else leaf.bundle for leaf in leaves]
    wanted = Desired(wanted.declaration, dict(zip(names, bundles, strict=True)))
    return plan_of(wanted, actual(()), only=only)


def facts(leaf: Issued | Bundle, **settings: Any) -> PublicFacts:
    (found,) = plan_with(leaf, **settings).certificates
    return found


def written(plan: Plan) -> str:
    return to_json(plan_document(plan, lambda _: None))


def test_they_are_those_that_openssl_prints(tmp_path: Path) -> None:
    """Serial, subject, issuer, dates and fingerprint, in the same forms."""
    leaf = ROOT.issue("billing", serial=0x0A1B)
    (tmp_path / "leaf.pem").write_bytes(leaf.certificate_pem)
    command = "openssl x509 -in leaf.pem -noout -serial -subject -issuer -nameopt RFC2253 -fingerprint -sha256"
    told = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    lines = dict(line.split("=", 1) for line in told.splitlines())
    found = facts(leaf)
    assert lines["serial"] == found.serial == "0A1B"
    assert lines["subject"].removeprefix(" ") == found.subject
    assert lines["issuer"].removeprefix(" ") == found.issuer
    assert (
        next(value for key, value in lines.items() if "ingerprint" in key).replace(":", "").lower() == found.fingerprint
    )
    assert (found.not_before, found.not_after) == (BEGIN, END)


@pytest.mark.parametrize(
    ("kind", "name", "type_", "size"),
    [
        ("rsa2048", "RSA 2048", "RSA", 2048),
        ("ec256", "EC P-256", "EC", 256),
        ("ec521", "EC P-521", "EC", 521),
        ("secp256k1", "EC secp256k1", "EC", 256),
        ("ed25519", "Ed25519", "Ed25519", None),
        ("ed448", "Ed448", "Ed448", None),
        ("dsa1024", "DSA 1024", "DSA", 1024),
    ],
)
def test_a_key_has_its_type_and_size(kind: str, name: str, type_: str, size: int | None) -> None:
    """Apart, so that a rule need not read a text."""
    found = facts(ROOT.issue("a", key=kind))
    assert (found.key, found.key_type, found.key_size) == (name, type_, size)


def test_one_private_key_in_two_certificates_is_seen() -> None:
    """By the digest of the public key, in the form that others compute."""
    key = make_key()
    first, second = plan_with(ROOT.issue("a", key=key), ROOT.issue("b", key=key)).certificates
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert first.key_digest == second.key_digest == hashlib.sha256(der).hexdigest()
    assert first.fingerprint != second.fingerprint


def test_a_key_of_an_unknown_type_has_none_of_these() -> None:
    """The rest is there; a rule that demands a type then refuses it."""
    leaf = ROOT.issue("a")
    point = leaf.certificate.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    der = leaf.der.replace(bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a8648ce3d027f"))
    assert point in der
    found = facts(Bundle((der,)))
    assert (found.key, found.key_type, found.key_size, found.key_digest) == (None, None, None, None)
    assert found.subject == "CN=a"


def test_the_window_is_that_of_the_chain() -> None:
    """An intermediate may end first, and then nothing accepts the leaf any more."""
    leaf = ROOT.issue_ca(not_after=END - (END - NOW) / 2).issue("a")
    found = facts(leaf)
    assert (found.not_after, found.valid_from, found.valid_until) == (END, BEGIN, END - (END - NOW) / 2)
    assert found.content_digest != found.fingerprint == hashlib.sha256(leaf.der).hexdigest()


def test_a_ca_says_that_it_is_one_and_who_owns_it() -> None:
    """As mtls.toml declares it."""
    found = facts(ROOT, ca=True, key=None, owner="team-payments")
    assert (found.ca, found.owner, found.path) == (True, "team-payments", "certs/a.pem")


def test_of_many_names_the_first_are_there_and_the_others_counted() -> None:
    """A rule about names must see that it did not see all."""
    names = tuple(x509.DNSName(f"n{number}.example") for number in range(MOST_NAMES + 3))
    found = facts(ROOT.issue("a", san=names))
    assert (len(found.subject_alternative_names), found.names_left_out) == (MOST_NAMES, 3)
    assert facts(ROOT.issue("a", san=names[:MOST_NAMES])).names_left_out is None


def test_a_file_that_can_not_be_read_has_no_facts() -> None:
    """It has an error; the others have theirs."""
    wanted = desired({"a": None, "b": 1})
    assert [one.certificate for one in plan_of(wanted, actual(())).certificates] == ["b"]


def test_a_partial_plan_has_those_that_it_is_limited_to() -> None:
    """Like all else in it."""
    plan = plan_with(ROOT.issue("a"), ROOT.issue("b"), only=("b",))
    assert [one.certificate for one in plan.certificates] == ["b"]


def test_an_offline_plan_has_them_too() -> None:
    """A pull request without a token is judged by the same rules."""
    assert [one.certificate for one in plan_of(desired({"a": 1}), actual(None)).certificates] == ["a"]


def test_no_text_of_a_certificate_acts_where_the_document_is_shown() -> None:
    """A subject may be anything."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOSTILE)])
    text = written(plan_with(ROOT.issue(name, san=(x509.UniformResourceIdentifier("x:##[error]"),))))
    assert text.isascii()
    assert "\x1b" not in text
    assert "##[" not in text
    assert HOSTILE.strip() in json.loads(text)["certificates"][0]["subject"].replace("\\", "")


def test_every_fact_is_on_the_page_about_rules() -> None:
    """And nothing else: who writes a rule has no other list."""
    page = (REPOSITORY / "docs/how-to/own-rules.md").read_text().partition("## What you see")[2]
    rows = re.findall(r"(?m)^\| (`.+?) \|", page)
    named = {word for row in rows for word in re.findall(r"`(\w+)`", row)} | {"names_left_out"}
    assert named == {one.name for one in fields(PublicFacts)}


# --- saved ----------------------------------------------------------------------------------------------------------


def test_a_saved_plan_keeps_them_to_the_byte() -> None:
    """`show --format json` prints what was saved, so that rules can be asked at any time."""
    text = written(replace(plan_with(ROOT.issue("a", key="ed25519"), ROOT.issue("b")), apply_with=("plan.json",)))
    saved = read_plan(text.encode(), "plan.json")
    assert saved.certificates is not None
    assert to_json(plan_document(saved, lambda _: None)) == text


@pytest.mark.parametrize("key", ["subject", "fingerprint", "not_after", "key_size", "certificate"])
def test_an_edited_fact_makes_the_plan_another_one(key: str) -> None:
    """Or a rule would have judged something else than what is applied."""
    document = json.loads(written(plan_with(ROOT.issue("a"))))
    document["certificates"][0][key] = {"not_after": "2040-01-01T00:00:00Z", "key_size": 1}.get(key, "b")
    with pytest.raises(StalePlanError, match="changed after it was saved"):
        read_plan(json.dumps(document).encode(), "plan.json")


def test_removed_facts_make_the_plan_another_one() -> None:
    """Of a plan without any, a rule has nothing to refuse."""
    document = json.loads(written(plan_with(ROOT.issue("a"))))
    for edited in ({**document, "certificates": []}, {key: document[key] for key in document if key != "certificates"}):
        with pytest.raises(StalePlanError, match="changed after it was saved"):
            read_plan(json.dumps(edited).encode(), "plan.json")


def test_the_facts_do_not_change_the_digest() -> None:
    """It covers the changes alone; who approved a digest approved no owner."""
    leaf = ROOT.issue("a")
    assert plan_with(leaf).digest == plan_with(leaf, owner="team-payments").digest
