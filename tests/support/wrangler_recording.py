"""What the real wrangler once asked for and took as an answer, and an emulator in the state that fits each scenario.

The recording is of wrangler 4.164.0 against a stub, so its replies are what wrangler accepts, not what Cloudflare said.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from reconciler.emulator.faults import Fault, FaultKind
from reconciler.emulator.state import ACCOUNT_ID
from reconciler.emulator.tokens import ALL, Permission, Token
from tests.support.emulated import TOKEN, DirectTransport, make_state, numbered_ids
from tests.support.pki import Issued, make_ca
from tests.support.store_contract import pem

FILE = Path(__file__).parent / "data" / "wrangler-requests.json.gz"
FIRST_VERSION = "11111111-1111-4111-8111-111111111111"
CERTIFICATE = "2458ce5a-0c35-4c7f-82c7-8e9487d3ff60"
BASE = "http://emulator/client/v4"

HEADERS = {"authorization": f"Bearer {TOKEN}", "user-agent": "wrangler/4.164.0"}

Json = dict[str, Any]


@cache
def scenarios() -> tuple[Json, ...]:
    """Every recorded run of wrangler that asked for something."""
    text = gzip.decompress(FILE.read_bytes()).decode().replace("{account_id}", ACCOUNT_ID)
    return tuple(json.loads(text)["scenarios"])


class Stage:
    """An emulator prepared for one scenario, and the client that plays wrangler."""

    def __init__(self, scenario: Json) -> None:
        self.state = make_state()
        self._queue: list[str] = []
        self._others = numbered_ids()
        self._authority = make_ca("Recording")
        self.state.ids = self._next_id
        self.state.accounts.clear()
        self.state.add_account()
        self.client = httpx.Client(transport=DirectTransport(self.state), headers=HEADERS)
        self._exchanges: list[Json] = scenario["exchanges"]
        self._prepare()

    def replay(self, exchange: Json) -> httpx.Response:
        """Send a recorded request; what it makes gets the recorded id, and a recorded failure happens again."""
        asked, answered = exchange["request"], exchange["reply"]
        if answered["status"] >= 429:
            kind = FaultKind.RATE_LIMITED if answered["status"] == 429 else FaultKind.SERVER_ERROR
            self.state.faults.add(Fault(kind, status=answered["status"], retry_after=_retry_after(answered)))
        result = answered["body"].get("result")
        if asked["method"] in ("POST", "PUT") and answered["status"] == 200 and isinstance(result, dict):
            self._queue[:] = [made] if (made := result.get("deploymentId") or result.get("id")) else []
        reply = self._send(asked)
        self._queue.clear()
        return reply

    def _send(self, asked: Json) -> httpx.Response:
        headers = dict(asked["headers"])
        url = httpx.URL(BASE + asked["path"], params=asked.get("query", []))
        body = asked.get("body")
        if isinstance(body, dict) and "_multipart" in body:
            del headers["content-type"]
            files = [(part["name"], _file(part)) for part in body["_multipart"]]
            return self.client.request(asked["method"], url, headers=headers, files=files)
        content = None if body is None else json.dumps(self._with_pem(body))
        return self.client.request(asked["method"], url, headers=headers, content=content)

    def _with_pem(self, body: Json) -> Json:
        """The body of an upload, with a certificate of this run where the recording has words."""
        if "certificates" not in body:
            return body
        issued = self._authority if body["ca"] else self._authority.issue("recorded")
        key = {"private_key": issued.key_pem.decode()} if "private_key" in body else {}
        if any(_code(exchange) == 1471 for exchange in self._exchanges):
            self._upload(self._others(), "stored before", issued)
        return {**body, "certificates": pem(issued), **key}

    # --- the state before ---

    def _prepare(self) -> None:
        for found in re.findall(r'"/accounts/([0-9a-f]{32})/', json.dumps(self._exchanges)):
            self.state.add_account(found)
        for exchange in self._exchanges:
            self._prepare_certificates(exchange)
        self._prepare_worker()
        for exchange in self._exchanges:
            self._prepare_refusal(exchange)
        self.state.calls.clear()

    def _prepare_certificates(self, exchange: Json) -> None:
        asked, answered = exchange["request"], exchange["reply"]
        account = asked["path"].split("/")[2] if asked["path"].startswith("/accounts/") else ACCOUNT_ID
        result = answered["body"].get("result")
        if asked["method"] == "GET" and "/mtls_certificates" in asked["path"] and result:
            for shown in result if isinstance(result, list) else [result]:
                self._upload(shown["id"], shown.get("name", ""), account=account)
            info = answered["body"].get("result_info")
            if info:
                self.state.settings.per_page = info["per_page"]
                for number in range(len(result), info["total_count"]):
                    self._upload(f"more-{number}", "more", account=account)
        for used in _ids_in(asked.get("body")):
            self._upload(used, "bound", self._authority if "ca" in used else None)

    def _prepare_worker(self) -> None:
        """A Worker with the versions that the recording shows before it makes one."""
        name = next((_worker_name(exchange) for exchange in self._exchanges if _shows_worker(exchange)), None)
        if name is None:
            return
        versions, deployment, last = self._shown_versions()
        for used in {binding for version in versions.values() for binding in version}:
            self._upload(used, "bound")
        at = f"{BASE}/accounts/{ACCOUNT_ID}/workers/scripts/{name}"
        for number, (version_id, used_ids) in enumerate(sorted(versions.items())):
            self._queue[:] = [version_id]
            bindings = [{"type": "mtls_certificate", "name": "MY_CERT", "certificate_id": used} for used in used_ids]
            files = {"metadata": (None, json.dumps({"bindings": bindings, "compatibility_date": "2026-11-01"}))}
            method, path = ("POST", f"{at}/versions") if number else ("PUT", at)
            self.client.request(method, path, files=files).raise_for_status()
        worker = self.state.account().holders.workers[name]
        if deployment is not None:
            self._queue[:] = [deployment["id"]]
            self.client.post(f"{at}/deployments", json={"versions": deployment["versions"]}).raise_for_status()
            del worker.deployments[:-1]
        worker.last_deployed_from = last

    def _shown_versions(self) -> tuple[dict[str, list[str]], Json | None, str]:
        """Version ids with the certificates that they bind, what is deployed, and who deployed last."""
        versions: dict[str, list[str]] = {FIRST_VERSION: [CERTIFICATE]}
        deployment: Json | None = None
        last = "wrangler"
        for exchange in self._exchanges:
            result, path = exchange["reply"]["body"].get("result"), exchange["request"]["path"]
            if exchange["request"]["method"] != "GET" or not isinstance(result, dict):
                continue
            if "/versions" in path:
                for version in result.get("items", [result]):
                    versions[version["id"]] = list(_ids_in(version))
            if path.endswith("/deployments"):
                deployment = result["deployments"][0]
            if "default_environment" in result:
                last = result["default_environment"]["script"]["last_deployed_from"]
        for share in deployment["versions"] if deployment else ():
            versions.setdefault(share["version_id"], [])
        return versions, deployment, last

    def _prepare_refusal(self, exchange: Json) -> None:
        code, message = _code(exchange), json.dumps(exchange["reply"]["body"])
        if code == 1489:
            for number in range(5):
                self._upload(self._others(), f"ca-{number}", make_ca(f"CA {number}"))
        elif code == 10000:
            self.state.access.tokens[TOKEN] = Token(ALL - {Permission.CERTIFICATES_READ, Permission.CERTIFICATES_WRITE})
        elif code == 100143 or code == 1472:
            for used in re.findall(r"'([^']{36})' not found", message):
                self.state.account().delete(used)
        elif "in use" in message:
            used = exchange["request"]["path"].rpartition("/")[2]
            binding = {"type": "mtls_certificate", "name": "A", "certificate_id": used}
            files = {"metadata": (None, json.dumps({"bindings": [binding]}))}
            self.client.put(f"{BASE}/accounts/{ACCOUNT_ID}/workers/scripts/user", files=files).raise_for_status()

    def _upload(self, entry_id: str, name: str, issued: Issued | None = None, account: str = ACCOUNT_ID) -> None:
        if self.state.account(account).get(entry_id) is not None:
            return
        issued = issued or self._authority.issue(entry_id)
        self._queue[:] = [entry_id]
        is_ca = issued is self._authority or name.startswith("ca-")
        body = {"name": name, "ca": is_ca, "certificates": pem(issued), "private_key": issued.key_pem.decode()}
        self.client.post(f"{BASE}/accounts/{account}/mtls_certificates", json=body).raise_for_status()

    def _next_id(self) -> str:
        return self._queue.pop(0) if self._queue else self._others()


def _ids_in(value: object) -> Iterator[str]:
    """The certificates that a body binds."""
    text = json.dumps(value)
    yield from re.findall(r'"(?:mtls_|ca_)?certificate_id(?:\\*)": ?(?:\\*)"([0-9a-f-]{36})', text.replace("\\", ""))


def _code(exchange: Json) -> int | None:
    errors = exchange["reply"]["body"]["errors"]
    return errors[0]["code"] if errors else None


def _worker_name(exchange: Json) -> str:
    name: str = re.findall(r"/workers/(?:services|scripts)/([^/]+)", exchange["request"]["path"])[0]
    return name


def _shows_worker(exchange: Json) -> bool:
    """Whether a recorded read has a Worker that must have been there before."""
    asked, answered = exchange["request"], exchange["reply"]
    kind = r"/workers/(services/|scripts/[^/]+/(deployments|versions|settings))"
    return asked["method"] == "GET" and answered["status"] == 200 and bool(re.search(kind, asked["path"]))


def _retry_after(answered: Json) -> int | None:
    headers = answered.get("headers") or {}
    return int(headers["retry-after"]) if "retry-after" in headers else None


def _file(part: Json) -> tuple[str | None, str]:
    value = part["value"]
    if part["name"] == "_worker.bundle":  # the recording has only its beginning
        bindings = re.findall(r'"bindings":(\[.*?\])', value)[0]
        value = f'--b\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{{"bindings":{bindings}}}\r\n--b--\r\n'
    return part["filename"], value if isinstance(value, str) else json.dumps(value)
