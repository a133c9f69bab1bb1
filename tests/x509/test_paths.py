"""The best path of a bundle with several: by what is valid now, then by what ends last (rule 10)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from reconciler.x509.certificates import Bundle
from reconciler.x509.chains import make_chain, window_of
from reconciler.x509.preflight import check_dates, check_for_upload
from tests.support.der_certificates import CA, key_ids, make, root
from tests.support.der_certificates import LEAF as LEAF_EXTENSIONS
from tests.support.pki import DAY, END, NOW, Authority, make_ca, make_key

ROOT = make_ca("Paths Root", not_before=NOW - 4000 * DAY, not_after=NOW + 4000 * DAY)
OLD_ROOT = make_ca("Old Root", not_before=NOW - 4000 * DAY, not_after=NOW + 4000 * DAY)
ISSUER = ROOT.issue_ca("Issuer", not_before=NOW - 400 * DAY, not_after=NOW + 900 * DAY)
LEAF = ISSUER.issue("leaf").der


def der(authority: Authority) -> bytes:
    """Its certificate."""
    return authority.certificate.public_bytes(Encoding.DER)


def cross_sign(signer: Authority, subject: Authority, begins: datetime, ends: datetime) -> Authority:
    """The name and key of a CA, signed by another one."""
    return signer.issue_ca(subject.certificate.subject, key=subject.key, not_before=begins, not_after=ends)


def cross(begins: timedelta, ends: timedelta, signer: Authority = OLD_ROOT) -> bytes:
    """The same issuer, key and name, signed by another root."""
    return der(cross_sign(signer, ISSUER, NOW + begins, NOW + ends))


EXPIRED = cross(-400 * DAY, -DAY)
LATER = cross(10 * DAY, 2000 * DAY)
SHORT = cross(-400 * DAY, 30 * DAY)


@pytest.mark.parametrize(
    "ders",
    [
        (LEAF, EXPIRED, der(ISSUER)),
        (LEAF, der(ISSUER), EXPIRED),
        (LEAF, LATER, der(ISSUER)),
        (LEAF, SHORT, der(ISSUER)),
        (LEAF, EXPIRED, der(ISSUER), der(ROOT)),
        (LEAF, EXPIRED, der(OLD_ROOT), der(ISSUER), der(ROOT)),
    ],
    ids=[
        "expired first",
        "expired last",
        "one that begins later",
        "one that ends sooner",
        "with its root",
        "both roots",
    ],
)
def test_the_path_is_one_that_is_valid_and_ends_last(ders: tuple[bytes, ...]) -> None:
    """A cross-sign beside it is a second path, which a note reports; it is no reason for a warning."""
    bundle = Bundle(ders)
    window = window_of(bundle, now=NOW)
    assert (window.contains(NOW), window.ends) == (True, END)
    assert make_chain(bundle, "", now=NOW).path[1] == ders.index(der(ISSUER))
    assert check_dates(bundle, path="x.pem", ca=False, now=NOW) == ()
    found = {one.code for one in check_for_upload(bundle, ca=False, path="x.pem", now=NOW)}
    assert found - {"chain-has-root"} == {"chain-second-path"}


def test_where_no_path_is_valid_the_one_that_ends_last_counts() -> None:
    """With its own begin."""
    window = window_of(Bundle((LEAF, EXPIRED, LATER)), now=NOW)
    assert (window.begins, window.ends) == (NOW + 10 * DAY, END)


def test_an_expired_cross_sign_without_another_path_has_ended() -> None:
    """There is nothing else to build a chain of."""
    assert window_of(Bundle((LEAF, EXPIRED)), now=NOW).has_ended(NOW)


def test_certificates_that_issued_each_other_in_a_circle_are_a_path_as_far_as_they_go() -> None:
    """Two roots that cross-signed each other, without themselves."""
    one = der(cross_sign(OLD_ROOT, ROOT, NOW - DAY, NOW + DAY))
    other = der(cross_sign(ROOT, OLD_ROOT, NOW - DAY, NOW + DAY))
    leaf = ROOT.issue("leaf").der
    assert make_chain(Bundle((leaf, one, other)), "", now=NOW).path == (0, 1, 2)


def test_many_alike_take_no_time() -> None:
    """Nobody has twenty ways; a stranger's list may."""
    many = tuple(cross(-DAY, timedelta(days=days)) for days in range(1, 40))
    assert make_chain(Bundle((LEAF, *many)), "", now=NOW).path == (0, 1)


def findings(*ders: bytes) -> list[tuple[str, str]]:
    """Severity and code of what is reported before an upload."""
    found = check_for_upload(Bundle(ders), ca=False, path="x.pem", now=NOW)
    return [(one.severity, one.code) for one in found]


def test_a_cross_signed_intermediate_is_a_second_path_whatever_the_bytes_of_its_name() -> None:
    """CAs write the same name as another type of string when they sign across; it has the same key."""
    plain = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Issuer", _ASN1Type.PrintableString)])
    crossed = der(OLD_ROOT.issue_ca(plain, key=ISSUER.key, not_after=NOW + 900 * DAY))
    for chain in ((LEAF, der(ISSUER), crossed), (LEAF, crossed, der(ISSUER))):
        assert findings(*chain) == [("info", "chain-second-path")]
        assert make_chain(Bundle(chain), "", now=NOW).path[1] == chain.index(der(ISSUER))


def test_a_renewed_ca_of_the_same_name_and_another_key_is_no_second_path() -> None:
    """It can't have issued the leaf."""
    renewed = ROOT.issue_ca("Issuer", not_after=NOW + 900 * DAY)
    assert findings(LEAF, der(ISSUER), der(renewed)) == [("warning", "chain-unrelated")]


def test_a_root_that_its_predecessor_signed_is_an_intermediate() -> None:
    """It has its own name as its issuer and another key; an origin that trusts only the old root needs it."""
    old, new = make(None, "CA", (*CA, *key_ids(b"old", b"old"))), make_key()
    for ids in ((*CA, *key_ids(b"new", b"old")), CA):
        bridge = make(old, "CA", ids, key=new)
        leaf = make(bridge, "client")
        chain = (leaf.der, bridge.der, old.der)
        assert make_chain(Bundle(chain), "", now=NOW).path == (0, 1, 2)
        found = check_for_upload(Bundle(chain), ca=False, path="x.pem", now=datetime.now(UTC))
        assert [one.code for one in found] == ["chain-has-root"]
    assert make_chain(Bundle((leaf.der, bridge.der)), "", now=NOW).path == (0, 1)


def test_a_client_with_the_name_of_its_ca_did_not_sign_itself() -> None:
    """The chain goes on to the CA."""
    ca = make_ca("twin", not_after=NOW + 900 * DAY)
    assert findings(ca.issue("twin").der, der(ca)) == [("warning", "chain-has-root")]


def test_of_issuers_with_one_key_the_one_that_the_key_id_names_is_on_the_path() -> None:
    """OpenSSL takes no other."""
    top = root()
    named = make(top, "Middle", (*CA, *key_ids(b"named", None)))
    other = make(top, "Middle", (*CA, *key_ids(b"other", None)), key=named.key)
    leaf = make(named, "client", (*LEAF_EXTENSIONS, *key_ids(None, b"named")))
    chain = Bundle((leaf.der, other.der, named.der))
    assert make_chain(chain, "", now=datetime.now(UTC)).path == (0, 2)
    found = check_for_upload(chain, ca=False, path="x.pem", now=datetime.now(UTC))
    assert [one.code for one in found] == ["chain-second-path"]
