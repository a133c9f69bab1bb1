"""Hyperdrive configurations over the API: what each uses for its database, and a change of that alone.

Never a PUT: the password of the database is write-only, so a PUT would have to make one up.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from urllib.parse import quote

from reconciler.model import HyperdriveConfig
from reconciler.stores.cloudflare.client import ApiCall, Client, backoff_s, send_patiently
from reconciler.stores.cloudflare.errors import HyperdriveNotFound, NoAnswer, Operation, UnusableReply
from reconciler.stores.cloudflare.listing import REPORT
from reconciler.stores.cloudflare.wire import Envelope, HyperdriveBody, parse

LIST = "the list of Hyperdrive configurations"
_MOST_PAGES = 1000


class HyperdriveConfigs:
    """Those of one account; thread-safe."""

    def __init__(self, client: Client, account_path: str, random: Callable[[], float]) -> None:
        self._client = client
        self._path = f"{account_path}/hyperdrive/configs"
        self._random = random

    def all(self) -> tuple[HyperdriveConfig, ...]:
        """Every configuration. UnusableReply if the list is incomplete, or not what Cloudflare documents.

        A reply without a count is taken for the whole list.
        """
        found: dict[str, HyperdriveConfig] = {}
        for page in range(1, _MOST_PAGES + 1):
            call = ApiCall(Operation.HYPERDRIVE, "GET", self._path, {"page": page} if page > 1 else {})
            envelope = send_patiently(self._client, call, self._random)
            bodies = parse(list[HyperdriveBody], envelope.result)
            if bodies is None:
                raise UnusableReply(f"{LIST} does not have the format that Cloudflare documents", hint=REPORT)
            before = len(found)
            found |= {config.id: config for config in (body.config() for body in bodies)}
            total = envelope.result_info.total_count if envelope.result_info else None
            if total is None or len(found) >= total:
                return tuple(found.values())
            if len(found) == before:
                break
        what = f"Cloudflare counts {total} Hyperdrive configurations, but lists {len(found)}"
        raise UnusableReply(what, hint=REPORT)

    def get(self, config: str) -> HyperdriveConfig | None:
        """The configuration with this ID, or None."""
        call = ApiCall(Operation.HYPERDRIVE, "GET", self._path_of(config))
        try:
            return _config(send_patiently(self._client, call, self._random))
        except HyperdriveNotFound:
            return None

    def update(self, before: HyperdriveConfig, mtls: Mapping[str, object]) -> HyperdriveConfig:
        """The configuration after its `mtls` was replaced.

        After a lost answer the call is repeated only if the configuration is still as `before`.
        """
        body = json.dumps({"mtls": mtls}).encode()
        call = ApiCall(Operation.UPDATE, "PATCH", self._path_of(before.id), body=body)
        try:
            return _config(self._client.send(call))
        except NoAnswer as error:
            if error.lasting:
                raise
            self._client.sleep(backoff_s(1, self._random()))
            found = self.get(before.id)
            if found is None or found.mtls != before.mtls:
                raise
        return _config(self._client.send(call))

    def _path_of(self, config: str) -> str:
        return f"{self._path}/{quote(config, safe='')}"


def _config(envelope: Envelope) -> HyperdriveConfig:
    body = parse(HyperdriveBody, envelope.result)
    if body is None:
        raise UnusableReply("Cloudflare's reply contains no Hyperdrive configuration with an ID", hint=REPORT)
    return body.config()
