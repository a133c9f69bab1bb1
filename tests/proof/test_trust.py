"""Whether a chain leads to a CA that an origin trusts, over every path that cross-signing makes."""

from __future__ import annotations

import pytest

from reconciler.proof.trust import check_trust
from reconciler.x509.certificates import Bundle
from tests.support.pki import DAY, NOW, Authority, make_ca

ROOT, OLD_ROOT = make_ca("Root"), make_ca("Old Root")
MIDDLE = ROOT.issue_ca("Middle")
LEAF = MIDDLE.issue("client").der


def cross(signer: Authority, subject: Authority) -> bytes:
    """The name and key of a CA, signed by another one."""
    return signer.issue_ca(subject.certificate.subject, key=subject.key, not_after=NOW + 200 * DAY).der


def codes(chain: tuple[bytes, ...], *trusted: bytes) -> list[str]:
    """What speaks against an origin with these CAs accepting the chain."""
    found = check_trust(Bundle(chain), Bundle(trusted), path="client.pem", trusted_path="cas.pem", now=NOW)
    return [one.code for one in found]


@pytest.mark.parametrize("trusted", [ROOT, OLD_ROOT], ids=["the root of the best path", "the root of the other path"])
def test_a_cross_signed_intermediate_leads_to_the_roots_of_both_paths(trusted: Authority) -> None:
    """In both orders."""
    crossed = cross(OLD_ROOT, MIDDLE)
    assert codes((LEAF, MIDDLE.der, crossed), trusted.der) == []
    assert codes((LEAF, crossed, MIDDLE.der), trusted.der) == []


def test_a_cross_signed_root_at_the_end_of_the_file_does_not_hide_the_root() -> None:
    """The file ends at the other CA, but the origin trusts the root itself."""
    assert codes((LEAF, MIDDLE.der, cross(OLD_ROOT, ROOT)), ROOT.der) == []
    assert codes((LEAF, MIDDLE.der, cross(OLD_ROOT, ROOT)), OLD_ROOT.der) == []


def test_a_chain_to_another_root_is_not_trusted() -> None:
    """Whatever else is in the file."""
    stranger = make_ca("Stranger")
    assert codes((LEAF, MIDDLE.der), OLD_ROOT.der) == ["chain-not-trusted"]
    assert codes((LEAF, MIDDLE.der, stranger.der), stranger.der) == ["chain-not-trusted"]


def test_an_intermediate_in_the_place_of_the_root_is_a_warning() -> None:
    """Some origins accept it."""
    assert codes((LEAF,), MIDDLE.der) == ["client-ca-without-root"]
