"""Certificates of the PKI secrets engine of HashiCorp Vault, signed by one of its roles.

Vault keeps what it signed and lists it by serial numbers, so that a certificate whose answer was lost is found again.
https://developer.hashicorp.com/vault/api-docs/secret/pki
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial

from reconciler.findings.errors import IssuerError, ReconcilerError
from reconciler.findings.escape import printable
from reconciler.model.concurrency import run_all
from reconciler.model.renewal import IssuedCertificate, SigningRequest, VaultIssuer
from reconciler.model.web import Refusal, WebError
from reconciler.web.vault import Body, Vault, reasons
from reconciler.x509.certificates import Bundle, key_digest, parse_stored

_MOST = 5000
"""Certificates that are read to find one; each costs a call."""
_AT_ONCE = 8
_LONGEST = 300
_SIGN = "{mount}/sign/{role}"


class _Capabilities(Body):
    capabilities: tuple[str, ...] = ()


class _CapabilitiesBody(_Capabilities):
    data: _Capabilities = _Capabilities.model_construct()


class _VaultSigned(Body):
    certificate: str
    ca_chain: tuple[str, ...] = ()
    issuing_ca: str = ""


class _SignedBody(Body):
    data: _VaultSigned


class _Kept(Body):
    certificate: str
    revocation_time: int = 0


class _KeptBody(Body):
    data: _Kept


class VaultPki:
    """One role of one PKI secrets engine of a Vault."""

    def __init__(self, options: VaultIssuer, vault: Vault, tell: Callable[[str], None]) -> None:
        self._options, self._vault, self._tell = options, vault, tell

    def demand(self) -> None:
        """IssuerError if Vault can't be reached, or does not permit this token to have a request signed."""
        path = _SIGN.format_map({"mount": self._options.mount, "role": self._options.role})
        with _of_issuer():
            try:
                answer = self._vault.call("POST", "sys/capabilities-self", {"paths": [path]}, may="update")
            except WebError as error:
                if error.refusal is Refusal.DENIED:
                    return  # a token without the policy `default` may not ask; signing will tell
                raise
            body = self._vault.parsed(_CapabilitiesBody, answer)
        if not {"update", "root"} & {*body.capabilities, *body.data.capabilities}:
            policy = f'path "{path}" {{ capabilities = ["update"] }}'
            raise IssuerError(
                f"Vault does not permit 'update' of {path!r}", hint=f"add to a policy of the token: {policy}"
            )

    def find(self, key: str) -> IssuedCertificate | None:
        """The newest certificate with this public key, a revoked one only if all are; None if there is none."""
        with _of_issuer():
            serials = [one for one in self._vault.listed("{mount}/certs", mount=self._options.mount) if one]
            if len(serials) > _MOST:
                raise IssuerError(
                    f"the PKI engine {self._options.mount!r} of Vault has {len(serials):,} certificates, more than the"
                    f" {_MOST:,} that are read to find one",
                    hint=f"delete the expired ones: vault write {self._options.mount}/tidy tidy_cert_store=true",
                )
            if serials:
                self._tell(f"Reading {len(serials)} certificates of Vault")
            found = [one for one in run_all(partial(self._kept, key), serials, at_once=_AT_ONCE) if one is not None]
            if not found:
                return None
            valid, _, newest = max(found, key=lambda one: one[:2])
            return IssuedCertificate(_chained(newest, [self._authorities()]), is_revoked=not valid)

    def _kept(self, key: str, serial: str) -> tuple[bool, datetime, Bundle] | None:
        """The certificate with this serial number if it has this public key: whether it is not revoked, and when it
        begins."""
        names = {"mount": self._options.mount, "serial": serial}
        try:
            answer = self._vault.call("GET", "{mount}/cert/{serial}", may="read", **names)
        except WebError as error:
            if error.refusal is Refusal.MISSING:
                return None  # deleted since it was listed
            raise
        kept = self._vault.parsed(_KeptBody, answer).data
        bundle = parse_stored(kept.certificate)
        if bundle is None or key_digest(bundle.leaf) != key:
            return None
        return not kept.revocation_time, bundle.not_before, bundle

    def _authorities(self) -> str:
        """The chain of the engine's issuer (PEM)."""
        answer = self._vault.call("GET", "{mount}/cert/ca_chain", may="read", mount=self._options.mount)
        return self._vault.parsed(_KeptBody, answer).data.certificate

    def issue(self, request: SigningRequest) -> bytes:
        """The signed certificate and its chain, without the root. IssuerError, `is_open` if Vault may have signed."""
        content = {
            "csr": request.csr.decode(),
            "common_name": request.common_name,
            "alt_names": ",".join((*request.dns_names, *request.emails)),
            "ip_sans": ",".join(request.ip_addresses),
            "uri_sans": ",".join(request.uris),
            "exclude_cn_from_sans": True,
            "remove_roots_from_chain": True,
        }
        if request.lifetime is not None:
            content["ttl"] = f"{request.lifetime.total_seconds():.0f}s"
        with _of_issuer(is_signing=True):
            names = {"mount": self._options.mount, "role": self._options.role}
            answer = self._vault.call("POST", _SIGN, content, may="update", **names)
            signed = self._vault.parsed(_SignedBody, answer).data
        bundle = parse_stored(signed.certificate)
        if bundle is None:
            raise IssuerError(
                "Vault answered without a certificate that can be read",
                hint="check the role and the engine: `vault read` shows them",
                is_open=True,
            )
        return _chained(bundle, signed.ca_chain or (signed.issuing_ca,))


def _chained(leaf: Bundle, authorities: Iterable[str]) -> bytes:
    """The certificate with the authorities above it, without a root: the origin has that."""
    bundles = (bundle for text in authorities if (bundle := parse_stored(text)) is not None)
    pairs = [(der, one) for bundle in bundles for der, one in zip(bundle.ders, bundle.certificates, strict=True)]
    above = [der for der, one in pairs if one.issuer != one.subject and der not in leaf.ders]
    return Bundle((*leaf.ders, *above)).pem().encode()


@contextmanager
def _of_issuer(*, is_signing: bool = False) -> Iterator[None]:
    """Raise what went wrong with Vault as an error of an issuer; of signing with its reason, for what was sent is
    public."""
    try:
        yield
    except IssuerError:
        raise
    except WebError as error:
        said = "; ".join(reasons(error) or ()) if is_signing and error.refusal is Refusal.INVALID else ""
        message = f"Vault signed nothing: {printable(said[:_LONGEST])}" if said else error.message
        hint = (
            "the role decides what it signs: compare it with `names`, `subject` and `lifetime`" if said else error.hint
        )
        raise IssuerError(message, hint=hint, is_open=is_signing and error.refusal is Refusal.UNKNOWN) from None
    except ReconcilerError as error:
        raise IssuerError(error.message, hint=error.hint) from None
