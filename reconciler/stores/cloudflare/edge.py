"""The port `EdgeAccount` over the API: throw-away Workers, and calls to them on workers.dev.

Facts: developers.cloudflare.com/api/resources/workers. Never tried on a real account.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import urlsplit

from reconciler.findings.codes import Code
from reconciler.model.edge import BINDING, BINDINGS, SECRET, TIMEOUT, URL, ListedWorker, ProbeWorker
from reconciler.model.errors import StoreError
from reconciler.stores.cloudflare.access import Access
from reconciler.stores.cloudflare.client import ApiCall, Client, send_patiently
from reconciler.stores.cloudflare.errors import Operation, WorkerNotFound
from reconciler.stores.cloudflare.listing import demand, demand_whole
from reconciler.stores.cloudflare.wire import MTLS, Envelope, ScriptBody, SettingsBody, SubdomainBody
from reconciler.web.http import Address, Http

_DATE = "2024-09-23"
"""A compatibility date. Since 2024-09-02, a fetch calls the port of its URL (`allow_custom_ports`)."""
_MAIN = "probe.js"
_LOOPBACK = "/workers.dev"
"""Where an emulator on this machine answers for its Workers: `workers.dev` would lead to Cloudflare."""


class CloudflareEdge:
    """The port `EdgeAccount` for one account; shares the rate limit of its client."""

    def __init__(self, client: Client, access: Access, random: Callable[[], float]) -> None:
        self._client, self._access, self._random = client, access, random
        self._account = f"/accounts/{access.account_id}"
        self._subdomain = ""

    def demand_subdomain(self) -> None:
        """As in the port."""
        try:
            envelope = self._send(Operation.WORKERS, "GET", "/workers/subdomain")
        except WorkerNotFound:  # 10007, as wrangler reads it
            hint = "open Workers & Pages in the dashboard once, which creates it; then run this again"
            raise StoreError("the account has no workers.dev subdomain", hint=hint) from None
        self._subdomain = demand(SubdomainBody, envelope, "the workers.dev subdomain").subdomain

    def workers(self) -> tuple[ListedWorker, ...]:
        """As in the port."""
        envelope = self._send(Operation.WORKERS, "GET", "/workers/scripts")
        found = demand(list[ScriptBody], envelope, "the list of Workers")
        demand_whole(envelope, len(found), "Workers")
        now = self._client.server_now()
        return tuple(ListedWorker(one.id, now - one.created_on if now and one.created_on else None) for one in found)

    def has_probe_bindings(self, name: str) -> bool:
        """As in the port."""
        try:
            envelope = self._send(Operation.WORKERS, "GET", f"{self._script(name)}/settings")
        except WorkerNotFound:
            return False
        return {one.name for one in demand(SettingsBody, envelope, f"the settings of {name}").bindings} == BINDINGS

    def deploy(self, worker: ProbeWorker) -> None:
        """As in the port. A lost answer is asked for again: the same Worker under the same name changes nothing."""
        content_type, body = upload_form(worker)
        path, query = self._account + self._script(worker.name), {"excludeScript": "true"}  # as wrangler
        call = ApiCall(Operation.PROBE, "PUT", path, query, body, worker.secret, content_type)
        send_patiently(self._client, call, self._random)

    def publish(self, name: str) -> None:
        """As in the port."""
        body = json.dumps({"enabled": True, "previews_enabled": False}).encode()
        self._send(Operation.PROBE, "POST", f"{self._script(name)}/subdomain", body)

    def call(self, name: str, secret: str) -> bytes:
        """As in the port."""
        base = f"https://{name}.{self._subdomain}.workers.dev"
        if self._access.is_loopback:
            parts = urlsplit(self._access.base_url)
            base = f"{parts.scheme}://{parts.netloc}{_LOOPBACK}/{name}"
        headers = {"authorization": f"Bearer {secret}"}
        address = Address(f"the Worker {name}", base, headers, Code.STORE_UNREACHABLE)
        return Http(address, lambda _: None, self._client.sleep).get("/").body

    def delete(self, name: str) -> None:
        """As in the port."""
        try:
            self._send(Operation.PROBE, "DELETE", self._script(name))
        except WorkerNotFound:
            return

    def _script(self, name: str) -> str:
        return f"/workers/scripts/{name}"

    def _send(self, operation: Operation, method: str, path: str, body: bytes | None = None) -> Envelope:
        call = ApiCall(operation, method, self._account + path, body=body)
        return send_patiently(self._client, call, self._random)


def upload_form(worker: ProbeWorker) -> tuple[str, bytes]:
    """The content type and the body of the upload: the metadata first, then the module, as in wrangler's calls."""
    bindings = [
        {"type": MTLS, "name": BINDING, "certificate_id": worker.certificate},
        {"type": "secret_text", "name": SECRET, "text": worker.secret},
        {"type": "plain_text", "name": URL, "text": worker.url},
        {"type": "plain_text", "name": TIMEOUT, "text": str(worker.timeout_ms)},
    ]
    metadata = json.dumps({"main_module": _MAIN, "compatibility_date": _DATE, "bindings": bindings})
    boundary = f"----{worker.name}"  # has random digits, which are in no part
    module = f'name="{_MAIN}"; filename="{_MAIN}"\r\nContent-Type: application/javascript+module'
    parts = (('name="metadata"', metadata.encode()), (module, worker.source))
    body = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + data + b"\r\n"
        for head, data in parts
    )
    return f"multipart/form-data; boundary={boundary}", body + f"--{boundary}--\r\n".encode()
