"""Certificates of a step-ca, which one of its JWK provisioners lets it sign.

step-ca keeps the private key of the provisioner, encrypted with a password. It is decrypted here and signs a one-time
token for each request, which is bound to that request: nobody else could use it for another key or other names.
Facts: github.com/smallstep/certificates 0.30, authority/provisioner/jwk.go and authority/authorize.go.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
import warnings
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_csr
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from reconciler.findings.codes import Code
from reconciler.findings.errors import IssuerError, ReconcilerError
from reconciler.findings.escape import printable
from reconciler.findings.secrets import Secrets
from reconciler.findings.values import dataclass
from reconciler.issuers.context import IssuerContext
from reconciler.model.renewal import SigningRequest, StepIssuer
from reconciler.model.web import Refusal, WebError
from reconciler.web.http import Address, Answer, Http, check_base_url, check_roots

if TYPE_CHECKING:
    from joserfc.jwk import Key

_MOST_PAGES = 50
_MOST_KEYS = 5
"""Provisioners of one name, whose keys are tried: while a key is replaced there are two."""
_MOST_ROUNDS = 2_000_000
"""Of PBKDF2. step makes 600,000; a server must not be able to let a run compute for hours."""
_ROUNDS_OF_JOSERFC = 300_000
_TOKEN_S = 300
_LEEWAY_S = 60
"""What step-ca tolerates between the clocks."""
_MOST_TEXT = 300
_DENIED, _FORBIDDEN = 401, 403
_SIGNATURES = ("ES256", "ES384", "ES512", "RS256", "PS256", "EdDSA")


class _PublicKey(BaseModel):
    kid: str


class _Provisioner(BaseModel):
    type: str
    name: str
    key: _PublicKey | None = None
    encrypted: str | None = Field(default=None, alias="encryptedKey")


class _Provisioners(BaseModel):
    rows: list[_Provisioner] | None = Field(default=None, alias="provisioners")
    cursor: str = Field(default="", alias="nextCursor")


class _StepSigned(BaseModel):
    leaf: str = Field(alias="crt")
    issuer: str | None = Field(default=None, alias="ca")
    chain: list[str] | None = Field(default=None, alias="certChain")


class _StepRefusal(BaseModel):
    message: str


_PROVISIONERS, _SIGNED = TypeAdapter(_Provisioners), TypeAdapter(_StepSigned)


@dataclass(frozen=True, slots=True)
class _Signer:
    """The private key of a provisioner. `ahead_s`: how much step-ca's clock is ahead of that of this machine."""

    key: Key = field(repr=False)
    kid: str
    algorithm: str
    ahead_s: float


@dataclass(slots=True)
class StepCa:
    """The CA of `[issuers.NAME]`."""

    name: str
    options: StepIssuer
    context: IssuerContext
    sleep: Callable[[float], None] = time.sleep
    _signer: _Signer | None = field(default=None, init=False, repr=False)

    def demand(self) -> None:
        """IssuerError if joserfc, the root, the password or the provisioner is missing or wrong."""
        self._unlocked()

    def issue(self, request: SigningRequest) -> bytes:
        """What step-ca signed: leaf and intermediates. IssuerError if it refuses, or the answer is lost."""
        signer = self._unlocked()
        token = self._token(signer, request)
        body = {"csr": request.csr.decode("ascii"), "ott": token}
        if request.lifetime is not None:
            body["notAfter"] = f"{int(request.lifetime.total_seconds())}s"
        with self._http() as http:
            try:
                signed = http.parsed(_SIGNED, http.send("POST", "/1.0/sign", json.dumps(body).encode()))
            except WebError as error:
                raise self._refused(error, signer, token) from error
        chain = signed.chain or [signed.leaf, *([signed.issuer] if signed.issuer else [])]
        return "".join(f"{pem.strip()}\n" for pem in chain).encode()

    @property
    def _title(self) -> str:
        return f"step-ca {self.options.url}"

    @contextmanager
    def _http(self) -> Iterator[Http]:
        table = f"[issuers.{self.name}]"
        if self.options.root is None:
            roots, hint = None, f"set `root` of {table} to a file with the root certificate of step-ca"
        else:
            hint = f"check that {self.options.root} is the root certificate of this step-ca: `root` of {table} names it"
            with _as_issuer_error():
                pem = self.context.read(self.options.root)
                roots = check_roots(f"`root` of {table}", pem, Code.ISSUER)
        with _as_issuer_error():
            url = check_base_url(f"`url` of {table}", self.options.url, "such as https://ca.internal.example:9000")
        address = Address(self._title, url, {}, Code.ISSUER, roots, hint)
        with closing(Http(address, self.context.tell, self.sleep)) as http:
            yield http

    def _unlocked(self) -> _Signer:
        """The key of the provisioner, kept for the next request."""
        if self._signer is None:
            _demand_joserfc()
            with _as_issuer_error():
                password = self.context.secret(self.options.password)
            reach = f"check `url` of [issuers.{self.name}]: the address of step-ca, which this machine must reach"
            with self._http() as http, _as_issuer_error(reach):
                found, ahead_s = self._provisioners(http)
            self._signer = self._opened(found, password, ahead_s)
        return self._signer

    def _provisioners(self, http: Http) -> tuple[list[_Provisioner], float]:
        """Every provisioner of step-ca, and how many seconds its clock is ahead."""
        rows: list[_Provisioner] = []
        cursor = ""
        for _ in range(_MOST_PAGES):
            answer = http.get("/provisioners?limit=100&cursor={cursor}", cursor=cursor)
            page = http.parsed(_PROVISIONERS, answer)
            rows += page.rows or []
            cursor = page.cursor
            if not cursor:
                return rows, _ahead_s(answer)
        raise IssuerError(f"{self._title} has more provisioners than mtlsctl reads", hint="remove those not used")

    def _opened(self, rows: list[_Provisioner], password: bytes, ahead_s: float) -> _Signer:
        """The first key of the provisioner that the password opens."""
        wanted = self.options.provisioner
        named = [row for row in rows if row.name == wanted]
        usable = [(row.key.kid, row.encrypted) for row in named if row.type == "JWK" and row.key and row.encrypted]
        if not named:
            names = ", ".join(sorted(f"{row.name!r}" for row in rows if row.type == "JWK")) or "none"
            raise IssuerError(
                f"{self._title} has no provisioner {wanted!r}",
                hint=f"set `provisioner` of [issuers.{self.name}] to one of type JWK; it has: {_shown(names)}",
            )
        if not usable:
            raise IssuerError(
                f"{self._title} has no encrypted key for the provisioner {wanted!r}",
                hint="use a provisioner of type JWK that has an `encryptedKey` in the configuration of step-ca",
            )
        for kid, encrypted in usable[:_MOST_KEYS]:
            key = self._decrypted(encrypted, password)
            if key is not None:
                signer = _Signer(key, kid, key.alg or "ES256", ahead_s)
                self._sign(signer, {})  # it may be of a kind that can't
                return signer
        raise IssuerError(
            f"the password does not open the key of the provisioner {wanted!r}",
            hint=f"check `password` of [issuers.{self.name}]: the password of this provisioner, not that of step-ca's"
            " own key",
        )

    def _decrypted(self, encrypted: str, password: bytes) -> Key | None:
        """The private key; None if the password is wrong."""
        from joserfc.errors import DecodeError, JoseError, SecurityWarning
        from joserfc.jwe import JWERegistry, decrypt_compact
        from joserfc.jwk import OctKey, import_key
        from joserfc.registry import Header

        class ManyRounds(JWERegistry):
            """Takes more rounds than joserfc does, up to a limit."""

            def check_header(self, header: Header, check_more: bool = False) -> None:
                rounds = header.get("p2c")
                if isinstance(rounds, int) and rounds <= _MOST_ROUNDS:
                    header = {**header, "p2c": min(rounds, _ROUNDS_OF_JOSERFC)}
                super(ManyRounds, self).check_header(header, check_more)

        allowed = ManyRounds(algorithms=("PBES2-HS256+A128KW", "A256GCM"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # of short passwords: they were chosen elsewhere
            try:
                plain = decrypt_compact(encrypted, OctKey.import_key(password), registry=allowed).plaintext
                key = import_key(json.loads(plain or b""))
            except DecodeError:
                return None
            except (JoseError, ValueError, TypeError, KeyError, RecursionError):
                raise self._unreadable() from None  # its text could have something of the key
        return key

    def _sign(self, signer: _Signer, claims: dict[str, object]) -> str:
        """These claims as a token."""
        from joserfc import jwt
        from joserfc.errors import JoseError, SecurityWarning

        header = {"alg": signer.algorithm, "kid": signer.kid}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # of EdDSA, whose name is old
            try:
                return jwt.encode(header, claims, signer.key, algorithms=_SIGNATURES)
            except (JoseError, ValueError, TypeError):
                raise self._unreadable() from None

    def _unreadable(self) -> IssuerError:
        message = f"mtlsctl can't read the key of the provisioner {self.options.provisioner!r} of {self._title}"
        return IssuerError(message, hint="make a new key for it, as `step crypto jwk create` does")

    def _token(self, signer: _Signer, request: SigningRequest) -> str:
        """A token for this request alone."""
        sans = [*request.dns_names, *request.ip_addresses, *request.uris, *request.emails]
        subject = request.common_name or next(iter(sans), "")
        if not subject:
            raise IssuerError(
                f"the request for {request.certificate!r} has no name, which step-ca needs",
                hint=f"add a common name to `subject` in [certificates.{request.certificate}.renew], or `names`",
            )
        now = int(time.time())
        der = load_pem_x509_csr(request.csr).public_bytes(Encoding.DER)
        claims: dict[str, object] = {
            "iss": self.options.provisioner,
            "aud": f"https://{urlsplit(self.options.url).netloc}/1.0/sign",
            "sub": subject,
            "iat": now,
            "nbf": now,
            "exp": now + _TOKEN_S,
            "jti": secrets.token_hex(32),
            "cnf": {"x5rt#S256": urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()},
            **({"sans": sans} if sans else {}),
        }
        return self._sign(signer, claims)

    def _refused(self, error: WebError, signer: _Signer, token: str) -> IssuerError:
        """What happened, in one sentence, and what to do."""
        is_open = error.refusal is Refusal.UNKNOWN
        if not error.status:
            message = error.message
            if error.refusal is Refusal.UNREACHED:
                message = f"{self._title} does not answer any more"
            elif is_open:
                message = f"{self._title} may have signed the request; its answer was lost, or is not one of step-ca"
            return IssuerError(message, hint=error.hint, is_open=is_open)
        try:
            text = Secrets((token,)).show(_StepRefusal.model_validate_json(error.body).message)
        except ValidationError:
            text = "it gave no reason"
        what = "may have signed the request" if is_open else "signed nothing"
        message = f"{self._title} {what} ({error.status}): {_shown(text)}"
        if error.status == _DENIED and abs(signer.ahead_s) > _LEEWAY_S:
            way = "ahead of" if signer.ahead_s > 0 else "behind"
            hint = f"set the clocks: that of step-ca is {abs(signer.ahead_s):.0f} s {way} that of this machine"
        elif error.status == _DENIED:
            hint = "check that the host of `url` is one of the `dnsNames` of step-ca; its log has the reason"
        elif error.status == _FORBIDDEN:
            hint = (
                f"ask for what the provisioner {self.options.provisioner!r} and the policy of step-ca allow: `names`,"
                " `subject` and `lifetime` of the certificate's `renew`; or change what they allow"
            )
        else:
            hint = "read the log of step-ca; a template of the provisioner may fail for this request"
        return IssuerError(message, hint=hint, is_open=is_open)


def _demand_joserfc() -> None:
    try:
        import joserfc  # noqa: F401
    except ModuleNotFoundError as error:
        raise IssuerError(
            "issuers of kind `step` need joserfc, which is not installed",
            hint="install mtlsctl again with it, in its checkout: pipx install --force '.[step]'",
            code=Code.EXTRA,
        ) from error


@contextmanager
def _as_issuer_error(hint: str | None = None) -> Iterator[None]:
    """`hint`: for errors that have none."""
    try:
        yield
    except IssuerError:
        raise
    except ReconcilerError as error:
        raise IssuerError(error.message, hint=error.hint or hint) from error


def _shown(text: str) -> str:
    """A text of the server: one line, not too long, without the stop that our sentence has."""
    line = printable(" ".join(text.split()))
    return (line if len(line) <= _MOST_TEXT else f"{line[:_MOST_TEXT]}...").removesuffix(".")


def _ahead_s(answer: Answer) -> float:
    """How many seconds the clock of a server is ahead; 0 where it does not say its time."""
    try:
        return parsedate_to_datetime(answer.headers.get("date", "")).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return 0.0
