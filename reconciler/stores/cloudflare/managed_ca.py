"""Client certificates that are signed by the CA that Cloudflare manages: the port `SearchableIssuer` for one zone.

Facts: developers.cloudflare.com/api/resources/client_certificates. A signed certificate is listed with its text for
ever, also once it is revoked, so it is found again by its public key. The CA is one of the account; its own certificate
is not in the answers, and no verifier but Cloudflare has it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta
from pathlib import Path

from reconciler.findings.errors import InputError, IssuerError
from reconciler.findings.values import dataclass
from reconciler.model.budget import RateBudget
from reconciler.model.calls import PER_PAGE
from reconciler.model.errors import StoreError
from reconciler.model.ports import Clock
from reconciler.model.renewal import IssuedCertificate, SigningRequest
from reconciler.stores.cloudflare.access import find_zone_access
from reconciler.stores.cloudflare.client import ApiCall, Client, Time, send_patiently
from reconciler.stores.cloudflare.errors import NoAnswer, Operation, UnusableReply
from reconciler.stores.cloudflare.listing import REPORT, ListPage, Pages, read_list
from reconciler.stores.cloudflare.wire import ResultInfo, SignedBody, parse
from reconciler.x509.certificates import key_digest
from reconciler.x509.files import parse_file

_DAY = timedelta(days=1)
_DAYS = 365
"""Asked for where mtls.toml has no `lifetime`: the API has no default."""
_REVOKED = frozenset({"revoked", "pending_revocation"})


def managed_ca(
    zone: str,
    environ: Mapping[str, str],
    *,
    root: Path,
    clock: Clock,
    tell: Callable[[str], None],
    shared: RateBudget | None = None,
    token_name: str | None = None,
) -> ManagedCa:
    """The CA that Cloudflare manages, for a zone. Makes no call, and reads the token only when it is used.

    `shared`: as of `Client`. `token_name`: as of `StoreContext`.
    """

    def connect() -> Client:
        access = find_zone_access(environ, root, token_name)
        return Client(access, Time(now=clock.now), tell=tell, shared=shared)

    return ManagedCa(zone, connect)


@dataclass(slots=True)
class ManagedCa:
    """The port. `connect` makes the client, which all calls share; StoreError if there is no token."""

    zone: str
    connect: Callable[[], Client]
    random: Callable[[], float] = random.random
    _client: Client | None = field(default=None, init=False, repr=False)

    def demand(self) -> None:
        """IssuerError if there is no token, or the address is not valid. Makes no call."""
        try:
            self._connected()
        except StoreError as error:
            raise _failed(error) from error

    def find(self, key: str) -> IssuedCertificate | None:
        """The certificate with this public key that was signed last, a revoked one only if all are.

        IssuerError if the list may be incomplete, or has a certificate that can't be read.
        """
        try:
            reading = read_list(self._page, self._pages)
        except StoreError as error:
            raise _failed(error) from error
        if not reading.steady:
            hint = "run again; mtlsctl won't act on a list that may be incomplete"
            raise IssuerError("Cloudflare's list of client certificates changed while it was read", hint=hint)
        found = [
            (one.status not in _REVOKED, begin, one.certificate)
            for one in reading.entries
            for own, begin in [_key_and_begin(one)]
            if own == key
        ]
        if not found:
            return None
        valid, _, text = max(found, key=lambda one: one[:2])
        return IssuedCertificate(text.encode(), is_revoked=not valid)

    def issue(self, request: SigningRequest) -> bytes:
        """The signed certificate, alone. `is_open` of the IssuerError, if Cloudflare's answer was lost."""
        lifetime = request.lifetime or _DAYS * _DAY
        if lifetime % _DAY:
            raise IssuerError(
                "Cloudflare signs certificates for whole days only",
                hint=f"set `lifetime` in [certificates.{request.certificate}.renew] to whole days, such as 90d",
            )
        body = {"csr": request.csr.decode(), "validity_days": lifetime // _DAY}
        call = ApiCall(Operation.SIGN, "POST", self._path, body=json.dumps(body).encode())
        try:
            signed = parse(SignedBody, send_patiently(self._connected(), call, self.random).result)
            if signed is None:
                raise UnusableReply("Cloudflare's answer has no certificate", hint=REPORT)
        except StoreError as error:
            raise _failed(error) from error
        return signed.certificate.encode()

    @property
    def _path(self) -> str:
        return f"/zones/{self.zone}/client_certificates"

    def _connected(self) -> Client:
        self._client = self._client or self.connect()
        return self._client

    def _page(self, number: int) -> ListPage[SignedBody]:
        query: dict[str, str | int] = {"page": number, "per_page": PER_PAGE, "status": "all"}
        call = ApiCall(Operation.SIGNED, "GET", self._path, query)
        envelope = send_patiently(self._connected(), call, self.random)
        signed = parse(list[SignedBody], envelope.result)
        if signed is None:
            raise UnusableReply(f"page {number} of Cloudflare's list is not a list of client certificates", hint=REPORT)
        return ListPage(number, tuple(signed), envelope.result_info or ResultInfo())

    def _pages(self, numbers: Sequence[int]) -> Pages[SignedBody]:
        return self._connected().side_by_side("Listing client certificates", self._page, numbers)


def _key_and_begin(signed: SignedBody) -> tuple[str | None, datetime]:
    """The hash of the public key of a certificate, and when it begins to be valid."""
    try:
        leaf = parse_file(signed.certificate.encode(), "").leaf
    except InputError as error:
        raise IssuerError(
            f"Cloudflare lists a client certificate that can't be read: {signed.id!r}",
            hint="find it in the dashboard, under SSL/TLS > Client Certificates; mtlsctl won't act on a part of a list",
        ) from error
    return key_digest(leaf), leaf.not_valid_before_utc


def _failed(error: StoreError) -> IssuerError:
    return IssuerError(error.message, hint=error.hint, is_open=isinstance(error, NoAnswer) and error.sent)
