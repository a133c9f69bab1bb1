"""HashiCorp Vault, at the address and with the login that the environment names: one login in a run, then its calls.

The variables are those of the `vault` command, and of CI systems for a login without a token. The token of a login is
kept in memory and forgotten, not revoked: a run that is killed could not do that either, so its role should make it
short. No error shows a token or an answer. https://developer.hashicorp.com/vault/api-docs
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter, ValidationError

from reconciler.findings.codes import Code
from reconciler.findings.errors import ReconcilerError
from reconciler.model.web import Refusal, WebError

if TYPE_CHECKING:
    from reconciler.web.http import Address, Answer, Http

ADDRESS, NAMESPACE, ROOTS = "VAULT_ADDR", "VAULT_NAMESPACE", "VAULT_CACERT"
TOKEN, TOKEN_FILE = "VAULT_TOKEN", "VAULT_TOKEN_FILE"
ROLE, ID_TOKEN, ID_TOKEN_FILE = "VAULT_AUTH_ROLE", "VAULT_ID_TOKEN", "VAULT_ID_TOKEN_FILE"
ROLE_ID, SECRET_ID = "VAULT_ROLE_ID", "VAULT_SECRET_ID"
SECRETS = (TOKEN, ID_TOKEN, SECRET_ID)
LOGIN_PATH = "VAULT_AUTH_PATH"
_KEPT = ".vault-token"

_NAMESPACE_FORM = re.compile(r"[\w./-]{1,200}", re.ASCII)
_MOST_FILE_BYTES = 1_000_000
_SEALED = 503
_DENIED = 403
_MISSING = 404
_B = TypeVar("_B", bound="Body")


class Body(BaseModel):
    """What an answer has. Built when it is first used, as most runs need none."""

    model_config = ConfigDict(defer_build=True)


class _Auth(Body):
    client_token: str


class _Login(Body):
    auth: _Auth


class _Metadata(Body):
    version: int = 0
    deletion_time: str = ""
    destroyed: bool = False


class _Version(Body):
    data: dict[str, JsonValue] | None = None
    metadata: _Metadata


class _Secret(Body):
    data: _Version


class _Written(Body):
    data: _Metadata


class _Keys(Body):
    keys: list[str]


class _List(Body):
    data: _Keys


class _VaultRefusal(Body):
    errors: list[str]


class Vault:
    """One Vault for one run, in these variables. Nothing is read or called before the first call."""

    def __init__(self, environ: Mapping[str, str], sleep: Callable[[float], None] = time.sleep) -> None:
        self._environ, self._sleep = environ, sleep
        self._http: Http | None = None
        self._lock = Lock()

    def read(self, mount: str, path: str) -> Mapping[str, JsonValue]:
        """The fields of the latest version of a secret of KV version 2. WebError with the refusal `missing` if there is
        none; ReconcilerError, WebError among them, if it can't be read."""
        try:
            answer = self.call("GET", "{mount}/data/{path}", may="read", mount=mount, path=path)
        except WebError as error:
            raise _absent(error, mount, path) if error.status == _MISSING else error from None
        return self.parsed(_Secret, answer).data.data or {}

    def names(self, mount: str, path: str) -> Sequence[str]:
        """The names directly below a path of secrets, those of folders with a slash at their end."""
        return self.listed("{mount}/metadata/{path}", mount=mount, path=path)

    def listed(self, path: str, /, **names: object) -> Sequence[str]:
        """The keys of a list; none if it is empty, which Vault answers with 404 and no reason."""
        try:
            answer = self.call("GET", f"{path}?list=true", may="list", **names)
        except WebError as error:
            if error.status == _MISSING and reasons(error) == []:
                return ()
            raise
        return self.parsed(_List, answer).data.keys

    def create(self, mount: str, path: str, fields: Mapping[str, str]) -> None:
        """Write a new secret. If the answer is lost, it is read: what is there with these fields was written."""
        content = {"options": {"cas": 0}, "data": fields}
        try:
            answer = self.call("POST", "{mount}/data/{path}", content, may="create", mount=mount, path=path)
        except WebError as error:
            found = self._found(mount, path) if error.refusal is not Refusal.UNREACHED else None
            if error.refusal is Refusal.UNKNOWN and found == fields:
                return
            if found is not None:  # 400; or 403 where the policy permits no update
                by_hand = f"vault kv metadata get -mount={mount} {path}"
                raise _said(error, f"Vault has a secret {path!r} of the KV mount {mount!r} already", by_hand) from None
            raise
        self.parsed(_Written, answer)  # another engine than KV version 2 takes a write, too, and answers nothing

    def _found(self, mount: str, path: str) -> Mapping[str, JsonValue] | None:
        try:
            return self.read(mount, path)
        except ReconcilerError:
            return None

    def remove(self, mount: str, path: str) -> None:
        """Delete a secret with all its versions."""
        self.call("DELETE", "{mount}/metadata/{path}", may="delete", mount=mount, path=path)

    def call(
        self, method: str, path: str, content: Mapping[str, object] | None = None, /, *, may: str, **names: object
    ) -> Answer:
        """The answer to a call of this path below /v1/, a template; errors as of `read`. `may`: the capability that a
        policy has to give for it."""
        body = None if content is None else json.dumps(content).encode()
        http = self._connected()
        try:
            return http.send(method, f"/v1/{path}", body, **names)
        except WebError as error:
            raise _explained(error, may, path.partition("?")[0].format_map(names)) from None

    def parsed(self, body: type[_B], answer: Answer) -> _B:
        """The answer as what it should be; WebError for anything else."""
        return self._connected().parsed(TypeAdapter(body), answer)

    def _connected(self) -> Http:
        with self._lock:
            if self._http is None:
                self._http = self._connect()
            return self._http

    def _connect(self) -> Http:
        from reconciler.web.http import Http, check_token  # a run that needs no secret does not load it

        address = self._address()
        token = self._secret(TOKEN, TOKEN_FILE) or self._login(address) or self._kept_token()
        if token is None:
            raise ReconcilerError(
                "there is no login to Vault",
                hint=f"set {TOKEN}; or {ROLE} and {ID_TOKEN}; or {ROLE_ID} and {SECRET_ID}; or run `vault login`",
                code=Code.VARIABLE_INVALID,
            )
        headers = {**address.headers, "x-vault-token": check_token(*token)}
        return Http(replace(address, headers=headers), _silent, self._sleep)

    def _address(self) -> Address:
        from reconciler.web.http import Address, check_base_url, check_roots

        url = self._environ.get(ADDRESS, "").strip()
        if not url:
            hint = f"export {ADDRESS}=https://vault.example.com:8200"
            raise ReconcilerError(f"{ADDRESS} is not set", hint=hint, code=Code.VARIABLE_INVALID)
        hint = f"set {ADDRESS} to an https:// address; http:// is accepted for this machine only"
        url = check_base_url(ADDRESS, url, hint)
        namespace = self._environ.get(NAMESPACE, "")
        if namespace and not _NAMESPACE_FORM.fullmatch(namespace):
            hint = f"set {NAMESPACE} to a path such as team/payments"
            raise ReconcilerError(f"{NAMESPACE} is not a namespace", hint=hint, code=Code.VARIABLE_INVALID)
        headers = {"x-vault-request": "true", **({"x-vault-namespace": namespace} if namespace else {})}
        path = self._environ.get(ROOTS, "")
        roots = check_roots(ROOTS, _read(ROOTS, path)) if path else None
        trust = f"set {ROOTS} to the PEM file of the CA of Vault's certificate; TLS verification can't be turned off"
        return Address("Vault", url, headers, Code.KEY_UNAVAILABLE, roots, trust)

    def _login(self, address: Address) -> tuple[str, str] | None:
        """What the token of a login comes from, and the token; None without the variables of one."""
        role, jwt = self._environ.get(ROLE, ""), self._secret(ID_TOKEN, ID_TOKEN_FILE)
        if role and jwt is not None:
            hint = f"check {ROLE}, and that the audience and the claims of {jwt[0]} are those that the role is bound to"
            return self._log_in(address, "jwt", {"role": role, "jwt": jwt[1]}, hint)
        role_id = self._environ.get(ROLE_ID, "").strip()
        if role_id:
            hint = f"check {ROLE_ID} and {SECRET_ID}; a secret ID expires, and can be used up"
            content = {"role_id": role_id, "secret_id": self._environ.get(SECRET_ID, "").strip()}
            return self._log_in(address, "approle", content, hint)
        return None

    def _log_in(self, address: Address, kind: str, content: Mapping[str, str], hint: str) -> tuple[str, str]:
        from reconciler.web.http import Http

        mount = self._environ.get(LOGIN_PATH, "").strip("/ ") or kind
        with closing(Http(address, _silent, self._sleep)) as http:
            try:
                answer = http.send("POST", "/v1/auth/{mount}/login", json.dumps(content).encode(), mount=mount)
                return f"the login of {mount!r}", http.parsed(TypeAdapter(_Login), answer).auth.client_token
            except WebError as error:
                if error.status not in {400, _DENIED}:
                    raise _explained(error, "update", f"auth/{mount}/login") from None
                raise _said(error, f"Vault refused the login at auth/{mount} ({error.status})", hint) from None

    def _secret(self, variable: str, of_file: str) -> tuple[str, str] | None:
        """The value of a variable, or of the file that the other one names, and what it is from; None without both."""
        value, path = self._environ.get(variable, "").strip(), self._environ.get(of_file, "")
        if value or not path:
            return (variable, value) if value else None
        return of_file, _read(of_file, path).decode("utf-8", errors="replace").strip()

    def _kept_token(self) -> tuple[str, str] | None:
        """The token that `vault login` keeps."""
        home = self._environ.get("HOME", "")
        path = Path(home, _KEPT)
        if not home or not path.is_file():
            return None
        named = f"~/{_KEPT}"
        return named, _read(named, str(path)).decode("utf-8", errors="replace").strip()


def _silent(_: str) -> None:
    """Tell no one of a wait: it is at most a minute."""


def _read(named: str, path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(_MOST_FILE_BYTES)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "its path is invalid"
        message = f"the file of {named} could not be read: {why}"
        raise ReconcilerError(message, hint=f"check {named}", code=Code.VARIABLE_INVALID) from None


def _said(error: WebError, message: str, hint: str) -> WebError:
    """The same error in other words."""
    return WebError(message, code=error.code, refusal=error.refusal, hint=hint, status=error.status, body=error.body)


def _explained(error: WebError, may: str, where: str) -> WebError:
    """The error with what it means of Vault, and what to do there."""
    if error.status == _DENIED:
        policy = f'path "{where}" {{ capabilities = ["{may}"] }}'
        hint = f"add to a policy of the token: {policy}; an expired token is denied, too: `vault token lookup` shows it"
        return _said(error, f"Vault does not permit {may!r} of {where!r} (403)", hint)
    if error.status == _SEALED and any("sealed" in one for one in reasons(error) or ()):
        return _said(error, "Vault is sealed", f"have it unsealed, or set {ADDRESS} to a server that is")
    if error.status == _MISSING:
        return _said(error, f"Vault has nothing at {where!r} (404)", f"check the path, `mount` and {NAMESPACE}")
    if 300 <= error.status < 400:
        message = f"Vault answered with a redirect ({error.status}), which is not followed"
        return _said(error, message, f"set {ADDRESS} to the active server, or to a load balancer that finds it")
    hint = "`vault status` shows its state; its log has the reason" if error.status else f"check {ADDRESS}"
    return _said(error, error.message, error.hint or hint)


def reasons(error: WebError) -> list[str] | None:
    """What Vault says is wrong; None if it was not Vault that answered.

    Not to be shown where a secret was sent: some of its messages repeat what was.
    """
    try:
        return _VaultRefusal.model_validate_json(error.body).errors
    except ValidationError:
        return None


def _absent(error: WebError, mount: str, path: str) -> WebError:
    """The error for a secret without a latest version."""
    where = f"{path!r} of the KV mount {mount!r}"
    try:
        found = _Secret.model_validate_json(error.body).data.metadata
    except ValidationError:
        by_hand = f"vault kv get -mount={mount} {path}"
        wrong = next((part for part in (f"{mount}/", "data/") if path.startswith(part)), None)
        hint = f"leave {wrong!r} out of the path" if wrong else f"check the path, `mount` and {NAMESPACE}: {by_hand}"
        return _said(error, f"Vault has no secret {where}, or it is not KV version 2", hint)
    if found.destroyed:
        message = f"version {found.version} of {where} in Vault was destroyed"
        return _said(error, message, "write the key there again with `vault kv put`")
    restore = f"vault kv undelete -mount={mount} -versions={found.version} {path}"
    return _said(error, f"version {found.version} of {where} in Vault was deleted", f"to restore it, run: {restore}")
