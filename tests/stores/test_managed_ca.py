"""Certificates signed by the CA that Cloudflare manages: what is asked of the emulator, and what its answers become."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from reconciler.emulator.app import PREFIX
from reconciler.emulator.faults import Fault, FaultKind
from reconciler.emulator.state import EmulatorState
from reconciler.emulator.tokens import Permission, Token
from reconciler.findings.errors import IssuerError
from reconciler.issuers import open_issuer
from reconciler.issuers.context import IssuerContext
from reconciler.model.renewal import CloudflareIssuer, DeclaredIssuer, IssuedCertificate, SigningRequest
from reconciler.stores.cloudflare.access import Access
from reconciler.stores.cloudflare.client import Client, Time
from reconciler.stores.cloudflare.managed_ca import ManagedCa, managed_ca
from reconciler.web.vault import Vault
from reconciler.x509.certificates import Bundle, key_digest, parse_stored
from tests.support.emulated import TOKEN, DirectTransport, make_state
from tests.support.pki import make_ca, make_key
from tests.support.store_contract import SetClock

ZONE, OTHER_ZONE = "023e105f4ecef8ad9ca31a8372d0c353", "f" * 32
SIGNED = f"{PREFIX}/zones/{ZONE}/client_certificates"
READ = frozenset({Permission.ZONE_CERTIFICATES_READ})
WRITE = frozenset({Permission.ZONE_CERTIFICATES_WRITE})


@dataclass
class Asked:
    """An emulator, and the issuer that uses it."""

    clock: SetClock = field(default_factory=SetClock)
    state: EmulatorState = field(init=False)

    def __post_init__(self) -> None:
        self.state = make_state(self.clock)

    def issuer(self, zone: str = ZONE, token: str = TOKEN) -> ManagedCa:
        time = Time(self.clock.now, monotonic=lambda: self.clock.now().timestamp(), sleep=self._wait)
        access = Access(f"http://127.0.0.1{PREFIX}", "", token, is_loopback=True)
        return ManagedCa(zone, lambda: Client(access, time, transport=DirectTransport(self.state)), lambda: 0.5)

    def _wait(self, seconds: float) -> None:
        self.clock.time += timedelta(seconds=seconds)

    @property
    def bodies(self) -> list[str]:
        """Every certificate of the zone, as the emulator keeps it."""
        (account,) = self.state.accounts.values()
        return [str(one["certificate"]) for one in account.holders.signed.get(ZONE, {}).values()]


@pytest.fixture
def asked() -> Asked:
    return Asked()


def request(*, lifetime: timedelta | None = timedelta(days=90)) -> SigningRequest:
    """A request with a new key."""
    key = make_key("ec256")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "billing")])
    csr = x509.CertificateSigningRequestBuilder(subject).sign(key, hashes.SHA256())
    digest = str(key_digest(make_ca("x", key=key).certificate))
    return SigningRequest("billing", csr.public_bytes(Encoding.PEM), digest, "billing", lifetime=lifetime)


def parsed(found: bytes | IssuedCertificate | None) -> Bundle:
    pem = found.pem if isinstance(found, IssuedCertificate) else found or b""
    bundle = parse_stored(pem.decode())
    assert bundle is not None
    return bundle


@pytest.mark.parametrize(("lifetime", "days"), [(timedelta(days=90), 90), (timedelta(days=1), 1), (None, 365)])
def test_a_request_is_signed_for_days(asked: Asked, lifetime: timedelta | None, days: int) -> None:
    """The answer has the certificate alone, for the key and subject of the request."""
    wanted = request(lifetime=lifetime)
    bundle = parsed(asked.issuer().issue(wanted))
    assert (key_digest(bundle.leaf), len(bundle.certificates)) == (wanted.key, 1)
    assert bundle.leaf.subject.rfc4514_string() == "CN=billing"
    assert bundle.not_after - bundle.not_before == timedelta(days=days)


def test_a_certificate_is_found_by_its_key(asked: Asked) -> None:
    """On any page, in this zone alone; of several the one that was signed last."""
    wanted = request()
    asked.issuer().issue(wanted)
    asked.clock.time += timedelta(days=1)
    last = asked.issuer().issue(wanted)
    for _ in range(60):
        asked.issuer().issue(request())
    assert asked.issuer().find(wanted.key) == IssuedCertificate(last)
    assert asked.issuer().find("0" * 64) is None
    assert asked.issuer(OTHER_ZONE).find(wanted.key) is None


@pytest.mark.parametrize("kind", [FaultKind.LOST_REPLY, FaultKind.SERVER_ERROR_AFTER, FaultKind.TRUNCATED])
def test_a_lost_answer_is_open_and_the_certificate_is_found(asked: Asked, kind: FaultKind) -> None:
    """The request is not sent again: that could sign a second one."""
    wanted = request()
    asked.state.faults.add(Fault(kind, method="POST"))
    with pytest.raises(IssuerError) as caught:
        asked.issuer().issue(wanted)
    assert caught.value.is_open
    assert len(asked.bodies) == 1
    assert key_digest(parsed(asked.issuer().find(wanted.key)).leaf) == wanted.key


@pytest.mark.parametrize("kind", [FaultKind.RATE_LIMITED, FaultKind.LOST_REPLY, FaultKind.SERVER_ERROR])
def test_what_can_be_repeated_is(asked: Asked, kind: FaultKind) -> None:
    """The list, whatever happened; a signature only where nothing was done for sure."""
    wanted = request()
    if kind is FaultKind.RATE_LIMITED:
        asked.state.faults.add(Fault(kind, method="POST"))
    signed = asked.issuer().issue(wanted)
    asked.state.faults.add(Fault(kind, method="GET"))
    assert asked.issuer().find(wanted.key) == IssuedCertificate(signed)
    assert len(asked.bodies) == 1


@pytest.mark.parametrize("kind", [FaultKind.WRONG_TOTAL, FaultKind.IGNORED_PAGE, FaultKind.SHIFTED_PAGES])
def test_a_list_that_is_not_whole_is_an_error(asked: Asked, kind: FaultKind) -> None:
    """Not "no such certificate", which would sign a second one."""
    for _ in range(60):
        asked.issuer().issue(request())
    asked.state.faults.add(Fault(kind, times=100))
    with pytest.raises(IssuerError) as caught:
        asked.issuer().find("0" * 64)
    assert "list" in str(caught.value)
    assert not caught.value.is_open


@pytest.mark.parametrize("lacks", ["certificate", "status", "id", "readable text"])
def test_a_certificate_in_the_list_that_can_not_be_read_is_an_error(asked: Asked, lacks: str) -> None:
    """It may be the one that is looked for."""
    asked.issuer().issue(request())
    (account,) = asked.state.accounts.values()
    (one,) = account.holders.signed[ZONE].values()
    if lacks == "readable text":
        one["certificate"] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    else:
        del one[lacks]
    with pytest.raises(IssuerError):
        asked.issuer().find("0" * 64)


def test_a_revoked_certificate_is_found_as_such(asked: Asked) -> None:
    """Somebody had a reason; one that is valid for the same key counts, though."""
    wanted = request()
    asked.issuer().issue(wanted)
    (account,) = asked.state.accounts.values()
    (identifier,) = account.holders.signed[ZONE]
    with asked.issuer().connect()._http.exchange("DELETE", _url(identifier), None) as answer:
        assert json.loads(answer.read())["result"]["status"] == "pending_revocation"
    found = asked.issuer().find(wanted.key)
    assert (found.is_revoked if found is not None else None) is True
    signed = asked.issuer().issue(wanted)
    assert asked.issuer().find(wanted.key) == IssuedCertificate(signed)


def _url(identifier: str) -> httpx.URL:
    return httpx.URL(f"http://127.0.0.1{SIGNED}/{identifier}")


@pytest.mark.parametrize(
    ("token", "zone", "message", "hint"),
    [
        (Token(READ), ZONE, "no permission to sign a certificate request", "Zone > SSL and Certificates > Edit"),
        (Token(frozenset()), ZONE, "no permission to sign a certificate request", "for this zone"),
        (Token(active=False), ZONE, "the token is not valid", "`SSL and Certificates Write`"),
        (Token(WRITE), "nowhere/x", "Cloudflare has no such zone", "check the zone in mtls.toml"),
    ],
)
def test_a_refusal_says_what_is_missing(asked: Asked, token: Token, zone: str, message: str, hint: str) -> None:
    """In the words of zones, not of accounts; nothing was signed, and the token is not shown."""
    asked.state.access.tokens[TOKEN] = token
    with pytest.raises(IssuerError) as caught:
        asked.issuer(zone).issue(request())
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")
    assert not caught.value.is_open
    assert TOKEN not in f"{caught.value.message} {caught.value.hint}"


def test_a_token_that_may_only_read_finds_but_does_not_sign(asked: Asked) -> None:
    wanted = request()
    signed = asked.issuer().issue(wanted)
    asked.state.access.tokens[TOKEN] = Token(READ)
    assert asked.issuer().find(wanted.key) == IssuedCertificate(signed)
    with pytest.raises(IssuerError):
        asked.issuer().issue(wanted)


@pytest.mark.parametrize("lifetime", [timedelta(hours=36), timedelta(minutes=5)])
def test_a_lifetime_is_whole_days(asked: Asked, lifetime: timedelta) -> None:
    """Neither shorter nor longer than declared is what was asked for."""
    with pytest.raises(IssuerError, match="whole days") as caught:
        asked.issuer().issue(request(lifetime=lifetime))
    assert "[certificates.billing.renew]" in (caught.value.hint or "")
    assert asked.bodies == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lifetime": timedelta(days=100_000)}, "validity_days must be a number"),
        ({"csr": b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"}, "csr is not"),
    ],
)
def test_what_cloudflare_refuses_is_said_in_its_words(asked: Asked, change: dict[str, object], message: str) -> None:
    with pytest.raises(IssuerError) as caught:
        asked.issuer().issue(replace(request(), **change))  # type: ignore[arg-type]
    assert message in caught.value.message
    assert not caught.value.is_open


def test_the_limit_of_a_zone_is_a_refusal(asked: Asked) -> None:
    asked.state.settings.signed_limit = 1
    asked.issuer().issue(request())
    with pytest.raises(IssuerError, match="maximum number of client certificates"):
        asked.issuer().issue(request())
    assert asked.issuer(OTHER_ZONE).issue(request())


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "CLOUDFLARE_API_TOKEN is not set"),
        ({"CLOUDFLARE_API_TOKEN": "a b"}, "white space"),
        ({"CLOUDFLARE_API_TOKEN": TOKEN, "CLOUDFLARE_API_BASE_URL": "http://api.example"}, "unencrypted"),
    ],
)
def test_what_the_environment_lacks_is_said_before_anything_is_done(
    tmp_path: Path, environ: dict[str, str], message: str
) -> None:
    """No account is needed: the issuer is for projects with the local store, too."""
    clock = SetClock()

    def connect(zone: str) -> ManagedCa:
        return managed_ca(zone, environ, root=tmp_path, clock=clock, tell=lambda _: None)

    context = IssuerContext(lambda _: b"", lambda _: b"", Vault(environ), None, lambda _: None, connect)
    issuer = open_issuer(DeclaredIssuer("cloudflare", CloudflareIssuer(ZONE)), context)
    with pytest.raises(IssuerError) as caught:
        issuer.demand()
    assert message in caught.value.message


def test_a_certificate_that_was_signed_is_whole_in_the_list(asked: Asked) -> None:
    """One that is not answered with its text would never be found again."""
    asked.issuer().issue(request())
    assert asked.state.calls[-1].path == SIGNED
    assert parsed(asked.bodies[0].encode()).leaf.issuer.rfc4514_string().startswith("CN=Emulated Managed CA of ")
